"""A version as a mapping: against a plain dict, with and without staged rows on top."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_repos import KEYS, PHOTOS, place, say, take

from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset, Entry
from voyager.repo.repository import Repository
from voyager.repo.snapshot import FILES, SAMPLES, write_snapshot
from voyager.repo.staging import fold_roots
from voyager.schema import FileRow, Image, Sample, encode_file, encode_sample
from voyager.store.objects import MemoryObjects
from voyager.store.operation import GONE
from voyager.wire import blob_ref


def sample(number: int) -> Sample:
    blob = blob_ref(number.to_bytes(32))
    return Sample(uid=number.to_bytes(16), image=Image(blob=blob, bytes=number))


# -- against a dict -------------------------------------------------------------------------------

parts = st.sampled_from(["a", "b", "é", "😀", "a b", "z" * 40])
keys = st.lists(parts, min_size=1, max_size=3).map("/".join)
rows = st.dictionaries(keys, st.integers(1, 1 << 60), max_size=40)
edits = st.dictionaries(keys, st.none() | st.integers(1, 1 << 60), max_size=15)


def dataset_of(base: dict[str, int], staged: dict[str, int | None]) -> Dataset:
    objects = MemoryObjects()
    rows = {(SAMPLES, key.encode()): encode_sample(sample(n)) for key, n in base.items()}
    roots = fold_roots(objects, {}, rows)
    overlay = {
        (SAMPLES, key.encode()): GONE if number is None else encode_sample(sample(number))
        for key, number in staged.items()
    }
    return Dataset(objects, roots, overlay)


@given(rows, edits)
@settings(max_examples=60, deadline=None)
def test_a_version_is_a_mapping(base: dict[str, int], staged: dict[str, int | None]) -> None:
    version = dataset_of(base, staged)
    merged: dict[str, int | None] = {**base, **staged}
    wanted = {key: sample(n) for key, n in merged.items() if n is not None}
    order = sorted(wanted, key=str.encode)
    assert list(version) == order
    assert len(version) == len(order)
    assert list(version.items()) == [(key, wanted[key]) for key in order]
    for key in merged:
        assert version.get(key) == wanted.get(key)
        assert (key in version) == (key in wanted)
    for n, key in enumerate(order):
        assert version.nth(n) == (key, wanted[key])
        assert version.nth(n - len(order)) == (key, wanted[key])
    for n in (len(order), -len(order) - 1):
        with pytest.raises(IndexError):
            version.nth(n)
    assert [row.key for row in version.tracked()] == order


@given(rows, edits)
@settings(max_examples=40, deadline=None)
def test_listing_is_that_of_a_file_system(
    base: dict[str, int], staged: dict[str, int | None]
) -> None:
    version = dataset_of(base, staged)
    found = list(version)
    folders = {"", *("/".join(key.split("/")[:n]) for key in found for n in (1, 2))}
    for folder in folders:
        start = f"{folder}/" if folder else ""
        below = [key[len(start) :].split("/") for key in found if key.startswith(start)]
        wanted = {rest[0]: len(rest) > 1 for rest in below}
        assert {entry.name for entry in version.listing(folder)} == set(wanted)
        assert version.has_folder(folder) == bool(folder and below)
        assert list(version.items(start)) == [
            (key, version[key]) for key in found if key.startswith(start)
        ]


# -- both spaces ----------------------------------------------------------------------------------


def test_files_and_samples(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    assert (version.files, list(version)) == (["README.md"], KEYS)
    assert version.file_bytes("README.md") == b"four photos\n"
    assert version.file_bytes(KEYS[0]) == version.image_bytes(KEYS[0]) == PHOTOS[0].read_bytes()
    assert [row.key for row in version.tracked()] == ["README.md", *KEYS]
    assert (version.space_of("README.md"), version.space_of(KEYS[0])) == (FILES, SAMPLES)
    assert version.space_of("hat") is None
    assert version.listing() == [
        Entry("README.md", False), Entry("hat", True), Entry("shoes", True)
    ]  # fmt: skip
    assert version.listing("hat/") == [Entry("1.jpg", False), Entry("2.jpg", False)]
    assert version.commit == photos_repo.head.commit


def test_what_is_not_there(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    for look in (version.__getitem__, version.image_bytes, version.file_bytes):
        with pytest.raises(NotFoundError):
            look("nothing")
    assert version.get("nothing") is None
    assert 3 not in version
    assert version.tracked_at("nothing") is None
    assert list(photos_repo.dataset_of(None)) == []


def test_an_image_that_is_not_here(photos_repo: Repository) -> None:
    with photos_repo.edit(message="a promise") as edit:
        edit["later"] = Sample(uid=bytes(16), image=Image(uri="https://example.org/1.jpg"))
    version = photos_repo.at("HEAD")
    with pytest.raises(NotFoundError, match="pending"):
        version.image_bytes("later")
    assert version.tracked_at("later") is None
    assert "later" in version
    assert "later" not in {row.key for row in version.tracked()}


def test_staged_and_committed_are_read_alike(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[1], "felt")
    place(photos_repo, "hat/0.jpg", 8)
    take(photos_repo)
    staged = photos_repo.staged()
    folded = fold_roots(objects := MemoryObjects(), {}, dict(_all_rows(staged)))
    again = Dataset(objects, folded)
    assert list(again.items()) == list(staged.items())
    assert again.listing("hat") == staged.listing("hat")
    assert list(again.tracked()) == list(staged.tracked())
    assert write_snapshot(objects, folded)


def _all_rows(version: Dataset) -> list[tuple[tuple[str, bytes], bytes]]:
    return [((space, key), row) for space in (FILES, SAMPLES) for key, row in version.rows(space)]


# -- the token of the stat cache ------------------------------------------------------------------


def test_a_token_names_one_set_of_files(photos_repo: Repository) -> None:
    before = photos_repo.staged().token
    assert photos_repo.at("HEAD").token == before
    say(photos_repo, KEYS[0], "straw")
    after = photos_repo.staged().token
    assert after != before


def test_purged_images_have_no_file(photos_repo: Repository) -> None:
    from voyager.repo.purge import purge_blobs
    from voyager.repo.status import status

    before = photos_repo.at("HEAD")
    blob = before[KEYS[0]].image.blob_id
    assert blob is not None
    token = before.token
    done = purge_blobs(photos_repo, [blob], "asked to")
    assert (done.blobs, done.files) == (1, [KEYS[0]])
    now = photos_repo.at("HEAD")
    assert now.token != token
    assert now.tracked_at(KEYS[0]) is None
    assert KEYS[0] in now
    with pytest.raises(NotFoundError, match="was purged: asked to"):
        now.image_bytes(KEYS[0])
    found = status(photos_repo)
    assert (found.deleted, found.untracked, found.staged) == ([], [], [])


def test_file_rows_keep_the_executable_bit() -> None:
    objects = MemoryObjects()
    row = encode_file(FileRow(blob=blob_ref(bytes(32)), bytes=3, executable=True))
    version = Dataset(objects, fold_roots(objects, {}, {(FILES, b"tool.sh"): row}))
    tracked = version.tracked_at("tool.sh")
    assert tracked is not None
    assert (tracked.executable, tracked.size, tracked.blob) == (True, 3, bytes(32))


def test_it_reads_like_a_mapping(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    assert list(version.keys()) == list(version)
    assert [sample.uid for sample in version.values()] == [version[key].uid for key in version]
    assert dict(version) == dict(version.items())
    with pytest.raises(TypeError, match="nth"):
        version[0]  # type: ignore[index]
    assert version.commit is not None
    assert list(photos_repo.at(version.commit)) == list(version)
    assert version.commit.hex()[:12] in repr(version)
