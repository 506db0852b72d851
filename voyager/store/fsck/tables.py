"""Comparing the tables of two pack indexes, from end to end and by look-ups.

Each key is looked up as well, since a flip in an inner page misleads a look-up and no walk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store.entry import HEADER_BYTES, decode_header
from voyager.store.pack_index import Place, Reading, decode_place, encode_place

Item = tuple[bytes, bytes]
Same = Callable[[bytes, bytes, bytes], bool]
"""(key, value in the index, right value) → whether the first may stand for the second."""

_EXACT = ("values", "overlay", "reflog")
_SHOWN = 20
"""Differences told per table; one damaged page easily makes thousands."""
_LONG = 0xFFFFFFFF


class Comparison:
    """One pass over all tables of the index to judge (`mine`) and of the right one."""

    def __init__(self, root: Path, mine: Reading, right: Reading) -> None:
        self.root = root
        self.mine, self.right = mine, right
        self._my_names = _names(mine)
        self._right_names = _names(right)
        self._fds: dict[str, int] = {}

    def run(self) -> Iterator[tuple[str, str]]:
        """(where, what) of every difference."""
        for table in _EXACT:
            yield from self._table(table, lambda _, mine, right: mine == right)
        yield from self._packs()
        yield from self._table("operations", self._same_place)
        yield from self._table("objects", self._same_place_or_twin)

    def _table(self, table: str, same: Same) -> Iterator[tuple[str, str]]:
        shown = more = walked = 0
        for what in self._differences(table, same):
            if what is None:
                walked += 1
            elif shown < _SHOWN:
                shown += 1
                yield f"index table {table}", what
            else:
                more += 1
        if more:
            yield f"index table {table}", f"{more} more differences"
        if walked != self.mine.count(table):
            yield f"index table {table}", "its count is wrong"

    def _differences(self, table: str, same: Same) -> Iterator[str | None]:
        """What is wrong, and None for every item walked in the index."""
        limit = 2 * self.right.count(table) + 1000
        walk = bounded(self.mine.items(table), limit)
        for key, mine, right in _merge(walk, self.right.items(table)):
            if mine is not None:
                yield None
            if right is None:
                yield f"{key.hex()} leads to nothing that is stored"
            elif mine is None:
                yield f"{key.hex()} is missing"
            elif not same(key, mine, right):
                yield f"{key.hex()} is wrong"
            elif self.mine.get(table, key) != mine:
                yield f"{key.hex()} is not found by a look-up"

    def _packs(self) -> Iterator[tuple[str, str]]:
        # Segments of the log are not compared: one that a killed sealing left is no difference.
        mine, right = (
            {name for name in names.values() if not name.endswith(".log")}
            for names in (self._my_names, self._right_names)
        )
        for name in sorted(mine ^ right):
            what = "is missing" if name in right else "leads to nothing that is stored"
            yield "index table packs", f"{name} {what}"
        walked = 0
        for key, value in self.mine.items("packs"):
            walked += 1
            if self.mine.get("packs", key) != value:
                yield "index table packs", f"{key.hex()} is not found by a look-up"
        if walked != self.mine.count("packs"):
            yield "index table packs", "its count is wrong"

    def _same_place(self, _: bytes, mine: bytes, right: bytes) -> bool:
        here, there = decode_place(mine), decode_place(right)
        return (self._my_names.get(here.file), *here[1:]) == (
            self._right_names[there.file],
            *there[1:],
        )

    def _same_place_or_twin(self, key: bytes, mine: bytes, right: bytes) -> bool:
        """Whether a place is right; an id that is stored twice may be indexed at either."""
        return self._same_place(key, mine, right) or self._is_at(key, decode_place(mine))

    def _is_at(self, entry_id: bytes, place: Place) -> bool:
        name = self._my_names.get(place.file)
        if name is None or name not in self._right_names.values():
            return False
        try:
            header = decode_header(os.pread(self._fd(name), HEADER_BYTES, place.offset))
        except (CorruptError, OSError, OverflowError):
            return False
        return header.id == entry_id and encode_place(*place[:2], header.stored) == (
            encode_place(*place[:2], _LONG if place.stored is None else place.stored)
        )

    def _fd(self, name: str) -> int:
        if name not in self._fds:
            path = self.root / "packs" / f"{name}.pack" if name != "journal" else self.root / name
            self._fds[name] = os.open(path, os.O_RDONLY)
        return self._fds[name]


def _names(reading: Reading) -> dict[int, str]:
    names = {0: "journal"}
    for key, name in bounded(reading.items("packs")):
        names[int.from_bytes(key, "big")] = name.decode(errors="replace")
    return names


def bounded(items: Iterator[Item], limit: int = 1_000_000) -> Iterator[Item]:
    """The items, unless there is no end of them."""
    for count, item in enumerate(items):
        if count > limit:
            raise CorruptError("a table has no end")
        yield item


def _merge(
    mine: Iterator[Item], right: Iterator[Item]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """(key, value on the left, value on the right) over two sorted walks."""
    here, there = next(mine, None), next(right, None)
    while here is not None or there is not None:
        if there is None or (here is not None and here[0] < there[0]):
            assert here is not None
            yield here[0], here[1], None
            here = next(mine, None)
        elif here is None or there[0] < here[0]:
            yield there[0], None, there[1]
            there = next(right, None)
        else:
            yield here[0], here[1], there[1]
            here, there = next(mine, None), next(right, None)
