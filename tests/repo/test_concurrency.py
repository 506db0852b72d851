"""Two processes and one repository: every commit that reported success is in the history."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from voyager.errors import RefMoved
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.store.history import iter_history

_COMMITS = 8
_spawn = multiprocessing.get_context("spawn")
_fork = multiprocessing.get_context("fork")


def _commit_many(folder: str, name: str, image: bytes) -> None:
    """Add one image a commit, trying again whenever another process was faster."""
    with Repository.open(folder) as repo:
        for number in range(_COMMITS):
            while True:
                try:
                    with repo.edit(message=f"{name} {number}") as edit:
                        edit.add_image(f"{name}/{number}.jpg", image + bytes([number]))
                    break
                except RefMoved:
                    continue


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    Repository.init(tmp_path / "data", worktree=False).close()
    return tmp_path / "data"


def test_two_writers_lose_no_commit(empty: Path) -> None:
    image = photo_paths()[0].read_bytes()
    writers = [
        _spawn.Process(target=_commit_many, args=(str(empty), name, image)) for name in ("a", "b")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    with Repository.open(empty) as repo:
        messages = [c.message for _, c in iter_history(repo.store, [repo.resolve("HEAD")])]
        assert sorted(messages) == sorted(f"{n} {i}" for n in ("a", "b") for i in range(_COMMITS))
        assert len(repo.at("HEAD")) == 2 * _COMMITS


def test_a_forked_child_writes_and_the_parent_goes_on(empty: Path) -> None:
    image = photo_paths()[0].read_bytes()
    with Repository.open(empty) as repo:
        with repo.edit(message="parent") as edit:
            edit.add_image("p.jpg", image)

        def child() -> None:
            with repo.edit(message="child") as edit:
                edit.add_image("c.jpg", image + b"c")

        forked = _fork.Process(target=child)
        forked.start()
        forked.join(60)
        assert forked.exitcode == 0
        with repo.edit(message="parent again") as edit:
            edit.add_image("q.jpg", image + b"q")
        assert sorted(repo.at("HEAD")) == ["c.jpg", "p.jpg", "q.jpg"]
        assert repo.at("HEAD").image_bytes("c.jpg") == image + b"c"
