"""Samples as lines of JSON: the form of `schema.jsonform`, with a quick way for usual regions.

Most regions have nothing but an id, geometries, labels and an origin. Those are written and read by
typed code here, several times faster; a region or line with anything more, or with anything wrong,
goes through `jsonform`, which has the last word on both. Tests hold the two ways to be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct, StructMeta, field

from voyager.errors import InvalidDataError
from voyager.formats.base import NEW_ID
from voyager.schema import (
    HUMAN,
    Box,
    Geometry,
    Keypoints,
    Label,
    Mask,
    Origin,
    Points,
    Polygon,
    Polyline,
    Region,
    Sample,
)
from voyager.schema.jsonform import Find, Resolve, sample_from_json, sample_to_json
from voyager.schema.jsonvalues import Json, write_geometry
from voyager.schema.sample import State
from voyager.schema.values import Finite

# -- writing -------------------------------------------------------------------------------------


class LineWriter:
    """Samples to lines; masks stand in the line even where the row keeps them in a blob."""

    def __init__(self, resolve: Resolve, counts: Callable[[Mask], bytes]) -> None:
        self._resolve = resolve
        self._counts = counts
        self._labels: dict[Label, Json] = {}
        self._encode = msgspec.json.Encoder().encode

    def line(self, key: str, sample: Sample) -> bytes:
        """The line of a sample, without its end."""
        regions = [self._region(region) for region in sample.regions]
        if None in regions:
            whole = sample.replace(regions=tuple(map(self._inline, sample.regions)))
            return self._encode(sample_to_json(key, whole, self._resolve))
        written = sample_to_json(key, sample.replace(regions=()), self._resolve)
        written["regions"] = regions
        return self._encode(written)

    def _region(self, region: Region) -> Json | None:
        """The JSON of a usual region, None for any other."""
        if region.links or region.attrs or region.extra or region.unknown or region.frame_state:
            return None
        labels = [self._label(label) for label in region.labels]
        origin = _origin_json(region.origin)
        if None in labels or origin is None:
            return None
        written: dict[str, Json] = {"id": region.id.hex()}
        if region.primary is not None:
            written["primary"] = region.primary
        written["geometries"] = {
            role: self._shape(shape) for role, shape in region.geometries.items()
        }
        written["labels"] = labels
        if region.flags:
            written["flags"] = region.flags
        if region.track is not None:
            written["track"] = region.track
        written["source"] = region.source
        if region.score is not None:
            written["score"] = region.score
        written["state"] = region.state
        if origin:
            written["origin"] = origin
        return written

    def _shape(self, shape: Geometry) -> Json:
        if isinstance(shape, Box):
            return {"type": "box", "xyxy": (shape.x0, shape.y0, shape.x1, shape.y1)}
        if isinstance(shape, Polygon):
            return {"type": "polygon", "parts": shape.parts}
        return write_geometry(self._inline_mask(shape))

    def _inline(self, region: Region) -> Region:
        shapes = {role: self._inline_mask(shape) for role, shape in region.geometries.items()}
        return region.replace(geometries=shapes)

    def _inline_mask(self, shape: Geometry) -> Geometry:
        if isinstance(shape, Mask) and shape.blob_id is not None:
            return Mask(shape.height, shape.width, self._counts(shape))
        return shape

    def _label(self, label: Label) -> Json | None:
        if label.score is not None or label.node is None or label.unknown is not None:
            return None
        found = self._labels.get(label)
        if found is None and label.origin is None:
            path = self._resolve(label.task, label.node)
            if path is not None and label.ordinal is None and label.language is None:
                found = {"task": label.task, "value": path}
                found |= {"source": label.source, "state": label.state}
                self._labels[label] = found
        return found


def _origin_json(origin: Origin | None) -> Json | None:
    """The JSON of an origin, {} for no origin, None for one that is out of the ordinary."""
    if origin is None:
        return {}
    if origin.annotator is not None or origin.time is not None or origin.unknown is not None:
        return None
    written: dict[str, Json] = {}
    if origin.import_ is not None:
        written["import"] = origin.import_
    if origin.id is not None:
        written["id"] = origin.id
    return written or None


# -- reading -------------------------------------------------------------------------------------


class _Strict(Struct, forbid_unknown_fields=True, gc=False):
    """A part of a line, typed."""


class _Box(_Strict, tag="box"):
    xyxy: tuple[Finite, Finite, Finite, Finite]


class _Polygon(_Strict, tag="polygon"):
    parts: tuple[tuple[tuple[Finite, ...], ...], ...]


class _Polyline(_Strict, tag="polyline"):
    points: tuple[Finite, ...]


class _Points(_Strict, tag="points"):
    points: tuple[Finite, ...]


class _Keypoints(_Strict, tag="keypoints"):
    points: tuple[Finite, ...]
    visibility: tuple[int, ...]


class _Mask(_Strict, tag="mask"):
    height: int
    width: int
    counts: str


_Shape = _Box | _Polygon | _Polyline | _Points | _Keypoints | _Mask


class _Origin(_Strict):
    import_: str | None = field(default=None, name="import")
    id: int | str | None = None


class _Label(_Strict):
    task: str
    value: str | Finite | bool | None = None
    node: str | None = None
    source: str | None = None
    score: Finite | None = None
    state: State = "accepted"


class _Region(_Strict):
    geometries: dict[str, _Shape]
    id: str | None = None
    primary: str | None = None
    labels: tuple[_Label, ...] = ()
    flags: tuple[str, ...] = ()
    track: str | None = None
    source: str | None = None
    score: Finite | None = None
    state: State = "accepted"
    origin: _Origin | None = None


class _Line(_Strict):
    """A line whose regions are usual ones; the rest of it is read by `jsonform`."""

    key: str
    regions: tuple[_Region, ...] = ()
    uid: Any = None
    split: Any = None
    image: Any = None
    labels: Any = None
    negatives: Any = None
    coverage: Any = None
    meta: Any = None
    group: Any = None
    assets: Any = None
    origin: Any = None
    extra: Any = None
    held: Any = None
    unknown: Any = None


_HEAD_FIELDS: Final = tuple(
    name for name in _Line.__struct_fields__ if name not in ("key", "regions")
)
_NEGATIVE_ZERO = re.compile(rb"-0(?:\.0*)?(?:[eE][-+]?[0-9]+)?(?![.0-9])")
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_any = msgspec.json.Decoder().decode
_trusted = StructMeta.__call__
"""Makes a geometry of values that are in their one form already."""


class LineReader:
    """Lines to samples: what has no uid or id has NEW_ID, what has no source that of the import."""

    def __init__(self, find: Find, source: str, mask: Callable[[int, int, bytes], Mask]) -> None:
        self._find = find
        self._source = source
        self._mask = mask
        self._labels: dict[tuple[str, str, str, str], Label] = {}

    def sample(self, line: bytes) -> tuple[str, Sample]:
        """The key and sample of a line; InvalidDataError begins with a JSON path."""
        try:
            typed = None if _NEGATIVE_ZERO.search(line) else _decode_line(line)
            if typed is not None:
                return self._quick(typed)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _NotUsual):
            pass
        return self.sample_of(parse_line(line))

    def _quick(self, line: _Line) -> tuple[str, Sample]:
        head = {name: value for name in _HEAD_FIELDS if (value := getattr(line, name)) is not None}
        key, sample = self.sample_of({"key": line.key, **head})
        regions = tuple([self._region(region) for region in line.regions])
        _check_ids(regions)
        return key, sample.replace(regions=regions) if regions else sample

    def sample_of(self, value: Json) -> tuple[str, Sample]:
        """The key and sample of a line's JSON."""
        fields = self._with_sources(value)
        key, sample = sample_from_json(fields, self._find)
        regions = tuple(
            self._settled(region, "id" in said and said["id"] is not None)
            for region, said in zip(sample.regions, fields.get("regions") or (), strict=True)
        )
        _check_ids(regions)
        uid = NEW_ID if fields.get("uid") is None else sample.uid
        return key, sample.replace(uid=uid, regions=regions)

    def _with_sources(self, value: Json) -> dict[str, Json]:
        """A line's JSON in which every region and label has a source."""
        fields = dict(value) if isinstance(value, dict) else {}
        if not fields:
            raise InvalidDataError("expected the object of a sample")
        if isinstance(fields.get("labels"), list):
            fields["labels"] = list(map(self._sourced, fields["labels"]))
        if isinstance(fields.get("regions"), list):
            fields["regions"] = [
                {**said, "labels": list(map(self._sourced, said["labels"]))}
                if isinstance(said, dict) and isinstance(said.get("labels"), list)
                else said
                for said in map(self._sourced, fields["regions"])
            ]
        return {name: item for name, item in fields.items() if item is not None}

    def _sourced(self, said: Json) -> Json:
        if isinstance(said, dict) and said.get("source") is None and self._source != HUMAN:
            return {**said, "source": self._source}
        return said

    def _settled(self, region: Region, named: bool) -> Region:
        shapes = dict(region.geometries)
        for role, shape in shapes.items():
            if isinstance(shape, Mask) and isinstance(shape.counts, bytes):
                shapes[role] = self._mask(shape.height, shape.width, shape.counts)
        if named and shapes == region.geometries:
            return region
        return region.replace(id=region.id if named else NEW_ID, geometries=shapes)

    def _region(self, said: _Region) -> Region:
        origin = said.origin
        return Region(
            id=NEW_ID if said.id is None else _hex_id(said.id),
            geometries={role: self._shape(shape) for role, shape in said.geometries.items()},
            primary=said.primary,
            labels=tuple([self._label(label) for label in said.labels]),
            flags=said.flags,
            track=said.track,
            source=said.source or self._source,
            score=said.score,
            state=said.state,
            origin=None if origin is None else Origin(import_=origin.import_, id=origin.id),
        )

    def _shape(self, said: _Shape) -> Geometry:
        match said:
            case _Box(xyxy=xyxy):
                return Box(*xyxy)
            case _Polygon(parts=parts):
                if any(len(ring) % 2 for rings in parts for ring in rings):
                    raise _NotUsual
                made: Geometry = _trusted(Polygon, parts)
                return made
            case _Mask():
                if not said.counts.isascii() or said.height < 1 or said.width < 1:
                    raise _NotUsual
                return self._mask(said.height, said.width, said.counts.encode())
        return _settled_shape(said)

    def _label(self, said: _Label) -> Label:
        value, source = said.value, said.source or self._source
        if type(value) is not str or said.score is not None or said.node is not None:
            raise _NotUsual
        found = self._labels.get((said.task, value, source, said.state))
        if found is None:
            try:
                node = self._find(said.task, value)
            except InvalidDataError:
                raise _NotUsual from None
            if node is None:
                raise _NotUsual
            found = Label(task=said.task, node=node, source=source, state=said.state)
            self._labels[said.task, value, source, said.state] = found
        return found


class _NotUsual(Exception):
    """A line that the slow way has to read."""


def _settled_shape(said: Any) -> Geometry:
    try:
        if isinstance(said, _Keypoints):
            if not all(0 <= seen <= 2 for seen in said.visibility):
                raise _NotUsual
            return Keypoints(said.points, said.visibility)  # type: ignore[arg-type]
        return Points(said.points) if isinstance(said, _Points) else Polyline(said.points)
    except InvalidDataError:
        raise _NotUsual from None


def _hex_id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise _NotUsual from None
    if len(found) != len(NEW_ID):
        raise _NotUsual
    return found


def _check_ids(regions: tuple[Region, ...]) -> None:
    named = [region.id for region in regions if region.id != NEW_ID]
    if len(set(named)) != len(named):
        twice = next(found for found in named if named.count(found) > 1)
        raise InvalidDataError(f"regions: two of them have the id {twice.hex()}")


def parse_line(line: bytes) -> Json:
    """The JSON of a line; InvalidDataError for what is none."""
    try:
        return _decode_any(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"not JSON: {_words(str(error))}") from None
    except RecursionError:
        raise InvalidDataError("not JSON: nested too deep") from None


def _words(message: str) -> str:
    return message.removeprefix("JSON is malformed: ")
