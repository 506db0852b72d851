"""Verbs on keys in the staging area: remove, move, restore."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError
from voyager.repo.add import labels_of
from voyager.repo.dataset import Dataset
from voyager.repo.keys import check_key, match_keys
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES, TRACKED
from voyager.repo.staging import RowChange, stage
from voyager.repo.worktree import Plan, changes_in, name_keys, update
from voyager.schema import decode_sample, encode_sample
from voyager.store import files


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
    dry_run: bool = False,
) -> Removed:
    """Stage the removal of rows and delete their files; `cached` keeps the files.

    Raises NotFoundError for a pattern that matches nothing, StateError for files whose bytes are
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
    if drop and not force:
        _refuse_edited(repo, dataset, done.keys)
    with repo.transaction("rm-cached" if cached else "rm", " ".join(patterns)[:200]) as txn:
        stage(txn, staging, [(space, key.encode(), None) for space, key in matched])
        txn.commit()
    if drop:
        update(repo, Plan([], done.keys), repo.staged(), before_token=dataset.token)
    return done


def _refuse_edited(repo: Repository, dataset: Dataset, keys: list[str]) -> None:
    found = changes_in(repo, dataset, paths=keys)
    edited = [entry.key for entry in found.modified]
    if edited:
        raise StateError(
            f"{name_keys(edited)} was edited and is committed nowhere",
            hint="vgr add it, vgr rm --cached to keep the file, or -f",
        )


def move(repo: Repository, sources: Sequence[str], target: str) -> list[tuple[str, str]]:
    """Rename keys and their files; rows keep uid and labels. (old, new) of each.

    Into an existing folder, or a target that ends in '/', keys keep their name.
    """
    repo.refuse_if_running()
    staging = repo.staging
    dataset = repo.staged_view(staging)
    pairs: list[tuple[str, str, str]] = []
    into = target.endswith("/") or dataset.has_folder(target) or len(sources) > 1
    folder = target.rstrip("/")
    for source in sources:
        pairs += _pairs(dataset, source.rstrip("/"), folder, into=into)
    _refuse_taken(repo, dataset, pairs)
    changes: list[RowChange] = []
    for space, old, new in pairs:
        row = dataset.row(space, old.encode())
        changes += [(space, old.encode(), None), (space, new.encode(), row)]
    with repo.transaction("mv", f"{' '.join(sources)} {target}"[:200]) as txn:
        stage(txn, staging, changes)
        txn.commit()
    if repo.root is not None:
        for _, old, new in pairs:
            _move_file(repo.root, old, new)
    return [(old, new) for _, old, new in pairs]


def _pairs(dataset: Dataset, source: str, target: str, *, into: bool) -> list[tuple[str, str, str]]:
    if dataset.space_of(source) is None and not dataset.has_folder(source):
        raise NotFoundError(f"no key '{source}'", hint="vgr ls")
    prefix = f"{target}/{os.path.basename(source)}" if into else target
    if prefix == source or prefix.startswith(source + "/"):
        raise UsageError(f"cannot move '{source}' into itself")
    return [
        (space, key, check_key(prefix + key[len(source) :]))
        for space, key in match_keys(dataset, [source])
    ]


def _refuse_taken(repo: Repository, dataset: Dataset, pairs: list[tuple[str, str, str]]) -> None:
    leaving = {old for _, old, _ in pairs}
    for _, _, new in pairs:
        taken = dataset.space_of(new) is not None and new not in leaving
        if taken or dataset.has_folder(new):
            raise ExistsError(f"'{new}' exists already", hint=f"vgr rm '{new}'")
        for at, letter in enumerate(new):
            if letter == "/" and dataset.space_of(new[:at]) is not None:
                raise ExistsError(f"'{new[:at]}' is a key, not a folder")
        if repo.root is not None and os.path.lexists(repo.root / new) and new not in leaving:
            raise ExistsError(f"an untracked '{new}' is in the way", hint="move it away")


def _move_file(root: Path, old: str, new: str) -> None:
    if not os.path.lexists(root / old):
        return
    files.make_folder((root / new).parent)
    files.rename(root / old, root / new)
    files.remove_empty_folders((root / old).parent, root)


def restore(
    repo: Repository,
    patterns: Sequence[str],
    *,
    source: str | None = None,
    staged: bool = False,
    labels: bool = False,
    worktree: bool = True,
    progress: Progress = no_progress,
) -> list[str]:
    """Bring back rows or files.

    Plain: files as staged. `staged`: rows as in HEAD. `source`: rows as in that revision (and
    files, with `worktree`). `labels`: all but the image, from HEAD or `source`. The keys touched.
    """
    repo.refuse_if_running()
    staging = repo.staging
    now = repo.staged_view(staging)
    if source is None and not staged and not labels:
        keys = [key for _, key in match_keys(now, patterns)]
        if repo.root is not None:
            _write_files(repo, now, keys, progress)
        repo.tree()
        return keys
    origin = repo.at(source) if source is not None else repo.dataset_of(staging.base)
    changes = _restored_rows(now, origin, patterns, labels=labels)
    kind = "restore-staged" if not worktree or labels or repo.root is None else "restore"
    with repo.transaction(kind, " ".join(patterns)[:200]) as txn:
        stage(txn, staging, changes)
        txn.commit()
    keys = sorted({key.decode() for _, key, _ in changes})
    if kind == "restore":
        _write_files(repo, repo.staged(), keys, progress)
    return keys


def _restored_rows(
    now: Dataset, origin: Dataset, patterns: Sequence[str], *, labels: bool
) -> list[RowChange]:
    """Rows as in `origin`; keys that only the staging area has go, as in git."""
    keys: dict[tuple[str, str], None] = {}
    for pattern in patterns:
        found = []
        for dataset in (origin, now):
            try:
                found += match_keys(dataset, [pattern])
            except NotFoundError:
                continue
        if not found:
            raise NotFoundError(f"no key matches '{pattern}'", hint="vgr ls")
        keys.update(dict.fromkeys(found))
    changes: list[RowChange] = []
    for space, key in keys:
        row, current = origin.row(space, key.encode()), now.row(space, key.encode())
        if labels and space == SAMPLES and row is not None and current is not None:
            image = decode_sample(current).image
            row = encode_sample(decode_sample(row).replace(image=image))
        if row != current:
            changes.append((space, key.encode(), row))
    return changes


def _write_files(repo: Repository, dataset: Dataset, keys: list[str], progress: Progress) -> None:
    """Let the files of these keys be as a version has them."""
    whole = len(keys) == sum(dataset.count(space) for space in TRACKED)
    found = changes_in(repo, dataset, paths=None if whole else keys)
    wanted = {entry.key for entry in (*found.modified, *found.mode_changed)} | set(found.deleted)
    if len(wanted) > len(keys) // 4:
        write = [tracked for tracked in dataset.tracked() if tracked.key in wanted]
    else:
        rows = (dataset.tracked_at(key) for key in sorted(wanted))
        write = [tracked for tracked in rows if tracked is not None]
    gone = (
        [
            key
            for key in keys
            if dataset.tracked_at(key) is None and os.path.lexists(repo.tree() / key)
        ]
        if not whole
        else []
    )
    update(repo, Plan(write, gone), dataset, before_token=dataset.token, progress=progress)
