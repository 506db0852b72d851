"""Values derived from images, computed once per image ever and kept by content.

The key is (method, version of the method, blob id). Everything here can be deleted at any time.
"""

from __future__ import annotations

import errno
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived import value_batches
from voyager.derived.computing import Read, iter_computed
from voyager.derived.reader import Reader
from voyager.derived.registry import Method, Source
from voyager.derived.room import Kept, iter_kept, make_room, note_use, remove, remove_older
from voyager.derived.value_file import ValueFile
from voyager.errors import StateError
from voyager.store import files

__all__ = ["DerivedCache", "Filled", "Progress", "Read", "Values"]

Progress: TypeAlias = Callable[[int, int | None], None]

_PART_BYTES: Final = 8 << 20
_KEPT_IN_A_PART: Final = 1 << 17
"""What a batch for another cache has at most, about; the values of one image are never parted."""
_KEEP_EVERY: Final = 2048
_KEEP_BYTES: Final = 16 << 20
"""Images and bytes between two writes: what a kill costs."""
_PASSES: Final = 3
"""How often values are made that somebody deletes meanwhile."""


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Values of one method for some blobs.

    `ids` are those that have a value, in the order in which they were asked for, each once;
    `failed` those that cannot be decoded; `missing` those of which nothing is known: not computed
    yet (`known`), or not here to be computed (`compute`).
    """

    method: Method
    ids: list[bytes]
    failed: list[bytes]
    missing: list[bytes]
    _values: NDArray[np.uint8] | list[bytes]

    @property
    def matrix(self) -> NDArray[np.uint8]:
        """The values as rows of bytes, in the order of `ids`; for methods of fixed size."""
        assert isinstance(self._values, np.ndarray), f"values of {self.method} vary in size"
        return self._values

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Every (id, value)."""
        for blob_id, value in zip(self.ids, self._values, strict=True):
            yield blob_id, bytes(value)

    def only(self, ids: Container[bytes]) -> Values:
        """The values of some of these blobs alone, in the same order."""
        places = [place for place, blob_id in enumerate(self.ids) if blob_id in ids]
        chosen = [self.ids[place] for place in places]
        if isinstance(self._values, np.ndarray):
            return Values(self.method, chosen, [], [], self._values[places])
        return Values(self.method, chosen, [], [], [self._values[place] for place in places])

    def as_dict(self) -> dict[bytes, bytes]:
        """Every value by its id."""
        return dict(self)


@dataclass(frozen=True, slots=True)
class Filled:
    """What a pass did: how many images it computed, and which it could not.

    `failed` are those that cannot be decoded, by the name of the method, whenever that was tried;
    `missing` those that are not here.
    """

    computed: int
    failed: dict[str, list[bytes]]
    missing: list[bytes]


class DerivedCache:
    """The cache in one folder, which need not exist; one that cannot be written acts empty.

    Safe to share between processes; within one, by one thread at a time. Holds no open files, so
    a fork does no harm. Above `limit` bytes those methods go that were not used for longest.
    `on_problem` is told why values are kept in memory only.
    """

    def __init__(
        self,
        folder: Path,
        limit: int | None = None,
        *,
        on_problem: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._limit = limit
        self._on_problem = on_problem
        self._files: dict[str, ValueFile] = {}

    def known(self, method: Method, ids: Iterable[bytes]) -> Values:
        """What is kept already; computes nothing."""
        note_use(self._path(method))
        file = self._file(method)
        with file.opened():
            return _values(method, file, list(dict.fromkeys(ids)))

    def compute(
        self,
        method: Method,
        ids: Iterable[bytes],
        read: Read,
        *,
        progress: Progress = lambda *_: None,
        executor: Executor | None = None,
    ) -> Values:
        """The values of all these blobs; those that are not kept yet are computed and kept."""
        found = self.compute_all([method], ids, read, progress=progress, executor=executor)
        return found[method.name]

    def compute_all(
        self,
        methods: Sequence[Method],
        ids: Iterable[bytes],
        read: Read,
        *,
        progress: Progress = lambda *_: None,
        executor: Executor | None = None,
    ) -> Mapping[str, Values]:
        """As `compute` for several methods, by name; no image is read twice.

        Calls `progress` with how many of the blobs that had to be read are done, and of how many.
        What was done is kept when `read` raises. It holds all values: for large ones `fill`.
        """
        wanted = list(dict.fromkeys(ids))
        found = {method.name: self.known(method, wanted) for method in methods}
        absent: set[bytes] = set()
        for _ in range(_PASSES):
            lacking = {name: set(values.missing) - absent for name, values in found.items()}
            if not any(lacking.values()):
                break
            self._fill(methods, wanted, lacking, _noting(read, absent), progress, executor)
            found = {method.name: self.known(method, wanted) for method in methods}
        self._make_room(methods)
        return found

    def fill(
        self,
        methods: Sequence[Method],
        ids: Iterable[bytes],
        read: Read,
        *,
        progress: Progress = lambda *_: None,
        executor: Executor | None = None,
    ) -> Filled:
        """Compute and keep what is not kept yet, and hold none of it.

        Raises StateError where values cannot be kept, as on a full disk.
        """
        wanted = list(dict.fromkeys(ids))
        todo: set[bytes] = set()
        absent: set[bytes] = set()
        for _ in range(_PASSES):
            found = {method.name: self._refreshed(method) for method in methods}
            lacking = {name: set(file.missing(wanted)) - absent for name, file in found.items()}
            if not any(lacking.values()):
                break
            todo.update(*lacking.values())
            read_now = _noting(read, absent)
            self._fill(methods, wanted, lacking, read_now, progress, executor, must_keep=True)
        else:
            self._refuse_lost(methods, wanted, absent)
        failed = {name: file.failed(wanted) for name, file in found.items()}
        self._make_room(methods)
        missing = [one for one in wanted if one in absent]
        return Filled(len(todo - absent), failed, missing)

    def _refuse_lost(
        self, methods: Sequence[Method], wanted: Sequence[bytes], absent: set[bytes]
    ) -> None:
        for method in methods:
            if not absent.issuperset(self._refreshed(method).missing(wanted)):
                raise StateError(
                    f"values of {method.name} are deleted while they are made",
                    hint="run the command again when nothing else empties the cache",
                )

    def _fill(
        self,
        methods: Sequence[Method],
        wanted: Sequence[bytes],
        lacking: Mapping[str, set[bytes]],
        read: Read,
        progress: Progress,
        executor: Executor | None,
        *,
        must_keep: bool = False,
    ) -> None:
        needed = [method for method in methods if lacking[method.name]]
        todo = [one for one in wanted if any(one in lacking[method.name] for method in needed)]
        if not todo:
            return
        for method in needed:
            remove_older(self._folder, method.name, method.version)
        kept = _Keeping([self._file(method) for method in needed], needed, lacking, must_keep)
        try:
            for done in iter_computed(needed, todo, read, kept.take, executor):
                progress(done, len(todo))
        finally:
            kept.write()
            if self.problem is not None:
                self._on_problem(self.problem)

    @contextmanager
    def open_reader(self, method: Method) -> Iterator[Reader]:
        """The values of one method one by one, read from the file as they are asked for."""
        file = self._file(method)
        note_use(file.path)
        with file.opened():
            yield Reader(file)

    @property
    def problem(self) -> str | None:
        """Why values were kept in memory only, None where all could be written."""
        problems = (file.problem for file in self._files.values() if file.problem is not None)
        return next(map(_reason, problems), None)

    def kept(self) -> list[Kept]:
        """What is kept, by name."""
        return sorted(iter_kept(self._folder), key=lambda one: (one.name, one.version))

    # -- trading values with other caches ----------------------------------------------------------

    def ids_of(self, name: str, version: int, size: int | None) -> set[bytes]:
        """All ids of which something is known by a method, given as name, version and size."""
        file = self._file_of(name, version, size)
        file.refresh()
        return set(file.ids())

    def take(
        self,
        name: str,
        version: int,
        size: int | None,
        values: Sequence[tuple[bytes, bytes | None]],
    ) -> None:
        """Keep values that were computed elsewhere."""
        remove_older(self._folder, name, version)
        file = self._file_of(name, version, size)
        file.add([one for one, _ in values], [value for _, value in values])

    def batches(
        self, kept: Kept, *, without: Container[bytes]
    ) -> tuple[int, Iterator[tuple[list[bytes], bytes]]]:
        """The size of a method's values (0: it varies), and (ids, bytes) of batches of them.

        The same values make the same batches, in the order of their ids.
        """
        size = kept.value_bytes()
        return size or 0, self._iter_batches(kept, size, without)

    def _iter_batches(
        self, kept: Kept, size: int | None, without: Container[bytes]
    ) -> Iterator[tuple[list[bytes], bytes]]:
        file = self._file_of(kept.name, kept.version, size)
        with file.opened():
            ids = sorted(one for one in file.ids() if one not in without)
            each = kept.bytes // max(1, len(ids)) + 1
            step = max(1, min(_KEPT_IN_A_PART, _PART_BYTES // each))
            for at in range(0, len(ids), step):
                pairs = file.pairs(ids[at : at + step])
                if pairs:
                    some, values = [one for one, _ in pairs], [value for _, value in pairs]
                    yield some, value_batches.encode(some, values, varying=size is None)

    def drop(self, method: Method | str | None = None) -> None:
        """Delete all values of a method, in this version or by name, or all of every method."""
        if method is None:
            files.remove_tree(self._folder)
            self._files.clear()
        elif isinstance(method, Method):
            remove(self._path(method))
            self._files.pop(self._path(method).name, None)
        else:
            for kept in self.kept():
                if kept.name == method:
                    remove(kept.path)
                    self._files.pop(kept.path.name, None)

    def _make_room(self, methods: Sequence[Method]) -> None:
        if self._limit is not None:
            make_room(self._folder, self._limit, {self._path(method) for method in methods})

    def _refreshed(self, method: Method) -> ValueFile:
        file = self._file(method)
        file.refresh()
        note_use(file.path)
        return file

    def _file(self, method: Method) -> ValueFile:
        return self._file_of(method.name, method.version, method.size)

    def _file_of(self, name: str, version: int, size: int | None) -> ValueFile:
        key = f"{name}-{version}"
        if key not in self._files:
            self._files[key] = ValueFile(self._folder / key, size)
        return self._files[key]

    def _path(self, method: Method) -> Path:
        return self._folder / f"{method.name}-{method.version}"


def _noting(read: Read, absent: set[bytes]) -> Read:
    """`read`, and note those that are not here."""

    def read_and_note(ids: Sequence[bytes]) -> Iterator[tuple[bytes, Source | None]]:
        absent.update(ids)
        for image_id, image in read(ids):
            if image is not None:
                absent.discard(image_id)
            yield image_id, image

    return read_and_note


def _values(method: Method, file: ValueFile, ids: list[bytes]) -> Values:
    entries = file.find(ids)
    known = entries >= 0
    missing = list(compress(ids, (~known).tolist()))
    listed, entries = list(compress(ids, known.tolist())), entries[known]
    sound = file.has_value(entries)
    failed = list(compress(listed, (~sound).tolist()))
    listed, entries = list(compress(listed, sound.tolist())), entries[sound]
    if method.size is not None:
        matrix = file.matrix(entries)
        if matrix is None:
            return _values(method, file, ids)
        return Values(method, listed, failed, missing, matrix)
    values = file.values(entries)
    damaged = [blob_id for blob_id, value in zip(listed, values, strict=True) if value is None]
    if damaged:
        file.disown(damaged)
        return _values(method, file, ids)
    return Values(method, listed, failed, missing, [value for value in values if value is not None])


def _reason(problem: Exception) -> str:
    """Why something could not be written, without numbers and paths."""
    words = problem.strerror if isinstance(problem, OSError) else None
    return words[:1].lower() + words[1:] if words else str(problem)


def _remedy(file: ValueFile) -> str:
    """What to type where values of a file could not be written."""
    if getattr(file.problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return "vgr derive --list, then vgr derive --drop NAME"
    return f"ls -ld {shlex.quote(str(file.path.parent))}"


class _Keeping:
    """Values on their way to the files of their methods."""

    def __init__(
        self,
        kept_in: Sequence[ValueFile],
        methods: Sequence[Method],
        lacking: Mapping[str, set[bytes]],
        must_keep: bool,
    ) -> None:
        self._files = kept_in
        self._lacking = [lacking[method.name] for method in methods]
        self._waiting: list[list[tuple[bytes, bytes | None]]] = [[] for _ in kept_in]
        self._bytes = 0
        self._must_keep = must_keep

    def take(self, ids: Sequence[bytes], found: Sequence[Sequence[bytes | None]]) -> None:
        """Keep some values soon."""
        for lacking, waiting, values in zip(self._lacking, self._waiting, found, strict=True):
            pairs = [pair for pair in zip(ids, values, strict=True) if pair[0] in lacking]
            waiting.extend(pairs)
            self._bytes += sum(len(value) for _, value in pairs if value is not None)
        if self._bytes >= _KEEP_BYTES or max(map(len, self._waiting)) >= _KEEP_EVERY:
            self.write()

    def write(self) -> None:
        """Write all that waits."""
        for file, waiting in zip(self._files, self._waiting, strict=True):
            if waiting:
                file.add([pair[0] for pair in waiting], [pair[1] for pair in waiting])
                waiting.clear()
            if self._must_keep and file.problem is not None:
                raise StateError(
                    f"derived values cannot be kept: {_reason(file.problem)}",
                    hint=_remedy(file),
                ) from file.problem
        self._bytes = 0
