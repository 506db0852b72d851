"""`vgr train --frozen`: heads on the vectors of a model that stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.floors import Floor, judge, never_said
from voyager.commands.repeats import result_as_json, tell_repeat
from voyager.commands.run_text import finished_text
from voyager.errors import EXIT_SKIPPED, InvalidDataError, UsageError

if TYPE_CHECKING:
    from voyager.commands.train_plan import Asked
    from voyager.repo.dataset import Dataset
    from voyager.repo.repository import Repository
    from voyager.train.frozen import FrozenConfig, FrozenOutcome
    from voyager.train.record import Record

_USAGE: Final = "vgr train --help"
_SHARED: Final = ("scope", "split", "validate", "where")
_OPTIONS: Final = {"start": "from", "augmentation": "augment"}
"""Settings whose options are called otherwise."""
_SAMPLINGS: Final = {"all": False, "classes": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadsPlan:
    """What is trained: heads at a commit, new or once more."""

    version: Dataset
    config: FrozenConfig
    revision: str
    repeats: Record | None = None
    resume: None = None
    """Heads are not gone on with."""


def frozen_config(
    model: str,
    head: str,
    tasks: Sequence[str],
    given: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> FrozenConfig:
    """The configuration of what was given; UsageError for options of networks alone."""
    from voyager.train.config import TrainConfig
    from voyager.train.frozen import FrozenConfig

    usual = TrainConfig(tasks=("any",)).as_dict()
    other = [
        f"--{_OPTIONS.get(name, name).replace('_', '-')}"
        for name, value in given.items()
        if value != usual[name] and name not in (*_SHARED, "sampling")
    ]
    if other:
        raise UsageError(f"heads on a frozen model know nothing of {', '.join(other)}", hint=_USAGE)
    if given["sampling"] not in _SAMPLINGS:
        raise UsageError("heads on a frozen model sample all or classes")
    said = {name: given[name] for name in _SHARED}
    balance = _SAMPLINGS[given["sampling"]]
    said |= {"tasks": tasks, "model": model, "head": head, "balance": balance, **settings}
    try:
        return FrozenConfig.from_dict(said)
    except InvalidDataError as error:
        raise UsageError(error.message, hint=error.hint or _USAGE) from None


def train_heads(ctx: Context, repo: Repository, plan: HeadsPlan, asked: Asked) -> int:
    """Train, record and tell; the exit code."""
    from voyager.train.frozen import train_frozen

    done = train_frozen(
        repo,
        plan.version,
        plan.config,
        revision=plan.revision,
        name=asked.name,
        message=asked.message,
        device=None if asked.device == "auto" else asked.device,
        keep=asked.keep,
        progress=ctx.progress("embedding"),
    )
    return _tell(ctx, done, plan.repeats, asked.floors)


def _tell(
    ctx: Context, done: FrozenOutcome, repeats: Record | None, floors: Sequence[Floor]
) -> int:
    record = done.record
    if ctx.json:
        ctx.emit(result_as_json(None if done.run is None else done.run.id, record, repeats))
    for key in record.failed:
        ctx.warn(f"skipped {key}: its image cannot be read")
    if repeats is not None:
        return tell_repeat(ctx, record, repeats)
    where = short_id(bytes.fromhex(record.commit))
    called = f"run {record.run} on {where}" if done.run is not None else f"heads on {where}"
    ctx.say(f"{called}: {finished_text(record)}")
    if floors:
        return judge(ctx, floors, _measures(record), _classes(done))
    return EXIT_SKIPPED if record.failed else 0


def _measures(record: Record) -> Mapping[str, Mapping[str, float]]:
    return next(iter(record.metrics.values()), {})


def _classes(done: FrozenOutcome) -> dict[str, Any]:
    from voyager.train.class_scores import class_scores
    from voyager.train.graded import grade_all

    if done.validation is None or done.said is None:
        return {}
    graded = grade_all(done.validation, done.said)
    return {
        task: (*class_scores(one), *never_said(done.unknown.get(task, {})))
        for task, one in graded.items()
    }
