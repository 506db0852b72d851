"""Cells as numbers, flags and plain values; the text of a value that reads back as the same."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Literal

from voyager.formats.attributes import is_meta, is_scalar
from voyager.schema.sample import MetaValue, Scalar

Kind = Literal["bool", "int", "float", "text"]

_INTEGER = re.compile(r"[+-]?(?:0|[1-9]\d{0,14})")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*")
_MISSING = frozenset({"", "nan", "na", "n/a", "none", "null"})
_TRUE = frozenset({"true", "1", "yes", "y", "t"})
_BOOLS = frozenset({"true", "false"})


def is_empty(cell: Any) -> bool:
    """Whether a cell says nothing."""
    return cell is None or (isinstance(cell, str) and not cell.strip())


def is_missing(cell: Any) -> bool:
    """Whether a cell of a number says that there is none, in one of the ways of pandas and R."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in _MISSING)


def number_of(cell: Any, *, decimal_comma: bool = False) -> float | None:
    """A cell as a number, not always a finite one; None when it is no number."""
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        return None
    if isinstance(cell, str) and decimal_comma and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return None


def flag_of(cell: Any) -> bool:
    """A cell as yes or no."""
    if isinstance(cell, str):
        return cell.strip().lower() in _TRUE
    return bool(cell)


# -- values of columns that are not ours: one type for a column -----------------------------------


def kind_of(text: str) -> Kind:
    """The narrowest type that a text reads as."""
    word = text.strip()
    if word.lower() in _BOOLS:
        return "bool"
    if _INTEGER.fullmatch(word):
        return "int"
    number = number_of(word) if not word[:1].isalpha() and "_" not in word else None
    leading = re.match(r"[+-]?0\d", word) is not None
    return "float" if number is not None and math.isfinite(number) and not leading else "text"


def joined_kind(kinds: Iterable[Kind]) -> Kind:
    """The type of a column whose cells are of these."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return "float" if found == {"int", "float"} else "text"


def as_kind(text: str, kind: Kind) -> Scalar:
    """A text as the type of its column."""
    if kind == "bool":
        return text.strip().lower() == "true"
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text


def typed_value(value: Any) -> MetaValue | None:
    """A cell of a Parquet file as a plain value, None when it is none."""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if isinstance(value, (str, bool, int, float)):
        return value if is_meta(value) else str(value)
    if isinstance(value, list):
        return [item for item in value if is_scalar(item)] if value else None
    return None if value is None else json.dumps(value, default=str, ensure_ascii=False)
