"""The vectors of one model: added once, never changed, searched within any set of them.

A folder holds a manifest, segments and their indexes, all of which can be deleted at any time, also
while they are in use. What cannot be written is kept in memory. One thread at a time; processes
take turns to write, and readers wait for nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from blake3 import blake3
from numpy.typing import ArrayLike

from voyager.errors import StateError, UsageError
from voyager.search import approximate, manifest
from voyager.search.approximate import INDEXED_ROWS
from voyager.search.compaction import run_to_merge
from voyager.search.manifest import Listed, Manifest
from voyager.search.membership import IndexFile, Membership, Placed, View
from voyager.search.scanner import Found, Scanner, asked_vectors
from voyager.search.segment import (
    ID_BYTES,
    DamagedSegment,
    Halves,
    Segment,
    id_words,
    joined,
)
from voyager.store import files

Progress: TypeAlias = Callable[[int, int | None], None]

_PATIENCE: Final = 10.0
"""Seconds to wait for another writer; after that vectors are kept in memory only."""
_MERGED_AT_ONCE: Final = 1 << 17
"""Rows of a merge that `add` may do; larger ones wait for `settle`."""
_MEMORY: Final = 2 << 30


class VectorStore:
    """The vectors in a folder, which need not exist.

    `memory_bytes` bounds what is kept between searches; with less than the vectors need as float32
    exact search converts them again each time.
    """

    def __init__(
        self, folder: Path, model_id: bytes, dims: int, *, memory_bytes: int = _MEMORY
    ) -> None:
        self.model_id = model_id
        self.dims = dims
        self._folder = folder
        self._segments = folder / "segments"
        self._manifest_path = folder / "manifest"
        self._scanner = Scanner(self._index_path, memory_bytes)
        self._manifest: Manifest | None = None
        self._view = View(b"")
        self._unsaved: list[Segment] = []
        self._damaged: dict[str, bytes] = {}
        self._open: dict[str, Segment] = {}

    # -- what is there ---------------------------------------------------------------------------

    @property
    def view(self) -> View:
        """All vectors that are here now."""
        self._refresh()
        return self._view

    @property
    def token(self) -> bytes | None:
        """Names what places mean, for files that keep memberships; None while some are unsaved."""
        self._refresh()
        saved = self._manifest is not None and self._manifest.token == self._view.token
        return self._view.token if saved else None

    @property
    def folder(self) -> Path:
        return self._folder

    def __len__(self) -> int:
        return self.view.size

    def lacking(self, ids: Sequence[bytes]) -> list[bytes]:
        """Those of some ids that have no vector here, each once."""
        once = list(dict.fromkeys(ids))
        places = self.view.find(once).tolist()
        return [one for one, place in zip(once, places, strict=True) if place < 0]

    def members(self, ids: Sequence[bytes]) -> Membership:
        """The vectors of some ids; those without one are left out."""
        view = self.view
        places = view.find(ids)
        return Membership.of(view, places[places >= 0])

    def all(self) -> Membership:
        """All vectors."""
        view = self.view
        return Membership(view, np.ones(view.size, bool))

    # -- adding ----------------------------------------------------------------------------------

    def add(self, ids: Sequence[bytes], matrix: ArrayLike) -> None:
        """Keep vectors, a row for each id; of those that are here already nothing is changed."""
        vectors = self._checked(ids, matrix)
        try:
            files.make_folder(self._segments)
            with self._lock():
                self._refresh()
                self._drop_damaged()
                found = self._new(ids, vectors)
                if found is not None:
                    self._append(found)
        except (OSError, StateError):
            found = self._new(ids, vectors)
            if found is not None:
                self._unsaved.append(found)
        self._refresh()

    def _checked(self, ids: Sequence[bytes], matrix: ArrayLike) -> Halves:
        given = np.asarray(matrix)
        if given.shape != (len(ids), self.dims):
            raise UsageError(
                f"{len(ids)} vectors of model {self.model_id.hex()[:16]} are a matrix of "
                f"{len(ids)}×{self.dims}, not {'×'.join(map(str, given.shape))}"
            )
        if any(len(one) != ID_BYTES for one in ids):
            raise UsageError(f"ids of vectors have {ID_BYTES} bytes")
        with np.errstate(over="ignore"):
            vectors = np.ascontiguousarray(given, np.float16)
        if not np.isfinite(vectors).all():
            raise UsageError("a vector has a number that is infinite or none")
        return vectors

    def _new(self, ids: Sequence[bytes], vectors: Halves) -> Segment | None:
        """Those that are not here as a segment; None where there are none."""
        if not ids:
            return None
        _, first = np.unique(id_words(ids), axis=0, return_index=True)
        rows = np.sort(first)
        rows = rows[self._view.find([ids[row] for row in rows.tolist()]) < 0]
        if not len(rows):
            return None
        whole = len(rows) == len(ids)
        chosen = list(ids) if whole else [ids[row] for row in rows.tolist()]
        return Segment.of(chosen, vectors if whole else vectors[rows], model=self.model_id)

    def _append(self, segment: Segment) -> None:
        """Write a segment and list it; under the lock."""
        segment.write(self._segments)
        known = self._manifest or manifest.empty(self.model_id, self.dims)
        listed = [*known.segments, Listed(segment.name, segment.count)]
        self._write(known.with_segments(self._merged(listed, _MERGED_AT_ONCE)))

    @property
    def is_due(self) -> bool:
        """Whether there is something for `settle` to do."""
        parts = self.view.parts
        lacks_index = any(
            part.index is None and part.segment.count >= INDEXED_ROWS for part in parts
        )
        counts = [part.segment.count for part in parts]
        return (lacks_index and approximate.has_faiss()) or run_to_merge(counts) is not None

    def settle(self, progress: Progress = lambda *_: None) -> None:
        """Merge what is large, index what lacks an index, remove files that nobody needs.

        Takes seconds for each 100,000 new vectors; searches are right without it, and slower.
        """
        try:
            files.make_folder(self._segments)
            with self._lock():
                self._refresh()
                self._drop_damaged()
                self._save()
                self._merge_all()
            self._index_all(progress)
        except (OSError, StateError):
            return  # the disk is full or another process settles: all stays as it was
        finally:
            self._refresh()

    def _save(self) -> None:
        """Write what was kept in memory only."""
        while self._unsaved:
            segment = self._unsaved.pop(0)
            try:
                self._append(segment)
            except OSError:
                self._unsaved.insert(0, segment)
                raise

    def _merge_all(self) -> None:
        if self._manifest is not None:
            listed = self._merged(self._manifest.segments, None)
            self._write(self._manifest.with_segments(listed))
            self._clean({one.name for one in listed})

    def _merged(self, listed: Sequence[Listed], most: int | None) -> list[Listed]:
        """The list after all merges that are due; their segments are written."""
        listed = list(listed)
        while run := run_to_merge([one.count for one in listed], most):
            try:
                merged = joined([self._segment(one.name) for one in listed[run]])
                merged.write(self._segments)
            except DamagedSegment as error:
                self._note_damage(error.segment)
                break
            listed[run] = [Listed(merged.name, merged.count)]
        return listed

    def _index_all(self, progress: Progress) -> None:
        todo = [part for part in self._view.parts if self._wants_index(part)]
        for number, part in enumerate(todo):
            progress(number, len(todo))
            spare = self._segments / f"{part.segment.name}.{os.getpid()}.tmp"
            files.remove(spare)
            try:
                index = approximate.build(part.segment, spare)
                with self._lock():
                    self._refresh()
                    self._list_index(part.segment.name, index, spare)
            except DamagedSegment as error:
                self._note_damage(error.segment)
            finally:
                files.remove(spare)
            progress(number + 1, len(todo))

    def _wants_index(self, part: Placed) -> bool:
        if part.segment.count < INDEXED_ROWS or not approximate.has_faiss():
            return False
        return part.segment not in self._unsaved and self._scanner.lists_of(part) is None

    def _list_index(self, name: str, index: IndexFile, spare: Path) -> None:
        if self._manifest is None or all(one.name != name for one in self._manifest.segments):
            return  # it was merged or deleted meanwhile
        listed = [
            Listed(one.name, one.count, index.checksum, index.probes) if one.name == name else one
            for one in self._manifest.segments
        ]
        files.rename(spare, self._index_path(name))
        self._write(self._manifest.with_segments(listed))
        self._scanner.forget_lists(name, index.checksum)

    def _clean(self, named: set[str]) -> None:
        """Remove files that the manifest does not name; one that is open stays readable."""
        for path in self._segments.iterdir():
            if path.suffix != ".tmp" and path.name.split(".")[0] not in named:
                files.remove(path)

    # -- the files -------------------------------------------------------------------------------

    def _lock(self) -> files.FileLock:
        what = "vectors of this model"
        return files.FileLock(self._folder / "lock", patience=_PATIENCE, what=what)

    def _index_path(self, name: str) -> Path:
        return self._segments / f"{name}.ivf"

    def _write(self, known: Manifest) -> None:
        if known != self._manifest:
            manifest.write(self._manifest_path, known)
            self._refresh()

    def _refresh(self) -> None:
        """Take in what this or other processes have written or deleted since."""
        while True:
            known = manifest.read(self._manifest_path)
            if known is not None:
                manifest.check_model(known, self.model_id, self.dims, self._manifest_path)
            parts = self._parts(known)
            if manifest.read(self._manifest_path) == known:
                break  # else a segment may have been merged away while the list was read
        self._manifest = known
        listed = {part.segment.name for part in parts}
        self._open = {name: one for name, one in self._open.items() if name in listed}
        self._view = self._with_unsaved(known, parts)

    def _parts(self, known: Manifest | None) -> list[Placed]:
        """The segments of a manifest that are sound."""
        parts: list[Placed] = []
        end = 0
        for one in known.segments if known else ():
            if known and self._damaged.get(one.name) == known.token:
                continue
            try:
                segment = self._segment(one.name)
            except (DamagedSegment, OSError):
                self._damaged[one.name] = known.token if known else b""
                continue
            index = IndexFile(one.index, one.probes) if one.index else None
            parts.append(Placed(end, segment, index))
            end += segment.count
        return parts

    def _with_unsaved(self, known: Manifest | None, parts: list[Placed]) -> View:
        """The view of what is written, and behind that of what could not be."""
        token = known.token if known else b""
        view = View(token, tuple(parts))
        listed = len(known.segments) if known else 0
        if len(parts) == listed and not self._unsaved:
            return view
        self._unsaved = list(filter(None, (_left(segment, view) for segment in self._unsaved)))
        end = view.size
        for segment in self._unsaved:
            parts.append(Placed(end, segment))
            end += segment.count
        names = "".join(part.segment.name for part in parts)
        return View(blake3(token + names.encode()).digest(), tuple(parts))

    def _segment(self, name: str) -> Segment:
        if name not in self._open:
            segment = Segment.open(self._segments / name)
            if (segment.model, segment.dims) != (self.model_id, self.dims):
                raise DamagedSegment(name)
            self._open[name] = segment
        return self._open[name]

    def _note_damage(self, name: str) -> None:
        """Leave a segment out from now on; the next writer takes it off the list."""
        self._open.pop(name, None)
        self._unsaved = [segment for segment in self._unsaved if segment.name != name]
        self._damaged[name] = self._manifest.token if self._manifest else b""

    def _drop_damaged(self) -> None:
        """Take damaged segments off the list, so that their vectors can be added again."""
        known = self._manifest
        names = {name for name, token in self._damaged.items() if known and token == known.token}
        if known is None or not names:
            return
        self._write(known.without(names))
        for name in names:
            files.remove(self._segments / name)
            files.remove(self._index_path(name))

    # -- searching -------------------------------------------------------------------------------

    def search(
        self, queries: ArrayLike, k: int, *, members: Membership, exact: bool | None = None
    ) -> Found:
        """The k members with the largest inner products with each query.

        `exact=True` compares every member, False uses every index there is, None does what is
        quicker for the members. The exact answer depends on nothing but members and queries.
        """
        asked = asked_vectors(queries, k, self.dims)
        lost = 0
        while True:
            try:
                return self._scanner.search(asked, k, members, exact, lost)
            except DamagedSegment as error:
                self._note_damage(error.segment)
                left = members.without_segment(error.segment)
                lost, members = lost + members.count - left.count, left


def _left(segment: Segment, view: View) -> Segment | None:
    """What of a segment in memory is not in a view."""
    ids, vectors = segment.whole()
    new = np.flatnonzero(view.find(ids) < 0)
    if len(new) == segment.count:
        return segment
    if not len(new):
        return None
    return Segment.of([ids[row] for row in new.tolist()], vectors[new], model=segment.model)
