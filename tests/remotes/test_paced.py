"""A limit of bytes a second, by a clock that only waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from voyager.errors import RemoteError
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.paced import Paced
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.storages.memory import MemoryStorage


class Clock:
    """A time that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __call__(self) -> float:
        return self.now


class TestPaced(StorageSuite):
    measures_memory = False  # what is stored is in this process

    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        self.place = MemoryStorage()

    def open_storage(self) -> Paced:
        return Paced(self.place, 1 << 40)


def test_what_is_sent_and_read_waits_for_what_went_before() -> None:
    clock = Clock()
    storage = Paced(MemoryStorage(), 1000, sleep=clock.sleep, clock=clock)
    storage.put("packs/a", bytes(5000))
    assert clock.slept == []
    storage.put("packs/b", bytes(100))
    assert clock.now == pytest.approx(105)
    assert len(storage.get("packs/a")) == 5000
    assert clock.now == pytest.approx(105.1)
    storage.get("packs/b")
    assert clock.now == pytest.approx(110.1)


def test_what_is_fetched_comes_in_pieces(tmp_path: Path) -> None:
    clock = Clock()
    storage = Paced(MemoryStorage(), 1_000_000, sleep=clock.sleep, clock=clock)
    body = bytes(range(250)) * 12_000
    storage.storage.put("packs/a", body)
    storage.fetch("packs/a", tmp_path / "a", size=len(body))
    assert (tmp_path / "a").read_bytes() == body
    assert clock.now == pytest.approx(102.75)
    assert max(clock.slept) == pytest.approx(0.25)
    with pytest.raises(RemoteError):
        storage.fetch("packs/a", tmp_path / "b", size=len(body) + 1)
    assert not (tmp_path / "b").exists()


def test_the_limit_is_an_option() -> None:
    storage = open_storage("memory://paced", options=StorageOptions(limit=500))
    assert isinstance(storage, Paced)
    assert storage.limit == 500
