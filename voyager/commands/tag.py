"""`vgr tag`: list, make or delete tags."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from voyager.commands.commits import iso_time, short_id
from voyager.commands.context import Context
from voyager.errors import UsageError
from voyager.repo.repository import Repository
from voyager.repo.tags import NamedTag, create_tag, delete_tags, tags
from voyager.store.history import read_commit
from voyager.store.refs import HEAD


def run(
    ctx: Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME REV", help="a new tag, and what it marks")
    ] = None,
    *,
    annotate: Annotated[
        bool, typer.Option("-a", "--annotate", help="with author and date")
    ] = False,
    message: Annotated[
        list[str] | None, typer.Option("-m", "--message", metavar="TEXT", help="and this message")
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="move a tag that exists")] = False,
    delete: Annotated[bool, typer.Option("-d", "--delete", help="delete the tags named")] = False,
    listing: Annotated[bool, typer.Option("-l", "--list", help="list, by globs")] = False,
    lines: Annotated[bool, typer.Option("-n", help="list with the first line of messages")] = False,
    allow_conflicts: Annotated[
        bool, typer.Option("--allow-conflicts", help="even a version with conflicts")
    ] = False,
) -> None:
    """List, make or delete tags.

    With a message the tag is annotated: it says itself who made it and when.

    JSON: [{"name", "commit", "message", "author", "time"}], of a new tag without the list.

    Example:
      $ vgr tag v1 -m "As published"
      $ vgr tag -n -l "v*"
      $ vgr tag -d v0
    """
    repo = ctx.open_repository()
    words = names or []
    if delete:
        _delete(ctx, repo, words)
    elif listing or lines or not words:
        _list(ctx, repo, words, lines=lines)
    else:
        text = "\n\n".join(message) if message else None
        _create(
            ctx,
            repo,
            words,
            text,
            annotate=annotate,
            force=force,
            allow_conflicts=allow_conflicts,
        )


def _create(
    ctx: Context,
    repo: Repository,
    words: list[str],
    message: str | None,
    *,
    annotate: bool,
    force: bool,
    allow_conflicts: bool,
) -> None:
    if len(words) > 2:
        raise UsageError(f"vgr tag has no use for '{words[2]}'", hint="vgr tag --help")
    if annotate and message is None:
        raise UsageError("an annotated tag wants a message", hint=f"vgr tag {words[0]} -m TEXT")
    commit = repo.resolve(words[1] if len(words) == 2 else HEAD)
    made = create_tag(
        repo, words[0], commit, message=message, force=force, allow_conflicts=allow_conflicts
    )
    if ctx.json:
        ctx.emit(_as_json(made))


def _delete(ctx: Context, repo: Repository, words: list[str]) -> None:
    if not words:
        raise UsageError("which tags?", hint="vgr tag -d NAME")
    gone = delete_tags(repo, words)
    if ctx.json:
        ctx.emit([_as_json(tag) for tag in gone])
    for tag in gone:
        ctx.say(f"deleted tag '{tag.name}' (was {short_id(tag.commit)})")


def _list(ctx: Context, repo: Repository, patterns: list[str], *, lines: bool) -> None:
    found = tags(repo.store, patterns)
    if ctx.json:
        ctx.emit([_as_json(tag) for tag in found])
    for tag in found:
        ctx.show(f"{tag.name:<15} {_first_line(repo, tag)}".rstrip() if lines else tag.name)


def _first_line(repo: Repository, tag: NamedTag) -> str:
    if tag.annotation is not None:
        return tag.annotation.message.split("\n", 1)[0]
    return read_commit(repo.store, tag.commit).subject


def _as_json(tag: NamedTag) -> dict[str, Any]:
    said = tag.annotation
    return {
        "name": tag.name,
        "commit": tag.commit.hex(),
        "message": None if said is None else said.message,
        "author": None if said is None else said.author,
        "time": None if said is None else iso_time(said.time, said.zone),
    }
