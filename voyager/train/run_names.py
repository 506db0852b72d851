"""How runs are named: by id, by the name that they were given, by the beginning of an id."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from voyager.errors import UsageError

if TYPE_CHECKING:
    from voyager.train.record import Record

_LEAST: Final = 4
"""Digits of an id that name a run. What has fewer is a name, whatever ids there will be."""

R = TypeVar("R")


def named_run(text: str, runs: Sequence[R], record: Callable[[R], Record]) -> R | None:
    """The run that is meant: by its id, else by its name (the first of it), else by a beginning.

    None where there is none; UsageError where the ids of several begin so.
    """
    if not text:
        return None
    for said in ("run", "name"):
        for run in runs:
            if getattr(record(run), said) == text:
                return run
    found = [run for run in runs if len(text) >= _LEAST and record(run).run.startswith(text)]
    if len(found) > 1:
        listed = ", ".join(record(run).run for run in found)
        raise UsageError(f"several runs begin with '{text}': {listed}", hint="vgr runs")
    return found[0] if found else None
