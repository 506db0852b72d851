"""Faults on the wire between real commands and a real server: at every request of each.

The server is a process of its own (see `real_servers.py`); with `--deep --server NAME` it is that.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
from faulty import at, randomly
from faulty_proxy import Proxy, faulty_proxy
from published import assert_whole, save
from real_servers import Server
from remote_content import reached, root_of
from s3_server import SECRET, use_server

from voyager.cli import main
from voyager.errors import CorruptError, InvalidDataError, RemoteError
from voyager.remotes.base import Storage
from voyager.remotes.checking import check_remote
from voyager.remotes.cloning import clone
from voyager.remotes.collecting import collect_remote
from voyager.remotes.lease import LOCKS
from voyager.remotes.probe import check, trusted
from voyager.remotes.push import push
from voyager.remotes.registry import StorageOptions, open_storage
from voyager.remotes.retrying import Patience
from voyager.repo.repository import Repository
from voyager.store.refs import read_ref

MAIN = "refs/heads/main"
HOUR = 3600.0
QUICK = StorageOptions(Patience(attempts=30, first=0.0, most=0.0), timeout=10.0)
PASSING = (
    "lost-reply",
    "truncate",
    *(
        pytest.param(fault, marks=pytest.mark.deep)
        for fault in ("drop", "half-sent", "500", "503", "slow-down")
    ),
)
VGR = [sys.executable, "-c", "import sys; from voyager.cli import main; sys.exit(main())"]


class Line(NamedTuple):
    """A bucket, which the environment lets one reach by the proxy only."""

    bucket: str
    proxy: Proxy
    direct: Callable[[str], Storage]
    """Opens a folder of the bucket past the proxy."""

    def open(self, folder: str) -> Storage:
        """A folder of the bucket by the proxy, as commands open it."""
        return trusted(open_storage(f"{self.bucket}/{folder}", options=QUICK))


@pytest.fixture
def line(server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    with faulty_proxy(server.endpoint) as proxy:

        def direct(folder: str) -> Storage:
            with monkeypatch.context() as patch:
                use_server(server.endpoint, patch)
                return open_storage(f"{bucket}/{folder}")

        use_server(proxy.endpoint, monkeypatch)
        yield Line(bucket, proxy, direct)


def is_whole(storage: Storage, tip: bytes) -> None:
    """The tip is that of main there, and all is there that it reaches."""
    reached(storage)
    assert root_of(storage).ref(MAIN) == tip


@pytest.mark.parametrize("fault", PASSING)
def test_a_push_gets_over_a_fault_at_every_request(
    line: Line, empty_repo: Repository, fault: str
) -> None:
    tip = save(empty_repo, "One", {"a.jpg": 0, "b.jpg": 1})
    for number in count(1):
        line.proxy.begin(at(number, fault))
        push(empty_repo, line.open(f"{number}"), ["main"])
        if not line.proxy.failed:
            break
        is_whole(line.direct(f"{number}"), tip)
        assert root_of(line.direct(f"{number}")).generation == 1
    assert number > 10


@pytest.mark.parametrize("fault", PASSING)
def test_a_clone_gets_over_a_fault_at_every_request(
    line: Line, empty_repo: Repository, tmp_path: Path, fault: str
) -> None:
    _published(line, empty_repo)
    for number in count(1):
        line.proxy.begin(at(number, fault))
        _clone(line, tmp_path / str(number))
        if not line.proxy.failed:
            break
    assert number > 5


def test_halves_that_change_places_are_refused(
    line: Line, empty_repo: Repository, tmp_path: Path
) -> None:
    """Whatever body it is: the clone is whole or refused, and then works when all is well again."""
    _published(line, empty_repo)
    refused = 0
    for number in count(1):
        line.proxy.begin(at(number, "reorder"))
        try:
            _clone(line, tmp_path / str(number))
        except (CorruptError, InvalidDataError):
            refused += 1
            line.proxy.begin()
            _clone(line, tmp_path / str(number))
        else:
            if not line.proxy.failed:
                break
    assert refused >= 4


@pytest.mark.parametrize(
    ("fault", "words", "hint"),
    [
        ("expired", "the credentials have expired", "aws sso login"),
        pytest.param(
            "elsewhere",
            "lies in another region",
            "export AWS_REGION=",
            marks=pytest.mark.deep,
        ),
    ],
)
def test_refusals_from_any_request_on_are_told(
    line: Line, empty_repo: Repository, fault: str, words: str, hint: str
) -> None:
    """They are not tried again, the next push goes on, and what was refused is said."""
    tip = save(empty_repo, "One", {"a.jpg": 0})
    for number in count(1):
        line.proxy.begin(lambda request, first=number: fault if request.number >= first else None)
        try:
            push(empty_repo, line.open(f"{number}"), ["main"])
        except RemoteError as told:
            head = line.proxy.failed[0][0].method == "HEAD"
            assert (words in told.message) or (head and "refused" in told.message)
            assert hint in str(told.hint) or (head and "vgr remote check" in str(told.hint))
            assert SECRET not in f"{told.message} {told.hint}"
        else:
            break
        assert len(line.proxy.failed) < 10
        _end_leases(line.direct(f"{number}"), wait=False)
        line.proxy.begin()
        push(empty_repo, line.open(f"{number}"), ["main"])
        is_whole(line.direct(f"{number}"), tip)
    assert number > 6


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 6))]
)
def test_storms(line: Line, empty_repo: Repository, tmp_path: Path, seed: int) -> None:
    """Three pushes and a clone where every third request fails in one way or the other."""
    line.proxy.begin(randomly(seed, 0.3))
    for number in range(3):
        tip = save(empty_repo, f"{number}", {f"{number}.jpg": number})
        push(empty_repo, line.open("shared"), ["main"])
    _clone(line, tmp_path / "mine")
    assert len(line.proxy.failed) > 5
    is_whole(line.direct("shared"), tip)
    assert root_of(line.direct("shared")).generation == 3


@pytest.mark.deep
@pytest.mark.parametrize("fault", ["die", "die-after"])
def test_a_push_is_killed_at_every_request(
    line: Line, empty_repo: Repository, tmp_path: Path, fault: str
) -> None:
    """The process, by SIGKILL; the next one finishes, and sends no pack again that arrived."""
    first = save(empty_repo, "One", {"a.jpg": 0})
    waited = False
    for number in count(1):
        line.proxy.begin()
        folder = f"{number}"
        mine, place = tmp_path / folder, line.direct(folder)
        push(empty_repo, line.open(folder), ["main"])
        _clone(line, mine, folder)
        with Repository.open(mine) as repo:
            second = save(repo, "Two", {"b.jpg": 1})
        line.proxy.begin(at(number, fault))
        code = _killed_push(line.proxy, mine)
        if not line.proxy.failed:
            assert code == 0
            break
        reached(place)
        assert root_of(place).ref(MAIN) in (first, second)
        there = {each.name for each in place.list("packs/")}
        waited = _end_leases(place, wait=not waited) or waited
        line.proxy.begin()
        assert main(["-C", str(mine), "push", "-q"]) == 0
        sent = {one.name for one in line.proxy.requests if one.method == "PUT"}
        assert not sent & {f"{folder}/{name}" for name in there}
        is_whole(place, second)
        assert main(["-C", str(mine), "fsck", "--remote", "-q"]) == 0
    assert number > 6


def test_a_listing_that_lags_and_a_clock_that_is_off(
    server: Server, line: Line, empty_repo: Repository, tmp_path: Path
) -> None:
    """By an hour: nothing that is in use goes, nothing young either, and fsck finds no fault."""
    line.proxy.clock_off = -HOUR
    line.proxy.list_lag = 1000 if server.conditions else 0  # a lease needs listings
    old = save(empty_repo, "One", {"a.jpg": 0})
    push(empty_repo, line.open("shared"), ["main"])
    tip = save(empty_repo, "Two", {"b.jpg": 1})
    push(empty_repo, line.open("shared"), ["main"])
    collect_remote(empty_repo, line.open("shared"), grace=24 * HOUR)
    assert check_remote(empty_repo, line.open("shared"), full=True).ok
    is_whole(line.direct("shared"), tip)
    line.proxy.list_lag = 0
    found = check(line.open("shared"))
    assert found.clock_is_off
    assert found.clock == pytest.approx(-HOUR, abs=5)
    collect_remote(empty_repo, line.open("shared"), grace=24 * HOUR)
    _clone(line, tmp_path / "mine")
    is_whole(line.direct("shared"), tip)
    assert read_ref(empty_repo.store, MAIN) == tip != old


def _published(line: Line, repo: Repository) -> None:
    """Let the folder `shared` have two versions, by two pushes."""
    for number in range(2):
        save(repo, f"{number}", {f"{number}.jpg": number})
        push(repo, line.open("shared"), ["main"])


def _clone(line: Line, folder: Path, name: str = "shared") -> None:
    url = f"{line.bucket}/{name}"
    clone(url, folder, opener=lambda url: open_storage(url, options=QUICK))
    with Repository.open(folder) as repo:
        assert_whole(repo)


def _end_leases(place: Storage, *, wait: bool) -> bool:
    """Whether one that failed left a lease. It lasts a minute; all but one end here at once."""
    left = [each.name for each in place.list(LOCKS)]
    if not wait:
        place.delete(left)
    return bool(left)


def _killed_push(proxy: Proxy, folder: Path) -> int:
    """The exit code of a `vgr push` that the proxy may kill."""
    process = subprocess.Popen(
        [*VGR, "-C", str(folder), "push", "-q"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    proxy.kill = process.kill
    said, _ = process.communicate()
    assert process.returncode in (0, -9), said
    return process.returncode
