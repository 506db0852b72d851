"""Which vectors belong to a version or pass a filter: a bit for each vector of a view.

Every vector has a place, its number in the order in which vectors were added. Places outlive the
merging of segments, so a bit means the same vector as long as the view has the same token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.search.segment import Rows, Segment, id_words

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A segment whose rows have the places from `first` on; its index, where there is one."""

    first: int
    segment: Segment
    index: IndexFile | None = None

    @property
    def end(self) -> int:
        return self.first + self.segment.count


@dataclass(frozen=True, slots=True)
class IndexFile:
    """The approximate index of a segment: its checksum, and how many lists a search looks at."""

    checksum: bytes
    probes: int


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """All segments at one time; stays readable when their files are deleted.

    Views with the same token agree on every place that both have.
    """

    token: bytes
    parts: tuple[Placed, ...] = ()

    @property
    def size(self) -> int:
        """The number of places."""
        return self.parts[-1].end if self.parts else 0

    def find(self, ids: Sequence[bytes]) -> Rows:
        """The place of each id, -1 where it has no vector."""
        asked = id_words(ids)
        places = np.full(len(asked), -1, np.int64)
        for part in self.parts:
            rows = part.segment.find(asked)
            here = rows >= 0
            places[here] = rows[here] + part.first
        return places

    def ids_at(self, places: Rows) -> list[bytes]:
        """The ids of sorted places."""
        ids: list[bytes] = []
        for part, rows in self.split(places):
            ids += part.segment.ids_at(rows)
        return ids

    def split(self, places: Rows) -> Iterator[tuple[Placed, Rows]]:
        """Sorted places by segment, as rows of it; segments without any are left out."""
        bounds = np.searchsorted(places, [part.first for part in self.parts] + [self.size])
        for part, start, end in zip(self.parts, bounds, bounds[1:], strict=False):
            if start < end:
                yield part, places[start:end] - part.first


class Membership:
    """A set of vectors; `&`, `|` and `-` combine two."""

    def __init__(self, view: View, mask: Mask) -> None:
        self.view = view
        self.mask = mask if len(mask) == view.size else _lengthened(mask, view.size)

    @classmethod
    def of(cls, view: View, places: Rows) -> Membership:
        """The vectors at these places."""
        mask = np.zeros(view.size, bool)
        mask[places] = True
        return cls(view, mask)

    @cached_property
    def count(self) -> int:
        return int(np.count_nonzero(self.mask))

    def __len__(self) -> int:
        return self.count

    @cached_property
    def places(self) -> Rows:
        """The places of all members, in order."""
        return np.flatnonzero(self.mask)

    @cached_property
    def digest(self) -> bytes:
        """Names this set of vectors."""
        return blake3(self.view.token + np.packbits(self.mask).tobytes()).digest()

    def ids(self) -> list[bytes]:
        """The ids of all members, in the order of their places."""
        return self.view.ids_at(self.places)

    def without_segment(self, name: str) -> Membership:
        """Those that are not in a segment."""
        mask = self.mask.copy()
        for part in self.view.parts:
            if part.segment.name == name:
                mask[part.first : part.end] = False
        return Membership(self.view, mask)

    def __contains__(self, vector_id: bytes) -> bool:
        place = int(self.view.find([vector_id])[0])
        return place >= 0 and bool(self.mask[place])

    def __and__(self, other: Membership) -> Membership:
        view, ours, theirs = self._side_by_side(other)
        return Membership(view, ours & theirs)

    def __or__(self, other: Membership) -> Membership:
        view, ours, theirs = self._side_by_side(other)
        return Membership(view, ours | theirs)

    def __sub__(self, other: Membership) -> Membership:
        view, ours, theirs = self._side_by_side(other)
        return Membership(view, ours & ~theirs)

    def _side_by_side(self, other: Membership) -> tuple[View, Mask, Mask]:
        view, theirs = self.view, other.mask
        if other.view.token == view.token:
            if other.view.size > view.size:
                view = other.view
        else:  # the store was emptied in between: only ids still mean the same
            places = view.find(other.ids())
            theirs = Membership.of(view, places[places >= 0]).mask
        return view, _lengthened(self.mask, view.size), _lengthened(theirs, view.size)


def _lengthened(mask: Mask, size: int) -> Mask:
    return mask if len(mask) == size else np.concatenate([mask, np.zeros(size - len(mask), bool)])
