"""Views: the rows of a commit that answer a question, as flat arrays, built once and mapped."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from table_versions import version_of

from voyager.errors import StateError, UsageError
from voyager.repo.conflicts import conflict_change
from voyager.repo.dataset import Dataset
from voyager.repo.guard_policy import policy_change
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import fold_roots, overlay_of
from voyager.schema import Box, Held, Image, Label, Region, Sample, encode_sample
from voyager.schema.conflict import Terms
from voyager.schema.guard import GuardPolicy
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.train.view import Question, View, open_view
from voyager.wire import blob_ref

DRAFT = Draft(Vocabulary())
HAT, SHOE, BAG = (DRAFT.mint_path("category", name) for name in ("hat", "shoe", "bag"))
RED, BLUE = (DRAFT.mint_path("colour", name) for name in ("red", "blue"))
DRAFT.define("category", scope="image")
DRAFT.define("colour", scope="image", many=True)
DRAFT.define("price", scope="image", kind="number")
DRAFT.define("new", scope="image", kind="bool")
DRAFT.define("caption", scope="image", kind="text")
DRAFT.define("kind", scope="region", taxonomy="category")
DRAFT.define("marks", scope="region", taxonomy="colour", many=True)
DRAFT.define("both", taxonomy="category")


def image(number: int = 1, **fields: Any) -> Image:
    usual: dict[str, Any] = {"type": "jpeg", "bytes": 9, "width": 40, "height": 30}
    return Image(blob=blob_ref(bytes([number]) * 32), **{**usual, **fields})


def sample(number: int, *labels: Label, **fields: Any) -> Sample:
    usual: dict[str, Any] = {"image": image(number), "split": "train", "labels": labels}
    return Sample(uid=bytes([number]) * 16, **{**usual, **fields})


def one(node: bytes, task: str = "category", **fields: Any) -> Label:
    return Label(task=task, node=node, **fields)


def version(*samples: Sample, changes: Any = ()) -> Dataset:
    """A version of samples whose keys are 00.jpg, 01.jpg, …"""
    made = version_of([(f"{at:02}.jpg", one) for at, one in enumerate(samples)], DRAFT)
    if changes:
        roots = fold_roots(made.objects, made.roots, overlay_of(changes))  # type: ignore[arg-type]
        return Dataset(made.objects, roots, commit=b"c" * 32)
    made.commit = b"c" * 32
    return made


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "work") as opened:
        yield opened


def keys(view: View) -> list[str]:
    return [view.key(row) for row in range(len(view))]


# -- answers --------------------------------------------------------------------------------------


def test_one_answer_is_a_place_among_the_classes(repo: Repository) -> None:
    tied = (one(HAT, source="human:ann"), one(SHOE, source="human:bo"))
    made = version(
        sample(1, one(SHOE)),
        sample(2, one(HAT)),
        sample(3, *tied),
        sample(4, one(HAT, state="proposed")),
        sample(5, one(HAT, source="model:yolo"), one(SHOE)),
    )
    view = open_view(repo, made, Question(("category",)))
    target = view.targets["category"]
    assert (target.kind, target.classes, target.nodes) == ("one", ("hat", "shoe"), (HAT, SHOE))
    assert keys(view) == ["00.jpg", "01.jpg", "04.jpg"]
    assert target.values.tolist() == [1, 0, 1]
    assert view.skipped == {"unlabeled": 2}
    assert bytes(view.blobs[1]) == b"\2" * 32
    assert bytes(view.uids[1]) == b"\2" * 16
    assert view.sizes.tolist() == [[40, 30]] * 3
    whole = open_view(repo, made, Question(("category",), unlabeled=True))
    assert whole.targets["category"].values.tolist() == [1, 0, -1, -1, 1]


def test_fixed_classes_keep_their_places(repo: Repository) -> None:
    made = version(sample(1, one(SHOE)), sample(2, one(HAT)))
    fixed = {"category": (BAG, SHOE)}
    target = open_view(repo, made, Question(("category",), classes=fixed)).targets["category"]
    assert target.classes == ("bag", "shoe")
    assert target.values.tolist() == [1, -2]
    assert target.answered().all()


def test_several_answers_are_masked_where_nobody_says(repo: Repository) -> None:
    red, blue = one(RED, "colour"), one(BLUE, "colour")
    made = version(
        sample(1, red),
        sample(2, red, blue),
        sample(3, red, coverage={"colour": "partial"}),
        sample(4, negatives={"colour": (BLUE,)}),
        sample(5, coverage={"colour": "exhaustive"}),
        sample(6),
        sample(7, coverage={f"colour:{RED.hex()}": "exhaustive"}),
        sample(8, red, coverage={f"colour:{BLUE.hex()}": "partial"}),
    )
    view = open_view(repo, made, Question(("colour",), unlabeled=True))
    target = view.targets["colour"]
    assert target.classes == ("blue", "red")
    assert target.known is not None
    said = [
        [None if not known else bool(value) for value, known in zip(*row, strict=True)]
        for row in zip(target.values.tolist(), target.known.tolist(), strict=True)
    ]
    assert said == [
        [False, True],
        [True, True],
        [None, True],
        [False, None],
        [False, False],
        [None, None],
        [None, False],
        [None, True],
    ]
    assert open_view(repo, made, Question(("colour",))).skipped == {"unlabeled": 1}


def test_coverage_of_a_sample_is_that_of_all_its_regions(repo: Repository) -> None:
    def of(number: int, *nodes: bytes) -> Region:
        return region(number, labels=tuple(one(node, "marks") for node in nodes))

    made = version(
        sample(1, regions=(of(1, RED), of(2, BLUE)), coverage={"marks": "partial"}),
        sample(2, regions=(of(3, RED), of(4))),
        sample(3, regions=(of(5, RED), of(6)), coverage={"marks": "exhaustive"}),
        sample(4, regions=(of(7), of(8, BLUE)), negatives={"marks": (RED,)}),
    )
    view = open_view(repo, made, Question(("marks",), unlabeled=True))
    target = view.targets["marks"]
    assert target.classes == ("blue", "red")
    assert target.known is not None
    known = target.known.tolist()
    assert known == [[0, 1], [1, 0], [1, 1], [0, 0], [1, 1], [1, 1], [0, 1], [1, 1]]


def test_numbers_and_truths(repo: Repository) -> None:
    made = version(
        sample(1, Label(task="price", value=2.5)),
        sample(2, Label(task="new", value=True)),
        sample(3, Label(task="new", value=False), Label(task="price", value=0)),
    )
    targets = open_view(repo, made, Question(("price", "new"))).targets
    assert np.array_equal(targets["price"].values, np.float32([2.5, np.nan, 0]), equal_nan=True)
    assert targets["new"].values.tolist() == [-1, 1, 0]
    assert [target.classes for target in targets.values()] == [(), ()]


def test_questions_without_an_answer_are_refused(repo: Repository) -> None:
    made = version(sample(1, one(HAT)), sample(2, split="val"))
    for question, says in [
        (Question(("hats",)), "no task 'hats'"),
        (Question(("caption",)), "asks for a text"),
        (Question(("price",)), "no image has an answer to task price in split 'train'"),
        (Question(("category",), "test 2"), "no samples in split 'test 2'; there are train, val"),
        (Question(("category", "kind")), "train them apart"),
        (Question(()), "no task to train"),
        (Question(("category",), where="width > 99"), "no samples in split 'train' where"),
        (Question(("category",), scope="region"), "not asked of regions"),
    ]:
        with pytest.raises(UsageError, match=says):
            open_view(repo, made, question)
    made.commit = None
    with pytest.raises(StateError, match="pinned to a commit"):
        open_view(repo, made, Question(("category",)))


# -- regions --------------------------------------------------------------------------------------


def region(number: int, node: bytes | None = HAT, **fields: Any) -> Region:
    usual: dict[str, Any] = {
        "id": number.to_bytes(16),
        "geometries": {"box": Box(number, 2, number + 4, 8)},
        "labels": () if node is None else (one(node, "kind"),),
    }
    return Region(**{**usual, **fields})


def test_regions_that_show_one_thing_are_rows(repo: Repository) -> None:
    regions = (
        region(1),
        region(2, flags=("crowd",)),
        region(3, flags=("ignore", "truncated")),
        region(4, geometries={"box": Box(3, 3, 3, 9)}),
        region(5, state="proposed"),
        region(6, None),
        region(7, SHOE, flags=("truncated",)),
    )
    held = Held(uid=b"z" * 16, kind="near", distance=0.1, method="phash")
    made = version(
        sample(1, regions=regions),
        sample(2, regions=(region(8),), held=held),
        sample(3),
        sample(4, regions=(region(9),), image=image(4, orientation=6)),
    )
    view = open_view(repo, made, Question(("kind",)))
    assert view.scope == "region"
    assert [view.name(row) for row in range(3)] == [
        f"{key}#00000000" for key in ("00.jpg", "00.jpg", "03.jpg")
    ]
    assert view.boxes is not None
    assert view.regions is not None
    assert view.boxes.tolist() == [[at, 2, at + 4, 8] for at in (1, 7, 9)]
    assert [bytes(one)[-1] for one in view.regions] == [1, 7, 9]
    assert view.orientations.tolist() == [1, 1, 6]
    assert view.targets["kind"].values.tolist() == [0, 1, 0]
    assert view.skipped == {"held": 1, "crowd": 2, "empty": 1, "proposed": 1, "unlabeled": 1}


def test_what_is_asked_of_both_is_looked_for_where_it_is_answered(repo: Repository) -> None:
    on_regions = version(sample(1, regions=(region(1, labels=(one(HAT, "both"),)),)))
    assert open_view(repo, on_regions, Question(("both",))).scope == "region"
    on_images = version(sample(1, one(HAT, "both"), regions=(region(1),)))
    assert open_view(repo, on_images, Question(("both",))).scope == "image"


# -- what is left out -----------------------------------------------------------------------------


def test_what_cannot_be_trained_on_is_left_out_and_counted(repo: Repository) -> None:
    held = Held(uid=b"z" * 16, kind="near", distance=0.1, method="phash")
    torn = sample(6, one(HAT))
    row = encode_sample(torn)
    made = version(
        sample(1, one(HAT)),
        sample(2, one(HAT), image=Image(uri="http://x/1.jpg", width=4, height=4)),
        sample(3, one(HAT), image=Image(purged=True)),
        sample(4, one(HAT), held=held),
        sample(5, one(HAT), image=Image(blob=blob_ref(b"5" * 32), bytes=3)),
        torn,
        sample(7, one(HAT), split="val"),
        changes=[conflict_change(SAMPLES, b"05.jpg", {"split": Terms((row, row), (row,))})],
    )
    view = open_view(repo, made, Question(("category",)))
    assert keys(view) == ["00.jpg"]
    assert view.skipped == {
        "purged": 1,
        "pending": 1,
        "held": 1,
        "conflicted": 1,
        "not an image": 1,
    }


PROTECTED = ("test", "gold")


@pytest.fixture
def guarded() -> Dataset:
    splits = ("train", "test", "gold", None, "test")
    return version(
        *(sample(at + 1, one(HAT), split=split) for at, split in enumerate(splits)),
        changes=[policy_change(GuardPolicy(protect=PROTECTED))],
    )


@pytest.mark.parametrize("split", PROTECTED)
def test_a_protected_split_is_for_evaluations_alone(
    repo: Repository, guarded: Dataset, split: str
) -> None:
    question = Question(("category",), split)
    with pytest.raises(StateError, match="protected"):
        open_view(repo, guarded, question)
    assert len(open_view(repo, guarded, question, for_evaluation=True)) > 0
    with pytest.raises(StateError, match="protected"):
        open_view(repo, guarded, question)


@pytest.mark.parametrize(
    "where",
    [None, "true", "split = 'test'", "true) or (true", "true or true", "key >= '00' -- "],
)
def test_no_condition_reaches_into_a_protected_split(
    repo: Repository, guarded: Dataset, where: str | None
) -> None:
    everything = open_view(repo, guarded, Question(("category",), None), for_evaluation=True)
    assert len(everything) == 5
    try:
        view = open_view(repo, guarded, Question(("category",), None, where=where))
    except UsageError:
        return
    assert keys(view) == ["00.jpg", "03.jpg"]


# -- sources --------------------------------------------------------------------------------------


def test_each_row_knows_whose_answer_it_has(repo: Repository) -> None:
    made = version(
        sample(1, one(HAT, source="import:coco")),
        sample(2, one(HAT, source="human:bo"), one(SHOE, source="model:yolo")),
        sample(3, one(SHOE, source="human:bo"), one(SHOE, source="human:ann")),
        sample(4, one(SHOE, source="import:coco"), one(RED, "colour", source="human:ann")),
        sample(5, one(RED, "colour")),
    )
    view = open_view(repo, made, Question(("category",), sources=True, unlabeled=True))
    assert view.sources is not None
    names = [view.source_names[at] if at >= 0 else None for at in view.sources.tolist()]
    assert names == ["import:coco", "human:bo", "human:ann", "import:coco", None]
    assert open_view(repo, made, Question(("category",))).sources is None


def test_each_region_knows_whose_answer_it_has(repo: Repository) -> None:
    regions = (region(1), region(2, labels=(one(SHOE, "kind", source="import"),)))
    view = open_view(repo, version(sample(1, regions=regions)), Question(("kind",), sources=True))
    assert view.sources is not None
    assert [view.source_names[at] for at in view.sources.tolist()] == ["human", "import"]


def test_copies_of_a_sample_have_sources_of_their_own(repo: Repository) -> None:
    """A copy has regions of the same ids."""
    said = [region(1, labels=(one(HAT, "kind", source=source),)) for source in ("human", "import")]
    made = version(*(sample(at, regions=(one_said,)) for at, one_said in enumerate(said, 1)))
    view = open_view(repo, made, Question(("kind",), sources=True))
    assert view.sources is not None
    assert [view.source_names[at] for at in view.sources.tolist()] == ["human", "import"]


# -- the cache ------------------------------------------------------------------------------------


def folders(repo: Repository) -> list[Path]:
    return sorted((repo.folder / "cache" / "train").iterdir())


def same(one: View, other: View) -> bool:
    arrays = ("blobs", "uids", "sizes", "orientations", "key_ends", "key_bytes")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and one.skipped == other.skipped
        and all(
            np.array_equal(target.values, other.targets[task].values)
            for task, target in one.targets.items()
        )
    )


def test_a_view_is_built_once_and_mapped_then(repo: Repository) -> None:
    made = version(sample(1, one(HAT)), sample(2, one(SHOE)))
    first = open_view(repo, made, Question(("category",)))
    kept = folders(repo)
    assert len(kept) == 1
    before = (kept[0] / "blobs.npy").stat().st_ino
    again = open_view(repo, made, Question(("category",)))
    assert same(first, again)
    assert isinstance(again.blobs, np.memmap)
    assert (kept[0] / "blobs.npy").stat().st_ino == before
    other = version(sample(1, one(HAT)), sample(2, one(HAT)))
    assert not same(first, open_view(repo, other, Question(("category",))))
    assert len(folders(repo)) == 2


@pytest.mark.parametrize("name", ["about.json", "blobs.npy", "values-0.npy", "key_ends.npy"])
@pytest.mark.parametrize("harm", ["cut", "empty", "gone", "other", "flipped"])
def test_a_damaged_view_is_built_anew(repo: Repository, name: str, harm: str) -> None:
    made = version(sample(1, one(HAT)), sample(2, one(SHOE)))
    first = open_view(repo, made, Question(("category",)))
    path = folders(repo)[0] / name
    data = path.read_bytes()
    path.unlink()
    if harm != "gone":
        flipped = data[:-4] + bytes([data[-4] ^ 1]) + data[-3:]
        harmed = {"cut": data[:-3], "empty": b"", "other": b"[]" * 50, "flipped": flipped}
        path.write_bytes(harmed[harm])
    assert same(first, open_view(repo, made, Question(("category",))))
    assert path.read_bytes() == data


def test_a_cache_that_cannot_be_written_costs_time_alone(repo: Repository) -> None:
    made = version(sample(1, one(HAT)), sample(2, one(SHOE)))
    (repo.folder / "cache").mkdir(exist_ok=True)
    (repo.folder / "cache" / "train").write_bytes(b"in the way")
    view = open_view(repo, made, Question(("category",)))
    assert view.targets["category"].values.tolist() == [0, 1]


def test_the_longest_unused_views_go(repo: Repository) -> None:
    made = version(sample(1, one(HAT)), sample(2, one(SHOE)))
    for width in range(20):
        open_view(repo, made, Question(("category",), where=f"width > {width}"))
    assert len(folders(repo)) == 16


def _open_often(folder: Path, turns: int) -> None:
    made = version(sample(1, one(HAT)), sample(2, one(SHOE)))
    with Repository.open(folder) as repo:
        for turn in range(turns):
            view = open_view(repo, made, Question(("category",), where=f"width > {turn % 3}"))
            assert view.targets["category"].values.tolist() == [0, 1]


def test_processes_share_the_cache(repo: Repository) -> None:
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    folder = repo.folder
    repo.close()
    running = [context.Process(target=_open_often, args=(folder, 12)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join()
        assert process.exitcode == 0
