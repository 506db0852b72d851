"""A hundred photographs of clothes (CC0), for the demo, the tests and the benchmarks."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["BOXES", "CLOTHING", "copy_photos", "photo_paths"]

CLOTHING = Path(__file__).parent / "clothing"
"""The folder of the set: `train` and `test`, a folder per class in each, and a few text files."""

BOXES = Path(__file__).parent / "boxes.json"
"""Boxes around the clothes of the test photographs, drawn by hand for Voyager, as COCO (CC0)."""


def photo_paths() -> list[Path]:
    """Every photograph of the set, in the order of keys."""
    return sorted(CLOTHING.glob("*/*/*.jpg"), key=lambda path: path.as_posix())


def copy_photos(to: Path) -> list[Path]:
    """Copy the whole set, text files too, into a folder; give the files made, in order.

    Makes the folder where it is missing and overwrites what has the same name.
    """
    made = []
    for source in sorted(path for path in CLOTHING.rglob("*") if path.is_file()):
        target = to / source.relative_to(CLOTHING)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        made.append(target)
    return made
