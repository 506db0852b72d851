"""Keys: what may name a row, and how paths and globs that a user types become keys."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from voyager.errors import NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.ignore import glob_expression
from voyager.repo.snapshot import TRACKED

MAX_KEY_BYTES = 1024
MAX_COMPONENT_BYTES = 255
_GLOB = re.compile(r"[*?\[]")


def key_problem(key: str) -> str | None:
    """Why a key may not name a row, or None when it may (spec 3.1)."""
    folder, slash, name = key.rpartition("/")
    problem = _folder_problem(folder) if slash else None
    return problem or _name_problem(key, name)


def _name_problem(key: str, name: str) -> str | None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        return "the name is not UTF-8"
    if not key:
        return "an empty key"
    if size > MAX_KEY_BYTES:
        return f"longer than {MAX_KEY_BYTES} bytes"
    if "\0" in key:
        return "a NUL byte"
    if name == ".vgr":
        return "inside a .vgr"  # the working tree would take the folder for a repository
    if name in ("", ".", ".."):
        return f"a component '{name}'"
    if size > MAX_COMPONENT_BYTES and len(name.encode()) > MAX_COMPONENT_BYTES:
        return f"a component longer than {MAX_COMPONENT_BYTES} bytes"
    return None


@lru_cache(maxsize=1024)
def _folder_problem(folder: str) -> str | None:
    """The same for the folders of a key, of which there are few and far fewer than keys."""
    if not folder or folder.startswith("/"):
        return "an absolute path"
    parts = (_name_problem(folder, part) for part in folder.split("/"))
    return next((problem for problem in parts if problem is not None), None)


def shown(key: str) -> str:
    """A key as messages print it: what would break the line or the terminal is escaped."""
    return key if key.isprintable() else json.dumps(key, ensure_ascii=not _is_text(key))[1:-1]


def _is_text(key: str) -> bool:
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_key(key: str) -> str:
    """The key; UsageError when it may not name a row."""
    problem = key_problem(key)
    if problem is not None:
        raise UsageError(f"'{shown(key)}' cannot be a key: {problem}")
    return key


def key_of_path(root: Path, text: str, cwd: Path) -> str:
    """The key of a path below the working tree ('' for its root); UsageError for one outside.

    The path is not followed through its own last link, and need not exist.
    """
    if not text:
        raise UsageError("an empty path names nothing", hint="a . names everything below")
    path = os.path.normpath(os.path.join(cwd, text))
    key = _below(str(root), path)
    if key is None:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        found = (_below(base, real) for base in (str(root), os.path.realpath(root)))
        key = next((key for key in found if key is not None), None)
    if key is None:
        raise UsageError(f"'{text}' is outside the working tree {root}")
    return key


def _below(folder: str, path: str) -> str | None:
    """A path relative to a folder, None for one that does not lie in it."""
    if path == folder:
        return ""
    return path[len(folder) + 1 :] if path.startswith(folder + "/") else None


class KeyPattern:
    """A key, a folder of keys, or a glob (`*` crosses no '/', `**` does)."""

    def __init__(self, text: str) -> None:
        if not _is_text(text):
            raise UsageError(f"'{shown(text)}' is no key: the name is not UTF-8")
        self.text = "" if text in (".", "/") else text.rstrip("/")
        self.is_glob = bool(_GLOB.search(text))

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        expression = glob_expression(self.text) or re.escape(self.text)
        return re.compile(expression + r"(?:/.*)?\Z", re.DOTALL)

    @cached_property
    def fixed(self) -> str:
        """The part before the first wild card: where a walk may start."""
        found = _GLOB.search(self.text)
        return self.text if found is None else self.text[: found.start()]

    def matches(self, key: str) -> bool:
        if not self.text or key == self.text or key.startswith(self.text + "/"):
            return True
        return self.is_glob and self._regex.match(key) is not None


def match_keys(dataset: Dataset, patterns: Iterable[str]) -> list[tuple[str, str]]:
    """(space, key) of every tracked row that a pattern names, in key order.

    Raises NotFoundError for a pattern that names none. An existing key wins over a glob.
    """
    found: dict[str, str] = {}
    for text in patterns:
        before = len(found)
        matched = list(_match(dataset, KeyPattern(text)))
        found.update((key, space) for space, key in matched)
        if not matched and len(found) == before:
            raise NotFoundError(f"no key matches '{shown(text) or '.'}'", hint="vgr ls")
    return [(space, key) for key, space in sorted(found.items())]


def _match(dataset: Dataset, pattern: KeyPattern) -> Iterator[tuple[str, str]]:
    space = dataset.space_of(pattern.text) if pattern.text else None
    if space is not None:
        yield space, pattern.text
        return
    start = pattern.fixed if pattern.is_glob or not pattern.text else pattern.text + "/"
    for space in TRACKED:
        for key, _ in dataset.rows_below(space, start.encode()):
            name = key.decode()
            if pattern.matches(name):
                yield space, name
