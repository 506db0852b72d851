"""Merging the labels of one sample or region: each task and source by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from voyager.merge.fields import UNDECIDED, decide, merge_order, merge_origin, rank
from voyager.merge.rules import Rules
from voyager.schema import Label
from voyager.schema.fields import label_slot

Labels = tuple[Label, ...]
Slot = tuple[str, ...]
Report = Callable[[Slot, Label | None, Sequence[Label | None]], None]
"""Called with the slot of a conflict, the label of the base, and those of the sides."""


def merge_labels(base: Labels, sides: Sequence[Labels], rules: Rules, report: Report) -> Labels:
    """What the sides make of the labels of the base; a slot in conflict keeps the base's."""
    whole = decide(base, sides)
    if whole is not UNDECIDED:
        return tuple(whole)
    many = rules.many
    old = slots_of(base, many)
    news = [slots_of(side, many) for side in sides]
    found: dict[Slot, Label] = {}
    for slot in dict.fromkeys(slot for labels in (old, *news) for slot in labels):
        before, values = old.get(slot), [new.get(slot) for new in news]
        label = merge_label(before, values, rules)
        if label is UNDECIDED:
            report(slot, before, values)
            label = before
        if label is not None:
            found[slot] = label
    return tuple(found[slot] for slot in merge_order(old, news, found))


def slots_of(labels: Labels, many: frozenset[str]) -> dict[Slot, Label]:
    """Labels by slot; what stands twice in one (which is a violation) is numbered."""
    found: dict[Slot, Label] = {}
    for label in labels:
        slot = label_slot(label, many=label.task in many)
        if slot in found:
            slot = next(s for n in range(2, 1 << 20) if (s := (*slot, f"+{n}")) not in found)
        found[slot] = label
    return found


def merge_label(base: Label | None, sides: Sequence[Label | None], rules: Rules) -> Any:
    """One label (or None) that the sides make of one, UNDECIDED where they part."""
    choice = decide(base, sides)
    if choice is not UNDECIDED:
        return choice
    voices = [None if side is None else _said(side) for side in sides]
    before = None if base is None else _said(base)
    choice = decide(before, voices)
    if choice is UNDECIDED:
        changed = [voice for voice in voices if voice != before]
        choice = _reconciled(before, changed, rules)
    if choice is UNDECIDED or choice is None:
        return choice
    return _with_origin(choice, base, [side for side in sides if side is not None])


def _said(label: Label) -> Label:
    """A label without what is no part of what it says."""
    return label if label.origin is None else label.replace(origin=None)


def _value(label: Label) -> tuple[Any, ...]:
    return (label.node, label.value, label.ordinal, label.language)


def _reconciled(base: Label | None, changed: Sequence[Label | None], rules: Rules) -> Any:
    """The one label that different changes can be read as."""
    said = [label for label in changed if label is not None]
    if len(said) < len(changed):
        return UNDECIDED  # one side took it out
    if len({_value(label) for label in said}) == 1:
        if base is None:
            return _strongest(said)
        return _payload(base, said) if _value(base) == _value(said[0]) else UNDECIDED
    return _refined(base, said, rules)


def _strongest(said: Sequence[Label]) -> Any:
    """Of one answer given twice anew: the firmer state, unless one side rejects it."""
    states = {label.state for label in said}
    if len(states) > 1 and "rejected" not in states:
        best = min(rank(label) for label in said)
        said = [label for label in said if rank(label) == best]
    return said[0] if all(label == said[0] for label in said) else UNDECIDED


def _payload(base: Label, said: Sequence[Label]) -> Any:
    """Score and state of one answer, each by itself."""
    score = decide(base.score, [label.score for label in said])
    state = decide(base.state, [label.state for label in said])
    unknown = decide(base.unknown, [label.unknown for label in said])
    if score is UNDECIDED or state is UNDECIDED or unknown is UNDECIDED:
        return UNDECIDED
    return base.replace(score=score, state=state, unknown=unknown)


def _refined(base: Label | None, said: Sequence[Label], rules: Rules) -> Any:
    """The deepest class, where all sides went down one way of the tree."""
    nodes = [label.node for label in said if label.node is not None]
    if len(nodes) < len(said):
        return UNDECIDED
    above = None if base is None else base.node
    node = rules.deepest(said[0].task, sorted(set(nodes)), above)
    if node is None:
        return UNDECIDED
    deep = [label for label in said if label.node == node]
    return _strongest(deep) if len(deep) > 1 else deep[0]


def _with_origin(label: Label, base: Label | None, sides: Sequence[Label]) -> Label:
    origins = [side.origin for side in sides if _value(side) == _value(label)]
    before = base.origin if base is not None and _value(base) == _value(label) else None
    origin = merge_origin(before, origins)
    return label if origin == label.origin else label.replace(origin=origin)
