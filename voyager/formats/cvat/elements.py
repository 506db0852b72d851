"""Reading a CVAT XML file part by part, with the line of every element and checked values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from voyager.errors import InvalidDataError

_TRUE = frozenset({"1", "true", "yes"})
_LONGEST_LINE = 64 * 1024


class _Lines:
    """A file that is read a line at a time, so that an element's line is known."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.line = 0
        self._open = False

    def read(self, _size: int = -1) -> bytes:
        chunk = self._file.readline(_LONGEST_LINE)
        if not self._open:
            self.line += 1
        self._open = not chunk.endswith(b"\n")
        return chunk


@dataclass(frozen=True, slots=True)
class Part:
    """An element right below the root with all that is in it; `shown` is how errors name the
    file."""

    element: Element
    lines: dict[int, int]
    shown: str

    def place(self, element: Element) -> str:
        """Where an element stands, as file:line."""
        return f"{self.shown}:{self.lines.get(id(element), 0)}"

    def bad(self, element: Element, message: str) -> InvalidDataError:
        """The error that an element is malformed."""
        line = self.lines.get(id(element))
        return InvalidDataError(f"<{element.tag}> {message}", path=self.shown, line=line)

    def text(self, element: Element, name: str) -> str:
        """An attribute that has to be there."""
        value = element.get(name)
        if value is None:
            raise self.bad(element, f"has no '{name}'")
        return value

    def number(self, element: Element, name: str, default: float | None = None) -> float:
        """An attribute as a number, NaN and infinity among them."""
        if default is not None and name not in element.attrib:
            return default
        text = self.text(element, name)
        try:
            return float(text)
        except ValueError:
            raise self.bad(element, f"{name}: expected a number, got '{text}'") from None

    def integer(self, element: Element, name: str, default: int | None = None) -> int:
        """An attribute as a whole number."""
        number = self.number(element, name, None if default is None else float(default))
        if not math.isfinite(number) or number != int(number) or abs(number) > 2**53:
            raise self.bad(element, f"{name}: expected a whole number, got '{element.get(name)}'")
        return int(number)

    def flag(self, element: Element, name: str) -> bool:
        """An attribute that is 1 or 0; absent is 0."""
        return element.get(name, "0").strip().lower() in _TRUE


def parts_of(path: Path, shown: str) -> Iterator[Part]:
    """The parts of a file in order, each gone from memory when the next is read.

    InvalidDataError for what is not XML, declares entities or a DTD, or has another root.
    """
    try:
        with open(path, "rb") as file:
            yield from _parts(_Lines(file), shown)
    except ParseError as error:
        line = error.position[0]
        raise InvalidDataError(f"not XML: {error.msg}", path=shown, line=line) from None
    except InvalidDataError:
        raise
    except (ValueError, LookupError) as error:  # defusedxml's refusals, unknown encodings
        raise InvalidDataError(f"XML that is not read: {error}", path=shown) from None


def _parts(lines: _Lines, shown: str) -> Iterator[Part]:
    from defusedxml.ElementTree import iterparse

    root: Any = None
    depth = 0
    at: dict[int, int] = {}
    for event, element in iterparse(lines, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            at[id(element)] = lines.line
            depth += 1
            root = _checked_root(element, shown) if root is None else root
            continue
        depth -= 1
        if depth == 1:
            yield Part(element, at, shown)
            root.clear()
            at.clear()


def _checked_root(root: Element, shown: str) -> Element:
    if root.tag != "annotations":
        raise InvalidDataError(f"<{root.tag}> where CVAT has <annotations>", path=shown, line=1)
    return root
