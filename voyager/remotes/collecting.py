"""Garbage collection of a remote: packs that nothing reachable needs leave its catalogue, and later
its storage.

The story: list what is kept, mark what refs reach, write anew the packs of which little is in use,
let the root name the packs that stay and raise its gc generation by compare-and-swap, and delete
what was listed before and is named by nothing, when it is old enough by the clock of the server.
Killed anywhere, the remote is whole; what was left behind is collected the next time.

A push that reads the root after the swap sends its packs under names of the new generation, and one
that read it before loses its own swap; so nothing that is deleted can come into use meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from voyager.errors import CorruptError, NotFoundError
from voyager.remotes.base import Listed, PreconditionFailed, Storage
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.counted import Counted
from voyager.remotes.fetching import catalogue_of
from voyager.remotes.garbage import (
    Due,
    delete,
    find_due,
    list_all,
    names_of,
    note_unlisted,
    time_here,
    time_there,
)
from voyager.remotes.metadata import Scratch
from voyager.remotes.rewriting import Rewriter, Wanted
from voyager.remotes.root import Packed, Root, encode_segment, segment_path
from voyager.remotes.swapping import change_root, read_tagged
from voyager.remotes.tombstones import purged_at
from voyager.remotes.usage import Use, survey, worth_rewriting
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.reachable import Live, mark
from voyager.wire import encode, object_ref

GRACE_HOURS = 72
"""How long what is named no more stays, by default."""


@dataclass(slots=True)
class Collected:
    """What a collection found and did, or with `dry_run` would do.

    `kept` tips were left by refs not long ago. `unlisted` packs left the catalogue, `written` took
    the place of some. `deleted` objects and `freed` bytes are gone for good; `waiting` packs and
    indexes are garbage that is too young.
    """

    live_objects: int = 0
    live_blobs: int = 0
    kept: int = 0
    packs: int = 0
    unlisted: int = 0
    written: int = 0
    deleted: int = 0
    freed: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Rewritten:
    """Packs that were written anew in one gc generation, and what was left out of them."""

    gc: int
    victims: set[bytes]
    packs: list[Packed]
    dropped: set[bytes] = field(default_factory=set)


def collect_remote(
    repo: Repository,
    storage: Storage,
    *,
    grace: float = GRACE_HOURS * 3600,
    dry_run: bool = False,
    marking: Progress = no_progress,
    progress: Progress = no_progress,
) -> Collected:
    """Remove what no ref of a remote reaches, nor did within `grace` seconds.

    Raises CorruptError when something in use is missing or damaged, and then removes nothing.
    """
    counted = Counted(storage)
    with Scratch(repo) as scratch:
        run = _Collection(repo, counted, scratch, grace, marking, progress)
        done = run.look() if dry_run else run.run()
    done.requests = counted.requests
    return done


class _Collection:
    def __init__(
        self,
        repo: Repository,
        storage: Storage,
        scratch: Scratch,
        grace: float,
        marking: Progress,
        progress: Progress,
    ) -> None:
        self.repo, self.storage, self.scratch = repo, storage, scratch
        self.catalogue: Catalogue = catalogue_of(repo, storage)
        self.grace = grace
        self.done = Collected()
        self._marking, self._progress = marking, progress
        self._there: dict[str, Listed] = {}
        self._before = 0.0
        self._now = 0.0
        self._packs: list[Packed] = []
        self._left: set[str] = set()
        self._live = Live()
        self._purged: set[bytes] = set()
        self._rewritten: _Rewritten | None = None

    def look(self) -> Collected:
        """What a collection would do."""
        self._list(time_here())
        root, _ = read_tagged(self.storage)
        self._survey(root)
        self._count(self._due(root))
        return self.done

    def run(self) -> Collected:
        now = time_there(self.storage)
        self._list(now)
        root = change_root(self.repo, self.storage, self._change)
        due = self._due(root)
        delete(self.storage, due.gone)
        self._count(due)
        return self.done

    def _list(self, now: float | None) -> None:
        """What the storage has, before the root is read: later names are none of our business."""
        self._there = list_all(self.storage)
        self._now = time_here() if now is None else now
        # Without a clock nothing is old.
        self._before = 0.0 if now is None else now - self.grace

    # -- the new root ----------------------------------------------------------------------------

    def _change(self, root: Root) -> Root | None:
        try:
            return self._changed(root)
        except (CorruptError, NotFoundError):
            if read_tagged(self.storage)[0].gc != root.gc:
                raise PreconditionFailed("another gc was faster") from None
            raise

    def _changed(self, root: Root) -> Root | None:
        victims = self._survey(root)
        if not victims and not self._due(root).gone:
            return None
        new = self._rewrite(root, victims)
        gone = {use.pack.name for use in victims}
        kept = {pack.name: pack for pack in self._packs if pack.name not in gone}
        kept |= {pack.name: pack for pack in new}
        stay = set(kept.values())
        unlisted = [pack for pack in self._packs if pack not in stay]
        self.done.unlisted, self.done.written = len(unlisted), len(new)
        self._packs = list(kept.values())
        segments = (
            self._write_segment(root) if unlisted or len(root.segments) > 1 else root.segments
        )
        if self.grace:
            left = [segment for segment in root.segments if segment not in segments]
            self._left = {*names_of(unlisted), *map(segment_path, left)}
            if unlisted:
                note_unlisted(self.storage, unlisted, root.gc)
        return msgspec.structs.replace(root, gc=root.gc + 1, segments=segments)

    def _write_segment(self, root: Root) -> list[bytes]:
        segment, data = encode_segment(self._packs, gc=root.gc)
        self.storage.put(segment_path(segment), data)
        return [segment]

    def _survey(self, root: Root) -> list[Use]:
        """The packs to leave the catalogue, by what the refs of this root reach."""
        self._packs, self._left = self.catalogue.packs(root), set()
        self._refuse_missing()
        self.scratch.take(self.storage, self._packs, self._progress)
        tips = self._kept_tips(root)
        self._live, self.done.kept = _mark(self.scratch, root, tips, self._marking)
        uses = survey(self.catalogue.listings(self._packs), self._live)
        self._purged = purged_at(root)
        victims = {use.pack.name: use for use in worth_rewriting(uses)}
        victims |= {use.pack.name: use for use in uses if self._holds_purged(use.pack)}
        self.done.packs = len(uses)
        self.done.unlisted, self.done.written = len(victims), 0
        self.done.live_objects, self.done.live_blobs = map(
            len, (self._live.objects, self._live.blobs)
        )
        return list(victims.values())

    def _refuse_missing(self) -> None:
        """CorruptError unless every pack is there: what has a twin in a lost one must not go."""
        for pack in self._packs:
            each = self._there.get(pack.pack_path)
            size = self.storage.size(pack.pack_path) if each is None else each.size
            if size != pack.size:
                what = "is missing" if size is None else f"has {size:,} bytes, not {pack.size:,}"
                raise CorruptError(
                    f"pack {pack.name.hex()[:12]} of the remote {what}", hint="vgr fsck --remote"
                )

    def _holds_purged(self, pack: Packed) -> bool:
        return pack.blobs and bool(self.catalogue.listing(pack).find(list(self._purged)))

    def _kept_tips(self, root: Root) -> list[bytes]:
        """What refs were before moves that are younger than the grace period.

        Who moved them noted the time by a clock of their own: the one that is behind counts.
        """
        now = min(self._now, self.repo.config.now().ms / 1000)
        since = (now - self.grace) * 1000
        return [bytes(ref.data) for move in root.moves if move.time > since for ref in move.left]

    # -- packs that are written anew -------------------------------------------------------------

    def _rewrite(self, root: Root, victims: Collection[Use]) -> list[Packed]:
        """The packs that take the place of others; made again only if a push needs more of them."""
        names = {use.pack.name for use in victims}
        known = self._rewritten
        if (
            known is not None
            and (known.gc, known.victims) == (root.gc, names)
            and not any(one in self._live for one in known.dropped)
        ):
            return known.packs
        there = {name: each.size for name, each in self._there.items()}
        rewriter = Rewriter(
            self.storage, self.scratch, gc=root.gc, there=there, progress=self._progress
        )
        made = _Rewritten(root.gc, names, [])
        self._rewritten = made
        order = sorted(victims, key=lambda use: (use.pack.blobs, use.pack.name))
        made.packs = rewriter.run(
            (use.pack, self._wanted(use, made.dropped)) for use in order if use.live
        )
        return made.packs

    def _wanted(self, use: Use, dropped: set[bytes]) -> Wanted:
        def wanted(number: int, entry_id: bytes) -> bool:
            if entry_id not in self._live:
                dropped.add(entry_id)
                return False
            return bool(use.wanted[number]) and entry_id not in self._purged

        return wanted

    # -- what goes -------------------------------------------------------------------------------

    def _due(self, root: Root) -> Due:
        return find_due(
            self.storage,
            self._there,
            self._packs,
            root.segments,
            before=self._before,
            left=self._left,
        )

    def _count(self, due: Due) -> None:
        self.done.deleted = len(due.gone)
        self.done.freed = sum(each.size for each in due.gone)
        self.done.waiting = len(due.waiting)
        self.done.waiting_bytes = sum(each.size for each in due.waiting)


def _mark(
    scratch: Scratch, root: Root, tips: Iterable[bytes], progress: Progress
) -> tuple[Live, int]:
    """What the refs reach and older tips do that are still whole, and how many of these."""
    kept = 0
    live = mark(scratch.store, [(name, encode(ref)) for name, ref in root.refs.items()], progress)
    for tip in tips:
        if tip in live or tip not in scratch.store:
            continue
        try:
            more = mark(scratch.store, [(tip.hex(), encode(object_ref(tip)))], progress)
        except CorruptError:
            continue  # a part of it went in an earlier collection
        kept += 1
        live.objects |= more.objects
        live.blobs |= more.blobs
    return live, kept
