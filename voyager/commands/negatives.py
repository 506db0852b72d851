"""`vgr negatives`: say what is verified not to be in samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.labels import is_key, tell_changed
from voyager.errors import UsageError
from voyager.repo import label_edits
from voyager.repo.assignments import part_words, read_value
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.staged_edit import StagedEdit


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY|TASK=CLASS", help="samples, then what is not in them"),
    ] = None,
    *,
    where: WhereOption = None,
    remove: Annotated[bool, typer.Option("--rm", help="it is not known any more")] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="even where a label says the contrary")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Say that classes are verified not to be in samples, nor anything below them.

    This is more than not labeled: training and search take it for an answer. It is refused where a
    label says the contrary. Without a class they are shown.

    JSON: {"samples", "regions", "labels", "keys"}; shown, a line for each sample {"key",
    "negatives"}.

    Example:
      $ vgr negatives train/1.jpg category=animals category=vehicles
      $ vgr negatives --where "split = 'test'" category=animals
      $ vgr negatives train/1.jpg category=animals --rm
      $ vgr negatives train/1.jpg
    """
    repo = ctx.open_repository()
    with StagedEdit(repo, "negatives", " ".join(words or ()), dry_run=dry_run) as edit:
        words_of_keys, said = part_words(
            words or [],
            edit.draft.tasks,
            is_key=is_key(repo, edit.version),
            after_dashes=ctx.after_dashes,
        )
        if not said and remove:
            raise UsageError("nothing is said", hint="vgr negatives KEY TASK=CLASS --rm")
        classes = []
        for task, operator, text in said:
            node = read_value(edit.draft, task, text) if text else ""
            if operator != "=" or not isinstance(node, bytes):
                raise UsageError(
                    f"'{task}{operator}{text}' is not TASK=CLASS", hint="--rm takes it back"
                )
            classes.append((task, node))
        keys = chosen_samples(ctx, repo, edit.version, words_of_keys, where)
        done = label_edits.put_negatives(
            edit, edit.draft, keys, classes, remove=remove, force=force
        )
    if said:
        tell_changed(ctx, done, dry_run=dry_run)
    else:
        _show(ctx, edit.version, keys)


def _show(ctx: Context, version: Dataset, keys: Sequence[str]) -> None:
    words = version.vocabulary
    for key in keys:
        found = version[key].negatives
        if ctx.json:
            paths = {
                task: [words.resolve(task, node) or node.hex() for node in nodes]
                for task, nodes in found.items()
            }
            ctx.emit_line({"key": key, "negatives": paths})
        said = ", ".join(
            f"{task}={words.told(task, node)}" for task, nodes in found.items() for node in nodes
        )
        ctx.show(f"{shown(key)}: {said or 'none'}")
