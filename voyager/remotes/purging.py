"""Purging blobs at a remote: tombstones into its root, and their bytes out of its packs for good.

Packs that hold them are written anew without them. One swap of the root names the new packs and the
tombstones and raises the gc generation, so that a push that is under way looks at the tombstones
before it goes on; then every pack that nothing names is deleted, young or not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from voyager.remotes.base import Listed, Storage
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.counted import Counted
from voyager.remotes.fetching import catalogue_of
from voyager.remotes.garbage import DERIVED, delete, find_due, list_all
from voyager.remotes.metadata import Scratch
from voyager.remotes.rewriting import Rewriter
from voyager.remotes.root import Packed, Root, encode_segment, segment_path
from voyager.remotes.swapping import change_root
from voyager.remotes.tombstones import purged_at
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.apply import TOMBSTONES


@dataclass(slots=True)
class PurgedThere:
    """How many blobs got a tombstone at a remote now, how many packs were written anew, and how
    many objects of its storage were deleted."""

    blobs: int = 0
    packs: int = 0
    deleted: int = 0
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def purge_remote(
    repo: Repository,
    storage: Storage,
    blobs: Collection[bytes],
    *,
    progress: Progress = no_progress,
) -> PurgedThere:
    """Purge blobs at a remote that were purged here; doing it again finishes what was killed."""
    counted = Counted(storage)
    known = repo.store.values(TOMBSTONES)
    stones = {blob.hex(): known[TOMBSTONES + blob.hex()] for blob in blobs}
    with Scratch(repo) as scratch:
        run = _Purge(counted, catalogue_of(repo, counted), scratch, stones, progress)
        root = change_root(repo, counted, run.change)
        run.delete(root)
    run.done.requests = counted.requests
    return run.done


def unpurge_remote(repo: Repository, storage: Storage, blobs: Collection[bytes]) -> int:
    """Take tombstones out of the root of a remote; how many that were."""
    names = {blob.hex() for blob in blobs}
    taken = 0

    def change(root: Root) -> Root | None:
        nonlocal taken
        taken = len(names & root.tombstones.keys())
        kept = {name: stone for name, stone in root.tombstones.items() if name not in names}
        return msgspec.structs.replace(root, tombstones=kept) if taken else None

    change_root(repo, storage, change)
    return taken


class _Purge:
    def __init__(
        self,
        storage: Storage,
        catalogue: Catalogue,
        scratch: Scratch,
        stones: Mapping[str, dict[str, Any]],
        progress: Progress,
    ) -> None:
        self.storage, self.catalogue, self.scratch = storage, catalogue, scratch
        self.stones = stones
        self.done = PurgedThere()
        self._progress = progress
        # Before the root is read: later names are none of our business.
        self._there = list_all(storage)
        self._packs: list[Packed] = []
        self._rewritten: dict[tuple[int, frozenset[bytes]], list[Packed]] = {}

    def change(self, root: Root) -> Root | None:
        self._packs = self.catalogue.packs(root)
        stones = {**self.stones, **root.tombstones}
        purged = {*map(bytes.fromhex, self.stones), *purged_at(root)}
        victims = self._victims(purged)
        new = self.stones.keys() - root.tombstones.keys()
        if not new and not victims and not self._garbage(root):
            return None
        self.done.blobs, self.done.packs = len(new), len(victims)
        segments = root.segments
        if victims:
            gone = {pack.name for pack in victims}
            kept = {pack.name: pack for pack in self._packs if pack.name not in gone}
            kept |= {pack.name: pack for pack in self._rewrite(root, victims, purged)}
            self._packs = list(kept.values())
            segment, data = encode_segment(self._packs, gc=root.gc)
            self.storage.put(segment_path(segment), data)
            segments = [segment]
        return msgspec.structs.replace(
            root, gc=root.gc + 1, segments=segments, tombstones=dict(sorted(stones.items()))
        )

    def delete(self, root: Root) -> None:
        """Delete the packs that nothing names; the bytes are in one of them."""
        garbage = self._garbage(root)
        if self.done.blobs:  # thumbnails of them may be among these
            garbage += self.storage.list(DERIVED)
        delete(self.storage, garbage)
        self.done.deleted = len(garbage)

    def _victims(self, purged: Collection[bytes]) -> list[Packed]:
        """The packs whose index lists any of the blobs."""
        ids = list(purged)
        blobs = [pack for pack in self._packs if pack.blobs]
        return [listing.pack for listing in self.catalogue.listings(blobs) if listing.find(ids)]

    def _rewrite(
        self, root: Root, victims: Collection[Packed], purged: Collection[bytes]
    ) -> list[Packed]:
        key = root.gc, frozenset(pack.name for pack in victims)
        if key not in self._rewritten:
            there = {name: each.size for name, each in self._there.items()}
            rewriter = Rewriter(
                self.storage, self.scratch, gc=root.gc, there=there, progress=self._progress
            )
            self._rewritten[key] = rewriter.run(
                (pack, lambda _, entry_id: entry_id not in purged) for pack in victims
            )
        return self._rewritten[key]

    def _garbage(self, root: Root) -> list[Listed]:
        due = find_due(self.storage, self._there, self._packs, root.segments, before=float("inf"))
        return [each for each in due.gone if each.name.startswith("packs/")]
