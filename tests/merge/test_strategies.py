"""Strategies: laws over the whole table, what each decides, and which one is asked for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from merge_strategies import UIDS, Lab, conflicts_of, families, node, same, samples_of

import voyager
from voyager.errors import NotFoundError, UsageError
from voyager.merge import abort, merge
from voyager.merge.choices import parse_choices
from voyager.merge.merged_version import MergedVersion
from voyager.merge.question import Side
from voyager.merge.strategies import STRATEGIES
from voyager.repo.branches import find_branch
from voyager.repo.conflicts import iter_conflicts
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.switch import switch, switch_to_new
from voyager.schema import Box, FileRow, Image, Label, Region, Sample, sample_uid
from voyager.schema.taxonomy_faults import iter_faults
from voyager.schema.taxonomy_paths import match_places
from voyager.schema.taxonomy_verbs import bury, move
from voyager.wire import blob_ref

KEY = "photos/a.jpg"
BLANK = Sample(uid=UIDS[0], image=Image(uri="a"))
laws = examples(8, deep=200)
every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def side(name: str, time: int = 0) -> Side:
    return Side(name, None, time)


def decided(
    lab: Lab, base: Dataset, sides: Sequence[Dataset], *texts: str, times: Sequence[int] = ()
) -> MergedVersion:
    known = [side(f"side-{at}", times[at] if times else at) for at in range(len(sides))]
    return lab.told(base, *sides, resolver=parse_choices(texts).resolver(known))


def versions(lab: Lab, *found: Sample | None) -> list[Dataset]:
    return [lab.version({} if sample is None else {KEY: sample}) for sample in found]


def outcome(
    base: Sample | None, *sides: Sample | None, **more: Any
) -> tuple[Sample | None, set[str]]:
    """What a strategy makes of one sample: it, and the paths that are left in conflict."""
    lab = Lab()
    first, *others = versions(lab, base, *sides)
    texts = more.pop("choose")
    told = decided(lab, first, others, *([texts] if isinstance(texts, str) else texts), **more)
    after = lab.read(told.snapshot)
    return samples_of(after).get(KEY), set(conflicts_of(after).get(KEY, {}))


# -- laws -----------------------------------------------------------------------------------------


@every_strategy
@laws
@given(data=st.data())
def test_what_one_side_alone_changed_is_taken(name: str, data: st.DataObject) -> None:
    lab = Lab()
    base, one = versions(lab, *data.draw(families(1)))
    for sides in ([base, one], [one, base], [base, one, base]):
        if name != "theirs" or len(sides) == 2:
            assert decided(lab, base, sides, name).roots == one.roots


@every_strategy
@laws
@given(data=st.data())
def test_equal_sides_are_taken(name: str, data: st.DataObject) -> None:
    lab = Lab()
    base, one = versions(lab, *data.draw(families(1)))
    told = decided(lab, base, [one, one], name)
    if name == "vote":  # which counts them
        assert not conflicts_of(lab.read(told.snapshot))
    else:
        assert told.roots == one.roots


@every_strategy
@laws
@given(data=st.data())
def test_who_is_called_ours_does_not_matter(name: str, data: st.DataObject) -> None:
    lab = Lab()
    base, one, other = versions(lab, *data.draw(families(2)))
    back = {"ours": "theirs", "theirs": "ours"}.get(name, name)
    names = [side("one", 1), side("other", 2)]
    told = lab.told(base, one, other, resolver=parse_choices([name]).resolver(names))
    turned = lab.told(base, other, one, resolver=parse_choices([back]).resolver(names[::-1]))
    assert told.roots == turned.roots


@every_strategy
@laws
@given(data=st.data())
def test_what_is_left_stands_as_without_a_strategy(name: str, data: st.DataObject) -> None:
    lab = Lab()
    base, *sides = versions(lab, *data.draw(families(2)))
    plain = conflicts_of(lab.merge(base, *sides)).get(KEY, {})
    left = conflicts_of(lab.read(decided(lab, base, sides, name).snapshot)).get(KEY, {})
    if name == "manual":
        assert left == plain
    else:
        votes = {path for path in left if name == "vote" and path not in plain}
        assert {path: left[path] for path in left if path not in votes}.items() <= plain.items()


@pytest.mark.parametrize("name", ["ours", "theirs"])
@laws
@given(data=st.data())
def test_one_side_decides_everything(name: str, data: st.DataObject) -> None:
    lab = Lab()
    base, *sides = versions(lab, *data.draw(families(2)))
    assert not conflicts_of(lab.read(decided(lab, base, sides, name).snapshot))


@laws
@given(data=st.data())
def test_nobody_chosen_decides_nothing(data: st.DataObject) -> None:
    lab = Lab()
    base, *sides = versions(lab, *data.draw(families(2)))
    assert same(lab.read(decided(lab, base, sides).snapshot), lab.merge(base, *sides))


# -- what each decides ----------------------------------------------------------------------------


def labeled(word: str = "cat", /, **more: Any) -> Sample:
    return BLANK.replace(labels=(Label(task="kind", node=node(word), **more),))


def drawn(box: Box, own: bytes = b"r" * 16, /, **more: Any) -> Sample:
    return BLANK.replace(regions=(Region(id=own, geometries={"box": box}, **more),))


OLD, ONE, OTHER = Box(0, 0, 100, 100), Box(0, 0, 160, 100), Box(0, 0, 100, 180)
SLOT = "labels/kind/human"
SHAPE = f"regions/{(b'r' * 16).hex()}/geometries/box"


def test_ours_theirs_and_newest_take_a_side() -> None:
    cat, dog, car = labeled("cat"), labeled("dog"), labeled("car")
    assert outcome(car, cat, dog, choose="ours") == (cat, set())
    assert outcome(car, cat, dog, choose="theirs") == (dog, set())
    assert outcome(car, cat, dog, choose="newest", times=[5, 4]) == (cat, set())
    assert outcome(car, cat, dog, choose="newest", times=[4, 5]) == (dog, set())
    assert outcome(car, cat, dog, choose="newest", times=[5, 5]) == (car, {SLOT})
    assert outcome(car, car, cat, dog, choose="newest", times=[9, 4, 5]) == (dog, set())
    assert outcome(car, cat, dog, cat, choose="newest", times=[5, 4, 5]) == (cat, set())
    assert outcome(car, None, dog, choose="ours") == (None, set())
    assert outcome(car, None, dog, choose="theirs") == (dog, set())
    assert outcome(None, cat, dog.replace(split="train"), choose="ours")[0] == cat.replace(
        split="train"
    )


def test_ours_keeps_our_region_of_two_that_may_be_one() -> None:
    mine = drawn(Box(0, 0, 100, 100), b"m" * 16)
    yours = drawn(Box(0, 0, 100, 140), b"y" * 16)
    pair = f"regions/{(b'm' * 16).hex()}+{(b'y' * 16).hex()}"
    assert outcome(BLANK, mine, yours, choose="manual")[1] == {pair}
    assert outcome(BLANK, mine, yours, choose="ours") == (mine, set())
    assert outcome(BLANK, mine, yours, choose="theirs") == (yours, set())
    both, left = outcome(BLANK, mine, yours, choose="union")
    assert both is not None
    assert (both.regions, left) == ((*mine.regions, *yours.regions), set())


def test_ours_knows_a_region_that_was_joined_under_another_id() -> None:
    def of(own: bytes, word: str) -> Sample:
        return drawn(OLD, own, labels=(Label(task="kind", node=node(word)),))

    mine, yours = of(b"z" * 16, "cat"), of(b"a" * 16, "dog")
    for name, word in (("ours", "cat"), ("theirs", "dog")):
        found, left = outcome(BLANK, mine, yours, choose=name)
        assert found is not None
        [region] = found.regions
        assert (region.id, left) == (b"a" * 16, set())
        assert [label.node for label in region.labels] == [node(word)]


def test_union_keeps_what_was_changed_and_taken_out() -> None:
    old, new = drawn(OLD), drawn(ONE)
    assert outcome(old, BLANK, new, choose="union") == (new, set())
    assert outcome(old, None, new, choose="union") == (new, set())
    assert outcome(labeled("car"), BLANK, labeled("cat"), choose="union") == (labeled("cat"), set())
    assert outcome(labeled("car"), labeled("cat"), labeled("dog"), choose="union")[1] == {SLOT}
    assert outcome(old, new, drawn(OTHER), choose="union") == (old, {SHAPE})
    split = [BLANK.replace(split=name) for name in ("train", "val", "test")]
    assert outcome(*split, choose="union") == (split[0], {"split"})


def test_union_puts_texts_in_a_row() -> None:
    def text(*words: tuple[int, str]) -> Sample:
        return BLANK.replace(
            labels=tuple(Label(task="note", value=word, ordinal=at) for at, word in words)
        )

    found, left = outcome(BLANK, text((0, "a cat")), text((0, "a pet"), (1, "x")), choose="union")
    assert found is not None
    assert left == set()
    assert {(label.ordinal, label.value) for label in found.labels} == {
        (0, "a cat"),
        (1, "x"),
        (2, "a pet"),
    }


def test_people_before_models() -> None:
    base = drawn(OLD, source="model:m", score=0.5)
    model, human = drawn(ONE, source="model:m", score=0.9), drawn(OTHER, source="human")
    found, left = outcome(base, model, human, choose="human-over-model")
    assert found is not None
    assert (found.regions[0].geometries["box"], left) == (OTHER, set())
    cat, dog = labeled("cat"), labeled("dog", state="verified")
    assert outcome(labeled("car"), cat, dog, choose="human-over-model") == (dog, set())
    assert outcome(labeled("car"), cat, labeled("dog"), choose="human-over-model")[1] == {SLOT}
    rejected = labeled("dog", state="rejected")
    assert outcome(labeled("car"), cat, rejected, choose="human-over-model")[1] == {SLOT}
    assert outcome(labeled("car"), BLANK, dog, choose="human-over-model")[1] == {SLOT}
    mine, yours = drawn(OLD, b"m" * 16, source="model:m"), drawn(Box(0, 0, 100, 140), b"y" * 16)
    assert outcome(BLANK, mine, yours, choose="human-over-model") == (yours, set())


def test_highest_score() -> None:
    low, high = labeled("cat", score=0.2), labeled("dog", score=0.7)
    assert outcome(labeled("car"), low, high, choose="highest-score") == (high, set())
    for other in (labeled("dog"), labeled("dog", score=0.2)):
        assert outcome(labeled("car"), low, other, choose="highest-score")[1] == {SLOT}
    found, left = outcome(
        drawn(OLD, score=0.5),
        drawn(ONE, score=0.6),
        drawn(OTHER, score=0.8),
        choose="highest-score",
    )
    assert found is not None
    assert (found.regions[0].geometries["box"], found.regions[0].score, left) == (OTHER, 0.8, set())


def test_files_are_decided_too() -> None:
    lab = Lab()
    files = [FileRow(blob=blob_ref(bytes([at]) * 32), bytes=at) for at in range(3)]
    base, *sides = (lab.version({}, {"notes.txt": each}) for each in files)
    after = lab.read(decided(lab, base, sides, "theirs").snapshot)
    assert same(after, sides[1])
    after = lab.read(decided(lab, base, sides, "*.md=theirs").snapshot)
    assert set(conflicts_of(after)) == {"notes.txt"}


def test_two_renames_are_decided() -> None:
    lab = Lab()
    base, one, other = (lab.version({key: BLANK}) for key in ("a.jpg", "b.jpg", "c.jpg"))
    for name, key in (("ours", "b.jpg"), ("theirs", "c.jpg"), ("newest", "c.jpg")):
        after = lab.read(decided(lab, base, [one, other], name).snapshot)
        assert (list(samples_of(after)), conflicts_of(after)) == ([key], {})
    after = lab.read(decided(lab, base, [one, other], "union").snapshot)
    assert conflicts_of(after).keys() == {"a.jpg"}


def test_a_sample_that_came_from_elsewhere_is_not_given_up() -> None:
    lab = Lab()
    a, b = BLANK, BLANK.replace(uid=UIDS[1], image=Image(uri="b"))
    base = lab.version({"a.jpg": a, "b.jpg": b})
    mine, yours = lab.version({"c.jpg": a, "b.jpg": b}), lab.version({"a.jpg": a, "c.jpg": b})
    after = lab.read(decided(lab, base, [mine, yours], "ours").snapshot)
    assert conflicts_of(after)["c.jpg"].keys() == {"sample"}
    new = [lab.version({"c.jpg": each}) for each in (a, b)]
    after = lab.read(decided(lab, lab.version({}), new, "ours").snapshot)
    assert samples_of(after) == {"c.jpg": a}


def test_what_is_in_conflict_on_a_side_has_no_side_to_take() -> None:
    lab = Lab()
    base, *sides = versions(lab, *map(labeled, ("car", "cat", "dog")))
    torn = lab.merge(base, *sides)
    after = lab.read(decided(lab, base, [torn, *versions(lab, labeled("tabby"))], "ours").snapshot)
    assert conflicts_of(after)[KEY].keys() == {SLOT}
    after = lab.read(
        decided(lab, base, [torn, *versions(lab, labeled("tabby"))], "theirs").snapshot
    )
    assert samples_of(after)[KEY] == labeled("tabby")


# -- which is asked -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["ours"], "cat"),
        (["ours", "theirs"], "dog"),
        (["kind=theirs", "ours"], "dog"),
        (["count=theirs"], None),
        (["kind:animal=theirs", "kind=ours"], "dog"),
        (["kind:car=theirs"], None),
        (["kind:animal/dog=theirs", "kind:tabby=ours"], "dog"),
        (["photos/=theirs", "kind:cat=ours"], "dog"),
        (["photos/**=theirs", "photos/*.png=ours"], "dog"),
        (["./photos/a.jpg=theirs"], "dog"),
        (["theirs", "photos/**=manual"], None),
    ],
)
def test_the_most_specific_choice_is_asked(texts: Sequence[str], expected: str | None) -> None:
    sides = labeled("cat"), labeled("dog")
    found, left = outcome(labeled("animal").replace(labels=()), *sides, choose=texts)
    assert found is not None
    assert [label.node for label in found.labels] == ([node(expected)] if expected else [])
    assert bool(left) == (expected is None)


def test_a_class_is_that_of_the_region_too() -> None:
    labels = (Label(task="kind", node=node("cat")),)
    found = [drawn(box, labels=labels) for box in (OLD, ONE, OTHER)]
    assert outcome(*found, choose="kind:animal=theirs") == (found[2], set())
    assert outcome(*found, choose="kind:car=theirs")[1] == {SHAPE}
    assert outcome(*found, choose="kind=theirs")[1] == {SHAPE}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("their", "vgr merge -X theirs"),
        ("kind=newes", "vgr merge -X kind=newest"),
        ("kind=", "vgr merge -X kind=manual"),
        ("=ours", "vgr merge -X ours"),
    ],
)
def test_what_is_no_choice_is_refused(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_choices([text])
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kinds=ours", "vgr merge -X kind=ours"),
        ("zebra=ours", "vgr task ls"),
        ("kind:dogs=ours", "did you mean 'things/animal/dog'?"),
        ("kin:dog=ours", "vgr merge -X kind:dog=ours"),
    ],
)
def test_what_is_not_in_the_vocabulary_is_not_found(text: str, hint: str) -> None:
    lab = Lab()
    base, *sides = versions(lab, BLANK, labeled("cat"), labeled("dog"))
    with pytest.raises(NotFoundError) as caught:
        decided(lab, base, sides, text)
    assert caught.value.hint == hint


def test_a_class_of_a_task_without_classes_is_refused() -> None:
    lab = Lab()
    base, *sides = versions(lab, BLANK, labeled("cat"), labeled("dog"))
    with pytest.raises(UsageError, match="task 'count' has no classes"):
        decided(lab, base, sides, "count:two=ours")


def test_theirs_of_several_others_is_refused() -> None:
    with pytest.raises(UsageError, match="several other sides"):
        parse_choices(["kind=theirs"]).resolver([side("a"), side("b"), side("c")])


# -- in a repository ------------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    repo = voyager.init(tmp_path, worktree=False)
    with repo.edit(message="base") as edit:
        edit.vocabulary.define("color")
        edit.vocabulary.define("size", kind="text")
        for name in ("warm/red", "warm/orange", "blue"):
            edit.vocabulary.mint_path("color", name)
        for key in ("a.jpg", "b.jpg"):
            edit[key] = Sample(uid=sample_uid(key, key), image=Image(uri=key))
    return repo


def branch(repo: Repository, name: str, labels: Mapping[str, str]) -> None:
    switch(repo, find_branch(repo, "main"))
    switch_to_new(repo, name)
    with repo.edit(message=name) as edit:
        edit.label((key, None, *text.split("=")) for key, text in labels.items())
    switch(repo, find_branch(repo, "main"))


def test_a_merge_takes_strategies(repo: Repository) -> None:
    branch(repo, "one", {"a.jpg": "color=blue", "b.jpg": "size=big"})
    branch(repo, "two", {"a.jpg": "color=orange", "b.jpg": "size=small"})
    switch(repo, find_branch(repo, "one"))
    done = merge(repo, "two", strategies=["color=theirs"])
    assert (done.result, done.conflicts, done.resolved) == ("conflicts", 1, {"labels": 1})
    assert [(each.name, each.path) for each in iter_conflicts(repo.staged())] == [
        ("b.jpg", "labels/size/human")
    ]
    vocabulary = repo.staged().vocabulary
    assert [vocabulary.word(label) for label in repo.staged()["a.jpg"].labels] == ["warm/orange"]


def test_a_wrong_strategy_leaves_all_as_it_was(repo: Repository) -> None:
    branch(repo, "one", {"a.jpg": "color=blue"})
    branch(repo, "two", {"a.jpg": "color=orange"})
    switch(repo, find_branch(repo, "one"))
    head = repo.head
    for text, error in (("colour=ours", NotFoundError), ("ous", UsageError)):
        with pytest.raises(error):
            merge(repo, "two", strategies=[text])
    assert repo.head == head
    assert merge(repo, "two", strategies=["ours"]).result == "merged"


def vocabulary_edit(repo: Repository, name: str, change: Any) -> None:
    switch(repo, find_branch(repo, "main"))
    switch_to_new(repo, name)
    with repo.edit(message=name) as edit:
        change(edit.vocabulary)
    switch(repo, find_branch(repo, "main"))


def test_classes_and_tasks_are_decided(repo: Repository) -> None:
    def one(draft: Any) -> None:
        move(draft, ["color/blue"], "color/azure")
        draft.put_task("size", draft.tasks["size"].replace(description="how big"))

    def two(draft: Any) -> None:
        move(draft, ["color/blue"], "color/navy")
        draft.put_task("size", draft.tasks["size"].replace(description="how large"))

    vocabulary_edit(repo, "one", one)
    vocabulary_edit(repo, "two", two)
    switch(repo, find_branch(repo, "one"))
    done = merge(repo, "two", strategies=["color=theirs", "size=ours"])
    assert (done.result, dict(done.resolved)) == ("merged", {"name": 1, "description": 1})
    vocabulary = repo.staged().vocabulary
    assert vocabulary.find("color", "navy") is not None
    assert vocabulary.tasks["size"].description == "how big"


def test_a_class_that_one_side_removed_and_another_renamed(repo: Repository) -> None:
    vocabulary_edit(repo, "one", lambda draft: bury(draft, match_places(draft, ["color/blue"])))
    vocabulary_edit(repo, "two", lambda draft: move(draft, ["color/blue"], "color/navy"))
    switch(repo, find_branch(repo, "one"))
    done = merge(repo, "two", strategies=["union"], commit=False)
    assert done.conflicts == 0
    assert repo.staged().vocabulary.find("color", "navy") is not None


def test_a_tree_that_cannot_be_stays_in_conflict(repo: Repository) -> None:
    """Both sides call another class by one name: neither may give way to the other's."""
    vocabulary_edit(repo, "one", lambda draft: move(draft, ["color/blue"], "color/warm/x"))
    vocabulary_edit(repo, "two", lambda draft: move(draft, ["color/warm/red"], "color/warm/x"))
    switch(repo, find_branch(repo, "one"))
    assert merge(repo, "two", commit=False).conflicts
    abort(repo)
    merge(repo, "two", strategies=["ours"], commit=False)
    assert not list(iter_faults(repo.staged().vocabulary))
