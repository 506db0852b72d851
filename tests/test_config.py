"""Settings: layers, checks, writing, the author and the clock."""

from __future__ import annotations

import stat
import subprocess
import time
from pathlib import Path

import pytest

from voyager.config import SETTINGS, Config, Moment, find_setting, one_of, parse_value
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.store import files


def write(path: Path, data: bytes) -> None:
    files.make_folder(path.parent)
    files.write_atomic(path, data)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    (tmp_path / "repo" / ".vgr").mkdir(parents=True)
    return tmp_path / "repo" / ".vgr"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


def test_later_layers_win(store: Path, environ: dict[str, str]) -> None:
    config = Config.load(store, environ)
    assert config.item("gc.reflog_expire_days") == ("gc.reflog_expire_days", 90, "default", None)
    config.set("gc.reflog_expire_days", "20", "user", write)
    config.set("user.name", "File", "user", write)
    assert config.get_int("gc.reflog_expire_days") == 20
    config.set("gc.reflog_expire_days", "30", "repository", write)
    again = Config.load(store, environ | {"VGR_AUTHOR_NAME": "Env"})
    item = again.item("gc.reflog_expire_days")
    assert item is not None
    assert item[1:] == (30, "repository", str(store / "config.toml"))
    assert again.item("user.name") == ("user.name", "Env", "environment", "VGR_AUTHOR_NAME")
    assert again.item("user.name", only="user") is not None
    assert again.item("user.name", only="repository") is None
    assert Config.load(None, environ).get_int("gc.reflog_expire_days") == 20


def test_every_default_is_a_value_of_its_kind() -> None:
    for setting in SETTINGS.values():
        if setting.default is not None:
            assert parse_value(setting, setting.default) == setting.default


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ui.progress", "Off", False),
        ("ui.progress", "1", True),
        ("gc.reflog_expire_days", "0", 0),
        ("core.ignorecase", "true", "true"),
        ("core.ignorecase", True, "true"),
        ("user.name", "Ann Öhm 李", "Ann Öhm 李"),
    ],
)
def test_values_are_parsed(name: str, text: str | bool, value: object) -> None:
    assert parse_value(find_setting(name), text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ui.progress", "maybe"),
        ("gc.reflog_expire_days", "-1"),
        ("gc.reflog_expire_days", "1.5"),
        ("core.ignorecase", "no"),
        ("user.name", " "),
        ("user.name", "a\nb"),
        ("user.name", "a\x7f"),
    ],
)
def test_values_that_do_not_fit_are_refused(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{name} is "):
        parse_value(find_setting(name), text)


def test_unknown_names_are_refused_with_the_nearest(environ: dict[str, str]) -> None:
    config = Config.load(None, environ)
    with pytest.raises(UsageError, match=r"no setting 'user\.nmae'") as caught:
        config.get("user.nmae")
    assert caught.value.hint == "vgr config user.name"
    with pytest.raises(UsageError):
        config.set("x", "1", "user", write)


def test_a_bad_value_in_a_file_stops_only_its_reader(store: Path, environ: dict[str, str]) -> None:
    (store / "config.toml").write_text("gc.reflog_expire_days = 'soon'\nfuture.thing = 1\n")
    config = Config.load(store, environ)
    assert config.get("ui.color") == "auto"
    with pytest.raises(InvalidDataError, match="whole number") as caught:
        config.get_int("gc.reflog_expire_days")
    assert caught.value.path == str(store / "config.toml")
    assert caught.value.hint == "vgr config --unset gc.reflog_expire_days"
    assert list(config.unknown()) == [("future.thing", store / "config.toml")]
    config.unset("gc.reflog_expire_days", "repository", write)
    config.unset("future.thing", "repository", write)
    assert (store / "config.toml").read_text() == ""


def test_files_that_are_no_text_are_refused(store: Path, environ: dict[str, str]) -> None:
    (store / "config.toml").write_bytes(b"\xff")
    with pytest.raises(InvalidDataError, match="not UTF-8"):
        Config.load(store, environ)


def test_unset_needs_the_name_to_be_there(store: Path, environ: dict[str, str]) -> None:
    config = Config.load(store, environ)
    with pytest.raises(NotFoundError, match=r"user\.name is not set"):
        config.unset("user.name", "repository", write)
    with pytest.raises(UsageError, match="no setting"):
        config.unset("nonsense", "repository", write)


def test_there_must_be_a_file_to_write(environ: dict[str, str]) -> None:
    with pytest.raises(NotFoundError, match="not inside a repository") as caught:
        Config.load(None, environ).set("user.name", "Ann Lee", "repository", write)
    assert caught.value.hint == 'vgr config --global user.name "Ann Lee"'
    with pytest.raises(NotFoundError, match="home"):
        Config.load(None, {}).set("user.name", "Ann", "user", write)


def test_lines_that_cannot_be_edited_are_left_alone(store: Path, environ: dict[str, str]) -> None:
    text = 'user = { name = "A" }\n'
    (store / "config.toml").write_text(text)
    config = Config.load(store, environ)
    assert config.get("user.name") == "A"
    with pytest.raises((StateError, InvalidDataError)):
        config.set("user.name", "B", "repository", write)
    assert (store / "config.toml").read_text() == text


def test_a_linked_file_stays_a_link(tmp_path: Path, environ: dict[str, str]) -> None:
    real = tmp_path / "dotfiles.toml"
    real.write_text("# mine\n")
    link = tmp_path / "home" / ".config" / "voyager" / "config.toml"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    Config.load(None, environ).set("user.name", "Ann", "user", write)
    assert link.is_symlink()
    assert real.read_text() == '# mine\nuser.name = "Ann"\n'


def test_xdg_folder_is_used_when_it_is_absolute(tmp_path: Path) -> None:
    xdg = {"HOME": "/h", "XDG_CONFIG_HOME": str(tmp_path)}
    assert Config.load(None, xdg).user_file == tmp_path / "voyager" / "config.toml"
    relative = {"HOME": "/h", "XDG_CONFIG_HOME": "x"}
    assert Config.load(None, relative).user_file == Path("/h/.config/voyager/config.toml")


def test_author_by_settings_then_git(store: Path, environ: dict[str, str]) -> None:
    both = environ | {"VGR_AUTHOR_NAME": "A <x>\n", "VGR_AUTHOR_EMAIL": "a@x"}
    with pytest.raises(InvalidDataError):  # more than a line
        Config.load(store, both).author()
    both["VGR_AUTHOR_NAME"] = "A <x>"
    assert Config.load(store, both).author() == "A x <a@x>"


def test_author_from_git(
    store: Path, environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    (tmp_path / "gitconfig").write_text("[user]\nname = Git Person\nemail = git@example.org\n")
    config = Config.load(store, environ)
    assert config.author() == "Git Person <git@example.org>"
    config.set("user.email", "own@example.org", "repository", write)
    assert config.author() == "Git Person <own@example.org>"


@pytest.mark.parametrize("fault", [FileNotFoundError(), subprocess.TimeoutExpired("git", 1)])
def test_git_may_be_absent(
    fault: Exception, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(subprocess, "run", run)
    config = Config.load(None, environ)
    with pytest.raises(StateError, match="name is not known") as caught:
        config.author()
    assert caught.value.hint == 'vgr config --global user.name "Your Name"'
    assert config.author_or_unknown() == "unknown <>"
    named = Config.load(None, environ | {"VGR_AUTHOR_NAME": "A"})
    with pytest.raises(StateError, match="email is not known"):
        named.author()


def test_the_clock(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        before = time.time_ns() // 1_000_000
        now = Config.load(None, environ).now()
        assert 0 <= now.ms - before < 60_000
        assert now.zone == 330
        fixed = Config.load(None, environ | {"VGR_NOW": "1767600000000"})
        assert fixed.now() == fixed.now() == Moment(1_767_600_000_000, 330)
        spelled = Config.load(None, environ | {"VGR_NOW": "2026-01-05T08:00:00.5-03:30"})
        assert spelled.now() == Moment(1_767_612_600_500 + 0, -210)
    finally:
        monkeypatch.undo()
        time.tzset()
    with pytest.raises(UsageError, match="VGR_NOW"):
        Config.load(None, environ | {"VGR_NOW": "yesterday"}).now()


def test_colour(environ: dict[str, str]) -> None:
    config = Config.load(None, environ)
    assert config.colored(terminal=True)
    assert not config.colored(terminal=False)
    assert not Config.load(None, environ | {"TERM": "dumb"}).colored(terminal=True)
    assert not Config.load(None, environ | {"NO_COLOR": "1"}).colored(terminal=True)
    config.set("ui.color", "always", "user", write)
    assert config.colored(terminal=False)


def test_the_file_has_ordinary_permissions(environ: dict[str, str]) -> None:
    config = Config.load(None, environ)
    config.set("user.name", "Ann", "user", write)
    assert config.user_file is not None
    assert stat.S_IMODE(config.user_file.stat().st_mode) & 0o600 == 0o600


def test_one_of() -> None:
    assert [one_of("a"), one_of("ab"), one_of("abc")] == ["a", "a or b", "a, b or c"]
