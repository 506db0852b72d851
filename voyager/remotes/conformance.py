"""The tests that every storage passes; one proves itself by a subclass of `StorageSuite`.

    class TestMine(StorageSuite):
        def open_storage(self) -> Storage:
            return MyStorage("…")

Every test begins with an empty place. One without conditional writes passes within `Leased`. It
needs pytest, as the `dev` extra has it.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import ClassVar

import pytest

from voyager.errors import CorruptError, InvalidDataError, NotFoundError, RemoteError
from voyager.remotes.base import MOST_BYTES, PreconditionFailed, Storage

ODD_NAMES = (
    "packs/a b.pack",
    "packs/100% +&=#?.idx",
    "packs/%2e%2e.pack",
    "catalogue/ünï/写真",
    'catalogue/it\'s "quoted" [x] {y} $z',
    "a/b/c/d/e",
    ".hidden",
)
BAD_NAMES = (
    "",
    "/etc/passwd",
    "../root",
    "packs/../root",
    "packs//x",
    "packs/",
    "a\\b",
    "c:x",
    ".",
)
_BIG = 24 << 20
_BOUND = 12 << 20


class StorageSuite:
    """Subclass it as `Test…` with `open_storage`; the rest says where a storage is special."""

    lists_at_once: ClassVar[bool] = True
    """Whether a listing knows of what was written just now."""
    measures_memory: ClassVar[bool] = True
    """Whether big bodies are held outside of Python's memory or in pieces."""
    moves: ClassVar[int] = 10
    """So often each of eight writers moves the root, where all must arrive."""

    def open_storage(self) -> Storage:
        """The storage under test; the second call in a test opens the same place."""
        raise NotImplementedError

    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        storage = self.open_storage()
        yield storage
        storage.close()

    # -- immutable objects -----------------------------------------------------------------------

    def test_what_is_put_is_there_for_all(self, storage: Storage) -> None:
        storage.put("packs/a.pack", b"bytes")
        again = self.open_storage()
        assert storage.get("packs/a.pack") == again.get("packs/a.pack") == b"bytes"
        assert storage.get_tagged("packs/a.pack").data == b"bytes"
        assert again.size("packs/a.pack") == 5
        again.close()

    def test_putting_twice_is_putting_once(self, storage: Storage) -> None:
        for _ in range(2):
            storage.put("packs/a.pack", b"bytes")
        assert storage.get("packs/a.pack") == b"bytes"

    def test_empty_objects(self, storage: Storage, tmp_path: Path) -> None:
        storage.put("packs/empty", b"")
        assert storage.get("packs/empty") == b""
        assert storage.size("packs/empty") == 0
        storage.fetch("packs/empty", tmp_path / "empty", size=0)
        assert (tmp_path / "empty").read_bytes() == b""

    def test_what_is_too_long_is_not_read_as_a_whole(self, storage: Storage) -> None:
        storage.put("root", bytes(MOST_BYTES + 1))
        for read in (storage.get, storage.get_tagged):
            with pytest.raises(CorruptError, match="has more than"):
                read("root")

    def test_ranges(self, storage: Storage) -> None:
        data = bytes(range(256)) * 40
        storage.put("packs/a.pack", data)
        for start, length in ((0, 1), (0, len(data)), (100, 300), (len(data) - 7, 7)):
            assert storage.get_range("packs/a.pack", start, length) == data[start : start + length]

    def test_a_range_past_the_end_is_an_error(self, storage: Storage) -> None:
        storage.put("packs/a.pack", b"0123456789")
        for start, length in ((5, 6), (10, 1), (100, 1)):
            with pytest.raises(RemoteError):
                storage.get_range("packs/a.pack", start, length)

    def test_absent_objects(self, storage: Storage, tmp_path: Path) -> None:
        reads: list[Callable[[], object]] = [
            lambda: storage.get("packs/none"),
            lambda: storage.get_tagged("root"),
            lambda: storage.get_range("packs/none", 0, 1),
            lambda: storage.fetch("packs/none", tmp_path / "none", size=1),
        ]
        for read in reads:
            with pytest.raises(NotFoundError):
                read()
        assert storage.size("packs/none") is None
        assert not (tmp_path / "none").exists()

    def test_odd_names(self, storage: Storage) -> None:
        for name in ODD_NAMES:
            storage.put(name, name.encode())
        for name in ODD_NAMES:
            assert storage.get(name) == name.encode()
            assert storage.size(name) == len(name.encode())
        if self.lists_at_once:
            assert sorted(found.name for found in storage.list("")) == sorted(ODD_NAMES)

    def test_names_that_lead_elsewhere_are_refused(self, storage: Storage) -> None:
        for name in BAD_NAMES:
            with pytest.raises(InvalidDataError):
                storage.put(name, b"x")
            with pytest.raises(InvalidDataError):
                storage.get(name)

    # -- files -----------------------------------------------------------------------------------

    def test_big_files_go_and_come_in_bounded_memory(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        piece = bytes(range(251)) * 4177  # over a mebibyte, of no power of two
        source = tmp_path / "source"
        with source.open("wb") as file:
            for _ in range(_BIG // len(piece)):
                file.write(piece)
        size = source.stat().st_size
        storage.size("warm")  # what is loaded once is no part of it
        tracemalloc.start()
        try:
            storage.put("packs/big.pack", source)
            storage.fetch("packs/big.pack", tmp_path / "back", size=size)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert storage.size("packs/big.pack") == size
        assert (tmp_path / "back").read_bytes() == source.read_bytes()
        if self.measures_memory:
            assert peak < _BOUND

    def test_a_body_of_another_length_leaves_no_file(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        storage.put("packs/a.pack", b"0123456789")
        for size in (9, 11):
            with pytest.raises(RemoteError):
                storage.fetch("packs/a.pack", tmp_path / "back", size=size)
            assert not (tmp_path / "back").exists()

    def test_fetch_overwrites_nothing(self, storage: Storage, tmp_path: Path) -> None:
        storage.put("packs/a.pack", b"new")
        there = tmp_path / "there"
        there.write_bytes(b"old")
        with pytest.raises(FileExistsError):
            storage.fetch("packs/a.pack", there, size=3)
        assert there.read_bytes() == b"old"

    # -- listing and removing --------------------------------------------------------------------

    def test_listing_by_folder(self, storage: Storage) -> None:
        for name in ("packs/a", "packs/b", "packs2/c", "catalogue/d", "root"):
            storage.put(name, name.encode())
        if not self.lists_at_once:
            return
        found = {each.name: each for each in storage.list("packs/")}
        assert sorted(found) == ["packs/a", "packs/b"]
        assert found["packs/a"].size == 7
        assert abs(found["packs/a"].modified - time.time()) < 120
        assert len(list(storage.list(""))) == 5
        assert list(storage.list("nothing/")) == []

    def test_removing(self, storage: Storage) -> None:
        for name in ("packs/a", "packs/b", "packs/c"):
            storage.put(name, b"x")
        storage.delete(["packs/a", "packs/none", "packs/b"])
        storage.delete([])
        assert [storage.size(f"packs/{name}") for name in "abc"] == [None, None, 1]

    # -- conditional writes ----------------------------------------------------------------------

    def test_the_second_create_is_refused(self, storage: Storage) -> None:
        storage.put_if("root", b"first", None)
        with pytest.raises(PreconditionFailed):
            storage.put_if("root", b"second", None)
        assert storage.get("root") == b"first"

    def test_the_right_tag_is_accepted_and_a_stale_one_refused(self, storage: Storage) -> None:
        first = storage.put_if("root", b"first", None)
        assert storage.get_tagged("root") == (b"first", first)
        second = storage.put_if("root", b"second", first)
        assert storage.get_tagged("root") == (b"second", second)
        with pytest.raises(PreconditionFailed):
            storage.put_if("root", b"third", first)
        assert storage.get("root") == b"second"

    def test_a_tag_of_nothing_is_refused(self, storage: Storage) -> None:
        tag = storage.put_if("root", b"first", None)
        storage.delete(["root"])
        with pytest.raises(PreconditionFailed):
            storage.put_if("root", b"second", tag)
        assert storage.size("root") is None

    def test_of_eight_that_create_one_wins(self, storage: Storage) -> None:
        assert _race(storage, None) == 1

    def test_of_eight_that_move_one_wins(self, storage: Storage) -> None:
        tag = storage.put_if("root", b"start", None)
        for _ in range(3):
            assert _race(storage, tag) == 1
            tag = storage.get_tagged("root").tag

    def test_no_move_is_lost(self, storage: Storage) -> None:
        """Eight add some lines each, by reading and moving until they win."""
        storage.put_if("root", b"", None)

        def add(writer: int) -> None:
            for number in range(self.moves):
                _add_line(storage, f"{writer}.{number}".encode())

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, range(8)))
        lines = storage.get("root").split()
        assert len(lines) == len(set(lines)) == 8 * self.moves


def _add_line(storage: Storage, line: bytes) -> None:
    """Move the root to have one more line, as a push does with its nonce."""
    while True:
        data, tag = storage.get_tagged("root")
        if line in data.split():
            return  # the move whose reply was lost
        try:
            storage.put_if("root", data + line + b"\n", tag)
        except PreconditionFailed:
            continue
        return


def _race(storage: Storage, tag: str | None) -> int:
    """How many of eight writers at once were told that they won; what stands is a winner's."""
    barrier = Barrier(8)

    def write(number: int) -> bytes | None:
        data = f"writer {number} of {tag}".encode()
        barrier.wait()
        try:
            storage.put_if("root", data, tag)
        except PreconditionFailed:
            return None
        return data

    with ThreadPoolExecutor(8) as pool:
        won = [data for data in pool.map(write, range(8)) if data is not None]
    assert storage.get("root") in won
    return len(won)
