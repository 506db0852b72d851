"""`vgr show`: show a commit, an annotated tag, or a sample with its labels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands import commits
from voyager.commands.context import Context
from voyager.commands.differences import Difference, show_lines, show_stat
from voyager.commands.fact_json import file_as_json
from voyager.commands.samples import sample_json, sample_text
from voyager.commands.sizes import counted
from voyager.commands.words import key_of
from voyager.errors import NotFoundError, UsageError
from voyager.images import IMAGE_EXTENSIONS
from voyager.repo.conflicts import count_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.guard_decisions import decisions_of
from voyager.repo.import_reports import reports_of
from voyager.repo.keys import match_keys, shown
from voyager.repo.label_stat import stat_of
from voyager.repo.repository import Repository
from voyager.repo.revisions import full_name, split_key
from voyager.repo.snapshot import FILES
from voyager.schema import decode_file, decode_sample
from voyager.store.history import read_commit, read_tag
from voyager.store.ids import Kind
from voyager.store.refs import HEAD, read_ref

_MOST_LINES = 60
_MOST_CARDS = 200


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="REV|REV:KEY|KEY", help="what to show")
    ] = None,
    *,
    stat: Annotated[bool, typer.Option("--stat", help="count the changes by folder")] = False,
    no_patch: Annotated[bool, typer.Option("-s", "--no-patch", help="no changes")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="draw samples on a page, or a commit's diff")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(metavar="FILE", help="draw one sample as a picture")
    ] = None,
) -> None:
    """Show a commit, an annotated tag, or a sample with its labels.

    REV:KEY is a sample or file as a version has it, :KEY or KEY alone as the next commit would.
    A key may be a folder or a glob. --png and --html draw samples with their regions, and what
    they are by the answer of each task; --html of a commit is the page of its vgr diff.

    JSON: a line for each: a sample {"key", "uid", "split", "image", "labels", "regions", …}, a file
    {"key", "blob", "bytes", "executable"}, a commit as in vgr log with "changes": {scope: {kind:
    count}}, "reports": [{"blob", "import", "counts"}], of imports; vgr cat ID prints one, and
    "guard": [{"key", "action", "kind", "protected_key", …}], its decisions, and "conflicts": how
    many fields its version leaves undecided, and "runs": ids of what was trained on it.

    Example:
      $ vgr show
      $ vgr show v1:train/hat/1.jpg
      $ vgr show main~2 --stat
      $ vgr show hat/1.jpg --png hat.png
    """
    repo = ctx.open_repository()
    if html is not None or png is not None:
        _draw(ctx, repo, names or [HEAD], html, png)
        return
    for number, name in enumerate(names or [HEAD]):
        if number:
            ctx.show()
        found = _version_and_key(repo, name)
        if found is not None:
            _show_keys(ctx, repo, *found)
        else:
            _show_revision(ctx, repo, name, stat=stat, no_patch=no_patch)


def _version_and_key(repo: Repository, name: str) -> tuple[Dataset, str] | None:
    """The version and key that a name means; None for a revision."""
    revision, key = split_key(name)
    if key is not None:
        return (repo.staged() if name.startswith(":") else repo.at(revision)), key
    try:
        repo.resolve(name)
    except NotFoundError as error:
        staged, key = repo.staged(), key_of(repo, name)
        try:
            match_keys(staged, [key])
        except NotFoundError as missing:
            raise (missing if _looks_like_a_key(repo, name) else error) from None
        return staged, key
    return None


def _looks_like_a_key(repo: Repository, name: str) -> bool:
    """Whether a name that means nothing was rather meant for a key than for a revision."""
    is_file = repo.root is not None and os.path.lexists(name)
    return is_file or os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS or "*" in name


def _show_keys(ctx: Context, repo: Repository, version: Dataset, name: str) -> None:
    for number, (space, key) in enumerate(match_keys(version, [name])):
        row = version.row(space, key.encode())
        assert row is not None
        if ctx.json:
            json = (
                file_as_json(decode_file(row))
                if space == FILES
                else sample_json(repo, version, key, decode_sample(row))
            )
            ctx.emit_line({"key": key, **json})
            continue
        if number:
            ctx.show()
        if space == FILES:
            file = file_as_json(decode_file(row))
            ctx.show(ctx.style(f"file {shown(key)}", "yellow"))
            for field, value in file.items():
                shown_value = {True: "yes", False: "no"}.get(value, value)
                ctx.show(f"{field + ':':<12} {shown_value}")
        else:
            for line in sample_text(ctx, repo, version, key, decode_sample(row)):
                ctx.show(line)


def _show_revision(
    ctx: Context, repo: Repository, name: str, *, stat: bool, no_patch: bool
) -> None:
    commit_id = repo.resolve(name)
    commit = read_commit(repo.store, commit_id)
    before = repo.dataset_of(commit.parent_ids[0] if commit.parents else None)
    version = repo.dataset_of(commit_id)
    found = Difference(before, version)
    conflicts = count_conflicts(version)
    reports = reports_of(repo.store, commit)
    decisions = decisions_of(repo.store, commit)
    runs = commits.runs_by_commit(repo).get(commit_id, [])
    if ctx.json:
        summary = stat_of(found.samples(), found.terms, found.words).summary()
        told = {
            "changes": summary,
            "reports": [report.as_json() for report in reports],
            "guard": [decision.as_json() for decision in decisions],
            "conflicts": conflicts,
            "runs": [run.id for run in runs],
        }
        ctx.emit_line({**commits.commit_as_json(commit_id, commit), **told})
        return
    for line in _tag_lines(ctx, repo, name):
        ctx.show(line)
    for line in commits.full_text(ctx, commit_id, commit, commits.decorations(repo), runs):
        ctx.show(line)
    for line in commits.report_text(reports):
        ctx.show(line)
    if decisions:
        from voyager.commands.guard_text import decision_lines

        for line in decision_lines(decisions):
            ctx.show(line)
    if conflicts:
        ctx.show(f"in conflict: {counted(conflicts, 'field')} (vgr conflicts --at {name})")
    if no_patch:
        return
    ctx.show()
    if stat:
        show_stat(ctx, found, found.samples())
    else:
        more = f" (vgr diff {name}~1 {name})" if commit.parents else ""
        show_lines(ctx, found, found.samples(), most=_MOST_LINES, more=more)


def _tag_lines(ctx: Context, repo: Repository, name: str) -> list[str]:
    """The lines of an annotated tag, where the name is one."""
    full = full_name(repo.store, name)
    object_id = None if full is None else read_ref(repo.store, full)
    if object_id is None or repo.store.header(object_id).kind is not Kind.TAG:
        return []
    return list(commits.tag_text(ctx, read_tag(repo.store, object_id)))


def _draw(
    ctx: Context, repo: Repository, names: list[str], html: Path | None, png: Path | None
) -> None:
    """Draw samples, or what a commit changed."""
    from voyager.commands.sample_page import write_png, write_sample_page

    found = _version_and_key(repo, names[0])
    if len(names) > 1 or (found is None and png is not None):
        raise UsageError("one key, folder or glob is drawn at a time", hint="vgr show --help")
    if found is None:
        _draw_revision(ctx, repo, names[0], html)
        return
    version, key = found
    keys = [key for space, key in match_keys(version, [key]) if space != FILES]
    if not keys or (png is not None and len(keys) > 1):
        what = f"{len(keys):,} samples" if keys else "no sample"
        raise UsageError(f"'{shown(key)}' is {what}", hint=f"vgr ls {key}")
    if png is not None:
        write_png(ctx, repo, version, keys[0], png)
    if html is not None:
        write_sample_page(ctx, repo, version, keys, html)


def _draw_revision(ctx: Context, repo: Repository, name: str, html: Path | None) -> None:
    from voyager.commands.diff_page import write_page

    commit_id = repo.resolve(name)
    commit = read_commit(repo.store, commit_id)
    found = Difference(
        repo.dataset_of(commit.parent_ids[0] if commit.parents else None),
        repo.dataset_of(commit_id),
    )
    if html is not None:
        sides = {"from": f"{name}~1" if commit.parents else "nothing", "to": name}
        write_page(ctx, html, found, found.samples(), sides, limit=_MOST_CARDS)
