"""What `vgr train` was asked for: what excludes what, and the plan that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from voyager.commands.floors import Floor
from voyager.commands.frozen import HeadsPlan, frozen_config
from voyager.commands.train_start import implied_settings
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset
    from voyager.repo.repository import Repository
    from voyager.train.config import TrainConfig
    from voyager.train.record import Record

USAGE: Final = "vgr train --help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The command as it was typed."""

    revision: str
    given: Mapping[str, Any]
    """Settings by name, the usual ones where nothing was said."""
    tasks: Sequence[str]
    settings: Mapping[str, Any]
    """Those of `--set`."""
    validate: str | None
    """The split of `--validate`, None where it was not said."""
    frozen: str | None
    head: str | None
    resume: str | None
    repeat: str | None
    device: str
    loggers: Sequence[str]
    name: str
    message: str
    floors: Sequence[Floor]
    fast: bool

    @property
    def keep(self) -> bool:
        """Whether a run is kept of it."""
        return not (self.fast or self.repeat)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What is trained: a configuration at a commit, new, gone on with, or once more."""

    version: Dataset
    config: TrainConfig
    revision: str
    resume: str | None = None
    repeats: Record | None = None

    def shortened(self) -> NetworkPlan:
        """The same for two steps."""
        return replace(self, config=replace(self.config, steps=2, checkpoint_steps=None))


Plan: TypeAlias = NetworkPlan | HeadsPlan


def refuse_contrary(asked: Asked) -> None:
    """Raise UsageError for options that exclude each other."""
    if sum(bool(one) for one in (asked.resume, asked.repeat, asked.tasks)) > 1:
        raise UsageError("--task, --resume and --repeat exclude each other", hint=USAGE)
    if asked.head is not None and asked.frozen is None:
        raise UsageError("--head is the head of a frozen model", hint="vgr train --frozen default")
    if asked.frozen is not None and (asked.resume or asked.repeat):
        raise UsageError("--frozen, --resume and --repeat exclude each other", hint=USAGE)
    if asked.resume or asked.repeat:
        _refuse_other("--resume" if asked.resume else "--repeat", asked)


def _refuse_other(what: str, asked: Asked) -> None:
    """UsageError for settings beside a run, which has its own."""
    from voyager.train.config import TrainConfig

    usual = TrainConfig(tasks=("any",)).as_dict()
    other = [name for name, value in asked.given.items() if value != usual[name]]
    other += asked.settings
    other += [name for name in ("name", "message") if getattr(asked, name)]
    if asked.fast:
        other.append("--fast-dev-run")
    if asked.revision != "HEAD":
        other.append("REV")
    if other:
        raise UsageError(
            f"{what} takes the settings of the run, and no others: {', '.join(other)}",
            hint=f"vgr train {what} RUN",
        )


def plan_of(repo: Repository, asked: Asked) -> Plan:
    """What is trained at which commit."""
    if asked.resume is not None:
        record = _stopped(repo, asked.resume)
        return _network_again(repo, record, resume=record.run)
    if asked.repeat is None:
        return _new(repo, asked)
    from voyager.train.record import find_run

    record = find_run(repo, asked.repeat).record
    if record.kind == "network":
        return _network_again(repo, record, repeats=record)
    from voyager.train.frozen import FrozenConfig

    _refuse_loggers(asked)
    return HeadsPlan(
        version=repo.at(record.commit),
        config=FrozenConfig.from_dict(record.config),
        revision=record.revision,
        repeats=record,
    )


def _new(repo: Repository, asked: Asked) -> Plan:
    from voyager.train.validation import refuse_absent

    version = repo.at(asked.revision)
    tasks = asked.tasks or _only_task(version)
    if asked.validate is not None:
        refuse_absent(version, asked.validate)
    if asked.frozen is not None:
        _refuse_loggers(asked)
        heads = frozen_config(
            asked.frozen, asked.head or "linear", tasks, asked.given, asked.settings
        )
        return HeadsPlan(version=version, config=heads, revision=asked.revision)
    from voyager.train.config import TrainConfig

    said = {**asked.given, "tasks": tasks, **asked.settings}
    said = {**implied_settings(repo, said), **said}
    try:
        config = TrainConfig.from_dict(said)
    except InvalidDataError as error:
        raise UsageError(error.message, hint=error.hint or USAGE) from None
    return NetworkPlan(version=version, config=config, revision=asked.revision)


def _network_again(
    repo: Repository, record: Record, *, resume: str | None = None, repeats: Record | None = None
) -> NetworkPlan:
    from voyager.train.config import TrainConfig

    config = TrainConfig.from_dict(record.config)
    return NetworkPlan(
        version=repo.at(record.commit),
        config=replace(config, threads=record.threads or config.threads),
        revision=record.revision,
        resume=resume,
        repeats=repeats,
    )


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


def _refuse_loggers(asked: Asked) -> None:
    if asked.loggers:
        raise UsageError("heads on a frozen model have no steps to log", hint=USAGE)
