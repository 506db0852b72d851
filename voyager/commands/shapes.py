"""Geometries as one types them: numbers after `--box` and the like, a mask's file, or JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import typer

from voyager.errors import InvalidDataError, UsageError
from voyager.schema import (
    Box,
    Ellipse,
    Geometry,
    Image,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from voyager.schema.jsonvalues import read_geometry

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Text: TypeAlias = str | None
_SEEN: Final[dict[float, Literal[0, 1, 2]]] = {0: 0, 1: 1, 2: 2}

BoxOption: TypeAlias = Annotated[_Text, typer.Option("--box", metavar="X0,Y0,X1,Y1")]
PolygonOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--polygon", metavar="X,Y,X,Y,…", help="given again: one more part"),
]
PointsOption: TypeAlias = Annotated[_Text, typer.Option("--points", metavar="X,Y,…")]
KeypointsOption: TypeAlias = Annotated[
    _Text, typer.Option("--keypoints", metavar="X,Y,V,…", help="V: 0 not there, 1 hidden, 2 seen")
]
RotatedBoxOption: TypeAlias = Annotated[
    _Text,
    typer.Option("--rotated-box", metavar="CX,CY,W,H,A", help="A in radians clockwise, or 30deg"),
]
PolylineOption: TypeAlias = Annotated[_Text, typer.Option("--polyline", metavar="X,Y,X,Y,…")]
EllipseOption: TypeAlias = Annotated[
    _Text, typer.Option("--ellipse", metavar="CX,CY,RX,RY,A", help="half axes, then as above")
]
MaskOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--mask", metavar="FILE", help="an image of the same size; what is not 0 is in"),
]
GeometryOption: TypeAlias = Annotated[
    _Text, typer.Option("--geometry", metavar="JSON", help="as vgr show --json writes it")
]


class Drawn(NamedTuple):
    """What was given of the options that draw a shape."""

    box: str | None = None
    polygon: Sequence[str] | None = None
    points: str | None = None
    keypoints: str | None = None
    rotated_box: str | None = None
    polyline: str | None = None
    ellipse: str | None = None
    mask: Path | None = None
    geometry: str | None = None


def read_shape(drawn: Drawn, image: Image) -> Geometry | None:
    """The one shape that was drawn, None without any; UsageError for more, and for bad numbers.

    InvalidDataError for a mask's file that cannot be read.
    """
    given = {name: value for name, value in drawn._asdict().items() if value}
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{names} are two shapes", hint="vgr region move --role adds another")
    for name, value in given.items():
        if name == "mask":
            return read_mask(value, image)
        option = f"--{name.replace('_', '-')}"
        try:
            return _READERS[name](value, option)
        except InvalidDataError as error:
            raise UsageError(f"{option}: {error.message}") from None
    return None


def read_numbers(text: str, option: str, *, count: int | None = None, each: int = 1) -> list[float]:
    """Numbers between commas: so many, or a multiple of `each`; UsageError for anything else."""
    words = text.replace(" ", ",").split(",")
    try:
        numbers = [float(word) for word in words if word]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        raise UsageError(f"{option} is numbers with commas between them, not '{text}'")
    if count is not None and len(numbers) != count:
        raise UsageError(f"{option} has {count} numbers, not {len(numbers)}")
    if len(numbers) % each:
        raise UsageError(f"{option} has {each} numbers for each point; {len(numbers)} were given")
    return numbers


def _read_box(text: str, option: str) -> Box:
    x0, y0, x1, y1 = read_numbers(text, option, count=4)
    if x1 < x0 or y1 < y0:
        raise UsageError(f"{option} is left, top, right, bottom: '{text}' is turned inside out")
    return Box(x0, y0, x1, y1)


def _read_polygon(texts: Sequence[str], option: str) -> Polygon:
    rings = [read_numbers(text, option, each=2) for text in texts]
    if any(len(ring) < 6 for ring in rings):
        raise UsageError(f"{option} has three points at least")
    return Polygon(tuple((tuple(ring),) for ring in rings))


def _read_keypoints(text: str, option: str) -> Keypoints:
    numbers = read_numbers(text, option, each=3)
    seen = numbers[2::3]
    if not _SEEN.keys() >= set(seen):
        raise UsageError(f"{option}: the third number of a point is 0, 1 or 2")
    points = [value for place, value in enumerate(numbers) if place % 3 < 2]
    return Keypoints(tuple(points), tuple(_SEEN[number] for number in seen))


def _read_turned(text: str, option: str) -> list[float]:
    """Four numbers and an angle, which may be in degrees."""
    if not text.endswith("deg"):
        return read_numbers(text, option, count=5)
    *numbers, angle = read_numbers(text.removesuffix("deg"), option, count=5)
    return [*numbers, math.radians(angle)]


def _read_json(text: str, _: str) -> Geometry:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--geometry is no JSON: {error.msg}", hint='{"type": "box", …}') from None
    return read_geometry(value, "JSON")


_READERS: dict[str, Callable[[Any, str], Geometry]] = {
    "box": _read_box,
    "polygon": _read_polygon,
    "points": lambda text, option: Points(tuple(read_numbers(text, option, each=2))),
    "keypoints": _read_keypoints,
    "rotated_box": lambda text, option: RotatedBox(*_read_turned(text, option)),
    "polyline": lambda text, option: Polyline(tuple(read_numbers(text, option, each=2))),
    "ellipse": lambda text, option: Ellipse(*_read_turned(text, option)),
    "geometry": _read_json,
}


def read_mask(path: Path, image: Image) -> Mask:
    """The mask of an image file: its pixels that are not 0 in some colour.

    UsageError when it has not the size of the sample's image.
    """
    from voyager.images import probe
    from voyager.schema.rle import mask_of_array

    data = path.read_bytes()
    info = probe(data, path.name)
    if info is None or info.problem is not None:
        problem = "no image" if info is None else info.problem
        raise InvalidDataError(f"a mask cannot be read: {problem}", path=path)
    if info.type == "jpeg":
        raise UsageError(f"'{path}' is a JPEG, which blurs a mask", hint="PNG keeps it exactly")
    if (info.width, info.height) != (image.width, image.height):
        raise UsageError(
            f"'{path}' has {info.width}×{info.height} pixels,"
            f" the image {image.width}×{image.height}"
        )
    return mask_of_array(_pixels(data, path))


def _pixels(data: bytes, path: Path) -> NDArray[Any]:
    """Height × width; what is transparent counts by its colour, as in files without alpha."""
    import io

    import numpy as np
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(data)) as picture:
            colours = len(picture.getbands()) - picture.mode.endswith(("A", "a"))
            array = np.asarray(picture)
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidDataError(f"a mask cannot be read: {error}", path=path) from None
    return array if array.ndim == 2 else np.any(array[:, :, :colours], axis=2)
