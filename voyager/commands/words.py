"""What the words after a command name: revisions first, then keys; `--` parts them for certain."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from voyager.commands.context import Context
from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.keys import KeyPattern, key_of_path
from voyager.repo.ranges import names_revisions
from voyager.repo.repository import Repository


class Words(NamedTuple):
    """The words of a command, apart; `sure` when `--` parted them."""

    revisions: list[str]
    keys: list[str]
    sure: bool


def read_words(
    ctx: Context, repo: Repository, words: Sequence[str] | None, *, most: int | None = None
) -> Words:
    """Part words into revisions, at most so many, and keys, folders or globs.

    Words before `--` are revisions. Without it those are that name one, up to the first that does
    not; UsageError for a word that is both a revision and a file.
    """
    words = list(words or ())
    if ctx.after_dashes is not None:
        cut = len(words) - len(ctx.after_dashes)
        _refuse_many(words[:cut], most)
        return Words(words[:cut], [key_of(repo, word) for word in words[cut:]], True)
    at, end = 0, len(words) if most is None else min(most, len(words))
    while at < end and names_revisions(repo.store, words[at]):
        _refuse_both(repo, words[at])
        at += 1
    return Words(words[:at], [key_of(repo, word) for word in words[at:]], False)


def _refuse_many(revisions: list[str], most: int | None) -> None:
    if most is not None and len(revisions) > most:
        raise UsageError(f"'{revisions[most]}' is one revision too many", hint="put keys after --")


def _refuse_both(repo: Repository, word: str) -> None:
    if repo.root is not None and os.path.lexists(word):
        raise UsageError(
            f"'{word}' is both a revision and a file",
            hint=f"put -- after it for the revision ({word} --), before it for the file",
        )


def key_of(repo: Repository, word: str) -> str:
    """The key, folder or glob that a path names, as seen from where the command was started."""
    if repo.root is None and word:
        return word.strip("/")
    return key_of_path(repo.root or repo.folder, word, Path.cwd())


def refuse_unknown(words: Words, versions: Sequence[Dataset]) -> None:
    """NotFoundError for a word without `--` that is neither a revision nor a key of a version."""
    for name in () if words.sure else words.keys:
        if not any(has_key(version, name) for version in versions):
            raise NotFoundError(
                f"'{name}' is neither a revision nor a key",
                hint="vgr ls, vgr branch and vgr log list them; -- stands before keys",
            )


def has_key(version: Dataset, name: str) -> bool:
    """Whether a key, folder or glob names anything in a version."""
    pattern = KeyPattern(name)
    if not name or version.space_of(name) is not None or version.has_folder(name):
        return True
    if not pattern.is_glob:
        return False
    top = pattern.fixed.rpartition("/")[0]
    prefix = f"{top}/" if top else ""
    return any(pattern.matches(tracked.key) for tracked in version.tracked(prefix))
