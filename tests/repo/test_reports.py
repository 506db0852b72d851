"""Reports of imports lie with the commit that took what they are of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from photo_repos import KEYS, place, save, take

from voyager.commands.commits import report_text
from voyager.formats.importing import import_labels
from voyager.formats.registry import format_named
from voyager.formats.repository import import_samples
from voyager.repo.commit import commit
from voyager.repo.import_reports import pending_reports, reports_of
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.stash import apply, find_stash
from voyager.repo.stash import push as stash
from voyager.repo.switch import reset, switch_to_new
from voyager.repo.undo import undo
from voyager.store import fsck
from voyager.store.gc import collect
from voyager.store.history import read_commit
from voyager.store.ids import Kind


def bring(repo: Repository, rows: str, name: str = "labels.csv") -> None:
    """Import a table; an image of it that is not here is a finding."""
    path = repo.tree().parent / name
    path.write_text(f"image,label\n{rows}")
    import_labels(repo, path, format_named("table"))


def told(repo: Repository) -> list[tuple[str | None, dict[str, int]]]:
    """The reports of HEAD's commit."""
    assert repo.head.commit is not None
    found = reports_of(repo.store, read_commit(repo.store, repo.head.commit))
    return [(report.name, dict(report.counts)) for report in found]


LABELS = (("labels.csv", {"extra": 1}),)


@pytest.fixture
def imported(photos_repo: Repository) -> Repository:
    """A repository with an import staged that left a finding."""
    bring(photos_repo, f"{KEYS[0]},hat\nlater/9.jpg,shoes\n")
    assert len(pending_reports(photos_repo)) == 1
    return photos_repo


def test_a_commit_names_the_report(imported: Repository) -> None:
    made = commit(imported, "labels").commit
    assert told(imported) == [*LABELS]
    assert not pending_reports(imported)
    (report,) = reports_of(imported.store, read_commit(imported.store, made))
    value = json.loads(imported.store.get(report.blob, Kind.BLOB))
    assert value["format"] == "table" and value["labels"] == 2
    assert value["report"][0]["examples"] == ["later/9.jpg"]
    place(imported, "hat/5.jpg", 5)
    save(imported, "another")
    assert told(imported) == []


def test_no_findings_no_report(photos_repo: Repository) -> None:
    bring(photos_repo, f"{KEYS[0]},hat\n")
    assert not pending_reports(photos_repo)
    commit(photos_repo, "labels")
    assert told(photos_repo) == []


def test_two_imports_and_an_amended_commit(imported: Repository) -> None:
    bring(imported, f"{KEYS[1]},hat\nlater/8.jpg,shoes\nlater/7.jpg,shoes\n", "more.csv")
    commit(imported, "labels")
    assert told(imported) == [*LABELS, ("more.csv", {"extra": 2})]
    bring(imported, "later/6.jpg,shoes\n", "last.csv")
    commit(imported, "", amend=True)
    assert [name for name, _ in told(imported)] == ["labels.csv", "more.csv", "last.csv"]


def test_undo_and_back(imported: Repository) -> None:
    commit(imported, "labels")
    undo(imported)
    assert len(pending_reports(imported)) == 1
    undo(imported)
    assert not pending_reports(imported)
    place(imported, "hat/5.jpg", 5)
    save(imported, "another")
    assert told(imported) == []


@pytest.mark.parametrize("mode", ["mixed", "hard"])
def test_reset_gives_it_up(imported: Repository, mode: str) -> None:
    reset(imported, imported.head.commit, mode)
    assert not pending_reports(imported)
    undo(imported)
    assert len(pending_reports(imported)) == 1


def test_soft_reset_and_switch_keep_it(imported: Repository) -> None:
    reset(imported, imported.head.commit, "soft")
    switch_to_new(imported, "other")
    assert len(pending_reports(imported)) == 1
    commit(imported, "labels")
    assert told(imported) == [*LABELS]


def test_a_forced_switch_gives_it_up(imported: Repository) -> None:
    switch_to_new(imported, "other", force=True)
    assert not pending_reports(imported)


def test_unstaging_all_gives_it_up(imported: Repository) -> None:
    restore(imported, ["later/9.jpg"], staged=True, worktree=False)
    assert len(pending_reports(imported)) == 1
    restore(imported, [""], staged=True, worktree=False)
    assert not pending_reports(imported)


def test_a_stash_keeps_it(imported: Repository) -> None:
    place(imported, KEYS[1], 7)
    stash(imported)
    assert not pending_reports(imported)
    place(imported, "hat/5.jpg", 5)
    save(imported, "another")
    assert told(imported) == []
    apply(imported, find_stash(imported), drop=True)
    commit(imported, "labels")
    assert told(imported) == [*LABELS]


def test_gc_keeps_it_and_fsck_knows_it(imported: Repository) -> None:
    for step in ("staged", "committed"):
        collect(imported.store, expire_ms=0, now_ms=1 << 45, author="Ann", prune_all=True)
        if step == "staged":
            commit(imported, "labels")
    assert told(imported) == [*LABELS]
    assert not fsck.check(imported.folder).problems


def test_samples_of_another_repository(photos_repo: Repository, tmp_path: Path) -> None:
    source = f"{tmp_path / 'other'}@main"
    with Repository.init(tmp_path / "other") as other:
        place(other, "hat/new.jpg", 9)
        place(other, "hat/newer.jpg", 10)
        take(other)
        theirs = commit(other, "theirs").commit
        import_samples(photos_repo, source, ["hat/new.jpg"])
        made = commit(photos_repo, "taken").commit
        assert told(photos_repo) == [(f"other@{theirs.hex()[:12]}", {})]
        (report,) = reports_of(photos_repo.store, read_commit(photos_repo.store, made))
        assert list(report_text([report]))[-1].endswith(f": import other@{theirs.hex()[:12]}")
        value = json.loads(photos_repo.store.get(report.blob, Kind.BLOB))
        assert (value["repository"], value["commit"]) == ("other", theirs.hex())
        assert (value["revision"], value["samples"], value["added"]) == ("main", 1, 1)
        with other.edit(message="to the test") as edit:
            edit["hat/new.jpg"] = edit["hat/new.jpg"].replace(split="test")
    with photos_repo.edit(message="here") as edit:
        edit["hat/new.jpg"] = edit["hat/new.jpg"].replace(split="val")
    import_samples(photos_repo, source)
    commit(photos_repo, "taken again")
    ((name, counts),) = told(photos_repo)
    assert name is not None and name.startswith("other@")
    assert counts == {"lost": 1}
