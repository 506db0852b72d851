"""Regions with answers, where nothing is asked of images: trained on and evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voyager.cli import main

DATA = Path(__file__).parents[1] / "data" / "bccd"


def test_regions_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def vgr(words: str) -> int:
        return main(["-C", str(tmp_path), *words.split()])

    assert vgr("init -q .") == 0
    assert vgr(f"import -q {DATA}") == 0
    assert vgr("split -q JPEGImages --set train") == 0
    assert vgr("commit -q -m Cells") == 0
    small = "--model cnn-small --size 16 --batch 8 --steps 2 --threads 1 --rendition none"
    small += " --allow-unchecked"
    assert vgr(f"train -q --task category {small} --name cells") == 0
    capsys.readouterr()
    assert vgr("eval cells --split train --json") == 0
    measures = json.loads(capsys.readouterr().out)
    assert "category" in json.dumps(measures)
