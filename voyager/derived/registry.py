"""The methods: what can be derived from an image, and by which function.

A method is pure: the same bytes give the same value, whatever else is in the batch. Its version
changes whenever a value would; values of other versions are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from voyager.derived import (
    headers,
    likeness,
    perceptual_hash,
    renditions,
    sketch,
    statistics,
    thumbnails,
)
from voyager.derived.decode import quietly
from voyager.derived.picture import NoPicture, Picture
from voyager.derived.pixel_hash import BYTES as PIXEL_HASH_BYTES
from voyager.derived.pixel_hash import hash_pixels, hashes_of
from voyager.derived.square import luma_of, square_of
from voyager.errors import NotFoundError

Cost: TypeAlias = Literal["cheap", "decode", "model"]
"""A word for people: no pixels · about a decode of the image · more than that."""

Prepare: TypeAlias = Callable[[Picture], Any]
"""From one image to what a batch is made of; raises NoPicture, or None, where there is no value."""

Source: TypeAlias = bytes | Picture
"""An image to derive from: the bytes of a file, or a part of it as `Picture(data).crop(box)`."""


@dataclass(frozen=True, slots=True)
class Method:
    """One kind of derived value.

    `prepare` runs per image and releases the interpreter lock while it decodes; methods that name
    the same function share its result, and what it asks of the picture by `Picture.once`. `finish`
    turns a batch of results into values, None where there is none. Both are functions of a module,
    or objects that can be pickled, so that they run in other processes too. `size` is the length of
    every value in bytes, None where it varies.
    """

    name: str
    version: int
    cost: Cost
    prepare: Prepare
    finish: Callable[[Sequence[Any]], Sequence[bytes | None]]
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def __call__(self, ids: Sequence[bytes], images: Sequence[Source]) -> list[bytes | None]:
        """The values of a batch of images, given as blob ids and bytes."""
        with quietly():
            return run([self], images)[0]


def run(methods: Sequence[Method], images: Sequence[Source]) -> list[list[bytes | None]]:
    """The values of a batch of images by several methods, each image decoded once where it may."""
    prepared: list[list[Any]] = [[] for _ in methods]
    whole = None
    for image in images:
        picture = image if isinstance(image, Picture) else Picture(image)
        if whole is not None and whole is not picture.whole:
            whole.forget()
        whole = picture.whole
        for method, found in zip(methods, prepared, strict=True):
            found.append(_prepared(method, picture))
        picture.forget()
    if whole is not None:
        whole.forget()
    return [_finished(method, found) for method, found in zip(methods, prepared, strict=True)]


def _prepared(method: Method, picture: Picture) -> Any:
    try:
        return picture.once(method.prepare)
    except NoPicture:
        return None


def _finished(method: Method, prepared: Sequence[Any]) -> list[bytes | None]:
    """Finish those that could be prepared; the others have no value."""
    places = [place for place, one in enumerate(prepared) if one is not None]
    values: list[bytes | None] = [None] * len(prepared)
    if places:
        found = method.finish([prepared[place] for place in places])
        for place, value in zip(places, found, strict=True):
            values[place] = value
    return values


_METHODS: Final = (
    Method("probe", 1, "cheap", headers.header_of, headers.encoded_headers, headers.BYTES),
    Method("pixels", 1, "decode", hash_pixels, hashes_of, PIXEL_HASH_BYTES),
    Method("phash", 2, "decode", luma_of, perceptual_hash.hash_lumas, perceptual_hash.BYTES),
    Method("sketch", 1, "decode", square_of, sketch.sketch_squares, sketch.BYTES),
    Method("likeness", 1, "decode", square_of, likeness.likeness_squares, likeness.BYTES),
    Method(
        "statistics",
        1,
        "decode",
        statistics.measured,
        statistics.statistics_of,
        statistics.BYTES,
    ),
    Method("thumbnail", 1, "decode", thumbnails.thumbnail_of, thumbnails.as_made),
)

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in _METHODS}
"""Every method that needs no more than its name, by that."""


def rendition(side: int, quality: int = renditions.QUALITY) -> Method:
    """The rendition with that short side."""
    rendering = renditions.Rendering(side, quality)
    name = renditions.name_of(side, quality)
    return Method(name, renditions.VERSION, "decode", rendering, thumbnails.as_made)


_RENDITIONS: Final = {
    method.name: method
    for method in (
        rendition(side, quality) for quality in renditions.QUALITIES for side in renditions.SIDES
    )
}


def method_of(name: str) -> Method:
    """The method of that name; NotFoundError where there is none."""
    found = METHODS.get(name) or _RENDITIONS.get(name)
    if found is None:
        known = ", ".join((*METHODS, *_RENDITIONS))
        raise NotFoundError(f"no derived value {name!r}; there are {known}")
    return found
