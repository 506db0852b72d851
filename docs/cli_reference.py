"""Writes docs/cli.md from the help of every command: `python docs/cli_reference.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from voyager import errors
from voyager.cli import EXIT_PIPE
from voyager.commands.help_page import Page
from voyager.commands.parsing import pages
from voyager.commands.table import ALL_FLAGS, COMMANDS, Flag
from voyager.config import SETTINGS, Setting

TARGET = Path(__file__).with_name("cli.md")

HEAD = """\
# Commands

Written by `docs/cli_reference.py` from the help of the commands. `vgr COMMAND --help` says the same
in a terminal.

## Global options

They may stand before the name of a command, or after it where the command has no such option
itself.

{flags}

## Exit codes

{codes}

With `--json` an error is one document on standard output,
`{{"error": {{"kind", "message", "path", "line", "hint", "exit"}}}}`, and the exit code is the same.

## Settings

`vgr config NAME VALUE` sets them for a repository, with `--global` for a user. The environment wins
over the repository, and the repository over the user.

{settings}
"""


def render() -> str:
    """The whole page."""
    head = HEAD.format(
        flags="\n".join(f"- `{_left(flag)}`: {flag.help}" for flag in ALL_FLAGS),
        codes="\n".join(_codes()),
        settings="\n".join(_setting(setting) for setting in SETTINGS.values()),
    )
    chapters: dict[str, list[str]] = {}
    for name, entry in COMMANDS.items():
        for page in pages(name):
            chapters.setdefault(entry.group, []).append("\n\n".join(_blocks(page)))
    body = [f"## {title}\n\n" + "\n\n".join(texts) for title, texts in chapters.items()]
    return "\n".join([head, *(f"{text}\n" for text in body)])


def _blocks(page: Page) -> Iterator[str]:
    yield f"### vgr {page.path}"
    yield f"`{page.usage}`"
    yield page.text
    rows = [*page.commands, *page.arguments, *page.options]
    if rows:
        yield "\n".join(f"- `{row.left}`: {row.help}" for row in rows)
    if page.example:
        yield f"```console\n{page.example}\n```"


def _left(flag: Flag) -> str:
    return ", ".join(flag.spellings) + (f" {flag.metavar}" if flag.metavar else "")


def _codes() -> Iterable[str]:
    table = {0: "Done."} | {
        kind.exit: (kind.__doc__ or "").splitlines()[0]
        for kind in errors.VoyagerError.__subclasses__()
        if kind.__module__ == errors.__name__
    }
    table[errors.EXIT_SKIPPED] = "Everything possible was done; what was skipped is named."
    table[errors.EXIT_BUG] = "A bug of vgr."
    table[errors.EXIT_INTERRUPTED] = "Interrupted."
    table[EXIT_PIPE] = "Nobody reads the output any more."
    return [f"- {code}: {meaning}" for code, meaning in sorted(table.items())]


def _setting(setting: Setting) -> str:
    notes = []
    if setting.default is not None:
        notes.append(f"default `{str(setting.default).lower()}`")
    if setting.choices:
        notes.append("one of " + ", ".join(f"`{choice}`" for choice in setting.choices))
    if setting.variable:
        notes.append(f"environment `{setting.variable}`")
    return f"- `{setting.name}`: {setting.help}" + (f" ({'; '.join(notes)})" if notes else "")


if __name__ == "__main__":
    TARGET.write_text(render())
