"""Columns as they are kept: an entry for each sample, and texts as codes into a list of words.

Rows of other tables than `samples` are lists in the entry of their sample, so that every column of
every table is patched alike: entries are cut out and others put in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

_SPARE_WORDS = 1000


class Kept(NamedTuple):
    """A column: its entries, and the words behind their codes; None where it holds no codes."""

    entries: pa.Array
    words: pa.Array | None = None


class Piece(NamedTuple):
    """Some entries in a row, of the old column or of the new one."""

    fresh: bool
    start: int
    stop: int


def innermost(array: pa.Array) -> pa.Array:
    """The values in lists of lists; of any other array itself."""
    import pyarrow as pa

    while pa.types.is_list(array.type):
        array = array.values
    return array


def rewrapped(array: pa.Array, values: pa.Array) -> pa.Array:
    """The same lists with other values in them."""
    import pyarrow as pa

    if not pa.types.is_list(array.type):
        return values
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(array.offsets, rewrapped(array.values, values), mask=mask)


def listed(values: pa.Array, counts: NDArray[Any]) -> pa.Array:
    """A list for each sample, of so many values each."""
    import numpy as np
    import pyarrow as pa

    ends = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=ends[1:])
    return pa.ListArray.from_arrays(pa.array(ends), values)


class Coder:
    """Texts to codes, one array after the other."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def encode(self, array: pa.Array) -> pa.Array:
        """The array with the codes of its texts instead of them."""
        import pyarrow as pa

        found = innermost(array).dictionary_encode()
        known = self._codes
        codes = [known.setdefault(word, len(known)) for word in found.dictionary.to_pylist()]
        return rewrapped(array, pa.array(codes, pa.int32()).take(found.indices))

    @property
    def words(self) -> pa.Array:
        import pyarrow as pa

        return pa.array(list(self._codes), pa.string())


def patched(base: Kept, fresh: Kept, pieces: Sequence[Piece]) -> Kept:
    """The column that these pieces of both make, in their order."""
    import pyarrow as pa

    entries, words = fresh
    if words is not None:
        assert base.words is not None
        entries, words = _recoded(fresh, base.words)
    sources = (base.entries, entries)
    parts = [sources[piece.fresh].slice(piece.start, piece.stop - piece.start) for piece in pieces]
    # Two of them at least: one alone would be given back as it is, cut out of something longer.
    return _compacted(Kept(pa.concat_arrays([*parts, *(s.slice(0, 0) for s in sources)]), words))


def _recoded(column: Kept, known: pa.Array) -> Kept:
    """The column in codes of the known words and of those that it adds to them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    assert column.words is not None
    found = pc.index_in(column.words, value_set=known)
    new = column.words.filter(found.is_null())
    codes = found.to_numpy(zero_copy_only=False).copy()
    codes[found.is_null().to_numpy(zero_copy_only=False)] = range(len(known), len(known) + len(new))
    renamed = pa.array(codes.astype("int32")).take(innermost(column.entries))
    return Kept(rewrapped(column.entries, renamed), pa.concat_arrays([known, new]))


def _compacted(column: Kept) -> Kept:
    """The column without words that nothing says, where they are many."""
    if column.words is None:
        return column
    codes = innermost(column.entries)
    if len(column.words) <= 2 * len(codes) + _SPARE_WORDS:
        return column
    import numpy as np
    import pyarrow as pa

    used = used_codes(column)
    places = np.zeros(len(column.words), np.int32)
    places[used] = np.arange(len(used), dtype=np.int32)
    renamed = pa.array(places).take(codes)
    return Kept(rewrapped(column.entries, renamed), column.words.take(pa.array(used)))


def used_codes(column: Kept) -> NDArray[Any]:
    """The codes that some entry has, in order."""
    import numpy as np

    assert column.words is not None
    codes = innermost(column.entries).drop_null().to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(column.words))
    return np.flatnonzero(counts)


def decoded(array: pa.Array) -> pa.Array:
    """The array with plain texts, where it has dictionaries or lists and structs of them."""
    import pyarrow as pa

    if pa.types.is_dictionary(array.type):
        return array.dictionary.take(array.indices)
    if pa.types.is_struct(array.type):
        parts = [decoded(array.field(at)) for at in range(array.type.num_fields)]
        names = [field.name for field in array.type]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, names, mask=mask)
    if pa.types.is_list(array.type):
        return rewrapped(array, decoded(innermost(array)))
    return array


def as_dictionary(column: Kept) -> pa.Array:
    """The column as one Arrow array: its codes and words are a dictionary."""
    import pyarrow as pa

    if column.words is None:
        return column.entries
    codes = innermost(column.entries)
    return rewrapped(column.entries, pa.DictionaryArray.from_arrays(codes, column.words))


def from_dictionary(array: pa.Array) -> Kept:
    """The column that `as_dictionary` gave."""
    import pyarrow as pa

    values = innermost(array)
    if not pa.types.is_dictionary(values.type):
        return Kept(array)
    return Kept(rewrapped(array, values.indices), values.dictionary)
