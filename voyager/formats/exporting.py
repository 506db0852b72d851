"""The export engine: a version (or part of it) in a format, all of it or nothing, and recorded."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from blake3 import blake3

from voyager.errors import ExistsError, UsageError
from voyager.formats.base import RECORD_NAME, Format
from voyager.formats.chosen import Chosen
from voyager.formats.records import ExportRecord, note_export, record_path
from voyager.formats.report import Report
from voyager.formats.unheld import Losses
from voyager.formats.writing import Images, Watch, WriteOptions, Writing
from voyager.repo.conflicts import refuse_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.schema import Sample
from voyager.store import bulk, files

_CHUNK = 1 << 20


@dataclass(slots=True)
class Exported:
    """What an export wrote; what is lost is not in the counts."""

    path: Path
    commit: bytes | None
    report: Report
    samples: int = 0
    regions: int = 0
    labels: int = 0
    hint: str | None = None
    """What the user may have meant instead."""

    def as_json(self) -> dict[str, Any]:
        """The JSON of `vgr export`."""
        return {
            "path": str(self.path),
            "commit": None if self.commit is None else self.commit.hex(),
            "samples": self.samples,
            "regions": self.regions,
            "labels": self.labels,
            "report": self.report.as_json(),
        }


def export(
    repo: Repository,
    version: Dataset,
    path: Path,
    form: Format,
    options: WriteOptions | None = None,
    *,
    where: str | None = None,
    keys: Sequence[str] = (),
    strict: bool = False,
    force: bool = False,
    record: bool = True,
    allow_conflicts: bool = False,
    progress: Progress = no_progress,
) -> Exported:
    """Write a version into a new folder, or a file for formats of one file.

    `where` and `keys` choose samples. What the format cannot hold is in the report. An export of a
    commit is recorded, so that its edited files can be imported again; of the staging area it is
    not. Raises ExistsError for a folder that is not empty, unless `force`, StateError for a version
    with conflicts, unless `allow_conflicts` (their fields are as in the base then),
    InvalidDataError with `strict` when something would be lost.
    """
    options = options or WriteOptions()
    _check_direction(form, options)
    other = form.becomes(options.settings)
    if other is not None:
        form, options = other[0], replace(options, settings=other[1])
    if not allow_conflicts:
        refuse_conflicts(version, "export")
    folder, file_name = _target(path, form, force=force)
    draft = _draft_of(folder, file_name)
    files.make_folder(draft.parent)
    if draft.exists():
        files.remove_tree(draft)
    done = Exported(path, version.commit, Report())
    try:
        files.make_folder(draft)
        with bulk.paused_gc():
            chosen = Chosen(version, where, keys)
            writing = _writing(repo, version, draft, chosen, options, done, file_name, progress)
            tally = writing.watch = _Tally(form, writing, done)
            assert form.write is not None
            form.write(writing)
            writing.finish_watch()
            tally.finish()
        done.hint = writing.hint
        done.report.refuse_if_strict(strict=strict)
        if record and version.commit is not None:
            noted = _record_of(form, writing, version.commit, where, keys, file_name)
            text = json.dumps(noted.as_json(), indent=1, ensure_ascii=False) + "\n"
            record_path(draft, file_name).write_text(text)
            note_export(repo, noted)
        _put_in_place(draft, folder, file_name, force=force)
    finally:
        if draft.exists():
            files.remove_tree(draft)
    return done


def _check_direction(form: Format, options: WriteOptions) -> None:
    if form.write is None:
        raise UsageError(f"{form.title} can only be read", hint="vgr export --help")
    form.check_settings(options.settings)


def _target(path: Path, form: Format, *, force: bool) -> tuple[Path, str | None]:
    """(folder, name of the one file or None); ExistsError for what is there already."""
    if form.one_file and path.suffix and not path.is_dir():
        if path.exists() and not force:
            raise ExistsError(f"'{path}' exists already", hint="--force replaces it")
        return path.parent, path.name
    if path.is_file():
        raise ExistsError(f"'{path}' is a file", hint="vgr export ANOTHER-FOLDER")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise ExistsError(f"'{path}' is not empty", hint="vgr export ANOTHER-FOLDER, or --force")
    return path, None


def _draft_of(folder: Path, file_name: str | None) -> Path:
    """Where it is written first: in a folder that is there, for it may be a mount; else beside."""
    place = Path(os.path.abspath(folder))
    name = f".{file_name or place.name}.{os.getpid()}.tmp"
    return place / name if place.is_dir() else place.with_name(name)


def _writing(
    repo: Repository,
    version: Dataset,
    folder: Path,
    chosen: Chosen,
    options: WriteOptions,
    done: Exported,
    file_name: str | None,
    progress: Progress,
) -> Writing:
    writing = Writing(
        version,
        folder,
        chosen,
        options,
        report=done.report,
        file_name=file_name,
        progress=progress,
    )
    if repo.root is not None and options.images == "link":
        writing.link_source = _Unedited(repo, version).path
    return writing


class _Unedited:
    """Files of the working tree that are as a version has them."""

    def __init__(self, repo: Repository, version: Dataset) -> None:
        from voyager.repo.worktree import changes_in

        self._root = repo.tree()
        found = changes_in(repo, version)
        self._edited = {entry.key for entry in found.modified} | set(found.deleted)

    def path(self, key: str) -> Path | None:
        """The file of a key, None where it was edited."""
        return None if key in self._edited else self._root / key


class _Tally(Watch):
    """Counts what is written, and what the format has no place for."""

    def __init__(self, form: Format, writing: Writing, done: Exported) -> None:
        self._form = form
        self._writing = writing
        self._done = done

    @cached_property
    def _losses(self) -> Losses:
        form, writing = self._form, self._writing
        task = _task_of(form, writing) or ""
        return Losses(form.holds, writing.vocabulary, task, writing.load)

    def note(self, key: str, sample: Sample) -> None:
        """Count what is written of a sample."""
        done = self._done
        gone = self._losses.count(key, sample, done.report)
        labels = len(sample.labels)
        for region in sample.regions:
            labels += len(region.labels)
        done.samples += 1 - gone.samples
        done.regions += len(sample.regions) - gone.regions
        done.labels += labels - gone.labels

    def lose(self, *, samples: int = 0, regions: int = 0, labels: int = 0) -> None:
        """Take back what was counted and is not written."""
        self._done.samples -= samples
        self._done.regions -= regions
        self._done.labels -= labels

    def forget(self) -> None:
        """Count from nothing."""
        self._done.samples = self._done.regions = self._done.labels = 0
        self._losses.nested.clear()

    def told(self) -> Any:
        """The counts; findings are in the report."""
        done = self._done
        return done.samples, done.regions, done.labels, self._losses.nested

    def hear(self, told: Any) -> None:
        """Add the counts of another process."""
        done = self._done
        samples, regions, labels, nested = told
        done.samples += samples
        done.regions += regions
        done.labels += labels
        self._losses.nested.update(nested)

    def finish(self) -> None:
        """Report what is said once of all samples."""
        if self._done.samples:
            self._losses.finish(self._done.report)


def _task_of(form: Format, writing: Writing) -> str | None:
    """The task that is exported; None where there is none, or all of them are."""
    tasks = {} if form.holds.whole else writing.vocabulary.tasks
    return writing.task if tasks and writing.task in tasks else None


def _record_of(
    form: Format,
    writing: Writing,
    commit: bytes,
    where: str | None,
    keys: Sequence[str],
    file_name: str | None,
) -> ExportRecord:
    return ExportRecord(
        format=form.name,
        commit=commit,
        digest=digest_of(writing),
        where=where,
        keys=tuple(keys),
        task=_task_of(form, writing),
        settings=writing.options.settings,
        file_name=file_name,
        names=writing.names,
        images=writing.options.images != "none",
    )


def digest_of(writing: Writing) -> str:
    """The hash of the label files of an export: their names and bytes, images left out."""
    hasher = blake3()
    for name in sorted(writing.label_files):
        with open(f"{writing.folder}/{name}", "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            hasher.update(f"{name}\0{size}\0".encode())
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
    return hasher.hexdigest()


def write_again(
    repo: Repository, version: Dataset, record: ExportRecord, form: Format, folder: Path
) -> Writing:
    """Write the label files of an export once more, and empty files for images if need be."""
    files.make_folder(folder)
    images: Images = "names" if record.images else "none"
    options = WriteOptions(task=record.task, images=images, settings=record.settings)
    chosen = Chosen(version, record.where, record.keys)
    done = Exported(folder, version.commit, Report())
    writing = _writing(repo, version, folder, chosen, options, done, record.file_name, no_progress)
    writing.placeholders = form.looks_at_images
    assert form.write is not None
    form.write(writing)
    return writing


def losses_of(form: Format, writing: Writing) -> Exported:
    """What was written, counted, and what of it the format has no place for."""
    done = Exported(writing.folder, writing.version.commit, writing.report)
    tally = _Tally(form, writing, done)
    for key, sample in writing.samples():
        tally.note(key, sample)
    tally.finish()
    return done


def _put_in_place(draft: Path, folder: Path, file_name: str | None, *, force: bool) -> None:
    """Move what was written to where it belongs; a whole new folder at once."""
    if file_name is None and not folder.exists():
        files.rename(draft, folder)
        return
    written = [path for path in sorted(draft.rglob("*")) if path.is_file()]
    targets = {source: folder / source.relative_to(draft) for source in written}
    for source, target in _new_files(targets, force=force).items():
        files.make_folder(target.parent)
        files.rename(source, target)


def _new_files(targets: Mapping[Path, Path], *, force: bool) -> dict[Path, Path]:
    """Those that are not there as they are; ExistsError for another, as an edited image."""
    found: dict[Path, Path] = {}
    for source, target in targets.items():
        if not target.exists() or target.name.endswith(RECORD_NAME) or force:
            found[source] = target
        elif not filecmp.cmp(source, target, shallow=False):
            raise ExistsError(
                f"'{target}' exists already, and is another", hint="--images none, or --force"
            )
    return found
