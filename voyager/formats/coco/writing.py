"""Samples as COCO: annotations are streamed as they come, the images of a file follow them."""

from __future__ import annotations

import io
import json
from contextlib import ExitStack
from typing import IO, Any

import msgspec

from voyager.formats.coco.categories import COCO_ID, FILE
from voyager.formats.coco.rows import Made, RowMaker
from voyager.formats.writing import Writing
from voyager.schema import Image

_encode = msgspec.json.Encoder().encode
_decode_image = msgspec.msgpack.Decoder(Image).decode


def write_files(writing: Writing) -> None:
    """One file a split, or one file for all where the user names it."""
    categories = _category_ids(writing)
    maker = RowMaker(writing, categories)
    with ExitStack() as stack:
        files: dict[str | None, _File] = {}
        numbers = _Numbers(), _Numbers()
        for batch in writing.spread(maker.make):
            for made in map(Made._make, batch):
                _write_image(writing, made)
                file = files.get(made.split)
                if file is None:
                    file = files[made.split] = _open(writing, categories, made.split, stack)
                file.add(made, *numbers)
        if not files:
            files[None] = _open(writing, categories, None, stack)
        for file in files.values():
            file.finish()


def _write_image(writing: Writing, made: Made) -> None:
    if made.image is not None:
        name = f"images/{made.key}"
        if writing.image(made.key, _decode_image(made.image), name):
            writing.named(name, made.key)


class _Numbers:
    """Ids of images, annotations or classes: those that COCO files gave, where they are free."""

    def __init__(self) -> None:
        self._taken: set[int | str] = set()
        self._next = 1

    def take(self, wanted: int | str | None) -> int | str:
        """The wanted id if it is free, else the next number that is."""
        if wanted is not None and wanted not in self._taken:
            self._taken.add(wanted)
            return wanted
        while self._next in self._taken:
            self._next += 1
        self._taken.add(self._next)
        return self._next


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

    def add(self, made: Made, images: _Numbers, annotations: _Numbers) -> None:
        """Write annotations, a line each; images stand after the annotations."""
        own = _encode(images.take(made.id))
        self._write("images", self._images, b'{"id":%b,%b' % (own, made.row))
        ids = map(_encode, map(annotations.take, made.ids))
        rows = [
            b'{"id":%b,"image_id":%b,%b' % (number, own, row)
            for number, row in zip(ids, made.rows, strict=True)
        ]
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
    wanted = {node: _extra_of(writing, node).get(COCO_ID) for node, _ in writing.classes}
    found = {node: numbers.take(n) for node, n in wanted.items() if n is not None}
    found.update((node, numbers.take(None)) for node, n in wanted.items() if n is None)
    return found
