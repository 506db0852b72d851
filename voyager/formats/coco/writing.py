"""Samples as COCO: annotations are streamed as they come, the images of a file follow them."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from typing import IO, Any, Final

import msgspec

from voyager.formats.coco.categories import COCO_ID, FILE
from voyager.formats.coco.rows import Made, RowMaker
from voyager.formats.writing import Writing
from voyager.schema import Image

_MOST_WAITING: Final = 32 * 1024 * 1024
"""Bytes of annotations without an id that are kept until the ids of others are known."""

_encode = msgspec.json.Encoder().encode
_decode_image = msgspec.msgpack.Decoder(Image).decode


def write_files(writing: Writing) -> None:
    """One file a split, or one file for all where the user names it."""
    maker = RowMaker(writing, _category_ids(writing))
    with ExitStack() as stack:
        export = _Export(writing, stack)
        for batch in writing.spread(maker.make):
            for made in map(Made._make, batch):
                _write_image(writing, made)
                export.add(made)
        export.finish()


class _Export:
    """The files of an export. Images and annotations without an id of their own come last."""

    def __init__(self, writing: Writing, stack: ExitStack) -> None:
        self._writing = writing
        self._stack = stack
        self._categories = _category_ids(writing)
        self._files: dict[str | None, _File] = {}
        self._images, self._annotations = _Numbers(), _Numbers()
        self._late: list[Made] = []
        self._late_rows: list[tuple[_File, bytes, bytes]] = []
        self._waiting = 0

    def add(self, made: Made) -> None:
        """Write an image and its annotations, or keep them for later."""
        if made.id is not None and self._images.take(made.id):
            self._write(made, made.id)
        else:
            self._file(made.split)
            self._late.append(made)
            self._waiting += len(made.row) + sum(map(len, made.rows))
        if self._waiting > _MOST_WAITING:
            self._write_late()

    def finish(self) -> None:
        """Write what waited, and what belongs to the files as a whole."""
        self._write_late()
        if not self._files:
            self._file(None)
        for file in self._files.values():
            file.finish()

    def _write(self, made: Made, number: int | str) -> None:
        file, own = self._file(made.split), _encode(number)
        file.add_image(own, made.row)
        take = self._annotations.take
        rows = []
        for wanted, row in zip(made.ids, made.rows, strict=True):
            if wanted is not None and take(wanted):
                rows.append(b'{"id":%b,"image_id":%b,%b' % (_encode(wanted), own, row))
            else:
                self._late_rows.append((file, own, row))
                self._waiting += len(row)
        file.add_annotations(rows)

    def _write_late(self) -> None:
        late, self._late = self._late, []
        for made in late:
            self._write(made, self._images.new())
        for file, own, row in self._late_rows:
            number = _encode(self._annotations.new())
            file.add_annotations([b'{"id":%b,"image_id":%b,%b' % (number, own, row)])
        self._late_rows.clear()
        self._waiting = 0

    def _file(self, split: str | None) -> _File:
        found = self._files.get(split)
        if found is None:
            found = _open(self._writing, self._categories, split, self._stack)
            self._files[split] = found
        return found


def _write_image(writing: Writing, made: Made) -> None:
    if made.image is not None:
        name = f"images/{made.key}"
        if writing.image(made.key, _decode_image(made.image), name):
            writing.named(name, made.key)


class _Numbers:
    """Ids of images, annotations or classes: those that COCO files gave, and higher ones."""

    def __init__(self) -> None:
        self._taken: set[int | str] = set()
        self._highest = 0

    def take(self, wanted: int | str) -> bool:
        """Take an id; False when it is taken."""
        if wanted in self._taken:
            return False
        self._taken.add(wanted)
        if type(wanted) is int and wanted > self._highest:
            self._highest = wanted
        return True

    def new(self) -> int:
        """The number after the highest."""
        self._highest += 1
        self._taken.add(self._highest)
        return self._highest


class _File:
    """A COCO file being written."""

    def __init__(
        self, writing: Writing, categories: dict[bytes, int | str], file: IO[bytes]
    ) -> None:
        self._file = file
        self._images = io.BytesIO()
        self._writing = writing
        self._gaps = {"images": b"\n", "annotations": b"\n"}
        rows = _encode(_categories(writing, categories))
        file.write(b'{"categories":' + rows + b',"annotations":[')

    def add_image(self, number: bytes, row: bytes) -> None:
        """Note an image; images stand after the annotations."""
        self._write("images", self._images, b'{"id":%b,%b' % (number, row))

    def add_annotations(self, rows: list[bytes]) -> None:
        """Write annotations, a line each."""
        if rows:
            self._write("annotations", self._file, b",\n".join(rows))

    def _write(self, name: str, file: IO[bytes], text: bytes) -> None:
        file.write(self._gaps[name])
        file.write(text)
        self._gaps[name] = b",\n"

    def finish(self) -> None:
        """Write the images and what else belongs to the file."""
        self._file.write(b'\n],"images":[')
        self._file.write(self._images.getbuffer())
        self._file.write(b"\n]")
        for name, value in sorted(_tables(self._writing).items()):
            self._file.write(b"," + _encode(name) + b":" + json.dumps(value).encode())
        self._file.write(b"}\n")


def _open(
    writing: Writing, categories: dict[bytes, int | str], split: str | None, stack: ExitStack
) -> _File:
    name = writing.file_name or f"annotations/instances{'_' + split if split else ''}.json"
    return _File(writing, categories, stack.enter_context(writing.open_binary(name)))


def _tables(writing: Writing) -> dict[str, Any]:
    """Info, licences and tables that the files had from which the classes came."""
    taxonomy = writing.vocabulary.taxonomy_of(writing.task)
    kept: dict[str, Any] = {} if taxonomy is None else taxonomy.root.extra.get(FILE, {})
    return kept


def _categories(writing: Writing, ids: dict[bytes, int | str]) -> list[dict[str, Any]]:
    """The classes with the ids that they had; new ones get the next free number."""
    task = writing.vocabulary.tasks.get(writing.task)
    skeleton = None if task is None else task.skeleton
    rows = []
    for node, name in writing.classes:
        row: dict[str, Any] = {"id": ids[node], "name": name}
        row.update((k, v) for k, v in _extra_of(writing, node).items() if k != COCO_ID)
        if skeleton is not None:
            row["keypoints"] = list(skeleton.names)
            row["skeleton"] = [[a + 1, b + 1] for a, b in skeleton.edges]
        rows.append(row)
    return rows


def _extra_of(writing: Writing, node: bytes) -> dict[str, Any]:
    taxonomy = writing.vocabulary.taxonomy_of(writing.task)
    return {} if taxonomy is None else taxonomy.nodes[node].extra


def _category_ids(writing: Writing) -> dict[bytes, int | str]:
    """Node → category id: those that COCO files gave first."""
    numbers = _Numbers()
    found: dict[bytes, int | str] = {}
    for node, _ in writing.classes:
        wanted = _extra_of(writing, node).get(COCO_ID)
        if wanted is not None and numbers.take(wanted):
            found[node] = wanted
    for node, _ in writing.classes:
        if node not in found:
            found[node] = numbers.new()
    return found
