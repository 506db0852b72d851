"""Bound label files: the working copies of labels that people edit in a file of some format.

A binding is a value of the store, so that it can be undone. What changes with every write (which
commit a file was written from, and its bytes then) is a small file in the cache: without it a file
counts as written from HEAD. Writing and reading files is the business of `voyager.formats`, which
gives the repository a `Follower`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from blake3 import blake3

from voyager.repo.dataset import Dataset
from voyager.repo.keys import KeyPattern
from voyager.repo.snapshot import SAMPLES, TASKS, TAXONOMIES

if TYPE_CHECKING:
    from voyager.repo.label_stat import Stat
    from voyager.repo.repository import Repository

BINDINGS: Final = "bindings/"
_MOST_NAME = 200


@dataclass(frozen=True, slots=True)
class Binding:
    """What a bound file holds: a format, and of which samples and task."""

    key: str
    format: str
    where: str | None = None
    task: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def as_value(self) -> dict[str, Any]:
        """How it is stored, and its JSON."""
        return {
            "format": self.format,
            "key": self.key,
            "settings": dict(self.settings),
            "task": self.task,
            "where": self.where,
        }


State = Literal["in step", "added", "edited", "gone", "stale", "unreadable", "conflict"]
UNADDED: Final = frozenset({"edited", "unreadable", "conflict"})
"""States of a file that says what is nowhere else."""
STUCK: Final = frozenset({"unreadable", "conflict"})
"""States of a file whose edits cannot be added as they are."""


@dataclass(frozen=True, slots=True)
class BoundFile:
    """How a bound file stands to HEAD and the staging area.

    `stat` counts what its edits change of what is staged; `missing` are images that it left out
    (they stay as they are); `reason` says why it cannot be read, or what else changed too.
    """

    key: str
    state: State
    stat: Stat | None = None
    missing: int = 0
    reason: str = ""


class Follower(Protocol):
    """What keeps bound files in step; a repository without bindings has none."""

    def refuse_edited(self, what: str, there: Dataset) -> None:
        """StateError when going to a version would overwrite edits that were not added."""
        ...

    def follow(self, *, force: bool = False) -> list[tuple[str, str]]:
        """Write files anew as is staged, but (without `force`) those with edits; what failed."""
        ...

    def stay(self) -> None:
        """Leave the files as they are though HEAD or staging moved: they differ from it now."""
        ...

    def look(self, keys: Iterable[str] | None = None) -> list[BoundFile]:
        """How files stand, all by default."""
        ...

    def take(self, keys: Iterable[str], *, dry_run: bool = False) -> list[BoundFile]:
        """Stage the edits of files; those that cannot be read or taken in are told as such."""
        ...

    def write(self, keys: Iterable[str], source: str | None = None) -> None:
        """Write files anew as is staged, or as a revision has it; edits are lost."""
        ...

    def view(self, version: Dataset) -> tuple[Dataset, list[tuple[str, str]]]:
        """What is staged with the edits of all files, and those that cannot be read."""
        ...


def binding_name(key: str) -> str:
    """The name of the value of a binding."""
    data = key.encode()
    plain = len(data) <= _MOST_NAME and key.isprintable()
    return BINDINGS + (key if plain else blake3(data).hexdigest())


def bindings(repo: Repository) -> dict[str, Binding]:
    """Key of the file → its binding, in order."""
    found = (Binding(**value) for value in repo.store.values(BINDINGS).values())
    return {binding.key: binding for binding in sorted(found, key=lambda binding: binding.key)}


def bound_below(repo: Repository, keys: Sequence[str] | None) -> list[str]:
    """Bound files that keys, folders or globs name; all for None."""
    known = bindings(repo)
    if keys is None:
        return list(known)
    patterns = [KeyPattern(key) for key in keys]
    return [key for key in known if any(pattern.matches(key) for pattern in patterns)]


def same_labels(a: Dataset, b: Dataset) -> bool:
    """Whether two versions say the same of all samples."""
    return all(
        a.roots.get(space) == b.roots.get(space)
        and not a.overlay_keys(space)
        and not b.overlay_keys(space)
        for space in (SAMPLES, TASKS, TAXONOMIES)
    )
