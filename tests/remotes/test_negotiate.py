"""What the other side lacks: nothing needed is left out, little needless is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from small_stores import begin, commit, fill_store, seal_now, some_bytes

from voyager.errors import CorruptError
from voyager.remotes.negotiate import Lacking, lacking, name_missing
from voyager.store.history import read_commit
from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import Store
from voyager.store.purge import purge
from voyager.store.reachable import mark
from voyager.wire import blob_ref, encode, object_ref


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.init(tmp_path / "store") as made:
        yield made


def everything(store: Store, tips: Iterable[bytes]) -> set[bytes]:
    live = mark(store, [("tips", encode([object_ref(tip) for tip in tips]))])
    return live.objects | live.blobs


def of(found: Lacking) -> set[bytes]:
    return set(found.objects) | set(found.blobs)


@pytest.mark.parametrize("sealed", [True, False])
def test_all_and_only_what_is_new(store: Store, sealed: bool) -> None:
    ids = fill_store(store, sealed=sealed)
    tips = {name: ids[name] for name in ("first", "side", "merge", "tag")}
    for wanted in tips.values():
        assert of(lacking(store, [wanted], [])) == everything(store, [wanted])
        for known in tips.values():
            needed = everything(store, [wanted]) - everything(store, [known])
            assert of(lacking(store, [wanted], [known])) == needed


def test_changes_cost_what_they_are(store: Store) -> None:
    rows = {b"k%05d" % number: {"n": number, "t": "x" * 40} for number in range(20_000)}
    first = commit(store, "main", rows)
    rows[b"k09999"] = {"n": -1}
    second = commit(store, "main", rows)
    found = lacking(store, [second], [first])
    assert len(found.objects) < 8
    assert {second, read_commit(store, second).snapshot_id} <= found.objects.keys()


def test_a_moved_image_is_not_sent_again(store: Store) -> None:
    image = some_bytes(1, 400)
    rows = {b"k%05d" % number: {"n": number, "t": "x" * 60} for number in range(3_000)}
    first = commit(store, "main", rows, blobs=[image])
    moved = {**rows, b"zz/moved": {"blob": blob_ref(blob_id(image))}}
    second = commit(store, "main", moved)
    assert not lacking(store, [second], [first]).blobs


@pytest.mark.parametrize("long_before", [True, False])
def test_rows_that_grow_long_or_short(store: Store, long_before: bool) -> None:
    image, other = some_bytes(1, 400), some_bytes(2, 400)
    short = {"blob": blob_ref(blob_id(image))}
    long = {**short, "points": "x" * 20_000}
    first = commit(store, "main", {b"a": long if long_before else short}, blobs=[image, other])
    second = commit(store, "main", {b"a": short if long_before else long})
    needed = everything(store, [second]) - everything(store, [first])
    assert of(lacking(store, [second], [first])) == needed


def test_images_of_versions_between(store: Store) -> None:
    images = [some_bytes(number, 300) for number in range(4)]
    first = commit(store, "main", {b"a": 1})
    for image in images:
        last = commit(store, "main", {b"a": 1}, blobs=[image])
    found = lacking(store, [last], [first])
    assert set(found.blobs) == {blob_id(image) for image in images}


def test_what_extra_and_unknown_spaces_refer_to(store: Store) -> None:
    with begin(store) as txn:
        report, deep = txn.put_blob(b"a report"), txn.put_blob(b"deep")
        run = txn.put_value(Kind.RUN, {"logs": [blob_ref(deep)]})
        snapshot = txn.put_value(Kind.SNAPSHOT, {"later": object_ref(run)})
        made = txn.put_value(
            Kind.COMMIT,
            {
                "author": "A <a@b>",
                "extra": {"reports": [blob_ref(report)]},
                "message": "m",
                "snapshot": object_ref(snapshot),
                "time": 0,
            },
        )
        txn.move("refs/heads/main", object_ref(made), old=None)
        txn.commit()
    assert of(lacking(store, [made], [])) == {made, snapshot, run, deep, report}


def test_unknown_tips_are_passed_over(store: Store) -> None:
    tip = commit(store, "main", {b"a": 1})
    assert of(lacking(store, [tip], [bytes(32)])) == everything(store, [tip])
    assert not lacking(store, [tip], [tip])


def test_missing_blobs_are_named_by_their_keys(store: Store) -> None:
    first = commit(store, "main", {b"a": {"blob": blob_ref(bytes(32))}})
    second = commit(store, "main", {b"b": 1})
    absent = [blob for blob in lacking(store, [second], []).blobs if blob not in store]
    assert absent == [bytes(32)]
    assert name_missing(store, absent, [second], []) == [f"'a' of {first.hex()[:12]}"]
    assert name_missing(store, [blob_id(b"named by nothing")], [second], []) == []


def test_missing_objects_are_refused(store: Store) -> None:
    with begin(store) as txn:
        snapshot = txn.put_value(Kind.SNAPSHOT, {})
        made = txn.put_value(
            Kind.COMMIT,
            {
                "author": "A <a@b>",
                "extra": {"run": object_ref(bytes(range(32)))},
                "message": "m",
                "snapshot": object_ref(snapshot),
                "time": 0,
            },
        )
        txn.commit()
    with pytest.raises(CorruptError, match=bytes(range(32)).hex()):
        lacking(store, [made], [])


def test_purged_blobs_are_still_named(store: Store) -> None:
    tip = commit(store, "main", {}, blobs=[b"a" * 100, b"b" * 100])
    seal_now(store)
    purge(store, [blob_id(b"a" * 100)], reason="r", who="A", now_ms=1)
    assert set(lacking(store, [tip], []).blobs) == {blob_id(b"a" * 100), blob_id(b"b" * 100)}
