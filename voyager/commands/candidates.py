"""What the shell offers at TAB: the hidden `vgr __complete KIND PREFIX`, one candidate a line.

Imports no typer, since it runs at every TAB, and says nothing when there is nothing to say.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from voyager.commands.context import Context
from voyager.errors import VoyagerError

_MOST = 500  # more than a shell shows at once


def print_candidates(args: Sequence[str], context: Context) -> int:
    """Print the candidates of a kind that begin with a prefix; an unknown kind has none."""
    kind, prefix = (*args, "", "")[:2]
    source = _SOURCES.get(kind)
    if source is None:
        return 0
    try:
        found = sorted({name for name in source(context, prefix) if name.startswith(prefix)})
    except (VoyagerError, OSError):  # no repository here, or one that cannot be read
        return 0
    sys.stdout.write("".join(f"{name}\n" for name in found[:_MOST]))
    return 0


def _settings(_context: Context, _prefix: str) -> Iterable[str]:
    from voyager.config import SETTINGS

    return SETTINGS


def _branches(context: Context, _prefix: str) -> Iterable[str]:
    from voyager.store.refs import HEADS

    return _refs(context, HEADS)


def _tags(context: Context, _prefix: str) -> Iterable[str]:
    from voyager.store.refs import TAGS

    return _refs(context, TAGS)


def _revisions(context: Context, _prefix: str) -> Iterable[str]:
    from voyager.store.refs import HEADS, REMOTES, TAGS

    for start in (HEADS, TAGS, REMOTES):
        yield from _refs(context, start)
    yield "HEAD"


def _remotes(context: Context, _prefix: str) -> Iterable[str]:
    values = context.open_repository().store.values("remotes/")
    return [name.removeprefix("remotes/") for name in values]


def _runs(context: Context, _prefix: str) -> Iterable[str]:
    from voyager.train.listing import iter_listed

    for run in iter_listed(context.open_repository()):
        yield from filter(None, (run.id, run.record.name))


def _refs(context: Context, start: str) -> list[str]:
    from voyager.store.refs import iter_refs

    return [name.removeprefix(start) for name in iter_refs(context.open_repository().store, start)]


def _keys(context: Context, prefix: str) -> Iterable[str]:
    """Keys and folders of keys one level below what was typed, relative to where we are."""
    repository = context.open_repository()
    here = "" if repository.root is None else _below(repository.root)
    typed, slash, _ = prefix.rpartition("/")
    folder = "/".join(part for part in (here, typed) if part)
    for entry in repository.staged().listing(folder):
        yield typed + slash + entry.name + ("/" if entry.is_folder else "")


def _classes(context: Context, prefix: str) -> Iterable[str]:
    """Taxonomies, then classes one level below what was typed."""
    from voyager.schema.taxonomy_paths import iter_places

    typed = prefix.count("/") + 1
    for _, names in iter_places(context.open_repository().staged().vocabulary):
        if len(names) == typed and not any("/" in name for name in names):
            yield "/".join(names)


def _tasks(context: Context, _prefix: str) -> Iterable[str]:
    return context.open_repository().staged().vocabulary.tasks


def _below(root: Path) -> str:
    """The current folder as a prefix of keys; empty at the root and outside."""
    path = os.path.relpath(Path.cwd(), root)
    return "" if path.startswith(os.curdir) else path.replace(os.sep, "/")


_SOURCES: dict[str, Callable[[Context, str], Iterable[str]]] = {
    "branches": _branches,
    "classes": _classes,
    "keys": _keys,
    "remotes": _remotes,
    "revisions": _revisions,
    "runs": _runs,
    "settings": _settings,
    "tags": _tags,
    "tasks": _tasks,
}
