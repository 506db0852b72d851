"""`vgr show --html` and `--png`: samples drawn, with their answers for captions."""

from __future__ import annotations

from collections.abc import Sequence
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
from voyager.commands.samples import sample_text, with_state
from voyager.commands.sizes import counted
from voyager.pictures import (
    Card,
    Legend,
    Page,
    Picture,
    frame_of,
    sample_marks,
    sample_picture,
)
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.schema import Sample
from voyager.store import files
from voyager.store.purge import tombstones

_MOST = 200


def write_png(ctx: Context, repo: Repository, version: Dataset, key: str, path: Path) -> None:
    """Write one sample as a picture of its own size."""
    sample = _drawn(repo, version, key)
    words = version.vocabulary
    legend = legend_of(words, class_colours(words))
    picture = sample_picture(sample, blob_reader(version), legend=legend)
    files.write_atomic(path, picture)
    if ctx.json:
        ctx.emit({"png": str(path)})
    ctx.say(f"{path}: {shown(key)}")


def write_sample_page(
    ctx: Context, repo: Repository, version: Dataset, keys: Sequence[str], path: Path
) -> None:
    """Write a page with a card for each of the first samples."""
    from voyager.pictures import iter_html

    colours = class_colours(version.vocabulary)
    legend = legend_of(version.vocabulary, colours)
    cards = [_card(ctx, repo, version, key, legend) for key in keys[:_MOST]]
    page = Page(
        title=shown(keys[0]) if len(keys) == 1 else counted(len(keys), "sample"),
        cards=tuple(cards),
        more=max(len(keys) - _MOST, 0),
        colours=used_colours((name for card in cards for name in card.classes), colours),
    )
    write_page_file(path, iter_html(page, page.cards))
    if ctx.json:
        ctx.emit({"html": str(path), "cards": len(cards), "more": page.more})
    ctx.say(f"{path}: {counted(len(cards), 'sample')}")


def _card(ctx: Context, repo: Repository, version: Dataset, key: str, legend: Legend) -> Card:
    sample = _drawn(repo, version, key)
    lines = [line.strip() for line in sample_text(ctx, repo, version, key, version[key])]
    return Card(
        shown(key),
        facts=tuple(lines[1:]),
        pictures=(_picture(version, key, sample, legend),),
        classes=_classes(version, sample),
    )


def _picture(version: Dataset, key: str, sample: Sample, legend: Legend) -> Picture:
    read = blob_reader(version)
    frame = frame_of(sample.image, read)
    return whole_picture(frame, sample_marks(sample, read, legend), "", alt=shown(key))


def _classes(version: Dataset, sample: Sample) -> tuple[str, ...]:
    said = [*sample.labels, *(label for region in sample.regions for label in region.labels)]
    word = version.vocabulary.word
    return tuple(dict.fromkeys(word(label) for label in said if label.node is not None))


def _drawn(repo: Repository, version: Dataset, key: str) -> Sample:
    """A sample as it is now, with its answers for labels."""
    return answered(with_state(version[key], tombstones(repo.store)), version.vocabulary)
