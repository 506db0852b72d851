"""A small model of the whole system, plain dicts, beside a real repository with a working tree.

Hypothesis edits files and runs verbs in any order. What the model says of HEAD, branches, staging,
files and history must hold after every step, and no file that nobody took may ever be lost.
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from voyager.errors import StateError, VoyagerError
from voyager.repo import stash
from voyager.repo.add import add
from voyager.repo.branches import branches, delete, find_branch
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.status import status
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.undo import undo
from voyager.store.fsck import check
from voyager.store.gc import collect
from voyager.store.history import read_commit
from voyager.store.ids import blob_id
from voyager.store.rebuild import rebuild
from voyager.store.refs import Head

Tree = dict[str, bytes]
"""Key → content."""

KEYS = ["a.png", "d/b.png", "d/e/c.txt", "z.txt"]
BRANCHES = ["main", "one", "two"]


def _png(width: int) -> bytes:
    """A grey image of that width, one pixel high."""
    rows = zlib.compress(b"\0" + bytes(width))
    parts = ((b"IHDR", struct.pack(">IIBBBBB", width, 1, 8, 0, 0, 0, 0)), (b"IDAT", rows))
    chunks = [*parts, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


CONTENTS = [_png(1), _png(2), _png(3), b"text\n", b""]


@dataclass(frozen=True)
class World:
    """What the model knows. Dicts in it are replaced, never changed."""

    disk: Tree = field(default_factory=dict)
    staged: Tree = field(default_factory=dict)
    branch: str | None = "main"
    commit: bytes | None = None
    branches: dict[str, bytes] = field(default_factory=dict)
    commits: dict[bytes, tuple[Tree, list[bytes]]] = field(default_factory=dict)
    stashes: tuple[bytes, ...] = ()

    @property
    def base(self) -> Tree:
        return {} if self.commit is None else self.commits[self.commit][0]

    def with_commit(self, commit_id: bytes | None, **changes: Any) -> World:
        """On another commit, the current branch moved along."""
        moved = dict(self.branches)
        if self.branch is not None and commit_id is not None:
            moved[self.branch] = commit_id
        return replace(self, commit=commit_id, branches=moved, **changes)


def laid_out(disk: Tree, before: Tree, after: Tree) -> Tree:
    """The files after tracked ones went from one version to another."""
    left = {key: data for key, data in disk.items() if key not in before or key in after}
    changed = {key: data for key, data in after.items() if before.get(key) != data}
    return {**left, **changed}


def carried(base: Tree, staged: Tree, there: Tree) -> Tree:
    """Staged changes on top of another version."""
    result = dict(there)
    for key in base.keys() | staged.keys():
        if base.get(key) != staged.get(key):
            if key in staged:
                result[key] = staged[key]
            else:
                result.pop(key, None)
    return result


class Model(RuleBasedStateMachine):
    """The rules; each runs a verb and says what the world is like then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="vgr-model-"))
        self.clock = 1_767_600_000_000
        self.tick()
        self.repo = Repository.init(self.folder / "work")
        self.world = World()
        self.undoable = None

    @property
    def undoable(self) -> World | None:
        """The world before the last step, where that was one operation."""
        return self._undoable

    @undoable.setter
    def undoable(self, world: World | None) -> None:
        self._undoable, self.files_follow = world, False

    def teardown(self) -> None:
        self.repo.close()
        shutil.rmtree(self.folder)

    @invariant()
    def tick(self) -> None:
        """A second goes by at every step, so that commits have the same ids in every run."""
        self.clock += 1000
        os.environ["VGR_NOW"] = str(self.clock)

    @initialize()
    def begin(self) -> None:
        for key, data in zip(KEYS[:3], CONTENTS, strict=False):
            self.write(key, data)
        self.add_all()
        self.commit()
        self.undoable = None  # so that there always is a commit to go to

    # -- files -----------------------------------------------------------------------------------

    @rule(key=st.sampled_from(KEYS), data=st.sampled_from(CONTENTS))
    def write(self, key: str, data: bytes) -> None:
        path = self.repo.tree() / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.world = replace(self.world, disk={**self.world.disk, key: data})
        self.undoable = None

    @precondition(lambda self: self.world.disk)
    @rule(data=st.data())
    def delete_file(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.world.disk)))
        (self.repo.tree() / key).unlink()
        self.world = replace(self.world, disk=_without(self.world.disk, key))
        self.undoable = None

    # -- staging ---------------------------------------------------------------------------------

    @rule()
    def add_all(self) -> None:
        before = self.world
        done = add(self.repo, ["."], cwd=self.repo.tree(), all=True)
        self.world = replace(before, staged=dict(before.disk))
        self.undoable = before if done.changes else None

    @precondition(lambda self: self.world.disk)
    @rule(data=st.data())
    def add_one(self, data: st.DataObject) -> None:
        before = self.world
        key = data.draw(st.sampled_from(sorted(before.disk)))
        done = add(self.repo, [key], cwd=self.repo.tree())
        staged = {**before.staged, key: before.disk[key]}
        for old, _ in done.renamed:  # a vanished file with these bytes moved here
            staged = _without(staged, old)
        self.world = replace(before, staged=staged)
        self.undoable = before if done.changes else None

    @precondition(lambda self: self.world.staged or self.world.base)
    @rule(data=st.data(), staged=st.booleans())
    def restore_one(self, data: st.DataObject, staged: bool) -> None:
        before = self.world
        known = before.staged.keys() | before.base.keys() if staged else before.staged.keys()
        if not known:
            return
        key = data.draw(st.sampled_from(sorted(known)))
        restore(self.repo, [key], staged=staged, worktree=not staged)
        source = before.base if staged else before.staged
        target = before.staged if staged else before.disk
        result = {**target, key: source[key]} if key in source else _without(target, key)
        self.world = replace(before, **{"staged" if staged else "disk": result})
        self.undoable = None

    # -- history ---------------------------------------------------------------------------------

    @rule()
    def commit(self) -> None:
        before = self.world
        try:
            made = commit(self.repo, "step").commit
        except StateError:
            assert before.staged == before.base
            return
        parents = [] if before.commit is None else [before.commit]
        commits = {**before.commits, made: (before.staged, parents)}
        self.world = replace(before, commits=commits).with_commit(made)
        self.undoable = before

    @rule(name=st.sampled_from(BRANCHES))
    def branch(self, name: str) -> None:
        before = self.world
        if self.refused(lambda: switch_to_new(self.repo, name)):
            assert name in before.branches
            return
        moved = {**before.branches, name: before.commit}
        self.world = replace(before, branch=name, branches=moved)
        self.undoable = before

    @rule(name=st.sampled_from(BRANCHES))
    def switch(self, name: str) -> None:
        before = self.world
        if name not in before.branches:
            assert self.refused(lambda: switch(self.repo, find_branch(self.repo, name)))
            return
        self.go(Head(name, before.branches[name]))

    @rule(data=st.data())
    def detach(self, data: st.DataObject) -> None:
        self.go(Head(None, self.any_commit(data)))

    def go(self, head: Head) -> None:
        before = self.world
        assert head.commit is not None
        there = before.commits[head.commit][0]
        if self.refused(lambda: switch(self.repo, head)):
            assert not before.disk == before.staged == before.base
            return
        staged = carried(before.base, before.staged, there)
        self.lay_out(before, staged, branch=head.branch, commit=head.commit)

    @rule(data=st.data(), mode=st.sampled_from(["soft", "mixed", "hard"]))
    def reset(self, data: st.DataObject, mode: str) -> None:
        before = self.world
        target = self.any_commit(data)
        reset(self.repo, target, mode)
        there = before.commits[target][0]
        staged = before.staged if mode == "soft" else there
        disk = before.disk
        if mode == "hard":
            gone = before.staged.keys() - there.keys()
            disk = {**{k: v for k, v in disk.items() if k not in gone}, **there}
        self.world = before.with_commit(target, staged=staged, disk=disk)
        self.undoable = None if mode == "hard" else before

    @precondition(lambda self: len(self.world.branches) > 1)
    @rule(data=st.data())
    def delete_branch(self, data: st.DataObject) -> None:
        before = self.world
        others = sorted(before.branches.keys() - {before.branch})
        if not others:
            return
        name = data.draw(st.sampled_from(others))
        delete(self.repo, [name], force=True)
        left = {key: value for key, value in before.branches.items() if key != name}
        self.world = replace(before, branches=left)
        self.undoable = before

    # -- putting aside, taking back --------------------------------------------------------------

    @rule()
    def stash(self) -> None:
        before = self.world
        found = {key: before.disk[key] for key in before.staged if key in before.disk}
        taken = replace(before, staged=found)
        if self.refused(lambda: stash.push(self.repo, "aside")):
            in_way = before.disk.keys() & before.base.keys() - before.staged.keys()
            assert found == before.base or in_way
            rows = {row.key: row.blob for row in self.repo.staged().tracked()}
            if rows == {key: blob_id(data) for key, data in found.items()}:
                self.world = taken
            return
        made = self.repo.resolve("stash")
        commits = {**before.commits, made: (found, [before.commit])}
        self.lay_out(replace(taken, commits=commits), before.base, forget=True)
        self.world = replace(self.world, stashes=(*before.stashes, made))

    @precondition(lambda self: self.world.stashes)
    @rule()
    def unstash(self) -> None:
        before = self.world
        tree, (parent,) = before.commits[before.stashes[-1]]
        base = before.commits[parent][0]
        newest = stash.find_stash(self.repo)
        if self.refused(lambda: stash.apply(self.repo, newest, drop=True)):
            assert not before.disk == before.staged == base
            return
        self.lay_out(before, carried(base, tree, before.staged))
        self.world = replace(self.world, stashes=before.stashes[:-1])

    @precondition(lambda self: self.undoable is not None)
    @rule()
    def undo(self) -> None:
        before, back = self.world, self.undoable
        assert back is not None
        if self.refused(lambda: undo(self.repo)):
            assert self.files_follow
            assert before.disk != before.staged
            return
        disk = before.disk
        if self.files_follow:
            disk = laid_out(disk, before.staged, back.staged)
        self.world = replace(back, commits=before.commits, disk=disk)
        self.undoable = None

    # -- the store -------------------------------------------------------------------------------

    @rule()
    def gc(self) -> None:
        now = self.clock + 1000
        collect(self.repo.store, expire_ms=0, now_ms=now, author="A <a>", prune_all=True)
        kept = self.reachable()
        left = {key: value for key, value in self.world.commits.items() if key in kept}
        self.world = replace(self.world, commits=left)
        self.undoable = None

    @rule(lose_index=st.booleans())
    def reopen(self, lose_index: bool) -> None:
        self.repo.close()
        if lose_index:
            rebuild(self.folder / "work" / ".vgr")
        self.repo = Repository.open(self.folder / "work")

    # -- what must hold --------------------------------------------------------------------------

    @invariant()
    def head_and_branches(self) -> None:
        head = self.repo.head
        assert (head.branch, head.commit) == (self.world.branch, self.world.commit)
        assert {branch.name: branch.commit for branch in branches(self.repo)} == self.world.branches
        found = [one.commit for one in reversed(stash.stashes(self.repo))]
        assert found == list(self.world.stashes)

    @invariant()
    def files(self) -> None:
        root = self.repo.tree()
        found = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file() and ".vgr" not in path.relative_to(root).parts
        }
        assert found == self.world.disk

    @invariant()
    def staging_and_status(self) -> None:
        world, found = self.world, status(self.repo)
        rows = {row.key: row.blob for row in self.repo.staged().tracked()}
        assert rows == {key: blob_id(data) for key, data in world.staged.items()}
        differing = {key for key in world.staged if world.disk.get(key) != world.staged[key]}
        assert set(found.modified) == differing & world.disk.keys()
        assert set(found.deleted) == differing - world.disk.keys()
        assert set(found.untracked) == world.disk.keys() - world.staged.keys()
        named = {key for one in found.staged for key in (one.key, one.old_key) if key is not None}
        both = world.staged.keys() | world.base.keys()
        assert named >= {key for key in both if world.staged.get(key) != world.base.get(key)}

    @invariant()
    def history(self) -> None:
        for commit_id, (tree, parents) in self.world.commits.items():
            version = self.repo.dataset_of(commit_id)
            assert read_commit(self.repo.store, commit_id).parent_ids == parents
            assert {row.key: version.file_bytes(row.key) for row in version.tracked()} == tree

    # -- helpers ---------------------------------------------------------------------------------

    def refused(self, action: Callable[[], object]) -> bool:
        """Whether a verb said no; the invariants then see that it changed nothing."""
        try:
            action()
        except VoyagerError as error:
            note(f"refused: {error}")
            self.undoable = None
            return True
        return False

    def lay_out(self, before: World, staged: Tree, *, forget: bool = False, **changes: Any) -> None:
        """The world after a verb that went to another staged version."""
        disk = laid_out(before.disk, before.staged, staged)
        for key in before.disk:
            # What nobody has taken is still there, whatever was asked for.
            if before.disk[key] != before.staged.get(key):
                assert disk.get(key) == before.disk[key] or disk.get(key) == staged.get(key)
                assert disk.get(key) == before.disk[key] or before.disk[key] == staged.get(key)
        self.world = replace(before, staged=staged, disk=disk, **changes)
        self.undoable = None if forget else before
        self.files_follow = True

    def any_commit(self, data: st.DataObject) -> bytes:
        stashes = set(self.world.stashes)
        known = sorted(key for key in self.world.commits if key not in stashes)
        return data.draw(st.sampled_from(known))

    def reachable(self) -> set[bytes]:
        world = self.world
        todo = [*world.branches.values(), *world.stashes, *([world.commit] if world.commit else [])]
        found: set[bytes] = set()
        while todo:
            commit_id = todo.pop()
            if commit_id not in found:
                found.add(commit_id)
                todo += world.commits[commit_id][1]
        return found


def _without(tree: Tree, key: str) -> Tree:
    return {other: data for other, data in tree.items() if other != key}


class Checked(Model):
    """As the model, with a full check of the store at the end."""

    def teardown(self) -> None:
        report = check(self.repo.folder)
        super().teardown()
        assert report.ok, [str(problem) for problem in report.problems]


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("VGR_NOW", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    yield


def _run(machine: type[Model], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_model() -> None:
    _run(Model, 8, 25)


@pytest.mark.deep
@pytest.mark.timeout(3600)
def test_model_for_long() -> None:
    _run(Checked, 400, 60)
