"""The paired benchmark of remotes: vgr beside DVC, and beside the raw client of the object store.

    python benchmarks/remotes.py [--runs 5] [--only photos,raw] [--small] [--dvc PROGRAM]

An S3 server (moto) runs on the loopback address in a process of its own, a new one for every run.
Whole commands are timed, from start to exit, but for the rows that say otherwise; the order of the
tools turns from run to run. DVC is taken from `--dvc`, or where it is installed beside Python; a
table without it has no peer. What a clone brought is compared with what was pushed.

Everything lies below one folder, at most some 5 GB at a time, and is deleted after each scenario.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from push import add_images, push_samples
from versions import (
    GIT,
    HERE,
    Command,
    CommandFailed,
    Cost,
    Row,
    Values,
    copy_tree,
    expect_same_images,
    machine,
    medians,
    number,
    run_one,
)

_PHOTOS = 3_783
_BIG = 52_000_000
_BUCKET = "bench"
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}

ROWS = (
    Row("photos-push", "3,783 photos of 28 kB: push", goals=(("dvc", 1 / 12),)),
    Row("photos-clone", "… pull into an empty folder", goals=(("dvc", 1 / 8),)),
    Row("tiny-push", "60,000 JPEG of 32x32: push", goals=(("dvc", 1 / 25),)),
    Row("tiny-clone", "… pull into an empty folder", goals=(("dvc", 1 / 10),)),
    Row("lazy-clone", "… lazy clone", limit=3),
    Row("lazy-bytes", "… its bytes a sample", "B", limit=120),
    Row("lazy-first", "… the first image after it, inside the process", limit=0.1),
    Row("nothing", "a million labeled samples, nothing new: push", "requests", limit=1),
    Row("labels", "… ten changed labels", "requests", limit=6),
    Row("labels-bytes", "… the same", "kB", limit=150),
    Row("memory", "2 GB of images: peak memory of the push", "MiB", limit=350),
    Row("memory-time", "… its time"),
    Row("raw", "two objects of 52 MB, inside the process", goals=(("raw", 1 / 0.7),)),
)


# --- the server ---


def serve() -> None:
    """Run the S3 server until the process is ended; its endpoint is the one line that it says."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()
    server.stop()


@contextlib.contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """The variables that name a new server with an empty bucket, which keeps big objects in a
    folder."""
    folder.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )
    assert process.stdin and process.stdout
    try:
        found = {**_CREDENTIALS, "AWS_ENDPOINT_URL": process.stdout.readline().strip()}
        os.environ.update(found)
        import boto3

        boto3.client("s3", endpoint_url=found["AWS_ENDPOINT_URL"]).create_bucket(Bucket=_BUCKET)
        yield found
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


# --- measuring ---


@dataclass(slots=True)
class Bench:
    """Where a benchmark works, with which programs, and what it has measured."""

    sets: Path
    home: Path
    vgr: str
    dvc: str | None
    small: bool
    values: Values = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    work: Path = Path()

    def note(self, row: str, value: float, tool: str = "vgr") -> None:
        self.values.setdefault(row, {}).setdefault(tool, []).append(value)

    def run(self, folder: Path, *command: str) -> Cost:
        return run_one(command, folder, self.home, self.environment)

    def output(self) -> str:
        """What the last command said."""
        return (self.home / "output").read_text()

    def inside(self, what: str, folder: Path, url: str) -> float:
        """The seconds that a process of our own measured within itself."""
        self.run(folder, sys.executable, __file__, "--inside", what, str(folder), url)
        return float(self.output().splitlines()[-1])

    def url(self, name: str) -> str:
        return f"s3://{_BUCKET}/{name}"


def new_folder(bench: Bench, images: Path, most: int | None = None) -> Path:
    """A folder with the first images of a set under `data`, all of them read once."""
    folder = bench.work / "repository"
    (folder / "data").mkdir(parents=True)
    if most is None:
        copy_tree(images, folder / "data")
    else:
        for path in sorted(images.rglob("*.jpg"))[:most]:
            target = folder / "data" / path.relative_to(images)
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, target)
    for path in (folder / "data").rglob("*.jpg"):
        path.read_bytes()
    return folder


def commit_with_vgr(bench: Bench, folder: Path) -> None:
    bench.run(folder, bench.vgr, "init")
    bench.run(folder, bench.vgr, "add", ".")
    bench.run(folder, bench.vgr, "commit", "-m", "x")


def with_vgr(bench: Bench, name: str, folder: Path) -> None:
    commit_with_vgr(bench, folder)
    bench.run(folder, bench.vgr, "remote", "add", "origin", bench.url(name))
    bench.note(f"{name}-push", bench.run(folder, bench.vgr, "push", "-u", "origin", "main").seconds)
    clone = bench.work / "clone"
    cost = bench.run(bench.work, bench.vgr, "clone", bench.url(name), str(clone))
    bench.note(f"{name}-clone", cost.seconds)
    expect_same_images(folder, clone)


def with_dvc(bench: Bench, name: str, folder: Path) -> None:
    assert bench.dvc
    dvc: Command = (bench.dvc, "--quiet")
    endpoint = bench.environment["AWS_ENDPOINT_URL"]
    bench.run(folder, *GIT, "init", "-q", "-b", "main")
    bench.run(folder, *dvc, "init")
    bench.run(folder, *dvc, "config", "core.analytics", "false")
    bench.run(folder, *dvc, "remote", "add", "-d", "store", bench.url(name))
    bench.run(folder, *dvc, "remote", "modify", "store", "endpointurl", endpoint)
    bench.run(folder, *dvc, "add", "data")
    bench.run(folder, *GIT, "add", "-A")
    bench.run(folder, *GIT, "commit", "-q", "-m", "x")
    bench.note(f"{name}-push", bench.run(folder, *dvc, "push").seconds, "dvc")
    clone = bench.work / "clone"
    bench.run(bench.work, *GIT, "clone", "-q", str(folder), str(clone))
    bench.note(f"{name}-clone", bench.run(clone, *dvc, "pull").seconds, "dvc")
    expect_same_images(folder, clone)


# --- scenarios ---


def photos(bench: Bench, tool: str) -> None:
    """Photographs: there and back."""
    most = 30 if bench.small else _PHOTOS
    TOOLS[tool](bench, "photos", new_folder(bench, bench.sets / "photos", most))


def tiny(bench: Bench, tool: str) -> None:
    """Many small files: there and back, and a lazy clone."""
    folder = new_folder(bench, bench.sets / "tiny")
    TOOLS[tool](bench, "tiny", folder)
    if tool == "vgr":
        samples = sum(1 for _ in (folder / "data").rglob("*.jpg"))
        lazy(bench, samples)


def lazy(bench: Bench, samples: int) -> None:
    """A clone of labels and history alone, and the first image that is asked of it."""
    target = bench.work / "lazy"
    command = (bench.vgr, "clone", "--json", "--lazy", bench.url("tiny"), str(target))
    bench.note("lazy-clone", bench.run(bench.work, *command).seconds)
    bench.note("lazy-bytes", json.loads(bench.output())["bytes"] / samples)
    bench.note("lazy-first", bench.inside("first", target, bench.url("tiny")))


def labels(bench: Bench, tool: str) -> None:
    """What little news costs in a big set."""
    samples = 20_000 if bench.small else 1_000_000
    with contextlib.redirect_stdout(sys.stderr):
        nothing, few = push_samples(bench.work, samples, bench.url("labels"))
    bench.note("nothing", float(nothing.requests))
    bench.note("labels", float(few.requests))
    bench.note("labels-bytes", few.bytes / 1000)


def memory(bench: Bench, tool: str) -> None:
    """A push of much, in a process of its own."""
    folder = bench.work / "repository"
    add_images(folder, 20 if bench.small else 2_000)
    cost = bench.run(folder, bench.vgr, "push", bench.url("memory"), "main")
    bench.note("memory", cost.peak_mib)
    bench.note("memory-time", cost.seconds)


def raw(bench: Bench, tool: str) -> None:
    """The same bytes by the client alone, and as a push; medians of three each."""
    folder = bench.work / "repository"
    folder.mkdir()
    size = _BIG // (100 if bench.small else 1)
    for seed in (1, 2):
        (folder / f"{seed}.bin").write_bytes(Random(seed).randbytes(size))
    commit_with_vgr(bench, folder)
    for part in range(3):
        for what, name in (("raw", "raw"), ("push", "vgr"))[:: 1 if part % 2 else -1]:
            bench.note("raw", bench.inside(what, folder, bench.url(f"{what}-{part}")), name)


TOOLS: dict[str, Callable[[Bench, str, Path], None]] = {"vgr": with_vgr, "dvc": with_dvc}
SCENARIOS: dict[str, tuple[Callable[[Bench, str], None], tuple[str, ...]]] = {
    "photos": (photos, ("vgr", "dvc")),
    "tiny": (tiny, ("vgr", "dvc")),
    "labels": (labels, ("vgr",)),
    "memory": (memory, ("vgr",)),
    "raw": (raw, ("vgr",)),
}
_ONCE = ("labels", "memory")
"""Counts and peaks, which are the same every time."""


def run_all(bench: Bench, scenarios: list[str], runs: int, work: Path) -> list[str]:
    """Run every scenario with every tool; what failed."""
    failed = []
    for scenario in scenarios:
        act, tools = SCENARIOS[scenario]
        tools = tuple(tool for tool in tools if tool != "dvc" or bench.dvc)
        for run in range(1 if scenario in _ONCE else runs):
            for tool in tools[run % len(tools) :] + tools[: run % len(tools)]:
                print(f"{scenario}: run {run + 1} of {runs}, {tool}", file=sys.stderr)
                with tempfile.TemporaryDirectory(prefix=f"{scenario}-", dir=work) as name:
                    bench.work = Path(name)
                    bench.home = bench.work / "home"
                    bench.home.mkdir()
                    try:
                        with server(bench.work / "server") as bench.environment:
                            bench.environment["DVC_SITE_CACHE_DIR"] = str(bench.home / "dvc")
                            act(bench, tool)
                    except CommandFailed as error:
                        print(f"{scenario}, {tool}: {error}", file=sys.stderr)
                        failed.append(f"{scenario}, {tool}")
    return failed


# --- inside a process of its own ---


def time_first(folder: Path, url: str) -> float:
    """Open a repository and read the bytes of one image."""
    import voyager

    with voyager.open(folder) as repo:
        version = repo.at("HEAD")
        key = next(iter(version))
        start = time.perf_counter()
        assert version.image_bytes(key)
        return time.perf_counter() - start


def time_raw(folder: Path, url: str) -> float:
    """Put the files of a folder, both at once, as the client does it when nobody tells it how."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(
        _BUCKET,
        prefix=url.rpartition("/")[2],
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        client_options={"allow_http": True},
    )
    paths = sorted(folder.glob("*.bin"))
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda path: obstore.put(store, path.name, path), paths))
    return time.perf_counter() - start


def time_push(folder: Path, url: str) -> float:
    import voyager
    from voyager.remotes.push import push
    from voyager.remotes.registry import open_storage

    with voyager.open(folder) as repo:
        storage = open_storage(url)
        start = time.perf_counter()
        push(repo, storage)
        return time.perf_counter() - start


INSIDE = {"first": time_first, "raw": time_raw, "push": time_push}


# --- telling ---


def told(values: Values) -> list[dict[str, object]]:
    """What was measured, row by row, with how many times faster it is than the peer."""
    rows: list[dict[str, object]] = []
    for row in ROWS:
        found = medians(values, row)
        if not found:
            continue
        goal, met = row.judge(found)
        peer = found.get("dvc", found.get("raw"))
        times = peer / found["vgr"] if peer and "vgr" in found else None
        rows.append(
            {"row": row.name, "words": row.words, "unit": row.unit, "medians": found}
            | {"values": values[row.name], "times": times, "goal": _goal(row, goal), "pass": met}
        )
    return rows


def _goal(row: Row, words: str) -> str:
    """Times faster where the peer is the measure, as the goals are said."""
    if row.goals and words:
        [(tool, ratio)] = row.goals
        return f"≥ {1 / ratio:.2g} × {'raw client' if tool == 'raw' else tool}"
    return words


def table(rows: list[dict[str, object]]) -> str:
    """The results as a Markdown table."""
    lines = [
        "| work | vgr | dvc / raw client | times faster | goal | |",
        "|---|---:|---:|---:|---|---|",
    ]
    for row in rows:
        found = row["medians"]
        assert isinstance(found, dict)
        verdict = {True: "pass", False: "**fail**", None: ""}[row["pass"]]  # type: ignore[index]
        words = ", ".join(filter(None, (str(row["words"]), str(row["unit"]))))
        ours, peer = found.get("vgr"), found.get("dvc", found.get("raw"))
        cells = (number(ours), number(peer), number(row["times"]))
        lines.append(f"| {words} | {' | '.join(cells)} | {row['goal']} | {verdict} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Voyager's remotes with DVC's.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", type=lambda text: text.split(","), help=", ".join(SCENARIOS))
    parser.add_argument("--small", action="store_true", help="a hundredth of the images")
    parser.add_argument("--dvc", help="the program, where it is not beside Python")
    parser.add_argument("--no-dvc", action="store_true", help="measure Voyager alone")
    parser.add_argument("--work", type=Path, default=HERE / "results")
    parser.add_argument("--sets", type=Path, help="where the image sets are kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = parse()
    if options.serve:
        serve()
        return 0
    if options.inside:
        what, folder, url = options.inside
        print(INSIDE[what](Path(folder), url))
        return 0
    beside = Path(sys.executable).parent
    search = os.pathsep.join((str(beside), os.environ["PATH"]))
    dvc = None if options.no_dvc else options.dvc or shutil.which("dvc", path=search)
    if not dvc:
        print("without dvc", file=sys.stderr)
    sets = options.sets or HERE / "results" / ("sets-small" if options.small else "sets")
    generator = [sys.executable, str(HERE / "generate.py"), str(sets)]
    subprocess.run(generator + ["--small"] * options.small, check=True, stdout=sys.stderr)
    options.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(sets.absolute(), Path(), str(beside / "vgr"), dvc, options.small)
    failed = run_all(bench, options.only or list(SCENARIOS), options.runs, options.work.absolute())
    rows = told(bench.values)
    if options.small:
        print("A hundredth of the files: the times mean nothing.")
    print(table(rows), flush=True)
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"remotes-{when}.json"
    report = {"when": when, "machine": machine(), "runs": options.runs, "small": options.small}
    target.write_text(json.dumps(report | {"failed": failed, "rows": rows}, indent=1) + "\n")
    print(f"\n{target}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
