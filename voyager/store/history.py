"""Commits and the graph they make: ancestors, merge bases, topological order (spec 8)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from functools import cached_property

import msgspec
from msgspec import Struct

from voyager.errors import CorruptError
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader, ObjectWriter
from voyager.wire import Ext, encode, object_ref


class Commit(Struct, frozen=True, omit_defaults=True, kw_only=True, dict=True):
    """A version with its history.

    `time` is in milliseconds since 1970 UTC, `zone` in minutes east: when the author made it, also
    where a `committer` replayed it later. `depth` is one more than the deepest parent's and bounds
    every walk. Fields stand in the byte order of their names.
    """

    author: str
    committer: str = ""
    depth: int = 0
    extra: dict[str, object] = {}
    message: str
    parents: list[Ext] = []
    snapshot: Ext
    time: int
    zone: int = 0

    @cached_property
    def parent_ids(self) -> list[bytes]:
        return [bytes(parent.data) for parent in self.parents]

    @property
    def snapshot_id(self) -> bytes:
        return bytes(self.snapshot.data)

    @property
    def subject(self) -> str:
        """The first line of the message."""
        return self.message.split("\n", 1)[0]


class Tag(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An annotated tag."""

    author: str
    message: str
    name: str
    target: Ext
    time: int
    zone: int = 0


class RunObject(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a training left: the commit it was pinned to, its files, and its record (spec 9.13)."""

    commit: Ext
    files: dict[str, Ext] = {}
    """Name → blob."""
    predictions: Ext | None = None
    """The commit of the prediction set that an evaluation made."""
    record: str
    """JSON."""
    start: Ext | None = None
    """The run whose weights it started from."""


_commit_decoder = msgspec.msgpack.Decoder(Commit)
_tag_decoder = msgspec.msgpack.Decoder(Tag)
_run_decoder = msgspec.msgpack.Decoder(RunObject)


def read_commit(objects: ObjectReader, commit_id: bytes) -> Commit:
    """A commit by id; CorruptError when it is missing or no commit.

    One whose parents are elsewhere (`objects.shallow`) is read as a first commit.
    """
    try:
        commit = _commit_decoder.decode(objects.get(commit_id, Kind.COMMIT))
        if commit_id in getattr(objects, "shallow", ()):
            return msgspec.structs.replace(commit, parents=[])
        return commit
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"commit {commit_id.hex()} does not decode: {error}") from error


def read_tag(objects: ObjectReader, tag_id: bytes) -> Tag:
    """An annotated tag by id."""
    try:
        return _tag_decoder.decode(objects.get(tag_id, Kind.TAG))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"tag {tag_id.hex()} does not decode: {error}") from error


def read_run(objects: ObjectReader, run_id: bytes) -> RunObject:
    """A run by the id of its object."""
    try:
        return _run_decoder.decode(objects.get(run_id, Kind.RUN))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"run {run_id.hex()} does not decode: {error}") from error


def write_commit(
    objects: ObjectWriter,
    *,
    snapshot: bytes,
    parents: Iterable[bytes],
    author: str,
    message: str,
    time: int,
    zone: int,
    committer: str = "",
    extra: dict[str, object] | None = None,
) -> bytes:
    """Store a commit, one deeper than its deepest parent; its id.

    `committer` is who replayed the work of another author.
    """
    parents = list(parents)
    depth = 1 + max((read_commit(objects, parent).depth for parent in parents), default=-1)
    commit = Commit(
        author=author,
        committer="" if committer == author else committer,
        depth=depth,
        extra=extra or {},
        message=message,
        parents=[object_ref(parent) for parent in parents],
        snapshot=object_ref(snapshot),
        time=time,
        zone=zone,
    )
    return objects.put(Kind.COMMIT, encode(commit))


def iter_history(
    objects: ObjectReader, tips: Iterable[bytes], *, without: Iterable[bytes] = ()
) -> Iterator[tuple[bytes, Commit]]:
    """Commits reachable from `tips` and not from `without`, children before parents, newest first.

    A heap by (depth, time) keeps topological order: a parent is always less deep than its child.
    """
    hidden = set(without)
    heap: list[tuple[int, int, bytes]] = []
    commits: dict[bytes, Commit] = {}

    def push(commit_id: bytes) -> None:
        if commit_id not in commits:
            commit = commits[commit_id] = read_commit(objects, commit_id)
            heapq.heappush(heap, (-commit.depth, -commit.time, commit_id))

    wanted = {tip for tip in tips if tip not in hidden}
    for commit_id in [*wanted, *hidden]:
        push(commit_id)
    shown = len(wanted)
    while heap and shown:
        commit_id = heapq.heappop(heap)[2]
        commit = commits[commit_id]
        visible = commit_id not in hidden
        shown -= visible
        for parent in commit.parent_ids:
            if not visible:
                shown -= parent in commits and parent not in hidden
                hidden.add(parent)
            elif parent not in commits and parent not in hidden:
                shown += 1
            push(parent)
        if visible:
            yield commit_id, commit


def is_ancestor(objects: ObjectReader, ancestor: bytes, descendant: bytes) -> bool:
    """Whether `ancestor` is `descendant` or reachable from it."""
    floor = read_commit(objects, ancestor).depth
    todo, seen = [descendant], {descendant}
    while todo:
        commit_id = todo.pop()
        if commit_id == ancestor:
            return True
        commit = read_commit(objects, commit_id)
        if commit.depth > floor:
            for parent in commit.parent_ids:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
    return False


_OURS, _THEIRS, _STALE = 1, 2, 4


def merge_bases(objects: ObjectReader, ours: bytes, theirs: bytes) -> list[bytes]:
    """The best common ancestors: common, and no ancestor of another common one; sorted.

    Criss-cross histories have several. The walk paints from both tips in order of depth.
    """
    if ours == theirs:
        return [ours]
    paint: dict[bytes, int] = {ours: _OURS, theirs: _THEIRS}
    commits = {tip: read_commit(objects, tip) for tip in (ours, theirs)}
    heap = [(-commit.depth, tip) for tip, commit in commits.items()]
    heapq.heapify(heap)
    bases: list[bytes] = []
    live = 2  # commits in the heap that are not stale: once none is left, no new base can come
    while heap and live:
        commit_id = heapq.heappop(heap)[1]
        colour = paint[commit_id]
        live -= not colour & _STALE
        if colour == _OURS | _THEIRS:
            bases.append(commit_id)
            colour |= _STALE
        for parent in commits[commit_id].parent_ids:
            before = paint.get(parent)
            after = (before or 0) | colour
            if before is None:
                commits[parent] = read_commit(objects, parent)
                heapq.heappush(heap, (-commits[parent].depth, parent))
                live += not after & _STALE
            else:
                live -= not before & _STALE and bool(after & _STALE)
            paint[parent] = after
    return sorted(base for base in bases if not paint[base] & _STALE)


def commits_between(objects: ObjectReader, ours: bytes, theirs: bytes) -> tuple[int, int]:
    """(ahead, behind): commits only in `ours`, and only in `theirs`."""
    ahead = sum(1 for _ in iter_history(objects, [ours], without=[theirs]))
    behind = sum(1 for _ in iter_history(objects, [theirs], without=[ours]))
    return ahead, behind
