"""What a lazy clone leaves out: images that a remote has, and that come when they are looked at.

Which remotes promise what is absent are values of the store. A file of such an image was never
laid out, so that it is not missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from voyager.repo.dataset import Dataset, Tracked
from voyager.repo.snapshot import FILES, TRACKED
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store

LAZY: Final = "lazy/"
"""Prefix of the values that name the remotes which promise what is absent."""


def is_lazy(store: Store, remote: str | None = None) -> bool:
    """Whether a remote, or any, promises what is absent."""
    if remote is not None:
        return store.value_bytes(LAZY + remote) is not None
    return bool(store.values(LAZY))


def elsewhere(objects: ObjectReader, blobs: Iterable[bytes]) -> set[bytes]:
    """Those of some blobs that are promised and not in the store behind `objects`."""
    store = getattr(objects, "store", objects)
    if not isinstance(store, Store) or store.lender is None:
        return set()
    blobs = set(blobs)
    absent = blobs - set(store.places(blobs))
    return store.lender.promises(absent) if absent else set()


def laid_out(
    store: Store, version: Dataset, tracked: Sequence[Tracked], *, named: Collection[str] = ()
) -> list[Tracked]:
    """Those rows whose files are to be written: not images that are promised and not here, but for
    keys that were `named`.

    Other files are brought for that.
    """
    promised = elsewhere(store, (one.blob for one in tracked))
    if not promised:
        return list(tracked)
    return [
        one
        for one in tracked
        if one.blob not in promised
        or one.key in named
        or version.row(FILES, one.key.encode()) is not None
    ]


def missed(store: Store, version: Dataset, keys: Iterable[str]) -> list[str]:
    """Those of some keys without a file whose file was there once, or should have been.

    An image that several keys have may be here for the sake of another, so none of them is missed.
    """
    keys = list(keys)
    if store.lender is None or not keys:
        return keys
    encoded = [key.encode() for key in keys]
    tracked = [
        found
        for space in TRACKED
        for key, row in version.rows_at(space, encoded)
        if row is not None and (found := version.tracked_as(space, key, row)) is not None
    ]
    promised = store.lender.promises({one.blob for one in tracked})
    here = set(store.places(promised))
    shared = _shared(version, here) if here else set()
    never = {
        one.key
        for one in tracked
        if one.blob in promised and (one.blob not in here or one.blob in shared)
    }
    return [key for key in keys if key not in never]


def _shared(version: Dataset, blobs: set[bytes]) -> set[bytes]:
    """Those of some blobs that more than one key has."""
    met: set[bytes] = set()
    shared: set[bytes] = set()
    for one in version.tracked():
        if one.blob in blobs:
            (shared if one.blob in met else met).add(one.blob)
    return shared
