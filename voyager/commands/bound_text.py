"""Bound label files in words, as `add`, `bind` and `status` show them."""

from __future__ import annotations

from voyager.commands.reports import quoted
from voyager.commands.sizes import counted
from voyager.repo.bound import BoundFile


def bound_text(one: BoundFile) -> str:
    """`2 boxes moved, 1 label changed cat → dog`, or how else the file stands."""
    match one.state:
        case "edited":
            return _edits(one)
        case "gone":
            return f"gone (vgr restore {quoted(one.key)})"
        case "stale":
            return f"of another commit (vgr restore {quoted(one.key)})"
        case "conflict":
            return f"cannot be added: {one.reason}"
        case "unreadable":
            return f"cannot be read: {one.reason}"
        case "added":
            return "in step, its edits are staged"
    return "in step" + _missing(one)


def taken_text(one: BoundFile) -> str:
    """What was staged of a file."""
    if one.state == "edited":
        return f"{quoted(one.key)}: {_edits(one)}"
    return f"nothing of {quoted(one.key)}, which is in step{_missing(one)}"


def bound_json(one: BoundFile) -> dict[str, object]:
    """The JSON of one file."""
    return {
        "path": one.key,
        "state": one.state,
        "counts": {} if one.stat is None else one.stat.summary(),
        "missing": one.missing,
        "reason": one.reason or None,
    }


def _edits(one: BoundFile) -> str:
    from voyager.commands.stat_text import summary_text

    assert one.stat is not None
    return summary_text(one.stat) + _missing(one)


def _missing(one: BoundFile) -> str:
    if not one.missing:
        return ""
    return f" ({counted(one.missing, 'image')} not in it: left as they are)"
