"""Diff of the labels of two versions as large as COCO train2017: whole commands.

    python benchmarks/label_diff.py [--images 118287] [--regions 860001] [--keep DIR]

Every region is a polygon with a class. Of the changed ones a third get another class, the others
are moved, some by so much that they count as redrawn, and a few are added and removed. Goal: 2 s
to text and to --stat, starting Python included. `--keep` leaves the repository for another run.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from voyager.schema.sample import Region, Sample

IMAGES, REGIONS, CHANGED = 118_287, 860_001, 10_000
CLASSES = 80
GOAL = 2.0
WIDTH, HEIGHT = 640, 480


def key_of(index: int) -> str:
    return f"train2017/{index:012}.jpg"


class Maker:
    """Makes the samples of one version after the other, the same every time."""

    def __init__(self, images: int, regions: int, nodes: list[bytes]) -> None:
        rng = np.random.default_rng(1)
        self.counts = rng.multinomial(regions, [1 / images] * images).tolist()
        self.nodes = nodes
        self.images = images

    def samples(self) -> Iterator[tuple[str, Sample]]:
        """Every sample of the first version, in key order."""
        from voyager.schema.sample import Image, Sample

        rng = np.random.default_rng(2)
        number = 0
        for index in range(self.images):
            regions = []
            for _ in range(self.counts[index]):
                regions.append(self._region(number, rng))
                number += 1
            image = Image(uri=f"http://images.example.org/{index}.jpg", width=WIDTH, height=HEIGHT)
            uid = index.to_bytes(16, "big")
            yield key_of(index), Sample(uid=uid, image=image, regions=tuple(regions), split="train")

    def _region(self, number: int, rng: Any) -> Region:
        from voyager.schema.geometry import Polygon
        from voyager.schema.sample import Label, Origin, Region

        vertices = int(np.clip(rng.geometric(1 / 16) + 3, 4, 120))
        angles = np.sort(rng.random(vertices)) * (2 * np.pi)
        reach = float(np.clip(rng.lognormal(3.4, 0.8), 3, 200)) * (0.6 + 0.4 * rng.random(vertices))
        ring = np.empty(2 * vertices)
        ring[0::2] = np.clip(rng.uniform(20, WIDTH - 20) + reach * np.cos(angles), 0, WIDTH)
        ring[1::2] = np.clip(rng.uniform(20, HEIGHT - 20) + reach * np.sin(angles), 0, HEIGHT)
        return Region(
            id=rng.bytes(16),
            geometries={"polygon": Polygon(((tuple(ring.round(2).tolist()),),))},
            labels=(
                Label(
                    task="category",
                    node=self.nodes[int(rng.integers(len(self.nodes)))],
                    source="import",
                ),
            ),
            origin=Origin(id=900_100 + number),
            source="import",
        )


def edited(sample: Sample, places: list[tuple[int, int]], nodes: list[bytes]) -> Sample:
    """A sample with some of its regions changed: (place, number of the change) each."""
    from voyager.schema.label_edit import shifted

    regions: list[Region | None] = list(sample.regions)
    for place, number in places:
        region = regions[place]
        assert region is not None
        if number % 3 == 0:
            label = region.labels[0]
            node = nodes[(nodes.index(label.node) + 1) % len(nodes)]
            regions[place] = region.replace(labels=(label.replace(node=node),))
        elif number % 50 == 1:
            regions[place] = None
        elif number % 50 == 2:
            regions.append(region.replace(id=number.to_bytes(16, "big")))
        else:
            step = 60.0 if number % 10 == 4 else 3.0
            shape = shifted(region.geometry, step, step)
            regions[place] = region.replace(geometries={"polygon": shape})
    return sample.replace(regions=tuple(region for region in regions if region is not None))


def prepare(path: Path, images: int, regions: int, changed: int) -> None:
    """A repository with two versions."""
    import voyager

    repo = voyager.init(path, worktree=False)
    with repo.edit(message="first") as edit:
        edit.vocabulary.define("category", scope="region")
        nodes = [edit.vocabulary.category("category", f"class {n}") for n in range(CLASSES)]
        maker = Maker(images, regions, nodes)
        edit.update(maker.samples())
    owners = np.repeat(np.arange(images), maker.counts)
    starts = np.concatenate([[0], np.cumsum(maker.counts)])
    wanted: dict[int, list[tuple[int, int]]] = {}
    for number, region in enumerate(random.Random(3).sample(range(regions), changed)):
        owner = int(owners[region])
        wanted.setdefault(owner, []).append((region - int(starts[owner]), number))
    version = repo.at("HEAD")
    with repo.edit(message="second") as edit:
        edit.update(
            (key_of(owner), edited(version[key_of(owner)], wanted[owner], nodes))
            for owner in sorted(wanted)
        )
    repo.close()


def timed(path: Path, *arguments: str, runs: int) -> tuple[float, float, str]:
    """Seconds of a whole command, on the clock and of the processor, and its last line.

    Both are the middle of some runs; on a machine that does other work look at the second.
    """
    vgr = [str(Path(sys.executable).with_name("vgr")), "-C", str(path), *arguments]
    times, work = [], []
    for _ in range(runs):
        start, before = time.perf_counter(), os.times()
        done = subprocess.run(vgr, check=True, capture_output=True, text=True)
        times.append(time.perf_counter() - start)
        after = os.times()
        used = (after.children_user, after.children_system)
        work.append(sum(used) - before.children_user - before.children_system)
    return median(times), median(work), done.stdout.rstrip().rpartition("\n")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the diff of labels.")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--regions", type=int, default=REGIONS)
    parser.add_argument("--changed", type=int, default=CHANGED)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="label-diff-") as work:
        path = options.keep or Path(work) / "repo"
        if not (path / ".vgr").exists():
            prepare(path, options.images, options.regions, options.changed)
        print(f"| command | goal {GOAL:g} s | processor | last line |\n|---|---:|---:|---|")
        met = []
        for flags in ([], ["--stat"], ["--shortstat"], ["--json"], ["--name-status"]):
            seconds, used, last = timed(path, "diff", *flags, "HEAD~1", "HEAD", runs=options.runs)
            met.append(seconds <= GOAL)
            print(f"| vgr diff {' '.join(flags)} | {seconds:.2f} s | {used:.2f} s | {last[:80]} |")
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
