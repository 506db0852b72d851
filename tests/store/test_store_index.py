"""The pack index: tables, growth, forks, following other processes, and being read-only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from small_stores import begin, contents, fill_store, in_processes

from voyager.errors import CorruptError, NotFoundError, StateError
from voyager.store import pack_index
from voyager.store.objectstore import Store
from voyager.store.pack_index import (
    PackIndex,
    Place,
    decode_place,
    encode_place,
    reopen,
    short_hash,
)


@pytest.fixture
def index(folder: Path) -> PackIndex:
    (folder / "index").mkdir()
    return PackIndex(folder / "index")


def test_tables_hold_sorted_items(index: PackIndex) -> None:
    index.write(lambda writing: writing.put_sorted("values", [(b"b", b"2"), (b"a", b"1")]))
    index.write(lambda writing: writing.put("values", b"ab", b"3"))
    assert index.read(lambda reading: list(reading.items("values"))) == [
        (b"a", b"1"),
        (b"ab", b"3"),
        (b"b", b"2"),
    ]
    assert index.read(lambda reading: list(reading.items("values", b"a"))) == [
        (b"a", b"1"),
        (b"ab", b"3"),
    ]
    assert index.read(lambda reading: list(reading.items("values", b"c"))) == []
    assert index.read(lambda reading: reading.last("values", b"a")) == (b"ab", b"3")
    assert index.read(lambda reading: reading.last("values")) == (b"b", b"2")
    assert index.read(lambda reading: reading.last("values", b"c")) is None
    assert index.read(lambda reading: reading.count("values")) == 3
    index.write(lambda writing: writing.delete("values", b"a"))
    assert index.read(lambda reading: reading.get("values", b"a")) is None
    index.write(lambda writing: writing.clear("values"))
    assert index.read(lambda reading: reading.count("values")) == 0
    index.close()
    with pytest.raises(ValueError, match="closed"):
        index.read(lambda reading: None)


def test_a_failing_write_changes_nothing(index: PackIndex) -> None:
    def body(writing: pack_index.Writing) -> None:
        writing.put("values", b"a", b"1")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        index.write(body)
    assert index.read(lambda reading: reading.get("values", b"a")) is None
    index.close()


def test_the_map_grows_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_index, "_FIRST_MAP", 1 << 17)
    (folder / "index").mkdir()
    index = PackIndex(folder / "index")
    for number in range(40):
        key = number.to_bytes(4, "big")
        index.write(lambda writing, key=key: writing.put("values", key, bytes(30_000)))
    assert index.read(lambda reading: reading.count("values")) == 40
    index.close()


def test_a_process_follows_a_map_that_another_grew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack_index, "_FIRST_MAP", 1 << 18)
    (folder / "index").mkdir()
    index = PackIndex(folder / "index")
    index.write(lambda writing: writing.put("values", b"a", b"1"))

    def grow() -> None:
        mine = PackIndex(folder / "index")
        mine.write(
            lambda writing: writing.put_sorted(
                "values", [(b"%03d" % n, bytes(30_000)) for n in range(60)]
            )
        )

    in_processes(grow)
    assert index.read(lambda reading: reading.count("values")) == 61
    index.write(lambda writing: writing.put("values", b"b", b"2"))
    index.close()


def test_handles_on_one_folder_share_an_environment_and_follow_a_new_one(folder: Path) -> None:
    (folder / "index").mkdir()
    one, two = PackIndex(folder / "index"), PackIndex(folder / "index")
    one.write(lambda writing: writing.put("values", b"a", b"1"))
    one.close()
    assert two.read(lambda reading: reading.get("values", b"a")) == b"1"
    os.rename(folder / "index", folder / "old")
    (folder / "index").mkdir()
    reopen(folder / "index")
    assert two.read(lambda reading: reading.get("values", b"a")) is None
    two.close()
    reopen(folder / "index")


def test_places_of_four_gigabytes_leave_the_length_to_the_header() -> None:
    for stored, kept in [(0, 0), (7, 7), (0xFFFFFFFE, 0xFFFFFFFE), (0xFFFFFFFF, None)]:
        assert decode_place(encode_place(3, 1 << 40, stored)) == Place(3, 1 << 40, kept)
    assert decode_place(encode_place(3, 5, 1 << 33)).stored is None


def test_short_hashes_keep_their_parts_apart() -> None:
    assert short_hash("ab", "c") != short_hash("a", "bc") != short_hash("abc")
    assert short_hash("é") == short_hash("é".encode())
    assert len(short_hash("a" * 5000)) == 16


# -- a store over it -------------------------------------------------------------------------------


def test_opening_follows_the_journal_when_the_index_lost_its_last_writes(
    store: Store, folder: Path
) -> None:
    root = store.root
    fill_store(store)
    store.close()
    early = (root / "index" / "data.mdb").read_bytes()
    with Store.open(root) as opened, begin(opened) as txn:
        blob = txn.put_blob(b"late")
        txn.move("late", 1, old=None)
        txn.commit()
        late = contents(opened)
    (root / "index" / "data.mdb").write_bytes(early)
    with Store.open(root) as again:
        assert contents(again) == late
        assert again.get_blob(blob) == b"late"


def test_a_missing_index_is_told_and_an_empty_one_made(store: Store) -> None:
    root = store.root
    store.close()
    (root / "index" / "data.mdb").unlink()
    with Store.open(root) as opened, begin(opened) as txn:
        txn.move("a", 1, old=None)
        txn.commit()
    (root / "index" / "data.mdb").unlink()
    with pytest.raises(CorruptError, match="index is missing") as caught:
        Store.open(root)
    assert caught.value.hint == "vgr fsck --rebuild"


def test_garbage_for_an_index_is_told(store: Store) -> None:
    root = store.root
    fill_store(store)
    store.close()
    (root / "index" / "data.mdb").write_bytes(b"no LMDB" * 2000)
    with pytest.raises(CorruptError, match="damaged"):
        Store.open(root)


def test_a_folder_without_store_and_one_of_a_newer_spec(folder: Path, store: Store) -> None:
    with pytest.raises(NotFoundError):
        Store.open(folder)
    (store.root / "SPEC").write_text("voyager 2\n")
    with pytest.raises(StateError, match="spec 2"):
        Store.open(store.root)
    (store.root / "SPEC").write_text("what\n")
    with pytest.raises(CorruptError, match="SPEC"):
        Store.open(store.root)


def test_a_read_only_store_reads_and_says_when_it_is_behind(store: Store) -> None:
    root = store.root
    ids = fill_store(store)
    store.close()
    early = (root / "index" / "data.mdb").read_bytes()
    with Store.open(root, read_only=True) as reader:
        assert reader.get_blob(ids["staged"])
    with Store.open(root) as opened, begin(opened) as txn:
        txn.move("late", 1, old=None)
        txn.commit()
    (root / "index" / "data.mdb").write_bytes(early)
    with pytest.raises(StateError, match="behind the journal"):
        Store.open(root, read_only=True)


def test_init_can_be_repeated_when_it_was_killed_before_the_end(folder: Path) -> None:
    with Store.init(folder / "s"):
        pass
    (folder / "s" / "SPEC").unlink()
    with Store.init(folder / "s") as store:
        assert store.values() == {}
    assert stat.S_ISREG((folder / "s" / "SPEC").stat().st_mode)
