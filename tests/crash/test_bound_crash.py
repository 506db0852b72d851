"""A bound label file while the process that moves HEAD is killed, or out of space, at every step.

Whatever happens, edits that were not added stay, status can tell how the file stands, and
`restore` brings it in step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from examples import places
from killing import die_at, fail_at, steps_of
from small_stores import quick_folder
from test_repo_crash import copy

from voyager.errors import StateError
from voyager.formats.binding import attach, bind
from voyager.formats.importing import import_labels
from voyager.formats.registry import format_named
from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.rows import restore
from voyager.repo.stash import push
from voyager.repo.status import status
from voyager.repo.switch import continue_switch, switch
from voyager.samples import photo_paths
from voyager.store import fsck
from voyager.store.refs import Head

FILE = "labels.json"
NEW_STATES = {"in step", "added", "edited", "stale"}


def prepare(root: Path) -> None:
    """Two commits, the second with the box elsewhere, and a bound file."""
    root.joinpath("hat.jpg").write_bytes(photo_paths()[0].read_bytes())
    with Repository.init(root) as repo:
        for x in (10, 20):
            box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x, 10, 50, 50]}
            source = root.parent / "source.json"
            text = {
                "images": [{"id": 1, "file_name": "hat.jpg", "width": 400, "height": 500}],
                "annotations": [box],
                "categories": [{"id": 1, "name": "hat"}],
            }
            source.write_text(json.dumps(text))
            import_labels(repo, source, format_named("coco"))
            add(repo, ["."], cwd=root)
            commit(repo, str(x))
        bind(repo, FILE, "coco")


def edit(root: Path) -> None:
    value = json.loads((root / FILE).read_text())
    value["annotations"][0]["bbox"][0] = 30
    (root / FILE).write_text(json.dumps(value))


def edited(root: Path) -> None:
    prepare(root)
    edit(root)


def added(root: Path) -> None:
    edited(root)
    with Repository.open(root) as repo:
        attach(repo)
        add(repo, [FILE], cwd=root)


def go_back(repo: Repository) -> None:
    switch(repo, Head(None, repo.resolve("HEAD~1")))


def commit_another(repo: Repository) -> None:
    (repo.tree() / "notes.txt").write_text("notes")
    add(repo, ["notes.txt"], cwd=repo.tree())
    commit(repo, "notes")


@dataclass(frozen=True)
class Scenario:
    name: str
    prepare: Callable[[Path], None]
    act: Callable[[Repository], object]
    keeps: bool = False
    """Whether the file's edits belong to nobody yet, so that it must stay as it is."""

    def run(self, root: Path) -> None:
        with Repository.open(root) as repo:
            attach(repo)
            self.act(repo)


SCENARIOS = [
    Scenario("switch", prepare, go_back),
    Scenario("add", edited, lambda repo: add(repo, [FILE], cwd=repo.tree()), keeps=True),
    Scenario("commit", added, lambda repo: commit(repo, "moved")),
    Scenario("commit-another", edited, commit_another, keeps=True),
    Scenario("stash", edited, push),
    Scenario("restore", prepare, lambda repo: restore(repo, [FILE], source="HEAD~1")),
]


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    monkeypatch.setenv("VGR_NOW", "2026-01-02T03:04:05Z")
    return request.param


@pytest.fixture
def base(scenario: Scenario) -> Iterator[Path]:
    with quick_folder() as folder:
        base = folder / "base"
        base.mkdir()
        scenario.prepare(base)
        yield base


def place_in(root: Path) -> int:
    """Where the file has the box."""
    return int(json.loads((root / FILE).read_text())["annotations"][0]["bbox"][0])


def expect_whole(scenario: Scenario, base: Path, root: Path) -> None:
    """The file is whole, its edits are in it or in the repository, and it can be mended."""
    if scenario.keeps:
        assert (root / FILE).read_bytes() == (base / FILE).read_bytes()
    place = place_in(root)
    assert place in (10, 20, 30)
    with Repository.open(root) as repo:
        attach(repo)
        if repo.store.value(RUNNING) is not None:
            continue_switch(repo)
        (found,) = status(repo).bound
        assert found.state in NEW_STATES
        if place_in(base) == 30 != place:
            kept = [repo.staged(), *(repo.dataset_of(one) for one in commits_of(repo))]
            assert any(version["hat.jpg"].regions[0].geometry.x0 == 30 for version in kept)
        restore(repo, [FILE])
        (found,) = status(repo).bound
        assert found.state in ("in step", "added")
        assert place_in(root) == repo.staged()["hat.jpg"].regions[0].geometry.x0
    assert fsck.check(root / ".vgr").ok


def commits_of(repo: Repository) -> list[bytes]:
    names = ["refs/heads/", "refs/stash/"]
    return [bytes(value.data) for name in names for value in repo.store.values(name).values()]


def test_killed_at_every_step(scenario: Scenario, base: Path) -> None:
    trial = copy(base, "trial")
    steps = steps_of(lambda: scenario.run(trial))
    assert steps
    for number in places(len(steps)):
        root = copy(base, "killed")
        assert die_at(number, lambda root=root: scenario.run(root))
        expect_whole(scenario, base, root)


def test_a_full_disk_at_every_step(scenario: Scenario, base: Path) -> None:
    trial = copy(base, "trial")
    steps = steps_of(lambda: scenario.run(trial))
    for number in places(len(steps)):
        root = copy(base, "full")
        error = fail_at(number, lambda root=root: scenario.run(root))
        assert error is None or isinstance(error, OSError | StateError), repr(error)
        expect_whole(scenario, base, root)
