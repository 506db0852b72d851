"""`vgr status`: say what is staged, changed and untracked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.bound_text import bound_json, bound_text
from voyager.commands.commits import short_id
from voyager.commands.context import Context
from voyager.commands.reports import quoted, vocabulary_names, vocabulary_text
from voyager.commands.sizes import counted
from voyager.commands.upstream_text import apart_lines, upstream_json
from voyager.repo.bound import UNADDED
from voyager.repo.diff import Change, counts
from voyager.repo.repository import Repository
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.repo.status import Status, status, untracked_tops
from voyager.repo.upstream import upstream_of
from voyager.repo.worktree import name_keys

_MOST = 20
_WORDS = {"added": "new file:", "removed": "deleted:", "renamed": "renamed:"}
_LETTERS = {"added": "A", "removed": "D", "renamed": "R", "modified": "M"}

Line = tuple[str, str]
"""What happened to a key, and the key as it is shown."""


def run(
    ctx: Context,
    *,
    paths: Annotated[
        bool, typer.Option("--paths", help="name every key, and list them in JSON")
    ] = False,
    short: Annotated[
        bool, typer.Option("-s", "--short", help="two letters and a key; U is in conflict")
    ] = False,
) -> None:
    """Say what is staged, changed and untracked.

    Paths are shown as seen from the current folder, and folders without a tracked file as one
    line. Of more than 20 the first are named; --paths names all.

    JSON: {"branch", "commit", "operation", "staged": {"added", "removed", "modified", "renamed",
    "labels", "vocabulary"}, "unstaged": {"modified", "deleted"}, "untracked", "conflicts",
    "merging": merge, cherry-pick, revert, rebase or import, or null, "bisecting", "held",
    "protected", "upstream": {"name", "ahead", "behind"} or null, "bound": [{"path", "state": in
    step, added, edited, gone, stale, unreadable or conflict, "counts": {scope: {kind: count}},
    "missing", "reason"}]}, counts all; vocabulary counts tasks and classes, conflicts fields. With
    --paths also "paths": {"staged": [{"kind", "key", "old_key", "parts"}], "vocabulary": [{"scope",
    "kind", "before", "after", "parts"}], "modified", "deleted", "untracked", "skipped",
    "conflicts": [{"key", "path"}]}.

    Example:
      $ vgr status
      $ vgr status -s
    """
    repo = ctx.open_repository()
    found = status(repo, progress=ctx.progress("looking"))
    if ctx.json:
        ctx.emit(_as_json(repo, found, paths=paths))
        return
    here = _here(repo)
    if short:
        for line in _short(found, untracked_tops(repo, found.untracked), here):
            ctx.show(line)
        return
    _show_head(ctx, repo, found)
    _show_merging(ctx, found)
    _show_conflicts(ctx, found, here, None if paths else _MOST)
    untracked = found.untracked if paths else untracked_tops(repo, found.untracked)
    said = _said(repo, found)
    _show_sections(ctx, found, untracked, here, said=said, most=None if paths else _MOST)
    _show_guard(ctx, found)
    last = _last_line(repo, found)
    if last:
        ctx.show(last)


def _as_json(repo: Repository, found: Status, *, paths: bool) -> dict[str, object]:
    head = found.head
    follows = None if head.branch is None else upstream_of(repo, head.branch)
    value: dict[str, object] = {
        "branch": head.branch,
        "commit": None if head.commit is None else head.commit.hex(),
        "operation": found.operation,
        "staged": {**counts(found.staged), "vocabulary": len(found.vocabulary)},
        "unstaged": {"modified": len(found.modified), "deleted": len(found.deleted)},
        "untracked": len(found.untracked),
        "conflicts": len(found.conflicts),
        "merging": None if found.merging is None else found.merging.kind,
        "bisecting": found.bisecting,
        "held": found.held,
        "protected": found.protected,
        "upstream": None if follows is None else upstream_json(repo, head.commit, follows),
        "bound": [bound_json(one) for one in found.bound],
    }
    if paths:
        value["paths"] = {
            "staged": [
                {
                    "kind": change.kind,
                    "key": change.key,
                    "old_key": change.old_key,
                    "parts": list(change.parts),
                }
                for change in found.staged
            ],
            "vocabulary": [asdict(change) for change in found.vocabulary],
            "modified": found.modified,
            "deleted": found.deleted,
            "untracked": found.untracked,
            "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
            "conflicts": [{"key": one.name, "path": one.path} for one in found.conflicts],
        }
    return value


def _said(repo: Repository, found: Status) -> str:
    """What becomes of regions and labels by what is staged."""
    if not found.staged:
        return ""
    from voyager.commands.differences import said_text

    base = repo.dataset_of(repo.staging.base)
    return said_text(base, repo.staged(), counts(found.staged))


def _here(repo: Repository) -> str:
    """The current folder below the working tree, empty at its top."""
    if repo.root is None:
        return ""
    here = os.path.relpath(Path.cwd(), repo.root)
    return "" if here.startswith(os.curdir) else here


def _seen(key: str, here: str) -> str:
    """A key as a path from the current folder."""
    folder = key.endswith("/")
    return quoted((os.path.relpath(key, here) if here else key.rstrip("/")) + "/" * folder)


def _show_head(ctx: Context, repo: Repository, found: Status) -> None:
    head = found.head
    if head.branch is not None:
        ctx.show(f"On branch {head.branch}")
        for line in apart_lines(repo, head.branch, head.commit):
            ctx.show(line)
    elif head.commit is not None:
        ctx.show(f"{ctx.style('HEAD detached', 'red')} at {short_id(head.commit)}")
    if found.operation is not None:
        ctx.show(f"An interrupted {found.operation} is not finished.")
        ctx.show('  (use "vgr checkout --continue" to finish it)')
        ctx.show('  (use "vgr checkout --abort" to go back)')
    if found.bisecting:
        ctx.show("Bisecting")
        ctx.show('  (use "vgr bisect" to see how it stands, "vgr bisect reset" to end it)\n')
    if head.commit is None:
        ctx.show("\nNo commits yet\n")


def _show_merging(ctx: Context, found: Status) -> None:
    """What waits for its commit, and how it goes on."""
    merging = found.merging
    if merging is None or (merging.kind == "import" and not found.conflicts):
        return
    subject = merging.message.partition("\n")[0]
    noun = merging.noun[0].upper() + merging.noun[1:]
    ctx.show(f"{noun} is not finished{': ' if subject else ''}{subject}")
    if merging.kind == "import":
        ctx.show('  (use "vgr commit" once the conflicts are resolved, "vgr undo" to give it up)\n')
        return
    first = "once the conflicts are resolved" if found.conflicts else "to go on"
    ctx.show(f'  (use "vgr {merging.command} --continue" {first})')
    ctx.show(f'  (use "vgr {merging.command} --abort" to give it up)')
    ctx.show()


def _show_conflicts(ctx: Context, found: Status, here: str, most: int | None) -> None:
    """What is in conflict, by key or name, with how many fields of it."""
    if not found.conflicts:
        return
    keys = Counter(
        _seen(one.name, here) if one.space in (SAMPLES, FILES) else one.name
        for one in found.conflicts
    )
    ctx.show("In conflict:")
    ctx.show('  (use "vgr conflicts" to see what each side says, "vgr resolve" to decide)')
    for name, count in [*keys.items()][:most]:
        ctx.show("\t" + ctx.style(f"{name} ({counted(count, 'field')})", "red"))
    if most is not None and len(keys) > most:
        ctx.show(f"\t… and {len(keys) - most:,} more (vgr status --paths names all)")
    ctx.show()


def _show_sections(
    ctx: Context,
    found: Status,
    untracked: Sequence[str],
    here: str,
    *,
    said: str,
    most: int | None,
) -> None:
    """The lists in git's layout, each cut after so many lines; `said` sums up staged labels."""
    staged = "Changes to be committed:"
    unstage = '(use "vgr restore --staged KEY..." to unstage)'
    discard = '(use "vgr restore KEY..." to discard changes in working tree)'
    take = '(use "vgr add PATH..." to include in what will be committed)'
    update = '(use "vgr add PATH..." to update what will be committed)'
    if found.deleted:
        update = '(use "vgr add -A PATH..." to update what will be committed)'
    changed = [("modified:", key) for key in found.modified]
    changed += [("deleted:", key) for key in found.deleted]
    sections: list[tuple[str, Sequence[str], list[Line], str]] = [
        (staged, [unstage], [*map(_staged_line, found.staged)], "green"),
        ("Changes not staged for commit:", [update, discard], sorted(changed, key=_by_key), "red"),
        ("Untracked files:", [take], [("", key) for key in untracked], "red"),
    ]
    for title, hints, lines, colour in sections:
        if lines:
            foot = said if title is staged else ""
            _show_section(ctx, title, hints, lines, colour, here, most, foot=foot)
        if title is staged:
            _show_vocabulary(ctx, found, most)
    _show_bound(ctx, found, here)
    if found.skipped:
        ctx.show("Cannot be versioned:")
        for path, reason in found.skipped[:most]:
            ctx.show("\t" + ctx.style(f"{_seen(path, here)} ({reason})", "yellow"))
        ctx.show()


def _show_bound(ctx: Context, found: Status, here: str) -> None:
    """How the bound label files stand, one a line."""
    if not found.bound:
        return
    ctx.show("Bound label files:")
    if any(one.state == "edited" for one in found.bound):
        ctx.show('  (use "vgr add FILE..." to include their edits in what will be committed)')
        ctx.show('  (use "vgr restore FILE..." to discard them)')
    for one in found.bound:
        colour = {"in step": "dim", "added": "green"}.get(one.state, "red")
        ctx.show("\t" + ctx.style(f"{_seen(one.key, here)}: {bound_text(one)}", colour))
    ctx.show()


def _show_guard(ctx: Context, found: Status) -> None:
    """What the guard holds, or that it has nothing to guard."""
    if found.held:
        were = "sample is" if found.held == 1 else "samples are"
        ctx.show(f"{found.held:,} {were} held (vgr guard show)")
    if found.guarded_splits and not found.protected:
        splits = " or ".join(found.guarded_splits)
        ctx.show(f"no sample is in {splits}: the guard has nothing to guard")


def _by_key(line: Line) -> str:
    return line[1]


def _show_section(
    ctx: Context,
    title: str,
    hints: Sequence[str],
    lines: list[Line],
    colour: str,
    here: str,
    most: int | None,
    *,
    foot: str = "",
) -> None:
    ctx.show(title)
    for hint in hints:
        ctx.show(f"  {hint}")
    for word, key in lines[:most]:
        name = " -> ".join(_seen(part, here) for part in key.split("\0"))
        ctx.show("\t" + ctx.style(f"{word:<12}{name}" if word else name, colour))
    if most is not None and len(lines) > most:
        ctx.show(f"\t… and {len(lines) - most:,} more (vgr status --paths names all)")
    if foot:
        ctx.show(f"  {foot}")
    ctx.show()


def _show_vocabulary(ctx: Context, found: Status, most: int | None) -> None:
    """The staged changes of tasks and taxonomies, which have no key."""
    if found.vocabulary:
        ctx.show("Tasks and taxonomies to be committed:")
        ctx.show('  (use "vgr undo" to take back the last change)')
        for change in found.vocabulary[:most]:
            ctx.show("\t" + ctx.style(vocabulary_text(change), "green"))
        if most is not None and len(found.vocabulary) > most:
            more = len(found.vocabulary) - most
            ctx.show(f"\t… and {more:,} more (vgr status --paths names all)")
        ctx.show()


def _staged_line(change: Change) -> Line:
    key = change.key if change.old_key is None else f"{change.old_key}\0{change.key}"
    word = _WORDS.get(change.kind)
    if word is None:
        said = [part for part in change.parts if part not in ("image", "content")]
        word = "modified:" if len(said) < len(change.parts) else "labels:"
        return word, key
    return word, key


def _short(found: Status, untracked: Sequence[str], here: str) -> Iterator[str]:
    """Lines of `XY KEY` as git's: X for staged, Y for the file."""
    staged = {change.key: change for change in found.staged}
    disputed = {one.name for one in found.conflicts if one.space in (SAMPLES, FILES)}
    files = dict.fromkeys(found.modified, "M") | dict.fromkeys(found.deleted, "D")
    for key in sorted(staged.keys() | files.keys() | disputed):
        change = staged.get(key)
        first = " " if change is None else _LETTERS[change.kind]
        if key in disputed:
            first = "U"
        old = (
            "" if change is None or change.old_key is None else _seen(change.old_key, here) + " -> "
        )
        yield f"{first}{files.get(key, ' ')} {old}{_seen(key, here)}"
    for word in found.vocabulary:
        yield f"{_LETTERS.get(word.kind, 'M')}  {word.scope} {vocabulary_names(word)}"
    for one in found.bound:
        if one.state == "gone" or one.state in UNADDED:
            yield f" {'D' if one.state == 'gone' else 'M'} {_seen(one.key, here)}"
    for key in untracked:
        yield f"?? {_seen(key, here)}"


def _last_line(repo: Repository, found: Status) -> str:
    if found.hidden:
        return f"tracked files cannot be seen: {name_keys(found.hidden)}"
    if not found.nothing_staged or found.merging or found.conflicts:
        return ""
    if found.modified or found.deleted or found.bound_edited:
        return 'no changes added to commit (use "vgr add" and/or "vgr commit -a")'
    if found.untracked:
        return 'nothing added to commit but untracked files present (use "vgr add" to track)'
    if repo.root is None:
        return "nothing to commit"
    if found.head.commit is None and not len(repo.staged()):
        return 'nothing to commit (copy images here and use "vgr add" to track)'
    return "nothing to commit, working tree clean"
