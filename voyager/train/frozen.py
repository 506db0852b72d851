"""Heads on a model that stays as it is: trained in seconds on vectors that are kept already.

    commit → view → vectors (derived cache) → a head for each task → run

After labels changed no image is decoded again. What comes out depends on the commit, the settings
and the model alone: not on the order of samples, what they are called, or how many threads there
were.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias, get_args

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.derived.embeddings import DEFAULT, Embedder, unit
from voyager.errors import InvalidDataError, NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.cores import cores
from voyager.train.blas import one_blas_thread
from voyager.train.embedded_view import EmbeddedView, embed_view, open_model
from voyager.train.head_file import HEAD, HeadName, Heads, HeadTask, decode_heads, encode_heads
from voyager.train.linear_head import LinearHead, taken
from voyager.train.metrics import measure
from voyager.train.nearest_head import NearestHead
from voyager.train.record import ID_DIGITS, Record, Run, find_run, library_versions, put_run
from voyager.train.said import Said
from voyager.train.setting_kinds import refuse_misfits
from voyager.train.strengths import STRENGTHS, fit_best
from voyager.train.unknown_classes import unknown_classes
from voyager.train.validation import open_validation, refuse_single_classes
from voyager.train.view import Question, Scope, Target, View, open_view

Head: TypeAlias = LinearHead | NearestHead


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenConfig:
    """All that decides what comes out, besides the commit."""

    tasks: tuple[str, ...]
    scope: Scope | None = None
    split: str | None = "train"
    validate: str | None = "val"
    """The split that says which strength is best, and how good the heads are."""
    where: str | None = None
    model: str = DEFAULT
    """`default`, a folder with a transformers model, a checkpoint, or a run."""
    model_id: str = ""
    """The hash of the model, in hex, once it is known; another model is refused then."""
    head: HeadName = "linear"
    k: int = 10
    """How many neighbours have a vote."""
    strengths: tuple[float, ...] = STRENGTHS
    """How strongly the weights of a linear head may be held small; the best is taken."""
    balance: bool = False
    """Whether all classes count the same, however many samples they have."""

    def __post_init__(self) -> None:
        for message, fails in _CHECKS.items():
            if fails(self):
                raise UsageError(message)

    @property
    def question(self) -> Question:
        """What it trains on."""
        return Question(self.tasks, self.split, self.scope, self.where)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as JSON has it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> FrozenConfig:
        """A configuration of JSON; InvalidDataError for a setting or a kind that is none of it."""
        refuse_misfits(cls, said, "a training on a frozen model")
        values = dict(said)
        try:
            for name in ("tasks", "strengths"):
                if name in values:
                    values[name] = tuple(values[name])
            return cls(**values)
        except TypeError as error:
            raise InvalidDataError(f"no configuration of a training: {error}") from None


_CHECKS: Final[Mapping[str, Callable[[FrozenConfig], bool]]] = {
    "no task to train": lambda it: not it.tasks,
    "the scope is image or region": lambda it: it.scope not in (None, *get_args(Scope)),
    "the head is linear or knn": lambda it: it.head not in get_args(HeadName),
    "at least one neighbour has a vote": lambda it: it.k < 1,
    "strengths are numbers above 0, at least one": lambda it: (
        not it.strengths or not all(0 < one < float("inf") for one in it.strengths)
    ),
}


class Learned(NamedTuple):
    """Heads by task, with the strength of each linear one."""

    heads: Mapping[str, Head]
    strengths: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class FrozenOutcome:
    """A run that ended; `run` is None where it was not kept.

    `validation` and `said` are what was looked at to measure it.
    """

    record: Record
    run: Run | None
    validation: View | None
    said: Said | None
    unknown: Mapping[str, Mapping[str, int]]
    """By task, answers of the validation that are of no class which was trained on: how many."""


def train_frozen(
    repo: Repository,
    version: Dataset,
    config: FrozenConfig,
    *,
    revision: str = "",
    name: str = "",
    message: str = "",
    device: str | None = None,
    keep: bool = True,
    progress: Progress = no_progress,
) -> FrozenOutcome:
    """Train heads on a commit and keep the run.

    Vectors that are not kept yet are computed first, on the fastest device there is or on `device`,
    which `progress` hears of. Nothing is checked about the commit here: `checks.refuse_unfit` does
    that.
    """
    assert version.commit is not None
    began = time.monotonic()
    when, zone = repo.config.now()
    config, embedder = _with_model(repo, config, device)
    view = open_view(repo, version, config.question)
    refuse_single_classes(view)
    validation = open_validation(repo, version, view, config.validate, where=config.where)
    known = embed_view(repo, version, view, embedder, progress=progress)
    unseen = None
    if validation is not None:
        unseen = embed_view(repo, version, validation, embedder, progress=progress)
    learned = _learn(config, view, known, validation, unseen)
    said = None if validation is None or unseen is None else _say(learned, validation, unseen)
    heads = _heads(config, embedder, view, learned)
    record = Record(
        run=secrets.token_hex(ID_DIGITS // 2),
        kind="frozen",
        commit=version.commit.hex(),
        state="finished",
        author=repo.config.author_or_unknown(),
        started=when,
        zone=zone,
        seconds=time.monotonic() - began,
        config=config.as_dict(),
        threads=cores(),
        samples=len(known.rows),
        validation_samples=0 if unseen is None else len(unseen.rows),
        skipped=dict(view.skipped),
        failed=known.broken,
        metrics={} if validation is None or said is None else {
            str(config.validate): measure(validation, said)
        },
        weights=_hash(learned).hex(),
        versions=library_versions(),
        parameters=sum(one.weights.size + one.bias.size for one in heads.linear.values()),
        revision=revision,
        name=name,
        message=message,
        start=_start(repo, config.model),
    )  # fmt: skip
    run = _keep(repo, record, heads) if keep else None
    return FrozenOutcome(record, run, validation, said, _unknown(repo, version, config, validation))


def _unknown(
    repo: Repository, version: Dataset, config: FrozenConfig, validation: View | None
) -> dict[str, dict[str, int]]:
    if validation is None:
        return {}
    classes = {task: target.nodes for task, target in validation.targets.items() if target.nodes}
    question = Question(config.tasks, config.validate, validation.scope, config.where, classes)
    return unknown_classes(repo, version, question, validation)


def _with_model(
    repo: Repository, config: FrozenConfig, device: str | None = None
) -> tuple[FrozenConfig, Embedder]:
    """The model, and the configuration that pins it; InvalidDataError where it pins another."""
    embedder = open_model(repo, config.model, device)
    found = embedder.model_id.hex()
    if config.model_id and config.model_id != found:
        raise InvalidDataError(
            f"the model '{config.model}' has changed: it is {found[:16]}, and the run was made with"
            f" {config.model_id[:16]}"
        )
    is_path = config.model != DEFAULT and Path(config.model).exists()
    place = str(Path(config.model).resolve()) if is_path else config.model
    return replace(config, model=place, model_id=found), embedder


def _start(repo: Repository, model: str) -> str:
    """The run that a model is the network of, if it is one."""
    return "" if model == DEFAULT or Path(model).exists() else find_run(repo, model).id


def _learn(
    config: FrozenConfig,
    view: View,
    known: EmbeddedView,
    validation: View | None,
    unseen: EmbeddedView | None,
) -> Learned:
    heads: dict[str, Head] = {}
    strengths: dict[str, float] = {}
    for task, target in view.targets.items():
        answers = taken(target, known.rows)
        if not answers.answered().any():
            raise UsageError(f"no image with an answer to '{task}' can be read")
        if config.head == "knn":
            heads[task] = _nearest(known.vectors, answers, config.k)
            continue
        held_out = None
        if validation is not None and unseen is not None:
            held_out = unseen.vectors, taken(validation.targets[task], unseen.rows)
        rows = known.vectors, answers
        chosen = fit_best(rows, held_out, strengths=config.strengths, balance=config.balance)
        heads[task], strengths[task] = chosen
    return Learned(heads, strengths)


def _nearest(vectors: NDArray[Any], answers: Target, k: int) -> NearestHead:
    here = np.flatnonzero(answers.answered())
    return NearestHead(unit(vectors[here].astype(np.float32)), taken(answers, here), k)


def _say(learned: Learned, view: View, embedded: EmbeddedView) -> Said:
    """What heads say of a view."""
    valid = np.zeros(len(view), np.bool_)
    valid[embedded.rows] = True
    logits = {}
    for task, head in learned.heads.items():
        with one_blas_thread():
            found = head.logits(_as_asked(head, embedded.vectors))
        logits[task] = np.zeros((len(view), found.shape[1]), np.float32)
        logits[task][embedded.rows] = found
    return Said(logits, valid)


def _as_asked(head: Head, vectors: NDArray[Any]) -> NDArray[Any]:
    return unit(vectors.astype(np.float32)) if isinstance(head, NearestHead) else vectors


def _heads(config: FrozenConfig, embedder: Embedder, view: View, learned: Learned) -> Heads:
    tasks = tuple(
        HeadTask.of(target, learned.strengths.get(task)) for task, target in view.targets.items()
    )
    linear = {task: head for task, head in learned.heads.items() if isinstance(head, LinearHead)}
    return Heads(config.head, embedder.dims, config.k, tasks, linear)


def _hash(learned: Learned) -> bytes:
    """BLAKE3 of all numbers that the answers depend on."""
    hasher = blake3()
    for task, head in sorted(learned.heads.items()):
        arrays: list[NDArray[Any]]
        if isinstance(head, LinearHead):
            arrays = [head.weights, head.bias]
        else:
            known = head.target.known
            arrays = [head.vectors, head.target.values, *([] if known is None else [known])]
        for array in arrays:
            hasher.update(f"{task}\0{array.dtype}\0{array.shape}\0".encode())
            hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.digest()


def _keep(repo: Repository, record: Record, heads: Heads) -> Run:
    start = find_run(repo, record.start).object if record.start else None
    with repo.transaction("train", record.run) as txn:
        put_run(txn, record, {HEAD: txn.put_blob(encode_heads(heads))}, start=start)
        txn.commit()
    return find_run(repo, record.run)


# -- asking a run ----------------------------------------------------------------------------------


def read_heads(repo: Repository, run: Run) -> Heads:
    """The heads of a run; NotFoundError where they are not kept."""
    if HEAD not in run.files:
        raise NotFoundError(f"run {run.id} has no heads", hint=f"vgr runs show {run.id}")
    return decode_heads(b"".join(repo.store.iter_blob(run.files[HEAD])))


def frozen_question(
    heads: Heads,
    split: str | None,
    *,
    where: str | None = None,
    scope: Scope | None = None,
) -> Question:
    """What a run can be asked: its tasks, with the classes that its heads know."""
    classes = {
        task.task: tuple(node for node, _ in task.classes) for task in heads.tasks if task.classes
    }
    return Question(tuple(task.task for task in heads.tasks), split, scope, where, classes)


def frozen_said(
    repo: Repository,
    version: Dataset,
    run: Run,
    view: View,
    *,
    vectors: bool = False,
    device: str | None = None,
    progress: Progress = no_progress,
) -> Said:
    """What the heads of a run say of a view of `frozen_question`.

    Neighbours are looked up among the images of the commit that the run was trained on: one that
    was purged since has no vote.
    """
    config, embedder = _with_model(repo, FrozenConfig.from_dict(run.record.config), device)
    heads = read_heads(repo, run)
    embedded = embed_view(repo, version, view, embedder, progress=progress)
    known: Mapping[str, Head] = heads.linear
    if heads.head == "knn":
        known = _neighbours(repo, run, config, embedder, progress)
    said = _say(Learned(known, {}), view, embedded)
    if not vectors:
        return said
    of_rows = np.zeros((len(view), embedder.dims), np.float32)
    of_rows[embedded.rows] = unit(embedded.vectors.astype(np.float32))
    return replace(said, vectors=of_rows)


def _neighbours(
    repo: Repository, run: Run, config: FrozenConfig, embedder: Embedder, progress: Progress
) -> dict[str, Head]:
    version = repo.at(run.commit.hex())
    view = open_view(repo, version, config.question)
    known = embed_view(repo, version, view, embedder, progress=progress)
    return {
        task: _nearest(known.vectors, taken(target, known.rows), config.k)
        for task, target in view.targets.items()
    }
