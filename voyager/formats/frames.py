"""Labels made on the upright view of a photo, brought into the frame of the stored pixels."""

from __future__ import annotations

from typing import Literal

from voyager.formats.base import Item
from voyager.formats.report import Report
from voyager.schema import Image, Sample

Frame = Literal["auto", "stored", "upright"]

_QUARTER_TURNS = (5, 6, 7, 8)


def in_stored_frame(
    sample: Sample, image: Image, frame: Frame, item: Item, report: Report
) -> Sample:
    """The sample with its regions in the frame of the stored image.

    `auto` takes the frame from the size that the source states: for quarter turns it tells; for
    half turns and mirrors it cannot, which is reported. Stored is what is assumed then.
    """
    said = (sample.image.width, sample.image.height)
    stored = (image.width, image.height)
    if None in stored:
        return sample
    if _is_upright(said, stored, image.orientation, frame, item, report, bool(sample.regions)):
        return _turned_back(sample, image)
    if None not in said and said not in (stored, stored[::-1]) and sample.regions:
        report.add(
            "guessed",
            "the labels state another size than the image has: coordinates were taken as they are",
            f"{item.place or item.name}: {said[0]}×{said[1]}, image {stored[0]}×{stored[1]}",
        )
    return sample


def _is_upright(
    said: tuple[int | None, int | None],
    stored: tuple[int | None, int | None],
    orientation: int,
    frame: Frame,
    item: Item,
    report: Report,
    has_regions: bool,
) -> bool:
    if orientation == 1 or frame == "stored" or not has_regions:
        return False
    if frame == "upright":
        return True
    if orientation in _QUARTER_TURNS and stored[0] != stored[1]:
        if said == stored[::-1]:
            report.add(
                "repaired", "labels of the upright photo were turned to its pixels", item.name
            )
            return True
        if said == stored:
            return False
    report.add(
        "guessed",
        "a photo is turned and the labels do not tell which way they are: taken as stored"
        " (--frame upright takes them the other way)",
        item.name,
    )
    return False


def _turned_back(sample: Sample, image: Image) -> Sample:
    from voyager.schema.transform import stored

    assert image.width is not None
    assert image.height is not None
    regions = tuple(
        region.replace(
            geometries={
                role: stored(shape, image.orientation, image.width, image.height)
                for role, shape in region.geometries.items()
            }
        )
        for region in sample.regions
    )
    return sample.replace(regions=regions)
