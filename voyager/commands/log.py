"""`vgr log`: list commits, newest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from voyager.commands import commits
from voyager.commands.context import Context
from voyager.commands.dates import parse_date
from voyager.commands.words import has_key, read_words
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.key_history import iter_key_history
from voyager.repo.keys import shown
from voyager.repo.ranges import Range, iter_range, read_range
from voyager.repo.repository import Repository
from voyager.store.history import Commit, read_commit
from voyager.store.refs import HEADS, REMOTES, TAGS, iter_refs

if TYPE_CHECKING:
    from voyager.train.record import Run

Found = tuple[bytes, Commit]
Under = Literal["stat", "name-status", "name-only"] | None
"""What stands under each commit."""

NUMBER = "-n"


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REV|A..B|KEY", help="where to begin, and keys to follow"),
    ] = None,
    *,
    limit: Annotated[
        int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="at most N, as -N")
    ] = None,
    oneline: Annotated[bool, typer.Option("--oneline", help="a commit a line")] = False,
    graph: Annotated[bool, typer.Option("--graph", help="draw how branches join")] = False,
    stat: Annotated[bool, typer.Option("--stat", help="count what each commit changed")] = False,
    name_status: Annotated[
        bool, typer.Option("--name-status", help="letter and key of all that each changed")
    ] = False,
    name_only: Annotated[
        bool, typer.Option("--name-only", help="the keys that each changed")
    ] = False,
    reverse: Annotated[bool, typer.Option("--reverse", help="the oldest of them first")] = False,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="leave out what merges brought in")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="begin at every branch and tag")
    ] = False,
    author: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="only commits of this author")
    ] = None,
    grep: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="only commits whose message has it")
    ] = None,
    ignore_case: Annotated[bool, typer.Option("-i", help="--grep in capitals or not")] = False,
    since: Annotated[
        str | None, typer.Option("--since", "--after", metavar="DATE", help="only from then on")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", "--before", metavar="DATE", help="only up to then")
    ] = None,
    _follow: Annotated[
        bool, typer.Option("--follow", help="as in git; renames are followed anyway")
    ] = False,
) -> None:
    """List commits, newest first.

    A..B lists the commits of B that are not in A. With keys, folders or globs, only the commits
    that changed them, a sample being followed through its renames; -- stands before a key that
    could be a revision.

    What was trained on a commit stands under it; vgr runs has more.

    JSON: [{"commit", "parents", "author", "time", "message", "runs": [ids]}].

    Example:
      $ vgr log --oneline --graph --all
      $ vgr log -3 main~5..main -- train/hat
      $ vgr log --since "2 weeks ago" --author ann
    """
    if graph and reverse:
        raise UsageError("--graph and --reverse exclude each other", hint="vgr log --help")
    under = _under(stat=stat, name_status=name_status, name_only=name_only)
    repo = ctx.open_repository()
    parted = read_words(ctx, repo, words)
    span = read_range(repo.store, parted.revisions)
    if everything:
        span.tips += _every_tip(repo)
    span.first_parent = first_parent
    found = _history(repo, span, parted.keys, sure=parted.sure)
    found = _chosen(ctx, found, author, since, until)
    found = _saying(found, grep, ignore_case=ignore_case)
    found = islice(found, limit)
    if reverse:
        found = reversed(list(found))
    if ctx.json:
        runs = commits.runs_by_commit(repo)
        ctx.emit([_as_json(_whole(repo, span, one), runs) for one in found])
        return
    _print(ctx, repo, span, found, oneline=oneline, graph=graph, under=under)


def _as_json(found: Found, runs: commits.Runs) -> dict[str, Any]:
    ids = [run.id for run in runs.get(found[0], ())]
    return {**commits.commit_as_json(*found), "runs": ids}


def _under(*, stat: bool, name_status: bool, name_only: bool) -> Under:
    if stat + name_status + name_only > 1:
        message = "--stat, --name-status and --name-only exclude each other"
        raise UsageError(message, hint="vgr log --help")
    return "stat" if stat else "name-status" if name_status else "name-only" if name_only else None


def _every_tip(repo: Repository) -> list[bytes]:
    from voyager.repo.revisions import peel

    starts = (HEADS, REMOTES, TAGS)
    refs = [ref for start in starts for ref in iter_refs(repo.store, start).values()]
    return list(dict.fromkeys(peel(repo.store, ref) for ref in refs))


def _history(repo: Repository, span: Range, keys: list[str], *, sure: bool) -> Iterator[Found]:
    """The commits of a range; of keys that nothing ever changed NotFoundError."""
    if not keys:
        yield from iter_range(repo.store, span)
        return
    none = True
    for found in iter_key_history(repo.store, span, keys):
        none = False
        yield found
    tips = [repo.dataset_of(tip) for tip in span.tips]
    for key in keys if none and not sure else ():
        if not any(has_key(tip, key) for tip in tips):
            raise NotFoundError(f"'{key}' is neither a revision nor a key", hint="vgr ls")


def _chosen(
    ctx: Context, found: Iterable[Found], author: str | None, since: str | None, until: str | None
) -> Iterator[Found]:
    now = ctx.config.now()
    first = None if since is None else parse_date(since, now, option="--since")
    last = None if until is None else parse_date(until, now, option="--until")
    pattern = _pattern(author or "", "--author", re.IGNORECASE)
    return (
        (commit_id, commit)
        for commit_id, commit in found
        if (first is None or commit.time >= first)
        and (last is None or commit.time <= last)
        and pattern.search(commit.author)
    )


def _saying(found: Iterable[Found], grep: str | None, *, ignore_case: bool) -> Iterator[Found]:
    pattern = _pattern(grep or "", "--grep", re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    return (one for one in found if pattern.search(one[1].message))


def _pattern(text: str, option: str, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except re.error as error:
        raise UsageError(f"{option} is a pattern: {error}") from None


def _print(
    ctx: Context,
    repo: Repository,
    span: Range,
    found: Iterable[Found],
    *,
    oneline: bool,
    graph: bool,
    under: Under,
) -> None:
    names, runs = commits.decorations(repo), commits.runs_by_commit(repo)
    names = commits.with_runs(names, runs) if oneline and runs else names
    drawing = _Drawing(repo, list(found)) if graph else None
    first = True
    for commit_id, commit in found if drawing is None else drawing.commits:
        whole = _whole(repo, span, (commit_id, commit))
        trained = runs.get(commit_id, ())
        lines = list(_text(ctx, repo, whole, names, trained, oneline=oneline, under=under))
        if not oneline and not first:
            lines = lines if drawing is not None else ["", *lines]
        if drawing is not None:
            lines = drawing.beside(commit_id, lines, spaced=not oneline)
        first = False
        for line in lines:
            ctx.show(line)


def _whole(repo: Repository, span: Range, found: Found) -> Found:
    """A commit with all its parents, where --first-parent hides some."""
    return (found[0], read_commit(repo.store, found[0])) if span.first_parent else found


def _text(
    ctx: Context,
    repo: Repository,
    found: Found,
    names: commits.Decorations,
    runs: Sequence[Run],
    *,
    oneline: bool,
    under: Under,
) -> Iterator[str]:
    commit_id, commit = found
    if oneline:
        yield commits.oneline(ctx, commit_id, commit, names)
    else:
        yield from commits.full_text(ctx, commit_id, commit, names, runs)
    if under is not None:
        before = repo.dataset_of(commit.parent_ids[0] if commit.parents else None)
        lines = list(_changed(before, repo.dataset_of(commit_id), under))
        yield from ("",) if lines and not oneline else ()
        yield from lines


def _changed(before: Dataset, after: Dataset, under: Under) -> Iterator[str]:
    from voyager.commands import changes
    from voyager.commands.differences import Difference
    from voyager.commands.stat_text import stat_lines
    from voyager.repo.diff import diff
    from voyager.repo.label_stat import stat_of

    if under == "stat":
        found = Difference(before, after)
        stat = stat_of(found.samples(), found.terms, found.words)
        yield from stat_lines(stat) if stat.counts else ()
        return
    for change in diff(before, after):
        yield changes.as_name_status(change) if under == "name-status" else shown(change.key)


class _Drawing:
    """The graph beside some commits; a parent not shown is bridged to its next ancestors."""

    def __init__(self, repo: Repository, found: list[Found]) -> None:
        from voyager.commands.graph import Graph

        self.commits = found
        self._store = repo.store
        self._graph = Graph()
        self._shown = dict(found)
        self._deepest = min((commit.depth for _, commit in found), default=0)

    def beside(self, commit_id: bytes, lines: list[str], *, spaced: bool) -> list[str]:
        """The text of a commit with its part of the graph."""
        from voyager.commands.graph import weave

        gap = [] if spaced else [row.rstrip() for row in self._graph.gap(commit_id)]
        rows = self._graph.draw(commit_id, self._parents(self._shown[commit_id]))
        space = [""] if spaced and commit_id != self.commits[-1][0] else []
        return gap + weave(rows, self._graph.padding(), [*lines, *space])

    def _parents(self, commit: Commit) -> list[bytes]:
        """The nearest ancestors that are shown."""
        found: dict[bytes, None] = {}
        todo, seen = commit.parent_ids[::-1], set[bytes]()
        while todo:
            parent_id = todo.pop()
            if parent_id in self._shown:
                found[parent_id] = None
            elif parent_id not in seen:
                seen.add(parent_id)
                parent = read_commit(self._store, parent_id)
                todo += parent.parent_ids[::-1] if parent.depth > self._deepest else []
        return list(found)
