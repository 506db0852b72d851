"""Keeping bound label files in step: written anew as HEAD moves, and their edits taken in.

A file is compared with what it said when it was last in agreement with the repository: the commit
that it was written from, or after `vgr add` the very bytes that were added.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from blake3 import blake3

from voyager.errors import (
    InvalidDataError,
    StateError,
    VoyagerError,
)
from voyager.formats.bound_cache import BoundCache, Look, WithBlobs, Written
from voyager.formats.exporting import losses_of, write_again
from voyager.formats.imported import Imported
from voyager.formats.importing import ImportJob, import_labels
from voyager.formats.reading import ReadOptions
from voyager.formats.records import Base, ExportBase, ExportRecord, export_base
from voyager.formats.registry import format_named
from voyager.formats.report import Report
from voyager.repo.bound import (
    UNADDED,
    Binding,
    BoundFile,
    State,
    same_labels,
)
from voyager.repo.class_facts import class_facts
from voyager.repo.dataset import Dataset
from voyager.repo.intake import hash_file
from voyager.repo.label_diff import label_diff, terms_of
from voyager.repo.label_stat import Stat, stat_of
from voyager.repo.repository import Repository
from voyager.repo.snapshot import read_snapshot
from voyager.repo.worktree import name_keys
from voyager.schema import HUMAN, Sample
from voyager.schema.vocabulary import CATEGORY
from voyager.store import files
from voyager.wire import encode

_MISSING: Final = "an exported image is not in the file: left as it is"


@dataclass(frozen=True, slots=True)
class Bound:
    """What `bind` did: how much it wrote, and what of it the format has no place for."""

    binding: Binding
    samples: int
    regions: int
    labels: int
    report: Report


class Following:
    """Keeps the bound files of a repository in step with it."""

    def __init__(self, repo: Repository, known: Mapping[str, Binding]) -> None:
        self._repo = repo
        self._root = repo.tree()
        self._known = known
        self._cache = BoundCache(repo.folder / "cache", self._root)

    # -- what moves HEAD ---------------------------------------------------------------------------

    def refuse_edited(self, what: str, there: Dataset) -> None:
        """StateError when going to a version would overwrite edits that were not added."""
        repo = self._repo
        if same_labels(repo.dataset_of(repo.head.commit), there):
            return
        edited = [one for one in self.look() if one.state in UNADDED]
        if edited:
            may = ", or -f to give them up" if what in ("switch", "checkout") else ""
            raise StateError(
                f"{what} would overwrite edits of the bound {name_keys(one.key for one in edited)}",
                hint=f"vgr add it, vgr restore it{may}",
            )

    def follow(self, *, force: bool = False) -> list[tuple[str, str]]:
        """Write files anew from HEAD, but (without `force`) those with edits; what failed."""
        failed: list[tuple[str, str]] = []
        now = self._current()
        for binding in self._known.values():
            written = self._written(binding.key)
            digest = self._cache.digest(binding.key)
            clean = digest is not None and digest == written.digest and written.added is None
            if clean and now.commit is not None and same_labels(self._version(written), now):
                if written.commit != head_of(self._repo):
                    self._cache.note(binding.key, replace(written, commit=head_of(self._repo)))
                continue
            if not force and digest not in (None, written.digest):
                found = self.look_at(binding, written)
                if found.state != "in step" or found.missing:
                    continue
            try:
                self.write_binding(binding, now)
            except (VoyagerError, OSError) as error:
                failed.append((binding.key, _reason(error)))
        return failed

    def stay(self) -> None:
        """Leave the files as they are though HEAD or staging moved: they differ from it now."""
        head = head_of(self._repo)
        for key in self._known:
            written = self._written(key)
            digest = self._cache.digest(key)
            if written.added is None and digest == written.digest and written.commit == head:
                continue
            if written.added is not None or written.digest in (None, digest):
                self._cache.note(key, Written(head))

    # -- looking -----------------------------------------------------------------------------------

    def look(self, keys: Iterable[str] | None = None) -> list[BoundFile]:
        """How files stand, all by default."""
        wanted = self._known if keys is None else list(keys)
        return [self.look_at(self._known[key], self._written(key)) for key in wanted]

    def look_at(self, binding: Binding, written: Written) -> BoundFile:
        """How one file stands, that was last in agreement as `written`."""
        key, repo = binding.key, self._repo
        digest = self._cache.digest(key)
        if digest is None:
            return BoundFile(key, "gone")
        if digest == written.digest:
            head = repo.dataset_of(repo.head.commit)
            if written.added is not None:
                return BoundFile(key, "in step" if same_labels(head, repo.staged()) else "added")
            fresh = same_labels(self._version(written), head)
            return BoundFile(key, "in step" if fresh else "stale")
        try:
            look = self._look(binding, written, digest)
        except (VoyagerError, OSError) as error:
            return _stuck(key, error)
        return _told(key, look.missing, repo.staged(), look.version(repo.store, repo.staging))

    def view(self, version: Dataset) -> tuple[Dataset, list[tuple[str, str]]]:
        """What is staged with the edits of all files, and those that cannot be read."""
        failed: list[tuple[str, str]] = []
        rows, blobs = dict(version.overlay), dict[bytes, bytes]()
        for key, binding in self._known.items():
            written, digest = self._written(key), self._cache.digest(key)
            if digest in (None, written.digest):
                continue
            try:
                look = self._look(binding, written, digest or "")
            except (VoyagerError, OSError) as error:
                failed.append((key, _reason(error)))
                continue
            rows.update(((space, at), row) for space, at, row in look.rows)
            blobs.update(look.blobs)
        return Dataset(WithBlobs(self._repo.store, blobs), version.roots, rows), failed

    def _look(self, binding: Binding, written: Written, digest: str) -> Look:
        """What the edits of a file would stage; looked for once while nothing changes."""
        staging = self._repo.staging
        of = _hash(
            encode(
                [
                    binding.as_value(),
                    asdict(written),
                    digest,
                    staging.snapshot,
                    sorted((space, key, row) for (space, key), row in staging.overlay.items()),
                ]
            )
        )
        found = self._cache.look(binding.key, of)
        if found is not None:
            return found
        done = self._import(binding, written, dry_run=True)
        assert done.view is not None
        rows = [(space, key, row) for (space, key), row in done.view.overlay.items()]
        look = Look(rows, _missing(done), done.new_blobs)
        if not done.added:  # what becomes of new images depends on files beside it
            self._cache.keep_look(binding.key, of, look)
        return look

    # -- taking in ---------------------------------------------------------------------------------

    def take(self, keys: Iterable[str], *, dry_run: bool = False) -> list[BoundFile]:
        """Stage the edits of files; those that cannot be read or taken in are told as such."""
        found = []
        for key in keys:
            written = self._written(key)
            if dry_run or self._cache.digest(key) in (None, written.digest):
                found.append(self.look_at(self._known[key], written))
                continue
            try:
                found.append(self._take(self._known[key], written))
            except VoyagerError as error:
                found.append(_stuck(key, error))
        return found

    def _take(self, binding: Binding, written: Written) -> BoundFile:
        key, repo = binding.key, self._repo
        data = (self._root / key).read_bytes()
        before = repo.staged()
        done = self._import(binding, written)
        noted = Written(written.commit or head_of(repo), _hash(data), names=dict(written.names))
        self._cache.note(key, self._added(key, noted, data))
        return _told(key, _missing(done), before, repo.staged())

    def _added(self, key: str, written: Written, data: bytes) -> Written:
        """Keep the bytes that say what is staged; how they are remembered."""
        self._cache.keep_copy(key, written, data)
        return replace(written, added=self._repo.staging.snapshot.hex())

    def _import(self, binding: Binding, written: Written, *, dry_run: bool = False) -> Imported:
        """Import the file against what it was; its edits are a person's."""
        options = ReadOptions(
            images=self._root,
            task=binding.task or _only_task(self._repo.staged()),
            source=HUMAN,
            settings=binding.settings,
        )

        def base(job: ImportJob, stack: ExitStack) -> tuple[Base, dict[str, str]]:
            return self._base(binding, written, job, stack)

        return import_labels(
            self._repo,
            self._root / binding.key,
            format_named(binding.format),
            options,
            name=binding.key,
            based=base,
            operation=("add", binding.key),
            dry_run=dry_run,
        )

    def _base(
        self, binding: Binding, written: Written, job: ImportJob, stack: ExitStack
    ) -> tuple[Base, dict[str, str]]:
        """What the file said: the bytes that were added, else the commit as it is written."""
        copy = self._cache.copy(binding.key, written)
        names = dict(written.names)
        if written.added is not None and copy.exists():
            version = self._added_version(written.added)
            projected = job.read_projection(copy, version, names)
            base = ExportBase(b"", version, projected, job)
        else:
            record = self._record(binding, written)
            if record is None:
                return _Nothing(), names
            base = export_base(job, record, stack)
        return base, base.names(names)

    def _added_version(self, snapshot: str) -> Dataset:
        """What was staged when a file was added; what is staged now, where that is not known."""
        repo = self._repo
        if snapshot == repo.staging.snapshot.hex():
            return repo.staged()
        try:
            return Dataset(repo.store, read_snapshot(repo.store, bytes.fromhex(snapshot)))
        except VoyagerError:
            return repo.staged()

    def _record(self, binding: Binding, written: Written) -> ExportRecord | None:
        commit = written.commit or head_of(self._repo)
        if commit is None:
            return None
        return ExportRecord(
            binding.format,
            bytes.fromhex(commit),
            "",
            where=binding.where,
            task=binding.task,
            settings=binding.settings,
            file_name=Path(binding.key).name,
            names=written.names,
        )

    # -- writing -----------------------------------------------------------------------------------

    def write(self, keys: Iterable[str], source: str | None = None) -> None:
        """Write files anew as is staged, or as a revision has it; edits are lost."""
        repo = self._repo
        version = self._current() if source is None else repo.at(source)
        for key in keys:
            self.write_binding(self._known[key], version)
            if source is not None and version.commit != repo.head.commit:
                self._cache.note(
                    key, Written(head_of(repo))
                )  # it says otherwise than HEAD: an edit

    def write_new(self, binding: Binding) -> Bound:
        """Write a file for the first time; how much it holds."""
        done = self.write_binding(binding, self._current(), count=True)
        assert done is not None
        return done

    def _current(self) -> Dataset:
        """The version of HEAD, or what is staged where that says otherwise of labels."""
        head, staged = self._repo.dataset_of(self._repo.head.commit), self._repo.staged()
        return head if same_labels(head, staged) else staged

    def write_binding(
        self, binding: Binding, version: Dataset, *, count: bool = False
    ) -> Bound | None:
        """Write one file from a version, all of it or nothing; with `count`, what it holds."""
        form = format_named(binding.format)
        target = self._root / binding.key
        record = ExportRecord(
            form.name,
            version.commit or b"",
            "",
            where=binding.where,
            task=binding.task,
            settings=binding.settings,
            file_name=target.name,
        )
        files.make_folder(self._cache.folder)
        with tempfile.TemporaryDirectory(prefix="writing-", dir=self._cache.folder) as folder:
            writing = write_again(self._repo, version, record, form, Path(folder) / "new")
            if writing.label_files != [target.name]:
                raise InvalidDataError(f"{form.title} wrote no file '{target.name}'")
            made = writing.folder / target.name
            digest = hash_file(made).hex()
            _sync(made)
            noted = Written(head_of(self._repo), digest, names=dict(writing.names))
            if version.commit is not None:
                noted = replace(noted, commit=version.commit.hex())
            elif version.overlay or version.roots:
                noted = self._added(binding.key, noted, made.read_bytes())
            files.make_folder(target.parent)
            self._cache.note_replacing(binding.key, noted)
            files.rename(made, target)
            files.sync_folder(target.parent)
            self._cache.note(binding.key, noted)
            done = losses_of(form, writing) if count else None
        if done is None:
            return None
        return Bound(binding, done.samples, done.regions, done.labels, done.report)

    def _version(self, written: Written) -> Dataset:
        commit = None if written.commit is None else bytes.fromhex(written.commit)
        return self._repo.dataset_of(commit)

    def _written(self, key: str) -> Written:
        return self._cache.written(key, head_of(self._repo))

    def forget(self, key: str) -> None:
        """Remember nothing of a file."""
        self._cache.forget(key)


class _Nothing:
    """The base of a file that was bound before there was a commit: it said nothing."""

    complete = True
    name: str | None = None
    commit: bytes | None = None

    def keys(self) -> Iterator[bytes]:
        return iter(())

    def sample(self, key: bytes, ours: Sample | None, theirs: Sample) -> Sample | None:
        return None

    def original(self, key: bytes) -> None:
        return None

    def counterparts(self, key: bytes) -> Mapping[bytes, bytes]:
        return {}


def _only_task(version: Dataset) -> str:
    """The task that a file is of when nobody said which: `category`, else the only one."""
    tasks = [name for name, task in version.vocabulary.tasks.items() if task.kind == "category"]
    return tasks[0] if len(tasks) == 1 else CATEGORY


def _told(key: str, missing: int, before: Dataset, after: Dataset) -> BoundFile:
    stat = _stat(before, after)
    state: State = "edited" if stat.counts else "in step"
    return BoundFile(key, state, stat, missing)


def _missing(done: Imported) -> int:
    return sum(entry.count for _, kind, entry in done.report if kind == _MISSING)


def _stat(before: Dataset, after: Dataset) -> Stat:
    terms = terms_of(before, after)
    return stat_of(label_diff(before, after), terms, class_facts(before, after))


def _hash(data: bytes) -> str:
    return blake3(data).hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        files.sync(fd)
    finally:
        os.close(fd)


def _stuck(key: str, error: VoyagerError | OSError) -> BoundFile:
    state: State = "conflict" if isinstance(error, StateError) else "unreadable"
    return BoundFile(key, state, reason=_reason(error))


def _reason(error: VoyagerError | OSError) -> str:
    """Why a file cannot be read or written, with its place."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    line = getattr(error, "line", None)
    return f"line {line}: {error.message}" if line else error.message


def head_of(repo: Repository) -> str | None:
    commit = repo.head.commit
    return None if commit is None else commit.hex()
