"""How a search is done, and the words that say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voyager.search.membership import Membership

APPROXIMATE_FROM: Final = 50_000
"""Members of a segment from which on its index is used; fewer are compared in a few ms."""

_GATHERED_SHARE: Final = 8
"""Up to one member in so many vectors, those of members are laid side by side when asked again."""
_GATHERED_AT_ONCE: Final = 32
"""Up to one in so many, at once: to scan past the others costs more."""


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


def gathers(members: Membership, *, was_asked: bool) -> bool:
    """Whether to lay the vectors of members side by side rather than to scan all as they lie."""
    share = _GATHERED_SHARE if was_asked else _GATHERED_AT_ONCE
    return members.count * share <= members.view.size
