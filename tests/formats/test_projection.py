"""What a format keeps of a sample, what is told of the rest, and when two samples say the same."""

from __future__ import annotations

import math
from typing import Any

import pytest

from voyager.formats.base import Holds
from voyager.formats.difference import difference, same_geometry
from voyager.formats.projection import Projection, convert, project
from voyager.formats.report import Report
from voyager.formats.unheld import losses
from voyager.schema import (
    Asset,
    Box,
    Ellipse,
    Group,
    Image,
    Keypoints,
    Label,
    Link,
    Mask,
    Points,
    Polygon,
    Polyline,
    Region,
    RotatedBox,
    Sample,
)
from voyager.schema.vocabulary import CATEGORY, Draft, Vocabulary
from voyager.wire import blob_ref

BOXES = Holds(geometries=frozenset({"box"}))
TRIANGLE = Polygon((((0, 0, 10, 0, 0, 10),),))
RING = Polygon((((0, 0, 9, 0, 9, 9, 0, 9), (2, 2, 4, 2, 4, 4)), ((20, 20, 22, 20, 22, 22),)))

DRAFT = Draft(Vocabulary())
DRAFT.define(CATEGORY)
CAT = DRAFT.category(CATEGORY, "cat")
ARMCHAIR = DRAFT.mint_path(CATEGORY, "furniture/armchair")
DRAFT.define("colour", taxonomy="palette", many=True)
RED, BLUE = DRAFT.category("colour", "red"), DRAFT.category("colour", "blue")
DRAFT.define("caption", kind="text", many=True)


def label(node: bytes = CAT, **fields: Any) -> Label:
    return Label(**{"task": CATEGORY, "node": node, "source": "import", **fields})


def region(shape: Any, *labels: Label, number: int = 1, **fields: Any) -> Region:
    shapes = shape if isinstance(shape, dict) else {shape.name: shape}
    fields.setdefault("source", "import")
    return Region(id=number.to_bytes(16, "big"), geometries=shapes, labels=labels, **fields)


def sample(*regions: Region, **fields: Any) -> Sample:
    fields.setdefault("image", Image(blob=blob_ref(bytes(32)), width=100, height=80))
    return Sample(uid=b"\1" * 16, regions=regions, **fields)


def kept(one: Sample, holds: Holds) -> Sample:
    return project(one, holds, DRAFT, CATEGORY)


def told(one: Sample, holds: Holds) -> dict[str, str]:
    """Kind → class of loss."""
    report = Report()
    losses("k.png", one, holds, DRAFT, CATEGORY, report)
    return {kind: loss for loss, kind, _ in report}


# -- project -------------------------------------------------------------------------------------


def test_what_is_held_says_no_loss() -> None:
    one = sample(region(Box(1, 2, 3, 4), label()), split="train")
    assert told(one, BOXES) == {}
    (found,) = kept(one, BOXES).regions
    assert found.geometries == {"box": Box(1, 2, 3, 4)}
    assert [(said.task, said.value) for said in found.labels] == [(CATEGORY, "cat")]


@pytest.mark.parametrize(
    ("fields", "held", "kind"),
    [
        ({"attrs": {"a": 1}}, {"attrs": True}, "the attributes of a region"),
        ({"flags": ("crowd",)}, {"flags": frozenset({"crowd"})}, "the flag 'crowd'"),
        ({"score": 0.5}, {"scores": True}, "the score of a region"),
        ({"state": "verified"}, {"states": True}, "that a region is verified"),
        ({"track": "1"}, {"tracks": True}, "the track of a region"),
        ({"source": "human:anna"}, {"sources": True}, "the name of who drew a region"),
        ({"extra": {"a": 1}}, {"extra": True}, "fields of a region kept from another source"),
        (
            {"links": (Link(uid=b"\1" * 16, region=b"\2" * 16, kind="on"),)},
            {"links": True},
            "the links of a region",
        ),
    ],
)
def test_fields_of_regions(fields: dict[str, Any], held: dict[str, Any], kind: str) -> None:
    (name,) = fields
    one = sample(region(Box(1, 2, 3, 4), label(), **fields))
    holding = Holds(geometries=frozenset({"box"}), **held)
    assert told(one, BOXES) == {kind: "lost"}
    assert told(one, holding) == {}
    assert getattr(kept(one, holding).regions[0], name) == fields[name]
    plain = getattr(kept(sample(region(Box(1, 2, 3, 4), label())), BOXES).regions[0], name)
    assert getattr(kept(one, BOXES).regions[0], name) == plain


@pytest.mark.parametrize(
    ("fields", "held", "kind"),
    [
        ({"meta": {"a": 1}}, {"meta": True}, "the meta fields of an image"),
        ({"group": Group(id="g")}, {"group": True}, "the group of an image"),
        ({"extra": {"a": 1}}, {"extra": True}, "fields of an image kept from another source"),
        (
            {"negatives": {CATEGORY: (CAT,)}},
            {"negatives": True},
            "what is verified not to be in an image",
        ),
        (
            {"coverage": {CATEGORY: "exhaustive"}},
            {"coverage": True},
            "how completely an image is labeled",
        ),
        (
            {"assets": {"d": Asset(blob=blob_ref(bytes(32)), bytes=1)}},
            {"whole": True},
            "the other files of a sample",
        ),
    ],
)
def test_fields_of_samples(fields: dict[str, Any], held: dict[str, Any], kind: str) -> None:
    (name,) = fields
    one = sample(**fields)
    assert told(one, BOXES) == {kind: "lost"}
    assert not getattr(kept(one, BOXES), name)
    assert told(one, Holds(geometries=frozenset({"box"}), **held)) == {}
    assert getattr(kept(one, Holds(**held)), name)


def test_split_that_is_not_held() -> None:
    one = sample(split="train")
    assert told(one, Holds(split=False)) == {"the split of an image": "lost"}
    assert kept(one, Holds(split=False)).split is None


def test_geometries_that_are_not_held_are_lost_or_converted() -> None:
    one = sample(region(TRIANGLE, label()))
    assert told(one, BOXES) == {"a region (polygon)": "lost"}
    assert kept(one, BOXES).regions == ()
    converting = Holds(geometries=frozenset({"box"}), converts={"polygon": "box"})
    assert told(one, converting) == {"polygon became box": "approximated"}
    assert kept(one, converting).regions[0].geometries == {"box": Box(0, 0, 10, 10)}


def test_the_held_geometry_of_several_is_kept() -> None:
    both = {"seen": TRIANGLE, "frame": Box(0, 0, 90, 90)}
    one = sample(region(both, label(), primary="seen"))
    assert kept(one, BOXES).regions[0].geometries == {"box": Box(0, 0, 90, 90)}
    assert told(one, BOXES) == {"a second geometry of a region (polygon)": "lost"}


def test_a_box_that_follows_from_the_polygon_is_no_loss() -> None:
    holds = Holds(geometries=frozenset({"box", "polygon"}), several=True)
    same = sample(region({"polygon": TRIANGLE, "box": Box(0, 0, 10, 10)}, primary="polygon"))
    assert list(kept(same, holds).regions[0].geometries) == ["polygon"]
    other = sample(region({"polygon": TRIANGLE, "box": Box(0, 0, 11, 10)}, primary="polygon"))
    assert list(kept(other, holds).regions[0].geometries) == ["polygon", "box"]
    alone = Holds(geometries=frozenset({"box", "polygon"}))
    assert told(same, alone) == {}
    assert told(other, alone) == {"a second geometry of a region (box)": "lost"}


def test_parts_and_holes() -> None:
    one = sample(region(RING, label()))
    plain = Holds(geometries=frozenset({"polygon"}))
    assert told(one, plain) == {
        "a polygon of several parts": "approximated",
        "a polygon with holes": "approximated",
    }
    assert kept(one, plain).regions[0].geometry == Polygon((((0, 0, 9, 0, 9, 9, 0, 9),),))
    assert told(one, Holds(geometries=frozenset({"polygon"}), parts=True, holes=True)) == {}


def test_rejected_regions_are_no_loss_and_regions_without_class_may_be() -> None:
    one = sample(region(Box(0, 0, 1, 1), label(), state="rejected"))
    assert told(one, BOXES) == {}
    assert kept(one, BOXES).regions == ()
    bare = sample(region(Box(0, 0, 1, 1)))
    strict = Holds(geometries=frozenset({"box"}), unlabeled=False)
    assert told(bare, strict) == {"a region without a class": "lost"}
    assert kept(bare, strict).regions == ()
    assert len(kept(bare, BOXES).regions) == 1


def test_labels_of_other_tasks() -> None:
    said = (label(), label(RED, task="colour"), label(BLUE, task="colour"))
    one = sample(region(Box(0, 0, 1, 1), *said))
    assert told(one, BOXES) == {"a label of task 'colour'": "lost"}
    as_attrs = Holds(geometries=frozenset({"box"}), attrs=True, other_tasks=True)
    assert told(one, as_attrs) == {}
    assert kept(one, as_attrs).regions[0].attrs == {"colour": "red|blue"}
    as_labels = Holds(geometries=frozenset({"box"}), tasks=True, region_labels="many")
    assert told(one, as_labels) == {}
    assert len(kept(one, as_labels).regions[0].labels) == 3


def test_one_label_of_an_image() -> None:
    DRAFT.put_task("scene", DRAFT.tasks[CATEGORY].replace(many=True))
    one = sample(labels=(label(task="scene"), label(ARMCHAIR, task="scene")))
    report = Report()
    losses("k", one, Holds(image_labels="one"), DRAFT, "scene", report)
    assert [(loss, kind) for loss, kind, _ in report] == [
        ("approximated", "a class without the ones above it"),
        ("approximated", "one of several classes was kept"),
    ]
    found = project(one, Holds(image_labels="one"), DRAFT, "scene")
    assert [said.value for said in found.labels] == ["cat"]


def test_voices_of_labels() -> None:
    loud = label(score=0.5, state="verified", source="human:anna")
    one = sample(region(Box(0, 0, 1, 1), loud))
    assert sorted(told(one, BOXES)) == [
        "that a label is verified",
        "the name of who labeled",
        "the score of a label",
    ]
    scored = Holds(geometries=frozenset({"box"}), scores=True)
    assert kept(one, scored).regions[0].score == 0.5
    proposed = sample(region(Box(0, 0, 1, 1), label(state="proposed")))
    assert list(told(proposed, BOXES)) == [
        "a label that answers nothing (proposed, a tie, outvoted)"
    ]


def test_texts() -> None:
    one = sample(labels=(Label(task="caption", value="A cat", source="import"),))
    assert told(one, BOXES) == {"a label of task 'caption'": "lost"}
    assert told(one, Holds(texts=True)) == {}
    assert [said.value for said in kept(one, Holds(texts=True)).labels] == ["A cat"]


def test_a_nested_class_is_told_once() -> None:
    one = sample(*(region(Box(0, 0, n, 1), label(ARMCHAIR), number=n + 1) for n in range(3)))
    report = Report()
    losses("k", one, BOXES, DRAFT, CATEGORY, report)
    ((loss, kind, entry),) = report
    assert (loss, kind) == ("approximated", "a class without the ones above it")
    assert (entry.count, entry.examples) == (1, ["furniture/armchair"])
    assert kept(one, BOXES).regions[0].labels[0].value == "armchair"
    tree = Holds(geometries=frozenset({"box"}), tree=True)
    assert kept(one, tree).regions[0].labels[0].value == "furniture/armchair"


def test_images_that_have_no_place() -> None:
    pending = sample(image=Image(uri="https://example.org/a.png"))
    assert told(pending, Holds(pending=False)) == {"an image that is not here": "lost"}
    assert not Projection(Holds(pending=False), DRAFT, CATEGORY).keeps(pending)
    assert told(sample(), Holds(empty=False)) == {"an image without labels": "lost"}
    assert not Projection(Holds(empty=False), DRAFT, CATEGORY).keeps(sample())


def test_large_masks_stand_in_the_projection() -> None:
    mask = Mask(2, 2, blob_ref(bytes(32)))
    holds = Holds(geometries=frozenset({"mask"}))
    found = project(sample(region(mask)), holds, DRAFT, CATEGORY, load=lambda _: b"04")
    assert found.regions[0].geometry == Mask(2, 2, b"04")


def test_conversions() -> None:
    one = sample()
    assert convert(Points((1, 2, 3, 5)), "box", one) == Box(1, 2, 3, 5)
    assert convert(Box(0, 0, 2, 2), "polygon", one) == Polygon((((0, 0, 2, 0, 2, 2, 0, 2),),))
    assert isinstance(convert(Ellipse(9, 9, 4, 2, 0), "polygon", one), Polygon)
    assert isinstance(convert(Box(0, 0, 2, 2), "mask", one), Mask)
    assert convert(Polyline(()), "box", one) is None


# -- difference ----------------------------------------------------------------------------------


def test_order_ids_and_origins_are_no_difference() -> None:
    a, b = region(Box(0, 0, 1, 1), number=1), region(TRIANGLE, number=2)
    assert difference(sample(a, b), sample(b, a.replace(id=b"\7" * 16))) is None


def test_every_region_counts_once() -> None:
    box = region(Box(0, 0, 1, 1))
    words = difference(sample(box, box.replace(id=b"\7" * 16)), sample(box))
    assert words is not None
    assert words.startswith("2 regions are not 1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"flags": ("crowd",)}, "flags: () is not ('crowd',)"),
        ({"attrs": {"a": 1}}, "attrs: {} is not {'a': 1}"),
        ({"score": 0.5}, "score: None is not 0.5"),
        ({"labels": (label(),)}, "labels: [] are not"),
        ({"track": "2"}, "track: None is not '2'"),
    ],
)
def test_the_difference_is_named(change: dict[str, Any], words: str) -> None:
    box = region(Box(0, 0, 1, 1))
    found = difference(sample(box), sample(box.replace(**change)))
    assert found is not None
    assert words in found


def test_differences_of_samples() -> None:
    assert difference(sample(split="val"), sample()) == "split: 'val' is not None"
    assert difference(sample(meta={"a": 1}), sample(meta={"a": 1})) is None


def test_the_quantum() -> None:
    assert same_geometry(Box(0, 0, 1, 1), Box(0, 0, 1, 1.4), 0.5)
    assert not same_geometry(Box(0, 0, 1, 1), Box(0, 0, 1, 1.6), 0.5)
    assert not same_geometry(Box(0, 0, 1, 1), TRIANGLE, 99)
    assert not same_geometry(Polygon((((0, 0, 1, 1),),)), Polygon((((0, 0, 1, 1, 2, 2),),)), 99)


def test_turned_shapes() -> None:
    upright = RotatedBox(5, 5, 4, 2, 0.25)
    assert same_geometry(upright, RotatedBox(5, 5, 2, 4, 0.25 - math.pi / 2))
    assert same_geometry(Ellipse(5, 5, 4, 2, 0.25), Ellipse(5, 5, 2, 4, 0.25 + math.pi / 2))
    assert not same_geometry(upright, RotatedBox(5, 5, 4, 2, -0.25))


def test_masks_are_their_pixels() -> None:
    assert same_geometry(Mask(2, 2, b"1021"), Mask(2, 2, b"31"))
    assert not same_geometry(Mask(2, 2, b"31"), Mask(2, 2, b"22"))
    assert not same_geometry(Mask(2, 2, b"31"), Mask(1, 4, b"31"))


def test_hidden_points_differ_from_seen_ones() -> None:
    assert not same_geometry(Keypoints((1, 1), (1,)), Keypoints((1, 1), (2,)), 9)


def test_links_lead_to_the_equal_region() -> None:
    uid = b"\1" * 16

    def pair(*, crossed: bool) -> Sample:
        one, other = region(Box(0, 0, 1, 1), number=3), region(TRIANGLE, number=4)
        target = one if crossed else other
        link = Link(uid=uid, region=target.id, kind="on")
        return sample(one.replace(links=(link,)), other)

    assert difference(pair(crossed=False), pair(crossed=False)) is None
    found = difference(pair(crossed=False), pair(crossed=True))
    assert found is not None
    assert "links" in found
