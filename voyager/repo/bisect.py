"""Bisect: find the first bad commit between known good ones and a bad one, by halving.

What was said of commits is the value BISECT (spec 6.2), so a kill or a restart loses nothing;
commits are tried by the ordinary switch, on no branch, with all its protections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from voyager.errors import NotFoundError, StateError
from voyager.repo.branches import branch_names, find_branch
from voyager.repo.merging import BISECT, refuse_if_merging
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.switch import switch
from voyager.repo.worktree import Updated
from voyager.store.history import is_ancestor, iter_history, merge_bases, read_commit
from voyager.store.refs import Head
from voyager.wire import object_ref

Mark: TypeAlias = Literal["bad", "good", "skip"]
Graph: TypeAlias = Sequence[tuple[bytes, Sequence[bytes]]]
"""Commits with their parents, no parent before its child."""


@dataclass(frozen=True, slots=True)
class Bisection:
    """Where HEAD was (a branch, or a commit), and what was said of commits, in that order."""

    head: str | bytes
    marks: tuple[tuple[Mark, bytes], ...] = ()

    def marked(self, mark: Mark) -> list[bytes]:
        """The commits that are this by the last that was said of them, in the order of saying.

        To skip one that is known already says nothing.
        """
        last: dict[bytes, Mark] = {}
        for said, commit in self.marks:
            if said != "skip" or commit not in last:
                last.pop(commit, None)
                last[commit] = said
        return [commit for commit, said in last.items() if said == mark]

    @property
    def bad(self) -> bytes | None:
        """The commit that is known to be bad: the one said last."""
        return next(reversed(self.marked("bad")), None)

    def as_value(self) -> dict[str, Any]:
        """As BISECT holds it."""
        head = self.head if isinstance(self.head, str) else object_ref(self.head)
        return {"head": head, "marks": [[mark, object_ref(at)] for mark, at in self.marks]}

    @classmethod
    def from_value(cls, value: dict[str, Any]) -> Bisection:
        """What BISECT holds."""
        head = value["head"]
        marks = tuple((mark, bytes(ref.data)) for mark, ref in value["marks"])
        return cls(head if isinstance(head, str) else bytes(head.data), marks)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left: the commits that may be the first bad one, newest first; which to try next.

    `next` is None before there are a good and a bad commit, and when nothing is left to try.
    """

    suspects: tuple[bytes, ...] = ()
    next: bytes | None = None

    @property
    def first_bad(self) -> bytes | None:
        """The first bad commit, once only one is left."""
        return self.suspects[0] if len(self.suspects) == 1 else None

    @property
    def steps(self) -> int:
        """About how many commits are to be tried yet."""
        return max(len(self.suspects) - 1, 0).bit_length() if self.next is not None else 0


# -- saying what commits are ----------------------------------------------------------------------


def start(repo: Repository, bad: str | None = None, good: Iterable[str] = ()) -> Bisection:
    """Begin to look for the first bad commit; StateError while another search or merge is on."""
    repo.refuse_if_running()
    refuse_if_merging(repo)
    if repo.store.value(BISECT) is not None:
        raise StateError("a bisection is going on", hint="vgr bisect reset ends it")
    marks: list[tuple[Mark, bytes]] = [] if bad is None else [("bad", repo.resolve(bad))]
    marks += [("good", repo.resolve(name)) for name in good]
    if len(dict.fromkeys(commit for _, commit in marks)) < len(dict.fromkeys(marks)):
        raise StateError("a commit cannot be both good and bad", hint="vgr log --oneline")
    begun = Bisection(repo.head.branch or repo.resolve("HEAD"), tuple(marks))
    _refuse_contradiction(repo, begun)
    _put(repo, "start", begun)
    return begun


def bisection(repo: Repository) -> Bisection:
    """The search that is going on; StateError when there is none."""
    value = repo.store.value(BISECT)
    if value is None:
        raise StateError("not bisecting", hint="vgr bisect start BAD GOOD")
    return Bisection.from_value(value)


def mark(repo: Repository, what: Mark, commits: Iterable[bytes]) -> Bisection:
    """Say of commits that they are good, bad, or not to be tried; what was said before is past.

    StateError for what contradicts the rest: every good commit is an ancestor of the bad one.
    """
    now = bisection(repo)
    told = replace(now, marks=(*now.marks, *((what, commit) for commit in commits)))
    _refuse_contradiction(repo, told)
    _put(repo, what, told)
    return told


def _put(repo: Repository, what: str, now: Bisection | None) -> None:
    said = "" if now is None else ", ".join(commit.hex()[:12] for _, commit in now.marks[-1:])
    with repo.transaction(f"bisect-{what}", said) as txn:
        value = None if now is None else now.as_value()
        txn.move(BISECT, value, old=repo.store.value(BISECT))
        txn.commit()


def _refuse_contradiction(repo: Repository, now: Bisection) -> None:
    """StateError for a good commit that a bad one precedes, or that precedes none of the bad ones.

    A bad commit that was found on the way is an ancestor of the first one; good ones that were
    found beside it need not be its ancestors.
    """
    bads = now.marked("bad")
    tops = [bad for bad in bads if not _precedes_other(repo, bad, bads)]
    for good in now.marked("good"):
        for bad in bads[-1:]:
            if is_ancestor(repo.store, bad, good):
                other_way = f"vgr bisect start {_short(good)} {_short(bad)}"
                raise _no_ancestor(repo, good, bad, f"{other_way}, if it is the other way round")
        for bad in tops:
            if not is_ancestor(repo.store, good, bad):
                bases = merge_bases(repo.store, good, bad)
                fork = [
                    f"vgr bisect good {_short(base)}, if where they part is good" for base in bases
                ]
                raise _no_ancestor(repo, good, bad, (*fork, "vgr log --graph")[0])


def _precedes_other(repo: Repository, commit: bytes, others: Iterable[bytes]) -> bool:
    return any(commit != other and is_ancestor(repo.store, commit, other) for other in others)


def _no_ancestor(repo: Repository, good: bytes, bad: bytes, hint: str) -> StateError:
    return StateError(
        f"the good commit {_named(repo, good)} is no ancestor of the bad one, {_named(repo, bad)}",
        hint=hint,
    )


def _named(repo: Repository, commit: bytes) -> str:
    return f"{_short(commit)} ({read_commit(repo.store, commit).subject})"


def _short(commit: bytes) -> str:
    return commit.hex()[:10]


# -- what is left ---------------------------------------------------------------------------------


def outlook(repo: Repository, now: Bisection) -> Outlook:
    """The commits that may be the first bad one by what was said, and the one to try next."""
    bad, good = now.bad, now.marked("good")
    if bad is None or not good:
        return Outlook()
    history = iter_history(repo.store, [bad], without=good)
    graph = [(commit_id, commit.parent_ids) for commit_id, commit in history]
    skipped = set(now.marked("skip"))
    return Outlook(tuple(commit_id for commit_id, _ in graph), halfway(graph, skipped))


def halfway(graph: Graph, skipped: set[bytes]) -> bytes | None:
    """The commit that parts a graph most evenly into its ancestors with itself, and the others.

    None when no commit parts it but skipped ones. As git does: along a line the number of ancestors
    is counted on, and only those of a merge are walked.
    """
    total, best, best_share = len(graph), None, 0
    parents = dict(graph)
    counts: dict[bytes, int] = {}
    for commit in reversed(parents):
        known = [parent for parent in parents[commit] if parent in parents]
        if len(known) < 2:
            counts[commit] = 1 + sum(counts[parent] for parent in known)
        else:
            counts[commit] = _count_ancestors(parents, commit)
        share = min(counts[commit], total - counts[commit])
        if share > best_share and commit not in skipped:
            best, best_share = commit, share
            if best_share == total // 2:
                break
    return best


def _count_ancestors(parents: dict[bytes, Sequence[bytes]], commit: bytes) -> int:
    """How many commits of a graph a commit reaches, with itself."""
    todo, seen = [commit], {commit}
    while todo:
        for parent in parents[todo.pop()]:
            if parent in parents and parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return len(seen)


# -- going there ----------------------------------------------------------------------------------


def go_on(repo: Repository, found: Outlook, *, progress: Progress = no_progress) -> Updated | None:
    """Check out the commit to try next; None where there is nowhere to go.

    Raises what a switch raises; what was said of commits stays, and this may be called again.
    """
    head = repo.head
    if found.next is None or (head.detached and head.commit == found.next):
        return None
    try:
        return switch(repo, Head(None, found.next), kind="bisect", progress=progress)
    except StateError as error:
        hint = f"{error.hint}; then vgr bisect next"
        raise StateError(error.message, path=error.path, hint=hint) from error


def run(
    repo: Repository, test: Callable[[bytes], Mark], *, progress: Progress = no_progress
) -> Outlook:
    """Let a function say of each commit what it is, once that is checked out, until it is found."""
    now = bisection(repo)
    if now.bad is None or not now.marked("good"):
        raise StateError(
            "a run needs a bad and a good commit to begin with", hint="vgr bisect start BAD GOOD"
        )
    while (found := outlook(repo, now)).next is not None:
        go_on(repo, found, progress=progress)
        now = mark(repo, test(found.next), [found.next])
    return found


def reset(
    repo: Repository, revision: str | None = None, *, progress: Progress = no_progress
) -> Updated:
    """End the search, and go back to where HEAD was, or to a revision."""
    head = _way_back(repo, bisection(repo), revision)
    done = Updated() if head == repo.head else switch(repo, head, kind="bisect", progress=progress)
    _put(repo, "reset", None)
    return done


def _way_back(repo: Repository, now: Bisection, revision: str | None) -> Head:
    there = now.head if revision is None else revision
    if isinstance(there, bytes):
        return Head(None, there)
    if there in branch_names(repo):
        return find_branch(repo, there)
    if revision is None:
        raise NotFoundError(
            f"the branch '{there}' that the bisection began on is gone", hint="vgr bisect reset REV"
        )
    return Head(None, repo.resolve(there))
