"""The guard: keeps images of protected splits (the test set) out of every other split.

It compares what is new in a version with what is protected, and the other way round, and decides
what becomes of each copy. It is a second step after a merge or import, which reads no history: its
decisions are recorded (`guard_decisions`) and applied, never made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from voyager.errors import StateError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import ChangedRow, changed_rows
from voyager.repo.guard_decisions import Decision, apply_decisions
from voyager.repo.guard_images import Seen, images_with, members_of, seen_of
from voyager.repo.guard_offers import Offer, offer_of
from voyager.repo.guard_pairs import Pair, PixelPairs, bytes_pairs
from voyager.repo.guard_policy import is_released, read_policy
from voyager.repo.keys import shown
from voyager.repo.protected import Protected, ProtectedCache
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import RowChange
from voyager.schema.guard import BYTES, DETECTORS, GuardAction, GuardPolicy
from voyager.store import bulk

Stage: TypeAlias = Literal["add", "commit", "import", "merge"]
"""What brings a version about; the first two read no pixels and drop nothing."""

_BRINGING: tuple[Stage, ...] = ("import", "merge")


@dataclass(slots=True)
class Review:
    """What the guard decided of a version, the rows that this changes, and what it could not see.

    `unchecked` are keys of images whose pixels are not here. `offers` are what dropped copies say
    that the protected sample does not, by the key of the copy.
    """

    decisions: list[Decision] = field(default_factory=list)
    changes: list[RowChange] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    offers: dict[str, Offer] = field(default_factory=dict)
    protected: int = 0
    """How many images are protected; of none there is nothing to guard."""

    def done(self, action: GuardAction) -> list[Decision]:
        """The decisions of one action, in key order."""
        return [decision for decision in self.decisions if decision.action == action]

    def as_json(self) -> dict[str, Any]:
        """As `guard` in the JSON of merge and import."""
        words = {"dropped": "drop", "held": "hold", "moved": "move", "warned": "warn"}
        found = {
            name: [one.as_json() for one in self.decisions if one.action == action]
            for name, action in words.items()
        }
        return {**found, "unchecked": self.unchecked}


def review(
    repo: Repository,
    before: Dataset,
    after: Dataset,
    *,
    stage: Stage,
    changed: Iterable[ChangedRow] | None = None,
    known_blobs: Callable[[Iterable[bytes]], set[bytes]] | None = None,
    take_labels: bool = False,
    progress: Progress = no_progress,
) -> Review:
    """Compare what `after` has and `before` had not with what is protected, and decide.

    The policy is that of `after`. Only images directly paired with a protected one are acted on,
    with the samples of their group. `changed` are the samples whose rows differ, where somebody has
    them at hand. `known_blobs` tells, where somebody knows it, which of new images may be in
    `before`. Reads rows and images, changes nothing. Raises StateError where the policy says that a
    copy is an error.
    """
    policy = read_policy(after)
    used = policy.used_detectors
    detectors = used if stage in _BRINGING else tuple(name for name in used if name == BYTES)
    if not detectors:
        return Review()
    cache = ProtectedCache(repo.folder)
    cache.images_of(_stored(repo, before), policy)  # kept, and `after` is near it
    rows = None if changed is None else list(changed)
    images = cache.images_of(after, policy, since=before, changed=rows)
    if not images:
        return Review()
    found = Review(protected=len(images))
    with bulk.paused_gc():
        arrived = _Arrived(policy, changed_rows(before, after, SAMPLES) if rows is None else rows)
    pairs: list[Pair] = []
    if BYTES in detectors:
        pairs += _byte_copies(policy, after, arrived, images, known_blobs)
    if detectors != (BYTES,):
        by_pixels = PixelPairs(repo, after.objects, policy, detectors, progress)
        pairs += _pixel_copies(after, arrived, images, by_pixels)
        found.unchecked = sorted(by_pixels.unchecked)
    decide = _Decide(policy, after, arrived, stage, take_labels=take_labels)
    found.decisions = decide.decisions(pairs)
    _refuse(found.decisions)
    found.changes = apply_decisions(after, found.decisions)
    found.offers = _offers(after, found.decisions)
    return found


def brings_images(policy: GuardPolicy, changed: Iterable[ChangedRow]) -> bool:
    """Whether changed samples have an image or split that was not there before."""
    return bool(_Arrived(policy, changed).new)


def _stored(repo: Repository, version: Dataset) -> Dataset:
    """A version without its overlay, as one of the store where it is in it."""
    root = version.roots.get(SAMPLES)
    here = root is None or root in repo.store
    return Dataset(repo.store if here else version.objects, version.roots)


class _Arrived:
    """What is new in a version: samples whose image or split was not there before.

    `brought` are the uids of those that were not there at all.
    """

    def __init__(self, policy: GuardPolicy, changed: Iterable[ChangedRow]) -> None:
        self.new: list[Seen] = []
        come: set[bytes] = set()
        gone: set[bytes] = set()
        for key, old, new in changed:
            was = None if old is None else seen_of(key, old)
            now = None if new is None else seen_of(key, new)
            if was is not None:
                gone.add(was.uid)
            if now is None or (was is not None and _alike(was, now)):
                continue
            self.new.append(now)
            if was is None:
                come.add(now.uid)
        self.brought = come - gone
        top = len(policy.protected)
        self.new_protected = [seen for seen in self.new if policy.rank(seen.split) < top]
        self.keys = {seen.key for seen in self.new}


def _alike(was: Seen, now: Seen) -> bool:
    """Whether an edit left alone what the guard looks at."""
    return (was.uid, was.blob, was.split, was.stored) == (now.uid, now.blob, now.split, now.stored)


def _byte_copies(
    policy: GuardPolicy,
    after: Dataset,
    arrived: _Arrived,
    images: Protected,
    known_blobs: Callable[[Iterable[bytes]], set[bytes]] | None,
) -> Iterator[Pair]:
    """Pairs of equal bytes: of what is new with the protected, and of new protected with the rest.

    The second costs a pass over the rows, where a new protected image may have been there before.
    """
    yield from bytes_pairs(policy, arrived.new, images.rows.values())
    blobs = {seen.blob for seen in arrived.new_protected if seen.blob is not None}
    wanted = blobs if known_blobs is None or not blobs else known_blobs(blobs)
    rest = [seen for seen in images_with(after, wanted) if seen.key not in arrived.keys]
    yield from bytes_pairs(policy, rest, arrived.new_protected)


def _pixel_copies(
    after: Dataset, arrived: _Arrived, images: Protected, by_pixels: PixelPairs
) -> Iterator[Pair]:
    """Pairs that pixels tell, of what `_byte_copies` compares."""
    if arrived.new:
        yield from by_pixels.find(arrived.new, list(images.rows.values()))
    if arrived.new_protected:
        rows = (seen_of(key, row) for key, row in after.rows(SAMPLES))
        rest = [seen for seen in rows if seen.key not in arrived.keys]
        yield from by_pixels.find(rest, arrived.new_protected)


class _Decide:
    """Makes one decision of each sample: of its surest and closest pair."""

    def __init__(
        self,
        policy: GuardPolicy,
        after: Dataset,
        arrived: _Arrived,
        stage: Stage,
        *,
        take_labels: bool,
    ) -> None:
        self._policy = policy
        self._after = after
        self._brought = arrived.brought
        self._stage = stage
        self._take_labels = take_labels

    def decisions(self, pairs: Iterable[Pair]) -> list[Decision]:
        """The decisions in key order; none of samples that are held, and of pairs let go."""
        best: dict[str, Pair] = {}
        for pair in pairs:
            copy, protected = pair.copy, pair.protected
            if copy.held is not None or is_released(
                self._after, copy.uid, protected.uid, pair.kind
            ):
                continue
            known = best.get(copy.key)
            if known is None or _closeness(pair) < _closeness(known):
                best[copy.key] = pair
        of_groups = self._groups(best)
        found = [self._decision(pair.copy, pair, paired=True) for pair in best.values()]
        found += [self._decision(seen, pair, paired=False) for seen, pair in of_groups]
        return sorted(found, key=lambda decision: decision.key)

    def _groups(self, best: dict[str, Pair]) -> list[tuple[Seen, Pair]]:
        """The other samples of the groups of copies, each with the pair that it goes with."""
        by_group: dict[str, Pair] = {}
        for pair in best.values():
            group = pair.copy.group
            if group is not None:
                known = by_group.get(group)
                if known is None or _closeness(pair) < _closeness(known):
                    by_group[group] = pair
        found = []
        for seen in members_of(self._after, by_group.keys()):
            pair = by_group[str(seen.group)]
            rank = self._policy.rank(pair.protected.split)
            if (
                seen.key not in best
                and seen.held is None
                and self._policy.rank(seen.split) > rank
                and not is_released(self._after, seen.uid, pair.protected.uid, pair.kind)
            ):
                found.append((seen, pair))
        return found

    def _decision(self, seen: Seen, pair: Pair, *, paired: bool) -> Decision:
        action = self._action(seen, pair)
        return Decision(
            key=seen.key,
            uid=seen.uid,
            split=seen.split,
            protected_key=pair.protected.key,
            protected_uid=pair.protected.uid,
            protected_split=str(pair.protected.split),
            kind=pair.kind,
            distance=pair.distance,
            method=pair.method,
            action=action,
            paired=paired,
            took=self._take_labels and paired and action == "drop",
        )

    def _action(self, seen: Seen, pair: Pair) -> GuardAction:
        bringing = self._stage in _BRINGING
        brought = bringing and seen.group is None and seen.uid in self._brought
        action = self._policy.action_on(pair.kind, brought=brought)
        return "hold" if action == "drop" and not bringing else action


def _closeness(pair: Pair) -> tuple[int, float, str]:
    return DETECTORS.index(pair.kind), pair.distance, pair.protected.key


def _refuse(decisions: list[Decision]) -> None:
    """StateError naming the first copy that the policy calls an error."""
    wrong = [decision for decision in decisions if decision.action == "error"]
    if wrong:
        first = wrong[0]
        more = f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
        raise StateError(
            f"the guard refuses '{shown(first.key)}': a copy of '{shown(first.protected_key)}' in"
            f" {first.protected_split} ({first.kind}){more}",
            hint="leave it out, or vgr guard set --action hold",
        )


def _offers(after: Dataset, decisions: list[Decision]) -> dict[str, Offer]:
    """What dropped copies say that the protected samples do not."""
    found: dict[str, Offer] = {}
    for decision in decisions:
        copy, kept = after.get(decision.key), after.get(decision.protected_key)
        if decision.action == "drop" and copy is not None and kept is not None:
            offer = offer_of(after.vocabulary, copy, kept)
            if offer:
                found[decision.key] = offer
    return found
