from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from format_round_trips import World, findings, fuzz, regions_of, words_of
from PIL import Image as Pixels

from voyager.errors import InvalidDataError, UsageError
from voyager.formats.base import Source
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.reading import ReadOptions
from voyager.formats.registry import format_named
from voyager.formats.torture import Limits
from voyager.schema import Box, Ellipse, Image, Keypoints, Polygon, RotatedBox, Sample
from voyager.schema.rle import mask_of_array
from voyager.schema.task import Skeleton

YOLO = format_named("yolo")
DATA = Path(__file__).parent.parent / "data"
FIXTURES = DATA / "formats"
SHARKS = FIXTURES / "roboflow_sharks" / "yolov9"


class TestYoloSuite(FormatSuite):
    form = YOLO
    limits = Limits()
    not_text = ("*.png",)

    def expected(self, key: str, sample: Sample) -> Sample:
        """A line holds a polygon or keypoints, not both."""
        regions = tuple(
            region.replace(geometries={region.primary_role: region.geometry}, primary=None)
            if len(region.geometries) > 1
            else region
            for region in sample.regions
        )
        return sample.replace(regions=regions)

    def test_nothing_is_lost_or_guessed(self) -> None:
        with self._written(self.version()) as (folder, writing):
            for report in (writing.report, self._read(folder).report):
                told = [*findings(report, "lost"), *findings(report, "guessed")]
                assert [kind for kind in told if "not here" not in kind] == (
                    ["a second geometry of a region (keypoints)"]
                    if report is writing.report
                    else []
                )


def read(path: Path, **settings: str) -> Collected:
    return collect(YOLO, path, ReadOptions(settings=settings))


def dataset(
    folder: Path, labels: str | bytes, yaml: str = "names: [cat, dog]\nval: images\n"
) -> Path:
    """One image of 100 × 50 with labels."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if yaml:
        (folder / "data.yaml").write_text(yaml, encoding="utf-8")
    picture(folder / "images" / "a.png")
    data = labels.encode() if isinstance(labels, str) else labels
    (folder / "labels" / "a.txt").write_bytes(data)
    return folder


def picture(path: Path, orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Pixels.new("RGB", (100, 50))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)


# -- real data ---------------------------------------------------------------------------------


def test_sharks() -> None:
    sharks = read(SHARKS)
    assert Counter(item.sample.split for item in sharks.items) == {"train": 7, "val": 2, "test": 1}
    assert Counter(words_of(sharks, region)[0] for region in regions_of(sharks)) == {
        "shark": 40,
        "primary": 10,
        "fish": 10,
    }
    assert Counter("+".join(region.geometries) for region in regions_of(sharks)) == {
        "box": 43,
        "polygon": 17,
    }
    taxonomy = sharks.vocabulary.taxonomies["category"]
    assert [taxonomy.path(node) for node in taxonomy] == ["fish", "primary", "shark"]
    assert sharks.vocabulary.tasks["category"].extra["yolo"]["roboflow"]["license"] == "MIT"
    assert not findings(sharks.report, "lost") and not findings(sharks.report, "guessed")


def test_sharks_come_back(tmp_path: Path) -> None:
    sharks = read(SHARKS)
    samples = {item.name: item.sample for item in sharks.items}
    samples = {
        name: sample.replace(image=Image(width=640, height=640)) for name, sample in samples.items()
    }
    writing = write_version(
        YOLO, memory_version(samples, sharks.vocabulary, sharks.objects), tmp_path / "out"
    )
    back = read(tmp_path / "out")
    assert len(regions_of(back)) == 60
    for item in back.items:
        before = samples[writing.names.get(item.name, item.name)]
        assert item.sample.split == before.split
        for region, old in zip(item.sample.regions, before.regions, strict=True):
            assert type(region.geometry) is type(old.geometry)


@pytest.mark.parametrize(
    ("name", "items", "regions", "splits"),
    [
        ("datumaro/yolo/labels", 2, 4, {"train", "val"}),
        ("datumaro/yolo/annotations", 1, 2, {None}),
        ("datumaro/yolo/strict", 1, 2, {"train"}),
        ("datumaro/roboflow/yolo", 3, 4, {"train", "val"}),
        ("datumaro/roboflow/yolo_obb", 3, 4, {"train", "val"}),
        ("datumaro/dota", 3, 4, {"train", "val"}),
        ("label_studio/test_import_yolo_data_unif_dims", 5, 19, {None}),
    ],
)
def test_fixtures(name: str, items: int, regions: int, splits: set[str | None]) -> None:
    found = read(FIXTURES / name)
    assert (len(found.items), len(regions_of(found))) == (items, regions)
    assert {item.sample.split for item in found.items} == splits
    assert not findings(found.report, "lost")
    assert not findings(found.report, "guessed")
    detection = YOLO.detect(Source(FIXTURES / name))
    assert detection is not None
    assert detection.certainty >= 0.75


def test_labels_of_images_that_are_not_here_need_a_size() -> None:
    found = read(FIXTURES / "label_studio" / "test_import_yolo_data")
    assert len(found.items) == 7
    assert findings(found.report, "lost") == {
        "no size of the image is known: its labels were left out": 3
    }


def test_lines_of_dota_are_pixels() -> None:
    found = read(FIXTURES / "datumaro" / "dota")
    box = found.items[-1].sample.regions[1].geometry
    assert isinstance(box, RotatedBox)
    assert (box.cx, box.cy, {box.width, box.height}) == (5.5, 3.5, {9.0, 3.0})


@pytest.mark.parametrize(
    "name", ["coco", "cvat", "labelme", "voc", "mot", "camvid", "imagenet", "mots"]
)
def test_others_are_not_mistaken(name: str) -> None:
    assert YOLO.detect(Source(FIXTURES / "datumaro" / name)) is None


# -- kinds of lines ----------------------------------------------------------------------------


def test_box_polygon_and_scores(tmp_path: Path) -> None:
    found = read(
        dataset(
            tmp_path,
            "0 0.5 0.5 0.2 0.4\n1 0.5 0.5 0.2 0.4 0.75\n0 0 0 1 0 1 1\n0 0 0 1 0 1 1 0.5\n",
        )
    )
    box, scored, polygon, other = regions_of(found)
    assert box.geometry == scored.geometry == Box(40, 15, 60, 35)
    assert (box.score, scored.score, other.score) == (None, 0.75, 0.5)
    assert polygon.geometry == other.geometry == Polygon((((0, 0, 100, 0, 100, 50),),))


EIGHT = "0 0.1 0.2 0.3 0.2 0.3 0.6 0.1 0.6\n"
SKEWED = "0 0.1 0.2 0.3 0.3 0.3 0.6 0.1 0.6\n"


@pytest.mark.parametrize(
    ("labels", "settings", "yaml", "kind", "guessed"),
    [
        (EIGHT, {}, "", "rotated-box", 1),
        (SKEWED, {}, "", "polygon", 1),
        (EIGHT + "0 0 0 1 0 1 1\n", {}, "", "polygon", 1),
        (EIGHT, {"kind": "segment"}, "", "polygon", 0),
        (EIGHT, {"kind": "obb"}, "", "rotated-box", 0),
        (SKEWED, {"kind": "obb"}, "", "polygon", 0),
        (EIGHT, {}, "task: segment\n", "polygon", 0),
        (EIGHT, {}, "task: obb\n", "rotated-box", 0),
    ],
)
def test_eight_numbers(
    tmp_path: Path, labels: str, settings: dict[str, str], yaml: str, kind: str, guessed: int
) -> None:
    found = read(dataset(tmp_path, labels, f"names: [a]\nnc: 1\n{yaml}"), **settings)
    assert list(regions_of(found)[0].geometries) == [kind]
    assert len(findings(found.report, "guessed")) == guessed


def test_keypoints(tmp_path: Path) -> None:
    yaml = "names: {0: cat}\nkpt_shape: [2, 3]\nflip_idx: [1, 0]\nval: images\n"
    labels = "0 0.5 0.5 0.2 0.4 0.5 0.5 2 0 0 0\n0 0.5 0.5 1 1 0.4 0.4 0.25 0.6 0.6 0.9\n"
    found = read(dataset(tmp_path, labels, yaml))
    one, other = regions_of(found)
    assert one.geometries == {
        "keypoints": Keypoints((50, 25, 0, 0), (2, 0)),
        "box": Box(40, 15, 60, 35),
    }
    assert other.extra == {"keypoint_scores": [0.25, 0.9]}
    skeleton = found.vocabulary.tasks["category"].skeleton
    assert skeleton is not None
    assert (skeleton.names, skeleton.flips) == (("0", "1"), ((0, 1),))


def test_a_pose_dataset_without_kpt_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="kpt_shape is missing"):
        read(dataset(tmp_path, "0 0.5 0.5 0.2 0.4 0.5 0.5 2\n"), kind="pose")


# -- data.yaml ---------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["images/train", "./images/train", "../images/train", "train.txt"])
@pytest.mark.parametrize(
    "form", ["train: {}", "train: [{}]", "train:\n  - {}", "path: x\ntrain: {}"]
)
def test_places_of_parts(tmp_path: Path, word: str, form: str) -> None:
    for name in ("images/train/a.png", "images/other/b.png"):
        picture(tmp_path / name)
    (tmp_path / "train.txt").write_text("./images/train/a.png\n")
    (tmp_path / "data.yaml").write_text("names: [cat]\n" + form.format(word) + "\nval: []\n")
    assert {item.name: item.sample.split for item in read(tmp_path).items} == {
        "images/train/a.png": "train"
    }


def test_valid_is_val_and_one_folder_for_all_is_no_part(tmp_path: Path) -> None:
    picture(tmp_path / "valid/images/a.png")
    (tmp_path / "data.yaml").write_text("names: [cat]\nval: valid/images\n")
    assert [item.sample.split for item in read(tmp_path).items] == ["val"]
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: valid/images\nval: valid/images\n")
    assert [item.sample.split for item in read(tmp_path).items] == [None]


def test_names_of_classes_stay_as_they_are_written(tmp_path: Path) -> None:
    yaml = "val: images\nnames:\n  0: no\n  2: 10\n  5: 'null'\n"
    found = read(dataset(tmp_path, "2 0.5 0.5 0.1 0.1\n", yaml))
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.path(node) for node in taxonomy] == ["no", "10", "null"]
    assert words_of(found, regions_of(found)[0]) == ["10"]


def test_the_yaml_itself_can_be_imported(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "0 0.5 0.5 0.1 0.1\n")
    assert YOLO.detect(Source(folder / "data.yaml")) is not None
    assert len(regions_of(read(folder / "data.yaml"))) == 1


@pytest.mark.parametrize(
    "yaml",
    [
        "names: [a\n",
        "names: {x: a}\nval: images",
        "names: 3\nval: images",
        "names: [[a]]\nval: images",
        "names: [a]\nkpt_shape: [2]\nval: images",
        "names: [a]\nkpt_shape: [99999999, 3]\nval: images",
        "names: [a]\nkpt_shape: [2, 3]\nflip_idx: [5, 6]\nval: images",
        "names: [a]\ntrain: {a: b}\n",
        "? [a]\n: b\n",
        "names: " + "[" * 2000,
    ],
)
def test_a_malformed_yaml_is_refused(tmp_path: Path, yaml: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        read(dataset(tmp_path, "", yaml))
    assert caught.value.path == "data.yaml"


# -- traps -------------------------------------------------------------------------------------


def test_an_empty_file_means_verified_empty_and_none_not_labeled(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "\n")
    picture(folder / "images" / "b.png")
    empty, unlabeled = read(folder).items
    assert empty.sample.coverage == {"category": "exhaustive"}
    assert unlabeled.sample.coverage == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0.5 0.5 0.1 0.1", "class 2 is none of the 2 named ones"),
        ("0 0,5 0,5 0,1 0,1", "expected a number, got '0,5'"),
        ("cat 0.5 0.5 0.1 0.1", "expected the number of a class"),
        ("-1 0.5 0.5 0.1 0.1", "expected the number of a class"),
        ("0 0.5 0.5 0.1", "3 numbers after the class"),
        ("0", "0 numbers after the class"),
        ("0 x 0.5 0.1 0.1", "expected a number"),
    ],
)
def test_a_malformed_line_is_refused_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(InvalidDataError, match=words) as caught:
        read(dataset(tmp_path, f"0 0.5 0.5 0.1 0.1\n\n{line}\n"))
    assert (caught.value.path, caught.value.line) == ("labels/a.txt", 3)
    assert ("decimal commas" in (caught.value.hint or "")) == ("0,5" in line)


def test_odd_boxes_are_kept_and_reported(tmp_path: Path) -> None:
    lines = (
        "0 0.5 0.5 0 0.2\n0 1.25 0.5 0.5 0.2\n0 0.5 0.5 -0.5 0.2\n0 0.5 0.5 0 0.2\n0 nan 0 0 0\n"
    )
    found = read(dataset(tmp_path, lines))
    flat, outside, inverted, _, nothing = regions_of(found)
    assert flat.geometry == Box(50, 20, 50, 30)
    assert outside.geometry == Box(100, 20, 150, 30)
    assert inverted.geometry == Box(75, 20, 25, 30)
    assert nothing.geometries == {}
    assert nothing.extra == {"source_geometry": "nan 0.0 0.0 0.0"}
    assert findings(found.report, "extra") == {
        "a box has no area and was kept": 3,
        "a shape begins outside of the image and was kept": 1,
        "a line stands twice and both were kept": 1,
    }
    assert findings(found.report, "lost") == {"a geometry is not made of finite numbers": 1}


def test_classes_without_names_are_called_by_number(tmp_path: Path) -> None:
    found = read(dataset(tmp_path, "7 0.5 0.5 0.1 0.1\n", yaml=""))
    assert words_of(found, regions_of(found)[0]) == ["7"]
    assert len(findings(found.report, "guessed")) == 1


@pytest.mark.parametrize("line", ["../../x.jpg", "/etc/x.jpg"])
def test_listed_paths_outside_are_refused(tmp_path: Path, line: str) -> None:
    folder = dataset(tmp_path, "", "names: [a]\ntrain: train.txt\n")
    (folder / "train.txt").write_text(f"images/a.png\n{line}\n")
    with pytest.raises(InvalidDataError, match="inside the dataset") as caught:
        read(folder)
    assert (caught.value.path, caught.value.line) == ("train.txt", 2)


def test_listed_paths_of_another_machine_are_found(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "", "names: [a]\ntrain: /home/me/train.txt\n")
    (folder / "train.txt").write_text("/home/me/set/images/a.png\r\n")
    assert [(item.name, item.sample.split) for item in read(folder).items] == [
        ("images/a.png", "train")
    ]


def test_text_in_other_encodings(tmp_path: Path) -> None:
    found = read(dataset(tmp_path, "\ufeff0 0.5 0.5 0.1 0.1\r\n".encode("utf-16-le")))
    assert len(regions_of(found)) == 1
    (tmp_path / "data.yaml").write_bytes("names: [für]\nval: images\n".encode("latin-1"))
    found = read(tmp_path)
    assert words_of(found, regions_of(found)[0]) == ["für"]


def test_unicode_and_number_signs_in_names(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "")
    picture(folder / "images" / "#1 ü.png")
    (folder / "labels" / "#1 ü.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert [len(item.sample.regions) for item in read(folder).items] == [1, 0]


def test_numbers_of_a_turned_photo(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "0 0.5 0.5 0.2 0.4\n")
    (folder / "images" / "a.png").unlink()
    picture(folder / "images" / "a.jpg", orientation=6)
    upright = collect(YOLO, folder, ReadOptions(frame="upright"))
    assert regions_of(upright)[0].geometry == Box(20, 30, 30, 70)
    assert regions_of(read(folder))[0].geometry == Box(40, 15, 60, 35)


def test_two_images_of_one_stem(tmp_path: Path) -> None:
    folder = dataset(tmp_path, "0 0.5 0.5 0.2 0.4\n")
    picture(folder / "images" / "a.jpg")
    found = read(folder)
    assert len(found.items) == 2
    assert findings(found.report, "guessed") == {"one label file belongs to two images": 1}


def test_unknown_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read(dataset(tmp_path, ""), kind="circle")


def test_fuzz(tmp_path: Path) -> None:
    names = ["data.yaml", "train/labels/train_001.txt", "val/labels/val_001.txt"]
    fuzz(YOLO, FIXTURES / "datumaro" / "roboflow" / "yolo", tmp_path / "x", names, count=150)


# -- writing -----------------------------------------------------------------------------------


def test_writing_by_kind(tmp_path: Path) -> None:
    made = World("cat")
    pixels = np.zeros((30, 40), bool)
    pixels[3:9, 4:20] = True
    made.add(
        "a.png",
        made.region(Box(1, 2, 11, 12), "cat", score=0.5),
        made.region(RotatedBox(20, 15, 10, 4, 0.5), "cat"),
        made.region(Polygon((((1, 1, 9, 1, 9, 9, 1, 9),),)), "cat"),
        made.region(mask_of_array(pixels), "cat"),
        made.region(Ellipse(10, 10, 5, 3, 0), "cat"),
        split="train",
    )
    kinds = {}
    for kind in ("auto", "detect", "segment", "obb"):
        writing = made.write(YOLO, tmp_path / kind, settings={"kind": kind})
        back = read(tmp_path / kind)
        assert not findings(back.report, "guessed")
        kinds[kind] = ["+".join(region.geometries) for region in regions_of(back)]
        assert findings(writing.report, "approximated") or kind == "auto"
    assert kinds == {
        "auto": ["box", "rotated-box", "polygon", "polygon", "polygon"],
        "detect": ["box"] * 5,
        "segment": ["polygon"] * 5,
        "obb": ["rotated-box"] * 5,
    }
    made.write(YOLO, tmp_path / "scores", settings={"scores": "yes"})
    assert regions_of(read(tmp_path / "scores"))[0].score == 0.5


def test_masks_become_their_outline(tmp_path: Path) -> None:
    made = World("cat")
    pixels = np.zeros((30, 40), bool)
    pixels[3:9, 4:20] = True
    made.add("a.png", made.region(mask_of_array(pixels), "cat"))
    made.write(YOLO, tmp_path / "out")
    (region,) = regions_of(read(tmp_path / "out"))
    assert isinstance(region.geometry, Polygon)
    assert sorted(region.geometry.parts[0][0]) == pytest.approx([3, 3, 4, 4, 9, 9, 20, 20])


def test_pose_round_trip(tmp_path: Path) -> None:
    made = World("person")
    task = made.draft.tasks["category"]
    skeleton = Skeleton(names=("nose", "l", "r"), edges=((0, 1),), flips=((1, 2),))
    made.draft.put_task("category", task.replace(skeleton=skeleton))
    made.add(
        "a.png",
        made.region(Keypoints((1, 2, 0, 0, 8, 9.5), (2, 0, 1)), "person"),
        made.region(
            {"keypoints": Keypoints((1, 2, 3, 3, 8, 9.5), (2, 1, 1)), "box": Box(0, 0, 20, 20)},
            "person",
            primary="keypoints",
        ),
        split="train",
    )
    back, _ = made.round_trip(YOLO, tmp_path / "out")
    assert back.vocabulary.tasks["category"].skeleton == skeleton


def test_label_files_do_not_depend_on_images(tmp_path: Path) -> None:
    made = World("cat")
    made.add("x/a.png", made.region(Box(1, 2, 3, 4), "cat"), split="train")
    made.add("b.png")
    made.add("pending.jpg", made.region(Box(1, 2, 3, 4), "cat"), image=Image(width=9, height=9))
    one = made.write(YOLO, tmp_path / "a")
    other = made.write(YOLO, tmp_path / "b", images="none")
    assert one.names == other.names
    assert one.label_files == other.label_files
    for name in one.label_files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    back = read(tmp_path / "b")
    assert [(item.name, len(item.sample.regions)) for item in back.items] == [
        ("images/b.png", 0),
        ("images/pending.jpg", 1),
        ("images/train/x-a.png", 1),
    ]


def test_without_splits_one_folder_is_all(tmp_path: Path) -> None:
    made = World("cat")
    made.add("images/a.png", made.region(Box(1, 2, 3, 4), "cat"))
    made.round_trip(YOLO, tmp_path / "out")
    text = (tmp_path / "out" / "data.yaml").read_text()
    assert text == ("path: .\ntrain: images\nval: images\ntask: detect\nnc: 1\nnames:\n  0: cat\n")
    assert (tmp_path / "out" / "images" / "a.png").is_file()


def test_a_pending_image_of_unknown_size_loses_its_labels(tmp_path: Path) -> None:
    made = World("cat")
    made.add("a.png", made.region(Box(1, 2, 3, 4), "cat"), image=Image())
    writing = made.write(YOLO, tmp_path / "out")
    assert findings(writing.report, "lost")["no size is known, so labels cannot be written"] == 1
