"""Revert, cherry-pick and rebase: what they make, where they stop, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from replays import (
    KEYS,
    PHOTOS,
    boxed,
    change,
    colors,
    files_of,
    head_of,
    labeled,
    log,
    make,
    on_branch,
    place,
    rename,
    save,
    set_author,
    settle,
    state,
    with_color,
)

from voyager.errors import NotFoundError, StateError, UsageError, VoyagerError
from voyager.merge import abort as abort_merge
from voyager.merge import merge
from voyager.merge import proceed as proceed_merge
from voyager.merge.only import parse_only
from voyager.merge.pick import cherry_pick, revert
from voyager.merge.rebase import rebase
from voyager.merge.replay import Replayed
from voyager.merge.resume import abort, proceed, skip
from voyager.repo.branches import create, delete, find_branch
from voyager.repo.commit import commit
from voyager.repo.conflicts import count_conflicts
from voyager.repo.guard_decisions import decisions_of
from voyager.repo.merging import running_merge
from voyager.repo.repository import Repository
from voyager.repo.switch import reset, switch
from voyager.repo.undo import undo
from voyager.schema import Label
from voyager.store.gc import collect
from voyager.store.history import read_commit
from voyager.store.refs import Head

A, B, C, D = KEYS


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    set_author(monkeypatch, "Ann")
    with make(tmp_path / "work") as repo:
        yield repo


def results(done: Replayed) -> list[str]:
    return [step.merged.result for step in done.steps]


# -- what a step makes ----------------------------------------------------------------------------


def test_a_pick_keeps_author_time_and_message(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_branch(repo, "other"):
        set_author(monkeypatch, "Bob", "2026-01-05T06:07:08+02:00", repo=repo)
        made = change(repo, A, with_color("blue"), "Blue\n\nIt is.")
    set_author(monkeypatch, "Cy", "2026-02-01T00:00:00Z", repo=repo)
    change(repo, B, with_color("green"))
    done = cherry_pick(repo, "other", note_origin=True)
    assert (done.result, results(done), done.left) == ("replayed", ["merged"], 0)
    assert colors(repo, A, B) == ["blue", "green"]
    picked, source = head_of(repo), read_commit(repo.store, made)
    assert (picked.author, picked.time, picked.zone) == (source.author, source.time, source.zone)
    assert picked.committer == "Cy <cy@example.org>"
    assert picked.message == f"Blue\n\nIt is.\n\n(cherry picked from commit {made.hex()})"
    cherry_pick(repo, "other")
    assert log(repo, 2) == ["Blue", f"change {B}"]  # nothing was done twice


def test_disjoint_picks_commute(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
        change(repo, B, boxed(1))
        rename(repo, C, "shoes/renamed.jpg")
        place(repo, "new/5.jpg", 4)
        save(repo, "one more")
    names = [f"other~{number}" for number in range(4)]
    start = repo.head.commit
    found = set()
    for order in permutations(names):
        reset(repo, start, "hard")
        assert cherry_pick(repo, *order).result == "replayed"
        found.add(head_of(repo).snapshot_id)
    with on_branch(repo, "other"):
        assert found == {head_of(repo).snapshot_id}


def test_a_range_is_picked_oldest_first_and_reverted_newest_first(repo: Repository) -> None:
    with on_branch(repo, "other"):
        for value in ("orange", "yellow", "white"):
            change(repo, A, with_color(value), value)
    before = head_of(repo).snapshot_id
    assert results(cherry_pick(repo, "main..other")) == ["merged"] * 3
    assert log(repo, 3) == ["white", "yellow", "orange"]
    assert results(revert(repo, "HEAD~3..HEAD")) == ["merged"] * 3
    assert head_of(repo).snapshot_id == before
    assert log(repo, 3) == ['Revert "orange"', 'Revert "yellow"', 'Revert "white"']


def test_a_revert_of_a_revert(repo: Repository) -> None:
    made = change(repo, A, boxed(1), "Draw a box")
    after = head_of(repo).snapshot_id
    change(repo, B, with_color("green"))
    reverted = revert(repo, made.hex()).commit
    assert head_of(repo).message == f'Revert "Draw a box"\n\nThis reverts commit {made.hex()}.'
    assert not repo.staged()[A].regions
    assert reverted is not None
    revert(repo, "HEAD")
    assert head_of(repo).message == (
        f'Reapply "Draw a box"\n\nThis reverts commit {reverted.hex()}.'
    )
    revert(repo, f"{made.hex()}..HEAD~2")
    assert head_of(repo).snapshot_id == after


def test_files_follow(repo: Repository) -> None:
    with on_branch(repo, "other"):
        place(repo, "new/5.jpg", 4)
        (repo.tree() / A).unlink()
        (repo.tree() / B).rename(repo.tree() / "hat/renamed.jpg")
        (repo.tree() / "README.md").write_text("longer\n")
        save(repo, "files")
    change(repo, B, with_color("green"))
    before = files_of(repo.tree())
    cherry_pick(repo, "other")
    after = files_of(repo.tree())
    assert sorted(after) == ["README.md", "hat/renamed.jpg", "new/5.jpg", C, D]
    assert after["new/5.jpg"] == PHOTOS[4].read_bytes()
    assert after["README.md"] == b"longer\n"
    assert colors(repo, "hat/renamed.jpg") == ["green"]
    revert(repo, "HEAD")
    assert files_of(repo.tree()) == before


def test_a_label_goes_where_the_sample_went(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
    rename(repo, A, "caps/1.jpg")
    cherry_pick(repo, "other")
    assert colors(repo, "caps/1.jpg") == ["blue"]
    assert A not in repo.staged()


def test_without_commit_all_is_left_staged(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
        place(repo, "new/5.jpg", 4)
        save(repo, "one more")
    head = repo.head
    done = cherry_pick(repo, "main..other", commit=False)
    assert (done.result, results(done), repo.head) == ("staged", ["staged"] * 2, head)
    assert running_merge(repo.store) is None
    assert (repo.tree() / "new/5.jpg").exists()
    assert commit(repo, "both").counts["added"] == 1
    assert colors(repo, A) == ["blue"]


def test_merge_squash(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
    change(repo, B, with_color("green"))
    assert merge(repo, "other", squash=True).result == "staged"
    assert running_merge(repo.store) is None
    commit(repo, "squashed")
    assert (len(head_of(repo).parents), colors(repo, A, B)) == (1, ["blue", "green"])


# -- merges and first commits ---------------------------------------------------------------------


@pytest.fixture
def merged(repo: Repository) -> Repository:
    """`main` is a merge of two lines: A is green on the first, B is blue on the second."""
    with on_branch(repo, "other"):
        change(repo, B, with_color("blue"))
    change(repo, A, with_color("green"))
    merge(repo, "other")
    return repo


def test_a_merge_is_reverted_as_seen_from_a_parent(merged: Repository) -> None:
    repo, made = merged, merged.head.commit
    assert made is not None
    with pytest.raises(StateError, match=r"is a merge: of which parent"):
        revert(repo, "HEAD")
    with pytest.raises(StateError, match="has 2 parents, and no parent 3"):
        revert(repo, "HEAD", mainline=3)
    with pytest.raises(StateError, match="is no merge, so -m has no use"):
        revert(repo, "HEAD^1", mainline=1)
    revert(repo, "HEAD", mainline=1)
    assert colors(repo, A, B) == ["green", "red"]
    first = read_commit(repo.store, made).parent_ids[0]
    assert head_of(repo).message.endswith(
        f"This reverts commit {made.hex()}, reversing\nchanges made to {first.hex()}."
    )
    reset(repo, made, "hard")
    revert(repo, "HEAD", mainline=2)
    assert colors(repo, A, B) == ["red", "blue"]


def test_a_merge_is_picked_as_seen_from_a_parent(merged: Repository) -> None:
    with on_branch(merged, "third", "main~2"):
        cherry_pick(merged, "main", mainline=1)
        assert colors(merged, A, B) == ["red", "blue"]


def test_the_first_commit(repo: Repository) -> None:
    with pytest.raises(StateError, match="is the first commit: there is nothing to go back to"):
        revert(repo, "HEAD~1")
    assert cherry_pick(repo, "HEAD~1").result == "up-to-date"


# -- rebase ---------------------------------------------------------------------------------------


@pytest.fixture
def apart(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """`other` (by Bob, checked out) and `main` have three commits each that go together."""
    with on_branch(repo, "other"):
        set_author(monkeypatch, "Bob", "2026-01-05T00:00:00Z", repo=repo)
        change(repo, A, with_color("blue"))
        change(repo, B, boxed(1))
        place(repo, "new/5.jpg", 4)
        save(repo, "one more")
    set_author(monkeypatch, "Ann", "2026-01-06T00:00:00Z", repo=repo)
    rename(repo, A, "caps/1.jpg")
    change(repo, B, boxed(2, 200))
    (repo.tree() / D).unlink()
    save(repo, "one less")
    switch(repo, find_branch(repo, "other"))
    return repo


def test_a_rebase_makes_what_a_merge_makes(apart: Repository) -> None:
    repo = apart
    create(repo, "copy", repo.resolve("other"))
    done = rebase(repo, "main")
    assert (done.result, results(done)) == ("replayed", ["merged"] * 3)
    assert repo.head == Head("other", done.commit)
    assert log(repo, 4) == ["one more", f"change {B}", f"change {A}", "one less"]
    assert {read_commit(repo.store, repo.resolve(f"HEAD~{n}")).author for n in range(3)} == {
        "Bob <bob@example.org>"
    }
    rebased = head_of(repo)
    files = files_of(repo.tree())
    assert {"caps/1.jpg", "new/5.jpg"} < set(files) and D not in files
    switch(repo, find_branch(repo, "copy"))
    merge(repo, "main")
    assert head_of(repo).snapshot_id == rebased.snapshot_id
    assert files_of(repo.tree()) == files


def test_one_rebase_is_one_operation(apart: Repository) -> None:
    repo = apart
    before = state(repo)
    rebase(repo, "main")
    after = state(repo)
    assert [undo(repo)[0].kind, state(repo)] == ["rebase", before]
    assert rebase(repo, "main").result == "replayed"
    assert state(repo) == after  # the same commits: author, time and committer are the same


def test_where_there_is_nothing_to_replay(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
        assert rebase(repo, "main").result == "up-to-date"
        seq = repo.store.last_seq()
        assert rebase(repo, "main~1").result == "up-to-date"
        assert repo.store.last_seq() == seq
    assert rebase(repo, "other").result == "fast-forward"
    assert colors(repo, A) == ["blue"]


def test_rebase_onto_and_of_another_branch(apart: Repository) -> None:
    repo = apart
    main = repo.resolve("main")
    switch(repo, find_branch(repo, "main"))
    rebase(repo, "other~1", "other", onto="main")
    assert repo.head.branch == "other"
    assert log(repo, 2) == ["one more", "one less"]
    assert repo.resolve("main") == main
    rebase(repo, "main", "HEAD", onto="main~1")
    assert repo.head.detached
    assert log(repo, 2) == ["one more", f"change {B}"]


def test_merges_are_left_out(merged: Repository) -> None:
    repo = merged
    with on_branch(repo, "up", "main~2"):
        change(repo, C, with_color("white"))
    snapshot = head_of(repo).snapshot_id
    assert results(rebase(repo, "up")) == ["merged"] * 2
    assert colors(repo, A, B, C) == ["green", "blue", "white"]
    assert [len(read_commit(repo.store, repo.resolve(f"HEAD~{n}")).parents) for n in (0, 1)] == [
        1,
        1,
    ]
    assert head_of(repo).snapshot_id != snapshot


def test_criss_cross(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
    change(repo, B, with_color("green"))
    ours = repo.resolve("main")
    merge(repo, "other")
    with on_branch(repo, "other"):
        merge(repo, ours.hex())
        change(repo, C, with_color("white"))
        change(repo, A, boxed(1))
        both = head_of(repo)
    change(repo, D, with_color("black"))
    switch(repo, find_branch(repo, "other"))
    assert results(rebase(repo, "main")) == ["merged"] * 2
    assert colors(repo, *KEYS) == ["blue", "green", "white", "black"]
    assert repo.staged()[A].regions
    revert(repo, "main")
    assert head_of(repo).snapshot_id == both.snapshot_id


def test_what_is_there_already_is_left_out(repo: Repository) -> None:
    with on_branch(repo, "other"):
        change(repo, A, with_color("blue"))
        change(repo, B, with_color("blue"))
    change(repo, C, with_color("white"))
    cherry_pick(repo, "other~1")
    change(repo, A, with_color("pink"))  # what was taken over was changed again
    switch(repo, find_branch(repo, "other"))
    assert results(rebase(repo, "main")) == ["up-to-date", "merged"]
    assert colors(repo, A, B) == ["pink", "blue"]


def test_an_empty_commit_stays_and_one_that_became_empty_goes(repo: Repository) -> None:
    with on_branch(repo, "other"):
        commit(repo, "A mark", allow_empty=True)
        change(repo, A, with_color("blue"))
    change(repo, A, with_color("blue"), "Blue too")
    switch(repo, find_branch(repo, "other"))
    assert sorted(results(rebase(repo, "main"))) == ["merged", "up-to-date"]
    assert log(repo, 2) == ["A mark", "Blue too"]


# -- conflicts ------------------------------------------------------------------------------------


@pytest.fixture
def clash(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """`other` (by Bob) says of A, B and C that they are blue; on `main` B is green."""
    with on_branch(repo, "other"):
        set_author(monkeypatch, "Bob", "2026-01-05T00:00:00Z", repo=repo)
        for key in (A, B, C):
            change(repo, key, with_color("blue"))
        place(repo, "new/5.jpg", 4)
        save(repo, "one more")
    set_author(monkeypatch, "Ann", "2026-01-06T00:00:00Z", repo=repo)
    change(repo, B, with_color("green"))
    return repo


def resolve_pink(repo: Repository) -> None:
    settle(repo, B, with_color("pink"))


def test_a_pick_stops_and_goes_on(clash: Repository) -> None:
    repo = clash
    done = cherry_pick(repo, "main..other")
    assert (done.result, results(done), done.left) == ("conflicts", ["merged", "conflicts"], 2)
    assert repo.head == Head("main", done.commit)
    assert log(repo, 2) == [f"change {A}", f"change {B}"]
    with pytest.raises(StateError, match="not resolved"):
        proceed(repo, "cherry-pick")
    resolve_pink(repo)
    done = proceed(repo, "cherry-pick")
    assert (done.result, results(done)) == ("replayed", ["merged"] * 3)
    assert [step.source for step in done.steps] == [
        repo.resolve(name) for name in ("other~2", "other~1", "other")
    ]
    assert colors(repo, *KEYS) == ["blue", "pink", "blue", "red"]
    picked = read_commit(repo.store, repo.resolve("HEAD~2"))
    assert (picked.author, picked.committer) == ("Bob <bob@example.org>", "Ann <ann@example.org>")
    assert (picked.time, picked.message) == (
        read_commit(repo.store, repo.resolve("other~2")).time,
        f"change {B}",
    )
    assert running_merge(repo.store) is None


def test_a_commit_in_the_middle(clash: Repository) -> None:
    repo = clash
    cherry_pick(repo, "main..other")
    resolve_pink(repo)
    commit(repo, "")
    assert head_of(repo).author == "Bob <bob@example.org>"
    commit_more = change_staged(repo)
    assert head_of(repo).author == "Ann <ann@example.org>"
    with pytest.raises(StateError, match="a cherry-pick is not finished"):
        switch(repo, find_branch(repo, "other"))
    assert results(proceed(repo, "cherry-pick")) == ["merged"] * 2
    assert log(repo, 4)[2:] == [commit_more, f"change {B}"]


def change_staged(repo: Repository) -> str:
    """A commit of one's own between the steps."""
    settle(repo, D, with_color("black"))
    with pytest.raises(UsageError, match="the message is empty"):
        commit(repo, "")
    commit(repo, "my own")
    return "my own"


@pytest.mark.parametrize("kind", ["cherry-pick", "rebase"])
def test_giving_up_leaves_all_as_it_was(clash: Repository, kind: Any) -> None:
    repo = clash
    if kind == "rebase":
        switch(repo, find_branch(repo, "other"))
    before = state(repo)
    assert begin(repo, kind).result == "conflicts"
    abort(repo, kind)
    assert state(repo) == before
    begin(repo, kind)
    resolve_pink(repo)
    commit(repo, "")
    abort(repo, kind)
    assert state(repo) == before


def begin(repo: Repository, kind: str) -> Replayed:
    return rebase(repo, "main") if kind == "rebase" else cherry_pick(repo, "main..other")


def test_a_rebase_stops_on_no_branch_and_goes_on(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    old = repo.head.commit
    done = rebase(repo, "main")
    assert (done.result, done.left, repo.head) == ("conflicts", 2, Head(None, done.commit))
    assert repo.resolve("other") == old
    resolve_pink(repo)
    done = proceed(repo, "rebase")
    assert repo.head == Head("other", done.commit)
    assert log(repo, 5) == ["one more", *(f"change {key}" for key in (C, B, A, B))]
    assert colors(repo, *KEYS) == ["blue", "pink", "blue", "red"]
    assert (repo.tree() / "new/5.jpg").exists()


def test_a_step_is_skipped(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    rebase(repo, "main")
    assert results(skip(repo, "rebase")) == ["merged"] * 2
    assert colors(repo, A, B, C) == ["blue", "green", "blue"]
    assert repo.head.branch == "other"


def test_resolving_to_what_is_there_makes_no_commit(clash: Repository) -> None:
    repo = clash
    cherry_pick(repo, "other~2")
    settle(repo, B, with_color("green"))
    assert proceed(repo, "cherry-pick").steps == []
    assert (running_merge(repo.store), log(repo, 1)) == (None, [f"change {B}"])
    assert len(log(repo)) == 3


def test_conflicts_may_be_recorded_on_the_way(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    rebase(repo, "main")
    commit(repo, "", allow_conflicts=True)
    assert results(proceed(repo, "rebase")) == ["merged"] * 2
    assert count_conflicts(repo.dataset_of(repo.head.commit)) == 1
    with on_branch(repo, "up", "main"):
        change(repo, D, with_color("black"))
    # What a branch has on record goes with it.
    assert results(rebase(repo, "up")) == ["merged"] * 4
    assert count_conflicts(repo.dataset_of(repo.head.commit)) == 1
    change(repo, B, with_color("white"))
    assert count_conflicts(repo.dataset_of(repo.head.commit)) == 0


def test_a_revert_that_stops(clash: Repository) -> None:
    repo = clash
    made = change(repo, C, with_color("pink"), "Pink")
    change(repo, C, with_color("white"))
    before = state(repo)
    assert revert(repo, made.hex()).result == "conflicts"
    abort(repo, "revert")
    assert state(repo) == before
    revert(repo, made.hex())
    settle(repo, C, with_color("red"))
    proceed(repo, "revert")
    assert head_of(repo).author == "Ann <ann@example.org>"
    assert log(repo, 1) == ['Revert "Pink"']


def test_a_stop_without_commit(clash: Repository) -> None:
    repo = clash
    head = repo.head
    done = cherry_pick(repo, "main..other", commit=False)
    assert (results(done), repo.head) == (["staged", "conflicts"], head)
    with pytest.raises(StateError, match="no single step can be given up"):
        skip(repo, "cherry-pick")
    with pytest.raises(StateError, match="refuses a version with conflicts"):
        proceed(repo, "cherry-pick")
    resolve_pink(repo)
    assert proceed(repo, "cherry-pick").result == "staged"
    assert repo.head == head
    commit(repo, "all of it")
    assert colors(repo, *KEYS) == ["blue", "pink", "blue", "red"]
    assert (repo.tree() / "new/5.jpg").exists()


def test_every_operation_is_undone(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    states = [state(repo)]
    rebase(repo, "main")
    states.append(state(repo))
    resolve_pink(repo)
    states.append(state(repo))
    commit(repo, "")
    states.append(state(repo))
    proceed(repo, "rebase")
    states.append(state(repo))
    revert(repo, "HEAD")
    for kind in ("revert", "rebase", "commit", "stage", "rebase"):
        assert undo(repo)[0].kind == kind
        assert state(repo) == states.pop()


def test_undo_of_giving_up_and_of_skipping(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    rebase(repo, "main")
    waiting = state(repo)
    abort(repo, "rebase")
    assert undo(repo)[0].kind == "rebase-abort"
    assert state(repo) == waiting
    skip(repo, "rebase")
    undo(repo)
    assert state(repo) == waiting
    resolve_pink(repo)
    proceed(repo, "rebase")
    assert colors(repo, *KEYS) == ["blue", "pink", "blue", "red"]


def test_reset_gives_up_the_step_and_not_the_rest(clash: Repository) -> None:
    repo = clash
    cherry_pick(repo, "main..other")
    reset(repo, repo.head.commit, "hard")
    assert results(proceed(repo, "cherry-pick")) == ["merged"] * 2
    assert colors(repo, A, B, C) == ["blue", "green", "blue"]


def test_gc_keeps_what_is_to_be_replayed(clash: Repository) -> None:
    repo = clash
    cherry_pick(repo, "main..other")
    tip = repo.resolve("other")
    with repo.transaction("test") as txn:
        from voyager.store.refs import HEADS, move_ref

        move_ref(txn, f"{HEADS}other", None, old=tip)
        txn.commit()
    collect(repo.store, expire_ms=0, now_ms=repo.config.now()[0] + 1, author="Ann <a@b>")
    resolve_pink(repo)
    assert results(proceed(repo, "cherry-pick")) == ["merged"] * 3


def test_a_branch_that_was_moved_meanwhile(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    rebase(repo, "main")
    create(repo, "other", repo.resolve("other~1"), force=True)
    resolve_pink(repo)
    with pytest.raises(StateError, match="branch 'other' was moved since"):
        proceed(repo, "rebase")
    assert repo.head.detached


def test_giving_up_brings_a_deleted_branch_back(clash: Repository) -> None:
    repo = clash
    switch(repo, find_branch(repo, "other"))
    before = state(repo)
    rebase(repo, "main")
    delete(repo, ["other"], force=True)
    abort(repo, "rebase")
    assert state(repo) == before


# -- a part of a commit ---------------------------------------------------------------------------


@pytest.fixture
def mixed(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """`other` has one commit by Bob with changes of all kinds, in names of several people."""
    with on_branch(repo, "other"):
        set_author(monkeypatch, "Bob", repo=repo)
        with repo.edit("All kinds") as edit:
            vocabulary = edit.vocabulary
            vocabulary.define("category")
            dog = vocabulary.mint_path("category", "animal/dog")
            car = vocabulary.mint_path("category", "car")
            sample = with_color("blue")(edit[A].replace(split="train"))
            sample = labeled("note", "mine", "human:alice")(sample)
            sample = boxed(1, 10, Label(task="category", node=dog))(sample)
            edit[A] = boxed(2, 200, Label(task="category", node=car))(sample)
            edit[B] = labeled("note", "hers", "human:alice")(edit[B])
            edit["copy.jpg"] = with_color("blue")(edit[C].replace(uid=bytes(16)))
            del edit[D]
    set_author(monkeypatch, "Ann", repo=repo)
    return repo


def take(repo: Repository, *only: str, by: str | None = None) -> Any:
    cherry_pick(repo, "other", only=parse_only(only, by))
    return repo.staged()


def test_only_a_task(mixed: Repository) -> None:
    version = take(mixed, "task=color")
    assert colors(mixed, A, B) == ["blue", "red"]
    assert (version[A].split, version[A].regions, len(version[A].labels)) == (None, (), 1)
    assert D in version and "copy.jpg" not in version
    assert "category" not in version.vocabulary.tasks
    assert head_of(mixed).author == "Bob <bob@example.org>"


def test_only_a_task_of_regions(mixed: Repository) -> None:
    version = take(mixed, "task=category")
    assert [region.id[0] for region in version[A].regions] == [1, 2]
    assert colors(mixed, A) == ["red"]
    assert version.vocabulary.taxonomies["category"].find("car") is not None


def test_only_a_class(mixed: Repository) -> None:
    version = take(mixed, "class=animal")
    assert [region.id[0] for region in version[A].regions] == [1]
    assert colors(mixed, A) == ["red"]
    taxonomy = version.vocabulary.taxonomies["category"]
    assert taxonomy.find("animal/dog") == version[A].regions[0].labels[0].node
    assert taxonomy.find("car") is None


def test_only_what_somebody_said(mixed: Repository) -> None:
    version = take(mixed, by="alice")
    notes = [[one.value for one in version[key].labels if one.task == "note"] for key in (A, B)]
    assert (notes, colors(mixed, A), version[A].regions) == ([["mine"], ["hers"]], ["red"], ())


@pytest.mark.parametrize("who", ["bob", "Bob", "bob@example.org", "Bob <bob@example.org>"])
def test_all_that_an_author_did(mixed: Repository, who: str) -> None:
    version = take(mixed, by=who)
    assert (version[A].split, D in version, "copy.jpg" in version) == ("train", False, True)


def test_a_class_by_somebody(mixed: Repository) -> None:
    with pytest.raises(NotFoundError, match="nothing in these commits is of class car by alice"):
        take(mixed, "class=car", by="alice")
    assert running_merge(mixed.store) is None


def test_a_part_of_a_relabel_and_of_a_rename(repo: Repository) -> None:
    change(repo, A, boxed(1, 10, Label(task="kind", value="cat"), Label(task="size", value="big")))
    new = [Label(task="kind", value="dog"), Label(task="size", value="small")]
    with on_branch(repo, "other"), repo.edit("Renamed and changed") as edit:
        edit["other.jpg"] = boxed(1, 99, *new)(edit[A])
        del edit[A]
    cherry_pick(repo, "other", only=parse_only(["task=kind"]))
    region = repo.staged()[A].regions[0]
    assert [label.value for label in region.labels] == ["dog", "big"]
    assert region.geometry.x0 == 10


@pytest.mark.parametrize(
    ("only", "error", "message", "hint"),
    [
        ("tsk=color", UsageError, "'tsk=color' is neither", "--only task=color"),
        ("task=", UsageError, "'task=' is neither", "--only task=NAME"),
        ("task=colour", NotFoundError, "nothing in these commits is of task colour", "task=color"),
        ("class=anymal", NotFoundError, "no taxonomy or class 'anymal'", "animal"),
    ],
)
def test_choices_that_are_none(
    mixed: Repository, only: str, error: type[VoyagerError], message: str, hint: str
) -> None:
    with mixed.edit("define") as edit:
        edit.vocabulary.define("color", kind="text")
    before = state(mixed)
    with pytest.raises(error, match=message) as caught:
        take(mixed, only)
    assert hint in (caught.value.hint or "")
    assert state(mixed) == before


# -- the guard ------------------------------------------------------------------------------------


@pytest.fixture
def leaking(repo: Repository) -> Repository:
    """`main` tests with A; `other` has a copy of it in train, and `joined` merges the two."""
    with on_branch(repo, "other"):
        place(repo, "copy.jpg", 0)
        save(repo, "a copy")
        change(repo, "copy.jpg", lambda sample: sample.replace(split="train"), "to train")
    change(repo, A, lambda sample: sample.replace(split="test"), "to test")
    with on_branch(repo, "joined"):
        merge(repo, "other")
    return repo


def test_decisions_are_applied_when_a_merge_is_picked(leaking: Repository) -> None:
    repo = leaking
    (decided,) = decisions_of(repo.store, read_commit(repo.store, repo.resolve("joined")))
    assert (decided.key, decided.action) == ("copy.jpg", "drop")
    switch(repo, find_branch(repo, "other"))
    assert cherry_pick(repo, "joined", mainline=2).result == "replayed"
    assert "copy.jpg" not in repo.staged()
    assert decisions_of(repo.store, head_of(repo)) == [decided]


def test_a_merge_that_is_left_out_does_not_leak(leaking: Repository) -> None:
    repo = leaking
    with on_branch(repo, "up", "main~1"):  # where A is not a test image yet
        change(repo, B, with_color("green"))
    switch(repo, find_branch(repo, "joined"))
    rebase(repo, "up")
    assert repo.staged()[A].split == "test"
    assert "copy.jpg" not in repo.staged() or repo.staged()["copy.jpg"].held is not None


def test_a_copy_that_only_the_new_place_makes(leaking: Repository) -> None:
    repo = leaking
    switch(repo, find_branch(repo, "other"))
    done = rebase(repo, "main")
    assert "copy.jpg" not in repo.staged()
    decided = [one for step in done.steps for one in step.merged.guard.decisions]
    assert {(one.key, one.action) for one in decided} == {("copy.jpg", "drop")}


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (cherry_pick, UsageError, "vgr cherry-pick wants a commit"),
        (lambda repo: cherry_pick(repo, "nope"), NotFoundError, "unknown revision 'nope'"),
        (lambda repo: cherry_pick(repo, "main..main"), UsageError, "no commit is in main..main"),
        (lambda repo: revert(repo, "nope"), NotFoundError, "unknown revision 'nope'"),
        (lambda repo: rebase(repo, "nope"), NotFoundError, "unknown revision 'nope'"),
        (lambda repo: rebase(repo, "main", "nope"), NotFoundError, "unknown revision 'nope'"),
        (lambda repo: proceed(repo, "rebase"), StateError, "no rebase is in progress"),
        (lambda repo: skip(repo, "revert"), StateError, "no revert is in progress"),
        (lambda repo: abort(repo, "cherry-pick"), StateError, "no cherry-pick is in progress"),
    ],
)
def test_bad_input(
    repo: Repository,
    act: Callable[[Repository], object],
    error: type[VoyagerError],
    message: str,
) -> None:
    before = state(repo)
    with pytest.raises(error, match=message) as caught:
        act(repo)
    assert caught.value.hint is not None
    assert state(repo) == before


def test_nothing_in_common(repo: Repository, tmp_path: Path) -> None:
    with repo.transaction("test") as txn:
        from voyager.store.history import write_commit
        from voyager.store.refs import HEADS, move_ref

        head = head_of(repo)
        made = write_commit(
            txn,
            snapshot=head.snapshot_id,
            parents=[],
            author=head.author,
            message="alone",
            time=head.time,
            zone=0,
        )
        move_ref(txn, f"{HEADS}alone", made, old=None)
        txn.commit()
    with pytest.raises(StateError, match="'alone' and HEAD have no commit in common"):
        rebase(repo, "alone")


@pytest.mark.parametrize("verb", [cherry_pick, revert, rebase])
def test_staged_changes_are_in_the_way(clash: Repository, verb: Callable[..., Any]) -> None:
    settle(clash, D, with_color("black"))
    before = state(clash)
    with pytest.raises(StateError, match="staged changes would be mixed"):
        verb(clash, "other")
    assert state(clash) == before


def test_an_edited_file_in_the_way(repo: Repository) -> None:
    with on_branch(repo, "other"):
        (repo.tree() / "README.md").write_text("theirs\n")
        save(repo, "longer")
    (repo.tree() / "README.md").write_text("mine\n")
    before = state(repo)
    with pytest.raises(StateError, match=r"README\.md"):
        cherry_pick(repo, "other")
    assert state(repo) == before


def test_one_thing_at_a_time(clash: Repository) -> None:
    repo = clash
    cherry_pick(repo, "main..other")
    before = state(repo)
    for verb in (cherry_pick, revert, rebase, merge):
        with pytest.raises(StateError, match="a cherry-pick is not finished") as caught:
            verb(repo, "other")
        assert caught.value.hint == "vgr cherry-pick --continue, or vgr cherry-pick --abort"
    with pytest.raises(StateError, match="it is a cherry-pick that waits, and no rebase") as caught:
        proceed(repo, "rebase")
    assert caught.value.hint == "vgr cherry-pick --continue"
    for end in (abort_merge, proceed_merge):
        with pytest.raises(StateError, match="it is a cherry-pick that waits, and no merge"):
            end(repo)
    assert state(repo) == before
    resolve_pink(repo)
    commit(repo, "")
    with pytest.raises(StateError, match="no step waits: its commit is made"):
        skip(repo, "cherry-pick")
    settle(repo, D, with_color("black"))
    with pytest.raises(StateError, match="staged changes would be mixed"):
        proceed(repo, "cherry-pick")
