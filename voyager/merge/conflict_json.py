"""Conflicts as JSON, as `vgr conflicts --json` prints them and `vgr resolve --from` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from voyager import wire
from voyager.errors import InvalidDataError, NotFoundError, VoyagerError
from voyager.merge.conflicts import Standing, all_conflicts
from voyager.merge.deciding import Choose
from voyager.merge.resolving import BASE, DIFFERENT, OURS, SAME, THEIRS, UNION, Choice
from voyager.repo.conflicts import name_of
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import FILES, SAMPLES, TASKS, TAXONOMIES
from voyager.schema import (
    Asset,
    Group,
    Held,
    Image,
    Label,
    Region,
    decode_file,
    decode_sample,
    sample_from_json,
    sample_to_json,
)
from voyager.schema.conflict import ABSENT
from voyager.schema.fields import SAMPLE, decode_field, pair_of, parse_path, region_of, region_path
from voyager.schema.geometry import Geometry
from voyager.schema.jsonform import part_from_json, part_to_json
from voyager.schema.jsonvalues import Json, read_free, read_geometry, write_free, write_geometry
from voyager.schema.values import Unknown
from voyager.schema.vocabulary import Vocabulary
from voyager.schema.vocabulary_rows import decode_node, decode_task

WORDS = {
    "ours": OURS,
    "theirs": THEIRS,
    "base": BASE,
    "union": UNION,
    "same": SAME,
    "different": DIFFERENT,
}
"""What a line may say to be resolved to, besides a value."""

_PARTS: dict[str, type[Any]] = {
    "image": Image,
    "group": Group,
    "held": Held,
    "assets": Asset,
    "labels": Label,
}


def conflict_to_json(one: Standing, vocabulary: Vocabulary) -> dict[str, Json]:
    """The JSON of a conflict; a side that says none of the terms is left out."""

    def value(term: bytes) -> Json:
        return term_to_json(one, term, vocabulary)

    line: dict[str, Json] = {
        "space": one.space,
        "key": one.name,
        "region": None if one.region is None else one.region.hex(),
        "path": one.path,
        "terms": {
            "removes": [value(term) for term in one.terms.removes],
            "adds": [value(term) for term in one.terms.adds],
        },
        "base": value(one.base),
    }
    for name, side in zip(("ours", "theirs"), one.sides, strict=False):
        if side is not None:
            line[name] = value(side)
    return line


def term_to_json(one: Standing, term: bytes, vocabulary: Vocabulary) -> Json:
    """The value of a term as JSON, null for what is not there."""
    if term == ABSENT:
        return None
    if one.space == SAMPLES:
        return _field_json(one, term, vocabulary)
    if one.space == FILES:
        file = decode_file(term)
        return {"blob": file.blob_id.hex(), "bytes": file.bytes, "executable": file.executable}
    if one.path == "task" and one.space == TASKS:
        return write_free(wire.decode(wire.encode(decode_task(term))))
    if one.path == "node" and one.space == TAXONOMIES:
        return write_free(wire.decode(wire.encode(decode_node(term))))
    return _word_json(wire.decode(term), one, vocabulary)


def _word_json(value: Any, one: Standing, vocabulary: Vocabulary) -> Json:
    """A field of a task or class; classes by their paths."""
    if isinstance(value, bytes):
        paths = (taxonomy.path(value) for taxonomy in vocabulary.taxonomies.values())
        return next((path for path in paths if path is not None), value.hex())
    return write_free(value)


def _field_json(one: Standing, term: bytes, vocabulary: Vocabulary) -> Json:
    if pair_of(one.path) is not None:
        return bytes(wire.decode(term)).hex()
    if one.path == SAMPLE:
        return sample_to_json(one.name, decode_sample(term), vocabulary.resolve)
    value = decode_field(one.path, term)
    if isinstance(value, Geometry):
        return write_geometry(value)
    if isinstance(value, (Label, Region, Image, Group, Held, Asset)):
        return part_to_json(value, vocabulary.resolve)
    return write_free(value.value if isinstance(value, Unknown) else value)


# -- reading --------------------------------------------------------------------------------------


def value_from_json(space: str, path: str, value: Json, vocabulary: Vocabulary) -> Any:
    """The value that a field is to have; InvalidDataError for what it cannot have."""
    if value is None:
        return None
    if space in (TASKS, TAXONOMIES):
        return _word_value(path, value, vocabulary)
    if space != SAMPLES:
        raise InvalidDataError(
            "of such a row one of the sides is taken, or null: write the file and add it, else"
        )
    parts = parse_path(path)
    if pair_of(path) is not None:
        raise InvalidDataError('two regions are the "same" or "different"; they have no value')
    own = region_of(path)
    if own is not None and path == region_path(own):
        return part_from_json(Region, {**value, "id": own.hex()}, vocabulary.find)
    name = parts[2] if own is not None else parts[0]
    if name == SAMPLE:
        return sample_from_json(value, vocabulary.find)[1]
    if name == "geometries":
        return read_geometry(value, parts[-1])
    if name in _PARTS:
        return part_from_json(_PARTS[name], value, vocabulary.find)
    return Unknown(read_free(value, path)) if name == "unknown" else read_free(value, path)


def _word_value(path: str, value: Json, vocabulary: Vocabulary) -> Any:
    if path in ("parent", "applies_to") and isinstance(value, str):
        found = (taxonomy.find(value) for taxonomy in vocabulary.taxonomies.values())
        node = next((node for node in found if node is not None), None)
        if node is None:
            raise InvalidDataError(f"there is no class '{value}'")
        return node
    return read_free(value, path)


def choices_from(version: Dataset, path: Path) -> Choose:
    """What the lines of a file choose for the conflicts of a version.

    InvalidDataError for a line that says nothing that can be chosen, NotFoundError for one about
    what is not in conflict; both with file and line.
    """
    choices = read_choices(path, version.vocabulary)
    rows = all_conflicts(version)
    known = {(name_of(*at, version), field) for at, found in rows.items() for field in found}
    for (name, field), (_, line) in choices.items():
        if (name, field) not in known:
            raise NotFoundError(
                f"{field} of '{name}' is not in conflict",
                path=path,
                line=line,
                hint="vgr conflicts",
            )

    def choose(space: str, key: bytes, field: str) -> Choice | None:
        found = choices.get((name_of(space, key, version), field))
        return None if found is None else found[0]

    return choose


def read_choices(path: Path, vocabulary: Vocabulary) -> dict[tuple[str, str], tuple[Choice, int]]:
    """(key, field path) → what to do, and the line that says so.

    InvalidDataError with file and line for what is none.
    """
    found: dict[tuple[str, str], tuple[Choice, int]] = {}
    for number, line in _lines(path):
        try:
            key, field, choice = _read_line(line, vocabulary)
            if choice is None:
                continue
        except VoyagerError as error:
            raise InvalidDataError(error.message, path=str(path), line=number) from None
        known = found.setdefault((key, field), (choice, number))
        if known[0] != choice:
            raise InvalidDataError(
                f"line {known[1]} resolves {field} of '{key}' otherwise",
                path=str(path),
                line=number,
            )
    return found


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8-sig") as file:
        lines = enumerate(file, 1)
        while True:
            number = 0
            try:
                number, line = next(lines)
            except StopIteration:
                return
            except UnicodeDecodeError:
                raise InvalidDataError("not UTF-8", path=str(path)) from None
            if line.strip():
                yield number, line


def _read_line(text: str, vocabulary: Vocabulary) -> tuple[str, str, Choice | None]:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise InvalidDataError(f"not JSON: {error}") from None
    if not isinstance(line, dict):
        raise InvalidDataError("expected an object")
    for name in ("key", "path"):
        if not isinstance(line.get(name), str):
            raise InvalidDataError(f"{name}: expected text")
    if "resolve" not in line:
        raise InvalidDataError(
            'resolve: missing; "ours", "theirs", "base", … or {"value": …}',
        )
    space = line.get("space", SAMPLES)
    return line["key"], line["path"], _choice(line["resolve"], space, line["path"], vocabulary)


def _choice(said: Json, space: str, path: str, vocabulary: Vocabulary) -> Choice | None:
    if said is None:
        return None
    if isinstance(said, str) and said in WORDS:
        return WORDS[said]
    match said:
        case {"value": value, **rest} if not rest:
            return Choice("value", value=value_from_json(space, path, value, vocabulary))
        case {"pick": int(number), **rest} if not rest and number > 0:
            return Choice("pick", number - 1)
        case {"side": int(number), **rest} if not rest and number > 0:
            return Choice("side", number - 1)
    raise InvalidDataError(f"resolve: {json.dumps(said)} is no choice{_near(said, WORDS)}")


def _near(said: Json, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(said), known, 1)
    return f"; did you mean {near[0]}?" if near else f': {", ".join(known)} or {{"value": …}}'
