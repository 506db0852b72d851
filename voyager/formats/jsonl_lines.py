"""Samples as lines of JSON: the form of `schema.jsonform`, with a quick way for usual regions.

Most regions have nothing but an id, geometries, labels and an origin. Those are written and read by
typed code here, several times faster; a region or line with anything more, or with anything wrong,
goes through `jsonform`, which has the last word on both. Tests hold the two ways to be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, StructMeta, field

from voyager.errors import InvalidDataError
from voyager.formats.base import NEW_ID
from voyager.schema import (
    HUMAN,
    Box,
    Geometry,
    Image,
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
from voyager.schema.ids import ID_BYTES
from voyager.schema.jsonform import Find, Resolve, sample_from_json, sample_to_json
from voyager.schema.jsonvalues import BLOB_BYTES, Json, write_geometry
from voyager.schema.sample import State
from voyager.schema.values import Finite
from voyager.wire import blob_ref

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
        if label.origin is not None and label.origin.unknown is not None:
            return None  # of a newer version, and no key of a dict
        if label.origin is not None and label.origin.unknown is not None:
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


_Count = Annotated[int, Meta(ge=0)]
_Side = Annotated[int, Meta(ge=1)]


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
    visibility: tuple[Literal[0, 1, 2], ...]


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


class _Image(_Strict):
    state: Literal["stored", "pending"]
    blob: str | None = None
    type: str | None = None
    bytes: _Count | None = None
    width: _Side | None = None
    height: _Side | None = None
    orientation: Annotated[int, Meta(ge=1, le=8)] = 1
    hash: str | None = None
    uri: str | None = None


class _Line(_Strict):
    """A line whose regions are usual ones; a sample that has any of the later fields is not."""

    key: str
    regions: tuple[_Region, ...] = ()
    uid: str | None = None
    split: str | None = None
    image: _Image | None = None
    labels: tuple[_Label, ...] = ()
    origin: _Origin | None = None
    negatives: Any = None
    coverage: Any = None
    meta: Any = None
    group: Any = None
    assets: Any = None
    extra: Any = None
    held: Any = None
    unknown: Any = None


_UNUSUAL: Final = attrgetter(
    *("negatives", "coverage", "meta", "group", "assets", "extra", "held", "unknown")
)
_NEGATIVE_ZERO = re.compile(rb"-0(?:\.0*)?(?:[eE][-+]?[0-9]+)?(?![.0-9])")
_decode_line = msgspec.json.Decoder(_Line).decode
_decode_any = msgspec.json.Decoder().decode
_trusted = StructMeta.__call__
"""Makes a geometry of values that are in their one form already."""


_NOTHING: Final = (None,) * 8


class _NotUsual(Exception):
    """A line that the slow way has to read."""


_FAILED: Final = (
    *(msgspec.MsgspecError, UnicodeDecodeError, RecursionError),
    *(InvalidDataError, _NotUsual),
)
"""What the quick way raises; the slow way then finds the words, or reads the line."""


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
            if _NEGATIVE_ZERO.search(line) is None:
                return self._quick(_decode_line(line))
        except _FAILED:
            pass
        return self.sample_of(parse_line(line))

    def _quick(self, line: _Line) -> tuple[str, Sample]:
        if not line.key or _UNUSUAL(line) != _NOTHING:
            raise _NotUsual
        labels = tuple([self._label(label) for label in line.labels])
        regions = tuple([self._region(region) for region in line.regions])
        _check_ids(regions)
        sample = Sample(
            uid=NEW_ID if line.uid is None else _hex(line.uid, ID_BYTES),
            image=_image(line.image),
            split=line.split,
            labels=labels,
            regions=regions,
            origin=_origin(line.origin),
        )
        return line.key, sample

    def sample_of(self, value: Json) -> tuple[str, Sample]:
        """The key and sample of a line's JSON."""
        fields = self._with_sources(value)
        key, sample = sample_from_json(fields, self._find)
        listed = zip(sample.regions, fields.get("regions") or (), strict=True)
        regions = tuple(
            self._settled(region, f"regions[{n}]", named=said.get("id") is not None)
            for n, (region, said) in enumerate(listed)
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

    def _settled(self, region: Region, place: str, *, named: bool) -> Region:
        """A region whose id is NEW_ID unless it was `named`, its masks checked and put by."""
        shapes = dict(region.geometries)
        for role, shape in shapes.items():
            if isinstance(shape, Mask) and isinstance(shape.counts, bytes):
                try:
                    shapes[role] = self._mask(shape.height, shape.width, shape.counts)
                except InvalidDataError as error:
                    text = f"{place}.geometries.{role}: {error.message}"
                    raise InvalidDataError(text) from None
        if named and shapes == region.geometries:
            return region
        return region.replace(id=region.id if named else NEW_ID, geometries=shapes)

    def _region(self, said: _Region) -> Region:
        return Region(
            id=NEW_ID if said.id is None else _hex(said.id, ID_BYTES),
            geometries={role: self._shape(shape) for role, shape in said.geometries.items()},
            primary=said.primary,
            labels=tuple([self._label(label) for label in said.labels]),
            flags=said.flags,
            track=said.track,
            source=said.source or self._source,
            score=said.score,
            state=said.state,
            origin=_origin(said.origin),
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
        return _other_shape(said)

    def _label(self, said: _Label) -> Label:
        value, source = said.value, said.source or self._source
        if type(value) is not str or said.score is not None or said.node is not None:
            raise _NotUsual
        found = self._labels.get((said.task, value, source, said.state))
        if found is None:
            node = self._find(said.task, value)
            if node is None:
                raise _NotUsual
            found = Label(task=said.task, node=node, source=source, state=said.state)
            self._labels[said.task, value, source, said.state] = found
        return found


def _other_shape(said: Any) -> Geometry:
    if isinstance(said, _Keypoints):
        return Keypoints(said.points, said.visibility)
    return Points(said.points) if isinstance(said, _Points) else Polyline(said.points)


def _image(said: _Image | None) -> Image:
    if said is None:
        return Image()
    if (said.state == "stored") != (said.blob is not None):
        raise _NotUsual
    return Image(
        blob=None if said.blob is None else blob_ref(_hex(said.blob, BLOB_BYTES)),
        type=said.type,
        bytes=said.bytes,
        width=said.width,
        height=said.height,
        orientation=said.orientation,
        hash=said.hash,
        uri=said.uri,
    )


def _origin(said: _Origin | None) -> Origin | None:
    return None if said is None else Origin(import_=said.import_, id=said.id)


def _hex(text: str, size: int) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        raise _NotUsual from None
    if len(found) != size:
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
