"""The store killed, torn and out of space at every step of commit, seal, gc, compact and purge."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from examples import places
from killing import die_at, fail_at, steps_of
from small_stores import (
    DAY,
    NOW,
    begin,
    commit,
    contents,
    copy_store,
    fill_store,
    seal_now,
    some_bytes,
)

from voyager.store import fsck, pack_use, seal, spool
from voyager.store.gc import collect, compact
from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import Store
from voyager.store.operation import NIL
from voyager.store.purge import purge
from voyager.store.rebuild import rebuild
from voyager.wire import blob_ref, encode, object_ref

PURGED = some_bytes(3, 300)


@dataclass(frozen=True)
class Scenario:
    """Something that is done to a filled store. `settings` are patched in for all of it."""

    name: str
    act: Callable[[Store], object]
    prepare: Callable[[Store], object] = lambda store: None
    settings: tuple[tuple[Any, str, Any], ...] = ()
    keeps_objects: bool = True


def commit_all(store: Store) -> None:
    """Blobs, a big stream, objects, a ref, and staged rows in one transaction."""
    with begin(store, "everything") as txn:
        small = txn.put_blob(some_bytes(200, 700))
        stream = txn.put_blob_stream(iter([b"a" * 5000, b"b" * 5000]), 10_000)
        node = txn.put_value(Kind.REPORT, {"big": blob_ref(stream), "small": blob_ref(small)})
        txn.move("refs/report", object_ref(node), old=store.value("refs/report"))
        txn.change("samples", b"more", encode({"blob": blob_ref(small)}), old=NIL)
        txn.commit()


def commit_spilled(store: Store) -> None:
    """So many objects that they go into a metadata pack of their own."""
    with begin(store, "spilled") as txn:
        ids = [txn.put_value(Kind.ROW, {"n": n, "t": some_bytes(n, 90)}) for n in range(30)]
        txn.move("many", [object_ref(found) for found in ids], old=None)
        txn.commit()


def commit_and_seal(store: Store) -> None:
    commit(store, "main", {b"sealed": {"n": 1}})


def drop_side(store: Store) -> None:
    """Make garbage in every pack, and an old log."""
    with begin(store, "drop") as txn:
        txn.move("refs/heads/side", None, old=store.value("refs/heads/side"))
        txn.move("refs/heads/main", None, old=store.value("refs/heads/main"))
        txn.commit()


def make_small_packs(store: Store) -> None:
    for number in range(2):
        commit(store, f"b{number}", {b"k": {"n": number}}, blobs=[some_bytes(900 + number, 50)])
        seal_now(store)


def collect_all(store: Store) -> None:
    collect(store, expire_ms=0, now_ms=NOW + DAY, author="gc", prune_all=True)


def purge_one(store: Store) -> None:
    purge(store, [blob_id(PURGED)], reason="asked", who="ann", now_ms=NOW)


SCENARIOS = [
    Scenario("commit", commit_all),
    Scenario(
        "spill",
        commit_spilled,
        settings=((spool, "SPILL_BYTES", 2000), (spool, "_BATCH_BYTES", 500)),
    ),
    Scenario("seal", commit_and_seal, settings=((seal, "JOURNAL_SEAL_BYTES", 1),)),
    Scenario("gc", collect_all, drop_side, keeps_objects=False),
    Scenario(
        "compact",
        lambda store: compact(store, now_ms=NOW, author="gc"),
        make_small_packs,
        settings=((pack_use, "MOST_SMALL_PACKS", 2),),
    ),
    Scenario("purge", purge_one, keeps_objects=False),
]


@dataclass
class Prepared:
    """A scenario's store before (on disk) and what it says before and after."""

    scenario: Scenario
    base: Path
    before: dict[str, Any]
    after: dict[str, Any]
    steps: list[str]

    def act(self, path: Path) -> None:
        with Store.open(path) as store:
            self.scenario.act(store)


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def prepared(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Prepared:
    scenario: Scenario = request.param
    for module, name, value in scenario.settings:
        if name != "JOURNAL_SEAL_BYTES":
            monkeypatch.setattr(module, name, value)
    base = folder / "base"
    with Store.init(base) as store:
        fill_store(store)
        scenario.prepare(store)
        before = contents(store)
    for module, name, value in scenario.settings:
        monkeypatch.setattr(module, name, value)
    done = Prepared(scenario, base, before, {}, [])
    path = copy_store(base, folder / "steps")
    done.steps = steps_of(lambda: done.act(path))
    with Store.open(path) as store:
        done.after = contents(store)
    return done


def every_step(prepared: Prepared) -> Iterator[tuple[int, Path]]:
    """(step number, a fresh copy of the store) for every step of the scenario, or every third."""
    path = prepared.base.parent / "victim"
    for number in places(len(prepared.steps)):
        copy_store(prepared.base, path)
        yield number, path
        shutil.rmtree(path)


@pytest.mark.parametrize("torn", [False, True], ids=["killed", "torn"])
def test_a_killed_action_leaves_the_old_or_the_new_state(prepared: Prepared, torn: bool) -> None:
    assert len(prepared.steps) > 5
    for number, path in every_step(prepared):
        if torn and not prepared.steps[number - 1].startswith(("write", "create")):
            continue
        assert die_at(number, lambda path=path: prepared.act(path), torn=torn)
        where = f"step {number}: {prepared.steps[number - 1]}"
        expect_old_or_new(prepared, path, where, also_rebuild=number % 2 == 0)


def test_a_full_disk_leaves_the_old_or_the_new_state(prepared: Prepared) -> None:
    for number, path in every_step(prepared):
        where = f"step {number}: {prepared.steps[number - 1]}"
        with Store.open(path) as store:
            fail_at(number, lambda store=store: prepared.scenario.act(store))
            state = state_of(prepared, contents(store), where)
            if state == "before":  # the disk has room again: the same process goes on
                prepared.scenario.act(store)
                assert state_of(prepared, contents(store), where) == "after", where
        assert sound(path), where


def test_a_killed_rebuild_can_be_done_again(folder: Path) -> None:
    """With damage in journal, log and a pack, which it cuts out on the way."""
    base = folder / "base"
    with Store.init(base) as store:
        fill_store(store)
        commit(store, "other", {b"k": {"n": 1}}, blobs=[some_bytes(9, 400), some_bytes(10, 400)])
        place = store.place(blob_id(some_bytes(9, 400)))
        assert place is not None
        damaged = Path(store.path_of(place.file)).relative_to(base)
    for name, at in ((damaged, place.offset + 80), ("journal", 100), (first_log(base), 60)):
        with open(base / name, "r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1]))
    path = copy_store(base, folder / "steps")
    steps = steps_of(lambda: rebuild(path))
    with Store.open(path) as store:
        after = contents(store)
    for number in places(len(steps)):
        shutil.rmtree(path)
        copy_store(base, path)
        assert die_at(number, lambda: rebuild(path))
        rebuild(path)
        with Store.open(path) as store:
            found = contents(store)
        for part in ("values", "overlay", "objects"):
            assert found[part] == after[part], f"step {number}: {steps[number - 1]}"
        assert {problem.kind for problem in fsck.check(path).problems} <= {"missing", "map"}


def first_log(root: Path) -> Path:
    return min((root / "log").iterdir()).relative_to(root)


def expect_old_or_new(prepared: Prepared, path: Path, where: str, *, also_rebuild: bool) -> None:
    """The store is sound before and after opening, old or new, and doing it again gives new."""
    assert sound(path), where
    with Store.open(path) as store:
        state = state_of(prepared, contents(store), where)
        assert sound(path), where
    if also_rebuild:
        shutil.rmtree(path / "index")
        rebuild(path)
    with Store.open(path) as store:
        assert state_of(prepared, contents(store), where) == state, where
        if state == "before" or not prepared.scenario.keeps_objects:
            prepared.scenario.act(store)
        assert state_of(prepared, contents(store), where) == "after", where
    assert fsck.check(path).problems == [], where


def sound(path: Path) -> bool:
    """Whether fsck is content; a purge that was killed leaves bytes, which it says."""
    problems = fsck.check(path).problems
    assert all(problem.kind == "purged" for problem in problems), problems
    return True


def state_of(prepared: Prepared, found: dict[str, Any], where: str) -> str:
    """Which of the two states a store is in; nothing that both hold may be lost or changed."""
    both = prepared.before["objects"].keys() & prepared.after["objects"].keys()
    for entry_id in both:
        assert found["objects"].get(entry_id) == prepared.before["objects"][entry_id], where
    for state in ("after", "before"):
        wanted = getattr(prepared, state)
        if all(says(found, part) == says(wanted, part) for part in ("values", "overlay")):
            missing = wanted["objects"].keys() - found["objects"].keys()
            assert not missing or state == "before", where
            return state
    raise AssertionError(f"{where}: neither old nor new: {found['values']}")


def says(found: dict[str, Any], part: str) -> Any:
    """A part of a store's contents without how often gc ran."""
    return {key: value for key, value in found[part].items() if key not in ("GC", "LOG")}
