"""A run as a folder of plain files, for who has no Voyager: weights, record, log and classes."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from voyager.errors import ExistsError, StateError
from voyager.repo.repository import Repository
from voyager.store import files
from voyager.store.runs import is_file_name
from voyager.train.listing import ListedRun
from voyager.train.record import LOG, WEIGHTS, Run

RECORD: Final = "record.json"
_CSV: Final = "log.csv"
_CLASSES: Final = "classes.txt"
_MOST_HEADER: Final = 16 << 20


def export_run(repo: Repository, listed: ListedRun, folder: Path) -> list[Path]:
    """Write a finished run into a new or empty folder; the files.

    Those of the run as they are, `record.json`, `log.csv` with a line for each step and epoch, and
    `classes.txt`, the classes in the order of the network's outputs. StateError for a run that is
    not finished, ExistsError for a folder with anything in it.
    """
    run = listed.run
    if run is None:
        raise StateError(
            f"run {listed.id} is {listed.record.state}, and has no weights yet",
            hint=f"vgr train --resume {listed.id}",
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExistsError(f"{folder} exists and is not empty", hint="vgr runs export RUN NEW-DIR")
    files.make_folder(folder)
    written = []
    for name, blob in run.files.items():
        if is_file_name(name):
            written.append(folder / name)
            files.create_from(folder / name, repo.store.iter_blob(blob))
    for name, text in _texts(repo, run).items():
        written.append(folder / name)
        files.write_atomic(folder / name, text.encode())
    return written


def _texts(repo: Repository, run: Run) -> dict[str, str]:
    record = json.dumps(run.record.as_dict(), ensure_ascii=False, indent=2)
    found = {RECORD: record + "\n"}
    if LOG in run.files:
        found[_CSV] = csv_of(read_log(repo, run))
    if WEIGHTS in run.files:
        found[_CLASSES] = "".join(f"{line}\n" for line in class_lines(read_tasks(repo, run)))
    return {name: text for name, text in found.items() if text and name not in run.files}


# -- the log ---------------------------------------------------------------------------------------


def read_log(repo: Repository, run: Run) -> list[dict[str, Any]]:
    """What was logged of a run: a value for each step and epoch."""
    data = b"".join(repo.store.iter_blob(run.files[LOG]))
    return [json.loads(line) for line in data.splitlines()]


def csv_of(lines: Sequence[Mapping[str, Any]]) -> str:
    """Lines of a log as a table; what stands inside of a value gets `OUTER/INNER` for a name."""
    rows = [dict(_flat(line)) for line in lines]
    names = dict.fromkeys(["step", "epoch", *(name for row in rows for name in row)])
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{before}{name}/")
        else:
            yield before + name, inner


# -- the classes -----------------------------------------------------------------------------------


def read_tasks(repo: Repository, run: Run) -> list[dict[str, Any]]:
    """The tasks that a network answers, from the header of its weights alone.

    Each has `task`, `kind` and `classes` ({"node", "path"}) as in `models.checkpoint`; none where
    the header is another's.
    """
    head = b""
    length = 8
    for chunk in repo.store.iter_blob(run.files[WEIGHTS]):
        head += chunk
        if length == 8 and len(head) >= 8:
            length = 8 + min(struct.unpack("<Q", head[:8])[0], _MOST_HEADER)
        if len(head) >= length:
            break
    try:
        said = json.loads(head[8:length])["__metadata__"]["model"]
        tasks: list[dict[str, Any]] = json.loads(said)["tasks"]
        return tasks
    except (ValueError, KeyError, TypeError):
        return []


def class_lines(tasks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The classes in the order of outputs, below `# TASK` where several tasks have some."""
    some = [task for task in tasks if task["classes"]]
    for task in some:
        if len(some) > 1:
            yield f"# {task['task']}"
        yield from (str(one["path"]) for one in task["classes"])
