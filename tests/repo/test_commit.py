"""Commits: message, author, amend, hook, and races."""

from __future__ import annotations

import pytest
from photo_repos import KEYS, is_clean, place, save, say, take

from voyager.errors import RefMoved, StateError, UsageError
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.status import status
from voyager.store.history import read_commit
from voyager.store.refs import Head


def test_what_a_commit_says(photos_repo: Repository) -> None:
    first = photos_repo.resolve("HEAD")
    place(photos_repo, "new.jpg", 5)
    place(photos_repo, KEYS[0], 6)
    say(photos_repo, KEYS[1], "felt")
    take(photos_repo)
    done = commit(photos_repo, "second\n\nwith a body")
    told = {kind: count for kind, count in done.counts.items() if count}
    assert told == {"added": 1, "modified": 1, "labels": 1}
    assert (done.samples, done.branch, done.root) == (5, "main", False)
    made = read_commit(photos_repo.store, done.commit)
    assert (made.message, made.parent_ids) == ("second\n\nwith a body", [first])
    assert made.author == "Ann Lee <ann@example.org>"
    assert made.subject == "second"
    assert is_clean(photos_repo)


def test_the_first_commit(empty_repo: Repository) -> None:
    place(empty_repo, "a.jpg", 0)
    take(empty_repo)
    done = commit(empty_repo, "first")
    assert done.root
    assert done.counts["added"] == 1
    assert read_commit(empty_repo.store, done.commit).parent_ids == []
    assert empty_repo.head == Head("main", done.commit)


def test_nothing_to_commit(photos_repo: Repository) -> None:
    with pytest.raises(StateError, match="nothing to commit"):
        commit(photos_repo, "nothing")
    before = photos_repo.resolve("HEAD")
    done = commit(photos_repo, "a mark", allow_empty=True)
    assert read_commit(photos_repo.store, done.commit).parent_ids == [before]
    assert not any(done.counts.values())


def test_nothing_to_commit_on_a_branch_without_commits(empty_repo: Repository) -> None:
    with pytest.raises(StateError, match="nothing to commit"):
        commit(empty_repo, "nothing")
    assert commit(empty_repo, "an empty beginning", allow_empty=True).root


def test_rows_changed_back_are_nothing(photos_repo: Repository) -> None:
    path = place(photos_repo, "new.jpg", 5)
    take(photos_repo)
    path.unlink()
    take(photos_repo, all=True)
    assert not photos_repo.staging.overlay
    with pytest.raises(StateError, match="nothing to commit"):
        commit(photos_repo, "nothing")


@pytest.mark.parametrize("message", ["", "  \n "])
def test_a_commit_has_a_message(photos_repo: Repository, message: str) -> None:
    place(photos_repo, "new.jpg", 5)
    take(photos_repo)
    with pytest.raises(UsageError, match="message is empty"):
        commit(photos_repo, message)


def test_amend(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    second = save(photos_repo, "second")
    place(photos_repo, "new2.jpg", 6)
    take(photos_repo)
    done = commit(photos_repo, "", amend=True, author="Bo <bo@example.org>")
    made = read_commit(photos_repo.store, done.commit)
    assert made.parent_ids == read_commit(photos_repo.store, second).parent_ids
    assert (made.message, made.author) == ("second", "Bo <bo@example.org>")
    assert done.counts["added"] == 2
    done = commit(photos_repo, "better words", amend=True)
    made = read_commit(photos_repo.store, done.commit)
    assert (made.message, made.author) == ("better words", "Bo <bo@example.org>")


def test_amend_of_nothing(empty_repo: Repository) -> None:
    with pytest.raises(StateError, match="no commit to amend"):
        commit(empty_repo, "x", amend=True)


@pytest.mark.parametrize("author", ["Bo", "Bo bo@example.org", "<bo@example.org>", "Bo <a>\nx <b>"])
def test_an_author_has_a_name_and_an_address(photos_repo: Repository, author: str) -> None:
    with pytest.raises(UsageError, match="is no author"):
        commit(photos_repo, "x", allow_empty=True, author=author)


def test_the_hook_may_refuse(photos_repo: Repository) -> None:
    hook = photos_repo.folder / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch asked\nexit 3\n")
    place(photos_repo, "new.jpg", 5)
    take(photos_repo)
    assert commit(photos_repo, "not executable, not run").branch == "main"
    hook.chmod(0o755)
    with pytest.raises(StateError, match="pre-commit refused with exit code 3"):
        commit(photos_repo, "refused", allow_empty=True)
    assert (photos_repo.tree() / "asked").exists()
    assert commit(photos_repo, "past it", allow_empty=True, verify=False)
    hook.write_text("#!/bin/sh\nexit 0\n")
    assert commit(photos_repo, "agreed", allow_empty=True)


def test_two_processes_and_one_branch(photos_repo: Repository) -> None:
    place(photos_repo, "new.jpg", 5)
    take(photos_repo)
    with Repository.open(photos_repo.tree()) as other:
        staging, head = other.staging, other.head
        commit(photos_repo, "mine")
        from voyager.repo.commit import advance
        from voyager.repo.staging import replace_staging

        with pytest.raises(RefMoved), other.transaction("commit") as txn:
            assert head.commit is not None
            advance(txn, head, head.commit[::-1])
            replace_staging(txn, staging, base=head.commit, snapshot=staging.snapshot)
            txn.commit()
        assert status(other).clean


def test_half_of_what_changed(photos_repo: Repository) -> None:
    place(photos_repo, KEYS[0], 5)
    place(photos_repo, KEYS[1], 6)
    take(photos_repo, KEYS[0])
    assert commit(photos_repo, "one").counts["modified"] == 1
    assert status(photos_repo).modified == [KEYS[1]]
