"""The JSON of a sample: all survives, paths stand for nodes, faults are named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from schema_strategies import samples

from voyager.errors import InvalidDataError, NotFoundError
from voyager.schema import (
    Box,
    Image,
    Label,
    Region,
    Sample,
    coverage_key,
    node_id,
    sample_from_json,
    sample_to_json,
    sample_uid,
)
from voyager.wire import blob_ref

BLOB = bytes(range(32))
UID = bytes(range(16))
HEEL = node_id("fashion", "shoes/heels")
PATHS = {("objects", HEEL): "shoes/heels"}
SAMPLE = Sample(
    uid=UID,
    image=Image(blob=blob_ref(BLOB), bytes=5, type="jpeg", width=4, height=3),
    split="train",
    labels=[Label(task="caption", value="shoes/heels")],
    regions=[
        Region(
            id=UID,
            geometries={"box": Box(1, 2, 3, 4)},
            labels=[Label(task="objects", node=HEEL, score=0.5)],
        )
    ],
    negatives={"objects": [HEEL]},
    coverage={"objects": "partial", coverage_key("objects", HEEL): "exhaustive"},
)


def resolve(task: str, node: bytes) -> str | None:
    return PATHS.get((task, node))


def find(task: str, text: str) -> bytes | None:
    if task != "objects":
        return None
    if text != "shoes/heels":
        raise NotFoundError(f"there is no class {text}")
    return HEEL


def through_text(value: Any) -> Any:
    return json.loads(json.dumps(value, allow_nan=False))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(samples)
def test_everything_survives(sample: Sample) -> None:
    written = through_text(sample_to_json("a/b.jpg", sample))
    assert sample_from_json(written) == ("a/b.jpg", sample)


def test_the_shape_that_scripts_rely_on() -> None:
    assert sample_to_json("a/b.jpg", SAMPLE, resolve) == {
        "key": "a/b.jpg",
        "uid": UID.hex(),
        "split": "train",
        "image": {
            "blob": BLOB.hex(),
            "type": "jpeg",
            "bytes": 5,
            "width": 4,
            "height": 3,
            "orientation": 1,
            "state": "stored",
        },
        "labels": [
            {"task": "caption", "value": "shoes/heels", "source": "human", "state": "accepted"}
        ],
        "regions": [
            {
                "id": UID.hex(),
                "geometries": {"box": {"type": "box", "xyxy": [1.0, 2.0, 3.0, 4.0]}},
                "labels": [
                    {
                        "task": "objects",
                        "value": "shoes/heels",
                        "source": "human",
                        "score": 0.5,
                        "state": "accepted",
                    }
                ],
                "source": "human",
                "state": "accepted",
            }
        ],
        "negatives": {"objects": ["shoes/heels"]},
        "coverage": {"objects": "partial", "objects:shoes/heels": "exhaustive"},
    }


def test_paths_stand_for_nodes() -> None:
    written = through_text(sample_to_json("a/b.jpg", SAMPLE, resolve))
    assert sample_from_json(written, find) == ("a/b.jpg", SAMPLE)


def test_nodes_that_nobody_knows_are_hex() -> None:
    written = sample_to_json("a/b.jpg", SAMPLE)
    assert written["regions"][0]["labels"][0]["node"] == HEEL.hex()
    assert written["negatives"] == {"objects": [HEEL.hex()]}
    assert f"objects:{HEEL.hex()}" in written["coverage"]
    assert sample_from_json(written) == ("a/b.jpg", SAMPLE)


def test_missing_ids_are_minted_and_alike() -> None:
    region = {"geometries": {"box": {"type": "box", "xyxy": [1, 2, 3, 4]}}}
    written = {"key": "a.jpg", "image": {"blob": BLOB.hex()}, "regions": [region, region]}
    _, sample = sample_from_json(written)
    assert sample.uid == sample_uid(BLOB, "a.jpg")
    assert len({region.id for region in sample.regions}) == 2
    assert sample_from_json(written) == ("a.jpg", sample)
    _, pending = sample_from_json({"key": "a.jpg"})
    assert pending.uid == sample_uid("a.jpg", "a.jpg")


def test_the_state_of_an_image_is_told_and_checked() -> None:
    for image in (Image(uri="s3://a"), Image(purged=True), SAMPLE.image):
        written = sample_to_json("a", SAMPLE.replace(image=image))
        assert written["image"]["state"] == image.state
        assert sample_from_json(written)[1].image == image
    with pytest.raises(InvalidDataError, match=r"image\.state: expected pending"):
        sample_from_json({"key": "a", "image": {"state": "stored"}})


def test_conflicted_is_of_the_version_and_left_alone() -> None:
    written = {**sample_to_json("a", SAMPLE), "conflicted": True}
    assert sample_from_json(written) == ("a", SAMPLE)


def with_region(**fields: Any) -> dict[str, Any]:
    return {"key": "a", "regions": [{"geometries": {}, **fields}]}


def with_box(**fields: Any) -> dict[str, Any]:
    return with_region(geometries={"box": {"type": "box", "xyxy": [1, 2, 3, 4], **fields}})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ([], "sample: expected an object"),
        ({}, "key: expected text"),
        ({"key": ""}, "key: expected text"),
        ({"key": "a", "uid": "zz"}, "uid: expected 32 hex digits"),
        ({"key": "a", "uid": 5}, "uid: expected 32 hex digits"),
        ({"key": "a", "spilt": "train"}, "spilt: there is no such field"),
        ({"key": "a", "split": 5}, "split: expected `str"),
        ({"key": "a", "image": 5}, "image: expected an object"),
        ({"key": "a", "image": {"blob": "00"}}, "image.blob: expected 64 hex digits"),
        ({"key": "a", "image": {"width": True}}, "image.width: expected `int"),
        ({"key": "a", "labels": {}}, "labels: expected a list"),
        (
            {"key": "a", "labels": [{"value": "x"}]},
            r"labels\[0\]: Missing required argument 'task'",
        ),
        ({"key": "a", "labels": [{"task": "t"}]}, r"labels\[0\]: a label has either"),
        (
            {"key": "a", "labels": [{"task": "t", "value": 1, "score": "x"}]},
            r"labels\[0\]: score: expected a number",
        ),
        (
            {"key": "a", "labels": [{"task": "objects", "value": "boots"}]},
            r"labels\[0\].value: there is no class boots",
        ),
        (
            {"key": "a", "labels": [{"task": "t", "value": 1, "state": "sure"}]},
            r"labels\[0\].state: ",
        ),
        ({"key": "a", "negatives": {"t": ["x"]}}, r"negatives.t\[0\]: expected 32 hex"),
        ({"key": "a", "negatives": {"t": "x"}}, "negatives.t: expected a list"),
        ({"key": "a", "coverage": {"t:x": "partial"}}, "coverage.t:x: expected 32 hex"),
        ({"key": "a", "coverage": {"t": "most"}}, r"coverage\[...\]: "),
        ({"key": "a", "meta": {"a": {"b": 1}}}, r"meta\[...\]: "),
        ({"key": "a", "extra": {"a": {"$bytes": "x"}}}, r"extra.a.\$bytes: expected hex"),
        ({"key": "a", "extra": {"a": {"$date": "x"}}}, r"extra.a.\$date: expected \$bytes"),
        ({"key": "a", "unknown": {"s": "train"}}, "unknown: expected a map of fields"),
        (with_region(flags="crowd"), r"regions\[0\].flags: expected a list"),
        (with_region(primary="box"), r"regions\[0\]: primary: there is no geometry"),
        (with_region(links=[{"uid": "0"}]), r"regions\[0\].links\[0\].uid: expected 32 hex"),
        (with_region(geometries={"a": {}}), r"regions\[0\].geometries.a: type: expected one of"),
        (with_box(type="boxx"), r"regions\[0\].geometries.box: type: expected one of box, "),
        (with_box(xyxy=[1, 2, 3]), r"regions\[0\].geometries.box.xyxy: expected 4 numbers"),
        (with_box(xyxy=[1, 2, 3, "4"]), r"regions\[0\].geometries.box: y1: expected a number"),
        (with_box(xyxy=5), r"regions\[0\].geometries.box.xyxy: expected 4 numbers"),
        (with_box(x0=1), r"regions\[0\].geometries.box.x0: there is no such field"),
        (with_box(type="mask"), r"regions\[0\].geometries.box: counts: expected the text"),
        (with_box(type="unknown", encoded=[1]), r"regions\[0\].geometries.box.xyxy: there is no"),
    ],
)
def test_a_fault_is_named_with_its_path(written: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=rf"^{message}"):
        sample_from_json(written, find)
