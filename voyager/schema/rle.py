"""Masks as runs (spec 9.4): the text of the counts, runs, arrays, and what one computes on them.

*Runs* are the lengths of zeros and ones in turn, beginning with zeros, of the pixels read column by
column. Functions that need a mask's runs take `load`, which fetches the counts of a mask that
keeps them in a blob; a mask made here holds its counts itself, however long they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from voyager.errors import UsageError
from voyager.schema import raster, spans
from voyager.schema.geometry import Geometry, Mask
from voyager.schema.values import BadValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.schema.spans import Edges

Load: TypeAlias = Callable[[bytes], bytes]
"""Blob id → counts."""

Bounds: TypeAlias = tuple[float, float, float, float]


class ColumnSpans(NamedTuple):
    """Stretches of ones: column, first row, row after the last."""

    column: NDArray[Any]
    start: NDArray[Any]
    end: NDArray[Any]


LONGEST_RUN = (1 << 38) - 1
"""Longer runs are refused; with it no sum of runs overflows 64 bits."""

MOST_PIXELS = 1 << 28
"""Larger masks are never spread out into an array."""

MOST_COUNTS = 16 << 20
"""Longest counts in bytes (spec 9.4)."""

_LETTERS = bytes(range(48, 112))
_NUMBER = re.compile(rb"[P-o]*[0-O]")
_TOO_LONG = re.compile(rb"[P-o]{8}")


class _Values(dict[bytes, int]):
    """Digits → number, remembered for the short ones that make up nearly all counts."""

    def __missing__(self, digits: bytes) -> int:
        value = sum((digit - 48 & 31) << 5 * place for place, digit in enumerate(digits))
        if digits[-1] - 48 & 16:
            value -= 1 << 5 * len(digits)
        if len(digits) <= 2:
            self[digits] = value
        return value


class _Digits(dict[int, bytes]):
    """Number → digits, remembered for the small ones."""

    def __missing__(self, value: int) -> bytes:
        digits, rest = bytearray(), value
        while not -16 <= rest < 16:
            digits.append(80 + (rest & 31))
            rest >>= 5
        digits.append(48 + (rest & 31))
        found = bytes(digits)
        if len(found) <= 2:
            self[value] = found
        return found


_values, _digits = _Values(), _Digits()


def decode_counts(counts: bytes) -> list[int]:
    """The runs that compressed counts say, as they say them; BadValueError for bad text."""
    if len(counts) > MOST_COUNTS:
        raise BadValueError(f"counts: longer than {MOST_COUNTS} bytes")
    if counts.translate(None, _LETTERS):
        bad = next(byte for byte in counts if not 48 <= byte < 112)
        raise BadValueError(f"counts: {chr(bad)!r} is not a character of compressed counts")
    if counts and counts[-1] >= 80:
        raise BadValueError("counts: end within a number")
    if _TOO_LONG.search(counts):
        raise BadValueError("counts: a number has more than 8 characters")
    runs = [_values[digits] for digits in _NUMBER.findall(counts)]
    runs[1::2] = accumulate(runs[1::2])
    runs[2::2] = accumulate(runs[2::2])
    _check_lengths(runs)
    return runs


def encode_counts(runs: Sequence[int]) -> bytes:
    """The compressed counts of runs."""
    deltas = list(runs)
    deltas[3:] = [run - before for run, before in zip(runs[3:], runs[1:], strict=False)]
    return b"".join([_digits[delta] for delta in deltas])


def canonical(runs: Iterable[int]) -> list[int]:
    """The same mask in its one form: only the first run may be 0."""
    found: list[int] = []
    ones = 0
    for run in runs:
        if found and len(found) % 2 != ones:  # a run of 0 came between
            found[-1] += run
        elif run or not found:
            found.append(run)
        ones ^= 1
    return found


def read_runs(runs: Sequence[int], height: int, width: int) -> list[int]:
    """The canonical runs of a source's uncompressed counts; BadValueError if they do not fit."""
    for run in runs:
        if isinstance(run, bool) or not isinstance(run, int):
            raise BadValueError(f"counts: expected whole numbers, got {run!r}")
    _check_lengths(runs)
    return _fitted(list(runs), height, width)


def _fitted(runs: list[int], height: int, width: int) -> list[int]:
    total = sum(runs)
    if total != height * width:
        raise BadValueError(
            f"counts: the runs hold {total} pixels, {height} × {width} are {height * width}"
        )
    return canonical(runs) if 0 in runs[1:] else runs


def _check_lengths(runs: Sequence[int]) -> None:
    if not runs:
        raise BadValueError("counts: there are no runs")
    if min(runs) < 0:
        raise BadValueError(f"counts: run {runs.index(min(runs))} is negative")
    if max(runs) > LONGEST_RUN:
        raise BadValueError(f"counts: a run is longer than {LONGEST_RUN}")


def counts_of(mask: Mask, load: Load | None = None) -> bytes:
    """The text of the counts, fetched where the mask keeps it in a blob."""
    if isinstance(mask.counts, bytes):
        return mask.counts
    if load is None:
        raise UsageError("the counts of this mask are in a blob: pass load")
    return load(bytes(mask.counts.data))


def runs_of(mask: Mask, load: Load | None = None) -> list[int]:
    """The canonical runs of a mask; BadValueError for counts that are damaged or do not fit."""
    return _fitted(decode_counts(counts_of(mask, load)), mask.height, mask.width)


def mask_of_runs(runs: Sequence[int], height: int, width: int) -> Mask:
    """The mask with these runs (BadValueError if they do not fit)."""
    return Mask(height, width, encode_counts(read_runs(runs, height, width)))


def mask_of_counts(counts: bytes | str, height: int, width: int) -> Mask:
    """The canonical mask of the compressed counts of a source."""
    if isinstance(counts, str):
        if not counts.isascii():
            raise BadValueError("counts: expected the text of compressed counts")
        counts = counts.encode()
    return Mask(height, width, encode_counts(_fitted(decode_counts(counts), height, width)))


def mask_of_array(array: NDArray[Any]) -> Mask:
    """The mask of the pixels of a (height, width) array that are not zero."""
    if array.ndim != 2 or not array.size:
        raise BadValueError(f"mask: expected an array of height × width, got {array.shape}")
    return mask_of_edges(_array_edges(array), *array.shape)


def array_of_runs(runs: Sequence[int], height: int, width: int) -> NDArray[Any]:
    """The bool array (height, width) of runs that fit it."""
    import numpy as np

    if height * width > MOST_PIXELS:
        raise BadValueError(f"mask: {height} × {width} is too large to be spread out")
    ones = np.zeros(len(runs), bool)
    ones[1::2] = True
    return np.repeat(ones, runs).reshape(width, height).T


def array_of(mask: Mask, load: Load | None = None) -> NDArray[Any]:
    """The pixels of a mask as a bool array (height, width), stored by columns."""
    return array_of_runs(runs_of(mask, load), mask.height, mask.width)


def _array_edges(array: NDArray[Any]) -> Edges:
    import numpy as np

    pixels = array if array.dtype == bool else array != 0
    height, width = pixels.shape
    # Found in the order of rows and sorted: far quicker than to turn the array over.
    y, x = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), width)
    columns = np.flatnonzero(pixels[0, 1:] != pixels[-1, :-1]) + 1
    turns = np.concatenate([x * height + y + 1, columns * height])
    turns.sort()
    head = [0] if pixels[0, 0] else []
    tail = [height * width] if pixels[-1, -1] else []
    return np.concatenate([head, turns, tail]).astype(np.int64)


def edges_of(mask: Mask, load: Load | None = None) -> Edges:
    """Where, in pixels read column by column, the ones begin and end (`spans`)."""
    import numpy as np

    edges = np.cumsum(np.array(runs_of(mask, load), np.int64))
    return edges[: len(edges) // 2 * 2]


def mask_of_edges(edges: Edges, height: int, width: int) -> Mask:
    """The mask whose ones begin and end there."""
    import numpy as np

    runs = np.diff(edges, prepend=0, append=height * width).tolist()
    if not runs[-1] and len(runs) > 1:
        runs.pop()
    return Mask(height, width, encode_counts(runs))


def area(runs: Sequence[int]) -> int:
    """The number of ones."""
    return sum(runs[1::2])


def bounds(runs: Sequence[int], height: int) -> Bounds | None:
    """The box around the ones, None if there are none."""
    edges = list(accumulate(runs))
    starts, ends = edges[0 : len(edges) // 2 * 2 : 2], edges[1::2]
    if not starts:
        return None
    first, last = starts[0] // height, (ends[-1] - 1) // height
    tops = [start % height for start in starts]
    feet = [(end - 1) % height for end in ends]
    top, foot = float(min(tops)), max(feet) + 1.0
    if max(map(add, tops, runs[1::2])) > height:
        top, foot = 0.0, float(height)  # a run goes on in the next column
    return float(first), top, last + 1.0, foot


def iou(a: Mask, b: Mask, load: Load | None = None) -> float:
    """Intersection over union of two masks of one size; 0 where both are empty."""
    _check_sizes(a, b)
    one, other = edges_of(a, load), edges_of(b, load)
    both = spans.shared_length(one, other)
    either = spans.length(one) + spans.length(other) - both
    return both / either if either else 0.0


def union(masks: Sequence[Mask], load: Load | None = None) -> Mask:
    """What any of the masks covers."""
    _check_sizes(*masks)
    edges = spans.union([edges_of(mask, load) for mask in masks])
    return mask_of_edges(edges, masks[0].height, masks[0].width)


def intersection(masks: Sequence[Mask], load: Load | None = None) -> Mask:
    """What all masks cover."""
    _check_sizes(*masks)
    edges = spans.intersection([edges_of(mask, load) for mask in masks])
    return mask_of_edges(edges, masks[0].height, masks[0].width)


def _check_sizes(*masks: Mask) -> None:
    sizes = {(mask.width, mask.height) for mask in masks}
    if len(sizes) != 1:
        text = ", ".join(f"{width} × {height}" for width, height in sorted(sizes))
        raise UsageError(f"expected masks of one size, got {text or 'none'}")


def window(
    mask: Mask, left: int, top: int, width: int, height: int, *, load: Load | None = None
) -> Mask:
    """The mask of a window of the image, which may reach beyond it: there is nothing there."""
    import numpy as np

    if (left, top, width, height) == (0, 0, mask.width, mask.height):
        return mask
    columns = np.arange(max(left, 0), max(min(left + width, mask.width), left, 0))
    rows = columns * mask.height + max(top, 0)
    depth = max(min(top + height, mask.height) - max(top, 0), 0)
    seen = spans.overlay([(rows, rows + depth)]) if depth else np.empty(0, np.int64)
    edges = spans.intersection([edges_of(mask, load), seen])
    cells = column_spans(edges, mask.height)
    base = (cells.column - left) * height - top
    return mask_of_edges(spans.overlay([(cells.start + base, cells.end + base)]), height, width)


def column_spans(edges: Edges, height: int) -> ColumnSpans:
    """The ones column by column: a run over several columns is cut at their ends."""
    import numpy as np

    starts, ends = edges[0::2], edges[1::2]
    first = starts // height
    counts = (ends - 1) // height - first + 1
    span = np.repeat(np.arange(len(starts)), counts)
    column = np.arange(len(span)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    top = np.maximum(starts[span] - column * height, 0)
    return ColumnSpans(column, top, np.minimum(ends[span] - column * height, height))


def mask_of(
    geometry: Geometry, height: int, width: int, *, load: Load | None = None
) -> Mask | None:
    """The pixels of a height × width image that a shape covers (the rule stands in `raster`).

    A mask of another size keeps its place from the top left. None for points, lines and geometries
    of a newer version.
    """
    if isinstance(geometry, Mask):
        return window(geometry, 0, 0, width, height, load=load)
    edges = raster.pixel_edges(geometry, height, width)
    return None if edges is None else mask_of_edges(edges, height, width)
