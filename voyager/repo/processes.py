"""Forked children for work that the interpreter lock would keep on one core.

A child does its share and reports bytes; a fault of it is raised again in the parent. Only used
where no other thread runs, since a fork copies just the calling one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence

import msgspec

from voyager.errors import InvalidDataError, VoyagerError
from voyager.store import files
from voyager.store.cores import cores

_MOST_PROCESSES = 4


class _Fault(msgspec.Struct, array_like=True):
    """What stopped a child: errno (0 for an error of ours), message, hint, and its place."""

    number: int
    message: str
    hint: str | None = None
    path: str | None = None
    line: int | None = None


class _Report(msgspec.Struct, array_like=True):
    result: bytes = b""
    fault: _Fault | None = None


def split(costs: Sequence[int], worth: int) -> list[slice]:
    """Stretches of about equal cost, one a process; a further process must be `worth` its cost."""
    total = sum(costs)
    processes = min(_processes(), 1 + total // worth)
    slices: list[slice] = []
    start, cost = 0, 0
    for end, one in enumerate(costs, 1):
        cost += one
        if cost >= total / processes and len(slices) < processes - 1:
            slices.append(slice(start, end))
            start, cost = end, 0
    return [*slices, slice(start, len(costs))]


def _processes() -> int:
    """How many processes may run; one where crash tests watch every step."""
    if not hasattr(os, "fork") or threading.active_count() > 1 or files.watch is not None:
        return 1
    return cores(_MOST_PROCESSES)


class Forked:
    """A child that runs `work` and hands its bytes to the parent."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        self._pipe, sending = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _live(work, sending)
        os.close(sending)

    def result(self) -> bytes:
        """Wait for the child; its bytes. Raises OSError or InvalidDataError as it met them."""
        with open(self._pipe, "rb", closefd=False) as pipe:
            data = pipe.read()
        try:
            report = msgspec.msgpack.decode(data, type=_Report)
        except msgspec.DecodeError:
            raise OSError(5, "a helping process was killed") from None
        if report.fault is None:
            return report.result
        if report.fault.number:
            raise OSError(report.fault.number, report.fault.message)
        fault = report.fault
        raise InvalidDataError(fault.message, hint=fault.hint, path=fault.path, line=fault.line)

    def end(self) -> None:
        """Reap the child, stopping it when nobody waited for its result."""
        if not self._pid:
            return
        os.close(self._pipe)
        done, _ = os.waitpid(self._pid, os.WNOHANG)
        if not done:
            import signal

            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        self._pid = 0


def _live(work: Callable[[], bytes], sending: int) -> None:
    """The life of a child, which ends without running what the parent still has to."""
    report = _Report(fault=_Fault(5, "a helping process failed"))
    try:
        report = _Report(work())
    except OSError as error:
        report = _Report(fault=_Fault(error.errno or 5, error.strerror or str(error)))
    except VoyagerError as error:
        report = _Report(fault=_Fault(0, error.message, error.hint, error.path, error.line))
    except BaseException as error:  # whatever it is, the parent has to hear of it
        report = _Report(fault=_Fault(5, f"a helping process failed: {error!r}"))
    finally:
        with open(sending, "wb") as pipe:
            pipe.write(msgspec.msgpack.encode(report))
        os._exit(0)
