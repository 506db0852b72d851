"""What command bodies print, where, and when they keep quiet."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from sealed_world import World

from voyager.commands import context as module
from voyager.commands.context import Context
from voyager.errors import NotFoundError
from voyager.repo.layout import find_folder


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_say_and_show(capsys: pytest.CaptureFixture[str]) -> None:
    ctx = Context()
    ctx.say("did")
    ctx.show("answer")
    ctx.quiet = True
    ctx.say("hidden")
    ctx.show("still")
    ctx.json = True
    ctx.show("hidden")
    ctx.warn("look")
    assert capsys.readouterr() == ("did\nanswer\nstill\n", "warning: look\n")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    ctx = Context()
    ctx.emit({"key": "ä", "n": [1]})
    ctx.emit_line({"key": "ä", "n": [1]})
    assert capsys.readouterr().out == (
        '{\n  "key": "ä",\n  "n": [\n    1\n  ]\n}\n{"key":"ä","n":[1]}\n'
    )


def test_bytes(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    ctx = Context()
    ctx.show("a")
    ctx.write(b"\xff\x00")
    sys.stdout.flush()
    assert capsysbinary.readouterr().out == b"a\n\xff\x00"


def test_colour_only_where_it_shows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Context().style("x", "red") == "x"
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    assert Context().style("x", "bold", "red") == "\x1b[1;31mx\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Context().style("x", "red") == "x"


def test_skips(capsys: pytest.CaptureFixture[str]) -> None:
    ctx = Context()
    assert ctx.done_with_skips([]) == 0
    assert ctx.done_with_skips([("a.jpg", "not an image")]) == 10
    assert capsys.readouterr().err == "warning: skipped a.jpg: not an image\n"


def test_no_bar_without_a_terminal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BAR_AFTER", 0.0)
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    Context().progress("adding")(1, 2)
    assert err.getvalue() == ""


def test_a_bar_comes_late_and_goes_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    ctx = Context()
    progress = ctx.progress("adding")
    progress(1, 10)
    assert err.getvalue() == ""
    monkeypatch.setattr(module, "_BAR_AFTER", 0.0)
    progress = ctx.progress("adding")
    for done in range(3):
        progress(done, None if done == 0 else 10)
    ctx.say("done")
    assert "adding" in err.getvalue()
    quiet = Context()
    quiet.no_progress = True
    assert quiet.progress("x") is Context.progress(quiet, "y")


@pytest.mark.parametrize(("columns", "told"), [("120", True), ("60", False)])
def test_a_bar_tells_how_fast_where_it_has_room(
    columns: str, told: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(module, "_BAR_AFTER", 0.0)
    monkeypatch.setattr(module, "_BAR_EVERY", 0.0)
    err = Terminal()
    monkeypatch.setattr(sys, "stderr", err)
    ctx = Context()
    progress = ctx.progress("deriving")
    for done in range(0, 50_000, 10_000):
        progress(done, 50_000)
    ctx.close()
    assert ("/s" in err.getvalue()) is told


def test_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    ctx = Context()
    ctx.set_flag("directory", "a")
    ctx.set_flag("directory", "b")
    assert Path.cwd() == tmp_path / "a" / "b"
    with pytest.raises(NotFoundError, match="no folder 'c'"):
        ctx.set_flag("directory", "c")
    ctx.close()
    assert Path.cwd() == tmp_path


def test_the_store_is_found_from_below(tmp_path: Path) -> None:
    store = tmp_path / "r" / ".vgr"
    (store / "packs").mkdir(parents=True)
    (tmp_path / "r" / "deep").mkdir()
    assert find_folder(tmp_path / "r" / "deep") is None
    (store / "SPEC").touch()
    assert find_folder(tmp_path / "r" / "deep") == store
    assert find_folder(store) == store
    assert find_folder(tmp_path) is None
