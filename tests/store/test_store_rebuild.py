"""Rebuilding: packs, log and journal say everything, and what is damaged in them is cut out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_stores import (
    DAY,
    NOW,
    begin,
    commit,
    contents,
    fill_store,
    objects_of,
    seal_now,
    some_bytes,
)

from voyager.errors import CorruptError
from voyager.store import fsck
from voyager.store.gc import collect
from voyager.store.ids import Kind
from voyager.store.journal import HEAD_BYTES, Group, Journal
from voyager.store.objectstore import Store
from voyager.store.operation import NIL
from voyager.store.purge import purge
from voyager.store.rebuild import rebuild
from voyager.wire import blob_ref, encode, object_ref


def lose_index(root: Path) -> None:
    shutil.rmtree(root / "index")


def flip(path: Path, at: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))


@pytest.mark.parametrize("sealed", [False, True], ids=["journal", "log"])
def test_everything_comes_back_without_the_index(store: Store, sealed: bool) -> None:
    fill_store(store, sealed=sealed)
    before = contents(store)
    root = store.root
    store.close()
    lose_index(root)
    with pytest.raises(CorruptError, match="index is missing"):
        Store.open(root)
    told: list[tuple[int, int | None]] = []
    found = rebuild(root, lambda done, total: told.append((done, total)))
    assert (found.damage, found.operations) == ([], len(before["operations"]))
    assert (found.objects, found.packs) == (len(before["objects"]), told[-1][1])
    with Store.open(root) as again:
        assert contents(again) == before
        with begin(again) as txn:
            txn.move("after", 1, old=None)
            assert txn.commit().seq == len(before["operations"]) + 1
    assert fsck.check(root).problems == []


def test_everything_comes_back_behind_a_checkpoint(store: Store) -> None:
    fill_store(store)
    collect(store, expire_ms=DAY, now_ms=NOW + 2 * DAY, author="gc")
    commit(store, "main", {b"later": {"n": 1}}, time=NOW + 2 * DAY)
    before = contents(store)
    assert len(before["overlay"]) == 2
    root = store.root
    store.close()
    lose_index(root)
    rebuild(root)
    with Store.open(root) as again:
        assert contents(again) == before
    assert fsck.check(root).problems == []


def test_an_old_segment_that_was_not_yet_removed_changes_nothing(store: Store) -> None:
    fill_store(store)
    seal_now(store)
    segments = {path.name: path.read_bytes() for path in (store.root / "log").iterdir()}
    collect(store, expire_ms=0, now_ms=NOW + DAY, author="gc")
    before = contents(store)
    for name, data in segments.items():
        (store.root / "log" / name).write_bytes(data)
    assert fsck.check(store.root).problems == []
    root = store.root
    store.close()
    rebuild(root)
    with Store.open(root) as again:
        assert contents(again) == before
        collect(again, expire_ms=0, now_ms=NOW + DAY, author="gc")
    assert not set(segments) & set(os.listdir(root / "log"))


def test_a_damaged_index_is_replaced(store: Store) -> None:
    fill_store(store)
    before = contents(store)
    root = store.root
    store.close()
    (root / "index" / "data.mdb").write_bytes(b"no LMDB" * 3000)
    assert not fsck.check(root).ok
    rebuild(root)
    assert fsck.check(root).problems == []
    with Store.open(root) as again:
        assert contents(again) == before
    assert not (root / "trash" / "index").exists()


def test_a_store_that_is_open_meanwhile_follows(store: Store) -> None:
    fill_store(store)
    before = contents(store)
    rebuild(store.root)
    assert contents(store) == before
    with begin(store) as txn:
        txn.move("after", 1, old=None)
        txn.commit()
    with Store.open(store.root) as again:
        assert again.value("after") == 1
    store.close()
    with Store.open(store.root) as again:
        assert again.value("after") == 1


def test_missing_copies_of_pack_indexes_are_written_again(store: Store) -> None:
    fill_store(store)
    copies = {path: path.read_bytes() for path in (store.root / "packs").glob("*.idx")}
    for number, path in enumerate(copies):
        path.unlink() if number % 2 else path.write_bytes(b"")
    report = fsck.check(store.root)
    assert {problem.kind for problem in report.problems} == {"idx"}
    assert all(problem.fixable_by_rebuild for problem in report.problems)
    rebuild(store.root)
    assert {path: path.read_bytes() for path in copies} == copies


# -- damage ----------------------------------------------------------------------------------------


def three_groups(store: Store) -> list[Group]:
    """Three operations, each with an object and a staged row of its own."""
    for number in range(3):
        with begin(store, f"op{number}") as txn:
            row = txn.put_value(Kind.ROW, {"n": number, "t": some_bytes(number, 50)})
            txn.move(f"v{number}", object_ref(row), old=None)
            txn.change("samples", b"k%d" % number, encode({"n": number}), old=NIL)
            txn.commit()
    with Journal(store.root / "journal") as journal:
        return [group for group in journal.iter_groups() if isinstance(group, Group)]


def rebuilt(store: Store) -> tuple[Store, list[str]]:
    root = store.root
    store.close()
    lose_index(root)
    damage = rebuild(root).damage
    return Store.open(root), damage


def test_an_object_lost_in_the_middle_costs_itself_alone(store: Store) -> None:
    groups = three_groups(store)
    lost = groups[1].objects[0]
    flip(store.root / "journal", lost.offset + 80)
    again, damage = rebuilt(store)
    with again:
        assert len(damage) == 1
        assert f"byte {lost.offset}" in damage[0]
        assert [operation.seq for operation in again.operations()] == [4, 3, 2, 1]
        assert again.overlay().keys() == {("samples", b"k%d" % n) for n in range(3)}
        assert again.get(groups[2].objects[0].id, Kind.ROW)
        with pytest.raises(CorruptError, match="missing"):
            again.get(lost.id, Kind.ROW)
        problems = fsck.check(again.root).problems
        assert [(each.kind, each.where) for each in problems] == [("missing", "v1")]
        commit(again, "main", {b"k": {}})
        seal_now(again)
        assert [operation.seq for operation in again.operations()][-3:] == [3, 2, 1]


def test_an_operation_lost_in_the_middle_costs_itself_alone(store: Store) -> None:
    groups = three_groups(store)
    lost = groups[1].operation_at
    flip(store.root / "journal", lost.offset + 100)
    again, damage = rebuilt(store)
    with again:
        assert damage
        assert again.value("v1") is None
        assert again.overlay().keys() == {("samples", b"k0"), ("samples", b"k2")}
        assert again.get(groups[2].objects[0].id, Kind.ROW)
        assert fsck.check(again.root).problems == []
    kept = [path.read_bytes() for path in (store.root / "trash").iterdir()]
    assert any(len(data) > lost.offset for data in kept), "nothing is only deleted"


def test_a_torn_end_is_cut_and_kept_in_the_trash(store: Store) -> None:
    three_groups(store)
    end = (store.root / "journal").stat().st_size
    with open(store.root / "journal", "ab") as journal:
        journal.write(b"half a group")
    again, damage = rebuilt(store)
    with again:
        assert len(damage) == 1
        assert again.last_seq() == 3
    assert (store.root / "journal").stat().st_size == end
    assert [path.read_bytes() for path in (store.root / "trash").iterdir()] == [b"half a group"]


@pytest.mark.parametrize("at", [0, 9, 13])
def test_a_damaged_head_of_the_journal_is_made_again(store: Store, at: int) -> None:
    three_groups(store)
    before = contents(store)
    flip(store.root / "journal", at)
    store.close()
    with pytest.raises(CorruptError, match="head"):
        Store.open(store.root)
    again, damage = rebuilt(store)
    with again:
        assert len(damage) == 1
        assert contents(again) == before
    assert fsck.check(store.root).problems == []


def test_a_missing_journal_is_made_again(store: Store) -> None:
    fill_store(store)
    seal_now(store)
    before = contents(store)
    (store.root / "journal").unlink()
    again, _ = rebuilt(store)
    with again:
        assert contents(again) == before
    assert fsck.check(store.root).problems == []


@pytest.mark.parametrize("at", [3, 10, HEAD_BYTES + 30, HEAD_BYTES + 90])
def test_a_damaged_log_loses_the_damaged_operation_alone(store: Store, at: int) -> None:
    three_groups(store)
    seal_now(store)
    (segment,) = (store.root / "log").iterdir()
    data = segment.read_bytes()
    flip(segment, at)
    again, damage = rebuilt(store)
    with again:
        assert len(damage) == 1
        lost = {1} if at > HEAD_BYTES else set()
        assert {operation.seq for operation in again.operations()} == {1, 2, 3, 4} - lost
        assert again.value("v2") is not None
        assert again.get(bytes(again.value("v2").data), Kind.ROW)
    assert fsck.check(store.root).problems == []
    (kept,) = (store.root / "trash").iterdir()
    assert len(kept.read_bytes()) == len(data)


def test_a_log_that_is_nothing_but_damage_goes_into_the_trash(store: Store) -> None:
    three_groups(store)
    seal_now(store)
    (segment,) = (store.root / "log").iterdir()
    segment.write_bytes(b"?" * 500)
    again, damage = rebuilt(store)
    with again:
        assert damage
        assert list(again.operations()) == []
    assert list((store.root / "log").iterdir()) == []
    assert fsck.check(store.root).problems == []


def test_a_pack_that_was_dropped_is_not_taken_for_alive(store: Store) -> None:
    fill_store(store)
    packs = {path: path.read_bytes() for path in (store.root / "packs").glob("*.pack")}
    with begin(store) as txn:
        txn.move("tiny", None, old=store.value("tiny"))
        txn.commit()
    collect(store, expire_ms=0, now_ms=NOW + DAY, author="gc", prune_all=True)
    before = contents(store)
    gone = [path for path in packs if not path.exists()]
    assert gone
    for path in gone:
        path.write_bytes(packs[path])  # as if the process had been killed before it removed them
    again, _ = rebuilt(store)
    with again:
        assert contents(again) == before


# -- packs -----------------------------------------------------------------------------------------


def blob_pack(store: Store, blobs: list[bytes]) -> tuple[Path, list[bytes]]:
    """A pack of these blobs, which a value holds; its path and their ids."""
    with begin(store) as txn:
        ids = [txn.put_blob(blob) for blob in blobs]
        txn.move("blobs", [blob_ref(found) for found in ids], old=None)
        txn.commit()
    (path,) = (store.root / "packs").glob("*.pack")
    return path, ids


@pytest.mark.parametrize(
    ("at", "lost"),
    [(0, set()), (16 + 30, {0}), (16 + 100, {0}), (16 + 572 + 5, {1}), (-5, set()), (-70, set())],
    ids=["head", "header", "body", "second header", "trailer", "index"],
)
def test_a_damaged_pack_loses_what_is_damaged_alone(store: Store, at: int, lost: set[int]) -> None:
    blobs = [some_bytes(n, 500) for n in range(4)]
    path, ids = blob_pack(store, blobs)
    size = path.stat().st_size
    flip(path, at % size)
    assert not fsck.check(store.root).ok
    again, damage = rebuilt(store)
    with again:
        assert path.name in damage[0]
        assert path.exists() == (not lost)
        for n, found in enumerate(ids):
            if n in lost:
                with pytest.raises(CorruptError, match="missing"):
                    again.get_blob(found)
            else:
                assert again.get_blob(found) == blobs[n]
        assert {each.kind for each in fsck.check(again.root).problems} <= {"missing"}
        aside = again.root / "trash" / f"damaged-{path.stem}"
        assert [each.name for each in (again.root / "trash").iterdir()] == [aside.name] * len(lost)
        with begin(again) as txn:
            for blob in blobs:
                txn.put_blob(blob)
            txn.commit()
        assert [again.get_blob(found) for found in ids] == blobs
        assert fsck.check(again.root).problems == []
        collect(again, expire_ms=DAY, now_ms=NOW, author="gc")
        assert aside.exists() == bool(lost)
        collect(again, expire_ms=DAY, now_ms=NOW, author="gc", prune_all=True)
        assert not aside.exists()


def test_a_pack_that_is_nothing_but_damage_goes(store: Store) -> None:
    path, ids = blob_pack(store, [some_bytes(n, 500) for n in range(4)])
    path.write_bytes(b"?" * 3000)
    again, _ = rebuilt(store)
    with again:
        assert not any(found in again for found in ids)
        assert {each.kind for each in fsck.check(again.root).problems} == {"missing"}
    assert list((again.root / "packs").iterdir()) == []


def test_a_damaged_pack_with_a_dictionary_keeps_it(store: Store) -> None:
    fill_store(store)
    refs = store.value("tiny")
    before = objects_of(store)
    place = store.place(bytes(refs[3].data))
    assert place is not None
    flip(Path(store.path_of(place.file)), place.offset + 75)
    again, damage = rebuilt(store)
    with again:
        assert len(damage) == 1
        del before[bytes(refs[3].data)]
        assert objects_of(again) == before
        assert [each.kind for each in fsck.check(again.root).problems] == ["missing"]


def test_without_its_dictionary_a_pack_keeps_what_does_not_need_it(store: Store) -> None:
    dictionary = b"".join(b"header of tiny image %d; " % number for number in range(60))
    with begin(store) as txn:
        txn.use_dictionary(dictionary)
        small = txn.put_blob(b"header of tiny image 7; 7")
        plain = txn.put_blob(some_bytes(1, 300))
        txn.move("a", [blob_ref(small), blob_ref(plain)], old=None)
        txn.commit()
    (path,) = (store.root / "packs").glob("*.pack")
    flip(path, 16 + 72 + 20)
    again, _ = rebuilt(store)
    with again:
        assert again.get_blob(plain) == some_bytes(1, 300)
        assert small not in again
        assert [each.kind for each in fsck.check(again.root).problems] == ["missing"]


def test_a_purge_takes_damaged_packs_out_of_the_trash(store: Store) -> None:
    path, ids = blob_pack(store, [some_bytes(n, 500) for n in range(4)])
    flip(path, 16 + 100)
    again, _ = rebuilt(store)
    with again:
        purge(again, [ids[2]], reason="r", who="w", now_ms=NOW)
        held = [
            path.name
            for path in again.root.rglob("*")
            if path.is_file() and some_bytes(2, 500) in path.read_bytes()
        ]
        assert held == []
