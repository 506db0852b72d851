"""`vgr train --repeat`: whether a run came out as it did before, and what differs where not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.context import Context
from voyager.commands.runs_difference import setting, surroundings_differing

if TYPE_CHECKING:
    from voyager.train.record import Record

_DIFFERS: Final = 1


def is_repeated(record: Record, before: Record) -> bool:
    """Whether what was promised of a repeat is the same: the weights, or the order alone."""
    if _promise(before) == "order":
        return record.order == before.order
    return record.weights == before.weights


def result_as_json(run: str | None, record: Record, before: Record | None) -> dict[str, Any]:
    """What a training came to, and whether it is what it came to before, for scripts."""
    said = {
        "run": run,
        "commit": record.commit,
        "weights": record.weights,
        "metrics": dict(record.metrics),
        "state": record.state,
    }
    return said if before is None else {**said, "repeats": is_repeated(record, before)}


def tell_repeat(ctx: Context, record: Record, before: Record) -> int:
    """Say whether a run is repeated; the exit code."""
    same, digits = record.weights == before.weights, record.weights[:16]
    repeated = is_repeated(record, before)
    if _promise(before) == "order":
        ctx.say(f"the order is {_word(repeated)} as in run {before.run}: {record.order[:16]}")
        ctx.say(f"the weights, of which nothing was promised, are {_word(same)}: {digits}")
    else:
        ctx.say(f"the weights are {_word(same)} as those of run {before.run}: {digits}")
    if not same:
        for name, (then, now) in surroundings_differing(before, record).items():
            ctx.say(f"  {name} was {setting(then)}, and is {setting(now)}")
    return 0 if repeated else _DIFFERS


def _word(same: bool) -> str:
    return "the same" if same else "not the same"


def _promise(record: Record) -> str:
    config: Mapping[str, Any] = record.config
    return str(config.get("repro", "bits"))
