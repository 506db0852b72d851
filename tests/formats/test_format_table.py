"""Tables: layouts that tools write, odd text, units, types of columns, several labels."""

import shutil
from pathlib import Path

import pytest

from voyager.errors import InvalidDataError, UsageError
from voyager.formats.base import Source
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.reading import ReadOptions
from voyager.formats.table import FORMAT
from voyager.formats.torture import Limits
from voyager.formats.writing import WriteOptions
from voyager.schema import Box, Image, Label, Sample
from voyager.schema.vocabulary import Draft, Vocabulary

DATA = Path(__file__).parent.parent / "data"


class TestCsv(FormatSuite):
    form = FORMAT
    limits = Limits(lists=True)


class TestTsv(FormatSuite):
    form = FORMAT
    limits = Limits(lists=True)
    write_options = WriteOptions(settings={"as": "tsv"})
    mutations = 20
    examples = 10


class TestParquet(FormatSuite):
    form = FORMAT
    limits = Limits(lists=True)
    write_options = WriteOptions(settings={"as": "parquet"})
    not_text = ("*.parquet",)
    mutations = 20
    examples = 10


def read(tmp_path: Path, text: str | bytes, name: str = "labels.csv", **settings: str):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return collect(FORMAT, path, ReadOptions(settings=settings))


def boxes(found) -> list[tuple[str, list[tuple[str, Box]]]]:
    word = found.vocabulary.word
    return [
        (
            item.name,
            [(word(r.labels[0]) if r.labels else "", r.geometry) for r in item.sample.regions],
        )
        for item in found.items
    ]


CAR = [("a.jpg", [("car", Box(1, 2, 4, 8))])]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,10,20,car,1,2,4,8"),
        ("filename,cell_type,xmin,xmax,ymin,ymax", "a.jpg,car,1,4,2,8"),
        ("image,xmin,ymin,xmax,ymax,label", "a.jpg,1,2,4,8,car"),
        ("image_path,x1,y1,x2,y2,class_name", "a.jpg,1,2,4,8,car"),
        ("file_name,x,y,w,h,category", "a.jpg,1,2,3,6,car"),
        ("path,x,y,width,height,label,image_width,image_height", "a.jpg,1,2,3,6,car,10,20"),
        ("img,cx,cy,w,h,class", "a.jpg,2.5,5,3,6,car"),
        ("image,x_center,y_center,width,height,label", "a.jpg,2.5,5,3,6,car"),
        ("label_name,bbox_x,bbox_y,bbox_width,bbox_height,image_name", "car,1,2,3,6,a.jpg"),
        ("Image Path,BBox XMin,BBox YMin,BBox XMax,BBox YMax,Label", "a.jpg,1,2,4,8,car"),
        ("image_id,width,height,bbox,class", 'a.jpg,10,20,"[1.0, 2, 3, 6]",car'),
    ],
)
def test_layouts_are_known_by_their_names(tmp_path: Path, header: str, row: str) -> None:
    found = read(tmp_path, f"{header}\n{row}\n")
    assert boxes(found) == CAR
    if "width,height" in header and "image_width" not in header and "center" not in header:
        assert found.items[0].sample.image == Image(width=10, height=20)


def test_keras_retinanet_has_no_header_and_says_what_is_empty(tmp_path: Path) -> None:
    found = read(tmp_path, "a.jpg,1,2,4,8,car\nb.jpg,,,,,\na.jpg,5,5,6,6,cow\n")
    assert boxes(found) == [
        ("a.jpg", [("car", Box(1, 2, 4, 8)), ("cow", Box(5, 5, 6, 6))]),
        ("b.jpg", []),
    ]
    assert [item.sample.coverage for item in found.items] == [{}, {"category": "exhaustive"}]
    assert found.report.count("guessed", "a table without header: keras-retinanet") == 1


def test_columns_by_name_and_by_number(tmp_path: Path) -> None:
    text = "p;l;a;b;c;d\na.jpg;car;1;2;4;8\n"
    roles = {"x0": "a", "y0": "b", "x1": "c", "y1": "d", "image": "p", "label": "l"}
    assert boxes(read(tmp_path, text, **roles)) == CAR
    numbers = {"x0": "3", "y0": "4", "x1": "5", "y1": "6", "image": "1", "label": "2"}
    bare = text.partition("\n")[2]
    assert boxes(read(tmp_path, bare, header="no", **numbers)) == CAR
    with pytest.raises(UsageError, match="there is no column 'q'"):
        read(tmp_path, text, image="q")


def test_the_clothing_table(tmp_path: Path) -> None:
    found = collect(FORMAT, DATA / "clothing_table" / "labels.csv")
    first = found.items[0]
    assert first.name == "test/dress/06a00c0f-5f9a-410d-a7da-3881a9df3a71.jpg"
    assert [found.vocabulary.word(label) for label in first.sample.labels] == ["Dress"]
    image = "06a00c0f-5f9a-410d-a7da-3881a9df3a71"
    assert first.sample.meta == {"image": image, "kids": False, "sender_id": 310}
    assert {item.sample.regions for item in found.items} == {()}
    assert len(found.items) == 40


def test_the_boxes_of_bccd() -> None:
    source, images = DATA / "bccd" / "boxes.csv", DATA / "bccd" / "JPEGImages"
    found = collect(FORMAT, source, ReadOptions(images=images))
    regions = [region for item in found.items for region in item.sample.regions]
    assert len(regions) == 4888
    assert regions[0].geometry == Box(260, 177, 491, 376)
    assert len({item.name for item in found.items}) == len(found.items) == 364
    assert found.report.count("extra", "a box has no area and was kept") == 2
    assert found.items[0].file == images / "BloodImage_00000.jpg"
    assert found.items[0].sample.image == Image(width=640, height=480)


# -- text ----------------------------------------------------------------------------------------


def test_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    found = read(tmp_path, "image;label;xmin;ymin;xmax;ymax\na.jpg;car;1,5;2;4,25;8\n")
    assert boxes(found) == [("a.jpg", [("car", Box(1.5, 2, 4.25, 8))])]


def test_bom_latin1_and_utf16(tmp_path: Path) -> None:
    text = "image,label\nä.jpg,Vögel\n"
    for data in (b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), text.encode("latin-1")):
        found = read(tmp_path, data)
        assert [item.name for item in found.items] == ["ä.jpg"]
        assert found.vocabulary.word(found.items[0].sample.labels[0]) == "Vögel"
    assert found.report.count("guessed", "text is not UTF-8 and was read as Latin-1") == 1


def test_newlines_and_delimiters_in_quotes(tmp_path: Path) -> None:
    found = read(tmp_path, 'image,label,note\na.jpg,"x, ""y""","one\ntwo"\nb.jpg,z,\n')
    assert found.vocabulary.word(found.items[0].sample.labels[0]) == 'x, "y"'
    assert found.items[0].sample.meta == {"note": "one\ntwo"}
    assert found.items[1].sample.meta == {}
    assert found.items[1].place == "labels.csv:4"


def test_missing_cells_and_rows_that_are_short(tmp_path: Path) -> None:
    rows = "a.jpg\nb.jpg,,,,,\nc.jpg,car,nan,NaN,NA,\n\nd.jpg,car,1,2,4,8\n"
    found = read(tmp_path, f"image,label,xmin,ymin,xmax,ymax\n{rows}")
    assert [len(item.sample.regions) for item in found.items] == [0, 0, 0, 1]
    assert [len(item.sample.labels) for item in found.items] == [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("a.jpg,car,1,2,4,x", "ymax: expected a number, got 'x'"),
        ("a.jpg,car,1,2,4,", "a box without y1"),
        (",car,1,2,4,8", "the row names no image"),
        ("a.jpg,car,1,2,4,8,9", "a row of 7 cells under 6 columns"),
        ("../a.jpg,car,1,2,4,8", "names no image inside the dataset"),
        ('a.jpg,"car,1,2,4,8', "not CSV: unexpected end of data"),
    ],
)
def test_bad_rows_are_refused_with_their_line(tmp_path: Path, row: str, words: str) -> None:
    text = f'image,label,xmin,ymin,xmax,ymax\n"b\n.jpg",car,1,2,4,8\n{row}\n'
    with pytest.raises(InvalidDataError, match=words.replace("'", ".")) as refused:
        read(tmp_path, text)
    assert (refused.value.path, refused.value.line) == ("labels.csv", 4)


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label,xmin,ymin,xmax,ymax\na.jpg,car,1,inf,4,8\n")
    (region,) = found.items[0].sample.regions
    assert region.geometries == {}
    assert region.extra == {"source_geometry": "1.0 inf 4.0 8.0"}
    assert found.report.count("lost") == 1


# -- units ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("units", "scale"), [("normalized", 0.01), ("percent", 1.0)])
def test_units(tmp_path: Path, units: str, scale: float) -> None:
    row = ",".join(f"{number * scale:g}" for number in (10, 10, 40, 80))
    text = f"image,width,height,label,xmin,ymin,xmax,ymax\na.jpg,10,20,car,{row}\n"
    ((_, [(_, box)]),) = boxes(read(tmp_path, text, units=units))
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((1, 2, 4, 16))


def test_shares_of_the_image_are_guessed(tmp_path: Path) -> None:
    text = "image,width,height,label,xmin,ymin,xmax,ymax\na.jpg,10,20,car,0.1,0.25,0.5,1\n"
    found = read(tmp_path, text)
    assert boxes(found) == [("a.jpg", [("car", Box(1, 5, 5, 20))])]
    assert found.report.count("guessed", "boxes within 0 and 1 are shares of the image") == 1


def test_shares_of_an_unknown_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="whose size is not known") as refused:
        read(tmp_path, "image,label,xmin,ymin,xmax,ymax\na.jpg,car,0,0.5,1,1\n")
    assert (refused.value.line, refused.value.hint) == (2, "--images DIR")


# -- columns of the user -------------------------------------------------------------------------


def test_a_column_has_one_type(tmp_path: Path) -> None:
    text = "image,label,a,b,c,d,e\nx.jpg,l,1,1,true,007,1e3\ny.jpg,l,2,1.5,False,8,-2.5\n"
    found = read(tmp_path, text)
    assert [item.sample.meta for item in found.items] == [
        {"a": 1, "b": 1.0, "c": True, "d": "007", "e": 1000.0},
        {"a": 2, "b": 1.5, "c": False, "d": "8", "e": -2.5},
    ]


def test_columns_of_images_and_of_regions(tmp_path: Path) -> None:
    text = (
        "image,label,xmin,ymin,xmax,ymax,weather,color,difficult\n"
        "a.jpg,car,1,2,4,8,rain,red,1\na.jpg,car,5,6,7,8,rain,blue,0\nb.jpg,car,1,2,4,8,sun,,0\n"
    )
    first, second = (item.sample for item in read(tmp_path, text).items)
    assert first.meta == {"weather": "rain"}
    assert second.meta == {"weather": "sun"}
    assert [region.attrs for region in first.regions] == [{"color": "red"}, {"color": "blue"}]
    assert [region.flags for region in first.regions] == [("difficult",), ()]
    forced = read(tmp_path, text, attrs="weather").items[0].sample
    assert forced.meta == {}
    assert forced.regions[0].attrs == {"weather": "rain", "color": "red"}


def test_a_column_named_as_a_task_gives_labels(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    draft.define("kids", kind="bool")
    path = tmp_path / "labels.csv"
    path.write_text("image,label,kids\na.jpg,dress,True\n")
    found = collect(FORMAT, path, vocabulary=draft)
    labels = [(label.task, found.vocabulary.word(label)) for label in found.items[0].sample.labels]
    assert labels == [("category", "dress"), ("kids", "yes")]
    assert found.items[0].sample.meta == {}


def test_several_labels_in_one_cell_and_in_several_rows(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label\na.jpg,cat|dog\nb.jpg,cow\nb.jpg,cat\n", separator="|")
    word = found.vocabulary.word
    words = [[word(label) for label in item.sample.labels] for item in found.items]
    assert words == [["cat", "dog"], ["cow", "cat"]]
    assert found.vocabulary.tasks["category"].many


def test_splits_by_column_and_by_folder(tmp_path: Path) -> None:
    found = read(tmp_path, "image,label,split\na.jpg,x,training\nb.jpg,x,valid\nc.jpg,x,\n")
    assert [item.sample.split for item in found.items] == ["train", "val", None]
    for split in ("train", "valid"):
        folder = tmp_path / "rf" / split
        folder.mkdir(parents=True)
        shutil.copy(DATA / "bccd" / "JPEGImages" / "BloodImage_00000.jpg", folder / "a.jpg")
        (folder / "_annotations.csv").write_text("filename,class\na.jpg,x\nb.jpg,x\n")
    found = collect(FORMAT, tmp_path / "rf")
    assert [(item.name, item.sample.split) for item in found.items] == [
        ("train/a.jpg", "train"),
        ("train/b.jpg", "train"),
        ("valid/a.jpg", "val"),
        ("valid/b.jpg", "val"),
    ]


# -- detection and writing -----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "x\n", "1,2,3\n4,5,6\n"])
def test_tables_of_something_else_are_not_claimed(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert FORMAT.detect(Source(path)) is None
    with pytest.raises(InvalidDataError, match="no column names the images") as refused:
        collect(FORMAT, path)
    assert refused.value.hint == "--set image=COLUMN"


def test_a_table_of_classes_reads_well(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    node = draft.category("category", "cat")
    color = Label(task="color", node=draft.category("color", "red"))
    sample = Sample(
        uid=bytes(16),
        image=Image(width=3, height=4),
        labels=(Label(task="category", node=node), color),
        split="train",
        meta={"by": "7", "n": 7},
    )
    write_version(FORMAT, memory_version({"d/a.png": sample}, draft), tmp_path / "out")
    assert (tmp_path / "out" / "labels.csv").read_text() == (
        "image,width,height,split,label,meta.by,meta.color,meta.n\n"
        'd/a.png,3,4,train,cat,"""7""",red,7\n'
    )
