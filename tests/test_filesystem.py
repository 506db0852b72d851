"""`vgr://` as fsspec and its users see it."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.cached import SimpleCacheFileSystem
from PIL import Image

from voyager.errors import NotFoundError
from voyager.filesystem import VoyagerFileSystem
from voyager.repo.add import add
from voyager.repo.branches import create
from voyager.repo.commit import commit
from voyager.repo.purge import purge_blobs
from voyager.repo.repository import Repository
from voyager.repo.tags import create_tag
from voyager.samples import photo_paths
from voyager.store.ids import blob_id

PHOTOS = [path.read_bytes() for path in photo_paths()[:4]]
KEYS = {
    "README.md": b"# Clothes\n",
    "train/hat/1.jpg": PHOTOS[0],
    "train/hat/1@2x.jpg": PHOTOS[1],
    "train/shoes/a b [1].jpg": PHOTOS[2],
}


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    """Two versions: v1, and main, which has one photo more and another README."""
    with Repository.init(tmp_path / "clothes") as repo:
        save(repo, KEYS)
        create_tag(repo, "v1", repo.resolve("HEAD"))
        create(repo, "feature/x", repo.resolve("HEAD"))
        save(repo, {"test/4.jpg": PHOTOS[3], "README.md": b"# More clothes\n"})
        yield repo


@pytest.fixture
def fs(repo: Repository) -> VoyagerFileSystem:
    VoyagerFileSystem.clear_instance_cache()
    found = fsspec.filesystem("vgr")
    assert isinstance(found, VoyagerFileSystem)
    return found


def save(repo: Repository, content: dict[str, bytes]) -> None:
    for key, data in content.items():
        path = repo.tree() / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    add(repo, ["."], cwd=repo.tree())
    commit(repo, "saved")


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def url(repo: Repository, rest: str = "") -> str:
    return f"vgr://{repo.tree()}{rest}"


def test_open(repo: Repository) -> None:
    with fsspec.open(url(repo, "@v1/README.md")) as file:
        assert file.read() == KEYS["README.md"]
    with fsspec.open(url(repo, "/README.md"), "rt") as text:
        assert text.read() == "# More clothes\n"
    with fsspec.open(url(repo, "@main/train/hat/1.jpg")) as file, Image.open(file) as image:
        image.load()
        assert (image.format, image.size) == ("JPEG", size_of(photo_paths()[0]))


def test_relative_paths(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repo.tree().parent)
    with fsspec.open("vgr://clothes@v1/README.md") as file:
        assert file.read() == KEYS["README.md"]


@pytest.mark.parametrize("key", KEYS)
def test_every_key(repo: Repository, fs: VoyagerFileSystem, key: str) -> None:
    path = url(repo, f"@v1/{key}")
    assert fs.cat_file(path) == KEYS[key]  # `cat` takes brackets for a pattern
    assert fs.info(path) == {
        "name": f"{repo.tree()}@v1/{key}",
        "size": len(KEYS[key]),
        "type": "file",
        "blob": blob_id(KEYS[key]).hex(),
    }
    assert (fs.exists(path), fs.isfile(path), fs.isdir(path)) == (True, True, False)
    assert fs.ukey(path) == blob_id(KEYS[key]).hex()
    assert fs.cat_file(path, 2, 5) == KEYS[key][2:5]
    assert fs.cat_file(url(repo, f"/{key}")) == (repo.tree() / key).read_bytes()


def test_listing(repo: Repository, fs: VoyagerFileSystem) -> None:
    top = f"{repo.tree()}@v1"
    assert fs.ls(url(repo, "@v1"), detail=False) == [f"{top}/README.md", f"{top}/train"]
    assert fs.ls(url(repo, "@v1/"), detail=False) == fs.ls(top, detail=False)
    assert [each["type"] for each in fs.ls(f"{top}/train")] == ["directory", "directory"]
    assert fs.ls(f"{top}/train/hat/1.jpg", detail=False) == [f"{top}/train/hat/1.jpg"]
    assert fs.isdir(f"{top}/train") and fs.isdir(top)
    assert len(fs.ls(url(repo))) == 3
    assert fs.find(f"{top}/train") == [f"{top}/{key}" for key in KEYS if key.startswith("train/")]
    assert fs.find(f"{top}/README.md") == [f"{top}/README.md"]
    assert set(fs.find(top, withdirs=True)) > set(fs.find(top))
    assert fs.du(top) == sum(map(len, KEYS.values()))


def test_glob(repo: Repository, fs: VoyagerFileSystem) -> None:
    top = f"{repo.tree()}@v1"
    assert fs.glob(url(repo, "@v1/train/*/1*.jpg")) == [
        f"{top}/train/hat/1.jpg",
        f"{top}/train/hat/1@2x.jpg",
    ]
    assert len(fs.glob(f"{top}/**/*.jpg")) == 3
    found = fsspec.open_files(url(repo, "@v1/train/hat/*.jpg"))
    assert [file.open().read() for file in found] == PHOTOS[:2]


def test_get_and_a_cache_on_top(repo: Repository, fs: VoyagerFileSystem, tmp_path: Path) -> None:
    fs.get(url(repo, "@v1/train"), str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out" / "hat" / "1@2x.jpg").read_bytes() == PHOTOS[1]
    with fsspec.open(f"simplecache::{url(repo, '@v1/train/hat/1.jpg')}") as file:
        assert file.read() == PHOTOS[0]
    cached = SimpleCacheFileSystem(fs=fs, cache_storage=str(tmp_path / "cache"))
    assert cached.cat(f"{repo.tree()}@v1/train/hat/1.jpg") == PHOTOS[0]


@pytest.mark.parametrize("revision", ["HEAD~1", "main~1", "@{1}", "main@{1}", "feature/x", "v1"])
def test_revisions(repo: Repository, fs: VoyagerFileSystem, revision: str) -> None:
    assert fs.cat(url(repo, f"@{revision}/README.md")) == KEYS["README.md"]
    assert fs.find(url(repo, f"@{revision}/train/hat"))
    by_id = repo.resolve(revision).hex()
    assert fs.cat(url(repo, f"@{by_id}/README.md")) == KEYS["README.md"]


def test_a_branch_goes_on(repo: Repository, fs: VoyagerFileSystem) -> None:
    assert fs.cat(url(repo, "@main/README.md")) == b"# More clothes\n"
    save(repo, {"README.md": b"third"})
    assert fs.cat(url(repo, "@main/README.md")) == b"third"
    assert fs.cat(url(repo, "/README.md")) == b"third"
    assert fs.cat(url(repo, "@main~1/README.md")) == b"# More clothes\n"


def test_folders_with_at_signs(fs: VoyagerFileSystem, tmp_path: Path) -> None:
    with Repository.init(tmp_path / "a@b" / "set@2") as repo:
        save(repo, {"x@y/z.txt": b"odd"})
    for rest in ("", "@main", "@HEAD"):
        assert fs.cat(f"vgr://{tmp_path}/a@b/set@2{rest}/x@y/z.txt") == b"odd"


def test_a_repository_in_another(repo: Repository, fs: VoyagerFileSystem) -> None:
    with Repository.init(repo.tree() / "inner") as inner:
        save(inner, {"x.txt": b"inner"})
    assert fs.cat(url(repo, "/inner@main/x.txt")) == b"inner"
    assert fs.cat(url(repo, "/inner/x.txt")) == b"inner"


@pytest.mark.parametrize(
    "rest", ["@v1/none.jpg", "@v1/train/none", "/none", "@none/README.md", "@v1/README.md/x"]
)
def test_what_is_not_there(repo: Repository, fs: VoyagerFileSystem, rest: str) -> None:
    for look in (fs.info, fs.ls, fs.cat, fs.open):
        with pytest.raises(FileNotFoundError):
            look(url(repo, rest))
    assert not fs.exists(url(repo, rest))


def test_no_repository(fs: VoyagerFileSystem, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no repository"):
        fs.cat(f"vgr://{tmp_path}/none@main/x")
    with pytest.raises(FileNotFoundError):
        fs.ls("vgr://")
    with pytest.raises(FileNotFoundError):
        fs.ls(f"vgr://{'x' * 5000}\0/y")


def test_a_folder_is_no_file(repo: Repository, fs: VoyagerFileSystem) -> None:
    for rest in ("@v1/train", "@v1", ""):
        with pytest.raises(IsADirectoryError):
            fs.open(url(repo, rest))


def test_purged_images(repo: Repository, fs: VoyagerFileSystem) -> None:
    purge_blobs(repo, [blob_id(PHOTOS[0])], "asked to")
    VoyagerFileSystem.clear_instance_cache()
    fresh = fsspec.filesystem("vgr")
    path = url(repo, "@v1/train/hat/1.jpg")
    assert path.removeprefix("vgr://") not in fresh.find(url(repo, "@v1"))
    assert len(fresh.ls(url(repo, "@v1/train/hat"))) == 1
    with pytest.raises(FileNotFoundError, match="not in the repository"):
        fresh.open(path)
    with pytest.raises((FileNotFoundError, NotFoundError)):
        fs.cat(path)


def test_nothing_is_written(repo: Repository, fs: VoyagerFileSystem, tmp_path: Path) -> None:
    path = url(repo, "@main/new.jpg")
    for write in (
        lambda: fs.open(path, "wb"),
        lambda: fs.pipe(path, b"x"),
        lambda: fs.mkdir(path),
        lambda: fs.makedirs(path),
        lambda: fs.rm(url(repo, "@main/README.md")),
        lambda: fs.mv(url(repo, "@main/README.md"), path),
        lambda: fs.touch(path),
        lambda: fs.put(str(photo_paths()[0]), path),
    ):
        with pytest.raises(OSError, match="never written"):
            write()


def test_big_files_go_through_a_temporary_one(
    repo: Repository, fs: VoyagerFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voyager.filesystem._IN_MEMORY", 1000)
    with fs.open(url(repo, "@v1/train/hat/1.jpg")) as file:
        file.seek(100)
        assert file.read(50) == PHOTOS[0][100:150]


def test_it_travels(repo: Repository, fs: VoyagerFileSystem) -> None:
    path = url(repo, "@v1/train/hat/1.jpg")
    assert fs.cat(path) == PHOTOS[0]
    assert pickle.loads(pickle.dumps(fs)).cat(path) == PHOTOS[0]
    child = os.fork()
    if not child:
        os._exit(0 if fs.cat(path) == PHOTOS[0] else 1)
    assert os.waitpid(child, 0)[1] == 0
