"""`vgr cat`: write the bytes of an image or the content of an object."""

from __future__ import annotations

import codecs
import sys
from typing import Annotated, Any

import typer

from voyager.commands.context import Context
from voyager.errors import NotFoundError, UsageError
from voyager.repo.keys import shown
from voyager.repo.repository import Repository
from voyager.repo.revisions import find_object, split_key
from voyager.repo.sharing import blob_at
from voyager.store.ids import Kind
from voyager.wire import BLOB_EXT, Ext, decode


def run(
    ctx: Context,
    names: Annotated[list[str], typer.Argument(metavar="ID|REV:KEY", help="what to write")],
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="hash the bytes again before writing them")
    ] = False,
) -> None:
    """Write the bytes of an image or file, or the content of an object as JSON.

    An id is one of a blob, commit, snapshot, node or row, or the first digits of it; REV:KEY is
    what a version has at a key, :KEY what the next commit would have.

    JSON: of bytes {"id", "kind", "bytes"}, and not the bytes themselves.

    Example:
      $ vgr cat main:train/hat/1.jpg > hat.jpg
      $ vgr cat --verify 3f2a91
      $ vgr cat HEAD
    """
    repo = ctx.open_repository()
    emit = ctx.emit if len(names) == 1 else ctx.emit_line
    for name in names:
        found = _find(repo, name)
        if verify:
            repo.store.verify(found)
        header = repo.store.header(found)
        if header.kind is not Kind.BLOB:
            data = repo.store.get(found, header.kind)
            emit({"id": found.hex(), "kind": header.kind.label, **_content(header.kind, data)})
        elif ctx.json:
            emit({"id": found.hex(), "kind": "blob", "bytes": header.real})
        else:
            for number, chunk in enumerate(repo.store.iter_blob(found)):
                if not number:
                    _refuse_terminal(name, chunk)
                ctx.write(chunk)


def _find(repo: Repository, name: str) -> bytes:
    """The id of what a name means: bytes at a key, a revision, or the first digits of an id."""
    revision, key = split_key(name)
    if key is not None:
        version = repo.staged() if name.startswith(":") else repo.at(revision)
        space = version.space_of(key)
        if space is None:
            raise NotFoundError(f"no key '{shown(key)}' in that version", hint="vgr ls REV")
        found = blob_at(version, space, key)
        if found is None:
            raise NotFoundError(f"the image of '{shown(key)}' is not here yet")
        return found[0]
    try:
        return repo.resolve(name)
    except (NotFoundError, UsageError):
        return find_object(repo.store, name)


def _refuse_terminal(name: str, chunk: bytes) -> None:
    """Refuse to write bytes that are no text where somebody looks on."""
    if sys.stdout.isatty() and (b"\0" in chunk or not _is_text(chunk)):
        raise UsageError(
            f"'{name}' is bytes, which a terminal cannot show", hint=f"vgr cat {name} > FILE"
        )


def _is_text(chunk: bytes) -> bool:
    """Whether a chunk is UTF-8, whose last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(chunk)
    except UnicodeDecodeError:
        return False
    return True


def _content(kind: Kind, data: bytes) -> dict[str, Any]:
    """The fields of an object: ids and uids in hex, references by what they name."""
    if kind is Kind.DICTIONARY:
        return {"bytes": len(data)}
    value = decode(data)
    if kind is Kind.NODE:
        keys = [key.decode("utf-8", "backslashreplace") for key in value["k"]]
        counts = value.get("c", [1] * len(keys))
        cells = zip(keys, counts, value["v"], strict=True)
        entries = [{"key": key, "rows": n, "value": _plain(cell)} for key, n, cell in cells]
        return {"level": value["l"], "entries": entries}
    plain = _plain(value)
    return plain if isinstance(plain, dict) else {"value": plain}


def _plain(value: Any) -> Any:
    """Any stored value as JSON."""
    match value:
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Ext(code=code, data=data):
            return {"blob" if code == BLOB_EXT else "object": bytes(data).hex()}
        case bytes():
            return value.hex()
    return value
