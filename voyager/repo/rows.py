"""Verbs on keys in the staging area: remove, move, restore."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.repo.add import labels_of
from voyager.repo.bound import bound_below
from voyager.repo.conflicts import restored_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.diff import changed_rows
from voyager.repo.import_reports import drop_unstaged_reports
from voyager.repo.keys import KeyPattern, check_key, match_keys, shown
from voyager.repo.namespace import check_rows, folders_of_all
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import CONFLICTS, POLICIES, SAMPLES, TASKS, TAXONOMIES, TRACKED
from voyager.repo.staging import RowChange, Staging, overlay_of, stage
from voyager.repo.vocabulary import row_name
from voyager.repo.worktree import (
    Plan,
    changes_in,
    files_as_folders,
    hidden_keys,
    linked_keys,
    name_keys,
    refuse_folders,
    refuse_folding,
    replaceable,
    update,
)
from voyager.schema import decode_sample, encode_sample
from voyager.schema.conflict import parse_conflict_key
from voyager.store import files
from voyager.store.history import read_commit


@dataclass(slots=True)
class Removed:
    """What `rm` took out of the next commit."""

    keys: list[str] = field(default_factory=list)
    labels: int = 0


def remove(
    repo: Repository,
    patterns: Sequence[str],
    *,
    cached: bool = False,
    force: bool = False,
    staged: bool = False,
    also: Iterable[RowChange] = (),
    dry_run: bool = False,
) -> Removed:
    """Stage the removal of rows and delete their files; `cached` keeps the files.

    `staged` takes rows that are committed nowhere as well, `also` are rows to stage with it.

    Raises NotFoundError for a pattern that matches nothing, StateError for rows and files that are
    committed nowhere, unless `force`.
    """
    repo.refuse_if_running()
    staging = repo.staging
    dataset = repo.staged_view(staging)
    matched = match_keys(dataset, patterns)
    done = Removed([key for _, key in matched])
    done.labels = sum(labels_of(dataset, space, key) for space, key in matched)
    if dry_run:
        return done
    drop = repo.root is not None and not cached
    if not (cached or force or staged):
        _refuse_uncommitted(repo, staging, dataset, matched)
    if drop and not force:
        _refuse_linked(repo, done.keys, hint="vgr rm --cached, or -f, takes only the rows")
        _refuse_edited(repo, dataset, done.keys)
    with repo.transaction("rm-cached" if cached else "rm", " ".join(patterns)[:200]) as txn:
        gone: list[RowChange] = [(space, key.encode(), None) for space, key in matched]
        stage(txn, staging, [*gone, *also])
        if drop:
            _delete_files(repo, dataset, done.keys)
        txn.commit()
    if drop:
        update(repo, Plan([], done.keys), repo.staged(), before_token=dataset.token)
    return done


def _refuse_linked(repo: Repository, keys: Iterable[str], *, hint: str) -> None:
    """Refuse files that lie behind a link: they are none of ours."""
    linked = linked_keys(repo, keys)
    if linked:
        raise StateError(f"{name_keys(linked)} would be behind a link to a folder", hint=hint)


def _delete_files(repo: Repository, dataset: Dataset, keys: Sequence[str]) -> None:
    """Delete the files of keys; when one cannot be deleted, those before it come back."""
    root = repo.tree()
    there = [key for key in keys if os.path.lexists(root / key)]
    linked = set(linked_keys(repo, there))
    try:
        for key in there:
            path = root / key
            if key not in linked and (path.is_symlink() or not path.is_dir()):
                files.remove(path)
    except OSError:
        rows = [dataset.tracked_at(key) for key in there if not os.path.lexists(root / key)]
        back = [tracked for tracked in rows if tracked is not None]
        with contextlib.suppress(OSError):
            update(repo, Plan(back, []), dataset)
        raise


def _refuse_uncommitted(
    repo: Repository, staging: Staging, dataset: Dataset, matched: list[tuple[str, str]]
) -> None:
    """Refuse rows that HEAD has otherwise, or not at all."""
    if not staging.overlay and staging.base is not None:
        commit = read_commit(repo.store, staging.base)
        if commit.snapshot_id == staging.snapshot:
            return
    base = repo.dataset_of(staging.base)
    staged = [
        key
        for space, key in matched
        if dataset.row(space, key.encode()) != base.row(space, key.encode())
    ]
    if staged:
        raise StateError(
            f"staged changes to {name_keys(staged)} are committed nowhere",
            hint="vgr commit, vgr rm --cached to keep the file, or -f",
        )


def _refuse_edited(repo: Repository, dataset: Dataset, keys: list[str]) -> None:
    found = changes_in(repo, dataset, paths=keys)
    edited = [entry.key for entry in found.modified]
    if edited:
        raise StateError(
            f"changes in {name_keys(edited)} are committed nowhere",
            hint="vgr add it, vgr rm --cached to keep the file, or -f",
        )


def move(repo: Repository, sources: Sequence[str], target: str) -> list[tuple[str, str]]:
    """Rename keys and their files; rows keep uid and labels. (old, new) of each.

    Into an existing folder ('' is the top one), or a target that ends in '/', keys keep their name.
    """
    repo.refuse_if_running()
    staging = repo.staging
    dataset = repo.staged_view(staging)
    tops = _tops_of(dataset, [source.rstrip("/") for source in sources])
    folder = target.rstrip("/")
    if folder:
        check_key(folder)
    into = folder != target or len(tops) > 1 or _is_folder(repo, dataset, folder)
    targets = {top: _target_of(top, folder, into=into) for top in tops}
    moves = [move for top in tops for move in _moves(dataset, top, targets[top])]
    _refuse_taken(repo, dataset, targets, moves)
    changes: list[RowChange] = [(space, old.encode(), None) for space, old, _, _ in moves]
    changes += [(space, new.encode(), row) for space, _, new, row in moves]
    with repo.transaction("mv", f"{' '.join(sources)} {target}"[:200]) as txn:
        stage(txn, staging, changes)
        if repo.root is not None:
            _move_files(str(repo.root), [(old, new) for _, old, new, _ in moves])
        txn.commit()
    return [(old, new) for _, old, new, _ in moves]


def _is_folder(repo: Repository, dataset: Dataset, folder: str) -> bool:
    if not folder or dataset.has_folder(folder):
        return True
    return repo.root is not None and os.path.isdir(repo.root / folder)


def _tops_of(dataset: Dataset, sources: Iterable[str]) -> list[str]:
    """The keys and folders that are meant; UsageError for one that lies in another."""
    tops = list(dict.fromkeys(top for source in sources for top in _tops(dataset, source)))
    for folder in folders_of_all(top.encode() for top in tops):
        if folder.decode() in tops:
            raise UsageError(f"'{shown(folder.decode())}' and something in it cannot both move")
    return tops


def _tops(dataset: Dataset, source: str) -> list[str]:
    """The key or folder that is meant, or all that a glob names at its own depth."""
    if dataset.space_of(source) is not None or (source and dataset.has_folder(source)):
        return [source]
    if not KeyPattern(source).is_glob:
        raise NotFoundError(f"no key '{shown(source)}'", hint="vgr ls")
    depth = None if "**" in source else source.count("/") + 1
    found = match_keys(dataset, [source])
    return list(dict.fromkeys("/".join(key.split("/")[:depth]) for _, key in found))


def _target_of(top: str, target: str, *, into: bool) -> str:
    """What a key or folder is called afterwards."""
    name = "/".join(filter(None, (target, os.path.basename(top)))) if into else target
    if name == top or name.startswith(top + "/"):
        raise UsageError(f"cannot move '{shown(top)}' into itself")
    return name


_Move = tuple[str, str, str, bytes]
"""Space, old key, new key, row."""


def _moves(dataset: Dataset, top: str, target: str) -> Iterator[_Move]:
    """The rows at or below a key or folder, with their new keys, in key order."""
    space = dataset.space_of(top)
    if space is not None:
        row = dataset.row(space, top.encode())
        if row is not None:
            yield space, top, check_key(target), row
        return
    below = [
        (key.decode(), space, row)
        for space in TRACKED
        for key, row in dataset.rows_below(space, f"{top}/".encode())
    ]
    for key, space, row in sorted(below):
        yield space, key, check_key(target + key[len(top) :]), row


def _refuse_taken(
    repo: Repository, dataset: Dataset, targets: Mapping[str, str], moves: Sequence[_Move]
) -> None:
    """ExistsError for new names that are there already, as keys, folders or files."""
    taken: dict[str, str] = {}
    for top, name in targets.items():
        other = taken.setdefault(name, top)
        if other != top:
            raise ExistsError(f"'{shown(other)}' and '{shown(top)}' would both be '{shown(name)}'")
        if dataset.space_of(name) is not None or dataset.has_folder(name):
            raise ExistsError(f"'{shown(name)}' exists already", hint=f"vgr rm '{shown(name)}'")
    for folder in folders_of_all(name.encode() for name in taken):
        if dataset.space_of(folder.decode()) is not None:
            raise ExistsError(f"'{shown(folder.decode())}' is a key, not a folder")
    if repo.root is not None:
        _refuse_linked(repo, [old for _, old, _, _ in moves], hint="put the folder itself back")
        barred = files_as_folders(repo, [new for _, _, new, _ in moves], set())
        if barred:
            raise ExistsError(f"{name_keys(barred)} is a file or link, not a folder")
        for _, old, new, _ in moves:
            _refuse_untracked(repo.root, old, new)


def _refuse_untracked(root: Path, old: str, new: str) -> None:
    """Refuse to move onto a file; a new spelling of the old name is no other file."""
    source, target = f"{root}/{old}", f"{root}/{new}"
    if not os.path.lexists(target):
        return
    if not os.path.lexists(source) or not os.path.samestat(os.lstat(source), os.lstat(target)):
        raise ExistsError(f"an untracked '{shown(new)}' is in the way", hint="move it away")


def _move_files(root: str, moves: list[tuple[str, str]]) -> None:
    """Move the files of keys, where there are any: all, or with an OSError none."""
    moved: list[tuple[str, str]] = []
    try:
        _rename_files(root, moves, moved)
    except OSError:
        for old, new in reversed(moved):
            with contextlib.suppress(OSError):
                files.rename(f"{root}/{new}", f"{root}/{old}")
        raise
    left = {os.path.dirname(key) for move in moves for key in move} - {""}
    for folder in sorted(left, reverse=True):
        files.remove_empty_folders(f"{root}/{folder}", root)


def _rename_files(root: str, moves: list[tuple[str, str]], moved: list[tuple[str, str]]) -> None:
    for folder in sorted({os.path.dirname(new) for _, new in moves}):
        files.make_folder(f"{root}/{folder}")
    for old, new in moves:
        if os.path.lexists(f"{root}/{old}"):
            files.rename(f"{root}/{old}", f"{root}/{new}")
            moved.append((old, new))


def restore(
    repo: Repository,
    patterns: Sequence[str],
    *,
    source: str | None = None,
    staged: bool = False,
    labels: bool = False,
    worktree: bool = True,
    additive: bool = False,
    progress: Progress = no_progress,
) -> list[str]:
    """Bring back rows or files; the keys that changed.

    Plain: files as staged. `staged`: rows as in HEAD. `source`: rows as in that revision (and
    files, with `worktree`). `labels`: all but the image, from HEAD or `source`. Keys that only the
    staging area has go, unless `additive`. A pattern for all keys brings back tasks and taxonomies
    too. Raises NotFoundError for a pattern that names nothing.
    """
    repo.refuse_if_running()
    files_too = worktree and not labels and repo.root is not None
    bound = _bound(repo, patterns) if files_too else []
    patterns = [pattern for pattern in patterns if not _means_only(repo, pattern, bound)]
    done = (
        _restore_rows(repo, patterns, source, staged, labels, worktree, additive, progress)
        if patterns
        else []
    )
    if repo.follower is None:
        return done
    if bound:
        repo.follower.write(bound, source)
    elif staged or labels or source is not None:
        repo.follower.stay()
    return sorted({*done, *bound})


def _bound(repo: Repository, patterns: Sequence[str]) -> list[str]:
    """The bound label files that patterns name."""
    return [] if repo.follower is None else bound_below(repo, patterns)


def _means_only(repo: Repository, pattern: str, bound: Sequence[str]) -> bool:
    """Whether a pattern names some of these bound files and no tracked one."""
    if pattern in bound:
        return True
    wanted = KeyPattern(pattern)
    if not wanted.is_glob or not any(wanted.matches(key) for key in bound):
        return False
    return not any(wanted.matches(tracked.key) for tracked in repo.staged().tracked())


def _restore_rows(
    repo: Repository,
    patterns: Sequence[str],
    source: str | None,
    staged: bool,
    labels: bool,
    worktree: bool,
    additive: bool,
    progress: Progress,
) -> list[str]:
    staging = repo.staging
    now = repo.staged_view(staging)
    if source is None and not staged and not labels:
        repo.tree()
        keys = [key for _, key in match_keys(now, patterns)]
        return _write_files(repo, now, keys, patterns, progress)
    origin = repo.at(source) if source is not None else repo.dataset_of(staging.base)
    if labels:
        named = match_keys(now, patterns)
        changes = _restored_labels(now, origin, named)
    else:
        words = _vocabulary_rows(now, origin, patterns, additive=additive)
        named = _named_in([origin] if additive else [origin, now], patterns, lenient=bool(words))
        everything = not additive and any(not KeyPattern(each).text for each in patterns)
        changes = _restored_rows(now, origin, [*named, *words])
        changes += restored_conflicts(now, origin, [*named, *words], everything=everything)
    kind = "restore-staged" if not worktree or labels or repo.root is None else "restore"
    with repo.transaction(kind, " ".join(patterns)[:200]) as txn:
        after = Dataset(txn, now.roots, {**staging.overlay, **overlay_of(changes)})
        check_rows(now, after, changes)
        plan = Plan([], [])
        if kind == "restore":
            plan = _plan_files(repo, after, [key for _, key in named], patterns)
        if changes:
            stage(txn, staging, changes)
            drop_unstaged_reports(txn, repo, staging, changes)
            txn.commit()
    restored = {row_name(*_restored(now, origin, space, key)) for space, key, _ in changes}
    if kind != "restore":
        return sorted(restored)
    update(repo, plan, repo.staged(), before_token=after.token, progress=progress)
    return sorted({*plan.keys(), *restored})


def _vocabulary_rows(
    now: Dataset, origin: Dataset, patterns: Sequence[str], *, additive: bool
) -> list[tuple[str, str]]:
    """(space, key) of the rows of tasks, classes and policies that differ, if all are meant."""
    if not any(not KeyPattern(pattern).text for pattern in patterns):
        return []
    return [
        (space, key.decode())
        for space in (POLICIES, TASKS, TAXONOMIES)
        for key, _, row in changed_rows(now, origin, space)
        if row is not None or not additive
    ]


def _restored(now: Dataset, origin: Dataset, space: str, key: bytes) -> tuple[str, bytes]:
    """The space and key of a row that is restored, or whose conflicts are."""
    if space != CONFLICTS:
        return space, key
    row = now.row(space, key) or origin.row(space, key)
    return parse_conflict_key(key, row or b"")


def _restored_labels(
    now: Dataset, origin: Dataset, keys: Iterable[tuple[str, str]]
) -> list[RowChange]:
    """Rows as in `origin` but for the image, of the samples that both versions have."""
    changes: list[RowChange] = []
    for space, key in keys:
        row, current = origin.row(space, key.encode()), now.row(space, key.encode())
        if space == SAMPLES and row is not None and current is not None:
            image = decode_sample(current).image
            row = encode_sample(decode_sample(row).replace(image=image))
            if row != current:
                changes.append((space, key.encode(), row))
    return changes


def _restored_rows(
    now: Dataset, origin: Dataset, keys: Iterable[tuple[str, str]]
) -> list[RowChange]:
    """Rows as in `origin`, where they differ."""
    changes: list[RowChange] = []
    for space, key in keys:
        row = origin.row(space, key.encode())
        if row != now.row(space, key.encode()):
            changes.append((space, key.encode(), row))
    return changes


def _named_in(
    datasets: Iterable[Dataset], patterns: Sequence[str], *, lenient: bool = False
) -> list[tuple[str, str]]:
    """(space, key) of what each pattern names in any of the versions.

    NotFoundError for one that names nothing, unless `lenient`.
    """
    keys: dict[tuple[str, str], None] = {}
    for pattern in patterns:
        found = []
        for dataset in datasets:
            with contextlib.suppress(NotFoundError):
                found += match_keys(dataset, [pattern])
        if not found and not lenient:
            raise NotFoundError(f"no key matches '{shown(pattern)}'", hint="vgr ls")
        keys.update(dict.fromkeys(found))
    return list(keys)


def _write_files(
    repo: Repository,
    dataset: Dataset,
    keys: list[str],
    patterns: Sequence[str],
    progress: Progress,
) -> list[str]:
    """Let the files of these keys be as a version has them; those that were not."""
    plan = _plan_files(repo, dataset, keys, patterns)
    update(repo, plan, dataset, before_token=dataset.token, progress=progress)
    return plan.keys()


def _absent(repo: Repository, keys: Iterable[str]) -> frozenset[str]:
    """The keys without a file."""
    root = repo.tree()
    return frozenset(key for key in keys if not os.path.lexists(root / key))


def _plan_files(
    repo: Repository, dataset: Dataset, keys: list[str], patterns: Sequence[str]
) -> Plan:
    """What `_write_files` has to do; what may not be done is refused here, before anything is.

    Keys that a pattern names each by itself have no file in a lazy clone as long as nobody asks.
    """
    found = changes_in(repo, dataset, paths=keys)
    wanted = {entry.key for entry in (*found.modified, *found.mode_changed)} | set(found.deleted)
    wanted.update(replaceable(repo, hidden_keys(found, dataset)))
    named = _absent(repo, {KeyPattern(pattern).text for pattern in patterns})
    wanted |= named
    wanted &= set(keys)
    if len(wanted) > len(keys) // 4:
        write = [tracked for tracked in dataset.tracked() if tracked.key in wanted]
    else:
        rows = (dataset.tracked_at(key) for key in sorted(wanted))
        write = [tracked for tracked in rows if tracked is not None]
    gone = [
        key
        for key in keys
        if dataset.tracked_at(key) is None and os.path.lexists(repo.tree() / key)
    ]
    plan = Plan(write, gone, named)
    refuse_folders(repo, [tracked.key for tracked in write], set(gone), "restore")
    refuse_folding(repo, dataset, plan)
    return plan
