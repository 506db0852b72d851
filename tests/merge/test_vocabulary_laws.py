"""Laws of merges of vocabularies, over random edits of each side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st
from vocabulary_edits import EDITS, Edit, content, edited, told, vocabularies

from voyager.merge.vocabulary import merge_vocabulary
from voyager.repo.snapshot import TASKS, TAXONOMIES
from voyager.schema.conflict import ABSENT, conflict_key, encode_conflicts, is_canonical_conflicts
from voyager.schema.task import Task
from voyager.schema.taxonomy import Node
from voyager.schema.taxonomy_faults import iter_faults
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_fields import LIFE, NODE, TASK, find_term, iter_parts
from voyager.schema.vocabulary_rows import (
    decode_node,
    decode_task,
    encode_node,
    encode_task,
    node_key,
    parse_node_key,
)

SIDES = st.lists(EDITS, min_size=1, max_size=6)


def rows_of(vocabulary: Vocabulary) -> dict[tuple[str, bytes], bytes]:
    rows = {(TASKS, name.encode()): encode_task(task) for name, task in vocabulary.tasks.items()}
    for name, taxonomy in vocabulary.taxonomies.items():
        rows[TAXONOMIES, node_key(name, None)] = encode_node(taxonomy.root)
        for key, node in taxonomy.nodes.items():
            rows[TAXONOMIES, node_key(name, key)] = encode_node(node)
    return rows


def rows_of_changes(base: Vocabulary, side: Vocabulary) -> Iterator[tuple[str, bytes, bytes]]:
    before = rows_of(base)
    for (space, key), row in rows_of(side).items():
        if before.get((space, key)) != row:
            yield space, key, row


def decode(space: str, row: bytes) -> Node | Task:
    return decode_task(row) if space == TASKS else decode_node(row)


def key_in(here: Vocabulary, side: Vocabulary, key: bytes) -> bytes | None:
    """Where a row of a side is in another vocabulary, in which its taxonomy may be renamed."""
    name, node = parse_node_key(key)
    minted = side.taxonomies[name].minted_as
    for taxonomy in here.taxonomies.values():
        if taxonomy.minted_as == minted and (node is None or node in taxonomy.nodes):
            return node_key(taxonomy.name, node)
    return None


def lacks(vocabulary: Vocabulary, space: str, key: bytes) -> bool:
    """Whether there is no such task, or no such class in any taxonomy that lives."""
    if space == TASKS:
        return key.decode() not in vocabulary.tasks
    name, node = parse_node_key(key)
    if node is None:
        return name not in vocabulary.taxonomies or vocabulary.taxonomies[name].dead
    return not any(node in taxonomy for taxonomy in vocabulary.taxonomies.values())


@given(vocabularies(), SIDES)
def test_who_changed_alone_is_right(base: Vocabulary, edits: list[Edit]) -> None:
    side = edited(base, edits)
    for sides in ([side], [side, side], [side, base], [base, side, base], [side, base, side]):
        merged = merge_vocabulary(base, sides)
        assert content(merged.vocabulary) == content(side)
        assert not merged.conflicts


@given(vocabularies(), st.lists(SIDES, min_size=2, max_size=3))
def test_a_merge_is_symmetric_and_can_be(base: Vocabulary, edits: list[list[Edit]]) -> None:
    sides = [edited(base, some) for some in edits]
    merged = merge_vocabulary(base, sides)
    for order in permutations(sides):
        assert told(merge_vocabulary(base, order)) == told(merged)
    assert list(iter_faults(merged.vocabulary)) == []
    rows = rows_of(merged.vocabulary)
    for (space, key), conflicts in merged.conflicts.items():
        at = conflict_key(space, key)
        assert is_canonical_conflicts(at, encode_conflicts(conflicts, key))
        assert (space, key) in rows
    for side in sides:
        found = rows_of(side)
        for space, key, row in merged.changes(side):
            if row is None:
                del found[space, key]
            else:
                found[space, key] = row
        assert found == rows


@given(vocabularies(), st.lists(SIDES, min_size=3, max_size=3))
def test_merges_associate_where_nothing_is_in_conflict(
    base: Vocabulary, edits: list[list[Edit]]
) -> None:
    one, two, three = (edited(base, some) for some in edits)
    first, last = merge_vocabulary(base, [one, two]), merge_vocabulary(base, [two, three])
    left = merge_vocabulary(base, [first.vocabulary, three])
    right = merge_vocabulary(base, [one, last.vocabulary])
    if any(merged.conflicts for merged in (first, last, left, right)):
        return
    merged = merge_vocabulary(base, [one, two, three])
    assert told(left) == told(right) == told(merged)


@given(vocabularies(), st.lists(SIDES, min_size=2, max_size=3))
def test_what_a_side_said_is_there_or_in_conflict_or_taken_away(
    base: Vocabulary, edits: list[list[Edit]]
) -> None:
    sides = [edited(base, some) for some in edits]
    merged = merge_vocabulary(base, sides)
    for side in sides:
        for space, key, row in rows_of_changes(base, side):
            here = merged.vocabulary
            own = key if space == TASKS else key_in(here, side, key)
            if own is None:
                assert any(lacks(some, space, key) for some in sides)
                continue
            conflicts = merged.conflicts.get((space, own), {})
            if {NODE, TASK} & conflicts.keys():
                continue
            for path, _ in iter_parts(decode(space, row)):
                said = find_term(side, here, space, own, path)
                if said == find_term(base, here, space, own, path):
                    continue
                if path in ("order", "scope", "minted") or path in conflicts:
                    continue
                made = find_term(base, here, space, own, NODE) == ABSENT
                if path == LIFE and made:  # made here and taken away again, kept there
                    continue
                assert find_term(here, here, space, own, path) == said
        for taxonomy in side.taxonomies.values():
            for node in taxonomy:
                lives = any(known.live(node) for known in merged.vocabulary.taxonomies.values())
                gone = (lacks(some, TAXONOMIES, node_key("t", node)) for some in sides)
                assert lives or any(gone)


@given(vocabularies(), st.lists(SIDES, min_size=2, max_size=2), SIDES)
def test_conflicts_stand_until_a_side_settles_them(
    base: Vocabulary, edits: list[list[Edit]], more: list[Edit]
) -> None:
    sides = [edited(base, some) for some in edits]
    merged = merge_vocabulary(base, sides)
    now, standing = merged.vocabulary, merged.conflicts
    again = merge_vocabulary(base, [now, base], standing=[{}, standing, {}])
    assert told(again) == told(merged)
    again = merge_vocabulary(now, [now, now], standing=[standing] * 3)
    assert told(again) == told(merged)
    again = merge_vocabulary(now, [now, now, now], standing=[standing, standing, {}, standing])
    assert told(again) == (content(now), {})
    other = edited(base, more)
    third = merge_vocabulary(base, [now, other], standing=[{}, standing, {}])
    assert list(iter_faults(third.vocabulary)) == []
    for (space, key), conflicts in standing.items():
        here = key if space == TASKS else key_in(third.vocabulary, now, key)
        if here is None:
            continue
        kept = third.conflicts.get((space, here), {})
        for path, terms in conflicts.items():
            said = find_term(other, now, space, key, path)
            same = said == find_term(base, now, space, key, path)
            if same and path not in (NODE, TASK, "taxonomy"):
                assert kept[path] == terms
