"""fsck: every flipped byte is found, every kind of hole is named, and nothing is changed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import times
from small_stores import (
    NOW,
    begin,
    commit,
    contents,
    copy_store,
    fill_store,
    put_snapshot,
    quick_folder,
    seal_now,
    some_bytes,
)

from voyager.errors import NotFoundError, StateError
from voyager.store import fsck
from voyager.store.fsck.child import ChildDied, run_in_child
from voyager.store.history import write_commit
from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import SHALLOW, Store
from voyager.store.operation import NIL
from voyager.store.pack import Content, PackWriter
from voyager.store.rebuild import rebuild
from voyager.wire import Ext, blob_ref, encode, object_ref


def kinds_in(root: Path) -> set[str]:
    return {problem.kind for problem in fsck.check(root).problems}


@pytest.fixture(scope="module")
def filled() -> Iterator[Path]:
    """A closed store with a bit of everything; a test that changes it puts it back."""
    with quick_folder() as folder:
        root = folder / "store"
        with Store.init(root) as store:
            fill_store(store)
        rebuild(root)  # so that its LMDB has few stale pages
        yield root


def files_of(root: Path) -> dict[str, list[Path]]:
    return {
        "pack": sorted(root.glob("packs/*.pack")),
        "idx": sorted(root.glob("packs/*.idx")),
        "journal": [root / "journal"],
        "log": sorted(root.glob("log/*.log")),
        "index": [root / "index" / "data.mdb"],
    }


# -- a sound store ---------------------------------------------------------------------------------


def test_a_sound_store_has_no_problems_and_is_counted(filled: Path) -> None:
    report = fsck.check(filled)
    assert report.ok
    assert (report.problems, report.notes) == ([], [])
    assert report.counts["packs"] == len(files_of(filled)["pack"])
    assert report.counts["blobs"] == 22
    assert report.counts["operations"] == 7
    assert report.counts["bytes"] == sum(path.stat().st_size for path in files_of(filled)["pack"])


def test_a_check_changes_nothing(filled: Path) -> None:
    def state() -> dict[Path, tuple[bytes, int]]:
        return {
            path: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in filled.rglob("*")
            if path.is_file()
        }

    before = state()
    fsck.check(filled)
    assert state() == before


def test_progress_ends_at_the_bytes_of_all_packs(filled: Path) -> None:
    told: list[tuple[int, int | None]] = []
    report = fsck.check(filled, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (report.counts["bytes"], report.counts["bytes"])


def test_an_empty_store_is_sound(store: Store) -> None:
    assert fsck.check(store.root).ok


def test_no_store_and_a_newer_one(folder: Path, store: Store) -> None:
    with pytest.raises(NotFoundError):
        fsck.check(folder)
    (store.root / "SPEC").write_text("voyager 99\n")
    with pytest.raises(StateError):
        fsck.check(store.root)
    for damaged in ("voyager 1", "voyager one\n", "voyager  1\n"):
        (store.root / "SPEC").write_text(damaged)
        assert kinds_in(store.root) == {"spec"}


def test_a_store_that_is_open_is_checked(store: Store) -> None:
    fill_store(store)
    assert fsck.check(store.root).ok
    commit(store, "main", {b"k": {}})
    assert fsck.check(store.root).ok


# -- flips -----------------------------------------------------------------------------------------


def flip(path: Path, at: int, mask: int) -> None:
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ mask]))


def answers(root: Path) -> dict[str, Any]:
    with Store.open(root) as store:
        return contents(store)


def expect_found(root: Path, kind: str, path: Path, at: int, mask: int, right: Any) -> None:
    """Flip a byte: fsck finds it, or it is in LMDB and changes no answer. Then flip it back."""
    flip(path, at, mask)
    try:
        report = fsck.check(root)
        if kind != "index":
            assert not report.ok, f"{path.name} at {at}, mask {mask}"
        elif report.ok:
            with quick_folder() as folder:
                copy = copy_store(root, folder / "copy")
                assert run_in_child(lambda: answers(copy) == right, seconds=60), f"{at}, {mask}"
    finally:
        flip(path, at, mask)


def test_flipped_bytes_are_found(filled: Path) -> None:
    rng = random.Random(5)
    right = answers(filled)
    files = files_of(filled)
    for _ in range(times(60, deep=300)):
        kind = rng.choice([*files, "pack", "index"])
        path = rng.choice(files[kind])
        at = rng.choice(bytes_in_use(path)) if kind == "index" else rng.randrange(size_of(path))
        expect_found(filled, kind, path, at, 1 << rng.randrange(8), right)
    assert fsck.check(filled).ok


def bytes_in_use(path: Path) -> list[int]:
    """Where LMDB has something; most of a small one is empty."""
    return [at for at, byte in enumerate(path.read_bytes()) if byte]


def size_of(path: Path) -> int:
    return path.stat().st_size


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["pack", "idx", "journal", "log", "index"])
def test_every_flipped_byte_is_found(filled: Path, kind: str) -> None:
    right = answers(filled)
    for path in files_of(filled)[kind]:
        places = bytes_in_use(path) if kind == "index" else range(size_of(path))
        for at in places:
            expect_found(filled, kind, path, at, 1 << (at % 8), right)


@pytest.mark.parametrize("kind", ["pack", "idx", "log", "journal"])
def test_files_cut_short_or_gone_are_found(filled: Path, kind: str) -> None:
    path = files_of(filled)[kind][-1]
    data = path.read_bytes()
    try:
        for length in (0, 1, 20, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:length])
            assert not fsck.check(filled).ok, length
        path.unlink()
        assert not fsck.check(filled).ok
    finally:
        path.write_bytes(data)


def test_an_index_cut_short_or_gone_is_found(filled: Path) -> None:
    path = filled / "index" / "data.mdb"
    data = path.read_bytes()
    try:
        for length in (0, 100, 4096, 3 * 4096, len(data) // 2):
            path.write_bytes(data[:length])
            assert kinds_in(filled) == {"index"}, length
        path.unlink()
        assert kinds_in(filled) == {"index"}
        assert not path.exists()
    finally:
        path.write_bytes(data)


# -- the index against what is stored --------------------------------------------------------------


def test_each_table_is_compared(store: Store) -> None:
    ids = fill_store(store)
    changes = {
        "a value": lambda w: w.put("values", b"refs/heads/main", encode(object_ref(bytes(32)))),
        "a lost value": lambda w: w.delete("values", b"HEAD"),
        "a staged row": lambda w: w.clear("overlay"),
        "a reflog": lambda w: w.put("reflog", bytes(24), b""),
        "an operation": lambda w: w.delete("operations", (3).to_bytes(8, "big")),
        "a place": lambda w: w.put("objects", ids["first"], w.get("objects", ids["merge"])),
        "a lost place": lambda w: w.delete("objects", ids["staged"]),
        "a place too many": lambda w: w.put("objects", bytes(32), w.get("objects", ids["first"])),
        "a pack": lambda w: w.put("packs", w.last("packs")[0], b"0" * 64),
        "a position": lambda w: w.put("meta", b"applied", bytes(16)),
        "a later position": lambda w: w.put("meta", b"applied", b"\2" + bytes(11) + b"\1" * 4),
    }
    root = store.root
    store.close()
    right = (root / "index" / "data.mdb").read_bytes()
    for what, change in changes.items():
        with Store.open(root) as opened:
            opened.index.write(change)
        problems = fsck.check(root).problems
        kinds = {problem.kind for problem in problems}
        assert kinds == ({"index", "journal"} if what == "a later position" else {"index"}), what
        assert all(problem.fixable_by_rebuild for problem in problems)
        (root / "index" / "data.mdb").write_bytes(right)
    assert fsck.check(root).ok


def test_an_index_that_is_behind_is_no_problem(store: Store) -> None:
    root = store.root
    fill_store(store)
    store.close()
    early = (root / "index" / "data.mdb").read_bytes()
    with Store.open(root) as opened:
        commit(opened, "main", {b"k": {}}, blobs=[b"late"])
    (root / "index" / "data.mdb").write_bytes(early)
    report = fsck.check(root)
    assert report.ok
    assert report.notes == ["the journal is ahead of the index; the next opening follows"]
    with Store.open(root) as opened:
        seal_now(opened)
    (root / "index" / "data.mdb").write_bytes(early)
    report = fsck.check(root)
    assert report.ok
    assert report.notes == ["the journal was sealed; the next opening indexes it"]
    Store.open(root).close()
    assert fsck.check(root).notes == []


def test_a_torn_end_of_the_journal_is_no_problem(store: Store) -> None:
    fill_store(store)
    with open(store.root / "journal", "ab") as journal:
        journal.write(b"VgrE half an entry")
    report = fsck.check(store.root)
    assert report.ok
    assert "torn write" in report.notes[0]


def test_a_pack_that_nothing_names_is_garbage(store: Store) -> None:
    fill_store(store)
    stray = PackWriter(store.root / "packs", Content.BLOBS)
    stray.append_small(blob_id(b"x"), b"x")
    name = stray.seal().name
    report = fsck.check(store.root)
    assert report.ok
    assert report.notes == [f"{name}.pack is garbage: nothing names it"]


# -- the child -------------------------------------------------------------------------------------


def test_a_child_that_crashes_hangs_or_raises_is_told_apart() -> None:
    assert run_in_child(lambda: {"a": [1, b"x"]}, seconds=5) == {"a": [1, b"x"]}
    with pytest.raises(ChildDied, match="SIGSEGV"):
        run_in_child(lambda: os.kill(os.getpid(), signal.SIGSEGV), seconds=5)
    with pytest.raises(ChildDied, match="no end after 1 seconds"):
        run_in_child(lambda: time.sleep(30), seconds=1)
    with pytest.raises(ChildDied, match="ValueError: so"):
        run_in_child(lambda: int_of("so"), seconds=5)
    with pytest.raises(ChildDied, match="ended early"):
        run_in_child(lambda: os._exit(3), seconds=5)


def int_of(text: str) -> int:
    raise ValueError(text)


# -- objects ---------------------------------------------------------------------------------------


def put_and_hold(store: Store, kind: Kind, data: bytes, name: str = "a") -> bytes:
    with begin(store) as txn:
        found = txn.put(kind, data)
        txn.move(name, object_ref(found), old=store.value(name))
        txn.commit()
    return found


def only_problem(store: Store) -> fsck.Problem:
    (problem,) = fsck.check(store.root).problems
    return problem


@pytest.mark.parametrize("sealed", [False, True], ids=["journal", "pack"])
def test_an_object_that_is_not_canonical(store: Store, sealed: bool) -> None:
    found = put_and_hold(store, Kind.REPORT, b"\x82\xa1b\x01\xa1a\x02")
    if sealed:
        seal_now(store)
    problem = only_problem(store)
    assert (problem.kind, problem.where) == ("object", f"report {found.hex()}")
    assert "canonical" in problem.what
    assert fsck.check(store.root, full=False).ok


def test_an_id_as_plain_bytes(store: Store) -> None:
    with begin(store) as txn:
        blob = txn.put_blob(b"hidden")
        txn.move("b", blob_ref(blob), old=None)
        txn.commit()
    put_and_hold(store, Kind.REPORT, encode({"id": bytes(31) + b"\1", "text": b"\xc4\x20"}))
    assert fsck.check(store.root).ok
    put_and_hold(store, Kind.REPORT, encode({"list": [{"id": blob}]}))
    assert "plain bytes" in only_problem(store).what


def test_missing_objects_and_blobs_are_named_with_what_refers_to_them(store: Store) -> None:
    absent = bytes(31) + b"\7"
    found = put_and_hold(
        store,
        Kind.REPORT,
        encode({"blob": blob_ref(absent), "object": object_ref(absent)}),
    )
    problems = fsck.check(store.root).problems
    assert {(problem.kind, problem.where) for problem in problems} == {
        ("missing", f"report {found.hex()}")
    }
    assert sorted(problem.what for problem in problems) == [
        f"blob {absent.hex()} is missing",
        f"object {absent.hex()} is missing",
    ]
    promised = fsck.check(store.root, promised=lambda blob: blob == absent)
    assert [problem.what for problem in promised.problems] == [f"object {absent.hex()} is missing"]


def test_a_staged_row_with_a_missing_blob(store: Store) -> None:
    with begin(store) as txn:
        txn.change("samples", b"k", encode({"blob": blob_ref(bytes(32))}), old=NIL)
        txn.commit()
    assert only_problem(store).where == "staged samples/k"


def test_wrong_kinds(store: Store) -> None:
    commit_id = commit(store, "main", {b"k": {"n": 1}})
    with begin(store) as txn:
        row = txn.put_value(Kind.ROW, {"n": 1})
        blob = txn.put_blob(b"x")
        odd = write_commit(
            txn,
            snapshot=row,
            parents=[commit_id],
            author="a",
            message="m",
            time=NOW,
            zone=0,
        )
        txn.move("refs/heads/odd", object_ref(odd), old=None)
        txn.move("refs/heads/row", object_ref(row), old=None)
        txn.move("refs/tags/row", object_ref(row), old=None)
        txn.move("HEAD", object_ref(row), old=None)
        txn.move("refs/heads/blob", blob_ref(blob), old=None)
        txn.move("refs/heads/text", "main", old=None)
        txn.move("pointer", object_ref(blob), old=None)
        txn.commit()
    found = {(problem.where, problem.what) for problem in fsck.check(store.root).problems}
    row_hex = row.hex()
    assert found == {
        (f"commit {odd.hex()}", f"{row_hex} should be a snapshot and is not"),
        ("refs/heads/row", f"{row_hex} should be a commit and is not"),
        ("refs/tags/row", f"{row_hex} should be a commit or tag and is not"),
        ("HEAD", f"{row_hex} should be a commit and is not"),
        ("refs/heads/blob", "it holds no object id"),
        ("refs/heads/text", "it holds no object id"),
        ("pointer", f"{blob.hex()} is a blob, no object"),
    }


def test_a_shallow_commit_may_lack_its_parents(store: Store) -> None:
    with begin(store) as txn:
        snapshot = put_snapshot(txn, {b"k": {"n": 1}})
        data = encode(
            {
                "author": "a",
                "depth": 3,
                "message": "m",
                "parents": [object_ref(bytes(32))],
                "snapshot": object_ref(snapshot),
                "time": NOW,
            }
        )
        found = txn.put(Kind.COMMIT, data)
        txn.move("refs/heads/main", object_ref(found), old=None)
        txn.commit()
    assert only_problem(store).kind == "missing"
    with begin(store) as txn:
        txn.move(SHALLOW, [object_ref(found)], old=None)
        txn.commit()
    assert fsck.check(store.root).ok


def test_a_map_of_the_wrong_shape(store: Store) -> None:
    rows = {b"%03d" % n: {"n": n, "t": some_bytes(n, 200)} for n in range(300)}
    commit(store, "main", rows)
    assert fsck.check(store.root).ok
    with begin(store) as txn:
        node = txn.put_value(Kind.NODE, {"k": [b"b", b"a"], "l": 0, "v": [{}, {}]})
        snapshot = txn.put_value(Kind.SNAPSHOT, {"samples": object_ref(node)})
        txn.move("s", object_ref(snapshot), old=None)
        txn.commit()
    assert kinds_in(store.root) == {"map"}
    assert fsck.check(store.root, full=False).ok


def test_a_snapshot_that_is_no_map_of_spaces(store: Store) -> None:
    put_and_hold(store, Kind.SNAPSHOT, encode({"samples": 7}))
    assert only_problem(store).kind == "map"


def test_objects_that_do_not_decode(store: Store) -> None:
    put_and_hold(store, Kind.COMMIT, encode({"author": 7}), "a")
    put_and_hold(store, Kind.TAG, encode([1]), "b")
    put_and_hold(store, Kind.ROW, b"\xc1", "c")
    whats = sorted(problem.what for problem in fsck.check(store.root).problems)
    assert sum("does not decode" in what for what in whats) == 2
    assert sum("canonical" in what for what in whats) == 1


def test_blobs_and_objects_in_the_wrong_pack(store: Store) -> None:
    with begin(store) as txn:
        pack = PackWriter(store.root / "packs", Content.METADATA)
        pack.append(Kind.BLOB, blob_id(b"x"), 0, b"x", 1)
        txn.adopt(pack.seal())
        txn.move("a", blob_ref(blob_id(b"x")), old=None)
        txn.commit()
    assert "other content" in only_problem(store).what


def test_values_may_hold_what_they_like(store: Store) -> None:
    with begin(store) as txn:
        txn.move("a", {"list": [1, None, {"deep": Ext(7, b"other")}]}, old=None)
        txn.commit()
    assert fsck.check(store.root).ok
