"""What a check of a remote finds: every kind of damage, and nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from faulty import Faulty
from published import save
from remote_content import packs_of, root_of

from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.checking import check_remote
from voyager.remotes.push import push
from voyager.remotes.root import ROOT, Packed, Root, encode_root, encode_segment, segment_path
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.repository import Repository
from voyager.repo.tags import create_tag
from voyager.store.ids import blob_id
from voyager.wire import object_ref

KINDS = [False, True]


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def repo(empty_repo: Repository, storage: MemoryStorage) -> Iterator[Repository]:
    """Two commits and a tag, pushed in two steps."""
    save(empty_repo, "first", {"a/0.jpg": 0, "a/1.jpg": 1})
    push(empty_repo, storage)
    save(empty_repo, "second", {"a/2.jpg": 2})
    create_tag(empty_repo, "v1", empty_repo.resolve("HEAD"), message="one")
    push(empty_repo, storage, tags=True)
    yield empty_repo


def problems(repo: Repository, storage: MemoryStorage, *, full: bool = False) -> list[str]:
    report = check_remote(repo, storage, full=full)
    assert not list((repo.folder / "tmp").iterdir())
    return [f"{problem.kind} {problem}" for problem in report.problems]


def pack_of(storage: MemoryStorage, *, blobs: bool) -> Packed:
    return next(pack for pack in packs_of(storage, root_of(storage)) if pack.blobs is blobs)


def change(storage: MemoryStorage, **changes: object) -> None:
    storage.put(ROOT, encode_root(msgspec.structs.replace(root_of(storage), **changes)))


def flip(storage: MemoryStorage, name: str, at: int) -> None:
    data = bytearray(storage.get(name))
    data[at] ^= 1
    storage.put(name, bytes(data))


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_remote(repo: Repository, storage: MemoryStorage, full: bool) -> None:
    counted = Faulty(storage)
    report = check_remote(repo, counted, full=full)
    assert (report.ok, report.notes) == (True, [])
    counts = report.counts
    assert (counts["packs"], counts["refs"], counts["blobs"]) == (4, 2, 3)
    assert counts["unlisted"] == 0
    fetched = counted.asked("fetch", "packs/")
    assert fetched == (4 if full else 2)
    assert {one.method for one in counted.requests} <= {"get", "get_range", "fetch", "list"}


def test_an_empty_remote(empty_repo: Repository, storage: MemoryStorage) -> None:
    with pytest.raises(NotFoundError, match="nothing was pushed"):
        check_remote(empty_repo, storage)


def test_garbage_is_counted(repo: Repository, storage: MemoryStorage) -> None:
    storage.put(f"packs/{'ab' * 32}.pack", b"12345")
    report = check_remote(repo, storage)
    assert report.ok
    assert (report.counts["unlisted"], report.counts["unlisted bytes"]) == (1, 5)


def test_a_root_that_is_none(repo: Repository, storage: MemoryStorage) -> None:
    storage.put(ROOT, storage.get(ROOT)[:-1])
    assert problems(repo, storage)[0].startswith("root root: ")


def test_a_ref_of_an_impossible_name(repo: Repository, storage: MemoryStorage) -> None:
    root = root_of(storage)
    change(storage, refs={**root.refs, "refs/heads/../x": object_ref(bytes(32))})
    assert problems(repo, storage) == [
        "root root: the remote has a ref of an impossible name: 'refs/heads/../x'"
    ]


def test_tombstones(repo: Repository, storage: MemoryStorage) -> None:
    data = repo.at("HEAD").image_bytes("a/0.jpg")
    tombstone = {"reason": "asked", "who": "Ann", "when": 0}
    change(storage, tombstones={blob_id(data).hex(): tombstone, "zz": tombstone})
    found = problems(repo, storage)
    assert found[0] == "root root: a tombstone has the name 'zz'"
    assert found[1].startswith("purged packs/")
    assert len(found) == 2
    assert any(one.startswith("purged ") for one in problems(repo, storage, full=True))


def test_a_segment_is_missing_or_damaged(repo: Repository, storage: MemoryStorage) -> None:
    name = segment_path(root_of(storage).segments[0])
    kept = storage.get(name)
    storage.put(name, kept + b"x")
    found = problems(repo, storage)
    assert found[0].startswith(f"catalogue {name}: ")
    assert any("is missing" in one for one in found[1:])
    storage.delete([name])
    assert f"missing {name}: it is missing" in problems(repo, storage)


@pytest.mark.parametrize("blobs", KINDS)
@pytest.mark.parametrize("part", ["pack_path", "index_path"])
def test_a_file_is_missing(
    repo: Repository, storage: MemoryStorage, blobs: bool, part: str
) -> None:
    name = getattr(pack_of(storage, blobs=blobs), part)
    storage.delete([name])
    found = problems(repo, storage)
    assert found[0] == f"missing {name}: it is missing"
    assert len(found) > 1, "what it held is missed as well"


@pytest.mark.parametrize("blobs", KINDS)
@pytest.mark.parametrize("part", ["pack_path", "index_path"])
def test_a_file_is_cut(repo: Repository, storage: MemoryStorage, blobs: bool, part: str) -> None:
    name = getattr(pack_of(storage, blobs=blobs), part)
    storage.put(name, storage.get(name)[:-1])
    assert "bytes, and the catalogue says" in problems(repo, storage)[0]


@pytest.mark.parametrize("blobs", KINDS)
def test_flipped_bytes(repo: Repository, storage: MemoryStorage, blobs: bool) -> None:
    pack = pack_of(storage, blobs=blobs)
    size = pack.size
    for at in (3, 17, 60, size // 2, size - pack.index + 2, size - 3):
        before = storage.get(pack.pack_path)
        flip(storage, pack.pack_path, at)
        assert problems(repo, storage, full=True), at
        if not blobs:
            assert problems(repo, storage), at
        storage.put(pack.pack_path, before)
    for at in range(0, pack.index, 7):
        before = storage.get(pack.index_path)
        flip(storage, pack.index_path, at)
        assert problems(repo, storage), at
        storage.put(pack.index_path, before)


def test_the_index_of_another_pack(repo: Repository, storage: MemoryStorage) -> None:
    one, other = [pack for pack in packs_of(storage, root_of(storage)) if pack.blobs]
    data = storage.get(other.index_path)
    packs = [
        msgspec.structs.replace(pack, index=len(data), entries=other.entries)
        if pack == one
        else pack
        for pack in packs_of(storage, root_of(storage))
    ]
    storage.put(one.index_path, data)
    segment, listed = encode_segment(packs)
    storage.put(segment_path(segment), listed)
    change(storage, segments=[segment])
    assert "is that of another pack" in problems(repo, storage)[0]


def test_what_refs_reach(repo: Repository, storage: MemoryStorage) -> None:
    root = root_of(storage)
    change(storage, refs={**root.refs, "refs/heads/lost": object_ref(b"\1" * 32)})
    found = problems(repo, storage)
    assert any("refs/heads/lost" in one for one in found)
    tag = bytes(root.refs["refs/tags/v1"].data)
    change(storage, refs={**root.refs, "refs/heads/odd": object_ref(tag)})
    (found_one,) = problems(repo, storage)
    assert found_one.endswith("should be a commit and is not")


def test_a_pack_leaves_the_catalogue(repo: Repository, storage: MemoryStorage) -> None:
    left_out = pack_of(storage, blobs=True)
    packs = [pack for pack in packs_of(storage, root_of(storage)) if pack != left_out]
    segment, data = encode_segment(packs)
    storage.put(segment_path(segment), data)
    change(storage, segments=[segment])
    found = problems(repo, storage)
    assert len(found) == left_out.entries
    assert all(one.startswith("missing ") and "blob " in one for one in found)


def test_a_listing_that_lags(repo: Repository, storage: MemoryStorage) -> None:
    lagging = Faulty(storage, list_lag=1000)
    save(repo, "third", {"a/3.jpg": 3})
    push(repo, lagging)
    assert check_remote(repo, lagging).ok


def test_a_gc_meanwhile(repo: Repository, storage: MemoryStorage) -> None:
    """The catalogue that was read first names what is gone; the second look finds all."""
    gone: list[Callable[[], None]] = []

    class Late(Faulty):
        def list(self, prefix: str) -> Iterator[object]:  # type: ignore[override]
            found = list(super().list(prefix))
            while gone:
                gone.pop()()
            return iter(found)

    def rewrite() -> None:
        root = root_of(storage)
        packs = []
        for pack in packs_of(storage, root):
            new = msgspec.structs.replace(pack, gc=1)
            storage.put(new.pack_path, storage.get(pack.pack_path))
            storage.put(new.index_path, storage.get(pack.index_path))
            storage.delete([pack.pack_path, pack.index_path])
            packs.append(new)
        segment, data = encode_segment(packs, gc=1)
        storage.put(segment_path(segment), data)
        change(storage, segments=[segment], gc=1)

    gone.append(rewrite)
    assert check_remote(repo, Late(storage)).ok
    assert not gone


def test_no_answer(repo: Repository, storage: MemoryStorage) -> None:
    with pytest.raises(RemoteError):
        check_remote(repo, Faulty(storage, lambda one: "drop"))


def test_a_folder(repo: Repository, tmp_path: Path) -> None:
    storage = FileStorage(tmp_path / "there")
    push(repo, storage)
    assert check_remote(repo, storage, full=True).ok
    assert isinstance(root_of(storage), Root)
