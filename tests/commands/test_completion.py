"""The scripts that complete vgr, run where the shell is here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from sealed_world import World

from voyager.commands.completion import Shell
from voyager.commands.table import COMMANDS

BASH = shutil.which("bash")


@pytest.fixture(autouse=True)
def other_commands(add_command: Any) -> None:
    """Stand-ins for the other commands, so that their flags do not matter here."""

    def take(
        all_of_it: Annotated[bool, typer.Option("--all", "-a", help="it's all")] = False,
    ) -> None:
        """Do nothing."""

    app = typer.Typer()
    app.command("push")(take)
    app.command("pop")(take)
    for name in COMMANDS.keys() - {"config", "completion"}:
        add_command(name, **({"app": app} if name == "stash" else {"run": take}))


@pytest.fixture
def script(world: World) -> str:
    return world.vgr("completion", "bash").out


def complete(script: str, folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of the words."""
    program = f"""
{script}
vgr() {{ '{sys.executable}' -m voyager.cli "$@"; }}
COMP_WORDS=(vgr "$@"); COMP_CWORD=$#
_vgr 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [str(BASH), "--norc", "-c", program, "bash", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.mark.skipif(BASH is None, reason="needs bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["conf"], ["config", "conflicts"]),
        (["com"], ["commit", "completion"]),
        (["--no"], ["--no-progress"]),
        (["config", "user."], ["user.name", "user.email"]),
        (["-C", "x y", "--json", "config", "--show"], ["--show-origin"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["completion", "--js"], ["--json"]),
        (["stash", "p"], ["push", "pop"]),
        (["stash", "push", "--a"], ["--all"]),
        (["stash", "push", "x", "-q", "--quie"], ["--quiet"]),
        (["switch", "x"], []),
        (["add", "x"], []),
        (["nonsense", "x"], []),
    ],
)
def test_bash(words: list[str], offered: list[str], script: str, world: World) -> None:
    assert sorted(complete(script, world.cwd, *words)) == sorted(offered)


@pytest.mark.parametrize("shell", Shell.__args__)
def test_every_command_is_offered(shell: str, world: World) -> None:
    text = world.vgr("completion", shell).out
    assert all(name in text for name in COMMANDS)
    assert ("--show-origin" if shell != "fish" else "-l show-origin") in text
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=text, text=True, check=True)


def test_script_in_json(world: World) -> None:
    assert world.vgr("completion", "zsh", "--json").out.startswith('{\n  "shell": "zsh"')
