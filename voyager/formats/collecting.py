"""A format by itself, without a repository: for tests, tools, and a look before an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voyager.formats.base import Format, Item, Source, iter_items
from voyager.formats.chosen import Chosen
from voyager.formats.find_images import ImageFinder
from voyager.formats.reading import Reading, ReadOptions
from voyager.formats.report import Report
from voyager.formats.writing import WriteOptions, Writing
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema import Sample, encode_sample
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store import files, prolly
from voyager.store.ids import Kind
from voyager.store.objects import MemoryObjects
from voyager.wire import Ext, blob_ref


@dataclass(slots=True)
class Collected:
    """The items of a source, the vocabulary that they brought, blobs by id, and the report."""

    items: list[Item]
    vocabulary: Draft
    report: Report
    objects: MemoryObjects = field(default_factory=MemoryObjects)


def collect(
    form: Format,
    path: Path,
    options: ReadOptions | None = None,
    *,
    vocabulary: Vocabulary | None = None,
) -> Collected:
    """All items of a file or folder; InvalidDataError as the reader raises."""
    options = options or ReadOptions()
    source = Source(path)
    objects = MemoryObjects()

    def put_blob(data: bytes) -> Ext:
        return blob_ref(objects.put(Kind.BLOB, data))

    draft, report = Draft(vocabulary or Vocabulary()), Report()
    folders = [options.images] if options.images is not None else []
    reading = Reading(
        path.name,
        options,
        draft=draft,
        images=ImageFinder(Dataset(objects, {}), folders, source.root),
        report=report,
        put_blob=put_blob,
        progress=lambda *_: None,
    )
    assert form.read is not None
    return Collected(list(iter_items(form.read(source, reading))), draft, report, objects)


def memory_version(
    samples: Mapping[str, Sample],
    vocabulary: Vocabulary,
    objects: MemoryObjects | None = None,
) -> Dataset:
    """A version that lies in memory, of samples by key."""
    objects = objects or MemoryObjects()
    draft = Draft(Vocabulary())
    draft.tasks, draft.taxonomies = dict(vocabulary.tasks), dict(vocabulary.taxonomies)
    rows: dict[str, dict[bytes, bytes]] = {
        SAMPLES: {key.encode(): encode_sample(sample) for key, sample in samples.items()}
    }
    for space, key, row in vocabulary_changes(draft):
        if row is not None:
            rows.setdefault(space, {})[key] = row
    roots = {space: prolly.build(objects, sorted(found.items())) for space, found in rows.items()}
    return Dataset(objects, roots)


def write_version(
    form: Format, version: Dataset, folder: Path, options: WriteOptions | None = None
) -> Writing:
    """Write all samples of a version into a new folder; what was reported, and names."""
    files.make_folder(folder)
    chosen = Chosen(version)
    writing = Writing(version, folder, chosen, options or WriteOptions(), report=Report())
    assert form.write is not None
    form.write(writing)
    return writing
