"""What is said of a sample as marks and notes, and the whole sample as one picture."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from PIL import Image

from voyager.errors import VoyagerError
from voyager.pictures.captions import write_notes
from voyager.pictures.frame import Frame, ReadBlob, frame_of
from voyager.pictures.overlay import Mark, Pen, draw
from voyager.pictures.palette import Colour, colour_of
from voyager.pictures.shapes import Edges
from voyager.schema import Geometry, Label, Mask, Region, Sample

_BLANK_SIDE = 1024
"""Longest side of a picture of an image that is not here."""


def _text_of(label: Label) -> str:
    """A label without its taxonomy: its value, or the start of its node's id."""
    return str(label.value) if label.node is None else label.node.hex()[:8]


@dataclass(frozen=True, slots=True)
class Legend:
    """How labels are called and coloured, and how keypoints are joined.

    `name` is the class of a label (of a node, its name or path), `colour` that of a class,
    `skeletons` the edges by task.
    """

    name: Callable[[Label], str] = _text_of
    colour: Callable[[str], Colour] = colour_of
    skeletons: Mapping[str, Edges] = field(default_factory=dict)


DEFAULT_LEGEND = Legend()


def region_marks(
    region: Region, read: ReadBlob, legend: Legend = DEFAULT_LEGEND
) -> tuple[Mark, ...]:
    """The marks of a region: its primary geometry with a caption, and the others behind it.

    What is only proposed is dashed. `read` fetches masks that are blobs.
    """
    names = [legend.name(label) for label in _shown(region.labels)]
    colour = legend.colour(names[0] if names else "")
    edges = next((legend.skeletons.get(label.task, ()) for label in region.labels), ())
    marks = [
        Mark(
            _in_line(geometry, read),
            colour,
            style="dashed" if region.state == "proposed" else "solid",
            caption=_caption(region, names) if role == region.primary_role else "",
            fill=None if role == region.primary_role else 0.0,
            skeleton=edges,
        )
        for role, geometry in region.geometries.items()
    ]
    return tuple(sorted(marks, key=lambda mark: bool(mark.caption)))


def sample_marks(
    sample: Sample, read: ReadBlob, legend: Legend = DEFAULT_LEGEND
) -> tuple[Mark, ...]:
    """The marks of all regions of a sample that were not rejected."""
    regions = [region for region in sample.regions if region.state != "rejected"]
    return tuple(mark for region in regions for mark in region_marks(region, read, legend))


def sample_notes(sample: Sample, legend: Legend = DEFAULT_LEGEND) -> Iterator[tuple[str, Colour]]:
    """What is said of the image as a whole, with the colours of the classes."""
    for label in _shown(sample.labels):
        name = legend.name(label)
        yield f"{label.task}: {name}", legend.colour(name)


def sample_picture(
    sample: Sample,
    read: ReadBlob,
    *,
    legend: Legend = DEFAULT_LEGEND,
    max_side: int | None = None,
) -> bytes:
    """A PNG of the whole sample, upright, with its regions and labels on it.

    `read` fetches the image and masks by blob id; an image that is not here is plain grey and says
    why. `max_side` is the longest side of the picture in pixels, at most that of the image.
    """
    frame = frame_of(sample.image, read, most=max_side)
    picture = whole(frame, sample_marks(sample, read, legend), max_side=max_side)
    write_notes(picture, sample_notes(sample, legend), size=Pen.suiting(picture.size).text)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def whole(frame: Frame, marks: Iterable[Mark], *, max_side: int | None = None) -> Image.Image:
    """The whole of a frame with marks on it."""
    longest = max(frame.width, frame.height)
    most = longest if max_side is None else max_side
    scale = min(most if frame.pixels else min(most, _BLANK_SIDE), longest) / longest
    size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
    view = frame.view.scaled(size[0] / frame.width, size[1] / frame.height)
    return frame.explain(draw(frame.cut(frame.bounds, size), marks, view=view))


def _shown(labels: Iterable[Label]) -> list[Label]:
    return [label for label in labels if label.state != "rejected"]


def _caption(region: Region, names: list[str]) -> str:
    score = region.score
    if score is None and len(region.labels) == 1:
        score = region.labels[0].score
    text = ", ".join(names)
    return text if score is None else f"{text} {score:.2f}".strip()


def _in_line(geometry: Geometry, read: ReadBlob) -> Geometry:
    """The geometry, a mask with its counts; one whose blob cannot be read is not drawn."""
    if not isinstance(geometry, Mask) or geometry.blob_id is None:
        return geometry
    try:
        return geometry.replace(counts=read(geometry.blob_id))
    except VoyagerError:
        return geometry
