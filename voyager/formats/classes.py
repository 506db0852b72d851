"""Classes that a newer file calls otherwise: told apart from relabels by what the regions say.

When nearly all regions of a class that vanished from a file have, at the very same place, one new
class now, then the class was renamed (or merged into another), and no region was relabeled.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from voyager.schema import Region
from voyager.schema.codec import encode_geometry
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Draft

RENAMED: Final = 0.95
"""The part of a vanished class's regions that must agree on its new name."""

TRUSTED: Final = 0.95
"""The part of exact pairs whose source ids must agree, for ids to be trusted."""


@dataclass(frozen=True, slots=True)
class ClassChange:
    """A class of a task that the newer file renamed, or merged into one that was there."""

    task: str
    kind: Literal["renamed", "merged"]
    old: str
    new: str
    regions: int

    def as_json(self) -> dict[str, Any]:
        """The JSON of `import --json`."""
        return {
            "task": self.task,
            "kind": self.kind,
            "from": self.old,
            "to": self.new,
            "regions": self.regions,
        }


class Evidence:
    """What exactly equal regions of the old and the new description say of classes and ids."""

    def __init__(self, draft: Draft, task: str) -> None:
        self.draft = draft
        self.task = task
        self.votes: dict[NodeId, Counter[NodeId]] = {}
        self._agree = self._known = 0

    def add(self, old: Iterable[Region], new: Iterable[Region]) -> None:
        """Count the regions of one image; those alike in shape are paired class to class first."""
        places: dict[bytes, list[Region]] = {}
        for region in new:
            if region.geometry is not None:
                places.setdefault(encode_geometry(region.geometry), []).append(region)
        for region in old:
            twins = (
                None if region.geometry is None else places.get(encode_geometry(region.geometry))
            )
            if twins:
                own = self._class(region)
                same = [twin for twin in twins if self._class(twin) == own]
                twin = (same or twins)[0]
                twins.remove(twin)
                self._count(region, twin)

    def _count(self, old: Region, new: Region) -> None:
        a, b = self._class(old), self._class(new)
        if a is not None and b is not None:
            self.votes.setdefault(a, Counter())[b] += 1
        ids = tuple(None if r.origin is None else r.origin.id for r in (old, new))
        if None not in ids:
            self._known += 1
            self._agree += ids[0] == ids[1]

    def _class(self, region: Region) -> NodeId | None:
        for label in region.labels:
            if label.task == self.task and label.node is not None:
                return label.node
        return None

    @property
    def trust(self) -> tuple[int, int]:
        """(exact pairs whose source ids agree, exact pairs with ids on both sides)."""
        return self._agree, self._known

    @property
    def ids_are_trusted(self) -> bool:
        """Whether source ids mean the same in both."""
        return self._known > 0 and self._agree >= TRUSTED * self._known


def apply_renames(
    draft: Draft, evidence: Evidence
) -> tuple[list[ClassChange], dict[NodeId, NodeId]]:
    """Rename and merge classes of a draft on such evidence.

    What was done, and for each new node that turned out to be an old one: new id → old id.
    """
    task = evidence.task
    taxonomy = draft.taxonomy_of(task)
    if taxonomy is None:
        return [], {}
    named = draft.named(task)
    base = draft.base.taxonomy_of(task)
    changes: list[ClassChange] = []
    substitutes: dict[NodeId, NodeId] = {}
    for old, votes in sorted(evidence.votes.items()):
        (new, count), total = votes.most_common(1)[0], sum(votes.values())
        if old in named or new == old or count < RENAMED * total or old not in taxonomy:
            continue
        was, now = taxonomy.path(old) or "", taxonomy.path(new) or ""
        is_new = base is None or new not in base
        if is_new and new not in substitutes:
            draft.rename(taxonomy.name, old, into=new)
            substitutes[new] = old
            changes.append(ClassChange(task, "renamed", was, now, count))
        else:
            target = substitutes.get(new, new)
            node = taxonomy.nodes[old]
            draft.put_nodes(taxonomy.name, {old: node.replace(dead=True, redirect=target)})
            changes.append(ClassChange(task, "merged", was, now, count))
        taxonomy = draft.taxonomies[taxonomy.name]
    return changes, substitutes
