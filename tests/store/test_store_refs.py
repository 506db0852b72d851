"""Names of branches and tags, and what HEAD says."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_stores import begin, commit

from voyager.errors import CorruptError, RefMoved, UsageError
from voyager.store.objectstore import Store
from voyager.store.refs import (
    Head,
    check_name,
    iter_refs,
    move_head,
    move_ref,
    read_head,
    read_ref,
)
from voyager.wire import object_ref

GOOD = ["main", "a/b", "fix-1", "v1.0", "ünïcode", "a.b", "a@b", "a{b", "x-"]
BAD = [
    *["", "a b", "a..b", ".a", "a/.b", "a.", "a.lock", "a.lock/b", "a//b", "/a", "a/", "@"],
    *["a@{b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a\x00", "a\x7f", "a\n", "-x", "HEAD"],
    "x" * 256,
]


@pytest.mark.parametrize("name", GOOD)
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", BAD)
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match="not a valid name"):
        check_name(name)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
@settings(max_examples=60, deadline=None)
@given(st.text("ab./@{~^:?*[\\-lock \x01", min_size=1, max_size=8))
def test_names_are_those_that_git_takes(name: str) -> None:
    command = ["git", "check-ref-format", "--branch", name]
    git = subprocess.run(command, check=False, capture_output=True)
    if name == "@" or name.startswith("@{"):
        return  # git reads these as HEAD and as an earlier branch
    try:
        check_name(name)
        ours = True
    except UsageError:
        ours = False
    assert ours == (git.returncode == 0)


def test_refs_move_by_compare_and_swap(store: Store) -> None:
    first = commit(store, "main", {b"k": {"n": 1}})
    second = commit(store, "main", {b"k": {"n": 2}})
    assert read_ref(store, "refs/heads/main") == second
    assert read_ref(store, "refs/heads/other") is None
    with begin(store) as txn:
        move_ref(txn, "refs/tags/v1", first, old=None)
        txn.commit()
    assert iter_refs(store) == {"refs/heads/main": second, "refs/tags/v1": first}
    assert iter_refs(store, "refs/tags/") == {"refs/tags/v1": first}
    with pytest.raises(RefMoved, match="v1 was moved"), begin(store) as txn:
        move_ref(txn, "refs/tags/v1", None, old=second)
        txn.commit()
    with begin(store) as txn:
        move_ref(txn, "refs/tags/v1", None, old=first)
        txn.commit()
    assert iter_refs(store) == {"refs/heads/main": second}


def test_head_is_a_branch_maybe_unborn_or_a_commit(store: Store) -> None:
    unborn = Head("main", None)
    with begin(store) as txn:
        move_head(txn, unborn, old=None)
        txn.commit()
    assert read_head(store) == unborn
    found = commit(store, "main", {})
    assert read_head(store) == Head("main", found)
    assert not read_head(store).detached
    with begin(store) as txn:
        move_head(txn, Head(None, found), old=unborn)
        txn.commit()
    assert read_head(store) == Head(None, found)
    assert read_head(store).detached
    with begin(store) as txn, pytest.raises(UsageError):
        move_head(txn, Head(None, None), old=None)


def test_values_that_are_no_refs_are_corrupt(store: Store) -> None:
    with begin(store) as txn:
        txn.move("HEAD", 7, old=None)
        txn.move("refs/heads/main", "text", old=None)
        txn.move("refs/heads/odd", object_ref(bytes(32)), old=None)
        txn.commit()
    with pytest.raises(CorruptError):
        read_head(store)
    with pytest.raises(CorruptError):
        read_ref(store, "refs/heads/main")
    with pytest.raises(CorruptError):
        iter_refs(store)
