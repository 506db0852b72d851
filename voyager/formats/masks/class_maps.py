"""What class a number or colour of a mask means: label maps, tables and lists of classes."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from voyager.errors import InvalidDataError
from voyager.formats.base import parse_json
from voyager.formats.index_images import Colour, IndexImage, parse_colour, read_labelmap

CLASS_FILES: Final = (
    *("classes.csv", "labelmap.txt", "dataset_meta.json", "class_dict.csv", "_classes.csv"),
    *("label_colors.txt", "classes.txt", "class_names.txt", "labels.txt", "names.txt"),
)
"""Names of files that say what classes are, the surest first."""

BACKGROUND: Final = frozenset({"background", "_background_", "__background__", "bg"})
VOID: Final = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled"})

_COLOUR_LINE = re.compile(r"(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\S.*)")
_COLUMNS: Final = {
    "index": ("index", "id", "value", "pixel value", "pixel_value", "label_id", "number"),
    "name": ("name", "class", "label", "class name", "class_name", "classname", "category"),
    "red": ("red", "r"),
    "green": ("green", "g"),
    "blue": ("blue", "b"),
}


@dataclass(frozen=True, slots=True)
class MaskClass:
    """A class: its number in index masks, its colour in coloured ones."""

    name: str
    value: int
    colour: Colour | None = None


@dataclass(slots=True)
class ClassMap:
    """The classes of a dataset; `image_prefix` and `mask_prefix` begin the names of its files."""

    classes: list[MaskClass] = field(default_factory=list)
    image_prefix: str = ""
    mask_prefix: str = ""

    def find(self, image: IndexImage, value: int) -> MaskClass | None:
        """The class of a pixel value; None for one that no class has."""
        if image.coloured:
            colour = image.colour(value)
            found = next((c for c in self.classes if c.colour == colour), None)
            grey = colour is not None and colour[0] == colour[1] == colour[2]
            if found is not None or not grey or any(c.colour for c in self.classes):
                return found
            value = value & 255
        return next((found for found in self.classes if found.value == value), None)


def read_class_map(data: str, raw: bytes, path: str) -> ClassMap:
    """The classes of a file, by its name and content."""
    short = path.rpartition("/")[2].lower()
    if short.endswith(".json"):
        return _from_json(parse_json(raw, path), path)
    if short == "labelmap.txt":
        found = read_labelmap(data, path)
        return ClassMap([MaskClass(c.name, n, c.colour) for n, c in enumerate(found)])
    if short.endswith(".csv"):
        return ClassMap(list(_from_csv(data, path)))
    return ClassMap(list(_from_lines(data)))


def _from_lines(text: str) -> Iterator[MaskClass]:
    """A class a line, its number that of the line, or after its colour."""
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines):
        found = _COLOUR_LINE.fullmatch(line.strip())
        if found is not None and all(int(part) < 256 for part in found.groups()[:3]):
            red, green, blue = (int(part) for part in found.groups()[:3])
            yield MaskClass(found[4].strip(), number, (red, green, blue))
        else:
            yield MaskClass(line.strip(), number)


def _from_csv(text: str, path: str) -> Iterator[MaskClass]:
    rows = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        table = [(rows.line_num, row) for row in rows if row]
    except csv.Error as error:
        raise InvalidDataError(f"not CSV: {error}", path=path, line=rows.line_num) from None
    if not table:
        return
    places = _places(table[0][1])
    if "name" not in places:
        raise InvalidDataError("no column says the names of classes", path=path, line=1)
    for number, (line, row) in enumerate(table[1:]):
        yield _class_of(row, places, number, path, line)


def _places(head: list[str]) -> dict[str, int]:
    """Which column holds what."""
    words = [word.strip().lower() for word in head]
    found: dict[str, int] = {}
    for column, spellings in _COLUMNS.items():
        place = next((words.index(word) for word in spellings if word in words), None)
        if place is not None:
            found[column] = place
    return found


def _class_of(
    row: list[str], places: dict[str, int], number: int, path: str, line: int
) -> MaskClass:
    if len(row) <= max(places.values()):
        raise InvalidDataError(f"expected {max(places.values()) + 1} columns", path=path, line=line)
    value = number
    if "index" in places:
        text = row[places["index"]].strip()
        if not re.fullmatch(r"\d{1,9}", text):
            raise InvalidDataError(f"'{text}' is no whole number", path=path, line=line)
        value = int(text)
    colour = None
    if {"red", "green", "blue"} <= places.keys():
        parts = [row[places[side]].strip() for side in ("red", "green", "blue")]
        colour = parse_colour(",".join(parts), path, line) if any(parts) else None
    return MaskClass(row[places["name"]], value, colour)


def _from_json(table: Any, path: str) -> ClassMap:
    """A dataset_meta.json of Datumaro."""
    labels = table.get("label_map") if isinstance(table, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(name, str) for name in labels.values()):
        raise InvalidDataError("label_map: expected a map of numbers to names", path=path)
    colours = table.get("segmentation_colors", [])
    if not isinstance(colours, list):
        raise InvalidDataError("segmentation_colors: expected a list", path=path)
    found = ClassMap()
    for place, (key, name) in enumerate(labels.items()):
        if not re.fullmatch(r"\d{1,9}", key):
            raise InvalidDataError(f"label_map: '{key}' is no whole number", path=path)
        colour = None
        if place < len(colours):
            parts = colours[place]
            text = ",".join(map(str, parts)) if isinstance(parts, list) else str(parts)
            colour = parse_colour(text, path)
        found.classes.append(MaskClass(name, int(key), colour))
    for side in ("image_prefix", "mask_prefix"):
        prefix = table.get(side, "")
        if not isinstance(prefix, str):
            raise InvalidDataError(f"{side}: expected a text", path=path)
        setattr(found, side, prefix)
    return found
