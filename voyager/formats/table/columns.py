"""What the columns of a table mean: by settings, by names that tools give, by a known layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voyager.errors import UsageError
from voyager.formats.base import is_image_name

Boxes = Literal["corners", "size", "center", "list", "none"]

ROLES: Final[dict[str, str]] = {
    "image": "names the image",
    "label": "class",
    "x0": "left edge",
    "y0": "upper edge",
    "x1": "right edge",
    "y1": "lower edge",
    "cx": "middle of the box, across",
    "cy": "middle of the box, down",
    "w": "width of the box",
    "h": "height of the box",
    "box": "four numbers of a box in one cell",
    "geometry": "any geometry, as JSON",
    "width": "width of the image in pixels",
    "height": "height of the image in pixels",
    "split": "train, val, test",
    "score": "how sure a model is",
    "id": "the source's own id of the region",
    "flags": "flags of the region, with spaces between",
    "group": "the sequence that the image belongs to",
    "group_index": "its place there",
    "group_time": "its time there, in seconds",
    "group_view": "which of several views it is",
    "track": "track of the region",
    "frame_state": "keyframe, interpolated or outside",
}
"""What a column can be, in the order of columns that we write."""

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "image": (
        *("path", "file_path", "filepath", "image_path", "img_path", "filename", "file_name"),
        *("file", "image", "image_name", "imagename", "img", "image_id", "imageid", "key"),
    ),
    "label": (
        *("label", "class", "class_name", "classname", "category", "category_name", "label_name"),
        *("labelname", "cell_type", "species", "target", "labels"),
    ),
    "x0": ("x0", "xmin", "x_min", "bbox_xmin", "xtl", "left"),
    "y0": ("y0", "ymin", "y_min", "bbox_ymin", "ytl", "top"),
    "x1": ("xmax", "x_max", "bbox_xmax", "xbr", "right"),
    "y1": ("ymax", "y_max", "bbox_ymax", "ybr", "bottom"),
    "cx": ("cx", "x_center", "xcenter", "center_x", "xc"),
    "cy": ("cy", "y_center", "ycenter", "center_y", "yc"),
    "w": ("w", "bbox_width", "box_width", "bbox_w"),
    "h": ("h", "bbox_height", "box_height", "bbox_h"),
    "box": ("bbox", "box", "bounding_box"),
    "geometry": ("geometry",),
    "width": ("image_width", "img_width", "width", "original_width", "imagewidth"),
    "height": ("image_height", "img_height", "height", "original_height", "imageheight"),
    "split": ("split", "subset", "partition", "set"),
    "score": ("score", "confidence", "conf", "prob", "probability"),
    "id": ("annotation_id", "region_id", "box_id", "ann_id", "id"),
    "flags": ("flags",),
    "group": ("group",),
    "group_index": ("group_index",),
    "group_time": ("group_time",),
    "group_view": ("group_view",),
    "track": ("track", "track_id"),
    "frame_state": ("frame_state",),
}
"""Spellings of each, the likeliest first."""

FLAG_COLUMNS: Final = {
    "difficult": "difficult",
    "truncated": "truncated",
    "occluded": "occluded",
    "iscrowd": "crowd",
    "crowd": "crowd",
    "ignore": "ignore",
}

META, ATTR = "meta.", "attr."
"""How the columns of meta fields and attributes begin in our own tables."""


@dataclass(slots=True)
class Columns:
    """The place of each role, and what the remaining columns are."""

    roles: dict[str, int] = field(default_factory=dict)
    flags: dict[int, str] = field(default_factory=dict)
    meta: dict[int, str] = field(default_factory=dict)
    attrs: dict[int, str] = field(default_factory=dict)
    free: dict[int, str] = field(default_factory=dict)
    """Columns of which only their content tells whether they are of images or regions."""
    names: list[str] = field(default_factory=list)
    header: bool = True
    layout: str = ""
    own: bool = False
    """Whether the names are those that we write: numbers are pixels then."""

    @property
    def boxes(self) -> Boxes:
        """How the table writes boxes."""
        has = self.roles.keys()
        if {"x0", "y0", "x1", "y1"} <= has:
            return "corners"
        if {"x0", "y0", "w", "h"} <= has:
            return "size"
        if {"cx", "cy", "w", "h"} <= has:
            return "center"
        return "list" if "box" in has else "none"

    @property
    def has_regions(self) -> bool:
        """Whether rows can be regions."""
        return self.boxes != "none" or "geometry" in self.roles


def columns_of(first: Sequence[Any], settings: Mapping[str, str]) -> Columns | None:
    """The columns by the first row of a table; None when nothing in it names images.

    UsageError for a setting that names a column which is not there.
    """
    header = settings.get("header", "auto")
    texts = [str(cell).strip() if cell is not None else "" for cell in first]
    if header != "no":
        found = _by_header(texts, settings)
        if found is not None or header == "yes":
            return found
    return _without_header(texts, settings)


def _by_header(names: list[str], settings: Mapping[str, str]) -> Columns | None:
    columns = Columns(names=names)
    given = {role: settings[role] for role in ROLES if settings.get(role)}
    words = [_word(name) for name in names]
    if not given and not any(word in _NAMES["image"] for word in words):
        return None
    for role, name in given.items():
        columns.roles[role] = _column_named(name, names)
    _resolve(columns, words)
    if "image" not in columns.roles:
        return None
    columns.own = {"x0", "y0", "x1", "y1"} <= set(names) and "image" in names
    _sort_rest(columns, names, words, settings)
    return columns


def _word(name: str) -> str:
    """A name in small letters with underscores: BBox Xmin → bbox_xmin."""
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


def _column_named(name: str, names: list[str]) -> int:
    if name in names:
        return names.index(name)
    if name.isdecimal() and 1 <= int(name) <= len(names):
        return int(name) - 1
    raise UsageError(f"there is no column '{name}'", hint=f"one of {', '.join(names)}")


def _resolve(columns: Columns, words: list[str]) -> None:
    """Find the columns that no setting names, by their spellings."""
    taken = set(columns.roles.values())
    for role, spellings in _all_names(words).items():
        for word in spellings if role not in columns.roles else ():
            if word in words and words.index(word) not in taken:
                columns.roles[role] = words.index(word)
                taken.add(words.index(word))
                break


def _all_names(words: list[str]) -> dict[str, tuple[str, ...]]:
    """The spellings, with those that mean different things in different company."""
    names = dict(_NAMES)
    has = set(words)
    if {"x1", "y1", "x2", "y2"} <= has:
        names |= {"x0": ("x1",), "y0": ("y1",), "x1": ("x2",), "y1": ("y2",)}
    else:
        names["x1"], names["y1"] = ("x1", *names["x1"]), ("y1", *names["y1"])
    upper = any(word in has for word in (*_NAMES["x1"], "x1", "x2"))
    if not upper and not has & {"w", "bbox_width", "bbox_w", "box_width"} and "width" in has:
        corner = has & {"x", "y", "left", "top", "xmin", "x_min", "bbox_x", "x0"}
        if corner or has & set(_NAMES["cx"]):
            names |= {"w": ("width",), "h": ("height",)}
            names |= {"width": names["width"][:2], "height": names["height"][:2]}
    if not upper and not has & set(_NAMES["cx"]):
        names |= {"x0": (*names["x0"], "x", "bbox_x"), "y0": (*names["y0"], "y", "bbox_y")}
    return names


def _sort_rest(
    columns: Columns, names: list[str], words: list[str], settings: Mapping[str, str]
) -> None:
    taken = set(columns.roles.values())
    meta = {name.strip() for name in settings.get("meta", "").split(",")}
    attrs = {name.strip() for name in settings.get("attrs", "").split(",")}
    for place, name in enumerate(names):
        if place in taken or not name:
            continue
        if name in meta or name.startswith(META):
            columns.meta[place] = name.removeprefix(META)
        elif name in attrs or name.startswith(ATTR):
            columns.attrs[place] = name.removeprefix(ATTR)
        elif words[place] in FLAG_COLUMNS and columns.has_regions:
            columns.flags[place] = FLAG_COLUMNS[words[place]]
        else:
            count = list(columns.free.values()).count(name)
            columns.free[place] = f"{name} ({count + 1})" if count else name


def _without_header(cells: list[str], settings: Mapping[str, str]) -> Columns | None:
    """keras-retinanet's `path,x1,y1,x2,y2,class`, or `path,class`; or columns by number."""
    numbered = {role: settings[role] for role in ROLES if settings.get(role)}
    names = [str(place) for place in range(1, len(cells) + 1)]
    if numbered:
        columns = Columns(names=names, header=False, layout="without header")
        columns.roles = {role: _column_named(name, names) for role, name in numbered.items()}
        taken = set(columns.roles.values())
        columns.free = {at: f"column {at + 1}" for at in range(len(cells)) if at not in taken}
        return columns if "image" in columns.roles else None
    if not cells or not is_image_name(cells[0]):
        return None
    if len(cells) == 6 and all(not cell or _is_number(cell) for cell in cells[1:5]):
        roles = dict(zip(("image", "x0", "y0", "x1", "y1", "label"), range(6), strict=True))
        return Columns(roles=roles, names=names, header=False, layout="keras-retinanet")
    if len(cells) == 2:
        roles = {"image": 0, "label": 1}
        return Columns(roles=roles, names=names, header=False, layout="image, class")
    return None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?\d+(?:[.,]\d*)?(?:[eE][+-]?\d+)?", text.strip()) is not None
