"""What an import or export could not take as it was: counted by kind, each with examples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from voyager.errors import InvalidDataError

Loss: TypeAlias = Literal["lost", "approximated", "repaired", "guessed", "extra"]

LOSSES: Final[tuple[Loss, ...]] = ("lost", "approximated", "repaired", "guessed", "extra")
"""Gone; kept not quite as it was; mended; decided by a guess; kept in `extra`. Worst first."""

_STRICT: Final = ("lost", "guessed")
_MOST_EXAMPLES = 5


@dataclass(slots=True)
class Entry:
    """How often something happened, and where the first times."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


class Report:
    """Findings by (class, kind); `kind` is a short sentence without what differs between them."""

    def __init__(self) -> None:
        self.entries: dict[tuple[Loss, str], Entry] = {}

    def add(self, loss: Loss, kind: str, example: str = "", count: int = 1) -> None:
        """Count a finding; `example` says where, as `file:line`, a key, a value."""
        entry = self.entries.get((loss, kind))
        if entry is None:
            entry = self.entries[loss, kind] = Entry()
        entry.count += count
        if example and len(entry.examples) < _MOST_EXAMPLES and example not in entry.examples:
            entry.examples.append(example)

    def merge(self, loss: Loss, kind: str, count: int, examples: Sequence[str]) -> None:
        """Count what another report found."""
        entry = self.entries.setdefault((loss, kind), Entry())
        entry.count += count
        entry.examples = list(dict.fromkeys([*entry.examples, *examples]))[:_MOST_EXAMPLES]

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[tuple[Loss, str, Entry]]:
        """(class, kind, entry), the worst class first, then the most frequent kind."""
        for (loss, kind), entry in sorted(
            self.entries.items(),
            key=lambda item: (LOSSES.index(item[0][0]), -item[1].count, item[0][1]),
        ):
            yield loss, kind, entry

    def count(self, loss: Loss, kind: str | None = None) -> int:
        """How many findings of a class (and kind) there are."""
        return sum(
            entry.count
            for (found, name), entry in self.entries.items()
            if found == loss and kind in (None, name)
        )

    def as_json(self) -> list[dict[str, Any]]:
        """The `report` of `import --json` and `export --json`."""
        return [
            {"class": loss, "kind": kind, "count": entry.count, "examples": entry.examples}
            for loss, kind, entry in self
        ]

    def refuse_if_strict(self, *, strict: bool) -> None:
        """InvalidDataError with the worst finding, when `strict`, if it is lost or guessed."""
        for loss, kind, entry in self:
            if strict and loss in _STRICT:
                where = f" ({entry.examples[0]})" if entry.examples else ""
                raise InvalidDataError(
                    f"{loss}: {entry.count:,} × {kind}{where}",
                    hint="without --strict it is done and reported",
                )
