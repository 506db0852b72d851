"""Held samples: listed, let go, or taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from voyager.errors import NotFoundError, StateError
from voyager.repo.dataset import Dataset
from voyager.repo.guard_images import Seen, seen_of
from voyager.repo.guard_offers import Offer, offer_of, taken
from voyager.repo.guard_pairs import PixelPairs, bytes_pairs
from voyager.repo.guard_policy import read_policy, release_changes
from voyager.repo.keys import KeyPattern, shown
from voyager.repo.protected import Protected, ProtectedCache
from voyager.repo.repository import Repository, no_progress
from voyager.repo.rows import remove
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.staging import RowChange
from voyager.schema import Held, Sample, encode_sample
from voyager.schema.guard import DETECTORS


@dataclass(frozen=True, slots=True)
class HeldSample:
    """A sample that is held; `protected` is the key of what it is too close to, if that is there.

    `split` is its own.
    """

    key: str
    split: str | None
    held: Held
    protected: str | None


@dataclass(slots=True)
class Dropped:
    """What was taken out; `offers` are what that said and the protected sample did not, by key."""

    keys: list[str]
    labels: int = 0
    offers: dict[str, Offer] = field(default_factory=dict)


def guarded(repo: Repository, version: Dataset) -> Protected:
    """The protected images of a version, and what is held."""
    return ProtectedCache(repo.folder).images_of(version, read_policy(version))


def held_samples(repo: Repository, version: Dataset) -> list[HeldSample]:
    """All that is held in a version, in key order."""
    images = guarded(repo, version)
    keys = {seen.uid: seen.key for seen in images.rows.values()}
    return [_held(version, keys, key) for key in sorted(images.held)]


def _held(version: Dataset, keys: dict[bytes, str], key: str) -> HeldSample:
    sample = version[key]
    held = sample.held
    assert held is not None
    return HeldSample(key, sample.split, held, keys.get(held.uid))


def release(repo: Repository, patterns: Sequence[str]) -> list[HeldSample]:
    """Let held samples go: they may be trained on, and these pairs are not held again.

    Raises NotFoundError for a pattern that names nothing, StateError for what is not held.
    """
    with StagedEdit(repo, "guard", f"release {' '.join(patterns)}") as edit:
        version = edit.version
        chosen = _chosen(repo, version, patterns)
        edit.put_policies(release_changes(_pairs(repo, version, chosen)))
        for one in chosen:
            edit[one.key] = edit[one.key].replace(held=None)
    return chosen


def _pairs(
    repo: Repository, version: Dataset, chosen: Sequence[HeldSample]
) -> list[tuple[bytes, bytes, str]]:
    """(uid, uid of a protected sample, kind) of all pairs that are known of these samples.

    That for which one is held, and others that it would be held for next, where no image has to be
    read to tell; of several kinds the surest.
    """
    policy, protected = read_policy(version), list(guarded(repo, version).rows.values())
    copies = [_seen(version, one.key) for one in chosen]
    kept = PixelPairs(
        repo, version.objects, policy, policy.used_detectors, no_progress, kept_only=True
    )
    found = [*bytes_pairs(policy, copies, protected), *kept.find(copies, protected)]
    kinds = {
        (seen.uid, one.held.uid): one.held.kind for seen, one in zip(copies, chosen, strict=True)
    }
    for pair in found:
        at = pair.copy.uid, pair.protected.uid
        kinds[at] = min(kinds.get(at, pair.kind), pair.kind, key=_place)
    return [(uid, other, kind) for (uid, other), kind in kinds.items()]


def _place(kind: str) -> int:
    return DETECTORS.index(kind) if kind in DETECTORS else len(DETECTORS)


def _seen(version: Dataset, key: str) -> Seen:
    row = version.row(SAMPLES, key.encode())
    assert row is not None
    return seen_of(key.encode(), row)


def drop(repo: Repository, patterns: Sequence[str], *, take_labels: bool = False) -> Dropped:
    """Take held samples out of the next version, and their files; earlier commits keep them.

    With `take_labels` the protected sample takes what they say and it does not. Raises as
    `release`, and StateError for a file that was edited.
    """
    version = repo.staged()
    chosen = _chosen(repo, version, patterns)
    offers: dict[str, Offer] = {}
    kept: dict[str, Sample] = {}
    for one in chosen:
        if one.protected is not None:
            protected = kept.get(one.protected) or version[one.protected]
            offer = offer_of(version.vocabulary, version[one.key], protected)
            if offer:
                offers[one.key] = offer
                kept[one.protected] = taken(protected, offer)
    also: list[RowChange] = [
        (SAMPLES, key.encode(), encode_sample(sample)) for key, sample in kept.items()
    ]
    keys = [one.key for one in chosen]
    done = remove(repo, keys, staged=True, also=also if take_labels else ())
    return Dropped(keys, done.labels, offers)


def _chosen(repo: Repository, version: Dataset, patterns: Sequence[str]) -> list[HeldSample]:
    """The held samples that keys, folders and globs name, in key order."""
    held = {one.key: one for one in held_samples(repo, version)}
    found: dict[str, HeldSample] = {}
    for text in patterns:
        pattern = KeyPattern(text)
        matched = {key: one for key, one in held.items() if pattern.matches(key)}
        if not matched:
            _refuse(version, text, list(held))
        found.update(matched)
    return [found[key] for key in sorted(found)]


def _refuse(version: Dataset, text: str, held: Sequence[str]) -> None:
    near = get_close_matches(text, held, 1)
    hint = f"did you mean '{shown(near[0])}'?" if near else "vgr guard show"
    name = shown(text)
    if version.space_of(text) is not None:
        raise StateError(f"'{name}' is not held", hint=hint)
    if version.has_folder(text) or KeyPattern(text).is_glob:
        raise StateError(f"'{name}' names nothing that is held", hint=hint)
    raise NotFoundError(f"no sample '{name}'", hint=hint)
