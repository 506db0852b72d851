"""The facts between two versions, and how commands show them (`diff`, `show`, `stash show`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from voyager.commands import changes
from voyager.commands.context import Context
from voyager.commands.fact_json import fact_json
from voyager.commands.stat_text import labels_text, stat_lines, summary_text
from voyager.repo.class_facts import class_facts
from voyager.repo.dataset import Dataset
from voyager.repo.fact_filter import EVERYTHING, Wanted
from voyager.repo.keys import KeyPattern
from voyager.repo.label_diff import label_diff, terms_of
from voyager.repo.label_facts import Fact, SampleDiff, Terms
from voyager.repo.label_stat import Stat, counted_while, stat_of
from voyager.repo.sample_diff import SamePixels
from voyager.schema import Image
from voyager.store import bulk

_MOST_LOOKED_AT = 2_000
_FEW = 10
"""More lines than this begin with a summary."""
_IN_MEMORY = 32 * 1024 * 1024


@dataclass(frozen=True)
class Difference:
    """Two versions, and which of the facts between them are wanted."""

    before: Dataset
    after: Dataset
    keys: tuple[str, ...] = ()
    wanted: Wanted = EVERYTHING
    renames: bool = True
    detail: bool = False
    voices: bool = True

    @cached_property
    def terms(self) -> Terms:
        """The vocabularies of both."""
        return terms_of(self.before, self.after, voices=self.voices)

    @cached_property
    def words(self) -> list[Fact]:
        """The facts of tasks and classes, which belong to no key."""
        if self.keys:
            return []
        return [fact for fact in class_facts(self.before, self.after) if self.wanted.fits(fact)]

    def samples(self) -> Iterator[SampleDiff]:
        """The keys that differ, with their facts."""
        patterns = [KeyPattern(key) for key in self.keys]

        def matches(key: str) -> bool:
            return any(pattern.matches(key) for pattern in patterns)

        found = label_diff(
            self.before,
            self.after,
            renames=self.renames,
            matches=matches if patterns else None,
            same_pixels=_same_pixels(self.after) if self.detail else None,
            terms=self.terms,
        )
        return self.wanted.choose(found)


def show_lines(
    ctx: Context,
    found: Difference,
    samples: Iterable[SampleDiff],
    *,
    most: int | None = None,
    more: str = "",
) -> None:
    """Show every fact, or so many lines, and a summary before many of them; `more` tells the rest.

    The lines wait until the last is known, in a temporary file where they are very many.
    """
    stat = Stat(found.terms)
    count = 0
    with (
        bulk.paused_gc(),
        tempfile.SpooledTemporaryFile(_IN_MEMORY, "w+", encoding="utf-8", newline="\n") as lines,
    ):
        for line in _lines(ctx, found, counted_while(samples, stat)):
            if most is None or count < most:
                lines.write(f"{line}\n")
            count += 1
        for fact in found.words:
            stat.count(fact)
        if count > _FEW:
            ctx.show(f"{ctx.style(summary_text(stat), 'bold')}\n")
        lines.seek(0)
        while text := lines.read(1 << 16):
            ctx.show_text(text)
        if most is not None and count > most:
            ctx.show(f"… and {count - most:,} more lines{more}")


def _lines(ctx: Context, found: Difference, samples: Iterable[SampleDiff]) -> Iterator[str]:
    terms = found.terms
    yield from changes.word_lines(ctx, found.words, terms, found.after)
    for one in samples:
        if found.detail:
            yield from changes.detail_lines(ctx, one, terms)
        else:
            yield from changes.sample_lines(ctx, one, terms)


def emit_facts(ctx: Context, found: Difference, samples: Iterable[SampleDiff]) -> None:
    """A line of JSON for each fact, and how many there are of each kind."""
    counts: dict[str, dict[str, int]] = {}
    terms = found.terms
    with bulk.paused_gc():
        for fact in chain(found.words, chain.from_iterable(samples)):
            ctx.emit_line(fact_json(fact, terms))
            here = counts.setdefault(fact.scope, {})
            here[fact.kind] = here.get(fact.kind, 0) + 1
    ctx.emit_line({"summary": counts})


def said_text(before: Dataset, after: Dataset, counts: Mapping[str, int]) -> str:
    """What regions and labels have become, where few enough rows changed to be looked at.

    `counts` are those of `voyager.repo.diff.counts`.
    """
    looked_at = sum(counts.get(kind, 0) for kind in ("modified", "renamed", "labels"))
    if not 0 < looked_at <= _MOST_LOOKED_AT or counts.get("added", 0) > _MOST_LOOKED_AT:
        return ""
    found = Difference(before, after)
    return labels_text(stat_of(found.samples(), found.terms))


def show_stat(
    ctx: Context, found: Difference, samples: Iterable[SampleDiff], *, short: bool = False
) -> None:
    """Show counts by class, task and folder; when `short` only their sum."""
    with bulk.paused_gc():
        stat = stat_of(samples, found.terms, found.words)
    if stat.counts:
        for line in [f" {summary_text(stat)}"] if short else stat_lines(stat):
            ctx.show(line)


def _same_pixels(version: Dataset) -> SamePixels:
    def same(before: Image, after: Image) -> bool:
        from voyager.commands.diff_page import same_pixels

        return same_pixels(version, before, after)

    return same
