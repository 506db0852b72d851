"""Violations: each kind, where it is, and that samples which agree have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from schema_strategies import samples

from voyager.schema import (
    Box,
    Ellipse,
    Geometry,
    Image,
    Label,
    Link,
    Mask,
    Polygon,
    Polyline,
    Region,
    Sample,
    coverage_key,
    overlap,
)
from voyager.schema.rle import mask_of_array
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import find_place
from voyager.schema.taxonomy_verbs import bury
from voyager.schema.validate import Validator, violations
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.wire import blob_ref

UID = bytes(16)


def vocabulary() -> Draft:
    draft = Draft(Vocabulary())
    draft.define("kind")
    for path in ("person", "person/child", "car", "boat", "ship"):
        draft.mint_path("kind", path)
    draft.define("tags", many=True)
    draft.mint_path("tags", "old")
    draft.define("note", kind="text")
    draft.define("count", kind="number", scope="image")
    draft.define("smiling", kind="bool", scope="region")
    smiling = draft.tasks["smiling"]
    draft.put_task("smiling", smiling.replace(applies_to=at(draft, "kind/person")))
    merge(draft, ["kind/boat"], "kind/ship")
    return draft


def at(draft: Draft, path: str) -> bytes:
    node = find_place(draft, path).node
    assert node is not None
    return node


KNOWN = vocabulary()
PERSON, CHILD, CAR = (at(KNOWN, f"kind/{path}") for path in ("person", "person/child", "car"))
BOAT = next(key for key, node in KNOWN.taxonomies["kind"].nodes.items() if node.name == "boat")
OLD = at(KNOWN, "tags/old")


def kind(node: bytes, **fields: Any) -> Label:
    return Label(task="kind", node=node, **fields)


def smiling(**fields: Any) -> Label:
    return Label(task="smiling", value=True, **fields)


def region(*labels: Label, number: int = 1, **fields: Any) -> Region:
    return Region(id=bytes([number]) * 16, geometries={}, labels=labels, **fields)


def sample(*labels: Label, regions: tuple[Region, ...] = (), **fields: Any) -> Sample:
    return Sample(uid=UID, image=Image(uri="x"), labels=labels, regions=regions, **fields)


def found(said: Sample, **options: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.path) for one in violations("k", said, KNOWN, **options)]


AGREEING = [
    sample(kind(CAR), Label(task="note", value="so"), Label(task="count", value=3)),
    sample(kind(BOAT)),  # merged into ship, so it is one
    sample(kind(CAR), kind(PERSON, source="model")),
    sample(kind(CAR, state="rejected"), kind(PERSON)),
    sample(Label(task="tags", node=OLD), Label(task="tags", node=OLD)),
    sample(
        Label(task="note", value="a", ordinal=0),
        Label(task="note", value="b", ordinal=1),
        Label(task="note", value="c", language="de"),
    ),
    sample(regions=(region(kind(CHILD), smiling()),)),
    sample(kind(CAR), negatives={"kind": (PERSON,)}),
    sample(coverage={"kind": "exhaustive", coverage_key("kind", CAR): "partial"}),
]


@pytest.mark.parametrize("said", AGREEING)
def test_samples_that_agree(said: Sample) -> None:
    assert found(said, leads=lambda uid, region: False) == []


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (sample(Label(task="odd", value=1)), [("unknown-task", "labels[0]")]),
        (sample(negatives={"odd": (CAR,)}), [("unknown-task", "negatives.odd")]),
        (sample(coverage={"odd": "partial"}), [("unknown-task", "coverage.odd")]),
        (sample(kind(OLD)), [("unknown-class", "labels[0]")]),
        (sample(negatives={"kind": (OLD,)}), [("unknown-class", "negatives.kind")]),
        (
            sample(coverage={coverage_key("kind", OLD): "partial"}),
            [("unknown-class", f"coverage.kind:{OLD.hex()}")],
        ),
        (sample(Label(task="kind", value="car")), [("wrong-kind", "labels[0]")]),
        (sample(Label(task="note", value=1.0)), [("wrong-kind", "labels[0]")]),
        (sample(Label(task="note", node=CAR)), [("wrong-kind", "labels[0]")]),
        (sample(Label(task="count", value=True)), [("wrong-kind", "labels[0]")]),
        (
            sample(regions=(region(Label(task="count", value=1)),)),
            [("wrong-scope", "regions[0].labels[0]")],
        ),
        (sample(kind(CAR), kind(PERSON), kind(CHILD)), [("several-answers", "labels[1]")]),
        (
            sample(regions=(region(), region(kind(CAR), smiling(), number=2))),
            [("not-applicable", "regions[1].labels[1]")],
        ),
        (
            sample(regions=(region(kind(PERSON, state="rejected"), smiling()),)),
            [("not-applicable", "regions[0].labels[1]")],
        ),
        (
            sample(negatives={"kind": (PERSON,)}, regions=(region(kind(CHILD)),)),
            [("contradiction", "negatives.kind")],
        ),
    ],
)
def test_violations(said: Sample, expected: list[tuple[str, str]]) -> None:
    assert found(said) == expected


def test_what_a_violation_says() -> None:
    draft = vocabulary()
    bury(draft, [find_place(draft, "kind/car")])
    said = sample(regions=(region(kind(CAR)),))
    (one,) = violations("a/1.jpg", said, draft)
    assert (one.kind, one.key, one.region) == ("dead-class", "a/1.jpg", bytes([1]) * 16)
    assert one.message == "the class 'car' of task 'kind' was removed"
    assert one.hint == "vgr label 'a/1.jpg#01010101' kind=CLASS"


def test_links_that_lead_nowhere() -> None:
    inside = Link(kind="part", uid=UID, region=bytes([2]) * 16)
    gone = Link(kind="same", uid=UID, region=bytes([9]) * 16)
    away = Link(kind="same", uid=bytes([7]) * 16, region=bytes([8]) * 16)
    said = sample(regions=(region(links=(inside, gone, away)), region(number=2)))
    assert found(said) == []
    assert found(said, leads=lambda uid, region: uid == away.uid) == [
        ("dangling-link", "regions[0].links[1]")
    ]
    assert found(said, leads=lambda uid, region: False) == [
        ("dangling-link", "regions[0].links[1]"),
        ("dangling-link", "regions[0].links[2]"),
    ]


def test_of_one_task_alone() -> None:
    said = sample(kind(OLD), Label(task="note", value=1.0), negatives={"kind": (OLD,)})
    only = Validator(KNOWN, task="note").violations("k", said)
    assert [(one.kind, one.path) for one in only] == [("wrong-kind", "labels[1]")]


def test_a_task_that_applies_to_what_was_removed() -> None:
    draft = vocabulary()
    bury(draft, [find_place(draft, "kind/person")], recursive=True)
    said = sample(regions=(region(smiling()),))
    (one,) = violations("k", said, draft)
    assert one.message == "task 'smiling' applies only to a class that was removed"


@given(samples)
def test_any_sample_can_be_looked_at(said: Sample) -> None:
    for one in violations("k", said, KNOWN, leads=lambda uid, region: False):
        assert one.message
        assert one.hint.startswith("vgr ")


def drawn(number: int, shape: Geometry, *labels: Label, **fields: Any) -> Region:
    said = labels or (kind(CAR),)
    return Region(id=bytes([number]) * 16, geometries={"main": shape}, labels=said, **fields)


def apart(wanted: str, *regions: Region, load: Any = None) -> list[tuple[str, str]]:
    known = vocabulary()
    known.put_task("kind", known.tasks["kind"].replace(overlap=wanted))
    validator = Validator(known, load=load)
    return [(one.kind, one.path) for one in validator.violations("k", sample(regions=regions))]


BOX = Box(0, 0, 10, 10)


@pytest.mark.parametrize(
    ("shape", "shares"),
    [
        (Box(5, 5, 15, 15), True),
        (Box(10, 0, 20, 10), False),  # a border is no area
        (Box(9, 9.5, 19, 19), False),  # half a pixel
        (Box(9.8, 0, 109.8, 300), True),  # 2 of 100: more than 1 % of the smaller one
        (Polygon((((5, 5, 30, 5, 5, 30),),)), True),
        (Polygon((((12, 12, 30, 5, 11, 30),),)), False),
        (Ellipse(10, 10, 4, 4, 0), True),
        (Polyline((0, 0, 10, 10)), False),
        (mask_of_array(np.tri(20, dtype=bool)), True),
    ],
)
def test_regions_of_one_task_that_overlap(shape: Geometry, shares: bool) -> None:
    expected = [("overlap", "regions[1]")] * shares
    for pair in ((BOX, shape), (shape, BOX)):
        regions = [drawn(n, one) for n, one in enumerate(pair, 1)]
        assert apart("forbidden", *regions) == expected
        assert apart("partition", *regions) == expected
        assert apart("allowed", *regions) == []


def test_overlaps_of_what_does_not_answer_together() -> None:
    assert apart("forbidden", drawn(1, BOX), drawn(2, BOX, Label(task="note", value="x"))) == []
    assert apart("forbidden", drawn(1, BOX), drawn(2, BOX, kind(CAR, state="proposed"))) == []
    assert apart("forbidden", drawn(1, BOX), drawn(2, BOX, state="rejected")) == []
    many = [drawn(n, Box(n, 0, n + 2, 10)) for n in range(1, 6)]
    assert apart("forbidden", *many) == [("overlap", f"regions[{n}]") for n in range(1, 5)]


def test_very_many_shapes_around_each_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Polygon((((0, n, 99, n + 99, 99, n + 99.2),),)) for n in range(0, 60, 2)]
    regions = [drawn(n, shape) for n, shape in enumerate([*lines, lines[-1]], 1)]
    assert apart("forbidden", *regions) == [("overlap", "regions[30]")]
    monkeypatch.setattr(overlap, "_MOST_MEASURED", 10)
    assert apart("forbidden", *regions) == []


def test_the_overlap_of_masks_in_blobs_wants_their_bytes() -> None:
    mask = mask_of_array(np.ones((20, 20), bool))
    stored = Mask(counts=blob_ref(bytes(32)), width=20, height=20)
    regions = (drawn(1, BOX), drawn(2, stored))
    assert apart("forbidden", *regions) == []
    assert apart("forbidden", *regions, load=lambda _: mask.counts) == [("overlap", "regions[1]")]
