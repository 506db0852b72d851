"""Content for tests of maps: ordinary, large, tiny, and keys picked to hurt."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.store.prolly.boundary import NATURAL, boundary_hash
from voyager.wire import encode

Rows = dict[bytes, bytes]

PAYLOADS = {
    "tiny": (0, 3, 10),
    "mixed": (0, 5, 50, 400, 3000),
    "even": (400,),
    "large": (100, 500, 9000, 16000, 17000, 40000),
}


class Reads(MemoryObjects):
    """What another memory store holds, noting what is read of it."""

    def __init__(self, objects: MemoryObjects) -> None:
        super().__init__()
        self.entries = objects.entries
        self.kinds: list[Kind] = []

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        self.kinds.append(kind)
        return super().get(object_id, kind)


def row(random_: random.Random, payload: str) -> bytes:
    """One encoded row of random length."""
    length = random_.randint(0, random_.choice(PAYLOADS[payload]))
    return encode({"n": random_.randrange(10**6), "x": "x" * length})


def numbered(count: int) -> Rows:
    """Rows that never change: the golden ids hang on them."""
    return {
        b"train/%06d.jpg" % number: encode({"name": "x" * (number % 397), "number": number})
        for number in range(count)
    }


def after(rows: Rows, changes: Iterable[tuple[bytes, bytes | None]]) -> Rows:
    """What a dict makes of changes."""
    changed = dict(rows)
    for key, value in changes:
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


@cache
def key_pools() -> dict[str, list[bytes]]:
    """Keys by what their boundary hashes do at the lowest level."""
    pool = [(key, boundary_hash(0, key)) for key in (b"%06d" % n for n in range(60_000))]
    plain = [(key, found) for key, found in pool if found >= NATURAL]
    return {
        "any": [key for key, _ in pool],
        "all natural": [key for key, found in pool if found < NATURAL],
        "never natural": [key for key, _ in plain],
        "low": [key for key, found in plain if found < b"\x08"],
        "high": [key for key, found in plain if found > b"\xe0"],
        "rising": _rising(plain),
        "falling": _rising([(key, bytes(255 - b for b in found)) for key, found in plain]),
    }


def _rising(pool: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The longest choice of keys whose hashes rise with them."""
    ends: list[bytes] = []
    tails: list[int] = []
    before: list[int] = []
    for index, (_, found) in enumerate(pool):
        length = bisect_left(ends, found)
        ends[length : length + 1] = [found]
        tails[length : length + 1] = [index]
        before.append(tails[length - 1] if length else -1)
    chosen = []
    index = tails[-1]
    while index >= 0:
        chosen.append(pool[index][0])
        index = before[index]
    return chosen[::-1]
