"""Part of the history: what a shallow clone has, and how it grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from published import PHOTOS, assert_same, assert_whole, publish, save, say

from voyager.errors import StateError
from voyager.merge import merge
from voyager.remotes.cloning import clone
from voyager.remotes.config import find_remote
from voyager.remotes.fetching import Depth, fetch
from voyager.remotes.push import push
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.repo.tags import create_tag
from voyager.store.gc import collect
from voyager.store.history import iter_history
from voyager.store.refs import Head


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = f"depth-{abs(hash(request.node.name))}"
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def there(tmp_path: Path, storage: MemoryStorage) -> Iterator[Repository]:
    """Six commits, each with a photo of its own in the place of the last."""
    with Repository.init(tmp_path / "there") as repo:
        for number in range(5):
            save(repo, f"photo {number}", {"hat/1.jpg": number, f"more/{number}.jpg": 10 + number})
        with repo.edit("labels") as edit:
            say(edit, "hat/1.jpg", "red")
        publish(repo, storage)
        yield repo


def history(repo: Repository, revision: str = "HEAD") -> list[str]:
    return [commit.message for _, commit in iter_history(repo.store, [repo.resolve(revision)])]


def cloned(storage: MemoryStorage, tmp_path: Path, depth: int) -> Repository:
    clone(storage.url, tmp_path / "mine", depth=depth)
    return Repository.open(tmp_path / "mine")


def has_photo(repo: Repository, number: int) -> bool:
    from voyager.store.ids import blob_id

    return blob_id(PHOTOS[number].read_bytes()) in repo.store


def test_a_shallow_clone(there: Repository, storage: MemoryStorage, tmp_path: Path) -> None:
    with cloned(storage, tmp_path, 2) as repo:
        assert history(repo) == ["labels", "photo 4"]
        assert_same(there.at("HEAD"), repo.at("HEAD"))
        assert_same(there.at("HEAD~1"), repo.at("HEAD~1"))
        assert [has_photo(repo, number) for number in range(1, 5)] == [False] * 3 + [True]
        assert_whole(repo)
        collect(repo.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
        assert_same(there.at("HEAD"), repo.at("HEAD"))
        assert_whole(repo)


def test_it_grows(there: Repository, storage: MemoryStorage, tmp_path: Path) -> None:
    with cloned(storage, tmp_path, 1) as repo:
        remote = find_remote(repo, "origin")
        fetch(repo, remote, depth=Depth(2, deepen=True))
        assert history(repo) == ["labels", "photo 4", "photo 3"]
        assert has_photo(repo, 3)
        assert not has_photo(repo, 2)
        assert_whole(repo)
        fetch(repo, remote, depth=Depth(5))
        assert history(repo)[-1] == "photo 1"
        fetch(repo, remote, depth=Depth(deepen=True))
        assert history(repo) == history(there)
        assert repo.store.shallow == frozenset()
        for back in range(6):
            assert_same(there.at(f"HEAD~{back}"), repo.at(f"HEAD~{back}"))
        assert_whole(repo)


def test_a_fetch_brings_what_is_new_and_no_more_of_the_old(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    with cloned(storage, tmp_path, 1) as repo:
        save(there, "six", {"hat/1.jpg": 6})
        save(there, "seven", {"hat/1.jpg": 7})
        publish(there, storage)
        fetch(repo, find_remote(repo, "origin"))
        assert history(repo, "origin/main") == ["seven", "six", "labels"]
        assert_same(there.at("HEAD"), repo.at("origin/main"))
        assert_same(there.at("HEAD~1"), repo.at("origin/main~1"))
        assert not has_photo(repo, 3)
        assert_whole(repo)
        merge(repo, "origin/main")
        assert repo.head.commit == there.head.commit


def test_work_on_top_goes_back(there: Repository, storage: MemoryStorage, tmp_path: Path) -> None:
    with cloned(storage, tmp_path, 1) as repo:
        made = save(repo, "mine", {"mine.jpg": 20})
        push(repo, storage, ["main"], remote=find_remote(repo, "origin"))
    clone(storage.url, tmp_path / "whole")
    with Repository.open(tmp_path / "whole") as whole:
        assert whole.head.commit == made
        assert history(whole) == ["mine", *history(there)]
        assert_whole(whole)


def test_a_merge_below_the_end_of_history_is_refused(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    create(there, "side", there.resolve("HEAD~3"))
    switch(there, Head("side", there.resolve("side")))
    save(there, "aside", {"side.jpg": 30})
    publish(there, storage)
    with cloned(storage, tmp_path, 1) as repo:
        with pytest.raises(StateError, match="history is cut off") as caught:
            merge(repo, "origin/side")
        assert "--deepen" in str(caught.value.hint)
        fetch(repo, find_remote(repo, "origin"), depth=Depth(5, deepen=True))
        assert merge(repo, "origin/side").result == "merged"
        assert_whole(repo)


def test_tags_in_a_shallow_clone(there: Repository, storage: MemoryStorage, tmp_path: Path) -> None:
    create_tag(there, "v1", there.resolve("HEAD~4"), message="the first")
    publish(there, storage)
    with cloned(storage, tmp_path, 1) as repo:
        assert history(repo, "v1") == ["photo 1"]
        assert len(repo.store.shallow) == 2
        assert_same(there.at("v1"), repo.at("v1"))
        assert_whole(repo)
