"""gc, compaction, purge, sealing, rebuild and reopening against a model made of dicts."""

from __future__ import annotations

import shutil
from contextlib import ExitStack

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from small_stores import begin, quick_folder, seal_now, some_bytes

from voyager.errors import NotFoundError
from voyager.store import fsck, pack_use
from voyager.store.gc import collect, compact, wants_gc
from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import Store
from voyager.store.operation import GONE, NIL
from voyager.store.purge import purge, unpurge
from voyager.store.rebuild import rebuild
from voyager.wire import blob_ref, encode, object_ref

NAMES = st.sampled_from(["refs/x", "STAGING", "RUNNING", "notes"])
"""Whatever they hold keeps it alive: the store gives no name a meaning of its own."""
KEYS = st.sampled_from([b"a", b"b", b"c"])
BLOBS = st.integers(0, 9)


def blob_of(number: int) -> bytes:
    return some_bytes(number, 150 + 40 * number)


class Model(RuleBasedStateMachine):
    """The store beside plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.root = self.stack.enter_context(quick_folder()) / "store"
        self.store = Store.init(self.root)
        self.now = 1000
        self.held: dict[str, bytes] = {}
        self.staged: dict[bytes, bytes] = {}
        self.overlay: dict[bytes, bytes] = {}
        self.content: dict[bytes, tuple[Kind, bytes]] = {}
        self.references: dict[bytes, set[bytes]] = {}
        self.past: list[tuple[int, int, set[bytes]]] = []
        self.purged: set[bytes] = set()

    def teardown(self) -> None:
        self.store.close()
        try:
            assert fsck.check(self.root).problems == []
        finally:
            self.stack.close()

    # -- what the model knows --------------------------------------------------------------------

    def roots(self) -> set[bytes]:
        return set(self.held.values()) | set(self.staged.values())

    def reachable(self, roots: set[bytes]) -> set[bytes]:
        found, todo = set(roots), list(roots)
        while todo:
            for reference in self.references[todo.pop()] - found:
                found.add(reference)
                todo.append(reference)
        return found

    def live(self) -> set[bytes]:
        return self.reachable(self.roots())

    def held_by_operations(self, since: int) -> set[bytes]:
        """What operations refer to, from the first on that is young and was not let go before."""
        kept = self.store.value("LOG") or 1
        young = [seq for seq, time, _ in self.past if seq >= kept and time > since]
        first = min(young, default=self.store.last_seq() + 1)
        return {each for seq, _, ids in self.past if seq >= first for each in ids}

    # -- rules -----------------------------------------------------------------------------------

    @rule(name=NAMES, numbers=st.lists(BLOBS, max_size=3), join=st.booleans(), salt=BLOBS)
    def commit(self, name: str, numbers: list[int], join: bool, salt: int) -> None:
        """Move a value to a new object of some blobs and, maybe, of what other values hold."""
        self.now += 1
        with begin(self.store, time=self.now) as txn:
            blobs = []
            for number in numbers:
                data = blob_of(number)
                if blob_id(data) in self.purged:
                    with pytest.raises(NotFoundError, match="was purged"):
                        txn.put_blob(data)
                    continue
                blobs.append(txn.put_blob(data))
                self.content[blobs[-1]] = Kind.BLOB, data
                self.references.setdefault(blobs[-1], set())
            below = sorted(self.held.values()) if join else []
            value = {
                "blobs": [blob_ref(found) for found in blobs],
                "objects": [object_ref(found) for found in below],
                "salt": salt,
            }
            data = encode(value)
            found = txn.put(Kind.REPORT, data)
            self.content[found] = Kind.REPORT, data
            self.references[found] = {*blobs, *below}
            old = self.held.get(name)
            txn.move(name, object_ref(found), old=None if old is None else object_ref(old))
            txn.commit()
        self.past.append(
            (self.store.last_seq(), self.now, {found} | ({old} if old is not None else set()))
        )
        self.held[name] = found

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        """Remove a value."""
        old = self.held.pop(name, None)
        if old is None:
            return
        self.now += 1
        with begin(self.store, time=self.now) as txn:
            txn.move(name, None, old=object_ref(old))
            txn.commit()
        self.past.append((self.store.last_seq(), self.now, {old}))

    @rule(key=KEYS, number=BLOBS, gone=st.booleans())
    def stage(self, key: bytes, number: int, gone: bool) -> None:
        """Stage a row with a blob, or a removed row."""
        data = blob_of(number)
        found = blob_id(data)
        if found in self.purged:
            return
        self.now += 1
        old = self.overlay.get(key, NIL)
        with begin(self.store, time=self.now) as txn:
            if not gone:
                txn.put_blob(data)
            row = GONE if gone else encode({"blob": blob_ref(found)})
            if row == old:
                return
            txn.change("samples", key, row, old=old)
            txn.commit()
        before = {self.staged.pop(key)} if key in self.staged else set()
        self.overlay[key] = row
        if not gone:
            self.staged[key] = found
            self.content[found] = Kind.BLOB, data
            self.references.setdefault(found, set())
            before.add(found)
        self.past.append((self.store.last_seq(), self.now, before))

    @rule()
    def clear(self) -> None:
        """Empty the overlay."""
        self.now += 1
        with begin(self.store, time=self.now) as txn:
            txn.clear_overlay()
            txn.commit()
        self.overlay.clear()
        self.staged.clear()

    @rule(number=BLOBS)
    def purge(self, number: int) -> None:
        found = blob_id(blob_of(number))
        self.now += 1
        purge(self.store, [found], reason="asked", who="ann", now_ms=self.now)
        self.purged.add(found)
        with pytest.raises(NotFoundError, match="was purged: asked"):
            self.store.get_blob(found)

    @rule(number=BLOBS)
    def unpurge(self, number: int) -> None:
        found = blob_id(blob_of(number))
        if found not in self.purged:
            with pytest.raises(NotFoundError, match="was not purged"):
                unpurge(self.store, [found], who="ann", now_ms=self.now)
            return
        if found in self.reachable(self.roots() | {each for *_, ids in self.past for each in ids}):
            return  # it would be missing from then on, until it is added again
        unpurge(self.store, [found], who="ann", now_ms=self.now)
        self.purged.remove(found)

    @rule(expire=st.sampled_from([0, 4, 10_000]), prune=st.booleans())
    def collect(self, expire: int, prune: bool) -> None:
        self.now += 1
        done = collect(self.store, expire_ms=expire, now_ms=self.now, author="gc", prune_all=prune)
        if done.segments_removed:  # a checkpoint says all there is, and is an operation itself
            self.past.append((self.store.last_seq(), self.now, self.roots()))
        live = self.reachable(self.roots() | self.held_by_operations(self.now - expire))
        uses = pack_use.survey(self.store, live)
        assert not any(use.is_dead or use.is_wasteful for use in uses.values())
        for found in live - self.purged:
            assert self.store.get_any(found) == self.content[found]

    @rule()
    def compact(self) -> None:
        before = set(self.store.iter_prefix(b""))
        compact(self.store, now_ms=self.now, author="gc")
        assert set(self.store.iter_prefix(b"")) == before
        assert not wants_gc(self.store)

    @rule()
    def seal(self) -> None:
        seal_now(self.store)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.root)

    @rule()
    def rebuild(self) -> None:
        before = set(self.store.iter_prefix(b""))
        self.store.close()
        shutil.rmtree(self.root / "index")
        assert rebuild(self.root).damage == []
        self.store = Store.open(self.root)
        assert set(self.store.iter_prefix(b"")) == before

    # -- invariants ------------------------------------------------------------------------------

    @invariant()
    def says_what_the_model_says(self) -> None:
        for name in ("refs/x", "STAGING", "RUNNING", "notes"):
            found = self.held.get(name)
            assert self.store.value(name) == (None if found is None else object_ref(found))
        assert self.store.overlay() == {("samples", key): row for key, row in self.overlay.items()}

    @invariant()
    def holds_what_is_in_use(self) -> None:
        for found in self.live() - self.purged:
            assert self.store.get_any(found) == self.content[found]


def run(examples: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack_use, "MOST_SMALL_PACKS", 3)
    monkeypatch.setattr("voyager.store.gc.MOST_SMALL_PACKS", 3)

    run_state_machine_as_test(
        Model,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )


def test_the_store_follows_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    run(25, 25, monkeypatch)


@pytest.mark.deep
def test_the_store_follows_the_model_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    run(400, 60, monkeypatch)
