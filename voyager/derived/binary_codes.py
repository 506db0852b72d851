"""Embeddings as a few hundred bits: a sixteenth of their size, for a first look at many.

Bit i of a code is the sign of the vector's i-th coordinate after a fixed random rotation R. For
unit vectors at angle θ the share of bits that differ is about θ/π, so cos(π·share) estimates their
cosine, with a standard deviation of about 1/√bits at right angles.

R is three rounds of "flip signs, then Walsh–Hadamard", with signs from a BLAKE3 stream: it depends
on no library's random numbers and on no linear algebra, and takes n·log n additions. A rotation
gives as many bits as the vector is long, rounded up to a power of two; more bits take more of them.

The embedding head of a network that was trained here learns vectors whose own signs are a code,
half of them set: `sign_codes` takes those, one bit for each coordinate.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.derived import nearest
from voyager.derived.descriptor import Floats
from voyager.derived.nearest import Pairs
from voyager.errors import UsageError

Codes = NDArray[np.uint8]
"""(n, bits / 8), the first bit the highest of the first byte."""

BITS: Final = (256, 512, 1024, 2048)
"""The sizes of a code."""

_PURPOSE: Final = b"voyager binary codes 1\0"
_ROUNDS: Final = 3
_QUERIES: Final = 8
_ROWS: Final = 1 << 15


def binary_codes(vectors: Floats, bits: int = 256) -> Codes:
    """The codes of unit vectors (n, dims)."""
    if bits not in BITS:
        raise UsageError(f"codes of {bits} bits; there are {', '.join(map(str, BITS))}")
    width = 1 << max(0, vectors.shape[1] - 1).bit_length()
    padded = np.zeros((len(vectors), width), np.float32)
    padded[:, : vectors.shape[1]] = vectors
    turns = -(-bits // width)
    signs = [_rotated(padded, turn) > 0 for turn in range(turns)]
    return np.packbits(np.concatenate(signs, axis=1)[:, :bits], axis=1)


def sign_codes(vectors: Floats) -> Codes:
    """The signs of vectors (n, dims) as they are, zero bits up to whole codes of 256."""
    short = -vectors.shape[1] % BITS[0]
    return np.packbits(np.pad(vectors > 0, ((0, 0), (0, short))), axis=1)


def near_codes(queries: Codes, known: Codes, most: int) -> Pairs:
    """All pairs of codes that differ in `most` bits or fewer; the score is how many do."""
    _refuse_mixing(queries, known)
    return nearest.hamming(queries, known, most)


class Nearest(NamedTuple):
    """For each query its nearest rows, and in how many bits each differs: both (q, k)."""

    rows: NDArray[np.int64]
    bits: NDArray[np.int64]


def nearest_codes(queries: Codes, known: Codes, k: int) -> Nearest:
    """The k nearest codes of each query, or all where there are fewer; of equals the first."""
    _refuse_mixing(queries, known)
    words = np.ascontiguousarray(known).view(np.uint64)
    asked = np.ascontiguousarray(queries).view(np.uint64)
    k = min(k, len(known))
    rows, bits = np.zeros((2, len(queries), k), np.int64)
    for first in range(0, len(queries), _QUERIES):
        away = _distances(asked[first : first + _QUERIES], words)
        # Distance and row in one number, so that ties fall to the row that comes first.
        order = (away << 32) | np.arange(len(known))
        best = np.sort(np.partition(order, k - 1, axis=1)[:, :k]) if k else order[:, :0]
        rows[first : first + _QUERIES] = best & 0xFFFF_FFFF
        bits[first : first + _QUERIES] = best >> 32
    return Nearest(rows, bits)


def estimated_cosines(away: NDArray[np.int64], bits: int) -> Floats:
    """What the cosines of vectors are likely to be whose codes differ in so many bits."""
    cosines: Floats = np.cos(np.pi / bits * away).astype(np.float32)
    return cosines


def _distances(queries: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    away = np.empty((len(queries), len(known)), np.int64)
    for start in range(0, len(known), _ROWS):
        block = known[None, start : start + _ROWS] ^ queries[:, None]
        away[:, start : start + _ROWS] = np.bitwise_count(block).sum(axis=2, dtype=np.int64)
    return away


def _refuse_mixing(queries: Codes, known: Codes) -> None:
    if queries.shape[1] != known.shape[1]:
        sizes = f"{8 * queries.shape[1]} bits cannot be compared with codes of {8 * known.shape[1]}"
        raise UsageError(f"codes of {sizes}")


def _rotated(vectors: Floats, turn: int) -> Floats:
    for signs in _signs(vectors.shape[1], turn):
        vectors = _hadamard(vectors * signs)
    return vectors


@cache
def _signs(width: int, turn: int) -> Floats:
    """(3, width) of ±1."""
    stream = blake3(_PURPOSE + turn.to_bytes(4, "little")).digest(_ROUNDS * max(1, width // 8))
    ones = np.unpackbits(np.frombuffer(stream, np.uint8)).reshape(_ROUNDS, -1)[:, :width]
    return (1 - 2 * ones.astype(np.float32)).astype(np.float32)


def _hadamard(vectors: Floats) -> Floats:
    """The Walsh–Hadamard transform of each row, not scaled: a sign is all that is asked."""
    count, width = vectors.shape
    step = 1
    while step < width:
        pairs = vectors.reshape(count, width // (2 * step), 2, step)
        vectors = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), 2)
        step *= 2
    return vectors.reshape(count, width)
