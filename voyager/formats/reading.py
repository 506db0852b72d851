"""What a reader gets: the options, the vocabulary to grow, images to find, the report to fill."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from voyager.formats.base import NEW_ID, Settings
from voyager.formats.find_images import FoundImage, ImageFinder
from voyager.formats.report import Report
from voyager.schema import MASK_INLINE_LIMIT, Geometry, Label, Mask, Origin, Region
from voyager.schema.taxonomy import NodeId
from voyager.schema.values import BadValueError
from voyager.schema.vocabulary import CATEGORY, Draft
from voyager.wire import Ext

Progress = Callable[[int, int | None], None]

IMPORT = "import"
"""The source of imported labels, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user says of an import (design section 11)."""

    images: Path | None = None
    to: str = ""
    split: str | None = None
    task: str = CATEGORY
    source: str = IMPORT
    origin: Literal[0, 1] | None = None
    """Whether pixel coordinates of the source count from 0 or 1; None: as the format says."""
    frame: Literal["auto", "stored", "upright"] = "auto"
    assume_exhaustive: bool = False
    predictions: str | None = None
    """The prediction set that the labels go to instead of the rows."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Options of the format itself."""


class Reading(Settings):
    """Given to `Format.read`.

    A reader calls `category` for the id of a class name, `region` and `label` to make values in
    the name of the import's source, `images.find` for the size or place of an image, `report.add`
    for whatever it cannot take as it is, and raises InvalidDataError for what is malformed.
    `put_blob` stores bytes (a large mask, another file of a sample).
    """

    def __init__(
        self,
        name: str,
        options: ReadOptions,
        *,
        draft: Draft,
        images: ImageFinder,
        report: Report,
        put_blob: Callable[[bytes], Ext],
        progress: Progress,
    ) -> None:
        self.name = name
        """What the import is called in `origin`."""
        super().__init__(options.settings)
        self.options = options
        self.draft = draft
        self.images = images
        self.report = report
        self.put_blob = put_blob
        self.progress = progress
        self.task = options.task
        self.source = options.source
        self._origins: dict[tuple[Any, ...], Origin] = {}
        self._labels: dict[tuple[Any, ...], Label] = {}

    # -- classes and labels ----------------------------------------------------------------------

    def define(
        self, task: str | None = None, *, scope: Literal["image", "region"], **fields: Any
    ) -> str:
        """Make sure that there is such a task (by default the import's own); its name."""
        self.draft.define(task or self.task, scope=scope, **fields)
        return task or self.task

    def category(self, name: str, *, task: str | None = None, **fields: Any) -> NodeId:
        """The node of a class name, made when there is none; `fields` as `Draft.category`."""
        return self.draft.category(task or self.task, str(name), **fields)

    def note_taxonomy(self, name: str, value: Any) -> None:
        """Keep something that the source says of all its classes, where nothing stands yet."""
        taxonomy = self.draft.add_taxonomy(self.draft.define(self.task).taxonomy or self.task)
        if name not in taxonomy.root.extra:
            self.draft.put_root(taxonomy.name, {**taxonomy.root.extra, name: value})

    def label(
        self,
        node: NodeId | None = None,
        *,
        task: str | None = None,
        value: str | float | bool | None = None,
        **fields: Any,
    ) -> Label:
        """A label in the name of the source; plain ones are made once and shared."""
        task = task or self.task
        if fields or node is None:
            return Label(task=task, node=node, value=value, **{"source": self.source, **fields})
        found = self._labels.get((task, node))
        if found is None:
            found = Label(task=task, node=node, source=self.source)
            self._labels[task, node] = found
        return found

    def origin(self, id: int | str | None = None, **fields: Any) -> Origin:
        """Where a region or sample came from: this import and the source's own id of it."""
        if id is None and not fields:
            return self._origins.setdefault((), Origin(import_=self.name))
        return Origin(import_=self.name, id=id, **fields)

    def region(
        self,
        geometries: Geometry | Mapping[str, Geometry] | None,
        labels: Iterable[Label] = (),
        *,
        id: int | str | None = None,
        primary: str | None = None,
        **fields: Any,
    ) -> Region:
        """A region in the name of the source; one geometry's role is its own word.

        `id` is the source's id of it. Other fields as in `Region`; no geometry is `None`.
        """
        if geometries is None:
            shapes: Mapping[str, Geometry] = {}
        elif isinstance(geometries, Mapping):
            shapes = geometries
        else:
            shapes = {geometries.name: geometries}
        fields.setdefault("source", self.source)
        fields.setdefault("origin", self.origin(id))
        return Region(
            id=NEW_ID, geometries=dict(shapes), labels=tuple(labels), primary=primary, **fields
        )

    def mask(self, height: int, width: int, counts: bytes) -> Mask:
        """A mask of compressed RLE counts, out of line when they are long (spec 9.4)."""
        inline = len(counts) <= MASK_INLINE_LIMIT
        return Mask(height, width, counts if inline else self.put_blob(counts))

    def shape(
        self, make: Callable[..., Geometry], *numbers: Any, place: str = "", **extra: Any
    ) -> Geometry | None:
        """A geometry of numbers, or None (reported) when one of them is not finite or no number.

        Such a region has no geometry; the reader keeps its text in `extra` (spec 9.3).
        """
        try:
            return make(*numbers, **extra)
        except (BadValueError, TypeError):
            self.report.add("lost", "a geometry is not made of finite numbers", place)
            return None

    # -- images ----------------------------------------------------------------------------------

    def find(self, name: str, *near: Path) -> FoundImage | None:
        """The image that a source calls `name`: in folders near its labels, --images, or the
        repository."""
        return self.images.find(name, near)


def finite(*numbers: Any) -> bool:
    """Whether all are finite numbers."""
    return all(
        isinstance(number, (int, float)) and not isinstance(number, bool) and math.isfinite(number)
        for number in numbers
    )
