"""What came in and is not adopted yet, read as if it were in the store already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.objectstore import Store
from voyager.store.pack import PackFiles, Placed, SealedPack
from voyager.store.pack_index import Place
from voyager.wire import ID_BYTES


class Incoming:
    """Reads objects of the packs that were fetched, and else those of the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.shallow = set(store.shallow)
        """The commits whose parents are elsewhere, once this is adopted."""
        self.packs: dict[str, SealedPack] = {}
        self._held: dict[bytes, tuple[Kind, bytes]] = {}
        self._places: dict[bytes, tuple[str, Placed]] = {}
        self._files = PackFiles()

    def add(self, pack: SealedPack) -> None:
        """Take in a pack that was checked and lies among the packs of the store."""
        self.packs[pack.name] = pack
        self._held = {}
        self._places.update((placed.id, (pack.name, placed)) for placed in pack.entries)

    def hold(self, entry_id: bytes, kind: Kind, data: bytes) -> None:
        """Have an object at hand until the pack that it is in is added."""
        self._held[entry_id] = kind, data

    def __contains__(self, entry_id: object) -> bool:
        return isinstance(entry_id, bytes) and bool(self.present([entry_id]))

    def present(self, ids: Iterable[bytes]) -> set[bytes]:
        """Those of some ids that are here."""
        wanted = set(ids)
        here = wanted & self._places.keys() | wanted & self._held.keys()
        here.update(self.store.places(wanted - here))
        return here

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        """The bytes of an object; CorruptError when it is missing or of another kind."""
        found, data = self.get_any(object_id)
        if found is not kind:
            raise CorruptError(f"{object_id.hex()} is a {found.label}, expected a {kind.label}")
        return data

    def get_many(self, ids: Sequence[bytes], kind: Kind) -> list[bytes]:
        """As `get` of each, with one look-up of the places of those in the store."""
        places: dict[bytes, Place] = self.store.places(
            one for one in ids if one not in self._places and len(one) == ID_BYTES
        )
        return [
            self.store.get_placed(one, places[one], kind) if one in places else self.get(one, kind)
            for one in ids
        ]

    def get_any(self, object_id: bytes) -> tuple[Kind, bytes]:
        """Kind and bytes of whatever has this id."""
        if object_id in self._held:
            return self._held[object_id]
        place = self._places.get(object_id)
        if place is None:
            if len(object_id) != ID_BYTES or self.store.place(object_id) is None:
                raise CorruptError(
                    f"the remote lacks object {object_id.hex()}, which its refs need",
                    hint="vgr fsck --remote",
                )
            return self.store.get_any(object_id)
        name, placed = place
        path = str(self.store.pack_path(name))
        header, data = self._files.read(path, placed.offset, placed.stored)
        if header.id != object_id:
            raise CorruptError(f"{path} holds another entry where {object_id.hex()} should be")
        return header.kind, data

    def close(self) -> None:
        """Let go of the files."""
        self._files.close()
