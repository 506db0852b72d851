"""Which names of the working tree are left alone: `.vgrignore` files, in gitignore's syntax.

The patterns are matched here and not by a library of file lists: a walk asks about each folder by
itself, and has to hear that `*`, `!*/`, `!*.jpg` (nothing but JPEG) leaves the folders open.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

IGNORE_FILE = ".vgrignore"
ALWAYS_IGNORED = frozenset({".vgr", ".git", ".DS_Store", "Thumbs.db"})


class Ignore:
    """The rules under one root; files are read when a folder is first asked about, and kept.

    As in Git the deepest file with a matching pattern decides, its last matching pattern wins, and
    nothing inside an ignored folder can be taken back in.
    """

    def __init__(self, root: Path, *, use_files: bool = True) -> None:
        self._root = root
        self._use_files = use_files  # `add -f` goes by the built-in names alone
        self.reload()

    @classmethod
    def load(cls, root: Path) -> Ignore:
        return cls(root)

    def reload(self) -> None:
        """Forget what was read: files may have changed."""
        self._rules: dict[str, list[Rule]] = {}
        self._chains: dict[str, list[tuple[int, list[Rule]]]] = {}
        self._folders: dict[str, bool] = {"": False}

    def matches(self, key: str, is_dir: bool) -> bool:
        """Whether a key is ignored, by itself or because it lies in an ignored folder."""
        folder, _, _ = key.rpartition("/")
        return self._ignores_folder(folder) or self._names(key, is_dir)

    def _ignores_folder(self, folder: str) -> bool:
        ignored = self._folders.get(folder)
        if ignored is None:
            ignored = any(self._names(step, is_dir=True) for step in _steps_down_to(folder))
            self._folders[folder] = ignored
        return ignored

    def _names(self, key: str, is_dir: bool) -> bool:
        """Whether the rules ignore this very key, whatever they say of the folders above it."""
        folder, _, name = key.rpartition("/")
        if name in ALWAYS_IGNORED:
            return True
        for cut, rules in self._rules_for(folder):
            relative = key[cut:]
            for rule in rules:
                if (is_dir or not rule.folders_only) and rule.pattern.fullmatch(relative):
                    return rule.ignores
        return False

    def _rules_for(self, folder: str) -> list[tuple[int, list[Rule]]]:
        """The files of rules that have a say in a folder, the nearest first.

        Each with the length of what comes before the names it matches; mostly there are none.
        """
        chain = self._chains.get(folder)
        if chain is None:
            chain = [] if not folder else self._rules_for(folder.rpartition("/")[0])
            rules = self._rules_of(folder)
            if rules:
                chain = [(len(folder) + 1 if folder else 0, rules), *chain]
            self._chains[folder] = chain
        return chain

    def _rules_of(self, folder: str) -> list[Rule]:
        """The rules of one folder's file, last one first."""
        if not self._use_files:
            return []
        rules = self._rules.get(folder)
        if rules is None:
            rules = self._rules[folder] = _read_rules(self._root / folder / IGNORE_FILE)
        return rules


def _steps_down_to(folder: str) -> Iterator[str]:
    """`a`, `a/b`, `a/b/c` for `a/b/c`."""
    end = folder.find("/")
    while end >= 0:
        yield folder[:end]
        end = folder.find("/", end + 1)
    yield folder


class Rule(NamedTuple):
    """One line of an ignore file; `pattern` matches whole paths relative to the file's folder."""

    pattern: re.Pattern[str]
    ignores: bool
    folders_only: bool


def _read_rules(path: Path) -> list[Rule]:
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError:
        return []
    rules = [parse_rule(line) for line in text.split("\n")]
    return [rule for rule in reversed(rules) if rule is not None]


def parse_rule(line: str) -> Rule | None:
    """The rule on one line; None for a comment, an empty line, and what can match nothing."""
    if line.startswith("#"):
        return None
    glob = _without_trailing_spaces(line.removesuffix("\r"))
    ignores = not glob.startswith("!")
    glob = glob.removeprefix("!")
    folders_only = glob.endswith("/")
    glob = glob.removesuffix("/")
    anchored = "/" in glob
    expression = glob_expression(glob.removeprefix("/"))
    if not expression:
        return None
    if not anchored:
        expression = "(?:.*/)?" + expression
    return Rule(re.compile(expression, re.DOTALL), ignores, folders_only)


def _without_trailing_spaces(line: str) -> str:
    """The line up to its trailing spaces; one that a backslash escapes stays."""
    kept = line.rstrip(" ")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if len(kept) < len(line) and backslashes % 2 else kept


_TOKEN = re.compile(
    r"""
      (?P<folders> (?:(?<=/)|(?<!.)) \*{2,} /)      # **/ : any folders, or none
    | (?P<inside>  (?:(?<=/)|(?<!.)) \*{2,} $)      # /** : everything inside
    | (?P<stars>   \*+)
    | (?P<any>     \?)
    | \[ (?P<negated> [!^]?) (?P<members> \]? (?: \[:\w+:\] | \\. | [^\]\\] )*) \]
    | \\ (?P<escaped> .)
    | (?P<literal> [^*?\[\\])
    """,
    re.VERBOSE | re.DOTALL,
)


def glob_expression(glob: str) -> str:
    """The regular expression of a pattern, for whole paths; empty when it can match nothing."""
    parts = []
    end = 0
    for token in _TOKEN.finditer(glob):
        if token.start() != end:
            return ""
        end = token.end()
        parts.append(_expression_of_token(token))
    return "".join(parts) if end == len(glob) else ""


def _expression_of_token(token: re.Match[str]) -> str:
    if token["folders"]:
        return "(?:.*/)?"
    if token["inside"]:
        return ".*"
    if token["stars"]:
        return "[^/]*"
    if token["any"]:
        return "[^/]"
    if token["members"] is not None:
        return _expression_of_class(token["members"], negated=bool(token["negated"]))
    return re.escape(token["escaped"] or token["literal"])


_NAMED_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \t",
    "cntrl": "\0-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": re.escape(string.punctuation),
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}

_MEMBER = re.compile(
    r"\[:(?P<named>\w+):\]|(?P<first>\\.|[^\\])(?:-(?P<last>\\.|[^\\]))?", re.DOTALL
)


def _expression_of_class(members: str, *, negated: bool) -> str:
    """The regular expression of `[…]`, which never matches a slash."""
    parts = []
    for member in _MEMBER.finditer(members):
        if member["named"]:
            parts.append(_NAMED_CLASSES.get(member["named"], ""))
            continue
        first = member["first"][-1]
        last = (member["last"] or first)[-1]
        if first <= last:
            parts.append(f"{re.escape(first)}-{re.escape(last)}")
    inside = "".join(parts)
    if not inside:
        return "[^/]" if negated else "(?!)"
    return f"(?!/)[{'^' if negated else ''}{inside}]"
