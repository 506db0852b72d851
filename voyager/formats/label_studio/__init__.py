"""Label Studio JSON: tasks with annotations and predictions; the short form; tasks to import."""

from __future__ import annotations

from voyager.formats.base import Detection, Format, Holds, Source
from voyager.formats.label_studio.reading import looks_like_tasks, read, task_files
from voyager.formats.label_studio.writing import write
from voyager.schema import FLAGS

HOLDS = Holds(
    geometries=frozenset(
        {"box", "rotated-box", "polygon", "polyline", "points", "keypoints", "mask", "ellipse"}
    ),
    quantum=1e-6,  # percent and back
    image_labels="many",
    region_labels="many",
    texts=True,
    tasks=True,
    flags=frozenset(FLAGS),
    attrs=True,
    scores=True,
    links=True,
    meta=True,
    split=True,
    several=True,
    converts={"cuboid": "polygon"},
)


def detect(source: Source) -> Detection | None:
    """Label Studio, by the fields of its tasks."""
    if not source.is_folder and source.path.suffix.lower() != ".json":
        return None
    for name in task_files(source)[:20]:
        certainty = looks_like_tasks(source, name)
        if certainty:
            return Detection(certainty, f"{name} has Label Studio's tasks")
    return None


FORMAT = Format(
    name="label-studio",
    title="Label Studio",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "config": "import: the labeling configuration (by default label_config.xml beside)",
        "image": "import: the field of a task's data that is its image",
        "prefix": "export: what stands before images/… in URLs (by default local files)",
    },
)
