"""Exports in a real repository: an unedited one brings nothing back, an edited one its edits."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
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

from voyager.errors import ExistsError, InvalidDataError, NotFoundError, StateError, UsageError
from voyager.formats.base import RECORD_NAME, Format
from voyager.formats.difference import difference
from voyager.formats.exporting import export
from voyager.formats.projection import Projection
from voyager.formats.random_versions import versions
from voyager.formats.registry import detect, format_named
from voyager.formats.torture import Builder, Limits, torture_version
from voyager.formats.writing import Writing
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.repo.switch import switch
from voyager.schema import Box, Ellipse, Group, Label, Points, Polygon, Sample
from voyager.schema.rle import mask_of_array
from voyager.store.ids import Kind
from voyager.store.refs import Head

EVERYTHING = format_named("jsonl").holds
FORMS = pytest.mark.parametrize("form", formats(), ids=lambda form: form.name)


def check_law(repo: Repository, folder: Path, form: Format, **options: Any) -> None:
    """Export, import, and nothing changed."""
    before = everything(repo)
    assert give(repo, folder, form.name, **options).samples
    assert detect(folder)[0] is form
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


# -- what is counted ------------------------------------------------------------------------------


@FORMS
def test_counts_are_of_what_was_written(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, torture_version(EVERYTHING))
    version = repo.at("HEAD")
    done = give(repo, tmp_path / "out", form.name)
    kept = Projection(
        form.holds,
        version.vocabulary,
        "category",
        lambda blob: version.objects.get(blob, Kind.BLOB),
    )
    found = [kept.project(sample) for _, sample in version.items() if kept.keeps(sample)]
    assert done.samples == len(found)
    assert done.regions == sum(len(sample.regions) for sample in found)
    if not form.holds.other_tasks:  # else some are written as attributes
        said = [one for sample in found for one in (sample, *sample.regions)]
        assert done.labels == sum(len(one.labels) for one in said)


def test_regions_that_have_no_place_are_not_counted(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    done = give(repo, tmp_path / "out", "folders")
    assert (done.samples, done.regions, done.labels) == (4, 0, 0)
    assert done.report.count("lost") == 4
    assert done.as_json()["regions"] == 0


def test_yolo_of_labels_of_images(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("folders")))
    change(repo, "a.png", split="train")
    change(repo, "b.png", split="val")
    change(repo, "c.png", labels=(), split="train")
    save(repo)
    done = give(repo, tmp_path / "plain", "yolo")
    assert (done.labels, done.report.count("lost", "a label of task 'category'")) == (0, 3)
    assert done.hint is not None and "--set kind=classify" in done.hint
    done = give(repo, tmp_path / "out", "yolo", settings={"kind": "classify"})
    assert (done.samples, done.labels, done.hint) == (3, 3, None)
    assert done.report.count("lost", "an image without labels") == 1
    version = repo.staged()
    word = {key: version.vocabulary.word(version[key].labels[0]) for key in ("a.png", "b.png")}
    assert (tmp_path / "out" / "train" / word["a.png"] / "a.png").is_file()
    assert (tmp_path / "out" / "val" / word["b.png"] / "b.png").is_file()
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
    before = everything(repo)
    assert detect(tmp_path / "out")[0].name == "folders"
    assert not take(repo, tmp_path / "out", "folders").staged
    assert everything(repo) == before


def test_what_a_writer_leaves_out_is_not_counted(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    key = next(iter(repo.staged()))
    changed_region(repo, key, 0, geometries={"mask": mask_of_array(np.zeros((48, 64), bool))})
    save(repo)
    done = give(repo, tmp_path / "out", "yolo")
    assert done.report.count("lost", "a geometry that covers nothing") == 1
    written = [path.read_text() for path in (tmp_path / "out").rglob("labels/**/*.txt")]
    assert done.regions == done.labels == sum(text.count("\n") for text in written) == 3


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
    load(repo, small(form))
    check_law(repo, repo.tree() / "exports" / "out", form)


@FORMS
@pytest.mark.parametrize("images", ["none", "link"])
def test_law_without_copies_of_images(
    repo: Repository, tmp_path: Path, form: Format, images: str
) -> None:
    load(repo, small(form))
    check_law(repo, tmp_path / "out", form, images=images)


@FORMS
def test_law_of_a_part(repo: Repository, tmp_path: Path, form: Format) -> None:
    load(repo, small(form))
    check_law(repo, tmp_path / "some", form, where="key < 'c' and width = 64")
    check_law(repo, tmp_path / "one", form, keys=["a.*", "d.png"])


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


@pytest.mark.deep
@FORMS
def test_law_of_random_versions(tmp_path: Path, _author: None, form: Format) -> None:
    @settings(max_examples=25, deadline=None, derandomize=True, database=None)
    @given(versions(EVERYTHING) | versions(form.holds))
    def check(version: Dataset) -> None:
        with tempfile.TemporaryDirectory() as name, Repository.init(Path(name) / "work") as repo:
            load(repo, version)
            if form.holds.group:  # samples without a group are left out, here all of them
                return
            check_law(repo, Path(name) / "out", form)

    check()


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


# -- edited exports of COCO, by hand ---------------------------------------------------------------


def edit_file(path: Path, edit: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


@pytest.fixture
def exported(repo: Repository, tmp_path: Path) -> Path:
    """The COCO file of three photos with two boxes each, said by a person."""
    made = Coco("cat", "dog")
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "source", name)
        image = made.image(name)
        made.box(image, 2, 3, 20, 10, category=1)
        made.box(image, 30, 20, 12, 14, category=2)
    take(repo, made.write(tmp_path / "source" / "labels.json"), source="human:ann")
    save(repo)
    give(repo, tmp_path / "out" / "labels.json")
    return tmp_path / "out" / "labels.json"


def test_edits_of_both_sides_come_together(repo: Repository, exported: Path) -> None:
    node = repo.staged()["a.png"].regions[1].labels[0].node
    changed_region(repo, "a.png", 1, geometries={"box": Box(30, 20, 42, 35)})
    change(repo, "b.png", regions=repo.staged()["b.png"].regions[:1])

    def work(value: Any) -> None:
        rows = value["annotations"]
        rows[0]["bbox"] = [3, 3, 20, 10]
        rows[0].pop("area")
        rows[2]["category_id"] = 2
        del rows[5]

    edit_file(exported, work)
    done = take(repo, exported)
    assert (done.updated, done.regions_changed, done.regions_removed) == (3, 2, 1)
    a, b, c = (repo.staged()[key] for key in ("a.png", "b.png", "c.png"))
    assert [r.geometry for r in a.regions] == [Box(3, 3, 23, 13), Box(30, 20, 42, 35)]
    assert [label.node for label in b.regions[0].labels] == [node]
    assert b.regions[0].labels[0].source == "human:ann"  # whoever said it is corrected
    assert (len(b.regions), len(c.regions)) == (1, 1)
    assert not take(repo, exported).staged


def test_both_sides_changed_one_thing(repo: Repository, exported: Path) -> None:
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 15)})
    before = everything(repo)
    edit_file(exported, lambda value: value["annotations"][0].update(bbox=[3, 3, 20, 10]))
    with pytest.raises(StateError, match=r"changed both here and in the file.*a\.png") as caught:
        take(repo, exported)
    assert caught.value.hint is not None
    assert "vgr switch -c" in caught.value.hint
    assert everything(repo) == before


def test_both_sides_relabelled(repo: Repository, exported: Path) -> None:
    region = repo.staged()["a.png"].regions[0]
    dog = repo.staged()["a.png"].regions[1].labels
    edit_file(exported, lambda value: value["annotations"][0].update(category_id=2))
    changed_region(repo, "a.png", 0, labels=dog)
    assert not take(repo, exported).updated  # the same
    changed_region(repo, "a.png", 0, labels=())
    with pytest.raises(StateError, match=r"a\.png regions/\w+/labels/category"):
        take(repo, exported)
    changed_region(repo, "a.png", 0, labels=region.labels)
    assert take(repo, exported).updated == 1


def test_a_model_is_overruled_not_corrected(repo: Repository, exported: Path) -> None:
    label = repo.staged()["a.png"].regions[0].labels[0].replace(source="model:m", score=0.5)
    changed_region(repo, "a.png", 0, labels=(label,))
    save(repo)
    give(repo, exported, force=True)
    edit_file(exported, lambda value: value["annotations"][0].update(category_id=2))
    take(repo, exported)
    labels = repo.staged()["a.png"].regions[0].labels
    assert [one.source for one in labels] == ["model:m", "import"]
    assert repo.staged().vocabulary.answer("category", labels).label == labels[1]


def test_what_the_format_cannot_hold_is_never_taken_away(
    repo: Repository, exported: Path, tmp_path: Path
) -> None:
    region = repo.staged()["a.png"].regions[0]
    shapes = {"whole": Ellipse(20, 20, 10, 5, 0.5), "points": Points((4, 5))}
    said = Label(task="colour", value="red", source="human")
    with repo.edit("a task") as edit:
        edit.vocabulary.define("colour", kind="text")
    changed_region(
        repo,
        "a.png",
        0,
        geometries=shapes,
        primary="whole",
        labels=(*region.labels, said),
        state="verified",
        flags=("occluded",),
    )
    change(repo, "a.png", meta={"iso": 100}, negatives={})
    save(repo)
    before = repo.staged()["a.png"]
    out = tmp_path / "second" / "labels.json"
    give(repo, out)
    edit_file(out, lambda value: value["annotations"][0].update(category_id=2))
    take(repo, out)
    after = repo.staged()["a.png"]
    node = after.regions[1].labels[0].node
    labels = (region.labels[0].replace(node=node), said)
    assert after == before.replace(
        regions=(before.regions[0].replace(labels=labels), *before.regions[1:])
    )
    edit_file(out, lambda value: value["annotations"][0].update(segmentation=[[1, 1, 9, 1, 9, 9]]))
    take(repo, out)
    drawn = repo.staged()["a.png"].regions[0]
    assert drawn.geometries == {
        "points": Points((4, 5)),
        "whole": Polygon((((1, 1, 9, 1, 9, 9),),)),
    }
    assert drawn.primary_role == "whole"


def test_samples_that_moved_or_went_since(repo: Repository, exported: Path) -> None:
    move(repo, ["a.png"], "new/a.png")
    save(repo)
    with repo.edit("b goes") as edit:
        del edit["b.png"]
    before = everything(repo)
    assert not take(repo, exported).staged
    assert everything(repo) == before
    edit_file(exported, lambda value: value["annotations"][0].update(bbox=[3, 3, 20, 10]))
    take(repo, exported)
    assert list(repo.staged()) == ["c.png", "new/a.png"]
    assert repo.staged()["new/a.png"].regions[0].geometry == Box(3, 3, 23, 13)
    edit_file(exported, lambda value: value["annotations"][2].update(bbox=[3, 3, 20, 10]))
    with pytest.raises(StateError, match=r"b\.png \(removed here\)"):
        take(repo, exported)


def test_an_image_that_the_file_dropped_stays(repo: Repository, exported: Path) -> None:
    before = everything(repo)

    def drop(value: Any) -> None:
        value["images"].pop()
        del value["annotations"][4:]

    edit_file(exported, drop)
    done = take(repo, exported)
    assert everything(repo) == before
    assert kinds(done.report, "extra")["an exported image is not in the file: left as it is"] == 1


def test_a_file_that_was_written_anew_by_another_tool(repo: Repository, exported: Path) -> None:
    def work(value: Any) -> None:
        for number, row in enumerate(reversed(value["annotations"])):
            row["id"] = number + 500  # renumbered
        value["annotations"].reverse()
        value["images"].reverse()
        value["categories"].reverse()
        for row in value["annotations"]:
            row["area"] += 1e-7
            row["iscrowd"] = False

    before = everything(repo)
    edit_file(exported, work)
    assert not take(repo, exported).updated
    assert everything(repo) == before


def test_an_export_of_another_task(repo: Repository, tmp_path: Path) -> None:
    made = Coco("red", "blue")
    made.box(made.image("a.png"), 1, 2, 3, 4)
    photo(tmp_path / "in", "a.png")
    take(repo, made.write(tmp_path / "in" / "labels.json"), task="colour")
    save(repo)
    before = everything(repo)
    for folder, options in (("one", {}), ("two", {"task": "colour"})):
        give(repo, tmp_path / folder, **options)
        assert not take(repo, tmp_path / folder).staged
        assert everything(repo) == before
    out = tmp_path / "two" / "annotations" / "instances.json"
    edit_file(out, lambda value: value["annotations"][0].update(category_id=2))
    assert take(repo, tmp_path / "two").updated == 1


# -- records --------------------------------------------------------------------------------------


def test_the_record(repo: Repository, exported: Path) -> None:
    record = json.loads((exported.parent / f"labels.json.{RECORD_NAME}").read_text())
    assert record["commit"] == repo.at("HEAD").commit.hex()  # type: ignore[union-attr]
    assert (record["format"], record["file_name"], record["task"]) == (
        "coco",
        "labels.json",
        "category",
    )
    (name,) = repo.store.values("exports/")
    assert json.loads(repo.store.value(name)["record"]) == record


def test_an_export_without_classes_is_known_by_its_record(repo: Repository, tmp_path: Path) -> None:
    builder = Builder(EVERYTHING, Limits())
    load(repo, builder.version({key: builder.sample(key, []) for key in ("a.png", "b.png")}))
    check_law(repo, tmp_path / "out", format_named("folders"))
    assert RECORD_NAME in detect(tmp_path / "out")[1].why
    assert not kinds(take(repo, tmp_path / "out", "folders").report, "lost")


def test_an_exporter_that_writes_otherwise_now(repo: Repository, exported: Path) -> None:
    path = exported.parent / f"labels.json.{RECORD_NAME}"
    path.write_text(path.read_text().replace('"digest": "', '"digest": "00'))
    with pytest.raises(StateError, match="is not written as it was") as caught:
        take(repo, exported)
    assert "--base" in (caught.value.hint or "")
    assert not take(repo, exported, base="HEAD").staged


def test_an_export_of_another_repository(repo: Repository, exported: Path, tmp_path: Path) -> None:
    with Repository.init(tmp_path / "other") as other:
        done = take(other, exported)
        assert (done.base, done.added, kinds(done.report, "guessed")) == (None, 3, {})
        assert list(other.staged()) == list(repo.staged())  # not images/a.png
        edit_file(exported, lambda value: value["annotations"][0].update(category_id=2))
        again = take(other, exported)
        assert again.updated == 1
        assert sum(kinds(again.report, "guessed").values()) == 1


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": "coco"}', '{"format": 1, "names": 3}', "\xff"]
)
def test_a_damaged_record(repo: Repository, exported: Path, text: str) -> None:
    path = exported.parent / f"labels.json.{RECORD_NAME}"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidDataError, match="record") as caught:
        take(repo, exported)
    assert caught.value.path


def test_what_is_staged_is_exported_but_not_recorded(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    change(repo, "a.png", regions=())
    done = export(repo, repo.staged(), tmp_path / "out", format_named("coco"))
    assert done.regions == 3
    assert done.commit is None
    assert not (tmp_path / "out" / RECORD_NAME).exists()


# -- where it is written --------------------------------------------------------------------------


def test_a_folder_that_is_not_empty(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    (tmp_path / "out").mkdir()
    give(repo, tmp_path / "out")  # empty is fine
    (tmp_path / "out" / "mine.txt").write_text("mine")
    old = (tmp_path / "out" / "annotations" / "instances.json").read_bytes()
    change(repo, "a.png", regions=())
    save(repo)
    with pytest.raises(ExistsError, match="not empty"):
        give(repo, tmp_path / "out")
    assert (tmp_path / "out" / "annotations" / "instances.json").read_bytes() == old
    give(repo, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "out" / "annotations" / "instances.json").read_bytes() != old
    with pytest.raises(ExistsError, match="is a file"):
        give(repo, tmp_path / "out" / "mine.txt", "voc")


def test_one_file_is_replaced_only_by_force(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    out = tmp_path / "new" / "labels.json"
    give(repo, out, images="none")
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "labels.json",
        f"labels.json.{RECORD_NAME}",
    ]
    with pytest.raises(ExistsError):
        give(repo, out)
    give(repo, out, force=True, images="none")


def failing(error: Exception) -> Format:
    def write(writing: Writing) -> None:
        with writing.open("one.txt") as file:
            file.write("half")
        for key, sample in writing.samples():
            writing.image(key, sample, key)
        raise error

    return replace(format_named("coco"), write=write)


@pytest.mark.parametrize(
    "error", [InvalidDataError("no"), OSError(28, "full"), KeyboardInterrupt()]
)
def test_an_error_midway_leaves_nothing(repo: Repository, tmp_path: Path, error: Exception) -> None:
    load(repo, small(format_named("coco")))
    for out in (tmp_path / "out", tmp_path / "out.json"):
        with pytest.raises(type(error)):
            export(repo, repo.at("HEAD"), out, failing(error))
        assert not out.exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(type(error)):
        export(repo, repo.at("HEAD"), tmp_path / "full", failing(error), force=True)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    assert not list(repo.store.values("exports/"))


def test_strict_refuses_what_would_be_lost(repo: Repository, tmp_path: Path) -> None:
    load(repo, torture_version(EVERYTHING))
    with pytest.raises(InvalidDataError, match="lost"):
        give(repo, tmp_path / "out", "folders", strict=True)
    assert not (tmp_path / "out").exists()
    done = give(repo, tmp_path / "out", "folders")
    assert json.loads(json.dumps(done.as_json()))["report"][0]["class"] == "lost"


def test_images_are_copied_linked_or_left_out(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    (repo.tree() / "b.png").write_bytes((repo.tree() / "c.png").read_bytes())  # edited
    own = repo.at("HEAD").image_bytes("b.png")
    for images, links in (("copy", 1), ("link", 2)):
        give(repo, tmp_path / images, images=images)
        folder = tmp_path / images / "images"
        assert os.stat(folder / "a.png").st_nlink == links
        assert os.stat(folder / "b.png").st_nlink == 1
        assert (folder / "b.png").read_bytes() == own
    give(repo, tmp_path / "none", images="none")
    assert not list((tmp_path / "none").rglob("*.png"))


def test_settings_and_directions(repo: Repository, tmp_path: Path) -> None:
    load(repo, small(format_named("coco")))
    with pytest.raises(UsageError, match="no setting 'nonsense'"):
        give(repo, tmp_path / "out", settings={"nonsense": "1"})
    with pytest.raises(UsageError, match="only be read"):
        export(repo, repo.at("HEAD"), tmp_path / "out", replace(format_named("coco"), write=None))
    with pytest.raises(NotFoundError, match="no category task 'size'"):
        give(repo, tmp_path / "out", task="size")
    assert not (tmp_path / "out").exists()


def test_a_jsonl_export_needs_no_task(repo: Repository, tmp_path: Path) -> None:
    for task in ("colour", "size"):
        made = Coco("x")
        made.box(made.image("a.png"), 1, 2, 3, 4)
        take(repo, made.write(tmp_path / f"{task}.json"), task=task)
    save(repo)
    with pytest.raises(UsageError, match="which task"):
        give(repo, tmp_path / "out")
    check_law(repo, tmp_path / "out", format_named("jsonl"))
