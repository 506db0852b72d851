"""Recognising label files, which `add` leaves alone: labels belong into rows, not into files."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD_BYTES = 64 * 1024
LABEL_EXTENSIONS = (".json", ".jsonl", ".xml")
_JSON_LISTS = re.compile(rb'"(\w+)"\s*:\s*\[')
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
    if name == b"annotations" and (b"<image " in head or b"<track " in head):
        return "CVAT"
    return None


def _json_format(text: bytes) -> str | None:
    names = frozenset(_JSON_LISTS.findall(text))
    if names & {b"images", b"categories"} and (b"annotations" in names or b'"image_id"' in text):
        return "COCO"
    if b"shapes" in names and b'"imagePath"' in text:
        return "LabelMe"
    if text.lstrip().startswith(b"[") and b'"from_name"' in text and b'"to_name"' in text:
        return "Label Studio"
    if text.startswith(b'{"vgr":"jsonl"'):
        return "JSON lines"
    return None
