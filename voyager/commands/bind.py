"""`vgr bind`: keep a label file in step with HEAD, and edit labels in it."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.format_options import parse_settings, show_report
from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import UsageError
from voyager.repo.bound import Binding, bindings
from voyager.repo.repository import Repository


def run(
    ctx: Context,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="a file of the working tree")
    ] = None,
    *,
    format: Annotated[
        str | None, typer.Option("--format", metavar="F", help="coco, jsonl or table")
    ] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="EXPR", help="only samples for which it holds")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", metavar="T", help="the task whose classes are written")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="an option of the format"),
    ] = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="replace a file that says something else")
    ] = False,
) -> None:
    """Keep a label file in step with HEAD, and edit labels in it.

    The file is written, and written anew when a commit, switch, checkout, reset --hard, stash or
    undo changes labels. Edit it with any tool: vgr status says in words of labels how, vgr add FILE
    stages the edits, and nothing overwrites them before that. It is never versioned as a file.
    Without FILE the bound files are listed.

    JSON: {"key", "format", "where", "task", "settings", "samples", "regions", "labels", "report"},
    without FILE [{"key", "format", "where", "task", "settings"}].

    Example:
      $ vgr bind annotations.json --format coco
      $ vgr bind labels.jsonl --format jsonl --where "split = 'train'"
    """
    repo = ctx.open_repository()
    if file is None:
        _list(ctx, repo)
        return
    if format is None:
        raise UsageError("vgr bind wants --format", hint=f"vgr bind {file} --format coco")
    from voyager.formats.binding import bind

    done = bind(
        repo,
        key_of(repo, file),
        format,
        where=where,
        task=task,
        settings=parse_settings(settings),
        force=force,
    )
    if ctx.json:
        counts = {"samples": done.samples, "regions": done.regions, "labels": done.labels}
        ctx.emit({**done.binding.as_value(), **counts, "report": done.report.as_json()})
        return
    ctx.say(
        f"bound {quoted(done.binding.key)}: {counted(done.samples, 'sample')},"
        f" {counted(done.regions, 'region')}, {counted(done.labels, 'label')}"
    )
    show_report(ctx, done.report)


def _list(ctx: Context, repo: Repository) -> None:
    found = bindings(repo).values()
    if ctx.json:
        ctx.emit([one.as_value() for one in found])
    for one in found:
        ctx.show(f"{quoted(one.key)}: {_described(one)}")


def _described(one: Binding) -> str:
    words = [one.format]
    words += [f"--task {one.task}"] if one.task is not None else []
    words += [f"--where {one.where}"] if one.where is not None else []
    return " ".join([*words, *(f"--set {name}={value}" for name, value in one.settings.items())])
