"""JSON lines: the lossless format, one sample a line in the schema's JSON, sorted by key.

The first line may be a header with the tasks and taxonomies. `jsonl.schema.json` describes both
kinds of lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

import msgspec

from voyager.errors import InvalidDataError
from voyager.formats.base import Detection, Format, Holds, Item, Source, clean_name
from voyager.formats.jsonl_header import Classes, header_json, is_header, read_header
from voyager.formats.jsonl_lines import LineReader, LineWriter, parse_line
from voyager.formats.reading import Reading
from voyager.formats.writing import Writing
from voyager.schema import FLAGS, GEOMETRY_NAMES, Mask
from voyager.schema.rle import counts_of, mask_of_counts
from voyager.schema.taxonomy import NodeId
from voyager.schema.values import BadValueError

FILE_NAME: Final = "labels.jsonl"

_BOM = b"\xef\xbb\xbf"
_SUFFIXES = (".jsonl", ".ndjson", ".jsonlines")

HOLDS = Holds(
    geometries=frozenset(GEOMETRY_NAMES),
    image_labels="many",
    region_labels="many",
    texts=True,
    other_tasks=True,
    tasks=True,
    flags=frozenset(FLAGS),
    attrs=True,
    scores=True,
    sources=True,
    states=True,
    tracks=True,
    links=True,
    negatives=True,
    coverage=True,
    meta=True,
    group=True,
    holes=True,
    parts=True,
    tree=True,
    several=True,
    extra=True,
    whole=True,
)


def detect(source: Source) -> Detection | None:
    """A file of lines of JSON of which the first is a header or has a key; or a folder with one."""
    name = _label_file(source)
    if name is None:
        return None
    first = source.head(name).removeprefix(_BOM).lstrip()
    if first.startswith(b'{"vgr":"jsonl"') or first.startswith(b'{"vgr": "jsonl"'):
        return Detection(1.0, "its first line is the header of vgr's jsonl")
    line = first.partition(b"\n")[0].strip()
    if line.startswith(b"{") and b'"key"' in line and (b'"regions"' in line or b'"labels"' in line):
        return Detection(0.9, "its first line is a JSON object with a key and labels")
    return None


def _label_file(source: Source) -> str | None:
    """The file of a source relative to its root ("" for the source itself), None if in doubt."""
    if not source.is_folder:
        return ""
    found = [name for name in source.files if name.endswith(_SUFFIXES) and "/" not in name]
    return found[0] if len(found) == 1 else None


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The samples of a file, line by line."""
    name = _label_file(source)
    if name is None:
        raise InvalidDataError("there is no single .jsonl file in the folder", path=source.path)
    path = source.root / name if name else source.path
    yield from _Reader(path.name, reading).items(path.open("rb"))


class _Reader:
    """Reads the lines of one file; its errors name file and line."""

    def __init__(self, name: str, reading: Reading) -> None:
        self._name = name
        self._reading = reading
        self._classes: Classes = {}
        self._known: dict[tuple[str, str], NodeId | None] = {}
        self._keys: set[str] = set()
        self._lines = LineReader(self._find, reading.source, self._mask)

    def items(self, file: IO[bytes]) -> Iterator[Item]:
        with file:
            first = True
            for number, line in enumerate(file, 1):
                text = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
                if not text:
                    continue
                try:
                    item = self._item(text, number, first=first)
                except InvalidDataError as error:
                    raise InvalidDataError(
                        error.message, path=self._name, line=number, hint=error.hint
                    ) from None
                first = False
                if item is not None:
                    yield item
                    self._reading.progress(len(self._keys), None)

    def _item(self, text: bytes, number: int, *, first: bool) -> Item | None:
        if b'"vgr"' in text[:20]:
            value = parse_line(text)
            if is_header(value):
                self._read_header(value, first=first)
                return None
        key, sample = self._lines.sample(text)
        name = clean_name(key)
        if name in self._keys:
            raise InvalidDataError(f"key: '{name}' has a line already")
        self._keys.add(name)
        return Item(name, sample, place=f"{self._name}:{number}")

    def _read_header(self, value: object, *, first: bool) -> None:
        if not first:
            raise InvalidDataError("a header can only be the first line")
        self._classes = read_header(value, self._reading.draft)

    def _mask(self, height: int, width: int, counts: bytes) -> Mask:
        mask = mask_of_counts(counts, height, width)
        return self._reading.mask(height, width, counts_of(mask))

    def _find(self, task: str, text: str) -> NodeId | None:
        """The node that a label's text means: by the header, by what is there, else a new one."""
        if (task, text) not in self._known:
            self._known[task, text] = self._resolve(task, text)
        return self._known[task, text]

    def _resolve(self, task: str, text: str) -> NodeId | None:
        draft = self._reading.draft
        if task not in draft.tasks:
            draft.define(task)
        taxonomy = draft.tasks[task].taxonomy
        if taxonomy is None:
            return None
        found = self._classes.get((taxonomy, text)) or draft.taxonomies[taxonomy].find(text)
        if found is None and not text.strip():
            raise BadValueError("a class has a name")
        return found or draft.mint_path(taxonomy, text)


def write(writing: Writing) -> None:
    """One file: the header, then a line a sample; and the images under their keys."""
    encode = msgspec.json.encode
    lines = LineWriter(writing.vocabulary.resolve, writing.counts)
    with writing.open_binary(writing.file_name or FILE_NAME) as file:
        file.write(encode(header_json(writing.vocabulary)) + b"\n")
        for key, sample in writing.samples():
            file.write(lines.line(key, sample) + b"\n")
            writing.image(key, sample, key)


FORMAT: Final = Format(
    name="jsonl",
    title="JSON lines (lossless)",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    one_file=True,
    looks_at_images=False,
)
