"""`vgr demo`: make a small repository with photographs to try things on."""

from __future__ import annotations

import io
import os
import shlex
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer

from voyager.commands.context import Context
from voyager.commands.parsing import run_command
from voyager.errors import ExistsError, StateError
from voyager.samples import CLOTHING, copy_photos, photo_paths

_SHOWN_SAMPLES = ".../voyager/samples/clothing/*"
_NEXT = """
What to try next, in {folder}:
  vgr status
  vgr show cleanup
  vgr diff v1 cleanup
  vgr ls -l cleanup test/hat
  vgr restore --source v1 SOURCE.md
  vgr --help"""


def run(
    ctx: Context,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="where; it is made, or must be empty")
    ] = Path("vgr-demo"),
) -> None:
    """Make a small repository with photographs to try things on.

    Every step is shown as it would be typed, really run, and its result checked.

    JSON: {"folder", "steps": [{"command", "exit", "output"}], "checks": [text]}.

    Example:
      $ vgr demo
      $ cd vgr-demo
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExistsError(f"'{folder}' is not empty", hint=f"vgr demo {folder}-2")
    folder.mkdir(parents=True, exist_ok=True)
    tour = _Tour(ctx, folder)
    tour.walk()
    if ctx.json:
        ctx.emit({"folder": str(folder), "steps": tour.steps, "checks": tour.checks})
    ctx.say(_NEXT.format(folder=folder))


class _Tour:
    """Runs commands in a folder, shows them as typed, and checks what they claim."""

    def __init__(self, ctx: Context, folder: Path) -> None:
        self.ctx = ctx
        self.folder = folder
        self.steps: list[dict[str, object]] = []
        self.checks: list[str] = []

    def walk(self) -> None:
        """The whole tour."""
        self._begin()
        edited, renamed, deleted = self._clean_up()
        self._come_back()
        self._look(edited, renamed, deleted)

    def _begin(self) -> None:
        self.tell("A repository is a folder with .vgr in it; here is one with 100 photographs.")
        self.vgr("init")
        self._name_author()
        self.shell(f"cp -r {_SHOWN_SAMPLES} .", lambda: copy_photos(self.folder))
        self.tell("Images become samples; --split-from folder reads train and test from the keys.")
        self.vgr("add . --split-from folder")
        self.vgr("commit -m 'A hundred photographs of clothes'")
        self.vgr("tag v1 -m 'As they came'")
        self.check("all 100 photographs are in v1", self._samples("v1") == 100)

    def _name_author(self) -> None:
        """Commits have an author; where nobody said who that is, the demo says it."""
        from voyager.config import Config

        if Config.load(None).author_or_unknown() == "unknown <>":
            self.vgr("config user.name 'Demo'")
            self.vgr("config user.email 'demo@example.org'")

    def _clean_up(self) -> tuple[str, str, str]:
        """A branch on which one photograph is replaced, one renamed and one deleted."""
        keys = [path.relative_to(CLOTHING).as_posix() for path in photo_paths()]
        better, edited, renamed, deleted = (
            next(key for key in keys if key.startswith(start))
            for start in ("train/shoes/", "test/shoes/", "test/hat/", "train/hat/")
        )
        self.tell("Work goes on a branch: replace a photograph, rename one, delete one.")
        self.vgr("switch -c cleanup")
        self._edit("cp", better, edited)
        self._edit("mv", renamed, "test/hat/renamed.jpg")
        self._edit("rm", deleted)
        self.vgr("status -s")
        self.tell("A renamed file is known by its bytes, and would keep its labels.")
        self.vgr("add -A .")
        self.vgr("diff --staged")
        self.vgr("commit -m 'Clean up'")
        return edited, renamed, deleted

    def _edit(self, verb: str, *keys: str) -> None:
        """A change of the working tree, as typed in a shell and as done here."""
        paths = [self.folder / key for key in keys]
        doing: dict[str, Callable[..., object]] = {
            "cp": shutil.copyfile,
            "mv": os.rename,
            "rm": os.remove,
        }
        self.shell(shlex.join([verb, *keys]), lambda: doing[verb](*paths))

    def _come_back(self) -> None:
        self.tell("Going back lays every file out as it was.")
        self.vgr("switch main")
        self.check("all 100 photographs are back, byte for byte", self._is_as_came())
        self.tell("Whatever the last step was, undo takes it back; so do it twice.")
        self.vgr("undo")
        self.check("we are on cleanup again", (self.folder / "test/hat/renamed.jpg").exists())
        self.vgr("undo")
        self.vgr("status -s")
        self.tell("That took back the commit, and the changes are staged still. Commit them again.")
        self.vgr("commit -m 'Clean up, thought over'")
        self.vgr("switch main")
        self.shell("rm SOURCE.md", lambda: os.remove(self.folder / "SOURCE.md"))
        self.vgr("commit -a -m 'Leave the list of sources out'")

    def _look(self, edited: str, renamed: str, deleted: str) -> None:
        self.tell("History, what differs, and how much space it takes.")
        self.vgr("log --oneline --graph --all")
        self.vgr("diff --stat v1 cleanup")
        self.vgr("du cleanup")
        self.vgr("fsck")
        self.tell("From Python, any version is a mapping from keys to samples.")
        self._read_from_python(edited)
        version = self._keys("cleanup")
        gone = not {renamed, deleted} & version and "test/hat/renamed.jpg" in version
        self.check("cleanup has the new name and not the deleted photograph", gone)

    def _read_from_python(self, key: str) -> None:
        import voyager

        lines = (
            "import voyager",
            "repo = voyager.open()",
            f'sample = repo.at("v1")["{key}"]',
            "print(sample.image.width, sample.image.height, sample.split)",
        )
        for line in lines:
            self.ctx.say(self.ctx.style(f">>> {line}", "bold"))
        with voyager.open(self.folder) as repo:
            version = repo.at("v1")
            sample = version[key]
            same = version.image_bytes(key) == (CLOTHING / key).read_bytes()
        self.ctx.say(f"{sample.image.width} {sample.image.height} {sample.split}")
        self.check("its bytes in v1 are those that came", same)

    # -- telling and checking --------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """A remark between the commands."""
        self.ctx.say(f"\n{self.ctx.style(f'# {text}', 'dim')}")

    def shell(self, line: str, action: Callable[[], object]) -> None:
        """A line that is no command of ours."""
        self.ctx.say(self.ctx.style(f"$ {line}", "bold"))
        action()
        self.steps.append({"command": line, "exit": 0, "output": ""})

    def vgr(self, line: str) -> None:
        """Run one command in the folder; a failure ends the tour."""
        self.ctx.say(self.ctx.style(f"$ vgr {line}", "bold"))
        heard = io.StringIO()
        if self.ctx.json or self.ctx.quiet:
            with redirect_stdout(heard):
                code = self._run(line)
        else:
            code = self._run(line)
        self.steps.append({"command": f"vgr {line}", "exit": code, "output": heard.getvalue()})
        if code:
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

    def _keys(self, revision: str) -> set[str]:
        import voyager

        with voyager.open(self.folder) as repo:
            return set(repo.at(revision))

    def _samples(self, revision: str) -> int:
        return len(self._keys(revision))

    def _is_as_came(self) -> bool:
        """Whether every photograph of the set lies in the folder as it came."""
        return all(
            (self.folder / path.relative_to(CLOTHING)).read_bytes() == path.read_bytes()
            for path in photo_paths()
        )
