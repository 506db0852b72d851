"""What differs between two versions as lines of text (`diff`, `show`, `stash show`, `log`).

A key that differs is one line, with a line below it for each of its regions that does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import groupby

from voyager.commands.context import Context
from voyager.commands.fact_json import fact_json
from voyager.commands.fact_text import (
    fact_text,
    file_text,
    image_text,
    plain,
    region_name,
    region_shapes,
)
from voyager.commands.sizes import counted
from voyager.repo.class_facts import CHEAP, label_counts
from voyager.repo.dataset import Dataset
from voyager.repo.diff import Change
from voyager.repo.keys import shown
from voyager.repo.label_facts import Fact, RegionDiff, SampleDiff, Terms
from voyager.repo.snapshot import FILES
from voyager.schema import Sample, decode_file
from voyager.schema.thin_rows import thin_sample

_COLOURS = {"added": "green", "removed": "red", "renamed": "cyan", "modified": "yellow"}
_LETTERS = {"added": "A", "removed": "D", "renamed": "R", "modified": "M"}
_WORDS = {"modified": "changed"}
_SIGNS = {"+": "green", "-": "red", "~": "yellow"}
_MOST_NAMES = 12


def sample_lines(ctx: Context, found: SampleDiff, terms: Terms) -> Iterator[str]:
    """The line of a key, and those of its regions."""
    yield _head(ctx, found, terms)
    for region in found.regions:
        yield _region_line(ctx, region, terms)


def _head(ctx: Context, found: SampleDiff, terms: Terms) -> str:
    word, name = _WORDS.get(found.kind, found.kind), _name(found)
    head = ctx.style(f"{word:<8}", _COLOURS[found.kind])
    if found.kind in ("added", "removed"):
        return f"{head} {name} ({_described(found)})"
    said = "; ".join([text for fact in found.facts if (text := fact_text(fact, terms))])
    return f"{head} {name}: {said}" if said else f"{head} {name}"


def sample_title(found: SampleDiff) -> str:
    """`added hat/1.jpg (400×534 jpeg, 19.7 kB)`: a key that differs, without what does."""
    word = _WORDS.get(found.kind, found.kind)
    more = f" ({_described(found)})" if found.kind in ("added", "removed") else ""
    return f"{word} {_name(found)}{more}"


def _name(found: SampleDiff) -> str:
    name = shown(found.key)
    return name if found.old_key is None else f"{shown(found.old_key)} -> {name}"


def _described(found: SampleDiff) -> str:
    row = found.after if found.before is None else found.before
    if found.space == FILES:
        return file_text(decode_file(row))
    sample = row if isinstance(row, Sample) else thin_sample(row)
    counts = [
        counted(len(parts), noun)
        for parts, noun in ((sample.labels, "label"), (sample.regions, "region"))
        if parts
    ]
    split = [] if sample.split is None else [plain(sample.split)]
    return ", ".join([image_text(sample.image), *split, *counts])


def _region_line(ctx: Context, found: RegionDiff, terms: Terms) -> str:
    region = found.region
    sign = "+" if found.before is None else "-" if found.after is None else "~"
    place = found.old_place if found.place is None else found.place
    number = "" if place is None else f"#{place + 1} "
    name = region_name(region, terms, old=found.after is None)
    head = f"{number}{region.id.hex()[:8]}{' ' + name if name else ''}"
    mark = ctx.style(sign, _SIGNS[sign])
    (fact, *more) = found.facts
    if not more and fact.kind in ("added", "removed") and fact.scope == "region":
        return f"  {mark} {head} ({region_shapes(region)})"
    return f"  {mark} {head}: {'; '.join([fact_text(one, terms) for one in found.facts])}"


def as_name_status(change: Change | SampleDiff) -> str:
    """A change as git's --name-status has it."""
    names = (change.key,) if change.old_key is None else (change.old_key, change.key)
    return "\t".join((_LETTERS[change.kind], *map(shown, names)))


# -- tasks and classes ----------------------------------------------------------------------------


def word_lines(
    ctx: Context, facts: Iterable[Fact], terms: Terms, version: Dataset
) -> Iterator[str]:
    """Lines of tasks, taxonomies and classes; many classes that came or went share one.

    What was renamed or moved says how many labels that touches, where it is cheap to count them,
    or with -v.
    """
    facts = list(facts)
    counts = _counts_of(ctx, facts, version)
    for (kind, name), together in groupby(facts, key=_group):
        some = list(together)
        if kind in ("added", "removed") and len(some) > 1:
            yield f"{counted(len(some), 'class')} {kind}: {_names(some)} ({plain(name)})"
            continue
        for fact in some:
            count = counts.get(fact.node) if fact.scope == "class" and fact.node else None
            more = "" if count is None else f", {counted(count, 'label')}"
            yield f"{fact_text(fact, terms)}{more}"


def _group(fact: Fact) -> tuple[str, str | None]:
    return (fact.kind, fact.name) if fact.scope == "class" else (fact.scope, fact.task)


def _names(facts: list[Fact]) -> str:
    paths = [plain((fact.after or fact.before).partition("/")[2]) for fact in facts]
    more = len(paths) - _MOST_NAMES
    return ", ".join(paths[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def _counts_of(ctx: Context, facts: list[Fact], version: Dataset) -> dict[bytes, int]:
    nodes = {
        fact.node
        for fact in facts
        if fact.scope == "class" and fact.kind in ("renamed", "moved") and fact.node is not None
    }
    return label_counts(version, nodes) if ctx.verbose or len(version) <= CHEAP else {}


# -- in detail ------------------------------------------------------------------------------------


def detail_lines(ctx: Context, found: SampleDiff, terms: Terms) -> Iterator[str]:
    """The lines of a key, and below each of its facts the values before and after."""
    yield _head(ctx, found, terms)
    for fact in found.facts:
        if fact.kind not in ("added", "removed", "renamed") or fact.scope not in ("sample", "file"):
            yield from _values(ctx, fact, terms, "  ")
    for region in found.regions:
        yield _region_line(ctx, region, terms)
        for fact in region.facts:
            yield from _values(ctx, fact, terms, "    ")


def _values(ctx: Context, fact: Fact, terms: Terms, indent: str) -> Iterator[str]:
    written = fact_json(fact, terms)
    for side, sign, colour in (("before", "-", "red"), ("after", "+", "green")):
        if written[side] is not None:
            value = json.dumps(written[side], ensure_ascii=False)
            yield ctx.style(f"{indent}{sign} {fact.kind}: {shown(value)}", colour)
