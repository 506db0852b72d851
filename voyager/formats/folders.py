"""Folder per class: root[/split]/class/…/image, as ImageNet and most classifiers have it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any, Final

from voyager.formats.base import (
    Detection,
    Format,
    Holds,
    Item,
    Source,
    decode_text,
    is_image_name,
    new_item_sample,
)
from voyager.formats.folder_files import iter_files, read_file
from voyager.formats.reading import Reading
from voyager.formats.splits import standard_split
from voyager.formats.writing import Writing
from voyager.schema import Label, Sample
from voyager.schema.taxonomy import NodeId, join_path, split_path

CLASS_LISTS: Final = ("classes.txt", "class_names.txt", "labels.txt", "names.txt", "synsets.txt")
"""Files that name the classes in their order, one a line."""

UNLABELED: Final = "unlabeled"
"""The folder of images of a split that have no class."""

_SPEAKS_OF_LABELS = (".json", ".xml", ".yaml", ".yml", ".jsonl", ".txt", ".parquet", ".mat", ".npy")
_TABLES = (".csv", ".tsv")
_PAPERS = re.compile(r"(readme|licen[cs]e|copying|notice|origin|changelog|.*\.(md|rst)$)", re.I)
_NO_CLASS = re.compile(
    r"images?|imgs?|jpe?gs?|jpegimages|pngs?|frames?|photos?|leftimg8bit|data(set)?"
    r"|labels?|.*annot(ation)?s?|.*masks?|segmentation(class|object)?|gt.*|ground_?truth|depth",
    re.I,
)

HOLDS = Holds(image_labels="one", region_labels="none", pending=False)


def detect(source: Source) -> Detection | None:
    """A folder of images in folders, without any file that speaks of labels."""
    if not source.is_folder or not source.images:
        return None
    others = [name for name in source.files if not is_image_name(name)]
    others = [name for name in others if not (_is_class_list(name) or _is_paper(name))]
    if any(name.lower().endswith(_SPEAKS_OF_LABELS) for name in others):
        return None
    layout = _Layout(source.images)
    found = [folders for folders in map(layout.class_folders, source.images) if folders]
    if not found or any(_NO_CLASS.fullmatch(name) for folders in found for name in folders):
        return None
    classes = {folders[0] for folders in found}
    why = f"images lie in {len(classes)} folders of classes"
    tables = any(name.lower().endswith(_TABLES) for name in others)
    return Detection(0.5 if tables or len(classes) == 1 else 0.75, why)


def _is_class_list(name: str) -> bool:
    return name.lower() in CLASS_LISTS


def _is_paper(name: str) -> bool:
    return _PAPERS.match(os.path.basename(name)) is not None


class _Layout:
    """Which folders of the paths of images are splits and which are classes.

    A folder at the top called train, val, … is a split where some such folder has folders of its
    own, or where there are no others.
    """

    def __init__(self, names: list[str]) -> None:
        tops = {name.split("/")[0] for name in names if "/" in name}
        nested = {name.split("/")[0] for name in names if name.count("/") > 1}
        splits = {top for top in tops if standard_split(top)}
        self.has_splits = splits == tops or bool(splits & nested)

    def split(self, name: str) -> str | None:
        """The split of an image by its path."""
        return standard_split(_top(name)) if self.has_splits and "/" in name else None

    def class_folders(self, name: str) -> list[str]:
        """The folders of an image below its split: its class, and what lies in it."""
        folders = name.split("/")[:-1]
        folders = folders[1:] if self.split(name) else folders
        return [] if folders[:1] == [UNLABELED] else folders


def _top(name: str) -> str:
    return name.partition("/")[0]


# -- reading -------------------------------------------------------------------------------------


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """An item for each image, with the class of its folder."""
    nested = reading.choice("nested", ("first", "last", "path"), "first")
    files = list(iter_files(source.root)) if source.is_folder else [source.path.name]
    names = [name for name in files if is_image_name(name)]
    reading.define(scope="image")
    layout = _Layout(names)
    found = {folder for name in names for folder in layout.class_folders(name)}
    if source.is_folder:
        _read_class_list(source, reading, files, found, nested)
    known: dict[tuple[str, ...], NodeId] = {}
    for done, name in enumerate(names):
        folders = tuple(map(_decoded, layout.class_folders(name)))
        if folders and folders not in known:
            known[folders] = _class_of(folders, nested, reading)
        if len(folders) > 1 and nested != "path":
            kind = f"folders in folders: the {nested} one is the class (--set nested=path)"
            reading.report.add("guessed", kind, name)
        labels = (reading.label(known[folders]),) if folders else ()
        sample = new_item_sample(labels=labels, split=layout.split(name))
        yield Item(name, sample, source.root / name, name)
        reading.progress(done + 1, len(names))


def _class_of(folders: tuple[str, ...], nested: str, reading: Reading, **fields: Any) -> NodeId:
    if nested != "path":
        return reading.category(folders[0 if nested == "first" else -1], **fields)
    taxonomy = reading.draft.define(reading.task).taxonomy or reading.task
    known = reading.draft.taxonomies[taxonomy].find(join_path(folders))
    return known or reading.draft.mint(taxonomy, list(folders), **fields)


def _read_class_list(
    source: Source, reading: Reading, files: list[str], folders: set[str], nested: str
) -> None:
    """Make the classes of a list of classes first, in its order; say what else is not read."""
    for name in files:
        if is_image_name(name) or _is_paper(name):
            continue
        if not _is_class_list(name):
            reading.report.add("lost", "a file that is no image is not read", name)
            continue
        text = decode_text(read_file(source.root, name), name, reading.report)
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        known = {word for found in folders for word in (found, _decoded(found))}
        classes = [_listed(line, known) for line in lines]
        if folders and not any(is_folder for _, _, is_folder in classes):
            reading.report.add("lost", "a list of classes names none of the folders", name)
            continue
        for word, description, _ in classes:
            _class_of(
                tuple(map(_decoded, word.split("/"))) if nested == "path" else (_decoded(word),),
                nested,
                reading,
                extra={"description": description} if description else {},
            )


def _listed(line: str, folders: set[str]) -> tuple[str, str, bool]:
    """(class, description, is a folder) of a line: `name`, `number name` or `folder words`."""
    first, _, rest = line.partition(" ")
    rest = rest.strip()
    if line in folders or _decoded(line) in folders:
        return line, "", True
    if first in folders:
        return first, rest, True
    if first.isdecimal() and rest in folders:
        return rest, "", True
    return line, "", "/" in line and _top(line) in folders


# -- writing -------------------------------------------------------------------------------------


def write(writing: Writing) -> None:
    """Copy each image to split/class/name; the list of classes says their order."""
    multi = writing.choice("multi", ("first", "copy"), "first")
    nested = writing.choice("nested", ("first", "path"), "first")
    skips = writing.choice("unlabeled", ("folder", "skip"), "folder") == "skip"
    with writing.open("classes.txt") as file:
        for node, _ in writing.classes:
            names = _class_names(node, nested, writing)
            file.write("/".join(_encoded(name, top=False) for name in names) + "\n")
    taken: set[str] = set()
    for key, sample in writing.samples():
        labels = writing.categories(sample.labels)
        if multi == "first":
            labels = labels[:1]
        if skips and not labels:
            writing.report.add("lost", "an image without labels", key)
            writing.watch.lose(samples=1)
            continue
        for label in labels or (None,):
            folders = _folders(key, sample, label, nested, writing)
            name = _free_name(key, folders, taken)
            if writing.image(key, sample, name):
                writing.named(name, key)


def _folders(
    key: str, sample: Sample, label: Label | None, nested: str, writing: Writing
) -> list[str]:
    """The folders that an image goes to: its split, and the class or classes above each other."""
    found: list[str] = []
    if sample.split is not None:
        if standard_split(sample.split) == sample.split:
            found.append(sample.split)
        else:
            writing.report.add("lost", "a split that is not train, val or test", key)
    if label is None:
        return [*found, UNLABELED] if found else []
    names = _class_names(writing.live(label.node) or b"", nested, writing)
    return found + [_encoded(name, top=not n) for n, name in enumerate(names)]


def _class_names(node: NodeId, nested: str, writing: Writing) -> list[str]:
    """What a class is called: its one name, or those from the root down."""
    path = writing.vocabulary.resolve(writing.task, node)
    if nested == "path" and path is not None:
        return split_path(path)
    return [writing.classes[writing.class_index[node]][1]]


def _free_name(key: str, folders: list[str], taken: set[str]) -> str:
    """A name in these folders, made of the key without those that say the same, that is free."""
    parts = key.split("/")
    for folder in folders:
        if len(parts) > 1 and folder in (parts[0], standard_split(parts[0])):
            parts = parts[1:]
    for rest in ("-".join(parts), key.replace("/", "-")):
        name = "/".join([*folders, rest])
        if name.lower() not in taken:
            break
    stem, suffix = os.path.splitext(name)
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}_{number}{suffix}"
    taken.add(name.lower())
    return name


_ESCAPE = re.compile(r"[/\\\x00-\x1f\x7f]|^[. ]|[. ]$|%(?=[0-7][0-9A-F])")
_ESCAPED = re.compile(r"%([0-7][0-9A-F])")


def _encoded(name: str, *, top: bool) -> str:
    """A class name as that of a folder; `top` where it could be taken for a split."""
    if top and (standard_split(name) or name == UNLABELED):
        return _percent(name[0]) + name[1:]
    return _ESCAPE.sub(lambda found: _percent(found[0]), name)


def _percent(letter: str) -> str:
    return f"%{ord(letter):02X}"


def _decoded(folder: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), folder)


FORMAT: Final = Format(
    name="folders",
    title="folder per class",
    detect=detect,
    read=read,
    write=write,
    holds=HOLDS,
    settings={
        "nested": "of folders in folders, the class: first (default), last, or path for a tree",
        "multi": "an image of several classes goes to its first (default), or copy: to each",
        "unlabeled": "images without a class go to a folder of that name (default), or skip",
    },
)
