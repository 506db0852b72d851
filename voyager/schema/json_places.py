"""Where things stand in a text of JSON: the line of a path, as errors about a sample name it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from voyager.errors import InvalidDataError

_TOKEN = re.compile(r'\s*(?:([{}\[\],:])|("(?:[^"\\]|\\.)*")|([^\s{}\[\],:"]+))', re.DOTALL)
_WIDTH = 100
_DEEPEST = 64
_ENDS = (":", ".", "[", "")
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


def parse_json(text: str) -> Any:
    """The value of a text; InvalidDataError with the line for what is no JSON.

    Infinities, NaN and two fields of one name in an object are refused.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        message = f"{error.msg[:1].lower()}{error.msg[1:]} (column {error.colno})"
        raise InvalidDataError(message, line=error.lineno) from None
    except RecursionError:
        raise InvalidDataError("nested too deep", line=1) from None
    seen: set[str] = set()
    for path, line, word in _walk(text):
        if word in _NO_NUMBERS:
            raise InvalidDataError(f"{path}: {word} is no number of JSON", line=line)
        if path in seen:
            raise InvalidDataError(f"{path}: the field is there twice", line=line)
        seen.add(path)
    return value


def line_of(text: str, message: str) -> int | None:
    """The line of what a message begins with: a path such as `regions[0].labels[1].value`.

    Of a path that the text does not have, the line of the longest beginning that it has.
    """
    best, line = "", None
    for path, number, _ in _walk(text):
        longer = len(path) > len(best) and message.startswith(path)
        if longer and message[len(path) : len(path) + 1] in _ENDS:
            best, line = path, number
    return line


def _walk(text: str) -> Iterator[tuple[str, int, str]]:
    """(path, line, the value's first token) of every value, in the order of a text of JSON."""
    stack: list[tuple[str, int | None]] = []  # path of the container, next place in a list
    name: str | None = None
    line = end = 0
    for token in _TOKEN.finditer(text):
        at = token.end() - len(token[0].lstrip())
        line, end = line + text.count("\n", end, at), at
        mark, word, _ = token.groups()
        if mark in (":", ","):
            continue
        if mark in ("}", "]"):
            stack.pop()
            continue
        path, place = stack[-1] if stack else ("", None)
        if place is not None:
            path = f"{path}[{place}]"
            stack[-1] = (stack[-1][0], place + 1)
        elif name is not None:
            path, name = f"{path}.{name}".lstrip("."), None
        elif stack:
            name = str(json.loads(word))
            continue
        yield path, line + 1, token[0].strip()
        if mark is not None:
            if len(stack) > _DEEPEST:
                raise InvalidDataError("nested too deep", line=line + 1)
            stack.append((path, 0 if mark == "[" else None))


def write_json(value: Any, indent: str = "") -> str:
    """JSON for people: a line for each field, but what is short, or only numbers, on one line."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or not value:
        return flat
    if len(indent) + len(flat) <= _WIDTH and indent and _is_plain(value):
        return flat
    if isinstance(value, list) and all(isinstance(item, (int, float)) for item in value):
        return flat
    deeper = indent + "  "
    if isinstance(value, dict):
        items = [
            f"{json.dumps(name, ensure_ascii=False)}: {write_json(item, deeper)}"
            for name, item in value.items()
        ]
        opening, closing = "{", "}"
    else:
        items = [write_json(item, deeper) for item in value]
        opening, closing = "[", "]"
    lines = f",\n{deeper}".join(items)
    return f"{opening}\n{deeper}{lines}\n{indent}{closing}"


def _is_plain(value: dict[str, Any] | list[Any]) -> bool:
    """Whether nothing in it is a list or object of its own, but for lists of numbers and texts."""
    items = value.values() if isinstance(value, dict) else value
    return not any(isinstance(item, dict) for item in items)
