"""Trunks, heads and checkpoints: published sizes, what a gradient sees, files that are none."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from voyager.errors import InvalidDataError, NotFoundError, UsageError
from voyager.models import build, trunk_names
from voyager.models.checkpoint import (
    ModelCard,
    ModelTask,
    encode_network,
    load_network,
    read_card,
    weights_hash,
)
from voyager.models.heads import NormalisedSoftmax, choose_classes
from voyager.models.network import Network, Output
from voyager.models.preprocess import DEVIATION, MEAN, normalise

PUBLISHED = {
    "resnet-18": 11_689_512,
    "resnet-26": 15_995_176,
    "resnet-50": 25_557_032,
    "resnet-101": 44_549_160,
    "resnext-50-32x4d": 25_028_904,
    "resnext-101-32x8d": 88_791_336,
    "vit-tiny/16": 5_717_416,
    "vit-small/16": 22_050_664,
    "vit-base/16": 86_567_656,
    "vit-large/16": 304_326_632,
}
"""Parameters with a linear head of 1,000 classes, as torchvision and timm publish them."""

CARD = ModelCard(
    "cnn-small",
    32,
    (
        ModelTask("fashion.class", "one", (("0a", "shoes"), ("0b", "shoes/heels"), ("0c", "hat"))),
        ModelTask("colour", "many", (("1a", "red"), ("1b", "blue"))),
        ModelTask("price", "number"),
    ),
    embedding=16,
)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        trunk = build(name)
    assert isinstance(trunk, nn.Module)
    head = (trunk.dims + 1) * 1000
    assert sum(weights.numel() for weights in trunk.parameters()) + head == PUBLISHED[name]


@pytest.mark.parametrize("name", [name for name in trunk_names() if "large" not in name])
def test_every_trunk_says_how_long_its_vectors_are(name: str) -> None:
    with torch.device("meta"):
        trunk = build(name, size=64)
        assert trunk(torch.zeros(2, 3, 64, 64)).shape == (2, trunk.dims)


@pytest.mark.parametrize(
    "name",
    ["cnn-small", pytest.param("resnext-26-32x4d", marks=pytest.mark.deep), "vit-tiny/16"],
)
def test_checkpointing_changes_no_gradient(name: str) -> None:
    torch.manual_seed(1)
    trunk = build(name, size=32)
    assert isinstance(trunk, nn.Module)
    images = torch.randn(2, 3, 32, 32)
    gradients = []
    for checkpointing in (False, True):
        trunk.checkpointing = checkpointing
        trunk.zero_grad()
        trunk(images).square().mean().backward()
        gradients.append([weights.grad.clone() for weights in trunk.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_a_transformer_takes_other_sizes() -> None:
    trunk = build("vit-tiny/16", size=64)
    assert trunk(torch.zeros(1, 3, 96, 64)).shape == (1, 192)
    with pytest.raises(UsageError, match="no whole patches of 16: 96 is"):
        build("vit-tiny/16", size=100)


def test_a_name_that_is_none() -> None:
    with pytest.raises(UsageError, match="no model 'resnet50'") as caught:
        build("resnet50")
    assert caught.value.hint == "did you mean 'resnet-50'?"


def test_pixels_are_normalised_as_published() -> None:
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    mean, deviation = (torch.tensor(of).view(1, 3, 1, 1) for of in (MEAN, DEVIATION))
    assert torch.allclose(normalise(pixels), (pixels / 255 - mean) / deviation, atol=1e-5)


def test_a_network_answers_every_task_in_order() -> None:
    network = CARD.network().eval()
    logits = network(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert {task: tuple(found.shape) for task, found in logits.items()} == {
        "fashion.class": (2, 3),
        "colour": (2, 2),
        "price": (2, 1),
    }
    unit = network.embed(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert unit.shape == (2, 16)
    assert torch.allclose(unit.norm(dim=1), torch.ones(2), atol=1e-5)


def test_a_network_without_an_embedding_embeds_by_its_trunk() -> None:
    network = Network(build("cnn-small"), {"a": Output("one", 2)}).eval()
    unit = network.embed(torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8))
    assert unit.shape == (2, network.embedding_dims) == (2, 512)


@examples(50, deep=500)
@given(
    targets=st.lists(st.integers(-1, 99), min_size=1, max_size=20),
    count=st.integers(1, 120),
    seed=st.integers(0, 99),
)
def test_subsampled_classes_hold_those_of_the_batch(
    targets: list[int], count: int, seed: int
) -> None:
    wanted = torch.tensor(targets)
    chosen, places = choose_classes(wanted, 100, count, torch.Generator().manual_seed(seed))
    present = set(targets) - {-1}
    assert len(set(chosen.tolist())) == len(chosen) == min(max(count, len(present)), 100)
    answered = wanted >= 0
    assert (chosen[places[answered]] == wanted[answered]).all()
    assert (places[~answered] == -1).all()


def test_all_classes_chosen_is_no_choice() -> None:
    softmax, unit = NormalisedSoftmax(8, 5), torch.randn(3, 8)
    assert torch.equal(softmax(unit), softmax(unit, torch.arange(5)))


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    network = CARD.network()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(encode_network(network, CARD))
    again, card = load_network(path)
    assert card == CARD
    assert weights_hash(again) == weights_hash(network)
    pixels = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    before, after = network.eval()(pixels), again(pixels)
    assert all(torch.equal(before[task], after[task]) for task in before)


def test_the_hash_is_of_every_number() -> None:
    network = CARD.network()
    before = weights_hash(network)
    with torch.no_grad():
        network.softmaxes[0].centres[2, 3] += 1e-6
    assert weights_hash(network) != before


def _file(header: object, rest: bytes = b"") -> bytes:
    said = json.dumps(header).encode()
    return struct.pack("<Q", len(said)) + said + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 a pickle of torch",
        struct.pack("<Q", 1 << 60) + b"{}",
        _file({}),
        _file([]),
        _file({"__metadata__": {"voyager": "9"}}),
        _file({"__metadata__": {"voyager": "1", "model": "{}"}}),
        _file({"__metadata__": {"voyager": "1", "model": "[" * 100000}}),
    ],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with pytest.raises(InvalidDataError, match="no checkpoint of Voyager"):
        read_card(path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    other = ModelCard("cnn-small", 32, CARD.tasks[1:], embedding=None)
    path.write_bytes(encode_network(CARD.network(), other))
    with pytest.raises(InvalidDataError, match="weights of another network"):
        load_network(path)
    with pytest.raises(NotFoundError, match="no checkpoint"):
        load_network(tmp_path / "nothing")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InvalidDataError, match="damaged weights"):
        load_network(path)
