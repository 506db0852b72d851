"""After a merge: links follow regions that became one, and what does not agree is told."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from voyager.merge.merged_version import MergedVersion
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES, TASKS, TAXONOMIES, write_snapshot
from voyager.repo.staging import edit_map
from voyager.schema import Link, Sample, decode_sample, encode_sample
from voyager.schema.codec import bytes_of
from voyager.schema.partial import partial_decoder
from voyager.schema.validate import Validator, Violation
from voyager.schema.vocabulary import Vocabulary
from voyager.store.ids import Kind
from voyager.store.objects import ObjectWriter

_decode_links: Callable[[bytes], Any] = partial_decoder(("uid", "regions.id", "regions.links"))

End = tuple[bytes, bytes]
"""(sample uid, region id) of a link."""


def follow_joined(
    objects: ObjectWriter, base: Dataset, ours: Dataset, merged: MergedVersion
) -> set[End]:
    """Let links to regions that became one lead to that one; the ends that the merge took away.

    Only rows that the merge changed since the base can link to what is new.
    """
    gone: set[End] = set()
    here: set[End] = set()
    rows: list[tuple[bytes, bytes | None]] = []
    for key, before, after in _changed(objects, base, ours, merged):
        gone |= _ends(before)
        here |= _ends(after)
        if merged.joined and after is not None and links_into(after, merged.joined):
            rows.append((key, encode_sample(followed_links(decode_sample(after), merged.joined))))
    if rows:
        merged.roots[SAMPLES] = edit_map(objects, merged.roots[SAMPLES], rows)
        merged.snapshot = write_snapshot(objects, merged.roots)
    return gone - here


def _changed(
    objects: ObjectWriter, base: Dataset, ours: Dataset, merged: MergedVersion
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """(key, row of the base, of the outcome) where they are not the same."""
    after = Dataset(objects, merged.roots)
    outcomes = () if merged.outcomes is None else merged.outcomes.each(base, ours, after)
    for key, before, _, now in outcomes:
        if before != now:
            yield key, before, now


def _ends(row: bytes | None) -> set[End]:
    if row is None:
        return set()
    sample = _decode_links(row)
    return {(sample.uid, region.id) for region in sample.regions}


def links_into(row: bytes, ends: Container[End]) -> bool:
    """Whether a sample links to any of these regions."""
    regions = _decode_links(row).regions
    return any((link.uid, link.region) in ends for region in regions for link in region.links)


def followed_links(sample: Sample, joined: Mapping[End, bytes]) -> Sample:
    """The sample with its links to regions that became one leading to that one."""
    return sample.replace(
        regions=tuple(
            region.replace(links=_followed(region.links, joined)) if region.links else region
            for region in sample.regions
        )
    )


def _followed(links: Iterable[Link], joined: Mapping[End, bytes]) -> tuple[Link, ...]:
    """Links that lead to what is there, each once."""
    found = [
        link.replace(region=joined.get((link.uid, link.region), link.region)) for link in links
    ]
    return tuple({bytes_of(link): link for link in found}.values())


def iter_violations(
    objects: ObjectWriter,
    base: Dataset,
    sides: Sequence[Dataset],
    merged: MergedVersion,
    gone: set[End],
) -> Iterator[Violation]:
    """Where the merged samples, tasks and taxonomies do not agree and no side's did, in key order.

    Looked at are samples that several sides changed; where sides changed the vocabulary, or took
    regions away, all that the merge changed.
    """
    roots = {
        tuple(each.roots.get(space) for space in (TASKS, TAXONOMIES)) for each in (base, *sides)
    }
    both = set(merged.both)
    validator = _validator(objects, merged.vocabulary, gone)
    for key, _, row in _changed(objects, base, sides[0], merged):
        if row is None:
            continue
        if len(roots) > 1 or key in both or (gone and links_into(row, gone)):
            found = list(validator.violations(key.decode(), decode_sample(row)))
            if found:
                known = _known(objects, sides, key)
                yield from (each for each in found if _gist(each) not in known)


def _validator(objects: ObjectWriter, vocabulary: Vocabulary, gone: set[End]) -> Validator:
    return Validator(
        vocabulary,
        leads=lambda uid, region: (uid, region) not in gone,
        load=lambda blob: objects.get(blob, Kind.BLOB),
    )


def _known(objects: ObjectWriter, sides: Sequence[Dataset], key: bytes) -> set[tuple[Any, ...]]:
    """What was wrong with a sample on one of the sides already."""
    known: set[tuple[Any, ...]] = set()
    for side in sides:
        row = side.row(SAMPLES, key)
        if row is not None:
            validator = _validator(objects, side.vocabulary, set())
            known.update(map(_gist, validator.violations(key.decode(), decode_sample(row))))
    return known


def _gist(violation: Violation) -> tuple[Any, ...]:
    """A violation without its place, which a merge may move."""
    return violation.region, violation.kind, violation.message
