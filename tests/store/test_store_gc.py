"""What a collection keeps, takes and writes anew."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_stores import (
    AUTHOR,
    DAY,
    NOW,
    begin,
    commit,
    contents,
    fill_store,
    in_processes,
    objects_of,
    quick_folder,
    seal_now,
    some_bytes,
)

from voyager.errors import CorruptError
from voyager.store import fsck, gc, pack_use
from voyager.store.gc import Collected, collect, compact, wants_gc
from voyager.store.ids import Kind, blob_id, object_id
from voyager.store.objectstore import DICTIONARY, GENERATION, SHALLOW, Store
from voyager.store.operation import NIL
from voyager.store.pack import Content, PackWriter
from voyager.store.reachable import BLOB_PREFIX, OBJECT_PREFIX, find_ids, mark
from voyager.store.rebuild import rebuild
from voyager.wire import blob_ref, encode, iter_references, object_ref


def collect_all(store: Store) -> Collected:
    """Collect as if everything that can expire had."""
    return collect(store, expire_ms=0, now_ms=NOW + DAY, author="gc", prune_all=True)


def pack_files(store: Store) -> list[str]:
    return sorted(name for name in os.listdir(store.root / "packs") if name.endswith(".pack"))


def drop(store: Store, name: str, *, time: int = NOW) -> None:
    with begin(store, time=time) as txn:
        txn.move(name, None, old=store.value(name))
        txn.commit()


# -- marking ---------------------------------------------------------------------------------------

ids = st.binary(min_size=32, max_size=32)
values = st.recursive(
    st.one_of(
        st.none(),
        st.integers(-(1 << 40), 1 << 40),
        st.text(max_size=5),
        st.binary(max_size=40),
        ids.map(blob_ref),
        ids.map(object_ref),
        st.just(object_ref(OBJECT_PREFIX * 10 + b"xy")),
        st.just(BLOB_PREFIX * 3),
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


@given(values)
def test_searching_bytes_finds_every_reference(value: object) -> None:
    data = encode(value)
    for code, prefix in ((1, BLOB_PREFIX), (2, OBJECT_PREFIX)):
        exact = {found for kind, found in iter_references(data) if kind == code}
        assert exact <= set(find_ids(data, prefix))


def test_bytes_that_look_like_a_reference_are_no_missing_object(store: Store) -> None:
    lookalike = OBJECT_PREFIX + bytes(32)
    with begin(store) as txn:
        row = txn.put_value(Kind.ROW, {"text": lookalike})
        txn.move("a", object_ref(row), old=None)
        txn.commit()
    assert mark(store, [("a", store.value_bytes("a") or b"")]).objects == {row}
    collect_all(store)
    assert row in store


def test_a_store_with_a_missing_object_is_not_swept(store: Store) -> None:
    absent = object_id(Kind.ROW, b"absent")
    with begin(store) as txn:
        txn.put_blob(some_bytes(1, 100))  # garbage, which stays
        report = txn.put_value(Kind.REPORT, {"row": object_ref(absent)})
        txn.move("a", object_ref(report), old=None)
        txn.commit()
    before = objects_of(store)
    with pytest.raises(CorruptError, match=f"{absent.hex()} is missing; {report.hex()}"):
        collect_all(store)
    assert objects_of(store) == before


def test_the_parents_of_a_shallow_commit_may_be_missing(store: Store) -> None:
    first = commit(store, "main", {b"k": {"n": 1}})
    second = commit(store, "main", {b"k": {"n": 2}})
    with begin(store) as txn:
        txn.move(SHALLOW, [object_ref(second)], old=None)
        txn.commit()
    root = store.root
    store.index.write(lambda writing: writing.delete("objects", first))
    assert mark(store, [("head", encode(object_ref(second)))]).objects
    with pytest.raises(CorruptError, match="missing"):
        mark(store, [("head", encode(object_ref(first)))])
    assert root.exists()


def test_an_absent_blob_is_no_reason_to_stop(store: Store) -> None:
    with begin(store) as txn:
        txn.move("a", blob_ref(bytes(32)), old=None)
        txn.commit()
    assert collect_all(store).live_blobs == 1


# -- what stays and what goes ----------------------------------------------------------------------


def test_nothing_in_use_is_touched(store: Store) -> None:
    fill_store(store)
    before = contents(store)
    done = collect(store, expire_ms=DAY, now_ms=NOW, author="gc")
    after = contents(store)
    assert after["objects"] == before["objects"]
    assert (done.packs_removed, done.freed, done.dead_blobs) == (0, 0, 0)
    assert store.value(GENERATION) is None


def test_what_only_old_operations_refer_to_goes(store: Store) -> None:
    ids = fill_store(store)
    blob = blob_id(some_bytes(50, 900))
    drop(store, "refs/heads/main")
    drop(store, "refs/heads/side")
    collect(store, expire_ms=DAY, now_ms=NOW + DAY - 1, author="gc")
    assert ids["side"] in store
    assert blob in store
    done = collect(store, expire_ms=DAY, now_ms=NOW + DAY, author="gc")
    assert blob not in store
    assert store.get(ids["first"], Kind.COMMIT), "the tag holds it"
    assert store.get_blob(ids["staged"]), "it is staged"
    assert (done.dead_blobs, done.dead_objects > 0) == (1, True)
    assert done.freed > 900
    assert store.value(GENERATION) == 1
    assert fsck.check(store.root).problems == []


def test_a_dry_run_says_what_would_happen_and_does_nothing(store: Store) -> None:
    fill_store(store)
    seal_now(store)
    drop(store, "refs/heads/main")
    drop(store, "refs/heads/side")
    before = {path: path.read_bytes() for path in store.root.rglob("*.*") if path.is_file()}
    planned = collect(store, expire_ms=0, now_ms=NOW, author="gc", dry_run=True)
    after = {path: path.read_bytes() for path in store.root.rglob("*.*") if path.is_file()}
    assert before.keys() == after.keys()
    assert planned.dead_blobs == 1
    assert planned.freed > 0
    done = collect(store, expire_ms=0, now_ms=NOW, author="gc")
    assert (done.dead_blobs, done.live_blobs) == (planned.dead_blobs, planned.live_blobs)


def test_a_collection_of_another_kind_of_time_does_not_miss_what_an_earlier_one_took(
    store: Store,
) -> None:
    """Operations that expired hold their content no more, even while they are in the log."""
    first = commit(store, "main", {b"k": {"n": 1}}, time=NOW)
    drop(store, "refs/heads/main", time=NOW + 5)
    with begin(store, time=NOW + 10) as txn:
        txn.move("a", 1, old=None)
        txn.commit()
    collect(store, expire_ms=0, now_ms=NOW + 7, author="gc")
    assert first not in store
    assert [each.seq for each in store.operations()] == [5, 4, 3], "what expired is not shown"
    assert list((store.root / "log").iterdir()), "its segment holds a young operation too"
    collect(store, expire_ms=90 * DAY, now_ms=NOW + 20, author="gc")
    assert fsck.check(store.root).problems == []


def test_a_pack_that_is_mostly_alive_is_left_alone(store: Store) -> None:
    kept = [some_bytes(n, 1000) for n in range(9)]
    with begin(store) as txn:
        refs = [blob_ref(txn.put_blob(blob)) for blob in kept]
        dead = txn.put_blob(some_bytes(100, 1000))
        txn.move("a", refs, old=None)
        txn.commit()
    before = pack_files(store)
    assert collect_all(store).packs_removed == 0
    assert pack_files(store) == before
    assert dead in store
    with begin(store) as txn:
        txn.move("a", refs[:5], old=refs)
        txn.commit()
    done = collect_all(store)
    assert (done.packs_removed, done.packs_written) == (1, 1)
    assert pack_files(store) != before
    assert [store.get_blob(bytes(ref.data)) for ref in refs[:5]] == kept[:5]
    assert dead not in store


def test_live_entries_keep_their_order_and_their_stored_form(store: Store) -> None:
    blobs = [b"%d: " % n + b"compressible " * 40 for n in range(10)]
    with begin(store) as txn:
        refs = [blob_ref(txn.put_blob(blob, shrink=True)) for blob in blobs]
        txn.move("a", refs[1::2], old=None)
        txn.commit()
    before = [store.header(bytes(ref.data)) for ref in refs[1::2]]
    collect_all(store)
    assert [store.header(bytes(ref.data)) for ref in refs[1::2]] == before
    places = [store.place(bytes(ref.data)) for ref in refs[1::2]]
    assert [place.offset for place in places if place] == sorted(
        place.offset for place in places if place
    )


def test_entries_that_need_a_dictionary_keep_theirs(store: Store) -> None:
    fill_store(store)
    dictionary = bytes(store.value(DICTIONARY).data)
    refs = store.value("tiny")
    texts = [store.get_blob(bytes(ref.data)) for ref in refs]
    with begin(store) as txn:
        txn.move("tiny", refs[:5], old=refs)
        txn.commit()
    collect_all(store)
    assert [store.get_blob(bytes(ref.data)) for ref in refs[:5]] == texts[:5]
    assert bytes(refs[7].data) not in store
    assert store.get(dictionary, Kind.DICTIONARY)
    assert collect_all(store).packs_removed == 0, "a dictionary is no dead weight"
    drop(store, "tiny")
    collect_all(store)
    assert store.get(dictionary, Kind.DICTIONARY), "the value holds it, without any blob"
    drop(store, DICTIONARY)
    collect_all(store)
    assert fsck.check(store.root).problems == []


def test_a_blob_in_two_packs_is_kept_once(store: Store) -> None:
    """Two processes that add the same at the same time both store it."""
    twin = some_bytes(1, 2000)
    first, second = begin(store), begin(store)
    with first, second:
        for number, txn in enumerate((first, second)):
            ref = blob_ref(txn.put_blob(twin))
            other = blob_ref(txn.put_blob(some_bytes(10 + number, 100)))
            txn.move(f"v{number}", [ref, other], old=None)
        first.commit()
        second.commit()
    assert len(pack_files(store)) == 2
    collect_all(store)
    assert store.get_blob(blob_id(twin)) == twin
    sizes = [(store.root / "packs" / name).stat().st_size for name in pack_files(store)]
    assert sum(sizes) < 2 * 2000
    assert fsck.check(store.root).problems == []


def test_a_dead_twin_does_not_get_lost_from_the_index(store: Store) -> None:
    """What the index had in a dropped pack and another pack holds too is found there."""
    twin = some_bytes(1, 100)
    first, second = begin(store), begin(store)
    with first, second:
        for txn in (first, second):
            txn.put_blob(twin)
        first.move("v", blob_ref(first.put_blob(some_bytes(10, 3000))), old=None)
        first.commit()
        second.commit()
    assert collect_all(store).packs_removed == 1
    assert store.get_blob(blob_id(twin)) == twin
    assert fsck.check(store.root).problems == []


# -- small packs -----------------------------------------------------------------------------------


@pytest.fixture
def few_small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pack_use, gc):
        monkeypatch.setattr(module, "MOST_SMALL_PACKS", 3)


@pytest.mark.usefixtures("few_small_packs")
def test_too_many_small_packs_are_merged(store: Store) -> None:
    for number in range(3):
        commit(store, f"b{number}", {b"k": {"n": number}}, blobs=[some_bytes(number, 50)])
        seal_now(store)
    assert compact(store, now_ms=NOW, author="gc") == 0
    assert not wants_gc(store)
    commit(store, "b3", {b"k": {"n": 3}}, blobs=[some_bytes(3, 50)])
    seal_now(store)
    assert wants_gc(store)
    before = objects_of(store)
    assert compact(store, now_ms=NOW, author="gc") == 8
    assert len(pack_files(store)) == 2
    assert objects_of(store) == before
    assert not wants_gc(store)
    assert fsck.check(store.root).problems == []


@pytest.mark.usefixtures("few_small_packs")
def test_merged_packs_are_cut_at_the_size_of_a_pack(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.store.repack.PACK_SEAL_BYTES", 5000)
    blobs = [some_bytes(number, 1500) for number in range(12)]
    for number, blob in enumerate(blobs):
        with begin(store) as txn:
            txn.move(f"v{number}", blob_ref(txn.put_blob(blob)), old=None)
            txn.commit()
    compact(store, now_ms=NOW, author="gc")
    assert len(pack_files(store)) == 4
    assert [store.get_blob(blob_id(blob)) for blob in blobs] == blobs


# -- log -------------------------------------------------------------------------------------------


def test_an_expired_log_is_replaced_by_a_checkpoint(store: Store) -> None:
    ids = fill_store(store)
    before = contents(store)
    seal_now(store)
    with begin(store, time=NOW + 2 * DAY) as txn:
        txn.move("young", 1, old=None)
        txn.commit()
    collect(store, expire_ms=DAY, now_ms=NOW + 2 * DAY, author="gc", zone=60)
    after = contents(store)
    assert after["overlay"] == before["overlay"]
    assert before["values"].items() <= after["values"].items()
    assert {operation.message for operation in store.operations()} == {"", "8 operations expired"}
    assert store.moves_of("refs/heads/main") == []
    assert len(store.moves_of("young")) == 1
    assert len(list((store.root / "log").iterdir())) == 1
    assert store.get_blob(ids["staged"])
    assert store.value("LOG") == min(operation.seq for operation in store.operations())
    checkpoint = next(iter(store.operations()))
    assert checkpoint.checkpoint
    assert (checkpoint.author, checkpoint.zone) == ("gc", 60)


def test_operations_expire_one_by_one_and_segments_with_their_last(store: Store) -> None:
    for number in range(6):
        with begin(store, time=NOW + number * DAY) as txn:
            txn.move("a", number, old=number - 1 if number else None)
            txn.commit()
        if number % 2:
            seal_now(store)
    collect(store, expire_ms=DAY, now_ms=NOW + 4 * DAY - 1, author="gc")
    assert [operation.seq for operation in store.operations()] == [7, 6, 5, 4]
    assert [path.name for path in sorted((store.root / "log").iterdir())] == [
        "0000000000000003.log",
        "0000000000000005.log",
    ]
    assert (store.value("a"), store.value("LOG")) == (5, 4)
    assert store.moves_of("a") == [4, 5, 6]
    before = contents(store)
    rebuild(store.root)
    assert contents(store) == before
    assert fsck.check(store.root).problems == []


def test_a_damaged_log_stops_the_collection(store: Store) -> None:
    fill_store(store)
    segment = next(iter((store.root / "log").iterdir()))
    data = bytearray(segment.read_bytes())
    data[200] ^= 1
    segment.write_bytes(data)
    with pytest.raises(CorruptError, match="log is damaged at byte"):
        collect_all(store)


# -- strays ----------------------------------------------------------------------------------------


def make_old(path: Path) -> None:
    long_ago = time.time() - 7200
    os.utime(path, (long_ago, long_ago))


def test_files_that_nothing_names_go_after_their_grace(store: Store) -> None:
    fill_store(store)
    packs = store.root / "packs"
    named = set(os.listdir(packs))
    stray = PackWriter(packs, Content.BLOBS)
    stray.append_small(blob_id(b"stray"), b"stray")
    name = stray.seal().name
    strays = [
        packs / f"{name}.pack",
        packs / f"{name}.idx",
        packs / "tmp-1-ab",
        store.root / "journal.7.tmp",
        store.root / "log" / "0000000000000001.log.7.tmp",
        store.root / "trash" / "journal-1",
    ]
    for path in strays:
        path.touch()
    assert collect(store, expire_ms=0, now_ms=NOW, author="gc", dry_run=True).strays_removed == 0
    for path in strays:
        make_old(path)
    done = collect(store, expire_ms=DAY, now_ms=NOW, author="gc")
    assert done.strays_removed == 5
    assert not any(path.exists() for path in strays[:5])
    assert strays[5].exists(), "what a rebuild put aside stays as long as operations do"
    collect(store, expire_ms=DAY, now_ms=NOW, author="gc", prune_all=True)
    assert not strays[5].exists()
    assert named <= set(os.listdir(packs))


def test_a_stray_that_becomes_a_pack_again_is_kept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed collection leaves new packs; the next one makes equal packs with equal names."""
    with begin(store) as txn:
        kept = txn.put_blob(some_bytes(1, 100))
        txn.put_blob(some_bytes(2, 900))
        txn.move("a", blob_ref(kept), old=None)
        txn.commit()
    monkeypatch.setattr("voyager.store.repack.Rewriter._adopt", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        collect_all(store)
    monkeypatch.undo()
    assert len(pack_files(store)) == 2
    collect_all(store)
    assert len(pack_files(store)) == 1
    assert store.get_blob(kept) == some_bytes(1, 100)


def test_a_damaged_pack_is_not_copied(store: Store) -> None:
    with begin(store) as txn:
        kept = txn.put_blob(some_bytes(1, 100))
        txn.put_blob(some_bytes(2, 900))
        txn.move("a", blob_ref(kept), old=None)
        txn.commit()
    path = store.root / "packs" / pack_files(store)[0]
    data = bytearray(path.read_bytes())
    data[16 + 72 + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="are damaged"):
        collect_all(store)
    assert pack_files(store) == [path.name]
    assert list((store.root / "packs").glob("tmp-*")) == []


# -- beside others ---------------------------------------------------------------------------------


def test_a_reader_of_another_handle_follows_a_collection(store: Store) -> None:
    fill_store(store)
    blobs = [bytes(ref.data) for ref in store.value("tiny")]
    keep = blob_id(some_bytes(3, 300))
    with Store.open(store.root) as reader:
        before = [reader.get_blob(blob) for blob in [*blobs, keep]]
        stream = reader.iter_blob(keep)
        with begin(store) as txn:
            txn.move("tiny", store.value("tiny")[:6], old=store.value("tiny"))
            txn.commit()
        collect_all(store)
        assert [reader.get_blob(blob) for blob in [*blobs[:6], keep]] == [*before[:6], before[-1]]
        assert b"".join(stream) == before[-1]


def test_a_collection_waits_for_writers(store: Store) -> None:
    txn = begin(store)
    blob = txn.put_blob(some_bytes(1, 100))
    thread = threading.Timer(0.1, txn.abort)
    thread.start()
    started = time.monotonic()
    collect_all(store)
    assert time.monotonic() - started > 0.09
    thread.join()
    assert blob not in store


def test_the_author_is_written_down() -> None:
    with quick_folder() as folder, Store.init(folder / "s") as store:
        commit(store, "main", {b"k": {"n": 1}})
        drop(store, "refs/heads/main")
        collect(store, expire_ms=0, now_ms=NOW, author=AUTHOR)
        assert next(iter(store.operations())).author == AUTHOR
        with begin(store) as txn:
            txn.change("samples", b"k", encode({}), old=NIL)
            txn.commit()


def test_writers_readers_and_collections_beside_each_other(store: Store) -> None:
    """Every collection moves the blobs that are read, for each commit makes others garbage."""
    root = store.root
    kept = [some_bytes(n, 400) for n in range(6)]
    with begin(store) as txn:
        txn.move("kept", [blob_ref(txn.put_blob(blob)) for blob in kept], old=None)
        txn.commit()
    store.close()

    def write() -> None:
        with Store.open(root) as mine:
            for n in range(12):
                with begin(mine) as txn:
                    blobs = [blob_ref(txn.put_blob(some_bytes(n, 300))), mine.value("kept")[n % 6]]
                    row = txn.put_value(Kind.REPORT, {"blobs": blobs, "n": n})
                    txn.move("moving", object_ref(row), old=mine.value("moving"))
                    txn.commit()

    def sweep() -> None:
        with Store.open(root) as mine:
            for _ in range(12):
                collect_all(mine)

    def read() -> None:
        with Store.open(root) as mine:
            for n in range(300):
                blob = kept[n % 6]
                assert mine.get_blob(blob_id(blob)) == blob
                assert b"".join(mine.iter_blob(blob_id(blob))) == blob

    in_processes(write, sweep, read)
    with Store.open(root) as after:
        assert [after.get_blob(blob_id(blob)) for blob in kept] == kept
        last = after.get(bytes(after.value("moving").data), Kind.REPORT)
        assert {found for _, found in iter_references(last)} <= set(after.iter_prefix(b""))
    assert fsck.check(root).problems == []
