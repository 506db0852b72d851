"""Heads on frozen models: how good they are on photographs, and what a million vectors cost.

    python benchmarks/frozen.py [--photos DIR] [--rows N]

DIR has the folders `train` and `test` with a folder of photographs for each class; without it the
sample photographs are taken, which are too few to judge by. They become a repository; heads are
trained on `train` and asked about `test`, by all that `vgr train --frozen default` does, the guard
included: cold, with vectors that are kept, and after a relabel.

Then a linear head on N vectors (a million, unless said otherwise) of 100 classes: crops of the
photographs, perturbed by mixing in other crops of the class and noise; the strength is chosen on
some of them, as in a training without a split to validate with. The exit code is 1 where a goal is
missed; of quality that is judged with --photos alone.

Goals: 0.50 with photographs of clothes, 20 s for a million vectors on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from voyager.cli import main as vgr
from voyager.derived.embeddings import default_embedder, unit
from voyager.derived.picture import NoPicture, Picture
from voyager.repo.repository import Repository
from voyager.samples import CLOTHING
from voyager.schema import Label
from voyager.train.checks import refuse_unfit
from voyager.train.evaluate import evaluate_frozen
from voyager.train.frozen import FrozenConfig, FrozenOutcome, train_frozen
from voyager.train.metrics import measure
from voyager.train.strengths import fit_best
from voyager.train.view import Target

QUALITY_GOAL, SECONDS_GOAL = 0.50, 20.0
CLASSES, CROPS, NOISE = 100, 24, 0.1


def make_repo(photos: Path, root: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(photos / split, root / split)
    for words in (
        "init -q .",
        "add . --split-from folder --class-from folder -q",
        "commit -q -m Photos",
    ):
        if vgr(["-C", str(root), *words.split()]):
            sys.exit(f"vgr {words} failed")


@contextmanager
def timed(spent: dict[str, float], name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    spent[name] = time.perf_counter() - start


def train(root: Path, head: str, *, keep: bool = True) -> FrozenOutcome:
    """What the command does, the opening of the repository included."""
    with Repository.open(root) as repo:
        version = repo.at("HEAD")
        refuse_unfit(repo, version, allow_leak=True)
        config = FrozenConfig(tasks=("category",), head=head)
        return train_frozen(repo, version, config, keep=keep)


def asked(root: Path, done: FrozenOutcome) -> dict[str, float]:
    assert done.run is not None
    with Repository.open(root) as repo:
        found = evaluate_frozen(repo, repo.at("HEAD"), done.run, split="test")
        return measure(found.view, found.said)["category"]


def relabel(root: Path) -> None:
    """Give a tenth of the training photographs another class."""
    with Repository.open(root) as repo, repo.edit(message="Slips") as edit:
        version = repo.at("HEAD")
        keys = [key for key in version if key.startswith("train/")]
        nodes = [version[key].labels[0].node for key in keys]
        for place in range(0, len(keys), 10):
            label = Label(task="category", node=nodes[(place + len(keys) // 3) % len(keys)])
            edit[keys[place]] = version[keys[place]].replace(labels=(label,))


def measure_photos(photos: Path) -> float:
    """Print the table of heads; the balanced accuracy of the linear one."""
    spent: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        root = Path(folder) / "repo"
        root.mkdir()
        make_repo(photos, root)
        with timed(spent, "embedding all that lacks, and a linear head"):
            linear = train(root, "linear")
        with timed(spent, "a linear head on vectors that are kept"):
            again = train(root, "linear", keep=False)
        assert again.record.weights == linear.record.weights
        with timed(spent, "neighbours on vectors that are kept"):
            nearest = train(root, "knn")
        found = {"linear": asked(root, linear), "knn": asked(root, nearest)}
        relabel(root)
        with timed(spent, "after a relabel, its labels read for the first time"):
            after = train(root, "linear", keep=False)
        assert after.record.weights != linear.record.weights
        counts = linear.record.samples, int(found["linear"]["count"])
    print(f"{counts[0]} training photographs, {counts[1]} of test; {load()}\n")
    print("| head on the default embedding | accuracy | balanced accuracy |")
    print("|---|---:|---:|")
    for name, measures in found.items():
        print(f"| {name} | {measures['accuracy']:.3f} | {measures['balanced_accuracy']:.3f} |")
    print("\n| what | seconds |\n|---|---:|")
    for name, seconds in spent.items():
        print(f"| {name} | {seconds:.2f} |")
    return found["linear"]["balanced_accuracy"]


def load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()}"


def crop_vectors(photos: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of crops of photographs, and classes that share a photograph with few others."""
    embedder, generator = default_embedder(), np.random.default_rng(0)
    vectors, classes = [], []
    for number, path in enumerate(sorted(photos.rglob("*.jpg"))):
        picture = Picture(path.read_bytes())
        try:
            wide, high = picture.info.width, picture.info.height
            prepared = []
            for share in generator.uniform(0.5, 1, CROPS):
                across, down = int(wide * share), int(high * share)
                left, top = (int(generator.integers(0, rest + 1)) for rest in
                             (wide - across, high - down))  # fmt: skip
                prepared.append(
                    embedder.prepare(picture.crop((left, top, left + across, top + down)))
                )
        except NoPicture:
            continue
        picture.forget()
        vectors.append(embedder.embed(prepared))
        classes += [number % CLASSES] * CROPS
    return np.concatenate(vectors), np.array(classes, np.int32)


def perturbed(vectors: np.ndarray, classes: np.ndarray, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """So many vectors: each a crop with noise of a tenth of its length."""
    generator = np.random.default_rng(1)
    chosen = generator.integers(0, len(vectors), rows)
    made = np.empty((rows, vectors.shape[1]), np.float16)
    for first in range(0, rows, 1 << 15):
        part = vectors[chosen[first : first + (1 << 15)]]
        noise = generator.standard_normal(part.shape, np.float32)
        made[first : first + (1 << 15)] = unit(part + noise * (NOISE / part.shape[1] ** 0.5))
    return made, classes[chosen]


def measure_million(photos: Path, rows: int) -> float:
    """Print what a head on many vectors costs; the seconds."""
    vectors, classes = perturbed(*crop_vectors(photos), rows)
    names = tuple(map(str, range(CLASSES)))
    target = Target("task", "one", names, tuple(name.encode() for name in names), classes)
    before = os.times()
    start = time.perf_counter()
    chosen = fit_best((vectors, target), None)
    seconds, after = time.perf_counter() - start, os.times()
    spent = after.user + after.system - before.user - before.system
    right = (chosen.head.logits(vectors[:100_000]).argmax(axis=1) == classes[:100_000]).mean()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{rows:,} vectors of {vectors.shape[1]}, {CLASSES} classes: {seconds:.1f} s,"
          f" {spent:.1f} s of processors; strength {chosen.strength:g}, right {right:.3f};"
          f" peak memory {peak:.0f} MiB with {vectors.nbytes / 2**20:.0f} MiB of vectors;"
          f" {load()}")  # fmt: skip
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description="Heads on frozen models: quality and cost.")
    parser.add_argument("--photos", type=Path, help="folder with train/CLASS and test/CLASS")
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    photos = options.photos or CLOTHING
    quality = measure_photos(photos)
    seconds = measure_million(photos, options.rows)
    goals = {
        f"{seconds:.1f} s of {SECONDS_GOAL:g} for {options.rows:,} vectors": seconds <= SECONDS_GOAL
    }
    if options.photos:
        name = f"balanced accuracy {quality:.3f} of {QUALITY_GOAL:g}"
        goals[name] = quality >= QUALITY_GOAL
    for goal, reached in goals.items():
        print(f"{goal}: {'pass' if reached else '**fail**'}")
    sys.exit(0 if all(goals.values()) else 1)


if __name__ == "__main__":
    main()
