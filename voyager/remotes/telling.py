"""Telling how far a transfer is while its packs are on their way."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

EVERY = 0.25


@contextlib.contextmanager
def told_again(tell: Callable[[], None], *, every: float = EVERY) -> Iterator[None]:
    """Call `tell` every so many seconds, from a thread of its own, as long as the context lasts."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(every):
            tell()

    watching = threading.Thread(target=watch, name="vgr-progress", daemon=True)
    watching.start()
    try:
        yield
    finally:
        stop.set()
        watching.join()
