"""Finding the sample that an item speaks of: its key, its image, and in which frame its labels are.

An item matches the sample that has its image bytes, else that with its declared hash or URL, else
that of its key (design: an image is known by what it is, then by where it was).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from voyager.errors import NotFoundError
from voyager.formats.base import Item
from voyager.formats.batches import LeftToParent
from voyager.formats.find_images import ImageFinder
from voyager.formats.report import Report
from voyager.images import IMAGE_EXTENSIONS, probe
from voyager.repo.add import image_of
from voyager.repo.dataset import Dataset
from voyager.repo.keys import key_problem, shown
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Image
from voyager.store.transaction import Transaction

_BLAKE3 = "blake3:"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an item goes: its key and its image."""

    key: str
    image: Image
    laid_out: bool = True
    """Whether the working tree has the file already (or there is none to have)."""


class Placer:
    """Places items one by one; stores the bytes of images from outside the repository."""

    def __init__(
        self,
        txn: Transaction,
        version: Dataset,
        finder: ImageFinder,
        *,
        root: Path | None,
        to: str,
        report: Report,
        names: Mapping[str, str],
        written_here: bool = False,
        removed: Mapping[str, Image] | None = None,
    ) -> None:
        self._txn = txn
        self._version = version
        self._finder = finder
        self._root = None if root is None else Path(os.path.realpath(root))
        self._to = to.strip("/")
        self._report = report
        self._names = names
        self._written_here = written_here
        self._removed = removed or {}
        self._is_empty = not version.count(SAMPLES)
        self.in_child = False
        """Whether this is a process that may not store bytes."""
        self.matched_elsewhere: list[tuple[str, str]] = []
        self.arrived: dict[str, str] = {}
        """Keys of images found now → those of the samples that waited for them under a name."""

    def place(self, item: Item) -> Placed | None:
        """The place of an item; None (reported) when its name cannot be a key."""
        if self._written_here:  # its names are known
            key = self._names.get(item.name, item.name)
            if key in self._removed:
                return Placed(key, self._removed[key])
            known = self._known(key, item)
            if known is not None:
                return known
        path = item.file
        if path is None and item.data is None and not item.searched:
            path = self._finder.find_file(item.name)
        if path is not None or item.data is not None:
            if self.in_child:
                raise LeftToParent
            placed = self._with_file(item, path)
        else:
            placed = self._without_file(item)
        problem = key_problem(placed.key)
        if problem is not None:
            self._report.add("lost", f"a name that cannot be a key: {problem}", shown(placed.key))
            return None
        return placed

    def _with_file(self, item: Item, path: Path | None) -> Placed:
        inside = None if path is None else self._key_inside(path)
        if inside is not None and self._has_image(inside):
            return self._known(inside, item) or self._pending(inside, item)
        data = item.data if path is None else path.read_bytes()
        assert data is not None
        key = inside or self._key_of(item, path)
        image = self._store(data, key, item)
        here = self._known(key, item, image)
        if here is not None:
            return here if inside is None else replace(here, laid_out=True)
        other = None if image.blob_id is None else self._key_with(image.blob_id, key)
        if other is not None:
            self.matched_elsewhere.append((key, other))
            known = self._known(other, item, image)
            assert known is not None
            return known
        laid_out = inside is not None
        return self._arrived(key, image, item, laid_out) or Placed(key, image, laid_out)

    def _arrived(self, key: str, image: Image, item: Item, laid_out: bool) -> Placed | None:
        """The sample that waits for this image under its name, which moves to the image's key."""
        if self._is_empty:
            return None
        for waiting in (self._key_of(item, None), self._finder.find_key(item.name)):
            old = None if waiting is None else self._finder.known.get(waiting)
            if waiting is None or old is None or waiting in self.arrived.values():
                continue
            size = (old.width, old.height)
            if old.state == "pending" and size in ((None, None), (image.width, image.height)):
                self.arrived[key] = waiting
                return Placed(key, image.replace(uri=image.uri or old.uri), laid_out)
        return None

    def _without_file(self, item: Item) -> Placed:
        image = item.sample.image
        key = None
        if image.blob_id is not None:
            key = self._key_with(image.blob_id, item.name)
        if key is None and not self._is_empty:
            key = self._key_described(image) or self._finder.find_key(item.name)
        known = None if key is None else self._known(key, item)
        return known or self._pending(self._key_of(item, None), item)

    def _known(self, key: str, item: Item, image: Image | None = None) -> Placed | None:
        """The sample at a key, its image attached where it was only promised."""
        old = self._finder.known.get(key)
        if old is None:
            return None
        attached = image is not None and old.state == "pending"
        if image is not None and not attached and image.blob_id != old.blob_id:
            self._report.add("lost", "the repository has another image at this key", shown(key))
        if attached and image is not None:
            return Placed(key, image.replace(uri=image.uri or old.uri), laid_out=False)
        return Placed(key, old)

    def _has_image(self, key: str) -> bool:
        """Whether there is a sample at a key that waits for no image."""
        image = self._finder.known.get(key)
        return image is not None and image.state != "pending"

    def _pending(self, key: str, item: Item) -> Placed:
        image = item.sample.image
        blob = image.blob_id
        if blob is not None and not self._txn.may_name(blob):
            image = image.replace(blob=None, hash=_BLAKE3 + blob.hex())
        if image.state == "pending":
            self._report.add("extra", "an image is not here: its labels wait for it", shown(key))
        return Placed(key, image)

    def _store(self, data: bytes, key: str, item: Item) -> Image:
        """Store bytes; the image of a row for them."""
        try:
            blob = self._txn.put_blob(data)
        except NotFoundError:
            self._report.add("lost", "an image that was purged is not taken again", shown(key))
            return item.sample.image.replace(blob=None, purged=True)
        info = probe(data, key)
        if info is None or info.problem:
            problem = "not an image" if info is None else info.problem
            self._report.add("extra", f"an image is damaged: {problem}", shown(key))
        image = image_of(blob, len(data), info)
        return image.replace(uri=item.sample.image.uri) if item.sample.image.uri else image

    def _key_of(self, item: Item, path: Path | None) -> str:
        name = self._names.get(item.name, item.name)
        if path is not None and os.path.splitext(name)[1].lower() not in IMAGE_EXTENSIONS:
            name += path.suffix
        return f"{self._to}/{name}" if self._to else name

    def _key_inside(self, path: Path) -> str | None:
        """The key of a file of the working tree, None for a file from outside."""
        if self._root is None:
            return None
        real = os.path.realpath(path)
        base = f"{self._root}{os.sep}"
        if not real.startswith(base) or f"{os.sep}.vgr{os.sep}" in real:
            return None
        return real[len(base) :].replace(os.sep, "/")

    # -- what the repository has -----------------------------------------------------------------

    def _key_with(self, blob: bytes, key: str) -> str | None:
        """The key of the sample with these bytes: the one with that name, else the first."""
        if self._is_empty:
            return None
        keys = self._by_blob.get(blob, ())
        name = os.path.basename(key)
        same = next((k for k in keys if os.path.basename(k) == name), keys[0] if keys else None)
        return same or self._by_mark.get(_BLAKE3 + blob.hex())

    def _key_described(self, image: Image) -> str | None:
        """The key of the sample with the declared hash or URL."""
        if self._is_empty:
            return None
        for mark in (image.hash, image.uri):
            if mark is not None and mark in self._by_mark:
                return self._by_mark[mark]
        return None

    @cached_property
    def _marks(self) -> tuple[dict[bytes, list[str]], dict[str, str]]:
        blobs: dict[bytes, list[str]] = {}
        marks: dict[str, str] = {}
        for key, image in self._finder.known.all.items():
            if image.blob_id is not None:
                blobs.setdefault(image.blob_id, []).append(key)
                marks.setdefault(_BLAKE3 + image.blob_id.hex(), key)
            for mark in (image.hash, image.uri):
                if mark is not None:
                    marks.setdefault(mark, key)
        return blobs, marks

    @property
    def _by_blob(self) -> dict[bytes, list[str]]:
        return self._marks[0]

    @property
    def _by_mark(self) -> dict[str, str]:
        return self._marks[1]
