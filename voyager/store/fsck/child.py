"""Running a look at a damaged LMDB in a child, since that can crash or hang the process."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import signal
import warnings
from collections.abc import Callable
from typing import Any

import msgspec


class ChildDied(Exception):
    """The child crashed, hung or raised; the text says which."""


def run_in_child(body: Callable[[], Any], *, seconds: int) -> Any:
    """What `body` returns (plain values), computed in a forked child.

    Raises ChildDied when it ends by a signal, takes longer than `seconds`, or raises anything.
    """
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads; the child takes no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        os.close(reading)
        _be_child(body, writing, seconds)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGALRM:
            raise ChildDied(f"no end after {seconds} seconds")
        raise ChildDied(f"the process crashed with {signal.Signals(number).name}")
    try:
        result, error = msgspec.msgpack.decode(answer)
    except (msgspec.DecodeError, ValueError):
        raise ChildDied(f"the process ended early with status {status}") from None
    if error is not None:
        raise ChildDied(error)
    return result


def allow(seconds: int) -> None:
    """Give the child that calls this so many seconds from now on; 0 is no limit."""
    signal.alarm(seconds)


def _be_child(body: Callable[[], Any], pipe: int, seconds: int) -> None:
    """Compute, send, and leave without touching what the parent has open."""
    try:
        faulthandler.disable()
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)
        try:
            answer = msgspec.msgpack.encode((body(), None))
        except BaseException as error:
            answer = msgspec.msgpack.encode((None, f"{type(error).__name__}: {error}"))
        with os.fdopen(pipe, "wb") as out:
            out.write(answer)
    finally:
        # Not sys.exit: buffers, threads and exit hooks are the parent's.
        os._exit(0)
