"""Votes: what most of the sides say, with every label kept (docs/decisions/0017-votes.md).

The branches that changed a label vote; what most of them say is written where the label is, with
their share as its score. What each of them said stays beside it as a proposal, under a source that
names the branch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import structs

from voyager.merge.fields import UNDECIDED, rank
from voyager.merge.labels import Labels, Slot, slots_of
from voyager.merge.question import Question, Side, region_of_side
from voyager.schema import Label, Region, Sample
from voyager.schema.conflict import ABSENT, Terms, join_field
from voyager.schema.fields import encode_field, label_slot, region_path

if TYPE_CHECKING:
    from voyager.merge.dispute import Dispute

Part: TypeAlias = Sample | Region
Elects: TypeAlias = Callable[[str, str, Sequence[Label]], bool]
"""Whether a task is voted on, at a path, where these labels contend."""


def vote(question: Question) -> Any:
    """What more than half of the sides that changed the field say; ties stay in conflict.

    Labels are not voted on field by field but by `vote_on_labels`.
    """
    counts = Counter(question.terms.adds)
    voices = question.voices()
    if {term for _, term in voices} != {*counts}:
        return UNDECIDED
    [(term, most)] = Counter(term for _, term in voices).most_common(1)
    return question.take(term) if 2 * most > len(voices) else UNDECIDED


# -- one label ------------------------------------------------------------------------------------


def winner(said: Sequence[Label | None]) -> Any:
    """The label of most votes, with its share as score; None where most say there is none.

    UNDECIDED for a tie. Saying that an answer is wrong is a vote of its own. The winner has the
    firmest state that those who voted for it gave it.
    """
    votes: dict[Any, list[Label | None]] = {}
    for label in said:
        votes.setdefault(_opinion(label), []).append(label)
    most = max(map(len, votes.values()))
    first = [who for who in votes.values() if len(who) == most]
    if len(first) > 1:
        return UNDECIDED
    agreeing = [label for label in first[0] if label is not None]
    if not agreeing:
        return None
    best = min(agreeing, key=rank)
    return Label(
        task=best.task,
        source=best.source,
        node=best.node,
        value=best.value,
        ordinal=best.ordinal,
        language=best.language,
        state=best.state,
        score=most / len(said),
    )


def _opinion(label: Label | None) -> Any:
    """What a vote is for: two labels that say the same of an answer are one opinion."""
    if label is None:
        return None
    rejects = label.state == "rejected"
    return label.node, type(label.value), label.value, label.ordinal, label.language, rejects


def ballot(label: Label, name: str) -> Label:
    """What a branch said, as it stays beside the winner: a proposal whose source names it."""
    return structs.replace(label, source=f"{label.source}:{name}", state="proposed")


# -- all labels of a sample and its regions -------------------------------------------------------


def vote_on_labels(
    dispute: Dispute,
    sides: Sequence[Side],
    many: frozenset[str],
    elects: Elects,
    *,
    every: bool,
) -> None:
    """Vote on the labels of a sample that several sides changed: with `every` also on those that
    are in no conflict.

    `many` are the tasks of several answers: a side that changed one of them votes on all.
    """
    sample: Sample = dispute.merged
    names = [side.name for side in sides]
    poll = _Poll(dispute, names, many, elects, every)
    labels = poll.hold(None, sample, dispute.base, dispute.sides)
    regions = {
        region.id: found
        for region in sample.regions
        if region_path(region.id) not in dispute.conflicts
        and (found := _in_region(poll, dispute, region)) is not None
    }
    if labels is not None:
        sample = sample.replace(labels=labels)
    if regions:
        voted = (
            region.replace(labels=regions[region.id]) if region.id in regions else region
            for region in sample.regions
        )
        sample = sample.replace(regions=tuple(voted))
    dispute.merged = sample


def _in_region(poll: _Poll, dispute: Dispute, region: Region) -> Labels | None:
    base = region_of_side(dispute, dispute.base, region.id)
    drawn = [region_of_side(dispute, side, region.id) for side in dispute.sides]
    return poll.hold(region.id, region, base, drawn)


@dataclass(frozen=True, slots=True)
class _Poll:
    """How votes on the labels of one sample are held."""

    dispute: Dispute
    names: Sequence[str]
    many: frozenset[str]
    elects: Elects
    every: bool

    def hold(
        self, region: bytes | None, merged: Part, base: Part | None, parts: Sequence[Part | None]
    ) -> Labels | None:
        """The labels of a sample or region after the vote; None where nobody won.

        A side without the region (or sample) has no vote.
        """
        before = () if base is None else base.labels
        if sum(part is not None and part.labels != before for part in parts) < 2:
            return None
        old = slots_of(before, self.many)
        news = [None if part is None else slots_of(part.labels, self.many) for part in parts]
        found = slots_of(merged.labels, self.many)
        voted = False
        for slot, voters in sorted(self._voters(old, news).items()):
            said = [(self.names[at], (news[at] or {}).get(slot)) for at in voters]
            voted |= self._decide(region, slot, said, found)
        return tuple(found.values()) if voted else None

    def _voters(
        self, old: Mapping[Slot, Label], news: Sequence[Mapping[Slot, Label] | None]
    ) -> dict[Slot, list[int]]:
        """The sides that vote on each label that any changed, where there are two or more."""
        changed: dict[Slot, list[int]] = {}
        for at, new in enumerate(news):
            for slot in {**old, **new} if new is not None else ():
                if not _same(old.get(slot), (new or {}).get(slot)):
                    changed.setdefault(slot, []).append(at)
        by_task: dict[Slot, set[int]] = {}
        for slot, voters in changed.items():
            if slot[0] in self.many:
                by_task.setdefault(slot[:2], set()).update(voters)
        voting = {slot: sorted(by_task.get(slot[:2], at)) for slot, at in changed.items()}
        return {slot: voters for slot, voters in voting.items() if len(voters) > 1}

    def _decide(
        self,
        region: bytes | None,
        slot: Slot,
        said: Sequence[tuple[str, Label | None]],
        found: dict[Slot, Label],
    ) -> bool:
        """Vote on one label; whether the labels that were found are others now."""
        conflicts = self.dispute.conflicts
        path = join_field(("labels", *slot) if region is None else _inside(region, slot))
        labels = [label for _, label in said if label is not None]
        if not (self.every or path in conflicts) or not self.elects(slot[0], path, labels):
            return False
        won = winner([label for _, label in said])
        if won is UNDECIDED:
            return self._tie(path, slot, labels, found)
        conflicts.pop(path, None)
        if won is None:
            found.pop(slot, None)
        else:
            found[slot] = won
        for name, label in sorted(said, key=lambda each: each[0]):
            if label is not None:
                self._keep(ballot(label, name), found)
        return True

    def _tie(
        self, path: str, slot: Slot, labels: Sequence[Label], found: dict[Slot, Label]
    ) -> bool:
        """A tie over one of several answers is a conflict, which a merge alone does not see.

        What sides said of one answer and the merge could join (a class and one below it) stands.
        """
        if slot[0] not in self.many or path in self.dispute.conflicts:
            return False
        term = encode_field(path, min(labels, key=rank))
        self.dispute.conflicts[path] = Terms(tuple(sorted((ABSENT, term))))
        return found.pop(slot, None) is not None

    def _keep(self, cast: Label, found: dict[Slot, Label]) -> None:
        """Put a ballot beside the winner, over one of before but over no other label."""
        source = cast.source
        for n in count(2):
            slot = label_slot(cast, many=cast.task in self.many)
            if slot not in found or found[slot].state == "proposed":
                found[slot] = cast
                return
            cast = cast.replace(source=f"{source}~{n}")


def _inside(region: bytes, slot: Slot) -> Slot:
    return ("regions", region.hex(), "labels", *slot)


def _same(one: Label | None, other: Label | None) -> bool:
    """Whether two labels say the same: where they come from is no part of it."""
    if one is other or one == other:
        return True
    if one is None or other is None or one.origin == other.origin:
        return False
    return bool(one.replace(origin=None) == other.replace(origin=None))
