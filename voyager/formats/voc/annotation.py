"""One annotation file of Pascal VOC: XML elements with their lines, texts and numbers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError
from xml.parsers import expat

from voyager.errors import InvalidDataError
from voyager.formats.base import decode_text
from voyager.formats.report import Report
from voyager.schema.sample import MetaValue, Scalar

_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?")
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+")
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_EXACT = Context(prec=60)
_DEEPEST = 20
_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"", "0", "false", "no"})


@dataclass(frozen=True, slots=True)
class Annotation:
    """A parsed file; `path` is its name below the dataset's folder."""

    root: Element
    data: bytes
    path: str

    def bad(self, element: Element, message: str, hint: str | None = None) -> InvalidDataError:
        """The error that an element is malformed, with its line."""
        return InvalidDataError(
            f"<{element.tag}>: {message}", path=self.path, line=self.line(element), hint=hint
        )

    def place(self, element: Element) -> str:
        """Where an element stands, for people."""
        return f"{self.path}:{self.line(element)}"

    def line(self, element: Element) -> int | None:
        """The line of an element: found by a second parse, as it is rarely asked for."""
        number = next((n for n, found in enumerate(self.root.iter()) if found is element), -1)
        return next((line for n, line in enumerate(_lines(self.data)) if n == number), None)

    def text(self, element: Element, tag: str) -> str:
        """The text of a child, empty where there is none."""
        return (element.findtext(tag) or "").strip()

    def number(self, element: Element, tag: str, shift: float = 0) -> float:
        """The number in a child minus `shift`, to the last digit; NaN and infinity as they are.

        InvalidDataError when there is no such child or no number in it.
        """
        child = element.find(tag)
        if child is None:
            raise self.bad(element, f"<{tag}> is missing")
        text = (child.text or "").strip()
        if _NUMBER.fullmatch(text):
            plain = float(text)
            if not shift or not math.isfinite(plain):
                return plain
            return float(_EXACT.subtract(Decimal(text), Decimal(shift)))
        if _NOT_FINITE.fullmatch(text):
            return float(text)
        comma = "the numbers of this file have decimal commas" if _COMMA.fullmatch(text) else None
        raise self.bad(child, f"expected a number, got '{text[:40]}'", comma)

    def size(self) -> tuple[int | None, int | None]:
        """(width, height) that the file states; None where it states none, or 0."""
        size = self.root.find("size")
        if size is None:
            return None, None
        return self._side(size, "width"), self._side(size, "height")

    def _side(self, size: Element, tag: str) -> int | None:
        if not self.text(size, tag):
            return None
        side = self.number(size, tag)
        if not (0 <= side <= 1e9 and side.is_integer()):
            raise self.bad(size, f"<{tag}> is no count of pixels")
        return int(side) or None


def _lines(data: bytes) -> Iterator[int]:
    """The line of every element, in document order, of XML that is known to be well-formed."""
    found: list[int] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda *_: found.append(parser.CurrentLineNumber)
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError):  # its bytes are in an encoding that expat lacks
        return iter(())
    return iter(found)


def parse_annotation(data: bytes, path: str, report: Report) -> Annotation:
    """Parse a file; InvalidDataError for what is no XML, has a DTD, or is no annotation."""
    from defusedxml import ElementTree
    from defusedxml.common import DefusedXmlException

    source: bytes | str = data
    try:
        try:
            root = ElementTree.fromstring(source, forbid_dtd=True)
        except (ParseError, ValueError, LookupError) as error:
            if isinstance(error, DefusedXmlException) or not _may_be_recoded(data):
                raise
            source = _recoded(data, path, report)
            root = ElementTree.fromstring(source, forbid_dtd=True)
    except ParseError as error:
        line = error.position[0]
        raise InvalidDataError(f"not XML: {error.msg}", path=path, line=line) from None
    except DefusedXmlException:
        raise InvalidDataError("XML with a DTD or entities is refused", path=path) from None
    except (ValueError, LookupError) as error:
        raise InvalidDataError(f"not XML: {error}", path=path) from None
    if root.tag != "annotation":
        raise InvalidDataError(f"<{root.tag}> is no annotation of Pascal VOC", path=path, line=1)
    if _too_deep(root):
        raise InvalidDataError("elements nest too deep", path=path)
    return Annotation(root, data if source is data else source.encode(), path)  # type: ignore[union-attr]


def _too_deep(root: Element) -> bool:
    level: list[Element] = [root]
    for _ in range(_DEEPEST):
        level = [child for element in level for child in element]
    return bool(level)


def _may_be_recoded(data: bytes) -> bool:
    """Whether the bytes are text in another encoding than XML says, or than expat knows."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return True
    return _ENCODING.match(data.lstrip()) is not None


def _recoded(data: bytes, path: str, report: Report) -> str:
    declared = _ENCODING.match(data.lstrip())
    if declared is not None:
        try:
            return data.decode(declared[1].decode())
        except (UnicodeError, LookupError):
            pass
    return decode_text(data, path, report)


def plain(element: Element) -> Any:
    """An element as its text, or a map of its children; of those with the same tag a list."""
    if len(element) == 0:
        return (element.text or "").strip()
    found: dict[str, Any] = {}
    for child in element:
        value = plain(child)
        if child.tag not in found:
            found[child.tag] = value
        elif isinstance(found[child.tag], list):
            found[child.tag].append(value)
        else:
            found[child.tag] = [found[child.tag], value]
    return found


def parse_flag(text: str) -> bool | None:
    """Whether a text says yes or no; None for anything else."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


# -- attribute values ----------------------------------------------------------------------------


def _refuse_constant(text: str) -> float:
    raise ValueError(text)


def _json_value(text: str) -> MetaValue | None:
    """The value that a JSON text has, None when it is none that an attribute can have."""
    if text in ("True", "False"):
        return text == "True"
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    parts = value if isinstance(value, list) else [value]
    return value if all(map(_is_scalar, parts)) else None


def _is_scalar(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return isinstance(value, str)


def parse_value(text: str) -> MetaValue:
    """The value that a text means: a truth, a number, a list, a text in quotes, else itself."""
    value = _json_value(text)
    return text if value is None else value


def format_value(value: MetaValue) -> str:
    """The text that `parse_value` reads as a value."""
    if not isinstance(value, str):
        return json.dumps(value)
    odd = value != value.strip() or "\r" in value or _NOT_XML.search(value)
    return json.dumps(value) if odd or _json_value(value) is not None else value


def merge_values(values: list[MetaValue]) -> MetaValue:
    """One value of attributes that have the same name."""
    if len(values) == 1:
        return values[0]
    merged: list[Scalar] = []
    for value in values:
        merged += value if isinstance(value, list) else [value]
    return merged


# -- writing -------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """A text for XML; characters that XML cannot have become U+FFFD."""
    text = _NOT_XML.sub("\ufffd", text)
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = text.replace(mark, entity)
    return text


def is_plain_text(text: str) -> bool:
    """Whether a text comes back the same from an element."""
    return text == text.strip() and "\r" not in text and _NOT_XML.search(text) is None


def format_number(value: float, shift: float = 0) -> str:
    """A coordinate plus `shift`, so that `Annotation.number` finds the very same float."""
    if value == int(value) and abs(value) < 1e15 and shift == int(shift):
        return str(int(value) + int(shift))
    if not shift:
        return repr(value)
    return str(_EXACT.add(Decimal(repr(value)), Decimal(shift)))
