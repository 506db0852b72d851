"""Geometries measured by the million: from the bytes of their rows, without making them.

Boxes and polygons of one ring, which are nearly all there is, are measured together as arrays; the
rest one by one (`measures`). Canonical floats are 0xcb and eight bytes (spec 1), so that the
numbers of a ring stand nine bytes apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Raw

from voyager.schema.codec import RowKind, decode_as, decode_geometry
from voyager.schema.geometry import GEOMETRIES, Geometry, Polygon
from voyager.schema.measures import area, bounds
from voyager.schema.rle import Load
from voyager.schema.values import BadValueError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Encoded: TypeAlias = Raw | Geometry
"""A geometry as a partial decoder leaves it: its bytes, or itself."""

X0, Y0, X1, Y1, AREA = range(5)
"""The columns of `measure_all`."""

_NUMBER = 9
_ONE_ENTRY, _SHORT_TEXT = 0x81, 0xA0
"""First bytes of a map of one entry, and of a text: its length is added."""

_BOX = b"\x95\x01"
_BOX_BYTES = len(_BOX) + 4 * _NUMBER
_POLYGON = b"\x92\x03"
_ONE_RING = _POLYGON + b"\x91\x91"
_NAMES: Final[dict[int, str]] = {tag: shape.name for tag, shape in GEOMETRIES.items()}


def may_have(row: bytes, kind: type[Any]) -> bool:
    """Whether a sample's row may have such a geometry: a quick look, of which only no is sure."""
    fields, tag = len(kind.__struct_fields__), kind.__struct_config__.tag
    return bytes([0x91 + fields, tag]) in row


def shape_name(shape: Encoded) -> str | None:
    """The word for the kind of a geometry, None for one of a newer spec."""
    if isinstance(shape, Raw):
        return _NAMES.get(memoryview(shape)[1])
    return shape.name if type(shape) in GEOMETRIES.values() else None


def part_count(shape: Encoded) -> int | None:
    """How many parts a polygon has, None for any other geometry."""
    if isinstance(shape, Raw):
        data = memoryview(shape)
        return _array_header(data[2:7])[0] if data[:2] == _POLYGON else None
    return len(shape.parts) if isinstance(shape, Polygon) else None


def open_map(geometries: Raw | Mapping[str, Geometry]) -> Mapping[str, Encoded]:
    """Geometries by role, as a partial decoder leaves them."""
    if not isinstance(geometries, Raw):
        return geometries
    found: dict[str, Raw] = decode_as(bytes(geometries), _MAP)
    return found


_MAP: RowKind[dict[str, Raw]] = RowKind(dict[str, Raw], "geometries")


def measure_maps(
    maps: Sequence[Raw | Mapping[str, Geometry]],
    primary: Callable[[int], Encoded | None],
    load: Load | None = None,
) -> NDArray[Any]:
    """As `measure_all` of the primary geometry of each map; `primary` gives that at a place.

    Boxes that are alone in their map are measured without opening it.
    """
    import numpy as np

    encoded = [bytes(found) if isinstance(found, Raw) else b"" for found in maps]
    boxes, numbers = _find_boxes(encoded, in_maps=True)
    measured = np.full((len(maps), 5), np.nan)
    if boxes.any():
        measured[boxes] = _measure_boxes(numbers)
    others = np.flatnonzero(~boxes)
    if len(others):
        measured[others] = measure_all([primary(at) for at in others.tolist()], load)
    return measured


def measure_all(shapes: Sequence[Encoded | None], load: Load | None = None) -> NDArray[Any]:
    """Bounds and area of each shape as rows (x0, y0, x1, y1, area); NaN where there is none."""
    import numpy as np

    measured = np.full((len(shapes), 5), np.nan)
    encoded = [bytes(shape) if isinstance(shape, Raw) else b"" for shape in shapes]
    boxes, numbers = _find_boxes(encoded)
    if boxes.any():
        measured[boxes] = _measure_boxes(numbers)
    rings: dict[int, bytes] = {}
    for at in np.flatnonzero(~boxes).tolist():
        data = encoded[at]
        if data.startswith(_ONE_RING) and (ring := _numbers_of_ring(data)):
            rings[at] = ring
        elif (shape := shapes[at]) is not None:
            measured[at] = _measure(decode_geometry(data) if data else shape, load)
    if rings:
        measured[list(rings)] = _measure_rings(list(rings.values()))
    return measured


def _find_boxes(
    encoded: Sequence[bytes], *, in_maps: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which shapes are boxes, or maps of one box, and the bytes of their numbers, a box a row."""
    import numpy as np

    data = np.frombuffer(b"".join(encoded), np.uint8)
    sizes = np.fromiter(map(len, encoded), np.int64, len(encoded))
    starts = np.cumsum(sizes) - sizes
    boxes = sizes >= _BOX_BYTES
    if in_maps:
        boxes[boxes] = data[starts[boxes]] == _ONE_ENTRY
        role = np.where(boxes, data[np.where(boxes, starts + 1, 0)], 0) if len(data) else sizes
        boxes &= (role >= _SHORT_TEXT) & (role < _SHORT_TEXT + 32)
        head = np.where(boxes, 2 + role.astype(np.int64) - _SHORT_TEXT, 0)
        starts, sizes = starts + head, sizes - head
    boxes &= sizes == _BOX_BYTES
    for place, byte in enumerate(_BOX):
        boxes[boxes] = data[starts[boxes] + place] == byte
    return boxes, data[starts[boxes, None] + np.arange(len(_BOX), _BOX_BYTES)]


def _measure(shape: Any, load: Load | None) -> tuple[float, ...]:
    try:
        box = bounds(shape, load=load) or (math.nan,) * 4
        size = area(shape, load=load)
    except BadValueError:  # a mask whose counts are damaged: fsck and validation tell
        return (math.nan,) * 5
    return (*box, math.nan if size is None else size)


def _numbers_of_ring(data: bytes) -> bytes:
    """The numbers of the only ring; nothing where they do not stand nine bytes apart."""
    count, size = _array_header(memoryview(data)[len(_ONE_RING) :])
    numbers = data[len(_ONE_RING) + size :]
    return numbers if count and len(numbers) == count * _NUMBER else b""


def _array_header(data: memoryview) -> tuple[int, int]:
    """(elements, bytes of the header) of a msgpack array."""
    first = data[0]
    if first < 0xA0:
        return first & 15, 1
    size = 3 if first == 0xDC else 5
    return int.from_bytes(data[1:size], "big"), size


def _as_floats(numbers: Sequence[bytes]) -> NDArray[Any]:
    import numpy as np

    return _floats_of(np.frombuffer(b"".join(numbers), np.uint8))


def _floats_of(numbers: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    cells = numbers.reshape(-1, _NUMBER)
    return np.ascontiguousarray(cells[:, 1:]).view(">f8").ravel().astype(np.float64)


def _measure_boxes(numbers: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    corners = _floats_of(numbers).reshape(-1, 2, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.column_stack([low, high, _finite(np.prod(high - low, axis=1))])


def _measure_rings(rings: Sequence[bytes]) -> NDArray[Any]:
    import numpy as np

    points = _as_floats(rings).reshape(-1, 2)
    counts = np.array([len(ring) // (2 * _NUMBER) for ring in rings])
    starts = np.cumsum(counts) - counts
    low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    after = np.arange(1, len(points) + 1)
    after[starts + counts - 1] = starts
    with np.errstate(over="ignore", invalid="ignore"):
        points = points - np.repeat(points[starts], counts, axis=0)  # far-off ones keep digits
        crosses = points[:, 0] * points[after, 1] - points[after, 0] * points[:, 1]
        sizes = np.abs(np.add.reduceat(crosses, starts)) / 2
    return np.column_stack([low, high, _finite(sizes)])


def _finite(sizes: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.where(sizes < np.inf, sizes, np.nan)
