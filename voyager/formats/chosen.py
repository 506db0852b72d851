"""The samples of a version that an export takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice

from voyager.repo.dataset import Dataset
from voyager.repo.keys import KeyPattern
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Sample, decode_sample


class Chosen:
    """Samples in key order: those that `where` and `keys` name, else all; walked as often as asked.

    `count` tells how many they are where that is known beforehand; then they can be walked from
    one place to another.
    """

    def __init__(
        self, version: Dataset, where: str | None = None, keys: Sequence[str] = ()
    ) -> None:
        self._version = version
        self._where = where
        self._keys = list(keys)
        self.count = None if where is not None or keys else version.count(SAMPLES)

    def walk(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, Sample]]:
        """(key, sample) of all, or of those between two places."""
        if self._where is not None:
            return ((key, self._version[key]) for key in self._named)
        if self._keys:
            patterns = [KeyPattern(key) for key in self._keys]
            return (
                (key, sample)
                for key, sample in self._version.items()
                if any(pattern.matches(key) for pattern in patterns)
            )
        if not start and stop is None:
            return self._version.items()
        first = self._version.nth(start)[0].encode() if start else b""
        rows = islice(self._version.rows(SAMPLES, first), None if stop is None else stop - start)
        return ((key.decode(), decode_sample(row)) for key, row in rows)

    @cached_property
    def _named(self) -> list[str]:
        from voyager.repo.where import keys_where

        assert self._where is not None
        return keys_where(self._version, self._where, patterns=self._keys or None)
