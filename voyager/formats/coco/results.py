"""Lists of results: their image and category ids are those of a COCO file that went before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voyager.errors import InvalidDataError
from voyager.formats.coco.files import LabelFile
from voyager.formats.json_stream import Value, stream
from voyager.formats.reading import Reading

if TYPE_CHECKING:
    from voyager.formats.coco.reading import Tables


def look_up_tables(file: LabelFile, tables: Tables, reading: Reading) -> None:
    """Fill in images and categories: from `--set annotations=FILE`, else from what is here.

    Samples are known by the id that their own COCO file gave them, classes likewise.
    """
    given = reading.setting("annotations")
    if given:
        _read_tables(Path(given), tables)
        return
    for image_id, key in reading.images.by_origin().items():
        tables.images[image_id] = {"id": image_id, "file_name": key}
    if not tables.images:
        raise InvalidDataError(
            "a list of results names images by the ids of another COCO file",
            path=file.name,
            hint="vgr import that file first, or --set annotations=FILE",
        )


def _read_tables(path: Path, tables: Tables) -> None:
    from voyager.formats.coco.reading import note_images, note_table

    if not path.is_file():
        raise InvalidDataError("there is no such file", path=path)
    file = LabelFile(path, path.name, path.parent, None, (path.parent,))
    for part in stream(path):
        if isinstance(part, Value) or part.name == "annotations":
            continue
        if part.name == "images":
            note_images(part, tables, file)
        elif part.name == "categories":
            note_table(part, tables, file)
