"""Commands shown as typed, really run, and checked: what `vgr demo` is told with."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from voyager.commands.context import Context
from voyager.commands.parsing import run_command
from voyager.errors import StateError


class Tour:
    """Runs commands in a folder, shows them as typed, and checks what they claim."""

    def __init__(self, ctx: Context, folder: Path) -> None:
        self.ctx = ctx
        self.folder = folder
        self.steps: list[dict[str, object]] = []
        self.checks: list[str] = []

    def tell(self, text: str) -> None:
        """A remark between the commands."""
        self.ctx.say(f"\n{self.ctx.style(f'# {text}', 'dim')}")

    def shell(self, line: str, action: Callable[[], object]) -> None:
        """A line that is no command of ours."""
        self.ctx.say(self.ctx.style(f"$ {line}", "bold"))
        action()
        self.steps.append({"command": line, "exit": 0, "output": ""})

    def vgr(self, line: str, *, ends_with: int = 0) -> None:
        """Run one command in the folder; another exit code than expected ends the tour."""
        self.ctx.say(self.ctx.style(f"$ vgr {line}", "bold"))
        heard = io.StringIO()
        if self.ctx.json or self.ctx.quiet:
            with redirect_stdout(heard):
                code = self._run(line)
        else:
            code = self._run(line)
        self.steps.append({"command": f"vgr {line}", "exit": code, "output": heard.getvalue()})
        if code != ends_with:
            raise StateError(f"vgr {line} ended with {code}", hint="vgr doctor")

    def _run(self, line: str) -> int:
        name, *arguments = shlex.split(line)
        context = Context()
        try:
            context.change_directory(str(self.folder))
            return run_command(name, arguments, context)
        finally:
            context.close()

    def check(self, claim: str, holds: bool) -> None:
        """Tell that something was checked; StateError when it does not hold."""
        if not holds:
            raise StateError(f"not so: {claim}", hint="vgr fsck")
        self.checks.append(claim)
        self.ctx.say(self.ctx.style(f"checked: {claim}", "green"))
