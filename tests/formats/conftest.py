"""Repositories for the tests of imports and exports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voyager.repo.repository import Repository


@pytest.fixture
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VGR_NOW", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def repo(tmp_path: Path, _author: None) -> Iterator[Repository]:
    """A new repository with an empty working tree."""
    with Repository.init(tmp_path / "work") as found:
        yield found
