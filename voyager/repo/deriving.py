"""What is derived from the images of a version: computed where it lacks, kept by content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset, tracked_row
from voyager.repo.layout import derived_folder
from voyager.repo.promised import elsewhere
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.store import bulk
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from voyager.derived.cache import DerivedCache
    from voyager.derived.computing import Read
    from voyager.derived.registry import Method

LIMIT: Final = "derived.limit_mb"
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Derived:
    """What a pass over a version did.

    `images` counts each content once, `computed` those of them that lacked a value. `failed` are
    the keys that cannot be decoded, with the names of the methods that tried; `absent` the keys of
    images that are not here.
    """

    images: int
    computed: int
    failed: dict[str, list[str]]
    absent: list[str]


def derived_cache(repo: Repository) -> DerivedCache:
    """The cache of a repository, within its limit."""
    from voyager.derived.cache import DerivedCache

    limit = repo.config.get_int(LIMIT) * _MEGABYTE
    return DerivedCache(
        derived_folder(repo.folder),
        limit,
        on_problem=lambda why: repo.remarks.update(
            derived=f"what was derived of images could not be kept, and is made again: {why}"
        ),
    )


def derive(
    repo: Repository,
    version: Dataset,
    methods: Sequence[Method],
    keys: Collection[str] | None = None,
    *,
    progress: Progress = no_progress,
    executor: Executor | None = None,
) -> Derived:
    """Derive values of the images of a version, or of some samples of it.

    What is known is not computed again, whichever version it was computed for. An `executor` is
    given batches of (id, bytes) to work on, in other processes or on other machines; by default
    threads do it. Raises StateError where values cannot be kept.
    """
    blobs = keys_of_images(version, keys)
    read = image_reader(version.objects)
    done = derived_cache(repo).fill(
        methods, list(blobs), read, progress=progress, executor=executor
    )
    failed: dict[str, list[str]] = {}
    for name, ids in done.failed.items():
        for blob in ids:
            for key in blobs[blob]:
                failed.setdefault(key, []).append(name)
    absent = [key for blob in done.missing for key in blobs[blob]]
    return Derived(len(blobs), done.computed, dict(sorted(failed.items())), sorted(absent))


def keys_of_images(version: Dataset, keys: Collection[str] | None = None) -> dict[bytes, list[str]]:
    """The images of a version that are not purged or pending: blob id → keys, in key order."""
    found: dict[bytes, list[str]] = {}
    with bulk.paused_gc():
        for key, row in _rows(version, keys):
            image = tracked_row(SAMPLES, key, row)
            if image is not None and image.blob not in version.purged:
                found.setdefault(image.blob, []).append(image.key)
    return found


def _rows(version: Dataset, keys: Collection[str] | None) -> Iterator[tuple[bytes, bytes]]:
    if keys is None:
        yield from version.rows(SAMPLES)
        return
    for key, row in version.rows_at(SAMPLES, sorted(key.encode() for key in keys)):
        if row is not None:
            yield key, row


def image_reader(objects: ObjectReader) -> Read:
    """A reader of images for the cache; those that a lazy clone left out are not here."""

    def read(ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        promised = elsewhere(objects, ids)
        for blob in ids:
            try:
                yield blob, None if blob in promised else objects.get(blob, Kind.BLOB)
            except NotFoundError:
                yield blob, None  # purged, or elsewhere

    return read
