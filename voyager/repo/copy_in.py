"""Files from outside the working tree, taken below a folder of keys."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from voyager.errors import ExistsError, NotFoundError, UsageError
from voyager.repo.add import Added
from voyager.repo.ignore import ALWAYS_IGNORED
from voyager.repo.intake import Source
from voyager.repo.keys import check_key, shown
from voyager.repo.repository import Repository
from voyager.repo.scan import FileStat


def outside_sources(
    repo: Repository, paths: Sequence[str], cwd: Path, to: str | None, result: Added
) -> list[Source]:
    """What to take for paths outside the working tree, by key.

    Raises NotFoundError for a path that names nothing, UsageError for one inside the working tree
    and for two of one key, ExistsError where the working tree has another file.
    """
    if to is not None and to.startswith("/"):
        raise UsageError(f"'{to}' is no folder of keys: it is absolute", hint="vgr add --to FOLDER")
    prefix = (to or "").strip("/")
    if prefix and prefix != ".":
        check_key(prefix)
    else:
        prefix = ""
    sources: dict[str, Source] = {}
    for text in paths:
        top = Path(os.path.normpath(cwd / text))
        if repo.root is not None and (top == repo.root or repo.root in top.parents):
            raise UsageError(
                f"'{text}' is inside the working tree, where --to has no say",
                hint=f"vgr add {text}, then vgr mv",
            )
        if not os.path.lexists(top):
            raise NotFoundError(f"'{text}' names no file", hint="ls")
        if top == repo.folder or repo.folder in top.parents:
            raise UsageError(f"'{text}' is the repository itself", hint="vgr add --to FOLDER PATH")
        for source in _sources_below(top, _anchor(repo, top, to), prefix, repo.folder, result):
            other = sources.setdefault(source.key, source)
            if other is not source and other.path != source.path:
                raise UsageError(
                    f"'{other.path}' and '{source.path}' would both be '{shown(source.key)}'",
                    hint="add them with different --to",
                )
    found = [sources[key] for key in sorted(sources)]
    if repo.root is not None:
        _refuse_taken(repo.root, found)
    return found


def _anchor(repo: Repository, top: Path, to: str | None) -> Path:
    """What keys are relative to: as in a working tree where there could be one, else the path."""
    base = repo.folder.parent
    if to is None and not repo.bare and (top == base or base in top.parents):
        return base
    return top if top.is_dir() else top.parent


def _sources_below(
    top: Path, anchor: Path, prefix: str, store: Path, result: Added
) -> list[Source]:
    if not top.is_dir():
        return [_source(str(top), _join(prefix, os.path.relpath(top, anchor)))]
    found: list[Source] = []

    def skip(path: str, reason: str) -> None:
        result.skipped.append((_join(prefix, os.path.relpath(path, anchor)), reason))

    def unreadable(error: OSError) -> None:
        skip(str(error.filename), f"unreadable: {error.strerror}")

    for folder, folders, names in os.walk(top, onerror=unreadable):
        for name in sorted(folders):
            if os.path.islink(os.path.join(folder, name)):
                skip(os.path.join(folder, name), "a link to a directory")
        folders[:] = sorted(
            name for name in folders if name not in ALWAYS_IGNORED and Path(folder, name) != store
        )
        for name in sorted(names):
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                skip(path, "neither file nor directory")
            elif name not in ALWAYS_IGNORED:
                found.append(_source(path, _join(prefix, os.path.relpath(path, anchor))))
    return found


def _join(prefix: str, key: str) -> str:
    return f"{prefix}/{key}" if prefix else key


def _source(path: str, key: str) -> Source:
    return Source(key, path, FileStat.of(os.stat(path)))


def _refuse_taken(root: Path, sources: list[Source]) -> None:
    """Refuse keys where the working tree has another file already."""
    from voyager.repo.intake import hash_file

    for source in sources:
        target = root / source.key
        if not os.path.lexists(target):
            continue
        if not target.is_file() or hash_file(target) != hash_file(Path(source.path)):
            raise ExistsError(
                f"'{shown(source.key)}' exists already with other bytes",
                hint="vgr add --to ANOTHER-FOLDER",
            )
