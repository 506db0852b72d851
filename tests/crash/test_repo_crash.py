"""A working tree and its repository killed, torn and out of space at every step of each verb.

Whatever happens, the repository opens, fsck is clean, HEAD is the old or the new commit, no byte
that was committed or lay in the working tree is lost, and an interrupted checkout can be finished
as well as taken back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from examples import places
from killing import die_at, fail_at, steps_of
from small_stores import quick_folder

from voyager.errors import StateError
from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.rows import move, remove
from voyager.repo.stash import apply, find_stash, push
from voyager.repo.status import status
from voyager.repo.switch import abort_switch, continue_switch, reset, switch
from voyager.repo.undo import undo
from voyager.samples import photo_paths
from voyager.store import fsck
from voyager.store.ids import blob_id
from voyager.store.refs import Head

PHOTOS = [path.read_bytes() for path in photo_paths()[:6]]


def write(root: Path, key: str, data: bytes) -> None:
    path = root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def edit_tree(root: Path) -> None:
    """One photo edited, one renamed, one deleted, one new, and the README longer."""
    write(root, "hat/1.jpg", PHOTOS[3])
    os.rename(root / "hat/2.jpg", root / "hat/renamed.jpg")
    os.unlink(root / "shoes/3.jpg")
    write(root, "new/5.jpg", PHOTOS[4])
    write(root, "README.md", b"edited\n" * 40)


def stage_all(repo: Repository) -> None:
    add(repo, ["."], cwd=repo.tree(), all=True)


def first_version(root: Path) -> None:
    for number, key in enumerate(("hat/1.jpg", "hat/2.jpg", "shoes/3.jpg")):
        write(root, key, PHOTOS[number])
    write(root, "README.md", b"photos\n")
    with Repository.init(root) as repo:
        stage_all(repo)
        commit(repo, "first")


def second_version(root: Path) -> None:
    first_version(root)
    edit_tree(root)
    with Repository.open(root) as repo:
        stage_all(repo)
        commit(repo, "second")


def edited(root: Path) -> None:
    first_version(root)
    edit_tree(root)


def staged(root: Path) -> None:
    edited(root)
    with Repository.open(root) as repo:
        stage_all(repo)


def stashed(root: Path) -> None:
    staged(root)
    with Repository.open(root) as repo:
        push(repo, "aside")


def undo_switch(root: Path) -> None:
    second_version(root)
    with Repository.open(root) as repo:
        switch(repo, Head(None, repo.resolve("HEAD~1")))


def edit_from_python(repo: Repository) -> None:
    with repo.edit(message="by program") as changes:
        changes.add_image("hat/program.jpg", PHOTOS[5])
        del changes["shoes/3.jpg"]


@dataclass(frozen=True)
class Scenario:
    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Repository], object]


SCENARIOS = [
    Scenario("add", edited, stage_all),
    Scenario("commit", staged, lambda repo: commit(repo, "second")),
    Scenario(
        "switch", second_version, lambda repo: switch(repo, Head(None, repo.resolve("HEAD~1")))
    ),
    Scenario("reset-hard", edited, lambda repo: reset(repo, repo.resolve("HEAD"), "hard")),
    Scenario("stash-push", staged, lambda repo: push(repo, "aside")),
    Scenario("stash-pop", stashed, lambda repo: apply(repo, find_stash(repo), drop=True)),
    Scenario("undo", undo_switch, undo),
    Scenario("rm", first_version, lambda repo: remove(repo, ["hat"])),
    Scenario("mv", first_version, lambda repo: move(repo, ["hat"], "caps")),
    Scenario("edit", first_version, edit_from_python),
]


@dataclass
class Prepared:
    """A scenario's folder before the act, and HEAD before and after it."""

    scenario: Scenario
    base: Path
    heads: set[bytes | None]
    kept: dict[bytes, bytes]
    steps: list[str]

    def act(self, root: Path) -> None:
        with Repository.open(root) as repo:
            self.scenario.act(repo)


def files_below(root: Path) -> dict[str, bytes]:
    found = {}
    for path in root.rglob("*"):
        key = path.relative_to(root).as_posix()
        if path.is_file() and not key.startswith(".vgr/"):
            found[key] = path.read_bytes()
    return found


def copy(base: Path, name: str) -> Path:
    target = base.parent / name
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(base, target)
    return target


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
        with Repository.open(base) as repo:
            before = repo.head.commit
            committed = {
                row.blob: repo.store.get_blob(row.blob) for row in repo.dataset_of(before).tracked()
            }
        # What a forced verb is asked to give up is not counted as lost.
        mine = {} if scenario.name == "reset-hard" else files_below(base)
        kept = committed | {blob_id(data): data for data in mine.values()}
        with Repository.open(copy(base, "through")) as repo:
            scenario.act(repo)
            after = repo.head.commit
        trial = copy(base, "trial")
        result = Prepared(scenario, base, {before, after}, kept, [])
        result.steps = steps_of(lambda: result.act(trial))
        yield result


def expect_nothing_lost(prepared: Prepared, root: Path) -> bool:
    """Check everything that must hold; whether a checkout is left to be finished."""
    with Repository.open(root) as repo:
        assert repo.head.commit in prepared.heads
        on_disk = {blob_id(data) for data in files_below(root).values()}
        for blob, data in prepared.kept.items():
            if blob not in on_disk:
                assert repo.store.get_blob(blob) == data
        for row in repo.dataset_of(repo.head.commit).tracked():
            assert blob_id(repo.store.get_blob(row.blob)) == row.blob
        status(repo)
        running = repo.store.value(RUNNING) is not None
    report = fsck.check(root / ".vgr")
    assert report.ok, report.problems
    return running


def expect_both_ways(prepared: Prepared, root: Path) -> None:
    """An interrupted checkout can be finished, and taken back."""
    for end in (continue_switch, abort_switch):
        with Repository.open(copy(root, "ending")) as repo:
            end(repo)
            assert repo.store.value(RUNNING) is None
            assert repo.head.commit in prepared.heads
            if end is abort_switch and prepared.scenario.name == "reset-hard":
                continue  # the edits that were not overwritten yet stay
            laid_out = files_below(repo.tree())
            for row in repo.staged().tracked():
                assert blob_id(laid_out[row.key]) == row.blob, (end, row.key)


@pytest.mark.parametrize("torn", [False, pytest.param(True, marks=pytest.mark.deep)])
def test_killed_at_every_step(prepared: Prepared, torn: bool) -> None:
    assert prepared.steps
    for number in places(len(prepared.steps)):
        root = copy(prepared.base, "killed")
        assert die_at(number, lambda root=root: prepared.act(root), torn=torn)
        if expect_nothing_lost(prepared, root):
            expect_both_ways(prepared, root)


def test_a_full_disk_at_every_step(prepared: Prepared) -> None:
    for number in places(len(prepared.steps)):
        root = copy(prepared.base, "full")
        error = fail_at(number, lambda root=root: prepared.act(root))
        assert error is None or isinstance(error, OSError | StateError), repr(error)
        if expect_nothing_lost(prepared, root):
            expect_both_ways(prepared, root)
        elif error is not None and prepared.scenario.name == "add":
            prepared.act(root)  # with room again, the same command goes through
