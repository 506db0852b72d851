"""The storages in memory and in a folder pass the suite; what else a folder has to stand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from voyager.errors import RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.registry import open_storage
from voyager.remotes.retrying import Retrying
from voyager.remotes.storages.file import FileStorage
from voyager.remotes.storages.memory import MemoryStorage


class TestMemory(StorageSuite):
    measures_memory = False

    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        MemoryStorage.forget("suite")

    def open_storage(self) -> Storage:
        return open_storage("memory://suite")


class TestFile(StorageSuite):
    @pytest.fixture(autouse=True)
    def _empty(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "remote"

    def open_storage(self) -> Storage:
        return open_storage(f"file://{self.folder}")


class TestRetrying(StorageSuite):
    measures_memory = False

    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        self.memory = MemoryStorage()

    def open_storage(self) -> Storage:
        return Retrying(self.memory)


def test_memory_places_have_names() -> None:
    MemoryStorage.forget("a")
    open_storage("memory://a").put("root", b"a")
    assert open_storage("memory://a").get("root") == b"a"
    assert open_storage("memory://a/b").size("root") is None
    assert MemoryStorage().size("root") is None


def test_paths_and_file_urls_are_one_place(tmp_path: Path) -> None:
    open_storage(str(tmp_path / "a b")).put("root", b"x")
    assert open_storage(f"file://{tmp_path}/a%20b").get("root") == b"x"


def test_a_killed_write_leaves_nothing_that_is_listed(tmp_path: Path) -> None:
    storage = FileStorage(tmp_path)
    storage.put("packs/a", b"x")
    for name in ("old", "new"):
        (tmp_path / "tmp" / name).write_bytes(b"half")
    os.utime(tmp_path / "tmp" / "old", (time.time() - 90_000,) * 2)
    assert [each.name for each in storage.list("")] == ["packs/a"]
    FileStorage(tmp_path).put("packs/b", b"y")
    assert not (tmp_path / "tmp" / "old").exists()
    assert (tmp_path / "tmp" / "new").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RemoteError, match="Not a directory") as refused:
        FileStorage(tmp_path / "file").put("root", b"x")
    assert not refused.value.retry
