"""Evaluating runs: what is measured, told and kept, in whole and in parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_repos import TESTED, TRAINED, VALIDATED, config, make_photos_repo

from voyager.derived.binary_codes import nearest_codes, sign_codes
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.models.network import Network
from voyager.repo.dataset import Dataset
from voyager.repo.predictions import iter_predictions
from voyager.repo.repository import Repository
from voyager.repo.sql import sql
from voyager.samples import photo_paths
from voyager.schema import Label
from voyager.schema.task import Task
from voyager.train import reading
from voyager.train.axes import Axes
from voyager.train.compare import compare
from voyager.train.evaluate import (
    Evaluation,
    evaluate,
    evaluate_frozen,
    keep_predictions,
    metrics_name,
    open_network,
    trained_on,
)
from voyager.train.frozen import FrozenConfig, train_frozen
from voyager.train.record import Run, find_run, note_metrics
from voyager.train.session import train_run
from voyager.train.slices import slices, worst_slices
from voyager.train.view import Question, open_view
from voyager.train.weights_file import weights_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
        patch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
        with make_photos_repo(tmp_path_factory.mktemp("photos")) as made:
            yield made


@pytest.fixture(scope="module")
def run(repo: Repository) -> Run:
    """A network that has learned for a moment."""
    done = train_run(repo, repo.at("HEAD"), config(embedding=16), name="small")
    assert done.run is not None
    return done.run


@pytest.fixture(scope="module")
def found(repo: Repository, run: Run) -> Evaluation:
    return ask(repo, run)


def ask(
    repo: Repository, run: Run, version: Dataset | None = None, *, split: Any = "test", **more: Any
) -> Evaluation:
    network, card = open_network(repo, run)
    version = version or repo.at(run.commit.hex())
    return evaluate(repo, version, network, card, split=split, device=CPU, **more)


def keys_of(repo: Repository, split: str) -> list[str]:
    return [key for key, sample in repo.at("HEAD").items() if sample.split == split]


def with_cameras(repo: Repository) -> Dataset:
    """A version in which every third test sample is of the new camera, the others of the old."""
    keys = keys_of(repo, "test")
    with repo.edit("Cameras") as edit:
        for number, key in enumerate(keys):
            meta = {"camera": "old" if number % 3 else "new", "light": number / 2}
            edit[key] = edit[key].replace(meta=meta)
    return repo.at("HEAD")


# -- what is measured ------------------------------------------------------------------------------


def test_validation_and_evaluation_measure_the_same(repo: Repository, run: Run) -> None:
    (report,) = ask(repo, run, split="val").reports()
    for name, value in run.record.metrics["val"]["category"].items():
        assert report.measures()[name] == pytest.approx(value)


def test_protected_splits_are_for_evaluation_alone(repo: Repository, found: Evaluation) -> None:
    assert len(found.view) == TESTED
    with pytest.raises(StateError, match="protected"):
        open_view(repo, repo.at("HEAD"), Question(("category",), "test"))


def test_all_splits_and_some_samples(repo: Repository, run: Run) -> None:
    everything = ask(repo, run, split=None)
    assert len(everything.view) == TRAINED + VALIDATED + TESTED
    assert trained_on(repo, run, everything.view) == TRAINED
    hats = ask(repo, run, where="category = 'hat'")
    assert len(hats.view) == 3
    assert trained_on(repo, run, hats.view) == 0


def test_vectors_find_their_class(repo: Repository, run: Run) -> None:
    found = ask(repo, run, vectors=True)
    assert found.said.vectors is not None
    assert found.said.vectors.shape == (TESTED, 16)
    assert np.allclose(np.linalg.norm(found.said.vectors, axis=1), 1, atol=1e-5)
    (report,) = found.reports()
    assert report.figures["queries"].value == TESTED
    assert 0 <= report.figures["recall_1"].value <= report.figures["recall_10"].value <= 1


def test_what_does_not_fit_says_which_knob(
    repo: Repository, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(Network, "vectors", full)
    with pytest.raises(StateError, match="at once at 64 pictures of 32 pixels does not") as caught:
        ask(repo, run)
    assert caught.value.hint == "vgr eval --batch 32"


def test_signs_of_vectors_find_their_class(repo: Repository, run: Run) -> None:
    """An image is found by its code alone, of two bytes, where it is the nearest without a tie."""
    found = ask(repo, run, vectors=True)
    (report,) = found.reports()
    classes, vectors = found.graded["category"].values, found.said.vectors
    assert vectors is not None
    codes = sign_codes(vectors)
    assert 0.3 < np.unpackbits(codes[:, :2]).mean() < 0.7
    nearest, right = nearest_codes(codes, codes, TESTED), 0
    for query, (rows, bits) in enumerate(zip(nearest.rows, nearest.bits, strict=True)):
        own = (classes[rows] == classes[query]) & (rows != query)
        rivals = classes[rows] != classes[query]
        right += bits[own].min() < bits[rivals].min()
    assert report.figures["code_recall_1"].value == right / TESTED
    assert 0 < report.figures["code_retrieval_map"].value <= 1


def test_answers_of_other_classes_are_wrong_and_told(repo: Repository, run: Run) -> None:
    before = ask(repo, run, split="val")
    keys = keys_of(repo, "val")[:4]
    with repo.edit("Four caps") as edit:
        cap = edit.vocabulary.category("category", "cap")
        for key in keys:
            labels = (Label(task="category", node=cap, source="human"),)
            edit[key] = edit[key].replace(labels=labels)
    after = ask(repo, run, repo.at("HEAD"), split="val")
    assert after.unknown == {"category": {"cap": 4}}
    (report,) = after.reports()
    assert report.measures()["unknown"] == 4
    assert report.figures["accuracy"].value <= before.reports()[0].figures["accuracy"].value
    assert report.confusion is not None
    assert report.confusion[-1].sum() == 4
    assert report.count == VALIDATED


def test_pictures_that_cannot_be_read_are_told_and_not_measured(
    repo: Repository, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = bytes(ask(repo, run).view.blobs[3])
    whole = reading.PackSource.read

    def read(self: Any, rows: Any, small: Any) -> list[bytes | None]:
        data = whole(self, rows, small)
        blobs = [bytes(self._view.blobs[row]) for row in rows]
        return [None if blob == broken else one for blob, one in zip(blobs, data, strict=True)]

    monkeypatch.setattr(reading.PackSource, "read", read)
    found = ask(repo, run)
    assert found.unreadable == (found.view.name(3),)
    assert found.reports()[0].count == TESTED - 1


# -- what is kept ---------------------------------------------------------------------------------


def test_what_it_says_is_a_prediction_set_and_its_measures_are_rows(
    repo: Repository, run: Run, found: Evaluation
) -> None:
    version = repo.at(run.commit.hex())
    made = keep_predictions(repo, run, found)
    measures = {report.task: report.measures() for report in found.reports()}
    name = metrics_name(version, "test", None)
    noted = note_metrics(repo, run, name, measures, predictions=made)
    assert noted.predictions == made
    assert noted.record.metrics[name] == measures
    assert find_run(repo, run.id).record.metrics["val"] == run.record.metrics["val"]

    said = list(iter_predictions(repo, run.id))
    assert len(said) == TESTED
    graded = found.graded["category"]
    by_uid = {sample.uid: sample.labels for sample in said}
    for row, guess in enumerate(graded.guesses.tolist()):
        (label,) = by_uid[bytes(found.view.uids[row])]
        assert label.node == found.view.targets["category"].nodes[guess]
        assert label.source == f"model:{run.id}"
        assert label.score == pytest.approx(float(graded.chances[row].max()), abs=1e-6)

    right = sql(
        version,
        f"SELECT count(*) AS n FROM predictions('{run.id}') p JOIN samples USING (uid)"
        " WHERE p.value = category",
    )
    assert right.to_pylist() == [{"n": int(graded.right.sum())}]
    rows = sql(version, "SELECT * FROM run_metrics WHERE split = 'test'").to_pylist()
    assert {(row["task"], row["measure"]): row["value"] for row in rows} == {
        ("category", measure): value for measure, value in measures["category"].items()
    }
    assert {(row["run"], row["commit"], row["condition"]) for row in rows} == {
        (run.id, run.commit.hex()[:12], None)
    }


def test_runs_are_rows(repo: Repository, run: Run) -> None:
    rows = sql(repo.at("HEAD"), "SELECT *, config->>'model' AS model FROM runs").to_pylist()
    mine = next(row for row in rows if row["run"] == run.id)
    assert (mine["name"], mine["state"], mine["kind"]) == ("small", "finished", "network")
    assert (mine["commit"], mine["model"], mine["samples"]) == (
        run.commit.hex(),
        "cnn-small",
        TRAINED,
    )
    assert mine["started"].endswith("Z")
    # Words that happen to be tables do no harm.
    told = sql(repo.at("HEAD"), "WITH runs AS (SELECT 1 AS run_metrics) SELECT * FROM runs")
    assert told.to_pylist() == [{"run_metrics": 1}]


def test_numbers_of_another_kind_are_left_out_of_the_rows(repo: Repository, run: Run) -> None:
    now = find_run(repo, run.id)
    note_metrics(repo, now, "odd@0", {"category": {"text": "x", "value": 2}, "list": [1]})
    rows = sql(repo.at("HEAD"), "SELECT measure, value FROM run_metrics WHERE split = 'odd'")
    assert rows.to_pylist() == [{"measure": "value", "value": 2.0}]


def test_the_weights_are_a_file_in_the_cache(repo: Repository, run: Run) -> None:
    path = weights_file(repo, run)
    assert path == weights_file(repo, run)
    assert path.parent == repo.folder / "cache" / "models"
    assert list(path.parent.iterdir()) == [path]
    for number in range(12):
        (path.parent / f"{number}.safetensors").write_bytes(b"")
    path.unlink()
    assert weights_file(repo, run).stat().st_size > 1000
    assert len(list(path.parent.iterdir())) == 8


def test_heads_on_a_frozen_model_are_evaluated_alike(
    repo: Repository, run: Run, found: Evaluation
) -> None:
    version = repo.at(run.commit.hex())
    done = train_frozen(repo, version, FrozenConfig(tasks=("category",)))
    assert done.run is not None
    frozen = evaluate_frozen(repo, version, done.run, split="test")
    assert len(frozen.view) == TESTED
    assert trained_on(repo, done.run, frozen.view) == 0
    (compared,) = compare(found, frozen)
    assert compared.count == TESTED
    with pytest.raises(NotFoundError, match="no weights of a network"):
        open_network(repo, done.run)


# -- parts ----------------------------------------------------------------------------------------


def test_axes_part_the_rows(repo: Repository, run: Run) -> None:
    version = with_cameras(repo)
    found = ask(repo, run, version)
    axes = Axes(version, found.view)

    def sizes(axis: str) -> dict[str, int]:
        return {part: int(mask.sum()) for part, mask in axes.parts(axis)}

    assert sizes("meta.camera") == sizes("camera") == {"new": 10, "old": 20}
    assert sizes("split") == {"test": 30}
    assert sizes("source") == {"human": 30}
    assert sizes("category")["hat"] == 3
    assert list(sizes("meta.light").values()) == [8, 7, 7, 8]
    wide = sizes("width > height")
    assert sum(wide.values()) == 30
    assert wide["true"] == sum(int(w > h) for w, h in found.view.sizes)
    assert axes.usual == ["meta.camera", "meta.light"]
    for name in ("nothing", "meta.nothing"):
        with pytest.raises(UsageError, match=f"no axis '{name}'; there are split, source, categ"):
            axes.parts(name)
    with pytest.raises(UsageError, match="width >"):
        list(axes.parts("width >"))

    parted = slices(version, found, ["meta.camera", "meta.camera"])
    assert [(one.part, one.count) for one in parted] == [("new", 10), ("old", 20)]
    graded = found.graded["category"]
    new = dict(axes.parts("camera"))["new"]
    classes = {place: graded.right[new & (graded.values == place)] for place in range(10)}
    expected = np.mean([right.mean() for right in classes.values() if len(right)])
    assert parted[0].figure.value == pytest.approx(expected)


def test_the_worst_part_is_found(repo: Repository, run: Run) -> None:
    """Where the answers of one camera are spoilt, that camera is told."""
    version = with_cameras(repo)
    found = ask(repo, run, version)
    axes = Axes(version, found.view)
    old = dict(axes.parts("meta.camera"))["old"]
    graded = found.graded["category"]
    right = np.full_like(graded.logits, -1)
    right[np.arange(TESTED), np.where(old, (graded.values + 1) % 10, graded.values)] = 1
    spoilt = replace(found, graded={"category": replace(graded, logits=right)})
    worst = worst_slices(version, spoilt)
    assert [(one.axis, one.part, one.count) for one in worst] == [("meta.camera", "old", 20)]
    assert worst[0].figure.high is not None
    assert worst[0].figure.high < 0.2


# -- what cannot be evaluated ----------------------------------------------------------------------


def test_what_cannot_be_asked_is_told(repo: Repository, run: Run) -> None:
    with pytest.raises(UsageError, match="no samples in split 'dev'; there are test, train, val"):
        ask(repo, run, split="dev")
    keys = keys_of(repo, "val")
    with repo.edit("Val without answers") as edit:
        for key in keys:
            edit[key] = edit[key].replace(labels=())
    bare = repo.at("HEAD")
    with pytest.raises(UsageError, match="no image has an answer to task category in split 'val'"):
        ask(repo, run, bare, split="val")


def test_a_task_that_is_another_one_is_refused(tmp_path: Path, repo: Repository, run: Run) -> None:
    network, card = open_network(repo, run)
    with Repository.init(tmp_path / "other", worktree=False) as other:
        with other.edit("A photograph") as edit:
            edit.add_image("a.jpg", photo_paths()[0].read_bytes(), split="test")
        with pytest.raises(UsageError, match="no task 'category'"):
            evaluate(other, other.at("HEAD"), network, card, split="test", device=CPU)
        with other.edit("How much it is a category") as edit:
            edit.vocabulary.put_task("category", Task(kind="number", scope="image"))
            labels = (Label(task="category", value=2.0, source="human"),)
            edit["a.jpg"] = edit["a.jpg"].replace(labels=labels)
        with pytest.raises(InvalidDataError, match="wants number here, and the run answers one"):
            evaluate(other, other.at("HEAD"), network, card, split="test", device=CPU)
