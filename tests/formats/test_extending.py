"""The format of docs/extending/format.md works as the page says: its own blocks are this test."""

from __future__ import annotations

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from voyager.errors import InvalidDataError
from voyager.formats import registry
from voyager.formats.collecting import collect

PAGE = Path(__file__).parents[2] / "docs" / "extending" / "format.md"
NAME = "voyager.formats.flat_boxes"
MODULE, SUITE = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)


def _taken(name: str, code: str) -> ModuleType:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # so that the registry takes it for there
    exec(compile(code, str(PAGE), "exec"), vars(module))
    return module


flat_boxes = sys.modules[NAME] = _taken(NAME, MODULE)
TestFlatBoxes = _taken("suite_of_the_page", SUITE).TestFlatBoxes
del sys.modules[NAME]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, NAME, flat_boxes)
    monkeypatch.setitem(registry.FORMATS, "flat-boxes", NAME)


def test_the_error_of_the_page_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "boxes.flat"
    path.write_text('["flat-boxes", 1]\n["a.jpg", ["hat", 1, 2, 3, 4]]\n["b.jpg", 7]\n')
    assert registry.detect(path)[0].name == "flat-boxes"
    with pytest.raises(InvalidDataError) as caught:
        collect(flat_boxes.FORMAT, path)
    assert (caught.value.path, caught.value.line) == (str(path), 3)
