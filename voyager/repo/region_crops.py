"""The crops that regions stand for when they are looked at: the boxes around them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from voyager.derived.crops import Crop, crop_of
from voyager.repo.dataset import Dataset
from voyager.schema.measures import bounds
from voyager.schema.partial import partial_decoder
from voyager.store.ids import Kind

_FIELDS: Final = (
    "image.blob",
    "image.width",
    "image.height",
    "regions.geometries",
    "regions.primary",
    "regions.id",
    "regions.state",
)


def iter_crops(version: Dataset, row: bytes) -> Iterator[tuple[bytes, Crop]]:
    """(id of the region, crop) of a sample's regions that have a place in an image that is known.

    Those that were rejected are left out.
    """
    sample = _decoder()(row)
    blob, width, height = sample.image.blob, sample.image.width, sample.image.height
    if blob is None or not width or not height:
        return
    for region in sample.regions:
        around = None if region.state == "rejected" else _bounds(region, version)
        if around is not None:
            yield region.id, crop_of(bytes(blob.data), around, width, height)


@lru_cache(maxsize=1)
def _decoder() -> Callable[[bytes], Any]:
    return partial_decoder(_FIELDS)


def _bounds(region: Any, version: Dataset) -> tuple[float, float, float, float] | None:
    role = region.primary or next(iter(region.geometries), None)
    if role is None:
        return None

    def load(blob: bytes) -> bytes:
        return version.objects.get(blob, Kind.BLOB)

    return bounds(region.geometries[role], load=load)
