"""A zstd dictionary for tiny images: their headers are most of their bytes, and all alike."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard

from voyager.store.ids import Kind, blob_id
from voyager.store.objectstore import DICTIONARY, Store
from voyager.store.transaction import Transaction
from voyager.wire import object_ref

_DICTIONARY_BYTES = 4096
_TRAIN_FROM = 1000
_TRAIN_ON = 500
_REUSE_FROM = 16
_WORTH = 0.85
"""A dictionary is used when it brings small files below this share of their size."""


def choose_dictionary(store: Store, txn: Transaction, paths: Sequence[str]) -> bytes | None:
    """The dictionary that pays for these small files: the repository's, or a new one, or none."""
    if len(paths) < _REUSE_FROM:
        return None
    known = store.value(DICTIONARY)
    if known is not None:
        dictionary = store.get(bytes(known.data), Kind.DICTIONARY)
        if _saves(dictionary, _read_some(paths, 32)):
            return dictionary
    if len(paths) < _TRAIN_FROM:
        return None
    trained = _train(_read_some(paths, _TRAIN_ON))
    if trained is None or not _saves(trained, _read_some(paths[1:], 64)):
        return None
    txn.move(DICTIONARY, object_ref(txn.put(Kind.DICTIONARY, trained)), old=known)
    return trained


def _read_some(paths: Sequence[str], most: int) -> list[bytes]:
    """Files spread evenly over the list; what cannot be read is left out."""
    step = max(len(paths) // most, 1)
    found = []
    for path in paths[::step][:most]:
        try:
            with open(path, "rb") as source:
                found.append(source.read())
        except OSError:
            continue
    return found


def _train(samples: list[bytes]) -> bytes | None:
    # The id is made of the samples, so that the same files give the same dictionary.
    number = int.from_bytes(blob_id(b"".join(samples))[:4], "little")
    dict_id = 32768 + number % ((1 << 31) - 32768)
    try:
        trained = zstandard.train_dictionary(_DICTIONARY_BYTES, [*samples], dict_id=dict_id)
    except zstandard.ZstdError:
        return None  # too few or too different samples
    return trained.as_bytes()


def _saves(dictionary: bytes, samples: list[bytes]) -> bool:
    compressor = zstandard.ZstdCompressor(
        level=3, dict_data=zstandard.ZstdCompressionDict(dictionary)
    )
    packed = sum(len(compressor.compress(sample)) for sample in samples)
    return packed < _WORTH * sum(map(len, samples))
