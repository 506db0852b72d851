"""The folder of a run that is not in the store yet: its record, its log and its checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from voyager.errors import InvalidDataError, NotFoundError, StateError
from voyager.repo.repository import Repository
from voyager.store import files
from voyager.train.record import LOG, Record
from voyager.train.run_names import named_run

_RECORD: Final = "record.json"
_CHECKPOINT: Final = "checkpoint.pt"
_LOCK: Final = "lock"
_REMOVED: Final = "removed-runs/"
"""Values of the store: folders that somebody removed, which wait for gc (spec 6.2)."""


class RunFolder:
    """A run on its way; it listens to a training as its `Recorder`.

    `record.json` says what it is, `log.jsonl` has a line for each step and epoch.
    """

    def __init__(self, path: Path, record: Record) -> None:
        self.path = path
        self.record = record
        self.checkpoint = path / _CHECKPOINT
        self._log: int | None = None

    @property
    def id(self) -> str:
        """The id of the run."""
        return self.record.run

    def lock(self) -> files.FileLock:
        """The lock that the process holds which trains this run."""
        return files.FileLock(self.path / _LOCK, patience=0, what="run")

    @property
    def goes_on(self) -> bool:
        """Whether a process trains this run now."""
        path = self.path / _LOCK
        if not path.exists():
            return False
        try:
            with files.FileLock(path, patience=0, shared=True, what="run"):
                return False
        except StateError:
            return True

    def write(self, record: Record) -> None:
        """Keep a new record."""
        self.record = record
        files.make_folder(self.path)
        text = json.dumps(record.as_dict(), ensure_ascii=False, indent=2) + "\n"
        files.write_atomic(self.path / _RECORD, text.encode())

    def step(self, step: int, said: dict[str, float]) -> None:
        """Log a step."""
        self._line({"step": step, **said})

    def epoch(self, epoch: int, said: dict[str, Any]) -> None:
        """Log an epoch and keep it in the record."""
        self._line(said)
        self.write(replace(self.record, epochs=(*self.record.epochs, said)))

    def _line(self, said: dict[str, Any]) -> None:
        if self._log is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._log = os.open(self.path / LOG, flags, 0o666)
        files.write_all(self._log, [json.dumps(said, separators=(",", ":")).encode() + b"\n"])

    def cut_log(self, done: int) -> None:
        """Forget what was logged after a step: a resume does it again."""
        kept: list[bytes] = []
        epochs = 0
        for line in self.log_lines() if done else []:
            said = json.loads(line)
            if said.get("step", 0) > done:
                break
            kept.append(line)
            epochs += "epoch" in said
        files.write_atomic(self.path / LOG, b"".join(kept))
        self.write(replace(self.record, epochs=self.record.epochs[:epochs]))

    def log_lines(self) -> list[bytes]:
        """The whole lines of the log."""
        try:
            data = (self.path / LOG).read_bytes()
        except FileNotFoundError:
            return []
        return [line for line in data.splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def remove(self) -> None:
        """Delete the folder with all that is in it."""
        self.close()
        files.remove_tree(self.path)


def runs_folder(repo: Repository) -> Path:
    """Where runs lie that are not in the store."""
    return repo.folder / "runs"


def open_run_folder(repo: Repository, run: str) -> RunFolder:
    """The folder of a run by its id, its name, or a unique beginning of its id."""
    found = named_run(run, list(iter_run_folders(repo)), lambda folder: folder.record)
    if found is None:
        raise NotFoundError(f"no run '{run}' to go on with", hint="vgr runs")
    return found


def iter_run_folders(repo: Repository) -> Iterator[RunFolder]:
    """The runs that go on or were stopped here, the newest first."""
    removed = {name.removeprefix(_REMOVED) for name in repo.store.values(_REMOVED)}
    found = []
    for path in sorted(runs_folder(repo).glob("*/" + _RECORD)):
        try:
            record = Record.from_dict(json.loads(path.read_bytes()))
        except FileNotFoundError:
            continue  # it came to its end just now
        except (OSError, ValueError, TypeError) as error:
            raise InvalidDataError(f"no record of a run: {error}", path=str(path)) from error
        if record.run not in removed:
            found.append(RunFolder(path.parent, record))
    yield from sorted(found, key=lambda folder: -folder.record.started)


def drop_run_folder(repo: Repository, folder: RunFolder) -> None:
    """Forget a run that was stopped; `vgr undo` brings it back, and gc takes its folder in time.

    StateError for one that goes on.
    """
    if folder.goes_on:
        raise StateError(f"run {folder.id} goes on in another process", hint="stop it with Ctrl-C")
    with repo.transaction("runs rm", folder.id) as txn:
        txn.move(_REMOVED + folder.id, {"time": repo.config.now().ms}, old=None)
        txn.commit()


def sweep_removed(repo: Repository, before: int) -> int:
    """Delete the folders of runs that were removed before a time in ms; how many."""
    values = repo.store.values(_REMOVED)
    due = {name: value for name, value in values.items() if value["time"] <= before}
    if not due:
        return 0
    for name in due:
        files.remove_tree(runs_folder(repo) / name.removeprefix(_REMOVED))
    with repo.transaction("gc", "removed runs") as txn:
        for name, value in due.items():
            txn.move(name, None, old=value)
        txn.commit()
    return len(due)
