"""Auditing a whole version: every pair of a protected image and one that lies elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from voyager.repo.dataset import Dataset
from voyager.repo.guard_images import Seen, seen_of
from voyager.repo.guard_pairs import Pair, PixelPairs, bytes_pairs
from voyager.repo.guard_policy import check_detector, check_threshold, is_released, read_policy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema.guard import BYTES, DETECTORS
from voyager.store import bulk

State: TypeAlias = Literal["leak", "held", "released"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A pair: `a` lies outside the split of the protected `b`; of several kinds it has the surest.

    It leaks unless `a` is held, or somebody let the pair go.
    """

    a: str
    b: str
    kind: str
    distance: float
    a_split: str | None
    b_split: str | None
    state: State

    def as_json(self) -> dict[str, Any]:
        """As `vgr guard check --json` lists it."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Audit:
    """What was found, by the key of the protected image; `unchecked` could not be looked at."""

    protected: int
    samples: int
    findings: list[Finding] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def leaks(self) -> list[Finding]:
        """The pairs that leak."""
        return [finding for finding in self.findings if finding.state == "leak"]


def audit(
    repo: Repository,
    version: Dataset,
    *,
    detectors: Sequence[str] | None = None,
    threshold: float | None = None,
    progress: Progress = no_progress,
) -> Audit:
    """Compare all protected images of a version with all others.

    `detectors` and `threshold` go before those of the policy, also where it is off. Raises
    UsageError for a detector that there is none of, and a bad threshold.
    """
    if threshold is not None:
        check_threshold(threshold)
    policy = read_policy(version)
    chosen = policy.detectors or DETECTORS
    if detectors is not None:
        chosen = tuple(name for name in DETECTORS if name in set(map(check_detector, detectors)))
    with bulk.paused_gc():
        images = [seen_of(key, row) for key, row in version.rows(SAMPLES)]
    protected = [seen for seen in images if policy.rank(seen.split) < len(policy.protected)]
    others = [seen for seen in images if policy.rank(seen.split) > 0]
    found = Audit(len(protected), len(images))
    pairs: list[Pair] = []
    if BYTES in chosen:
        pairs += bytes_pairs(policy, others, protected)
    by_pixels = PixelPairs(repo, version.objects, policy, chosen, progress, threshold=threshold)
    pairs += by_pixels.find(others, protected)
    found.unchecked = sorted(by_pixels.unchecked)
    found.findings = _findings(version, pairs)
    return found


def _findings(version: Dataset, pairs: Iterable[Pair]) -> list[Finding]:
    surest: dict[tuple[str, str], Pair] = {}
    for pair in pairs:  # the surest detector comes first
        surest.setdefault((pair.protected.key, pair.copy.key), pair)
    return [_finding(version, pair) for _, pair in sorted(surest.items())]


def _finding(version: Dataset, pair: Pair) -> Finding:
    copy, protected = pair.copy, pair.protected
    return Finding(
        copy.key,
        protected.key,
        pair.kind,
        pair.distance,
        copy.split,
        protected.split,
        _state(version, copy, protected, pair.kind),
    )


def _state(version: Dataset, copy: Seen, protected: Seen, kind: str) -> State:
    if is_released(version, copy.uid, protected.uid, kind):
        return "released"
    return "leak" if copy.held is None else "held"
