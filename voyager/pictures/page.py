"""One HTML page that needs nothing else: a summary, and cards with pictures and words.

Everything that comes from a dataset is escaped, and the page's own policy lets no script run but
the one written here.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from voyager.images import probe
from voyager.pictures.html_text import html_text
from voyager.pictures.palette import Colour, css

_FACTS_SHOWN: Final = 8
"""More facts of a card stand behind a line that opens them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a card, `width` by `height` pixels of the page."""

    caption: str
    data_uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True, slots=True)
class Card:
    """One thing that is told: a heading, pictures side by side, and facts in words.

    `kinds` and `classes` are what the page filters by. Cards of one `section` follow each other.
    """

    title: str
    facts: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    kinds: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    section: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the summary: a class (or what else is counted) and a number for each column."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page; `columns` head the numbers of the summary, `more` counts cards that were left out.

    `colours` has those of classes, which are shown beside their names.
    """

    title: str
    subtitle: str = ""
    columns: tuple[str, ...] = ()
    summary_rows: tuple[Row, ...] = ()
    cards: tuple[Card, ...] = ()
    more: int = 0
    colours: Mapping[str, Colour] = field(default_factory=dict)


def render(page: Page) -> str:
    """The HTML of a page."""
    return "".join(iter_html(page, page.cards))


def iter_html(page: Page, cards: Iterable[Card]) -> Iterator[str]:
    """The HTML of a page with these cards after its summary, in parts: a card is never held."""
    yield _head(page)
    section, count = None, 0
    for card in cards:
        if card.section != section:
            yield _section(card.section, first=not count)
            section = card.section
        yield _card(card, page.colours)
        count += 1
    yield _foot(page, count)


def render_body(title: str, subtitle: str, body: str, style: str) -> str:
    """A page of the same looks that holds HTML which is escaped already, and no script."""
    head = _start(title, subtitle, f"{_source('page.css')}\n{style}", "script-src 'none'")
    return f"{head}<main>\n{body}</main>\n</body>\n</html>\n"


def thumbnail(name: str, data: bytes) -> str:
    """A small JPEG as HTML, called by a name."""
    info, called = probe(data), html_text(name)
    size = "" if info is None else f' width="{info.width}" height="{info.height}"'
    uri = f"data:image/jpeg;base64,{b64encode(data).decode()}"
    return (
        f'<img src="{uri}"{size} alt="{called}" title="{called}" loading="lazy" decoding="async"/>'
    )


def render_cards(cards: Iterable[Card], colours: Mapping[str, Colour] | None = None) -> str:
    """Cards in their sections, as HTML to stand in the body of a page."""
    parts: list[str] = []
    section = None
    for card in cards:
        if card.section != section:
            parts.append(_section(card.section, first=section is None))
            section = card.section
        parts.append(_card(card, colours or {}))
    return "".join(parts) + ("</ol>\n</section>\n" if parts else "")


def _head(page: Page) -> str:
    script = f"script-src '{_digest(_source('page.js'))}'"
    head = _start(page.title, page.subtitle, _style(page.colours.values()), script)
    return f'{head}{_summary(page)}<div class="filters" hidden></div>\n<main>\n'


def _start(title: str, subtitle: str, style: str, script: str) -> str:
    """A page up to the end of its heading; its policy allows this style, and what `script` says."""
    policy = f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; {script}"
    below = f'<p class="subtitle">{html_text(subtitle)}</p>\n' if subtitle else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header>\n<h1>{html_text(title)}</h1>\n{below}</header>\n"
    )


def _foot(page: Page, count: int) -> str:
    end = "</ol>\n</section>\n" if count else ""
    if page.more:
        end += f'<p class="more">… and {page.more:,} more</p>\n'
    elif not count:
        end += '<p class="more">There is nothing to show.</p>\n'
    script = f'<script type="module">{_source("page.js")}</script>'
    return f"{end}</main>\n{script}\n</body>\n</html>\n"


def _summary(page: Page) -> str:
    if not page.summary_rows:
        return ""
    heads = "".join(f'<th scope="col">{html_text(column)}</th>' for column in page.columns)
    rows = "".join(
        f'<tr><th scope="row">{_named(row.name, page.colours)}</th>{_numbers(row.counts)}</tr>\n'
        for row in page.summary_rows
    )
    return (
        '<div class="summary" role="region" aria-label="Summary" tabindex="0">\n<table>\n'
        f"<thead><tr><th></th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )


def _numbers(counts: Iterable[int]) -> str:
    return "".join(
        f"<td>{count:,}</td>" if count else '<td class="none">–</td>' for count in counts
    )


def _section(title: str, *, first: bool) -> str:
    end = "" if first else "</ol>\n</section>\n"
    heading = f"<h2>{html_text(title)}</h2>\n" if title else ""
    return f'{end}<section>\n{heading}<ol class="cards">\n'


def _card(card: Card, colours: Mapping[str, Colour]) -> str:
    tags = [html_text(kind) for kind in card.kinds] + [
        _named(name, colours) for name in card.classes
    ]
    shown = "".join(f"<li>{tag}</li>" for tag in tags)
    wide = " wide" if _row(card.pictures) == " three" else ""
    return (
        f'<li class="card{wide}" data-kinds="{_list(card.kinds)}" '
        f'data-classes="{_list(card.classes)}">'
        f"\n<header><h3>{html_text(card.title)}</h3>"
        f'{f"""<ul class="tags">{shown}</ul>""" if tags else ""}</header>\n'
        f"{_pictures(card.pictures)}{_facts(card.facts)}</li>\n"
    )


def _pictures(pictures: tuple[Picture, ...]) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f"<figure><figcaption>{html_text(picture.caption)}</figcaption>"
        f'<img src="{html_text(picture.data_uri)}" width="{picture.width}" '
        f'height="{picture.height}" alt="{html_text(picture.alt)}" loading="lazy" '
        f'decoding="async"></figure>\n'
        for picture in pictures
    )
    return f'<div class="pictures{_row(pictures)}">\n{figures}</div>\n'


def _row(pictures: tuple[Picture, ...]) -> str:
    """How many stand in a row, as the style sheet calls it; two without a name."""
    return {0: "", 1: " one", 2: "", 4: ""}.get(len(pictures), " three")


def _facts(facts: tuple[str, ...]) -> str:
    shown = _fact_list(facts[:_FACTS_SHOWN])
    if len(facts) <= _FACTS_SHOWN:
        return shown
    rest = facts[_FACTS_SHOWN:]
    return f"{shown}<details><summary>{len(rest):,} more</summary>{_fact_list(rest)}</details>\n"


def _fact_list(facts: tuple[str, ...]) -> str:
    if not facts:
        return ""
    return f'<ul class="facts">{"".join(f"<li>{html_text(fact)}</li>" for fact in facts)}</ul>\n'


def _named(name: str, colours: Mapping[str, Colour]) -> str:
    """A class with its colour before it, where it has one."""
    colour = colours.get(name)
    swatch = "" if colour is None else f'<span class="swatch {_swatch(colour)}"></span>'
    return f"{swatch}{html_text(name)}"


def _style(colours: Iterable[Colour]) -> str:
    """The style sheet, with a rule for each colour: the policy allows no style in an element."""
    rules = (f".{_swatch(colour)} {{ background: {css(colour)}; }}" for colour in {*colours})
    return "\n".join([_source("page.css"), *sorted(rules)])


def _swatch(colour: Colour) -> str:
    return f"c{css(colour)[1:]}"


def _list(words: tuple[str, ...]) -> str:
    return html_text(json.dumps(words, ensure_ascii=False))


def _digest(source: str) -> str:
    return f"sha256-{b64encode(sha256(source.encode()).digest()).decode()}"


@cache
def _source(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
