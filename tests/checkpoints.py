"""Tiny transformers checkpoints with random weights, written as the library writes real ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
    ViTConfig,
    ViTForImageClassification,
)
from transformers.utils import logging

logging.disable_progress_bar()
TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
VISION = {**TINY, "image_size": 32, "patch_size": 8}
WORDS = ("a", "photo", "of", "red", "blue", "dress", "shoes", "hat")
HALF = [0.5, 0.5, 0.5]
SQUARE = {"height": 32, "width": 32}


def write_preprocessor(folder: Path, **fields: object) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(fields))


def write_tokenizer(folder: Path, length: int) -> None:
    """A tokenizer of a few words, `unk` for all others."""
    names = ("<pad>", "<unk>", *WORDS, "<eos>")
    eos_id = len(names) - 1
    special = [
        {"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for i, name in enumerate(names)
        if name.startswith("<")
    ]  # fmt: skip
    eos = {"SpecialToken": {"id": "<eos>", "type_id": 0}}
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"Sequence": {"id": "A", "type_id": 0}}, eos],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, eos],
            "special_tokens": {"<eos>": {"id": "<eos>", "ids": [eos_id], "tokens": ["<eos>"]}},
        },
        "decoder": None,
        "model": {
            "type": "WordLevel",
            "vocab": {name: i for i, name in enumerate(names)},
            "unk_token": "<unk>",
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    told = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "eos_token": "<eos>",
        "model_max_length": length,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))


def write_vit(folder: Path, seed: int = 1) -> Path:
    """A classifier: its head is left aside."""
    torch.manual_seed(seed)
    ViTForImageClassification(ViTConfig(**VISION, num_labels=3)).save_pretrained(folder)
    write_preprocessor(folder, size=SQUARE, image_mean=HALF, image_std=HALF, resample=2)
    return folder


def write_dinov2(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    Dinov2Model(Dinov2Config(**VISION)).save_pretrained(folder)
    write_preprocessor(folder, size={"shortest_edge": 40}, crop_size=SQUARE, resample=3)
    return folder


TEXT = {**TINY, "vocab_size": 3 + len(WORDS), "max_position_embeddings": 12}
TEXT |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2 + len(WORDS)}


def write_clip(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    text, vision = CLIPTextConfig(**TEXT), CLIPVisionConfig(**VISION)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24
    )
    CLIPModel(config).save_pretrained(folder)
    write_preprocessor(folder, size={"shortest_edge": 32}, crop_size=SQUARE)
    write_tokenizer(folder, 12)
    return folder


def write_siglip(folder: Path, seed: int = 1) -> Path:
    torch.manual_seed(seed)
    text, vision = SiglipTextConfig(**TEXT), SiglipVisionConfig(**VISION)
    config = SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict())
    SiglipModel(config).save_pretrained(folder)
    write_preprocessor(folder, size=SQUARE)
    write_tokenizer(folder, 12)
    return folder


CHECKPOINTS: dict[str, Callable[[Path], Path]] = {
    "vit": write_vit,
    "dinov2": write_dinov2,
    "clip": write_clip,
    "siglip": write_siglip,
}
