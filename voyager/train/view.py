"""What a training sees of a commit: flat arrays, one row for each image or region that has answers.

No Python object stands for a row, so that a million of them cost their bytes and nothing an epoch.
The arrays are kept in `cache/train/` by snapshot and question, and mapped from there: a run of the
same question starts at once.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.errors import StateError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.guard_policy import read_policy
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store import files

Scope: TypeAlias = Literal["image", "region"]
TargetKind: TypeAlias = Literal["one", "many", "number", "bool"]

_VERSION: Final = 4
_MOST_KEPT: Final = 16
"""Views that are kept; the longest unused go first."""
_ABOUT: Final = "about.json"


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """The answers to one task.

    `values` are int32 (n,) for `one` and `bool`: places in `classes` (0 and 1 for `bool`), -1
    without an answer, -2 for an answer that is none of the classes; uint8 (n, c) for `many`;
    float32 (n,) for `number`, NaN without an answer. `known` is uint8 (n, c) for `many`: 0 where
    nobody says whether the class is there.
    """

    task: str
    kind: TargetKind
    classes: tuple[str, ...]
    """Paths, by path; none for numbers and truths."""
    nodes: tuple[bytes, ...]
    values: NDArray[Any]
    known: NDArray[np.uint8] | None = None

    def answered(self) -> NDArray[np.bool_]:
        """Which rows have an answer."""
        if self.kind == "many":
            assert self.known is not None
            return np.asarray(self.known.any(axis=1), np.bool_)
        if self.kind == "number":
            return np.asarray(~np.isnan(self.values), np.bool_)
        return np.asarray(self.values != -1, np.bool_)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a commit: which tasks, of which samples.

    `scope` None takes what the tasks are asked of. `classes` fixes the classes of tasks and their
    order, by node id; without it they are those that answers name. `unlabeled` keeps rows without
    any answer. With `sources` the view says whose answer each row has. Samples of the splits in
    `without` are never among the rows, whatever `where` says.
    """

    tasks: tuple[str, ...]
    split: str | None = "train"
    scope: Scope | None = None
    where: str | None = None
    classes: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    unlabeled: bool = False
    sources: bool = False
    without: tuple[str, ...] = ()

    def as_json(self) -> list[Any]:
        """All that the view depends on, besides the snapshot."""
        fixed = {task: [node.hex() for node in nodes] for task, nodes in self.classes.items()}
        asked = [self.tasks, self.split, self.scope, self.where, fixed, self.unlabeled]
        return [*asked, self.sources, self.without]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The rows of a commit that answer a question, in the order of their keys."""

    commit: bytes
    scope: Scope
    split: str | None
    blobs: NDArray[np.uint8]
    """(n, 32), the ids of the images."""
    uids: NDArray[np.uint8]
    """(n, 16), the ids of the samples."""
    sizes: NDArray[np.int32]
    """(n, 2), width and height of the stored images."""
    orientations: NDArray[np.uint8]
    key_ends: NDArray[np.int64]
    key_bytes: NDArray[np.uint8]
    regions: NDArray[np.uint8] | None
    """(n, 16), the ids of the regions."""
    boxes: NDArray[np.float32] | None
    """(n, 4), x0 y0 x1 y1 in pixels of the stored image, where rows are regions."""
    targets: Mapping[str, Target]
    skipped: Mapping[str, int]
    """How many rows were left out, by why: held, conflicted, pending, purged, unlabeled, …"""
    sources: NDArray[np.int16] | None = None
    """(n,), places in `source_names`: whose answers a row has, of several the first by name; -1
    without any answer. Only where the question asks for it."""
    source_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.blobs)

    def key(self, row: int) -> str:
        """The key of the sample of a row."""
        first = int(self.key_ends[row - 1]) if row else 0
        return bytes(self.key_bytes[first : int(self.key_ends[row])]).decode()

    def name(self, row: int) -> str:
        """The key, with `#REGION` where rows are regions."""
        if self.regions is None:
            return self.key(row)
        return f"{self.key(row)}#{bytes(self.regions[row]).hex()[:8]}"


def open_view(
    repo: Repository,
    version: Dataset,
    question: Question,
    *,
    for_evaluation: bool = False,
    progress: Progress = no_progress,
) -> View:
    """The view of a commit, mapped from the cache or built into it.

    Only an evaluation may look at protected splits: StateError for any other, and for a question
    that would reach into one. UsageError for a task that is none or that has no answers.
    """
    if version.commit is None:
        raise StateError("training is pinned to a commit, not to what is staged", hint="vgr commit")
    if not for_evaluation:
        question = _outside_protected(version, question)
    folder = repo.folder / "cache" / "train" / _name(version, question)
    found = _read(folder, version.commit)
    if found is None:
        from voyager.train.view_rows import build_view

        found = build_view(version, question, progress=progress)
        found = _keep(folder, found) or found
    return found


def _outside_protected(version: Dataset, question: Question) -> Question:
    """The question narrowed so that no sample of a protected split can be among the rows."""
    protected = read_policy(version).protected
    if question.split in protected:
        raise StateError(
            f"split '{question.split}' is protected: training never reads it",
            hint="vgr train --split train",
        )
    return replace(question, without=protected)


def _name(version: Dataset, question: Question) -> str:
    hasher = blake3(json.dumps([_VERSION, question.as_json()]).encode())
    for space, root in sorted(version.roots.items()):
        hasher.update(space.encode() + b"\0" + root)
    for blob in sorted(version.purged):
        hasher.update(blob)
    return hasher.hexdigest()[:32]


_ARRAYS: Final = ("blobs", "uids", "sizes", "orientations", "key_ends", "key_bytes")
_OPTIONAL: Final = ("regions", "boxes", "sources")
"""Arrays that a view of images, or one whose sources nobody asked for, has not."""


def _keep(folder: Path, view: View) -> View | None:
    """Write a view into the cache and map it from there; None where it cannot be written."""
    try:
        making = folder.with_name(f"{folder.name}.{os.getpid()}")
        files.remove_tree(making)
        files.make_folder(making)
        sums = {}
        for name, array in _arrays(view).items():
            buffer = io.BytesIO()
            np.save(buffer, array, allow_pickle=False)
            files.create(making / f"{name}.npy", buffer.getbuffer())
            sums[name] = blake3(buffer.getbuffer()).hexdigest()
        about = json.dumps(_about(view) | {"sums": sums}).encode()
        files.create(making / _ABOUT, blake3(about).hexdigest().encode() + b"\n" + about)
        files.remove_tree(folder)
        files.rename(making, folder)
        files.keep_newest(folder.parent, _MOST_KEPT)
    except OSError:
        return None
    return _read(folder, view.commit)


def _arrays(view: View) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {name: getattr(view, name) for name in _ARRAYS}
    arrays |= {name: getattr(view, name) for name in _OPTIONAL if getattr(view, name) is not None}
    for number, target in enumerate(view.targets.values()):
        arrays[f"values-{number}"] = target.values
        if target.known is not None:
            arrays[f"known-{number}"] = target.known
    return arrays


def _about(view: View) -> dict[str, Any]:
    return {
        "scope": view.scope,
        "split": view.split,
        "skipped": dict(view.skipped),
        "source_names": view.source_names,
        "targets": [
            [target.task, target.kind, target.classes, [node.hex() for node in target.nodes]]
            for target in view.targets.values()
        ],
    }


def _read(folder: Path, commit: bytes) -> View | None:
    """The view in a folder of the cache, None where there is none that can be read."""
    try:
        checksum, _, encoded = (folder / _ABOUT).read_bytes().partition(b"\n")
        if checksum != blake3(encoded).hexdigest().encode():
            return None
        about = json.loads(encoded)
        found = {name: _mapped(folder, name, known) for name, known in about["sums"].items()}
        arrays: dict[str, Any] = {name: found.get(name) for name in (*_ARRAYS, *_OPTIONAL)}
        targets = [
            Target(
                task,
                kind,
                tuple(classes),
                tuple(map(bytes.fromhex, nodes)),
                found[f"values-{number}"],
                found.get(f"known-{number}"),
            )
            for number, (task, kind, classes, nodes) in enumerate(about["targets"])
        ]
        (folder / _ABOUT).touch()
    except (OSError, EOFError, ValueError):
        return None
    return View(
        commit=commit,
        scope=about["scope"],
        split=about["split"],
        source_names=tuple(about["source_names"]),
        targets={target.task: target for target in targets},
        skipped=about["skipped"],
        **arrays,
    )


def _mapped(folder: Path, name: str, checksum: str) -> NDArray[Any]:
    """An array of the cache; ValueError for one that is not as it was written."""
    path = folder / f"{name}.npy"
    if blake3().update_mmap(path).hexdigest() != checksum:
        raise ValueError(f"{path} is damaged")
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def check_tasks(version: Dataset, tasks: Iterable[str]) -> tuple[str, ...]:
    """The tasks, each once; UsageError for one that a version does not have or that is of text."""
    known = version.vocabulary.tasks
    chosen = tuple(dict.fromkeys(tasks))
    for task in chosen:
        if task not in known:
            listed = ", ".join(sorted(known)) or "none"
            near = get_close_matches(task, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else "vgr task ls"
            raise UsageError(f"no task '{task}'; there are {listed}", hint=hint)
        if known[task].kind == "text":
            raise UsageError(
                f"task '{task}' asks for a text, which no network here answers", hint="vgr task ls"
            )
    if not chosen:
        raise UsageError("no task to train", hint="vgr train --task TASK")
    return chosen


def joined_keys(keys: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Keys as one stretch of bytes, with where each ends."""
    ends = np.cumsum([len(key) for key in keys], dtype=np.int64)
    return ends, np.frombuffer(b"".join(keys), np.uint8)
