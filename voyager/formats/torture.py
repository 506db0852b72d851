"""A version made to break formats: awkward names, classes, shapes and images, as far as one holds.

`torture_version` is one fixed version with every trap. It keeps to what a format's `Holds` says, so
that all of it has to come back.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from voyager.formats.base import Holds
from voyager.formats.collecting import memory_version
from voyager.repo.dataset import Dataset
from voyager.schema import (
    MASK_INLINE_LIMIT,
    Box,
    Cuboid,
    Ellipse,
    Geometry,
    Group,
    Image,
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
from voyager.schema.rle import mask_of_array
from voyager.schema.task import Skeleton
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import CATEGORY, Draft, Vocabulary
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.wire import blob_ref

KEYS: Final = (
    "a.jpg",
    "a.png",  # the same stem
    "train/b.png",
    "val/b.png",  # the same name in two folders
    "with space.png",
    "hash#1.png",
    "ünï/日本.png",
    "dots.v1.2.png",
    "deep/er/folder/x.jpeg",
    "UPPER.JPG",
    "comma,semi;colon.png",
    'it\'s "quoted".png',
    "percent%20.png",
    "-dash.png",
    "[brackets]{0}.png",
    "amp&<xml>.png",
    "10.png",
)
"""Keys of images that a format has to bring back."""

CLASSES: Final = (
    "cat",
    "traffic light",
    "a/b",
    'say "hi"',
    "it's",
    "x, y; z",
    "naïve café",
    "汉字",
    "Cat",
    "10",
    "#1",
    "<b> & co",
    "back\\slash",
    "key: value",
    "null",
)
"""Names of classes that a format has to bring back, in their order."""

POINTS: Final = ("nose", "left eye", "right eye")
"""The points of the skeleton."""

WIDTH, HEIGHT = 64, 48


@dataclass(frozen=True)
class Limits:
    """What a format cannot take though its `Holds` has no word for it."""

    keys: Sequence[str] = KEYS
    classes: Sequence[str] = CLASSES
    splits: Sequence[str | None] = (None, "train", "val", "test")
    outside: bool = True
    """Coordinates that lie outside of the image."""
    flat: bool = True
    """Boxes of no width or height."""
    inverted: bool = True
    """Boxes turned inside out."""
    overlap: bool = True
    """Masks that share pixels."""
    words: Sequence[str] = ("red", "zwei Wörter", "a,b", '"', "<&>", "true", "7", " spaced ")
    """Texts as values of attributes and meta."""
    typed: bool = True
    """Numbers and booleans as such in attributes and meta, beside texts."""
    lists: bool = False
    """Lists as values of attributes and meta."""
    text_task: str = "caption"


# -- images --------------------------------------------------------------------------------------


@cache
def image_bytes(name: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """A small real PNG or JPEG, another one for each name."""
    from PIL import Image as Picture

    color = random.Random(name).randbytes(3)
    picture = Picture.new("RGB", (width, height), tuple(color))
    picture.putpixel((0, 0), (255, 255, 255))
    file = io.BytesIO()
    jpeg = name.lower().endswith((".jpg", ".jpeg"))
    picture.save(file, "JPEG" if jpeg else "PNG")
    return file.getvalue()


def stored_image(objects: MemoryObjects, name: str) -> Image:
    """The image of a sample, its bytes put into `objects`."""
    data = image_bytes(name)
    blob = objects.put(Kind.BLOB, data)
    jpeg = name.lower().endswith((".jpg", ".jpeg"))
    return Image(
        blob=blob_ref(blob),
        bytes=len(data),
        type="jpeg" if jpeg else "png",
        width=WIDTH,
        height=HEIGHT,
    )


# -- the fixed version ---------------------------------------------------------------------------


class Builder:
    """Makes samples and regions with counted ids, and the vocabulary that they use."""

    def __init__(self, holds: Holds, limits: Limits) -> None:
        self.holds = holds
        self.limits = limits
        self.objects = MemoryObjects()
        self.draft = Draft(Vocabulary())
        self.classes = list(self._classes())
        self._count = 0

    def _classes(self) -> Iterator[NodeId]:
        skeleton = Skeleton(names=POINTS, edges=((0, 1), (0, 2)), flips=((1, 2),))
        shown = "keypoints" in self.holds.geometries
        self.draft.define(CATEGORY, skeleton=skeleton if shown else None)
        for name in self.limits.classes:
            yield self.draft.category(CATEGORY, name)
        if self.holds.tree or self.holds.whole:
            yield self.draft.mint_path(CATEGORY, "furniture/chair/armchair")
            yield self.draft.mint_path(CATEGORY, "toys/chair")

    def id(self) -> bytes:
        """An id that no other thing of this version has."""
        self._count += 1
        return self._count.to_bytes(16, "big")

    def label(self, number: int = 0, **fields: Any) -> Label:
        """A label of the n-th class."""
        node = self.classes[number % len(self.classes)]
        return Label(**{"task": CATEGORY, "node": node, "source": "import", **fields})

    def region(
        self, shape: Geometry | dict[str, Geometry], number: int = 0, **fields: Any
    ) -> Region:
        """A region of the n-th class."""
        shapes = shape if isinstance(shape, dict) else {shape.name: shape}
        fields.setdefault("source", "import")
        one = self.holds.region_labels != "none"
        fields.setdefault("labels", (self.label(number),) if one else ())
        return Region(id=self.id(), geometries=shapes, **fields)

    def sample(self, key: str, regions: Sequence[Region] = (), **fields: Any) -> Sample:
        """A sample whose image is here; with a class where that is all that the format holds."""
        fields.setdefault("image", stored_image(self.objects, key))
        if not self.holds.geometries and not self.holds.empty:
            fields.setdefault("labels", (self.label(),))
        if self.holds.split:
            fields.setdefault("split", self.limits.splits[0])
        if not regions and not self.holds.empty and "labels" not in fields:
            regions = [self.region(self.shapes()[0])]
        return Sample(uid=self.id(), regions=tuple(regions), **fields)

    def shapes(self) -> list[Geometry]:
        """One or more of every geometry that the format holds."""
        found = [shape for shape in [*_plain_shapes(), *self._odd_shapes()] if self._fits(shape)]
        assert found, "a format with regions holds some geometry"
        return found

    def _odd_shapes(self) -> Iterator[Geometry]:
        if self.limits.flat:
            yield Box(3, 3, 3, 9)
            yield Box(5, 5, 5, 5)
        if self.limits.inverted:
            yield Box(9, 9, 4, 2)
        if self.limits.outside:
            yield Box(-4.5, -2, 12, 10)
            yield Box(50, 40, WIDTH + 6.25, HEIGHT + 0.5)
            yield Polygon((((-3.0, 2, 70, 5, 30, 55.5),),))

    def _fits(self, shape: Geometry) -> bool:
        if isinstance(shape, Polygon):
            parts = len(shape.parts) == 1 or self.holds.parts
            if not (parts and (self.holds.holes or all(len(rings) == 1 for rings in shape.parts))):
                return False
        return shape.name in self.holds.geometries

    def version(self, samples: dict[str, Sample]) -> Dataset:
        """The version of these samples."""
        return memory_version(samples, self.draft, self.objects)


def _plain_shapes() -> Iterator[Geometry]:
    yield Box(1, 2, 30.5, 40.25)
    yield Box(0, 0, WIDTH, HEIGHT)
    yield Box(0.1, 0.2, 1 / 3, 2 / 3)
    yield RotatedBox(30, 20, 16, 8, 0.3)
    yield RotatedBox(30, 20, 8, 16, -1.2)
    yield Polygon((((1, 1, 20.5, 2, 10, 30),),))
    yield Polygon((((1, 1, 9, 1, 9, 9, 1, 9),), ((20, 20, 29, 20, 25, 30.125),)))
    yield Polygon((((1, 1, 40, 1, 40, 40, 1, 40), (5, 5, 5, 10, 10, 10)),))
    yield Polyline((1, 2, 3.5, 4, 10, 1))
    yield Points((4, 5.5))
    yield Keypoints((1, 2, 0, 0, 8, 9.5), (2, 0, 1))
    yield from _masks()
    yield Ellipse(20, 20, 10, 5, 0.5)
    yield Cuboid((2, 2, 12, 2, 12, 12, 2, 12, 5, 1, 15, 1, 15, 11, 5, 11))


def _masks() -> Iterator[Mask]:
    import numpy as np

    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[5:9, 10:20] = True
    yield mask_of_array(pixels)
    pixels[:] = False
    pixels[30:34, 0:5] = pixels[40:46, 60:64] = True  # two parts, one at the edge
    pixels[31:33, 1:3] = False  # and a hole
    yield mask_of_array(pixels)


def torture_version(holds: Holds, limits: Limits | None = None) -> Dataset:
    """The version with every trap that the format can hold."""
    builder = Builder(holds, limits or Limits())
    samples: dict[str, Sample] = {}
    traps = [trap(builder) for trap in _TRAPS]
    contents = [sample for found in traps for sample in found]
    keys = builder.limits.keys
    for number, make in enumerate(contents):
        key = keys[number] if number < len(keys) else f"more/{number}.png"
        samples[key] = make(key)
    for number in range(len(contents), len(keys)):
        key = keys[number]
        held = [builder.region(builder.shapes()[0], number)] if holds.geometries else []
        samples[key] = builder.sample(key, held)
    return builder.version(samples)


_Make = Callable[[str], Sample]


def _trap_shapes(builder: Builder) -> list[_Make]:
    """Every geometry and every class."""
    if not builder.holds.geometries:
        return (
            [
                _with(builder, labels=(builder.label(number),))
                for number in range(len(builder.classes))
            ]
            if builder.holds.image_labels != "none"
            else []
        )
    shapes = builder.shapes()
    if not builder.limits.overlap:
        return [_with(builder, [builder.region(shape, n)]) for n, shape in enumerate(shapes)]
    regions = [builder.region(shape, number) for number, shape in enumerate(shapes)]
    classes = [builder.region(shapes[0], number) for number in range(len(builder.classes))]
    return [_with(builder, regions), _with(builder, classes), _with(builder, regions[:1] * 1)]


def _trap_empty(builder: Builder) -> list[_Make]:
    """An image without labels, one of which it is known that there is nothing, one not here."""
    found: list[_Make] = []
    if builder.holds.empty:
        found.append(_with(builder, labels=()))
        if builder.holds.coverage:
            found.append(_with(builder, coverage={CATEGORY: "exhaustive"}))
    if builder.holds.pending:
        region = builder.region(builder.shapes()[0]) if builder.holds.geometries else None
        image = Image(width=WIDTH, height=HEIGHT, uri="https://example.org/far.png")
        found.append(_with(builder, [region] if region else [], image=image))
    return found


def _trap_masks(builder: Builder) -> list[_Make]:
    """A hundred masks on one image, and one whose counts are a blob."""
    import numpy as np

    if "mask" not in builder.holds.geometries:
        return []
    regions = []
    for number in range(100):
        pixels = np.zeros((HEIGHT, WIDTH), bool)
        y, x = divmod(number, 10)
        pixels[y * 4 : y * 4 + 3, x * 6 : x * 6 + 5] = True
        regions.append(builder.region(mask_of_array(pixels), number))
    noise = np.random.default_rng(1).random((HEIGHT * 4, WIDTH * 4)) < 0.5
    mask = mask_of_array(noise)
    assert isinstance(mask.counts, bytes)
    assert len(mask.counts) > MASK_INLINE_LIMIT
    blob = blob_ref(builder.objects.put(Kind.BLOB, mask.counts))
    return [_with(builder, regions), _with_large_mask(builder, Mask(mask.height, mask.width, blob))]


def _with_large_mask(builder: Builder, mask: Mask) -> _Make:
    def make(key: str) -> Sample:
        data = image_bytes(key, mask.width, mask.height)
        blob = blob_ref(builder.objects.put(Kind.BLOB, data))
        jpeg = key.lower().endswith((".jpg", ".jpeg"))
        image = Image(
            blob=blob,
            bytes=len(data),
            type="jpeg" if jpeg else "png",
            width=mask.width,
            height=mask.height,
        )
        return builder.sample(key, [builder.region(mask)], image=image)

    return make


def _trap_fields(builder: Builder) -> list[_Make]:
    """Flags, attributes, scores, states, links, and what belongs to images."""
    holds, limits = builder.holds, builder.limits
    values: list[Any] = [*limits.words, *((True, 3, -1.5) if limits.typed else ())]
    if limits.lists:
        values.append(["red", "green"])
    found: list[_Make] = []
    if holds.geometries:
        found += [_with(builder, [region]) for region in _field_regions(builder, values)]
    if holds.meta:
        found.append(_with(builder, meta={f"field {n}": v for n, v in enumerate(values)}))
    if holds.group:
        found.append(_with(builder, group=Group(id="clip 1", index=3)))
    if holds.split:
        found += [_with(builder, split=split) for split in limits.splits]
    if holds.image_labels == "many":
        found.append(_with(builder, labels=(builder.label(1), builder.label(2))))
    elif holds.image_labels == "one":
        found.append(_with(builder, labels=(builder.label(1),)))
    if holds.negatives:
        nodes = (builder.classes[3], builder.classes[4])
        found.append(_with(builder, negatives={CATEGORY: nodes}))
    if holds.texts:
        builder.draft.define(limits.text_task, kind="text", scope="image", many=True)
        texts = [
            Label(task=limits.text_task, value=text, source="import", ordinal=number)
            for number, text in enumerate(("A cat, “asleep”.", "Zwei\nZeilen"))
        ]
        found.append(_with(builder, labels=texts))
    return found


def _field_regions(builder: Builder, values: list[Any]) -> Iterator[Region]:
    holds = builder.holds
    shape = builder.shapes()[0]
    for flag in sorted(holds.flags - {"crowd"}):
        yield builder.region(shape, 1, flags=(flag,))
    if "crowd" in holds.flags:
        masks = [shape for shape in builder.shapes() if isinstance(shape, Mask)]
        yield builder.region(masks[-1] if masks else shape, 1, flags=("crowd",))
    if holds.attrs:
        yield builder.region(shape, attrs={f"attr {n}": v for n, v in enumerate(values)})
    if holds.scores:
        yield builder.region(shape, score=0.375)
    if holds.states:
        yield builder.region(shape, state="verified")
        yield builder.region(shape, state="proposed")
    if holds.unlabeled:
        yield builder.region(shape, labels=())
    if holds.region_labels == "many":
        yield builder.region(shape, labels=(builder.label(1), builder.label(2)))
    if holds.several and {"polygon", "keypoints"} <= holds.geometries:
        both = {shape.name: shape for shape in builder.shapes()}
        pair = {name: both[name] for name in ("polygon", "keypoints")}
        yield builder.region(pair, primary="polygon")


def _trap_other_tasks(builder: Builder) -> list[_Make]:
    """Answers of tasks that are not the exported one."""
    holds = builder.holds
    if not (holds.tasks or holds.other_tasks) or not holds.geometries:
        return []
    builder.draft.define("colour", taxonomy="palette", many=holds.tasks)
    red = builder.draft.category("colour", "dark red")
    builder.draft.define("rusty", kind="bool")
    said = [
        Label(task="colour", node=red, source="import"),
        Label(task="rusty", value=True, source="import"),
    ]
    both = (builder.label(1), *(said if builder.limits.typed else said[:1]))
    return [_with(builder, [builder.region(builder.shapes()[0], labels=both)])]


def _trap_links(builder: Builder) -> list[_Make]:
    """Two regions of one image that belong together."""
    if not (builder.holds.links and builder.holds.geometries):
        return []

    def make(key: str) -> Sample:
        one, other = builder.region(builder.shapes()[0], 1), builder.region(builder.shapes()[0], 2)
        sample = builder.sample(key, [other])
        link = Link(uid=sample.uid, region=other.id, kind="on")
        return sample.replace(regions=(one.replace(links=(link,)), other))

    return [make]


def _with(builder: Builder, regions: Sequence[Region] = (), **fields: Any) -> _Make:
    return lambda key: builder.sample(key, regions, **fields)


_TRAPS: Final = (
    _trap_shapes,
    _trap_empty,
    _trap_masks,
    _trap_fields,
    _trap_other_tasks,
    _trap_links,
)
