"""Training a network for `vgr train`: what is shown meanwhile, and what is told of it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.floors import judge, never_said
from voyager.commands.repeats import result_as_json, tell_repeat
from voyager.commands.run_text import epoch_text, finished_text, step_text
from voyager.commands.train_plan import Asked, NetworkPlan
from voyager.errors import EXIT_INTERRUPTED, EXIT_SKIPPED

if TYPE_CHECKING:
    from voyager.repo.repository import Repository
    from voyager.train.session import Outcome

_LINE_EVERY: Final = 10.0
"""Seconds between two lines about steps, where no bar can be shown."""


def train_network(ctx: Context, repo: Repository, plan: NetworkPlan, asked: Asked) -> int:
    """Train, record and tell; the exit code."""
    from voyager.train.session import Listener, train_run

    with _told_to_stop() as interrupted:
        done = train_run(
            repo,
            plan.version,
            plan.config,
            revision=plan.revision,
            name=asked.name,
            message=asked.message,
            device=asked.device,
            resume=plan.resume,
            repeats=plan.repeats,
            keep=asked.keep,
            loggers=asked.loggers,
            listener=Listener(
                step=_Steps(ctx),
                epoch=lambda epoch, said: ctx.say(epoch_text(epoch, said)),
                interrupted=interrupted,
                progress=ctx.progress("reading labels"),
            ),
        )
    code = _tell(ctx, plan, done, kept=asked.keep)
    if asked.floors and code in (0, EXIT_SKIPPED):
        return _judged(ctx, repo, plan, asked, done)
    return code


def _judged(ctx: Context, repo: Repository, plan: NetworkPlan, asked: Asked, done: Outcome) -> int:
    """The exit code of the floors, by what the network that is kept says of the validation."""
    from voyager.train.evaluate import evaluate
    from voyager.train.start import pick_device
    from voyager.train.torchrun import speaks

    if not speaks():
        return 0
    if not done.record.metrics:
        return judge(ctx, asked.floors, {}, {})
    config = plan.config
    reports = evaluate(
        repo,
        plan.version,
        done.trained.network,
        done.trained.card,
        split=config.validate,
        where=config.where,
        scope=config.scope,
        batch=max(1, config.batch // config.shards),
        device=pick_device(asked.device),
        progress=ctx.progress("asking for --fail-below"),
    ).reports()
    return judge(
        ctx,
        asked.floors,
        {report.task: report.measures() for report in reports},
        {report.task: (*report.classes, *never_said(report.unknown)) for report in reports},
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


def _tell(ctx: Context, plan: NetworkPlan, done: Outcome, *, kept: bool) -> int:
    from voyager.train.torchrun import speaks

    record = done.record
    if not speaks():
        return EXIT_INTERRUPTED if record.state == "stopped" else 0
    if ctx.json:
        ctx.emit(result_as_json(done.id if kept else None, record, plan.repeats))
    for key in record.failed:
        ctx.warn(f"skipped {key}: its image cannot be read")
    for place, why in done.untold.items():
        ctx.warn(f"{place} was not told to the end: {why}")
    if record.state == "stopped":
        ctx.say(f"stopped after step {record.steps}; nothing is lost")
        ctx.say(f"hint: vgr train --resume {done.id}")
        return EXIT_INTERRUPTED
    if plan.repeats is not None:
        return tell_repeat(ctx, record, plan.repeats)
    if kept:
        commit = short_id(bytes.fromhex(record.commit))
        ctx.say(f"run {done.id} on {commit}: {finished_text(record)}")
    else:
        ctx.say("two steps of everything went well")
    return EXIT_SKIPPED if record.failed else 0
