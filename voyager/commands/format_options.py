"""What `import`, `export` and `bind` share: settings of a format, what did not fit."""

from __future__ import annotations

from collections.abc import Sequence

from voyager.commands.context import Context
from voyager.errors import UsageError
from voyager.formats.report import Report

_COLOURS = {
    "lost": "red",
    "approximated": "yellow",
    "repaired": "yellow",
    "guessed": "yellow",
    "extra": "dim",
}


def parse_settings(given: Sequence[str] | None) -> dict[str, str]:
    """`--set name=value` as a dict; UsageError for one without `=`."""
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}: expected NAME=VALUE")
        found[name] = value
    return found


def show_report(ctx: Context, report: Report) -> None:
    """A line for each kind of finding, with examples."""
    for loss, kind, entry in report:
        head = ctx.style(f"{loss:<12}", _COLOURS[loss])
        more = ", …" if entry.count > len(entry.examples) else ""
        examples = f" ({', '.join(entry.examples[:3])}{more})" if entry.examples else ""
        ctx.say(f"  {head} {entry.count:,} × {kind}{examples}")
