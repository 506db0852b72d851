"""The paired benchmark of versions: vgr beside git, git-lfs, and DVC and Oxen where installed.

    python benchmarks/versions.py [--runs 5] [--tools vgr,git] [--only photos] [--small]

Whole commands are timed, from start to exit, one process after the other. Every run works in new
folders, which are deleted only at the end, since ext4 makes files slowly for minutes after mass
deletes; the order of the tools turns from run to run; files are in the page cache. Git keeps its
objects loose (`gc.auto=0`) unless a row says packed. Medians go into a Markdown table and, with
every single value, into a JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
MIB = 1 << 20

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """The commands of a version control system, run inside its repository.

    `prepare` is set-up that is not timed; `back` and `restore` are empty where the tool cannot;
    `clone_packed` is followed by source and target. (`git gc` would pack as well, but deletes the
    loose objects, which makes the file system slow just when it is measured.)
    """

    name: str
    version: Command
    store: tuple[str, ...]
    init: tuple[Command, ...]
    add: tuple[Command, ...]
    commit: tuple[Command, ...]
    status: tuple[Command, ...]
    prepare: tuple[Command, ...] = ()
    back: tuple[Command, ...] = ()
    restore: tuple[Command, ...] = ()
    clone_packed: Command = ()
    help: tuple[Command, ...] = ()


GIT = ("git", "-c", "gc.auto=0")
LFS_ATTRIBUTES = "*.jpg filter=lfs diff=lfs merge=lfs -text\n"


def git_tool(name: str, version: Command, prepare: tuple[Command, ...], pack: bool) -> Tool:
    return Tool(
        name=name,
        version=version,
        store=(".git",),
        init=((*GIT, "init", "-q", "-b", "main"),),
        prepare=prepare,
        add=((*GIT, "add", "-A"),),
        commit=((*GIT, "commit", "-q", "-m", "x"),),
        status=((*GIT, "status"),),
        back=((*GIT, "checkout", "-q", "HEAD~1"),),
        # Without its index git does what a fresh clone does: read the tree, write every file.
        restore=((*GIT, "reset", "-q", "--hard"),),
        clone_packed=(*GIT, "clone", "-q", "--no-local", "--no-checkout") if pack else (),
        help=((*GIT, "--help"),),
    )


def vgr_tool(program: str) -> Tool:
    return Tool(
        name="vgr",
        version=(program, "--version"),
        store=(".vgr",),
        init=((program, "init"),),
        add=((program, "add", "."),),
        commit=((program, "commit", "-m", "x"),),
        status=((program, "status"),),
        back=((program, "checkout", "HEAD~1"),),
        restore=((program, "reset", "--hard"),),
        help=((program, "--help"),),
    )


def lfs_tool() -> Tool:
    attributes = (sys.executable, "-c", f"open('.gitattributes', 'w').write({LFS_ATTRIBUTES!r})")
    install = (*GIT, "lfs", "install", "--local")
    return git_tool("git-lfs", ("git", "lfs", "version"), (install, attributes), pack=False)


def dvc_tool(program: str) -> Tool:
    """DVC tracks one folder as one thing and needs Git for the rest."""
    dvc = (program, "--quiet")
    return Tool(
        name="dvc",
        version=(program, "--version"),
        store=(".git", ".dvc"),
        init=((*GIT, "init", "-q", "-b", "main"), (*dvc, "init")),
        prepare=((*dvc, "config", "core.analytics", "false"),),
        add=((*dvc, "add", "data"), (*GIT, "add", "-A")),
        commit=((*GIT, "commit", "-q", "-m", "x"),),
        status=((program, "status"),),
        back=((*GIT, "checkout", "-q", "HEAD~1"), (*dvc, "checkout")),
        restore=((*GIT, "reset", "-q", "--hard"), (*dvc, "checkout")),
    )


def oxen_tool() -> Tool:
    """Oxen through its Python module, which cannot check out a commit by its id."""

    def python(code: str) -> tuple[Command, ...]:
        return ((sys.executable, "-c", f"import oxen\n{code}"),)

    user = "from oxen.user import config_user\nconfig_user('Bench', 'bench@example.com')"
    return Tool(
        name="oxen",
        version=(sys.executable, "-m", "pip", "show", "oxenai"),
        store=(".oxen",),
        init=python("oxen.init('.')"),
        prepare=python(user),
        add=python("oxen.Repo('.').add('.')"),
        commit=python("oxen.Repo('.').commit('x')"),
        status=python("print(oxen.Repo('.').status())"),
    )


def installed_tools() -> dict[str, Tool]:
    """Every tool that this machine has, vgr first."""
    beside = Path(sys.executable).with_name("vgr")
    vgr = str(beside) if beside.exists() else shutil.which("vgr")
    tools = [vgr_tool(vgr)] if vgr else []
    if shutil.which("git"):
        tools.append(git_tool("git", ("git", "--version"), (), pack=True))
    if shutil.which("git-lfs"):
        tools.append(lfs_tool())
    search = os.pathsep.join([os.environ.get("PATH", ""), str(Path(sys.executable).parent)])
    if dvc := shutil.which("dvc", path=search):
        tools.append(dvc_tool(dvc))
    if find_spec("oxen"):
        tools.append(oxen_tool())
    return {tool.name: tool for tool in tools}


# --- rows ---


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; `goals` are multiples of a tool's median, `limit` is absolute."""

    name: str
    words: str
    unit: str = "s"
    goals: tuple[tuple[str, float], ...] = ()
    limit: float | None = None

    def judge(self, found: dict[str, float]) -> tuple[str, bool | None]:
        """The goal in words, and whether it is met; None where a side was not measured."""
        words = [f"≤ {ratio:g} × {tool}" for tool, ratio in self.goals if tool in found]
        bounds = [ratio * found[tool] for tool, ratio in self.goals if tool in found]
        if self.limit is not None:
            words.append(f"≤ {self.limit:g} {self.unit}".strip())
            bounds.append(self.limit)
        ours = found.get("vgr")
        met = None if ours is None or not bounds else ours <= min(bounds)
        return ", ".join(words), met


_SIXTH = 1 / 6
_SLOWER_PEERS = (("git-lfs", _SIXTH), ("dvc", _SIXTH), ("oxen", _SIXTH))

ROWS = (
    Row(
        "tiny-commit",
        "60,000 JPEG of 32x32: init + add + commit",
        goals=(("git", 0.4), *_SLOWER_PEERS),
    ),
    Row("tiny-memory", "… peak memory of add", "MiB", limit=160),
    Row("tiny-share", "… size of the repository / bytes added", "", limit=0.75),
    Row("tiny-disk", "… size on disk", "MiB"),
    Row("tiny-status", "… status, clean", goals=(("git", 5),), limit=0.35),
    Row("tiny-edit", "… 1 % of the files edited: add + commit", goals=(("git", 1.5),)),
    Row("tiny-edit-bytes", "… bytes added by that", "MiB"),
    Row("tiny-back", "… check out the version before", goals=(("git", 0.6),)),
    Row("tiny-full", "… check out all into an empty folder", goals=(("git", 0.8),)),
    Row("tiny-full-packed", "… the same, git with its objects packed", goals=(("git", 1.6),)),
    Row(
        "photos-commit",
        "5,700 photos of 28 kB: add + commit",
        goals=(("git", 0.2), ("git-lfs", 0.35)),
    ),
    Row("photos-memory", "… peak memory of add", "MiB"),
    Row("photos-share", "… size of the repository / bytes added", "", limit=1.01),
    Row("photos-status", "… status, clean"),
    Row("start-help", "--help", limit=0.10),
    Row("start-status", "status of ten files", limit=0.15),
)

Values = dict[str, dict[str, list[float]]]
"""Row name → tool name → one value per run."""


# --- measuring ---


class CommandFailed(Exception):
    """A tool's command did not exit with 0."""


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float
    peak_mib: float


@dataclass(slots=True)
class Bench:
    """Where a benchmark works and what it has measured."""

    sets: Path
    work: Path
    small: bool
    values: Values = field(default_factory=dict)

    def note(self, row: str, tool: Tool, value: float) -> None:
        self.values.setdefault(row, {}).setdefault(tool.name, []).append(value)

    def run(self, commands: Iterable[Command], folder: Path) -> Cost:
        """Run commands one after the other; the sum of their times, the highest of their peaks."""
        seconds = peak = 0.0
        for command in commands:
            cost = run_one(command, folder, self.work)
            seconds += cost.seconds
            peak = max(peak, cost.peak_mib)
        return Cost(seconds, peak)


def run_one(
    command: Command, folder: Path, home: Path, more: Mapping[str, str] | None = None
) -> Cost:
    """Time one process from its start to its end, after the disk has come to rest.

    `more` are variables beside those of the sealed environment.
    """
    os.sync()
    result, output = home / "result", home / "output"
    with open(output, "w") as file:
        subprocess.run(
            [sys.executable, "-I", "-S", str(HERE / "launch.py"), str(result), *command],
            cwd=folder,
            env=sealed_environment(home) | dict(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=True,
        )
    exit_code, seconds, peak = result.read_text().split()
    if exit_code != "0":
        words = output.read_text(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(command)} → {exit_code}\n{words}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(float(seconds), int(peak) * unit / MIB)


def sealed_environment(home: Path) -> dict[str, str]:
    """No settings but ours: nobody's aliases, hooks or commit signing."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    person = {
        f"{tool}_{role}_{part}": value
        for tool, role in (("GIT", "AUTHOR"), ("GIT", "COMMITTER"), ("VGR", "AUTHOR"))
        for part, value in (("NAME", "Bench"), ("EMAIL", "bench@example.com"))
    }
    return kept | person | {"HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1", "DVC_NO_ANALYTICS": "1"}


def store_sizes(repository: Path, tool: Tool) -> tuple[float, float]:
    """MiB in the tool's folders: the lengths of the files, and the blocks that they take."""
    length = blocks = 0
    for store in tool.store:
        for path in (repository / store).rglob("*"):
            found = path.lstat()
            length += found.st_size if path.is_file() else 0
            blocks += found.st_blocks * 512
    return length / MIB, blocks / MIB


def copy_tree(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-R", f"{source}/.", str(target)], check=True)


def new_repository(bench: Bench, images: Path, tag: str) -> Path:
    """A new folder with the images under `data`, all of them read once."""
    repository = bench.work / tag
    data = repository / "data"
    data.mkdir(parents=True)
    copy_tree(images, data)
    for path in data.rglob("*.jpg"):
        path.read_bytes()
    return repository


# --- scenarios ---


def tiny(bench: Bench, tool: Tool, number: int) -> None:
    """The life of a set of many small files."""
    repository = new_repository(bench, bench.sets / "tiny", f"tiny-{tool.name}-{number}")
    first_commit(bench, tool, repository, "tiny", with_init=True)
    clean_status(bench, tool, repository, "tiny")
    before, _ = store_sizes(repository, tool)
    copy_tree(bench.sets / "tiny-edits", repository / "data")
    edit = bench.run((*tool.add, *tool.commit), repository)
    bench.note("tiny-edit", tool, edit.seconds)
    bench.note("tiny-edit-bytes", tool, store_sizes(repository, tool)[0] - before)
    if tool.back:
        bench.note("tiny-back", tool, bench.run(tool.back, repository).seconds)
    if tool.restore:
        full_checkout(bench, tool, repository)


def first_commit(
    bench: Bench, tool: Tool, repository: Path, images: str, *, with_init: bool
) -> None:
    init = bench.run(tool.init, repository)
    bench.run(tool.prepare, repository)
    add = bench.run(tool.add, repository)
    commit = bench.run(tool.commit, repository)
    seconds = add.seconds + commit.seconds + (init.seconds if with_init else 0)
    bench.note(f"{images}-commit", tool, seconds)
    bench.note(f"{images}-memory", tool, add.peak_mib)
    length, blocks = store_sizes(repository, tool)
    images_mib = sum(p.stat().st_size for p in (repository / "data").rglob("*.jpg")) / MIB
    bench.note(f"{images}-share", tool, length / images_mib)
    bench.note(f"{images}-disk", tool, blocks)


def clean_status(bench: Bench, tool: Tool, repository: Path, images: str) -> None:
    """The second status: the first may have to look into files as young as the index."""
    time.sleep(0 if bench.small else 3)
    bench.run(tool.status, repository)
    bench.note(f"{images}-status", tool, bench.run(tool.status, repository).seconds)


def full_checkout(bench: Bench, tool: Tool, repository: Path) -> None:
    """Copy the store alone into an empty folder, and bring every file back."""
    empty = copy_store(tool, repository, "full")
    restored = bench.run(tool.restore, empty)
    expect_same_images(repository, empty)
    bench.note("tiny-full", tool, restored.seconds)
    if tool.clone_packed:
        packed = repository.with_name(f"{repository.name}-packed")
        bench.run([(*tool.clone_packed, str(repository), str(packed))], repository)
        restored = bench.run(tool.restore, packed)
        expect_same_images(repository, packed)
    bench.note("tiny-full-packed", tool, restored.seconds)


def copy_store(tool: Tool, repository: Path, tag: str) -> Path:
    empty = repository.with_name(f"{repository.name}-{tag}")
    for store in tool.store:
        (empty / store).mkdir(parents=True)
        copy_tree(repository / store, empty / store)
    (empty / ".git" / "index").unlink(missing_ok=True)
    return empty


def expect_same_images(one: Path, other: Path) -> None:
    """A checkout that leaves files out would be fast."""
    left, right = ({p.name: p.stat().st_size for p in r.rglob("*.jpg")} for r in (one, other))
    if left != right:
        raise CommandFailed(f"{other} does not hold the images of {one}")


def photos(bench: Bench, tool: Tool, number: int) -> None:
    """One commit of photographs."""
    repository = new_repository(bench, bench.sets / "photos", f"photos-{tool.name}-{number}")
    first_commit(bench, tool, repository, "photos", with_init=False)
    clean_status(bench, tool, repository, "photos")


def start(bench: Bench, tool: Tool, number: int) -> None:
    """What there is to wait for when there is nothing to do: medians of nine."""
    repository = bench.work / f"start-{tool.name}-{number}"
    data = repository / "data"
    data.mkdir(parents=True)
    for path in sorted((bench.sets / "photos").rglob("*.jpg"))[:10]:
        shutil.copyfile(path, data / path.name)
    bench.run((*tool.init, *tool.prepare, *tool.add, *tool.commit), repository)
    for row, commands in (("start-help", tool.help), ("start-status", tool.status)):
        if commands:
            times = [bench.run(commands, repository).seconds for _ in range(9)]
            bench.note(row, tool, median(times))


SCENARIOS = {"tiny": tiny, "photos": photos, "start": start}


def run_all(bench: Bench, tools: list[Tool], scenarios: Iterable[str], runs: int) -> list[str]:
    """Run every scenario for every tool; the names of the tools that failed, left out after it."""
    failed: list[str] = []
    for scenario in scenarios:
        for number in range(runs):
            for tool in rotated(tools, number):
                if tool.name in failed:
                    continue
                print(f"{scenario}: run {number + 1} of {runs}, {tool.name}", file=sys.stderr)
                try:
                    SCENARIOS[scenario](bench, tool, number)
                except CommandFailed as error:
                    print(f"{tool.name} failed: {error}", file=sys.stderr)
                    failed.append(tool.name)
    return failed


def rotated(tools: list[Tool], number: int) -> Iterator[Tool]:
    for place in range(len(tools)):
        yield tools[(place + number) % len(tools)]


# --- telling ---


def medians(values: Values, row: Row) -> dict[str, float]:
    return {tool: median(numbers) for tool, numbers in values.get(row.name, {}).items()}


def results(values: Values) -> list[dict[str, object]]:
    """What was measured, row by row, with ratio, goal and verdict."""
    told: list[dict[str, object]] = []
    for row in ROWS:
        found = medians(values, row)
        if not found:
            continue
        ours, git = found.get("vgr"), found.get("git")
        goal, met = row.judge(found)
        ratio = ours / git if ours is not None and git else None
        told.append(
            {"row": row.name, "words": row.words, "unit": row.unit, "medians": found}
            | {"values": values[row.name], "ratio": ratio, "goal": goal, "pass": met}
        )
    return told


def table(told: list[dict[str, object]], tools: list[str]) -> str:
    """The results as a Markdown table."""
    lines = [
        f"| work | {' | '.join(tools)} | vgr ÷ git | goal | |",
        f"|---|{'---:|' * (len(tools) + 1)}---|---|",
    ]
    for line in told:
        found = line["medians"]
        assert isinstance(found, dict)
        cells = [number(found.get(tool)) for tool in tools]
        verdict = {True: "pass", False: "**fail**", None: ""}[line["pass"]]  # type: ignore[index]
        words = ", ".join(filter(None, (str(line["words"]), str(line["unit"]))))
        ratio = number(line["ratio"])
        lines.append(f"| {words} | {' | '.join(cells)} | {ratio} | {line['goal']} | {verdict} |")
    return "\n".join(lines)


def number(value: object) -> str:
    """Three figures that count; a dash for what was not measured."""
    if not isinstance(value, float):
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def machine() -> dict[str, object]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


def version_of(tool: Tool, home: Path) -> str:
    done = subprocess.run(
        tool.version, capture_output=True, text=True, check=False, env=sealed_environment(home)
    )
    return " ".join(done.stdout.split())[:80]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time vgr beside other version control systems.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tools", default="vgr,git,git-lfs", help="or 'all' that are installed")
    parser.add_argument("--only", choices=SCENARIOS, action="append", help="may be given twice")
    parser.add_argument("--small", action="store_true", help="a hundredth of the files")
    parser.add_argument(
        "--work", type=Path, default=HERE / "results", help="a folder on the disk to measure"
    )
    parser.add_argument("--sets", type=Path, help="where the image sets are kept")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> int:
    options = parse()
    found = installed_tools()
    wanted = list(found) if options.tools == "all" else options.tools.split(",")
    tools = [found[name] for name in wanted if name in found]
    for name in wanted:
        if name not in found:
            print(f"{name} is not installed: left out", file=sys.stderr)
    sets = options.sets or HERE / "results" / ("sets-small" if options.small else "sets")
    generator = [sys.executable, str(HERE / "generate.py"), str(sets)]
    subprocess.run(generator + ["--small"] * options.small, check=True)
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="versions-", dir=options.work) as work:
        bench = Bench(sets, Path(work), options.small)
        (bench.work / ".gitconfig").write_text("[gc]\n\tauto = 0\n")
        versions = {tool.name: version_of(tool, bench.work) for tool in tools}
        failed = run_all(bench, tools, options.only or SCENARIOS, options.runs)
        report = {"runs": options.runs, "small": options.small, "failed": failed}
        tell(bench.values, tools, options.out, report | {"versions": versions})
        print("deleting the working folders", file=sys.stderr)  # this may take minutes
    return 1 if failed else 0


def tell(values: Values, tools: list[Tool], out: Path, report: dict[str, object]) -> None:
    """Print the table, and write it with every value and the machine into `out`."""
    told = results(values)
    if report["small"]:
        print("A hundredth of the files: the times mean nothing.")
    print(table(told, [tool.name for tool in tools]), flush=True)
    when = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    report = {"when": when, "machine": machine()} | report | {"rows": told}
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"versions-{when}.json"
    target.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    print(f"\n{target}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
