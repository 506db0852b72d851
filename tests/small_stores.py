"""Small stores with a bit of everything, and what can be read out of a store."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voyager.store import prolly, seal
from voyager.store.history import Tag, write_commit
from voyager.store.ids import Kind
from voyager.store.objectstore import DICTIONARY, Store
from voyager.store.operation import GONE, NIL
from voyager.store.refs import read_ref
from voyager.store.transaction import Transaction
from voyager.wire import blob_ref, encode, object_ref

AUTHOR = "Ann <ann@example.org>"
NOW = 1_700_000_000_000
DAY = 24 * 3600 * 1000


def begin(store: Store, kind: str = "test", *, time: int = NOW) -> Transaction:
    """A transaction of the tests' author."""
    return Transaction(store, kind, author=AUTHOR, time=time)


@contextmanager
def quick_folder() -> Iterator[Path]:
    """A temporary folder where fsync costs nothing, when the system has one."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def some_bytes(seed: int, length: int) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    return random.Random(seed).randbytes(length)


def put_snapshot(txn: Transaction, rows: Mapping[bytes, Any]) -> bytes:
    """A snapshot with one map of rows; its id."""
    root = prolly.build(txn, [(key, encode(rows[key])) for key in sorted(rows)])
    return txn.put_value(Kind.SNAPSHOT, {"samples": object_ref(root)})


def commit(
    store: Store,
    branch: str,
    rows: Mapping[bytes, Any],
    *,
    blobs: Iterable[bytes] = (),
    parents: Iterable[bytes] | None = None,
    time: int = NOW,
) -> bytes:
    """Commit rows on a branch; each blob gets a row of its own. The commit's id."""
    name = f"refs/heads/{branch}"
    old = read_ref(store, name)
    with begin(store, "commit", time=time) as txn:
        rows = dict(rows)
        for blob in blobs:
            blob_id = txn.put_blob(blob)
            rows[blob_id.hex().encode()] = {"blob": blob_ref(blob_id)}
        commit_id = write_commit(
            txn,
            snapshot=put_snapshot(txn, rows),
            parents=([old] if old else []) if parents is None else parents,
            author=AUTHOR,
            message=f"on {branch}",
            time=time,
            zone=0,
        )
        txn.move(name, object_ref(commit_id), old=object_ref(old) if old else None)
        txn.commit()
    return commit_id


def seal_now(store: Store) -> None:
    """Seal the journal, however short."""
    with store.lock():
        seal.seal_journal(store)


def fill_store(store: Store, *, sealed: bool = True) -> dict[str, bytes]:
    """Branches, a merge, a tag, a dictionary, tiny and big blobs, staged rows; ids by name."""
    ids = {}
    rows = {b"r%04d" % number: {"n": number} for number in range(60)}
    ids["first"] = commit(store, "main", rows, blobs=[some_bytes(n, 300) for n in range(8)])
    _put_tiny_blobs(store)
    ids["side"] = commit(store, "side", {b"x": {"t": "side"}}, blobs=[some_bytes(50, 900)])
    if sealed:
        seal_now(store)
    rows[b"r0007"] = {"n": -7, "text": "changed " * 40}
    ids["merge"] = commit(store, "main", rows, parents=[ids["first"], ids["side"]])
    with begin(store, "tag") as txn:
        tag = Tag(author=AUTHOR, message="m", name="v1", target=object_ref(ids["first"]), time=NOW)
        ids["tag"] = txn.put_value(Kind.TAG, tag)
        txn.move("refs/tags/v1", object_ref(ids["tag"]), old=None)
        txn.move("HEAD", "refs/heads/main", old=None)
        txn.commit()
    with begin(store, "stage") as txn:
        staged = txn.put_blob(some_bytes(77, 500))
        ids["staged"] = staged
        txn.change("samples", b"new", encode({"blob": blob_ref(staged)}), old=NIL)
        txn.change("samples", b"r0001", GONE, old=NIL)
        txn.commit()
    return ids


def _put_tiny_blobs(store: Store) -> None:
    dictionary = b"".join(b"header of tiny image %d; " % number for number in range(60))
    with begin(store, "tiny") as txn:
        dictionary_id = txn.put(Kind.DICTIONARY, dictionary)
        txn.move(DICTIONARY, object_ref(dictionary_id), old=None)
        txn.use_dictionary(dictionary)
        blobs = [
            txn.put_blob(b"header of tiny image %d; %d" % (number, number)) for number in range(12)
        ]
        txn.move("tiny", [blob_ref(blob_id) for blob_id in blobs], old=None)
        txn.commit()


def contents(store: Store) -> dict[str, Any]:
    """Everything a store answers, to compare two stores by."""
    return {
        "values": {name: store.value_bytes(name) for name in store.values()},
        "overlay": store.overlay(),
        "operations": [operation.encode() for operation in store.operations()],
        "reflog": {name: store.moves_of(name) for name in store.values()},
        "objects": objects_of(store),
    }


def objects_of(store: Store) -> dict[bytes, tuple[Kind, bytes]]:
    """Kind and bytes of every id that the index lists."""
    return {entry_id: store.get_any(entry_id) for entry_id in store.iter_prefix(b"")}


def in_processes(*actions: Callable[[], object]) -> None:
    """Run actions at the same time, each in a forked child; all must succeed."""
    children = []
    for action in actions:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            status = 1
            try:
                action()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * len(children)


def copy_store(source: Path, target: Path) -> Path:
    """A copy of a closed store's files."""
    shutil.copytree(source, target)
    return target
