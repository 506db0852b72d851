"""Make the image sets of the benchmarks out of the sample photographs, always the same ones.

    python benchmarks/generate.py FOLDER [--small]

Sets, each a folder under FOLDER: `tiny` (60,000 JPEG of 32x32 in 200 folders), `tiny-edits` (other
pictures for 1 % of them, under the same paths) and `photos` (5,700 JPEG of about 28 kB). A set that
is complete is kept; its bytes depend on the seed and on Pillow's JPEG encoder alone.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path

from PIL import Image, ImageEnhance

from voyager.samples import photo_paths

SEED = 20_261_101
EDIT_EVERY = 100
"""One of this many tiny images is edited: 1 %."""

Draw = Callable[[Path, str], None]


@cache
def sources() -> list[Image.Image]:
    """The sample photographs, decoded once per process."""
    return [Image.open(path).convert("RGB") for path in photo_paths()]


def augment(image: Image.Image, chance: random.Random) -> Image.Image:
    """A mirrored, lighter or darker, more or less colourful copy."""
    if chance.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(chance.uniform(0.7, 1.3))
    return ImageEnhance.Color(image).enhance(chance.uniform(0.5, 1.5))


def crop_box(
    image: Image.Image, chance: random.Random, width: int, height: int
) -> tuple[int, int, int, int]:
    left = chance.randint(0, image.width - width)
    top = chance.randint(0, image.height - height)
    return left, top, left + width, top + height


def draw_tiny(path: Path, seed: str) -> None:
    """A 32x32 cut-out of a photograph; its comment keeps even plain ones distinct."""
    chance = random.Random(seed)
    image = chance.choice(sources())
    side = chance.randint(64, min(image.size))
    small = image.resize((32, 32), box=crop_box(image, chance, side, side))
    augment(small, chance).save(path, quality=chance.randint(85, 95), comment=seed)


def draw_photo(path: Path, seed: str) -> None:
    """A photograph with its margins cut and its colours changed, 20 to 40 kB."""
    chance = random.Random(seed)
    image = chance.choice(sources())
    keep = chance.uniform(0.85, 1)
    box = crop_box(image, chance, int(image.width * keep), int(image.height * keep))
    cut = image.resize(image.size, Image.Resampling.BICUBIC, box=box)
    augment(cut, chance).save(path, quality=chance.randint(78, 86), comment=seed)


def draw_folder(draw: Draw, name: str, folder: Path, indices: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for index in indices:
        draw(folder / f"{index:06}.jpg", f"{SEED}-{name}-{index}")


def make_set(base: Path, name: str, draw: Draw, *, count: int, folders: int, step: int = 1) -> Path:
    """Draw `count` images into `folders` folders, every `step`-th of them only."""
    target = base / name
    done = base / f"{name}.complete"
    wanted = f"{SEED} {count} {folders} {step}\n"
    if done.exists() and done.read_text() == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    each = count // folders
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(
                draw_folder, draw, name, target / f"{number:03}", range(first, first + each, step)
            )
            for number, first in enumerate(range(0, count, each))
        ]
        for job in jobs:
            job.result()
    done.write_text(wanted)
    return target


def make_all(base: Path, *, small: bool = False) -> None:
    """Make the three sets under `base`; a hundredth of them where `small`."""
    base.mkdir(parents=True, exist_ok=True)
    part = 100 if small else 1
    tiny, folders = 60_000 // part, 200 // (20 if small else 1)
    make_set(base, "tiny", draw_tiny, count=tiny, folders=folders)
    step = min(EDIT_EVERY, tiny // folders)  # at least one in every folder
    make_set(base, "tiny-edits", draw_tiny, count=tiny, folders=folders, step=step)
    make_set(base, "photos", draw_photo, count=5_700 // part, folders=57 // (19 if small else 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the image sets of the benchmarks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a hundredth of the images")
    options = parser.parse_args()
    make_all(options.folder, small=options.small)
    for name in ("tiny", "tiny-edits", "photos"):
        sizes = [path.stat().st_size for path in (options.folder / name).rglob("*.jpg")]
        print(f"{name}: {len(sizes)} images, {sum(sizes):,} bytes, {sum(sizes) // len(sizes)} each")


if __name__ == "__main__":
    main()
