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
from voyager.commands.run_options import needs_torch, parse_setting
from voyager.commands.run_text import epoch_text, finished_text, step_text
from voyager.errors import EXIT_INTERRUPTED, UsageError

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
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="start from the trunk of a run or a file"),
    ] = None,
    scope: Annotated[
        str | None, typer.Option(metavar="WHAT", help="image or region; found out by itself")
    ] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help="what is trained on")] = "train",
    validate: Annotated[
        str, typer.Option(metavar="SPLIT", help="what is looked at after each epoch")
    ] = "val",
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

    Under torchrun the processes share each batch (--ranks).

    JSON: {"run", "commit", "weights", "metrics", "state"}; with --repeat also "repeats": whether
    the weights are the same.

    Example:
      $ vgr train --task category --model resnet-18 --epochs 20
      $ torchrun --nproc-per-node 2 -m voyager train --task category --ranks 2
    """
    given = {
        "model": model,
        "start": start,
        "scope": scope,
        "split": split,
        "validate": validate or None,
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
    needs_torch()
    repo = ctx.open_repository()
    plan = _plan(repo, revision, given, tasks or [], settings or [], resume, repeat)
    if fast_dev_run:
        plan = plan.shortened()
    _check(ctx, repo, plan, leak=allow_leak, unchecked=allow_unchecked, dirty=allow_dirty)
    done = _train(ctx, repo, plan, device, name, message, keep=not (fast_dev_run or repeat))
    return _tell(ctx, plan, done, kept=not (fast_dev_run or repeat))


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
        from voyager.train.run_folder import open_run_folder

        record = open_run_folder(repo, resume).record
    elif repeat is not None:
        from voyager.train.record import find_run

        record = find_run(repo, repeat).record
    else:
        version = repo.at(revision)
        given["tasks"] = tasks or _only_task(version)
        given |= dict(parse_setting(text) for text in settings)
        config = TrainConfig.from_dict(given)
        return _Plan(version=version, config=config, revision=revision)
    config = TrainConfig.from_dict(record.config)
    return _Plan(
        version=repo.at(record.commit),
        config=replace(config, threads=record.threads or config.threads),
        revision=record.revision,
        resume=record.run if resume else None,
        repeats=record if repeat else None,
    )


def _only_task(version: Dataset) -> list[str]:
    """The task of a version that has one; UsageError else."""
    known = [name for name, task in version.vocabulary.tasks.items() if task.kind != "text"]
    if len(known) != 1:
        listed = ", ".join(sorted(known)) or "none yet"
        raise UsageError(f"which task? There are {listed}", hint="vgr train --task TASK")
    return known


def _check(
    ctx: Context, repo: Repository, plan: _Plan, *, leak: bool, unchecked: bool, dirty: bool
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
    return 0
