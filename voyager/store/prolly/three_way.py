"""What two maps changed since a third, the ground that a merge stands on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from voyager.store.objects import ObjectReader
from voyager.store.prolly.diff import iter_differing


class Change3(NamedTuple):
    """A key whose rows are not the same on all sides; None is no row."""

    key: bytes
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


def three_way(objects: ObjectReader, base: bytes, ours: bytes, theirs: bytes) -> Iterator[Change3]:
    """Yield every key that `ours` or `theirs` has otherwise than `base`, in key order.

    The cost follows the number of such keys. Raises CorruptError for missing or broken nodes.
    """
    for key, rows in iter_differing(objects, [base, ours, theirs]):
        yield Change3(key, *rows)
