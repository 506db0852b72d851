"""Folder per class: the shipped suite, real layouts, nested folders, lists of classes."""

from __future__ import annotations

from pathlib import Path

import pytest

from voyager.errors import UsageError
from voyager.formats.base import Source
from voyager.formats.collecting import Collected, collect, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.folders import FORMAT, detect
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import HEIGHT, WIDTH, Builder, Limits, image_bytes
from voyager.formats.writing import WriteOptions, Writing

DATUMARO = Path(__file__).parents[1] / "data" / "formats" / "datumaro"


class TestFolders(FormatSuite):
    form = FORMAT


class TestFoldersAsTree(FormatSuite):
    form = FORMAT
    write_options = WriteOptions(settings={"nested": "path"})
    read_options = ReadOptions(settings={"nested": "path"})


def lay_out(folder: Path, *names: str, **texts: str) -> Path:
    """A folder with images of these names, and text files."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(name, WIDTH, HEIGHT))
    for stem, text in texts.items():
        (folder / f"{stem}.txt").write_text(text)
    return folder


def read(folder: Path, **settings: str) -> Collected:
    return collect(FORMAT, folder, ReadOptions(settings=settings))


def said(found: Collected) -> dict[str, tuple[str | None, str]]:
    """Split and class of each image."""
    return {
        item.name: (
            item.sample.split,
            " ".join(map(found.vocabulary.word, item.sample.labels)),
        )
        for item in found.items
    }


def classes(found: Collected) -> list[str | None]:
    """The paths of all classes in their order."""
    taxonomy = found.vocabulary.taxonomies["category"]
    return [taxonomy.path(node) for node in taxonomy]


# -- reading -------------------------------------------------------------------------------------


def test_imagenet() -> None:
    found = read(DATUMARO / "imagenet")
    assert said(found) == {
        "label_0/label_0_1.jpg": (None, "label_0"),
        "label_0_2.jpg": (None, ""),
        "label_1/label_1_1.jpg": (None, "label_1"),
        "label_1/label_1_1/label_1_1.jpg": (None, "label_1"),
    }
    assert found.report.count("guessed") == 1
    assert all(item.file is not None and item.file.is_file() for item in found.items)


def test_nested_folders_are_a_tree_when_asked() -> None:
    found = read(DATUMARO / "imagenet", nested="path")
    assert said(found)["label_1/label_1_1/label_1_1.jpg"] == (None, "label_1/label_1_1")
    assert classes(found) == ["label_0", "label_1", "label_1/label_1_1"]
    assert not found.report
    last = read(DATUMARO / "imagenet", nested="last")
    assert said(last)["label_1/label_1_1/label_1_1.jpg"] == (None, "label_1_1")
    with pytest.raises(UsageError, match="nested=all"):
        read(DATUMARO / "imagenet", nested="all")


def test_imagenet_in_splits() -> None:
    found = read(DATUMARO / "imagenet_subsets")
    assert {split for split, _ in said(found).values()} == {"train", "val", "test"}
    assert said(found)["val/label_0/label_0_1.jpg"] == ("val", "label_0")
    assert said(found)["val/label_0_2.jpg"] == ("val", "")


@pytest.mark.parametrize("word", ["valid", "validation", "Val", "dev"])
def test_spellings_of_splits(tmp_path: Path, word: str) -> None:
    lay_out(tmp_path, f"{word}/cat/a.png", "training/cat/b.png")
    assert said(read(tmp_path)) == {
        f"{word}/cat/a.png": ("val", "cat"),
        "training/cat/b.png": ("train", "cat"),
    }


def test_classes_may_be_called_like_splits(tmp_path: Path) -> None:
    lay_out(tmp_path, "test/a.png", "cat/b.png")
    assert said(read(tmp_path))["test/a.png"] == (None, "test")


def test_the_same_name_in_two_classes(tmp_path: Path) -> None:
    lay_out(tmp_path, "cat/1.png", "dog/1.png", "dog/1.jpg")
    assert set(said(read(tmp_path)).values()) == {(None, "cat"), (None, "dog")}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("dog\ncat\nbird\n", ["dog", "cat", "bird"]),
        ("1 dog\n2 cat\n", ["dog", "cat"]),
        ("dog A tame wolf\r\ncat\r\n", ["dog", "cat"]),
        ("apple\npear\n", ["cat", "dog"]),
    ],
)
def test_a_list_of_classes_orders_them(tmp_path: Path, text: str, wanted: list[str]) -> None:
    found = read(lay_out(tmp_path, "cat/1.png", "dog/1.png", classes=text))
    assert classes(found) == wanted
    assert found.report.count("lost") == (wanted == ["cat", "dog"])


def test_other_files_are_said_to_be_left(tmp_path: Path) -> None:
    found = read(lay_out(tmp_path, "cat/1.png", notes="x", README="y"))
    assert [(loss, entry.examples) for loss, _, entry in found.report] == [("lost", ["notes.txt"])]


def test_hidden_files_and_links_are_left_alone(tmp_path: Path) -> None:
    lay_out(tmp_path / "far", "x.png")
    lay_out(tmp_path / "here", "cat/1.png", ".cache/2.png", "cat/.3.png")
    (tmp_path / "here" / "dog").symlink_to(tmp_path / "far")
    assert list(said(read(tmp_path / "here"))) == ["cat/1.png"]


# -- detection -----------------------------------------------------------------------------------


def test_detection_says_why(tmp_path: Path) -> None:
    found = detect(Source(lay_out(tmp_path, "cat/1.png", "dog/1.png")))
    assert found is not None
    assert (found.certainty, found.why) == (0.75, "images lie in 2 folders of classes")


@pytest.mark.parametrize(
    "names",
    [
        ("a.png", "b.png"),
        ("images/a.png",),
        ("train/a.png", "val/b.png"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png"),
        ("images/train/a.png", "labels/train/a.png"),
        ("photos/a.png", "masks/a.png"),
    ],
)
def test_other_folders_of_images_are_not_taken(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert detect(Source(lay_out(tmp_path, *names))) is None


@pytest.mark.parametrize("name", ["data.yaml", "cat/1.txt", "cat/1.xml", "_annotations.coco.json"])
def test_label_files_speak_against_it(tmp_path: Path, name: str) -> None:
    lay_out(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / name).write_text("{}")
    assert detect(Source(tmp_path)) is None


# -- writing -------------------------------------------------------------------------------------


def write(folder: Path, builder: Builder, **samples: object) -> tuple[list[str], Writing]:
    settings = {"multi": "copy"} if samples.pop("copy", False) else {}
    version = builder.version(samples["samples"])  # type: ignore[arg-type]
    writing = write_version(FORMAT, version, folder, WriteOptions(settings=settings))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return sorted(files), writing


def test_folders_of_a_key_that_say_the_same_are_not_repeated(tmp_path: Path) -> None:
    builder = Builder(FORMAT.holds, Limits())
    samples = {
        key: builder.sample(key, labels=(builder.label(0),), split="val")
        for key in ("validation/cat/a.png", "val/cat/a.png", "x/a.png", "cat/b.png")
    }
    files, writing = write(tmp_path / "x", builder, samples=samples)
    assert files == [
        "classes.txt",
        "val/cat/a.png",
        "val/cat/b.png",
        "val/cat/validation-cat-a.png",
        "val/cat/x-a.png",
    ]
    assert writing.names["val/cat/validation-cat-a.png"] == "validation/cat/a.png"


def test_an_image_of_two_classes(tmp_path: Path) -> None:
    builder = Builder(FORMAT.holds, Limits())
    builder.draft.put_task("category", builder.draft.tasks["category"].replace(many=True))
    both = (builder.label(0), builder.label(1))
    samples = {"a.png": builder.sample("a.png", labels=both)}
    files, _ = write(tmp_path / "x", builder, samples=samples)
    assert files == ["cat/a.png", "classes.txt"]
    files, writing = write(tmp_path / "y", builder, samples=samples, copy=True)
    assert files == ["cat/a.png", "classes.txt", "traffic light/a.png"]
    assert set(writing.names.values()) == {"a.png"}


def test_an_image_that_is_not_here_is_lost_by_name(tmp_path: Path) -> None:
    builder = Builder(FORMAT.holds, Limits())
    sample = builder.sample("a.png", image=builder.sample("b.png").image.replace(blob=None))
    _, writing = write(tmp_path / "x", builder, samples={"a.png": sample})
    assert [entry.examples for _, _, entry in writing.report] == [["a.png"]]
