"""Which facts are wanted: by scope, kind, class, task, source and key."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from voyager.errors import UsageError
from voyager.repo.label_facts import KINDS, Fact, RegionDiff, SampleDiff
from voyager.repo.snapshot import FILES
from voyager.schema.partial import partial_decoder
from voyager.schema.sample import Label, Region, Sample
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import Vocabulary

_PARTS = tuple(
    f"{place}.{name}"
    for place in ("labels", "regions.labels")
    for name in ("task", "node", "source")
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions that all have to hold; None is no condition.

    A region fits a class, task or source if one of its labels does (on either side), or its own
    source; so does a sample that was added or removed as a whole. `nodes` are ids of classes.
    """

    scopes: Container[str] | None = None
    kinds: Container[str] | None = None
    nodes: Container[NodeId] | None = None
    tasks: Container[str] | None = None
    sources: Container[str] | None = None
    keys: Container[str] | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in self.__dataclass_fields__)

    @property
    def asks_labels(self) -> bool:
        """Whether what labels say decides."""
        return any(part is not None for part in (self.nodes, self.tasks, self.sources))

    def choose(self, found: Iterable[SampleDiff]) -> Iterator[SampleDiff]:
        """The diffs with the facts that are wanted; those without any are left out."""
        for one in found if self else ():
            chosen = self._chosen(one)
            if chosen:
                yield chosen
        if not self:
            yield from found

    def fits(self, fact: Fact) -> bool:
        """Whether a fact that belongs to no key (of a class or task) is wanted."""
        if not self._right_kind(fact) or self.keys is not None or self.sources is not None:
            return False
        if self.tasks is not None and (fact.task is None or fact.task not in self.tasks):
            return False
        return self.nodes is None or (fact.node is not None and fact.node in self.nodes)

    def _chosen(self, one: SampleDiff) -> SampleDiff:
        if self.keys is not None and one.key not in self.keys:
            return one.with_facts((), ())
        facts = tuple(fact for fact in one.facts if self._fits(fact, one))
        regions = tuple(
            RegionDiff(found.before, found.after, found.old_place, found.place, kept)
            for found in one.regions
            if (kept := self._of_region(found))
        )
        return one.with_facts(facts, regions)

    def _fits(self, fact: Fact, one: SampleDiff) -> bool:
        if not self._right_kind(fact):
            return False
        if not self.asks_labels:
            return True
        if fact.scope in ("label", "coverage"):
            return self._says(fact)
        whole = one.kind in ("added", "removed") and one.space != FILES
        return fact.scope == "sample" and whole and self._holds(one)

    def _of_region(self, found: RegionDiff) -> tuple[Fact, ...]:
        about = not self.asks_labels or self._about(found)
        return tuple(
            fact
            for fact in found.facts
            if self._right_kind(fact)
            and (self._says(fact) if fact.scope == "label" and self.asks_labels else about)
        )

    def _right_kind(self, fact: Fact) -> bool:
        return (self.scopes is None or fact.scope in self.scopes) and (
            self.kinds is None or fact.kind in self.kinds
        )

    def _says(self, fact: Fact) -> bool:
        """Whether a fact of a label, negative or coverage is of the class, task and source."""
        if self.tasks is not None and fact.task not in self.tasks:
            return False
        sides = [side for side in (fact.before, fact.after) if isinstance(side, Label)]
        if self.sources is not None:
            voices = {side.source for side in sides} | {fact.source}
            if not any(voice in self.sources for voice in voices):
                return False
        if self.nodes is None:
            return True
        said = {side.node for side in sides} | {fact.node}
        return any(node is not None and node in self.nodes for node in said)

    def _about(self, found: RegionDiff) -> bool:
        regions: list[Region] = [side for side in (found.before, found.after) if side is not None]
        labels = [label for region in regions for label in region.labels]
        if any(self._label_fits(label) for label in labels):
            return True
        own = self.sources is not None and self.nodes is None and self.tasks is None
        return own and any(region.source in (self.sources or ()) for region in regions)

    def _holds(self, one: SampleDiff) -> bool:
        row = one.after if one.before is None else one.before
        sample = row if isinstance(row, Sample) else _decoder()(row)
        said = [*sample.labels, *(label for region in sample.regions for label in region.labels)]
        return any(self._label_fits(label) for label in said)

    def _label_fits(self, label: Any) -> bool:
        return (
            (self.tasks is None or label.task in self.tasks)
            and (self.sources is None or label.source in self.sources)
            and (self.nodes is None or (label.node is not None and label.node in self.nodes))
        )


EVERYTHING = Wanted()


@lru_cache(maxsize=1)
def _decoder() -> Callable[[bytes], Any]:
    return partial_decoder(_PARTS)


class Sources:
    """Sources by their whole names, or all of one kind: `model` holds `model:detector`."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)

    def __contains__(self, source: object) -> bool:
        return isinstance(source, str) and (
            source in self._names or source.partition(":")[0] in self._names
        )


def parse_kinds(text: str | None) -> frozenset[str] | None:
    """The kinds of a list with commas; UsageError for a word that is none."""
    known = dict.fromkeys(kind for kinds in KINDS.values() for kind in kinds)
    return _parse(text, known, "--kind", "kind of change")


def parse_scopes(text: str | None) -> frozenset[str] | None:
    """The scopes of a list with commas; UsageError for a word that is none."""
    return _parse(text, dict.fromkeys(map(str, KINDS)), "--scope", "scope")


def _parse(
    text: str | None, known: dict[str, None], option: str, noun: str
) -> frozenset[str] | None:
    if text is None:
        return None
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words or [text]:
        if word not in known:
            from difflib import get_close_matches

            near = get_close_matches(word, known, 1)
            hint = f"did you mean {near[0]}? docs/diff.md lists them" if near else "docs/diff.md"
            raise UsageError(f"{option}: '{word}' is no {noun}", hint=hint)
    return frozenset(words)


def classes_named(name: str, *sides: Vocabulary) -> frozenset[NodeId]:
    """The class of a path, alias, unique name or id in any taxonomy, and all below it.

    A path may begin with the taxonomy. UsageError where neither version has it.
    """
    found: set[NodeId] = set()
    for vocabulary in sides:
        for taxonomy in vocabulary.taxonomies.values():
            if name == taxonomy.name:
                found |= taxonomy.nodes.keys()
                continue
            top = taxonomy.find(name)
            if top is None:
                continue
            living = {top, *taxonomy.below(top)}
            heirs = {key for key in taxonomy.nodes if taxonomy.live(key) in living}
            found |= living | heirs
    if not found:
        raise UsageError(f"neither version has a class '{name}'", hint="vgr taxonomy tree")
    return frozenset(found)
