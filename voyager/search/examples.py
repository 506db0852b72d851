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
from voyager.repo.keys import KeyPattern, match_keys, shown
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
    """Samples, or regions of them, that a query names."""

    name: str
    items: tuple[Item, ...]


def named_in(version: Dataset, name: str) -> Named:
    """What KEY or KEY#REGION names, where KEY may be a folder or glob.

    Of many samples those that have an image; NotFoundError where there is none.
    """
    found = parse_region_name(name, lambda key: _is_key(version, key))
    keys = _keys_of(version, found.key)
    samples = [(key, version[key]) for key in keys]
    here = [(key, sample) for key, sample in samples if sample.image.blob_id is not None]
    if not here:
        states = " or ".join(sorted({sample.image.state for _, sample in samples}))
        raise NotFoundError(f"'{shown(found.key)}' has no image: it is {states}")
    if found.region is None:
        return Named(name, tuple(Item(key) for key, _ in here))
    items = (
        Item(key, region.id)
        for key, sample in here
        for region in find_regions(key, sample, found.region)
    )
    return Named(name, tuple(items))


def _is_key(version: Dataset, text: str) -> bool:
    return version.row(SAMPLES, text.encode()) is not None or version.has_folder(text)


def _keys_of(version: Dataset, text: str) -> list[str]:
    """The keys of the samples that a key, folder or glob names."""
    pattern = KeyPattern(text)
    if version.row(SAMPLES, text.encode()) is not None:
        return [text]
    if pattern.is_glob or not pattern.text or version.has_folder(pattern.text):
        keys = [key for space, key in match_keys(version, [text]) if space == SAMPLES]
        if keys:
            return keys
    raise NotFoundError(f"no sample '{shown(text)}'", hint="vgr ls")


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
        with path.open("rb") as file:  # which may be a device without end
            size = os.fstat(file.fileno()).st_size
            data = b"" if size > _MOST_BYTES else file.read(_MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"no file '{path}'", path=path) from None
    except IsADirectoryError:
        raise UsageError(f"'{path}' is a folder, not an image") from None
    if max(size, len(data)) > _MOST_BYTES:
        bytes_ = f"{size:,}" if size else f"more than {_MOST_BYTES:,}"
        message = f"{path} has {bytes_} bytes, which is too large for an image"
        raise InvalidDataError(message, path=path)
    return data


def vectors_shown(
    source: Embeddings, places: VersionVectors, version: Dataset, named: Named
) -> Sequence[Floats]:
    """The vectors of the images of samples, or of regions on them, as far as they have one.

    UsageError where no region has a place, InvalidDataError where no image can be decoded.
    """
    wanted = set(named.items)
    rows = version.rows_at(SAMPLES, sorted({item.key.encode() for item in wanted}))
    things = {
        one: thing
        for key, row in rows
        if row is not None
        for region, one, thing in places.named_things(version, row)
        if Item(key.decode(), region) in wanted
    }
    if not things:
        raise UsageError(f"no region '{shown(named.name)}' has a place in its image")
    ids, matrix = source(things)
    if not ids:
        raise InvalidDataError(f"the image of '{shown(named.name)}' cannot be decoded")
    vectors: Floats = np.asarray(matrix, np.float32)
    return list(vectors)


def image_bringer(version: Dataset) -> Read:
    """Reads images, those too that a lazy clone has to bring."""

    def read(ids: Sequence[bytes]) -> Iterator[tuple[bytes, Source | None]]:
        for blob in ids:
            yield blob, version.objects.get(blob, Kind.BLOB)

    return read


def _numbers(value: bytes) -> Floats:
    return halves(np.frombuffer(value, np.uint8)).astype(np.float32)
