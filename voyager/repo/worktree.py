"""Laying a version out in the working tree: which files to write and remove, and doing so.

A switch is journaled before its first file (`RUNNING`), so that a killed one can be continued or
taken back. A new file is written in place: half of it is a prefix of the right bytes, which
`--continue` recognises; a file that replaces another comes by rename.
"""

from __future__ import annotations

import contextlib
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import InvalidDataError, StateError
from voyager.repo.dataset import Dataset, Tracked
from voyager.repo.diff import changed_files
from voyager.repo.file_writer import Written, write_files
from voyager.repo.ignore import Ignore
from voyager.repo.intake import hash_file
from voyager.repo.keys import shown
from voyager.repo.promised import laid_out, missed
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.scan import WorktreeChanges, compare
from voyager.repo.snapshot import FILES, TRACKED
from voyager.store import files

_NAMED = 10
_HAVE_FORCE = ("switch", "checkout")
_FEW = 1000  # of more files, one look at the whole tree costs less than one at each


@dataclass(slots=True)
class Updated:
    """What an update of the working tree did; `skipped` are images that are not here."""

    written: int = 0
    removed: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """Files to write, each with its row, and keys whose file goes.

    Of a lazy clone, images that are not here are brought for `named` keys alone.
    """

    write: list[Tracked]
    remove: list[str]
    named: frozenset[str] = frozenset()

    def keys(self) -> list[str]:
        return [*(tracked.key for tracked in self.write), *self.remove]


def changes_in(
    repo: Repository,
    against: Dataset,
    *,
    paths: Iterable[str] | None = None,
    ignore: Ignore | None = None,
    progress: Progress = no_progress,
) -> WorktreeChanges:
    """What the working tree holds other than a version, looked at through the stat cache."""
    scope = None if paths is None else list(paths)
    few = scope is not None and len(scope) <= _FEW
    found = compare(
        repo.tree(),
        against,
        repo.stat_cache,
        ignore or repo.ignore,
        paths=scope if few else None,
        progress=progress,
    )
    found.deleted = missed(repo.store, against, found.deleted)
    if scope is not None and not few:
        _restrict(found, set(scope))
    # A photo has no executable bit of its own: file systems that set it everywhere change nothing.
    found.mode_changed = [
        entry for entry in found.mode_changed if against.space_of(entry.key) == FILES
    ]
    return found


def hidden_keys(found: WorktreeChanges, against: Dataset) -> list[str]:
    """Tracked keys at or below what the scan skipped: nothing is known of their files."""
    hidden: set[str] = set()
    for path, _ in found.skipped:
        if against.space_of(path) is not None:
            hidden.add(path)
        prefix = f"{path}/".encode() if path else b""
        for space in TRACKED:
            hidden.update(key.decode() for key, _ in against.rows_below(space, prefix))
    return sorted(hidden)


def linked_keys(repo: Repository, keys: Iterable[str]) -> list[str]:
    """Keys whose file would lie behind a link to a folder."""
    root = repo.tree()
    behind: dict[str, bool] = {}
    linked = []
    for key in keys:
        folder = os.path.dirname(key)
        if folder not in behind:
            behind[folder] = under_link(root, key)
        if behind[folder]:
            linked.append(key)
    return linked


def replaceable(repo: Repository, hidden: Sequence[str]) -> list[str]:
    """Hidden keys at or behind a link: the link may go, and is never followed."""
    root = f"{repo.tree()}/"
    behind = set(linked_keys(repo, hidden))
    return [key for key in hidden if key in behind or os.path.islink(root + key)]


def _restrict(found: WorktreeChanges, scope: set[str]) -> None:
    """Leave only what lies at or below some keys, and skipped folders on the way to them."""
    ways = {folder for key in scope for folder in _folders_above(key)}

    def inside(key: str) -> bool:
        return key in scope or any(folder in scope for folder in _folders_above(key))

    for entries in (found.modified, found.mode_changed, found.untracked):
        entries[:] = [entry for entry in entries if inside(entry.key)]
    found.deleted = [key for key in found.deleted if inside(key)]
    found.skipped = [entry for entry in found.skipped if inside(entry.path) or entry.path in ways]


def _folders_above(key: str) -> Iterator[str]:
    """The folders on the way to a key, the nearest first, without the root."""
    folder = os.path.dirname(key)
    while folder:
        yield folder
        folder = os.path.dirname(folder)


def plan_switch(before: Dataset, after: Dataset) -> Plan:
    """The files that differ between two versions."""
    plan = Plan([], [])
    for key, _, new in changed_files(before, after):
        if new is None:
            plan.remove.append(key)
        else:
            plan.write.append(new)
    return plan


def plan_reset(repo: Repository, before: Dataset, after: Dataset, progress: Progress) -> Plan:
    """Every file that is not as `after` says, and what only `before` tracked."""
    found = changes_in(repo, after, progress=progress)
    wanted = {entry.key for entry in (*found.modified, *found.mode_changed)} | set(found.deleted)
    wanted.update(replaceable(repo, hidden_keys(found, after)))
    write = [tracked for tracked in after.tracked() if tracked.key in wanted] if wanted else []
    gone = [key for key, _, new in changed_files(before, after) if new is None]
    return Plan(write, gone)


def plan_safely(repo: Repository, before: Dataset, after: Dataset, what: str) -> Plan:
    """The plan of a switch that loses nothing; StateError naming what it would overwrite.

    Raises InvalidDataError for keys that the file system cannot keep apart.
    """
    plan = plan_switch(before, after)
    refuse_if_dirty(repo, before, plan, what)
    refuse_folding(repo, after, plan)
    return plan


def refuse_if_dirty(repo: Repository, before: Dataset, plan: Plan, what: str) -> None:
    """StateError naming files that the plan would overwrite although nobody committed them."""
    keys = plan.keys()
    if not keys:
        return
    may_force = what in _HAVE_FORCE
    found = changes_in(repo, before, paths=keys)
    goal = {tracked.key: tracked for tracked in plan.write}
    leaving = set(plan.remove)
    ways = files_as_folders(repo, goal, leaving)
    if ways:
        raise StateError(
            f"{what} would make a folder where {name_keys(ways)} is", hint="move it away"
        )
    touched = leaving.union(goal)
    edited = {entry.key for entry in (*found.modified, *found.mode_changed)}
    edited |= {path for path, _ in found.skipped}  # a link, say, where a file was
    dirty = [key for key in edited & touched if not _has_content(repo, goal.get(key), key)]
    if dirty:
        raise StateError(
            f"{what} would overwrite changes in {name_keys(dirty)}",
            hint="vgr commit -a, vgr stash" + (", or -f to give them up" if may_force else ""),
        )
    in_way = [
        entry.key
        for entry in found.untracked
        if entry.key in goal and not _has_content(repo, goal[entry.key], entry.key)
    ]
    if in_way:
        raise StateError(
            f"{what} would overwrite untracked {name_keys(in_way)}",
            hint="move them away" + (", or -f to overwrite" if may_force else ""),
        )
    refuse_folders(repo, goal, leaving, what)


def refuse_folders(repo: Repository, goal: Iterable[str], leaving: set[str], what: str) -> None:
    """StateError naming files in folders that stand where a file is to be written."""
    kept = _kept_in_folders(repo, goal, leaving)
    if kept:
        raise StateError(
            f"{what} would put a file where a folder with {name_keys(kept)} is",
            hint="move it away and try again",
        )


def files_as_folders(repo: Repository, goal: Iterable[str], leaving: set[str]) -> list[str]:
    """Files and links that stay where a folder is to be made."""
    root = f"{repo.tree()}/"
    nearest = {os.path.dirname(key) for key in goal} - {""}
    folders = {folder for start in nearest for folder in (start, *_folders_above(start))}
    return [
        folder
        for folder in folders - leaving
        if os.path.lexists(root + folder)
        and (os.path.islink(root + folder) or not os.path.isdir(root + folder))
    ]


def _kept_in_folders(repo: Repository, goal: Iterable[str], leaving: set[str]) -> list[str]:
    """Files that stay in folders where a file is to be written."""
    root = str(repo.tree())
    kept: list[str] = []
    for top in goal:
        path = f"{root}/{top}"
        if os.path.isdir(path) and not os.path.islink(path):
            below = (
                os.path.relpath(os.path.join(folder, name), root)
                for folder, _, names in os.walk(path)
                for name in names
            )
            kept += [key for key in below if key not in leaving]
    return kept


def _has_content(repo: Repository, wanted: Tracked | None, key: str) -> bool:
    """Whether the file at a key already is what is wanted there."""
    if wanted is None:
        return False
    try:
        return hash_file(repo.tree() / key) == wanted.blob
    except OSError:
        return False


def name_keys(keys: Iterable[str]) -> str:
    """The first keys by name, and how many more."""
    ordered = sorted(keys)
    more = len(ordered) - _NAMED
    named = ", ".join(f"'{shown(key)}'" for key in ordered[:_NAMED])
    return f"{named} and {more} more" if more > 0 else named


def update(
    repo: Repository,
    plan: Plan,
    after: Dataset,
    *,
    before_token: bytes | None = None,
    progress: Progress = no_progress,
) -> Updated:
    """Remove and write the files of a plan and note them in the stat cache.

    `before_token` is the token of the version that was laid out; when the cache agrees with it,
    it will agree with `after`.
    """
    root = repo.tree()
    done = Updated()
    write = laid_out(repo.store, after, plan.write, named=plan.named)
    for key in plan.remove:
        _remove(root, key)
        done.removed += 1
    noted: Written = []
    token = None
    agreed = before_token is not None and repo.stat_cache.token == before_token
    try:
        noted, done.skipped = write_files(repo.store, root, repo.folder, write, progress)
        done.written = len(noted)
        whole = not done.skipped and len(write) == len(plan.write)
        token = after.token if agreed and whole else None
    finally:
        repo.stat_cache.update(noted, removed=plan.remove, token=token)
    return done


def _remove(root: Path, key: str) -> None:
    path = f"{root}/{key}"
    if under_link(root, key) or (os.path.isdir(path) and not os.path.islink(path)):
        return  # something else stands there: our file is gone already
    with contextlib.suppress(NotADirectoryError):
        files.remove(path)
        files.remove_empty_folders(os.path.dirname(path), root)


def under_link(root: Path, key: str) -> bool:
    """Whether a folder on the way to a key is a link, behind which nothing of ours lies."""
    folder = str(root)
    for part in key.split("/")[:-1]:
        folder = f"{folder}/{part}"
        if os.path.islink(folder):
            return True
    return False


def drop_finished(
    repo: Repository, plan: Plan, before: Dataset, *, leave_edited: bool = False
) -> Plan:
    """What is left of the plan of an interrupted switch that left `before`.

    A file may be as either version has it, gone, or half written; any other is left out of the
    plan, or named by a StateError.
    """
    root = repo.tree()
    if os.listdir(root) == [repo.folder.name]:
        return Plan(plan.write, [])  # a clone, of which nothing is laid out yet
    left = Plan([], [])
    edited: list[str] = []
    for tracked in plan.write:
        state = _state_of(repo, root / tracked.key, tracked, before.tracked_at(tracked.key))
        if state == "edited":
            edited.append(tracked.key)
        elif state != "done":
            left.write.append(tracked)
    for key in plan.remove:
        old = before.tracked_at(key)
        state = _state_of(repo, root / key, old, old)
        if state == "edited":
            edited.append(key)
        elif state != "gone":
            left.remove.append(key)
    if edited and not leave_edited:
        raise StateError(
            f"{name_keys(edited)} changed since the checkout was interrupted",
            hint="move the file away, then vgr checkout --continue or --abort",
        )
    return left


def _state_of(repo: Repository, path: Path, wanted: Tracked | None, old: Tracked | None) -> str:
    """`gone`, `done` (as wanted), `ours` (the old bytes, or half of the wanted ones), `edited`."""
    try:
        found = hash_file(path)
        executable = bool(os.stat(path).st_mode & 0o100)
    except OSError:
        return "gone"
    if wanted is not None and (found, executable) == (wanted.blob, wanted.executable):
        return "done"
    if old is not None and found == old.blob:
        return "ours"
    if wanted is None:
        return "edited"
    if found == wanted.blob or is_unfinished(path, repo.store.iter_blob(wanted.blob)):
        return "ours"
    return "edited"


def is_unfinished(path: Path, wanted: Iterator[bytes]) -> bool:
    """Whether a file is a proper prefix of the wanted bytes: what a killed write leaves."""
    with open(path, "rb", buffering=0) as source:
        for chunk in wanted:
            found = source.read(len(chunk))
            if found != chunk:
                return chunk.startswith(found)
        return not source.read(1)


# -- names that a file system cannot keep apart ---------------------------------------------------


def folded(key: str) -> str:
    """A key as a file system sees it that folds case and Unicode normal form."""
    return key.lower() if key.isascii() else unicodedata.normalize("NFC", key).casefold()


def folding_pairs(keys: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of keys that such a file system cannot keep apart."""
    seen: dict[str, str] = {}
    pairs = []
    for key in keys:
        first = seen.setdefault(folded(key), key)
        if first != key:
            pairs.append((first, key))
    return pairs


def file_system_folds(repo: Repository) -> bool:
    """Whether the working tree's file system folds case, by `core.ignorecase` or by trying."""
    setting = repo.config.get("core.ignorecase")
    if setting != "auto":
        return setting == "true"
    return (repo.folder / "spec").exists()  # SPEC is there; another spelling should not be


def refuse_folding(repo: Repository, after: Dataset, plan: Plan) -> None:
    """InvalidDataError naming keys that the file system of the working tree cannot keep apart."""
    if not plan.write or not file_system_folds(repo):
        return
    pairs = folding_pairs(tracked.key for tracked in after.tracked())
    if pairs:
        named = "; ".join(f"'{shown(a)}' and '{shown(b)}'" for a, b in pairs[:_NAMED])
        raise InvalidDataError(
            f"this file system cannot hold keys that differ only in case or normal form: {named}",
            hint="vgr mv one of them, or work in a repository made with vgr init --no-worktree",
        )


def lay_out(repo: Repository, before: Dataset, keys: Iterable[str]) -> Updated:
    """Write the files of rows that are staged on top of `before`, or were just brought."""
    after = repo.staged()
    found = (after.tracked_at(key) for key in sorted(set(keys)))
    write = [tracked for tracked in found if tracked is not None]
    return update(repo, Plan(write, []), after, before_token=before.token)
