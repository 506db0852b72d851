"""What differs between two versions in facts: every word, against a model, and laws."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from schema_strategies import samples

from voyager.commands.changes import detail_lines, sample_lines, word_lines
from voyager.commands.context import Context
from voyager.commands.fact_json import fact_json
from voyager.commands.stat_text import stat_lines, summary_text
from voyager.errors import UsageError
from voyager.repo.class_facts import class_facts
from voyager.repo.dataset import Dataset
from voyager.repo.diff import RowPair
from voyager.repo.fact_filter import (
    Sources,
    Wanted,
    classes_named,
    parse_kinds,
    parse_scopes,
)
from voyager.repo.label_diff import label_diff, row_diff, terms_of
from voyager.repo.label_facts import KINDS, Fact, SampleDiff, Terms
from voyager.repo.label_stat import stat_of
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.schema import (
    Asset,
    Box,
    Group,
    Held,
    Image,
    Keypoints,
    Label,
    Link,
    Mask,
    Origin,
    Polygon,
    Region,
    RotatedBox,
    Sample,
    encode_sample,
)
from voyager.schema.rle import mask_of_array, mask_of_runs
from voyager.schema.similarity import similarity
from voyager.schema.task import Skeleton, Task
from voyager.schema.taxonomy_verbs import move
from voyager.schema.transform import turned
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.wire import blob_ref

DRAFT = Draft(Vocabulary())
DRAFT.define("category", scope="region")
DRAFT.define("color", taxonomy="palette", many=True)
DRAFT.define("caption", kind="text")
DRAFT.define(
    "pose",
    taxonomy="category",
    skeleton=Skeleton(names=("a", "b"), sigmas=(0.1, 0.1)),
)
PATHS = ("person", "animal", "animal/dog", "animal/dog/poodle", "animal/cat", "chair")
NODES = {path: DRAFT.mint_path("category", path) for path in PATHS}
COLORS = {name: DRAFT.mint_path("palette", name) for name in ("red", "blue", "red/dark")}
TERMS = Terms(DRAFT, DRAFT)

IMAGE = Image(blob=blob_ref(bytes(32)), bytes=1500, width=1000, height=800, type="png")
BASE = Sample(uid=bytes(16), image=IMAGE, split="train")


def said(path: str, **fields: Any) -> Label:
    return Label(task="category", node=NODES[path], **fields)


def color(name: str, **fields: Any) -> Label:
    return Label(task="color", node=COLORS[name], **fields)


def box_at(cell: int, shift: float = 0.0, side: float = 40.0) -> Box:
    """A box in a cell of its own, so that two of different cells never meet."""
    x, y = 10.0 + 100 * (cell % 9) + shift, 10.0 + 100 * (cell // 9) + shift
    return Box(x, y, x + side, y + side)


def region(cell: int, path: str | None = "chair", shape: Any = None, **fields: Any) -> Region:
    labels = fields.pop("labels", () if path is None else (said(path),))
    shape = shape or box_at(cell)
    geometries = fields.pop("geometries", {shape.name: shape})
    number = fields.pop("id", (cell + 1).to_bytes(16))
    return Region(id=number, geometries=geometries, labels=labels, **fields)


def diff_of(old: Sample | None, new: Sample | None, terms: Terms = TERMS) -> SampleDiff | None:
    """The diff of two samples by their rows, which is that of the values."""
    rows = [None if side is None else encode_sample(side) for side in (old, new)]
    found = list(row_diff([RowPair(SAMPLES, "k", None, *rows)], terms))
    by_value = list(row_diff([RowPair(SAMPLES, "k", None, old, new)], terms))
    assert [plain(fact, terms) for one in found for fact in one] == [
        plain(fact, terms) for one in by_value for fact in one
    ]
    return found[0] if found else None


def plain(fact: Fact, terms: Terms) -> dict[str, Any]:
    return fact_json(fact, terms)


def facts_of(old: Sample, new: Sample) -> list[Fact]:
    found = diff_of(old, new)
    return [] if found is None else list(found)


def with_regions(*regions: Region) -> Sample:
    return BASE.replace(regions=regions)


def lines_of(found: SampleDiff | None) -> list[str]:
    assert found is not None
    return list(sample_lines(Context(), found, TERMS))


def mask_at(x: int, y: int, width: int = 30, height: int = 20) -> Mask:
    runs = [800 * x + y]
    for column in range(width):
        runs += [height, 800 - height if column < width - 1 else 800 - height - y]
    runs.append(800 * (1000 - x - width)) if x + width < 1000 else None
    runs[-2:] = [sum(runs[-2:])]
    return mask_of_runs(runs, 800, 1000)


def shape_pair(a: Any, b: Any) -> tuple[Sample, Sample]:
    return with_regions(region(0, shape=a)), with_regions(region(0, shape=b))


def of_region(**fields: Any) -> tuple[Sample, Sample]:
    return with_regions(region(0)), with_regions(region(0).replace(**fields))


def of_labels(old: tuple[Label, ...], new: tuple[Label, ...]) -> tuple[Sample, Sample]:
    return BASE.replace(labels=old), BASE.replace(labels=new)


SQUARE = Polygon((((10, 10, 50, 10, 50, 50, 10, 50),),))
NOTCHED = Polygon((((10, 10, 50, 10, 50, 50, 30, 48, 10, 50),),))
DOTS = Keypoints((100, 100, 200, 200), (2, 2))
TWO = Box(10, 10, 110, 60)
LEFT, RIGHT = Box(10, 10, 59, 60), Box(61, 10, 110, 60)
TURN = [Box(10, 10, 60, 40), Box(200, 300, 240, 420), Box(500, 50, 530, 90)]
NEW = (99).to_bytes(16)

EXAMPLES: dict[tuple[str, str], tuple[tuple[Sample | None, Sample | None], str]] = {
    ("sample", "added"): (
        (None, with_regions(region(0))),
        "added    k (1000×800 png, 1.50 kB, train, 1 region)",
    ),
    ("sample", "removed"): (
        (BASE, None),
        "removed  k (1000×800 png, 1.50 kB, train)",
    ),
    ("sample", "re-split"): (
        (BASE, BASE.replace(split="val")),
        "changed  k: split train → val",
    ),
    ("sample", "replaced"): (
        (BASE, BASE.replace(image=IMAGE.replace(blob=blob_ref(bytes([1] * 32))))),
        "changed  k: image replaced (1000×800 png, 1.50 kB → 1000×800 png, 1.50 kB)",
    ),
    ("sample", "attached"): (
        (BASE.replace(image=Image(uri="http://x")), BASE),
        "changed  k: image attached (1000×800 png, 1.50 kB)",
    ),
    ("sample", "purged"): (
        (BASE, BASE.replace(image=Image(purged=True))),
        "changed  k: image purged (1000×800 png, 1.50 kB)",
    ),
    ("sample", "image"): (
        (BASE, BASE.replace(image=IMAGE.replace(orientation=6))),
        "changed  k: image described anew (1000×800 png, 1.50 kB → 1000×800 png, 1.50 kB)",
    ),
    ("sample", "transformed"): (
        (
            with_regions(*[region(n, shape=box) for n, box in enumerate(TURN)]),
            with_regions(
                *[region(n, shape=turned(box, "rot180", 1000, 800)) for n, box in enumerate(TURN)]
            ),
        ),
        "changed  k: regions turned by 180°, as the whole image",
    ),
    ("sample", "group"): (
        (BASE.replace(group=Group(id="a")), BASE.replace(group=Group(id="b"))),
        "changed  k: group a → b",
    ),
    ("sample", "asset"): (
        (BASE, BASE.replace(assets={"depth": Asset(blob=blob_ref(bytes(32)), bytes=3)})),
        "changed  k: asset depth added",
    ),
    ("sample", "held"): (
        (
            BASE,
            BASE.replace(held=Held(uid=bytes(16), kind="near", distance=0.1, method="phash")),
        ),
        "changed  k: held back",
    ),
    ("sample", "details"): (
        (BASE, BASE.replace(extra={"a": 1})),
        "changed  k: details changed",
    ),
    ("region", "added"): (
        (BASE, with_regions(region(0, "person", source="model:m", score=0.5))),
        "  + #1 00000000 person (box, model:m, score 0.5)",
    ),
    ("region", "removed"): (
        (with_regions(region(0, "person")), BASE),
        "  - #1 00000000 person (box)",
    ),
    ("region", "moved"): (
        shape_pair(Box(0, 0, 100, 100), Box(10, 0, 110, 100)),
        "  ~ #1 00000000 chair: box moved (IoU 0.82)",
    ),
    ("region", "redrawn"): (
        shape_pair(SQUARE, NOTCHED),
        "  ~ #1 00000000 chair: polygon redrawn (IoU 0.97)",
    ),
    ("region", "retyped"): (
        shape_pair(Box(10, 10, 50, 50), SQUARE),
        "  ~ #1 00000000 chair: box → polygon (IoU 1.00)",
    ),
    ("region", "gained"): (
        of_region(geometries={"box": box_at(0), "keypoints": DOTS}, primary="box"),
        "  ~ #1 00000000 chair: keypoints added to it",
    ),
    ("region", "lost"): (
        of_region(geometries={"box": box_at(0), "keypoints": DOTS}, primary="box")[::-1],
        "  ~ #1 00000000 chair: keypoints taken from it",
    ),
    ("region", "divided"): (
        (
            with_regions(region(0, shape=TWO)),
            with_regions(region(1, shape=LEFT), region(2, shape=RIGHT)),
        ),
        "  - #1 00000000 chair: divided into 00000000 and 00000000",
    ),
    ("region", "joined"): (
        (
            with_regions(region(1, shape=LEFT), region(2, shape=RIGHT)),
            with_regions(region(0, shape=TWO)),
        ),
        "  + #1 00000000 chair: joined from 00000000 and 00000000",
    ),
    ("region", "proposed"): (
        of_region(state="proposed"),
        "  ~ #1 00000000 chair: accepted → proposed",
    ),
    ("region", "accepted"): (
        of_region(state="proposed")[::-1],
        "  ~ #1 00000000 chair: proposed → accepted",
    ),
    ("region", "verified"): (
        of_region(state="verified"),
        "  ~ #1 00000000 chair: accepted → verified",
    ),
    ("region", "rejected"): (
        of_region(state="rejected"),
        "  ~ #1 00000000 chair: accepted → rejected",
    ),
    ("region", "rescored"): (
        of_region(score=0.5),
        "  ~ #1 00000000 chair: score none → 0.5",
    ),
    ("region", "flags"): (
        of_region(flags=("difficult", "crowd")),
        "  ~ #1 00000000 chair: flags +crowd +difficult",
    ),
    ("region", "attrs"): (
        of_region(attrs={"pose": "left side", "n": 2.5}),
        '  ~ #1 00000000 chair: n none → 2.5, pose none → "left side"',
    ),
    ("region", "track"): (
        of_region(track="7"),
        "  ~ #1 00000000 chair: track none → 7",
    ),
    ("region", "frame"): (
        of_region(frame_state="keyframe"),
        "  ~ #1 00000000 chair: frame none → keyframe",
    ),
    ("region", "links"): (
        of_region(links=(Link(uid=bytes(16), region=NEW, kind="same"),)),
        "  ~ #1 00000000 chair: linked to 00000000 as same",
    ),
    ("region", "source"): (
        of_region(source="model:m"),
        "  ~ #1 00000000 chair: source human → model:m",
    ),
    ("region", "details"): (
        of_region(extra={"a": 1}),
        "  ~ #1 00000000 chair: details changed",
    ),
    ("label", "added"): (
        of_labels((), (color("red", score=0.25, state="proposed", source="model:m"),)),
        "changed  k: color red added, model:m, score 0.25, proposed",
    ),
    ("label", "removed"): (
        of_labels((color("red"), color("blue")), (color("blue"),)),
        "changed  k: color red removed",
    ),
    ("label", "changed"): (
        of_region(labels=(said("person"),)),
        "  ~ #1 00000000 person: category chair → person",
    ),
    ("label", "refined"): (
        of_labels((said("animal"),), (said("animal/dog/poodle"),)),
        "changed  k: category animal → animal/dog/poodle (refined)",
    ),
    ("label", "coarsened"): (
        of_labels((said("animal/cat", source="model:m"),), (said("animal", source="model:m"),)),
        "changed  k: category animal/cat → animal (coarsened), model:m",
    ),
    ("label", "rescored"): (
        of_labels((said("chair", score=0.5),), (said("chair", score=0.75),)),
        "changed  k: category chair score 0.5 → 0.75",
    ),
    ("label", "proposed"): (
        of_labels((said("chair"),), (said("chair", state="proposed"),)),
        "changed  k: category chair accepted → proposed",
    ),
    ("label", "accepted"): (
        of_labels((said("chair", state="proposed"),), (said("chair"),)),
        "changed  k: category chair proposed → accepted",
    ),
    ("label", "verified"): (
        of_labels((said("chair"),), (said("chair", state="verified"),)),
        "changed  k: category chair accepted → verified",
    ),
    ("label", "rejected"): (
        of_labels((said("chair"),), (said("chair", state="rejected"),)),
        "changed  k: category chair accepted → rejected",
    ),
    ("label", "negative-added"): (
        (BASE, BASE.replace(negatives={"category": (NODES["person"],)})),
        "changed  k: category person verified not there",
    ),
    ("label", "negative-removed"): (
        (BASE.replace(negatives={"category": (NODES["person"],)}), BASE),
        "changed  k: category person no longer verified not there",
    ),
    ("label", "details"): (
        of_labels(
            (Label(task="caption", value="a", ordinal=0),),
            (Label(task="caption", value="b", ordinal=1),),
        ),
        "changed  k: caption a → b; caption b: details changed",
    ),
    ("coverage", "raised"): (
        (BASE, BASE.replace(coverage={"category": "exhaustive"})),
        "changed  k: coverage of category unknown → exhaustive",
    ),
    ("coverage", "lowered"): (
        (
            BASE.replace(coverage={f"category:{NODES['person'].hex()}": "exhaustive"}),
            BASE.replace(coverage={f"category:{NODES['person'].hex()}": "partial"}),
        ),
        "changed  k: coverage of category person exhaustive → partial",
    ),
    ("meta", "added"): ((BASE, BASE.replace(meta={"price": 3})), "changed  k: price = 3"),
    ("meta", "removed"): (
        (BASE.replace(meta={"price": 3}), BASE),
        "changed  k: price removed (was 3)",
    ),
    ("meta", "changed"): (
        (BASE.replace(meta={"price": 3}), BASE.replace(meta={"price": 3.5})),
        "changed  k: price 3 → 3.5",
    ),
}


@pytest.mark.parametrize("word", EXAMPLES, ids=" ".join)
def test_words(word: tuple[str, str]) -> None:
    (old, new), line = EXAMPLES[word]
    found = diff_of(old, new)
    assert found is not None
    assert word in [(fact.scope, fact.kind) for fact in found]
    shown = lines_of(found)
    assert line in shown
    assert len(shown) <= 2
    assert stat_of([found], TERMS).summary()[word[0]][word[1]] == 1
    assert summary_text(stat_of([found], TERMS))


def test_every_word_has_an_example() -> None:
    elsewhere = {("sample", "renamed"), ("sample", "re-encoded")}
    of_samples = {
        (scope, kind)
        for scope in ("sample", "region", "label", "coverage", "meta")
        for kind in KINDS[scope]  # type: ignore[index]
    }
    assert of_samples - set(EXAMPLES) == elsewhere


def test_every_word_is_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "diff.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines()[8:]]
    told: set[tuple[str, str]] = set()
    scope = ""
    for row in rows:
        if len(row) == 2 and not row[0].startswith("-"):
            scope = row[0] or scope
            told |= {(scope, kind.strip()) for kind in row[1].split(",")}
    assert told == {(scope, kind) for scope, kinds in KINDS.items() for kind in kinds}


# -- laws -----------------------------------------------------------------------------------------


@given(samples)
@settings(max_examples=80, deadline=None)
def test_what_is_equal_does_not_differ(sample: Sample) -> None:
    assert diff_of(sample, sample) is None
    unlike_in_name = sample.replace(
        origin=Origin(id=7),
        regions=tuple(
            one.replace(origin=Origin(id="x"), id=place.to_bytes(16))
            for place, one in enumerate(sample.regions[::-1], 1)
        ),
    )
    assert facts_of(sample, unlike_in_name) == []


@given(samples, samples)
@examples(20, deep=400)
def test_whatever_differs_can_be_told(old: Sample, new: Sample) -> None:
    found = diff_of(old, new)
    if found is None:
        return
    for fact in found:
        assert fact.kind in KINDS[fact.scope]
        assert fact.key == "k"
        assert {"scope", "kind", "before", "after"} <= plain(fact, TERMS).keys()
    for line in (*lines_of(found), *detail_lines(Context(), found, TERMS)):
        assert not {"\n", "\r", "\t", "\x1b"} & set(line)
    stat = stat_of([found], TERMS)
    assert sum(map(sum, (counts.values() for counts in stat.summary().values()))) == len(
        list(found)
    )
    assert "\n" not in "".join((summary_text(stat), *stat_lines(stat)))
    back = diff_of(new, old)
    assert back is not None


@st.composite
def edited(draw: st.DrawFn) -> tuple[Sample, Sample, Counter[tuple[str, str]]]:
    """A sample, an edit of it, and the facts that a small model expects of the edit."""
    count = draw(st.integers(0, 8))
    paths = [draw(st.sampled_from(PATHS)) for _ in range(count)]
    old = [region(cell, path, score=0.5) for cell, path in enumerate(paths)]
    new: list[Region] = []
    expected: Counter[tuple[str, str]] = Counter()
    for cell, (one, path) in enumerate(zip(old, paths, strict=True)):
        if draw(st.integers(0, 5)) == 0:
            expected["region", "removed"] += 1
            continue
        after = one
        shift = draw(st.sampled_from([0.0, 0.0, 3.0 + cell, 20.0 + cell]))
        if shift:
            after = after.replace(geometries={"box": box_at(cell, shift)})
            expected["region", "moved"] += 1
        to = draw(st.sampled_from([path, path, *PATHS]))
        if to != path:
            after = after.replace(labels=(said(to),))
            kind = (
                "refined"
                if to.startswith(f"{path}/")
                else "coarsened"
                if path.startswith(f"{to}/")
                else "changed"
            )
            expected["label", kind] += 1
        for fields, kind in (
            ({"state": "verified"}, "verified"),
            ({"score": 0.75}, "rescored"),
            ({"flags": ("crowd",)}, "flags"),
            ({"attrs": {"a": 1}}, "attrs"),
            ({"track": "1"}, "track"),
        ):
            if draw(st.integers(0, 4)) == 0:
                after = after.replace(**fields)
                expected["region", kind] += 1
        new.append(after)
    for number in range(draw(st.integers(0, 3))):
        new.append(region(20 + number, draw(st.sampled_from(PATHS))))
        expected["region", "added"] += 1
    new = draw(st.permutations(new))
    split = draw(st.sampled_from(["train", "val"]))
    expected["sample", "re-split"] += split != "train"
    after_sample = BASE.replace(regions=tuple(new), split=split)
    return with_regions(*old), after_sample, +expected


@given(edited())
@settings(max_examples=150, deadline=None)
def test_edits_are_the_facts_of_a_model(
    case: tuple[Sample, Sample, Counter[tuple[str, str]]],
) -> None:
    old, new, expected = case
    found = diff_of(old, new)
    facts = [] if found is None else list(found)
    assert Counter((fact.scope, fact.kind) for fact in facts) == expected
    if found is None:
        return
    signs = Counter(line.lstrip()[0] for line in lines_of(found)[1:])
    assert signs["+"] == expected["region", "added"]
    assert signs["-"] == expected["region", "removed"]
    stat = stat_of([found], TERMS)
    columns = Counter[str]()
    for counts in stat.classes.values():
        columns += counts
    for kind in ("added", "removed", "moved"):
        assert columns[kind] == expected["region", kind]
    relabeled = sum(expected["label", kind] for kind in ("changed", "refined", "coarsened"))
    assert columns["in"] == columns["out"] == relabeled


# -- regions --------------------------------------------------------------------------------------


def kinds_of(old: Sample, new: Sample) -> list[str]:
    return [fact.kind for fact in facts_of(old, new)]


def test_moved_far_as_it_is_and_drawn_elsewhere_anew() -> None:
    assert kinds_of(*shape_pair(Box(0, 0, 30, 20), Box(500, 500, 530, 520))) == ["moved"]
    assert kinds_of(*shape_pair(Box(0, 0, 30, 20), Box(500, 500, 700, 520))) == ["redrawn"]
    far = Polygon((((410, 10, 450, 10, 450, 50, 410, 50),),))
    assert kinds_of(*shape_pair(SQUARE, far)) == ["moved"]
    (fact,) = facts_of(*shape_pair(SQUARE, far))
    assert fact.similarity == 0.0


def test_what_moved_less_than_one_can_point() -> None:
    (line,) = lines_of(diff_of(*shape_pair(Box(0, 0, 30, 20), Box(1, 0, 31, 20))))[1:]
    assert line.endswith("box moved (within 1.5 px)")


def test_masks_move_as_they_are_or_are_redrawn() -> None:
    assert kinds_of(*shape_pair(mask_at(10, 10), mask_at(14, 12))) == ["moved"]
    (fact,) = facts_of(*shape_pair(mask_at(10, 10), mask_at(10, 10, width=31)))
    assert fact.kind == "redrawn"
    assert fact.similarity is not None
    assert math.isclose(fact.similarity, 30 / 31)
    away = mask_at(10, 10).replace(counts=blob_ref(bytes(32)))
    (fact,) = facts_of(*shape_pair(mask_at(10, 10), away))
    assert (fact.kind, fact.similarity) == ("redrawn", None)
    assert lines_of(diff_of(*shape_pair(mask_at(10, 10), away)))[1].endswith("mask redrawn")


def test_keypoints_are_compared_with_the_sigmas_of_their_task() -> None:
    moved = Keypoints((110, 100, 200, 200), (2, 2))
    scores = []
    for task in ("pose", "category"):
        label = Label(task=task, node=NODES["person"])
        old = with_regions(region(0, shape=DOTS, labels=(label,)))
        (fact,) = facts_of(old, with_regions(region(0, shape=moved, labels=(label,))))
        assert fact.kind == "moved"
        scores.append(fact.similarity)
    assert scores[0] != scores[1]
    assert "(OKS " in lines_of(diff_of(old, with_regions(region(0, shape=moved))))[1]


def test_secondary_geometries_by_their_roles() -> None:
    old = region(0, geometries={"box": box_at(0), "amodal": Box(0, 0, 99, 99)}, primary="box")
    new = old.replace(geometries={"box": box_at(0), "amodal": Box(9, 0, 108, 99)})
    (fact,) = facts_of(with_regions(old), with_regions(new))
    assert (fact.kind, fact.name) == ("moved", "amodal")
    assert "amodal box moved" in lines_of(diff_of(with_regions(old), with_regions(new)))[1]
    swapped = old.replace(primary="amodal")
    assert kinds_of(with_regions(old), with_regions(swapped)) == ["redrawn"]
    turned_box = RotatedBox(30, 30, 40, 40, 0.0)
    assert kinds_of(*shape_pair(box_at(0), turned_box)) == ["retyped"]


def test_a_region_appears_once_with_all_that_is_different() -> None:
    old = region(0, score=0.5)
    new = region(0, "person", shape=box_at(0, 4.0), flags=("crowd",), score=0.75)
    found = diff_of(with_regions(old), with_regions(new))
    assert lines_of(found)[1:] == [
        "  ~ #1 00000000 person: box moved (IoU 0.68); category chair → person; "
        "score 0.5 → 0.75; flags +crowd"
    ]


def test_a_new_id_in_the_same_place() -> None:
    old, new = with_regions(region(0)), with_regions(region(0, id=NEW))
    assert facts_of(old, new) == []
    near = with_regions(region(0, shape=box_at(0, 3.0), id=NEW))
    (fact,) = facts_of(old, near)
    assert (fact.kind, fact.region, fact.old_region) == ("moved", NEW, old.regions[0].id)
    assert plain(fact, TERMS)["old_region"] == old.regions[0].id.hex()
    pairs = [RowPair(SAMPLES, "k", None, old, near)]
    apart = [fact.kind for one in row_diff(pairs, TERMS, by_place=False) for fact in one]
    assert sorted(apart) == ["added", "removed"]
    person = with_regions(region(0, "person", shape=box_at(0, 3.0), id=NEW))
    assert sorted(kinds_of(old, person)) == ["added", "removed"]


def test_one_turn_of_the_image_is_one_line() -> None:
    old = [region(n, shape=box) for n, box in enumerate([*TURN, *TURN[:2]])]
    for turn in ("rot90", "mirror", "transverse"):
        new = [
            one.replace(geometries={"box": turned(one.geometries["box"], turn, 1000, 800)})
            for one in old
        ]
        (fact,) = facts_of(with_regions(*old), with_regions(*new))
        assert (fact.scope, fact.kind, fact.after) == ("sample", "transformed", turn)
    new[0] = new[0].replace(geometries={"box": Box(1, 1, 9, 9)})
    assert kinds_of(with_regions(*old), with_regions(*new)) == ["transformed", "redrawn"]
    new[1] = new[1].replace(geometries={"box": Box(1, 1, 9, 9)})
    assert "transformed" not in kinds_of(with_regions(*old), with_regions(*new))


def test_a_cell_that_was_divided_is_not_moved() -> None:
    old = with_regions(region(0, shape=TWO), region(5))
    new = with_regions(region(1, shape=LEFT), region(2, shape=RIGHT), region(5))
    found = diff_of(old, new)
    assert found is not None
    ((fact,),) = (one.facts for one in found.regions)
    assert (fact.kind, fact.region) == ("divided", old.regions[0].id)
    assert plain(fact, TERMS)["after"] == [one.id.hex() for one in new.regions[:2]]


# -- labels ---------------------------------------------------------------------------------------


def test_sources_speak_for_themselves() -> None:
    old = (said("chair"), said("person", source="model:a"))
    new = (said("chair"), said("chair", source="model:a"), said("chair", source="model:b"))
    (changed, added) = facts_of(*of_labels(old, new))
    assert (changed.kind, changed.source) == ("changed", "model:a")
    assert (added.kind, added.source) == ("added", "model:b")
    assert lines_of(diff_of(*of_labels(old, new))) == [
        "changed  k: category person → chair, model:a; category chair said by model:b too"
    ]


IMPORTED = said("person", source="import")


def turn_of(old: tuple[Label, ...], new: tuple[Label, ...]) -> Counter[tuple[str, str]]:
    """What came (`in`) and left (`out`) by class, the same of a sample and of a region."""
    tables = []
    for sides in (of_labels(old, new), [with_regions(region(0, labels=one)) for one in (old, new)]):
        found = diff_of(*sides)
        assert found is not None
        tables.append(stat_of([found], TERMS).classes)
    assert tables[0] == tables[1]
    return Counter(
        {(path, way): n for (_, path), ways in tables[0].items() for way, n in ways.items()}
    )


def test_a_human_relabels_what_was_imported_and_takes_it_back() -> None:
    alone, both = (IMPORTED,), (IMPORTED, said("chair"))
    for old, new, before, after in (
        (alone, both, "person", "chair"),
        (both, alone, "chair", "person"),
    ):
        (fact,) = facts_of(*of_labels(old, new))
        assert fact.kind == "changed"
        assert (fact.before, fact.after) == (
            next(one for one in old if one.node == NODES[before]),
            next(one for one in new if one.node == NODES[after]),
        )
        assert fact.source == fact.after.source
        found = diff_of(with_regions(region(0, labels=old)), with_regions(region(0, labels=new)))
        assert found is not None
        assert lines_of(found)[1:] == [f"  ~ #1 00000000 {after}: category {before} → {after}"]
        summary = summary_text(stat_of([found], TERMS))
        assert summary.startswith(f"1 label changed {before} → {after};")
        assert turn_of(old, new) == {(before, "out"): 1, (after, "in"): 1}
        chosen = Wanted(sources=Sources(["human"])).choose([found])
        assert [fact.kind for one in chosen for fact in one] == ["changed"]


def test_another_answer_goes_along_the_tree() -> None:
    old = (said("animal", source="import"),)
    dog = (*old, said("animal/dog"))
    assert kinds_of(*of_labels(old, dog)) == ["refined"]
    assert kinds_of(*of_labels(dog, old)) == ["coarsened"]


def test_a_human_confirms_what_was_imported() -> None:
    sides = of_labels((IMPORTED,), (IMPORTED, said("person")))
    assert kinds_of(*sides) == ["added"]
    assert lines_of(diff_of(*sides)) == ["changed  k: category person said by human too"]
    assert lines_of(diff_of(*sides[::-1])) == [
        "changed  k: category person no longer said by human"
    ]
    assert turn_of((IMPORTED,), (IMPORTED, said("person"))) == {}


def test_a_model_that_says_otherwise_changes_no_answer() -> None:
    new = (IMPORTED, said("chair", source="model:m"))
    sides = with_regions(region(0, labels=new[:1])), with_regions(region(0, labels=new))
    assert lines_of(diff_of(*sides))[1:] == [
        "  ~ #1 00000000 person: category chair added, model:m"
    ]
    assert turn_of(new[:1], new) == {}
    assert turn_of(new, new[1:]) == {("person", "out"): 1, ("chair", "in"): 1}


def test_an_import_that_no_longer_answers_is_named() -> None:
    old, new = (IMPORTED, said("chair")), (said("animal", source="import"), said("chair"))
    sides = with_regions(region(0, labels=old)), with_regions(region(0, labels=new))
    assert lines_of(diff_of(*sides))[1:] == [
        "  ~ #1 00000000 chair: category person → animal, import"
    ]
    assert turn_of(old, new) == {}


def test_two_that_disagree_leave_no_answer() -> None:
    ann, bo = said("chair", source="human:ann"), said("animal/cat", source="human:bo")
    assert kinds_of(*of_labels((IMPORTED,), (IMPORTED, ann, bo))) == ["added", "added"]
    assert turn_of((IMPORTED,), (IMPORTED, ann, bo)) == {("person", "out"): 1}
    (fact,) = facts_of(*of_labels((ann,), (ann, bo)))
    assert (fact.kind, fact.source) == ("added", "human:bo")
    assert turn_of((ann,), (ann, bo)) == {("chair", "out"): 1}
    assert turn_of((ann, bo), (bo,)) == {("animal/cat", "in"): 1}
    tied = with_regions(region(0, labels=(ann,))), with_regions(region(0, labels=(ann, bo)))
    assert "chair, animal/cat: category" in lines_of(diff_of(*tied))[1]


def test_what_is_rejected_answers_no_more() -> None:
    chair = said("chair")
    rejected = chair.replace(state="rejected")
    facts = facts_of(*of_labels((IMPORTED, chair), (IMPORTED, rejected)))
    assert [fact.kind for fact in facts] == ["changed", "rejected"]
    assert (facts[0].before, facts[0].after) == (chair, IMPORTED)


def test_another_policy_gives_other_answers() -> None:
    draft = Draft(DRAFT)
    draft.put_task("category", draft.tasks["category"].replace(answer=("import", "human")))
    terms = Terms(draft, draft)
    found = diff_of(*of_labels((IMPORTED,), (IMPORTED, said("chair"))), terms)
    assert found is not None
    assert [fact.kind for fact in found] == ["added"]
    assert not stat_of([found], terms).classes


def test_texts_and_many_answers_of_other_sources() -> None:
    text = Label(task="caption", value="a cat", source="import")
    better = Label(task="caption", value="a grey cat")
    (fact,) = facts_of(*of_labels((text,), (text, better)))
    assert (fact.kind, fact.before, fact.after) == ("changed", text, better)
    red, blue = color("red", source="import"), color("blue")
    assert kinds_of(*of_labels((red,), (red, blue))) == ["added"]
    assert kinds_of(*of_labels((red, blue), (red,))) == ["removed"]


def test_who_says_so_may_be_no_difference() -> None:
    quiet = Terms(DRAFT, DRAFT, voices=False)
    old = with_regions(region(0, extra={"source_area": 5}), region(1, "person"))
    new = with_regions(
        region(0, labels=(said("chair", source="model:m", score=0.5),), source="model:m"),
        region(1, labels=(said("chair", source="model:m"),), score=0.25),
    )
    found = diff_of(old, new, quiet)
    assert found is not None
    assert [(fact.scope, fact.kind) for fact in found] == [("label", "changed")]


def test_many_answers_come_and_go_and_are_refined() -> None:
    old = (color("red"), color("blue"))
    assert kinds_of(*of_labels(old, (color("red"),))) == ["removed"]
    assert sorted(kinds_of(*of_labels((color("red"),), (color("blue"),)))) == ["added", "removed"]
    assert kinds_of(*of_labels(old, (color("red/dark"), color("blue")))) == ["refined"]


def test_texts_are_paired_by_their_place() -> None:
    old = tuple(Label(task="caption", value=text, ordinal=n) for n, text in enumerate("abc"))
    new = (old[0], old[1].replace(value="z"), old[2])
    (fact,) = facts_of(*of_labels(old, new))
    assert (fact.kind, fact.before.value, fact.after.value) == ("changed", "b", "z")
    assert kinds_of(*of_labels(old, (*old, Label(task="caption", value="d", ordinal=3)))) == [
        "added"
    ]


def test_a_class_that_was_merged_is_the_same_class() -> None:
    draft = Draft(DRAFT)
    taxonomy = draft.taxonomies["category"]
    chair = taxonomy.nodes[NODES["chair"]]
    draft.put_nodes(
        "category", {NODES["chair"]: chair.replace(dead=True, redirect=NODES["person"])}
    )
    old, new = of_labels((said("chair"),), (said("person"),))
    assert diff_of(old, new, Terms(DRAFT, draft)) is None
    assert diff_of(old, new) is not None


# -- versions -------------------------------------------------------------------------------------

PLACES = [f"a/{number}.jpg" for number in range(6)]


@pytest.fixture
def labeled_repo(empty_repo: Repository) -> Repository:
    """Six pending samples with three chairs each, committed."""
    with empty_repo.edit(message="first") as edit:
        edit.vocabulary.define("category", scope="region")
        for path in PATHS:
            edit.vocabulary.mint_path("category", path)
        edit.update(
            (
                key,
                Sample(
                    uid=bytes([number] * 16),
                    image=Image(uri=key, width=1000, height=800),
                    regions=tuple(
                        region(cell, id=bytes([number, cell]) + bytes(14)) for cell in range(3)
                    ),
                ),
            )
            for number, key in enumerate(PLACES)
        )
    return empty_repo


def sides_of(repo: Repository) -> tuple[Dataset, Dataset]:
    return repo.at("HEAD~1"), repo.at("HEAD")


def edit_regions(repo: Repository, key: str, change: Callable[[Region], Region]) -> None:
    with repo.edit(message="change") as edit:
        sample = edit[key]
        edit[key] = sample.replace(regions=tuple(map(change, sample.regions)))


def test_versions_renames_and_filters(labeled_repo: Repository) -> None:
    with labeled_repo.edit(message="second") as edit:
        moved = edit[PLACES[0]]
        del edit[PLACES[0]]
        edit["b/new.jpg"] = moved.replace(split="val")
        sample = edit[PLACES[1]]
        edit[PLACES[1]] = sample.replace(
            regions=(
                sample.regions[0].replace(geometries={"box": box_at(0, 5.0)}),
                sample.regions[1].replace(labels=(said("animal/dog"),)),
            )
        )
        del edit[PLACES[2]]
    before, after = sides_of(labeled_repo)
    found = {one.key: one for one in label_diff(before, after)}
    assert list(found) == [PLACES[1], PLACES[2], "b/new.jpg"]
    assert [fact.kind for fact in found["b/new.jpg"]] == ["renamed", "re-split"]
    assert found["b/new.jpg"].old_key == PLACES[0]
    plain_kinds = [one.kind for one in label_diff(before, after, renames=False)]
    assert plain_kinds == ["removed", "modified", "removed", "added"]
    only = list(label_diff(before, after, matches=lambda key: key == PLACES[0]))
    assert [one.key for one in only] == ["b/new.jpg"]

    def kinds(**conditions: Any) -> list[str]:
        wanted = Wanted(**conditions)
        return [fact.kind for one in wanted.choose(label_diff(before, after)) for fact in one]

    dog = classes_named("dog", before.vocabulary, after.vocabulary)
    assert kinds(nodes=dog) == ["changed"]
    assert kinds(nodes=classes_named("category/animal", after.vocabulary)) == ["changed"]
    assert kinds(nodes=classes_named("person", after.vocabulary)) == []
    assert sorted(kinds(nodes=classes_named("chair", after.vocabulary))) == [
        "changed", "moved", "removed", "removed",
    ]  # fmt: skip
    assert kinds(kinds={"moved"}) == ["moved"]
    assert kinds(scopes={"sample"}) == ["removed", "renamed", "re-split"]
    assert kinds(sources=Sources(["model"])) == []
    assert kinds(sources=Sources(["human"]), scopes={"label"}) == ["changed"]
    assert kinds(tasks={"nothing"}) == []
    assert kinds(keys={"b/new.jpg"}) == ["renamed", "re-split"]
    assert kinds() == [fact.kind for one in label_diff(before, after) for fact in one]


def test_filters_that_name_nothing() -> None:
    with pytest.raises(UsageError, match="neither version has a class 'sofa'"):
        classes_named("sofa", DRAFT)
    with pytest.raises(UsageError, match="'mooved' is no kind of change"):
        parse_kinds("moved,mooved")
    with pytest.raises(UsageError, match="'' is no scope"):
        parse_scopes("")
    assert parse_kinds("moved, added") == {"moved", "added"}
    assert "model:a" in Sources(["model"])
    assert "human:ann" not in Sources(["human:bo"])


def test_many_rows_go_through_the_batches(labeled_repo: Repository) -> None:
    with labeled_repo.edit(message="many") as edit:
        edit.update(
            (
                f"z/{number:04}.jpg",
                Sample(uid=number.to_bytes(16), image=Image(), regions=(region(0),)),
            )
            for number in range(700)
        )
    with labeled_repo.edit(message="moved") as edit:
        for number in range(700):
            key = f"z/{number:04}.jpg"
            shape = Polygon((((0, 0, 40, 0, 40, 40 + number / 100, 0, 40),),))
            edit[key] = edit[key].replace(regions=(region(0, shape=shape),))
    found = list(label_diff(*sides_of(labeled_repo)))
    assert [one.key for one in found] == [f"z/{number:04}.jpg" for number in range(700)]
    assert all([fact.kind for fact in one] == ["retyped"] for one in found)


def test_the_summary_counts_what_the_lines_say(labeled_repo: Repository) -> None:
    edit_regions(
        labeled_repo,
        PLACES[0],
        lambda one: one.replace(geometries={"box": box_at(one.id[1], 5.0)}),
    )
    with labeled_repo.edit(message="relabel") as edit:
        for key in PLACES[1:3]:
            sample = edit[key]
            edit[key] = sample.replace(
                regions=tuple(one.replace(labels=(said("person"),)) for one in sample.regions[:2])
            )
    found = label_diff(labeled_repo.at("HEAD~2"), labeled_repo.at("HEAD"))
    stat = stat_of(found, TERMS)
    assert summary_text(stat) == (
        "3 boxes moved (median IoU 0.62), 4 labels changed chair → person, "
        "2 regions removed (chair); 3 samples changed"
    )
    assert list(stat_lines(stat))[:3] == [
        " class (category)  removed  moved  in  out",
        " person                  ·      ·   4    ·",
        " chair                   2      3   ·    4",
    ]


# -- tasks and classes ----------------------------------------------------------------------------


def words_after(repo: Repository, change: Callable[[Draft], object]) -> list[str]:
    with repo.edit(message="words") as edit:
        change(edit.vocabulary)
    before, after = sides_of(repo)
    facts = class_facts(before, after)
    for fact in facts:
        assert fact.kind in KINDS[fact.scope]
        fact_json(fact, Terms(before.vocabulary, after.vocabulary))
    terms = Terms(before.vocabulary, after.vocabulary)
    assert list(label_diff(before, after)) == []
    return list(word_lines(Context(), facts, terms, after))


def bury(draft: Draft, path: str, heir: str | None = None) -> None:
    taxonomy = draft.taxonomies["category"]
    node = NODES[path]
    redirect = None if heir is None else NODES[heir]
    dead = taxonomy.nodes[node].replace(dead=True, redirect=redirect)
    draft.put_nodes("category", {node: dead})


def reorder(draft: Draft) -> None:
    nodes = draft.taxonomies["category"].nodes
    draft.put_nodes(
        "category",
        {
            NODES["person"]: nodes[NODES["person"]].replace(order=40),
        },
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda draft: move(draft, ["category/chair"], "category/armchair"),
            ["class renamed: chair → armchair (category), 18 labels"],
        ),
        (
            lambda draft: draft.put_nodes(
                "category",
                {
                    NODES["chair"]: draft.taxonomies["category"]
                    .nodes[NODES["chair"]]
                    .replace(name="armchair", aliases=("chair",), extra={"coco": 1})
                },
            ),
            ["class renamed: chair → armchair (category), alias chair, 18 labels"],
        ),
        (
            lambda draft: move(draft, ["category/chair"], "category/animal/"),
            ["class moved: chair → animal/chair (category), 18 labels"],
        ),
        (
            lambda draft: bury(draft, "chair", "person"),
            ["class merged: chair into person (category)"],
        ),
        (lambda draft: bury(draft, "chair"), ["class removed: chair (category)"]),
        (
            lambda draft: draft.mint_path("category", "sofa"),
            ["class added: sofa (category)"],
        ),
        (
            lambda draft: [draft.mint_path("category", f"c{n}") for n in range(15)],
            [
                "15 classes added: c0, c1, c10, c11, c12, c13, c14, c2, c3, c4, c5, c6 "
                "and 3 more (category)"
            ],
        ),
        (
            lambda draft: draft.put_nodes(
                "category",
                {
                    NODES["chair"]: draft.taxonomies["category"]
                    .nodes[NODES["chair"]]
                    .replace(aliases=("seat",))
                },
            ),
            ["class aliased: chair (category): +seat"],
        ),
        (reorder, ["classes renumbered: category (6 classes in another place)"]),
        (
            lambda draft: draft.put_task("n", Task(kind="number", scope="image")),
            ["task added: n (number, on images)"],
        ),
        (lambda draft: draft.put_task("category", None), None),
        (
            lambda draft: draft.put_task(
                "category", draft.tasks["category"].replace(many=True, answer=("human",))
            ),
            [
                "task changed: category: many no → yes",
                "answer policy of category changed: "
                "verified-human > human > import > model → human",
            ],
        ),
        (
            lambda draft: draft.rename_taxonomy("category", "things"),
            None,
        ),
        (lambda draft: draft.add_taxonomy("palette"), ["taxonomy added: palette"]),
    ],
)
def test_words_of_tasks_and_classes(
    labeled_repo: Repository, change: Callable[[Draft], object], words: list[str] | None
) -> None:
    found = words_after(labeled_repo, change)
    if words is not None:
        assert found == words
    else:
        assert found


# -- real boxes and masks -------------------------------------------------------------------------

DATA = Path(__file__).parents[1] / "data"
CELLS = DATA / "bccd" / "boxes.csv"
NUCLEUS = sorted((DATA / "nuclei").glob("*/masks/*.png"))[0]


def cell_samples(draft: Draft) -> dict[str, Sample]:
    """The blood cells of BCCD: 4,888 boxes of three classes in 364 images."""
    boxes: dict[str, list[Region]] = {}
    with CELLS.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            box = Box(*(float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")))
            label = Label(task="cell", node=draft.category("cell", row["cell_type"]))
            boxes.setdefault(row["filename"], []).append(
                Region(id=number.to_bytes(16), geometries={"box": box}, labels=(label,))
            )
    return {
        key: Sample(
            uid=key.encode().ljust(16)[-16:],
            image=Image(uri=key, width=640, height=480),
            regions=tuple(regions),
        )
        for key, regions in boxes.items()
    }


def test_blood_cells_moved_and_relabeled(empty_repo: Repository) -> None:
    with empty_repo.edit(message="first") as edit:
        before = cell_samples(edit.vocabulary)
        white = edit.vocabulary.category("cell", "WBC")
        edit.update(sorted(before.items()))
    expected: Counter[str] = Counter()
    scores = []

    def edited_cell(cell: Region) -> Region | None:
        number, label = int.from_bytes(cell.id), cell.labels[0]
        if number % 101 == 100:
            expected["removed"] += 1
            return None
        if number % 5 == 0:
            box = cell.geometries["box"]
            assert isinstance(box, Box)
            moved = Box(box.x0 + 6, box.y0 + 4, box.x1 + 6, box.y1 + 4)
            scores.append(similarity(box, moved))
            cell = cell.replace(geometries={"box": moved})
        if number % 7 == 0 and label.node != white:
            expected["changed"] += 1
            cell = cell.replace(labels=(label.replace(node=white),))
        return cell

    with empty_repo.edit(message="second") as edit:
        for key, sample in sorted(before.items()):
            cells = tuple(filter(None, map(edited_cell, sample.regions)))
            edit[key] = sample.replace(regions=cells)
    versions = sides_of(empty_repo)
    stat = stat_of(label_diff(*versions), terms_of(*versions))
    assert stat.counts["region"] == {"moved": len(scores), "removed": expected["removed"]}
    assert stat.counts["label"] == {"changed": expected["changed"]}
    assert stat.likeness("moved", "box") == median(scores)
    assert summary_text(stat).startswith(f"{len(scores)} boxes moved (median IoU ")
    assert stat.classes["cell", "WBC"]["in"] == expected["changed"]


def test_a_nucleus_whose_mask_was_cut_in_two() -> None:
    whole = np.array(Picture.open(NUCLEUS)) > 0
    rows = np.flatnonzero(whole.any(axis=1))
    middle = int(rows.mean())
    upper, lower = whole.copy(), whole.copy()
    upper[middle:] = False
    lower[:middle] = False
    masks = [mask_of_array(one) for one in (whole, upper, lower)]
    old = with_regions(region(0, shape=masks[0]))
    new = with_regions(region(1, shape=masks[1]), region(2, shape=masks[2]))
    assert kinds_of(old, new) == ["divided"]
    assert kinds_of(new, old) == ["joined"]
