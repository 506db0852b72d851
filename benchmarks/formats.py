"""A COCO file of the size of train2017: in, out, diff and rename, beside pycocotools.

    python benchmarks/formats.py                     # needs some 3 GB of disk and ten minutes
    python benchmarks/formats.py --images 10000 --annotations 72700 --repeat 3
    python benchmarks/formats.py --peer /path/to/python   # one that has pycocotools

Each step runs in a process of its own, whose wall time and peak memory (with its children) are
taken; medians of the runs are shown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from coco_labels import ANNOTATIONS, IMAGES, write_coco

VGR = [sys.executable, "-m", "voyager.cli"]
_PEER = "from pycocotools.coco import COCO; import sys; COCO(sys.argv[1])"
_RENAME = """
import sys, time, voyager
from voyager.repo.taxonomies import move_classes
with voyager.open(sys.argv[1]) as repo:
    before = repo.staged().roots["samples"]
    start = time.perf_counter()
    move_classes(repo, ["category/class 1"], "category/renamed")
    print(time.perf_counter() - start)
    assert repo.staged().roots["samples"] == before
"""


def run(command: list[str], folder: Path) -> tuple[float, float, str]:
    """(seconds, peak MiB of the process and its children, output) of a command."""
    environment = {
        **os.environ,
        "VGR_AUTHOR_NAME": "Bench",
        "VGR_AUTHOR_EMAIL": "bench@example.org",
    }
    watcher = (
        "import resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:])\n"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024\n"
        "print('\\n@', time.perf_counter() - start, peak)\n"
        "sys.exit(done.returncode)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", watcher, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stdout}\n{result.stderr}")
    output, _, measured = result.stdout.rpartition("\n@")
    seconds, peak = measured.split()
    return float(seconds), float(peak), output


class Table:
    """Times by name, of several runs."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, seconds: float, peak: float) -> None:
        self.rows.setdefault(name, []).append((seconds, peak))

    def as_json(self) -> dict[str, dict[str, float]]:
        return {
            name: {
                "seconds": round(statistics.median(seconds for seconds, _ in runs), 3),
                "peak_mib": round(max(peak for _, peak in runs)),
            }
            for name, runs in self.rows.items()
        }

    def show(self) -> None:
        for name, row in self.as_json().items():
            print(f"{name:<44} {row['seconds']:>8.2f} s  {row['peak_mib']:>6,} MiB")


def one_run(table: Table, folder: Path, files: tuple[Path, Path], peer: str | None) -> None:
    """Every step once, the peer right beside what it is compared with."""
    repo = folder / "repo"

    def step(name: str, *words: str) -> str:
        seconds, peak, output = run([*VGR, *words], repo)
        table.add(name, seconds, peak)
        return output

    run([*VGR, "init", "--no-worktree", str(repo)], folder)
    if peer is not None:
        seconds, peak, _ = run([peer, "-c", _PEER, str(files[0])], folder)
        table.add("pycocotools: load and index", seconds, peak)
    start = time.perf_counter()
    step("vgr import", "import", str(files[0]), "--name", "labels")
    step("vgr commit", "commit", "-m", "first")
    table.add("vgr import and commit", time.perf_counter() - start, 0)
    step("vgr export coco", "export", str(folder / "coco"), "--format", "coco")
    step("vgr export yolo", "export", str(folder / "yolo"), "--format", "yolo")
    step("vgr import the changed file", "import", str(files[1]), "--name", "labels")
    step("vgr commit the changes", "commit", "-m", "second")
    step("vgr diff", "diff", "HEAD~1", "HEAD")
    step("vgr diff --stat", "diff", "--stat", "HEAD~1", "HEAD")
    _, _, output = run([sys.executable, "-c", _RENAME, str(repo)], folder)
    table.add("rename a class (library)", float(output.split()[-1]), 0)
    for name in ("coco", "yolo", "repo"):
        shutil.rmtree(folder / name, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--annotations", type=int, default=ANNOTATIONS)
    parser.add_argument("--changed", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer", help="a Python that has pycocotools")
    parser.add_argument("--json", type=Path, help="write the medians to a file")
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory(prefix="vgr-bench-") as name:
        folder = Path(name)
        files = folder / "first.json", folder / "second.json"
        sizes = {"images": options.images, "annotations": options.annotations}
        write_coco(files[0], **sizes)
        write_coco(files[1], **sizes, changed=min(options.changed, options.annotations))
        for _ in range(options.repeat):
            one_run(table, folder, files, options.peer)
    table.show()
    if options.json is not None:
        options.json.write_text(json.dumps(table.as_json(), indent=2) + "\n")


if __name__ == "__main__":
    main()
