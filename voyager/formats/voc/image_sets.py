"""The lists in ImageSets: which images are in which part, and which classes are in an image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from voyager.formats.splits import STANDARD, split_of

MAIN: Final = "Main"
_UNSPLIT: Final = ("default", "all")
_FLAGS: Final = ("-1", "0", "1")
NO_CLASSES: Final = ("background", "ignored", "void")
"""Names of numbers that mean no class in images of classes."""


@dataclass(slots=True)
class ImageSets:
    """What the lists of one dataset say, by stem."""

    splits: dict[str, str] = field(default_factory=dict)
    """Stem → train, val, test, trainval or another word, of the lists in Main."""
    others: dict[str, list[str]] = field(default_factory=dict)
    """Stem → the other lists it is in, as `Layout/train`, and what such a list adds."""
    present: dict[str, list[str]] = field(default_factory=dict)
    """Stem → classes that lists of classes find in the image."""
    absent: dict[str, list[str]] = field(default_factory=dict)
    """Stem → classes that they do not find."""
    unsure: dict[str, list[str]] = field(default_factory=dict)
    """Stem → classes of which there are only difficult objects."""

    def stems(self) -> set[str]:
        """All images that are listed."""
        return {*self.splits, *self.others, *self.present, *self.absent, *self.unsure}

    def split(self, stem: str) -> str | None:
        """The part that an image is in; by the lists of other tasks where Main has none."""
        found = self.splits.get(stem)
        if found is None:
            words = [
                other.partition(" ")[0].partition("/")[2] for other in self.others.get(stem, ())
            ]
            found = next((word for word in words if word in STANDARD), next(iter(words), None))
        return None if found in _UNSPLIT else found


def read_image_sets(lists: Iterator[tuple[str, str]], is_stem: Callable[[str], bool]) -> ImageSets:
    """The lists (name below ImageSets, text) of a dataset; `is_stem` knows its images."""
    sets = ImageSets()
    ordered = sorted(lists, key=lambda item: _rank(item[0]))
    plain = {name.rpartition("/")[2] for name, _ in ordered}
    for name, text in ordered:
        folder, _, file = name.rpartition("/")
        class_name = _class_of(file, plain) if folder in (MAIN, "") else ""
        for line in text.splitlines():
            stem, rest = _parse(line, is_stem)
            if stem and class_name:
                _add_class(sets, stem, rest, class_name)
            elif stem:
                _add_split(sets, stem, folder, file, rest)
    for stem in [stem for stem, found in sets.others.items() if not found]:
        del sets.others[stem]
    return sets


def _rank(name: str) -> tuple[bool, bool, int, str]:
    """Lists of Main come first, train, val and test before trainval and others."""
    folder, _, file = name.rpartition("/")
    word = split_of(file)
    place = STANDARD.index(word) if word in STANDARD else len(STANDARD)
    return folder not in (MAIN, ""), folder != "", place, name


def _class_of(file: str, plain: set[str]) -> str:
    """The class of a list `<class>_<part>`, empty for a list of a part."""
    name, _, part = file.rpartition("_")
    known = part in plain or split_of(part) in (*STANDARD, "trainval", *_UNSPLIT)
    return name if known else ""


def _parse(line: str, is_stem: Callable[[str], bool]) -> tuple[str, str]:
    """(stem, rest) of a line; empty for an empty line and a comment."""
    for text in (line, line.strip()):
        if text and is_stem(text):
            return text, ""
    text = line.strip()
    stem, _, rest = text.partition(" ")
    head, _, last = text.rpartition(" ")
    if head and last in _FLAGS and is_stem(head.rstrip()):
        return head.rstrip(), last
    if is_stem(stem):
        return stem, rest.strip()
    if not text or text.startswith("#"):
        return "", ""
    if head and last in _FLAGS:
        return head.rstrip(), last
    return text, ""


def _add_class(sets: ImageSets, stem: str, flag: str, name: str) -> None:
    if name in NO_CLASSES:
        return
    found = {"1": sets.present, "-1": sets.absent, "0": sets.unsure}.get(flag)
    if found is not None:
        found.setdefault(stem, []).append(name)


def _add_split(sets: ImageSets, stem: str, folder: str, file: str, rest: str) -> None:
    part = split_of(file) or file
    if folder not in (MAIN, ""):
        said = f"{folder}/{part}" + (f" {rest}" if rest else "")
        known = sets.others.setdefault(stem, [])
        joined = part == "trainval" and any(other.startswith(folder + "/") for other in known)
        if not joined and said not in known:
            known.append(said)
        return
    first = sets.splits.setdefault(stem, part)
    joined = part in ("trainval", *_UNSPLIT) and first in ("train", "val", part)
    if first != part and not joined:
        sets.others.setdefault(stem, []).append(f"{folder or MAIN}/{part}")
