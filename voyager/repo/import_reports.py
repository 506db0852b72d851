"""Reports of imports: what a source held that did not fit stays with the commit that took it.

An import stages its report as a blob, noted in the value REPORTS. The commit of what it staged
names the blob (spec 3.2), and so does a stash; whoever gives up what is staged gives up the report.
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
_FIELD: Final = "reports"


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
    blob = txn.put_blob(text.encode(errors="backslashreplace"), shrink=True)
    _put(txn, repo, [*pending_reports(repo), blob])


def pending_reports(repo: Repository) -> list[bytes]:
    """The reports of imports whose rows are staged and not committed: ids of blobs."""
    return [bytes(ref.data) for ref in repo.store.value(REPORTS) or []]


def extra_with_reports(repo: Repository, amended: Commit | None = None) -> dict[str, object]:
    """The `extra` of a commit of what is staged, which names the pending reports."""
    named = [] if amended is None else named_reports(amended)
    reports = list(dict.fromkeys([*named, *pending_reports(repo)]))
    kept = {} if amended is None else dict(amended.extra)
    return {**kept, _FIELD: list(map(blob_ref, reports))} if reports else kept


def put_back_reports(txn: Transaction, repo: Repository, stashed: Commit) -> None:
    """Let the reports of a stash be pending again."""
    _put(txn, repo, [*pending_reports(repo), *named_reports(stashed)])


def drop_reports(txn: Transaction, repo: Repository, base: bytes | None, snapshot: bytes) -> None:
    """Forget pending reports when `snapshot`, what is staged on `base` now, is `base`'s own."""
    clean = write_snapshot(txn, {}) if base is None else read_commit(txn, base).snapshot_id
    if snapshot == clean:
        _put(txn, repo, [])


def drop_unstaged_reports(
    txn: Transaction, repo: Repository, staging: Staging, changes: Iterable[RowChange]
) -> None:
    """Forget pending reports when nothing is staged any more after these changes."""
    if pending_reports(repo):
        overlay = {**staging.overlay, **overlay_of(changes)}
        drop_reports(txn, repo, staging.base, fold(txn, staging.roots, overlay))


def _put(txn: Transaction, repo: Repository, blobs: Iterable[bytes]) -> None:
    old = repo.store.value(REPORTS)
    new = list(map(blob_ref, dict.fromkeys(blobs))) or None
    if new != old:
        txn.move(REPORTS, new, old=old)


def named_reports(commit: Commit) -> list[bytes]:
    """The blobs that a commit names as reports."""
    found = commit.extra.get(_FIELD)
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
