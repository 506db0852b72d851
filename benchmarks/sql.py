"""A group-by in SQL over a million samples of three regions each: at first, after a commit, warm.

    python benchmarks/sql.py [--samples 1000000] [--runs 3]

Every step runs in a process of its own, which times the query from the inside, imports left out,
and tells its peak memory. `first` has no cache, `commit` has that of the commit before, which
changed 1,000 samples, `again` is another process at a commit that was asked before, and `warm` the
same query in the same process once more. The peer is the same group-by over the same labels in one
COCO file: read with `json`, the columns made with list comprehensions, grouped by DuckDB (and by
pandas, where it is installed).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from rows import CLASSES, changed_rows, key_of, make_sample

QUERY = (
    "SELECT object, count(*) AS n, avg(area) AS area FROM regions GROUP BY object ORDER BY object"
)
JOIN = "SELECT s.split, r.object, count(*) FROM regions r JOIN samples s USING (key) GROUP BY ALL"
DIFF = "SELECT count(*) FROM regions('HEAD~1') a JOIN regions b USING (region) WHERE a.x0 <> b.x0"
WARM_RUNS = 7


# --- the data ---


def make_repository(path: Path, count: int) -> None:
    import voyager
    from voyager.schema.taxonomy import Node

    with voyager.init(path, worktree=False) as repo:
        with repo.edit(message="all") as edit:
            nodes = {
                number.to_bytes(16, "big"): Node(
                    name=f"class {number:02}", minted=f"class {number:02}", order=number
                )
                for number in range(CLASSES)
            }
            edit.vocabulary.define("object", scope="region")
            edit.vocabulary.put_nodes("object", nodes)
            edit.update((key_of(at), make_sample(at, 0)) for at in range(count))
        for round_ in (1, 2):
            with repo.edit(message="some") as edit:
                edit.update(changed_rows(count, round_))


def make_coco(path: Path, count: int) -> None:
    """The same labels as `make_repository` has at first, in one COCO file."""
    with path.open("w") as file:
        categories = [{"id": n, "name": f"class {n:02}"} for n in range(CLASSES)]
        file.write(f'{{"categories":{json.dumps(categories)},"images":[')
        file.write(",".join(map(json.dumps, images(count))))
        file.write('],"annotations":[')
        file.writelines(
            f"{',' if at else ''}{json.dumps(one)}" for at, one in enumerate(annotations(count))
        )
        file.write("]}")


def images(count: int) -> Iterator[dict[str, object]]:
    for at in range(count):
        yield {"id": at, "file_name": key_of(at), "width": 640, "height": 480}


def annotations(count: int) -> Iterator[dict[str, object]]:
    number = 0
    for at in range(count):
        for region in make_sample(at, 0).regions:
            box = region.geometry
            width, height = box.x1 - box.x0, box.y1 - box.y0
            yield {
                "id": number,
                "image_id": at,
                "category_id": int.from_bytes(region.labels[0].node, "big"),
                "bbox": [box.x0, box.y0, width, height],
                "area": width * height,
                "iscrowd": 0,
            }
            number += 1


# --- the steps, each in a child ---


def query_at(revision: str, query: str, runs: int = 1) -> Callable[[Path], list[float]]:
    def run(base: Path) -> list[float]:
        import voyager

        taken = []
        with voyager.open(base / "repo") as repo:
            for _ in range(runs):
                start = time.perf_counter()
                found = repo.at(revision).sql(query)
                taken.append(time.perf_counter() - start)
                assert len(found) in (1, CLASSES), len(found)
        return taken

    return run


def coco_json(base: Path) -> list[float]:
    """Read the whole file, make columns, group them with DuckDB."""
    import duckdb
    import pyarrow as pa

    start = time.perf_counter()
    read = json.loads((base / "labels.json").read_bytes())
    columns = coco_columns(read)
    regions = pa.table(columns)
    connection = duckdb.connect()
    connection.register("regions", regions)
    found = connection.execute(QUERY).fetchall()
    taken = time.perf_counter() - start
    assert len(found) == CLASSES
    return [taken]


def coco_pandas(base: Path) -> list[float]:
    """The same with pandas."""
    import pandas as pd

    start = time.perf_counter()
    read = json.loads((base / "labels.json").read_bytes())
    found = pd.DataFrame(coco_columns(read)).groupby("object")["area"].agg(["count", "mean"])
    taken = time.perf_counter() - start
    assert len(found) == CLASSES
    return [taken]


def coco_columns(read: dict[str, list[dict[str, object]]]) -> dict[str, list[object]]:
    names = {one["id"]: one["name"] for one in read["categories"]}
    return {
        "object": [names[one["category_id"]] for one in read["annotations"]],
        "area": [one["area"] for one in read["annotations"]],
    }


STEPS: dict[str, Callable[[Path], list[float]]] = {
    "first": query_at("HEAD~1", QUERY),
    "commit": query_at("HEAD", QUERY),
    "again": query_at("HEAD", QUERY, WARM_RUNS),
    "join": query_at("HEAD", JOIN, WARM_RUNS),
    "diff": query_at("HEAD", DIFF, WARM_RUNS),
    "coco": coco_json,
    "pandas": coco_pandas,
}


def child(step: str, base: Path) -> None:
    """Run one step and print its seconds and peak MiB."""
    import duckdb  # noqa: F401  # importing is not what is measured
    import pyarrow.compute  # noqa: F401

    import voyager.repo.sql  # noqa: F401

    start = time.process_time()
    seconds = STEPS[step](base)
    cpu = time.process_time() - start
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / (1 << 20)
    print(json.dumps({"seconds": seconds, "peak": peak, "cpu": cpu}))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step took: the first of its runs, the median of the others, peak memory in MiB.

    `cpu` are the seconds of all its runs on all cores, which tell of a machine that others use.
    """

    first: float
    warm: float | None
    peak: float
    cpu: float


def in_child(step: str, base: Path) -> Taken:
    command = [sys.executable, __file__, "--child", step, str(base)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{step} failed:\n{done.stderr}")
    found = json.loads(done.stdout)
    first, *others = found["seconds"]
    return Taken(first, median(others) if others else None, found["peak"], found["cpu"])


# --- measuring and telling ---

LINES = (
    ("first", "group-by, first time at a commit", 8.0),
    ("commit", "… after a commit that changed 1,000 samples", 1.0),
    ("again", "… in a new process, asked before", None),
    ("warm", "… warm, in the process", 0.05),
    ("join", "joined with samples, warm", None),
    ("diff", "two versions joined by region, warm", None),
    ("coco", "COCO file: json, list comprehensions, DuckDB", None),
    ("pandas", "COCO file: json, list comprehensions, pandas", None),
)


def measure(base: Path, runs: int) -> dict[str, list[Taken]]:
    found: dict[str, list[Taken]] = {}
    steps = [step for step in STEPS if step != "pandas" or find_spec("pandas")]
    for run in range(runs):
        print(f"run {run + 1} of {runs}", file=sys.stderr)
        shutil.rmtree(base / "repo" / ".vgr" / "cache" / "tables", ignore_errors=True)
        for step in steps:
            taken = in_child(step, base)
            found.setdefault(step, []).append(taken)
            if step == "again" and taken.warm is not None:
                found.setdefault("warm", []).append(Taken(taken.warm, None, taken.peak, taken.cpu))
    return found


def table(found: dict[str, list[Taken]]) -> str:
    lines = ["| work | s | CPU, s | peak, MiB | goal |", "|---|---:|---:|---:|---|"]
    for step, words, goal in LINES:
        if step not in found:
            continue
        taken = found[step]
        seconds = median(
            one.warm if step in ("join", "diff") and one.warm is not None else one.first
            for one in taken
        )
        verdict = ""
        if goal is not None:
            verdict = f"≤ {goal:g} s: {'pass' if seconds <= goal else '**fail**'}"
        peak = median(one.peak for one in taken)
        runs = 1 if taken[0].warm is None and step != "warm" else WARM_RUNS
        cpu = median(one.cpu for one in taken) / runs
        lines.append(f"| {words} | {seconds:.3f} | {cpu:.3f} | {peak:.0f} | {verdict} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time SQL over the labels of a version.")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for the data, used again")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return
    random.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        base = options.keep or Path(folder)
        base.mkdir(parents=True, exist_ok=True)
        if not (base / "labels.json").exists():
            make_repository(base / "repo", options.samples)
            make_coco(base / "labels.json", options.samples)
        found = measure(base, options.runs)
    print(f"{options.samples:,} samples of 3 regions, {CLASSES} classes\n")
    print(table(found))


if __name__ == "__main__":
    main()
