"""What a YOLO dataset says of itself: data.yaml, obj.data, lists of classes."""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from typing import Any, Final

from voyager.errors import InvalidDataError
from voyager.formats.base import decode_text
from voyager.formats.report import Report
from voyager.formats.splits import is_split

NAME_FILES: Final = (
    "classes.txt",
    "obj.names",
    "names.txt",
    "labels.txt",
    "predefined_classes.txt",
)
KNOWN_KEYS: Final = frozenset(
    {
        *("path", "names", "nc", "kpt_shape", "flip_idx", "kpt_names", "skeleton", "task"),
        *("train", "val", "valid", "validation", "test", "minival", "download", "channels"),
    }
)
_KINDS = ("detect", "segment", "pose", "obb")


@dataclass(slots=True)
class Config:
    """Classes by number, places of the parts, and the points of a pose dataset.

    `parts` are (split, path as it is written, line); `folder` is where the file lies, below the
    source. `own` are fields that mean nothing here.
    """

    path: str = ""
    folder: str = ""
    names: dict[int, str] | None = None
    parts: list[tuple[str, str]] = field(default_factory=list)
    base: str = ""
    points: int = 0
    dimensions: int = 0
    point_names: tuple[str, ...] = ()
    flips: tuple[tuple[int, int], ...] = ()
    edges: tuple[tuple[int, int], ...] = ()
    task: str = ""
    own: dict[str, Any] = field(default_factory=dict)


def read_yaml(data: bytes, path: str, report: Report) -> Config:
    """A data.yaml. Texts stay as they are written: `no` and `10` are names of classes."""
    table = _load(data, path, report)
    config = Config(path, posixpath.dirname(path))
    config.names = _names(table, path)
    config.base = _text(table.get("path", ""), "path", path)
    config.task = _text(table.get("task", ""), "task", path)
    if config.task not in _KINDS:
        config.task = ""
    for key, value in table.items():
        if is_split(key) or (key not in KNOWN_KEYS and _is_place(value)):
            places = value if isinstance(value, list) else [value]
            config.parts += [(key, _text(place, key, path)) for place in places if place]
        elif key not in KNOWN_KEYS:
            config.own[key] = value
    _read_points(config, table, path)
    return config


def _load(data: bytes, path: str, report: Report) -> dict[str, Any]:
    import yaml

    text = decode_text(data, path, report)
    try:
        table = yaml.load(text, Loader=yaml.BaseLoader)  # makes nothing but texts
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        words = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise InvalidDataError(
            f"not YAML: {words}", path=path, line=None if mark is None else mark.line + 1
        ) from None
    except (RecursionError, ValueError) as error:
        raise InvalidDataError(f"not YAML: {type(error).__name__}", path=path) from None
    if not isinstance(table, dict):
        raise InvalidDataError("expected fields such as names, train and val", path=path)
    return table


def _is_place(value: Any) -> bool:
    """Whether a value is the folder or list of a part: its own export writes them so."""
    return isinstance(value, str) and value.startswith("images/")


def _text(value: Any, key: str, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidDataError(f"{key}: expected a text", path=path)
    return value


def _names(table: dict[str, Any], path: str) -> dict[int, str] | None:
    names = table.get("names")
    if names in (None, "", {}, []):
        count = table.get("nc")
        return None if not isinstance(count, str) or count.strip() != "0" else {}
    if isinstance(names, list):
        return {n: _text(name, f"names[{n}]", path) for n, name in enumerate(names)}
    if isinstance(names, dict):
        return {
            _index(key, "names", path): _text(name, f"names.{key}", path)
            for key, name in names.items()
        }
    raise InvalidDataError("names: expected a list or a map of classes", path=path)


def _index(value: Any, key: str, path: str) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"\d{1,9}", value.strip()):
        raise InvalidDataError(f"{key}: '{value}' is no whole number", path=path)
    return int(value)


def _read_points(config: Config, table: dict[str, Any], path: str) -> None:
    shape = table.get("kpt_shape")
    if shape is None:
        return
    if not isinstance(shape, list) or len(shape) != 2:
        raise InvalidDataError("kpt_shape: expected [points, 2 or 3]", path=path)
    config.points, config.dimensions = (_index(number, "kpt_shape", path) for number in shape)
    if config.dimensions not in (2, 3) or not 1 <= config.points <= 10_000:
        raise InvalidDataError("kpt_shape: expected [points, 2 or 3]", path=path)
    config.point_names = _point_names(table.get("kpt_names"), config.points, path)
    flips = table.get("flip_idx") or []
    if not isinstance(flips, list) or len(flips) not in (0, config.points):
        raise InvalidDataError("flip_idx: expected one number for each point", path=path)
    order = [_place(number, "flip_idx", config, path) for number in flips]
    config.flips = tuple((n, other) for n, other in enumerate(order) if n < other)
    edges = table.get("skeleton") or []
    if not isinstance(edges, list) or not all(isinstance(e, list) and len(e) == 2 for e in edges):
        raise InvalidDataError("skeleton: expected pairs of points", path=path)
    config.edges = tuple(
        (_place(a, "skeleton", config, path), _place(b, "skeleton", config, path)) for a, b in edges
    )


def _place(value: Any, key: str, config: Config, path: str) -> int:
    number = _index(value, key, path)
    if number >= config.points:
        raise InvalidDataError(f"{key}: there is no point {number}", path=path)
    return number


def _point_names(names: Any, count: int, path: str) -> tuple[str, ...]:
    """Names of the points: a list, or (as of Ultralytics) a list for each class."""
    if isinstance(names, dict) and names:
        names = next(iter(names.values()))
    if isinstance(names, list) and len(names) == count and all(isinstance(n, str) for n in names):
        return tuple(names)
    if names:
        raise InvalidDataError("kpt_names: expected one name for each point", path=path)
    return tuple(map(str, range(count)))


def read_data_file(text: str, path: str) -> Config:
    """An obj.data of darknet: lines `name = value`."""
    config = Config(path, posixpath.dirname(path))
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, sign, value = (part.strip() for part in line.partition("="))
        if not sign:
            raise InvalidDataError("expected name = value", path=path, line=number)
        if is_split(key) and value:
            config.parts.append((key, value))
        elif key not in ("classes", "names", "backup", "results", "eval") and value:
            config.own[key] = value
    return config


def read_names(text: str) -> dict[int, str]:
    """A class a line; empty lines at the end say nothing."""
    lines = text.splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    return {number: line.strip() for number, line in enumerate(lines)}


def is_names_file(name: str) -> bool:
    """Whether a file is by its name a list of classes."""
    short = posixpath.basename(name).lower()
    return short in NAME_FILES or os.path.splitext(short)[1] == ".names"


def is_yaml_file(name: str) -> bool:
    """Whether a file is YAML by its name."""
    return name.lower().endswith((".yaml", ".yml"))
