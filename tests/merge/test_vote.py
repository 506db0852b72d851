"""Votes: what most branches say is the answer, and what everybody said stays."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from merge_strategies import UIDS, Lab, conflicts_of, node, samples_of

import voyager
from voyager.merge import merge
from voyager.merge.choices import parse_choices
from voyager.merge.question import Side
from voyager.merge.vote import winner
from voyager.repo.branches import find_branch
from voyager.repo.repository import Repository
from voyager.repo.switch import switch, switch_to_new
from voyager.schema import Box, Image, Label, Region, Sample, sample_uid

SENDERS = Path(__file__).parents[1] / "data" / "clothing" / "senders.csv"
KEY = "a.jpg"
NAMES = ("main", "ann", "bob", "cem", "dot", "eve")


def kind(word: str, **more: Any) -> Label:
    return Label(task="kind", node=node(word), **more)


def tag(word: str, **more: Any) -> Label:
    return Label(task="tags", node=node(word), **more)


def sample(*labels: Label, **more: Any) -> Sample:
    return Sample(uid=UIDS[0], image=Image(uri="a"), labels=labels, **more)


def voted(
    base: Sample, *branches: Sample, choose: str = "vote", ours: Sample | None = None
) -> tuple[Sample, set[str]]:
    """The sample after a vote of branches that were merged into main, and what is in conflict."""
    lab = Lab()
    versions = [lab.version({KEY: each}) for each in (base, ours or base, *branches)]
    sides = [Side(name) for name in NAMES[: len(branches) + 1]]
    resolver = parse_choices([choose]).resolver(sides)
    after = lab.merge(versions[0], *versions[1:], resolver=resolver)
    return samples_of(after)[KEY], set(conflicts_of(after).get(KEY, {}))


def by_source(found: Sample | Region, task: str = "kind") -> dict[str, Label]:
    return {label.source: label for label in found.labels if label.task == task}


def test_two_of_three_win_and_every_label_stays() -> None:
    found, left = voted(sample(), *map(sample, map(kind, ("cat", "dog", "cat"))))
    assert left == set()
    assert by_source(found) == {
        "human": kind("cat", score=2 / 3),
        "human:ann": kind("cat", source="human:ann", state="proposed"),
        "human:bob": kind("dog", source="human:bob", state="proposed"),
        "human:cem": kind("cat", source="human:cem", state="proposed"),
    }


def test_the_winner_is_the_answer() -> None:
    found, _ = voted(sample(), *map(sample, map(kind, ("cat", "dog", "cat"))))
    vocabulary = Lab().version({}).vocabulary
    assert vocabulary.answer("kind", found.labels).labels == (kind("cat", score=2 / 3),)


def test_unanimous_answers_are_counted() -> None:
    found, left = voted(sample(), *[sample(kind("cat"))] * 3)
    assert (by_source(found)["human"].score, len(found.labels), left) == (1.0, 4, set())


def test_ties_stay_in_conflict_as_they_were() -> None:
    for words in (("cat", "dog"), ("cat", "dog", "car"), ("cat", "cat", "dog", "dog", "car")):
        found, left = voted(sample(), *map(sample, map(kind, words)))
        assert (found, left) == (sample(), {"labels/kind/human"})


def test_most_votes_win_without_being_half() -> None:
    found, _ = voted(sample(), *map(sample, map(kind, ("cat", "cat", "dog", "car", "animal"))))
    assert by_source(found)["human"] == kind("cat", score=0.4)


def test_who_did_not_change_a_label_abstains() -> None:
    base = sample(kind("car"))
    found, _ = voted(base, base, sample(kind("cat")), sample(kind("cat")), base)
    assert by_source(found)["human"].score == 1.0
    assert sorted(by_source(found)) == ["human", "human:bob", "human:cem"]
    assert voted(base, base, sample(kind("cat"))) == (sample(kind("cat")), set())


def test_main_votes_too() -> None:
    found, _ = voted(sample(), sample(kind("cat")), sample(kind("dog")), ours=sample(kind("cat")))
    assert sorted(by_source(found)) == ["human", "human:ann", "human:bob", "human:main"]


def test_taking_out_and_rejecting_are_votes() -> None:
    base = sample(kind("car"))
    found, left = voted(base, sample(), sample(), sample(kind("cat")))
    assert (sorted(by_source(found)), left) == (["human:cem"], set())
    rejected = sample(kind("cat", state="rejected"))
    found, _ = voted(base, rejected, rejected, sample(kind("cat")))
    assert by_source(found)["human"] == kind("cat", state="rejected", score=2 / 3)


def test_the_winner_is_as_firm_as_the_firmest_who_agree() -> None:
    assert winner([kind("cat"), kind("cat", state="verified"), kind("dog")]).state == "verified"
    assert winner([kind("cat", state="proposed")] * 2).state == "proposed"


def test_sources_keep_their_kind() -> None:
    branches = [sample(kind(word, source="model:m", score=0.3)) for word in ("cat", "cat", "dog")]
    found, _ = voted(sample(), *branches)
    assert by_source(found) == {
        "model:m": kind("cat", source="model:m", score=2 / 3),
        "model:m:ann": kind("cat", source="model:m:ann", score=0.3, state="proposed"),
        "model:m:bob": kind("cat", source="model:m:bob", score=0.3, state="proposed"),
        "model:m:cem": kind("dog", source="model:m:cem", score=0.3, state="proposed"),
    }


def test_a_ballot_takes_no_label_away() -> None:
    own = kind("car", source="human:ann")
    found, _ = voted(sample(own), sample(own, kind("cat")), sample(own, kind("cat")))
    assert by_source(found)["human:ann"] == own
    assert by_source(found)["human:ann~2"] == kind("cat", source="human:ann~2", state="proposed")


def test_a_second_vote_takes_the_place_of_the_first() -> None:
    first, _ = voted(sample(), *map(sample, map(kind, ("cat", "dog", "cat"))))
    again = [
        first.replace(labels=(kind("dog"), *first.labels[1:])),
        first.replace(labels=(kind("dog"), *first.labels[1:])),
    ]
    found, left = voted(first, *again)
    assert left == set()
    assert by_source(found)["human"] == kind("dog", score=1.0)
    assert by_source(found)["human:ann"].node == node("dog")
    assert by_source(found)["human:cem"].node == node("cat")


def test_a_side_that_answered_votes_on_all_of_several_answers() -> None:
    branches = [
        sample(tag("cat"), tag("car")),
        sample(tag("cat")),
        sample(tag("cat"), tag("dog")),
        sample(kind("cat")),
    ]
    found, left = voted(sample(), *branches)
    assert left == set()
    assert {label for label in found.labels if label.source == "human"} == {
        tag("cat", score=1.0),
        kind("cat"),
    }
    ballots = Counter(label.source for label in found.labels if label.state == "proposed")
    assert ballots == {"human:ann": 2, "human:bob": 1, "human:cem": 2}


def test_a_tie_over_one_of_several_answers_is_a_conflict() -> None:
    found, left = voted(sample(), sample(tag("cat"), tag("car")), sample(tag("cat")))
    assert {label for label in found.labels if label.source == "human"} == {tag("cat", score=1.0)}
    assert left == {f"labels/tags/human/={node('car').hex()}"}


def test_only_what_was_chosen_is_voted_on() -> None:
    branches = [sample(kind("cat"), tag("cat"))] * 2
    assert voted(sample(), *branches, choose="tags=vote")[0].labels[0] == kind("cat")
    assert voted(sample(), *branches, choose="kind:car=vote") == (branches[0], set())
    assert voted(sample(), *branches, choose="b/*=vote") == (branches[0], set())


def drawn(own: int, box: Box, *labels: Label) -> Region:
    return Region(id=bytes([own]) * 16, geometries={"box": box}, labels=labels)


def test_labels_of_a_region_that_all_drew_are_voted_on() -> None:
    """Each under an id of its own: the lowest id survives, and the votes are still known."""
    branches = [
        sample(regions=(drawn(own, Box(0, 0, 100, 100 + own % 2), kind(word)),))
        for own, word in ((7, "cat"), (5, "dog"), (6, "cat"))
    ]
    found, left = voted(sample(), *branches)
    [region] = found.regions
    assert (region.id, left) == (bytes([5]) * 16, set())
    assert by_source(region)["human"] == kind("cat", score=2 / 3)
    assert by_source(region)["human:bob"].node == node("dog")


def test_boxes_change_where_more_than_half_agree() -> None:
    old = sample(regions=(drawn(1, Box(0, 0, 100, 100)),))
    wide, high = (
        sample(regions=(drawn(1, box),)) for box in (Box(0, 0, 160, 100), Box(0, 0, 100, 160))
    )
    assert voted(old, wide, wide, high) == (wide, set())
    path = f"regions/{(bytes([1]) * 16).hex()}/geometries/box"
    assert voted(old, wide, high) == (old, {path})
    assert voted(old, wide, high, choose="kind=vote")[1] == {path}


def test_a_split_changes_where_more_than_half_agree() -> None:
    train, val = sample(split="train"), sample(split="val")
    assert voted(sample(), train, val, val) == (val, set())
    assert voted(sample(), train, val) == (sample(), {"split"})


# -- real labels ----------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    return voyager.init(tmp_path, worktree=False)


def clothing() -> list[tuple[str, str, str]]:
    """(key, class, contributor) of the photographs."""
    with SENDERS.open() as file:
        return [(row["key"], row["label"], row["sender_id"]) for row in csv.DictReader(file)]


def annotate(repo: Repository, name: str, labels: Mapping[str, str]) -> None:
    switch(repo, find_branch(repo, "main"))
    switch_to_new(repo, name)
    with repo.edit(message=name) as edit:
        edit.label((key, None, "category", word) for key, word in labels.items())
    switch(repo, find_branch(repo, "main"))


@pytest.fixture
def photographs(repo: Repository) -> Repository:
    """Main has the photographs, and nobody has said what they show."""
    rows = clothing()
    with repo.edit(message="photographs") as edit:
        for word in sorted({word for _, word, _ in rows}):
            edit.vocabulary.category("category", word)
        for key, _, _ in rows:
            edit[key] = Sample(uid=sample_uid(key, key), image=Image(uri=key))
    return repo


def busiest(count: int) -> list[str]:
    """The contributors with most photographs."""
    return [sender for sender, _ in Counter(each for *_, each in clothing()).most_common(count)]


def test_contributors_who_label_their_own_photographs_need_no_vote(photographs: Repository) -> None:
    senders = busiest(5)
    for sender in senders:
        annotate(photographs, sender, {key: word for key, word, own in clothing() if own == sender})
    done = merge(photographs, *senders, strategies=["category=vote"])
    assert (done.result, done.conflicts) == ("merged", 0)
    version = photographs.staged()
    for key, word, sender in clothing():
        labels = version[key].labels
        assert [version.vocabulary.word(label) for label in labels] == [word] * (sender in senders)
        assert all(label.score is None for label in labels)


def test_contributors_who_look_at_all_photographs_vote(photographs: Repository) -> None:
    """Now and then one of them is wrong about another's photograph, each in a way of their own."""
    senders = busiest(3)
    words = sorted({word for _, word, _ in clothing()})

    def says(sender: str, key: str, word: str, owner: str) -> str:
        if sender == owner or crc32(f"{sender} {key}".encode()) % 4:
            return word
        return words[(words.index(word) + 1 + senders.index(sender)) % len(words)]

    for sender in senders:
        said = {key: says(sender, key, word, owner) for key, word, owner in clothing()}
        annotate(photographs, sender, said)
    done = merge(photographs, *senders, strategies=["category=vote"])

    version = photographs.staged()
    shares: Counter[float | None] = Counter()
    for key, word, owner in clothing():
        votes = Counter(says(sender, key, word, owner) for sender in senders)
        labels = version[key].labels
        if len(votes) == 3:
            assert labels == ()
            shares[None] += 1
            continue
        answer = version.vocabulary.answer("category", labels).label
        assert answer is not None
        assert version.vocabulary.word(answer) == word == votes.most_common(1)[0][0]
        assert answer.score == votes[word] / 3
        ballots = {label.source: version.vocabulary.word(label) for label in labels[1:]}
        assert ballots == {f"human:{each}": says(each, key, word, owner) for each in senders}
        shares[answer.score] += 1
    assert shares == {1.0: 453, 2 / 3: 434, None: 120}
    assert (done.result, done.conflicts) == ("conflicts", shares[None])
