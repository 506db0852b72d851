"""Finding what is in a version twice: the same bytes, pixels, picture, or nearly the same thing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from voyager.curate.groups import KINDS, Duplicate, Group, groups_of, star, surest
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derived_cache, image_reader
from voyager.repo.guard_images import Seen, seen_of
from voyager.repo.guard_policy import read_policy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.store import bulk

if TYPE_CHECKING:
    from voyager.derived.cache import Values
    from voyager.derived.registry import Method

USUAL: Final = KINDS[:3]
FARTHEST: Final = 100

SEMANTIC_DISTANCE: Final = 5.0
"""What the cosine of embeddings may lack of 1, in hundredths."""

MOST_ALIKE: Final = 16
"""Of semantic duplicates an image is paired with so many, the nearest."""

_METHOD_OF: Final = {"pixels": "pixels", "near": "sketch"}
"""Kind → what is derived of every image to find those; embeddings have names of their own."""

_ROWS_AT_ONCE: Final = 1024

_Keys = Mapping[bytes, Sequence[str]]
"""Image → the keys of its samples."""


@dataclass(slots=True)
class Duplicates:
    """What was found among `images` samples.

    `unchecked` are the keys of images that are not here or cannot be decoded, `plain` counts those
    that show too little to be near anything.
    """

    images: int
    pairs: list[Duplicate] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    plain: int = 0


def check_kinds(kinds: Iterable[str]) -> tuple[str, ...]:
    """The kinds that are named, the surest first; UsageError with a near miss."""
    named = set(kinds)
    for kind in sorted(named.difference(KINDS)):
        near = get_close_matches(kind, KINDS, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"kinds are {', '.join(KINDS)}"
        raise UsageError(f"no kind of duplicates '{kind}'", hint=hint)
    return tuple(kind for kind in KINDS if kind in named)


def check_threshold(threshold: float | None, kinds: Iterable[str]) -> None:
    """UsageError for a distance that no two images are at, or one of none or several kinds."""
    if threshold is None:
        return
    if not 0 <= threshold <= FARTHEST:
        raise UsageError(
            f"a threshold is a distance from 0 to {FARTHEST}, not {threshold:g}",
            hint="vgr duplicates --help",
        )
    if len(set(kinds) & {"near", "semantic"}) != 1:
        raise UsageError(
            "a threshold is about near or about semantic duplicates",
            hint=f"vgr duplicates --kind near --threshold {threshold:g}",
        )


def find_duplicates(
    repo: Repository,
    version: Dataset,
    kinds: Iterable[str] = USUAL,
    *,
    across: Sequence[str] | None = None,
    threshold: float | None = None,
    model: str | None = None,
    progress: Progress = no_progress,
) -> Duplicates:
    """Duplicates in a version, or those of one split in another with `across`.

    `threshold` is the distance of near and of semantic duplicates, `model` that of semantic ones.
    Raises UsageError for a kind that there is none of, a bad threshold, and one or a model that no
    kind asks for; NotFoundError for a split that is empty.
    """
    chosen = check_kinds(kinds)
    check_threshold(threshold, chosen)
    if model is not None and "semantic" not in chosen:
        raise UsageError(
            "a model is about semantic duplicates",
            hint=f"vgr duplicates --kind semantic --model {model}",
        )
    with bulk.paused_gc():
        images = [seen_of(key, row) for key, row in version.rows(SAMPLES)]
    if across is not None:
        images = _of_splits(images, across)
    methods = _methods_of(chosen, model)
    search = _Search(repo, version, images, methods, across is not None, threshold, progress)
    pairs = [pair for kind in chosen for pair in search.find(kind)]
    place = _Places(version)
    ordered = [_kept_first(pair, place) for pair in surest(pairs)]
    return Duplicates(
        len(images),
        ordered,
        groups_of(ordered, place),
        sorted(search.unchecked),
        len(search.plain),
    )


def _methods_of(kinds: Sequence[str], model: str | None) -> dict[str, Method]:
    """What is derived of every image to find duplicates of some kinds, by kind."""
    from voyager.derived.registry import METHODS

    found = {kind: METHODS[_METHOD_OF[kind]] for kind in kinds if kind in _METHOD_OF}
    if "semantic" in kinds:
        from voyager.derived.embeddings import DEFAULT, embedding, open_embedder

        found["semantic"] = embedding(open_embedder(model or DEFAULT))
    return found


def _of_splits(images: Sequence[Seen], across: Sequence[str]) -> list[Seen]:
    if len(set(across)) < 2:
        raise UsageError("duplicates across splits need two of them", hint="--across train,test")
    there = {seen.split for seen in images if seen.split is not None}
    hint = f"splits are {', '.join(sorted(there))}" if there else "vgr split --ratios 80/10/10"
    for name in across:
        if name not in there:
            raise NotFoundError(f"no sample is in a split '{name}'", hint=hint)
    return [seen for seen in images if seen.split in set(across)]


def _kept_first(pair: Duplicate, place: _Places) -> Duplicate:
    a, b = sorted((pair.a, pair.b), key=lambda key: (place(key), key))
    return pair._replace(a=a, b=b)


class _Places:
    """The order in which samples are kept: of a protected split, larger, with more said of them."""

    def __init__(self, version: Dataset) -> None:
        self._version = version
        self._policy = read_policy(version)
        self._places: dict[str, tuple[int, int, int]] = {}

    def __call__(self, key: str) -> tuple[int, int, int]:
        if key not in self._places:
            sample = self._version[key]
            image = sample.image
            said = len(sample.labels) + sum(1 + len(one.labels) for one in sample.regions)
            size = (image.width or 0) * (image.height or 0)
            self._places[key] = self._policy.rank(sample.split), -size, -said
        return self._places[key]


class _Search:
    """One look for duplicates; each kind is found among images of different bytes, or is bytes.

    `methods` are those of the kinds that are looked for: all are computed in one pass.
    """

    def __init__(
        self,
        repo: Repository,
        version: Dataset,
        images: Sequence[Seen],
        methods: Mapping[str, Method],
        across: bool,
        threshold: float | None,
        progress: Progress,
    ) -> None:
        self._cache = derived_cache(repo)
        self._read = image_reader(version.objects)
        self._methods = methods
        self._split_of = {seen.key: seen.split for seen in images} if across else None
        self._threshold = threshold
        self._progress = progress
        self._keys: dict[bytes, list[str]] = {}
        self.unchecked: set[str] = {seen.key for seen in images if seen.blob is None}
        self.plain: set[str] = set()
        for seen in images:
            if seen.blob is not None:
                self._keys.setdefault(seen.blob, []).append(seen.key)

    def find(self, kind: str) -> Iterator[Duplicate]:
        """The pairs of one kind."""
        if kind == "bytes":
            yield from self._equal(self._keys.values(), kind)
        elif kind == "pixels":
            yield from self._equal(self._by_pixels(), kind)
        elif kind == "near":
            yield from self._near()
        else:
            yield from self._semantic()

    def _equal(self, groups: Iterable[Sequence[str]], kind: str) -> Iterator[Duplicate]:
        for keys in groups:
            for a, b in star(keys, self._split_of):
                yield Duplicate(a, b, kind, 0.0)

    def _by_pixels(self) -> list[list[str]]:
        found: dict[bytes, list[str]] = {}
        for blob, value in self._values["pixels"]:
            found.setdefault(value, []).extend(self._keys[blob])
        return list(found.values())

    def _near(self) -> Iterator[Duplicate]:
        from voyager.derived.near import NEAR_DISTANCE, featureless, near_pairs, near_within
        from voyager.derived.registry import METHODS

        most = NEAR_DISTANCE if self._threshold is None else self._threshold
        values, likeness = self._values["near"], METHODS["likeness"]
        plain = set(featureless(values))
        self.plain.update(key for blob in plain for key in self._keys[blob])
        same = (keys for blob, keys in self._keys.items() if blob not in plain)
        yield from self._equal(same, "near")

        def likenesses(ids: Sequence[bytes]) -> Values:
            return self._cache.compute(likeness, ids, self._read)

        options: dict[str, Any] = {"most": most, "progress": self._progress}
        if self._split_of is None:
            parts = [near_within(values, likenesses, **options)]
        else:
            halves = combinations(self._by_split(values), 2)
            parts = [near_pairs(*both, likenesses, **options) for both in halves]
        for part in parts:
            self._note_unchecked(part.unseen)
            for pair in part.pairs:
                yield from self._joined(pair.query, pair.known, "near", float(pair.distance))

    def _by_split(self, values: Values) -> list[Values]:
        assert self._split_of is not None
        blobs: dict[str | None, set[bytes]] = {}
        for blob, keys in self._keys.items():
            for key in keys:
                blobs.setdefault(self._split_of[key], set()).add(blob)
        return [values.only(part) for part in blobs.values()]

    def _semantic(self) -> Iterator[Duplicate]:
        most = SEMANTIC_DISTANCE if self._threshold is None else self._threshold
        values = self._values["semantic"]
        yield from self._equal(self._keys.values(), "semantic")
        for a, b, distance in _alike(values, most, self._progress):
            yield from self._joined(a, b, "semantic", distance)

    @cached_property
    def _values(self) -> dict[str, Values]:
        """What is derived for each kind; images without a value are noted as unchecked."""
        methods = list(self._methods.values())
        found = self._cache.compute_all(methods, self._keys, self._read, progress=self._progress)
        for values in found.values():
            self._note_unchecked((*values.missing, *values.failed))
        return {kind: found[method.name] for kind, method in self._methods.items()}

    def _note_unchecked(self, blobs: Iterable[bytes]) -> None:
        self.unchecked.update(key for blob in blobs for key in self._keys[blob])

    def _joined(self, one: bytes, other: bytes, kind: str, distance: float) -> Iterator[Duplicate]:
        """Pairs of samples of two images, as few as tell all."""
        ours, theirs = self._keys[one], self._keys[other]
        if self._split_of is None:
            yield Duplicate(ours[0], theirs[0], kind, distance)
            return
        for a in _one_a_split(ours, self._split_of):
            for b in _one_a_split(theirs, self._split_of):
                if self._split_of[a] != self._split_of[b]:
                    yield Duplicate(a, b, kind, distance)


def _one_a_split(keys: Sequence[str], split_of: Mapping[str, str | None]) -> Iterable[str]:
    return {split_of[key]: key for key in reversed(keys)}.values()


def _alike(values: Values, most: float, progress: Progress) -> Iterator[tuple[bytes, bytes, float]]:
    """Each pair of images whose embeddings are near, once; of each image the nearest few."""
    import numpy as np

    from voyager.derived.embeddings import vectors

    rows, count = vectors(values), len(values)
    least = 1 - most / FARTHEST
    told: set[tuple[int, int]] = set()
    for start in range(0, count, _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        cosines = block @ rows.T
        cosines[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        for row in np.flatnonzero((cosines >= least).any(axis=1)).tolist():
            near = np.flatnonzero(cosines[row] >= least)
            near = near[np.argsort(-cosines[row, near], kind="stable")][:MOST_ALIKE]
            for other in near.tolist():
                pair = min(start + row, other), max(start + row, other)
                if pair not in told:
                    told.add(pair)
                    distance = round(max(FARTHEST * (1 - float(cosines[row, other])), 0.0), 2)
                    yield values.ids[pair[0]], values.ids[pair[1]], distance
        progress(min(start + _ROWS_AT_ONCE, count), count)
