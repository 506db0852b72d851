"""Samples of another repository, with their uids, labels, classes and images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from label_repos import Coco, change, everything, load, photo, save, take, words

from voyager.errors import ExistsError, NotFoundError, UsageError
from voyager.formats.base import Holds
from voyager.formats.registry import format_named
from voyager.formats.repository import Taken, import_samples
from voyager.formats.torture import torture_version
from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.schema import Box

EVERYTHING: Holds = format_named("jsonl").holds


@pytest.fixture
def other(tmp_path: Path, _author: None) -> Iterator[Repository]:
    """Another repository: three photos with a cat and a dog each."""
    made = Coco("cat", "dog")
    for name in ("a.png", "b.png", "sub/c.png"):
        photo(tmp_path / "source", name)
        image = made.image(name)
        made.box(image, 2, 3, 20, 10, category=1)
        made.box(image, 30, 20, 12, 14, category=2)
    with Repository.init(tmp_path / "other") as found:
        take(found, made.write(tmp_path / "source" / "labels.json"))
        save(found)
        yield found


def bring(repo: Repository, other: Repository, *keys: str, **options: object) -> Taken:
    return import_samples(repo, f"{other.tree()}@HEAD", keys, **options)  # type: ignore[arg-type]


def test_all_of_it_comes_as_it_is(repo: Repository, other: Repository) -> None:
    done = bring(repo, other)
    assert (done.samples, done.added, len(done.report)) == (3, 3, 0)
    for key, sample in other.staged().items():
        mine = repo.staged()[key]
        assert (mine.uid, mine.regions, mine.image) == (sample.uid, sample.regions, sample.image)
        assert (repo.tree() / key).read_bytes() == other.staged().image_bytes(key)
    assert words(repo, "a.png") == ["cat", "dog"]
    assert done.as_json()["from"].startswith("other@")


def test_the_torture_version_comes_whole(repo: Repository, tmp_path: Path) -> None:
    with Repository.init(tmp_path / "third") as third:
        load(third, torture_version(EVERYTHING))
        bring(repo, third)
        for key, sample in third.staged().items():
            mine = repo.staged()[key]
            assert mine.regions == sample.regions
            assert mine.labels == sample.labels
        assert set(repo.staged().vocabulary.tasks) == set(third.staged().vocabulary.tasks)
        before = everything(repo)
        assert bring(repo, third).unchanged == len(list(third.staged()))
        assert everything(repo) == before


def test_a_second_time_brings_nothing_and_edits_stay(repo: Repository, other: Repository) -> None:
    bring(repo, other)
    before = everything(repo)
    assert bring(repo, other).unchanged == 3
    assert everything(repo) == before
    change(repo, "a.png", regions=repo.staged()["a.png"].regions[:1])
    edited = repo.staged()["a.png"]
    change(other, "b.png", regions=other.staged()["b.png"].regions[:1])
    save(other)
    done = bring(repo, other)
    assert (done.updated, len(repo.staged()["b.png"].regions)) == (1, 1)
    assert repo.staged()["a.png"] == edited
    assert not done.report  # nothing new was said of it there
    change(other, "a.png", split="test")
    save(other)
    done = bring(repo, other)
    assert done.updated == 0
    assert repo.staged()["a.png"] == edited
    assert "left as it is" in next(kind for _, kind, _ in done.report)


def test_some_of_it_below_a_folder(repo: Repository, other: Repository) -> None:
    bring(repo, other, where="key like 'sub/%'", to="theirs")
    assert list(repo.staged()) == ["theirs/sub/c.png"]
    bring(repo, other, "a.*")
    assert list(repo.staged()) == ["a.png", "theirs/sub/c.png"]


def test_classes_of_the_same_name_are_one(
    repo: Repository, other: Repository, tmp_path: Path
) -> None:
    made = Coco("dog", "cow")
    made.box(made.image("mine.png"), 1, 2, 3, 4)
    photo(tmp_path / "mine", "mine.png")
    take(repo, made.write(tmp_path / "mine" / "labels.json"))
    bring(repo, other)
    taxonomy = repo.staged().vocabulary.taxonomy_of("category")
    assert taxonomy is not None
    assert sorted(taxonomy.class_name(node) or "" for node in taxonomy) == ["cat", "cow", "dog"]
    assert words(repo, "a.png") == ["cat", "dog"]
    assert words(repo, "mine.png") == ["dog"]


def test_a_key_of_another_sample_is_refused(
    repo: Repository, other: Repository, tmp_path: Path
) -> None:
    made = Coco("x")
    made.box(made.image("a.png"), 1, 2, 3, 4)
    photo(tmp_path / "mine", "a.png", 32, 32)
    take(repo, made.write(tmp_path / "mine" / "labels.json"))
    before = everything(repo)
    with pytest.raises(ExistsError, match=r"a\.png"):
        bring(repo, other)
    assert everything(repo) == before
    assert bring(repo, other, to="theirs").added == 3


def test_a_sample_that_moved_there(repo: Repository, other: Repository) -> None:
    bring(repo, other)
    save(repo)
    move(other, ["a.png"], "moved.png")
    regions = other.staged()["moved.png"].regions
    change(other, "moved.png", regions=(regions[0].replace(geometries={"box": Box(0, 0, 9, 9)}),))
    save(other)
    bring(repo, other)
    (key,) = (k for k, s in repo.staged().items() if s.uid == other.staged()["moved.png"].uid)
    assert len(repo.staged()[key].regions) == 1


def test_a_dry_run_and_what_is_not_there(
    repo: Repository, other: Repository, tmp_path: Path
) -> None:
    before = repo.staging
    assert bring(repo, other, dry_run=True).added == 3
    assert repo.staging == before
    assert not (repo.tree() / "a.png").exists()
    with pytest.raises(NotFoundError):
        import_samples(repo, f"{tmp_path / 'nowhere'}@HEAD")
    with pytest.raises(NotFoundError):
        import_samples(repo, f"{other.tree()}@nope")
    with pytest.raises(UsageError, match="that is this repository"):
        import_samples(repo, f"{repo.tree()}@HEAD")
