"""Matrix products in the thread that asks for them.

The OpenBLAS that comes with NumPy splits each product among all cores and lets them wait for one
another: on a machine that does something else too that takes several times as long as one core.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

_FOLDERS: Final = ("../numpy.libs", ".libs", ".dylibs")
_PATTERN: Final = "*scipy_openblas*"
_SUFFIXES: Final = ("64_", "")


class _Threads(NamedTuple):
    get: Callable[[], int]
    set: Callable[[int], object]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep NumPy's matrix products in one thread; without effect where it has another library."""
    threads = _threads()
    if threads is None:
        yield
        return
    before = threads.get()
    threads.set(1)
    try:
        yield
    finally:
        threads.set(before)


@cache
def _threads() -> _Threads | None:
    for folder in _FOLDERS:
        for path in sorted((Path(np.__file__).parent / folder).glob(_PATTERN)):
            library = ctypes.CDLL(str(path))
            for suffix in _SUFFIXES:
                names = [f"scipy_openblas_{what}_num_threads{suffix}" for what in ("get", "set")]
                if all(hasattr(library, name) for name in names):
                    return _Threads(*(getattr(library, name) for name in names))
    return None
