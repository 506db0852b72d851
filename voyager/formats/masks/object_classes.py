"""The table of an export that says which class the file of an object is of."""

from __future__ import annotations

import csv
import io
from typing import Final

from voyager.errors import InvalidDataError

OBJECTS: Final = "objects.csv"
"""Its name: rows of a mask's path and the name of its class (empty: none)."""

HEAD: Final = ("mask", "class")


def read_objects(text: str, path: str) -> dict[str, str]:
    """Mask file → class name."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: dict[str, str] = {}
    try:
        for row in rows:
            if not row or tuple(row) == HEAD:
                continue
            if len(row) != len(HEAD):
                raise InvalidDataError("expected mask,class", path=path, line=rows.line_num)
            found[row[0]] = row[1]
    except csv.Error as error:
        raise InvalidDataError(f"not CSV: {error}", path=path, line=rows.line_num) from None
    return found
