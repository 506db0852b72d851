"""What is remembered of exports and imports, so that an edited file is compared with what it was.

An export leaves `vgr-export.json` beside its files, and the same record in the repository; an
import leaves the version that it made, by its name. Either is the *base* of a later import.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from blake3 import blake3

from voyager.errors import InvalidDataError, NotFoundError, StateError
from voyager.formats.base import RECORD_NAME, Format
from voyager.formats.projection import Projection
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, read_snapshot, write_snapshot
from voyager.schema import Image, Region, Sample, decode_sample
from voyager.schema.pairing import pair_regions
from voyager.store.transaction import Transaction
from voyager.wire import object_ref

if TYPE_CHECKING:
    from voyager.formats.importing import ImportJob

IMPORTS: Final = "imports/"
EXPORTS: Final = "exports/"
EXPORTER_VERSION: Final = 1
_MOST_NAME = 200


class Base(Protocol):
    """What a file said before it was edited, sample by sample.

    `complete` says that the file spoke of every sample in `keys`; `names` maps what the format
    calls an image to its key, where that differs.
    """

    name: str | None
    commit: bytes | None
    complete: bool

    def keys(self) -> Iterator[bytes]:
        """The keys that the file spoke of."""
        ...

    def sample(self, key: bytes, ours: Sample | None, theirs: Sample) -> Sample | None:
        """What the file said of a sample, as the format can hold it; None if nothing is known."""
        ...

    def original(self, key: bytes) -> Sample | None:
        """What `sample` was made from; None where that is itself."""
        ...

    def counterparts(self, key: bytes) -> Mapping[bytes, bytes]:
        """Region ids of `sample` → those of the same regions here, where they differ."""
        ...


class OwnBase:
    """No record: what earlier imports of this name brought, as it stands here now.

    So the file wins wherever it speaks, and takes away only what came from it.
    """

    complete = False

    def __init__(self, series: str) -> None:
        self.name: str | None = None
        self.commit: bytes | None = None
        self._series = series

    def keys(self) -> Iterator[bytes]:
        return iter(())

    def sample(self, key: bytes, ours: Sample | None, theirs: Sample) -> Sample | None:
        return None if ours is None else _of_series(ours, theirs, self._series)

    def original(self, key: bytes) -> Sample | None:
        return None

    def counterparts(self, key: bytes) -> Mapping[bytes, bytes]:
        return {}


class SeriesBase:
    """The version that the last import of this name made."""

    complete = False

    def __init__(self, series: str, version: Dataset) -> None:
        self.name: str | None = f"the last import of {series}"
        self.commit: bytes | None = None
        self.moved: Mapping[bytes, bytes] = {}
        """Keys of samples whose image was found → those that they had when it was waited for."""
        self._series = series
        self._version = version

    def keys(self) -> Iterator[bytes]:
        return iter(())

    def sample(self, key: bytes, ours: Sample | None, theirs: Sample) -> Sample | None:
        row = self._version.row(SAMPLES, self.moved.get(key, key))
        then = ours if row is None else decode_sample(row)
        return None if then is None else _of_series(then, theirs, self._series)

    def original(self, key: bytes) -> Sample | None:
        return None

    def counterparts(self, key: bytes) -> Mapping[bytes, bytes]:
        return {}


def _of_series(sample: Sample, theirs: Sample, series: str) -> Sample:
    """What an import of a name had said of a sample; of maps only what the file names again."""
    regions = tuple(
        region
        for region in sample.regions
        if region.origin is not None and region.origin.import_ == series
    )
    spoken = {(label.task, label.source) for label in theirs.labels}
    labels = tuple(
        label
        for label in sample.labels
        if (label.task, label.source) in spoken or label.source.startswith("import")
    )
    meta = {name: value for name, value in sample.meta.items() if name in theirs.meta}
    extra = {name: value for name, value in sample.extra.items() if name in theirs.extra}
    return sample.replace(regions=regions, labels=labels, meta=meta, extra=extra)


class ExportBase:
    """A commit as the exporter wrote it: written again, and read back by the format."""

    complete = True

    def __init__(
        self, commit: bytes, version: Dataset, projected: dict[bytes, bytes], job: ImportJob
    ) -> None:
        self.name: str | None = commit.hex()
        self.commit: bytes | None = commit
        self._version = version
        self._projected = projected
        holds, task = job.form.holds, job.options.task
        self._written = Projection(holds, version.vocabulary, task, job.load)
        self._read = Projection(holds, job.draft, task, job.load)
        self.moved, self.removed = _gone(projected, version, job.version)
        self._before = {now: then for then, now in self.moved.items()}

    def keys(self) -> Iterator[bytes]:
        here = (key for key in self._projected if key.decode() not in self.removed)
        return iter(sorted(self.moved.get(key, key) for key in here))

    def row(self, key: bytes) -> bytes | None:
        """The encoded projection of a sample."""
        return self._projected.get(self._before.get(key, key))

    def names(self, names: Mapping[str, str]) -> dict[str, str]:
        """Names of the format → keys, as samples are called now."""
        now = {then.decode(): key.decode() for then, key in self.moved.items()}
        return {**now, **{name: now.get(key, key) for name, key in names.items()}}

    def sample(self, key: bytes, ours: Sample | None, theirs: Sample) -> Sample | None:
        row = self.row(key)
        return None if row is None else decode_sample(row)

    def original(self, key: bytes) -> Sample | None:
        row = self._version.row(SAMPLES, self._before.get(key, key))
        return None if row is None else decode_sample(row)

    def counterparts(self, key: bytes) -> Mapping[bytes, bytes]:
        original, projected = self.original(key), self.row(key)
        if original is None or projected is None:
            return {}
        old = self._written.project(original).regions
        new = self._read.project(decode_sample(projected)).regions
        pairing = pair_regions(old, new, class_of=_first_value, load=self._read.load)
        found = {new[pair.new].id: old[pair.old].id for pair in pairing.pairs}
        if len(pairing.old_left) == len(pairing.new_left):  # changed beyond likeness, in order
            left = zip(pairing.old_left, pairing.new_left, strict=True)
            found.update({new[b].id: old[a].id for a, b in left})
        return found


def _gone(
    keys: Iterable[bytes], then: Dataset, now: Dataset
) -> tuple[dict[bytes, bytes], dict[str, Image]]:
    """Of keys that are no longer there: old key → new one of those moved, the images of others."""
    uids: dict[bytes, bytes] = {}
    images: dict[bytes, Image] = {}
    for key in keys:
        row = then.row(SAMPLES, key) if now.row(SAMPLES, key) is None else None
        if row is not None:
            sample = decode_sample(row)
            uids[sample.uid], images[key] = key, sample.image
    moved: dict[bytes, bytes] = {}
    if uids:
        for key, row in now.rows(SAMPLES):
            old = uids.get(decode_sample(row).uid)
            if old is not None:
                moved[old] = key
    return moved, {key.decode(): image for key, image in images.items() if key not in moved}


def _first_value(region: Region) -> object:
    return region.labels[0].value if region.labels else None


# -- records --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ExportRecord:
    """What an export was made of; `digest` is the hash of its label files.

    `names` maps what the format calls an image to its key, where the two differ; `images` says
    whether they were written too.
    """

    format: str
    commit: bytes
    digest: str
    where: str | None = None
    keys: tuple[str, ...] = ()
    task: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    file_name: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    images: bool = True
    version: int = EXPORTER_VERSION

    def as_json(self) -> dict[str, Any]:
        """The content of `vgr-export.json`."""
        return {
            "format": self.format,
            "commit": self.commit.hex(),
            "digest": self.digest,
            "where": self.where,
            "keys": list(self.keys),
            "task": self.task,
            "settings": dict(self.settings),
            "file_name": self.file_name,
            "names": dict(self.names),
            "images": self.images,
            "exporter": self.version,
        }

    @classmethod
    def from_json(cls, value: Any, path: Path) -> ExportRecord:
        """The record of such a file; InvalidDataError for another."""
        try:
            return cls(
                format=str(value["format"]),
                commit=bytes.fromhex(value["commit"]),
                digest=str(value["digest"]),
                where=value["where"],
                keys=tuple(value["keys"]),
                task=value["task"],
                settings=dict(value["settings"]),
                file_name=value["file_name"],
                names=dict(value["names"]),
                images=bool(value["images"]),
                version=int(value["exporter"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidDataError(
                f"not a record of an export: {error}", path=path, hint=f"rm {path}"
            ) from None


def record_path(folder: Path, file_name: str | None) -> Path:
    """Where the record of an export lies: beside its one file, or in its folder."""
    return folder / (RECORD_NAME if file_name is None else f"{file_name}.{RECORD_NAME}")


def read_record(path: Path, form: Format) -> ExportRecord | None:
    """The record beside a file or in a folder, if it is of this format."""
    record = find_record(path)
    return record if record is not None and record.format == form.name else None


def find_record(path: Path) -> ExportRecord | None:
    """The record beside a file or in a folder; InvalidDataError for a damaged one."""
    candidates = (
        [record_path(path, None)]
        if path.is_dir()
        else [
            record_path(path.parent, path.name),
            record_path(path.parent, None),
            record_path(path.parent.parent, None),
        ]
    )
    for candidate in candidates:
        if candidate.is_file():
            try:
                value = json.loads(candidate.read_text())
            except ValueError:
                raise InvalidDataError(
                    "not a record of an export: no JSON", path=candidate, hint=f"rm {candidate}"
                ) from None
            return ExportRecord.from_json(value, candidate)
    return None


def note_export(repo: Repository, record: ExportRecord) -> None:
    """Keep the record in the repository too."""
    value = json.dumps(record.as_json(), sort_keys=True)
    name = EXPORTS + blake3(value.encode()).hexdigest()[:32]
    if repo.store.value(name) is None:
        with repo.transaction("export", record.format) as txn:
            txn.move(name, {"commit": object_ref(record.commit), "record": value}, old=None)
            txn.commit()


def note_import(
    txn: Transaction, repo: Repository, series: str, roots: Mapping[str, bytes]
) -> None:
    """Remember the version that an import made, as the base of the next one of its name."""
    name = _series_value(series)
    old = repo.store.value(name)
    new = {"snapshot": object_ref(write_snapshot(txn, roots))}
    if new != old:
        txn.move(name, new, old=old)


def series_base(repo: Repository, series: str) -> Base:
    """The base of an import that has no record of an export."""
    if repo.store.value(_series_value(series)) is None:
        return OwnBase(series)
    return SeriesBase(series, taken_before(repo, series))


def taken_before(repo: Repository, series: str) -> Dataset:
    """The samples as they were when they were last taken from a source of this name."""
    value = repo.store.value(_series_value(series))
    roots = {} if value is None else read_snapshot(repo.store, bytes(value["snapshot"].data))
    return Dataset(repo.store, roots)


def _series_value(series: str) -> str:
    short = series if len(series.encode()) <= _MOST_NAME and series.isprintable() else ""
    return IMPORTS + (short or blake3(series.encode(errors="surrogateescape")).hexdigest())


def is_here(repo: Repository, commit: bytes) -> bool:
    """Whether the repository has a commit."""
    try:
        repo.resolve(commit.hex())
    except NotFoundError:
        return False
    return True


def export_base(job: ImportJob, record: ExportRecord, stack: ExitStack) -> ExportBase:
    """The commit of an export as it was written; checked against the record's digest."""
    from voyager.formats.exporting import digest_of, write_again

    repo = job.repo
    version = repo.dataset_of(repo.resolve(record.commit.hex()))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vgr-base-")))
    writing = write_again(repo, version, record, job.form, folder / "export")
    if record.digest and digest_of(writing) != record.digest:
        raise StateError(
            f"commit {record.commit.hex()[:10]} is not written as it was by the export:"
            " another version of vgr made it",
            hint=f"vgr import --base {record.commit.hex()[:10]}",
        )
    projected = job.project(folder / "export", writing)
    return ExportBase(record.commit, version, projected, job)
