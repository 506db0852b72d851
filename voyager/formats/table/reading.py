"""Reading tables: a row is a region, a label of an image, or an image without any."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, cast, get_args

from voyager.errors import InvalidDataError
from voyager.formats.attributes import labels_among, parse_value, split_words
from voyager.formats.base import Item, Source, clean_name, new_item_sample
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of, split_of_path
from voyager.formats.table.cells import (
    as_kind,
    flag_of,
    is_empty,
    is_missing,
    number_of,
    typed_value,
)
from voyager.formats.table.columns import Columns, columns_of
from voyager.formats.table.dialect import DELIMITERS, SUFFIXES, Cells, Table, open_table
from voyager.formats.table.survey import Survey, data_rows, image_cell, survey
from voyager.schema import Box, Geometry, Group, Image, Label, Mask, Region, coverage_key
from voyager.schema.jsonvalues import read_geometry
from voyager.schema.sample import FrameState, MetaValue

_Row = tuple[int, Cells]
_UNITS = ("auto", "pixels", "normalized", "percent")
_ORDERS = ("xywh", "xyxy", "cxcywh")


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The images of all tables of a source."""
    found = False
    for name in table_names(source):
        file = _open(source, reading, name)
        if file is not None:
            found = True
            yield from file.items()
    if not found:
        raise InvalidDataError(
            "no column names the images", path=source.path, hint="--set image=COLUMN"
        )


def table_names(source: Source) -> list[str]:
    """The files that are tables by their extension; the file itself whatever it is called."""
    if not source.is_folder:
        return [source.path.name]
    return [name for name in source.files if name.lower().endswith(SUFFIXES)]


def _open(source: Source, reading: Reading, name: str) -> _File | None:
    word = reading.setting("delimiter")
    table = open_table(source.root / name, name, DELIMITERS.get(word, word), reading.report)
    first = next(table.rows(), None)
    settings = reading.options.settings
    columns = None if first is None else columns_of(first[1], settings)
    return None if columns is None else _File(source, reading, table, columns)


class _File:
    """One table: its columns and what a first walk over it found."""

    def __init__(self, source: Source, reading: Reading, table: Table, columns: Columns) -> None:
        self.root = source.root
        self.reading = reading
        self.table = table
        self.columns = columns
        self.decimal_comma = getattr(table, "delimiter", ",") != ","
        self.survey: Survey = survey(table, columns, decimal_comma=self.decimal_comma)
        self.units = self._units()
        self.order = self._order()
        self.separator = reading.setting("separator")
        self._kept: set[str] = set()
        if columns.layout:
            reading.report.add("guessed", f"a table without header: {columns.layout}", table.shown)
        reading.define(scope="region" if columns.has_regions else "image")

    def _units(self) -> str:
        units = self.reading.choice("units", _UNITS, "auto")
        if units != "auto":
            return units
        if not self.survey.looks_normalized(self.columns):
            return "pixels"
        self.reading.report.add(
            "guessed", "boxes within 0 and 1 are shares of the image", self.table.shown
        )
        return "normalized"

    def _order(self) -> str:
        if self.columns.boxes != "list":
            return ""
        if not self.reading.setting("boxes"):
            self.reading.report.add("guessed", "a cell of four numbers is x, y, width, height")
        return self.reading.choice("boxes", _ORDERS, "xywh")

    # -- images ----------------------------------------------------------------------------------

    def items(self) -> Iterator[Item]:
        """One item for each image, rows that do not stand together brought together."""
        rows: Iterable[_Row] = data_rows(self.table, self.columns)
        if not self.survey.ordered:
            together: dict[str, list[_Row]] = {}
            for row in rows:
                together.setdefault(image_cell(self.columns, row[1]), []).append(row)
            for group in together.values():
                yield self._item(group)
            return
        for _, found in groupby(rows, key=lambda row: image_cell(self.columns, row[1])):
            yield self._item(list(found))

    def _item(self, rows: list[_Row]) -> Item:
        line, cells = rows[0]
        text = image_cell(self.columns, cells)
        if not text:
            raise self._bad(line, "the row names no image")
        name = clean_name(text, self.table.shown, line)
        folder = self.table.path.parent
        found = self.reading.find(name, folder, folder / "images")
        path = None if found is None else found.path
        if path is not None and path.is_relative_to(self.root):
            name = path.relative_to(self.root).as_posix()
        elif found is None and "/" in self.table.shown:
            name = f"{self.table.shown.rpartition('/')[0]}/{name}"
        size = self._size(rows, found)
        labels: list[Label] = []
        regions: list[Region] = []
        empty = False
        for row in rows:
            geometry, extra = self._geometry(row, size)
            if geometry is None and not extra:
                said = self._image_labels(row)
                labels += [label for label in said if label not in labels]
                empty = empty or not said
            else:
                regions.append(self._region(row, geometry, extra))
        meta, more = self._meta(rows)
        self._widen(labels)
        sample = new_item_sample(
            image=Image(width=size[0], height=size[1]),
            labels=[*labels, *more],
            regions=regions,
            meta=meta,
            split=self._split(rows, name),
            group=self._group(rows),
            coverage=self._coverage(empty and not labels and not regions),
        )
        return Item(name, sample, path, f"{self.table.shown}:{line}")

    def _size(self, rows: list[_Row], found: Any) -> tuple[int | None, int | None]:
        sides = []
        for role in ("width", "height"):
            number = self._first_number(rows, role)
            if number is not None and not (number == int(number) and 0 < number < 1 << 31):
                raise self._bad(rows[0][0], f"{role}: expected pixels, got {number:g}")
            sides.append(None if number is None else int(number))
        if found is not None and None in sides:
            return found.width, found.height
        return sides[0], sides[1]

    def _first(self, rows: list[_Row], role: str) -> Any:
        """The first cell of a role that says something, among the rows of an image."""
        for _, cells in rows:
            cell = self._cell(cells, role)
            if not is_empty(cell):
                return cell
        return None

    def _first_number(self, rows: list[_Row], role: str) -> float | None:
        cell = self._first(rows, role)
        return None if is_missing(cell) else self._number(rows[0][0], role, cell)

    def _cell(self, cells: Cells, role: str) -> Any:
        place = self.columns.roles.get(role)
        return cells[place] if place is not None and place < len(cells) else None

    def _bad(self, line: int, message: str) -> InvalidDataError:
        return InvalidDataError(message, path=self.table.shown, line=line)

    def _split(self, rows: list[_Row], name: str) -> str | None:
        cell = self._first(rows, "split")
        if cell is not None:
            return split_of(str(cell))
        return split_of_path(self.table.shown) if "split" not in self.columns.roles else None

    def _group(self, rows: list[_Row]) -> Group | None:
        group = self._first(rows, "group")
        if group is None:
            return None
        index, time = (self._first_number(rows, role) for role in ("group_index", "group_time"))
        view = self._first(rows, "group_view")
        return Group(
            id=str(group),
            index=None if index is None else int(index),
            time=time,
            view=None if view is None else str(view),
        )

    def _coverage(self, empty: bool) -> dict[str, Any]:
        stated = self.columns.layout == "keras-retinanet" and empty  # so it marks empty images
        if not (stated or self.reading.options.assume_exhaustive):
            return {}
        return {coverage_key(self.reading.task): "exhaustive"}

    # -- labels ----------------------------------------------------------------------------------

    def _image_labels(self, row: _Row) -> list[Label]:
        line, cells = row
        score = self._score(line, cells)
        return [self._label(name, score) for name in self._class_names(cells)]

    def _class_names(self, cells: Cells) -> list[str]:
        cell = self._cell(cells, "label")
        if is_empty(cell) or (isinstance(cell, float) and math.isnan(cell)):
            return []
        if isinstance(cell, list):
            return list(split_words([str(part) for part in cell], many=True))
        if self.separator:
            return [word.strip() for word in str(cell).split(self.separator) if word.strip()]
        return [str(cell).strip()]

    def _label(self, name: str, score: float | None = None) -> Label:
        node = self.reading.category(name)
        return self.reading.label(node) if score is None else self.reading.label(node, score=score)

    def _score(self, line: int, cells: Cells) -> float | None:
        cell = self._cell(cells, "score")
        score = None if is_missing(cell) else self._number(line, "score", cell)
        return score if score is None or math.isfinite(score) else None

    def _widen(self, labels: list[Label]) -> None:
        """Note that images have labels, and that one may have several."""
        if labels:
            self.reading.define(scope="image")
        if len({label.node for label in labels}) > 1:
            task = self.reading.draft.tasks[self.reading.task]
            if not task.many:
                self.reading.draft.put_task(self.reading.task, task.replace(many=True))

    # -- regions ---------------------------------------------------------------------------------

    def _region(self, row: _Row, geometry: Geometry | None, extra: dict[str, Any]) -> Region:
        line, cells = row
        self.reading.define(scope="region")
        place = f"{self.table.shown}:{line}"
        if isinstance(geometry, Box) and (geometry.x1 <= geometry.x0 or geometry.y1 <= geometry.y0):
            self.reading.report.add("extra", "a box has no area and was kept", place)
        names = self._class_names(cells)
        attrs, labels = labels_among(self.reading, self._attrs(cells), "region")
        flags = [flag for at, flag in self.columns.flags.items() if _flagged(cells, at)]
        flags += str(self._cell(cells, "flags") or "").split()
        identity = self._cell(cells, "id")
        track, state = self._cell(cells, "track"), self._cell(cells, "frame_state")
        if not is_empty(state) and state not in get_args(FrameState):
            raise self._bad(line, f"frame_state: expected {', '.join(get_args(FrameState))}")
        return self.reading.region(
            geometry,
            [*map(self._label, names), *labels],
            id=None if is_empty(identity) else _identity(identity),
            attrs=attrs,
            flags=flags,
            score=self._score(line, cells),
            track=None if is_empty(track) else str(track),
            frame_state=None if is_empty(state) else cast(FrameState, state),
            extra=extra,
        )

    def _geometry(
        self, row: _Row, size: tuple[int | None, int | None]
    ) -> tuple[Geometry | None, dict[str, Any]]:
        """The geometry of a row and the text of one that is no geometry; neither, of an image."""
        line, cells = row
        cell = self._cell(cells, "geometry")
        if not is_empty(cell):
            return self._json_geometry(line, cell), {}
        numbers = self._box_numbers(line, cells)
        if numbers is None:
            return None, {}
        if not all(map(math.isfinite, numbers)):
            place = f"{self.table.shown}:{line}"
            self.reading.report.add("lost", "a geometry is not made of finite numbers", place)
            return None, {"source_geometry": " ".join(map(repr, numbers))}
        return self._box(line, numbers, size), {}

    def _json_geometry(self, line: int, cell: Any) -> Geometry:
        try:
            value = cell if isinstance(cell, dict) else json.loads(str(cell))
            geometry = read_geometry(value, "geometry")
        except (ValueError, RecursionError) as error:
            raise self._bad(line, f"geometry: {error}") from None
        except InvalidDataError as error:
            raise self._bad(line, error.message) from None
        if isinstance(geometry, Mask) and isinstance(geometry.counts, bytes):
            return self.reading.mask(geometry.height, geometry.width, geometry.counts)
        return geometry

    def _box_numbers(self, line: int, cells: Cells) -> list[float] | None:
        """The four numbers of a row's box; None when there are none."""
        boxes = self.columns.boxes
        if boxes == "none":
            return None
        if boxes == "list":
            return self._list_numbers(line, self._cell(cells, "box"))
        roles = _BOX_ROLES[boxes]
        found = [self._cell(cells, role) for role in roles]
        missing = [role for role, cell in zip(roles, found, strict=True) if is_missing(cell)]
        if len(missing) == len(roles):
            return None
        if any(is_empty(cell) for cell in found):
            raise self._bad(line, f"a box without {', '.join(missing)}")
        return [self._number(line, role, cell) for role, cell in zip(roles, found, strict=True)]

    def _list_numbers(self, line: int, cell: Any) -> list[float] | None:
        if is_missing(cell):
            return None
        parts = cell
        if isinstance(cell, str):
            parts = cell.strip().strip("[](){}").replace(",", " ").replace(";", " ").split()
        if not isinstance(parts, list) or len(parts) != 4:
            raise self._bad(line, f"box: expected 4 numbers, got '{str(cell)[:60]}'")
        return [self._number(line, "box", part) for part in parts]

    def _number(self, line: int, role: str, cell: Any) -> float:
        number = number_of(cell, decimal_comma=self.decimal_comma)
        if number is None:
            raise self._bad(line, f"{self._name(role)}: expected a number, got '{cell}'")
        return number

    def _name(self, role: str) -> str:
        """How the table calls the column of a role."""
        place = self.columns.roles.get(role)
        name = "" if place is None else self.columns.names[place]
        return name if name and not name.isdecimal() else role

    def _box(self, line: int, numbers: list[float], size: tuple[int | None, int | None]) -> Box:
        a, b, c, d = self._in_pixels(line, numbers, size)
        if self.columns.boxes == "corners" or self.order == "xyxy":
            return Box(a, b, c, d)
        if self.columns.boxes == "center" or self.order == "cxcywh":
            return Box(a - c / 2, b - d / 2, a + c / 2, b + d / 2)
        return Box(a, b, a + c, b + d)

    def _in_pixels(
        self, line: int, numbers: list[float], size: tuple[int | None, int | None]
    ) -> list[float]:
        if self.units == "pixels":
            return numbers
        width, height = size
        if not width or not height:
            raise InvalidDataError(
                f"{self.units} boxes in an image whose size is not known",
                path=self.table.shown,
                line=line,
                hint="--images DIR",
            )
        whole = 100.0 if self.units == "percent" else 1.0
        sides = (width, height, width, height)
        return [number * side / whole for number, side in zip(numbers, sides, strict=True)]

    # -- meta and attributes ---------------------------------------------------------------------

    def _attrs(self, cells: Cells) -> dict[str, MetaValue]:
        found = self._own_values(cells, self.columns.attrs)
        for place, name in self.columns.free.items():
            if not self.survey.of_images(place, self.columns):
                self._add_free(found, cells, place, name)
        return found

    def _meta(self, rows: list[_Row]) -> tuple[dict[str, MetaValue], list[Label]]:
        """What the columns of images say in the first row that says it, and labels among it."""
        found: dict[str, MetaValue] = {}
        for _, cells in rows:
            for name, value in self._own_values(cells, self.columns.meta).items():
                found.setdefault(name, value)
            more: dict[str, MetaValue] = {}
            for place, name in self.columns.free.items():
                if self.survey.of_images(place, self.columns):
                    self._add_free(more, cells, place, name)
            found = {**more, **found}
        return labels_among(self.reading, found, "image")

    def _own_values(self, cells: Cells, places: dict[int, str]) -> dict[str, MetaValue]:
        found: dict[str, MetaValue] = {}
        for place, name in places.items():
            cell = cells[place] if place < len(cells) else None
            value = parse_value(cell) if isinstance(cell, str) else typed_value(cell)
            if value is not None:
                found[name] = value
        return found

    def _add_free(self, found: dict[str, MetaValue], cells: Cells, place: int, name: str) -> None:
        cell = cells[place] if place < len(cells) else None
        if is_empty(cell):
            return
        if self.table.typed:
            value = typed_value(cell)
            if value is not None:
                found[name] = value
        else:
            found[name] = as_kind(str(cell), self.survey.kind(place))


_BOX_ROLES = {
    "corners": ("x0", "y0", "x1", "y1"),
    "size": ("x0", "y0", "w", "h"),
    "center": ("cx", "cy", "w", "h"),
}


def _flagged(cells: Cells, place: int) -> bool:
    return place < len(cells) and flag_of(cells[place])


def _identity(cell: Any) -> int | str:
    text = str(cell)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else text
