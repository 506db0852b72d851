"""`vgr stats`: say what a version consists of, and what of it deserves a look."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voyager.commands.choosing import TaskOption, WhereOption, chosen_samples
from voyager.commands.context import Context
from voyager.commands.page_file import check_page_file
from voyager.commands.words import has_key, read_words, refuse_unknown
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository

if TYPE_CHECKING:
    from voyager.curate.figures import Stats

_STAGED = "staged"


def run(
    ctx: Context,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="REV|KEY", help="a version, and what of it")
    ] = None,
    *,
    where: WhereOption = None,
    task: TaskOption = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="SPLIT", help="samples of one split")
    ] = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="REV", help="what differs from that version")
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", metavar="N", min=1, help="at most N classes of a task")
    ] = 40,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="write a page with plots")
    ] = None,
    pixels: Annotated[
        bool | None,
        typer.Option(
            "--pixels/--no-pixels", help="measure all images first, or say nothing of pixels"
        ),
    ] = None,
) -> None:
    """Say what a version consists of: splits, classes, regions, sizes, and what deserves a look.

    The version is by default the staged one. A class counts the samples and regions that have it or
    one below it. Brightness and the like are told of the images that were measured before
    (vgr derive statistics); --pixels measures the others.

    JSON: {"version", "stats": {"samples", "regions", "splits", "tasks", "classes", "measures",
    "notes", …}}; with --compare also "compared", the same of that version, and "differences":
    [{"section", "name", "before", "after", "change", "share_before", "share_after"}].

    Example:
      $ vgr stats
      $ vgr stats v2 --compare v1
      $ vgr stats --where "has('chair')" --split train
      $ vgr stats --pixels --html stats.html
    """
    check_page_file(html)
    repo = ctx.open_repository()
    parted = read_words(ctx, repo, words, most=1)
    if len(parted.revisions) > 1:
        raise UsageError("one version at a time", hint="vgr stats REV --compare REV")
    name = parted.revisions[0] if parted.revisions else _STAGED
    version = repo.staged() if name == _STAGED and not parted.revisions else repo.at(name)
    keys = [key for key in parted.keys if key]
    refuse_unknown(parted, [version])
    maker = _Maker(ctx, repo, keys, where, task, split, pixels)
    found = _looking_at(maker.stats(version), name)
    if compare is None:
        if html is not None:
            _write_page(repo, html, name, version, found)
        _tell(ctx, name, found, limit, html)
        return
    other = maker.stats(repo.at(compare), is_other=True)
    _tell_both(ctx, (compare, name), (other, found), html)


class _Maker:
    """Makes the statistics of versions, for one choice of samples."""

    def __init__(
        self,
        ctx: Context,
        repo: Repository,
        keys: list[str],
        where: str | None,
        task: str | None,
        split: str | None,
        pixels: bool | None,
    ) -> None:
        self._ctx = ctx
        self._repo = repo
        self._keys = keys
        self._where = where
        self._task = task
        self._split = split
        self._pixels = pixels

    def stats(self, version: Dataset, *, is_other: bool = False) -> Stats:
        """Those of a version; of another one than was asked for, keys may name nothing in it."""
        from voyager.curate.stats import stats
        from voyager.repo.deriving import derived_cache

        keys = self._chosen(version, is_other=is_other)
        if self._pixels:
            self._measure(version, keys)
        return stats(
            version,
            keys=keys,
            task=self._task if not is_other or self._task in version.vocabulary.tasks else None,
            split=self._split,
            derived=None if self._pixels is False else derived_cache(self._repo),
            progress=self._ctx.progress("reading samples"),
        )

    def _chosen(self, version: Dataset, *, is_other: bool) -> list[str] | None:
        """The keys of the chosen samples, None for all."""
        keys = self._keys
        if is_other:
            keys = [key for key in keys if has_key(version, key)]
            if self._keys and not keys:
                return []
        if not keys and self._where is None:
            return None
        return chosen_samples(self._ctx, self._repo, version, keys, self._where)

    def _measure(self, version: Dataset, keys: list[str] | None) -> None:
        from voyager.derived.registry import method_of
        from voyager.repo.deriving import derive

        progress = self._ctx.progress("measuring images")
        derive(self._repo, version, [method_of("statistics")], keys, progress=progress)


def _looking_at(found: Stats, name: str) -> Stats:
    """The statistics with notes whose commands are about that version."""
    notes = (replace(note, look=note.look and _at(note.look, name)) for note in found.notes)
    return found.with_notes(tuple(notes))


def _at(look: str, name: str) -> str:
    program, verb, *rest = look.split(" ", 2)
    if verb == "sql":  # which is about HEAD, unless it is told otherwise
        return " ".join([program, verb, "--at", shlex.quote(name), *rest])
    if verb in ("ls", "duplicates") and name != _STAGED:
        return " ".join([program, verb, shlex.quote(name), *rest])
    return look


def _write_page(repo: Repository, path: Path, name: str, version: Dataset, found: Stats) -> None:
    from voyager.commands.stats_page import write_page
    from voyager.repo.deriving import thumbnails

    keys = {key for note in found.notes for key in note.samples}
    write_page(path, name, found, thumbnails(repo, version, keys))


def _tell(ctx: Context, name: str, found: Stats, limit: int, html: Path | None) -> None:
    from voyager.commands.stats_text import stats_lines

    if ctx.json:
        ctx.emit({"version": name, "stats": found.as_dict()})
        return
    if html is not None:
        ctx.say(f"wrote {html}")
        return
    for line in stats_lines(ctx, found, limit):
        ctx.show(line)


def _tell_both(
    ctx: Context, names: tuple[str, str], found: tuple[Stats, Stats], html: Path | None
) -> None:
    from voyager.commands.stats_text import difference_lines
    from voyager.curate.comparison import compare

    differences = compare(*found)
    if html is not None:
        from voyager.commands.stats_page import write_comparison

        write_comparison(html, names, found, differences)
    if ctx.json:
        told = {"version": names[1], "stats": found[1].as_dict()}
        told |= {"compared_version": names[0], "compared": found[0].as_dict()}
        ctx.emit({**told, "differences": [one.as_dict() for one in differences]})
        return
    if html is not None:
        ctx.say(f"wrote {html}")
        return
    for line in difference_lines(ctx, names, differences):
        ctx.show(line)
