"""What a place is able to do, found out by trying it: what services say of themselves is little.

Some ignore the conditions of a conditional write and overwrite. Three things are tried before they
are trusted: a second create is refused, the right tag is accepted, a stale one is refused. What was
found is remembered per place; the memory may be lost.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final

from blake3 import blake3

from voyager.config import foreign_variable
from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import PreconditionFailed, Storage, Unconditional
from voyager.remotes.lease import Leased
from voyager.remotes.root import ROOT
from voyager.store import files

PROBES: Final = "probe/"
CLOCK_LIMIT: Final = 300.0
"""Seconds that clocks may differ before it is worth a warning: services refuse to sign beyond 15
minutes, and a grace period is counted in days."""
_SURE: Final = ("file://", "memory://", "/")
"""Places of our own that keep conditions, as the suite proves."""
_PLACES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AZURE_STORAGE_ACCOUNT_NAME")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which conditions of a write are kept."""

    create_refused: bool
    tag_accepted: bool
    stale_refused: bool

    @property
    def kept(self) -> bool:
        """Whether a compare-and-swap can be trusted."""
        return self.create_refused and self.tag_accepted and self.stale_refused


@dataclass(frozen=True, slots=True)
class Permissions:
    """What these credentials may do; None where it was not tried."""

    read: bool
    write: bool | None = None
    list: bool | None = None
    delete: bool | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """All that is known of a place. `clock` is by how many seconds its clock is ahead of ours;
    `found` whether there is a remote; `problems` are errors that were met, in words."""

    url: str
    found: bool
    may: Permissions
    conditions: Conditions | None
    clock: float | None
    problems: tuple[tuple[str, str | None], ...] = ()

    @property
    def clock_is_off(self) -> bool:
        return self.clock is not None and abs(self.clock) > CLOCK_LIMIT

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "found": self.found,
            "permissions": asdict(self.may),
            "conditional_writes": None if self.conditions is None else asdict(self.conditions),
            "locking": None if self.conditions is None else self.locking,
            "clock": None if self.clock is None else round(self.clock, 1),
            "problems": [{"message": words, "hint": hint} for words, hint in self.problems],
        }

    @property
    def locking(self) -> str:
        """How two that push at once are told apart."""
        kept = self.conditions is not None and self.conditions.kept
        return "compare-and-swap" if kept else "lease"


def probe_conditions(storage: Storage) -> Conditions:
    """Try the three things on an object of one's own, which is removed again."""
    name = PROBES + secrets.token_hex(16)
    try:
        return _tried(storage, name)
    except Unconditional:
        return Conditions(False, False, False)
    finally:
        with contextlib.suppress(RemoteError):
            storage.delete([name])


def _tried(storage: Storage, name: str) -> Conditions:
    first = storage.put_if(name, b"first", None)
    create_refused = not _written(storage, name, b"second", None)
    if not create_refused:
        first = storage.get_tagged(name).tag
    accepted = _written(storage, name, b"third", first)
    stale_refused = accepted and not _written(storage, name, b"fourth", first)
    return Conditions(create_refused, accepted, stale_refused)


def _written(storage: Storage, name: str, data: bytes, tag: str | None) -> bool:
    """Whether a conditional write happened, whatever its reply was."""
    with contextlib.suppress(PreconditionFailed):
        storage.put_if(name, data, tag)
    return storage.get(name) == data


def trusted(
    storage: Storage,
    cache: Path | None = None,
    *,
    warn: Callable[[str], None] = lambda _: None,
) -> Storage:
    """A storage whose conditional writes hold; where they do not by themselves, by a lease.

    That is found out before the first of them, and told once where it needs the lease. `cache` is
    a folder that remembers what was found of which place (None: ask anew).
    """
    if storage.url.startswith(_SURE):
        return storage
    return Leased(storage, needed=_Needed(storage, cache, warn))


class _Needed:
    """Whether a place needs the lease: asked of the memory, else of the place, and once."""

    def __init__(self, storage: Storage, cache: Path | None, warn: Callable[[str], None]) -> None:
        self._storage = storage
        self._cache = cache
        self._warn = warn
        self._lock = Lock()
        self._kept: bool | None = None

    def __call__(self) -> bool:
        with self._lock:
            if self._kept is None:
                self._kept = self._find_out()
        return not self._kept

    def _find_out(self) -> bool:
        url = self._storage.url
        known = _remembered(url, self._cache)
        if known is None:
            known = probe_conditions(self._storage)
            _remember(url, self._cache, known)
        if not known.kept:
            self._warn(
                f"{url} does not keep the conditions of writes: a lease object guards pushes "
                "instead, which is slower, and safe only among clients that are not stopped for "
                "long"
            )
        return known.kept


def check(storage: Storage, cache: Path | None = None) -> Check:
    """Try everything that a remote needs; problems are told, not raised."""
    checking = _Checking(storage)
    found = checking.reads()
    may = Permissions(found is not None)
    conditions: Conditions | None = None
    if may.read and not storage.read_only:
        may = checking.permissions()
        if may.write:
            conditions = checking.conditions()
    if conditions is not None:
        _remember(storage.url, cache, conditions)
    return Check(
        storage.url, bool(found), may, conditions, checking.clock, tuple(checking.problems)
    )


@dataclass(slots=True)
class _Checking:
    """One check, and what it met."""

    storage: Storage
    clock: float | None = None
    problems: list[tuple[str, str | None]] = field(default_factory=list)

    def reads(self) -> bool | None:
        """Whether there is a root; None where that cannot be read."""
        with self._noting():
            try:
                self.storage.get(ROOT)
            except NotFoundError:
                return False
            return True
        return None

    def permissions(self) -> Permissions:
        """Write, list and remove an object of one's own."""
        name = PROBES + secrets.token_hex(16)
        may_list = may_delete = False
        before = time.time()
        with self._noting():
            self.storage.put(name, b"")
            after = time.time()
            with self._noting():
                times = {each.name: each.modified for each in self.storage.list(PROBES)}
                may_list = True
                if name in times:
                    self.clock = _ahead(times[name], before, after)
            with self._noting():
                self.storage.delete([name])
                may_delete = True
            return Permissions(True, True, may_list, may_delete)
        return Permissions(True, False)

    def conditions(self) -> Conditions | None:
        with self._noting():
            return probe_conditions(self.storage)
        return None

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except RemoteError as error:
            problem = (error.message, error.hint)
            if problem not in self.problems:
                self.problems.append(problem)


def _ahead(modified: float, before: float, after: float) -> float:
    """How far a clock is ahead that gave this time to a write between two of ours; services round
    to seconds."""
    if before - 1.0 <= modified <= after + 1.0:
        return 0.0
    return modified - (before + after) / 2


def _remembered(url: str, cache: Path | None) -> Conditions | None:
    if cache is None:
        return None
    try:
        value = json.loads((cache / _cache_name(url)).read_bytes())
        return Conditions(**value["conditions"]) if value["format"] == _FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(url: str, cache: Path | None, conditions: Conditions) -> None:
    if cache is not None:
        files.make_folder(cache)
        value = {"conditions": asdict(conditions), "format": _FORMAT, "url": url}
        files.write_atomic(cache / _cache_name(url), json.dumps(value).encode())


def _cache_name(url: str) -> str:
    """Of the place, and of what else says where it is: at another endpoint it is another."""
    place = "\n".join([url, *(foreign_variable(name) for name in _PLACES)])
    return f"probe-{blake3(place.encode()).hexdigest()[:16]}.json"
