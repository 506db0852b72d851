"""`vgr add`: stage images and other files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from voyager.commands.bound_text import bound_json, taken_text
from voyager.commands.context import Context
from voyager.commands.reports import capped, quoted, shown_pairs
from voyager.commands.sizes import counted
from voyager.errors import UsageError
from voyager.repo.add import Added, Options, add
from voyager.repo.bound import STUCK
from voyager.schema.vocabulary import CATEGORY


def run(
    ctx: Context,
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH", help="files, folders or globs")
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("-A", "--all", help="stage deletions too; without PATH, everywhere")
    ] = False,
    update: Annotated[
        bool, typer.Option("-u", "--update", help="only what is tracked, deletions too")
    ] = False,
    to: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="copy files from outside in here")
    ] = None,
    split: Annotated[str | None, typer.Option(help="the split of new samples")] = None,
    split_from: Annotated[
        Literal["folder"] | None,
        typer.Option(help="take the split from a folder named train, val or test"),
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="(--class-from) the task (category)")
    ] = None,
    class_from: Annotated[
        Literal["folder"] | None,
        typer.Option(help="label new images with the class that their folder is called"),
    ] = None,
    as_file: Annotated[
        bool, typer.Option("--as-file", help="keep label files as files, unread")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="stage nothing if anything is skipped or damaged")
    ] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="take what .vgrignore ignores too")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would be staged")
    ] = False,
) -> int:
    """Stage images and other files.

    Images become samples, other files are kept as they are; the key is the path. An image that
    moved keeps its labels. Files that are gone stay in the next version unless -A or -u says
    otherwise. An image that labels wait for is theirs. A file of labels (COCO, VOC, …) is skipped,
    and --as-file keeps it as it is; of one that is bound (vgr bind) the edits are staged as labels.
    With something skipped the exit code is 10.

    JSON: {"added", "labeled", "modified", "removed", "labels", "renamed": [{"from", "to"}], "left",
    "skipped": [{"path", "reason"}], "noted", "label_files": [{"path", "format"}], "bound": as in
    vgr status, "held": [key]}; `labels` counts those that go with removed samples, `left` files
    that are gone and were left in.

    Example:
      $ vgr add .
      $ vgr add -A train
      $ vgr add --to 2026-03 --split val ~/camera
      $ vgr add train test --split-from folder --class-from folder
    """
    if not paths and not (everything or update):
        raise UsageError("vgr add wants PATH", hint="vgr add .")
    if task is not None and class_from is None:
        raise UsageError("--task says whose classes folders are", hint="--class-from folder")
    repo = ctx.open_repository()
    done = add(
        repo,
        paths or ["."],
        cwd=None if paths else repo.tree(),
        all=everything or update,
        tracked_only=update,
        to=to,
        options=Options(
            split,
            split_from == "folder",
            as_file,
            strict,
            (task or CATEGORY) if class_from is not None else None,
        ),
        force=force,
        dry_run=dry_run,
        progress=ctx.progress("adding"),
    )
    if ctx.json:
        ctx.emit(_as_json(done))
        return _exit_code(done)
    return _tell(ctx, done, dry_run=dry_run)


def _as_json(done: Added) -> dict[str, object]:
    return {
        "added": done.added,
        "labeled": done.labeled,
        "modified": done.modified,
        "removed": done.removed,
        "labels": done.removed_labels,
        "renamed": [{"from": old, "to": new} for old, new in done.renamed],
        "left": done.left,
        "skipped": [{"path": path, "reason": reason} for path, reason in done.skipped],
        "noted": [{"path": path, "reason": reason} for path, reason in done.noted],
        "label_files": [{"path": path, "format": form} for path, form in done.label_files],
        "bound": [bound_json(one) for one in done.bound],
        "held": [] if done.guard is None else [one.key for one in done.guard.done("hold")],
    }


def _exit_code(done: Added) -> int:
    from voyager.errors import EXIT_SKIPPED

    return EXIT_SKIPPED if done.skipped or done.label_files else 0


def _tell(ctx: Context, done: Added, *, dry_run: bool) -> int:
    verb = "would stage" if dry_run else "staged"
    if done.changes or not done.bound:
        ctx.say(f"{verb} {_summary(done)}")
    for one in done.bound:
        if one.state != "gone" and one.state not in STUCK:
            ctx.say(f"{verb} {taken_text(one)}")
    for line in shown_pairs(done.renamed):
        ctx.say(line)
    if done.left:
        were = "file is" if done.left == 1 else "files are"
        ctx.say(f"{done.left:,} tracked {were} gone; vgr add -A takes the rows out too")
    for line in _guard_lines(done):
        ctx.say(line)
    for key, reason in capped(done.noted):
        ctx.warn(f"{key}: {reason}")
    labels = [
        (
            key,
            f"holds {form} labels: vgr import {quoted(key)} takes them,"
            f" vgr add --as-file {quoted(key)} keeps it as a file",
        )
        for key, form in done.label_files
    ]
    return ctx.done_with_skips(list(capped([*done.skipped, *labels])))


def _guard_lines(done: Added) -> Iterator[str]:
    """What the guard did; its words are loaded only then."""
    if done.guard is not None and done.guard.decisions:
        from voyager.commands.guard_text import review_lines

        yield from review_lines(done.guard)


def _summary(done: Added) -> str:
    counts = {
        "added": done.added,
        "modified": done.modified,
        "renamed": len(done.renamed),
        "removed": done.removed,
    }
    parts = [f"{count:,} {word}" for word, count in counts.items() if count]
    if done.labeled:
        parts[0] += f" ({done.labeled:,} labeled)"
    if done.removed_labels:
        parts[-1] += f" (with {counted(done.removed_labels, 'label')})"
    return ", ".join(parts) or "nothing"
