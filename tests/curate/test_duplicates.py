"""Duplicates: what is found, which is kept, and what becomes of the others."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from voyager.curate.duplicates import find_duplicates
from voyager.curate.groups import KINDS, Duplicate, Group, Sets, groups_of, star, surest
from voyager.curate.removal import remove_duplicates
from voyager.derived.computing import Read
from voyager.derived.registry import Source
from voyager.errors import NotFoundError, UsageError
from voyager.repo.add import Options, add
from voyager.repo.commit import commit
from voyager.repo.deriving import derived_cache, image_reader
from voyager.repo.repository import Repository
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.undo import undo
from voyager.samples import photo_paths
from voyager.schema import Box, Label, Region
from voyager.store.objects import ObjectReader

PHOTOS = photo_paths()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Six photos: two in test, four in train."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with Repository.init(tmp_path / "work") as made:
        for number in range(6):
            put(made, f"{'test' if number < 2 else 'train'}/{number}.jpg", number)
        take(made)
        yield made


def put(
    repo: Repository,
    key: str,
    number: int,
    change: Callable[[Image.Image], Image.Image] | None = None,
) -> None:
    """A photo in the working tree: as it is, or changed and encoded anew."""
    path = repo.tree() / key
    path.parent.mkdir(parents=True, exist_ok=True)
    if change is None:
        shutil.copyfile(PHOTOS[number], path)
        return
    with Image.open(PHOTOS[number]) as photo:
        change(photo.convert("RGB")).save(path)


def take(repo: Repository) -> None:
    """Add everything, the split by the first folder, and commit it with nothing held."""
    add(repo, ["."], cwd=repo.tree(), options=Options(split_from_folder=True))
    commit(repo, "photos")


def same(image: Image.Image) -> Image.Image:
    return image


def cropped(image: Image.Image) -> Image.Image:
    width, height = image.size
    return image.crop((width // 30, 0, width, height - height // 25))


def pairs(repo: Repository, *kinds: str, **options: object) -> list[tuple[str, str, str]]:
    found = find_duplicates(repo, repo.at("HEAD"), kinds or KINDS[:3], **options)
    return [pair[:3] for pair in found.pairs]


def test_each_kind_is_found(repo: Repository) -> None:
    assert pairs(repo, *KINDS) == []
    put(repo, "train/bytes.jpg", 2)
    put(repo, "train/pixels.png", 3, same)
    put(repo, "train/near.jpg", 4, cropped)
    put(repo, "train/mirror.jpg", 5, ImageOps.mirror)
    take(repo)
    assert pairs(repo, "bytes") == [("train/2.jpg", "train/bytes.jpg", "bytes")]
    assert pairs(repo, "pixels") == [
        ("train/2.jpg", "train/bytes.jpg", "pixels"),
        ("train/3.jpg", "train/pixels.png", "pixels"),
    ]
    assert pairs(repo) == [
        ("train/2.jpg", "train/bytes.jpg", "bytes"),
        ("train/3.jpg", "train/pixels.png", "pixels"),
        ("train/4.jpg", "train/near.jpg", "near"),
        ("train/5.jpg", "train/mirror.jpg", "near"),
    ]
    semantic = pairs(repo, "semantic")
    assert {("train/2.jpg", "train/bytes.jpg"), ("train/5.jpg", "train/mirror.jpg")} <= {
        pair[:2] for pair in semantic
    }
    assert pairs(repo, "near", threshold=0) == [("train/2.jpg", "train/bytes.jpg", "near")]
    assert ("train/3.jpg", "train/pixels.png", "near") in pairs(repo, "near", threshold=3)


def test_only_across_splits(repo: Repository) -> None:
    put(repo, "train/bytes.jpg", 2)
    put(repo, "test/leak.jpg", 3, cropped)
    put(repo, "val/again.jpg", 0)
    put(repo, "val/third.jpg", 0)
    take(repo)
    assert pairs(repo, across=["train", "test"]) == [("test/leak.jpg", "train/3.jpg", "near")]
    assert pairs(repo, across=["test", "val"]) == [
        ("test/0.jpg", "val/again.jpg", "bytes"),
        ("test/0.jpg", "val/third.jpg", "bytes"),
    ]
    assert len(pairs(repo, across=["train", "test", "val"])) == 3
    assert pairs(repo, "semantic", across=["test", "val"])[0][2] == "semantic"
    with pytest.raises(NotFoundError, match="no sample is in a split 'tset'") as told:
        pairs(repo, across=["train", "tset"])
    assert told.value.hint == "splits are test, train, val"
    with pytest.raises(UsageError, match="need two of them"):
        pairs(repo, across=["train", "train"])


def test_a_group_keeps_the_protected_the_largest_and_the_most_labeled(repo: Repository) -> None:
    put(repo, "train/leak.jpg", 0, lambda image: image.resize((800, 1066)))
    put(repo, "train/half.jpg", 2, lambda image: image.reduce(2))
    put(repo, "train/third.jpg", 3)
    take(repo)
    with StagedEdit(repo, "edit-row") as change:
        change["train/third.jpg"] = change["train/third.jpg"].replace(
            labels=(Label(task="note", value="a hat"),)
        )
    groups = find_duplicates(repo, repo.staged()).groups
    assert [[member.key for member in group.members] for group in groups] == [
        ["train/third.jpg", "train/3.jpg"],
        ["test/0.jpg", "train/leak.jpg"],
        ["train/2.jpg", "train/half.jpg"],
    ]
    assert [group.kind for group in groups] == ["bytes", "near", "near"]
    assert [member.instead for member in groups[0].members] == [None, "train/third.jpg"]


def test_images_that_cannot_be_looked_at_are_named(repo: Repository) -> None:
    broken = repo.tree() / "train/broken.jpg"
    broken.write_bytes(PHOTOS[7].read_bytes()[:3000])
    Image.new("RGB", (64, 64), (20, 30, 40)).save(repo.tree() / "train/plain.png")
    Image.new("RGB", (60, 60), (20, 30, 41)).save(repo.tree() / "train/plainer.png")
    take(repo)
    found = find_duplicates(repo, repo.at("HEAD"))
    assert found.pairs == []
    assert (found.images, found.plain) == (9, 2)
    assert found.unchecked == ["train/broken.jpg"]


def test_all_kinds_are_looked_for_in_one_pass(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[bytes] = Counter()

    def noting(objects: ObjectReader) -> Read:
        def read_and_note(ids: Sequence[bytes]) -> Iterable[tuple[bytes, Source | None]]:
            read.update(ids)
            return image_reader(objects)(ids)

        return read_and_note

    monkeypatch.setattr("voyager.curate.duplicates.image_reader", noting)
    find_duplicates(repo, repo.at("HEAD"), ["bytes", "pixels", "semantic"])
    assert sorted(read.values()) == [1] * 6


def test_a_second_look_reads_no_image(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    put(repo, "train/near.jpg", 4, cropped)
    take(repo)
    first = find_duplicates(repo, repo.at("HEAD"), KINDS)
    monkeypatch.setattr(
        "voyager.curate.duplicates.image_reader",
        lambda _: lambda ids: pytest.fail(f"{len(ids)} images were read") if ids else iter(()),
    )
    again = find_duplicates(repo, repo.at("HEAD"), KINDS)
    assert again.pairs == first.pairs
    assert again.groups == first.groups


def test_likenesses_are_kept_of_candidates_alone(repo: Repository) -> None:
    from voyager.derived.registry import METHODS
    from voyager.repo.deriving import keys_of_images

    put(repo, "train/near.jpg", 4, cropped)
    take(repo)
    find_duplicates(repo, repo.at("HEAD"))
    blobs = keys_of_images(repo.at("HEAD"))
    kept = derived_cache(repo).known(METHODS["likeness"], blobs)
    assert {key for blob in kept.ids for key in blobs[blob]} >= {"train/4.jpg", "train/near.jpg"}
    assert len(kept) < len(blobs)


def test_bad_kinds_and_thresholds_are_refused(repo: Repository) -> None:
    with pytest.raises(UsageError, match="no kind of duplicates 'neer'") as told:
        pairs(repo, "bytes", "neer")
    assert told.value.hint == "did you mean 'near'?"
    with pytest.raises(UsageError, match="a distance from 0 to 100, not 101"):
        pairs(repo, threshold=101)
    for kinds in (("bytes",), ("near", "semantic")):
        with pytest.raises(UsageError, match="a threshold is about near or about semantic"):
            pairs(repo, *kinds, threshold=20)
    with pytest.raises(UsageError, match="a model is about semantic duplicates"):
        find_duplicates(repo, repo.staged(), ["near"], model="default")


def test_duplicates_are_removed_in_one_operation(repo: Repository) -> None:
    put(repo, "train/bytes.jpg", 2)
    put(repo, "train/near.jpg", 4, cropped)
    take(repo)
    found = find_duplicates(repo, repo.staged())
    done = remove_duplicates(repo, found.groups)
    assert sorted(done.removed) == ["train/bytes.jpg", "train/near.jpg"]
    assert not (repo.tree() / "train/bytes.jpg").exists()
    assert find_duplicates(repo, repo.staged()).pairs == []
    undo(repo)
    assert (repo.tree() / "train/bytes.jpg").exists()
    assert len(find_duplicates(repo, repo.staged()).pairs) == 2
    assert remove_duplicates(repo, []).removed == []


def test_labels_of_the_removed_are_taken_where_they_mean_the_same(repo: Repository) -> None:
    put(repo, "train/pixels.png", 3, same)
    put(repo, "train/near.jpg", 4, cropped)
    take(repo)
    with StagedEdit(repo, "edit-row") as change:
        for key, word in (("train/pixels.png", "red"), ("train/near.jpg", "blue")):
            box = Region(id=bytes(15) + word.encode()[:1], geometries={"box": Box(1, 2, 30, 40)})
            change[key] = change[key].replace(
                labels=(Label(task="note", value=word),), regions=(box,), meta={"sender": word}
            )
        change["train/3.jpg"] = change["train/3.jpg"].replace(
            labels=tuple(Label(task="other", value=word) for word in "abcd")
        )
    found = find_duplicates(repo, repo.staged())
    told = remove_duplicates(repo, found.groups)
    undo(repo)
    assert set(told.offers) == {"train/pixels.png", "train/near.jpg"}
    assert repo.staged()["train/3.jpg"].regions == ()
    done = remove_duplicates(repo, found.groups, merge_labels=True)
    assert (sorted(done.removed), done.left) == (
        ["train/near.jpg", "train/pixels.png"],
        ["train/near.jpg"],
    )
    equal, near = (repo.staged()[f"train/{number}.jpg"] for number in (3, 4))
    assert [label.value for label in equal.labels] == ["a", "b", "c", "d", "red"]
    assert len(equal.regions) == 1
    assert equal.meta["sender"] == "red"
    assert [label.value for label in near.labels] == ["blue"]
    assert near.regions == ()
    undo(repo)
    assert len(repo.staged()["train/3.jpg"].labels) == 4
    assert "train/near.jpg" in repo.staged()


# --- groups, of made-up pairs ---


def by_key(key: str) -> str:
    return key


def members(group: Group) -> list[tuple[str, str | None]]:
    return [(member.key, member.instead) for member in group.members]


def test_the_ends_of_a_chain_are_both_kept() -> None:
    chain = [Duplicate("a", "b", "near", 9), Duplicate("b", "c", "near", 12)]
    [group] = groups_of(chain, by_key)
    assert members(group) == [("a", None), ("b", "a"), ("c", None)]
    assert [member.partner for member in group.members] == ["b", "a", "b"]
    assert group.removed[0].pair.distance == 9


def test_what_equals_one_equals_all() -> None:
    found = [Duplicate("a", "x", "bytes", 0), Duplicate("a", "b", "bytes", 0),
             Duplicate("b", "n", "near", 5)]  # fmt: skip
    [group] = groups_of(found, "xban".index)
    assert members(group) == [("x", None), ("b", "x"), ("a", "x"), ("n", "x")]
    assert [member.equal for member in group.members] == [False, True, True, False]
    assert group.kind == "near"


def test_the_surest_of_several_pairs_counts() -> None:
    found = [Duplicate("b", "a", "near", 0), Duplicate("a", "b", "pixels", 0),
             Duplicate("c", "a", "near", 7), Duplicate("a", "c", "near", 3)]  # fmt: skip
    assert surest(found) == [found[1], found[3]]


def test_a_star_joins_equal_samples_of_two_splits() -> None:
    splits = {"a": "x", "b": "x", "c": "y", "d": "y"}
    assert list(star("abcd", None)) == [("a", "b"), ("a", "c"), ("a", "d")]
    assert list(star("abcd", splits)) == [("b", "c"), ("a", "c"), ("a", "d")]
    assert list(star("ab", splits)) == []
    assert list(star("a", None)) == []


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
@settings(max_examples=60, deadline=None)
def test_every_removed_sample_has_a_duplicate_that_is_kept(edges: list[tuple[int, int]]) -> None:
    found = surest(
        Duplicate(f"{a:02}", f"{b:02}", "bytes" if (a + b) % 5 == 0 else "near", float((a + b) % 5))
        for a, b in edges
        if a != b
    )
    keys = {key for pair in found for key in (pair.a, pair.b)}
    groups = groups_of(found, by_key)
    assert sorted(member.key for group in groups for member in group.members) == sorted(keys)
    equal = Sets(sorted(keys))
    for pair in found:
        if not pair.distance:
            equal.join(pair.a, pair.b)
    alike = {(equal.first(a), equal.first(b)) for pair in found for a, b in (pair[:2], pair[1::-1])}
    for group in groups:
        kept = {member.key for member in group.members if member.instead is None}
        assert group.keeper.key in kept
        for one in kept:
            assert not any(
                (equal.first(one), equal.first(other)) in alike for other in kept - {one}
            )
        for member in group.removed:
            assert member.instead in kept
            ends = equal.first(member.key), equal.first(member.instead or "")
            assert ends[0] == ends[1] or ends in alike
