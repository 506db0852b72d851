"""Bisect: the first bad commit of random histories, and what a search survives."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from math import ceil, log2

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from sealed_world import World

from voyager.errors import StateError
from voyager.repo import bisect
from voyager.repo.branches import create
from voyager.repo.repository import Repository
from voyager.repo.snapshot import write_snapshot
from voyager.repo.staging import replace_staging
from voyager.repo.undo import undo
from voyager.store.gc import collect
from voyager.store.history import write_commit
from voyager.store.refs import HEADS, move_ref, read_ref

Graph = list[list[int]]
"""Parents by number: commit n has parents below n."""


@st.composite
def graphs(draw: st.DrawFn, largest: int = 24) -> Graph:
    """Histories of one root, with branches and merges."""
    graph: Graph = [[]]
    for number in range(1, draw(st.integers(2, largest))):
        recent = st.integers(max(0, number - 5), number - 1)
        graph.append(draw(st.lists(recent, min_size=1, max_size=3, unique=True)))
    return graph


def reached(graph: Graph, number: int) -> set[int]:
    """What a commit reaches, with itself."""
    todo, seen = [number], {number}
    while todo:
        for parent in graph[todo.pop()]:
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return seen


def write(repo: Repository, graph: Graph) -> list[bytes]:
    """Commits of such a history, each of an empty version; the last is where `main` is."""
    ids: list[bytes] = []
    with repo.transaction("test") as txn:
        snapshot = write_snapshot(txn, {})
        for number, parents in enumerate(graph):
            ids.append(
                write_commit(
                    txn,
                    snapshot=snapshot,
                    parents=[ids[parent] for parent in parents],
                    author="Ann <ann@example.org>",
                    message=f"{number}",
                    time=1000 * number,
                    zone=0,
                )
            )
        old = read_ref(repo.store, HEADS + "main")
        move_ref(txn, HEADS + "main", ids[-1], old=old)
        replace_staging(txn, repo.staging, base=ids[-1], snapshot=snapshot)
        txn.commit()
    return ids


@pytest.fixture(scope="module")
def plain_repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with Repository.init(tmp_path_factory.mktemp("bisect"), worktree=False) as repo:
        yield repo


def search(repo: Repository, ids: list[bytes], bad: set[int], good: int) -> tuple[int, list[int]]:
    """Bisect from the last commit and a good one: the first bad commit, and what was tried."""
    tried: list[int] = []
    bisect.start(repo, ids[-1].hex(), [ids[good].hex()])

    def test(commit: bytes) -> bisect.Mark:
        assert repo.head.commit == commit and repo.head.detached
        tried.append(ids.index(commit))
        return "bad" if tried[-1] in bad else "good"

    try:
        found = bisect.run(repo, test)
    finally:
        bisect.reset(repo)
    assert repo.head.branch == "main"
    assert found.first_bad is not None
    return ids.index(found.first_bad), tried


@examples(40, deep=1000)
@given(graphs(), st.data())
def test_the_first_bad_commit_is_found(
    plain_repo: Repository, graph: Graph, data: st.DataObject
) -> None:
    """All that descends from one commit is bad; good is any ancestor of the tip that is not."""
    tip = len(graph) - 1
    known = sorted(reached(graph, tip) - {0})
    culprit = data.draw(st.sampled_from(known))
    bad = {number for number in range(tip + 1) if culprit in reached(graph, number)}
    good = data.draw(st.sampled_from(sorted(reached(graph, tip) - bad)))
    found, tried = search(plain_repo, write(plain_repo, graph), bad, good)
    assert found == culprit
    suspects = reached(graph, tip) - reached(graph, good)
    assert set(tried) <= suspects and len(set(tried)) == len(tried)


@examples(15, deep=300)
@given(st.integers(2, 70), st.data())
def test_a_line_is_halved(plain_repo: Repository, length: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(1, length - 1))
    line: Graph = [[], *([number] for number in range(length - 1))]
    ids = write(plain_repo, line)
    found, tried = search(plain_repo, ids, set(range(culprit, length)), 0)
    assert found == culprit
    assert len(tried) <= ceil(log2(length - 1)) + 1 if length > 2 else not tried


@examples(100, deep=2000)
@given(graphs(), st.data())
def test_the_commit_to_try_parts_best(graph: Graph, data: st.DataObject) -> None:
    total = len(graph)
    skipped = data.draw(st.sets(st.integers(0, total - 1)))
    names = [bytes([number]) for number in range(total)]
    newest_first = [(names[n], [names[parent] for parent in graph[n]]) for n in range(total)][::-1]
    counts = [len(reached(graph, number)) for number in range(total)]
    shares = {number: min(count, total - count) for number, count in enumerate(counts)}
    tried = {number: share for number, share in shares.items() if number not in skipped and share}
    found = bisect.halfway(newest_first, {names[number] for number in skipped})
    if found is None:
        assert not tried
    else:
        assert shares[found[0]] == max(tried.values()) and found[0] in tried


@pytest.fixture
def line(empty_repo: Repository) -> list[bytes]:
    """Nine commits in a line, on main."""
    return write(empty_repo, [[], *([number] for number in range(8))])


def test_what_was_said_survives_and_is_gone_on_with(
    empty_repo: Repository, line: list[bytes]
) -> None:
    """A kill between saying and going there: another process knows both."""
    bisect.start(empty_repo, "main", [line[0].hex()])
    with Repository.open(empty_repo.folder) as again:
        now = bisect.bisection(again)
        found = bisect.outlook(again, now)
        assert now.bad == line[8] and now.marked("good") == [line[0]]
        assert found.next == line[4] and found.steps == 3
        assert again.head.branch == "main"
        bisect.go_on(again, found)
        assert again.head.commit == line[4]
        assert bisect.go_on(again, found) is None


def test_undo_takes_back_what_was_said(empty_repo: Repository, line: list[bytes]) -> None:
    bisect.start(empty_repo, "main", [line[0].hex()])
    bisect.mark(empty_repo, "bad", [line[4]])
    undo(empty_repo)
    assert bisect.bisection(empty_repo).bad == line[8]


def test_commits_that_it_names_are_kept(empty_repo: Repository, line: list[bytes]) -> None:
    create(empty_repo, "old", line[0])
    bisect.start(empty_repo, "main", ["old"])
    bisect.go_on(empty_repo, bisect.outlook(empty_repo, bisect.bisection(empty_repo)))
    with empty_repo.transaction("test") as txn:
        for name, commit in (("main", line[8]), ("old", line[0])):
            move_ref(txn, HEADS + name, None, old=commit)
        txn.commit()
    collect(empty_repo.store, expire_ms=0, now_ms=1 << 42, author="Ann", prune_all=True)
    assert bisect.outlook(empty_repo, bisect.bisection(empty_repo)).suspects == tuple(line[8:0:-1])


def test_what_was_said_can_be_corrected(empty_repo: Repository, line: list[bytes]) -> None:
    bisect.start(empty_repo, "main", [line[0].hex()])
    bisect.mark(empty_repo, "bad", [line[4]])
    bisect.mark(empty_repo, "skip", [line[4], line[5]])  # the first is known: nothing is said
    now = bisect.mark(empty_repo, "good", [line[4]])
    assert now.bad == line[8]
    assert now.marked("good") == [line[0], line[4]]
    assert now.marked("skip") == [line[5]]
    with pytest.raises(StateError, match="is no ancestor of the bad one"):
        bisect.mark(empty_repo, "bad", [line[3]])
    assert bisect.bisection(empty_repo) == now


def test_a_run_needs_both(empty_repo: Repository, line: list[bytes]) -> None:
    bisect.start(empty_repo, "main")
    with pytest.raises(StateError, match="a bad and a good commit"):
        bisect.run(empty_repo, lambda commit: "good")


def test_nothing_in_common(empty_repo: Repository) -> None:
    ids = write(empty_repo, [[], [], [1]])
    with pytest.raises(StateError) as caught:
        bisect.start(empty_repo, ids[2].hex(), [ids[0].hex()])
    assert caught.value.hint == "vgr log --graph"


def test_a_run_without_a_working_tree(world: World) -> None:
    """The command learns the commit from its environment."""
    world.run("vgr init --bare store")
    with Repository.open(world.path("store")) as repo:
        ids = write(repo, [[], *([number] for number in range(8))])
    world.path("good.txt").write_text("\n".join(commit.hex() for commit in ids[:6]))
    code = "import os, pathlib; print('loud');"
    code += "exit(os.environ['VGR_BISECT_COMMIT'] not in pathlib.Path('../good.txt').read_text())"
    assert world.run("cd store").code == 0
    assert world.run(f"vgr bisect start main {ids[0].hex()}").code == 0
    done = world.vgr("bisect", "run", sys.executable, "-c", code)
    assert f"{ids[6].hex()} is the first bad commit" in done.out
    assert json.loads(world.vgr("bisect", "status", "--json").out)["first_bad"] == ids[6].hex()
