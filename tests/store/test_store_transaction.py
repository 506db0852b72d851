"""Transactions: all or nothing, compare-and-swap, two writers, what is shared is stored once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from small_stores import NOW, begin, commit, contents, fill_store, in_processes, some_bytes

from voyager.errors import CorruptError, NotFoundError, RefMoved
from voyager.store import files, fsck, spec, transaction
from voyager.store.gc import collect
from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import Store
from voyager.store.operation import GONE, NIL
from voyager.wire import encode, object_ref


def move(store: Store, name: str, new: object, old: object) -> None:
    with begin(store) as txn:
        txn.move(name, new, old=old)
        txn.commit()


def packs_in(store: Store) -> list[str]:
    return sorted(os.listdir(store.root / "packs"))


def test_what_is_committed_is_there_and_survives_reopening(store: Store) -> None:
    ids = fill_store(store)
    before = contents(store)
    root = store.root
    store.close()
    with Store.open(root) as again:
        assert contents(again) == before
        assert again.get_blob(ids["staged"]) == some_bytes(77, 500)


def test_what_is_not_committed_leaves_nothing(store: Store) -> None:
    before = contents(store)
    with begin(store) as txn:
        txn.put_blob(some_bytes(1, 500))
        txn.put_blob_stream(iter([some_bytes(2, 500)]), 500)
        txn.put_value(Kind.ROW, {"n": 1})
        txn.move("a", 1, old=None)
    assert contents(store) == before
    assert packs_in(store) == []


def test_what_was_put_can_be_got_before_the_commit(store: Store) -> None:
    with begin(store) as txn:
        rows = [txn.put_value(Kind.ROW, {"n": n, "t": some_bytes(n, 90)}) for n in range(50)]
        for n, row in enumerate(rows):
            assert txn.get(row, Kind.ROW) == encode({"n": n, "t": some_bytes(n, 90)})
        with pytest.raises(CorruptError):
            txn.get(rows[0], Kind.NODE)
        with pytest.raises(CorruptError):
            store.get(rows[0], Kind.ROW)


def test_many_objects_go_into_a_pack_of_their_own(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.store.spool.SPILL_BYTES", 5000)
    monkeypatch.setattr("voyager.store.spool._BATCH_BYTES", 700)
    with begin(store) as txn:
        rows = [txn.put_value(Kind.ROW, {"n": n, "t": some_bytes(n, 90)}) for n in range(200)]
        for n in (0, 100, 199):
            assert txn.get(rows[n], Kind.ROW) == encode({"n": n, "t": some_bytes(n, 90)})
        txn.commit()
    assert len([name for name in packs_in(store) if name.endswith(".pack")]) == 1
    assert all(store.get(row, Kind.ROW) for row in rows)


def test_packs_of_objects_are_sealed_at_a_size(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.store.spool.SPILL_BYTES", 2000)
    monkeypatch.setattr("voyager.store.spool._BATCH_BYTES", 700)
    monkeypatch.setattr("voyager.store.spool.PACK_SEAL_BYTES", 10_000)
    with begin(store) as txn:
        rows = [txn.put_value(Kind.ROW, {"n": n, "t": some_bytes(n, 90)}) for n in range(300)]
        for n in (0, 100, 299):
            assert txn.get(rows[n], Kind.ROW) == encode({"n": n, "t": some_bytes(n, 90)})
        txn.commit()
    packs = [name for name in packs_in(store) if name.endswith(".pack")]
    assert len(packs) > 3
    assert all((store.root / "packs" / name).stat().st_size < 12_000 for name in packs)
    assert all(store.get(row, Kind.ROW) for row in rows)
    assert fsck.check(store.root).ok


def test_many_packs_of_a_transaction_that_is_given_up_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.store.spool.SPILL_BYTES", 2000)
    monkeypatch.setattr("voyager.store.spool._BATCH_BYTES", 700)
    monkeypatch.setattr("voyager.store.spool.PACK_SEAL_BYTES", 10_000)
    with begin(store) as txn:
        for n in range(300):
            txn.put_value(Kind.ROW, {"n": n, "t": some_bytes(n, 90)})
    assert packs_in(store) == []


def test_the_same_bytes_are_stored_once(store: Store) -> None:
    data = some_bytes(1, 4000)
    for _ in range(3):
        with begin(store) as txn:
            assert txn.put_blob(data) == blob_id(data)
            assert txn.put_blob_stream(iter([data]), len(data)) == blob_id(data)
            assert txn.known_blobs([blob_id(data), bytes(32)]) == {blob_id(data)}
            row = txn.put_value(Kind.ROW, {"n": 1})
            txn.commit()
    assert len([name for name in packs_in(store) if name.endswith(".pack")]) == 1
    assert store.get(row, Kind.ROW) == encode({"n": 1})
    assert fsck.check(store.root).ok


def test_blobs_of_more_than_a_pack_fill_several(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PACK_SEAL_BYTES", 10_000)
    blobs = [some_bytes(n, 3000) for n in range(10)]
    with begin(store) as txn:
        for blob in blobs:
            txn.put_blob(blob)
        txn.commit()
    assert len([name for name in packs_in(store) if name.endswith(".pack")]) == 4
    assert [store.get_blob(blob_id(blob)) for blob in blobs] == blobs
    assert [b"".join(store.iter_blob(blob_id(blob))) for blob in blobs] == blobs
    assert spec.PACK_SEAL_BYTES == 64 << 20


def test_a_source_that_breaks_off_can_be_passed_over(store: Store) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half of it"
        raise OSError("the source went away")

    with begin(store) as txn:
        first = txn.put_blob(b"first")
        with pytest.raises(OSError, match="went away"):
            txn.put_blob_stream(broken(), 100)
        second = txn.put_blob(b"second")
        txn.commit()
    assert (store.get_blob(first), store.get_blob(second)) == (b"first", b"second")
    assert fsck.check(store.root).ok


# -- compare-and-swap ------------------------------------------------------------------------------


def test_a_value_moves_only_from_what_the_transaction_saw(store: Store) -> None:
    move(store, "a", 1, None)
    with pytest.raises(RefMoved, match="a was moved"):
        move(store, "a", 2, None)
    with pytest.raises(RefMoved):
        move(store, "a", 2, 7)
    move(store, "a", 2, 1)
    move(store, "a", None, 2)
    assert store.value("a") is None
    assert store.moves_of("a") == [1, 2, 3]


def test_the_last_of_several_moves_counts_against_the_first_old(store: Store) -> None:
    with begin(store) as txn:
        txn.move("a", 1, old=None)
        txn.move("a", 2, old=1)
        txn.commit()
    assert store.value("a") == 2
    assert [bytes(each.old) for each in store.operation(1).moves] == [NIL]


def test_all_moves_or_none(store: Store) -> None:
    move(store, "a", 1, None)
    with pytest.raises(RefMoved), begin(store) as txn:
        txn.put_blob(some_bytes(1, 100))
        txn.move("b", 1, old=None)
        txn.move("a", 2, old=None)
        txn.commit()
    assert store.values() == {"a": 1}
    assert packs_in(store) == []


def test_a_staged_row_changes_only_from_what_the_transaction_saw(store: Store) -> None:
    one, two = encode({"n": 1}), encode({"n": 2})

    def stage(new: bytes, old: bytes, *, clear: bool = False) -> None:
        with begin(store) as txn:
            if clear:
                txn.clear_overlay()
            txn.change("samples", b"k", new, old=old)
            txn.commit()

    stage(one, NIL)
    with pytest.raises(RefMoved, match="k was staged anew"):
        stage(two, NIL)
    stage(GONE, one)
    assert store.overlay() == {("samples", b"k"): GONE}
    stage(two, NIL, clear=True)
    assert store.overlay() == {("samples", b"k"): two}
    stage(NIL, two)
    assert store.overlay() == {}


def test_an_overlay_that_grew_is_not_cleared(store: Store) -> None:
    with begin(store) as txn:
        seen = store.overlay()
        with begin(store) as other:
            other.change("samples", b"k", encode({}), old=NIL)
            other.commit()
        txn.clear_overlay()
        txn.expect_overlay(seen)
        with pytest.raises(RefMoved, match="staging area"):
            txn.commit()
    assert len(store.overlay()) == 1


# -- several processes -----------------------------------------------------------------------------


def count_up(root: Path, name: str, times: int) -> None:
    """Raise a shared and an own counter by compare-and-swap, again whenever that is lost."""
    with Store.open(root) as store:
        for n in range(times):
            while True:
                shared = store.value("shared") or 0
                try:
                    with begin(store) as txn:
                        txn.put_blob(some_bytes(n, 50))  # the same in both processes
                        txn.put_value(Kind.ROW, {"name": name, "n": n})
                        txn.move("shared", shared + 1, old=shared or None)
                        txn.move(name, n + 1, old=n or None)
                        txn.commit()
                    break
                except RefMoved:
                    continue


def test_two_processes_commit_everything_between_them(store: Store) -> None:
    root = store.root
    store.close()
    in_processes(partial(count_up, root, "ann", 12), partial(count_up, root, "bob", 12))
    with Store.open(root) as after:
        assert after.values() == {"ann": 12, "bob": 12, "shared": 24}
        assert [operation.seq for operation in after.operations()] == list(range(24, 0, -1))
        for n in range(12):
            assert after.get_blob(blob_id(some_bytes(n, 50))) == some_bytes(n, 50)
    assert fsck.check(root).problems == []


def test_a_store_sees_what_another_process_committed(store: Store) -> None:
    in_processes(lambda: count_up(store.root, "ann", 1))
    store.refresh()
    assert store.value("ann") == 1


def test_a_forked_child_reads_and_writes_beside_its_parent(store: Store) -> None:
    move(store, "a", 1, None)
    in_processes(lambda: move(store, "a", 2, store.value("a")))
    store.refresh()
    assert store.value("a") == 2
    move(store, "a", 3, 2)


# -- packs that several transactions have ----------------------------------------------------------


def test_equal_packs_of_two_transactions_do_not_hurt_each_other(store: Store) -> None:
    data = some_bytes(1, 300)
    first, second = begin(store), begin(store)
    with second:
        for txn in (first, second):
            txn.put_blob(data)
            txn._seal_blobs()
        first.abort()  # removes the pack, whose name is that of the other
        second.move("a", 1, old=None)
        with pytest.raises(RefMoved, match="same new pack"):
            second.commit()
    with begin(store) as txn:
        txn.put_blob(data)
        txn.commit()
    assert store.get_blob(blob_id(data)) == data


def test_giving_up_keeps_the_pack_that_another_transaction_committed(store: Store) -> None:
    data = some_bytes(1, 300)
    first, second = begin(store), begin(store)
    for txn in (first, second):
        txn.put_blob(data)
    first.commit()
    second.move("a", 1, old=7)
    with pytest.raises(RefMoved), second:
        second.commit()
    assert store.get_blob(blob_id(data)) == data


def test_ctrl_c_after_the_sync_of_the_journal_loses_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is made; leaving the transaction by the interrupt must not take its packs."""
    data = some_bytes(1, 300)
    journal = (store.root / "journal").stat()
    synced = files.sync

    def interrupted(fd: int) -> None:
        synced(fd)
        if os.path.samestat(os.fstat(fd), journal):
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt), begin(store) as txn:
        txn.put_blob(data)
        txn.move("a", 1, old=None)
        txn.commit()
    monkeypatch.undo()
    store.refresh()
    assert store.value("a") == 1
    assert store.get_blob(blob_id(data)) == data
    assert fsck.check(store.root).ok


def test_a_transaction_that_relied_on_what_gc_took_must_try_again(store: Store) -> None:
    """Only a lock that does not hold, as on a network, lets this happen."""
    data = some_bytes(1, 300)
    with begin(store) as txn:
        txn.put_blob(data)
        txn.commit()
    with begin(store) as txn:
        txn.put_blob(data)
        txn._keep.release()  # type: ignore[union-attr]
        collect(store, expire_ms=0, now_ms=NOW, author="gc")
        with pytest.raises(RefMoved, match="gc removed 1 objects"):
            txn.commit()


# -- kinds and absences ----------------------------------------------------------------------------


def test_another_kind_or_an_absent_id_is_corrupt(store: Store) -> None:
    with begin(store) as txn:
        row = txn.put_value(Kind.ROW, {"n": 1})
        blob = txn.put_blob(b"x")
        txn.commit()
    with pytest.raises(CorruptError, match="is a row, expected a node"):
        store.get(row, Kind.NODE)
    with pytest.raises(CorruptError, match="expected a blob"):
        store.get_blob(row)
    with pytest.raises(CorruptError, match="expected a blob"):
        list(store.iter_blob(row))
    with pytest.raises(CorruptError, match="missing"):
        store.get(bytes(32), Kind.ROW)
    with pytest.raises(NotFoundError, match="no operation 99"):
        store.operation(99)
    assert store.get_any(row) == (Kind.ROW, encode({"n": 1}))
    assert list(store.iter_prefix(blob[:5])) == [blob]
    store.verify(row)
    store.verify(blob)


def test_commits_name_their_author_time_and_message(store: Store) -> None:
    found = commit(store, "main", {b"k": {"n": 1}})
    operation = store.operation(1)
    assert (operation.kind, operation.author) == ("commit", "Ann <ann@example.org>")
    assert bytes(operation.moves[0].new) == encode(object_ref(found))
