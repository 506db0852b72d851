"""What a source says now, what it said before, and what is here: paired region by region."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from voyager.formats.base import Holds
from voyager.formats.difference import same_geometry
from voyager.formats.imported import Imported
from voyager.formats.records import Base
from voyager.formats.spill import Sorter
from voyager.formats.updating import Merged, Speaks, Triple, merge_sample
from voyager.schema import Label, Region, Sample, encode_sample
from voyager.schema.pairing import Pairing, pair_exact, pair_regions
from voyager.schema.rle import Load
from voyager.schema.vocabulary import Draft


def equal_elsewhere(ours: Sample, theirs: Sample, name: str) -> Iterator[str]:
    """Of each region that imports of other names brought to a sample too, the name of that one."""
    brought = {
        region.id: region.origin.import_
        for region in ours.regions
        if region.origin is not None and region.origin.import_ not in (None, name)
    }
    regions = [region for region in ours.regions if region.id in brought]
    for pair in pair_exact(regions, theirs.regions, class_of=lambda _: None).pairs:
        yield str(brought[regions[pair.old].id])


class Updater:
    """Takes what a source says of samples into those that are here.

    `base` is what it said before; `trusted` says that its ids mean what they meant then, and
    `substitutes` are the classes that it calls otherwise now. `conflicts` names what both sides
    changed. Where it `can_merge`, `update` gives instead what the source makes of such a sample,
    and `bases` has the row to merge that upon. `result` counts, and `said` collects what the base
    of the next import will be.
    """

    def __init__(
        self,
        holds: Holds,
        task: str,
        base: Base,
        draft: Draft,
        voices: Set[tuple[str, str]],
        *,
        trusted: bool,
        can_merge: bool,
        substitutes: Mapping[bytes, bytes],
        load: Load,
        result: Imported,
        said: Sorter,
    ) -> None:
        self.base = base
        self.trusted = trusted
        self.substitutes = substitutes
        self.conflicts: list[str] = []
        self.bases: dict[bytes, bytes] = {}
        self._can_merge = can_merge
        self._holds = holds
        self._task = task
        self._draft = draft
        self._voices = voices
        self._load = load
        self._result = result
        self._said = said

    def update(self, key: bytes, ours: Sample, theirs: Sample) -> bytes:
        """The row of a sample that is here with what the source changed."""
        base = self.base.sample(key, ours, theirs)
        start = ours.replace(image=theirs.image) if ours.image.blob is None else ours
        if base is None:
            base = ours.replace(labels=(), regions=(), meta={}, split=None)
        was = self.base.original(key) or base
        triples = list(self._triples(key, ours, base, theirs, was))
        merged = merge_sample(start, base, theirs, triples, self.speaks, was)
        sample = merged.sample
        if merged.conflicts:
            sample = self._to_be_merged(key, ours, merged) or sample
        self._note_said(key, sample, theirs, triples)
        result = self._result
        result.attached += ours.image.state == "pending" and theirs.image.state == "stored"
        result.regions_added += merged.added
        result.regions_changed += merged.changed
        result.regions_removed += merged.removed
        return encode_sample(sample)

    def _to_be_merged(self, key: bytes, ours: Sample, merged: Merged) -> Sample | None:
        """What the source makes of a sample that both changed; None where that is refused."""
        versions = merged.versions(ours) if self._can_merge else None
        if versions is None:
            self.conflicts += [f"{key.decode()} {path}" for path in merged.conflicts]
            return None
        self.bases[key] = encode_sample(versions[0])
        return versions[1]

    def _note_said(self, key: bytes, sample: Sample, theirs: Sample, triples: list[Triple]) -> None:
        """Note what the source said, its regions by the ids that they have here."""
        own = (
            t.theirs.replace(id=(t.ours or t.was or t.base or t.theirs).id)
            for t in triples
            if t.theirs
        )
        said = theirs.replace(uid=sample.uid, image=sample.image, regions=tuple(own))
        if said != sample:
            self._said.add(key, encode_sample(said))

    def _triples(
        self, key: bytes, ours: Sample, base: Sample, theirs: Sample, was: Sample
    ) -> Iterator[Triple]:
        """Pair the file's regions with those of the base, and these with the ones that are here."""
        here = {region.id: region for region in ours.regions}
        before = {region.id: region for region in was.regions}
        counterparts = self.base.counterparts(key)
        pairing = self._pair(base.regions, theirs.regions, ours)
        self._result.divided += len(pairing.divided)
        if pairing.turn is not None:
            self._result.turned.append(key.decode())
        for pair in pairing.pairs:
            old, new = base.regions[pair.old], theirs.regions[pair.new]
            own = counterparts.get(old.id, old.id)
            yield Triple(old, here.pop(own, None), new, before.get(own))
        gone = {
            counterparts.get(old.id, old.id): old
            for old in (base.regions[place] for place in pairing.old_left)
        }
        left = [theirs.regions[place] for place in pairing.new_left]
        for triple in self._additions(left, here, gone):
            drawn = triple.ours
            yield triple if drawn is None else replace(triple, was=before.get(drawn.id))
        for own_id, old in gone.items():
            yield Triple(old, here.get(own_id), None, before.get(own_id))

    def _pair(self, old: tuple[Region, ...], new: tuple[Region, ...], sample: Sample) -> Pairing:
        image = sample.image
        size = (image.width, image.height) if image.width and image.height else None
        return pair_regions(
            old,
            new,
            class_of=self._class_of,
            trust_ids=self.trusted,
            same_ids=self._holds.whole,
            size=size,
            load=self._load,
        )

    def _additions(
        self, new: list[Region], here: dict[bytes, Region], gone: dict[bytes, Region]
    ) -> Iterator[Triple]:
        """Regions that the file has and the base had not; one that somebody drew here is the same.

        Only exact equals are: what is merely close is a second opinion, not a second import. Of
        `gone`, regions of the base that the file lacks, those are taken that were redrawn alike.
        """
        free = list(here.values())
        pairing = pair_exact(free, new, class_of=self._class_of)
        equal = {pair.new: free[pair.old] for pair in pairing.pairs}
        left = [free[place] for place in pairing.old_left]
        for place, region in enumerate(new):
            own = equal.get(place) or here.get(region.id) or self._nearly(region, left)
            base = None if own is None else gone.pop(own.id, own)
            yield Triple(base, own, region)

    def _nearly(self, region: Region, free: list[Region]) -> Region | None:
        """The free region that differs by no more than the format's rounding; taken out."""
        quantum, shape = self._holds.quantum, region.geometry
        if not quantum or shape is None:
            return None
        for place, other in enumerate(free):
            alike = other.geometry is not None and same_geometry(other.geometry, shape, quantum)
            if alike and self._class_of(other) == self._class_of(region):
                return free.pop(place)
        return None

    def _class_of(self, region: Region) -> bytes | None:
        for label in region.labels:
            if label.task == self._task and label.node is not None:
                return self.substitutes.get(label.node, label.node)
        return None

    @property
    def speaks(self) -> Speaks:
        """What the import has a say in."""
        tasks = self._draft.tasks
        many = frozenset(name for name, task in tasks.items() if task.many)
        said, sources = zip(*self._voices, strict=True)
        answers = self._answers if self.base.complete else None
        return Speaks(self._holds, frozenset(said), frozenset(sources), many, answers)

    def _answers(self, task: str, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        return self._draft.answer(task, labels).labels
