"""What a push costs in requests, bytes, time and memory, against folders on this machine.

    python benchmarks/push.py [--samples 1000000] [--megabytes 2000]

First samples without images: a push of all, one of nothing new, and one of ten changed labels.
Goals: 1 request for nothing, 6 requests and 150 kB for ten labels. Then a push of images that do
not compress, from a repository of its own in a new process. Goal: 350 MiB at the peak.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from rows import all_rows, key_of, make_sample

if TYPE_CHECKING:
    from voyager import Repository
    from voyager.remotes.push import Pushed

MOST_REQUESTS, MOST_BYTES, MOST_MEMORY = 6, 150_000, 350
_IMAGE_BYTES = 250_000
_CHANGED = 10


def pushed(repo: Repository, url: str, what: str) -> Pushed:
    """Push to a remote, and say what it took."""
    from voyager.remotes.push import push
    from voyager.remotes.registry import open_storage

    start = time.perf_counter()
    done = push(repo, open_storage(url))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"| {what} | {done.requests:,} | {done.bytes:,} | {done.packs} | {seconds:.2f} s |"
        f" {done.bytes / seconds / 1e6:,.0f} MB/s | {peak} MiB |",
        flush=True,
    )
    return done


def push_samples(work: Path, samples: int, url: str) -> tuple[Pushed, Pushed]:
    """Samples without images: a push of nothing new, and one of a few changed labels."""
    import voyager

    with voyager.init(work / "samples", worktree=False) as repo:
        with repo.edit(message="all") as edit:
            edit.update(all_rows(samples))
        pushed(repo, url, f"{samples:,} samples")
        nothing = pushed(repo, url, "nothing new")
        with repo.edit(message="ten") as edit:
            for number in range(0, samples, -(-samples // _CHANGED)):
                edit[key_of(number)] = make_sample(number, 1)
        few = pushed(repo, url, f"{_CHANGED} changed labels")
    return nothing, few


def met_goals(nothing: Pushed, few: Pushed) -> bool:
    return nothing.requests == 1 and few.requests <= MOST_REQUESTS and few.bytes <= MOST_BYTES


def add_images(folder: Path, megabytes: int) -> None:
    """A commit of images that do not compress."""
    import voyager
    from voyager.repo.add import add
    from voyager.repo.commit import commit

    with voyager.init(folder) as repo:
        draw = Random(1)
        for number in range(megabytes * 1_000_000 // _IMAGE_BYTES):
            (folder / f"{number:06d}.bin").write_bytes(draw.randbytes(_IMAGE_BYTES))
        add(repo, ["."], cwd=folder)
        commit(repo, "images")


def push_images(folder: Path, megabytes: int) -> None:
    """To be run in a process of its own, whose memory is that of the push."""
    import voyager

    with voyager.open(folder) as repo:
        pushed(repo, str(folder.parent / "remote2"), f"{megabytes:,} MB of images")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.exit(0 if peak <= MOST_MEMORY else 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure pushes.")
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--megabytes", type=int, default=2_000)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder is not None:
        push_images(given.folder, given.megabytes)
    print("| push | requests | bytes | packs | time | rate | peak memory |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    with tempfile.TemporaryDirectory(prefix="push-") as name:
        work = Path(name)
        met = met_goals(*push_samples(work, given.samples, str(work / "remote")))
        add_images(work / "images", given.megabytes)
        again = [sys.executable, *sys.argv, "--folder", str(work / "images")]
        met = subprocess.run(again, env=dict(os.environ), check=False).returncode == 0 and met
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
