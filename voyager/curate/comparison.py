"""Statistics of two versions side by side: every count, its share, and what became of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from voyager.curate.figures import Stats


class _Figure(NamedTuple):
    """A count in one version: what it is called there, and out of how many it is."""

    name: str
    number: int
    whole: int | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A count in two versions, with its share where it is a part of something.

    `name` is what the newer version calls it.
    """

    section: str
    name: str
    before: int
    after: int
    share_before: float | None
    share_after: float | None

    @property
    def change(self) -> int:
        return self.after - self.before

    @property
    def shift(self) -> float | None:
        """By how much the share changed."""
        if self.share_before is None or self.share_after is None:
            return None
        return self.share_after - self.share_before

    @property
    def is_apart(self) -> bool:
        """Whether the versions differ in it, and not only in being all there is in both."""
        return bool(self.change) and not self.share_before == self.share_after == 1

    def as_dict(self) -> dict[str, Any]:
        """The shape that `--json` prints."""
        return {**asdict(self), "change": self.change}


def compare(before: Stats, after: Stats) -> list[Difference]:
    """Every count that either version has, also those that are equal.

    Classes are the same by their ids, whatever they are called.
    """
    old, new = dict(_figures(before)), dict(_figures(after))
    keys = sorted({*old, *new}, key=_order(list(new), list(old)))
    return [_difference(key[0], old.get(key), new.get(key), old, new) for key in keys]


def _order(new: list[tuple[str, str]], old: list[tuple[str, str]]) -> Any:
    """Sections in their order, in each the new version's figures first."""
    sections = {section: at for at, (section, _) in reversed(list(enumerate([*new, *old])))}
    places = {key: at for at, key in reversed(list(enumerate([*new, *old])))}
    return lambda key: (sections[key[0]], places[key])


def _difference(
    section: str,
    old: _Figure | None,
    new: _Figure | None,
    all_old: Mapping[tuple[str, str], _Figure],
    all_new: Mapping[tuple[str, str], _Figure],
) -> Difference:
    one = new or old
    assert one is not None
    # What one side lacks is none of the whole that it has there.
    whole_old = _whole(section, all_old) if old is None else old.whole
    whole_new = _whole(section, all_new) if new is None else new.whole
    before, after = (0 if side is None else side.number for side in (old, new))
    is_part = one.whole is not None
    return Difference(
        section,
        one.name,
        before,
        after,
        _share(before, whole_old) if is_part else None,
        _share(after, whole_new) if is_part else None,
    )


def _whole(section: str, figures: Mapping[tuple[str, str], _Figure]) -> int | None:
    return next((one.whole for key, one in figures.items() if key[0] == section), None)


def _share(count: int, whole: int | None) -> float:
    return count / whole if whole else 0.0


def _figures(stats: Stats) -> Iterator[tuple[tuple[str, str], _Figure]]:
    """(section, id) and the figure, in the order in which they are told."""
    for name, count in (
        ("samples", stats.samples),
        ("regions", stats.regions),
        ("labels", stats.labels),
        ("bytes", stats.bytes),
    ):
        yield ("all", name), _Figure(name, count)
    for split in stats.splits:
        yield ("split", split.told), _Figure(split.told, split.samples, stats.samples)
    for section, counts, whole in (
        ("state", stats.states, stats.samples),
        ("type", stats.types, None),
        ("geometry", stats.geometries, None),
        ("flag", stats.flags, stats.regions),
        ("region source", stats.region_sources, None),
        ("region state", stats.region_states, None),
        ("label source", stats.label_sources, None),
        ("label state", stats.label_states, None),
    ):
        for name, count in counts.items():
            told = sum(counts.values()) if whole is None else whole
            yield (section, name), _Figure(name, count, told)
    yield from _of_tasks(stats)
    for measure in stats.measures:
        for one in measure.bins:
            yield (measure.told, one.label), _Figure(one.label, one.count, measure.known)


def _of_tasks(stats: Stats) -> Iterator[tuple[tuple[str, str], _Figure]]:
    for task in stats.tasks:
        section, asked = f"task {task.task} of {task.of}s", sum(task.asked)
        for name, counts in (
            ("answered", task.answered),
            ("unanswered", task.unanswered),
            ("disagree", task.disagree),
        ):
            yield (section, name), _Figure(name, sum(counts), asked)
    for task_name in dict.fromkeys(one.task for one in stats.classes):
        classes = [one for one in stats.classes if one.task == task_name]
        whole = sum(sum(one.own) for one in classes)
        for one in classes:
            yield (f"class of {task_name}", one.node), _Figure(one.path, sum(one.own), whole)
