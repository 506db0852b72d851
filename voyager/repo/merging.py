"""The merge that waits: a value of the store, taken by the commit that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voyager.errors import StateError
from voyager.repo.conflicts import has_conflicts
from voyager.repo.repository import Repository
from voyager.store.objectstore import Store
from voyager.store.transaction import Transaction
from voyager.wire import object_ref

MERGING: Final = "MERGING"
BISECT: Final = "BISECT"
"""A search for a commit, which waits as well (`voyager.repo.bisect`)."""
_OF_STEP: Final = ("step", "when")


@dataclass(frozen=True, slots=True)
class Merging:
    """What is being merged into HEAD.

    `kind` is merge, cherry-pick, revert, rebase or import; `heads` are the further parents of the
    commit to come, and the sides after ours; `sides` the commits whose fields `--theirs` and its
    like mean, where those are no parents (of an import ours too, which may be staged only). `more`
    is what a replay needs: `when` its commit was made (time and zone), the commits `todo`, and what
    only `voyager.merge.replay` reads.
    """

    kind: str
    heads: tuple[bytes, ...]
    message: str
    author: str | None = None
    sides: tuple[bytes, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_value(self) -> dict[str, Any]:
        """How it stands in the store."""
        return {
            "author": self.author,
            "heads": [object_ref(head) for head in self.heads],
            "kind": self.kind,
            "message": self.message,
            "more": dict(self.more),
            "sides": [object_ref(side) for side in self.sides],
        }

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Merging:
        """The merge of a stored value."""
        heads, sides = (
            tuple(bytes(ref.data) for ref in value[name]) for name in ("heads", "sides")
        )
        return cls(value["kind"], heads, value["message"], value["author"], sides, value["more"])

    @property
    def command(self) -> str:
        """The command that goes on with it, or takes it back."""
        return self.kind

    @property
    def noun(self) -> str:
        """What it is, with its article."""
        return f"{'an' if self.kind == 'import' else 'a'} {self.kind}"

    def way_on(self, *ways: str) -> str:
        """What to type to go on with it or to take it back, by such options of its command."""
        if self.kind == "import":
            return "vgr conflicts, then vgr commit; or vgr undo"
        return ", or ".join(f"vgr {self.command} --{way}" for way in ways)

    def sides_on(self, base: bytes | None) -> tuple[bytes, ...]:
        """The commits that are merged, ours first, where `base` is the one that is stood on."""
        if self.kind == "import":
            return self.sides
        ours = () if base is None else (base,)
        return (*ours, *(self.sides or self.heads))

    def parents(self, *, conflicted: bool) -> tuple[bytes, ...]:
        """The further parents of the commit to come.

        Conflicts of an import that are recorded have its edits beside them, which tell whose values
        they are.
        """
        return self.sides[1:] if self.kind == "import" and conflicted else self.heads

    @property
    def is_step(self) -> bool:
        """Whether something is staged that waits for its commit; else a replay waits to go on."""
        return bool(self.message)

    @property
    def when(self) -> tuple[int, int] | None:
        """The time and zone of the commit to come, where its author made it before."""
        when = self.more.get("when")
        return None if when is None else (int(when[0]), int(when[1]))

    @property
    def rest(self) -> Merging | None:
        """What waits once its step is committed, or given up: a replay with more to do."""
        if self.kind != "rebase" and not self.more.get("todo"):
            return None
        more = {name: value for name, value in self.more.items() if name not in _OF_STEP}
        return Merging(self.kind, (), "", more=more)


def running_merge(store: Store) -> Merging | None:
    """The merge that waits to be committed or aborted."""
    value = store.value(MERGING)
    return None if value is None else Merging.from_value(value)


def move_merging(txn: Transaction, store: Store, new: Merging | None) -> None:
    """Let another merge wait (None: none any more)."""
    old = store.value(MERGING)
    value = None if new is None else new.as_value()
    if old != value:
        txn.move(MERGING, value, old=old)


def refuse_if_merging(repo: Repository) -> None:
    """StateError while a merge waits to be committed or aborted.

    That of an import waits for nothing once its conflicts are resolved.
    """
    merging = running_merge(repo.store)
    if merging is not None and (merging.kind != "import" or has_conflicts(repo.staged())):
        hint = merging.way_on("continue", "abort")
        raise StateError(f"{merging.noun} is not finished", hint=hint)
