"""Purges that reach a remote: the bytes go from it, nobody pushes them, who fetches loses them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from faulty import Fault, Faulty, Killed, Request, at
from published import PHOTOS, assert_whole, save
from remote_content import content_of, packs_of, reached, root_of

from voyager.errors import NotFoundError
from voyager.remotes.base import Storage
from voyager.remotes.checking import check_remote
from voyager.remotes.cloning import clone
from voyager.remotes.collecting import collect_remote
from voyager.remotes.config import add_remote, find_remote
from voyager.remotes.fetching import fetch
from voyager.remotes.purging import purge_remote, unpurge_remote
from voyager.remotes.push import push
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.store.ids import blob_id
from voyager.store.purge import tombstones

SECRET = PHOTOS[1].read_bytes()
BLOB = blob_id(SECRET)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("voyager.remotes.swapping._LONGEST_PAUSE", 0.002)
    MemoryStorage.forget("there")
    yield
    MemoryStorage.forget("there")


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage("there")


@pytest.fixture
def repo(empty_repo: Repository, storage: MemoryStorage) -> Iterator[Repository]:
    """Three photos, pushed; the second is to go."""
    save(empty_repo, "first", {f"p/{number}.jpg": number for number in range(3)})
    add_remote(empty_repo, "origin", "memory://there")
    push(empty_repo, storage)
    yield empty_repo


def holds_secret(storage: MemoryStorage) -> bool:
    """Whether the bytes are anywhere; photos are stored as they are."""
    return any(SECRET in kept.data for kept in storage._place.kept.values())


def purge_both(repo: Repository, storage: Storage) -> None:
    purge_blobs(repo, [BLOB], "asked to")
    purge_remote(repo, storage, [BLOB])


def test_the_bytes_go(repo: Repository, storage: MemoryStorage) -> None:
    assert holds_secret(storage)
    purge_blobs(repo, [BLOB], "asked to")
    done = purge_remote(repo, storage, [BLOB])
    assert (done.blobs, done.packs, done.deleted) == (1, 1, 2)
    assert not holds_secret(storage)
    root = root_of(storage)
    stone = root.tombstones[BLOB.hex()]
    assert (stone["reason"], stone["who"]) == ("asked to", "Ann Lee <ann@example.org>")
    assert root.gc == 1
    reached(storage)
    assert len([pack for pack in packs_of(storage, root) if pack.blobs]) == 1
    assert blob_id(PHOTOS[0].read_bytes()) in content_of(storage, root)
    assert check_remote(repo, storage, full=True).ok
    again = purge_remote(repo, storage, [BLOB])
    assert (again.blobs, again.packs, again.deleted) == (0, 0, 0)
    assert root_of(storage) == root


def test_a_pack_of_nothing_else(repo: Repository, storage: MemoryStorage) -> None:
    save(repo, "second", {"alone.jpg": 5})
    push(repo, storage)
    blob = blob_id(PHOTOS[5].read_bytes())
    purge_blobs(repo, [blob], "asked to")
    assert purge_remote(repo, storage, [blob]).packs == 1
    assert len([pack for pack in packs_of(storage, root_of(storage)) if pack.blobs]) == 1
    reached(storage)


def test_what_is_not_there_gets_a_tombstone(repo: Repository, storage: MemoryStorage) -> None:
    blob = blob_id(b"never seen")
    purge_blobs(repo, [blob], "for all cases")
    done = purge_remote(repo, storage, [blob])
    assert (done.blobs, done.packs) == (1, 0)
    assert blob.hex() in root_of(storage).tombstones


def test_garbage_with_the_bytes_goes(repo: Repository, storage: MemoryStorage) -> None:
    save(repo, "second", {"q/4.jpg": 4})
    with pytest.raises(Killed):
        push(repo, Faulty(storage, lambda one: "die" if one.method == "put_if" else None))
    blob = blob_id(PHOTOS[4].read_bytes())
    purge_blobs(repo, [blob], "asked to")
    assert purge_remote(repo, storage, [blob]).deleted >= 2
    assert not any(PHOTOS[4].read_bytes() in kept.data for kept in storage._place.kept.values())


def test_clones_lose_them_and_cannot_push_them(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    clone("memory://there", tmp_path / "before")
    purge_both(repo, storage)
    with Repository.open(tmp_path / "before") as other:
        save(other, "theirs", {"copy/of/it.jpg": 1, "new.jpg": 6})
        push(other, storage, ["main:theirs"])
        assert not holds_secret(storage), "a push looks at the tombstones of the remote"
        done = fetch(other, find_remote(other, "origin"))
        assert done.purged == 1
        assert tombstones(other.store) == {BLOB}
        assert not any(SECRET in path.read_bytes() for path in other.folder.rglob("*.pack"))
    clone("memory://there", tmp_path / "after")
    with Repository.open(tmp_path / "after") as after:
        assert tombstones(after.store) == {BLOB}
        assert_whole(after)
        assert not (after.tree() / "p/1.jpg").exists()
        assert (after.tree() / "p/0.jpg").exists()


def test_unpurge(repo: Repository, storage: MemoryStorage) -> None:
    purge_both(repo, storage)
    assert unpurge_remote(repo, storage, [BLOB]) == 1
    assert not root_of(storage).tombstones
    assert unpurge_remote(repo, storage, [BLOB]) == 0


def test_an_empty_remote(repo: Repository) -> None:
    purge_blobs(repo, [BLOB], "asked to")
    with pytest.raises(NotFoundError, match="nothing was pushed"):
        purge_remote(repo, MemoryStorage(), [BLOB])


def test_a_collection_afterwards(repo: Repository, storage: MemoryStorage) -> None:
    purge_both(repo, storage)
    done = collect_remote(repo, storage, grace=0)
    assert (done.unlisted, done.written) == (0, 0)
    reached(storage)


class Meddled(Faulty):
    """Does something else before one of the requests."""

    def __init__(self, storage: Storage, number: int, meddle: partial[object]) -> None:
        super().__init__(storage, self._meddle)
        self._number, self._do = number, meddle

    def _meddle(self, request: Request) -> None:
        if request.number == self._number:
            self._do()


def test_a_purge_at_every_request_of_a_push(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    """Somebody who still has the bytes pushes them while they are purged."""
    number = 0
    while True:
        number += 1
        there = MemoryStorage()
        push(repo, there)
        other_folder = tmp_path / f"other{number}"
        clone("memory://there", other_folder)
        copy = tmp_path / f"copy{number}"
        shutil.copytree(repo.folder.parent, copy)
        with Repository.open(other_folder) as other, Repository.open(copy) as purger:
            save(other, "theirs", {"new.jpg": 6, "copy.jpg": 7})
            purged = [BLOB, blob_id(PHOTOS[7].read_bytes())]
            purge_blobs(purger, purged, "asked to")
            meddled = Meddled(there, number, partial(purge_remote, purger, there, purged))
            push(other, meddled)
            if len(meddled.requests) < number:
                break
            reached(there)
            assert not set(purged) & set(content_of(there, root_of(there)))
    assert number >= 6


@pytest.mark.parametrize("fault", ["die", "die-after"])
def test_killed_at_every_request(repo: Repository, tmp_path: Path, fault: Fault) -> None:
    number = 0
    purged = tmp_path / "purged"
    shutil.copytree(repo.folder.parent, purged)
    with Repository.open(purged) as other:
        purge_blobs(other, [BLOB], "asked to")
        while True:
            number += 1
            storage = MemoryStorage()
            push(repo, storage)
            try:
                purge_remote(other, Faulty(storage, at(number, fault)), [BLOB])
            except Killed:
                pass
            else:
                break
            reached(storage)
            purge_remote(other, storage, [BLOB])
            assert not holds_secret(storage)
            reached(storage)
    assert number >= 6
