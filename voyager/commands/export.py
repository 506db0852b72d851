"""`vgr export`: write a version in the format of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from voyager.commands.context import Context
from voyager.commands.format_options import parse_settings, show_report
from voyager.commands.sizes import counted
from voyager.commands.words import key_of


def run(
    ctx: Context,
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="a new folder or file")],
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="KEY", help="only these samples")
    ] = None,
    *,
    format: Annotated[str, typer.Option("--format", metavar="F", help="the format to write")],
    at: Annotated[
        str | None, typer.Option("--at", metavar="REV", help="the version; else HEAD")
    ] = None,
    staged: Annotated[
        bool, typer.Option("--staged", help="what the next commit would hold; not recorded")
    ] = False,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="only samples for which it holds")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="T", help="the task whose classes are written")
    ] = None,
    images: Annotated[
        Literal["copy", "link", "none"], typer.Option("--images", help="what to do with images")
    ] = "copy",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an option of the format"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="fail when something would be lost")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="write into a folder that is not empty")
    ] = False,
    allow_conflicts: Annotated[
        bool, typer.Option("--allow-conflicts", help="fields in conflict as in the base")
    ] = False,
) -> None:
    """Write a version in the format of another tool.

    What is written are answers: of several labels of a task the one that its policy chooses. What
    the format cannot hold is reported, and not counted. An export of a commit is recorded
    (vgr-export.json), so that vgr import takes back only what was edited.

    JSON: {"path", "commit", "samples", "regions", "labels", "report": [{"class", "kind", "count",
    "examples"}]}.

    Example:
      $ vgr export out --format coco
      $ vgr export yolo --format yolo --at v2 --where "split = 'train'"
      $ vgr export labels.jsonl --format jsonl
    """
    repo = ctx.open_repository()
    from voyager.formats.exporting import export
    from voyager.formats.registry import format_named
    from voyager.formats.writing import WriteOptions

    form = format_named(format)
    version = repo.staged() if staged else repo.at(at or "HEAD")
    done = export(
        repo,
        version,
        target,
        form,
        WriteOptions(task=task, images=images, settings=parse_settings(settings)),
        where=where,
        keys=[key_of(repo, key) for key in keys or ()],
        strict=strict,
        force=force,
        allow_conflicts=allow_conflicts,
        progress=ctx.progress(f"writing {form.title}"),
    )
    if ctx.json:
        ctx.emit(done.as_json())
        return
    ctx.say(
        f"wrote {counted(done.samples, 'sample')}, {counted(done.regions, 'region')},"
        f" {counted(done.labels, 'label')} as {form.title} to {target}"
    )
    show_report(ctx, done.report)
    if done.hint is not None:
        ctx.say(f"hint: {done.hint}")
