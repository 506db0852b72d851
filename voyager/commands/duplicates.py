"""`vgr duplicates`: find what is in a version twice, and take it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.guard_text import like_text, offer_json, offer_lines
from voyager.commands.page_file import check_page_file
from voyager.commands.reports import quoted, shown_keys
from voyager.commands.sizes import counted
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Iterator

    from voyager.curate.duplicates import Duplicates
    from voyager.curate.groups import Group

_SEMANTIC = "semantic"
_MOST = 50
_MOST_MEMBERS = 10


def run(
    ctx: Context,
    revision: Annotated[
        str | None, typer.Argument(metavar="REV", help="the version (what is staged)")
    ] = None,
    *,
    kind: Annotated[
        str | None, typer.Option(metavar="K,…", help="bytes, pixels, near, semantic")
    ] = None,
    across: Annotated[
        str | None, typer.Option(metavar="S,…", help="only of one split in another")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="N", help="distance of near or semantic, 0 to 100")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="of semantic: default, a folder, or a run (search.model)"
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with the pictures")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="take all but those to keep out")
    ] = False,
    merge_labels: Annotated[
        bool, typer.Option("--merge-labels", help="--remove, and keep what was said of them")
    ] = False,
) -> None:
    """Find images that are in a version twice, and suggest which to keep.

    KIND: bytes, the same file; pixels, the same pixels in another file; near, the same picture:
    encoded anew, resized, brightened, mirrored, cropped a little or covered in a part; semantic,
    of near embeddings (only when asked for). Of images that hang together that is kept which is of
    a protected split, else the largest, else of which most is said; and whichever is no duplicate
    of one that is kept.

    --remove takes the others out of the next version as vgr rm does, in one operation (vgr undo).
    --merge-labels gives those that are kept what was said of the others: regions where the pixels
    are the same, else only what is said of the whole image.

    The exit code is 0 whether any are found or not; vgr guard check fails where a copy leaks.

    JSON: [{"a": the one to keep, "b", "kind", "distance"}]; with --remove {"removed": [key],
    "labels": how many go, "offers": [{"key", "labels", "regions", "meta", "contradicting"}],
    "left": [key] whose regions are not taken, "taken"}.

    Example:
      $ vgr duplicates
      $ vgr duplicates v1 --kind near --across train,test --html pairs.html
      $ vgr duplicates --merge-labels
    """
    from voyager.commands.models import looks_model
    from voyager.curate.duplicates import USUAL, find_duplicates

    check_page_file(html)
    repo = ctx.open_repository()
    removing = remove or merge_labels
    if removing and revision is not None:
        raise UsageError("duplicates are removed from what is staged", hint="leave out REV")
    version = repo.staged() if revision is None else repo.at(revision)
    kinds = USUAL if kind is None else _parts(kind)
    found = find_duplicates(
        repo,
        version,
        kinds,
        across=None if across is None else _parts(across),
        threshold=threshold,
        model=looks_model(repo, model) if model is not None or _SEMANTIC in kinds else None,
        progress=ctx.progress("looking at images"),
    )
    if html is not None:
        from voyager.commands.duplicates_page import write_page

        write_page(html, version, found, revision or "what is staged")
        ctx.say(f"{html}: {counted(len(found.groups), 'group')}")
    elif not ctx.json:
        _show(ctx, version, found)
    _tell_unchecked(ctx, found)
    if removing:
        _remove(ctx, repo, version, found, merge_labels=merge_labels)
    elif ctx.json:
        ctx.emit([pair._asdict() for pair in found.pairs])


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _show(ctx: Context, version: Dataset, found: Duplicates) -> None:
    for group in found.groups[:_MOST]:
        for line in group_lines(version, group):
            ctx.show(line)
    if len(found.groups) > _MOST:
        ctx.show(f"… and {len(found.groups) - _MOST:,} more groups (--json lists all pairs)")
    spare = sum(len(group.removed) for group in found.groups)
    groups = f" in {counted(len(found.groups), 'group')}" if found.groups else ""
    ctx.say(f"{counted(spare, 'duplicate')}{groups} of {counted(found.images, 'image')}")
    if found.plain:
        ctx.say(f"too plain to be near anything: {counted(found.plain, 'image')}")


def group_lines(version: Dataset, group: Group) -> Iterator[str]:
    """`keep    train/a.jpg (400×533, train, 1 label)`, and what is like it below."""
    for member in group.members[:_MOST_MEMBERS]:
        sample = version[member.key]
        size = f"{sample.image.width}×{sample.image.height}"
        said = [size, sample.split or "no split", counted(len(sample.labels), "label")]
        said += [counted(len(sample.regions), "region")] if sample.regions else []
        verb = "keep" if member.instead is None else "remove"
        yield f"{verb:<8}{quoted(member.key)} ({', '.join(said)})"
        if member.instead is not None or member is not group.keeper:
            pair = member.pair
            yield f"        {like_text(pair.kind, quoted(member.partner), pair.distance)}"
    if len(group.members) > _MOST_MEMBERS:
        yield f"        … and {len(group.members) - _MOST_MEMBERS:,} more"


def _tell_unchecked(ctx: Context, found: Duplicates) -> None:
    if found.unchecked:
        ctx.warn(f"unchecked, not here or not decodable: {counted(len(found.unchecked), 'image')}")
        for line in [] if ctx.json else shown_keys(found.unchecked):
            ctx.say(line)


def _remove(
    ctx: Context, repo: Repository, version: Dataset, found: Duplicates, *, merge_labels: bool
) -> None:
    from voyager.curate.removal import remove_duplicates

    done = remove_duplicates(repo, found.groups, merge_labels=merge_labels)
    vocabulary = version.vocabulary
    if ctx.json:
        offers = [offer_json(vocabulary, key, offer) for key, offer in done.offers.items()]
        answer = {"removed": done.removed, "labels": done.labels, "offers": offers}
        ctx.emit({**answer, "left": done.left, "taken": merge_labels})
    labels = f" with {counted(done.labels, 'label')}" if done.labels else ""
    ctx.say(f"removed {counted(len(done.removed), 'sample')}{labels}")
    for line in shown_keys(done.removed):
        ctx.say(line)
    for line in offer_lines(vocabulary, done.offers, took=merge_labels, flag="--merge-labels"):
        ctx.say(line)
    for key in done.left[:_MOST] if merge_labels else ():
        ctx.say(f"regions of {quoted(key)} are not taken: its pixels are not the same")
