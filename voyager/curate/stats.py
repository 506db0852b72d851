"""Statistics of a version: what is in it, how it is spread over splits, and what deserves a look.

Made of the columns that `repo/table_*` keeps, so that a million samples take seconds once they were
asked before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from voyager.curate.class_counts import Splits, iter_balance, iter_classes, iter_tasks
from voyager.curate.columns import COVERAGE, REGIONS, SAID, SAMPLES, Coded, Columns, Pairs
from voyager.curate.figures import CoverageCount, Measure, Split, Stats
from voyager.curate.measures import PIXELS, Shapes, iter_measures, measured
from voyager.curate.notes import Pixels, iter_notes
from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.table_building import Progress
from voyager.repo.table_units import node_of
from voyager.schema.sample import parse_coverage_key
from voyager.store.bulk import paused_gc

if TYPE_CHECKING:
    import pyarrow as pa

    from voyager.derived.cache import DerivedCache

_FIRST_SPLITS: Final = ("train", "val", "test")
_MOST_SIZES: Final = 10


class _Images(NamedTuple):
    """The images that are stored: ids in hex, each once, and how many samples repeat one."""

    ids: pa.Array
    repeated: int


def stats(
    version: Dataset,
    *,
    keys: Collection[str] | None = None,
    task: str | None = None,
    split: str | None = None,
    derived: DerivedCache | None = None,
    progress: Progress = lambda *_: None,
) -> Stats:
    """The statistics of a version, or of some samples; NotFoundError for an unknown task or split.

    With `derived` also of pixels, as far as they are known. MissingExtraError without pyarrow.
    """
    if task is not None and task not in version.vocabulary.tasks:
        known = ", ".join(sorted(version.vocabulary.tasks))
        raise NotFoundError(f"no task '{task}'", hint=f"there are {known}" if known else None)
    with paused_gc():
        columns = Columns(version, keys=keys, split=split, progress=progress)
        if split is not None and not columns.samples:
            raise NotFoundError(
                f"no sample is in split '{split}'", hint="vgr stats lists the splits"
            )
        return _stats(columns, task, derived)


def _stats(columns: Columns, task: str | None, derived: DerivedCache | None) -> Stats:
    splits = _splits(columns)
    tasks = tuple(iter_tasks(columns, splits, task))
    classes = tuple(iter_classes(columns, splits, tasks))
    shapes = Shapes(columns)
    images = _images(columns)
    pixels = None if derived is None else _pixels(derived, images)
    said = _said(columns)
    found = Stats(
        samples=columns.samples,
        regions=columns.regions,
        labels=said.total(),
        bytes=_total(columns, "bytes"),
        splits=_split_sizes(splits),
        states=_states(columns),
        types=columns.coded(SAMPLES, "type").counts(),
        sizes=_sizes(shapes),
        geometries=shapes.kinds.counts(),
        flags=_listed(columns.pairs(REGIONS, "flags")),
        region_sources=columns.coded(REGIONS, "source").counts(),
        region_states=columns.region_states.counts(),
        label_sources=_part(said, 0),
        label_states=_part(said, 1),
        repeated=images.repeated,
        tasks=tasks,
        classes=classes,
        balance=tuple(iter_balance(classes, splits)),
        coverage=tuple(_iter_coverage(columns, task)),
        measures=(*iter_measures(shapes), *_iter_pixel_measures(pixels)),
        pixels=None if pixels is None else len(pixels.ids),
        images=len(images.ids),
    )
    return found.with_notes(tuple(iter_notes(found, columns, shapes, splits, pixels)))


# -- samples --------------------------------------------------------------------------------------


def _splits(columns: Columns) -> Splits:
    """The splits that are used: train, val and test first, samples in none last."""
    import numpy as np

    found = columns.coded(SAMPLES, "split")
    used = found.counts().keys()
    order = {name: place for place, name in enumerate(_FIRST_SPLITS)}
    names: list[str | None] = [*sorted(used, key=lambda name: (order.get(name, len(order)), name))]
    if not names or bool((found.codes < 0).any()):
        names.append(None)
    places = np.array(
        [names.index(word) if word in used else -1 for word in found.words] + [len(names) - 1]
    )
    of_samples = places[found.codes]  # -1, no split, is the last of them
    return Splits(tuple(names), of_samples, of_samples[columns.owners])


def _split_sizes(splits: Splits) -> tuple[Split, ...]:
    counts = zip(splits.names, splits.counts("image"), splits.counts("region"), strict=True)
    return tuple(Split(*one) for one in counts)


def _states(columns: Columns) -> dict[str, int]:
    """stored, pending, purged, and of all of them held and conflicted."""
    found = columns.coded(SAMPLES, "state").counts()
    held = int((columns.coded(SAMPLES, "held").codes >= 0).sum())
    extra = {"held": held, "conflicted": columns.conflicted()}
    return {**found, **{name: count for name, count in extra.items() if count}}


def _total(columns: Columns, name: str) -> int:
    import numpy as np

    return int(np.nansum(columns.numbers(SAMPLES, name)))


def _sizes(shapes: Shapes) -> dict[str, int]:
    """`640×480` → how many images are of that size, the most frequent first."""
    import numpy as np

    sound = (shapes.width > 0) & (shapes.height > 0)
    wide, high = (side[sound].astype(np.int64) for side in (shapes.width, shapes.height))
    if not len(wide):
        return {}
    unit = int(high.max()) + 1
    found, counts = np.unique(wide * unit + high, return_counts=True)
    order = np.lexsort((found, -counts))[:_MOST_SIZES]
    return {f"{found[at] // unit}×{found[at] % unit}": int(counts[at]) for at in order}


def _images(columns: Columns) -> _Images:
    import pyarrow.compute as pc

    blobs = columns.blobs()
    ids = pc.unique(blobs.drop_null())
    return _Images(ids, len(blobs) - blobs.null_count - len(ids))


# -- what is said ---------------------------------------------------------------------------------


def _said(columns: Columns) -> Counter[str]:
    """`SOURCE STATE` → how many labels, of images and of regions."""
    found: Counter[str] = Counter()
    for table in (SAMPLES, REGIONS):
        found.update(_listed(columns.pairs(table, SAID)))
    return found


def _part(said: Mapping[str, int], part: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for text, count in said.items():
        found[text.rpartition(" ")[2 * part]] += count
    return dict(found.most_common())


def _listed(pairs: Pairs) -> dict[str, int]:
    return Coded(pairs.codes, pairs.words).counts()


def _iter_coverage(columns: Columns, only: str | None) -> Iterator[CoverageCount]:
    """Coverage and negatives of every task, and of its classes, of which anything is said."""
    levels: dict[tuple[str, bytes | None], Counter[str]] = {}
    for word, count in _listed(columns.pairs(SAMPLES, COVERAGE)).items():
        level, _, name = word.partition(" ")
        levels.setdefault(parse_coverage_key(name), Counter())[level] += count
    negatives: Counter[tuple[str, bytes | None]] = Counter()
    for word, count in _listed(columns.pairs(SAMPLES, "negatives")).items():
        said = node_of(word)
        if said is not None:
            negatives[said[0], None] += count
    vocabulary = columns.version.vocabulary
    for key in sorted({*levels, *negatives}, key=lambda key: (key[0], key[1] or b"")):
        task, node = key
        if only is not None and task != only:
            continue
        found = levels.get(key, Counter())
        path = None if node is None else vocabulary.told(task, node)
        unknown = columns.samples - found.total()
        said_not = negatives[key]
        yield CoverageCount(task, path, found["exhaustive"], found["partial"], unknown, said_not)


# -- pixels ---------------------------------------------------------------------------------------


def _pixels(derived: DerivedCache, images: _Images) -> Pixels:
    """What is known of the pixels of these images; computes nothing."""
    from voyager.derived.registry import method_of
    from voyager.derived.statistics import table

    method = method_of("statistics")
    if not any(
        (kept.name, kept.version) == (method.name, method.version) for kept in derived.kept()
    ):
        return Pixels([], None)
    known = derived.known(method, map(bytes.fromhex, images.ids.to_pylist()))
    return Pixels(known.ids, table(known.matrix) if known.ids else None)


def _iter_pixel_measures(pixels: Pixels | None) -> Iterator[Measure]:
    if pixels is None or pixels.values is None:
        return
    for name, ranges in PIXELS.items():
        yield measured(name, "image", pixels.values[name].astype(float), ranges)
