"""How much of each pack of a remote is in use, said by the indexes alone.

They have the first 8 bytes of ids: what looks like an id in use is taken for one, which keeps a
little garbage and loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voyager.remotes.catalogue import Listing, prefix_numbers
from voyager.remotes.root import Packed
from voyager.store.entry import HEADER_BYTES
from voyager.store.ids import Kind
from voyager.store.pack_use import MOST_DEAD, MOST_SMALL_PACKS, SMALL_PACK_BYTES
from voyager.store.reachable import Live

if TYPE_CHECKING:
    import numpy as np


@dataclass(slots=True)
class Use:
    """A pack of a remote; `wanted` says of each entry, in the order of the file, whether it is in
    use and in no pack before. A dictionary is never wanted for itself."""

    pack: Packed
    wanted: np.ndarray
    entries: int
    body_bytes: int
    live_bytes: int

    @property
    def live(self) -> int:
        return int(self.wanted.sum())

    @property
    def is_dead(self) -> bool:
        return not self.live_bytes

    @property
    def is_wasteful(self) -> bool:
        return self.body_bytes - self.live_bytes > MOST_DEAD * self.body_bytes

    @property
    def is_small(self) -> bool:
        return self.pack.size < SMALL_PACK_BYTES


def survey(listings: Iterable[Listing], live: Live) -> list[Use]:
    """What is in use of each pack; of twins the one in the pack that is used most counts."""
    import numpy as np

    ids = np.unique(np.concatenate([prefix_numbers(live.objects), prefix_numbers(live.blobs)]))
    claimed = np.zeros(len(ids), dtype=bool)
    uses = []
    for listing in sorted(listings, key=lambda one: (-_share(one, ids), one.pack.name)):
        prefixes, lengths, kinds = listing.columns()
        own = kinds != Kind.DICTIONARY
        place, wanted = _find(ids, prefixes)
        wanted &= own
        fresh = np.zeros(len(prefixes), dtype=bool)
        fresh[wanted] = ~claimed[place[wanted]]
        claimed[place[fresh]] = True
        sizes = lengths + np.uint64(HEADER_BYTES)
        uses.append(
            Use(
                listing.pack,
                fresh,
                int(own.sum()),
                int(sizes[own].sum()),
                int(sizes[fresh].sum()),
            )
        )
    return uses


def _share(listing: Listing, ids: np.ndarray) -> float:
    prefixes, lengths, _ = listing.columns()
    _, wanted = _find(ids, prefixes)
    return float(lengths[wanted].sum()) / max(listing.pack.size, 1)


def _find(ids: np.ndarray, prefixes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the place of each prefix among sorted ids, whether it is there)."""
    import numpy as np

    if not len(ids):
        return np.zeros(len(prefixes), dtype=np.int64), np.zeros(len(prefixes), dtype=bool)
    place = np.minimum(np.searchsorted(ids, prefixes), len(ids) - 1)
    return place, ids[place] == prefixes


def worth_rewriting(uses: Sequence[Use]) -> list[Use]:
    """Dead and wasteful packs, and the small ones of a content when there are too many."""
    chosen = [use for use in uses if use.is_dead or use.is_wasteful]
    rest = [use for use in uses if not (use.is_dead or use.is_wasteful)]
    for blobs in (False, True):
        small = [use for use in rest if use.is_small and use.pack.blobs is blobs]
        if len(small) > MOST_SMALL_PACKS:
            chosen += small
    return chosen
