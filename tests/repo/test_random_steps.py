"""Random steps of a user: whatever they do, no file is lost and the stat cache tells the truth."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable

import pytest
from photo_repos import PHOTOS, files_of, save, say, take

from voyager.errors import VoyagerError
from voyager.repo import branches, stash
from voyager.repo.commit import commit
from voyager.repo.intake import hash_file
from voyager.repo.namespace import folders_of_all
from voyager.repo.repository import RUNNING, Repository
from voyager.repo.rows import move, remove, restore
from voyager.repo.snapshot import TRACKED
from voyager.repo.status import status
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.undo import undo
from voyager.store.ids import blob_id
from voyager.store.refs import Head

NAMES = ("a", "b", "a/x", "a/y", "b/c/z", "d.jpg", "e e.jpg", "d.jpg/inner")


class User:
    """Does one random thing after the other, and remembers what must not be lost."""

    def __init__(self, repo: Repository, seed: int) -> None:
        self.repo = repo
        self.random = random.Random(seed)
        self.log: list[str] = []

    def step(self) -> None:
        name = self.random.choice(list(STEPS))
        self.log.append(name)
        precious = {} if name in LOSSY else self._precious()
        try:
            STEPS[name](self)
        except VoyagerError as error:
            assert error.kind not in ("corrupt", "bug"), (error, self.log[-12:])
            self.log.append(f"  refused: {error}")
        kept = self._contents_on_disk() | self._contents_stored()
        lost = [key for key, blob in precious.items() if blob not in kept]
        assert not lost, (lost, self.log[-12:])
        self._check()

    def step_and_back(self) -> None:
        """A step that is one operation, and its undo: refs, staging and tracked files as before."""
        repo, before = self.repo, self._state()
        first = repo.store.last_seq()
        self.step()
        new = range(first + 1, repo.store.last_seq() + 1)
        steps = [number for number in new if repo.store.operation(number).kind != "begin"]
        if len(steps) != 1 or repo.store.operation(steps[0]).undoes:
            return
        self.log.append("  and back")
        try:
            undo(repo, steps[0])
        except VoyagerError as error:
            self.log.append(f"  refused: {error}")
            return
        assert self._state() == before, self.log[-3:]
        self._check()

    def _state(self) -> object:
        """HEAD, refs and every staged row."""
        staged = self.repo.staged()
        rows = [list(staged.rows(space)) for space in TRACKED]
        return self.repo.head, self.repo.store.values("refs/"), self.repo.staging.base, rows

    def _contents_on_disk(self) -> set[bytes]:
        return {hash_file(self.repo.tree() / key) for key in files_of(self.repo)}

    def _contents_stored(self) -> set[bytes]:
        return {blob for blob in _BLOBS if blob in self.repo.store}

    def _precious(self) -> dict[str, bytes]:
        """The files as they are: their bytes must stay on disk or be in the store."""
        return {key: hash_file(self.repo.tree() / key) for key in files_of(self.repo)}

    def _check(self) -> None:
        repo = self.repo
        assert repo.store.value(RUNNING) is None, "\n".join(self.log[-12:])
        assert repo.staging.base == repo.head.commit, "\n".join(self.log[-12:])
        staged = repo.staged()
        keys = [key for space in TRACKED for key, _ in staged.rows(space)]
        assert len(keys) == len(set(keys)), "\n".join(self.log[-12:])
        assert not folders_of_all(keys) & set(keys), "\n".join(self.log[-12:])
        cached = status(repo)
        (repo.folder / "cache" / "stat" / "blocks").unlink(missing_ok=True)
        assert status(repo) == cached, "\n".join(self.log[-12:])

    # -- what a user does ------------------------------------------------------------------------

    def key(self) -> str:
        tracked = [row.key for row in self.repo.staged().tracked()]
        return self.random.choice([*NAMES, *tracked])

    def write(self) -> None:
        path = self.repo.tree() / self.key()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.random.choice(CONTENTS))
        except OSError:  # a folder there, or a file where a folder would have to be
            return

    def delete(self) -> None:
        path = self.repo.tree() / self.key()
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()

    def rename_file(self) -> None:
        old, new = (self.repo.tree() / self.key() for _ in range(2))
        if old.is_file() and not new.exists() and new.parent.is_dir():
            os.rename(old, new)

    def go(self) -> None:
        names = [branch.name for branch in branches.branches(self.repo)]
        if names:
            switch(self.repo, branches.find_branch(self.repo, self.random.choice(names)))

    def go_back(self) -> None:
        switch(self.repo, Head(None, self.repo.resolve("HEAD~1")))

    def new_branch(self) -> None:
        switch_to_new(self.repo, f"b{self.random.randrange(4)}")

    def reset(self, mode: str) -> None:
        revision = self.random.choice(["HEAD", "HEAD~1", "HEAD@{1}"])
        reset(self.repo, self.repo.resolve(revision), mode)

    def label(self) -> None:
        keys = list(self.repo.staged())
        if keys:
            say(self.repo, self.random.choice(keys), self.random.choice(["straw", "felt hat"]))

    def commit(self) -> None:
        commit(self.repo, "step")


def _content(number: int) -> bytes:
    return PHOTOS[number].read_bytes()[: 2000 + number]


CONTENTS = [_content(number) for number in range(6)]
_BLOBS = [blob_id(content) for content in CONTENTS]

STEPS: dict[str, Callable[[User], object]] = {
    "write": User.write,
    "write again": User.write,
    "delete": User.delete,
    "rename file": User.rename_file,
    "label": User.label,
    "add": lambda user: take(user.repo),
    "add key": lambda user: take(user.repo, user.key()),
    "add -A": lambda user: take(user.repo, all=True),
    "add -u": lambda user: take(user.repo, all=True, tracked_only=True),
    "commit": User.commit,
    "add and commit": lambda user: save(user.repo, "step"),
    "rm": lambda user: remove(user.repo, [user.key()]),
    "rm --cached": lambda user: remove(user.repo, [user.key()], cached=True),
    "mv": lambda user: move(user.repo, [user.key()], user.key()),
    "restore": lambda user: restore(user.repo, [user.key()]),
    "restore --staged": lambda user: restore(user.repo, [user.key()], staged=True, worktree=False),
    "checkout HEAD~1 key": lambda user: restore(
        user.repo, [user.key()], source="HEAD~1", additive=True
    ),
    "switch": User.go,
    "switch again": User.go,
    "switch HEAD~1": User.go_back,
    "switch -c": User.new_branch,
    "reset --soft": lambda user: user.reset("soft"),
    "reset": lambda user: user.reset("mixed"),
    "reset --hard": lambda user: user.reset("hard"),
    "stash": lambda user: stash.push(user.repo),
    "stash -u": lambda user: stash.push(user.repo, untracked=True),
    "stash pop": lambda user: stash.apply(user.repo, stash.find_stash(user.repo), drop=True),
    "undo": lambda user: undo(user.repo),
    "redo": lambda user: undo(user.repo, user.repo.store.last_seq()),
}
LOSSY = {"write", "write again", "delete", "restore", "checkout HEAD~1 key", "reset --hard"}
"""Steps that overwrite or delete files on purpose."""


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost(empty_repo: Repository, seed: int) -> None:
    user = User(empty_repo, seed)
    for _ in range(30):
        user.step()
        user.step_and_back()


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 130))
def test_nothing_is_lost_in_long_stories(empty_repo: Repository, seed: int) -> None:
    user = User(empty_repo, seed)
    for _ in range(100):
        user.step()
        user.step_and_back()
