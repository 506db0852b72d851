"""Finding pairs of a copy and a protected image: by equal bytes, equal pixels, or their looks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from voyager.repo.deriving import derived_cache, image_reader
from voyager.repo.guard_images import Seen
from voyager.repo.repository import Progress, Repository
from voyager.schema.guard import BYTES, NEAR, PIXELS, GuardPolicy
from voyager.store.objects import ObjectReader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from voyager.derived.cache import DerivedCache, Values

BYTES_METHOD: Final = "bytes 1"

_METHOD_OF: Final = {PIXELS: "pixels", NEAR: "sketch"}
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
    """Pairs that only pixels tell: `pixels`, whose pixels are equal, and `near`, that look alike.

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
        self._repo = repo
        self._read = image_reader(objects)
        self._policy = policy
        self._detectors = [name for name in detectors if name in _METHOD_OF]
        self._threshold = policy.thresholds.get(NEAR) if threshold is None else threshold
        self._kept_only = kept_only
        self._progress = progress
        self.unchecked: set[str] = set()

    @cached_property
    def _cache(self) -> DerivedCache:
        return derived_cache(self._repo)

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
            yield from self._near(values[NEAR], copies, kept)

    def _near(self, values: Values, copies: _Images, kept: _Images) -> Iterator[Pair]:
        from voyager.derived.near import NEAR_DISTANCE, NEAR_METHOD, featureless, near_pairs

        plain = set(featureless(values))
        for blob in copies:
            if blob in kept and blob not in plain:
                yield from self._pairs(copies[blob], kept[blob], NEAR, 0.0, NEAR_METHOD)
        most = NEAR_DISTANCE if self._threshold is None else self._threshold
        both = _of(values, copies), _of(values, kept)
        found = near_pairs(*both, self._likenesses, most=most, progress=self._progress)
        for pair in found.pairs:
            a, b = copies[pair.query], kept[pair.known]
            yield from self._pairs(a, b, NEAR, float(pair.distance), NEAR_METHOD)
        unseen = (seen.key for blob in found.unseen for seen in _all(blob, copies, kept))
        self.unchecked.update(unseen)

    def _likenesses(self, blobs: Sequence[bytes]) -> Values:
        from voyager.derived.registry import METHODS

        method = METHODS["likeness"]
        if self._kept_only:
            return self._cache.known(method, blobs)
        return self._cache.compute(method, blobs, self._read)

    def _values(self, blobs: Sequence[bytes], images: Iterable[Seen]) -> dict[str, Values]:
        """The values of each detector; images without one are noted as unchecked."""
        from voyager.derived.registry import METHODS

        methods = {name: METHODS[_METHOD_OF[name]] for name in self._detectors}
        if self._kept_only:
            values = {name: self._cache.known(method, blobs) for name, method in methods.items()}
        else:
            wanted = list(methods.values())
            found = self._cache.compute_all(wanted, blobs, self._read, progress=self._progress)
            values = {name: found[method.name] for name, method in methods.items()}
        lacking = {blob for one in values.values() for blob in (*one.missing, *one.failed)}
        self.unchecked.update(
            seen.key for seen in images if seen.blob is None or seen.blob in lacking
        )
        return values

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


def _all(blob: bytes, *sides: _Images) -> Iterator[Seen]:
    return (seen for side in sides for seen in side.get(blob, ()))


def _of(values: Values, images: _Images) -> Values:
    """The values of some of the images."""
    places = [place for place, blob in enumerate(values.ids) if blob in images]
    ids = [values.ids[place] for place in places]
    return replace(values, ids=ids, failed=[], missing=[], _values=values.matrix[places])
