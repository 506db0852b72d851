"""Repositories of a few real photos, and a known author."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from real_servers import Server, real_server, what_lacks
from s3_server import new_bucket, s3_server, use_server

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


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The endpoint of an S3 server on this machine, for all tests of a process."""
    with s3_server() as endpoint:
        yield endpoint


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment names the S3 server and credentials; its endpoint."""
    use_server(s3_endpoint, monkeypatch)
    return s3_endpoint


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("--server") or ["moto"]
    for name in names:
        if lack := what_lacks(name):
            raise pytest.UsageError(lack)
    metafunc.parametrize("server", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each of the S3 servers that the run names, as a process of its own."""
    with real_server(request.param) as server:
        yield server


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket of the server, which the environment names."""
    use_server(server.endpoint, monkeypatch)
    return new_bucket()
