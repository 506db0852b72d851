"""The guard: copies of protected images are found, and held, dropped, moved, told of or refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from photo_repos import PHOTOS, place, save, take
from PIL import Image

from voyager.errors import StateError
from voyager.repo.add import Options
from voyager.repo.commit import commit
from voyager.repo.dataset import Dataset
from voyager.repo.guard import Review, Stage, review
from voyager.repo.guard_decisions import apply_decisions, decode_decisions, encode_decisions
from voyager.repo.guard_policy import set_policy
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import overlay_of, stage
from voyager.schema import Box, Group, Label, Region, Sample, decode_sample, encode_sample

TEST = "test/1.jpg"
"""The photo 0, in the split test of `guarded`; photos 1 and 2 are in train."""


@pytest.fixture
def guarded(empty_repo: Repository) -> Repository:
    """One photo in test, two in train, committed."""
    for key, number in (("train/1.jpg", 1), ("train/2.jpg", 2), (TEST, 0)):
        place(empty_repo, key, number)
    take(empty_repo, options=Options(split_from_folder=True))
    commit(empty_repo, "first")
    return empty_repo


def variant(repo: Repository, key: str, number: int, form: str, **options: int) -> None:
    """Write a photo anew in another encoding, or changed, to a key of the working tree."""
    path = repo.tree() / key
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTOS[number]) as photo:
        photo.convert("RGB").save(path, form, **options)


def brought(repo: Repository, stage_name: Stage = "import") -> Review:
    """What the guard decides of what is new in the working tree, as if that stage brought it."""
    before = repo.dataset_of(repo.head.commit)
    take(repo, options=Options(split_from_folder=True))
    return review(repo, before, unheld(repo), stage=stage_name)


def unheld(repo: Repository) -> Dataset:
    """What is staged, without what `add` held."""
    staged = repo.staged()
    rows = [
        (SAMPLES, key, encode_sample(decode_sample(row).replace(held=None)))
        for key, row in staged.rows(SAMPLES)
    ]
    return Dataset(repo.store, staged.roots, {**staged.overlay, **overlay_of(rows)})


def words(found: Review) -> list[tuple[str, str, str, str]]:
    return [(one.key, one.kind, one.action, one.protected_key) for one in found.decisions]


def test_a_copy_of_a_test_photo_is_held_at_add_by_its_bytes(guarded: Repository) -> None:
    place(guarded, "train/copy.jpg", 0)
    done = take(guarded, options=Options(split_from_folder=True))
    assert done.guard is not None
    assert words(done.guard) == [("train/copy.jpg", "bytes", "hold", TEST)]
    held = guarded.staged()["train/copy.jpg"].held
    assert held is not None
    assert (held.kind, held.distance, held.method) == ("bytes", 0.0, "bytes 1")
    assert held.uid == guarded.staged()[TEST].uid
    commit(guarded, "second")
    assert guarded.at("HEAD")["train/copy.jpg"].held == held


def test_add_looks_at_bytes_alone(guarded: Repository) -> None:
    variant(guarded, "train/same.png", 0, "PNG")
    assert take(guarded, options=Options(split_from_folder=True)).guard is not None
    assert guarded.staged()["train/same.png"].held is None


def test_copies_that_come_together_are_found(empty_repo: Repository) -> None:
    place(empty_repo, "train/a.jpg", 5)
    place(empty_repo, "test/a.jpg", 5)
    take(empty_repo, options=Options(split_from_folder=True))
    assert empty_repo.staged()["train/a.jpg"].held is not None
    assert empty_repo.staged()["test/a.jpg"].held is None


def test_a_new_test_photo_is_compared_with_what_is_there(guarded: Repository) -> None:
    place(guarded, "test/2.jpg", 2)
    take(guarded, options=Options(split_from_folder=True))
    assert guarded.staged()["train/2.jpg"].held is not None


def test_a_commit_sees_what_only_a_split_changed(guarded: Repository) -> None:
    place(guarded, "train/copy.jpg", 1)
    take(guarded, options=Options(split_from_folder=True))
    put_split(guarded, "train/copy.jpg", "test")
    done = commit(guarded, "now a test photo")
    assert done.guard is not None
    assert words(done.guard) == [("train/1.jpg", "bytes", "hold", "train/copy.jpg")]
    assert guarded.at("HEAD")["train/1.jpg"].held is not None
    assert guarded.staged()["train/1.jpg"].held is not None


def put_split(repo: Repository, key: str, split: str | None) -> None:
    change(repo, key, split=split)


def change(repo: Repository, key: str, **fields: object) -> None:
    sample = repo.staged()[key].replace(**fields)
    with repo.transaction("split") as txn:
        stage(txn, repo.staging, [(SAMPLES, key.encode(), encode_sample(sample))])
        txn.commit()


def test_without_a_test_split_there_is_nothing_to_guard(photos_repo: Repository) -> None:
    place(photos_repo, "copy.jpg", 0)
    done = take(photos_repo)
    assert done.guard is None
    assert commit(photos_repo, "copy").guard is None
    assert brought(photos_repo).protected == 0


@pytest.mark.parametrize(
    ("name", "form", "options", "kind", "action"),
    [
        ("copy.png", "PNG", {}, "pixels", "drop"),
        ("copy.jpg", "JPEG", {"quality": 30}, "near", "hold"),
    ],
)
def test_an_import_looks_at_pixels(
    guarded: Repository, name: str, form: str, options: dict[str, int], kind: str, action: str
) -> None:
    variant(guarded, f"train/{name}", 0, form, **options)
    found = brought(guarded)
    assert words(found) == [(f"train/{name}", kind, action, TEST)]
    assert found.decisions[0].method == {"pixels": "pixels 1", "near": "near 2"}[kind]
    row = {key: row for _, key, row in found.changes}[f"train/{name}".encode()]
    assert (row is None) == (action == "drop")


def test_a_mirrored_copy_is_near(guarded: Repository) -> None:
    path = guarded.tree() / "train/mirrored.jpg"
    with Image.open(PHOTOS[0]) as photo:
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path, quality=90)
    assert words(brought(guarded)) == [("train/mirrored.jpg", "near", "hold", TEST)]


def test_same_bytes_are_dropped_where_an_import_brings_them(guarded: Repository) -> None:
    place(guarded, "train/copy.jpg", 0)
    found = brought(guarded)
    assert words(found) == [("train/copy.jpg", "bytes", "drop", TEST)]
    assert found.changes == [(SAMPLES, b"train/copy.jpg", None)]


def test_what_is_committed_is_held_and_not_dropped(guarded: Repository) -> None:
    before = guarded.dataset_of(guarded.head.commit)
    place(guarded, "test/new.jpg", 1)
    take(guarded, options=Options(split_from_folder=True))
    found = review(guarded, before, unheld(guarded), stage="merge")
    assert words(found) == [("train/1.jpg", "bytes", "hold", "test/new.jpg")]


def test_new_test_photos_are_compared_with_train_by_pixels(guarded: Repository) -> None:
    variant(guarded, "test/new.jpg", 1, "JPEG", quality=30)
    assert words(brought(guarded)) == [("train/1.jpg", "near", "hold", "test/new.jpg")]


@pytest.mark.parametrize("action", ["hold", "move", "warn", "drop"])
def test_each_action(guarded: Repository, action: str) -> None:
    set_policy(guarded, actions={"near": action})  # type: ignore[dict-item]
    commit(guarded, "policy")
    variant(guarded, "train/copy.jpg", 0, "JPEG", quality=30)
    found = brought(guarded)
    assert [one.action for one in found.decisions] == [action]
    after = applied(unheld(guarded), found)
    sample = after.get("train/copy.jpg")
    assert (sample is None) == (action == "drop")
    if sample is not None:
        assert sample.split == ("test" if action == "move" else "train")
        assert (sample.held is not None) == (action == "hold")


def applied(version: Dataset, found: Review) -> Dataset:
    overlay = {**version.overlay, **overlay_of(found.changes)}
    return Dataset(version.objects, version.roots, overlay)


def test_an_error_refuses_and_names_the_copy(guarded: Repository) -> None:
    set_policy(guarded, action="error")
    commit(guarded, "policy")
    place(guarded, "train/copy.jpg", 0)
    with pytest.raises(StateError, match=r"train/copy\.jpg.*test/1\.jpg"):
        take(guarded, options=Options(split_from_folder=True))
    assert "train/copy.jpg" not in guarded.staged()


def test_a_guard_that_is_off_sees_nothing(guarded: Repository) -> None:
    set_policy(guarded, off=True)
    place(guarded, "train/copy.jpg", 0)
    assert brought(guarded).decisions == []


def test_other_splits_can_be_protected_and_the_first_ranks_highest(guarded: Repository) -> None:
    set_policy(guarded, protect=["test", "val"])
    commit(guarded, "policy")
    place(guarded, "val/1.jpg", 0)
    place(guarded, "val/2.jpg", 1)
    found = brought(guarded, "merge")
    assert words(found) == [
        ("train/1.jpg", "bytes", "hold", "val/2.jpg"),
        ("val/1.jpg", "bytes", "drop", TEST),
    ]


def test_a_group_is_treated_as_one_and_held(guarded: Repository) -> None:
    before = guarded.dataset_of(guarded.head.commit)
    place(guarded, "train/frame1.jpg", 0)
    place(guarded, "train/frame2.jpg", 7)
    take(guarded, options=Options(split_from_folder=True))
    for number in (1, 2):
        change(guarded, f"train/frame{number}.jpg", group=Group(id="clip", index=number), held=None)
    found = review(guarded, before, unheld(guarded), stage="import")
    assert words(found) == [
        ("train/frame1.jpg", "bytes", "hold", TEST),
        ("train/frame2.jpg", "bytes", "hold", TEST),
    ]
    assert [one.paired for one in found.decisions] == [True, False]


def test_images_that_are_not_here_are_unchecked(guarded: Repository) -> None:
    before = guarded.dataset_of(guarded.head.commit)
    sample = guarded.staged()["train/1.jpg"]
    pending = sample.image.replace(blob=None, uri="https://example.org/1.jpg")
    waits = Sample(uid=bytes(16), image=pending, split="train")
    declared = Sample(
        uid=bytes(15) + b"1",
        image=pending.replace(hash=f"blake3:{blob_of(guarded, TEST).hex()}"),
        split="train",
    )
    rows = [
        (SAMPLES, f"train/{n}.jpg".encode(), encode_sample(s))
        for n, s in (("declared", declared), ("waits", waits))
    ]
    after = Dataset(guarded.store, before.roots, overlay_of(rows))
    found = review(guarded, before, after, stage="import")
    assert found.unchecked == ["train/waits.jpg"]
    assert words(found) == [("train/declared.jpg", "bytes", "drop", TEST)]


def blob_of(repo: Repository, key: str) -> bytes:
    blob = repo.staged()[key].image.blob_id
    assert blob is not None
    return blob


def test_decisions_are_recorded_and_applied_without_looking(guarded: Repository) -> None:
    place(guarded, "train/a.jpg", 0)
    variant(guarded, "train/b.jpg", 0, "JPEG", quality=30)
    found = brought(guarded)
    data = encode_decisions(found.decisions)
    assert decode_decisions(data) == found.decisions
    assert encode_decisions(reversed(decode_decisions(data))) == data
    assert apply_decisions(unheld(guarded), decode_decisions(data)) == found.changes


def test_what_a_dropped_copy_says_is_offered_and_taken_on_demand(guarded: Repository) -> None:
    change(guarded, TEST, labels=(Label(task="note", value="hat"),))
    commit(guarded, "labeled")
    before = guarded.dataset_of(guarded.head.commit)
    place(guarded, "train/copy.jpg", 0)
    take(guarded, options=Options(split_from_folder=True))
    region = Region(id=bytes(16), geometries={"box": Box(10, 10, 50, 60)})
    change(
        guarded,
        "train/copy.jpg",
        labels=(Label(task="note", value="cap"), Label(task="colour", value="red")),
        regions=(region,),
        held=None,
    )
    found = review(guarded, before, unheld(guarded), stage="merge")
    offer = found.offers["train/copy.jpg"]
    assert [label.value for label in offer.labels] == ["red"]
    assert offer.regions == (region,)
    assert [(a.value, b.value) for a, b in offer.contradicting] == [("cap", "hat")]
    assert found.changes == [(SAMPLES, b"train/copy.jpg", None)]
    took = review(guarded, before, unheld(guarded), stage="merge", take_labels=True)
    kept = applied(unheld(guarded), took)[TEST]
    assert sorted(str(label.value) for label in kept.labels) == ["hat", "red"]
    assert kept.regions == (region,)


def test_a_torn_cache_is_made_anew(guarded: Repository) -> None:
    path = guarded.folder / "cache" / "guard" / "protected"
    path.write_bytes(path.read_bytes()[:-3])
    place(guarded, "train/copy.jpg", 0)
    take(guarded, options=Options(split_from_folder=True))
    assert guarded.staged()["train/copy.jpg"].held is not None


def test_a_rename_is_no_news(guarded: Repository) -> None:
    place(guarded, "train/copy.jpg", 0)
    save(guarded, "held")
    (guarded.tree() / "train/copy.jpg").rename(guarded.tree() / "train/moved.jpg")
    take(guarded)
    assert guarded.staged()["train/moved.jpg"].held is not None


def photo_bytes(number: int) -> bytes:
    return io.BytesIO(Path(PHOTOS[number]).read_bytes()).getvalue()
