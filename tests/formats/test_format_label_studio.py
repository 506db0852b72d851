"""Label Studio: real exports, several annotators, predictions, brushes, poses, the short form."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voyager.errors import InvalidDataError
from voyager.formats.base import Source
from voyager.formats.collecting import collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.label_studio import FORMAT
from voyager.formats.label_studio.brush import decode_brush, encode_brush
from voyager.formats.label_studio.names import image_name
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import Limits
from voyager.schema import (
    Box,
    Ellipse,
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
from voyager.schema.measures import bounds
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft, Vocabulary

DATA = Path(__file__).parent.parent / "data" / "formats" / "label_studio"


def as_label_studio_has_it(region: Region) -> Region:
    """Keypoints stand under a shape, and all of them are seen."""
    pose = region.geometries.get("keypoints")
    if not isinstance(pose, Keypoints):
        return region
    seen = tuple(2 if visible else 0 for visible in pose.visibility)
    shapes = {**region.geometries, "keypoints": Keypoints(pose.points, seen)}  # type: ignore[arg-type]
    around = bounds(pose)
    if len(shapes) == 1 and around is not None:
        shapes = {"box": Box(*around), **shapes}
    return region.replace(geometries=shapes, primary=next(iter(shapes)))


class TestLabelStudio(FormatSuite):
    form = FORMAT
    limits = Limits(lists=True)

    def expected(self, key: str, sample: Sample) -> Sample:
        return sample.replace(regions=tuple(map(as_label_studio_has_it, sample.regions)))


def read(tmp_path: Path, tasks: Any, config: str = "", draft: Any = None, **options: Any):
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    if config:
        (tmp_path / "label_config.xml").write_text(config)
    return collect(FORMAT, tmp_path / "tasks.json", ReadOptions(**options), vocabulary=draft)


def task(*results: dict[str, Any], **fields: Any) -> dict[str, Any]:
    whole = [{"original_width": 200, "original_height": 100, **result} for result in results]
    data = {"image": "/data/upload/1/1a2b3c4d-a.jpg"}
    return {"id": 5, "data": data, "annotations": [{"result": whole}], **fields}


def shape(kind: str, words: list[str], **value: Any) -> dict[str, Any]:
    name = f"{kind}labels"
    return {"id": "r1", "type": name, "from_name": "label", "value": {**value, name: words}}


BOX = shape("rectangle", ["car"], x=10, y=20, width=30, height=40, rotation=0)


COLORS = ["red", "blue"]


def words_of(found: Any, labels: Any) -> list[tuple[str, str]]:
    return [(label.task, found.vocabulary.word(label)) for label in labels]


# -- real exports --------------------------------------------------------------------------------


def test_boxes_of_two_annotators() -> None:
    found = collect(FORMAT, DATA / "test_export_yolo" / "data.json")
    first = found.items[0]
    assert first.name == "image1"
    assert first.sample.image == Image(width=2800, height=2800, uri="/image1")
    assert [region.source for region in first.sample.regions] == ["human:2"] * 2 + ["human:1"] * 2
    region = first.sample.regions[0]
    assert region.labels[0].source == "human:2"
    assert region.origin is not None
    assert (region.origin.id, region.origin.annotator) == ("C7oHaRDVVC", "2")
    assert region.origin.time == "2022-12-27T21:04:40.495704Z"
    box = region.geometry
    assert isinstance(box, Box)
    assert box.x0 == pytest.approx(37.15846994535519 * 28)
    assert box.y1 == pytest.approx((70.67395264116576 + 4.735883424408015) * 28)


def test_polygons_of_one_annotator() -> None:
    found = collect(FORMAT, DATA / "test_export_yolo" / "data_polygons.json")
    regions = [region for item in found.items for region in item.sample.regions]
    assert regions
    assert {region.source for region in regions} == {"import"}
    assert {region.origin.annotator for region in regions} == {"1"}
    assert all(isinstance(region.geometry, Polygon) for region in regions)


def test_boxes_turn_about_their_first_corner() -> None:
    found = collect(FORMAT, DATA / "test_export_yolo" / "data_obb.json")
    region = found.items[0].sample.regions[0]
    box = region.geometry
    assert isinstance(box, RotatedBox)
    assert box.angle == pytest.approx(math.radians(328.33240366032834))
    x = box.cx - (math.cos(box.angle) * box.width - math.sin(box.angle) * box.height) / 2
    assert x == pytest.approx(10.537066764905694 * 5.97)


def test_points_of_a_pose_belong_to_their_box(tmp_path: Path) -> None:
    for name in ("data_keypoints.json", "label_config_keypoints.xml"):
        text = (DATA / "test_export_yolo" / name).read_bytes()
        (tmp_path / name.replace("data", "tasks").replace("_keypoints", "")).write_bytes(text)
    found = collect(FORMAT, tmp_path)
    (region,) = found.items[0].sample.regions
    assert region.geometries.keys() == {"box", "keypoints"}
    assert region.primary == "box"
    pose = region.geometries["keypoints"]
    assert isinstance(pose, Keypoints)
    assert pose.visibility == (2, 2, 2, *[0] * 14)
    assert pose.points[:2] == pytest.approx((64.44444 * 2.16, 39.29078 * 1.74), abs=1e-3)
    skeleton = found.vocabulary.tasks["category"].skeleton
    assert skeleton is not None
    assert (len(skeleton.names), skeleton.names[0], skeleton.names[16]) == (
        17,
        "nose",
        "right_ankle",
    )
    assert words_of(found, region.labels) == [("category", "person")]
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.nodes[node].name for node in taxonomy] == ["person"]


def test_predictions_are_proposed_and_what_was_corrected_is_not() -> None:
    found = collect(FORMAT, DATA / "test_export_csv" / "csv_test.json")
    drawn, predicted = found.items[0].sample.regions
    assert (drawn.source, drawn.state) == ("import", "accepted")
    assert (predicted.source, predicted.state) == ("model:model 0", "proposed")
    assert predicted.score == pytest.approx(0.23053804129850775)
    label = predicted.labels[0]
    assert (label.source, label.state) == ("model:model 0", "proposed")
    assert found.items[1].name == "open-images/train_0/mini/00155094b7acc33b.jpg"
    assert found.items[1].sample.meta["text"].startswith("The Supreme Court")


def test_into_a_prediction_set_come_predictions_alone() -> None:
    options = ReadOptions(predictions="m")
    found = collect(FORMAT, DATA / "test_export_csv" / "csv_test.json", options)
    sources = {region.source for item in found.items for region in item.sample.regions}
    assert sources == {"model:model 0"}


@pytest.mark.parametrize(
    "name",
    [
        "test_export_csv/csv_test2.json",
        "test_export_csv/csv_test_history.json",
        "test_export_csv/csv_test_colliding_keys.json",
        "test_export_json_min/data_repeater.json",
    ],
)
def test_tasks_without_images_are_refused(name: str) -> None:
    with pytest.raises(InvalidDataError, match="no task has an image") as refused:
        collect(FORMAT, DATA / name)
    assert refused.value.hint == "--set image=FIELD"


def test_shapes_of_images_of_unknown_size_keep_their_text() -> None:
    found = collect(FORMAT, DATA / "test_export_doclang" / "data.json")
    (region,) = found.items[0].sample.regions
    assert region.geometries == {}
    assert region.extra["source_geometry"] == "height=15.0 width=40.0 x=5.0 y=10.0"
    kind = "a shape in percent of an image of unknown size"
    assert found.report.count("lost", kind) == 2
    assert found.report.count("lost", "a skipped annotation") == 1


@pytest.mark.parametrize(
    ("name", "certainty"),
    [
        ("test_export_yolo/data.json", 0.95),
        ("test_export_coco/data.json", 0.95),
        ("test_export_json_min", 0.95),
        ("test_import_coco/coco_import_input.json", None),
        ("test_export_csv/csv_test2_result.csv", None),
    ],
)
def test_detection_of_fixtures(name: str, certainty: float | None) -> None:
    detection = FORMAT.detect(Source(DATA / name))
    assert (None if detection is None else detection.certainty) == certainty


# -- shapes --------------------------------------------------------------------------------------


def test_shapes_are_percent_of_the_image(tmp_path: Path) -> None:
    shapes = [
        BOX,
        shape("ellipse", ["car"], x=50, y=50, radiusX=10, radiusY=10, rotation=90),
        shape("polygon", ["car"], points=[[0, 0], [50, 0], [50, 50]], closed=True),
        shape("polygon", ["car"], points=[[0, 0], [50, 50]], closed=False),
        shape("keypoint", ["car"], x=1, y=2, width=0.3),
    ]
    named = [{**each, "id": str(number)} for number, each in enumerate(shapes)]
    regions = read(tmp_path, [task(*named)]).items[0].sample.regions
    assert [region.geometry for region in regions] == [
        Box(20, 20, 80, 60),
        Ellipse(100, 50, 20, 10, math.pi / 2),
        Polygon((((0, 0, 100, 0, 100, 50),),)),
        Polyline((0, 0, 100, 50)),
        Points((2, 2)),
    ]
    assert regions[4].extra == {"width": 0.3}


def test_what_is_said_of_a_shape_is_a_label_of_its_region(tmp_path: Path) -> None:
    beside = [
        {
            "id": "r1",
            "type": "choices",
            "from_name": "color",
            "value": {"choices": ["red", "blue"]},
        },
        {"id": "r1", "type": "textarea", "from_name": "plate", "value": {"text": ["B-12"]}},
        {"id": "r1", "type": "rating", "from_name": "quality", "value": {"rating": 4}},
        {"id": "r1", "type": "taxonomy", "from_name": "kind", "value": {"taxonomy": [["a", "b"]]}},
    ]
    found = read(tmp_path, [task(BOX, *beside)])
    (region,) = found.items[0].sample.regions
    assert words_of(found, region.labels) == [
        ("category", "car"),
        ("color", "red"),
        ("color", "blue"),
        ("plate", "B-12"),
        ("quality", "4"),
        ("kind", "a/b"),
    ]
    tasks = found.vocabulary.tasks
    assert (tasks["color"].many, tasks["color"].scope) == (True, "region")
    assert (tasks["quality"].kind, tasks["plate"].kind) == ("number", "text")


def test_choices_alone_are_the_task_of_the_import(tmp_path: Path) -> None:
    choices = {"type": "choices", "from_name": "what", "value": {"choices": ["cat"]}}
    found = read(tmp_path, [task(choices)], task="animal")
    assert words_of(found, found.items[0].sample.labels) == [("animal", "cat")]
    other = {"type": "choices", "from_name": "where is it", "value": {"choices": ["in"]}}
    found = read(tmp_path, [task(choices, other)])
    labels = found.items[0].sample.labels
    assert words_of(found, labels) == [("what", "cat"), ("where_is_it", "in")]
    found = read(tmp_path, [task(BOX, choices)])
    assert words_of(found, found.items[0].sample.labels) == [("what", "cat")]


def test_several_texts_keep_their_order(tmp_path: Path) -> None:
    text = {"type": "textarea", "from_name": "caption", "value": {"text": ["b", "a"]}}
    labels = read(tmp_path, [task(text)]).items[0].sample.labels
    assert [(label.value, label.ordinal) for label in labels] == [("b", 0), ("a", 1)]


def test_relations_are_links(tmp_path: Path) -> None:
    other = {**BOX, "id": "r2"}
    relations = [
        {
            "type": "relation",
            "from_id": "r1",
            "to_id": "r2",
            "direction": "right",
            "labels": ["on"],
        },
        {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "left"},
        {"type": "relation", "from_id": "r1", "to_id": "gone", "direction": "right"},
    ]
    found = read(tmp_path, [task(BOX, other, *relations)])
    one, two = found.items[0].sample.regions
    assert [(link.kind, link.region) for link in one.links] == [("on", two.id)]
    assert [(link.kind, link.region) for link in two.links] == [("relation", one.id)]
    assert one.id != two.id
    assert found.report.count("lost", "a relation of what is no region") == 1


def test_ground_truth_is_verified_and_an_empty_annotation_says_there_is_nothing(
    tmp_path: Path,
) -> None:
    told = task(BOX)
    told["annotations"][0]["ground_truth"] = True
    empty = {"data": {"image": "b.jpg"}, "annotations": [{"result": []}]}
    untouched = {"data": {"image": "c.jpg"}}
    items = read(tmp_path, [told, empty, untouched]).items
    assert items[0].sample.regions[0].state == "verified"
    coverage = [item.sample.coverage for item in items]
    assert coverage == [{}, {"category": "exhaustive"}, {}]


def test_classes_in_the_order_and_colors_of_the_configuration(tmp_path: Path) -> None:
    config = (
        '<View><Image name="i" value="$photo"/><RectangleLabels name="label" toName="i">'
        '<Label value="bus" background="#f00"/><Label value="Automobile" alias="car"/>'
        "</RectangleLabels></View>"
    )
    one = task(BOX)
    one["data"] = {"image": "other.jpg", "photo": "s3://bucket/x/a.jpg"}
    found = read(tmp_path, [one], config)
    assert found.items[0].name == "x/a.jpg"
    assert found.items[0].sample.meta == {"image": "other.jpg"}
    taxonomy = found.vocabulary.taxonomies["category"]
    assert [taxonomy.nodes[node].name for node in taxonomy] == ["bus", "car"]
    assert taxonomy.nodes[next(iter(taxonomy))].extra == {"background": "#f00"}


def test_the_short_form(tmp_path: Path) -> None:
    rectangle = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    label = [
        {**rectangle, "rectanglelabels": ["car"], "original_width": 200, "original_height": 100}
    ]
    flat = {
        "id": 3, "image": "/data/upload/a.jpg", "label": label, "weather": "rain", "sure": "yes",
        "annotator": 1, "annotation_id": 9, "created_at": "x", "updated_at": "y", "lead_time": 2.0,
        "kinds": {"choices": ["a", "b"]},
    }  # fmt: skip
    config = '<View><Choices name="sure" toName="i"><Choice value="yes"/></Choices></View>'
    found = read(tmp_path, [flat], config)
    (item,) = found.items
    assert (item.name, item.sample.meta) == ("a.jpg", {"weather": "rain"})
    assert item.sample.regions[0].geometry == Box(20, 20, 80, 60)
    labels = words_of(found, item.sample.labels)
    assert labels == [("sure", "yes"), ("kinds", "a"), ("kinds", "b")]


def test_an_image_inside_the_file(tmp_path: Path) -> None:
    data = b"\x89PNG..."
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    found = read(tmp_path, [{"id": 4, "data": {"image": url}}])
    assert (found.items[0].name, found.items[0].data) == ("task-4.png", data)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("/data/upload/29/example.png", "example.png"),
        ("/data/upload/1/1a2b3c4d-my%20a.jpg", "my a.jpg"),
        ("/data/local-files/?d=photos/a%23.jpg", "photos/a#.jpg"),
        ("s3://bucket/x/a.jpg", "x/a.jpg"),
        ("https://example.com/x/a.jpg?token=1", "x/a.jpg"),
        ("/tasks/1/resolve/?fileuri=" + base64.b64encode(b"gs://b/x/a.jpg").decode(), "x/a.jpg"),
        ("a/b.jpg", "a/b.jpg"),
        ("http://[bad/a.jpg", "http://[bad/a.jpg"),
    ],
)
def test_names_of_images(text: str, name: str) -> None:
    assert image_name(text) == name


# -- brushes -------------------------------------------------------------------------------------


def test_a_brush_comes_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for height, width in ((1, 1), (7, 5), (300, 400)):
        pixels = rng.random((height, width)) < 0.3
        mask = rle.mask_of_array(pixels)
        codes = encode_brush(rle.runs_of(mask), height, width)
        assert decode_brush(codes, height, width) == (mask, False)


def test_a_brush_of_single_values_and_soft_edges() -> None:
    """As Label Studio writes runs of one: a 0, and each value by itself."""
    alphas = [0, 100, 200, 255]
    bits = f"{16:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    for alpha in alphas:
        bits += "0" + "00" + f"{3:03b}" + f"{7:08b}" * 3 + f"{alpha:08b}"
    bits += "0" * (-len(bits) % 8)
    codes = list(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    mask, soft = decode_brush(codes, 2, 2)
    assert rle.array_of(mask).tolist() == [[False, False], [True, True]]
    assert soft


@pytest.mark.parametrize("codes", [[], [1, 2, 3], [256], ["x"], [0, 0, 0, 16, 57, 27, 255, 128]])
def test_bad_brushes_are_refused(codes: list[Any]) -> None:
    with pytest.raises(BadValueError, match="rle"):
        decode_brush(codes, 2, 2)


# -- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([{"data": 3}], "tasks[0].data: expected an object"),
        ([{"data": {}, "annotations": {}, "x": 1}], "no task has an image"),
        ([{"data": {}, "annotations": {"a": 1}}], "tasks[0].annotations: expected a list"),
        (
            [task({**BOX, "value": 1})],
            "tasks[0].annotations[0].result[0].value: expected an obj",
        ),
        ([task(shape("rectangle", [], x=1, y=2, width="w"))], "result[0].value.width: expected a"),
        ([task(shape("polygon", [], points=[1]))], "points: expected x and y of each"),
        ([task(shape("brush", [], rle=[1]))], "rle: ends within a run"),
        ([task({**BOX, "original_width": 0})], "original_width, original_height: no size"),
        ([{"data": {"image": "../a.jpg"}}], "names no image inside the dataset"),
    ],
)
def test_malformed_tasks_are_refused_with_their_place(
    tmp_path: Path, tasks: Any, words: str
) -> None:
    with pytest.raises(InvalidDataError) as refused:
        read(tmp_path, tasks)
    assert words in refused.value.message
    assert refused.value.path == "tasks.json"


def test_numbers_that_are_not_finite(tmp_path: Path) -> None:
    found = read(tmp_path, [task(shape("rectangle", ["car"], x=math.nan, y=0, width=1, height=1))])
    (region,) = found.items[0].sample.regions
    assert region.geometries == {}
    assert region.extra["source_geometry"] == "height=1 width=1 x=nan y=0"


# -- writing -------------------------------------------------------------------------------------


def test_models_become_predictions_and_people_annotations(tmp_path: Path) -> None:
    draft = Draft(Vocabulary())
    node = draft.category("category", "car")

    def region(number: int, source: str) -> Region:
        label = Label(task="category", node=node, source=source)
        box = Box(number, 0, number + 5, 9)
        return Region(
            id=bytes([number]) * 16, geometries={"box": box}, labels=(label,), source=source
        )

    sources = ["model:m", "human:a@b.c", "human:7", "human"]
    regions = tuple(region(number, source) for number, source in enumerate(sources, 1))
    sample = Sample(uid=bytes(16), image=Image(width=50, height=20), regions=regions)
    write_version(FORMAT, memory_version({"a.png": sample}, draft), tmp_path / "out")
    (written,) = json.loads((tmp_path / "out" / "tasks.json").read_text())
    assert [one["model_version"] for one in written["predictions"]] == ["m"]
    said = [one.get("completed_by") for one in written["annotations"]]
    assert said == [None, 7, {"email": "a@b.c"}]
    assert written["data"] == {"image": "/data/local-files/?d=images/a.png", "vgr_key": "a.png"}
    found = collect(FORMAT, tmp_path / "out")
    back = {region.geometry: region.source for region in found.items[0].sample.regions}
    assert sorted(back.values()) == ["human:7", "human:a@b.c", "import", "model:m"]


def test_the_configuration_has_the_controls_that_tasks_use(tmp_path: Path) -> None:
    suite = TestLabelStudio()
    with suite._written(suite.version()) as (folder, _):
        config = (folder / "label_config.xml").read_text()
        for element in ("RectangleLabels", "PolygonLabels", "EllipseLabels", "BrushLabels"):
            assert f"<{element} name=" in config
        assert '<Label value="nose" model_index="0"/>' in config
        tasks = json.loads((folder / "tasks.json").read_text())
        names = {
            result["from_name"]
            for each in tasks
            for annotation in each["annotations"]
            for result in annotation["result"]
            if "from_name" in result
        }
        for name in names:
            assert f'name="{name}"' in config


def test_an_export_of_label_studio_of_what_was_imported_changes_nothing(tmp_path: Path) -> None:
    """Label Studio numbers tasks and annotations, adds dates, and keeps data and ids of results."""
    suite = TestLabelStudio()
    with suite._written(suite.version()) as (folder, writing):
        plain = suite._found(suite._read(folder), writing)
        path = folder / "tasks.json"
        tasks = json.loads(path.read_text())
        for number, each in enumerate(tasks, 100):
            each |= {
                "id": number,
                "file_upload": None,
                "drafts": [],
                "inner_id": number,
                "meta": {},
            }
            for annotation in each["annotations"]:
                annotation |= {
                    "id": number,
                    "completed_by": 1,
                    "updated_at": "2026-01-01T00:00:00Z",
                }
                annotation |= {"was_cancelled": False, "lead_time": 3.2}
                for result in annotation["result"]:
                    result["origin"] = "manual"
        path.write_text(json.dumps(tasks[::-1]))
        found = suite._found(suite._read(folder), writing)
        assert found.keys() == plain.keys()
        for key, sample in plain.items():
            assert [r.geometries for r in found[key].regions] == [
                r.geometries for r in sample.regions
            ]
            assert found[key].labels == sample.labels
