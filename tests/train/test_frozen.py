"""Heads on frozen models: the same bits, masked answers, and what a relabel changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from training_repos import TRAINED, VALIDATED, make_photos_repo

from voyager.derived import descriptor
from voyager.derived.checkpoint_embedder import open_checkpoint
from voyager.derived.embeddings import unit
from voyager.derived.picture import Picture
from voyager.derived.square import square_of
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.schema import Label
from voyager.train import blas
from voyager.train.descent import minimum
from voyager.train.frozen import (
    FrozenConfig,
    frozen_question,
    frozen_said,
    read_heads,
    train_frozen,
)
from voyager.train.head_file import HEAD, decode_heads, encode_heads
from voyager.train.linear_head import LinearHead, fit, mean_loss, taken
from voyager.train.metrics import measure
from voyager.train.nearest_head import NearestHead
from voyager.train.strengths import fit_best
from voyager.train.view import Target, open_view

CLASSES, DIMS = 4, 48


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    """Some of the numbers of the descriptors of 100 photographs, as unit vectors."""
    squares = [square_of(Picture(path.read_bytes())) for path in photo_paths()]
    return unit(descriptor.describe(squares)[:, :DIMS])


def target(kind: str, values: Any, known: Any = None, classes: int = 0) -> Target:
    names = tuple(f"c{number}" for number in range(classes))
    nodes = tuple(bytes([number] * 16) for number in range(classes))
    return Target("task", kind, names, nodes, np.asarray(values), known)  # type: ignore[arg-type]


def classes_of(vectors: NDArray[np.float32]) -> NDArray[np.int32]:
    """Four classes that a plane nearly parts: by two directions of the vectors."""
    signs = vectors[:, :2] > np.median(vectors[:, :2], axis=0)
    return (signs[:, 0] * 2 + signs[:, 1]).astype(np.int32)


# -- the linear head -------------------------------------------------------------------------------


def gradient_at(head: LinearHead, vectors: Any, answers: Target, strength: float) -> float:
    """How steep the objective still is at a head, by differences in random directions."""
    from voyager.train.linear_head import _Loss, frame_of

    generator = np.random.default_rng(0)
    steepest = 0.0
    with ThreadPoolExecutor(2) as pool:
        loss = _Loss(vectors, answers, strength, frame_of(vectors), balance=False, pool=pool)
        parameters = loss.parameters(head)
        for _ in range(5):
            along = generator.standard_normal(parameters.shape)
            along /= np.linalg.norm(along)
            ahead, behind = (loss(parameters + step * along)[0] for step in (1e-2, -1e-2))
            analytic = float(np.vdot(loss(parameters)[1], along))
            assert (ahead - behind) / 2e-2 == pytest.approx(analytic, abs=2e-4)
            steepest = max(steepest, abs(analytic))
    return steepest


@pytest.mark.parametrize("kind", ["one", "many", "bool"])
def test_the_head_is_where_the_objective_is_flat(kind: str, vectors: Any) -> None:
    values = classes_of(vectors)
    answers = {
        "one": target("one", values, classes=CLASSES),
        "bool": target("bool", (values > 1).astype(np.int32)),
        "many": target(
            "many",
            np.stack([values > 1, values % 2 == 1], axis=1).astype(np.uint8),
            np.random.default_rng(1).integers(0, 2, (len(values), 2), np.uint8),
            2,
        ),
    }[kind]
    answers = taken(answers, np.flatnonzero(answers.answered()))
    rows = vectors[: len(answers.values)]
    head = fit(rows, answers, 0.1)
    assert gradient_at(head, rows, answers, 0.1) < 1e-3
    assert mean_loss(head, rows, answers) < mean_loss(fit(rows, answers, 10.0), rows, answers)


def test_numbers_are_those_of_least_squares(vectors: Any) -> None:
    rows = vectors[:, :8]
    numbers = (rows @ np.arange(8, dtype=np.float32) + 3).astype(np.float32)
    head = fit(rows, target("number", numbers), 1e-6)
    assert np.allclose(head.logits(rows)[:, 0], numbers, atol=1e-3)
    assert np.allclose(head.weights[0], np.arange(8), atol=5e-2)
    flat = fit(rows, target("number", numbers), 1e9)
    assert np.allclose(flat.logits(rows)[:, 0], numbers.mean(), atol=1e-3)


def test_rows_without_an_answer_change_nothing(vectors: Any) -> None:
    values = classes_of(vectors)
    masked = values.copy()
    masked[::3] = -1
    kept = np.flatnonzero(masked >= 0)
    one = fit(vectors, target("one", masked, classes=CLASSES), 0.1)
    other = fit(vectors[kept], target("one", values[kept], classes=CLASSES), 0.1)
    assert one.weights.tobytes() == other.weights.tobytes()

    known = np.ones((len(values), 2), np.uint8)
    known[::2, 1] = 0
    there = np.stack([values > 1, values % 2 == 1], axis=1).astype(np.uint8)
    lied = np.where(known > 0, there, 1 - there).astype(np.uint8)
    heads = [fit(vectors, target("many", said, known, 2), 0.1) for said in (there, lied)]
    assert heads[0].weights.tobytes() == heads[1].weights.tobytes()


def test_blocks_and_spans_add_up_to_the_same(vectors: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = target("one", classes_of(vectors), classes=CLASSES)
    whole = fit(vectors, answers, 0.1)
    monkeypatch.setattr("voyager.train.linear_head._BLOCK", 7)
    monkeypatch.setattr("voyager.train.linear_head._SPAN", 21)
    parts, again = (fit(vectors, answers, 0.1) for _ in range(2))
    assert parts.weights.tobytes() == again.weights.tobytes()
    assert np.allclose(parts.logits(vectors), whole.logits(vectors), atol=2e-2)
    monkeypatch.setattr("voyager.train.strengths._TRIED_ON", 50)
    monkeypatch.setattr("voyager.train.strengths._BEGUN_ON", 50)
    last = fit_best((vectors, answers), None, strengths=(0.1,)).head
    assert mean_loss(last, vectors, answers) < mean_loss(whole, vectors, answers) + 0.05


def test_products_stay_in_one_thread_for_a_while() -> None:
    threads = blas._threads()
    with blas.one_blas_thread():
        assert threads is None or threads.get() == 1
    with pytest.raises(ZeroDivisionError), blas.one_blas_thread():
        raise ZeroDivisionError
    assert threads is None or threads.get() >= 1


def test_balanced_classes_count_the_same(vectors: Any) -> None:
    values = classes_of(vectors)
    rare = np.concatenate([np.flatnonzero(values == 0), np.flatnonzero(values == 1)[:3]])
    answers = target("one", values[rare], classes=2)
    plain, even = (fit(vectors[rare], answers, 3.0, balance=flag) for flag in (False, True))
    said = [(head.logits(vectors[rare]).argmax(axis=1) == 1).sum() for head in (plain, even)]
    assert said[0] < said[1]


def test_a_warm_start_comes_to_the_same_place(vectors: Any) -> None:
    answers = target("one", classes_of(vectors), classes=CLASSES)
    cold = fit(vectors, answers, 0.1)
    warm = fit(vectors, answers, 0.1, start=fit(vectors, answers, 3.0))
    assert np.allclose(cold.logits(vectors), warm.logits(vectors), atol=2e-2)


def test_a_strength_is_chosen_on_rows_that_are_held_out(vectors: Any) -> None:
    answers = target("one", classes_of(vectors), classes=CLASSES)
    seen, unseen = np.arange(60), np.arange(60, 100)
    rows, held_out = ((vectors[part], taken(answers, part)) for part in (seen, unseen))
    strengths = (30.0, 3.0, 0.3, 0.03)
    chosen = fit_best(rows, held_out, strengths=strengths)
    losses = {one: mean_loss(fit(*rows, one), *held_out) for one in strengths}
    assert chosen.strength == min(losses, key=losses.__getitem__)
    folded = fit_best(rows, None, strengths=strengths)
    assert folded.strength in strengths
    assert fit_best(rows, None, strengths=(7.0,)).strength == 7.0


def test_the_minimum_of_a_bowl() -> None:
    middle, steep = np.array([[3.0, -2.0]]), np.array([[1.0, 100.0]])

    def bowl(place: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        away = place - middle
        return float((steep * away**2).sum() / 2), steep * away

    found = minimum(bowl, np.zeros((1, 2)), lambda gradient: gradient, tolerance=1e-12)
    assert np.allclose(found, middle, atol=1e-4)


# -- neighbours ------------------------------------------------------------------------------------


def test_neighbours_are_those_of_comparing_all(
    vectors: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.train.nearest_head._KNOWN", 17)
    monkeypatch.setattr("voyager.train.nearest_head._ASKED", 9)
    known, asked, values = vectors[:70], vectors[70:], classes_of(vectors)[:70]
    head = NearestHead(known, target("one", values, classes=CLASSES), 7)
    logits = head.logits(asked)
    for row, vector in enumerate(asked):
        cosines = known @ vector
        nearest = np.argsort(-cosines, kind="stable")[:7]
        votes = np.bincount(values[nearest], cosines[nearest], CLASSES) / cosines[nearest].sum()
        assert np.allclose(np.exp(logits[row]) - 1e-3, votes, atol=1e-5)


def test_neighbours_of_every_kind(vectors: Any) -> None:
    values = classes_of(vectors)
    numbers = NearestHead(vectors, target("number", values.astype(np.float32)), 1)
    assert np.allclose(numbers.logits(vectors)[:, 0], values)
    truths = NearestHead(vectors, target("bool", (values > 1).astype(np.int32)), 1)
    assert ((truths.logits(vectors)[:, 0] > 0) == (values > 1)).all()
    there = np.stack([values > 1, values % 2 == 1], axis=1).astype(np.uint8)
    known = np.ones_like(there)
    known[:, 1] = 0
    many = NearestHead(vectors, target("many", there, known, 2), 3)
    assert np.allclose(many.logits(vectors)[:, 1], 0)
    few = NearestHead(vectors[:2], target("number", np.array([1, 1], np.float32)), 50)
    assert np.allclose(few.logits(vectors), 1)


# -- runs ------------------------------------------------------------------------------------------


def config(**settings: Any) -> FrozenConfig:
    return FrozenConfig(tasks=("category",), **{"strengths": (0.3,), **settings})


@pytest.mark.parametrize("head", ["linear", "knn"])
def test_a_run_is_recorded_and_can_be_asked(repo: Repository, head: Any) -> None:
    version = repo.at("HEAD")
    done = train_frozen(repo, version, config(head=head), revision="HEAD", name=head)
    assert done.run is not None
    record = done.run.record
    assert (record.kind, record.state, record.name) == ("frozen", "finished", head)
    assert (record.samples, record.validation_samples) == (TRAINED, VALIDATED)
    assert FrozenConfig.from_dict(record.config).model_id
    assert 0.2 < record.metrics["val"]["category"]["accuracy"] <= 1

    heads = read_heads(repo, done.run)
    assert encode_heads(decode_heads(encode_heads(heads))) == encode_heads(heads)
    view = open_view(repo, version, frozen_question(heads, "val"), for_evaluation=True)
    said = frozen_said(repo, version, done.run, view, vectors=True)
    assert measure(view, said) == record.metrics["val"]
    assert done.said is not None
    assert said.logits["category"].tobytes() == done.said.logits["category"].tobytes()
    assert said.vectors is not None
    assert np.allclose(np.linalg.norm(said.vectors, axis=1), 1, atol=1e-3)
    again = train_frozen(repo, version, FrozenConfig.from_dict(record.config), keep=False)
    assert again.record.weights == record.weights
    assert again.run is None


def test_the_file_is_one_of_safetensors(repo: Repository) -> None:
    from safetensors.numpy import load

    done = train_frozen(repo, repo.at("HEAD"), config())
    assert done.run is not None
    data = b"".join(repo.store.iter_blob(done.run.files[HEAD]))
    found = load(data)
    assert {name: one.shape for name, one in found.items()} == {
        "0.weights": (10, 256),
        "0.bias": (10,),
    }
    for damaged in (b"", data[:100], b"\0" * 64, data[:-4]):
        with pytest.raises(InvalidDataError, match="no heads of Voyager"):
            decode_heads(damaged)


def test_a_relabel_changes_the_head_and_decodes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_photos_repo(tmp_path) as mine:
        before = train_frozen(mine, mine.at("HEAD"), config())
        moved = [key for key in mine.at("HEAD") if key.startswith("train/dress/")]
        assert moved
        with mine.edit(message="Renamed") as edit:
            sample = mine.at("HEAD")[moved[0]]
            edit[f"train/a/{Path(moved[0]).name}"] = sample
            del edit[moved[0]]

        def no_decode(*_: object) -> None:
            raise AssertionError("an image was decoded")

        monkeypatch.setattr("voyager.derived.square.square_of", no_decode)
        monkeypatch.setattr("voyager.derived.picture._load", no_decode)
        renamed = train_frozen(mine, mine.at("HEAD"), config())
        assert renamed.record.weights == before.record.weights
        hats = next(
            label.node
            for key in mine.at("HEAD")
            if key.startswith("train/hat/")
            for label in mine.at("HEAD")[key].labels
        )
        with mine.edit(message="A slip") as edit:
            sample = mine.at("HEAD")[moved[1]]
            edit[moved[1]] = sample.replace(labels=(Label(task="category", node=hats),))
        after = train_frozen(mine, mine.at("HEAD"), config())
        assert after.record.weights != before.record.weights


def test_threads_change_no_bit(repo: Repository) -> None:
    script = (
        "import sys; from voyager.repo.repository import Repository;"
        "from voyager.train.frozen import FrozenConfig, train_frozen\n"
        "with Repository.open(sys.argv[1]) as repo:\n"
        "    config = FrozenConfig(tasks=('category',), strengths=(0.3,))\n"
        "    done = train_frozen(repo, repo.at('HEAD'), config, keep=False)\n"
        "    assert 'torch' not in sys.modules\n"
        "    print(done.record.weights)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script, str(repo.folder.parent)],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert found == {
        train_frozen(repo, repo.at("HEAD"), config(), keep=False).record.weights + "\n"
    }


def test_a_network_serves_as_the_frozen_model(repo: Repository, tmp_path: Path) -> None:
    from training_repos import config as network_config
    from training_repos import trained

    path = tmp_path / "net.safetensors"
    path.write_bytes(trained(repo, tmp_path, network_config(embedding=16)).encoded())
    embedder = open_checkpoint(path)
    assert embedder.dims == 16
    done = train_frozen(repo, repo.at("HEAD"), config(model=str(path)))
    assert done.run is not None
    assert read_heads(repo, done.run).dims == 16
    pictures = [Picture(one.read_bytes()) for one in photo_paths()[:3]]
    found = embedder.embed([embedder.prepare(one) for one in pictures])
    assert np.allclose(found, unit(found))
    path.write_bytes(trained(repo, tmp_path, network_config(embedding=16, seed=1)).encoded())
    heads = read_heads(repo, done.run)
    view = open_view(repo, repo.at("HEAD"), frozen_question(heads, "val"), for_evaluation=True)
    with pytest.raises(InvalidDataError, match="has changed"):
        frozen_said(repo, repo.at("HEAD"), done.run, view)


def test_what_is_wrong_is_refused(repo: Repository) -> None:
    version = repo.at("HEAD")
    with pytest.raises(NotFoundError, match="no model 'nothing'"):
        train_frozen(repo, version, config(model="nothing"))
    with pytest.raises(StateError, match="protected"):
        train_frozen(repo, version, config(split="test"))
    with pytest.raises(UsageError, match="no task 'colour'"):
        train_frozen(repo, version, FrozenConfig(tasks=("colour",)))
    with pytest.raises(UsageError, match="one class alone"):
        train_frozen(repo, version, config(where="key like 'train/dress/%'"))
    for settings, said in (({"head": "tree"}, "linear or knn"), ({"k": 0}, "neighbour"),
                           ({"strengths": ()}, "strengths")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            config(**settings)
    with pytest.raises(InvalidDataError, match="no setting 'lr'"):
        FrozenConfig.from_dict({"tasks": ["category"], "lr": 1})


def test_the_page_tells_what_is_usual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    section = page.split("## Heads on frozen models\n", 1)[1].split("\n## ", 1)[0]
    told = {
        cells[1].strip(" `"): cells[2].strip(" `")
        for cells in (line.split("|") for line in section.splitlines() if line.startswith("| `"))
    }
    usual = FrozenConfig(tasks=("any",)).as_dict()
    assert told == {
        "head": usual["head"],
        "k": str(usual["k"]),
        "strengths": str([int(one) if one == int(one) else one for one in usual["strengths"]]),
        "balance": json.dumps(usual["balance"]),
    }
