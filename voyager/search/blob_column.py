"""Which samples have which images, out of the columns that are kept of a large version."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from voyager.repo.dataset import Dataset

if TYPE_CHECKING:
    import pyarrow as pa

_MANY: Final = 50_000
"""Samples from which on columns that are kept are quicker to look into than rows."""


def has_column(version: Dataset) -> bool:
    """Whether a version is large enough for columns, and they can be read."""
    return len(version) >= _MANY and find_spec("pyarrow") is not None


def holders_in_column(version: Dataset, blobs: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
    """(image, key) of the samples that have one of some images, in key order."""
    found = _among(version, "blob", [blob.hex() for blob in blobs])
    for blob, key in zip(*(found[name].to_pylist() for name in ("blob", "key")), strict=True):
        yield bytes.fromhex(blob), key


def images_in_column(version: Dataset, keys: Collection[str]) -> list[bytes]:
    """The images of the samples at some keys, each once."""
    found = _among(version, "key", list(keys))["blob"].unique().drop_null()
    return [bytes.fromhex(blob) for blob in found.to_pylist()]


def _among(version: Dataset, name: str, values: list[str]) -> pa.Table:
    """(blob, key) of the samples whose column has one of some values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = version.tables.read("samples", ["blob", "key"])
    return table.filter(pc.is_in(table[name], value_set=pa.array(values, pa.string())))
