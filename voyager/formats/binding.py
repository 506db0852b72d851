"""Bound label files: written anew as HEAD moves, and their edits taken into the staging area.

A file is compared with what it said when it was last in agreement with the repository: the commit
that it was written from, or after `vgr add` the very bytes that were added.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from voyager.errors import (
    ExistsError,
    InvalidDataError,
    NotFoundError,
    StateError,
    UsageError,
    VoyagerError,
)
from voyager.formats.base import Format
from voyager.formats.exporting import losses_of, write_again
from voyager.formats.importing import Imported, ImportJob, import_labels
from voyager.formats.reading import ReadOptions
from voyager.formats.records import Base, ExportBase, ExportRecord, export_base
from voyager.formats.registry import format_named
from voyager.formats.report import Report
from voyager.repo.bound import (
    UNADDED,
    Binding,
    BoundFile,
    State,
    binding_name,
    bindings,
    same_labels,
)
from voyager.repo.class_facts import class_facts
from voyager.repo.dataset import Dataset
from voyager.repo.intake import hash_file
from voyager.repo.keys import check_key, shown
from voyager.repo.label_diff import label_diff, terms_of
from voyager.repo.label_stat import Stat, stat_of
from voyager.repo.repository import Repository
from voyager.repo.snapshot import read_snapshot
from voyager.repo.worktree import name_keys, under_link
from voyager.schema import HUMAN, Sample
from voyager.schema.vocabulary import CATEGORY
from voyager.store import files

_STATES: Final = "bound.json"
_MISSING = "an exported image is not in the file: left as it is"


@dataclass(frozen=True, slots=True)
class Written:
    """What a bound file was when it was last in agreement: of which commit, and its bytes' hash.

    Without `digest` its bytes are not known: it may have been edited. `added` is the staged
    snapshot that `vgr add` made of a file with these bytes, of which the cache keeps a copy.
    `before` is what held while the file was being replaced, for when that was interrupted.
    """

    commit: str | None = None
    digest: str | None = None
    added: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    before: Written | None = None

    @classmethod
    def of(cls, value: dict[str, Any]) -> Written:
        """As it was saved."""
        before = value.pop("before", None)
        return cls(**value, before=None if before is None else cls.of(before))

    def sides(self) -> Iterator[Written]:
        """What it is, and what held before."""
        yield self
        if self.before is not None:
            yield self.before


@dataclass(frozen=True, slots=True)
class Bound:
    """What `bind` did: how much it wrote, and what of it the format has no place for."""

    binding: Binding
    samples: int
    regions: int
    labels: int
    report: Report


def bind(
    repo: Repository,
    key: str,
    format: str,
    *,
    where: str | None = None,
    task: str | None = None,
    settings: Mapping[str, str] | None = None,
    force: bool = False,
) -> Bound:
    """Bind a file of the working tree to the labels of HEAD: write it, and keep it in step.

    A file that is there is replaced if it says what HEAD says, or with `force`. Raises StateError
    for a tracked file, UsageError for a format that needs more than one file.
    """
    repo.refuse_if_running()
    form = format_named(format)
    binding = Binding(check_key(key), form.name, where, task, dict(settings or {}))
    _check(repo, binding, form)
    path = repo.tree() / key
    follower = Following(repo, {**bindings(repo), key: binding})
    if path.exists() and not force:
        found = follower.look_at(binding, Written(_head(repo)))
        if found.state != "in step":
            raise ExistsError(
                f"'{shown(key)}' is there and says something else",
                hint=f"vgr import '{shown(key)}' takes its labels; --force replaces it",
            )
    done = follower.write_new(binding)
    name = binding_name(key)
    old, new = repo.store.value(name), binding.as_value()
    if old != new:
        with repo.transaction("bind", key[:200]) as txn:
            txn.move(name, new, old=old)
            txn.commit()
    repo.follower = Following(repo, bindings(repo))
    return done


def unbind(repo: Repository, key: str) -> None:
    """Forget a binding; the file stays as it is. NotFoundError where there is none."""
    name = binding_name(key)
    old = repo.store.value(name)
    if old is None:
        raise NotFoundError(f"'{shown(key)}' is not bound", hint="vgr bind lists what is")
    with repo.transaction("unbind", key[:200]) as txn:
        txn.move(name, None, old=old)
        txn.commit()
    known = bindings(repo)
    follower = Following(repo, known)
    follower.forget(key)
    repo.follower = follower if known else None


def attach(repo: Repository) -> None:
    """Let the bound files of a repository follow what is done to it."""
    known = bindings(repo) if repo.root is not None else {}
    repo.follower = Following(repo, known) if known else None


def _check(repo: Repository, binding: Binding, form: Format) -> None:
    key, root = binding.key, repo.tree()
    if not form.one_file or form.write is None or form.read is None:
        raise UsageError(
            f"{form.title} is no format of one file", hint="vgr bind FILE --format jsonl"
        )
    if not Path(key).suffix:
        raise UsageError(f"'{shown(key)}' has no extension", hint="vgr bind labels.jsonl …")
    for name in binding.settings:
        if name not in form.settings:
            known = ", ".join(form.settings) or "none"
            raise UsageError(f"{form.title} has no setting '{name}' (it has: {known})")
    for version in (repo.staged(), repo.dataset_of(repo.head.commit)):
        if version.space_of(key) is not None:
            raise StateError(f"'{shown(key)}' is tracked", hint=f"vgr rm --cached '{shown(key)}'")
    if (root / key).is_dir() or under_link(root, key) or key.split("/")[0] == ".vgr":
        raise ExistsError(f"'{shown(key)}' can be no file")


def _head(repo: Repository) -> str | None:
    commit = repo.head.commit
    return None if commit is None else commit.hex()


class Following:
    """Keeps the bound files of a repository in step with it."""

    def __init__(self, repo: Repository, known: Mapping[str, Binding]) -> None:
        self._repo = repo
        self._root = repo.tree()
        self._known = known
        self._cache = repo.folder / "cache"

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
            digest = self._digest(binding.key)
            clean = digest is not None and digest == written.digest and written.added is None
            if clean and now.commit is not None and same_labels(self._version(written), now):
                if written.commit != _head(self._repo):
                    self._note(binding.key, replace(written, commit=_head(self._repo)))
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
        head = _head(self._repo)
        for key in self._known:
            written = self._written(key)
            digest = self._digest(key)
            if written.added is None and digest == written.digest and written.commit == head:
                continue
            if written.added is not None or written.digest in (None, digest):
                self._note(key, Written(head))

    # -- looking -----------------------------------------------------------------------------------

    def look(self, keys: Iterable[str] | None = None) -> list[BoundFile]:
        """How files stand, all by default."""
        wanted = self._known if keys is None else list(keys)
        return [self.look_at(self._known[key], self._written(key)) for key in wanted]

    def look_at(self, binding: Binding, written: Written) -> BoundFile:
        """How one file stands, that was last in agreement as `written`."""
        key, repo = binding.key, self._repo
        digest = self._digest(key)
        if digest is None:
            return BoundFile(key, "gone")
        if digest == written.digest:
            head = repo.dataset_of(repo.head.commit)
            if written.added is not None:
                return BoundFile(key, "in step" if same_labels(head, repo.staged()) else "added")
            fresh = same_labels(self._version(written), head)
            return BoundFile(key, "in step" if fresh else "stale")
        try:
            done = self._import(binding, written, dry_run=True)
        except (VoyagerError, OSError) as error:
            return _stuck(key, error)
        return self._told(key, done, repo.staged(), done.view or repo.staged())

    def view(self, version: Dataset) -> tuple[Dataset, list[tuple[str, str]]]:
        """What is staged with the edits of all files, and those that cannot be read."""
        failed: list[tuple[str, str]] = []
        for key, binding in self._known.items():
            written = self._written(key)
            if self._digest(key) in (None, written.digest):
                continue
            try:
                done = self._import(binding, written, dry_run=True)
            except (VoyagerError, OSError) as error:
                failed.append((key, _reason(error)))
                continue
            if done.view is not None:
                overlay = {**version.overlay, **done.view.overlay}
                version = Dataset(done.view.objects, version.roots, overlay)
        return version, failed

    # -- taking in ---------------------------------------------------------------------------------

    def take(self, keys: Iterable[str], *, dry_run: bool = False) -> list[BoundFile]:
        """Stage the edits of files; those that cannot be read or taken in are told as such."""
        found = []
        for key in keys:
            written = self._written(key)
            if dry_run or self._digest(key) in (None, written.digest):
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
        noted = Written(written.commit or _head(repo), _hash(data), names=dict(written.names))
        self._note(key, self._added(key, noted, data))
        return self._told(key, done, before, repo.staged())

    def _added(self, key: str, written: Written, data: bytes) -> Written:
        """Keep the bytes that say what is staged; how they are remembered."""
        files.make_folder(self._cache)
        files.write_atomic(self._copy(key, written), data)
        return replace(written, added=self._repo.staging.snapshot.hex())

    def _told(self, key: str, done: Imported, before: Dataset, after: Dataset) -> BoundFile:
        stat = _stat(before, after)
        found = {kind: entry.count for _, kind, entry in done.report}
        state: State = "edited" if stat.counts else "in step"
        return BoundFile(key, state, stat, found.get(_MISSING, 0))

    def _import(self, binding: Binding, written: Written, *, dry_run: bool = False) -> Imported:
        """Import the file against what it was; its edits are a person's."""
        options = ReadOptions(
            images=self._root,
            task=binding.task or CATEGORY,
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
        copy = self._copy(binding.key, written)
        names = dict(written.names)
        if written.added is not None and copy.exists():
            version = self._added_version(written.added)
            projected = job.read_projection(copy, version, names)
            return ExportBase(b"", version, projected, job), names
        record = self._record(binding, written)
        if record is None:
            return _Nothing(), names
        return export_base(job, record, stack), names

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
        commit = written.commit or _head(self._repo)
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
                self._note(key, Written(_head(repo)))  # it says otherwise than HEAD: an edit

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
        files.make_folder(self._cache)
        with tempfile.TemporaryDirectory(prefix="writing-", dir=self._cache) as folder:
            writing = write_again(self._repo, version, record, form, Path(folder) / "new")
            if writing.label_files != [target.name]:
                raise InvalidDataError(f"{form.title} wrote no file '{target.name}'")
            made = writing.folder / target.name
            digest = hash_file(made).hex()
            _sync(made)
            noted = Written(_head(self._repo), digest, names=dict(writing.names))
            if version.commit is not None:
                noted = replace(noted, commit=version.commit.hex())
            elif version.overlay or version.roots:
                noted = self._added(binding.key, noted, made.read_bytes())
            files.make_folder(target.parent)
            known = binding.key in self._states()
            before = self._written(binding.key) if known else None
            self._note(binding.key, replace(noted, before=before))
            files.rename(made, target)
            files.sync_folder(target.parent)
            self._note(binding.key, noted)
            done = losses_of(form, writing) if count else None
        if done is None:
            return None
        return Bound(binding, done.samples, done.regions, done.labels, done.report)

    # -- what is remembered ------------------------------------------------------------------------

    def _digest(self, key: str) -> str | None:
        """The hash of the bytes of a file, None where there is none."""
        try:
            return hash_file(self._root / key).hex()
        except OSError:
            return None

    def _version(self, written: Written) -> Dataset:
        commit = None if written.commit is None else bytes.fromhex(written.commit)
        return self._repo.dataset_of(commit)

    def _copy(self, key: str, written: Written) -> Path:
        """Where the bytes of an added file are kept."""
        return self._cache / f"bound-{(written.digest or '')[:32]}{Path(key).suffix}"

    def _states(self) -> dict[str, Written]:
        try:
            value = json.loads((self._cache / _STATES).read_bytes())
            return {key: Written.of(one) for key, one in value.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _written(self, key: str) -> Written:
        found = self._states().get(key) or Written(_head(self._repo))
        if found.before is not None and self._digest(key) != found.digest:
            return replace(found.before, before=None)  # killed before the file was replaced
        return replace(found, before=None)

    def _note(self, key: str, written: Written) -> None:
        states = {k: one for k, one in self._states().items() if k in self._known}
        states[key] = written
        self._save(states)

    def forget(self, key: str) -> None:
        """Remember nothing of a file."""
        states = self._states()
        states.pop(key, None)
        self._save(states)

    def _save(self, states: Mapping[str, Written]) -> None:
        files.make_folder(self._cache)
        text = json.dumps({key: asdict(one) for key, one in sorted(states.items())}, indent=1)
        files.write_atomic(self._cache / _STATES, text.encode())
        sides = ((key, side) for key, one in states.items() for side in one.sides())
        kept = {self._copy(key, side).name for key, side in sides if side.added is not None}
        for copy in self._cache.glob("bound-*"):
            if copy.name not in kept:
                files.remove(copy)


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


def _stat(before: Dataset, after: Dataset) -> Stat:
    terms = terms_of(before, after)
    return stat_of(label_diff(before, after), terms, class_facts(before, after))


def _hash(data: bytes) -> str:
    from blake3 import blake3

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
