"""Chains: real data through several formats and repositories, and random data through many."""

from __future__ import annotations

import json
import lzma
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from label_repos import DATA, give, save, take

from voyager.formats.base import Format, Holds
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.difference import difference
from voyager.formats.projection import Projection
from voyager.formats.random_versions import versions
from voyager.formats.registry import format_named
from voyager.formats.report import Report
from voyager.formats.torture import Limits
from voyager.formats.unheld import Losses
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.schema import Box, Label, Mask, Sample
from voyager.schema.rle import array_of
from voyager.store.ids import Kind


@pytest.fixture
def repos(tmp_path: Path, _author: None) -> Iterator[list[Repository]]:
    """Four empty repositories."""
    with ExitStack() as stack:
        yield [stack.enter_context(Repository.init(tmp_path / f"repo{n}")) for n in range(4)]


# -- BCCD: VOC → COCO → YOLO ----------------------------------------------------------------------


def blood_images(folder: Path) -> Path:
    """A stand-in of 640 × 480 for each photo of BCCD, all of other pixels (the guard looks)."""
    from PIL import Image

    folder.mkdir()
    for number, path in enumerate(sorted((DATA / "bccd" / "Annotations").glob("*.xml"))):
        color = (number % 20 * 12, number // 20 * 12, 99)
        Image.new("RGB", (640, 480), color).save(folder / f"{path.stem}.jpg", "JPEG")
    return folder


def boxes_by_image(version: Dataset) -> dict[str, list[tuple[str, Box]]]:
    found: dict[str, list[tuple[str, Box]]] = {}
    for key, sample in version.items():
        for region in sample.regions:
            assert isinstance(region.geometry, Box)
            word = version.vocabulary.word(region.labels[0])
            stem = key.rpartition("/")[2].partition(".")[0]
            found.setdefault(stem, []).append((word, region.geometry))
    return found


def apart(one: Box, other: Box) -> float:
    sides = ("x0", "y0", "x1", "y1")
    return max(abs(getattr(one, side) - getattr(other, side)) for side in sides)


def test_bccd_through_voc_coco_and_yolo(repos: list[Repository], tmp_path: Path) -> None:
    first, second, third, _ = repos
    images = blood_images(tmp_path / "photos")
    done = take(first, DATA / "bccd", "voc", images=images, to="blood")
    assert done.regions == 4888
    save(first)
    give(first, tmp_path / "coco", "coco")
    assert take(second, tmp_path / "coco", "coco").regions == 4888
    save(second)
    give(second, tmp_path / "yolo", "yolo")
    assert take(third, tmp_path / "yolo", "yolo").regions == 4888
    start, middle, end = (boxes_by_image(repo.staged()) for repo in repos[:3])
    assert sum(map(len, end.values())) == 4888
    assert start == middle
    assert start.keys() == end.keys()
    for key, boxes in start.items():
        for (word, one), (other_word, other) in zip(boxes, end[key], strict=True):
            assert word == other_word
            assert apart(one, other) <= 1e-6  # the goal is 0.5 px
    splits = [Counter(s.split for s in repo.staged().values()) for repo in repos[:3]]
    assert splits[0] == splits[1] == splits[2]
    assert splits[0] == {"train": 205, "val": 87, "test": 72}


# -- TACO: COCO -----------------------------------------------------------------------------------


def test_taco_through_coco_value_for_value(repos: list[Repository], tmp_path: Path) -> None:
    path = tmp_path / "in" / "annotations.json"
    path.parent.mkdir()
    path.write_bytes(lzma.decompress((DATA / "taco" / "annotations.json.xz").read_bytes()))
    taco = json.loads(path.read_text())
    first, second, *_ = repos
    done = take(first, path)
    assert (done.samples, done.regions, done.pending) == (1500, 4784, 1500)
    save(first)
    out = tmp_path / "out" / "annotations.json"
    give(first, out)
    back = json.loads(out.read_text())
    assert back["categories"] == taco["categories"]
    written = {_place(row): row for row in back["annotations"]}
    assert len(written) == 4784
    for row in taco["annotations"]:
        found = written[_place(row)]
        assert found["segmentation"] == row["segmentation"]  # to the last digit
        assert np.allclose([*found["bbox"], found["area"]], [*row["bbox"], row["area"]], atol=1e-3)
        assert found["iscrowd"] == row["iscrowd"]
    assert sum(len(row["segmentation"]) > 1 for row in back["annotations"]) == 114
    ids, own = (Counter(row["id"] for row in value["annotations"]) for value in (back, taco))
    assert ids.keys() >= own.keys()  # two of its ids come twice
    assert (max(ids.values()), max(own.values())) == (1, 2)
    images = {row["id"]: row for row in back["images"]}
    for row in taco["images"]:
        given = {name: value for name, value in row.items() if name != "coco_url"}
        assert {name: images[row["id"]][name] for name in given} == given
    scenes = sum(len(row.get("scene_annotations", ())) for row in back["images"])
    assert scenes == len(taco["scene_annotations"]) == 4296
    take(second, out)
    one, two = (dict(repo.staged().rows("samples")) for repo in (first, second))
    assert one.keys() == two.keys()
    assert sum(one[key] != two[key] for key in one) == 2  # those whose ids came twice
    assert not take(first, out).staged
    assert not take(first, path).staged


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["image_id"], row["category_id"], tuple(map(tuple, row["segmentation"])))


# -- nuclei: masks → COCO → masks -----------------------------------------------------------------


def nuclei() -> dict[str, list[Any]]:
    """Image → its masks as pixels, in the order of their files."""
    from PIL import Image

    found: dict[str, list[Any]] = {}
    for folder in sorted(path for path in (DATA / "nuclei").iterdir() if path.is_dir()):
        for path in sorted((folder / "masks").glob("*.png")):
            with Image.open(path) as image:
                found.setdefault(folder.name, []).append(np.asarray(image.convert("L")) > 0)
    return found


def masks_of(version: Dataset) -> dict[str, list[bytes]]:
    """Image → the pixels of its masks, in an order of their own."""
    found: dict[str, list[bytes]] = {}
    for key, sample in version.items():
        for region in sample.regions:
            shape = region.geometry
            assert isinstance(shape, Mask)
            name = next(name for name in nuclei() if name in key)
            pixels = array_of(shape, lambda blob: version.objects.get(blob, Kind.BLOB))
            found.setdefault(name, []).append(np.packbits(pixels).tobytes())
    return {name: sorted(masks) for name, masks in found.items()}


def test_nuclei_through_coco_pixel_for_pixel(repos: list[Repository], tmp_path: Path) -> None:
    first, second, third, _ = repos
    wanted = {
        name: sorted(np.packbits(mask).tobytes() for mask in masks)
        for name, masks in nuclei().items()
    }
    source = tmp_path / "nuclei"
    for name, masks in nuclei().items():
        _write_nucleus(source / name, name, masks)
    take(first, source, "masks")
    assert masks_of(first.staged()) == wanted
    save(first)
    give(first, tmp_path / "coco", "coco")
    take(second, tmp_path / "coco", "coco")
    assert masks_of(second.staged()) == wanted
    save(second)
    give(second, tmp_path / "masks", "masks")
    take(third, tmp_path / "masks", "masks")
    assert masks_of(third.staged()) == wanted
    assert sum(map(len, wanted.values())) == 22


def _write_nucleus(folder: Path, name: str, masks: list[Any]) -> None:
    """An image and its masks as the DSB 2018 set lays them out."""
    from PIL import Image

    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    pixels = np.zeros((*masks[0].shape, 3), np.uint8)
    for number, mask in enumerate(masks):
        pixels[mask] = number * 7 + 30
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{number}.png")
    Image.fromarray(pixels).save(folder / "images" / f"{name}.png")


# -- long chains ----------------------------------------------------------------------------------

EVERYTHING = format_named("jsonl").holds
CHAINS = {
    "boxes": ("coco", "cvat", "label-studio", "yolo"),
    "polygons": ("label-studio", "coco", "labelme", "cvat"),
    "tables": ("cvat", "table", "coco", "jsonl"),
}
SHAPES = {
    "boxes": frozenset({"box"}),
    "polygons": frozenset({"polygon", "box"}),
    "tables": frozenset({"box", "polygon", "keypoints"}),
}
LIMITS = Limits(
    keys=("a.jpg", "a.png", "train/b.png", "ünï/日本.png", "with space.png", "hash#1.png"),
    classes=("cat", "a b", "naïve café", "Cat", "10"),
    typed=False,
    inverted=False,
    flat=False,
    outside=False,
    overlap=True,
)


def walk(version: Dataset, chain: tuple[str, ...], holds: Holds) -> None:
    """Through every format in turn: what each holds comes back, and what it does not is said."""
    with tempfile.TemporaryDirectory() as name:
        for number, form_name in enumerate(chain):
            form = format_named(form_name)
            folder = Path(name) / str(number)
            version = step(version, form, folder, holds)


def step(version: Dataset, form: Format, folder: Path, holds: Holds) -> Dataset:
    writing = write_version(form, version, folder)
    report = Report()
    projection = Projection(form.holds, version.vocabulary, "category", loader(version))
    whole = Projection(EVERYTHING, version.vocabulary, "category", loader(version))
    losses = Losses(form.holds, version.vocabulary, "category", loader(version))
    wanted: dict[str, Sample] = {}
    for key, sample in version.items():
        losses.count(key, sample, report)
        if projection.keeps(sample):
            wanted[key] = projection.project(sample)
    losses.finish(report)
    found = collect(form, folder)
    assert not [entry for entry in found.report if entry[0] in ("lost", "guessed")]
    read = Projection(form.holds, found.vocabulary, "category", loader_of(found.objects))
    samples = {writing.names.get(item.name, item.name): item.sample for item in found.items}
    assert sorted(samples) == sorted(wanted)
    for key, sample in wanted.items():
        words = difference(sample, read.project(samples[key]), form.holds.quantum)
        assert words is None, f"{form.name} {key}: {words}"
        if not report:
            assert len(sample.regions) == len(version[key].regions)
            words = difference(shapes_of(whole.project(version[key])), shapes_of(sample), 1e-6)
            assert words is None, f"{form.name} {key}, nothing reported: {words}"
    return renumbered(samples, found)


def shapes_of(sample: Sample) -> Sample:
    """What chains compare where a format says that it lost nothing: shapes, classes, attributes."""
    regions = tuple(
        region.replace(
            geometries={shape.name: shape for shape in region.geometries.values()},
            primary=None,
            labels=tuple(map(bare, region.labels)),
            source="import",
            extra={},
        )
        for region in sample.regions
    )
    labels = tuple(map(bare, sample.labels))
    return Sample(uid=sample.uid, image=sample.image, regions=regions, labels=labels)


def bare(label: Label) -> Label:
    return Label(task=label.task, value=label.value, node=label.node, source="import")


def renumbered(samples: dict[str, Sample], found: Any) -> Dataset:
    """A version of what was read, with ids and the images beside it."""
    numbers = iter(range(1, 1 << 20))
    made: dict[str, Sample] = {}
    for item_key, sample in samples.items():
        regions = tuple(r.replace(id=next(numbers).to_bytes(16, "big")) for r in sample.regions)
        uid = next(numbers).to_bytes(16, "big")
        made[item_key] = sample.replace(uid=uid, regions=regions)
    for item in found.items:
        key = next((k for k, s in samples.items() if s is item.sample), item.name)
        if item.file is not None:
            from voyager.wire import blob_ref

            blob = blob_ref(found.objects.put(Kind.BLOB, item.file.read_bytes()))
            image = made[key].image.replace(blob=blob, width=64, height=48, uri=None)
            made[key] = made[key].replace(image=image)
    return memory_version(made, found.vocabulary, found.objects)


def loader(version: Dataset) -> Any:
    return loader_of(version.objects)


def loader_of(objects: Any) -> Any:
    return lambda blob: objects.get(blob, Kind.BLOB)


def held(shapes: frozenset[str]) -> Holds:
    """What the random versions of a chain have."""
    return Holds(geometries=shapes, attrs=True, flags=frozenset({"occluded"}), parts=True)


@pytest.mark.parametrize("chain", list(CHAINS))
def test_chains(chain: str) -> None:
    check_chain(chain, 12)


@pytest.mark.deep
@pytest.mark.parametrize("chain", list(CHAINS))
def test_chains_in_depth(chain: str) -> None:
    check_chain(chain, 400)


def check_chain(chain: str, examples: int) -> None:
    holds = held(SHAPES[chain])

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(versions(holds, LIMITS))
    def check(version: Dataset) -> None:
        walk(version, CHAINS[chain], holds)

    check()
