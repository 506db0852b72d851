"""`vgr reflog`: list where HEAD or a branch has been."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from voyager.commands.commits import iso_time, short_id
from voyager.commands.context import Context
from voyager.commands.operations import described
from voyager.errors import NotFoundError, UsageError
from voyager.repo.revisions import full_name, reflog
from voyager.store.refs import HEAD

NUMBER = "-n"


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="REF", help="a branch or tag (HEAD), after show")
    ] = None,
    *,
    limit: Annotated[
        int | None, typer.Option("-n", "--max-count", metavar="N", min=0, help="only so many")
    ] = None,
) -> None:
    """List where HEAD or a branch has been, newest first.

    REF@{2} names what REF was two moves ago, in every command that takes a revision.

    JSON: [{"name", "commit", "operation", "kind", "message", "time"}].

    Example:
      $ vgr reflog main
      $ vgr reset --hard main@{1}
    """
    asked = list(words or ())
    asked = asked[1:] if asked[:1] == ["show"] else asked
    if len(asked) > 1:
        raise UsageError(f"vgr reflog has no use for '{asked[1]}'", hint="vgr reflog REF")
    ref = asked[0] if asked else HEAD
    store = ctx.open_repository().store
    name = HEAD if ref in (HEAD, "@") else full_name(store, ref)
    if name is None:
        raise NotFoundError(f"no branch or tag '{ref}'", hint="vgr branch, vgr tag")
    found = []
    for at, (number, commit) in enumerate(islice(reflog(store, name), limit)):
        found.append((f"{ref}@{{{at}}}", commit, store.operation(number)))
    if ctx.json:
        ctx.emit(
            [
                {
                    "name": entry,
                    "commit": commit.hex(),
                    "operation": operation.seq,
                    "kind": operation.kind,
                    "message": operation.message,
                    "time": iso_time(operation.time, operation.zone),
                }
                for entry, commit, operation in found
            ]
        )
        return
    for entry, commit, operation in found:
        ctx.show(f"{ctx.style(short_id(commit), 'yellow')} {entry}: {described(operation)}")
