"""An octopus vote of five branches, and ten thousand conflicts decided by a strategy.

    python benchmarks/merge_vote.py [--labels 50000] [--branches 5] [--conflicts 10000]

Every branch labels every sample; three of four answers are the truth. Goals: a vote of 5 branches
with 50,000 labels each in 10 s, and 10,000 conflicts decided by a strategy in 2 s.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voyager import Repository
    from voyager.schema import Sample

CLASSES = [f"class-{number}" for number in range(10)]
AUTHOR = {"VGR_AUTHOR_NAME": "Bench", "VGR_AUTHOR_EMAIL": "bench@example.org"}
VOTE_GOAL, RESOLVE_GOAL = 10.0, 2.0


def key_of(index: int) -> str:
    return f"images/{index // 1000:03}/{index:06}.png"


def prepare(path: Path, count: int) -> Repository:
    """A repository of samples that nobody has labeled yet."""
    import voyager
    from voyager.schema import Image, Sample, sample_uid

    def blank(index: int) -> Sample:
        key = key_of(index)
        uid = sample_uid(key, key)
        return Sample(uid=uid, image=Image(uri=key, width=32, height=32), split="train")

    repo = voyager.init(path, worktree=False)
    with repo.edit(message="images") as edit:
        edit.vocabulary.define("category")
        for name in CLASSES:
            edit.vocabulary.category("category", name)
        edit.update((key_of(index), blank(index)) for index in range(count))
    return repo


def label(repo: Repository, name: str, count: int, answers: Iterator[str]) -> None:
    """A branch off main that labels every sample."""
    from voyager.repo.branches import find_branch
    from voyager.repo.switch import switch, switch_to_new

    switch(repo, find_branch(repo, "main"))
    switch_to_new(repo, name)
    with repo.edit(message=name) as edit:
        edit.label((key_of(index), None, "category", next(answers)) for index in range(count))
    switch(repo, find_branch(repo, "main"))


def annotate(seed: int, count: int) -> Iterator[str]:
    """What one annotator says of every sample."""
    chance = random.Random(seed)
    for index in range(count):
        truth = CLASSES[index * 7 % len(CLASSES)]
        yield truth if chance.random() < 0.75 else chance.choice(CLASSES)


def vote(path: Path, count: int, branches: int) -> bool:
    """Time a vote; whether the goal is met."""
    from voyager.merge import merge

    repo = prepare(path, count)
    names = [f"annotator-{number}" for number in range(branches)]
    for seed, name in enumerate(names):
        label(repo, name, count, annotate(seed, count))
    start = time.perf_counter()
    done = merge(repo, *names, strategies=["category=vote"])
    seconds = time.perf_counter() - start
    shares: Counter[str] = Counter()
    for sample in repo.staged().values():
        found = next((each for each in sample.labels if each.source == "human"), None)
        shares["tie" if found is None else f"{round(found.score * 10) / 10:.1f}"] += 1
    repo.close()
    what = f"vote of {branches} branches, {count:,} labels each"
    return tell(
        what, seconds, VOTE_GOAL, f"{done.conflicts:,} ties; shares {dict(sorted(shares.items()))}"
    )


def resolve(path: Path, count: int) -> bool:
    """Time a merge in which every sample is in conflict; whether the goal is met."""
    from voyager.merge import merge

    repo = prepare(path, count)
    label(repo, "mine", count, iter([CLASSES[0]] * count))
    label(repo, "yours", count, iter([CLASSES[1]] * count))
    from voyager.repo.branches import find_branch
    from voyager.repo.switch import switch

    switch(repo, find_branch(repo, "mine"))
    start = time.perf_counter()
    done = merge(repo, "yours", strategies=["category=theirs"])
    seconds = time.perf_counter() - start
    repo.close()
    assert done.resolved["labels"] == count
    return tell(f"{count:,} conflicts by strategy", seconds, RESOLVE_GOAL, f"{done.conflicts} left")


def tell(what: str, seconds: float, goal: float, more: str) -> bool:
    met = seconds <= goal
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| {what} | {seconds:.2f} s | {goal:g} s | {'pass' if met else '**fail**'} |"
        f" {peak:.0f} MiB | {more} |",
        flush=True,
    )
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description="Time votes and strategies.")
    parser.add_argument("--labels", type=int, default=50_000)
    parser.add_argument("--branches", type=int, default=5)
    parser.add_argument("--conflicts", type=int, default=10_000)
    given = parser.parse_args()
    os.environ.update(AUTHOR)
    print("| work | took | goal | | peak memory so far | |\n|---|---:|---:|---|---:|---|")
    with tempfile.TemporaryDirectory(prefix="merge-vote-") as work:
        met = resolve(Path(work) / "resolve", given.conflicts)
        met &= vote(Path(work) / "vote", given.labels, given.branches)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
