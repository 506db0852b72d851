"""Embeddings by a transformers model in a folder: ViT, DINOv2, CLIP, SigLIP.

Everything is read from the folder: its `config.json`, its safetensors, its preprocessing and, for
models that know words, its tokenizer. Nothing is downloaded, and no code of the folder is run.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from blake3 import blake3
from PIL.Image import Resampling

from voyager.derived.descriptor import Floats
from voyager.derived.picture import Picture
from voyager.derived.transformer_preprocessing import (
    Pixels,
    Preprocessing,
    Usual,
    read_json,
    read_preprocessing,
)
from voyager.errors import InvalidDataError, MissingExtraError, UsageError

if TYPE_CHECKING:
    import torch

_PURPOSE: Final = b"voyager transformers model 1\0"
_INSTALL: Final = "pip install 'voyager-vgr[embeddings]'"
_AT_ONCE: Final = 64
"""Images or texts that go through the model together."""

_HALF: Final = (0.5, 0.5, 0.5)
_OPENAI: Final = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))

# What the processors of the library take where a file says nothing.
_SQUARE: Final = {"height": 224, "width": 224}
_VIT: Final = Usual(_SQUARE, None, Resampling.BILINEAR, _HALF, _HALF)
_SIGLIP: Final = Usual(_SQUARE, None, Resampling.BICUBIC, _HALF, _HALF)
_CLIP: Final = Usual({"shortest_edge": 224}, 224, Resampling.BICUBIC, *_OPENAI)


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one architecture is loaded: its class and options, and whether it has a text tower.

    `padding` is how it was taught that its texts are made equally long.
    """

    model: str
    usual: Usual
    options: Mapping[str, object]
    padding: bool | str = False


KINDS: Final[Mapping[str, _Kind]] = {
    "vit": _Kind("ViTModel", _VIT, {"add_pooling_layer": False}),
    "dinov2": _Kind("Dinov2Model", _CLIP, {}),
    "dinov2_with_registers": _Kind("Dinov2WithRegistersModel", _CLIP, {}),
    "clip": _Kind("CLIPModel", _CLIP, {}, padding=True),
    "siglip": _Kind("SiglipModel", _SIGLIP, {}, padding="max_length"),
}
"""By `model_type` of a `config.json`."""

_NOT_THE_MODEL: Final = (
    *("_name_or_path", "architectures", "dtype", "id2label", "label2id", "problem_type"),
    *("torch_dtype", "transformers_version"),
)
"""Fields of a `config.json` on which no vector depends."""

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
    config = _read_config(folder)
    kind = _kind_of(config, folder)
    preprocessing = read_preprocessing(folder, kind.usual)
    weights = _weights(folder)
    _needs_transformers()
    model = _load(folder, kind)
    return TransformerEmbedder(
        folder, kind, preprocessing, _hash(config, preprocessing, weights), model, device
    )


class TransformerEmbedder:
    """A model in memory. One batch at a time goes through it, with all threads of torch."""

    def __init__(
        self,
        folder: Path,
        kind: _Kind,
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


# --- the folder ---


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise InvalidDataError("not a transformers model: no config.json in it", path=folder)
    return read_json(path)


def _kind_of(config: Mapping[str, Any], folder: Path) -> _Kind:
    kind = KINDS.get(str(config.get("model_type")))
    if kind is None:
        raise UsageError(
            f"a model of type {config.get('model_type')!r} makes no embeddings here;"
            f" there are {', '.join(KINDS)}",
            path=folder / "config.json",
        )
    return kind


def _weights(folder: Path) -> list[Path]:
    """The files with weights, in the order of their names."""
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    if not index.is_file():
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        also = "; weights in pickles are not read, as they may run code" if pickled else ""
        raise InvalidDataError(f"no model.safetensors in it{also}", path=folder)
    parts = read_json(index).get("weight_map")
    if not isinstance(parts, dict):
        raise InvalidDataError("no weight_map in it", path=index)
    paths = [folder / Path(str(name)).name for name in sorted({*parts.values()})]
    for path in paths:
        if not path.is_file():
            raise InvalidDataError(f"{path.name} is named there and missing", path=index)
    return paths


def _hash(config: Mapping[str, Any], how: Preprocessing, weights: Sequence[Path]) -> bytes:
    """32 bytes of all that the vectors of a model depend on."""
    known = {name: value for name, value in config.items() if name not in _NOT_THE_MODEL}
    told = json.dumps([known, repr(how)], sort_keys=True).encode()
    whole = blake3(_PURPOSE + blake3(told).digest())
    for path in weights:
        content = blake3(max_threads=blake3.AUTO)
        content.update_mmap(path)
        whole.update(content.digest())
    return whole.digest()


# --- torch and transformers ---


def _needs_transformers() -> None:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"models in folders need {error.name}, which is not installed", hint=_INSTALL
        ) from None


def _load(folder: Path, kind: _Kind) -> Any:
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


def _text_tower(embedder: TransformerEmbedder, kind: _Kind) -> _TextTower | None:
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
