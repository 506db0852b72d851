"""Checking a remote without changing a byte of it.

Everything that the root names must be there and fit: segments, packs, their indexes. Metadata packs
are fetched and checked to their last byte, for what refs reach is walked in them; blobs are looked
for in the indexes, and their bytes are only read by a full check, one pack after the other.
"""

from __future__ import annotations

import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from voyager.errors import CorruptError, InvalidDataError, NotFoundError
from voyager.remotes.base import Listed, Storage
from voyager.remotes.catalogue import Catalogue, Listing, in_parallel
from voyager.remotes.garbage import find_due, list_all
from voyager.remotes.metadata import Scratch
from voyager.remotes.root import Packed, Root, segment_path
from voyager.remotes.swapping import nothing_pushed
from voyager.remotes.tombstones import blob_of
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store import files
from voyager.store.apply import TOMBSTONES
from voyager.store.entry import HEADER_BYTES, decode_header
from voyager.store.fsck.objects import Reachability, check_maps, inspect
from voyager.store.fsck.packs import PackCheck
from voyager.store.fsck.report import Problem, Report
from voyager.store.pack import HEAD_BYTES, TRAILER_BYTES, Content, SealedPack, pack_head
from voyager.store.refs import HEADS
from voyager.wire import object_ref

_AT_ONCE = 2
"""Packs that lie on the disk at once to be read."""


def check_remote(
    repo: Repository,
    storage: Storage,
    *,
    full: bool = False,
    progress: Progress = no_progress,
    walking: Progress = no_progress,
) -> Report:
    """Look for damage in a remote; with `full` every byte of every pack is fetched and hashed.

    Raises NotFoundError where nothing was pushed yet.
    """
    with Scratch(repo) as scratch:
        first = _Checkup(scratch, storage, progress, walking)
        report = first.run(full=full)
    if report.ok or not first.is_stale():
        return report
    with Scratch(repo) as scratch:  # a gc took packs away while they were looked at
        return _Checkup(scratch, storage, progress, walking).run(full=full)


class _Checkup:
    def __init__(
        self, scratch: Scratch, storage: Storage, progress: Progress, walking: Progress
    ) -> None:
        self.scratch = scratch
        self.storage = storage
        self.report = Report()
        self._catalogue = Catalogue(storage, scratch.folder / "cache")  # nothing known is believed
        self._progress, self._walking = progress, walking
        self._root: Root | None = None
        self._done = self._total = 0

    def run(self, *, full: bool) -> Report:
        root = self._root = self._read_root()
        if root is None:
            return self.report
        there = {} if self.storage.read_only else list_all(self.storage)
        listed = self._read_packs(root)
        packs = self._present(listed, there)
        self._total = sum(pack.size for pack in packs if full or not pack.blobs)
        listings = self._check_indexes(packs)
        self._check_tombstones(root, listings)
        self._check_metadata([pack for pack in packs if not pack.blobs])
        self._check_refs(root, listings, full=full)
        if full:
            blobs = [pack for pack in packs if pack.blobs]
            purged = frozenset(_tombstones(root))
            for problems in in_parallel(
                lambda pack: self._check_blobs(pack, purged), blobs, at_once=_AT_ONCE
            ):
                self._add(problems)
        self._count(root, listed, there, full=full)
        return self.report

    def is_stale(self) -> bool:
        """Whether a gc ran since the root was read."""
        root = None if self._root is None else self._catalogue.read_root()
        return root is not None and self._root is not None and root.gc != self._root.gc

    def _add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.report.add(problem)

    # -- root and catalogue ----------------------------------------------------------------------

    def _read_root(self) -> Root | None:
        try:
            root = self._catalogue.read_root()
        except (CorruptError, InvalidDataError) as error:
            self.report.add(Problem("root", error.message, "root"))
            return None
        if root is None:
            raise nothing_pushed(self.storage)
        if root.head and root.ref(HEADS + root.head) is None:
            self.report.notes.append(f"root: the default branch '{root.head}' is not there")
        for name in root.tombstones:
            if blob_of(name) is None:
                self.report.add(Problem("root", f"a tombstone has the name {name!r}", "root"))
        return root

    def _read_packs(self, root: Root) -> list[Packed]:
        """The packs that can be read of in the segments."""
        found: dict[bytes, Packed] = {}
        for segment in root.segments:
            try:
                one = msgspec.structs.replace(root, segments=[segment])
                for pack in self._catalogue.packs(one):
                    found.setdefault(pack.name, pack)
            except NotFoundError:
                self.report.add(Problem("missing", "it is missing", segment_path(segment)))
            except CorruptError as error:
                self.report.add(Problem("catalogue", error.message, segment_path(segment)))
        return list(found.values())

    def _present(self, packs: Sequence[Packed], there: dict[str, Listed]) -> list[Packed]:
        """The packs that are there with their index, in the sizes that the catalogue says."""

        def look(pack: Packed) -> list[Problem]:
            wanted = ((pack.pack_path, pack.size), (pack.index_path, pack.index))
            return [
                problem
                for name, size in wanted
                for problem in _size_problem(name, size, self._size(name, there))
            ]

        whole = []
        for pack, problems in zip(packs, in_parallel(look, packs), strict=True):
            self._add(problems)
            if not problems:
                whole.append(pack)
        return whole

    def _size(self, name: str, there: dict[str, Listed]) -> int | None:
        """A listing may lack what was written just now, so what it lacks is asked for."""
        return there[name].size if name in there else self.storage.size(name)

    # -- indexes ---------------------------------------------------------------------------------

    def _check_indexes(self, packs: Sequence[Packed]) -> list[Listing]:
        found = []
        for listing, problems in in_parallel(self._check_index, packs):
            self._add(problems)
            if listing is not None:
                found.append(listing)
        return found

    def _check_index(self, pack: Packed) -> tuple[Listing | None, list[Problem]]:
        try:
            data = self.storage.get_range(pack.index_path, 0, pack.index)
            listing = Listing(pack, data)
            wrong = list(_misfits(listing))
            if pack.blobs and not wrong:  # of metadata every byte is checked later
                wrong = list(self._check_ends(listing, data))
        except NotFoundError:
            return None, [Problem("missing", "it is missing", pack.pack_path)]
        except CorruptError as error:
            return None, [Problem("idx", error.message, pack.index_path)]
        return listing, wrong

    def _check_ends(self, listing: Listing, index: bytes) -> Iterator[Problem]:
        """Head, first header, and the index that the pack itself ends with."""
        pack = listing.pack
        start = self.storage.get_range(pack.pack_path, 0, HEAD_BYTES + HEADER_BYTES)
        if start[:HEAD_BYTES] != pack_head(Content.BLOBS):
            yield Problem("pack", "the head is damaged", pack.pack_path)
        first = decode_header(start[HEAD_BYTES:])
        prefixes, lengths, _ = listing.columns()
        if (int.from_bytes(first.id[:8], "big"), first.stored) != (prefixes[0], lengths[0]):
            yield Problem("pack", "the index does not list its first entry", pack.pack_path)
        end = self.storage.get_range(pack.pack_path, pack.size - pack.index, pack.index)
        if end[:-TRAILER_BYTES] != index[:-TRAILER_BYTES]:
            yield Problem("idx", "it differs from its pack", pack.index_path)

    def _check_tombstones(self, root: Root, listings: Iterable[Listing]) -> None:
        """What was purged must be in no pack."""
        purged = _tombstones(root)
        for listing in listings:
            for blob, found in listing.find(purged).items():
                head = self.storage.get_range(found.pack.pack_path, found.offset, HEADER_BYTES)
                if head[24:56] == blob:
                    what = f"the bytes of purged blob {blob.hex()} are still stored"
                    self.report.add(Problem("purged", what, found.pack.pack_path))

    # -- packs -----------------------------------------------------------------------------------

    def _check_metadata(self, packs: Sequence[Packed]) -> None:
        found: list[SealedPack] = []
        for pack, (check, problems) in zip(
            packs, in_parallel(self._fetch_and_check, packs), strict=True
        ):
            self._add(problems)
            if check is not None:
                name, placed = pack.name.hex(), check.placed
                found.append(SealedPack(name, Content.METADATA, placed, check.size))
        self.scratch.adopt(found)

    def _check_blobs(self, pack: Packed, purged: frozenset[bytes]) -> list[Problem]:
        _, problems = self._fetch_and_check(pack, purged)
        files.remove(self.scratch.store.pack_path(pack.name.hex()))
        return problems

    def _fetch_and_check(
        self, pack: Packed, purged: frozenset[bytes] = frozenset()
    ) -> tuple[PackCheck | None, list[Problem]]:
        path = self.scratch.store.pack_path(pack.name.hex())
        try:
            self.storage.fetch(pack.pack_path, path, size=pack.size)
        except NotFoundError:
            return None, [Problem("missing", "it is missing", pack.pack_path)]
        check = PackCheck(path, purged, self._inspect, name=pack.name.hex())
        problems = list(check.run())
        if not problems and (check.entries, check.holds_blobs) != (pack.entries, pack.blobs):
            what = "the catalogue lists it with other numbers than it has"
            problems = [Problem("catalogue", what, pack.pack_path)]
        self._done += pack.size
        self._progress(self._done, self._total)
        return check, problems

    def _inspect(self, where: str, data: bytes) -> Iterable[Problem]:
        return inspect(self.scratch.store, where, data)

    # -- refs ------------------------------------------------------------------------------------

    def _check_refs(self, root: Root, listings: Iterable[Listing], *, full: bool) -> None:
        """All that refs reach: objects in the metadata, blobs in any index."""
        with self.scratch.transaction() as txn:
            for name, ref in root.refs.items():
                txn.move(name, object_ref(bytes(ref.data)), old=None)
            for blob in _tombstones(root):
                txn.move(TOMBSTONES + blob.hex(), {}, old=None)
            txn.commit()
        walk = Reachability(self.scratch.store, self.report, _has_any(listings), self._walking)
        walk.run()
        if full:
            check_maps(self.scratch.store, walk.snapshots(), self.report)

    def _count(
        self, root: Root, packs: Sequence[Packed], there: dict[str, Listed], *, full: bool
    ) -> None:
        counts = self.report.counts
        counts["packs"], counts["refs"] = len(packs), len(root.refs)
        counts["entries"] = sum(pack.entries for pack in packs)
        counts["bytes"] = sum(pack.size for pack in packs)
        counts["bytes read"] = sum(pack.size for pack in packs if full or not pack.blobs)
        due = find_due(self.storage, there, packs, root.segments, before=float("inf"))
        garbage = [each for each in due.gone if each.name.startswith("packs/")]
        counts["unlisted"] = len(garbage)
        counts["unlisted bytes"] = sum(each.size for each in garbage)


def _tombstones(root: Root) -> list[bytes]:
    """The purged blobs; names that are none are passed over."""
    return [blob for blob in map(blob_of, root.tombstones) if blob is not None]


def _size_problem(name: str, wanted: int, size: int | None) -> Iterator[Problem]:
    if size is None:
        yield Problem("missing", "it is missing", name)
    elif size != wanted:
        what = f"it has {size:,} bytes, and the catalogue says {wanted:,}"
        yield Problem("idx" if name.endswith(".idx") else "pack", what, name)


def _misfits(listing: Listing) -> Iterator[Problem]:
    """Whether the entries that an index lists fill the pack."""
    pack = listing.pack
    lengths = listing.columns()[1]
    filled = HEAD_BYTES + HEADER_BYTES * len(lengths) + sum(map(int, lengths))
    if filled != pack.size - pack.index:
        yield Problem("idx", "it does not fit the length of its pack", pack.index_path)


def _has_any(listings: Iterable[Listing]) -> Callable[[bytes], bool]:
    """Whether an index lists a blob, by the first 8 bytes of its id."""
    import numpy as np

    columns = [listing.columns()[0] for listing in listings if listing.pack.blobs]
    known = array.array("Q", np.sort(np.concatenate(columns)).tobytes() if columns else b"")

    def has(blob: bytes) -> bool:
        wanted = int.from_bytes(blob[:8], "big")
        at = bisect_left(known, wanted)
        return at < len(known) and known[at] == wanted

    return has
