"""Merging samples of versions that have conflicts themselves: terms go together with terms.

What is whole swallows its parts: where a sample or region was taken out by one side, and is in
conflict inside on another, it is in conflict as a whole, once for each way to settle its parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from voyager.merge.fields import UNDECIDED
from voyager.merge.terms import merge_terms
from voyager.schema import Sample, decode_sample
from voyager.schema.conflict import ABSENT, Conflicts, Terms
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    decode_field,
    encode_field,
    find_region,
    pair_of,
    pair_path,
    parse_path,
    read_field,
    region_of,
    region_path,
    write_field,
)


class Placed(NamedTuple):
    """A sample in one version: its key, itself (None: not there), what is in conflict already."""

    key: bytes
    sample: Sample | None
    standing: Conflicts


def decide_plainly(states: Sequence[tuple[bytes | None, Conflicts]]) -> Any:
    """The (row, conflicts) that all sides which changed it have, UNDECIDED where they differ."""
    base, *sides = states
    changed = [side for side in sides if side != base]
    if not changed:
        return base
    return changed[0] if all(side == changed[0] for side in changed) else UNDECIDED


def is_whole(base: Placed, sides: Sequence[Placed]) -> bool:
    """Whether it is in question if the sample is there, and not only what it says."""
    if any(SAMPLE in side.standing for side in sides):
        return True
    was = base.sample is not None or SAMPLE in base.standing
    return was and any(side.sample is None for side in sides)


def merge_whole(base: Placed, sides: Sequence[Placed]) -> tuple[Sample | None, dict[str, Terms]]:
    """The sample that versions make of one as a whole, and its conflicts."""
    terms = merge_terms(_terms(SAMPLE, base), [_terms(SAMPLE, side) for side in sides])
    settled = terms.settled
    held = decode_field(SAMPLE, terms.held if settled is None else settled)
    return held, {SAMPLE: terms} if settled is None else {}


def whole_terms(row: bytes | None, standing: Conflicts) -> Terms:
    """The ways to settle a sample, with those of its conflicts."""
    sample = None if row is None else decode_sample(row)
    return _terms(SAMPLE, Placed(b"", sample, standing))


def merge_keys(at: Sequence[tuple[bytes, bytes] | None], standing: Sequence[Conflicts]) -> Terms:
    """What the versions that have a sample make of where it is."""
    base, *sides = [
        known.get(KEY)
        or Terms((ABSENT if place is None else encode_field(KEY, place[0].decode()),))
        for place, known in zip(at, standing, strict=True)
    ]
    there = [side for side, place in zip(sides, at[1:], strict=True) if place is not None]
    return merge_terms(base, there)


def merge_standing(
    merged: Sample, conflicts: Mapping[str, Terms], base: Placed, sides: Sequence[Placed]
) -> tuple[Sample, dict[str, Terms]]:
    """Work conflicts of the versions themselves into a merged sample and its new conflicts."""
    found = dict(conflicts)
    if not any(side.standing for side in (base, *sides)):
        return merged, found
    there = {region.id for region in merged.regions}
    paths = {path for side in (base, *sides) for path in side.standing} - {SAMPLE}
    whole = {_outermost(path, there) for path in paths}
    for path in sorted(whole, key=lambda path: (len(parse_path(path)), path)):
        terms = merge_terms(_terms(path, base), [_terms(path, side) for side in sides])
        settled = terms.settled
        if settled is None:
            found[path] = terms
        else:
            found.pop(path, None)
        if pair_of(path) is None and path != KEY:
            merged = _holding(merged, path, terms.held if settled is None else settled)
    return merged, {path: terms for path, terms in found.items() if _is_of(path, merged)}


def _outermost(path: str, there: set[bytes]) -> str:
    """The path, or that of the region that is gone with it."""
    owner = region_of(path)
    return path if owner is None or owner in there else region_path(owner)


def _is_of(path: str, sample: Sample) -> bool:
    """Whether a path leads to what can still be decided: the parts of a region need the region."""
    owner = region_of(path)
    if owner is not None:
        return path == region_path(owner) or find_region(sample, owner) is not None
    return all(find_region(sample, own) is not None for own in pair_of(path) or ())


def _terms(path: str, side: Placed) -> Terms:
    known = side.standing.get(path)
    if known is not None:
        return known
    if side.sample is None:
        return Terms((ABSENT,))
    if path == KEY:
        return Terms((encode_field(KEY, side.key.decode()),))
    return _spread(path, side.sample, side.standing)


def _spread(path: str, sample: Sample, standing: Conflicts) -> Terms:
    """The values of a field once for every way to settle the conflicts inside it."""
    head = () if path == SAMPLE else parse_path(path)
    inside = [
        (part, standing[part].adds)
        for part in sorted(standing)
        if part != KEY and pair_of(part) is None and parse_path(part)[: len(head)] == head
    ]
    held = encode_field(path, read_field(sample, path))
    found = set()
    for way in range(max((len(adds) for _, adds in inside), default=0)):
        settled = sample
        for part, adds in inside:
            settled = _holding(settled, part, adds[min(way, len(adds) - 1)])
        found.add(encode_field(path, read_field(settled, path)))
    if len(found) < 2:
        return Terms((held,))
    removes = () if held in found else (held,) * (len(found) - 1)
    return Terms(tuple(sorted(found)), removes)


def _holding(sample: Sample, path: str, term: bytes) -> Sample:
    value = decode_field(path, term)
    if path == "image" and value is None:
        return sample
    if encode_field(path, read_field(sample, path)) == term:
        return sample
    return write_field(sample, path, value)


def follow(side: Placed, joined: Mapping[bytes, bytes]) -> Placed:
    """A side in which regions have the ids of those that they became one with."""
    if side.sample is None or not any(region.id in joined for region in side.sample.regions):
        return side
    regions = (
        region.replace(id=joined.get(region.id, region.id)) for region in side.sample.regions
    )
    sample = side.sample.replace(regions=tuple(regions))
    standing = {_followed(path, joined): terms for path, terms in side.standing.items()}
    return Placed(side.key, sample, standing)


def _followed(path: str, joined: Mapping[bytes, bytes]) -> str:
    pair, owner = pair_of(path), region_of(path)
    if pair is not None:
        return pair_path(*(joined.get(own, own) for own in pair))
    if owner is None:
        return path
    return path.replace(owner.hex(), joined.get(owner, owner).hex(), 1)
