"""Reading CVAT 1.1: images with their shapes and tags, or tracks over the frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from voyager.errors import InvalidDataError
from voyager.formats.base import Detection, Item, Source, clean_name, is_image_name, new_item_sample
from voyager.formats.cvat.elements import Part, parts_of
from voyager.formats.cvat.meta import Meta, TaskMeta, read_meta
from voyager.formats.cvat.regions import Shapes, all_outside, is_shape
from voyager.formats.cvat.shapes import Size
from voyager.formats.find_images import FoundImage
from voyager.formats.reading import Reading
from voyager.formats.splits import is_split, split_of
from voyager.schema import Group, Image, Label, Region, coverage_key
from voyager.schema.sample import FrameState

FRAME_NAME = "frame_{:06d}"
"""What CVAT calls the image of a frame."""

UNTRACKED = "untracked-"
"""Our ids of tracks that are regions of one frame and no tracks begin so."""

NO_STATE = "none"
"""What we write for a region of a track that is neither keyframe nor interpolated."""

_IMAGE_FIELDS = frozenset({"id", "name", "width", "height", "subset", "task_id"})
_MOST_SIDE = 1 << 31


def detect_kind(source: Source, *, video: bool) -> Detection | None:
    """CVAT for images or for video, by the <annotations> of an XML file and what is in it."""
    title = "CVAT for video" if video else "CVAT for images"
    for name in _candidates(source):
        where = name if source.is_folder else ""
        head = source.head(where)
        if b"<annotations" not in head:
            continue
        whole = head + source.tail(where)
        tracks = b"<track" in whole or b"<mode>interpolation" in whole
        if tracks and b"<image " in whole:
            tracks = False
        version = b"<version>1.1</version>" in head
        if tracks == video and (version or b"<track" in whole or b"<image " in whole):
            return Detection(0.95 if version else 0.8, f"{name} is {title}")
    return None


def _candidates(source: Source) -> list[str]:
    """XML files that may be CVAT's, those of its own name first."""
    if not source.is_folder:
        return [source.path.name]
    names = [name for name in source.files if name.lower().endswith(".xml")]
    return sorted(names, key=lambda name: (not name.endswith("annotations.xml"), name))[:50]


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The images of all CVAT files of a source, file by file."""
    names = [source.path.name]
    if source.is_folder:
        found = [name for name in source.files if name.lower().endswith(".xml")]
        names = [name for name in found if b"<annotations" in source.head(name)]
    if not names:
        raise InvalidDataError("there is no CVAT XML file", path=source.path)
    for name in names:
        yield from read_file(source.root / name, source, reading)


def read_file(path: Path, source: Source, reading: Reading) -> Iterator[Item]:
    """The items of one XML file."""
    shown = _relative(path, source.root)
    file: _File | None = None
    for part in parts_of(path, shown):
        if part.element.tag == "meta":
            file = _File(path, source, reading, read_meta(part.element), shown)
        elif part.element.tag in ("image", "track"):
            file = file or _File(path, source, reading, Meta(), shown)
            if part.element.tag == "image":
                yield file.image(part)
            else:
                file.add_track(part)
        elif part.element.tag != "version":
            reading.report.add("lost", f"<{part.element.tag}> was not read", shown)
    if file is not None:
        yield from file.frames()


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.name


@dataclass(slots=True)
class _Frame:
    regions: list[Region] = field(default_factory=list)
    subset: str | None = None
    place: str = ""


class _File:
    """One XML file: where it is, what its meta says, and the frames that its tracks fill."""

    def __init__(
        self, path: Path, source: Source, reading: Reading, meta: Meta, shown: str
    ) -> None:
        self.folder = path.parent
        self.stem = path.stem
        self.root = source.root
        self.reading = reading
        self.meta = meta
        self.shown = shown
        self.shapes = Shapes(reading, meta)
        self._images = False
        self._ordered: list[Path] | None = None
        self._tracked: dict[str, dict[int, _Frame]] = {}

    # -- images ----------------------------------------------------------------------------------

    def image(self, part: Part) -> Item:
        """The item of an <image>."""
        self._images = True
        element = part.element
        place = part.place(element)
        text, subset = part.text(element, "name"), element.get("subset")
        line = part.lines.get(id(element))
        found, name = self._find(clean_name(text, self.shown, line), subset)
        size = Size(_side(part, element, "width"), _side(part, element, "height"))
        extra: dict[str, Any] = {
            key: value for key, value in element.attrib.items() if key not in _IMAGE_FIELDS
        }
        labels: list[Label] = []
        regions: list[Region] = []
        for child in element:
            if child.tag == "tag":
                self._add_tag(part, child, labels, extra)
            elif is_shape(child):
                regions.append(self.shapes.region(part, child, size, None))
            else:
                raise part.bad(child, "is no shape that CVAT 1.1 has")
        for key in extra:
            self.reading.report.add("extra", f"{key} was kept in extra", place)
        sample = new_item_sample(
            image=Image(width=size.width, height=size.height),
            labels=labels,
            regions=regions,
            split=self._split(subset),
            origin=self.reading.origin(element.get("id")),
            coverage=self._coverage(),
            extra=extra,
        )
        return Item(name, sample, None if found is None else found.path, place)

    def _add_tag(
        self, part: Part, tag: Element, labels: list[Label], extra: dict[str, Any]
    ) -> None:
        name = tag.get("label", "")
        if not name.strip():
            raise part.bad(tag, "has no label")
        source = "model" if tag.get("source", "").lower() == "auto" else self.reading.source
        self.reading.define(scope="image")
        label = self.shapes.label(name, source)
        if label not in labels:
            labels.append(label)
        if len(labels) == 2:
            task = self.reading.draft.tasks[self.reading.task]
            self.reading.draft.put_task(self.reading.task, task.replace(many=True))
        found = self.shapes.attributes(part, tag, name)
        if found:
            extra.setdefault("tag_attributes", {})[name] = found

    def _split(self, subset: str | None) -> str | None:
        if subset is None and is_split(self.stem):
            self.reading.report.add("guessed", "the split is the name of the file", self.shown)
            return split_of(self.stem)
        return _split_of(subset)

    def _coverage(self) -> dict[str, Any]:
        if not self.reading.options.assume_exhaustive:
            return {}
        return {coverage_key(self.reading.task): "exhaustive"}

    def _find(self, name: str, subset: str | None) -> tuple[FoundImage | None, str]:
        """The image of a name in a subset, and what to call it."""
        names = [name]
        if subset:
            names.insert(0 if self.meta.project else 1, clean_name(f"{subset}/{name}", self.shown))
        near = (self.folder / "images", self.folder)
        for candidate in names:
            found = self.reading.find(candidate, *near)
            if found is not None:
                return found, self._name(found.path, candidate)
        return None, names[0]

    def _name(self, path: Path | None, otherwise: str) -> str:
        """The name of an image: its path where it lies below the source."""
        if path is None or not path.is_relative_to(self.root):
            return otherwise
        return path.relative_to(self.root).as_posix()

    # -- tracks ----------------------------------------------------------------------------------

    def add_track(self, part: Part) -> None:
        """Add the shapes of a <track> to their frames."""
        track = part.element
        task_id, number = track.get("task_id", ""), part.text(track, "id")
        frames = self._tracked.setdefault(task_id, {})
        task = self.meta.task(task_id)
        for child in track:
            if not is_shape(child):
                raise part.bad(child, "is no shape that CVAT 1.1 has")
            at = part.integer(child, "frame")
            if at < 0:
                raise part.bad(child, f"frame: {at} is no frame")
            size = Size(task.width, task.height)
            if child.tag == "mask" and task.width is None:
                size = self._size_of(at, task)
            frame = frames.setdefault(at, _Frame(place=part.place(child)))
            frame.subset = track.get("subset") or frame.subset
            region = self.shapes.region(part, child, size, track)
            if not number.startswith(UNTRACKED):
                region = region.replace(track=number, frame_state=_frame_state(part, child))
            frame.regions.append(region)

    def _size_of(self, at: int, task: TaskMeta) -> Size:
        found, _ = self._find_frame(at, task)
        return Size(None, None) if found is None else Size(found.width, found.height)

    def frames(self) -> Iterator[Item]:
        """The items of all frames that have shapes, or an image and no shapes."""
        videos = dict(self._tracked)
        tracked_tasks = [self.meta.task(task_id) for task_id in videos]
        for task_id, task in self.meta.tasks.items():
            if task.video and task not in tracked_tasks and not self._images:
                videos[task_id] = {}
        for task_id, tracked in videos.items():
            yield from self._frames_of(self.meta.task(task_id), tracked)

    def _frames_of(self, task: TaskMeta, tracked: dict[int, _Frame]) -> Iterator[Item]:
        for at in sorted({*tracked, *task.frames(), *task.listed}):
            frame = tracked.get(at)
            found, name = self._find_frame(at, task)
            if frame is None and found is None and at not in task.listed:
                continue
            frame = frame or _Frame(place=self.shown)
            sample = new_item_sample(
                image=Image(width=task.width, height=task.height),
                regions=frame.regions,
                group=Group(id=self._group(task), index=at),
                split=_split_of(frame.subset or task.subset),
                coverage=self._coverage(),
            )
            yield Item(name, sample, None if found is None else found.path, frame.place)

    def _group(self, task: TaskMeta) -> str:
        return task.name or self.meta.source or self.stem

    def _find_frame(self, at: int, task: TaskMeta) -> tuple[FoundImage | None, str]:
        stem = FRAME_NAME.format(at)
        several = len(self.meta.tasks) > 1
        name = clean_name(f"{self._group(task)}/{stem}") if several else stem
        near = [self.folder / "images", self.folder]
        found = self.reading.find(name, *near)
        if found is None:
            return self._image_at(at, name)
        return found, self._name(found.path, found.key or self._below(name) + ".PNG")

    def _below(self, name: str) -> str:
        """A name in the folder of the file, seen from the source."""
        folder = self.shown.rpartition("/")[0]
        return f"{folder}/{name}" if folder else name

    def _image_at(self, at: int, name: str) -> tuple[FoundImage | None, str]:
        """The image that stands at the place of a frame, for tracks over a folder of images."""
        if self._ordered is None:
            self._ordered = self._ordered_images()
        if at >= len(self._ordered):
            return None, self._below(name) + ".PNG"
        self.reading.report.add("guessed", "a frame is the image at its place", self.shown)
        path = self._ordered[at]
        found = self.reading.find(path.name, path.parent)
        return found, self._name(path, path.name)

    def _ordered_images(self) -> list[Path]:
        """The images beside the file in order, where none is named as a frame of a video."""
        for folder in (self.reading.options.images, self.folder / "images"):
            if folder is None or not folder.is_dir() or folder.is_symlink():
                continue
            found = sorted(path for path in folder.rglob("*") if is_image_name(path.name))
            if found and not any(path.name.startswith("frame_") for path in found):
                return found
        return []


def _frame_state(part: Part, element: Element) -> FrameState | None:
    if element.get("state") == NO_STATE:
        return None
    if all_outside(part, element):
        return "outside"
    return "keyframe" if part.text(element, "keyframe") == "1" else "interpolated"


def _split_of(subset: str | None) -> str | None:
    """The split of a subset; `default` is what CVAT calls the images outside of any."""
    return None if (subset or "").lower() == "default" else split_of(subset)


def _side(part: Part, element: Element, name: str) -> int | None:
    if name not in element.attrib:
        return None
    side = part.integer(element, name)
    if side < 0 or side > _MOST_SIDE:
        raise part.bad(element, f"{name}: {side} is no size")
    return side or None
