"""A storage that fails on purpose: wraps any other, and does to every request what a plan says.

    storage = Faulty(MemoryStorage(), at(3, "lost-reply"))
    storage = Faulty(MemoryStorage(), randomly(seed=1, rate=0.3))
    storage = Faulty(MemoryStorage(), nothing, list_lag=5, clock_off=3600)

`requests` has all that were asked, in order, so that tests can count them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import Final, Literal, NamedTuple, TypeVar

from voyager.errors import RemoteError
from voyager.remotes.base import Listed, Storage, Tagged

Fault = Literal[
    "drop", "lost-reply", "500", "503", "slow-down", "truncate", "reorder", "die", "die-after"
]
"""drop: the connection goes before anything happened; lost-reply: it happened, then the connection
goes; 500, 503, slow-down: refused, try again; truncate: half a body, and the client notices or, for
`get`, does not; reorder: the halves of a body change places, unnoticed; die, die-after: the client
is killed before the request, or when it has happened."""

TRANSIENT: Final[tuple[Fault, ...]] = ("drop", "lost-reply", "500", "503", "slow-down")
"""What a retry gets over."""
_WORDS = {
    "drop": "the connection was reset",
    "lost-reply": "the connection was reset",
    "500": "500 internal error",
    "503": "503 service unavailable",
    "slow-down": "503 slow down",
    "truncate": "the connection ended within a body",
}
_T = TypeVar("_T")


class Request(NamedTuple):
    """A request: its number (from 1), the method of `Storage`, and the name or prefix."""

    number: int
    method: str
    name: str


Plan = Callable[[Request], "Fault | None"]


class Killed(BaseException):
    """The client was killed; every later request of it is too."""


def nothing(_: Request) -> Fault | None:
    """The plan of a storage that works."""
    return None


def at(number: int, fault: Fault) -> Plan:
    """A fault at the n-th request alone."""
    return lambda request: fault if request.number == number else None


def on(fault: Fault, method: str = "", prefix: str = "", *, times: int = 1) -> Plan:
    """A fault at the first requests of a method to names with a prefix."""
    left = [times]

    def plan(request: Request) -> Fault | None:
        if method not in ("", request.method) or not request.name.startswith(prefix):
            return None
        left[0] -= 1
        return fault if left[0] >= 0 else None

    return plan


def storm(start: int, length: int, fault: Fault = "slow-down") -> Plan:
    """A fault at all requests of a stretch."""
    return lambda request: fault if start <= request.number < start + length else None


def randomly(seed: int, rate: float, faults: tuple[Fault, ...] = TRANSIENT) -> Plan:
    """One of some faults at a share of the requests; the same for the same seed."""
    draw = random.Random(seed)
    return lambda _: draw.choice(faults) if draw.random() < rate else None


class Faulty:
    """`list_lag`: a listing lacks what the last so many requests wrote; `clock_off`: seconds that
    its times are off."""

    def __init__(
        self,
        storage: Storage,
        plan: Plan = nothing,
        *,
        list_lag: int = 0,
        clock_off: float = 0.0,
    ) -> None:
        self.storage = storage
        self.plan = plan
        self.list_lag = list_lag
        self.clock_off = clock_off
        self.url = storage.url
        self.read_only = storage.read_only
        self.requests: list[Request] = []
        self.dead = False
        self._written: dict[str, int] = {}
        self._lock = Lock()

    def asked(self, method: str, prefix: str = "") -> int:
        """How many requests of a method there were to names with a prefix."""
        return sum(
            request.method == method and request.name.startswith(prefix)
            for request in self.requests
        )

    def get(self, name: str) -> bytes:
        return self._ask("get", name, lambda: self.storage.get(name), _torn)

    def get_tagged(self, name: str) -> Tagged:
        return self._ask("get_tagged", name, lambda: self.storage.get_tagged(name), _torn_tagged)

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._ask(
            "get_range", name, lambda: self.storage.get_range(name, start, length), _torn_range
        )

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        def tear(fault: Fault, _: None) -> None:
            data = path.read_bytes()
            path.unlink()
            path.write_bytes(_torn_range(fault, data))

        self._ask("fetch", name, lambda: self.storage.fetch(name, path, size=size), tear, path)

    def put(self, name: str, data: bytes | Path) -> None:
        self._ask("put", name, lambda: self.storage.put(name, data), _whole)

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        return self._ask("put_if", name, lambda: self.storage.put_if(name, data, tag), _whole)

    def size(self, name: str) -> int | None:
        return self._ask("size", name, lambda: self.storage.size(name), _whole)

    def list(self, prefix: str) -> Iterator[Listed]:
        found = self._ask("list", prefix, lambda: list(self.storage.list(prefix)), _whole)
        now = len(self.requests)
        for each in found:
            if (
                not self.list_lag
                or now - self._written.get(each.name, -self.list_lag) > self.list_lag
            ):
                yield each._replace(modified=each.modified + self.clock_off)

    def delete(self, names: Iterable[str]) -> None:
        gone = list(names)
        self._ask("delete", gone[0] if gone else "", lambda: self.storage.delete(gone), _whole)

    def close(self) -> None:
        self.storage.close()

    def _ask(
        self,
        method: str,
        name: str,
        work: Callable[[], _T],
        tear: Callable[[Fault, _T], _T],
        made: Path | None = None,
    ) -> _T:
        """Do it with what the plan has for it; `made` is a file that a failure takes back."""
        with self._lock:
            request = Request(len(self.requests) + 1, method, name)
            self.requests.append(request)
            fault = self.plan(request)
            self.dead = self.dead or fault == "die"
            if method.startswith("put"):
                self._written[name] = request.number
        if self.dead:
            raise Killed(request)
        if fault not in (None, "lost-reply", "truncate", "reorder", "die-after"):
            raise RemoteError(_WORDS[str(fault)], retry=True)
        done = work()
        try:
            return done if fault is None else self._after(fault, done, tear, request)
        except (RemoteError, Killed):
            if made is not None:
                made.unlink(missing_ok=True)
            raise

    def _after(
        self, fault: Fault, done: _T, tear: Callable[[Fault, _T], _T], request: Request
    ) -> _T:
        if fault == "die-after":
            self.dead = True
            raise Killed(request)
        if fault == "lost-reply":
            raise RemoteError(_WORDS[fault], retry=True)
        return tear(fault, done)


def _torn(fault: Fault, data: bytes) -> bytes:
    half = len(data) // 2
    return data[:half] if fault == "truncate" else data[half:] + data[:half]


def _torn_tagged(fault: Fault, tagged: Tagged) -> Tagged:
    return Tagged(_torn(fault, tagged.data), tagged.tag)


def _torn_range(fault: Fault, data: bytes) -> bytes:
    """As of a body whose length was known: the client notices when it ends too soon."""
    if fault == "truncate":
        raise RemoteError(_WORDS[fault], retry=True)
    return _torn(fault, data)


def _whole(_: Fault, done: _T) -> _T:
    """For replies that have no body."""
    return done
