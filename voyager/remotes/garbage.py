"""Deleting what a remote names no more, and since when it does not.

A note `unlisted/…` lists the packs that a collection took out of the catalogue; the server dates
it. What a note younger than the grace period names stays, for readers that read the root before.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from blake3 import blake3

from voyager.errors import CorruptError, NotFoundError, RemoteError
from voyager.remotes.base import Listed, Storage
from voyager.remotes.probe import PROBES
from voyager.remotes.root import Packed, decode_segment, encode_segment, segment_path

NOTES = "unlisted/"
DERIVED = "derived/"
"""A cache of its own (`derived`), which a collection leaves alone."""
_FOLDERS = ("packs/", "catalogue/", PROBES, NOTES)
_AT_ONCE = 500


class Due(NamedTuple):
    """What may be deleted now, and what is garbage but has to wait."""

    gone: list[Listed]
    waiting: list[Listed]


def list_all(storage: Storage) -> dict[str, Listed]:
    """All that the storage keeps of a remote, but for the root."""
    return {each.name: each for each in storage.list("") if each.name.startswith(_FOLDERS)}


def time_there(storage: Storage) -> float | None:
    """What the clock of the server says; None where a listing does not tell."""
    name = PROBES + os.urandom(16).hex()
    storage.put(name, b"")
    try:
        return next((each.modified for each in storage.list(PROBES) if each.name == name), None)
    finally:
        with contextlib.suppress(RemoteError):
            storage.delete([name])


def time_here() -> float:
    """What the own clock says, for those who write nothing."""
    return time.time()


def note_unlisted(storage: Storage, packs: Iterable[Packed], gc: int) -> None:
    """Let others know that these packs leave the catalogue now."""
    segment, data = encode_segment(packs, gc=gc)
    storage.put(f"{NOTES}{segment.hex()}-{os.urandom(4).hex()}", data)


def find_due(
    storage: Storage,
    there: dict[str, Listed],
    packs: Iterable[Packed],
    segments: Iterable[bytes],
    *,
    before: float,
    left: Iterable[str] = (),
) -> Due:
    """What is named by nothing and was written before a time; what `left` the root just now waits
    as well."""
    named = {*names_of(packs), *map(segment_path, segments)}
    young = {*left, *_noted_since(storage, there, before)}
    due = Due([], [])
    for name, each in there.items():
        if name in named:
            continue
        if each.modified >= before or name in young:
            if name.startswith("packs/"):
                due.waiting.append(each)
        else:
            due.gone.append(each)
    return due


def _noted_since(storage: Storage, there: dict[str, Listed], before: float) -> Iterator[str]:
    """The names of packs that left the catalogue since a time."""
    for name, each in there.items():
        if not name.startswith(NOTES) or each.modified < before:
            continue
        try:
            data = storage.get(name)
            yield from names_of(decode_segment(blake3(data).digest(), data))
        except (NotFoundError, CorruptError):
            continue


def names_of(packs: Iterable[Packed]) -> Iterator[str]:
    """The names of packs and of their indexes."""
    for pack in packs:
        yield from (pack.pack_path, pack.index_path)


def delete(storage: Storage, gone: Iterable[Listed]) -> None:
    """Delete garbage: packs first, the notes of them last."""
    names = sorted((each.name for each in gone), key=lambda name: name.startswith(NOTES))
    for start in range(0, len(names), _AT_ONCE):
        storage.delete(names[start : start + _AT_ONCE])
