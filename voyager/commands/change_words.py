"""What one version of a sample or region changed of another, on one line."""

from __future__ import annotations

from collections.abc import Iterator

from voyager.commands.fact_text import fact_text, region_name, region_shapes
from voyager.repo.diff import RowPair
from voyager.repo.label_diff import row_diff
from voyager.repo.label_facts import RegionDiff, SampleDiff, Terms
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Region, Sample

_MOST = 4


def sample_change(before: Sample, after: Sample, terms: Terms) -> str:
    """`color red → blue; #2 (cat) box moved (IoU 0.81)`; what is too much is counted."""
    found = list(_sample_facts(before, after, terms))
    more = [f"and {len(found) - _MOST} more"] if len(found) > _MOST else []
    return "; ".join([*found[:_MOST], *more]) or "details"


def region_change(sample: Sample, before: Region, after: Region, terms: Terms) -> str:
    """The same of one region, without its name."""
    old, new = (sample.replace(regions=(region,)) for region in (before, after))
    found = [fact for region in _diff(old, new, terms).regions for fact in _facts(region, terms)]
    return "; ".join(found) or "details"


def _sample_facts(before: Sample, after: Sample, terms: Terms) -> Iterator[str]:
    found = _diff(before, after, terms)
    yield from filter(None, (fact_text(fact, terms) for fact in found.facts))
    for region in found.regions:
        old, place = region.after is None, region.old_place
        number = f"#{(region.place or 0) + 1}" if place is None else f"#{place + 1}"
        name = region_name(region.region, terms, old=old)
        about = f"{number} ({name})" if name else number
        if region.before is None or region.after is None:
            yield f"{about} {'added' if region.before is None else 'removed'}"
            continue
        for fact in _facts(region, terms):
            yield f"{about} {fact}"


def _facts(region: RegionDiff, terms: Terms) -> Iterator[str]:
    if region.before is None or region.after is None:
        yield region_shapes(region.region)
        return
    yield from filter(None, (fact_text(fact, terms) for fact in region.facts))


def _diff(before: Sample, after: Sample, terms: Terms) -> SampleDiff:
    pair = RowPair(SAMPLES, "", None, before, after)
    return next(row_diff([pair], terms), SampleDiff("modified", "", None, SAMPLES, before, after))
