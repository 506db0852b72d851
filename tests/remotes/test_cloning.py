"""Clones: what they hold, where they go, and that a killed one goes on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import Faulty, Killed, at, nothing
from published import PHOTOS, assert_same, assert_whole, publish, save, say, seal

import voyager
from voyager.errors import ExistsError, NotFoundError, RemoteError, UsageError
from voyager.remotes.cloning import clone
from voyager.remotes.config import Upstream, find_remote, upstream_of
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create
from voyager.repo.layout import find
from voyager.repo.repository import Repository
from voyager.repo.status import status
from voyager.repo.switch import continue_switch
from voyager.repo.tags import create_tag
from voyager.store.refs import HEADS, iter_refs


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "there") as repo:
        save(repo, "first", {f"hat/{n}.jpg": n for n in range(3)})
        seal(repo)
        (repo.tree() / "README.md").write_text("three hats\n")
        save(repo, "second", {"shoes/a b.jpg": 4})
        seal(repo)
        with repo.edit("labels") as edit:
            say(edit, "hat/1.jpg", "red")
        yield repo


def test_a_clone_through_a_folder(there: Repository, tmp_path: Path) -> None:
    publish(there, FileStorage(tmp_path / "remote"))
    done = clone(f"file://{tmp_path}/remote", tmp_path / "mine")
    assert (done.branch, done.commit) == ("main", there.head.commit)
    assert done.updated.written == 5
    with Repository.open(tmp_path / "mine") as repo:
        assert_same(there.at("HEAD"), repo.at("HEAD"))
        assert_same(there.at("HEAD~2"), repo.at("HEAD~2"))
        assert status(repo).clean
        assert not status(repo).untracked
        assert_whole(repo)
        assert find_remote(repo, "origin").url == f"file://{tmp_path}/remote"
        assert upstream_of(repo, "main") == Upstream("origin", "main")
        assert (repo.tree() / "shoes/a b.jpg").read_bytes() == PHOTOS[4].read_bytes()
        save(repo, "mine", {"more.jpg": 7})


def test_the_branch_of_the_remote_or_another(there: Repository, tmp_path: Path) -> None:
    create(there, "work", there.resolve("HEAD~1"))
    create_tag(there, "v1", there.resolve("HEAD~2"), message="the first")
    storage = MemoryStorage("branches")
    publish(there, storage, head="work")
    for name, branch, revision in [("a", None, "work"), ("b", "main", "main"), ("c", "v1", "v1")]:
        done = clone("memory://branches", tmp_path / name, branch=branch)
        assert done.branch == (None if branch == "v1" else revision)
        assert done.commit == there.resolve(revision)
        with Repository.open(tmp_path / name) as repo:
            assert_same(there.at(revision), repo.at("HEAD"))
    with pytest.raises(NotFoundError, match="no branch or tag 'nope'"):
        clone("memory://branches", tmp_path / "d", branch="nope")
    assert not (tmp_path / "d").exists()


def test_a_bare_clone(there: Repository, tmp_path: Path) -> None:
    create(there, "work", there.resolve("HEAD~1"))
    publish(there, MemoryStorage("bare"))
    clone("memory://bare", tmp_path / "mine", bare=True)
    with Repository.open(tmp_path / "mine") as repo:
        assert repo.bare
        assert iter_refs(repo.store, HEADS) == iter_refs(there.store, HEADS)
        assert_same(there.at("HEAD"), repo.staged())
        assert_whole(repo)


def test_into_a_folder_that_is_not_empty(there: Repository, tmp_path: Path) -> None:
    publish(there, MemoryStorage("full"))
    (tmp_path / "mine").mkdir()
    clone("memory://full", tmp_path / "mine")
    with pytest.raises(ExistsError, match="is not empty"):
        clone("memory://full", tmp_path / "mine")


def test_nothing_is_made_of_a_remote_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing was pushed"):
        clone("memory://nowhere", tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_a_repository_is_no_remote(there: Repository, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a repository; a remote is a folder"):
        clone(str(there.tree()), tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_a_remote_without_branches(there: Repository, tmp_path: Path) -> None:
    publish(there, MemoryStorage("empty"), refs={})
    assert clone("memory://empty", tmp_path / "mine").commit is None
    with Repository.open(tmp_path / "mine") as repo:
        assert repo.head.branch == "main"
        save(repo, "first of all", {"a.jpg": 0})


def test_a_clone_that_is_killed_at_each_request_goes_on(there: Repository, tmp_path: Path) -> None:
    storage = MemoryStorage()
    publish(there, storage)
    whole = Faulty(storage, nothing)
    clone("memory://x", tmp_path / "whole", opener=lambda _: whole)
    packs = whole.asked("fetch")
    assert packs >= 4
    for number in range(1, len(whole.requests) + 1):
        folder = tmp_path / f"killed-{number}"
        with pytest.raises(Killed):
            clone("memory://x", folder, opener=lambda _, n=number: Faulty(storage, at(n, "die")))
        assert not (folder / ".vgr").exists()
        with pytest.raises(NotFoundError, match="not finished" if number > 1 else "no repository"):
            find(folder)
        rest = Faulty(storage, nothing)
        clone("memory://x", folder, opener=lambda _, rest=rest: rest)
        if number == len(whole.requests):
            assert rest.asked("fetch") < packs
        with Repository.open(folder) as repo:
            assert_same(there.at("HEAD"), repo.at("HEAD"))
            assert_whole(repo)


def test_what_came_in_before_a_fault_is_not_fetched_again(
    there: Repository, tmp_path: Path
) -> None:
    storage = MemoryStorage()
    publish(there, storage)
    last = Faulty(storage, lambda request: "drop" if request.number == 6 else None)
    with pytest.raises(RemoteError):
        clone("memory://x", tmp_path / "mine", opener=lambda _: last)
    kept = len(list((tmp_path / "mine/.vgr.part/packs").glob("*.pack")))
    rest = Faulty(storage, nothing)
    clone("memory://x", tmp_path / "mine", opener=lambda _: rest)
    total = len(list((tmp_path / "mine/.vgr/packs").glob("*.pack")))
    assert (kept > 0, rest.asked("fetch")) == (True, total - kept)


def test_an_unfinished_clone_of_another_remote_is_kept(there: Repository, tmp_path: Path) -> None:
    storage = MemoryStorage()
    publish(there, storage)
    with pytest.raises(Killed):
        clone("memory://x", tmp_path / "mine", opener=lambda _: Faulty(storage, at(4, "die")))
    with pytest.raises(ExistsError, match="unfinished clone of another remote"):
        clone("memory://y", tmp_path / "mine", opener=lambda _: storage)
    assert (tmp_path / "mine/.vgr.part").exists()


def test_a_clone_killed_while_files_are_laid_out(there: Repository, tmp_path: Path) -> None:
    publish(there, MemoryStorage("laying"))

    def stop(label: str):  # type: ignore[no-untyped-def]
        if label == "writing":
            raise KeyboardInterrupt
        return lambda _done, _total: None

    with pytest.raises(KeyboardInterrupt):
        clone("memory://laying", tmp_path / "mine", progress=stop)
    with Repository.open(tmp_path / "mine") as repo:
        assert status(repo).operation == "clone"
        continue_switch(repo)
        assert status(repo).clean
        assert repo.head.commit == there.head.commit


@pytest.mark.parametrize("only", [(), ("hat",)])
def test_the_same_command_lays_out_the_rest(
    there: Repository, tmp_path: Path, only: tuple[str, ...]
) -> None:
    publish(there, MemoryStorage("laying"))
    full = [True]

    def progress(label: str):  # type: ignore[no-untyped-def]
        if label == "writing" and full.pop():
            raise OSError(errno.ENOSPC, "no space left on device")
        return lambda _done, _total: None

    with pytest.raises(OSError, match="no space"):
        clone("memory://laying", tmp_path / "mine", only=only, progress=progress)
    with pytest.raises(ExistsError):
        clone("memory://another", tmp_path / "mine")
    full.append(False)
    done = clone("memory://laying", tmp_path / "mine", only=only, progress=progress)
    assert done.commit == there.head.commit
    with voyager.open(tmp_path / "mine") as repo:
        assert status(repo).clean
        assert (repo.tree() / "hat/1.jpg").exists()
