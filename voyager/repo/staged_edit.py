"""Editing labels, tasks and taxonomies in the staging area: one operation that `undo` reverts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from types import TracebackType

from voyager.errors import NotFoundError
from voyager.repo.conflicts import Written, has_conflicts, settle_written
from voyager.repo.keys import check_key, shown
from voyager.repo.namespace import check_rows
from voyager.repo.repository import Repository
from voyager.repo.snapshot import CONFLICTS, SAMPLES
from voyager.repo.staging import RowChange, overlay_of, stage
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema import Sample, check_sample, decode_sample, encode_sample
from voyager.schema.conflict import decode_conflicts
from voyager.schema.vocabulary import Draft
from voyager.store.ids import blob_id
from voyager.wire import Ext, blob_ref

LABEL_EDITS = frozenset(
    {
        "label",
        "region",
        "edit-row",
        "negatives",
        "coverage",
        "split",
        "link",
        "taxonomy",
        "task",
        "guard",
    }
)
"""Kinds of operations that change rows and no file."""


class StagedEdit:
    """Rows to change in the staging area; leaving the context stages them, an exception nothing.

    `kind` is one of LABEL_EDITS, `message` what `vgr op log` shows of the operation. `version` is
    what was staged before, `draft` the vocabulary to grow or change, `changes` what was staged
    after the context was left. With `dry_run` nothing is staged.
    """

    def __init__(
        self, repo: Repository, kind: str, message: str = "", *, dry_run: bool = False
    ) -> None:
        assert kind in LABEL_EDITS
        self.repo = repo
        self._kind = kind
        self._message = message
        self._dry_run = dry_run
        self._rows: dict[bytes, bytes | None] = {}
        self._policies: list[RowChange] = []
        self._blobs: dict[bytes, bytes] = {}
        self._written: dict[bytes, set[Written]] = {}
        self.changes: list[RowChange] = []

    def __enter__(self) -> StagedEdit:
        self.repo.refuse_if_running()
        self._staging = self.repo.staging
        self.version = self.repo.staged_view(self._staging)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._stage()

    @cached_property
    def draft(self) -> Draft:
        """The vocabulary of the staged version, to be changed."""
        return Draft(self.version.vocabulary)

    def __getitem__(self, key: str) -> Sample:
        """The sample at a key as edited so far; NotFoundError when there is none."""
        row = self.row(key.encode())
        if row is None:
            raise NotFoundError(f"no sample '{shown(key)}'", hint="vgr ls")
        return decode_sample(row)

    def __setitem__(self, key: str, sample: Sample) -> None:
        """Put a sample; InvalidDataError when a field has a wrong type."""
        self.put_row(check_key(key).encode(), encode_sample(check_sample(sample)))

    def row(self, key: bytes) -> bytes | None:
        """The encoded row at a key as edited so far."""
        return self._rows[key] if key in self._rows else self.version.row(SAMPLES, key)

    def put_row(self, key: bytes, row: bytes | None) -> None:
        """Put an encoded row that is known to be right, or take a sample out."""
        self._rows[key] = row

    def put_policies(self, changes: Iterable[RowChange]) -> None:
        """Put rows of the space `policies`."""
        self._policies += changes

    def wrote(self, targets: Iterable[tuple[str, bytes | None]], *heads: Written) -> None:
        """Note which fields of samples and regions were written, even if to what they hold.

        That resolves their conflicts; `heads` are the parts of paths within a sample or region.
        """
        if not has_conflicts(self.version):
            return
        for key, region in targets:
            within = () if region is None else ("regions", region.hex())
            own = self._written.setdefault(key.encode(), set())
            own.update((*within, *head) for head in heads)

    def put_blob(self, data: bytes) -> Ext:
        """The reference of a blob that will be stored with the rows (a mask, another file)."""
        blob = blob_id(data)
        self._blobs[blob] = data
        return blob_ref(blob)

    @property
    def resolved(self) -> int:
        """How many conflicts were resolved by what was written."""
        rows = ((row, key) for space, key, row in self.changes if space == CONFLICTS)
        return sum(
            self._count(self.version.row(CONFLICTS, at)) - self._count(row) for row, at in rows
        )

    @staticmethod
    def _count(row: bytes | None) -> int:
        return 0 if row is None else len(decode_conflicts(row))

    def _stage(self) -> None:
        version = self.version
        changes: list[RowChange] = [
            (SAMPLES, key, row)
            for key, row in self._rows.items()
            if row != version.row(SAMPLES, key)
        ]
        if "draft" in vars(self):
            changes += vocabulary_changes(self.draft)
        changes += [change for change in self._policies if change[2] != version.row(*change[:2])]
        if has_conflicts(version):
            changes = settle_written(version, changes, self._written)
        self.changes = changes
        if not changes or self._dry_run:
            return
        after = {**self._staging.overlay, **overlay_of(changes)}
        check_rows(version, type(version)(version.objects, version.roots, after), changes)
        with self.repo.transaction(self._kind, self._message[:200]) as txn:
            for blob, data in self._blobs.items():
                txn.put_blob(data, entry_id=blob, shrink=True)
            stage(txn, self._staging, changes)
            txn.commit()
