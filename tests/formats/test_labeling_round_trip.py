"""docs/labeling-round-trip.md: what comes back from CVAT and Label Studio brings its edits alone.

The exported files are changed as the tools do it when they write them again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from label_repos import everything, give, load, save, take, words

from voyager.formats.base import Holds
from voyager.formats.torture import Builder, Limits
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.schema import Box, Group, Polygon, Region

BOXES = Holds(geometries=frozenset({"box", "polygon"}), attrs=True)
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
TRACKED = ("frame", "keyframe", "outside")


def photos(*, track: str | None = None) -> Dataset:
    """Three photos: two boxes and a polygon; a box; nothing. In a group where `track` is given."""
    builder = Builder(BOXES, Limits(classes=("cat", "dog", "cow"), splits=("train",)))
    attrs = {"age": "old"}
    state = None if track is None else "keyframe"
    boxes = [Box(1 / 3, 2, 20.5, 30.123456), Box(30, 5, 60, 40)]
    first = [
        builder.region(shape, number, attrs=attrs, track=track and f"{track}{number}",
                       frame_state=state)
        for number, shape in enumerate([*boxes, Polygon((((1, 1, 9.5, 1, 9, 9),),))])
    ]  # fmt: skip
    second = builder.region(
        Box(3, 4, 15, 16), 1, attrs=attrs, track=track and f"{track}0", frame_state=state
    )
    regions: list[list[Region]] = [first, [second], []]
    groups = [None if track is None else Group(id="clip", index=n) for n in range(3)]
    keys = ("x/a.png", "x/b.png", "c.png")
    return builder.version(
        {
            key: builder.sample(key, found, group=group)
            for key, found, group in zip(keys, regions, groups, strict=True)
        }
    )


# -- CVAT ----------------------------------------------------------------------------------------


def written_by_cvat(path: Path) -> Element:
    """The file as CVAT writes it: two decimals, its own numbers, sources and dates."""
    root = ElementTree.parse(path).getroot()
    for number, image in enumerate(root.iterfind("image"), 40):
        image.set("id", str(number))
    for number, track in enumerate(root.iterfind("track")):
        track.set("id", str(number))
        track.set("source", "file")
    for element in root.iter():
        for name, text in element.attrib.items():
            if name not in ("name", "label"):
                element.set(name, NUMBER.sub(lambda found: f"{float(found[0]):.2f}", text))
        if element.get("source") == "manual":
            element.set("source", "file")
        element.attrib.pop("state", None)
    task = root.find("meta/task")
    assert task is not None
    for name in ("vgr_frames", "subset"):
        for child in task.findall(name):
            task.remove(child)
    for name, text in (("id", "7"), ("name", "mine"), ("updated", "2026-02-03 04:05:06")):
        found = task.find(name)
        (ElementTree.SubElement(task, name) if found is None else found).text = text
    return root


def put(root: Element, path: Path) -> None:
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


@pytest.mark.parametrize("form", ["cvat", "label-studio"])
def test_an_unedited_file_brings_nothing(repo: Repository, tmp_path: Path, form: str) -> None:
    load(repo, photos())
    give(repo, tmp_path / "out", form)
    before = everything(repo)
    rewrite(form, tmp_path / "out")
    back = take(repo, tmp_path / "out", form)
    assert everything(repo) == before
    assert (back.samples, back.staged) == (3, False)


def rewrite(form: str, folder: Path) -> None:
    if form == "cvat":
        put(written_by_cvat(folder / "annotations.xml"), folder / "annotations.xml")
    else:
        tasks = written_by_label_studio(folder / "tasks.json")
        (folder / "tasks.json").write_text(json.dumps(tasks))


def test_edits_made_in_cvat_come_back(repo: Repository, tmp_path: Path) -> None:
    load(repo, photos())
    give(repo, tmp_path / "out", "cvat")
    path = tmp_path / "out" / "annotations.xml"
    root = written_by_cvat(path)
    images = {image.get("name"): image for image in root.iterfind("image")}
    moved, relabeled, polygon = list(images["x/a.png"])
    moved.set("xbr", "25.00")
    relabeled.set("label", "cow")
    images["x/a.png"].remove(polygon)
    fields = {"label": "dog", "source": "manual", "occluded": "1", "z_order": "0"}
    corners = {"xtl": "5.00", "ytl": "6.00", "xbr": "7.00", "ybr": "8.00"}
    ElementTree.SubElement(images["c.png"], "box", {**fields, **corners})
    put(root, path)
    check_edits(repo, tmp_path / "out", "cvat")
    assert repo.staged()["c.png"].regions[0].flags == ("occluded",)


def check_edits(repo: Repository, folder: Path, form: str) -> None:
    """One box moved, one relabeled, the polygon gone, a box more on the empty image."""
    old = repo.staged()
    back = take(repo, folder, form)
    assert back.base is not None
    assert (back.updated, back.added) == (2, 0)
    new = repo.staged()
    before, after = old["x/a.png"].regions, new["x/a.png"].regions
    assert [region.id for region in after] == [region.id for region in before[:2]]
    first = after[0].geometry
    assert isinstance(first, Box)
    assert first.x1 == pytest.approx(25)
    assert words(repo, "x/a.png") == ["cat", "cow"]
    assert after[1].geometry == before[1].geometry
    assert [region.attrs for region in after] == [{"age": "old"}] * 2
    assert new["x/b.png"] == old["x/b.png"]
    assert words(repo, "c.png") == ["dog"]
    save(repo, "Round of labeling")
    assert not take(repo, folder, form).staged


def test_tracks_edited_in_cvat_come_back(repo: Repository, tmp_path: Path) -> None:
    load(repo, photos(track="t"))
    give(repo, tmp_path / "out", "cvat-video")
    path = tmp_path / "out" / "annotations.xml"
    root = written_by_cvat(path)
    root.find("meta/task/name").text = "clip"  # type: ignore[union-attr] # as the recipe says
    track = root.find("track")
    assert track is not None
    shapes = list(track)
    shapes[0].set("xbr", "25.00")
    added = ElementTree.SubElement(track, "box", {**shapes[0].attrib, "frame": "2", "xtl": "5.00"})
    added.set("outside", "1")
    put(root, path)
    old = repo.staged()["x/a.png"].regions[0]
    back = take(repo, tmp_path / "out", "cvat-video")
    assert (back.regions_added, back.regions_removed) == (1, 0)
    first = repo.staged()["x/a.png"].regions[0]
    assert isinstance(first.geometry, Box)
    assert (first.id, first.geometry.x1) == (old.id, 25)
    (gone,) = repo.staged()["c.png"].regions
    assert (gone.track, gone.frame_state) == (first.track, "outside")


# -- Label Studio --------------------------------------------------------------------------------


def written_by_label_studio(path: Path) -> list[dict[str, Any]]:
    """The tasks as Label Studio writes them: numbered, dated, by the one who imported them."""
    tasks: list[dict[str, Any]] = json.loads(path.read_text())
    for number, task in enumerate(tasks, 500):
        books = {"id": number, "inner_id": number, "file_upload": "x.json", "drafts": []}
        task |= {**books, "meta": {}, "project": 3, "updated_at": "2026-02-03T04:05:06Z"}
        for annotation in task["annotations"]:
            annotation |= {"id": number, "completed_by": 1, "was_cancelled": False}
            annotation |= {"ground_truth": False, "lead_time": 7.5, "unique_id": f"u{number}"}
            for result in annotation["result"]:
                result["origin"] = "manual"
    return tasks[::-1]


def test_edits_made_in_label_studio_come_back(repo: Repository, tmp_path: Path) -> None:
    load(repo, photos())
    give(repo, tmp_path / "out", "label-studio")
    path = tmp_path / "out" / "tasks.json"
    tasks = written_by_label_studio(path)
    by_key = {task["data"]["vgr_key"]: task for task in tasks}
    (annotation,) = by_key["x/a.png"]["annotations"]
    shapes = [result for result in annotation["result"] if result["type"].endswith("labels")]
    moved, relabeled, polygon = shapes
    moved["value"]["width"] = 25 / 64 * 100 - moved["value"]["x"]
    relabeled["value"]["rectanglelabels"] = ["cow"]
    annotation["result"] = [
        result for result in annotation["result"] if result["id"] != polygon["id"]
    ]
    value = {"x": 5, "y": 6, "width": 7, "height": 8, "rotation": 0, "rectanglelabels": ["dog"]}
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    drawn = {"id": "aB3xYz90Qp", "type": "rectanglelabels", "from_name": "category_rectangle"}
    result = {**drawn, "to_name": "image", "origin": "manual", "value": value, **size}
    by_key["c.png"]["annotations"] = [{"id": 9, "completed_by": 1, "result": [result]}]
    path.write_text(json.dumps(tasks))
    check_edits(repo, tmp_path / "out", "label-studio")
    origin = repo.staged()["c.png"].regions[0].origin
    assert origin is not None
    assert origin.id == "aB3xYz90Qp"


def test_relations_come_in_as_links_of_the_sample(repo: Repository, tmp_path: Path) -> None:
    load(repo, photos())
    give(repo, tmp_path / "out", "label-studio")
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())
    (task,) = (task for task in tasks if task["data"]["vgr_key"] == "x/a.png")
    result = task["annotations"][0]["result"]
    one, two = (r["id"] for r in result if r["type"] == "rectanglelabels")
    relation = {"type": "relation", "from_id": one, "to_id": two, "direction": "right"}
    result.append({**relation, "labels": ["beside"]})
    task["data"] = {"image": "https://example.org/new.png"}
    (tmp_path / "new.json").write_text(json.dumps([task]))
    take(repo, tmp_path / "new.json", "label-studio")
    sample = repo.staged()["new.png"]
    (link,) = (link for region in sample.regions for link in region.links)
    assert (link.kind, link.uid) == ("beside", sample.uid)
    assert link.region in {region.id for region in sample.regions}
