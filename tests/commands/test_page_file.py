"""Where pages go: older pages give way in one step, all other files stay."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sealed_world import World

from voyager.commands.page_file import check_page_file, write_page_file
from voyager.errors import ExistsError, NotFoundError
from voyager.samples import photo_paths
from voyager.store import files

PAGE = "<!doctype html>\n<p>old</p>"
COMMANDS = (
    "duplicates --html",
    "stats --html",
    "stats --compare HEAD --html",
    "guard check --html",
    "search hat --html",
    "show a.jpg --html",
    "diff --html",
    "diff --staged --html",
)


def test_a_page_is_replaced_when_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGE)

    def parts(*, stop: bool) -> Iterator[str]:
        yield "<!doctype html>"
        assert path.read_text() == PAGE
        if stop:
            raise ValueError
        yield "<p>é</p>"

    with pytest.raises(ValueError):
        write_page_file(path, parts(stop=True))
    assert path.read_text() == PAGE
    write_page_file(path, parts(stop=False))
    assert path.read_text(encoding="utf-8") == "<!doctype html><p>é</p>"
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_full_disk_leaves_the_older_page(world: World) -> None:
    path = world.path("page.html")
    path.write_text(PAGE)
    world.run("vgr init -q")

    def full(step: str, where: object, half: files.Half | None) -> None:
        if step == "write":
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "watch", full)
        result = world.run("vgr stats --html page.html")
    assert (result.code, "no space left on device: page.html" in result.err) == (5, True)
    assert path.read_text() == PAGE
    assert not list(world.cwd.glob("*.tmp"))


def test_a_link_stays_one_and_an_empty_file_is_nothing(tmp_path: Path) -> None:
    path, link = tmp_path / "page.html", tmp_path / "link.html"
    path.touch()
    link.symlink_to("page.html")
    write_page_file(link, [PAGE])
    assert link.is_symlink()
    assert path.read_text() == PAGE


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(path.read_text()))
    reader.start()
    write_page_file(path, [PAGE, "!"])
    reader.join()
    assert seen == [f"{PAGE}!"]


def test_other_files_and_folders_stay(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("notes")
    with pytest.raises(ExistsError, match="is no page"):
        check_page_file(path)
    with pytest.raises(ExistsError):
        write_page_file(path, [PAGE])
    with pytest.raises(NotFoundError, match="no folder"):
        write_page_file(tmp_path / "no" / "page.html", [PAGE])
    with pytest.raises(IsADirectoryError):
        write_page_file(tmp_path, [PAGE])
    assert path.read_text() == "notes"


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_replaces_a_photo(world: World, command: str) -> None:
    world.run("vgr init -q")
    shutil.copyfile(photo_paths()[0], world.path("a.jpg"))
    world.run("vgr add -q .")
    world.run("vgr commit -q -m one")
    result = world.run(f"vgr {command} a.jpg")
    assert (result.code, "'a.jpg' is there, and is no page" in result.err) == (4, True), result.text
    assert world.path("a.jpg").read_bytes() == photo_paths()[0].read_bytes()
