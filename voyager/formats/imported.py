"""What an import staged, in numbers and words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from voyager.formats.classes import ClassChange
from voyager.formats.report import Report
from voyager.repo.dataset import Dataset

if TYPE_CHECKING:
    from voyager.formats.merge_in import Outcome
    from voyager.repo.guard import Review


@dataclass(slots=True)
class Imported:
    """What an import staged (or with `dry_run` would stage).

    `samples`, `regions` and `labels` count what the source holds; the rest what it changed here.
    `attached` counts images that came to labels which waited for them.
    `trust` is (ids that agree, exact pairs with ids); `renames` what became of classes.
    """

    format: str
    title: str
    why: str
    report: Report
    samples: int = 0
    regions: int = 0
    labels: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    pending: int = 0
    attached: int = 0
    regions_added: int = 0
    regions_changed: int = 0
    regions_removed: int = 0
    divided: int = 0
    matched_elsewhere: list[tuple[str, str]] = field(default_factory=list)
    trust: tuple[int, int] = (0, 0)
    renames: list[ClassChange] = field(default_factory=list)
    turned: list[str] = field(default_factory=list)
    base: str | None = None
    same_as: str | None = None
    """The import of another name that brought most of these regions, if this name is new."""
    staged: bool = False
    view: Dataset | None = None
    """Of a dry run: what would be staged; its new blobs are not in the store."""
    new_blobs: dict[bytes, bytes] = field(default_factory=dict)
    conflicts: int = 0
    """How many fields are in conflict now: changed both here and in the source."""
    merged: Outcome | None = None
    """What the merge tells, where what the source says was merged with what was changed here."""
    guard: Review | None = None
    """What the guard decided, where there is anything to guard."""

    def note_known(self) -> None:
        """Note that all of it is here already, as after an import of the same edits."""
        self.unchanged += self.added + self.updated
        self.added = self.updated = self.attached = 0
        self.regions_added = self.regions_changed = self.regions_removed = self.divided = 0
        self.renames = []

    def as_report(self, name: str) -> dict[str, Any]:
        """What is kept of it with the commit: what it was, and its findings."""
        fields = ("format", "samples", "regions", "labels", "added", "updated", "report")
        whole = self.as_json()
        return {"import": name, **{field: whole[field] for field in fields}}

    def as_json(self) -> dict[str, Any]:
        """The JSON of `vgr import`."""
        return {
            "format": self.format,
            "samples": self.samples,
            "regions": self.regions,
            "labels": self.labels,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "pending": self.pending,
            "attached": self.attached,
            "changed_regions": {
                "added": self.regions_added,
                "changed": self.regions_changed,
                "removed": self.regions_removed,
                "divided": self.divided,
            },
            "matched_elsewhere": [{"name": a, "key": b} for a, b in self.matched_elsewhere],
            "source_ids": {"agree": self.trust[0], "of": self.trust[1]},
            "classes": [change.as_json() for change in self.renames],
            "base": self.base,
            "same_as": self.same_as,
            "conflicts": self.conflicts,
            "staged": self.staged,
            "guard": None if self.guard is None else self.guard.as_json(),
            "report": self.report.as_json(),
        }
