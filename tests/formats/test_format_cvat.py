"""CVAT 1.1: images with every shape, tracks of a video, attributes by type, what CVAT changes."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from voyager.errors import InvalidDataError
from voyager.formats.base import Source
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.cvat import FORMAT
from voyager.formats.cvat import video as cvat_video
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import Limits
from voyager.formats.writing import WriteOptions
from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Group,
    Image,
    Keypoints,
    Label,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
    rle,
)
from voyager.schema.vocabulary import Draft, Vocabulary

DATA = Path(__file__).parent.parent / "data" / "formats" / "datumaro" / "cvat"
VIDEO = cvat_video.FORMAT


class TestImages(FormatSuite):
    form = FORMAT
    limits = Limits(typed=False)  # one class may not have an attribute of several types


class TestVideo(FormatSuite):
    form = VIDEO
    limits = Limits(typed=False)

    def test_what_is_written_comes_back(self) -> None:
        """Only samples of a group are in a video: see the tests below."""

    test_random_versions_come_back = test_what_is_written_comes_back
    test_nothing_is_lost_or_guessed = test_what_is_written_comes_back


def write_xml(folder: Path, body: str, labels: str = "", meta: str = "<task>{}</task>") -> Path:
    path = folder / "annotations.xml"
    meta = meta.format(f"<labels>{labels}</labels>")
    path.write_text(
        f"<annotations>\n<version>1.1</version>\n<meta>{meta}</meta>\n{body}\n</annotations>\n"
    )
    return path


def read_one(folder: Path, shapes: str, labels: str = "") -> Sample:
    body = f'<image id="0" name="a.png" width="20" height="10">\n{shapes}\n</image>'
    (item,) = collect(FORMAT, write_xml(folder, body, labels)).items
    return item.sample


def region_of(folder: Path, shape: str, labels: str = "") -> Region:
    (region,) = read_one(folder, shape, labels).regions
    return region


# -- fixtures of Datumaro ------------------------------------------------------------------------


def test_a_project_has_subsets_and_images_of_one_name() -> None:
    found = collect(FORMAT, DATA / "for_images" / "export_project")
    assert [(item.name, item.sample.split) for item in found.items] == [
        ("images/Test/img0.jpg", "test"),
        ("images/Test/img1.jpg", "test"),
        ("images/Train/img0.jpg", "train"),
        ("images/Train/img1.jpg", "train"),
        ("images/Validation/img0.jpg", "val"),
        ("images/Validation/img1.jpg", "val"),
    ]
    assert all(item.file is not None and item.file.is_file() for item in found.items)
    box, line = found.items[0].sample.regions
    assert box.geometry == Box(0, 2, 4, 4)
    assert box.attrs == {"a1": True, "a2": "v3", "a3": "0003", "a4": 2.4}
    assert box.flags == ("occluded",)
    assert box.extra == {"z_order": 1}
    assert line.geometry == Polyline((1, 2, 3, 4, 5, 6, 7, 8))
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.nodes[node].name for node in taxonomy] == ["label1", "label2"]
    first = taxonomy.nodes[next(iter(taxonomy))]
    assert first.extra["attributes"][1] == {
        "name": "a2",
        "input_type": "radio",
        "default_value": "v1",
        "values": "v1 v2 v3",
    }


def test_a_task_named_as_a_split_and_shapes_without_a_label() -> None:
    found = collect(FORMAT, DATA / "for_images" / "export_task")
    assert [item.name for item in found.items] == ["images/img0.jpg", "images/img1.jpg"]
    assert {item.sample.split for item in found.items} == {"train"}
    assert found.report.count("guessed") == 2
    assert [len(region.labels) for region in found.items[0].sample.regions] == [1, 0]


def test_a_video_has_frames_in_a_group() -> None:
    found = collect(VIDEO, DATA / "for_video")
    assert [(item.name, item.sample.group) for item in found.items] == [
        ("images/frame_000010.png", Group(id="v1", index=10)),
        ("images/frame_000013.png", Group(id="v1", index=13)),
        ("images/frame_000016.png", Group(id="v1", index=16)),
    ]
    frames = [
        [(region.track, region.frame_state, region.primary_role) for region in item.sample.regions]
        for item in found.items
    ]
    assert frames == [
        [("0", "keyframe", "box"), ("1", "keyframe", "points")],
        [("0", "outside", "box"), ("1", "outside", "points"), ("2", "keyframe", "polyline")],
        [("0", "outside", "box"), ("2", "outside", "polyline")],
    ]
    assert found.items[0].sample.regions[1].attrs == {"hgl": "hgkf"}
    assert found.items[0].sample.image == Image(width=25, height=20)


@pytest.mark.parametrize(
    ("form", "other", "folder"),
    [
        (FORMAT, VIDEO, "for_images/export_project"),
        (FORMAT, VIDEO, "for_images/export_task/train.xml"),
        (VIDEO, FORMAT, "for_video"),
        (VIDEO, FORMAT, "for_video/annotations.xml"),
    ],
)
def test_images_and_video_are_told_apart(form, other, folder) -> None:
    detection = form.detect(Source(DATA / folder))
    assert detection is not None
    assert detection.certainty > 0.9
    assert other.detect(Source(DATA / folder)) is None


def test_xml_of_voc_and_labelme_is_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("<annotation><filename>a.jpg</filename></annotation>")
    assert FORMAT.detect(Source(tmp_path)) is None
    assert FORMAT.detect(Source(DATA.parent / "labelme")) is None


# -- shapes --------------------------------------------------------------------------------------


def test_a_box_with_a_rotation_turns_about_its_centre(tmp_path: Path) -> None:
    shape = '<box label="a" xtl="2" ytl="4" xbr="8" ybr="6" rotation="90.0" />'
    assert region_of(tmp_path, shape).geometry == RotatedBox(5, 5, 6, 2, math.pi / 2)


def test_ellipse_polygon_points(tmp_path: Path) -> None:
    shapes = (
        '<ellipse label="a" cx="5" cy="4" rx="3" ry="2" rotation="180"/>'
        '<polygon label="a" points="1,2;3,4.5;6,5"/><points label="a" points="1,2;3,4"/>'
    )
    found = [region.geometry for region in read_one(tmp_path, shapes).regions]
    assert found == [
        Ellipse(5, 4, 3, 2, math.pi),
        Polygon((((1, 2, 3, 4.5, 6, 5),),)),
        Points((1, 2, 3, 4)),
    ]


def test_the_back_face_of_a_cuboid_begins_at_its_right_edge(tmp_path: Path) -> None:
    corners = {
        "tl1": (1, 3), "bl1": (1, 9), "tr1": (7, 3), "br1": (7, 9),
        "tl2": (9, 2), "bl2": (9, 8), "tr2": (3, 2), "br2": (3, 8),
    }  # fmt: skip
    text = " ".join(f'x{name}="{x}" y{name}="{y}"' for name, (x, y) in corners.items())
    front, back = (1, 3, 7, 3, 7, 9, 1, 9), (3, 2, 9, 2, 9, 8, 3, 8)
    assert region_of(tmp_path, f'<cuboid label="a" {text}/>').geometry == Cuboid(front + back)


def test_a_mask_is_runs_by_rows_of_its_box(tmp_path: Path) -> None:
    shape = '<mask label="a" rle="1, 2, 1, 4" left="3" top="5" width="4" height="2"/>'
    mask = region_of(tmp_path, shape).geometry
    expected = np.zeros((10, 20), bool)
    expected[5, 4:6] = True
    expected[6, 3:7] = True
    assert np.array_equal(rle.array_of(mask), expected)


@pytest.mark.parametrize("runs", ["1, 2", "1,2,1,5", "-1, 9", "x", "1,,7", "99999999999999"])
def test_runs_that_do_not_fill_the_box_are_refused(tmp_path: Path, runs: str) -> None:
    shape = f'<mask label="a" rle="{runs}" left="3" top="5" width="4" height="2"/>'
    with pytest.raises(InvalidDataError, match="rle: expected runs that fill 4 × 2 pixels"):
        read_one(tmp_path, shape)


SKELETON = (
    "<label><name>person</name><type>skeleton</type>"
    '<svg>&lt;line data-type="edge" data-node-from="2" data-node-to="1"&gt;&lt;/line&gt;'
    '&lt;circle data-node-id="1" data-label-name="head"&gt;&lt;/circle&gt;'
    '&lt;circle data-node-id="2" data-label-name="hand"&gt;&lt;/circle&gt;</svg></label>'
    "<label><name>head</name><type>points</type><parent>person</parent></label>"
    "<label><name>hand</name><type>points</type><parent>person</parent></label>"
)


def test_a_skeleton_has_points_by_name(tmp_path: Path) -> None:
    shapes = (
        '<skeleton label="person" z_order="0">'
        '<points label="hand" outside="0" occluded="1" points="3,4"/>'
        '<points label="head" outside="1" occluded="0" points="1,2"/>'
        '<attribute name="age">old</attribute></skeleton>'
    )
    body = f'<image id="0" name="a.png" width="20" height="10">{shapes}</image>'
    found = collect(FORMAT, write_xml(tmp_path, body, SKELETON))
    (region,) = found.items[0].sample.regions
    assert region.geometry == Keypoints((0, 0, 3, 4), (0, 1))
    assert region.attrs == {"age": "old"}
    assert region.extra == {"outside_points": {"head": [1.0, 2.0]}}
    skeleton = found.vocabulary.tasks["category"].skeleton
    assert skeleton is not None
    assert (skeleton.names, skeleton.edges) == (("head", "hand"), ((1, 0),))
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.nodes[node].name for node in taxonomy] == ["person"]


def test_tags_are_labels_of_the_image(tmp_path: Path) -> None:
    shapes = (
        '<tag label="indoor" source="manual"><attribute name="sure">yes</attribute></tag>'
        '<tag label="night" source="auto"/>'
    )
    body = f'<image id="7" name="a.png" width="20" height="10">{shapes}</image>'
    found = collect(FORMAT, write_xml(tmp_path, body))
    (item,) = found.items
    words = [found.vocabulary.word(label) for label in item.sample.labels]
    assert words == ["indoor", "night"]
    assert [label.source for label in item.sample.labels] == ["import", "model"]
    assert found.vocabulary.tasks["category"].many
    assert item.sample.extra == {"tag_attributes": {"indoor": {"sure": "yes"}}}
    assert item.sample.origin is not None
    assert item.sample.origin.id == "7"


def test_the_default_subset_is_no_split(tmp_path: Path) -> None:
    body = "".join(
        f'<image id="{n}" name="{n}.png" subset="{subset}" width="2" height="1"></image>'
        for n, subset in enumerate(("default", "Training", "mine"))
    )
    found = collect(FORMAT, write_xml(tmp_path, body))
    assert [item.sample.split for item in found.items] == [None, "train", "mine"]


def test_sources_groups_and_unknown_fields(tmp_path: Path) -> None:
    shapes = (
        '<box label="a" source="auto" xtl="0" ytl="0" xbr="1" ybr="1" z_order="0" group_id="4"/>'
        '<box label="a" source="file" xtl="0" ytl="0" xbr="2" ybr="1" new="x"/>'
        '<box label="a" source="semi-auto" xtl="0" ytl="0" xbr="3" ybr="1"/>'
    )
    one, two, three = read_one(tmp_path, shapes).regions
    assert (one.source, one.labels[0].source, one.extra) == ("model", "model", {"group_id": 4})
    assert (two.source, two.extra) == ("import", {"new": "x"})
    assert (three.source, three.extra) == ("import", {"source": "semi-auto"})


def test_boxes_without_area_and_with_odd_numbers(tmp_path: Path) -> None:
    shapes = (
        '<box label="a" xtl="3" ytl="0" xbr="3" ybr="1"/>'
        '<box label="a" xtl="nan" ytl="0" xbr="Infinity" ybr="1"/>'
    )
    body = f'<image id="0" name="a.png" width="20" height="10">{shapes}</image>'
    found = collect(FORMAT, write_xml(tmp_path, body))
    flat, odd = found.items[0].sample.regions
    assert flat.geometry == Box(3, 0, 3, 1)
    assert odd.geometries == {}
    assert odd.extra["source_geometry"] == "xbr=Infinity xtl=nan ybr=1 ytl=0"
    assert found.report.count("extra", "a box has no area and was kept") == 1
    assert found.report.count("lost") == 1


def test_attributes_named_as_tasks_become_labels(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    draft.define("color", scope="region", many=True)
    draft.define("count", scope="region", kind="number")
    shape = (
        '<box label="a" xtl="0" ytl="0" xbr="1" ybr="1"><attribute name="color">red|blue'
        '</attribute><attribute name="count">3</attribute><attribute name="x"></attribute></box>'
    )
    body = f'<image id="0" name="a.png" width="20" height="10">{shape}</image>'
    found = collect(FORMAT, write_xml(tmp_path, body), vocabulary=draft)
    (region,) = found.items[0].sample.regions
    words = {(label.task, found.vocabulary.word(label)) for label in region.labels}
    assert words == {("category", "a"), ("color", "red"), ("color", "blue"), ("count", "3")}
    assert region.attrs == {}


# -- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<box label="a" xtl="0" ytl="0" xbr="1"/>', "<box> has no 'ybr'"),
        ('<box label="a" xtl="0" ytl="0" xbr="1" ybr="b"/>', "ybr: expected a number, got 'b'"),
        ('<polygon label="a" points="1,2;3"/>', "points: expected x,y;x,y;…"),
        ('<cube label="a"/>', "<cube> is no shape that CVAT 1.1 has"),
        ('<tag label=""/>', "<tag> has no label"),
        ('<points label="a" z_order="1.5" points="1,2"/>', "z_order: expected a whole number"),
        ('<skeleton label="a"><box label="b"/></skeleton>', "only points are read there"),
    ],
)
def test_malformed_shapes_are_refused_with_their_line(
    tmp_path: Path, shape: str, words: str
) -> None:
    with pytest.raises(InvalidDataError, match=re.escape(words)) as refused:
        read_one(tmp_path, shape)
    assert (refused.value.path, refused.value.line) == ("annotations.xml", 5)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>',
        "<annotation/>",
        "<annotations><image",
        "",
    ],
)
def test_bombs_and_other_xml_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    with pytest.raises(InvalidDataError) as refused:
        collect(FORMAT, path)
    assert refused.value.path is not None


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "C:\\a.png"])
def test_names_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    body = f'<image id="0" name="{name}" width="20" height="10"></image>'
    with pytest.raises(InvalidDataError, match="names no image inside the dataset") as refused:
        collect(FORMAT, write_xml(tmp_path, body))
    assert refused.value.line == 4


# -- writing -------------------------------------------------------------------------------------


def labeled(draft: Draft, name: str = "car") -> Label:
    return Label(task="category", node=draft.category("category", name))


def typed_sample(draft: Draft) -> Sample:
    attrs = {"n": 3, "x": 0.25, "b": True, "t": "07", "list": ["a", "b"]}
    color = Label(task="color", node=draft.category("color", "red"))
    region = Region(
        id=bytes([1] * 16),
        geometries={"box": Box(0, 0, 4, 5)},
        labels=(labeled(draft), color),
        attrs=attrs,
        extra={"z_order": 2, "group_id": 5},
    )
    return Sample(uid=bytes(16), image=Image(width=8, height=9), regions=(region,))


def test_attributes_keep_their_types_and_other_tasks_go_along(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    version = memory_version({"a.png": typed_sample(draft)}, draft)
    write_version(FORMAT, version, tmp_path / "out")
    (item,) = collect(FORMAT, tmp_path / "out").items
    (region,) = item.sample.regions
    assert region.attrs == {"n": 3, "x": 0.25, "b": True, "t": "07", "list": "a|b", "color": "red"}
    assert region.extra == {"z_order": 2, "group_id": 5}
    labels = json.loads((tmp_path / "out" / "labels.json").read_text())
    assert [label["name"] for label in labels] == ["car"]
    types = {found["name"]: found["input_type"] for found in labels[0]["attributes"]}
    assert types["n"] == types["x"] == "number"
    assert (types["b"], types["t"]) == ("checkbox", "text")


def test_an_attribute_of_several_types_is_reported(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    sample = typed_sample(draft)
    other = sample.regions[0].replace(attrs={"n": "three"})
    version = memory_version({"a.png": sample.replace(regions=(sample.regions[0], other))}, draft)
    writing = write_version(FORMAT, version, tmp_path / "out")
    assert writing.report.count("approximated", "an attribute of several types became text") == 1


def test_definitions_of_attributes_come_back_out(tmp_path: Path) -> None:
    source = DATA / "for_images" / "export_project"
    found = collect(FORMAT, source)
    samples = {item.name: item.sample for item in found.items}
    write_version(FORMAT, memory_version(samples, found.vocabulary), tmp_path / "out")
    text = (tmp_path / "out" / "annotations.xml").read_text()
    assert "<input_type>radio</input_type>" in text
    again = collect(FORMAT, tmp_path / "out")
    assert again.items[0].sample.regions[0].attrs == found.items[0].sample.regions[0].attrs


def track_sample(draft: Draft, at: int, *regions: Region) -> Sample:
    return Sample(
        uid=bytes([at]) * 16,
        image=Image(width=8, height=9),
        regions=regions,
        group=Group(id="clip", index=at),
    )


def tracked(draft: Draft, number: int, track: str | None, state: str | None, x: float) -> Region:
    return Region(
        id=bytes([number]) * 16,
        geometries={"box": Box(x, 0, x + 2, 3)},
        labels=(labeled(draft),),
        track=track,
        frame_state=state,  # type: ignore[arg-type]
    )


def test_tracks_come_back(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    samples = {
        "v/a.png": track_sample(
            draft, 3, tracked(draft, 1, "car-7", "keyframe", 0), tracked(draft, 2, None, None, 4)
        ),
        "v/b.png": track_sample(draft, 5, tracked(draft, 3, "car-7", "interpolated", 1)),
        "v/c.png": track_sample(
            draft, 9, tracked(draft, 4, "car-7", "outside", 2), tracked(draft, 5, "p", None, 3)
        ),
    }
    writing = write_version(VIDEO, memory_version(samples, draft), tmp_path / "out")
    found = collect(VIDEO, tmp_path / "out")
    keys = [writing.names[item.name] for item in found.items]
    assert keys == ["v/a.png", "v/b.png", "v/c.png"]
    for item, key in zip(found.items, keys, strict=True):
        assert item.sample.group == samples[key].group
        said = [(r.track, r.frame_state, r.geometry) for r in item.sample.regions]
        assert said == [(r.track, r.frame_state, r.geometry) for r in samples[key].regions]
    assert not [
        entry for entry in writing.report if entry[0] == "lost" and "not here" not in entry[1]
    ]


def test_each_group_is_a_video_of_its_own(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    sample = track_sample(draft, 0, tracked(draft, 1, "t", "keyframe", 0))
    other = sample.replace(group=Group(id="a/b"))
    alone = sample.replace(group=None)
    version = memory_version({"x.png": sample, "y.png": other, "z.png": alone}, draft)
    writing = write_version(VIDEO, version, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a-b", "clip", "labels.json"}
    found = collect(VIDEO, tmp_path / "out")
    assert [item.sample.group for item in found.items] == [
        Group(id="a/b", index=0),
        Group(id="clip", index=0),
    ]
    assert writing.report.count("lost", "an image of no group is in no video") == 1


def test_frames_can_be_counted_from_zero(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    samples = {
        f"{at}.png": track_sample(draft, at, tracked(draft, at, "t", "keyframe", 0))
        for at in (10, 13)
    }
    options = WriteOptions(settings={"frames": "count"})
    write_version(VIDEO, memory_version(samples, draft), tmp_path / "out", options)
    found = collect(VIDEO, tmp_path / "out")
    assert [item.sample.group for item in found.items] == [
        Group(id="clip", index=0),
        Group(id="clip", index=1),
    ]


def test_tracks_over_a_folder_of_images_take_them_in_order(tmp_path: Path) -> None:
    source = DATA / "for_video"
    (tmp_path / "images").mkdir()
    for name, number in (("b.png", "000016"), ("a.png", "000010")):
        data = (source / "images" / f"frame_{number}.png").read_bytes()
        (tmp_path / "images" / name).write_bytes(data)
    track = (
        '<track id="0" label="x"><box frame="1" keyframe="1" xtl="0" ytl="0" xbr="1" ybr="1"/>'
        "</track>"
    )
    found = collect(VIDEO, write_xml(tmp_path, track))
    assert [item.name for item in found.items] == ["images/b.png"]
    assert found.report.count("guessed", "a frame is the image at its place") == 1


def test_an_unedited_export_of_cvat_changes_nothing_beyond_its_rounding(tmp_path: Path) -> None:
    """CVAT rounds to two decimals, renumbers images, and calls what was uploaded `file`."""
    suite = TestImages()
    with suite._written(suite.version()) as (folder, writing):
        path = folder / "annotations.xml"
        text = path.read_text()
        text = re.sub(r'(?<=[" ,;])-?\d+\.\d+(?=[",;])', lambda n: f"{float(n[0]):.2f}", text)
        text = re.sub(r' id="(\d+)"', lambda n: f' id="{int(n[1]) + 100}"', text)
        path.write_text(text.replace('source="manual"', 'source="file"'))
        found = suite._found(collect(FORMAT, folder, ReadOptions()), writing)
        for key, wanted in suite._projected(suite.version()).items():
            assert len(found[key].regions) == len(wanted.regions)
            assert [r.source for r in found[key].regions] == [r.source for r in wanted.regions]
