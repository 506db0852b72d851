"""What differs between two versions, in facts of vision: streamed, and only of changed rows.

`label_diff` gives a `SampleDiff` for each key that differs, in key order.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from voyager.repo.dataset import Dataset
from voyager.repo.diff import RowPair, iter_row_pairs
from voyager.repo.label_facts import Fact, RegionDiff, SampleDiff, Terms
from voyager.repo.region_diff import Matches, match_regions, region_diffs
from voyager.repo.sample_diff import SamePixels, sample_facts
from voyager.repo.shape_diff import Likeness, likenesses
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.schema import decode_file
from voyager.schema.thin_rows import Sides, open_sides
from voyager.store import bulk
from voyager.store.ids import Kind

_BATCH = 256
"""Rows whose changed shapes are compared together."""

Opened = tuple[RowPair, Sides | None, Matches]


def label_diff(
    before: Dataset,
    after: Dataset,
    *,
    renames: bool = True,
    matches: Callable[[str], bool] | None = None,
    same_pixels: SamePixels | None = None,
    terms: Terms | None = None,
) -> Iterator[SampleDiff]:
    """The keys that differ and what is different about them.

    `matches` chooses keys (a renamed one by either name). Without `renames` samples are not paired
    by uid, nor regions of another id by place. `terms` are those of `terms_of`.
    """
    pairs: Iterable[RowPair] = heapq.merge(
        *(iter_row_pairs(before, after, space, renames=renames) for space in (FILES, SAMPLES)),
        key=lambda pair: pair.key,
    )
    if matches is not None:
        pairs = (
            pair
            for pair in pairs
            if matches(pair.key) or (pair.old_key is not None and matches(pair.old_key))
        )
    terms = terms or terms_of(before, after)
    return row_diff(pairs, terms, by_place=renames, same_pixels=same_pixels)


def terms_of(before: Dataset, after: Dataset, *, voices: bool = True) -> Terms:
    """The vocabularies of two versions, and their masks."""
    objects = after.objects
    old = before.vocabulary
    same = all(
        before.roots.get(space) == after.roots.get(space)
        and not before.overlay_keys(space)
        and not after.overlay_keys(space)
        for space in ("tasks", "taxonomies")
    )
    new = old if same else after.vocabulary
    return Terms(old, new, lambda blob: objects.get(blob, Kind.BLOB), voices=voices)


def row_diff(
    pairs: Iterable[RowPair],
    terms: Terms,
    *,
    by_place: bool = True,
    same_pixels: SamePixels | None = None,
) -> Iterator[SampleDiff]:
    """The diffs of pairs of rows; those without a fact are left out."""
    left = iter(pairs)
    while True:
        with bulk.paused_gc():
            batch = list(islice(left, _BATCH))
            found = _diff_batch(batch, terms, by_place=by_place, same_pixels=same_pixels)
        if not batch:
            return
        yield from found


def _diff_batch(
    batch: list[RowPair], terms: Terms, *, by_place: bool, same_pixels: SamePixels | None
) -> list[SampleDiff]:
    opened = [_open(pair, terms, by_place=by_place) for pair in batch]
    shapes = [
        shape
        for _, _, matches in opened
        for match in matches.matches
        for shape in match.shapes.pairs
    ]
    scores = iter(likenesses(shapes, terms.load))
    found = [_close(one, scores, terms, same_pixels) for one in opened]
    return [one for one in found if one]


def _open(pair: RowPair, terms: Terms, *, by_place: bool) -> Opened:
    if pair.space == FILES or pair.before is None or pair.after is None:
        return pair, None, Matches()
    sides = open_sides(pair.before, pair.after)
    if not sides.old_regions and not sides.new_regions:
        return pair, sides, Matches()
    image = sides.before.image
    size = (image.width, image.height) if image.width and image.height else None
    matches = match_regions(
        sides.old_regions, sides.new_regions, terms, size=size, by_place=by_place
    )
    return pair, sides, matches


def _close(
    one: Opened, scores: Iterator[Likeness], terms: Terms, same_pixels: SamePixels | None
) -> SampleDiff:
    pair, sides, matches = one
    scope = "file" if pair.space == FILES else "sample"
    about = Fact(scope, "", pair.key, pair.old_key)  # type: ignore[arg-type]
    facts: list[Fact] = []
    regions: tuple[RegionDiff, ...] = ()
    if pair.before is None or pair.after is None:
        kind = "added" if pair.before is None else "removed"
        facts.append(about._replace(kind=kind, before=pair.before, after=pair.after))
    else:
        kind = "modified" if pair.old_key is None else "renamed"
        if pair.old_key is not None:
            facts.append(about._replace(kind=kind, before=pair.old_key, after=pair.key))
        if sides is None:
            facts += _file_facts(pair, about)
        else:
            facts += sample_facts(sides.before, sides.after, terms, about, same_pixels=same_pixels)
            if matches.turn is not None:
                facts.append(about._replace(kind="transformed", after=matches.turn))
            regions = tuple(region_diffs(matches, scores, terms, about))
    return SampleDiff(
        kind, pair.key, pair.old_key, pair.space, pair.before, pair.after, tuple(facts), regions
    )


def _file_facts(pair: RowPair, about: Fact) -> Iterator[Fact]:
    old, new = decode_file(pair.before), decode_file(pair.after)
    if old.blob_id != new.blob_id:
        yield about._replace(kind="replaced", before=old, after=new)
    if old.executable != new.executable:
        yield about._replace(kind="mode", before=old.executable, after=new.executable)
