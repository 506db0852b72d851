"""Two runs side by side: their settings, what they were trained on, their measures and weights."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from voyager.commands.commits import short_id
from voyager.commands.differences import Difference
from voyager.commands.run_text import is_share, measure_name, value_text
from voyager.commands.runs_text import setting_text
from voyager.commands.stat_text import stat_lines
from voyager.repo.label_stat import Stat, stat_of
from voyager.store.history import read_commit

if TYPE_CHECKING:
    from voyager.commands.context import Context
    from voyager.repo.repository import Repository
    from voyager.train.listing import ListedRun
    from voyager.train.record import Record

_Pair = tuple[Any, Any]

_COMMIT: Final = re.compile("@[0-9a-f]{12}(?= where |$)")
"""In the name of what an evaluation measured: the version that was asked about."""


@dataclass(frozen=True, slots=True)
class RunDifference:
    """What differs between two runs, names with the values of both; `stat` is of their commits."""

    one: ListedRun
    other: ListedRun
    settings: Mapping[str, _Pair]
    surroundings: Mapping[str, _Pair]
    measures: Mapping[tuple[str, str, str], _Pair]
    """(where, task, measure) → the values of both, also where they are equal.

    An evaluation of each at its own commit stands side by side.
    """
    same_weights: bool | None
    """None where one of them has none."""
    stat: Stat | None


def compare(repo: Repository, one: ListedRun, other: ListedRun) -> RunDifference:
    """Lay two runs side by side."""
    stat = None
    if one.commit != other.commit:
        found = Difference(repo.dataset_of(one.commit), repo.dataset_of(other.commit))
        stat = stat_of(found.samples(), found.terms, found.words)
    weights = one.record.weights, other.record.weights
    return RunDifference(
        one,
        other,
        _differing(one.record.config, other.record.config),
        surroundings_differing(one.record, other.record),
        _side_by_side(measures_of(one.record), measures_of(other.record)),
        weights[0] == weights[1] if all(weights) else None,
        stat,
    )


def _differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, _Pair]:
    pairs = _side_by_side(left, right)
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _side_by_side(left: Mapping[Any, Any], right: Mapping[Any, Any]) -> dict[Any, _Pair]:
    return {name: (left.get(name), right.get(name)) for name in dict.fromkeys([*left, *right])}


def surroundings_differing(one: Record, other: Record) -> dict[str, _Pair]:
    """What else the bits depend on, where it differs between two runs."""
    return _differing(_surroundings(one), _surroundings(other))


def _surroundings(record: Record) -> dict[str, Any]:
    return {**record.versions, **record.hardware, "threads": record.threads}


def measures_of(record: Record) -> dict[tuple[str, str, str], float]:
    """By where they were taken, without the commit of the split where only one was asked about."""
    metrics = record.metrics
    often = Counter(map(_of_any_commit, metrics))
    return {
        (_of_any_commit(where) if often[_of_any_commit(where)] == 1 else where, task, name): value
        for where, tasks in metrics.items()
        for task, found in tasks.items()
        for name, value in found.items()
        if isinstance(value, int | float)
    }


def _of_any_commit(where: str) -> str:
    """`test@0123456789ab where …` as `test where …`."""
    return _COMMIT.sub("", where)


# -- told ------------------------------------------------------------------------------------------


def difference_as_json(found: RunDifference) -> dict[str, Any]:
    """The difference for scripts."""
    return {
        "runs": [found.one.id, found.other.id],
        "config": {name: list(pair) for name, pair in found.settings.items()},
        "surroundings": {name: list(pair) for name, pair in found.surroundings.items()},
        "data": {
            "from": found.one.record.commit,
            "to": found.other.record.commit,
            "changes": {} if found.stat is None else found.stat.summary(),
        },
        "metrics": [
            {"where": where, "task": task, "measure": name, "values": list(pair)}
            for (where, task, name), pair in found.measures.items()
        ],
        "weights": found.same_weights,
    }


def difference_lines(ctx: Context, repo: Repository, found: RunDifference) -> Iterator[str]:
    """The difference for people."""
    yield ctx.style("data", "bold")
    yield from _data_lines(repo, found)
    for title, pairs in (("settings", found.settings), ("surroundings", found.surroundings)):
        if pairs:
            yield ""
            yield ctx.style(title, "bold")
            width = max(map(len, pairs))
            for name, (left, right) in pairs.items():
                yield f"  {name:<{width}}  {setting(left)} → {setting(right)}"
    if found.measures:
        yield ""
        yield from _measure_lines(ctx, found)
    yield ""
    words = {True: "the same", False: "not the same", None: "not known of both"}
    yield f"weights: {words[found.same_weights]}"


def _data_lines(repo: Repository, found: RunDifference) -> Iterator[str]:
    commits = [found.one.commit, found.other.commit]
    told = [f"{short_id(one)} {read_commit(repo.store, one).subject}" for one in commits]
    if found.stat is None:
        yield f"  the same commit: {told[0]}"
        return
    yield f"  {told[0]} → {told[1]}"
    yield from (f" {line}".rstrip() for line in stat_lines(found.stat))


def setting(value: object) -> str:
    """A setting, also one that is not there, as it is told."""
    return "none" if value is None else setting_text(value)


def _measure_lines(ctx: Context, found: RunDifference) -> Iterator[str]:
    """A table of the measures of both, and by how much the second is more."""
    rows = []
    for (where, task, name), (left, right) in found.measures.items():
        cells = ["·" if one is None else value_text(name, one) for one in (left, right)]
        rows.append((f"{where} {task} {measure_name(name)}", *cells, _gain(name, left, right)))
    heads = ("measure", found.one.id, found.other.id, "")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for place, row in enumerate((heads, *rows)):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        line = f"  {'  '.join(cells)}".rstrip()
        yield line if place else ctx.style(line, "bold")


def _gain(name: str, left: float | None, right: float | None) -> str:
    if left is None or right is None or left == right:
        return ""
    gain = right - left
    return f"{100 * gain:+.1f}" if is_share(name) else f"{gain:+.3g}"
