"""Things that were made lately and may be wanted again, up to so many bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Thing = TypeVar("Thing", bound=Sized)


class Recent(Generic[Thing]):
    """Keeps what was used last; one thread at a time."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.nbytes = 0
        self._things: OrderedDict[Hashable, Thing] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._things

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """What is kept by this key, or is made now; too large a thing is not kept."""
        if key in self._things:
            self._things.move_to_end(key)
            return self._things[key]
        thing = make()
        if thing.nbytes <= self.most_bytes:
            self._things[key] = thing
            self.nbytes += thing.nbytes
            while self.nbytes > self.most_bytes:
                self.nbytes -= self._things.popitem(last=False)[1].nbytes
        return thing
