"""The fields of a sample by path: what merges speak of, conflicts name, and blame follows.

    image  split  group  held  unknown       labels/TASK/SOURCE[/…]  meta/NAME  extra/NAME
    assets/NAME  coverage/KEY                regions/ID              regions/ID/geometries/ROLE
    regions/ID/{primary,track,frame_state,score,state,source,unknown}
    regions/ID/labels/TASK/SOURCE[/…]        regions/ID/{attrs,extra}/NAME

What is a set (flags, links, negatives) is merged member by member and never in conflict, so it has
no path. `TASK/SOURCE` is one label of a one-answer task; where a source may say several things,
`=VALUE`, `#ORDINAL` and `@LANGUAGE` follow.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

from voyager import wire
from voyager.schema.codec import RowKind, decode_as, encode_as
from voyager.schema.conflict import ABSENT, join_field, split_field
from voyager.schema.geometry import Geometry
from voyager.schema.sample import (
    Asset,
    Coverage,
    FileRow,
    FrameState,
    Group,
    Held,
    Image,
    Label,
    Region,
    Sample,
    State,
)
from voyager.schema.values import Unknown

SAMPLE: Final = "sample"
"""The path of a sample as a whole: it is there, or it is not."""

KEY: Final = "key"
"""The path of where a sample is."""

FILE: Final = "file"
"""The path of a file as a whole."""

_SAMPLE_MAPS = ("assets", "coverage", "extra", "meta")
_REGION_MAPS = ("attrs", "extra", "geometries")

_KINDS: dict[str, RowKind[Any]] = {
    name: RowKind(kind, words)
    for name, kind, words in (
        ("sample", Sample, "a sample"),
        ("key", str, "a key"),
        ("file", FileRow, "a file"),
        ("image", Image, "an image"),
        ("split", str, "a split"),
        ("group", Group, "a group"),
        ("held", Held, "what holds a sample"),
        ("assets", Asset, "an asset"),
        ("coverage", Coverage, "a coverage"),
        ("labels", Label, "a label"),
        ("region", Region, "a region"),
        ("geometries", Geometry, "a geometry"),
        ("track", str, "a track"),
        ("primary", str, "a role"),
        ("source", str, "a source"),
        ("frame_state", FrameState, "a frame state"),
        ("state", State, "a state"),
        ("score", float, "a score"),
    )
}


def label_slot(label: Label, *, many: bool) -> tuple[str, ...]:
    """What tells a label from the others of a sample or region: the end of its path."""
    parts = [label.task, label.source]
    if many:
        parts.append(f"={label.node.hex() if label.node is not None else label.value}")
    if label.ordinal is not None:
        parts.append(f"#{label.ordinal}")
    if label.language is not None:
        parts.append(f"@{label.language}")
    return tuple(parts)


def label_path(label: Label, *, many: bool, region: bytes | None = None) -> str:
    """The path of a label of a sample, or of one of its regions."""
    head = ["labels"] if region is None else ["regions", region.hex(), "labels"]
    return join_field([*head, *label_slot(label, many=many)])


def region_path(region: bytes, *names: str) -> str:
    """The path of a region, or of a field of it."""
    return join_field(["regions", region.hex(), *names])


def pair_path(one: bytes, other: bytes) -> str:
    """The path that marks two regions which may be the same thing."""
    return f"regions/{min(one, other).hex()}+{max(one, other).hex()}"


@lru_cache(maxsize=4096)
def parse_path(path: str) -> tuple[str, ...]:
    """The parts of a path."""
    return tuple(split_field(path))


def pair_of(path: str) -> tuple[bytes, bytes] | None:
    """The two regions that a `pair_path` marks, None for any other path."""
    parts = parse_path(path)
    if len(parts) == 2 and parts[0] == "regions" and "+" in parts[1]:
        one, _, other = parts[1].partition("+")
        return bytes.fromhex(one), bytes.fromhex(other)
    return None


def region_of(path: str) -> bytes | None:
    """The region that a path lies in, None for a field of the sample."""
    parts = parse_path(path)
    if parts[0] != "regions" or "+" in parts[1]:
        return None
    return bytes.fromhex(parts[1])


def task_of(path: str) -> str | None:
    """The task of a path of labels or coverage, None for all else."""
    parts = parse_path(path)
    if parts[0] == "regions":
        parts = parts[2:]
    if len(parts) > 1 and parts[0] == "labels":
        return parts[1]
    return parts[1].partition(":")[0] if parts[:1] == ("coverage",) else None


# -- values to and from terms ---------------------------------------------------------------------


def kind_of(path: str) -> RowKind[Any] | None:
    """How a field's values are encoded; None for plain values (meta, attrs, extra)."""
    parts = parse_path(path)
    if parts[0] == "regions":
        if "+" in parts[1]:
            return None
        parts = parts[2:] or ("region",)
    return _KINDS.get(parts[0])


def encode_field(path: str, value: Any) -> bytes:
    """A field's value as a term; ABSENT for None."""
    if value is None:
        return ABSENT
    kind = kind_of(path)
    if kind is None:
        return wire.encode(value.value if isinstance(value, Unknown) else value)
    return encode_as(value, kind)


def decode_field(path: str, term: bytes) -> Any:
    """The value of a term, None for ABSENT; CorruptError for bytes that are none."""
    if term == ABSENT:
        return None
    kind = kind_of(path)
    if kind is not None:
        return decode_as(term, kind)
    value = wire.decode(term)
    return Unknown(value) if parse_path(path)[-1] == "unknown" else value


# -- reading and writing --------------------------------------------------------------------------


def read_field(sample: Sample | None, path: str) -> Any:
    """The value of a field, None where it is absent."""
    if sample is None:
        return None
    parts = parse_path(path)
    if parts[0] != "regions":
        return _read(sample, parts, _SAMPLE_MAPS)
    if "+" in parts[1]:
        return None
    region = find_region(sample, bytes.fromhex(parts[1]))
    if region is None or len(parts) == 2:
        return region
    return _read(region, parts[2:], _REGION_MAPS)


def find_region(sample: Sample, region: bytes) -> Region | None:
    """A region by its id."""
    return next((each for each in sample.regions if each.id == region), None)


def _read(part: Sample | Region, parts: tuple[str, ...], maps: Iterable[str]) -> Any:
    if parts[0] == "labels":
        return next((label for label in part.labels if _is_at(label, parts[1:])), None)
    if parts[0] in maps:
        return getattr(part, parts[0]).get(parts[1])
    return part if parts[0] == SAMPLE else getattr(part, parts[0], None)


def _is_at(label: Label, slot: tuple[str, ...]) -> bool:
    if label.task != slot[0] or label.source != slot[1]:
        return False
    many = len(slot) > 2 and slot[2].startswith("=")
    return label_slot(label, many=many) == slot


def write_field(sample: Sample, path: str, value: Any) -> Sample:
    """The sample with a field of another value; None takes it out."""
    parts = parse_path(path)
    if parts[0] != "regions":
        changed: Sample = _written(sample, parts, value, _SAMPLE_MAPS)
        return changed
    if "+" in parts[1]:
        return sample
    own = bytes.fromhex(parts[1])
    region = find_region(sample, own)
    if len(parts) == 2:
        return sample.replace(regions=_placed(sample.regions, region, value))
    if region is None:
        return sample
    drawn = _written(region, parts[2:], value, _REGION_MAPS)
    return sample.replace(regions=_placed(sample.regions, region, drawn))


def _written(part: Any, parts: tuple[str, ...], value: Any, maps: Iterable[str]) -> Any:
    name = parts[0]
    if name == "labels":
        old = next((label for label in part.labels if _is_at(label, parts[1:])), None)
        return part.replace(labels=_placed(part.labels, old, value))
    if name not in maps:
        default = _DEFAULTS.get(name)
        return part.replace(**{name: default if value is None else value})
    values = {**getattr(part, name), parts[1]: value}
    if value is None:
        del values[parts[1]]
    if name == "geometries":
        return part.replace(geometries=values, primary=primary_of(values, part.primary))
    return part.replace(**{name: values})


_DEFAULTS = {"source": "human", "state": "accepted"}


def primary_of(geometries: dict[str, Geometry], wanted: str | None) -> str | None:
    """The primary role that a region of these geometries needs to name."""
    if len(geometries) < 2:
        return None
    return wanted if wanted in geometries else min(geometries)


def _placed(values: tuple[Any, ...], old: Any, new: Any) -> tuple[Any, ...]:
    """A tuple with one value replaced (by none: taken out), or a new one at its end."""
    if old is None:
        return values if new is None else (*values, new)
    kept = (new if value is old else value for value in values)
    return tuple(value for value in kept if value is not None)


def iter_paths(sample: Sample, many: Container[str] = ()) -> Iterator[tuple[str, Any]]:
    """Every field that a sample has, with its value; `many` are the tasks of several answers."""
    for name in ("image", "split", "group", "held", "unknown"):
        value = getattr(sample, name)
        if value is not None:
            yield name, value
    yield from _paths_in(sample, (), _SAMPLE_MAPS, many)
    for region in sample.regions:
        yield region_path(region.id), region
        head = ("regions", region.id.hex())
        for name in ("track", "frame_state", "score", "state", "source", "unknown"):
            value = getattr(region, name)
            if value is not None:
                yield join_field([*head, name]), value
        yield from _paths_in(region, head, _REGION_MAPS, many)


def _paths_in(
    part: Sample | Region, head: tuple[str, ...], maps: Iterable[str], many: Container[str]
) -> Iterator[tuple[str, Any]]:
    for label in part.labels:
        slot = label_slot(label, many=label.task in many)
        yield join_field([*head, "labels", *slot]), label
    for name in maps:
        for word, value in getattr(part, name).items():
            yield join_field([*head, name, word]), value
