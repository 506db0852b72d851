"""The metadata of a remote in a store of its own, to walk what its refs reach.

Its packs hold all objects but no blobs; they come in checked. Walking needs nothing else, for an
index lists blobs by id. The store lies in a folder that goes away with it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path

from voyager.remotes.base import Storage
from voyager.remotes.own_folder import OwnFolder
from voyager.remotes.receiving import Receiver
from voyager.remotes.root import Packed
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.store.objectstore import Store
from voyager.store.pack import SealedPack
from voyager.store.transaction import Transaction


class Scratch:
    """A store below `tmp/` of a repository; a context."""

    def __init__(self, repo: Repository) -> None:
        self._own = OwnFolder(repo.folder, "remote")
        self.folder = self._own.path
        self.store = Store.init(self.folder / "store")
        self._repo = repo

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.close()
        self._own.remove()

    @property
    def packs(self) -> Path:
        """Where its packs lie."""
        return self.store.root / "packs"

    def transaction(self) -> Transaction:
        """What brings packs and values into the store."""
        return Transaction(self.store, "fetch", author="", time=0)

    def adopt(self, packs: Iterable[SealedPack]) -> None:
        """Let packs that lie in its folder be read."""
        with self.transaction() as txn:
            for pack in packs:
                txn.adopt(pack)
            txn.commit()

    def receive(
        self, storage: Storage, packs: Collection[Packed], progress: Progress = no_progress
    ) -> list[SealedPack]:
        """Bring packs in, from the repository where it has them; CorruptError for damaged ones."""
        for pack in packs:
            self._copy_own(pack)
        receiver = Receiver(self.store, storage, purged=(), progress=progress)
        return receiver.receive(list(packs))

    def take(
        self, storage: Storage, packs: Iterable[Packed], progress: Progress = no_progress
    ) -> None:
        """Bring in and read those metadata packs that it does not have yet."""
        new = [p for p in packs if not p.blobs and not self.store.has_pack(p.name.hex())]
        if new:
            self.adopt(self.receive(storage, new, progress))

    def _copy_own(self, pack: Packed) -> None:
        name = pack.name.hex()
        own, there = self._repo.store.pack_path(name), self.store.pack_path(name)
        if self._repo.store.has_pack(name) and not there.exists():
            with contextlib.suppress(FileNotFoundError):  # a gc here was faster
                shutil.copyfile(own, there)
