"""Frames: what is kept of the samples of one version, filled as columns are asked for.

A column that is lacking is read from the cache on disk, else patched together from that of a
relative and the rows that differ, else made in one pass over all samples.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from voyager.errors import CorruptError, NotFoundError
from voyager.repo.ancestors import sample_roots_before
from voyager.repo.dataset import Dataset
from voyager.repo.diff import ChangedRow, changed_rows
from voyager.repo.snapshot import SAMPLES
from voyager.repo.table_building import Progress, build_units
from voyager.repo.table_cache import TableCache
from voyager.repo.table_coding import Kept, Piece, patched
from voyager.repo.table_stretches import loader
from voyager.repo.table_units import NeutralAnswers, Unit, unit_of
from voyager.store.objectstore import Store

if TYPE_CHECKING:
    import pyarrow as pa

LEAST_KEPT = 2_000
"""Samples from which columns are kept on disk: those of fewer are made as fast as read."""

_MOST_CHANGED: Final = 10
"""A relative that differs in more than one sample of so many is none."""
_FEW_CHANGES: Final = 1_000
_MOST_RELATIVES: Final = 3
_MOST_FRAMES: Final = 6
_MOST_MADE: Final = 2

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Frame:
    """The columns of one version's samples; `version` is any that has these samples.

    `near` are frames to patch from that lie nearer than all that is kept.
    """

    def __init__(
        self,
        version: Dataset,
        cache: TableCache | None = None,
        kept: dict[str, Kept] | None = None,
        *,
        near: Sequence[Frame] = (),
    ) -> None:
        self._version = version
        self._cache = cache
        self._root = version.roots.get(SAMPLES)
        self._is_edited = bool(version.overlay_keys(SAMPLES))
        self._kept = {} if kept is None else kept
        self._near = near

    def __len__(self) -> int:
        """The number of samples."""
        return len(self._version)

    def fetch(
        self, units: Sequence[Unit], answers: NeutralAnswers, progress: Progress = lambda *_: None
    ) -> None:
        """Have these columns at hand."""
        lacking = [unit for unit in units if not self._find(unit)]
        if lacking and self._is_edited:
            base = _frame_below(self._version)
            base.fetch([*lacking, _keys(answers)], answers, progress)
            self._patch(base, lacking, answers, most=None)
        elif lacking and self._root is not None:
            for other in islice(self._relatives(), _MOST_RELATIVES):
                known = [unit for unit in lacking if other._find(unit)]
                if known and other._find(_keys(answers)):
                    most = max(_FEW_CHANGES, len(self) // _MOST_CHANGED)
                    self._patch(other, known, answers, most=most)
                    lacking = [unit for unit in lacking if unit.id not in self._kept]
        lacking = [unit for unit in lacking if unit.id not in self._kept]
        if lacking:
            self._build(lacking, answers, progress)

    def column(self, unit: Unit) -> Kept:
        """A column that was fetched."""
        return self._kept[unit.id]

    # -- where columns come from -------------------------------------------------------------------

    def _find(self, unit: Unit) -> bool:
        """Whether a column is at hand, or on disk."""
        if unit.id in self._kept:
            return True
        if self._cache is None or self._root is None or self._is_edited:
            return False
        found = self._cache.get(self._root, unit.id)
        if found is not None:
            self._kept[unit.id] = found
        return found is not None

    def _keep(self, columns: dict[str, Kept]) -> None:
        self._kept.update(columns)
        if self._cache is None or self._root is None or self._is_edited:
            return
        if len(self) >= LEAST_KEPT:
            for name, column in columns.items():
                self._cache.put(self._root, name, column)
                found = self._cache.get(self._root, name)
                if found is not None:
                    self._kept[name] = found  # mapped: it takes no memory that cannot be had back

    def _build(self, units: list[Unit], answers: NeutralAnswers, progress: Progress) -> None:
        keys = _keys(answers)
        if keys.id not in self._kept and all(unit.id != keys.id for unit in units):
            units = [*units, keys]  # with which a relative is patched
        made = build_units(
            self._version.rows(SAMPLES),
            units,
            answers=answers,
            load=loader(self._version),
            progress=progress,
            total=len(self),
        )
        self._keep(made)

    def _patch(
        self, base: Frame, units: list[Unit], answers: NeutralAnswers, *, most: int | None
    ) -> None:
        """Make columns out of those of another frame; none where too much differs."""
        keys = _keys(answers)
        if keys.id not in self._kept and all(unit.id != keys.id for unit in units):
            units = [*units, keys]
        changes = _changes(base._version, self._version, most)
        if changes is None:
            return
        new = ((key, row) for key, _, row in changes if row is not None)
        fresh = build_units(new, units, answers=answers, load=loader(self._version))
        pieces = _pieces(base.column(keys).entries, changes)
        self._keep({unit.id: patched(base.column(unit), fresh[unit.id], pieces) for unit in units})

    def _relatives(self) -> Iterator[Frame]:
        """Frames of other samples that have columns: of ancestors first, then those used last."""
        yield from self._near
        known = [root for root in self._known_roots() if root != self._root]
        for root in dict.fromkeys([*sample_roots_before(self._version, set(known)), *known]):
            yield _frame_of(Dataset(self._version.objects, {SAMPLES: root}), self._cache)

    def _known_roots(self) -> list[bytes]:
        folder = _store_folder(self._version)
        at_hand = [root for where, root in _KEPT.latest() if where == folder]
        return [*at_hand, *(self._cache.roots() if self._cache is not None else ())]


def frame_of(version: Dataset) -> Frame:
    """The frame of a version's samples, shared by all versions that have the same."""
    if version.overlay_keys(SAMPLES):
        return Frame(version)
    folder = _store_folder(version)
    cache = None if folder is None else TableCache(folder / "cache" / "tables")
    return _frame_of(version, cache)


def _frame_of(version: Dataset, cache: TableCache | None) -> Frame:
    folder, root = _store_folder(version), version.roots.get(SAMPLES)
    if folder is None or root is None:
        return Frame(version, cache)
    return Frame(version, cache, _KEPT.of((folder, root)))


def _frame_below(version: Dataset) -> Frame:
    """The frame of the samples without what is edited."""
    return frame_of(Dataset(version.objects, version.roots))


def store_of(version: Dataset) -> Store | None:
    """The store that a version is read from; None for one in memory."""
    store = getattr(version.objects, "store", version.objects)
    return store if isinstance(store, Store) else None


def _store_folder(version: Dataset) -> Path | None:
    store = store_of(version)
    return None if store is None else store.root


class _Latest(Generic[_Key, _Value]):
    """Columns that this process used last: some of them for each of the latest keys."""

    def __init__(self, most: int) -> None:
        self._columns: OrderedDict[_Key, dict[Any, _Value]] = OrderedDict()
        self._most = most
        self._lock = Lock()

    def of(self, key: _Key) -> dict[Any, _Value]:
        """Those of a key, to be added to."""
        with self._lock:
            found = self._columns.setdefault(key, {})
            self._columns.move_to_end(key)
            while len(self._columns) > self._most:
                self._columns.popitem(last=False)
        return found

    def latest(self) -> list[_Key]:
        """The keys, those used last first."""
        with self._lock:
            return list(reversed(self._columns))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._columns.clear()


_KEPT: _Latest[tuple[Path, bytes], Kept] = _Latest(_MOST_FRAMES)
_MADE: _Latest[tuple[Any, ...], Any] = _Latest(_MOST_MADE)


def made_columns(version: Dataset) -> dict[tuple[str, str], pa.Array]:
    """(table, column) → what was made of kept columns for a version, to be added to.

    Shared by all versions with the same roots; one that is edited has its own.
    """
    folder = _store_folder(version)
    if folder is None or version.overlay:
        return {}
    return _MADE.of((folder, tuple(sorted(version.roots.items())), version.purged))


def forget_frames() -> None:
    """Forget what this process keeps; the cache on disk stays."""
    _KEPT.clear()
    _MADE.clear()


def _keys(answers: NeutralAnswers) -> Unit:
    return unit_of("samples", "key", answers.vocabulary)


def _changes(before: Dataset, after: Dataset, most: int | None) -> list[ChangedRow] | None:
    """The rows that differ, in key order; None for more than `most`, or a version that is gone."""
    try:
        found = list(
            islice(changed_rows(before, after, SAMPLES), None if most is None else most + 1)
        )
    except (CorruptError, NotFoundError):
        return None
    return None if most is not None and len(found) > most else found


def _pieces(keys: pa.Array, changes: Sequence[ChangedRow]) -> list[Piece]:
    """What to take of a column in the order of `keys`, and of that of the rows that changed."""
    known = _Keys(keys)
    pieces: list[Piece] = []
    at = new = 0
    for key, old, row in changes:
        place = bisect_left(known, key, at)
        if place > at:
            pieces.append(Piece(False, at, place))
        if row is not None:
            if pieces and pieces[-1].fresh:
                pieces[-1] = pieces[-1]._replace(stop=new + 1)
            else:
                pieces.append(Piece(True, new, new + 1))
            new += 1
        at = place + (old is not None)
    if at < len(known):
        pieces.append(Piece(False, at, len(known)))
    return pieces


class _Keys(Sequence[bytes]):
    """An Arrow column of texts as the bytes that it holds."""

    def __init__(self, column: pa.Array) -> None:
        import numpy as np

        _, offsets, data = column.buffers()
        self._ends = np.frombuffer(offsets or bytes(4), np.int32)[column.offset :]
        self._data = memoryview(data or b"")
        self._size = len(column)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, at: int) -> bytes:  # type: ignore[override]
        return bytes(self._data[self._ends[at] : self._ends[at + 1]])
