"""The journal and its sealing: torn ends are cut, damage is not, nothing committed is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_stores import NOW, begin, commit, contents, fill_store, seal_now, some_bytes

from voyager.errors import CorruptError
from voyager.store import seal
from voyager.store.entry import Damage
from voyager.store.gc import collect
from voyager.store.ids import Kind
from voyager.store.journal import HEAD_BYTES, Group, Journal, journal_head, log_head
from voyager.store.objectstore import Store
from voyager.store.operation import GONE, NIL, decode_operation
from voyager.store.pack_index import PackIndex
from voyager.store.rebuild import rebuild
from voyager.wire import encode, object_ref


def groups_of(path: Path) -> list[Group]:
    with Journal(path) as journal:
        groups = list(journal.iter_groups())
    assert not any(isinstance(group, Damage) for group in groups)
    return groups  # type: ignore[return-value]


def test_a_group_is_objects_and_one_operation(store: Store) -> None:
    with begin(store, "first") as txn:
        row = txn.put_value(Kind.ROW, {"n": 1})
        txn.move("a", object_ref(row), old=None)
        done = txn.commit()
    (group,) = groups_of(store.root / "journal")
    assert group.start == HEAD_BYTES
    assert [place.id for place in group.objects] == [row]
    assert group.operation == done
    assert group.end == (store.root / "journal").stat().st_size


def test_operations_are_canonical_and_read_back(store: Store) -> None:
    fill_store(store)
    for operation in store.operations():
        assert decode_operation(operation.encode()) == operation
    with pytest.raises(CorruptError, match="does not decode"):
        decode_operation(b"\xc1")


def test_a_journal_cut_anywhere_opens_at_the_last_whole_group(store: Store, folder: Path) -> None:
    """The index is told nothing beforehand: each copy starts from the first group."""
    for number in range(3):
        with begin(store, f"op {number}") as txn:
            row = txn.put_value(Kind.ROW, {"n": number, "t": some_bytes(number, 60)})
            txn.move("a", object_ref(row), old=store.value("a"))
            txn.commit()
    store.close()
    data = (store.root / "journal").read_bytes()
    ends = [HEAD_BYTES, *(group.end for group in groups_of(store.root / "journal"))]
    for length in range(HEAD_BYTES, len(data) + 1, 7):
        path = fresh_store_with(folder / "cut", data[:length])
        with Store.open(path) as opened:
            whole = sum(end <= length for end in ends) - 1
            assert opened.last_seq() == whole
            assert (path / "journal").stat().st_size == ends[whole]
            for operation in opened.operations():
                opened.get(bytes(decode_ref(operation.moves[0].new)), Kind.ROW)
        shutil.rmtree(path)


def fresh_store_with(path: Path, journal: bytes) -> Path:
    with Store.init(path):
        pass
    (path / "journal").write_bytes(journal)
    return path


def decode_ref(encoded: object) -> bytes:
    return bytes(encoded)[3:]  # type: ignore[call-overload, no-any-return]


def test_damage_before_a_whole_group_is_never_cut(store: Store) -> None:
    for number in range(3):
        with begin(store) as txn:
            txn.move("a", number, old=store.value("a"))
            txn.commit()
    path = store.root
    size = (path / "journal").stat().st_size
    middle = groups_of(path / "journal")[1]
    store.close()
    with open(path / "journal", "r+b") as file:
        file.seek(middle.operation_at.offset + 80)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    shutil.rmtree(path / "index")
    (path / "index").mkdir()
    with pytest.raises(CorruptError, match="missing"):
        Store.open(path)
    with store_on_new_index(path) as opened, pytest.raises(CorruptError, match="damaged at byte"):
        opened.refresh()
    assert (path / "journal").stat().st_size == size


def store_on_new_index(path: Path) -> Store:
    return Store(path, PackIndex(path / "index"), read_only=False)


@pytest.mark.parametrize("at", range(HEAD_BYTES))
def test_every_flipped_bit_of_a_head_is_found(store: Store, at: int) -> None:
    store.close()
    for bit in range(8):
        head = bytearray(journal_head(3))
        head[at] ^= 1 << bit
        (store.root / "journal").write_bytes(head)
        with pytest.raises(CorruptError, match="head"):
            Journal(store.root / "journal")


def test_a_head_tells_journal_from_log() -> None:
    assert len(journal_head(1)) == len(log_head(1)) == HEAD_BYTES
    assert journal_head(1) != log_head(1) != log_head(2)


# -- sealing ---------------------------------------------------------------------------------------


def test_sealing_changes_no_answer(store: Store) -> None:
    fill_store(store, sealed=False)
    before = contents(store)
    seal_now(store)
    after = contents(store)
    sealing = after["operations"].pop(0)
    assert before == after
    assert decode_operation(sealing).kind == seal.HOUSEKEEPING
    assert (store.root / "journal").stat().st_size == HEAD_BYTES
    assert [path.name for path in (store.root / "log").iterdir()] == ["0000000000000001.log"]
    seal_now(store)
    assert contents(store)["operations"][0] == sealing, "an empty journal is not sealed"


def test_a_long_journal_is_sealed_by_the_commit_that_makes_it_long(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "JOURNAL_SEAL_BYTES", 2000)
    for number in range(12):
        commit(store, "main", {b"k%d" % n: {"n": n} for n in range(number * 9)})
        assert (store.root / "journal").stat().st_size <= 2000 + 1500
    assert len(list((store.root / "log").iterdir())) > 2
    kinds = [operation.kind for operation in store.operations()]
    assert kinds.count("commit") == 12


def test_another_process_follows_a_sealed_journal(store: Store, folder: Path) -> None:
    """A store that looked before the sealing still reads what moved."""
    ids = fill_store(store, sealed=False)
    other = Store.open(store.root)
    other.get(ids["first"], Kind.COMMIT)
    seal_now(store)
    commit(store, "main", {b"new": {"n": 1}})
    assert other.get(ids["first"], Kind.COMMIT) == store.get(ids["first"], Kind.COMMIT)
    other.close()


def test_a_damaged_journal_is_not_sealed_and_the_commit_stands(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with begin(store) as txn:
        txn.move("a", 1, old=None)
        txn.commit()
    with open(store.root / "journal", "r+b") as file:
        file.seek(HEAD_BYTES + 75)
        file.write(b"?")
    with store.lock(), pytest.raises(CorruptError, match="damaged at byte"):
        seal.seal_journal(store)
    monkeypatch.setattr(seal, "JOURNAL_SEAL_BYTES", 1)
    with begin(store) as txn:
        txn.move("a", 2, old=1)
        txn.commit()
    assert store.value("a") == 2
    assert not list((store.root / "log").iterdir())


def test_a_pack_that_gc_dropped_and_sealing_made_again_survives_a_rebuild(store: Store) -> None:
    """Equal content makes an equal name, so the sealing has to say that the pack is back."""
    row = encode({"only": "this"})
    names = []
    for _ in range(2):
        with begin(store) as txn:
            found = txn.put(Kind.ROW, row)
            txn.move("a", object_ref(found), old=None)
            txn.commit()
        seal_now(store)
        names.append({path.name for path in (store.root / "packs").glob("*.pack")})
        with begin(store) as txn:
            txn.move("a", None, old=object_ref(found))
            txn.change("samples", b"k", GONE, old=NIL)
            txn.commit()
        if len(names) == 1:
            collect(store, expire_ms=0, now_ms=NOW, author="gc")
            assert found not in store
        with begin(store) as txn:
            txn.change("samples", b"k", NIL, old=GONE)
            txn.commit()
    assert names[0] == names[1]
    root = store.root
    store.close()
    shutil.rmtree(root / "index")
    rebuild(root)
    with Store.open(root) as opened:
        assert opened.get(found, Kind.ROW) == row
