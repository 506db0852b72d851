"""Facts as JSON: the lines of `vgr diff --json`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from voyager.repo.label_facts import Fact, Terms
from voyager.schema import FileRow, Region, Sample, decode_file, decode_sample, sample_to_json
from voyager.schema.geometry import GEOMETRIES, UnknownGeometry
from voyager.schema.jsonform import part_to_json
from voyager.schema.jsonvalues import write_free, write_geometry
from voyager.schema.task import Skeleton, Task
from voyager.schema.values import Frozen

Json = Any
_Resolve = Callable[[str, bytes], str]
_SHAPES = frozenset({*GEOMETRIES.values(), UnknownGeometry})


def fact_json(fact: Fact, terms: Terms) -> dict[str, Json]:
    """The JSON object of a fact; fields that do not apply are left out, `before`, `after` never."""
    line: dict[str, Json] = {"scope": fact.scope, "kind": fact.kind}
    if fact.key is not None:
        line["key"] = fact.key
        if fact.old_key is not None:
            line["old_key"] = fact.old_key
    if fact.region is not None:
        line["region"] = fact.region.hex()
        if fact.old_region is not None:
            line["old_region"] = fact.old_region.hex()
    for name in ("name", "task"):
        value = getattr(fact, name)
        if value is not None:
            line[name] = value
    if fact.node is not None and fact.scope != "class":
        line["node"] = terms.path(fact.task or "", fact.node)
    elif fact.node is not None:
        line["node"] = fact.node.hex()
    if fact.source is not None:
        line["source"] = fact.source
    if fact.similarity is not None:
        line["similarity"] = round(fact.similarity, 4)
    line["before"] = _value(fact.before, fact, lambda task, node: terms.path(task, node, old=True))
    line["after"] = _value(fact.after, fact, terms.path)
    return line


def _value(value: Any, fact: Fact, resolve: _Resolve) -> Json:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if type(value) in _SHAPES:
        return write_geometry(value)
    if isinstance(value, bytes):
        return _bytes_value(value, fact, resolve)
    if isinstance(value, Sample):
        return _without_key(sample_to_json("", value, resolve))
    if isinstance(value, FileRow):
        return file_as_json(value)
    if isinstance(value, (Task, Skeleton)):
        return _fields(value, fact)
    if isinstance(value, Frozen):
        return part_to_json(value, resolve)
    if isinstance(value, (list, tuple)):
        if fact.kind in ("divided", "joined"):
            return [part.id.hex() if isinstance(part, Region) else part for part in value]
        return [_value(item, fact, resolve) for item in value]
    return write_free(value)


def _bytes_value(value: bytes, fact: Fact, resolve: _Resolve) -> Json:
    """A row of a sample or file, or the id of a class."""
    if fact.scope == "file":
        return file_as_json(decode_file(value))
    if fact.scope == "sample":
        return _without_key(sample_to_json("", decode_sample(value), resolve))
    return resolve(fact.task or "", value)


def _without_key(written: dict[str, Json]) -> dict[str, Json]:
    del written["key"]
    return written


def _fields(value: Struct, fact: Fact) -> Json:
    """The fields of a task that are not at their defaults."""
    written = {}
    defaults = dict(
        zip(
            value.__struct_fields__[-len(value.__struct_defaults__) :],
            value.__struct_defaults__,
            strict=True,
        )
    )
    for name in value.__struct_fields__:
        item = getattr(value, name)
        if name == "kind" or item != defaults.get(name):
            written[name] = item.hex() if isinstance(item, bytes) else _value(item, fact, _hex)
    return written


def _hex(_task: str, node: bytes) -> str:
    return node.hex()


def file_as_json(file: FileRow) -> dict[str, Json]:
    """The JSON of a tracked file that is no image."""
    return {"blob": file.blob_id.hex(), "bytes": file.bytes, "executable": file.executable}
