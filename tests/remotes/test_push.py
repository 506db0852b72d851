"""Pushing: what moves, what is sent, what is refused, and what it costs."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from faulty import Faulty, nothing, on
from remote_content import packs_of, reached, root_of

from voyager.errors import NotFoundError, RefMoved, StateError, UsageError
from voyager.remotes.checking import check_remote
from voyager.remotes.cloning import clone
from voyager.remotes.config import Remote, add_remote
from voyager.remotes.counted import Counted
from voyager.remotes.push import PUSH, Pushed, push
from voyager.remotes.root import MOST_SEGMENTS, ROOT, Policy, Root, encode_root
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.add import add
from voyager.repo.branches import create, find_branch
from voyager.repo.commit import commit
from voyager.repo.guard_policy import set_policy
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import stage
from voyager.repo.switch import switch
from voyager.repo.tags import create_tag
from voyager.repo.undo import iter_log, undo
from voyager.repo.upstream import Upstream, upstream_of
from voyager.samples import photo_paths
from voyager.schema import Label, encode_sample
from voyager.store.ids import blob_id
from voyager.store.purge import purge
from voyager.store.refs import read_ref

PHOTOS = photo_paths()


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def repo(empty_repo: Repository) -> Repository:
    """Three photos, committed, and a remote."""
    for number in range(3):
        put_photo(empty_repo, f"p/{number}.jpg", number)
    save(empty_repo, "first")
    add_remote(empty_repo, "origin", "memory://origin")
    return empty_repo


ORIGIN = Remote("origin", "memory://origin")


def put_photo(repo: Repository, key: str, number: int) -> None:
    path = repo.tree() / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PHOTOS[number].read_bytes())


def save(repo: Repository, message: str) -> bytes:
    add(repo, ["."], cwd=repo.tree(), all=True)
    return commit(repo, message).commit


def say(repo: Repository, key: str, text: str) -> bytes:
    """Commit a label."""
    staging = repo.staging
    sample = repo.staged()[key].replace(labels=(Label(task="note", value=text),))
    with repo.transaction("stage", key) as txn:
        stage(txn, staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()
    return commit(repo, text).commit


def names(done: Pushed) -> list[str]:
    return [ref.name for ref in done.refs]


def protect(storage: MemoryStorage, *patterns: str) -> None:
    root = msgspec.structs.replace(root_of(storage), policy=Policy(protected=list(patterns)))
    storage.put(ROOT, encode_root(root))


# -- what arrives ----------------------------------------------------------------------------------


def test_a_first_push(repo: Repository, storage: MemoryStorage) -> None:
    tip = repo.resolve("HEAD")
    done = push(repo, storage, remote=ORIGIN, upstream=True)
    root = root_of(storage)
    assert root.ref("refs/heads/main") == tip
    assert (root.head, root.generation) == ("main", 1)
    assert {blob_id(PHOTOS[number].read_bytes()) for number in range(3)} < reached(storage)
    assert names(done) == ["refs/heads/main"]
    assert (done.blobs, done.packs) == (3, 2)
    assert read_ref(repo.store, "refs/remotes/origin/main") == tip
    assert upstream_of(repo, "main") == Upstream("origin", "main")
    assert not list((repo.folder / "tmp").iterdir())


def test_nothing_new_is_one_request(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    before = repo.store.last_seq()
    counted = Faulty(storage)
    done = push(repo, counted, remote=ORIGIN)
    assert (done.refs, done.requests) == ([], 1)
    assert [request.method for request in counted.requests] == ["get_tagged"]
    assert repo.store.last_seq() == before


def test_a_changed_label_costs_little(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    say(repo, "p/0.jpg", "a shirt")
    done = push(repo, storage, remote=ORIGIN)
    assert (done.blobs, done.packs, done.requests) == (0, 1, 5)
    assert done.bytes < 8_000
    reached(storage)


def test_local_packs_go_as_they_are(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    blobs = [pack for pack in packs_of(storage, root_of(storage)) if pack.blobs]
    assert [repo.store.has_pack(pack.name.hex()) for pack in blobs] == [True]


def test_what_is_not_committed_stays_here(repo: Repository, storage: MemoryStorage) -> None:
    put_photo(repo, "p/new.jpg", 5)
    put_photo(repo, "p/more.jpg", 6)
    add(repo, ["."], cwd=repo.tree())
    (repo.tree() / "p/more.jpg").unlink()
    save(repo, "one of both")
    push(repo, storage, remote=ORIGIN)
    assert blob_id(PHOTOS[5].read_bytes()) in reached(storage)
    held = b"".join(storage.get(pack.pack_path) for pack in packs_of(storage, root_of(storage)))
    assert PHOTOS[6].read_bytes() not in held


def test_refs_alone_move_without_packs(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    create(repo, "topic", repo.resolve("HEAD"))
    create_tag(repo, "v1", repo.resolve("HEAD"))
    done = push(repo, storage, ["topic", "v1"], remote=ORIGIN)
    assert (names(done), done.requests) == (["refs/heads/topic", "refs/tags/v1"], 2)
    create_tag(repo, "v2", repo.resolve("HEAD"), message="annotated")
    done = push(repo, storage, tags=True, every_branch=True, remote=ORIGIN)
    assert names(done) == ["refs/tags/v2"]
    reached(storage)


def test_refspecs(repo: Repository, storage: MemoryStorage) -> None:
    first = repo.resolve("HEAD")
    second = say(repo, "p/0.jpg", "a shirt")
    done = push(repo, storage, ["HEAD~1:refs/heads/old", "main:next", "HEAD"], remote=ORIGIN)
    assert [(ref.name, ref.new) for ref in done.refs] == [
        ("refs/heads/old", first),
        ("refs/heads/next", second),
        ("refs/heads/main", second),
    ]
    push(repo, storage, [":old"], remote=ORIGIN)
    push(repo, storage, ["next"], delete=True, remote=ORIGIN)
    assert list(root_of(storage).refs) == ["refs/heads/main"]
    for bad in ("a:b:c", ":", "main:", "nosuch", "main:refs/stash/1", "main:refs/remotes/o/x"):
        with pytest.raises((UsageError, NotFoundError)):
            push(repo, storage, [bad], remote=ORIGIN)
    with pytest.raises(NotFoundError, match="has no branch or tag 'old'"):
        push(repo, storage, [":old"], remote=ORIGIN)


def test_a_dry_run_writes_nothing(repo: Repository, storage: MemoryStorage) -> None:
    counted = Counted(storage)
    done = push(repo, counted, remote=ORIGIN, dry_run=True)
    assert names(done) == ["refs/heads/main"]
    assert (done.blobs, counted.sent, counted.requests) == (3, 0, 1)
    assert done.bytes > sum(PHOTOS[number].stat().st_size for number in range(3))
    assert read_ref(repo.store, "refs/remotes/origin/main") is None


def test_segments_are_joined(repo: Repository, storage: MemoryStorage) -> None:
    counts = []
    for number in range(MOST_SEGMENTS + 3):
        say(repo, "p/0.jpg", f"round {number}")
        push(repo, storage, remote=ORIGIN)
        counts.append(len(root_of(storage).segments))
    assert max(counts) == MOST_SEGMENTS
    assert counts[-3:] == [1, 2, 3]
    reached(storage)


def test_a_push_is_no_step_to_undo(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    assert next(iter_log(repo))[0].kind == PUSH
    assert undo(repo)[0].kind != PUSH


# -- known tips ------------------------------------------------------------------------------------


def test_what_was_seen_there_is_not_sent_again(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    push(repo, storage, remote=ORIGIN)
    first = repo.resolve("HEAD")
    with Repository.init(tmp_path / "other") as other:
        put_photo(other, "a.jpg", 7)
        save(other, "elsewhere")
        push(other, storage, ["+main"])  # main there is at a commit that is not here
    create(repo, "topic", first)
    done = push(repo, storage, ["topic"], remote=ORIGIN)
    assert done.packs == 0
    root = root_of(storage)
    storage.put(ROOT, encode_root(msgspec.structs.replace(root, refs={}, gc=root.gc + 1)))
    done = push(repo, storage, ["topic"], remote=ORIGIN)
    assert (done.objects, done.packs) == (3, 1), "after a gc only the refs are relied on"


def test_another_remote_at_the_same_place(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    storage.delete([each.name for each in storage.list("")])
    say(repo, "p/0.jpg", "new")
    push(repo, storage, remote=ORIGIN)
    reached(storage)


# -- what is refused -------------------------------------------------------------------------------


@pytest.fixture
def diverged(repo: Repository, storage: MemoryStorage) -> tuple[bytes, bytes]:
    """The tip at the remote, and one here that is not on top of it."""
    there = say(repo, "p/0.jpg", "theirs")
    push(repo, storage, remote=ORIGIN)
    create(repo, "aside", repo.resolve("HEAD~1"))
    switch(repo, find_branch(repo, "aside"))
    return there, say(repo, "p/1.jpg", "ours")


def test_only_forward(
    repo: Repository, storage: MemoryStorage, diverged: tuple[bytes, bytes]
) -> None:
    there, here = diverged
    with pytest.raises(RefMoved) as error:
        push(repo, storage, ["aside:main"], remote=ORIGIN)
    assert there.hex()[:12] in error.value.message
    assert here.hex()[:12] in error.value.message
    assert error.value.hint is not None
    assert error.value.hint.startswith("vgr pull origin main")
    done = push(repo, storage, ["+aside:main"], remote=ORIGIN)
    assert done.refs[0].forced
    assert root_of(storage).ref("refs/heads/main") == here


def test_lease(repo: Repository, storage: MemoryStorage, diverged: tuple[bytes, bytes]) -> None:
    push(repo, storage, ["aside:main"], lease=True, remote=ORIGIN)
    push(repo, storage, [f"{diverged[0].hex()}:main"], force=True)  # by somebody else
    with pytest.raises(RefMoved, match=f"it was at {diverged[1].hex()[:12]}"):
        push(repo, storage, ["aside:main"], lease=True, remote=ORIGIN)


def test_commits_that_are_not_here(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    with Repository.init(tmp_path / "other") as other:
        put_photo(other, "a.jpg", 7)
        save(other, "elsewhere")
        push(other, storage)
    with pytest.raises(RefMoved, match="has commits that are not here"):
        push(repo, storage, remote=ORIGIN)
    assert repo.head.commit is not None


def test_tags_stay(repo: Repository, storage: MemoryStorage) -> None:
    create_tag(repo, "v1", repo.resolve("HEAD"))
    push(repo, storage, ["v1"], remote=ORIGIN)
    say(repo, "p/0.jpg", "new")
    create_tag(repo, "v1", repo.resolve("HEAD"), force=True)
    with pytest.raises(RefMoved, match="tag 'v1' exists"):
        push(repo, storage, ["v1"], remote=ORIGIN)
    push(repo, storage, ["v1"], force=True, remote=ORIGIN)


def test_all_or_none(
    repo: Repository, storage: MemoryStorage, diverged: tuple[bytes, bytes]
) -> None:
    with pytest.raises(RefMoved):
        push(repo, storage, ["aside:new", "aside:main"], remote=ORIGIN)
    assert list(root_of(storage).refs) == ["refs/heads/main"]


def test_protected_branches(
    repo: Repository, storage: MemoryStorage, diverged: tuple[bytes, bytes]
) -> None:
    protect(storage, "main", "release/*")
    for refspecs in (["+aside:main"], [":main"]):
        with pytest.raises(StateError, match="'main' is protected"):
            push(repo, storage, refspecs, force=True, remote=ORIGIN)
    push(repo, storage, ["aside"], remote=ORIGIN)


def test_no_leaks_in_protected_branches(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    protect(storage, "main")
    set_policy(repo, action="warn")
    put_photo(repo, "test/copy.jpg", 0)
    save(repo, "a copy")
    staging = repo.staging
    with repo.transaction("stage") as txn:
        sample = repo.staged()["test/copy.jpg"].replace(split="test")
        stage(txn, staging, [(SAMPLES, b"test/copy.jpg", encode_sample(sample))])
        txn.commit()
    commit(repo, "it is for testing")
    with pytest.raises(StateError, match=r"guard is not clean: 1 leak, first 'p/0\.jpg'"):
        push(repo, storage, remote=ORIGIN)
    push(repo, storage, ["main:other"], remote=ORIGIN)


def test_purged_images_are_left_out(repo: Repository, storage: MemoryStorage) -> None:
    gone = blob_id(PHOTOS[1].read_bytes())
    root = Root(tombstones={gone.hex(): {"reason": "r", "when": 0, "who": "w"}})
    storage.put(ROOT, encode_root(root))
    done = push(repo, storage, remote=ORIGIN)
    assert done.blobs == 2
    assert gone not in reached(storage)
    purge(repo.store, [blob_id(PHOTOS[0].read_bytes())], reason="r", who="w", now_ms=0)
    push(repo, MemoryStorage(), remote=ORIGIN)


def test_what_was_purged_here_is_told_where_it_never_was(repo: Repository, tmp_path: Path) -> None:
    storage = MemoryStorage("purged-before")
    gone = blob_id(PHOTOS[0].read_bytes())
    purge(repo.store, [gone], reason="consent", who="w", now_ms=0)
    push(repo, storage, remote=ORIGIN)
    root = root_of(storage)
    assert (root.gc, list(root.tombstones)) == (1, [gone.hex()])
    assert check_remote(repo, storage, full=True).ok
    assert push(repo, storage, remote=ORIGIN).requests == 1
    done = clone(storage.url, tmp_path / "clone")
    assert done.fetched.purged == 1
    assert [path for path, _ in done.updated.skipped] == ["p/0.jpg"]


def test_what_was_purged_here_alone_stays_there(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    push(repo, storage, ["main"], remote=ORIGIN, delete=True)
    shutil.rmtree(repo.folder / "cache" / "remotes")  # what was seen there
    purge(repo.store, [blob_id(PHOTOS[0].read_bytes())], reason="r", who="w", now_ms=0)
    push(repo, storage, remote=ORIGIN)
    assert (root_of(storage).gc, root_of(storage).tombstones) == (0, {})
    assert check_remote(repo, storage, full=True).ok


def test_images_that_are_missing(repo: Repository, storage: MemoryStorage) -> None:
    pack = next(path for path in (repo.folder / "packs").glob("*.pack"))
    with repo.transaction("gc") as txn:
        txn.drop_packs([pack.stem])
        txn.commit()
    with pytest.raises(StateError, match=r"the bytes of 3 files are not here \('p/0\.jpg' of"):
        push(repo, storage, remote=ORIGIN)
    assert root_of(storage) == Root()


def test_the_hook(repo: Repository, storage: MemoryStorage) -> None:
    hook = repo.folder / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\necho "$1" > told\ncat >> told\nexit 1\n')
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(StateError, match="the hook pre-push refused"):
        push(repo, storage, remote=ORIGIN)
    tip = repo.resolve("HEAD").hex()
    told = (repo.tree() / "told").read_text().splitlines()
    assert told == ["origin", f"refs/heads/main {tip} refs/heads/main {'0' * 64}"]
    push(repo, storage, remote=ORIGIN, verify=False)


def test_a_storage_that_can_only_be_read(repo: Repository, storage: MemoryStorage) -> None:
    storage.read_only = True
    with pytest.raises(StateError, match="can only be read"):
        push(repo, storage, remote=ORIGIN)


# -- races -----------------------------------------------------------------------------------------


class Meddled(Faulty):
    """Before its n-th conditional write somebody else moves the root."""

    def __init__(self, storage: MemoryStorage, change: object) -> None:
        super().__init__(storage, nothing)
        self.change = change

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        change, self.change = self.change, None
        if change is not None:
            change()  # type: ignore[operator]
        return super().put_if(name, data, tag)


def test_another_branch_moved_meanwhile(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    push(repo, storage, remote=ORIGIN)
    tip = say(repo, "p/0.jpg", "ours")
    with Repository.init(tmp_path / "other") as other:
        put_photo(other, "a.jpg", 7)
        save(other, "elsewhere")
        meddled = Meddled(storage, lambda: push(other, storage, ["main:other"]))
        done = push(repo, meddled, remote=ORIGIN)
    assert meddled.asked("put", "packs/") == 2, "packs are not sent twice"
    assert done.requests == 7
    root = root_of(storage)
    assert root.ref("refs/heads/main") == tip
    assert set(root.refs) == {"refs/heads/main", "refs/heads/other"}
    reached(storage)


def test_the_same_branch_moved_meanwhile(
    repo: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    with Repository.init(tmp_path / "other") as other:
        put_photo(other, "a.jpg", 7)
        there = save(other, "elsewhere")
        with pytest.raises(RefMoved, match="has commits that are not here"):
            push(repo, Meddled(storage, lambda: push(other, storage)), remote=ORIGIN)
    assert root_of(storage).ref("refs/heads/main") == there


def test_a_gc_meanwhile(repo: Repository, storage: MemoryStorage) -> None:
    push(repo, storage, remote=ORIGIN)
    say(repo, "p/0.jpg", "ours")

    def collect() -> None:
        """Forget everything, as if nothing had been used for long, and what was just sent."""
        root = root_of(storage)
        storage.delete([each.name for each in storage.list("packs/")])
        emptied = msgspec.structs.replace(root, refs={}, segments=[], gc=root.gc + 1)
        storage.put(ROOT, encode_root(emptied))

    done = push(repo, Meddled(storage, collect), remote=ORIGIN)
    assert done.blobs == 3
    reached(storage)


def test_lost_replies(repo: Repository, storage: MemoryStorage) -> None:
    tip = repo.resolve("HEAD")
    faulty = Faulty(storage, on("lost-reply", "put_if"))
    done = push(repo, faulty, remote=ORIGIN)
    assert [(ref.name, ref.new) for ref in done.refs] == [("refs/heads/main", tip)]
    assert faulty.asked("put_if") == 1
    assert root_of(storage).generation == 1
    tip = say(repo, "p/0.jpg", "next")
    push(repo, Faulty(storage, on("503", "put_if", times=3)), remote=ORIGIN)
    assert root_of(storage).generation == 2
    assert root_of(storage).ref("refs/heads/main") == tip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("voyager.remotes.swapping._LONGEST_PAUSE", 0.001)
    yield
