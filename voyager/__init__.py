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
    from typing import Any

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

__all__ = [
    "Asset",
    "Box",
    "Change",
    "ConflictError",
    "CorruptError",
    "Cuboid",
    "Dataset",
    "Edit",
    "Ellipse",
    "ExistsError",
    "FileRow",
    "Geometry",
    "Group",
    "Image",
    "InvalidDataError",
    "Keypoints",
    "Label",
    "Link",
    "Mask",
    "MissingExtraError",
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
    "UsageError",
    "VoyagerError",
    "__version__",
    "init",
    "open",
]

_FROM = {
    "voyager.errors": (
        "ConflictError CorruptError ExistsError InvalidDataError MissingExtraError NotFoundError "
        "RefMoved RemoteError StateError UsageError VoyagerError"
    ),
    "voyager.repo.dataset": "Dataset",
    "voyager.repo.diff": "Change",
    "voyager.repo.edit": "Edit",
    "voyager.repo.repository": "Repository",
    "voyager.schema": (
        "Asset Box Cuboid Ellipse FileRow Geometry Group Image Keypoints Label Link Mask Points "
        "Polygon Polyline Region RotatedBox Sample"
    ),
}
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
    return repository


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'voyager' has no attribute '{name}'")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(module), name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
