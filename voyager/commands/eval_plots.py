"""The plots of an evaluation as SVG: curves, confusions, how sure and how right, intervals.

They stand beside those of `pictures.plots` and use its colours; every mark says its number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from voyager.commands.panels import text
from voyager.pictures.plots import cut, svg

STYLE: Final = """
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.curve.s0, .range.s0 { stroke: var(--s0); } .curve.s1 { stroke: var(--s1); }
svg line.range { stroke-width: 2.5; stroke-linecap: round; }
svg line.all { stroke: var(--soft); stroke-dasharray: 3 3; }
svg text.end { text-anchor: end; } svg text.middle { text-anchor: middle; }
svg text.cell { text-anchor: middle; font-size: 11px; }
.plots svg.medium { max-width: 560px; }
"""

_WIDE: Final = 520
_HIGH: Final = 220
_LEFT: Final = 52
_FOOT: Final = 26
_CELL: Final = 34
_MOST_NUMBERS: Final = 26
"""Classes up to which the cells of a confusion matrix have numbers in them."""
_PAGE: Final = 1280
"""As wide as a page, so that letters are of their own size."""
_POINTS: Final = 400
_ROW: Final = 24
_NAME: Final = 300
_PLOT: Final = 700
_LETTERS: Final = 34


class Curve(NamedTuple):
    """A line through points, (x, y) each."""

    name: str
    points: Sequence[tuple[float, float]]


class Range(NamedTuple):
    """A value with where it lies, under a name; `number` says it in words."""

    name: str
    value: float
    low: float | None
    high: float | None
    number: str


def curves(drawn: Sequence[Curve], title: str) -> str:
    """Lines over a common axis, each in its colour; the top of the axis is the largest value."""
    points = [point for one in drawn for point in one.points]
    if not points:
        return ""
    most_x = max(x for x, _ in points) or 1
    most_y = max(y for _, y in points) or 1
    parts = _axes(f"{most_x:,.0f}", f"{most_y:.3g}")
    for at, one in enumerate(drawn):
        path = " ".join(
            f"{_LEFT + x / most_x * (_WIDE - _LEFT):.1f},{_HIGH * (1 - y / most_y):.1f}"
            for x, y in _thinned(one.points)
        )
        told = f"{one.name}: {one.points[-1][1]:.4g} in the end" if one.points else one.name
        parts.append(
            f'<polyline class="curve s{min(at, 1)}" points="{path}"><title>{text(told)}</title>'
            "</polyline>"
        )
    return svg(_WIDE, _HIGH + _FOOT, title, parts, "medium")


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """No more points than can be seen: means of stretches of equal length."""
    step = -(-len(points) // _POINTS)
    stretches = [points[first : first + step] for first in range(0, len(points), max(step, 1))]
    return [
        (sum(x for x, _ in some) / len(some), sum(y for _, y in some) / len(some))
        for some in stretches
    ]


def _axes(right: str, top: str) -> list[str]:
    return [
        f'<line x1="{_LEFT}" x2="{_WIDE}" y1="{_HIGH}" y2="{_HIGH}"/>',
        f'<line x1="{_LEFT}" x2="{_LEFT}" y1="0" y2="{_HIGH}"/>',
        f'<text class="soft end" x="{_LEFT - 6}" y="10">{text(top)}</text>',
        f'<text class="soft end" x="{_LEFT - 6}" y="{_HIGH}">0</text>',
        f'<text class="soft end" x="{_WIDE}" y="{_HIGH + 16}">{text(right)}</text>',
    ]


def reliability(bins: Iterable[tuple[float, float, int, float, float]], title: str) -> str:
    """How right answers are by how sure they were: bars beside the diagonal of a perfect network.

    Each bin is (low, high, count, mean sureness, share that is right).
    """
    parts = _axes("sure of all", "100 %")
    side = _WIDE - _LEFT
    parts.append(f'<line class="all" x1="{_LEFT}" y1="{_HIGH}" x2="{_WIDE}" y2="0"/>')
    for low, high, count, sure, right in bins:
        tall = max(right * _HIGH, 1)
        told = f"{100 * sure:.0f} % sure: {100 * right:.1f} % right of {count:,}"
        parts.append(
            f'<rect class="s0" x="{_LEFT + low * side + 1:.1f}" y="{_HIGH - tall:.1f}"'
            f' width="{(high - low) * side - 2:.1f}" height="{tall:.1f}">'
            f"<title>{text(told)}</title></rect>"
        )
    return svg(_WIDE, _HIGH + _FOOT, title, parts, "medium")


def matrix(names: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """What is true (down) and what is said (across): the deeper the more of a row; right in blue.

    `counts` may have rows beyond the names, of answers that are none of them.
    """
    size = _CELL if len(names) <= _MOST_NUMBERS else 12
    left, top = 170, 96
    parts = []
    for row, cells in enumerate(counts):
        whole = sum(cells)
        if row >= len(names) and not whole:
            continue
        name = names[row] if row < len(names) else "another"
        y = top + row * size
        parts.append(
            f'<text class="end" x="{left - 8}" y="{y + size / 2 + 4}">{text(cut(name, 20))}</text>'
        )
        for column, count in enumerate(cells):
            parts += _cell(name, names[column], count, whole, left + column * size, y, size)
    for column, name in enumerate(names):
        x = left + (column + 0.5) * size + 4
        parts.append(
            f'<text x="{x}" y="{top - 8}" transform="rotate(-50 {x} {top - 8})">'
            f"{text(cut(name, 18))}</text>"
        )
    shown_rows = len(names) + (len(counts) > len(names) and sum(counts[-1]) > 0)
    width = max(left + len(names) * size + 80, _PAGE)
    return svg(width, top + shown_rows * size, title, parts)


def _cell(name: str, said: str, count: int, whole: int, x: float, y: float, size: int) -> list[str]:
    share = count / whole if whole else 0
    told = f"{name}: {count:,} of {whole:,} said to be {said}"
    colour = "s0" if name == said else "s1"
    drawn = [
        f'<rect class="{colour}" x="{x}" y="{y}" width="{size - 1}" height="{size - 1}"'
        f' fill-opacity="{0.06 + 0.8 * share:.2f}"><title>{text(told)}</title></rect>'
    ]
    if count and size == _CELL:
        middle = f'x="{x + size / 2:.0f}" y="{y + size / 2 + 4:.0f}"'
        drawn.append(f'<text class="cell" {middle}>{count:,}</text>')
    return drawn


def ranges(drawn: Sequence[Range], whole: float | None, title: str) -> str:
    """A dot and a whisker for each value, over an axis from 0 to 1, with that of all rows."""
    parts = []
    for at, one in enumerate(drawn):
        y = at * _ROW + 12
        parts.append(f'<text x="0" y="{y + 4}">{text(cut(one.name, _LETTERS))}</text>')
        told = f"<title>{text(f'{one.name}: {one.number}')}</title>"
        if one.low is not None and one.high is not None:
            parts.append(
                f'<line class="range s0" x1="{_at(one.low):.1f}" x2="{_at(one.high):.1f}"'
                f' y1="{y}" y2="{y}">{told}</line>'
            )
        parts.append(f'<circle class="s0" cx="{_at(one.value):.1f}" cy="{y}" r="5">{told}</circle>')
        parts.append(
            f'<text class="soft" x="{_NAME + _PLOT + 14}" y="{y + 4}">{text(one.number)}</text>'
        )
    high = len(drawn) * _ROW
    if whole is not None:
        x = f"{_at(whole):.1f}"
        parts.insert(0, f'<line class="all" x1="{x}" x2="{x}" y1="0" y2="{high}"/>')
    return svg(_PAGE, max(high, 1), title, parts)


def _at(value: float) -> float:
    return _NAME + min(max(value, 0.0), 1.0) * _PLOT
