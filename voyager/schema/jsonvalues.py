"""Geometries, ids and free values as JSON, and back."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from msgspec import structs

from voyager import wire
from voyager.errors import InvalidDataError
from voyager.schema.geometry import GEOMETRY_NAMES, Box, Geometry, Mask, UnknownGeometry
from voyager.schema.values import Unknown

Json: TypeAlias = Any
"""dict, list, str, int, float, bool or None."""

BLOB_BYTES = wire.ID_BYTES


def read_object(value: Json, path: str) -> dict[str, Json]:
    """A copy of a JSON object."""
    if not isinstance(value, dict):
        raise InvalidDataError(f"{path or 'sample'}: expected an object")
    return dict(value)


def read_list(value: Json, path: str) -> list[Json]:
    """A JSON array."""
    if not isinstance(value, list):
        raise InvalidDataError(f"{path}: expected a list")
    return value


def read_hex(value: Json, size: int, path: str) -> bytes:
    """The bytes of an id of `size` bytes, written in hex."""
    try:
        found = bytes.fromhex(value)
    except (TypeError, ValueError):
        found = b""
    if len(found) != size:
        raise InvalidDataError(f"{path}: expected {2 * size} hex digits")
    return found


def read_blob(value: Json, path: str) -> wire.Ext:
    """The reference of a blob id written in hex."""
    return wire.blob_ref(read_hex(value, BLOB_BYTES, path))


def write_blob(reference: wire.Ext) -> str:
    """The hex of the id that a reference names."""
    return bytes(reference.data).hex()


def write_free(value: Any) -> Json:
    """Any plain value: bytes as {"$bytes": hex}, references as {"$ext": [code, hex]}.

    An object whose one name begins with `$` gets one more `$`, so that nothing reads as another.
    """
    match value:
        case dict():
            written = {name: write_free(item) for name, item in value.items()}
            return {f"${name}": item for name, item in written.items()} if _odd(value) else written
        case list() | tuple():
            return [write_free(item) for item in value]
        case bytes():
            return {"$bytes": value.hex()}
        case wire.Ext():
            return {"$ext": [value.code, bytes(value.data).hex()]}
        case None | bool() | int() | float() | str():
            return value
    raise InvalidDataError(f"a {type(value).__name__} has no JSON")


def read_free(value: Json, path: str) -> Any:
    """The plain value of `write_free`."""
    if isinstance(value, list):
        return [read_free(item, f"{path}[{n}]") for n, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if not _odd(value):
        return {name: read_free(item, f"{path}.{name}") for name, item in value.items()}
    ((name, item),) = value.items()
    try:
        match name, item:
            case "$bytes", str():
                return bytes.fromhex(item)
            case "$ext", [int(code), str(data)]:
                return wire.Ext(code, bytes.fromhex(data))
    except (ValueError, OverflowError):
        raise InvalidDataError(f"{path}.{name}: expected hex") from None
    if not name.startswith("$$"):
        raise InvalidDataError(f"{path}.{name}: expected $bytes or $ext")
    return {name[1:]: read_free(item, f"{path}.{name}")}


def _odd(value: dict[Any, Any]) -> bool:
    return len(value) == 1 and str(next(iter(value))).startswith("$")


_NAMES: Final = {
    Box.name: (("xyxy",), ("xyxy",)),
    Mask.name: (("height", "width", "counts", "blob"), ("height", "width")),
    UnknownGeometry.name: (("encoded",), ("encoded",)),
}
"""Geometry → fields that it may have and must have, where they are not those of its class."""


def write_geometry(geometry: Geometry) -> dict[str, Json]:
    """A geometry as an object with its `type`."""
    body: dict[str, Json]
    match geometry:
        case Box():
            body = {"xyxy": [geometry.x0, geometry.y0, geometry.x1, geometry.y1]}
        case Mask(height, width, counts):
            body = {"height": height, "width": width, **_write_counts(counts)}
        case UnknownGeometry(kept):
            body = {"encoded": write_free(kept.value)}
        case _:
            body = {name: write_free(item) for name, item in structs.asdict(geometry).items()}
    return {"type": geometry.name, **body}


def _write_counts(counts: bytes | wire.Ext) -> dict[str, Json]:
    if isinstance(counts, bytes):
        return {"counts": counts.decode("latin-1")}  # ASCII, but for a damaged row
    return {"blob": write_blob(counts)}


def read_geometry(value: Json, path: str) -> Geometry:
    """The geometry of such an object."""
    fields = read_object(value, path)
    word = fields.pop("type", None)
    try:
        return _build_geometry(word, fields)
    except TypeError as error:
        _check_names(word, read_object(value, path), path)
        raise InvalidDataError(f"{path}: {error}") from None
    except (ValueError, InvalidDataError) as error:
        raise InvalidDataError(f"{path}: {error}") from None


def _check_names(word: str, fields: dict[str, Json], path: str) -> None:
    """Refuse fields that a geometry has not, and the lack of those that it must have."""
    known, needed = _NAMES.get(word) or _names_of(GEOMETRY_NAMES[word])
    for name in fields:
        if name not in (*known, "type"):
            raise InvalidDataError(f"{path}.{name}: there is no such field")
    for name in needed:
        if name not in fields:
            raise InvalidDataError(f"{path}: there is no '{name}'")
    if word == Box.name and not (isinstance(fields["xyxy"], list) and len(fields["xyxy"]) == 4):
        raise InvalidDataError(f"{path}.xyxy: expected 4 numbers")


def _names_of(kind: type[Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields that a class may have, and those that it must have."""
    fields = structs.fields(kind)
    return tuple(f.name for f in fields), tuple(f.name for f in fields if f.required)


def _build_geometry(word: Json, fields: dict[str, Json]) -> Geometry:
    match word:
        case Box.name:
            return Box(*fields.pop("xyxy", ()), **fields)
        case Mask.name:
            return Mask(counts=_read_counts(fields), **fields)
        case UnknownGeometry.name:
            kept = read_free(fields.pop("encoded", None), "encoded")
            return UnknownGeometry(Unknown(kept), **fields)
    if not isinstance(word, str) or word not in GEOMETRY_NAMES:
        raise InvalidDataError(f"type: expected one of {', '.join(GEOMETRY_NAMES)}")
    geometry: Geometry = GEOMETRY_NAMES[word](**fields)
    return geometry


def _read_counts(fields: dict[str, Json]) -> bytes | wire.Ext:
    if "blob" in fields:
        return read_blob(fields.pop("blob"), "blob")
    counts = fields.pop("counts", None)
    if not isinstance(counts, str) or not counts.isascii():
        raise InvalidDataError("counts: expected the text of compressed counts")
    return counts.encode()
