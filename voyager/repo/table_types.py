"""SQL type words to Arrow types, and the one type that the values of a meta name share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_INTEGER = (1 << 63) - 1


def arrow_type(word: str) -> pa.DataType:
    """The Arrow type of a column's SQL type."""
    import pyarrow as pa

    if word.endswith("[]"):
        return pa.list_(arrow_type(word[:-2]))
    plain = {
        "VARCHAR": pa.string(),
        "DOUBLE": pa.float64(),
        "BIGINT": pa.int64(),
        "INTEGER": pa.int32(),
        "BOOLEAN": pa.bool_(),
    }
    if word in plain:
        return plain[word]
    kind, _, inside = word.removesuffix(")").partition("(")
    parts = inside.split(", ")
    if kind == "MAP":
        return pa.map_(*map(arrow_type, parts))
    return pa.struct([(name, arrow_type(part)) for name, part in map(str.split, parts)])


def column_array(values: Any, word: str) -> pa.Array:
    """Values as a column of that SQL type; whole numbers beyond 64 bits become null."""
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values
    try:
        return pa.array(values, arrow_type(word), from_pandas=True)
    except (OverflowError, pa.ArrowInvalid):
        kept = [None if value is None or abs(value) > _MOST_INTEGER else value for value in values]
        return pa.array(kept, arrow_type(word))


def shared_type(values: Iterable[Any]) -> str | None:
    """The SQL type that meta values share: text where they differ; None where there is none.

    `[]` is a list of whatever else there will be.
    """
    found: str | None = None
    for word in {_type_of(value) for value in values}:
        found = joined_type(found, word)
    return found


def _type_of(value: Any) -> str | None:
    if isinstance(value, list):
        return f"{shared_type(value) or ''}[]"
    if isinstance(value, int) and not isinstance(value, bool):
        return "BIGINT" if -_MOST_INTEGER <= value <= _MOST_INTEGER else "DOUBLE"
    words = {bool: "BOOLEAN", float: "DOUBLE", str: "VARCHAR"}
    return words.get(type(value))


def joined_type(one: str | None, other: str | None) -> str | None:
    """The type that holds the values of both."""
    if not one or not other or one == other:
        return one or other
    if one.endswith("[]") and other.endswith("[]"):
        return f"{joined_type(one[:-2], other[:-2]) or ''}[]"
    return "DOUBLE" if {one, other} == {"BIGINT", "DOUBLE"} else "VARCHAR"


def meta_array(values: Sequence[Any], word: str) -> pa.Array:
    """Meta values as a column of the type that they share."""
    import pyarrow as pa

    scalar = word.removesuffix("[]")
    if scalar == "VARCHAR":
        values = [_as_text(value, is_list=word != scalar) for value in values]
    elif scalar == "DOUBLE":
        values = [_as_float(value) for value in values]
    return pa.array(values, arrow_type(word))


def _as_text(value: Any, *, is_list: bool) -> Any:
    if value is None:
        return None
    return [plain_text(item) for item in value] if is_list else plain_text(value)


def _as_float(value: Any) -> Any:
    if isinstance(value, list):
        return [float(item) for item in value]
    return None if value is None else float(value)


def plain_text(value: Any) -> str:
    """A scalar or list of meta and attributes as text; a list as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, list)):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)
