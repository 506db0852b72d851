"""Batches of a view: read from the packs, drawn by threads into flat arrays, in a pure order.

    order → plan (crop, flip, …) → read (in storage order) → draw

The first is work on flat arrays; what follows runs in threads of their own, one to read and several
to draw, a few batches ahead of the one that is used. What a lazy clone left out comes before that.

The batches of a step are a function of (view, settings, seed, epoch, step): neither threads nor
ranks nor a resume change them. A resume costs nothing, since nothing is kept between steps.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from voyager.derived.decode import quietly
from voyager.errors import StateError, UsageError
from voyager.store.cores import cores
from voyager.train.augment import (
    NONE,
    Augmentation,
    Change,
    Floats,
    plan_batch,
    plan_mix,
)
from voyager.train.bringing import Bringing
from voyager.train.order import BLOCK, WINDOW, Order, Rows, draw
from voyager.train.reading import Source
from voyager.train.rendering import blend, render, squares, upright_boxes, upright_sizes
from voyager.train.renditions import Mask
from voyager.train.resizing import Resize, by_pillow
from voyager.train.sampling import Positions
from voyager.train.view import View

Pixels: TypeAlias = NDArray[np.uint8]
Allocate: TypeAlias = Callable[[tuple[int, ...]], Pixels]
"""Makes an array for the pictures of a batch, say of pinned memory."""

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
    images: Pixels
    rows: Rows
    valid: Mask
    partner: Rows | None = None
    share: float = 1.0


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
    read is marked instead of replaced. Pictures are resized by Pillow, unless by `by_torch`.
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
        allocate: Allocate | None = None,
        resize: Resize = by_pillow,
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
        self.augmentation = NONE if evaluate else augmentation
        self.evaluate = evaluate
        self.stats = LoaderStats()
        self.order: Positions = order or Order(len(view), seed)
        self._source = source
        self._shards = tuple(shards)
        self._of_shards = of_shards
        self._threads = threads or cores()
        self._allocate = allocate or _plain_memory
        self._resize = resize
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

    def part(self, number: int) -> tuple[int, int]:
        """The step and the shard of the batch with a number, counted over an epoch."""
        step, place = divmod(number, len(self._shards))
        return step, self._shards[place]

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
        first, last = start * len(self._shards), self.steps * len(self._shards)
        with ExitStack() as stack:
            stack.enter_context(quietly())
            stack.enter_context(self._source.opened())
            read, drawing = (
                _pool(stack, name, threads)
                for name, threads in (("read", 1), ("draw", self._threads))
            )
            bringing = stack.enter_context(self._bringing(epoch, first, last))
            ring = _Ring(self._allocate, _AHEAD + 2)
            running: deque[_Making] = deque()
            for number in range(first, last):
                making = _Making(self, epoch, number)
                ready = partial(bringing.wait, number)
                running.append(making.start(ring, ready, read, drawing))
                if len(running) > _AHEAD:
                    yield self._finished(running.popleft())
            while running:
                yield self._finished(running.popleft())

    def _bringing(self, epoch: int, first: int, last: int) -> Bringing:
        """What brings the pictures of some batches of an epoch of a lazy clone."""

        def rows_of(number: int) -> Rows:
            positions = self.positions(*self.part(number))
            rows = self.rows(epoch, positions)
            return rows[~np.array(self.plan(epoch, positions, rows).small, np.bool_)]

        return self._source.bringing(
            rows_of,
            first,
            last,
            window=BLOCK * WINDOW * len(self._shards) // self.batch,
            processes=max(self._of_shards // len(self._shards), 1),
        )

    def _finished(self, making: _Making) -> Batch:
        began = time.perf_counter()
        batch = making.wait()
        self.stats.waited += time.perf_counter() - began
        self.stats.pictures += len(batch.rows)
        return batch

    # -- in threads --------------------------------------------------------------------------------

    def plan(self, epoch: int, positions: Rows, rows: Rows) -> _Plan:
        """What is done to the pictures of rows at positions, and which of them a rendition does."""
        view = self.view
        sizes = upright_sizes(view.sizes[rows], view.orientations[rows])
        plan = plan_batch(
            self.augmentation,
            _frames(view, rows, sizes),
            positions,
            size=self.size,
            seed=self.seed,
            epoch=epoch,
            whole=view.boxes is None,
        )
        areas = (plan.boxes[:, 2:] - plan.boxes[:, :2]).prod(axis=1)
        small = self._source.enough(rows, areas, self.size)
        frames = map(tuple, sizes.tolist())
        return _Plan(plan.changes(), list(frames), small.tolist())

    def read(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        """The bytes of some rows."""
        return self._source.read(rows, small)

    def draw(self, data: bytes | None, plan: _Plan, place: int, row: int, out: Pixels) -> bool:
        """Draw a row; False where there is no picture."""
        if data is not None:
            change, frame = plan.changes[place], plan.frames[place]
            if render(data, change, frame, out, self._resize):
                return True
        with self._lock:
            self.stats.failed.add(row)
        return False

    def stand_in(self, epoch: int, position: int, attempt: int) -> int:
        """The row that stands in for one that cannot be read, at its attempt."""
        place = np.array([position], np.int64)
        other = draw(place, self.seed, epoch, 100 + attempt) % np.uint64(self.order.count)
        return int(self.order.at(epoch, other.astype(np.int64))[0])


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done to the pictures of a batch, in plain numbers."""

    changes: list[Change]
    frames: list[tuple[float, float]]
    small: list[bool]


class _Ring:
    """Memory of batches, used round and round."""

    def __init__(self, allocate: Allocate, slots: int) -> None:
        self._allocate = allocate
        self._slots: list[Pixels | None] = [None] * slots
        self._next = 0

    def take(self, shape: tuple[int, ...]) -> Pixels:
        """Memory for a batch: that of the batch so many before it."""
        slot = self._slots[self._next]
        if slot is None or len(slot) < shape[0]:
            slot = self._slots[self._next] = self._allocate(shape)
        self._next = (self._next + 1) % len(self._slots)
        return slot[: shape[0]]


class _Making:
    """One batch on its way."""

    def __init__(self, loader: Loader, epoch: int, number: int) -> None:
        self._loader = loader
        self._epoch = epoch
        self._step, shard = loader.part(number)
        self._positions = loader.positions(self._step, shard)
        self._rows = loader.rows(epoch, self._positions).copy()
        self._valid = np.ones(len(self._rows), np.bool_)

    def start(
        self,
        ring: _Ring,
        ready: Callable[[], None],
        reading: ThreadPoolExecutor,
        drawing: ThreadPoolExecutor,
    ) -> _Making:
        """Begin to read, once `ready` comes back, and to draw."""
        self._ready = ready
        size = self._loader.size
        self._images = ring.take((len(self._rows), size, size, 3))
        self._plan = self._loader.plan(self._epoch, self._positions, self._rows)
        # In the order of the view, which is about that of the bytes in the packs.
        places = np.argsort(self._rows, kind="stable").tolist()
        parts = [places[first : first + _TOGETHER] for first in range(0, len(places), _TOGETHER)]
        self._reading = [reading.submit(self._read, part, drawing) for part in parts]
        return self

    def _read(self, places: list[int], drawing: ThreadPoolExecutor) -> Future[list[int]]:
        self._ready()
        rows = self._rows[places].tolist()
        data = self._loader.read(rows, [self._plan.small[place] for place in places])
        return drawing.submit(self._draw, places, rows, data)

    def _draw(self, places: list[int], rows: list[int], data: list[bytes | None]) -> list[int]:
        """Draw some pictures; the places of those that have none."""
        draw, plan, images = self._loader.draw, self._plan, self._images
        return [
            place
            for place, row, one in zip(places, rows, data, strict=True)
            if not draw(one, plan, place, row, images[place])
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
        """Show another row in the place of one that cannot be read, the same one in every run.

        Raises StateError where none of those tried can be read either.
        """
        loader = self._loader
        position = self._positions[place : place + 1]
        for attempt in range(0 if loader.evaluate else _TRIES):
            row = loader.stand_in(self._epoch, int(position[0]), attempt)
            plan = loader.plan(self._epoch, position, np.array([row]))
            data = loader.read([row], plan.small)[0]
            if loader.draw(data, plan, 0, row, self._images[place]):
                self._rows[place] = row
                return
        if not loader.evaluate:
            key = loader.view.name(int(self._rows[place]))
            what = f"the image of {key} cannot be read, nor {_TRIES} others that would stand in"
            raise StateError(what, hint="vgr fsck")
        self._images[place] = 0
        self._valid[place] = False


def _frames(view: View, rows: Rows, sizes: Floats) -> Floats:
    """What of upright pictures of those sizes matters: all, or the squares of the regions."""
    if view.boxes is None:
        return np.concatenate((np.zeros_like(sizes), sizes), axis=1)
    boxes = upright_boxes(view.boxes[rows], view.sizes[rows], view.orientations[rows])
    return squares(boxes, sizes)


def _plain_memory(shape: tuple[int, ...]) -> Pixels:
    return np.empty(shape, np.uint8)


def _pool(stack: ExitStack, name: str, threads: int) -> ThreadPoolExecutor:
    """Threads that end with the stack; what they have not begun by then they leave."""
    pool = stack.enter_context(ThreadPoolExecutor(threads, name))
    stack.callback(pool.shutdown, cancel_futures=True)
    return pool
