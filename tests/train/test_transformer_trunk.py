"""Trainings of a transformers model in a folder, and of weights that other libraries wrote."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import write_clip, write_dinov2, write_siglip, write_vit
from safetensors.torch import save_file
from training_repos import ctrl_c, make_photos_repo

from voyager.cli import main
from voyager.derived.transformer_embedder import open_folder
from voyager.derived.transformer_tower import open_tower, tower_size
from voyager.errors import InvalidDataError
from voyager.models import build
from voyager.models.checkpoint import ModelCard, ModelTask, encode_network, load_network
from voyager.models.foreign_weights import renamed
from voyager.models.preprocess import normalise
from voyager.models.transformer_trunk import Tower, TransformerTrunk, fitted
from voyager.repo.repository import Repository
from voyager.train.record import find_run

sys.path.append(str(Path(__file__).parents[1] / "derived"))

HOW = "--task category --batch 8 --threads 1 --validate none --lr 1e-3"


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with make_photos_repo(tmp_path_factory.mktemp("photos")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_vit(tmp_path / "tiny-vit")


def run(repo: Repository, words: str) -> int:
    code = main(["-C", str(repo.folder.parent), *words.split()])
    repo.store.refresh()
    return code


def json_of(repo: Repository, capsys: pytest.CaptureFixture[str], words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run(repo, f"{words} --json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# -- the trunk -------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [write_vit, write_dinov2, write_clip, write_siglip])
def test_a_trunk_gives_what_the_library_gives(write: Any, tmp_path: Path) -> None:
    opened = open_tower(write(tmp_path / "model"))
    assert tower_size(tmp_path / "model") == 32
    embedder = open_folder(tmp_path / "model", device="cpu")
    reference = getattr(embedder._model, "vision_model", embedder._model).eval()
    for size in (32, 48):
        trunk = TransformerTrunk(Tower.from_dict(opened.tower.as_dict()), size)
        trunk.model.load_state_dict(fitted(opened.weights, trunk.model))
        torch.manual_seed(3)
        pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
        mean, std = (
            torch.tensor(one).view(1, 3, 1, 1) for one in (opened.tower.mean, opened.tower.std)
        )
        resized = {} if "dinov2" in opened.tower.name else {"interpolate_pos_encoding": True}
        with torch.no_grad():
            found = trunk.eval()(normalise(pixels))
            told = reference(pixel_values=(pixels / 255 - mean) / std, **resized)
        pooled = opened.tower.name not in ("vit", "dinov2")
        wanted = told.pooler_output if pooled else told.last_hidden_state[:, 0]
        assert torch.allclose(found, wanted, atol=1e-5)
        assert found.shape == (2, trunk.dims)


def test_activations_are_computed_again_where_that_is_asked_for(folder: Path) -> None:
    opened = open_tower(folder)
    gradients = []
    for wanted in (False, True):
        trunk = TransformerTrunk(opened.tower, 32).train()
        trunk.model.load_state_dict(opened.weights)
        trunk.checkpointing = wanted
        assert trunk.checkpointing is wanted
        trunk(torch.ones(2, 3, 32, 32)).sum().backward()
        gradients.append(trunk.model.get_parameter("embeddings.cls_token").grad)
    assert torch.allclose(*gradients)


def test_what_a_step_would_draw_by_itself_is_off(tmp_path: Path) -> None:
    folder = write_vit(tmp_path / "vit")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.5}))
    trunk = TransformerTrunk(open_tower(folder).tower, 32).train()
    pixels = torch.ones(2, 3, 32, 32)
    assert torch.equal(trunk(pixels), trunk(pixels))


def test_a_checkpoint_is_opened_without_the_folder(folder: Path, tmp_path: Path) -> None:
    opened = open_tower(folder)
    card = ModelCard(
        "vit", 32, (ModelTask("kind", "one", (("0a", "a"), ("0b", "b"))),), 16, opened.tower
    )
    network = card.network().eval()
    file = tmp_path / "weights.safetensors"
    file.write_bytes(encode_network(network, card))
    shutil.rmtree(folder)
    again, known = load_network(file)
    assert known == card
    pixels = torch.full((1, 3, 32, 32), 200, dtype=torch.uint8)
    assert torch.equal(again(pixels)["kind"], network(pixels)["kind"])


@pytest.mark.parametrize(
    "change", [{"hidden_size": "many"}, {"num_attention_heads": 0}, {"model_type": "bert"}]
)
def test_a_description_that_is_none(change: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    tower = open_tower(folder).tower
    card = ModelCard("vit", 32, (), None, tower)
    network = card.network()
    wrong = Tower({**tower.config, **change}, tower.mean, tower.std)
    file = tmp_path / "weights.safetensors"
    file.write_bytes(encode_network(network, ModelCard("vit", 32, (), None, wrong)))
    with pytest.raises(InvalidDataError):
        load_network(file)


# -- trainings -------------------------------------------------------------------------------------


def test_a_training_of_a_folder_is_a_run_like_others(
    repo: Repository, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = json_of(repo, capsys, f"train {HOW} --steps 3 --model {folder} --embedding 16")
    record = find_run(repo, made["run"]).record
    assert record.config["model"] == str(folder)
    assert record.config["size"] == 32
    assert record.start_hash == open_folder(folder, device="cpu").model_id.hex()
    assert "transformers" in record.versions
    assert json_of(repo, capsys, f"train --repeat {made['run']}")["repeats"] is True
    shutil.move(folder, tmp_path / "elsewhere")
    assert run(repo, f"train --repeat {made['run']}") == 3
    assert f"no folder '{folder}'" in capsys.readouterr().err

    assert run(repo, f"eval {made['run']} -q") == 0
    assert run(repo, f"runs export {made['run']} {tmp_path / 'out'} -q") == 0
    assert (tmp_path / "out" / "classes.txt").read_text().split()[0] == "dress"
    assert run(repo, f"train --task category --frozen {made['run']} --name on-top -q") == 0
    file = tmp_path / "out" / "weights.safetensors"
    assert run(repo, f"derive embedding --model {file} -q") == 0
    # What is begun from the run has its network and its size.
    more = json_of(repo, capsys, f"train {HOW} --steps 1 --from {made['run']}")
    config = find_run(repo, more["run"]).record.config
    assert (config["model"], config["size"]) == ("vit", 32)


def test_it_learns_from_the_weights_of_the_folder(
    repo: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another model is another run, and one put in its place is no repeat."""
    folder = write_vit(tmp_path / "vit", seed=1)
    how = f"train {HOW} --steps 1 --model {folder}"
    first = json_of(repo, capsys, how)
    shutil.rmtree(folder)
    write_vit(folder, seed=2)
    assert json_of(repo, capsys, how)["weights"] != first["weights"]
    assert run(repo, f"train --repeat {first['run']}") == 5
    assert "is not what run" in capsys.readouterr().err


def test_a_stopped_training_needs_the_folder_no_more(
    repo: Repository,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    how = f"train {HOW} --steps 3 --model {folder} --size 48"
    whole = json_of(repo, capsys, how)
    with ctrl_c():
        assert run(repo, f"{how} --name halted-vit -q") == 130
    shutil.rmtree(folder)
    assert json_of(repo, capsys, "train --resume halted-vit")["weights"] == whole["weights"]


def test_folders_that_are_no_model(
    repo: Repository, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert run(repo, f"train {HOW} --model {empty}") == 6
    said = capsys.readouterr().err
    assert "no config.json" in said
    assert "hint:" in said
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert run(repo, f"train {HOW} --model {folder}") == 2
    said = capsys.readouterr().err
    assert "a model of type 'bert'" in said
    assert "hint:" in said


def test_without_transformers(
    repo: Repository,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert run(repo, f"train {HOW} --model {folder}") == 9
    said = capsys.readouterr().err
    assert "transformers, which is not installed" in said
    assert "hint: pip install" in said


def test_pictures_that_are_no_whole_patches(
    repo: Repository, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(repo, f"train {HOW} --model {folder} --size 33") == 2
    assert "33 pixels are no whole patches of 8: 32 is" in capsys.readouterr().err


# -- weights of other libraries --------------------------------------------------------------------


def published(name: str) -> dict[str, torch.Tensor]:
    """The weights of a trunk by the names that torchvision and timm give them, with a head."""
    weights = build(name, size=32).state_dict()  # type: ignore[attr-defined]
    found: dict[str, torch.Tensor] = {"fc.weight": torch.zeros(7, 5), "head.bias": torch.zeros(7)}
    parts = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2", "6": "conv3", "7": "bn3"}
    for key, value in weights.items():
        words = key.split(".")
        if words[0] == "stem":
            words = [parts[words[1]], *words[2:]]
        elif words[0] == "blocks" and words[2] == "body":
            block = int(words[1])
            words = [f"layer{block // 2 + 1}", str(block % 2), parts[words[3]], *words[4:]]
        elif words[0] == "blocks" and words[2] == "straight":
            block = int(words[1])
            words = [f"layer{block // 2 + 1}", str(block % 2), "downsample", *words[3:]]
        found[".".join(words)] = value
    return found


@pytest.mark.parametrize("name", ["resnet-18", "resnet-26"])
def test_weights_of_torchvision(
    name: str, repo: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(11)
    weights = published(name)
    back = renamed(weights)
    torch.manual_seed(11)
    wanted = build(name, size=32).state_dict()  # type: ignore[attr-defined]
    assert back.keys() == wanted.keys()
    assert all(torch.equal(back[key], wanted[key]) for key in wanted)
    file = tmp_path / "resnet.safetensors"
    save_file({key: value.contiguous() for key, value in weights.items()}, file)
    how = f"train {HOW} --steps 1 --size 32 --from {file}"
    if name == "resnet-18":
        started = json_of(repo, capsys, how)
        assert find_run(repo, started["run"]).record.start_hash
    else:
        assert run(repo, how) == 6
        assert "its weights are not those of a resnet-18" in capsys.readouterr().err


def test_weights_of_timm_for_pictures_of_another_size() -> None:
    names = {
        "token": "cls_token", "places": "pos_embed", "patches.": "patch_embed.proj.",
        "norm_attention": "norm1", "norm_layers": "norm2", "attention.asks": "attn.qkv",
        "attention.out": "attn.proj", "layers.0": "mlp.fc1", "layers.2": "mlp.fc2",
    }  # fmt: skip
    trunk = build("vit-tiny/16", size=32)
    assert isinstance(trunk, torch.nn.Module)
    weights = {}
    for key, value in trunk.state_dict().items():
        theirs = key
        for part, name in names.items():
            theirs = theirs.replace(part, name)
        weights[theirs] = value
    back = renamed(weights)
    larger = build("vit-tiny/16", size=48)
    assert isinstance(larger, torch.nn.Module)
    larger.load_state_dict(fitted(back, larger))
    pixels = torch.ones(1, 3, 32, 32)
    trunk.load_state_dict(back)
    with torch.no_grad():
        assert np.isfinite(larger(torch.ones(1, 3, 48, 48)).numpy()).all()
        assert torch.equal(trunk(pixels), trunk(pixels))
