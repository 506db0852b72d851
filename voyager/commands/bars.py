"""Bars and small histograms out of block characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_HEIGHTS: Final = "▁▂▃▄▅▆▇█"


def bar(value: float, most: float, width: int) -> str:
    """A bar of a length between nothing and `width`; what is more than nothing is seen."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(round(8 * width * value / most), 1)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def heights(counts: Sequence[int]) -> str:
    """A character for each count, as high as it is beside the largest; a dot for nothing."""
    most = max(counts, default=0)
    return "".join(_HEIGHTS[min(int(8 * count / most), 7)] if count else "·" for count in counts)
