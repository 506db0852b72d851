"""Merges, resolves, rebases and their ends killed, torn and out of space at every step.

Whatever happens, the old state is whole or the new one is: HEAD, branches, what is staged, what
waits, and the files. An interrupted one can be finished and taken back, a replay that waits goes on
or is given up, and fsck is clean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from examples import places
from killing import die_at, fail_at, steps_of
from small_stores import quick_folder
from test_repo_crash import PHOTOS, copy, files_below, stage_all, write

from voyager.errors import StateError
from voyager.merge import abort as abort_merge
from voyager.merge import merge
from voyager.merge import proceed as proceed_merge
from voyager.merge.pick import cherry_pick, revert
from voyager.merge.rebase import rebase
from voyager.merge.resolve import resolve
from voyager.merge.resolving import Choice
from voyager.merge.resume import abort, proceed, skip
from voyager.repo.branches import find_branch
from voyager.repo.commit import commit
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import stage
from voyager.repo.switch import abort_switch, continue_switch, switch, switch_to_new
from voyager.schema import Label, encode_sample
from voyager.store import fsck

State = dict[str, Any]
A, B, C, D = "hat/1.jpg", "hat/2.jpg", "shoes/3.jpg", "new/4.jpg"


# -- what is prepared -----------------------------------------------------------------------------


def label(repo: Repository, key: str, value: str) -> None:
    sample = repo.staged()[key].replace(labels=(Label(task="color", value=value),))
    with repo.transaction("stage", key) as txn:
        stage(txn, repo.staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()


def save(repo: Repository, message: str, key: str, value: str) -> None:
    stage_all(repo)
    label(repo, key, value)
    commit(repo, message)


def apart(root: Path) -> None:
    """`main`, with B renamed; `other`, checked out: a photo more, one less, an edited README."""
    for number, key in enumerate((A, B, C)):
        write(root, key, PHOTOS[number])
    write(root, "README.md", b"photos\n")
    with Repository.init(root) as repo:
        stage_all(repo)
        commit(repo, "first")
        switch_to_new(repo, "other")
        write(root, D, PHOTOS[3])
        save(repo, "more", D, "blue")
        (root / C).unlink()
        write(root, "README.md", b"edited\n" * 40)
        save(repo, "less", A, "blue")
        switch(repo, find_branch(repo, "main"))
        (root / B).rename(root / "hat/renamed.jpg")
        save(repo, "renamed", "hat/renamed.jpg", "green")
        switch(repo, find_branch(repo, "other"))


def clash(root: Path) -> None:
    """The same, but `main` has another color of A."""
    apart(root)
    with Repository.open(root) as repo:
        switch(repo, find_branch(repo, "main"))
        save(repo, "green", A, "green")
        switch(repo, find_branch(repo, "other"))


def waiting(begin: Callable[[Repository], Any], *, resolved: bool) -> Callable[[Path], None]:
    """A merge or replay that stopped with the conflict, which is resolved or not."""

    def prepare(root: Path) -> None:
        clash(root)
        with Repository.open(root) as repo:
            assert begin(repo).result == "conflicts"
            if resolved:
                label(repo, A, "pink")

    return prepare


def merge_main(repo: Repository) -> Any:
    return merge(repo, "main")


def rebase_main(repo: Repository) -> Any:
    return rebase(repo, "main")


def pick_others(repo: Repository) -> Any:
    """Both commits of `other` on `main`, where the second one stops."""
    return cherry_pick(repo, "main..other")


def on_main(prepare: Callable[[Path], None]) -> Callable[[Path], None]:
    def prepared(root: Path) -> None:
        prepare(root)
        with Repository.open(root) as repo:
            switch(repo, find_branch(repo, "main"))

    return prepared


def stopped_pick(root: Path) -> None:
    on_main(clash)(root)
    with Repository.open(root) as repo:
        assert pick_others(repo).result == "conflicts"
        label(repo, A, "pink")


def disputed(root: Path) -> None:
    """A merge that waits: B has two names, C is deleted or changed, and a key has two photos."""
    apart(root)
    with Repository.open(root) as repo:
        (root / B).rename(root / "hat/two.jpg")
        stage_all(repo)
        commit(repo, "two")
        switch(repo, find_branch(repo, "main"))
        write(root, D, PHOTOS[4])
        save(repo, "red", C, "red")
        switch(repo, find_branch(repo, "other"))
        assert merge_main(repo).conflicts == 3


def resolve_all(repo: Repository) -> Any:
    """A photo is renamed, one goes, and one comes."""
    ways = {B: Choice("side", 1), C: Choice("side", 0), D: Choice("union")}
    done = resolve(repo, lambda space, key, path: ways[key.decode()])
    assert (done.left, len(done.moved), done.removed, len(done.added)) == (0, 1, [C], 1)
    return done


# -- what is done ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scenario:
    """`ends` says which replay waits before and maybe after it; it goes on and can be given up."""

    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Repository], object]
    ends: Any = None


SCENARIOS = [
    Scenario("merge", apart, merge_main),
    Scenario("merge-stops", clash, merge_main),
    Scenario("merge-continue", waiting(merge_main, resolved=True), proceed_merge),
    Scenario("merge-abort", waiting(merge_main, resolved=False), abort_merge),
    Scenario("resolve", disputed, resolve_all),
    Scenario("rebase", apart, rebase_main),
    Scenario("rebase-stops", clash, rebase_main),
    Scenario(
        "rebase-continue",
        waiting(rebase_main, resolved=True),
        lambda repo: proceed(repo, "rebase"),
        "rebase",
    ),
    Scenario(
        "rebase-skip",
        waiting(rebase_main, resolved=False),
        lambda repo: skip(repo, "rebase"),
        "rebase",
    ),
    Scenario(
        "rebase-abort",
        waiting(rebase_main, resolved=False),
        lambda repo: abort(repo, "rebase"),
        "rebase",
    ),
    Scenario("pick", on_main(apart), pick_others),
    Scenario("pick-stops", on_main(clash), pick_others),
    Scenario(
        "pick-continue", stopped_pick, lambda repo: proceed(repo, "cherry-pick"), "cherry-pick"
    ),
    Scenario("pick-abort", stopped_pick, lambda repo: abort(repo, "cherry-pick"), "cherry-pick"),
    Scenario("revert", apart, lambda repo: revert(repo, "HEAD~2..HEAD")),
]


def state_of(root: Path) -> State:
    """All that can be seen: HEAD, refs, what waits, what is staged, and the files."""
    with Repository.open(root) as repo:
        staged = repo.staged()
        spaces = sorted({*staged.roots, *(space for space, _ in staged.overlay)})
        values = {name: repo.store.value_bytes(name) for name in ("HEAD", "MERGING", "GUARD")}
        rows = {space: dict(staged.rows(space)) for space in spaces}
        return {
            **values,
            "refs": {name: bytes(ref.data) for name, ref in repo.store.values("refs/").items()},
            "base": repo.staging.base,
            "rows": {space: found for space, found in rows.items() if found},
            "files": files_below(root),
        }


@dataclass
class Prepared:
    """A scenario's folder, its states before and after, and what a continue commits on the way."""

    scenario: Scenario
    base: Path
    old: State
    new: State
    between: list[State]
    steps: list[str]

    def act(self, root: Path) -> None:
        with Repository.open(root) as repo:
            self.scenario.act(repo)


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def prepared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepared]:
    scenario: Scenario = request.param
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    monkeypatch.setenv("VGR_NOW", "2026-01-02T03:04:05Z")
    with quick_folder() as folder:
        base = folder / "base"
        base.mkdir()
        scenario.prepare(base)
        result = Prepared(scenario, base, state_of(base), {}, [], [])
        through = copy(base, "through")
        result.act(through)
        result.new = state_of(through)
        assert result.new != result.old
        if scenario.name.endswith("-continue"):
            committed = copy(base, "committed")
            with Repository.open(committed) as repo:
                commit(repo, "")
            result.between.append(state_of(committed))
        trial = copy(base, "trial")
        result.steps = steps_of(lambda: result.act(trial))
        yield result


# -- what must hold -------------------------------------------------------------------------------


def expect_whole(prepared: Prepared, root: Path) -> None:
    """One of the states, or a checkout that leads to the old one as well as to the new one."""
    with Repository.open(root) as repo:
        running = repo.store.value(RUNNING) is not None
    report = fsck.check(root / ".vgr")
    assert report.ok, report.problems
    if running:
        forward, back = copy(root, "forward"), copy(root, "back")
        with Repository.open(forward) as repo:
            continue_switch(repo)
        assert state_of(forward) == prepared.new
        with Repository.open(back) as repo:
            abort_switch(repo)
        root = back
    found = state_of(root)
    assert found in (prepared.old, prepared.new, *prepared.between)
    if prepared.scenario.ends is not None and found["MERGING"] is not None:
        expect_both_ends(prepared, root)


def expect_both_ends(prepared: Prepared, root: Path) -> None:
    """A replay that waits still goes on to where it leads, and can be given up."""
    kind, name = prepared.scenario.ends, prepared.scenario.name
    ending = copy(root, "ending")
    with Repository.open(ending) as repo:
        abort(repo, kind)
        assert repo.store.value("MERGING") is None
        assert repo.head.branch == ("other" if kind == "rebase" else "main")
        for row in repo.staged().tracked():
            assert (ending / row.key).read_bytes() == repo.store.get_blob(row.blob)
    if name.endswith("-continue"):
        prepared.act(root)
        assert state_of(root) == prepared.new


@pytest.mark.parametrize("torn", [False, pytest.param(True, marks=pytest.mark.deep)])
def test_killed_at_every_step(prepared: Prepared, torn: bool) -> None:
    assert prepared.steps
    for number in places(len(prepared.steps)):
        root = copy(prepared.base, "killed")
        assert die_at(number, lambda root=root: prepared.act(root), torn=torn)
        expect_whole(prepared, root)


def test_a_full_disk_at_every_step(prepared: Prepared) -> None:
    for number in places(len(prepared.steps)):
        root = copy(prepared.base, "full")
        error = fail_at(number, lambda root=root: prepared.act(root))
        assert error is None or isinstance(error, OSError | StateError), repr(error)
        expect_whole(prepared, root)
