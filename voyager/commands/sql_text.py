"""The rows of a query as text: a table for people, CSV and JSON lines for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from voyager.repo.keys import shown

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_ROWS: Final = 10_000
_WIDEST: Final = 60
_NOTHING: Final = "·"
"""How a table shows null, so that it is not an empty text."""


def table_lines(found: pa.Table) -> Iterator[str]:
    """A head, a rule and a line for each row; numbers to the right, long texts cut."""
    import pyarrow as pa

    columns = [[_cell(value) for value in column.to_pylist()] for column in found.columns]
    heads = [shown(name) for name in found.column_names]
    to_right = [
        pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t)
        for t in found.schema.types
    ]
    wide = [max(map(_width, [head, *cells])) for head, cells in zip(heads, columns, strict=True)]
    yield _line(heads, wide, to_right)
    yield "  ".join("─" * width for width in wide)
    for row in zip(*columns, strict=True):
        yield _line(row, wide, to_right)


def _line(cells: Any, wide: list[int], to_right: list[bool]) -> str:
    parts = []
    for cell, width, right in zip(cells, wide, to_right, strict=True):
        space = " " * (width - _width(cell))
        parts.append(space + cell if right else cell + space)
    return "  ".join(parts).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal that a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def _cell(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _text(value: Any) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, (list, dict, tuple)):
        return shown(json.dumps(plain(value), ensure_ascii=False))
    return shown(str(plain(value)))


def csv_chunks(found: pa.Table) -> Iterator[bytes]:
    """RFC 4180 with a head; null is empty, lists and structs are JSON."""
    yield _csv([found.column_names])
    for batch in found.to_batches(max_chunksize=_CHUNK_ROWS):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield _csv([[_field(value) for value in row] for row in rows])


def _csv(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(plain(value))


def json_chunks(found: pa.Table) -> Iterator[bytes]:
    """A line for each row."""
    names = found.column_names
    for batch in found.to_batches(max_chunksize=_CHUNK_ROWS):
        rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        lines = [
            json.dumps(
                {name: plain(value) for name, value in zip(names, row, strict=True)},
                ensure_ascii=False,
                separators=(",", ":"),
            )
            for row in rows
        ]
        yield "".join(f"{line}\n" for line in lines).encode()


def plain(value: Any) -> Any:
    """A value as JSON has it: times as ISO text, bytes in hex, what is no number as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(part, tuple) and len(part) == 2 for part in value):
            return {str(name): plain(part) for name, part in value}  # a MAP
        return [plain(part) for part in value]
    from decimal import Decimal

    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
