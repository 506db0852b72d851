"""The folder of a run that is not in the store yet: its record, its log and its checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from voyager.errors import InvalidDataError, NotFoundError
from voyager.repo.repository import Repository
from voyager.store import files
from voyager.train.record import LOG, Record

_RECORD: Final = "record.json"
_CHECKPOINT: Final = "checkpoint.pt"
_LOCK: Final = "lock"


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
    """The folder of a run by its id or a unique beginning; NotFoundError where there is none."""
    found = [folder for folder in iter_run_folders(repo) if run and folder.id.startswith(run)]
    found = found or [folder for folder in iter_run_folders(repo) if folder.record.name == run]
    if len(found) != 1:
        raise NotFoundError(f"no run '{run}' to go on with", hint="vgr runs")
    return found[0]


def iter_run_folders(repo: Repository) -> Iterator[RunFolder]:
    """The runs that go on or were stopped here, the newest first."""
    found = []
    for path in sorted(runs_folder(repo).glob("*/" + _RECORD)):
        try:
            record = Record.from_dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise InvalidDataError(f"no record of a run: {error}", path=str(path)) from error
        found.append(RunFolder(path.parent, record))
    yield from sorted(found, key=lambda folder: -folder.record.started)
