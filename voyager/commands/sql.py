"""`vgr sql`: ask questions of versions in SQL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted
from voyager.errors import ExistsError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.repo.dataset import Dataset

_MOST_SHOWN = 100


def run(
    ctx: Context,
    query: Annotated[str, typer.Argument(metavar="QUERY", help="a SELECT; - reads it from stdin")],
    *,
    at: Annotated[
        str, typer.Option("--at", metavar="REV", help="the version that the tables are of")
    ] = "HEAD",
    csv: Annotated[bool, typer.Option("--csv", help="as comma-separated values")] = False,
    parquet: Annotated[
        Path | None, typer.Option("--parquet", metavar="FILE", help="write a Parquet file")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="write CSV or JSON there")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("-n", metavar="N", min=0, help="show N rows of the table")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="replace FILE")] = False,
) -> None:
    """Ask a question in SQL: of samples, regions, labels, answers, links and taxonomy.

    The tables are those of HEAD, or of --at. samples('v1') is the table of another version,
    samples('staged') of the next commit, predictions('NAME') of a prediction set, and runs and
    run_metrics tell of trainings (docs/tables.md).
    A query reads, and nothing else: no file, no network. Of many rows the first 100 are shown;
    --csv, --json and --parquet have all.

    JSON: a line for each row, {COLUMN: value}.

    Example:
      $ vgr sql "SELECT split, count(*) FROM samples GROUP BY split"
      $ vgr sql --at v1 --csv -o areas.csv "SELECT key, area FROM regions"
      $ vgr sql "SELECT key FROM samples('v2') EXCEPT SELECT key FROM samples('v1')"
    """
    from voyager.repo.sql import sql

    if [csv, parquet is not None, ctx.json].count(True) > 1:
        raise UsageError("--csv, --json and --parquet do not go together")
    target = parquet or output
    if output is not None and not (csv or ctx.json):
        raise UsageError("-o goes with --csv or --json", hint="vgr sql --csv -o FILE QUERY")
    if target is not None and target.exists() and not force:
        raise ExistsError(f"{target} exists", hint="--force replaces it")
    text = sys.stdin.read() if query == "-" else query
    found = sql(_version(ctx, at), text, progress=ctx.progress("reading samples"))
    if parquet is not None:
        _write_parquet(found, parquet)
    elif csv or ctx.json:
        _write_lines(ctx, found, output)
    else:
        _show(ctx, found, _MOST_SHOWN if limit is None else limit)
    if target is not None and not ctx.json:
        ctx.say(f"{counted(len(found), 'row')} in {target}")


def _version(ctx: Context, revision: str) -> Dataset:
    from voyager.repo.sql_tables import version_at

    return version_at(ctx.open_repository().store, revision)


def _write_parquet(found: pa.Table, path: Path) -> None:
    import io

    from pyarrow import parquet

    from voyager.store import files

    data = io.BytesIO()
    parquet.write_table(found, data)
    files.write_atomic(path, data.getvalue())


def _write_lines(ctx: Context, found: pa.Table, path: Path | None) -> None:
    from voyager.commands.sql_text import csv_chunks, json_chunks
    from voyager.store import files

    chunks = json_chunks(found) if ctx.json else csv_chunks(found)
    if path is not None:
        files.write_atomic(path, b"".join(chunks))
        return
    for chunk in chunks:
        ctx.write(chunk)


def _show(ctx: Context, found: pa.Table, limit: int) -> None:
    from voyager.commands.sql_text import table_lines

    for line in table_lines(found.slice(0, limit)):
        ctx.show(line)
    left = len(found) - limit
    if left > 0:
        ctx.say(ctx.style(f"… {left:,} more rows (-n N, --csv or --json shows them)", "dim"))
