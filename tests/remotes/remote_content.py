"""What a remote holds, read by nothing but its layout, to prove that no ref names a hole."""

from __future__ import annotations

import tempfile
from pathlib import Path

from voyager.errors import NotFoundError
from voyager.remotes.base import Storage
from voyager.remotes.root import Packed, Root, decode_segment, get_root, segment_path
from voyager.store.entry import Damage
from voyager.store.ids import Kind, id_of
from voyager.store.pack import PackFiles, index_copy, scan_pack
from voyager.wire import iter_references

Content = dict[bytes, tuple[Kind, bytes]]


def root_of(storage: Storage) -> Root:
    """The root, an empty one where nothing was pushed."""
    try:
        return get_root(storage)[0]
    except NotFoundError:
        return Root()


def packs_of(storage: Storage, root: Root) -> list[Packed]:
    """The packs that the segments list."""
    return [
        pack
        for segment in root.segments
        for pack in decode_segment(segment, storage.get(segment_path(segment)))
    ]


def content_of(storage: Storage, root: Root) -> Content:
    """Every entry of the listed packs, hashed again; packs and indexes are as they are listed."""
    found: Content = {}
    for pack in packs_of(storage, root):
        found |= entries_of(storage, pack)
    return found


def entries_of(storage: Storage, pack: Packed) -> Content:
    """Every entry of one pack, hashed again."""
    found: Content = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{pack.name.hex()}.pack")
        path.write_bytes(storage.get(pack.pack_path))
        assert path.stat().st_size == pack.size
        index = storage.get(pack.index_path)
        assert index == index_copy(path)
        assert len(index) == pack.index
        files = PackFiles()
        entries = list(scan_pack(path))
        assert len(entries) == pack.entries
        for entry in entries:
            assert not isinstance(entry, Damage)
            offset, header = entry
            data = files.read(str(path), offset, header.stored)[1]
            assert id_of(header.kind, data) == header.id
            found[header.id] = header.kind, data
        files.close()
    return found


def reached(storage: Storage) -> set[bytes]:
    """All ids that the refs reach; KeyError for one that no listed pack has."""
    root = root_of(storage)
    return reach(root, content_of(storage, root))


def reach(root: Root, content: Content) -> set[bytes]:
    """All ids that the refs of a root reach; KeyError for one that is not in the content."""
    waiting = [bytes(ref.data) for ref in root.refs.values()]
    seen: set[bytes] = set()
    while waiting:
        one = waiting.pop()
        if one in seen or one.hex() in root.tombstones:
            continue
        seen.add(one)
        kind, data = content[one]
        if kind not in (Kind.BLOB, Kind.DICTIONARY):
            waiting += [found for _, found in iter_references(data)]
    return seen


class Watch:
    """A remote that is looked at while others push: at no time may a ref name what is missing."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.generations: list[int] = []
        self._content: Content = {}
        self._packs: set[bytes] = set()

    def look(self) -> None:
        """Read the root, and what its catalogue lists that was not seen before; check all."""
        root = root_of(self.storage)
        if root.generation in self.generations[-1:]:
            return
        assert root.generation > max(self.generations, default=-1), "the root went back"
        for pack in packs_of(self.storage, root):
            if pack.name not in self._packs:
                self._content |= entries_of(self.storage, pack)
                self._packs.add(pack.name)
        reach(root, self._content)
        self.generations.append(root.generation)
