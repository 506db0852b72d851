"""Without a working tree paths keep their folders, and the store never swallows itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from photo_repos import PHOTOS

from voyager.errors import UsageError
from voyager.repo.add import add
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.store.gc import collect
from voyager.store.refs import Head


@pytest.fixture(autouse=True)
def author(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


def put(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PHOTOS[number], folder / name)


def test_keys_are_paths_below_the_repository(tmp_path: Path) -> None:
    put(tmp_path, "train/hat/1.jpg", "train/shoes/1.jpg")
    with Repository.init(tmp_path, worktree=False) as repo:
        add(repo, ["train/hat", "train/shoes/1.jpg"], cwd=tmp_path)
        assert list(repo.staged()) == ["train/hat/1.jpg", "train/shoes/1.jpg"]
        add(repo, ["train"], cwd=tmp_path, to="copy")
        assert "copy/hat/1.jpg" in repo.staged()


def test_a_bare_repository_is_no_source(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg")
    with Repository.init(tmp_path / "bare", bare=True) as repo:
        for path in (".", "journal", "packs"):
            with pytest.raises(UsageError, match="is the repository itself"):
                add(repo, [path], cwd=repo.folder)
        add(repo, ["."], cwd=tmp_path)
        assert list(repo.staged()) == ["a/1.jpg"]


def test_an_absolute_folder_of_keys_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "a/1.jpg")
    with (
        Repository.init(tmp_path / "r", worktree=False) as repo,
        pytest.raises(UsageError, match="absolute"),
    ):
        add(repo, [str(tmp_path / "a")], cwd=tmp_path, to="/abs")


def test_the_current_folder_outlives_a_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "top.jpg", "deep/1.jpg")
    with Repository.init(tmp_path) as repo:
        add(repo, ["top.jpg"], cwd=tmp_path)
        first = commit(repo, "without").commit
        add(repo, ["."], cwd=tmp_path)
        commit(repo, "with")
        monkeypatch.chdir(tmp_path / "deep")
        switch(repo, Head(None, first))
        assert os.listdir(tmp_path / "deep") == []
        assert Path.cwd() == tmp_path / "deep"


def test_the_newest_reflog_entry_is_the_ref_even_after_gc(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg")
    with Repository.init(tmp_path) as repo:
        add(repo, ["."], cwd=tmp_path)
        first = commit(repo, "one").commit
        with repo.transaction("branch") as txn:
            from voyager.store.refs import move_ref

            move_ref(txn, "refs/heads/old", first, old=None)
            txn.commit()
        commit(repo, "two", allow_empty=True)
        now, _ = repo.config.now()
        collect(repo.store, expire_ms=0, now_ms=now + 1, author="Ann", prune_all=True)
        switch(repo, Head("old", first))
        assert repo.resolve("HEAD@{0}") == repo.resolve("old@{0}") == first
