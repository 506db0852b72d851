"""Exports in a real repository: the law that an unedited one brings nothing, and what else holds."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_repos import (
    Coco,
    change,
    changed_region,
    everything,
    formats,
    give,
    kinds,
    load,
    photo,
    save,
    take,
)

from voyager.errors import ExistsError, InvalidDataError, StateError, UsageError
from voyager.formats.base import RECORD_NAME, Format
from voyager.formats.difference import difference
from voyager.formats.exporting import export
from voyager.formats.projection import Projection
from voyager.formats.registry import format_named
from voyager.formats.torture import Builder, Limits, torture_version
from voyager.formats.writing import WriteOptions, Writing
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.switch import switch
from voyager.schema import Box, Group, Sample
from voyager.store.ids import Kind
from voyager.store.refs import Head

EVERYTHING = format_named("jsonl").holds
FORMS = pytest.mark.parametrize("form", formats(), ids=lambda form: form.name)


def check_law(repo: Repository, folder: Path, form: Format, **options: Any) -> None:
    """Export, import, and nothing changed."""
    before = everything(repo)
    assert give(repo, folder, form.name, **options).samples
    back = take(repo, folder, form.name)
    assert back.base == repo.at("HEAD").commit.hex()  # type: ignore[union-attr]
    assert everything(repo) == before
    assert (back.added, back.updated, back.staged) == (0, 0, False)


def small(form: Format, keys: tuple[str, ...] = ("a.png", "b.png", "c.png", "d.png")) -> Dataset:
    """A version of a few samples with plain boxes (or whatever the format holds)."""
    builder = Builder(form.holds, Limits(classes=("cat", "dog", "cow")))
    held = builder.shapes() if form.holds.geometries else []
    shapes = [shape for shape in held if shape.name != "keypoints"][:1]
    samples: dict[str, Sample] = {}
    for number, key in enumerate(keys):
        fields: dict[str, Any] = {} if shapes else {"labels": (builder.label(number),)}
        if form.holds.group:
            fields["group"] = Group(id="clip", index=number)
        regions = [builder.region(shape, number) for shape in shapes]
        samples[key] = builder.sample(key, regions, **fields)
    return builder.version(samples)


# -- the law: export, no edit, import is empty ----------------------------------------------------


@FORMS
def test_law_of_what_the_format_holds(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, torture_version(form.holds))
    check_law(repo, tmp_path / "out", form)


@FORMS
def test_law_of_everything(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, torture_version(EVERYTHING))
    check_law(repo, tmp_path / "out", form)


@FORMS
def test_law_inside_the_working_tree(repo: Repository, form: Format) -> None:
    load(repo, torture_version(form.holds))
    check_law(repo, repo.tree() / "exports" / "out", form)


@FORMS
@pytest.mark.parametrize("images", ["none", "link"])
def test_law_without_copies_of_images(
    repo: Repository, tmp_path: Path, form: Format, images: str
) -> None:
    load(repo, torture_version(form.holds))
    check_law(repo, tmp_path / "out", form, images=images)


@FORMS
def test_law_of_a_part(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, torture_version(form.holds))
    check_law(repo, tmp_path / "some", form, where="key < 'd' or group_id = 'clip 1'")
    if not form.holds.group:
        check_law(repo, tmp_path / "one", form, keys=["train", "a.*"])


@FORMS
def test_law_of_names_that_collide(repo: Repository, tmp_path: Path, form: Format) -> None:
    keys = (
        "a.jpg",
        "a.png",
        "a_2.png",
        "x-a.png",
        "x/a.png",
        "x/y-a.png",
        "x/y/a.png",
        "x.png/b.png",
    )
    load(repo, small(form, keys))
    check_law(repo, tmp_path / "out", form)


@pytest.mark.parametrize("form", [f for f in formats() if f.one_file], ids=lambda f: f.name)
def test_law_of_one_file(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, torture_version(form.holds))
    suffix = {"jsonl": ".jsonl", "table": ".csv", "cvat": ".xml", "cvat-video": ".xml"}
    check_law(repo, tmp_path / f"labels{suffix.get(form.name, '.json')}", form, images="none")


@FORMS
def test_law_with_a_base_instead_of_a_record(
    repo: Repository, tmp_path: Path, form: Format
) -> None:
    load(repo, small(form))
    before = everything(repo)
    give(repo, tmp_path / "out", form.name)
    (tmp_path / "out" / RECORD_NAME).unlink()
    back = take(repo, tmp_path / "out", form.name, base="HEAD")
    assert everything(repo) == before
    assert not back.staged


# -- edited exports -------------------------------------------------------------------------------


@FORMS
def test_edits_made_here_since_the_export_survive(
    repo: Repository, tmp_path: Path, form: Format
) -> None:
    load(repo, small(form))
    give(repo, tmp_path / "out", form.name)
    sample = repo.staged()["b.png"]
    change(repo, "b.png", regions=(), labels=(), split="test")
    change(repo, "c.png", labels=sample.labels, regions=sample.regions)
    save(repo)
    before = everything(repo)
    back = take(repo, tmp_path / "out", form.name)
    assert everything(repo) == before
    assert back.unchanged == back.samples


def edit(repo: Repository, form: Format) -> None:
    """What another tool would do: move, relabel, remove, add."""
    version = repo.staged()
    a, b, c = (version[key] for key in ("a.png", "b.png", "c.png"))
    if not form.holds.geometries:
        change(repo, "a.png", labels=b.labels)
        if form.holds.empty:
            change(repo, "c.png", labels=())
    else:
        change(repo, "a.png", regions=(a.regions[0].replace(labels=b.regions[0].labels),))
        extra = c.regions[0].replace(id=bytes(15) + b"\x99", geometries=_moved(c, form))
        change(repo, "b.png", regions=(*b.regions, extra))
        change(repo, "c.png", regions=())
        d = version["d.png"]
        changed_region(repo, "d.png", 0, geometries=_moved(d, form))
    save(repo, "edited")


def _moved(sample: Sample, form: Format) -> dict[str, Any]:
    from voyager.schema.transform import turned

    ((role, shape),) = sample.regions[0].geometries.items()
    return {role: turned(shape, "rot180", 64, 48)}


def edited(repo: Repository, tmp_path: Path, form: Format, **options: Any) -> Path:
    """A folder as if the export of HEAD~1 had been edited by another tool to be as HEAD is."""
    give(repo, tmp_path / "old", form.name, at="HEAD~1", **options)
    give(repo, tmp_path / "new", form.name, at="HEAD", **options)
    shutil.copy(tmp_path / "old" / RECORD_NAME, tmp_path / "new" / RECORD_NAME)
    return tmp_path / "new"


@FORMS
def test_an_edited_export_brings_its_edits(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, small(form))
    edit(repo, form)
    wanted = repo.at("HEAD")
    source = edited(repo, tmp_path, form)
    switch(repo, Head(None, repo.resolve("HEAD~1")))
    back = take(repo, source, form.name)
    assert back.staged
    staged = repo.staged()
    for key, sample in wanted.items():
        one, other = (
            _projected(version, form, s) for version, s in ((wanted, sample), (staged, staged[key]))
        )
        assert difference(one, other, form.holds.quantum) is None, key
        assert sample.split == staged[key].split
    old = repo.at("HEAD")
    for key in ("a.png", "d.png"):
        ids = [r.id for r in old[key].regions]
        if key == "a.png":
            assert [r.id for r in staged[key].regions] == ids


def _projected(version: Dataset, form: Format, sample: Sample) -> Sample:
    def fetch(blob: bytes) -> bytes:
        return version.objects.get(blob, Kind.BLOB)

    return Projection(form.holds, version.vocabulary, "category", fetch).project(sample)


@FORMS
def test_an_edited_export_that_is_here_already(
    repo: Repository, tmp_path: Path, form: Format
) -> None:
    load(repo, small(form))
    edit(repo, form)
    before = everything(repo)
    source = edited(repo, tmp_path, form)
    back = take(repo, source, form.name)
    assert everything(repo) == before
    assert not back.staged
