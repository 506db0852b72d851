from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from format_round_trips import World, findings, fuzz, regions_of, words_of
from PIL import Image as Pixels

from voyager.errors import InvalidDataError, NotFoundError
from voyager.formats.base import Source
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.reading import ReadOptions
from voyager.formats.registry import format_named
from voyager.formats.torture import Limits
from voyager.formats.writing import WriteOptions
from voyager.schema import Box, Image, Mask, Polygon, Region
from voyager.schema.rle import array_of, mask_of_array
from voyager.store.ids import Kind

MASKS = format_named("masks")
FIXTURES = Path(__file__).parent.parent / "data" / "formats"
NUCLEI = FIXTURES / "nuclei"
COMMON = FIXTURES / "datumaro" / "common_semantic_segmentation"


class TestMasksSuite(FormatSuite):
    form = MASKS
    not_text = ("*.png",)


class TestSemanticMasksSuite(FormatSuite):
    """One region of a class in an image: what the semantic layout can hold."""

    form = MASKS
    limits = Limits(overlap=False)
    write_options = WriteOptions(settings={"layout": "semantic"})
    not_text = ("*.png",)
    lenient = True

    def version(self) -> Any:
        made = World("cat", "dog", "x, y; z", "#1")
        for number, (key, name) in enumerate(zip(self.limits.keys, made.nodes, strict=False)):
            made.add(
                key,
                made.region(mask_of_array(stripe(number)), name),
                made.region(mask_of_array(stripe(number + 9)), "dog" if name != "dog" else "cat"),
                split=("train", "val", None, "test")[number],
            )
        made.add("unlabeled.png")
        return memory_version(made.samples, made.draft, made.objects)

    def test_random_versions_come_back(self) -> None:
        """Regions of one class become one: there is nothing to ask of random versions."""


def stripe(row: int) -> np.ndarray[Any, Any]:
    pixels = np.zeros((30, 40), bool)
    pixels[row : row + 3, 2:30] = True
    return pixels


def read(path: Path, **settings: str) -> Collected:
    return collect(MASKS, path, ReadOptions(settings=settings))


def pixels_of(found: Collected, region: Region) -> np.ndarray[Any, Any]:
    assert isinstance(region.geometry, Mask)
    return array_of(region.geometry, lambda blob: found.objects.get(blob, Kind.BLOB))


def save(
    path: Path, values: Any, mode: str | None = None, palette: list[int] | None = None
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Pixels.fromarray(np.asarray(values))
    if palette is not None:
        image.putpalette(palette)
    (image.convert(mode) if mode else image).save(path)


def pair(folder: Path, values: Any, **how: Any) -> Path:
    """An image of 3 × 2 and its mask."""
    save(folder / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    save(folder / "masks" / "a.png", np.asarray(values, how.pop("dtype", np.uint8)), **how)
    return folder


# -- real data ---------------------------------------------------------------------------------


def test_nuclei_are_read_pixel_for_pixel() -> None:
    nuclei = read(NUCLEI)
    assert len(nuclei.items) == 8
    found = Counter()
    for item in nuclei.items:
        assert item.file is not None
        masks = item.file.parent.parent / "masks"
        wanted = [np.asarray(Pixels.open(path)) > 0 for path in sorted(masks.iterdir())]
        for region, pixels in zip(item.sample.regions, wanted, strict=True):
            assert (pixels_of(nuclei, region) == pixels).all()
            assert region.labels == ()
            found["masks"] += 1
    assert found["masks"] == len(list(NUCLEI.glob("*/masks/*.png"))) == 85
    assert not len(nuclei.report)


def test_nuclei_come_back_pixel_for_pixel(tmp_path: Path) -> None:
    nuclei = read(NUCLEI, **{"class": "nucleus"})
    samples = {item.name: item.sample for item in nuclei.items}
    version = memory_version(samples, nuclei.vocabulary, nuclei.objects)
    writing = write_version(MASKS, version, tmp_path / "out")
    back = read(tmp_path / "out")
    assert not findings(writing.report, "approximated")
    for item in back.items:
        before = samples[writing.names.get(item.name, item.name)]
        for region, old in zip(item.sample.regions, before.regions, strict=True):
            assert (pixels_of(back, region) == pixels_of(nuclei, old)).all()
            assert words_of(back, region) == ["nucleus"]


def test_classes_of_datumaro() -> None:
    found = read(COMMON / "dataset")
    assert [item.name for item in found.items] == ["images/0001.png", "images/0002.png"]
    assert [words_of(found, region) for region in regions_of(found)] == [
        ["Bicyclist"],
        ["Road"],
        ["Animal"],
        ["Child"],
    ]
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.path(node) for node in taxonomy] == [
        "Animal",
        "Archway",
        "Bicyclist",
        "Child",
        "Road",
    ]
    other = read(COMMON / "non_standard_dataset")
    assert [(item.name, len(item.sample.regions)) for item in other.items] == [
        ("images/image_0001.png", 2),
        ("images/image_0002.png", 3),
    ]


def test_camvid_and_its_parts() -> None:
    found = read(FIXTURES / "datumaro" / "camvid")
    assert Counter(item.sample.split for item in found.items) == {"test": 2, "train": 1, "val": 1}
    assert words_of(found, regions_of(found)[0]) == ["#408040"]
    assert len(regions_of(found)) == 10
    assert findings(found.report, "guessed")


@pytest.mark.parametrize(
    "path", [NUCLEI, COMMON, COMMON / "dataset", FIXTURES / "datumaro" / "camvid"]
)
def test_is_detected(path: Path) -> None:
    detection = MASKS.detect(Source(path))
    assert detection is not None
    assert detection.certainty >= 0.8


@pytest.mark.parametrize(
    "name", ["voc", "coco", "cityscapes", "ade20k2017", "yolo", "imagenet", "mots", "cvat"]
)
def test_others_are_not_mistaken(name: str) -> None:
    for folder in (FIXTURES / "datumaro" / name, *(FIXTURES / "datumaro" / name).iterdir()):
        assert MASKS.detect(Source(folder)) is None


# -- what values mean --------------------------------------------------------------------------

NUMBERS = [[0, 1, 1], [2, 2, 255]]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.txt", "background\ncat\ndog\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nbackground::: \ncat:::\ndog:::\n"),
        ("classes.csv", "index,name\n1,cat\n2,dog\n"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, cat\n2, dog\n"),
        ("dataset_meta.json", '{"label_map": {"0": "background", "1": "cat", "2": "dog"}}'),
    ],
)
def test_numbers_of_classes(tmp_path: Path, file: str, text: str) -> None:
    folder = pair(tmp_path, NUMBERS)
    (folder / file).write_text(text)
    found = read(folder)
    cat, dog, void = regions_of(found)
    assert (words_of(found, cat), words_of(found, dog)) == (["cat"], ["dog"])
    assert (pixels_of(found, cat) == [[0, 1, 1], [0, 0, 0]]).all()
    assert (void.flags, void.labels) == (("ignore",), ())
    assert not findings(found.report, "guessed")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labelmap.txt", "background:0,0,0::\ncat:9,8,7::\n"),
        ("class_dict.csv", "name,r,g,b\nbackground,0,0,0\ncat,9,8,7\n"),
        ("label_colors.txt", "0 0 0 background\n9 8 7\tcat\n"),
    ],
)
def test_colours_of_classes(tmp_path: Path, file: str, text: str) -> None:
    colours = np.zeros((2, 3, 3), np.uint8)
    colours[0, 0] = 9, 8, 7
    colours[1, 2] = 1, 2, 3
    folder = pair(tmp_path, colours)
    (folder / file).write_text(text)
    found = read(folder)
    odd, cat = regions_of(found)
    assert words_of(found, cat) == ["cat"]
    assert pixels_of(found, cat).sum() == 1
    assert (odd.labels, odd.extra) == ((), {"value": [1, 2, 3]})
    assert findings(found.report, "extra") == {"pixels have a value that no class has": 1}


def test_palette_masks_are_read_by_number(tmp_path: Path) -> None:
    folder = pair(tmp_path, NUMBERS, palette=[5, 5, 5] * 256)
    (folder / "classes.txt").write_text("background\ncat\ndog\n")
    assert len(regions_of(read(folder))) == 3


def test_sixteen_bits(tmp_path: Path) -> None:
    folder = pair(tmp_path, [[0, 300, 300], [0, 0, 0]], dtype=np.uint16)
    (folder / "classes.csv").write_text("index,name\n300,cat\n")
    found = read(folder)
    assert words_of(found, regions_of(found)[0]) == ["cat"]


@pytest.mark.parametrize("value", [1, 255])
def test_two_values_are_one_object(tmp_path: Path, value: int) -> None:
    folder = pair(tmp_path, [[0, value, 0], [0, 0, 0]])
    (region,) = regions_of(read(folder))
    assert (region.labels, region.flags) == ((), ())
    found = read(folder, **{"class": "cat"})
    assert words_of(found, regions_of(found)[0]) == ["cat"]


def test_numbers_without_names_are_guessed(tmp_path: Path) -> None:
    found = read(pair(tmp_path, NUMBERS))
    assert [words_of(found, region) for region in regions_of(found)] == [["1"], ["2"], []]
    assert findings(found.report, "guessed")


def test_a_file_of_classes_can_be_named(tmp_path: Path) -> None:
    folder = pair(tmp_path / "set", NUMBERS)
    (tmp_path / "mine.txt").write_text("background\nKatze\nHund\n")
    found = read(folder, classes=str(tmp_path / "mine.txt"))
    assert words_of(found, regions_of(found)[0]) == ["Katze"]
    with pytest.raises(NotFoundError, match=r"no\.txt"):
        read(folder, classes="no.txt")


def test_an_empty_mask_means_verified_empty_and_none_not_labeled(tmp_path: Path) -> None:
    folder = pair(tmp_path, np.zeros((2, 3)))
    save(folder / "images" / "b.png", np.zeros((2, 3, 3), np.uint8))
    empty, unlabeled = read(folder).items
    assert empty.sample.coverage == {"category": "exhaustive"}
    assert unlabeled.sample.coverage == {}


# -- files of objects --------------------------------------------------------------------------


@pytest.mark.parametrize("mask", ["masks/a/1.png", "masks/a/x y.png", "masks/1.png", "mask/q.png"])
def test_places_of_objects(tmp_path: Path, mask: str) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / mask, np.array([[0, 255, 0], [0, 0, 0]], np.uint8))
    (item,) = read(tmp_path).items
    assert item.name == "images/a.png"
    assert [pixels_of(read(tmp_path), region).sum() for region in item.sample.regions] == [1]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("images/train/a.jpg", "masks/train/a.png"),
        ("train/images/a.jpg", "train/masks/a.png"),
        ("train/a.jpg", "trainannot/a.png"),
        ("train/a.jpg", "train_labels/a_L.png"),
        ("img/a.jpg", "mask/a_mask.png"),
        ("images/image_1.jpg", "masks/gt_1.png"),
        ("#1 ü.jpg", "masks/#1 ü.png"),
    ],
)
def test_places_of_class_masks(tmp_path: Path, image: str, mask: str) -> None:
    for number in ("", "z"):  # two of them: one alone in a folder would be found more easily
        save((tmp_path / image).with_stem(Path(image).stem + number), np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / mask, np.array([[0, 255, 0], [0, 0, 0]], np.uint8))
    assert [item.name for item in read(tmp_path).items if item.sample.regions] == [image]


def test_grey_values_are_cut_at_a_threshold_that_is_recorded(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / "masks" / "1.png", np.array([[0, 127, 128], [255, 3, 0]], np.uint8))
    found = read(tmp_path)
    (region,) = regions_of(found)
    assert (pixels_of(found, region) == [[0, 0, 1], [1, 0, 0]]).all()
    assert region.extra == {"threshold": 128}
    assert findings(found.report, "approximated") == {"grey values from 128 on are the object": 1}


def test_masks_of_one_image_have_one_size(tmp_path: Path) -> None:
    save(tmp_path / "images" / "a.png", np.zeros((2, 3, 3), np.uint8))
    save(tmp_path / "masks" / "1.png", np.ones((2, 3), np.uint8))
    save(tmp_path / "masks" / "2.png", np.ones((3, 3), np.uint8))
    with pytest.raises(InvalidDataError, match="another size") as caught:
        read(tmp_path)
    assert caught.value.path == "masks/2.png"


def test_masks_without_an_image_stay(tmp_path: Path) -> None:
    save(tmp_path / "masks" / "train" / "a" / "0001.png", np.ones((2, 3), np.uint8))
    (item,) = read(tmp_path).items
    assert (item.name, item.file, item.sample.split) == ("images/train/a", None, "train")
    assert (item.sample.image.width, item.sample.image.height) == (3, 2)


# -- malformed ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("classes.csv", "index,colour\n1,cat\n"),
        ("classes.csv", "index,name\nx,cat\n"),
        ("classes.csv", "index,name\n1\n"),
        ("classes.csv", 'index,name\n1,"cat\n'),
        ("class_dict.csv", "name,r,g,b\ncat,900,0,0\n"),
        ("labelmap.txt", "cat\n"),
        ("labelmap.txt", "cat:1,2::\n"),
        ("dataset_meta.json", "{"),
        ("dataset_meta.json", "[]"),
        ("dataset_meta.json", '{"label_map": {"x": "cat"}}'),
        ("dataset_meta.json", '{"label_map": {"1": "cat"}, "segmentation_colors": [5]}'),
        ("dataset_meta.json", '{"label_map": {"1": "cat"}, "mask_prefix": 5}'),
        ("objects.csv", "a\n"),
        ("masks/a.png", "no image"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name(tmp_path: Path, file: str, text: str) -> None:
    folder = pair(tmp_path, NUMBERS)
    (folder / file).write_text(text)
    with pytest.raises(InvalidDataError) as caught:
        read(folder)
    assert caught.value.path == file


def test_fuzz(tmp_path: Path) -> None:
    fuzz(MASKS, COMMON / "dataset", tmp_path / "x", ["masks/0001.png", "dataset_meta.json"], 150)


# -- writing -----------------------------------------------------------------------------------


def test_layout_follows_the_regions(tmp_path: Path) -> None:
    made = World("cat", "dog")
    made.add(
        "a.png",
        made.region(mask_of_array(stripe(1)), "cat"),
        made.region(Box(10, 20, 20, 25), "dog"),
        made.region(mask_of_array(stripe(27)), flags=("ignore",)),
        split="train",
    )
    made.add("empty.png", coverage={"category": "exhaustive"})
    made.add("unlabeled.png")
    back, _ = made.round_trip(MASKS, tmp_path / "semantic")
    assert (tmp_path / "semantic" / "masks" / "train" / "a.png").is_file()
    values = np.asarray(Pixels.open(tmp_path / "semantic" / "masks" / "train" / "a.png"))
    assert sorted(np.unique(values)) == [0, 1, 2, 255]
    empty, first, _ = back.items
    assert empty.sample.coverage == {"category": "exhaustive"}
    assert [region.flags for region in first.sample.regions] == [(), (), ("ignore",)]

    made.add("b.png", *(made.region(mask_of_array(stripe(n)), "cat") for n in (1, 2)))
    made.round_trip(MASKS, tmp_path / "instances")
    assert (tmp_path / "instances" / "masks" / "b" / "0002.png").is_file()


def test_semantic_masks_merge_and_overlap_in_words(tmp_path: Path) -> None:
    made = World("cat", "dog")
    small = stripe(2)
    small[:, 9:] = False
    made.add(
        "a.png",
        made.region(mask_of_array(small), "dog"),
        made.region(mask_of_array(stripe(1)), "cat"),
        made.region(mask_of_array(stripe(9)), "cat"),
        made.region(Polygon((((1, 20, 9, 20, 9, 25),),))),
    )
    writing = made.write(MASKS, tmp_path / "out", settings={"layout": "semantic"})
    assert findings(writing.report, "approximated") == {
        "regions of one class became one": 1,
        "masks overlap: the smaller one keeps the pixels": 1,
    }
    assert findings(writing.report, "lost") == {"a region without a class": 1}
    back = read(tmp_path / "out")
    cat, dog = regions_of(back)
    assert (pixels_of(back, dog) == small).all()
    assert (pixels_of(back, cat) == ((stripe(1) | stripe(9)) & ~small)).all()


def test_many_classes_need_sixteen_bits(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(300)]
    made = World(*names)
    made.add("a.png", made.region(mask_of_array(stripe(1)), "class 299"))
    made.round_trip(MASKS, tmp_path / "out", settings={"layout": "semantic"})


@pytest.mark.parametrize("layout", ["semantic", "instances"])
def test_label_files_do_not_depend_on_images(tmp_path: Path, layout: str) -> None:
    made = World("cat")
    made.add("x/a.jpg", made.region(mask_of_array(stripe(1)), "cat"), split="val")
    made.add("far.jpg", made.region(mask_of_array(stripe(1)), "cat"), image=Image(uri="x:y"))
    settings = {"layout": layout}
    one = made.write(MASKS, tmp_path / "a", settings=settings)
    other = made.write(MASKS, tmp_path / "b", images="none", settings=settings)
    assert (one.names, one.label_files) == (other.names, other.label_files)
    back = read(tmp_path / "b")
    assert [one.names[item.name] for item in back.items] == ["far.jpg", "x/a.jpg"]
    assert [item.sample.split for item in back.items] == [None, "val"]
