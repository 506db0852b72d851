"""Recognising label files, which `add` leaves alone: labels belong into rows, not into files."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD_BYTES = 64 * 1024
_XML_ROOT = re.compile(rb"<(?!\?|!)([A-Za-z_][\w.-]*)")


def label_format(path: Path) -> str | None:
    """The annotation format a file certainly is, or None; reads its head (and a JSON's tail)."""
    try:
        with open(path, "rb") as source:
            head = source.read(_HEAD_BYTES)
            source.seek(max(path.stat().st_size - _HEAD_BYTES, 0))
            tail = source.read(_HEAD_BYTES)
    except OSError:
        return None
    if path.suffix == ".xml":
        return _xml_format(head)
    return _json_format(head + tail)


def _xml_format(head: bytes) -> str | None:
    root = _XML_ROOT.search(head)
    if root is None:
        return None
    name = root.group(1)
    if (
        name == b"annotation"
        and b"<filename>" in head
        and (b"<object>" in head or b"<size>" in head)
    ):
        return "Pascal VOC"
    if name == b"annotations" and b"<image " in head:
        return "CVAT"
    return None


def _json_format(text: bytes) -> str | None:
    if re.search(rb'"annotations"\s*:\s*\[', text) and re.search(rb'"images"\s*:\s*\[', text):
        return "COCO"
    if re.search(rb'"shapes"\s*:\s*\[', text) and b'"imagePath"' in text:
        return "LabelMe"
    return None
