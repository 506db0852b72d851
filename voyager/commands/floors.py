"""`--fail-below NAME=VALUE`: what a measure must reach, else the exit code is 1.

It is 0 where all are reached, though images were skipped: `vgr bisect run` would take any other
code for a fault. NAME is a task (its main measure), `TASK:MEASURE`, or `TASK/CLASS` (the F1 of the
class).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import typer

from voyager.commands.context import Context
from voyager.commands.run_text import main_measure
from voyager.errors import UsageError

if TYPE_CHECKING:
    from voyager.train.class_scores import ClassScore

FAILED: Final = 1
CANNOT_SAY: Final = 125
"""What `vgr bisect run` reads as: this commit cannot be tried."""

FloorOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-below",
        metavar="NAME=VALUE",
        help="exit code 1 where TASK, TASK:MEASURE or TASK/CLASS (its F1) is below",
    ),
]


class Floor(NamedTuple):
    """What is measured, and what it must reach."""

    name: str
    value: float


def parse_floors(texts: Sequence[str] | None) -> list[Floor]:
    """Floors as they are typed; UsageError for what is none."""
    return [_parse(text) for text in texts or ()]


def _parse(text: str) -> Floor:
    name, _, value = text.rpartition("=")
    try:
        if name:
            return Floor(name, float(value))
    except ValueError:
        pass
    raise UsageError(f"'{text}' is not NAME=VALUE", hint="vgr train --fail-below category=0.8")


def judge(
    ctx: Context,
    floors: Sequence[Floor],
    measures: Mapping[str, Mapping[str, float]],
    classes: Mapping[str, Sequence[ClassScore]],
) -> int:
    """Say which measures are below their floors, or not there at all; the exit code."""
    code = 0
    for floor in floors:
        found = _measured(floor.name, measures, classes)
        if found is None:
            ctx.warn(f"nothing measures '{floor.name}' here")
            code = CANNOT_SAY
        elif found < floor.value:
            ctx.say(f"{floor.name} is {found:.3f}, below {floor.value:g}")
            code = code or FAILED
    return code


def never_said(unknown: Mapping[str, int]) -> list[ClassScore]:
    """Classes that rows have and that were not there to be learnt: none of them is ever said."""
    from voyager.train.class_scores import ClassScore

    return [ClassScore(name, count, 0, 0) for name, count in unknown.items()]


def _measured(
    name: str,
    measures: Mapping[str, Mapping[str, float]],
    classes: Mapping[str, Sequence[ClassScore]],
) -> float | None:
    if name in measures:
        main = main_measure(measures[name])
        return None if main is None else measures[name][main]
    for task in sorted(measures, key=len, reverse=True):
        if name.startswith(f"{task}:"):
            return measures[task].get(name.removeprefix(f"{task}:"))
        if name.startswith(f"{task}/"):
            wanted = name.removeprefix(f"{task}/")
            scores = classes.get(task, ())
            # A class without any row to measure it by says nothing, even where it is said of some.
            return next((one.f1 for one in scores if one.name == wanted and one.count), None)
    return None
