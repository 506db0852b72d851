"""Killing, tearing and failing an action at the n-th step that it takes in voyager.store.files.

An action is a call without arguments that works on files of its own. It runs in a forked child when
it is to die; no store may be open in the test's own process on the same files meanwhile.
"""

from __future__ import annotations

import errno
import os
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voyager.store import files

Action = Callable[[], object]

_DIED = 9
_ENDED = 0
_RAISED = 1


def steps_of(action: Action) -> list[str]:
    """The names of the steps that an action takes when nothing goes wrong; it runs in a child."""
    reading, writing = os.pipe()

    def noted() -> None:
        names: list[str] = []
        with _watching(lambda name, where, half: names.append(f"{name} {_short(where)}".strip())):
            action()
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump(names, pipe)

    pid = _fork(noted)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert _wait(pid) == _ENDED, "the action failed by itself"
    names: list[str] = pickle.loads(data)
    return names


def die_at(number: int, action: Action, *, torn: bool = False) -> bool:
    """Run an action in a child that dies just before step `number`; whether it came that far.

    With `torn`, a step that writes writes half of its bytes first.
    """

    def die(name: str, half: files.Half | None) -> None:
        if torn and half is not None:
            half()
        os._exit(_DIED)

    def doomed() -> None:
        with _watching(_at(number, die)):
            action()

    status = _wait(_fork(doomed))
    assert status != _RAISED, "the action failed by itself"
    return status == _DIED


def fail_at(number: int, action: Action, *, code: int = errno.ENOSPC) -> BaseException | None:
    """Run an action in this process with an OSError at step `number`; what it raised, if anything.

    A step that writes writes half of its bytes first, as a full disk lets it.
    """

    def fail(name: str, half: files.Half | None) -> None:
        if half is not None:
            half()
        raise OSError(code, os.strerror(code))

    with _watching(_at(number, fail)):
        try:
            action()
        except BaseException as error:
            return error
    return None


def _at(number: int, strike: Callable[[str, files.Half | None], None]) -> files.Watch:
    count = 0

    def watch(name: str, where: files.StrPath | int, half: files.Half | None) -> None:
        nonlocal count
        count += 1
        if count == number:
            strike(name, half)

    return watch


@contextmanager
def _watching(watch: files.Watch) -> Iterator[None]:
    assert files.watch is None
    files.watch = watch
    try:
        yield
    finally:
        files.watch = None


def _fork(body: Callable[[], object]) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    try:
        body()
        os._exit(_ENDED)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(_RAISED)


def _wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _short(where: files.StrPath | int) -> str:
    return "" if isinstance(where, int) else Path(where).name[:24]
