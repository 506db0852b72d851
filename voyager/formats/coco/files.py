"""The COCO files of a source, and what their names and folders tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voyager.formats.base import Source
from voyager.formats.reading import Reading
from voyager.formats.splits import standard_split

_STEM = re.compile(
    r"(?:instances|person_keypoints|captions|panoptic|stuff|labels|image_info|_annotations)"
    r"[._-]?(?P<rest>.*?)(?:[._]coco)?"
)
_YEAR = re.compile(r"\d{4}$")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A COCO file: its path, its name in messages, its split, and folders for its images."""

    path: Path
    name: str
    root: Path
    split: str | None
    folders: tuple[Path, ...]


def label_files(source: Source, reading: Reading) -> Iterator[LabelFile]:
    """The files that look like COCO, in order; of a source that is a file, that one."""
    if not source.is_folder:
        yield _label_file(source.path, source.path.name, source.root)
        return
    for name in source.named("*.json"):
        keys = source.json_keys(name)
        if "images" in keys or "annotations" in keys:
            yield _label_file(source.root / name, name, source.root)
        else:
            reading.report.add("extra", "a JSON file is not COCO and was left out", name)


def _label_file(path: Path, name: str, root: Path) -> LabelFile:
    found = _STEM.fullmatch(path.stem)
    rest = found["rest"] if found else ""
    base = path.parent.parent if path.parent.name == "annotations" else path.parent
    folders = [base / rest, base / "images" / rest] if rest else []
    folders += [base / "images", base, path.parent]
    split = standard_split(_YEAR.sub("", rest)) or standard_split(path.parent.name)
    return LabelFile(path, name, root, split, tuple(dict.fromkeys(folders)))
