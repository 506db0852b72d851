"""Bringing part of what a remote has: some commits and what they need, or some blobs.

Whole packs are brought where most of them is wanted; else single entries, into a pack of our own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from voyager.errors import CorruptError, NotFoundError
from voyager.remotes.catalogue import Catalogue, Listing
from voyager.remotes.incoming import Incoming
from voyager.remotes.ranged import Entry, RangedReader
from voyager.remotes.receiving import Receiver
from voyager.remotes.root import Packed
from voyager.store.entry import Method, decode_header
from voyager.store.history import Commit
from voyager.store.ids import Kind
from voyager.store.pack import Content, PackWriter
from voyager.store.spec import PACK_SEAL_BYTES
from voyager.wire import OBJECT_EXT, iter_references

_BATCH = 4096
"""Entries that are asked for together."""
_WORTH_WHOLE = 0.5
"""A pack of which more than this share is wanted comes whole."""
_DICTIONARIES = 100
"""Of so many entries one may be a dictionary and no blob."""


class Gatherer:
    """Puts single entries into packs of one content, and seals these into what came in."""

    def __init__(self, incoming: Incoming, content: Content) -> None:
        self._incoming = incoming
        self._content = content
        self._writer: PackWriter | None = None

    def put(self, entry: Entry) -> None:
        """Add an entry; one that needs the dictionary of its pack is stored without."""
        if self._writer is not None and self._writer.size + len(entry.stored) > PACK_SEAL_BYTES:
            self.seal()
        if self._writer is None:
            self._writer = PackWriter(self._incoming.store.root / "packs", self._content)
        if decode_header(entry.head).method == Method.ZSTD_DICTIONARY:
            self._writer.append(entry.kind, entry.id, Method.RAW, entry.data, len(entry.data))
        else:
            self._writer.append_encoded(entry.head, entry.stored)

    def seal(self) -> None:
        """Finish the pack, if there is one."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._incoming.add(writer.seal())

    def discard(self) -> None:
        """Drop what is not sealed."""
        if self._writer is not None:
            self._writer.discard()


# -- commits --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Line:
    """Commits on the way down from tips: those met, and those where it ends for now."""

    met: set[bytes] = field(default_factory=set)
    ends: set[bytes] = field(default_factory=set)


def bring_commits(
    incoming: Incoming,
    catalogue: Catalogue,
    packs: Sequence[Packed],
    tips: Iterable[bytes],
    levels: int | None,
    *,
    beyond: bool = False,
) -> None:
    """Let commits come in with all that they need but blobs: so many levels from the tips down.

    None is all of them, down to those that are here; with `beyond` those where history ends here
    are gone past. `incoming.shallow` says afterwards where
    history ends. Raises CorruptError for what the remote lacks.
    """
    reader = RangedReader(catalogue, catalogue.listings([one for one in packs if not one.blobs]))
    gatherer = Gatherer(incoming, Content.METADATA)
    try:
        run = _Bringing(incoming, reader, gatherer)
        line = run.descend(run.peel(tips), levels, beyond=beyond)
        run.bring_below(line.met)
        gatherer.seal()
    except NotFoundError as error:
        raise CorruptError(error.message, hint="vgr fsck --remote") from None
    finally:
        gatherer.discard()
    gone = {one for one in incoming.shallow if set(_parents(incoming, one)) <= run.here(one)}
    incoming.shallow = (incoming.shallow - gone) | line.ends


class _Bringing:
    def __init__(self, incoming: Incoming, reader: RangedReader, gatherer: Gatherer) -> None:
        self._incoming = incoming
        self._reader = reader
        self._gatherer = gatherer

    def here(self, commit_id: bytes) -> set[bytes]:
        """Those parents of a commit that are here by now."""
        return self._incoming.present(_parents(self._incoming, commit_id))

    def bring(self, ids: Iterable[bytes]) -> None:
        """Let single objects come in that are not here."""
        wanted = list(dict.fromkeys(ids))
        here = self._incoming.present(wanted)
        wanted = [one for one in wanted if one not in here]
        for start in range(0, len(wanted), _BATCH):
            for entry in self._reader.read(wanted[start : start + _BATCH]):
                self._gatherer.put(entry)
                self._incoming.hold(entry.id, entry.kind, entry.data)

    def peel(self, tips: Iterable[bytes]) -> list[bytes]:
        """The commits that tips mean, with the tags and runs on the way."""
        commits: dict[bytes, None] = {}
        waiting = list(tips)[::-1]
        while waiting:
            tip = waiting.pop()
            self.bring([tip])
            kind, data = self._incoming.get_any(tip)
            if kind not in (Kind.TAG, Kind.RUN):
                commits[tip] = None
                continue
            refs = _references(data)
            if kind is Kind.TAG and len(refs) != 1:
                raise CorruptError(f"tag {tip.hex()} names no one object")
            waiting += sorted(refs)
        return list(commits)

    def descend(self, tips: Sequence[bytes], levels: int | None, *, beyond: bool) -> _Line:
        """Commits by generation; below one that was here nothing is to be done."""
        line, store = _Line(), self._incoming.store
        through = beyond and bool(store.shallow)  # what is here may have an end below
        frontier, level = list(dict.fromkeys(tips)), 1
        while frontier:
            self.bring(frontier)
            below: dict[bytes, None] = {}
            for commit_id in frontier:
                if commit_id in line.met:
                    continue
                line.met.add(commit_id)
                parents = _parents(self._incoming, commit_id)
                if commit_id in store and not through:
                    continue
                if level != levels:
                    below.update(dict.fromkeys(parents))
                elif not set(parents) <= self.here(commit_id):
                    line.ends.add(commit_id)
            frontier, level = list(below), level + 1
        return line

    def bring_below(self, commits: Collection[bytes]) -> None:
        """All that commits refer to but their parents, level by level."""
        store = self._incoming.store
        fresh = [one for one in commits if one not in store]
        frontier: set[bytes] = set()
        for commit_id in fresh:
            data = self._incoming.get(commit_id, Kind.COMMIT)
            frontier |= _references(data) - set(_parents(self._incoming, commit_id))
        met: set[bytes] = set()
        while frontier:
            met |= frontier
            wanted = frontier - set(store.places(frontier))
            self.bring(sorted(wanted))
            frontier = set()
            for one in wanted:
                kind, data = self._incoming.get_any(one)
                if kind not in (Kind.BLOB, Kind.DICTIONARY):
                    frontier |= _references(data)
            frontier -= met


def _references(data: bytes) -> set[bytes]:
    return {one for code, one in iter_references(data) if code == OBJECT_EXT}


def _parents(incoming: Incoming, commit_id: bytes) -> list[bytes]:
    """The parents that a commit names, here or not."""
    try:
        commit = msgspec.msgpack.decode(incoming.get(commit_id, Kind.COMMIT), type=Commit)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"commit {commit_id.hex()} does not decode: {error}") from None
    return commit.parent_ids


# -- blobs ----------------------------------------------------------------------------------------


def bring_blobs(
    incoming: Incoming,
    catalogue: Catalogue,
    receiver: Receiver,
    packs: Sequence[Packed],
    wanted: Collection[bytes],
    *,
    exactly: bool = False,
) -> None:
    """Let blobs come in, in whole packs or one by one; those that the packs have not are left.

    Other blobs of whole packs are kept as well, unless `exactly` those that are wanted shall come:
    to a lazy clone an image that is here and has no file is one whose file was deleted.
    """
    left = sorted(wanted)
    packs = [pack for pack in packs if pack.blobs]
    if not left:
        return
    if sum(pack.entries for pack in packs) - len(left) <= len(left) // _DICTIONARIES:
        listings, whole = [], packs  # all of them are wanted: their indexes tell nothing new
    else:
        listings, whole = catalogue.listings(packs), []
    singles: list[bytes] = []
    for listing in _by_use(listings, left):
        here = listing.find(left)
        size = sum(place.stored for place in here.values())
        if size > _WORTH_WHOLE * listing.pack.size:
            whole.append(listing.pack)
        else:
            singles += here
        left = [one for one in left if one not in here]
    only = frozenset(wanted) if exactly else None
    for pack in receiver.receive(whole, only=only):
        incoming.add(pack)
    gatherer = Gatherer(incoming, Content.BLOBS)
    try:
        reader = RangedReader(catalogue, listings)
        for start in range(0, len(singles), _BATCH):
            for entry in reader.read(singles[start : start + _BATCH]):
                gatherer.put(entry)
        gatherer.seal()
    finally:
        gatherer.discard()


def _by_use(listings: Iterable[Listing], wanted: Sequence[bytes]) -> list[Listing]:
    """Packs of which most is wanted first, so that copies of little use are left out."""
    return sorted(
        listings, key=lambda one: (-len(one.find(wanted)) / max(one.pack.size, 1), one.pack.name)
    )
