"""Writing samples and reading them back, and broken copies of small datasets."""

from __future__ import annotations

import io
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as Pixels

from voyager.errors import InvalidDataError, UsageError
from voyager.formats.base import Format
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.difference import difference
from voyager.formats.projection import project
from voyager.formats.reading import ReadOptions
from voyager.formats.report import Report
from voyager.formats.writing import WriteOptions, Writing
from voyager.schema import Image, Label, Region, Sample
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.wire import blob_ref


class World:
    """Samples with small real images, and a vocabulary of classes, before they are written."""

    def __init__(self, *classes: str) -> None:
        self.objects = MemoryObjects()
        self.draft = Draft(Vocabulary())
        self.draft.define("category", scope="both")
        self.nodes = {name: self.draft.category("category", name) for name in classes}
        self.samples: dict[str, Sample] = {}

    def image(self, width: int = 40, height: int = 30, *, seed: int = 0) -> Image:
        """A stored image."""
        file = io.BytesIO()
        Pixels.new("RGB", (width, height), (seed % 256, 1, 2)).save(file, "PNG")
        blob = blob_ref(self.objects.put(Kind.BLOB, file.getvalue()))
        return Image(blob=blob, width=width, height=height, type="png")

    def region(self, shapes: Any, name: str | None = None, **fields: Any) -> Region:
        """A region of one geometry or several, of a class."""
        if not isinstance(shapes, Mapping):
            shapes = {shapes.name: shapes}
        labels = () if name is None else (self.label(name),)
        id = bytes([1]) + len(self.samples).to_bytes(7, "big") + random.randbytes(8)
        return Region(id=id, geometries=shapes, labels=labels, source="import", **fields)

    def label(self, name: str) -> Label:
        """A label of a class."""
        return Label(task="category", node=self.nodes[name], source="import")

    def add(self, key: str, *regions: Region, image: Image | None = None, **fields: Any) -> None:
        """A sample with an image of its own."""
        number = len(self.samples)
        image = image or self.image(seed=number)
        uid = number.to_bytes(16, "big")
        self.samples[key] = Sample(uid=uid, image=image, regions=regions, **fields)

    def write(self, form: Format, folder: Path, **options: Any) -> Writing:
        """Write all samples."""
        version = memory_version(self.samples, self.draft, self.objects)
        return write_version(form, version, folder, WriteOptions(**options))

    def round_trip(
        self, form: Format, folder: Path, read: ReadOptions | None = None, **options: Any
    ) -> tuple[Collected, Writing]:
        """Write and read; every sample comes back as far as the format holds it."""
        writing = self.write(form, folder, **options)
        back = collect(form, folder, read)
        expected = {
            key: project(sample, form.holds, self.draft, "category", load=self._load)
            for key, sample in self.samples.items()
        }
        found: dict[str, Sample] = {}
        for item in back.items:
            key = writing.names.get(item.name, item.name)
            assert key not in found, f"{key} came twice"
            found[key] = project(
                item.sample,
                form.holds,
                back.vocabulary,
                "category",
                load=lambda blob: back.objects.get(blob, Kind.BLOB),
            )
        assert sorted(found) == sorted(expected)
        for key, sample in expected.items():
            words = difference(sample, found[key], form.holds.quantum)
            assert words is None, f"{key}: {words}"
        return back, writing

    def _load(self, blob: bytes) -> bytes:
        return self.objects.get(blob, Kind.BLOB)


def regions_of(collected: Collected) -> list[Region]:
    """All regions, in order."""
    return [region for item in collected.items for region in item.sample.regions]


def words_of(collected: Collected, region: Region) -> list[str]:
    """The classes of a region."""
    return [collected.vocabulary.word(label) for label in region.labels]


def findings(report: Report, loss: str) -> dict[str, int]:
    """Kind → count of the findings of one class."""
    return {kind: entry.count for found, kind, entry in report if found == loss}


def broken(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Copies of a file with a few bytes changed, cut, doubled or swapped for telling ones."""
    rng = random.Random(seed)
    telling = (b"<", b">", b"-1", b"nan", b"1e999", b"\xff\xfe", b"\x00", b"0", b'"', b"9" * 30)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(copy) + 1)
            kind = rng.randrange(5)
            if kind == 0:
                copy[at : at + 1] = bytes([rng.randrange(256)])
            elif kind == 1:
                del copy[at : at + rng.randrange(1, 30)]
            elif kind == 2:
                copy[at:at] = copy[at : at + rng.randrange(1, 30)]
            elif kind == 3:
                copy[at : at + rng.choice((0, 1, 4))] = rng.choice(telling)
            else:
                del copy[at:]
        yield bytes(copy)


def survives(form: Format, folder: Path, options: ReadOptions | None = None) -> bool:
    """Whether a folder is read; False for an error in words, and any other error passes."""
    try:
        collect(form, folder, options)
    except (InvalidDataError, UsageError) as error:
        assert error.message
        return False
    return True


def fuzz(form: Format, dataset: Path, folder: Path, names: list[str], count: int) -> None:
    """Break files of a small dataset in many ways: it is read, or refused in words."""
    shutil.copytree(dataset, folder)
    for number, name in enumerate(names):
        whole = (folder / name).read_bytes()
        for copy in broken(whole, count, seed=number):
            (folder / name).write_bytes(copy)
            survives(form, folder)
        (folder / name).write_bytes(whole)
    assert survives(form, folder)
