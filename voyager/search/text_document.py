"""What of a row is searched by text: its key, captions, meta and attributes; and its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.schema.partial import partial_decoder
from voyager.search.words import PART_END, fold, without_ends

_LABEL = ("node", "state", "value")
_NEEDED: Final = frozenset(
    {"meta", "regions.attrs", "regions.state"}
    | {f"{where}labels.{field}" for where in ("", "regions.") for field in _LABEL}
)
REJECTED: Final = "rejected"


class Document(NamedTuple):
    """A row as text search sees it; rows of other versions that are equal are the same document."""

    key: str
    identity: tuple[int, int]
    text: str
    nodes: set[bytes]


class Said(NamedTuple):
    """One text of a row and the place it stands at: `meta.photographer`, a task, `attrs.colour`."""

    where: str
    text: str


def identities(rows: Iterable[tuple[bytes, bytes]]) -> NDArray[np.uint64]:
    """Two hashes of each (key, row): of the key alone, and of the row."""
    data = b"".join(blake3(part).digest(8) for pair in rows for part in pair)
    return np.frombuffer(data, "<u8").reshape(-1, 2)


def key_hashes(keys: Iterable[str]) -> NDArray[np.uint64]:
    """The first hash of these keys, in order."""
    data = b"".join(blake3(key.encode()).digest(8) for key in keys)
    return np.sort(np.frombuffer(data, "<u8"))


def read_document(key: bytes, row: bytes, identity: tuple[int, int]) -> Document:
    """The document of a row."""
    sample = _decoder()(row)
    name = key.decode()
    parts = [name]
    nodes: set[bytes] = set()
    _take(sample.labels, parts, nodes)
    if sample.meta:
        parts += (said.text for said in meta_texts(sample.meta))
    for region in sample.regions:
        if region.state != REJECTED:
            _take(region.labels, parts, nodes)
            if region.attrs:
                parts += (said.text for said in meta_texts(region.attrs))
    text = PART_END.join(map(without_ends, parts))
    return Document(name, identity, fold(text), nodes)


def _take(labels: Iterable[Any], parts: list[str], nodes: set[bytes]) -> None:
    for label in labels:
        if label.state == REJECTED:
            continue
        if label.node is not None:
            nodes.add(label.node)
        elif isinstance(label.value, str):
            parts.append(label.value)


def meta_texts(values: Mapping[str, Any], prefix: str = "") -> Iterator[Said]:
    """The texts among named values, those of lists one by one; of a truth, its name."""
    for name, value in values.items():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str):
                yield Said(prefix + name, one)
            elif one is True:
                yield Said(prefix + name, name)


@cache
def _decoder() -> Callable[[bytes], Any]:
    return partial_decoder(_NEEDED)
