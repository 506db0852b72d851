"""What all storages do alike with names and bodies: check them, and copy them to and from files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from voyager.errors import CorruptError, InvalidDataError, NotFoundError, RemoteError
from voyager.remotes.base import MOST_BYTES, PreconditionFailed
from voyager.store import files

CHUNK: Final = 1 << 20
_BAD_NAME = re.compile(r"[\x00-\x1f\x7f\\:\ud800-\udfff]|(^|/)(\.{1,2})?(/|$)|[. ](/|$)|^tmp/")


def check_object_name(name: str) -> str:
    """A name that is one below a folder on every system; InvalidDataError else."""
    if not name or _BAD_NAME.search(name) or len(name.encode()) > 900:
        raise InvalidDataError(f"'{name[:80]!r}' is no name that a remote may have")
    return name


def absent(url: str, name: str) -> NotFoundError:
    """What a read of nothing raises."""
    return NotFoundError(f"{url} has no '{name}'")


def stale(url: str, name: str) -> PreconditionFailed:
    """What a conditional write raises that found something else."""
    return PreconditionFailed(f"'{name}' of {url} was changed by another process", hint="try again")


def cut_short(url: str, name: str, *, wanted: int, got: int) -> RemoteError:
    """What a read raises that brought another length than it should.

    Clients notice themselves when a body breaks off, so the object is of that length: trying again
    does not help.
    """
    return RemoteError(
        f"'{name}' of {url} came with {got:,} bytes instead of {wanted:,}",
        hint="vgr fsck --remote",
    )


def refuse_long(size: int, *, url: str, name: str) -> None:
    """CorruptError for an object that is longer than any which is read as a whole."""
    if size > MOST_BYTES:
        raise CorruptError(
            f"'{name}' of {url} has more than {MOST_BYTES:,} bytes: Voyager writes no such object",
            hint="vgr fsck --remote",
        )


def exactly(data: bytes, length: int, *, url: str, name: str) -> bytes:
    """The bytes, if they are as many as were asked for; RemoteError else."""
    if len(data) != length:
        raise cut_short(url, name, wanted=length, got=len(data))
    return data


def write_new_file(path: Path, chunks: Iterable[bytes], *, size: int, url: str, name: str) -> None:
    """Write a body of a known size into a new file; one of another length is removed again."""
    try:
        files.create_from(path, _counted(chunks, size, url=url, name=name))
    except FileExistsError:
        raise
    except BaseException:
        files.remove(path)
        raise


def _counted(chunks: Iterable[bytes], size: int, *, url: str, name: str) -> Iterator[bytes]:
    got = 0
    for chunk in chunks:
        got += len(chunk)
        if got > size:
            break
        yield chunk
    if got != size:
        raise cut_short(url, name, wanted=size, got=got)


def first_bytes(chunks: Iterable[bytes], length: int) -> bytes:
    """The first bytes of a body that may be endless."""
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) >= length:
            break
    return bytes(kept[:length])


def iter_file(file: BinaryIO) -> Iterator[bytes]:
    """An open file in chunks."""
    while chunk := file.read(CHUNK):
        yield chunk


def iter_body(data: bytes | Path) -> Iterator[bytes]:
    """What is to be written, in chunks."""
    if isinstance(data, bytes):
        yield data
    else:
        with data.open("rb") as file:
            yield from iter_file(file)
