"""Names of regions: `KEY#REGION` apart, and REGION found among the regions of a sample.

REGION is the beginning of the region's id in hex, at least four digits that no other region of the
sample begins with; or its place in the order that `show` has, from 1: `#3` (up to three digits) or
`##3` (any number); or `*` for every region.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from voyager.errors import NotFoundError, UsageError
from voyager.schema import Region, Sample

MIN_PREFIX = 4
"""The fewest hex digits that name a region; fewer are a place."""

EVERY = "*"

_REGION = re.compile(r"#?[0-9]+|[0-9a-f]+|\*")
_CANDIDATES = 5


class RegionName(NamedTuple):
    """A key, folder or glob, and which of its regions (None: the sample itself)."""

    key: str
    region: str | None = None


def parse_region_name(text: str, is_key: Callable[[str], bool]) -> RegionName:
    """`KEY#REGION` apart; an existing key wins over a cut at the last `#`.

    UsageError for a REGION that cannot be one, where nothing has the whole text for its key.
    """
    if "#" not in text or is_key(text):
        return RegionName(text)
    key, _, region = text.rpartition("#")
    if key.endswith("#") and not is_key(key):
        key, region = key[:-1], f"#{region}"
    if not _REGION.fullmatch(region.lower()):
        raise UsageError(
            f"there is no key '{text}', and '{region}' is no region: digits of its id, its number, "
            "or * for all",
            hint="vgr show KEY numbers the regions of a sample",
        )
    if not key or key.endswith("/"):  # as of KEY '#1' in two words: nobody means every sample
        raise UsageError(f"'#{region}' is of no sample", hint=f"KEY#{region}, without a space")
    return RegionName(key, region.lower())


def find_regions(key: str, sample: Sample, text: str) -> tuple[Region, ...]:
    """The regions of a sample that REGION names: one, or all of them for `*`.

    NotFoundError when there is none, UsageError for digits that several ids begin with.
    """
    if text == EVERY:
        return sample.regions
    place = text.removeprefix("#")
    if place != text or (len(text) < MIN_PREFIX and text.isdecimal()):
        return (_at_place(key, sample, int(place)),)
    if len(text) < MIN_PREFIX:
        raise UsageError(
            f"'{text}' is too short for the id of a region: {MIN_PREFIX} digits at least",
            hint=f"vgr show {key}",
        )
    return (_with_prefix(key, sample, text),)


def _at_place(key: str, sample: Sample, place: int) -> Region:
    if not 1 <= place <= len(sample.regions):
        count = len(sample.regions) or "no"
        plural = "" if count == 1 else "s"
        message = f"'{key}' has no region #{place}: it has {count} region{plural}"
        raise NotFoundError(message, hint=f"vgr show {key}")
    return sample.regions[place - 1]


def _with_prefix(key: str, sample: Sample, prefix: str) -> Region:
    found = [region for region in sample.regions if region.id.hex().startswith(prefix)]
    if not found:
        raise NotFoundError(f"'{key}' has no region {prefix}", hint=f"vgr show {key}")
    if len(found) > 1:
        names = [region.id.hex()[: len(prefix) + 4] for region in found[:_CANDIDATES]]
        more = ", …" if len(found) > _CANDIDATES else ""
        raise UsageError(
            f"'{prefix}' begins the ids of {len(found)} regions of '{key}': "
            f"{', '.join(names)}{more}",
            hint=f"{key}#{found[0].id.hex()}",
        )
    return found[0]
