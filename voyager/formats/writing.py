"""What a writer gets: the samples of an export, their classes and images, and a folder to fill."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal

from voyager.errors import InvalidDataError, NotFoundError, UsageError
from voyager.formats.base import Settings
from voyager.formats.chosen import Chosen
from voyager.formats.report import Report
from voyager.formats.shares import Make, spread
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema import Image, Label, Mask, Sample, decode_sample
from voyager.schema.encoded_geometry import may_have
from voyager.schema.task import Task
from voyager.schema.taxonomy import NodeId
from voyager.schema.vocabulary import CATEGORY, Vocabulary
from voyager.store import files
from voyager.store.ids import Kind

Images = Literal["copy", "link", "none", "names"]
"""What becomes of images: copied, hard-linked, left out; `names` only says where they would be."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What the user says of an export (design section 11)."""

    task: str | None = None
    images: Images = "copy"
    settings: Mapping[str, str] = field(default_factory=dict)


class Watch:
    """Told of every sample that is written, once; what it knows goes from one process to another.

    This one does not listen.
    """

    def note(self, key: str, sample: Sample) -> None:
        """Hear of a sample."""

    def lose(self, *, samples: int = 0, regions: int = 0, labels: int = 0) -> None:
        """Hear that the writer left out what the format has a place for."""

    def forget(self) -> None:
        """Know nothing any more."""

    def told(self) -> Any:
        """What is known, as plain values."""

    def hear(self, told: Any) -> None:
        """Know also what another one was told."""


class Writing(Settings):
    """Given to `Format.write`.

    A writer walks `samples()` (twice if it has to), or lets `spread` make what it writes; it asks
    `category` for the class of a region or image, writes label files with `open` and images with
    `image`, and reports what the format's `Holds` does not already tell. File names are relative
    to `folder`, which is temporary: it takes its place once all is written.
    """

    def __init__(
        self,
        version: Dataset,
        folder: Path,
        chosen: Chosen,
        options: WriteOptions,
        *,
        report: Report,
        file_name: str | None = None,
        progress: Callable[[int, int | None], None] = lambda *_: None,
    ) -> None:
        self.version = version
        self.folder = folder
        super().__init__(options.settings)
        self.options = options
        self.report = report
        self.file_name = file_name
        """What the user wants a format of one file to call it."""
        self.progress = progress
        self.names: dict[str, str] = {}
        """Item name → key, where the reader will find another name than the key."""
        self.placeholders = False
        """Whether empty files stand for images of which only the names are wanted."""
        self.watch = Watch()
        self._watched, self._all_watched = 0, False
        self._chosen = chosen
        self._answers: dict[tuple[str, NodeId, str, str], bool] = {}
        self.hint: str | None = None
        """What the user may have meant, set by the writer: a command or an option."""
        self.label_files: list[str] = []
        """What was written but for images, in order."""
        self._written: set[str] = set()
        self._made: set[str] = set()

    @property
    def vocabulary(self) -> Vocabulary:
        """The tasks and taxonomies of the version."""
        return self.version.vocabulary

    @cached_property
    def task(self) -> str:
        """The category task that is exported: --task, else `category`, else the only one."""
        tasks = {name: task for name, task in self.vocabulary.tasks.items() if _is_category(task)}
        wanted = self.options.task or (CATEGORY if CATEGORY in tasks or not tasks else None)
        if wanted is None and len(tasks) == 1:
            wanted = next(iter(tasks))
        if wanted is None:
            raise UsageError(
                f"which task? there are {', '.join(sorted(tasks))}", hint="vgr export --task NAME"
            )
        if self.options.task is not None and wanted not in tasks:
            near = get_close_matches(wanted, tasks, 1, 0.5)
            hint = f"vgr export --task {near[0]}" if near else "vgr task ls"
            raise NotFoundError(f"there is no category task '{wanted}'", hint=hint)
        return wanted

    # -- samples ---------------------------------------------------------------------------------

    @property
    def count(self) -> int | None:
        """How many samples there are, where that is known."""
        return self._chosen.count

    def samples(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[str, Sample]]:
        """(key, sample) in key order, without rejected regions; each call walks anew.

        With `start` and `stop` those between two places.
        """
        for place, (key, sample) in enumerate(self._chosen.walk(start, stop), start):
            self.progress(place, None)
            kept = _without_rejected(sample)
            if place == self._watched and not self._all_watched:
                self._watched += 1
                self.watch.note(key, kept)
            yield key, kept
        if stop is None and start <= self._watched:
            self._all_watched = True

    def spread(self, make: Make) -> Iterator[Any]:
        """What `make` makes of all samples, in their order, on several processes when many."""
        return spread(self, make)

    def watch_from(self, place: int | None) -> None:
        """Say that `watch` has heard, elsewhere, of all samples before a place, or of all."""
        self._all_watched = self._all_watched or place is None
        self._watched = max(self._watched, place or 0)

    def finish_watch(self) -> None:
        """Let `watch` be told of what the writer has not walked over."""
        if not self._all_watched:
            for _ in self.samples():
                pass

    def has_geometry(self, kind: type[Any]) -> bool:
        """Whether any sample of the version has such a geometry; quicker than `samples`."""
        return any(
            type(shape) is kind
            for _, row in self.version.rows(SAMPLES)
            if may_have(row, kind)
            for region in decode_sample(row).regions
            for shape in region.geometries.values()
        )

    @cached_property
    def classes(self) -> list[tuple[NodeId, str]]:
        """(node, name) of all live classes of the task, in their stable order."""
        taxonomy = self.vocabulary.taxonomy_of(self.task)
        if taxonomy is None:
            return []
        return [(node, taxonomy.class_name(node) or node.hex()) for node in taxonomy]

    @cached_property
    def class_index(self) -> dict[NodeId, int]:
        """Node → its place in `classes`."""
        return {node: place for place, (node, _) in enumerate(self.classes)}

    @cached_property
    def _taxonomy_live(self) -> Callable[[NodeId], NodeId | None]:
        taxonomy = self.vocabulary.taxonomy_of(self.task)
        return (lambda _: None) if taxonomy is None else taxonomy.live

    def category(self, labels: tuple[Label, ...]) -> Label | None:
        """The label that answers the exported task with a live class; None where none does."""
        if len(labels) == 1 and labels[0].node is not None:
            return labels[0] if self._answers_alone(labels[0], labels[0].node) else None
        return self._answer(labels)

    def _answers_alone(self, label: Label, node: NodeId) -> bool:
        """Whether the only label of a thing is its class: asked a million times of a few kinds."""
        kind = label.task, node, label.source, label.state
        found = self._answers.get(kind)
        if found is None:
            found = self._answers[kind] = self._answer((label,)) is not None
        return found

    def _answer(self, labels: tuple[Label, ...]) -> Label | None:
        found = self.vocabulary.answer(self.task, labels).label
        return found if found is not None and self.live(found.node) is not None else None

    def categories(self, labels: tuple[Label, ...]) -> tuple[Label, ...]:
        """All labels that answer the exported task with live classes."""
        found = self.vocabulary.answer(self.task, labels).labels
        return tuple(label for label in found if self.live(label.node) is not None)

    def live(self, node: NodeId | None) -> NodeId | None:
        """The node, or the one that it was merged into; None when it is gone."""
        if node is None or node in self.class_index:
            return node
        return self._taxonomy_live(node)

    def class_name(self, label: Label) -> str:
        """What the format calls the class of such a label."""
        node = self.live(label.node)
        assert node is not None
        return self.classes[self.class_index[node]][1]

    def class_number(self, label: Label) -> int:
        """The place of the class of such a label, from 0."""
        node = self.live(label.node)
        assert node is not None
        return self.class_index[node]

    def counts(self, mask: Mask) -> bytes:
        """The compressed RLE counts of a mask, from its blob where they are long."""
        if mask.blob_id is None:
            assert isinstance(mask.counts, bytes)
            return mask.counts
        return self.load(mask.blob_id)

    def load(self, blob: bytes) -> bytes:
        """The bytes of a blob: the counts of a mask, an image, another file."""
        return self.version.objects.get(blob, Kind.BLOB)

    # -- files -----------------------------------------------------------------------------------

    def claim(self, name: str) -> str:
        """Note that a file name is taken; InvalidDataError when it was, or leads outside."""
        parts = name.split("/")
        if name.startswith("/") or ".." in parts or "" in parts or "\0" in name:
            raise InvalidDataError(f"'{name}' cannot be the name of an exported file")
        if name in self._written:
            raise InvalidDataError(
                f"two samples would be written to '{name}'", hint="vgr mv one of them"
            )
        self._written.add(name)
        folder = "/".join(parts[:-1])
        if folder not in self._made:
            files.make_folder(self.folder / folder)
            self._made.add(folder)
        return name

    def put(self, name: str, data: bytes) -> None:
        """A new file of these bytes."""
        self.label_files.append(self.claim(name))
        files.create(f"{self.folder}/{name}", data)

    @contextmanager
    def open(self, name: str) -> Iterator[IO[str]]:
        """A new text file, UTF-8 with plain line ends."""
        self.label_files.append(self.claim(name))
        with open(self.folder / name, "x", encoding="utf-8", newline="\n") as file:
            yield file

    @contextmanager
    def open_binary(self, name: str) -> Iterator[IO[bytes]]:
        """A new binary file."""
        self.label_files.append(self.claim(name))
        with open(self.folder / name, "xb") as file:
            yield file

    def image(self, key: str, image: Sample | Image, name: str) -> bool:
        """Write the image of a sample to a file, as --images says; whether there is one.

        An image that is not here is counted as lost; with `--images none` nothing is written.
        """
        if self.options.images == "none":
            return False
        image = image.image if isinstance(image, Sample) else image
        blob = image.blob_id
        if blob is None:
            self.report.add("lost", f"the image is not here ({image.state})", key)
            return False
        self.claim(name)
        target = self.folder / name
        if self.options.images == "names":
            if self.placeholders:
                target.touch()
            return True
        if self.options.images == "link" and self._link(key, target):
            return True
        with open(target, "xb") as file:
            file.write(self.version.objects.get(blob, Kind.BLOB))
        return True

    def _link(self, key: str, target: Path) -> bool:
        """Hard-link the file of the working tree, where there is one with the same bytes."""
        source = self.link_source(key)
        if source is None:
            return False
        try:
            os.link(source, target)
        except OSError:
            return False  # another file system
        return True

    link_source: Callable[[str], Path | None] = staticmethod(lambda _key: None)
    """Key → its unedited file in the working tree, set by the engine."""

    def named(self, name: str, key: str) -> None:
        """Say that the reader will call the image of `key` by another name."""
        if name != key:
            self.names[name] = key


def _without_rejected(sample: Sample) -> Sample:
    for region in sample.regions:
        if region.state == "rejected":
            break
    else:
        return sample
    kept = tuple(region for region in sample.regions if region.state != "rejected")
    return sample.replace(regions=kept)


def _is_category(task: Task) -> bool:
    return task.kind == "category"


def flat_name(key: str, taken: set[str]) -> str:
    """A file name without folders for a key, unlike all taken ones (stems too): a-b.jpg, a-b_2.jpg.

    For formats that know images by their stem alone.
    """
    base, suffix = os.path.splitext(key.replace("/", "-"))
    stem, n = base, 1
    while stem.lower() in taken:
        n += 1
        stem = f"{base}_{n}"
    taken.add(stem.lower())
    return stem + suffix
