"""The protected images and held samples of a version, kept so that a look at them is cheap.

The table of one samples root is kept under `.vgr/cache/guard`; that of another root is made from
it by what differs between the two. With it stand the versions that were looked at already, so that
a commit need not do again what `add` did. Both may be lost at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from voyager.errors import VoyagerError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import ChangedRow
from voyager.repo.guard_images import Seen, SplitTest, may_hold, seen_of
from voyager.repo.snapshot import POLICIES, SAMPLES
from voyager.schema.guard import GuardPolicy
from voyager.store import files, prolly
from voyager.store.objectstore import Store
from voyager.store.operation import GONE

_VERSION = 2
_DIGEST = 16
_MOST_KEPT = 32
_MOST_ROWS = 200_000
"""A larger table is quicker made anew than kept."""


class _File(msgspec.Struct, array_like=True):
    version: int = _VERSION
    splits: tuple[str, ...] = ()
    root: bytes = b""
    rows: list[Seen] = []
    held: list[str] = []
    looked_at: list[bytes] = []


class Protected:
    """The protected images of a version, by key, and the keys of samples that are held."""

    def __init__(
        self, splits: SplitTest, rows: Iterable[Seen] = (), held: Iterable[str] = ()
    ) -> None:
        self._splits = splits
        self.rows = {seen.key: seen for seen in rows}
        self.held = set(held)

    def __len__(self) -> int:
        """The number of protected images."""
        return len(self.rows)

    def change(self, key: bytes, row: bytes | None) -> None:
        """Take the row of a key in, or out."""
        name = key.decode()
        self.rows.pop(name, None)
        self.held.discard(name)
        if row is not None:
            self.take(key, row)

    def take(self, key: bytes, row: bytes) -> None:
        """Take in the row of a key that was not there; most need not be decoded."""
        if may_hold(row) or self._splits.may_be_protected(row):
            seen = seen_of(key, row)
            if seen.split in self._splits.splits:
                self.rows[seen.key] = seen
            if seen.held is not None:
                self.held.add(seen.key)


class ProtectedCache:
    """The file that keeps a table, and the versions that were looked at."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "cache" / "guard" / "protected"
        self._file = self._read()

    def _read(self) -> _File:
        with contextlib.suppress(OSError, msgspec.MsgspecError, ValueError):
            data = self._path.read_bytes()
            digest, body = data[:_DIGEST], data[_DIGEST:]
            found = msgspec.msgpack.decode(body, type=_File)
            if found.version == _VERSION and blake3(body).digest(_DIGEST) == digest:
                return found
        return _File()

    def images_of(
        self,
        version: Dataset,
        policy: GuardPolicy,
        *,
        since: Dataset | None = None,
        changed: Iterable[ChangedRow] | None = None,
    ) -> Protected:
        """The protected images of a version; `changed` are its changes since another, if known."""
        splits = SplitTest(policy)
        kept = self._file
        at_hand = since is not None and since.roots.get(SAMPLES) == kept.root
        if changed is not None and at_hand and kept.splits == splits.splits:
            found = Protected(splits, kept.rows, kept.held)
            for key, _, row in changed:
                found.change(key, row)
            return found
        found = self._of_root(version, splits)
        for (space, key), row in version.overlay.items():
            if space == SAMPLES:
                found.change(key, None if row == GONE else row)
        return found

    def _of_root(self, version: Dataset, splits: SplitTest) -> Protected:
        root, kept = version.roots.get(SAMPLES), self._file
        if root is None:
            return Protected(splits)
        if kept.splits == splits.splits and kept.root == root:
            return Protected(splits, kept.rows, kept.held)
        found = self._made(version, splits, root)
        if isinstance(version.objects, Store) and len(found) + len(found.held) <= _MOST_ROWS:
            kept.splits, kept.root = splits.splits, root
            kept.rows, kept.held = list(found.rows.values()), sorted(found.held)
            self._write()
        return found

    def _made(self, version: Dataset, splits: SplitTest, root: bytes) -> Protected:
        """The table of another root: from the one that is kept, or by a pass over all rows."""
        kept = self._file
        if kept.splits == splits.splits and kept.root:
            found = Protected(splits, kept.rows, kept.held)
            with contextlib.suppress(VoyagerError):  # gc may have dropped the root that is kept
                for key, _, row in prolly.diff(version.objects, kept.root, root):
                    found.change(key, row)
                return found
        found = Protected(splits)
        may_be_protected = splits.may_be_protected
        for key, row in version.base_rows(SAMPLES):
            if may_be_protected(row) or may_hold(row):
                found.take(key, row)
        return found

    def was_looked_at(self, version: Dataset) -> bool:
        """Whether all of a version was looked at for equal bytes, under its policy."""
        return _token(version) in self._file.looked_at

    def note_looked_at(self, version: Dataset) -> None:
        """Keep in mind that all of a version was looked at."""
        token = _token(version)
        kept = [known for known in self._file.looked_at if known != token]
        self._file.looked_at = [*kept[-_MOST_KEPT:], token]
        self._write()

    def _write(self) -> None:
        body = msgspec.msgpack.encode(self._file)
        with contextlib.suppress(OSError):  # a digest tells a torn one: no need to wait for a sync
            files.make_folder(self._path.parent)
            files.replace(self._path, [blake3(body).digest(_DIGEST), body])


def _token(version: Dataset) -> bytes:
    """Names the samples of a version and its policy."""
    hasher = blake3()
    for part in _parts(version):
        hasher.update(len(part).to_bytes(4, "little") + part)
    return hasher.digest(16)


def _parts(version: Dataset) -> Iterator[bytes]:
    for space in (SAMPLES, POLICIES):
        yield version.roots.get(space, b"")
        for (of, key), row in sorted(version.overlay.items()):
            if of == space:
                yield key
                yield row
