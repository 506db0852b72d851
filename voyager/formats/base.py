"""What a format is: detect, read and write, and the values that pass between it and the engines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Literal

from voyager.errors import InvalidDataError, UsageError
from voyager.images import IMAGE_EXTENSIONS
from voyager.schema import Image, Sample
from voyager.schema.ids import ID_BYTES

if TYPE_CHECKING:
    from voyager.formats.reading import Reading
    from voyager.formats.writing import Writing

NEW_ID: Final = bytes(ID_BYTES)
"""The uid and region id of what a reader makes: the engine mints the real ones."""

RECORD_NAME: Final = "vgr-export.json"
"""The record that an export leaves beside its files; no label file."""

_HEAD_BYTES = 64 * 1024
_MOST_LISTED = 20_000


@dataclass(slots=True)
class Item:
    """One image as a source describes it.

    `name` is the path by which the source calls the image: relative, with `/`, and its extension
    where the source gives one. `sample` says everything of it, with NEW_ID for uid and region ids
    and, in `image`, what the source says of size, hash and URI. `file` is where the reader found
    the bytes (None: the engine looks for them), `data` the bytes themselves where the label file
    holds them; `searched` says that the reader looked for the file itself. `place` tells people
    where in the source it stands.
    """

    name: str
    sample: Sample
    file: Path | None = None
    place: str = ""
    data: bytes | None = None
    searched: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that can be made later and by another process.

    Making them mints no class; it may define tasks, report, and store blobs (then this process has
    to do it). `cost` is the size of what they are made of, in bytes.
    """

    make: Callable[[], Iterable[Item]]
    cost: int


def new_item_sample(**fields: Any) -> Sample:
    """A sample for an item; `image` is empty unless given."""
    return Sample(uid=NEW_ID, image=fields.pop("image", None) or Image(), **fields)


def clean_name(text: str, path: str | Path | None = None, line: int | None = None) -> str:
    """The name of an image as a source writes it, as a relative path with `/`.

    InvalidDataError for an absolute path and for one that climbs out of its folder with `..`.
    """
    name = text.strip().replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    outside = name.startswith("/") or re.match(r"[A-Za-z]:/", name) or ".." in parts
    if outside or not parts or "\0" in name:
        raise InvalidDataError(f"'{text}' names no image inside the dataset", path=path, line=line)
    return "/".join(parts)


@dataclass(frozen=True, slots=True)
class Detection:
    """How sure a format is that a source is its own, from 0 to 1, and by what it knows it."""

    certainty: float
    why: str


class Source:
    """A file or folder to import, with looks at it that are made once for all formats."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_folder = path.is_dir()
        self.root = path if self.is_folder else path.parent
        """The folder that relative paths start from."""

    @cached_property
    def files(self) -> list[str]:
        """Relative paths of the files below the root (or the one file), sorted; at most so many.

        Hidden files and folders are left out.
        """
        if not self.is_folder:
            return [self.path.name]
        found: list[str] = []
        for folder, folders, names in os.walk(self.path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = os.path.relpath(folder, self.path).replace(os.sep, "/")
            prefix = "" if inside == "." else inside + "/"
            found += [prefix + name for name in names if _is_listed(name)]
            if len(found) > _MOST_LISTED:
                break
        return sorted(found)

    def named(self, pattern: str) -> list[str]:
        """Files whose relative path matches a glob (`*.json`, `labels/**/*.txt`), in order."""
        return [name for name in self.files if PurePosixPath(name).match(pattern)]

    @cached_property
    def images(self) -> list[str]:
        """Files that are images by their extension."""
        return [name for name in self.files if is_image_name(name)]

    @lru_cache(maxsize=256)  # noqa: B019 - a source lives as long as one import
    def head(self, name: str = "") -> bytes:
        """The first bytes of a file: of the source itself, or of one of `files`."""
        path = self.root / name if name else self.path
        try:
            with open(path, "rb") as file:
                return file.read(_HEAD_BYTES)
        except OSError:
            return b""

    @lru_cache(maxsize=256)  # noqa: B019
    def tail(self, name: str = "") -> bytes:
        """The last bytes of such a file."""
        path = self.root / name if name else self.path
        try:
            with open(path, "rb") as file:
                file.seek(max(path.stat().st_size - _HEAD_BYTES, 0))
                return file.read()
        except OSError:
            return b""

    def json_keys(self, name: str = "") -> frozenset[str]:
        """Names of fields seen at the head and tail of a JSON file: a hint, not a parse."""
        text = self.head(name) + self.tail(name)
        return frozenset(
            key.decode(errors="replace") for key in re.findall(rb'"([^"\\]{1,64})"\s*:', text)
        )


def _is_listed(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(RECORD_NAME)


def is_image_name(name: str) -> bool:
    """Whether a file name has the extension of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


@dataclass(frozen=True, slots=True)
class Holds:
    """What a format can hold; the export report, the table in the docs and the tests follow it.

    `geometries` are the words of schema.geometry; `quantum` is the largest change of a coordinate,
    in pixels, that writing and reading may make. `image_labels` and `region_labels` say how many
    category labels one image or region can have. `texts` are labels of text tasks (captions).
    """

    geometries: frozenset[str] = frozenset()
    quantum: float = 0.0
    image_labels: Literal["none", "one", "many"] = "none"
    region_labels: Literal["none", "one", "many"] = "one"
    texts: bool = False
    other_tasks: bool = False
    """Labels of other tasks than the exported one, as attributes of regions and meta of images."""
    tasks: bool = False
    """Labels of all tasks as labels."""
    flags: frozenset[str] = frozenset()
    attrs: bool = False
    scores: bool = False
    sources: bool = False
    states: bool = False
    tracks: bool = False
    links: bool = False
    negatives: bool = False
    coverage: bool = False
    meta: bool = False
    group: bool = False
    split: bool = True
    holes: bool = False
    parts: bool = False
    """Several parts of one polygon."""
    unlabeled: bool = True
    """Regions without a class."""
    empty: bool = True
    """Images without labels."""
    pending: bool = True
    """Images whose bytes are not here: their size stands in the labels or is not needed."""
    tree: bool = False
    """Taxonomies as trees; else class names are flat."""
    several: bool = False
    """Several geometries of one region (a polygon with keypoints); else its primary one alone."""
    converts: Mapping[str, str] = field(default_factory=dict)
    """Geometries that the writer turns into another that it can hold: {"ellipse": "polygon"}."""
    extra: bool = False
    """What a source had that the schema has no place for."""
    whole: bool = False
    """Samples just as they are: ids, origins, assets, several sources, and all of the above."""


@dataclass(frozen=True, slots=True)
class Format:
    """One annotation format. `settings` are its own options (`--set name=value`), with their help.

    `detect` says whether a source is of this format, `read` yields its items, `write` writes the
    samples of an export; None where there is no such direction. `example` is how a user calls it.
    """

    name: str
    title: str
    detect: Callable[[Source], Detection | None]
    read: Callable[[Source, Reading], Iterator[Item | Batch]] | None
    write: Callable[[Writing], None] | None
    holds: Holds
    settings: Mapping[str, str] = field(default_factory=dict)
    one_file: bool = False
    """Whether an export is one file that holds all labels, so that it can be bound."""
    becomes: Callable[[Mapping[str, str]], tuple[Format, Mapping[str, str]] | None] = (
        lambda _settings: None
    )
    """Of settings that ask for another format to be written: that one, and its settings."""
    looks_at_images: bool = True
    """Whether the names of image files tell a reader what label files do not."""

    def check_settings(self, settings: Mapping[str, str]) -> None:
        """UsageError for a setting that the format does not have."""
        for name in settings:
            if name not in self.settings:
                known = ", ".join(self.settings) or "none"
                raise UsageError(f"{self.title} has no setting '{name}' (it has: {known})")


class Settings:
    """What reading and writing share: the options of the format itself (`--set name=value`)."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings

    def setting(self, name: str, default: str = "") -> str:
        """An option of the format."""
        return self._settings.get(name, default)

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """An option of the format that has fixed values; UsageError for another."""
        value = self.setting(name, default)
        known = list(choices)
        if value not in known:
            raise UsageError(f"--set {name}={value}: expected {', '.join(known)}")
        return value


def iter_items(parts: Iterable[Item | Batch]) -> Iterator[Item]:
    """The items of a reader, those of batches made here."""
    for part in parts:
        if isinstance(part, Batch):
            yield from part.make()
        else:
            yield part


def decode_text(data: bytes, path: str | Path, report: Any = None) -> str:
    """Text of a label file: UTF-8 with or without BOM, UTF-16 with one, else Latin-1 (reported)."""
    for mark, encoding in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise InvalidDataError(f"not {encoding}: {error.reason}", path=path) from None
    try:
        return data.decode()
    except UnicodeDecodeError:
        if report is not None:
            report.add("guessed", "text is not UTF-8 and was read as Latin-1", str(path))
        return data.decode("latin-1")


def parse_json(data: bytes, path: str | Path) -> Any:
    """A JSON document of modest size; NaN and Infinity are read as floats.

    InvalidDataError with the line for what is none, or nests too deep.
    """
    text = decode_text(data, path)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidDataError(f"not JSON: {error.msg}", path=path, line=error.lineno) from None
    except (RecursionError, ValueError) as error:
        raise InvalidDataError(f"not JSON: {error}", path=path) from None
