"""`vgr cache`: what a lazy clone keeps of images that were looked at."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.errors import UsageError

_SIZE = re.compile(r"(\d{1,9})\s*([MGT])B?", re.IGNORECASE)
_MEGABYTES = {"M": 1, "G": 1_000, "T": 1_000_000}


class Action(StrEnum):
    """What to do with the cache."""

    show = "show"
    limit = "limit"
    clear = "clear"


def run(
    ctx: Context,
    action: Annotated[
        Action, typer.Argument(metavar="[show|limit|clear]", help="what to do")
    ] = Action.show,
    size: Annotated[
        str | None, typer.Argument(metavar="SIZE", help="the limit, as 500MB or 20GB")
    ] = None,
) -> None:
    """Show, limit or clear what a lazy clone keeps of images that were looked at.

    When the limit is passed, those go that were not looked at for longest. What vgr get brought
    and what was committed here is no part of it.

    JSON: {"files", "bytes", "limit"}, sizes in bytes.

    Example:
      $ vgr cache
      $ vgr cache limit 20GB
      $ vgr cache clear
    """
    if (size is not None) != (action == Action.limit):
        raise UsageError("vgr cache limit wants SIZE", hint="vgr cache limit 20GB")
    from voyager.remotes.blob_cache import BlobCache
    from voyager.remotes.lazy import MEGABYTE
    from voyager.store import files

    repo = ctx.open_repository()
    if size is not None:
        megabytes = str(_megabytes(size))
        repo.config.set("cache.limit_mb", megabytes, "repository", files.write_atomic)
    limit = repo.config.get_int("cache.limit_mb") * MEGABYTE
    cache = BlobCache(repo.folder, limit)
    if action != Action.show:
        cache.shrink(0 if action == Action.clear else limit)
    count, used = cache.used()
    if ctx.json:
        ctx.emit({"files": count, "bytes": used, "limit": limit})
    ctx.show(f"{counted(count, 'file')}, {size_text(used)} of {size_text(limit)}")


def _megabytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"'{text}' is no size", hint="vgr cache limit 20GB")
    return int(found[1]) * _MEGABYTES[found[2].upper()]
