"""Exports made on several processes are those made on one, to the byte and to the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from label_repos import give, load

from voyager.errors import InvalidDataError
from voyager.formats import exporting, shares
from voyager.formats.chosen import Chosen
from voyager.formats.exporting import Exported
from voyager.formats.registry import format_named
from voyager.formats.report import Report
from voyager.formats.torture import torture_version
from voyager.formats.writing import WriteOptions, Writing
from voyager.repo import processes
from voyager.repo.repository import Repository
from voyager.schema import Keypoints, Polygon, Sample


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes for any two samples."""
    monkeypatch.setattr(shares, "_WORTH_FORKING", 2)
    monkeypatch.setattr(processes, "_processes", lambda: 3)


def written(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_shares_are_what_one_process_makes(
    repo: Repository, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(repo, torture_version(format_named("jsonl").holds))
    one = give(repo, tmp_path / "one", form)
    monkeypatch.setattr(shares, "_WORTH_FORKING", 2)
    monkeypatch.setattr(processes, "_processes", lambda: 3)
    several = give(repo, tmp_path / "several", form)
    assert written(tmp_path / "several") == written(tmp_path / "one")
    assert several.as_json() == {**one.as_json(), "path": str(tmp_path / "several")}


def writing_of(folder: Path) -> Writing:
    """A writer's view of the torture version."""
    version = torture_version(format_named("coco").holds)
    return Writing(version, folder, Chosen(version), WriteOptions(), report=Report())


@pytest.mark.usefixtures("several")
def test_each_process_makes_a_share_in_order(tmp_path: Path) -> None:
    import os

    writing = writing_of(tmp_path)

    def make(samples: Iterator[tuple[str, Sample]]) -> Iterator[Any]:
        for key, _ in samples:
            writing.report.add("lost", "something", key)
            yield key, os.getpid()

    made = list(writing.spread(make))
    assert [key for key, _ in made] == [key for key, _ in writing.samples()]
    assert len({process for _, process in made}) == 3
    assert writing.report.count("lost", "something") == len(made)


@pytest.mark.usefixtures("several")
def test_a_fault_in_a_share_is_raised(tmp_path: Path) -> None:
    writing = writing_of(tmp_path)

    def make(samples: Iterator[tuple[str, Sample]]) -> Iterator[Any]:
        for key, _ in samples:
            if key == list(writing.version)[-1]:
                raise InvalidDataError("no good", path=key)
            yield key

    with pytest.raises(InvalidDataError, match="no good"):
        list(writing.spread(make))


def test_what_a_writer_leaves_is_counted(repo: Repository, tmp_path: Path) -> None:
    version = torture_version(format_named("coco").holds)
    form = format_named("coco")
    writing = Writing(version, tmp_path, Chosen(version), WriteOptions(), report=Report())
    done = Exported(tmp_path, None, writing.report)
    writing.watch = exporting._Tally(form, writing, done)
    next(writing.samples())
    next(writing.samples(2))
    assert done.samples == 1
    writing.finish_watch()
    assert done.samples == len(version)


def test_geometries_are_found_in_the_bytes_of_rows(tmp_path: Path) -> None:
    writing = writing_of(tmp_path)
    assert writing.has_geometry(Polygon)
    assert writing.has_geometry(Keypoints) == any(
        isinstance(shape, Keypoints)
        for _, sample in writing.samples()
        for region in sample.regions
        for shape in region.geometries.values()
    )
