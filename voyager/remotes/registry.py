"""Which storage a URL means: the schemes, as a table that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from voyager.errors import UsageError
from voyager.remotes.base import Storage
from voyager.remotes.retrying import Patience
from voyager.remotes.urls import Parts, split_url


@dataclass(frozen=True, slots=True)
class StorageOptions:
    """How to speak with a remote: how long to try again, and seconds without a byte after which a
    request counts as lost."""

    patience: Patience = field(default_factory=Patience)
    timeout: float = 60.0


Factory = Callable[[str, Parts, StorageOptions], Storage]


def open_storage(url: str, *, options: StorageOptions | None = None) -> Storage:
    """The storage of a URL or folder; nothing is asked of it yet.

    Raises UsageError for a scheme that is not known, MissingExtraError where what it needs is not
    installed.
    """
    parts = split_url(url)
    factory = SCHEMES.get(parts.scheme, _other)
    return factory(url, parts, options or StorageOptions())


def _file(url: str, parts: Parts, options: StorageOptions) -> Storage:
    from voyager.remotes.storages.file import FileStorage

    return FileStorage(Path(parts.path), url=url)


def _memory(url: str, parts: Parts, options: StorageOptions) -> Storage:
    from voyager.remotes.storages.memory import MemoryStorage

    return MemoryStorage(f"{parts.host}{parts.path}")


SCHEMES: Final[Mapping[str, Factory]] = MappingProxyType({"file": _file, "memory": _memory})


def _other(url: str, parts: Parts, options: StorageOptions) -> Storage:
    raise UsageError(f"no remote can lie at '{parts.scheme}://'", hint="s3://BUCKET/FOLDER")
