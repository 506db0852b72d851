"""Lazy clones: all labels here, images when they are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from published import PHOTOS, assert_same, publish, save, say, seal
from remote_content import reached

import voyager
from voyager.errors import CorruptError, NotFoundError, StateError
from voyager.merge import merge
from voyager.remotes.cloning import clone
from voyager.remotes.config import find_remote, remove_remote
from voyager.remotes.fetching import fetch
from voyager.remotes.lazy import RemoteLender, get_everything, get_samples
from voyager.remotes.push import push
from voyager.remotes.root import (
    decode_root,
    decode_segment,
    encode_root,
    encode_segment,
    segment_path,
)
from voyager.remotes.storages.memory import MemoryStorage
from voyager.repo.branches import create
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.status import status
from voyager.repo.switch import switch
from voyager.store.entry import decode_header, encode_header
from voyager.store.fsck import check
from voyager.store.gc import collect
from voyager.store.ids import Kind
from voyager.store.refs import Head


@pytest.fixture
def storage(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    name = f"lazy-{abs(hash(request.node.name))}"
    yield MemoryStorage(name)
    MemoryStorage.forget(name)


@pytest.fixture
def there(tmp_path: Path, storage: MemoryStorage) -> Iterator[Repository]:
    with Repository.init(tmp_path / "there") as repo:
        (repo.tree() / "README.md").write_text("hats and shoes\n")
        save(repo, "hats", {f"hat/{n}.jpg": n for n in range(10)})
        seal(repo)
        save(repo, "shoes", {f"shoes/{n}.jpg": 10 + n for n in range(10)})
        with repo.edit("labels") as edit:
            say(edit, "hat/1.jpg", "red")
        publish(repo, storage)
        yield repo


@pytest.fixture
def here(there: Repository, storage: MemoryStorage, tmp_path: Path) -> Iterator[Repository]:
    clone(storage.url, tmp_path / "mine", lazy=True)
    with voyager.open(tmp_path / "mine") as repo:
        yield repo


def assert_whole(repo: Repository) -> None:
    """fsck finds nothing, what is promised counted as here."""
    lender = repo.store.lender
    assert lender is not None
    report = check(repo.folder, promised=lambda blob: bool(lender.promises([blob])))
    assert report.ok, [str(problem) for problem in report.problems]


def blob_of(repo: Repository, key: str) -> bytes:
    found = repo.at("HEAD")[key].image.blob_id
    assert found is not None
    return found


def stored(repo: Repository) -> int:
    """How many of the images are in the store."""
    return sum(blob_of(repo, key) in repo.store for key in repo.at("HEAD"))


def test_labels_come_and_images_do_not(there: Repository, here: Repository) -> None:
    assert here.head.commit == there.head.commit
    assert here.at("HEAD").roots == there.at("HEAD").roots
    assert stored(here) == 0
    assert sorted(path.name for path in here.tree().iterdir()) == [".vgr", "README.md"]
    assert status(here).clean
    assert_whole(here)
    collect(here.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
    assert_whole(here)


def test_an_image_comes_when_it_is_looked_at(there: Repository, here: Repository) -> None:
    version = here.at("HEAD")
    assert version.image_bytes("shoes/3.jpg") == PHOTOS[13].read_bytes()
    assert_same(there.at("HEAD"), version)
    assert stored(here) == 0
    assert isinstance(here.store.lender, RemoteLender)
    assert here.store.lender.cache.used()[0] >= 20
    assert status(here).clean


def test_what_was_looked_at_is_not_asked_for_again(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    version = here.at("HEAD")
    version.image_bytes("shoes/3.jpg")
    storage.delete([one.name for one in storage.list("packs/")])
    assert version.image_bytes("shoes/3.jpg") == PHOTOS[13].read_bytes()
    with pytest.raises(CorruptError, match="has it no more"):
        version.image_bytes("shoes/4.jpg")


def test_the_cache_has_a_limit(there: Repository, here: Repository) -> None:
    lender = here.store.lender
    assert isinstance(lender, RemoteLender)
    lender.cache.limit = 100_000
    for key in here.at("HEAD"):
        here.at("HEAD").image_bytes(key)
        assert lender.cache.used()[1] <= 100_000
    assert lender.cache.used()[0] > 1
    assert lender.cache.shrink(0) == 0


def test_damage_in_the_cache_is_seen(here: Repository) -> None:
    version = here.at("HEAD")
    version.image_bytes("hat/1.jpg")
    for path in (here.folder / "cache" / "blobs").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert version.image_bytes("hat/1.jpg") == PHOTOS[1].read_bytes()


def test_get_brings_some_for_good(here: Repository) -> None:
    keys = [key for key in here.at("HEAD") if key.startswith("shoes/")]
    done = get_samples(here, keys)
    assert (done.blobs, done.updated.written) == (10, 10)
    assert (here.tree() / "shoes/3.jpg").read_bytes() == PHOTOS[13].read_bytes()
    assert stored(here) == 10
    assert status(here).clean
    (here.tree() / "shoes/3.jpg").unlink()
    assert status(here).deleted == ["shoes/3.jpg"]
    one = get_samples(here, ["hat/2.jpg"])
    assert (one.blobs, one.requests <= 5) == (1, True)
    assert one.bytes < 2 * len(PHOTOS[2].read_bytes()) + 20_000
    assert_whole(here)


def test_switching_lays_out_what_is_here(there: Repository, here: Repository) -> None:
    create(here, "side", here.resolve("HEAD~2"))
    get_samples(here, ["shoes/1.jpg", "hat/1.jpg"])
    switch(here, Head("side", here.resolve("side")))
    assert sorted(path.name for path in here.tree().rglob("*.jpg")) == ["1.jpg"]
    assert status(here).clean
    switch(here, Head("main", here.resolve("main")))
    assert len(list(here.tree().rglob("*.jpg"))) == 2
    assert status(here).clean


def test_what_is_new_there_is_promised_too(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    save(there, "more", {"more/1.jpg": 30})
    publish(there, storage)
    fetch(here, find_remote(here, "origin"))
    assert merge(here, "origin/main").result == "fast-forward"
    assert status(here).clean
    assert here.at("HEAD").image_bytes("more/1.jpg") == PHOTOS[30].read_bytes()
    assert_whole(here)


def test_work_in_a_lazy_clone_goes_back(
    there: Repository, here: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    with here.edit("a label") as edit:
        say(edit, "shoes/1.jpg", "blue")
    save(here, "a photo", {"new.jpg": 40})
    push(here, storage, ["main"], remote=find_remote(here, "origin"))
    clone(storage.url, tmp_path / "whole")
    with Repository.open(tmp_path / "whole") as whole:
        assert whole.head.commit == here.head.commit
        assert_same(here.at("HEAD"), whole.at("HEAD"))
        assert check(whole.folder).ok


def test_the_remote_that_promises_stays(here: Repository) -> None:
    with pytest.raises(StateError, match="lazy clone"):
        remove_remote(here, "origin")


def test_the_cached_catalogue_can_be_dropped(here: Repository) -> None:
    import shutil

    shutil.rmtree(here.folder / "cache")
    with voyager.open(here.tree()) as again:
        assert again.at("HEAD").image_bytes("hat/1.jpg") == PHOTOS[1].read_bytes()
        assert_whole(again)


def test_packs_that_gc_took_away_there_are_found_in_others(
    there: Repository, here: Repository, storage: MemoryStorage
) -> None:
    here.at("HEAD").image_bytes("hat/1.jpg")
    collect(there.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
    storage.delete([one.name for one in storage.list("packs/")])
    publish(there, storage)
    assert here.at("HEAD").image_bytes("hat/2.jpg") == PHOTOS[2].read_bytes()


def test_purged_images_are_not_lent(here: Repository) -> None:
    here.at("HEAD").image_bytes("hat/1.jpg")
    blob = blob_of(here, "hat/1.jpg")
    purge_blobs(here, [blob], "consent withdrawn")
    with pytest.raises(NotFoundError, match="consent withdrawn"):
        here.at("HEAD").image_bytes("hat/1.jpg")
    data = PHOTOS[1].read_bytes()
    assert not any(data in path.read_bytes() for path in here.folder.rglob("*") if path.is_file())


def test_an_image_that_no_remote_has(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    for one in list(storage.list("packs/")):
        if one.size > 100_000 and one.name.endswith(".pack"):
            data = storage.get(one.name)
            storage.put(one.name, data[:5000] + bytes(100) + data[5100:])
    clone(storage.url, tmp_path / "mine", lazy=True)
    with voyager.open(tmp_path / "mine") as repo, pytest.raises(CorruptError):
        for key in repo.at("HEAD"):
            repo.at("HEAD").image_bytes(key)


def test_small_images_with_a_dictionary(storage: MemoryStorage, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    with Repository.init(tmp_path / "small", worktree=False) as repo:
        with repo.edit("icons") as edit:
            for number in range(300):
                file = BytesIO()
                Image.new("RGB", (16, 16), (number % 256, number // 256, 7)).save(file, "PNG")
                edit.add_image(f"{number:03}.png", file.getvalue())
        collect(repo.store, expire_ms=0, now_ms=1 << 50, author="x", prune_all=True)
        publish(repo, storage)
        clone(storage.url, tmp_path / "mine", lazy=True)
        with voyager.open(tmp_path / "mine") as mine:
            assert_same(repo.at("HEAD"), mine.at("HEAD"))
            assert get_samples(mine, ["007.png", "299.png"]).blobs == 2
            assert_whole(mine)


# -- what a hostile remote promises ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "real"),
    [(1, 1 << 42), (1, 80 << 20), (0, 60), (2, 100)],
    ids=["terabytes", "a bomb", "other bytes", "no dictionary"],
)
def test_promised_bytes_are_held_against_their_hash(
    there: Repository,
    storage: MemoryStorage,
    tmp_path: Path,
    method: int,
    real: int,
) -> None:
    clone(storage.url, tmp_path / "mine", lazy=True)
    for one in list(storage.list("packs/")):
        if not one.name.endswith(".pack"):
            continue
        data = storage.get(one.name)
        header = decode_header(data[16:88])
        if header.kind is Kind.BLOB:
            lies = encode_header(header.kind, method, header.stored, real, header.id, bytes(8))
            storage.put(one.name, data[:16] + lies + data[88:])
            bad = header.id
    with voyager.open(tmp_path / "mine") as repo:
        with pytest.raises(CorruptError):
            repo.store.get_blob(bad)
        assert not any(path.is_file() and bad.hex() in path.name for path in tmp_path.rglob("*"))


def test_what_the_indexes_do_not_list_is_refused(
    there: Repository, storage: MemoryStorage, tmp_path: Path
) -> None:
    root = decode_root(storage.get("root"))
    packs = [
        pack
        for segment in root.segments
        for pack in decode_segment(segment, storage.get(segment_path(segment)))
        if not pack.blobs
    ]
    segment, data = encode_segment(packs)
    storage.put(segment_path(segment), data)
    storage.put("root", encode_root(msgspec.structs.replace(root, segments=[segment])))
    with pytest.raises(CorruptError, match="lacks 21 blobs"):
        clone(storage.url, tmp_path / "mine", lazy=True)
    assert not (tmp_path / "mine").exists()


def test_a_key_that_is_restored_by_its_name_brings_its_file(
    there: Repository, here: Repository
) -> None:
    assert restore(here, ["hat/2.jpg"]) == ["hat/2.jpg"]
    assert (here.tree() / "hat/2.jpg").read_bytes() == PHOTOS[2].read_bytes()
    assert restore(here, ["hat/2.jpg"]) == []
    assert restore(here, ["hat/3.jpg"], source="HEAD~1", additive=True) == ["hat/3.jpg"]
    assert (here.tree() / "hat/3.jpg").read_bytes() == PHOTOS[3].read_bytes()
    for pattern in (".", "hat", "hat/*"):
        assert restore(here, [pattern]) == []
    assert sorted(path.name for path in (here.tree() / "hat").iterdir()) == ["2.jpg", "3.jpg"]
    assert status(here).clean
    assert_whole(here)


def test_what_is_promised_is_known_without_the_remote(
    here: Repository, storage: MemoryStorage
) -> None:
    storage.delete([one.name for one in storage.list("")])
    assert status(here).clean
    assert_whole(here)
    with here.edit("labels") as edit:
        say(edit, "hat/2.jpg", "blue")
    with pytest.raises(NotFoundError, match="what was pushed to 'origin' is there no more"):
        here.at("HEAD").image_bytes("hat/2.jpg")
    with pytest.raises(StateError, match=r"'origin' \(memory://.*, which promised them, is empty"):
        push(here, storage, remote=find_remote(here, "origin"))


def test_all_of_a_lazy_clone_can_be_brought_and_pushed_elsewhere(
    here: Repository, there: Repository
) -> None:
    elsewhere = MemoryStorage()
    with pytest.raises(StateError, match=r"'origin' \(memory://.* has them") as told:
        push(here, elsewhere)
    assert told.value.hint == "vgr get --all, then push again"
    assert get_everything(here).blobs == 21
    assert stored(here) == 20
    assert (here.tree() / "hat/2.jpg").read_bytes() == PHOTOS[2].read_bytes()
    push(here, elsewhere)
    assert reached(elsewhere) >= {blob_of(there, key) for key in there.at("HEAD")}
    assert get_everything(here).blobs == 0


def test_of_a_pack_that_comes_whole_only_what_was_asked_for_stays(here: Repository) -> None:
    keys = [f"hat/{n}.jpg" for n in range(7)]
    assert get_samples(here, keys).blobs == 7
    assert stored(here) == 7
    assert status(here).clean
    (here.tree() / "hat/3.jpg").unlink()
    assert status(here).deleted == ["hat/3.jpg"]
    assert_whole(here)
