"""The import engine: items of a source become staged rows, in one operation or not at all.

In turn: the reader's items are placed (key, image bytes, frame), their ids minted, and sorted by
key. Those of samples that are there are compared with them first, so that ids of the source are
trusted and classes renamed only on evidence. Then all rows are staged.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import force_setattr

from voyager.errors import InvalidDataError, NotFoundError
from voyager.formats.base import NEW_ID, Batch, Format, Item, Source
from voyager.formats.batches import Batches, refuse_blob
from voyager.formats.classes import Evidence, apply_renames
from voyager.formats.comparing import Updater, equal_elsewhere
from voyager.formats.find_images import ImageFinder
from voyager.formats.frames import in_stored_frame
from voyager.formats.import_rows import give_ids, join_rows, joined_row, own_links, with_nodes
from voyager.formats.imported import Imported
from voyager.formats.merge_in import LoadMerge, merge_rows, refused
from voyager.formats.placing import Placed, Placer
from voyager.formats.reading import IMPORT, Reading, ReadOptions
from voyager.formats.records import (
    Base,
    ExportBase,
    ExportRecord,
    OwnBase,
    SeriesBase,
    export_base,
    is_here,
    note_import,
    read_record,
    series_base,
)
from voyager.formats.report import Report
from voyager.formats.spill import Sorter
from voyager.formats.writing import Writing
from voyager.repo.dataset import Dataset
from voyager.repo.guard_staging import ImportGuard
from voyager.repo.import_reports import note_report
from voyager.repo.namespace import WrittenKeys
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import (
    Rows,
    Staging,
    edit_map,
    fold_roots,
    overlay_of,
    stage_roots,
    stage_sorted,
    write_sorted,
)
from voyager.repo.vocabulary import vocabulary_changes, vocabulary_rows
from voyager.schema import Sample, decode_sample, encode_sample, sample_uid
from voyager.schema.ids import image_anchor
from voyager.schema.vocabulary import CATEGORY, Draft
from voyager.store import bulk
from voyager.store.history import read_commit
from voyager.store.ids import Kind
from voyager.store.transaction import Transaction
from voyager.wire import Ext, blob_ref

if TYPE_CHECKING:
    from voyager.repo.worktree import Plan

FindBase = Callable[["ImportJob", ExitStack], tuple[Base, dict[str, str]]]
"""Finds the base of an import, and the names of images that are not their keys."""

_first = itemgetter(0)


def import_labels(
    repo: Repository,
    path: Path,
    form: Format,
    options: ReadOptions | None = None,
    *,
    why: str = "",
    name: str | None = None,
    base: str | None = None,
    based: FindBase | None = None,
    operation: tuple[str, str] | None = None,
    take_labels: bool = False,
    merge: LoadMerge | None = None,
    strict: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Stage the labels of a file or folder, and the images that they name.

    `name` is what the import is called in `origin` (its file or folder name): importing a newer
    file of the same name updates what the older one brought. `base` is the revision that an edited
    export came from, where no record tells; `based` finds the base where the caller knows it.
    `operation` is the kind and message of the operation. With `take_labels` protected samples take
    what copies say that the guard drops. `merge` takes what the source says into what is staged
    where both changed it; without, or with `strict`, that is refused. Raises InvalidDataError for a
    malformed source, StateError where both changed the same; then nothing is staged.
    """
    options = _voiced(options or ReadOptions())
    repo.refuse_if_running()
    form.check_settings(options.settings)
    if not path.exists():
        raise NotFoundError(f"'{path}' names no file or folder", hint="ls")
    with ExitStack() as stack:
        stack.enter_context(bulk.paused_gc())
        kind, message = operation or ("import", f"{form.name} {path.name}")
        txn = stack.enter_context(repo.transaction(kind, message[:200]))
        job = ImportJob(repo, txn, path, form, options, name or path.name, progress)
        job.result.why = why
        job.take_labels = take_labels
        job.merge = merge
        job.strict = strict
        job.blobs = {} if dry_run else None
        sorter = stack.enter_context(Sorter())
        if options.predictions is not None:
            job.read_into(sorter, path)
            job.put_predictions(sorter, options.predictions, strict=strict, dry_run=dry_run)
            return job.result
        job.find_base(base, based, stack)
        job.read_into(sorter, path)
        job.refuse_nothing(sorter)
        job.said = stack.enter_context(Sorter())
        job.compare(sorter)
        changes = job.rows(sorter)
        job.stage(changes, dry_run=dry_run)
    if job.result.staged:
        job.lay_out()
    return job.result


def _voiced(options: ReadOptions) -> ReadOptions:
    """Predictions are in the name of their model, unless told otherwise."""
    if options.predictions is None or options.source != IMPORT:
        return options
    return replace(options, source=f"model:{options.predictions}")


class ImportJob:
    """One import on its way."""

    def __init__(
        self,
        repo: Repository,
        txn: Transaction,
        path: Path,
        form: Format,
        options: ReadOptions,
        name: str,
        progress: Progress,
    ) -> None:
        self.repo = repo
        self.txn = txn
        self.path = path
        self.form = form
        self.options = options
        self.name = name
        self.progress = progress
        self.staging = repo.staging
        self.version = repo.staged_view(self.staging)
        self._here = self.version
        """What is here, samples that waited for an image at the key of what was found."""
        self._arrived: dict[bytes, bytes] = {}
        self.draft = Draft(self.version.vocabulary)
        self.report = Report()
        self.result = Imported(form.name, form.title, "", self.report)
        self._voices: set[tuple[str, str]] = {(options.task, options.source)}
        self._new_files: list[str] = []
        self._base: Base = series_base(repo, name)
        self._names: dict[str, str] = {}
        self._is_empty = not self.version.count(SAMPLES)
        self.is_projection = False
        self.said = Sorter()
        """What the source said of samples that are otherwise here: the base of the next import."""
        self.take_labels = False
        self.strict = False
        self.merge: LoadMerge | None = None
        self.made_of: bytes | None = None
        """The commit that the file was made of, where something else is staged by now."""
        self.plan: Plan | None = None
        """Which files a merge changes."""
        self._token = self.version.token
        self.blobs: dict[bytes, bytes] | None = None
        """New blobs, where somebody wants to look at what a dry run would stage."""

    # -- reading ---------------------------------------------------------------------------------

    def find_base(self, revision: str | None, based: FindBase | None, stack: ExitStack) -> None:
        """Find what the source was before it was edited: an export, else the import before."""
        if based is not None:
            self._base, self._names = based(self, stack)
            self.result.base = self._base.name
            return
        record = read_record(self.path, self.form)
        if revision is not None:
            commit = self.repo.resolve(revision)
            record = record or ExportRecord(self.form.name, commit, "", task=self.options.task)
            record = replace(record, commit=commit, digest="")
        if record is not None and revision is None and not is_here(self.repo, record.commit):
            self._names = dict(record.names)
            self._note_stranger(record)
            record = None
        if record is not None:
            if record.task is not None and self.options.task == CATEGORY:
                self.options = replace(self.options, task=record.task)
                self._voices.add((record.task, self.options.source))
            self._stand_on(record.commit)
            self._base = export_base(self, record, stack)
            self._names = self._base.names(record.names)
        self.result.base = self._base.name

    def _stand_on(self, commit: bytes) -> None:
        """Read the file upon what it was made of, to be merged, where something else is staged."""
        snapshot = read_commit(self.repo.store, commit).snapshot_id
        is_staged = snapshot == self.staging.snapshot and not self.staging.overlay
        if self.merge is None or is_staged:
            return
        self.made_of = commit
        self.version = self._here = self.repo.dataset_of(commit)
        self.staging = Staging(commit, snapshot, self.version.roots)
        self.draft = Draft(self.version.vocabulary)
        self._is_empty = not self.version.count(SAMPLES)

    def _note_stranger(self, record: ExportRecord) -> None:
        """Say that an export of another repository can be compared only with what is here."""
        if not self._is_empty:
            self.report.add(
                "guessed",
                "exported from a commit that is not here: compared with what is here instead",
                record.commit.hex()[:10],
            )

    def project(self, folder: Path, writing: Writing) -> dict[bytes, bytes]:
        """Read what was written again: key → encoded sample."""
        path = folder if writing.file_name is None else folder / writing.file_name
        return self.read_projection(path, writing.version, writing.names)

    def read_projection(
        self, path: Path, version: Dataset, names: Mapping[str, str]
    ) -> dict[bytes, bytes]:
        """Read a file that says what it was made of: key → encoded sample."""
        job = ImportJob(
            self.repo, self.txn, path, self.form, self.options, self.name, self.progress
        )
        job.version, job.is_projection = version, True
        job.draft, job._names = self.draft, dict(names)
        with Sorter() as sorter:
            job.read_into(sorter, path)
            grouped = groupby(sorter.pairs(), key=_first)
            return {key: joined_row([row for _, row in group]) for key, group in grouped}

    def read_into(self, sorter: Sorter, path: Path) -> None:
        """Place every item of the source, mint its ids, and sort it by key."""
        source = Source(path)
        folders = [] if self.options.images is None else [self.options.images]
        removed = self._base.removed if isinstance(self._base, ExportBase) else None
        finder = ImageFinder(
            self.version,
            folders,
            source.root,
            self.options.to,
            names=self._names,
            removed=removed,
        )
        reading = Reading(
            self.name,
            self.options,
            draft=self.draft,
            images=finder,
            report=self.report,
            put_blob=self._put_blob,
            progress=self.progress,
        )
        placer = Placer(
            self.txn,
            self.version,
            finder,
            root=self.repo.root,
            to=self.options.to,
            report=self.report,
            names=self._names,
            written_here=self._base.complete or self.is_projection,
            removed=removed,
        )
        assert self.form.read is not None
        batches: list[Batch] = []
        for part in self.form.read(source, reading):
            if isinstance(part, Batch):
                batches.append(part)
            else:
                pair = self._take(part, placer)
                if pair is not None:
                    sorter.add(*pair)
        alone = not self._is_empty or self.is_projection
        self._batches(reading, placer).run(batches, sorter, alone=alone)
        self.result.matched_elsewhere = placer.matched_elsewhere
        if placer.arrived and not self.is_projection:
            self._move_arrived(placer.arrived)

    def refuse_nothing(self, sorter: Sorter) -> None:
        """InvalidDataError for a source that holds nothing, as one of another format."""
        if sorter.count or self._base.complete or vocabulary_changes(self.draft):
            return
        found = next((f" ({kind})" for _, kind, _ in self.report), "")
        raise InvalidDataError(
            f"there is nothing of {self.form.title} in it{found}",
            path=self.path,
            hint=f"vgr import '{self.path}' finds its format out",
        )

    def _move_arrived(self, arrived: Mapping[str, str]) -> None:
        """Look at samples whose image was found as if they had been at its key all along."""
        self._arrived = {key.encode(): old.encode() for key, old in arrived.items()}
        moved = [
            (SAMPLES, key, self.version.row(SAMPLES, old)) for key, old in self._arrived.items()
        ]
        gone = [(SAMPLES, old, None) for old in self._arrived.values()]
        overlay = {**self.staging.overlay, **overlay_of(gone), **overlay_of(moved)}
        self._here = Dataset(self.repo.store, self.staging.roots, overlay)
        if isinstance(self._base, SeriesBase):
            self._base.moved = self._arrived

    def _take(self, item: Item, placer: Placer) -> tuple[bytes, bytes] | None:
        """The key and row of an item; None for one that has no place."""
        placed = placer.place(item)
        return None if placed is None else (placed.key.encode(), self._row_of(item, placed))

    def _batches(self, reading: Reading, placer: Placer) -> Batches:
        result, voices = self.result, self._voices

        def enter() -> None:
            reading.put_blob = refuse_blob
            placer.in_child = True
            result.regions = result.labels = result.pending = 0
            voices.clear()

        def add(tally: tuple[int, int, int, list[tuple[str, str]]]) -> None:
            result.regions += tally[0]
            result.labels += tally[1]
            result.pending += tally[2]
            voices.update((task, source) for task, source in tally[3])

        return Batches(
            lambda item: self._take(item, placer),
            draft=self.draft,
            report=self.report,
            enter=enter,
            tally=lambda: (result.regions, result.labels, result.pending, sorted(voices)),
            add=add,
        )

    def _put_blob(self, data: bytes) -> Ext:
        blob = self.txn.put_blob(data, shrink=True)
        if self.blobs is not None:
            self.blobs[blob] = data
        return blob_ref(blob)

    def _row_of(self, item: Item, placed: Placed) -> bytes:
        """The encoded sample of an item at its place; ids minted where the reader left that."""
        sample, image = item.sample, placed.image
        said = sample.image
        differs = said.width is not None and (said.width, said.height) != (
            image.width,
            image.height,
        )
        if differs or image.orientation != 1:
            sample = in_stored_frame(sample, image, self.options.frame, item, self.report)
        anchor = image_anchor(image, placed.key)
        if sample.regions:
            give_ids(anchor, sample.regions)
        if sample.uid == NEW_ID:
            force_setattr(sample, "uid", sample_uid(anchor, placed.key))
            own_links(sample)
        if self.options.split is not None:
            force_setattr(sample, "split", self.options.split)
        if not placed.laid_out:
            self._new_files.append(placed.key)
        force_setattr(sample, "image", image)
        self._count(sample)
        return encode_sample(sample)

    def _count(self, sample: Sample) -> None:
        result, voices = self.result, self._voices
        result.pending += sample.image.state == "pending"
        result.regions += len(sample.regions)
        result.labels += len(sample.labels)
        for label in sample.labels:
            voices.add((label.task, label.source))
        for region in sample.regions:
            result.labels += len(region.labels)
            for label in region.labels:
                voices.add((label.task, label.source))

    # -- comparing -------------------------------------------------------------------------------

    def compare(self, sorter: Sorter) -> None:
        """Look at what is there already: whether ids can be trusted, which classes were renamed."""
        self._updater = self._new_updater()
        if self._is_empty:
            return
        evidence = Evidence(self.draft, self.options.task)
        kept = gone = 0
        is_new = isinstance(self._base, OwnBase)
        elsewhere: Counter[str] = Counter()
        for key, row, theirs in self._known_samples(sorter):
            ours = decode_sample(row)
            if is_new:
                elsewhere.update(equal_elsewhere(ours, theirs, self.name))
            old = self._base.sample(key, ours, theirs) if theirs.regions else None
            if old is not None and old.regions:
                evidence.add(old.regions, theirs.regions)
                here = {region.id for region in ours.regions}
                is_here = any(region.id in here for region in old.regions)
                kept, gone = kept + is_here, gone + (not is_here)
        for name, count in elsewhere.most_common(1):
            self.result.same_as = name if count * 2 > self.result.regions else None
        if gone > kept and not self._base.complete:  # of another branch, or taken back
            self._base = OwnBase(self.name)
            self._updater = self._new_updater()
            return
        self.result.trust = evidence.trust
        no_evidence = not evidence.trust[1]
        trusted = evidence.ids_are_trusted or (self._base.complete and no_evidence)
        self.result.renames, substitutes = apply_renames(self.draft, evidence)
        self._updater = self._new_updater(trusted, substitutes)

    def _new_updater(
        self, trusted: bool = False, substitutes: Mapping[bytes, bytes] | None = None
    ) -> Updater:
        return Updater(
            self.form.holds,
            self.options.task,
            self._base,
            self.draft,
            self._voices,
            trusted=trusted,
            can_merge=self.merge is not None and not self.strict,
            substitutes=substitutes or {},
            load=self.load,
            result=self.result,
            said=self.said,
        )

    def _known_samples(self, sorter: Sorter) -> Iterator[tuple[bytes, bytes, Sample]]:
        """(key, row here, what the source says) of samples that are here and seem to differ."""
        for key, group in groupby(sorter.pairs(), key=_first):
            row = self._here.row(SAMPLES, key)
            rows = [new for _, new in group]
            if row is not None and rows not in ([row], [self._projected(key)]):
                yield key, row, join_rows(rows)

    def _projected(self, key: bytes) -> bytes | None:
        return self._base.row(key) if isinstance(self._base, ExportBase) else None

    # -- rows ------------------------------------------------------------------------------------

    def rows(self, sorter: Sorter) -> Iterator[tuple[bytes, bytes]]:
        """(key, row) of every sample that the import changes, in key order."""
        result, conflicts = self.result, self._updater.conflicts
        seen: set[bytes] = set()
        for key, group in groupby(sorter.drain(), key=_first):
            result.samples += 1
            if not result.samples % 500:
                self.progress(result.samples, sorter.count)
            rows = [row for _, row in group]
            row = self._merged(key, rows)
            if self._base.complete:
                seen.add(key)
            if row is not None:
                yield key, row
        if self._base.complete:
            self._report_missing(seen)
        if conflicts:
            raise refused(conflicts, self._base.commit, strict=self.strict)

    def _fresh(self, row: bytes) -> bytes:
        self.result.added += 1
        return row

    def _merged(self, key: bytes, rows: list[bytes]) -> bytes | None:
        known = None if self._is_empty else self._here.row(SAMPLES, key)
        projected, substitutes = self._projected(key), self._updater.substitutes
        if known is None and projected is None and len(rows) == 1 and not substitutes:
            return self._fresh(rows[0])
        if rows in ([known], [projected]):
            self.result.unchanged += 1
            return None
        theirs = with_nodes(join_rows(rows), substitutes)
        if known is None and projected is not None:
            self._updater.conflicts.append(f"{key.decode()} (removed here)")
            return None
        if known is None:
            return self._fresh(encode_sample(theirs))
        row = self._updater.update(key, decode_sample(known), theirs)
        if row == known:
            self.result.unchanged += 1
            return None
        self.result.updated += 1
        return row

    def load(self, blob: bytes) -> bytes:
        """The bytes of a stored mask."""
        return self.txn.get(blob, Kind.BLOB)

    def _report_missing(self, seen: set[bytes]) -> None:
        """Images of the base that the file has no word of: they stay as they are, and are named."""
        for key in self._base.keys():  # noqa: SIM118 - no mapping
            if key not in seen:
                self.report.add(
                    "extra", "an exported image is not in the file: left as it is", key.decode()
                )

    # -- the end ---------------------------------------------------------------------------------

    def stage(self, rows: Iterator[tuple[bytes, bytes]], *, dry_run: bool) -> None:
        """Stage the rows and the vocabulary at once; nothing with `dry_run`."""
        guard = ImportGuard(
            self.repo,
            self.txn,
            self.staging,
            self.version,
            take_labels=self.take_labels,
            progress=self.progress,
        )
        watched = guard.watched(self._with_gone(rows))
        if dry_run and self.made_of is None:
            overlay = self._overlay_with(watched)
            if not self._updater.bases:
                self._look(overlay, guard)
                return
            roots = fold_roots(self.txn, self.staging.roots, overlay)
        else:
            roots = self._written(watched)
        self.report.refuse_if_strict(strict=self.strict)
        if self.made_of is not None or self._updater.bases:
            merge_rows(self, roots, self._updater.bases, dry_run=dry_run)
            return
        roots = guard.settle(stage_roots(self.txn, self.staging, roots))
        self.result.guard = guard.found
        self.leave_out(guard.dropped)
        something = self.result.added or self.result.updated or guard.changed
        if something or vocabulary_changes(self.draft):
            self.note(roots)
            self.txn.commit()
            self.result.staged = True
            guard.done()

    def _written(self, rows: Rows) -> dict[str, bytes]:
        """The roots with the rows and the vocabulary; their keys are checked."""
        keys = WrittenKeys(keep=not self._is_empty)

        def noted() -> Iterator[tuple[bytes, bytes | None]]:
            for key, row in rows:
                if row is not None:
                    keys.note(key)
                yield key, row

        roots = write_sorted(
            self.txn, self.staging, {SAMPLES: noted()}, lambda: vocabulary_rows(self.draft)
        )
        keys.check(self.version, Dataset(self.txn, roots))
        return roots

    def _overlay_with(self, rows: Rows) -> dict[tuple[str, bytes], bytes]:
        """What is staged upon the staged root, with the rows and the vocabulary."""
        overlay = dict(self.staging.overlay)
        overlay.update(overlay_of((SAMPLES, key, row) for key, row in rows))
        for space, changes in vocabulary_rows(self.draft).items():
            overlay.update(overlay_of((space, key, row) for key, row in changes))
        return overlay

    def _look(self, overlay: dict[tuple[str, bytes], bytes], guard: ImportGuard) -> None:
        """Keep what would be staged, for whoever wants to look at it."""
        found = guard.look(Dataset(self.txn, self.staging.roots, overlay))
        overlay.update(overlay_of(() if found is None else found.changes))
        self.result.guard = guard.found
        self.leave_out(guard.dropped)
        self.result.view = Dataset(self.repo.store, self.staging.roots, overlay)
        self.result.new_blobs = self.blobs or {}
        self.report.refuse_if_strict(strict=self.strict)

    def note(self, roots: Mapping[str, bytes]) -> None:
        """Remember what the source said, in a version that has its rows, and what did not fit."""
        said = edit_map(self.txn, roots.get(SAMPLES), self.said.drain())
        note_import(self.txn, self.repo, self.name, {SAMPLES: said})
        if self.report:
            note_report(self.txn, self.repo, self.result.as_report(self.name))

    def left(self, key: bytes) -> bytes:
        """The key that a sample had before its image was found."""
        return self._arrived.get(key, key)

    def leave_out(self, dropped: set[str]) -> None:
        """Take back from what is told, and laid out, what the guard dropped."""
        self.result.added -= len(dropped)
        self._new_files = [key for key in self._new_files if key not in dropped]

    def _with_gone(
        self, rows: Iterator[tuple[bytes, bytes]]
    ) -> Iterator[tuple[bytes, bytes | None]]:
        """The rows, and in their places the keys that samples left for those of their images."""
        left = iter(sorted(self._arrived.values()))
        gone = next(left, None)
        for key, row in rows:
            while gone is not None and gone <= key:
                if gone < key:
                    yield gone, None
                gone = next(left, None)
            yield key, row
        if gone is not None:
            yield from ((old, None) for old in itertools.chain([gone], left))

    def put_predictions(self, sorter: Sorter, name: str, *, strict: bool, dry_run: bool) -> None:
        """Put what the source says into a prediction set; new classes are staged."""
        from voyager.repo.predictions import put_predictions

        said: list[Sample] = []
        for key, group in groupby(sorter.drain(), key=_first):
            row = self._here.row(SAMPLES, key)
            if row is None:
                self.report.add("lost", "a prediction for an image that is not here", key.decode())
                continue
            theirs = join_rows(new for _, new in group)
            said.append(theirs.replace(uid=decode_sample(row).uid))
        self.result.samples = len(said)
        self.report.refuse_if_strict(strict=strict)
        if dry_run or not said:
            return
        stage_sorted(self.txn, self.staging, vocabulary_rows(self.draft))
        put_predictions(self.txn, self.repo, name, said, f"{self.form.title}: {self.name}")
        self.txn.commit()
        self.result.staged = True

    def lay_out(self) -> None:
        """Write the files of images that came from outside into the working tree."""
        if self.repo.root is None:
            return
        from voyager.repo.worktree import lay_out, update

        if self.plan is not None:
            update(self.repo, self.plan, self.repo.staged(), before_token=self._token)
        elif self._new_files:
            lay_out(self.repo, self.version, self._new_files)
