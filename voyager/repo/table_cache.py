"""Columns of tables kept on disk by the root of the samples: `cache/tables/`.

Everything here can be deleted at any time. A file has 64 bytes of head, with the checksum of what
follows, and the column as an Arrow stream, which is mapped and not read. Of all roots those used
last are kept, within a limit.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from voyager.repo.table_coding import Kept, as_dictionary, from_dictionary
from voyager.store import files

if TYPE_CHECKING:
    import pyarrow as pa

VERSION: Final = 1
"""Goes up with every change of what a column holds or of how it is kept."""

LIMIT: Final = 4 << 30
"""Bytes that the columns of all roots may take."""

_MAGIC = b"VGRCOL\x00\x01"
_HEAD_BYTES = 64
_FOLDER = re.compile(rf"{VERSION}-([0-9a-f]{{64}})")


class TableCache:
    """The columns kept in one folder, which need not exist; one that cannot be written is empty.

    Safe to share between processes and threads: a file is whole from its first moment.
    """

    def __init__(self, folder: Path, *, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit

    def roots(self) -> list[bytes]:
        """The roots of which something is kept, those used last first."""
        found = [
            (used, bytes.fromhex(match[1]))
            for path, used in self._folders()
            if (match := _FOLDER.fullmatch(path.name)) is not None
        ]
        return [root for _, root in sorted(found, reverse=True)]

    def get(self, root: bytes, name: str) -> Kept | None:
        """A column, None for one that is not kept; a damaged one is removed."""
        path = self._path(root, name)
        if not path.exists():
            return None
        found = _read(path)
        if found is None:
            with contextlib.suppress(OSError):
                files.remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path.parent)
        return found

    def put(self, root: bytes, name: str, column: Kept) -> None:
        """Keep a column, if there is room for it."""
        path = self._path(root, name)
        with contextlib.suppress(OSError):
            files.make_folder(path.parent)
            files.replace(path, _encoded(as_dictionary(column)))
            self._shrink(path.parent)

    def _path(self, root: bytes, name: str) -> Path:
        called = blake3(name.encode()).hexdigest()[:32]
        return self._folder / f"{VERSION}-{root.hex()}" / called

    def _folders(self) -> list[tuple[Path, int]]:
        """Each folder and when it was used."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found.append((Path(entry.path), entry.stat().st_mtime_ns))
        return found

    def _shrink(self, keep: Path) -> None:
        """Remove what was not used for longest, and first what an older version left."""
        sizes = {path: _size(path) for path, _ in self._folders()}
        over = sum(sizes.values()) - self._limit
        known = sorted(self._folders(), key=lambda found: (_is_current(found[0]), found[1]))
        for path, _ in known:
            if path != keep and (over > 0 or not _is_current(path)):
                files.remove_tree(path)
                over -= sizes.get(path, 0)


def _is_current(path: Path) -> bool:
    return _FOLDER.fullmatch(path.name) is not None


def _size(folder: Path) -> int:
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                total += entry.stat().st_size
    return total


def _encoded(array: pa.Array) -> list[bytes | memoryview]:
    import pyarrow as pa

    batch = pa.record_batch([array], ["column"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    body = memoryview(sink.getvalue())
    head = (_MAGIC + blake3(body).digest()).ljust(_HEAD_BYTES, b"\0")
    return [head, body]


def _read(path: Path) -> Kept | None:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as mapped:
            data = mapped.read_buffer()
        head, body = memoryview(data)[:_HEAD_BYTES], data.slice(_HEAD_BYTES)
        if bytes(head[:40]) != _MAGIC + blake3(memoryview(body)).digest():
            return None
        array = pa.ipc.open_stream(body).read_all().column(0)
        return from_dictionary(array.chunk(0))
    except (OSError, IndexError, ValueError, pa.ArrowException):
        return None
