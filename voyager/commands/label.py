"""`vgr label`: say what samples and regions are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from voyager.commands.choosing import Target, WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.labels import chosen_targets, is_key, state_of, tell_changed, voice_of
from voyager.commands.search_options import (
    DEFAULT_COUNT,
    ImageOption,
    LikeOption,
    ModelOption,
    UnlikeOption,
    query_of,
    run_query,
    show_hits,
)
from voyager.errors import UsageError
from voyager.repo import label_edits
from voyager.repo.assignments import known_task, part_words, read_assignments, written_paths
from voyager.repo.repository import Repository
from voyager.repo.staged_edit import StagedEdit
from voyager.schema import State
from voyager.search.query import Of, Query

_SEARCH = "model:search"
"""Who says it of what a search found, unless somebody else does."""


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY|TASK=CLASS", help="what is meant, then what it is"),
    ] = None,
    *,
    where: WhereOption = None,
    regions: Annotated[
        bool, typer.Option("--regions", help="mean the regions of the samples")
    ] = False,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="who says it: KIND[:NAME] (human)")
    ] = None,
    score: Annotated[float | None, typer.Option(metavar="X", help="how surely")] = None,
    state: Annotated[State | None, typer.Option(help="how far it is checked")] = None,
    accept: Annotated[bool, typer.Option("--accept", help="--state accepted")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="--state verified")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="--state rejected")] = False,
    task: Annotated[
        str | None, typer.Option(metavar="TASK", help="with a state alone: labels of this task")
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option(
            "--from-predictions",
            metavar="NAME",
            help="take what a prediction set says, as proposed",
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--from-search", metavar="TEXT", help="what vgr search finds for these words"),
    ] = None,
    image: ImageOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    k: Annotated[
        int | None,
        typer.Option("-k", metavar="N", min=1, help=f"the best N that are found ({DEFAULT_COUNT})"),
    ] = None,
    model: ModelOption = None,
    create: Annotated[bool, typer.Option("--create", help="make classes not yet there")] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Say what samples and regions are, or how far what is said of them is checked.

    TASK=CLASS stands instead of all that the source said for the task, TASK+=CLASS beside it;
    TASK-=CLASS takes it away, TASK= all. Keys come first, then assignments; -- ends keys. A key may
    be a folder or a glob; KEY#2 and KEY#1a2b are regions, KEY#* all of them. A state without an
    assignment is given to the labels that are there, and to the regions named; what was rejected is
    neither accepted nor verified so: say it anew, or --state proposed first.

    --from-search, --image and --like mean the best that vgr search finds, -n shows it first. What
    is said so is said by model:search unless --source says otherwise.

    JSON: {"samples", "regions", "labels", "keys"}.

    Example:
      $ vgr label train/hat/1.jpg category=hats/straw color+=red color-=blue
      $ vgr label 'train/hat/**' category=hats --source model:resnet --score 0.8
      $ vgr label train/1.jpg#2 --verify
      $ vgr label --regions --where "category = 'chair' and area < 100" category=stool
      $ vgr label --from-predictions detector --where "split = 'train'"
      $ vgr label --from-search "red shoes" -k 20 -n color=red
      $ vgr label --like kitchen/1.jpg#2 --where "split = 'train'" category=couch
    """
    of_search = {"--unlike": unlike, "-k": k, "--model": model}
    searches = {"--from-search": search, "--image": image, "--like": like}
    if predictions is None and not any(map(_is_given, searches.values())):
        _refuse_options(of_search, "chooses what a search finds", "vgr label --like KEY …")
    repo = ctx.open_repository()
    now = state_of(state, accept=accept, verify=verify, reject=reject)
    if predictions is not None:
        said_otherwise: dict[str, object] = {
            "--regions": regions,
            "--source": source,
            "--score": score,
        }
        said_otherwise |= {"a state": now, "--task": task, "--create": create}
        _refuse_options(
            {**searches, **of_search, **said_otherwise},
            "does not go with --from-predictions",
            "vgr label --from-predictions NAME [KEY…] [--where EXPR]",
        )
        _take_predictions(ctx, repo, predictions, words, where, dry_run=dry_run)
        return
    query = None
    if search is not None or image or like:
        of: Of | None = "regions" if regions else None
        query = query_of(
            repo, search, image, like, unlike, of=of, where=where, k=k or DEFAULT_COUNT
        )
    voice = voice_of(source or (None if query is None else _SEARCH), score, now)
    message = " ".join([*(words or ()), *([now] if now else ())])
    message += "" if query is None else f" from search: {query}"
    with StagedEdit(repo, "label", message, dry_run=dry_run) as edit:
        keys, said = part_words(
            words or [],
            edit.draft.tasks,
            is_key=is_key(repo, edit.version),
            after_dashes=ctx.after_dashes,
        )
        if not said and now is None:
            raise UsageError("nothing is said", hint="vgr label KEY TASK=CLASS, or --verify")
        if said:
            _refuse_options({"--task": task}, "is of a state alone", "vgr label KEY TASK=CLASS")
        else:
            idle = {"--score": score, "--create": create}
            _refuse_options(idle, "is of what is said", "vgr label KEY TASK=CLASS --score 0.8")
        if query is None:
            targets = chosen_targets(ctx, repo, edit.version, keys, where, regions=regions)
        else:
            targets = _found_targets(ctx, edit, query, keys, model, dry_run=dry_run)
        if said:
            assignments = read_assignments(edit.draft, said, voice, create=create)
            done = label_edits.label(edit, edit.draft, targets, assignments)
            edit.wrote(targets, *written_paths(assignments))
        else:
            assert now is not None
            if task is not None:
                known_task(edit.draft.tasks, task)
            done = label_edits.put_state(edit, targets, now, task=task, source=source)
    tell_changed(ctx, done, dry_run=dry_run, resolved=edit.resolved)


def _refuse_options(options: Mapping[str, object], why: str, hint: str) -> None:
    """UsageError for the first of some options that is given."""
    for name, value in options.items():
        if _is_given(value):
            raise UsageError(f"{name} {why}", hint=hint)


def _is_given(value: object) -> bool:
    return value is not None and value is not False and value != []


def _found_targets(
    ctx: Context,
    edit: StagedEdit,
    query: Query,
    keys: list[str],
    model: str | None,
    *,
    dry_run: bool,
) -> list[Target]:
    """What a search finds in the staged version, shown where nothing is to be done yet."""
    if keys:
        raise UsageError(
            f"'{keys[0]}' is one choice and the search another", hint="--where chooses in a search"
        )
    found = run_query(ctx, edit.repo, edit.version, query, model)
    if not found.hits:
        ctx.say("nothing found")
    if dry_run:
        show_hits(ctx, edit.version, found)
    are_regions = found.of == "regions"
    return [Target(hit.key, hit.region if are_regions else None) for hit in found]


def _take_predictions(
    ctx: Context,
    repo: Repository,
    name: str,
    words: list[str] | None,
    where: str | None,
    *,
    dry_run: bool,
) -> None:
    from voyager.repo.predictions import copy_predictions

    with StagedEdit(repo, "label", f"from predictions {name}", dry_run=dry_run) as edit:
        keys = None
        if words or where is not None:
            keys = chosen_samples(ctx, repo, edit.version, words or [], where)
        done = copy_predictions(edit, name, keys)
    tell_changed(ctx, done, dry_run=dry_run)
