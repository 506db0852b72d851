"""Where a level is cut into chunks: a pure function of its entries (spec 2.4).

Say that an entry is a *cut* when a chunk ends after it. The rule of the spec — end a chunk after
each key of low hash, then halve what is still too large at its lowest hash — comes to this for
each entry alone. Its *run* is everything after the last entry before it whose hash is as low or
lower, up to and with the first entry behind it whose hash is lower. An entry is a cut when its
hash is below NATURAL, or when its run would make a node of more than CHUNK_BYTES. Two things
follow, and the streaming and the editing below rest on them:

- a run that is already too large stays so whatever comes behind it: its cut is certain early;
- a change inside a run cannot move a cut while what is left of the run is too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from blake3 import blake3

from voyager.store.prolly.node import CHUNK_BYTES, Node, empty, entry_sizes, node_size

NATURAL = (2**32 // 128).to_bytes(4, "big")
"""A hash below this ends a chunk of any size: one key in 128 has one."""


def boundary_hash(level: int, key: bytes) -> bytes:
    """The four bytes, ordered as a big-endian number, that decide where a level is cut."""
    return blake3(bytes([level]) + key).digest(4)


def boundary_hashes(level: int, keys: Sequence[bytes]) -> list[bytes]:
    """The boundary hashes of many keys."""
    prefix = bytes([level])
    return [blake3(prefix + key).digest(4) for key in keys]


def chunk_ends(
    level: int,
    hashes: Sequence[bytes],
    sizes: Sequence[int],
    left: bytes = NATURAL,
    right: bytes = NATURAL,
) -> list[int]:
    """Cut entries into chunks; return the index after the last entry of each chunk.

    `sizes` are `entry_sizes`. An entry whose hash is below `left` has a run that reaches over the
    cut in front of all entries, one below `right` over the cut that the last of them is; such a
    run holds the run of that cut, so the entry is a cut too (see `left_bound`, `right_bound`).
    """
    total = [0, *accumulate(sizes)]
    ends: list[int] = []
    spans = [(0, len(hashes), left, right)]
    while spans:
        start, stop, left, right = spans.pop()
        if stop - start > 1:
            lowest = min(hashes[start : stop - 1])
            if (
                lowest < left
                or lowest < right
                or node_size(level, stop - start, total[stop] - total[start]) > CHUNK_BYTES
            ):
                middle = hashes.index(lowest, start) + 1
                spans.append((middle, stop, NATURAL, right))
                spans.append((start, middle, left, NATURAL))
                continue
        ends.append(stop)
    return ends if hashes else []


def left_bound(cut: bytes) -> bytes:
    """The hash below which an entry behind a cut of hash `cut` is a cut as well."""
    return max(NATURAL, cut)


def right_bound(cut: bytes) -> bytes:
    """The hash below which an entry in front of a cut is one: of equals the first is cut first."""
    return max(NATURAL, cut + b"\0")


class Chunker:
    """Cuts one level's entries, fed in key order, into chunks.

    `left` is the `left_bound` of the cut in front of the pending entries. Each call costs time in
    proportion to the entries that are pending; keys are hashed when a cut is first asked for.
    """

    def __init__(self, level: int) -> None:
        self.left = NATURAL
        self.pending = empty(level)
        self._hashes: list[bytes] = []
        self._sizes: list[int] = []

    def extend(self, entries: Node) -> None:
        """Take the entries that follow."""
        self.pending.extend(entries)

    def prepend(self, entries: Node) -> None:
        """Take the entries in front of the pending ones."""
        self._measure()
        self.pending.prepend(entries)
        self._hashes[:0] = boundary_hashes(entries.level, entries.keys)
        self._sizes[:0] = entry_sizes(entries)

    def settle(self) -> list[Node]:
        """Give the chunks that nothing fed later can move; what stays is a chunk at most.

        Cut the pending entries as if the level ended here: each cut found has a run that is too
        large already, or lies between two such cuts.
        """
        return self._give(self._ends(NATURAL)[:-1])

    def finish(self, right: bytes = NATURAL) -> list[Node]:
        """Give all chunks: the last pending entry is a cut of this `right_bound`, or the last."""
        return self._give(self._ends(right))

    def last_cut(self) -> bytes:
        """The boundary hash of the last pending entry."""
        self._measure()
        return self._hashes[-1]

    def size_before(self, cut: bytes) -> int:
        """Bytes in front of the last pending entry, itself included, in its run (hash `cut`).

        More than CHUNK_BYTES when the run reaches over the cut in front of what is pending.
        """
        self._measure()
        size = self._sizes[-1]
        for found, entry_size in zip(self._hashes[-2::-1], self._sizes[-2::-1], strict=True):
            if found <= cut or size > CHUNK_BYTES:
                return size
            size += entry_size
        return CHUNK_BYTES + 1 if self.left > cut else size

    def size_behind(self, cut: bytes) -> int:
        """Pending bytes in the run of the cut, of hash `cut`, in front of them."""
        self._measure()
        size = 0
        for found, entry_size in zip(self._hashes, self._sizes, strict=True):
            size += entry_size
            if found < cut or size > CHUNK_BYTES:
                break
        return size

    def _measure(self) -> None:
        if len(self._hashes) < len(self.pending.keys):
            fresh = self.pending.part(len(self._hashes))
            self._hashes += boundary_hashes(fresh.level, fresh.keys)
            self._sizes += entry_sizes(fresh)

    def _ends(self, right: bytes) -> list[int]:
        self._measure()
        return chunk_ends(self.pending.level, self._hashes, self._sizes, self.left, right)

    def _give(self, ends: list[int]) -> list[Node]:
        if not ends:
            return []
        chunks = [self.pending.part(*span) for span in pairwise([0, *ends])]
        self.left = left_bound(self._hashes[ends[-1] - 1])
        self.pending = self.pending.part(ends[-1])
        del self._hashes[: ends[-1]], self._sizes[: ends[-1]]
        return chunks
