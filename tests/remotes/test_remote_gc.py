"""Collecting the garbage of a remote, alone, beside pushes, and killed at every request."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from faulty import Fault, Faulty, Killed, Request, at
from remote_content import content_of, packs_of, reached, root_of
from s3_server import open_bucket
from small_stores import some_bytes

from voyager.errors import CorruptError, NotFoundError, RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.checking import check_remote
from voyager.remotes.collecting import Collected, collect_remote
from voyager.remotes.push import push
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.repository import Repository
from voyager.repo.snapshot import write_snapshot
from voyager.store.history import write_commit
from voyager.store.refs import move_ref, read_ref
from voyager.wire import blob_ref

HOUR = 3600.0
QUICK = Patience(attempts=8, first=0.0, most=0.001, total=5.0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("voyager.remotes.swapping._LONGEST_PAUSE", 0.002)
    yield


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "repo", worktree=False) as repo:
        yield repo


def grow(repo: Repository, branch: str, text: str, *, size: int = 2_000) -> bytes:
    """Commit a new image on a branch, on its tip."""
    name = f"refs/heads/{branch}"
    old = read_ref(repo.store, name)
    with repo.transaction("commit") as txn:
        blob = txn.put_blob(text.encode() + some_bytes(len(text), size))
        made = write_commit(
            txn,
            snapshot=write_snapshot(txn, {}),
            parents=[old] if old else [],
            author="Ann <a@b>",
            message=text,
            time=0,
            zone=0,
            extra={"reports": [blob_ref(blob)]},
        )
        move_ref(txn, name, made, old=old)
        txn.commit()
    return made


def names(storage: Storage, prefix: str = "packs/") -> set[str]:
    return {each.name for each in storage.list(prefix)}


def age(storage: MemoryStorage, seconds: float) -> None:
    """Let all that is kept be older."""
    kept = storage._place.kept
    for name, each in list(kept.items()):
        kept[name] = each._replace(modified=each.modified - seconds)


def collect(repo: Repository, storage: Storage, grace: float = 0.0) -> Collected:
    return collect_remote(repo, storage, grace=grace)


def drop_branch(repo: Repository, storage: Storage, branch: str) -> None:
    push(repo, storage, [branch], delete=True)


def assert_whole_and_small(storage: Storage) -> None:
    """Every ref is whole, and no pack is kept that is not listed."""
    reached(storage)
    listed = {
        name
        for pack in packs_of(storage, root_of(storage))
        for name in (pack.pack_path, pack.index_path)
    }
    assert names(storage) == listed


def test_nothing_to_collect(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    before = root_of(storage)
    done = collect(repo, storage)
    assert (done.live_blobs, done.unlisted, done.deleted, done.waiting) == (1, 0, 0, 0)
    assert root_of(storage) == before
    assert not names(storage, "probe/")
    assert not list((repo.folder / "tmp").iterdir())


def test_an_empty_remote(repo: Repository, storage: MemoryStorage) -> None:
    with pytest.raises(NotFoundError, match="nothing was pushed"):
        collect(repo, storage)


def test_a_deleted_branch_goes(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    grow(repo, "topic", "other")
    push(repo, storage, every_branch=True)
    drop_branch(repo, storage, "topic")
    done = collect(repo, storage)
    assert done.live_blobs == 1
    assert done.unlisted >= 1
    assert done.deleted >= 2
    assert_whole_and_small(storage)
    assert len(content_of(storage, root_of(storage))) == 3
    assert root_of(storage).gc == 1
    assert collect(repo, storage).unlisted == 0


def test_packs_stay_for_a_while(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    grow(repo, "topic", "other")
    push(repo, storage, ["topic"])
    before = names(storage)
    drop_branch(repo, storage, "topic")
    assert collect(repo, storage, HOUR).unlisted == 0, "a ref had it within the hour"
    age_moves(storage, 2 * HOUR)
    age(storage, 2 * HOUR)
    done = collect(repo, storage, HOUR)
    assert (done.unlisted, done.deleted) == (2, 0)
    assert done.waiting == 4
    assert before <= names(storage), "readers of the old root may still want them"
    reached(storage)
    age(storage, HOUR / 2)
    assert collect(repo, storage, HOUR).waiting == 4
    age(storage, HOUR)
    done = collect(repo, storage, HOUR)
    assert (done.waiting, done.unlisted) == (0, 0)
    assert done.deleted >= 4
    assert_whole_and_small(storage)
    assert not names(storage, "unlisted/")
    age(storage, 2 * HOUR)
    collect(repo, storage, HOUR)
    assert len(names(storage, "catalogue/")) == 1
    before = root_of(storage)
    assert collect(repo, storage, HOUR).deleted == 0
    assert root_of(storage) == before


def age_moves(storage: MemoryStorage, seconds: float) -> None:
    import msgspec

    from voyager.remotes.root import ROOT, encode_root

    root = root_of(storage)
    moves = [
        msgspec.structs.replace(move, time=move.time - int(seconds * 1000)) for move in root.moves
    ]
    storage.put(ROOT, encode_root(msgspec.structs.replace(root, moves=moves)))


def test_what_a_killed_push_left(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    grow(repo, "main", "second")
    with pytest.raises(Killed):
        push(repo, Faulty(storage, lambda one: "die" if one.method == "put_if" else None))
    assert collect(repo, storage, HOUR).waiting == 4, "somebody may be pushing"
    assert root_of(storage).gc == 0
    done = collect(repo, storage)
    assert (done.deleted, done.unlisted) == (5, 0)
    assert_whole_and_small(storage)
    push(repo, storage)
    reached(storage)
    assert_whole_and_small(storage)


def test_the_clock_of_the_server_counts(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    storage.put(f"packs/{'ab' * 32}.pack", b"left")
    ahead = Faulty(storage, clock_off=-1000 * HOUR)
    assert collect(repo, ahead, HOUR).waiting == 1
    age(storage, 2 * HOUR)
    assert collect(repo, Faulty(storage, clock_off=1000 * HOUR), HOUR).deleted >= 1
    assert_whole_and_small(storage)


def test_wasteful_packs_are_written_anew(repo: Repository, storage: MemoryStorage) -> None:
    for number in range(4):
        grow(repo, f"b{number}", f"image {number}", size=50_000)
    push(repo, storage, every_branch=True)
    (blobs,) = [pack for pack in packs_of(storage, root_of(storage)) if pack.blobs]
    assert blobs.entries == 4
    for number in (0, 2):
        drop_branch(repo, storage, f"b{number}")
    done = collect(repo, storage)
    (after,) = [pack for pack in packs_of(storage, root_of(storage)) if pack.blobs]
    assert (after.entries, done.written) == (2, 2)
    assert after.size < blobs.size * 0.6
    assert done.freed > blobs.size
    assert_whole_and_small(storage)


def test_little_waste_stays(repo: Repository, storage: MemoryStorage) -> None:
    for number in range(8):
        grow(repo, f"b{number}", f"image {number}", size=50_000)
    push(repo, storage, every_branch=True)
    drop_branch(repo, storage, "b3")
    assert collect(repo, storage).unlisted == 0


def test_many_small_packs_are_joined(repo: Repository, storage: MemoryStorage) -> None:
    for number in range(35):
        grow(repo, "main", f"image {number}", size=100)
        push(repo, storage)
    assert len(packs_of(storage, root_of(storage))) == 70
    done = collect(repo, storage)
    assert (done.packs, done.unlisted, done.written) == (70, 70, 2)
    assert len(packs_of(storage, root_of(storage))) == 2
    assert_whole_and_small(storage)
    grow(repo, "main", "more")
    assert push(repo, storage).packs == 2
    reached(storage)


def test_a_dry_run_writes_nothing(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    grow(repo, "topic", "other")
    push(repo, storage, every_branch=True)
    drop_branch(repo, storage, "topic")
    counted = Faulty(storage)
    done = collect_remote(repo, counted, grace=0, dry_run=True)
    assert done.unlisted >= 1
    assert not [one for one in counted.requests if one.method in ("put", "put_if", "delete")]


def test_holes_stop_it(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    grow(repo, "main", "second")
    push(repo, storage)
    pack = next(pack for pack in packs_of(storage, root_of(storage)) if not pack.blobs)
    storage.delete([pack.pack_path])
    before = names(storage, "")
    with pytest.raises(CorruptError, match="is missing"):
        collect(repo, storage)
    assert names(storage, "") == before


# -- beside pushes ---------------------------------------------------------------------------------


class Meddled(Faulty):
    """Does something else before one of the requests."""

    def __init__(self, storage: Storage, number: int, meddle: Callable[[], object]) -> None:
        super().__init__(storage, self._meddle)
        self._number, self._do = number, meddle

    def _meddle(self, request: Request) -> None:
        if request.number == self._number:
            self._do()


def prepare(folder: Path) -> None:
    """A repository with a branch that others know, and one that will be forgotten there."""
    with Repository.init(folder, worktree=False) as repo:
        grow(repo, "main", "first")
        grow(repo, "topic", "other")


def publish(repo: Repository) -> MemoryStorage:
    """A remote where nobody reaches the topic any more, and a push was killed."""
    storage = MemoryStorage()
    push(repo, storage, ["main", "topic"])
    drop_branch(repo, storage, "topic")
    return storage


def requests_of(run: Callable[[Storage], object], storage: Storage) -> int:
    counted = Faulty(storage)
    run(counted)
    return len(counted.requests)


def begin(repo: Repository, storage: Storage, *, killed_first: bool) -> tuple[str, bytes]:
    """A branch to push and its tip: on what is garbage there, or all of it sent by a push that was
    killed, under the very names that the next push would send it."""
    if not killed_first:
        return "topic", grow(repo, "topic", "on what is garbage")
    tip = grow(repo, "fresh", "sent in vain")
    with pytest.raises(Killed):
        push(
            repo,
            Faulty(storage, lambda one: "die" if one.method == "put_if" else None),
            ["fresh"],
        )
    return "fresh", tip


@pytest.mark.parametrize("killed_first", [False, True])
def test_a_push_at_every_request_of_a_collection(tmp_path: Path, killed_first: bool) -> None:
    prepare(tmp_path / "base")
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "base", folder)
        with Repository.open(folder) as repo:
            storage = publish(repo)
            branch, tip = begin(repo, storage, killed_first=killed_first)
            meddled = Meddled(storage, number, partial(push, repo, storage, [branch]))
            collect(repo, meddled)
            if len(meddled.requests) < number:
                break
            assert root_of(storage).ref(f"refs/heads/{branch}") == tip
            reached(storage)
            collect(repo, storage)
            assert_whole_and_small(storage)
    assert number >= 12


@pytest.mark.parametrize("killed_first", [False, True])
def test_a_collection_at_every_request_of_a_push(tmp_path: Path, killed_first: bool) -> None:
    prepare(tmp_path / "base")
    number = 0
    while True:
        number += 1
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "base", folder)
        with Repository.open(folder) as repo, Repository.open(folder) as other:
            storage = publish(repo)
            branch, tip = begin(repo, storage, killed_first=killed_first)
            meddled = Meddled(storage, number, partial(collect, other, storage))
            push(repo, meddled, [branch])
            assert root_of(storage).ref(f"refs/heads/{branch}") == tip
            reached(storage)
            if len(meddled.requests) < number:
                break
            collect(repo, storage)
            assert_whole_and_small(storage)
    assert number >= 6


@pytest.mark.parametrize("killed_first", [False, True])
def test_a_push_between_swap_and_deletion(tmp_path: Path, killed_first: bool) -> None:
    """The push sees the new generation while the packs that it wants to send are deleted."""
    prepare(tmp_path / "repo")
    with Repository.open(tmp_path / "repo") as repo:
        storage = publish(repo)
        branch, tip = begin(repo, storage, killed_first=killed_first)
        pushed = []

        class Slow(Faulty):
            def delete(self, gone: Iterable[str]) -> None:
                gone = list(gone)
                if any(name.startswith("packs/") for name in gone):
                    pushed.append(push(repo, storage, [branch]))
                super().delete(gone)

        collect(repo, Slow(storage))
        assert len(pushed) == 1
        assert root_of(storage).ref(f"refs/heads/{branch}") == tip
        reached(storage)


def copies(tmp_path: Path) -> Iterator[tuple[int, Repository]]:
    """One prepared repository again and again, each time a copy of its own, numbered from 1."""
    prepare(tmp_path / "base")
    for number in count(1):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "base", folder)
        with Repository.open(folder) as repo:
            yield number, repo


@pytest.mark.parametrize("fault", ["die", "die-after"])
def test_killed_at_every_request(tmp_path: Path, fault: Fault) -> None:
    for number, repo in copies(tmp_path):
        storage = publish(repo)
        try:
            collect(repo, Faulty(storage, at(number, fault)))
        except Killed:
            pass
        else:
            break
        reached(storage)
        grow(repo, "topic", "next")
        push(repo, storage, ["topic"])
        reached(storage)
        collect(repo, storage)
        assert_whole_and_small(storage)
    assert number >= 8


@pytest.mark.parametrize("fault", ["drop", "lost-reply", "503"])
def test_a_fault_at_every_request(tmp_path: Path, fault: Fault) -> None:
    for number, repo in copies(tmp_path):
        storage = publish(repo)
        faulty = Faulty(storage, at(number, fault))
        collect(repo, Retrying(faulty, QUICK))
        assert_whole_and_small(storage)
        assert root_of(storage).gc == 1
        if len(faulty.requests) < number:
            break
    assert number >= 8


def test_two_collections_at_once(tmp_path: Path) -> None:
    prepare(tmp_path / "repo")
    with Repository.open(tmp_path / "repo") as repo, Repository.open(tmp_path / "repo") as other:
        total = requests_of(lambda there: collect(repo, there), publish(repo))
        for number in range(1, total + 1):
            storage = publish(repo)
            collect(repo, Meddled(storage, number, partial(collect, other, storage)))
            assert_whole_and_small(storage)


def test_a_remote_that_does_not_answer(repo: Repository, storage: MemoryStorage) -> None:
    grow(repo, "main", "first")
    push(repo, storage)
    with pytest.raises(RemoteError):
        collect(repo, Faulty(storage, lambda one: "drop"))
    reached(storage)


@pytest.mark.usefixtures("s3")
def test_a_bucket(repo: Repository) -> None:
    """The same at a service, whose clock has whole seconds."""
    storage = open_bucket()
    grow(repo, "main", "first")
    grow(repo, "topic", "other")
    push(repo, storage, every_branch=True)
    drop_branch(repo, storage, "topic")
    assert collect(repo, storage, HOUR).kept == 1
    time.sleep(1.1)  # by its clock it is older than now
    assert collect(repo, storage).deleted >= 4
    assert_whole_and_small(storage)
    assert check_remote(repo, storage, full=True).ok
    storage.close()
