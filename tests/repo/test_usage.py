"""How much a version holds, who shares a blob, and purging it."""

from __future__ import annotations

import pytest
from photo_repos import KEYS, PHOTOS, files_of, place, save, take

import voyager
from voyager.repo.branches import create
from voyager.repo.commit import commit
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove
from voyager.repo.sharing import STAGED, sharing_of
from voyager.repo.stash import push
from voyager.repo.status import status
from voyager.repo.switch import reset, switch
from voyager.repo.tags import create_tag
from voyager.repo.usage import Folder, store_sizes, usage_of
from voyager.store.ids import blob_id
from voyager.store.refs import Head

BLOB = blob_id(PHOTOS[0].read_bytes())
"""The photo at KEYS[0] of `photos_repo`."""


def test_usage(photos_repo: Repository) -> None:
    place(photos_repo, "copy.jpg", 0)
    save(photos_repo, "a copy")
    with photos_repo.edit(message="a promise") as edit:
        edit["later"] = edit[KEYS[0]].replace(uid=bytes(16), image=voyager.Image(uri="x"))
    sizes = [path.stat().st_size for path in PHOTOS[:4]]
    found = usage_of(photos_repo.at("HEAD"))
    assert (found.samples, found.files, found.absent) == (6, 1, 1)
    assert found.bytes == sum(sizes) + sizes[0] + 12
    assert (found.unique_blobs, found.unique_bytes) == (5, sum(sizes) + 12)
    assert found.folders == {
        "": Folder(2, 1, sizes[0] + 12),
        "hat": Folder(2, 0, sizes[0] + sizes[1]),
        "shoes": Folder(2, 0, sizes[2] + sizes[3]),
    }


def test_sizes_of_the_store(photos_repo: Repository) -> None:
    sizes = store_sizes(photos_repo.folder)
    assert sizes["packs"] >= sum(path.stat().st_size for path in PHOTOS[:4])
    assert sizes["trash"] == 0
    assert 0 < sizes["index"] < 4_000_000
    on_disk = sum(path.stat().st_size for path in photos_repo.folder.rglob("*") if path.is_file())
    assert sum(sizes.values()) <= on_disk


# -- sharing --------------------------------------------------------------------------------------


def test_who_shares_a_blob(photos_repo: Repository) -> None:
    repo = photos_repo
    create_tag(repo, "v1", repo.resolve("HEAD"), message="annotated")
    place(repo, "copy.jpg", 0)
    save(repo, "a copy")
    create(repo, "other", repo.resolve("HEAD"))
    move(repo, ["copy.jpg"], "moved.jpg")
    found = sharing_of(repo, [BLOB])
    assert found.keys == {KEYS[0], "copy.jpg", "moved.jpg"}
    assert found.refs == [STAGED, "refs/heads/main", "refs/heads/other", "refs/tags/v1"]
    assert (found.commits, found.forgotten) == (2, 0)


def test_only_the_reflog_knows(photos_repo: Repository) -> None:
    repo = photos_repo
    first = repo.resolve("HEAD")
    place(repo, "hat/0.jpg", 8)
    save(repo, "second")
    reset(repo, first, "hard")
    found = sharing_of(repo, [blob_id(PHOTOS[8].read_bytes())])
    assert (found.keys, found.refs, found.commits, found.forgotten) == ({"hat/0.jpg"}, [], 0, 1)


def test_stashes_and_a_detached_head(photos_repo: Repository) -> None:
    repo = photos_repo
    place(repo, "hat/0.jpg", 8)
    take(repo)
    push(repo)
    switch(repo, Head(None, repo.resolve("HEAD")))
    assert sharing_of(repo, [blob_id(PHOTOS[8].read_bytes())]).refs == ["refs/stash/00000001"]
    assert sharing_of(repo, [BLOB]).refs == [
        STAGED, "refs/heads/main", "refs/stash/00000001", "HEAD"
    ]  # fmt: skip


def test_nobody_shares_it(photos_repo: Repository) -> None:
    found = sharing_of(photos_repo, [bytes(32)])
    assert (found.keys, found.refs, found.commits, found.forgotten) == (set(), [], 0, 0)


def test_a_row_that_is_long(photos_repo: Repository) -> None:
    """A row beyond the size of a node lies outside it, as an object of its own."""
    regions = tuple(
        voyager.Region(id=n.to_bytes(16), geometries={"box": voyager.Box(0, 0, 1, n + 1)})
        for n in range(2000)
    )
    with photos_repo.edit(message="many regions") as edit:
        edit[KEYS[0]] = edit[KEYS[0]].replace(regions=regions)
    assert sharing_of(photos_repo, [BLOB]).commits == 2


# -- purge ----------------------------------------------------------------------------------------


def test_purge_takes_bytes_and_leaves_rows(photos_repo: Repository) -> None:
    repo = photos_repo
    place(repo, "copy.jpg", 0)
    save(repo, "a copy")
    place(repo, "copy.jpg", 7)  # edited since: not the bytes that go
    done = purge_blobs(repo, [BLOB], "asked to")
    assert (done.blobs, done.files) == (1, [KEYS[0]])
    assert files_of(repo) == ["README.md", "copy.jpg", *KEYS[1:]]
    assert list(repo.at("HEAD")) == ["copy.jpg", *KEYS]
    data = PHOTOS[0].read_bytes()
    packs = (repo.folder / "packs").glob("*.pack")
    assert not any(data[:2000] in path.read_bytes() for path in packs)
    assert sharing_of(repo, [BLOB]).keys == {KEYS[0], "copy.jpg"}


def test_a_purged_image_is_not_missed(photos_repo: Repository) -> None:
    repo = photos_repo
    purge_blobs(repo, [BLOB], "asked to")
    assert (take(repo, all=True).changes, status(repo).deleted) == (0, [])
    remove(repo, [KEYS[1]])
    second = commit(repo, "second").commit
    assert KEYS[0] in repo.at("HEAD")
    first = repo.resolve("HEAD~1")
    switch(repo, Head(None, first))
    switch(repo, Head(None, second))
    assert files_of(repo) == ["README.md", *KEYS[2:]]
    assert status(repo).clean


def test_adding_purged_bytes_is_skipped(photos_repo: Repository) -> None:
    repo = photos_repo
    purge_blobs(repo, [BLOB], "asked to")
    place(repo, "again.jpg", 0)
    place(repo, "fine.jpg", 9)
    done = take(repo)
    assert (done.added, [key for key, _ in done.skipped]) == (1, ["again.jpg"])
    assert "was purged: asked to" in done.skipped[0][1]


@pytest.mark.parametrize("size", [40_000_000])
def test_adding_big_purged_bytes_is_skipped(photos_repo: Repository, size: int) -> None:
    repo = photos_repo
    big = repo.tree() / "big.bin"
    big.write_bytes(b"x" * size)
    take(repo)
    purge_blobs(repo, [blob_id(b"x" * size)], "too big")
    assert not big.exists()
    big.write_bytes(b"x" * size)
    assert [key for key, _ in take(repo).skipped] == ["big.bin"]
