"""The LMDB index over packs and journal: ids to places, values, overlay, reflog (spec 7).

It holds nothing that packs, log and journal do not say; `Store.rebuild` makes it again. Its handle
belongs to one process: a forked child opens its own. No read transaction outlives a call.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import lmdb
from blake3 import blake3

from voyager.errors import CorruptError
from voyager.store.spec import MIB

T = TypeVar("T")

_PLACE = struct.Struct("<IQI")
_LONG = 0xFFFFFFFF
_FIRST_MAP = 1024 * MIB
TABLES = ("objects", "packs", "values", "overlay", "reflog", "operations", "meta")


class Place(NamedTuple):
    """Where an entry lies: file number (0 is the journal), offset, stored length.

    `stored` is None for bodies of 4 GiB and more; the entry's header knows it.
    """

    file: int
    offset: int
    stored: int | None


def encode_place(file: int, offset: int, stored: int) -> bytes:
    return _PLACE.pack(file, offset, min(stored, _LONG))


def decode_place(data: bytes) -> Place:
    file, offset, stored = _PLACE.unpack(data)
    return Place(file, offset, None if stored == _LONG else stored)


def short_hash(*parts: str | bytes) -> bytes:
    """16 bytes that stand for names too long to be LMDB keys."""
    hasher = blake3()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(4, "little") + data)
    return hasher.digest(16)


class Reading:
    """One short read transaction over all tables."""

    def __init__(self, txn: lmdb.Transaction, tables: dict[str, Any]) -> None:
        self._txn = txn
        self._tables = tables

    def get(self, table: str, key: bytes) -> bytes | None:
        data = self._txn.get(key, db=self._tables[table])
        return None if data is None else bytes(data)

    def items(self, table: str, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor(db=self._tables[table]) as cursor:
            found = cursor.set_range(prefix) if prefix else cursor.first()
            while found:
                key = bytes(cursor.key())
                if not key.startswith(prefix):
                    return
                yield key, bytes(cursor.value())
                found = cursor.next()

    def has_prefix(self, table: str, prefix: bytes) -> bool:
        """Whether any key starts with `prefix`."""
        with self._txn.cursor(db=self._tables[table]) as cursor:
            return cursor.set_range(prefix) and bytes(cursor.key()).startswith(prefix)

    def last(self, table: str, prefix: bytes = b"") -> tuple[bytes, bytes] | None:
        """The last item whose key starts with `prefix`."""
        with self._txn.cursor(db=self._tables[table]) as cursor:
            found = cursor.set_range(prefix + b"\xff" * 40) if prefix else False
            found = cursor.prev() if found else cursor.last()
            if not found:
                return None
            key = bytes(cursor.key())
            return (key, bytes(cursor.value())) if key.startswith(prefix) else None

    def count(self, table: str) -> int:
        entries: int = self._txn.stat(self._tables[table])["entries"]
        return entries


class Writing(Reading):
    """One write transaction; nothing is hashed or read from files inside it."""

    def put(self, table: str, key: bytes, value: bytes) -> None:
        self._txn.put(key, value, db=self._tables[table])

    def delete(self, table: str, key: bytes) -> None:
        self._txn.delete(key, db=self._tables[table])

    def put_sorted(self, table: str, items: Iterable[tuple[bytes, bytes]]) -> None:
        """Bulk put; sorting first makes LMDB three times faster, appending fills its pages."""
        with self._txn.cursor(db=self._tables[table]) as cursor:
            cursor.putmulti(sorted(items), append=not cursor.last())

    def clear(self, table: str) -> None:
        self._txn.drop(self._tables[table], delete=False)


class _Environment:
    """One LMDB environment, shared by all who open the same folder in this process."""

    def __init__(self, path: Path, read_only: bool, durable: bool) -> None:
        self.path = path
        self.read_only = read_only
        self.durable = durable
        self.users = 0
        self.open()

    def open(self) -> None:
        data = self.path / "data.mdb"
        size = max(_FIRST_MAP, 2 * data.stat().st_size if data.exists() else 0)
        try:
            self.env = lmdb.open(
                str(self.path),
                map_size=size,
                max_dbs=len(TABLES),
                readonly=self.read_only,
                lock=not self.read_only,
                create=not self.read_only,
                # The journal is the truth; losing the last index transaction only means replay.
                metasync=False,
                sync=self.durable,
                readahead=False,
            )
            self.tables = {
                name: self.env.open_db(name.encode(), create=not self.read_only) for name in TABLES
            }
        except lmdb.Error as error:
            raise _damaged(self.path, error) from error
        self.pid = os.getpid()

    def follow_fork(self) -> None:
        """A forked child must not use its parent's handle: it closes that and opens its own."""
        if self.pid != os.getpid():
            self.env.close()
            self.open()


def _damaged(path: Path, error: Exception) -> CorruptError:
    return CorruptError(f"the pack index is damaged: {error}", hint="vgr fsck --rebuild", path=path)


_environments: dict[Path, _Environment] = {}


class PackIndex:
    """A handle on the index in a folder; grows its map by doubling, survives a fork.

    An index that is thrown away at the end of the process need not be `durable`.
    """

    def __init__(self, path: Path, *, read_only: bool = False, durable: bool = True) -> None:
        self.path = path.resolve()
        shared = _environments.get(self.path)
        if shared is None:
            shared = _environments[self.path] = _Environment(self.path, read_only, durable)
        self.read_only = shared.read_only
        shared.users += 1
        self._shared: _Environment | None = shared

    def _environment(self) -> _Environment:
        if self._shared is None:
            raise ValueError("the pack index is closed")
        self._shared.follow_fork()
        return self._shared

    def read(self, body: Callable[[Reading], T]) -> T:
        """Run `body` in a read transaction that ends with the call."""
        shared = self._environment()
        try:
            try:
                return _read(shared, body)
            except lmdb.MapResizedError:
                shared.env.set_mapsize(0)
                return _read(shared, body)
        except lmdb.Error as error:
            raise _damaged(self.path, error) from error

    def write(self, body: Callable[[Writing], T]) -> T:
        """Run `body` in a write transaction; it runs again when the map had to grow."""
        shared = self._environment()
        while True:
            try:
                with shared.env.begin(write=True) as txn:
                    return body(Writing(txn, shared.tables))
            except lmdb.MapFullError:
                shared.env.set_mapsize(shared.env.info()["map_size"] * 2)
            except lmdb.MapResizedError:
                shared.env.set_mapsize(0)
            except (lmdb.DiskError, lmdb.BadTxnError) as error:
                raise OSError(28, "no space left on device", str(self.path)) from error
            except lmdb.Error as error:
                raise _damaged(self.path, error) from error

    def close(self) -> None:
        """Let go of the environment; the last user closes it."""
        shared, self._shared = self._shared, None
        if shared is None:
            return
        shared.users -= 1
        if not shared.users:
            _environments.pop(self.path, None)
            if shared.pid == os.getpid():
                shared.env.close()


def reopen(path: Path) -> None:
    """Let all handles of this process on an index follow when its folder was put in place anew."""
    shared = _environments.get(path.resolve())
    if shared is not None:
        shared.env.close()
        shared.open()


def leave_to_parent(path: Path) -> None:
    """In a forked child: let go of the parent's handle on an index, to open it in another way."""
    shared = _environments.pop(path.resolve(), None)
    if shared is not None:
        shared.env.close()


def _read(shared: _Environment, body: Callable[[Reading], T]) -> T:
    with shared.env.begin() as txn:
        return body(Reading(txn, shared.tables))
