"""Fields and geometries of a newer spec: set aside on the way in, put back on the way out.

The typed codec knows nothing of them. Only a row that it refuses comes here, is walked along the
declared types, and has what is unknown moved under a reserved field or tag, where the typed codec
takes it as one `Unknown` (spec 9.5).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import inspect

from voyager.errors import CorruptError, InvalidDataError
from voyager.schema.geometry import GEOMETRIES, RESERVED_TAG

RESERVED_FIELD = "~"

_AtMap = Callable[[dict[str, Any], set[str]], dict[str, Any]]
_AtGeometry = Callable[[list[Any]], list[Any]]


def set_aside(row: Any, declared: inspect.Type) -> Any:
    """An untyped row with what is unknown under the reserved names.

    Raises CorruptError when the row itself uses a reserved name.
    """
    return _walk(row, declared, _set_aside_fields, _set_aside_geometry)


def put_back(row: Any, declared: inspect.Type) -> Any:
    """The reverse of `set_aside`; InvalidDataError when an unknown name is known here."""
    return _walk(row, declared, _put_back_fields, _put_back_geometry)


def struct_in(declared: inspect.Type) -> inspect.Type:
    """The struct of `Struct | None`, any struct of the geometry union, else the type itself."""
    if isinstance(declared, inspect.UnionType):
        structs = (kind for kind in declared.types if isinstance(kind, inspect.StructType))
        return next(structs, declared)
    return declared


def _walk(value: Any, declared: inspect.Type, at_map: _AtMap, at_geometry: _AtGeometry) -> Any:
    kind = struct_in(declared)
    if isinstance(kind, inspect.StructType):
        if kind.array_like:
            return at_geometry(value) if isinstance(value, list) and value else value
        if isinstance(value, dict):
            types = {field.encode_name: field.type for field in kind.fields}
            walked = {
                name: _walk(item, types[name], at_map, at_geometry) if name in types else item
                for name, item in value.items()
            }
            return at_map(walked, types.keys() - {RESERVED_FIELD})
    elif isinstance(kind, inspect.DictType) and isinstance(value, dict):
        inner = kind.value_type
        return {name: _walk(item, inner, at_map, at_geometry) for name, item in value.items()}
    elif isinstance(kind, inspect.VarTupleType) and isinstance(value, list):
        return [_walk(item, kind.item_type, at_map, at_geometry) for item in value]
    return value


def _set_aside_fields(fields: dict[str, Any], known: set[str]) -> dict[str, Any]:
    if RESERVED_FIELD in fields:
        raise CorruptError(f"field {RESERVED_FIELD!r} is reserved")
    unknown = {name: item for name, item in fields.items() if name not in known}
    if not unknown:
        return fields
    taken = {name: item for name, item in fields.items() if name in known}
    return {**taken, RESERVED_FIELD: unknown}


def _put_back_fields(fields: dict[str, Any], known: set[str]) -> dict[str, Any]:
    unknown = fields.pop(RESERVED_FIELD, {})
    if not isinstance(unknown, dict) or not known.isdisjoint(unknown):
        raise InvalidDataError("unknown: expected a map of fields that this spec does not have")
    return {**fields, **unknown}


def _set_aside_geometry(shape: list[Any]) -> list[Any]:
    tag = shape[0]
    if type(tag) is not int or tag in GEOMETRIES:
        return shape  # the typed codec says what is wrong, if anything
    if tag == RESERVED_TAG:
        raise CorruptError(f"geometry tag {RESERVED_TAG} is reserved")
    return [RESERVED_TAG, shape]


def _put_back_geometry(shape: list[Any]) -> list[Any]:
    kept: list[Any] = shape[1] if shape[0] == RESERVED_TAG else shape
    return kept
