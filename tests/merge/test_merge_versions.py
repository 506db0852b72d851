"""Laws of merging whole versions: keys, renames, and conflicts of the versions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from merge_strategies import (
    Lab,
    Rows,
    Said,
    conflicts_of,
    edited,
    said_in_conflict,
    said_of,
    same,
    samples_of,
    trees,
    vocabulary,
)

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import CONFLICTS, SAMPLES
from voyager.schema import Sample
from voyager.schema.codec import is_canonical_sample
from voyager.schema.conflict import is_canonical_conflicts
from voyager.schema.fields import decode_field

laws = examples(40, deep=2000)


def check_sound(version: Dataset) -> None:
    """Every row is canonical, and every uid and conflict has its place."""
    uids = [sample.uid for sample in samples_of(version).values()]
    assert len(uids) == len(set(uids))
    for _, row in version.rows(SAMPLES):
        assert is_canonical_sample(row)
    for at, row in version.rows(CONFLICTS):
        assert is_canonical_conflicts(at, row)
    for conflicts in conflicts_of(version).values():
        for path, terms in conflicts.items():
            for term in (*terms.adds, *terms.removes):
                decode_field(path, term)


@laws
@given(st.data())
def test_order_of_sides(data: st.DataObject) -> None:
    lab = Lab()
    tree = data.draw(trees())
    base = lab.version(tree)
    sides = [lab.version(data.draw(edited(tree))) for _ in range(data.draw(st.integers(2, 3)))]
    for start in (base, lab.version({})):
        found = [lab.merge(start, *order) for order in permutations(sides)]
        assert all(same(each, found[0]) for each in found)
        check_sound(found[0])


@laws
@given(st.data())
def test_one_side_and_equal_sides(data: st.DataObject) -> None:
    lab = Lab()
    tree = data.draw(trees())
    base = lab.version(tree)
    side = conflicted(lab, data, tree)
    assert same(lab.merge(base, base, side), side)
    assert same(lab.merge(base, side, base), side)
    assert same(lab.merge(base, side, side), side)
    assert same(lab.merge(side, side, base), base)
    assert same(lab.merge(lab.version({}), side, side), side)


def conflicted(lab: Lab, data: st.DataObject, tree: Rows, base: Dataset | None = None) -> Dataset:
    """A version with conflicts, if it comes to that, of edits of a tree."""
    one, other = (lab.version(data.draw(edited(tree))) for _ in range(2))
    return lab.merge(base or lab.version(tree), one, other)


@laws
@given(st.data())
def test_no_label_disappears(data: st.DataObject) -> None:
    lab = Lab()
    tree = data.draw(trees())
    base = lab.version(tree)
    sides = [lab.version(data.draw(edited(tree))) for _ in range(data.draw(st.integers(2, 3)))]
    check_kept(lab, base, sides, lab.merge(base, *sides))


def check_kept(lab: Lab, base: Dataset, sides: Sequence[Dataset], merged: Dataset) -> None:
    """Every label that a side brought is there, stands in a conflict, or was refined by one."""
    here = {_apart(said) for said in said_of(merged) | said_in_conflict(merged)}
    before = said_of(base) | said_in_conflict(base)
    for side in sides:
        for said in (said_of(side) | said_in_conflict(side)) - before:
            assert _apart(said) in here or _is_refined(said, here), said


def _apart(said: Said) -> tuple[Any, ...]:
    """A label without its region, which may be one with another."""
    uid, region, label = said
    return uid, region != b"", label


def _is_refined(said: Said, here: set[tuple[Any, ...]]) -> bool:
    uid, in_region, (task, source, own, _) = _apart(said)
    taxonomy = vocabulary().taxonomy_of(task)
    return own is not None and any(
        (uid, in_region, (task, source)) == (other[0], other[1], other[2][:2])
        and other[2][2] is not None
        and taxonomy is not None
        and own in taxonomy.above(other[2][2])
        for other in here
    )


@laws
@given(st.data())
def test_conflicted_versions(data: st.DataObject) -> None:
    """Merges of conflicted versions: one outcome in any order, and every way to settle is kept."""
    lab = Lab()
    tree = data.draw(trees())
    base = lab.version(tree)
    one = conflicted(lab, data, tree)
    other = data.draw(st.sampled_from([conflicted(lab, data, tree), later(lab, data, one)]))
    start = data.draw(st.sampled_from([base, one]))
    merged = lab.merge(start, one, other)
    assert same(merged, lab.merge(start, other, one))
    check_sound(merged)
    check_kept(lab, start, [one, other], merged)


def later(lab: Lab, data: st.DataObject, version: Dataset) -> Dataset:
    """A version after edits, which settle what they write."""
    before = samples_of(version)
    after = data.draw(edited(before))
    changes = {
        key: after.get(key) for key in {**before, **after} if after.get(key) != before.get(key)
    }
    return lab.staged(version, changes)


@laws
@given(st.data())
def test_sides_that_go_on_from_conflicts(data: st.DataObject) -> None:
    """As in a criss-cross, where the base is in conflict itself."""
    lab = Lab()
    start = conflicted(lab, data, data.draw(trees()))
    sides = [later(lab, data, start) for _ in range(data.draw(st.integers(2, 3)))]
    found = [lab.merge(start, *order) for order in permutations(sides)]
    assert all(same(each, found[0]) for each in found)
    check_sound(found[0])
    check_kept(lab, start, sides, found[0])


@laws
@given(st.data())
def test_three_by_two(data: st.DataObject) -> None:
    """(a + b) + c and a + (b + c) settle the same way wherever both settle."""
    lab = Lab()
    tree = data.draw(trees())
    base = lab.version(tree)
    a, b, c = (lab.version(data.draw(edited(tree))) for _ in range(3))
    left = lab.merge(base, lab.merge(base, a, b), c)
    right = lab.merge(base, a, lab.merge(base, b, c))
    check_sound(left)
    check_sound(right)
    for version in (left, right):
        check_kept(lab, base, [a, b, c], version)
    if not conflicts_of(left) and not conflicts_of(right):
        for one, other in zip(left.items(), right.items(), strict=True):
            assert _exact(*one) == _exact(*other)


def _exact(key: str, sample: Sample) -> tuple[Any, ...]:
    """The fields that are equal or not, and never alike."""
    labels = {label.replace(origin=None) for label in sample.labels}
    return key, sample.uid, sample.image, sample.split, dict(sample.meta), labels, sample.negatives
