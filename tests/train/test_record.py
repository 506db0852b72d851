"""Runs: the object, what is listed, removed and exported, and from a model back to its data."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import METRICS, make_run
from sealed_world import World

from voyager.errors import CorruptError, ExistsError, NotFoundError, StateError, UsageError
from voyager.repo.repository import Repository
from voyager.repo.undo import undo
from voyager.store.gc import collect
from voyager.store.history import RunObject
from voyager.store.ids import Kind, object_id
from voyager.store.refs import RUNS, move_ref
from voyager.store.runs import check_run, is_file_name, joined, says_all_of
from voyager.train.listing import drop_listed, find_listed, iter_listed
from voyager.train.record import WEIGHTS, Record, find_run, iter_runs, note_metrics
from voyager.train.run_export import export_run
from voyager.train.run_folder import RunFolder, open_run_folder, runs_folder, sweep_removed
from voyager.train.why import explain, use_of
from voyager.wire import blob_ref, encode, object_ref

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "runs.json").read_text("utf-8"))
KEYS = ("train/hat/1.jpg", "train/hat/2.jpg", "train/shoes/1.jpg", "train/shoes/2.jpg")


@pytest.fixture
def root(world: World) -> Path:
    """Four photographs in train, two in val, one in no split, with their classes."""
    photos = sorted(Path(world.run("echo $SAMPLES").out.strip()).glob("clothing/train/*/*.jpg"))
    for number, key in enumerate([*KEYS, "val/hat/1.jpg", "val/shoes/1.jpg", "more/hat/1.jpg"]):
        target = world.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(photos[number].read_bytes())
    for line in (
        "vgr init -q",
        "vgr add -q train val --split-from folder --class-from folder",
        "vgr add -q more --class-from folder",
        'vgr commit -q -m "Hats and shoes"',
    ):
        assert world.run(line).code == 0
    return world.cwd


@pytest.fixture
def repo(root: Path) -> Iterator[Repository]:
    with Repository.open(root) as opened:
        yield opened


def begin(repo: Repository, run: str, state: str = "running", **said: object) -> RunFolder:
    """The folder of a run that is not in the store yet."""
    record = Record(run=run, commit=repo.resolve("HEAD").hex(), state="running")
    folder = RunFolder(runs_folder(repo) / run, replace(record, state=state, **said))
    folder.write(folder.record)
    folder.step(1, {"loss": 2.0})
    folder.close()
    return folder


def states(repo: Repository) -> dict[str, str]:
    return {run.id: run.record.state for run in iter_listed(repo)}


# -- the object ------------------------------------------------------------------------------------


def _made(said: dict[str, object]) -> RunObject:
    links = {
        name: None if said[name] is None else object_ref(bytes.fromhex(str(said[name])))
        for name in ("predictions", "start")
    }
    files = said["files"]
    assert isinstance(files, dict)
    return RunObject(
        commit=object_ref(bytes.fromhex(str(said["commit"]))),
        files={name: blob_ref(bytes.fromhex(blob)) for name, blob in files.items()},
        record=str(said["record"]),
        **links,
    )


@pytest.mark.parametrize("vector", VECTORS["runs"], ids=lambda one: one["name"])
def test_the_vectors(vector: dict[str, str]) -> None:
    encoded = encode(_made(vector))
    assert encoded.hex() == vector["object"]
    assert object_id(Kind.RUN, encoded).hex() == vector["id"]
    assert check_run(encoded) == _made(vector)


def test_names_of_files_are_one_part_of_a_path() -> None:
    assert is_file_name(WEIGHTS)
    for name in ("", ".", "..", "a/b", "a\\b", ".hidden", "x" * 256, "a\nb"):
        assert not is_file_name(name)


def test_a_run_is_put_found_and_said_more_of(repo: Repository) -> None:
    run = make_run(repo, "first")
    assert find_run(repo, run.id[:4]) == find_run(repo, "first") == run
    more = note_metrics(repo, run, "test@abc", {"category": {"accuracy": 0.5}})
    assert set(more.record.metrics) == {*METRICS, "test@abc"}
    assert more.files == run.files
    undo(repo)
    assert find_run(repo, "first") == run
    with pytest.raises(NotFoundError, match="no run 'second'"):
        find_run(repo, "second")


def test_a_record_of_another_run_is_refused(repo: Repository) -> None:
    run = make_run(repo, "first")
    with repo.transaction("forge") as txn:
        move_ref(txn, RUNS + "aa", run.object, old=None)
        txn.commit()
    with pytest.raises(CorruptError, match=f"says that it is run {run.id}"):
        list(iter_runs(repo))


def test_joining_is_the_same_either_way_but_for_what_both_say(repo: Repository) -> None:
    run = make_run(repo, "first")
    base = check_run(repo.store.get(run.object, Kind.RUN))
    parts = []
    for where in ("a", "b"):
        more = note_metrics(repo, run, where, {"category": {"accuracy": 0.5}})
        parts.append(check_run(repo.store.get(more.object, Kind.RUN)))
        undo(repo)
    ours, theirs = parts
    both = joined(ours, theirs)
    assert both == joined(theirs, ours)
    for part in (ours, theirs, base):
        assert says_all_of(both, part)
        assert not says_all_of(part, both)


# -- listed and removed ----------------------------------------------------------------------------


def test_states_are_those_of_now(repo: Repository) -> None:
    make_run(repo, "first")
    going, killed = begin(repo, "aaaa000000"), begin(repo, "bbbb000000")
    begin(repo, "cccc000000", "failed", error="the loss is no number")
    begin(repo, "dddd000000", "stopped")
    with going.lock():
        assert states(repo) == {
            find_run(repo, "first").id: "finished",
            going.id: "running",
            killed.id: "stopped",
            "cccc000000": "failed",
            "dddd000000": "stopped",
        }
        with pytest.raises(StateError, match="goes on in another process"):
            drop_listed(repo, find_listed(repo, going.id))
    assert states(repo)[going.id] == "stopped"


def test_lists_are_narrowed_by_commit_and_task(repo: Repository) -> None:
    first = make_run(repo, "first")
    make_run(repo, "second", settings={"tasks": ["color"]})
    assert [run.id for run in iter_listed(repo, task="category")] == [first.id]
    assert len(list(iter_listed(repo, commit=first.commit))) == 2
    assert list(iter_listed(repo, commit=bytes(32))) == []


def test_a_beginning_of_several_is_refused(repo: Repository) -> None:
    begin(repo, "aaaaa00000")
    begin(repo, "aaaab00000")
    with pytest.raises(UsageError, match="several runs begin with 'aaaa': aaaaa00000, aaaab00000"):
        find_listed(repo, "aaaa")
    assert find_listed(repo, "aaaab").id == "aaaab00000"
    for text in ("", "aaa"):
        with pytest.raises(NotFoundError):
            find_listed(repo, text)


def test_a_name_stays_one_whatever_ids_begin_so(repo: Repository) -> None:
    """Names like `a`, `fed` or `bead` are beginnings of ids too."""
    one = make_run(repo, "one")
    named = make_run(repo, one.id[:4])
    for name in (one.id[:4], named.id):
        assert find_run(repo, name).id == find_listed(repo, name).id == named.id
    assert find_run(repo, one.id[:5]).id == find_listed(repo, one.id).id == one.id
    begin(repo, f"{one.id[:4]}000000")
    folder = begin(repo, "bead00000f")
    folder.write(replace(folder.record, name=one.id[:4]))
    assert open_run_folder(repo, one.id[:4]).id == "bead00000f"


def test_a_stopped_run_is_removed_and_comes_back_with_its_files(repo: Repository) -> None:
    folder = begin(repo, "aaaa000000", "stopped")
    folder.checkpoint.write_bytes(b"weights on their way")
    drop_listed(repo, find_listed(repo, folder.id))
    assert states(repo) == {}
    assert sweep_removed(repo, repo.config.now().ms - 3_600_000) == 0
    undo(repo)
    assert states(repo) == {folder.id: "stopped"}
    assert folder.checkpoint.read_bytes() == b"weights on their way"


def test_gc_takes_removed_folders_in_time_and_no_others(world: World, repo: Repository) -> None:
    kept, gone = begin(repo, "aaaa000000"), begin(repo, "bbbb000000", "stopped")
    with kept.lock():
        assert world.run("vgr runs rm bbbb").code == 0
        assert world.run("vgr gc").code == 0
        assert kept.path.exists()
        assert gone.path.exists()
        assert "deleted the folder of 1 run" in world.run("vgr gc --prune=now").out
        assert kept.path.exists()
        assert not gone.path.exists()
        assert '"state": "running"' in world.run("vgr runs --json").out
    collect(repo.store, expire_ms=0, now_ms=2**45, author="Ann", prune_all=True)
    assert kept.path.exists()


def test_completion_offers_ids_and_names(world: World, repo: Repository) -> None:
    run = make_run(repo, "hats")
    begin(repo, "aaaa000000", "stopped", name="hopes")
    assert world.run("vgr __complete runs h").out.split() == ["hats", "hopes"]
    assert world.run(f"vgr __complete runs {run.id[:3]}").out.split() == [run.id]


def test_commands_about_runs_do_without_torch(world: World, repo: Repository) -> None:
    import subprocess
    import sys

    make_run(repo, "first")
    code = (
        "import sys; from voyager.cli import main\n"
        "for words in (['runs'], ['runs', 'show', 'first'], ['runs', 'diff', 'first', 'first'],"
        " ['why', 'first'], ['log'], ['runs', 'export', 'first', 'out']):\n"
        "    assert main(words) == 0, words\n"
        "    assert 'torch' not in sys.modules, words\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=world.cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# -- exported --------------------------------------------------------------------------------------


def test_an_export_is_the_whole_run(repo: Repository, tmp_path: Path) -> None:
    run = make_run(repo, "first", classes=["hat", "shoes/heels"])
    export_run(repo, find_listed(repo, "first"), tmp_path / "out")
    out = tmp_path / "out"
    assert (out / WEIGHTS).read_bytes() == repo.store.get_blob(run.files[WEIGHTS])
    assert Record.from_dict(json.loads((out / "record.json").read_text())) == run.record
    assert (out / "classes.txt").read_text() == "hat\nshoes/heels\n"
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    with (out / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["loss"] for row in rows] == [str(line["loss"]) for line in lines]
    assert rows[-1]["validation/category/balanced_accuracy"] == "0.7"
    with pytest.raises(ExistsError):
        export_run(repo, find_listed(repo, "first"), out)


def test_a_run_that_is_not_finished_has_nothing_to_export(repo: Repository, tmp_path: Path) -> None:
    begin(repo, "aaaa000000", "stopped")
    with pytest.raises(StateError, match="is stopped, and has no weights yet"):
        export_run(repo, find_listed(repo, "aaaa"), tmp_path / "out")


# -- why -------------------------------------------------------------------------------------------


def test_why_counts_what_a_run_was_trained_on(world: World, repo: Repository) -> None:
    first = make_run(repo, "first")
    second = make_run(repo, "second", start=first)
    why = explain(repo, find_listed(repo, second.id))
    assert why.content.samples == {"train": 4, "val": 2, "": 1}
    assert why.content.classes == {"category": {"hat": 2, "shoes": 2}}
    assert why.content.sources == {"human": 4}
    assert [start.id for start in why.starts] == [first.id]
    assert (why.holders, why.since.ahead) == (["main"], 0)
    world.run("vgr label train/hat/1.jpg category=shoes")
    world.run("vgr commit -q -m again")
    world.run("vgr tag v2")
    repo.store.refresh()
    why = explain(repo, find_listed(repo, second.id))
    assert (why.holders, why.since.ahead, why.since.behind) == (["main", "tag v2"], 1, 0)
    assert why.content.classes == {"category": {"hat": 2, "shoes": 2}}


def test_why_names_imports_and_who_labeled(world: World, repo: Repository) -> None:
    world.path("more.csv").write_text("key,category,colour\ntrain/hat/2.jpg,shoes,blue\n")
    done = world.run("vgr import more.csv --source model:old")
    assert done.code == 0, done.text
    assert world.run("vgr commit -q -m imported").code == 0
    repo.store.refresh()
    make_run(repo, "first")
    why = explain(repo, find_listed(repo, "first"))
    assert why.origin.commits == 2
    assert why.origin.authors == {"Ann Lee <ann@example.org>": 2}
    assert why.content.sources["human"] == 4
    assert why.content.sources["model:old"] == 1


def test_why_says_that_a_sample_was_in_no_batch(repo: Repository) -> None:
    whole = find_listed(repo, make_run(repo, "short").id)
    run = replace(whole, record=replace(whole.record, steps=1))
    roles = [use_of(repo, run, key).role for key in KEYS]
    assert sorted(roles) == ["trained", "trained", "unused", "unused"]
    unseen = use_of(repo, run, KEYS[roles.index("unused")])
    assert unseen.reason == "it stood in no batch before the end"


@pytest.mark.parametrize("sampling", ["all", "classes"])
def test_why_says_when_a_sample_was_seen(repo: Repository, sampling: str) -> None:
    make_run(repo, "first", settings={"batch": 2, "sampling": sampling})
    run = find_listed(repo, "first")
    steps = [step for key in KEYS for one in use_of(repo, run, key).shown for step in one.steps]
    assert sorted(step for _, step in steps) == sorted([*range(1, 9)] * 2)
    assert {epoch for epoch, _ in steps} == {1, 2, 3, 4}
    assert use_of(repo, run, "val/hat/1.jpg").role == "validated"
    outside = use_of(repo, run, "more/hat/1.jpg")
    assert (outside.role, outside.reason) == ("unused", "it is in no split")
    with pytest.raises(NotFoundError, match=r"there was no 'a\.jpg'"):
        use_of(repo, run, "a.jpg")
