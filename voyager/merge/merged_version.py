"""What merging versions makes: a snapshot, and what is worth telling of how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from voyager.merge.moves import Changes, Rows
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema.vocabulary import Vocabulary


class Outcomes:
    """(key, row of the base, of our side, of the outcome) of the samples that a side changed."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._rows: dict[bytes, bytes | None] = {}
        self._others: list[tuple[bytes, bytes | None, bytes | None, bytes | None]] = []
        self.reader = changes.reader

    def note(self, key: bytes, rows: Rows, row: bytes | None, *, listed: bool = True) -> None:
        """Keep an outcome that is not our row; of a key that is not `listed` among the changes."""
        if not listed:
            self._others.append((key, rows[0], rows[1], row))
        elif self._changes.are_kept:
            self._rows[key] = row

    def each(
        self, base: Dataset, ours: Dataset, after: Dataset
    ) -> Iterator[tuple[bytes, bytes | None, bytes | None, bytes | None]]:
        """All of them, the listed ones in key order; read from the trees where they are many."""
        if self._changes.are_kept:
            for key, rows in self._changes:
                yield key, rows[0], rows[1], self._rows.get(key, rows[1])
            yield from self._others
            return
        for key, (old, own, new) in Changes(self.reader, [base, ours, after], SAMPLES):
            yield key, old, own, new


@dataclass(slots=True)
class MergedVersion:
    """What a merge made: a snapshot, and what is worth telling.

    `joined` maps (sample uid, region) to the region that it became one with; `lowered` are keys of
    samples with keys of coverage; `twins` pairs of keys with one image; `resolved` counts what the
    resolver decided, by the path's first part.
    """

    snapshot: bytes
    roots: dict[str, bytes]
    vocabulary: Vocabulary
    conflicts: int = 0
    joined: dict[tuple[bytes, bytes], bytes] = field(default_factory=dict)
    lowered: list[tuple[bytes, str]] = field(default_factory=list)
    twins: list[tuple[bytes, bytes]] = field(default_factory=list)
    both: list[bytes] = field(default_factory=list)
    """Keys of samples that were merged field by field."""
    resolved: Counter[str] = field(default_factory=Counter)
    outcomes: Outcomes | None = None
    """What became of every sample that a side changed."""

    def changed_rows(
        self, base: Dataset, ours: Dataset
    ) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        """(key, row of our side, of the outcome) of the samples that are not the same there."""
        after = Dataset(ours.objects, self.roots)
        outcomes = () if self.outcomes is None else self.outcomes.each(base, ours, after)
        return ((key, old, new) for key, _, old, new in outcomes if old != new)
