"""How many samples and regions have each class, by split, and how evenly splits share them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from voyager.curate.columns import ANSWERED, GIVEN, REGIONS, SAMPLES, Columns, Pairs
from voyager.curate.figures import Balance, ClassCount, Counts, Scope, TaskCount
from voyager.repo.table_units import IMAGE_CLASSES, node_of
from voyager.schema.taxonomy import NodeId, Taxonomy
from voyager.schema.vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.signedinteger[Any]]

_SCOPES: Final[tuple[tuple[Scope, str, str], ...]] = (
    ("image", SAMPLES, IMAGE_CLASSES),
    ("region", REGIONS, "classes"),
)


class Splits(NamedTuple):
    """The splits, and that of each sample and region by its place."""

    names: tuple[str | None, ...]
    of_samples: Ints
    of_regions: Ints

    def of(self, scope: Scope) -> Ints:
        return self.of_samples if scope == "image" else self.of_regions

    def counts(self, scope: Scope, rows: Any = slice(None)) -> Counts:
        """How many of some rows are in each split."""
        import numpy as np

        return tuple(np.bincount(self.of(scope)[rows], minlength=len(self.names)).tolist())


class Classes(NamedTuple):
    """The classes of a task as a tree: ids in its order, the place of each class in it.

    `above` has for each class its place and those of the classes above it.
    """

    task: str
    nodes: list[NodeId]
    paths: list[str]
    depths: list[int]
    places: dict[NodeId, int]
    above: list[list[int]]


def iter_tasks(columns: Columns, splits: Splits, only: str | None = None) -> Iterator[TaskCount]:
    """The tasks in the order of their names, once for images and once for regions."""
    vocabulary = columns.version.vocabulary
    given = {scope: columns.pairs(table, GIVEN) for scope, table, _ in _SCOPES}
    said = {word[1:] for pairs in given.values() for word in _used(pairs)}
    for task in sorted({*vocabulary.tasks, *said} if only is None else {only}):
        found = [_task_count(columns, splits, task, scope, given[scope]) for scope, _, _ in _SCOPES]
        heard = [one for one in found if sum(one.answered) + sum(one.disagree)]
        known = vocabulary.tasks.get(task)
        narrow = known is not None and known.scope != "both"
        wanted = [one for one in found if known is not None and known.scope == one.of]
        yield from wanted if narrow else heard or found[:1]


def _used(pairs: Pairs) -> list[str]:
    import numpy as np

    counts = np.bincount(pairs.codes, minlength=len(pairs.words)).tolist()
    return [word for word, count in zip(pairs.words, counts, strict=True) if count]


def _task_count(
    columns: Columns, splits: Splits, task: str, scope: Scope, given: Pairs
) -> TaskCount:
    known = columns.version.vocabulary.tasks.get(task)
    asked = _asked(columns, task, scope)
    counts = []
    for mark in (ANSWERED, "?"):
        rows = _rows_of(given, mark + task)
        counts.append(splits.counts(scope, rows if asked is None else rows[asked[rows]]))
    all_asked = splits.counts(scope) if asked is None else splits.counts(scope, asked)
    kind = "category" if known is None else known.kind
    return TaskCount(task, scope, kind, known is not None and known.many, all_asked, *counts)


def _rows_of(pairs: Pairs, word: str) -> Ints:
    import numpy as np

    if word not in pairs.words:
        return np.zeros(0, np.int64)
    found: Ints = pairs.rows[pairs.codes == pairs.words.index(word)]
    return found


def _asked(columns: Columns, task: str, scope: Scope) -> NDArray[Any] | None:
    """Of each row whether the task is asked of it; None where it is asked of all.

    A task that applies to a class is asked of what has that class or one below it.
    """
    import numpy as np

    vocabulary = columns.version.vocabulary
    known = vocabulary.tasks.get(task)
    if known is None or known.applies_to is None:
        return None
    _, table, name = next(one for one in _SCOPES if one[0] == scope)
    pairs = columns.pairs(table, name)
    wide = [
        code
        for code, word in enumerate(pairs.words)
        if (said := node_of(word)) is not None and known.applies_to in _upwards(vocabulary, *said)
    ]
    asked = np.zeros(columns.samples if scope == "image" else columns.regions, bool)
    asked[pairs.rows[np.isin(pairs.codes, wide)]] = True
    return asked


def _upwards(vocabulary: Vocabulary, task: str, node: NodeId) -> list[NodeId]:
    taxonomy = vocabulary.taxonomy_of(task)
    live = None if taxonomy is None else taxonomy.live(node)
    return [] if taxonomy is None or live is None else [live, *taxonomy.above(live)]


# -- classes --------------------------------------------------------------------------------------


def iter_classes(
    columns: Columns, splits: Splits, tasks: Sequence[TaskCount]
) -> Iterator[ClassCount]:
    """The classes of every task, each tree from its top, those that nobody has too."""
    pairs = {scope: columns.pairs(table, name) for scope, table, name in _SCOPES}
    for task in dict.fromkeys(one.task for one in tasks if one.kind == "category"):
        answers = {one.of: sum(one.answered) for one in tasks if one.task == task}
        of: Scope = max(answers, key=lambda scope: answers[scope])
        yield from _classes_of(columns, splits, task, of, pairs)


def _classes_of(
    columns: Columns, splits: Splits, task: str, of: Scope, pairs: dict[Scope, Pairs]
) -> Iterator[ClassCount]:
    import numpy as np

    said = [
        node_of(word)
        for one in pairs.values()
        for word in _used(one)
        if word.startswith(f"n{task}\0")
    ]
    classes = class_tree(columns.version.vocabulary, task, [node for _, node in filter(None, said)])
    images, regions = (_placed(one, classes, columns) for one in pairs.values())
    rows = np.concatenate([images[0], columns.owners[regions[0]]])
    places = np.concatenate([images[1], regions[1]])
    counted = [
        *_count(rows, places, classes, splits.of_samples, len(splits.names)),
        *_count(*regions, classes, splits.of_regions, len(splits.names)),
    ]
    samples, samples_below, in_regions, regions_below = (one.T.tolist() for one in counted)
    for at, node in enumerate(classes.nodes):
        yield ClassCount(
            task,
            classes.paths[at],
            node.hex(),
            classes.depths[at],
            of,
            tuple(samples[at]),
            tuple(in_regions[at]),
            tuple(samples_below[at]),
            tuple(regions_below[at]),
        )


def class_tree(vocabulary: Vocabulary, task: str, said: Sequence[NodeId]) -> Classes:
    """The classes of a task, and after them those that are said and that nobody knows."""
    taxonomy = vocabulary.taxonomy_of(task)
    nodes = [] if taxonomy is None else list(_walk(taxonomy, None))
    places = {node: at for at, node in enumerate(nodes)}
    for node in dict.fromkeys(said):
        if _live(taxonomy, node) not in places:
            places[node] = len(nodes)
            nodes.append(node)
    above = [
        [at, *(places[one] for one in _above(taxonomy, node) if one in places)]
        for at, node in enumerate(nodes)
    ]
    paths = [vocabulary.told(task, node) for node in nodes]
    return Classes(task, nodes, paths, [len(one) for one in above], places, above)


def _walk(taxonomy: Taxonomy, parent: NodeId | None) -> Iterator[NodeId]:
    for node in taxonomy.children(parent):
        yield node
        yield from _walk(taxonomy, node)


def _live(taxonomy: Taxonomy | None, node: NodeId) -> NodeId:
    found = None if taxonomy is None else taxonomy.live(node)
    return node if found is None else found


def _above(taxonomy: Taxonomy | None, node: NodeId) -> list[NodeId]:
    return taxonomy.above(node) if taxonomy is not None and node in taxonomy else []


def _placed(pairs: Pairs, classes: Classes, columns: Columns) -> tuple[Ints, Ints]:
    """(row, place of the class) of what is said for a task, in the order of rows."""
    import numpy as np

    taxonomy = columns.version.vocabulary.taxonomy_of(classes.task)
    of_code = np.full(len(pairs.words), -1, np.int64)
    for code, word in enumerate(pairs.words):
        said = node_of(word)
        if said is not None and said[0] == classes.task:
            of_code[code] = classes.places.get(_live(taxonomy, said[1]), -1)
    if not len(of_code):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = of_code[pairs.codes]
    known = places >= 0
    return (pairs.rows, places) if known.all() else (pairs.rows[known], places[known])


def _count(
    rows: Ints, places: Ints, classes: Classes, splits: Ints, kinds: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows by split and class: with exactly the class, and with it or one below it."""
    import numpy as np

    size = len(classes.nodes)
    rows, places = _distinct(rows, places, size)
    own = _by_split(rows, places, size, splits, kinds)
    if all(len(one) == 1 for one in classes.above):
        return own, own
    if len(rows) < 2 or bool((np.diff(rows) > 0).all()):  # no row has two classes
        below = np.zeros_like(own)
        for at, above in enumerate(classes.above):
            below[:, above] += own[:, [at]]
        return own, below
    sizes = np.array([len(one) for one in classes.above])
    flat = np.array([place for one in classes.above for place in one])
    firsts = np.cumsum(sizes) - sizes
    wide = sizes[places]
    within = np.arange(wide.sum()) - np.repeat(np.cumsum(wide) - wide, wide)
    above_places = flat[np.repeat(firsts[places], wide) + within]
    found = _distinct(np.repeat(rows, wide), above_places, size)
    return own, _by_split(*found, size, splits, kinds)


def _distinct(rows: Ints, places: Ints, size: int) -> tuple[Ints, Ints]:
    """Each pair once, in order."""
    import numpy as np

    keys = rows.astype(np.int64) * max(size, 1) + places
    if len(keys) < 2 or bool((np.diff(keys) > 0).all()):
        return rows, places
    keys.sort()  # np.unique hashes numbers, and takes 50 times as long for these
    keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return keys // size, keys % size


def _by_split(rows: Ints, places: Ints, size: int, splits: Ints, kinds: int) -> NDArray[Any]:
    import numpy as np

    found = np.bincount(splits[rows] * size + places, minlength=kinds * size)
    return found.reshape(kinds, size)


# -- balance --------------------------------------------------------------------------------------


def iter_balance(classes: Sequence[ClassCount], splits: Splits) -> Iterator[Balance]:
    """How far each split is from the whole, for every task; nothing where there is one split."""
    import numpy as np

    if len(splits.names) < 2:
        return
    for task in dict.fromkeys(one.task for one in classes):
        counts = np.array([one.own for one in classes if one.task == task], float).T
        whole, answers = counts.sum(axis=0), counts.sum(axis=1)
        for name, mine, total in zip(splits.names, counts, answers, strict=True):
            if total:
                apart = float(np.abs(mine / total - whole / whole.sum()).sum() / 2)
                yield Balance(task, name, int(total), apart)
