"""Which vectors the versions have that were searched: a small file for each, named by its root.

A bitmap is a 4,000th of the vectors at most, and less when it is packed, so every version has its
own: sharing parts of them between versions would save nothing that counts.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import zstandard
from blake3 import blake3

from voyager.search.membership import Mask
from voyager.store import files

_FORMAT: Final = 1
_DIGEST: Final = 16
_MOST_VERSIONS: Final = 200
_MOST_PLACES: Final = 1 << 33

Box = tuple[int, int, int, int]


class Waiting(msgspec.Struct, frozen=True, array_like=True):
    """A thing of a version that has no vector yet: how often it is there, and what it is."""

    count: int
    blob: bytes
    box: Box | None = None


@dataclass(slots=True, eq=False)
class Had:
    """What a version has: places of vectors, how often where more than once, and what lacks one.

    `token` says what places mean.
    """

    token: bytes
    mask: Mask
    times: dict[int, int] = field(default_factory=dict)
    waiting: dict[bytes, Waiting] = field(default_factory=dict)


class _File(msgspec.Struct, frozen=True, array_like=True):
    token: bytes
    size: int
    bits: bytes
    times: bytes
    waiting: dict[bytes, Waiting]
    format: int = _FORMAT


class VersionFiles:
    """The files in a folder, which need not exist; what cannot be read or written acts absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def roots(self) -> list[bytes]:
        """The roots of versions that have a file, the one used last first."""
        try:
            with os.scandir(self._folder) as entries:
                found = [(one.stat().st_mtime_ns, one.name) for one in entries]
        except OSError:
            return []
        names = [name for _, name in sorted(found, reverse=True)]
        return [bytes.fromhex(name) for name in names if len(name) == 64]

    def read(self, root: bytes, token: bytes) -> Had | None:
        """What a version has; None where that is not known for these places."""
        path = self._folder / root.hex()
        try:
            data = path.read_bytes()
            digest, body = data[:_DIGEST], data[_DIGEST:]
            if blake3(body).digest(_DIGEST) != digest:
                return None
            found = msgspec.msgpack.decode(body, type=_File)
        except (OSError, msgspec.MsgspecError):
            return None
        if found.format != _FORMAT or found.token != token or found.size > _MOST_PLACES:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        mask = _unpacked(found.bits, found.size)
        return Had(token, mask, _times(found.times), dict(found.waiting))

    def forget(self, root: bytes) -> None:
        """Remove what a version has."""
        with contextlib.suppress(OSError):
            files.remove(self._folder / root.hex())

    def write(self, root: bytes, had: Had) -> None:
        """Keep what a version has, and let the versions go that were not used for long."""
        bits = zstandard.compress(np.packbits(had.mask).tobytes(), 1)
        times = np.array(sorted(had.times.items()), "<u8").tobytes()
        body = msgspec.msgpack.encode(
            _File(had.token, len(had.mask), bits, zstandard.compress(times, 1), had.waiting)
        )
        with contextlib.suppress(OSError):
            files.make_folder(self._folder)
            files.write_atomic(self._folder / root.hex(), blake3(body).digest(_DIGEST) + body)
            for old in self.roots()[_MOST_VERSIONS:]:
                files.remove(self._folder / old.hex())


def _unpacked(bits: bytes, size: int) -> Mask:
    packed = np.frombuffer(zstandard.decompress(bits, -(-size // 8)), np.uint8)
    return np.unpackbits(packed, count=size).view(np.bool_)


def _times(data: bytes) -> dict[int, int]:
    pairs = np.frombuffer(zstandard.decompress(data), "<u8").reshape(-1, 2)
    return dict(pairs.tolist())
