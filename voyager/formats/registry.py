"""The formats there are, and telling which one a source is."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from voyager.errors import NotFoundError, UsageError
from voyager.formats.base import RECORD_NAME, Detection, Format, Source
from voyager.images import IMAGE_EXTENSIONS

FORMATS: dict[str, str] = {
    "coco": "voyager.formats.coco",
    "voc": "voyager.formats.voc",
    "yolo": "voyager.formats.yolo",
    "folders": "voyager.formats.folders",
    "masks": "voyager.formats.masks",
    "table": "voyager.formats.table",
    "cvat": "voyager.formats.cvat",
    "cvat-video": "voyager.formats.cvat.video",
    "label-studio": "voyager.formats.label_studio",
    "labelme": "voyager.formats.labelme",
    "jsonl": "voyager.formats.jsonl",
}
"""Name → module, which has a `FORMAT`. Detection asks them in this order."""

_AMBIGUOUS = 0.1  # two formats whose certainty is closer than this are a tie


def format_named(name: str) -> Format:
    """The format of a name; NotFoundError with a near miss."""
    module = FORMATS.get(name.lower())
    if module is None:
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), FORMATS, 1, 0.5)
        hint = f"--format {near[0]}" if near else f"one of {', '.join(FORMATS)}"
        raise NotFoundError(f"no format '{name}'", hint=hint)
    found: Format = importlib.import_module(module).FORMAT
    return found


def all_formats() -> Iterable[Format]:
    """Every format, in the order of the table."""
    return map(format_named, FORMATS)


def detections(source: Source) -> list[tuple[Format, Detection]]:
    """The formats that a source may be, the surest first."""
    found = [(form, form.detect(source)) for form in all_formats() if form.read is not None]
    sure = [(form, detection) for form, detection in found if detection is not None]
    return sorted(sure, key=lambda pair: -pair[1].certainty)


def detect(path: Path) -> tuple[Format, Detection]:
    """The format of a file or folder, and how it was known.

    Raises NotFoundError when no format knows it, UsageError naming both when two are as likely.
    """
    found = detections(Source(path))
    if len(found) != 1:
        recorded = _recorded(path)
        if recorded is not None and (not found or recorded in (form for form, _ in found)):
            return recorded, Detection(1.0, f"its {RECORD_NAME} says so")
    if not found:
        hint = f"--format {'|'.join(FORMATS)}"
        if _holds_images(path):
            hint = f"vgr add '{path}' takes images without labels; else {hint}"
        raise NotFoundError(f"'{path}' is in no format that vgr knows", hint=hint)
    best, detection = found[0]
    for other, rival in found[1:]:
        if detection.certainty - rival.certainty < _AMBIGUOUS:
            raise UsageError(
                f"'{path}' could be {best.title} ({detection.why}) or {other.title} ({rival.why})",
                hint=f"--format {best.name}, or --format {other.name}",
            )
    return best, detection


def _recorded(path: Path) -> Format | None:
    """The format that an export was made in."""
    from voyager.formats.records import find_record

    record = find_record(path)
    return None if record is None or record.format not in FORMATS else format_named(record.format)


def _holds_images(path: Path) -> bool:
    """Whether it is an image, or a folder with some."""
    files = path.iterdir() if path.is_dir() else [path]
    return any(file.suffix.lower() in IMAGE_EXTENSIONS for file in files)
