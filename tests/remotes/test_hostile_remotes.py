"""Remotes that lie: every byte of them is held against its hash and the limits before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from published import assert_whole, listed, publish, save, seal

from voyager import wire
from voyager.errors import CorruptError, InvalidDataError
from voyager.remotes.cloning import clone
from voyager.remotes.collecting import collect_remote
from voyager.remotes.config import Remote, set_remote
from voyager.remotes.derived import push_derived
from voyager.remotes.fetching import fetch
from voyager.remotes.purging import purge_remote
from voyager.remotes.push import push
from voyager.remotes.root import (
    ROOT,
    Packed,
    decode_root,
    encode_root,
    encode_segment,
    segment_path,
)
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.snapshot import FILES, SAMPLES, read_snapshot
from voyager.schema import FileRow, encode_file
from voyager.store import prolly
from voyager.store.entry import Method
from voyager.store.history import read_commit, write_commit
from voyager.store.ids import Kind, blob_id, object_id
from voyager.store.pack import Content, PackWriter, SealedPack
from voyager.store.refs import HEADS
from voyager.store.transaction import Transaction
from voyager.wire import object_ref

Refused = (CorruptError, InvalidDataError)


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = "hostile-" + str(abs(hash(request.node.name)))
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Repository]:
    (tmp_path / "far").mkdir()
    with Repository.init(tmp_path / "far" / "there") as repo:
        save(repo, "first", {f"hat/{n}.jpg": n for n in range(3)})
        seal(repo)
        yield repo


@pytest.fixture
def refused(storage: MemoryStorage, tmp_path: Path) -> Callable[[str], None]:
    """Say that a clone is refused for a reason, and that it, and a fetch, leave nothing."""

    def check(reason: str) -> None:
        with pytest.raises(Refused, match=reason):
            clone(storage.url, tmp_path / "clone")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["far"]
        with Repository.init(tmp_path / "own") as repo:
            save(repo, "mine", {"mine.jpg": 9})
            remote = set_remote(repo, Remote("origin", storage.url))
            before = sorted(tmp_path.glob("own/*"))
            with pytest.raises(Refused, match=reason):
                fetch(repo, remote)
            assert repo.store.values("refs/remotes/") == {}
            assert sorted(tmp_path.glob("own/*")) == before
            assert not list(repo.folder.glob("packs/tmp-*"))
            assert_whole(repo)

    return check


def add_pack(repo: Repository, storage: MemoryStorage, pack: SealedPack, **lies: Any) -> Packed:
    """Let the remote list one more pack, the way it is or with lies."""
    found = msgspec.structs.replace(listed(repo, pack.name), **lies)
    path = repo.store.pack_path(pack.name)
    storage.put(found.pack_path, path)
    storage.put(found.index_path, path.with_suffix(".idx"))
    list_packs(storage, [found])
    return found


def list_packs(storage: MemoryStorage, packs: list[Packed]) -> None:
    segment, data = encode_segment(packs)
    storage.put(segment_path(segment), data)
    change_root(storage, segments=[*decode_root(storage.get(ROOT)).segments, segment])


def change_root(storage: MemoryStorage, **changes: Any) -> None:
    root = decode_root(storage.get(ROOT))
    storage.put(ROOT, encode_root(msgspec.structs.replace(root, **changes)))


def entry(
    repo: Repository, kind: Kind, entry_id: bytes, method: int, stored: bytes, real: int
) -> SealedPack:
    """A pack of one entry, which may say what it likes."""
    content = Content.BLOBS if kind is Kind.BLOB else Content.METADATA
    writer = PackWriter(repo.store.root / "packs", content)
    writer.append(kind, entry_id, method, stored, real)
    return writer.seal()


def packs_of(storage: MemoryStorage, suffix: str = ".pack") -> list[str]:
    return sorted(one.name for one in storage.list("packs/") if one.name.endswith(suffix))


# -- packs -----------------------------------------------------------------------------------------


def test_each_flipped_byte_of_a_pack(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    publish(there, storage)
    name = min(packs_of(storage), key=lambda name: storage.size(name) or 0)
    data = storage.get(name)
    for at in range(0, len(data), max(len(data) // 60, 1)):
        storage.put(name, data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        with pytest.raises(Refused):
            clone(storage.url, tmp_path / "clone")
        assert not (tmp_path / "clone").exists()


def test_a_pack_under_the_name_of_another(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    publish(there, storage)
    first, second = packs_of(storage)
    small, big = sorted((first, second), key=lambda name: storage.size(name) or 0)
    data = storage.get(small)
    storage.put(big, data + bytes((storage.size(big) or 0) - len(data)))
    refused("is damaged")


@pytest.mark.parametrize(
    ("kind", "data", "reason"),
    [
        (Kind.NODE, b"\x91" * 4000, "not canonical"),
        (Kind.NODE, b"\xdd\xff\xff\xff\xff", "not canonical"),
        (Kind.NODE, b"\x82\xa1b\x00\xa1a\x00", "not canonical"),
        (Kind.COMMIT, bytes(2 << 20), "claims 2,097,152 bytes"),
        (Kind.ROW, b"\xc6" + (17 << 20).to_bytes(4, "big") + bytes(17 << 20), "claims"),
    ],
    ids=["deep", "a claim", "order", "a long commit", "a long row"],
)
def test_objects_against_the_rules(
    there: Repository,
    storage: MemoryStorage,
    refused: Callable[[str], None],
    kind: Kind,
    data: bytes,
    reason: str,
) -> None:
    publish(there, storage)
    made = entry(there, kind, object_id(kind, data), Method.RAW, data, len(data))
    add_pack(there, storage, made)
    refused(reason)


def test_a_hash_that_is_another(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    publish(there, storage)
    add_pack(there, storage, entry(there, Kind.NODE, bytes(32), Method.RAW, b"\x80", 1))
    refused("do not fit their id")


def claiming(size: int) -> bytes:
    """A zstd frame that says it holds so many bytes."""
    return b"\x28\xb5\x2f\xfd\xc0\x58" + size.to_bytes(8, "little") + b"\x01\x00\x00"


@pytest.mark.parametrize("kind", [Kind.NODE, Kind.ROW])
def test_claims_of_terabytes_in_an_object(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None], kind: Kind
) -> None:
    publish(there, storage)
    made = entry(there, kind, bytes(32), Method.ZSTD, claiming(1 << 42), 1 << 42)
    add_pack(there, storage, made)
    refused("claims 4,398,046,511,104 bytes")


def test_a_blob_that_blows_up(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None], tmp_path: Path
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(80 << 20))
    made = entry(there, Kind.BLOB, bytes(32), Method.ZSTD, bomb, 80 << 20)
    row = encode_file(FileRow(blob=wire.blob_ref(bytes(32)), bytes=80 << 20))
    publish(there, storage, refs={f"{HEADS}main": commit_of(there, {FILES: [(b"bomb", row)]})})
    add_pack(there, storage, made)
    refused("claims 83,886,080 bytes")


def test_a_frame_longer_than_its_header_says(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    publish(there, storage)
    add_pack(there, storage, entry(there, Kind.NODE, bytes(32), Method.ZSTD, bomb, 1000))
    refused("wrong length")


@pytest.mark.parametrize(
    "lies",
    [{"size": 1 << 60}, {"size": 10}, {"index": 1 << 40}, {"entries": 1 << 40}, {"blobs": True}],
    ids=str,
)
def test_lies_of_the_catalogue(
    there: Repository,
    storage: MemoryStorage,
    tmp_path: Path,
    lies: dict[str, int],
) -> None:
    root = publish(there, storage)
    from voyager.store.pack_use import registered

    metadata = [
        pack
        for pack in (listed(there, name) for name in registered(there.store).values())
        if not pack.blobs
    ]
    change_root(storage, segments=[])
    list_packs(storage, [msgspec.structs.replace(metadata[0], **lies)])
    assert root.refs
    with pytest.raises(Refused):
        clone(storage.url, tmp_path / "clone")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far"]


def test_an_index_that_is_damaged_or_another(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    publish(there, storage)
    with Repository.init(tmp_path / "own") as repo:
        remote = set_remote(repo, Remote("origin", storage.url))
        fetch(repo, remote)
        first = packs_of(storage, ".idx")
        save(there, "bigger", {f"more/{n}.jpg": 10 + n for n in range(9)})
        save(there, "again", {f"more/{n}.jpg": 20 + n for n in range(5)})
        publish(there, storage)
        create(there, "bigger", there.resolve("HEAD~1"))
        change_root(storage, refs={f"{HEADS}main": object_ref(there.resolve("bigger"))})
        new = {name: storage.get(name) for name in packs_of(storage, ".idx") if name not in first}
        for name, data in new.items():
            storage.put(name, data[:-1] + bytes([data[-1] ^ 1]))
        with pytest.raises(CorruptError, match="does not fit its checksum"):
            fetch(repo, remote)
        other = max(first, key=lambda name: storage.size(name) or 0)
        for name, data in new.items():
            storage.put(name, storage.get(other).ljust(len(data), b"\0"))
        with pytest.raises(CorruptError):
            fetch(repo, remote)
        for name, data in new.items():
            storage.put(name, data)
        fetch(repo, remote)
        assert_whole(repo)


# -- root, segments, refs --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "refs/heads/../../config",
        "/etc/passwd",
        "refs/heads//x",
        "refs/heads/a b",
        "refs/heads/x.lock",
        "refs/heads/\x1b[31m",
        "refs/heads/.hidden",
        "HEAD",
        "main",
        "refs/heads/" + "x" * 300,
        "refs/",
    ],
)
def test_refs_of_odd_names(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None], name: str
) -> None:
    tip = there.resolve("HEAD")
    publish(there, storage, refs={f"{HEADS}main": tip, name: tip})
    refused("impossible name")


def test_refs_that_name_nothing_or_what_is_no_commit(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    tip = there.resolve("HEAD")
    snapshot = read_commit(there.store, tip).snapshot_id
    blob = there.at("HEAD")["hat/1.jpg"].image.blob_id
    assert blob is not None
    for wrong in (bytes(32), snapshot, blob, b"short"):
        publish(there, storage, refs={f"{HEADS}main": wrong})
        with pytest.raises(Refused):
            clone(storage.url, tmp_path / "clone")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["far"]


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x91" * 10_000, b"\x80junk", b"\xdf" + b"\xff" * 8]
)
def test_a_root_that_is_none(
    storage: MemoryStorage, refused: Callable[[str], None], data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "far").mkdir()
    storage.put(ROOT, data)
    refused("the root of the remote")


def test_a_segment_that_is_another(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    root = publish(there, storage)
    storage.put(segment_path(root.segments[0]), encode_segment([])[1])
    refused("other bytes than its id")


@pytest.mark.parametrize(
    "stone",
    [
        {"../x": {"reason": "r", "when": 1, "who": "w"}},
        {"00" * 32: {"reason": 5, "when": 1, "who": "w"}},
        {"0" * 63: {"reason": "r", "when": 1, "who": "w"}},
    ],
)
def test_tombstones_of_nothing(
    there: Repository,
    storage: MemoryStorage,
    refused: Callable[[str], None],
    stone: dict[str, dict[str, Any]],
) -> None:
    publish(there, storage, tombstones=stone)
    refused("tombstone")


def test_who_writes_refuses_tombstones_of_nothing(
    there: Repository, storage: MemoryStorage
) -> None:
    publish(there, storage, tombstones={"../x": {"reason": "r", "when": 1, "who": "w"}})
    blob = there.at("HEAD")["hat/1.jpg"].image.blob_id
    assert blob is not None
    before = sorted(storage.list(""))
    save(there, "second", {"hat/9.jpg": 9})
    purge_blobs(there, [blob], "consent")
    for write in (push, collect_remote, push_derived, partial(purge_remote, blobs=[blob])):
        with pytest.raises(InvalidDataError, match="tombstone of an impossible name"):
            write(there, storage)
    assert sorted(storage.list("")) == before


def test_a_tombstone_of_a_commit(there: Repository, storage: MemoryStorage, tmp_path: Path) -> None:
    publish(there, storage)
    with Repository.init(tmp_path / "own") as repo:
        remote = set_remote(repo, Remote("origin", storage.url))
        fetch(repo, remote)
        tip = there.resolve("HEAD")
        stones = {tip.hex(): {"reason": "r", "when": 1, "who": "w"}}
        publish(there, storage, tombstones=stones)
        with pytest.raises(InvalidDataError, match="purges what is no blob"):
            fetch(repo, remote)
        assert_whole(repo)


# -- versions --------------------------------------------------------------------------------------


def commit_of(
    repo: Repository, spaces: dict[str, list[tuple[bytes, bytes]]], **changes: Any
) -> bytes:
    """A commit of any rows on top of HEAD, written past every check."""
    parent = repo.head.commit
    assert parent is not None
    with repo.transaction("test") as txn:
        roots = dict(read_snapshot(txn, read_commit(txn, parent).snapshot_id))
        roots.update({space: prolly.build(txn, rows) for space, rows in spaces.items()})
        snapshot = changes.pop("snapshot", None) or txn.put_value(
            Kind.SNAPSHOT, {space: object_ref(root) for space, root in sorted(roots.items())}
        )
        made = write_commit(
            txn, snapshot=snapshot, parents=[parent], author="x <>", message="m", time=1, zone=0
        )
        if changes:
            changed = msgspec.structs.replace(read_commit(txn, made), **changes)
            made = txn.put(Kind.COMMIT, wire.encode(changed))
        txn.commit()
    return made


def row_of(txn: Transaction, data: bytes) -> bytes:
    return encode_file(FileRow(blob=wire.blob_ref(txn.put_blob(data)), bytes=len(data)))


@pytest.mark.parametrize(
    "key",
    [
        b"../evil",
        b"/etc/evil",
        b"a/../../evil",
        b".vgr/config.toml",
        b"a//b",
        b"x\x00y",
        b"\xff\xfe",
    ],
)
def test_keys_that_lead_away(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None], key: bytes
) -> None:
    with there.transaction("test") as txn:
        row = row_of(txn, b"evil")
        txn.commit()
    publish(there, storage, refs={f"{HEADS}main": commit_of(there, {FILES: [(key, row)]})})
    refused("of a version")


def test_rows_that_are_none(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    odd = commit_of(there, {SAMPLES: [(b"hat/1.jpg", wire.encode({"z": 1}))]})
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("not a canonical row")


def test_a_commit_that_says_a_wrong_depth(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    odd = commit_of(there, {}, depth=7)
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("wrong depth")


def test_a_map_cut_against_the_rules(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    with there.transaction("test") as txn:
        row = row_of(txn, b"text")
        leaves = [
            txn.put_value(Kind.NODE, {"k": [key], "l": 0, "v": [wire.decode(row)]})
            for key in (b"a.txt", b"b.txt")
        ]
        top = txn.put_value(
            Kind.NODE,
            {
                "c": [1, 1],
                "k": [b"a.txt", b"b.txt"],
                "l": 1,
                "v": [object_ref(leaf) for leaf in leaves],
            },
        )
        snapshot = txn.put_value(Kind.SNAPSHOT, {FILES: object_ref(top)})
        txn.commit()
    odd = commit_of(there, {}, snapshot=snapshot)
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("space files of a version")


def test_a_blob_that_the_remote_lacks(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    row = encode_file(FileRow(blob=wire.blob_ref(blob_id(b"absent")), bytes=6))
    odd = commit_of(there, {FILES: [(b"absent.txt", row)]})
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("lacks 1 blob that")


def test_a_parent_that_the_remote_lacks(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    odd = commit_of(there, {}, parents=[object_ref(b"p" * 32)])
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("lacks object")


def test_a_snapshot_reference_that_is_too_long(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    odd = commit_of(there, {}, snapshot=None, parents=[wire.Ext(2, b"p" * 600)])
    publish(there, storage, refs={f"{HEADS}main": odd})
    refused("lacks object")


def test_a_root_of_sixteen_million_lists(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    publish(there, storage)
    count = (16 << 20) - 64
    lists = b"\xdd" + count.to_bytes(4, "big") + b"\x90" * count
    storage.put(ROOT, b"\x81\xaatombstones\x81\xa1a\x81\xa1b" + lists)
    refused("the root of the remote does not decode")


def test_a_root_that_is_longer_than_any(
    there: Repository, storage: MemoryStorage, refused: Callable[[str], None]
) -> None:
    publish(there, storage)
    storage.put(ROOT, bytes((16 << 20) + 1))
    refused("'root' of .* has more than 16,777,216 bytes")
