"""The help of a command as a value, read once and shown as text or as Markdown.

The layout is ours, so that help reads the same with every version of typer.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_EXAMPLE = "Example:"
_COLUMN = 24  # where the help of an option begins
_WIDEST = 100


class Row(NamedTuple):
    """What to type, what it means, and for an option its spellings and whether it has a value."""

    left: str
    help: str
    spellings: tuple[str, ...] = ()
    takes_value: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to say about a command."""

    path: str
    usage: str
    text: str
    arguments: tuple[Row, ...] = ()
    options: tuple[Row, ...] = ()
    flags: tuple[Row, ...] = ()
    commands: tuple[Row, ...] = ()
    example: str = ""


def read_page(
    path: str, docstring: str | None, params: Sequence[Any], flags: Sequence[Any]
) -> Page:
    """The page of a command, from the parameters that click parses: its own, the global flags."""
    text, example = _split_example(docstring)
    arguments = [param for param in params if param.param_type_name == "argument"]
    options = [param for param in params if param.param_type_name == "option"]
    words = [f"vgr {path}", "[options]", *(_argument_usage(param) for param in arguments)]
    return Page(
        path=path,
        usage=" ".join(words),
        text=text,
        arguments=tuple(Row(_name(param), _meaning(param)) for param in arguments if param.help),
        options=tuple(option_row(param) for param in options if not param.hidden),
        flags=tuple(option_row(param) for param in flags),
        example=example,
    )


def option_row(param: Any) -> Row:
    """The row of an option that click parses."""
    names = [*sorted(param.opts, key=len), *param.secondary_opts]
    takes_value = not (param.is_flag or param.count)
    left = ", ".join(names) + (f" {_name(param)}" if takes_value else "")
    return Row(left, _meaning(param), tuple(names), takes_value)


def read_group_page(path: str, docstring: str | None, commands: Sequence[Row]) -> Page:
    """The page of a command that only has sub-commands."""
    text, example = _split_example(docstring)
    usage = f"vgr {path} COMMAND [options]"
    return Page(path=path, usage=usage, text=text, commands=tuple(commands), example=example)


def first_line(docstring: str | None) -> str:
    """The sentence that stands for a command in a list."""
    return inspect.cleandoc(docstring or "").partition("\n")[0].rstrip(".")


def render_text(page: Page, width: int) -> str:
    """The page for a terminal of that width."""
    width = min(width, _WIDEST)
    blocks = [f"usage: {page.usage}", *(_fill(block, width) for block in page.text.split("\n\n"))]
    titles = ("Commands", "Arguments", "Options", "Global options")
    for title, rows in zip(
        titles, (page.commands, page.arguments, page.options, page.flags), strict=True
    ):
        if rows:
            blocks.append(f"{title}:\n{render_rows(rows, width)}")
    if page.example:
        blocks.append(f"{_EXAMPLE}\n{textwrap.indent(page.example, '  ')}")
    return "\n\n".join(block for block in blocks if block) + "\n"


def render_rows(rows: Sequence[Row], width: int) -> str:
    """Two columns: what to type, what it means."""
    lines: list[str] = []
    indent = " " * _COLUMN
    for row in rows:
        head = f"  {row.left}".ljust(_COLUMN)
        if len(head) > _COLUMN or head[-1] != " ":
            lines.append(head.rstrip())
            head = indent
        body = textwrap.fill(row.help, width, initial_indent=head, subsequent_indent=indent)
        lines.append(body or head.rstrip())
    return "\n".join(lines)


def _split_example(docstring: str | None) -> tuple[str, str]:
    text, _, example = inspect.cleandoc(docstring or "").partition(f"\n{_EXAMPLE}\n")
    return text.strip(), textwrap.dedent(example).strip("\n")


def _fill(block: str, width: int) -> str:
    """A paragraph fitted to the width; a block with indented lines stays as it is."""
    if any(line.startswith(" ") for line in block.splitlines()):
        return block
    return textwrap.fill(block, width)


def _name(param: Any) -> str:
    name = param.metavar or _choices(param) or param.name.upper()
    return f"{name}…" if param.nargs == -1 else str(name)


def _argument_usage(param: Any) -> str:
    return _name(param) if param.required else f"[{_name(param)}]"


def _choices(param: Any) -> str:
    choices = getattr(getattr(param, "type_descriptor", None), "choices", None) or ()
    return "|".join(str(choice) for choice in choices)


def _meaning(param: Any) -> str:
    notes = [str(param.help)] if param.help else []
    if param.show_default and param.default is not True and param.default:
        notes.append(f"(default: {param.default})")
    if param.param_type_name == "option" and param.multiple:
        notes.append("(may be repeated)")
    return " ".join(notes)
