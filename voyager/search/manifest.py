"""The list of the segments of a store, in the order of their places; replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from voyager.errors import UsageError
from voyager.store import files

_VERSION: Final = 1
_DIGEST: Final = 16


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """A segment: its name and rows; checksum and probes of its index, if it has one."""

    name: str
    count: int
    index: bytes = b""
    probes: int = 0


class Manifest(msgspec.Struct, frozen=True, array_like=True):
    """`token` is drawn anew whenever places change their meaning."""

    model: bytes
    dims: int
    token: bytes
    segments: tuple[Listed, ...] = ()
    version: int = _VERSION

    def with_segments(self, segments: Sequence[Listed]) -> Manifest:
        """Other segments that leave every place what it was."""
        return msgspec.structs.replace(self, segments=tuple(segments))

    def without(self, names: set[str]) -> Manifest:
        """Without some segments, whereupon all places change."""
        kept = tuple(one for one in self.segments if one.name not in names)
        return msgspec.structs.replace(self, segments=kept, token=os.urandom(16))


def empty(model: bytes, dims: int) -> Manifest:
    return Manifest(model, dims, os.urandom(16))


def read(path: Path) -> Manifest | None:
    """The manifest in a file; None where there is none, a damaged one or one of another version."""
    try:
        data = path.read_bytes()
        digest, body = data[:_DIGEST], data[_DIGEST:]
        if blake3(body).digest(_DIGEST) != digest:
            return None
        found = msgspec.msgpack.decode(body, type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if found.version == _VERSION else None


def write(path: Path, manifest: Manifest) -> None:
    """Replace the file."""
    body = msgspec.msgpack.encode(manifest)
    files.write_atomic(path, blake3(body).digest(_DIGEST) + body)


def check_model(manifest: Manifest, model: bytes, dims: int, path: Path) -> None:
    """Raise UsageError unless the vectors are of this model."""
    if (manifest.model, manifest.dims) != (model, dims):
        raise UsageError(
            f"the vectors in {path.parent} are {manifest.dims} numbers of model "
            f"{manifest.model.hex()[:16]}, not {dims} of {model.hex()[:16]}"
        )
