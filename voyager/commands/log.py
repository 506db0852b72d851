"""`vgr log`: list commits, newest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Annotated

import typer

from voyager.commands import commits
from voyager.commands.context import Context
from voyager.commands.dates import parse_date
from voyager.commands.words import has_key, read_words
from voyager.errors import NotFoundError, UsageError
from voyager.repo.key_history import iter_key_history
from voyager.repo.ranges import Range, iter_range, read_range
from voyager.repo.repository import Repository
from voyager.store.history import Commit, read_commit
from voyager.store.refs import HEADS, REMOTES, TAGS, iter_refs

Found = tuple[bytes, Commit]


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="REV|A..B|KEY", help="where to begin, and keys to follow"),
    ] = None,
    *,
    limit: Annotated[
        int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="at most N")
    ] = None,
    oneline: Annotated[bool, typer.Option("--oneline", help="a commit a line")] = False,
    graph: Annotated[bool, typer.Option("--graph", help="draw how branches join")] = False,
    stat: Annotated[bool, typer.Option("--stat", help="count what each commit changed")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="begin at every branch and tag")
    ] = False,
    author: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="only commits of this author")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="only from then on")] = None,
    until: Annotated[str | None, typer.Option(metavar="DATE", help="only up to then")] = None,
) -> None:
    """List commits, newest first.

    A..B lists the commits of B that are not in A. With keys, folders or globs, only the commits
    that changed them, a sample being followed through its renames; -- stands before a key that
    could be a revision.

    JSON: [{"commit", "parents", "author", "time", "message"}].

    Example:
      $ vgr log --oneline --graph --all
      $ vgr log -n 3 main~5..main -- train/hat
      $ vgr log --since "2 weeks ago" --author ann
    """
    repo = ctx.open_repository()
    parted = read_words(ctx, repo, words)
    span = read_range(repo.store, parted.revisions)
    if everything:
        span.tips += _every_tip(repo)
    found = _history(repo, span, parted.keys, sure=parted.sure)
    found = _chosen(ctx, found, author, since, until)
    found = islice(found, limit)
    if ctx.json:
        ctx.emit([commits.commit_as_json(*one) for one in found])
        return
    _print(ctx, repo, found, oneline=oneline, graph=graph, stat=stat)


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
    try:
        pattern = re.compile(author or "", re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"--author is a pattern: {error}") from None
    return (
        (commit_id, commit)
        for commit_id, commit in found
        if (first is None or commit.time >= first)
        and (last is None or commit.time <= last)
        and pattern.search(commit.author)
    )


def _print(
    ctx: Context,
    repo: Repository,
    found: Iterable[Found],
    *,
    oneline: bool,
    graph: bool,
    stat: bool,
) -> None:
    names = commits.decorations(repo)
    drawing = _Drawing(repo, list(found)) if graph else None
    first = True
    for commit_id, commit in found if drawing is None else drawing.commits:
        lines = list(_text(ctx, repo, (commit_id, commit), names, oneline=oneline, stat=stat))
        if not oneline and not first:
            lines = lines if drawing is not None else ["", *lines]
        if drawing is not None:
            lines = drawing.beside(commit_id, lines, spaced=not oneline)
        first = False
        for line in lines:
            ctx.show(line)


def _text(
    ctx: Context,
    repo: Repository,
    found: Found,
    names: commits.Decorations,
    *,
    oneline: bool,
    stat: bool,
) -> Iterator[str]:
    if oneline:
        yield commits.oneline(ctx, *found, names)
    else:
        yield from commits.full_text(ctx, *found, names)
    if stat:
        from voyager.commands.changes import tally_of
        from voyager.repo.diff import diff

        commit_id, commit = found
        before = repo.dataset_of(commit.parent_ids[0] if commit.parents else None)
        tally = tally_of(diff(before, repo.dataset_of(commit_id)))
        yield from () if oneline else ("",)
        yield from tally.table()


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
