"""Three-way: what a file says now, said before, and what is here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.formats.base import NEW_ID, Holds
from voyager.formats.updating import Merged, Speaks, Triple, joined, merge_sample
from voyager.schema import Box, Ellipse, Group, Image, Label, Points, Polygon, Region, Sample

ALL = Holds(
    geometries=frozenset({"box", "polygon"}),
    image_labels="many",
    flags=frozenset({"crowd", "occluded"}),
    attrs=True,
    scores=True,
    states=True,
    meta=True,
    several=True,
    extra=True,
)
NOTHING = Holds(geometries=frozenset({"box"}))


def speaks(holds: Holds = ALL, **fields: Any) -> Speaks:
    return Speaks(holds, frozenset({"category"}), frozenset({"import"}), **fields)


def label(n: int, **fields: Any) -> Label:
    return Label(
        **{"task": "category", "node": bytes(15) + bytes([n]), "source": "import"} | fields
    )


def region(n: int = 1, **fields: Any) -> Region:
    fields.setdefault("geometries", {"box": Box(1, 2, 30, 40)})
    return Region(**{"id": bytes(15) + bytes([n]), "source": "import"} | fields)


def sample(**fields: Any) -> Sample:
    return Sample(**{"uid": bytes(16), "image": Image()} | fields)


def merged(base: Sample, ours: Sample, theirs: Sample, holds: Holds = ALL, **fields: Any) -> Merged:
    """Merge samples whose regions pair by id."""
    ids = dict.fromkeys(r.id for side in (base, ours, theirs) for r in side.regions)
    sides = [{r.id: r for r in side.regions} for side in (base, ours, theirs)]
    triples = [Triple(*(side.get(id) for side in sides)) for id in ids]
    return merge_sample(ours, base, theirs, triples, speaks(holds, **fields))


# -- the laws, over everything --------------------------------------------------------------------

labels = st.lists(st.integers(1, 3), max_size=1).map(lambda ns: tuple(label(n) for n in ns))
values = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=2)
numbers = st.integers(0, 3).map(float)
drawn_regions = st.builds(
    lambda n, x, found, attrs, flags, score: region(
        n,
        geometries={"box": Box(x, 0, 20, 20)},
        labels=found,
        attrs=attrs,
        flags=flags,
        score=score,
    ),
    st.integers(1, 4),
    numbers,
    labels,
    values,
    st.lists(st.sampled_from(["crowd", "occluded"]), max_size=2).map(tuple),
    st.none() | st.floats(0, 1),
)
samples = st.builds(
    lambda found, meta, split, regions: sample(
        labels=found, meta=meta, split=split, regions=tuple({r.id: r for r in regions}.values())
    ),
    labels,
    values,
    st.sampled_from(["train", "val"]),
    st.lists(drawn_regions, max_size=4),
)
LAW = settings(max_examples=80, deadline=None, derandomize=True)


def said(found: Sample) -> Any:
    regions = sorted(found.regions, key=lambda r: r.id)
    return found.replace(regions=tuple(regions))


@LAW
@given(samples, samples)
def test_a_file_that_did_not_change_changes_nothing(base: Sample, ours: Sample) -> None:
    found = merged(base, ours, base)
    assert found.sample == ours
    assert not found.conflicts
    assert (found.added, found.removed, found.changed) == (0, 0, 0)


@LAW
@given(samples, samples)
def test_what_only_the_file_changed_is_taken(base: Sample, theirs: Sample) -> None:
    found = merged(base, base, theirs)
    assert not found.conflicts
    assert said(found.sample) == said(theirs)


@LAW
@given(samples, samples)
def test_what_both_changed_alike_is_no_conflict(base: Sample, theirs: Sample) -> None:
    found = merged(base, theirs, theirs)
    assert not found.conflicts
    assert found.sample == theirs


@LAW
@given(samples, samples, samples)
def test_a_second_time_changes_nothing(base: Sample, ours: Sample, theirs: Sample) -> None:
    once = merged(base, ours, theirs)
    if not once.conflicts:
        again = merged(theirs, once.sample, theirs)
        assert again.sample == once.sample


@LAW
@given(samples, samples, samples)
def test_a_format_that_holds_nothing_takes_nothing_away(
    base: Sample, ours: Sample, theirs: Sample
) -> None:
    bare = Holds(geometries=frozenset({"box"}))

    def seen(found: Sample) -> Sample:
        regions = tuple(r.replace(attrs={}, flags=(), score=None) for r in found.regions)
        return found.replace(regions=regions, meta={}, split=None)

    found = merged(seen(base), ours, seen(theirs), bare).sample
    assert found.meta == ours.meta
    assert found.split == ours.split
    for one in ours.regions:
        after = [r for r in found.regions if r.id == one.id]
        assert all((r.attrs, r.flags, r.score) == (one.attrs, one.flags, one.score) for r in after)


# -- one by one -----------------------------------------------------------------------------------


def test_conflicts_name_the_field() -> None:
    base = sample(split="train", meta={"iso": 1}, regions=(region(),), labels=(label(1),))
    ours = base.replace(
        split="val",
        meta={"iso": 2},
        labels=(label(2),),
        regions=(region(geometries={"box": Box(0, 0, 1, 1)}),),
    )
    theirs = base.replace(
        split="test",
        meta={"iso": 3},
        labels=(label(3),),
        regions=(region(geometries={"box": Box(0, 0, 2, 2)}),),
    )
    assert [*merged(base, ours, theirs).conflicts] == [
        "labels/category/import",
        "meta/iso",
        f"regions/{ours.regions[0].id.hex()}/geometries/box",
        "split",
    ]


def test_a_file_without_a_split_or_group_takes_none_away() -> None:
    ours = sample(split="val", group=Group(id="g"))
    assert merged(ours, ours, sample()).sample == ours


def test_other_voices_are_not_heard() -> None:
    human, model = label(2, source="human"), label(3, source="model:m")
    ours = sample(labels=(human, label(1), model))
    found = merged(sample(labels=(label(1),)), ours, sample(labels=(label(4),)))
    assert found.sample.labels == (human, label(4), model)
    assert merged(sample(labels=(label(1),)), ours, sample()).sample.labels == (human, model)


def test_an_export_has_said_the_answer_whosever_it_was() -> None:
    def answers(task: str, found: tuple[Label, ...]) -> tuple[Label, ...]:
        return tuple(one for one in found if one.task == task)

    human = label(1, source="human:ann", state="verified")
    base, theirs = sample(labels=(label(1),)), sample(labels=(label(2),))
    ours = sample(labels=(human, Label(task="note", value="x")))
    triples: list[Triple] = []
    found = merge_sample(ours, base, theirs, triples, speaks(NOTHING, answers=answers), ours)
    assert found.sample.labels == (label(2, source="human:ann"), ours.labels[1])
    gone = merge_sample(ours, base, sample(), triples, speaks(NOTHING, answers=answers), ours)
    assert gone.sample.labels == ours.labels[1:]
    changed = sample(labels=(label(3, source="human:ann"),))
    both = merge_sample(changed, base, theirs, triples, speaks(NOTHING, answers=answers), ours)
    assert both.conflicts == {"labels/category": None}


def test_geometries_within_the_rounding_of_a_format_are_one() -> None:
    rounding = replace(NOTHING, quantum=0.01)
    base = sample(regions=(region(),))
    near = sample(regions=(region(geometries={"box": Box(1.001, 2, 30, 40.009)}),))
    far = sample(regions=(region(geometries={"box": Box(1.02, 2, 30, 40)}),))
    exported = {"answers": lambda _task, found: found}
    assert merged(base, base, near, rounding, **exported).sample == base
    assert merged(base, base, far, rounding, **exported).sample == far
    assert merged(base, base, near, rounding).sample == near  # no export: the file is the truth
    moved = sample(regions=(region(geometries={"box": Box(9, 2, 30, 40)}),))
    assert merged(base, moved, far, rounding, **exported).conflicts
    assert merged(base, far, far, rounding, **exported).conflicts == {}


def test_a_geometry_that_was_written_as_another_kind() -> None:
    holds = Holds(geometries=frozenset({"polygon"}), converts={"ellipse": "polygon"})
    was = region(
        geometries={"ellipse": Ellipse(9, 9, 4, 2, 0), "points": Points((1, 2))}, primary="ellipse"
    )
    first, second = (Polygon((((0.0, 0, 5, 0, 5, n),),)) for n in (5, 6))
    base, theirs = (region(geometries={"polygon": shape}) for shape in (first, second))
    kept, taken = (
        merge_sample(
            sample(regions=(was,)),
            sample(regions=(base,)),
            sample(regions=(new,)),
            [Triple(base, was, new, was)],
            speaks(holds),
            sample(regions=(was,)),
        ).sample.regions[0]
        for new in (base, theirs)
    )
    assert kept == was
    assert dict(taken.geometries) == {"polygon": second, "points": Points((1, 2))}
    assert taken.primary_role == "polygon"


def test_coverage_and_negatives_only_grow() -> None:
    node = bytes(15) + b"n"
    base = sample(coverage={"category": "exhaustive"}, negatives={"category": (node,)})
    bare = sample()
    assert merged(base, bare, base).sample == bare  # taken back here, and unsaid by the file
    assert merged(bare, bare, base).sample == base
    assert merged(base, base, bare).sample == base
    partial = sample(coverage={"category": "partial"})
    assert merged(bare, partial, base).sample.coverage == {"category": "partial"}


def test_joined_descriptions() -> None:
    one = sample(split="train", labels=(label(1),), regions=(region(1), region(NEW_ID[0])))
    other = sample(labels=(label(1), label(2)), regions=(region(1), region(2)), meta={"a": 1})
    found = joined(one, other)
    assert [r.id[-1] for r in found.regions] == [1, 0, 2]
    assert found.labels == (label(1), label(2))
    assert (found.split, found.meta) == ("train", {"a": 1})
