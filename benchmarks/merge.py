"""Merging two branches of a million samples, through the Python face, and what memory it takes.

    python benchmarks/merge.py [--rows 1000000] [--changed 1000,10000] [--conflicts 100] [--runs 3]

Both branches change samples of their own and, differently, one label of some common samples, which
is a conflict each. Every merge runs in a process of its own, which times it from the inside
(without starting Python) and tells its peak memory; it is taken back before the next. No peer
merges labels. For scale, `git merge` merges the same two branches of one text file that has a line
a sample, where the common samples are conflicts of whole lines.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve()
AUTHOR = {"VGR_AUTHOR_NAME": "Bench", "VGR_AUTHOR_EMAIL": "bench@example.org"}


def samples_of(rows: int, changed: int, conflicts: int, side: int) -> dict[int, bool]:
    """Numbers of the samples that a side changes; true where both sides do."""
    order = random.Random(changed).sample(range(rows), 2 * changed - conflicts)
    own = changed - conflicts
    mine = order[side * own : (side + 1) * own]
    return {**dict.fromkeys(mine, False), **dict.fromkeys(order[2 * own :], True)}


# --- steps in children ---


def build(folder: str, rows: int) -> None:
    """A repository of generated samples, each with three boxes and labels of twenty classes."""
    from rows import all_rows

    from voyager.repo.repository import Repository

    with Repository.init(folder, worktree=False) as repo, repo.edit("generated samples") as edit:
        edit.vocabulary.define("weather", kind="text", scope="image")
        edit.update(all_rows(rows))


def change(folder: str, rows: int, changed: int, conflicts: int) -> None:
    """Two branches from the first commit: `ours-N` and `theirs-N`."""
    from rows import key_of

    from voyager.repo.repository import Repository
    from voyager.repo.switch import switch_to_new
    from voyager.schema import Label

    with Repository.open(folder) as repo:
        for side, name in enumerate(("theirs", "ours")):
            switch_to_new(repo, f"{name}-{changed}", "main")
            with repo.edit(f"{changed} samples by {name}") as edit:
                for index, both in sorted(samples_of(rows, changed, conflicts, side).items()):
                    sample = edit[key_of(index)]
                    if both:
                        said = Label(task="weather", value=f"as {name} see it")
                        edit[key_of(index)] = sample.replace(labels=(said,))
                    else:
                        edit[key_of(index)] = sample.replace(split=f"val-{side}")


def merge_once(folder: str, changed: int) -> dict[str, float]:
    from voyager.merge import merge
    from voyager.repo.repository import Repository
    from voyager.repo.undo import undo

    with Repository.open(folder) as repo:
        before = time.perf_counter()
        done = merge(repo, f"theirs-{changed}")
        seconds = time.perf_counter() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        undo(repo)
    return {"seconds": seconds, "mib": peak, "conflicts": done.conflicts}


# --- the peer ---


def lines_of(rows: int, changed: int, conflicts: int, side: int | None) -> Iterator[str]:
    own = {} if side is None else samples_of(rows, changed, conflicts, side)
    for index in range(rows):
        both = own.get(index)
        text = "-" if both is None else f"weather {side}" if both else f"split {side}"
        yield f"images/{index:08}.jpg {index * 7919 % 1000} {index * 104729 % 1000} {text}\n"


def git_merge(folder: Path, rows: int, changed: int, conflicts: int) -> float:
    def git(*words: str) -> int:
        line = ["git", "-C", str(folder), "-c", "gc.auto=0", "-c", "user.name=b"]
        return subprocess.call([*line, "-c", "user.email=b@b", *words], stdout=2)

    git("init", "-q", "-b", "main")
    for side, name in ((None, "main"), (0, "theirs"), (1, "ours")):
        if side is not None:
            git("switch", "-q", "-c", name, "main")
        (folder / "labels.txt").write_text("".join(lines_of(rows, changed, conflicts, side)))
        git("add", ".")
        git("commit", "-qm", name)
    before = time.perf_counter()
    git("merge", "-q", "theirs")
    return time.perf_counter() - before


# --- the table ---


def child(step: str, *words: object) -> dict[str, float]:
    line = [sys.executable, str(HERE), "--step", step, *map(str, words)]
    env = {**os.environ, **AUTHOR, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(line, env=env, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout or "{}")
    return found


def step(words: list[str]) -> None:
    name, folder, *numbers = words
    steps = {"build": build, "change": change, "merge": merge_once}
    found = steps[name](folder, *map(int, numbers))
    print(json.dumps(found or {}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--changed", default="1000,10000")
    parser.add_argument("--conflicts", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--no-git", action="store_true")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step(args.step)
        return
    top = Path(tempfile.mkdtemp(prefix="vgr-merge-"))
    try:
        repo = str(top / "repo")
        child("build", repo, args.rows)
        print(f"{args.rows:,} samples, {args.conflicts} conflicts; medians of {args.runs}\n")
        print("| changed a side | vgr merge, s | peak, MiB | git merge of lines, s |")
        print("|---:|---:|---:|---:|")
        for changed in map(int, args.changed.split(",")):
            child("change", repo, args.rows, changed, args.conflicts)
            runs = [child("merge", repo, changed) for _ in range(args.runs)]
            assert all(run["conflicts"] == args.conflicts for run in runs), runs
            seconds, peak = (median(run[name] for run in runs) for name in ("seconds", "mib"))
            peer = "-"
            if not args.no_git:
                folder = top / f"git-{changed}"
                folder.mkdir()
                peer = f"{git_merge(folder, args.rows, changed, args.conflicts):.2f}"
            print(f"| {changed:,} | {seconds:.2f} | {peak:.0f} | {peer} |", flush=True)
    finally:
        shutil.rmtree(top)


if __name__ == "__main__":
    main()
