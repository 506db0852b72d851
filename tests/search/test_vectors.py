"""Vectors: any search equals the plain one, whatever was added, deleted, merged or damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.errors import UsageError
from voyager.search import approximate, exact, halves, scanner, segment, vectors
from voyager.search.compaction import FAN, run_to_merge
from voyager.search.scanner import Found
from voyager.search.vectors import VectorStore
from voyager.store import files

MODEL = blake3(b"a model").digest()
DIMS = 12


def name(number: int) -> bytes:
    return blake3(number.to_bytes(4, "little")).digest()


def names(numbers: Sequence[int]) -> list[bytes]:
    return [name(number) for number in numbers]


def vector(number: int) -> np.ndarray:
    """Small whole numbers, so that many vectors have the same score."""
    return np.random.default_rng(number % 50).integers(-3, 4, DIMS).astype(np.float16)


def matrix(numbers: Sequence[int]) -> np.ndarray:
    return np.array([vector(number) for number in numbers], np.float16).reshape(-1, DIMS)


def opened(folder: Path, **options: Any) -> VectorStore:
    return VectorStore(folder, MODEL, DIMS, **options)


def filled(folder: Path, count: int, step: int = 100) -> VectorStore:
    store = opened(folder)
    for first in range(0, count, step):
        numbers = range(first, min(first + step, count))
        store.add(names(numbers), matrix(numbers))
    return store


def plain(query: np.ndarray, k: int, numbers: Sequence[int]) -> list[tuple[bytes, float]]:
    """The k best as nobody could doubt them."""
    scores = [float(np.float32(vector(n).astype(float) @ query.astype(float))) for n in numbers]
    return sorted(zip(names(numbers), scores, strict=True), key=lambda hit: (-hit[1], hit[0]))[:k]


def hits(found: Found) -> list[tuple[bytes, float]]:
    assert len(found.hits) == 1
    return [tuple(hit) for hit in found.hits[0]]


QUERY = np.arange(DIMS, dtype=np.float32) / 7 - 0.6


@pytest.mark.parametrize("memory", [0, 1 << 30])
@given(data=st.data())
@examples(25, deep=400)
def test_any_sequence_of_steps_equals_the_plain_search(
    tmp_path_factory: pytest.TempPathFactory, memory: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("vectors")
    store = opened(folder, memory_bytes=memory)
    known: set[int] = set()
    version: set[int] = set()
    numbers = st.lists(st.integers(0, 300), max_size=60)
    for step in data.draw(st.lists(st.sampled_from("adfsmo"), max_size=25)):
        if step == "a":
            some = data.draw(numbers)
            store.add(names(some), matrix(some))
            known.update(some)
            version.update(some)
        elif step == "d":
            version.difference_update(data.draw(numbers))
        elif step == "m":
            store.settle()
        elif step == "o":
            store = opened(folder, memory_bytes=memory)
        else:
            chosen = data.draw(numbers) if step == "f" else list(known)
            members = store.members(names(sorted(version))) & store.members(names(chosen))
            k = data.draw(st.integers(1, 20))
            query = np.array(
                data.draw(st.lists(st.floats(-2, 2, width=32), min_size=DIMS, max_size=DIMS)),
                np.float32,
            )
            expected = plain(query, k, sorted(version & set(chosen)))
            assert hits(store.search(query, k, members=members)) == expected
            assert hits(store.search(query, k, members=members, exact=True)) == expected
    assert len(store) == len(known)
    assert store.lacking(names(range(301))) == names([n for n in range(301) if n not in known])


def test_every_plan_gives_the_same_scores_and_ties_go_by_id(tmp_path: Path) -> None:
    store = filled(tmp_path, 400)
    numbers = [n for n in range(400) if n % 3]
    members = store.members(names(numbers))
    queries = np.random.default_rng(1).normal(size=(40, DIMS)).astype(np.float32)
    expected = [plain(query, 7, numbers) for query in queries]
    together = store.search(queries, 7, members=members)
    assert [[tuple(hit) for hit in one] for one in together.hits] == expected
    for gathered in (True, False):
        with changed(scanner, gathers=lambda *_, yes=gathered, **__: yes):
            for query, wanted in zip(queries, expected, strict=True):
                found = store.search(query, 7, members=members)
                assert hits(found) == wanted
                assert found.plan.gathered == gathered
    assert together.plan.kind == "exact"
    assert str(together.plan) == "exact over 266 of 400 vectors"


@pytest.mark.parametrize("count", [200, 3000])
def test_very_many_equal_vectors_are_told_apart_by_id(tmp_path: Path, count: int) -> None:
    numbers = range(0, 50 * count, 50)
    with changed(segment, STRETCH=128), changed(exact, STRETCH=128), changed(halves, STRETCH=128):
        store = opened(tmp_path)
        store.add(names(numbers), matrix(numbers))
        most = store.members(names(numbers[1:]))
        for members, expected in ((store.all(), numbers), (most, numbers[1:])):
            assert hits(store.search(QUERY, 3, members=members)) == plain(QUERY, 3, expected)
    zeros = np.zeros(DIMS)
    with changed(segment, STRETCH=128), changed(exact, STRETCH=128), changed(halves, STRETCH=128):
        assert hits(store.search(zeros, 3, members=most)) == plain(zeros, 3, numbers[1:])


@contextmanager
def changed(module: Any, **values: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for key, value in values.items():
            patch.setattr(module, key, value)
        yield


def test_a_filter_asked_again_finds_its_vectors_gathered(tmp_path: Path) -> None:
    store = filled(tmp_path, 400)
    few = store.members(names(range(0, 400, 40)))
    first = store.search(QUERY, 3, members=few)
    for path in (tmp_path / "segments").iterdir():
        path.unlink()
    assert first.plan.gathered
    assert str(first.plan) == "exact over 10 of 400 vectors, gathered"
    more = store.members(names(range(0, 400, 10)))
    found = [store.search(QUERY, 3, members=more) for _ in range(3)]
    assert [one.plan.gathered for one in found] == [False, True, True]
    assert hits(found[0]) == hits(found[1]) == hits(found[2])
    again = opened(tmp_path).members(names(range(0, 400, 40)))
    assert again.count == 0
    assert hits(store.search(QUERY, 3, members=few)) == hits(first)


def test_fewer_members_than_asked_for(tmp_path: Path) -> None:
    store = filled(tmp_path, 30)
    assert len(hits(store.search(QUERY, 100, members=store.all()))) == 30
    assert hits(store.search(QUERY, 5, members=store.members([]))) == []
    assert hits(opened(tmp_path / "none").search(QUERY, 5, members=store.members([]))) == []
    empty = opened(tmp_path / "none")
    assert hits(empty.search(QUERY, 5, members=empty.all())) == []
    assert empty.search(np.zeros((0, DIMS)), 5, members=empty.all()).hits == []


def test_sets_of_vectors(tmp_path: Path) -> None:
    store = filled(tmp_path, 60)
    even, low = store.members(names(range(0, 60, 2))), store.members(names(range(20)))
    assert (even & low).ids() == names(range(0, 20, 2))
    assert (low - even).ids() == names(range(1, 20, 2))
    assert (even | low).count == 40
    assert name(2) in even
    assert name(3) not in even
    assert name(1000) not in even
    store.add([name(60)], matrix([60]))
    later = store.members(names([0, 60]))
    assert (later & even).ids() == [name(0)]
    assert (even | later).ids() == [*names(range(0, 60, 2)), name(60)]


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path, 10)
    with pytest.raises(UsageError, match="matrix of 1×12, not 1×11"):
        store.add([name(1)], np.zeros((1, 11)))
    with pytest.raises(UsageError, match="infinite or none"):
        store.add([name(99)], np.full((1, DIMS), 1e9))
    with pytest.raises(UsageError, match="32 bytes"):
        store.add([b"short"], np.zeros((1, DIMS)))
    with pytest.raises(UsageError, match="queries have 12 numbers each, not 1×5"):
        store.search(np.zeros(5), 1, members=store.all())
    with pytest.raises(UsageError, match="infinite or none"):
        store.search(np.full(DIMS, np.nan), 1, members=store.all())
    with pytest.raises(UsageError, match="1 or more, not 0"):
        store.search(QUERY, 0, members=store.all())
    other = VectorStore(tmp_path, blake3(b"another").digest(), DIMS)
    for use in (lambda: len(other), lambda: other.add([name(99)], matrix([99]))):
        with pytest.raises(UsageError, match="of model"):
            use()


# -- files ---------------------------------------------------------------------------------------


def segment_files(folder: Path) -> list[Path]:
    return sorted((folder / "segments").iterdir(), key=lambda path: path.stat().st_size)


def test_many_additions_leave_few_segments(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(100):
        store.add([name(number)], matrix([number]))
    assert len(store.view.parts) < FAN
    store.settle()
    assert len(segment_files(tmp_path)) == len(store.view.parts)
    assert hits(store.search(QUERY, 9, members=store.all())) == plain(QUERY, 9, range(100))


@given(st.lists(st.integers(1, 10**7), max_size=200))
@examples(50, deep=1000)
def test_merging_leaves_few_of_each_size(counts: list[int]) -> None:
    while run := run_to_merge(counts):
        assert run.stop - run.start >= FAN
        counts[run] = [sum(counts[run])]
    small = max((sum(1 for _ in run) for run in [[c for c in counts if c < 1024]]), default=0)
    assert small < FAN * (1 + len([c for c in counts if c >= 1024]))


def test_a_membership_outlives_merges_and_the_deletion_of_the_cache(tmp_path: Path) -> None:
    store = filled(tmp_path, 300, step=20)
    members = store.members(names(range(0, 300, 7)))
    expected = plain(QUERY, 9, range(0, 300, 7))
    token = store.token
    other = opened(tmp_path)
    other.settle()
    assert store.token == token
    assert (store.all() & members).ids() == members.ids()
    shutil.rmtree(tmp_path)
    assert hits(store.search(QUERY, 9, members=members)) == expected
    assert len(store) == 0
    store.add(names(range(50)), matrix(range(50)))
    assert (store.members(names(range(50))) & members).ids() == names(range(0, 50, 7))
    assert hits(store.search(QUERY, 9, members=members)) == expected


@pytest.mark.parametrize("place", [0, 20, 60, 200, -1])
def test_a_damaged_segment_is_dropped_and_its_vectors_come_back(tmp_path: Path, place: int) -> None:
    with changed(vectors, run_to_merge=lambda *_: None):
        filled(tmp_path, 300)
        path = segment_files(tmp_path)[1]
        data = bytearray(path.read_bytes())
        data[place] ^= 1
        path.write_bytes(data)
        store = opened(tmp_path)
        found = store.search(QUERY, 5, members=store.members(names(range(300))))
        in_head = place in (0, 20, 60, 200)
        assert found.plan.lost == (0 if in_head else 100)
        lacking = store.lacking(names(range(300)))
        assert len(lacking) == 100
        numbers = [n for n in range(300) if name(n) in set(lacking)]
        assert store.token is None
        store.add(lacking, matrix(numbers))
        assert store.token is not None
    for one in (store, opened(tmp_path)):
        found = one.search(QUERY, 5, members=one.members(names(range(300))))
        assert hits(found) == plain(QUERY, 5, range(300))
        assert found.plan.lost == 0


@pytest.mark.parametrize("cut", [0, 10, 100, 3000])
def test_a_segment_cut_short_is_dropped(tmp_path: Path, cut: int) -> None:
    filled(tmp_path, 200)
    path = segment_files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:cut])
    store = opened(tmp_path)
    assert len(store) == 100
    store.add(names(range(200)), matrix(range(200)))
    assert len(opened(tmp_path)) == 200


@pytest.mark.parametrize("text", [b"", b"nonsense that is long enough for a digest of it"])
def test_a_manifest_of_another_version_or_damaged_is_made_anew(tmp_path: Path, text: bytes) -> None:
    filled(tmp_path, 100)
    (tmp_path / "manifest").write_bytes(text)
    store = opened(tmp_path)
    assert len(store) == 0
    store.add(names(range(100)), matrix(range(100)))
    assert len(opened(tmp_path)) == 100


@pytest.mark.parametrize("step", ["create", "write", "rename", "mkdir", "fsync"])
def test_a_full_disk_leaves_the_vectors_in_memory(tmp_path: Path, step: str) -> None:
    store = filled(tmp_path, 100)
    with full_disk(step):
        store.add(names(range(50, 200)), matrix(range(50, 200)))
        assert store.token is None
        assert hits(store.search(QUERY, 8, members=store.all())) == plain(QUERY, 8, range(200))
        store.settle()
        assert len(store) == 200
    other = opened(tmp_path)
    assert len(other) == 100
    other.add(names(range(180, 220)), matrix(range(180, 220)))
    assert len(store) == 220
    assert hits(store.search(QUERY, 8, members=store.all())) == plain(QUERY, 8, range(220))
    store.settle()
    assert store.token is not None
    assert len(opened(tmp_path)) == 220


@contextmanager
def full_disk(step: str) -> Iterator[None]:
    def fail(name: str, where: object, half: Callable[[], object] | None) -> None:
        if name == step:
            raise OSError(28, "No space left on device")

    with changed(files, watch=fail):
        yield


def test_two_processes_add_at_once(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from test_vectors import matrix, names, opened

        store = opened(Path(sys.argv[1]))
        first = int(sys.argv[2])
        for start in range(first, first + 400, 20):
            numbers = range(start, start + 40)
            store.add(names(numbers), matrix(numbers))
        store.settle()
        """
    )
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", program, str(tmp_path)]
    running = [
        subprocess.Popen([*command, str(first)], env={**os.environ, "PYTHONPATH": path})
        for first in (0, 200)
    ]
    assert [one.wait() for one in running] == [0, 0]
    store = opened(tmp_path)
    assert len(store) == 620
    assert hits(store.search(QUERY, 30, members=store.all())) == plain(QUERY, 30, range(620))
    assert len(store.view.parts) < 2 * FAN


# -- large segments ------------------------------------------------------------------------------


@cache
def real_vectors(count: int) -> np.ndarray:
    """Unit vectors of crops of the sample photos."""
    from PIL import Image

    from voyager.samples import photo_paths

    chance = np.random.default_rng(5)
    paths = photo_paths()
    found = []
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB").resize((96, 96)), np.float32)
        for _ in range(-(-count // len(paths))):
            side = int(chance.integers(32, 96))
            top, left = chance.integers(0, 97 - side, 2)
            at = np.linspace(0, side - 1, 8).astype(int)
            found.append(pixels[top + at[:, None], left + at].reshape(-1))
    flat = np.array(found)[chance.permutation(len(found))[:count]]
    flat -= flat.mean(axis=0)
    axes = np.linalg.eigh(flat.T @ flat)[1][:, -32:]
    flat = flat @ axes
    unit: np.ndarray = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float16)
    return unit


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VectorStore]:
    """4,000 real vectors, indexed as if they were many."""
    folder = tmp_path_factory.mktemp("large")
    store = VectorStore(folder, MODEL, 32)
    with changed(vectors, INDEXED_ROWS=1000):
        store.add(names(range(4000)), real_vectors(4500)[:4000])
        seen: list[tuple[int, int | None]] = []
        store.settle(lambda done, total: seen.append((done, total)))
        assert seen == [(0, 1), (1, 1)]
    yield store


def recall(found: Found, true: Found) -> float:
    pairs = zip(found.ids, true.ids, strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs]))


def test_an_index_finds_what_exact_search_finds(large: VectorStore) -> None:
    queries = real_vectors(4500)[4000:4200].astype(np.float32)
    half = large.members(names(range(0, 4000, 2)))
    for members in (large.all(), half):
        true = large.search(queries, 10, members=members, exact=True)
        found = large.search(queries, 10, members=members, exact=False)
        assert recall(found, true) >= 0.98
        assert found.plan.kind == "approximate"
        assert "lists read" in str(found.plan)
        assert found.plan.exact == 0
        inside = set(members.ids())
        assert all(one in inside for ids in found.ids for one in ids)
        exact_scores = [dict(true_hits) for true_hits in true.hits]
        for one, scores in zip(found.hits, exact_scores, strict=True):
            assert all(scores.get(hit.id, hit.score) == hit.score for hit in one)
    assert large.search(queries, 10, members=half).plan.kind == "exact"  # as few as they are
    with changed(scanner, APPROXIMATE_FROM=1000):
        assert large.search(queries, 10, members=large.all()).plan.kind == "approximate"


def test_vectors_behind_an_index_are_found_too(large: VectorStore, tmp_path: Path) -> None:
    shutil.copytree(large.folder, tmp_path / "copy")
    store = VectorStore(tmp_path / "copy", MODEL, 32)
    new = real_vectors(4500)[4200]
    store.add([name(9999)], [new])
    found = store.search(new.astype(np.float32), 1, members=store.all(), exact=False)
    assert found.ids == [[name(9999)]]
    assert (found.plan.kind, found.plan.exact) == ("approximate", 1)
    assert str(found.plan).endswith("lists read, 1 exactly")


def test_a_damaged_index_is_made_again_and_until_then_search_is_exact(
    large: VectorStore, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(large.folder, folder)
    path = next((folder / "segments").glob("*.ivf"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    store = VectorStore(folder, MODEL, 32)
    query = real_vectors(4500)[4300].astype(np.float32)
    found = store.search(query, 5, members=store.all(), exact=False)
    assert found.plan.kind == "exact"
    with changed(vectors, INDEXED_ROWS=1000):
        store.settle()
    assert store.search(query, 5, members=store.all(), exact=False).plan.kind == "approximate"


def test_without_faiss_search_is_exact(large: VectorStore) -> None:
    query = real_vectors(4500)[4300].astype(np.float32)
    with changed(approximate, has_faiss=lambda: False):
        found = large.search(query, 5, members=large.all(), exact=False)
    assert found.plan.kind == "exact"
    assert found.hits == large.search(query, 5, members=large.all(), exact=True).hits
