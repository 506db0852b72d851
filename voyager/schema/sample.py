"""Samples, regions and labels: the frozen values that a row holds.

Fields stand in the byte order of their wire names (the `name=` of each, spec 9.3), so that one C
call encodes a row canonically. Constructors settle a value into its one form; the types of plain
fields they take on trust (`check_sample` does not).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, field
from msgspec.structs import force_setattr

from voyager import wire
from voyager.schema.geometry import Geometry
from voyager.schema.values import (
    EMPTY,
    BadValueError,
    Finite,
    Frozen,
    Id16,
    Unknown,
    as_float,
    as_tuple,
    check_blob_ref,
)

State: TypeAlias = Literal["proposed", "accepted", "verified", "rejected"]
Coverage: TypeAlias = Literal["partial", "exhaustive"]
FrameState: TypeAlias = Literal["keyframe", "interpolated", "outside"]
ImageState: TypeAlias = Literal["stored", "pending", "purged"]
Scalar: TypeAlias = bool | int | float | str
MetaValue: TypeAlias = Scalar | list[Scalar]
BlobId: TypeAlias = bytes
"""32 bytes."""

HUMAN: Final = "human"
ACCEPTED: Final[State] = "accepted"
SOURCE_KINDS: Final = ("human", "import", "model")

FLAGS: Final = (
    "crowd",  # one region for many things (COCO iscrowd, Open Images IsGroupOf)
    "ignore",  # neither right nor wrong: void, don't-care
    "difficult",
    "truncated",  # runs out of the image
    "occluded",
    "depiction",  # a drawing or picture of the thing
    "inside",  # seen from within
)
"""The flags of a region; other words in `flags` are kept."""

_NODE_HEX = re.compile("[0-9a-f]{32}")
_Count = Annotated[int, Meta(ge=0)]
_Side = Annotated[int, Meta(ge=1)]
_Orientation = Annotated[int, Meta(ge=1, le=8)]


class Part(Frozen, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True):
    """A map of the row: fields of a newer spec are kept in `unknown` (spec 9.5)."""

    unknown: Unknown | None = field(default=None, name="~")


class Origin(Part, frozen=True, kw_only=True):
    """Where an imported thing came from: the import, and what its source said; never identity."""

    annotator: str | None = field(default=None, name="a")
    id: int | str | None = field(default=None, name="i")
    import_: str | None = field(default=None, name="m")
    time: str | None = field(default=None, name="t")


class Label(Part, frozen=True, kw_only=True):
    """What one source says for a task: a taxonomy node, or a value (text, number, bool)."""

    ordinal: int | None = field(default=None, name="i")
    language: str | None = field(default=None, name="l")
    node: Id16 | None = field(default=None, name="n")
    origin: Origin | None = field(default=None, name="o")
    score: Finite | None = field(default=None, name="p")
    source: str = field(default=HUMAN, name="s")
    task: str = field(name="t")
    value: str | Finite | bool | None = field(default=None, name="v")
    state: State = field(default=ACCEPTED, name="z")

    def _settle(self) -> None:
        if (self.node is None) == (self.value is None):
            raise BadValueError("a label has either a node or a value")
        if type(self.value) in (int, float):
            force_setattr(self, "value", as_float(self.value, "value"))
        _settle_voice(self)


class Link(Part, frozen=True, kw_only=True):
    """A relation to a region of this or another sample."""

    kind: str = field(name="k")
    region: Id16 = field(name="r")
    uid: Id16 = field(name="u")


class Region(Part, frozen=True, kw_only=True):
    """A part of an image, with a stable id and geometries by role, one of them primary."""

    attrs: dict[str, MetaValue] = field(default=EMPTY, name="a")
    frame_state: FrameState | None = field(default=None, name="e")
    flags: tuple[str, ...] = field(default=(), name="f")
    geometries: dict[str, Geometry] = field(name="g")
    id: Id16 = field(name="i")
    links: tuple[Link, ...] = field(default=(), name="k")
    labels: tuple[Label, ...] = field(default=(), name="l")
    primary: str | None = field(default=None, name="m")
    """The primary role; None where there is only one geometry, or none."""
    origin: Origin | None = field(default=None, name="o")
    score: Finite | None = field(default=None, name="p")
    source: str = field(default=HUMAN, name="s")
    track: str | None = field(default=None, name="t")
    extra: dict[str, Any] = field(default=EMPTY, name="x")
    state: State = field(default=ACCEPTED, name="z")

    def _settle(self) -> None:
        _settle_voice(self)
        _settle_tuples(self, "flags", "labels", "links")
        _settle_maps(self, "attrs", "extra")
        if self.flags:
            force_setattr(self, "flags", tuple(sorted(set(self.flags))))  # spec 9.3
        _settle_primary(self)

    @property
    def primary_role(self) -> str | None:
        """The role of the primary geometry, None when there is no geometry."""
        return self.primary or next(iter(self.geometries), None)

    @property
    def geometry(self) -> Geometry | None:
        """The primary geometry."""
        role = self.primary_role
        return None if role is None else self.geometries[role]


class Image(Part, frozen=True, kw_only=True):
    """The image of a sample: stored (a blob), pending (a promise of one) or purged.

    `hash` (`algorithm:hex`) and `uri` say what a pending image will be; size in bytes, width and
    height in pixels of the stored image, orientation as in EXIF.
    """

    blob: wire.Ext | None = field(default=None, name="b")
    hash: str | None = field(default=None, name="c")
    height: _Side | None = field(default=None, name="h")
    bytes: _Count | None = field(default=None, name="n")
    orientation: _Orientation = field(default=1, name="o")
    purged: bool = field(default=False, name="p")
    type: str | None = field(default=None, name="t")
    uri: str | None = field(default=None, name="u")
    width: _Side | None = field(default=None, name="w")

    def _settle(self) -> None:
        if self.blob is not None:
            check_blob_ref(self.blob, "blob")
            if self.purged:
                raise BadValueError("purged: a purged image has no blob")

    @property
    def state(self) -> ImageState:
        """Whether the bytes are here, promised, or gone for good."""
        if self.blob is not None:
            return "stored"
        return "purged" if self.purged else "pending"

    @property
    def blob_id(self) -> BlobId | None:
        """The id of the image's bytes, None unless it is stored."""
        return None if self.blob is None else BlobId(self.blob.data)


class Group(Part, frozen=True, kw_only=True):
    """The sequence or multi-view group that a sample belongs to; time in seconds."""

    id: str = field(name="i")
    index: int | None = field(default=None, name="n")
    time: Finite | None = field(default=None, name="t")
    view: str | None = field(default=None, name="v")

    def _settle(self) -> None:
        if self.time is not None:
            force_setattr(self, "time", as_float(self.time, "time"))


class Asset(Part, frozen=True, kw_only=True):
    """Another file of a sample; role: depth, lidar, calibration, flow, alternate, …"""

    blob: wire.Ext = field(name="b")
    bytes: _Count = field(name="n")
    role: str | None = field(default=None, name="r")
    type: str | None = field(default=None, name="t")

    def _settle(self) -> None:
        check_blob_ref(self.blob, "blob")

    @property
    def blob_id(self) -> BlobId:
        """The id of the asset's bytes."""
        return BlobId(self.blob.data)


class Held(Part, frozen=True, kw_only=True):
    """Why the guard keeps a sample out of training: the protected sample it is too close to."""

    distance: Finite = field(name="d")
    kind: str = field(name="k")
    method: str = field(name="m")
    uid: Id16 = field(name="u")

    def _settle(self) -> None:
        force_setattr(self, "distance", as_float(self.distance, "distance"))


class Sample(Part, frozen=True, kw_only=True):
    """One image and all that is said of it; its key is the key of the tree, not in the row.

    `negatives` maps a task to the nodes verified not to be there, `coverage` a `coverage_key` to
    how completely it is labeled, `assets` a name to another file.
    """

    assets: dict[str, Asset] = field(default=EMPTY, name="a")
    coverage: dict[str, Coverage] = field(default=EMPTY, name="c")
    group: Group | None = field(default=None, name="g")
    held: Held | None = field(default=None, name="h")
    image: Image = field(name="i")
    labels: tuple[Label, ...] = field(default=(), name="l")
    meta: dict[str, MetaValue] = field(default=EMPTY, name="m")
    negatives: dict[str, tuple[Id16, ...]] = field(default=EMPTY, name="n")
    origin: Origin | None = field(default=None, name="o")
    regions: tuple[Region, ...] = field(default=(), name="r")
    split: str | None = field(default=None, name="s")
    uid: Id16 = field(name="u")
    extra: dict[str, Any] = field(default=EMPTY, name="x")

    def _settle(self) -> None:
        _settle_tuples(self, "labels", "regions")
        if self.negatives:
            force_setattr(self, "negatives", _settled_negatives(self.negatives))
        for key in self.coverage:
            parse_coverage_key(key)
        _settle_maps(self, "assets", "coverage", "extra", "meta", "negatives")


class FileRow(Part, frozen=True, kw_only=True):
    """A file that is no image, kept as it is."""

    blob: wire.Ext = field(name="b")
    executable: bool = field(default=False, name="e")
    bytes: _Count = field(name="n")

    def _settle(self) -> None:
        check_blob_ref(self.blob, "blob")

    @property
    def blob_id(self) -> BlobId:
        """The id of the file's bytes."""
        return BlobId(self.blob.data)


def parse_source(source: str) -> tuple[str, str]:
    """(kind, name) of a source `kind[:name]`; the name is empty where there is none."""
    kind, colon, name = source.partition(":") if isinstance(source, str) else ("", "", "")
    if kind not in SOURCE_KINDS or bool(colon) != bool(name):
        words = ", ".join(SOURCE_KINDS)
        raise BadValueError(f"source: {source!r} is not KIND or KIND:NAME with a kind of {words}")
    return kind, name


def coverage_key(task: str, node: bytes | None = None) -> str:
    """The key in `coverage` of a task, or of one node of it."""
    return task if node is None else f"{task}:{node.hex()}"  # spec 9.3


def parse_coverage_key(key: str) -> tuple[str, bytes | None]:
    """(task, node) of a key in `coverage`."""
    task, colon, text = key.partition(":")
    if not colon:
        return task, None
    if not _NODE_HEX.fullmatch(text):
        raise BadValueError(f"coverage: {key!r} is not TASK or TASK:NODE in hex")
    return task, bytes.fromhex(text)


def _settle_voice(said: Label | Region) -> None:
    if said.score is not None:
        force_setattr(said, "score", as_float(said.score, "score"))
    if said.source == HUMAN:
        force_setattr(said, "source", HUMAN)
    else:
        parse_source(said.source)
    if said.state == ACCEPTED:
        force_setattr(said, "state", ACCEPTED)


def _settle_primary(region: Region) -> None:
    count = len(region.geometries)
    if region.primary is None:
        if count > 1:
            raise BadValueError("primary: needed where a region has several geometries")
    elif region.primary not in region.geometries:
        raise BadValueError(f"primary: there is no geometry {region.primary!r}")
    elif count == 1:
        force_setattr(region, "primary", None)


def _settled_negatives(negatives: dict[str, Any]) -> dict[str, tuple[bytes, ...]]:
    return {
        task: tuple(sorted(set(as_tuple(nodes, "negatives"))))  # spec 9.3
        for task, nodes in negatives.items()
        if nodes
    }


def _settle_tuples(part: Region | Sample, *names: str) -> None:
    for name in names:
        values = getattr(part, name)
        if type(values) is not tuple:
            force_setattr(part, name, as_tuple(values, name))


def _settle_maps(part: Region | Sample, *names: str) -> None:
    for name in names:
        if not getattr(part, name):
            force_setattr(part, name, EMPTY)
