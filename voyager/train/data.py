"""A commit for people with a loop of their own: batches as NumPy arrays, without torch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from voyager.config import Config
from voyager.errors import StateError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Repository
from voyager.store.objectstore import Store
from voyager.train.augment import NONE, parse_augmentation
from voyager.train.loader import Batch, Loader
from voyager.train.reading import PackSource
from voyager.train.renditions import AUTO, choose_rendition, parse_rendition
from voyager.train.resizing import Resize, by_pillow
from voyager.train.view import Question, Scope, View, open_view


def open_loader(
    ds: Dataset,
    *,
    tasks: Sequence[str],
    split: str | None,
    scope: Scope | None,
    where: str | None,
    size: int,
    batch: int,
    seed: int,
    augmentation: str,
    rendition: str,
    evaluate: bool,
    drop_last: bool,
    rank: int,
    world: int,
    threads: int | None,
    resize: Resize = by_pillow,
) -> Loader:
    """A loader over a version that was read from a repository; for the arguments see `batches`."""
    store = getattr(ds.objects, "store", ds.objects)
    if not isinstance(store, Store):
        raise StateError("only a version of a repository on a disk can be loaded from")
    repo = Repository(store.root, store, Config.load(store.root))
    question = Question(tuple(tasks), split, scope, where)
    view = open_view(repo, ds, question, for_evaluation=evaluate)
    how = NONE if evaluate else parse_augmentation(augmentation)
    cache = derived_cache(repo)
    if rendition == AUTO:
        chosen = choose_rendition(cache, view, how, size)
    else:
        chosen = parse_rendition(rendition)
    source = PackSource(ds.objects, view, rendition=chosen, cache=cache)
    source.fill()
    return Loader(
        source,
        view,
        size=size,
        batch=batch,
        seed=seed,
        augmentation=how,
        evaluate=evaluate,
        drop_last=drop_last,
        shards=(rank,),
        of_shards=world,
        threads=threads,
        resize=resize,
    )


def batches(
    ds: Dataset,
    tasks: Sequence[str],
    *,
    split: str | None = "train",
    scope: Scope | None = None,
    where: str | None = None,
    size: int = 224,
    batch: int = 64,
    seed: int = 0,
    epoch: int = 0,
    start: int = 0,
    augmentation: str = "standard",
    rendition: str = "none",
    evaluate: bool = False,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    threads: int | None = None,
) -> Generator[dict[str, Any], None, None]:
    """The batches of an epoch of a commit, from a step on, as NumPy arrays.

    Each is a dict of

    - `images`: uint8 (b, size, size, 3), RGB. The memory is used again: copy what shall stay
      longer than until the batch after the next one;
    - `rows`: int64 (b,), places in the view, by the keys of samples (and regions in them);
    - `keys`: the keys of the samples, with `#REGION` where rows are regions;
    - `valid`: bool (b,), false where an evaluation could not read the picture;
    - `targets`: by task int64 (b,) for one class or a truth (-1: no answer), float32 (b,) for
      numbers (NaN: no answer), uint8 (b, classes) where several classes may be true;
    - `known`: by task uint8 (b, classes) for the last kind, 0 where nobody says;
    - `partner`, `share`: with mixup or cutmix alone, as in `loader.Batch`.

    The same arguments give the same batches, whatever the number of threads. A step takes `batch`
    samples of the epoch's order, of which a `rank` of a `world` gets its part. With `evaluate` rows
    come in order and unchanged, and protected splits can be read.
    """
    loader = open_loader(
        ds,
        tasks=tasks,
        split=split,
        scope=scope,
        where=where,
        size=size,
        batch=batch,
        seed=seed,
        augmentation=augmentation,
        rendition=rendition,
        evaluate=evaluate,
        drop_last=drop_last,
        rank=rank,
        world=world,
        threads=threads,
    )
    with closing(loader.epoch(epoch, start)) as found:
        for one in found:
            yield as_arrays(loader.view, one)


def as_arrays(view: View, batch: Batch) -> dict[str, Any]:
    """A batch with the answers of its rows, as `batches` gives it."""
    targets, known = {}, {}
    for task, target in view.targets.items():
        values = target.values[batch.rows]
        targets[task] = values.astype(np.int64) if target.kind in ("one", "bool") else values
        if target.known is not None:
            known[task] = target.known[batch.rows]
    arrays: dict[str, Any] = {
        "images": batch.images,
        "rows": batch.rows,
        "keys": [view.name(row) for row in batch.rows.tolist()],
        "valid": batch.valid,
        "targets": targets,
        "known": known,
    }
    if batch.partner is not None:
        arrays |= {"partner": batch.partner, "share": batch.share}
    return arrays
