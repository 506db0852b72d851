"""Embeddings by a network that was trained here: the unit vectors of its checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from blake3 import blake3
from PIL.Image import Resampling

from voyager.derived.descriptor import Floats
from voyager.derived.picture import Picture
from voyager.derived.transformer_preprocessing import Pixels, Preprocessing
from voyager.errors import MissingExtraError

_VERSION: Final = b"checkpoint 1\0"
_AT_ONCE: Final = 64
_MARGIN: Final = 256 / 224
"""A whole image is resized so much larger than what is cut out of its middle, as in evaluation."""


def open_checkpoint(path: Path, *, device: str | None = None) -> CheckpointEmbedder:
    """The embedder of a checkpoint; InvalidDataError where it is none, MissingExtraError without
    torch."""
    for package in ("torch", "safetensors"):
        if find_spec(package) is None:
            raise MissingExtraError(
                f"checkpoints need {package}, which is not installed",
                hint="pip install 'voyager-vgr[train]'",
            )
    return CheckpointEmbedder(path, device)


class CheckpointEmbedder:
    """A network in memory. One batch at a time goes through it, with all threads of torch."""

    text = None

    def __init__(self, path: Path, device: str | None) -> None:
        from voyager.models.checkpoint import load_network, weights_hash

        network, card = load_network(path)
        self.name = f"{card.trunk} {weights_hash(network).hex()[:8]}"
        self.model_id = blake3(
            _VERSION + weights_hash(network) + f"{card.trunk} {card.size}".encode()
        ).digest()
        self.dims = network.embedding_dims
        self.device = device or "cpu"
        self._path, self._asked_device = path, device
        self._network = network.to(self.device)
        self._of_whole = _cut_out(round(card.size * _MARGIN), (card.size, card.size))
        self._of_crop = _cut_out(card.size, None)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return CheckpointEmbedder, (self._path, self._asked_device)

    def prepare(self, picture: Picture, /) -> Pixels:
        """The middle of an image, or all of a crop, as the network is given it."""
        return (self._of_whole if picture.box is None else self._of_crop).pixels(picture)

    def embed(self, prepared: Sequence[Pixels], /) -> Floats:
        """The vectors of prepared images, of length 1."""
        import torch

        parts = [np.zeros((0, self.dims), np.float32)]
        for first in range(0, len(prepared), _AT_ONCE):
            pixels = torch.from_numpy(np.stack(prepared[first : first + _AT_ONCE]))
            with self._lock, torch.inference_mode():
                found = self._network.embed(pixels.to(self.device).permute(0, 3, 1, 2))
            parts.append(found.cpu().numpy())
        return np.concatenate(parts)


def _cut_out(side: int, crop: tuple[int, int] | None) -> Preprocessing:
    """The middle of an image whose shorter side is `side`; without a crop all of it, as a square.

    Colours stay as they are: the network scales them itself.
    """
    return Preprocessing(
        shortest=None if crop is None else side,
        height=side,
        width=side,
        crop=crop,
        resample=Resampling.BILINEAR,
        factor=1 / 255,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
