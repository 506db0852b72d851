"""The loader against torch's DataLoader over a folder, on the same photographs.

    python benchmarks/loader.py [--photos DIR] [--count N] [--large N] [--rounds N] [--workers N…] \
        [--parts 28,110,wait] [--steps N]

DIR has photographs below it, of about 28 kB; without it the sample photographs are taken. They are
repeated, each time with other bytes, to COUNT files, and drawn twice as large to LARGE files of
about 110 kB. The work is what an evaluation does: decode, short side to 256, the middle 224×224.
The DataLoader does it as is usual (Pillow, one file a sample, batches of 64) with its best number
of workers; the loader reads a commit, and resizes by torch as trainings do. Ways take turns, and
medians of the rounds are shown with their ratios: another load of the machine moves all of them.

Part *wait* trains `vit-tiny/16` for so many STEPS on the photographs of 28 kB, augmented as usual,
and says which share of the time the network had no batch yet, from the second step on.

Goals: images/s by that of one thread times cores 0.92; by the DataLoader 1.35 (28 kB) and 1.25
(110 kB) at a mean difference of 0.2 levels, with renditions of 256 pixels 4 and 5, of a PSNR of 36
dB (q90) and 38 dB (q95); a data wait of 2 %. The exit code is 1 where one is missed.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from torch.utils.data import DataLoader, Dataset

from voyager.cli import main as vgr
from voyager.repo.deriving import derived_cache
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.store.cores import cores
from voyager.train.augment import NONE
from voyager.train.config import TrainConfig
from voyager.train.loader import Loader
from voyager.train.reading import PackSource
from voyager.train.rendering import render
from voyager.train.renditions import Rendition
from voyager.train.resizing import by_torch
from voyager.train.session import Listener, train_run
from voyager.train.view import Question, View, open_view

SIDE, SHORT, BATCH, COMPARED = 224, 256, 64, 256
EFFICIENCY_GOAL, DIFFERENCE_GOAL, WAIT_GOAL = 0.92, 0.2, 0.02
PEER_GOALS = {"28 kB": (1.35, 4.0), "110 kB": (1.25, 5.0)}
"""Images/s by the DataLoader, of originals and of renditions."""
PSNR_GOALS = {90: 36.0, 95: 38.0}
PLAIN = "loader"


class Goal(NamedTuple):
    """What was asked for and what came out."""

    name: str
    found: float
    wanted: float
    most: bool = False
    """Whether no more than `wanted` is asked for, instead of no less."""

    @property
    def reached(self) -> bool:
        return self.found <= self.wanted if self.most else self.found >= self.wanted

    def __str__(self) -> str:
        sign = "≤" if self.most else "≥"
        said = "pass" if self.reached else "**fail**"
        return f"{self.name}: {self.found:.3g} ({sign} {self.wanted:g}) {said}"


class Folder(Dataset[tuple[torch.Tensor, int]]):
    """The usual dataset: a file a sample, decoded and resized by Pillow."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(usual(self.paths[place])).permute(2, 0, 1), place


def usual(path: Path) -> np.ndarray:
    """Resize(256), CenterCrop(224) as torchvision does them with Pillow's pictures."""
    with PIL.Image.open(path) as opened:
        image = opened.convert("RGB")
    shorter = min(image.size)
    wide, high = (int(SHORT * side / shorter) for side in image.size)
    image = image.resize((wide, high), PIL.Image.Resampling.BILINEAR)
    left, top = round((wide - SIDE) / 2), round((high - SIDE) / 2)
    return np.array(image.crop((left, top, left + SIDE, top + SIDE)))


# --- the photographs ---


def make_photos(folder: Path, photos: list[bytes], count: int) -> list[Path]:
    """COUNT files, no two of the same bytes."""
    paths = []
    for number in range(count):
        data = photos[number % len(photos)]
        comment = f"{number:08}".encode()
        path = folder / f"{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:2] + b"\xff\xfe\x00\x0a" + comment + data[2:])
        paths.append(path)
    return sorted(paths)


def enlarged(photo: bytes) -> bytes:
    """The photograph twice as large, with noise for the detail that it lacks: about 110 kB."""
    with PIL.Image.open(io.BytesIO(photo)) as opened:
        image = opened.convert("RGB")
    image = image.resize((2 * image.width, 2 * image.height), PIL.Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 3, (image.height, image.width, 1))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "JPEG", quality=80)
    return out.getvalue()


def make_repo(folder: Path) -> Repository:
    for words in ("init -q .", "add . --class-from folder -q", "commit -q -m Photographs"):
        if vgr(["-C", str(folder), *words.split()]) != 0:
            raise SystemExit(f"vgr {words} failed")
    return Repository.open(folder)


# --- ways of loading ---


class Way(NamedTuple):
    """Something that goes through all photographs; what one of its rounds takes."""

    name: str
    go: Callable[[], int]


def all_of(batches: Iterator[Any]) -> int:
    return sum(len(batch.rows) for batch in batches)


def with_loader(source: PackSource, view: View) -> Callable[[], int]:
    loader = Loader(source, view, size=SIDE, batch=BATCH, augmentation=NONE, resize=by_torch)

    def go() -> int:
        with closing(loader.epoch(0)) as batches:
            return all_of(batches)

    return go


def with_one_thread(source: PackSource, view: View, count: int) -> Callable[[], int]:
    """What the loader's threads do, without threads, over so many rows."""
    loader = Loader(source, view, size=SIDE, batch=BATCH, augmentation=NONE)
    out = np.empty((SIDE, SIDE, 3), np.uint8)

    def go() -> int:
        for first in range(0, count, BATCH):
            positions = np.arange(first, min(first + BATCH, count))
            rows = loader.rows(0, positions)
            plan = loader.plan(0, positions, rows)
            found = source.read(rows.tolist(), plan.small)
            for data, change, frame in zip(found, plan.changes, plan.frames, strict=True):
                assert data is not None and render(data, change, frame, out, by_torch)
        return count

    return go


def with_torch(paths: list[Path], workers: int) -> Callable[[], int]:
    loader = DataLoader(
        Folder(paths), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )

    def go() -> int:
        return sum(len(places) for _, places in loader)

    return go


def timed(way: Callable[[], int]) -> tuple[float, float]:
    """(images a second, CPU milliseconds an image of this process and its workers)."""
    began, cpu = time.perf_counter(), cpu_seconds()
    count = way()
    return count / (time.perf_counter() - began), (cpu_seconds() - cpu) / count * 1e3


def cpu_seconds() -> float:
    """What this process has used, and its running children, where the kernel tells."""
    total = time.process_time()
    for child in multiprocessing.active_children():
        stat = Path(f"/proc/{child.pid}/stat")
        if stat.exists():
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]
            total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total


def best_workers(paths: list[Path], choices: list[int]) -> int:
    rates = {workers: timed(with_torch(paths[:1200], workers))[0] for workers in choices}
    listed = ", ".join(f"{workers}: {rate:.0f}" for workers, rate in rates.items())
    print(f"  DataLoader, images/s by workers (1,200 files, with their start): {listed}")
    return max(rates, key=rates.__getitem__)


# --- the table ---


def compare(size: str, root: Path, photos: list[bytes], count: int, args: Any) -> list[Goal]:
    paths = make_photos(root, photos, count)
    kilobytes = sum(path.stat().st_size for path in paths) / len(paths) / 1e3
    print(f"{size}: {count} photographs, {kilobytes:.1f} kB on average")
    workers = best_workers(paths, args.workers)
    torch_way = with_torch(paths, workers)
    torch_way()  # starts the workers, before there is anything that must not be forked
    with make_repo(root) as repo:
        version = repo.at("HEAD")
        view = open_view(repo, version, Question(("category",), split=None))
        cache = derived_cache(repo)
        plain = PackSource(version.objects, view)
        sources = {PLAIN: plain}
        for quality in PSNR_GOALS:
            rendition = Rendition(256, quality)
            source = PackSource(version.objects, view, rendition=rendition, cache=cache)
            source.fill()
            sources[f"{PLAIN}, renditions q{quality}"] = source
        ways = [
            Way(f"DataLoader, {workers} workers", torch_way),
            Way("one thread", with_one_thread(plain, view, min(count, 1000))),
            *(Way(name, with_loader(source, view)) for name, source in sources.items()),
        ]
        found: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
        for _ in range(args.rounds):
            for way in ways:
                found[way.name].append(timed(way.go))
        goals = show(size, found, ways)
        for (name, source), psnr_goal in zip(
            sources.items(), (None, *PSNR_GOALS.values()), strict=True
        ):
            mean, psnr = difference(source, view, root)
            print(f"  {name}: differs by {mean:.3f} levels on average, PSNR {psnr:.1f} dB")
            if psnr_goal is None:
                goals.append(Goal(f"{size}, mean difference", mean, DIFFERENCE_GOAL, most=True))
            else:
                goals.append(Goal(f"{size}, {name}, dB", psnr, psnr_goal))
    return goals


def show(size: str, found: dict[str, list[tuple[float, float]]], ways: list[Way]) -> list[Goal]:
    """Print the table of a size; what is asked of its rows."""
    peer, one = (found[way.name] for way in ways[:2])
    print(f"  {'':28} images/s    by DataLoader  by one thread × cores   CPU ms an image   by CPU")
    peer_cpu = median(cpu for _, cpu in peer)
    goals = []
    for way in ways:
        rates = [rate for rate, _ in found[way.name]]
        by_peer = median(mine / other for mine, (other, _) in zip(rates, peer, strict=True))
        by_one = median(mine / other for mine, (other, _) in zip(rates, one, strict=True))
        by_one /= cores()
        cpu = median(cpu for _, cpu in found[way.name])
        print(
            f"  {way.name:28} {median(rates):8.0f} {by_peer:16.2f}"
            f" {by_one:22.2f} {cpu:17.2f} {peer_cpu / cpu:8.2f}"
        )
        if way.name.startswith(PLAIN):
            wanted = PEER_GOALS[size][way.name != PLAIN]
            goals.append(Goal(f"{size}, {way.name} by DataLoader", by_peer, wanted))
        if way.name == PLAIN:
            goals.append(Goal(f"{size}, by one thread × cores", by_one, EFFICIENCY_GOAL))
    return goals


def difference(source: PackSource, view: View, root: Path) -> tuple[float, float]:
    """The mean difference from the usual pixels, and the mean PSNR."""
    loader = Loader(source, view, size=SIDE, batch=BATCH, evaluate=True, resize=by_torch)
    means, squares = [], []
    with closing(loader.epoch(0)) as batches:
        for batch in batches:
            for row, image in zip(batch.rows.tolist(), batch.images, strict=True):
                off = image.astype(np.int32) - usual(root / view.key(row))
                means.append(np.abs(off).mean())
                squares.append(max((off**2).mean(), 1e-9))
            if len(means) >= COMPARED:
                break
    return float(np.mean(means)), float(np.mean(10 * np.log10(255**2 / np.array(squares))))


# --- a training ---


def data_wait(root: Path, photos: list[bytes], args: Any) -> list[Goal]:
    """Train on photographs; the share of the time in which there was no batch yet."""
    make_photos(root, photos, args.count)
    config = TrainConfig(
        tasks=("category",),
        split=None,
        validate=None,
        model="vit-tiny/16",
        size=SIDE,
        batch=BATCH,
        steps=args.steps,
    )
    told: list[dict[str, float]] = []
    listener = Listener(step=lambda done, of, said: told.append(said))
    with make_repo(root) as repo:
        train_run(repo, repo.at("HEAD"), config, keep=False, listener=listener)
    seconds = np.array([BATCH / said["images_per_second"] for said in told])
    waited = seconds * [said["waiting"] for said in told]
    share = float(waited[1:].sum() / seconds[1:].sum())
    print(
        f"vit-tiny/16: {args.steps} steps of {BATCH}, {BATCH / np.median(seconds):.1f} images/s,"
        f" data wait {share:.2%}; the first step waited {waited[0]:.2f} s"
    )
    return [Goal("data wait with vit-tiny/16", share, WAIT_GOAL, most=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--count", type=int, default=5700)
    parser.add_argument("--large", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--parts", default="28,110,wait")
    parser.add_argument("--steps", type=int, default=12)
    args = parser.parse_args()
    found = photo_paths() if args.photos is None else sorted(args.photos.rglob("*.jpg"))
    photos = [path.read_bytes() for path in found]
    parts = args.parts.split(",")
    warnings.filterwarnings("ignore", ".*worker processes in total")
    print(f"{cores()} cores, load {os.getloadavg()[0]:.1f}")
    goals = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.set_num_threads(1)
        if "28" in parts:
            goals += compare("28 kB", folder / "small", photos, args.count, args)
        if "110" in parts:
            large = [enlarged(photo) for photo in photos[:: max(1, len(photos) // 250)]]
            goals += compare("110 kB", folder / "large", large, args.large, args)
        if "wait" in parts:
            goals += data_wait(folder / "wait", photos, args)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"load {os.getloadavg()[0]:.1f}, peak memory {peak:.0f} MiB\n")
    for goal in goals:
        print(goal)
    return 0 if all(goal.reached for goal in goals) else 1


if __name__ == "__main__":
    sys.exit(main())
