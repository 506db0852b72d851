"""Reading JSON files larger than memory: a top-level object or list, its arrays in windows.

The elements of an array are cut out of the file in windows that fit a cache. Where the guess of
where an element ends proves wrong, the brackets are counted; what msgspec refuses (NaN, numbers
out of range) goes element by element to the tolerant parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from msgspec import Raw

from voyager.errors import InvalidDataError

WINDOW: Final = 512 * 1024  # fits a cache of the processor: half the time of 4 MiB
_MOST = 1 << 30  # one element or plain value may be so long

_STRUCTURE = re.compile(rb'["\[\]{}]')
_STRING_END = re.compile(rb'(?:[^"\\]|\\.)*"', re.DOTALL)
_BETWEEN = re.compile(rb"}\s*,\s*(?={)")
_SPACE = re.compile(rb"\s*")
_SCALAR = re.compile(rb"[^\s,\]}]+")
_raws = msgspec.json.Decoder(list[Raw])


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive elements of a top-level array.

    `data` is the window as a JSON array, None where msgspec cannot read it as one. `first` is the
    place of its first element in the array.
    """

    name: str
    first: int
    elements: Sequence[bytes | Raw]
    data: bytes | None


@dataclass(frozen=True, slots=True)
class Value:
    """A top-level value that is no array of objects."""

    name: str
    value: Any


def stream(path: Path, window: int = WINDOW) -> Iterator[Window | Value]:
    """The windows and values of a file, in its order; the name of a top-level list is empty.

    Raises InvalidDataError with a place for what is no JSON object or list.
    """
    with open(path, "rb") as file:
        yield from _Scanner(path, file, window).run()


class _Scanner:
    """A buffer over a file, and where in it the scan is."""

    def __init__(self, path: Path, file: IO[bytes], window: int) -> None:
        self._path = path
        self._file = file
        self._window = window
        self._buffer = b""
        self._at = 0
        self._done = 0  # bytes before the buffer
        self._ended = False
        # Near the end of an array the guess fails; smaller ones take us near enough to count.
        self._sizes = (2 * window, window // 8, window // 64)

    def run(self) -> Iterator[Window | Value]:
        self._fill()
        if self._buffer.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise self._error("UTF-16 text; save it as UTF-8")
        if self._buffer.startswith(b"\xef\xbb\xbf"):
            self._at = 3
        first = self._peek()
        if first == b"[":
            self._at += 1
            yield from self._array("")
        elif first == b"{":
            self._at += 1
            yield from self._object()
        else:
            raise self._error("expected a JSON object or list")
        if self._peek():
            raise self._error("text after the end of the JSON")

    # -- the buffer ------------------------------------------------------------------------------

    def _fill(self) -> bool:
        """Read some more; False at the end of the file."""
        if self._ended:
            return False
        if self._at:
            self._buffer = self._buffer[self._at :]
            self._done += self._at
            self._at = 0
        more = self._file.read(max(self._window, len(self._buffer)))
        self._ended = not more
        self._buffer += more
        if len(self._buffer) > _MOST:
            raise self._error("one value is longer than a gigabyte")
        return not self._ended

    def _peek(self) -> bytes:
        """The next byte that is no space; empty at the end."""
        while True:
            found = _SPACE.match(self._buffer, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._fill():
                return b""

    def _take(self, byte: bytes, what: str) -> None:
        if self._peek() != byte:
            raise self._error(f"expected {what}")
        self._at += 1

    def _error(self, message: str) -> InvalidDataError:
        return InvalidDataError(
            f"not JSON at byte {self._done + self._at}: {message}", path=self._path
        )

    # -- values ----------------------------------------------------------------------------------

    def _object(self) -> Iterator[Window | Value]:
        if self._peek() == b"}":
            self._at += 1
            return
        while True:
            if self._peek() != b'"':
                raise self._error("expected a name in quotes")
            name = str(self._value())
            self._take(b":", "':'")
            if self._peek() == b"[":
                self._at += 1
                yield from self._array(name)
            else:
                yield Value(name, self._value())
            if self._peek() != b",":
                break
            self._at += 1
        self._take(b"}", "',' or '}'")

    def _value(self) -> Any:
        """Parse one value that is no big array."""
        self._peek()
        while True:
            end = _value_end(self._buffer, self._at)
            if end is not None and (end < len(self._buffer) or self._ended):
                break
            if not self._fill() and _value_end(self._buffer, self._at) is None:
                raise self._error("the file ends inside a value")
        data = self._buffer[self._at : end]
        value = self._parse(data)
        self._at = end
        return value

    def _parse(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise self._error(str(error)) from None

    def _array(self, name: str) -> Iterator[Window | Value]:
        """The windows of an array, whose bracket was taken."""
        if self._peek() != b"{":
            yield Value(name, self._plain_array())
            return
        first = 0
        closed = False
        while not closed:
            window, closed = self._next_window(name, first)
            first += len(window.elements)
            yield window

    def _plain_array(self) -> list[Any]:
        values: list[Any] = []
        if self._peek() == b"]":
            self._at += 1
            return values
        while True:
            values.append(self._value())
            if self._peek() != b",":
                break
            self._at += 1
        self._take(b"]", "',' or ']'")
        return values

    def _next_window(self, name: str, first: int) -> tuple[Window, bool]:
        while True:
            if len(self._buffer) - self._at < self._window:
                self._fill()
            for size in self._sizes:
                guess = self._guess(name, first, self._at + size)
                if guess is not None:
                    return guess, False
            ends, closed = _elements(self._buffer, self._at, self._at + self._sizes[-1])
            if ends or closed is not None:
                return self._cut(name, first, ends, closed)
            if not self._fill():
                raise self._error(f"the file ends inside '{name}'")

    def _guess(self, name: str, first: int, end: int) -> Window | None:
        """All up to the last `}, {` before a place, if that is where an element ends."""
        cut = self._buffer.rfind(b"}", self._at, end)
        for _ in range(8):
            found = _BETWEEN.match(self._buffer, cut) if cut >= 0 else None
            if found is not None or cut < 0:
                break
            cut = self._buffer.rfind(b"}", self._at, cut)
        if cut <= self._at or found is None:
            return None
        data = b"[" + self._buffer[self._at : cut + 1] + b"]"
        try:
            elements = _raws.decode(data)
        except (msgspec.MsgspecError, ValueError):
            return None
        self._at = found.end()
        return Window(name, first, elements, data)

    def _cut(
        self, name: str, first: int, ends: list[tuple[int, int]], closed: int | None
    ) -> tuple[Window, bool]:
        if not ends:
            raise self._error("expected a value after ','")
        elements: list[bytes | Raw] = [self._buffer[start:end] for start, end in ends]
        data: bytes | None = b"[" + b",".join(bytes(element) for element in elements) + b"]"
        try:
            _raws.decode(data or b"")
        except (msgspec.MsgspecError, ValueError):
            data = None
        self._at = ends[-1][1] if closed is None else closed
        if closed is None and self._peek() == b",":
            self._at += 1
            self._peek()
            return Window(name, first, elements, data), False
        self._take(b"]", "',' or ']'")
        return Window(name, first, elements, data), True


def _value_end(buffer: bytes, at: int) -> int | None:
    """Where the value that begins at a place ends, None when it does not end in the buffer."""
    if buffer[at : at + 1] not in (b'"', b"{", b"["):
        found = _SCALAR.match(buffer, at)
        return None if found is None else found.end()
    depth = 0
    while True:
        found = _STRUCTURE.search(buffer, at)
        if found is None:
            return None
        at = found.end()
        mark = found.group()
        if mark == b'"':
            closing = _STRING_END.match(buffer, at)
            if closing is None:
                return None
            at = closing.end()
        else:
            depth += 1 if mark in b"[{" else -1
        if depth <= 0:
            return at


def _elements(buffer: bytes, at: int, stop: int) -> tuple[list[tuple[int, int]], int | None]:
    """(start, end) of the whole elements that begin before `stop`, and where the array closes."""
    ends: list[tuple[int, int]] = []
    while at < stop or not ends:
        found = _SPACE.match(buffer, at)
        at = found.end() if found else at
        mark = buffer[at : at + 1]
        if mark == b"]":
            return ends, at
        if ends and mark == b",":
            found = _SPACE.match(buffer, at + 1)
            at = found.end() if found else at + 1
        elif ends:
            return ends, None
        end = _value_end(buffer, at)
        cut_short = end == len(buffer) and buffer[at : at + 1] not in (b'"', b"{", b"[")
        if end is None or at >= len(buffer) or cut_short:
            return ends, None
        ends.append((at, end))
        at = end
    return ends, None
