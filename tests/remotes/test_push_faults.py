"""A push that is killed at every request, faults at any of them, and many who push at once."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty import Fault, Faulty, Killed, at, on, randomly
from remote_content import content_of, reached, root_of
from small_stores import in_processes, some_bytes

from voyager.errors import CorruptError, RefMoved, RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.cloning import clone
from voyager.remotes.push import push
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.repository import Repository
from voyager.repo.snapshot import write_snapshot
from voyager.store.history import iter_history, write_commit
from voyager.store.refs import move_ref, read_ref
from voyager.wire import blob_ref

MAIN = "refs/heads/main"
QUICK = Patience(attempts=30, first=0.0, most=0.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("voyager.remotes.swapping._LONGEST_PAUSE", 0.002)
    yield


def grow(repo: Repository, branch: str, text: str, *, parent: bytes | None = None) -> bytes:
    """Commit a new image on a branch, without a working tree, on its tip or on `parent`."""
    name = f"refs/heads/{branch}"
    old = read_ref(repo.store, name)
    parents = [one for one in (parent or old,) if one]
    with repo.transaction("commit") as txn:
        blob = txn.put_blob(text.encode() + some_bytes(len(text), 2_000))
        made = write_commit(
            txn,
            snapshot=write_snapshot(txn, {}),
            parents=parents,
            author="Ann <a@b>",
            message=text,
            time=0,
            zone=0,
            extra={"reports": [blob_ref(blob)]},
        )
        move_ref(txn, name, made, old=old)
        txn.commit()
    return made


def is_whole(storage: Storage, *tips: bytes | None) -> bytes | None:
    """The tip of main there, one of these; what it reaches is there too."""
    reached(storage)
    tip = root_of(storage).ref(MAIN)
    assert tip in tips
    return tip


def requests_of(make: Callable[[Storage], object]) -> int:
    """How many requests a push of that repository makes."""
    counted = Faulty(MemoryStorage())
    make(counted)
    return len(counted.requests)


@pytest.mark.parametrize("fault", ["die", "die-after"])
def test_killed_at_every_request(tmp_path: Path, fault: Fault) -> None:
    with Repository.init(tmp_path / "base", worktree=False) as repo:
        first = grow(repo, "main", "first")
    number, before = 0, 0
    while True:
        number += 1
        shutil.copytree(tmp_path / "base", tmp_path / str(number))
        with Repository.open(tmp_path / str(number)) as repo:
            storage = MemoryStorage()
            push(repo, storage)
            second = grow(repo, "main", "second")
            dying = Faulty(storage, at(number, fault))
            try:
                push(repo, dying)
            except Killed:
                pass
            else:
                break
            assert is_whole(storage, first, second) is not None
            there = {each.name for each in storage.list("packs/")}
            again = Faulty(storage)
            push(repo, again)
            assert is_whole(storage, second) == second
            sent = {request.name for request in again.requests if request.method == "put"}
            assert not sent & there, "what was sent is not sent again"
            last = Faulty(storage)
            assert push(repo, last).requests == len(last.requests) == 1
        before = number
    assert before >= 7


@pytest.mark.parametrize("fault", ["drop", "lost-reply", "500", "slow-down"])
def test_a_fault_at_every_request(tmp_path: Path, fault: Fault) -> None:
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        tip = grow(repo, "main", "first")
        for number in range(1, 1 + requests_of(lambda storage: push(repo, storage))):
            storage = MemoryStorage()
            push(repo, Retrying(Faulty(storage, at(number, fault)), QUICK))
            assert is_whole(storage, tip) == tip
            assert root_of(storage).generation == 1


@pytest.mark.parametrize("seed", range(6))
def test_storms(tmp_path: Path, seed: int) -> None:
    storage = MemoryStorage()
    stormy = Retrying(Faulty(storage, randomly(seed, 0.4)), QUICK)
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        for number in range(20):
            tip = grow(repo, "main", f"image {number}")
            push(repo, stormy)
        assert is_whole(storage, tip) == tip
    assert root_of(storage).generation == 20


def test_half_a_root_is_read_again(tmp_path: Path) -> None:
    """As a reader sees it for a moment where a service overwrites in place."""
    storage = MemoryStorage()
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        grow(repo, "main", "first")
        push(repo, storage)
        tip = grow(repo, "main", "second")
        push(repo, Faulty(storage, on("truncate", "get_tagged", "root", times=3)))
        is_whole(storage, tip)
        with pytest.raises(CorruptError, match="the root of the remote does not decode"):
            push(repo, Faulty(storage, on("truncate", "get_tagged", "root", times=100)))
    torn = Faulty(storage, on("truncate", "get", "root", times=3))
    clone("memory://x", tmp_path / "clone", bare=True, opener=lambda _: torn)


def test_faults_that_do_not_end(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        tip = grow(repo, "main", "first")
        storage = MemoryStorage()
        with pytest.raises(RemoteError):
            push(repo, Faulty(storage, lambda request: "drop" if request.number > 4 else None))
        push(repo, storage)
        is_whole(storage, tip)


def test_a_gc_of_this_repository_waits(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        grow(repo, "main", "first")
        seen = []

        class Looking(Faulty):
            def put(self, name: str, data: bytes | Path) -> None:
                lock = repo.store.keep_packs(exclusive=True)
                lock.patience = 0
                with pytest.raises(Exception, match="holds the gc lock"):
                    lock.acquire()
                seen.append(name)
                super().put(name, data)

        push(repo, Looking(MemoryStorage()))
        assert len(seen) >= 3


PEOPLE = 8


def contribute(folder: Path, storage: Storage, number: int, commits: int) -> None:
    """Push a person's commits to a branch of their own and to one that all share, on its tip."""
    with Repository.open(folder) as repo:
        for count in range(commits):
            text = f"{number}:{count}"
            grow(repo, f"own{number}", text)
            push(repo, storage, [f"own{number}"])
            parent: bytes | None = None
            for _ in range(500):
                _take(repo, storage, parent := root_of(storage).ref(MAIN))
                _set(repo, parent)
                grow(repo, "main", text)
                try:
                    push(repo, storage, ["main"])
                except RefMoved:
                    continue
                break
            else:
                raise AssertionError("never got through")


def _take(repo: Repository, storage: Storage, tip: bytes | None) -> None:
    """What a fetch does, as plainly as can be: take every object that the remote has."""
    if tip is None or tip in repo.store:
        return
    content = content_of(storage, root_of(storage))
    with repo.transaction("fetch") as txn:
        for kind, data in content.values():
            if kind:
                txn.put(kind, data)
            else:
                txn.put_blob(data)
        txn.commit()


def _set(repo: Repository, tip: bytes | None) -> None:
    old = read_ref(repo.store, MAIN)
    if old != tip:
        with repo.transaction("reset") as txn:
            move_ref(txn, MAIN, tip, old=old)
            txn.commit()


def check_contributions(storage: Storage, folder: Path, commits: int) -> None:
    reached(storage)
    root = root_of(storage)
    wanted = {f"{number}:{count}" for number in range(PEOPLE) for count in range(commits)}
    with Repository.init(folder, worktree=False) as repo:
        tip = root.ref(MAIN)
        _take(repo, storage, tip)
        assert tip is not None
        assert {commit.message for _, commit in iter_history(repo.store, [tip])} == wanted
        own = [root.ref(f"refs/heads/own{number}") for number in range(PEOPLE)]
        found = iter_history(repo.store, [one for one in own if one])
        assert {commit.message for _, commit in found} == wanted


@pytest.mark.parametrize("commits", [3, pytest.param(25, marks=pytest.mark.deep)])
def test_many_threads_at_once(tmp_path: Path, commits: int) -> None:
    storage = MemoryStorage()
    for number in range(PEOPLE):
        Repository.init(tmp_path / str(number), worktree=False).close()
    faults: list[BaseException] = []

    def work(number: int) -> None:
        try:
            contribute(tmp_path / str(number), storage, number, commits)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    check_contributions(storage, tmp_path / "all", commits)


@pytest.mark.deep
def test_many_processes_at_once(tmp_path: Path) -> None:
    for number in range(PEOPLE):
        Repository.init(tmp_path / str(number), worktree=False).close()

    def worker(number: int) -> Callable[[], object]:
        return lambda: contribute(
            tmp_path / str(number), FileStorage(tmp_path / "remote"), number, 25
        )

    in_processes(*(worker(number) for number in range(PEOPLE)))
    check_contributions(FileStorage(tmp_path / "remote"), tmp_path / "all", 25)
