"""Samples as lines of text and as JSON (`show`, `ls`), with what is known of purged images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voyager.commands.changes import image_text
from voyager.commands.context import Context
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.schema import Label, Region, Sample, sample_to_json
from voyager.store.purge import tombstones


def with_state(sample: Sample, purged: set[bytes]) -> Sample:
    """The sample as it is now: the rows of history do not know that an image was purged."""
    if not purged or sample.image.blob_id not in purged:
        return sample
    return sample.replace(image=sample.image.replace(blob=None, purged=True))


def sample_json(repo: Repository, key: str, sample: Sample) -> dict[str, Any]:
    """The JSON of a sample as it is now."""
    return sample_to_json(key, with_state(sample, tombstones(repo.store)))


def sample_text(ctx: Context, repo: Repository, key: str, sample: Sample) -> Iterator[str]:
    """The lines that tell everything of a sample."""
    json = sample_json(repo, key, sample)
    image = with_state(sample, tombstones(repo.store)).image
    yield ctx.style(f"sample {shown(key)}", "yellow")
    yield _line("uid", sample.uid.hex())
    yield _line("image", image_text(image))
    for name in ("blob", "orientation", "hash", "uri"):
        if json["image"].get(name) not in (None, 1):
            yield _line(name, json["image"][name])
    yield _line("split", sample.split or "none")
    for name in ("meta", "negatives", "coverage", "group", "assets", "origin", "extra", "held"):
        for field, value in (json.get(name) or {}).items():
            yield _line(f"{name}.{field}", value)
    yield _line("labels", len(sample.labels) or "none")
    for label in sample.labels:
        yield f"  {_label_text(label)}"
    yield _line("regions", len(sample.regions) or "none")
    for number, region in enumerate(sample.regions, 1):
        yield f"  #{number} {region.id.hex()[:8]}  {_region_text(region)}"


def _line(name: str, value: object) -> str:
    return f"{name + ':':<12} {value}"


def _label_text(label: Label) -> str:
    value = label.node.hex() if label.node is not None else label.value
    score = "" if label.score is None else f", score {label.score:g}"
    return f"{label.task} = {value} ({label.source}, {label.state}{score})"


def _region_text(region: Region) -> str:
    shapes = [
        f"{role} {geometry.name}" if role != geometry.name else role
        for role, geometry in region.geometries.items()
    ]
    words = [", ".join(shapes), *region.flags, f"{region.source}, {region.state}"]
    return "; ".join([*filter(None, words), *(_label_text(label) for label in region.labels)])
