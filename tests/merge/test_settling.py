"""Conflicts and those who edit: writing settles, rm drops, mv and swaps carry."""

from __future__ import annotations

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from merge_strategies import UIDS, Lab, conflicts_of, edited, node, same, samples_of, trees

from voyager import wire
from voyager.repo.dataset import Dataset
from voyager.schema import Box, Image, Label, Region, Sample
from voyager.schema.conflict import Terms
from voyager.schema.fields import KEY, SAMPLE, decode_field, pair_of, read_field

LABEL = "labels/kind/human"


def sample(number: int = 0, kind: str | None = None, **more: object) -> Sample:
    """A sample with an image of its own."""
    labels = () if kind is None else (Label(task="kind", node=node(kind)),)
    image = Image(blob=wire.blob_ref(UIDS[number] * 2))
    return Sample(uid=UIDS[number], image=image, labels=labels, **more)  # type: ignore[arg-type]


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def version(lab: Lab) -> Dataset:
    """Of `a` the class is in conflict, `b` is at rest."""
    base = lab.version({"a": sample(), "b": sample(1)})
    one, other = (lab.version({"a": sample(kind=kind), "b": sample(1)}) for kind in ("cat", "car"))
    found = lab.merge(base, one, other)
    assert set(conflicts_of(found)["a"]) == {LABEL}
    return found


def test_writing_the_field_settles_it(lab: Lab, version: Dataset) -> None:
    assert conflicts_of(lab.staged(version, {"a": sample(kind="dog")})) == {}


def test_writing_another_field_does_not(lab: Lab, version: Dataset) -> None:
    assert LABEL in conflicts_of(lab.staged(version, {"a": sample(split="val")}))["a"]


def test_rm_drops(lab: Lab, version: Dataset) -> None:
    assert conflicts_of(lab.staged(version, {"a": None})) == {}


def test_mv_carries(lab: Lab, version: Dataset) -> None:
    moved = lab.staged(version, {"a": None, "c": sample()})
    assert conflicts_of(moved) == {"c": conflicts_of(version)["a"]}


def test_a_swap_carries(lab: Lab, version: Dataset) -> None:
    moved = lab.staged(version, {"a": sample(1), "b": sample()})
    assert conflicts_of(moved) == {"b": conflicts_of(version)["a"]}


def test_a_chain_of_moves_carries(lab: Lab) -> None:
    base = lab.version({"a": sample(), "b": sample(1)})
    sides = [lab.version({"a": sample(kind=kind), "b": sample(1, kind)}) for kind in ("cat", "car")]
    version = lab.merge(base, *sides)
    moved = lab.staged(version, {"a": None, "b": sample(), "c": sample(1)})
    assert conflicts_of(moved) == {
        "b": conflicts_of(version)["a"],
        "c": conflicts_of(version)["b"],
    }


def test_another_sample_at_the_key_has_no_part_in_it(lab: Lab, version: Dataset) -> None:
    assert conflicts_of(lab.staged(version, {"a": sample(2)})) == {}


def test_mv_decides_two_renames(lab: Lab) -> None:
    base = lab.version({"a": sample()})
    version = lab.merge(base, lab.version({"b": sample()}), lab.version({"c": sample()}))
    assert set(conflicts_of(version)["a"]) == {KEY}
    assert conflicts_of(lab.staged(version, {"a": None, "b": sample()})) == {}


def test_one_side_that_settles_wins(lab: Lab, version: Dataset) -> None:
    settled = lab.staged(version, {"a": sample(kind="dog")})
    aside = lab.staged(version, {"b": sample(1, split="val")})
    for sides in ((settled, aside), (aside, settled)):
        merged = lab.merge(version, *sides)
        assert conflicts_of(merged) == {}
        assert samples_of(merged) == {"a": sample(kind="dog"), "b": sample(1, split="val")}


def test_taking_it_out_settles_it_too(lab: Lab) -> None:
    base = lab.version({"a": sample()})
    version = lab.merge(base, lab.version({}), lab.version({"a": sample(kind="cat")}))
    assert set(conflicts_of(version)["a"]) == {SAMPLE}
    merged = lab.merge(version, version, lab.staged(version, {"a": None}))
    assert (samples_of(merged), conflicts_of(merged)) == ({}, {})


def test_both_settling_it_alike_agree(lab: Lab, version: Dataset) -> None:
    sides = [
        lab.staged(version, {"a": sample(kind="dog", split=split)}) for split in ("val", "train")
    ]
    assert set(conflicts_of(lab.merge(version, *sides))["a"]) == {"split"}


def test_settling_it_differently_is_a_conflict_again(lab: Lab, version: Dataset) -> None:
    sides = [lab.staged(version, {"a": sample(kind=kind)}) for kind in ("dog", "cat")]
    terms = conflicts_of(lab.merge(version, *sides))["a"][LABEL]
    assert {decode_field(LABEL, add).node for add in terms.adds} == {node("dog"), node("cat")}


def test_removed_on_one_side_and_in_conflict_on_the_other(lab: Lab, version: Dataset) -> None:
    base = lab.version({"a": sample(), "b": sample(1)})
    merged = lab.merge(base, version, lab.version({"b": sample(1)}))
    terms = conflicts_of(merged)["a"][SAMPLE]
    ways = {None if way is None else way.labels for way in _values(SAMPLE, terms)}
    assert ways == {None, sample(kind="cat").labels, sample(kind="car").labels}


def test_a_region_removed_on_one_side_and_in_conflict_on_the_other(lab: Lab) -> None:
    def drawn(kind: str | None = None) -> Sample:
        region = Region(id=b"r" * 16, geometries={"box": Box(0, 0, 9, 9)})
        return sample(regions=(region.replace(labels=sample(kind=kind).labels),))

    base = lab.version({"a": drawn()})
    version = lab.merge(base, lab.version({"a": drawn("cat")}), lab.version({"a": drawn("car")}))
    path = f"regions/{(b'r' * 16).hex()}"
    assert set(conflicts_of(version)["a"]) == {f"{path}/{LABEL}"}
    merged = lab.merge(base, version, lab.version({"a": sample()}))
    assert set(conflicts_of(merged)["a"]) == {path}
    ways = {
        None if way is None else way.labels
        for way in _values(path, conflicts_of(merged)["a"][path])
    }
    assert ways == {None, drawn("cat").regions[0].labels, drawn("car").regions[0].labels}
    assert samples_of(merged) == {"a": drawn()}


def test_two_images_at_one_key_stay_in_conflict_whatever_else_is_merged(lab: Lab) -> None:
    base = lab.version({"b": sample(2)})
    one, other = (lab.version({"a": sample(at), "b": sample(2)}) for at in (0, 1))
    version = lab.merge(base, one, other)
    assert set(conflicts_of(version)["a"]) == {SAMPLE}
    merged = lab.merge(base, version, lab.version({"b": sample(2, split="val")}))
    assert conflicts_of(merged) == conflicts_of(version)


def _values(path: str, terms: Terms) -> list[Sample | Region | None]:
    return [decode_field(path, add) for add in terms.adds]


@examples(40, deep=2000)
@given(st.data())
def test_what_is_left_is_held_as_it_was(data: st.DataObject) -> None:
    """After any edits, what is still in conflict holds what it held, and all else is settled."""
    lab = Lab()
    tree = data.draw(trees())
    sides = [lab.version(data.draw(edited(tree))) for _ in range(2)]
    version = lab.merge(lab.version(tree), *sides)
    before = samples_of(version)
    after = data.draw(edited(before))
    changes = {key: after.get(key) for key in {**before, **after}}
    now = lab.staged(version, {k: v for k, v in changes.items() if v != before.get(k)})
    assert samples_of(now) == after
    keys = {each.uid: key for key, each in after.items()}
    for key, conflicts in conflicts_of(version).items():
        old = before.get(key)
        at = key if old is None else keys.get(old.uid)
        for path, terms in conflicts.items():
            if at is None or pair_of(path) is not None:
                continue
            left = conflicts_of(now).get(at, {})
            if path == KEY:
                assert (path in left) == (at == key)
            elif read_field(old, path) == read_field(after.get(at), path):
                assert left.get(path) == terms
            else:
                assert path not in left
    assert same(lab.merge(version, version, now), now)
