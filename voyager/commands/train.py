"""`vgr train`: train a network on a commit."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.floors import FloorOption, judge, parse_floors
from voyager.commands.frozen import HeadsPlan, frozen_config, train_heads
from voyager.commands.run_options import needs_torch, parse_setting, validation_split
from voyager.commands.run_text import epoch_text, finished_text, step_text
from voyager.errors import (
    EXIT_INTERRUPTED,
    EXIT_SKIPPED,
    InvalidDataError,
    NotFoundError,
    StateError,
    UsageError,
)

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset
    from voyager.repo.repository import Repository
    from voyager.train.config import TrainConfig
    from voyager.train.record import Record
    from voyager.train.session import Outcome

_USAGE = "vgr train --help"

_LINE_EVERY = 10.0
"""Seconds between two lines about steps, where no bar can be shown."""


def run(
    ctx: Context,
    revision: Annotated[str, typer.Argument(metavar="REV", help="the commit to train on")] = "HEAD",
    *,
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="what to learn; may be given several times"),
    ] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="the network")] = "resnet-18",
    frozen: Annotated[
        str | None,
        typer.Option(
            "--frozen", metavar="MODEL", help="heads on vectors of default, a folder, a run or file"
        ),
    ] = None,
    head: Annotated[
        str | None, typer.Option(metavar="HEAD", help="with --frozen: linear (default) or knn")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="start from the trunk of a run or a file"),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="WHAT", help="image or region; found out by itself")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="what is trained on")] = "train",
    validate: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT", help="looked at after each epoch: val, if any; none for none"
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(metavar="EXPR", help="only samples for which EXPR is true")
    ] = None,
    epochs: Annotated[int, typer.Option(metavar="N", help="times through the data")] = 10,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="steps in all, instead of epochs")
    ] = None,
    batch: Annotated[int, typer.Option(metavar="N", help="samples of a step")] = 64,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="of the pictures")] = 224,
    lr: Annotated[
        float | None, typer.Option(metavar="RATE", help="the highest learning rate")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="of weights, order and chances")] = 0,
    augment: Annotated[
        str, typer.Option(metavar="HOW", help="none, light, standard or strong, with changes")
    ] = "standard",
    sampling: Annotated[
        str, typer.Option(metavar="HOW", help="all, classes, tasks or sources")
    ] = "all",
    rendition: Annotated[
        str, typer.Option(metavar="PIXELS", help="auto, none, or the short side of renditions")
    ] = "auto",
    embedding: Annotated[
        int | None, typer.Option(metavar="DIMS", help="an embedding before the classes")
    ] = None,
    precision: Annotated[str, typer.Option(metavar="TYPE", help="fp32, bf16 or fp16")] = "fp32",
    compiled: Annotated[bool, typer.Option("--compile", help="compile the network")] = False,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="less memory, a third more time")
    ] = False,
    accumulate: Annotated[
        int, typer.Option(metavar="N", help="parts that a batch is computed in")
    ] = 1,
    ranks: Annotated[
        int, typer.Option(metavar="N", help="parts of a batch that processes share")
    ] = 1,
    ema: Annotated[float, typer.Option(metavar="DECAY", help="keep an average of weights")] = 0.0,
    patience: Annotated[
        int | None, typer.Option(metavar="N", help="stop after N epochs without a better one")
    ] = None,
    checkpoint_steps: Annotated[
        int | None, typer.Option(metavar="N", help="steps between checkpoints; an epoch's else")
    ] = None,
    repro: Annotated[
        str | None, typer.Option(metavar="WHAT", help="bits or order: what a repeat comes to")
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="of the computation")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or mps")] = "auto",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="any other setting of docs/training.md"),
    ] = None,
    loggers: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="WHERE", help="also to tensorboard, wandb or mlflow"),
    ] = None,
    name: Annotated[str, typer.Option(metavar="NAME", help="what to call the run")] = "",
    message: Annotated[
        str, typer.Option("-m", "--message", metavar="MSG", help="why it is made")
    ] = "",
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="go on with a run that was stopped")
    ] = None,
    repeat: Annotated[
        str | None, typer.Option(metavar="RUN", help="do a run again and compare the weights")
    ] = None,
    fail_below: FloorOption = None,
    fast_dev_run: Annotated[
        bool, typer.Option("--fast-dev-run", help="two steps of everything, and keep nothing")
    ] = False,
    allow_leak: Annotated[
        bool, typer.Option("--allow-leak", help="though copies of test images are in train")
    ] = False,
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="though the guard cannot look at images")
    ] = False,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="though staged changes are left out")
    ] = False,
) -> int:
    """Train a network on a commit.

    The run is recorded with all that it depends on: the same commit, settings and seed come to the
    same weights, to the bit. It can be stopped with Ctrl-C and gone on with (--resume), pushed,
    compared (vgr runs diff) and asked where it comes from (vgr why). Images of protected splits,
    held ones and those in conflict are never trained on.

    With --frozen nothing but heads is trained, on vectors of a model that stays as it is: they are
    computed once per image ever, so that after labels changed it takes seconds. It takes --task,
    --scope, --split, --validate, --where, --sampling all or classes, and --set k=10 (neighbours) or
    --set strengths=[0.3] (what holds weights small; else the best of some on --validate).

    Under torchrun the processes share each batch (--ranks).

    With --fail-below the exit code is 1 where a measure of --validate is below what was asked for,
    and 125 where nothing measures it, so that vgr bisect run finds the commit that hurt a class.

    JSON: {"run", "commit", "weights", "metrics", "state"}; with --repeat also "repeats": whether
    the weights are the same.

    Example:
      $ vgr train --task category --model resnet-18 --epochs 20
      $ vgr train --frozen default --task category
      $ vgr bisect run vgr train --frozen default --fail-below category/shoes=0.8
      $ torchrun --nproc-per-node 2 -m voyager train --task category --ranks 2
    """
    given = {
        "model": model,
        "start": start,
        "scope": scope,
        "split": split,
        "validate": validation_split(validate),
        "where": where,
        "epochs": epochs,
        "steps": steps,
        "batch": batch,
        "size": size,
        "seed": seed,
        "augmentation": augment,
        "sampling": sampling,
        "rendition": rendition,
        "embedding": embedding,
        "precision": precision,
        "compile": compiled,
        "checkpointing": checkpointing,
        "accumulate": accumulate,
        "ranks": ranks,
        "ema": ema,
        "patience": patience,
        "checkpoint_steps": checkpoint_steps,
        "repro": repro or ("bits" if precision == "fp32" and not compiled else "order"),
        "threads": threads,
    }
    if lr is not None:
        given["lr"] = lr
    if sum(bool(one) for one in (resume, repeat, tasks)) > 1:
        raise UsageError("--task, --resume and --repeat exclude each other", hint=_USAGE)
    if head is not None and frozen is None:
        raise UsageError("--head is the head of a frozen model", hint="vgr train --frozen default")
    if frozen is not None and (resume or repeat):
        raise UsageError("--frozen, --resume and --repeat exclude each other", hint=_USAGE)
    floors = parse_floors(fail_below)
    if resume or repeat:
        _refuse_other("--resume" if resume else "--repeat", given, revision, settings or [])
    repo = ctx.open_repository()
    allowed = {"leak": allow_leak, "unchecked": allow_unchecked, "dirty": allow_dirty}
    heads = _heads_plan(repo, revision, frozen, head, given, tasks or [], settings or [], repeat)
    if heads is not None:
        _check(ctx, repo, heads, **allowed)
        keep = not (fast_dev_run or repeat)
        return train_heads(ctx, repo, heads, name=name, message=message, keep=keep, floors=floors)
    needs_torch()
    from voyager.train.loggers import refuse_missing

    refuse_missing(loggers or [])
    plan = _plan(repo, revision, given, tasks or [], settings or [], resume, repeat)
    if fast_dev_run:
        plan = plan.shortened()
    _check(ctx, repo, plan, **allowed)
    keep = not (fast_dev_run or repeat)
    done = _train(ctx, repo, plan, device, name, message, loggers or [], keep=keep)
    code = _tell(ctx, plan, done, kept=keep)
    return code or judge(ctx, floors, next(iter(done.record.metrics.values()), {}), {})


def _refuse_other(what: str, given: dict[str, Any], revision: str, settings: list[str]) -> None:
    """UsageError for settings beside a run, which has its own."""
    from voyager.train.config import TrainConfig

    usual = TrainConfig(tasks=("any",)).as_dict()
    other = [name for name, value in given.items() if value != usual[name]]
    other += [text.partition("=")[0] for text in settings]
    if revision != "HEAD":
        other.append("REV")
    if other:
        raise UsageError(
            f"{what} takes the settings of the run, and no others: {', '.join(other)}",
            hint=f"vgr train {what} RUN",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is trained: a configuration at a commit, new, gone on with, or once more."""

    version: Dataset
    config: TrainConfig
    revision: str
    resume: str | None = None
    repeats: Record | None = None

    def shortened(self) -> _Plan:
        """The same for two steps."""
        return replace(self, config=replace(self.config, steps=2, checkpoint_steps=None))


def _plan(
    repo: Repository,
    revision: str,
    given: dict[str, Any],
    tasks: list[str],
    settings: list[str],
    resume: str | None,
    repeat: str | None,
) -> _Plan:
    from voyager.train.config import TrainConfig

    if resume is not None:
        record = _stopped(repo, resume)
    elif repeat is not None:
        from voyager.train.record import find_run

        record = find_run(repo, repeat).record
    else:
        version = repo.at(revision)
        given["tasks"] = tasks or _only_task(version)
        given |= dict(parse_setting(text) for text in settings)
        try:
            config = TrainConfig.from_dict(given)
        except InvalidDataError as error:
            raise UsageError(error.message, hint=error.hint or _USAGE) from None
        return _Plan(version=version, config=config, revision=revision)
    config = TrainConfig.from_dict(record.config)
    return _Plan(
        version=repo.at(record.commit),
        config=replace(config, threads=record.threads or config.threads),
        revision=record.revision,
        resume=record.run if resume else None,
        repeats=record if repeat else None,
    )


def _heads_plan(
    repo: Repository,
    revision: str,
    model: str | None,
    head: str | None,
    given: dict[str, Any],
    tasks: list[str],
    settings: list[str],
    repeat: str | None,
) -> HeadsPlan | None:
    """The plan where heads on a frozen model are trained, or trained once more; None else."""
    if model is not None:
        version = repo.at(revision)
        chosen = tasks or _only_task(version)
        said = dict(parse_setting(text) for text in settings)
        config = frozen_config(model, head or "linear", chosen, given, said)
        return HeadsPlan(version=version, config=config, revision=revision)
    if repeat is None:
        return None
    from voyager.train.frozen import FrozenConfig
    from voyager.train.record import find_run

    record = find_run(repo, repeat).record
    if record.kind != "frozen":
        return None
    config = FrozenConfig.from_dict(record.config)
    version = repo.at(record.commit)
    return HeadsPlan(version=version, config=config, revision=record.revision, repeats=record)


def _stopped(repo: Repository, run: str) -> Record:
    """The record of a run that can be gone on with; StateError for one that goes on or ended."""
    from voyager.train.record import find_run
    from voyager.train.run_folder import open_run_folder

    try:
        folder = open_run_folder(repo, run)
    except NotFoundError:
        ended = find_run(repo, run)
        raise StateError(
            f"run {ended.id} has come to its end", hint=f"vgr train --from {ended.id}"
        ) from None
    if folder.goes_on:
        raise StateError(
            f"run {folder.id} goes on in another process", hint="stop that with Ctrl-C first"
        )
    return folder.record


def _only_task(version: Dataset) -> list[str]:
    """The task of a version that has one; UsageError else."""
    known = [name for name, task in version.vocabulary.tasks.items() if task.kind != "text"]
    if len(known) != 1:
        listed = ", ".join(sorted(known)) or "none yet"
        raise UsageError(f"which task? There are {listed}", hint="vgr train --task TASK")
    return known


def _check(
    ctx: Context,
    repo: Repository,
    plan: _Plan | HeadsPlan,
    *,
    leak: bool,
    unchecked: bool,
    dirty: bool,
) -> None:
    from voyager.train.checks import refuse_unfit
    from voyager.train.ranks import speaks

    warnings = refuse_unfit(
        repo,
        plan.version,
        allow_leak=leak,
        allow_unchecked=unchecked,
        allow_dirty=dirty or plan.resume is not None or plan.repeats is not None,
        progress=ctx.progress("checking"),
    )
    for warning in warnings if speaks() else ():
        ctx.warn(warning)


def _train(
    ctx: Context,
    repo: Repository,
    plan: _Plan,
    device: str,
    name: str,
    message: str,
    loggers: list[str],
    *,
    keep: bool,
) -> Outcome:
    from voyager.train.session import Listener, train_run

    with _told_to_stop() as interrupted:
        listener = Listener(
            step=_Steps(ctx),
            epoch=lambda epoch, said: ctx.say(epoch_text(epoch, said)),
            interrupted=interrupted,
            progress=ctx.progress("reading labels"),
        )
        return train_run(
            repo,
            plan.version,
            plan.config,
            revision=plan.revision,
            name=name,
            message=message,
            device=device,
            resume=plan.resume,
            keep=keep,
            loggers=loggers,
            listener=listener,
        )


class _Steps:
    """Shows how a training goes: a bar on a terminal, and a line now and then elsewhere."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._bar = ctx.progress("training")
        self._due = time.monotonic() + _LINE_EVERY

    def __call__(self, done: int, of: int, said: dict[str, float]) -> None:
        self._bar(done, of)
        now = time.monotonic()
        if self._ctx.verbose or now >= self._due:
            self._due = now + _LINE_EVERY
            self._ctx.say(step_text(done, of, said))


@contextmanager
def _told_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the first stops after the step, the second at once."""
    pressed: list[bool] = []

    def note(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(ctx: Context, plan: _Plan, done: Outcome, *, kept: bool) -> int:
    from voyager.train.ranks import speaks

    record = done.record
    if not speaks():
        return EXIT_INTERRUPTED if record.state == "stopped" else 0
    repeats = None if plan.repeats is None else record.weights == plan.repeats.weights
    if ctx.json:
        said = {
            "run": done.id if kept else None,
            "commit": record.commit,
            "weights": record.weights,
            "metrics": dict(record.metrics),
            "state": record.state,
        }
        ctx.emit(said if repeats is None else {**said, "repeats": repeats})
    for key in record.failed:
        ctx.warn(f"skipped {key}: its image cannot be read")
    for place, why in done.untold.items():
        ctx.warn(f"{place} was not told to the end: {why}")
    if record.state == "stopped":
        ctx.say(f"stopped after step {record.steps}; nothing is lost")
        ctx.say(f"hint: vgr train --resume {done.id}")
        return EXIT_INTERRUPTED
    if plan.repeats is not None:
        word = "the same" if repeats else "not the same"
        ctx.say(f"the weights are {word} as those of run {plan.repeats.run}: {record.weights[:16]}")
        return 0 if repeats else 1
    if kept:
        ctx.say(
            f"run {done.id} on {short_id(bytes.fromhex(record.commit))}: {finished_text(record)}"
        )
    else:
        ctx.say("two steps of everything went well")
    return EXIT_SKIPPED if record.failed else 0
