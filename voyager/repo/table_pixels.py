"""The table `pixels`: what is known of each sample's pixels, out of the cache of derived values."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from voyager.repo.layout import derived_folder
from voyager.repo.table_frame import store_of
from voyager.repo.table_types import arrow_type
from voyager.repo.table_view import TableView, ViewColumn

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from voyager.derived.cache import Values


class PixelColumn(NamedTuple):
    """A column: `method` is the derived value that it is of, None for what a sample has itself."""

    name: str
    type: str
    about: str
    method: str | None = None


PIXEL_COLUMNS: Final = (
    PixelColumn("key", "VARCHAR", "the key of the sample"),
    PixelColumn("uid", "VARCHAR", "the id of the sample, in hex"),
    PixelColumn("brightness", "DOUBLE", "mean luma, 0 to 1", "statistics"),
    PixelColumn("contrast", "DOUBLE", "standard deviation of luma, 0 to 0.5", "statistics"),
    PixelColumn("sharpness", "DOUBLE", "variance of the Laplacian; blurred is tens", "statistics"),
    PixelColumn("colourfulness", "DOUBLE", "0 of greys, 109 is extreme", "statistics"),
    PixelColumn("entropy", "DOUBLE", "of the histogram of luma, 0 to 8 bits", "statistics"),
    PixelColumn("aspect", "DOUBLE", "width / height, upright", "statistics"),
    PixelColumn("type", "VARCHAR", "what the file is by its header", "probe"),
    PixelColumn("width", "BIGINT", "of the stored image, by its header", "probe"),
    PixelColumn("height", "BIGINT", "of the stored image, by its header", "probe"),
    PixelColumn("orientation", "BIGINT", "as in EXIF, 1 is upright", "probe"),
    PixelColumn("sound", "BOOLEAN", "whether the header has no problem", "probe"),
    PixelColumn("pixel_hash", "VARCHAR", "the same for the same pixels, in hex", "pixels"),
    PixelColumn("phash", "VARCHAR", "perceptual hash of 256 bits, in hex", "phash"),
    PixelColumn("phash_quality", "BIGINT", "0 of one colour, 255 of much detail", "phash"),
)
"""What is null where the value is not derived: `vgr derive METHOD` makes it."""


class PixelTable:
    """A row for each sample of a version, in the order of keys; computes nothing.

    Of a version in memory nothing is known.
    """

    def __init__(self, samples: TableView) -> None:
        self._samples = samples
        self._store = store_of(samples.version)

    def columns(self, *, with_meta: bool) -> list[ViewColumn]:
        return [ViewColumn(column.name, column.type) for column in PIXEL_COLUMNS]

    def read(self, names: Collection[str]) -> tuple[int, list[pa.Array]]:
        of = {column.name: column for column in PIXEL_COLUMNS}
        own = [name for name in names if of[name].method is None]
        self._samples.fetch({"samples": [*own, "blob"]})
        made: dict[str, Callable[[str], pa.Array]] = {}
        columns = []
        for name in names:
            method = of[name].method
            if method is None:
                columns.append(self._samples.column("samples", name))
                continue
            if method not in made:
                made[method] = self._values(method)
            columns.append(made[method](name))
        return self._samples.rows("samples"), columns

    def _values(self, name: str) -> Callable[[str], pa.Array]:
        """From a column's name to its values, a row for each sample, of one method."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from voyager.derived.cache import DerivedCache
        from voyager.derived.registry import METHODS

        types = {column.name: arrow_type(column.type) for column in PIXEL_COLUMNS}
        if self._store is None:
            return lambda column: pa.nulls(self._samples.rows("samples"), types[column])
        blobs = self._samples.column("samples", "blob").cast(pa.string())
        ids = map(bytes.fromhex, pc.unique(blobs.drop_null()).to_pylist())
        known = DerivedCache(derived_folder(self._store.root)).known(METHODS[name], ids)
        value_set = pa.array([one.hex() for one in known.ids], pa.string())
        places = pc.index_in(blobs, value_set=value_set)
        read = _READ[name](known)
        return lambda column: read(column).cast(types[column]).take(places)


def _statistics(known: Values) -> Callable[[str], pa.Array]:
    from voyager.derived.statistics import table

    return _fields(table(known.matrix))


def _headers(known: Values) -> Callable[[str], pa.Array]:
    import numpy as np
    import pyarrow as pa

    from voyager.derived.headers import TYPES, table

    rows = table(known.matrix)
    fields = _fields(rows)

    def column(name: str) -> pa.Array:
        if name == "type":
            return pa.array(np.array(TYPES, object)[rows["type"]], pa.string())
        return fields(name)

    return column


def _fields(rows: NDArray[np.void]) -> Callable[[str], pa.Array]:
    import pyarrow as pa

    return lambda name: pa.array(rows[name])


def _hex(known: Values) -> Callable[[str], pa.Array]:
    return lambda _: _texts(known.matrix)


def _perceptual_hashes(known: Values) -> Callable[[str], pa.Array]:
    import pyarrow as pa

    from voyager.derived.perceptual_hash import HASH_BYTES

    def column(name: str) -> pa.Array:
        if name == "phash":
            return _texts(known.matrix[:, :HASH_BYTES])
        return pa.array(known.matrix[:, HASH_BYTES])

    return column


def _texts(rows: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array([row.tobytes().hex() for row in rows], pa.string())


_READ: Final[dict[str, Callable[[Values], Callable[[str], pa.Array]]]] = {
    "statistics": _statistics,
    "probe": _headers,
    "pixels": _hex,
    "phash": _perceptual_hashes,
}
"""Method → from its values to columns of them, a row for each value."""
