"""Samples of another repository: rows with their uids, labels and images, and what names them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voyager.errors import CorruptError, ExistsError, UsageError
from voyager.formats.records import note_import, taken_before
from voyager.formats.report import Report
from voyager.formats.spill import Sorter
from voyager.repo.dataset import Dataset
from voyager.repo.guard_staging import ImportGuard
from voyager.repo.import_reports import note_report
from voyager.repo.keys import check_key, match_keys, shown
from voyager.repo.namespace import WrittenKeys
from voyager.repo.repository import Progress, Repository, no_progress
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import edit_map, stage_sorted
from voyager.repo.vocabulary import vocabulary_rows
from voyager.repo.worktree import lay_out
from voyager.schema import Image, Label, Sample, decode_sample, encode_sample
from voyager.schema.sample import Origin, coverage_key, parse_coverage_key
from voyager.schema.taxonomy import NodeId, Taxonomy
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store import bulk
from voyager.store.ids import Kind
from voyager.store.transaction import Transaction
from voyager.wire import BLOB_EXT, iter_references

if TYPE_CHECKING:
    from voyager.repo.guard import Review


@dataclass(slots=True)
class Taken:
    """What was taken from another repository; `name` says from which commit of it.

    `commit` is that commit in full, `revision` what the user called it.
    """

    name: str
    commit: bytes = b""
    revision: str = ""
    samples: int = 0
    regions: int = 0
    labels: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    report: Report = field(default_factory=Report)
    guard: Review | None = None
    """What the guard decided, where there is anything to guard."""

    def as_report(self) -> dict[str, Any]:
        """What is kept of it with the commit: where from, and its findings."""
        return {
            "import": self.name,
            "format": "voyager",
            "repository": self.name.rpartition("@")[0],
            "commit": self.commit.hex(),
            "revision": self.revision,
            **{name: value for name, value in self.as_json().items() if name != "guard"},
        }

    def as_json(self) -> dict[str, Any]:
        """The JSON of `vgr import REPO@REV`."""
        return {
            "from": self.name,
            "samples": self.samples,
            "regions": self.regions,
            "labels": self.labels,
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "guard": None if self.guard is None else self.guard.as_json(),
            "report": self.report.as_json(),
        }


def import_samples(
    repo: Repository,
    source: str,
    keys: Sequence[str] = (),
    *,
    where: str | None = None,
    to: str = "",
    take_labels: bool = False,
    dry_run: bool = False,
    progress: Progress = no_progress,
) -> Taken:
    """Stage samples of `REPO@REV` below `to`, with ids, labels, tasks and taxonomies.

    A sample that is here under its uid is updated when nobody changed it here since it was taken
    from there; else it stays and is reported. With `take_labels` protected samples take what copies
    say that the guard drops. Raises ExistsError for a key that another sample has.
    """
    repo.refuse_if_running()
    path, _, revision = source.rpartition("@")
    with Repository.open(Path(path)) as other:
        if other.folder.resolve() == repo.folder.resolve():
            raise UsageError("that is this repository", hint="vgr checkout REV -- KEY")
        commit = other.resolve(revision)
        version = other.dataset_of(commit)
        name = f"{other.folder.resolve().parent.name}@{commit.hex()[:12]}"
        with repo.transaction("import", name) as txn, bulk.paused_gc(), Sorter() as taken:
            job = _Transfer(repo, txn, other, version, name, to.strip("/"), taken)
            job.take_labels = take_labels
            job.done.commit, job.done.revision = commit, revision
            chosen = _chosen(version, keys, where)
            job.stage(chosen, dry_run=dry_run, progress=progress)
            new = job.new_keys if not dry_run else []
    if repo.root is not None and new:
        lay_out(repo, job.before, new)
    return job.done


def _chosen(version: Dataset, keys: Sequence[str], where: str | None) -> list[str]:
    if where is not None:
        from voyager.repo.where import keys_where

        return list(keys_where(version, where, patterns=list(keys) or None))
    if keys:
        return [key for space, key in match_keys(version, keys) if space == SAMPLES]
    return list(version)


class _Transfer:
    """Rows on their way from one repository to another."""

    def __init__(
        self,
        repo: Repository,
        txn: Transaction,
        other: Repository,
        version: Dataset,
        name: str,
        to: str,
        taken: Sorter,
    ) -> None:
        self._repo = repo
        self._series = f"repository {name.partition('@')[0]}"
        self._last = taken_before(repo, self._series)
        self._taken = taken
        self._txn = txn
        self._other = other
        self._version = version
        self._to = to
        self._staging = repo.staging
        self.before = repo.staged_view(self._staging)
        self.done = Taken(name)
        self.new_keys: list[str] = []
        self.take_labels = False
        self._draft = Draft(self.before.vocabulary)
        self._nodes = _take_vocabulary(self._draft, version.vocabulary, self.done.report)
        self._origins: dict[str | None, Origin] = {}

    def stage(self, keys: list[str], *, dry_run: bool, progress: Progress) -> None:
        """Stage the samples at these keys, and what names their labels."""
        written = WrittenKeys()

        guard = ImportGuard(
            self._repo,
            self._txn,
            self._staging,
            self.before,
            take_labels=self.take_labels,
            progress=progress,
        )

        def rows() -> Iterator[tuple[bytes, bytes | None]]:
            pairs = sorted((self._target(key).encode(), key) for key in keys)
            for done, (target, key) in enumerate(pairs):
                progress(done, len(keys))
                pair = self._row(key, target.decode())
                if pair is not None:
                    written.note(pair[0])
                    yield pair

        spaces = vocabulary_rows(self._draft)
        roots = stage_sorted(self._txn, self._staging, {SAMPLES: guard.watched(rows()), **spaces})
        written.check(self.before, Dataset(self._txn, roots))
        guard.settle(roots)
        self.done.guard = guard.found
        self.done.added -= len(guard.dropped)
        self.new_keys = [key for key in self.new_keys if key not in guard.dropped]
        something = self.done.added or self.done.updated or guard.changed
        if not dry_run and (something or spaces):
            said = edit_map(self._txn, self._last.roots.get(SAMPLES), self._taken.drain())
            note_import(self._txn, self._repo, self._series, {SAMPLES: said})
            note_report(self._txn, self._repo, self.done.as_report())
            self._txn.commit()
            guard.done()

    def _target(self, key: str) -> str:
        """The key that a sample has here, or will have."""
        if self.before.count(SAMPLES):
            here = self.before.lookups.key_of(self._version[key].uid)
            if here is not None:
                return here
        return f"{self._to}/{key}" if self._to else key

    def _row(self, key: str, target: str) -> tuple[bytes, bytes] | None:
        self.done.samples += 1
        sample = self._translated(self._version[key], key, target)
        self.done.regions += len(sample.regions)
        self.done.labels += len(sample.labels) + sum(len(r.labels) for r in sample.regions)
        known = self.before.row(SAMPLES, target.encode())
        if known is not None:
            return self._newer_row(target, decode_sample(known), sample)
        check_key(target)
        self.done.added += 1
        self.new_keys.append(target)
        return self._taken_row(target, sample)

    def _newer_row(self, target: str, ours: Sample, theirs: Sample) -> tuple[bytes, bytes] | None:
        """The row of a sample that is here already; None where it stays as it is."""
        if ours.uid != theirs.uid:
            raise ExistsError(
                f"'{shown(target)}' is another sample here", hint="vgr import --to FOLDER"
            )
        if self._version_of_origin(theirs):
            theirs = theirs.replace(origin=ours.origin)
        last = self._last.row(SAMPLES, target.encode())
        if theirs == ours or encode_sample(theirs) == last:
            self.done.unchanged += 1
            return None
        if encode_sample(ours) != last:
            self.done.report.add(
                "lost", "a sample is here with other labels: left as it is", target
            )
            self.done.unchanged += 1
            return None
        self.done.updated += 1
        if theirs.image != ours.image:
            self.new_keys.append(target)
        return self._taken_row(target, theirs)

    def _version_of_origin(self, sample: Sample) -> bool:
        """Whether the origin only says from which commit a sample was taken."""
        return sample.origin is not None and sample.origin.import_ == self.done.name

    def _taken_row(self, target: str, sample: Sample) -> tuple[bytes, bytes]:
        row = encode_sample(sample)
        self._copy_blobs(row)
        self._taken.add(target.encode(), row)
        return target.encode(), row

    def _copy_blobs(self, row: bytes) -> None:
        """Store every blob that a row names: the image, its other files, large masks."""
        for code, blob in iter_references(row):
            if code == BLOB_EXT and not self._txn.knows_blob(blob):
                data = self._other.store.get(blob, Kind.BLOB)
                self._txn.put_blob(data, entry_id=blob)

    def _translated(self, sample: Sample, key: str, target: str) -> Sample:
        """The sample with the nodes of this repository, and a note of where it came from."""
        image = sample.image
        if image.blob_id is not None and not self._has(image.blob_id):
            image = Image(
                hash=f"blake3:{image.blob_id.hex()}", width=image.width, height=image.height
            )
            self.done.report.add("extra", "an image is not there: its labels wait for it", key)
        origin = sample.origin or Origin(import_=self.done.name, id=key if key != target else None)
        sample = sample.replace(image=image, origin=origin)
        return self._renamed(sample) if self._nodes else sample

    def _has(self, blob: bytes) -> bool:
        if blob in self._other.store or self._txn.knows_blob(blob):
            return True
        try:
            return bool(self._other.store.get(blob, Kind.BLOB))
        except CorruptError:
            return False

    def _renamed(self, sample: Sample) -> Sample:
        nodes = self._nodes

        def label(one: Label) -> Label:
            return one.replace(node=nodes[one.node]) if one.node in nodes else one

        return sample.replace(
            labels=tuple(map(label, sample.labels)),
            regions=tuple(
                region.replace(labels=tuple(map(label, region.labels))) for region in sample.regions
            ),
            negatives={
                task: tuple(nodes.get(node, node) for node in found)
                for task, found in sample.negatives.items()
            },
            coverage={
                coverage_key(task, node and nodes.get(node, node)): level
                for key, level in sample.coverage.items()
                for task, node in [parse_coverage_key(key)]
            },
        )


def _take_vocabulary(draft: Draft, theirs: Vocabulary, report: Report) -> dict[NodeId, NodeId]:
    """Take the tasks and classes of another repository; their node → ours where they differ.

    Nodes made at the same path have the same id in both, so that mostly nothing is to translate.
    """
    nodes: dict[NodeId, NodeId] = {}
    for name, taxonomy in sorted(theirs.taxonomies.items()):
        nodes.update(_take_taxonomy(draft, name, taxonomy))
    for name, task in sorted(theirs.tasks.items()):
        known = draft.tasks.get(name)
        if known is None:
            draft.put_task(name, task)
        elif known != task:
            report.add("lost", "a task is defined otherwise here: left as it is", name)
    return nodes


def _take_taxonomy(draft: Draft, name: str, theirs: Taxonomy) -> dict[NodeId, NodeId]:
    found: dict[NodeId, NodeId] = {}
    ours = draft.add_taxonomy(name)
    for node in theirs.below(None):
        if node in ours.nodes:
            continue
        names = theirs.names_of(node)
        parent = None if len(names) == 1 else theirs.nodes[node].parent
        own_parent = None if parent is None else found.get(parent, parent)
        twin = ours.child(own_parent, names[-1])
        if twin is not None:
            found[node] = twin
            continue
        made = theirs.nodes[node].replace(parent=own_parent, order=ours.next_order)
        draft.put_nodes(name, {node: made})
        ours = draft.taxonomies[name]
    return found
