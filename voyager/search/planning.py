"""How a search is done, and the words that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voyager.search.approximate import has_faiss
from voyager.search.exact import Memory
from voyager.search.membership import Membership

APPROXIMATE_FROM: Final = 50_000
"""Members of a segment from which on its index is used; fewer are compared in a few ms."""

_GATHERED_SHARE: Final = 8
"""Up to one member in so many vectors, gathering them is quicker than to compare with all."""
_GATHERED_AT_ONCE: Final = 1 << 10
"""So few members are gathered when they are first asked for, more when asked for again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a search did: so many of all members were compared exactly, the others by lists."""

    members: int
    vectors: int
    exact: int
    gathered: bool = False
    lists: int = 0
    lost: int = 0
    """Members of segments that turned out damaged; they can be added again."""

    @property
    def kind(self) -> str:
        return "exact" if self.exact == self.members - self.lost else "approximate"

    def __str__(self) -> str:
        of = f"{self.members:,} of {self.vectors:,} vectors"
        if self.kind == "exact":
            words = f"exact over {of}" + (", gathered" if self.gathered else "")
        else:
            words = f"approximate over {of}, {self.lists:,} lists read"
            words += f", {self.exact:,} exactly" if self.exact else ""
        return words + (f"; {self.lost:,} lost in damaged files" if self.lost else "")

    def as_dict(self) -> dict[str, object]:
        """The shape that `--json` prints."""
        return {
            "kind": self.kind,
            "members": self.members,
            "vectors": self.vectors,
            "exact": self.exact,
            "lists": self.lists,
            "words": str(self),
        }


def gathers(members: Membership, memory: Memory) -> bool:
    """Whether to gather members rather than to scan the vectors as they lie."""
    if memory.has_gathered(members):
        return True
    if members.count * _GATHERED_SHARE > members.view.size:
        return members.count <= _GATHERED_AT_ONCE // _GATHERED_SHARE
    asked_before = memory.was_asked(members)
    return asked_before or members.count <= _GATHERED_AT_ONCE or not has_faiss()
