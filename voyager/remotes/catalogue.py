"""What a remote has: its root, the packs that its catalogue lists, and their indexes.

Segments and indexes never change, so that what was read once lies in `.vgr/cache/remotes` and may
be dropped at any time. Nothing of it is believed: what comes in is checked by its hash.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from voyager.errors import CorruptError, InvalidDataError, NotFoundError, UsageError
from voyager.remotes.base import Storage
from voyager.remotes.root import (
    ROOT,
    Packed,
    Root,
    decode_root,
    decode_segment,
    encode_root,
    segment_path,
    settled,
)
from voyager.store import files
from voyager.store.entry import HEADER_BYTES
from voyager.store.ids import Kind
from voyager.store.pack import HEAD_BYTES, parse_index
from voyager.store.refs import check_name

if TYPE_CHECKING:
    import numpy as np

AT_ONCE = 8
"""Requests in flight."""
_MOST_FRAMING = 4096
"""What an index is longer than its columns at most: frame, count and trailer."""
_COLUMN_BYTES = 17
_FEW = 16
"""Ids that are looked up one by one."""
_MOST_ENTRIES = 1 << 22
"""Of one pack. A pack of 64 MiB of images of no bytes has a quarter of that."""

T = TypeVar("T")
U = TypeVar("U")


class Found(NamedTuple):
    """Where an entry may lie: the index has the first 8 bytes of its id, its header all."""

    pack: Packed
    offset: int
    stored: int
    kind: int


class Listing:
    """The index of one pack of a remote: ids by their first 8 bytes, and where they lie."""

    def __init__(self, pack: Packed, data: bytes) -> None:
        self.pack = pack
        prefixes, lengths, self.kinds = parse_index(data, pack.entries, pack.name.hex())
        self._prefixes = prefixes
        self._lengths = lengths

    def prefixes(self) -> list[bytes]:
        """Of everything but the dictionary."""
        found = self._prefixes
        return [
            found[8 * at : 8 * at + 8]
            for at, kind in enumerate(self.kinds)
            if kind != Kind.DICTIONARY
        ]

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(prefixes as numbers, stored lengths, kinds) in the order of the file."""
        import numpy as np

        return (
            np.frombuffer(self._prefixes, dtype=">u8").astype(np.uint64),
            np.frombuffer(self._lengths, dtype=np.uint64),
            np.frombuffer(self.kinds, dtype=np.uint8),
        )

    @cached_property
    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sorted prefixes, the place of each in the file, offsets, lengths)."""
        import numpy as np

        prefixes, lengths, _ = self.columns()
        ends = np.cumsum(lengths + np.uint64(HEADER_BYTES))
        offsets = ends - lengths - np.uint64(HEADER_BYTES) + np.uint64(HEAD_BYTES)
        order = np.argsort(prefixes, kind="stable")
        return prefixes[order], order, offsets, lengths

    def find(self, ids: Sequence[bytes]) -> dict[bytes, Found]:
        """Where those of some ids that it lists may lie."""
        if len(ids) <= _FEW and "numpy" not in sys.modules:
            return self._find_few(ids)
        import numpy as np

        ordered, order, offsets, lengths = self._columns
        if not ids or not len(ordered):
            return {}
        wanted = prefix_numbers(ids)
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        hits = np.flatnonzero(ordered[at] == wanted)
        return {
            ids[hit]: Found(self.pack, int(offsets[place]), int(lengths[place]), self.kinds[place])
            for hit, place in zip(hits.tolist(), order[at[hits]].tolist(), strict=True)
        }

    def _find_few(self, ids: Sequence[bytes]) -> dict[bytes, Found]:
        """As `find`; loading numpy takes longer than looking a few up."""
        places = {one: self._place(one[:8]) for one in ids}
        return {
            one: Found(self.pack, self._offsets[at], self._lengths[at], self.kinds[at])
            for one, at in places.items()
            if at is not None
        }

    def _place(self, prefix: bytes) -> int | None:
        """The first place of a prefix in the file."""
        at = self._prefixes.find(prefix)
        while at % 8 and at > 0:
            at = self._prefixes.find(prefix, at + 1)
        return None if at < 0 else at // 8

    @cached_property
    def _offsets(self) -> array[int]:
        """Where entries begin."""
        lengths = (HEADER_BYTES + stored for stored in self._lengths)
        return array("Q", accumulate(lengths, initial=HEAD_BYTES))


class Catalogue:
    """What one remote has, read by way of a cache folder."""

    def __init__(self, storage: Storage, cache: Path) -> None:
        self.storage = storage
        self.folder = cache
        self._segments = cache / "segments"
        self._indexes = cache / blake3(storage.url.encode()).hexdigest(8)

    def read_root(self) -> Root | None:
        """The root as it is now; None where nothing was pushed yet.

        Raises InvalidDataError for refs that cannot be ones.
        """
        try:
            return settled(lambda: _checked(self.storage.get(ROOT)))
        except NotFoundError:
            return None

    def keep_root(self, root: Root) -> None:
        """Remember a root that was read: what it lists is promised from now on."""
        data = encode_root(root)
        if _read(self._indexes / ROOT) != data:
            _keep(self._indexes / ROOT, data)

    def last_root(self) -> Root | None:
        """The root that was kept, None where that was dropped."""
        data = _read(self._indexes / ROOT)
        return None if data is None else _checked(data)

    def stamp(self) -> object:
        """Something that is another when another root was kept."""
        try:
            found = (self._indexes / ROOT).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def blob_listings(self, root: Root) -> list[Listing]:
        """The indexes of all packs with images."""
        return self.listings([pack for pack in self.packs(root) if pack.blobs])

    def packs(self, root: Root) -> list[Packed]:
        """The packs that the segments of a root list, each once."""
        found: dict[bytes, Packed] = {}
        for packs in in_parallel(self._segment, root.segments):
            for pack in packs:
                _refuse_impossible(pack)
                known = found.setdefault(pack.name, pack)
                if msgspec.structs.replace(known, gc=pack.gc) != pack:
                    raise CorruptError(f"the remote lists pack {pack.name.hex()} in two ways")
        return list(found.values())

    def _segment(self, segment: bytes) -> list[Packed]:
        path = self._segments / segment.hex()
        known = _read(path)
        if known is not None:
            try:
                return decode_segment(segment, known)
            except CorruptError:
                files.remove(path)
        data = self.storage.get(segment_path(segment))
        packs = decode_segment(segment, data)
        _keep(path, data)
        return packs

    def listings(self, packs: Iterable[Packed]) -> list[Listing]:
        """The indexes of packs, those that were not read before fetched in parallel."""
        return in_parallel(self.listing, list(packs))

    def listing(self, pack: Packed) -> Listing:
        """The index of a pack."""
        path = self._indexes / pack.name.hex()
        known = _read(path)
        if known is not None:
            try:
                return Listing(pack, known)
            except CorruptError:
                files.remove(path)
        data = self.storage.get_range(pack.index_path, 0, pack.index)
        found = Listing(pack, data)
        _keep(path, data)
        return found

    def note(self, pack: Packed, index: bytes) -> None:
        """Keep the index of a pack that was sent: a fetch sees by it that all of it is here."""
        _keep(self._indexes / pack.name.hex(), index)


def prefix_numbers(ids: Iterable[bytes]) -> np.ndarray:
    """The first 8 bytes of ids as numbers, as `Listing.columns` has them."""
    import numpy as np

    return np.frombuffer(b"".join(one[:8] for one in ids), dtype=">u8").astype(np.uint64)


def _checked(data: bytes) -> Root:
    root = decode_root(data)
    for name in root.refs:
        check_ref(name)
    return root


def check_ref(name: str) -> str:
    """A full ref name by git's rules; InvalidDataError else."""
    try:
        if not name.startswith("refs/"):
            raise UsageError(name)
        check_name(name.removeprefix("refs/"))
    except UsageError:
        raise InvalidDataError(f"the remote has a ref of an impossible name: {name!r}") from None
    return name


def in_parallel(work: Callable[[T], U], items: Sequence[T], *, at_once: int = AT_ONCE) -> list[U]:
    """`work` of each, several at once, in order; the first error ends it."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(at_once, len(items))) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _refuse_impossible(pack: Packed) -> None:
    """CorruptError for a pack whose numbers do not fit each other."""
    entries = pack.entries
    room = pack.size - HEAD_BYTES - entries * HEADER_BYTES
    if (
        room < 0
        or entries > _MOST_ENTRIES
        or not 0 < pack.index <= _COLUMN_BYTES * entries + _MOST_FRAMING
    ):
        raise CorruptError(
            f"the remote lists pack {pack.name.hex()} with numbers that do not fit"
            f" ({pack.size:,} bytes, {entries:,} entries)"
        )


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep(path: Path, data: bytes) -> None:
    """Put what was read into the cache, which several may fill at once."""
    files.make_folder(path.parent)
    files.replace(path, [data])
