"""A segment: the words and classes of up to 65,536 documents, in one immutable file.

For each word (and class) the documents that have it, one entry an occurrence, as numbers of two
bytes within the segment; with words also the place in the document, for phrases. One file holds
all of it behind a checksum and is read as a whole, so that it may go while it is in use.

    magic · checksum of the rest · msgpack map of the fields of `_File`
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import msgspec
import numpy as np
import zstandard
from blake3 import blake3
from numpy.typing import NDArray

from voyager.errors import CorruptError
from voyager.search.lexicon import Lexicon, lengths_of
from voyager.search.text_document import Document
from voyager.search.words import DOCUMENT_END, LONGEST, PART_END, cut

MOST_DOCUMENTS: Final = 1 << 16
_MAGIC: Final = b"vgrtext1"
_SUM_BYTES: Final = 16
_LAST_PLACE: Final = 0xFFFF
_KEYS_A_BLOCK: Final = 256
_NODE_BYTES: Final = 16
_TIMES, _SHARE, _USUAL_LENGTH = 1.2, 0.75, 16

Rows16 = NDArray[np.uint16]


class DamagedTextError(CorruptError):
    """A file of the index is not what was written."""


class _File(msgspec.Struct, frozen=True):
    """The arrays of a segment as bytes, little-endian."""

    identities: bytes  # of each document two u64: of its key, of its row
    lengths: bytes  # u16 words of each document
    keys: list[bytes]  # blocks of keys, compressed
    letters: bytes
    letter_ends: bytes
    word_ends: bytes  # u32: where the entries of each word end
    word_documents: bytes  # u16
    word_places: bytes  # u16
    nodes: bytes  # 16 bytes each, in order
    node_ends: bytes
    node_documents: bytes


_decoder = msgspec.msgpack.Decoder(_File)


class Segment:
    """The documents of a segment, by number from 0."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self.identities = np.frombuffer(file.identities, "<u8").reshape(-1, 2)
        self.lengths: Rows16 = np.frombuffer(file.lengths, "<u2")
        self.lexicon = Lexicon(file.letters, np.frombuffer(file.letter_ends, "<u4"))
        self._word_ends = np.frombuffer(file.word_ends, "<u4")
        self._word_documents: Rows16 = np.frombuffer(file.word_documents, "<u2")
        self._word_places: Rows16 = np.frombuffer(file.word_places, "<u2")
        self._node_ends = np.frombuffer(file.node_ends, "<u4")
        self._node_documents: Rows16 = np.frombuffer(file.node_documents, "<u2")

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def data(self) -> bytes:
        """The segment as a file."""
        body = msgspec.msgpack.encode(self._file)
        return _MAGIC + _checksum(body) + body

    @classmethod
    def parse(cls, data: bytes) -> Segment:
        """The segment of a file; DamagedTextError for anything else."""
        body = memoryview(data)[len(_MAGIC) + _SUM_BYTES :]
        if data[: len(_MAGIC) + _SUM_BYTES] != _MAGIC + _checksum(body):
            raise DamagedTextError("a segment differs from its checksum")
        return cls(_decoder.decode(body))

    # -- documents -------------------------------------------------------------------------------

    @cached_property
    def _by_key(self) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        order = np.argsort(self.identities[:, 0], kind="stable")
        return order, self.identities[order, 0]

    def find(self, asked: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The documents of (key, row) pairs of hashes, -1 where there is none."""
        order, keys = self._by_key
        found = np.full(len(asked), -1, np.int64)
        first = np.searchsorted(keys, asked[:, 0])
        left = np.flatnonzero(first < len(keys))
        while len(left):
            documents = order[first[left]]
            there = self.identities[documents] == asked[left]
            same = there.all(axis=1)
            found[left[same]] = documents[same]
            left = left[there[:, 0] & ~same]  # another row of that key: the next may be it
            first[left] += 1
            left = left[first[left] < len(keys)]
        return found

    def with_keys(self, keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which documents have one of these (sorted) hashes of keys."""
        if not len(keys):
            return np.zeros(len(self), np.bool_)
        at = np.minimum(np.searchsorted(keys, self.identities[:, 0]), len(keys) - 1)
        same: NDArray[np.bool_] = keys[at] == self.identities[:, 0]
        return same

    def key(self, document: int) -> str:
        """The key of a document."""
        block, place = divmod(document, _KEYS_A_BLOCK)
        return self._block(block)[place]

    def _block(self, number: int) -> list[str]:
        data = zstandard.ZstdDecompressor().decompress(self._file.keys[number])
        return msgspec.msgpack.decode(data, type=list[str])

    @cached_property
    def damping(self) -> NDArray[np.float32]:
        """What damps how often a word is in each document: BM25's, for a usual length of 16."""
        return (_TIMES * (1 - _SHARE + _SHARE / _USUAL_LENGTH * self.lengths)).astype(np.float32)

    # -- entries ---------------------------------------------------------------------------------

    def documents(self, words: range | Sequence[int]) -> Rows16:
        """An entry for every occurrence of any of these words."""
        return _joined(self._word_documents, self._word_ends, words)

    def occurrences(self, words: range | Sequence[int]) -> NDArray[np.uint32]:
        """Where these words occur, document · 65,536 + place, in order."""
        documents = _joined(self._word_documents, self._word_ends, words).astype(np.uint32)
        places = _joined(self._word_places, self._word_ends, words)
        found = documents << np.uint32(16) | places
        return found if len(words) < 2 else np.sort(found)

    @cached_property
    def nodes(self) -> dict[bytes, int]:
        """The classes by id, with their number."""
        data = self._file.nodes
        starts = range(0, len(data), _NODE_BYTES)
        return {data[at : at + _NODE_BYTES]: number for number, at in enumerate(starts)}

    def documents_of(self, nodes: Sequence[int]) -> Rows16:
        """An entry for every document and class of these."""
        return _joined(self._node_documents, self._node_ends, nodes)

    def parts(self) -> tuple[Any, ...]:
        """What `merged` puts together."""
        keys = [key for number in range(len(self._file.keys)) for key in self._block(number)]
        words = _expanded(self._word_ends), self._word_documents, self._word_places
        return keys, words, (_expanded(self._node_ends), self._node_documents)


def _joined(entries: Rows16, ends: NDArray[np.uint32], numbers: range | Sequence[int]) -> Rows16:
    if isinstance(numbers, range):  # they lie one after the other
        if not numbers:
            return entries[:0]
        return entries[_start(ends, numbers.start) : int(ends[numbers[-1]])]
    parts = [entries[_start(ends, number) : int(ends[number])] for number in numbers]
    return parts[0] if len(parts) == 1 else np.concatenate([entries[:0], *parts])


def _start(ends: NDArray[np.uint32], number: int) -> int:
    return int(ends[number - 1]) if number else 0


def _expanded(ends: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The number of its word for each entry."""
    return np.repeat(np.arange(len(ends)), lengths_of(ends))


class _Numbers(dict[Any, int]):
    """Numbers things by their first appearance."""

    def __missing__(self, thing: Any) -> int:
        self[thing] = number = len(self)
        return number


def build(documents: Sequence[Document]) -> Segment:
    """The segment of documents."""
    numbers = _Numbers({DOCUMENT_END: 0, PART_END: 1})
    text = "".join(document.text + DOCUMENT_END for document in documents)
    words = cut(text)
    found = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    ends = np.flatnonzero(found == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    in_document = np.repeat(np.arange(len(ends)), ends + 1 - starts)
    places = np.minimum(np.arange(len(found)) - starts[in_document], _LAST_PLACE)
    kept = found > 1
    listed = [word[:LONGEST].encode() for word in numbers][2:]
    nodes = _Numbers()
    said = [(nodes[node], at) for at, each in enumerate(documents) for node in each.nodes]
    pairs = np.array(said, np.int64).reshape(-1, 2)
    lengths = np.bincount(in_document[kept], minlength=len(documents))
    return Segment(
        _file(
            identities=np.array([each.identity for each in documents], "<u8").tobytes(),
            lengths=np.minimum(lengths, _LAST_PLACE).astype("<u2").tobytes(),
            keys=[each.key for each in documents],
            words=(listed, found[kept] - 2, in_document[kept], places[kept]),
            nodes=(list(nodes), pairs[:, 0], pairs[:, 1]),
        )
    )


def merged(segments: Sequence[Segment]) -> Segment:
    """One segment with the documents of several, in their order."""
    keys: list[str] = []
    words: list[bytes] = []
    nodes: list[bytes] = []
    of_words, of_nodes = [], []
    for segment in segments:
        more, (number, document, place), (node, holder) = segment.parts()
        of_words.append((number + len(words), document.astype(np.int64) + len(keys), place))
        of_nodes.append((node + len(nodes), holder.astype(np.int64) + len(keys)))
        keys += more
        words += segment.lexicon
        nodes += segment.nodes
    word, document, place = (np.concatenate(each) for each in zip(*of_words, strict=True))
    node, holder = (np.concatenate(each) for each in zip(*of_nodes, strict=True))
    return Segment(
        _file(
            identities=b"".join(segment.identities.tobytes() for segment in segments),
            lengths=b"".join(segment.lengths.tobytes() for segment in segments),
            keys=keys,
            words=(words, word, document, place),
            nodes=(nodes, node, holder),
        )
    )


def _file(
    *,
    identities: bytes,
    lengths: bytes,
    keys: list[str],
    words: tuple[list[bytes], Any, Any, Any],
    nodes: tuple[list[bytes], Any, Any],
) -> _File:
    listed, number, document, place = words
    distinct, number = _ordered(listed, number)
    order = np.argsort(number, kind="stable")
    lexicon = Lexicon.of(distinct)
    node_list, node_number, holder = nodes
    distinct_nodes, node_number = _ordered(node_list, node_number)
    node_order = np.argsort(node_number, kind="stable")
    compress = zstandard.ZstdCompressor(level=3).compress
    blocks = [keys[at : at + _KEYS_A_BLOCK] for at in range(0, len(keys), _KEYS_A_BLOCK)]
    return _File(
        identities=identities,
        lengths=lengths,
        keys=[compress(msgspec.msgpack.encode(block)) for block in blocks],
        letters=lexicon.letters,
        letter_ends=lexicon.ends.astype("<u4").tobytes(),
        word_ends=_ends(number, len(distinct)),
        word_documents=document[order].astype("<u2").tobytes(),
        word_places=place[order].astype("<u2").tobytes(),
        nodes=b"".join(distinct_nodes),
        node_ends=_ends(node_number, len(distinct_nodes)),
        node_documents=holder[node_order].astype("<u2").tobytes(),
    )


def _ordered(things: list[bytes], numbers: Any) -> tuple[list[bytes], Any]:
    """Distinct things in order, and the numbers that they have then."""
    distinct = sorted(set(things))
    place = {thing: at for at, thing in enumerate(distinct)}
    new = np.fromiter((place[thing] for thing in things), np.int64, len(things))
    return distinct, new[numbers] if len(things) else numbers


def _ends(numbers: Any, count: int) -> bytes:
    return np.cumsum(np.bincount(numbers, minlength=count)).astype("<u4").tobytes()


def _checksum(data: bytes | memoryview) -> bytes:
    return blake3(data).digest(_SUM_BYTES)


def name_of(data: bytes) -> str:
    """The name of a segment's file: what is in it."""
    return blake3(data).hexdigest(_SUM_BYTES)


def spans(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Where the documents of each segment begin and end among those of all."""
    ends = [0]
    for segment in segments:
        ends.append(ends[-1] + len(segment))
    return list(pairwise(ends))
