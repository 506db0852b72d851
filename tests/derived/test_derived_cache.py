"""The cache of derived values: computed once, shared, and harmless when it is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from derived_images import forbidden, photos, reader
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voyager.derived import value_batches, value_index
from voyager.derived.cache import DerivedCache, Progress, Values
from voyager.derived.picture import Picture
from voyager.derived.registry import METHODS, Method
from voyager.derived.value_file import ValueFile
from voyager.derived.value_index import Entries, ValueIndex
from voyager.errors import StateError
from voyager.store import files
from voyager.store.ids import blob_id

LIKENESS = METHODS["likeness"]
ALL = [method for method in METHODS.values() if method.size]


def _reversed(data: Sequence[bytes]) -> list[bytes | None]:
    return [one[::-1] or None for one in data]


def _same(picture: Picture) -> bytes:
    return picture.data


BACKWARDS = Method("backwards", 1, "cheap", _same, _reversed)
"""A method whose values vary in size; empty bytes have none."""


def texts(count: int, start: int = 0) -> dict[bytes, bytes]:
    data = [b"text %d " % number * (number % 7 + 1) for number in range(start, start + count)]
    return {blob_id(one): one for one in data}


def backwards(images: dict[bytes, bytes]) -> dict[bytes, bytes]:
    return {key: data[::-1] for key, data in images.items()}


def compute(folder: Path, images: dict[bytes, bytes], method: Method = BACKWARDS) -> Values:
    return DerivedCache(folder).compute(method, images, reader(images))


def values_on_disk(folder: Path, method: Method = BACKWARDS) -> Path:
    return folder / f"{method.name}-{method.version}"


@pytest.mark.parametrize("method", ALL, ids=str)
def test_kept_values_are_the_computed_ones(tmp_path: Path, method: Method) -> None:
    images = photos(20)
    expected = dict(zip(images, method(list(images), list(images.values())), strict=True))
    first = compute(tmp_path, images, method)
    assert first.as_dict() == expected
    again = DerivedCache(tmp_path).compute(method, images, forbidden)
    assert again.as_dict() == expected
    assert again.ids == list(images)
    assert (again.matrix == first.matrix).all()
    assert again.matrix.shape == (20, method.size)


def test_an_image_is_read_once_for_several_methods_and_never_again(tmp_path: Path) -> None:
    images = photos(12)
    asked: list[bytes] = []

    def read(ids: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None]]:
        asked.extend(ids)
        return reader(images)(ids)

    cache = DerivedCache(tmp_path)
    ids = list(images)
    cache.compute(LIKENESS, ids[:4], read)
    found = cache.compute_all(ALL, [*ids, *ids], read)
    assert asked == ids[:4] + ids
    assert {name: values.ids for name, values in found.items()} == dict.fromkeys(
        [one.name for one in ALL], ids
    )
    assert cache.compute_all(ALL, ids[::-1], forbidden)["likeness"].ids == ids[::-1]


def test_images_that_are_not_here_are_missing_until_they_come(tmp_path: Path) -> None:
    images = photos(6)
    here = dict(list(images.items())[:4])
    cache = DerivedCache(tmp_path)
    found = cache.compute(LIKENESS, images, reader(here))
    assert found.ids == list(here)
    assert found.missing == list(images)[4:]
    assert cache.known(LIKENESS, images).missing == found.missing
    silent = cache.compute(LIKENESS, images, lambda ids: [])
    assert silent.missing == found.missing
    assert not cache.compute(LIKENESS, images, reader(images)).missing


def test_what_cannot_be_decoded_is_not_tried_again(tmp_path: Path) -> None:
    images = {**photos(2), blob_id(b"no image"): b"no image"}
    found = compute(tmp_path, images, LIKENESS)
    assert found.failed == [blob_id(b"no image")]
    assert found.ids == list(photos(2))
    assert DerivedCache(tmp_path).compute(LIKENESS, images, forbidden).failed == found.failed


def test_another_version_is_computed_anew(tmp_path: Path) -> None:
    images = photos(3)
    compute(tmp_path, images, LIKENESS)
    newer = replace(LIKENESS, version=9, finish=lambda squares: [bytes(4608) for _ in squares])
    cache = DerivedCache(tmp_path)
    assert not cache.known(newer, images).ids
    assert cache.known(LIKENESS, images).matrix.any()
    assert not cache.compute(newer, images, reader(images)).matrix.any()
    assert [kept.version for kept in cache.kept()] == [9]  # older values went
    compute(tmp_path, images, LIKENESS)
    assert len(cache.known(newer, images)) == 3


def test_values_of_any_size_are_kept(tmp_path: Path) -> None:
    images = {**texts(5000), blob_id(b""): b""}
    found = compute(tmp_path, images)
    assert found.as_dict() == backwards(texts(5000))
    assert found.failed == [blob_id(b"")]
    again = DerivedCache(tmp_path)
    some = list(texts(5000))[::-7]
    assert again.known(BACKWARDS, some).as_dict() == {key: images[key][::-1] for key in some}
    assert again.compute(BACKWARDS, images, forbidden).as_dict() == found.as_dict()


@pytest.mark.parametrize("method", [BACKWARDS, LIKENESS], ids=str)
def test_some_values_can_be_taken_out(tmp_path: Path, method: Method) -> None:
    images = photos(9)
    values = compute(tmp_path, images, method)
    some = list(images)[1::3]
    assert values.only(set(some)).ids == some
    assert set(values.only(some)) == {pair for pair in values if pair[0] in some}
    assert values.only(()).ids == []


def test_progress_counts_what_had_to_be_read(tmp_path: Path) -> None:
    images = texts(100)
    told: list[tuple[int, int | None]] = []
    cache = DerivedCache(tmp_path)
    cache.compute(BACKWARDS, list(images)[:40], reader(images))
    cache.compute(BACKWARDS, images, reader(images), progress=lambda *step: told.append(step))
    assert told[-1] == (60, 60)
    assert told == sorted(told)


def test_what_was_done_is_kept_when_the_reader_fails(tmp_path: Path) -> None:
    images = texts(1000)

    def read(ids: Sequence[bytes]) -> Iterable[tuple[bytes, bytes | None]]:
        yield from list(images.items())[:800]
        raise OSError("the disk is gone")

    cache = DerivedCache(tmp_path)
    with pytest.raises(OSError, match="the disk is gone"):
        cache.compute(BACKWARDS, images, read)
    assert len(cache.known(BACKWARDS, images)) >= 64


def test_dropped_values_are_gone_for_every_user(tmp_path: Path) -> None:
    images = texts(20)
    compute(tmp_path, images)
    watching, dropping = DerivedCache(tmp_path), DerivedCache(tmp_path)
    assert len(watching.known(BACKWARDS, images)) == 20
    dropping.drop(BACKWARDS)
    assert not watching.known(BACKWARDS, images).ids
    compute(tmp_path, images)
    assert len(watching.known(BACKWARDS, images)) == 20
    dropping.drop()
    assert not tmp_path.exists()
    assert len(watching.compute(BACKWARDS, images, reader(images))) == 20


# --- damage ---


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_flipped_or_lost_byte_never_gives_a_wrong_value(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    for start in (0, 30, 60):
        compute(folder, texts(30, start))
    path = values_on_disk(folder)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[at] ^= data.draw(st.integers(1, 255))
    else:
        del content[at:]
    path.write_bytes(content)
    images = texts(90)
    assert set(DerivedCache(folder).known(BACKWARDS, images)) <= set(backwards(images).items())
    assert compute(folder, images).as_dict() == backwards(images)
    assert DerivedCache(folder).compute(BACKWARDS, images, forbidden).as_dict() == (
        backwards(images)
    )


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_damage_of_values_of_one_size_costs_a_computation(tmp_path: Path, place: str) -> None:
    images = photos(9)
    ids = list(images)
    for start in (0, 3, 6):
        compute(tmp_path, {key: images[key] for key in ids[start : start + 3]}, LIKENESS)
    path = values_on_disk(tmp_path, LIKENESS)
    content = bytearray(path.read_bytes())
    content[{"start": 40, "middle": len(content) // 2, "end": -1}[place]] ^= 1
    path.write_bytes(content)
    known = DerivedCache(tmp_path).known(LIKENESS, images)
    assert len(known) == {"start": 0, "middle": 6, "end": 6}[place]
    expected = dict(zip(ids, LIKENESS(ids, list(images.values())), strict=True))
    assert compute(tmp_path, images, LIKENESS).as_dict() == expected
    assert DerivedCache(tmp_path).compute(LIKENESS, images, forbidden).as_dict() == expected


def test_a_file_of_something_else_is_replaced(tmp_path: Path) -> None:
    values_on_disk(tmp_path).write_bytes(b"what is this? " * 100)
    assert compute(tmp_path, texts(4)).as_dict() == backwards(texts(4))
    assert len(DerivedCache(tmp_path).known(BACKWARDS, texts(4))) == 4


def test_without_a_writable_folder_values_are_kept_in_memory(tmp_path: Path) -> None:
    (tmp_path / "derived").write_text("a file where the folder should be")
    cache = DerivedCache(tmp_path / "derived")
    images = photos(8)
    assert len(cache.compute(LIKENESS, images, reader(images))) == 8
    assert len(cache.compute(LIKENESS, images, forbidden)) == 8
    assert cache.compute(BACKWARDS, images, reader(images)).as_dict() == backwards(images)


def test_a_full_disk_costs_no_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = texts(50)
    compute(tmp_path, texts(10))

    def full(step: str, where: object, half: files.Half | None) -> None:
        if step == "write" and half is not None:
            half()
            raise OSError(28, "no space left")

    cache = DerivedCache(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(files, "watch", full)
        assert cache.compute(BACKWARDS, images, reader(images)).as_dict() == backwards(images)
    assert len(DerivedCache(tmp_path).known(BACKWARDS, images)) == 10
    assert compute(tmp_path, images).as_dict() == backwards(images)
    assert len(DerivedCache(tmp_path).known(BACKWARDS, images)) == 50


def test_ids_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    ids = [b"8 bytes." + bytes([number]) * 24 for number in range(4)]
    file = ValueFile(tmp_path / "values", 1)
    file.add(ids, [b"a", b"b", b"c", b"d"])
    entries = file.find(ids)
    known = entries >= 0
    assert known.any()
    with file.opened():
        rows = file.matrix(entries[known])
    assert rows is not None
    assert rows[:, 0].tolist() == [b"abcd"[place] for place in np.flatnonzero(known)]
    assert (file.find([b"8 bytes." + bytes(23) + b"x"]) == -1).all()


@given(st.lists(st.lists(st.integers(0, 40), max_size=30, unique=True), max_size=12))
@examples(60, deep=1000)
def test_an_index_finds_the_last_entry_of_an_id(batches: list[list[int]]) -> None:
    index, last, entry = ValueIndex(), {}, 0
    for batch in batches:
        ids = [blob_id(b"%d" % number) for number in batch]
        index.extend([value_batches.parse(ids, [b"a"] * len(ids))] if ids else [])
        for one in ids:
            last[one] = entry
            entry += 1
    asked = [blob_id(b"%d" % number) for number in range(42)]
    assert index.find(asked).tolist() == [last.get(one, -1) for one in asked]


def test_an_index_that_grows_moves_an_entry_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    sort, moved = value_index._sorted, []

    def counting(keys: NDArray[np.uint64], entries: Entries) -> object:
        moved.append(len(keys))
        return sort(keys, entries)

    monkeypatch.setattr(value_index, "_sorted", counting)
    index = ValueIndex()
    for start in range(0, 20_000, 20):
        ids = [blob_id(b"%d" % number) for number in range(start, start + 20)]
        index.extend([value_batches.parse(ids, [b""] * 20)])
    assert len(index) == 20_000
    assert sum(moved) < 12 * len(index)


def test_an_open_cache_holds_no_values(tmp_path: Path) -> None:
    size, count = 1 << 16, 512
    wide = Method("wide", 1, "cheap", _same, lambda data: data, size)
    ids = [blob_id(b"%d" % number) for number in range(count)]
    values = [bytes([number % 251]) * size for number in range(count)]
    for start in range(0, count, 64):
        some = slice(start, start + 64)
        file = ValueFile(values_on_disk(tmp_path, wide), size)
        file.add(ids[some], values[some])
    cache = DerivedCache(tmp_path)
    tracemalloc.start()
    try:
        found = cache.known(wide, ids[::100])
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.as_dict() == dict(zip(ids[::100], values[::100], strict=True))
    assert held < most < size * count / 16


@pytest.mark.parametrize("place", ["values", "file"])
def test_a_reader_of_values_of_one_size_gives_no_damaged_one(tmp_path: Path, place: str) -> None:
    images = photos(8)
    expected = compute(tmp_path, images, LIKENESS).as_dict()
    path = values_on_disk(tmp_path, LIKENESS)
    with DerivedCache(tmp_path).open_reader(LIKENESS) as values:
        assert {one: values.get(one) for one in images} == expected
    data = bytearray(path.read_bytes())
    data[-1 if place == "values" else 20] ^= 1
    path.write_bytes(data)
    with DerivedCache(tmp_path).open_reader(LIKENESS) as values:
        assert {values.get(one) for one in images} == {None}


# --- somebody deletes it ---


def deleting(folder: Path, times: int) -> Progress:
    """Progress that deletes the cache while it is told of, so many times."""
    left = [times]

    def progress(_done: int, _total: int | None) -> None:
        if left[0]:
            left[0] -= 1
            files.remove_tree(folder)

    return progress


@pytest.mark.parametrize("method", [BACKWARDS, LIKENESS], ids=str)
@pytest.mark.parametrize("times", [1, 2])
def test_values_that_are_deleted_meanwhile_are_made_again(
    tmp_path: Path, method: Method, times: int
) -> None:
    images = photos(9)
    folder, missing = tmp_path / "derived", blob_id(b"nowhere")
    compute(folder, photos(5), method)
    found = DerivedCache(folder).compute(
        method, [*images, missing], reader(images), progress=deleting(folder, times)
    )
    assert found.as_dict() == compute(tmp_path / "other", images, method).as_dict()
    assert found.missing == [missing]
    assert not found.failed


def test_a_pass_says_that_its_values_are_deleted(tmp_path: Path) -> None:
    images, folder = texts(9), tmp_path / "derived"
    compute(folder, texts(5))
    cache = DerivedCache(folder)
    with pytest.raises(StateError, match="values of backwards are deleted while they are made"):
        cache.fill([BACKWARDS], images, reader(images), progress=deleting(folder, 99))
    done = cache.fill([BACKWARDS], images, reader(images), progress=deleting(folder, 1))
    assert done.computed == 9
    assert done.missing == []


# --- processes ---

_PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {tests!r}
from test_derived_cache import BACKWARDS, DerivedCache, reader, texts
cache = DerivedCache(Path({folder!r}))
print("ready", flush=True)
sys.stdin.readline()
for start in range({first}, {first} + 400, 10):
    images = texts(20, start)
    found = cache.compute(BACKWARDS, images, reader(images))
    assert found.as_dict() == {{key: data[::-1] for key, data in images.items()}}
    print(start, flush=True)
"""


def _process(folder: Path, first: int) -> subprocess.Popen[str]:
    tests = [str(one) for one in Path(__file__).parents[:2]]
    program = _PROGRAM.format(tests=tests, folder=str(folder), first=first)
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def test_two_processes_share_a_cache(tmp_path: Path) -> None:
    children = [_process(tmp_path, first) for first in (0, 200)]
    outputs = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        outputs.append(child.communicate()[0])
        assert child.returncode == 0
    assert all(len(output.split()) == 40 for output in outputs)
    images = texts(610)
    assert DerivedCache(tmp_path).compute(BACKWARDS, images, forbidden).as_dict() == (
        backwards(images)
    )
    everything = b"".join(data[::-1] for data in images.values())
    assert values_on_disk(tmp_path).stat().st_size < 2 * (len(everything) + 36 * len(images))


def test_a_killed_process_leaves_a_sound_cache(tmp_path: Path) -> None:
    child = _process(tmp_path, 0)
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write("go\n")
    child.stdin.flush()
    for _ in range(7):
        child.stdout.readline()
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    images = texts(420)
    known = DerivedCache(tmp_path).known(BACKWARDS, images)
    assert len(known) >= 70
    assert set(known) <= set(backwards(images).items())
    assert compute(tmp_path, images).as_dict() == backwards(images)
