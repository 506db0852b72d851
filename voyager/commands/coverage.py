"""`vgr coverage`: say how completely samples are labeled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple, get_args

import typer

from voyager.commands.choosing import WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.labels import is_key, tell_changed
from voyager.errors import UsageError
from voyager.repo import label_edits
from voyager.repo.assignments import known_task, meanings, read_value
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.staged_edit import StagedEdit
from voyager.schema import Coverage, coverage_key, parse_coverage_key
from voyager.schema.vocabulary import Vocabulary

UNKNOWN = "unknown"
LEVELS: tuple[str, ...] = (*get_args(Coverage), UNKNOWN)


class _Word(NamedTuple):
    """A task, one class of it or None for all, and a level; None asks for it."""

    task: str
    node: bytes | None
    level: str | None


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY|TASK[:CLASS]=LEVEL", help="samples, then how completely"),
    ] = None,
    *,
    where: WhereOption = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Say how completely samples are labeled for a task, or for one class and those below it.

    exhaustive: all there is has a label, so what has none is not there. partial: some have.
    unknown: nobody said, as from the start. Without a level it is shown, and without a task for all
    tasks.

    JSON: {"samples", "regions", "labels", "keys"}; shown, a line for each sample {"key",
    "coverage"}.

    Example:
      $ vgr coverage train category=exhaustive
      $ vgr coverage --where "split = 'test'" category:animals=exhaustive color=partial
      $ vgr coverage train/1.jpg
    """
    repo = ctx.open_repository()
    with StagedEdit(repo, "coverage", " ".join(words or ()), dry_run=dry_run) as edit:
        names, said = _part(words or [], edit.draft, is_key(repo, edit.version))
        keys = chosen_samples(ctx, repo, edit.version, names, where)
        told = [word for word in said if word.level is not None]
        if told and len(told) < len(said):
            raise UsageError("either all levels are given or none", hint=f"={', ='.join(LEVELS)}")
        done = label_edits.put_coverage(edit, keys, _levels(edit.draft, told))
    if told:
        tell_changed(ctx, done, dry_run=dry_run)
    else:
        _show(ctx, edit.version, keys, {coverage_key(word.task, word.node) for word in said})


def _part(
    words: Sequence[str], vocabulary: Vocabulary, is_key: Callable[[str], bool]
) -> tuple[list[str], list[_Word]]:
    """Keys, and what follows them."""
    for end, word in enumerate(words):
        task = word.partition("=")[0].partition(":")[0]
        if not is_key(word) and (task in vocabulary.tasks or "=" in word):
            return list(words[:end]), [_read_word(vocabulary, rest) for rest in words[end:]]
    return list(words), []


def _read_word(vocabulary: Vocabulary, text: str) -> _Word:
    what, equals, level = text.rpartition("=") if "=" in text else (text, "", "")
    if equals and level not in LEVELS:
        raise UsageError(f"'{level}' is no level of coverage", hint=f"one of {', '.join(LEVELS)}")
    task, colon, path = what.partition(":")
    known_task(vocabulary.tasks, task)
    node = read_value(vocabulary, task, path) if colon else None
    if colon and not isinstance(node, bytes):
        raise UsageError(f"task '{task}' has no classes", hint=f"vgr coverage KEY {task}={level}")
    return _Word(task, node if isinstance(node, bytes) else None, level if equals else None)


def _levels(vocabulary: Vocabulary, words: Sequence[_Word]) -> dict[str, Coverage | None]:
    """The level of each coverage key; of a class that was merged away the level goes."""
    levels: dict[str, Coverage | None] = {}
    for task, node, level in words:
        if node is not None:
            for old in meanings(vocabulary, task, [node]):
                levels[coverage_key(task, old)] = None
        known = next((name for name in get_args(Coverage) if name == level), None)
        levels[coverage_key(task, node)] = known
    return levels


def _show(ctx: Context, version: Dataset, keys: Sequence[str], wanted: set[str]) -> None:
    words = version.vocabulary
    for key in keys:
        found = {
            _named(words, name): level
            for name, level in version[key].coverage.items()
            if not wanted or name in wanted
        }
        if ctx.json:
            ctx.emit_line({"key": key, "coverage": found})
        said = ", ".join(f"{name} {level}" for name, level in found.items())
        ctx.show(f"{shown(key)}: {said or UNKNOWN}")


def _named(words: Vocabulary, name: str) -> str:
    """`task` or `task:path`."""
    task, node = parse_coverage_key(name)
    path = None if node is None else words.resolve(task, node)
    return name if path is None else f"{task}:{path}"
