"""A sealed world for commands: fixed clock, author, home, terminal and randomness, in one process.

`World.run("vgr add .")` runs a shell-like line: `vgr` in this process, and the few other commands
that stories need (see BUILTINS), so that a story runs everywhere and fast. Nothing of the machine
leaks into the output, so hashes in it are the real ones and need no mask.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import random
import re
import secrets
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from voyager import cli
from voyager.errors import VoyagerError

START = 1_767_600_000_000  # 2026-01-05 08:00 UTC
STEP = 60_000
SAMPLES = Path(cli.__file__).parent / "samples"
SHOWN_ROOT = "/world"
"""What stands in the output for the folder that the world lies in."""


@dataclass(frozen=True)
class Result:
    """What a line printed, to both streams together and to each, and its exit code."""

    text: str
    out: str
    err: str
    code: int


class World:
    """A temporary folder with a home and a working folder, and its own environment."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.home = root / "home"
        self.cwd = root / "work"
        self.now = START
        self.monkeypatch = monkeypatch
        self.home.mkdir(parents=True)
        self.cwd.mkdir()
        self._seal()

    def _seal(self) -> None:
        for name in os.environ:
            if name.startswith(("VGR_", "XDG_", "GIT_", "LC_")) or name in {"NO_COLOR", "LANG"}:
                self.monkeypatch.delenv(name)
        fixed = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "VGR_AUTHOR_NAME": "Ann Lee",
            "VGR_AUTHOR_EMAIL": "ann@example.org",
            "GIT_CONFIG_NOSYSTEM": "1",
            "COLUMNS": "80",
            "LINES": "24",
            "TERM": "dumb",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }
        for name, value in fixed.items():
            self.monkeypatch.setenv(name, value)
        time.tzset()
        counter = _Counter()
        self.monkeypatch.setattr(os, "urandom", counter)
        self.monkeypatch.setattr(random, "_urandom", counter)
        # Ids of runs are counted apart: what else is drawn depends on what was imported before.
        self.monkeypatch.setattr(secrets, "token_bytes", _Counter())

    def run(self, line: str) -> Result:
        """Run one line; a command that it does not know has exit code 127, as in a shell."""
        words, target, append = _split(line.replace("$SAMPLES", shlex.quote(str(SAMPLES))))
        variables = {}
        while words and (match := re.fullmatch(r"([A-Z_]+)=(.*)", words[0])):
            variables[match[1]] = match[2]
            words.pop(0)
        program, arguments = words[0], words[1:]
        if program == "vgr":
            result = self.vgr(*arguments, **variables)
        else:
            result = self._builtin(program, arguments)
        if target is not None:
            with (self.cwd / target).open("a" if append else "w", newline="") as file:
                file.write(result.out)
            return Result(result.err, "", result.err, result.code)
        return result

    def vgr(self, *arguments: str, **variables: str) -> Result:
        """Run `vgr` in this process, a minute after the one before."""
        streams = _Streams()
        with pytest.MonkeyPatch.context() as patch, _standing_in(self.cwd), streams.captured():
            patch.setenv("VGR_NOW", str(self.now))
            patch.setattr(cli, "explain", _explain_no_bug)
            for name, value in variables.items():
                patch.setenv(name, value)
            code = cli.main(list(arguments))
        self.now += STEP
        text, out, err = (self._relocate(part) for part in streams.read())
        return Result(text, out, err, code)

    def _relocate(self, text: str) -> str:
        return text.replace(str(self.root), SHOWN_ROOT)

    def _builtin(self, program: str, arguments: list[str]) -> Result:
        command = BUILTINS.get(program)
        if command is None:
            message = f"{program}: command not found\n"
            return Result(message, "", message, 127)
        try:
            out = command(self, arguments)
        except OSError as error:
            message = self._relocate(f"{program}: {error.filename}: {error.strerror}\n")
            return Result(message, "", message, 1)
        out = self._relocate(out)
        return Result(out, out, "", 0)

    def path(self, name: str) -> Path:
        """A path as a line in the working folder means it."""
        return self.cwd / name


def _explain_no_bug(error: BaseException) -> VoyagerError:
    """As cli.explain, but a bug fails the test with its traceback."""
    known = _explain(error)
    if isinstance(known, cli.BugError):
        raise error
    return known


_explain = cli.explain


class _Counter:
    """Stands in for os.urandom: bytes that differ every time and are the same every run."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return hashlib.shake_256(self.calls.to_bytes(8, "big")).digest(size)


class _Streams:
    """Standard output and error, each alone and both in the order in which they were written."""

    def __init__(self) -> None:
        self.both: list[tuple[int, bytes]] = []

    @contextlib.contextmanager
    def captured(self) -> Iterator[None]:
        out, err = (_stream(_Recorder(self.both, number)) for number in (1, 2))
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
            out.flush()
            err.flush()

    def read(self) -> tuple[str, str, str]:
        parts = ([1, 2], [1], [2])
        return tuple(  # type: ignore[return-value]
            b"".join(data for number, data in self.both if number in wanted).decode(
                errors="replace"
            )
            for wanted in parts
        )


class _Recorder(io.RawIOBase):
    def __init__(self, record: list[tuple[int, bytes]], number: int) -> None:
        self.record = record
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        chunk = bytes(data)  # type: ignore[call-overload]
        self.record.append((self.number, chunk))
        return len(chunk)


def _stream(raw: _Recorder) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", line_buffering=True)


@contextlib.contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    """As contextlib.chdir, but where we came from need not exist any more."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _split(line: str) -> tuple[list[str], str | None, bool]:
    """The words of a line, and the file that `>` or `>>` sends its output to."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=">")
    lexer.whitespace_split = True
    lexer.commenters = ""
    words = list(lexer)
    if len(words) > 2 and words[-2] in {">", ">>"}:
        return words[:-2], words[-1], words[-2] == ">>"
    return words, None, False


def _mkdir(world: World, words: list[str]) -> str:
    for name in _names(words):
        world.path(name).mkdir(parents="-p" in words, exist_ok="-p" in words)
    return ""


def _cp(world: World, words: list[str]) -> str:
    *sources, target = _names(words)
    for source in sources:
        into = world.path(target)
        if "-r" in words and world.path(source).is_dir():
            shutil.copytree(world.path(source), into / Path(source).name if into.is_dir() else into)
        else:
            shutil.copyfile(world.path(source), into / Path(source).name if into.is_dir() else into)
    return ""


def _rm(world: World, words: list[str]) -> str:
    for name in _names(words):
        path = world.path(name)
        if "-r" in words and path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return ""


def _mv(world: World, words: list[str]) -> str:
    *sources, target = _names(words)
    for source in sources:
        shutil.move(world.path(source), world.path(target))
    return ""


def _printf(_world: World, words: list[str]) -> str:
    template, *values = words
    text = re.sub(
        r"\\([nt\\])", lambda found: {"n": "\n", "t": "\t", "\\": "\\"}[found[1]], template
    )
    return text % tuple(values) if values else text.replace("%%", "%")


def _echo(_world: World, words: list[str]) -> str:
    return " ".join(words) + "\n"


def _cat(world: World, words: list[str]) -> str:
    return "".join(world.path(name).read_bytes().decode(errors="replace") for name in words)


def _ls(world: World, words: list[str]) -> str:
    found: list[str] = []
    for name in _names(words) or ["."]:
        path = world.path(name)
        if path.is_dir():
            found += sorted(entry.name for entry in path.iterdir() if entry.name[0] != ".")
        else:
            path.stat()
            found.append(name)
    return "".join(f"{name}\n" for name in found)


def _cd(world: World, words: list[str]) -> str:
    target = world.path(words[0]) if words else world.root / "work"
    if not target.is_dir():
        raise NotADirectoryError(20, "not a directory", words[0])
    world.cwd = Path(os.path.normpath(target))
    return ""


def _trained(world: World, words: list[str]) -> str:
    """`trained NAME [REV] [SETTING=…]`: what a training leaves, without the time that it takes."""
    from made_runs import make_run

    from voyager.commands.run_options import parse_setting
    from voyager.repo.repository import Repository

    name, *rest = words
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGR_NOW", str(world.now))
        world.now += STEP
        with Repository.open(world.cwd) as repo:
            settings = dict(parse_setting(word) for word in rest if "=" in word)
            revision = next((word for word in rest if "=" not in word), "HEAD")
            weights = name.encode()
            run = make_run(repo, name, revision=revision, settings=settings, weights=weights)
    return f"run {run.id}\n"


def _names(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("-")]


BUILTINS: dict[str, Callable[[World, list[str]], str]] = {
    "cat": _cat,
    "cd": _cd,
    "cp": _cp,
    "echo": _echo,
    "ls": _ls,
    "mkdir": _mkdir,
    "mv": _mv,
    "printf": _printf,
    "rm": _rm,
    "trained": _trained,
}


@contextlib.contextmanager
def sealed_world(root: Path) -> Iterator[World]:
    """A world in an empty folder, and the real one again afterwards."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield World(root, monkeypatch)
    time.tzset()
    sys.stdout.flush()
