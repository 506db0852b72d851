"""From a model back to its data: what a run was trained on, who said so, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from voyager.errors import CorruptError, NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.guard_decisions import decisions_of
from voyager.repo.import_reports import ImportReport, reports_of
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.revisions import peel
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.store.history import (
    Commit,
    commits_between,
    is_ancestor,
    iter_history,
    read_commit,
)
from voyager.store.refs import HEADS, REMOTES, TAGS, iter_refs
from voyager.train.config import TrainConfig
from voyager.train.frozen import FrozenConfig
from voyager.train.listing import ListedRun, find_listed
from voyager.train.trained_rows import order_of, question_of
from voyager.train.view import open_view

_MOST_STARTS = 100
_TELL_EVERY = 4096
_LEFT_OUT = "it has no answer, or did not fit --where"


@dataclass(slots=True)
class Content:
    """What the splits of a run hold at its commit: samples, answers and whose they are."""

    samples: Counter[str] = field(default_factory=Counter)
    """By split; the empty one is none."""
    classes: dict[str, Counter[str]] = field(default_factory=dict)
    """By task: the answers of the split that was trained on."""
    sources: Counter[str] = field(default_factory=Counter)
    """Who gave them."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How the commit of a run came to be: its history, with who made it and what came from where.

    `imports` are (commit, report), the newest first; `guard` counts decisions by action.
    """

    commits: int
    authors: Mapping[str, int]
    imports: list[tuple[bytes, ImportReport]]
    guard: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Since:
    """What became of the commit: HEAD has `ahead` commits that it has not, and lacks `behind`."""

    head: bytes | None
    ahead: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Why:
    """A run with all that it is made of."""

    listed: ListedRun
    commit: Commit
    holders: list[str]
    """Branches, tags and remote-tracking branches whose history has the commit."""
    content: Content
    origin: Origin
    starts: list[ListedRun]
    """The runs that it started from, the nearest first."""
    since: Since


def explain(repo: Repository, listed: ListedRun, *, progress: Progress = no_progress) -> Why:
    """Walk from a run to its data."""
    version = repo.dataset_of(listed.commit)
    return Why(
        listed,
        read_commit(repo.store, listed.commit),
        list(_holders(repo, listed.commit)),
        _content(version, listed, progress),
        _origin(repo, listed.commit),
        list(_starts(repo, listed)),
        _since(repo, listed.commit),
    )


def _holders(repo: Repository, commit: bytes) -> Iterator[str]:
    for prefix in (HEADS, TAGS, REMOTES):
        for name, ref in iter_refs(repo.store, prefix).items():
            if is_ancestor(repo.store, commit, peel(repo.store, ref)):
                yield ("tag " if prefix == TAGS else "") + name.removeprefix(prefix)


def _content(version: Dataset, listed: ListedRun, progress: Progress) -> Content:
    found = Content(classes={task: Counter() for task in listed.tasks})
    split = listed.record.config.get("split")
    decode = partial_decoder({"split", "labels", "regions.labels"})
    words = version.vocabulary
    for done, (_, row) in enumerate(version.rows(SAMPLES)):
        if not done % _TELL_EVERY:
            progress(done, None)
        sample = decode(row)
        found.samples[sample.split or ""] += 1
        if split is not None and sample.split != split:
            continue
        for part in (sample, *sample.regions):
            for task, counts in found.classes.items():
                labels = tuple(label for label in part.labels if label.task == task)
                counts.update(map(words.spoken, words.answer(task, labels).labels))
                found.sources.update(label.source for label in labels)
    return found


def _origin(repo: Repository, commit: bytes) -> Origin:
    authors: Counter[str] = Counter()
    guard: Counter[str] = Counter()
    imports = []
    for commit_id, one in iter_history(repo.store, [commit]):
        authors[one.author] += 1
        imports += [(commit_id, report) for report in reports_of(repo.store, one)]
        guard.update(decision.action for decision in decisions_of(repo.store, one))
    return Origin(authors.total(), dict(authors.most_common()), imports, dict(guard))


def _starts(repo: Repository, listed: ListedRun) -> Iterator[ListedRun]:
    """The runs that a run started from; where one is not here any more it ends."""
    for _ in range(_MOST_STARTS):
        if not listed.record.start:
            return
        try:
            listed = find_listed(repo, listed.record.start)
        except (NotFoundError, CorruptError):
            return
        yield listed


def _since(repo: Repository, commit: bytes) -> Since:
    head = repo.head.commit
    if head is None or head == commit:
        return Since(head)
    return Since(head, *commits_between(repo.store, head, commit))


# -- one sample ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """When a run saw a row of a sample: epochs and steps, both counted from 1."""

    name: str
    """The key, with `#REGION` of a run on regions."""
    steps: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Used:
    """What a run did with a sample: `role` is `trained`, `validated` or `unused`, and why."""

    role: str
    split: str | None
    reason: str = ""
    shown: list[Shown] = field(default_factory=list)


def use_of(
    repo: Repository, listed: ListedRun, key: str, *, progress: Progress = no_progress
) -> Used:
    """Whether a run was trained on a sample, and when it saw it; NotFoundError for an unknown key.

    The order is computed again from the seed; of heads on a frozen model there is none.
    """
    version = repo.dataset_of(listed.commit)
    sample = version.get(key)
    if sample is None:
        raise NotFoundError(
            f"there was no '{key}' at {listed.record.commit[:10]}",
            hint=f"vgr ls {listed.record.commit[:10]}",
        )
    said = listed.record.config
    if sample.split != said.get("split") and said.get("split") is not None:
        role = "validated" if sample.split == said.get("validate") else "unused"
        return Used(role, sample.split, "" if role == "validated" else _other_split(sample.split))
    if sample.held is not None:
        return Used("unused", sample.split, "the guard holds it")
    if listed.record.kind == "frozen":
        if not _learnt(repo, version, listed, sample.uid, progress):
            return Used("unused", sample.split, _LEFT_OUT)
        return Used("trained", sample.split)
    shown = _shown(repo, version, listed, sample.uid, progress)
    if not shown:
        return Used("unused", sample.split, _LEFT_OUT)
    if not any(one.steps for one in shown):
        return Used("unused", sample.split, "it stood in no batch before the end", shown)
    return Used("trained", sample.split, shown=shown)


def _other_split(split: str | None) -> str:
    return "it is in no split" if split is None else f"it is in split '{split}'"


def _learnt(
    repo: Repository, version: Dataset, listed: ListedRun, uid: bytes, progress: Progress
) -> bool:
    """Whether heads were trained on a sample."""
    question = FrozenConfig.from_dict(listed.record.config).question
    view = open_view(repo, version, question, progress=progress)
    return bool((view.uids == np.frombuffer(uid, np.uint8)).all(axis=1).any())


def _shown(
    repo: Repository, version: Dataset, listed: ListedRun, uid: bytes, progress: Progress
) -> list[Shown]:
    config = TrainConfig.from_dict(listed.record.config)
    view = open_view(repo, version, question_of(config), progress=progress)
    rows = np.flatnonzero((view.uids == np.frombuffer(uid, np.uint8)).all(axis=1))
    order = order_of(view, config)
    of_epoch = order.count // config.batch or 1
    epochs = -(-listed.record.steps // of_epoch)
    found: dict[int, list[tuple[int, int]]] = {int(row): [] for row in rows}
    positions = np.arange(order.count)
    for epoch in range(epochs if len(rows) else 0):
        shown = order.at(epoch, positions)
        for place in np.flatnonzero(np.isin(shown, rows)).tolist():
            step = place // config.batch
            if step < of_epoch and epoch * of_epoch + step < listed.record.steps:
                found[int(shown[place])].append((epoch + 1, epoch * of_epoch + step + 1))
    return [Shown(view.name(row), steps) for row, steps in found.items()]


def why_as_json(why: Why) -> dict[str, Any]:
    """All of it, for scripts."""
    content, origin = why.content, why.origin
    return {
        "run": why.listed.id,
        "commit": why.listed.record.commit,
        "author": why.commit.author,
        "message": why.commit.message,
        "held_by": why.holders,
        "samples": {split or "none": count for split, count in content.samples.items()},
        "trained_on": why.listed.record.samples,
        "skipped": dict(why.listed.record.skipped),
        "classes": {task: dict(counts.most_common()) for task, counts in content.classes.items()},
        "sources": dict(content.sources.most_common()),
        "commits": origin.commits,
        "authors": dict(origin.authors),
        "imports": [
            {"commit": commit.hex(), **report.as_json()} for commit, report in origin.imports
        ],
        "guard": dict(origin.guard),
        "started_from": [start.id for start in why.starts],
        "head": None if why.since.head is None else why.since.head.hex(),
        "ahead": why.since.ahead,
        "behind": why.since.behind,
    }
