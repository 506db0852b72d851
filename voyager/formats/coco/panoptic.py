"""Panoptic COCO: one PNG an image whose colours are the ids of its segments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voyager.errors import InvalidDataError
from voyager.formats.base import clean_name
from voyager.formats.coco.annotations import Annotation, Rle, Segment
from voyager.formats.coco.files import LabelFile
from voyager.schema import Region, rle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from voyager.formats.coco.regions import RegionMaker

_MOST_PIXELS = 1 << 27


class Segments:
    """Reads the PNGs of a panoptic file; they lie beside it, in a folder of its name."""

    def __init__(self, file: LabelFile, folder: Path | None) -> None:
        self._file = file
        stem = file.path.stem
        beside = file.path.parent
        self._folders = (
            [folder]
            if folder is not None
            else [
                beside / stem,
                beside / stem.replace("instances", "panoptic"),
                beside,
            ]
        )

    def regions(self, annotation: Annotation, maker: RegionMaker) -> list[Region]:
        """A region with a mask for every segment."""
        name = clean_name(annotation.file_name or "", self._file.name)
        ids = self._ids(name, annotation)
        return [
            self._region(segment, ids == segment.id, annotation, maker)
            for segment in annotation.segments_info or ()
        ]

    def _region(
        self, segment: Segment, pixels: NDArray[Any], annotation: Annotation, maker: RegionMaker
    ) -> Region:
        where = f"annotation of image {annotation.image_id}, segment {segment.id}"
        node = maker.categories.node(segment.category_id, where)
        maker.reading.define(scope="region")
        height, width = pixels.shape
        mask = rle.mask_of_array(pixels)
        runs = rle.runs_of(mask)
        stand_in = Annotation(
            image_id=annotation.image_id, segmentation=Rle(counts=runs, size=(height, width))
        )
        extra: dict[str, Any] = {}
        maker.note_mask(stand_in, segment.bbox, segment.area, runs, extra)
        if not rle.area(runs):
            maker.reading.report.add("extra", "a segment has no pixels and was kept", where)
        return maker.reading.region(
            maker.mask(runs, height, width),
            (maker.reading.label(node),),
            id=segment.id,
            flags=("crowd",) if segment.iscrowd else (),
            extra=extra,
        )

    def _ids(self, name: str, annotation: Annotation) -> NDArray[Any]:
        """The segment id of every pixel: R + 256 G + 65536 B."""
        import numpy as np
        from PIL import Image, UnidentifiedImageError

        path = next((f / name for f in self._folders if (f / name).is_file()), None)
        if path is None:
            raise InvalidDataError(
                f"annotation of image {annotation.image_id}.file_name: there is no '{name}'",
                path=self._file.name,
                hint="vgr import --set panoptic=FOLDER",
            )
        try:
            with Image.open(path) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise InvalidDataError("too many pixels for a segment map", path=path)
                colours = np.asarray(image.convert("RGB"), np.uint32)
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
            raise InvalidDataError(f"not a readable PNG: {error}", path=path) from None
        ids: NDArray[Any] = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
        return ids
