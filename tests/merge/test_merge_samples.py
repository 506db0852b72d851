"""What comes of each pair of changes, example by example."""

from __future__ import annotations

from typing import Any

import pytest
from merge_strategies import BLOBS, UIDS, Lab, conflicts_of, node, samples_of, vocabulary

from voyager.merge.check import follow_joined
from voyager.merge.regions import Notes
from voyager.merge.rules import Rules
from voyager.merge.samples import merge_sample
from voyager.repo.dataset import Dataset
from voyager.schema import (
    Box,
    Image,
    Label,
    Link,
    Mask,
    Region,
    Sample,
    coverage_key,
)
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import KEY, SAMPLE, decode_field
from voyager.schema.rle import encode_counts
from voyager.wire import blob_ref

LOW, HIGH = b"1" * 16, b"2" * 16


def sample(number: int = 0, **more: Any) -> Sample:
    return Sample(uid=UIDS[number], image=Image(blob=BLOBS[number % 4]), **more)


def label(name: str, **more: Any) -> Label:
    return Label(task="kind", node=node(name), **more)


def drawn(*box: float, own: bytes = LOW, kind: str | None = None, **more: Any) -> Region:
    labels = () if kind is None else (label(kind),)
    return Region(id=own, geometries={"box": Box(*box)}, labels=labels, **more)


def merge(base: Sample | None, *sides: Sample) -> tuple[Sample, Notes]:
    merged, notes = merge_sample(base, sides, Rules(vocabulary()))
    again, others = merge_sample(base, sides[::-1], Rules(vocabulary()))
    assert (again, others.conflicts) == (merged, notes.conflicts)
    return merged, notes


def values(path: str, notes: Notes) -> list[Any]:
    """What there is to choose from, in an order of its own."""
    return sorted((decode_field(path, add) for add in notes.conflicts[path].adds), key=repr)


# -- geometry ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((0, 0, 120, 100), (0, 0, 120, 100), "both"),
        ((0, 0, 160, 100), (0, 0, 161, 100), "agree"),  # within 1.5 pixels of each other
        ((0, 0, 200, 100), (0, 0, 180, 100), "agree"),  # 0.1 apart, 0.5 and 0.44 from the base
        ((0, 0, 200, 100), (0, 0, 150, 100), "part"),  # 0.25 apart, 0.33 from the base
        ((0, 0, 103, 100), (0, 0, 100, 103), "part"),  # 0.06 apart: a plain 0.9 would swallow it
        ((20, 0, 100, 100), (0, 20, 100, 100), "part"),
        ((0, 0, 100, 100), (0, 20, 100, 100), "theirs"),
    ],
)
def test_two_corrections_of_a_box(
    ours: tuple[float, ...], theirs: tuple[float, ...], expected: str
) -> None:
    base, *sides = (sample(regions=(drawn(*box),)) for box in ((0, 0, 100, 100), ours, theirs))
    merged, notes = merge(base, *sides)
    path = f"regions/{LOW.hex()}/geometries/box"
    if expected == "part":
        assert values(path, notes) == sorted((Box(*ours), Box(*theirs)), key=repr)
        assert merged == base
    else:
        assert not notes.conflicts
        assert merged in sides if expected != "theirs" else merged == sides[1]


def test_who_verified_a_box_has_the_say() -> None:
    base = sample(regions=(drawn(0, 0, 100, 100),))
    seen = sample(regions=(drawn(0, 0, 200, 100, state="verified"),))
    other = sample(regions=(drawn(0, 0, 190, 100),))
    assert merge(base, seen, other)[0] == seen


def test_a_box_that_one_side_deletes_and_another_moves() -> None:
    base, ours = sample(regions=(drawn(0, 0, 9, 9),)), sample()
    theirs = sample(regions=(drawn(0, 0, 90, 9),))
    merged, notes = merge(base, ours, theirs)
    path = f"regions/{LOW.hex()}"
    assert values(path, notes) == [None, theirs.regions[0]]
    assert merged == base


def test_a_box_that_both_sides_delete_is_gone() -> None:
    base = sample(regions=(drawn(0, 0, 9, 9),))
    merged, notes = merge(base, sample(split="val"), sample(meta={"a": 1}))
    assert merged == sample(split="val", meta={"a": 1})
    assert not notes.conflicts


# -- regions that several sides added ------------------------------------------------------------


@pytest.mark.parametrize(
    ("kinds", "wide", "expected"),
    [
        (("cat", "cat"), 108, "one"),
        (("cat", "cat"), 130, "maybe"),
        (("cat", "cat"), 250, "two"),
        (("cat", "car"), 108, "which"),
        (("cat", "car"), 130, "two"),
        (("animal", "cat"), 108, "deeper"),
        ((None, "cat"), 108, "one"),
    ],
)
def test_two_new_boxes(kinds: tuple[str | None, str], wide: float, expected: str) -> None:
    ours, theirs = drawn(0, 0, 100, 100, kind=kinds[0]), drawn(0, 0, wide, 100, own=HIGH)
    theirs = theirs.replace(labels=(label(kinds[1]),))
    merged, notes = merge(sample(), sample(regions=(ours,)), sample(regions=(theirs,)))
    ids = {region.id for region in merged.regions}
    if expected in ("two", "maybe"):
        pair = f"regions/{LOW.hex()}+{HIGH.hex()}"
        assert set(notes.conflicts) == ({pair} if expected == "maybe" else set())
        assert merged.regions == (ours, theirs)
        return
    assert ids == {LOW}
    assert notes.joined == {HIGH: LOW}
    path = f"regions/{LOW.hex()}/labels/kind/human"
    if expected == "which":
        assert {each.node for each in values(path, notes)} == {node("cat"), node("car")}
        assert merged.regions[0].labels == ()
    else:
        assert not notes.conflicts
        assert merged.regions[0].labels == (label("cat"),)


def test_different_tasks_in_one_place_are_one_region() -> None:
    count = Label(task="count", value=2.0)
    ours, theirs = drawn(0, 0, 99, 99, kind="cat"), drawn(0, 0, 99, 99, own=HIGH)
    theirs = theirs.replace(labels=(count,))
    merged, notes = merge(sample(), sample(regions=(ours,)), sample(regions=(theirs,)))
    assert {each.task for each in merged.regions[0].labels} == {"kind", "count"}
    assert len(merged.regions) == 1
    assert not notes.conflicts


def test_two_boxes_of_one_side_are_two() -> None:
    both = sample(regions=(drawn(0, 0, 99, 99), drawn(0, 0, 99, 99, own=HIGH)))
    merged, notes = merge(sample(), both, sample(split="val"))
    assert len(merged.regions) == 2
    assert not notes.conflicts


def test_one_import_on_both_sides_changed_apart() -> None:
    """One id on both sides: one region, field by field, as if the base had nothing of it."""
    ours = drawn(0, 0, 99, 99, kind="cat", attrs={"a": 1})
    theirs = drawn(0, 0, 99, 99, kind="cat", attrs={"b": 2})
    merged, notes = merge(sample(), sample(regions=(ours,)), sample(regions=(theirs,)))
    assert merged.regions == (ours.replace(attrs={"a": 1, "b": 2}),)
    far = drawn(500, 0, 600, 99, kind="cat")
    merged, notes = merge(sample(), sample(regions=(ours,)), sample(regions=(far,)))
    assert values(f"regions/{LOW.hex()}", notes) == sorted((ours, far), key=repr)
    assert merged.regions == ()


def test_masks_of_a_joined_region_that_do_not_agree_are_in_conflict() -> None:
    masks = [Mask(10, 10, encode_counts([40, filled, 60 - filled])) for filled in (10, 50)]
    sides = [
        sample(
            regions=(
                Region(id=own, geometries={"box": Box(0, 0, 10, 10), "mask": mask}, primary="box"),
            )
        )
        for own, mask in zip((LOW, HIGH), masks, strict=True)
    ]
    merged, notes = merge(sample(), *sides)
    assert values(f"regions/{LOW.hex()}/geometries/mask", notes) == sorted(masks, key=repr)
    assert merged.regions[0].geometries == {"box": Box(0, 0, 10, 10)}


def test_three_sides_whose_regions_are_one_keep_every_answer() -> None:
    """Two of one id say different things, and a third one joins them."""
    ours, theirs = drawn(0, 0, 99, 99, own=HIGH, kind="cat"), drawn(0, 0, 99, 99, own=HIGH)
    theirs = theirs.replace(labels=(label("car"),))
    third = drawn(0, 0, 100, 99, own=LOW, kind="dog")
    sides = [sample(regions=(each,)) for each in (ours, theirs, third)]
    merged, notes = merge(sample(), *sides)
    path = f"regions/{LOW.hex()}/labels/kind/human"
    assert set(notes.conflicts) == {path}
    assert {each.node for each in values(path, notes)} == {node(n) for n in ("cat", "car", "dog")}
    assert [region.id for region in merged.regions] == [LOW]


def test_masks_out_of_line_are_compared_by_their_pixels() -> None:
    counts = {b"a" * 32: encode_counts([0, 50, 50]), b"b" * 32: encode_counts([0, 49, 51])}
    sides = [
        sample(regions=(Region(id=own, geometries={"m": Mask(10, 10, blob_ref(blob))}),))
        for own, blob in zip((LOW, HIGH), counts, strict=True)
    ]
    _, notes = merge_sample(sample(), sides, Rules(vocabulary(), counts.__getitem__))
    assert notes.joined == {HIGH: LOW}


# -- labels and fields ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "expected"),
    [
        (None, "cat", "cat", "cat"),
        (None, "cat", "dog", "conflict"),
        (None, "animal", "tabby", "tabby"),
        ("animal", "cat", "tabby", "tabby"),
        ("animal", "cat", "dog", "conflict"),
        ("cat", "animal", "tabby", "conflict"),  # one went up: it meant that
        ("cat", None, None, None),
        ("cat", None, "dog", "conflict"),
        ("cat", None, "cat", None),
    ],
)
def test_two_answers(base: Any, ours: Any, theirs: Any, expected: Any) -> None:
    versions = [
        sample(labels=() if kind is None else (label(kind),)) for kind in (base, ours, theirs)
    ]
    merged, notes = merge(*versions)
    if expected == "conflict":
        assert set(notes.conflicts) == {"labels/kind/human"}
        assert merged == versions[0]
    else:
        assert not notes.conflicts
        assert [each.node for each in merged.labels] == ([node(expected)] if expected else [])


def test_named_voices_never_conflict() -> None:
    sides = [sample(labels=(label(kind, source=f"human:{kind}"),)) for kind in ("cat", "dog")]
    merged, notes = merge(sample(), *sides)
    assert len(merged.labels) == 2
    assert not notes.conflicts


def test_score_and_state_are_merged_by_themselves() -> None:
    base = sample(labels=(label("cat", score=0.5, state="proposed"),))
    ours = sample(labels=(label("cat", score=0.7, state="proposed"),))
    theirs = sample(labels=(label("cat", score=0.5, state="verified"),))
    merged, _ = merge(base, ours, theirs)
    assert merged.labels == (label("cat", score=0.7, state="verified"),)


def test_one_and_true_are_two_values() -> None:
    base, ours, theirs = sample(meta={"a": 1}), sample(meta={"a": True}), sample(meta={"a": 1.0})
    assert set(merge(base, ours, theirs)[1].conflicts) == {"meta/a"}
    merged, _ = merge(base, ours, base.replace(split="val"))
    assert merged.meta["a"] is True


def test_a_null_in_extra_is_there() -> None:
    base = sample(extra={"area": None})
    sides = [sample(extra={"area": None, name: 1}) for name in ("a", "b")]
    assert merge(base, *sides)[0].extra == {"a": 1, "area": None, "b": 1}


# -- coverage ------------------------------------------------------------------------------------


def test_a_new_region_of_the_other_side_lowers_coverage() -> None:
    key = coverage_key("kind", node("animal"))
    sure = sample(coverage={key: "exhaustive"})
    cat, car = (sample(regions=(drawn(0, 0, 9, 9, kind=kind),)) for kind in ("cat", "car"))
    merged, notes = merge(sample(), sure, cat)
    assert (merged.coverage, notes.lowered) == ({key: "partial"}, [key])
    merged, notes = merge(sample(), sure, car)
    assert (merged.coverage, notes.lowered) == ({key: "exhaustive"}, [])


def test_who_takes_out_the_wrong_region_may_call_the_rest_complete() -> None:
    key = coverage_key("kind")
    base = sample(regions=(drawn(0, 0, 9, 9, kind="cat"),))
    merged, notes = merge(base, sample(coverage={key: "exhaustive"}), base.replace(split="val"))
    assert (merged.coverage, notes.lowered) == ({key: "exhaustive"}, [])


# -- keys ----------------------------------------------------------------------------------------


@pytest.fixture
def lab() -> Lab:
    return Lab()


def outcome(lab: Lab, *versions: dict[str, Sample]) -> tuple[dict[str, Sample], Dataset]:
    base, *sides = (lab.version(rows) for rows in versions)
    merged = lab.merge(base, *sides)
    return samples_of(merged), merged


def test_a_rename_and_an_edit(lab: Lab) -> None:
    edit = sample(split="val")
    rows, merged = outcome(lab, {"a": sample()}, {"b": sample()}, {"a": edit})
    assert (rows, conflicts_of(merged)) == ({"b": edit}, {})


def test_one_rename_by_both(lab: Lab) -> None:
    rows, merged = outcome(lab, {"a": sample()}, {"b": sample()}, {"b": sample(split="val")})
    assert (rows, conflicts_of(merged)) == ({"b": sample(split="val")}, {})


def test_two_renames(lab: Lab) -> None:
    edit = sample(split="val")
    rows, merged = outcome(lab, {"a": sample()}, {"b": sample()}, {"c": edit})
    assert rows == {"a": edit}
    (terms,) = conflicts_of(merged)["a"].values()
    assert [decode_field(KEY, add) for add in terms.adds] == ["b", "c"]


def test_a_swap_and_edits(lab: Lab) -> None:
    base = {"a": sample(), "b": sample(1)}
    swap = {"a": sample(1), "b": sample()}
    edit = {"a": sample(split="val"), "b": sample(1, split="train")}
    rows, merged = outcome(lab, base, swap, edit)
    assert rows == {"a": edit["b"], "b": edit["a"]}
    assert conflicts_of(merged) == {}


def test_a_sample_that_one_side_deletes_and_another_changes(lab: Lab) -> None:
    edit = sample(split="val")
    rows, merged = outcome(lab, {"a": sample()}, {}, {"a": edit})
    assert rows == {"a": sample()}
    terms = conflicts_of(merged)["a"][SAMPLE]
    assert [decode_field(SAMPLE, add) for add in terms.adds if add != ABSENT] == [edit]


def test_a_rename_is_no_reason_to_keep_what_another_side_deletes(lab: Lab) -> None:
    rows, merged = outcome(lab, {"a": sample()}, {}, {"b": sample()})
    assert (rows, conflicts_of(merged)) == ({}, {})


def test_two_images_at_one_key(lab: Lab) -> None:
    rows, merged = outcome(lab, {}, {"a": sample()}, {"a": sample(1)})
    assert rows == {}
    terms = conflicts_of(merged)["a"][SAMPLE]
    uids = {decode_field(SAMPLE, add).uid for add in terms.adds}
    assert uids == {UIDS[0], UIDS[1]}


def test_one_image_under_two_keys_is_told(lab: Lab) -> None:
    one, other = sample(), sample(4)  # of one blob
    told = lab.told(lab.version({}), lab.version({"a": one}), lab.version({"b": other}))
    assert told.twins == [(b"a", b"b")]
    assert set(samples_of(lab.read(told.snapshot))) == {"a", "b"}


def test_one_image_at_one_key_under_two_uids_is_one_sample(lab: Lab) -> None:
    rows, merged = outcome(lab, {}, {"a": sample(split="val")}, {"a": sample(4, meta={"a": 1})})
    assert rows == {"a": sample(split="val", meta={"a": 1})}
    assert conflicts_of(merged) == {}


def test_a_renamed_photo_and_a_copy_of_it_at_its_new_key(lab: Lab) -> None:
    copy = sample(4, labels=(label("cat"),))  # of the blob of sample 0
    _, merged = outcome(lab, {"a": sample()}, {"b": sample()}, {"a": sample(), "b": copy})
    terms = conflicts_of(merged)["b"][SAMPLE]
    assert {decode_field(SAMPLE, add).uid for add in terms.adds} == {UIDS[0], UIDS[4]}


def test_a_replaced_photo_and_labels_of_the_old_one(lab: Lab) -> None:
    """All three are to choose from: the labels, that the old one goes, and the new one."""
    edit = sample(labels=(label("cat"),))
    _, merged = outcome(lab, {"a": sample()}, {"a": sample(1)}, {"a": edit})
    found = [decode_field(SAMPLE, add) for add in conflicts_of(merged)["a"][SAMPLE].adds]
    assert sorted(each.uid for each in found) == [UIDS[0], UIDS[1]]
    assert edit in found


# -- links ---------------------------------------------------------------------------------------


def test_links_follow_a_region_that_became_one_with_another(lab: Lab) -> None:
    def pointing(own: bytes) -> Sample:
        link = Link(uid=UIDS[0], region=own, kind="holds")
        return sample(1, regions=(drawn(0, 0, 9, 9, own=b"9" * 16, links=(link,)),))

    base = lab.version({"a": sample(), "b": sample(1)})
    ours, theirs = (
        lab.version({"a": sample(regions=(drawn(0, 0, 99, 99, own=own),)), "b": pointing(own)})
        for own in (LOW, HIGH)
    )
    told = lab.told(base, ours, theirs)
    assert follow_joined(lab.objects, base, ours, told) == set()
    links = samples_of(lab.read(told.snapshot))["b"].regions[0].links
    assert links == (Link(uid=UIDS[0], region=LOW, kind="holds"),)
