"""Embeddings by a transformers model in a folder: ViT, DINOv2, CLIP, SigLIP.

Everything is read from the folder: its `config.json`, its safetensors, its preprocessing and, for
models that know words, its tokenizer. Nothing is downloaded, and no code of the folder is run.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voyager.derived.descriptor import Floats
from voyager.derived.picture import Picture
from voyager.derived.transformer_folder import Kind, kind_of, model_hash, read_config, weight_files
from voyager.derived.transformer_preprocessing import Pixels, Preprocessing, read_preprocessing
from voyager.errors import InvalidDataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    import torch

_INSTALL: Final = "pip install 'voyager-vgr[embeddings]'"
_AT_ONCE: Final = 64
"""Images or texts that go through the model together."""

_TOKENIZERS: Final = ("tokenizer.json", "vocab.json", "spiece.model")

_UNREADABLE: Final = (
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What transformers raises for a folder that it cannot make a model of."""


def open_folder(folder: Path, *, device: str | None = None) -> TransformerEmbedder:
    """The embedder of the checkpoint in a folder; errors as `open_embedder` tells."""
    config = read_config(folder)
    kind = kind_of(config, folder)
    preprocessing = read_preprocessing(folder, kind.usual)
    weights = weight_files(folder)
    needs_transformers()
    model = load_model(folder, kind)
    return TransformerEmbedder(
        folder, kind, preprocessing, model_hash(config, preprocessing, weights), model, device
    )


class TransformerEmbedder:
    """A model in memory. One batch at a time goes through it, with all threads of torch."""

    def __init__(
        self,
        folder: Path,
        kind: Kind,
        preprocessing: Preprocessing,
        model_id: bytes,
        model: Any,
        device: str | None,
    ) -> None:
        self.folder = folder
        self.name = folder.resolve().name
        self.model_id = model_id
        self.preprocessing = preprocessing
        self.device = _device(device)
        self._asked_device = device
        self._model = model.to(self.device)
        self._lock = threading.Lock()
        self.dims = self._try_out()
        self.text = _text_tower(self, kind)

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self.folder, self._asked_device)

    def prepare(self, picture: Picture, /) -> Pixels:
        """The pixels that the model is given, as bytes."""
        return self.preprocessing.pixels(picture)

    def embed(self, prepared: Sequence[Pixels], /) -> Floats:
        """The vectors of prepared images, of length 1."""
        parts = [
            self._forward(np.stack(prepared[first : first + _AT_ONCE]))
            for first in range(0, len(prepared), _AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, self.dims), np.float32), *parts])

    def _forward(self, pixels: Pixels) -> Floats:
        import torch

        how = self.preprocessing
        scaled = torch.from_numpy(pixels).to(self.device, torch.float32) * how.factor
        mean, std = (torch.tensor(one, device=self.device) for one in (how.mean, how.std))
        inputs = ((scaled - mean) / std).permute(0, 3, 1, 2)
        with self._lock, torch.inference_mode():
            if hasattr(self._model, "get_image_features"):
                found = _pooled(self._model.get_image_features(pixel_values=inputs))
            else:
                found = self._model(pixel_values=inputs).last_hidden_state[:, 0]
            return unit_rows(found)

    def embed_tokens(self, tokens: torch.Tensor) -> Floats:
        """The vectors of texts given as token ids (n, length)."""
        import torch

        with self._lock, torch.inference_mode():
            return unit_rows(_pooled(self._model.get_text_features(input_ids=tokens)))

    def _try_out(self) -> int:
        """The length of a vector, by a grey image; InvalidDataError where the model takes none."""
        height, width = self.preprocessing.size
        try:
            return int(self._forward(np.full((1, height, width, 3), 128, np.uint8)).shape[1])
        except _UNREADABLE as error:
            raise InvalidDataError(
                f"the model does not take images of {height}x{width}: {_first_line(error)}",
                path=self.folder,
            ) from error


@dataclass(frozen=True)
class _TextTower:
    embedder: TransformerEmbedder
    tokenizer: Any
    padding: bool | str
    longest: int

    def embed_text(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts, cut off where they are longer than the model reads."""
        parts = [
            self._some(list(texts[first : first + _AT_ONCE]))
            for first in range(0, len(texts), _AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, self.embedder.dims), np.float32), *parts])

    def _some(self, texts: list[str]) -> Floats:
        tokens = self.tokenizer(
            texts,
            padding=self.padding,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        return self.embedder.embed_tokens(tokens["input_ids"].to(self.embedder.device))


def _open_again(folder: Path, device: str | None) -> TransformerEmbedder:
    return open_folder(folder, device=device)


def needs_transformers() -> None:
    """Raise MissingExtraError where torch or transformers lack."""
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"models in folders need {error.name}, which is not installed", hint=_INSTALL
        ) from None


def load_model(folder: Path, kind: Kind) -> Any:
    """The model with the folder's weights; InvalidDataError where some lack or do not fit."""
    import safetensors
    import torch
    import transformers

    try:
        with _silent():
            model, told = getattr(transformers, kind.model).from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **kind.options,
            )
    except (*_UNREADABLE, safetensors.SafetensorError) as error:
        raise InvalidDataError(f"unreadable: {_first_line(error)}", path=folder) from error
    if lacking := sorted(told["missing_keys"]):
        raise InvalidDataError(
            f"{len(lacking)} weights are missing, {lacking[0]} among them", path=folder
        )
    return model.eval()


@contextmanager
def _silent() -> Iterator[None]:
    """Nothing of what transformers says while it loads: no bar, no report of unused weights."""
    import transformers

    log: Any = transformers.logging
    level, bar = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bar:
            log.enable_progress_bar()


def _text_tower(embedder: TransformerEmbedder, kind: Kind) -> _TextTower | None:
    """The half for texts; None for a model without one, and for a folder without tokenizer."""
    folder = embedder.folder
    if not kind.padding or not any((folder / name).is_file() for name in _TOKENIZERS):
        return None
    from transformers import AutoTokenizer

    try:
        with _silent():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        longest = embedder._model.config.text_config.max_position_embeddings
        return _TextTower(embedder, tokenizer, kind.padding, longest)
    except ImportError as error:
        raise MissingExtraError(
            f"the tokenizer of {folder} needs another package: {_first_line(error)}",
            hint="pip install sentencepiece",
        ) from error
    except _UNREADABLE as error:
        raise InvalidDataError(
            f"unreadable tokenizer: {_first_line(error)}", path=folder
        ) from error


def _device(asked: str | None) -> str:
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if asked is None:
        return next((name for name, usable in there.items() if usable), "cpu")
    name = asked.partition(":")[0]
    if name != "cpu" and not there.get(name):
        usable = [one for one, found in there.items() if found]
        raise UsageError(f"no device {asked!r} here; there are {', '.join(['cpu', *usable])}")
    return asked


def _pooled(found: Any) -> torch.Tensor:
    """The vectors out of what the versions of transformers wrap them in."""
    vectors: torch.Tensor = getattr(found, "pooler_output", found)
    return vectors


def unit_rows(found: torch.Tensor) -> Floats:
    """Rows at length 1, on the processor."""
    import torch

    rows: Floats = torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy()
    return rows


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
