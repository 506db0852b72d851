"""The commit graph against brute force: ancestors, merge bases, topological walks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.errors import CorruptError
from voyager.store.history import (
    commits_between,
    is_ancestor,
    iter_history,
    merge_bases,
    read_commit,
    read_tag,
    write_commit,
)
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects

Graph = dict[int, list[int]]
"""Commit number → numbers of its parents, all lower."""


@st.composite
def graphs(draw: st.DrawFn, most: int = 12) -> Graph:
    """Histories with roots, chains, merges, octopuses and criss-crosses."""
    count = draw(st.integers(1, most))
    graph: Graph = {}
    for number in range(count):
        recent = list(range(max(0, number - 4), number))
        graph[number] = (
            draw(st.lists(st.sampled_from(recent), max_size=3, unique=True)) if recent else []
        )
    return graph


class Written:
    """A graph written as commits; times are scrambled, as clocks are."""

    def __init__(self, graph: Graph, times: list[int] | None = None) -> None:
        self.graph = graph
        self.objects = MemoryObjects()
        self.snapshot = self.objects.put(Kind.SNAPSHOT, b"\x80")
        self.ids: list[bytes] = []
        for number, parents in graph.items():
            self.ids.append(
                write_commit(
                    self.objects,
                    snapshot=self.snapshot,
                    parents=[self.ids[parent] for parent in parents],
                    author="a",
                    message=str(number),
                    time=times[number % len(times)] if times else number,
                    zone=0,
                )
            )
        self.numbers = {found: number for number, found in enumerate(self.ids)}

    def ancestors(self, number: int) -> set[int]:
        """The commit and all that is reachable from it."""
        found, todo = {number}, [number]
        while todo:
            for parent in self.graph[todo.pop()]:
                if parent not in found:
                    found.add(parent)
                    todo.append(parent)
        return found


@given(graphs())
def test_is_ancestor(graph: Graph) -> None:
    written = Written(graph)
    for one, other in itertools.product(graph, repeat=2):
        expected = one in written.ancestors(other)
        assert is_ancestor(written.objects, written.ids[one], written.ids[other]) == expected


@given(graphs())
def test_merge_bases_are_the_best_common_ancestors(graph: Graph) -> None:
    written = Written(graph)
    for one, other in itertools.product(graph, repeat=2):
        common = written.ancestors(one) & written.ancestors(other)
        best = {
            base
            for base in common
            if not any(base in written.ancestors(each) for each in common if each != base)
        }
        found = merge_bases(written.objects, written.ids[one], written.ids[other])
        assert {written.numbers[base] for base in found} == best
        assert found == sorted(found)


def test_a_criss_cross_has_two_bases() -> None:
    written = Written({0: [], 1: [0], 2: [0], 3: [1, 2], 4: [2, 1]})
    found = merge_bases(written.objects, written.ids[3], written.ids[4])
    assert {written.numbers[base] for base in found} == {1, 2}


@given(
    graphs(),
    st.lists(st.integers(0, 5), min_size=1, max_size=4),
    st.data(),
)
def test_iter_history_gives_children_before_parents_and_hides_what_is_without(
    graph: Graph, times: list[int], data: st.DataObject
) -> None:
    written = Written(graph, times)
    some = st.lists(st.sampled_from(sorted(graph)), max_size=3)
    tips, without = data.draw(some), data.draw(some)
    expected = set().union(*map(written.ancestors, tips)) - set().union(
        *map(written.ancestors, without)
    )
    walked = [
        written.numbers[found]
        for found, _ in iter_history(
            written.objects,
            [written.ids[tip] for tip in tips],
            without=[written.ids[hidden] for hidden in without],
        )
    ]
    assert sorted(walked) == sorted(expected)
    position = {number: at for at, number in enumerate(walked)}
    for number in walked:
        for parent in graph[number]:
            assert parent not in position or position[number] < position[parent]


@given(graphs(most=8))
def test_commits_between_counts_both_sides(graph: Graph) -> None:
    written = Written(graph)
    for one, other in itertools.product(graph, repeat=2):
        mine, theirs = written.ancestors(one), written.ancestors(other)
        found = commits_between(written.objects, written.ids[one], written.ids[other])
        assert found == (len(mine - theirs), len(theirs - mine))


@settings(max_examples=20)
@given(graphs())
def test_depth_is_one_more_than_the_deepest_parent(graph: Graph) -> None:
    written = Written(graph)
    for number, parents in graph.items():
        depth = read_commit(written.objects, written.ids[number]).depth
        deepest = max(
            (read_commit(written.objects, written.ids[parent]).depth for parent in parents),
            default=-1,
        )
        assert depth == deepest + 1


def test_a_walk_ends_early_when_nothing_is_left_to_show() -> None:
    chain = Written({number: [number - 1] if number else [] for number in range(200)})
    read = []
    original = chain.objects.get
    chain.objects.get = lambda found, kind: read.append(found) or original(found, kind)  # type: ignore[method-assign]
    walked = list(iter_history(chain.objects, [chain.ids[199]], without=[chain.ids[197]]))
    assert len(walked) == 2
    assert len(read) < 10


def test_a_missing_or_malformed_commit_is_corrupt() -> None:
    objects = MemoryObjects()
    with pytest.raises(CorruptError, match="missing"):
        read_commit(objects, bytes(32))
    commit_id = objects.put(Kind.COMMIT, b"\x80")
    with pytest.raises(CorruptError, match="does not decode"):
        read_commit(objects, commit_id)
    tag_id = objects.put(Kind.TAG, b"\x80")
    with pytest.raises(CorruptError, match="does not decode"):
        read_tag(objects, tag_id)
