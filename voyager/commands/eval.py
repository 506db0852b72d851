"""`vgr eval`: how good a run is, where it fails, and whether it is better than another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voyager.commands.choosing import WhereOption
from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.floors import Floor, FloorOption, judge, never_said, parse_floors
from voyager.commands.run_options import needs_torch
from voyager.commands.sizes import counted
from voyager.errors import EXIT_SKIPPED

if TYPE_CHECKING:
    from voyager.models.checkpoint import ModelCard
    from voyager.models.network import Network
    from voyager.repo.dataset import Dataset
    from voyager.repo.repository import Progress, Repository
    from voyager.train.compare import TaskComparison
    from voyager.train.evaluate import Evaluation
    from voyager.train.mistakes import Mistake
    from voyager.train.record import Run
    from voyager.train.slices import Slice
    from voyager.train.task_report import TaskReport

_SUFFIX = ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that an evaluation found, for what is told of it."""

    name: str
    run: Run | None
    """None for a file with weights."""
    version: Dataset
    split: str | None
    where: str | None
    evaluation: Evaluation
    reports: Sequence[TaskReport]
    slices: Sequence[Slice]
    worst: Sequence[Slice]
    other: str = ""
    compared: Sequence[TaskComparison] = ()

    @property
    def split_name(self) -> str:
        """The split in words."""
        return self.split or "all splits"


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is evaluated: a run, or the weights in a file."""

    name: str
    run: Run | None
    network: tuple[Network, ModelCard] | None
    """None where there are only heads on a frozen model."""

    def ask(
        self,
        repo: Repository,
        version: Dataset,
        split: str | None,
        where: str | None,
        *,
        batch: int,
        device: str,
        progress: Progress,
    ) -> Evaluation:
        """What it says of a version."""
        from voyager.train.evaluate import evaluate, evaluate_frozen

        how: dict[str, Any] = {"split": split, "where": where, "progress": progress}
        if self.run is not None:
            how["scope"] = self.run.record.config.get("scope")
        if self.network is None:
            assert self.run is not None
            on = None if device == "auto" else device
            return evaluate_frozen(repo, version, self.run, device=on, **how)
        from voyager.train.start import pick_device

        network, card = self.network
        how |= {"batch": batch, "vectors": card.embedding is not None}
        return evaluate(repo, version, network, card, device=pick_device(device), **how)


def run(
    ctx: Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="a run, or a file with its weights")],
    *,
    at: Annotated[
        str | None, typer.Option("--at", metavar="REV", help="on this version, not the run's own")
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="SPLIT", help="what it is asked about; all for everything")
    ] = "test",
    where: WhereOption = None,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice",
            metavar="AXIS",
            help="also in parts: split, source, meta.NAME, TASK or an expression",
        ),
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="RUN", help="against another run on the same samples")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="write a page with plots and mistakes")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="pictures at once")] = 64,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps")] = "auto",
    no_predictions: Annotated[
        bool, typer.Option("--no-predictions", help="keep nothing of what it says")
    ] = False,
    fail_below: FloorOption = None,
) -> int:
    """Say how good a run is, where it fails, and whether it is better than another.

    Measures have the range in which they lie with 95 %. Protected splits may be looked at, which
    training never does. Answers of which the network has no class count as wrong.

    What it says is kept as the prediction set of the run and what was measured in its record: SQL
    has both (predictions('RUN'), run_metrics). With --compare what is right or wrong is told apart
    by McNemar's exact test, all else by drawing the same samples again. With --fail-below the exit
    code is 1 where a measure is below what was asked for, and 125 where nothing measures it.

    JSON: {"run", "commit", "split", "where", "samples", "skipped", "unreadable", "tasks": [{"task",
    "kind", "count", "measures": {NAME: {"value", "low", "high"}}, "classes", "confusion",
    "calibration", "unknown"}], "slices", "worst_slices", "comparison", "predictions"}.

    Example:
      $ vgr eval 3f2a9c81d0
      $ vgr eval 3f2a9c81d0 --at main --slice meta.camera --slice 'width > 2000' --html page.html
      $ vgr eval 3f2a9c81d0 --compare baseline
    """
    floors = parse_floors(fail_below)
    repo = ctx.open_repository()
    subject = _open(repo, run)
    other = None if compare is None else _open(repo, compare)
    version = repo.at(at or ("HEAD" if subject.run is None else subject.run.commit.hex()))
    found = _evaluate(ctx, repo, version, subject, split, where, slices or [], batch, device, other)
    kept = subject.run is not None and not no_predictions
    if subject.run is not None:
        _keep(repo, subject.run, found, predictions=kept)
    if html is not None:
        from voyager.commands.eval_page import write_page

        write_page(repo, html, found)
    _tell(ctx, found, kept=kept)
    if html is not None:
        ctx.say(f"{html}: the page")
    return _code(ctx, floors, found)


def _code(ctx: Context, floors: Sequence[Floor], found: Found) -> int:
    """The exit code: of the floors where there are some, else whether images were skipped."""
    if not floors:
        return EXIT_SKIPPED if found.evaluation.unreadable else 0
    return judge(
        ctx,
        floors,
        {report.task: report.measures() for report in found.reports},
        {report.task: (*report.classes, *never_said(report.unknown)) for report in found.reports},
    )


def _open(repo: Repository, text: str) -> _Subject:
    """The network of a run, or of a file."""
    from voyager.train.record import find_run

    path = Path(text)
    if path.suffix == _SUFFIX:
        needs_torch()
        from voyager.models.checkpoint import load_network

        return _Subject(path.name, None, load_network(path))
    run = find_run(repo, text)
    if run.record.kind == "frozen":
        return _Subject(f"run {run.id}", run, None)
    needs_torch()
    from voyager.train.evaluate import open_network

    return _Subject(f"run {run.id}", run, open_network(repo, run))


def _evaluate(
    ctx: Context,
    repo: Repository,
    version: Dataset,
    subject: _Subject,
    split: str,
    where: str | None,
    axes: Sequence[str],
    batch: int,
    device: str,
    other: _Subject | None,
) -> Found:
    from voyager.train.compare import compare
    from voyager.train.evaluate import ALL
    from voyager.train.slices import slices, worst_slices

    named = None if split == ALL else split

    def asked(one: _Subject) -> Evaluation:
        bar = ctx.progress(f"asking {one.name}")
        return one.ask(repo, version, named, where, batch=batch, device=device, progress=bar)

    evaluation = asked(subject)
    _warn(ctx, repo, subject, evaluation)
    compared: list[TaskComparison] = []
    if other is not None:
        theirs = asked(other)
        _warn(ctx, repo, other, theirs)
        compared = compare(evaluation, theirs)
    bar = ctx.progress("reading slices")
    return Found(
        name=subject.name,
        run=subject.run,
        version=version,
        split=named,
        where=where,
        evaluation=evaluation,
        reports=evaluation.reports(),
        slices=slices(version, evaluation, axes, progress=bar) if axes else (),
        worst=worst_slices(version, evaluation, progress=bar),
        other="" if other is None else other.name,
        compared=compared,
    )


def _warn(ctx: Context, repo: Repository, subject: _Subject, evaluation: Evaluation) -> None:
    """Say what makes the measures better or poorer than they are."""
    from voyager.train.evaluate import trained_on

    if subject.run is not None and (known := trained_on(repo, subject.run, evaluation.view)):
        ctx.warn(f"{subject.name} was trained on {known:,} of {_rows(evaluation)}")
    for name in evaluation.unreadable:
        ctx.warn(f"skipped {name}: its image cannot be read")


def _rows(evaluation: Evaluation) -> str:
    view = evaluation.view
    return counted(len(view), "sample" if view.scope == "image" else "region")


def _keep(repo: Repository, run: Run, found: Found, *, predictions: bool) -> None:
    from voyager.train.evaluate import keep_predictions, metrics_name
    from voyager.train.record import note_metrics

    said = {report.task: report.measures() for report in found.reports}
    made = keep_predictions(repo, run, found.evaluation) if predictions else None
    name = metrics_name(found.version, found.split, found.where)
    note_metrics(repo, run, name, said, predictions=made)


# -- telling --------------------------------------------------------------------------------------


def _tell(ctx: Context, found: Found, *, kept: bool) -> None:
    view = found.evaluation.view
    assert found.version.commit is not None
    if ctx.json:
        ctx.emit(
            {
                "run": None if found.run is None else found.run.id,
                "commit": found.version.commit.hex(),
                "split": found.split,
                "where": found.where,
                "samples": len(view),
                "skipped": dict(view.skipped),
                "unreadable": list(found.evaluation.unreadable),
                "tasks": [report.as_dict() for report in found.reports],
                "slices": [one.as_dict() for one in found.slices],
                "worst_slices": [one.as_dict() for one in found.worst],
                "comparison": [one.as_dict(view) for one in found.compared],
                "predictions": found.run.id if kept and found.run is not None else None,
            }
        )
    _show(ctx, found)
    if found.run is not None:
        _hint(ctx, found, found.run.id, kept=kept)


def _show(ctx: Context, found: Found) -> None:
    from voyager.commands.eval_text import comparison_lines, report_lines, slice_lines
    from voyager.commands.run_text import skipped_text
    from voyager.train.class_scores import confused

    evaluation, commit = found.evaluation, found.version.commit
    assert commit is not None
    left = f"; {skipped_text(evaluation.view.skipped)}" if evaluation.view.skipped else ""
    of = f" where {found.where}" if found.where else ""
    rows = _rows(evaluation)
    ctx.show(f"{found.name} on {found.split_name} of {short_id(commit)}{of}: {rows}{left}")
    for report in found.reports:
        ctx.show()
        for line in report_lines(report, confused(evaluation.graded[report.task])):
            ctx.show(line)
    for title, parts in (("slices", found.slices), ("surely worse than the rest", found.worst)):
        if parts:
            ctx.show(f"\n{title}:")
            ctx.show_text("".join(f"  {line}\n" for line in slice_lines(parts)))
    for one in found.compared:
        ctx.show()
        names = {int(row): evaluation.view.name(row) for row in (*one.gained, *one.lost)}
        for line in comparison_lines(one, (found.name, found.other), names):
            ctx.show(line)


def _hint(ctx: Context, found: Found, run_id: str, *, kept: bool) -> None:
    """Where to go on from the worst mistake."""
    worst = worst_mistakes(found.evaluation, most=1)
    if not worst:
        return
    name = found.evaluation.view.name(worst[0].row)
    ctx.say()
    ctx.say(f"the surest mistake: {mistake_text(worst[0])}, {name}")
    ctx.say(f"hint: vgr search --like '{name}' --split train")
    if kept:
        ctx.say(f"hint: vgr label --from-predictions {run_id} KEY …")


def worst_mistakes(evaluation: Evaluation, *, most: int) -> list[Mistake]:
    """The worst mistakes over all tasks, so many of each."""
    from voyager.train.mistakes import mistakes

    found = [one for graded in evaluation.graded.values() for one in mistakes(graded, most=most)]
    return sorted(found, key=lambda one: -(one.sure or 0))


def mistake_text(mistake: Mistake) -> str:
    """What was said and what is true."""
    sure = "" if mistake.sure is None else f" {100 * mistake.sure:.0f} %"
    return f"{mistake.task} {mistake.said}{sure}, in truth {mistake.true}"
