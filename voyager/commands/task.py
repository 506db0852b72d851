"""Tasks: the questions asked of samples and regions, and what may answer them.

A category task has a taxonomy, whose classes are its answers; others take text, a number, or yes
and no. A task may ask images, regions or both, and take one answer of each source, or many.

Example:
  $ vgr task add color --taxonomy palette --on region --many
  $ vgr task add pose --on region --keypoints nose,left_eye,right_eye --flip left_eye-right_eye
  $ vgr task ls
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted
from voyager.commands.task_words import (
    given_fields,
    in_words,
    promoted_json,
    read_answer,
    read_skeleton,
    task_json,
    tell_promoted,
    value_text,
)
from voyager.errors import UsageError
from voyager.repo import tasks
from voyager.repo.class_use import task_counts
from voyager.repo.taxonomies import COUNTED_BELOW, words_of_use
from voyager.schema.task import Overlap, TaskKind, TaskScope

app = typer.Typer()
DEFAULT = "ls"

_Name = Annotated[str, typer.Argument(metavar="NAME", help="the task")]
_Taxonomy = Annotated[
    str | None, typer.Option(metavar="T", help="the taxonomy of its classes (NAME)")
]
_Kind = Annotated[TaskKind | None, typer.Option(help="what answers are (category)")]
_On = Annotated[TaskScope | None, typer.Option("--on", help="what it is asked of (both)")]
_Many = Annotated[
    bool | None, typer.Option("--many/--one", help="how many answers a source may give (one)")
]
_Ordered = Annotated[
    bool | None, typer.Option("--ordered/--unordered", help="whether its classes have an order")
]
_Overlap = Annotated[
    Overlap | None, typer.Option(help="whether regions may overlap, or part the image (allowed)")
]
_AppliesTo = Annotated[
    str | None, typer.Option(metavar="PATH", help="ask only things of this class, or below it")
]
_Answer = Annotated[
    str | None,
    typer.Option(metavar="VOICE,…", help="whose labels answer, best first: [verified-]KIND[:NAME]"),
]
_Description = Annotated[str | None, typer.Option(metavar="TEXT", help="what is asked, in words")]
_SkeletonFile = Annotated[
    Path | None, typer.Option("--skeleton", metavar="FILE", help="keypoints as JSON, COCO's too")
]
_Keypoints = Annotated[str | None, typer.Option(metavar="A,B,…", help="names of keypoints")]
_Edges = Annotated[str | None, typer.Option(metavar="A-B,…", help="which keypoints are joined")]
_Flip = Annotated[
    str | None, typer.Option(metavar="L-R,…", help="which change places in a mirrored image")
]
_DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="only tell what would change")]


@app.command("ls")
def list_tasks(ctx: Context) -> None:
    """List the tasks.

    JSON: a line for each, as of vgr task show.

    Example:
      $ vgr task ls
    """
    vocabulary = ctx.open_repository().staged().vocabulary
    width = max(map(len, vocabulary.tasks), default=0)
    for name, task in sorted(vocabulary.tasks.items()):
        if ctx.json:
            ctx.emit_line(task_json(vocabulary, name, task))
        ctx.show(f"{name:<{width}}  {in_words(task)}")


@app.command("show")
def show(
    ctx: Context,
    name: _Name,
    *,
    counts: Annotated[
        bool, typer.Option("--counts", help="count its labels, however many samples")
    ] = False,
) -> None:
    """Show all there is to know of a task.

    Its labels are counted below 20,000 samples, and else with --counts.

    JSON: {"name", "kind", "taxonomy", "scope", "many", "ordered", "overlap", "applies_to",
    "answer", "description", "skeleton": {"names", "edges", "flips", "sigmas"}, "labels"}; labels
    is null where nobody counted.

    Example:
      $ vgr task show color
    """
    version = ctx.open_repository().staged()
    vocabulary = version.vocabulary
    task = tasks.task_named(vocabulary, name)
    told = task_json(vocabulary, name, task)
    if counts or len(version) < COUNTED_BELOW:
        told["labels"] = task_counts(version, progress=ctx.progress("counting"))[name]
    if ctx.json:
        ctx.emit(told)
        return
    for field, value in told.items():
        if value not in (None, "", False):
            ctx.show(f"{field + ':':<13} {value_text(value)}")


@app.command("add")
def add(
    ctx: Context,
    name: _Name,
    *,
    taxonomy: _Taxonomy = None,
    kind: _Kind = None,
    scope: _On = None,
    many: _Many = None,
    ordered: _Ordered = None,
    overlap: _Overlap = None,
    applies_to: _AppliesTo = None,
    answer: _Answer = None,
    description: _Description = None,
    skeleton: _SkeletonFile = None,
    keypoints: _Keypoints = None,
    edges: _Edges = None,
    flip: _Flip = None,
    from_attr: Annotated[
        str | None,
        typer.Option(metavar="ATTR", help="make this attribute of regions labels of the task"),
    ] = None,
    dry_run: _DryRun = False,
) -> None:
    """Add a task.

    Without --taxonomy and --kind it is a category task with a taxonomy of its own name, which is
    made where there is none. --from-attr takes the attribute off the regions: each value becomes a
    label by the region's source, its class made where it is new. What does not fit stays as it is.

    JSON: as of vgr task show, with "promoted": {"labels", "samples", "left": {value: count}}.

    Example:
      $ vgr task add color --taxonomy palette --on region --many
      $ vgr task add occluded --kind bool --from-attr occluded
    """
    fields = given_fields(
        taxonomy=taxonomy,
        kind=kind,
        scope=scope if scope is not None or from_attr is None else "region",
        many=many,
        ordered=ordered,
        overlap=overlap,
        applies_to=applies_to,
        description=description,
        answer=read_answer(answer),
        skeleton=read_skeleton(skeleton, keypoints, edges, flip),
    )
    repo = ctx.open_repository()
    done = tasks.add_task(
        repo,
        name,
        fields,
        from_attribute=from_attr,
        dry_run=dry_run,
        progress=ctx.progress("promoting"),
    )
    if ctx.json:
        told = task_json(repo.staged().vocabulary, name, done.task)
        ctx.emit({**told, "promoted": promoted_json(done.promotion)})
    ctx.say(f"{'would add' if dry_run else 'added'} task {name}: {in_words(done.task)}")
    if done.made_taxonomy:
        ctx.say(f"with a new taxonomy '{done.task.taxonomy}'")
    if done.promotion is not None:
        tell_promoted(ctx, done.promotion, dry_run=dry_run)


@app.command("set")
def set_fields(
    ctx: Context,
    name: _Name,
    *,
    taxonomy: _Taxonomy = None,
    kind: _Kind = None,
    scope: _On = None,
    many: _Many = None,
    ordered: _Ordered = None,
    overlap: _Overlap = None,
    applies_to: _AppliesTo = None,
    answer: _Answer = None,
    description: _Description = None,
    skeleton: _SkeletonFile = None,
    keypoints: _Keypoints = None,
    edges: _Edges = None,
    flip: _Flip = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="even if labels do not agree with it then")
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Change a task; an empty text clears what it sets.

    A change that labels do not agree with needs --force; vgr fsck counts them afterwards.

    JSON: as of vgr task show, with "violations": in how many places labels
    do not agree.

    Example:
      $ vgr task set color --one
      $ vgr task set smiling --applies-to category/person
    """
    fields = given_fields(
        taxonomy=taxonomy,
        kind=kind,
        scope=scope,
        many=many,
        ordered=ordered,
        overlap=overlap,
        applies_to=applies_to,
        description=description,
        answer=read_answer(answer),
        skeleton=read_skeleton(skeleton, keypoints, edges, flip),
    )
    if not fields:
        raise UsageError("nothing to change", hint="vgr task set --help")
    repo = ctx.open_repository()
    done = tasks.set_task(
        repo, name, fields, force=force, dry_run=dry_run, progress=ctx.progress("checking")
    )
    if ctx.json:
        told = task_json(repo.staged().vocabulary, name, done.after)
        ctx.emit({**told, "violations": done.violations})
    would = "would be" if dry_run else "is now"
    same = done.before == done.after
    ctx.say(f"task {name} {'is' if same else would}: {in_words(done.after)}")
    if done.made_taxonomy:
        ctx.say(f"with a new taxonomy '{done.after.taxonomy}'")
    if done.violations:
        verb = "would violate" if dry_run else "violates"
        ctx.say(f"what is said in {counted(done.violations, 'place')} {verb} it")


@app.command("rm")
def remove(
    ctx: Context,
    name: _Name,
    *,
    drop_labels: Annotated[
        bool, typer.Option("--drop-labels", help="and all that is said for it")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="leave its labels without a task")
    ] = False,
    dry_run: _DryRun = False,
) -> None:
    """Remove a task; its taxonomy stays.

    JSON: {"removed", "labels", "samples", "dropped"}.

    Example:
      $ vgr task rm color --drop-labels
    """
    repo = ctx.open_repository()
    use = tasks.remove_task(
        repo,
        name,
        drop_labels=drop_labels,
        force=force,
        dry_run=dry_run,
        progress=ctx.progress("counting"),
    )
    if ctx.json:
        ctx.emit(
            {
                "removed": name,
                "labels": use.labels,
                "samples": use.samples,
                "dropped": drop_labels,
            }
        )
    ctx.say(f"{'would remove' if dry_run else 'removed'} task {name}")
    if use:
        left = "dropped" if drop_labels else "left without a task"
        ctx.say(f"{words_of_use(use)}: {left}")
