"""Runs as `vgr runs` shows them: a line each, one in full, two side by side; and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.bars import bar
from voyager.commands.commits import date_text, iso_time, moment, short_id
from voyager.commands.run_text import (
    is_share,
    main_measure,
    measure_name,
    measure_text,
    measures_text,
    value_text,
)
from voyager.commands.sizes import counted, size_text
from voyager.repo.keys import shown
from voyager.store.history import read_commit

if TYPE_CHECKING:
    from voyager.commands.context import Context
    from voyager.repo.repository import Repository
    from voyager.train.listing import ListedRun

_COLOURS: Final = {"finished": "green", "running": "cyan", "stopped": "yellow", "failed": "red"}
_BAR: Final = 16
_MOST_EPOCHS: Final = 24
_COLUMN: Final = 11
"""How wide the names of what is said of a run are."""


# -- a line each -----------------------------------------------------------------------------------


def run_as_json(listed: ListedRun) -> dict[str, Any]:
    """A run as in the list of `vgr runs --json`."""
    record = listed.record
    return {
        "run": record.run,
        "commit": record.commit,
        "state": record.state,
        "metrics": dict(record.metrics),
        "name": record.name,
        "model": listed.model,
        "tasks": list(listed.tasks),
        "author": record.author,
        "time": iso_time(record.started, record.zone),
        "seconds": record.seconds,
        "weights": record.weights or None,
        "start": record.start or None,
    }


def list_lines(ctx: Context, runs: Sequence[ListedRun]) -> Iterator[str]:
    """A line for each run: id, state, commit, network, when, and how good it is."""
    rows = [
        (
            run.id,
            run.record.state,
            short_id(run.commit),
            run.model,
            f"{moment(run.record.started, run.record.zone):%Y-%m-%d %H:%M}",
        )
        for run in runs
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for run, row in zip(runs, rows, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = ctx.style(cells[0], "yellow")
        cells[1] = ctx.style(cells[1], _COLOURS[run.record.state])
        name = f"{shown(run.record.name)}: " if run.record.name else ""
        yield "  ".join([*cells, f"{name}{came_text(run)}"]).rstrip()


def came_text(run: ListedRun) -> str:
    """How good a run is, or how far it came."""
    record = run.record
    if record.state == "failed":
        return record.error.partition(";")[0]
    if record.state == "finished":
        if record.kind == "frozen":
            return main_text(record.metrics) or f"heads over {counted(record.samples, 'sample')}"
        return main_text(record.metrics) or counted(record.steps, "step")
    if not record.epochs:
        return "in its first epoch"
    last = record.epochs[-1]
    said = measures_text(last.get("validation", {})) or f"loss {last['loss']:.4f}"
    return f"after {counted(len(record.epochs), 'epoch')}: {said}"


def main_text(metrics: Mapping[str, Any]) -> str:
    """The main measures of the first evaluation: `val category balanced accuracy 91.3 %`."""
    for where, measures in metrics.items():
        said = measures_text(measures)
        if said:
            return f"{where} {said}"
    return ""


# -- one in full -----------------------------------------------------------------------------------


def show_as_json(repo: Repository, listed: ListedRun) -> dict[str, Any]:
    """All that is recorded of a run, and its files."""
    run = listed.run
    files = {} if run is None else run.files
    return {
        **listed.record.as_dict(),
        "files": {
            name: {"blob": blob.hex(), "bytes": _size_of(repo, blob)}
            for name, blob in files.items()
        },
        "predictions": None if run is None or run.predictions is None else run.predictions.hex(),
    }


def show_lines(ctx: Context, repo: Repository, listed: ListedRun) -> Iterator[str]:
    """What is recorded of a run, for people."""
    record = listed.record
    state = ctx.style(record.state, _COLOURS[record.state])
    name = f" '{shown(record.name)}'" if record.name else ""
    yield f"{ctx.style(f'run {record.run}', 'yellow')}{name} ({state})"
    for what, said in _facts(repo, listed):
        yield f"{what + ':':<{_COLUMN}} {said}"
    if record.message:
        yield ""
        yield from (f"    {line}".rstrip() for line in record.message.split("\n"))
    if record.epochs:
        yield ""
        yield from _epoch_lines(record.epochs)
    for where, measures in record.metrics.items():
        yield ""
        yield from _measure_lines(ctx, where, measures)
    yield ""
    yield ctx.style("settings", "bold")
    yield from settings_lines(record.config)


def _facts(repo: Repository, listed: ListedRun) -> Iterator[tuple[str, str]]:
    record = listed.record
    subject = read_commit(repo.store, listed.commit).subject
    asked = f" (then {record.revision})" if record.revision else ""
    yield "Commit", f"{short_id(listed.commit)} {shown(subject)}{asked}"
    yield "Author", record.author
    took = f", {record.seconds:,.0f} s" if record.seconds else ""
    yield "Date", date_text(record.started, record.zone) + took
    if record.error:
        yield "Error", record.error
    yield "Network", _network_text(listed)
    yield "Tasks", ", ".join(listed.tasks)
    yield "Samples", _samples_text(listed)
    if record.failed:
        yield "Unread", ", ".join(shown(key) for key in record.failed)
    if record.start:
        yield "Started", f"from run {record.start}"
    if record.weights:
        size = _weights_size(repo, listed)
        yield "Weights", record.weights[:16] + (f" ({size})" if size else "")
    if record.losses:
        yield "Losses", record.losses[:16]
    if record.order:
        yield "Order", record.order[:16]
    if record.versions:
        yield "Versions", ", ".join(f"{name} {said}" for name, said in record.versions.items())
    if record.hardware:
        yield "Hardware", _hardware_text(listed)


def _network_text(listed: ListedRun) -> str:
    count = listed.record.parameters
    return listed.model + (f", {counted(count, 'parameter')}" if count else "")


def _samples_text(listed: ListedRun) -> str:
    record = listed.record
    parts = [f"{record.samples:,} trained on, {record.validation_samples:,} validated with"]
    parts += [f"{count:,} {why} left out" for why, count in record.skipped.items()]
    return ", ".join(parts)


def _hardware_text(listed: ListedRun) -> str:
    record, said = listed.record, listed.record.hardware
    parts = [f"{said.get('device', '')} {said.get('name', '')}".strip()]
    parts.append(counted(int(said.get("processes", 1)), "process"))
    if record.threads:
        parts.append(counted(record.threads, "thread"))
    return ", ".join(parts)


def _weights_size(repo: Repository, listed: ListedRun) -> str:
    from voyager.train.record import WEIGHTS

    blob = None if listed.run is None else listed.run.files.get(WEIGHTS)
    size = None if blob is None else _size_of(repo, blob)
    return "" if size is None else size_text(size)


def _size_of(repo: Repository, blob: bytes) -> int | None:
    """The bytes of a blob, None for one that is not here."""
    return None if repo.store.place(blob) is None else repo.store.header(blob).real


def _epoch_lines(epochs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each epoch, of very many for some of them: its loss and its validation."""
    most = max(float(said["loss"]) for said in epochs)
    tasks = list(dict.fromkeys(task for said in epochs for task in said.get("validation", {})))
    rows = []
    for said in _some(epochs):
        row = [f"{said['epoch']}", f"{said['loss']:.4f} {bar(said['loss'], most, _BAR)}"]
        row += [_epoch_cell(said, task) for task in tasks]
        rows.append(row)
    heads = ["epoch", "loss", *(_epoch_head(epochs, task) for task in tasks)]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        cells = [row[0].rjust(widths[0])]
        cells += [cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join(cells).rstrip()


def _some(epochs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Epochs at even distances, the last among them."""
    step = -(-len(epochs) // _MOST_EPOCHS)
    return list(epochs[::-step])[::-1]


def _epoch_head(epochs: Sequence[Mapping[str, Any]], task: str) -> str:
    names = (main_measure(said.get("validation", {}).get(task, {})) for said in epochs)
    name = next(filter(None, names), None)
    return task if name is None else f"{task} {measure_name(name)}"


def _epoch_cell(said: Mapping[str, Any], task: str) -> str:
    found = said.get("validation", {}).get(task, {})
    name = main_measure(found)
    if name is None:
        return "·"
    number = value_text(name, found[name])
    return f"{number:>7} {bar(found[name], 1, _BAR)}" if is_share(name) else number


def _measure_lines(ctx: Context, where: str, measures: Mapping[str, Any]) -> Iterator[str]:
    yield ctx.style(where, "bold")
    width = max(map(len, measures), default=0)
    for task, found in measures.items():
        said = ", ".join(
            measure_text(name, value)
            for name, value in found.items()
            if isinstance(value, int | float)
        )
        yield f"  {task:<{width}}  {said}"


def settings_lines(config: Mapping[str, Any]) -> Iterator[str]:
    """All settings of a training, the names in a column."""
    width = max(map(len, config), default=0)
    for name, value in config.items():
        if value is not None and value not in ({}, []):
            yield f"  {name:<{width}}  {setting_text(value)}"


def setting_text(value: object) -> str:
    """A setting as it is typed."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
