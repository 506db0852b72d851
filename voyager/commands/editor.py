"""Asking for a text in the user's editor."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from voyager.commands.context import Context
from voyager.errors import StateError, UsageError
from voyager.repo.repository import Repository
from voyager.store import files

_COMMENT = "#"


def edit_text(ctx: Context, repo: Repository, text: str, notes: Sequence[str], *, hint: str) -> str:
    """What the user makes of `text`, without comments and spare blank lines.

    `notes` stand below as comments. Raises UsageError with `hint` when there is no editor to ask.
    """
    path = repo.folder / "COMMIT_EDITMSG"
    comments = "".join(f"{_COMMENT} {note}".rstrip() + "\n" for note in notes)
    files.write_atomic(path, f"{text}\n\n{comments}".encode())
    purpose = "to write the message in"
    run_editor(ctx, repo, path, purpose=purpose, otherwise="nothing is committed", hint=hint)
    return strip_comments(path.read_text("utf-8", errors="replace"))


def run_editor(
    ctx: Context, repo: Repository, path: Path, *, purpose: str, otherwise: str, hint: str
) -> None:
    """Let the user edit a file; `purpose` and `otherwise` stand in the messages.

    Raises UsageError with `hint` when there is no editor, StateError when it ends with a fault.
    """
    command = _command(ctx, repo)
    if command is None:
        raise UsageError(f"no editor is set {purpose}", hint=hint)
    try:
        code = subprocess.run([*command, str(path)], check=False).returncode
    except OSError as error:
        raise StateError(f"cannot run the editor '{command[0]}': {error.strerror}") from error
    if code:
        raise StateError(f"the editor ended with exit code {code}; {otherwise}")


def strip_comments(text: str) -> str:
    """A message as git cleans it: no comments, no trailing spaces, single blank lines."""
    lines: list[str] = []
    for line in text.splitlines():
        kept = line.rstrip()
        if not line.startswith(_COMMENT) and (kept or (lines and lines[-1])):
            lines.append(kept)
    return "\n".join(lines).strip("\n")


def _command(ctx: Context, repo: Repository) -> list[str] | None:
    """$VISUAL, $EDITOR, git's own setting, or vi where a human is at the keyboard."""
    environ = ctx.config.environ
    chosen = environ.get("VISUAL") or environ.get("EDITOR") or _git_editor(repo)
    if not chosen and sys.stdin.isatty():
        chosen = "vi"
    return shlex.split(chosen) if chosen else None


def _git_editor(repo: Repository) -> str:
    try:
        done = subprocess.run(
            ["git", "config", "core.editor"],
            cwd=repo.folder,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()
