"""The root of a remote: its one mutable object, and the catalogue segments that it names (spec 10).

A remote has packs, their indexes and catalogue segments, all immutable, and `root`, which names the
refs and the segments that count. Whoever moves `root` by compare-and-swap has pushed; what was
uploaded before and is named by nothing is garbage.

What is written has the gc generation of the root that its writer read in its name. A collection
raises the generation before it deletes anything, and deletes only what it saw before: nobody who
reads the new root can come to rely on a name that is about to go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from blake3 import blake3
from msgspec import Struct

from voyager import wire
from voyager.errors import CorruptError
from voyager.remotes.base import MOST_BYTES, Storage
from voyager.wire import Ext, object_ref

ROOT = "root"
FORMAT = 1
MOST_MOVES = 64
"""So many last moves are kept, for those whose reply was lost."""
MOST_SEGMENTS = 16
"""The next push joins the segments when there are more."""

_SETTLING = (0.01, 0.02, 0.04)
"""Seconds to wait before a root that is damaged is read again."""
_T = TypeVar("_T")


class Move(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """One past move of the root: by whom, when (ms since 1970, UTC), and its nonce.

    `left` are values of refs that nothing may reach since: a gc keeps them for a while.
    """

    left: list[Ext] = []
    nonce: bytes
    time: int
    who: str = ""


class Packed(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """A pack of the remote: its name, its length in bytes, that of its index, what it holds.

    `gc` is the gc generation in which it was sent.
    """

    blobs: bool = False
    entries: int
    gc: int = 0
    index: int
    name: bytes
    size: int

    @property
    def pack_path(self) -> str:
        """The name under which the storage has it."""
        return f"packs/{self._stem}.pack"

    @property
    def index_path(self) -> str:
        """The name of its index."""
        return f"packs/{self._stem}.idx"

    @property
    def _stem(self) -> str:
        return f"{self.name.hex()}-{self.gc}" if self.gc else self.name.hex()


class Policy(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """What pushing clients check; `protected` are globs of branches that only go forward, without
    conflicts and with a clean guard."""

    protected: list[str] = []


_NO_POLICY = Policy()


class Root(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a remote. `generation` counts moves, `gc` the garbage collections; `head` is
    the branch that a clone begins with."""

    format: int = FORMAT
    gc: int = 0
    generation: int = 0
    head: str = ""
    moves: list[Move] = []
    policy: Policy = _NO_POLICY
    refs: dict[str, Ext] = {}
    segments: list[bytes] = []
    tombstones: dict[str, dict[str, str | int]] = {}

    def ref(self, name: str) -> bytes | None:
        """The id that a full ref name stands for."""
        found = self.refs.get(name)
        return None if found is None else bytes(found.data)

    def has_move(self, nonce: bytes) -> bool:
        """Whether a move, whose reply may have been lost, happened."""
        return any(move.nonce == nonce for move in self.moves)

    def moved(
        self,
        refs: Mapping[str, bytes | None],
        segments: Iterable[bytes],
        move: Move,
        **changes: Any,
    ) -> Root:
        """The root after a push: refs set (None: deleted) and segments added."""
        kept = dict(self.refs)
        for name, new in refs.items():
            if new is None:
                kept.pop(name, None)
            else:
                kept[name] = object_ref(new)
        return msgspec.structs.replace(
            self,
            generation=self.generation + 1,
            moves=[*self.moves[1 - MOST_MOVES :], move],
            refs=dict(sorted(kept.items())),
            segments=list(dict.fromkeys([*self.segments, *segments])),
            **changes,
        )


class _Format(Struct, frozen=True):
    format: int = FORMAT


class _Segment(Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    gc: int = 0
    packs: list[Packed]


_format_decoder = msgspec.msgpack.Decoder(_Format)
_root_decoder = msgspec.msgpack.Decoder(Root)
_segment_decoder = msgspec.msgpack.Decoder(_Segment)


def encode_root(root: Root) -> bytes:
    """The canonical bytes of a root."""
    if root.policy == _NO_POLICY:  # msgspec leaves out a struct that is the default, not an equal
        root = msgspec.structs.replace(root, policy=_NO_POLICY)
    return wire.encode(root)


def get_root(storage: Storage) -> tuple[Root, str]:
    """The root and its tag; NotFoundError where nothing was pushed yet."""

    def read() -> tuple[Root, str]:
        data, tag = storage.get_tagged(ROOT)
        return decode_root(data), tag

    return settled(read)


def settled(read: Callable[[], _T]) -> _T:
    """What a reader of the root returns, asked again where it meets damage: services that overwrite
    in place let one see half of a root for a moment."""
    for pause in _SETTLING:
        try:
            return read()
        except CorruptError:
            time.sleep(pause)
    return read()


def decode_root(data: bytes) -> Root:
    """The root of its bytes; CorruptError for those of none, and for one of a newer format."""
    what = "the root of the remote"
    # Before all else: a newer one may have fields that must not be lost by writing it again.
    newer: _Format = _decoded(data, _format_decoder, what, canonical=False)
    if newer.format > FORMAT:
        raise CorruptError(
            f"the remote has format {newer.format}, this Voyager knows {FORMAT}",
            hint="pip install --upgrade voyager-vgr",
        )
    found: Root = _decoded(data, _root_decoder, what)
    if any(len(segment) != wire.ID_BYTES for segment in found.segments):
        raise CorruptError("the root of the remote names a segment that cannot be one")
    return found


def encode_segment(packs: Iterable[Packed], *, gc: int = 0) -> tuple[bytes, bytes]:
    """(id, canonical bytes) of a catalogue segment: the packs of a push, by name.

    `gc` is the gc generation in which it is written.
    """
    data = wire.encode(_Segment(gc=gc, packs=sorted(packs, key=lambda pack: pack.name)))
    return blake3(data).digest(), data


def decode_segment(segment: bytes, data: bytes) -> list[Packed]:
    """The packs of a segment; CorruptError unless the bytes are those of its id."""
    if blake3(data).digest() != segment:
        raise CorruptError(f"catalogue segment {segment.hex()} holds other bytes than its id says")
    packs: list[Packed] = _decoded(data, _segment_decoder, "a catalogue segment").packs
    for pack in packs:
        if len(pack.name) != wire.ID_BYTES or min(pack.size, pack.index, pack.entries, pack.gc) < 0:
            raise CorruptError(f"catalogue segment {segment.hex()} names a pack that cannot be one")
    return packs


def segment_path(segment: bytes) -> str:
    """The name under which the storage has a segment."""
    return f"catalogue/{segment.hex()}"


def _decoded(
    data: bytes, decoder: msgspec.msgpack.Decoder[Any], what: str, *, canonical: bool = True
) -> Any:
    hint = "vgr fsck --remote"
    if len(data) > MOST_BYTES:
        raise CorruptError(f"{what} has {len(data):,} bytes: Voyager writes no such", hint=hint)
    try:
        found = decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptError(f"{what} does not decode: {error}", hint=hint) from None
    # Only of what has the right shape, for others may be made to fill the memory.
    if canonical and not wire.is_canonical(data):
        raise CorruptError(f"{what} is not canonical msgpack", hint=hint)
    return found
