"""What command modules may look like, and how their arguments are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from sealed_world import World

from voyager.commands.context import Context
from voyager.commands.help_page import render_text
from voyager.commands.parsing import pages
from voyager.errors import StateError

Add = Callable[..., None]


def everything(
    ctx: Context,
    names: Annotated[list[str], typer.Argument(help="what to take")],
    *,
    message: Annotated[str | None, typer.Option("--message", "-m", help="why")] = None,
    take_all: Annotated[bool, typer.Option("--all", "-a", help="take all")] = False,
    count: Annotated[int, typer.Option("-n", min=1, max=9, help="how many")] = 3,
    ratio: Annotated[float, typer.Option(metavar="R")] = 0.5,
    where: Annotated[Path, typer.Option(help="to where")] = Path(),
    mode: Annotated[Literal["soft", "hard"], typer.Option(help="how")] = "soft",
    forward: Annotated[bool | None, typer.Option("--ff/--no-ff", help="only forward")] = None,
    extra: Annotated[list[str] | None, typer.Option("-X", help="more")] = None,
    verbose: Annotated[bool, typer.Option("-v", help="own flag")] = False,
) -> int | None:
    """Take things.

    A longer text that says what it means to take things, and which things can be taken by it.

      kept   as it
      stands here

    Example:
      $ vgr everything a b
      took 2
    """
    values = dict(locals())
    values.pop("ctx")
    ctx.say(f"took {values}")
    if ctx.json:
        ctx.emit([str(value) for value in values.values()])
    return 7 if "seven" in names else None


@pytest.fixture
def take(world: World, add_command: Add) -> Any:
    """Run `everything`; the values it got, or the result where it did not run."""

    def call(*args: str) -> Any:
        result = world.vgr("everything", *args)
        if result.out.startswith("took "):
            scope = {"PosixPath": Path, "WindowsPath": Path}
            return eval(result.out[5:], scope)
        return result

    add_command("everything", run=everything)
    return call


DEFAULTS = {
    "names": ["a"],
    "message": None,
    "take_all": False,
    "count": 3,
    "ratio": 0.5,
    "where": Path(),
    "mode": "soft",
    "forward": None,
    "extra": None,
    "verbose": False,
}


def test_defaults(take: Any) -> None:
    assert take("a") == DEFAULTS


@pytest.mark.parametrize(
    ("args", "changed"),
    [
        (["-am", "why", "a"], {"take_all": True, "message": "why"}),
        (["a", "--message=x y"], {"message": "x y"}),
        (["a", "-mfix"], {"message": "fix"}),
        (["a", "-m", "--json"], {"message": "--json"}),
        (["a", "b", "-n", "9", "c"], {"names": ["a", "b", "c"], "count": 9}),
        (["--", "-a", "--json"], {"names": ["-a", "--json"]}),
        (["a", "--ratio", "1e-3"], {"ratio": 0.001}),
        (["a", "--where", "x/y"], {"where": Path("x/y")}),
        (["a", "--mode", "hard"], {"mode": "hard"}),
        (["a", "--no-ff"], {"forward": False}),
        (["a", "--ff"], {"forward": True}),
        (["a", "-X", "1", "-X", "2"], {"extra": ["1", "2"]}),
        (["a", "-v"], {"verbose": True}),
        (["ä", ""], {"names": ["ä", ""]}),
    ],
)
def test_values(args: list[str], changed: dict[str, object], take: Any) -> None:
    assert take(*args) == DEFAULTS | changed


@pytest.mark.parametrize(
    ("args", "message", "hint"),
    [
        ([], "vgr everything wants NAMES", "--help"),
        (["a", "-n", "x"], "-n is a whole number from 1 up to 9, not 'x'", "--help"),
        (["a", "-n", "10"], "-n is a whole number from 1 up to 9, not '10'", "--help"),
        (["a", "--ratio", "x"], "--ratio is a number, not 'x'", "--help"),
        (["a", "--mode", "wet"], "--mode is soft or hard, not 'wet'", "--help"),
        (["a", "--massage", "x"], "vgr everything has no option '--massage'", "--message"),
        (["a", "-z"], "vgr everything has no option '-z'", "--help"),
        (["a", "-m"], "vgr everything: option '-m' requires an argument", "--help"),
        (["a", "--all=1"], "vgr everything: option '--all' does not take a value", "--help"),
    ],
)
def test_faults(args: list[str], message: str, hint: str, take: Any) -> None:
    result = take(*args)
    assert result.code == 2
    assert result.err == f"error: {message}\nhint: vgr everything {hint}\n"


def test_words_after_dashes(world: World, add_command: Add) -> None:
    def part(ctx: Context, words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
        """Part words."""
        ctx.say(f"{words} {ctx.after_dashes}")

    add_command("part", run=part)
    assert world.vgr("part", "a").out == "['a'] None\n"
    assert world.vgr("part", "a", "--").out == "['a'] []\n"
    assert world.vgr("part", "a", "--", "-b", "--").out == "['a', '-b', '--'] ['-b', '--']\n"


def test_flags_after_the_command(world: World, take: Any) -> None:
    assert take("a", "-q").text == ""
    assert take("a", "--json").out.startswith('[\n  "')
    assert world.vgr("--json", "everything", "a").out.startswith('[\n  "')


def test_exit_codes(world: World, add_command: Add) -> None:
    add_command("everything", run=everything)
    assert world.vgr("everything", "seven").code == 7

    def leave(code: int) -> None:
        """Leave."""
        raise typer.Exit(code)

    add_command("leave", run=leave)
    assert world.vgr("leave", "4").code == 4


def test_abort_is_an_interrupt(world: World, add_command: Add) -> None:
    def stop() -> None:
        """Stop."""
        raise typer.Abort

    add_command("stop", run=stop)
    assert world.vgr("stop").code == 130


def test_bad_parameter_of_a_body(world: World, add_command: Add) -> None:
    def refuse() -> None:
        """Refuse."""
        raise typer.BadParameter("Not like this.")

    add_command("refuse", run=refuse)
    assert "error: vgr refuse: not like this\n" in world.vgr("refuse").err


def test_too_many_arguments(world: World, add_command: Add) -> None:
    def none() -> None:
        """Take none."""

    add_command("none", run=none)
    result = world.vgr("none", "x")
    assert (result.code, result.err.splitlines()[0]) == (2, "error: vgr none has no use for 'x'")


HELP = """\
usage: vgr everything [options] NAMES…

Take things.

A longer text that says what it means to take things,
and which things can be taken by it.

  kept   as it
  stands here

Arguments:
  NAMES…                what to take

Options:
  -m, --message MESSAGE why
  -a, --all             take all
  -n COUNT              how many (default: 3)
  --ratio R             (default: 0.5)
  --where WHERE         to where (default: .)
  --mode soft|hard      how (default: soft)
  --ff, --no-ff         only forward
  -X EXTRA              more (may be repeated)
  -v                    own flag

Global options:
  -C DIR                run as if started in DIR
  --json                answer in JSON
  -q, --quiet           say only what was asked for
  --verbose             say more about errors
  --no-progress         no progress bars
  -h, --help            show this help

Example:
  $ vgr everything a b
  took 2
"""


def test_help(world: World, add_command: Add) -> None:
    add_command("everything", run=everything)
    [page] = pages("everything")
    assert render_text(page, 56) == HELP
    for args in (["everything", "-h"], ["everything", "x", "--help"], ["help", "everything"]):
        assert world.vgr(*args).out == render_text(page, 80)


def shelf() -> dict[str, Any]:
    """The members of a module with sub-commands."""
    app = typer.Typer(help="Keep things.\n\nExample:\n  $ vgr shelf put x")

    @app.command("put")
    def put(ctx: Context, name: Annotated[str, typer.Argument()] = "nothing") -> None:
        """Put a thing on the shelf."""
        ctx.say(f"put {name}")

    @app.command()
    def look_at(ctx: Context) -> None:
        """Look at the shelf."""
        raise StateError("it is empty")

    return {"app": app, "DEFAULT": "put"}


def test_sub_commands(world: World, add_command: Add) -> None:
    add_command("shelf", **shelf())
    assert world.vgr("shelf", "put", "x").out == "put x\n"
    assert world.vgr("shelf").out == "put nothing\n"
    assert world.vgr("shelf", "-q").out == ""
    assert world.vgr("shelf", "look-at").code == 5
    assert world.vgr("shelf", "putt").err == (
        "error: no command 'vgr shelf putt'\nhint: vgr shelf put\n"
    )
    assert world.vgr("shelf", "put", "-h").out.startswith("usage: vgr shelf put [options] [NAME]")
    assert world.vgr("shelf", "-h").out == (
        "usage: vgr shelf COMMAND [options]\n\nKeep things.\n\nCommands:\n"
        "  put                   Put a thing on the shelf\n"
        "  look-at               Look at the shelf\n\nExample:\n  $ vgr shelf put x\n"
    )
    assert world.vgr("help", "shelf", "put").out == world.vgr("shelf", "put", "--help").out
    assert [page.path for page in pages("shelf")] == ["shelf", "shelf put", "shelf look-at"]


def test_a_sub_command_must_be_named(world: World, add_command: Add) -> None:
    add_command("shelf", app=shelf()["app"])
    assert world.vgr("shelf").err == (
        "error: vgr shelf wants a command: put, look-at\nhint: vgr shelf --help\n"
    )
