"""`vgr edit`: edit all that is said of a sample, as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.choosing import chosen_samples
from voyager.commands.context import Context
from voyager.commands.editor import run_editor
from voyager.commands.labels import tell_changed
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.repo import label_edits
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.repo.sample_text import read_sample_text, sample_text
from voyager.repo.staged_edit import StagedEdit
from voyager.schema import Sample
from voyager.schema.vocabulary import Vocabulary
from voyager.store import files


def run(
    ctx: Context,
    word: Annotated[str, typer.Argument(metavar="KEY", help="a sample")],
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="take it from a file, or -")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="only tell what would change")
    ] = False,
) -> None:
    """Edit all that is said of a sample, as JSON in $VISUAL or $EDITOR.

    It is the JSON of vgr show. A region that is written anew needs no id. Key, uid and image cannot
    be changed here. What is wrong is refused with its line, and the text is kept: the same command
    goes on with it.

    JSON: {"samples", "regions", "labels", "keys"}.

    Example:
      $ vgr edit train/1.jpg
      $ vgr show --json train/1.jpg > 1.json
      $ vgr edit train/1.jpg --from 1.json
    """
    repo = ctx.open_repository()
    with StagedEdit(repo, "edit-row", word, dry_run=dry_run) as edit:
        keys = chosen_samples(ctx, repo, edit.version, [word])
        if len(keys) != 1:
            raise UsageError(f"one sample is edited at a time, not {len(keys):,}")
        key, before, words = keys[0], edit.version[keys[0]], edit.version.vocabulary
        kept = repo.folder / f"EDIT_{before.uid.hex()[:8]}.json"
        text, path = _ask(ctx, repo, kept, key, before, words) if source is None else _read(source)
        try:
            after = read_sample_text(
                text,
                key,
                before,
                words,
                knows_blob=repo.store.__contains__,
                path=path,
            )
        except InvalidDataError as error:
            raise _keeping(error, kept, text, key, from_stdin=source == "-") from None
        done = label_edits.change(edit, [key], lambda *_: after)
    kept.unlink(missing_ok=True)
    tell_changed(ctx, done, dry_run=dry_run)


def _ask(
    ctx: Context, repo: Repository, kept: Path, key: str, sample: Sample, words: Vocabulary
) -> tuple[str, str]:
    """The text as the editor leaves it, and the file that holds it."""
    if kept.exists():
        ctx.warn(f"this goes on with what was refused before; delete {kept} to begin anew")
    else:
        files.write_atomic(kept, sample_text(key, sample, words).encode())
    try:
        run_editor(
            ctx,
            repo,
            kept,
            purpose="to edit the sample in",
            otherwise="nothing is changed",
            hint=f"vgr edit '{shown(key)}' --from FILE, or set $EDITOR",
        )
    except (UsageError, StateError):
        if kept.read_text("utf-8", errors="replace") == sample_text(key, sample, words):
            kept.unlink()
        raise
    return kept.read_text("utf-8", errors="replace"), str(kept)


def _read(source: str) -> tuple[str, str | None]:
    if source == "-":
        return sys.stdin.read(), None
    if not Path(source).exists():
        raise NotFoundError(f"'{source}' names no file", hint="ls")
    return Path(source).read_text("utf-8", errors="replace"), source


def _keeping(
    error: InvalidDataError, kept: Path, text: str, key: str, *, from_stdin: bool
) -> InvalidDataError:
    """The error, after making sure that the text is not lost."""
    if from_stdin:
        files.write_atomic(kept, text.encode())
    if error.path in (None, str(kept)):
        return InvalidDataError(
            error.message,
            path=kept,
            line=error.line,
            hint=f"{f'{error.hint}; ' if error.hint else ''}vgr edit '{shown(key)}' goes on",
        )
    return error
