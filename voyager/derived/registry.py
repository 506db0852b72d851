"""The methods: what can be derived from an image, and by which function.

A method is pure: the same bytes give the same value, whatever else is in the batch. Its version
changes whenever a value would; values of other versions are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from voyager.derived import layout, perceptual_hash
from voyager.derived.decode import quietly
from voyager.derived.pixel_hash import BYTES as PIXEL_HASH_BYTES
from voyager.derived.pixel_hash import hash_pixels, hashes_of
from voyager.derived.square import square_of
from voyager.errors import NotFoundError

Cost: TypeAlias = Literal["cheap", "decode", "model"]
"""A word for people: no pixels · about a decode of the image · more than that."""

Prepare: TypeAlias = Callable[[bytes], Any]
"""From the bytes of one image to what a batch is made of; None where it cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Method:
    """One kind of derived value.

    `prepare` runs per image and releases the interpreter lock while it decodes; methods that name
    the same function share its result. `finish` turns a batch of results into values, None where
    there is none. `size` is the length of every value in bytes, None where it varies.
    """

    name: str
    version: int
    cost: Cost
    prepare: Prepare
    finish: Callable[[Sequence[Any]], Sequence[bytes | None]]
    size: int | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def __call__(self, ids: Sequence[bytes], data: Sequence[bytes]) -> list[bytes | None]:
        """The values of a batch of images, given as blob ids and bytes."""
        with quietly():
            return run([self], data)[0]


def run(methods: Sequence[Method], data: Sequence[bytes]) -> list[list[bytes | None]]:
    """The values of a batch of images by several methods, each image decoded once where it may."""
    prepared = {
        prepare: [prepare(one) for one in data]
        for prepare in dict.fromkeys(method.prepare for method in methods)
    }
    return [_finished(method, prepared[method.prepare]) for method in methods]


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
    Method("pixels", 1, "decode", hash_pixels, hashes_of, PIXEL_HASH_BYTES),
    Method("phash", 1, "decode", square_of, perceptual_hash.hash_squares, perceptual_hash.BYTES),
    Method("layout", 1, "decode", square_of, layout.layout_squares, layout.BYTES),
)

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in _METHODS}
"""Every method by its name."""


def method_of(name: str) -> Method:
    """The method of that name; NotFoundError where there is none."""
    if name not in METHODS:
        raise NotFoundError(f"no derived value {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]
