"""`vgr search --html`: one page with what was looked for and what was found, as pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voyager.commands.context import Context
from voyager.commands.drawing import (
    answered,
    blob_reader,
    class_colours,
    legend_of,
    used_colours,
    whole_picture,
)
from voyager.commands.page_file import write_page_file
from voyager.commands.search_options import hit_name
from voyager.commands.sizes import counted
from voyager.pictures import (
    Card,
    Legend,
    Page,
    Picture,
    Side,
    crop,
    frame_of,
    iter_html,
    picture_of,
    read_frame,
    region_marks,
    sample_marks,
    window_around,
)
from voyager.repo.dataset import Dataset
from voyager.schema import Sample
from voyager.search.examples import named_in
from voyager.search.query import Hit, Query, Results, image_name

_MOST = 500
_MOST_SHOWN = 24
"""Of what a glob names."""


def write_page(ctx: Context, path: Path, version: Dataset, query: Query, found: Results) -> None:
    """Write the page; beyond a number, hits are counted only."""
    colours = class_colours(version.vocabulary)
    legend = legend_of(version.vocabulary, colours)
    hits = found.hits[:_MOST]
    cards = [*_looked_for(version, query, legend)]
    cards += [_card(version, found, place, hit, legend) for place, hit in enumerate(hits, 1)]
    page = Page(
        title=f"Search: {query}",
        subtitle="; ".join([counted(len(found), "hit"), *found.plan]),
        cards=tuple(cards),
        more=len(found) - len(hits),
        colours=used_colours((name for card in cards for name in card.classes), colours),
    )
    write_page_file(path, iter_html(page, page.cards))
    if ctx.json:
        ctx.emit({"html": str(path), "cards": len(hits), "more": page.more})
    ctx.say(f"{path}: {counted(len(hits), 'hit')}")


def _looked_for(version: Dataset, query: Query, legend: Legend) -> Iterator[Card]:
    """The pictures of the query; those that it is to be unlike, too."""
    section = "looked for"
    for image in query.images:
        data = image if isinstance(image, bytes) else Path(image).read_bytes()
        name = image_name(image)
        picture = whole_picture(read_frame(data), (), "", alt=name)
        yield Card(name, pictures=(picture,), section=section)
    for word, names in (("like", query.like), ("unlike", query.unlike)):
        for name in names:
            pictures = tuple(
                _picture(version, item.key, item.region, legend, name)
                for item in named_in(version, name).items[:_MOST_SHOWN]
            )
            yield Card(f"{word} {name}", pictures=pictures, section=section)


def _card(version: Dataset, found: Results, place: int, hit: Hit, legend: Legend) -> Card:
    name = hit_name(version, found, hit)
    region = hit.region if found.of == "regions" else None
    sample = answered(version[hit.key], version.vocabulary)
    facts = (f"score {hit.score:.2f}", *hit.why)
    return Card(
        f"{place}. {name}",
        facts=(*facts, f"split {sample.split}") if sample.split else facts,
        pictures=(_picture(version, hit.key, region, legend, name),),
        classes=_classes(version, sample, region),
        section="found",
    )


def _picture(
    version: Dataset, key: str, region_id: bytes | None, legend: Legend, name: str
) -> Picture:
    """A region and what is around it, or the whole of a sample."""
    read = blob_reader(version)
    sample = answered(version[key], version.vocabulary)
    frame = frame_of(sample.image, read)
    if region_id is None:
        return whole_picture(frame, sample_marks(sample, read, legend), "", alt=name)
    region = next(region for region in sample.regions if region.id == region_id)
    side = Side(frame, region_marks(region, read, legend))
    return picture_of(crop(side, window_around([side])), "", alt=name)


def _classes(version: Dataset, sample: Sample, region_id: bytes | None) -> tuple[str, ...]:
    regions = [one for one in sample.regions if region_id in (None, one.id)]
    labels = [*sample.labels, *(label for one in regions for label in one.labels)]
    word = version.vocabulary.word
    return tuple(dict.fromkeys(word(label) for label in labels if label.node is not None))
