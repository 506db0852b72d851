"""The public ways to load a commit: a torch dataset, and NumPy batches without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader
from training_repos import CLASSES, TESTED, TRAINED, make_photos_repo

import voyager.train
from voyager.errors import InvalidDataError, StateError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.train.place import Place

SETTINGS: dict[str, Any] = {"tasks": ["category"], "size": 32, "batch": 8, "seed": 5}
STEPS = -(-TRAINED // 8)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.fixture(scope="module")
def ds(repo: Repository) -> Dataset:
    return repo.at("HEAD")


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert torch.equal(one["images"], other["images"])
    assert torch.equal(one["rows"], other["rows"])
    assert torch.equal(one["targets"]["category"], other["targets"]["category"])


# -- batches --------------------------------------------------------------------------------------


def test_numpy_batches_have_pictures_and_answers(ds: Dataset) -> None:
    found = list(voyager.train.batches(ds, **SETTINGS))
    assert len(found) == STEPS
    first = found[0]
    assert first["images"].shape == (8, 32, 32, 3)
    assert first["images"].dtype == np.uint8
    assert first["targets"]["category"].dtype == np.int64
    assert first["known"] == {}
    classes = sorted({key.split("/")[1] for key in ds if key.startswith("train/")})
    for batch in found:
        for key, place in zip(batch["keys"], batch["targets"]["category"], strict=True):
            assert key.startswith(f"train/{classes[place]}/")
    later = list(voyager.train.batches(ds, start=3, **SETTINGS))
    assert [batch["keys"] for batch in later] == [batch["keys"] for batch in found[3:]]


def test_a_protected_split_is_for_evaluations(ds: Dataset) -> None:
    settings = SETTINGS | {"split": "test"}
    with pytest.raises(StateError, match="protected"):
        next(voyager.train.batches(ds, **settings))
    with pytest.raises(StateError, match="protected"):
        voyager.train.torch_dataset(ds, **settings)
    found = list(voyager.train.batches(ds, evaluate=True, **settings))
    assert sum(len(batch["keys"]) for batch in found) == TESTED
    assert np.concatenate([batch["rows"] for batch in found]).tolist() == list(range(TESTED))


def test_without_torch() -> None:
    code = (
        "import sys, voyager.train, voyager.train.data;"
        "assert voyager.train.batches; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError):
        voyager.train.nothing  # noqa: B018


# -- torch ----------------------------------------------------------------------------------------


def test_a_torch_dataset_gives_the_same_as_numpy(ds: Dataset) -> None:
    """But for how the two resize."""
    data = voyager.train.torch_dataset(ds, **SETTINGS)
    assert len(data) == STEPS
    assert len(data.classes("category")) == CLASSES
    ways = zip(
        DataLoader(data, batch_size=None), voyager.train.batches(ds, **SETTINGS), strict=True
    )
    kept = []
    for batch, arrays in ways:
        assert batch["images"].is_contiguous(memory_format=torch.channels_last)
        images = batch["images"].permute(0, 2, 3, 1).numpy().astype(np.int32)
        assert np.abs(images - arrays["images"]).mean() < 1
        assert np.array_equal(batch["rows"].numpy(), arrays["rows"])
        assert np.array_equal(batch["targets"]["category"].numpy(), arrays["targets"]["category"])
        kept.append((batch["images"], batch["images"].clone()))
    assert all(torch.equal(one, copy) for one, copy in kept)


def test_each_pass_is_the_next_epoch(ds: Dataset) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS)
    first, second = list(data), list(data)
    assert not torch.equal(first[0]["rows"], second[0]["rows"])
    data.set_epoch(0)
    for one, other in zip(first, data, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("single", [False, True], ids=["batches", "samples"])
@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_state_goes_on_where_it_was_taken(ds: Dataset, single: bool, taken: int) -> None:
    settings = SETTINGS | ({"batch": None} if single else {})
    data = voyager.train.torch_dataset(ds, **settings)
    data.set_epoch(2)
    running = iter(DataLoader(data, batch_size=None))
    list(islice(running, taken))
    state = data.state_dict()
    kept = data.place.as_bytes()
    assert len(kept) <= 64
    assert Place.from_bytes(kept).as_dict() == state
    rest = list(running)
    other = voyager.train.torch_dataset(ds, **settings)
    other.load_state_dict(state)
    for one, again in zip(rest, other, strict=True):
        assert_same(one, again)


def test_states_of_others_are_refused(repo: Repository, ds: Dataset) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS)
    state = data.state_dict()
    for harm, error in (
        ({"seed": 6}, StateError),
        ({"commit": "00" * 16}, StateError),
        ({"step": "x"}, InvalidDataError),
    ):
        with pytest.raises(error):
            data.load_state_dict({**state, **harm})
    with pytest.raises(InvalidDataError):
        data.load_state_dict({})
    with pytest.raises(InvalidDataError):
        Place.from_bytes(b"short")


@examples(60, deep=600)
@given(
    commit=st.binary(min_size=16, max_size=16),
    seed=st.integers(-(2**63), 2**63 - 1),
    epoch=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**64 - 1),
)
def test_a_place_is_forty_bytes(commit: bytes, seed: int, epoch: int, step: int) -> None:
    place = Place(commit, seed, epoch, step)
    assert len(place.as_bytes()) == 40
    assert Place.from_bytes(place.as_bytes()) == place
    assert Place.from_dict(place.as_dict()) == place


def test_samples_come_one_by_one(ds: Dataset) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS | {"batch": None})
    assert len(data) == TRAINED
    batches = list(DataLoader(data, batch_size=16, drop_last=True))
    assert len(batches) == TRAINED // 16
    assert batches[0]["images"].shape == (16, 3, 32, 32)
    assert batches[0]["targets"]["category"].shape == (16,)
    with pytest.raises(UsageError, match="blend"):
        voyager.train.torch_dataset(ds, **SETTINGS | {"batch": None, "augmentation": "strong"})


def test_ranks_share_the_steps(ds: Dataset) -> None:
    whole = list(voyager.train.torch_dataset(ds, **SETTINGS))
    parts = [
        list(voyager.train.torch_dataset(ds, rank=rank, world=2, **SETTINGS)) for rank in (0, 1)
    ]
    for batch, *shared in zip(whole, *parts, strict=True):
        assert torch.equal(batch["rows"], torch.cat([part["rows"] for part in shared]))


@pytest.mark.deep  # torch waits five seconds for a worker that failed
def test_workers_are_refused(ds: Dataset) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS)
    with pytest.raises(UsageError, match="threads of its own"):
        next(iter(DataLoader(data, batch_size=None, num_workers=1)))


def test_a_process_of_a_worker_is_refused(ds: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS)
    monkeypatch.setattr("voyager.train.torch_data.get_worker_info", object)
    with pytest.raises(UsageError, match="threads of its own"):
        iter(data)


def test_mixed_batches_say_with_what(ds: Dataset) -> None:
    data = voyager.train.torch_dataset(ds, **SETTINGS | {"augmentation": "light,mixup=1"})
    for batch in data:
        assert batch["partner"].shape == batch["rows"].shape
        assert 0.5 <= batch["share"] <= 1
