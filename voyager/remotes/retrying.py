"""Trying again: a storage around a storage that repeats what may be repeated.

Reads, listings, removals and writes of immutable objects are idempotent. A conditional write whose
reply was lost is not: what stands there now says whether it happened, as its bytes are unlike those
of any other write (the root has a nonce).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from voyager.errors import NotFoundError, RemoteError
from voyager.remotes.base import Listed, PreconditionFailed, Storage, Tagged, Unreachable

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try: pauses double from `first` to `most` seconds, each drawn between half of it
    and all of it; no new attempt begins `total` seconds after the first. A remote that was never
    reached yet gets only `hellos` attempts: more likely the name or the network is wrong."""

    attempts: int = 10
    hellos: int = 3
    first: float = 0.1
    most: float = 15.0
    total: float = 120.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        whole = min(self.most, self.first * 2.0 ** (failures - 1))
        return whole * random.uniform(0.5, 1.0)


class Retrying:
    """A storage that tries again where an error says that this may help."""

    def __init__(
        self,
        storage: Storage,
        patience: Patience | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage = storage
        self.patience = patience or Patience()
        self.url = storage.url
        self.read_only = storage.read_only
        self._sleep = sleep
        self._clock = clock
        self._reached = False

    def get(self, name: str) -> bytes:
        return self._again(lambda: self.storage.get(name))

    def get_tagged(self, name: str) -> Tagged:
        return self._again(lambda: self.storage.get_tagged(name))

    def get_range(self, name: str, start: int, length: int) -> bytes:
        return self._again(lambda: self.storage.get_range(name, start, length))

    def fetch(self, name: str, path: Path, *, size: int) -> None:
        self._again(lambda: self.storage.fetch(name, path, size=size))

    def put(self, name: str, data: bytes | Path) -> None:
        self._again(lambda: self.storage.put(name, data))

    def put_if(self, name: str, data: bytes, tag: str | None) -> str:
        """As of `Storage`. Two writers that write the same bytes at once may both win: a caller
        puts a nonce into them, and looks for it in what stands there after a PreconditionFailed,
        when another may have written on top already."""
        write = _ConditionalWrite(self.storage, name, data, tag)
        return self._again(write.attempt)

    def size(self, name: str) -> int | None:
        return self._again(lambda: self.storage.size(name))

    def list(self, prefix: str) -> Iterator[Listed]:
        yield from self._again(lambda: list(self.storage.list(prefix)))

    def delete(self, names: Iterable[str]) -> None:
        gone = list(names)
        self._again(lambda: self.storage.delete(gone))

    def close(self) -> None:
        self.storage.close()

    def _again(self, work: Callable[[], _T]) -> _T:
        """What `work` returns, tried as often as patience lasts; its last error else."""
        start = self._clock()
        failures = 0
        while True:
            try:
                done = work()
                self._reached = True
                return done
            except RemoteError as error:
                if not error.retry:
                    raise
                failures += 1
                pause = self.patience.pause(failures)
                late = self._clock() + pause > start + self.patience.total
                if late or failures >= self._most_attempts(error):
                    raise _given_up(error, failures) from error
            self._sleep(pause)

    def _most_attempts(self, error: RemoteError) -> int:
        self._reached = self._reached or not isinstance(error, Unreachable)
        return self.patience.attempts if self._reached else self.patience.hellos


@dataclass(slots=True)
class _ConditionalWrite:
    """One conditional write, however often it is tried."""

    storage: Storage
    name: str
    data: bytes
    tag: str | None
    in_doubt: bool = False
    """Whether an earlier attempt may have written."""

    def attempt(self) -> str:
        """The new tag, of this attempt or of one whose reply was lost."""
        if self.in_doubt:
            done = self._written()
            if done is not None:
                return done
        try:
            return self.storage.put_if(self.name, self.data, self.tag)
        except RemoteError:
            self.in_doubt = True
            raise
        except PreconditionFailed:
            # The attempt in doubt may have arrived only after we looked.
            done = self._written() if self.in_doubt else None
            if done is None:
                raise
            return done

    def _written(self) -> str | None:
        try:
            found = self.storage.get_tagged(self.name)
        except NotFoundError:
            return None
        return found.tag if found.data == self.data else None


def _given_up(error: RemoteError, attempts: int) -> RemoteError:
    if attempts == 1:
        return error
    return type(error)(
        f"{error.message} (tried {attempts} times)",
        retry=error.retry,
        hint=error.hint,
        path=error.path,
    )
