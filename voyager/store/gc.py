"""Garbage collection: what no root reaches goes, in packs, log, trash and temporary files (spec 8).

Writers wait while it runs, readers do not: one that meets a pack that has gone looks up once more.
Killed anywhere, the store is whole; what was left behind is collected the next time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import CorruptError
from voyager.store import files, seal
from voyager.store.apply import LOG
from voyager.store.entry import Damage
from voyager.store.ids import Kind
from voyager.store.journal import Journal
from voyager.store.objectstore import Store
from voyager.store.operation import Operation
from voyager.store.pack import HEAD_BYTES, Content
from voyager.store.pack_use import (
    MOST_SMALL_PACKS,
    SMALL_PACK_BYTES,
    PackUse,
    holding_unindexed,
    registered,
    survey,
    too_small,
    worth_rewriting,
)
from voyager.store.purge import tombstones
from voyager.store.reachable import Live, mark
from voyager.store.repack import Expiry, remove_packs, repack
from voyager.store.truth import read_operation

Progress = Callable[[int, int | None], None]

GRACE_SECONDS = 3600
"""How long a file that nothing names may lie, in case somebody is still writing it."""


@dataclass(slots=True)
class Collected:
    """What a collection found and did, or with `dry_run` would do.

    `freed` is in bytes of files removed less files written.
    """

    live_objects: int = 0
    live_blobs: int = 0
    dead_objects: int = 0
    dead_blobs: int = 0
    packs_before: int = 0
    packs_removed: int = 0
    packs_written: int = 0
    operations_expired: int = 0
    segments_removed: int = 0
    strays_removed: int = 0
    freed: int = 0


@dataclass(slots=True)
class _Past:
    """What the log says.

    `first` is the first operation that is young, as all behind it are taken to be; `ends` maps
    segments to their last operation. `dropped` packs were not brought in again.
    """

    first: int
    operations: int = 0
    ends: dict[Path, int] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def expired(self) -> list[Path]:
        """The segments that hold no young operation."""
        return [path for path, last in self.ends.items() if last < self.first]


def collect(
    store: Store,
    *,
    expire_ms: int,
    now_ms: int,
    author: str,
    zone: int = 0,
    prune_all: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Collected:
    """Remove what neither a value, a staged row nor an operation younger than `expire_ms` reaches.

    `prune_all` also takes files that nothing names before their hour of grace. Raises CorruptError
    when an object in use is missing or a pack is damaged, and then removes nothing.
    """
    with store.keep_packs(exclusive=True):
        store.refresh()
        if not dry_run:
            with store.lock():
                seal.seal_journal(store)
        past = _read_past(store, now_ms - expire_ms)
        live = mark(store, _iter_roots(store, past.first), progress)
        uses = survey(store, live)
        victims = _choose(store, uses)
        found = _count(live, uses, victims, past)
        if dry_run:
            strays = _strays(store, past.dropped, expire_ms, prune_all=prune_all)
            found.strays_removed = len(strays)
            found.freed = _expected_gain(victims, [*past.expired(), *strays])
            return found
        before = _bytes_in(store.root)
        if victims or past.expired():
            packs = repack(
                store,
                uses.values(),
                victims,
                live,
                message=_message(found),
                author=author,
                time=now_ms,
                zone=zone,
                expiry=Expiry(past.first, past.expired()),
                progress=progress,
            )
            found.packs_written = len(packs)
        # Only now: what a killed collection left may have become a pack again under its old name.
        strays = _strays(store, past.dropped, expire_ms, prune_all=prune_all)
        found.strays_removed = len(strays)
        _remove(store, strays)
        for path in past.expired():
            files.remove(path)
        found.freed = before - _bytes_in(store.root)
    return found


def _message(found: Collected) -> str:
    done = []
    if found.packs_removed:
        done.append(f"{found.packs_removed} packs written anew")
    if found.operations_expired:
        done.append(f"{found.operations_expired} operations expired")
    return ", ".join(done)


def compact(
    store: Store,
    *,
    now_ms: int,
    author: str,
    zone: int = 0,
    progress: Progress | None = None,
) -> int:
    """Merge small packs when there are too many; how many were merged. Nothing is marked."""
    with store.keep_packs(exclusive=True):
        store.refresh()
        uses = survey(store, None)
        victims = too_small(uses.values())
        if victims:
            repack(
                store,
                uses.values(),
                victims,
                None,
                message=f"{len(victims)} small packs merged",
                author=author,
                time=now_ms,
                zone=zone,
                progress=progress,
            )
    return len(victims)


def wants_gc(store: Store) -> bool:
    """Whether there are so many small packs that a collection is worth a hint; cheap."""
    small = [
        entry.path
        for entry in os.scandir(store.root / "packs")
        if entry.name.endswith(".pack") and entry.stat().st_size < SMALL_PACK_BYTES
    ]
    if len(small) <= MOST_SMALL_PACKS:
        return False
    contents = [_content_of(path) for path in small]
    return any(contents.count(content) > MOST_SMALL_PACKS for content in Content)


def _content_of(path: str) -> int:
    with open(path, "rb") as pack:
        return (pack.read(HEAD_BYTES) or b"\0").ljust(HEAD_BYTES, b"\0")[8]


# -- roots -----------------------------------------------------------------------------------------


def _read_past(store: Store, since_ms: int) -> _Past:
    """Read log and journal; CorruptError when either is damaged."""
    kept = store.value(LOG) or 1
    past = _Past(first=store.last_seq() + 1)
    for path in [*_segments(store), store.root / "journal"]:
        last = 0
        for operation in _iter_operations(path):
            last = operation.seq
            if last >= kept and operation.time > since_ms:
                past.first = min(past.first, last)
            past.dropped |= {name.hex() for name in operation.dropped}
            past.dropped -= {name.hex() for name in operation.added}
        if path.suffix == ".log":
            past.ends[path] = last
    past.operations = max(past.first - kept, 0)
    return past


def _segments(store: Store) -> list[Path]:
    return sorted((store.root / "log").glob("*.log"))


def _iter_roots(store: Store, first: int) -> Iterator[tuple[str, bytes]]:
    """(name, encoded bytes) of all that keeps objects alive; `first` is a young operation."""
    yield from iter_current(store)
    # The log is read again rather than kept, for it can be long.
    for path in [*_segments(store), store.root / "journal"]:
        for operation in _iter_operations(path):
            if operation.seq >= first:
                yield f"operation {operation.seq}", operation.encode()


def iter_current(store: Store) -> Iterator[tuple[str, bytes]]:
    """(name, encoded bytes) of every value and staged row: refs, stashes, what is staged."""
    yield from store.index.read(
        lambda reading: [(name.decode(), value) for name, value in reading.items("values")]
    )
    for (_, key), row in store.overlay().items():
        yield f"staged {key.decode(errors='replace')}", row


def _iter_operations(path: Path) -> Iterator[Operation]:
    with Journal(path) as journal:
        for found in journal.iter_entries():
            if isinstance(found, Damage):
                raise _damaged(path, found.offset)
            offset, header = found
            if header.kind is not Kind.OPERATION:
                continue
            operation = read_operation(journal, offset, header)
            if operation is None:
                raise _damaged(path, offset)
            yield operation


def _damaged(path: Path, offset: int) -> CorruptError:
    return CorruptError(
        f"{path.name} is damaged at byte {offset}", hint="vgr fsck --rebuild", path=path
    )


# -- what goes -------------------------------------------------------------------------------------


def _choose(store: Store, uses: dict[int, PackUse]) -> list[PackUse]:
    """Packs worth writing anew, and those where an interrupted purge left bytes."""
    victims = {use.number: use for use in worth_rewriting(uses.values())}
    purged = tombstones(store)
    if purged:
        victims |= {use.number: use for use, _ in holding_unindexed(store, uses.values(), purged)}
    return list(victims.values())


def _count(live: Live, uses: dict[int, PackUse], victims: list[PackUse], past: _Past) -> Collected:
    dead = {
        content: sum(
            use.indexed - use.live - use.has_dictionary
            for use in uses.values()
            if use.content is content
        )
        for content in Content
    }
    return Collected(
        live_objects=len(live.objects),
        live_blobs=len(live.blobs),
        dead_objects=dead[Content.METADATA],
        dead_blobs=dead[Content.BLOBS],
        packs_before=len(uses),
        packs_removed=len(victims),
        operations_expired=past.operations if victims or past.expired() else 0,
        segments_removed=len(past.expired()),
    )


def _expected_gain(victims: list[PackUse], others: list[Path]) -> int:
    gain = sum(use.size - use.live_bytes for use in victims)
    return gain + sum(path.stat().st_size for path in others)


def _bytes_in(root: Path) -> int:
    """Bytes of the files that a collection may remove."""
    return sum(
        entry.stat().st_size
        for folder in ("packs", "log", "trash")
        for entry in os.scandir(root / folder)
        if entry.is_file(follow_symlinks=False)
    )


# -- strays ----------------------------------------------------------------------------------------


def _strays(store: Store, dropped: set[str], expire_ms: int, *, prune_all: bool) -> list[Path]:
    """Files that nothing names: dropped packs at once, others after their grace."""
    grace = 0.0 if prune_all else GRACE_SECONDS
    kept_tails = 0.0 if prune_all else max(expire_ms / 1000, GRACE_SECONDS)
    known = set(registered(store).values())
    found = []
    for path in (store.root / "packs").iterdir():
        if _is_sealed(path) and path.stem in known:
            continue
        if (_is_sealed(path) and path.stem in dropped) or _is_older(path, grace):
            found.append(path)
    for folder in (store.root, store.root / "log"):
        found += [path for path in folder.glob("*.tmp") if _is_older(path, grace)]
    for path in (store.root / "trash").iterdir():
        # Packs lie there because a collection was killed; the rest is what a rebuild put aside.
        if _is_sealed(path) or _is_older(path, kept_tails):
            found.append(path)
    return found


def _is_older(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.stat().st_mtime >= seconds
    except FileNotFoundError:
        return False  # somebody just finished writing it


def _remove(store: Store, strays: list[Path]) -> None:
    in_packs = {path.stem for path in strays if path.parent.name == "packs" and _is_sealed(path)}
    remove_packs(store, sorted(in_packs))
    for path in strays:
        if path.is_dir():
            files.remove_tree(path)
        else:
            files.remove(path)


def _is_sealed(path: Path) -> bool:
    return path.suffix in (".pack", ".idx")
