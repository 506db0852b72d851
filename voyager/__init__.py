"""Git for vision datasets: the public face.

    import voyager

    with voyager.open("clothes") as repo:
        version = repo.at("main")
        for key, sample in version.items("train/"):
            print(key, sample.image.width, sample.image.height)
        with repo.edit(message="Put the hats into the test split") as edit:
            for key, sample in version.items("train/hat/"):
                edit[key] = sample.replace(split="test")

Importing it costs next to nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

from voyager.version import __version__

TYPE_CHECKING = False  # as type checkers know it; importing typing takes longer than all else here

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from typing import Any

    import pyarrow as pa

    from voyager.errors import (
        ConflictError,
        CorruptError,
        ExistsError,
        InvalidDataError,
        MissingExtraError,
        NotFoundError,
        RefMoved,
        RemoteError,
        StateError,
        UsageError,
        VoyagerError,
    )
    from voyager.formats.exporting import Exported
    from voyager.formats.imported import Imported
    from voyager.merge import Merged, merge
    from voyager.merge.conflicts import Standing
    from voyager.merge.edits import Edits
    from voyager.merge.resolve import Resolved
    from voyager.repo.commit import Committed
    from voyager.repo.dataset import Dataset
    from voyager.repo.diff import Change
    from voyager.repo.edit import Edit
    from voyager.repo.repository import Repository
    from voyager.schema import (
        Asset,
        Box,
        Cuboid,
        Ellipse,
        FileRow,
        Geometry,
        Group,
        Image,
        Keypoints,
        Label,
        Link,
        Mask,
        Points,
        Polygon,
        Polyline,
        Region,
        RotatedBox,
        Sample,
    )
    from voyager.schema.task import Task
    from voyager.schema.taxonomy import Node, Taxonomy
    from voyager.schema.vocabulary import Vocabulary
    from voyager.search import search

__all__ = [
    "Asset",
    "Box",
    "Change",
    "Committed",
    "ConflictError",
    "CorruptError",
    "Cuboid",
    "Dataset",
    "Edit",
    "Ellipse",
    "ExistsError",
    "Exported",
    "FileRow",
    "Geometry",
    "Group",
    "Image",
    "Imported",
    "InvalidDataError",
    "Keypoints",
    "Label",
    "Link",
    "Mask",
    "Merged",
    "MissingExtraError",
    "Node",
    "NotFoundError",
    "Points",
    "Polygon",
    "Polyline",
    "RefMoved",
    "Region",
    "RemoteError",
    "Repository",
    "RotatedBox",
    "Sample",
    "StateError",
    "Task",
    "Taxonomy",
    "UsageError",
    "Vocabulary",
    "VoyagerError",
    "__version__",
    "commit",
    "conflicts",
    "export",
    "import_labels",
    "init",
    "merge",
    "open",
    "resolve",
    "search",
    "sql",
]

_FROM = {
    "voyager.errors": (
        "ConflictError CorruptError ExistsError InvalidDataError MissingExtraError NotFoundError "
        "RefMoved RemoteError StateError UsageError VoyagerError"
    ),
    "voyager.formats.exporting": "Exported",
    "voyager.formats.imported": "Imported",
    "voyager.merge": "Merged",
    "voyager.repo.commit": "Committed",
    "voyager.repo.dataset": "Dataset",
    "voyager.repo.diff": "Change",
    "voyager.repo.edit": "Edit",
    "voyager.repo.repository": "Repository",
    "voyager.schema": (
        "Asset Box Cuboid Ellipse FileRow Geometry Group Image Keypoints Label Link Mask Points "
        "Polygon Polyline Region RotatedBox Sample"
    ),
    "voyager.schema.task": "Task",
    "voyager.schema.taxonomy": "Node Taxonomy",
    "voyager.schema.vocabulary": "Vocabulary",
}
_CALLED = ("merge", "search")
_HOME = {name: module for module, names in _FROM.items() for name in names.split()}


def init(
    path: str | os.PathLike[str] = ".",
    *,
    bare: bool = False,
    worktree: bool = True,
    branch: str | None = None,
) -> Repository:
    """Make an empty repository in a folder, which is made when absent.

    Raises ExistsError when there is one already.
    """
    from voyager.repo.repository import Repository

    return Repository.init(path, bare=bare, worktree=worktree, branch=branch)


def open(path: str | os.PathLike[str] = ".") -> Repository:
    """Open the repository that holds a path; NotFoundError when there is none."""
    from voyager.repo.bound import bindings
    from voyager.repo.repository import Repository

    repository = Repository.open(path)
    if bindings(repository):
        from voyager.formats.binding import attach

        attach(repository)
    if repository.store.values("lazy/"):
        from voyager.remotes.lazy import attach as attach_remotes

        attach_remotes(repository)
    return repository


def import_labels(
    repo: Repository,
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    name: str | None = None,
    base: str | None = None,
    strategies: Sequence[str] = (),
    strict: bool = False,
    dry_run: bool = False,
    **options: Any,
) -> Imported:
    """Stage the labels of a file or folder of another tool, and the images that they name.

    `format` is found out by looking when it is None; `options` are those of `ReadOptions` (images,
    to, split, task, source, frame, …). What was changed both here and in the file is merged:
    `conflicts` of the result says how many fields stand in conflict, unless `strategies` (as
    `vgr import -X` takes them) decide them. Raises InvalidDataError for a malformed source,
    StateError for conflicts where it is `strict`; then nothing is staged.
    """
    from pathlib import Path

    from voyager.formats.importing import import_labels as run
    from voyager.formats.reading import ReadOptions
    from voyager.formats.registry import detect, format_named

    def load_merge() -> Edits:
        from voyager.merge.edits import Edits

        return Edits(strategies)

    if strategies:
        load_merge()  # which refuses those that are none
    source = Path(path)
    form = detect(source)[0] if format is None else format_named(format)
    return run(
        repo,
        source,
        form,
        ReadOptions(**options),
        name=name,
        base=base,
        merge=load_merge,
        strict=strict,
        dry_run=dry_run,
    )


def commit(
    repo: Repository,
    message: str,
    *,
    author: str | None = None,
    allow_empty: bool = False,
    allow_conflicts: bool = False,
) -> Committed:
    """Commit what is staged: by an import, a merge with `commit=False`, or `resolve`.

    `repo.edit` commits what it changes by itself. Raises StateError where nothing is staged, or
    something is in conflict (without `allow_conflicts`).
    """
    from voyager.repo.commit import commit

    return commit(
        repo,
        message,
        author=author,
        allow_empty=allow_empty,
        allow_conflicts=allow_conflicts,
    )


def export(
    repo: Repository,
    path: str | os.PathLike[str],
    format: str,
    *,
    at: str = "HEAD",
    where: str | None = None,
    keys: Sequence[str] = (),
    strict: bool = False,
    force: bool = False,
    **options: Any,
) -> Exported:
    """Write a version in the format of another tool, into a new folder (or file).

    `options` are those of `WriteOptions` (task, images, settings). What the format cannot hold is
    in the report. Raises ExistsError for a folder that is not empty, unless `force`.
    """
    from pathlib import Path

    from voyager.formats.exporting import export as run
    from voyager.formats.registry import format_named
    from voyager.formats.writing import WriteOptions

    return run(
        repo,
        repo.at(at),
        Path(path),
        format_named(format),
        WriteOptions(**options),
        where=where,
        keys=keys,
        strict=strict,
        force=force,
    )


def conflicts(
    repo: Repository,
    *names: str,
    at: str | None = None,
    path: str | None = None,
    task: str | None = None,
    class_: str | None = None,
    where: str | None = None,
) -> list[Standing]:
    """What merges left undecided, staged or in a version: base, terms, and what each side says.

    `names` are keys, folders, globs, KEY#REGION, task:NAME and taxonomy:NAME/CLASS. NotFoundError
    for one that names nothing in conflict.
    """
    from voyager.merge.conflicts import Wanted, list_conflicts

    version = repo.staged() if at is None else repo.at(at)
    return list_conflicts(repo, version, Wanted(names, path, task, class_, where))


def resolve(
    repo: Repository,
    *names: str,
    take: str | None = None,
    value: Any = ...,
    strategy: str | None = None,
    file: str | os.PathLike[str] | None = None,
    path: str | None = None,
    task: str | None = None,
    class_: str | None = None,
    where: str | None = None,
    dry_run: bool = False,
) -> Resolved:
    """Resolve what is in conflict in the staging area; without names all of it.

    One of `take` (ours, theirs, base, union, same, different), `value` (a `Label`, a `Box`, a text,
    None for what is to be gone), `strategy` (as `merge` takes it) and `file` (JSON lines with what
    to do) says how. Raises NotFoundError for a name that names nothing in conflict, StateError
    where nothing is decided so.
    """
    from voyager.merge.conflicts import Wanted
    from voyager.merge.resolve import resolve, way_of

    how = way_of(repo, take=take, value=value, strategy=strategy, file=file)
    wanted = Wanted(names, path, task, class_, where)
    return resolve(repo, how, wanted, message=" ".join(names), dry_run=dry_run)


def sql(version: Dataset, query: str) -> pa.Table:
    """The rows that a SQL query over a version gives, as a pyarrow.Table (docs/tables.md).

    `samples`, `regions`, `labels`, … are those of the version, `samples('v1')` is of another.
    Raises UsageError for what does not read, MissingExtraError without duckdb.
    """
    return version.sql(query)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name in _CALLED:  # a package that can be called
        return _package(name)
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'voyager' has no attribute '{name}'")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def _package(name: str) -> Any:
    import importlib

    return importlib.import_module(f"voyager.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_CALLED})
