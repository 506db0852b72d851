"""Writing folders of masks: an image of class numbers for each image, or a file for each object."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from voyager.formats.base import Holds
from voyager.formats.index_images import VOC_PALETTE, write_index_png
from voyager.formats.masks.class_maps import BACKGROUND, VOID
from voyager.formats.masks.object_classes import HEAD, OBJECTS
from voyager.formats.masks.reading import LAYOUTS, VOID_VALUE
from voyager.formats.part_folders import PartFolders
from voyager.formats.projection import Projection
from voyager.formats.splits import STANDARD
from voyager.formats.writing import Writing
from voyager.schema import Mask, Region, Sample
from voyager.schema.rle import array_of
from voyager.store.ids import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOLDS: Final = Holds(
    geometries=frozenset({"mask"}),
    converts=dict.fromkeys(("polygon", "box", "rotated-box", "ellipse", "cuboid"), "mask"),
)

_MOST_8_BIT = 254


def write(writing: Writing) -> None:
    """Write `images`, `masks`, and what the numbers or files mean."""
    writer = _Writer(writing)
    if writer.layout() == "semantic":
        writer.write_semantic()
    else:
        writer.write_instances()


class _Writer:
    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._report = writing.report
        self._load = lambda blob: writing.version.objects.get(blob, Kind.BLOB)
        self._projection = Projection(HOLDS, writing.vocabulary, writing.task, self._load)
        self._numbers = {name: n for n, (_, name) in enumerate(writing.classes, 1)}
        self._folders = PartFolders(writing, STANDARD.__contains__)
        self._files: set[str] = set()
        self._stems: list[tuple[str, str]] = []

    def layout(self) -> str:
        """As the user says; else semantic where that loses nothing."""
        chosen = self._writing.choice("layout", LAYOUTS, "auto")
        if chosen != "auto":
            return chosen
        some = False
        for _, sample in self._writing.samples():
            if sample.regions and not self._is_semantic(sample):
                return "instances"
            some = some or bool(sample.regions)
        return "semantic" if some else "instances"

    def _is_semantic(self, sample: Sample) -> bool:
        """Whether all regions have a class of their own (or are void), and pixels of their own."""
        import numpy as np

        nodes: list[bytes | None] = []
        for region in sample.regions:
            label = self._writing.category(region.labels)
            nodes.append(None if label is None else label.node)
            if label is None and not _is_void(region):
                return False
        if len(set(nodes)) < len(nodes):
            return False
        masks = [region.geometry for region in self._projection.project(sample).regions]
        arrays = [array_of(mask, self._load) for mask in masks if isinstance(mask, Mask)]
        if len({pixels.shape for pixels in arrays}) != 1:
            return False
        times = np.sum(arrays, axis=0)
        return bool((times <= 1).all()) and all(pixels.any() for pixels in arrays)

    # -- files -----------------------------------------------------------------------------------

    def _samples(self) -> Iterator[tuple[str, Sample, str]]:
        """(key, sample, path of its masks without the extension); images are written on the way."""
        for key, sample in self._writing.samples():
            name = self._folders.name(key, sample.split)
            stem = os.path.splitext(name)[0]
            self._writing.image(key, sample, f"images/{name}")
            self._writing.named(f"images/{name}", key)
            self._files.add(f"images/{name}")
            self._stems.append((f"images/{stem}", key))
            yield key, sample, f"masks/{stem}"
        for stem, key in self._stems:  # masks without their image know its stem
            if stem not in self._files:
                self._writing.named(stem, key)

    def _masks(self, key: str, sample: Sample) -> Iterator[tuple[Region, Mask]]:
        """(projected region, its mask) of the regions that have one."""
        for region in self._projection.project(sample).regions:
            shape = region.geometry
            if isinstance(shape, Mask):
                yield region, shape
            else:
                self._report.add("lost", "no size is known, so no mask can be made", key)

    def _write_classes(self, void: int | None) -> None:
        taken = BACKGROUND | VOID
        with self._writing.open("classes.csv") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(("index", "name", "red", "green", "blue"))
            rows.writerow((0, "background", *VOC_PALETTE[0]))
            for name, number in self._numbers.items():
                if name.strip().lower() in taken:
                    self._report.add("lost", "a class has a name that means no class", name)
                colour = VOC_PALETTE[number] if number <= _MOST_8_BIT else ("", "", "")
                rows.writerow((number, name, *colour))
            if void is not None:
                rows.writerow((void, "void", *VOC_PALETTE[VOID_VALUE]))

    # -- layouts ---------------------------------------------------------------------------------

    def write_instances(self) -> None:
        """A file for each object: masks/<image>/0001.png."""
        self._write_classes(None)
        with self._writing.open(OBJECTS) as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(HEAD)
            for key, sample, stem in self._samples():
                for number, (region, mask) in enumerate(self._masks(key, sample), 1):
                    name = f"{stem}/{number:04}.png"
                    rows.writerow((name, _class_name(region)))
                    self._write_png(name, array_of(mask, self._load) * 255, indexed=False)

    def write_semantic(self) -> None:
        """A file for each image, whose pixels are numbers of classes."""
        large = len(self._numbers) > _MOST_8_BIT
        void = 65535 if large else VOID_VALUE
        self._write_classes(void)
        for key, sample, stem in self._samples():
            empty = not sample.regions and self._writing.task in sample.coverage
            if not sample.regions and not empty:
                continue
            values = self._numbered(key, sample, void)
            if values is not None:
                self._write_png(f"{stem}.png", values, indexed=not large)

    def _numbered(self, key: str, sample: Sample, void: int) -> NDArray[Any] | None:
        """The class numbers of an image, the largest regions first; None where it has no size."""
        import numpy as np

        originals = {region.id: region for region in sample.regions}
        painted: list[tuple[int, NDArray[Any]]] = []
        seen: set[int] = set()
        for region, mask in self._masks(key, sample):
            number = self._number(key, region, originals[region.id], void)
            if number in seen and number != void:
                self._report.add("approximated", "regions of one class became one", key)
            if number:
                seen.add(number)
                painted.append((number, array_of(mask, self._load)))
        image = sample.image
        shape = painted[0][1].shape if painted else (image.height or 0, image.width or 0)
        if not all(shape):
            return None
        values = np.zeros(shape, np.uint16)
        for number, pixels in sorted(painted, key=lambda item: -int(item[1].sum())):
            if pixels.shape != shape:
                self._report.add("lost", "a mask of another size than the first", key)
                continue
            under = values[pixels]
            if ((under != 0) & (under != number)).any():
                self._report.add(
                    "approximated", "masks overlap: the smaller one keeps the pixels", key
                )
            values[pixels] = number
        return values

    def _number(self, key: str, region: Region, original: Region, void: int) -> int:
        if region.labels:
            return self._numbers[str(region.labels[0].value)]
        if _is_void(original):
            return void
        self._report.add("lost", "a region without a class", key)
        return 0

    def _write_png(self, name: str, values: NDArray[Any], *, indexed: bool) -> None:
        with self._writing.open_binary(name) as file:
            write_index_png(file, values, VOC_PALETTE if indexed else None)


def _is_void(region: Region) -> bool:
    return "ignore" in region.flags and not region.labels


def _class_name(region: Region) -> str:
    return str(region.labels[0].value) if region.labels else ""
