"""Runs: what is recorded of a training, kept in the store and shared like commits (spec 9.13).

    refs/runs/<id> → run object → commit, files (weights, log), what it started from, record (JSON)

While a training goes on, and when it was interrupted, it lies in the folder `runs/<id>` of the
repository instead, with its checkpoint.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import Any, Final, Literal, TypeAlias

from voyager.errors import CorruptError, NotFoundError
from voyager.repo.repository import Repository
from voyager.store.history import RunObject
from voyager.store.history import read_run as read_run_object
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.refs import RUNS, iter_refs, move_ref, read_ref
from voyager.store.transaction import Transaction
from voyager.train.run_names import named_run
from voyager.wire import blob_ref, encode, object_ref

WEIGHTS: Final = "weights.safetensors"
LOG: Final = "log.jsonl"
ID_DIGITS: Final = 10
_PACKAGES: Final = ("voyager-vgr", "torch", "numpy", "pillow")

State: TypeAlias = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is recorded of a run, as JSON has it."""

    run: str
    commit: str
    """In hex."""
    state: State
    kind: Literal["network", "frozen"] = "network"
    name: str = ""
    message: str = ""
    revision: str = ""
    """How the commit was named when the run began."""
    author: str = ""
    started: int = 0
    """Milliseconds since 1970 UTC, as in commits; `zone` in minutes east."""
    zone: int = 0
    seconds: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 0
    samples: int = 0
    validation_samples: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many samples were left out, by why."""
    failed: tuple[str, ...] = ()
    """Samples whose pictures could not be read."""
    steps: int = 0
    epochs: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The measures of the last validation, and those of evaluations by `SPLIT@COMMIT`."""
    weights: str = ""
    """The hash of the weights, in hex."""
    losses: str = ""
    order: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    error: str = ""
    """What stopped it, where it failed."""
    start: str = ""
    """The run that it started from."""
    start_hash: str = ""
    """The BLAKE3 of the weights that it started from, of a run or a file, in hex; of a folder the
    id of its model."""
    tower: Mapping[str, Any] = field(default_factory=dict)
    """What a trunk of the transformers library is built from."""

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Record:
        """A record of JSON; fields of a newer version are left out."""
        known = {name: value for name, value in said.items() if name in cls.__slots__}
        for name in ("failed", "epochs"):
            known[name] = tuple(known.get(name, ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Run:
    """A run of the store."""

    id: str
    object: bytes
    commit: bytes
    files: Mapping[str, bytes]
    record: Record
    predictions: bytes | None = None
    start: bytes | None = None


def read_run(objects: ObjectReader, run_id: str, object_id: bytes) -> Run:
    """A run by its object; CorruptError where that is none."""
    found = read_run_object(objects, object_id)
    try:
        record = Record.from_dict(json.loads(found.record))
    except (ValueError, TypeError) as error:
        raise CorruptError(f"run {run_id} does not decode: {error}", hint="vgr fsck") from error
    if record.run != run_id:
        raise CorruptError(f"run {run_id} says that it is run {record.run}", hint="vgr fsck")
    return Run(
        run_id,
        object_id,
        bytes(found.commit.data),
        {name: bytes(ref.data) for name, ref in found.files.items()},
        record,
        None if found.predictions is None else bytes(found.predictions.data),
        None if found.start is None else bytes(found.start.data),
    )


def iter_runs(repo: Repository) -> Iterator[Run]:
    """All runs of the store, the newest first."""
    found = [
        read_run(repo.store, ref.removeprefix(RUNS), object_id)
        for ref, object_id in iter_refs(repo.store, RUNS).items()
    ]
    yield from sorted(found, key=lambda run: (-run.record.started, run.id))


def find_run(repo: Repository, text: str) -> Run:
    """The run of an id, a name (the newest of it), or a unique beginning of an id.

    NotFoundError where there is none, UsageError where several begin so.
    """
    object_id = iter_refs(repo.store, RUNS + text).get(RUNS + text) if text else None
    if object_id is not None:
        return read_run(repo.store, text, object_id)
    found = named_run(text, list(iter_runs(repo)), lambda run: run.record)
    if found is None:
        raise NotFoundError(f"no run '{text}'", hint="vgr runs")
    return found


def put_run(
    txn: Transaction,
    record: Record,
    files: Mapping[str, bytes],
    *,
    old: Run | None = None,
    predictions: bytes | None = None,
    start: bytes | None = None,
) -> bytes:
    """Store a run, or say more of `old`, whose files and links stay; its object's id.

    `files` are ids of blobs that the transaction or the store has.
    """
    kept = dict(old.files) if old is not None else {}
    predictions = predictions or (None if old is None else old.predictions)
    start = start or (None if old is None else old.start)
    made = RunObject(
        commit=object_ref(bytes.fromhex(record.commit)),
        files={name: blob_ref(blob) for name, blob in sorted({**kept, **files}.items())},
        predictions=None if predictions is None else object_ref(predictions),
        record=json.dumps(record.as_dict(), ensure_ascii=False, sort_keys=True),
        start=None if start is None else object_ref(start),
    )
    object_id = txn.put(Kind.RUN, encode(made))
    move_ref(txn, RUNS + record.run, object_id, old=None if old is None else old.object)
    return object_id


def drop_run(repo: Repository, run: Run) -> None:
    """Forget a run; `vgr undo` brings it back, and gc takes its files in time."""
    with repo.transaction("runs rm", run.id) as txn:
        move_ref(txn, RUNS + run.id, None, old=run.object)
        txn.commit()


def note_metrics(
    repo: Repository,
    run: Run,
    where: str,
    said: Mapping[str, Any],
    *,
    predictions: bytes | None = None,
) -> Run:
    """Add the measures of an evaluation, `SPLIT@COMMIT`, to a run's record."""
    metrics = {**run.record.metrics, where: said}
    record = replace(run.record, metrics=metrics)
    with repo.transaction("eval", run.id) as txn:
        put_run(txn, record, {}, old=run, predictions=predictions)
        txn.commit()
    now = read_ref(repo.store, RUNS + run.id)
    assert now is not None
    return read_run(repo.store, run.id, now)


def library_versions(*more: str) -> dict[str, str]:
    """The versions of what the numbers of a training depend on, and of `more` packages."""
    found = {"python": platform.python_version()}
    for package in (*_PACKAGES, *more):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
