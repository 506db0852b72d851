"""A commit as a torch dataset, for people with a loop of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from voyager.errors import StateError, UsageError
from voyager.repo.dataset import Dataset
from voyager.train.data import as_arrays, open_loader
from voyager.train.loader import Loader
from voyager.train.place import Place
from voyager.train.resizing import by_torch
from voyager.train.view import Scope, View

_TOGETHER: Final = 64
"""Samples that are loaded together where they are given one by one."""


class CommitDataset(IterableDataset[dict[str, Any]]):
    """The batches (or samples) of a commit, epoch by epoch; `torch_dataset` makes one.

    Each pass is the next epoch, or the one that `set_epoch` named. `state_dict` says where the
    dataset stands, at any time; one with the same arguments goes on from there at once.
    """

    def __init__(self, loader: Loader, *, single: bool) -> None:
        self._loader = loader
        self._single = single
        self._epoch = self._step = 0

    @property
    def view(self) -> View:
        """The rows, with their keys, classes and answers."""
        return self._loader.view

    def classes(self, task: str) -> tuple[str, ...]:
        """The paths of the classes of a task, in the order of its targets."""
        return self.view.targets[task].classes

    def __len__(self) -> int:
        """Batches of an epoch, or its samples where they come one by one."""
        return self._loader.count if self._single else self._loader.steps

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that epoch, from its beginning."""
        self._epoch, self._step = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Where the dataset stands: commit, seed, epoch and step; `Place` has it in 40 bytes."""
        return self.place.as_dict()

    @property
    def place(self) -> Place:
        """The same as a value."""
        return Place(self.view.commit[:16], self._loader.seed, self._epoch, self._step)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a place; StateError where it is one of another commit or seed."""
        place = Place.from_dict(state)
        if place.commit != self.view.commit[:16]:
            raise StateError(
                f"that state is of commit {place.commit.hex()[:12]},"
                f" this dataset of {self.view.commit.hex()[:12]}"
            )
        if place.seed != self._loader.seed:
            raise StateError(f"that state has seed {place.seed}, this dataset {self._loader.seed}")
        self._epoch, self._step = place.epoch, place.step

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if get_worker_info() is not None:
            raise UsageError(
                "this dataset loads with threads of its own: DataLoader(num_workers=0)",
                hint="torch_dataset(…, threads=N)",
            )
        return self._samples() if self._single else self._batches()

    def _batches(self) -> Iterator[dict[str, Any]]:
        with closing(self._loader.epoch(self._epoch, self._step)) as batches:
            for batch in batches:
                self._step += 1
                yield _tensors(as_arrays(self.view, batch))
        self.set_epoch(self._epoch + 1)

    def _samples(self) -> Iterator[dict[str, Any]]:
        first, skipped = divmod(self._step, self._loader.batch)
        with closing(self._loader.epoch(self._epoch, first)) as batches:
            for batch in batches:
                found = _tensors(as_arrays(self.view, batch))
                for place in range(skipped, len(batch.rows)):
                    self._step += 1
                    yield _one(found, place)
                skipped = 0
        self.set_epoch(self._epoch + 1)


def torch_dataset(
    ds: Dataset,
    tasks: Sequence[str],
    *,
    split: str | None = "train",
    scope: Scope | None = None,
    where: str | None = None,
    size: int = 224,
    batch: int | None = 64,
    seed: int = 0,
    augmentation: str = "standard",
    rendition: str = "none",
    evaluate: bool = False,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    threads: int | None = None,
) -> CommitDataset:
    """A torch dataset over a commit, without a working tree:

        data = voyager.train.torch_dataset(repo.at("main"), tasks=["category"])
        for batch in DataLoader(data, batch_size=None):
            loss = criterion(network(batch["images"]), batch["targets"]["category"])

    A batch is a dict of tensors that are the caller's own:

    - `images`: uint8 (b, 3, size, size), RGB, in channels-last memory;
    - `rows`: int64 (b,), and `keys`, a list: which samples these are (with `#REGION` for regions);
    - `valid`: bool (b,), false where an evaluation could not read the picture;
    - `targets`: by task int64 (b,) for one class or a truth (-1: no answer), float32 (b,) for
      numbers (NaN: no answer), uint8 (b, classes) where several classes may be true;
    - `known`: by task uint8 (b, classes) for the last kind, 0 where nobody says;
    - `partner`, `share`: with mixup or cutmix alone, as in `loader.Batch`.

    With `batch=None` it gives samples, the same without the first dimension, for a DataLoader that
    makes batches. Threads load ahead, so that `num_workers` is 0. The order and all that is left to
    chance depend on the commit, the seed and the epoch alone; a `rank` of a `world` gets its part
    of every step. UsageError for unknown tasks and those without answers; StateError for a
    protected split, unless it is to `evaluate`.
    """
    loader = open_loader(
        ds,
        tasks=tasks,
        split=split,
        scope=scope,
        where=where,
        size=size,
        batch=_TOGETHER if batch is None else batch,
        seed=seed,
        augmentation=augmentation,
        rendition=rendition,
        evaluate=evaluate,
        drop_last=drop_last,
        rank=rank,
        world=world,
        threads=threads,
        resize=by_torch,
    )
    if batch is None and (loader.augmentation.mixup or loader.augmentation.cutmix):
        raise UsageError(
            "mixup and cutmix blend the pictures of a batch, which single samples are not",
            hint=f"augmentation='{augmentation},mixup=0,cutmix=0'",
        )
    if batch is None and world > 1:
        raise UsageError("a step is shared among ranks as batches: say batch=N")
    return CommitDataset(loader, single=batch is None)


def _tensors(arrays: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a batch as tensors, the pictures copied."""
    pixels = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2)
    return {
        **{name: _tensor(value) for name, value in arrays.items()},
        "images": pixels.clone(memory_format=torch.channels_last),
    }


def _tensor(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tensor(one) for name, one in value.items()}
    return torch.from_numpy(value) if isinstance(value, np.ndarray) else value


def _one(found: Any, place: int) -> Any:
    """What a batch says of one of its samples."""
    if isinstance(found, dict):
        return {name: _one(value, place) for name, value in found.items()}
    return found[place] if isinstance(found, Tensor | list) else found
