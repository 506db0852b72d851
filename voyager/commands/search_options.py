"""The options of commands that search, and the query that they make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from voyager.commands.context import Context
from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.search.query import USUAL_HITS, Hit, Of, Query, Results

ImageOption: TypeAlias = Annotated[
    list[Path] | None, typer.Option("--image", metavar="FILE", help="what looks like this picture")
]
LikeOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--like", metavar="KEY[#REGION]", help="what looks like a sample or region, or many"
    ),
]
UnlikeOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--unlike", metavar="KEY[#REGION]", help="and rather not like this"),
]
CountOption: TypeAlias = Annotated[
    int, typer.Option("-k", metavar="N", min=1, help="the best N of what is found")
]
ModelOption: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="of looks: default, a folder, or a run (search.model)"),
]

DEFAULT_COUNT = USUAL_HITS
_MOST_NAMED = 3


def query_of(
    repo: Repository,
    text: str | None,
    images: Sequence[Path] | None,
    like: Sequence[str] | None,
    unlike: Sequence[str] | None,
    *,
    of: Of | None = None,
    where: str | None = None,
    split: str | None = None,
    class_: str | None = None,
    changed_since: str | None = None,
    k: int = USUAL_HITS,
    exact: bool = False,
) -> Query:
    """The query that options say; keys are as seen from the current folder."""
    return Query(
        text,
        images=tuple(images or ()),
        like=tuple(key_of(repo, name) for name in like or ()),
        unlike=tuple(key_of(repo, name) for name in unlike or ()),
        of=of,
        where=where,
        split=split,
        class_=class_,
        changed_since=changed_since,
        k=k,
        exact=exact,
    )


def run_query(
    ctx: Context, repo: Repository, version: Dataset, query: Query, model: str | None
) -> Results:
    """Search, with progress, and tell what could not be searched."""
    from voyager.search.searcher import Searcher

    found = Searcher(repo, _model(repo, query, model)).search(version, query, ctx.progress)
    _tell_absent(ctx, found.absent, "not here", "; vgr get brings them")
    _tell_absent(ctx, found.broken, "broken", "")
    if ctx.verbose:
        for line in found.plan:
            ctx.say(ctx.style(line, "dim"))
    return found


def _model(repo: Repository, query: Query, given: str | None) -> str | None:
    """The model of looks; None for that of the setting where it is gone and words do without."""
    from voyager.commands.models import looks_model

    try:
        return looks_model(repo, given)
    except NotFoundError:
        if given is not None or query.shows_something:
            raise
        return None


def _tell_absent(ctx: Context, keys: Sequence[str], what: str, hint: str) -> None:
    if keys:
        named = ", ".join(map(quoted, keys[:_MOST_NAMED]))
        more = f" and {len(keys) - _MOST_NAMED:,} more" if len(keys) > _MOST_NAMED else ""
        verb = "was" if len(keys) == 1 else "were"
        images = counted(len(keys), "image")
        ctx.warn(f"{images} {verb} not searched, {what}: {named}{more}{hint}")


def show_hits(ctx: Context, version: Dataset, found: Results, *, reasons: bool = False) -> None:
    """A line for each hit: its score, what it is and, with `reasons`, why."""
    for hit in found:
        why = ctx.style(f"  {'; '.join(hit.why)}", "dim") if reasons else ""
        ctx.show(f"{hit.score:6.2f}  {hit_name(version, found, hit)}{why}")


def hit_name(version: Dataset, found: Results, hit: Hit) -> str:
    """The key; where regions were searched, with the number of the region."""
    if hit.region is None or found.of == "images":
        return shown(hit.key)
    places = {region.id: place for place, region in enumerate(version[hit.key].regions, 1)}
    return f"{shown(hit.key)}#{places[hit.region]}"
