"""Conflicts in words: what it is about, what the base holds, and what each side says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from voyager import wire
from voyager.commands.change_words import region_change, sample_change
from voyager.commands.context import Context
from voyager.commands.fact_text import (
    ARROW,
    file_text,
    image_text,
    plain,
    region_shapes,
    value_text,
)
from voyager.commands.sizes import counted
from voyager.merge.conflict_json import term_to_json
from voyager.merge.conflicts import Standing
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.label_diff import terms_of
from voyager.repo.snapshot import FILES, SAMPLES, TASKS, TAXONOMIES
from voyager.schema import Box, FileRow, Image, Label, Region, Sample, decode_file
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import (
    KEY,
    SAMPLE,
    decode_field,
    pair_of,
    parse_path,
    region_of,
    region_path,
    task_of,
)
from voyager.schema.geometry import Geometry
from voyager.schema.measures import bounds
from voyager.schema.thin_rows import uid_of
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_rows import parse_node_key

_SIDES = ("ours", "theirs")
_GOES_WITHOUT_SAYING = ("human", "import")
_Sample = Sample


def conflict_lines(ctx: Context, version: Dataset, found: Sequence[Standing]) -> Iterator[str]:
    """A line for each sample and the like, and below it one for each conflict."""
    for name, own in groupby(found, key=lambda one: one.name):
        conflicts = list(own)
        yield ctx.style(shown(name), "yellow")
        words = Words(version, conflicts[0])
        for one in conflicts:
            yield f"  {words.subject(one)}: {words.sides(one)}"


def counted_conflicts(found: Sequence[Standing]) -> str:
    """`7 conflicts in 3 samples and 1 task`."""
    spaces = Counter(space for space, _ in {(one.space, one.key) for one in found})
    nouns = {SAMPLES: "sample", FILES: "file", TASKS: "task", TAXONOMIES: "class"}
    parts = [counted(count, nouns.get(space, "row")) for space, count in sorted(spaces.items())]
    head = f"{', '.join(parts[:-1])} and " if parts[1:] else ""
    return f"{counted(len(found), 'conflict')} in {head}{parts[-1]}"


class Words:
    """How the conflicts of one row are told: regions by their number, classes by their paths."""

    def __init__(self, version: Dataset, one: Standing) -> None:
        self._vocabulary: Vocabulary = version.vocabulary
        self._terms = terms_of(version, version)
        row = version.row(one.space, one.key) if one.space == SAMPLES else None
        self._sample = None if row is None else version[one.name]
        regions = () if self._sample is None else self._sample.regions
        self._regions = {region.id: region for region in regions}
        self._numbers = {region.id: number for number, region in enumerate(regions, 1)}

    def subject(self, one: Standing) -> str:
        """What is in conflict: `color`, `#2 (cat) box`, `split`."""
        if one.space != SAMPLES:
            return one.path
        pair = pair_of(one.path)
        if pair is not None:
            return f"{self.region(pair[0])} and {self.region(pair[1])}"
        own = region_of(one.path)
        parts = parse_path(one.path)
        if own is None:
            return self._field(one, parts)
        if one.path == region_path(own):
            return self.region(own)
        field = self._field(one, parts[2:])
        which = self.region(own, bare=task_of(one.path) is not None)
        return f"{which} {field}{_which_class(one)}"

    def region(self, own: bytes, *, bare: bool = False) -> str:
        """`#2 (cat)`; its id where it has no place in the sample while in conflict."""
        number = self._numbers.get(own)
        name = f"#{number}" if number is not None else f"#{own.hex()[:8]}"
        region = self._regions.get(own)
        labels = () if region is None or bare else region.labels
        said = dict.fromkeys(plain(self._vocabulary.spoken(label)) for label in labels)
        return f"{name} ({', '.join(said)})" if said else name

    def _field(self, one: Standing, parts: Sequence[str]) -> str:
        if parts[0] == "labels":
            voice = "" if parts[2] in _GOES_WITHOUT_SAYING else f" ({plain(parts[2])})"
            words = (self._which(one) if part[0] == "=" else part for part in parts[3:])
            return f"{' '.join(map(plain, (parts[1], *words)))}{voice}"
        if parts[0] == "geometries":
            return plain(parts[1])
        return plain(".".join(parts))

    def _which(self, one: Standing) -> str:
        """The answer that a conflict is about, of a task that takes several."""
        labels = (decode_field(one.path, term) for term in (*one.options, one.base))
        return next(self._vocabulary.spoken(label) for label in labels if label is not None)

    def sides(self, one: Standing) -> str:
        """`red → ours green | theirs blue`; what stands before a value is the option to type."""
        pair = pair_of(one.path) if one.space == SAMPLES else None
        options = " | ".join(
            f"{who} {self.region(wire.decode(term), bare=True) if pair else self.value(one, term)}"
            for who, term in self.options(one)
        )
        if pair:
            return f"maybe one thing ({options}): --same or --different"
        if _two_samples(one):
            return f"two images at one key: {options}"
        return f"{self.value(one, one.base)} {ARROW} {options}"

    def options(self, one: Standing) -> list[tuple[str, bytes]]:
        """(who says it, or else the number to pick; the term) of each value, ours first."""
        found = []
        for number, term in enumerate(one.options, 1):
            sides = [at for at, said in enumerate(one.sides) if said == term]
            names = [_SIDES[at] if at < len(_SIDES) else f"side {at + 1}" for at in sides]
            first = sides[0] if sides else len(one.sides) + number
            found.append((first, ", ".join(names) or f"pick {number}", term))
        return [(who, term) for _, who, term in sorted(found)]

    def value(self, one: Standing, term: bytes) -> str:
        """A value in words."""
        if one.space == FILES:
            return "deleted" if term == ABSENT else file_text(decode_file(term))
        if one.space != SAMPLES:
            return self._word(one, term)
        if one.path == SAMPLE:
            return self._whole(one, term)
        value = decode_field(one.path, term)
        if one.path == KEY:
            return "nothing" if value is None else plain(value)
        own = region_of(one.path)
        if value is None:
            return "deleted" if own is not None and one.path == region_path(own) else "nothing"
        if isinstance(value, Region):
            return self._region_value(one, value)
        return self._part(value)

    def _region_value(self, one: Standing, value: Region) -> str:
        """A region, and what is different about it where its class and shapes do not tell."""
        said, before = self._part(value), decode_field(one.path, one.base)
        if before in (None, value) or self._sample is None or self._part(before) != said:
            return said
        return f"{said} ({region_change(self._sample, before, value, self._terms)})"

    def _whole(self, one: Standing, term: bytes) -> str:
        if term == ABSENT:
            return "deleted" if one.base != ABSENT else "nothing"
        sample: _Sample = decode_field(one.path, term)
        if one.base != ABSENT:
            if term == one.base:
                return "unchanged"
            changes = sample_change(decode_field(one.path, one.base), sample, self._terms)
            return f"changed ({changes})"
        labels = ", ".join(plain(self._vocabulary.spoken(label)) for label in sample.labels)
        return f"{image_text(sample.image)}{f' ({labels})' if labels else ''}"

    def _part(self, value: Any) -> str:
        match value:
            case Label():
                return plain(self._vocabulary.spoken(value)) + _certainty(value)
            case Region():
                said = dict.fromkeys(
                    plain(self._vocabulary.spoken(label)) for label in value.labels
                )
                shapes = ", ".join(map(shape_text, value.geometries.values()))
                return ", ".join(filter(None, (*said, shapes or region_shapes(value))))
            case Image():
                return image_text(value)
            case FileRow():
                return file_text(value)
            case _ if isinstance(value, Geometry):
                return shape_text(value)
        return value_text(value) if _is_plain(value) else "changed"

    def _word(self, one: Standing, term: bytes) -> str:
        """A field of a task or class."""
        if one.path in ("node", "task", "row"):
            return "removed" if term == ABSENT else "kept"
        if one.path == "life":
            life = wire.decode(term)
            there = term_to_json(one, term, self._vocabulary)
            return "alive" if life is None else f"merged into {there}" if life else "removed"
        if term == ABSENT:
            return "at the top" if one.path == "parent" else "none"
        return value_text(term_to_json(one, term, self._vocabulary))


def shape_text(shape: Geometry) -> str:
    """`box 20,30 to 120,90`: what a geometry is and where."""
    found = bounds(shape)
    if found is None:
        return str(shape.name)
    left, top, right, bottom = (f"{round(side, 1):g}" for side in found)
    within = "" if isinstance(shape, Box) else "in "
    return f"{shape.name} {within}{left},{top} to {right},{bottom}"


def _certainty(label: Label) -> str:
    score = "" if label.score is None else f", score {label.score:g}"
    return score + ("" if label.state == "accepted" else f", {label.state}")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, list, tuple))


def _which_class(one: Standing) -> str:
    return " (which class)" if is_which_class(one) else ""


def is_which_class(one: Standing) -> bool:
    """Whether sides drew one region and gave it different classes."""
    return (
        one.space == SAMPLES
        and region_of(one.path) is not None
        and task_of(one.path) is not None
        and one.base == ABSENT
        and ABSENT not in one.terms.adds
    )


def _two_samples(one: Standing) -> bool:
    return one.path == SAMPLE and len({uid_of(add) for add in one.options if add != ABSENT}) > 1


# -- counts ---------------------------------------------------------------------------------------


def kind_of(one: Standing) -> str:
    """What kind of thing is in conflict."""
    if one.space != SAMPLES:
        return {FILES: "file", TASKS: "task", TAXONOMIES: "class"}.get(one.space, one.space)
    if pair_of(one.path) is not None:
        return "maybe-same"
    if is_which_class(one):
        return "which-class"
    if one.path == SAMPLE:
        return "same-key" if _two_samples(one) else "deleted"
    own = region_of(one.path)
    parts = parse_path(one.path)
    if own is not None:
        parts = parts[2:] or ("region",)
    return {"labels": "label", "geometries": "geometry"}.get(parts[0], parts[0])


def stat_of(found: Iterable[Standing], vocabulary: Vocabulary) -> dict[str, Counter[str]]:
    """How many conflicts there are by kind, by task and by class; of classes each that is said."""
    stat: dict[str, Counter[str]] = {"kinds": Counter(), "tasks": Counter(), "classes": Counter()}
    for one in found:
        stat["kinds"][kind_of(one)] += 1
        if one.space == TASKS:
            stat["tasks"][one.key.decode()] += 1
        if one.space == TAXONOMIES:
            stat["classes"][_class_name(one)] += 1
        task = task_of(one.path) if one.space == SAMPLES else None
        if task is None:
            continue
        stat["tasks"][task] += 1
        labels = [decode_field(one.path, term) for term in one.options]
        said = {vocabulary.word(label) for label in labels if isinstance(label, Label)}
        stat["classes"].update(said)
    return stat


def _class_name(one: Standing) -> str:
    name, node = parse_node_key(one.key)
    return name if node is None else one.name.partition("/")[2]


def stat_lines(stat: dict[str, Counter[str]]) -> Iterator[str]:
    """The counts, the most first."""
    for title, counts in stat.items():
        if counts:
            yield f"by {({'kinds': 'kind', 'tasks': 'task', 'classes': 'class'})[title]}:"
            for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
                yield f"{count:>8,}  {plain(name)}"
