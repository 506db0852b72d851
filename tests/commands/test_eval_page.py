"""The page of an evaluation: whole, self-contained, safe to open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sealed_world import World
from test_diff_page import read

HOSTILE = "<script>alert(1)"
TRAIN = "train -q --task category --frozen default"


@pytest.fixture
def clothes(world: World) -> World:
    for line in (
        "cp -r $SAMPLES/clothing data",
        "vgr init -q data",
        "cd data",
        "vgr add -q train test --split-from folder --class-from folder",
        f"vgr taxonomy mv -q category/hat 'category/{HOSTILE}'",
        "vgr commit -q -m Photos",
        f"vgr {TRAIN} --name plain",
        f"vgr {TRAIN} --head knn --name near",
    ):
        assert world.run(line).code == 0, line
    return world


def page(world: World, words: str) -> tuple[str, Path]:
    done = world.run(f"vgr eval {words} --html ../page.html")
    assert done.code == 0, done.text
    path = world.path("../page.html")
    return path.read_text(), path


def test_the_page_is_whole_and_safe(clothes: World) -> None:
    text, path = page(clothes, "plain --slice category --slice 'width > 400' --compare near")
    found = read(path)
    assert found.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in found.addresses)
    assert "script-src 'none'" in text
    assert "<script" not in text
    assert " style=" not in text
    titles = "Measures", "How sure, how right", "What is taken for what", "Classes", "against"
    for words in titles:
        assert words in found.text
    assert "The worst mistakes: category" in found.text
    assert HOSTILE in found.text
    assert len(found.pictures) == 15  # half of thirty


def test_a_network_shows_its_loss(clothes: World) -> None:
    clothes.run(
        "vgr train -q --task category --model cnn-small --size 16 --batch 8 --steps 3"
        " --validate '' --threads 1 --name small"
    )
    text, path = page(clothes, "small")
    assert "over 3 steps" in read(path).text
    assert len(re.findall("<polyline", text)) == 1


def test_regions_are_shown_in_their_surroundings(world: World) -> None:
    for line in (
        "cp -r $SAMPLES/clothing data",
        "vgr init -q data",
        "cd data",
        "vgr add -q test --split train",
        "vgr commit -q -m Photos",
        "vgr import -q $SAMPLES/boxes.json --source human",
        "vgr commit -q -m Boxes",
        f"vgr {TRAIN} --head knn --set k=20 --name boxes",
    ):
        done = world.run(line)
        assert done.code == 0, (line, done.text)
    _, path = page(world, "boxes --split train")
    found = read(path)
    assert "regions of" in found.text
    assert all("#" in str(picture["alt"]) for picture in found.pictures)
