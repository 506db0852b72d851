"""How commands report many things: the first by name, the rest by number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.sizes import counted
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.repo.worktree import Updated
from voyager.store.history import read_commit

if TYPE_CHECKING:
    from voyager.repo.vocabulary_diff import VocabularyChange

_MOST = 20


def quoted(key: str) -> str:
    """A key for a list: as it is, or quoted as in JSON where something in it would not show."""
    return key if key.isprintable() else f'"{shown(key)}"'


def capped(found: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The first (name, reason) pairs, and one more that counts the others."""
    yield from ((quoted(name), reason) for name, reason in found[:_MOST])
    if len(found) > _MOST:
        yield f"{len(found) - _MOST:,} more", "--json lists them all"


def shown_pairs(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The first renames, a line each, and how many more there are."""
    for old, new in pairs[:_MOST]:
        yield f"  {quoted(old)} -> {quoted(new)}"
    if len(pairs) > _MOST:
        yield f"  … and {len(pairs) - _MOST:,} more"


def shown_keys(keys: Sequence[str]) -> Iterator[str]:
    """The first keys, a line each, and how many more there are."""
    for key in keys[:_MOST]:
        yield f"  {quoted(key)}"
    if len(keys) > _MOST:
        yield f"  … and {len(keys) - _MOST:,} more"


def counted_changes(counts: Mapping[str, int]) -> list[str]:
    """`3 added`, `2 labeled anew`, `1 change of tasks and classes`: the kinds that there are."""
    words = {"labels": "labeled anew"}
    parts = [
        f"{count:,} {words.get(kind, kind)}"
        for kind, count in counts.items()
        if count and kind != "vocabulary"
    ]
    vocabulary = counts.get("vocabulary", 0)
    return (
        [*parts, f"{counted(vocabulary, 'change')} of tasks and classes"] if vocabulary else parts
    )


def vocabulary_text(change: VocabularyChange) -> str:
    """`class renamed: fashion/shoes -> fashion/footwear`."""
    parts = f" ({', '.join(change.parts)})" if change.parts else ""
    return f"{change.scope} {change.kind}: {vocabulary_names(change)}{parts}"


def vocabulary_names(change: VocabularyChange) -> str:
    """`fashion/shoes -> fashion/footwear`, or the one name that matters."""
    sides = (change.after,) if change.kind == "changed" else (change.before, change.after)
    return " -> ".join(quoted(name) for name in sides if name is not None)


def named_commit(repo: Repository, commit: bytes) -> str:
    """`1a2b3c4d5e first line of the message`."""
    return f"{short_id(commit)} {read_commit(repo.store, commit).subject}"


def place(repo: Repository) -> str:
    """Where HEAD is, as one says on arriving."""
    head = repo.head
    if head.branch is not None or head.commit is None:
        return f"switched to branch '{head.branch}'"
    return f"HEAD is now at {named_commit(repo, head.commit)}, on no branch"


def already_there(ctx: Context, repo: Repository) -> int:
    """Tell that there is nowhere to go."""
    repo.refuse_if_running()
    branch = repo.head.branch
    return arrived(ctx, repo, Updated(), f"already on '{branch}'" if branch else "already there")


def arrived(ctx: Context, repo: Repository, done: Updated, text: str) -> int:
    """Tell where HEAD is now and what became of the files; the exit code.

    JSON: {"branch", "commit", "written", "removed", "skipped": [{"path", "reason"}]}.
    """
    head = repo.head
    if ctx.json:
        ctx.emit(
            {
                "branch": head.branch,
                "commit": None if head.commit is None else head.commit.hex(),
                **updated_as_json(done),
            }
        )
    ctx.say(text + files_changed(done))
    return ctx.done_with_skips(list(capped(done.skipped)))


def updated_as_json(done: Updated) -> dict[str, object]:
    """The JSON of what became of the files."""
    return {
        "written": done.written,
        "removed": done.removed,
        "skipped": [{"path": path, "reason": reason} for path, reason in done.skipped],
    }


def files_changed(done: Updated) -> str:
    """` (3 files written, 1 removed)`, or nothing."""
    parts = [f"{counted(done.written, 'file')} written"] if done.written else []
    if done.removed:
        parts.append(
            f"{done.removed:,} removed" if parts else f"{counted(done.removed, 'file')} removed"
        )
    return f" ({', '.join(parts)})" if parts else ""
