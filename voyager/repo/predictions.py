"""Prediction sets: what a model says of samples, in the same codec, beside the rows (spec 9.9).

A set is a commit of its own below `refs/predictions/`, whose snapshot maps sample uids to rows that
hold labels and regions only. So it has a history, gc keeps it, and no version of the dataset
changes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from voyager.errors import NotFoundError
from voyager.repo.dataset import Dataset
from voyager.repo.label_edits import Changed
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES, read_snapshot, write_snapshot
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.staging import edit_map
from voyager.schema import Image, Label, Region, Sample, decode_sample, encode_sample
from voyager.schema.pairing import pair_regions
from voyager.store import prolly
from voyager.store.history import read_commit, write_commit
from voyager.store.objectstore import Store
from voyager.store.refs import PREDICTIONS, check_name, iter_refs, move_ref, read_ref
from voyager.store.transaction import Transaction

SPACE: Final = "predictions"
PREFIX: Final = "predictions:"
"""How a revision names a prediction set: `predictions:NAME`."""

_ONE_REGION: Final = 0.9
"""Similarity from which a prediction speaks of a region that is there."""


@dataclass(frozen=True, slots=True)
class PredictionSet:
    """A prediction set as it stands."""

    name: str
    commit: bytes
    samples: int
    message: str
    time: int
    zone: int


def prediction_sets(repo: Repository) -> list[PredictionSet]:
    """All sets by name."""
    return [
        _described(repo, ref.removeprefix(PREDICTIONS), commit)
        for ref, commit in iter_refs(repo.store, PREDICTIONS).items()
    ]


def _described(repo: Repository, name: str, commit_id: bytes) -> PredictionSet:
    commit = read_commit(repo.store, commit_id)
    root = read_snapshot(repo.store, commit.snapshot_id).get(SPACE)
    count = 0 if root is None else len(prolly.Map(repo.store, root))
    return PredictionSet(name, commit_id, count, commit.message, commit.time, commit.zone)


def find_predictions(repo: Repository, name: str) -> bytes:
    """The commit of a set; NotFoundError with a near miss."""
    return find_set(repo.store, name)


def find_set(store: Store, name: str) -> bytes:
    """As `find_predictions`, in a store."""
    found = read_ref(store, PREDICTIONS + name)
    if found is None:
        from difflib import get_close_matches

        known = [ref.removeprefix(PREDICTIONS) for ref in iter_refs(store, PREDICTIONS)]
        near = get_close_matches(name, known, 1, 0.5)
        hint = f"did you mean '{near[0]}'?" if near else "vgr predictions ls"
        raise NotFoundError(f"no prediction set '{name}'", hint=hint)
    return found


def iter_predictions(repo: Repository, name: str) -> Iterator[Sample]:
    """What a set says, by uid: samples with labels and regions, whose image says nothing."""
    for _, row in predicted_rows(repo.store, find_predictions(repo, name)):
        yield decode_sample(row)


def predicted_rows(store: Store, commit: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(uid, row) of all that a set says, by the commit of the set."""
    root = read_snapshot(store, read_commit(store, commit).snapshot_id).get(SPACE)
    return iter(()) if root is None else prolly.Map(store, root).items()


def put_predictions(
    txn: Transaction, repo: Repository, name: str, samples: Iterable[Sample], message: str
) -> bytes:
    """Put what a model says of samples into a set, instead of what it said of these before.

    The set is made when there is none. Samples are known by their uid; the id of the set's commit.
    """
    ref = PREDICTIONS + check_name(name)
    old = read_ref(repo.store, ref)
    root = None
    if old is not None:
        root = read_snapshot(txn, read_commit(txn, old).snapshot_id).get(SPACE)
    rows = sorted((sample.uid, encode_sample(_said_only(sample))) for sample in samples)
    root = edit_map(txn, root, rows)
    time, zone = repo.config.now()
    made = write_commit(
        txn,
        snapshot=write_snapshot(txn, {SPACE: root}),
        parents=[] if old is None else [old],
        author=repo.config.author_or_unknown(),
        message=message,
        time=time,
        zone=zone,
    )
    move_ref(txn, ref, made, old=old)
    return made


def _said_only(sample: Sample) -> Sample:
    return Sample(uid=sample.uid, image=Image(), labels=sample.labels, regions=sample.regions)


def drop_predictions(repo: Repository, name: str) -> None:
    """Forget a set; `vgr undo` brings it back."""
    old = find_predictions(repo, name)
    with repo.transaction("predictions-drop", name) as txn:
        move_ref(txn, PREDICTIONS + name, None, old=old)
        txn.commit()


def predicted_version(repo: Repository, version: Dataset, name: str) -> Dataset:
    """A version in which the samples of a set say what the model says; the others are as they are.

    Predicted regions that are the same as one of the sample have its id, so that a diff of the two
    speaks of moved and relabeled regions.
    """
    overlay: dict[tuple[str, bytes], bytes] = {}
    for said in iter_predictions(repo, name):
        key = version.lookups.key_of(said.uid)
        if key is not None:
            sample = version[key]
            shown = sample.replace(labels=said.labels, regions=_with_known_ids(sample, said))
            overlay[SAMPLES, key.encode()] = encode_sample(shown)
    rows = dict(version.overlay)
    return Dataset(version.objects, version.roots, {**rows, **overlay})


def _with_known_ids(sample: Sample, said: Sample) -> tuple[Region, ...]:
    pairing = pair_regions(sample.regions, said.regions, class_of=lambda _: None)
    ids = {pair.new: sample.regions[pair.old].id for pair in pairing.pairs}
    return tuple(
        region.replace(id=ids[place]) if place in ids else region
        for place, region in enumerate(said.regions)
    )


def copy_predictions(edit: StagedEdit, name: str, keys: Iterable[str] | None = None) -> Changed:
    """Stage what a set says of samples, as proposed, in the name of its model.

    `keys` are the samples that are meant, None all. A predicted region that is one of the sample
    already gives that its labels; the others are added. What was taken before is not taken again.
    """
    repo, version = edit.repo, edit.version
    wanted = None if keys is None else set(keys)
    changed, regions, labels = [], 0, 0
    for said in iter_predictions(repo, name):
        key = version.lookups.key_of(said.uid)
        if key is None or (wanted is not None and key not in wanted):
            continue
        old = edit[key]
        new = _with_proposals(old, said, f"model:{name}")
        if new != old:
            edit[key] = new
            changed.append(key)
            regions += len(new.regions) - len(old.regions)
            labels += _count_labels(new) - _count_labels(old)
    return Changed(sorted(changed), regions, labels)


def _count_labels(sample: Sample) -> int:
    return len(sample.labels) + sum(len(region.labels) for region in sample.regions)


def _with_proposals(sample: Sample, said: Sample, source: str) -> Sample:
    known = {region.id for region in sample.regions}
    fresh = [region for region in said.regions if region.id not in known]
    pairing = pair_regions(sample.regions, fresh, class_of=_first_node)
    twins = {pair.old: fresh[pair.new] for pair in pairing.pairs if pair.similarity >= _ONE_REGION}
    taken = {region.id for region in twins.values()}
    regions = [
        region.replace(labels=_joined(region.labels, twins[place].labels, source))
        if place in twins
        else region
        for place, region in enumerate(sample.regions)
    ]
    regions += [_proposed(region, source) for region in fresh if region.id not in taken]
    labels = _joined(sample.labels, said.labels, source)
    return sample.replace(labels=labels, regions=tuple(regions))


def _joined(old: tuple[Label, ...], new: tuple[Label, ...], source: str) -> tuple[Label, ...]:
    """Labels with proposals for the tasks of which the model said nothing here yet."""
    spoken = {label.task for label in old if label.source == source}
    proposed = (label.replace(source=source, state="proposed") for label in new)
    return (*old, *(label for label in proposed if label.task not in spoken))


def _proposed(region: Region, source: str) -> Region:
    labels = tuple(label.replace(source=source, state="proposed") for label in region.labels)
    return region.replace(source=source, state="proposed", labels=labels)


def _first_node(region: Region) -> bytes | None:
    return next((label.node for label in region.labels if label.node is not None), None)
