"""LabelMe JSON: a file beside each image, with its shapes.

The tool keeps fields that it does not know, in files and in shapes: there stands what LabelMe has
no place for (`split`, `meta`, `attributes`, `score`). The XML of the older LabelMe is another
format.
"""

from __future__ import annotations

from voyager.formats.base import Detection, Format, Holds, Source
from voyager.formats.labelme.reading import label_files, read
from voyager.formats.labelme.writing import write
from voyager.schema import FLAGS

HOLDS = Holds(
    geometries=frozenset({"box", "polygon", "polyline", "points", "mask", "ellipse"}),
    quantum=1e-9,
    image_labels="none",
    region_labels="one",
    other_tasks=True,
    flags=frozenset(FLAGS),
    attrs=True,
    scores=True,
    meta=True,
    split=True,
    parts=True,
    converts={"rotated-box": "polygon", "cuboid": "polygon"},
)


def detect(source: Source) -> Detection | None:
    """LabelMe, by the fields of its JSON files."""
    if not source.is_folder and source.path.suffix.lower() != ".json":
        return None
    names = label_files(source, most=50)
    return Detection(0.9, f"{names[0]} has LabelMe's shapes") if names else None


FORMAT = Format(
    name="labelme",
    title="LabelMe",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "flags": "import: what flags of images are: meta (default), or labels (the true ones)",
    },
)
