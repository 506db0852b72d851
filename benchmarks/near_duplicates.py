"""Near-duplicates: how fast images are compared, and which variants of a picture are found.

    python benchmarks/near_duplicates.py [--photos DIR]... [--known 100000] [--new 1000] \
        [--small 50000,10000] [--samples 300] [--others 1000]

Three parts. *Guard*: new photographs of about 28 kB are sketched and looked up among known images,
and the candidates are verified; goal 5 s for all of it, 0.5 s to look up. *Recall*: variants of
photographs are looked up among these and others, at the threshold that keeps 99 % precision over
all variants, and at the default one; at full size and at 32×32 pixels. *Pairs*: two sets of images
of 32 pixels, with planted variants, are compared each with each; goal 120 s.

Photographs come from the folders that are named, or are the samples. Those whose name's SHA-256
begins with a byte that 3 divides are varied: the others were looked at while the method was made.
Images of 32 pixels are tiles of photographs, which do not overlap.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from generate import draw_folder, draw_photo
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from voyager.derived import alignment, sketch
from voyager.derived.cache import DerivedCache, Read, Values
from voyager.derived.near import CANDIDATE_BITS, NEAR_DISTANCE, featureless, near_pairs
from voyager.derived.nearest import iter_hamming
from voyager.derived.perceptual_hash import HASH_BYTES, turned
from voyager.derived.picture import Picture
from voyager.derived.registry import METHODS
from voyager.derived.square import square_of
from voyager.samples import photo_paths
from voyager.store.ids import blob_id

PHASH, SKETCH, LIKENESS = METHODS["phash"], METHODS["sketch"], METHODS["likeness"]
GOAL, LOOKUP_GOAL, PAIRS_GOAL = 5.0, 0.5, 120.0
SKETCH_GOAL, PAIR_GOAL = 0.6, 0.4
PRECISION = 0.99
COPIES = 10
"""One of this many new images has a copy among the known ones."""

Photo = Image.Image
Distances = np.ndarray
Images = dict[bytes, bytes]


def by_id(images: Iterable[bytes]) -> Images:
    return {blob_id(data): data for data in images}


def encoded(image: Photo, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def opened(data: bytes) -> Photo:
    return Image.open(io.BytesIO(data)).convert("RGB")


def reader(images: Images) -> Read:
    return lambda ids: ((one, images[one]) for one in ids)


def verdict(value: float, goal: float, unit: str = "s") -> str:
    return f"{goal:g} {unit}: " + ("pass" if value <= goal else "**fail**")


# --- variants ---


def crop(image: Photo, chance: random.Random) -> Photo:
    """Without 5 % of its width and height, cut off somewhere."""
    width, height = round(image.width * 0.95), round(image.height * 0.95)
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    return image.crop((left, top, left + width, top + height))


def overlay(image: Photo, chance: random.Random) -> Photo:
    """With a rectangle of one colour over 10 % of its area."""
    area, shape = 0.1 * image.width * image.height, chance.uniform(0.5, 2)
    width = min(image.width - 1, max(1, round((area * shape) ** 0.5)))
    height = min(image.height - 1, max(1, round(area / width)))
    left, top = chance.randint(0, image.width - width), chance.randint(0, image.height - height)
    covered = image.copy()
    colour = tuple(chance.randrange(256) for _ in range(3))
    box = left, top, left + width - 1, top + height - 1
    ImageDraw.Draw(covered).rectangle(box, fill=colour)
    return covered


VARIANTS: dict[str, Callable[[Photo, random.Random], bytes]] = {
    "JPEG q30": lambda image, _: encoded(image, 30),
    "half size": lambda image, _: encoded(image.reduce(2)),
    "light +25 %": lambda image, _: encoded(ImageEnhance.Brightness(image).enhance(1.25)),
    "light −25 %": lambda image, _: encoded(ImageEnhance.Brightness(image).enhance(0.75)),
    "blur": lambda image, _: encoded(image.filter(ImageFilter.GaussianBlur(image.width / 200))),
    "flip": lambda image, _: encoded(ImageOps.mirror(image)),
    "crop 5 %": lambda image, chance: encoded(crop(image, chance)),
    "overlay 10 %": lambda image, chance: encoded(overlay(image, chance)),
    "crop, flip, q50": lambda image, chance: encoded(ImageOps.mirror(crop(image, chance)), 50),
}
GOALS = {"flip": 98, "crop 5 %": 98, "overlay 10 %": 90}


def tiles(photos: Sequence[bytes], side: int, chance: random.Random) -> Iterator[Photo]:
    """Squares of photographs, at their size or half of it, that do not overlap."""
    for data in photos:
        image = opened(data)
        image = image.reduce(chance.choice((1, 2)))
        for left in range(0, image.width - side + 1, side):
            for top in range(0, image.height - side + 1, side):
                yield image.crop((left, top, left + side, top + side))


def some_tiles(photos: Sequence[bytes], side: int, count: int) -> list[Photo]:
    chance = random.Random(3)
    found = list(tiles(photos, side, chance))
    chance.shuffle(found)
    return found[:count]


# --- the guard ---


def measure_guard(work: Path, photos: Sequence[bytes], new_count: int, known_count: int) -> bool:
    """Sketch, look up and verify; whether the goals are met."""
    draw_folder(draw_photo, "new", work / "new", range(new_count))
    new = by_id(path.read_bytes() for path in sorted((work / "new").iterdir()))
    known = by_id(encoded(tile) for tile in some_tiles(photos, 64, known_count))
    made = [(one, encoded(opened(data), 60)) for one, data in list(new.items())[::COPIES]]
    copies = {(one, blob_id(data)) for one, data in made}
    known.update(by_id(data for _, data in made))
    DerivedCache(work / "cache").compute(SKETCH, known, reader(known))

    start = time.perf_counter()
    cache = DerivedCache(work / "cache")
    sketches = cache.compute(SKETCH, new, reader(new))
    sketched = time.perf_counter()
    listed = cache.known(SKETCH, known)
    loaded = time.perf_counter()
    candidates = sum(len(part) for part in candidates_of(sketches, listed))
    looked_up = time.perf_counter()
    read = reader({**known, **new})
    found = near_pairs(sketches, listed, lambda ids: cache.compute(LIKENESS, ids, read)).pairs
    end = time.perf_counter()
    true = sum((pair.query, pair.known) in copies for pair in found)
    lookup, whole = looked_up - loaded, end - looked_up + loaded - start
    peer = peer_seconds(list(new.values()), known_count)

    size = sum(map(len, new.values())) / len(new) / 1000
    print(f"{len(new):,} new images of {size:.0f} kB, {len(listed):,} known of 64 pixels; ", end="")
    print(f"{true} of {len(copies)} copies found, ", end="")
    print(f"{len(found) - true} others, drawn from the same sample\n")
    print("| step | seconds | goal |\n|---|---:|---|")
    print(f"| sketch the new ones, the cache opened | {sketched - start:.2f} | |")
    print(f"| known sketches out of the cache | {loaded - sketched:.2f} | |")
    print(f"| look up, mirrored too | {lookup:.2f} | {verdict(lookup, LOOKUP_GOAL)} |")
    print(f"| look up and verify {candidates:,} candidates | {end - looked_up:.2f} | |")
    print(f"| all of it | {whole:.2f} | {verdict(whole, GOAL)} |")
    print(f"| pHash of 64 bits, one thread: hash, compare | {peer[0]:.2f}, {peer[1]:.2f} | |")
    return lookup <= LOOKUP_GOAL and whole <= GOAL and true == len(copies)


def candidates_of(queries: Values, known: Values) -> Iterator[np.ndarray]:
    listed = known.matrix[:, : sketch.SKETCH_BYTES]
    asked = queries.matrix[:, : sketch.SKETCH_BYTES]
    for turned_or_not in (asked, sketch.mirrored(asked)):
        for pairs in iter_hamming(turned_or_not, listed, CANDIDATE_BITS):
            yield pairs.query


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


def raw_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    """Euclidean, of 32×32 colours as they are."""
    asked, listed = (np.stack([raw(data) for data in images]) for images in (queries, known))
    both = [
        (one**2).sum(1)[:, None] + (listed**2).sum(1) - 2 * one @ listed.T
        for one in (asked, asked.reshape(-1, 32, 32, 3)[:, :, ::-1].reshape(asked.shape))
    ]
    return np.minimum(*both)


def raw(data: bytes) -> np.ndarray:
    image = opened(data).resize((32, 32), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32).ravel()


def average_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    """Of the average hash: 8×8 greys, which are above their mean."""
    asked, listed = (
        np.stack([average_hash(data) for data in images]) for images in (queries, known)
    )
    both = [(one[:, None] != listed).sum(2) for one in (asked, asked.reshape(-1, 8, 8)[:, :, ::-1])
            for one in [one.reshape(len(asked), 64)]]  # fmt: skip
    return np.minimum(*both)


def average_hash(data: bytes) -> np.ndarray:
    grey = np.asarray(opened(data).convert("L").resize((8, 8), Image.Resampling.BILINEAR), float)
    return (grey > grey.mean()).ravel()


def plain_hashes(images: Sequence[bytes]) -> np.ndarray:
    """The pHash of 64 bits of each image and of its mirror image, as everyone writes it: (n, 2)."""
    angles = np.outer(np.arange(8), 2 * np.arange(32) + 1)
    cosines = np.cos(np.pi / 64 * angles)
    rows = []
    for data in images:
        grey = opened(data).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
        for levels in (np.asarray(grey, float), np.asarray(grey, float)[:, ::-1]):
            low = cosines @ levels @ cosines.T
            rows.append(np.packbits(low > np.median(low)))
    return np.stack(rows).view(np.uint64).reshape(-1, 2)


def plain_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    listed = plain_hashes(known)[:, 0]
    return np.minimum(*(np.bitwise_count(one[:, None] ^ listed) for one in plain_hashes(queries).T))


def hash_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    asked = values_of(PHASH, queries)[:, :HASH_BYTES]
    return bits_apart((asked, turned(asked, "mirror")), values_of(PHASH, known)[:, :HASH_BYTES])


def sketch_distances(queries: list[bytes], known: list[bytes]) -> Distances:
    asked, listed = (values_of(SKETCH, one)[:, : sketch.SKETCH_BYTES] for one in (queries, known))
    return bits_apart((asked, sketch.mirrored(asked)), listed)


def bits_apart(asked: Sequence[np.ndarray], listed: np.ndarray) -> Distances:
    words = np.ascontiguousarray(listed).view(np.uint64)
    both = [np.ascontiguousarray(one).view(np.uint64) for one in asked]
    return np.minimum(
        *(sum(np.bitwise_count(one[:, at, None] ^ words[:, at]) for at in range(4)) for one in both)
    ).astype(int)


def values_of(method: object, images: list[bytes]) -> np.ndarray:
    values = b"".join(value or b"" for value in method([b""] * len(images), images))
    return np.frombuffer(values, np.uint8).reshape(len(images), -1)


def near_distances(queries: list[bytes], known: list[bytes], work: Path) -> Distances:
    """As the product finds them; images that are no candidates are at 1000."""
    cache = DerivedCache(work / "recall")
    asked, listed = by_id(queries), by_id(known)
    read = reader({**asked, **listed})
    found = near_pairs(
        cache.compute(SKETCH, asked, read),
        cache.compute(SKETCH, listed, read),
        lambda ids: cache.compute(LIKENESS, ids, read),
        most=alignment.FARTHEST - 1,
    )
    rows = {data: row for row, data in enumerate(asked)}
    columns = {data: column for column, data in enumerate(listed)}
    far = np.full((len(asked), len(listed)), 1000)
    for pair in found.pairs:
        far[rows[pair.query], columns[pair.known]] = pair.distance
    again = [rows[blob_id(data)] for data in queries]
    return far[again][:, [columns[blob_id(data)] for data in known]]


def least_precise(distances: Distances, true: np.ndarray) -> float:
    """The largest distance up to which 99 % of the pairs are true ones."""
    order = np.argsort(distances, axis=None, kind="stable")
    far, right = distances.ravel()[order], true.ravel()[order]
    precise = np.cumsum(right) >= PRECISION * np.arange(1, len(right) + 1)
    ends = np.append(far[1:] > far[:-1], True)
    good = np.flatnonzero(precise & ends)
    return float(far[good[-1]]) if len(good) else -1.0


def measure_recall(varied: list[bytes], others: list[bytes], work: Path, *, small: bool) -> bool:
    """The table of recall; whether its goals are met."""
    known = varied + others
    if small:
        known = [encoded(opened(one).resize((32, 32), Image.Resampling.BOX), 95) for one in known]
    chance = random.Random(1)
    pictures = [opened(data) for data in known[: len(varied)]]
    queries = [make(image, chance) for make in VARIANTS.values() for image in pictures]
    true = np.tile(np.eye(len(varied), len(known), dtype=bool), (len(VARIANTS), 1))
    near = near_distances(queries, known, work)
    methods = {
        "raw pixels": raw_distances(queries, known),
        "average hash": average_distances(queries, known),
        "pHash 64": plain_distances(queries, known),
        "phash": hash_distances(queries, known),
        "sketch": sketch_distances(queries, known),
        "**sketch and alignment**": near,
    }
    size = "32×32 pixels" if small else "full size"
    print(f"\n{len(varied)} photographs in {len(VARIANTS)} variants among {len(known):,}, {size};")
    print(f"recall in %, at {PRECISION:.0%} precision where no threshold is named\n")
    print("| | " + " | ".join(VARIANTS) + " | all | threshold | precision |")
    print("|---|" + "---:|" * (len(VARIANTS) + 3))
    for name, distances in methods.items():
        limit = least_precise(distances, true)
        found = row(name, distances <= limit, true, f"{limit:.0f}")
    row("the default", near <= NEAR_DISTANCE, true, f"{NEAR_DISTANCE}")
    tell_mistakes(near, true)
    return small or (found["all"] >= 97 and all(found[name] >= it for name, it in GOALS.items()))


def row(name: str, found: np.ndarray, true: np.ndarray, threshold: str) -> dict[str, float]:
    """Print the recall of each variant; give it by name."""
    hits = (found & true).any(axis=1).reshape(len(VARIANTS), -1).mean(axis=1) * 100
    precision = (found & true).sum() / max(1, found.sum())
    cells = " | ".join(f"{hit:.1f}" for hit in (*hits, hits.mean()))
    print(f"| {name} | {cells} | {threshold} | {precision:.4f} |")
    return dict(zip((*VARIANTS, "all"), (*hits.tolist(), float(hits.mean())), strict=True))


def tell_mistakes(near: Distances, true: np.ndarray) -> None:
    """How many pairs of other photographs are within the default: some of them are duplicates."""
    wrong = (near <= NEAR_DISTANCE) & ~true
    count = true.shape[0] // len(VARIANTS)
    pairs = {(query % count, known) for query, known in np.argwhere(wrong).tolist()}
    print(f"\n{wrong.sum()} other pairs within the default, of {len(pairs)} photographs")


# --- all pairs of small images ---


def measure_pairs(work: Path, photos: Sequence[bytes], known_count: int, query_count: int) -> bool:
    """Compare two sets of images of 32 pixels; whether the goal is met."""
    pictures = some_tiles(photos, 32, known_count + query_count)
    known_count = len(pictures) * known_count // (known_count + query_count)
    chance = random.Random(4)
    known = [encoded(one, 95) for one in pictures[:known_count]]
    asked: list[bytes] = []
    truth: dict[tuple[bytes, bytes], str] = {}
    makers = list(VARIANTS.items())
    for place, one in enumerate(pictures[known_count:]):
        if place % COPIES == 0:
            name, make = makers[place // COPIES % len(makers)]
            source = chance.randrange(len(known))
            asked.append(make(pictures[source], chance))
            truth[blob_id(asked[-1]), blob_id(known[source])] = name
        else:
            asked.append(encoded(one, 95))
    queries, listed = by_id(asked), by_id(known)
    read = reader({**queries, **listed})
    start = time.perf_counter()
    cache = DerivedCache(work / "pairs")
    values = cache.compute(SKETCH, {**listed, **queries}, read)
    sketched = time.perf_counter()
    told: list[int] = []
    found = near_pairs(
        values.only(queries),
        values.only(listed),
        lambda ids: cache.compute(LIKENESS, ids, read),
        progress=lambda _, total: told.append(total),
    ).pairs
    end = time.perf_counter()
    tell_pairs({(pair.query, pair.known): pair.distance for pair in found}, truth)
    plain = set(featureless(values))
    lost = sum(not plain.isdisjoint(pair) for pair in truth)
    print(f"{lost:,} of the planted are too plain to be near anything")
    print(f"\n{len(listed):,} × {len(queries):,} images of 32 pixels\n")
    print("| step | seconds | goal |\n|---|---:|---|")
    print(f"| sketch, from the bytes | {sketched - start:.1f} | |")
    candidates = told[-1] if told else 0
    print(f"| find and verify {candidates:,} candidates | {end - sketched:.1f} | |")
    print(f"| all of it | {end - start:.1f} | {verdict(end - start, PAIRS_GOAL)} |")
    return end - start <= PAIRS_GOAL


def tell_pairs(
    found: dict[tuple[bytes, bytes], int], truth: dict[tuple[bytes, bytes], str]
) -> None:
    """The recall of what was planted, and how many of each image's best partners it is."""
    best: dict[bytes, tuple[int, bytes]] = {}
    for (query, known), distance in found.items():
        best[query] = min(best.get(query, (1000, b"")), (distance, known))
    planted = dict(truth.keys())
    right = sum(planted.get(query) == known for query, (_, known) in best.items())
    print("\n| planted variant | found % |\n|---|---:|")
    for name in VARIANTS:
        mine = [pair for pair, made in truth.items() if made == name]
        print(f"| {name} | {100 * np.mean([pair in found for pair in mine]):.1f} |")
    print(f"| all of {len(truth):,} | {100 * np.mean([pair in found for pair in truth]):.1f} |")
    print(f"\nof {len(best):,} images with a partner it was planted for {right:,}")


# --- costs ---


def measure_costs(photos: Sequence[bytes]) -> bool:
    """A sketch beside decoding, and a verified pair, in one thread."""
    squares = [square_of(Picture(data)) for data in photos[:320]]
    likenesses = values_of(LIKENESS, list(photos[:320]))
    one, other = likenesses, np.roll(likenesses, 1, axis=0)
    straight = np.zeros(len(one), bool)
    parts = [squares[at : at + 32] for at in range(0, len(squares), 32)]
    sketching = median_ms(lambda: list(map(sketch.sketch_squares, parts))) / len(squares)
    same = one // 2 + 20
    alike = median_ms(lambda: alignment.distances(one, same, straight)) / len(one)
    unlike = median_ms(lambda: alignment.distances(one, other, straight)) / len(one)
    print("\n| work | ms of CPU | goal |\n|---|---:|---|")
    print(f"| sketch beside decoding | {sketching:.3f} | {verdict(sketching, SKETCH_GOAL, 'ms')} |")
    print(f"| verify a pair that is alike | {alike:.3f} | {verdict(alike, PAIR_GOAL, 'ms')} |")
    print(f"| verify a pair that is not | {unlike:.3f} | {verdict(unlike, PAIR_GOAL, 'ms')} |")
    return sketching <= SKETCH_GOAL and alike <= PAIR_GOAL


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * float(np.median(times))


def all_photos(folders: Sequence[Path]) -> list[Path]:
    if not folders:
        return list(photo_paths())
    return sorted(path for folder in folders for path in folder.rglob("*.jpg"))


def is_held_back(path: Path) -> bool:
    """Whether a photograph was kept from whoever chose the constants."""
    return hashlib.sha256(path.name.encode()).digest()[0] % 3 == 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Near-duplicates: time and recall.")
    parser.add_argument("--known", type=int, default=100_000)
    parser.add_argument("--new", type=int, default=1000)
    parser.add_argument("--photos", type=Path, action="append", default=[], metavar="DIR")
    parser.add_argument("--samples", type=int, default=300, help="photographs that are varied")
    parser.add_argument("--others", type=int, default=1000)
    parser.add_argument("--small", default="50000,10000", help="images of 32 pixels in both sets")
    parser.add_argument("--parts", default="costs,guard,recall,pairs")
    options = parser.parse_args()
    paths = all_photos(options.photos)
    random.Random(7).shuffle(paths)
    paths.sort(key=is_held_back, reverse=True)
    photos = list(by_id(path.read_bytes() for path in paths).values())
    varied = photos[: min(options.samples, sum(map(is_held_back, paths)))]
    others = photos[len(varied) :][: options.others]
    small = [int(count) for count in options.small.split(",")]
    with tempfile.TemporaryDirectory(prefix="near-duplicates-") as name:
        work = Path(name)
        parts: dict[str, Callable[[], bool]] = {
            "costs": lambda: measure_costs(photos),
            "guard": lambda: measure_guard(work, photos, options.new, options.known),
            "recall": lambda: (
                measure_recall(varied, others, work, small=False)
                & measure_recall(varied, others, work / "small", small=True)
            ),
            "pairs": lambda: measure_pairs(work, photos, *small),
        }
        met = [parts[part]() for part in options.parts.split(",")]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
