"""What a writer makes of samples, made on several processes when the samples are many.

A child makes its share into a temporary file, and reports what else it found out: the parent reads
the shares in order, and writes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from voyager.formats.report import Loss
from voyager.repo.processes import Forked, split
from voyager.schema import Sample

if TYPE_CHECKING:
    from voyager.formats.writing import Writing

Make = Callable[[Iterator[tuple[str, Sample]]], Iterator[Any]]
"""Makes plain values (such as msgpack holds) of samples; may report, and writes nothing."""

_WORTH_FORKING: Final = 12_000
"""Samples from which another process helps."""

_LENGTH: Final = 4


class _Done(msgspec.Struct, array_like=True):
    """What a child found out beside what it made."""

    found: list[tuple[Loss, str, int, list[str]]]
    told: Any


def spread(writing: Writing, make: Make) -> Iterator[Any]:
    """What `make` makes of all samples, in their order; it is called once for each share."""
    count = writing.count
    shares = split([1] * (count or 0), _WORTH_FORKING)
    if len(shares) == 1:
        yield from make(writing.samples())
        return
    with ExitStack() as stack:
        children = [_fork(writing, make, share, stack) for share in shares[1:]]
        yield from make(writing.samples(0, shares[0].stop))
        for child, values in children:
            done = msgspec.msgpack.decode(child.result(), type=_Done)
            for loss, kind, number, examples in done.found:
                writing.report.merge(loss, kind, number, examples)
            writing.watch.hear(done.told)
            yield from _read(values)
        writing.watch_from(None)


def _fork(writing: Writing, make: Make, share: slice, stack: ExitStack) -> tuple[Forked, IO[bytes]]:
    values: IO[bytes] = tempfile.TemporaryFile(prefix="vgr-export-")  # noqa: SIM115
    stack.enter_context(values)
    child = Forked(lambda: _work(writing, make, share, values))
    stack.callback(child.end)
    return child, values


def _work(writing: Writing, make: Make, share: slice, values: IO[bytes]) -> bytes:
    """What a child does."""
    writing.report.entries.clear()
    writing.watch.forget()
    writing.watch_from(share.start)
    writing.progress = lambda *_: None
    encode = msgspec.msgpack.Encoder().encode
    for value in make(writing.samples(share.start, share.stop)):
        data = encode(value)
        values.write(len(data).to_bytes(_LENGTH, "little"))
        values.write(data)
    values.flush()
    found = [(loss, kind, e.count, e.examples) for loss, kind, e in writing.report]
    return encode(_Done(found, writing.watch.told()))


def _read(values: IO[bytes]) -> Iterator[Any]:
    decode = msgspec.msgpack.Decoder().decode
    values.seek(0)
    while length := values.read(_LENGTH):
        yield decode(values.read(int.from_bytes(length, "little")))
