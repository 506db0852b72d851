from __future__ import annotations

import csv
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from format_round_trips import World, findings, fuzz, regions_of, words_of

from voyager.errors import InvalidDataError
from voyager.formats.base import Source
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.reading import ReadOptions
from voyager.formats.registry import format_named
from voyager.formats.torture import Limits
from voyager.formats.writing import WriteOptions
from voyager.schema import Box, Ellipse, Image, Polygon, RotatedBox
from voyager.schema.rle import array_of, mask_of_array

VOC = format_named("voc")
DATA = Path(__file__).parent.parent / "data"
BCCD = DATA / "bccd"
FIXTURES = DATA / "formats" / "datumaro"


def read(path: Path, **options: object) -> Collected:
    return collect(VOC, path, ReadOptions(**options))  # type: ignore[arg-type]


def tree(folder: Path, xml: str, name: str = "a", *, image: str | None = None) -> Path:
    (folder / "Annotations").mkdir(parents=True, exist_ok=True)
    (folder / "Annotations" / f"{name}.xml").write_text(xml, encoding="utf-8")
    if image:
        (folder / "JPEGImages").mkdir(exist_ok=True)
        shutil.copy(BCCD / "JPEGImages" / "BloodImage_00000.jpg", folder / "JPEGImages" / image)
    return folder


def annotation(*objects: str, filename: str = "a.jpg", root: str = "annotation") -> str:
    body = "\n".join(objects)
    return f"<{root}>\n<filename>{filename}</filename>\n{body}\n</annotation>\n"


def obj(x0: object, y0: object, x1: object, y1: object, more: str = "", name: str = "cat") -> str:
    return (
        f"<object><name>{name}</name>{more}<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax>\n<ymax>{y1}</ymax></bndbox></object>"
    )


class TestVocSuite(FormatSuite):
    form = VOC
    limits = Limits(overlap=False, lists=True)
    not_text = ("*.png",)


# -- real data ---------------------------------------------------------------------------------


def test_bccd_is_read_whole() -> None:
    bccd = read(BCCD)
    classes = Counter(words_of(bccd, region)[0] for region in regions_of(bccd))
    assert len(bccd.items) == 364
    assert classes == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    assert Counter(item.sample.split for item in bccd.items) == {
        "train": 205,
        "val": 87,
        "test": 72,
    }
    assert (
        findings(bccd.report, "extra")["a box ends where it begins, or before, and was kept"] == 2
    )
    assert findings(bccd.report, "guessed") == {
        "pixels of boxes count from 1 (--origin says it)": 1
    }
    assert not findings(bccd.report, "lost")


@pytest.mark.parametrize("origin", [0, 1])
def test_bccd_has_the_boxes_of_its_table(origin: int) -> None:
    sides = ("xmin", "ymin", "xmax", "ymax")
    with open(BCCD / "boxes.csv", newline="") as file:
        rows = Counter(
            (row["filename"], row["cell_type"], *(int(row[side]) for side in sides))
            for row in csv.DictReader(file)
        )
    bccd = read(BCCD, origin=origin)
    found: Counter[tuple[object, ...]] = Counter()
    for item in bccd.items:
        for region in item.sample.regions:
            box = region.geometry
            assert isinstance(box, Box)
            numbers = (box.x0 + origin, box.y0 + origin, box.x1, box.y1)
            found[item.name.rpartition("/")[2], words_of(bccd, region)[0], *numbers] += 1
    assert found == rows
    assert not findings(bccd.report, "guessed")


@pytest.mark.parametrize("written", ["0", "1"])
def test_bccd_comes_back_equal(tmp_path: Path, written: str) -> None:
    bccd = read(BCCD)
    samples = {item.name: item.sample for item in bccd.items}
    version = memory_version(samples, bccd.vocabulary, bccd.objects)
    writing = write_version(
        VOC, version, tmp_path / "out", WriteOptions(settings={"origin": written})
    )
    back = read(tmp_path / "out")
    assert len(back.items) == 364
    for item in back.items:
        before = samples[writing.names.get(item.name, item.name)]
        assert item.sample.split == before.split
        assert [
            (region.geometry, region.flags, words_of(back, region))
            for region in item.sample.regions
        ] == [(region.geometry, region.flags, words_of(bccd, region)) for region in before.regions]
    assert not findings(back.report, "guessed")


def test_fixtures_of_datumaro() -> None:
    one = read(FIXTURES / "voc" / "voc_dataset1")
    first, second = one.items
    assert (first.name, first.sample.split) == ("JPEGImages/2007_000001.jpg", "train")
    assert (second.name, second.sample.split) == ("JPEGImages/2007_000002.jpg", "test")
    cat, person, bicycle = first.sample.regions
    assert cat.flags == ("truncated",)
    assert person.attrs["action.reading"] is True
    assert person.attrs["action.walking"] is True
    assert person.attrs["action.running"] is False
    assert person.geometries["part:head"] == Box(4.5, 5, 7.5, 8)
    assert words_of(one, bicycle) == ["bicycle"]
    assert list(bicycle.geometries) == ["mask"]
    assert {one.vocabulary.word(label) for label in first.sample.labels} >= {"bird", "sheep"}
    assert len(first.sample.negatives["category"]) == 8  # of the list cat and person are denied

    two = read(FIXTURES / "voc" / "voc_dataset2")
    assert [item.name for item in two.items] == ["@.jpg", "a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    assert two.items[0].sample.coverage == {"category": "exhaustive"}
    assert two.items[1].sample.regions[0].flags == ("occluded",)
    assert {item.sample.split for item in two.items} == {"trainval"}

    three = read(FIXTURES / "voc" / "voc_dataset3")
    assert [item.sample.split for item in three.items] == ["train"]


def test_flat_folders_of_roboflow() -> None:
    flat = read(FIXTURES / "roboflow" / "voc")
    assert {item.name: item.sample.split for item in flat.items} == {
        "train/train_001.jpg": "train",
        "train/train_002.jpg": "train",
        "val/val_001.jpg": "val",
    }
    assert all(item.file is not None for item in flat.items)
    assert findings(flat.report, "guessed") == {
        "pixels of boxes count from 0 (--origin says it)": 1
    }


# -- detection ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["voc/voc_dataset1", "voc/voc_dataset2", "roboflow/voc"])
def test_is_detected(name: str) -> None:
    detection = VOC.detect(Source(FIXTURES / name))
    assert detection is not None
    assert detection.certainty >= 0.9


@pytest.mark.parametrize(
    "name", ["cvat", "labelme", "yolo", "coco", "camvid", "dota", "cityscapes"]
)
def test_others_are_not_mistaken(name: str) -> None:
    for folder in [FIXTURES / name, *(FIXTURES / name).iterdir()]:
        assert VOC.detect(Source(folder)) is None


def test_one_file_is_detected_and_read() -> None:
    path = BCCD / "Annotations" / "BloodImage_00001.xml"
    assert VOC.detect(Source(path)) is not None
    alone = read(path, images=BCCD / "JPEGImages")
    assert [item.name for item in alone.items] == ["BloodImage_00001.jpg"]


# -- traps -------------------------------------------------------------------------------------


def test_origin_follows_evidence_the_file_and_the_user(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", annotation(obj(1, 1, 4, 4)))
    zero = tree(tmp_path / "zero", annotation(obj(1, 0, 4, 4)))
    stated = tree(tmp_path / "said", annotation(obj(1, 0, 4, 4), root='annotation origin="1"'))
    assert regions_of(read(one))[0].geometry == Box(0, 0, 4, 4)
    assert regions_of(read(zero))[0].geometry == Box(1, 0, 4, 4)
    assert regions_of(read(stated))[0].geometry == Box(0, -1, 4, 4)
    assert regions_of(read(one, origin=0))[0].geometry == Box(1, 1, 4, 4)
    assert regions_of(read(stated, origin=0))[0].geometry == Box(1, 0, 4, 4)


def test_a_wrong_filename_gives_way_to_the_stem(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation(obj(1, 1, 4, 4), filename="b.png"), image="a.jpg")
    tree(folder, annotation(filename="a.jpg"), "b", image="b.jpg")
    found = read(folder)
    assert [item.name for item in found.items] == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]
    assert len(found.items[0].sample.regions) == 1
    assert findings(found.report, "repaired") == {
        "<filename> names another image than the file's own": 2
    }


def test_a_right_filename_stands_where_the_stem_has_no_image(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation(filename="photo.jpg"), "ann-1", image="photo.jpg")
    found = read(folder)
    assert [item.name for item in found.items] == ["JPEGImages/photo.jpg"]
    assert not findings(found.report, "repaired")


def test_stems_collide(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation(obj(1, 1, 4, 4), filename="a.png"), image="a.jpg")
    shutil.copy(FIXTURES / "coco/coco/annotations/panoptic_train/a.png", folder / "JPEGImages")
    found = read(folder)
    counts = {item.name: len(item.sample.regions) for item in found.items}
    assert counts == {"JPEGImages/a.png": 1, "JPEGImages/a.jpg": 0}
    assert found.items[1].sample.coverage == {}


def test_no_object_means_verified_empty_and_no_file_not_labeled(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation(), image="a.jpg")
    shutil.copy(folder / "JPEGImages" / "a.jpg", folder / "JPEGImages" / "b.jpg")
    empty, unlabeled = read(folder).items
    assert empty.sample.coverage == {"category": "exhaustive"}
    assert unlabeled.sample.coverage == {}


def test_labels_without_an_image_stay(tmp_path: Path) -> None:
    size = "<size><width>7</width><height>5</height><depth>1</depth></size>"
    (item,) = read(tree(tmp_path, annotation(size, obj(1, 1, 4, 4)))).items
    assert (item.name, item.file) == ("a.jpg", None)
    assert (item.sample.image.width, item.sample.image.height) == (7, 5)
    assert item.sample.extra == {"depth": "1"}


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "C:\\a.jpg", "x/../../a.jpg"])
def test_paths_out_of_the_dataset_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidDataError, match="inside the dataset") as caught:
        read(tree(tmp_path, annotation(filename=name)))
    assert (caught.value.path, caught.value.line) == ("Annotations/a.xml", 2)


def test_entities_are_refused(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>' + annotation("&b;")
    with pytest.raises(InvalidDataError, match="DTD or entities"):
        read(tree(tmp_path, bomb))


def test_decimal_commas_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="expected a number, got '1,5'") as caught:
        read(tree(tmp_path, annotation(obj("1,5", 1, 4, 4))))
    assert caught.value.line == 3
    assert "decimal commas" in (caught.value.hint or "")


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    found = read(tree(tmp_path, annotation(obj("NaN", 1, "inf", 4))))
    (region,) = regions_of(found)
    assert region.geometries == {}
    assert region.extra["source_geometry"]["xmin"] == "NaN"
    assert findings(found.report, "lost") == {"a geometry is not made of finite numbers": 1}


@pytest.mark.parametrize(
    ("encoding", "declared", "guessed"),
    [
        ("utf-8-sig", "", 0),
        ("latin-1", "", 1),
        ("latin-1", "iso-8859-1", 0),
        ("gb18030", "GB18030", 0),
        ("utf-16", "utf-16", 0),
    ],
)
def test_text_in_other_encodings(
    tmp_path: Path, encoding: str, declared: str, guessed: int
) -> None:
    folder = tree(tmp_path, "")
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    text = head + annotation(obj(1, 1, 4, 4, name="für"))
    (folder / "Annotations" / "a.xml").write_bytes(text.encode(encoding))
    found = read(folder, origin=1)
    assert words_of(found, regions_of(found)[0]) == ["für"]
    assert sum(findings(found.report, "guessed").values()) == guessed


def test_unicode_and_number_signs_in_names(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation(filename="#1 ü.jpg"), "#1 ü", image="#1 ü.jpg")
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text("# a comment\n#1 ü\n", "utf-8")
    (item,) = read(folder).items
    assert (item.name, item.sample.split) == ("JPEGImages/#1 ü.jpg", "train")


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    more = "<score>0.5</score><truncated>0.3</truncated>"
    found = read(tree(tmp_path, annotation("<weather>rain</weather>", obj(1, 1, 4, 4, more))))
    assert found.items[0].sample.extra == {"weather": "rain"}
    assert regions_of(found)[0].extra == {"score": "0.5", "truncated": "0.3"}
    assert sum(findings(found.report, "extra").values()) == 3


@pytest.mark.parametrize(
    "xml",
    [
        "<annotation>",
        "<annotations></annotations>",
        annotation(obj("", 1, 2, 3)),
        annotation("<object><name>a</name><bndbox><xmin>1</xmin></bndbox></object>"),
        annotation("<size><width>-3</width></size>"),
        annotation("<size><width>2.5</width></size>"),
        annotation("<object><polygon><q>1</q></polygon></object>"),
        annotation("<object><polygon><x999999>1</x999999></polygon></object>"),
        annotation("<object><attributes><attribute/></attributes></object>"),
        "<annotation>" + "<a>" * 500 + "</a>" * 500 + "</annotation>",
    ],
)
def test_malformed_files_are_refused_with_their_path(tmp_path: Path, xml: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        read(tree(tmp_path, xml))
    assert caught.value.path == "Annotations/a.xml"


def test_an_image_in_two_lists(tmp_path: Path) -> None:
    folder = tree(tmp_path, annotation())
    (folder / "ImageSets" / "Main").mkdir(parents=True)
    for name in ("train", "val", "trainval"):
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("a\n")
    (item,) = read(folder).items
    assert item.sample.split == "train"
    assert item.sample.extra == {"ImageSets": ["Main/val"]}


def test_fuzz(tmp_path: Path) -> None:
    names = [
        "Annotations/2007_000001.xml",
        "SegmentationClass/2007_000001.png",
        "ImageSets/Main/train.txt",
        "ImageSets/Main/cat_train.txt",
    ]
    fuzz(VOC, FIXTURES / "voc" / "voc_dataset1", tmp_path / "x", names, count=120)


# -- writing -----------------------------------------------------------------------------------


def world() -> World:
    world = World("cat", "a/b: <c>", "Ünder dog", "unused")
    world.add(
        "one/a.jpg",
        world.region(Box(0.1, 1 / 3, 17.7, 20), "cat", flags=("difficult", "occluded")),
        world.region(Box(-3, 2, -3, 1), "a/b: <c>", attrs={"pose": "Left", "n": 3, "t": "3"}),
        world.region(RotatedBox(10, 12, 5, 3, 0.3), "cat", flags=("truncated",)),
        world.region(Polygon((((1, 1, 9, 2, 5.25, 8),),)), "Ünder dog"),
        split="train",
    )
    world.add(
        "two/a.jpg",
        world.region(Box(1, 2, 3, 4)),
        world.region(
            {"box": Box(0, 0, 9, 9), "polygon": Polygon((((1, 1, 9, 2, 5, 8),),))},
            "cat",
            primary="polygon",
            attrs={
                "a": [1, 2.5, "x"],
                "b": True,
                "c": " <&> ",
                "d": "true",
                "action.walking": True,
            },
        ),
        split="val",
    )
    world.add("a.png", split="test")
    world.add("a.jpg")
    world.add("empty.jpg", split="val", coverage={"category": "exhaustive"})
    world.add("#1 ü.jpg", world.region(Box(1, 2, 3, 4), "cat"), split="my part")
    world.add("pending.jpg", image=Image(width=9, height=9))
    world.add("none.jpg", negatives={"category": (world.nodes["cat"],)}, split="train")
    return world


@pytest.mark.parametrize("images", ["copy", "none"])
@pytest.mark.parametrize("origin", ["0", "1"])
def test_samples_come_back(tmp_path: Path, images: str, origin: str) -> None:
    back, _ = world().round_trip(VOC, tmp_path / "out", images=images, settings={"origin": origin})
    names = [
        back.vocabulary.taxonomies["category"].path(n)
        for n in back.vocabulary.taxonomies["category"]
    ]
    assert names == ["cat", "a\\/b: <c>", "Ünder dog", "unused"]
    assert not findings(back.report, "guessed")
    assert not findings(back.report, "extra").keys() - {
        "a box ends where it begins, or before, and was kept"
    }
    empty = next(item for item in back.items if item.name.endswith("empty.jpg"))
    assert empty.sample.coverage == {"category": "exhaustive"}


def test_label_files_do_not_depend_on_images(tmp_path: Path) -> None:
    one = world().write(VOC, tmp_path / "a")
    other = world().write(VOC, tmp_path / "b", images="none")
    assert sorted(one.label_files) == sorted(other.label_files)
    assert one.names == other.names
    for name in one.label_files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    made = world()
    made.write(VOC, tmp_path / "a")
    made.write(VOC, tmp_path / "b")
    files = sorted(
        p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()
    )
    assert Path("ImageSets/Main/train.txt") in files
    assert Path("ImageSets/Main/trainval.txt") in files
    assert Path("ImageSets/Main/cat_train.txt") in files
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_it_cannot_hold_becomes_a_polygon_or_box(tmp_path: Path) -> None:
    made = World("cat")
    ring = (0, 0, 20, 0, 20, 20, 0, 20)
    made.add(
        "a.jpg",
        made.region(Ellipse(10, 10, 5, 3, 0), "cat"),
        made.region(Polygon(((ring, (5, 5, 9, 5, 9, 9)), ((30, 20, 35, 20, 35, 25),))), "cat"),
    )
    made.round_trip(VOC, tmp_path / "out")


def test_integers(tmp_path: Path) -> None:
    made = World("cat")
    made.add("a.jpg", made.region(Box(1.4, 1.6, 5.5, 7.2), "cat"))
    made.write(VOC, tmp_path / "out", settings={"integers": "yes"})
    assert regions_of(read(tmp_path / "out"))[0].geometry == Box(1, 2, 6, 7)


def test_masks_come_back_pixel_for_pixel(tmp_path: Path) -> None:
    made = World("cat", "dog")
    pixels = np.zeros((30, 40), bool)
    pixels[3:9, 4:20] = True
    other, void = np.roll(pixels, 10, 0), np.roll(pixels, 20, 0)
    made.add(
        "a.png",
        made.region(mask_of_array(pixels), "dog"),
        made.region(Box(1, 2, 3, 4), "cat"),
        made.region({"mask": mask_of_array(other), "box": Box(0, 0, 9, 9)}, "cat", primary="mask"),
        made.region(mask_of_array(void), flags=("ignore",)),
        split="train",
    )
    back, writing = made.round_trip(VOC, tmp_path / "out")
    dog, _, cat, ignored = regions_of(back)
    assert (array_of(dog.geometry) == pixels).all()
    assert cat.geometries["box"] == Box(0, 0, 9, 9)
    assert ignored.flags == ("ignore",)
    assert not len(writing.report)
    assert "ImageSets" not in back.items[0].sample.extra


def test_overlapping_masks_are_reported(tmp_path: Path) -> None:
    made = World("cat")
    pixels = np.ones((30, 40), bool)
    small = pixels.copy()
    small[:, 5:] = False
    made.add(
        "a.png", made.region(mask_of_array(small), "cat"), made.region(mask_of_array(pixels), "cat")
    )
    writing = made.write(VOC, tmp_path / "out")
    assert (
        writing.report.count("approximated", "masks overlap: the smaller one keeps the pixels") == 1
    )
    first, second = regions_of(read(tmp_path / "out"))
    assert (array_of(first.geometry) == small).all()
    assert (array_of(second.geometry) == (pixels & ~small)).all()


def test_polygons_as_masks_when_asked(tmp_path: Path) -> None:
    made = World("cat")
    made.add("a.png", made.region(Polygon((((2, 2, 8, 2, 8, 8, 2, 8),),)), "cat"))
    made.write(VOC, tmp_path / "out", settings={"masks": "yes"})
    (region,) = regions_of(read(tmp_path / "out"))
    assert array_of(region.geometries["mask"]).sum() == 36
