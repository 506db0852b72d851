"""One pass over photographs: all that is derived of them against decoding them and nothing else.

    python benchmarks/derive.py [--count 5700] [--photos DIR] [--rounds 3]

The photographs are those in DIR, or drawn ones, written anew at other qualities until there are
enough of about 28 kB. Each round decodes all with one thread (Pillow to an array of RGB, Pillow
alone, simplejpeg) and derives probe, pixels, phash, statistics, thumbnail and the default embedding
of the same on all cores; shares are of the decode rate times the cores, medians over the rounds.
Goal: 60 %. Then a repository: `vgr derive` twice, and on a branch; goal 0.3 s and no decode.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from generate import draw_photo
from PIL import Image

from voyager.derived.cache import DerivedCache
from voyager.derived.embeddings import default_embedder, embedding
from voyager.derived.registry import METHODS, Method
from voyager.store.ids import blob_id

WHAT = ("probe", "pixels", "phash", "statistics", "thumbnail")
GOAL, AGAIN_GOAL = 0.6, 0.3
CORES = len(os.sched_getaffinity(0))


def photographs(folder: Path | None, count: int, work: Path) -> Iterator[bytes]:
    """So many different photographs of about 28 kB."""
    if folder is None:
        for number in range(count):
            draw_photo(work / "drawn.jpg", f"derive-{number}")
            yield (work / "drawn.jpg").read_bytes()
        return
    paths = sorted(folder.rglob("*.jpg"))
    for number, path in zip(range(count), cycle(paths), strict=False):
        data = path.read_bytes()
        if number >= len(paths):
            turn = number // len(paths)
            out = io.BytesIO()
            with Image.open(path) as image:
                image.convert("RGB").save(out, "JPEG", quality=84 - turn, comment=str(turn))
            data = out.getvalue()
        yield data


# --- the pass ---


def pillow_array(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        np.asarray(image.convert("RGB") if image.mode != "RGB" else image)


def pillow(data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        image.load()


def simple(data: bytes) -> None:
    import simplejpeg

    simplejpeg.decode_jpeg(data)


DECODERS: dict[str, Callable[[bytes], None]] = {
    "Pillow, to an array": pillow_array,
    "Pillow, no array": pillow,
    "simplejpeg": simple,
}


class Rate(NamedTuple):
    """Images a second by the clock, and a second of work of all cores."""

    clock: float
    work: float


def measured(work: Callable[[], object], count: int) -> Rate:
    clock, busy = time.perf_counter(), processor_seconds()
    work()
    return Rate(count / (time.perf_counter() - clock), count / (processor_seconds() - busy))


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def decode_all(decode: Callable[[bytes], None], images: Iterable[bytes]) -> None:
    for data in images:
        decode(data)


def derive_all(methods: Sequence[Method], images: dict[bytes, bytes], folder: Path) -> None:
    done = DerivedCache(folder).fill(methods, images, lambda ids: ((i, images[i]) for i in ids))
    assert done.computed == len(images)
    assert not any(done.failed.values())
    DerivedCache(folder).drop()


def tell_pass(images: dict[bytes, bytes], rounds: int, work: Path) -> None:
    methods = [*(METHODS[name] for name in WHAT), embedding(default_embedder())]
    passes = {"one pass, all of them": methods, "without the embedding": methods[:-1]}
    found: dict[str, list[Rate]] = {name: [] for name in (*DECODERS, *passes)}
    for _ in range(rounds):
        for name, decode in DECODERS.items():
            run = partial(decode_all, decode, images.values())
            found[name].append(measured(run, len(images)))
        for name, chosen in passes.items():
            run = partial(derive_all, chosen, images, work / "cache")
            found[name].append(measured(run, len(images)))
    shares = " | ".join(f"of {name}" for name in DECODERS)
    print(f"| {rounds} × {len(images):,} images, {CORES} cores | a second | {shares} |")
    print("|---|---:|" + "---:|" * len(DECODERS))
    for name in DECODERS:
        print(f"| {name}, 1 thread | {median(rate.clock for rate in found[name]):,.0f} | | | |")
    for name in passes:
        pairs = [list(zip(found[name], found[other], strict=True)) for other in DECODERS]
        clock = [median(a.clock / (b.clock * CORES) for a, b in pair) for pair in pairs]
        busy = [median(a.work / b.work for a, b in pair) for pair in pairs]
        row = " | ".join(f"{a:.2f} ({b:.2f})" for a, b in zip(clock, busy, strict=True))
        print(f"| {name} | {median(rate.clock for rate in found[name]):,.0f} | {row} |")
    print("shares are of the decode rate × cores; in brackets by processor time, which other")
    print(f"programs that run meanwhile touch less; goal {GOAL:.2f}\n")


# --- the command ---


def tell_command(images: dict[bytes, bytes], work: Path) -> None:
    place = work / "repository"
    (place / "photos").mkdir(parents=True)
    for number, data in enumerate(images.values()):
        (place / "photos" / f"{number:06}.jpg").write_bytes(data)

    def vgr(*words: str) -> float:
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "voyager.cli", *words],
            cwd=place,
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - started

    vgr("init", "-q")
    vgr("add", "-q", ".")
    vgr("commit", "-q", "-m", "Photographs")
    print("| vgr derive | s |\n|---|---:|")
    print(f"| {len(images):,} photographs, first | {vgr('derive'):.2f} |")
    print(f"| again | {median(vgr('derive') for _ in range(5)):.2f} |")
    vgr("switch", "-q", "-c", "other")
    (place / "photos" / "000000.jpg").rename(place / "photos" / "again.jpg")
    vgr("add", "-q", "-u")
    vgr("commit", "-q", "-m", "A rename")
    print(f"| on another branch | {median(vgr('derive') for _ in range(5)):.2f} |")
    print(f"| vgr ls, to compare | {median(vgr('ls') for _ in range(5)):.2f} |")
    print(f"goal: {AGAIN_GOAL}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=5700)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        images = {blob_id(data): data for data in photographs(asked.photos, asked.count, work)}
        mean = sum(map(len, images.values())) / len(images)
        print(f"{len(images):,} photographs of {mean / 1000:.1f} kB\n")
        tell_pass(images, asked.rounds, work)
        tell_command(images, work)


if __name__ == "__main__":
    main()
