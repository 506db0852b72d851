"""Runs at remotes: pushed, fetched, cloned, joined and deleted as what they are pinned to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import METRICS, make_run
from published import assert_whole, save
from remote_content import reached, root_of

import voyager
from voyager.errors import CorruptError, InvalidDataError, NotFoundError, RefMoved, UsageError
from voyager.remotes.checking import check_remote
from voyager.remotes.cloning import clone
from voyager.remotes.collecting import collect_remote
from voyager.remotes.config import Remote, set_remote
from voyager.remotes.fetching import fetch
from voyager.remotes.push import push
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create
from voyager.repo.predictions import iter_predictions, put_predictions
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.repo.undo import undo
from voyager.schema import Image, Label, Sample
from voyager.store.fsck import check
from voyager.store.gc import collect
from voyager.store.history import RunObject
from voyager.store.ids import Kind
from voyager.store.refs import PREDICTIONS, RUNS, Head, iter_refs, move_ref, read_ref
from voyager.train.record import WEIGHTS, drop_run, find_run, iter_runs, note_metrics, put_run
from voyager.wire import encode, object_ref


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = f"runs-{abs(hash(request.node.name))}"
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Repository]:
    """Somebody's repository: two commits on main, one beside it, and a run on each."""
    with Repository.init(tmp_path / "there") as repo:
        save(repo, "hats", {f"hat/{n}.jpg": n for n in range(3)})
        old = make_run(repo, "old")
        save(repo, "shoes", {f"shoes/{n}.jpg": 10 + n for n in range(3)})
        uid = repo.at("HEAD")["hat/0.jpg"].uid
        said = Sample(uid=uid, image=Image(), labels=(Label(task="note", value="hat"),))
        with repo.transaction("predict", "new") as txn:
            predictions = put_predictions(txn, repo, "new", [said], "What new says")
            txn.commit()
        make_run(repo, "new", start=old, predictions=predictions, weights=b"other numbers")
        create(repo, "aside", repo.resolve("HEAD"))
        switch(repo, Head("aside", repo.resolve("aside")))
        save(repo, "more", {"more/1.jpg": 20})
        make_run(repo, "aside")
        switch(repo, Head("main", repo.resolve("main")))
        yield repo


@pytest.fixture
def here(tmp_path: Path, storage: MemoryStorage) -> Iterator[Repository]:
    with Repository.init(tmp_path / "here") as repo:
        set_remote(repo, Remote("origin", storage.url))
        yield repo


def origin(storage: MemoryStorage) -> Remote:
    return Remote("origin", storage.url)


def names(repo: Repository) -> set[str]:
    return {run.record.name for run in iter_runs(repo)}


def runs_there(storage: MemoryStorage) -> set[str]:
    return {name for name in root_of(storage).refs if name.startswith(RUNS)}


# -- pushing ---------------------------------------------------------------------------------------


def test_runs_of_pushed_commits_go_with_all_that_they_need(
    there: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    old, new = find_run(there, "old"), find_run(there, "new")
    assert runs_there(storage) == {RUNS + old.id, RUNS + new.id}
    whole = reached(storage)
    assert {old.object, new.object, new.predictions, *old.files.values()} <= whole
    assert set(new.files.values()) <= whole
    assert check_remote(there, storage).ok


def test_without_runs_none_goes(there: Repository, storage: MemoryStorage) -> None:
    push(there, storage, ["main"])
    assert runs_there(storage) == set()
    done = push(there, storage, ["main"], runs=True)
    assert [ref.name.startswith(RUNS) for ref in done.refs] == [True, True]
    assert not push(there, storage, ["main"], runs=True).refs


@pytest.mark.parametrize("spec", ["refs/runs/{}", "runs/{}", "runs:{}"])
def test_a_run_is_named_and_takes_its_commit_along(
    there: Repository, storage: MemoryStorage, spec: str
) -> None:
    new = find_run(there, "new")
    push(there, storage, [spec.format(new.id)])
    assert runs_there(storage) == {RUNS + new.id}
    assert {new.commit, new.start} <= reached(storage)  # the run that it started from
    assert check_remote(there, storage).ok
    push(there, storage, [spec.format(new.id)], delete=True)
    assert runs_there(storage) == set()
    with pytest.raises(NotFoundError, match="has no ref"):
        push(there, storage, [spec.format(new.id)], delete=True)


def test_a_beginning_names_a_run_and_a_branch_comes_first(
    there: Repository, storage: MemoryStorage
) -> None:
    new = find_run(there, "new")
    push(there, storage, [f"runs/{new.id[:4]}"])
    assert runs_there(storage) == {RUNS + new.id}
    create(there, f"runs/{new.id[:4]}", there.resolve("HEAD"))
    done = push(there, storage, [f"runs/{new.id[:4]}"])
    assert [ref.name for ref in done.refs] == [f"refs/heads/runs/{new.id[:4]}"]


def test_a_branch_is_no_run_and_a_run_no_branch(there: Repository, storage: MemoryStorage) -> None:
    new = find_run(there, "new")
    with pytest.raises(UsageError, match="would be a commit, not a run"):
        push(there, storage, ["main:refs/runs/abc"])
    with pytest.raises(UsageError, match="would be a run, not a commit"):
        push(there, storage, [f"refs/runs/{new.id}:refs/heads/run"])


def test_weights_that_are_there_are_not_sent_again(
    there: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    run = find_run(there, "new")
    note_metrics(there, run, "test", {"category": {"accuracy": 0.5}})
    done = push(there, storage, [f"runs/{run.id}"])
    assert (done.blobs, done.objects) == (0, 1)
    assert [ref.forced for ref in done.refs] == [False]


# -- fetching and cloning --------------------------------------------------------------------------


def test_a_fetch_brings_runs_of_all_branches(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, every_branch=True, runs=True)
    done = fetch(here, origin(storage))
    assert names(here) == {"old", "new", "aside"}
    assert sum(move.name.startswith(RUNS) for move in done.refs) == 3
    for run in iter_runs(here):
        assert run.record == find_run(there, run.id).record
        for blob in run.files.values():
            assert here.store.get_blob(blob) == there.store.get_blob(blob)
    assert_whole(here)
    again = fetch(here, origin(storage))
    assert (again.refs, again.requests) == ([], 1)


def test_runs_can_be_left(there: Repository, here: Repository, storage: MemoryStorage) -> None:
    push(there, storage, every_branch=True, runs=True)
    fetch(here, origin(storage), runs=False)
    assert names(here) == set()
    fetch(here, origin(storage), refs=["runs/" + find_run(there, "old").id], runs=False)
    assert names(here) == {"old"}


def test_runs_follow_the_commits_of_a_named_branch(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, every_branch=True)
    fetch(here, origin(storage), refs=["main"])
    assert names(here) == set()
    push(there, storage, every_branch=True, runs=True)
    fetch(here, origin(storage), refs=["main"])  # its commits are here already
    assert names(here) == {"old", "new"}
    assert_whole(here)


def test_what_is_said_here_and_there_is_joined(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    fetch(here, origin(storage))
    mine, theirs = find_run(here, "new"), find_run(there, "new")
    noted = note_metrics(here, mine, "test@here", {"category": {"accuracy": 0.6}})
    with here.transaction("eval", mine.id) as txn:
        put_run(txn, noted.record, {"a": txn.put_blob(b"a page")}, old=noted)
        txn.commit()
    note_metrics(there, theirs, "test@there", {"category": {"accuracy": 0.5}})
    push(there, storage, ["main"], runs=True)
    with pytest.raises(RefMoved, match="says what is not said of it here"):
        push(here, storage, [f"runs/{mine.id}"])
    done = fetch(here, origin(storage))
    assert [move.name for move in done.refs] == [RUNS + mine.id]
    both = find_run(here, "new")
    assert set(both.record.metrics) == {*METRICS, "test@here", "test@there"}
    assert {"a", WEIGHTS} <= set(both.files)
    push(here, storage, [f"runs/{mine.id}"])
    assert fetch(here, origin(storage)).refs == []
    fetch(there, origin(storage))
    assert find_run(there, "new").record == both.record
    assert_whole(here)


def test_a_run_that_is_behind_is_no_obstacle(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    fetch(here, origin(storage))
    note_metrics(here, find_run(here, "new"), "test", {"category": {"accuracy": 0.6}})
    assert fetch(here, origin(storage)).refs == []  # what is here says all that is there
    push(here, storage, ["runs/" + find_run(here, "new").id])
    fetch(there, origin(storage))
    undo(there)
    assert "test" not in find_run(there, "new").record.metrics
    assert push(there, storage, ["main"], runs=True).refs == []  # what is there says more


def test_another_run_of_the_same_id_stays(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    save(here, "mine", {"a.jpg": 30})
    mine = make_run(here, "new", weights=b"mine")
    done = fetch(here, origin(storage))
    assert done.kept == [f"runs/{mine.id}"]
    assert find_run(here, mine.id).object == mine.object
    assert "old" in names(here)


def test_a_shallow_clone_has_the_runs_of_its_commits(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    push(there, storage, ["main"], runs=True)
    clone(storage.url, tmp_path / "mine", depth=1)
    with Repository.open(tmp_path / "mine") as mine:
        assert names(mine) == {"new"}  # and of its parent what it has been trained from
        start = find_run(mine, "new").start
        assert start == find_run(there, "old").object
        assert start in mine.store
        assert_whole(mine)
        collect(mine.store, expire_ms=0, now_ms=2**45, author="Ann", prune_all=True)
        assert_whole(mine)


def test_a_lazy_clone_brings_weights_when_they_are_asked_for(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    push(there, storage, ["main"], runs=True)
    clone(storage.url, tmp_path / "mine", lazy=True)
    with voyager.open(tmp_path / "mine") as mine:
        run = find_run(mine, "new")
        assert mine.store.place(run.files[WEIGHTS]) is None
        found = b"".join(mine.store.iter_blob(run.files[WEIGHTS]))
        assert found == there.store.get_blob(run.files[WEIGHTS])
        note_metrics(mine, run, "test", {"category": {"accuracy": 0.5}})
        push(mine, storage, [f"runs/{run.id}"])
    assert check_remote(there, storage).ok


# -- care ------------------------------------------------------------------------------------------


def test_gc_keeps_runs_and_drops_those_that_are_gone(
    there: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    run = find_run(there, "new")
    for repo in (there,):
        collect(repo.store, expire_ms=0, now_ms=2**45, author="Ann", prune_all=True)
        assert b"".join(repo.store.iter_blob(run.files[WEIGHTS]))
        assert_whole(repo)
    collect_remote(there, storage, grace=0)
    assert run.files[WEIGHTS] in reached(storage)
    drop_run(there, run)
    assert run.object in there.store
    undo(there)
    assert find_run(there, "new").object == run.object
    drop_run(there, run)
    collect(there.store, expire_ms=0, now_ms=2**45, author="Ann", prune_all=True)
    assert run.files[WEIGHTS] not in there.store
    push(there, storage, [f"runs/{run.id}"], delete=True)
    collect_remote(there, storage, grace=0)
    assert check_remote(there, storage).ok


def _forged(repo: Repository, **changes: object) -> bytes:
    """The object of a run that is not as the rules want it; it takes the place of `new`."""
    run = find_run(repo, "new")
    said = {
        "commit": object_ref(run.commit),
        "record": json.dumps(run.record.as_dict()),
        **changes,
    }
    with repo.transaction("forge") as txn:
        made = txn.put(Kind.RUN, encode(RunObject(**said)))  # type: ignore[arg-type]
        move_ref(txn, RUNS + run.id, made, old=run.object)
        txn.commit()
    return made


def _is_wrong(repo: Repository, what: str) -> bool:
    return any(what in str(problem) for problem in check(repo.folder).problems)


def test_fsck_names_what_is_no_run(there: Repository) -> None:
    run = find_run(there, "new")
    wrong = replace(run.record, commit="00" * 32).as_dict()
    blob = {"../evil": object_ref(run.files[WEIGHTS])}
    for changes, what in (
        ({"record": "no JSON"}, "does not decode"),
        ({"record": json.dumps(wrong)}, "says another commit"),
        ({"files": blob}, "is no blob"),
        ({"commit": object_ref(run.object)}, "says another commit"),
        ({"start": object_ref(run.commit)}, "should be a run and is not"),
        ({"predictions": object_ref(run.object)}, "should be a commit and is not"),
    ):
        _forged(there, **changes)
        assert _is_wrong(there, what), what
        undo(there)
    assert_whole(there)


def test_a_remote_cannot_bring_a_run_that_breaks_the_rules(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    made = _forged(there, record='{"commit": "00"}')
    with pytest.raises(InvalidDataError, match="says another commit"):
        push(there, storage, ["main"], runs=True)
    undo(there)
    push(there, storage, ["main"], runs=True)
    root = root_of(storage)
    run = find_run(there, "old")
    from voyager.remotes.root import ROOT, encode_root

    root.refs[RUNS + run.id] = object_ref(made)
    storage.put(ROOT, encode_root(root))
    with pytest.raises((CorruptError, InvalidDataError)):
        fetch(here, origin(storage))
    assert not iter_refs(here.store, RUNS)
    assert read_ref(here.store, "refs/remotes/origin/main") is None


# -- what runs say ---------------------------------------------------------------------------------


def test_what_a_fetched_run_says_is_a_prediction_set(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    push(there, storage, ["main"], runs=True)
    new = find_run(there, "new")
    fetch(here, origin(storage), runs=True)
    # `make_run` names sets otherwise: what counts is the commit that the run says.
    ref = PREDICTIONS + new.id
    assert read_ref(here.store, ref) == new.predictions
    assert [sample.labels[0].value for sample in iter_predictions(here, new.id)] == ["hat"]
    assert check(here.folder).ok
    # It goes forward with the run, and stays where it is ahead of it.
    with there.transaction("predict", "new") as txn:
        move_ref(txn, ref, new.predictions, old=None)
        txn.commit()
    uid = there.at("main")["hat/1.jpg"].uid
    more = Sample(uid=uid, image=Image(), labels=(Label(task="note", value="shoe"),))
    with there.transaction("predict", new.id) as txn:
        predictions = put_predictions(txn, there, new.id, [more], "More")
        txn.commit()
    note_metrics(there, new, "test", {}, predictions=predictions)
    push(there, storage, ["main"], runs=True)
    fetch(here, origin(storage), runs=True)
    assert read_ref(here.store, ref) == predictions
    assert len(list(iter_predictions(here, new.id))) == 2
