"""The guard in words and JSON: its policy, what it decided, what is held, and what is offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.errors import UsageError
from voyager.repo.guard_policy import check_action, check_detector
from voyager.schema import Label
from voyager.schema.guard import BYTES, NEAR, PIXELS, GuardAction, GuardPolicy
from voyager.schema.vocabulary import Vocabulary

if TYPE_CHECKING:
    from voyager.repo.guard import Review
    from voyager.repo.guard_check import Finding
    from voyager.repo.guard_decisions import Decision
    from voyager.repo.guard_held import HeldSample
    from voyager.repo.guard_offers import Offer

_MOST = 10
_KINDS = {BYTES: "same bytes as", PIXELS: "same pixels as", NEAR: "near", "semantic": "like"}
_DONE: Sequence[tuple[GuardAction, str]] = (
    ("drop", "dropped"),
    ("move", "moved into the protected split"),
    ("warn", "left, though copies of protected images"),
    ("hold", "held"),
)
_DEFAULT_ACTION = "drop what is brought in with equal bytes or pixels, hold all else"


def read_actions(words: Sequence[str]) -> tuple[GuardAction | None, dict[str, GuardAction]]:
    """The action of `A`, and those of `DETECTOR=A`; UsageError for others."""
    action: GuardAction | None = None
    by_detector: dict[str, GuardAction] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            by_detector[check_detector(name)] = check_action(value)
        elif action is not None:
            raise UsageError(
                "--action is given twice", hint="--action near=warn is of one detector"
            )
        else:
            action = check_action(word)
    return action, by_detector


def policy_json(policy: GuardPolicy) -> dict[str, Any]:
    """The policy as it holds; `action` is null for the default, `threshold` the detector's own."""
    from voyager.derived.near import NEAR_DISTANCE

    return {
        "action": policy.action,
        "actions": dict(policy.actions),
        "detectors": list(policy.used_detectors),
        "threshold": policy.thresholds.get(NEAR, NEAR_DISTANCE),
        "protect": list(policy.protected),
        "off": policy.off,
    }


def policy_lines(policy: GuardPolicy, protected: int | None = None) -> Iterator[str]:
    """The policy, a line for each part; with `protected`, how many images there are."""
    value = policy_json(policy)
    if policy.off:
        yield "the guard is off: vgr guard set --on"
    count = "" if protected is None else f" ({counted(protected, 'image')})"
    yield f"protected:  {', '.join(policy.protected)}{count}"
    if protected == 0:
        yield "            no sample is in a protected split: there is nothing to guard"
    single = "".join(f", {name}={action}" for name, action in policy.actions.items())
    yield f"action:     {policy.action or _DEFAULT_ACTION}{single}"
    near = f" (near: {value['threshold']:g} of 100)" if NEAR in value["detectors"] else ""
    yield f"detectors:  {', '.join(value['detectors']) or 'none'}{near}"


def held_json(one: HeldSample) -> dict[str, Any]:
    """A held sample; `protected` is null where what it is close to is no longer there."""
    return {
        "key": one.key,
        "split": one.split,
        "protected": one.protected,
        "kind": one.held.kind,
        "distance": one.held.distance,
        "method": one.held.method,
    }


def held_line(one: HeldSample) -> str:
    """`train/7.jpg: near test/3.jpg (distance 12)`."""
    other = "a protected sample that is gone" if one.protected is None else quoted(one.protected)
    like = like_text(one.held.kind, other, one.held.distance, one.held.method)
    return f"{quoted(one.key)}: {like}"


def finding_line(finding: Finding) -> str:
    """`leak      train/7.jpg (train): near test/3.jpg (distance 12)`."""
    like = like_text(finding.kind, quoted(finding.b), finding.distance)
    return f"{finding.state:<8}  {quoted(finding.a)} ({finding.a_split or 'no split'}): {like}"


def like_text(kind: str, other: str, distance: float, method: str = "") -> str:
    """`near test/3.jpg (distance 12)`."""
    hashed = method.startswith("phash ")  # before images were laid over each other
    size = f"{distance:g} bits" if hashed else f"distance {distance:g}"
    far = "" if kind in (BYTES, PIXELS) else f" ({size})"
    return f"{_KINDS.get(kind, kind)} {other}{far}"


def review_lines(found: Review | None) -> Iterator[str]:
    """What the guard did, a line for each sample, and what to do about it."""
    if found is None:
        return
    yield from decision_lines(found.decisions)
    if found.done("hold"):
        yield '  (use "vgr guard release KEY..." or "vgr guard drop KEY...")'
    if found.unchecked:
        yield f"guard: unchecked, not here: {counted(len(found.unchecked), 'image')}"


def decision_lines(decisions: Sequence[Decision]) -> Iterator[str]:
    """What the guard decided, a line for each sample."""
    for action, word in _DONE:
        done = [one for one in decisions if one.action == action]
        if done:
            yield f"guard: {word}: {counted(len(done), 'sample')}"
            yield from _lines(done)


def _lines(decisions: Sequence[Decision]) -> Iterator[str]:
    for one in decisions[:_MOST]:
        like = like_text(one.kind, quoted(one.protected_key), one.distance, one.method)
        group = "" if one.paired else ", by its group"
        yield f"  {quoted(one.key)}: {like}{group}"
    if len(decisions) > _MOST:
        yield f"  … and {len(decisions) - _MOST:,} more"


def offer_lines(
    vocabulary: Vocabulary, offers: Mapping[str, Offer], *, took: bool, flag: str = "--take-labels"
) -> Iterator[str]:
    """What copies say that the samples that are kept do not; `flag` is what takes it."""
    for key, offer in list(offers.items())[:_MOST]:
        parts = [f"{label.task}={_word(vocabulary, label)}" for label in offer.labels]
        parts += [counted(len(offer.regions), "region")] if offer.regions else []
        parts += [f"{name}={value}" for name, value in offer.meta.items()]
        if parts:
            verb = "took" if took else f"not taken ({flag})"
            yield f"{verb} of {quoted(key)}: {', '.join(parts)}"
        for theirs, ours in offer.contradicting:
            said, kept = _word(vocabulary, theirs), _word(vocabulary, ours)
            yield f"contradicted: {quoted(key)} says {theirs.task}={said}, kept is {kept}"
    if len(offers) > _MOST:
        yield f"… and {len(offers) - _MOST:,} more"


def offer_json(vocabulary: Vocabulary, key: str, offer: Offer) -> dict[str, Any]:
    """What a dropped copy says that the protected sample does not."""
    return {
        "key": key,
        "labels": [_label_json(vocabulary, label) for label in offer.labels],
        "regions": [region.id.hex() for region in offer.regions],
        "meta": dict(offer.meta),
        "contradicting": [
            {
                "task": theirs.task,
                "offered": _word(vocabulary, theirs),
                "kept": _word(vocabulary, ours),
            }
            for theirs, ours in offer.contradicting
        ],
    }


def _label_json(vocabulary: Vocabulary, label: Label) -> dict[str, Any]:
    return {"task": label.task, "value": _word(vocabulary, label), "source": label.source}


def _word(vocabulary: Vocabulary, label: Label) -> str:
    return vocabulary.word(label)
