"""Trying again: what is repeated, how long, and that nothing happens twice or is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faulty import TRANSIENT, Fault, Faulty, Killed, Request, at, on, randomly, storm

from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import PreconditionFailed, Storage
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.storages.memory import MemoryStorage

LONG = Patience(attempts=100, first=0.0, total=1e9)


def retrying(storage: Storage, patience: Patience = LONG) -> Retrying:
    return Retrying(storage, patience, sleep=lambda _: None)


@pytest.mark.parametrize("seed", range(3))
class TestStorms(StorageSuite):
    """Every law of the suite, with a third of all requests failing."""

    measures_memory = False

    @pytest.fixture(autouse=True)
    def _empty(self, seed: int) -> None:
        self.memory = MemoryStorage()
        self.seed = seed

    def open_storage(self) -> Storage:
        return retrying(Faulty(self.memory, randomly(self.seed, 0.35)))


READS: list[Callable[[Storage, Path], object]] = [
    lambda storage, _: storage.get("a"),
    lambda storage, _: storage.get_tagged("a").data,
    lambda storage, _: storage.get_range("a", 0, 4),
    lambda storage, folder: storage.fetch("a", folder / "a", size=4),
    lambda storage, _: storage.size("a"),
    lambda storage, _: [each.name for each in storage.list("")],
]


@pytest.mark.parametrize("fault", [*TRANSIENT, "truncate"])
@pytest.mark.parametrize("read", READS)
def test_reads_are_repeated(
    read: Callable[[Storage, Path], object], fault: Fault, tmp_path: Path
) -> None:
    memory = MemoryStorage()
    memory.put("a", b"data")
    if fault == "truncate" and read in READS[:2]:
        return  # of an unknown length: whoever knows the hash notices
    faulty = Faulty(memory, at(1, fault))
    assert read(retrying(faulty), tmp_path) in (b"data", 4, ["a"], None)
    silent = fault == "truncate" and read in READS[4:]
    assert len(faulty.requests) == (1 if silent else 2)


@pytest.mark.parametrize("tag", [True, False])
@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_conditional_write_in_doubt_happens_once(fault: Fault, tag: bool) -> None:
    memory = MemoryStorage()
    old = memory.put_if("root", b"old", None) if tag else None
    faulty = Faulty(memory, on(fault, "put_if"))
    new = retrying(faulty).put_if("root", b"new", old)
    assert memory.get_tagged("root") == (b"new", new)
    assert faulty.asked("put_if") == (1 if fault == "lost-reply" else 2)


def test_a_conditional_write_in_doubt_loses_to_another() -> None:
    memory = MemoryStorage()

    def other_wins(request: Request) -> Fault | None:
        if request.number > 1:
            return None
        memory.put_if("root", b"other", None)
        return "drop"

    with pytest.raises(PreconditionFailed):
        retrying(Faulty(memory, other_wins)).put_if("root", b"mine", None)
    assert memory.get("root") == b"other"


def test_a_write_that_arrives_late_is_ours() -> None:
    """The first attempt seems lost, we look and find nothing, and then it arrives."""
    memory = MemoryStorage()

    def arrives_late(request: Request) -> Fault | None:
        if request.number == 1:
            return "drop"
        if request.number == 3:
            memory.put_if("root", b"mine", None)
        return None

    faulty = Faulty(memory, arrives_late)
    tag = retrying(faulty).put_if("root", b"mine", None)
    assert memory.get_tagged("root") == (b"mine", tag)
    assert [request.method for request in faulty.requests] == [
        "put_if",
        "get_tagged",
        "put_if",
        "get_tagged",
    ]


def test_what_does_not_help_is_not_repeated() -> None:
    class Refusing(MemoryStorage):
        def get(self, name: str) -> bytes:
            raise RemoteError("no permission")

    faulty = Faulty(Refusing())
    with pytest.raises(RemoteError, match=r"^no permission$"):
        retrying(faulty).get("a")
    with pytest.raises(NotFoundError):
        retrying(faulty).get_tagged("a")
    assert len(faulty.requests) == 2


def test_pauses_grow_and_end() -> None:
    pauses: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    patience = Patience(attempts=6, first=1.0, most=5.0, total=100.0)
    storage = Retrying(
        Faulty(MemoryStorage(), storm(1, 99)), patience, sleep=sleep, clock=lambda: now[0]
    )
    with pytest.raises(RemoteError, match=r"503 slow down \(tried 6 times\)") as given_up:
        storage.get("a")
    assert given_up.value.retry
    assert len(pauses) == 5
    for pause, whole in zip(pauses, (1, 2, 4, 5, 5), strict=True):
        assert whole / 2 <= pause <= whole


def test_the_deadline_ends_it() -> None:
    now = [0.0]
    patience = Patience(attempts=99, first=1.0, most=1.0, total=10.0)
    faulty = Faulty(MemoryStorage(), storm(1, 999))

    def sleep(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(RemoteError):
        Retrying(faulty, patience, sleep=sleep, clock=lambda: now[0]).get("a")
    assert now[0] <= 10.0
    assert 10 <= len(faulty.requests) <= 21


def test_no_pause_is_the_same_for_all() -> None:
    patience = Patience()
    assert len({patience.pause(3) for _ in range(20)}) > 10


# -- the faulty storage itself --------------------------------------------------------------------


def test_killed_clients_stay_killed() -> None:
    memory = MemoryStorage()
    faulty = Faulty(memory, at(2, "die-after"))
    faulty.put("a", b"1")
    with pytest.raises(Killed):
        faulty.put("b", b"2")
    with pytest.raises(Killed):
        faulty.put("c", b"3")
    assert sorted(each.name for each in memory.list("")) == ["a", "b"]


def test_late_listings_and_wrong_clocks() -> None:
    memory = MemoryStorage()
    faulty = Faulty(memory, list_lag=2, clock_off=3600.0)
    faulty.put("a", b"1")
    assert list(faulty.list("")) == []
    faulty.get("a")
    (found,) = faulty.list("")
    (true,) = memory.list("")
    assert found.modified == true.modified + 3600


def test_bodies_are_torn(tmp_path: Path) -> None:
    memory = MemoryStorage()
    memory.put("a", b"abcd")
    assert Faulty(memory, at(1, "truncate")).get("a") == b"ab"
    assert Faulty(memory, at(1, "reorder")).get_range("a", 0, 4) == b"cdab"
    Faulty(memory, at(1, "reorder")).fetch("a", tmp_path / "a", size=4)
    assert (tmp_path / "a").read_bytes() == b"cdab"
    with pytest.raises(RemoteError):
        Faulty(memory, at(1, "truncate")).fetch("a", tmp_path / "b", size=4)
    assert not (tmp_path / "b").exists()


def test_faults_fall_on_threads_too() -> None:
    faulty = Faulty(MemoryStorage(), randomly(5, 0.5))
    storage = retrying(faulty)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: storage.put(f"packs/{number}", b"x"), range(200)))
    assert len(list(faulty.storage.list("packs/"))) == 200
    assert faulty.asked("put", "packs/") > 300
