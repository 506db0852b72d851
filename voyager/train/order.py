"""The order of training: which row stands at a position of an epoch, as a pure function.

Nothing is stored and nothing is shuffled: a keyed permutation answers for any position by itself,
so that a run resumes anywhere at once and every worker and rank sees the same order.

Rows are in the order of their keys, which is the order of their bytes in packs. Blocks of
consecutive rows are permuted among each other, a window of blocks is then permuted row by row: what
a window reads is read in stretches of a block, and a batch holds rows from all over the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

BLOCK: Final = 16
"""Rows that lie side by side."""
WINDOW: Final = 512
"""Blocks that are mixed with each other."""

_ROUNDS: Final = 6


@dataclass(frozen=True, slots=True)
class Order:
    """The order of `count` rows in every epoch of a training with that seed."""

    count: int
    seed: int
    block: int = BLOCK
    window: int = WINDOW

    def at(self, epoch: int, positions: Rows) -> Rows:
        """The rows at some positions, 0 to count - 1, of an epoch; each row stands at one.

        The last block may be short, and each epoch has its own: blocks begin elsewhere. So which
        rows lie side by side differs, and who leaves out the end of an epoch leaves out others.
        """
        blocks = self.count // self.block
        place, offset = np.divmod(self._in_windows(epoch, positions, blocks), self.block)
        rows = permute(place, blocks, self.seed, epoch, 0) * self.block + offset
        begin = draw(np.zeros(1, np.int64), self.seed, epoch, 1) % np.uint64(self.count)
        shifted: Rows = (rows + begin.astype(np.int64)) % self.count
        return shifted

    def _in_windows(self, epoch: int, positions: Rows, blocks: int) -> Rows:
        """Positions mixed within their windows; the last window has what is left."""
        size = self.block * self.window
        last = max(blocks - 1, 0) // self.window
        number = np.minimum(positions // size, last)
        inside = positions - number * size
        for some, width in ((number < last, size), (number == last, self.count - last * size)):
            inside[some] = permute(inside[some], width, self.seed, epoch, 2 + number[some])
        placed: Rows = number * size + inside
        return placed


def permute(places: Rows, count: int, *key: int | Rows) -> Rows:
    """Where each place of 0 … count - 1 goes under the permutation that a key names.

    A Feistel network over the next power of four, walked until the place is inside (Black and
    Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). Places outside are given back.
    """
    if count <= 1:
        return places
    half = np.uint64((int(count - 1).bit_length() + 1) // 2)
    mask = np.uint64((1 << int(half)) - 1)
    keyed = np.broadcast_to(_mixed(*key), places.shape)
    moved = places.astype(np.uint64)
    walking = np.flatnonzero(places < count)
    while len(walking):
        left, right = moved[walking] >> half, moved[walking] & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (_scramble(right ^ keyed[walking], turn) & mask)
        moved[walking] = (left << half) | right
        walking = walking[moved[walking] >= count]
    return moved.astype(np.int64)


def draw(positions: Rows, *key: int | Rows) -> NDArray[np.uint64]:
    """64 random bits for each position, keyed."""
    return _scramble(positions.astype(np.uint64) ^ _mixed(*key), 7)


def _mixed(*key: int | Rows) -> NDArray[np.uint64]:
    state = np.zeros(1, np.uint64)
    for turn, part in enumerate(key):
        word = np.asarray(part, np.int64).astype(np.uint64)
        state = _scramble(state ^ word, turn)
    return state


def _scramble(words: NDArray[np.uint64], turn: int) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al., 2014), at one of its places."""
    with np.errstate(over="ignore"):
        mixed = words + np.uint64((0x9E3779B97F4A7C15 * (turn + 1)) & 0xFFFF_FFFF_FFFF_FFFF)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
