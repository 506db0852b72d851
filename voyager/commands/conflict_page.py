"""`vgr conflicts --html`: one page with a card for each conflict, base and sides in a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voyager import wire
from voyager.commands.conflict_text import Words, counted_conflicts, kind_of, stat_of
from voyager.commands.context import Context
from voyager.commands.drawing import blob_reader, class_colours, legend_of, used_colours
from voyager.commands.page_file import write_page_file
from voyager.commands.sizes import counted
from voyager.merge.conflicts import Standing
from voyager.pictures import (
    Card,
    Colour,
    Frame,
    Legend,
    Mark,
    Page,
    Picture,
    ReadBlob,
    Row,
    Side,
    blank,
    crop,
    frame_of,
    iter_html,
    picture_of,
    region_marks,
    window_around,
)
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Image, Label, Sample
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    decode_field,
    find_region,
    pair_of,
    region_of,
    region_path,
    write_field,
)

_MOST_LETTERS = 40


def write_page(
    ctx: Context,
    path: Path,
    version: Dataset,
    found: Sequence[Standing],
    name: str,
    *,
    limit: int,
) -> None:
    """Write the page, with at most `limit` cards."""
    colours = class_colours(version.vocabulary)
    maker = _Cards(version, blob_reader(version), legend_of(version.vocabulary, colours))
    chosen = found[:limit]
    more = len(found) - len(chosen)
    kinds = stat_of(found, version.vocabulary)["kinds"]
    page = Page(
        title=f"Conflicts: {name}",
        subtitle=counted_conflicts(found) if found else "no conflicts",
        columns=("conflicts",),
        summary_rows=tuple(Row(kind, (count,)) for kind, count in sorted(kinds.items())),
        more=more,
        colours=_colours(maker, chosen, colours),
    )
    write_page_file(path, iter_html(page, map(maker.card, chosen)))
    if ctx.json:
        ctx.emit({"html": str(path), "cards": len(chosen), "more": more})
    rest = f", and {more:,} more that are not on it (--limit N)" if more else ""
    ctx.say(f"{path}: {counted(len(chosen), 'card')}{rest}")


def _colours(
    maker: _Cards, chosen: Sequence[Standing], colours: Mapping[str, Colour]
) -> dict[str, Colour]:
    return used_colours((name for one in chosen for name in maker.classes(one)), colours)


@dataclass
class _Cards:
    """Makes the card of a conflict."""

    version: Dataset
    read: ReadBlob
    legend: Legend
    _words: Words | None = None
    _frame: tuple[Image, Frame] | None = None
    _name: str = ""

    def card(self, one: Standing) -> Card:
        """A heading, a picture for the base and for each option, and what they say."""
        if self._words is None or self._name != one.name:
            self._words, self._name = Words(self.version, one), one.name
        words = self._words
        return Card(
            words.subject(one),
            facts=(words.sides(one),),
            pictures=tuple(self._pictures(one, words)) if one.space == SAMPLES else (),
            kinds=(kind_of(one),),
            classes=self.classes(one),
            section=shown(one.name),
        )

    def classes(self, one: Standing) -> tuple[str, ...]:
        """The classes that the values name."""
        if one.space != SAMPLES or pair_of(one.path) is not None:
            return ()
        values = (decode_field(one.path, term) for term in (*one.options, one.base))
        labels = [value for value in values if isinstance(value, Label) and value.node is not None]
        return tuple(dict.fromkeys(map(self.version.vocabulary.word, labels)))

    def _pictures(self, one: Standing, words: Words) -> Iterator[Picture]:
        """Base and options through one window."""
        sides = list(self._sides(one, words))
        window = window_around([side for _, side in sides])
        for caption, side in sides:
            short = caption if len(caption) <= _MOST_LETTERS else f"{caption[:_MOST_LETTERS]}…"
            alt = ", ".join(filter(None, (f"{words.subject(one)} in {shown(one.name)}", caption)))
            yield picture_of(crop(side, window), short, alt=alt)

    def _sides(self, one: Standing, words: Words) -> Iterator[tuple[str, Side]]:
        pair = pair_of(one.path)
        if pair is None and region_of(one.path) is None and one.path not in (SAMPLE, "image"):
            yield "", self._side(one, one.base)  # nothing of it can be seen
            return
        if pair is None and (one.path != SAMPLE or one.base != ABSENT):
            yield f"base: {words.value(one, one.base)}", self._side(one, one.base)
        for who, term in words.options(one):
            said = words.region(wire.decode(term)) if pair else words.value(one, term)
            yield f"{who}: {said}", self._side(one, term)

    def _side(self, one: Standing, term: bytes) -> Side:
        """The image as it is with the field set to a term, marks of what is meant in front."""
        known = self.version.get(one.name)
        if one.path == SAMPLE:
            sample: Sample | None = decode_field(SAMPLE, term)
            if sample is None:
                return Side(blank("deleted", None if known is None else known.image))
            return Side(self._frame_of(sample), tuple(self._marks(sample, None)))
        if known is None:
            return Side(blank("nothing"))
        sample = _with(known, one.path, term)
        pair = pair_of(one.path)
        focus = wire.decode(term) if pair else region_of(one.path)
        around = [replace(mark, caption="") for mark in self._marks(sample, focus, others=True)]
        if focus is None:
            return Side(self._frame_of(sample), tuple(self._marks(sample, None)))
        return Side(self._frame_of(sample), tuple(self._marks(sample, focus)), tuple(around))

    def _marks(
        self, sample: Sample, focus: bytes | None, *, others: bool = False
    ) -> Iterator[Mark]:
        """The marks of a region (None: of all), or of all others."""
        for region in sample.regions:
            if focus is None or (region.id == focus) != others:
                yield from region_marks(region, self.read, self.legend)

    def _frame_of(self, sample: Sample) -> Frame:
        if self._frame is None or self._frame[0] != sample.image:
            self._frame = sample.image, frame_of(sample.image, self.read)
        return self._frame[1]


def _with(sample: Sample, path: str, term: bytes) -> Sample:
    """The sample with a field set to a term."""
    if path in (SAMPLE, KEY) or pair_of(path) is not None or (path == "image" and term == ABSENT):
        return sample
    own = region_of(path)
    if own is not None and path != region_path(own) and find_region(sample, own) is None:
        return sample
    return write_field(sample, path, decode_field(path, term))
