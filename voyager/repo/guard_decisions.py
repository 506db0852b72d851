"""What the guard decided of copies of protected images: recorded, and applied ever after.

A commit whose merge or import the guard looked at names the record (spec 3.2). Rebase, bisect and
verification apply it to rows: it says all they need, so that no pixel is read a second time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from voyager.errors import CorruptError
from voyager.repo.dataset import Dataset
from voyager.repo.guard_offers import offer_of, taken
from voyager.repo.import_reports import GUARD, named_blobs, note
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import RowChange
from voyager.schema import Held, Sample, decode_sample, encode_sample
from voyager.schema.guard import GUARD_ACTIONS, GuardAction
from voyager.store.history import Commit
from voyager.store.ids import Kind
from voyager.store.objects import ObjectReader
from voyager.store.transaction import Transaction
from voyager.wire import blob_ref

FIELD: Final = "guard"
"""The field of a commit's `extra` that names records of the guard."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one sample, `key`, because of a protected one.

    `paired` says that its own image is the copy, and not that of another sample of its group.
    `took` says that the protected sample took what was said of a dropped one.
    """

    key: str
    uid: bytes
    split: str | None
    protected_key: str
    protected_uid: bytes
    protected_split: str
    kind: str
    distance: float
    method: str
    action: GuardAction
    paired: bool = True
    took: bool = False

    def as_json(self) -> dict[str, Any]:
        """As it is recorded and printed."""
        value = asdict(self)
        return {**value, "uid": self.uid.hex(), "protected_uid": self.protected_uid.hex()}


def encode_decisions(decisions: Iterable[Decision]) -> bytes:
    """The canonical record: JSON in UTF-8, names and decisions in order."""
    ordered = sorted(decisions, key=lambda decision: (decision.key, decision.uid))
    value = {"decisions": [decision.as_json() for decision in ordered]}
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode(errors="surrogateescape") + b"\n"


def decode_decisions(data: bytes) -> list[Decision]:
    """The decisions of a record; CorruptError for bytes that are none."""
    try:
        value = json.loads(data.decode(errors="surrogateescape"))
        return [_decision(item) for item in value["decisions"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"not a record of the guard: {error}") from None


def _decision(item: dict[str, Any]) -> Decision:
    known = {field.name: item[field.name] for field in fields(Decision)}
    for name in ("uid", "protected_uid"):
        known[name] = bytes.fromhex(known[name])
    if known["action"] not in GUARD_ACTIONS:
        raise ValueError(f"no action '{known['action']}'")
    return Decision(**known)


def apply_decisions(version: Dataset, decisions: Sequence[Decision]) -> list[RowChange]:
    """The rows that decisions change in a version, in key order.

    A sample is found at its key, else by its uid; one that is not there is passed over.
    """
    rows: dict[bytes, bytes | None] = {}
    for decision in decisions:
        key = _key_of(version, decision.key, decision.uid)
        if key is None or decision.action in ("warn", "error"):
            continue
        sample = decode_sample(_row(version, key))
        if decision.action == "drop":
            rows[key] = None
            if decision.took:
                _take(version, decision, sample, rows)
        elif decision.action == "move":
            rows[key] = encode_sample(sample.replace(split=decision.protected_split))
        elif sample.held is None:
            rows[key] = encode_sample(sample.replace(held=held_of(decision)))
    return [(SAMPLES, key, row) for key, row in sorted(rows.items())]


def held_of(decision: Decision) -> Held:
    """What the row of a held sample says."""
    return Held(
        distance=decision.distance,
        kind=decision.kind,
        method=decision.method,
        uid=decision.protected_uid,
    )


def _take(
    version: Dataset, decision: Decision, copy: Sample, rows: dict[bytes, bytes | None]
) -> None:
    """Let the protected sample take what it lacks of what is said of its copy."""
    key = _key_of(version, decision.protected_key, decision.protected_uid)
    if key is not None:
        row = rows.get(key) or _row(version, key)
        kept = decode_sample(row)
        rows[key] = encode_sample(taken(kept, offer_of(version.vocabulary, copy, kept)))


def _key_of(version: Dataset, key: str, uid: bytes) -> bytes | None:
    row = version.row(SAMPLES, key.encode())
    if row is not None and decode_sample(row).uid == uid:
        return key.encode()
    found = version.lookups.key_of(uid)
    return None if found is None else found.encode()


def _row(version: Dataset, key: bytes) -> bytes:
    row = version.row(SAMPLES, key)
    assert row is not None
    return row


def decision_blobs(commit: Commit) -> list[bytes]:
    """The records of the guard that a commit names."""
    return named_blobs(commit, FIELD)


def decisions_of(objects: ObjectReader, commit: Commit) -> list[Decision]:
    """All that the guard decided of what a commit brought in."""
    blobs = decision_blobs(commit)
    return [one for blob in blobs for one in decode_decisions(objects.get(blob, Kind.BLOB))]


def note_decisions(txn: Transaction, repo: Repository, decisions: Sequence[Decision]) -> None:
    """Keep what was decided until what it is about is committed."""
    if decisions:
        note(txn, repo, GUARD, encode_decisions(decisions))


def extra_with_decisions(
    txn: Transaction, extra: Mapping[str, object], decisions: Sequence[Decision]
) -> dict[str, object]:
    """The `extra` of a commit that is made at once, which names what was decided."""
    if not decisions:
        return dict(extra)
    blob = txn.put_blob(encode_decisions(decisions), shrink=True)
    known = extra.get(FIELD)
    return {**extra, FIELD: [*(known if isinstance(known, list) else []), blob_ref(blob)]}
