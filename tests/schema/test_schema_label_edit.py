"""Edits of labels, regions and samples: their laws, and what each leaves alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import NotFoundError
from voyager.schema import (
    Box,
    Cuboid,
    Ellipse,
    Geometry,
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
    coverage_key,
    decode_sample,
    encode_sample,
)
from voyager.schema import label_edit as edits
from voyager.schema.label_edit import Voice, assign, assignment
from voyager.schema.values import BadValueError

NODES = [bytes([n]) * 16 for n in range(1, 6)]
CHAIR, TABLE, SOFA, LAMP, COUCH = NODES
UID = bytes(range(16))
SOURCES = ["human", "human:ann", "model:m1"]

nodes = st.sampled_from(NODES)
sources = st.sampled_from(SOURCES)
tasks = st.sampled_from(["category", "color"])
states = st.sampled_from(["proposed", "accepted", "verified", "rejected"])
said = st.builds(
    Label,
    task=tasks,
    source=sources,
    node=nodes,
    state=states,
    score=st.none() | st.floats(0, 1),
)


@st.composite
def labelings(draw: st.DrawFn) -> tuple[Label, ...]:
    """Labels of which no source says one class twice."""
    found = draw(st.lists(said, max_size=8))
    return tuple({(it.task, it.source, it.node): it for it in found}.values())


@st.composite
def assignments(draw: st.DrawFn) -> edits.Assignment:
    operator = draw(st.sampled_from(["=", "+=", "-="]))
    values = draw(st.lists(nodes, min_size=operator != "=", max_size=3, unique=True))
    state = draw(st.none() | states)
    voice = Voice(draw(sources), draw(st.none() | st.floats(0, 1)), state)
    return assignment(draw(tasks), operator, values, voice)


def of(labels: tuple[Label, ...], change: edits.Assignment) -> list[Label]:
    """What the source of an assignment says for its task."""
    return [it for it in labels if (it.task, it.source) == (change.task, change.voice.source)]


# -- laws -----------------------------------------------------------------------------------------


@given(labelings(), assignments())
def test_what_others_say_stays(labels: tuple[Label, ...], change: edits.Assignment) -> None:
    after = assign(labels, change)
    mine, mine_after = of(labels, change), of(after, change)
    assert [it for it in labels if it not in mine] == [it for it in after if it not in mine_after]


@given(labelings(), assignments())
def test_a_second_time_changes_nothing(labels: tuple[Label, ...], change: edits.Assignment) -> None:
    once = assign(labels, change)
    assert assign(once, change) is once


@given(labelings(), assignments())
def test_what_is_said_then(labels: tuple[Label, ...], change: edits.Assignment) -> None:
    wanted = {it.node for it in change.said}
    before = {it.node for it in of(labels, change)}
    after = {it.node for it in of(assign(labels, change), change)}
    assert after == {"=": wanted, "+=": before | wanted, "-=": before - wanted}[change.operator]


@given(labelings(), assignments())
def test_put_back(labels: tuple[Label, ...], change: edits.Assignment) -> None:
    after = assign(labels, change)
    back = edits.put_said(after, of(after, change), of(labels, change))
    assert Counter(back) == Counter(labels)
    mine = [place for place, it in enumerate(labels) if it in of(labels, change)]
    if len(mine) == len(of(after, change)):
        assert back == labels


@given(labelings(), tasks, sources, nodes)
def test_take_away_what_was_added(
    labels: tuple[Label, ...], task: str, source: str, node: bytes
) -> None:
    voice = Voice(source)
    if any((it.task, it.source, it.node) == (task, source, node) for it in labels):
        return
    added = assign(labels, assignment(task, "+=", [node], voice))
    assert added != labels
    assert assign(added, assignment(task, "-=", [node], voice)) == labels


@given(labelings(), states, st.none() | tasks, st.none() | sources)
def test_states(
    labels: tuple[Label, ...], state: str, task: str | None, source: str | None
) -> None:
    after = edits.restate(labels, state, task=task, source=source)  # type: ignore[arg-type]
    for old, new in zip(labels, after, strict=True):
        meant = task in (None, old.task) and source in (None, old.source)
        if old.state == "rejected" and state in ("accepted", "verified"):
            meant = False
        assert new == (old.replace(state=state) if meant else old)
    assert edits.restate(after, state, task=task, source=source) is after  # type: ignore[arg-type]


@given(labelings(), assignments())
def test_the_row_is_canonical(labels: tuple[Label, ...], change: edits.Assignment) -> None:
    """Copies that were not settled encode as constructed ones do."""
    after = Sample(uid=UID, image=Image(), labels=assign(labels, change))
    built = after.replace(
        labels=tuple(
            Label(task=it.task, node=it.node, source=it.source, score=it.score, state=it.state)
            for it in after.labels
        )
    )
    row = encode_sample(after)
    assert row == encode_sample(built)
    assert decode_sample(row) == after


# -- labels ---------------------------------------------------------------------------------------


def label(node: bytes, **fields: object) -> Label:
    return Label(task="category", node=node, **fields)  # type: ignore[arg-type]


def test_saying_it_again_keeps_what_is_verified() -> None:
    checked = (label(CHAIR, state="verified", score=0.5),)
    assert assign(checked, assignment("category", "=", [CHAIR])) is checked
    voice = Voice(state="accepted", score=0.75)
    (again,) = assign(checked, assignment("category", "=", [CHAIR], voice))
    assert (again.state, again.score) == ("accepted", 0.75)


def test_saying_what_was_proposed_or_rejected_accepts_it() -> None:
    for state in ("proposed", "rejected"):
        (now,) = assign((label(CHAIR, state=state),), assignment("category", "=", [CHAIR]))
        assert now == label(CHAIR)


def test_it_stands_where_the_old_one_stood() -> None:
    other = label(CHAIR, source="model")
    labels = (label(CHAIR), other)
    assert assign(labels, assignment("category", "=", [TABLE])) == (label(TABLE), other)
    color = [TABLE, SOFA, LAMP]
    assert assign(labels, assignment("category", "=", color))[:3] == tuple(map(label, color))


def test_plain_values() -> None:
    texts = assign((), assignment("caption", "=", ["a chair", "two chairs"]))
    assert [it.value for it in texts] == ["a chair", "two chairs"]
    one = assignment("count", "=", [1])
    assert assign(assign((), one), one)[0].value == 1.0
    true = assign(assign((), one), assignment("count", "+=", [True]))
    assert [it.value for it in true] == [1.0, True]
    with pytest.raises(BadValueError):
        assignment("category", "=", [CHAIR], Voice("nobody"))


def test_merged_classes_mean_what_they_are_now() -> None:
    old = (label(COUCH),)
    heirs = {COUCH: SOFA}
    assert assign(old, assignment("category", "+=", [SOFA], heirs=heirs)) is old
    assert assign(old, assignment("category", "=", [SOFA], heirs=heirs)) is old
    assert assign(old, assignment("category", "-=", [SOFA], heirs=heirs)) == ()
    assert edits.in_the_way(old, assignment("category", "+=", [SOFA], heirs=heirs)) is None
    assert edits.in_the_way(old, assignment("category", "+=", [LAMP], heirs=heirs)) == old[0]


def test_a_class_made_another() -> None:
    labels = (label(CHAIR), label(CHAIR, source="model"), label(TABLE, source="model"))
    assert edits.replace_node(labels, "category", {CHAIR}, TABLE) == (label(TABLE), labels[2])
    assert edits.replace_node(labels, "color", {CHAIR}, TABLE) is labels


# -- regions and samples --------------------------------------------------------------------------


def region(number: int, **fields: object) -> Region:
    settings = {"geometries": {"box": Box(1, 2, 3, 4)}, **fields}
    return Region(id=bytes([number]) * 16, **settings)  # type: ignore[arg-type]


def sample(*regions: Region, **fields: object) -> Sample:
    return Sample(uid=UID, image=Image(), regions=regions, **fields)  # type: ignore[arg-type]


def test_a_moved_primary_drops_what_its_source_said_of_it() -> None:
    extra = {"source_area": 9.5, "source_bbox": [1, 2, 3, 4], "id": 7}
    before = region(1, extra=extra)
    after = edits.reshape(before, Box(5, 6, 7, 8))
    assert after == before.replace(geometries={"box": Box(5, 6, 7, 8)}, extra={"id": 7})
    assert edits.reshape(before, Box(1, 2, 3, 4)) is before
    second = edits.reshape(before, Points([1, 2]), "points")
    assert second.extra == extra
    assert (second.primary, second.geometry) == ("box", Box(1, 2, 3, 4))
    retyped = edits.reshape(second, Polyline([1, 2, 3, 4]))
    assert (retyped.primary, [*retyped.geometries]) == ("polyline", ["points", "polyline"])
    named = region(3, geometries={"outline": Box(1, 2, 3, 4)})
    assert [*edits.reshape(named, Points([1, 2])).geometries] == ["outline"]
    drawn = edits.reshape(region(2, geometries={}), Points([1, 2]))
    assert drawn.geometries == {"points": Points([1, 2])}


def test_a_region_that_goes_takes_links_to_it_along() -> None:
    link = Link(kind="part-of", uid=UID, region=bytes([2]) * 16)
    other = link.replace(uid=bytes(16))
    before = sample(region(1, links=(link, other)), region(2))
    assert edits.drop_regions(before, {link.region}) == sample(region(1, links=(other,)))
    assert edits.drop_regions(before, {bytes(16)}) is before
    with pytest.raises(NotFoundError):
        edits.region_of(before, bytes(16))


def test_links() -> None:
    link = Link(kind="same", uid=UID, region=CHAIR)
    linked = edits.add_link(region(1), link)
    assert edits.add_link(linked, link) is linked
    assert edits.drop_links(linked, UID, CHAIR, "other") is linked
    assert edits.drop_links(linked, UID, TABLE) is linked
    assert edits.drop_links(linked, UID, CHAIR) == region(1)


def test_negatives_and_coverage() -> None:
    start = sample()
    denied = edits.put_negatives(start, "category", [TABLE, CHAIR])
    assert denied.negatives == {"category": (CHAIR, TABLE)}
    assert edits.put_negatives(denied, "category", [CHAIR]) is denied
    assert edits.put_negatives(denied, "category", [CHAIR, TABLE], remove=True) == start
    key = coverage_key("category", CHAIR)
    covered = edits.put_coverage(start, key, "exhaustive")
    assert edits.put_coverage(covered, key, "exhaustive") is covered
    assert edits.put_coverage(covered, key, None) == start


def test_what_contradicts_a_negative() -> None:
    said = [
        region(1, labels=(label(CHAIR),)),
        region(2, labels=(label(CHAIR),), state="rejected"),
        region(3, labels=(label(CHAIR, state="proposed"), label(TABLE))),
    ]
    found = list(edits.contradictions(sample(*said, labels=(label(CHAIR),)), "category", {CHAIR}))
    assert [None if part is None else part.id[0] for part, _ in found] == [None, 1]


# -- geometries -----------------------------------------------------------------------------------

SHIFTED: list[tuple[Geometry, Geometry]] = [
    (Box(1, 2, 3, 4), Box(11, 0, 13, 2)),
    (RotatedBox(1, 2, 3, 4, 0.5), RotatedBox(11, 0, 3, 4, 0.5)),
    (Ellipse(1, 2, 3, 4, 0.5), Ellipse(11, 0, 3, 4, 0.5)),
    (
        Polygon([[[0, 0, 4, 0, 4, 4], [1, 1, 2, 1, 2, 2]]]),
        Polygon([[[10, -2, 14, -2, 14, 2], [11, -1, 12, -1, 12, 0]]]),
    ),
    (Polyline([0, 0, 1, 1]), Polyline([10, -2, 11, -1])),
    (Points([5, 5]), Points([15, 3])),
    (Keypoints([5, 5, 0, 0], [2, 0]), Keypoints([15, 3, 0, 0], [2, 0])),
    (Cuboid([*range(16)]), Cuboid([n + (-2 if n % 2 else 10) for n in range(16)])),
]


@pytest.mark.parametrize(("before", "after"), SHIFTED, ids=lambda it: it.name)
def test_shifted(before: Geometry, after: Geometry) -> None:
    assert edits.shifted(before, 10, -2) == after
    assert edits.shifted(after, -10, 2) == before


def test_a_mask_moves_by_whole_pixels() -> None:
    corner = Mask(3, 4, b"01;")  # the first pixel of twelve
    assert edits.shifted(edits.shifted(corner, 1, 2), -1, -2) == corner
    assert edits.shifted(corner, 1, 0) == Mask(3, 4, b"318")
    assert edits.shifted(corner, -1, 0) == Mask(3, 4, b"<")
    with pytest.raises(BadValueError, match="a mask moves by whole pixels"):
        edits.shifted(corner, 0.5, 0)
