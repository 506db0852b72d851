"""`vgr runs`: list the trainings, look at them, compare them, take them out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context

app = typer.Typer(
    help="""List the trainings, look at them, compare them, take them out.

    A run is what vgr train leaves: the commit, all settings, what came of each epoch, the weights.
    It is named by its id, its name, or a unique beginning of its id of 4 digits or more.

    Example:
      $ vgr runs
      $ vgr runs show 5566
      $ vgr runs diff 5566 hats-long
      $ vgr runs export 5566 ../model
    """
)

DEFAULT = "ls"

_Run = Annotated[str, typer.Argument(metavar="RUN", help="its id, a beginning of it, or its name")]


@app.command()
def ls(
    ctx: Context,
    *,
    commit: Annotated[
        str | None, typer.Option(metavar="REV", help="only those of a commit")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="only those that learned it")
    ] = None,
) -> None:
    """List the runs, the newest first.

    A run is running, stopped (vgr train --resume goes on with it), failed, or finished and in the
    store, where gc keeps it and vgr push --runs finds it.

    JSON: [{"run", "commit", "state", "metrics", "name", "model", "tasks", "author", "time",
    "seconds", "weights", "start"}].

    Example:
      $ vgr runs
      $ vgr runs --commit v1 --task category
    """
    from voyager.commands.runs_text import list_lines, run_as_json
    from voyager.train.listing import iter_listed

    repo = ctx.open_repository()
    at = None if commit is None else repo.resolve(commit)
    found = list(iter_listed(repo, commit=at, task=task))
    if ctx.json:
        ctx.emit([run_as_json(run) for run in found])
    for line in list_lines(ctx, found):
        ctx.show(line)
    if not found and commit is None and task is None:
        ctx.say("no runs yet")
        ctx.say("hint: vgr train --task TASK")
    elif not found:
        ctx.say("no such runs")


@app.command()
def show(ctx: Context, name: _Run) -> None:
    """Show all that is recorded of a run.

    JSON: the record {"run", "commit", "state", "config", "epochs", "metrics", …} with "files":
    {name: {"blob", "bytes"}} and "predictions": the commit of what it said, or null.

    Example:
      $ vgr runs show 5566
    """
    from voyager.commands.runs_text import show_as_json, show_lines
    from voyager.train.listing import find_listed

    repo = ctx.open_repository()
    run = find_listed(repo, name)
    if ctx.json:
        ctx.emit(show_as_json(repo, run))
        return
    for line in show_lines(ctx, repo, run):
        ctx.show(line)


@app.command()
def diff(
    ctx: Context,
    one: Annotated[str, typer.Argument(metavar="A", help="a run")],
    other: Annotated[str, typer.Argument(metavar="B", help="another run")],
) -> None:
    """Lay two runs side by side: data, settings, measures and weights.

    Of the data it says what changed between their commits, as vgr diff --stat does.

    JSON: {"runs", "config": {name: [A, B]}, "surroundings": {name: [A, B]}, "data": {"from", "to",
    "changes": {scope: {kind: count}}}, "metrics": [{"where", "task", "measure", "values"}],
    "weights": whether they are the same, null where one has none}.

    Example:
      $ vgr runs diff 5566 a71c
    """
    from voyager.commands.runs_difference import compare, difference_as_json, difference_lines
    from voyager.train.listing import find_listed

    repo = ctx.open_repository()
    found = compare(repo, find_listed(repo, one), find_listed(repo, other))
    if ctx.json:
        ctx.emit(difference_as_json(found))
        return
    for line in difference_lines(ctx, repo, found):
        ctx.show(line)


@app.command()
def rm(
    ctx: Context,
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="ids, or names")],
) -> None:
    """Forget runs, finished or stopped; vgr undo brings each back.

    Weights and logs stay in the store until vgr gc takes what no operation remembers any more. A
    remote keeps its own: vgr push REMOTE --delete runs/ID.

    JSON: {"removed": [ids]}.

    Example:
      $ vgr runs rm 5566
    """
    from voyager.train.listing import drop_listed, find_listed

    repo = ctx.open_repository()
    runs = {run.id: run for run in (find_listed(repo, name) for name in names)}
    for run in runs.values():
        drop_listed(repo, run)
        ctx.say(f"removed run {run.id}")
    if ctx.json:
        ctx.emit({"removed": list(runs)})


@app.command()
def export(
    ctx: Context,
    name: _Run,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="a new or empty folder")],
) -> None:
    """Write a run as plain files: its weights, what is recorded of it, its log and its classes.

    weights.safetensors opens in any library; classes.txt has the classes in the order of the
    network's outputs; record.json is all that is recorded; log.jsonl and log.csv have each step and
    epoch.

    JSON: {"run", "files": [paths]}.

    Example:
      $ vgr runs export 5566 ../model
    """
    from voyager.train.listing import find_listed
    from voyager.train.run_export import export_run

    repo = ctx.open_repository()
    run = find_listed(repo, name)
    written = export_run(repo, run, directory)
    if ctx.json:
        ctx.emit({"run": run.id, "files": [str(path) for path in written]})
    for path in written:
        ctx.say(str(path))
