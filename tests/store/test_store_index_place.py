"""On a network file system every machine keeps an index of its own, outside the repository."""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

import pytest
from small_stores import commit, contents, fill_store, seal_now

from voyager.store import fsck, index_place
from voyager.store.objectstore import Store
from voyager.store.rebuild import rebuild


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that claims to lie on NFS, and a home beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(index_place, "file_system_of", lambda path: "nfs4")
    return tmp_path / "share"


def test_each_machine_has_its_index(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.init(network) as store:
        fill_store(store)
        first, said = index_place.index_folder(network), contents(store)
    assert (first / "data.mdb").exists()
    assert not (network / "index" / "data.mdb").exists()
    monkeypatch.setattr(platform, "node", lambda: "another-machine")
    second = index_place.index_folder(network)
    assert second != first
    with Store.open(network) as store:
        assert contents(store) == said
        commit(store, "main", {b"from": {"the": "other"}})
        seal_now(store)
        said = contents(store)
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(network.parent / "home"))
    monkeypatch.setattr(index_place, "file_system_of", lambda path: "nfs4")
    with Store.open(network) as store:
        assert contents(store) == said


def test_an_emptied_cache_and_a_rebuild(network: Path) -> None:
    with Store.init(network) as store:
        fill_store(store)
        said = contents(store)
    shutil.rmtree(index_place.index_folder(network))
    with Store.open(network) as store:
        assert contents(store) == said
    assert fsck.check(network).ok
    rebuild(network)
    with Store.open(network) as store:
        assert contents(store) == said


def test_this_file_system_has_a_name(tmp_path: Path) -> None:
    found = index_place.file_system_of(tmp_path)
    assert found == "" or found.replace(".", "").isalnum()
    assert index_place.file_system_of(Path("/proc/self")) in ("", "proc")
    assert index_place.index_folder(tmp_path) == tmp_path / "index"
