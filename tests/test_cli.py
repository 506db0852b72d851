"""The frame of the command line: start, flags, errors into words and exit codes."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sealed_world import World

from voyager import cli
from voyager.commands.context import Context
from voyager.commands.parsing import module_name
from voyager.commands.table import COMMANDS, help_text
from voyager.errors import (
    ConflictError,
    CorruptError,
    InvalidDataError,
    NotFoundError,
    VoyagerError,
)
from voyager.repo.repository import Repository

HEAVY = {
    "PIL",
    "blake3",
    "duckdb",
    "faiss",
    "fsspec",
    "lmdb",
    "msgspec",
    "numpy",
    "pyarrow",
    "pydantic",
    "rich",
    "safetensors",
    "simplejpeg",
    "torch",
    "transformers",
    "typer",
}


def loaded(code: str) -> set[str]:
    """The heavy modules that a fresh Python has imported after running some code."""
    report = f"{code}; import sys; sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True
    )
    return HEAVY & set(done.stderr.split())


def vgr(*args: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    """Run vgr as a process of its own."""
    command = [sys.executable, "-m", "voyager.cli", *args]
    kwargs = {"capture_output": True, "text": True} | kwargs
    return subprocess.run(command, check=False, **kwargs)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that raises, with flags; (exit code, stdout, stderr)."""

    def fail(error: BaseException, *flags: str) -> tuple[int, str, str]:
        def run_command(name: str, args: list[str], context: Context) -> int:
            context.show("before")
            raise error

        monkeypatch.setattr("voyager.commands.parsing.run_command", run_command)
        code = cli.main([*flags, "config"])
        return code, *capsys.readouterr()

    return fail


def test_start_imports_nothing_heavy() -> None:
    assert loaded("import voyager.cli") == set()
    assert loaded("import voyager.cli; voyager.cli.main(['--help'])") == set()
    assert loaded("import voyager.cli; voyager.cli.main(['__complete', 'settings', 'u'])") == set()


def test_a_command_imports_typer_alone() -> None:
    run = "import voyager.cli; assert voyager.cli.main(['config', 'ui.color']) == 0"
    assert loaded(run) == {"typer"}


def test_status_loads_no_numbers_and_no_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Repository.init(tmp_path):
        (tmp_path / "a.txt").write_text("a")
    monkeypatch.chdir(tmp_path)
    run = "import voyager.cli; assert voyager.cli.main(['status']) == 0"
    assert loaded(run) == {"blake3", "lmdb", "msgspec", "typer"}


def test_every_command_has_its_module() -> None:
    missing = [name for name in COMMANDS if importlib.util.find_spec(module_name(name)) is None]
    assert missing == []


def test_the_table_is_tidy() -> None:
    for name, entry in COMMANDS.items():
        assert entry.help[0].isupper(), name
        assert not entry.help.endswith("."), name
    assert max(map(len, help_text().splitlines())) <= 80


@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("no 'x'", hint="vgr ls"),
        ConflictError("two sides"),
        CorruptError("bad", path="packs/a"),
    ],
)
def test_errors_keep_their_words_and_codes(error: VoyagerError, failing: Any) -> None:
    code, out, err = failing(error)
    assert (code, out) == (error.exit, "before\n")
    assert err.startswith("error: ")
    assert error.message in err
    assert (f"hint: {error.hint}\n" in err) == (error.hint is not None)


def test_errors_name_the_place(failing: Any) -> None:
    assert (
        "error: a.json:7: no id\n" in failing(InvalidDataError("no id", path="a.json", line=7))[2]
    )
    assert "error: a.json: no id\n" in failing(InvalidDataError("no id", path="a.json"))[2]
    assert "error: a.json is bad\n" in failing(InvalidDataError("a.json is bad", path="a.json"))[2]


def test_errors_in_json(failing: Any) -> None:
    error = InvalidDataError("no id", path="a.json", line=7, hint="vgr help")
    code, out, err = failing(error, "--json")
    assert (code, err) == (6, "")
    assert json.loads(out) == {"error": error.as_dict()}


def test_a_bug_says_so(failing: Any) -> None:
    code, _, err = failing(KeyError("x"))
    assert code == 70
    assert err.startswith("error: this is a bug of vgr ")
    assert "Traceback" not in err
    assert "Traceback" in failing(KeyError("x"), "-v")[2]
    code, out, _ = failing(ZeroDivisionError("y"), "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (70, "bug")


def test_debug_shows_the_traceback_of_any_error(
    failing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Traceback" not in failing(NotFoundError("x"), "-v")[2]
    monkeypatch.setenv("VGR_DEBUG", "1")
    assert "Traceback" in failing(NotFoundError("x"))[2]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space left on device: /data/pack"),
        (errno.EACCES, "permission denied: /data/pack"),
        (errno.EROFS, "read-only file system: /data/pack"),
    ],
)
def test_the_system_refuses(number: int, words: str, failing: Any) -> None:
    code, _, err = failing(OSError(number, os.strerror(number), "/data/pack"))
    assert code == 5
    assert f"error: {words}\n" in err
    _, out, _ = failing(OSError(number, os.strerror(number), "/data/pack"), "--json")
    assert json.loads(out)["error"]["path"] == "/data/pack"


def test_a_rename_names_both_ends(failing: Any) -> None:
    error = OSError(errno.EXDEV, "x", "/a", None, "/b")
    assert "error: invalid cross-device link: /a -> /b\n" in failing(error)[2]
    assert "bad file descriptor: file descriptor 3\n" in failing(OSError(errno.EBADF, "x", 3))[2]


def test_interrupted(failing: Any) -> None:
    assert failing(KeyboardInterrupt()) == (130, "before\n", "error: interrupted\n")


def test_memory(failing: Any) -> None:
    assert failing(MemoryError())[0] == 5


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = vgr("--help", stdout=writer, stderr=subprocess.PIPE, capture_output=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (cli.EXIT_PIPE, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = vgr("--help", stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 5
    assert done.stderr.startswith("error: no space left on device\n")


def test_a_folder_that_is_gone(tmp_path: Path, world: World) -> None:
    assert world.vgr("-C", "nowhere", "config").code == 3


def test_directory_flags_add_up_and_are_taken_back(world: World) -> None:
    (world.cwd / "a" / "b").mkdir(parents=True)
    before = Path.cwd()
    assert world.vgr("-C", "a", "-C", "b", "config", "ui.color").out == "auto\n"
    assert world.vgr("config", "ui.color", "-C", "a").out == "auto\n"
    assert Path.cwd() == before


def test_names_that_the_terminal_cannot_show() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = vgr("lös", env=environment)
    assert done.returncode == 2
    assert "no command 'l\\xf6s'" in done.stderr


def test_python_dash_m_runs() -> None:
    assert vgr("--version").stdout.startswith("vgr ")
