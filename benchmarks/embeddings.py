"""Embeddings: how well images of one class lie together, and what a vector costs.

    python benchmarks/embeddings.py [--photos DIR] [--model FOLDER]

DIR has the folders `train` and `test` with a folder of photographs for each class; without it the
sample photographs are taken, which are too few to judge by. For each kind of vector: the share of
test photographs whose nearest (or five nearest, weighed by their cosines) training photograph is of
their class; the same of a linear classifier (ridge regression in closed form, its strength chosen
by five-fold cross-validation within the training photographs); and the mean average precision of
the training photographs ordered by their cosine with each test photograph. Times are processor
time in one thread, median of rounds in which the kinds take turns.

Goals, with photographs of clothes: nearest 0.38, linear 0.47, 0.6 ms beside decoding.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from voyager.derived import descriptor
from voyager.derived.binary_codes import binary_codes
from voyager.derived.embeddings import open_embedder, unit
from voyager.derived.picture import NoPicture, Picture
from voyager.derived.square import square_of
from voyager.samples import CLOTHING

NEAREST_GOAL, LINEAR_GOAL, MS_GOAL = 0.38, 0.47, 0.6
STRENGTHS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
ROUNDS, TIMED = 5, 60

Squares = list[np.ndarray]
Make = Callable[[Squares], np.ndarray]


class Split(NamedTuple):
    """Photographs of known classes: as pictures, as squares of 64×64, and their classes."""

    pictures: list[Picture]
    squares: Squares
    classes: np.ndarray


def read_split(folder: Path, classes: Sequence[str]) -> Split:
    pictures, squares, found = [], [], []
    for path in sorted(folder.rglob("*.jpg")):
        picture = Picture(path.read_bytes())
        try:
            squares.append(square_of(picture))
        except NoPicture:
            continue
        picture.forget()
        pictures.append(picture)
        found.append(classes.index(path.parent.name))
    return Split(pictures, squares, np.array(found))


# --- kinds of vectors ---


def means(square: np.ndarray, cells: int) -> np.ndarray:
    step = len(square) // cells
    return square.reshape(cells, step, cells, step, -1).mean(axis=(1, 3))


def raw_pixels(squares: Squares) -> np.ndarray:
    return np.stack([means(square, 32).ravel() for square in squares]).astype(np.float32)


def average_hash(squares: Squares) -> np.ndarray:
    """64 bits: which of 8×8 greys are lighter than their mean."""
    greys = np.stack([means(square, 8).mean(axis=2).ravel() for square in squares])
    return np.where(greys > greys.mean(axis=1, keepdims=True), 1, -1).astype(np.float32)


def plain(squares: Squares) -> np.ndarray:
    """Eight directions of gradients in 4×4 cells, and 4×4 mean colours, each at length 1."""
    return np.stack([plain_one(square.astype(np.float32)) for square in squares])


def plain_one(square: np.ndarray) -> np.ndarray:
    down, across = np.gradient(square.mean(axis=2))
    length, turn = np.hypot(down, across), np.arctan2(down, across) % np.pi
    bins = np.minimum((turn * (8 / np.pi)).astype(int), 7)
    maps = np.where(np.arange(8) == bins[..., None], length[..., None], 0)
    parts = means(maps, 4).ravel(), means(square, 4).ravel()
    return np.concatenate([part / max(1e-6, float(np.linalg.norm(part))) for part in parts])


def layouts(squares: Squares) -> np.ndarray:
    """16×16 mean colours without the mean of each channel."""
    cells = np.stack([means(square, 16).reshape(-1, 3) for square in squares])
    flat = (cells - cells.mean(axis=1, keepdims=True)).reshape(len(squares), -1)
    return unit(flat.astype(np.float32))


def default(squares: Squares) -> np.ndarray:
    """As they are kept: in halves."""
    return descriptor.describe(squares).astype(np.float16).astype(np.float32)


def codes_of(bits: int) -> Make:
    def make(squares: Squares) -> np.ndarray:
        codes = binary_codes(descriptor.describe(squares), bits)
        return np.unpackbits(codes, axis=1).astype(np.float32) * 2 - 1

    return make


KINDS: dict[str, Make] = {
    "raw pixels, 32×32": raw_pixels,
    "average hash, 64 bits": average_hash,
    "plain gradients and colours": plain,
    "layout": layouts,
    "default": default,
    "default in 1024 bits": codes_of(1024),
    "default in 256 bits": codes_of(256),
}


# --- quality ---


def nearest_accuracy(likeness: np.ndarray, train: np.ndarray, test: np.ndarray, k: int) -> float:
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :k]
    votes = np.zeros((len(test), train.max() + 1))
    for place in range(k):
        rows = np.arange(len(test)), train[nearest[:, place]]
        np.add.at(votes, rows, likeness[rows[0], nearest[:, place]])
    return float((votes.argmax(axis=1) == test).mean())


def ridge(known: np.ndarray, classes: np.ndarray, asked: np.ndarray, strength: float) -> np.ndarray:
    """The classes of vectors, by a linear function of them."""
    centre = known.mean(axis=0)
    known, asked = known - centre, asked - centre
    size = float((known**2).sum(axis=1).mean())
    targets = np.eye(classes.max() + 1)[classes]
    inner = known @ known.T / size + strength * np.eye(len(known))
    weights = np.linalg.solve(inner, targets - targets.mean(axis=0))
    return (asked @ known.T / size @ weights + targets.mean(axis=0)).argmax(axis=1)


def linear_accuracy(a: np.ndarray, train: np.ndarray, b: np.ndarray, test: np.ndarray) -> float:
    fold = np.random.default_rng(0).permutation(len(a)) % 5
    right = [
        sum(
            int((ridge(a[fold != i], train[fold != i], a[fold == i], strength)
                 == train[fold == i]).sum())
            for i in range(5)
        )
        for strength in STRENGTHS
    ]  # fmt: skip
    return float((ridge(a, train, b, STRENGTHS[int(np.argmax(right))]) == test).mean())


def mean_precision(likeness: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
    order = np.argsort(-likeness, axis=1, kind="stable")
    right = train[order] == test[:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return float(((precision * right).sum(axis=1) / np.maximum(right.sum(axis=1), 1)).mean())


def quality(a: np.ndarray, b: np.ndarray, train: Split, test: Split) -> tuple[float, ...]:
    """Nearest, five nearest, linear, mean average precision."""
    a, b = unit(a), unit(b)
    likeness = b @ a.T
    one, five = (nearest_accuracy(likeness, train.classes, test.classes, k) for k in (1, 5))
    linear = linear_accuracy(a, train.classes, b, test.classes)
    return one, five, linear, mean_precision(likeness, train.classes, test.classes)


# --- times ---


def milliseconds(train: Split) -> dict[str, float]:
    """Processor time an image of each kind, and of decoding one to a square."""
    squares, pictures = train.squares[:TIMED], train.pictures[:TIMED]
    spent: dict[str, list[float]] = {name: [] for name in (*KINDS, "decode")}
    for _ in range(ROUNDS):
        for name, make in KINDS.items():
            spent[name].append(thread_ms(lambda make=make: make(squares)) / len(squares))
        spent["decode"].append(thread_ms(lambda: decode(pictures)) / len(pictures))
    return {name: sorted(times)[ROUNDS // 2] for name, times in spent.items()}


def decode(pictures: list[Picture]) -> None:
    for picture in pictures:
        square_of(picture)
        picture.forget()


def thread_ms(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return 1000 * (time.thread_time() - start)


# --- the table ---


def row(name: str, dims: int, found: tuple[float, ...], ms: str) -> None:
    cells = " | ".join(f"{one:.3f}" for one in found)
    print(f"| {name} | {dims} | {cells} | {ms} |")


def measure(train: Split, test: Split, model: str | None) -> bool:
    """Print the table; whether the default is as good as it must be."""
    times = milliseconds(train)
    print(f"{len(train.classes)} training photographs, {len(test.classes)} of test,")
    print(f"{train.classes.max() + 1} classes; load {os.getloadavg()[0]:.1f} on {os.cpu_count()}\n")
    print("| vector | dims | nearest | 5 nearest | linear | mAP | ms an image |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    found = {}
    for name, make in KINDS.items():
        a, b = make(train.squares), make(test.squares)
        found[name] = quality(a, b, train, test)
        row(name, a.shape[1], found[name], f"{times[name]:.2f}")
    if model is not None:
        embedder = open_embedder(model)
        start = time.perf_counter()
        a, b = (embedder.embed([embedder.prepare(one) for one in split.pictures])
                for split in (train, test))  # fmt: skip
        ms = 1000 * (time.perf_counter() - start) / (len(a) + len(b))
        row(embedder.name, embedder.dims, quality(a, b, train, test), f"{ms:.1f}, decoded too")
    print(f"\nDecoding a photograph to 64×64: {times['decode']:.2f} ms.")
    nearest, _, linear, _ = found["default"]
    good = nearest >= NEAREST_GOAL and linear >= LINEAR_GOAL and times["default"] <= MS_GOAL
    print(f"Goals of the default: {'met' if good else 'missed'}.")
    return good


def main() -> None:
    parser = argparse.ArgumentParser(description="Embeddings: quality and cost.")
    parser.add_argument("--photos", type=Path, help="folder with train/CLASS and test/CLASS")
    parser.add_argument("--model", help="folder of a transformers model, measured beside")
    options = parser.parse_args()
    folder = options.photos or CLOTHING
    classes = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    train, test = (read_split(folder / name, classes) for name in ("train", "test"))
    good = measure(train, test, options.model)
    sys.exit(1 if options.photos and not good else 0)


if __name__ == "__main__":
    main()
