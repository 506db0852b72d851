"""Words for the parts of a dataset: what sources write, and train, val and test."""

from __future__ import annotations

from typing import Final

from voyager.repo.folder_names import split_of as split_of_path
from voyager.repo.folder_names import standard_split

__all__ = ["STANDARD", "is_split", "split_of", "split_of_path", "standard_split"]

STANDARD: Final = ("train", "val", "test")
"""The parts that most sources know, in their usual order."""


def is_split(word: str) -> bool:
    """Whether a word is a spelling of train, val or test."""
    return standard_split(word) is not None


def split_of(word: str | None) -> str | None:
    """The split that a source calls so: train, val or test for a spelling of them, else the word.

    None where the source says nothing.
    """
    word = (word or "").strip()
    return standard_split(word) or word or None
