"""Commits and tags as `log` and `show` print them, in git's layout and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypeAlias

from voyager.commands.context import Context
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.store.history import Commit, Tag

if TYPE_CHECKING:
    from voyager.repo.import_reports import ImportReport
    from voyager.train.record import Run

_SHORT = 10
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

_MOST_RUNS = 2
"""Runs of a commit that are named on its one line."""

Decorations = Mapping[bytes, list[str]]
"""Commit → the names that point at it, as `log` shows them."""
Runs: TypeAlias = "Mapping[bytes, list[Run]]"
"""Commit → what was trained on it."""


def short_id(commit_id: bytes) -> str:
    """The first digits of an id, enough to type."""
    return commit_id.hex()[:_SHORT]


def moment(time: int, zone: int) -> datetime:
    """A stored time (ms, minutes east of UTC) with its zone."""
    return datetime.fromtimestamp(time / 1000, timezone(timedelta(minutes=zone)))


def iso_time(time: int, zone: int) -> str:
    """A stored time for scripts: ISO 8601 with milliseconds and zone."""
    return moment(time, zone).isoformat(timespec="milliseconds")


def date_text(time: int, zone: int) -> str:
    """A stored time as git prints it, in whatever language the machine speaks."""
    at = moment(time, zone)
    day = f"{_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at.day}"
    return f"{day} {at:%H:%M:%S} {at.year} {at:%z}"


def commit_as_json(commit_id: bytes, commit: Commit) -> dict[str, Any]:
    """The JSON of a commit, as in `log`."""
    return {
        "commit": commit_id.hex(),
        "parents": [parent.hex() for parent in commit.parent_ids],
        "author": commit.author,
        "time": iso_time(commit.time, commit.zone),
        "message": commit.message,
    }


def decorations(repo: Repository) -> Decorations:
    """The branches, tags and HEAD that point at each commit; HEAD comes first."""
    from voyager.repo.tags import tags
    from voyager.store.refs import HEADS, REMOTES, iter_refs

    found: dict[bytes, list[str]] = {}
    head = repo.head
    if head.commit is not None:
        name = "HEAD" if head.branch is None else f"HEAD -> {head.branch}"
        found.setdefault(head.commit, []).append(name)
    for tag in tags(repo.store):
        found.setdefault(tag.commit, []).append(f"tag: {tag.name}")
    for start in (HEADS, REMOTES):
        for full, commit_id in iter_refs(repo.store, start).items():
            if full != f"{HEADS}{head.branch}":
                found.setdefault(commit_id, []).append(full.removeprefix(start))
    return found


def _decorated(ctx: Context, commit_id: bytes, names: Decorations) -> str:
    """` (HEAD -> main, tag: v1)`, or nothing."""
    here = names.get(commit_id)
    if not here:
        return ""
    coloured = (ctx.style(name, "bold", _colour_of(name)) for name in here)
    return f" {ctx.style('(', 'yellow')}{', '.join(coloured)}{ctx.style(')', 'yellow')}"


def _colour_of(name: str) -> str:
    if name.startswith("HEAD"):
        return "cyan"
    if name.startswith("run: ") or name.endswith(" runs"):
        return "magenta"
    return "yellow" if name.startswith("tag: ") else "green"


def oneline(ctx: Context, commit_id: bytes, commit: Commit, names: Decorations) -> str:
    """A commit on one line."""
    return (
        ctx.style(short_id(commit_id), "yellow")
        + _decorated(ctx, commit_id, names)
        + f" {commit.subject}"
    )


def full_text(
    ctx: Context,
    commit_id: bytes,
    commit: Commit,
    names: Decorations,
    runs: Sequence[Run] = (),
) -> Iterator[str]:
    """The lines of a commit: header as git's with what was trained on it, then the message."""
    yield ctx.style(f"commit {commit_id.hex()}", "yellow") + _decorated(ctx, commit_id, names)
    if len(commit.parents) > 1:
        yield "Merge: " + " ".join(short_id(parent) for parent in commit.parent_ids)
    yield f"Author: {commit.author}"
    yield f"Date:   {date_text(commit.time, commit.zone)}"
    for run in runs:
        yield f"Run:    {_run_text(run)}"
    yield ""
    for line in commit.message.rstrip("\n").split("\n"):
        yield f"    {line}".rstrip()


def runs_by_commit(repo: Repository) -> Runs:
    """The runs of the store by the commit that they were trained on; costs nothing without any."""
    from voyager.store.refs import RUNS

    if next(iter(repo.store.values(RUNS)), None) is None:
        return {}
    from voyager.train.record import iter_runs

    found: dict[bytes, list[Run]] = {}
    for run in iter_runs(repo):
        found.setdefault(run.commit, []).append(run)
    return found


def with_runs(names: Decorations, runs: Runs) -> Decorations:
    """Names that point at commits, and the runs of these or how many there are."""
    found = {commit: list(said) for commit, said in names.items()}
    for commit, some in runs.items():
        told = [f"run: {run.id}" for run in some]
        few = told if len(told) <= _MOST_RUNS else [f"{len(told)} runs"]
        found.setdefault(commit, []).extend(few)
    return found


def _run_text(run: Run) -> str:
    """A run in a line: `5566714aa6 hats: val category balanced accuracy 91.3 %`."""
    from voyager.commands.runs_text import main_text

    name = f" {shown(run.record.name)}" if run.record.name else ""
    said = main_text(run.record.metrics)
    return f"{run.id}{name}{f': {said}' if said else ''}"


def report_text(reports: Sequence[ImportReport]) -> Iterator[str]:
    """The lines of the reports that a commit names: how much did not fit, and the id for cat."""
    if reports:
        yield ""
    for report in reports:
        counts = ", ".join(f"{count:,} {loss}" for loss, count in report.counts.items())
        counts = f" ({counts})" if counts else ""
        told = f"import {shown(report.name)}{counts}" if report.name else "it is not here"
        yield f"Report {short_id(report.blob)}: {told}"


def tag_text(ctx: Context, tag: Tag) -> Iterator[str]:
    """The lines of an annotated tag."""
    yield ctx.style(f"tag {tag.name}", "yellow")
    yield f"Tagger: {tag.author}"
    yield f"Date:   {date_text(tag.time, tag.zone)}"
    yield ""
    yield from tag.message.rstrip("\n").split("\n")
    yield ""
