"""The embeddings of images and of crops: taken from the cache of derived values, or made now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from blake3 import blake3
from numpy.typing import ArrayLike, NDArray

from voyager.derived.cache import DerivedCache
from voyager.derived.computing import Read
from voyager.derived.crops import Crop
from voyager.derived.embeddings import Embedder, embedding
from voyager.derived.picture import Picture
from voyager.derived.registry import Method

Progress: TypeAlias = Callable[[int, int | None], None]

Thing: TypeAlias = Crop | bytes
"""What has a vector: a region's crop, or an image by the id of its blob."""

Vectors: TypeAlias = tuple[list[bytes], ArrayLike]
"""Ids, and a matrix with a row for each."""


class Embeddings:
    """A source of vectors that notes what it could not make.

    `absent` are images that are not here, `broken` images or crops without pixels, by blob id.
    """

    def __init__(
        self, cache: DerivedCache, embedder: Embedder, read: Read, progress: Progress
    ) -> None:
        self._cache = cache
        self._method = embedding(embedder)
        self._read = read
        self._progress = progress
        self.absent: set[bytes] = set()
        self.broken: set[bytes] = set()
        self.computed = 0

    def __call__(self, things: Mapping[bytes, Thing]) -> Vectors:
        """The vectors of things by id, in half precision; those that have none are left out."""
        ids = sorted(things, key=lambda one: _blob(things[one]))
        crops = [one for one in ids if isinstance(things[one], Crop)]
        methods = [self._method, IMAGE_OF_CROP] if crops else [self._method]
        before = len(self._cache.known(self._method, ids).missing)
        read = thing_reader(things, self._read)
        computed = self._cache.compute_all(methods, ids, read, progress=self._progress)
        found = computed[self._method.name]
        self.computed += before - len(found.missing)
        self.absent.update(_blob(things[one]) for one in found.missing)
        self.broken.update(_blob(things[one]) for one in found.failed)
        return found.ids, halves(found.matrix)


def thing_reader(things: Mapping[bytes, Thing], read: Read) -> Read:
    """A reader of things by their ids; crops of one image share its decode."""

    def read_things(ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | Picture | None]]:
        by_blob: dict[bytes, list[bytes]] = {}
        for one in ids:
            by_blob.setdefault(_blob(things[one]), []).append(one)
        for blob, image in read(list(by_blob)):
            whole = image if isinstance(image, Picture) or image is None else Picture(image)
            yield from _pictures(whole, by_blob[blob], things)

    return read_things


def _pictures(
    whole: Picture | None, ids: Iterable[bytes], things: Mapping[bytes, Thing]
) -> Iterator[tuple[bytes, Picture | None]]:
    for one in ids:
        thing = things[one]
        yield one, thing.picture(whole) if whole is not None and isinstance(thing, Crop) else whole


def _blob(thing: Thing) -> bytes:
    return thing.blob if isinstance(thing, Crop) else thing


def halves(matrix: NDArray[np.uint8]) -> NDArray[np.float16]:
    """Values of embeddings, rows of bytes, as numbers."""
    return np.ascontiguousarray(matrix).view("<f2")


def _ids_of_images(found: Sequence[bytes]) -> Sequence[bytes]:
    return found


def _id_of_image(picture: Picture) -> bytes:
    whole = picture.whole or picture
    return whole.once(_digest)


def _digest(picture: Picture) -> bytes:
    return blake3(picture.data).digest()


IMAGE_OF_CROP: Final = Method("image-of-crop", 1, "cheap", _id_of_image, _ids_of_images, 32)
"""The blob that a crop was cut from, which leads from a crop to the samples that have it."""
