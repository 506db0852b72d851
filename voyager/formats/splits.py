"""Words for the parts of a dataset: what sources write, and train, val and test."""

from __future__ import annotations

from typing import Final

_SPELLINGS: Final = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}

STANDARD: Final = ("train", "val", "test")
"""The parts that most sources know, in their usual order."""


def standard_split(word: str) -> str | None:
    """train, val or test for a spelling of it, None for any other word."""
    return _SPELLINGS.get(word.strip().lower())


def is_split(word: str) -> bool:
    """Whether a word is a spelling of train, val or test."""
    return standard_split(word) is not None


def split_of(word: str | None) -> str | None:
    """The split that a source calls so: train, val or test for a spelling of them, else the word.

    None where the source says nothing.
    """
    word = (word or "").strip()
    return standard_split(word) or word or None


def split_of_path(path: str) -> str | None:
    """The split that a folder of a relative path names, the outermost first."""
    for word in path.split("/")[:-1]:
        found = standard_split(word)
        if found is not None:
            return found
    return None
