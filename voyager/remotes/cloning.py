"""Cloning: a new repository of what a remote has.

It is made as `.vgr.part` and gets its name when all is in it. Killed before that or later, the same
command goes on with it; so does `vgr checkout --continue` with files that are to be laid out.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from voyager.errors import CorruptError, ExistsError, InvalidDataError, NotFoundError
from voyager.remotes.base import Storage
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.config import DEFAULT, Remote, Upstream, remotes_of, set_remote, set_upstream
from voyager.remotes.counted import Counted
from voyager.remotes.fetch_plan import Fetched, first_ref, near_ref
from voyager.remotes.fetching import Depth, catalogue_in, fetch_from, read_root
from voyager.remotes.lazy import Got, attach
from voyager.remotes.only import choose, get_only, lazy_value
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.root import Root
from voyager.remotes.urls import normal_url
from voyager.repo.layout import FOLDER, PART
from voyager.repo.promised import LAZY
from voyager.repo.repository import RUNNING, Progress, Repository, no_progress
from voyager.repo.revisions import peel
from voyager.repo.staging import fold_staging, replace_staging
from voyager.repo.switch import Goal, continue_switch
from voyager.repo.worktree import Updated
from voyager.store import files
from voyager.store.history import read_commit
from voyager.store.refs import HEADS, TAGS, Head, iter_refs, move_head, move_ref, read_ref
from voyager.wire import object_ref

_CLONE = "clone"
"""The kind of its operations."""


@dataclass(slots=True)
class Cloned:
    """A new repository in a folder, what came for it, and what became of its files."""

    folder: Path
    branch: str | None = None
    commit: bytes | None = None
    fetched: Fetched = field(default_factory=Fetched)
    updated: Updated = field(default_factory=Updated)
    got: Got = field(default_factory=Got)
    """Of a lazy clone the images that were asked for."""
    unmatched: list[str] = field(default_factory=list)
    """What was asked for and names nothing now."""

    def as_json(self) -> dict[str, Any]:
        """As `vgr clone --json` says it."""
        return {
            "folder": str(self.folder),
            "branch": self.branch,
            "commit": None if self.commit is None else self.commit.hex(),
            "objects": self.fetched.objects,
            "bytes": self.fetched.bytes + self.got.bytes,
            "requests": self.fetched.requests + self.got.requests,
            "written": self.updated.written + self.got.updated.written,
            "skipped": [{"path": path, "reason": why} for path, why in self.updated.skipped],
        }


def clone(
    url: str,
    folder: Path | None = None,
    *,
    branch: str | None = None,
    bare: bool = False,
    depth: int | None = None,
    lazy: bool = False,
    only: Sequence[str] = (),
    name: str = DEFAULT,
    dry_run: bool = False,
    limit: int | None = None,
    opener: Callable[[str], Storage] | None = None,
    progress: Callable[[str], Progress] = lambda _label: no_progress,
) -> Cloned:
    """Make a repository of a remote in a folder, by default named as the last part of the URL.

    `branch` (or a tag) is checked out instead of the remote's own first one, `depth` is how many
    commits to bring of each branch, by default all. `lazy` leaves out the images, but for those of
    `only`: keys, folders, globs, or SQL as `Dataset.where` takes it, which is kept, and looked at
    again by `only.get_only`. Raises ExistsError for a folder that is not empty, NotFoundError where
    nothing was pushed or there is no such branch, UsageError for what is no expression.
    """
    lazy = lazy or bool(only)
    remote = Remote(name, normal_url(url))
    folder = (folder or Path(remote.url.rstrip("/").rpartition("/")[2] or "clone")).absolute()
    store = folder if bare else folder / FOLDER
    part = store.with_name(store.name + PART)
    done = Cloned(folder)
    if _waits_for_files(store, remote):
        return _lay_out(store, done, limit, progress)
    _refuse_taken(folder, part, remote)
    if opener is None:
        opener = partial(open_storage, options=StorageOptions(limit=limit))
    with contextlib.closing(Counted(opener(remote.url))) as storage:
        # Before a folder is made, so that a wrong URL leaves none.
        root = read_root(catalogue_in(storage, part), Remote("", remote.url))
        head = _first(root, branch, remote)
        if dry_run:
            _estimate(storage, root, done, lazy=lazy)
            return done
        value = lazy_value(only) if lazy else None
        with _removed_if_refused(folder, part), _begun(part, remote, value) as repo:
            done.fetched = fetch_from(
                repo,
                storage,
                remote,
                depth=None if depth is None else Depth(depth),
                root=root,
                kind=_CLONE,
                progress=progress("receiving"),
            )
            _settle(repo, remote, head, bare=bare)
            if only and head is not None:
                version = repo.dataset_of(_tip(repo, remote, head)[0])
                done.unmatched = choose(version, only).unmatched
    files.rename(part, store)
    files.sync_folder(store.parent)
    return _lay_out(store, done, limit, progress)


def _waits_for_files(store: Path, remote: Remote) -> bool:
    """Whether a clone of this remote lies there whose files are not all laid out."""
    if not (store / "SPEC").exists():
        return False
    with Repository.open(store) as repo:
        running = repo.store.value(RUNNING)
        urls = {each.name: each.url for each in remotes_of(repo)}
    return running is not None and running["kind"] == _CLONE and urls.get(remote.name) == remote.url


def _lay_out(
    store: Path, done: Cloned, limit: int | None, progress: Callable[[str], Progress]
) -> Cloned:
    """Write the files, with the images that a lazy clone wants."""
    with Repository.open(store) as repo:
        attach(repo)
        if repo.store.value(RUNNING) is not None:
            done.updated = continue_switch(repo, progress=progress("writing"))
        done.got = get_only(repo, limit=limit, progress=progress("receiving")) or Got()
        done.branch, done.commit = repo.head.branch, repo.head.commit
    return done


def _estimate(storage: Counted, root: Root, done: Cloned, *, lazy: bool) -> None:
    """What would come: of a lazy clone the metadata."""
    with tempfile.TemporaryDirectory(prefix="vgr-") as folder:
        packs = Catalogue(storage, Path(folder)).packs(root)
    wanted = [pack for pack in packs if not (lazy and pack.blobs)]
    done.fetched.objects = sum(pack.entries for pack in wanted)
    done.fetched.bytes = sum(pack.size for pack in wanted)
    done.fetched.requests = storage.requests


def _refuse_taken(folder: Path, part: Path, remote: Remote) -> None:
    """ExistsError for a folder with anything in it but an unfinished clone."""
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir() or any(path != part for path in folder.iterdir()):
        raise ExistsError(
            f"{folder} exists and is not empty", hint=f"vgr clone {remote.url} ANOTHER-FOLDER"
        )


@contextlib.contextmanager
def _begun(part: Path, remote: Remote, lazy: dict[str, list[str]] | None) -> Iterator[Repository]:
    """The repository in the making, new or as it was left; `lazy` says what it leaves out."""
    if (part / "SPEC").exists():
        repo = Repository.open(part)
        known = {each.name: each.url for each in remotes_of(repo)}
        if known.get(remote.name, remote.url) != remote.url:
            repo.close()
            raise ExistsError(
                f"{part} is the unfinished clone of another remote", hint=f"rm -r {part}"
            )
    else:
        files.remove_tree(part)
        files.make_folder(part.parent)
        repo = Repository.init(part, bare=True)
    with repo:
        set_remote(repo, remote, kind=_CLONE)
        old = repo.store.value(LAZY + remote.name)
        if lazy != old:
            with repo.transaction(_CLONE, remote.name) as txn:
                txn.move(LAZY + remote.name, lazy, old=old)
                txn.commit()
        yield repo


@contextlib.contextmanager
def _removed_if_refused(folder: Path, part: Path) -> Iterator[None]:
    """Leave nothing of a remote that sends what breaks the rules; of others what came, to go on."""
    new = not folder.exists()
    try:
        yield
    except (CorruptError, InvalidDataError):
        files.remove_tree(part)
        if new and folder != part:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


# -- where HEAD is to be --------------------------------------------------------------------------


def _first(root: Root, asked: str | None, remote: Remote) -> str | None:
    """The full ref to check out; None where the remote has no branch."""
    if asked is not None:
        for full in (HEADS + asked, TAGS + asked):
            if full in root.refs:
                return full
        hint = near_ref(asked, root) or f"vgr clone {remote.url}, without --branch"
        raise NotFoundError(f"{remote.url} has no branch or tag '{asked}'", hint=hint)
    return first_ref(root)


def _settle(repo: Repository, remote: Remote, head: str | None, *, bare: bool) -> None:
    """Say where HEAD is to go; with files to lay out as a checkout that was interrupted."""
    if head is None or repo.store.value(RUNNING) is not None or repo.head.commit is not None:
        return
    tip, branch = _tip(repo, remote, head)
    there = Head(branch, tip)
    staging = repo.staging
    snapshot = read_commit(repo.store, tip).snapshot_id
    with repo.transaction(_CLONE, remote.url) as txn:
        if branch is not None:
            set_upstream(txn, branch, Upstream(remote.name, branch), old=None)
        if bare:
            for full, commit in iter_refs(repo.store, remote.refs).items():
                move_ref(txn, HEADS + full.removeprefix(remote.refs), commit, old=None)
            if there != repo.head:
                move_head(txn, there, old=repo.head)
            replace_staging(txn, staging, base=tip, snapshot=snapshot)
        else:
            ref = None if branch is None else (HEADS + branch, None, tip)
            running = {
                "force": False,
                "from": object_ref(fold_staging(txn, staging)),
                "goal": Goal(there, tip, snapshot, ref).as_value(),
                "kind": _CLONE,
                "message": remote.url,
            }
            txn.move(RUNNING, running, old=None)
        txn.commit()


def _tip(repo: Repository, remote: Remote, head: str) -> tuple[bytes, str | None]:
    """The commit of a remote's ref, and its branch if it is one."""
    if head.startswith(TAGS):
        found = read_ref(repo.store, head)
        assert found is not None
        return peel(repo.store, found), None
    branch = head.removeprefix(HEADS)
    found = read_ref(repo.store, remote.refs + branch)
    if found is None:
        raise CorruptError(f"the fetch brought no '{branch}'")
    return found, branch
