"""The public face: what `import voyager` offers and costs, and that its own example runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import voyager
from voyager import errors

FACE = [
    "Asset", "Box", "Change", "Committed", "ConflictError", "CorruptError", "Cuboid", "Dataset",
    "Edit", "Ellipse", "ExistsError", "Exported", "FileRow", "Geometry", "Group", "Image",
    "Imported", "InvalidDataError", "Keypoints", "Label", "Link", "Mask", "Merged",
    "MissingExtraError", "Node", "NotFoundError", "Points", "Polygon", "Polyline", "RefMoved",
    "Region", "RemoteError", "Repository", "RotatedBox", "Sample", "StateError", "Task", "Taxonomy",
    "UsageError", "Vocabulary", "VoyagerError", "__version__", "commit", "conflicts", "export",
    "import_labels", "init", "merge", "open", "resolve", "search",
    "sql",
]  # fmt: skip
"""Adding a name is a promise to keep it: change this list on purpose."""

_HEAVY = "numpy", "PIL", "typer", "rich", "click", "msgspec", "lmdb", "zstandard", "blake3"


def in_a_new_process(code: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_list() -> None:
    assert sorted(voyager.__all__) == voyager.__all__ == FACE
    for name in FACE:
        assert getattr(voyager, name) is not None
    assert set(FACE) <= set(dir(voyager))


def test_every_error_is_public() -> None:
    public = {name for name in FACE if isinstance(getattr(voyager, name), type)}
    kinds = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.VoyagerError)
    }
    assert kinds <= public


def test_every_geometry_is_public() -> None:
    from voyager.schema import GEOMETRIES

    classes = {cls.__name__ for cls in GEOMETRIES.values()}
    assert classes - {"UnknownGeometry"} <= set(FACE)


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'opne'"):
        getattr(voyager, "opne")  # noqa: B009 — as a name it would not type-check
    with pytest.raises(ImportError):
        from voyager import opne  # type: ignore[attr-defined] # noqa: F401


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, voyager; print(*sorted(sys.modules))"
    loaded = set(in_a_new_process(code).split())
    assert not loaded.intersection(_HEAVY)
    ours = {name for name in loaded if name.startswith("voyager")}
    assert ours == {"voyager", "voyager.version"}


def test_importing_it_is_cheap() -> None:
    code = """
import time
start = time.perf_counter()
import voyager
print(time.perf_counter() - start)
"""
    taken = sorted(float(in_a_new_process(code)) for _ in range(5))
    assert taken[1] < 0.010


def test_opening_a_repository_loads_no_command_and_no_pixels(tmp_path: Path) -> None:
    voyager.init(tmp_path / "r").close()
    code = f"""
import sys, voyager
with voyager.open({str(tmp_path / "r")!r}) as repo:
    len(repo.staged())
print(*sorted(sys.modules))
"""
    loaded = set(in_a_new_process(code).split())
    assert not loaded.intersection(("numpy", "PIL", "typer", "rich", "click"))
    assert not any(name.startswith(("voyager.commands", "voyager.cli")) for name in loaded)


def test_init_and_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(voyager.NotFoundError):
        voyager.open(tmp_path)
    with voyager.init(tmp_path / "r", branch="trunk") as repo:
        assert (repo.head.branch, repo.root) == ("trunk", tmp_path / "r")
    with pytest.raises(voyager.ExistsError):
        voyager.init(tmp_path / "r")
    with voyager.init(tmp_path / "bare.vgr", bare=True) as repo:
        assert repo.bare
        assert repo.root is None
    with voyager.init(tmp_path / "store", worktree=False) as repo:
        assert repo.root is None
    (tmp_path / "r" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "r" / "deep")
    with voyager.open() as repo:
        assert repo.root == tmp_path / "r"


def test_the_example_of_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voyager.samples import photo_paths

    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    with voyager.init(tmp_path / "clothes") as repo, repo.edit(message="first") as edit:
        for number, path in enumerate(photo_paths()[:3]):
            edit.add_image(f"train/hat/{number}.jpg", path.read_bytes(), split="train")
    text = voyager.__doc__ or ""
    example = "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "voyager.__doc__", "exec"), {})
    with voyager.open("clothes") as repo:
        assert {sample.split for _, sample in repo.at("main").items()} == {"test"}
        assert [change.parts for change in repo.diff("HEAD~1", "HEAD")] == [("split",)] * 3


def test_committing_what_is_staged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voyager.samples import photo_paths

    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    key = "hat/1.jpg"
    with voyager.init(tmp_path / "clothes") as repo:
        with repo.edit(message="first") as edit:
            edit.add_image(key, photo_paths()[0].read_bytes(), split="train")
        voyager.export(repo, tmp_path / "out.jsonl", "jsonl")
        text = (tmp_path / "out.jsonl").read_text()
        (tmp_path / "out.jsonl").write_text(text.replace('"train"', '"test"'))
        with repo.edit(message="here") as edit:
            edit[key] = edit[key].replace(split="val")
        assert voyager.import_labels(repo, tmp_path / "out.jsonl").conflicts == 1
        with pytest.raises(voyager.StateError):
            voyager.commit(repo, "not yet")
        voyager.resolve(repo, key, take="theirs")
        done = voyager.commit(repo, "as exported", author="Ben <ben@example.org>")
        assert done.commit == repo.head.commit
        assert repo.at("HEAD")[key].split == "test"
        (split,) = (one for one in repo.blame(key) if one.path == "split")
        assert split.commit is not None
        assert split.commit.author == "Ben <ben@example.org>"
        with pytest.raises(voyager.StateError, match="nothing to commit"):
            voyager.commit(repo, "again")
