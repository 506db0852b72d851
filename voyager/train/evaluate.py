"""Evaluating a run: what its network says of a split, how good that is, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voyager.errors import InvalidDataError, NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.predictions import put_predictions
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.schema import Box, Image, Label, Region, Sample
from voyager.train.frozen import frozen_question, frozen_said, read_heads
from voyager.train.graded import Graded, grade_all
from voyager.train.loader import Loader
from voyager.train.memory import fitting
from voyager.train.reading import PackSource
from voyager.train.record import Run
from voyager.train.said import Said, probabilities
from voyager.train.task_report import TaskReport, report
from voyager.train.unknown_classes import unknown_classes
from voyager.train.view import Question, Scope, Target, TargetKind, View, open_view
from voyager.train.weights_file import weights_file

if TYPE_CHECKING:
    import torch

    from voyager.models.checkpoint import ModelCard
    from voyager.models.network import Network

ALL: Final = "all"
"""What stands for every split."""
_LEAST: Final = 0.5
"""The chance from which a class of a task with many answers is predicted to be there."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a network says of the rows of a view, and what is true of them."""

    view: View
    said: Said
    graded: Mapping[str, Graded]
    """By task."""
    unknown: Mapping[str, Mapping[str, int]]
    """By task, answers that are none of the network's classes: of how many rows each."""
    unreadable: tuple[str, ...] = ()
    """Rows whose picture could not be read: they are in no measure."""
    coded: bool = False
    """Whether the vectors are those of an embedding head, whose signs are codes."""

    def reports(self) -> list[TaskReport]:
        """All that is measured of each task."""
        return [
            report(
                graded,
                vectors=self.said.vectors,
                coded=self.coded,
                unknown=self.unknown.get(task),
            )
            for task, graded in self.graded.items()
        ]


def open_network(repo: Repository, run: Run) -> tuple[Network, ModelCard]:
    """The network of a run; NotFoundError where its weights are not kept."""
    from voyager.models.checkpoint import load_network

    return load_network(weights_file(repo, run))


def evaluate(
    repo: Repository,
    version: Dataset,
    network: Network,
    card: ModelCard,
    *,
    split: str | None,
    where: str | None = None,
    scope: Scope | None = None,
    batch: int = 64,
    vectors: bool = False,
    device: torch.device,
    progress: Progress = no_progress,
) -> Evaluation:
    """Ask a network about the rows of a version that have answers, protected or not."""
    from voyager.train.predict import predict
    from voyager.train.resizing import by_torch

    classes = {
        task.task: tuple(bytes.fromhex(node) for node, _ in task.classes)
        for task in card.tasks
        if task.classes
    }
    kinds = {task.task: task.kind for task in card.tasks}
    question = Question(tuple(kinds), split, scope, where, classes)
    view = _open(repo, version, question, kinds, progress)
    source = PackSource(version.objects, view)
    pictures = f"looking at once at {batch} pictures of {card.size} pixels"
    with fitting(pictures, hint=f"vgr eval --batch {max(1, batch // 2)}"):
        loader = Loader(source, view, size=card.size, batch=batch, evaluate=True, resize=by_torch)
        said = predict(network.to(device), loader, device, vectors=vectors, progress=progress)
    found = _evaluation(repo, version, question, view, said)
    return replace(found, coded=card.embedding is not None)


def evaluate_frozen(
    repo: Repository,
    version: Dataset,
    run: Run,
    *,
    split: str | None,
    where: str | None = None,
    scope: Scope | None = None,
    device: str | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Ask the heads of a run on a frozen model, as `evaluate` does a network.

    `device` is what the model runs on, by itself the fastest there is.
    """
    heads = read_heads(repo, run)
    question = frozen_question(heads, split, where=where, scope=scope)
    kinds = {task.task: task.kind for task in heads.tasks}
    view = _open(repo, version, question, kinds, progress)
    said = frozen_said(repo, version, run, view, vectors=True, device=device, progress=progress)
    return _evaluation(repo, version, question, view, said)


def _open(
    repo: Repository,
    version: Dataset,
    question: Question,
    kinds: Mapping[str, TargetKind],
    progress: Progress,
) -> View:
    """The view of a question; InvalidDataError where a task wants other answers than are given."""
    view = open_view(repo, version, question, for_evaluation=True, progress=progress)
    for task, kind in kinds.items():
        if view.targets[task].kind != kind:
            raise InvalidDataError(
                f"task '{task}' wants {view.targets[task].kind} here, and the run answers {kind}",
                hint="vgr eval --at REV, a version in which the task is as it was",
            )
    return view


def _evaluation(
    repo: Repository, version: Dataset, question: Question, view: View, said: Said
) -> Evaluation:
    unreadable = tuple(view.name(row) for row in np.flatnonzero(~said.valid).tolist())
    unknown = unknown_classes(repo, version, question, view)
    return Evaluation(view, said, grade_all(view, said), unknown, unreadable)


def trained_on(repo: Repository, run: Run, view: View) -> int:
    """How many rows show a picture that a run was trained on, as far as its commit is here."""
    config = run.record.config
    try:
        version = repo.at(run.commit.hex())
    except NotFoundError:
        return 0
    scope, where = config.get("scope"), config.get("where")
    question = Question(tuple(config["tasks"]), config.get("split"), scope, where)
    known = {bytes(blob) for blob in open_view(repo, version, question).blobs}
    return sum(bytes(blob) in known for blob in view.blobs)


# -- what it says, as labels -----------------------------------------------------------------------


def predicted_samples(found: Evaluation, source: str) -> list[Sample]:
    """What a network says as samples of a prediction set: labels with scores, by uid."""
    view = found.view
    labels: dict[int, list[Label]] = {}
    for task, target in view.targets.items():
        chances = probabilities(target.kind, found.said.logits[task])
        for row in np.flatnonzero(found.said.valid).tolist():
            labels.setdefault(row, []).extend(_labels(target, chances[row], source))
    samples: dict[bytes, list[int]] = {}
    for row in labels:
        samples.setdefault(bytes(view.uids[row]), []).append(row)
    return [
        Sample(uid=uid, image=Image(), labels=tuple(labels[rows[0]]))
        if view.regions is None
        else Sample(uid=uid, image=Image(), regions=_regions(view, rows, labels))
        for uid, rows in samples.items()
    ]


def _regions(view: View, rows: Sequence[int], labels: Mapping[int, list[Label]]) -> Any:
    assert view.regions is not None
    assert view.boxes is not None
    return tuple(
        Region(
            id=bytes(view.regions[row]),
            geometries={"box": Box(*view.boxes[row].tolist())},
            labels=tuple(labels[row]),
        )
        for row in rows
    )


def _labels(target: Target, chances: NDArray[Any], source: str) -> list[Label]:
    if target.kind == "number":
        return [Label(task=target.task, value=float(chances[0]), source=source)]
    if target.kind == "bool":
        yes = bool(chances[0] >= _LEAST)
        score = float(chances[0] if yes else 1 - chances[0])
        return [Label(task=target.task, value=yes, source=source, score=score)]
    if target.kind == "one":
        best = int(chances.argmax())
        return [_class_label(target, best, chances, source)]
    places = np.flatnonzero(chances >= _LEAST).tolist()
    return [_class_label(target, place, chances, source) for place in places]


def _class_label(target: Target, place: int, chances: NDArray[Any], source: str) -> Label:
    return Label(
        task=target.task, node=target.nodes[place], source=source, score=float(chances[place])
    )


def keep_predictions(repo: Repository, run: Run, found: Evaluation) -> bytes:
    """Put what the network says into the prediction set of the run; the id of the set's commit."""
    samples = predicted_samples(found, f"model:{run.id}")
    with repo.transaction("predict", run.id) as txn:
        said = f"What run {run.id} says of {len(samples)} samples"
        made = put_predictions(txn, repo, run.id, samples, said)
        txn.commit()
    return made


def metrics_name(version: Dataset, split: str | None, where: str | None) -> str:
    """How a record calls the measures of an evaluation: `SPLIT@COMMIT`, with what was asked for."""
    assert version.commit is not None
    name = f"{split or ALL}@{version.commit.hex()[:12]}"
    return name if where is None else f"{name} where {where}"
