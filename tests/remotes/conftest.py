"""Repositories of a few real photos, and a known author."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voyager.repo.repository import Repository


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VGR_NOW", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def empty_repo(tmp_path: Path) -> Iterator[Repository]:
    """A new repository with an empty working tree."""
    with Repository.init(tmp_path / "work") as repo:
        yield repo
