"""Settings: defaults < user file < repository file < environment.

The only reader of the environment. Both files are TOML; a setting is `section.name`. This module
writes no file by itself: `Config.set` and `Config.unset` hand the new bytes to a writer.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from voyager import toml_text
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.toml_text import Value

Kind = Literal["text", "number", "flag", "choice"]
Scope = Literal["user", "repository"]
Origin = Literal["default", "user", "repository", "environment"]
Writer = Callable[[Path, bytes], None]

_FLAG_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


_EXPECTED = {"flag": "true or false", "number": "a whole number", "text": "one line of text"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A name that may be set: its kind, default (None: unset), help and environment variable."""

    name: str
    kind: Kind
    default: Value | None
    help: str
    variable: str | None = None
    choices: tuple[str, ...] = ()


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("user.name", "text", None, "name of the author of commits", "VGR_AUTHOR_NAME"),
        Setting("user.email", "text", None, "address of the author of commits", "VGR_AUTHOR_EMAIL"),
        Setting("init.default_branch", "text", "main", "first branch of a new repository"),
        Setting("core.worktree", "flag", True, "the images lie beside the store as files"),
        Setting(
            "core.ignorecase",
            "choice",
            "auto",
            "are names that differ only in case one file here (auto: ask the file system)",
            choices=("auto", "true", "false"),
        ),
        Setting("cache.limit_mb", "number", 10_000, "MB of images that a lazy clone keeps at hand"),
        Setting("push.runs", "flag", False, "vgr push sends the runs of what it sends, as --runs"),
        Setting("derived.limit_mb", "number", 20_000, "MB of values derived from images to keep"),
        Setting("search.model", "text", "default", "model of looks: default, a folder, or a run"),
        Setting("gc.reflog_expire_days", "number", 90, "days that undo and the reflog reach back"),
        Setting(
            "ui.color",
            "choice",
            "auto",
            "colour the output (auto: on a terminal)",
            "NO_COLOR",
            choices=("auto", "always", "never"),
        ),
        Setting("ui.progress", "flag", True, "progress bars on a terminal"),
    )
}


class Item(NamedTuple):
    """A setting in force: `where` is the file or the variable that says so."""

    name: str
    value: Value
    origin: Origin
    where: str | None


class Moment(NamedTuple):
    """A time: milliseconds since 1970 UTC, and the zone in minutes east of UTC."""

    ms: int
    zone: int


@dataclass(slots=True)
class Config:
    """The settings of one process, read once; `folder` is where the store lies."""

    folder: Path | None
    user_file: Path | None
    environ: Mapping[str, str]
    layers: dict[Origin, dict[str, Value]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path | None, environ: Mapping[str, str] | None = None) -> Config:
        """Settings of a repository, by the folder of its store, or outside any (None).

        Raises InvalidDataError for a file that is not TOML. Values are checked when they are read,
        so that one bad line does not stop every command.
        """
        environ = os.environ if environ is None else environ
        config = cls(folder, _user_file(environ), environ)
        config.layers = {
            "user": _read_file(config.user_file),
            "repository": _read_file(config.repository_file),
            "environment": _read_environment(environ),
        }
        return config

    @property
    def repository_file(self) -> Path | None:
        return None if self.folder is None else self.folder / "config.toml"

    def item(self, name: str, *, only: Origin | None = None) -> Item | None:
        """The value in force and who says so; None for a setting that is not set.

        `only` asks one layer alone. Raises UsageError for an unknown name, InvalidDataError for a
        bad value.
        """
        setting = find_setting(name)
        order: tuple[Origin, ...] = ("environment", "repository", "user")
        for origin in order if only is None else (only,):
            raw = self.layers.get(origin, {}).get(name)
            if raw is not None:
                return self._checked(setting, raw, origin)
        if setting.default is None or only is not None:
            return None
        return Item(name, setting.default, "default", None)

    def items(self, *, only: Origin | None = None) -> Iterator[Item]:
        """Every setting that has a value, in the order of the table."""
        for name in SETTINGS:
            item = self.item(name, only=only)
            if item is not None:
                yield item

    def unknown(self) -> Iterator[tuple[str, Path]]:
        """Names in the files that this version does not know: (name, file)."""
        for origin, path in self._files().items():
            for name in self.layers[origin]:
                if path is not None and name not in SETTINGS:
                    yield name, path

    def get(self, name: str) -> str:
        """The value of a text or choice setting; empty when it is not set."""
        item = self.item(name)
        return "" if item is None else str(item.value)

    def get_int(self, name: str) -> int:
        """The value of a number setting."""
        item = self.item(name)
        return 0 if item is None else int(item.value)

    def get_bool(self, name: str) -> bool:
        """The value of a flag setting."""
        item = self.item(name)
        return item is not None and bool(item.value)

    def set(self, name: str, value: str, scope: Scope, write: Writer) -> Item:
        """Set a value in the file of `scope`; the item as it stands in that file.

        Raises UsageError for an unknown name or a bad value, NotFoundError without a repository.
        """
        parsed = parse_value(find_setting(name), value)
        path = self._file(scope, f"vgr config --global {name} {json.dumps(value)}")
        self._write(path, name, parsed, scope, write)
        return Item(name, parsed, scope, str(path))

    def unset(self, name: str, scope: Scope, write: Writer) -> None:
        """Take a value out of the file of `scope`; NotFoundError when it does not stand there."""
        path = self._file(scope, f"vgr config --global --unset {name}")
        if name not in self.layers[scope]:
            find_setting(name)
            raise NotFoundError(
                f"{name} is not set in {path}", hint="vgr config --list --show-origin"
            )
        self._write(path, name, None, scope, write)

    def author(self) -> str:
        """`Name <email>` by the settings, else by git's own configuration.

        Raises StateError with the command to type when neither says so.
        """
        name, email = _plain(self.get("user.name")), _plain(self.get("user.email"))
        if not name or not email:
            git = _git_author(self.folder)
            name = name or _plain(git.get("user.name", ""))
            email = email or _plain(git.get("user.email", ""))
        if not name:
            raise StateError(
                "the author's name is not known", hint='vgr config --global user.name "Your Name"'
            )
        if not email:
            raise StateError(
                "the author's email is not known",
                hint="vgr config --global user.email you@example.org",
            )
        return f"{name} <{email}>"

    def author_or_unknown(self) -> str:
        """The author, for operations that need no name."""
        try:
            return self.author()
        except StateError:
            return "unknown <>"

    def now(self) -> Moment:
        """The time: the clock's, or VGR_NOW (milliseconds or ISO 8601), which stands still."""
        fixed = self.environ.get("VGR_NOW")
        return _moment(time.time_ns() // 1_000_000) if not fixed else _parse_moment(fixed)

    def colored(self, *, terminal: bool) -> bool:
        """Whether to colour output that goes to a terminal, or does not."""
        choice = self.get("ui.color")
        if choice == "auto":
            return terminal and self.environ.get("TERM") != "dumb"
        return choice == "always"

    def _checked(self, setting: Setting, raw: Value, origin: Origin) -> Item:
        path = self._files().get(origin)
        where = str(path or setting.variable)
        try:
            return Item(setting.name, parse_value(setting, raw), origin, where)
        except UsageError as error:
            globally = "--global " if origin == "user" else ""
            unset = f"vgr config {globally}--unset {setting.name}"
            hint = unset if path else f"unset {where}"
            raise InvalidDataError(f"{where}: {error.message}", path=path, hint=hint) from None

    def _files(self) -> dict[Origin, Path | None]:
        return {"user": self.user_file, "repository": self.repository_file}

    def _file(self, scope: Scope, hint: str) -> Path:
        path = self._files()[scope]
        if path is not None:
            return path
        if scope == "user":
            raise NotFoundError("there is no home folder to keep settings in", hint="export HOME=…")
        raise NotFoundError("not inside a repository", hint=hint)

    def _write(
        self, path: Path, name: str, value: Value | None, scope: Scope, write: Writer
    ) -> None:
        target = path.resolve()  # a link to the real file stays a link
        old = target.read_text("utf-8") if target.exists() else ""
        expected = {key: val for key, val in self.layers[scope].items() if key != name}
        if value is not None:
            expected[name] = value
        new = toml_text.edit(old, name, value)
        if toml_text.parse(new, path) != expected:
            raise StateError(f"cannot change {name} in {path}", hint=f"$EDITOR {path}")
        write(target, new.encode())
        self.layers[scope] = expected


def find_setting(name: str) -> Setting:
    """The setting of that name; UsageError with the nearest name for an unknown one."""
    setting = SETTINGS.get(name)
    if setting is None:
        from difflib import get_close_matches

        near = get_close_matches(name, SETTINGS, 1)
        hint = f"vgr config {near[0]}" if near else "vgr config --list"
        raise UsageError(f"no setting '{name}'", hint=hint)
    return setting


def parse_value(setting: Setting, raw: Value) -> Value:
    """A value of the setting's kind, from text or from TOML; UsageError when it does not fit."""
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)
    if setting.kind == "flag" and text.lower() in _FLAG_WORDS:
        return _FLAG_WORDS[text.lower()]
    if setting.kind == "number" and re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    if setting.kind == "choice" and text in setting.choices:
        return text
    if setting.kind == "text" and text.strip() and text.isprintable():
        return text
    expected = _EXPECTED.get(setting.kind) or one_of(setting.choices)
    raise UsageError(f"{setting.name} is {expected}, not {text!r}")


def one_of(choices: Sequence[str]) -> str:
    """`a, b or c`."""
    *others, last = choices
    return f"{', '.join(others)} or {last}" if others else last


def debugging() -> bool:
    """Whether VGR_DEBUG asks for the traceback of every error."""
    return bool(os.environ.get("VGR_DEBUG"))


_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|ACCESS_KEY|ACCOUNT_KEY|STORAGE_KEY|SAS", re.ASCII)


def foreign_variable(name: str) -> str:
    """A variable of the environment that other programs define, as AWS_PROFILE; empty if unset."""
    return os.environ.get(name, "")


@contextmanager
def with_variables(values: Mapping[str, str]) -> Iterator[None]:
    """Let variables of the environment, as other programs define them, have values for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def secret_values() -> list[str]:
    """Values of the environment that no message may show, the longest first."""
    found = {value for name, value in os.environ.items() if value and _SECRET.search(name.upper())}
    return sorted(found, key=lambda value: (-len(value), value))


def _user_file(environ: Mapping[str, str]) -> Path | None:
    base = environ.get("XDG_CONFIG_HOME")
    if base and Path(base).is_absolute():  # the standard says to ignore a relative one
        return Path(base) / "voyager" / "config.toml"
    home = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(home) / ".config" / "voyager" / "config.toml" if home else None


def _read_environment(environ: Mapping[str, str]) -> dict[str, Value]:
    layer: dict[str, Value] = {
        setting.name: environ[setting.variable]
        for setting in SETTINGS.values()
        if setting.variable and environ.get(setting.variable)
    }
    if "ui.color" in layer:
        layer["ui.color"] = "never"  # whatever NO_COLOR holds: https://no-color.org
    return layer


def _read_file(path: Path | None) -> dict[str, Value]:
    if path is None:
        return {}
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        return toml_text.parse(data.decode(), path)
    except UnicodeDecodeError as error:
        raise InvalidDataError(f"not UTF-8: {path}", path=path, hint=f"$EDITOR {path}") from error


def _plain(text: str) -> str:
    """Text that may stand in `name <email>`."""
    return "".join(char for char in text if char.isprintable() and char not in "<>").strip()


def _moment(ms: int) -> Moment:
    return Moment(ms, time.localtime(ms / 1000).tm_gmtoff // 60)


def _parse_moment(text: str) -> Moment:
    if re.fullmatch(r"\d{1,16}", text):
        return _moment(int(text))
    from datetime import datetime

    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"VGR_NOW is milliseconds or an ISO 8601 time, not {text!r}") from None
    ms = round(when.timestamp() * 1000)
    offset = when.utcoffset()
    return _moment(ms) if offset is None else Moment(ms, round(offset.total_seconds()) // 60)


def _git_author(folder: Path | None) -> dict[str, str]:
    """`user.name` and `user.email` of git as seen from a folder; nothing where git is absent."""
    import subprocess

    command = ["git", "config", "--null", "--get-regexp", r"^user\.(name|email)$"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return {}
    pairs = (entry.partition("\n") for entry in done.stdout.decode(errors="replace").split("\0"))
    return {name: value for name, _, value in pairs if name}
