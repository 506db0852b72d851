"""Ignore files: the table of patterns, files in sub-folders, and Git as the judge."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.repo.ignore import Ignore, parse_rule


def ignore_with(top: Path, **rules: str) -> Ignore:
    """Rules by folder, `root` for the root's own."""
    for folder, text in rules.items():
        place = top if folder == "root" else top / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / ".vgrignore").write_text(text)
    return Ignore(top)


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        ("a.jpg", "a.jpg x/a.jpg", "a.jpgx xa.jpg"),
        ("/a.jpg", "a.jpg", "x/a.jpg"),
        ("x/a.jpg", "x/a.jpg", "y/x/a.jpg a.jpg"),
        ("*.tmp", "b.tmp x/b.tmp .tmp", "b.tmp2"),
        ("x/*.tmp", "x/b.tmp", "x/y/b.tmp"),
        ("**/c", "c x/c x/y/c", "xc"),
        ("x/**", "x/a x/y/a", "x y"),
        ("x/**/c", "x/c x/y/c x/y/z/c", "xc x/yc"),
        ("?.jpg", "a.jpg", "ab.jpg .jpg"),
        ("[a-c].jpg", "a.jpg c.jpg", "d.jpg"),
        ("[!a-c].jpg", "d.jpg", "a.jpg"),
        ("[[:digit:]]*", "1a 22", "a1"),
        ("[]]x", "]x", "x"),
        (r"\#a", "#a", "a"),
        (r"\!a", "!a", "a"),
        (r"a\*", "a*", "ab"),
        (r"a\ ", "a\N{SPACE}", "a"),
        ("a**b", "ab axxb", "a/b"),
        ("ü*", "üben x/ü", "u"),
        ("a\r", "a", "b"),
    ],
)
def test_patterns(pattern: str, matched: str, unmatched: str) -> None:
    rule = parse_rule(pattern)
    assert rule is not None
    split = [matched] if matched.endswith(" ") else matched.split()
    assert [key for key in split if not rule.pattern.fullmatch(key)] == []
    assert [key for key in unmatched.split() if rule.pattern.fullmatch(key)] == []


@pytest.mark.parametrize("line", ["", "  ", "# a", "!", "/", "a\\", "[a", "[z"])
def test_lines_that_match_nothing(line: str) -> None:
    assert parse_rule(line) is None


def test_a_trailing_slash_means_folders_only(tmp_path: Path) -> None:
    ignore = ignore_with(tmp_path, root="out/\n")
    assert ignore.matches("out", True)
    assert ignore.matches("x/out/a.jpg", False)
    assert not ignore.matches("out", False)


def test_the_last_match_wins_and_the_deepest_file_first(tmp_path: Path) -> None:
    ignore = ignore_with(tmp_path, root="*.png\n!keep.png\n", x="keep.png\n!a.png\n")
    assert ignore.matches("a.png", False)
    assert not ignore.matches("keep.png", False)
    assert ignore.matches("x/keep.png", False)
    assert not ignore.matches("x/a.png", False)
    assert ignore.matches("x/y/b.png", False)


def test_nothing_comes_back_out_of_an_ignored_folder(tmp_path: Path) -> None:
    ignore = ignore_with(tmp_path, root="x\n!x/keep.png\n", x="!keep.png\n")
    assert ignore.matches("x/keep.png", False)


def test_nothing_but_jpeg(tmp_path: Path) -> None:
    ignore = ignore_with(tmp_path, root="*\n!*/\n!*.jpg\n")
    assert not ignore.matches("x/y", True)
    assert not ignore.matches("x/y/a.jpg", False)
    assert ignore.matches("x/y/a.txt", False)


@pytest.mark.parametrize("name", [".vgr", ".git", ".DS_Store", "Thumbs.db"])
def test_always_ignored(tmp_path: Path, name: str) -> None:
    ignore = ignore_with(tmp_path, root=f"!{name}\n")
    assert ignore.matches(name, False)
    assert ignore.matches(f"x/{name}", True)
    assert ignore.matches(f"x/{name}/a.jpg", False)


def test_reload_sees_new_rules(tmp_path: Path) -> None:
    ignore = ignore_with(tmp_path, root="a\n")
    assert not ignore.matches("b/c", False)
    (tmp_path / ".vgrignore").write_bytes(b"\xef\xbb\xbfb\xff\nb\n")
    assert not ignore.matches("b/c", False)
    ignore.reload()
    assert ignore.matches("b/c", False)


def test_a_deep_path_is_no_recursion(tmp_path: Path) -> None:
    assert not Ignore(tmp_path).matches("/".join("a" * 512), False)


PATTERNS = r"""
a b/ foo foo/ *.tmp !keep.tmp !*.tmp /a /a/b a/b a/* !a/b !foo !foo/ **/b a/** !a/**/ b//a ?
foo/**/x.tmp *.d !b.d/ * !*/ /foo/* !a y.?pg [xy].* b/foo #c */a !*.jpg *** a/***/b [!a] *.*
[a-f]* []x]* [^]x]* [[:alpha:]] [z-a] x\.tmp **/a/* a** **.tmp /** **/ / ! [a a\ [a-]* !b/**
[\]x]* !/foo/ [!a-b/]* a[/]b [[:digit:][:punct:]x]*
"""
NAMES = st.sampled_from(["a", "b", "foo", "x.tmp", "y.jpg", "keep.tmp", "b.d"])


@pytest.mark.skipif(shutil.which("git") is None, reason="needs Git")
@given(
    st.sets(st.lists(NAMES, min_size=1, max_size=4).map("/".join), min_size=1, max_size=12),
    st.dictionaries(
        st.lists(NAMES, max_size=2).map("/".join),
        st.lists(st.sampled_from(PATTERNS.split()), min_size=1, max_size=5),
        min_size=1,
        max_size=3,
    ),
)
@settings(max_examples=25, deadline=None)
def test_git_agrees(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], rules: dict[str, list[str]]
) -> None:
    root = tmp_path_factory.mktemp("ignore")
    files = {key for key in keys if not any(other.startswith(f"{key}/") for other in keys)}
    for key in files:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).touch()
    for folder, patterns in rules.items():
        if (root / folder).is_dir():
            for name in (".gitignore", ".vgrignore"):
                (root / folder / name).write_text("\n".join(patterns))
    ignore = Ignore(root)
    ignored = {key for key in files if ignore.matches(key, False)}
    assert ignored == git_ignored(root, files)


def git_ignored(root: Path, keys: set[str]) -> set[str]:
    nowhere = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {**os.environ, **nowhere}
    subprocess.run(["git", "init", "-q"], cwd=root, env=environment, check=True)
    found = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=root,
        env=environment,
        input="\0".join(sorted(keys)).encode(),
        capture_output=True,
        check=False,
    )
    return set(found.stdout.decode().split("\0")) - {""}
