"""Files of the working tree that move along with their keys; the stat cache keeps knowing them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from voyager.repo.dataset import Dataset, Tracked
from voyager.repo.repository import Repository
from voyager.repo.stat_block import Content, FileStat
from voyager.repo.stat_block import Tracked as Known
from voyager.store import files


def move_files(
    repo: Repository, before: Dataset, after: Dataset, moves: Sequence[tuple[Tracked, str]]
) -> None:
    """Move the files of rows to new keys, where there are any.

    `before` and `after` are the versions that track the old and the new keys.
    """
    root = str(repo.tree())
    cache = repo.stat_cache
    known = _known_contents(repo, [row.key for row, _ in moves])
    agreed = cache.token == before.token
    noted: list[tuple[str, FileStat, bytes]] = []
    made: set[str] = set()
    for row, new in moves:
        content = known.get(row.key)
        try:
            unchanged = content is not None and content.row == _stat_of(f"{root}/{row.key}").pack()
        except (FileNotFoundError, NotADirectoryError):
            agreed = False
            continue
        folder = os.path.dirname(new)
        if folder not in made:
            files.make_folder(f"{root}/{folder}")
            made.add(folder)
        files.rename(f"{root}/{row.key}", f"{root}/{new}")
        stat = _stat_of(f"{root}/{new}")
        if content is not None and content.known_id is not None and unchanged:
            noted.append((new, stat, content.blob_id))
        agreed &= unchanged and content is not None and content.is_as(_as_known(row))
    for folder in sorted({os.path.dirname(row.key) for row, _ in moves}, reverse=True):
        files.remove_empty_folders(f"{root}/{folder}" if folder else root, root)
    gone = [row.key for row, _ in moves]
    cache.update(noted, removed=gone, token=after.token if agreed else None)


def _known_contents(repo: Repository, keys: Iterable[str]) -> dict[str, Content]:
    """What the stat cache knows of some files."""
    folders: dict[str, list[str]] = {}
    for key in keys:
        folder, _, name = key.rpartition("/")
        folders.setdefault(folder, []).append(name)
    known: dict[str, Content] = {}
    for folder, names in folders.items():
        block = repo.stat_cache.block(folder)
        if block is not None:
            found = block.contents_of(names)
            known.update((f"{folder}/{name}" if folder else name, found[name]) for name in found)
    return known


def _as_known(row: Tracked) -> Known:
    return Known(row.blob, row.size, row.executable)


def _stat_of(path: str) -> FileStat:
    return FileStat.of(os.lstat(path))
