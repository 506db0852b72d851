"""What a strategy is asked: one field in conflict, and what every side says of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from voyager import wire
from voyager.errors import ExistsError
from voyager.merge.fields import UNDECIDED
from voyager.schema import Label, Region, Sample, decode_sample
from voyager.schema.conflict import ABSENT, Terms, join_field
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    decode_field,
    encode_field,
    find_region,
    pair_of,
    parse_path,
    read_field,
    region_of,
    region_path,
    write_field,
)
from voyager.schema.label_edit import drop_regions
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import Draft
from voyager.store.history import read_commit
from voyager.store.objects import ObjectReader

if TYPE_CHECKING:
    from voyager.merge.dispute import Dispute

_VOCABULARY = ("tasks", "taxonomies")


class Side(NamedTuple):
    """One side of a merge: as it was named, its commit, and the author time of that in ms."""

    name: str
    commit: bytes | None = None
    time: int = 0


def named_sides(
    objects: ObjectReader, names: Sequence[str], commits: Sequence[bytes]
) -> list[Side]:
    """The sides of a merge of commits, ours first, by the names that people gave them."""
    return [
        Side(name, commit, read_commit(objects, commit).time)
        for name, commit in zip(names, commits, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Question:
    """One field in conflict: `terms` at `path` of what a dispute is about, and the sides."""

    dispute: Dispute
    path: str
    terms: Terms
    sides: Sequence[Side]

    def said(self) -> list[bytes | None]:
        """The term of every side, ours first; None where it cannot be told.

        That is a side on which the field is in conflict itself, or (among conflicts that are read
        later) which drew the region under another id and is not the only one.
        """
        found = [self._said(side) for side in range(len(self.dispute.sides))]
        odd = [at for at, term in enumerate(found) if not self._can_be(term)]
        left = Counter(self.terms.adds) - Counter(term for term in found if term is not None)
        for at in odd:
            only = len(left) == 1 and not self._stands(at) and region_of(self.path) is not None
            found[at] = next(iter(left)) if only else None
        return found

    def voices(self) -> list[tuple[int, bytes]]:
        """(side, term) of the sides that changed the field."""
        adds = set(self.terms.adds)
        return [
            (side, term)
            for side, term in enumerate(self.said())
            if term is not None and term in adds
        ]

    def _can_be(self, term: bytes | None) -> bool:
        return term is not None and (term in self.terms.adds or term in self.terms.removes)

    def _stands(self, side: int) -> bool:
        standing = self.dispute.standing
        return bool(standing) and self.path in standing[side]

    def _said(self, side: int) -> bytes | None:
        dispute, path = self.dispute, self.path
        if self._stands(side):
            return None
        value = dispute.sides[side]
        if dispute.space in _VOCABULARY:
            from voyager.schema.vocabulary_fields import find_term

            return find_term(value, dispute.merged, dispute.space, dispute.key, path)
        if dispute.space != "samples":
            return ABSENT if value is None else bytes(value)
        if path == KEY:
            key = dispute.keys[side] if dispute.keys else None
            return None if key is None else encode_field(KEY, key.decode())
        pair = pair_of(path)
        if pair is not None:
            drawn = [own for own in pair if value is not None and find_region(value, own)]
            return wire.encode(drawn[0]) if len(drawn) == 1 else None
        return encode_field(path, self._read(value))

    def _read(self, sample: Sample | None) -> Any:
        """The field of a side, which may have drawn the region under another id."""
        region = None if sample is None else region_of(self.path)
        if region is None or sample is None:
            return read_field(sample, self.path)
        drawn = region_of_side(self.dispute, sample, region)
        parts = parse_path(self.path)
        if drawn is None or len(parts) == 2:
            return drawn
        return read_field(sample, join_field(["regions", drawn.id.hex(), *parts[2:]]))

    def speakers(self, term: bytes) -> list[Label | Region]:
        """The labels or regions that say a term: what has a source, a state and a score."""
        if self.dispute.space != "samples":
            return []
        pair, region = pair_of(self.path), region_of(self.path)
        if pair is not None:
            found = find_region(self.dispute.merged, wire.decode(term))
            return [] if found is None else [found]
        if is_label(self.path) or (region and self.path == region_path(region)):
            return [] if term == ABSENT else [decode_field(self.path, term)]
        if region is None:
            return []
        samples = [self.dispute.sides[side] for side, said in self.voices() if said == term]
        drawn = [region_of_side(self.dispute, sample, region) for sample in samples]
        return [each for each in drawn if each is not None]

    def take(self, term: bytes | None) -> Any:
        """What is in dispute with the field set to a term; UNDECIDED where it cannot be."""
        dispute, path = self.dispute, self.path
        if term is None:
            return UNDECIDED
        if dispute.space in _VOCABULARY:
            return self._take_in_vocabulary(term)
        if dispute.space != "samples":
            return None if term == ABSENT else term
        if path == SAMPLE:
            return None if term == ABSENT else decode_sample(term)
        if path == KEY:
            dispute.key = wire.decode(term).encode()
            return dispute.merged
        if dispute.merged is None:
            return UNDECIDED
        pair = pair_of(path)
        if pair is not None:
            return drop_regions(dispute.merged, {*pair} - {wire.decode(term)})
        own = region_of(path)
        if term == ABSENT and own is not None and path == region_path(own):
            return drop_regions(dispute.merged, {own})
        return write_field(dispute.merged, path, decode_field(path, term))

    def _take_in_vocabulary(self, term: bytes) -> Any:
        """The vocabulary with the field set, unless that makes a tree that cannot be."""
        from voyager.schema.taxonomy_faults import iter_faults
        from voyager.schema.vocabulary_fields import put_term

        dispute = self.dispute
        draft = Draft(dispute.merged)
        try:
            put_term(draft, dispute.space, dispute.key, self.path, term)
        except (BadValueError, ExistsError):
            return UNDECIDED
        worse = set(iter_faults(draft)) - set(iter_faults(dispute.merged))
        return UNDECIDED if worse else draft


def is_label(path: str) -> bool:
    """Whether a path is that of a label, of a sample or of a region."""
    parts = parse_path(path)
    return parts[2 if parts[0] == "regions" else 0 :][:1] == ("labels",)


def region_of_side(dispute: Dispute, sample: Sample | None, region: bytes) -> Region | None:
    """The region of a side that became a region of the merged sample."""
    if sample is None:
        return None
    found = find_region(sample, region)
    if found is None and dispute.joined:
        names = dispute.joined
        return next((each for each in sample.regions if names.get(each.id) == region), None)
    return found
