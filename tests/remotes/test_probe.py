"""Probing what services really do, and the lease for those that ignore conditions."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulty import Faulty, randomly, storm
from s3_server import new_bucket

from voyager.errors import RemoteError
from voyager.remotes.base import PreconditionFailed, Storage
from voyager.remotes.conformance import StorageSuite
from voyager.remotes.lease import LOCKS, Leased
from voyager.remotes.probe import Conditions, check, probe_conditions, trusted
from voyager.remotes.registry import open_storage
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.storages.memory import MemoryStorage

KEPT = Conditions(create_refused=True, tag_accepted=True, stale_refused=True)


class Ignoring(MemoryStorage):
    """Overwrites whatever the condition was, as `rclone serve s3` does."""

    def __init__(self) -> None:
        super().__init__()
        self.url = "s3://ignoring"

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        self.put(name, data)
        return self.get_tagged(name).tag


class OnlyCreates(Ignoring):
    """Keeps `If-None-Match`, ignores `If-Match`."""

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        if tag is None:
            return MemoryStorage.put_if(self, name, data, None)
        return super().put_if(name, data, tag)


class RefusesTags(Ignoring):
    """Refuses every tag, the right one too."""

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        return MemoryStorage.put_if(self, name, data, None if tag is None else "never")


class ReadOnly(MemoryStorage):
    """May be read, with these credentials."""

    def put(self, name: str, data: bytes | Path) -> None:
        raise RemoteError("no permission to write", hint="ask")


@pytest.mark.parametrize(
    ("storage", "conditions"),
    [
        (MemoryStorage(), KEPT),
        (Ignoring(), Conditions(False, True, False)),
        (OnlyCreates(), Conditions(True, True, False)),
        (RefusesTags(), Conditions(True, False, False)),
    ],
)
def test_three_things_are_tried(storage: Storage, conditions: Conditions) -> None:
    assert probe_conditions(storage) == conditions
    assert conditions.kept is (conditions == KEPT)
    assert list(storage.list("")) == []


@pytest.mark.parametrize("kind", [Ignoring, OnlyCreates, RefusesTags])
def test_who_does_not_keep_conditions_gets_a_lease(kind: type[Ignoring]) -> None:
    told: list[str] = []
    storage = trusted(kind(), warn=told.append)
    tag = storage.put_if("root", b"1", None)
    with pytest.raises(PreconditionFailed):
        storage.put_if("root", b"2", None)
    assert storage.put_if("root", b"2", tag)
    assert len(told) == 1
    assert "lease" in told[0]


def probes(storage: Storage, cache: Path | None, told: list[str]) -> int:
    """How many requests to probe there are before a conditional write; `told` gets warnings."""
    faulty = Faulty(storage)
    trusted(faulty, cache, warn=told.append).put_if("root", b"x", None)
    storage.delete(["root"])
    return sum(request.name.startswith("probe/") for request in faulty.requests)


def test_what_was_found_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    cache = tmp_path / "cache"
    assert probes(Ignoring(), cache, told) > 0
    assert probes(Ignoring(), cache, told) == 0
    assert len(told) == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://elsewhere")
    assert probes(Ignoring(), cache, told) > 0
    for path in cache.iterdir():
        path.write_bytes(b"torn")
    assert probes(Ignoring(), cache, told) > 0
    assert probes(Ignoring(), None, told) > 0


def test_nothing_is_tried_for_those_who_only_read(tmp_path: Path) -> None:
    faulty = Faulty(Ignoring())
    faulty.put("root", b"x")
    assert trusted(faulty, tmp_path).get("root") == b"x"
    assert len(faulty.requests) == 2


def test_places_of_our_own_are_not_asked(tmp_path: Path) -> None:
    for url in (f"file://{tmp_path}", str(tmp_path), "memory://own"):
        faulty = Faulty(open_storage(url), storm(1, 99))
        assert trusted(faulty) is faulty


@pytest.mark.usefixtures("s3")
def test_s3_is_trusted_once_it_was_tried(tmp_path: Path) -> None:
    storage = open_storage(f"{new_bucket()}/data")
    told: list[str] = []
    assert probes(storage, tmp_path, told) > 0
    assert probes(storage, tmp_path, told) == 0
    assert told == []
    found = check(storage, tmp_path)
    assert found.conditions == KEPT
    assert found.locking == "compare-and-swap"
    assert found.may.read and found.may.write and found.may.list and found.may.delete
    assert (found.clock, found.problems, found.found) == (0.0, (), False)
    assert list(storage.list("")) == []


# -- the lease ------------------------------------------------------------------------------------


class TestLeased(StorageSuite):
    measures_memory = False

    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        self.place = Ignoring()

    def open_storage(self) -> Storage:
        return Leased(self.place)


class TestLeasedInAStorm(StorageSuite):
    measures_memory = False

    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        self.place = Ignoring()

    def open_storage(self) -> Storage:
        faulty = Faulty(self.place, randomly(7, 0.2))
        patience = Patience(attempts=100, first=0.0, total=1e9)
        return Leased(Retrying(faulty, patience, sleep=lambda _: None))


def impatient(place: Storage) -> Leased:
    """A lease that gives up in no time, by a clock of its own."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    return Leased(place, patience=1.0, sleep=sleep, clock=lambda: now[0])


def test_the_lease_of_a_killed_client_runs_out() -> None:
    place = Ignoring()
    place.put(f"{LOCKS}dead", b"")
    with pytest.raises(RemoteError, match="another process holds the lease"):
        impatient(place).put_if("root", b"x", None)
    kept = place._place.kept
    kept[f"{LOCKS}dead"] = kept[f"{LOCKS}dead"]._replace(modified=1.0)
    Leased(place).put_if("root", b"x", None)
    assert [each.name for each in place.list("")] == ["root"]


def test_clocks_of_clients_do_not_matter() -> None:
    place = Faulty(Ignoring(), clock_off=-3600.0)
    Leased(place).put_if("root", b"x", None)
    place.storage.put(f"{LOCKS}alive", b"")
    with pytest.raises(RemoteError, match="another process holds the lease"):
        impatient(place).put_if("root", b"y", None)


def test_who_was_stopped_for_long_does_not_write() -> None:
    now = [0.0]

    class Slow(Ignoring):
        def get_tagged(self, name: str):  # type: ignore[no-untyped-def]
            now[0] += 31.0
            return super().get_tagged(name)

    place = Slow()
    with pytest.raises(RemoteError, match="too slowly"):
        Leased(place, clock=lambda: now[0]).put_if("root", b"x", None)
    assert list(place.list("")) == []


# -- check ----------------------------------------------------------------------------------------


def test_permissions_are_told_one_by_one() -> None:
    found = check(ReadOnly())
    assert (found.may.read, found.may.write) == (True, False)
    assert found.problems == (("no permission to write", "ask"),)
    assert found.conditions is None
    assert found.as_json()["locking"] is None


def test_a_wrong_clock_is_seen() -> None:
    found = check(Faulty(MemoryStorage(), clock_off=3600.0))
    assert found.clock_is_off
    assert found.clock == pytest.approx(3600, abs=5)
    assert not check(Faulty(MemoryStorage(), clock_off=60.0)).clock_is_off


def test_nothing_more_is_asked_of_who_does_not_answer() -> None:
    faulty = Faulty(MemoryStorage(), storm(1, 99))
    found = check(faulty)
    assert not found.may.read
    assert len(faulty.requests) == 1
    assert found.problems[0][0] == "503 slow down"
