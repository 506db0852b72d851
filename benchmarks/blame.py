"""Blame of one key through many commits that all changed it, in this process.

    python benchmarks/blame.py [--samples 10000] [--commits 1000] [--runs 5]

Every commit moves a box of the key and every tenth says another class of it; what the first commit
said of it is still so, and is followed to the end. Goal: 0.5 s for 1,000 commits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rows import all_rows, key_of, make_sample

if TYPE_CHECKING:
    from voyager import Repository

GOAL = 0.5


def prepare(path: Path, samples: int, commits: int) -> Repository:
    """A repository whose every commit but the first changed the sample in the middle."""
    import voyager
    from voyager.schema import Label

    repo = voyager.init(path, worktree=False)
    with repo.edit(message="all") as edit:
        edit.update(all_rows(samples))
    middle = samples // 2
    for round_ in range(1, commits + 1):
        sample = make_sample(middle, 0)
        moved = make_sample(middle, round_).regions[1]
        note = Label(task="note", value=f"round {round_ // 10}")
        regions = (sample.regions[0], moved, *sample.regions[2:])
        with repo.edit(message=f"round {round_}") as edit:
            edit[key_of(middle)] = sample.replace(regions=regions, labels=(note,))
    return repo


def main() -> None:
    parser = argparse.ArgumentParser(description="Time blame of one key.")
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--commits", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="blame-") as work:
        prepare(Path(work), given.samples, given.commits).close()
        import voyager

        times = []
        for _ in range(given.runs):
            with voyager.open(work) as repo:  # anew, so that nothing is cached from before
                start = time.perf_counter()
                found = repo.blame(key_of(given.samples // 2))
                times.append(time.perf_counter() - start)
        print("| commits | samples | values | commits named | median | slowest | goal |")
        print("|---:|---:|---:|---:|---:|---:|---:|")
        print(
            f"| {given.commits:,} | {given.samples:,} | {len(found)} |"
            f" {len({one.commit_id for one in found})} | {median(times):.3f} s |"
            f" {max(times):.3f} s | {GOAL} s |"
        )
    sys.exit(0 if median(times) <= GOAL else 1)


if __name__ == "__main__":
    main()
