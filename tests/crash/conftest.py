"""Fixtures of the crash tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_stores import quick_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder where fsync is cheap."""
    with quick_folder() as path:
        yield path
