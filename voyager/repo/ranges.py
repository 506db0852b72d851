"""Ranges of history as git writes them: `A`, `A..B`, `A...B`, `^A`, and several at once."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from msgspec import structs

from voyager.errors import NotFoundError, UsageError
from voyager.repo.revisions import resolve
from voyager.store.history import Commit, iter_history, merge_bases
from voyager.store.objectstore import Store
from voyager.store.refs import HEAD


@dataclass(slots=True)
class Range:
    """Commits reachable from `tips` and not from `without`; `first_parent` leaves merged lines out.

    Its commits then have their first parent only.
    """

    tips: list[bytes] = field(default_factory=list)
    without: list[bytes] = field(default_factory=list)
    first_parent: bool = False


def read_range(store: Store, words: Iterable[str]) -> Range:
    """The range that some words say; from HEAD where none names a tip.

    Raises NotFoundError for an unknown revision, StateError on a branch without commits.
    """
    found = Range()
    for word in words:
        _read_word(store, word, found)
    if not found.tips:
        found.tips.append(resolve(store, HEAD))
    return found


def iter_range(store: Store, span: Range) -> Iterator[tuple[bytes, Commit]]:
    """The commits of a range, the newest first, and no parent before its child.

    Streams where history is a line; where lines run beside each other they are read to their fork.
    """
    if span.first_parent:
        return _first_parents(store, span)
    return _every_parent(store, span)


def _first_parents(store: Store, span: Range) -> Iterator[tuple[bytes, Commit]]:
    line = set(span.tips)
    for commit_id, commit in _every_parent(store, span):
        if commit_id in line:
            line.update(commit.parent_ids[:1])
            yield commit_id, structs.replace(commit, parents=commit.parents[:1])


def _every_parent(store: Store, span: Range) -> Iterator[tuple[bytes, Commit]]:
    held: dict[bytes, Commit] = {}
    awaited = set(span.tips)
    for commit_id, commit in iter_history(store, span.tips, without=span.without):
        awaited.discard(commit_id)
        if not awaited:  # every line goes through this commit, so all before it is known
            yield from _newest_first(held)
            held.clear()
        held[commit_id] = commit
        awaited.update(commit.parent_ids)
    yield from _newest_first(held)


def _newest_first(commits: dict[bytes, Commit]) -> Iterator[tuple[bytes, Commit]]:
    children = Counter(parent for commit in commits.values() for parent in commit.parent_ids)
    heap = [(-commit.time, at) for at, commit in commits.items() if not children[at]]
    heapq.heapify(heap)
    while heap:
        commit_id = heapq.heappop(heap)[1]
        commit = commits[commit_id]
        yield commit_id, commit
        for parent in commit.parent_ids:
            children[parent] -= 1
            if parent in commits and not children[parent]:
                heapq.heappush(heap, (-commits[parent].time, parent))


def names_revisions(store: Store, word: str) -> bool:
    """Whether a word is a revision or a range, rather than a key."""
    try:
        _read_word(store, word, Range())
    except NotFoundError:
        return False
    except UsageError:
        if ".." in word or word.startswith("^"):
            return False
        raise
    return True


def read_pair(store: Store, words: list[str]) -> list[bytes]:
    """The commits to compare that `A`, `A B`, `A..B` or `A...B` name, at most two.

    `A...B` compares B with where it left A, as git does.
    """
    if len(words) == 1 and ".." in words[0]:
        left, dots, right = _split(words[0])
        ours, theirs = resolve(store, left or HEAD), resolve(store, right or HEAD)
        if dots == "..":
            return [ours, theirs]
        bases = merge_bases(store, ours, theirs)
        if not bases:
            raise NotFoundError(f"'{left}' and '{right}' have no common ancestor")
        return [bases[0], theirs]
    if len(words) > 2:
        raise UsageError(f"two revisions can be compared, not {len(words)}", hint="vgr diff A B")
    return [resolve(store, word) for word in words]


def _read_word(store: Store, word: str, found: Range) -> None:
    if word.startswith("^") and len(word) > 1:
        found.without.append(resolve(store, word[1:]))
    elif ".." in word and word.strip("."):
        left, dots, right = _split(word)
        ours, theirs = resolve(store, left or HEAD), resolve(store, right or HEAD)
        if dots == "..":
            found.without.append(ours)
            found.tips.append(theirs)
        else:
            found.without += merge_bases(store, ours, theirs)
            found.tips += [ours, theirs]
    else:
        found.tips.append(resolve(store, word))


def _split(word: str) -> tuple[str, str, str]:
    dots = "..." if "..." in word else ".."
    left, _, right = word.partition(dots)
    return left, dots, right
