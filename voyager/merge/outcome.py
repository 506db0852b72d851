"""What a merge did: its outcome, as a value and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from voyager.repo.guard import Review
from voyager.repo.worktree import Updated
from voyager.schema.validate import Violation


@dataclass(slots=True)
class Merged:
    """What a merge did.

    `result` is up-to-date, fast-forward, merged (committed), staged (`commit=False`, squash) or
    conflicts; `twins` are keys under which two sides added one image, `lowered` (key, coverage)
    that says less now, `joined` how many regions of several sides became one.
    """

    result: Literal["up-to-date", "fast-forward", "merged", "staged", "conflicts"]
    commit: bytes | None = None
    bases: list[bytes] = field(default_factory=list)
    conflicts: int = 0
    resolved: Mapping[str, int] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    guard: Review = field(default_factory=Review)
    twins: list[tuple[str, str]] = field(default_factory=list)
    lowered: list[tuple[str, str]] = field(default_factory=list)
    joined: int = 0
    updated: Updated = field(default_factory=Updated)

    def as_json(self) -> dict[str, Any]:
        """As `vgr merge --json` says it."""
        return {
            "result": self.result,
            "commit": None if self.commit is None else self.commit.hex(),
            "bases": [base.hex() for base in self.bases],
            "conflicts": self.conflicts,
            "resolved": dict(self.resolved),
            "violations": [violation_json(each) for each in self.violations],
            "guard": self.guard.as_json(),
            "twins": [list(pair) for pair in self.twins],
            "coverage": [list(pair) for pair in self.lowered],
            "joined": self.joined,
        }


def violation_json(violation: Violation) -> dict[str, Any]:
    """A violation as JSON."""
    return {
        "key": violation.key,
        "region": None if violation.region is None else violation.region.hex(),
        "path": violation.path,
        "kind": violation.kind,
        "message": violation.message,
        "hint": violation.hint,
    }
