"""Reading Label Studio's JSON: a task is an image, its annotations and predictions what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voyager.errors import InvalidDataError
from voyager.formats.attributes import is_meta, labels_among, storable
from voyager.formats.base import Item, Source, clean_name, new_item_sample
from voyager.formats.find_images import FoundImage
from voyager.formats.label_studio.answers import Survey
from voyager.formats.label_studio.config import NAME, Config, read_config
from voyager.formats.label_studio.names import KEY, SPLIT, embedded, image_field, image_name
from voyager.formats.label_studio.regions import Interpreter
from voyager.formats.label_studio.shapes import Size
from voyager.formats.label_studio.tasks import Json, Task, TaskFile, Voice
from voyager.formats.reading import Reading
from voyager.formats.splits import split_of
from voyager.schema import Image, Label, Region, coverage_key
from voyager.schema.sample import MetaValue

_MOST_SIDE = 1 << 31


def read(source: Source, reading: Reading) -> Iterator[Item]:
    """The images of all task files of a source."""
    names = task_files(source)
    if not names:
        raise InvalidDataError("there is no JSON file of tasks", path=source.path)
    for name in names:
        yield from _File(source, reading, name).items()


def task_files(source: Source) -> list[str]:
    """The JSON files of a folder that hold tasks; the file itself whatever it is called."""
    if not source.is_folder:
        return [source.path.name]
    names = [name for name in source.files if name.lower().endswith(".json")]
    return [name for name in names if looks_like_tasks(source, name)]


def looks_like_tasks(source: Source, name: str) -> float:
    """How sure a file holds tasks, from 0 to 1."""
    where = name if source.is_folder else ""
    head = source.head(where).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[:1] not in (b"[", b"{"):
        return 0.0
    keys = source.json_keys(where)
    if "data" in keys and keys & {"annotations", "completions", "predictions"}:
        return 0.95 if "from_name" in keys or KEY in keys or "result" in keys else 0.6
    if keys & {"rectanglelabels", "polygonlabels", "brushlabels", "ellipselabels"}:
        return 0.9
    flat = head[:1] == b"[" and ("annotation_id" in keys and "lead_time" in keys)
    return 0.9 if flat else 0.6 if head[:1] == b"[" and {"data", "image"} <= keys else 0.0


class _File:
    """One file of tasks."""

    def __init__(self, source: Source, reading: Reading, name: str) -> None:
        self.root = source.root
        self.reading = reading
        path = source.root / name
        self.folder = path.parent
        self.file = TaskFile(path, name, self._config(path.parent))
        self._images = 0

    def _config(self, folder: Path) -> Config:
        name = self.reading.setting("config")
        path = Path(name) if name else folder / NAME
        if not path.is_file():
            if name:
                raise InvalidDataError("there is no such configuration", path=name)
            return Config()
        return read_config(path, path.name)

    def items(self) -> Iterator[Item]:
        """The items of all tasks that have an image."""
        survey = Survey()
        tasks = 0
        for task in self.file.tasks():
            tasks += 1
            for voice in self._voices(task):
                survey.add(voice)
        interpreter = Interpreter(self.reading, self.file, survey)
        for task in self.file.tasks():
            item = self._item(task, interpreter)
            if item is not None:
                yield item
        if tasks and not self._images:
            raise InvalidDataError(
                "no task has an image", path=self.file.shown, hint="--set image=FIELD"
            )

    def _voices(self, task: Task) -> list[Voice]:
        """Annotations and predictions; the latter alone for an import into a prediction set."""
        if self.reading.options.predictions is None:
            return task.voices
        return [voice for voice in task.voices if voice.model is not None]

    def _item(self, task: Task, interpreter: Interpreter) -> Item | None:
        wanted = self.reading.setting("image") or self.file.config.image
        name = image_field(task.data, wanted)
        place = f"{self.file.shown}: {task.place}"
        self._report_passed_over(task, place)
        if name is None:
            self.reading.report.add("lost", "a task without an image", place)
            return None
        self._images += 1
        url = task.data[name]
        inside = embedded(url, self.file.shown, f"{task.place}.data.{name}")
        found, item_name = self._find(task, url, inside)
        size = self._size(task, found)
        regions: list[Region] = []
        labels: list[Label] = []
        for voice in self._voices(task):
            drawn, said = interpreter.interpret(voice, size)
            regions += drawn
            labels += [label for label in said if label not in labels]
        meta, more, extra = self._rest(task, name)
        sample = new_item_sample(
            image=self._image(size, None if inside else url),
            labels=[*labels, *more],
            regions=regions,
            meta=meta,
            split=split_of(_text(task.data.get(SPLIT))),
            origin=self.reading.origin(task.id),
            coverage=self._coverage(task, regions, labels),
            extra=extra,
        )
        path = None if found is None else found.path
        return Item(item_name, sample, path, place, None if inside is None else inside[1])

    def _report_passed_over(self, task: Task, place: str) -> None:
        if task.cancelled:
            self.reading.report.add("lost", "a skipped annotation", place, task.cancelled)
        if task.drafts:
            self.reading.report.add("lost", "a draft that was not submitted", place, task.drafts)

    def _image(self, size: Size | None, url: str | None) -> Image:
        if size is None:
            return Image(uri=url)
        return Image(width=size.width, height=size.height, uri=url)

    def _find(
        self, task: Task, url: str, inside: tuple[str, bytes] | None
    ) -> tuple[FoundImage | None, str]:
        if inside is not None:
            name = str(task.data.get(KEY) or f"task-{task.id or task.place[6:-1]}{inside[0]}")
            return None, clean_name(name, self.file.shown)
        own = task.data.get(KEY)
        names = [own] if isinstance(own, str) and own else []
        names.append(image_name(url))
        for text in names:
            name = clean_name(text, self.file.shown)
            found = self.reading.find(name, self.folder / "images", self.folder)
            if found is not None:
                inner = found.path is not None and found.path.is_relative_to(self.root)
                path = found.path
                return found, path.relative_to(self.root).as_posix() if inner and path else name
        return None, clean_name(names[0], self.file.shown)

    def _size(self, task: Task, found: FoundImage | None) -> Size | None:
        """The size that the results state, else that of the image."""
        for voice in task.voices:
            for result in voice.results:
                if isinstance(result, dict) and result.get("original_width") is not None:
                    return self._stated_size(result, voice.place)
        if found is not None and found.width and found.height:
            return Size(found.width, found.height)
        return None

    def _stated_size(self, result: Json, place: str) -> Size:
        width, height = result.get("original_width"), result.get("original_height")
        for side in (width, height):
            if not isinstance(side, int) or not 0 < side < _MOST_SIDE:
                raise self.file.bad(f"{place}: original_width, original_height: no size")
        assert isinstance(width, int)
        assert isinstance(height, int)
        return Size(width, height)

    def _coverage(self, task: Task, regions: list[Region], labels: list[Label]) -> dict[str, Any]:
        """An annotation that was submitted with nothing in it says that there is nothing."""
        voices = [voice for voice in self._voices(task) if voice.model is None]
        empty = bool(voices) and not any(voice.results for voice in voices)
        stated = empty and not (regions or labels)
        if not (stated or self.reading.options.assume_exhaustive):
            return {}
        return {coverage_key(self.reading.task): "exhaustive"}

    def _rest(self, task: Task, image: str) -> tuple[dict[str, MetaValue], list[Label], Json]:
        """The other fields of a task: meta, labels of tasks of that name, and extra."""
        meta: dict[str, MetaValue] = {}
        extra = {name: storable(value) for name, value in task.extra.items()}
        for name, value in task.data.items():
            if name in (image, KEY, SPLIT) or value is None:
                continue
            if is_meta(value):
                meta[name] = value
            else:
                extra[name] = storable(value)
        for name in sorted(extra):
            self.reading.report.add("extra", f"{name} was kept in extra", self.file.shown)
        return *labels_among(self.reading, meta, "image"), extra


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
