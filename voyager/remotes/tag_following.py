"""Tags and runs that come by themselves: of commits that come with a branch, or are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from voyager.errors import CorruptError, InvalidDataError
from voyager.remotes.catalogue import Catalogue
from voyager.remotes.incoming import Incoming
from voyager.remotes.partial import Gatherer
from voyager.remotes.ranged import RangedReader
from voyager.remotes.root import Packed
from voyager.store.history import iter_history, read_tag
from voyager.store.ids import Kind
from voyager.store.pack import Content
from voyager.store.runs import check_run


def follow_tags(
    incoming: Incoming,
    catalogue: Catalogue,
    packs: Iterable[Packed],
    tags: Mapping[str, bytes],
    tips: Iterable[bytes],
) -> dict[str, bytes]:
    """Those of some tags and runs of a remote, by full name, whose commits the tips reach.

    Their objects that are in none of `packs` nor here are passed over; the others come in, though
    not what else a run needs.
    """
    _bring_tags(incoming, catalogue, packs, tags.values())
    meant: dict[bytes, list[str]] = {}
    for name, tag in tags.items():
        with suppress(CorruptError, InvalidDataError):  # what it means did not come
            meant.setdefault(_commit_of(incoming, tag), []).append(name)
    found: dict[str, bytes] = {}
    if meant:
        for commit_id, _ in iter_history(incoming, list(tips)):
            found.update((name, tags[name]) for name in meant.pop(commit_id, ()))
            if not meant:
                break
    return found


def _commit_of(incoming: Incoming, tip: bytes) -> bytes:
    """The commit that a tag marks or a run was trained on."""
    kind, data = incoming.get_any(tip)
    while kind is not Kind.COMMIT:
        if kind is Kind.RUN:
            tip = bytes(check_run(data).commit.data)
        elif kind is Kind.TAG:
            tip = bytes(read_tag(incoming, tip).target.data)
        else:
            raise CorruptError(f"{tip.hex()} is a {kind.label}, expected a commit")
        kind, data = incoming.get_any(tip)
    return tip


def _bring_tags(
    incoming: Incoming, catalogue: Catalogue, packs: Iterable[Packed], ids: Iterable[bytes]
) -> None:
    """Let those come in that are tags and runs, and no commits."""
    wanted = set(ids)
    wanted -= incoming.present(wanted)
    if not wanted:
        return
    reader = RangedReader(catalogue, catalogue.listings([one for one in packs if not one.blobs]))
    places = reader.find(wanted)
    kinds = (Kind.TAG, Kind.RUN)
    tags = sorted(one for one, place in places.items() if place.kind in kinds)
    gatherer = Gatherer(incoming, Content.METADATA)
    try:
        for entry in reader.read(tags):
            gatherer.put(entry)
        gatherer.seal()
    finally:
        gatherer.discard()
