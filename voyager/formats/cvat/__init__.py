"""CVAT 1.1 XML: images with shapes and tags, or tracks over the frames of a video.

The format is that of CVAT's "CVAT for images 1.1" and "CVAT for video 1.1"
(docs.cvat.ai, XML annotation format). CVAT itself writes coordinates with two decimals.
"""

from __future__ import annotations

from voyager.formats.base import Detection, Format, Holds, Source
from voyager.formats.cvat.reading import detect_kind, read
from voyager.formats.cvat.writing import write

HOLDS = Holds(
    geometries=frozenset(
        {"box", "rotated-box", "polygon", "polyline", "points"}
        | {"keypoints", "mask", "ellipse", "cuboid"}
    ),
    quantum=0.01,  # CVAT rounds to two decimals when it writes a file again
    image_labels="many",
    region_labels="one",
    other_tasks=True,
    flags=frozenset({"occluded"}),
    attrs=True,
    unlabeled=False,
)


def detect(source: Source) -> Detection | None:
    """CVAT for images, by the <annotations> and version of an XML file."""
    return detect_kind(source, video=False)


FORMAT = Format(
    name="cvat",
    title="CVAT for images 1.1",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
)
