"""Dividing a version into splits: groups stay together, classes come in the asked shares."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from blake3 import blake3

from voyager.errors import UsageError
from voyager.repo.assignments import known_task
from voyager.repo.dataset import Dataset
from voyager.repo.snapshot import SAMPLES
from voyager.schema.partial import partial_decoder
from voyager.schema.stratify import SIZE, Unit, divide
from voyager.schema.vocabulary import Vocabulary
from voyager.store import bulk

DEFAULT_NAMES = {1: ("train",), 2: ("train", "val"), 3: ("train", "val", "test")}


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How to divide: names and shares, what goes together, what is to be even, what stays.

    `by` names fields of meta whose equal values keep samples together, as groups do anyway;
    `stratify` tasks whose classes come in the same shares. Samples in a split of `keep` stay, with
    `only_new` all that have a split. Equal rules divide equal samples equally.
    """

    shares: dict[str, float]
    by: tuple[str, ...] = ()
    stratify: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    only_new: bool = False
    seed: int = 0


@dataclass(slots=True)
class SplitPlan:
    """What `plan_splits` decided: the split of each chosen sample, and how even that is."""

    splits: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Class, or `` for samples → split → how many."""
    groups: int = 0
    """Groups of several samples."""
    straddling: int = 0
    """Of these, those that lay in several splits before, in samples that stay where they are."""
    followed: int = 0
    """Samples that went where one of their group stays."""

    def furthest(self, shares: dict[str, float]) -> tuple[str, str, float, float] | None:
        """(class or ``, split, its share, the asked one) where these differ most."""
        worst: tuple[str, str, float, float] | None = None
        for name, by_split in self.counts.items():
            total = sum(by_split[split] for split in shares)
            for split, asked in shares.items():
                share = by_split[split] / total if total else asked
                if worst is None or abs(share - asked) > abs(worst[2] - worst[3]):
                    worst = (name, split, share, asked)
        return worst


@dataclass(slots=True)
class _Member:
    """A sample: its classes, and the split where it stays, if any; one not chosen stays too."""

    key: str
    uid: bytes
    chosen: bool
    stays: str | None
    classes: Counter[str]
    together: list[Hashable]


def parse_ratios(text: str, names: Sequence[str] | None = None) -> dict[str, float]:
    """Name → share of `80/10/10`, shares of 1; UsageError for anything else."""
    words = text.replace(",", "/").replace(":", "/").split("/")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    total = sum(numbers)
    if not numbers or min(numbers) < 0 or not 0 < total < float("inf"):
        raise UsageError(f"'{text}' is no list of ratios", hint="--ratios 80/10/10")
    found = tuple(names or DEFAULT_NAMES.get(len(numbers), ()))
    if len(found) != len(numbers) or len(set(found)) != len(found):
        raise UsageError(
            f"{len(numbers)} ratios want {len(numbers)} different names, not {len(found)}",
            hint="--names train,val,test",
        )
    return {check_split(name): number / total for name, number in zip(found, numbers, strict=True)}


def check_split(name: str) -> str:
    """The name of a split; UsageError for one that cannot be typed or listed."""
    if not name or not all(letter.isalnum() or letter in "_-." for letter in name):
        raise UsageError(f"'{name}' cannot name a split: letters, digits and _ - . can")
    return name


def plan_splits(version: Dataset, keys: Iterable[str], rule: SplitRule) -> SplitPlan:
    """Decide the split of chosen samples.

    Groups reach beyond what is chosen: a sample goes where another of its group stays.
    """
    members = _read_members(version, set(keys), rule)
    plan = SplitPlan(counts={"": Counter()})
    units: list[Unit] = []
    groups = [group for group in _groups(members) if any(member.chosen for member in group)]
    for group in groups:
        unit = _unit_of(group, rule.seed)
        units.append(unit)
        plan.groups += len(group) > 1
        plan.straddling += len({member.stays for member in group if member.stays}) > 1
    for group, split in zip(groups, divide(units, rule.shares), strict=True):
        followed = any(member.stays for member in group)
        for member in group:
            if member.chosen:
                where = member.stays or split
                plan.splits[member.key] = where
                plan.followed += followed and member.stays is None
                plan.counts[""][where] += 1
                for name, count in member.classes.items():
                    plan.counts.setdefault(name, Counter())[where] += count
    return plan


def straddling(version: Dataset, by: Sequence[str] = ()) -> list[list[str]]:
    """The groups whose samples are in several splits: the keys of each."""
    members = _read_members(version, (), SplitRule({}, tuple(by)))
    return [
        sorted(member.key for member in group)
        for group in _groups(members)
        if len({member.stays for member in group} - {None}) > 1
    ]


# -- groups ---------------------------------------------------------------------------------------


def _groups(members: Sequence[_Member]) -> list[list[_Member]]:
    """Members that share anything, directly or over others, together."""
    first: dict[Hashable, int] = {}
    parent = list(range(len(members)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    for place, member in enumerate(members):
        for name in member.together:
            other = first.setdefault(name, place)
            one, two = sorted((root(place), root(other)))
            parent[two] = one
    found: dict[int, list[_Member]] = {}
    for place, member in enumerate(members):
        found.setdefault(root(place), []).append(member)
    return list(found.values())


def _unit_of(group: Sequence[_Member], seed: int) -> Unit:
    """A group as a unit; its order by chance follows the least uid, whatever the keys are."""
    amounts: Counter[Hashable] = Counter()
    for member in group:
        if member.chosen:
            amounts[SIZE] += 1
            amounts.update(member.classes)
    staying = Counter(sorted(member.stays for member in group if member.stays is not None))
    anchor = min(member.uid for member in group)
    order = blake3(seed.to_bytes(16, "big", signed=True) + anchor).digest(8)
    return Unit(order, amounts, staying.most_common(1)[0][0] if staying else None)


# -- reading --------------------------------------------------------------------------------------


def _read_members(version: Dataset, chosen: Collection[str], rule: SplitRule) -> list[_Member]:
    words = version.vocabulary
    for task in rule.stratify:
        if known_task(words.tasks, task).kind == "number":
            raise UsageError(f"task '{task}' has numbers, no classes to be even in")
    wanted = ["uid", "split", "group", "meta"]
    if rule.stratify:
        wanted += ["labels", "regions.labels", "regions.state"]
    decode = partial_decoder(wanted)
    by = [name.removeprefix("meta.") for name in rule.by]
    members: list[_Member] = []
    seen: Counter[str] = Counter()
    with bulk.paused_gc():
        for name, row in version.rows(SAMPLES):
            sample = decode(row)
            seen.update(sample.meta.keys())
            members.append(_member(name.decode(), sample, chosen, words, rule, by))
    for field_name in by:
        if not seen[field_name]:
            near = get_close_matches(field_name, seen, 1)
            hint = f"--by {near[0]}" if near else "vgr show KEY lists what meta there is"
            raise UsageError(f"no sample has meta.{field_name}", hint=hint)
    return members


def _member(
    key: str,
    sample: Any,
    chosen: Collection[str],
    words: Vocabulary,
    rule: SplitRule,
    by: Sequence[str],
) -> _Member:
    is_chosen = key in chosen
    stays = sample.split
    if is_chosen and not rule.only_new and stays not in rule.keep:
        stays = None
    together: list[Hashable] = [] if sample.group is None else [(SIZE, sample.group.id)]
    together += [(name, json.dumps(sample.meta[name])) for name in by if name in sample.meta]
    classes: Counter[str] = Counter()
    if is_chosen and rule.stratify:
        classes = _classes_of(sample, words, rule.stratify)
    return _Member(key, sample.uid, is_chosen, stays, classes, together)


def _classes_of(sample: Any, words: Vocabulary, tasks: Sequence[str]) -> Counter[str]:
    """How often each class of some tasks is the answer of a sample or one of its regions."""
    parts = [sample.labels]
    parts += [
        region.labels for region in sample.regions if region.state not in ("rejected", "proposed")
    ]
    found: Counter[str] = Counter()
    for task in tasks:
        head = f"{task}: " if len(tasks) > 1 else ""
        for labels in filter(None, parts):
            found.update(head + words.word(said) for said in words.answer(task, labels).labels)
    return found
