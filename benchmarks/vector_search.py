"""Vector search at a commit: exact and by lists, beside faiss Flat with a bitmap selector.

    python benchmarks/vector_search.py [--vectors 1000000] [--photos DIR…] [--kept FILE.npy]

The vectors describe random crops of real photographs: 16×16 mean colours without their mean, on
their 256 main axes. Queries are crops of photographs of which no crop is among the vectors. Each
line is one query for the ten best, warm; all ways are run in turn, and medians are told. A new
branch then changes 1,000 of the images, whose vectors are derived already. With --cpu queries are
timed in seconds of the processor, libraries with a thread each, for machines that others use too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

if "--cpu" in sys.argv:
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read when numpy is loaded

import faiss
import numpy as np
from blake3 import blake3
from PIL import Image as Picture

from voyager.derived.embedded import Thing, Vectors
from voyager.repo.repository import Repository
from voyager.samples import photo_paths
from voyager.schema import Image, Sample, sample_uid
from voyager.search.members import VersionVectors
from voyager.search.membership import Membership
from voyager.search.vectors import VectorStore
from voyager.store.ids import blob_id
from voyager.wire import blob_ref

DIMS, GRID, BEST = 256, 16, 10
MODEL = blake3(b"crops of photographs").digest()
HELD = 0.15
"""The share of the photographs whose crops are queries."""
CHANGED = 1000
Floats = np.ndarray


# --- vectors of real photographs ---


def crops_of(path: Path, count: int, chance: np.random.Generator) -> Floats:
    """Mean colours of random crops, (count, 768), each without the mean of its channels."""
    with Picture.open(path) as picture:
        picture.draft("RGB", (256, 256))
        picture.thumbnail((320, 320))
        pixels = np.asarray(picture.convert("RGB"), np.float64)
    height, width = pixels.shape[:2]
    sums = np.zeros((height + 1, width + 1, 3))
    sums[1:, 1:] = pixels.cumsum(0).cumsum(1)
    side = np.exp(chance.uniform(np.log(24), np.log(min(height, width)), count))
    aspect = np.exp(chance.uniform(-0.3, 0.3, count))
    across, left = _places(side * aspect, width, chance)
    down, top = _places(side / aspect, height, chance)
    corners = sums[(top[:, None] + down)[:, :, None], (left[:, None] + across)[:, None, :]]
    cells = np.diff(np.diff(corners, axis=1), axis=2)
    areas = np.diff(down)[:, :, None] * np.diff(across)[:, None, :]
    means = (cells / areas[..., None]).astype(np.float32)
    means -= means.mean(axis=(1, 2), keepdims=True)
    return means.reshape(count, -1)


def _places(sides: Floats, most: int, chance: np.random.Generator) -> tuple[Floats, Floats]:
    """Where the cells of crops begin within them, and where the crops begin."""
    sides = np.clip(sides, GRID, most)
    steps = np.floor(np.arange(GRID + 1) / GRID * sides[:, None]).astype(int)
    return steps, (chance.random(len(sides)) * (most - steps[:, -1] + 1)).astype(int)


def describe(paths: list[Path], count: int) -> tuple[Floats, Floats]:
    """So many unit vectors as float16, and some queries of other photographs."""
    chance = np.random.default_rng(0)
    paths = [paths[place] for place in chance.permutation(len(paths))]
    held = max(1, round(HELD * len(paths)))
    asked, known = paths[:held], paths[held:]
    first = np.concatenate([crops_of(path, 30, chance) for path in known])
    middle = first.mean(axis=0)
    axes = np.linalg.eigh((first - middle).T @ (first - middle))[1][:, -DIMS:]
    # Axes are mixed, so that no vector is told by its first numbers.
    axes = axes @ np.linalg.qr(chance.normal(size=(DIMS, DIMS)))[0].astype(np.float32)

    def unit(rows: Floats) -> Floats:
        projected = (rows - middle) @ axes
        return projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-6)

    vectors = np.empty((count, DIMS), np.float16)
    bounds = np.linspace(0, count, len(known) + 1).astype(int)
    for number, path in enumerate(known):
        start, end = bounds[number], bounds[number + 1]
        vectors[start:end] = unit(crops_of(path, end - start, chance))
        told(f"{end:,} vectors of {count:,}")
    queries = np.concatenate([unit(crops_of(path, 5, chance)) for path in asked])
    return vectors, queries.astype(np.float32)


def told(words: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{words}   ", end="", file=sys.stderr)


def ids_of(count: int, start: int = 0) -> list[bytes]:
    return [blob_id(b"image %d" % number) for number in range(start, start + count)]


# --- times of a query ---


def clock() -> float:
    return time.process_time() if "--cpu" in sys.argv else time.perf_counter()


Way = Callable[[Floats], object]


def medians(ways: Mapping[str, Way], queries: Floats) -> dict[str, float]:
    """Milliseconds of each way, run in turn over the queries; the first round does not count."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number, query in enumerate(queries):
        for name, way in ways.items():
            start = clock()
            way(query)
            if number:
                times[name].append((clock() - start) * 1000)
    return {name: median(some) for name, some in times.items()}


def flat_ways(flat: faiss.Index, masks: Mapping[str, Floats]) -> dict[str, Way]:
    """faiss Flat as everyone filters it."""
    ways: dict[str, Way] = {}
    for name, mask in masks.items():
        bits = np.packbits(mask, bitorder="little")
        keep = None if mask.all() else faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
        ways[f"flat {name}"] = lambda query, keep=keep: flat.search(query[None], BEST, params=keep)
    return ways


def own_ways(store: VectorStore, masks: Mapping[str, Floats]) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    for name, mask in masks.items():
        members = Membership(store.view, mask)
        ways[f"exact {name}"] = lambda query, members=members: store.search(
            query, BEST, members=members, exact=True
        )
    ways["exact 1 %, new filter"] = new_filters(store, masks["1 %"])
    for name in ("all", "50 %"):
        members = Membership(store.view, masks[name])
        ways[f"lists {name}"] = lambda query, members=members: store.search(
            query, BEST, members=members
        )
    return ways


def new_filters(store: VectorStore, mask: Floats) -> Way:
    """A filter that nobody asked for before, each time."""
    chance = np.random.default_rng(3)

    def ask(query: Floats) -> object:
        members = Membership(store.view, chance.permutation(mask))
        start = clock()
        found = store.search(query, BEST, members=members, exact=True)
        fresh.append((clock() - start) * 1000)
        return found

    fresh: list[float] = []
    ask.times = fresh  # type: ignore[attr-defined]
    return ask


def recall(store: VectorStore, members: Membership, queries: Floats) -> float:
    true = store.search(queries, BEST, members=members, exact=True)
    found = [store.search(query, BEST, members=members) for query in queries]
    shares = [
        len(set(one.ids[0]) & set(ids)) / BEST for one, ids in zip(found, true.ids, strict=True)
    ]
    return float(np.mean(shares))


def same_answers(store: VectorStore, flat: faiss.Index, queries: Floats) -> float:
    """The share of queries for which faiss Flat finds the same ten, equal scores aside."""
    scores = flat.search(queries, BEST)[0]
    found = store.search(queries, BEST, members=store.all(), exact=True)
    return float(np.mean(np.all(np.abs(np.array(found.scores) - scores) < 1e-5, axis=1)))


def measure_queries(store: VectorStore, vectors: Floats, queries: Floats, rounds: int) -> bool:
    flat = faiss.IndexFlatIP(DIMS)
    for start in range(0, len(vectors), 1 << 16):
        flat.add(vectors[start : start + (1 << 16)].astype(np.float32))
    chance = np.random.default_rng(1).random(len(vectors))
    masks = {"all": chance < 2, "50 %": chance < 0.5, "1 %": chance < 0.01}
    own = own_ways(store, masks)
    ways = {**flat_ways(flat, masks), **own}
    some = queries[np.random.default_rng(2).choice(len(queries), min(rounds, len(queries)))]
    found = medians(ways, some)
    found["exact 1 %, new filter"] = median(own["exact 1 %, new filter"].times[1:])

    print(f"\n{len(vectors):,} vectors of {DIMS} dimensions; load {os.getloadavg()[0]:.1f}")
    print("\n| one query, ten best, ms | all | 50 % | 1 % | 1 %, a new filter |")
    print("|---|--:|--:|--:|--:|")
    row = [found[f"flat {name}"] for name in masks]
    print(f"| faiss Flat, bitmap selector | {row[0]:.2f} | {row[1]:.2f} | {row[2]:.2f} | |")
    row = [found[f"exact {name}"] for name in [*masks, "1 %, new filter"]]
    print(f"| exact | {row[0]:.2f} | {row[1]:.2f} | {row[2]:.2f} | {row[3]:.2f} |")
    lists = [found["lists all"], found["lists 50 %"]]
    print(f"| by lists | {lists[0]:.2f} | {lists[1]:.2f} | | |\n")

    recalls = [recall(store, Membership(store.view, masks[n]), queries) for n in ("all", "50 %")]
    same = same_answers(store, flat, queries)
    for name in ("all", "50 %"):
        plan = store.search(queries[0], BEST, members=Membership(store.view, masks[name])).plan
        print(f"{name}: {plan}")
    pairs = [(found[f"exact {n}"], found[f"flat {n}"]) for n in masks]
    pairs.append((found["exact 1 %, new filter"], found["flat 1 %"]))
    goals = {
        "exact is never slower than faiss Flat": all(ours <= peer for ours, peer in pairs),
        "a filter asked again is 5 × faster at 1 %": found["exact 1 %"] * 5 <= found["flat 1 %"],
        "lists are 5 × faster than exact on all": lists[0] * 5 <= found["exact all"],
        f"recall {recalls[0]:.4f}, with half filtered {recalls[1]:.4f}": min(recalls) >= 0.99,
        f"exact and faiss Flat agree on {same:.1%} of the queries": same == 1,
    }
    return told_goals(goals)


def told_goals(goals: Mapping[str, bool]) -> bool:
    print("\n| goal | |\n|---|---|")
    for words, met in goals.items():
        print(f"| {words} | {'pass' if met else '**fail**'} |")
    return all(goals.values())


# --- a new branch ---


def measure_branch(store: VectorStore, work: Path, count: int, more: Floats) -> bool:
    """Index bytes and seconds of a branch that changes some of the images of a large version."""
    vectors_of_new = dict(zip(ids_of(len(more), count), more, strict=True))

    def derived(things: Mapping[bytes, Thing]) -> Vectors:
        return list(things), np.array([vectors_of_new[one] for one in things])

    with Repository.init(work / "repo", worktree=False) as repo:
        commit_images(repo, {number: number for number in range(count)})
        versions = VersionVectors(store, derived)
        start = clock()
        assert versions.members(repo.at("HEAD")).count == count
        whole = clock() - start
        changed = np.random.default_rng(4).choice(count, len(more), replace=False).tolist()
        commit_images(repo, {place: count + n for n, place in enumerate(changed)})
        before = bytes_below(store.folder)
        fresh = VersionVectors(VectorStore(store.folder, MODEL, DIMS), derived)
        start = clock()
        assert fresh.members(repo.at("HEAD")).count == count
        seconds = clock() - start
    added = bytes_below(store.folder) - before
    print(f"\n| a new branch, {len(more):,} of {count:,} images changed | bytes | seconds |")
    print("|---|--:|--:|")
    print(f"| the index and who is in the first version | {before:,} | {whole:.2f} |")
    print(f"| the branch | {added:,} (1/{before // added:,}) | {seconds:.2f} |")
    goals = {"1/500 of the index": added * 500 <= before, "1 s": seconds <= 1}
    return told_goals(goals)


def commit_images(repo: Repository, images: Mapping[int, int]) -> None:
    """Commit tiny images at numbered keys."""
    with repo.transaction("images", "") as txn:
        for number in images.values():
            data = b"image %d" % number
            txn.put_new_blob(blob_id(data), data)
        txn.commit()
    with repo.edit(message="some") as edit:
        edit.update((f"{place:08}", sample(place, number)) for place, number in images.items())


def sample(place: int, number: int) -> Sample:
    shown = Image(blob=blob_ref(blob_id(b"image %d" % number)), width=1, height=1)
    return Sample(uid=sample_uid(b"%d" % place, "bench"), image=shown)


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description="Vector search: time, recall, and branches.")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--photos", type=Path, nargs="+", help="folders, else the samples")
    parser.add_argument("--kept", type=Path, help="where to keep the vectors for the next run")
    parser.add_argument("--rounds", type=int, default=40, help="queries that are timed")
    parser.add_argument("--cpu", action="store_true", help="time the processor, one thread each")
    parser.add_argument("--without-branch", action="store_true")
    options = parser.parse_args()
    if options.cpu:
        faiss.omp_set_num_threads(1)
    found = [sorted(folder.rglob("*.jp*g")) for folder in options.photos or ()]
    paths = [path for some in found for path in some] or list(photo_paths())
    vectors, queries = kept(options.kept, paths, options.vectors + CHANGED)
    count = options.vectors
    with tempfile.TemporaryDirectory(prefix="vector-search-") as work:
        store = VectorStore(Path(work) / "vectors", MODEL, DIMS, memory_bytes=4 << 30)
        start = time.perf_counter()
        store.add(ids_of(count), vectors[:count])
        added = time.perf_counter()
        store.settle()
        end = time.perf_counter()
        print(f"{count:,} vectors added in {added - start:.1f} s, indexed in {end - added:.1f} s")
        good = measure_queries(store, vectors[:count], queries, options.rounds)
        if not options.without_branch:
            good &= measure_branch(store, Path(work), count, vectors[count:])
    sys.exit(0 if good else 1)


def kept(path: Path | None, photos: list[Path], count: int) -> tuple[Floats, Floats]:
    """Vectors and queries out of a file, or made and kept there."""
    if path is not None and path.exists():
        with np.load(path) as found:
            return found["vectors"][:count], found["queries"]
    vectors, queries = describe(photos, count)
    if path is not None:
        np.savez(path, vectors=vectors, queries=queries)
    return vectors, queries


if __name__ == "__main__":
    main()
