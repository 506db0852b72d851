"""What is derived from the images of a version: computed where it lacks, kept by content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
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

    from voyager.derived.cache import DerivedCache, Filled
    from voyager.derived.computing import Read
    from voyager.derived.crops import Crop
    from voyager.derived.registry import Method

LIMIT: Final = "derived.limit_mb"
MODEL: Final = "search.model"
"""The settings: how much is kept, and whose embeddings looks are compared by."""
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Derived:
    """What a pass over a version did.

    `things` counts each content once, images or crops of them, and `computed` those that lacked a
    value. `failed` are the keys that cannot be decoded, with the names of the methods that tried;
    `absent` the keys of images that are not here, which are those of `missing` things.
    """

    things: int
    computed: int
    failed: dict[str, list[str]]
    absent: list[str]
    missing: int


def derived_cache(repo: Repository) -> DerivedCache:
    """The cache of a repository, within its limit."""
    from voyager.derived.cache import DerivedCache
    from voyager.repo.kept_vectors import room_for_values

    return DerivedCache(
        derived_folder(repo.folder),
        room_for_values(repo.folder, repo.config.get_int(LIMIT) * _MEGABYTE),
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
    return _told(done, blobs)


def embed_regions(
    repo: Repository,
    version: Dataset,
    embedding: Method,
    keys: Collection[str] | None = None,
    *,
    progress: Progress = no_progress,
    executor: Executor | None = None,
) -> Derived:
    """Embed the crops of a version's regions, or of those of some samples, as search does.

    What is known is not computed again; crops of one image are cut from one decode.
    """
    from voyager.derived.embedded import IMAGE_OF_CROP, thing_reader

    crops, holders = _crops(version, keys)
    ids = sorted(crops, key=lambda one: crops[one].blob)
    read = thing_reader(crops, image_reader(version.objects))
    methods = [embedding, IMAGE_OF_CROP]
    done = derived_cache(repo).fill(methods, ids, read, progress=progress, executor=executor)
    return _told(done, holders)


def _crops(
    version: Dataset, keys: Collection[str] | None
) -> tuple[dict[bytes, Crop], dict[bytes, list[str]]]:
    """The crops of regions by their ids, and the keys of the samples that have each."""
    from voyager.repo.region_crops import iter_crops

    crops: dict[bytes, Crop] = {}
    holders: dict[bytes, list[str]] = {}
    with bulk.paused_gc():
        for key, row in _rows(version, keys):
            own = {crop.id: crop for _, crop in iter_crops(version, row)}
            for one, crop in own.items():
                if crop.blob not in version.purged:
                    crops[one] = crop
                    holders.setdefault(one, []).append(key.decode())
    return crops, holders


def _told(done: Filled, holders: Mapping[bytes, Sequence[str]]) -> Derived:
    """What was done, in the words of the keys that hold each thing."""
    failed: dict[str, dict[str, None]] = {}
    for name, ids in done.failed.items():
        for one in ids:
            for key in holders[one]:
                failed.setdefault(key, {})[name] = None
    absent = {key for one in done.missing for key in holders[one]}
    told = {key: list(names) for key, names in sorted(failed.items())}
    return Derived(len(holders), done.computed, told, sorted(absent), len(done.missing))


def thumbnails(repo: Repository, version: Dataset, keys: Collection[str]) -> dict[str, bytes]:
    """The thumbnails of some samples, as JPEGs by their keys; of images that can be had."""
    from voyager.derived.registry import METHODS

    blobs = keys_of_images(version, keys)
    read = image_reader(version.objects)
    made = derived_cache(repo).compute(METHODS["thumbnail"], blobs, read)
    return {key: image for blob, image in made for key in blobs[blob]}


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
