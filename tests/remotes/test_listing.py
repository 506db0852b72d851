"""Looking ids up in the index of a pack, with numpy and without."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from published import publish, save, seal

from voyager.remotes.catalogue import Catalogue
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.repository import Repository
from voyager.store.fsck.packs import PackCheck


def test_few_ids_are_found_without_numpy(
    tmp_path: Path, empty_repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(empty_repo, "photos", {f"{n}.jpg": n for n in range(12)})
    seal(empty_repo)
    storage = MemoryStorage()
    publish(empty_repo, storage)
    catalogue = Catalogue(storage, tmp_path / "cache")
    root = catalogue.read_root()
    assert root is not None
    for listing in catalogue.listings(catalogue.packs(root)):
        check = PackCheck(
            empty_repo.store.pack_path(listing.pack.name.hex()), (), lambda _where, _data: []
        )
        assert not list(check.run())
        ids = [placed.id for placed in check.placed]
        wanted = [*ids, b"\0" * 32]
        many = listing.find(wanted * 20)
        assert {one: place.offset for one, place in many.items()} == {
            placed.id: placed.offset for placed in check.placed
        }
        with monkeypatch.context() as patch:
            patch.delitem(sys.modules, "numpy", raising=False)
            few = {}
            for one in wanted:
                few |= listing.find([one])
            assert "numpy" not in sys.modules
        assert few == {one: many[one] for one in ids}
