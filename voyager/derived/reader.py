"""Values of one method, read one by one from its file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voyager.derived.value_file import ValueFile


class Reader:
    """Random access to values by id; holds where they are and not what they are.

    A value that turns out to be damaged is as one that is not there: `DerivedCache.compute` makes
    it again. Reading goes on when the file is deleted or replaced meanwhile, and after a fork.
    """

    def __init__(self, file: ValueFile) -> None:
        self._file = file

    def get(self, image_id: bytes) -> bytes | None:
        """The value of one image, None where there is none."""
        entries = self._file.find([image_id])
        return self.value(int(entries[0])) if entries[0] >= 0 else None

    def places(self, ids: Sequence[bytes]) -> NDArray[np.int64]:
        """Numbers by which `value` reads without looking up ids again, -1 where nothing is known.

        They hold as long as this reader.
        """
        return self._file.find(ids)

    def value(self, place: int) -> bytes | None:
        """The value at a place that is not -1, None where the image has none."""
        return self._file.value(place)
