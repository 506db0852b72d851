"""Tags that come by themselves: those of commits that come with a branch, or are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from voyager.errors import CorruptError, InvalidDataError
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.closure import peel_tag
from voyager.remotes.incoming import Incoming
from voyager.remotes.partial import Gatherer
from voyager.remotes.ranged import RangedReader
from voyager.remotes.root import Packed
from voyager.store.history import iter_history
from voyager.store.ids import Kind
from voyager.store.pack import Content


def follow_tags(
    incoming: Incoming,
    catalogue: Catalogue,
    packs: Iterable[Packed],
    tags: Mapping[str, bytes],
    tips: Iterable[bytes],
) -> dict[str, bytes]:
    """Those of some tags of a remote, by full name, that mean commits which the tips reach.

    Tag objects that are in none of `packs` nor here are passed over; the others come in.
    """
    _bring_tags(incoming, catalogue, packs, tags.values())
    meant: dict[bytes, list[str]] = {}
    for name, tag in tags.items():
        with suppress(CorruptError, InvalidDataError):  # what it means did not come
            meant.setdefault(peel_tag(incoming, tag), []).append(name)
    found: dict[str, bytes] = {}
    if meant:
        for commit_id, _ in iter_history(incoming, list(tips)):
            found.update((name, tags[name]) for name in meant.pop(commit_id, ()))
            if not meant:
                break
    return found


def _bring_tags(
    incoming: Incoming, catalogue: Catalogue, packs: Iterable[Packed], ids: Iterable[bytes]
) -> None:
    """Let those come in that are tag objects, and no commits."""
    wanted = set(ids)
    wanted -= incoming.present(wanted)
    if not wanted:
        return
    reader = RangedReader(catalogue, catalogue.listings([one for one in packs if not one.blobs]))
    places = reader.find(wanted)
    tags = sorted(one for one, place in places.items() if place.kind == Kind.TAG)
    gatherer = Gatherer(incoming, Content.METADATA)
    try:
        for entry in reader.read(tags):
            gatherer.put(entry)
        gatherer.seal()
    finally:
        gatherer.discard()
