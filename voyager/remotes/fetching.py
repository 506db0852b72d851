"""Fetching: what a remote has and we lack comes in, is checked, and is adopted with its refs.

The story of `fetch`: read the root, see which refs moved, bring the metadata that is not here,
prove that the new tips are whole but for blobs, bring these, and commit it all at once. A fetch
with nothing new is one request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from voyager.errors import CorruptError, InvalidDataError, NotFoundError, UsageError
from voyager.remotes.base import Storage
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.closure import Closure
from voyager.remotes.config import Remote
from voyager.remotes.counted import Counted
from voyager.remotes.fetch_plan import Fetched, FetchPlan, RefMove, plan_fetch
from voyager.remotes.incoming import Incoming
from voyager.remotes.memory import RemoteMemory
from voyager.remotes.partial import bring_blobs, bring_commits
from voyager.remotes.ranged import RangedReader
from voyager.remotes.receiving import Receiver
from voyager.remotes.refspec import short_name
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.root import Packed, Root
from voyager.remotes.tag_following import follow_tags
from voyager.remotes.tombstones import apply_tombstones
from voyager.remotes.urls import split_url
from voyager.repo.promised import is_lazy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.revisions import peel
from voyager.store.history import Commit, is_ancestor, iter_history
from voyager.store.ids import Kind
from voyager.store.objectstore import SHALLOW, Store
from voyager.store.pack_use import registered
from voyager.store.purge import tombstones
from voyager.store.refs import FETCH_HEAD, PREDICTIONS, RUNS, iter_refs, move_ref, read_ref
from voyager.store.runs import check_run, is_same_run, joined, open_tips, says_all_of
from voyager.store.transaction import Transaction
from voyager.wire import encode, object_ref


def fetch(
    repo: Repository,
    remote: Remote,
    *,
    refs: Sequence[str] | None = None,
    prune: bool = False,
    tags: bool = True,
    runs: bool = True,
    depth: Depth | None = None,
    dry_run: bool = False,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> Fetched:
    """Bring what the branches (or those of `refs`), tags and runs of a remote have.

    `prune` forgets branches that the remote has no more. Nothing of it moves a branch of this
    repository. With all branches all tags and runs come, with named ones those of commits that come
    or are here; `tags=False` and `runs=False` leave them. What is said of a run here and there is
    joined. Of a remote without a name one branch comes, by default its
    first, as FETCH_HEAD. Raises CorruptError and InvalidDataError for bytes that break the rules;
    nothing is adopted then. Finished packs stay, and are not fetched again. With `depth` only part
    of the history comes. `limit` is in bytes a second.
    """
    options = StorageOptions(limit=limit)
    with contextlib.closing(Counted(open_storage(remote.url, options=options))) as storage:
        return fetch_from(
            repo,
            storage,
            remote,
            refs=refs,
            prune=prune,
            tags=tags,
            runs=runs,
            depth=depth,
            dry_run=dry_run,
            progress=progress,
        )


def fetch_from(
    repo: Repository,
    storage: Counted,
    remote: Remote,
    *,
    refs: Sequence[str] | None = None,
    prune: bool = False,
    tags: bool = True,
    runs: bool = True,
    depth: Depth | None = None,
    dry_run: bool = False,
    root: Root | None = None,
    kind: str = "fetch",
    progress: Progress = no_progress,
) -> Fetched:
    """As `fetch`, from a storage that is open, and whose root may have been read."""
    catalogue = catalogue_of(repo, storage)
    for attempt in (1, 2):
        root = root or read_root(catalogue, remote)
        plan = plan_fetch(
            repo,
            remote,
            root,
            refs=refs,
            prune=prune,
            tags=tags,
            runs=runs,
            shallow=depth is not None or bool(repo.store.shallow),
        )
        try:
            if dry_run:
                _estimate(repo, catalogue, root, plan)
            else:
                _carry_out(repo, catalogue, root, remote, plan, kind, depth, progress)
        except NotFoundError:
            if attempt == 2:
                raise
            root = None
            continue  # gc took a pack away since the root was read: the new one has others
        break
    done = plan.done
    done.requests = storage.requests
    done.bytes = done.bytes or storage.received
    return done


def catalogue_of(repo: Repository, storage: Storage) -> Catalogue:
    """The catalogue of a storage, with the cache of this repository."""
    return catalogue_in(storage, repo.folder)


def catalogue_in(storage: Storage, folder: Path) -> Catalogue:
    """As `catalogue_of`, for a repository that is to be made in a folder."""
    return Catalogue(storage, folder / "cache" / "remotes")


def read_root(catalogue: Catalogue, remote: Remote) -> Root:
    """The root of a remote; NotFoundError where there is none yet, or no more."""
    root = catalogue.read_root()
    if root is None:
        _refuse_repository(remote)
        raise _nothing_there(catalogue, remote)
    return root


def _nothing_there(catalogue: Catalogue, remote: Remote) -> NotFoundError:
    place = f" ({remote.url})" if remote.name else ""
    if RemoteMemory(catalogue.folder, remote.url).was_seen:
        return NotFoundError(
            f"what was pushed to '{remote}' is there no more{place}",
            hint=f"vgr remote set-url {remote.name or 'NAME'} URL, where it lies elsewhere now",
        )
    parts = split_url(remote.url)
    if parts.scheme == "file" and not Path(parts.path).exists():
        return NotFoundError(
            f"there is no folder {parts.path}"
            + (f", where '{remote}' should be" if remote.name else ""),
            hint=f"vgr push {remote.name or remote.url} main makes it",
        )
    return NotFoundError(
        f"nothing was pushed to '{remote}' yet{place}",
        hint=f"vgr push {remote.name or remote.url} main",
    )


def _refuse_repository(remote: Remote) -> None:
    """UsageError where somebody's repository is taken for a remote, as git's can be."""
    parts = split_url(remote.url)
    folder = Path(parts.path)
    if parts.scheme == "file" and any((folder / name).exists() for name in (".vgr/SPEC", "SPEC")):
        raise UsageError(
            f"{folder} is a repository; a remote is a folder or bucket that repositories push to",
            hint=f"vgr -C {folder} push {folder}.remote main, then clone {folder}.remote",
        )


# -- what comes in --------------------------------------------------------------------------------


def _carry_out(
    repo: Repository,
    catalogue: Catalogue,
    root: Root,
    remote: Remote,
    plan: FetchPlan,
    kind: str,
    depth: Depth | None,
    progress: Progress,
) -> None:
    plan.done.purged = apply_tombstones(repo, root)
    if not plan.moves and not plan.following and depth is None:
        return
    with repo.transaction(kind, remote.name) as txn:
        with contextlib.closing(Incoming(repo.store)) as incoming:
            tips = plan.tips() if depth is None else plan.every_tip
            lazy = is_lazy(repo.store, remote.name)
            bring(repo, catalogue, root, incoming, tips, depth=depth, lazy=lazy, progress=progress)
            _follow(repo, catalogue, root, incoming, plan, lazy=lazy, progress=progress)
            said = _said_by_runs(txn.store, incoming, plan)
            _settle_runs(txn, incoming, plan)
            if not plan.moves and depth is None:
                return
            adopt(txn, incoming, plan.done)
        for name, (ref, before, there) in said.items():
            if name in plan.moves:
                move_ref(txn, ref, there, old=before)
        for name, (old, new) in sorted(plan.moves.items()):
            move_ref(txn, name, new, old=old)
            plan.done.refs.append(RefMove(name, old, new))
        txn.commit()
    if is_lazy(repo.store, remote.name):
        catalogue.keep_root(root)
    RemoteMemory(catalogue.folder, catalogue.storage.url).saw(root)


def _follow(
    repo: Repository,
    catalogue: Catalogue,
    root: Root,
    incoming: Incoming,
    plan: FetchPlan,
    *,
    lazy: bool,
    progress: Progress,
) -> None:
    """Let tags and runs come too whose commits are here by now."""
    if not plan.following:
        return
    packs = unknown_packs(repo.store, catalogue, root)
    known = {*open_tips(incoming, plan.every_tip).commits, *known_tips(repo)}
    found = follow_tags(incoming, catalogue, packs, plan.following, known)
    runs = [one for name, one in found.items() if name.startswith(RUNS)]
    if runs:
        depth = Depth(1) if incoming.shallow else None
        bring(
            repo,
            catalogue,
            root,
            incoming,
            runs,
            known=known,
            depth=depth,
            lazy=lazy,
            progress=progress,
        )
    plan.moves.update((name, (None, tag)) for name, tag in found.items())


def _settle_runs(txn: Transaction, incoming: Incoming, plan: FetchPlan) -> None:
    """Join what is said of a run here with what is said of it there."""
    for name, (old, new) in list(plan.moves.items()):
        if not name.startswith(RUNS) or old is None or new is None:
            continue
        ours, theirs = (check_run(incoming.get(one, Kind.RUN)) for one in (old, new))
        if not is_same_run(ours, theirs):
            plan.done.kept.append(short_name(name))
            del plan.moves[name]
        elif says_all_of(ours, theirs):
            del plan.moves[name]
        elif not says_all_of(theirs, ours):
            plan.moves[name] = (old, txn.put(Kind.RUN, encode(joined(ours, theirs))))


def _said_by_runs(
    store: Store, incoming: Incoming, plan: FetchPlan
) -> dict[str, tuple[str, bytes | None, bytes]]:
    """By run that comes in the ref of what it says, where that is, and where it is there.

    A prediction set is made or goes forward; one that went another way here stays.
    """
    found = {}
    for name, (_, new) in plan.moves.items():
        if not name.startswith(RUNS) or new is None:
            continue
        said = check_run(incoming.get(new, Kind.RUN)).predictions
        ref = PREDICTIONS + name.removeprefix(RUNS)
        if said is None:
            continue
        old, there = read_ref(store, ref), bytes(said.data)
        if there != old and (old is None or is_ancestor(incoming, old, there)):
            found[name] = ref, old, there
    return found


def adopt(txn: Transaction, incoming: Incoming, done: Fetched) -> None:
    """Take what came in into a transaction, and where history ends by it."""
    old, new = txn.store.value(SHALLOW), [object_ref(one) for one in sorted(incoming.shallow)]
    if (old or []) != new:
        txn.move(SHALLOW, new or None, old=old)
    for pack in incoming.packs.values():
        txn.adopt(pack)
        done.objects += len(pack.entries)


@dataclass(frozen=True, slots=True)
class Depth:
    """How much history to bring: so many `levels` of commits (None: all), from the tips down or
    from where it ended so far (`deepen`)."""

    levels: int | None = None
    deepen: bool = False


def bring(
    repo: Repository,
    catalogue: Catalogue,
    root: Root,
    incoming: Incoming,
    tips: Iterable[bytes],
    *,
    known: set[bytes] | None = None,
    depth: Depth | None = None,
    lazy: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Let all that tips need come in; the caller's transaction keeps gc away.

    `known` are commits that are whole, by default those that refs name.

    With `lazy` blobs stay where they are. Raises CorruptError when the remote lacks some of it, or
    when it is damaged.
    """
    tips, known = list(tips), known_tips(repo) if known is None else known
    if depth is None and _is_all_here(repo.store, tips, known):
        return
    purged = tombstones(repo.store)
    receiver = Receiver(repo.store, catalogue.storage, purged=purged, progress=progress)
    unknown = unknown_packs(repo.store, catalogue, root)
    unknown = [pack for pack in unknown if pack.name.hex() not in incoming.packs]
    ends = _real_parents(repo.store)
    if depth is None and not incoming.shallow:
        for pack in receiver.receive(_lacking(repo.store, catalogue, unknown)):
            incoming.add(pack)
    elif depth is not None and depth.deepen:
        bring_commits(incoming, catalogue, unknown, ends, depth.levels, beyond=True)
    else:
        levels = None if depth is None else depth.levels
        beyond = depth is not None
        bring_commits(incoming, catalogue, unknown, tips, levels, beyond=beyond)
    closure = Closure(incoming)
    closure.prove(closure.open(tips), known)
    if incoming.shallow != repo.store.shallow:
        closure.prove(incoming.present(ends), ())
    absent = closure.absent - purged
    if lazy:
        absent -= set(RangedReader(catalogue, catalogue.blob_listings(root)).find(absent))
    else:
        lender = repo.store.lender
        if lender is not None:
            absent -= lender.promises(absent)  # by another remote
        exactly = lender is not None
        bring_blobs(incoming, catalogue, receiver, unknown, absent, exactly=exactly)
        absent -= incoming.present(absent)
    if absent:
        raise CorruptError(
            f"the remote lacks {len(absent):,} blob{'s' * (len(absent) > 1)} that its refs need,"
            f" first {min(absent).hex()[:12]}",
            hint="vgr fsck --remote",
        )


def _real_parents(store: Store) -> list[bytes]:
    """The parents of commits where history ends here."""
    found: dict[bytes, None] = {}
    for commit_id in sorted(store.shallow):
        commit = msgspec.msgpack.decode(store.get(commit_id, Kind.COMMIT), type=Commit)
        found.update(dict.fromkeys(commit.parent_ids))
    return list(found)


def known_tips(repo: Repository) -> set[bytes]:
    """The commits that refs name: all that they reach is here."""
    tips = set(open_tips(repo.store, iter_refs(repo.store).values()).commits)
    more = {repo.head.commit, read_ref(repo.store, FETCH_HEAD)} - {None}
    return tips | {peel(repo.store, tip) for tip in more if tip is not None}


def _is_all_here(store: Store, tips: Sequence[bytes], known: set[bytes]) -> bool:
    """Whether every tip is reached by a ref already."""
    if any(tip not in store for tip in tips):
        return False
    try:
        found = open_tips(store, tips)
        if any(tip in found.runs for tip in tips):
            return False  # of which we know no more than that it was met
        return next(iter_history(store, found.commits, without=known), None) is None
    except (CorruptError, InvalidDataError):
        return False  # what no ref reaches may have holes


def unknown_packs(store: Store, catalogue: Catalogue, root: Root) -> list[Packed]:
    """The packs of a remote that are not among ours."""
    ours = set(registered(store).values())
    return [pack for pack in catalogue.packs(root) if pack.name.hex() not in ours]


def _lacking(store: Store, catalogue: Catalogue, unknown: Sequence[Packed]) -> list[Packed]:
    """The metadata packs that hold what is not here."""
    packs = [pack for pack in unknown if not pack.blobs]
    if not store.index.read(lambda reading: reading.count("objects")):
        return packs  # a new repository has nothing of it
    whole = {
        listing.pack.name
        for listing in catalogue.listings(packs)
        if all(store.has_prefixes(listing.prefixes()))
    }
    return [pack for pack in packs if pack.name not in whole]


def _estimate(repo: Repository, catalogue: Catalogue, root: Root, plan: FetchPlan) -> None:
    """What a fetch would bring, at most: the packs whose names are not known."""
    plan.done.refs = [RefMove(name, *move) for name, move in sorted(plan.moves.items())]
    if _is_all_here(repo.store, plan.tips(), known_tips(repo)):
        return
    unknown = unknown_packs(repo.store, catalogue, root)
    plan.done.objects = sum(pack.entries for pack in unknown)
    plan.done.bytes = sum(pack.size for pack in unknown)
