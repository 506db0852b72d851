"""`vgr predictions`: what models say of samples, kept beside the dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands.commits import date_text, short_id
from voyager.commands.context import Context
from voyager.commands.sizes import counted
from voyager.repo import predictions
from voyager.schema import sample_to_json

app = typer.Typer(
    help="""Say what models said of samples, kept beside the dataset.

    vgr import --predictions NAME makes a set, vgr diff main predictions:NAME compares with it, and
    vgr label --from-predictions NAME takes what it says into the staging area.

    Example:
      $ vgr import results.json --predictions detector
      $ vgr predictions ls
    """
)

DEFAULT = "ls"

_Name = Annotated[str, typer.Argument(metavar="NAME", help="a prediction set")]


@app.command()
def ls(ctx: Context) -> None:
    """List the prediction sets.

    JSON: [{"name", "commit", "samples", "message", "time"}].

    Example:
      $ vgr predictions ls
    """
    found = predictions.prediction_sets(ctx.open_repository())
    if ctx.json:
        ctx.emit(
            [
                {
                    "name": one.name,
                    "commit": one.commit.hex(),
                    "samples": one.samples,
                    "message": one.message,
                    "time": one.time,
                }
                for one in found
            ]
        )
    for one in found:
        when, said = date_text(one.time, one.zone), counted(one.samples, "sample")
        ctx.show(f"{one.name}  {short_id(one.commit)}  {when}  {said}: {one.message}")


@app.command()
def show(ctx: Context, name: _Name) -> None:
    """Show what a set says, a JSON line for each sample.

    JSON: lines as of vgr show, with the sample's key where it is in the next version.

    Example:
      $ vgr predictions show detector
    """
    repo = ctx.open_repository()
    version = repo.staged()
    for said in predictions.iter_predictions(repo, name):
        key = version.lookups.key_of(said.uid)
        line = sample_to_json(key or "", said, version.vocabulary.resolve)
        if ctx.json:
            ctx.emit_line(line)
        else:
            words = f"{counted(len(said.regions), 'region')}, {counted(len(said.labels), 'label')}"
            ctx.show(f"{key or said.uid.hex()}: {words}")


@app.command()
def rm(ctx: Context, name: _Name) -> None:
    """Forget a prediction set; vgr undo brings it back.

    JSON: {"removed"}.

    Example:
      $ vgr predictions rm detector
    """
    predictions.drop_predictions(ctx.open_repository(), name)
    if ctx.json:
        ctx.emit({"removed": name})
    ctx.say(f"removed prediction set '{name}'")
