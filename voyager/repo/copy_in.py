"""Files from outside the working tree: copied below a folder of keys, or stored without a tree."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from voyager.errors import ExistsError, NotFoundError, UsageError
from voyager.repo.add import Added, Source
from voyager.repo.keys import check_key
from voyager.repo.repository import Repository
from voyager.repo.scan import FileStat
from voyager.store import files


def outside_sources(
    repo: Repository, paths: Sequence[str], cwd: Path, to: str | None, result: Added
) -> list[Source]:
    """What to take for paths outside the working tree.

    With a working tree the files are copied to `to/…` first; without one they are only read.
    """
    prefix = (to or "").strip("/")
    if prefix and prefix != ".":
        check_key(prefix)
    else:
        prefix = ""
    sources: list[Source] = []
    for text in paths:
        top = Path(os.path.normpath(cwd / text))
        if repo.root is not None and (top == repo.root or repo.root in top.parents):
            raise UsageError(
                f"'{text}' is inside the working tree, where --to has no say",
                hint=f"vgr add {text}, then vgr mv",
            )
        if not os.path.lexists(top):
            raise NotFoundError(f"'{text}' names no file", hint="ls")
        sources += _sources_below(top, prefix, result)
    sources.sort(key=lambda source: source.key)
    if repo.root is not None:
        sources = [_copy(repo.root, source) for source in sources]
    return sources


def _sources_below(top: Path, prefix: str, result: Added) -> list[Source]:
    if not top.is_dir():
        return [_source(str(top), f"{prefix}/{top.name}" if prefix else top.name)]
    found = []
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if name not in (".git", ".vgr"))
        for name in sorted(names):
            path = os.path.join(folder, name)
            key = os.path.relpath(path, top)
            key = f"{prefix}/{key}" if prefix else key
            try:
                key.encode()
            except UnicodeEncodeError:
                result.skipped.append((key, "the name is not UTF-8"))
                continue
            if not os.path.isfile(path):
                result.skipped.append((key, "not a file"))
                continue
            found.append(_source(path, key))
    return found


def _source(path: str, key: str) -> Source:
    return Source(key, path, FileStat.of(os.stat(path)))


def _copy(root: Path, source: Source) -> Source:
    target = root / source.key
    if os.path.lexists(target):
        from voyager.repo.worktree import hash_file

        if target.is_file() and hash_file(target) == hash_file(Path(source.path)):
            return _source(str(target), source.key)
        raise ExistsError(
            f"'{source.key}' exists already with other bytes", hint="vgr add --to ANOTHER-FOLDER"
        )
    files.make_folder(target.parent)
    with open(source.path, "rb") as opened:
        files.create_from(target, iter(lambda: opened.read(1 << 20), b""))
    shutil.copymode(source.path, target)
    return _source(str(target), source.key)
