"""Approximate search in large segments: lists of like vectors, of which a search reads a few.

The index of a segment is a faiss file beside it, with vectors of a byte per dimension; what it
finds is told apart by the float16 vectors of the segment. How many lists must be read for the
recall below is measured on vectors of the segment when its index is made, and kept with it.
(HNSW of the same recall was a fifth quicker for 100,000 vectors, and took five times as long to
make.)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3

from voyager.search.membership import IndexFile, Mask
from voyager.search.segment import STRETCH, Floats, Rows, Segment
from voyager.store import files

INDEXED_ROWS: Final = 1 << 16
"""Segments with fewer rows are always searched exactly."""

_RECALL: Final = 0.994
"""Of the ten best for vectors of the segment itself, the share to be found."""
_LISTS_PER_ROOT: Final = 4
_TRAINING: Final = 40
"""Vectors for each list, to find its middle."""
_ROUNDS: Final = 6
_TRIALS: Final = 200
_BEST: Final = 10
_MORE: Final = 4
"""The index is asked for so many times the hits, and for 40 at least: a byte is a rough vector."""
_MOST_LISTS: Final = 4
"""Where one in so many lists would be read, exact search is hardly slower."""


@cache
def has_faiss() -> bool:
    """Whether the extra for large searches is installed."""
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Lists:
    """An open index."""

    index: Any
    probes: int

    def probes_for(self, share: float) -> int | None:
        """How many lists to read where a share of the vectors counts; None for too many."""
        probes = round(self.probes / max(share, 1e-9) ** 0.5)
        return probes if probes * _MOST_LISTS <= self.index.nlist else None

    def candidates(self, queries: Floats, k: int, probes: int, mask: Mask | None) -> list[Rows]:
        """Rows that are likely among the k best for each query."""
        import faiss

        options: dict[str, Any] = {"nprobe": probes}
        if mask is not None:
            selector: Any = faiss.IDSelectorBitmap
            options["sel"] = selector(np.packbits(mask, bitorder="little"))
        wanted = min(max(_MORE * k, 40), self.index.ntotal)
        parameters = faiss.SearchParametersIVF(**options)
        found = self.index.search(queries, wanted, params=parameters)[1]
        return [rows[rows >= 0] for rows in found]


def build(segment: Segment, spare: Path) -> IndexFile:
    """Write the index of a segment to a file; raises OSError where that fails."""
    import faiss

    lists = max(1, round(_LISTS_PER_ROOT * segment.count**0.5))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(segment.dims),
        segment.dims,
        lists,
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
        False,
    )
    index.cp.niter, index.cp.spherical, index.cp.min_points_per_centroid = _ROUNDS, True, 1
    index.train(_sample(segment, lists * _TRAINING, seed=1))
    for stretch in segment.stretches():
        index.add(stretch.astype(np.float32))
    probes = _probes_needed(segment, index)
    _write(index, spare)
    return IndexFile(_checksum(spare), probes)


def _sample(segment: Segment, count: int, *, seed: int) -> Floats:
    chance = np.random.default_rng(seed)
    rows = chance.choice(segment.count, min(count, segment.count), replace=False)
    return segment.take(np.sort(rows)).astype(np.float32)


def _probes_needed(segment: Segment, index: Any) -> int:
    """The fewest lists with which vectors of the segment find their like, within two fifths."""
    queries = _sample(segment, _TRIALS, seed=2)
    true = _true_best(segment, queries)
    probes = 1
    while probes < index.nlist:
        found = Lists(index, probes).candidates(queries, _BEST, probes, None)
        hits = sum(len(np.intersect1d(a, b)) for a, b in zip(true, found, strict=True))
        if hits >= _RECALL * true.size:
            break
        probes = min(probes * 7 // 5 + 1, index.nlist)
    return probes


def _true_best(segment: Segment, queries: Floats) -> Rows:
    k = min(_BEST, segment.count)
    scores = np.zeros((len(queries), 0), np.float32)
    rows = np.zeros((len(queries), 0), np.int64)
    for number, stretch in enumerate(segment.stretches()):
        more = queries @ stretch.astype(np.float32).T
        places = np.broadcast_to(np.arange(len(stretch)) + number * STRETCH, more.shape)
        scores, rows = np.hstack([scores, more]), np.hstack([rows, places])
        kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores = np.take_along_axis(scores, kept, 1)
        rows = np.take_along_axis(rows, kept, 1)
    return rows


def _write(index: Any, path: Path) -> None:
    import faiss

    fd = files.open_new(path)
    try:
        files.write_all(fd, [faiss.serialize_index(index).data])
    finally:
        os.close(fd)


def open_index(path: Path, known: IndexFile, segment: Segment) -> Lists | None:
    """The index of a segment; None where its file is gone, damaged or of another build of faiss."""
    import faiss

    try:
        if _checksum(path) != known.checksum:
            return None
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except (OSError, RuntimeError):
        return None
    fits = index.ntotal == segment.count and index.d == segment.dims
    return Lists(index, known.probes) if fits else None


def _checksum(path: Path) -> bytes:
    return blake3(max_threads=blake3.AUTO).update_mmap(path).digest(16)
