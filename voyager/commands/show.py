"""`vgr show`: show a commit, an annotated tag, or a sample with its labels."""

from __future__ import annotations

from typing import Annotated

import typer

from voyager.commands import changes, commits
from voyager.commands.context import Context
from voyager.commands.reports import vocabulary_text
from voyager.commands.samples import sample_json, sample_text
from voyager.commands.words import key_of
from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.diff import Change, diff
from voyager.repo.keys import match_keys, shown
from voyager.repo.repository import Repository
from voyager.repo.revisions import full_name, split_key
from voyager.repo.snapshot import FILES
from voyager.repo.vocabulary_diff import vocabulary_diff
from voyager.schema import decode_file, decode_sample
from voyager.store.history import read_commit, read_tag
from voyager.store.ids import Kind
from voyager.store.refs import HEAD, read_ref

_MOST_LINES = 60


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="REV|REV:KEY|KEY", help="what to show")
    ] = None,
    *,
    stat: Annotated[bool, typer.Option("--stat", help="count the changes by folder")] = False,
    no_patch: Annotated[bool, typer.Option("-s", "--no-patch", help="no changes")] = False,
) -> None:
    """Show a commit, an annotated tag, or a sample with its labels.

    REV:KEY is a sample or file as a version has it, :KEY or KEY alone as the next commit would.
    A key may be a folder or a glob.

    JSON: a line for each: a sample {"key", "uid", "split", "image", "labels", "regions", …}, a file
    {"key", "blob", "bytes", "executable"}, a commit as in vgr log with "changes": {scope: {kind:
    count}}.

    Example:
      $ vgr show
      $ vgr show v1:train/hat/1.jpg
      $ vgr show main~2 --stat
    """
    repo = ctx.open_repository()
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
        except NotFoundError:
            raise error from None
        return staged, key
    return None


def _show_keys(ctx: Context, repo: Repository, version: Dataset, name: str) -> None:
    for number, (space, key) in enumerate(match_keys(version, [name])):
        row = version.row(space, key.encode())
        assert row is not None
        if ctx.json:
            json = (
                changes.file_as_json(decode_file(row))
                if space == FILES
                else sample_json(repo, version, key, decode_sample(row))
            )
            ctx.emit_line({"key": key, **json})
            continue
        if number:
            ctx.show()
        if space == FILES:
            file = changes.file_as_json(decode_file(row))
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
    found = [] if no_patch and not ctx.json else diff(before, repo.dataset_of(commit_id))
    if ctx.json:
        summary = changes.count_facts(found)
        ctx.emit_line({**commits.commit_as_json(commit_id, commit), "changes": summary})
        return
    for line in _tag_lines(ctx, repo, name):
        ctx.show(line)
    for line in commits.full_text(ctx, commit_id, commit, commits.decorations(repo)):
        ctx.show(line)
    if not no_patch:
        ctx.show()
        _show_changes(ctx, found, stat=stat)
        for word in vocabulary_diff(before, repo.dataset_of(commit_id)):
            ctx.show(vocabulary_text(word))


def _tag_lines(ctx: Context, repo: Repository, name: str) -> list[str]:
    """The lines of an annotated tag, where the name is one."""
    full = full_name(repo.store, name)
    object_id = None if full is None else read_ref(repo.store, full)
    if object_id is None or repo.store.header(object_id).kind is not Kind.TAG:
        return []
    return list(commits.tag_text(ctx, read_tag(repo.store, object_id)))


def _show_changes(ctx: Context, found: list[Change], *, stat: bool) -> None:
    """The changes of a commit; of very many only the first, since a screen is not endless."""
    tally = changes.tally_of(found)
    if stat:
        for line in tally.table():
            ctx.show(line)
        return
    for change in found[:_MOST_LINES]:
        ctx.show(changes.as_text(ctx, change))
    more = len(found) - _MOST_LINES
    if more > 0:
        ctx.show(f"… and {more:,} more: {tally.summary()}")
