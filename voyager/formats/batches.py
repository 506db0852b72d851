"""Making the items of batches on several processes: what decoding and encoding labels cost most.

A child makes the rows of its batches, sorted, in a temporary file; what else it found out (counts,
findings, tasks) it reports. It must not write to the store: a batch that wants to is left to the
parent.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import IO, Any, NoReturn

import msgspec

from voyager.formats.base import Batch, Item
from voyager.formats.report import Loss, Report
from voyager.formats.spill import Sorter
from voyager.repo.processes import Forked, split
from voyager.schema.task import Task
from voyager.schema.vocabulary import Draft
from voyager.schema.vocabulary_rows import decode_task, encode_task

_WORTH_FORKING = 24 * 1024 * 1024
"""Bytes of labels from which another process helps."""


class LeftToParent(Exception):
    """A child met work that it may not do."""


class _Done(msgspec.Struct, array_like=True):
    """What a child reports."""

    rows: int
    left: list[int]
    found: list[tuple[Loss, str, int, list[str]]]
    tasks: list[tuple[str, bytes]]
    tally: Any


class Batches:
    """Runs batches and puts their rows into a sorter.

    `take` makes the (key, row) of an item, None for one that is left out. `enter` prepares a child:
    it forgets what was counted so far, and lets LeftToParent be raised where blobs are stored;
    `tally` gives what the child counted, in plain values, for `add` to add up in the parent.
    """

    def __init__(
        self,
        take: Callable[[Item], tuple[bytes, bytes] | None],
        *,
        draft: Draft,
        report: Report,
        enter: Callable[[], None],
        tally: Callable[[], Any],
        add: Callable[[Any], None],
    ) -> None:
        self._take = take
        self._draft = draft
        self._report = report
        self._enter = enter
        self._tally = tally
        self._add = add

    def run(self, batches: list[Batch], sorter: Sorter, *, alone: bool) -> None:
        """Run all batches; with `alone` in this process only."""
        stretches = [slice(0, len(batches))]
        if not alone:
            stretches = split([batch.cost for batch in batches], _WORTH_FORKING)
        with ExitStack() as stack:
            children = [self._fork(batches, stretch, stack) for stretch in stretches[1:]]
            own = batches[stretches[0]]
            shares = [batches[stretch] for stretch in stretches[1:]]
            batches.clear()
            self._run_here(own, sorter)
            for (child, run), share in zip(children, shares, strict=True):
                self._collect(child, run, share, sorter)

    def _run_here(self, batches: list[Batch], sorter: Sorter) -> None:
        batches.reverse()
        while batches:
            for item in batches.pop().make():
                pair = self._take(item)
                if pair is not None:
                    sorter.add(*pair)

    def _fork(
        self, batches: Sequence[Batch], stretch: slice, stack: ExitStack
    ) -> tuple[Forked, IO[bytes]]:
        run = tempfile.TemporaryFile(prefix="vgr-sort-")  # noqa: SIM115 - the sorter closes it
        child = Forked(lambda: self._work(batches[stretch], run))
        stack.callback(child.end)
        return child, run

    def _work(self, batches: Sequence[Batch], run: IO[bytes]) -> bytes:
        """What a child does."""
        known = dict(self._draft.tasks)
        self._report.entries.clear()
        self._enter()
        left: list[int] = []
        with Sorter(1 << 40) as sorter:
            for place, batch in enumerate(batches):
                try:
                    pairs = [self._take(item) for item in batch.make()]
                except LeftToParent:
                    left.append(place)
                    continue
                for pair in pairs:
                    if pair is not None:
                        sorter.add(*pair)
            count = sorter.count
            sorter.write_run(run)
            run.flush()
        tasks = [
            (name, encode_task(task))
            for name, task in self._draft.tasks.items()
            if known.get(name) != task
        ]
        found = [(loss, kind, e.count, e.examples) for loss, kind, e in self._report]
        return msgspec.msgpack.encode(_Done(count, left, found, tasks, self._tally()))

    def _collect(self, child: Forked, run: IO[bytes], share: list[Batch], sorter: Sorter) -> None:
        done = msgspec.msgpack.decode(child.result(), type=_Done)
        sorter.adopt(run, done.rows)
        self._add(done.tally)
        for loss, kind, count, examples in done.found:
            self._report.merge(loss, kind, count, examples)
        for name, row in done.tasks:
            self._merge_task(name, decode_task(row))
        self._run_here([share[place] for place in done.left], sorter)

    def _merge_task(self, name: str, task: Task) -> None:
        known = self._draft.tasks.get(name)
        if known is None:
            self._draft.put_task(name, task)
        elif known.scope != task.scope:
            self._draft.put_task(name, known.replace(scope="both"))


def refuse_blob(_data: bytes) -> NoReturn:
    """Stands in for storing a blob in a child."""
    raise LeftToParent
