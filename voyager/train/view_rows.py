"""Building a view from the tables of a version, column by column."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.tables import Tables
from voyager.schema.partial import partial_decoder
from voyager.schema.sample import coverage_key
from voyager.schema.vocabulary import Vocabulary
from voyager.store.bulk import paused_gc
from voyager.train.view import Question, Scope, Target, View, check_tasks, joined_keys
from voyager.train.view_columns import coded, from_hex, numbers, truths, with_answers
from voyager.train.view_sources import NO_VOICE, answering_labels, sources_of

if TYPE_CHECKING:
    import pyarrow as pa

_OF_SAMPLES: Final = (
    *("key", "uid", "split", "state", "blob", "width", "height"),
    *("orientation", "held", "conflicted", "answers"),
)
_OF_REGIONS: Final = (*("key", "region", "x0", "y0", "x1", "y1", "flags", "state", "answers"),)
_NOT_ONE_THING: Final = ("crowd", "ignore")
"""Flags of regions that are not the picture of one thing."""
_LOOKED: Final = ("exhaustive", "partial")
"""Coverages that say how far it was looked."""

Mask = NDArray[np.bool_]


def build_view(version: Dataset, question: Question, *, progress: Progress) -> View:
    """The view of a version; UsageError for tasks that it has no answers to."""
    tasks = check_tasks(version, question.tasks)
    tables = Tables(version, progress=progress)
    with paused_gc():
        samples = with_answers(tables, "samples", _OF_SAMPLES)
        scope = question.scope or _scope(version, tasks, samples)
        chosen = _chosen(version, question, samples)
        skipped: dict[str, int] = {}
        usable = chosen & ~_unusable(samples, chosen, skipped)
        if scope == "image":
            rows, of_sample = samples.select(["answers"]), np.arange(samples.num_rows)
            keep = usable
        else:
            rows = with_answers(tables, "regions", _OF_REGIONS)
            of_sample = _sample_of(samples, rows)
            keep = usable[of_sample]
            keep &= ~_no_thing(rows, keep, skipped)
        said = answering_labels(tables, tasks) if question.sources else None
    found = _Rows(tasks, samples, rows, of_sample, keep, skipped, said)
    return _view(version, question, scope, found)


class _Rows:
    """The rows of the view among those of the tables, before they are cut down."""

    def __init__(
        self,
        tasks: Sequence[str],
        samples: pa.Table,
        rows: pa.Table,
        of_sample: NDArray[np.int64],
        keep: Mask,
        skipped: dict[str, int],
        said: pa.Table | None,
    ) -> None:
        self.tasks = tasks
        self.samples = samples
        self.rows = rows
        self.of_sample = of_sample
        self.keep = keep
        self.skipped = skipped
        self.said = said


def _view(version: Dataset, question: Question, scope: Scope, found: _Rows) -> View:
    places = np.flatnonzero(found.keep)
    targets = [_target(version, question, task, scope, found, places) for task in found.tasks]
    if not question.unlabeled:
        answered = np.any([target.answered() for target in targets], axis=0)
        if not answered.any():
            _refuse(version, question, found.tasks, scope)
        _count(found.skipped, "unlabeled", int((~answered).sum()))
        places = places[answered]
        targets = [_only(target, answered) for target in targets]
    of_sample = found.of_sample[places]
    samples = found.samples.take(of_sample)
    ends, keys = joined_keys([key.encode() for key in samples["key"].to_pylist()])
    regions = found.rows.take(places) if scope == "region" else None
    sources: NDArray[np.int16] | None = None
    names: tuple[str, ...] = ()
    if found.said is not None:
        sources, names = sources_of(found.said, samples, regions)
    assert version.commit is not None
    return View(
        commit=version.commit,
        scope=scope,
        split=question.split,
        blobs=from_hex(samples["blob"], 32),
        uids=from_hex(samples["uid"], 16),
        sizes=np.stack([numbers(samples[name]) for name in ("width", "height")], axis=1).astype(
            np.int32
        ),
        orientations=numbers(samples["orientation"]).astype(np.uint8),
        key_ends=ends,
        key_bytes=keys,
        regions=None if regions is None else from_hex(regions["region"], 16),
        boxes=None
        if regions is None
        else np.stack([numbers(regions[name]) for name in ("x0", "y0", "x1", "y1")], axis=1).astype(
            np.float32
        ),
        targets={target.task: target for target in targets},
        skipped=found.skipped,
        sources=sources,
        source_names=names,
    )


# -- which rows ------------------------------------------------------------------------------------


def _chosen(version: Dataset, question: Question, samples: pa.Table) -> Mask:
    """The samples that the question is about."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = np.ones(samples.num_rows, np.bool_)
    if question.split is not None:
        chosen &= truths(pc.equal(samples["split"], question.split))
    if question.without:
        chosen &= ~truths(pc.is_in(samples["split"].cast(pa.string()), pa.array(question.without)))
    if question.where is not None:
        from voyager.repo.where import keys_where

        keys = pa.array(keys_where(version, question.where), pa.string())
        chosen &= truths(pc.is_in(samples["key"].cast(pa.string()), value_set=keys))
    if not chosen.any():
        splits = sorted({str(name) for name in pc.unique(samples["split"]).to_pylist() if name})
        _refuse_none(question, splits)
    return chosen


def _refuse_none(question: Question, splits: Sequence[str]) -> NoReturn:
    """No sample is asked about: the split is none of those, or the condition holds for none."""
    if question.split is not None and question.split not in splits:
        listed = f"; there are {', '.join(splits)}" if splits else ", nor any other split"
        near = get_close_matches(question.split, splits, 1)
        hint = f"did you mean '{near[0]}'?" if near else "vgr split --ratios 80/10/10"
        raise UsageError(f"no samples in split '{question.split}'{listed}", hint=hint)
    inside = "" if question.split is None else f" in split '{question.split}'"
    where = "" if question.where is None else f" where {question.where}"
    raise UsageError(f"no samples{inside}{where}", hint="vgr stats")


def _unusable(samples: pa.Table, chosen: Mask, skipped: dict[str, int]) -> Mask:
    """Samples without an image to train on, or that are in doubt; each counted under one reason."""
    import pyarrow.compute as pc

    state = samples["state"]
    without = np.zeros(samples.num_rows, np.bool_)
    for reason, found in (
        ("purged", pc.equal(state, "purged")),
        ("pending", pc.equal(state, "pending")),
        ("held", pc.is_valid(samples["held"])),
        ("conflicted", samples["conflicted"]),
        ("not an image", pc.is_null(samples["width"])),
    ):
        mask = truths(found) & chosen & ~without
        _count(skipped, reason, int(mask.sum()))
        without |= mask
    return without


def _no_thing(regions: pa.Table, chosen: Mask, skipped: dict[str, int]) -> Mask:
    """Regions that show no one thing, or that nobody has accepted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    without = np.zeros(regions.num_rows, np.bool_)
    flags = regions["flags"].combine_chunks()
    listed = pc.is_in(flags.flatten().cast(pa.string()), value_set=pa.array(_NOT_ONE_THING))
    crowd = np.zeros(regions.num_rows, np.bool_)
    crowd[np.asarray(pc.list_parent_indices(flags))[truths(listed)]] = True
    width, height = (
        numbers(regions[high]) - numbers(regions[low]) for low, high in (("x0", "x1"), ("y0", "y1"))
    )
    voiceless = pc.is_in(regions["state"].cast(pa.string()), value_set=pa.array(NO_VOICE))
    for reason, mask in (
        ("crowd", crowd),
        ("empty", ~((width > 0) & (height > 0))),
        ("proposed", truths(voiceless)),
    ):
        found = mask & chosen & ~without
        _count(skipped, reason, int(found.sum()))
        without |= found
    return without


def _count(skipped: dict[str, int], reason: str, count: int) -> None:
    if count:
        skipped[reason] = count


def _sample_of(samples: pa.Table, regions: pa.Table) -> NDArray[np.int64]:
    """The place of each region's sample; both tables are in the order of keys."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(
        regions["key"].cast(pa.string()), value_set=samples["key"].cast(pa.string())
    )
    return np.asarray(places.combine_chunks(), np.int64)


def _scope(version: Dataset, tasks: Sequence[str], samples: pa.Table) -> Scope:
    """Images or regions: what all tasks are asked of, and of both where the answers are."""
    known = version.vocabulary.tasks
    scopes = {known[task].scope for task in tasks} - {"both"}
    if len(scopes) > 1:
        raise UsageError(
            "some of the tasks are asked of images, others of regions: train them apart"
        )
    if scopes:
        return "image" if "image" in scopes else "region"
    answers = samples["answers"].combine_chunks()
    answered = [answers.field(task) for task in tasks if answers.type.get_field_index(task) >= 0]
    return "image" if any(_says_any(column) for column in answered) else "region"


def _says_any(column: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(column.type):
        return bool((pc.sum(pc.list_value_length(column)).as_py() or 0) > 0)
    return bool(column.null_count < len(column))


def _refuse(version: Dataset, question: Question, tasks: Sequence[str], scope: Scope) -> None:
    known = version.vocabulary.tasks
    if question.scope is None and all(known[task].scope == "both" for task in tasks):
        who = "no image and no region"
    else:
        who = f"no {scope}"
    what = "tasks" if len(tasks) > 1 else "task"
    where = "" if question.split is None else f" in split '{question.split}'"
    raise UsageError(
        f"{who} has an answer to {what} {', '.join(tasks)}{where}",
        hint=f"vgr stats {version.commit.hex()[:12] if version.commit else ''}".rstrip(),
    )


# -- answers ---------------------------------------------------------------------------------------


def _target(
    version: Dataset,
    question: Question,
    name: str,
    scope: Scope,
    found: _Rows,
    places: NDArray[np.int64],
) -> Target:
    import pyarrow as pa

    task = version.vocabulary.tasks[name]
    answers = found.rows["answers"].combine_chunks()
    if answers.type.get_field_index(name) < 0:
        raise UsageError(f"task '{name}' is not asked of {scope}s", hint=f"vgr task set {name}")
    column = answers.field(name).take(pa.array(places))
    if task.kind == "number":
        values = np.asarray(column.fill_null(np.nan).cast(pa.float32()))
        return Target(name, "number", (), (), values)
    if task.kind == "bool":
        truths = column.cast(pa.int32()).fill_null(-1)
        return Target(name, "bool", (), (), np.asarray(truths, np.int32))
    fixed = question.classes.get(name)
    if not task.many:
        return _one(version.vocabulary, name, column, fixed)
    return _many(version, name, column, fixed, scope, found, places)


def _one(vocabulary: Vocabulary, name: str, column: Any, fixed: tuple[bytes, ...] | None) -> Target:
    codes, listed = coded(column)
    nodes = [vocabulary.find(name, path) for path in listed]
    classes, paths = _classes(vocabulary, name, [node for node in nodes if node], fixed)
    place = {node: number for number, node in enumerate(classes)}
    moved = np.array([*(place.get(node or b"", -2) for node in nodes), -1], np.int32)
    return Target(name, "one", paths, classes, moved[codes])


def _many(
    version: Dataset,
    name: str,
    column: Any,
    fixed: tuple[bytes, ...] | None,
    scope: Scope,
    found: _Rows,
    places: NDArray[np.int64],
) -> Target:
    import pyarrow as pa
    import pyarrow.compute as pc

    vocabulary = version.vocabulary
    column = column.cast(pa.list_(pa.string()))
    codes, listed = coded(column.flatten())
    parents = np.asarray(pc.list_parent_indices(column))
    nodes = [vocabulary.find(name, path) for path in listed]
    classes, paths = _classes(vocabulary, name, [node for node in nodes if node], fixed)
    place = {node: number for number, node in enumerate(classes)}
    values = np.zeros((len(places), len(classes)), np.uint8)
    moved = np.array([*(place.get(node or b"", -1) for node in nodes), -1], np.int32)[codes]
    values[parents[moved >= 0], moved[moved >= 0]] = 1
    said = np.zeros(len(places), np.bool_)
    said[parents] = True
    known = np.repeat(said[:, None], len(classes), axis=1).astype(np.uint8)
    _note_coverage(version, name, place, found, places, values, known)
    return Target(name, "many", paths, classes, values, known)


def _note_coverage(
    version: Dataset,
    name: str,
    place: dict[bytes, int],
    found: _Rows,
    places: NDArray[np.int64],
    values: NDArray[np.uint8],
    known: NDArray[np.uint8],
) -> None:
    """What a sample says beyond its answers: classes that are not there, and how far it was looked.

    A sample with any answer is taken to have all of them, unless its coverage says `partial`.
    """
    decode = partial_decoder({"negatives", "coverage"})
    whole = coverage_key(name)
    columns = {coverage_key(name, node): column for node, column in place.items()}
    of_sample = found.of_sample[places]
    asked = set(of_sample.tolist())
    for number, (_, encoded) in enumerate(version.rows(SAMPLES)):
        if number not in asked:
            continue
        sample = decode(encoded)
        if not sample.coverage and not sample.negatives:
            continue
        # Rows are in the order of their samples.
        first, last = np.searchsorted(of_sample, (number, number + 1)).tolist()
        here, there = known[first:last], values[first:last]
        if sample.coverage.get(whole) in _LOOKED:
            here[:] = 1 if sample.coverage[whole] == "exhaustive" else there
        for key, how in sample.coverage.items():
            if key in columns and how in _LOOKED:
                column = columns[key]
                here[:, column] = 1 if how == "exhaustive" else there[:, column]
        for node in sample.negatives.get(name, ()):
            if node in place:
                here[:, place[node]] = 1


def _classes(
    vocabulary: Vocabulary, task: str, named: Sequence[bytes], fixed: tuple[bytes, ...] | None
) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The classes and their paths, by path where they are not fixed."""
    told = {node: vocabulary.told(task, node) for node in (named if fixed is None else fixed)}
    nodes = tuple(sorted(told, key=told.__getitem__)) if fixed is None else fixed
    return nodes, tuple(told[node] for node in nodes)


def _only(target: Target, rows: Mask) -> Target:
    known = None if target.known is None else target.known[rows]
    return Target(
        target.task, target.kind, target.classes, target.nodes, target.values[rows], known
    )
