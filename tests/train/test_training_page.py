"""docs/training.md does not fall behind: its tables are those of the code."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path

import torch

from voyager.models import build, trunk_names
from voyager.train.augment import AUGMENTATIONS, Augmentation
from voyager.train.config import TrainConfig

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    section = PAGE.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_setting_is_told_with_what_is_usual() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows("Settings")}
    usual = TrainConfig(tasks=("any",)).as_dict()
    wanted = {}
    for one in fields(TrainConfig):
        value = usual[one.name]
        said = value if isinstance(value, str) else json.dumps(value)
        wanted[one.name] = "" if one.default is MISSING else said
    assert told == wanted


def test_every_network_is_told_with_its_size() -> None:
    told = [
        (row[0].strip("`"), *(int(n.replace(",", "")) for n in row[1:])) for row in rows("Networks")
    ]
    found = []
    with torch.device("meta"):
        for name in trunk_names():
            trunk = build(name)
            assert isinstance(trunk, torch.nn.Module)
            found.append((name, sum(one.numel() for one in trunk.parameters()), trunk.dims))
    assert told == found


def test_every_change_of_pictures_is_told() -> None:
    told: dict[str, list[str]] = {}
    for row in rows("Augmentation"):
        names = [name.strip("` ") for name in row[0].split(",")]
        for place, name in enumerate(names):
            told[name] = [cell.split(",")[min(place, cell.count(","))] for cell in row[2:]]
    assert told.keys() == {one.name for one in fields(Augmentation)}
    for number, name in enumerate(("light", "standard", "strong")):
        for change, value in AUGMENTATIONS[name].as_dict().items():
            assert float(told[change][number]) == round(value, 3), (change, name)
