"""What the commit of staged rows will name: reports of imports, and decisions of the guard.

An import stages its report as a blob, noted in the value REPORTS: what did not fit. What the guard
decided of its rows, or of those of a merge that waits, is noted in GUARD. The commit of what was
staged names the blobs (spec 3.2), and so does a stash; whoever gives up what is staged gives them
up.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voyager.errors import CorruptError, NotFoundError
from voyager.repo.repository import Repository
from voyager.repo.snapshot import write_snapshot
from voyager.repo.staging import RowChange, Staging, fold, overlay_of
from voyager.store.history import Commit, read_commit
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.objectstore import Store
from voyager.store.transaction import Transaction
from voyager.wire import BLOB_EXT, Ext, blob_ref

REPORTS: Final = "REPORTS"
GUARD: Final = "GUARD"
_FIELDS: Final = {REPORTS: "reports", GUARD: "guard"}
"""Value → the field of a commit's `extra` that names what it noted."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The report of one import; `name` is None and `counts` empty where its bytes are not here."""

    blob: bytes
    name: str | None
    counts: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """As in `vgr show --json`."""
        return {"blob": self.blob.hex(), "import": self.name, "counts": dict(self.counts)}


def note_report(txn: Transaction, repo: Repository, value: Mapping[str, Any]) -> None:
    """Keep the JSON of an import's report until what it staged is committed."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    note(txn, repo, REPORTS, text.encode(errors="backslashreplace"))


def note(txn: Transaction, repo: Repository, name: str, data: bytes) -> None:
    """Keep a record (REPORTS or GUARD) until what it is about is committed."""
    blob = txn.put_blob(data, shrink=True)
    _put(txn, repo, name, [*_pending(repo, name), blob])


def pending_reports(repo: Repository) -> list[bytes]:
    """The reports of imports whose rows are staged and not committed: ids of blobs."""
    return _pending(repo, REPORTS)


def _pending(repo: Repository, name: str) -> list[bytes]:
    return [bytes(ref.data) for ref in repo.store.value(name) or []]


def extra_with_reports(repo: Repository, amended: Commit | None = None) -> dict[str, object]:
    """The `extra` of a commit of what is staged, which names the pending records."""
    extra = {} if amended is None else dict(amended.extra)
    for name, field in _FIELDS.items():
        named = [] if amended is None else named_blobs(amended, field)
        blobs = list(dict.fromkeys([*named, *_pending(repo, name)]))
        if blobs:
            extra[field] = list(map(blob_ref, blobs))
    return extra


def put_back_reports(txn: Transaction, repo: Repository, stashed: Commit) -> None:
    """Let the records of a stash be pending again."""
    for name, field in _FIELDS.items():
        _put(txn, repo, name, [*_pending(repo, name), *named_blobs(stashed, field)])


def drop_reports(txn: Transaction, repo: Repository, base: bytes | None, snapshot: bytes) -> None:
    """Forget pending records when `snapshot`, what is staged on `base` now, is `base`'s own."""
    clean = write_snapshot(txn, {}) if base is None else read_commit(txn, base).snapshot_id
    for name in _FIELDS if snapshot == clean else ():
        _put(txn, repo, name, [])


def drop_unstaged_reports(
    txn: Transaction, repo: Repository, staging: Staging, changes: Iterable[RowChange]
) -> None:
    """Forget pending records when nothing is staged any more after these changes."""
    if any(_pending(repo, name) for name in _FIELDS):
        overlay = {**staging.overlay, **overlay_of(changes)}
        drop_reports(txn, repo, staging.base, fold(txn, staging.roots, overlay))


def _put(txn: Transaction, repo: Repository, name: str, blobs: Iterable[bytes]) -> None:
    old = repo.store.value(name)
    new = list(map(blob_ref, dict.fromkeys(blobs))) or None
    if new != old:
        txn.move(name, new, old=old)


def named_reports(commit: Commit) -> list[bytes]:
    """The blobs that a commit names as reports."""
    return named_blobs(commit, _FIELDS[REPORTS])


def named_blobs(commit: Commit, field: str) -> list[bytes]:
    """The blobs that a field of a commit's `extra` names."""
    found = commit.extra.get(field)
    refs = found if isinstance(found, list) else []
    return [bytes(ref.data) for ref in refs if isinstance(ref, Ext) and ref.code == BLOB_EXT]


def reports_of(store: Store, commit: Commit) -> list[ImportReport]:
    """The reports that a commit names, with how many findings of each class they hold."""
    return [_read(store, blob) for blob in named_reports(commit)]


def _read(objects: ObjectReader, blob: bytes) -> ImportReport:
    try:
        value = json.loads(objects.get(blob, Kind.BLOB))
        counts: dict[str, int] = {}
        for finding in value["report"]:
            counts[finding["class"]] = counts.get(finding["class"], 0) + int(finding["count"])
        return ImportReport(blob, str(value["import"]), counts)
    except (NotFoundError, CorruptError, ValueError, KeyError, TypeError):
        return ImportReport(blob, None, {})
