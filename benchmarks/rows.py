"""A million rows through the Python face: commit, edit, diff, open, and the memory each takes.

    python benchmarks/rows.py [--rows 1000000,4000000] [--runs 3]

Every step runs in a process of its own, which times it from the inside (without starting Python)
and tells its peak memory. A sample has three regions, each with a box and a label, and an image
that is still to come. What it costs to make the samples is measured alone and given beside the
first commit, since it is the caller's cost and not the store's.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voyager.schema.sample import Sample

HERE = Path(__file__).resolve().parent
CHANGED = 1_000
CLASSES = 20


# --- the rows ---


def key_of(index: int) -> str:
    return f"images/{index // 1000:05}/{index:08}.jpg"


def make_sample(index: int, round_: int) -> Sample:
    """A sample that depends on its number; another round moves its boxes."""
    from voyager.schema.geometry import Box
    from voyager.schema.sample import Image, Label, Region, Sample

    digest = blake2b(index.to_bytes(8, "big"), digest_size=64).digest()
    regions = []
    for part in range(3):
        x, y = digest[part] + round_ + 0.5, digest[part + 3] + 0.25
        node = (digest[part + 6] % CLASSES).to_bytes(16, "big")
        regions.append(
            Region(
                id=digest[16 * part : 16 * part + 16],
                geometries={"box": Box(x, y, x + 40.0, y + 60.0)},
                labels=(Label(task="object", node=node),),
            )
        )
    image = Image(
        hash=f"blake3:{digest[:32].hex()}", type="jpeg", bytes=28_000, width=640, height=480
    )
    return Sample(uid=digest[48:], image=image, regions=tuple(regions), split="train")


def all_rows(count: int) -> Iterator[tuple[str, Sample]]:
    for index in range(count):
        yield key_of(index), make_sample(index, 0)


def changed_rows(count: int, round_: int) -> Iterator[tuple[str, Sample]]:
    chosen = random.Random(round_).sample(range(count), min(CHANGED, count))
    for index in sorted(chosen):
        yield key_of(index), make_sample(index, round_)


# --- the steps, each in a child ---


def step_create(_: Path, count: int, __: int) -> None:
    gc.disable()  # as the store does inside bulk loops
    deque(all_rows(count), maxlen=0)


def step_commit(path: Path, count: int, _: int) -> None:
    import voyager

    repo = voyager.init(path, worktree=False)
    with repo.edit(message="all") as edit:
        edit.update(all_rows(count))


def step_edit(path: Path, count: int, round_: int) -> None:
    import voyager

    repo = voyager.open(path)
    with repo.edit(message="some") as edit:
        edit.update(changed_rows(count, round_))


def step_diff(path: Path, count: int, _: int) -> None:
    import voyager

    changes = sum(1 for _ in voyager.open(path).diff("HEAD~1", "HEAD"))
    assert changes >= min(CHANGED, count), changes


def step_open(path: Path, count: int, _: int) -> None:
    import voyager

    assert len(voyager.open(path).at("HEAD")) == count


STEPS: dict[str, Callable[[Path, int, int], None]] = {
    "create": step_create,
    "commit": step_commit,
    "edit": step_edit,
    "diff": step_diff,
    "open": step_open,
}


def child(step: str, path: Path, count: int, round_: int) -> None:
    """Run one step and print its seconds and peak MiB."""
    import voyager.repo.diff
    import voyager.repo.edit  # noqa: F401  # importing is not what is measured

    start = time.perf_counter()
    STEPS[step](path, count, round_)
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)
    print(json.dumps({"seconds": seconds, "peak": peak}))


def in_child(step: str, path: Path, count: int, round_: int = 0) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", step, str(path), str(count), str(round_)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{step} of {count:,} rows failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


# --- measuring and telling ---


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; goals are for a million rows, `flat` is the most that 4M may take."""

    name: str
    words: str
    unit: str
    goal: float | None = None
    flat: float | None = None


ROWS = (
    Row("create", "make the samples, nothing stored", "s"),
    Row("commit", "first commit, from an iterator", "s"),
    Row("commit-net", "… less making the samples", "s", 4.0),
    Row("commit-peak", "… peak memory", "MiB", 300, 1.5),
    Row("bytes", "… size of the repository", "MiB"),
    Row("edit", f"commit of {CHANGED:,} changed rows", "s", 0.25, 2.0),
    Row("edit-peak", "… peak memory", "MiB", 150, 1.5),
    Row("diff", f"diff of two versions, {CHANGED:,} changes", "s", 0.15, 2.0),
    Row("diff-peak", "… peak memory", "MiB", 150, 1.5),
    Row("open", "open and count the samples", "s", 0.05, 2.0),
    Row("open-peak", "… peak memory", "MiB", 100, 1.5),
)

Values = dict[str, list[float]]


def measure(base: Path, count: int, runs: int) -> Values:
    """Every step `runs` times: new repositories for the first commit, new rounds for the edits."""
    values: Values = {}

    def note(name: str, value: float) -> None:
        values.setdefault(name, []).append(value)

    for run in range(runs):
        print(f"{count:,} rows: run {run + 1} of {runs}", file=sys.stderr)
        path = base / f"{count}-{run}"
        create = in_child("create", path, count)
        commit = in_child("commit", path, count)
        note("create", create["seconds"])
        note("commit", commit["seconds"])
        note("commit-net", commit["seconds"] - create["seconds"])
        note("commit-peak", commit["peak"])
        note("bytes", sum(f.stat().st_size for f in path.rglob("*") if f.is_file()) / (1 << 20))
        for step in ("edit", "diff", "open"):
            found = in_child(step, path, count, run + 1)
            note(step, found["seconds"])
            note(f"{step}-peak", found["peak"])
    return values


def table(found: dict[int, Values]) -> str:
    """The medians as a Markdown table; the first count is the one with goals."""
    first, *others = found
    heads = " | ".join(f"{count:,} rows" for count in found)
    lines = [f"| work | {heads} | goal | |", f"|---|{'---:|' * len(found)}---|---|"]
    for row in ROWS:
        medians = {count: median(values[row.name]) for count, values in found.items()}
        met = row.goal is None or medians[first] <= row.goal
        goal = "" if row.goal is None else f"≤ {row.goal:g} {row.unit}"
        if row.flat is not None and others:
            met = met and all(medians[count] <= row.flat * medians[first] for count in others)
            goal += f", flat to {row.flat:g}x"
        verdict = "" if row.goal is None else "pass" if met else "**fail**"
        cells = " | ".join(f"{value:.3g}" for value in medians.values())
        lines.append(f"| {row.words}, {row.unit} | {cells} | {goal} | {verdict} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time a million rows through the Python face.")
    parser.add_argument("--rows", default="1000000,4000000")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.child:
        step, path, count, round_ = options.child
        child(step, Path(path), int(count), int(round_))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rows-", dir=options.work) as work:
        counts = [int(count) for count in options.rows.split(",")]
        found = {count: measure(Path(work), count, options.runs) for count in counts}
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"rows-{when}.json"
    target.write_text(json.dumps({"when": when, "values": found}, indent=1) + "\n")
    print(table(found))
    print(f"\n{target}", file=sys.stderr)


if __name__ == "__main__":
    main()
