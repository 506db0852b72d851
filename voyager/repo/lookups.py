"""From a uid to its key, and from a region to the links that lead to it, in one version.

Links are stored where they start. This is the reverse map: one pass over the version that decodes
only ids and links, kept in memory with the `Dataset` (`Dataset.lookups`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta, Struct, field
from msgspec.msgpack import Decoder

from voyager.repo.snapshot import SAMPLES
from voyager.store import bulk

if TYPE_CHECKING:
    from voyager.repo.dataset import Dataset

_Id = Annotated[bytes, Meta(min_length=16, max_length=16)]


class _Link(Struct, gc=False):
    kind: str = field(name="k")
    region: _Id = field(name="r")
    uid: _Id = field(name="u")


class _Region(Struct, gc=False):
    id: _Id = field(name="i")
    links: tuple[_Link, ...] = field(default=(), name="k")


class _Row(Struct, gc=False):
    """What this map needs of a sample's row (spec 9.3)."""

    uid: _Id = field(name="u")
    regions: tuple[_Region, ...] = field(default=(), name="r")


class Linked(NamedTuple):
    """A link as seen from its far end: where it starts, and its kind."""

    key: str
    region: bytes
    kind: str


class Lookups:
    """The reverse maps of a version."""

    def __init__(self, version: Dataset) -> None:
        self._version = version
        self._keys: dict[bytes, str] = {}
        self._links: dict[tuple[bytes, bytes], list[Linked]] = {}
        decode = Decoder(_Row).decode
        with bulk.paused_gc():
            for name, row in version.rows(SAMPLES):
                self._note(name.decode(), decode(row))

    def _note(self, key: str, row: _Row) -> None:
        self._keys[row.uid] = key
        for region in row.regions:
            for link in region.links:
                far = self._links.setdefault((link.uid, link.region), [])
                far.append(Linked(key, region.id, link.kind))

    def key_of(self, uid: bytes) -> str | None:
        """The key of a sample, None when no sample has the uid."""
        return self._keys.get(uid)

    def has_region(self, uid: bytes, region: bytes) -> bool:
        """Whether a sample of the version has a region: whether a link to it leads somewhere."""
        key = self._keys.get(uid)
        return key is not None and any(known.id == region for known in self._version[key].regions)

    def links_to(self, uid: bytes, region: bytes) -> list[Linked]:
        """Where links to a region start, in key order."""
        return self._links.get((uid, region), [])
