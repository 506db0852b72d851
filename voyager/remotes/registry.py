"""Which storage a URL means: the schemes, as a table that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

from voyager.errors import MissingExtraError, UsageError
from voyager.remotes.base import Storage
from voyager.remotes.retrying import Patience, Retrying
from voyager.remotes.urls import Parts, split_url


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """How to speak with a remote: how long to try again, seconds without a byte after which a
    request counts as lost, and a limit of bytes a second."""

    patience: Patience = field(default_factory=Patience)
    timeout: float = 60.0
    limit: int | None = None


Factory = Callable[[str, Parts, StorageOptions], Storage]


def open_storage(url: str, *, options: StorageOptions | None = None) -> Storage:
    """The storage of a URL or folder; nothing is asked of it yet.

    Raises UsageError for a scheme that is not known, MissingExtraError where what it needs is not
    installed.
    """
    parts = split_url(url)
    options = options or StorageOptions()
    storage = SCHEMES.get(parts.scheme, _other)(url, parts, options)
    if options.limit is None:
        return storage
    from voyager.remotes.paced import Paced

    return Paced(storage, options.limit)


def _file(url: str, parts: Parts, options: StorageOptions) -> Storage:
    from voyager.remotes.storages.file import FileStorage

    return FileStorage(Path(parts.path), url=url)


def _memory(url: str, parts: Parts, options: StorageOptions) -> Storage:
    from voyager.remotes.storages.memory import MemoryStorage

    return MemoryStorage(f"{parts.host}{parts.path}")


def _bucket(url: str, parts: Parts, options: StorageOptions) -> Storage:
    """Object stores: by obstore, else by what fsspec has for them."""
    try:
        from voyager.remotes.storages.objectstore import ObjectStorage
    except ModuleNotFoundError:
        return _fsspec(url, parts, options)
    storage = ObjectStorage.open(url, parts, timeout=options.timeout)
    return Retrying(storage, options.patience)


def _fsspec(url: str, parts: Parts, options: StorageOptions) -> Storage:
    """Whatever fsspec knows a file system for."""
    try:
        from voyager.remotes.storages.fsspec import FsspecStorage
    except ModuleNotFoundError:
        raise MissingExtraError(
            f"{parts.scheme}:// remotes need an optional part of Voyager",
            hint=f"pip install 'voyager-vgr[{'ssh' if parts.scheme in ('sftp', 'ssh') else 's3'}]'",
        ) from None
    return Retrying(FsspecStorage.open(url, parts, timeout=options.timeout), options.patience)


SCHEMES: Final[Mapping[str, Factory]] = MappingProxyType(
    {
        "az": _bucket,
        "file": _file,
        "gs": _bucket,
        "http": _fsspec,
        "https": _fsspec,
        "memory": _memory,
        "s3": _bucket,
        "sftp": _fsspec,
        "ssh": _fsspec,
    }
)


def check_scheme(url: str) -> None:
    """UsageError for a URL whose scheme nothing here knows, installed or not."""
    parts = split_url(url)
    if parts.scheme not in SCHEMES and not _fsspec_knows(parts.scheme):
        raise _unknown(parts.scheme)


def _other(url: str, parts: Parts, options: StorageOptions) -> Storage:
    """A scheme of the table of fsspec, if that is installed."""
    if not _fsspec_knows(parts.scheme):
        raise _unknown(parts.scheme)
    return _fsspec(url, parts, options)


def _fsspec_knows(scheme: str) -> bool:
    try:
        from fsspec.registry import known_implementations
    except ModuleNotFoundError:
        return False
    return scheme in known_implementations


def _unknown(scheme: str) -> UsageError:
    return UsageError(
        f"no remote can lie at '{scheme}://' (it can at: {', '.join(SCHEMES)})",
        hint=_hint(scheme),
    )


def _hint(scheme: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(scheme, SCHEMES, 1, 0.5)
    if near:
        return f"did you mean '{near[0]}://'?"
    if find_spec("fsspec") is None:
        return "pip install 'voyager-vgr[s3]', which brings more of them"
    return "vgr remote add origin s3://BUCKET/FOLDER"
