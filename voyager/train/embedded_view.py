"""The vectors of the rows of a view, from the cache of derived values or made for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voyager.derived.computing import Read
from voyager.derived.crops import crop_of
from voyager.derived.embedded import Embeddings, Thing
from voyager.derived.embeddings import DEFAULT, Embedder, open_embedder
from voyager.derived.registry import Source
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derived_cache, image_reader
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.bulk import paused_gc
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store
from voyager.train.bringing import iter_brought
from voyager.train.record import find_run
from voyager.train.view import View
from voyager.train.weights_file import weights_file


class EmbeddedView(NamedTuple):
    """The vectors (n, dims) in half precision of some rows of a view, by the ids of the samples.

    What is computed of them does not depend on what the samples are called.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float16]
    broken: tuple[str, ...]
    """Rows whose pictures could not be read, by name."""


def open_model(repo: Repository, name: str, device: str | None = None) -> Embedder:
    """`default`, a transformers model in a folder, a checkpoint in a file, or a network's run.

    On a device, the fastest there is where it is None; UsageError for one that is not, or that
    `default` cannot use.
    """
    if name == DEFAULT and device not in (None, "cpu"):
        raise UsageError(
            f"the built-in descriptor runs on cpu, not on {device}", hint="vgr train --device auto"
        )
    if name == DEFAULT or Path(name).exists():
        return open_embedder(name, device=device)
    try:
        run = find_run(repo, name)
    except NotFoundError as error:
        raise NotFoundError(
            f"no model '{name}': neither '{DEFAULT}', nor a folder, a checkpoint or a run",
            hint="vgr runs",
        ) from error
    return open_embedder(str(weights_file(repo, run)), device=device)


def embed_view(
    repo: Repository,
    version: Dataset,
    view: View,
    embedder: Embedder,
    *,
    progress: Progress = no_progress,
) -> EmbeddedView:
    """The vectors of a view; of crops where its rows are regions."""
    order = _by_ids(view)
    with paused_gc():
        things = list(_things(view, order))
        wanted = dict(things)
        make = Embeddings(
            derived_cache(repo), embedder, _bringing_reader(version.objects), progress
        )
        ids, found = make(wanted)
        places = {one: place for place, one in enumerate(ids)}
        at = np.fromiter((places.get(one, -1) for one, _ in things), np.int64, len(things))
    there = at >= 0
    broken = tuple(view.name(int(row)) for row in order[~there])
    return EmbeddedView(order[there], np.asarray(found)[at[there]], broken)


def _by_ids(view: View) -> NDArray[np.int64]:
    """The rows in the order of the ids of their samples, then of their regions."""
    ids = [view.uids] if view.regions is None else [view.regions, view.uids]
    return np.lexsort([half for one in ids for half in _halves(one)])


def _halves(ids: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    both = np.ascontiguousarray(ids).view(">u8").astype(np.uint64)
    return both[:, 1], both[:, 0]


def _things(view: View, order: NDArray[np.int64]) -> Iterator[tuple[bytes, Thing]]:
    """What is embedded for each row, with the id of its vector."""
    if view.boxes is None:
        for blob in map(bytes, view.blobs[order]):
            yield blob, blob
        return
    boxes, sizes = view.boxes[order].tolist(), view.sizes[order].tolist()
    for blob, box, (width, height) in zip(view.blobs[order], boxes, sizes, strict=True):
        crop = crop_of(bytes(blob), tuple(box), width, height)
        yield crop.id, crop


def _bringing_reader(objects: ObjectReader) -> Read:
    """A reader of images, those too which a lazy clone has to bring."""
    store = getattr(objects, "store", objects)
    if not isinstance(store, Store) or store.lender is None:
        return image_reader(objects)

    def bring_and_read(ids: Sequence[bytes]) -> Iterator[tuple[bytes, Source | None]]:
        for some in iter_brought(store, ids):
            for blob in some:
                try:
                    yield blob, objects.get(blob, Kind.BLOB)
                except NotFoundError:  # purged, or promised by nobody
                    yield blob, None

    return bring_and_read
