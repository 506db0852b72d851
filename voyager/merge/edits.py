"""Merging edits that were made elsewhere, to a version, into what is staged here.

The edits come as a version made of another one, by whoever read them (an import of an edited
export, say). What they and we changed otherwise stands in staging as conflicts, and a merge of kind
`import` waits that knows both sides; the next commit ends it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voyager.merge import Merged, merge_guarded
from voyager.merge.choices import Choices, parse_choices
from voyager.merge.question import Side
from voyager.repo.dataset import Dataset
from voyager.repo.guard_decisions import note_decisions
from voyager.repo.merging import Merging, move_merging, refuse_if_merging
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import read_snapshot
from voyager.repo.staging import Staging, fold_staging, replace_staging
from voyager.store.history import read_commit, write_commit
from voyager.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Edits:
    """What merges edits into what is staged, with strategies; UsageError for one that is none."""

    strategies: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._choices()

    def _choices(self) -> Choices:
        return parse_choices(self.strategies, command="vgr import FILE")

    def __call__(
        self,
        repo: Repository,
        txn: Transaction,
        base: Dataset,
        theirs: bytes,
        *,
        of: bytes | None,
        name: str,
        take_labels: bool = False,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> tuple[bytes, Merged]:
        """Stage what the snapshot `theirs` makes of `base` and of what is staged; that snapshot.

        `of` is the commit that was edited, `name` what the edits are called. With `dry_run` nothing
        is staged. The caller commits. Raises StateError while another merge waits.
        """
        refuse_if_merging(repo)
        staging = repo.staging
        ours = fold_staging(txn, staging)
        sides = [Dataset(txn, read_snapshot(txn, each)) for each in (ours, theirs)]
        choices = self._choices()
        snapshot, found = merge_guarded(
            repo,
            txn,
            base,
            sides,
            resolver=choices.resolver(_named(repo, staging, ours, name))
            if self.strategies
            else None,
            take_labels=take_labels,
            progress=progress,
        )
        found.result = "conflicts" if found.conflicts else "staged"
        if snapshot == ours or dry_run:
            return snapshot, found
        replace_staging(txn, staging, base=staging.base, snapshot=snapshot, folded=ours)
        note_decisions(txn, repo, found.guard.decisions)
        waits = _waiting(repo, txn, staging, (ours, theirs), of, name) if found.conflicts else None
        move_merging(txn, repo.store, waits)
        return snapshot, found


def _named(repo: Repository, staging: Staging, ours: bytes, name: str) -> list[Side]:
    """The sides as strategies know them: what is only staged was said now, as the edits were."""
    time, _ = repo.config.now()
    commit = _commit_of(repo, staging, ours)
    then = time if commit is None else read_commit(repo.store, commit).time
    return [Side("HEAD", commit, then), Side(name, None, time)]


def _commit_of(repo: Repository, staging: Staging, ours: bytes) -> bytes | None:
    """The commit that is staged as it is, None where something else is."""
    base = staging.base
    same = base is not None and read_commit(repo.store, base).snapshot_id == ours
    return base if same else None


def _waiting(
    repo: Repository,
    txn: Transaction,
    staging: Staging,
    snapshots: tuple[bytes, bytes],
    of: bytes | None,
    name: str,
) -> Merging:
    """The merge that waits; commits of the sides, so that it can be told what they said."""
    ours, theirs = snapshots
    time, zone = repo.config.now()
    author = str(repo.config.author())

    def made(snapshot: bytes, parent: bytes | None, message: str) -> bytes:
        return write_commit(
            txn,
            snapshot=snapshot,
            parents=[] if parent is None else [parent],
            author=author,
            message=message,
            time=time,
            zone=zone,
        )

    here = _commit_of(repo, staging, ours) or made(ours, staging.base, "staged")
    there = made(theirs, of or staging.base, f"edits of {name}")
    return Merging("import", (), f"Merge edits of {name}", sides=(here, there))
