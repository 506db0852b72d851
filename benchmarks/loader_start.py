"""What the loader costs besides pixels, at a million samples: start, order, plans, memory.

    python benchmarks/loader_start.py [--samples N] [--epochs N]

One tiny image stands for all of them, so that a view, an order and plans are what is measured. The
start is a process of its own each time: open the repository and the view, which is in the cache,
and plan the batch at some (epoch, step) in the middle. The walk goes through all batches of the
epochs without drawing: rows, plans and answers. Goals: a start of 0.1 s, a state of 64 bytes, and
memory of 400 MiB that epochs add nothing to (1 MiB an epoch is noise).
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import PIL.Image

from voyager.repo.repository import Repository
from voyager.schema import Image, Label, Sample
from voyager.train.augment import AUGMENTATIONS
from voyager.train.data import as_arrays
from voyager.train.loader import Batch, Loader
from voyager.train.order import BLOCK, WINDOW, Order
from voyager.train.place import Place
from voyager.train.reading import PackSource
from voyager.train.view import Question, View, open_view
from voyager.wire import blob_ref

CLASSES, BATCH, STARTS = 100, 256, 5
START_GOAL, STATE_GOAL, MEMORY_GOAL = 0.1, 64, 400
NOISE = 1.0
"""MiB that memory may differ by from epoch to epoch."""
QUESTION = Question(("category",))


def make_repo(folder: Path, count: int) -> None:
    """A repository whose samples are all of one image, sorted by class."""
    out = io.BytesIO()
    PIL.Image.new("RGB", (32, 32), (9, 99, 199)).save(out, "JPEG")
    with Repository.init(folder, worktree=False) as repo, repo.edit(message="Samples") as edit:
        first = edit.add_image("first.jpg", out.getvalue(), split="val")
        blob = first.image.blob_id
        assert blob is not None
        nodes = [edit.vocabulary.category("category", f"c{at:03}") for at in range(CLASSES)]
        image = Image(
            blob=blob_ref(blob), type="jpeg", bytes=len(out.getvalue()), width=32, height=32
        )
        edit.update(
            (
                f"c{at * CLASSES // count:03}/{at:08}.jpg",
                Sample(
                    uid=at.to_bytes(16),
                    image=image,
                    split="train",
                    labels=(Label(task="category", node=nodes[at * CLASSES // count]),),
                ),
            )
            for at in range(count)
        )


def open_loader(repo: Repository) -> Loader:
    version = repo.at("HEAD")
    view = open_view(repo, version, QUESTION)
    source = PackSource(version.objects, view)
    how = AUGMENTATIONS["standard"]
    return Loader(source, view, size=32, batch=BATCH, seed=1, augmentation=how)


def planned(loader: Loader, epoch: int, step: int) -> Batch:
    """A batch but for its pixels."""
    positions = loader.positions(step, 0)
    rows = loader.rows(epoch, positions)
    loader.plan(epoch, positions, rows)
    return Batch(epoch, step, np.empty(0, np.uint8), rows, np.ones(len(rows), np.bool_))


# --- run in processes of their own ---


def start(folder: Path) -> dict[str, float]:
    began = time.perf_counter()
    repo = Repository.open(folder)
    opened = time.perf_counter()
    loader = open_loader(repo)
    planned(loader, 7, loader.steps // 2)
    ready = time.perf_counter()
    with repo:
        batch = next(loader.epoch(7, loader.steps // 2))
    assert batch.images.any()
    return {
        "repository": opened - began,
        "start": ready - opened,
        "first batch": time.perf_counter() - ready,
    }


def walk(folder: Path, epochs: int) -> dict[str, object]:
    with Repository.open(folder) as repo:
        loader = open_loader(repo)
        before = memory("VmRSS")
        after, began = [], time.perf_counter()
        for epoch in range(epochs):
            seen = 0
            for step in range(loader.steps):
                seen += len(as_arrays(loader.view, planned(loader, epoch, step))["rows"])
            assert seen == loader.count
            after.append(memory("VmRSS"))
        return {
            "before": before,
            "after": after,
            "peak": memory("VmHWM"),
            "microseconds": (time.perf_counter() - began) / epochs / loader.count * 1e6,
        }


def memory(kind: str) -> float:
    """MiB that this process has in memory, or had at most, what it maps of files included."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def apart(*words: object) -> dict[str, Any]:
    """What this script says in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# --- the order ---


def spread(view: View) -> float:
    """The variance of a class over batches, by that of a full shuffle."""
    labels = view.targets["category"].values[Order(len(view), 1).at(0, np.arange(len(view)))]
    batches = labels[: len(labels) // BATCH * BATCH].reshape(-1, BATCH)
    counts = np.stack([(batches == label).sum(axis=1) for label in range(CLASSES)])
    return float(counts.var(axis=1).mean() / (BATCH / CLASSES * (1 - 1 / CLASSES)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--walk", type=Path)
    args = parser.parse_args()
    if args.start is not None or args.walk is not None:
        found = start(args.start) if args.start is not None else walk(args.walk, args.epochs)
        print(json.dumps(found))
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "work"
        make_repo(folder, args.samples)
        with Repository.open(folder) as repo:
            began = time.perf_counter()
            view = open_view(repo, repo.at("HEAD"), QUESTION)
            print(f"{len(view):,} samples; view built in {time.perf_counter() - began:.1f} s")
            kept = sum(one.stat().st_size for one in (repo.folder / "cache/train").rglob("*.npy"))
            print(f"view in the cache: {kept / 2**20:.0f} MiB")
            print(
                f"order: class counts of batches vary {spread(view):.2f} × as in a full shuffle;"
                f" read in stretches of {BLOCK}, out of windows of {BLOCK * WINDOW:,}"
            )
        starts = [apart("--start", folder) for _ in range(STARTS)]
        took = {
            part: median(float(str(one[part])) for one in starts)
            for part in ("repository", "start", "first batch")
        }
        for part, seconds in took.items():
            print(f"{part:12} {seconds:.3f} s")
        state = len(Place(bytes(16), 1, 7, 5).as_bytes())
        walked = apart("--walk", folder, "--epochs", args.epochs)
        before, peak = float(str(walked["before"])), float(str(walked["peak"]))
        after = [float(one) for one in walked["after"]]
        told = ", ".join(f"{mib:.0f}" for mib in after)
        print(f"memory after imports and view {before:.0f} MiB, after each epoch {told}", end=" ")
        print(f"· peak {peak:.0f} MiB")
        print(f"rows, plans and answers: {walked['microseconds']:.1f} µs a sample")
    goals = {
        f"start {took['start']:.3f} s of {START_GOAL:g}": took["start"] <= START_GOAL,
        f"state {state} bytes of {STATE_GOAL}": state <= STATE_GOAL,
        f"peak {peak:.0f} MiB of {MEMORY_GOAL}": peak <= MEMORY_GOAL,
        "memory flat from epoch to epoch": after[-1] - after[0] <= len(after) * NOISE,
    }
    for goal, reached in goals.items():
        print(f"{goal}: {'pass' if reached else '**fail**'}")
    return 0 if all(goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
