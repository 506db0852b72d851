"""Verbs on taxonomies and tasks over staged rows: counts, refusals, undo; nothing is lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from photo_repos import KEYS, is_clean

from voyager.errors import NotFoundError, StateError, UsageError, VoyagerError
from voyager.repo import stash
from voyager.repo.class_use import label_counts, use_of_classes
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import restore
from voyager.repo.snapshot import SAMPLES, TAXONOMIES
from voyager.repo.status import status
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.tasks import add_task, remove_task, set_task
from voyager.repo.taxonomies import (
    copy_classes,
    make_classes,
    merge_classes,
    move_classes,
    remove_classes,
    set_aliases,
)
from voyager.repo.undo import undo
from voyager.repo.violations import find_violations, iter_violations
from voyager.repo.vocabulary_diff import vocabulary_diff
from voyager.schema import Box, Label, Region, coverage_key
from voyager.schema.taxonomy_paths import find_place, iter_places, path_of
from voyager.schema.vocabulary import Vocabulary
from voyager.store.refs import Head

CLASSES = ["shoes", "shoes/heels", "shoes/boots", "hats", "hats/straw"]


def node_of(vocabulary: Vocabulary, path: str) -> bytes:
    node = find_place(vocabulary, path).node
    assert node is not None
    return node


@pytest.fixture
def labeled(photos_repo: Repository) -> Repository:
    """Two hats and two pairs of shoes, one of them with a region, committed."""
    with photos_repo.edit(message="labels") as edit:
        draft = edit.vocabulary
        draft.define("kind")
        nodes = {path: draft.mint_path("kind", path) for path in CLASSES}
        said = dict(zip(KEYS, ("hats", "hats/straw", "shoes/heels", "shoes/heels"), strict=True))
        for key, path in said.items():
            edit[key] = edit[key].replace(labels=(Label(task="kind", node=nodes[path]),))
        heel = Label(task="kind", node=nodes["shoes/heels"], source="model:m")
        region = Region(id=bytes(16), geometries={"box": Box(1, 2, 3, 4)}, labels=(heel,))
        edit[KEYS[3]] = edit[KEYS[3]].replace(
            regions=(region,),
            negatives={"kind": (nodes["hats"],)},
            coverage={coverage_key("kind", nodes["shoes/boots"]): "exhaustive"},
        )
    return photos_repo


def said_of(repo: Repository, key: str) -> list[str]:
    version = repo.staged()
    return [version.vocabulary.word(label) for label in version[key].labels]


def paths_of(repo: Repository) -> dict[str, bytes | None]:
    vocabulary = repo.staged().vocabulary
    return {path_of(vocabulary, place): place.node for place, _ in iter_places(vocabulary)}


def samples_are_untouched(repo: Repository) -> bool:
    staging = repo.staging
    base = repo.dataset_of(staging.base)
    overlay = [space for space, _ in staging.overlay]
    return staging.roots[SAMPLES] == base.roots[SAMPLES] and SAMPLES not in overlay


# -- verbs ----------------------------------------------------------------------------------------


def test_rename_move_and_merge_rewrite_no_sample(labeled: Repository) -> None:
    done = move_classes(labeled, ["kind/shoes"], "kind/footwear")
    assert done.use is not None
    assert (done.use.labels, done.use.samples, done.use.coverage) == (3, 2, 1)
    assert said_of(labeled, KEYS[2]) == ["footwear/heels"]
    make_classes(labeled, ["kind/worn"])
    move_classes(labeled, ["kind/footwear", "kind/hats"], "kind/worn")
    assert said_of(labeled, KEYS[1]) == ["worn/hats/straw"]
    done = merge_classes(labeled, ["kind/worn/hats/straw"], "kind/worn/hats")
    assert done.use is not None
    assert (done.use.labels, done.use.samples) == (1, 1)
    assert said_of(labeled, KEYS[1]) == ["worn/hats"]
    move_classes(labeled, ["kind"], "things")
    assert said_of(labeled, KEYS[2]) == ["worn/footwear/heels"]
    assert samples_are_untouched(labeled)
    assert list(iter_violations(labeled.staged())) == []


def test_counts_are_left_out_where_nobody_asked(labeled: Repository) -> None:
    assert move_classes(labeled, ["kind/shoes"], "kind/a", count=False).use is None
    before = labeled.store.last_seq()
    done = move_classes(labeled, ["kind/a"], "kind/b", count=True, dry_run=True)
    assert done.use is not None
    assert done.use.labels == 3
    assert labeled.store.last_seq() == before
    assert "kind/a" in paths_of(labeled)


def test_labels_of_merged_classes_count_for_their_heir(labeled: Repository) -> None:
    merge_classes(labeled, ["kind/hats/straw"], "kind/hats")
    version = labeled.staged()
    hats = node_of(version.vocabulary, "kind/hats")
    assert label_counts(version)[hats] == 2
    assert use_of_classes(version, [hats]).labels == 2


@pytest.mark.parametrize("path", ["kind/shoes/heels", "kind/shoes/boots", "kind/hats"])
def test_what_is_named_is_not_removed(labeled: Repository, path: str) -> None:
    with pytest.raises(StateError, match="used by"):
        remove_classes(labeled, [path], recursive=True)
    assert path in paths_of(labeled)
    assert is_clean(labeled)


def test_removed_and_relabeled(labeled: Repository) -> None:
    done = remove_classes(labeled, ["kind/shoes"], recursive=True, relabel_to="kind/hats/straw")
    assert done.use is not None
    assert (done.use.labels, done.use.samples, done.use.coverage) == (3, 2, 1)
    assert said_of(labeled, KEYS[2]) == ["hats/straw"]
    sample = labeled.staged()[KEYS[3]]
    assert sample.coverage == {}
    straw = node_of(labeled.staged().vocabulary, "kind/hats/straw")
    assert [label.node for label in sample.regions[0].labels] == [straw]
    assert "kind/shoes/heels" not in paths_of(labeled)


@pytest.mark.parametrize(
    ("target", "message"),
    [("kind/shoes/heels", "would go as well"), ("kind", "no class"), ("other/x", "two taxonomies")],
)
def test_relabel_to_what_cannot_be(labeled: Repository, target: str, message: str) -> None:
    make_classes(labeled, ["other/x"], parents=True)
    with pytest.raises(UsageError, match=message):
        remove_classes(labeled, ["kind/shoes"], recursive=True, relabel_to=target)


def test_forced_removal_is_a_violation_that_says_so(labeled: Repository) -> None:
    remove_classes(labeled, ["kind/hats"], recursive=True, force=True)
    assert said_of(labeled, KEYS[0]) != ["hats"]
    found = find_violations(labeled.staged())
    assert found.counts == {"dead-class": 3}  # two labels, one negative
    first = found.first["dead-class"]
    assert (first.key, first.path) == (KEYS[0], "labels[0]")
    assert first.message == "the class 'hats' of task 'kind' was removed"
    assert samples_are_untouched(labeled)


def test_what_a_task_applies_to_is_in_use(labeled: Repository) -> None:
    add_task(labeled, "brim", {"kind": "bool", "applies_to": "kind/hats/straw"})
    with labeled.edit(message="one less") as edit:
        edit[KEYS[1]] = edit[KEYS[1]].replace(labels=())
    with pytest.raises(StateError, match="is what task 'brim' applies to"):
        remove_classes(labeled, ["kind/hats/straw"])
    remove_classes(labeled, ["kind/hats/straw"], relabel_to="kind/hats")
    vocabulary = labeled.staged().vocabulary
    assert vocabulary.tasks["brim"].applies_to == node_of(vocabulary, "kind/hats")


def test_the_taxonomy_of_a_task_is_in_use(photos_repo: Repository) -> None:
    add_task(photos_repo, "color", {})
    with pytest.raises(StateError, match="'color' is the taxonomy of task 'color'"):
        remove_classes(photos_repo, ["color"])
    remove_task(photos_repo, "color")
    remove_classes(photos_repo, ["color"])
    assert paths_of(photos_repo) == {}
    assert status(photos_repo).nothing_staged


VERBS: list[Callable[[Repository], object]] = [
    lambda repo: make_classes(repo, ["kind/bags/red", "palette"], parents=True),
    lambda repo: move_classes(repo, ["kind/shoes"], "kind/footwear"),
    lambda repo: move_classes(repo, ["kind/shoes/*"], "kind"),
    lambda repo: move_classes(repo, ["kind"], "sort"),
    lambda repo: copy_classes(repo, ["kind/shoes"], "kind/hats", recursive=True),
    lambda repo: merge_classes(repo, ["kind/shoes"], "kind/hats"),
    lambda repo: remove_classes(repo, ["kind/shoes"], recursive=True, relabel_to="kind/hats"),
    lambda repo: remove_classes(repo, ["kind"], recursive=True, force=True),
    lambda repo: set_aliases(repo, "kind/shoes/heels", ["pumps"]),
    lambda repo: add_task(repo, "color", {"taxonomy": "palette", "scope": "region"}),
    lambda repo: set_task(repo, "kind", {"scope": "image"}, force=True),
    lambda repo: remove_task(repo, "kind", drop_labels=True),
]


@pytest.mark.parametrize("verb", VERBS)
def test_undo_takes_each_back(labeled: Repository, verb: Callable[[Repository], object]) -> None:
    before = labeled.store.last_seq()
    verb(labeled)
    assert labeled.store.last_seq() == before + 1  # one operation
    assert not status(labeled).nothing_staged
    undo(labeled)
    assert is_clean(labeled)
    undo(labeled, before + 2)
    assert not status(labeled).nothing_staged


def test_any_sequence_can_be_undone_step_by_step(labeled: Repository) -> None:
    chance = random.Random(7)
    past = [paths_of(labeled)]
    for _ in range(60):
        names = list(paths_of(labeled))
        first, second, name = chance.choice(names), chance.choice(names), chance.choice("abc")
        verbs: list[Callable[[], object]] = [
            lambda path=f"{first}/{name}": make_classes(labeled, [path]),
            lambda a=first, b=second: move_classes(labeled, [a], b),
            lambda a=first, b=f"{second}/x": move_classes(labeled, [a], b),
            lambda a=first, b=second: copy_classes(labeled, [a], b, recursive=True),
            lambda a=first, b=second: merge_classes(labeled, [a], b),
        ]
        try:
            chance.choice(verbs)()
        except VoyagerError:
            continue
        past.append(paths_of(labeled))
    assert len(past) > 20
    for before in reversed(past[:-1]):
        undo(labeled)
        assert paths_of(labeled) == before
    assert is_clean(labeled)


# -- tasks ----------------------------------------------------------------------------------------


def test_a_task_gets_a_taxonomy(photos_repo: Repository) -> None:
    done = add_task(photos_repo, "color", {"many": True})
    assert done.made_taxonomy
    assert done.task.taxonomy == "color"
    assert not add_task(photos_repo, "shade", {"taxonomy": "color"}).made_taxonomy
    with pytest.raises(VoyagerError, match="task 'color' exists already"):
        add_task(photos_repo, "color", {})
    with pytest.raises(UsageError, match="cannot name a task"):
        add_task(photos_repo, "1x", {})
    with pytest.raises(UsageError, match="a task of kind text has no taxonomy"):
        add_task(photos_repo, "note", {"kind": "text", "taxonomy": "color"})
    with pytest.raises(UsageError, match="is not \\[verified-\\]KIND"):
        add_task(photos_repo, "note", {"kind": "text", "answer": ("bob",)})


def test_regions_that_a_task_wants_apart(labeled: Repository) -> None:
    with labeled.edit(message="a second one on top") as edit:
        sample = next(edit[key] for key in KEYS if edit[key].regions)
        key = next(key for key in KEYS if edit[key].regions)
        first = sample.regions[0].replace(geometries={"box": Box(0, 0, 20, 20)})
        second = first.replace(id=bytes(range(16)), geometries={"box": Box(5, 5, 30, 30)})
        edit[key] = sample.replace(regions=(first, second))
    task = first.labels[0].task
    with pytest.raises(StateError, match=f"1 place would violate task '{task}'"):
        set_task(labeled, task, {"overlap": "partition"})
    assert set_task(labeled, task, {"overlap": "forbidden"}, force=True).violations == 1
    found = find_violations(labeled.staged())
    assert found.counts == {"overlap": 1}
    assert found.first["overlap"].message.startswith("it shares 225 px²")
    assert set_task(labeled, task, {"overlap": "allowed", "scope": "both"}).violations == 0
    assert find_violations(labeled.staged()).counts == {}


def test_narrowing_counts_what_does_not_agree(labeled: Repository) -> None:
    with pytest.raises(StateError, match="1 place would violate task 'kind'"):
        set_task(labeled, "kind", {"scope": "image"})
    assert set_task(labeled, "kind", {"scope": "image"}, force=True).violations == 1
    assert find_violations(labeled.staged()).counts == {"wrong-scope": 1}
    with pytest.raises(StateError, match="6 places would violate"):
        set_task(labeled, "kind", {"kind": "text"})
    assert set_task(labeled, "kind", {"many": True}).violations == 0
    with pytest.raises(NotFoundError, match="no task 'kinds'") as failure:
        set_task(labeled, "kinds", {"many": True})
    assert failure.value.hint == "did you mean 'kind'?"


def test_a_task_in_use(labeled: Repository) -> None:
    with pytest.raises(StateError, match="used by 5 labels of 4 samples, 1 negative, 1 coverage"):
        remove_task(labeled, "kind")
    remove_task(labeled, "kind", force=True)
    assert find_violations(labeled.staged()).counts == {"unknown-task": 7}
    undo(labeled)
    remove_task(labeled, "kind", drop_labels=True)
    assert find_violations(labeled.staged()).counts == {}
    sample = labeled.staged()[KEYS[3]]
    assert (sample.labels, sample.negatives, sample.coverage) == ((), {}, {})
    assert sample.regions[0].labels == ()
    assert "kind/hats" in paths_of(labeled)


# -- attributes to tasks --------------------------------------------------------------------------


@pytest.fixture
def attributed(photos_repo: Repository) -> Repository:
    values = ["red", ["red", "blue"], 3, "red"]
    with photos_repo.edit(message="attributes") as edit:
        for number, (key, value) in enumerate(zip(KEYS, values, strict=True)):
            region = Region(
                id=bytes([number]) * 16,
                geometries={},
                attrs={"color": value, "size": 2},
                source="import:cvat",
                state="proposed" if number == 3 else "accepted",
            )
            edit[key] = edit[key].replace(regions=(region,))
    return photos_repo


def words_of(repo: Repository, task: str) -> list[list[str]]:
    version = repo.staged()
    return [
        [version.vocabulary.word(label) for label in sample.regions[0].labels if label.task == task]
        for sample in version.values()
    ]


def test_an_attribute_becomes_a_task(attributed: Repository) -> None:
    fields = {"scope": "region", "many": True}
    preview = add_task(attributed, "color", fields, from_attribute="color", dry_run=True)
    assert preview.promotion is not None
    assert (preview.promotion.labels, preview.promotion.samples) == (5, 4)
    assert is_clean(attributed)
    add_task(attributed, "color", fields, from_attribute="color")
    assert words_of(attributed, "color") == [["red"], ["red", "blue"], ["3"], ["red"]]
    region = attributed.staged()[KEYS[3]].regions[0]
    assert region.attrs == {"size": 2}
    assert (region.labels[0].source, region.labels[0].state) == ("import:cvat", "proposed")
    assert list(paths_of(attributed)) == ["color", "color/red", "color/blue", "color/3"]
    undo(attributed)
    assert is_clean(attributed)


def test_what_does_not_fit_stays_an_attribute(attributed: Repository) -> None:
    done = add_task(attributed, "n", {"kind": "number"}, from_attribute="color")
    assert done.promotion is not None
    assert done.promotion.left == {"red": 2, "['red', 'blue']": 1}
    assert words_of(attributed, "n") == [[], [], ["3"], []]
    assert attributed.staged()[KEYS[0]].regions[0].attrs["color"] == "red"
    with pytest.raises(NotFoundError, match="no region has an attribute 'colour'"):
        add_task(attributed, "x", {}, from_attribute="colour")


# -- nothing is lost ------------------------------------------------------------------------------


def test_a_commit_of_taxonomies_alone(labeled: Repository) -> None:
    move_classes(labeled, ["kind/shoes"], "kind/footwear")
    found = status(labeled)
    assert not found.clean
    assert [(one.kind, one.before, one.after) for one in found.vocabulary] == [
        ("renamed", "kind/shoes", "kind/footwear")
    ]
    done = commit(labeled, "Footwear")
    assert done.counts["vocabulary"] == 1
    assert is_clean(labeled)
    assert "kind/footwear" in paths_of(labeled)
    with pytest.raises(StateError, match="nothing to commit"):
        commit(labeled, "again")


def test_restore_brings_them_back(labeled: Repository) -> None:
    merge_classes(labeled, ["kind/shoes"], "kind/hats")
    add_task(labeled, "note", {"kind": "text"})
    assert restore(labeled, [KEYS[0]], staged=True) == []
    assert not status(labeled).nothing_staged
    done = restore(labeled, ["."], staged=True, worktree=False)
    assert done == ["task note", "taxonomy kind"]
    assert is_clean(labeled)


def test_restore_in_an_empty_repository(empty_repo: Repository) -> None:
    make_classes(empty_repo, ["kind"])
    assert restore(empty_repo, ["."], staged=True, worktree=False) == ["taxonomy kind"]
    assert paths_of(empty_repo) == {}


@pytest.mark.parametrize("mode", ["soft", "mixed", "hard"])
def test_reset(labeled: Repository, mode: str) -> None:
    move_classes(labeled, ["kind/shoes"], "kind/footwear")
    reset(labeled, labeled.head.commit, mode)
    assert ("kind/footwear" in paths_of(labeled)) == (mode == "soft")


def test_stash(labeled: Repository) -> None:
    move_classes(labeled, ["kind/shoes"], "kind/footwear")
    done = stash.push(labeled, "later")
    assert done.counts["vocabulary"] == 1
    assert "kind/shoes" in paths_of(labeled)
    make_classes(labeled, ["kind/gloves"])
    one = stash.find_stash(labeled)
    stash.apply(labeled, one, drop=False)
    assert {"kind/footwear", "kind/gloves"} <= paths_of(labeled).keys()
    restore(labeled, ["."], staged=True, worktree=False)
    move_classes(labeled, ["kind/shoes"], "kind/worn")
    with pytest.raises(VoyagerError, match="'taxonomy kind' changed here and in the stash"):
        stash.apply(labeled, one, drop=True)


def test_switch_carries_them_or_refuses(labeled: Repository) -> None:
    switch_to_new(labeled, "other")
    move_classes(labeled, ["kind/shoes"], "kind/footwear")
    main = Head("main", labeled.head.commit)
    switch(labeled, main)
    assert "kind/footwear" in paths_of(labeled)
    commit(labeled, "Footwear")
    switch(labeled, Head("other", main.commit))
    move_classes(labeled, ["kind/shoes"], "kind/worn")
    with pytest.raises(StateError, match="staged changes to 'taxonomy kind' would be lost"):
        switch(labeled, Head("main", labeled.resolve("main")))


def test_undo_refuses_what_was_changed_since(labeled: Repository) -> None:
    move_classes(labeled, ["kind/shoes"], "kind/a")
    first = labeled.store.last_seq()
    move_classes(labeled, ["kind/a"], "kind/b")
    with pytest.raises(StateError, match="'taxonomy kind' was changed again since"):
        undo(labeled, first)


def test_edit_commits_vocabulary_with_rows(photos_repo: Repository) -> None:
    with photos_repo.edit(message="hats") as edit:
        hat = edit.vocabulary.category("kind", "hat")
        edit[KEYS[0]] = edit[KEYS[0]].replace(labels=(Label(task="kind", node=hat),))
    assert said_of(photos_repo, KEYS[0]) == ["hat"]
    with photos_repo.edit(message="no task") as edit:
        edit.vocabulary.put_task("kind", None)
    assert "tasks" not in photos_repo.at("HEAD").roots
    assert TAXONOMIES in photos_repo.at("HEAD").roots
    assert is_clean(photos_repo)


# -- differences ----------------------------------------------------------------------------------


def told(repo: Repository) -> list[tuple[str, str, str | None, str | None]]:
    changes = vocabulary_diff(repo.at("HEAD"), repo.staged())
    return [(one.scope, one.kind, one.before, one.after) for one in changes]


def test_differences_in_words(labeled: Repository) -> None:
    move_classes(labeled, ["kind/hats"], "kind/shoes")
    merge_classes(labeled, ["kind/shoes/boots"], "kind/shoes/heels")
    make_classes(labeled, ["kind/bags", "palette"])
    set_task(labeled, "kind", {"many": True})
    assert told(labeled) == [
        ("task", "changed", "kind", "kind"),
        ("class", "added", None, "kind/bags"),
        ("class", "moved", "kind/hats", "kind/shoes/hats"),
        ("class", "merged", "kind/shoes/boots", "kind/shoes/heels"),
        ("class", "changed", "kind/shoes/heels", "kind/shoes/heels"),
        ("taxonomy", "added", None, "palette"),
    ]


def test_a_renamed_taxonomy_is_one_change(labeled: Repository) -> None:
    move_classes(labeled, ["kind"], "things")
    move_classes(labeled, ["things/hats"], "things/caps")
    assert told(labeled) == [
        ("task", "changed", "kind", "kind"),
        ("taxonomy", "renamed", "kind", "things"),
        ("class", "renamed", "kind/hats", "things/caps"),
    ]
    restore(labeled, ["."], staged=True, worktree=False)
    remove_classes(labeled, ["kind"], recursive=True, force=True)
    assert told(labeled) == [("taxonomy", "removed", "kind", None)]


def test_a_large_taxonomy_is_renamed_and_back(empty_repo: Repository) -> None:
    paths = [f"big/{letter}/{number}" for letter in "abc" for number in range(1000)]
    make_classes(empty_repo, paths, parents=True)
    before = paths_of(empty_repo)
    assert len(before) == 3004
    move_classes(empty_repo, ["big"], "large")
    assert paths_of(empty_repo) == {
        path.replace("big", "large"): node for path, node in before.items()
    }
    undo(empty_repo)
    assert paths_of(empty_repo) == before
    undo(empty_repo)
    assert paths_of(empty_repo) == {}
