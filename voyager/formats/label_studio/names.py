"""What Label Studio calls images: uploads, storages and URLs, as names below a folder."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

from voyager.errors import InvalidDataError
from voyager.formats.base import is_image_name

KEY: Final = "vgr_key"
"""The field of a task's data that names our sample; Label Studio leaves it alone."""

SPLIT: Final = "vgr_split"

FIELDS: Final = ("image", "img", "image_url", "imageUrl", "url", "photo", "picture", "ocr", "path")
"""Where tasks have their image when no configuration tells."""

_UPLOAD = re.compile(r"(?:^|/)data/upload/(?:\d+/)?(?:[0-9a-f]{8}-)?([^?]+)")
_DATA_URL = re.compile(r"data:image/([a-z0-9.+-]+);base64,", re.IGNORECASE)
_STORED = ("s3", "gs", "azure-blob", "azure", "https", "http")


def image_field(data: dict[str, Any], wanted: str | None) -> str | None:
    """The field of a task's data that is its image; None when there is none."""
    if wanted is not None:
        return wanted if isinstance(data.get(wanted), str) else None
    for name in (*FIELDS, *data):
        value = data.get(name)
        if isinstance(value, str) and value.strip() and (name in FIELDS or _is_image(value)):
            return name
    return None


def _is_image(text: str) -> bool:
    return len(text) < 2000 and (
        is_image_name(text.partition("?")[0]) or bool(_DATA_URL.match(text))
    )


def image_name(text: str) -> str:
    """The name of an image within its upload, storage or site.

    `/data/upload/3/1a2b3c4d-a.jpg` is a.jpg, `/data/local-files/?d=x/a.jpg` and
    `s3://bucket/x/a.jpg` are x/a.jpg.
    """
    parts = _split(text.strip()) if "://" in text or "?" in text else None
    query = {} if parts is None else parse_qs(parts.query)
    if parts is not None and parts.path.endswith("/local-files/") and "d" in query:
        return query["d"][0].lstrip("/")
    if parts is not None and "fileuri" in query:
        return image_name(_decoded(query["fileuri"][0]))
    upload = _UPLOAD.search(text)
    if upload:
        return unquote(upload[1])
    if parts is not None and parts.scheme in _STORED:
        return unquote(parts.path).lstrip("/") or parts.netloc
    return text.strip().lstrip("/")


def _split(text: str) -> SplitResult | None:
    try:
        return urlsplit(text)
    except ValueError:
        return None  # brackets that hold no address


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return text


def embedded(text: str, path: str, place: str) -> tuple[str, bytes] | None:
    """(extension, bytes) of an image that stands in the file itself."""
    found = _DATA_URL.match(text)
    if found is None:
        return None
    try:
        data = base64.b64decode(text[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidDataError(f"{place}: not base64", path=path) from None
    return "." + found[1].lower().replace("jpeg", "jpg").replace("svg+xml", "svg"), data


def image_url(prefix: str, name: str) -> str:
    """The URL of an exported image below a prefix."""
    return prefix + quote(name)
