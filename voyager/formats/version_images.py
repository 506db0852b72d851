"""The images of a version by key: a few looked up one by one, many read in one pass.

A source names its images in an order of its own, and every look-up in that order would read a node
of the tree again.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final

from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Image, decode_sample
from voyager.schema.partial import partial_decoder

_FEW: Final = 64


class VersionImages:
    """Looks up images of a version."""

    def __init__(self, version: Dataset) -> None:
        self._version = version
        self._asked = 0

    @cached_property
    def all(self) -> dict[str, Image]:
        """Every key with its image, in key order."""
        decode = partial_decoder(["image"])
        return {name.decode(): decode(row).image for name, row in self._version.rows(SAMPLES)}

    def get(self, key: str) -> Image | None:
        """The image of the sample at a key, None where there is no sample."""
        self._asked += 1
        if self._asked > _FEW or "all" in vars(self):
            return self.all.get(key)
        row = self._version.row(SAMPLES, key.encode())
        return None if row is None else decode_sample(row).image

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None
