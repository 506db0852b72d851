"""What a query shows instead of saying it: image files, and samples and regions of the version."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voyager.derived.computing import Read
from voyager.derived.decode import MOST_PIXELS
from voyager.derived.embedded import Embeddings, halves
from voyager.derived.embeddings import Embedder, embedding, unit
from voyager.derived.registry import Source
from voyager.errors import InvalidDataError, NotFoundError, UsageError
from voyager.images import probe
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.region_names import find_regions, parse_region_name
from voyager.repo.snapshot import SAMPLES
from voyager.search.members import VersionVectors
from voyager.search.query import Example, Item
from voyager.search.segment import Floats
from voyager.store.ids import Kind

_MOST_BYTES: Final = 1 << 29
_UNLIKE: Final = 0.5
"""How much what is not to be like counts against what is."""


@dataclass(frozen=True, slots=True)
class Named:
    """A sample, or some regions of it, that a query names."""

    name: str
    items: tuple[Item, ...]


def named_in(version: Dataset, name: str) -> Named:
    """What KEY or KEY#REGION names; NotFoundError where it names nothing."""
    found = parse_region_name(name, lambda key: version.row(SAMPLES, key.encode()) is not None)
    sample = version.get(found.key)
    if sample is None:
        raise NotFoundError(f"no sample '{shown(found.key)}'", hint="vgr ls")
    if sample.image.blob_id is None:
        raise NotFoundError(f"'{shown(found.key)}' has no image: it is {sample.image.state}")
    if found.region is None:
        return Named(name, (Item(found.key),))
    regions = find_regions(found.key, sample, found.region)
    return Named(name, tuple(Item(found.key, region.id) for region in regions))


def vector_between(like: Sequence[Floats], unlike: Sequence[Floats]) -> Floats:
    """One unit vector: the mean of what is to be alike, less half the mean of what is not."""
    mean = np.mean(like, axis=0, dtype=np.float32)
    if unlike:
        mean -= np.float32(_UNLIKE) * np.mean(unlike, axis=0, dtype=np.float32)
    return unit(mean.reshape(1, -1))


def vector_of_image(embedder: Embedder, image: Example) -> Floats:
    """The vector of an image file; InvalidDataError for one that cannot be looked at."""
    name = "the image" if isinstance(image, bytes) else str(image)
    path = None if isinstance(image, bytes) else name
    data = image if isinstance(image, bytes) else _read(Path(image))
    info = probe(data)
    if info is None:
        raise InvalidDataError(f"{name} is no image", path=path)
    if info.width * info.height > MOST_PIXELS:
        size = f"{info.width:,} × {info.height:,} pixels"
        raise InvalidDataError(f"{name} claims {size}, which is too large", path=path)
    (value,) = embedding(embedder)([bytes(32)], [data])
    if value is None:
        why = info.problem or "damaged"
        raise InvalidDataError(f"{name} cannot be decoded: {why}", path=path)
    return _numbers(value)


def _read(path: Path) -> bytes:
    try:
        size = os.stat(path).st_size
        if size > _MOST_BYTES:
            message = f"{path} has {size:,} bytes, which is too large for an image"
            raise InvalidDataError(message, path=path)
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"no file '{path}'", path=path) from None
    except IsADirectoryError:
        raise UsageError(f"'{path}' is a folder, not an image") from None


def vector_of_item(
    source: Embeddings, places: VersionVectors, version: Dataset, item: Item
) -> Floats:
    """The vector of a sample's image, or of a region on it."""
    row = version.row(SAMPLES, item.key.encode())
    assert row is not None
    named = places.named_things(version, row)
    things = {one: thing for region, one, thing in named if region == item.region}
    if not things:
        raise UsageError(f"the region of '{shown(item.key)}' has no place in the image")
    ids, matrix = source(things)
    if not ids:
        raise InvalidDataError(f"the image of '{shown(item.key)}' cannot be decoded")
    vector: Floats = np.asarray(matrix, np.float32)[0]
    return vector


def image_bringer(version: Dataset) -> Read:
    """Reads images, those too that a lazy clone has to bring."""

    def read(ids: Sequence[bytes]) -> Iterator[tuple[bytes, Source | None]]:
        for blob in ids:
            yield blob, version.objects.get(blob, Kind.BLOB)

    return read


def _numbers(value: bytes) -> Floats:
    return halves(np.frombuffer(value, np.uint8)).astype(np.float32)
