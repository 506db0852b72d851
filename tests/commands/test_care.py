"""`demo`, `doctor`, `fsck` and `purge` beyond their stories."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
import time
import tomllib
from pathlib import Path

import pytest
from sealed_world import World

from voyager.commands.doctor import _EXTRAS
from voyager.samples import CLOTHING, photo_paths

PHOTOS = photo_paths()


def make(world: World) -> None:
    world.vgr("init", "-q")
    shutil.copyfile(PHOTOS[0], world.cwd / "a.jpg")
    world.vgr("add", "-q", ".")
    world.vgr("commit", "-q", "-m", "first")


# -- demo -----------------------------------------------------------------------------------------


def test_the_demo_checks_its_claims(world: World) -> None:
    start = time.process_time()
    result = world.vgr("demo")
    assert result.code == 0, result.text
    assert time.process_time() - start < 60
    assert result.out.count("checked: ") == 18
    assert "  1.00  test/hat/3f0be386" in result.out
    assert "same pixels as test/shoes/4797602a" in result.out
    assert "footwear/sandals      2" in result.out
    assert "<svg" in (world.cwd / "vgr-demo" / "stats.html").read_text()
    assert "has('footwear')\"\ntest/shoes/" in result.out
    assert "guard: dropped: 1 sample\n   train/shoes/more.jpg: same pixels as" in result.out
    assert "color: nothing → ours pink | theirs red" in result.out
    assert "added remote 'origin': s3://demo/clothes" in result.out
    assert "$ vgr init" in result.out
    assert "What to try next, in vgr-demo:" in result.out
    assert "$ vgr config" not in result.out
    for line in result.out[result.out.index("What to try") :].splitlines()[1:]:
        done = world.run(line.strip().replace("vgr", "vgr -C vgr-demo", 1))
        assert done.code == 0, (line, done.text)
    with_file = (world.cwd / "vgr-demo" / "SOURCE.md").read_bytes()
    assert with_file == (CLOTHING / "SOURCE.md").read_bytes()


@pytest.mark.deep
def test_the_demo_without_a_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moto", None)
    result = world.vgr("demo")
    assert result.code == 0, result.text
    assert re.search(r"added remote 'origin': /.*/shared\n", result.out)
    assert "checked: a photograph comes from there" in result.out


def test_the_demo_as_json(world: World) -> None:
    result = world.vgr("demo", "here", "--json", VGR_AUTHOR_NAME="", VGR_AUTHOR_EMAIL="")
    assert result.code == 0, result.text
    told = json.loads(result.out)
    assert told["folder"] == "here"
    commands = [step["command"] for step in told["steps"]]
    assert {step["command"]: step["exit"] for step in told["steps"] if step["exit"]} == {
        "vgr merge ben": 1
    }
    assert commands[0] == "vgr init"
    assert "vgr config user.name 'Demo'" in commands
    assert len(told["checks"]) == 18


def test_the_demo_needs_no_extra(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voyager.commands.demo.find_spec", lambda name: None)
    for name in ("duckdb", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    result = world.vgr("demo")
    assert result.code == 0, result.text
    assert "pip install 'voyager-vgr[sql]'." in result.out
    assert "$ vgr ls --where" not in result.out


def test_the_demo_overwrites_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voyager.commands.demo.find_spec", lambda name: None)
    (world.cwd / "full").mkdir()
    (world.cwd / "full" / "file").touch()
    for name in ("full", "full/file"):
        result = world.vgr("demo", name)
        assert (result.code, result.out) == (4, "")
    (world.cwd / "empty").mkdir()
    assert world.vgr("demo", "-q", "empty").out == ""


# -- doctor ---------------------------------------------------------------------------------------


def findings(world: World) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in json.loads(world.vgr("doctor", "--json").out)}


def test_doctor_of_a_sound_repository(world: World) -> None:
    make(world)
    result = world.vgr("doctor")
    assert result.code == 0, result.text
    found = findings(world)
    assert {one["verdict"] for one in found.values()} <= {"ok", "note"}
    names = {"vgr", "libraries", "extras", "settings", "author", "repository", "index", "packs"}
    assert names | {"file system", "space", "disk", "clock"} <= set(found)
    assert found["author"]["text"] == "Ann Lee <ann@example.org>"
    assert "/world/work/.vgr (working, spec 1)" in found["repository"]["text"]


def test_doctor_knows_every_extra() -> None:
    told = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert set(_EXTRAS) == set(told["project"]["optional-dependencies"]) - {"all", "dev"}


def test_doctor_outside_a_repository(world: World) -> None:
    result = world.vgr("doctor")
    assert result.code == 0
    assert "repository: not inside one\n        hint: vgr init\n" in result.out


def test_doctor_names_what_is_wrong(world: World) -> None:
    make(world)
    config = world.cwd / ".vgr" / "config.toml"
    config.write_text("[ui]\nsparkle = 1\n")
    hooks = world.cwd / ".vgr" / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\n")
    result = world.vgr("doctor", VGR_AUTHOR_NAME="")
    assert "not known to this version: ui.sparkle in" in result.out
    assert "author: the author's name is not known" in result.out
    assert "hooks: not executable, so not run: pre-commit" in result.out
    config.write_text("[ui\n")
    assert world.vgr("doctor").code == 1
    assert findings(world)["settings"]["verdict"] == "problem"


def test_doctor_of_a_lost_index(world: World) -> None:
    make(world)
    shutil.rmtree(world.cwd / ".vgr" / "index")
    (world.cwd / ".vgr" / "index").mkdir()
    result = world.vgr("doctor")
    assert (result.code, "hint: vgr fsck --rebuild" in result.out) == (1, True)
    assert world.vgr("fsck", "--rebuild").code == 0
    assert world.vgr("doctor").code == 0


# -- fsck -----------------------------------------------------------------------------------------


def test_fsck_names_a_flipped_byte(world: World) -> None:
    make(world)
    (pack,) = (world.cwd / ".vgr" / "packs").glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    os.chmod(pack, 0o644)
    pack.write_bytes(data)
    result = world.vgr("fsck")
    assert (result.code, pack.name in result.out) == (7, True)
    told = json.loads(world.vgr("fsck", "--json").out)
    assert (told["ok"], told["problems"][0]["kind"]) == (False, "pack")
    assert world.vgr("cat", "--verify", "HEAD:a.jpg").code == 7


def test_fsck_works_where_opening_does_not(world: World) -> None:
    make(world)
    (world.cwd / ".vgr" / "index" / "data.mdb").write_bytes(b"not a database" * 1000)
    result = world.vgr("fsck")
    assert (result.code, "hint: vgr fsck --rebuild" in result.out) == (7, True)
    assert world.vgr("fsck", "--rebuild").code == 0
    assert world.vgr("status").code == 0


def test_fsck_outside_a_repository(world: World) -> None:
    assert world.vgr("fsck").code == 3


# -- purge ----------------------------------------------------------------------------------------


class _Answer(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("", 1)])
def test_purge_asks(world: World, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    make(world)
    monkeypatch.setattr("sys.stdin", _Answer(answer))
    result = world.vgr("purge", "a.jpg", "--reason", "asked to")
    assert result.code == code
    assert "named by 1 key:\n  a.jpg\n" in result.out
    assert "remove these bytes for good? [y/N] " in result.out
    assert world.vgr("cat", "--json", "HEAD:a.jpg").code == (0 if code else 3)


def test_purge_by_a_prefix_and_of_bytes_that_never_came(world: World) -> None:
    make(world)
    blob = json.loads(world.vgr("ls", "--json").out)["image"]["blob"]
    assert world.vgr("purge", blob[:8], "--reason", "x", "-y").code == 0
    assert world.vgr("purge", "ab" * 32, "--reason", "x", "-y").code == 0
    assert world.vgr("purge", "--unpurge", "abab").code == 0
    assert world.vgr("purge", "--unpurge", "abab").code == 3
    assert world.vgr("fsck").code == 0


def test_purge_refuses_objects(world: World) -> None:
    make(world)
    commit = json.loads(world.vgr("log", "--json").out)[0]["commit"]
    result = world.vgr("purge", commit[:10], "--reason", "x", "-y")
    assert (result.code, "only blobs can be purged" in result.err) == (2, True)
