"""The guard's policy in a version: read, changed in the staging area, and the pairs let go.

Releases are rows of their own, one for each pair, in the space of the policy: they are versioned
and merged with the dataset, two people who let go different pairs never conflict, and a sample
whose `held` is gone says no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import POLICIES
from voyager.repo.staging import RowChange
from voyager.schema.guard import DETECTORS, GUARD_ACTIONS, GuardAction, GuardPolicy, Release
from voyager.schema.guard_rows import (
    GUARD_KEY,
    decode_policy,
    decode_release,
    encode_policy,
    encode_release,
    release_key,
)
from voyager.schema.values import BadValueError

DEFAULT_POLICY = GuardPolicy()
_FARTHEST = 100


def read_policy(version: Dataset) -> GuardPolicy:
    """The policy of a version; the default one where nobody set any."""
    row = version.row(POLICIES, GUARD_KEY)
    return DEFAULT_POLICY if row is None else decode_policy(row)


def policy_change(policy: GuardPolicy) -> RowChange:
    """The row that sets a policy; the default one needs none."""
    return POLICIES, GUARD_KEY, None if policy == DEFAULT_POLICY else encode_policy(policy)


def is_released(version: Dataset, uid: bytes, protected: bytes, kind: str) -> bool:
    """Whether somebody let go this pair of a copy and a protected sample."""
    row = version.row(POLICIES, release_key(uid, protected))
    return row is not None and decode_release(row).covers(kind)


def release_changes(pairs: Iterable[tuple[bytes, bytes, str]]) -> list[RowChange]:
    """The rows that let go pairs of (uid of the copy, uid of the protected sample, kind)."""
    return [
        (POLICIES, release_key(uid, protected), encode_release(Release(kind=kind)))
        for uid, protected, kind in pairs
    ]


def set_policy(
    repo: Repository,
    *,
    action: GuardAction | None = None,
    actions: Mapping[str, GuardAction] | None = None,
    detectors: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    protect: Sequence[str] | None = None,
    off: bool | None = None,
    reset: bool = False,
) -> tuple[GuardPolicy, GuardPolicy]:
    """Stage changes of the policy, from the default one with `reset`: it before and after.

    Raises UsageError for a detector or action that there is none of, and a bad threshold.
    """
    from voyager.repo.staged_edit import StagedEdit

    _check(actions or {}, detectors or (), thresholds or {})
    with StagedEdit(repo, "guard", "set") as edit:
        before = read_policy(edit.version)
        base = DEFAULT_POLICY if reset else before
        given = {
            "action": action,
            "actions": None if actions is None else {**base.actions, **actions},
            "detectors": None if detectors is None else tuple(detectors),
            "thresholds": None if thresholds is None else {**base.thresholds, **thresholds},
            "protect": None if protect is None else tuple(protect),
            "off": off,
        }
        try:
            after = base.replace(**{name: it for name, it in given.items() if it is not None})
        except BadValueError as error:
            raise UsageError(error.message, hint="vgr guard set --help") from None
        edit.put_policies([policy_change(after)])
    return before, after


def _check(
    actions: Mapping[str, GuardAction], detectors: Sequence[str], thresholds: Mapping[str, float]
) -> None:
    for name in (*actions, *detectors, *thresholds):
        check_detector(name)
    for word in actions.values():
        check_action(word)
    for name, number in thresholds.items():
        if name != DETECTORS[-1]:
            raise UsageError(f"detector '{name}' has no threshold", hint="only near has one")
        check_threshold(number)


def check_threshold(number: float) -> None:
    """UsageError for a distance that no two images are at."""
    if not 0 <= number <= _FARTHEST:
        raise UsageError(
            f"a threshold is a distance from 0 to {_FARTHEST}, not {number:g}",
            hint="vgr guard show says which holds",
        )


def check_detector(name: str) -> str:
    """The name of a detector; UsageError with a near miss."""
    return _known(name, DETECTORS, "detector")


def check_action(name: str) -> GuardAction:
    """The name of an action; UsageError with a near miss."""
    _known(name, GUARD_ACTIONS, "action")
    return next(action for action in GUARD_ACTIONS if action == name)


def _known(name: str, names: Sequence[str], what: str) -> str:
    if name not in names:
        near = get_close_matches(name, names, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"{what}s are {', '.join(names)}"
        raise UsageError(f"no {what} '{name}'", hint=hint)
    return name
