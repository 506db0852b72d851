"""What the stories of `cat`, `du`, `ls` and `log` do not tell: bytes, numbers, odd names."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from typing import Any

import pytest
from sealed_world import World

import voyager
from voyager import Box, Image, Label, Region, Sample
from voyager.samples import photo_paths
from voyager.store.history import read_commit, write_commit
from voyager.store.refs import move_ref

PHOTOS = photo_paths()


@pytest.fixture
def photos(world: World) -> World:
    """Two photos and a text file, committed and tagged v1."""
    world.vgr("init", "-q")
    (world.cwd / "hat").mkdir()
    for number in (1, 2):
        shutil.copyfile(PHOTOS[number], world.cwd / "hat" / f"{number}.jpg")
    (world.cwd / "classes.txt").write_text("hat\n")
    world.vgr("add", "-q", ".")
    world.vgr("commit", "-q", "-m", "first")
    world.vgr("tag", "v1")
    return world


def run(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code == 0, result.text
    return result.out


def document(world: World, *arguments: str) -> Any:
    return json.loads(run(world, *arguments, "--json"))


def lines(world: World, *arguments: str) -> list[Any]:
    return [json.loads(line) for line in run(world, *arguments, "--json").splitlines()]


# -- cat ------------------------------------------------------------------------------------------


def test_cat_writes_the_bytes(photos: World, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    from voyager.cli import main

    os.chdir(photos.cwd)
    assert main(["cat", "v1:hat/1.jpg"]) == 0
    assert capfdbinary.readouterr().out == PHOTOS[1].read_bytes()
    blob = json.loads(photos.vgr("ls", "--json", "hat/2.jpg").out)["image"]["blob"]
    assert main(["cat", "--verify", blob[:12]]) == 0
    assert capfdbinary.readouterr().out == PHOTOS[2].read_bytes()
    assert main(["cat", ":classes.txt", "v1:classes.txt"]) == 0
    assert capfdbinary.readouterr().out == b"hat\nhat\n"


def test_cat_shows_every_object_down_to_the_rows(photos: World) -> None:
    commit = document(photos, "cat", "v1")
    assert (commit["kind"], commit["message"]) == ("commit", "first")
    snapshot = document(photos, "cat", commit["snapshot"]["object"])
    assert (snapshot["kind"], sorted(snapshot)) == ("snapshot", ["files", "id", "kind", "samples"])
    node = document(photos, "cat", snapshot["samples"]["object"][:16])
    assert (node["kind"], node["level"]) == ("node", 0)
    assert [entry["key"] for entry in node["entries"]] == ["hat/1.jpg", "hat/2.jpg"]
    blob = document(photos, "cat", node["entries"][0]["value"]["i"]["b"]["blob"])
    assert blob["bytes"] == PHOTOS[1].stat().st_size


def test_cat_of_an_ambiguous_prefix(photos: World) -> None:
    with voyager.open(photos.cwd) as repo:
        with repo.edit(message="many") as edit:
            for n in range(300):
                edit.add_file(f"many/{n}.txt", b"%d" % n)
        ids = sorted(found.hex() for found in repo.store.iter_prefix(b""))
    shared = [a[:4] for a, b in itertools.pairwise(ids) if a[:4] == b[:4]]
    for prefix in shared[:1]:
        result = photos.vgr("cat", prefix)
        assert (result.code, "ambiguous" in result.err) == (2, True)


def test_cat_refuses_a_terminal(photos: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from voyager.commands import cat
    from voyager.errors import UsageError

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with pytest.raises(UsageError, match="terminal"):
        cat._refuse_terminal("v1:hat/1.jpg", b"\xff\xd8\xff\xe0\0")
    cat._refuse_terminal("v1:classes.txt", "Hüte\n".encode())


# -- du -------------------------------------------------------------------------------------------


def test_du_counts(photos: World) -> None:
    shutil.copyfile(PHOTOS[1], photos.cwd / "copy.jpg")
    run(photos, "add", "-q", ".")
    sizes = [PHOTOS[n].stat().st_size for n in (1, 2)]
    found = document(photos, "du")
    assert (found["samples"], found["files"], found["absent"]) == (3, 1, 0)
    assert found["bytes"] == sum(sizes) + sizes[0] + 4
    assert (found["unique_blobs"], found["unique_bytes"]) == (3, sum(sizes) + 4)
    assert found["folders"] == [
        {"folder": "", "samples": 1, "files": 1, "bytes": sizes[0] + 4},
        {"folder": "hat", "samples": 2, "files": 0, "bytes": sum(sizes)},
    ]
    store = found["store"]
    assert store["total"] == sum(size for part, size in store.items() if part != "total")
    assert found["ratio"] == round(store["total"] / found["bytes"], 3)
    assert document(photos, "du", "v1")["samples"] == 2
    text = run(photos, "du", "v1")
    assert "2 samples, 1 file" in text
    assert "no two alike" in text


def test_du_of_nothing(world: World) -> None:
    world.vgr("init", "-q")
    assert document(world, "du")["ratio"] is None
    assert "0 samples, 0 files" in run(world, "du")


# -- ls, show -------------------------------------------------------------------------------------


def test_samples_with_everything(photos: World) -> None:
    region = Region(
        id=bytes(range(16)),
        geometries={"box": Box(1, 2, 3, 4)},
        flags=("crowd",),
        labels=(Label(task="class", value="hat", source="model:m", score=0.5),),
    )
    with voyager.open(photos.cwd) as repo, repo.edit(message="labels") as edit:
        edit["hat/1.jpg"] = edit["hat/1.jpg"].replace(
            labels=(Label(task="kind", node=bytes(16)),),
            regions=(region,),
            meta={"price": 3},
            split="val",
        )
        edit["later"] = Sample(uid=bytes(16), image=Image(uri="https://example.org/1.jpg"))
    text = run(photos, "show", "HEAD:hat/1.jpg")
    assert "split:       val" in text
    assert "meta.price:  3" in text
    assert f"  kind = {bytes(16).hex()} (human, accepted)" in text
    assert (
        "  #1 00010203  box; crowd; human, accepted; class = hat (model:m, accepted, score 0.5)"
        in text
    )
    assert "image:       pending" in run(photos, "show", "HEAD:later")
    found = lines(photos, "ls", "HEAD")
    assert [one["key"] for one in found] == ["hat/1.jpg", "hat/2.jpg", "later"]
    assert found[0]["regions"][0]["geometries"]["box"]["xyxy"] == [1, 2, 3, 4]
    assert found[2]["image"]["state"] == "pending"
    assert lines(photos, "show", "HEAD:later") == found[2:]
    listed = run(photos, "ls", "-l", "HEAD").splitlines()
    assert listed[0].split()[-3:] == ["1", "1", "hat/1.jpg"]
    assert "pending" in listed[2]
    changed = run(photos, "diff", "--name-status", "v1", "HEAD")
    assert changed == "M\that/1.jpg\nA\tlater\n"
    told = run(photos, "diff", "v1", "HEAD")
    assert "kind 00000000000000000000000000000000 added" in told
    assert "  + #1 00010203 (box, crowd)" in told


def test_odd_names_break_no_line(photos: World) -> None:
    odd = "a\nb.jpg"
    shutil.copyfile(PHOTOS[5], photos.cwd / odd)
    run(photos, "add", "-q", ".")
    assert run(photos, "ls").splitlines() == ["a\\nb.jpg", "hat/1.jpg", "hat/2.jpg"]
    assert len(run(photos, "diff").splitlines()) == 1
    assert "sample a\\nb.jpg" in run(photos, "show", odd)
    assert lines(photos, "ls")[0]["key"] == odd


def test_a_bare_repository(world: World) -> None:
    world.vgr("init", "--bare", "-q", "b")
    with voyager.open(world.cwd / "b") as repo, repo.edit(message="first") as edit:
        edit.add_image("hat/1.jpg", PHOTOS[1].read_bytes())
    assert run(world, "-C", "b", "ls") == "hat/1.jpg\n"
    assert run(world, "-C", "b", "diff") == ""
    assert run(world, "-C", "b", "log", "--oneline", "hat").endswith(" first\n")
    assert run(world, "-C", "b", "ls", "hat") == "hat/1.jpg\n"


def test_a_word_that_is_a_revision_and_a_file(photos: World) -> None:
    run(photos, "branch", "hat")
    result = photos.vgr("diff", "hat")
    assert (result.code, "both a revision and a file" in result.err) == (2, True)
    assert run(photos, "ls", "hat", "--").splitlines() == ["hat/1.jpg", "hat/2.jpg"]
    assert run(photos, "log", "--oneline", "--", "hat") != ""
    assert photos.vgr("ls", "v1", "hat", "--").code == 2


# -- log ------------------------------------------------------------------------------------------


def test_log_bridges_what_it_leaves_out(photos: World) -> None:
    for n in range(3):
        (photos.cwd / "classes.txt").write_text(f"{n}\n")
        author = "Bo" if n % 2 else "Ann"
        photos.vgr("commit", "-qam", f"step {n}", VGR_AUTHOR_NAME=author)
    text = run(photos, "log", "--oneline", "--graph", "--author", "^Ann")
    assert [line[:2] for line in text.splitlines()] == ["* "] * 3
    assert [line.split()[-1] for line in text.splitlines()] == ["2", "0", "first"]


def test_log_along_first_parents(photos: World) -> None:
    run(photos, "switch", "-q", "-c", "topic")
    shutil.copyfile(PHOTOS[3], photos.cwd / "hat" / "3.jpg")
    run(photos, "add", "-q", ".")
    run(photos, "commit", "-q", "-m", "topic")
    run(photos, "switch", "-q", "main")
    run(photos, "commit", "-q", "--allow-empty", "-m", "main")
    with voyager.Repository.open(photos.cwd) as repo:
        ours, theirs = repo.resolve("main"), repo.resolve("topic")
        with repo.transaction("merge") as txn:
            made = write_commit(
                txn,
                snapshot=read_commit(repo.store, theirs).snapshot_id,
                parents=[ours, theirs],
                author="Ann Lee <ann@example.org>",
                message="merge",
                time=1_767_700_000_000,
                zone=0,
            )
            move_ref(txn, "refs/heads/both", made, old=None)
            txn.commit()

    def subjects(*arguments: str) -> list[str]:
        text = run(photos, "log", "--json", "both", *arguments)
        return [one["message"] for one in json.loads(text)]

    assert sorted(subjects()) == ["first", "main", "merge", "topic"]
    assert subjects("--first-parent") == ["merge", "main", "first"]
    assert subjects("--", "hat") == ["topic", "first"]
    assert subjects("--first-parent", "--", "hat") == ["merge", "first"]
    assert subjects("--first-parent", "--reverse", "-2", "^v1") == ["main", "merge"]
    drawn = run(photos, "log", "--oneline", "--graph", "--first-parent", "both").splitlines()
    assert [line[:2] for line in drawn] == ["* "] * 3
    assert "\nMerge: " in run(photos, "log", "-1", "--first-parent", "both")
    parents = document(photos, "log", "-1", "--first-parent", "both")[0]["parents"]
    assert parents == [ours.hex(), theirs.hex()]


def test_a_pipe_that_nobody_reads(photos: World) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m voyager.cli ls | true"
    done = subprocess.run(command, shell=True, cwd=photos.cwd, capture_output=True, check=True)
    assert done.stderr == b""
