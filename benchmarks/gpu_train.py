"""Training on an accelerator: how fast steps are, and how near real data comes to synthetic.

    python benchmarks/gpu_train.py [--photos DIR] [--device cuda] [--batch 128] [--steps 30]

For ResNeXt-101 32×8d and ViT-B/16 at 224 pixels: images a second in fp32, eager, and in bf16,
channels-last, compiled (goal: 3 times as many); then the same training fed by the loader from a
repository of photographs, against one batch shown again and again (goal: 95 %). Where there is no
accelerator `--device cpu --models cnn-small --size 64` tries the script.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from voyager.repo.add import Options, add
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.train.config import TrainConfig
from voyager.train.loader import Batch
from voyager.train.ranks import Ranks
from voyager.train.start import gather, make_network, pick_device, repeatable
from voyager.train.trainer import Material, Training

MODELS = ("resnext-101-32x8d", "vit-base/16")
RATIO_GOAL, SHARE_GOAL = 3.0, 0.95
WARM_UP = 5
COPIES = 40
"""Times that each photograph stands in the repository, under other keys."""


class Nobody:
    """Listens to a training and hears nothing."""

    def step(self, step: int, said: dict[str, float]) -> None: ...

    def epoch(self, epoch: int, said: dict[str, Any]) -> None: ...


def make_repo(folder: Path, photos: list[Path]) -> Repository:
    """A repository of the photographs, each many times, with the folder's name as its class."""
    with Repository.init(folder) as repo:
        for number, path in enumerate(photos):
            for copy in range(COPIES):
                target = folder / "train" / path.parent.name / f"{number}-{copy}{path.suffix}"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
        options = Options(split_from_folder=True, class_task="category")
        add(repo, ["."], cwd=folder, options=options)
        commit(repo, "Photographs")
    return Repository.open(folder)


def training(material: Material, config: TrainConfig, device: torch.device) -> Training:
    network, card = make_network(config, material.view, None)
    return Training(
        material,
        config,
        network,
        card,
        recorder=Nobody(),
        checkpoint=Path("checkpoint.pt"),
        device=device,
        ranks=Ranks(),
    )


def rate(run: Training, batches: Iterator[Batch], steps: int) -> float:
    """Images a second, the median over steps after some to warm up."""
    took = []
    for number in range(WARM_UP + steps):
        began = time.perf_counter()
        run.step(batches)
        if run.device.type == "cuda":
            torch.cuda.synchronize()
        if number >= WARM_UP:
            took.append(time.perf_counter() - began)
    return run.config.batch / statistics.median(took)


def measure(material: Material, name: str, args: argparse.Namespace, device: torch.device) -> bool:
    plain = TrainConfig(
        tasks=("category",),
        model=name,
        size=args.size,
        batch=args.batch,
        epochs=10_000,
        repro="order",
        channels_last=False,
    )
    fast = TrainConfig.from_dict(
        {**plain.as_dict(), "precision": "bf16", "compile": True, "channels_last": True}
    )
    rates = []
    for config in (plain, fast):
        with repeatable(config):
            run = training(material, config, device)
            one = next(run.loader.epoch(0))
            rates.append(rate(run, itertools.repeat(one), args.steps))
            if config is fast:
                epochs = itertools.chain.from_iterable(map(run.loader.epoch, itertools.count(1)))
                rates.append(rate(run, epochs, args.steps))
            del run
    eager, compiled, fed = rates
    ratio, share = compiled / eager, fed / compiled
    print(
        f"| {name} | {eager:.0f} | {compiled:.0f} | {ratio:.2f} × | {fed:.0f} | {share:.0%} |",
        flush=True,
    )
    return ratio >= RATIO_GOAL and share >= SHARE_GOAL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, help="a folder of folders of photographs")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=30)
    args = parser.parse_args()
    photos = sorted(args.photos.rglob("*.jpg")) if args.photos else photo_paths()
    device = pick_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    print(f"{name}, batches of {args.batch} at {args.size} pixels, torch {torch.__version__}\n")
    print("| model | fp32 eager | bf16 compiled | ratio | fed by the loader | of synthetic |")
    print("|---|---:|---:|---:|---:|---:|")
    with (
        tempfile.TemporaryDirectory() as folder,
        make_repo(Path(folder) / "photos", photos) as repo,
    ):
        config = TrainConfig(tasks=("category",), split=None, validate=None)
        material = gather(repo, repo.at("HEAD"), config)
        passed = [measure(material, model, args, device) for model in args.models]
    print(f"\ngoals: {RATIO_GOAL:g} ×, {SHARE_GOAL:.0%}: {'pass' if all(passed) else '**fail**'}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
