"""`vgr ls`: list the samples of a version."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby, islice
from typing import Annotated, NamedTuple

import typer

from voyager.commands.choosing import WhereOption
from voyager.commands.context import Context
from voyager.commands.fact_json import file_as_json
from voyager.commands.samples import with_conflicts, with_state
from voyager.commands.sizes import counted, size_text
from voyager.commands.words import key_of, read_words
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset, decode_row
from voyager.repo.keys import match_keys, shown
from voyager.repo.repository import Repository
from voyager.repo.revisions import split_key
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.schema import FileRow, Sample, decode_sample, sample_to_json
from voyager.store.purge import tombstones


class _Row(NamedTuple):
    key: str
    value: Sample | FileRow


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="REV|KEY", help="a version, and what of it")
    ] = None,
    *,
    long: Annotated[bool, typer.Option("-l", "--long", help="size, split, labels")] = False,
    directory: Annotated[bool, typer.Option("-d", "--tree", help="one level of folders")] = False,
    files: Annotated[bool, typer.Option("--files", help="files that are no images, too")] = False,
    limit: Annotated[int | None, typer.Option("-n", metavar="N", min=0, help="at most N")] = None,
    where: WhereOption = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="the columns that --where may speak of")
    ] = False,
) -> None:
    """List the samples of a version, by default of the one that the next commit would hold.

    Keys may be folders or globs; ** crosses folders. -l shows size, split and how many labels and
    regions there are. --where takes SQL that is true or false of a sample (docs/tables.md).

    JSON: a line for each sample, as vgr show has it; a file is {"key", "blob", "bytes",
    "executable"}, with -d {"key", "folder"}, with --columns {"table", "column", "type", "about"}.

    Example:
      $ vgr ls main train/hat
      $ vgr ls -l -n 10 "**/*.png"
      $ vgr ls --where "split = 'train' and has('chair')"
      $ vgr ls --json v1
    """
    repo = ctx.open_repository()
    version, keys = _version(ctx, repo, words)
    if columns:
        _list_columns(ctx, version, limit)
        return
    if where is not None and (directory or files):
        raise UsageError("--where is about samples: it goes without -d and --files")
    if directory:
        _list_folders(ctx, version, keys or [""], limit)
        return
    purged = tombstones(repo.store)
    gone = 0
    rows = (
        _rows(version, keys, files=files)
        if where is None
        else _rows_where(ctx, version, keys, where)
    )
    for key, value in islice(rows, limit):
        row = with_state(value, purged) if isinstance(value, Sample) else value
        gone += row is not value
        _list_row(ctx, version, key, row, long=long)
    if gone:
        ctx.warn(f"{counted(gone, 'image')} of these {'was' if gone == 1 else 'were'} purged")


def _version(ctx: Context, repo: Repository, words: list[str] | None) -> tuple[Dataset, list[str]]:
    """The version and the keys that the words name; `REV:KEY` is both in one."""
    if words and len(words) == 1 and ":" in words[0]:
        revision, key = split_key(words[0])
        version = repo.staged() if words[0].startswith(":") else repo.at(revision)
        return version, [key] if key else []
    parted = read_words(ctx, repo, words, most=1)
    version = repo.at(parted.revisions[0]) if parted.revisions else repo.staged()
    if not words and repo.root is not None:
        here = key_of(repo, ".")
        return version, [here] if here else []
    return version, [key for key in parted.keys if key]


def _rows(version: Dataset, keys: list[str], *, files: bool) -> Iterator[_Row]:
    """Rows in key order; NotFoundError for a key, folder or glob that names none."""
    spaces = (SAMPLES, FILES) if files else (SAMPLES,)
    if keys:
        matched = match_keys(version, keys)
        if not files and all(space == FILES for space, _ in matched):
            raise NotFoundError(f"'{keys[0]}' holds no samples", hint="vgr ls --files")
        for space, key in matched:
            row = version.row(space, key.encode())
            if space in spaces and row is not None:
                yield _Row(key, decode_row(space, row))
        return
    from heapq import merge

    streams = [_named_rows(version, space) for space in spaces]
    yield from merge(*streams, key=lambda row: row.key.encode())


def _named_rows(version: Dataset, space: str) -> Iterator[_Row]:
    for name, row in version.rows(space):
        yield _Row(name.decode(), decode_row(space, row))


def _rows_where(ctx: Context, version: Dataset, keys: list[str], where: str) -> Iterator[_Row]:
    from voyager.repo.where import keys_where

    chosen = keys_where(version, where, patterns=keys, progress=ctx.progress("choosing samples"))
    for key, row in version.rows_at(SAMPLES, [key.encode() for key in chosen]):
        if row is not None:
            yield _Row(key.decode(), decode_sample(row))


def _list_columns(ctx: Context, version: Dataset, limit: int | None) -> None:
    from voyager.repo.sql_tables import other_columns
    from voyager.repo.tables import Tables

    tables = Tables(version, progress=ctx.progress("reading meta"))
    of_version = chain.from_iterable(map(tables.columns, tables.names))
    every = islice(chain(of_version, other_columns()), limit)
    for name, columns in groupby(every, key=lambda column: column.table):
        found = list(columns)
        wide = max(len(column.name) for column in found)
        ctx.show(ctx.style(name, "bold"))
        for column in found:
            ctx.show(f"  {column.name:<{wide}}  {column.type:<9}  {column.about}")
            if ctx.json:
                ctx.emit_line(column.as_dict())


def _list_row(
    ctx: Context, version: Dataset, key: str, row: Sample | FileRow, *, long: bool
) -> None:
    if ctx.json:
        ctx.emit_line(
            {"key": key, **file_as_json(row)}
            if isinstance(row, FileRow)
            else with_conflicts(version, sample_to_json(key, row, version.vocabulary.resolve))
        )
    elif long:
        ctx.show(f"{_long(row)}  {shown(key)}")
    else:
        ctx.show(shown(key))


def _long(row: Sample | FileRow) -> str:
    """Size, width × height, type, split, labels and regions in columns."""
    if isinstance(row, FileRow):
        return f"{size_text(row.bytes):>8}  {'':>11} {'file':<7} {'':<6} {'':>4} {'':>4}"
    image = row.image
    sides = f"{image.width}×{image.height}" if image.width and image.height else "-"
    size = size_text(image.bytes) if image.bytes is not None else "-"
    kind = image.type or "-" if image.state == "stored" else image.state
    return (
        f"{size:>8}  {sides:>11} {kind:<7} {row.split or '-':<6}"
        f" {len(row.labels):>4} {len(row.regions):>4}"
    )


def _list_folders(ctx: Context, version: Dataset, folders: list[str], limit: int | None) -> None:
    for folder in folders:
        if folder and not version.has_folder(folder):
            raise NotFoundError(f"no folder '{folder}'", hint="vgr ls -d")
        for entry in version.listing(folder)[:limit]:
            key = f"{folder}/{entry.name}" if folder else entry.name
            if ctx.json:
                ctx.emit_line({"key": key, "folder": entry.is_folder})
            else:
                ctx.show(shown(key) + "/" * entry.is_folder)
