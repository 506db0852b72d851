"""`vgr why`: walk from a model to the data that made it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voyager.commands.commits import date_text, short_id
from voyager.commands.context import Context
from voyager.commands.runs_text import main_text
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.repo.keys import shown

if TYPE_CHECKING:
    from voyager.repo.repository import Repository
    from voyager.train.listing import ListedRun
    from voyager.train.why import Origin, Used, Why

_MOST_CLASSES = 12
_MOST_STEPS = 8
_COLUMN = 10


def run(
    ctx: Context,
    name: Annotated[
        str, typer.Argument(metavar="RUN", help="its id, a beginning of it, or its name")
    ],
    *,
    key: Annotated[
        str | None, typer.Option(metavar="KEY", help="what the run did with this sample")
    ] = None,
) -> None:
    """Walk from a model to the data that made it.

    Says which commit a run was trained on and who made that, what its splits and classes held, who
    labeled them, which imports they came with, what the guard decided, which run it started from,
    and what was changed since.

    With --key it says whether one sample was trained on, in which epochs and steps it was seen, and
    who said what about it at that commit.

    JSON: {"run", "commit", "author", "message", "held_by", "samples": {split: count}, "trained_on",
    "skipped", "classes": {task: {class: count}}, "sources", "commits", "authors", "imports",
    "guard", "started_from", "head", "ahead", "behind", "changes": {scope: {kind: count}}}; with
    --key {"run", "key", "role": trained, validated or unused, "split", "reason", "shown": [{"name",
    "steps": [[epoch, step]]}], "labels": [lines as of vgr blame]}.

    Example:
      $ vgr why 5566
      $ vgr why 5566 --key train/hat/1.jpg
    """
    from voyager.train.listing import find_listed

    repo = ctx.open_repository()
    listed = find_listed(repo, name)
    if key is not None:
        _tell_key(ctx, repo, listed, key_of(repo, key))
        return
    from voyager.train.why import explain, why_as_json

    why = explain(repo, listed, progress=ctx.progress("reading labels"))
    stat = _stat_since(repo, why)
    if ctx.json:
        changes = {} if stat is None else stat.summary()
        ctx.emit({**why_as_json(why), "changes": changes})
        return
    for line in _lines(ctx, why):
        ctx.show(line)
    for line in _since_lines(ctx, why, stat):
        ctx.show(line)


def _lines(ctx: Context, why: Why) -> Iterator[str]:
    record, commit = why.listed.record, why.commit
    yield _headline(ctx, why.listed)
    yield f"{'commit':<{_COLUMN}} {short_id(why.listed.commit)} {shown(commit.subject)}"
    yield f"{'':<{_COLUMN}} by {commit.author}, {date_text(commit.time, commit.zone)}"
    yield f"{'':<{_COLUMN}} in {', '.join(map(shown, why.holders)) or 'no branch or tag any more'}"
    samples = why.content.samples
    for split, what in ((record.config.get("split"), "trained on"), _validated(why)):
        if what and split is not None:
            count = record.samples if what == "trained on" else record.validation_samples
            yield f"{split:<{_COLUMN}} {counted(samples[split], 'sample')}, {count:,} {what}"
    for why_not, count in record.skipped.items():
        yield f"{'':<{_COLUMN}} {count:,} {why_not} left out"
    for task, classes in why.content.classes.items():
        yield f"{task:<{_COLUMN}} {_counts_text(classes, most=_MOST_CLASSES)}"
    yield f"{'labels by':<{_COLUMN}} {_counts_text(why.content.sources) or 'nobody'}"
    yield from _origin_lines(why.origin)
    for start in why.starts:
        yield f"{'start':<{_COLUMN}} {_plain_headline(start)}"


def _validated(why: Why) -> tuple[str | None, str]:
    split = why.listed.record.config.get("validate")
    return split, "validated with" if split and why.listed.record.validation_samples else ""


def _headline(ctx: Context, listed: ListedRun) -> str:
    return f"{ctx.style('run', 'yellow')} {_plain_headline(listed)}"


def _plain_headline(listed: ListedRun) -> str:
    record = listed.record
    name = f" '{shown(record.name)}'" if record.name else ""
    said = main_text(record.metrics)
    return f"{record.run}{name}: {listed.model}" + (f", {said}" if said else "")


def _counts_text(counts: Mapping[str, int], *, most: int | None = None) -> str:
    named = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{shown(name)} {count:,}" for name, count in named[:most]]
    left = len(named) - len(parts)
    return ", ".join([*parts, f"and {counted(left, 'class')} more"] if left else parts)


def _origin_lines(origin: Origin) -> Iterator[str]:
    authors = {author.partition(" <")[0]: count for author, count in origin.authors.items()}
    yield f"{'history':<{_COLUMN}} {counted(origin.commits, 'commit')}: {_counts_text(authors)}"
    for commit, report in origin.imports:
        counts = ", ".join(f"{count:,} {loss}" for loss, count in report.counts.items())
        said = shown(report.name) if report.name else f"report {short_id(report.blob)}"
        counts = f" ({counts})" if counts else ""
        yield f"{'import':<{_COLUMN}} {said} in {short_id(commit)}{counts}"
    if origin.guard:
        yield f"{'guard':<{_COLUMN}} {_counts_text(origin.guard)}"


# -- since then ------------------------------------------------------------------------------------


def _stat_since(repo: Repository, why: Why) -> Any:
    """What HEAD has changed since the commit of a run; None where it has not moved."""
    if why.since.head in (None, why.listed.commit):
        return None
    from voyager.commands.differences import Difference
    from voyager.repo.label_stat import stat_of

    found = Difference(repo.dataset_of(why.listed.commit), repo.dataset_of(why.since.head))
    return stat_of(found.samples(), found.terms, found.words)


def _since_lines(ctx: Context, why: Why, stat: Any) -> Iterator[str]:
    from voyager.commands.stat_text import summary_text

    since = why.since
    if since.head is None:
        return
    if stat is None:
        yield f"{'since then':<{_COLUMN}} HEAD is at this commit"
        return
    parts = [f"HEAD is {counted(since.ahead, 'commit')} further"] if since.ahead else []
    parts += [f"lacks {counted(since.behind, 'commit')} of its history"] if since.behind else []
    yield f"{'since then':<{_COLUMN}} {' and '.join(parts)}: {summary_text(stat) or 'no changes'}"
    yield ctx.style(f"{'':<{_COLUMN}} vgr diff {short_id(why.listed.commit)} HEAD --stat", "dim")


# -- one sample ------------------------------------------------------------------------------------


def _tell_key(ctx: Context, repo: Repository, listed: ListedRun, key: str) -> None:
    from voyager.commands.blame_text import Wording, blame_lines, blamed_as_json
    from voyager.repo.blame import blame
    from voyager.train.why import use_of

    used = use_of(repo, listed, key, progress=ctx.progress("reading labels"))
    version = repo.dataset_of(listed.commit)
    words = Wording(version.vocabulary, version.get(key))
    found = [
        one for task in listed.tasks for one in blame(repo, key, listed.commit.hex(), task=task)
    ]
    if ctx.json:
        ctx.emit(
            {
                "run": listed.id,
                "key": key,
                "role": used.role,
                "split": used.split,
                "reason": used.reason or None,
                "shown": [
                    {"name": one.name, "steps": [list(step) for step in one.steps]}
                    for one in used.shown
                ],
                "labels": [blamed_as_json(one, words) for one in found],
            }
        )
        return
    ctx.show(_used_text(listed, key, used))
    for one in used.shown:
        ctx.show(f"  {shown(one.name)}: {_steps_text(one.steps)}")
    for line in blame_lines(ctx, found, words):
        ctx.show(line)


def _used_text(listed: ListedRun, key: str, used: Used) -> str:
    words = {
        "trained": f"was trained on '{shown(key)}'",
        "validated": f"was validated with '{shown(key)}', and not trained on it",
        "unused": f"was not trained on '{shown(key)}': {used.reason}",
    }
    return f"run {listed.id} {words[used.role]}"


def _steps_text(steps: list[tuple[int, int]]) -> str:
    """`epoch 1 in step 3, epoch 2 in step 9`."""
    if not steps:
        return "in no batch before the end"
    told = [f"epoch {epoch} in step {step:,}" for epoch, step in steps[:_MOST_STEPS]]
    left = len(steps) - len(told)
    return ", ".join(told) + (f" and {counted(left, 'time')} more" if left else "")
