"""What a check finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

MOST_PROBLEMS = 10_000
"""Problems beyond this number are counted, not kept."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `kind` is `spec`, `journal`, `log`, `pack`, `idx`, `index`, `object`, `missing`, `map` or
    `purged`; `where` names the file (with the byte) or the object. `fixable_by_rebuild` says that
    `vgr fsck --rebuild` makes the store consistent again, if not whole.
    """

    kind: str
    what: str
    where: str
    fixable_by_rebuild: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(slots=True)
class Report:
    """The result of a check. `notes` tell of garbage and of what the next opening mends."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Problems by kind, and `packs`, `entries`, `bytes`, `objects`, `blobs`, `operations` seen."""

    @property
    def ok(self) -> bool:
        return not self.problems

    def add(self, problem: Problem) -> None:
        self.counts[f"problem {problem.kind}"] += 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)
