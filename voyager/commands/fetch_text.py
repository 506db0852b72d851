"""What a fetch did, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from voyager.commands.commits import short_id
from voyager.commands.sizes import counted, size_text
from voyager.store.refs import FETCH_HEAD, REMOTES, RUNS, TAGS

if TYPE_CHECKING:
    from voyager.remotes.config import Remote
    from voyager.remotes.derived import Moved
    from voyager.remotes.fetch_plan import Fetched, RefMove
    from voyager.remotes.lazy import Got


def fetched_lines(done: Fetched, remote: Remote, *, dry_run: bool = False) -> Iterator[str]:
    """Where from, a line for each ref, and how much came."""
    if not (done.refs or done.purged or done.objects or done.source):
        yield f"nothing new at {remote}"
        return
    yield f"from {remote.url}"
    if done.source:
        kind = "tag" if done.source.startswith(TAGS) else "branch"
        yield f"  {kind} '{done.source.split('/', 2)[2]}' is FETCH_HEAD now"
    moves = [move for move in done.refs if move.name != FETCH_HEAD]
    names = [_short(move.name) for move in moves]
    width = max(map(len, names), default=0)
    for move, name in zip(moves, names, strict=True):
        yield f"  {name:<{width}}  {_moved(move)}"
    if done.objects:
        came = "would come, at most" if dry_run else "came"
        yield f"{counted(done.objects, 'object')} {came} ({size_text(done.bytes)})"
    if done.purged:
        yield f"{counted(done.purged, 'image')} purged there, and here"


def kept_text(name: str, remote: Remote) -> str:
    """What to warn of a tag or run that stayed as it is here."""
    what = f"run '{name[5:]}'" if name.startswith("runs/") else f"tag '{name}'"
    return f"{what} is another here than at {remote}, and stays"


def derived_line(moved: Moved, where: str) -> str:
    """How many derived values went somewhere, or came."""
    if not moved.values:
        return "no derived values are lacking"
    return f"{counted(moved.values, 'derived value')} {where}, {size_text(moved.bytes)}"


def got_line(done: Got, *, dry_run: bool = False) -> str:
    """How many images came, and what became of them."""
    files = f", {counted(done.updated.written, 'file')} laid out" if done.updated.written else ""
    came = "would come" if dry_run else "came"
    return f"{counted(done.blobs, 'image')} {came} ({size_text(done.bytes)}){files}"


def _short(name: str) -> str:
    for start in (REMOTES, TAGS):
        name = name.removeprefix(start)
    return name.removeprefix("refs/")


def _moved(move: RefMove) -> str:
    if move.new is None:
        return f"gone (was {short_id(move.old or b'')})"
    if move.old is None:
        kinds = {TAGS: "tag", RUNS: "run"}
        what = next((kinds[one] for one in kinds if move.name.startswith(one)), "branch")
        return f"{short_id(move.new)} (new {what})"
    return f"{short_id(move.old)} -> {short_id(move.new)}"
