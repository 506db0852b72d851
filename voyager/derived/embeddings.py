"""Embeddings: images as unit vectors, by the built-in descriptor or by a model in a folder.

Vectors of two models have nothing in common, so a model is named by a hash of all that its vectors
depend on, and vectors of different models are never compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from voyager.derived import descriptor
from voyager.derived.cache import Values
from voyager.derived.descriptor import Floats
from voyager.derived.picture import Picture
from voyager.derived.registry import Cost, Method
from voyager.derived.square import Square, square_of
from voyager.errors import InvalidDataError, NotFoundError, UsageError

DEFAULT: Final = "default"
"""The name of the built-in descriptor."""

_METHOD: Final = "embedding-"
_VERSION: Final = 1
_SHORT: Final = 16


class TextTower(Protocol):
    """The half of a model that puts text where images of it are."""

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors (n, dims), to be compared with those of images."""
        ...


class Embedder(Protocol):
    """A model that makes vectors of images.

    `model_id` is 32 bytes that change with the weights and with the preprocessing; `name` is for
    people; `text` is None where the model knows images alone. `prepare` runs in many threads,
    `embed` gives unit vectors (n, dims).
    """

    @property
    def model_id(self) -> bytes: ...

    @property
    def name(self) -> str: ...

    @property
    def dims(self) -> int: ...

    @property
    def text(self) -> TextTower | None: ...

    def prepare(self, picture: Picture, /) -> Any:
        """The pixels of one image as the model wants them; NoPicture where there are none."""
        ...

    def embed(self, prepared: Sequence[Any], /) -> Floats:
        """The vectors of prepared images."""
        ...


@dataclass(frozen=True, slots=True)
class DescriptorEmbedder:
    """The built-in descriptor, which needs no model."""

    model_id: bytes = blake3(descriptor.VERSION).digest()
    name: str = DEFAULT
    dims: int = descriptor.DIMS
    text: TextTower | None = None

    prepare = staticmethod(square_of)

    def embed(self, prepared: Sequence[Square], /) -> Floats:
        """The descriptors of squares."""
        return descriptor.describe(prepared)


def default_embedder() -> Embedder:
    """The embedder that needs no model and no download."""
    return DescriptorEmbedder()


def open_embedder(name: str, *, device: str | None = None) -> Embedder:
    """`default`, the transformers model in a folder, or the checkpoint of a network in a file.

    `device` is cpu, cuda or mps; the fastest one there where it is None. Raises NotFoundError,
    InvalidDataError or UsageError for what is no model that can be used, and MissingExtraError
    where torch or transformers lack.
    """
    if name == DEFAULT:
        return default_embedder()
    folder = Path(name)
    if folder.is_file():
        from voyager.derived.checkpoint_embedder import open_checkpoint

        return open_checkpoint(folder, device=device)
    if not folder.is_dir():
        raise NotFoundError(
            f"no model {name!r}: neither {DEFAULT!r}, nor a folder with a transformers model,"
            " nor a checkpoint",
            path=folder,
        )
    from voyager.derived.transformer_embedder import open_folder

    return open_folder(folder, device=device)


def may_know_words(name: str) -> bool:
    """Whether a model as `open_embedder` names it may have a text tower; it is not opened.

    True for what is no model: to open it tells why.
    """
    if name == DEFAULT or Path(name).is_file():
        return False
    from voyager.derived.transformer_folder import kind_of, read_config

    try:
        return bool(kind_of(read_config(Path(name)), Path(name)).padding)
    except (InvalidDataError, UsageError):
        return True


@dataclass(frozen=True)
class _Finish:
    """From prepared images to values; can be pickled where the embedder can."""

    embedder: Embedder

    def __call__(self, prepared: Sequence[Any]) -> list[bytes | None]:
        rows = self.embedder.embed(prepared)
        return [_half_precision(row) for row in rows]


def _half_precision(row: Floats) -> bytes | None:
    return row.astype("<f2").tobytes() if np.isfinite(row).all() else None


def embedding(embedder: Embedder) -> Method:
    """The derived value of this embedder: float16, little-endian, `2 * dims` bytes."""
    name = _METHOD + embedder.model_id.hex()[:_SHORT]
    cost: Cost = "decode" if isinstance(embedder, DescriptorEmbedder) else "model"
    size = 2 * embedder.dims
    return Method(name, _VERSION, cost, embedder.prepare, _Finish(embedder), size)


def vectors(values: Values) -> Floats:
    """Values of `embedding` as unit vectors (n, dims), in the order of their ids."""
    if not values.method.name.startswith(_METHOD):
        raise UsageError(f"values of {values.method} are no embeddings")
    halves = np.ascontiguousarray(values.matrix).view("<f2")
    return unit(halves.astype(np.float32))


def unit(rows: NDArray[np.float32]) -> Floats:
    """Rows at length 1; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Floats = (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def likenesses(queries: Values, known: Values) -> Floats:
    """The cosine of each query with each known image (q, n); UsageError for two models."""
    refuse_mixing(_model_of(queries), _model_of(known))
    return vectors(queries) @ vectors(known).T


def refuse_mixing(one: str | bytes, other: str | bytes) -> None:
    """Raise a UsageError unless both are the same model, by id or by the hex of its beginning."""
    names = [(name.hex() if isinstance(name, bytes) else name)[:_SHORT] for name in (one, other)]
    if names[0] != names[1]:
        raise UsageError(
            f"vectors of model {names[0]} cannot be compared with vectors of model {names[1]}",
            hint="embed both with the same model",
        )


def _model_of(values: Values) -> str:
    return values.method.name.removeprefix(_METHOD)
