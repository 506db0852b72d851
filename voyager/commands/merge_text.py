"""What a merge did, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from voyager.commands.commits import short_id
from voyager.commands.reports import counted_changes, files_changed, quoted
from voyager.commands.sizes import counted
from voyager.repo.conflicts import iter_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.repo.vocabulary_diff import count_changes
from voyager.store.history import read_commit

if TYPE_CHECKING:
    from voyager.merge import Merged
    from voyager.repo.guard import Review
    from voyager.schema.validate import Violation

_T = TypeVar("_T")

_MOST = 10
_THINGS = {"labels": "label", "regions": "region", "geometries": "shape", "assets": "asset"}
_HEADS = {
    "up-to-date": "already up to date",
    "staged": "merged, and left staged",
    "conflicts": "stopped with conflicts",
}


def merged_lines(
    repo: Repository, done: Merged, command: str, *, took: bool = False
) -> Iterator[str]:
    """A merge in lines: what happened, what changed, what deserves a look, what to do next."""
    yield _headline(repo, done) + files_changed(done.updated)
    if done.result == "up-to-date":
        return
    parts = counted_changes(_counts(repo, done))
    yield f" {', '.join(parts) or 'no changes'}"
    yield from notable_lines(repo, done, took=took)
    if done.result == "conflicts":
        yield from disputed_lines(repo.staged(), done.conflicts)
        yield f"{counted(done.conflicts, 'conflict')} to resolve: vgr conflicts, vgr resolve"
        yield f"hint: then vgr {command} --continue, or vgr {command} --abort to give it up"
    elif done.result == "staged" and running_merge(repo.store):
        yield f"hint: vgr {command} --continue, or vgr {command} --abort to give it up"
    elif done.result == "staged" and parts:
        yield "hint: vgr commit"


def _headline(repo: Repository, done: Merged) -> str:
    if done.result not in ("merged", "fast-forward") or done.commit is None:
        return _HEADS[done.result]
    if done.result == "fast-forward":
        return f"fast-forward to {short_id(done.commit)}"
    where = repo.head.branch or "detached HEAD"
    return f"[{where} {short_id(done.commit)}] {read_commit(repo.store, done.commit).subject}"


def _counts(repo: Repository, done: Merged) -> dict[str, int]:
    """What the merge changed of our side."""
    if done.result in ("merged", "fast-forward") and done.commit is not None:
        parents = read_commit(repo.store, done.commit).parent_ids
        before = done.bases[0] if done.result == "fast-forward" and done.bases else None
        if done.result == "merged":
            before = parents[0]
        return count_changes(repo.dataset_of(before), repo.dataset_of(done.commit))
    return count_changes(repo.dataset_of(repo.head.commit), repo.staged())


def notable_lines(repo: Repository, done: Merged, *, took: bool = False) -> Iterator[str]:
    """What deserves a look: what was decided, what the guard did, what does not agree.

    `took`: what dropped copies say was taken.
    """
    yield from _noticed(done)
    yield from _guard_lines(repo, done.guard, took=took)
    yield from _violation_lines(done.violations)


def merge_notes(done: Merged) -> Iterator[str]:
    """As `notable_lines`, without what the guard did."""
    yield from _noticed(done)
    yield from _violation_lines(done.violations)


def _noticed(done: Merged) -> Iterator[str]:
    if done.resolved:
        parts = [
            counted(count, _THINGS.get(name, name)) for name, count in sorted(done.resolved.items())
        ]
        yield f" decided by strategy: {', '.join(parts)}"
    if done.joined:
        yield f" {counted(done.joined, 'region')} drawn by both sides became one"
    for one, other in _first(done.twins):
        yield f" one image under two keys: {quoted(one)} and {quoted(other)}"
    yield from _more(done.twins)
    for key, name in _first(done.lowered):
        yield f" coverage of {name} is now partial: {quoted(key)}"
    yield from _more(done.lowered)


def disputed_lines(version: Dataset, count: int) -> Iterator[str]:
    """The first of what is in conflict: where, and what of it."""
    from voyager.commands.conflict_text import Words
    from voyager.merge.conflicts import Standing

    for space, key, name, path, terms in islice(iter_conflicts(version), _MOST):
        one = Standing(space, key, name, path, terms, (), terms.held)
        yield f" conflict: {quoted(name)} {Words(version, one).subject(one)}"
    if count > _MOST:
        yield f" … and {count - _MOST:,} more"


def _guard_lines(repo: Repository, found: Review, *, took: bool) -> Iterator[str]:
    """What the guard did with what came in; its words are loaded only then."""
    if found.decisions or found.unchecked:
        from voyager.commands.guard_text import offer_lines, review_lines

        yield from (f" {line}" for line in review_lines(found))
        words = repo.staged().vocabulary
        yield from (f" {line}" for line in offer_lines(words, found.offers, took=took))


def _violation_lines(violations: Sequence[Violation]) -> Iterator[str]:
    for each in _first(violations):
        region = "" if each.region is None else f"#{each.region.hex()[:8]}"
        yield f" violation: {quoted(each.key)}{region}: {each.message}"
        yield f"   hint: {each.hint}"
    yield from _more(violations)


def _first(items: Sequence[_T]) -> Sequence[_T]:
    return items[:_MOST]


def _more(items: Sequence[object]) -> Iterator[str]:
    if len(items) > _MOST:
        yield f" … and {len(items) - _MOST:,} more (--json lists them all)"
