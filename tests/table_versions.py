"""Versions in memory for the tests of tables and expressions."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import fold_roots, overlay_of
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema import (
    Box,
    Group,
    Held,
    Image,
    Label,
    Link,
    Mask,
    Origin,
    Polygon,
    Region,
    Sample,
    coverage_key,
    encode_sample,
    sample_uid,
)
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store.objects import MemoryObjects
from voyager.wire import blob_ref

BCCD = Path(__file__).parent / "data" / "bccd" / "boxes.csv"


def version_of(samples: Iterable[tuple[str, Sample]], draft: Draft | None = None) -> Dataset:
    """A version with these samples, and the vocabulary of a draft."""
    objects = MemoryObjects()
    changes = [(SAMPLES, key.encode(), encode_sample(sample)) for key, sample in samples]
    changes += vocabulary_changes(draft) if draft is not None else []
    return Dataset(objects, fold_roots(objects, {}, overlay_of(changes)))


@cache
def blood() -> Dataset:
    """Real boxes of blood cells: the first images of BCCD."""
    draft = Draft(Vocabulary())
    boxes: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(BCCD.read_text().splitlines()):
        boxes.setdefault(row["filename"], []).append(row)
    samples = []
    for name, rows in boxes.items():
        regions = []
        for number, row in enumerate(rows):
            corners = [float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
            node = draft.category("category", row["cell_type"])
            label = Label(task="category", node=node, source="import")
            regions.append(
                Region(
                    id=number.to_bytes(16),
                    geometries={"box": Box(*corners)},
                    labels=(label,),
                    source="import",
                )
            )
        image = Image(uri=name, width=640, height=480)
        uid = sample_uid(name.encode(), name)
        samples.append((f"blood/{name}", Sample(uid=uid, image=image, regions=tuple(regions))))
    return version_of(samples, draft)


@cache
def shop() -> Dataset:
    """Three samples that have something of everything.

    Tasks: category (both), colour (regions, many), scene (image), price_seen (number),
    indoor (bool), caption (text), Width (image; the name of a column).
    """
    draft = Draft(Vocabulary())
    chair = draft.mint_path("category", "furniture/chair")
    stool = draft.mint_path("category", "furniture/stool")
    person = draft.mint_path("category", "person")
    draft.define("category")
    red, blue = draft.mint_path("palette", "red"), draft.mint_path("palette", "blue")
    draft.define("colour", scope="region", many=True, taxonomy="palette")
    draft.define("scene", scope="image", taxonomy="category")
    for name, kind in (("price_seen", "number"), ("indoor", "bool"), ("caption", "text")):
        draft.define(name, scope="image", kind=kind)
    draft.define("Width", scope="image", kind="text")

    first = Sample(
        uid=b"a" * 16,
        split="train",
        image=Image(blob=blob_ref(b"b" * 32), type="jpeg", bytes=9, width=640, height=480),
        labels=(
            Label(task="scene", node=chair),
            Label(task="price_seen", value=12.5),
            Label(task="indoor", value=True),
            Label(task="caption", value="a dog", ordinal=1, source="import", language="en"),
            Label(task="caption", value="a chair", ordinal=0, source="import"),
            Label(task="Width", value="wide"),
        ),
        regions=(
            Region(
                id=bytes(15) + b"\1",
                geometries={
                    "box": Box(10, 20, 40, 60),
                    "mask": Polygon([[[0, 0, 4, 0, 4, 3]], [[8, 8, 9, 8, 9, 9]]]),
                },
                primary="mask",
                labels=(
                    Label(
                        task="category",
                        node=stool,
                        source="model:yolo",
                        score=0.5,
                        origin=Origin(id=7, annotator="Bo"),
                    ),
                    Label(task="colour", node=red),
                    Label(task="colour", node=blue),
                ),
                flags=("crowd",),
                attrs={"pose": "left", "age": 3, "wet": True},
                links=(Link(uid=b"b" * 16, region=bytes(15) + b"\3", kind="same"),),
                score=0.75,
                source="model:yolo",
            ),
            Region(
                id=bytes(15) + b"\2",
                geometries={"box": Box(0, 0, 10, 10)},
                labels=(Label(task="category", node=person, state="proposed"),),
                state="proposed",
                track="t1",
                frame_state="keyframe",
            ),
        ),
        negatives={"category": (person,)},
        coverage={
            "category": "exhaustive",
            coverage_key("colour", blue): "exhaustive",
            "scene": "partial",
        },
        meta={"price": 3, "tags": ["new", "blue"], "ok": True, "Size": 1},
        group=Group(id="drive", view="left", index=4, time=0.5),
    )
    second = Sample(
        uid=b"b" * 16,
        split="val",
        image=Image(uri="http://x/2.png", width=100, height=200, orientation=6),
        labels=(
            Label(task="scene", node=stool, source="human:ann"),
            Label(task="scene", node=person, source="human:bo"),
        ),
        regions=(
            Region(
                id=bytes(15) + b"\3",
                geometries={"mask": Mask(4, 4, b"534")},
                labels=(Label(task="category", node=person),),
            ),
        ),
        meta={"price": 10.5, "ok": "no", "size": 2},
        held=Held(uid=b"c" * 16, kind="near", distance=0.1, method="phash"),
    )
    third = Sample(uid=b"c" * 16, image=Image(purged=True), meta={"tags": []})
    samples = [("a.jpg", first), ("é/b.png", second), ("é/c[1].png", third)]
    return version_of(samples, draft)
