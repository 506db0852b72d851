"""What every command body shares: where it runs, the settings, and how it talks.

Standard output carries answers (text, or JSON with `--json`); standard error carries warnings and
progress. Nothing here imports typer, and rich only when a bar is really shown.
"""

from __future__ import annotations

import json as jsonlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from voyager.errors import EXIT_SKIPPED, NotFoundError
from voyager.repo.layout import find_folder

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from voyager.config import Config
    from voyager.repo.repository import Repository

Progress = Callable[[int, int | None], None]
"""Called with what is done and, where known, how much there is."""

_STYLES = {
    "bold": 1,
    "dim": 2,
    "red": 31,
    "green": 32,
    "yellow": 33,
    "blue": 34,
    "magenta": 35,
    "cyan": 36,
}
_encode_line = jsonlib.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_BAR_AFTER = 1.0  # seconds; shorter work shows no bar
_BAR_EVERY = 0.05
_RATE_FROM = 90
"""Columns of a terminal from which on a bar has room for a rate."""


class Context:
    """The surroundings of one command: global flags, settings, output.

    `after_dashes` are the words after `--`, or None when there is no `--`.
    """

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbose = False
        self.no_progress = False
        self.after_dashes: list[str] | None = None
        self._came_from: str | None = None
        self._repository: Repository | None = None
        self._bars: list[_Bar] = []

    def set_flag(self, name: str, value: str | bool) -> None:
        """What a global flag was given as; `-C` changes the directory at once."""
        if name == "directory":
            self.change_directory(str(value))
        else:
            setattr(self, name, bool(value))

    def change_directory(self, directory: str) -> None:
        """Run as if started in `directory`, as `-C` says; given twice, the second starts there."""
        if not os.path.isdir(directory):
            raise NotFoundError(f"no folder '{directory}'")
        if self._came_from is None:
            self._came_from = os.getcwd()
        os.chdir(directory)

    def close(self) -> None:
        """End a bar that still stands, close the repository, go back to where the process was."""
        self._end_bar()
        if self._repository is not None:
            for remark in self._repository.remarks.values():
                self.warn(remark)
            self._repository.close()
            self._repository = None
        if self._came_from is not None:
            os.chdir(self._came_from)
            self._came_from = None

    @cached_property
    def config(self) -> Config:
        """The settings as seen from here."""
        from voyager.config import Config

        return Config.load(find_folder(Path.cwd()))

    def open_repository(self) -> Repository:
        """The repository around the current folder; NotFoundError when there is none.

        It is opened once and closed when the command ends.
        """
        if self._repository is None:
            from voyager.repo.repository import Repository

            self._repository = Repository.open(Path.cwd())
            self.config = self._repository.config
            _follow_bound_files(self._repository)
            _lend_promised(self._repository)
        return self._repository

    def say(self, text: str = "") -> None:
        """Tell a human what happened; silent with `-q` and with `--json`."""
        if not self.quiet:
            self.show(text)

    def show(self, text: str = "") -> None:
        """Print a line of the answer that was asked for; silent only with `--json`."""
        if not self.json:
            self._end_bar()
            sys.stdout.write(f"{text}\n")

    def show_text(self, text: str) -> None:
        """Print whole lines that are ready, as `show` does one."""
        if not self.json:
            self._end_bar()
            sys.stdout.write(text)

    def write(self, data: bytes) -> None:
        """Write bytes to standard output as they are."""
        self._end_bar()
        sys.stdout.flush()
        sys.stdout.buffer.write(data)

    def emit(self, value: object) -> None:
        """Print the one JSON document of a command."""
        self._end_bar()
        sys.stdout.write(jsonlib.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def emit_line(self, value: object) -> None:
        """Print one value of a stream of JSON lines."""
        self._end_bar()
        sys.stdout.write(_encode_line(value) + "\n")

    def warn(self, text: str) -> None:
        """Say on standard error what deserves a look; not silenced by `-q`."""
        self._end_bar()
        sys.stderr.write(f"warning: {text}\n")

    def style(self, text: str, *styles: str) -> str:
        """`text` in colours where standard output shows them, else `text` itself."""
        if not self._colored:
            return text
        codes = ";".join(str(_STYLES[style]) for style in styles)
        return f"\x1b[{codes}m{text}\x1b[0m"

    def progress(self, label: str, *, sizes: bool = False) -> Progress:
        """A callback that shows a bar on a terminal once the work lasts over a second.

        With `sizes` it is called with bytes, and the bar shows how many go a second.
        """
        self._end_bar()
        if self.quiet or self.no_progress or not sys.stderr.isatty():
            return _no_progress
        if not self.config.get_bool("ui.progress"):
            return _no_progress
        bar = _Bar(label, sys.stderr, self._bars, sizes=sizes)
        self._bars.append(bar)
        return bar

    def done_with_skips(self, skipped: Sequence[tuple[str, str]]) -> int:
        """Name what was skipped as (name, reason); the exit code for a command to return."""
        for name, reason in skipped:
            self.warn(f"skipped {name}: {reason}")
        return EXIT_SKIPPED if skipped else 0

    @cached_property
    def _colored(self) -> bool:
        return self.config.colored(terminal=sys.stdout.isatty())

    def _end_bar(self) -> None:
        for bar in self._bars:
            bar.close()


def _follow_bound_files(repo: Repository) -> None:
    """Let bound label files follow what the command does; where there are none, load nothing."""
    from voyager.repo.bound import bindings

    if bindings(repo):
        from voyager.formats.binding import attach

        attach(repo)


def _lend_promised(repo: Repository) -> None:
    """Let a lazy clone read what its remotes promise; elsewhere load nothing."""
    from voyager.repo.promised import is_lazy

    if is_lazy(repo.store):
        from voyager.remotes.lazy import attach

        attach(repo)


class _Bar:
    """A progress callback that imports rich and draws only when the work takes long.

    Of a command's bars the one that is called is seen, and no other.
    """

    def __init__(
        self, label: str, stream: TextIO, all_bars: list[_Bar], *, sizes: bool = False
    ) -> None:
        self.label = label
        self.sizes = sizes
        self.stream = stream
        self.all_bars = all_bars
        self.due = time.monotonic() + _BAR_AFTER
        self.rich: RichProgress | None = None
        self.task: TaskID | None = None

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now < self.due:
            return
        self.due = now + _BAR_EVERY
        if self.rich is None or self.task is None:
            for bar in self.all_bars:
                bar.close()
            self.rich, self.task = self._open()
        self.rich.update(self.task, completed=done, total=total)

    def _open(self) -> tuple[RichProgress, TaskID]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            MofNCompleteColumn,
            Progress,
            ProgressColumn,
            Task,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.text import Text

        class _Rate(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(_rate_text(task.speed), style="progress.data.speed")

        console = Console(file=self.stream)
        if self.sizes:
            counts: tuple[ProgressColumn, ...] = DownloadColumn(), TransferSpeedColumn()
        elif console.width >= _RATE_FROM:
            counts = MofNCompleteColumn(), _Rate()
        else:
            counts = (MofNCompleteColumn(),)
        bar = Progress(
            "{task.description}",
            BarColumn(),
            *counts,
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        bar.start()
        return bar, bar.add_task(self.label, total=None)

    def close(self) -> None:
        if self.rich is not None:
            self.rich.stop()
        self.rich = self.task = None


def _rate_text(speed: float | None) -> str:
    """`1,234/s`; nothing while it is not known, or for work of a few large steps."""
    return f"{speed:,.0f}/s" if speed is not None and speed >= 1 else ""


def _no_progress(_done: int, _total: int | None) -> None:
    """Progress that nobody watches."""
