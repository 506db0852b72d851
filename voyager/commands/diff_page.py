"""`vgr diff --html`: one page with a picture of everything that differs, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voyager.commands.changes import sample_title, word_lines
from voyager.commands.context import Context
from voyager.commands.drawing import (
    blob_reader,
    class_colours,
    legend_of,
    used_colours,
    whole_picture,
)
from voyager.commands.fact_text import fact_text, region_name, region_shapes
from voyager.commands.page_file import write_page_file
from voyager.commands.sizes import counted
from voyager.commands.stat_text import class_table, summary_text
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
    before_after,
    frame_of,
    iter_html,
    region_marks,
    sample_marks,
)
from voyager.repo.keys import shown
from voyager.repo.label_facts import Fact, RegionDiff, SampleDiff, Terms
from voyager.repo.label_stat import Stat
from voyager.repo.snapshot import FILES
from voyager.schema import Image, Region, Sample, decode_sample

if TYPE_CHECKING:
    from voyager.commands.differences import Difference
    from voyager.repo.dataset import Dataset

_WORDS_SECTION = "Tasks and classes"


def write_page(
    ctx: Context,
    path: Path,
    found: Difference,
    samples: Iterable[SampleDiff],
    names: Mapping[str, str],
    *,
    limit: int,
) -> None:
    """Write the page, with at most `limit` cards, and say so."""
    stat = Stat(found.terms)
    colours = class_colours(found.terms.before, found.terms.after)
    maker = _Cards(found.terms, blob_reader(found.before), blob_reader(found.after), colours)
    cards: list[Card] = []
    made = more = 0
    for fact in found.words:
        stat.count(fact)
    if found.words:
        lines = tuple(word_lines(ctx, found.words, found.terms, found.after))
        cards.append(Card(_WORDS_SECTION, facts=lines, section=_WORDS_SECTION))
    for one in samples:
        stat.add(one)
        room = limit - made
        more += max(maker.count(one) - max(room, 0), 0)
        if room > 0:
            new = maker.cards(one, room)
            cards += new
            made += len(new)
    columns, rows = class_table(stat)
    page = Page(
        title=f"{names['from']} → {names['to']}",
        subtitle=summary_text(stat) or "no changes",
        columns=columns,
        summary_rows=tuple(Row(name, counts) for name, counts in rows),
        cards=tuple(cards),
        more=more,
        colours=used_colours((name for card in cards for name in card.classes), colours),
    )
    write_page_file(path, iter_html(page, page.cards))
    if ctx.json:
        ctx.emit({"html": str(path), "cards": len(cards), "more": more})
    rest = f", and {more:,} more that are not on it (--limit N)" if more else ""
    ctx.say(f"{path}: {counted(len(cards), 'card')}{rest}")


@dataclass
class _Cards:
    """Makes the cards of a key: one for what is said of the whole, one for each of its regions."""

    terms: Terms
    read_before: ReadBlob
    read_after: ReadBlob
    colours: Mapping[str, Colour]
    _frames: dict[bytes | None, Frame] = field(default_factory=dict)

    def count(self, one: SampleDiff) -> int:
        """How many cards a key has."""
        return len(one.regions) + bool(one.facts)

    def cards(self, one: SampleDiff, most: int) -> list[Card]:
        """The first cards of a key."""
        if one.space == FILES:
            return [self._file_card(one)]
        self._frames.clear()
        before, after = _sample_of(one.before), _sample_of(one.after)
        cards = [self._whole_card(one, before, after)] if one.facts else []
        room = most - len(cards)
        cards += [self._region_card(one, region, before, after) for region in one.regions[:room]]
        return cards

    def _file_card(self, one: SampleDiff) -> Card:
        title, facts = sample_title(one), self._words(one.facts)
        return Card(title, facts=facts, kinds=(one.kind,), section=shown(one.key))

    def _words(self, facts: Iterable[Fact]) -> tuple[str, ...]:
        return tuple(text for fact in facts if (text := fact_text(fact, self.terms)))

    def _whole_card(self, one: SampleDiff, before: Sample | None, after: Sample | None) -> Card:
        """The whole picture, both where the image changed."""
        kinds = tuple(dict.fromkeys(fact.kind for fact in one.facts))
        same = before is not None and after is not None and before.image == after.image
        about = shown(one.key)
        pictures = []
        if before is not None and not same:
            pictures.append(self._whole(before, "before", about, old=True))
        if after is not None:
            pictures.append(self._whole(after, "now" if same else "after", about, old=False))
        return Card(
            sample_title(one),
            facts=self._words(one.facts),
            pictures=tuple(pictures),
            kinds=kinds,
            classes=_classes(before, after, self.terms),
            section=shown(one.key),
        )

    def _whole(self, sample: Sample, caption: str, about: str, *, old: bool) -> Picture:
        read = self.read_before if old else self.read_after
        marks = sample_marks(sample, read, self._legend(old=old))
        frame = self._frame(sample.image, read)
        return whole_picture(frame, marks, caption, alt=f"{about}, {caption}")

    def _region_card(
        self, one: SampleDiff, found: RegionDiff, before: Sample | None, after: Sample | None
    ) -> Card:
        name = region_name(found.region, self.terms, old=found.after is None) or "no class"
        words = self._words(found.facts) or (region_shapes(found.region),)
        sides = self._region_sides(found, before, after)
        return Card(
            f"{name} {found.region.id.hex()[:8]}",
            facts=words,
            pictures=before_after(*sides, about=f"{name} in {shown(one.key)}"),
            kinds=tuple(dict.fromkeys(fact.kind for fact in found.facts)),
            classes=_classes(found.before, found.after, self.terms),
            section=shown(one.key),
        )

    def _region_sides(
        self, found: RegionDiff, before: Sample | None, after: Sample | None
    ) -> tuple[Side | None, Side | None]:
        """Both images around the region, also where one of them does not hold it."""
        old, new = _shown_regions(found)
        return (
            None if before is None else self._side(before, old, old=True),
            None if after is None else self._side(after, new, old=False),
        )

    def _side(self, sample: Sample, regions: tuple[Region, ...], *, old: bool) -> Side:
        read, legend = (self.read_before if old else self.read_after), self._legend(old=old)
        ids = {region.id for region in regions}
        marks: list[Mark] = []
        for region in regions:
            marks += region_marks(region, read, legend)
        around = [
            replace(mark, caption="")
            for region in sample.regions
            if region.id not in ids and region.state != "rejected"
            for mark in region_marks(region, read, legend)
        ]
        return Side(self._frame(sample.image, read), tuple(marks), tuple(around))

    def _legend(self, *, old: bool) -> Legend:
        vocabulary = self.terms.before if old else self.terms.after
        return legend_of(vocabulary, self.colours, self.terms.was if old else self.terms.now)

    def _frame(self, image: Image, read: ReadBlob) -> Frame:
        blob = image.blob_id
        if blob is None:
            return frame_of(image, read)
        if blob not in self._frames:
            self._frames[blob] = frame_of(image, read)
        return self._frames[blob]


def _sample_of(row: Any) -> Sample | None:
    return row if row is None or isinstance(row, Sample) else decode_sample(row)


def _shown_regions(found: RegionDiff) -> tuple[tuple[Region, ...], tuple[Region, ...]]:
    """The regions of each side that a card is about: all parts of what was divided or joined."""
    old = () if found.before is None else (found.before,)
    new = () if found.after is None else (found.after,)
    for fact in found.facts:
        if fact.kind == "divided":
            new = fact.after
        elif fact.kind == "joined":
            old = fact.before
    return old, new


def _classes(
    before: Sample | Region | None, after: Sample | Region | None, terms: Terms
) -> tuple[str, ...]:
    """The classes that the labels of both sides name."""
    names: dict[str, None] = {}
    for side, word in ((before, terms.was), (after, terms.now)):
        for label in () if side is None else side.labels:
            if label.node is not None:
                names[word(label)] = None
    return tuple(names)


def same_pixels(version: Dataset, before: Image, after: Image) -> bool:
    """Whether two stored images decode to the same pixels."""
    import numpy as np

    read = blob_reader(version)
    one, other = (frame_of(image, read).pixels for image in (before, after))
    if one is None or other is None or one.size != other.size:
        return False
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))
