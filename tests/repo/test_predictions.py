"""Prediction sets: beside the rows, with a history, copied in as proposals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import voyager
from voyager.errors import NotFoundError
from voyager.repo.predictions import (
    copy_predictions,
    drop_predictions,
    iter_predictions,
    predicted_version,
    prediction_sets,
    put_predictions,
)
from voyager.repo.repository import Repository
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.undo import undo
from voyager.schema import Box, Image, Label, Region, Sample, sample_uid
from voyager.store.gc import collect

KEYS = ("a.jpg", "b.jpg")


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with voyager.init(tmp_path / "repo", worktree=False) as made:
        with made.edit("Two samples") as edit:
            for key in KEYS:
                edit[key] = _sample(key, (_region(1, Box(0, 0, 10, 10), edit.vocabulary),))
        yield made


def _sample(key: str, regions: tuple[Region, ...]) -> Sample:
    return Sample(uid=sample_uid(key, key), image=Image(width=64, height=64), regions=regions)


def _region(n: int, box: Box, draft: voyager.schema.vocabulary.Draft, **fields: object) -> Region:
    node = draft.category("category", "cat")
    label = Label(task="category", node=node, source=str(fields.get("source", "human")))
    return Region(id=bytes([n]) * 16, geometries={"box": box}, labels=(label,), **fields)


def _predict(repo: Repository, key: str, *boxes: Box) -> None:
    with StagedEdit(repo, "label") as edit:
        regions = tuple(
            _region(n, box, edit.draft, source="model:m", score=0.5)
            for n, box in enumerate(boxes, 100)
        )
    with repo.transaction("import", "m") as txn:
        put_predictions(txn, repo, "m", [_sample(key, regions)], "what m says")
        txn.commit()


def test_a_set_holds_what_was_said_and_no_version_changes(repo: Repository) -> None:
    before = repo.at("main").roots
    _predict(repo, "a.jpg", Box(0, 0, 10, 10))
    (found,) = prediction_sets(repo)
    assert (found.name, found.samples, found.message) == ("m", 1, "what m says")
    (said,) = iter_predictions(repo, "m")
    assert said.uid == repo.at("main")["a.jpg"].uid
    assert said.image == Image()
    assert repo.at("main").roots == before
    assert not repo.staging.overlay


def test_new_words_stand_instead_of_old_ones_of_the_same_sample(repo: Repository) -> None:
    _predict(repo, "a.jpg", Box(0, 0, 10, 10), Box(20, 20, 30, 30))
    _predict(repo, "b.jpg", Box(0, 0, 5, 5))
    _predict(repo, "a.jpg", Box(1, 1, 2, 2))
    said = {sample.uid: len(sample.regions) for sample in iter_predictions(repo, "m")}
    version = repo.at("main")
    assert said == {version["a.jpg"].uid: 1, version["b.jpg"].uid: 1}


def test_gc_keeps_a_set_and_undo_takes_it_back(repo: Repository) -> None:
    _predict(repo, "a.jpg", Box(0, 0, 10, 10))
    collect(repo.store, expire_ms=0, now_ms=2**52, author="Ann Lee")
    assert len(list(iter_predictions(repo, "m"))) == 1
    drop_predictions(repo, "m")
    with pytest.raises(NotFoundError, match="no prediction set 'm'"):
        list(iter_predictions(repo, "m"))
    undo(repo)
    assert len(list(iter_predictions(repo, "m"))) == 1


def test_a_predicted_version_speaks_of_the_same_regions(repo: Repository) -> None:
    _predict(repo, "a.jpg", Box(0, 0, 10, 9), Box(40, 40, 50, 50))
    version = repo.at("main")
    seen = predicted_version(repo, version, "m")
    ids = [region.id for region in seen["a.jpg"].regions]
    assert ids[0] == version["a.jpg"].regions[0].id  # paired by place
    assert len(ids) == 2
    assert seen["b.jpg"] == version["b.jpg"]


def test_copied_predictions_are_proposals_and_come_once(repo: Repository) -> None:
    _predict(repo, "a.jpg", Box(0, 0, 10, 10), Box(40, 40, 50, 50))
    with StagedEdit(repo, "label") as edit:
        done = copy_predictions(edit, "m")
    assert (done.keys, done.regions) == (["a.jpg"], 1)
    known, added = repo.staged()["a.jpg"].regions
    assert [label.source for label in known.labels] == ["human", "model:m"]
    assert (added.state, added.source, added.labels[0].state) == ("proposed", "model:m", "proposed")
    with StagedEdit(repo, "label") as edit:
        assert copy_predictions(edit, "m").keys == []


def test_only_chosen_samples_are_copied(repo: Repository) -> None:
    _predict(repo, "a.jpg", Box(40, 40, 50, 50))
    with StagedEdit(repo, "label") as edit:
        assert copy_predictions(edit, "m", ["b.jpg"]).keys == []


def test_a_repository_tells_changes_in_words_of_labels(repo: Repository) -> None:
    with repo.edit("Move the first box") as edit:
        (region,) = edit["a.jpg"].regions
        moved = region.replace(geometries={"box": Box(2, 0, 12, 10)})
        edit["a.jpg"] = edit["a.jpg"].replace(regions=(moved,))
    (found,) = repo.label_diff("HEAD~1", "HEAD")
    assert [(found.key, fact.scope, fact.kind) for fact in found] == [("a.jpg", "region", "moved")]
