"""One model of looks: what search, embeddings ahead of time and semantic duplicates agree on."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from checkpoints import write_vit
from sealed_world import World

from voyager.derived.embeddings import DEFAULT, embedding, open_embedder
from voyager.samples import photo_paths


@pytest.fixture
def model(world: World) -> Path:
    """A tiny model that the setting names, in a repository of four photos."""
    run(world, "init", "-q")
    for number, path in enumerate(photo_paths()[:4]):
        shutil.copyfile(path, world.cwd / f"{number}.jpg")
    run(world, "add", "-q", ".")
    folder = world.root / "vit"
    folder.mkdir()
    write_vit(folder)
    run(world, "config", "search.model", str(folder))
    return folder


def run(world: World, *arguments: str) -> str:
    result = world.vgr(*arguments)
    assert result.code == 0, result.text
    return result.text


def kept(world: World, *, vectors: bool = False) -> set[str]:
    lines = run(world, "derive", "--list", "--json").splitlines()
    names = {json.loads(line)["name"] for line in lines}
    return {name for name in names if vectors == name.startswith("vectors-")}


def name_of(model: str) -> str:
    return embedding(open_embedder(model)).name


def test_embeddings_ahead_of_time_are_those_that_search_reads(world: World, model: Path) -> None:
    done = json.loads(run(world, "derive", "embedding", "--json"))
    assert (done["what"], done["computed"]) == ([name_of(str(model))], 4)
    assert "computed" not in run(world, "search", "-v", "--image", "0.jpg")
    assert kept(world) == {name_of(str(model))}


def test_semantic_duplicates_take_the_model_of_the_setting(world: World, model: Path) -> None:
    run(world, "duplicates", "--kind", "semantic")
    assert kept(world) == {name_of(str(model))}
    run(world, "duplicates", "--kind", "semantic", "--model", DEFAULT)
    assert kept(world) == {name_of(str(model)), name_of(DEFAULT)}


def test_embeddings_of_every_model_are_dropped_by_one_word(world: World, model: Path) -> None:
    run(world, "derive", "embedding")
    run(world, "derive", "embedding", "sketch", "--model", DEFAULT)
    names = sorted([name_of(str(model)), name_of(DEFAULT)])
    run(world, "search", "--like", "0.jpg")
    (vectors,) = kept(world, vectors=True)
    done = json.loads(run(world, "derive", "--drop", "embedding", "--json"))
    assert done["dropped"] == [*names, vectors]
    assert (kept(world), kept(world, vectors=True)) == ({"sketch"}, set())
    assert "computed: 4 embeddings" in run(world, "search", "-v", "--like", "0.jpg")


def test_vectors_are_dropped_by_their_name_and_cost_no_decode(world: World, model: Path) -> None:
    run(world, "search", "--like", "0.jpg")
    run(world, "search", "--like", "0.jpg", "--model", DEFAULT)
    first, second = sorted(kept(world, vectors=True))
    run(world, "derive", "--drop", first)
    assert kept(world, vectors=True) == {second}
    for name in (str(model), DEFAULT):
        assert "computed" not in run(world, "search", "-v", "--like", "0.jpg", "--model", name)


def test_vectors_of_a_former_model_go_above_the_limit(world: World, model: Path) -> None:
    run(world, "search", "--like", "0.jpg")
    (former,) = kept(world, vectors=True)
    folder = world.cwd / ".vgr/cache/search/vectors" / former.removeprefix("vectors-")
    (folder / "segments" / "large").write_bytes(bytes(1_000_000))
    for path in (folder, folder / "manifest"):
        os.utime(path, (1, 1))
    run(world, "search", "--like", "0.jpg", "--model", DEFAULT)
    assert len(kept(world, vectors=True)) == 2
    run(world, "config", "derived.limit_mb", "1")
    run(world, "derive", "sketch")
    assert kept(world, vectors=True) == {name_of(DEFAULT).replace("embedding", "vectors")}
