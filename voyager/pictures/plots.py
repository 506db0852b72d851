"""Plots as SVG that stands in a page: bars and histograms, readable on light and dark paper.

Colours are classes of `plots.css`, one for each series; every bar says its number when pointed at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from voyager.pictures.html_text import html_text

_MOST_SERIES: Final = 6
_WIDE: Final = 960
_NAME: Final = 260
_NUMBER: Final = 110
_ROW: Final = 22
_PANEL: Final = 340
_HIGH: Final = 120
_FOOT: Final = 56
_MARGIN: Final = 36
"""Room for what the first range is called, which begins left of it."""
_LETTERS: Final = 38
"""Letters of a name that fit before a bar."""


class Series(NamedTuple):
    """A name, and a value for each row or range."""

    name: str
    values: Sequence[float]


class Label(NamedTuple):
    """What stands before a bar, how deep it is indented, and what stands behind."""

    name: str
    depth: int
    number: str


@cache
def style() -> str:
    """The style sheet that plots need beside that of the page."""
    return Path(__file__).with_name("plots.css").read_text(encoding="utf-8")


def legend(series: Sequence[Series]) -> str:
    """The names of several series beside their colours; nothing for one."""
    if len(series) < 2:
        return ""
    items = (
        f'<li><svg viewBox="0 0 11 11" aria-hidden="true"><rect class="{_colour(at)}" width="11"'
        f' height="11" rx="3"/></svg>{html_text(one.name)}</li>'
        for at, one in enumerate(series)
    )
    return f'<ul class="legend">{"".join(items)}</ul>\n'


def bars(labels: Sequence[Label], series: Sequence[Series], title: str) -> str:
    """A bar for each row, in parts where there are several series."""
    sums = [sum(one.values[at] for one in series) for at in range(len(labels))]
    most = max([*sums, 1e-9])
    scale = (_WIDE - _NAME - _NUMBER) / most
    parts = []
    for at, label in enumerate(labels):
        y = at * _ROW
        x = min(label.depth * 14, 70)
        name = cut(label.name, _LETTERS - 2 * label.depth)
        parts.append(f'<text x="{x}" y="{y + 15}">{html_text(name)}</text>')
        parts += _stacked(label.name, [(one.name, one.values[at]) for one in series], y, scale)
        end = _NAME + sums[at] * scale + 8
        parts.append(
            f'<text class="soft" x="{end:.1f}" y="{y + 15}">{html_text(label.number)}</text>'
        )
    return svg(_WIDE, max(len(labels) * _ROW, 1), title, parts)


def _stacked(
    name: str, values: Sequence[tuple[str, float]], y: float, scale: float
) -> Iterator[str]:
    x = float(_NAME)
    for at, (series, value) in enumerate(values):
        if value:
            wide = max(value * scale, 0.5)
            told = f"{name}: {_number(value)}" + (f" ({series})" if len(values) > 1 else "")
            yield _rect(_colour(at), x, y + 4, wide, _ROW - 8, told)
            x += wide


def histogram(ranges: Sequence[str], series: Sequence[Series], title: str) -> str:
    """A column for each range; of several series beside each other, each as shares of its own."""
    shares = [[value / max(sum(one.values), 1e-9) for value in one.values] for one in series]
    most = max([*(share for one in shares for share in one), 1e-9])
    step = _PANEL / max(len(ranges), 1)
    wide = step * 0.8 / max(len(series), 1)
    parts = [f'<line x1="0" x2="{_PANEL}" y1="{_HIGH + 14}" y2="{_HIGH + 14}"/>']
    for at, label in enumerate(ranges):
        for number, one in enumerate(series):
            high = shares[number][at] / most * _HIGH
            if high:
                x = at * step + step * 0.1 + number * wide
                told = f"{label}: {_number(one.values[at])} ({shares[number][at]:.1%})"
                told = f"{one.name} {told}" if len(series) > 1 else told
                parts.append(_rect(_colour(number), x, _HIGH + 14 - high, wide, high, told))
        middle = f"{(at + 0.5) * step:.1f}"
        turn = f'transform="rotate(-35 {middle} {_HIGH + 28})"'
        parts.append(
            f'<text class="soft" x="{middle}" y="{_HIGH + 28}" text-anchor="end" {turn}>'
            f"{html_text(label)}</text>"
        )
    return svg(_PANEL, _HIGH + 14 + _FOOT, title, parts, "small", _MARGIN)


def _rect(colour: str, x: float, y: float, width: float, height: float, told: str) -> str:
    return (
        f'<rect class="{colour}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' rx="1.5"><title>{html_text(told)}</title></rect>'
    )


def svg(
    width: float, height: float, title: str, parts: Sequence[str], kind: str = "", margin: int = 0
) -> str:
    """A picture of these parts, with a margin on the left; `kind` is a class of the style sheet."""
    inside = "\n".join(parts)
    named = f' class="{kind}"' if kind else ""
    return (
        f'<svg{named} viewBox="{-margin} 0 {width + margin:.0f} {height:.0f}" role="img"'
        f' aria-label="{html_text(title)}">\n'
        f"{inside}\n</svg>\n"
    )


def _colour(at: int) -> str:
    return f"s{min(at, _MOST_SERIES - 1)}"


def cut(name: str, letters: int) -> str:
    """A name in so many letters at most."""
    return name if len(name) <= letters else f"{name[: letters - 1]}…"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"
