"""Rows of an import on their way: ids, links within a sample, several words about one image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import force_setattr

from voyager.formats.base import NEW_ID
from voyager.formats.updating import joined
from voyager.schema import Label, Region, Sample, decode_sample, encode_sample
from voyager.schema.ids import mint_region_id, mint_region_ids


def give_ids(anchor: bytes | str, regions: tuple[Region, ...]) -> None:
    """Mint the ids that a reader left open, in the order of the regions.

    They are set in place: the reader made these regions a moment ago, and nobody has seen them.
    """
    given = [region.id for region in regions]
    if given.count(NEW_ID) == len(given):
        for region, own in zip(regions, mint_region_ids(anchor, regions), strict=True):
            force_setattr(region, "id", own)
        return
    taken = {region.id for region in regions if region.id != NEW_ID}
    for region in regions:
        if region.id == NEW_ID:
            force_setattr(region, "id", mint_region_id(anchor, region, taken))
            taken.add(region.id)


def own_links(sample: Sample) -> None:
    """Give links within a new sample its uid, where the reader wrote NEW_ID for it."""
    for region in sample.regions:
        if region.links and any(link.uid == NEW_ID for link in region.links):
            links = (
                link.replace(uid=sample.uid) if link.uid == NEW_ID else link
                for link in region.links
            )
            force_setattr(region, "links", tuple(links))


def joined_row(rows: list[bytes]) -> bytes:
    return rows[0] if len(rows) == 1 else encode_sample(join_rows(rows))


def join_rows(rows: Iterable[bytes]) -> Sample:
    """Several descriptions of one image as one; equal regions get ids of their own."""
    first, *others = map(decode_sample, rows)
    for other in others:
        first = joined(first, other)
    return first


def with_nodes(sample: Sample, nodes: Mapping[bytes, bytes]) -> Sample:
    """The sample with the ids of renamed classes in place of the newly minted ones."""
    if not nodes:
        return sample
    regions = tuple(
        region.replace(labels=_named_anew(region.labels, nodes))
        if any(label.node in nodes for label in region.labels)
        else region
        for region in sample.regions
    )
    return sample.replace(labels=_named_anew(sample.labels, nodes), regions=regions)


def _named_anew(labels: tuple[Label, ...], nodes: Mapping[bytes, bytes]) -> tuple[Label, ...]:
    return tuple(
        label if label.node is None else label.replace(node=nodes.get(label.node, label.node))
        for label in labels
    )
