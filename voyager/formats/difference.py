"""Whether two projected samples say the same, and the first thing in which they differ.

Order, ids and origins are no difference; coordinates may differ by a format's quantum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Keypoints,
    Label,
    Link,
    Mask,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
)
from voyager.schema.outline import ellipse_axes, rotated_ring
from voyager.schema.rle import canonical, decode_counts

_SCORE = 1e-6


def difference(a: Sample, b: Sample, quantum: float = 0.0) -> str | None:
    """The first difference between two projected samples, in words; None where there is none."""
    for name in ("split", "group", "meta", "negatives", "coverage", "extra", "assets", "held"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            return f"{name}: {_shown(one)} is not {_shown(other)}"
    return _label_difference("", a.labels, b.labels) or _regions_difference(a, b, quantum)


def _regions_difference(a: Sample, b: Sample, quantum: float) -> str | None:
    if len(a.regions) != len(b.regions):
        return f"{len(a.regions)} regions are not {len(b.regions)}: {_kinds(a)} and {_kinds(b)}"
    left = list(b.regions)
    paired: dict[bytes, bytes] = {}
    for number, region in enumerate(a.regions):
        found = [region_difference(region, other, quantum) for other in left]
        if None not in found:
            return f"regions[{number}] ({_said(region)}) has no equal: {_nearest(found)}"
        other = left.pop(found.index(None))
        paired[region.id] = other.id
    return _link_difference(a, b, paired)


def _kinds(sample: Sample) -> str:
    names = sorted(f"{'+'.join(region.geometries)} {_said(region)}" for region in sample.regions)
    return ", ".join(names[:12]) or "none"


def _said(region: Region) -> str:
    return " ".join(str(label.value) for label in region.labels) or "no class"


def _nearest(found: list[str | None]) -> str:
    """The words of the pair that got furthest: geometry is compared last."""
    words = [text for text in found if text is not None]
    return max(words, key=lambda text: _ORDER.index(text.partition(":")[0].partition("[")[0]))


_ORDER = [
    *("labels", "flags", "attrs", "source", "state", "track", "frame_state", "extra", "score"),
    *("links", "geometries"),
]


def region_difference(a: Region, b: Region, quantum: float) -> str | None:
    """The first difference between two projected regions, None where they say the same."""
    words = _label_difference("", a.labels, b.labels)
    if words is not None:
        return words
    for name in ("flags", "attrs", "source", "state", "track", "frame_state", "extra"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            return f"{name}: {_shown(one)} is not {_shown(other)}"
    if not _same_score(a.score, b.score):
        return f"score: {a.score} is not {b.score}"
    if len(a.links) != len(b.links):
        return f"links: {len(a.links)} are not {len(b.links)}"
    if a.geometries.keys() != b.geometries.keys():
        return f"geometries: {', '.join(a.geometries)} are not {', '.join(b.geometries)}"
    for role, shape in a.geometries.items():
        if not same_geometry(shape, b.geometries[role], quantum):
            return f"geometries[{role}]: {_shown(shape)} is not {_shown(b.geometries[role])}"
    return None


def _label_difference(place: str, a: tuple[Label, ...], b: tuple[Label, ...]) -> str | None:
    one, other = sorted(map(_label_key, a), key=repr), sorted(map(_label_key, b), key=repr)
    return None if one == other else f"labels: {_shown(one)} are not {_shown(other)}"


def _label_key(label: Label) -> tuple[Any, ...]:
    score = None if label.score is None else round(label.score, 6)
    value = label.node if label.value is None else label.value
    return (label.task, value, label.language, label.source, label.state, score)


def _same_score(a: float | None, b: float | None) -> bool:
    return a == b or (a is not None and b is not None and abs(a - b) <= _SCORE)


def _link_difference(a: Sample, b: Sample, paired: dict[bytes, bytes]) -> str | None:
    other = {region.id: region for region in b.regions}
    for number, region in enumerate(a.regions):
        one = sorted(_link_keys(region, a, paired))
        two = sorted(_link_keys(other[paired[region.id]], b, {}))
        if one != two:
            return f"regions[{number}].links: {one} are not {two}"
    return None


def _link_keys(
    region: Region, sample: Sample, paired: dict[bytes, bytes]
) -> Iterator[tuple[str, str]]:
    """(kind, target) of links; a region of the same sample by the id of its equal."""

    def target(link: Link) -> str:
        inside = link.uid == sample.uid
        return paired.get(link.region, link.region).hex() if inside else "elsewhere"

    return ((link.kind, target(link)) for link in region.links)


# -- geometries ----------------------------------------------------------------------------------


def same_geometry(a: Geometry, b: Geometry, quantum: float = 0.0) -> bool:
    """Whether two geometries are the same shape within a quantum, in pixels.

    A rotated box or ellipse may be written with its axes changed over; a mask is its pixels.
    """
    if type(a) is not type(b):
        return False
    if a == b:
        return True
    if isinstance(a, Mask) and isinstance(b, Mask):
        return _same_mask(a, b)
    if isinstance(a, Keypoints) and isinstance(b, Keypoints) and a.visibility != b.visibility:
        return False
    rings = _RINGS.get(type(a))
    if rings is None:
        return False
    one, other = rings(a), rings(b)
    if [len(ring) for ring in one] != [len(ring) for ring in other]:
        return False
    turned = isinstance(a, RotatedBox | Ellipse)
    return all(_near(*pair, quantum, turned=turned) for pair in zip(one, other, strict=True))


def _same_mask(a: Mask, b: Mask) -> bool:
    if (a.height, a.width) != (b.height, b.width):
        return False
    if not (isinstance(a.counts, bytes) and isinstance(b.counts, bytes)):
        return False
    return canonical(decode_counts(a.counts)) == canonical(decode_counts(b.counts))


def _near(
    one: tuple[float, ...], other: tuple[float, ...], quantum: float, *, turned: bool
) -> bool:
    """Whether points lie within the quantum; in `turned`, from any of them on and either way."""
    least = max(map(abs, (*one, *other)), default=0.0) * 1e-9

    def near(points: tuple[float, ...]) -> bool:
        return all(
            math.isclose(x, y, rel_tol=0.0, abs_tol=quantum + least)
            for x, y in zip(one, points, strict=True)
        )

    if near(other):
        return True
    if not turned:
        return False
    points = list(zip(other[0::2], other[1::2], strict=True))
    for order in (points, points[::-1]):
        for start in range(len(order)):
            cycle = order[start:] + order[:start]
            if near(tuple(number for point in cycle for number in point)):
                return True
    return False


_RINGS: dict[type[Any], Callable[[Any], list[tuple[float, ...]]]] = {
    Box: lambda box: [(box.x0, box.y0, box.x1, box.y1)],
    RotatedBox: lambda box: [rotated_ring(box)],
    Ellipse: lambda ellipse: [ellipse_axes(ellipse)],
    Polygon: lambda polygon: [ring for rings in polygon.parts for ring in (*rings, ())],
    Polyline: lambda line: [line.points],
    Points: lambda points: [points.points],
    Keypoints: lambda keypoints: [keypoints.points],
    Cuboid: lambda cuboid: [cuboid.corners],
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else text[:300] + "…"
