"""The loader: the same batches for any threads, ranks and start, whatever cannot be read."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from training_repos import TRAINED, make_photos_repo

import voyager
from voyager.errors import StateError, UsageError
from voyager.remotes.cloning import clone
from voyager.remotes.lazy import RemoteLender
from voyager.remotes.push import push
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Repository
from voyager.train.augment import AUGMENTATIONS, NONE, Floats
from voyager.train.bringing import Bringing
from voyager.train.loader import Batch, Loader
from voyager.train.order import Rows
from voyager.train.reading import PackSource
from voyager.train.renditions import Mask, Rendition, choose_rendition, parse_rendition
from voyager.train.view import Question, View, open_view

SIZE, BATCH = 40, 8
STEPS = -(-TRAINED // BATCH)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.fixture(scope="module")
def view(repo: Repository) -> View:
    return open_view(repo, repo.at("HEAD"), Question(("category",)))


def loader(repo: Repository, view: View, source: Any = None, **given: Any) -> Loader:
    usual = {"size": SIZE, "batch": BATCH, "seed": 1, "augmentation": AUGMENTATIONS["strong"]}
    made = source or PackSource(repo.at("HEAD").objects, view)
    return Loader(made, view, **{**usual, **given})


def batches(loader: Loader, epoch: int = 0, start: int = 0) -> list[Batch]:
    """All batches, with pictures of their own."""
    with closing(loader.epoch(epoch, start)) as found:
        return [replace(batch, images=batch.images.copy()) for batch in found]


def assert_same(ones: Sequence[Batch], others: Sequence[Batch]) -> None:
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert (one.epoch, one.step, one.share) == (other.epoch, other.step, other.share)
        for name in ("rows", "images", "valid"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name
        assert (one.partner is None) == (other.partner is None)


# -- the same batches -----------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3, 4])
def test_threads_change_nothing(repo: Repository, view: View, threads: int) -> None:
    usual = batches(loader(repo, view, threads=2))
    assert len(usual) == STEPS
    assert_same(usual, batches(loader(repo, view, threads=threads)))
    rows = np.concatenate([batch.rows for batch in usual])
    assert sorted(rows.tolist()) == list(range(TRAINED))


def test_a_resume_at_any_step_goes_on_the_same(repo: Repository, view: View) -> None:
    made = loader(repo, view)
    whole = batches(made, epoch=3)
    for start in range(STEPS + 1):
        assert_same(whole[start:], batches(loader(repo, view), epoch=3, start=start))
    assert not np.array_equal(whole[0].rows, batches(made, epoch=4)[0].rows)


@pytest.mark.parametrize("shards", [2, 4])
def test_shards_are_parts_of_the_same_steps(repo: Repository, view: View, shards: int) -> None:
    whole = batches(loader(repo, view, augmentation=AUGMENTATIONS["standard"]))
    settings: dict[str, Any] = {
        "augmentation": AUGMENTATIONS["standard"],
        "of_shards": shards,
    }
    apart = [batches(loader(repo, view, shards=(shard,), **settings)) for shard in range(shards)]
    for step, batch in enumerate(whole):
        parts = [found[step] for found in apart]
        assert np.array_equal(np.concatenate([part.rows for part in parts]), batch.rows)
        assert np.array_equal(np.concatenate([part.images for part in parts]), batch.images)
    together = batches(loader(repo, view, shards=range(shards), **settings))
    assert_same(together, [found[step] for step in range(STEPS) for found in apart])


def test_the_last_batch_may_be_left_out(repo: Repository, view: View) -> None:
    assert TRAINED % BATCH
    found = batches(loader(repo, view, drop_last=True))
    assert [len(batch.rows) for batch in found] == [BATCH] * (STEPS - 1)
    one = loader(repo, view, drop_last=True, batch=1000)
    assert one.steps == 1


def test_pictures_stay_until_the_batch_after_the_next(repo: Repository, view: View) -> None:
    with closing(loader(repo, view).epoch(0)) as found:
        before: list[tuple[Batch, np.ndarray]] = []
        for batch in found:
            before.append((batch, batch.images.copy()))
            for kept, copy in before[-2:]:
                assert np.array_equal(kept.images, copy)


def test_memory_comes_from_where_it_is_wanted(repo: Repository, view: View) -> None:
    made: list[np.ndarray] = []

    def allocate(shape: tuple[int, ...]) -> np.ndarray:
        made.append(np.zeros(shape, np.uint8))
        return made[-1]

    with closing(loader(repo, view, allocate=allocate).epoch(0)) as found:
        for batch in found:
            assert any(np.shares_memory(batch.images, one) for one in made)
    assert len(made) == 5


def test_an_epoch_that_is_left_ends_its_threads(repo: Repository, view: View) -> None:
    import threading

    before = threading.active_count()
    found = loader(repo, view).epoch(0)
    next(found)
    found.close()
    assert threading.active_count() == before


# -- pixels ---------------------------------------------------------------------------------------


def test_an_evaluation_shows_the_usual_pixels(repo: Repository, view: View) -> None:
    """Within 0.2 levels of: resize the short side to 256, crop the middle 224×224."""
    version = repo.at("HEAD")
    means = []
    for batch in batches(loader(repo, view, size=224, evaluate=True))[:3]:
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
            with PIL.Image.open(io.BytesIO(version.image_bytes(view.key(row)))) as opened:
                usual = opened.convert("RGB")
            wide, high = (int(256 * side / min(usual.size)) for side in usual.size)
            usual = usual.resize((wide, high), PIL.Image.Resampling.BILINEAR)
            left, top = round((wide - 224) / 2), round((high - 224) / 2)
            crop = np.asarray(usual.crop((left, top, left + 224, top + 224)))
            means.append(np.abs(crop.astype(np.int32) - image).mean())
    assert np.mean(means) < 0.2
    assert max(means) < 1


def test_an_evaluation_takes_rows_in_their_order(repo: Repository, view: View) -> None:
    found = batches(loader(repo, view, evaluate=True))
    assert np.concatenate([batch.rows for batch in found]).tolist() == list(range(TRAINED))
    assert all(batch.partner is None for batch in found)


# -- what cannot be read --------------------------------------------------------------------------


class Harmed:
    """The pictures of a view, some of which are damaged or gone."""

    def __init__(self, repo: Repository, view: View, bad: dict[int, bytes | None]) -> None:
        self._whole = PackSource(repo.at("HEAD").objects, view)
        self._bad = bad

    def opened(self) -> AbstractContextManager[None]:
        return nullcontext()

    def enough(self, rows: Rows, areas: Floats, size: int) -> Mask:
        return self._whole.enough(rows, areas, size)

    def bringing(self, *args: Any, **given: Any) -> Bringing:
        return self._whole.bringing(*args, **given)

    def read(self, rows: Sequence[int], small: Sequence[bool]) -> list[bytes | None]:
        found = self._whole.read(rows, small)
        return [self._bad.get(row, data) for row, data in zip(rows, found, strict=True)]


BAD: dict[int, bytes | None] = {7: None, 20: b"no image", 21: b"\xff\xd8\xff\xe0cut", 50: b""}


def test_others_stand_in_for_what_cannot_be_read(repo: Repository, view: View) -> None:
    harmed = loader(repo, view, Harmed(repo, view, BAD), augmentation=NONE)
    found = batches(harmed)
    assert harmed.stats.failed == BAD.keys()
    assert_same(
        found, batches(loader(repo, view, Harmed(repo, view, BAD), threads=4, augmentation=NONE))
    )
    assert_same(
        found[4:], batches(loader(repo, view, Harmed(repo, view, BAD), augmentation=NONE), start=4)
    )
    whole = batches(loader(repo, view, augmentation=NONE))
    shown = np.concatenate([batch.rows for batch in found])
    asked = np.concatenate([batch.rows for batch in whole])
    assert not BAD.keys() & set(shown.tolist())
    assert (shown != asked).sum() == len(BAD)
    pictures = {
        row: image
        for batch in whole
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True)
    }
    for batch in found:
        assert batch.valid.all()
        for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
            assert np.array_equal(image, pictures[row])


def test_an_evaluation_marks_what_cannot_be_read(repo: Repository, view: View) -> None:
    made = loader(repo, view, Harmed(repo, view, BAD), evaluate=True)
    found = batches(made)
    valid = np.concatenate([batch.valid for batch in found])
    assert np.flatnonzero(~valid).tolist() == sorted(BAD)
    assert made.stats.failed == BAD.keys()
    images = np.concatenate([batch.images for batch in found])
    assert not images[sorted(BAD)].any()


def test_a_training_stops_where_nothing_can_be_read(repo: Repository, view: View) -> None:
    nothing: dict[int, bytes | None] = dict.fromkeys(range(TRAINED))
    harmed = loader(repo, view, Harmed(repo, view, nothing), augmentation=NONE)
    with pytest.raises(StateError, match="cannot be read, nor 16 others") as caught:
        batches(harmed, start=STEPS - 1)
    assert caught.value.hint == "vgr fsck"


def test_fewer_samples_than_shards_are_refused(repo: Repository, view: View) -> None:
    with pytest.raises(UsageError, match="60 samples cannot be shared among 61"):
        loader(repo, view, of_shards=61)


# -- renditions -----------------------------------------------------------------------------------


def with_rendition(repo: Repository, view: View, setting: str) -> PackSource:
    rendition = parse_rendition(setting)
    objects, cache = repo.at("HEAD").objects, derived_cache(repo)
    return PackSource(objects, view, rendition=rendition, cache=cache)


def test_renditions_do_where_the_crop_allows(repo: Repository, view: View) -> None:
    source = with_rendition(repo, view, "256")
    rows = np.arange(TRAINED)
    original = view.sizes.min(axis=1)
    whole = view.sizes.prod(axis=1).astype(np.float64)
    scaled = whole * (np.minimum(1, 256 / original) ** 2)
    for size in (64, 224, 300):
        enough = scaled >= 0.98 * size**2
        assert np.array_equal(source.enough(rows, whole, size), enough & (original > 256))
    assert not with_rendition(repo, view, "none").enough(rows, whole, 8).any()


def test_renditions_are_the_same_kept_or_made(repo: Repository, view: View) -> None:
    """The pixels depend on the setting, not on what the cache holds."""
    settings = {"size": 64, "augmentation": AUGMENTATIONS["standard"]}
    source = with_rendition(repo, view, "256")
    made = batches(loader(repo, view, source, **settings))
    done: list[tuple[int, int | None]] = []
    source.fill(lambda *said: done.append(said))
    assert done[-1] == (TRAINED, TRAINED)
    assert_same(made, batches(loader(repo, view, with_rendition(repo, view, "256"), **settings)))
    path = repo.folder / "cache" / "derived" / "rendition-256-1"
    data = bytearray(path.read_bytes())
    for at in range(9000, len(data), 50_000):
        data[at] ^= 255
    path.write_bytes(data)
    assert_same(made, batches(loader(repo, view, with_rendition(repo, view, "256"), **settings)))
    plain = batches(loader(repo, view, **settings))
    off = [
        np.abs(one.images.astype(int) - other.images).mean()
        for one, other in zip(made, plain, strict=True)
    ]
    assert 0 < np.mean(off) < 4
    derived_cache(repo).drop()


def test_auto_takes_what_all_images_have(repo: Repository, view: View) -> None:
    cache = derived_cache(repo)
    cache.drop()
    strong, none = AUGMENTATIONS["strong"], NONE
    assert choose_rendition(cache, view, none, 224) is None
    with_rendition(repo, view, "256").fill()
    assert choose_rendition(cache, view, none, 224) == Rendition(256)
    assert choose_rendition(cache, view, strong, 224) == Rendition(256)
    with_rendition(repo, view, "512").fill()
    cache = derived_cache(repo)
    assert choose_rendition(cache, view, none, 224) == Rendition(256)
    assert choose_rendition(cache, view, strong, 224) == Rendition(512)
    assert choose_rendition(cache, view, none, 1000) == Rendition(512)
    whole = open_view(repo, repo.at("HEAD"), Question(("category",), "test"), for_evaluation=True)
    assert choose_rendition(cache, whole, none, 224) is None
    cache.drop()
    for setting in ("128", "257", "256-q80", "q95", "x"):
        with pytest.raises(UsageError, match="no rendition"):
            parse_rendition(setting)


# -- lazy clones ----------------------------------------------------------------------------------


@pytest.fixture
def far(repo: Repository, tmp_path: Path) -> Iterator[Repository]:
    storage = MemoryStorage("loader")
    push(repo, storage)
    clone(storage.url, tmp_path / "mine", lazy=True)
    with voyager.open(tmp_path / "mine") as opened:
        yield opened
    MemoryStorage.forget("loader")


def test_a_lazy_clone_streams_through_its_cache(
    repo: Repository, view: View, far: Repository
) -> None:
    lender = far.store.lender
    assert isinstance(lender, RemoteLender)
    view_there = open_view(far, far.at("HEAD"), Question(("category",)))
    assert len(view_there) == TRAINED
    assert_same(batches(loader(repo, view)), batches(loader(far, view_there)))
    assert lender.cache.used()[0] == TRAINED
    lender.cache.shrink(0)
    lender.cache.limit = 200_000
    assert_same(batches(loader(repo, view)), batches(loader(far, view_there)))
    assert lender.cache.used()[1] <= 200_000
    assert not far.store.places(bytes(blob) for blob in view_there.blobs)


def test_what_will_be_read_comes_together(far: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    lender = far.store.lender
    assert isinstance(lender, RemoteLender)
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    one_by_one = []
    monkeypatch.setattr(lender, "get", _noted(lender.get, lender, one_by_one))
    batches(loader(far, view))
    assert not one_by_one


def test_an_epoch_of_a_lazy_clone_needs_few_reads(
    far: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where batches are of images from everywhere, and where renditions are made first."""
    lender = far.store.lender
    assert isinstance(lender, RemoteLender)
    view = open_view(far, far.at("HEAD"), Question(("category",)))
    reads: list[int] = []
    read = MemoryStorage.get_range

    def counted(storage: MemoryStorage, name: str, start: int, length: int) -> bytes:
        reads.append(length)
        return read(storage, name, start, length)

    monkeypatch.setattr(MemoryStorage, "get_range", counted)
    batches(loader(far, view))
    assert len(reads) < TRAINED / 10
    lender.cache.shrink(0)
    reads.clear()
    small = Rendition(256, 90)
    source = PackSource(far.at("HEAD").objects, view, rendition=small, cache=derived_cache(far))
    source.fill()
    assert len(reads) < TRAINED / 3
    lender.cache.shrink(0)
    reads.clear()
    batches(loader(far, view, source, augmentation=NONE))
    assert not reads  # renditions are enough


def _noted(get: Any, lender: RemoteLender, missed: list[bytes]) -> Any:
    def noted(blob: bytes) -> bytes | None:
        if not lender.cache.use(blob):
            missed.append(blob)
        found: bytes | None = get(blob)
        return found

    return noted


# -- memory ---------------------------------------------------------------------------------------


def test_epochs_leave_nothing_behind(repo: Repository, view: View) -> None:
    made = loader(repo, view)

    def go(epoch: int) -> None:
        with closing(made.epoch(epoch)) as found:
            for _ in found:
                pass

    go(0)
    tracemalloc.start()
    try:
        go(1)
        before = tracemalloc.get_traced_memory()[0]
        for epoch in range(2, 6):
            go(epoch)
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
    finally:
        tracemalloc.stop()
