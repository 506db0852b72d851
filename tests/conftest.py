"""Flags of the test run, and the sealed world for tests of commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from examples import go_deep, stay_quick
from sealed_world import World, sealed_world


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="run the long tests too")
    parser.addoption(
        "--server",
        action="append",
        default=[],
        metavar="NAME",
        help="with --deep: an S3 server to start for tests/remotes (moto, radosgw, rclone)",
    )
    parser.addoption("--update", action="store_true", help="rewrite golden files with what is seen")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--deep"):
        go_deep()
    else:
        stay_quick()
        if config.getoption("--server"):
            raise pytest.UsageError("--server is for the long tests: add --deep")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--deep"):
        return
    skip = pytest.mark.skip(reason="long; run with --deep")
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(skip)


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be rewritten."""
    return bool(request.config.getoption("--update"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A sealed world in an empty folder."""
    with sealed_world(tmp_path / "world") as sealed:
        yield sealed
