"""Pushing: packs first, then the segment that lists them, then the root by compare-and-swap.

Only the last step shows anything to others. Whoever loses the swap reads the root again: where the
own nonce is among its last moves the swap had happened after all; else the same moves are checked
against the refs of the new root, and tried on top of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from voyager.errors import NotFoundError, RefMoved, RemoteError, StateError
from voyager.remotes.base import PreconditionFailed, Storage
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.config import Remote, remotes_of
from voyager.remotes.counted import Counted
from voyager.remotes.fetching import catalogue_of
from voyager.remotes.memory import RemoteMemory
from voyager.remotes.moves import PushedRef, Rules, moves_on
from voyager.remotes.negotiate import Lacking, lacking, name_missing
from voyager.remotes.own_folder import OwnFolder
from voyager.remotes.policy import refuse_unfit
from voyager.remotes.refspec import Update, refuse_odd_kind, updates_of
from voyager.remotes.root import (
    MOST_SEGMENTS,
    ROOT,
    Move,
    Packed,
    Policy,
    Root,
    encode_root,
    encode_segment,
    get_root,
    segment_path,
)
from voyager.remotes.sending import Plan, Sender, plan_packs
from voyager.remotes.swapping import pause
from voyager.remotes.tombstones import purged_at
from voyager.remotes.urls import mask_url
from voyager.repo.commit import run_hook
from voyager.repo.promised import is_lazy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.upstream import Upstream, set_upstream, upstream_of
from voyager.store.apply import TOMBSTONES
from voyager.store.purge import tombstones
from voyager.store.refs import HEADS, move_ref, read_ref
from voyager.wire import object_ref

PUSH = "push"
"""The kind of the operation that notes what a remote has now; it cannot be undone."""
PRE_PUSH = "pre-push"

_MOST_SWAPS = 200
_MOST_TRIES = 5
_SHOWN = 3


@dataclass(slots=True)
class Pushed:
    """What a push moved and sent; with `dry_run` what it would."""

    refs: list[PushedRef] = field(default_factory=list)
    objects: int = 0
    blobs: int = 0
    packs: int = 0
    bytes: int = 0
    requests: int = 0

    def as_json(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in self.__slots__ if name != "refs"}
        return {"refs": [ref.as_json() for ref in self.refs], **counts}


def push(
    repo: Repository,
    storage: Storage,
    refspecs: Sequence[str] = (),
    *,
    remote: Remote | None = None,
    every_branch: bool = False,
    tags: bool = False,
    runs: bool = False,
    delete: bool = False,
    force: bool = False,
    lease: bool = False,
    upstream: bool = False,
    dry_run: bool = False,
    verify: bool = True,
    progress: Progress = no_progress,
    checking: Progress = no_progress,
) -> Pushed:
    """Make refs of a remote be what refs here are, after sending what they reach.

    With `runs` the runs of the commits that go there go too. All refs move at once or none.
    Branches go forward only and tags stay, unless `force`; with `lease` they may go anywhere from
    where the remote-tracking ref saw them. `progress` is called with bytes.

    Raises RefMoved for what would not go forward, StateError for a protected branch, and for
    commits whose images are not here.
    """
    remote = remote or Remote("", storage.url)
    if storage.read_only:
        raise StateError(
            f"{storage.url} can only be read",
            hint=f"vgr remote set-url {remote.name} s3://BUCKET/FOLDER"
            if remote.name
            else "vgr push s3://BUCKET/FOLDER",
        )
    updates = updates_of(
        repo,
        refspecs,
        remote=remote.name,
        every_branch=every_branch,
        tags=tags,
        runs=runs,
        delete=delete,
    )
    for update in updates:
        refuse_odd_kind(repo, update)
    run = _Push(repo, Counted(storage), remote, updates, force, lease, progress, checking)
    with repo.store.keep_packs():  # gc must not take what is being sent
        done = run.run(dry_run=dry_run, verify=verify)
    if not dry_run:
        run.note(upstream=upstream)
    return done


class _Push:
    def __init__(
        self,
        repo: Repository,
        storage: Counted,
        remote: Remote,
        updates: Sequence[Update],
        force: bool,
        lease: bool,
        progress: Progress,
        checking: Progress,
    ) -> None:
        self.repo = repo
        self.storage = storage
        self.remote = remote
        self.updates = updates
        self.memory = RemoteMemory(repo.folder / "cache" / "remotes", storage.url)
        self._rules = Rules(repo, remote, force, lease)
        self._progress, self._checking = progress, checking
        self._nonce = os.urandom(16)
        self._now = repo.config.now().ms
        self._sent: dict[bytes, Packed] = {}
        self._segment: tuple[bytes, bytes] | None = None
        self._stones: dict[str, Any] = {}
        """Tombstones of what is needed there, was purged here, and is not there."""
        self.root = Root()
        self.done = Pushed()

    # -- the loop --------------------------------------------------------------------------------

    def run(self, *, dry_run: bool, verify: bool) -> Pushed:
        checked_gc: int | None = None
        policy = Policy()
        moves: list[PushedRef] = []
        for attempt in range(_MOST_SWAPS):
            self.root, tag = self._read_root()
            if attempt and self.root.has_move(self._nonce):
                break
            moves = moves_on(self.root, self._rules, self.updates)
            if not moves:
                break
            if policy != self.root.policy:
                self._refuse_unfit(moves)
                policy = self.root.policy
            if not attempt and verify and not dry_run:
                self._run_hook(moves)
            if checked_gc != self.root.gc:
                # Nothing was relied on yet, or gc took away what may have been.
                self._send(moves, again=attempt > 0, dry_run=dry_run)
                checked_gc = self.root.gc
            if dry_run or self._swap(moves, tag):
                break
            pause(attempt)
        else:
            raise RefMoved(
                f"other pushes to {self.remote} were faster {_MOST_SWAPS} times", hint="try again"
            )
        self.done.refs = moves
        self.done.requests = self.storage.requests
        if not dry_run:
            self.done.bytes = self.storage.sent
            self.memory.saw(self.root)
            if self._sent:
                self.memory.finish()
        return self.done

    def _read_root(self) -> tuple[Root, str | None]:
        try:
            return get_root(self.storage)
        except NotFoundError:
            return Root(), None

    def _swap(self, moves: Sequence[PushedRef], tag: str | None) -> bool:
        """Try to move the root; False when that failed, or its reply was lost."""
        root = self._moved(moves)
        try:
            self.storage.put_if(ROOT, encode_root(root), tag)
        except PreconditionFailed:
            return False
        except RemoteError as error:
            if not error.retry:
                raise
            return False
        self.root = root
        return True

    def _moved(self, moves: Sequence[PushedRef]) -> Root:
        """The root as it will be; a segment that it names is there already."""
        root = self.root
        segments = []
        if self._segment is not None:
            if len(root.segments) >= MOST_SEGMENTS:
                root = self._joined(root)
            elif self._segment[0] not in root.segments:
                segments.append(self._segment[0])
        who = self.repo.config.author_or_unknown()
        left = [object_ref(ref.old) for ref in moves if ref.old and (ref.forced or not ref.new)]
        move = Move(left=left, nonce=self._nonce, time=self._now, who=who)
        refs = {ref.name: ref.new for ref in moves}
        stones = {**self._stones, **root.tombstones}
        if len(stones) > len(root.tombstones):  # others who push now have to look at them
            root = msgspec.structs.replace(
                root, gc=root.gc + 1, tombstones=dict(sorted(stones.items()))
            )
        return root.moved(refs, segments, move, head=self._head(refs))

    def _head(self, refs: Mapping[str, bytes | None]) -> str:
        """The branch that clones begin with: by default the current one, else the first."""
        root = self.root
        there = {**dict.fromkeys(root.refs, b"kept"), **refs}
        branches = sorted(
            name.removeprefix(HEADS)
            for name, new in there.items()
            if new is not None and name.startswith(HEADS)
        )
        if root.head in branches:
            return root.head
        current = self.repo.head.branch
        return current if current in branches else next(iter(branches), "")

    def _joined(self, root: Root) -> Root:
        """The root with one segment instead of many, which is written first."""
        packs = {pack.name: pack for pack in self._catalogue().packs(root)} | self._sent
        segment = encode_segment(packs.values(), gc=root.gc)
        self._put_segment(segment)
        return msgspec.structs.replace(root, segments=[segment[0]])

    # -- what may go ------------------------------------------------------------------------------

    def _refuse_unfit(self, moves: Sequence[PushedRef]) -> None:
        names = {move.name for move in moves}
        for update in self.updates:
            if update.name in names:
                refuse_unfit(self.repo, self.root, update, progress=self._checking)

    # -- what is sent ----------------------------------------------------------------------------

    def _send(self, moves: Sequence[PushedRef], *, again: bool, dry_run: bool) -> None:
        """Send what the refs of the root do not reach, and list it in a segment."""
        self._sent, self._segment = {}, None
        plan = self._plan([move.new for move in moves if move.new is not None])
        if dry_run:
            self.done.bytes, self.done.packs = plan.size, plan.packs
            return
        if not plan.packs:
            return
        resume = again or self.memory.unfinished
        self.memory.begin()
        with (
            OwnFolder(self.repo.folder, "push") as folder,
            Sender(
                self.repo.store,
                self.storage,
                folder,
                gc=self.root.gc,
                resume=resume,
                progress=self._progress,
                note=self._catalogue().note,
            ) as sender,
        ):
            for pack in sender.send(plan):
                self._sent[pack.name] = pack
        self._segment = encode_segment(self._sent.values(), gc=self.root.gc)
        self._put_segment(self._segment)
        self.done.packs = len(self._sent)

    def _plan(self, wanted: Sequence[bytes]) -> Plan:
        store = self.repo.store
        known = self.memory.tips(self.root)
        found = lacking(store, wanted, known)
        self._leave_out_purged(found)
        self.done.objects, self.done.blobs = len(found.objects), len(found.blobs)
        plan = plan_packs(store, found, self.memory.listed(self.root))
        self._refuse_missing(name_missing(store, plan.absent, wanted, known))
        return plan

    def _refuse_missing(self, names: Sequence[str]) -> None:
        """StateError for images that are to be sent and are not here; it says who has them."""
        if not names:
            return
        what = "1 file is" if len(names) == 1 else f"{len(names):,} files are"
        what = f"the bytes of {what} not here ({', '.join(names[:_SHOWN])}"
        what += f" and {len(names) - _SHOWN:,} more)" if len(names) > _SHOWN else ")"
        lenders = [one for one in remotes_of(self.repo) if is_lazy(self.repo.store, one.name)]
        if not lenders:
            raise StateError(what, hint="vgr fsck")
        promised = ", ".join(f"'{one}' ({mask_url(one.url)})" for one in lenders)
        if self.remote.url in {one.url for one in lenders}:
            lost = "lists them no more" if self.root.generation else "is empty now"
            raise StateError(
                f"{what}, and {promised}, which promised them, {lost}",
                hint=f"vgr remote set-url {lenders[0]} URL, where it lies elsewhere now",
            )
        raise StateError(
            f"{what}: {promised} has them, and {self.remote} does not",
            hint="vgr get --all, then push again",
        )

    def _leave_out_purged(self, found: Lacking) -> None:
        there, here = purged_at(self.root), tombstones(self.repo.store)
        gone = found.blobs.keys() & (there | here)
        for blob in gone:
            del found.blobs[blob]
        self._stones = self._stones_of(gone - there)

    def _stones_of(self, blobs: set[bytes]) -> dict[str, Any]:
        """The tombstones to leave there with refs that need blobs which nobody has any more."""
        if not blobs:
            return {}
        for listing in self._catalogue().blob_listings(self.root):
            blobs -= listing.find(list(blobs)).keys()
        known = self.repo.store.values(TOMBSTONES)
        return {blob.hex(): known[TOMBSTONES + blob.hex()] for blob in blobs}

    def _catalogue(self) -> Catalogue:
        return catalogue_of(self.repo, self.storage)

    def _put_segment(self, segment: tuple[bytes, bytes]) -> None:
        self.storage.put(segment_path(segment[0]), segment[1])
        self.memory.keep_segment(*segment)

    def _run_hook(self, moves: Sequence[PushedRef]) -> None:
        """The hook pre-push, told as git tells it: local and remote name and id of each ref."""
        branches = {update.name: update.branch for update in self.updates}
        none = "0" * 64
        lines = []
        for move in moves:
            branch = branches.get(move.name)
            here = HEADS + branch if branch else move.name if move.new else "(delete)"
            new, old = (none if one is None else one.hex() for one in (move.new, move.old))
            lines.append(f"{here} {new} {move.name} {old}\n")
        url = mask_url(self.storage.url)
        run_hook(self.repo, PRE_PUSH, self.remote.name or url, url, told="".join(lines))

    # -- what is noted here ----------------------------------------------------------------------

    def note(self, *, upstream: bool) -> None:
        """Remember what the remote has now: remote-tracking refs, and what branches follow."""
        if not self.remote.name:
            return
        for attempt in range(_MOST_TRIES):
            try:
                self._note(upstream=upstream)
                return
            except RefMoved:
                if attempt == _MOST_TRIES - 1:
                    raise

    def _note(self, *, upstream: bool) -> None:
        store = self.repo.store
        branches = [update for update in self.updates if update.name.startswith(HEADS)]
        with self.repo.transaction(PUSH, str(self.remote)) as txn:
            changed = False
            for update in branches:
                there = Upstream(self.remote.name, update.name.removeprefix(HEADS))
                old = read_ref(store, there.ref)
                if old != update.new:
                    move_ref(txn, there.ref, update.new, old=old)
                    changed = True
                if upstream and update.branch is not None and update.new is not None:
                    followed = upstream_of(self.repo, update.branch)
                    if followed != there:
                        set_upstream(txn, update.branch, there, old=followed)
                        changed = True
            if changed:
                txn.commit()
