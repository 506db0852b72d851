"""Batches of a view: read from the packs, drawn by threads into flat arrays, in a pure order.

    order → plan (crop, flip, …) → read (one thread, in storage order) → draw (threads)

The batches of a step are a function of (view, settings, seed, epoch, step): neither threads nor
ranks nor a resume change them. A resume costs nothing, since nothing is kept between steps.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voyager.derived.decode import quietly
from voyager.errors import CorruptError, NotFoundError, UsageError
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.train.augment import NONE, Augmentation, Floats, Plan, plan_batch, plan_mix
from voyager.train.order import Order, Rows, draw
from voyager.train.rendering import blend, render, squares, upright_boxes, upright_sizes
from voyager.train.sampling import Positions
from voyager.train.view import View

_AHEAD: Final = 3
"""Batches that are made while one is used."""
_TOGETHER: Final = 8
"""Pictures that one thread draws in one go."""
_TRIES: Final = 16
"""Other rows that are tried in the place of one that cannot be read."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures with the rows of the view that they show.

    `images` are uint8 (b, size, size, 3) and belong to the loader: they are drawn over once two
    more batches have been taken. `valid` is false where an evaluation could not read the picture.
    With `partner`, picture i was blended: `share` of the answer of row i, the rest of the answer of
    rows[partner[i]].
    """

    epoch: int
    step: int
    images: NDArray[np.uint8]
    rows: Rows
    valid: NDArray[np.bool_]
    partner: Rows | None = None
    share: float = 1.0


class Source(Protocol):
    """Where pictures come from."""

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes of the pictures of some rows; None for one that is not to be had."""


class PackSource:
    """The images of a view as they were added."""

    def __init__(self, objects: ObjectReader, view: View) -> None:
        self._objects = objects
        self._blobs = view.blobs

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes of rows; a lazy clone fetches what is not here."""
        return [self._one(bytes(self._blobs[row])) for row in rows]

    def _one(self, blob: bytes) -> bytes | None:
        try:
            return self._objects.get(blob, Kind.BLOB)
        except (NotFoundError, CorruptError):
            return None


@dataclass(slots=True)
class LoaderStats:
    """What a loader has done: pictures drawn, seconds that its user waited, rows that failed."""

    pictures: int = 0
    waited: float = 0.0
    failed: set[int] = field(default_factory=set)
    """Rows whose picture cannot be read; others stood in for them."""


class Loader:
    """The batches of a view.

    A step takes `batch` positions of the epoch's order, or fewer at its end unless `drop_last`;
    of these a loader draws those of its own `shards`, of `of_shards` that each step is cut into
    (virtual ranks). With `evaluate` rows come in their order, none is changed, and what cannot be
    read is marked instead of replaced.
    """

    def __init__(
        self,
        source: Source,
        view: View,
        *,
        size: int,
        batch: int,
        seed: int = 0,
        augmentation: Augmentation = NONE,
        order: Positions | None = None,
        evaluate: bool = False,
        drop_last: bool = False,
        shards: Sequence[int] = (0,),
        of_shards: int = 1,
        threads: int | None = None,
    ) -> None:
        if not len(view):
            raise UsageError("there is nothing to load")
        if len(view) < of_shards and not evaluate:
            what = "1 sample" if len(view) == 1 else f"{len(view)} samples"
            raise UsageError(f"{what} cannot be shared among {of_shards} ranks or parts of a batch")
        self.view = view
        self.size = size
        self.batch = batch
        self.seed = seed
        self.augmentation = augmentation
        self.evaluate = evaluate
        self.stats = LoaderStats()
        self.order: Positions = order or Order(len(view), seed)
        self._source = source
        self._shards = tuple(shards)
        self._of_shards = of_shards
        self._threads = threads or usable_cores()
        self._frames_of = _frames(view)
        self._sizes = upright_sizes(view.sizes, view.orientations)
        self._drop_last = drop_last
        self._lock = Lock()

    @property
    def count(self) -> int:
        """Positions of an epoch."""
        return len(self.view) if self.evaluate else self.order.count

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        whole, rest = divmod(self.count, self.batch)
        return whole if not rest or (self._drop_last and whole) else whole + 1

    def positions(self, step: int, shard: int) -> Rows:
        """The positions that a shard of a step covers."""
        first = step * self.batch
        count = min(self.batch, self.count - first)
        start, end = count * shard // self._of_shards, count * (shard + 1) // self._of_shards
        return np.arange(first + start, first + end)

    def rows(self, epoch: int, positions: Rows) -> Rows:
        """The rows at positions of an epoch."""
        return positions if self.evaluate else self.order.at(epoch, positions)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of an epoch from a step on: for each step one of each shard, in order."""
        tasks = [(step, shard) for step in range(start, self.steps) for shard in self._shards]
        with ExitStack() as stack:
            stack.enter_context(quietly())
            reader = stack.enter_context(ThreadPoolExecutor(1, "read"))
            drawers = stack.enter_context(ThreadPoolExecutor(self._threads, "draw"))
            stack.callback(drawers.shutdown, cancel_futures=True)
            stack.callback(reader.shutdown, cancel_futures=True)
            ring = [np.empty(0, np.uint8)] * (_AHEAD + 2)
            running: deque[_Making] = deque()
            for number, (step, shard) in enumerate(tasks):
                making = _Making(self, epoch, step, shard, ring, number % len(ring))
                running.append(making.start(reader, drawers))
                if len(running) > _AHEAD:
                    yield self._finished(running.popleft())
            while running:
                yield self._finished(running.popleft())

    def _finished(self, making: _Making) -> Batch:
        began = time.perf_counter()
        batch = making.wait()
        self.stats.waited += time.perf_counter() - began
        self.stats.pictures += len(batch.rows)
        return batch

    # -- in threads --------------------------------------------------------------------------------

    def plan(self, epoch: int, positions: Rows, rows: Rows) -> Plan:
        """What is done to the pictures of rows at positions."""
        return plan_batch(
            self.augmentation,
            self._frames_of[rows],
            positions,
            seed=self.seed,
            epoch=epoch,
            whole=self.view.boxes is None,
        )

    def read(self, rows: Sequence[int]) -> list[bytes | None]:
        """The bytes of some rows, by one thread at a time."""
        return self._source.read(rows)

    def draw(
        self, data: bytes | None, plan: Plan, place: int, row: int, out: NDArray[np.uint8]
    ) -> bool:
        """Draw a row; False where there is no picture."""
        if data is not None and render(data, plan, place, self._sizes[row], out):
            return True
        with self._lock:
            self.stats.failed.add(row)
        return False

    def stand_in(self, epoch: int, position: int, attempt: int) -> int:
        """The row that stands in for one that cannot be read, at its attempt."""
        place = np.array([position], np.int64)
        other = draw(place, self.seed, epoch, 100 + attempt) % np.uint64(self.order.count)
        return int(self.order.at(epoch, other.astype(np.int64))[0])


class _Making:
    """One batch on its way."""

    def __init__(
        self,
        loader: Loader,
        epoch: int,
        step: int,
        shard: int,
        ring: list[NDArray[np.uint8]],
        slot: int,
    ) -> None:
        self._loader = loader
        self._epoch = epoch
        self._step = step
        self._positions = loader.positions(step, shard)
        self._rows = loader.rows(epoch, self._positions).copy()
        self._valid = np.ones(len(self._rows), np.bool_)
        shape = (len(self._rows), loader.size, loader.size, 3)
        if ring[slot].shape[1:] != shape[1:] or len(ring[slot]) < shape[0]:
            ring[slot] = np.empty(shape, np.uint8)
        self._images = ring[slot][: shape[0]]
        self._plan = loader.plan(epoch, self._positions, self._rows)

    def start(self, reader: ThreadPoolExecutor, drawers: ThreadPoolExecutor) -> _Making:
        """Begin to read and to draw."""
        self._drawing: list[Future[list[int]]] = []
        # In the order of the view, which is about that of the bytes in the packs.
        places = np.argsort(self._rows, kind="stable").tolist()
        parts = [places[first : first + _TOGETHER] for first in range(0, len(places), _TOGETHER)]
        self._reading = [reader.submit(self._read, part, drawers) for part in parts]
        return self

    def _read(self, places: list[int], drawers: ThreadPoolExecutor) -> Future[list[int]]:
        data = self._loader.read([int(self._rows[place]) for place in places])
        return drawers.submit(self._draw, places, data)

    def _draw(self, places: list[int], data: list[bytes | None]) -> list[int]:
        """Draw some pictures; the places of those that have none."""
        return [
            place
            for place, one in zip(places, data, strict=True)
            if not self._loader.draw(
                one, self._plan, place, int(self._rows[place]), self._images[place]
            )
        ]

    def wait(self) -> Batch:
        """The batch, once all of it is drawn."""
        failed = [place for part in self._reading for place in part.result().result()]
        for place in sorted(failed):
            self._replace(place)
        loader = self._loader
        mix = None
        if not loader.evaluate and len(self._positions):
            first, count = int(self._positions[0]), len(self._positions)
            mix = plan_mix(loader.augmentation, first, count, seed=loader.seed, epoch=self._epoch)
        return Batch(
            self._epoch,
            self._step,
            self._images,
            self._rows,
            self._valid,
            None if mix is None else mix.partner,
            1.0 if mix is None else blend(self._images, mix),
        )

    def _replace(self, place: int) -> None:
        """Show another row in the place of one that cannot be read, the same one in every run."""
        loader = self._loader
        position = self._positions[place : place + 1]
        for attempt in range(0 if loader.evaluate else _TRIES):
            row = loader.stand_in(self._epoch, int(position[0]), attempt)
            plan = loader.plan(self._epoch, position, np.array([row]))
            if loader.draw(loader.read([row])[0], plan, 0, row, self._images[place]):
                self._rows[place] = row
                return
        self._images[place] = 0
        self._valid[place] = False


def _frames(view: View) -> Floats:
    """What of each upright picture matters: all of it, or the square of the region."""
    sizes = upright_sizes(view.sizes, view.orientations)
    if view.boxes is None:
        return np.concatenate((np.zeros_like(sizes), sizes), axis=1)
    return squares(upright_boxes(view.boxes, view.sizes, view.orientations), sizes)


def usable_cores() -> int:
    """How many cores this process may use."""
    cores = getattr(os, "sched_getaffinity", None)
    return len(cores(0)) if cores else os.cpu_count() or 1
