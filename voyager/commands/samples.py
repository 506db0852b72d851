"""Samples as lines of text and as JSON (`show`, `ls`), with what is known of purged images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voyager.commands.context import Context
from voyager.commands.fact_text import image_text
from voyager.repo.conflicts import conflicts_at
from voyager.repo.dataset import Dataset
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Label, Region, Sample, sample_to_json
from voyager.schema.fields import pair_of, parse_path, region_of
from voyager.schema.vocabulary import Vocabulary
from voyager.store.purge import tombstones


def with_state(sample: Sample, purged: set[bytes]) -> Sample:
    """The sample as it is now: the rows of history do not know that an image was purged."""
    if not purged or sample.image.blob_id not in purged:
        return sample
    return sample.replace(image=sample.image.replace(blob=None, purged=True))


def sample_json(repo: Repository, version: Dataset, key: str, sample: Sample) -> dict[str, Any]:
    """The JSON of a sample of a version as it is now; classes by the paths of that version."""
    now = with_state(sample, tombstones(repo.store))
    return with_conflicts(version, sample_to_json(key, now, version.vocabulary.resolve))


def with_conflicts(version: Dataset, written: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a sample of a version; it is `conflicted` where something of it is."""
    if conflicts_at(version, SAMPLES, str(written["key"]).encode()):
        written["conflicted"] = True
    return written


def sample_text(
    ctx: Context, repo: Repository, version: Dataset, key: str, sample: Sample
) -> Iterator[str]:
    """The lines that tell everything of a sample."""
    json = sample_json(repo, version, key, sample)
    words = version.vocabulary
    image = with_state(sample, tombstones(repo.store)).image
    marks = _Marks(ctx, version, key)
    yield ctx.style(f"sample {shown(key)}", "yellow")
    if marks.paths:
        told = f"{len(marks.paths)} (vgr conflicts {shown(key)})"
        yield ctx.style(_line("conflicts", told), "red")
    yield _line("uid", sample.uid.hex())
    yield _line("image", image_text(image))
    for name in ("blob", "orientation", "hash", "uri"):
        if json["image"].get(name) not in (None, 1):
            yield _line(name, json["image"][name])
    yield _line("split", sample.split or "none") + marks.of("split")
    for name in ("meta", "negatives", "coverage", "group", "assets", "origin", "extra", "held"):
        for field, value in (json.get(name) or {}).items():
            yield _line(f"{name}.{field}", ", ".join(value) if name == "negatives" else value)
    yield _line("labels", len(sample.labels) or "none")
    for label in sample.labels:
        yield f"  {label_text(words, label)}{marks.of('labels', label.task, label.source)}"
    yield _line("regions", len(sample.regions) or "none")
    for number, region in enumerate(sample.regions, 1):
        told = f"  #{number} {region.id.hex()[:8]}  {region_text(words, region)}"
        yield told + marks.of_region(region.id)
        for message in _odd(region, sample, version):
            yield f"     {ctx.style(message, 'yellow')}"


class _Marks:
    """What stands behind the fields of a sample that are in conflict."""

    def __init__(self, ctx: Context, version: Dataset, key: str) -> None:
        self.paths = list(conflicts_at(version, SAMPLES, key.encode()))
        self._mark = ctx.style("  in conflict", "red")

    def of(self, *parts: str) -> str:
        """The mark of a field, or nothing."""
        found = any(parse_path(path)[: len(parts)] == parts for path in self.paths)
        return self._mark if found else ""

    def of_region(self, region: bytes) -> str:
        """The mark of a region."""
        own = ((region_of(path), *(pair_of(path) or ())) for path in self.paths)
        return self._mark if any(region in ids for ids in own) else ""


def _odd(region: Region, sample: Sample, version: Dataset) -> Iterator[str]:
    """What is odd about the shapes of a region, which are kept as they came."""
    from voyager.errors import CorruptError
    from voyager.schema.shape_check import problems
    from voyager.store.ids import Kind

    image = sample.image
    for shape in region.geometries.values():
        try:
            found = problems(
                shape,
                image.width,
                image.height,
                load=lambda blob: version.objects.get(blob, Kind.BLOB),
            )
        except CorruptError as error:
            yield error.message
        else:
            yield from (problem.message for problem in found)


def _line(name: str, value: object) -> str:
    return f"{name + ':':<12} {value}"


def label_text(words: Vocabulary, label: Label) -> str:
    """A label on a line: task, class or value, who says it and how surely."""
    score = "" if label.score is None else f", score {label.score:g}"
    return f"{label.task} = {words.spoken(label)} ({label.source}, {label.state}{score})"


def region_text(words: Vocabulary, region: Region) -> str:
    """A region on a line: its geometries, flags, whose it is, and what it is."""
    shapes = [
        f"{role} {geometry.name}" if role != geometry.name else role
        for role, geometry in region.geometries.items()
    ]
    parts = [", ".join(shapes), *region.flags, f"{region.source}, {region.state}"]
    return "; ".join([*filter(None, parts), *(label_text(words, said) for said in region.labels)])
