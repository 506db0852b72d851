"""Edits of what is said: pure functions from labels, regions and samples to new ones.

They copy without settling again, since what they put in is settled already: bulk edits run through
here. What changes nothing comes back as the very same object.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from msgspec import structs

from voyager.errors import NotFoundError
from voyager.schema.geometry import Box, Ellipse, Geometry, Mask, RotatedBox
from voyager.schema.sample import (
    ACCEPTED,
    HUMAN,
    Coverage,
    Label,
    Link,
    Region,
    Sample,
    State,
)
from voyager.schema.values import EMPTY, BadValueError

Load: TypeAlias = Callable[[bytes], bytes]
"""Blob id → bytes."""

Labels: TypeAlias = tuple[Label, ...]
Operator: TypeAlias = Literal["=", "+=", "-="]
Value: TypeAlias = bytes | str | float | bool
"""A taxonomy node's id, or a plain value."""

SOURCE_BOX = "source_bbox"
SOURCE_AREA = "source_area"
DERIVED_BY_SOURCE = (SOURCE_BOX, SOURCE_AREA)
"""Fields of `extra`: what an import said of the primary geometry and we derive otherwise."""


class Voice(NamedTuple):
    """Who says it, how surely, and how far it is checked; without a state, `accepted`.

    Saying again what is said already keeps its score, and a state of `verified`, unless a new one
    is given.
    """

    source: str = HUMAN
    score: float | None = None
    state: State | None = None


PLAIN = Voice()
"""Somebody says it, without more."""


NO_HEIRS: Final[Mapping[bytes, bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Assignment:
    """What is to be said for a task: `=` instead of all the source says, `+=` too, `-=` not."""

    task: str
    operator: Operator
    said: Labels
    voice: Voice
    heirs: Mapping[bytes, bytes]
    """Class merged away → class into which: labels of the one mean the other."""


def assignment(
    task: str,
    operator: Operator,
    values: Iterable[Value],
    voice: Voice = PLAIN,
    heirs: Mapping[bytes, bytes] = NO_HEIRS,
) -> Assignment:
    """The assignment of nodes or plain values; BadValueError for what no label can say."""
    said = tuple(say(task, value, voice) for value in values)
    return Assignment(task, operator, said, voice, heirs)


def say(task: str, value: Value, voice: Voice = PLAIN) -> Label:
    """The label of a node or plain value."""
    return Label(
        task=task,
        node=value if isinstance(value, bytes) else None,
        value=None if isinstance(value, bytes) else value,
        source=voice.source,
        score=voice.score,
        state=voice.state or ACCEPTED,
    )


# -- labels ---------------------------------------------------------------------------------------


def assign(labels: Labels, change: Assignment) -> Labels:
    """The labels after an assignment; those of other tasks and sources stay as they are."""
    task, source, said = change.task, change.voice.source, change.said
    mine = [label for label in labels if label.task == task and label.source == source]
    if not mine:
        return labels if change.operator == "-=" or not said else (*labels, *said)
    meant = [_meant(label, change.heirs) for label in mine]
    if change.operator == "-=":
        gone = {said_value(label) for label in said}
        left = [label for label, value in zip(mine, meant, strict=True) if value not in gone]
        return put_said(labels, mine, left)
    before = dict(zip(meant, mine, strict=True))
    new = [_said_again(before.get(said_value(label)), label, change.voice) for label in said]
    if change.operator == "+=":
        again = dict(zip(map(said_value, said), new, strict=True))
        new = [again.pop(value, old) for value, old in zip(meant, mine, strict=True)]
        new += again.values()
    return put_said(labels, mine, new)


def put_said(labels: Labels, old: Sequence[Label], new: Sequence[Label]) -> Labels:
    """Labels with some of them replaced, place by place; what is over goes where the last stood."""
    if len(old) == len(new) and all(map(_is, old, new)):
        return labels
    if not old:
        return (*labels, *new)
    gone = {id(label) for label in old}
    left = iter(new)
    kept: list[Label] = []
    end = 0
    for label in labels:
        if id(label) not in gone:
            kept.append(label)
            continue
        replacement = next(left, None)
        if replacement is not None:
            kept.append(replacement)
            end = len(kept)
    kept[end:end] = left
    return tuple(kept)


def restate(
    labels: Labels, state: State, *, task: str | None = None, source: str | None = None
) -> Labels:
    """Labels with another state: all, or those of a task and of a source (see `stated`)."""
    new = tuple(
        structs.replace(label, state=stated(label.state, state))
        if task in (None, label.task) and source in (None, label.source)
        else label
        for label in labels
    )
    return labels if new == labels else new


def stated(old: State, new: State) -> State:
    """The state of what is given a new one: what was rejected is not accepted along with others.

    To propose it again takes the rejection back.
    """
    return old if old == "rejected" and new in ("accepted", "verified") else new


def in_the_way(labels: Labels, change: Assignment) -> Label | None:
    """What a source says already, where it may give one answer only and is told another."""
    wanted = {said_value(label) for label in change.said}
    for label in labels:
        mine = label.task == change.task and label.source == change.voice.source
        if mine and _meant(label, change.heirs) not in wanted:
            return label
    return None


def replace_node(labels: Labels, task: str, old: Container[bytes | None], new: bytes) -> Labels:
    """Labels with classes of a task made another, whoever says it; one said twice stays once."""
    if not any(label.node in old and label.task == task for label in labels):
        return labels
    said = {label.source for label in labels if label.task == task and label.node == new}
    found: list[Label] = []
    for label in labels:
        if label.task != task or label.node not in old:
            found.append(label)
        elif label.source not in said:
            said.add(label.source)
            found.append(structs.replace(label, node=new))
    return tuple(found)


def said_value(label: Label) -> Hashable:
    """What tells two labels of one task and source apart."""
    return label.node or (label.value, type(label.value), label.ordinal, label.language)


def _meant(label: Label, heirs: Mapping[bytes, bytes]) -> Hashable:
    """`said_value`, of a class that was merged away as of the one that it is now."""
    node = label.node
    return heirs[node] if node is not None and node in heirs else said_value(label)


def _said_again(old: Label | None, new: Label, voice: Voice) -> Label:
    """A label said once more: what is not given anew stays."""
    if old is None or old == new:
        return new if old is None else old
    score = old.score if voice.score is None else new.score
    state = new.state if voice.state or old.state != "verified" else old.state
    if (score, state) == (old.score, old.state):
        return old
    return structs.replace(old, score=score, state=state)


def _is(one: object, other: object) -> bool:
    return one is other


# -- regions --------------------------------------------------------------------------------------


def with_labels(sample: Sample, labels: Labels) -> Sample:
    """The sample with other labels."""
    return sample if labels is sample.labels else structs.replace(sample, labels=labels)


def with_region_labels(region: Region, labels: Labels) -> Region:
    """The region with other labels."""
    return region if labels is region.labels else structs.replace(region, labels=labels)


def region_of(sample: Sample, region: bytes) -> Region:
    """A region by its id; NotFoundError when the sample has none such."""
    for found in sample.regions:
        if found.id == region:
            return found
    raise NotFoundError(f"no region {region.hex()[:8]}")


def edit_regions(
    sample: Sample, chosen: Container[bytes | None], edit: Callable[[Region], Region]
) -> Sample:
    """The sample with some of its regions edited."""
    regions = tuple(edit(region) if region.id in chosen else region for region in sample.regions)
    return with_regions(sample, regions)


def with_regions(sample: Sample, regions: tuple[Region, ...]) -> Sample:
    """The sample with other regions."""
    same = len(regions) == len(sample.regions) and all(map(_is, regions, sample.regions))
    return sample if same else structs.replace(sample, regions=regions)


def restate_region(region: Region, state: State) -> Region:
    """A region in another state (see `stated`)."""
    state = stated(region.state, state)
    return region if region.state == state else structs.replace(region, state=state)


def drop_regions(sample: Sample, gone: Container[bytes | None]) -> Sample:
    """The sample without some regions, and without the links of its own that led to them."""
    kept = tuple(region for region in sample.regions if region.id not in gone)
    if len(kept) == len(sample.regions):
        return sample
    unlinked = (
        _with_links(region, [link for link in region.links if not _leads_to(link, sample, gone)])
        for region in kept
    )
    return structs.replace(sample, regions=tuple(unlinked))


def _leads_to(link: Link, sample: Sample, regions: Container[bytes | None]) -> bool:
    return link.uid == sample.uid and link.region in regions


def reshape(region: Region, geometry: Geometry, role: str | None = None) -> Region:
    """A region with another geometry in a role, by default the primary one.

    What a source said of the old primary (DERIVED_BY_SOURCE) goes with it. A primary role that is
    called by its type is called by the new one.
    """
    primary = region.primary_role
    if role is None:
        role, geometries = _as_primary(region, geometry)
        primary = role
    else:
        geometries = {**region.geometries, role: geometry}
    if geometries == region.geometries:
        return region
    extra = region.extra
    if role == primary:
        extra = {name: item for name, item in extra.items() if name not in DERIVED_BY_SOURCE}
    return region.replace(geometries=geometries, primary=primary or role, extra=extra or EMPTY)


def _as_primary(region: Region, geometry: Geometry) -> tuple[str, dict[str, Geometry]]:
    old = region.geometry
    role = region.primary_role or geometry.name
    new = role
    if old is not None and role == old.name and geometry.name not in region.geometries:
        new = geometry.name
    kept = {name: shape for name, shape in region.geometries.items() if name != role}
    return new, {**kept, new: geometry}


def add_link(region: Region, link: Link) -> Region:
    """A region with one more link."""
    return region if link in region.links else _with_links(region, [*region.links, link])


def drop_links(region: Region, uid: bytes, target: bytes, kind: str | None = None) -> Region:
    """A region without its links to another, or those of one kind."""
    kept = [
        link
        for link in region.links
        if (link.uid, link.region) != (uid, target) or kind not in (None, link.kind)
    ]
    return _with_links(region, kept)


def _with_links(region: Region, links: Sequence[Link]) -> Region:
    same = len(links) == len(region.links)
    return region if same else structs.replace(region, links=tuple(links))


# -- negatives and coverage -----------------------------------------------------------------------


def put_negatives(
    sample: Sample, task: str, nodes: Iterable[bytes], *, remove: bool = False
) -> Sample:
    """The sample with classes of a task verified not to be there, or no longer so."""
    before = set(sample.negatives.get(task, ()))
    after = before.difference(nodes) if remove else before.union(nodes)
    if after == before:
        return sample
    return sample.replace(negatives={**sample.negatives, task: tuple(after)})


def put_coverage(sample: Sample, key: str, level: Coverage | None) -> Sample:
    """The sample with how completely a task or class (`coverage_key`) is labeled; None: unknown."""
    if sample.coverage.get(key) == level:
        return sample
    coverage = {name: item for name, item in sample.coverage.items() if name != key}
    if level is not None:
        coverage[key] = level
    return sample.replace(coverage=coverage)


def contradictions(
    sample: Sample, task: str, nodes: Container[bytes]
) -> Iterator[tuple[Region | None, Label]]:
    """(region or None, label) of all that is said to be there, and not rejected, of some classes.

    What is only proposed contradicts nothing.
    """
    parts: list[tuple[Region | None, Labels]] = [(None, sample.labels)]
    parts += [
        (region, region.labels)
        for region in sample.regions
        if region.state not in ("rejected", "proposed")
    ]
    for region, labels in parts:
        for label in labels:
            told = label.task == task and label.node is not None and label.node in nodes
            if told and label.state not in ("rejected", "proposed"):
                yield region, label


# -- geometries -----------------------------------------------------------------------------------


def shifted(geometry: Geometry, dx: float, dy: float, *, load: Load | None = None) -> Geometry:
    """A geometry moved by so many pixels; masks by whole ones, and what leaves the image is lost.

    `load` fetches the counts of a mask that keeps them in a blob. BadValueError for a part of a
    pixel and for a geometry of a newer version.
    """
    match geometry:
        case Box(x0, y0, x1, y1):
            return Box(x0 + dx, y0 + dy, x1 + dx, y1 + dy)
        case RotatedBox() | Ellipse():
            return geometry.replace(cx=geometry.cx + dx, cy=geometry.cy + dy)
        case Mask(height, width):
            if dx % 1 or dy % 1:
                raise BadValueError("a mask moves by whole pixels")
            from voyager.schema import rle  # numpy comes with it

            return rle.window(geometry, -int(dx), -int(dy), width, height, load=load)
    from voyager.schema.transform import transformed

    return transformed(geometry, ((1, 0, dx), (0, 1, dy)), load=load)
