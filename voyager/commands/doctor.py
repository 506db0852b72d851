"""`vgr doctor`: check this installation and this repository."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from voyager.commands.context import Context
from voyager.commands.sizes import counted, size_text
from voyager.config import Config
from voyager.errors import VoyagerError
from voyager.repo.layout import find_folder
from voyager.repo.repository import RUNNING, Repository
from voyager.version import __version__

Verdict = Literal["ok", "note", "problem"]

_LIBRARIES = (
    *("blake3", "lmdb", "msgpack", "msgspec", "numpy"),
    *("pillow", "rich", "typer", "zstandard"),
)
_EXTRAS = {
    "embeddings": ("safetensors", "torch", "transformers"),
    "fs": ("fsspec",),
    "s3": ("fsspec", "s3fs", "obstore"),
    "search": ("duckdb", "faiss", "pyarrow", "simplejpeg"),
    "sql": ("duckdb", "pyarrow"),
    "ssh": ("fsspec", "paramiko"),
    "train": ("safetensors", "simplejpeg", "torch"),
    "web": ("starlette", "uvicorn"),
}
_SLOW_SYNC = 0.1  # seconds
_CLOCK_SLACK = 5.0
_EARLIEST = 1_700_000_000  # a clock before November 2023 is wrong
_LEAST_FREE = 1 << 30


class Finding(NamedTuple):
    """One thing that was looked at; `hint` is what to type about it."""

    name: str
    verdict: Verdict
    text: str
    hint: str | None = None


def run(ctx: Context) -> int:
    """Check this installation and this repository.

    Outside a repository only the installation is looked at. The exit code is 1 when there is a
    problem; notes are only worth knowing.

    JSON: [{"name", "verdict": "ok", "note" or "problem", "text", "hint"}].

    Example:
      $ vgr doctor
    """
    found = [*_installation(), *_settings(ctx), *_repository(ctx)]
    if ctx.json:
        ctx.emit([finding._asdict() for finding in found])
    colours = {"ok": "green", "note": "yellow", "problem": "red"}
    for finding in found:
        verdict = ctx.style(f"{finding.verdict:<8}", colours[finding.verdict])
        ctx.show(f"{verdict}{finding.name}: {finding.text}")
        if finding.hint is not None:
            ctx.show(f"        hint: {finding.hint}")
    return int(any(finding.verdict == "problem" for finding in found))


def _installation() -> Iterator[Finding]:
    system = f"{platform.system()} {platform.machine()}"
    yield Finding("vgr", "ok", f"{__version__}, Python {platform.python_version()}, {system}")
    versions = {name: _version(name) for name in _LIBRARIES}
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        yield Finding("libraries", "problem", f"not installed: {', '.join(missing)}")
    else:
        yield Finding("libraries", "ok", text)
    lacking = [
        extra
        for extra, modules in _EXTRAS.items()
        if not all(find_spec(module) for module in modules)
    ]
    if lacking:
        hint = f"pip install 'voyager-vgr[{','.join(lacking)}]'"
        yield Finding("extras", "note", f"not installed: {', '.join(lacking)}", hint)
    else:
        yield Finding("extras", "ok", ", ".join(_EXTRAS))
    encoding = sys.getfilesystemencoding().lower()
    if encoding != "utf-8":
        yield Finding("file names", "problem", f"in {encoding}", "export PYTHONUTF8=1")


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _settings(ctx: Context) -> Iterator[Finding]:
    try:
        config = ctx.config
        items = [f"{item.name}={item.value}" for item in config.items()]
        unknown = [f"{name} in {path}" for name, path in config.unknown()]
    except VoyagerError as error:
        ctx.config = Config.load(None, {})  # the defaults, so that the rest can be looked at
        yield _failed("settings", error)
        return
    if unknown:
        yield Finding("settings", "note", f"not known to this version: {', '.join(unknown)}")
    else:
        yield Finding("settings", "ok", counted(len(items), "setting"))
    try:
        yield Finding("author", "ok", config.author())
    except VoyagerError as error:
        yield Finding("author", "note", error.message, error.hint)


def _failed(name: str, error: VoyagerError) -> Finding:
    return Finding(name, "problem", error.message, error.hint)


def _repository(ctx: Context) -> Iterator[Finding]:
    store = find_folder(Path.cwd())
    if store is None:
        yield Finding("repository", "note", "not inside one", "vgr init")
        return
    try:
        repo = ctx.open_repository()
        yield Finding("repository", "ok", _described(repo))
        yield from _state(repo)
        yield from _file_system(repo)
    except VoyagerError as error:
        yield _failed("repository", error)


def _described(repo: Repository) -> str:
    kind = "bare" if repo.bare else "without a working tree" if repo.root is None else "working"
    spec = (repo.folder / "SPEC").read_text().strip()
    access = ", read-only" if repo.store.read_only else ""
    return f"{repo.folder} ({kind}, {spec.replace('voyager', 'spec')}{access})"


def _state(repo: Repository) -> Iterator[Finding]:
    from voyager.store.gc import wants_gc

    running = repo.store.value(RUNNING)
    if running is not None:
        yield Finding(
            "operation",
            "problem",
            f"an interrupted {running['kind']} is not finished",
            "vgr checkout --continue, or vgr checkout --abort",
        )
    current = repo.store.is_current()
    yield Finding("index", "ok" if current else "note", "up to date" if current else "behind")
    if wants_gc(repo.store):
        yield Finding("packs", "note", "many are small", "vgr gc")
    else:
        packs = len(list((repo.folder / "packs").glob("*.pack")))
        yield Finding("packs", "ok", counted(packs, "pack"))
    hooks = repo.folder / "hooks"
    idle = [
        entry.name
        for entry in (sorted(hooks.iterdir()) if hooks.is_dir() else ())
        if entry.suffix != ".sample" and not os.access(entry, os.X_OK)
    ]
    if idle:
        hint = f"chmod +x {hooks / idle[0]}"
        yield Finding("hooks", "note", f"not executable, so not run: {', '.join(idle)}", hint)


def _file_system(repo: Repository) -> Iterator[Finding]:
    from voyager.repo.worktree import file_system_folds

    if repo.root is not None:
        folds = file_system_folds(repo)
        text = "names that differ only in case are one file here" if folds else "names keep case"
        yield Finding("file system", "note" if folds else "ok", text)
    statistics = os.statvfs(repo.folder) if hasattr(os, "statvfs") else None
    if statistics is not None:
        free = statistics.f_bavail * statistics.f_frsize
        yield Finding("space", "ok" if free > _LEAST_FREE else "note", f"{size_text(free)} free")
    if repo.store.read_only:
        return
    yield _sync(repo)
    yield _clock(repo)


def _sync(repo: Repository) -> Finding:
    """How long it takes until a few bytes are safe on the disk."""
    from voyager.store import files

    folder = repo.folder / "cache"
    files.make_folder(folder)
    probe, times = folder / "doctor", []
    for _ in range(3):
        start = time.perf_counter()
        files.write_atomic(probe, b"x" * 4096)
        times.append(time.perf_counter() - start)
    files.remove(probe)
    taken = sorted(times)[1]
    slow = taken > _SLOW_SYNC
    text = f"{taken * 1000:.1f} ms to make a file durable"
    return Finding("disk", "note" if slow else "ok", text + (": every commit waits so" * slow))


def _clock(repo: Repository) -> Finding:
    here, there = time.time(), repo.stat_cache.now_ns() / 1e9
    if here < _EARLIEST:
        return Finding("clock", "problem", f"it says {time.strftime('%Y-%m-%d')}")
    if there and abs(here - there) > _CLOCK_SLACK:
        text = f"that of the file system is {abs(here - there):.0f} s off"
        return Finding("clock", "note", text)
    return Finding("clock", "ok", "agrees with the file system")
