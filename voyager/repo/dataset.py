"""A read-only view of one version: snapshot roots plus overlay (empty for a commit)."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from blake3 import blake3

from voyager.errors import NotFoundError
from voyager.repo.snapshot import FILES, SAMPLES, TRACKED, Roots
from voyager.repo.staging import Overlay
from voyager.schema import FileRow, Sample, decode_file, decode_sample
from voyager.store import prolly
from voyager.store.apply import TOMBSTONES
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store
from voyager.store.operation import GONE

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from voyager.repo.lookups import Lookups
    from voyager.repo.tables import Tables
    from voyager.schema.vocabulary import Vocabulary


_SPARSE = 8
"""Where fewer than one row in so many is wanted, each is sought; else all are walked."""


class Tracked(NamedTuple):
    """What the working tree needs to know of a row: the bytes of its file."""

    key: str
    blob: bytes
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a listing of a folder."""

    name: str
    is_folder: bool


class Dataset:
    """A version as a mapping from keys to samples, in key order, with images by key.

    `commit` is None for a view of the staging area.
    """

    def __init__(
        self,
        objects: ObjectReader,
        roots: Roots,
        overlay: Overlay | None = None,
        *,
        commit: bytes | None = None,
    ) -> None:
        self.objects = objects
        self.roots = dict(roots)
        self.commit = commit
        self._overlay: dict[str, dict[bytes, bytes]] = {}
        for (space, key), row in (overlay or {}).items():
            self._overlay.setdefault(space, {})[key] = row
        self._maps: dict[str, prolly.Map] = {
            space: prolly.Map(objects, root) for space, root in self.roots.items()
        }
        self._order: dict[str, list[bytes]] = {}

    # -- rows ------------------------------------------------------------------------------------

    def row(self, space: str, key: bytes) -> bytes | None:
        """The encoded row at a key, or None."""
        row = self._overlay.get(space, {}).get(key)
        if row is not None:
            return None if row == GONE else row
        tree = self._maps.get(space)
        return None if tree is None else tree.get(key)

    def rows_at(self, space: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """(key, encoded row or None) of sorted keys; cheaper than as many `row`."""
        overlay, tree = self._overlay.get(space), self._maps.get(space)
        if overlay or tree is None or not keys:
            return ((key, self.row(space, key)) for key in keys)
        if tree.rank(keys[-1]) - tree.rank(keys[0]) > _SPARSE * len(keys):
            return tree.get_many(keys)
        return _picked(keys, tree.items(keys[0]))

    def rows(self, space: str, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(key, encoded row) of a space in key order, from `start` on."""
        tree = self._maps.get(space)
        base = iter(()) if tree is None else tree.items(start)
        overlay = self._overlay.get(space)
        if not overlay:
            yield from base
            return
        order = self._sorted(space)
        edited = ((key, overlay[key]) for key in islice(order, bisect_left(order, start), None))
        last: bytes | None = None
        # The overlay comes first among equals, and hides the row of the tree.
        for key, _, row in heapq.merge(
            ((key, 0, row) for key, row in edited), ((key, 1, row) for key, row in base)
        ):
            if key != last and row != GONE:
                yield key, row
            last = key

    def _sorted(self, space: str) -> list[bytes]:
        if space not in self._order:
            self._order[space] = sorted(self._overlay[space])
        return self._order[space]

    @property
    def overlay(self) -> Overlay:
        """The rows that lie on top of the trees."""
        return {
            (space, key): row for space, rows in self._overlay.items() for key, row in rows.items()
        }

    def overlay_keys(self, space: str) -> set[bytes]:
        """Keys that the overlay says something of."""
        return set(self._overlay.get(space, ()))

    def base_rows(self, space: str) -> Iterator[tuple[bytes, bytes]]:
        """(key, row) of the tree below the overlay."""
        tree = self._maps.get(space)
        return iter(()) if tree is None else tree.items()

    def rows_below(self, space: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(key, encoded row) of the keys that start with `prefix`."""
        for key, row in self.rows(space, prefix):
            if not key.startswith(prefix):
                return
            yield key, row

    def count(self, space: str) -> int:
        """How many rows a space has."""
        tree = self._maps.get(space)
        total = 0 if tree is None else len(tree)
        for key, row in self._overlay.get(space, {}).items():
            known = tree is not None and key in tree
            total += (row != GONE) - known
        return total

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The tasks and taxonomies of the version."""
        from voyager.repo.vocabulary import read_vocabulary

        return read_vocabulary(self)

    @cached_property
    def lookups(self) -> Lookups:
        """Keys by uid, and links from their far end: made by one pass, at first use."""
        from voyager.repo.lookups import Lookups

        return Lookups(self)

    @cached_property
    def tables(self) -> Tables:
        """The version as Arrow tables: `tables["samples"]`; MissingExtraError without pyarrow."""
        from voyager.repo.tables import Tables

        return Tables(self)

    def where(self, expression: str) -> Iterator[tuple[str, Sample]]:
        """(key, sample), in key order, of the samples for which a SQL expression is true.

        `ds.where("split = 'train' and has('chair')")`; docs/tables.md lists the columns.
        """
        from voyager.repo.where import keys_where

        keys = [key.encode() for key in keys_where(self, expression)]
        found = self.rows_at(SAMPLES, keys)
        return ((key.decode(), decode_sample(row)) for key, row in found if row is not None)

    def sql(self, query: str) -> pa.Table:
        """The rows that a SQL query gives, as a pyarrow.Table (docs/tables.md).

        `samples`, `regions`, `labels`, … are those of this version, `samples('v1')` is of another.
        """
        from voyager.repo.sql import sql

        return sql(self, query)

    def to_arrow(self, table: str = "samples") -> pa.Table:
        """A table of the version as a pyarrow.Table; MissingExtraError without pyarrow."""
        return self.tables[table]

    def to_pandas(self, table: str = "samples") -> pd.DataFrame:
        """A table of the version as a pandas.DataFrame; MissingExtraError without pandas."""
        from voyager.repo.tables import needs_pandas

        needs_pandas()
        return self.tables[table].to_pandas()

    # -- samples ---------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of samples."""
        return self.count(SAMPLES)

    def __repr__(self) -> str:
        where = "staging" if self.commit is None else self.commit.hex()[:12]
        return f"<Dataset {where}: {len(self)} samples>"

    def __getitem__(self, key: str) -> Sample:
        """The sample at a key; NotFoundError when there is none, `nth` reads by position."""
        if not isinstance(key, str):
            raise TypeError(f"keys are text, not {type(key).__name__}; nth(n) reads by position")
        row = self.row(SAMPLES, key.encode())
        if row is None:
            raise NotFoundError(f"no sample '{key}'", hint="vgr ls")
        return decode_sample(row)

    def get(self, key: str) -> Sample | None:
        """The sample at a key, or None."""
        row = self.row(SAMPLES, key.encode())
        return None if row is None else decode_sample(row)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.row(SAMPLES, key.encode()) is not None

    def __iter__(self) -> Iterator[str]:
        """Keys of samples in order."""
        return (key.decode() for key, _ in self.rows(SAMPLES))

    def keys(self) -> Iterator[str]:
        """Keys of samples in order."""
        return iter(self)

    def values(self) -> Iterator[Sample]:
        """Samples in key order."""
        return (sample for _, sample in self.items())

    def items(self, prefix: str = "") -> Iterator[tuple[str, Sample]]:
        """(key, sample) in key order, of the keys that start with `prefix`."""
        for key, row in self.rows_below(SAMPLES, prefix.encode()):
            yield key.decode(), decode_sample(row)

    def nth(self, n: int) -> tuple[str, Sample]:
        """The n-th sample in key order, from 0, negative from the end; IndexError outside."""
        size = len(self)
        if not -size <= n < size:
            raise IndexError(f"sample {n} of {size}")
        n %= size
        if not self._overlay.get(SAMPLES):
            key, row = self._maps[SAMPLES].nth(n)
        else:
            key, row = self._nth_with_overlay(n)
        return key.decode(), decode_sample(row)

    def _nth_with_overlay(self, n: int) -> tuple[bytes, bytes]:
        """Step over the overlay's keys, each of which shifts what follows by at most one."""
        tree = self._maps.get(SAMPLES)
        shift = 0
        for key in self._sorted(SAMPLES):
            row = self._overlay[SAMPLES][key]
            before = (tree.rank(key) if tree is not None else 0) + shift
            if before > n:
                break
            known = tree is not None and key in tree
            if row != GONE and before == n:
                return key, row
            shift += (row != GONE) - known
        assert tree is not None
        return tree.nth(n - shift)

    def image_bytes(self, key: str) -> bytes:
        """The image of a sample exactly as it was added, read from the store."""
        blob = self[key].image.blob_id
        if blob is None:
            raise NotFoundError(f"the image of '{key}' is not here: {self[key].image.state}")
        return self.objects.get(blob, Kind.BLOB)

    # -- files -----------------------------------------------------------------------------------

    @property
    def files(self) -> list[str]:
        """Keys of the tracked files that are no images (README, class lists)."""
        return [key.decode() for key, _ in self.rows(FILES)]

    def file_bytes(self, key: str) -> bytes:
        """The bytes of a tracked file or image."""
        row = self.row(FILES, key.encode())
        if row is None:
            return self.image_bytes(key)
        return self.objects.get(decode_file(row).blob_id, Kind.BLOB)

    def tracked(self, prefix: str = "") -> Iterator[Tracked]:
        """Every row that has a file in the working tree, in key order."""
        start = prefix.encode()
        streams = [self._tracked_of(space, start) for space in TRACKED]
        yield from heapq.merge(*streams, key=lambda tracked: tracked.key)

    def _tracked_of(self, space: str, start: bytes) -> Iterator[Tracked]:
        for key, row in self.rows_below(space, start):
            tracked = self.tracked_as(space, key, row)
            if tracked is not None:
                yield tracked

    def tracked_as(self, space: str, key: bytes, row: bytes) -> Tracked | None:
        """The file behind a row; None for an image that is pending or was purged."""
        tracked = tracked_row(space, key, row)
        return None if tracked is not None and tracked.blob in self.purged else tracked

    @cached_property
    def purged(self) -> frozenset[bytes]:
        """Blobs that were taken out of every pack, so that nobody misses their files."""
        store = getattr(self.objects, "store", self.objects)
        if not isinstance(store, Store):
            return frozenset()
        names = store.values(TOMBSTONES)
        return frozenset(bytes.fromhex(name.removeprefix(TOMBSTONES)) for name in names)

    def tracked_at(self, key: str) -> Tracked | None:
        """The tracked row at a key, of either space."""
        for space in TRACKED:
            row = self.row(space, key.encode())
            if row is not None:
                return self.tracked_as(space, key.encode(), row)
        return None

    def space_of(self, key: str) -> str | None:
        """Which tracked space holds a key."""
        for space in TRACKED:
            if self.row(space, key.encode()) is not None:
                return space
        return None

    @cached_property
    def token(self) -> bytes:
        """Identifies the exact set of tracked files; what the stat cache compares."""
        hasher = blake3()
        for space in TRACKED:
            hasher.update(self.roots.get(space, bytes(32)))
            overlay = self._overlay.get(space, {})
            for key in sorted(overlay):
                hasher.update(len(key).to_bytes(4, "little") + key + overlay[key])
        for blob in sorted(self.purged):
            hasher.update(blob)
        return hasher.digest(16)

    def iter_blobs(self) -> Iterator[Tracked]:
        """What `scan.compare` walks when the stat cache cannot answer."""
        return self.tracked()

    def listing(self, folder: str = "") -> list[Entry]:
        """Names directly inside a folder of keys, sorted."""
        prefix = f"{folder.rstrip('/')}/".encode() if folder else b""
        found: dict[str, bool] = {}
        for space in TRACKED:
            tree = self._maps.get(space)
            if tree is not None and not self._overlay.get(space):
                for name, is_folder in tree.children(prefix):
                    found[name.decode()] = is_folder
                continue
            for key, _ in self.rows_below(space, prefix):
                first, slash, _ = key[len(prefix) :].decode().partition("/")
                found[first] = bool(slash)
        return [Entry(name, is_folder) for name, is_folder in sorted(found.items())]

    def has_folder(self, folder: str) -> bool:
        """Whether any tracked key lies below a folder."""
        prefix = f"{folder.rstrip('/')}/".encode()
        return any(
            next(iter(self.rows_below(space, prefix)), None) is not None for space in TRACKED
        )


def _picked(
    keys: Sequence[bytes], rows: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None]]:
    """(key, row or None) of sorted keys, from all rows in order."""
    there, row = next(rows, (None, None))
    for key in keys:
        while there is not None and there < key:
            there, row = next(rows, (None, None))
        yield key, row if there == key else None


def tracked_row(space: str, key: bytes, row: bytes) -> Tracked | None:
    """The file behind a row; None for a pending image."""
    if space == FILES:
        file = decode_file(row)
        return Tracked(key.decode(), file.blob_id, file.bytes, file.executable)
    image = decode_sample(row).image
    if image.blob_id is None:
        return None
    return Tracked(key.decode(), image.blob_id, image.bytes or 0, False)


def decode_row(space: str, row: bytes) -> Sample | FileRow:
    """The value behind a row of a tracked space."""
    return decode_file(row) if space == FILES else decode_sample(row)
