"""Training on an accelerator: how fast steps are, and how near real data comes to synthetic.

    python benchmarks/gpu_train.py [--photos DIR] [--device cuda] [--batch 128] [--steps 100]

For ResNeXt-101 32×8d and ViT-B/16 at 224 pixels: images a second in fp32, eager, and in bf16,
channels-last, compiled (goal: 3 times as many), both with one batch that stays on the device; then
the second training fed by the loader from a repository of photographs (goal: 95 % of that). A rate
is all pictures by all seconds after the first steps, with every wait for the loader and the starts
of epochs (of 62 steps each, with a batch of 128) in them. fp32 multiplies as torch does unless it
is told: matrices in full, convolutions in TF32 where the device has that; `--no-tf32` does without.

Nothing is fetched. Where there is no accelerator this tries the script in half a minute:
`--device cpu --models cnn-small --size 32 --batch 8 --steps 3 --copies 1 --no-compile`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voyager.repo.add import Options, add
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.store.cores import cores
from voyager.train.config import TrainConfig
from voyager.train.fresh_network import make_network
from voyager.train.loader import Batch, Loader
from voyager.train.ranks import Ranks
from voyager.train.start import gather, pick_device, repeatable
from voyager.train.trainer import Material, Training

MODELS = ("resnext-101-32x8d", "vit-base/16")
RATIO_GOAL, SHARE_GOAL = 3.0, 0.95
WARM_UP = 5


class Nobody:
    """Listens to a training and hears nothing."""

    def step(self, step: int, said: dict[str, float]) -> None: ...

    def epoch(self, epoch: int, said: dict[str, Any]) -> None: ...


class Timed(Training):
    """A training that is fed as always, or with `resident` shows the pictures of its first batch.

    Those stay on the device, so that nothing but the network is left to wait for.
    """

    resident: bool = False
    _held: Tensor | None = None

    def pixels(self, batch: Batch) -> Tensor:
        if not self.resident:
            return super().pixels(batch)
        if self._held is None:
            self._held = super().pixels(batch)
        return self._held

    def rate(self, batches: Iterator[Batch], steps: int) -> float:
        """Images a second over so many steps, after some to warm up."""
        for _ in range(WARM_UP):
            self.step(batches)
        began = self.now()
        for _ in range(steps):
            self.step(batches)
        return steps * self.config.batch / (self.now() - began)

    def now(self) -> float:
        """The time at which the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def make_repo(folder: Path, photos: list[Path], copies: int) -> Repository:
    """A repository of the photographs, each many times, with the folder's name as its class."""
    with Repository.init(folder) as repo:
        for number, path in enumerate(photos):
            for copy in range(copies):
                target = folder / "train" / path.parent.name / f"{number}-{copy}{path.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        options = Options(split_from_folder=True, class_task="category")
        add(repo, ["."], cwd=folder, options=options)
        commit(repo, "Photographs")
    return Repository.open(folder)


def training(material: Material, config: TrainConfig, device: torch.device) -> Timed:
    network, card = make_network(config, material.view, None)
    return Timed(
        material,
        config,
        network,
        card,
        recorder=Nobody(),
        checkpoint=Path("checkpoint.pt"),
        device=device,
        ranks=Ranks(),
    )


def measure(material: Material, name: str, args: argparse.Namespace, device: torch.device) -> bool:
    """Print the row of a network; whether it reaches the goals."""
    plain = TrainConfig(
        tasks=("category",),
        model=name,
        size=args.size,
        batch=args.batch,
        epochs=10_000,
        repro="order",
        channels_last=False,
    )
    fast = replace(plain, precision="bf16", compile=args.compile, channels_last=True)
    eager, _ = rates(material, plain, args, device)
    synthetic, fed = rates(material, fast, args, device, feed=True)
    ratio, share = synthetic / eager, fed / synthetic
    print(
        f"| {name} | {eager:.0f} | {synthetic:.0f} | {ratio:.2f} × | {fed:.0f} | {share:.1%} |",
        flush=True,
    )
    return ratio >= RATIO_GOAL and share >= SHARE_GOAL


def rates(
    material: Material,
    config: TrainConfig,
    args: argparse.Namespace,
    device: torch.device,
    *,
    feed: bool = False,
) -> tuple[float, float]:
    """Images a second with one batch on the device, and fed by the loader (0 unless asked for)."""
    torch.compiler.reset()
    with repeatable(config):
        run = training(material, config, device)
        with contextlib.closing(run.loader.epoch(0)) as batches:
            one = next(batches)
        run.resident = True
        synthetic = run.rate(itertools.repeat(one), args.steps)
        run.resident = False
        if not feed:
            return synthetic, 0.0
        with contextlib.closing(epochs(run.loader)) as batches:
            return synthetic, run.rate(batches, args.steps)


def epochs(loader: Loader) -> Generator[Batch, None, None]:
    for epoch in itertools.count(1):
        yield from loader.epoch(epoch)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of folders of photographs")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--copies", type=int, default=80, help="of each photograph, by other keys")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--no-tf32", dest="tf32", action="store_false")
    args = parser.parse_args()
    photos = sorted(args.photos.rglob("*.jpg")) if args.photos else photo_paths()
    device = pick_device(args.device)
    torch.backends.cudnn.allow_tf32 = args.tf32
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(
        f"{name}, {cores()} cores, batches of {args.batch} at {args.size} pixels,"
        f" torch {torch.__version__}; {told_of_fp32(device)}\n"
    )
    how = "compiled" if args.compile else "eager"
    print(f"| model | fp32 eager | bf16 {how} | ratio | fed by the loader | of synthetic |")
    print("|---|---:|---:|---:|---:|---:|")
    with (
        tempfile.TemporaryDirectory() as folder,
        make_repo(Path(folder) / "photos", photos, args.copies) as repo,
    ):
        config = TrainConfig(tasks=("category",), split=None, validate=None)
        material = gather(repo, repo.at("HEAD"), config)
        passed = [measure(material, model, args, device) for model in args.models]
    print(f"\ngoals: {RATIO_GOAL:g} ×, {SHARE_GOAL:.0%}: {'pass' if all(passed) else '**fail**'}")
    return 0 if all(passed) else 1


def told_of_fp32(device: torch.device) -> str:
    """How fp32 is multiplied."""
    if device.type != "cuda":
        return "fp32 in full"
    matrices = "TF32" if torch.backends.cuda.matmul.allow_tf32 else "full"
    convolutions = "TF32" if torch.backends.cudnn.allow_tf32 else "full"
    return f"fp32: matrices {matrices}, convolutions {convolutions}"


if __name__ == "__main__":
    sys.exit(main())
