"""Fixtures of the store's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_stores import quick_folder

from voyager.store.objectstore import Store


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder where fsync is cheap."""
    with quick_folder() as path:
        yield path


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.init(folder / "store") as opened:
        yield opened
