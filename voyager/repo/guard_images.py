"""What the guard looks at of a sample: its image and split, not what is said of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any, NamedTuple

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema.guard import GuardPolicy
from voyager.schema.partial import partial_decoder
from voyager.wire import encode

_DECLARED = re.compile("blake3:([0-9a-f]{64})")
_DISTANCE = b"\xa1d\xcb"
"""The first field of `held`, a float64; hardly another row has these bytes (spec 9.3)."""
_LOOKED_AT = ("uid", "image.blob", "image.hash", "split", "group.id", "held.kind")


class Seen(NamedTuple):
    """One sample as the guard sees it.

    `blob` is the id of the image's bytes, also of an image that is not here where its row declares
    it; None where nobody knows it. `held` is the kind of what it is held for.
    """

    key: str
    uid: bytes
    blob: bytes | None
    split: str | None
    group: str | None
    held: str | None
    stored: bool


def seen_of(key: bytes, row: bytes) -> Seen:
    """What a row says, without its labels."""
    sample = _decoder()(row)
    image, group, held = sample.image, sample.group, sample.held
    stored = image.blob is not None
    return Seen(
        key.decode(),
        sample.uid,
        bytes(image.blob.data) if stored else _declared(image.hash),
        sample.split,
        None if group is None else group.id,
        None if held is None else held.kind,
        stored,
    )


@cache
def _decoder() -> Callable[[bytes], Any]:
    return partial_decoder(_LOOKED_AT)


def _declared(text: str | None) -> bytes | None:
    """The blob that a declared hash names, where blobs are known by such hashes."""
    found = _DECLARED.fullmatch(text or "")
    return None if found is None else bytes.fromhex(found[1])


class SplitTest:
    """Tells rows of protected splits from others, most of them without decoding any."""

    def __init__(self, policy: GuardPolicy) -> None:
        self.splits = policy.protected
        self._needles = tuple(encode("s") + encode(split) for split in self.splits)

    def may_be_protected(self, row: bytes) -> bool:
        """Whether a row may be of a protected split; False is certain."""
        for needle in self._needles:  # a generator costs more than the search
            if needle in row:
                return True
        return False


def may_hold(row: bytes) -> bool:
    """Whether the sample of a row may be held; False is certain."""
    return _DISTANCE in row


def images_with(version: Dataset, blobs: Collection[bytes]) -> Iterator[Seen]:
    """The samples of a version with one of these images: a pass over all rows."""
    if not blobs:
        return
    decode = partial_decoder(("image.blob", "image.hash"))
    for key, row in version.rows(SAMPLES):
        image = decode(row).image
        blob = _declared(image.hash) if image.blob is None else image.blob.data
        if blob in blobs:
            yield seen_of(key, row)


def members_of(version: Dataset, groups: Collection[str]) -> Iterator[Seen]:
    """The samples of some groups: a pass over all rows, of which most are not decoded."""
    needles = [encode(group) for group in groups]
    for key, row in version.rows(SAMPLES) if needles else ():
        if any(needle in row for needle in needles):
            seen = seen_of(key, row)
            if seen.group in groups:
                yield seen
