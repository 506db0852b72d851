"""Runs as objects: what one must be, what it leads to, and which of two says more (spec 9.13)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from voyager.errors import CorruptError, InvalidDataError
from voyager.store.history import RunObject, Tag
from voyager.store.ids import Kind
from voyager.wire import BLOB_EXT, OBJECT_EXT, Ext


class Reader(Protocol):
    """Where objects are read from."""

    def get_any(self, object_id: bytes) -> tuple[Kind, bytes]:
        """Kind and bytes of whatever has this id."""
        ...


def check_run(data: bytes) -> RunObject:
    """The run that an object is; InvalidDataError for what breaks the rules (spec 9.13)."""
    try:
        run = msgspec.msgpack.decode(data, type=RunObject)
        record = json.loads(run.record)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InvalidDataError(f"a run does not decode: {error}") from None
    links = [run.commit, *(one for one in (run.predictions, run.start) if one is not None)]
    if any(link.code != OBJECT_EXT for link in links):
        raise InvalidDataError("a run names what is no object")
    if any(ref.code != BLOB_EXT for ref in run.files.values()):
        raise InvalidDataError("a file of a run is no blob")
    for name in run.files:
        if not is_file_name(name):
            raise InvalidDataError(f"a file of a run is called {name!r}")
    if not isinstance(record, dict) or record.get("commit") != bytes(run.commit.data).hex():
        raise InvalidDataError("the record of a run says another commit")
    return run


def is_file_name(name: str) -> bool:
    """Whether a file of a run may be called so: one part of a path that can be printed."""
    good = 0 < len(name.encode(errors="replace")) <= 255 and name.isprintable()
    return good and not name.startswith(".") and "/" not in name and "\\" not in name


# -- what tips lead to -----------------------------------------------------------------------------


@dataclass(slots=True)
class Opened:
    """What tips lead to: their commits, and the tags and runs on the way with the files of these.

    Ids that keep the order in which they were met.
    """

    commits: dict[bytes, None] = field(default_factory=dict)
    objects: dict[bytes, None] = field(default_factory=dict)
    runs: dict[bytes, RunObject] = field(default_factory=dict)

    @property
    def blobs(self) -> dict[bytes, None]:
        """The files of all runs."""
        files = (ref for run in self.runs.values() for ref in run.files.values())
        return {bytes(ref.data): None for ref in files}


def open_tips(objects: Reader, tips: Iterable[bytes], *, among: Any = None) -> Opened:
    """Follow tags and runs down to commits; what is not `among` some ids is passed over.

    Raises CorruptError for a tip of another kind, InvalidDataError for a run that is none.
    """
    found = Opened()
    waiting = list(tips)[::-1]
    while waiting:
        one = waiting.pop()
        if one in found.commits or one in found.objects or (among is not None and one not in among):
            continue
        kind, data = objects.get_any(one)
        if kind is Kind.COMMIT:
            found.commits[one] = None
            continue
        found.objects[one] = None
        if kind is Kind.RUN:
            found.runs[one] = run = check_run(data)
            waiting += run_links(run)[::-1]
        elif kind is Kind.TAG:
            waiting.append(_target(one, data))
        else:
            raise CorruptError(f"{one.hex()} is a {kind.label}, expected a commit, tag or run")
    return found


def _target(tag: bytes, data: bytes) -> bytes:
    try:
        return bytes(msgspec.msgpack.decode(data, type=Tag).target.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptError(f"tag {tag.hex()} does not decode: {error}") from error


def run_links(run: RunObject) -> list[bytes]:
    """The commits and the run that a run leads to."""
    links: list[Ext | None] = [run.commit, run.predictions, run.start]
    return [bytes(link.data) for link in links if link is not None]


# -- one run that was written on in two places -----------------------------------------------------


def says_all_of(run: RunObject, other: RunObject) -> bool:
    """Whether a run has every file, evaluation and prediction that another has."""
    return (
        is_same_run(run, other)
        and run.files.keys() >= other.files.keys()
        and _metrics(run).keys() >= _metrics(other).keys()
        and (run.predictions is not None or other.predictions is None)
    )


def is_same_run(run: RunObject, other: RunObject) -> bool:
    """Whether two are the same training, whatever evaluations were added to them."""
    mine, others = json.loads(run.record), json.loads(other.record)
    return (run.commit, run.start, mine.get("weights")) == (
        other.commit,
        other.start,
        others.get("weights"),
    )


def joined(ours: RunObject, theirs: RunObject) -> RunObject:
    """One run with the evaluations of both; where both say something, ours stays."""
    record = {**json.loads(theirs.record), **json.loads(ours.record)}
    record["metrics"] = {**_metrics(theirs), **_metrics(ours)}
    return RunObject(
        commit=ours.commit,
        files=dict(sorted({**theirs.files, **ours.files}.items())),
        predictions=ours.predictions or theirs.predictions,
        record=json.dumps(record, ensure_ascii=False, sort_keys=True),
        start=ours.start,
    )


def _metrics(run: RunObject) -> dict[str, Any]:
    said = json.loads(run.record).get("metrics")
    return said if isinstance(said, dict) else {}
