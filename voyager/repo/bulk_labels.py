"""Label edits by the hundred thousand: grouped by sample, resolved once, encoded once.

A sample is decoded, edited and encoded once for all edits of it in a batch. A label is made once
for each distinct value, since values are frozen and can stand in many rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import structs

from voyager.errors import NotFoundError, UsageError
from voyager.repo.assignments import check_value, heirs_of, known_task
from voyager.repo.keys import shown
from voyager.schema import Region, Sample
from voyager.schema import label_edit as edits
from voyager.schema.label_edit import Assignment, Labels, Operator, Voice, assignment
from voyager.schema.label_rows import encode_view, view_labels
from voyager.schema.sample import parse_source
from voyager.store import bulk

if TYPE_CHECKING:
    from voyager.schema.vocabulary import Vocabulary

LabelChange: TypeAlias = tuple[str, bytes | None, str, Any]
"""(key, region id or None for the sample, task, value): see `Edit.label`."""

ReadRows: TypeAlias = Callable[[Sequence[bytes]], Iterator[tuple[bytes, bytes | None]]]
"""Sorted keys → (key, row or None) of each."""

Chosen: TypeAlias = Mapping[bytes, Container[bytes] | None]
"""Key → ids of the regions that are meant, None for the sample and all of them."""

PutRow: TypeAlias = Callable[[bytes, bytes | None], None]

BATCH: Final = 1 << 16
"""So many edits are gathered before the first of them is made."""

_Edits: TypeAlias = dict[bytes | None, list[Assignment]]
"""Region id, or None for the sample → what is to be said."""


class Assignments:
    """The assignment of each (task, value), checked and made at first sight."""

    def __init__(self, vocabulary: Vocabulary, voice: Voice, how: Operator) -> None:
        parse_source(voice.source)
        self._vocabulary = vocabulary
        self._voice = voice
        self._how = how
        self._made: dict[tuple[str, Any, type, bool], Assignment] = {}

    def of(self, task: str, value: Any, region: bytes | None) -> Assignment:
        """The assignment; NotFoundError or UsageError for what the task cannot take."""
        value = tuple(value) if isinstance(value, list) else value
        key = (task, value, type(value), region is None)  # 1, 1.0 and True are equal
        made = self._made.get(key)
        if made is None:
            made = self._make(task, value)
            self._refuse_scope(task, region)
            self._made[key] = made
        return made

    def _make(self, task: str, value: Any) -> Assignment:
        known = known_task(self._vocabulary.tasks, task)
        values = value if isinstance(value, tuple) else () if value is None else (value,)
        if len(values) > 1 and not known.many and self._how != "-=":
            raise UsageError(f"task '{task}' takes one answer, not {len(values)}")
        if self._how == "+=" and not known.many:
            raise UsageError(f"task '{task}' takes one answer: '=' sets it, '+=' adds none")
        checked = [check_value(self._vocabulary, task, item) for item in values]
        heirs = heirs_of(self._vocabulary, task)
        return assignment(task, self._how, checked, self._voice, heirs)

    def _refuse_scope(self, task: str, region: bytes | None) -> None:
        scope = self._vocabulary.tasks[task].scope
        if scope == "both" or (scope == "image") == (region is None):
            return
        raise UsageError(
            f"task '{task}' is asked of {scope}s", hint=f"vgr task set {task} --on both"
        )


def label_rows(
    changes: Iterable[LabelChange], assignments: Assignments, read: ReadRows, put: PutRow
) -> int:
    """Make edits of labels, in bounded memory; how many samples changed."""
    left = iter(changes)
    count = 0
    with bulk.paused_gc():
        while batch := _gather(islice(left, BATCH), assignments):
            count += _edit_batch(batch, read, put)
    return count


def _gather(changes: Iterable[LabelChange], assignments: Assignments) -> dict[str, _Edits]:
    gathered: dict[str, _Edits] = {}
    of = assignments.of
    for key, region, task, value in changes:
        said = of(task, value, region)
        edits_of_key = gathered.get(key)
        if edits_of_key is None:
            gathered[key] = {region: [said]}
        elif region in edits_of_key:
            edits_of_key[region].append(said)
        else:
            edits_of_key[region] = [said]
    return gathered


def _edit_batch(batch: dict[str, _Edits], read: ReadRows, put: PutRow) -> int:
    """Edit the samples of a batch; all are checked before the first is put."""
    names = {key.encode(): key for key in batch}
    ready: list[tuple[bytes, bytes]] = []
    for name, row in read(sorted(names)):
        key = names[name]
        if row is None:
            raise NotFoundError(f"no sample '{shown(key)}'", hint="vgr ls")
        said = batch[key]
        view = view_labels(row, regions=len(said) > 1 or None not in said)
        new = encode_view(_edited(key, view, said))
        if new != row:
            ready.append((name, new))
    for name, row in ready:
        put(name, row)
    return len(ready)


def _edited(key: str, sample: Sample, said: _Edits) -> Sample:
    """A sample, or a view of its labels, edited; NotFoundError for a region that it lacks."""
    if None in said:
        sample = edits.with_labels(sample, _said(sample.labels, said[None]))
        if len(said) == 1:
            return sample
    left = len(said) - (None in said)
    new: list[Region] | None = None
    for place, region in enumerate(sample.regions):
        changes = said.get(region.id)
        if changes is not None:
            left -= 1
            labels = _said(region.labels, changes)
            if labels is not region.labels:
                new = new or list(sample.regions)
                new[place] = structs.replace(region, labels=labels)
    if left:
        known = {region.id for region in sample.regions}
        lost = next(region for region in said if region is not None and region not in known)
        raise NotFoundError(f"'{shown(key)}' has no region {lost.hex()}", hint=f"vgr show {key}")
    return sample if new is None else structs.replace(sample, regions=tuple(new))


def _said(labels: Labels, changes: list[Assignment]) -> Labels:
    for change in changes:
        labels = edits.assign(labels, change)
    return labels


def relabel_rows(
    rows: Iterable[tuple[bytes, bytes]],
    task: str,
    old: Collection[bytes],
    new: bytes,
    put: PutRow,
    *,
    only: Chosen | None = None,
) -> int:
    """Make labels of some classes those of another, whoever says them; how many samples changed."""
    count = 0
    with bulk.paused_gc():
        for name, row in rows:
            if only is not None and name not in only:
                continue
            if not any(node in row for node in old):  # far cheaper than decoding
                continue
            view = view_labels(row, regions=True)
            changed = _relabeled(view, task, old, new, None if only is None else only[name])
            if changed is not view:
                put(name, encode_view(changed))
                count += 1
    return count


def _relabeled(
    sample: Sample,
    task: str,
    old: Collection[bytes],
    new: bytes,
    only: Container[bytes] | None,
) -> Sample:
    """A sample, or only some regions of it, with one class made another."""

    def relabeled(region: Region) -> Region:
        return edits.with_region_labels(region, edits.replace_node(region.labels, task, old, new))

    regions = tuple(
        relabeled(region) if only is None or region.id in only else region
        for region in sample.regions
    )
    if only is None:
        sample = edits.with_labels(sample, edits.replace_node(sample.labels, task, old, new))
    return edits.with_regions(sample, regions)
