"""The lossless format: the shipped suite, its two ways of reading, the header, the JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import jsonschema
import msgspec
import pytest
from hypothesis import assume, given, settings
from schema_strategies import samples

import voyager.formats.jsonl as jsonl
from voyager.errors import InvalidDataError
from voyager.formats.base import NEW_ID
from voyager.formats.collecting import Collected, collect, memory_version, write_version
from voyager.formats.conformance import FormatSuite
from voyager.formats.jsonl_lines import LineReader, LineWriter
from voyager.formats.reading import ReadOptions
from voyager.formats.torture import Limits, torture_version
from voyager.formats.writing import WriteOptions
from voyager.schema import (
    MASK_INLINE_LIMIT,
    Box,
    Image,
    Label,
    Mask,
    Region,
    Sample,
    check_sample,
    sample_to_json,
)
from voyager.schema.rle import mask_of_counts
from voyager.schema.vocabulary import CATEGORY, Draft, Vocabulary

SCHEMA = json.loads(Path(jsonl.__file__).with_name("jsonl.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


class TestJsonl(FormatSuite):
    form = jsonl.FORMAT
    limits: ClassVar[Limits] = Limits(lists=True)


def read_lines(folder: Path, *lines: Any, options: ReadOptions | None = None) -> Collected:
    """The items of a file of these lines."""
    path = folder / "labels.jsonl"
    text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text("\n".join(text) + "\n")
    return collect(jsonl.FORMAT, path, options)


def written_lines(folder: Path, samples: dict[str, Sample], vocabulary: Vocabulary) -> list[Any]:
    """What is written of these samples, line by line."""
    version = memory_version(samples, vocabulary)
    write_version(jsonl.FORMAT, version, folder, WriteOptions(images="none"))
    return [json.loads(line) for line in (folder / "labels.jsonl").read_bytes().splitlines()]


# -- two ways, one form --------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(samples)
def test_every_sample_survives_its_line(sample: Sample) -> None:
    """A line is the schema's JSON, and reads back as the same sample."""
    sample = _with_plain_masks(check_sample(sample))
    line = LineWriter(lambda *_: None, lambda _: b"").line("k", sample)
    assert json.loads(line) == json.loads(msgspec.json.encode(sample_to_json("k", sample)))
    assert list(json.loads(line)) == list(sample_to_json("k", sample))
    assume(len({region.id for region in sample.regions}) == len(sample.regions))
    assert LineReader(lambda *_: None, "human", _no_check).sample(line) == ("k", sample)


def _no_check(height: int, width: int, counts: bytes) -> Mask:
    return Mask(height, width, counts)


def _with_plain_masks(sample: Sample) -> Sample:
    """Masks in blobs are written with their counts, so they cannot come back as they were."""
    regions = [
        region.replace(
            geometries={
                role: Box(0, 0, 1, 1) if isinstance(shape, Mask) and shape.blob_id else shape
                for role, shape in region.geometries.items()
            }
        )
        for region in sample.regions
    ]
    return sample.replace(regions=tuple(regions))


USUAL: dict[str, Any] = {
    "key": "a.jpg",
    "uid": "01" * 16,
    "split": "train",
    "image": {"width": 9, "height": 8, "orientation": 6, "state": "pending", "hash": "md5:00"},
    "labels": [{"task": "category", "value": "street", "source": "human", "state": "verified"}],
    "regions": [
        {
            "id": "02" * 16,
            "primary": "polygon",
            "geometries": {
                "polygon": {"type": "polygon", "parts": [[[1, 2, 3.5, 4, 5, 6]]]},
                "keypoints": {"type": "keypoints", "points": [1, 2], "visibility": [2]},
            },
            "labels": [{"task": "category", "value": "a/b", "source": "import:x"}],
            "flags": ["truncated", "crowd"],
            "track": "7",
            "score": 1,
            "state": "proposed",
            "origin": {"import": "x.json", "id": 4},
        }
    ],
}


def test_the_quick_way_reads_what_the_slow_way_reads() -> None:
    nodes: dict[str, bytes] = {}

    def find(_: str, text: str) -> bytes:
        return nodes.setdefault(text, bytes([len(nodes) + 1]) * 16)

    reader = LineReader(find, "import", _no_check)
    line = json.dumps(USUAL).encode()
    quick, slow = reader.sample(line), reader.sample_of(json.loads(line))
    assert quick == slow
    assert quick[1].regions[0].flags == ("crowd", "truncated")


def test_negative_zero_is_zero(tmp_path: Path) -> None:
    line = {"key": "a.jpg", "regions": [{"geometries": {"p": _polygon(-0.0, 0, 5, -0.5, 9, 9)}}]}
    (item,) = read_lines(tmp_path, line).items
    assert str(item.sample.regions[0].geometry.parts[0][0][0]) == "0.0"  # type: ignore[union-attr]


def _polygon(*ring: float) -> dict[str, Any]:
    return {"type": "polygon", "parts": [[list(ring)]]}


# -- by hand -------------------------------------------------------------------------------------


def test_a_file_by_hand_needs_neither_header_nor_ids(tmp_path: Path) -> None:
    box = {"box": {"type": "box", "xyxy": [1, 2, 3, 4]}}
    label = {"task": "category", "value": "animal/cat"}
    found = read_lines(
        tmp_path,
        {"key": "b/1.jpg", "regions": [{"geometries": box, "labels": [label]}]},
        "",
        {"key": "a.jpg", "labels": [{"task": "rainy", "value": True}], "meta": {"n": 1}},
        options=ReadOptions(source="import:anna"),
    )
    first, second = found.items
    region = first.sample.regions[0]
    assert (first.name, first.sample.uid, region.id) == ("b/1.jpg", NEW_ID, NEW_ID)
    assert region.source == region.labels[0].source == "import:anna"
    assert found.vocabulary.word(region.labels[0]) == "animal/cat"
    assert found.vocabulary.taxonomies["category"].path(region.labels[0].node or b"") is not None
    assert second.sample.meta == {"n": 1}
    assert first.place == "labels.jsonl:1"


def test_ids_are_kept(tmp_path: Path) -> None:
    (item,) = read_lines(tmp_path, USUAL).items
    assert item.sample.uid == b"\1" * 16
    assert item.sample.regions[0].id == b"\2" * 16


def test_large_masks_stand_in_the_line(tmp_path: Path) -> None:
    version = torture_version(jsonl.HOLDS)
    write_version(jsonl.FORMAT, version, tmp_path / "x", WriteOptions(images="none"))
    text = (tmp_path / "x" / "labels.jsonl").read_bytes()
    assert max(map(len, text.splitlines())) > MASK_INLINE_LIMIT
    found = collect(jsonl.FORMAT, tmp_path / "x" / "labels.jsonl")
    masks = [
        shape
        for item in found.items
        for region in item.sample.regions
        for shape in region.geometries.values()
        if isinstance(shape, Mask)
    ]
    assert any(mask.blob_id is not None for mask in masks)


# -- the header ----------------------------------------------------------------------------------


def _grown() -> Draft:
    """A vocabulary with everything that one can have."""
    draft = Draft(Vocabulary())
    draft.define(CATEGORY, scope="region", answer=("human:anna", "human"), description="What?")
    chair = draft.mint_path(CATEGORY, "furniture/chair")
    draft.category(CATEGORY, "a/b", aliases=("ab",), extra={"coco_id": 7, "raw": b"\1"})
    stool = draft.mint_path(CATEGORY, "stool")
    taxonomy = draft.taxonomies[CATEGORY]
    dead = taxonomy.nodes[stool].replace(dead=True, redirect=chair)
    furniture = taxonomy.find("furniture")
    assert furniture is not None
    renamed = taxonomy.nodes[furniture].replace(name="Möbel")
    draft.put_nodes(CATEGORY, {stool: dead, furniture: renamed})
    draft.define("color", taxonomy="palette", many=True, applies_to=chair)
    draft.category("color", "red")
    draft.rename_taxonomy("palette", "colors")
    draft.define("caption", kind="text", scope="image")
    draft.add_taxonomy("gone")
    draft.mint_path("gone", "x")
    draft.bury_taxonomy("gone")
    return draft


def test_the_header_holds_tasks_and_taxonomies(tmp_path: Path) -> None:
    draft = _grown()
    written_lines(tmp_path / "x", {}, draft)
    found = collect(jsonl.FORMAT, tmp_path / "x" / "labels.jsonl").vocabulary
    assert found.tasks == draft.tasks
    assert found.taxonomies.keys() == draft.taxonomies.keys()
    for name, taxonomy in draft.taxonomies.items():
        assert found.taxonomies[name].nodes == taxonomy.nodes
        assert found.taxonomies[name].root == taxonomy.root


def test_a_class_known_under_another_path_keeps_its_id(tmp_path: Path) -> None:
    draft = _grown()
    chair = draft.taxonomies[CATEGORY].find("chair")
    assert chair is not None
    label = Label(task=CATEGORY, node=chair)
    sample = Sample(uid=b"\1" * 16, image=Image(), labels=(label,))
    written_lines(tmp_path / "x", {"a.jpg": sample}, draft)
    here = Draft(draft)
    here.put_nodes(CATEGORY, {chair: draft.taxonomies[CATEGORY].nodes[chair].replace(name="seat")})
    path = tmp_path / "x" / "labels.jsonl"
    (item,) = collect(jsonl.FORMAT, path, vocabulary=here).items
    assert item.sample.labels[0].node == chair


def test_classes_without_ids_are_minted_in_their_order(tmp_path: Path) -> None:
    classes = [{"path": "z", "aliases": ["zed"]}, {"path": "animal/cat"}, {"path": "b"}]
    header = {"vgr": "jsonl", "version": 1, "taxonomies": {"category": {"classes": classes}}}
    found = read_lines(tmp_path, {**header, "tasks": {"category": {}}}, USUAL).vocabulary
    taxonomy = found.taxonomies["category"]
    paths = [taxonomy.path(node) for node in taxonomy]
    assert paths == ["z", "animal", "animal/cat", "b", "street", "a", "a/b"]
    assert taxonomy.find("zed") == taxonomy.find("z")


# -- malformed -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[" * 5000, "not JSON"),
        ("[]", "expected the object of a sample"),
        ('{"key": 3}', "key: expected text"),
        ('{"key": "../a.jpg"}', "'../a.jpg' names no image inside the dataset"),
        ('{"key": "/a.jpg"}', "'/a.jpg' names no image inside the dataset"),
        ('{"key": "a.jpg", "colour": 1}', "colour: there is no such field"),
        ('{"key": "a.jpg", "regions": [{"geometries": {"b": {"type": "cube"}}}]}', "regions[0]"),
        (
            {"key": "a.jpg", "regions": [{"geometries": {"b": {"type": "box", "xyxy": [1, 2]}}}]},
            "regions[0].geometries.b",
        ),
        (
            {"key": "a.jpg", "regions": [{"geometries": {"m": _polygon(1, 2, 3)}}]},
            "regions[0].geometries.m: ring: expected x and y of each point",
        ),
        (
            {
                "key": "a.jpg",
                "regions": [
                    {"geometries": {"m": {"type": "mask", "height": 2, "width": 2, "counts": "11"}}}
                ],
            },
            "regions[0].geometries.m: counts: the runs hold 2 pixels, 2 × 2 are 4",
        ),
        ('{"key": "a.jpg", "image": {"width": NaN}}', "not JSON"),
        ('{"key": "a.jpg", "labels": [{"task": "c"}]}', "labels[0]: a label has either"),
        ('{"key": "a.jpg", "labels": [{"task": "category", "value": " "}]}', "labels[0].value"),
        ('{"key": "a.jpg", "uid": "12"}', "uid: expected 32 hex digits"),
        ('{"vgr": "jsonl", "version": 1}', "a header can only be the first line"),
        ('{"key": "first.jpg"}', "'first.jpg' has a line already"),
    ],
)
def test_malformed_lines_are_refused_with_line_and_path(
    tmp_path: Path, line: Any, words: str
) -> None:
    with pytest.raises(InvalidDataError) as caught:
        read_lines(tmp_path, {"key": "first.jpg"}, line)
    assert (caught.value.path, caught.value.line) == ("labels.jsonl", 2)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"version": 2}, "version: expected 1, got 2"),
        ({"colour": 1}, "colour: there is no such field"),
        ({"tasks": {"c": {"kind": "mood"}}}, "tasks.c"),
        ({"tasks": {"c": {"many": 3}}}, "tasks.c"),
        ({"tasks": {"c": {"mood": 3}}}, "tasks.c"),
        ({"tasks": {"1": {}}}, "tasks.1"),
        ({"tasks": {"c": {"skeleton": {"names": ["a"], "edges": [[0, 1]]}}}}, "tasks.c: edges"),
        ({"taxonomies": {"c": {"classes": [{"id": "00"}]}}}, "taxonomies.c: classes[0].id"),
        ({"taxonomies": {"c": {"classes": [{"path": "a//b"}]}}}, "taxonomies.c"),
        ({"taxonomies": {"c": {"classes": [{"path": "a", "order": "x"}]}}}, "taxonomies.c"),
        ({"taxonomies": {"c": {"classes": [{"id": "00" * 16}]}}}, "taxonomies.c: classes[0]"),
        ({"taxonomies": {"c": {"colour": 1}}}, "taxonomies.c: colour"),
        ({"taxonomies": {"": {}}}, "taxonomies."),
        ({"taxonomies": []}, "taxonomies: expected an object"),
    ],
)
def test_malformed_headers_are_refused(tmp_path: Path, header: Any, words: str) -> None:
    with pytest.raises(InvalidDataError) as caught:
        read_lines(tmp_path, {"vgr": "jsonl", "version": 1, **header})
    assert (caught.value.path, caught.value.line) == ("labels.jsonl", 1)
    assert words in caught.value.message


def test_two_regions_with_one_id_are_refused(tmp_path: Path) -> None:
    twice = {**USUAL, "regions": USUAL["regions"] * 2}
    with pytest.raises(InvalidDataError, match="two of them have the id 0202"):
        read_lines(tmp_path, twice)


# -- the JSON Schema -----------------------------------------------------------------------------


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_takes_every_line_of_the_torture_version(tmp_path: Path) -> None:
    version = torture_version(jsonl.HOLDS, Limits(lists=True))
    write_version(jsonl.FORMAT, version, tmp_path / "x", WriteOptions(images="none"))
    for line in (tmp_path / "x" / "labels.jsonl").read_bytes().splitlines():
        VALIDATOR.validate(json.loads(line))


def test_the_schema_takes_every_header(tmp_path: Path) -> None:
    (header,) = written_lines(tmp_path / "x", {}, _grown())
    VALIDATOR.validate(header)


@settings(deadline=None, max_examples=100)
@given(samples)
def test_the_schema_takes_every_sample(sample: Sample) -> None:
    line = LineWriter(lambda *_: None, lambda _: b"1").line("k", check_sample(sample))
    VALIDATOR.validate(json.loads(line))


@pytest.mark.parametrize("change", [{"key": 1}, {"colour": 1}, {"regions": [{}]}, {"uid": "1"}])
def test_the_schema_refuses_what_the_reader_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate({**USUAL, **change})


def test_canonical_masks_only(tmp_path: Path) -> None:
    """Runs of nothing are closed up: a mask has one form."""
    mask = {"type": "mask", "height": 2, "width": 2, "counts": "1021"}
    line = {"key": "a.jpg", "regions": [{"geometries": {"mask": mask}}]}
    (item,) = read_lines(tmp_path, line).items
    assert item.sample.regions[0].geometry == mask_of_counts("1021", 2, 2)


def test_regions_of_people_stay_theirs(tmp_path: Path) -> None:
    region = Region(id=b"\2" * 16, geometries={"box": Box(0, 0, 1, 1)}, source="human:anna")
    sample = Sample(uid=b"\1" * 16, image=Image(), regions=(region,))
    written_lines(tmp_path / "x", {"a.jpg": sample}, Vocabulary())
    (item,) = collect(jsonl.FORMAT, tmp_path / "x" / "labels.jsonl").items
    assert item.sample == sample
