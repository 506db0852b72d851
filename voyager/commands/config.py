"""`vgr config`: read or change settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.config import Item, Origin, Scope
from voyager.errors import NotFoundError, UsageError
from voyager.store import files


def run(
    ctx: Context,
    name: Annotated[str | None, typer.Argument(help="the setting, as section.name")] = None,
    value: Annotated[str | None, typer.Argument(help="its new value")] = None,
    *,
    user: Annotated[
        bool, typer.Option("--global", help="use the user's file, not the repository's")
    ] = False,
    get: Annotated[bool, typer.Option("--get", help="print it, as NAME alone does")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="take the setting out")] = False,
    list_all: Annotated[bool, typer.Option("--list", "-l", help="list every setting")] = False,
    show_origin: Annotated[bool, typer.Option("--show-origin", help="say who set it")] = False,
) -> None:
    """Read or change settings.

    With NAME alone, print the value in force; with VALUE, set it in the repository, or with
    --global for all repositories of the user. The environment wins over the repository, the
    repository over the user.

    Example:
      $ vgr config --global user.name "Ann Lee"
      $ vgr config user.name
      Ann Lee
    """
    scope: Scope = "user" if user else "repository"
    only: Origin | None = "user" if user else None
    if get and (name is None or value is not None or unset):
        raise UsageError("--get takes a name alone", hint=f"vgr config --get {name or 'NAME'}")
    if name is None or list_all:
        _list(ctx, name, only, show_origin=show_origin)
    elif unset:
        _unset(ctx, name, value, scope)
    elif value is None:
        _read(ctx, name, only, show_origin=show_origin)
    else:
        item = ctx.config.set(name, value, scope, _write)
        if ctx.json:
            ctx.emit(_as_json(item))


def _list(ctx: Context, name: str | None, only: Origin | None, *, show_origin: bool) -> None:
    if name is not None:
        raise UsageError("--list takes no name", hint=f"vgr config {name}")
    if ctx.json:
        ctx.emit([_as_json(item) for item in ctx.config.items(only=only)])
        return
    for item in ctx.config.items(only=only):
        ctx.show(_origin(item, show=show_origin) + f"{item.name}={_text(item)}")
    for unknown, path in ctx.config.unknown():
        ctx.warn(f"{path}: no setting '{unknown}' in this version")


def _read(ctx: Context, name: str, only: Origin | None, *, show_origin: bool) -> None:
    item = ctx.config.item(name, only=only)
    if item is None:
        raise NotFoundError(f"{name} is not set", hint=f"vgr config --global {name} VALUE")
    if ctx.json:
        ctx.emit(_as_json(item))
    ctx.show(_origin(item, show=show_origin) + _text(item))


def _unset(ctx: Context, name: str, value: str | None, scope: Scope) -> None:
    if value is not None:
        raise UsageError("--unset takes no value", hint=f"vgr config --unset {name}")
    ctx.config.unset(name, scope, _write)
    if ctx.json:
        item = next((item for item in ctx.config.items() if item.name == name), None)
        ctx.emit(None if item is None else _as_json(item))


def _write(path: Path, data: bytes) -> None:
    files.make_folder(path.parent)
    files.write_atomic(path, data)


def _origin(item: Item, *, show: bool) -> str:
    """`user /home/ann/.config/…` before a value, where asked for."""
    return " ".join(filter(None, (item.origin, item.where))) + "\t" if show else ""


def _text(item: Item) -> str:
    return str(item.value).lower() if isinstance(item.value, bool) else str(item.value)


def _as_json(item: Item) -> dict[str, object]:
    return item._asdict()
