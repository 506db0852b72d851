"""What a training validates with, and what no head can learn."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

import numpy as np

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.train.view import Question, Target, View, open_view

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


def refuse_absent(version: Dataset, split: str) -> None:
    """Raise UsageError for a split, asked for by name, that a version has no samples in."""
    if split not in (known := splits(version)):
        listed = f"; there are {', '.join(sorted(known))}" if known else ", nor any other split"
        near = get_close_matches(split, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else "vgr train --validate SPLIT"
        raise UsageError(f"no samples in split '{split}'{listed}", hint=hint)


def splits(version: Dataset) -> set[str]:
    """The splits that a version has samples in."""
    decode = partial_decoder({"split"})
    found = {decode(row).split for _, row in version.rows(SAMPLES)}
    return {split for split in found if split is not None}


def refuse_single_classes(view: View) -> None:
    """Raise UsageError for a task that leaves nothing to tell apart."""
    for target in view.targets.values():
        answers = _told_apart(target)
        if len(answers) < 2:
            what = "class" if target.kind in ("one", "many") else "answer"
            raise UsageError(
                f"task '{target.task}' has one {what} alone to tell: {answers[0]}"
                if answers
                else f"task '{target.task}' has no {what} to tell",
                hint="vgr stats",
            )


def _told_apart(target: Target) -> list[str]:
    """What a head would tell apart, two of them at most."""
    if target.kind in ("one", "many"):
        return list(target.classes[:2])
    found = np.unique(target.values[target.answered()])[:2].tolist()
    return [str(bool(one)).lower() if target.kind == "bool" else f"{one:g}" for one in found]
