"""Finding pairs of a copy and a protected image: by equal bytes, equal pixels, or a near hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from voyager.errors import NotFoundError
from voyager.repo.guard_images import Seen
from voyager.repo.promised import elsewhere
from voyager.repo.repository import Progress, Repository
from voyager.schema.guard import BYTES, NEAR, PIXELS, GuardPolicy
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voyager.derived.cache import Values

BYTES_METHOD: Final = "bytes 1"

_METHOD_OF: Final = {PIXELS: "pixels", NEAR: "phash"}
"""What a detector looks at, by its name in `derived.registry`."""


class Pair(NamedTuple):
    """A copy and the protected image that it is one of, how they were compared, and how far off."""

    copy: Seen
    protected: Seen
    kind: str
    distance: float
    method: str


def is_leak(policy: GuardPolicy, copy: Seen, protected: Seen) -> bool:
    """Whether a copy lies outside the split of a protected image, in one that ranks below it."""
    return policy.rank(copy.split) > policy.rank(protected.split)


def bytes_pairs(
    policy: GuardPolicy, images: Iterable[Seen], protected: Iterable[Seen]
) -> Iterator[Pair]:
    """Pairs of equal bytes."""
    copies = list(images)
    blobs = {copy.blob for copy in copies}
    by_blob = _by_blob(seen for seen in protected if seen.blob in blobs)
    for copy in copies:
        for seen in by_blob.get(copy.blob, ()) if copy.blob is not None else ():
            if is_leak(policy, copy, seen):
                yield Pair(copy, seen, BYTES, 0.0, BYTES_METHOD)


class PixelPairs:
    """Pairs that only pixels tell: `pixels`, whose pixels are equal, and `near`, of near hashes.

    What is derived from the images comes from the cache of the repository, or is kept there.
    `unchecked` gathers the keys of images that are not here, or cannot be decoded. With `kept_only`
    nothing is computed. `threshold` goes before that of the policy.
    """

    def __init__(
        self,
        repo: Repository,
        objects: ObjectReader,
        policy: GuardPolicy,
        detectors: Sequence[str],
        progress: Progress,
        *,
        threshold: float | None = None,
        kept_only: bool = False,
    ) -> None:
        self._folder = repo.folder / "cache" / "derived"
        self._objects = objects
        self._policy = policy
        self._detectors = [name for name in detectors if name in _METHOD_OF]
        self._threshold = policy.thresholds.get(NEAR) if threshold is None else threshold
        self._kept_only = kept_only
        self._progress = progress
        self.unchecked: set[str] = set()

    def find(self, images: Sequence[Seen], protected: Sequence[Seen]) -> Iterator[Pair]:
        """The pairs of images with protected ones that rank above them."""
        if not (images and protected and self._detectors):
            return
        copies, kept = _by_blob(images), _by_blob(protected)
        values = self._values([*kept, *copies], (*images, *protected))
        if PIXELS in values:
            for a, b in _equal(values[PIXELS], copies, kept):
                yield from self._pairs(copies[a], kept[b], PIXELS, 0.0, str(values[PIXELS].method))
        if NEAR in values:
            method = str(values[NEAR].method)
            for a, b, distance in _near(values[NEAR], copies, kept, self._threshold):
                yield from self._pairs(copies[a], kept[b], NEAR, distance, method)

    def _values(self, blobs: Sequence[bytes], images: Iterable[Seen]) -> dict[str, Values]:
        """The values of each detector; images without one are noted as unchecked."""
        from voyager.derived.cache import DerivedCache
        from voyager.derived.registry import METHODS

        methods = {name: METHODS[_METHOD_OF[name]] for name in self._detectors}
        cache = DerivedCache(self._folder)
        if self._kept_only:
            values = {name: cache.known(method, blobs) for name, method in methods.items()}
        else:
            wanted = list(methods.values())
            found = cache.compute_all(wanted, blobs, self._read, progress=self._progress)
            values = {name: found[method.name] for name, method in methods.items()}
        lacking = {blob for one in values.values() for blob in (*one.missing, *one.failed)}
        self.unchecked.update(
            seen.key for seen in images if seen.blob is None or seen.blob in lacking
        )
        return values

    def _read(self, ids: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        promised = elsewhere(self._objects, ids)
        for blob in ids:
            if blob in promised:
                yield blob, None
                continue
            try:
                yield blob, self._objects.get(blob, Kind.BLOB)
            except NotFoundError:
                yield blob, None  # purged, or elsewhere

    def _pairs(
        self, copies: Sequence[Seen], kept: Sequence[Seen], kind: str, distance: float, method: str
    ) -> Iterator[Pair]:
        for copy in copies:
            for protected in kept:
                if copy.key != protected.key and is_leak(self._policy, copy, protected):
                    yield Pair(copy, protected, kind, distance, method)


def _by_blob(images: Iterable[Seen]) -> dict[bytes, list[Seen]]:
    found: dict[bytes, list[Seen]] = {}
    for seen in images:
        if seen.blob is not None:
            found.setdefault(seen.blob, []).append(seen)
    return found


_Images = Mapping[bytes, Sequence[Seen]]


def _equal(values: Values, copies: _Images, kept: _Images) -> Iterator[tuple[bytes, bytes]]:
    """(blob of a copy, blob of a protected image) of equal values."""
    import numpy as np

    asked, known = _of(values, copies), _of(values, kept)
    both = np.intersect1d(_beginnings(asked), _beginnings(known))
    if len(both):  # else there is no need to make objects of all values
        copied, by_value = (
            _blobs_by_value(side, np.isin(_beginnings(side), both)) for side in (asked, known)
        )
        for value, blobs in copied.items():
            for blob in blobs:
                for other in by_value.get(value, ()):
                    yield blob, other


def _beginnings(values: Values) -> NDArray[np.uint64]:
    """The first 8 bytes of each value, as a number."""
    import numpy as np

    return np.ascontiguousarray(values.matrix[:, :8]).view(np.uint64).ravel()


def _blobs_by_value(values: Values, wanted: NDArray[np.bool_]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for place in wanted.nonzero()[0].tolist():
        found.setdefault(values.matrix[place].tobytes(), []).append(values.ids[place])
    return found


def _near(
    values: Values, copies: _Images, kept: _Images, threshold: float | None
) -> Iterator[tuple[bytes, bytes, float]]:
    """The same with their distance, of hashes that are near, as they are or mirrored."""
    from voyager.derived.near import NEAR_DISTANCE, featureless, near_pairs

    plain = set(featureless(values))
    for blob in copies:
        if blob in kept and blob not in plain:
            yield blob, blob, 0.0
    most = NEAR_DISTANCE if threshold is None else int(threshold)
    asked, known = _of(values, copies), _of(values, kept)
    if len(asked) <= len(known):
        for pair in near_pairs(asked, known, most=most):
            yield pair.query, pair.known, float(pair.distance)
    else:  # a mirror works both ways, and few queries are quicker than many
        for pair in near_pairs(known, asked, most=most):
            yield pair.known, pair.query, float(pair.distance)


def _of(values: Values, images: _Images) -> Values:
    """The values of some of the images."""
    places = [place for place, blob in enumerate(values.ids) if blob in images]
    ids = [values.ids[place] for place in places]
    return replace(values, ids=ids, failed=[], missing=[], _values=values.matrix[places])
