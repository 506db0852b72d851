"""What fsck can say of rows: the store knows bytes, here their meaning is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from voyager.errors import VoyagerError
from voyager.repo.keys import key_problem, shown
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import (
    CONFLICTS,
    FILES,
    POLICIES,
    SAMPLES,
    TASKS,
    TAXONOMIES,
    read_snapshot,
)
from voyager.schema import is_canonical_file, is_canonical_sample
from voyager.schema.conflict import is_canonical_conflicts
from voyager.schema.guard_rows import is_canonical_policy_row
from voyager.schema.task import check_task_name
from voyager.schema.taxonomy import check_taxonomy_name
from voyager.schema.vocabulary_rows import is_canonical_node, is_canonical_task, parse_node_key
from voyager.store import prolly
from voyager.store.fsck import Problem
from voyager.store.history import iter_history
from voyager.store.refs import iter_refs

_IS_CANONICAL: dict[str, Callable[[bytes], bool]] = {
    FILES: is_canonical_file,
    SAMPLES: is_canonical_sample,
    TASKS: is_canonical_task,
    TAXONOMIES: is_canonical_node,
}
_CHECKED = (*_IS_CANONICAL, POLICIES, CONFLICTS)


def check_rows(repo: Repository, progress: Progress = no_progress) -> Iterator[Problem]:
    """Rows of any version that are malformed or lie at an impossible key, each chunk read once."""
    seen: set[bytes] = set()
    for done, snapshot in enumerate(iter_snapshots(repo)):
        progress(done, None)
        for space, root in read_snapshot(repo.store, snapshot).items():
            if space in _CHECKED:
                yield from _check_map(repo, space, root, seen)


def iter_snapshots(repo: Repository) -> Iterator[bytes]:
    """Every version that a ref or the staging area reaches, the newest first."""
    yield repo.staging.snapshot
    tips = {repo.resolve(ref) for ref in iter_refs(repo.store)}
    if repo.head.commit is not None:
        tips.add(repo.head.commit)
    for _, commit in iter_history(repo.store, tips):
        yield commit.snapshot_id


def _check_map(repo: Repository, space: str, root: bytes, seen: set[bytes]) -> Iterator[Problem]:
    for node, level in prolly.Map(repo.store, root).walk(seen):
        if level:
            continue
        for key, row in prolly.Map(repo.store, node).items():  # a leaf is a small map of its own
            problem = row_problem(space, key, row)
            if problem is not None:
                name = shown(key.decode(errors="surrogateescape"))
                yield Problem("row", problem, f"{space} {name} in node {node.hex()[:12]}")


def row_problem(space: str, key: bytes, row: bytes) -> str | None:
    """What is wrong with a row by itself: its key, or that it is not the one encoding of its value.

    Nothing is known of the spaces of newer versions.
    """
    if space not in _CHECKED:
        return None
    problem = None
    if space != CONFLICTS:
        name = key.decode(errors="surrogateescape")
        problem = key_problem(name) or _vocabulary_key_problem(space, key)
    if problem is None and not _is_row(space, key, row):
        problem = "not a canonical row"
    return problem


def _vocabulary_key_problem(space: str, key: bytes) -> str | None:
    """Why a key may not name a task or a row of a taxonomy (spec 9.7, 9.8)."""
    try:
        if space == TASKS:
            check_task_name(key.decode())
        elif space == TAXONOMIES:
            check_taxonomy_name(parse_node_key(key)[0])
    except ValueError as error:
        return f"a bad key: {error}"
    return None


def _is_row(space: str, key: bytes, row: bytes) -> bool:
    try:
        if space == POLICIES:
            return is_canonical_policy_row(key, row)
        if space == CONFLICTS:
            return is_canonical_conflicts(key, row)
        return _IS_CANONICAL[space](row)
    except VoyagerError:
        return False
