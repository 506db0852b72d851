"""Three people branch, edit, merge, rebase and resolve; nothing that anybody said is lost.

The model knows no merge. Whoever sets a field says something new there, and takes back what could
be seen of it before; what is said and not taken back has to be there: in the field, or among the
values of its conflict. Nothing else may be there, as long as nobody rebases or merges two at once,
and every merge has one base without conflicts: rebased commits are told twice, what is common to
all three is less than what two share, and what a base in conflict came from is a value to choose.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from replays import boxed, labeled

from voyager.merge import Merged, abort, merge
from voyager.merge.conflicts import Wanted, list_conflicts
from voyager.merge.rebase import rebase
from voyager.merge.resolve import resolve
from voyager.merge.resolving import Choice
from voyager.merge.resume import proceed as go_on
from voyager.repo.branches import create, find_branch
from voyager.repo.check import check_rows
from voyager.repo.commit import commit
from voyager.repo.conflicts import conflicts_at, has_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.switch import switch
from voyager.repo.undo import undo
from voyager.schema import Box, Image, Label, Region, Sample, sample_uid
from voyager.schema.fields import decode_field, read_field

PEOPLE = ("ann", "ben", "cleo")
BOX = bytes([1]) * 16
PATHS = {
    "color": "labels/color/human",
    "note": "labels/note/human",
    "split": "split",
    "box": f"regions/{BOX.hex()}/geometries/box",
    "what": f"regions/{BOX.hex()}/labels/what/human",
    "key": "key",
}
REGION = f"regions/{BOX.hex()}"
FIELDS = {path: name for name, path in PATHS.items()} | {REGION: "region"}

_APART = 200
"""So far that two boxes never agree."""

Saying = tuple[bytes, str, str]
"""Of which sample, in which field, what."""


@dataclass
class Said:
    """What was said on a branch, and what was taken back."""

    all: set[Saying] = field(default_factory=set)
    gone: set[Saying] = field(default_factory=set)

    @property
    def live(self) -> set[Saying]:
        return self.all - self.gone

    def add(self, other: Said) -> None:
        self.all |= other.all
        self.gone |= other.gone


def texts_of(name: str, value: object) -> Iterator[tuple[str, str]]:
    """The fields that a value is of, with what it says; every value is said once only."""
    if isinstance(value, Region):
        yield from texts_of("box", value.geometry)
        yield from texts_of("what", value.labels[0])
    elif isinstance(value, Label):
        yield name, str(value.value)
    elif value is not None:
        yield name, f"{value.x0:g}" if isinstance(value, Box) else str(value)


def seen_in(version: Dataset) -> Iterator[Saying]:
    """What stands in the fields, and for those in conflict what their sides say."""
    for key, sample in version.items():
        disputed = conflicts_at(version, SAMPLES, key.encode())
        assert disputed.keys() <= FIELDS.keys(), disputed.keys()
        for path, name in FIELDS.items():
            terms = disputed.get(path)
            if terms is not None:
                values = [decode_field(path, add) for add in terms.adds]
            elif path == REGION:  # its parts are told one by one
                continue
            else:
                values = [key if name == "key" else read_field(sample, path)]
            for value in values:
                yield from ((sample.uid, *told) for told in texts_of(name, value))


def write(sample: Sample, name: str, number: int) -> Sample:
    """A sample with something new in a field."""
    if name == "split":
        return sample.replace(split=str(number))
    if name in ("box", "what"):
        (old,) = sample.regions or boxed(1, 0)(sample).regions
        x, labels = _APART * number if name == "box" else old.geometry.x0, old.labels
        new = (Label(task="what", value=str(number)),) if name == "what" else labels
        return boxed(1, x, *new)(sample)
    return labeled(name, str(number))(sample)


class People(RuleBasedStateMachine):
    """A branch for each of them; one is at work at a time."""

    loosens = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="vgr-people-")
        self.repo = Repository.init(self.folder.name, worktree=False)
        self.said = {name: Said() for name in PEOPLE}
        self.number = 0
        self.loose = False
        self.at = "ann"

    def teardown(self) -> None:
        try:
            self.bring_all_together()
        finally:
            self.repo.close()
            self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        with self.repo.edit("base") as edit:
            for task in ("color", "note", "what"):
                edit.vocabulary.define(task, kind="text")
            for name in ("a", "b", "c"):
                sample = Sample(uid=sample_uid("people", name), image=Image())
                for part in ("box", "what", "color", "note", "split"):
                    sample = write(sample, part, self.next())
                edit[name] = sample
        for name in PEOPLE:
            create(self.repo, name, self.repo.resolve("HEAD"))
            self.said[name].all = set(seen_in(self.repo.at(name)))
        self.go("ann")

    def next(self) -> int:
        self.number += 1
        return self.number

    def go(self, name: str) -> Said:
        switch(self.repo, find_branch(self.repo, name))
        self.at = name
        return self.said[name]

    # -- what they do ----------------------------------------------------------------------------

    @rule(
        people=st.sets(st.sampled_from(PEOPLE), min_size=1),
        at=st.integers(0, 3),
        parts=st.sets(st.sampled_from(sorted(PATHS)), min_size=1),
    )
    def edit(self, people: set[str], at: int, parts: set[str]) -> None:
        """Some of them say something new in some fields of a sample."""
        for who in sorted(people):
            self.set_fields(self.go(who), at, sorted(parts))

    def set_fields(self, said: Said, at: int, parts: Sequence[str]) -> None:
        samples = sorted(self.repo.staged().items(), key=lambda item: item[1].uid)
        key, sample = samples[at % len(samples)]
        seen = set(seen_in(self.repo.staged()))
        if REGION in conflicts_at(self.repo.staged(), SAMPLES, key.encode()):
            parts = [
                *parts,
                *sorted({"box", "what"}.difference(parts)),
            ]  # there is none: it is drawn anew
        with self.repo.edit(f"{self.at} sets {', '.join(parts)}") as edit:
            after, new = sample, key
            for part in parts:
                number = self.next()
                new = f"k{number}" if part == "key" else new
                after = after if part == "key" else write(after, part, number)
                self.say(said, sample.uid, part, number, seen)
            if new != key:
                del edit[key]
            edit[new] = after

    def say(self, said: Said, uid: bytes, part: str, number: int, seen: set[Saying]) -> None:
        told = {"key": f"k{number}", "box": f"{_APART * number}"}.get(part, str(number))
        said.gone |= {one for one in seen if one[:2] == (uid, part)}
        said.all.add((uid, part, told))

    @rule(who=st.sampled_from(PEOPLE))
    def add(self, who: str) -> None:
        """Bring in a sample that nobody else has."""
        said = self.go(who)
        number = self.next()
        sample = Sample(uid=sample_uid("people", str(number)), image=Image())
        with self.repo.edit(f"{who} adds") as edit:
            for part in ("box", "what", "color", "note", "split"):
                sample = write(sample, part, self.next())
            edit[f"k{number}"] = sample
        said.all |= {one for one in seen_in(self.repo.staged()) if one[0] == sample.uid}

    @rule(
        who=st.sampled_from(PEOPLE),
        others=st.lists(st.sampled_from(PEOPLE), min_size=1, max_size=2, unique=True),
        ending=st.sampled_from(["commit", "resolve", "abort", "undo"]),
    )
    def merge(self, who: str, others: list[str], ending: str) -> None:
        """Merge one or two others; conflicts are committed, resolved, or given up."""
        said = self.go(who)
        others = others if self.loosens else others[:1]
        before = set(seen_in(self.repo.staged()))
        done = merge(self.repo, *others)
        self.loose = self.loose or len(others) > 1 or self.is_loose(done)
        if done.result == "conflicts" and ending == "abort":
            abort(self.repo)
        elif done.result != "up-to-date" and ending == "undo":
            undo(self.repo)
        else:
            for other in others:
                said.add(self.said[other])
            if done.result == "conflicts":
                self.check(said, set(seen_in(self.repo.staged())))
                commit(self.repo, "", allow_conflicts=True)
                if ending == "resolve":
                    self.resolve(who)
            return
        assert set(seen_in(self.repo.staged())) == before

    def is_loose(self, done: Merged) -> bool:
        """Whether more comes up than is said: the base was not of one mind."""
        return len(done.bases) > 1 or any(
            has_conflicts(self.repo.at(base.hex())) for base in done.bases
        )

    @rule(who=st.sampled_from(PEOPLE))
    def resolve(self, who: str) -> None:
        """Decide all that is in conflict, by saying something new, and commit that."""
        said = self.go(who)
        if self.decide(said):
            commit(self.repo, f"{who} decides")

    def decide(self, said: Said) -> bool:
        version, decided = self.repo.staged(), False
        while found := list_conflicts(self.repo, version):
            one, number, decided = found[0], self.next(), True
            name, sample, seen = FIELDS[one.path], version[one.name], set(seen_in(version))
            parts = ("box", "what") if name == "region" else (name,)
            value: object = f"k{number}"
            for part in parts if name != "key" else ():
                sample = write(sample, part, number)
                value = read_field(sample, one.path)
            resolve(self.repo, Choice("value", value=value), Wanted([one.name], one.path))
            for part in parts:
                self.say(said, sample.uid, part, number, seen)
            version = self.repo.staged()
        return decided

    @precondition(lambda self: self.loosens)
    @rule(who=st.sampled_from(PEOPLE), other=st.sampled_from(PEOPLE))
    def rebase(self, who: str, other: str) -> None:
        """Rebase on another's branch, deciding what is in conflict on the way."""
        said = self.go(who)
        done = rebase(self.repo, other)
        if done.result == "up-to-date":
            return
        said.add(self.said[other])
        self.loose = self.loose or done.result != "fast-forward"
        while done.result == "conflicts":
            self.decide(said)
            done = go_on(self.repo, "rebase")
        assert self.repo.head.branch == who

    # -- what has to hold ------------------------------------------------------------------------

    def check(self, said: Said, seen: set[Saying]) -> None:
        assert said.live <= seen, said.live - seen
        if not self.loose:
            assert seen == said.live, seen - said.live

    @invariant()
    def nothing_is_lost(self) -> None:
        if self.number:
            self.check(self.said[self.at], set(seen_in(self.repo.at(self.at))))

    def bring_all_together(self) -> None:
        """In the end all merge all, either way round; the versions are the same and sound."""
        if not self.number:
            return
        found = []
        for who, *others in (PEOPLE, PEOPLE[::-1]):
            create(self.repo, f"all-{who}", self.repo.resolve(who))
            switch(self.repo, find_branch(self.repo, f"all-{who}"))
            for other in others:
                done = merge(self.repo, other)
                self.loose = self.loose or self.is_loose(done)
                if done.result == "conflicts":
                    commit(self.repo, "", allow_conflicts=True)
            found.append(self.repo.staged())
        everything = Said()
        for said in self.said.values():
            everything.add(said)
        for version in found:
            self.check(everything, set(seen_in(version)))
        assert not list(check_rows(self.repo))


class Mergers(People):
    """As `People`, who neither rebase nor merge two at once: what is there is known exactly.

    That ends with the first merge whose base is not of one mind.
    """

    loosens = False


def _run(people: type[People], examples: int, steps: int, *, long: bool = False) -> None:
    run_state_machine_as_test(
        people,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=not long,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("people", [People, Mergers])
def test_three_people(people: type[People]) -> None:
    _run(people, 4, 25)


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("people", [People, Mergers])
def test_three_people_for_long(people: type[People]) -> None:
    _run(people, 60, 150, long=True)
