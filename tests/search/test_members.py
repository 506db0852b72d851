"""The vectors of a version: work and bytes follow the change, and no cache is needed."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from voyager.derived.crops import Crop
from voyager.derived.embedded import Thing, Vectors
from voyager.repo.ancestors import sample_roots_before
from voyager.repo.dataset import Dataset
from voyager.repo.edit import Edit
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Box, Image, Region, Sample, sample_uid
from voyager.search.members import Of, VersionVectors
from voyager.search.vectors import VectorStore
from voyager.wire import blob_ref

MODEL = blake3(b"a model").digest()
DIMS = 8


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "repo", worktree=False) as made:
        yield made


class Maker:
    """Vectors made of ids alone, and a list of what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Mapping[bytes, Thing]] = []
        self.broken: set[bytes] = set()

    def __call__(self, things: Mapping[bytes, Thing]) -> Vectors:
        self.asked.append(things)
        ids = [one for one in things if one not in self.broken]
        return ids, np.array([[one[0] / 255 for _ in range(DIMS)] for one in ids]).reshape(-1, DIMS)

    def counts(self) -> list[int]:
        found, self.asked = list(map(len, self.asked)), []
        return found


def image(number: int) -> bytes:
    return b"image %d" % number


def blob(number: int) -> bytes:
    return blake3(image(number)).digest()


def sample(key: str, number: int, boxes: int = 0) -> Sample:
    regions = tuple(
        Region(id=bytes([at + 1]) * 16, geometries={"box": Box(at, at, at + 5.5, at + 7)})
        for at in range(boxes)
    )
    shown = Image(blob=blob_ref(blob(number)), bytes=len(image(number)), width=100, height=80)
    return Sample(uid=sample_uid(key.encode(), key), image=shown, regions=regions)


def put(edit: Edit, key: str, number: int, boxes: int = 0) -> None:
    edit[key] = sample(key, number, boxes)


def save(repo: Repository, samples: Mapping[str, int | None], boxes: int = 0) -> Dataset:
    """Commit samples by key and number of their image, None to remove one: the version."""
    with repo.transaction("blobs", "") as txn:
        for number in samples.values():
            if number is not None:
                txn.put_blob(image(number))
        txn.commit()
    with repo.edit(message="some") as edit:
        for key, number in samples.items():
            if number is None:
                del edit[key]
            else:
                put(edit, key, number, boxes)
    return repo.at("HEAD")


def vectors_of(repo: Repository, maker: Maker, of: Of = "images") -> VersionVectors:
    store = VectorStore(repo.folder / "cache" / "search" / "vectors", MODEL, DIMS)
    return VersionVectors(store, maker, of=of)


def test_a_child_asks_for_what_is_new_and_reads_what_differs(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = Maker()
    first = save(repo, {f"{n:03}": n for n in range(300)})
    assert vectors_of(repo, maker).members(first).count == 300
    assert maker.counts() == [300]
    second = save(repo, {"000": None, "001": 1000, "002": 5, "new": 1001})
    vectors = vectors_of(repo, maker)
    read: list[bytes] = []
    things = vectors.things
    monkeypatch.setattr(
        vectors, "things", lambda version, row: read.append(row) or things(version, row)
    )
    members = vectors.members(second)
    assert set(members.ids()) == {blob(n) for n in [*range(3, 300), 1000, 1001]}
    assert maker.counts() == [2]
    assert len(read) == 6
    again = vectors_of(repo, maker)
    monkeypatch.setattr(again, "things", None)
    assert again.members(second).ids() == members.ids()
    assert again.members(first).count == 300
    assert maker.counts() == []


def test_a_branch_adds_few_bytes(repo: Repository) -> None:
    maker = Maker()
    base = save(repo, {f"{n:04}": n for n in range(2000)})
    vectors = vectors_of(repo, maker)
    vectors.members(base)
    before = bytes_below(vectors.store.folder)
    vectors.members(save(repo, {"0005": 9999}))
    assert bytes_below(vectors.store.folder) - before < 600 + 2000 // 8


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_an_image_that_two_samples_share_stays_until_both_are_gone(repo: Repository) -> None:
    maker = Maker()
    vectors = vectors_of(repo, maker)
    members = vectors.members(save(repo, {"a": 1, "b": 1, "c": 1, "d": 2}))
    assert members.count == 2
    assert blob(1) in vectors.members(save(repo, {"a": None}))
    assert blob(1) in vectors_of(repo, maker).members(save(repo, {"b": 3}))
    assert blob(1) not in vectors.members(save(repo, {"c": None}))
    assert maker.counts() == [2, 1]


def test_what_has_no_vector_is_asked_for_again_and_comes_in_later(repo: Repository) -> None:
    maker = Maker()
    maker.broken = {blob(2), blob(3)}
    version = save(repo, {"a": 1, "b": 2, "c": 3, "d": 3})
    assert vectors_of(repo, maker).members(version).ids() == [blob(1)]
    child = save(repo, {"c": None})
    assert vectors_of(repo, maker).members(child).ids() == [blob(1)]
    maker.broken = set()
    assert set(vectors_of(repo, maker).members(child).ids()) == {blob(1), blob(2), blob(3)}
    assert maker.counts() == [3, 2, 2]
    last = save(repo, {"d": None})
    assert set(vectors_of(repo, maker).members(last).ids()) == {blob(1), blob(2)}


def test_regions_have_vectors_of_their_crops(repo: Repository) -> None:
    maker = Maker()
    version = save(repo, {"a": 1, "b": 2}, boxes=3)
    vectors = vectors_of(repo, maker, "regions")
    assert vectors.members(version).count == 6
    asked = maker.asked[0]
    crops = {thing for thing in asked.values() if isinstance(thing, Crop)}
    assert Crop(blob(2), (1, 1, 7, 8)) in crops
    assert all(one == thing.id for one, thing in asked.items() if isinstance(thing, Crop))
    named = list(vectors.named_things(version, version.row(SAMPLES, b"a") or b""))
    assert [region for region, _, _ in named] == [bytes([n]) * 16 for n in (1, 2, 3)]
    assert vectors.of_keys(version, ["b", "none"]).count == 3
    assert vectors_of(repo, maker, "images").members(version).count == 2


def test_staged_rows_count_too(repo: Repository) -> None:
    maker = Maker()
    version = save(repo, {"a": 1, "b": 2})
    edited = Dataset(
        version.objects,
        version.roots,
        {(SAMPLES, b"b"): version.row(SAMPLES, b"a") or b""},
    )
    vectors = vectors_of(repo, maker)
    assert vectors.members(edited).ids() == [blob(1)]
    assert vectors.members(version).count == 2
    assert vectors.members(Dataset(version.objects, {})).count == 0


def test_the_nearest_ancestor_is_taken_and_a_sibling_where_there_is_none(repo: Repository) -> None:
    maker = Maker()
    versions = [save(repo, {f"{n}": n}) for n in range(4)]
    roots = [version.roots[SAMPLES] for version in versions]
    assert list(sample_roots_before(versions[3], roots)) == roots[::-1]
    assert list(sample_roots_before(versions[2], [roots[0], roots[3]])) == [roots[0]]
    assert list(sample_roots_before(versions[2], [])) == []
    vectors = vectors_of(repo, maker)
    assert vectors.members(versions[3]).count == 4
    assert vectors.members(versions[0]).ids() == [blob(0)]
    assert maker.counts() == [4]


@pytest.mark.parametrize("loss", ["all", "versions", "segments", "manifest"])
def test_the_cache_may_go_at_any_time(repo: Repository, loss: str) -> None:
    maker = Maker()
    vectors = vectors_of(repo, maker)
    vectors.members(save(repo, {f"{n}": n for n in range(20)}))
    child = save(repo, {"3": None})
    folder = vectors.store.folder
    if loss == "all":
        shutil.rmtree(folder)
    elif loss == "manifest":
        (folder / "manifest").unlink()
    else:
        for path in folder.glob(f"{loss}*/*"):
            path.unlink()
    members = vectors.members(child)
    assert members.count == 19
    assert vectors_of(repo, maker).members(child).ids() == members.ids()


def test_damaged_vectors_are_made_again_before_the_answer(repo: Repository) -> None:
    maker = Maker()
    version = save(repo, {f"{n}": n for n in range(20)})
    vectors = vectors_of(repo, maker)
    query = np.ones(DIMS)
    expected = vectors.search(version, query, 5).hits
    [path] = (vectors.store.folder / "segments").iterdir()
    data = bytearray(path.read_bytes())
    data[-3] ^= 8
    path.write_bytes(data)
    found = vectors_of(repo, maker).search(version, query, 5)
    assert found.hits == expected
    assert found.plan.lost == 0
    assert maker.counts() == [20, 20]
    few = vectors.search(
        version, query, 5, keep=lambda: vectors.of_keys(version, ["1", "2", "none"]), exact=True
    )
    assert sorted(few.ids[0]) == sorted([blob(1), blob(2)])
    assert few.plan.members == 2


def test_a_damaged_file_of_a_version_acts_absent(repo: Repository) -> None:
    maker = Maker()
    version = save(repo, {f"{n}": n for n in range(20)})
    vectors = vectors_of(repo, maker)
    expected = vectors.members(version).ids()
    [path] = (vectors.store.folder / "versions-images").iterdir()
    for data in (b"", path.read_bytes()[:-1], b"x" * 100):
        path.write_bytes(data)
        assert vectors_of(repo, maker).members(version).ids() == expected
    assert maker.counts() == [20]


@given(data=st.data())
@examples(8, deep=150)
def test_any_history_equals_a_pass_over_the_version(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    keys, numbers = st.sampled_from("abcdef"), st.integers(0, 5)
    maker = Maker()
    with Repository.init(tmp_path_factory.mktemp("any") / "repo", worktree=False) as repo:
        now: dict[str, int] = {}
        versions: list[tuple[Dataset, dict[str, int]]] = []
        for _ in range(data.draw(st.integers(1, 5))):
            change: dict[str, int | None] = {}
            change.update(data.draw(st.dictionaries(keys, numbers, min_size=1, max_size=4)))
            gone = data.draw(st.sets(keys, max_size=2)) & set(now) - set(change)
            change.update(dict.fromkeys(gone))
            now = {key: n for key, n in {**now, **change}.items() if n is not None}
            if all(versions and versions[-1][1].get(key) == n for key, n in change.items()):
                continue
            versions.append((save(repo, change), now))
        maker.broken = {blob(n) for n in data.draw(st.sets(numbers, max_size=2))}
        for place in data.draw(st.permutations(range(len(versions)))):
            version, state = versions[place]
            found = vectors_of(repo, maker).members(version).ids()
            assert Counter(found) == Counter({blob(n) for n in state.values()} - maker.broken)
            maker.broken = {blob(n) for n in data.draw(st.sets(numbers, max_size=2))} & (
                maker.broken
            )
