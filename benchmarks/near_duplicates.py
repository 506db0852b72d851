"""Near-duplicates: how fast new images are hashed and looked up, and which variants are found.

    python benchmarks/near_duplicates.py [--known 100000] [--new 1000] [--photos DIR]

Times: new photographs of about 28 kB are hashed and compared with known hashes, among which copies
of some of them were planted. Goal: 5 s for both, 0.5 s for the comparison alone. Recall: variants
of the sample photographs are looked up among the samples and the other photographs in DIR, with the
threshold that keeps 99 % precision over all variants together, and with the default one. The peer
is a plain pHash of 64 bits (32×32 greys, 8×8 frequencies, median) with mirrored queries.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from generate import draw_folder, draw_photo
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from voyager.derived import layout
from voyager.derived.cache import DerivedCache
from voyager.derived.near import LEAST_LIKENESS, NEAR_DISTANCE, near_pairs
from voyager.derived.perceptual_hash import HASH_BYTES, turned
from voyager.derived.registry import METHODS
from voyager.samples import photo_paths
from voyager.store.ids import blob_id

PHASH, LAYOUT = METHODS["phash"], METHODS["layout"]
GOAL, LOOKUP_GOAL = 5.0, 0.5
PRECISION = 0.99
COPIES = 10
"""One of this many new images has a copy among the known ones."""

Photo = Image.Image
Distances = np.ndarray


def by_id(images: Iterable[bytes]) -> dict[bytes, bytes]:
    return {blob_id(data): data for data in images}


def encoded(image: Photo, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


# --- times ---


def draw_new(folder: Path, count: int) -> dict[bytes, bytes]:
    """Photographs that no one has seen, by id."""
    draw_folder(draw_photo, "new", folder, range(count))
    return by_id(path.read_bytes() for path in sorted(folder.iterdir()))


def plant(cache: DerivedCache, values: np.ndarray, count: int) -> list[bytes]:
    """Keep `count` known hashes: random ones, and some of `values` with 20 bits changed."""
    rng = np.random.default_rng(1)
    known = rng.integers(0, 256, (count, PHASH.size), np.uint8)
    known[:, HASH_BYTES] = 255
    copies = np.unpackbits(values[::COPIES], axis=1)
    for row in copies:
        row[rng.choice(8 * HASH_BYTES, 20, replace=False)] ^= 1
    known[rng.choice(count, len(copies), replace=False)] = np.packbits(copies, axis=1)
    rows = by_id(row.tobytes() for row in known)
    as_is = replace(PHASH, prepare=bytes, finish=list)
    cache.compute(as_is, rows, lambda ids: ((one, rows[one]) for one in ids))
    return list(rows)


def measure_times(work: Path, new_count: int, known_count: int) -> bool:
    """Hash and look up; whether the goals are met."""
    new = draw_new(work / "new", new_count)
    read = reader(new)
    first = DerivedCache(work / "first").compute(PHASH, new, read)
    known_ids = plant(DerivedCache(work / "cache"), first.matrix, known_count)

    start = time.perf_counter()
    cache = DerivedCache(work / "cache")
    hashes = cache.compute(PHASH, new, read)
    hashed = time.perf_counter()
    known = cache.known(PHASH, known_ids)
    loaded = time.perf_counter()
    pairs = near_pairs(hashes, known)
    end = time.perf_counter()
    found = len({pair.query for pair in pairs})
    assert found >= len(hashes) // COPIES, found

    size = sum(map(len, new.values())) / len(new) / 1000
    lookup, whole = end - loaded, end - start
    peer = peer_seconds(list(new.values()), known_count)
    print(f"{len(new):,} new images of {size:.0f} kB, {len(known):,} known, {found} copies found\n")
    print("| step | seconds | goal |\n|---|---:|---|")
    print(f"| hash the new ones, the cache opened | {hashed - start:.2f} | |")
    print(f"| known hashes out of the cache | {loaded - hashed:.2f} | |")
    print(f"| compare, mirrored too | {lookup:.2f} | {verdict(lookup, LOOKUP_GOAL)} |")
    print(f"| all of it | {whole:.2f} | {verdict(whole, GOAL)} |")
    print(f"| pHash of 64 bits, one thread: hash, compare | {peer[0]:.2f}, {peer[1]:.2f} | |")
    return lookup <= LOOKUP_GOAL and whole <= GOAL


def reader(
    images: dict[bytes, bytes],
) -> Callable[[Sequence[bytes]], Iterable[tuple[bytes, bytes]]]:
    return lambda ids: ((one, images[one]) for one in ids)


def verdict(seconds: float, goal: float) -> str:
    return f"{goal} s: " + ("pass" if seconds <= goal else "**fail**")


def peer_seconds(images: list[bytes], known_count: int) -> tuple[float, float]:
    """Seconds to hash and to compare with the plain pHash."""
    start = time.perf_counter()
    hashes = plain_hashes(images)
    hashed = time.perf_counter()
    known = np.random.default_rng(2).integers(0, 2**64, known_count, np.uint64)
    for one in hashes.ravel():
        np.flatnonzero(np.bitwise_count(known ^ one) <= 6)
    return hashed - start, time.perf_counter() - hashed


# --- recall ---


def crop(image: Photo, chance: random.Random) -> Photo:
    """Without 5 % of its width and height, cut off somewhere."""
    width, height = round(image.width * 0.95), round(image.height * 0.95)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def overlay(image: Photo, chance: random.Random) -> Photo:
    """With a square of one colour over 5 % of its area."""
    side = int((0.05 * image.width * image.height) ** 0.5)
    left, top = chance.randint(0, image.width - side), chance.randint(0, image.height - side)
    covered = image.copy()
    colour = tuple(chance.randrange(256) for _ in range(3))
    ImageDraw.Draw(covered).rectangle((left, top, left + side, top + side), fill=colour)
    return covered


VARIANTS: dict[str, Callable[[Photo, random.Random], bytes]] = {
    "JPEG q30": lambda image, _: encoded(image, 30),
    "half size": lambda image, _: encoded(image.reduce(2)),
    "light +20 %": lambda image, _: encoded(ImageEnhance.Brightness(image).enhance(1.2)),
    "light −20 %": lambda image, _: encoded(ImageEnhance.Brightness(image).enhance(0.8)),
    "blur": lambda image, _: encoded(image.filter(ImageFilter.GaussianBlur(2))),
    "flip": lambda image, _: encoded(ImageOps.mirror(image)),
    "crop 5 %": lambda image, chance: encoded(crop(image, chance)),
    "overlay 5 %": lambda image, chance: encoded(overlay(image, chance)),
}


def plain_hashes(images: Sequence[bytes]) -> np.ndarray:
    """The pHash of 64 bits of each image and of its mirror image, as everyone writes it: (n, 2)."""
    angles = np.outer(np.arange(8), 2 * np.arange(32) + 1)
    cosines = np.cos(np.pi / 64 * angles)
    rows = []
    for data in images:
        grey = Image.open(io.BytesIO(data)).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        for levels in (np.asarray(grey, float), np.asarray(grey, float)[:, ::-1]):
            low = cosines @ levels @ cosines.T
            rows.append(np.packbits(low > np.median(low)))
    return np.stack(rows).view(np.uint64).reshape(-1, 2)


def plain_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    listed = plain_hashes(known)[:, 0]
    return np.minimum(*(np.bitwise_count(one[:, None] ^ listed) for one in plain_hashes(queries).T))


def hash_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    asked, listed = hashes_of(queries), hashes_of(known).view(np.uint64)
    both = [turned(asked, turn).view(np.uint64) for turn in ("none", "mirror")]
    return np.minimum(
        *(np.bitwise_count(one[:, None] ^ listed[None]).sum(2, dtype=np.int64) for one in both)
    )


def hashes_of(images: list[bytes]) -> np.ndarray:
    values = b"".join(PHASH([b""] * len(images), images))
    rows = np.frombuffer(values, np.uint8).reshape(-1, PHASH.size)
    return np.ascontiguousarray(rows[:, :HASH_BYTES])


def layout_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    asked, listed = layouts_of(queries), layout.vectors(layouts_of(known))
    both = [layout.vectors(one) @ listed.T for one in (asked, layout.mirrored(asked))]
    return 1 - np.maximum(*both)


def layouts_of(images: list[bytes]) -> np.ndarray:
    values = b"".join(LAYOUT([b""] * len(images), images))
    return np.frombuffer(values, np.uint8).reshape(-1, LAYOUT.size)


def least_precise(distances: Distances, true: np.ndarray) -> float:
    """The largest distance up to which 99 % of the pairs are true ones."""
    order = np.argsort(distances, axis=None, kind="stable")
    far, right = distances.ravel()[order], true.ravel()[order]
    precise = np.cumsum(right) >= PRECISION * np.arange(1, len(right) + 1)
    ends = np.append(far[1:] > far[:-1], True)
    good = np.flatnonzero(precise & ends)
    return float(far[good[-1]]) if len(good) else -1.0


def measure_recall(photos: Path | None, count: int) -> bool:
    """The table of recall; whether the hash finds all of the variants that it must."""
    samples = [path.read_bytes() for path in photo_paths()[:count]]
    others = other_photos(photos, set(samples)) if photos else []
    known = samples + others
    chance = random.Random(1)
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in samples]
    queries = [make(image, chance) for make in VARIANTS.values() for image in pictures]
    true = np.tile(np.eye(len(samples), len(known), dtype=bool), (len(VARIANTS), 1))
    bits, likeness = hash_distances(queries, known), layout_distances(queries, known)
    plain = plain_distances(queries, known)

    print(f"\n{len(samples)} samples in {len(VARIANTS)} variants among {len(known)} photographs;")
    print(f"recall in %, at {PRECISION:.0%} precision where no threshold is named\n")
    print("| | " + " | ".join(VARIANTS) + " | threshold | precision |")
    print("|---|" + "---:|" * (len(VARIANTS) + 2))
    limits = [least_precise(one, true) for one in (plain, bits, likeness)]
    row("pHash 64", plain <= limits[0], true, f"{limits[0]:.0f} bits")
    row("phash", bits <= limits[1], true, f"{limits[1]:.0f} bits")
    row("layout", likeness <= limits[2], true, f"{1 - limits[2]:.3f}")
    default = bits <= NEAR_DISTANCE
    found = row("phash, default", default, true, f"{NEAR_DISTANCE} bits")
    alike = likeness <= 1 - LEAST_LIKENESS
    row("layout, default", alike, true, f"{LEAST_LIKENESS}")
    row("both, defaults", default | alike, true, "either")
    return all(found[name] == 100 for name in list(VARIANTS)[:5])


def other_photos(folder: Path, but: set[bytes]) -> list[bytes]:
    return [
        data for path in sorted(folder.rglob("*.jpg")) if (data := path.read_bytes()) not in but
    ]


def row(name: str, found: np.ndarray, true: np.ndarray, threshold: str) -> dict[str, float]:
    """Print the recall of each variant; give it by name."""
    hits = (found & true).any(axis=1).reshape(len(VARIANTS), -1).mean(axis=1) * 100
    precision = (found & true).sum() / max(1, found.sum())
    cells = " | ".join(f"{hit:.0f}" for hit in hits)
    print(f"| {name} | {cells} | {threshold} | {precision:.3f} |")
    return dict(zip(VARIANTS, hits.tolist(), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="Near-duplicates: time and recall.")
    parser.add_argument("--known", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1000)
    parser.add_argument("--photos", type=Path, help="folder of other photographs")
    parser.add_argument("--samples", type=int, default=100, help="photographs that are varied")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="near-duplicates-") as work:
        fast = measure_times(Path(work), options.new, options.known)
    whole = measure_recall(options.photos, options.samples)
    sys.exit(0 if fast and whole else 1)


if __name__ == "__main__":
    main()
