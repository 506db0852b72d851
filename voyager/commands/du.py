"""`vgr du`: say how much space a version and the store take."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.repo.usage import Usage, store_sizes, usage_of


def run(
    ctx: Context,
    revision: Annotated[
        str | None, typer.Argument(metavar="REV", help="a version; default: the staged one")
    ] = None,
) -> None:
    """Say how much space a version and the store take.

    The store holds every version; its ratio is what it takes beside the bytes of this one.

    JSON: {"samples", "files", "bytes", "unique_blobs", "unique_bytes", "absent", "folders":
    [{"folder", "samples", "files", "bytes"}], "store": {part: bytes}, "ratio"}.

    Example:
      $ vgr du
      $ vgr du v1 --json
    """
    repo = ctx.open_repository()
    usage = usage_of(repo.at(revision) if revision is not None else repo.staged())
    sizes = store_sizes(repo.folder)
    total = sum(sizes.values())
    ratio = round(total / usage.bytes, 3) if usage.bytes else None
    if ctx.json:
        folders = [{"folder": name, **asdict(one)} for name, one in sorted(usage.folders.items())]
        store = {**sizes, "total": total}
        ctx.emit({**asdict(usage), "folders": folders, "store": store, "ratio": ratio})
        return
    for line in _table(usage):
        ctx.show(line)
    ctx.show()
    for part, size in sizes.items():
        ctx.show(f"{size_text(size):>9}  {part}")
    beside = "" if ratio is None else f", {ratio:g} × this version"
    ctx.show(f"{size_text(total):>9}  store in all{beside}")


def _table(usage: Usage) -> list[str]:
    width = max((len(name) for name in usage.folders), default=0) + 1
    lines = []
    for name, folder in sorted(usage.folders.items()):
        inside = [counted(folder.samples, "sample")] if folder.samples else []
        inside += [counted(folder.files, "file")] if folder.files else []
        shown = f"{name}/" if name else "."
        lines.append(f"{size_text(folder.bytes):>9}  {shown:<{width}}  {', '.join(inside)}")
    parts = [counted(usage.samples, "sample"), counted(usage.files, "file")]
    lines.append(f"{size_text(usage.bytes):>9}  version  {', '.join(parts)}")
    once = f"{size_text(usage.unique_bytes):>9}  in {counted(usage.unique_blobs, 'blob')}"
    lines.append(once if usage.unique_bytes != usage.bytes else f"{once}, no two alike")
    if usage.absent:
        lines.append(f"{'':>9}  {counted(usage.absent, 'image')} not here (pending or purged)")
    return lines
