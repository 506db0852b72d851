"""Derived values that travel: nobody computes again what somebody has sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from published import PHOTOS, publish, save

from voyager.derived.embeddings import default_embedder, embedding
from voyager.derived.registry import METHODS, rendition
from voyager.errors import CorruptError
from voyager.remotes.cloning import clone
from voyager.remotes.collecting import collect_remote
from voyager.remotes.derived import fetch_derived, push_derived
from voyager.remotes.garbage import DERIVED
from voyager.remotes.purging import purge_remote
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.deriving import derive, derived_cache, embed_regions
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.schema import Box, Region
from voyager.store.ids import blob_id

WHAT = [METHODS["phash"], METHODS["thumbnail"], rendition(64)]
BOXED = Region(id=bytes(16), geometries={"box": Box(20, 30, 220, 330)})


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = request.node.name
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def there(tmp_path: Path, storage: MemoryStorage) -> Iterator[Repository]:
    """Somebody's repository of six photos, pushed, with values."""
    with Repository.init(tmp_path / "there") as repo:
        save(repo, "first", {f"hat/{n}.jpg": n for n in range(6)})
        publish(repo, storage)
        derive(repo, repo.at("HEAD"), WHAT)
        yield repo


@pytest.fixture
def here(tmp_path: Path, there: Repository, storage: MemoryStorage) -> Iterator[Repository]:
    clone(storage.url, tmp_path / "here", bare=True)
    with Repository.open(tmp_path / "here") as repo:
        yield repo


def names(storage: MemoryStorage) -> set[str]:
    return {each.name for each in storage.list(DERIVED)}


def computed(repo: Repository) -> int:
    return derive(repo, repo.at("HEAD"), WHAT).computed


def test_values_go_there_and_come_here(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    sent = push_derived(there, storage)
    assert (sent.methods, sent.values, sent.parts) == (3, 18, 3)
    came = fetch_derived(here, storage)
    assert (came.methods, came.values, came.bytes) == (3, 18, sent.bytes)
    assert computed(here) == 0
    for method in WHAT:
        ids = list(map(blob_id, map(Path.read_bytes, PHOTOS[:6])))
        kept = [derived_cache(repo).known(method, ids).as_dict() for repo in (there, here)]
        assert kept[0] == kept[1]
        assert len(kept[0]) == 6


def test_nothing_goes_or_comes_twice(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push_derived(there, storage)
    before = names(storage)
    again = push_derived(there, storage)
    assert (again.values, again.bytes) == (0, 0)
    assert again.requests == 4  # the root and a list for each method
    assert names(storage) == before
    fetch_derived(here, storage)
    assert fetch_derived(here, storage).values == 0
    assert push_derived(here, storage).values == 0


def test_only_what_is_new_goes(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    push_derived(there, storage)
    fetch_derived(here, storage)
    save(there, "more", {f"shoes/{n}.jpg": n for n in range(6, 9)})
    derive(there, there.at("HEAD"), WHAT)
    publish(there, storage)
    assert push_derived(there, storage).values == 9
    assert fetch_derived(here, storage).values == 9


def test_nothing_goes_of_images_that_were_never_pushed(
    there: Repository, storage: MemoryStorage
) -> None:
    method = embedding(default_embedder())
    for key, sample in list(there.at("HEAD").items())[:2]:
        with there.edit("regions") as edit:
            edit[key] = sample.replace(regions=(BOXED,))
    publish(there, storage)
    save(there, "not pushed", {"secret.jpg": 9})
    with there.edit("a region of it") as edit:
        edit["secret.jpg"] = edit["secret.jpg"].replace(regions=(BOXED,))
    derive(there, there.at("HEAD"), [*WHAT, method])
    assert embed_regions(there, there.at("HEAD"), method).computed == 3
    sent = push_derived(there, storage)
    assert sent.values == 6 * len(WHAT) + (6 + 2) + 2  # vectors of regions, and their images
    secret = blob_id(PHOTOS[9].read_bytes())
    parts = [storage.get(name) for name in names(storage)]
    assert not any(secret in part for part in parts)
    publish(there, storage)
    assert push_derived(there, storage).values == len(WHAT) + 1 + 2


def test_a_remote_without_commits_is_sent_nothing(tmp_path: Path, storage: MemoryStorage) -> None:
    with Repository.init(tmp_path / "alone") as repo:
        save(repo, "first", {"a.jpg": 0})
        derive(repo, repo.at("HEAD"), WHAT)
        assert push_derived(repo, storage).values == 0
    assert names(storage) == set()


def test_two_who_push_at_once_lose_nothing(
    tmp_path: Path, there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    save(there, "more", {f"shoes/{n}.jpg": n for n in range(6, 9)})
    derive(there, there.at("HEAD"), WHAT)
    publish(there, storage)
    derive(here, here.at("HEAD"), WHAT)
    start = threading.Barrier(2)

    def send(repo: Repository) -> None:
        start.wait()
        push_derived(repo, MemoryStorage(storage.url.removeprefix("memory://")))

    threads = [threading.Thread(target=send, args=(repo,)) for repo in (there, here)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    derived_cache(here).drop()
    fetch_derived(here, storage)
    assert len(derived_cache(here).ids_of("thumbnail", 1, None)) == 9


def test_damaged_and_missing_parts_are_passed_over(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push_derived(there, storage)
    parts = sorted(name for name in names(storage) if not name.endswith("/list"))
    data = bytearray(storage.get(parts[0]))
    data[-3] ^= 1
    storage.put(parts[0], bytes(data))
    storage.delete([parts[1]])
    came = fetch_derived(here, storage)
    assert (came.parts, came.values) == (1, 6)
    assert computed(here) == 6
    listed = next(name for name in names(storage) if name.endswith("/list"))
    storage.put(listed, b"what is this?")
    with pytest.raises(CorruptError, match="does not decode"):
        fetch_derived(here, storage)


def test_gc_of_the_remote_leaves_values_and_a_purge_takes_them(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push_derived(there, storage)
    before = names(storage)
    collect_remote(there, storage, grace=0)
    assert names(storage) == before
    secret = blob_id(PHOTOS[1].read_bytes())
    fetch_derived(here, storage)
    purge_blobs(there, [secret], reason="asked to")
    assert derived_cache(there).kept() == []
    purge_remote(there, storage, [secret])
    assert names(storage) == set()
    # who has not fetched the purge yet does not bring it back
    assert push_derived(here, storage).values == 15
    derived_cache(there).drop()
    fetch_derived(there, storage)
    assert secret not in derived_cache(there).ids_of("thumbnail", 1, None)
