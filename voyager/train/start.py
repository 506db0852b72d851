"""Before the first step: what is trained, on what, and in which state of torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import torch

from voyager.config import with_variables
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.cores import cores
from voyager.train.augment import parse_augmentation
from voyager.train.config import TrainConfig
from voyager.train.reading import PackSource
from voyager.train.renditions import (
    AUTO,
    NO_RENDITION,
    Rendition,
    choose_rendition,
    parse_rendition,
)
from voyager.train.trained_rows import order_of, question_of
from voyager.train.trainer import Material
from voyager.train.validation import open_validation
from voyager.train.view import View, open_view

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda", "mps"]

_CUBLAS = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""Without it cuBLAS may add up in another order each time."""


def pick_device(name: str = "auto", local: int = 0) -> torch.device:
    """A device by name; `auto` is the fastest kind there is. UsageError for one that is not."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cpu" and torch.backends.mps.is_available():
            name = "mps"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(name, False):
        known = ", ".join(one for one, is_there in there.items() if is_there)
        raise UsageError(f"no device '{name}' here, only {known}", hint="vgr train --device auto")
    return torch.device(name, local) if name == "cuda" else torch.device(name)


@contextmanager
def repeatable(config: TrainConfig) -> Iterator[int]:
    """Let torch compute so that the bits of the result depend on the configuration alone.

    As many threads as the configuration says, all that may be used where it says nothing: how
    many, which a run records. Only for a while; what was set before comes back.
    """
    threads = config.threads or cores()
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(config.repro == "bits")
    torch.backends.cudnn.benchmark = config.repro != "bits"
    try:
        with with_variables(_CUBLAS if config.repro == "bits" else {}):
            yield threads
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        torch.backends.cudnn.benchmark = benchmark


def gather(
    repo: Repository, version: Dataset, config: TrainConfig, *, progress: Progress = no_progress
) -> Material:
    """What a configuration trains on, and validates with, at a version."""
    view = open_view(repo, version, question_of(config), progress=progress)
    validation = open_validation(
        repo,
        version,
        view,
        config.validate,
        where=config.where,
        patience=config.patience,
        progress=progress,
    )
    rendition = _rendition(repo, view, config)
    source = PackSource(
        version.objects, view, rendition=rendition, cache=derived_cache(repo) if rendition else None
    )
    source.fill(progress)
    return Material(
        view=view,
        source=source,
        order=order_of(view, config),
        rendition=rendition.setting if rendition else NO_RENDITION,
        validation=validation,
        validation_source=None if validation is None else PackSource(version.objects, validation),
    )


def _rendition(repo: Repository, view: View, config: TrainConfig) -> Rendition | None:
    """The rendition that a configuration asks for, or that `auto` finds to be there."""
    if config.rendition != AUTO:
        return parse_rendition(config.rendition)
    how = parse_augmentation(config.augmentation)
    return choose_rendition(derived_cache(repo), view, how, config.size)
