"""What a training validates with, and what no head can learn."""

from __future__ import annotations

from typing import Final

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.train.view import Question, View, open_view

USUAL: Final = "val"
"""The split that is validated with where there is one and nobody says otherwise."""


def open_validation(
    repo: Repository,
    version: Dataset,
    view: View,
    split: str | None,
    *,
    where: str | None = None,
    patience: int | None = None,
    progress: Progress = no_progress,
) -> View | None:
    """The view of a split with the tasks and classes of another view.

    None without a split, and where there is nothing in the usual one. Raises UsageError for another
    without any answers, and where `patience` has nothing to wait for.
    """
    found = None
    if split is not None and (split != USUAL or split in splits(version)):
        classes = {task: target.nodes for task, target in view.targets.items() if target.nodes}
        question = Question(tuple(view.targets), split, view.scope, where, classes)
        try:
            found = open_view(repo, version, question, progress=progress)
        except UsageError:
            if split != USUAL:
                raise
    if found is None and patience is not None:
        without = "" if split is None else f", and split '{split}' has nothing to validate with"
        raise UsageError(
            f"--patience waits for a better validation{without}", hint="vgr train --validate SPLIT"
        )
    return found


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
