"""Fetching from remotes in memory: what comes, what does not, and that it is whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from published import PHOTOS, assert_same, assert_whole, publish, save, say

from voyager.errors import NotFoundError, UsageError
from voyager.remotes.config import Remote, set_remote
from voyager.remotes.fetching import Depth, fetch
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create, delete
from voyager.repo.repository import Repository
from voyager.repo.tags import create_tag
from voyager.repo.undo import undo
from voyager.store.gc import collect
from voyager.store.purge import purge
from voyager.store.refs import HEADS, TAGS, iter_refs, read_ref


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Repository]:
    """Somebody's repository of four photos, with a label."""
    with Repository.init(tmp_path / "there") as repo:
        save(repo, "first", {f"hat/{n}.jpg": n for n in range(4)})
        with repo.edit("labels") as edit:
            say(edit, "hat/1.jpg", "red")
        yield repo


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = request.node.name
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "here") as repo:
        yield repo


def origin(repo: Repository, storage: MemoryStorage) -> Remote:
    return set_remote(repo, Remote("origin", storage.url))


def test_a_fetch_brings_versions_and_labels(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    done = fetch(here, origin(here, storage))
    tip = there.head.commit
    assert [(move.name, move.old, move.new) for move in done.refs] == [
        ("refs/remotes/origin/main", None, tip)
    ]
    assert_same(there.at("HEAD"), here.at("origin/main"))
    assert_same(there.at("HEAD~1"), here.at("origin/main~1"))
    assert_whole(here)
    assert here.head.commit is None


def test_nothing_new_is_one_request(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    remote = origin(here, storage)
    fetch(here, remote)
    done = fetch(here, remote)
    assert (done.refs, done.requests, done.objects) == ([], 1, 0)


def test_only_new_packs_come(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    publish(there, storage)
    remote = origin(here, storage)
    fetch(here, remote)
    old = set(here.store.root.glob("packs/*.pack"))
    save(there, "more", {"shoes/5.jpg": 5})
    publish(there, storage)
    done = fetch(here, remote)
    new = set(here.store.root.glob("packs/*.pack")) - old
    assert len(new) == 2
    assert done.bytes < PHOTOS[5].stat().st_size + 20_000
    assert_same(there.at("HEAD"), here.at("origin/main"))
    assert_whole(here)


def test_a_fetch_can_be_undone(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    publish(there, storage)
    fetch(here, origin(here, storage))
    undo(here)
    assert read_ref(here.store, "refs/remotes/origin/main") is None
    assert_whole(here)


def test_tags_come_and_stay_what_they_are_here(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    tip = there.resolve("HEAD")
    create_tag(there, "v1", there.resolve("HEAD~1"))
    create_tag(there, "v2", tip, message="the second")
    publish(there, storage)
    remote = origin(here, storage)
    assert len(fetch(here, remote, tags=False).refs) == 1
    done = fetch(here, remote)
    assert [move.name for move in done.refs] == ["refs/tags/v1", "refs/tags/v2"]
    assert here.resolve("v2") == tip
    create_tag(there, "v1", tip, force=True)
    publish(there, storage)
    assert fetch(here, remote).kept == ["v1"]
    assert read_ref(here.store, f"{TAGS}v1") == there.resolve("HEAD~1")


def test_named_branches_and_prune(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    create(there, "side", there.resolve("HEAD~1"))
    publish(there, storage)
    remote = origin(here, storage)
    done = fetch(here, remote, refs=["side"])
    assert [move.name for move in done.refs] == ["refs/remotes/origin/side"]
    fetch(here, remote)
    delete(there, ["side"], force=True)
    publish(there, storage)
    assert fetch(here, remote).refs == []
    gone = fetch(here, remote, prune=True).refs
    assert [(move.name, move.new) for move in gone] == [("refs/remotes/origin/side", None)]
    with pytest.raises(NotFoundError, match="no branch or tag 'mian'"):
        fetch(here, remote, refs=["mian"])


def test_a_branch_that_was_moved_back_is_followed(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    remote = origin(here, storage)
    fetch(here, remote)
    back = there.resolve("HEAD~1")
    publish(there, storage, refs={f"{HEADS}main": back})
    done = fetch(here, remote)
    assert (done.refs[0].new, done.requests) == (back, 1)


def test_what_was_repacked_there_does_not_come_again(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    remote = origin(here, storage)
    fetch(here, remote)
    for path in there.folder.glob("packs/*"):
        assert path.exists()
    save(there, "more", {"shoes/5.jpg": 5})
    from voyager.store.gc import collect

    collect(there.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
    publish(there, storage)
    fetch(here, remote)
    assert_same(there.at("HEAD"), here.at("origin/main"))
    assert_whole(here)


def test_a_dry_run_changes_nothing(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    done = fetch(here, origin(here, storage), dry_run=True)
    assert len(done.refs) == 1
    assert done.bytes > 80_000
    assert read_ref(here.store, "refs/remotes/origin/main") is None
    assert not list(here.folder.glob("packs/*"))


def test_purges_reach_here(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    publish(there, storage)
    remote = origin(here, storage)
    fetch(here, remote)
    blob = here.at("origin/main")["hat/2.jpg"].image.blob_id
    assert blob is not None
    save(there, "more", {"shoes/5.jpg": 5})
    stone = {blob.hex(): {"reason": "consent withdrawn", "when": 5, "who": "Ann"}}
    publish(there, storage, tombstones=stone)
    assert fetch(here, remote).purged == 1
    with pytest.raises(NotFoundError, match="consent withdrawn"):
        here.at("origin/main").image_bytes("hat/2.jpg")
    assert_whole(here)


def test_purged_bytes_do_not_come_in(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage)
    blob = there.at("HEAD")["hat/2.jpg"].image.blob_id
    assert blob is not None
    purge(here.store, [blob], reason="never", who="Ben", now_ms=5)
    fetch(here, origin(here, storage))
    data = there.store.get_blob(blob)
    assert not any(data in path.read_bytes() for path in here.folder.glob("packs/*"))
    assert here.at("origin/main").image_bytes("hat/3.jpg")
    assert_whole(here)


def test_nothing_was_pushed_yet(here: Repository, storage: MemoryStorage) -> None:
    with pytest.raises(NotFoundError, match="nothing was pushed"):
        fetch(here, origin(here, storage))


def test_tags_follow_named_branches(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    first, tip = there.resolve("HEAD~1"), there.resolve("HEAD")
    create(there, "side", first)
    create_tag(there, "old", first)
    create_tag(there, "noted", first, message="of the first")
    create_tag(there, "new", tip)
    publish(there, storage)
    remote = origin(here, storage)
    assert [move.name for move in fetch(here, remote, refs=["side"], tags=False).refs] == [
        "refs/remotes/origin/side"
    ]
    # Nothing else came, so that of the tag with a message the object has to.
    assert [move.name for move in fetch(here, remote, refs=["side"]).refs] == [
        "refs/tags/noted",
        "refs/tags/old",
    ]
    assert here.resolve("noted") == here.resolve("old") == first
    assert fetch(here, remote, refs=["side"]).refs == []
    done = fetch(here, remote, refs=["main"])
    assert [move.name for move in done.refs] == ["refs/remotes/origin/main", "refs/tags/new"]
    assert_whole(here)


def test_tags_follow_a_shallow_branch(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    create_tag(there, "old", there.resolve("HEAD~1"))
    create_tag(there, "new", there.resolve("HEAD"), message="the newest")
    publish(there, storage)
    done = fetch(here, origin(here, storage), refs=["main"], depth=Depth(1))
    assert [move.name for move in done.refs] == ["refs/remotes/origin/main", "refs/tags/new"]
    assert_whole(here)


def test_a_url_without_a_name(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    create(there, "side", there.resolve("HEAD~1"))
    create_tag(there, "v1", there.resolve("HEAD"))
    publish(there, storage)
    nameless = Remote("", storage.url)
    with pytest.raises(NotFoundError, match="nothing was fetched from a URL yet"):
        here.resolve("FETCH_HEAD")
    done = fetch(here, nameless, refs=["side"])
    assert [move.name for move in done.refs] == ["FETCH_HEAD"]
    assert done.source == f"{HEADS}side"
    assert_same(there.at("side"), here.at("FETCH_HEAD"))
    done = fetch(here, nameless)
    assert done.source == f"{HEADS}main"
    assert here.resolve("FETCH_HEAD") == there.resolve("HEAD")
    assert fetch(here, nameless).refs == []
    assert iter_refs(here.store) == {}
    collect(here.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
    assert_same(there.at("HEAD"), here.at("FETCH_HEAD"))
    assert_whole(here)
    with pytest.raises(UsageError, match="one branch at a time"):
        fetch(here, nameless, refs=["main", "side"])


def test_a_limit_of_bytes_a_second(there: Repository, here: Repository, tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "shared")
    publish(there, storage)
    start = time.monotonic()
    done = fetch(here, Remote("origin", storage.url), limit=400_000)
    assert time.monotonic() - start > 0.7 * done.bytes / 400_000 - 0.3
    assert_same(there.at("HEAD"), here.at("origin/main"))
