"""What `vgr blame` says: values in the words people type, beside who set them; and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from voyager.commands.commits import iso_time, moment, short_id
from voyager.commands.context import Context
from voyager.commands.fact_json import file_as_json
from voyager.commands.fact_text import file_text, image_text, plain
from voyager.repo.blame import Blamed
from voyager.schema import FileRow, Image, Label, Link, Region, Sample, parse_coverage_key
from voyager.schema.fields import FILE, KEY, SAMPLE, parse_path, region_of, task_of
from voyager.schema.geometry import GEOMETRIES, UnknownGeometry
from voyager.schema.jsonform import part_to_json
from voyager.schema.jsonvalues import write_free, write_geometry
from voyager.schema.values import Frozen, Unknown
from voyager.schema.vocabulary import Vocabulary

Json = Any
_SHAPES = frozenset({*GEOMETRIES.values(), UnknownGeometry})
_GOES_WITHOUT_SAYING = {"source": "human", "state": "accepted"}
_STAGED = "staged"


class Wording:
    """How the values of one sample are called: classes by their paths, regions by their number."""

    def __init__(self, words: Vocabulary, sample: Sample | None) -> None:
        self.words = words
        regions = () if sample is None else sample.regions
        self.numbers = {region.id: number for number, region in enumerate(regions, 1)}

    def text(self, one: Blamed) -> str:
        """`color=red`, `split=train`, `#1 box`."""
        region = region_of(one.path)
        parts = parse_path(one.path)
        if region is None:
            return self._part(parts, one.value)
        return f"#{self.numbers.get(region, '?')} {self._part(parts[2:], one.value)}"

    def class_path(self, task: str, node: bytes) -> str:
        """The path of a class, or its id in hex where nobody knows it."""
        return self.words.resolve(task, node) or node.hex()

    def _part(self, parts: tuple[str, ...], value: object) -> str:
        name = plain(parts[-1]) if parts else ""
        match value:
            case Label():
                return self._label(value)
            case Region():
                return f"region {value.id.hex()[:8]}"
            case Link():
                return f"link to {value.region.hex()[:8]} as {plain(value.kind)}"
            case Image():
                return f"image {image_text(value)}"
            case Sample():
                return SAMPLE
            case FileRow():
                return file_text(value)
        if type(value) in _SHAPES:
            return _shape(name, value)
        if parts[0] == "negatives" and isinstance(value, bytes):
            return f"{plain(parts[1])} {plain(self.words.told(parts[1], value))} verified not there"
        if parts[0] == "coverage":
            task, node = parse_coverage_key(parts[1])
            what = task if node is None else f"{task} {self.words.told(task, node)}"
            return f"coverage of {plain(what)}={value}"
        if parts[0] == "flags":
            return f"flag {name}"
        if parts[0] == KEY:
            return f"key {plain(value)}"
        return f"{'.'.join(map(plain, parts))}{_assigned(value)}"

    def _label(self, label: Label) -> str:
        words = [f"{plain(label.task)}={plain(self.words.spoken(label))}"]
        if label.source not in ("human", "import"):
            words.append(plain(label.source))
        if label.score is not None:
            words.append(f"score {label.score:g}")
        if label.state != "accepted":
            words.append(label.state)
        return ", ".join(words)


def _shape(role: str, shape: Any) -> str:
    return shape.name if role == shape.name else f"{role} {shape.name}"


def _assigned(value: object) -> str:
    """`=train`; nothing for a value that is more than a word, its name saying enough."""
    if isinstance(value, (Frozen, Unknown, dict)):
        return ""
    if isinstance(value, bool):
        return "=yes" if value else "=no"
    if isinstance(value, (list, tuple)):
        return "=" + plain(", ".join(map(str, value)))
    return "=" + (f"{value:g}" if isinstance(value, float) else plain(value))


# -- lines ----------------------------------------------------------------------------------------


def blame_lines(ctx: Context, found: Sequence[Blamed], words: Wording) -> Iterator[str]:
    """A line for each value: commit, author, when, and what it is.

    What goes without saying is left out: the key that came with a sample or file, and that a region
    is a human's and accepted since it is there.
    """
    began = {one.path: one.commit_id for one in found}
    told = [one for one in found if not _is_plain(one, began)]
    width = max((len(_author(one)) for one in told), default=0)
    for one in told:
        at = one.commit
        when = "" if at is None else f"{moment(at.time, at.zone):%Y-%m-%d %H:%M}"
        name = _STAGED if one.commit_id is None else short_id(one.commit_id)
        yield (
            f"{ctx.style(f'{name:<10}', 'yellow')} {_author(one):<{width}}  {when:<16}"
            f"  {words.text(one)}{_note(one)}"
        )


def _is_plain(one: Blamed, began: dict[str, bytes | None]) -> bool:
    if one.path == KEY:
        return began.get(SAMPLE, began.get(FILE, b"")) == one.commit_id
    parts = parse_path(one.path)
    if parts[0] != "regions" or len(parts) != 3 or _GOES_WITHOUT_SAYING.get(parts[2]) != one.value:
        return False
    return began.get(f"{parts[0]}/{parts[1]}", b"") == one.commit_id


def _author(one: Blamed) -> str:
    return "" if one.commit is None else plain(one.commit.author.partition(" <")[0])


def _note(one: Blamed) -> str:
    """` (import coco; committed by Bo)`: what a line has besides."""
    words = [] if one.import_ is None else [f"import {plain(one.import_)}"]
    if one.commit is not None and one.commit.committer not in ("", one.commit.author):
        words.append(f"committed by {plain(one.commit.committer.partition(' <')[0])}")
    return f" ({'; '.join(words)})" if words else ""


# -- JSON -----------------------------------------------------------------------------------------


def blamed_as_json(one: Blamed, words: Wording) -> dict[str, Json]:
    """The JSON line of a value."""
    region, at = region_of(one.path), one.commit
    parts = parse_path(one.path)
    return {
        "path": one.path,
        "text": words.text(one),
        "key": one.key,
        "region": None if region is None else region.hex(),
        "task": parts[1] if parts[0] == "negatives" else task_of(one.path),
        "value": _value(one, words),
        "commit": None if one.commit_id is None else one.commit_id.hex(),
        "author": None if at is None else at.author,
        "committer": None if at is None else at.committer or at.author,
        "time": None if at is None else iso_time(at.time, at.zone),
        "message": None if at is None else at.message,
        "import": one.import_,
        "model": one.model,
        "reports": list(one.reports),
    }


def _value(one: Blamed, words: Wording) -> Json:
    """A value as in the JSON of a sample; of a sample or region as a whole that it is there."""
    value: Any = one.value
    if isinstance(value, (Sample, Region)):
        return True
    if isinstance(value, FileRow):
        return file_as_json(value)
    if type(value) in _SHAPES:
        return write_geometry(value)
    if isinstance(value, bytes):
        return words.class_path(parse_path(one.path)[1], value)
    if isinstance(value, Frozen):
        return part_to_json(value, words.words.resolve)
    return write_free(value.value if isinstance(value, Unknown) else value)
