"""What is remembered of a remote between pushes and fetches, in a folder that may be dropped.

It spares requests and bytes and is never needed. Tips that were seen there are still stored while
no gc ran, which the root's gc generation says, if it is the same remote, which its last moves say.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from blake3 import blake3
from msgspec import Struct

from voyager.errors import CorruptError
from voyager.remotes.root import Packed, Root, decode_segment
from voyager.store import files

_MOST_TIPS = 4096


class _Seen(Struct, frozen=True):
    gc: int
    nonce: bytes
    tips: list[bytes]


class RemoteMemory:
    """What this repository knows of the remote at a URL; `cache` is the folder of all remotes."""

    def __init__(self, cache: Path, url: str) -> None:
        self._segments = cache / "segments"
        self.folder = cache / blake3(url.encode()).hexdigest(8)

    # -- tips ------------------------------------------------------------------------------------

    def tips(self, root: Root) -> set[bytes]:
        """Ids that the remote has whole: those of its refs, and those seen since its gc."""
        now = {bytes(ref.data) for ref in root.refs.values()}
        seen = self._read()
        if seen is not None and seen.gc == root.gc and root.has_move(seen.nonce):
            now.update(seen.tips)
        return now

    def saw(self, root: Root) -> None:
        """Remember the refs of a root that was read or written."""
        if not root.moves:
            return
        refs = [bytes(ref.data) for ref in root.refs.values()]
        tips = list(dict.fromkeys([*refs, *sorted(self.tips(root))]))[:_MOST_TIPS]
        seen = _Seen(root.gc, root.moves[-1].nonce, tips)
        if seen != self._read():
            self._write("seen", msgspec.msgpack.encode(seen))

    @property
    def was_seen(self) -> bool:
        """Whether anything was there once."""
        return self._read() is not None

    def _read(self) -> _Seen | None:
        try:
            return msgspec.msgpack.decode((self.folder / "seen").read_bytes(), type=_Seen)
        except (OSError, msgspec.DecodeError):
            return None

    # -- packs -----------------------------------------------------------------------------------

    def listed(self, root: Root) -> set[str]:
        """Names of packs that the remote lists, as far as its segments were read before."""
        found: set[str] = set()
        for segment in root.segments:
            found.update(pack.name.hex() for pack in self._segment(segment))
        return found

    def _segment(self, segment: bytes) -> list[Packed]:
        try:
            return decode_segment(segment, (self._segments / segment.hex()).read_bytes())
        except (OSError, CorruptError):
            return []

    def keep_segment(self, segment: bytes, data: bytes) -> None:
        """Remember a segment that was written."""
        files.make_folder(self._segments)
        files.write_atomic(self._segments / segment.hex(), data)

    # -- a push that is not finished -------------------------------------------------------------

    @property
    def unfinished(self) -> bool:
        """Whether a push began to send packs and did not come to its end."""
        return (self.folder / "unfinished").exists()

    def begin(self) -> None:
        """A push begins to send packs."""
        self._write("unfinished", b"")

    def finish(self) -> None:
        """All that was sent is named by the remote now."""
        files.remove(self.folder / "unfinished")

    def _write(self, name: str, data: bytes) -> None:
        files.make_folder(self.folder)
        files.write_atomic(self.folder / name, data)
