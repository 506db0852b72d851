"""One of many who work on a branch: a process that commits, pushes, and pulls when it was late.

    python contributor.py FOLDER URL NUMBER COMMITS

Half of them merge what others pushed, half put their own commits on top of it. What is run is what
the command line runs.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import time
from pathlib import Path

from PIL import Image

from voyager.cli import main
from voyager.errors import RefMoved, RemoteError

_TRIES = 2000


def contribute(folder: Path, url: str, number: int, commits: int) -> None:
    """Bring that many images to the branch, a commit and a push each."""
    os.environ["VGR_AUTHOR_NAME"] = f"Person {number}"
    _must("clone", "-q", url, str(folder))
    os.chdir(folder)
    for count in range(commits):
        path = Path(str(number), f"{count}.png")
        path.parent.mkdir(exist_ok=True)
        pixels = random.Random(f"{number} {count}").randbytes(192)
        Image.frombytes("RGB", (8, 8), pixels).save(path)
        _must("add", "-q", str(path))
        _must("commit", "-q", "-m", f"{number}:{count}")
        _bring(rebase=bool(number % 2))


def _bring(*, rebase: bool) -> None:
    for attempt in range(_TRIES):
        code, said = _vgr("push", "-q")
        if code == 0:
            return
        if code == RefMoved.exit:
            code, said = _vgr("pull", "-q", *["--rebase"] * rebase)
        if code not in (0, RemoteError.exit):
            raise SystemExit(f"vgr ended with {code}: {said}")
        time.sleep(random.uniform(0, min(1.0, 0.05 * 1.2**attempt)))
    raise SystemExit(f"never got through: {said}")


def _must(*args: str) -> None:
    code, said = _vgr(*args)
    if code:
        raise SystemExit(f"vgr {args[0]} ended with {code}: {said}")


def _vgr(*args: str) -> tuple[int, str]:
    """The exit code of a command and what it printed."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(args)
    return code, said.getvalue()


if __name__ == "__main__":
    contribute(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
