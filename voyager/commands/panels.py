"""Pages of plots and tables: panels in sections, with the style sheet of plots."""

from __future__ import annotations

from collections.abc import Sequence

from voyager.pictures.html_text import html_text
from voyager.repo.keys import shown


def text(words: str) -> str:
    """Words as HTML has them, made visible as on a terminal."""
    return html_text(shown(words))


def panel(title: str, inside: str, about: str = "", *, wide: bool = True) -> str:
    """Something under a title and what is to be said about it, as wide as the page or half."""
    told = f"<p>{text(about)}</p>\n" if about else ""
    kind = "panel wide" if wide else "panel"
    return f'<div class="{kind}"><h3>{text(title)}</h3>\n{told}{inside}</div>\n'


def section(title: str, inside: str) -> str:
    """Panels under a heading; nothing where there are none."""
    return f'<h2>{text(title)}</h2>\n<div class="plots">\n{inside}</div>\n' if inside else ""


def table(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A table whose rows have names."""
    head = "".join(f'<th scope="col">{text(word)}</th>' for word in heads)
    body = "".join(
        f'<tr><th scope="row">{text(name)}</th>'
        f"{''.join(f'<td>{text(cell)}</td>' for cell in cells)}</tr>\n"
        for name, cells in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f"<table>{top}<tbody>{body}</tbody></table>\n"
