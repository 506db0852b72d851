"""Attributes of regions made labels of a task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from voyager.schema.sample import Label, Region, Sample
from voyager.schema.task import Task

_YES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class _MisfitError(ValueError):
    """A value that the task cannot hold."""


@dataclass(slots=True)
class Promotion:
    """An attribute on its way to be a task: what was taken, and by value what did not fit.

    `category` mints or finds the class of a name.
    """

    attribute: str
    name: str
    task: Task
    category: Callable[[str], bytes]
    labels: int = 0
    samples: int = 0
    left: Counter[str] = field(default_factory=Counter)

    def promote(self, sample: Sample) -> Sample:
        """The sample with the attribute of its regions as labels; what does not fit stays."""
        regions = tuple(self._promote_region(region) for region in sample.regions)
        if all(new is old for new, old in zip(regions, sample.regions, strict=True)):
            return sample
        self.samples += 1
        return sample.replace(regions=regions)

    def _promote_region(self, region: Region) -> Region:
        value = region.attrs.get(self.attribute)
        if value is None:
            return region
        values = value if isinstance(value, list) else [value]
        try:
            said = self._read(values)
        except _MisfitError:
            self.left[str(value)] += 1
            return region
        attrs = {name: item for name, item in region.attrs.items() if name != self.attribute}
        new = [
            Label(task=self.name, source=region.source, state=region.state, **each) for each in said
        ]
        fresh = [label for label in new if label not in region.labels]
        self.labels += len(fresh)
        return region.replace(attrs=attrs, labels=(*region.labels, *fresh))

    def _read(self, values: Sequence[Any]) -> list[dict[str, Any]]:
        """What labels are to say; all values are read before a class is minted for any."""
        if len(values) > 1 and not self.task.many:
            raise _MisfitError
        if self.task.kind == "category":
            names = list(dict.fromkeys(_name(value) for value in values))
            return [{"node": self.category(name)} for name in names]
        return [{"value": _READERS[self.task.kind](value)} for value in values]


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    if not text.strip():
        raise _MisfitError
    return text


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _MisfitError from None
    if isinstance(value, bool) or number - number != 0:  # infinite, or no number
        raise _MisfitError
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _YES.get(str(value).lower())
    if found is None:
        raise _MisfitError
    return found


_READERS: dict[str, Callable[[Any], Any]] = {"text": _name, "number": _number, "bool": _bool}
