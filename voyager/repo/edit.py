"""Editing a version from Python: a context that commits, or leaves nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType

from voyager.errors import NotFoundError, RefMoved, UsageError
from voyager.images import probe
from voyager.repo.add import image_of
from voyager.repo.assignments import check_value, meanings
from voyager.repo.bulk_labels import Assignments, Chosen, LabelChange, label_rows, relabel_rows
from voyager.repo.commit import advance
from voyager.repo.dataset import Dataset
from voyager.repo.keys import check_key
from voyager.repo.merging import refuse_if_merging
from voyager.repo.namespace import WrittenKeys
from voyager.repo.repository import Repository
from voyager.repo.snapshot import (
    FILES,
    SAMPLES,
    TASKS,
    TAXONOMIES,
    TRACKED,
    read_snapshot,
    write_snapshot,
)
from voyager.repo.staging import edit_map, replace_staging, settle_trees
from voyager.repo.switch import carried_rows, snapshot_with
from voyager.repo.vocabulary import vocabulary_changes
from voyager.repo.worktree import plan_safely, update
from voyager.schema import (
    HUMAN,
    FileRow,
    Sample,
    State,
    check_sample,
    decode_sample,
    encode_file,
    encode_sample,
    sample_uid,
)
from voyager.schema.label_edit import Operator, Voice
from voyager.schema.vocabulary import Draft
from voyager.store import bulk, prolly
from voyager.store.apply import TOMBSTONES
from voyager.store.history import read_commit, write_commit
from voyager.store.refs import Head
from voyager.store.spec import MIB
from voyager.wire import blob_ref

_FLUSH_BYTES = 32 * MIB
_CHECKED_FIRST = 64


def _chosen(version: Dataset, where: str, *, regions: bool) -> Chosen:
    from voyager.repo.where import keys_where, regions_where

    if not regions:
        return dict.fromkeys(key.encode() for key in keys_where(version, where))
    found: dict[bytes, set[bytes]] = {}
    for key, region in regions_where(version, where):
        found.setdefault(key.encode(), set()).add(region)
    return found


@dataclass(slots=True)
class _Pending:
    """Encoded rows of one space that are not in a tree yet; None removes."""

    rows: dict[bytes, bytes | None]
    size: int = 0


class Edit:
    """Rows to change on top of the current commit; made by `Repository.edit`.

    Leaving the context commits and moves the branch; an exception in it leaves nothing. The
    working tree, where there is one, follows. `commit` is the new commit afterwards.
    """

    def __init__(self, repo: Repository, message: str, *, author: str | None = None) -> None:
        if not message.strip():
            raise UsageError("the message is empty", hint="repo.edit(message='what changed')")
        self._repo = repo
        self._message = message
        self._author = author or repo.config.author()
        self.commit: bytes | None = None

    def __enter__(self) -> Edit:
        repo = self._repo
        repo.refuse_if_running()
        refuse_if_merging(repo)
        self._head = repo.head
        self._base = repo.dataset_of(self._head.commit)
        self._roots = dict(self._base.roots)
        self._flushed = self._base
        self._pending = {SAMPLES: _Pending({}), FILES: _Pending({})}
        self._known_blobs: set[bytes] = set()
        is_new = not any(self._base.count(space) for space in TRACKED)
        self._keys = WrittenKeys(keep=not is_new)
        self._txn = repo.transaction("edit", self._message.split("\n", 1)[0])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._commit()
        finally:
            self._txn.abort()

    @cached_property
    def vocabulary(self) -> Draft:
        """The tasks and taxonomies, to be changed; committed with the rows."""
        return Draft(self._base.vocabulary)

    # -- samples ---------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Sample:
        """The sample at a key as edited so far; NotFoundError when there is none."""
        row = self._row(SAMPLES, key.encode())
        if row is None:
            raise NotFoundError(f"no sample '{key}'", hint="vgr ls")
        return decode_sample(row)

    def __setitem__(self, key: str, sample: Sample) -> None:
        """Put a sample; InvalidDataError when a field has a wrong type."""
        check_sample(sample)
        self._put(check_key(key), sample)

    def __delitem__(self, key: str) -> None:
        """Remove a sample or file; NotFoundError when there is none."""
        found = (space for space in TRACKED if self._row(space, key.encode()) is not None)
        space = next(found, None)
        if space is None:
            raise NotFoundError(f"no sample or file '{key}'", hint="vgr ls")
        self._note(space, key.encode(), None)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._row(SAMPLES, key.encode()) is not None

    def update(self, samples: Iterable[tuple[str, Sample]]) -> int:
        """Put many samples, in bounded memory; fastest in key order. How many."""
        left = iter(samples)
        counter = itertools.count(1)
        with bulk.paused_gc():
            if self._roots.get(SAMPLES) is None and not self._pending[SAMPLES].rows:
                broke_off: list[tuple[str, Sample]] = []
                rising = self._rising(left, counter, broke_off)
                self._roots[SAMPLES] = prolly.build(self._txn, rising)
                left = itertools.chain(broke_off, left)
            for (key, sample), number in zip(left, counter, strict=False):
                self._check_some(number, sample)
                self._put(key, sample)
        return next(counter) - 1

    def _rising(
        self,
        samples: Iterator[tuple[str, Sample]],
        counter: Iterator[int],
        broke_off: list[tuple[str, Sample]],
    ) -> Iterator[tuple[bytes, bytes]]:
        """Encoded rows as long as keys rise: what can be built into a tree in one pass.

        The first sample whose key does not goes into `broke_off`. One loop, since a second
        generator would cost a tenth of a row.
        """
        known, note = self._known_blobs, self._keys.note
        last = b""
        for name, sample in samples:
            key = name.encode()
            if key <= last:
                broke_off.append((name, sample))
                return
            self._check_some(next(counter), sample)
            blob = sample.image.blob
            if blob is not None and blob.data not in known:
                self._need_blob(name, bytes(blob.data))
            note(key)
            last = key
            yield key, encode_sample(sample)

    def _check_some(self, number: int, sample: Sample) -> None:
        """Check the types of the first samples and of some later ones.

        Checking costs more than encoding; who builds samples wrongly does it from the start.
        """
        if number & 4095 == 0 or number <= _CHECKED_FIRST:
            check_sample(sample)

    def add_image(self, key: str, data: bytes, *, split: str | None = None) -> Sample:
        """Store image bytes and put a sample for them; an existing sample keeps its labels."""
        info = probe(data, check_key(key))
        if info is None:
            raise UsageError(f"'{key}' holds no image", hint="add_file keeps it as a file")
        blob = self._txn.put_blob(data)
        image = image_of(blob, len(data), info)
        known = self._row(SAMPLES, key.encode())
        if known is not None:
            sample = decode_sample(known).replace(image=image)
        else:
            sample = Sample(uid=sample_uid(blob, key), image=image, split=split)
        self._known_blobs.add(blob)
        self._put(key, sample)
        return sample

    def add_file(self, key: str, data: bytes) -> None:
        """Store a file that is no image (README, class list)."""
        blob = self._txn.put_blob(data, shrink=True)
        row = FileRow(blob=blob_ref(blob), bytes=len(data))
        self._note(FILES, check_key(key).encode(), encode_file(row))

    # -- labels ----------------------------------------------------------------------------------

    def label(
        self,
        changes: Iterable[LabelChange],
        *,
        source: str = HUMAN,
        score: float | None = None,
        state: State | None = None,
        how: Operator = "=",
    ) -> int:
        """Say things of samples and regions: (key, region id, task, value) each, by 100,000s.

        The region is None for the sample itself. A value is the path, alias, unique name or id of
        a class, or what else the task takes; None removes what the source said. With `=` it stands
        instead of all that the source said for the task (a list, where the task takes many), with
        `+=` beside it, with `-=` it goes. How many samples changed.

        Raises NotFoundError for an unknown key, region, task or class, UsageError for a value that
        the task does not take; what came before may then be edited already, so leave the context.
        """
        made = Assignments(self.vocabulary, Voice(source, score, state), how)
        return label_rows(changes, made, self._rows_at, self.put_row)

    def relabel(
        self, task: str, old: str, new: str, *, where: str | None = None, regions: bool = False
    ) -> int:
        """Make all labels of one class labels of another, whoever says them, and in any state.

        `where` limits it to the samples for which an expression is true; with `regions`, to the
        regions for which it is. How many samples changed.
        """
        nodes = [check_value(self.vocabulary, task, name) for name in (old, new)]
        if not isinstance(nodes[0], bytes) or not isinstance(nodes[1], bytes):
            raise UsageError(f"task '{task}' has no classes")
        self._flush(SAMPLES)
        version = Dataset(self._txn, self._roots)
        only = None if where is None else _chosen(version, where, regions=regions)
        gone = meanings(self.vocabulary, task, [nodes[0]]) - {nodes[1]}
        rows = version.rows(SAMPLES)
        return relabel_rows(rows, task, gone, nodes[1], self.put_row, only=only)

    # -- rows ------------------------------------------------------------------------------------

    def row(self, key: bytes) -> bytes | None:
        """The encoded row of a sample as edited so far."""
        return self._row(SAMPLES, key)

    def put_row(self, key: bytes, row: bytes | None) -> None:
        """Put an encoded row that is known to be right, or take a sample out."""
        self._note(SAMPLES, key, row)

    def _rows_at(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes | None]]:
        """(key, row as edited so far) of sorted keys."""
        pending = self._pending[SAMPLES].rows
        if any(key in pending for key in keys):
            return ((key, self._row(SAMPLES, key)) for key in keys)
        return Dataset(self._txn, self._roots).rows_at(SAMPLES, keys)

    def _put(self, key: str, sample: Sample) -> None:
        blob = sample.image.blob_id
        if blob is not None:
            self._need_blob(key, blob)
        self._note(SAMPLES, key.encode(), encode_sample(sample))

    def _need_blob(self, key: str, blob: bytes) -> None:
        if blob in self._known_blobs:
            return
        was_purged = self._repo.store.value(TOMBSTONES + blob.hex()) is not None
        if not was_purged and not self._txn.may_name(blob):  # labels outlive a purged image
            raise NotFoundError(
                f"the image of '{key}' is not in the store: {blob.hex()}",
                hint="e.add_image(key, data) stores it; Image(uri=…) leaves it pending",
            )
        self._known_blobs.add(blob)

    def _note(self, space: str, key: bytes, row: bytes | None) -> None:
        pending = self._pending[space]
        pending.rows[key] = row
        pending.size += len(row or b"") + len(key)
        if pending.size > _FLUSH_BYTES:
            self._flush(space)

    def _flush(self, space: str) -> None:
        pending = self._pending[space]
        if pending.rows:
            rows = sorted(pending.rows.items())
            for key, row in rows:
                if row is not None:
                    self._keys.note(key)
            self._pending[space] = _Pending({})
            self._roots[space] = edit_map(self._txn, self._roots.get(space), rows)

    def _flush_vocabulary(self) -> None:
        changes = vocabulary_changes(self.vocabulary) if "vocabulary" in vars(self) else []
        for space in (TASKS, TAXONOMIES):
            rows = sorted((key, row) for where, key, row in changes if where == space)
            if rows:
                self._roots[space] = edit_map(self._txn, self._roots.get(space), rows)

    def _row(self, space: str, key: bytes) -> bytes | None:
        """The row at a key as edited so far."""
        pending = self._pending[space].rows
        if key in pending:
            return pending[key]
        if self._flushed.roots != self._roots:
            self._flushed = Dataset(self._txn, self._roots)
        return self._flushed.row(space, key)

    # -- the end ---------------------------------------------------------------------------------

    def _commit(self) -> None:
        for space in self._pending:
            self._flush(space)
        self._flush_vocabulary()
        settle_trees(self._txn, self._base.roots, self._roots)
        repo, txn, head = self._repo, self._txn, self._head
        snapshot = write_snapshot(txn, self._roots)
        if snapshot == write_snapshot(txn, self._base.roots):
            return
        self._keys.check(self._base, Dataset(txn, self._roots))
        time, zone = repo.config.now()
        made = write_commit(
            txn,
            snapshot=snapshot,
            parents=[] if head.commit is None else [head.commit],
            author=self._author,
            message=self._message,
            time=time,
            zone=zone,
        )
        self._land(head, made)
        self.commit = made

    def _land(self, head: Head, made: bytes) -> None:
        """Move the branch, and let staging area and working tree stand on the new commit."""
        repo, txn = self._repo, self._txn
        staging = repo.staging
        if staging.base != head.commit:
            raise RefMoved("the branch was moved by another process", hint="try again")
        there = Dataset(txn, self._roots)
        carried = carried_rows(repo, staging, there)
        advance(txn, head, made)
        snapshot = snapshot_with(txn, read_commit(txn, made).snapshot_id, carried)
        before = repo.staged_view(staging)
        after = Dataset(txn, read_snapshot(txn, snapshot))
        plan = None
        if repo.root is not None:
            plan = plan_safely(repo, before, after, "the edit")
        replace_staging(txn, staging, base=made, snapshot=snapshot)
        txn.commit()
        if plan is not None and plan.keys():
            update(repo, plan, after, before_token=before.token)
        if repo.follower is not None:
            repo.follower.follow()
