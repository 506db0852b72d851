"""Runs as a training leaves them, put into a store without one: what is recorded is given."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from voyager.repo.repository import Repository
from voyager.train.record import LOG, WEIGHTS, Record, Run, find_run, put_run

EPOCHS = (
    {"epoch": 1, "loss": 2.3, "validation": {"category": {"balanced_accuracy": 0.4}}},
    {"epoch": 2, "loss": 1.1, "validation": {"category": {"balanced_accuracy": 0.7}}},
)
METRICS = {"val": {"category": {"balanced_accuracy": 0.7, "accuracy": 0.72}}}


def weights_file(classes: Iterable[str], numbers: bytes, task: str = "category") -> bytes:
    """A safetensors file with the card of a network and one tensor of bytes."""
    card = {
        "trunk": "cnn-small",
        "size": 32,
        "embedding": None,
        "tasks": [
            {
                "task": task,
                "kind": "one",
                "classes": [
                    {"node": f"{number:032x}", "path": path} for number, path in enumerate(classes)
                ],
            }
        ],
    }
    header = {
        "__metadata__": {"voyager": "1", "model": json.dumps(card, sort_keys=True)},
        "bias": {"dtype": "U8", "shape": [len(numbers)], "data_offsets": [0, len(numbers)]},
    }
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded)) + encoded + numbers


def config(**settings: Any) -> dict[str, Any]:
    """Some settings of a training as a record keeps them; the others are what they always are."""
    usual = {
        "tasks": ["category"],
        "split": "train",
        "validate": "val",
        "model": "cnn-small",
        "start": None,
        "size": 32,
        "batch": 2,
        "steps": 8,
        "lr": 0.001,
        "seed": 0,
    }
    return {**usual, **settings}


def make_run(
    repo: Repository,
    name: str,
    *,
    run: str | None = None,
    revision: str = "HEAD",
    metrics: Mapping[str, Any] = METRICS,
    weights: bytes = b"numbers",
    classes: Iterable[str] = ("hat", "shoes"),
    start: Run | None = None,
    predictions: bytes | None = None,
    settings: Mapping[str, Any] | None = None,
    **said: Any,
) -> Run:
    """Put a finished run on a commit into the store, as `vgr train` does at its end."""
    now = repo.config.now()
    version = repo.at(revision)
    splits = Counter(version[key].split for key in version.keys())  # noqa: SIM118
    record = Record(
        run=run or name.encode().hex()[:10].ljust(10, "0"),
        commit=repo.resolve(revision).hex(),
        state="finished",
        name=name,
        revision=revision,
        author=repo.config.author_or_unknown(),
        started=now.ms,
        zone=now.zone,
        seconds=12.5,
        config=config(**(settings or {})),
        steps=8,
        epochs=EPOCHS,
        metrics=metrics,
        weights=weights.hex().ljust(64, "0")[:64],
        losses="11" * 32,
        order="22" * 32,
        versions={"python": "3.11.9", "torch": "2.4.0"},
        hardware={"device": "cpu", "name": "x86_64", "processes": 1, "cores": 2},
        parameters=1234,
        threads=2,
        start="" if start is None else start.id,
        samples=splits["train"],
        validation_samples=splits["val"],
        **said,
    )
    log = b"".join(json.dumps(line).encode() + b"\n" for line in _log())
    with repo.transaction("train", record.run) as txn:
        files = {
            WEIGHTS: txn.put_blob(weights_file(classes, weights)),
            LOG: txn.put_blob(log, shrink=True),
        }
        begun = None if start is None else start.object
        put_run(txn, record, files, start=begun, predictions=predictions)
        txn.commit()
    return find_run(repo, record.run)


def _log() -> Iterable[dict[str, Any]]:
    for step in range(1, 9):
        said = {"loss": 2.5 - step / 8, "lr": 0.001, "images_per_second": 100.0, "waiting": 0.01}
        yield {"step": step, **said}
        if not step % 4:
            yield dict(EPOCHS[step // 4 - 1])
