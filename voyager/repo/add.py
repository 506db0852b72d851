"""Taking files of the working tree into the staging area: bytes in, rows out.

Images become samples, everything else files kept as they are. A new key whose bytes belong to a
row with a vanished file is a rename: the row moves with all that is said of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voyager.errors import InvalidDataError, NotFoundError, StateError, VoyagerError
from voyager.images import IMAGE_EXTENSIONS, ImageInfo
from voyager.repo.bound import STUCK, BoundFile, bindings, bound_below
from voyager.repo.dataset import Dataset
from voyager.repo.folder_names import FolderClasses, split_of
from voyager.repo.guard_staging import StagingGuard
from voyager.repo.ignore import Ignore
from voyager.repo.intake import Source, Taken, take_all
from voyager.repo.keys import KeyPattern, key_of_path, key_problem, shown
from voyager.repo.label_files import LABEL_EXTENSIONS, label_format
from voyager.repo.namespace import folders_of_all
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.scan import FileStat
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.repo.staging import RowChange, stage
from voyager.repo.vocabulary import vocabulary_changes
from voyager.repo.worktree import changes_in, folding_pairs, lay_out
from voyager.schema import (
    FileRow,
    Image,
    Sample,
    decode_file,
    decode_sample,
    encode_file,
    encode_sample,
    sample_uid,
)
from voyager.schema.image_rows import ImageRows, Look
from voyager.store import bulk
from voyager.store.small_blobs import choose_dictionary
from voyager.store.transaction import Transaction
from voyager.wire import blob_ref

if TYPE_CHECKING:
    from voyager.repo.guard import Review


@dataclass(slots=True)
class Added:
    """What an add staged. `skipped` could not be taken, `noted` was taken with a remark.

    `left` counts vanished files whose rows stay, for want of `all`; `labeled` are those of the
    added that have the class of their folder.
    """

    added: int = 0
    labeled: int = 0
    modified: int = 0
    removed: int = 0
    removed_labels: int = 0
    renamed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    label_files: list[tuple[str, str]] = field(default_factory=list)
    left: int = 0
    bound: list[BoundFile] = field(default_factory=list)
    """Bound label files whose edits were looked for, and what of them was staged."""
    guard: Review | None = None
    """What the guard saw, where it had to look."""

    @property
    def changes(self) -> int:
        return self.added + self.modified + self.removed + len(self.renamed)


@dataclass(frozen=True, slots=True)
class Options:
    """How files are taken: which split new samples get, label files as plain ones, strictness.

    `class_task` is the task whose class is the folder that a new image lies in.
    """

    split: str | None = None
    split_from_folder: bool = False
    as_file: bool = False
    strict: bool = False
    class_task: str | None = None

    def split_of(self, key: str) -> str | None:
        """The split of a new sample."""
        return split_of(key) if self.split is None and self.split_from_folder else self.split


def add(
    repo: Repository,
    paths: Sequence[str],
    *,
    cwd: Path | None = None,
    all: bool = False,
    tracked_only: bool = False,
    to: str | None = None,
    options: Options | None = None,
    force: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Added:
    """Stage new and edited files below `paths`; with `all` also deletions.

    Paths outside the working tree need `to`, the folder of keys they are copied to. `force` takes
    what `.vgrignore` ignores, `dry_run` only tells what would be staged. Raises NotFoundError for a
    path that names nothing, StateError for a named path that is ignored and for a key that would
    be a folder of keys too, and with `strict` InvalidDataError for a file that had to be skipped
    or noted; then nothing is staged. The edits of bound label files are staged, as an operation of
    their own; the files themselves never are.
    """
    repo.refuse_if_running()
    cwd = cwd or Path.cwd()
    options = options or Options()
    if repo.follower is None or repo.root is None or to is not None:
        return _add_files(
            repo, paths, cwd, all, tracked_only, to, options, force, dry_run, progress
        )
    named = [key_of_path(repo.root, text, cwd) for text in paths]
    bound = bound_below(repo, named)
    rest = [text for text, key in zip(paths, named, strict=True) if key not in bound]
    result = (
        _add_files(repo, rest, cwd, all, tracked_only, to, options, force, dry_run, progress)
        if rest
        else Added()
    )
    result.bound = repo.follower.take(bound, dry_run=dry_run)
    for one in result.bound:
        if one.state in STUCK:
            if options.strict or not rest:
                raise _not_added(one)
            result.skipped.append((one.key, one.reason))
        elif one.state == "gone" and not rest:
            raise NotFoundError(
                f"the bound '{shown(one.key)}' is gone", hint=f"vgr restore '{shown(one.key)}'"
            )
    return result


def _not_added(one: BoundFile) -> VoyagerError:
    text = f"'{shown(one.key)}' was not added: {one.reason}"
    if one.state == "unreadable":
        return InvalidDataError(text)
    hint = f"make it say what is staged, or vgr restore '{shown(one.key)}' to give its edits up"
    return StateError(text, hint=hint)


def _add_files(
    repo: Repository,
    paths: Sequence[str],
    cwd: Path,
    all: bool,
    tracked_only: bool,
    to: str | None,
    options: Options,
    force: bool,
    dry_run: bool,
    progress: Progress,
) -> Added:
    """Stage files that are not bound."""
    result = Added()
    staging = repo.staging
    dataset = repo.staged_view(staging)
    outside = repo.root is None or to is not None
    if outside:
        from voyager.repo.copy_in import outside_sources

        sources = outside_sources(repo, paths, cwd, to, result)
        vanished: list[str] = []
    else:
        keys = _keys_of(repo, dataset, paths, cwd)
        ignore = Ignore(repo.tree(), use_files=not force)
        _refuse_ignored(dataset, ignore, keys or [], repo.tree())
        found = changes_in(repo, dataset, paths=keys, ignore=ignore, progress=progress)
        result.skipped += found.skipped
        bound = bindings(repo)
        found.untracked = [entry for entry in found.untracked if entry.key not in bound]
        sources = [
            Source(entry.key, f"{repo.root}/{entry.key}", entry.stat)
            for entry in sorted(
                [*found.modified, *found.mode_changed, *([] if tracked_only else found.untracked)],
                key=lambda entry: entry.key,
            )
        ]
        vanished = found.deleted
        del found  # a large add should not keep every list it went through
    deleted = vanished if all else []
    with repo.transaction("add", " ".join(paths)[:200]) as txn, bulk.paused_gc():
        usable = _usable(dataset, sources, options, result)
        stager = _Stager(repo, txn, dataset, options, result, [source.key for source in usable])
        changes = _take(repo, txn, stager, usable, result, progress)
        changes += _deletions(dataset, deleted, {key for _, key, _ in changes}, result)
        moved = {old for old, _ in result.renamed}
        result.left = 0 if all else len(set(vanished) - moved)
        _refuse_strictly(options, result)
        _refuse_folders(dataset, changes, vanished, outside=outside)
        guard = StagingGuard(repo, staging)
        held = guard.at_add(dataset, changes)
        result.guard = guard.found
        if dry_run or not changes:
            return result
        stage(txn, staging, [*changes, *held, *stager.new_classes()])
        txn.commit()
    guard.settle()
    if repo.root is not None and outside:
        lay_out(repo, dataset, [key.decode() for _, key, row in changes if row is not None])
    elif repo.root is not None:
        _note_stats(repo, dataset, stager.stats, [*deleted, *moved])
    return result


def _refuse_strictly(options: Options, result: Added) -> None:
    left_out = [(key, f"holds {form} labels") for key, form in result.label_files]
    found = [*result.skipped, *left_out, *result.noted]
    if options.strict and found:
        key, reason = found[0]
        raise InvalidDataError(
            f"'{shown(key)}': {reason}", hint="without --strict it is taken or skipped"
        )


def _refuse_folders(
    dataset: Dataset, changes: list[RowChange], vanished: Iterable[str], *, outside: bool
) -> None:
    """StateError for a key that would be a folder of keys as well (spec 3.1).

    A file of the working tree can only stand where a folder of keys vanished.
    """
    new = {key for _, key, row in changes if row is not None}
    gone = {key for _, key, row in changes if row is None} - new
    for folder in folders_of_all(new):
        kept = folder not in gone and dataset.space_of(folder.decode()) is not None
        if folder in new or kept:
            raise _both(folder.decode())
    left = folders_of_all({key.encode() for key in vanished} - gone)
    if outside and dataset.count(SAMPLES) + dataset.count(FILES):
        left |= {key for key in new if dataset.has_folder(key.decode())}
    for key in sorted(new & left):
        raise _both(key.decode())


def _both(key: str) -> StateError:
    return StateError(
        f"'{shown(key)}' would be a key and a folder of keys",
        hint="vgr add -A takes the vanished ones out",
    )


def _keys_of(
    repo: Repository, dataset: Dataset, paths: Sequence[str], cwd: Path
) -> list[str] | None:
    """Keys or folders that the paths name; None for the whole tree."""
    root = repo.tree()
    keys: list[str] = []
    for text in paths:
        key = key_of_path(root, text, cwd)
        if not key:
            return None
        if os.path.lexists(root / key) or dataset.tracked_at(key) or dataset.has_folder(key):
            keys.append(key)
        else:
            keys += _expand(repo, key, text)
    return keys


def _refuse_ignored(dataset: Dataset, ignore: Ignore, keys: list[str], root: Path) -> None:
    """StateError for a path that was named although the rules ignore it, as git does."""
    for key in keys:
        is_folder = (root / key).is_dir()
        tracked = dataset.has_folder(key) if is_folder else dataset.tracked_at(key) is not None
        if not tracked and ignore.matches(key, is_folder):
            raise StateError(
                f"'{shown(key)}' is ignored by .vgrignore", hint=f"vgr add -f '{shown(key)}'"
            )


def _expand(repo: Repository, key: str, text: str) -> list[str]:
    """Files that a glob names; the shell usually expands it, Python callers and quotes do not."""
    pattern = KeyPattern(key)
    if pattern.is_glob:
        root = repo.tree()
        top = os.path.dirname(pattern.fixed)
        names = [
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, files_here in os.walk(root / top)
            for name in files_here
        ]
        matched = sorted(name for name in names if pattern.matches(name))
        if matched:
            return matched
    raise NotFoundError(f"'{text}' names no file", hint="vgr status")


def _take(
    repo: Repository,
    txn: Transaction,
    stager: _Stager,
    sources: list[Source],
    result: Added,
    progress: Progress,
) -> list[RowChange]:
    """Store the bytes of the files; the rows to stage."""
    txn.use_dictionary(choose_dictionary(repo.store, txn, _small_files(sources)))
    for taken in take_all(txn, sources, progress, result.skipped):
        stager.stage(taken)
    return stager.finish()


def _note_stats(
    repo: Repository,
    dataset: Dataset,
    stats: list[tuple[str, FileStat, bytes]],
    gone: list[str],
) -> None:
    agreed = repo.stat_cache.token == dataset.token
    token = repo.staged().token if agreed else None
    repo.stat_cache.update(stats, removed=gone, token=token)


def _usable(
    dataset: Dataset, sources: list[Source], options: Options, result: Added
) -> list[Source]:
    """Without files whose name cannot be a key, and label files that nobody chose to keep."""
    usable = []
    for source in sources:
        problem = key_problem(source.key)
        if problem is not None:
            result.skipped.append((source.key, problem))
            continue
        if source.key.endswith(LABEL_EXTENSIONS) and not options.as_file:
            form = label_format(Path(source.path))
            if form is not None and dataset.space_of(source.key) is None:
                result.label_files.append((source.key, form))
                continue
        usable.append(source)
    for first, second in folding_pairs(source.key for source in usable):
        result.noted.append((second, f"differs from '{first}' only in case or normal form"))
    return usable


def _small_files(sources: list[Source]) -> list[str]:
    return [
        source.path
        for source in sources
        if source.stat is not None
        and 0 < source.stat.size <= 8192
        and os.path.splitext(source.key)[1].lower() in IMAGE_EXTENSIONS
    ]


class _Stager:
    """Makes the rows of files whose bytes are stored."""

    def __init__(
        self,
        repo: Repository,
        txn: Transaction,
        dataset: Dataset,
        options: Options,
        result: Added,
        keys: list[str],
    ) -> None:
        self._repo = repo
        self._txn = txn
        self._dataset = dataset
        self._is_empty = not dataset.count(SAMPLES) and not dataset.count(FILES)
        self._options = options
        self._result = result
        self._keys = keys
        self._rows = ImageRows()
        task = options.class_task
        self._classes = None if task is None else FolderClasses.of(dataset.vocabulary, task)
        self._changes: list[RowChange] = []
        self._seen_before: list[Taken] = []
        self._arrived: set[str] = set()
        self.stats: list[tuple[str, FileStat, bytes]] = []

    def stage(self, taken: Taken) -> None:
        """Stage the row of a file, but for one that may be a rename."""
        key = taken.source.key
        self.stats.append((key, taken.stat, taken.blob))
        if taken.info is not None and taken.info.problem:
            self._result.noted.append((key, taken.info.problem))
        if not self._is_empty and self._stage_edit(taken):
            return
        awaited = self._sample_that_waits(taken)
        if awaited is not None:
            self._stage_awaited(taken, *awaited)
            return
        if taken.known and not self._is_empty:
            self._seen_before.append(taken)  # a rename, or a copy: settled in `finish`
            return
        self._stage_new(taken)

    def _stage_edit(self, taken: Taken) -> bool:
        """Give a row that exists its new bytes; False when there is none."""
        key = taken.source.key.encode()
        row = self._dataset.row(SAMPLES, key)
        if row is not None:
            sample = decode_sample(row)
            if sample.image.blob_id != taken.blob:
                self._note_size(taken, sample)
                image = image_of(taken.blob, taken.size, taken.info)
                if sample.image.state == "pending":
                    image = image.replace(uri=sample.image.uri)
                self._change(SAMPLES, key, sample.replace(image=image))
            return True
        row = self._dataset.row(FILES, key)
        if row is not None:
            file = decode_file(row).replace(
                blob=blob_ref(taken.blob), bytes=taken.size, executable=taken.stat.executable
            )
            self._change(FILES, key, file)
            return True
        return False

    def _sample_that_waits(self, taken: Taken) -> tuple[str, Sample] | None:
        """(key, sample) that has labels and waits for these bytes, or for an image of this name."""
        if taken.info is None or self._is_empty:
            return None
        by_hash, by_name = self._awaited
        named = by_name.get(taken.source.key)
        size = (taken.info.width, taken.info.height)
        if named and (named[1].image.width, named[1].image.height) not in ((None, None), size):
            named = None  # another image
        found = by_hash.get(taken.blob) or named
        if found is None or found[0] in self._arrived:
            return None
        self._arrived.add(found[0])
        return found

    @cached_property
    def _awaited(self) -> tuple[dict[bytes, tuple[str, Sample]], dict[str, tuple[str, Sample]]]:
        """The samples that wait for an image: by its blob, and by the new key that ends in theirs.

        Names count where one new key alone ends so; of several that wait the longest name does.
        """
        ends = _ends_of(self._keys)
        by_hash: dict[bytes, tuple[str, Sample]] = {}
        by_name: dict[str, tuple[str, Sample]] = {}
        for key_bytes, row in self._dataset.rows(SAMPLES):
            key = key_bytes.decode()
            meant = ends.get(key)
            if meant is None and b"blake3:" not in row:  # most rows need not be decoded
                continue
            sample = decode_sample(row)
            if sample.image.state != "pending":
                continue
            blob = _declared_blob(sample.image.hash)
            if blob is not None:
                by_hash[blob] = key, sample
            elif meant and len(key) > len(by_name.get(meant, ("",))[0]):
                by_name[meant] = key, sample
        return by_hash, by_name

    def _stage_awaited(self, taken: Taken, key: str, sample: Sample) -> None:
        """Let a new file be the image of a sample that waits for it, at the file's key."""
        image = image_of(taken.blob, taken.size, taken.info).replace(uri=sample.image.uri)
        split = sample.split or self._options.split_of(taken.source.key)
        row = encode_sample(sample.replace(image=image, split=split))
        self._rename(taken, (SAMPLES, key, row))

    def _note_size(self, taken: Taken, sample: Sample) -> None:
        info = taken.info
        old = (sample.image.width, sample.image.height)
        new = (info.width, info.height) if info is not None else (None, None)
        if sample.regions and old != new and None not in old:
            self._result.noted.append(
                (
                    taken.source.key,
                    f"its size went from {old[0]}×{old[1]} to {new[0]}×{new[1]}; "
                    f"its regions ({len(sample.regions)}) stay as they were",
                )
            )

    def _change(self, space: str, key: bytes, row: Sample | FileRow) -> None:
        encoded = encode_sample(row) if isinstance(row, Sample) else encode_file(row)
        self._changes.append((space, key, encoded))
        self._result.modified += 1

    def _stage_new(self, taken: Taken, n: int = 0) -> None:
        key, info = taken.source.key, taken.info
        self._result.added += 1
        if info is None:
            file = FileRow(
                blob=blob_ref(taken.blob), bytes=taken.size, executable=taken.stat.executable
            )
            self._changes.append((FILES, key.encode(), encode_file(file)))
            return
        uid = sample_uid(taken.blob, key, n)
        split = self._options.split_of(key)
        said = () if self._classes is None else self._classes.labels(key)
        if self._classes is not None and not said:
            self._result.noted.append((key, "lies in no folder that names a class"))
        if said:
            image = image_of(taken.blob, taken.size, info)
            row = encode_sample(Sample(uid=uid, image=image, split=split, labels=said))
            self._result.labeled += 1
        else:
            look = Look(info.type, info.width or None, info.height or None, info.orientation, split)
            row = self._rows.encode(look, taken.blob, taken.size, uid)
        self._changes.append((SAMPLES, key.encode(), row))

    def new_classes(self) -> list[RowChange]:
        """The rows of tasks and classes that labels by folder made."""
        return [] if self._classes is None else vocabulary_changes(self._classes.draft)

    def finish(self) -> list[RowChange]:
        """Settle renames and copies; every staged row."""
        if self._seen_before:
            self._settle_renames()
        return self._changes

    def _settle_renames(self) -> None:
        """Pair new keys with rows of the same bytes whose file is gone: by name, then in order."""
        wanted = {taken.blob for taken in self._seen_before}
        vanished: dict[bytes, list[tuple[str, str, bytes]]] = {}
        uids: set[bytes] = set()
        for space, key, row, blob in self._rows_with(wanted):
            if space == SAMPLES:
                uids.add(decode_sample(row).uid)
            if self._has_vanished(key):
                vanished.setdefault(blob, []).append((space, key, row))
        unpaired: list[Taken] = []
        for taken in self._seen_before:
            name = os.path.basename(taken.source.key)
            rows = vanished.get(taken.blob, [])
            same = [row for row in rows if os.path.basename(row[1]) == name]
            if same:
                rows.remove(same[0])
                self._rename(taken, same[0])
            else:
                unpaired.append(taken)
        for taken in unpaired:
            rows = vanished.get(taken.blob, [])
            if rows:
                if len(rows) > 1:
                    self._result.noted.append(
                        (taken.source.key, f"renamed from one of {len(rows)} equal images")
                    )
                self._rename(taken, rows.pop(0))
            else:
                n = 0
                while sample_uid(taken.blob, taken.source.key, n) in uids:
                    n += 1
                self._stage_new(taken, n)

    def _has_vanished(self, key: str) -> bool:
        """Whether the working tree has no file at a key."""
        if self._repo.root is None:
            return False
        path = f"{self._repo.root}/{key}"
        return not os.path.lexists(path) or (os.path.isdir(path) and not os.path.islink(path))

    def _rows_with(self, blobs: set[bytes]) -> Iterator[tuple[str, str, bytes, bytes]]:
        """(space, key, row, blob) of the tracked rows with one of these blobs."""
        for space in (SAMPLES, FILES):
            for key, row in self._dataset.rows(space):
                blob = (
                    decode_sample(row).image.blob_id
                    if space == SAMPLES
                    else decode_file(row).blob_id
                )
                if blob in blobs and blob is not None:
                    yield space, key.decode(), row, blob

    def _rename(self, taken: Taken, old: tuple[str, str, bytes]) -> None:
        space, key, row = old
        self._changes.append((space, key.encode(), None))
        self._changes.append((space, taken.source.key.encode(), row))
        self._result.renamed.append((key, taken.source.key))


def _ends_of(keys: Iterable[str]) -> dict[str, str]:
    """What a key ends in, from a folder on → the key; empty where several do."""
    found: dict[str, str] = {}
    for key in keys:
        _, slash, rest = key.partition("/")
        while slash:
            found[rest] = "" if rest in found else key
            _, slash, rest = rest.partition("/")
    return found


def _declared_blob(text: str | None) -> bytes | None:
    """The blob that a declared hash names, where blobs are known by such hashes."""
    found = re.fullmatch(r"blake3:([0-9a-f]{64})", text or "")
    return None if found is None else bytes.fromhex(found[1])


def image_of(blob: bytes, size: int, info: ImageInfo | None) -> Image:
    """What a row says of an image; sides that its header does not tell are left out."""
    if info is None:
        return Image(blob=blob_ref(blob), bytes=size)
    return Image(
        blob=blob_ref(blob),
        bytes=size,
        height=info.height or None,
        orientation=info.orientation,
        type=info.type,
        width=info.width or None,
    )


def _deletions(
    dataset: Dataset, deleted: Iterable[str], settled: set[bytes], result: Added
) -> list[RowChange]:
    """Rows of vanished files to remove, but for those that a rename took along."""
    changes: list[RowChange] = []
    for key in deleted:
        if key.encode() in settled:
            continue
        space = dataset.space_of(key)
        if space is not None:
            changes.append((space, key.encode(), None))
            result.removed += 1
            result.removed_labels += labels_of(dataset, space, key)
    return changes


def labels_of(dataset: Dataset, space: str, key: str) -> int:
    """How many labels and regions go when a row goes."""
    row = dataset.row(space, key.encode())
    if space != SAMPLES or row is None:
        return 0
    sample = decode_sample(row)
    return len(sample.labels) + sum(1 + len(region.labels) for region in sample.regions)
