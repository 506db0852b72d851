"""A command for one test, as a module that no file holds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from voyager.commands.table import COMMANDS, Entry


@pytest.fixture
def add_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`add_command("name", run=function)`, or with `app=` and `DEFAULT=` for sub-commands."""

    def add(name: str, **members: Any) -> None:
        module = ModuleType(f"voyager.commands.{name}")
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        if name not in COMMANDS:
            monkeypatch.setitem(COMMANDS, name, Entry("Tests", "A command of a test"))

    return add
