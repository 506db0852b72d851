"""The map of spec 2 written a second time, from the words alone: slow, and free of the package."""

from __future__ import annotations

import msgpack
from blake3 import blake3

NODE = b"voyager 1 node".ljust(32, b"\0")
ROW = b"voyager 1 row".ljust(32, b"\0")
LIMIT = 16 * 1024

Cell = tuple[bytes, int, bytes]
"""Key, rows below, encoded value."""


class Reference:
    """The one map of some rows: its root id, and all its objects by id."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self.objects: dict[bytes, bytes] = {}
        self.levels: list[list[bytes]] = []
        cells = [(key, 1, self._cell(rows[key])) for key in sorted(rows)]
        level = 0
        while True:
            chunks = [c for run in natural(level, cells) for c in split(level, run)] or [[]]
            ids = [self._store(NODE, node_bytes(level, chunk)) for chunk in chunks]
            self.levels.append(ids)
            if len(ids) == 1:
                break
            cells = [
                (chunk[-1][0], sum(count for _, count, _ in chunk), reference(node_id))
                for chunk, node_id in zip(chunks, ids, strict=True)
            ]
            level += 1
        self.root = ids[0]

    def _cell(self, row: bytes) -> bytes:
        return row if len(row) <= LIMIT else reference(self._store(ROW, row))

    def _store(self, kind: bytes, data: bytes) -> bytes:
        object_id = blake3(data, key=kind).digest()
        self.objects[object_id] = data
        return object_id


def boundary(level: int, key: bytes) -> int:
    return int.from_bytes(blake3(bytes([level]) + key).digest()[:4], "big")


def natural(level: int, cells: list[Cell]) -> list[list[Cell]]:
    runs: list[list[Cell]] = [[]]
    for cell in cells:
        runs[-1].append(cell)
        if boundary(level, cell[0]) < 2**32 // 128:
            runs.append([])
    return [run for run in runs if run]


def split(level: int, cells: list[Cell]) -> list[list[Cell]]:
    if len(cells) == 1 or len(node_bytes(level, cells)) <= LIMIT:
        return [cells]
    hashes = [boundary(level, key) for key, _, _ in cells[:-1]]
    cut = hashes.index(min(hashes)) + 1
    return split(level, cells[:cut]) + split(level, cells[cut:])


def reference(object_id: bytes) -> bytes:
    return bytes(msgpack.packb(msgpack.ExtType(2, object_id)))


def node_bytes(level: int, cells: list[Cell]) -> bytes:
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(3 if level == 0 else 4)
    if level > 0:
        packer.pack("c")
        packer.pack([count for _, count, _ in cells])
    packer.pack("k")
    packer.pack([key for key, _, _ in cells])
    packer.pack("l")
    packer.pack(level)
    packer.pack("v")
    packer.pack_array_header(len(cells))
    return bytes(packer.bytes()) + b"".join(value for _, _, value in cells)
