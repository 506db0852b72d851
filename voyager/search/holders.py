"""Which samples and regions of a version have an image, or a crop, that was found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.search.blob_column import has_column, holders_in_column
from voyager.search.members import VersionVectors
from voyager.search.query import Item
from voyager.store.bulk import paused_gc


def keys_of(version: Dataset, blobs: Collection[bytes]) -> dict[bytes, list[str]]:
    """The keys of the samples with these images, in key order."""
    if not blobs:
        return {}
    found: dict[bytes, list[str]] = {}
    holders = holders_in_column if has_column(version) else _in_rows
    for blob, key in holders(version, set(blobs)):
        found.setdefault(blob, []).append(key)
    return found


def _in_rows(version: Dataset, blobs: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
    decode = partial_decoder({"image.blob"})
    with paused_gc():
        for key, row in version.rows(SAMPLES):
            blob = decode(row).image.blob
            if blob is not None and (one := bytes(blob.data)) in blobs:
                yield one, key.decode()


def items_of(
    vectors: VersionVectors,
    version: Dataset,
    ids: Collection[bytes],
    images: Collection[bytes] | None,
) -> dict[bytes, list[Item]]:
    """The samples or regions that have these vectors, in key order.

    `images` are those that the vectors' crops are cut from; None where that is not known.
    """
    found: dict[bytes, list[Item]] = {}
    for key, row in _rows(version, images):
        for region, one, _ in vectors.named_things(version, row):
            if one in ids:
                found.setdefault(one, []).append(Item(key.decode(), region))
    return found


def _rows(version: Dataset, images: Collection[bytes] | None) -> Iterable[tuple[bytes, bytes]]:
    if images is None:
        return version.rows(SAMPLES)
    keys = sorted(key.encode() for found in keys_of(version, images).values() for key in found)
    return ((key, row) for key, row in version.rows_at(SAMPLES, keys) if row is not None)
