"""`vgr search`: find images and regions by words, by pictures, and by what is like them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption
from voyager.commands.context import Context
from voyager.commands.search_options import (
    DEFAULT_COUNT,
    CountOption,
    ImageOption,
    LikeOption,
    ModelOption,
    UnlikeOption,
    query_of,
    run_query,
    show_hits,
)
from voyager.repo.dataset import Dataset
from voyager.search.query import Hit, Results

_NOTHING = 1
"""The exit code where nothing is found, as git grep has it."""


def run(
    ctx: Context,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help='words: red shoes, "phrases", -without')
    ] = None,
    *,
    image: ImageOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    regions: Annotated[
        bool | None,
        typer.Option("--regions/--images", help="find regions, or whole images"),
    ] = None,
    at: Annotated[str | None, typer.Option("--at", metavar="REV", help="in this version")] = None,
    where: WhereOption = None,
    split: Annotated[str | None, typer.Option(metavar="SPLIT", help="those of a split")] = None,
    class_: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="those of a class, or below it")
    ] = None,
    changed_since: Annotated[
        str | None,
        typer.Option("--changed-since", metavar="REV", help="those added or changed since"),
    ] = None,
    k: CountOption = DEFAULT_COUNT,
    exact: Annotated[
        bool, typer.Option("--exact", help="compare every vector, whatever their number")
    ] = False,
    model: ModelOption = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="a page of what was found")
    ] = None,
) -> int:
    """Find images and regions: by words, by pictures, and by what is like them.

    TEXT is looked for in classes and their aliases, captions, meta, attributes and keys; where the
    model knows words, among looks as well. All its words must be there; "…" is a phrase, -word
    leaves out, word* begins so, word~ may be misspelled. Several kinds at once are fused by their
    places. --like KEY#2 finds regions, others images (--regions, --images). The version is by
    default what the next commit would hold. Embeddings that lack are computed, once per image ever.

    The exit code is 1 where nothing is found. -v says how the search was done (docs/search.md).

    JSON: [{"key", "region", "score", "why"}], the best first.

    Example:
      $ vgr search "red shoes -heels"
      $ vgr search --image ~/couch.jpg --where "split = 'train'"
      $ vgr search --like kitchen/1.jpg#2 -k 50 --html couches.html
      $ vgr search stripes --at v1 --class clothes/shirt
    """
    repo = ctx.open_repository()
    version = repo.staged() if at is None else repo.at(at)
    query = query_of(
        repo,
        text,
        image,
        like,
        unlike,
        of=None if regions is None else "regions" if regions else "images",
        where=where,
        split=split,
        class_=class_,
        changed_since=changed_since,
        k=k,
        exact=exact,
    )
    found = run_query(ctx, repo, version, query, model)
    if html is not None:
        from voyager.commands.search_page import write_page

        write_page(ctx, html, version, query, found)
    else:
        _show(ctx, version, found, reasons=text is not None)
    return 0 if found.hits else _NOTHING


def _show(ctx: Context, version: Dataset, found: Results, *, reasons: bool) -> None:
    if ctx.json:
        ctx.emit(list(map(_as_json, found)))
        return
    show_hits(ctx, version, found, reasons=reasons)
    if not found.hits:
        ctx.say("nothing found")


def _as_json(hit: Hit) -> dict[str, object]:
    region = None if hit.region is None else hit.region.hex()
    return {"key": hit.key, "region": region, "score": round(hit.score, 6), "why": hit.why}
