"""The vectors of a version: of its images, or of the regions on them.

What is known of one version makes what is known of the next: only the rows that differ are read,
and only things that nobody has seen yet need a vector.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from voyager.derived.crops import Crop
from voyager.derived.embedded import Thing, Vectors
from voyager.errors import StateError, VoyagerError
from voyager.repo.ancestors import sample_roots_before
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.region_crops import iter_crops
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.search.blob_column import has_column, images_in_column
from voyager.search.membership import Membership
from voyager.search.query import Of
from voyager.search.scanner import Found
from voyager.search.vectors import Progress, VectorStore
from voyager.search.version_file import Had, VersionFiles, Waiting
from voyager.store.bulk import paused_gc

Source: TypeAlias = Callable[[Mapping[bytes, Thing]], Vectors]
"""Makes the vectors of things, by id; those that can have none are left out."""

_TRIES = 4


class _MovedError(Exception):
    """Places got another meaning: the cache was emptied, or something in it turned out damaged."""


class VersionVectors:
    """The vectors of versions in a store, made by `source` where they are lacking."""

    def __init__(
        self,
        store: VectorStore,
        source: Source,
        *,
        of: Of = "images",
        progress: Progress = lambda *_: None,
    ) -> None:
        self.store = store
        self._source = source
        self._of = of
        self._progress = progress
        self._files = VersionFiles(store.folder / f"versions-{of}")
        self._decode = partial_decoder({"image.blob"})

    def members(self, version: Dataset) -> Membership:
        """The vectors of a version; work follows its difference from a version that is known."""
        for _ in range(_TRIES):
            with contextlib.suppress(_MovedError), paused_gc():
                had, view = self._had(version), self.store.view
                if had.token == view.token:
                    return Membership(view, had.mask)
        raise StateError(f"the vectors in {self.store.folder} are changed by others all the time")

    def search(
        self,
        version: Dataset,
        queries: ArrayLike,
        k: int,
        *,
        keep: Callable[[], Membership] | None = None,
        exact: bool | None = None,
    ) -> Found:
        """The k best of a version for each query, of those that `keep` gives where it is given.

        Vectors that turn out to be damaged are made again first.
        """
        for _ in range(_TRIES):
            members = self.members(version)
            if keep is not None:
                members &= keep()
            found = self.store.search(queries, k, members=members, exact=exact)
            if not found.plan.lost:
                break
        return found

    def of_keys(self, version: Dataset, keys: Collection[str]) -> Membership:
        """The vectors that the samples at some keys have, where they are known."""
        if self._of == "images" and has_column(version):
            ids = images_in_column(version, keys)
        else:
            rows = version.rows_at(SAMPLES, sorted(key.encode() for key in keys))
            found = (row for _, row in rows if row is not None)
            ids = [one for row in found for one in self.things(version, row)]
        return self.store.members(list(dict.fromkeys(ids)))

    def things(self, version: Dataset, row: bytes) -> dict[bytes, Thing]:
        """What of a sample has a vector, by id: its image, or the crops of its regions."""
        return {one: thing for _, one, thing in self.named_things(version, row)}

    def named_things(
        self, version: Dataset, row: bytes
    ) -> Iterator[tuple[bytes | None, bytes, Thing]]:
        """(id of the region or None, id of the vector, thing) of a sample."""
        if self._of == "regions":
            for region, crop in iter_crops(version, row):
                yield region, crop.id, crop
            return
        blob = self._decode(row).image.blob
        if blob is not None:
            yield None, bytes(blob.data), bytes(blob.data)

    # -- one version after another ---------------------------------------------------------------

    def _had(self, version: Dataset) -> Had:
        root = version.roots.get(SAMPLES)
        if version.overlay_keys(SAMPLES):
            below = Dataset(version.objects, version.roots)
            return self._changed(self._had(below), below, version)
        if root is None:
            return self._taken(_none(), Counter(), {})
        known = self._known(root)
        if known is not None and not known.waiting:
            return known
        if known is not None:
            made = self._taken(known, Counter(), {})
            if made.waiting == known.waiting:
                return made
        else:
            made = self._from_relative(version) or self._changed(_none(), None, version)
        if made.token == self.store.token:
            self._files.write(root, made)
        return made

    def _known(self, root: bytes) -> Had | None:
        token = self.store.token
        return None if token is None else self._files.read(root, token)

    def _from_relative(self, version: Dataset) -> Had | None:
        """From the nearest ancestor that is known, else from the version that was used last."""
        roots = self._files.roots()
        for root in dict.fromkeys([*sample_roots_before(version, set(roots)), *roots[:1]]):
            had = self._known(root)
            if had is not None:
                with contextlib.suppress(VoyagerError):  # gc may have dropped that version
                    base = Dataset(version.objects, {SAMPLES: root})
                    return self._changed(had, base, version)
        return None

    def _changed(self, had: Had, before: Dataset | None, after: Dataset) -> Had:
        changes: Counter[bytes] = Counter()
        things: dict[bytes, Thing] = {}
        for old, new in _pairs(before, after):
            if old is not None:
                changes.subtract(self.things(after, old).keys())
            if new is not None:
                found = self.things(after, new)
                changes.update(found.keys())
                things.update(found)
        return self._taken(had, changes, things)

    def _taken(self, had: Had, changes: Counter[bytes], things: dict[bytes, Thing]) -> Had:
        """What is there after changes in how often things are there."""
        added = [one for one, by in changes.items() if by > 0]
        self._make({one: things[one] for one in self.store.lacking(added)} | _things(had.waiting))
        view = self.store.view
        if len(had.mask) and had.token != view.token:
            raise _MovedError
        mask = np.zeros(view.size, bool)
        mask[: len(had.mask)] = had.mask
        times, waiting = dict(had.times), dict(had.waiting)
        for one, was in had.waiting.items():
            changes[one] += was.count
            things.setdefault(one, _thing(was))
            del waiting[one]
        ids = [one for one, by in changes.items() if by]
        for one, place in zip(ids, view.find(ids).tolist(), strict=True):
            if place < 0:
                if changes[one] > 0:
                    waiting[one] = _waiting(changes[one], things[one])
                continue
            count = times.pop(place, int(mask[place])) + changes[one]
            mask[place] = count > 0
            if count > 1:
                times[place] = count
        return Had(view.token, mask, times, waiting)

    def _make(self, things: Mapping[bytes, Thing]) -> None:
        if not things:
            return
        ids, matrix = self._source(things)
        if ids:
            self.store.add(ids, matrix)
            if self.store.is_due:
                self.store.settle(self._progress)


def _none() -> Had:
    return Had(b"", np.zeros(0, bool))


def _pairs(before: Dataset | None, after: Dataset) -> Iterator[tuple[bytes | None, bytes | None]]:
    """The rows that differ, before and after; all of them where nothing was before."""
    if before is None:
        return ((None, row) for _, row in after.rows(SAMPLES))
    return ((old, new) for _, old, new in changed_rows(before, after, SAMPLES))


def _waiting(count: int, thing: Thing) -> Waiting:
    return (
        Waiting(count, thing.blob, thing.box) if isinstance(thing, Crop) else Waiting(count, thing)
    )


def _thing(waiting: Waiting) -> Thing:
    return waiting.blob if waiting.box is None else Crop(waiting.blob, waiting.box)


def _things(waiting: Mapping[bytes, Waiting]) -> dict[bytes, Thing]:
    return {one: _thing(was) for one, was in waiting.items()}
