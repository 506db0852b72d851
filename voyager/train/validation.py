"""What a training validates with, and what no head can learn."""

from __future__ import annotations

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.train.view import Question, View, open_view


def open_validation(
    repo: Repository,
    version: Dataset,
    view: View,
    split: str | None,
    *,
    where: str | None = None,
    progress: Progress = no_progress,
) -> View | None:
    """The view of a split with the tasks and classes of another view, None without answers."""
    if split is None or split not in splits(version):
        return None
    classes = {task: target.nodes for task, target in view.targets.items() if target.nodes}
    question = Question(tuple(view.targets), split, view.scope, where, classes)
    try:
        return open_view(repo, version, question, progress=progress)
    except UsageError:
        return None


def splits(version: Dataset) -> set[str]:
    """The splits that a version has samples in."""
    decode = partial_decoder({"split"})
    return {decode(row).split for _, row in version.rows(SAMPLES)} - {None}


def refuse_single_classes(view: View) -> None:
    """Raise UsageError for a task that leaves nothing to tell apart."""
    for target in view.targets.values():
        if target.kind in ("one", "many") and len(target.classes) < 2:
            only = target.classes[0] if target.classes else "none"
            raise UsageError(
                f"task '{target.task}' has one class alone to tell: {only}", hint="vgr stats"
            )
