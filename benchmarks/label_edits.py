"""Label edits from Python in bulk: how many a second, and what the commit after them costs.

    python benchmarks/label_edits.py [--samples 100000]

Every sample has three regions, each with a box and a class. An edit is decoded, changed and encoded
again inside one `repo.edit`; making the list of edits is not counted. Goal: 100,000 edits a second,
and a commit that follows the nodes that changed.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rows import key_of, make_sample

if TYPE_CHECKING:
    from voyager import Repository

GOAL = 100_000
CLASSES = [f"class-{number:02}" for number in range(20)]
Change = tuple[str, bytes | None, str, Any]


def prepare(path: Path, count: int) -> Repository:
    """A repository of labeled samples, committed."""
    import voyager
    from voyager.schema import Label

    repo = voyager.init(path, worktree=False)
    with repo.edit(message="all") as edit:
        edit.vocabulary.define("object", scope="region")
        edit.vocabulary.define("color", many=True)
        nodes = [edit.vocabulary.category("object", name) for name in CLASSES]
        for name in ("red", "green", "blue"):
            edit.vocabulary.category("color", name)
        labels = [(Label(task="object", node=node),) for node in nodes]

        def labeled(index: int) -> Any:
            sample = make_sample(index, 0)
            regions = tuple(
                region.replace(labels=labels[(index + place) % len(labels)])
                for place, region in enumerate(sample.regions)
            )
            return key_of(index), sample.replace(regions=regions)

        edit.update(labeled(index) for index in range(count))
    return repo


def all_regions(count: int) -> Iterable[Change]:
    """Another class for every region, sample by sample."""
    for index in range(count):
        for place, region in enumerate(make_sample(index, 0).regions):
            yield key_of(index), region.id, "object", CLASSES[(index + place + 7) % len(CLASSES)]


def one_a_sample(count: int) -> Iterable[Change]:
    """A second task for one region of every sample, which are named in random order."""
    order = list(range(count))
    random.Random(1).shuffle(order)
    for index in order:
        yield key_of(index), make_sample(index, 0).regions[index % 3].id, "color", ["red", "blue"]


def of_samples(count: int) -> Iterable[Change]:
    """A label of every sample itself."""
    for index in range(count):
        yield key_of(index), None, "color", "green"


def measure(repo: Repository, name: str, changes: list[Change]) -> bool:
    """Run one list of edits and tell; whether the goal is met."""
    start = time.perf_counter()
    with repo.edit(message=name) as edit:
        edit.label(changes)
        edited = time.perf_counter() - start
    whole = time.perf_counter() - start
    rate = len(changes) / edited
    met = rate >= GOAL
    print(
        f"| {name} | {len(changes):,} | {rate:,.0f} | {whole - edited:.2f} s |"
        f" {len(changes) / whole:,.0f} | {'pass' if met else '**fail**'} |"
    )
    return met


def main() -> None:
    parser = argparse.ArgumentParser(description="Time label edits from Python.")
    parser.add_argument("--samples", type=int, default=100_000)
    count: int = parser.parse_args().samples
    with tempfile.TemporaryDirectory(prefix="label-edits-") as work:
        repo = prepare(Path(work), count)
        print("| edits | how many | edits a second | commit | with it, a second | goal 100,000/s |")
        print("|---|---:|---:|---:|---:|---|")
        met = [
            measure(repo, "every region, by sample", list(all_regions(count))),
            measure(repo, "one region a sample, any order", list(one_a_sample(count))),
            measure(repo, "every sample", list(of_samples(count))),
            measure(repo, "1,000 samples", list(of_samples(count))[::-1][:1000]),
        ]
        start = time.perf_counter()
        with repo.edit(message="relabel") as edit:
            changed = edit.relabel("object", CLASSES[3], CLASSES[4])
        print(f"\nrelabel of {changed:,} samples: {time.perf_counter() - start:.2f} s with commit")
        repo.close()
    sys.exit(0 if all(met[:3]) else 1)


if __name__ == "__main__":
    main()
