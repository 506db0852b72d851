"""Taking duplicates out of the next version: one operation, which `undo` takes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from voyager.curate.groups import Group
from voyager.repo.guard_offers import Offer, offer_of, taken
from voyager.repo.repository import Repository
from voyager.repo.rows import remove
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import RowChange
from voyager.schema import Sample, encode_sample


@dataclass(slots=True)
class Cleared:
    """What was taken out, with how many labels.

    `offers` is what the removed say and those that are kept do not, by the key of the removed.
    `left` are removed samples whose regions cannot be taken: their pixels are others.
    """

    removed: list[str]
    labels: int = 0
    offers: dict[str, Offer] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def remove_duplicates(
    repo: Repository, groups: Sequence[Group], *, merge_labels: bool = False
) -> Cleared:
    """Take all members of groups that need not be kept out of what is staged, and their files.

    With `merge_labels` those that are kept take what was said of the removed and not of them:
    regions where the pixels are the same, else what is said of the whole image. Raises StateError
    for a file that was edited.
    """
    version = repo.staged()
    found = Cleared([member.key for group in groups for member in group.removed])
    kept: dict[str, Sample] = {}
    for group in groups:
        for member in group.removed:
            assert member.instead is not None
            sample = version[member.key]
            before = kept.get(member.instead) or version[member.instead]
            offer = offer_of(version.vocabulary, sample, before)
            if sample.regions and not member.equal:
                found.left.append(member.key)
                offer = replace(offer, regions=())
            if offer:
                found.offers[member.key] = offer
                kept[member.instead] = taken(before, offer)
    also: list[RowChange] = [
        (SAMPLES, key.encode(), encode_sample(sample)) for key, sample in kept.items()
    ]
    if found.removed:
        done = remove(repo, found.removed, staged=True, also=also if merge_labels else ())
        found.labels = done.labels
    return found
