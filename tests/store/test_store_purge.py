"""Purging: the bytes are nowhere any more, and everybody says why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from small_stores import (
    DAY,
    NOW,
    begin,
    commit,
    contents,
    fill_store,
    objects_of,
    seal_now,
    some_bytes,
)

from voyager.errors import NotFoundError, UsageError
from voyager.store import fsck
from voyager.store.gc import collect
from voyager.store.ids import blob_id
from voyager.store.objectstore import Store
from voyager.store.pack import Content, PackWriter
from voyager.store.purge import Purged, purge, tombstones, unpurge
from voyager.store.rebuild import rebuild

SECRET = some_bytes(3, 300)  # one of the blobs of fill_store


def purge_secret(store: Store) -> Purged:
    return purge(store, [blob_id(SECRET)], reason="asked to", who="ann", now_ms=NOW)


def lies_in(root: Path, secret: bytes = SECRET) -> list[str]:
    """Files that hold the secret's bytes."""
    return [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and secret in path.read_bytes()
    ]


def test_the_bytes_are_nowhere(store: Store) -> None:
    fill_store(store)
    before = objects_of(store)
    assert lies_in(store.root)
    assert purge_secret(store) == Purged(blobs=1, packs=1)
    assert lies_in(store.root) == []
    del before[blob_id(SECRET)]
    assert objects_of(store) == before
    assert fsck.check(store.root).problems == []
    assert tombstones(store) == {blob_id(SECRET)}
    assert store.value(f"tombstones/{blob_id(SECRET).hex()}") == {
        "reason": "asked to",
        "when": NOW,
        "who": "ann",
    }


def test_reading_and_adding_it_again_is_refused(store: Store) -> None:
    fill_store(store)
    purge_secret(store)
    for read in (store.get_blob, lambda found: list(store.iter_blob(found)), store.header):
        with pytest.raises(NotFoundError, match="was purged: asked to"):
            read(blob_id(SECRET))
    with begin(store) as txn:
        with pytest.raises(NotFoundError, match="was purged: asked to") as caught:
            txn.put_blob(SECRET)
        assert caught.value.hint is not None
        assert "unpurge" in caught.value.hint
        with pytest.raises(NotFoundError, match="was purged"):
            txn.put_blob_stream(iter([SECRET[:100], SECRET[100:]]), 300)
        txn.put_blob(b"something else")
        txn.commit()
    assert lies_in(store.root) == []


def test_it_is_in_no_pack_that_two_writers_made(store: Store) -> None:
    twins = begin(store), begin(store)
    for txn in twins:
        txn.put_blob(SECRET)
    twins[0].put_blob(b"and another")
    for txn in twins:
        txn.commit()
    assert len(lies_in(store.root)) == 2
    assert purge_secret(store).packs == 2
    assert lies_in(store.root) == []
    assert store.get_blob(blob_id(b"and another"))


def test_what_killed_writers_and_collections_left_goes_too(store: Store) -> None:
    fill_store(store)
    pack = Path(lies_in(store.root)[0])
    packs = store.root / "packs"
    unfinished = PackWriter(packs, Content.BLOBS)
    unfinished.append_small(blob_id(SECRET), SECRET)
    unfinished._flush()
    stray = PackWriter(packs, Content.BLOBS)
    stray.append_small(blob_id(SECRET), SECRET)
    stray.seal()
    other = PackWriter(packs, Content.BLOBS)
    other.append_small(blob_id(b"other"), b"other")
    kept = other.seal().name
    shutil.copy(store.root / pack, store.root / "trash" / pack.name)
    assert len(lies_in(store.root)) == 4
    purge_secret(store)
    assert lies_in(store.root) == []
    assert (packs / f"{kept}.pack").exists(), "others have their hour of grace"


def test_a_small_image_compressed_with_a_dictionary(store: Store) -> None:
    fill_store(store)
    refs = store.value("tiny")
    purge(store, [bytes(refs[0].data)], reason="r", who="w", now_ms=NOW)
    assert [store.get_blob(bytes(ref.data)) for ref in refs[1:]]
    with pytest.raises(NotFoundError, match="purged"):
        store.get_blob(bytes(refs[0].data))
    purge(store, [bytes(ref.data) for ref in refs], reason="r", who="w", now_ms=NOW)
    assert fsck.check(store.root).problems == []


def test_purging_again_finishes_what_was_killed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_store(store)
    monkeypatch.setattr("voyager.store.purge.repack", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purge_secret(store)
    monkeypatch.undo()
    report = fsck.check(store.root)
    assert [problem.kind for problem in report.problems] == ["purged"]
    with pytest.raises(NotFoundError, match="was purged"):
        store.get_blob(blob_id(SECRET))
    assert purge_secret(store) == Purged(blobs=0, packs=1)
    assert lies_in(store.root) == []
    assert fsck.check(store.root).problems == []


def test_gc_finishes_it_as_well(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_store(store)
    monkeypatch.setattr("voyager.store.purge.repack", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        purge_secret(store)
    monkeypatch.undo()
    collect(store, expire_ms=DAY, now_ms=NOW, author="gc")
    assert lies_in(store.root) == []
    assert fsck.check(store.root).problems == []


def test_rebuild_gc_and_a_new_log_keep_the_tombstone(store: Store) -> None:
    fill_store(store)
    purge_secret(store)
    seal_now(store)
    collect(store, expire_ms=0, now_ms=NOW + 9, author="gc", prune_all=True)
    root = store.root
    before = contents(store)
    store.close()
    shutil.rmtree(root / "index")
    rebuild(root)
    with Store.open(root) as again:
        assert contents(again) == before
        with pytest.raises(NotFoundError, match="was purged: asked to"):
            again.get_blob(blob_id(SECRET))


def test_a_pack_that_comes_back_is_not_indexed_again(store: Store) -> None:
    """From a backup, say: its index entry stays out, and fsck names it."""
    fill_store(store)
    pack = store.root / lies_in(store.root)[0]
    data = pack.read_bytes()
    purge_secret(store)
    pack.write_bytes(data)
    root = store.root
    store.close()
    rebuild(root)
    with Store.open(root) as again, pytest.raises(NotFoundError, match="was purged"):
        again.get_blob(blob_id(SECRET))
    assert {problem.kind for problem in fsck.check(root).problems} == {"purged"}


def test_unpurge_lets_it_in_again(store: Store) -> None:
    fill_store(store)
    with pytest.raises(NotFoundError, match="was not purged"):
        unpurge(store, [blob_id(SECRET)], who="ann", now_ms=NOW)
    purge_secret(store)
    unpurge(store, [blob_id(SECRET)], who="ann", now_ms=NOW)
    assert tombstones(store) == set()
    assert [problem.kind for problem in fsck.check(store.root).problems] == ["missing"]
    commit(store, "again", {}, blobs=[SECRET])
    assert store.get_blob(blob_id(SECRET)) == SECRET
    assert fsck.check(store.root).problems == []


def test_a_blob_that_is_not_here_is_refused_from_now_on(store: Store) -> None:
    assert purge_secret(store) == Purged(blobs=1, packs=0)
    with begin(store) as txn, pytest.raises(NotFoundError, match="was purged"):
        txn.put_blob(SECRET)


def test_only_blobs_can_be_purged(store: Store) -> None:
    ids = fill_store(store)
    before = contents(store)
    with pytest.raises(UsageError, match="is a commit; only blobs"):
        purge(store, [ids["first"]], reason="r", who="w", now_ms=NOW)
    assert contents(store) == before
    assert os.listdir(store.root / "trash") == []
