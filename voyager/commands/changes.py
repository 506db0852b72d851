"""The changes between two versions in words, as lines of text and of JSON (`diff`, `show`, `log`).

A change of a key is one line of text, and one line of JSON for each *fact* about it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.repo.dataset import decode_row
from voyager.repo.diff import Change
from voyager.repo.keys import shown
from voyager.repo.snapshot import FILES
from voyager.schema import FileRow, Image, Label, Region, Sample, sample_to_json

Json = Any
Kind = tuple[str, str]
"""Scope and kind of a change."""
Summary = dict[str, dict[str, int]]
"""Scope (sample, file) -> kind of change -> how many."""

_COLOURS = {"added": "green", "removed": "red", "renamed": "cyan", "modified": "yellow"}
_LETTERS = {"added": "A", "removed": "D", "renamed": "R", "modified": "M"}
_WORDS = {"modified": "changed"}


class Fact(NamedTuple):
    """One thing that is different: `kind` in a word, and its values before and after.

    `words` say it in a line about the key; a fact of labels or regions counts what is different.
    """

    kind: str
    before: Json
    after: Json
    words: str
    counts: dict[str, int] | None = None


def scope_of(change: Change) -> str:
    """`sample` or `file`."""
    return "file" if change.space == FILES else "sample"


def facts_of(change: Change) -> Iterator[Fact]:
    """Everything that is different about a key."""
    old = None if change.before is None else decode_row(change.space, change.before)
    new = None if change.after is None else decode_row(change.space, change.after)
    if old is None or new is None:
        words = _described(new if old is None else old)
        yield Fact(change.kind, _row_json(old), _row_json(new), words)
        return
    if change.old_key is not None:
        yield Fact("renamed", change.old_key, change.key, "")
    if isinstance(old, Sample) and isinstance(new, Sample):
        for part in change.parts:
            yield _fact_of_part(part, old, new)
    elif isinstance(old, FileRow) and isinstance(new, FileRow):
        yield from _facts_of_file(old, new)


def as_json_lines(change: Change) -> Iterator[dict[str, Json]]:
    """A JSON object for each fact of a change."""
    for fact in facts_of(change):
        line = {"scope": scope_of(change), "kind": fact.kind, "key": change.key}
        if change.old_key is not None:
            line["old_key"] = change.old_key
        yield {**line, "before": fact.before, "after": fact.after, **(fact.counts or {})}


def as_text(ctx: Context, change: Change) -> str:
    """A change on one line."""
    word = _WORDS.get(change.kind, change.kind)
    head = ctx.style(f"{word:<8}", _COLOURS[change.kind])
    name = " -> ".join(shown(key) for key in (change.old_key, change.key) if key is not None)
    said = "; ".join(fact.words for fact in facts_of(change) if fact.words)
    if change.kind in ("added", "removed"):
        return f"{head} {name} ({said})"
    return f"{head} {name}: {said}" if said else f"{head} {name}"


def as_name_status(change: Change) -> str:
    """A change as git's --name-status has it."""
    names = (change.key,) if change.old_key is None else (change.old_key, change.key)
    return "\t".join((_LETTERS[change.kind], *map(shown, names)))


def count_facts(changes: Iterable[Change]) -> Summary:
    """How many facts of each kind there are, by scope."""
    counts: Summary = {}
    for change in changes:
        count_into(counts, change)
    return counts


def count_into(counts: Summary, change: Change) -> None:
    """Count the facts of one more change."""
    here = counts.setdefault(scope_of(change), {})
    for fact in facts_of(change):
        here[fact.kind] = here.get(fact.kind, 0) + 1


class Tally:
    """How many keys changed, by scope and kind, and by folder."""

    def __init__(self) -> None:
        self.total: Counter[Kind] = Counter()
        self.folders: dict[str, Counter[Kind]] = {}

    def add(self, change: Change) -> None:
        """Count one change, a rename where the key is now."""
        kind = (scope_of(change), change.kind)
        self.total[kind] += 1
        folder = change.key.rpartition("/")[0]
        self.folders.setdefault(folder, Counter())[kind] += 1

    def summary(self) -> str:
        """`3 samples added, 1 renamed; 1 file removed`, or that nothing is different."""
        return _tally_text(self.total) or "no changes"

    def table(self) -> Iterator[str]:
        """A line for each folder that changed, and the sum."""
        names = {folder: shown(folder) or "." for folder in sorted(self.folders)}
        width = max(map(len, names.values()), default=0)
        for folder, name in names.items():
            yield f" {name:<{width}}  {_tally_text(self.folders[folder])}"
        yield f" {self.summary()}"


def tally_of(changes: Iterable[Change]) -> Tally:
    """The tally of some changes."""
    tally = Tally()
    for change in changes:
        tally.add(change)
    return tally


def _tally_text(counts: Counter[Kind]) -> str:
    parts = []
    for scope in ("sample", "file"):
        words = [
            (counts[scope, kind], _WORDS.get(kind, kind))
            for kind in _LETTERS
            if counts[scope, kind]
        ]
        if words:
            (count, word), *others = words
            more = "".join(f", {other:,} {said}" for other, said in others)
            parts.append(f"{counted(count, scope)} {word}{more}")
    return "; ".join(parts)


# -- facts ----------------------------------------------------------------------------------------


def _row_json(row: Sample | FileRow | None) -> Json:
    if isinstance(row, Sample):
        written = sample_to_json("", row)
        del written["key"]
        return written
    return None if row is None else file_as_json(row)


def file_as_json(file: FileRow) -> dict[str, Json]:
    """The JSON of a tracked file that is no image."""
    return {"blob": file.blob_id.hex(), "bytes": file.bytes, "executable": file.executable}


def image_text(image: Image) -> str:
    """`400×500 jpeg, 24.3 kB`, as far as it is known."""
    size = f"{image.width}×{image.height}" if image.width and image.height else ""
    words = " ".join(filter(None, (size, image.type or "")))
    state = "" if image.state == "stored" else image.state
    weight = "" if image.bytes is None else size_text(image.bytes)
    return ", ".join(filter(None, (words, weight, state))) or "image"


def _described(row: Sample | FileRow | None) -> str:
    if isinstance(row, FileRow):
        return f"file, {size_text(row.bytes)}"
    if row is None:
        return ""
    counts = [
        counted(len(parts), noun)
        for parts, noun in ((row.labels, "label"), (row.regions, "region"))
        if parts
    ]
    return ", ".join([image_text(row.image), *([row.split] if row.split else []), *counts])


def _facts_of_file(old: FileRow, new: FileRow) -> Iterator[Fact]:
    if old.blob_id != new.blob_id:
        words = f"content replaced ({size_text(old.bytes)} -> {size_text(new.bytes)})"
        yield Fact("replaced", file_as_json(old), file_as_json(new), words)
    if old.executable != new.executable:
        words = "executable" if new.executable else "no longer executable"
        yield Fact("mode", old.executable, new.executable, words)


def _fact_of_part(part: str, old: Sample, new: Sample) -> Fact:
    before, after = (sample_to_json("", sample).get(part) for sample in (old, new))
    match part:
        case "image":
            kind = "replaced" if old.image.blob_id != new.image.blob_id else "image"
            verb = "replaced" if kind == "replaced" else "described anew"
            words = f"image {verb} ({image_text(old.image)} -> {image_text(new.image)})"
            return Fact(kind, before, after, words)
        case "split":
            return Fact("re-split", before, after, f"split {before or 'none'} -> {after or 'none'}")
        case "labels":
            return _fact_of_list(part, old.labels, new.labels)
        case "regions":
            return _fact_of_list(part, old.regions, new.regions)
    return Fact(part, before, after, f"{part} changed")


def _fact_of_list(
    part: str, old: tuple[Label | Region, ...], new: tuple[Label | Region, ...]
) -> Fact:
    """Labels or regions: how many were added, removed and changed."""
    before, after = _by_identity(old), _by_identity(new)
    counts = dict.fromkeys(("added", "removed", "changed"), 0)
    for identity in before.keys() | after.keys():
        was, now = before.get(identity, []), after.get(identity, [])
        gone = sum(item not in now for item in was)
        come = sum(item not in was for item in now)
        counts["changed"] += min(gone, come)
        counts["removed"] += max(gone - come, 0)
        counts["added"] += max(come - gone, 0)
    words = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return Fact(part, len(old), len(new), f"{part} {words or 'put in another order'}", counts)


def _by_identity(items: tuple[Label | Region, ...]) -> dict[object, list[Label | Region]]:
    found: dict[object, list[Label | Region]] = {}
    for item in items:
        identity = item.id if isinstance(item, Region) else (item.task, item.source)
        found.setdefault(identity, []).append(item)
    return found
