"""TOML as text: read it flat, and change one value without touching the lines around it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from voyager.errors import InvalidDataError

Value = str | int | bool

_TABLE_LINE = re.compile(r"\s*\[\s*([\w.-]+)\s*\]")
_VALUE_LINE = re.compile(r"\s*([\w.-]+)\s*=")


def parse(text: str, path: Path) -> dict[str, Value]:
    """`table.name` → value; other kinds of value become text. InvalidDataError names `path`."""
    if not text.strip():
        return {}
    import tomllib  # 8 ms that a process without settings files need not pay

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r" \(at line (\d+).*\)$", str(error))
        raise InvalidDataError(
            "not TOML: " + str(error).partition(" (at ")[0].lower(),
            path=path,
            line=int(line[1]) if line else None,
            hint=f"$EDITOR {path}",
        ) from error
    return dict(_flatten(tables, ""))


def edit(text: str, name: str, value: Value | None) -> str:
    """The text with one value put in, replaced or (None) taken out; every other line stays.

    Only plain `name = value` lines are understood: parse the result and compare before using it.
    """
    lines: list[str] = []
    after_table: dict[str, int] = {}  # "table." → the line below its header
    table, found = "", False
    for line in text.splitlines():
        header, entry = _TABLE_LINE.match(line), _VALUE_LINE.match(line)
        if entry and table + entry[1] == name:
            found = True
            if value is not None:
                lines.append(f"{entry[1]} = {_literal(value)}")
            continue
        lines.append(line)
        if header:
            table = header[1] + "."
            after_table[table] = len(lines)
    if value is not None and not found:
        _insert(lines, after_table, name, _literal(value))
    return "".join(f"{line}\n" for line in lines)


def _insert(lines: list[str], after_table: dict[str, int], name: str, literal: str) -> None:
    """Put a new entry into the table that it belongs to, else below the entries outside any."""
    tables = [table for table in after_table if name.startswith(table)]
    if tables:
        table = max(tables, key=len)
        lines.insert(after_table[table], f"{name.removeprefix(table)} = {literal}")
    else:
        first_table = min(after_table.values(), default=len(lines) + 1) - 1
        lines.insert(first_table, f"{name} = {literal}")


def _flatten(table: Mapping[str, object], prefix: str) -> Iterator[tuple[str, Value]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value if isinstance(value, (str, int, bool)) else str(value)


def _literal(value: Value) -> str:
    # A JSON string without control characters is a TOML string too.
    return json.dumps(value, ensure_ascii=False)
