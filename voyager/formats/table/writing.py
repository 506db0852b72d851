"""Writing a table: one row for a region, one for a label of an image, one for an image without."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any

from voyager.formats.attributes import answers_of_others, value_text, with_answers
from voyager.formats.table.columns import ATTR, META
from voyager.formats.table.dialect import needs_parquet
from voyager.formats.writing import Writing
from voyager.schema import Box, Geometry, Label, Mask, Region, Sample
from voyager.schema.jsonvalues import write_geometry
from voyager.schema.measures import bounds
from voyager.schema.sample import MetaValue

Row = dict[str, Any]
"""Column → cell; what is not there is empty."""

FILE_NAME = "labels"
_AS = ("csv", "tsv", "parquet")
_CORNERS = ("x0", "y0", "x1", "y1")
_ORDER = (
    *("image", "width", "height", "split", "group", "group_index", "group_time", "group_view"),
    *("label", *_CORNERS, "geometry", "score", "flags", "track", "frame_state"),
)
_ALWAYS = ("image", "width", "height", "split", "label")
_INTEGERS = frozenset({"width", "height", "group_index"})
_FLOATS = frozenset({*_CORNERS, "score", "group_time"})
_BATCH = 4096


def write(writing: Writing) -> None:
    """Write the table, and the images beside it under their keys."""
    name, kind = _target(writing)
    columns = _columns(writing)
    for key, sample in writing.samples():
        writing.image(key, sample, key)
    if kind == "parquet":
        with writing.open_binary(name) as file:
            _write_parquet(file, columns, writing)
    else:
        with writing.open(name) as text:
            _write_text(text, columns, writing, "\t" if kind == "tsv" else ",")


def _target(writing: Writing) -> tuple[str, str]:
    """(file name, kind), the kind by the name that the user gives, else by the setting."""
    kind = writing.choice("as", _AS, "csv")
    name = writing.file_name or f"{FILE_NAME}.{kind}"
    suffix = PurePosixPath(name).suffix.lower().lstrip(".")
    return name, suffix if suffix in _AS and not writing.setting("as") else kind


def _columns(writing: Writing) -> list[str]:
    """The columns that any row fills, in their order."""
    used: set[str] = set(_ALWAYS)
    for row in _rows(writing):
        used |= row.keys()
    fields = sorted(name for name in used if name.startswith((META, ATTR)))
    return [name for name in _ORDER if name in used] + fields


def _rows(writing: Writing) -> Iterator[Row]:
    for key, sample in writing.samples():
        image = _image_row(writing, key, sample)
        labels, regions = writing.categories(sample.labels), list(sample.regions)
        for label in labels:
            yield {**image, **_label_row(writing, label)}
        if not labels and not regions:
            yield image
        for region in regions:
            yield {**image, **_region_row(writing, key, region)}


def _image_row(writing: Writing, key: str, sample: Sample) -> Row:
    image, group = sample.image, sample.group
    row: Row = {
        "image": key,
        "width": image.width,
        "height": image.height,
        "split": sample.split,
    }
    if group is not None:
        row |= {
            "group": group.id,
            "group_index": group.index,
            "group_time": group.time,
            "group_view": group.view,
        }
    fields = {**sample.meta, **answers_of_others(writing, sample.labels)}
    for name in sample.meta.keys() & fields.keys():
        if fields[name] != sample.meta[name]:
            writing.report.add("lost", "a meta field has the name of a task", f"{key}: {name}")
    return _filled({**row, **{META + name: value_of(value) for name, value in fields.items()}})


def _label_row(writing: Writing, label: Label) -> Row:
    return _filled({"label": writing.class_name(label), "score": label.score})


def _region_row(writing: Writing, key: str, region: Region) -> Row:
    label = writing.category(region.labels)
    score = region.score
    if score is None and label is not None:
        score = label.score
    attrs = with_answers(writing, region.attrs, region.labels, key)
    row: Row = {
        "label": None if label is None else writing.class_name(label),
        "score": score,
        "flags": " ".join(region.flags) or None,
        "track": region.track,
        "frame_state": region.frame_state,
    }
    geometry = region.geometry
    if geometry is not None:
        row |= _geometry_cells(writing, geometry)
    return _filled({**row, **{ATTR + name: value_of(value) for name, value in attrs.items()}})


def _geometry_cells(writing: Writing, geometry: Geometry) -> Row:
    """The corners of a shape, and the shape itself where it is no box."""
    if isinstance(geometry, Box):
        return {name: getattr(geometry, name) for name in _CORNERS}
    if isinstance(geometry, Mask):
        geometry = Mask(geometry.height, geometry.width, writing.counts(geometry))
    around = bounds(geometry)
    corners = {} if around is None else dict(zip(_CORNERS, around, strict=True))
    text = json.dumps(write_geometry(geometry), ensure_ascii=False, separators=(",", ":"))
    return {**corners, "geometry": text}


def value_of(value: MetaValue) -> str | int | float | bool:
    """A value as a cell: numbers and booleans stay, texts and lists say what they are."""
    return value_text(value) if isinstance(value, (str, list)) else value


def _filled(row: Row) -> Row:
    return {name: cell for name, cell in row.items() if cell is not None}


# -- files ---------------------------------------------------------------------------------------


def _write_text(file: IO[str], columns: list[str], writing: Writing, delimiter: str) -> None:
    out = csv.writer(file, delimiter=delimiter, lineterminator="\n")
    out.writerow(columns)
    for row in _rows(writing):
        out.writerow([_cell_text(row.get(name)) for name in columns])


def _cell_text(cell: Any) -> str:
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return repr(cell)


def _write_parquet(file: IO[bytes], columns: list[str], writing: Writing) -> None:
    parquet = needs_parquet()
    import pyarrow as pa

    schema = pa.schema([(name, _arrow_type(name, writing)) for name in columns])
    with parquet.ParquetWriter(file, schema) as out:
        rows: list[Row] = []
        for row in _rows(writing):
            rows.append({name: _arrow_cell(name, row.get(name)) for name in columns})
            if len(rows) == _BATCH:
                out.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        out.write_table(pa.Table.from_pylist(rows, schema=schema))


def _arrow_type(name: str, _: Writing) -> Any:
    import pyarrow as pa

    if name in _INTEGERS:
        return pa.int64()
    return pa.float64() if name in _FLOATS else pa.string()


def _arrow_cell(name: str, cell: Any) -> Any:
    if cell is None or name in _INTEGERS or name in _FLOATS:
        return cell
    return _cell_text(cell)
