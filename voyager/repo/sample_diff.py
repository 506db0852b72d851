"""What is different about a sample as a whole: image, split, labels, meta, coverage, negatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from voyager.repo.label_facts import Fact, Terms
from voyager.repo.said_diff import label_facts
from voyager.schema.sample import Image, parse_coverage_key

SamePixels: TypeAlias = Callable[[Image, Image], bool]
"""Whether two stored images decode to the same pixels."""

_LEVELS = {None: 0, "partial": 1, "exhaustive": 2}


def sample_facts(
    old: Any, new: Any, terms: Terms, about: Fact, *, same_pixels: SamePixels | None = None
) -> Iterator[Fact]:
    """The facts of two versions of a sample, regions left out."""
    about = about._replace(scope="sample")
    if old.image != new.image:
        kind = _image_kind(old.image, new.image, same_pixels)
        yield about._replace(kind=kind, before=old.image, after=new.image)
    if old.split != new.split:
        yield about._replace(kind="re-split", before=old.split, after=new.split)
    if old.labels != new.labels:
        yield from label_facts(old.labels, new.labels, terms, about)
    if old.negatives != new.negatives:
        yield from _negatives(old.negatives, new.negatives, about)
    if old.coverage != new.coverage:
        yield from _coverage(old.coverage, new.coverage, about)
    if old.meta != new.meta:
        yield from _named("meta", old.meta, new.meta, about._replace(scope="meta"))
    if old.group != new.group:
        yield about._replace(kind="group", before=old.group, after=new.group)
    if old.assets != new.assets:
        yield from _named("asset", old.assets, new.assets, about)
    if old.held != new.held:
        yield about._replace(kind="held", before=old.held, after=new.held)
    if old.extra != new.extra or old.unknown != new.unknown or old.uid != new.uid:
        yield about._replace(kind="details")


def _image_kind(old: Image, new: Image, same_pixels: SamePixels | None) -> str:
    if old.state != new.state:
        if new.state == "purged":
            return "purged"
        return "attached" if new.state == "stored" else "replaced"
    if old.blob == new.blob:
        return "image"
    sizes = {(image.width, image.height, image.orientation) for image in (old, new)}
    if same_pixels is not None and len(sizes) == 1 and same_pixels(old, new):
        return "re-encoded"
    return "replaced"


def _negatives(
    old: Mapping[str, tuple[bytes, ...]], new: Mapping[str, tuple[bytes, ...]], about: Fact
) -> Iterator[Fact]:
    about = about._replace(scope="label")
    for task in sorted(old.keys() | new.keys()):
        was, now = set(old.get(task, ())), set(new.get(task, ()))
        for node in sorted(was - now):
            yield about._replace(kind="negative-removed", task=task, node=node, before=node)
        for node in sorted(now - was):
            yield about._replace(kind="negative-added", task=task, node=node, after=node)


def _coverage(old: Mapping[str, str], new: Mapping[str, str], about: Fact) -> Iterator[Fact]:
    about = about._replace(scope="coverage")
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was != now:
            task, node = parse_coverage_key(key)
            kind = "raised" if _LEVELS.get(now, 0) > _LEVELS.get(was, 0) else "lowered"
            yield about._replace(kind=kind, task=task, node=node, before=was, after=now)


def _named(
    noun: str, old: Mapping[str, Any], new: Mapping[str, Any], about: Fact
) -> Iterator[Fact]:
    """The values by name that differ; of meta the kind says how, of assets the sides do."""
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was != now or type(was) is not type(now):
            kind = noun
            if noun == "meta":
                kind = "added" if was is None else "removed" if now is None else "changed"
            yield about._replace(kind=kind, name=name, before=was, after=now)
