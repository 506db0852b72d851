"""The store of one repository: reads by id, named values, the overlay, the replay of the journal.

Files in the folder (spec 3): SPEC, journal, packs/, log/, index/ (LMDB), trash/, locks. Only a
`Transaction` and gc write history.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from voyager.errors import CorruptError, ExistsError, NotFoundError, StateError
from voyager.store import files
from voyager.store.apply import TOMBSTONES, Applier, file_number, overlay_rows
from voyager.store.entry import HEADER_BYTES, Damage, Header, Method, decode_header, expand
from voyager.store.ids import Kind, id_of
from voyager.store.index_place import index_folder
from voyager.store.journal import HEAD_BYTES, Journal, journal_head
from voyager.store.operation import Operation, decode_operation
from voyager.store.pack import PackFiles, SealedPack, iter_body, scan_pack
from voyager.store.pack_index import PackIndex, Place, Reading, decode_place, short_hash
from voyager.store.spec import SPEC_VERSION
from voyager.wire import decode

T = TypeVar("T")

GENERATION = "GC"
"""A number that every gc raises."""
SHALLOW = "SHALLOW"
"""The commits whose parents are not in this repository."""
DICTIONARY = "DICTIONARY"

_JOURNAL = 0


class Lender(Protocol):
    """Blobs that are not here and that a remote promises."""

    def promises(self, blob_ids: Iterable[bytes]) -> set[bytes]:
        """Those of some blobs that can be had."""
        ...

    def sizes(self, blob_ids: Iterable[bytes]) -> dict[bytes, int]:
        """About how many bytes those of some blobs have that can be had."""
        ...

    @property
    def room(self) -> int:
        """How many bytes are kept at hand at most."""
        ...

    def get(self, blob_id: bytes) -> bytes | None:
        """The bytes of a blob, None for one that is not promised."""
        ...

    def bring(
        self, blob_ids: Iterable[bytes], *, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        """Have blobs at hand that will be asked for soon, unless it is stopped; several come at
        once."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Store:
    """An open store; `Store.open` and `Store.init` make one."""

    def __init__(self, root: Path, index: PackIndex, *, read_only: bool) -> None:
        self.root = root
        self.index = index
        self.read_only = read_only
        self.lender: Lender | None = None
        """Who gives blobs that are not here, in a lazy clone."""
        self.packs = PackFiles()
        self._shallow: tuple[bytes, frozenset[bytes]] | None = None
        self._pid = os.getpid()
        self._paths: dict[int, str] = {_JOURNAL: str(root / "journal")}

    # -- opening ---------------------------------------------------------------------------------

    @classmethod
    def init(cls, root: Path) -> Store:
        """Make an empty store in `root`, which must not exist; a half-made one never has a SPEC."""
        if (root / "SPEC").exists():
            raise ExistsError(f"{root} is a repository already")
        for folder in ("packs", "log", "index", "trash"):
            files.make_folder(root / folder)
        files.write_atomic(root / "journal", journal_head(1))
        files.write_atomic(root / "SPEC", f"voyager {SPEC_VERSION}\n".encode())
        return cls.open(root)

    @classmethod
    def open(cls, root: Path, *, read_only: bool = False) -> Store:
        """Open and bring the index up to the end of the journal.

        Raises NotFoundError when `root` holds no store, StateError for a newer spec.
        """
        check_spec(root)
        read_only = read_only or not os.access(root, os.W_OK)
        index = index_folder(root)
        if index != root / "index":
            files.make_folder(index)  # on this machine for the first time, or emptied: made anew
        elif not read_only:
            with files.FileLock(root / "lock", what="write lock"):
                if not (index / "data.mdb").exists() and journal_is_long(root):
                    raise CorruptError(
                        "the pack index is missing", hint="vgr fsck --rebuild", path=index
                    )
        store = cls(root, PackIndex(index, read_only=read_only), read_only=read_only)
        try:
            store.refresh()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        if self.lender is not None:
            self.lender.close()
        self.packs.close()
        self.index.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def lock(self) -> files.FileLock:
        """The lock under which the journal grows."""
        return files.FileLock(self.root / "lock", what="write lock")

    def keep_packs(self, *, exclusive: bool = False) -> files.FileLock:
        """The lock that keeps gc away from packs: shared for writers, exclusive for gc."""
        return files.FileLock(self.root / "gc.lock", shared=not exclusive, what="gc lock")

    # -- the journal's tail ----------------------------------------------------------------------

    def refresh(self) -> None:
        """Apply what another process, or a crashed one, committed but did not index."""
        if self.is_current():
            return
        if self.read_only:
            raise StateError(
                "the pack index is behind the journal and the repository is read-only",
                hint="run vgr status once with write access",
                path=self.root,
            )
        with self.lock():
            self.replay()

    def is_current(self) -> bool:
        """Whether the index has applied the journal to its last byte."""
        with Journal(self.root / "journal") as journal:
            return self.applied() == (journal.number, journal.size)

    def applied(self) -> tuple[int, int]:
        """(journal generation, position) up to which the index has applied the journal."""

        def body(reading: Reading) -> tuple[int, int]:
            data = reading.get("meta", b"applied")
            if data is None:
                return 1, HEAD_BYTES
            return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")

        return self.index.read(body)

    def replay(self) -> None:
        """Apply the tail of the journal; cut a torn group. The caller holds the lock."""
        generation, position = self.applied()
        with Journal(self.root / "journal", write=True) as journal:
            if journal.number != generation:
                from voyager.store.rebuild import index_again

                index_again(self)  # a crash came between sealing the journal and indexing that
                return
            if journal.size < position:
                raise CorruptError(
                    "the journal is shorter than the pack index says",
                    hint="vgr fsck --rebuild",
                    path=journal.path,
                )
            self._apply_tail(journal, position)

    def _apply_tail(self, journal: Journal, position: int) -> None:
        torn: Damage | None = None
        for group in journal.iter_groups(position):
            if isinstance(group, Damage):
                torn = torn or group
                continue
            if torn is not None:
                # Something whole follows, so this was no torn write: nothing may be cut.
                raise CorruptError(
                    f"the journal is damaged at byte {torn.offset}: {torn.reason}",
                    hint="vgr fsck --rebuild",
                    path=journal.path,
                )
            applier = Applier(group.operation)
            applier.objects = [(placed, _JOURNAL) for placed in group.objects]
            applier.placed_at = (_JOURNAL, group.operation_at)
            applier.packs = [
                (name.hex(), pack_entries(self.pack_path(name.hex())))
                for name in group.operation.added
            ]
            applier.end = (journal.number, group.end)
            self.index.write(applier)
        if torn is not None:
            journal.cut(torn.offset)

    # -- reading ---------------------------------------------------------------------------------

    def pack_path(self, name: str) -> Path:
        return self.root / "packs" / f"{name}.pack"

    def place(self, entry_id: bytes) -> Place | None:
        """Where an id lies, or None."""
        data = self.index.read(lambda reading: reading.get("objects", entry_id))
        return None if data is None else decode_place(data)

    def places(self, ids: Iterable[bytes]) -> dict[bytes, Place]:
        """Where each of many ids lies; absent ones are left out."""

        def body(reading: Reading) -> dict[bytes, Place]:
            found = {}
            for entry_id in ids:
                data = reading.get("objects", entry_id)
                if data is not None:
                    found[entry_id] = decode_place(data)
            return found

        return self.index.read(body)

    def has_prefixes(self, prefixes: Iterable[bytes]) -> list[bool]:
        """Whether there is an id that begins so, for each of some first bytes of ids."""

        def body(reading: Reading) -> list[bool]:
            return [reading.has_prefix("objects", prefix) for prefix in prefixes]

        return self.index.read(body)

    def __contains__(self, entry_id: bytes) -> bool:
        return self.place(entry_id) is not None

    def has_pack(self, name: str) -> bool:
        """Whether the index knows a pack."""
        return self.index.read(lambda reading: file_number(reading, name) is not None)

    def remove_strays(self, packs: Iterable[SealedPack]) -> None:
        """Remove those new packs that no operation brought in; the caller holds the lock."""
        for pack in packs:
            if not self.has_pack(pack.name):
                files.remove(self.pack_path(pack.name))
                files.remove(self.pack_path(pack.name).with_suffix(".idx"))

    def path_of(self, file: int) -> str:
        """The file behind a file number of the index."""
        path = self._paths.get(file)
        if path is None:
            data = self.index.read(lambda reading: reading.get("packs", file.to_bytes(4, "big")))
            if data is None:
                raise CorruptError(f"the pack index names no pack {file}")
            path = self._paths[file] = str(self.pack_path(data.decode()))
        return path

    def get(self, object_id: bytes, kind: Kind) -> bytes:
        """The bytes of an object or blob; CorruptError when missing or of another kind."""
        if kind is Kind.BLOB and (lent := self._lent(object_id)) is not None:
            return lent
        header, data = self._again_if_moved(object_id, self._read_at)
        if header.kind is not kind:
            raise CorruptError(
                f"{object_id.hex()} is a {header.kind.label}, expected a {kind.label}"
            )
        return data

    def get_many(self, ids: Sequence[bytes], kind: Kind) -> list[bytes]:
        """As `get` of each, with one look-up of their places."""
        places = self.places(ids)
        return [self.get_placed(entry_id, places.get(entry_id), kind) for entry_id in ids]

    def get_placed(self, entry_id: bytes, place: Place | None, kind: Kind) -> bytes:
        """As `get`, for one whose place was looked up with many others."""
        if place is not None:
            try:
                header, data = self._read_at(entry_id, place)
            except (FileNotFoundError, CorruptError):
                pass  # moved since: look it up again
            else:
                if header.kind is kind:
                    return data
        return self.get(entry_id, kind)

    def get_any(self, object_id: bytes) -> tuple[Kind, bytes]:
        """Kind and bytes of whatever has this id."""
        if (lent := self._lent(object_id)) is not None:
            return Kind.BLOB, lent
        header, data = self._again_if_moved(object_id, self._read_at)
        return header.kind, data

    def get_blob(self, blob_id: bytes) -> bytes:
        """The bytes of a blob; NotFoundError with the reason when it was purged."""
        return self.get(blob_id, Kind.BLOB)

    def header(self, entry_id: bytes) -> Header:
        """The entry header of an id."""
        if (lent := self._lent(entry_id)) is not None:
            return Header(Kind.BLOB, Method.RAW, len(lent), len(lent), entry_id, entry_id[:8])
        return self._again_if_moved(entry_id, self._header_at)

    def iter_blob(self, blob_id: bytes) -> Iterator[bytes]:
        """The bytes of a blob in chunks, however big it is."""
        if (lent := self._lent(blob_id)) is not None:
            yield lent
            return
        header, offset, source = self._again_if_moved(blob_id, self._open_blob)
        with source:
            if header.kind is not Kind.BLOB:
                raise CorruptError(f"{blob_id.hex()} is a {header.kind.label}, expected a blob")
            if header.method:
                yield self.get_blob(blob_id)
            else:
                yield from iter_body(source, offset, header.stored)

    def _lent(self, blob_id: bytes) -> bytes | None:
        """The bytes of a blob that is not here, if somebody lends it."""
        if self.lender is None or self.place(blob_id) is not None:
            return None
        return self.lender.get(blob_id)

    def _open_blob(self, blob_id: bytes, place: Place) -> tuple[Header, int, FileIO]:
        header = self._header_at(blob_id, place)
        return header, place.offset, self._files().open(self.path_of(place.file))

    def stored(self, entry_id: bytes) -> tuple[bytes, Iterator[bytes]]:
        """An entry as it lies: its 72 bytes of header, and its stored body in chunks."""
        return self._again_if_moved(entry_id, self._open_stored)

    def _open_stored(self, entry_id: bytes, place: Place) -> tuple[bytes, Iterator[bytes]]:
        header = self._header_at(entry_id, place)
        path = self.path_of(place.file)
        head = os.pread(self._files().fd(path), HEADER_BYTES, place.offset)
        return head, self._files().iter_raw(path, place.offset, header.stored)

    def _again_if_moved(self, entry_id: bytes, read: Callable[[bytes, Place], T]) -> T:
        for attempt in (1, 2):
            place = self.place(entry_id)
            if place is None:
                self._refuse_absent(entry_id)
            try:
                return read(entry_id, place)
            except (FileNotFoundError, CorruptError):
                # gc or a sealed journal moved it since the look-up: look once more (spec 8).
                if attempt == 2:
                    raise
                self.forget_files()
                self.refresh()
        raise AssertionError

    def _read_at(self, entry_id: bytes, place: Place) -> tuple[Header, bytes]:
        path = self.path_of(place.file)
        stored = place.stored
        if stored is None:
            stored = self.packs.read_header(path, place.offset).stored
        header, data = self._files().read(path, place.offset, stored)
        if header.id != entry_id:
            raise CorruptError(f"{path} holds another entry where {entry_id.hex()} should be")
        return header, data

    def _header_at(self, entry_id: bytes, place: Place) -> Header:
        header = self._files().read_header(self.path_of(place.file), place.offset)
        if header.id != entry_id:
            raise CorruptError(f"another entry lies where {entry_id.hex()} should be")
        return header

    def _files(self) -> PackFiles:
        if self._pid != os.getpid():  # descriptors are fine after a fork, their cache is shared
            self._pid = os.getpid()
            self.packs = PackFiles()
        return self.packs

    def forget_files(self) -> None:
        """Close the files that are held open, since others may have taken their names."""
        self.packs.close()
        self._paths = {_JOURNAL: self._paths[_JOURNAL]}

    def _refuse_absent(self, entry_id: bytes) -> NoReturn:
        tombstone = self.value(TOMBSTONES + entry_id.hex())
        if tombstone is not None:
            raise NotFoundError(f"{entry_id.hex()[:12]} was purged: {tombstone['reason']}")
        raise CorruptError(f"{entry_id.hex()} is missing from the store", hint="vgr fsck")

    def verify(self, entry_id: bytes) -> None:
        """Hash an entry again; CorruptError when its bytes do not fit its id."""
        header = self.header(entry_id)
        if header.kind is Kind.BLOB and not header.method:
            from blake3 import blake3

            hasher = blake3()
            for chunk in self.iter_blob(entry_id):
                hasher.update(chunk)
            found = hasher.digest()
        else:
            found = id_of(header.kind, self.get_any(entry_id)[1])
        if found != entry_id:
            raise CorruptError(
                f"the bytes of {entry_id.hex()} do not fit their id", hint="vgr fsck"
            )

    def iter_prefix(self, prefix: bytes) -> Iterator[bytes]:
        """Ids that begin with these bytes."""
        return iter(
            self.index.read(lambda reading: [key for key, _ in reading.items("objects", prefix)])
        )

    # -- values, overlay, operations -------------------------------------------------------------

    def value_bytes(self, name: str) -> bytes | None:
        """A named value, encoded, or None."""
        return self.index.read(lambda reading: reading.get("values", name.encode()))

    def value(self, name: str) -> Any:
        """A named value, or None."""
        data = self.value_bytes(name)
        return None if data is None else decode(data)

    def values(self, prefix: str = "") -> dict[str, Any]:
        """All values whose name starts with `prefix`, sorted by name."""
        found = self.index.read(lambda reading: list(reading.items("values", prefix.encode())))
        return {name.decode(): decode(data) for name, data in found}

    @property
    def shallow(self) -> frozenset[bytes]:
        """The commits whose parents are elsewhere."""
        data = self.value_bytes(SHALLOW)
        if data is None:
            return frozenset()
        if self._shallow is None or self._shallow[0] != data:
            self._shallow = data, frozenset(bytes(ref.data) for ref in decode(data))
        return self._shallow[1]

    def overlay(self) -> dict[tuple[str, bytes], bytes]:
        """The staged rows over the staged root: (space, key) → encoded row, or GONE."""
        return self.index.read(overlay_rows)

    def last_seq(self) -> int:
        """The number of the last operation."""
        last = self.index.read(lambda reading: reading.last("operations"))
        return 0 if last is None else int.from_bytes(last[0], "big")

    def operation(self, seq: int) -> Operation:
        """An operation by number; NotFoundError when there is none (or gc let it expire)."""
        for attempt in (1, 2):
            try:
                return self._read_operation(seq)
            except (FileNotFoundError, CorruptError):
                if attempt == 2:
                    raise
                self.refresh()  # the journal was sealed between look-up and read
        raise AssertionError

    def _read_operation(self, seq: int) -> Operation:
        def body(reading: Reading) -> tuple[bytes, bytes | None]:
            place = reading.get("operations", seq.to_bytes(8, "big"))
            if place is None:
                raise NotFoundError(f"no operation {seq}", hint="vgr op log")
            file = decode_place(place).file
            return place, reading.get("packs", file.to_bytes(4, "big")) if file else None

        data, name = self.index.read(body)
        place = decode_place(data)
        path = self.root / "journal" if name is None else self.root / "log" / name.decode()
        fd = os.open(path, os.O_RDONLY)
        try:
            entry = os.pread(fd, HEADER_BYTES + (place.stored or 0), place.offset)
        finally:
            os.close(fd)
        operation = decode_operation(expand(decode_header(entry), entry[HEADER_BYTES:]))
        if operation.seq != seq:
            raise CorruptError(f"another operation lies where {seq} should be", hint="vgr fsck")
        return operation

    def operations(self) -> Iterator[Operation]:
        """All operations, newest first."""
        numbers = self.index.read(
            lambda reading: [int.from_bytes(key, "big") for key, _ in reading.items("operations")]
        )
        for number in reversed(numbers):
            yield self.operation(number)

    def moves_of(self, name: str) -> list[int]:
        """Numbers of the operations that moved a value, oldest first."""
        prefix = short_hash(name)
        return self.index.read(
            lambda reading: [
                int.from_bytes(key[16:], "big") for key, _ in reading.items("reflog", prefix)
            ]
        )


def check_spec(root: Path) -> None:
    """Refuse a folder without a store, and one of a newer spec."""
    try:
        text = (root / "SPEC").read_text()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"no repository at {root}", hint="vgr init") from None
    words = text.split()
    if len(words) != 2 or words[0] != "voyager" or not words[1].isdigit():
        raise CorruptError("the SPEC file of the repository is damaged", path=root / "SPEC")
    if int(words[1]) > SPEC_VERSION:
        raise StateError(
            f"the repository is of spec {words[1]}, this vgr reads up to {SPEC_VERSION}",
            hint="pip install -U voyager-vgr",
            path=root,
        )


def journal_is_long(root: Path) -> bool:
    """Whether there is anything in journal, log or packs that an index should know."""
    try:
        grown = (root / "journal").stat().st_size > HEAD_BYTES
    except FileNotFoundError:
        raise CorruptError("the journal is missing", path=root / "journal") from None
    return grown or any((root / "log").iterdir())


def pack_entries(path: Path) -> list[tuple[bytes, int, int]]:
    """(id, offset, stored) of every readable entry of a pack, by its headers.

    A pack that is gone has none: a later operation dropped it, or fsck will miss it.
    """
    if not path.exists():
        return []
    return [
        (found[1].id, found[0], found[1].stored)
        for found in scan_pack(path)
        if not isinstance(found, Damage)
    ]
