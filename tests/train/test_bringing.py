"""Images of lazy clones come before they are read: in which stretches, in how many reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from training_repos import TRAINED, make_photos_repo

import voyager
from voyager.errors import RemoteError
from voyager.remotes.cloning import clone
from voyager.remotes.lazy import RemoteLender
from voyager.remotes.push import push
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.repository import Repository
from voyager.store.objectstore import Store
from voyager.train.bringing import Bringing, iter_brought
from voyager.train.frozen import FrozenConfig, train_frozen
from voyager.train.view import Question, open_view

SIZE = 10
"""Bytes of every image of the lender below."""


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    storage = MemoryStorage("bringing")
    folder = tmp_path_factory.mktemp("far")
    with make_photos_repo(folder / "whole") as whole:
        push(whole, storage)
        clone(storage.url, folder / "lazy", lazy=True)
        with voyager.open(folder / "lazy") as opened:
            yield opened
    MemoryStorage.forget("bringing")


@pytest.fixture
def lender(far: Repository) -> Iterator[RemoteLender]:
    lender = far.store.lender
    assert isinstance(lender, RemoteLender)
    limit = lender.cache.limit
    lender.cache.shrink(0)
    yield lender
    lender.cache.limit = limit


class Shelf:
    """Lends every image, and notes what was brought together."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.brought: list[int] = []

    def promises(self, blob_ids: Iterable[bytes]) -> set[bytes]:
        return set(blob_ids)

    def sizes(self, blob_ids: Iterable[bytes]) -> dict[bytes, int]:
        return dict.fromkeys(blob_ids, SIZE)

    def get(self, blob_id: bytes) -> bytes | None:
        return bytes(SIZE)

    def bring(
        self, blob_ids: Iterable[bytes], *, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.brought.append(len(set(blob_ids)))

    def close(self) -> None: ...


def blobs_of(number: int) -> list[bytes]:
    """Two images of each batch, one of which the batch before it had."""
    return [number.to_bytes(32), (number + 1).to_bytes(32)]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    with Store.init(tmp_path / "store") as store:
        yield store


def stretches(
    store: Store, first: int, last: int, *, window: int, room: int = 1 << 30
) -> list[int]:
    """How many images came together, of a batch after the other that was waited for."""
    shelf = store.lender = Shelf(room)
    with Bringing(store, blobs_of, first, last, window=window) as bringing:
        for number in range(first, last):
            bringing.wait(number)
            assert sum(shelf.brought) > number - first
    return shelf.brought


def test_stretches_grow_up_to_a_window(empty: Store) -> None:
    """Each has one image more than batches."""
    assert stretches(empty, 0, 100, window=40) == [9, 17, 17, 41, 21]
    assert stretches(empty, 35, 100, window=40) == [6, 17, 25, 21]
    assert stretches(empty, 0, 1000, window=1000) == [9, 17, 33, 65, 129, 257, 497]
    assert stretches(empty, 7, 7, window=40) == []


def test_a_stretch_takes_a_fourth_of_the_room(empty: Store) -> None:
    found = stretches(empty, 0, 100, window=40, room=4 * 12 * SIZE)
    assert max(found) == 12
    assert sum(found) == 100 + len(found)
    assert stretches(empty, 0, 3, window=40, room=0) == [2, 2, 2]


def test_what_is_here_is_not_brought(empty: Store) -> None:
    with Bringing(empty, blobs_of, 0, 3, window=8) as bringing:
        bringing.wait(2)
    assert [list(part) for part in iter_brought(empty, [b"a" * 32])] == [[b"a" * 32]]
    assert list(iter_brought(None, [])) == []


def test_an_epoch_comes_in_few_reads_and_ahead(
    far: Repository, lender: RemoteLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    blobs = [bytes(blob) for blob in view.blobs]
    reads = counted(monkeypatch)
    # In another order than they lie there.
    for part in iter_brought(far.store, blobs[::2] + blobs[1::2]):
        for blob in part:
            assert lender.cache.get(blob) is not None
    assert len(reads) < TRAINED / 10


def test_the_cache_is_kept_small_and_nothing_comes_twice(
    far: Repository, lender: RemoteLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    blobs = [bytes(blob) for blob in view.blobs]
    sizes = lender.sizes(blobs).values()
    lender.cache.limit = sum(sizes) // 2
    reads = counted(monkeypatch)
    with Bringing(
        far.store, lambda number: [blobs[number]], 0, TRAINED, window=TRAINED
    ) as bringing:
        for number, blob in enumerate(blobs):
            bringing.wait(number)
            assert lender.cache.get(blob) is not None
    assert lender.cache.used()[1] <= lender.cache.limit
    assert len(reads) < TRAINED / 3


def test_what_is_brought_again_outlives_what_is_not(far: Repository, lender: RemoteLender) -> None:
    """What a stretch needs stays, though it came long ago."""
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    blobs = [bytes(blob) for blob in view.blobs]
    lender.bring(blobs[:20])
    lender.bring(blobs[:5])
    sizes = lender.sizes(blobs)
    lender.cache.shrink(sum(sizes[blob] for blob in blobs[:8]))
    assert all(lender.cache.get(blob) is not None for blob in blobs[:5])


def test_who_leaves_does_not_wait_for_what_still_comes(
    far: Repository, lender: RemoteLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    blobs = [bytes(blob) for blob in view.blobs]
    put = lender.cache.put
    begun = Event()

    def slow(blob: bytes, data: bytes) -> None:
        begun.set()
        assert bringing._stopped.wait(60)
        put(blob, data)

    monkeypatch.setattr(lender.cache, "put", slow)
    with (
        ThreadPoolExecutor(1) as pool,
        Bringing(far.store, lambda number: blobs, 0, 9, window=9) as bringing,
    ):
        waiting = pool.submit(bringing.wait, 0)
        assert begun.wait(60)
    with pytest.raises(CancelledError):
        waiting.result()
    assert lender.cache.used()[0] == 1


def test_a_remote_that_is_away_is_told_to_who_waits(
    far: Repository, lender: RemoteLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    blobs = [bytes(blob) for blob in view.blobs]

    def away(*_: object) -> bytes:
        raise RemoteError("no network")

    monkeypatch.setattr(MemoryStorage, "get_range", away)
    with (
        Bringing(far.store, lambda number: [blobs[number]], 0, 9, window=9) as bringing,
        pytest.raises(RemoteError, match="no network"),
    ):
        bringing.wait(0)


def test_heads_of_a_lazy_clone_bring_images_together(
    far: Repository, lender: RemoteLender, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = counted(monkeypatch)
    config = FrozenConfig(tasks=("category",), strengths=(1.0,))
    done = train_frozen(far, far.at("HEAD"), config, keep=False)
    assert (done.record.samples, done.record.failed) == (TRAINED, ())
    assert len(reads) < TRAINED / 3


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of the ranged reads from now on."""
    reads: list[int] = []
    read = MemoryStorage.get_range

    def noted(storage: MemoryStorage, name: str, start: int, length: int) -> bytes:
        reads.append(length)
        return read(storage, name, start, length)

    monkeypatch.setattr(MemoryStorage, "get_range", noted)
    return reads
