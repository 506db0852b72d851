"""The columns of a version that statistics are made of, as numpy arrays.

Texts are codes into words, lists are pairs of a row and a code. Where only some samples are looked
at, rows are those of these samples; regions that were rejected are no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from voyager.repo.dataset import Dataset
from voyager.repo.table_answers import Answered, Labels, read_labels
from voyager.repo.table_building import Progress
from voyager.repo.table_coding import innermost
from voyager.repo.table_units import IMAGE_CLASSES, ROWS, NeutralAnswers, Unit, unit_of
from voyager.repo.table_view import TableView
from voyager.repo.tables import needs_arrow
from voyager.schema.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.signedinteger[Any]]
    Floats: TypeAlias = NDArray[np.float64]

SAMPLES, REGIONS = "samples", "regions"
ANSWERED, TIED = "=", "?"
"""First letters of a given answer: the name of its task follows."""

_TEXTS: Final = "VARCHAR[]"
_OF_SAMPLES: Final = (
    *("key", "split", "state", "blob", "type", "width", "height", "bytes", "orientation"),
    *("held", "negatives", IMAGE_CLASSES),
)
_OF_REGIONS: Final = (
    *(ROWS, "geometry", "x0", "y0", "x1", "y1", "area", "flags", "source", "state", "classes"),
)
_REJECTED: Final = "rejected"


class Coded(NamedTuple):
    """A text for each row, as codes; -1 where there is none."""

    codes: Ints
    words: list[str]

    def counts(self) -> dict[str, int]:
        """Word → how many rows have it, the most frequent first."""
        import numpy as np

        found = np.bincount(self.codes[self.codes >= 0], minlength=len(self.words)).tolist()
        said = [(word, count) for word, count in zip(self.words, found, strict=True) if count]
        return dict(sorted(said, key=lambda item: (-item[1], item[0])))


class Pairs(NamedTuple):
    """Texts of rows that may have several, as (row, code), in the order of rows."""

    rows: Ints
    codes: Ints
    words: list[str]


class Columns:
    """Columns of the samples of a version and of their regions.

    `keys` and `split` say which samples are looked at; `places` are their places in the version.
    """

    def __init__(
        self,
        version: Dataset,
        *,
        keys: Collection[str] | None = None,
        split: str | None = None,
        progress: Progress = lambda *_: None,
    ) -> None:
        needs_arrow()
        self.version = version
        self._view = TableView(version)
        self._units = _units(version.vocabulary)
        answers = NeutralAnswers(version.vocabulary)
        self._view.frame.fetch(list(self._units.values()), answers, progress)
        self._keep = self._kept_samples(keys, split)
        self._pairs: dict[tuple[str, str], Pairs] = {}

    # -- which rows --------------------------------------------------------------------------------

    def _kept_samples(self, keys: Collection[str] | None, split: str | None) -> NDArray[Any] | None:
        """Of each sample whether it is looked at; None where all are."""
        import pyarrow as pa
        import pyarrow.compute as pc

        keep = None
        if keys is not None:
            known = pa.array(sorted(keys), pa.string())
            keep = pc.is_in(self._view.column(SAMPLES, "key"), value_set=known).to_numpy(False)
        if split is not None:
            found = _coded(self._view.column(SAMPLES, "split"))
            wanted = found.words.index(split) if split in found.words else -2
            mine = found.codes == wanted
            keep = mine if keep is None else keep & mine
        return keep

    @cached_property
    def samples(self) -> int:
        """How many samples are looked at."""
        return len(self._view.frame) if self._keep is None else int(self._keep.sum())

    @cached_property
    def owners(self) -> Ints:
        """The row of each region's sample."""
        return self._owners_of_all if self._heard is None else self._owners_of_all[self._heard]

    @cached_property
    def regions(self) -> int:
        return len(self.owners)

    @cached_property
    def _places(self) -> Ints:
        """The row of each region's sample among all samples."""
        found: Ints = self._view.places(REGIONS).to_numpy()
        return found

    @cached_property
    def _mine(self) -> NDArray[Any] | None:
        """Of each region whether its sample is looked at."""
        return None if self._keep is None else self._keep[self._places]

    @cached_property
    def _owners_of_all(self) -> Ints:
        import numpy as np

        if self._keep is None or self._mine is None:
            return self._places
        renumbered: Ints = (np.cumsum(self._keep) - 1)[self._places[self._mine]]
        return renumbered

    @cached_property
    def region_states(self) -> Coded:
        """The state of each region of the samples, the rejected too."""
        found = _coded(self._view.column(REGIONS, "state"))
        return found if self._mine is None else found._replace(codes=found.codes[self._mine])

    @cached_property
    def _heard(self) -> NDArray[Any] | None:
        """Of these regions which are not rejected; None where none is."""
        states = self.region_states
        if _REJECTED not in states.words:
            return None
        kept: NDArray[Any] = states.codes != states.words.index(_REJECTED)
        return None if bool(kept.all()) else kept

    def _cut(self, table: str, array: NDArray[Any]) -> NDArray[Any]:
        """Of a value for each row of a table those that are rows here."""
        for mask in (self._keep,) if table == SAMPLES else (self._mine, self._heard):
            array = array if mask is None else array[mask]
        return array

    # -- values ------------------------------------------------------------------------------------

    def numbers(self, table: str, name: str) -> Floats:
        """A number for each row, NaN where there is none."""
        found = self._view.column(table, name).to_numpy(zero_copy_only=False)
        return self._cut(table, found).astype("float64", copy=False)

    def coded(self, table: str, name: str) -> Coded:
        """A text for each row."""
        found = _coded(self._view.column(table, name))
        return found._replace(codes=self._cut(table, found.codes))

    def pairs(self, table: str, name: str) -> Pairs:
        """The texts of each row that has a list of them."""
        found = self._pairs.get((table, name))
        if found is None:
            found = self._pairs[table, name] = self._make_pairs(table, name)
        return found

    def _make_pairs(self, table: str, name: str) -> Pairs:
        import numpy as np

        kept = self._view.frame.column(self._units[table, name])
        lists = kept.entries if table == SAMPLES else kept.entries.values
        counts = np.diff(lists.offsets.to_numpy())
        codes = innermost(lists).to_numpy()
        words = [] if kept.words is None else kept.words.to_pylist()
        rows = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        whole = np.ones(len(counts), bool)
        for mask in (self._keep,) if table == SAMPLES else (self._mine, self._heard):
            if mask is not None:
                whole[whole] = mask
        if whole.all():
            return Pairs(rows, codes, words)
        said = whole[rows]
        return Pairs((np.cumsum(whole, dtype=np.int32) - 1)[rows[said]], codes[said], words)

    def keys(self, rows: Sequence[int]) -> list[str]:
        """The keys of some samples."""
        return self._texts("key", rows)

    def blobs(self) -> pa.Array:
        """The id of each sample's image in hex, null where it is not stored."""
        import pyarrow as pa

        found = self._view.column(SAMPLES, "blob")
        return found if self._keep is None else found.filter(pa.array(self._keep))

    def conflicted(self) -> int:
        """How many samples a merge left in conflict."""
        return int(
            self._cut(SAMPLES, self._view.column(SAMPLES, "conflicted").to_numpy(False)).sum()
        )

    def _texts(self, name: str, rows: Sequence[int]) -> list[str]:
        import numpy as np
        import pyarrow as pa

        places = list(rows) if self._keep is None else np.flatnonzero(self._keep)[list(rows)]
        found: list[str] = (
            self._view.column(SAMPLES, name).take(pa.array(places, pa.int64())).to_pylist()
        )
        return found


def _coded(array: Any) -> Coded:
    import pyarrow as pa

    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Coded(codes, array.dictionary.to_pylist())


# -- what is kept of rows for statistics alone -----------------------------------------------------

GIVEN, SAID, COVERAGE = "stats given", "stats said", "stats coverage"
"""Lists of texts: tasks with an answer or a tie, (source, state) of every label, coverage."""


def _units(vocabulary: Vocabulary) -> dict[tuple[str, str], Unit]:
    """(table, name) → what is kept of it."""
    found = {(SAMPLES, name): unit_of(SAMPLES, name, vocabulary) for name in _OF_SAMPLES}
    found |= {(REGIONS, name): unit_of(REGIONS, name, vocabulary) for name in _OF_REGIONS}
    facet = found[REGIONS, "classes"].facet  # how tasks are answered
    for table, labels in ((SAMPLES, "labels"), (REGIONS, "regions.labels")):
        found[table, GIVEN] = Unit(table, GIVEN, _TEXTS, _given, (labels,), facet)
    found[SAMPLES, SAID] = Unit(SAMPLES, SAID, _TEXTS, _said_of_images, ("labels",))
    found[REGIONS, SAID] = Unit(REGIONS, SAID, _TEXTS, _said_of_regions, ("regions.labels",))
    found[SAMPLES, COVERAGE] = Unit(SAMPLES, COVERAGE, _TEXTS, _coverage, ("coverage",))
    return found


def _given(rows: Any) -> Any:
    def texts(answered: Sequence[Answered]) -> list[list[str]]:
        return [
            [(ANSWERED if found.labels else TIED) + task for task, found in one.given]
            for one in answered
        ]

    return rows.spread(texts, _TEXTS)


def _said_of_images(rows: Any) -> list[list[str]]:
    return _said([sample.labels for sample in rows.samples])


def _said_of_regions(rows: Any) -> list[list[str]]:
    return _said([region.labels for region in rows.regions])


def _said(all_labels: Sequence[Labels]) -> list[list[str]]:
    """`SOURCE STATE` of every label."""
    known: dict[bytes, list[str]] = {}
    found = []
    for labels in all_labels:
        if isinstance(labels, (tuple, list)):
            found.append(_voices(labels))
            continue
        data = bytes(labels)  # type: ignore[arg-type]
        if data not in known:
            known[data] = _voices(labels)
        found.append(known[data])
    return found


def _voices(labels: Labels) -> list[str]:
    return [f"{label.source} {label.state}" for label in read_labels(labels)]


def _coverage(rows: Any) -> list[list[str]]:
    """`LEVEL TASK` or `LEVEL TASK:NODE`."""
    return [
        [f"{level} {name}" for name, level in sample.coverage.items()] for sample in rows.samples
    ]
