"""Resolving many conflicts at once, whole: by side, by strategy and from a file.

    python benchmarks/merge_resolve.py [--rows 100000] [--conflicts 10000] [--runs 3]

Two branches give one label of some samples different values, and move a box of others apart. Every
way of resolving is timed from opening the repository to the staged outcome, and taken back before
the next.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

AUTHOR = {"VGR_AUTHOR_NAME": "Bench", "VGR_AUTHOR_EMAIL": "bench@example.org"}


def build(folder: str, rows: int, conflicts: int) -> None:
    """A repository in whose merge so many fields are in conflict."""
    from rows import all_rows, key_of

    from voyager.merge import merge
    from voyager.repo.repository import Repository
    from voyager.repo.switch import switch_to_new
    from voyager.schema import Label, Region
    from voyager.schema.label_edit import shifted

    def moved(region: Region, by: float) -> Region:
        shapes = {role: shifted(shape, by, by) for role, shape in region.geometries.items()}
        return region.replace(geometries=shapes)

    with Repository.init(folder, worktree=False) as repo:
        with repo.edit("generated samples") as edit:
            edit.vocabulary.define("weather", kind="text", scope="image")
            edit.update(all_rows(rows))
        for side, name in enumerate(("theirs", "ours")):
            switch_to_new(repo, name, "main")
            with repo.edit(f"as {name} see it") as edit:
                for index in range(conflicts):
                    sample = edit[key_of(index * rows // conflicts)]
                    if index % 2:
                        said = Label(task="weather", value=f"as {name} see it")
                        sample = sample.replace(labels=(said,))
                    else:
                        first, *others = sample.regions
                        regions = (moved(first, 40.0 - 80.0 * side), *others)
                        sample = sample.replace(regions=regions)
                    edit[key_of(index * rows // conflicts)] = sample
        found = merge(repo, "theirs").conflicts
        assert found == conflicts, f"{found} conflicts, not {conflicts}"


def timed(folder: str, resolve: Callable[..., int], conflicts: int, runs: int) -> float:
    """The median of what a way takes; every run starts from all conflicts again."""
    from voyager.repo.repository import Repository
    from voyager.repo.undo import undo

    took = []
    for _ in range(runs):
        start = time.perf_counter()
        with Repository.open(folder) as repo:
            done = resolve(repo)
            took.append(time.perf_counter() - start)
            assert done == conflicts, f"{done} resolved, not {conflicts}"
            undo(repo)
    return median(took)


def ways(file: Path) -> dict[str, Callable[..., int]]:
    """What is measured."""
    import voyager

    return {
        "ours": lambda repo: voyager.resolve(repo, take="ours").resolved,
        "theirs": lambda repo: voyager.resolve(repo, take="theirs").resolved,
        "strategy newest": lambda repo: voyager.resolve(repo, strategy="newest").resolved,
        "from a file": lambda repo: voyager.resolve(repo, file=file).resolved,
    }


def write_lines(folder: str, file: Path) -> float:
    """Write the conflicts as JSON lines that say how to resolve each; what listing takes."""
    import json

    import voyager
    from voyager.merge.conflict_json import conflict_to_json
    from voyager.repo.repository import Repository

    with Repository.open(folder) as repo:
        start = time.perf_counter()
        found = voyager.conflicts(repo)
        took = time.perf_counter() - start
        words = repo.staged().vocabulary
        with file.open("w") as out:
            for one in found:
                line = {**conflict_to_json(one, words), "resolve": "theirs"}
                out.write(json.dumps(line) + "\n")
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--conflicts", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    os.environ.update(AUTHOR)
    with tempfile.TemporaryDirectory() as top:
        folder, file = f"{top}/repo", Path(top) / "resolved.jsonl"
        build(folder, given.rows, given.conflicts)
        print(f"| {given.conflicts:,} conflicts in {given.rows:,} samples | s |\n|---|---|")
        print(f"| listed with their sides | {write_lines(folder, file):.2f} |")
        for name, resolve in ways(file).items():
            print(
                f"| resolved: {name} | {timed(folder, resolve, given.conflicts, given.runs):.2f} |"
            )


if __name__ == "__main__":
    main()
