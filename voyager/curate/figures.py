"""What statistics of a version consist of: counts by split, classes as a tree, binned measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

Counts: TypeAlias = tuple[int, ...]
"""A number for each split, in the order of `Stats.splits`."""

Scope: TypeAlias = Literal["image", "region"]

NO_SPLIT: Final = "no split"
"""What people are told of samples in none."""


@dataclass(frozen=True, slots=True)
class Split:
    """A split, None for samples in none, and what is in it."""

    name: str | None
    samples: int
    regions: int

    @property
    def told(self) -> str:
        return NO_SPLIT if self.name is None else self.name


@dataclass(frozen=True, slots=True)
class TaskCount:
    """How many images, or regions, a task is asked of, and on how many it has an answer or a tie.

    `many` says that one of them may have several answers.
    """

    task: str
    of: Scope
    kind: str
    many: bool
    asked: Counts
    answered: Counts
    disagree: Counts

    @property
    def unanswered(self) -> Counts:
        parts = zip(self.asked, self.answered, self.disagree, strict=True)
        return tuple(asked - answered - tied for asked, answered, tied in parts)


@dataclass(frozen=True, slots=True)
class ClassCount:
    """A class of a task: the samples and regions that have it, by split.

    `samples` have it on the image or on a region; `…_below` count classes below it too, each sample
    and region once. `of` says what the class is mostly said of.
    """

    task: str
    path: str
    node: str
    depth: int
    of: Scope
    samples: Counts
    regions: Counts
    samples_below: Counts
    regions_below: Counts

    @property
    def own(self) -> Counts:
        """Those that have exactly this class, in what the task is mostly said of."""
        return self.regions if self.of == "region" else self.samples

    @property
    def below(self) -> Counts:
        """Those that have this class or one below it."""
        return self.regions_below if self.of == "region" else self.samples_below

    @property
    def is_used(self) -> bool:
        """Whether any image or region has it, or a class below it."""
        return any(self.samples_below)


@dataclass(frozen=True, slots=True)
class Balance:
    """How far the classes of a task in one split are from those in all.

    `distance` is the share of its answers that would have to be of another class, 0 to 1.
    """

    task: str
    split: str | None
    answers: int
    distance: float


@dataclass(frozen=True, slots=True)
class Bin:
    """How many values lie in one range."""

    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Measure:
    """A number that images or regions have: those that have it, its spread, and a histogram."""

    name: str
    of: Scope
    known: int
    unknown: int
    low: float
    median: float
    high: float
    mean: float
    bins: tuple[Bin, ...]

    @property
    def told(self) -> str:
        """`region aspect`: a name that things of both kinds have says of which it is."""
        return f"{self.of} {self.name}" if self.name in ("aspect", "area") else self.name


@dataclass(frozen=True, slots=True)
class CoverageCount:
    """How samples are covered for a task, or for one class of it, and how many negatives it has.

    `negatives` counts pairs of a sample and a class that is verified not to be in it.
    """

    task: str
    path: str | None
    exhaustive: int
    partial: int
    unknown: int
    negatives: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something that deserves a look: how many, some keys or classes, a command that shows all.

    `samples` are the keys of the first of those that it is about, for pictures of them.
    """

    kind: str
    text: str
    """What there are so many of; begins with a noun in the plural, or with %."""
    count: int
    examples: tuple[str, ...] = ()
    look: str | None = None
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stats:
    """The statistics of a version, or of some samples of it.

    Regions that were rejected count in `region_states` alone.
    """

    samples: int
    regions: int
    labels: int
    bytes: int
    splits: tuple[Split, ...]
    states: Mapping[str, int]
    types: Mapping[str, int]
    sizes: Mapping[str, int]
    geometries: Mapping[str, int]
    flags: Mapping[str, int]
    region_sources: Mapping[str, int]
    region_states: Mapping[str, int]
    label_sources: Mapping[str, int]
    label_states: Mapping[str, int]
    repeated: int
    """Samples whose image has the bytes of an earlier one."""
    tasks: tuple[TaskCount, ...]
    classes: tuple[ClassCount, ...]
    balance: tuple[Balance, ...]
    coverage: tuple[CoverageCount, ...]
    measures: tuple[Measure, ...]
    pixels: int | None
    """Distinct images of which statistics are known; None where they were not looked for."""
    images: int
    """Distinct images that are stored."""
    notes: tuple[Note, ...] = field(default=())

    def with_notes(self, notes: tuple[Note, ...]) -> Stats:
        return replace(self, notes=notes)

    def as_dict(self) -> dict[str, Any]:
        """The shape that `--json` prints: counts by split are lists in the order of `splits`."""
        found = asdict(self)
        for task, told in zip(self.tasks, found["tasks"], strict=True):
            told["unanswered"] = task.unanswered
        return found
