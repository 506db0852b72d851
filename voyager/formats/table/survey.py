"""A first walk over a table: types of columns, which belong to images, the units of boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from voyager.errors import InvalidDataError
from voyager.formats.table.cells import Kind, is_empty, joined_kind, kind_of, number_of
from voyager.formats.table.columns import Columns
from voyager.formats.table.dialect import Cells, Table

_CORNER_ROLES = ("x0", "y0", "x1", "y1", "cx", "cy", "w", "h")


@dataclass(slots=True)
class Survey:
    """What the first walk found."""

    rows: int = 0
    ordered: bool = True
    """Whether the rows of each image stand together."""
    largest: float = 0.0
    fractions: bool = False
    kinds: dict[int, set[Kind]] = field(default_factory=dict)
    varying: set[int] = field(default_factory=set)
    """Free columns whose cells differ between the rows of one image."""
    several: bool = False
    """Whether any image has several rows."""

    def kind(self, place: int) -> Kind:
        """The type of a column."""
        return joined_kind(self.kinds.get(place, {"text"}))

    def of_images(self, place: int, columns: Columns) -> bool:
        """Whether a free column says something of images rather than of their regions."""
        if not columns.has_regions:
            return True
        return self.several and place not in self.varying

    def looks_normalized(self, columns: Columns) -> bool:
        """Whether all coordinates are shares of the image, as far as one can see."""
        return not columns.own and self.fractions and self.largest <= 1.0


def survey(table: Table, columns: Columns, *, decimal_comma: bool) -> Survey:
    """Walk over all rows once; InvalidDataError for one that has more cells than columns."""
    found = Survey()
    places = [columns.roles[role] for role in _CORNER_ROLES if role in columns.roles]
    first: dict[str, list[int]] = {}
    last = ""
    for _, cells in data_rows(table, columns):
        found.rows += 1
        name = image_cell(columns, cells)
        if name in first:
            found.several = True
            found.ordered = found.ordered and name == last
        last = name
        _note_varying(found, columns, cells, first)
        _note_numbers(found, cells, places, decimal_comma)
        for place in columns.free:
            if place < len(cells) and not is_empty(cells[place]) and not table.typed:
                found.kinds.setdefault(place, set()).add(kind_of(str(cells[place])))
    return found


def _note_varying(
    found: Survey, columns: Columns, cells: Cells, first: dict[str, list[int]]
) -> None:
    """Compare the free columns of a row with those of the first row of its image."""
    said = [hash(str(cells[at])) if at < len(cells) else 0 for at in columns.free]
    known = first.setdefault(image_cell(columns, cells), said)
    if known == said:
        return
    for place, one, other in zip(columns.free, known, said, strict=True):
        if one != other:
            found.varying.add(place)


def _note_numbers(found: Survey, cells: Cells, places: list[int], decimal_comma: bool) -> None:
    for place in places:
        cell = cells[place] if place < len(cells) else None
        number = None if is_empty(cell) else number_of(cell, decimal_comma=decimal_comma)
        if number is not None and math.isfinite(number):
            found.largest = max(found.largest, abs(number))
            found.fractions = found.fractions or number != int(number)


def data_rows(table: Table, columns: Columns) -> Iterator[tuple[int, Cells]]:
    """(line, cells) of the rows below the header."""
    rows = table.rows()
    if columns.header:
        next(rows, None)
    for line, cells in rows:
        if len(cells) > len(columns.names) and any(
            not is_empty(cell) for cell in cells[len(columns.names) :]
        ):
            raise InvalidDataError(
                f"a row of {len(cells)} cells under {len(columns.names)} columns",
                path=table.shown,
                line=line,
            )
        if all(map(is_empty, cells)):
            continue
        yield line, cells


def image_cell(columns: Columns, cells: Cells) -> str:
    """The cell that names the image."""
    place = columns.roles["image"]
    cell = cells[place] if place < len(cells) else None
    return "" if is_empty(cell) else str(cell)
