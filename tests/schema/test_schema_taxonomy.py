"""Verbs on taxonomies: each by example, and any sequence of them against a dict of paths."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voyager.errors import ExistsError, NotFoundError, StateError, UsageError, VoyagerError
from voyager.schema import node_id
from voyager.schema.taxonomy import Taxonomy, join_path, split_path
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import (
    Place,
    find_place,
    iter_places,
    match_places,
    path_of,
    read_names,
)
from voyager.schema.taxonomy_verbs import (
    add_aliases,
    bury,
    copy,
    drop_aliases,
    make,
    move,
)
from voyager.schema.vocabulary import Draft, Vocabulary

SHOES = ["shoes", "shoes/heels", "shoes/boots", "shoes/boots/hiking", "bags"]


def draft_of(*paths: str, taxonomy: str = "fashion") -> Draft:
    draft = Draft(Vocabulary())
    draft.add_taxonomy(taxonomy)
    for path in paths:
        draft.mint_path(taxonomy, path)
    return draft


@pytest.fixture
def fashion() -> Draft:
    return draft_of(*SHOES)


def paths_of(vocabulary: Vocabulary) -> list[str]:
    return sorted(join_path(names) for _, names in iter_places(vocabulary))


def at(vocabulary: Vocabulary, path: str) -> bytes:
    node = find_place(vocabulary, path).node
    assert node is not None
    return node


def told(steps: object) -> list[tuple[str, str | None, str | None]]:
    assert isinstance(steps, list)
    return [(step.kind, step.before, step.after) for step in steps]


# -- paths ----------------------------------------------------------------------------------------


def test_a_path_begins_with_its_taxonomy(fashion: Draft) -> None:
    assert find_place(fashion, "fashion") == Place("fashion", None)
    place = find_place(fashion, "fashion/shoes/heels/")
    assert path_of(fashion, place) == "fashion/shoes/heels"
    assert find_place(fashion, "shoes/heels") == place
    assert place.node is not None
    assert find_place(fashion, place.node.hex()) == place


def test_a_path_that_two_taxonomies_have_is_refused(fashion: Draft) -> None:
    make(fashion, "sport/shoes/football", parents=True)
    with pytest.raises(UsageError, match="'shoes' could be 'fashion/shoes' and 'sport/shoes'"):
        find_place(fashion, "shoes")
    with pytest.raises(UsageError, match="could be"):
        match_places(fashion, ["shoes/*"])


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("fashion/shoe", "did you mean 'fashion/shoes'?"),
        ("shoes/heel", "did you mean 'fashion/shoes/heels'?"),
        ("fashion/shoes/pumps", "it is an alias of 'fashion/shoes/heels'"),
        ("qqqq", "vgr taxonomy tree"),
    ],
)
def test_an_unknown_path_names_what_was_meant(fashion: Draft, typed: str, hint: str) -> None:
    add_aliases(fashion, "fashion/shoes/heels", ["pumps"])
    with pytest.raises(NotFoundError) as failure:
        find_place(fashion, typed)
    assert failure.value.hint == hint


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("fashion/*", ["fashion/shoes", "fashion/bags"]),
        ("fashion/shoes/*", ["fashion/shoes/heels", "fashion/shoes/boots"]),
        ("fashion/**/h*", ["fashion/shoes/heels", "fashion/shoes/boots/hiking"]),
        (
            "shoes/**",
            ["fashion/shoes/heels", "fashion/shoes/boots", "fashion/shoes/boots/hiking"],
        ),
        ("*", ["fashion"]),
    ],
)
def test_globs(fashion: Draft, pattern: str, found: list[str]) -> None:
    assert [path_of(fashion, place) for place in match_places(fashion, [pattern])] == found


def test_an_existing_path_wins_over_a_glob(fashion: Draft) -> None:
    make(fashion, "fashion/sh*")
    assert match_places(fashion, ["fashion/sh*"]) == [find_place(fashion, "fashion/sh*")]
    with pytest.raises(NotFoundError, match="no class matches 'fashion/x\\*'"):
        match_places(fashion, ["fashion/x*"])


def test_a_slash_in_a_name(fashion: Draft) -> None:
    make(fashion, r"fashion/tv\/monitor")
    node = at(fashion, r"fashion/tv\/monitor")
    assert fashion.taxonomies["fashion"].nodes[node].name == "tv/monitor"
    assert fashion.taxonomies["fashion"].path(node) == r"tv\/monitor"
    assert read_names(r"a/b\\/") == ["a", "b\\"]
    with pytest.raises(UsageError, match="a name in it is empty"):
        find_place(fashion, "fashion//shoes")


@given(st.lists(st.text(min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=4))
def test_any_names_are_a_path(names: list[str]) -> None:
    assert split_path(join_path(names)) == names


# -- make -----------------------------------------------------------------------------------------


def test_make() -> None:
    draft = Draft(Vocabulary())
    assert told(make(draft, "fashion")) == [("made", None, "fashion")]
    make(draft, "fashion/shoes")
    assert at(draft, "fashion/shoes") == node_id("fashion", "shoes")
    with pytest.raises(ExistsError, match="'fashion/shoes' exists already"):
        make(draft, "fashion/shoes")
    assert make(draft, "fashion/shoes", parents=True) == []
    with pytest.raises(NotFoundError, match="there is no 'sport' to make it in") as failure:
        make(draft, "sport/ball")
    assert failure.value.hint == "vgr taxonomy mkdir -p 'sport/ball'"
    made = make(draft, "sport/ball/round", parents=True)
    assert [step.after for step in made] == ["sport", "sport/ball", "sport/ball/round"]
    with pytest.raises(UsageError, match="cannot name a taxonomy"):
        make(draft, "_x")


def test_a_new_class_comes_last(fashion: Draft) -> None:
    make(fashion, "fashion/aprons")
    taxonomy = fashion.taxonomies["fashion"]
    assert [taxonomy.nodes[node].name for node in taxonomy][-1] == "aprons"


# -- move -----------------------------------------------------------------------------------------


def test_rename_keeps_the_ids(fashion: Draft) -> None:
    before = [at(fashion, f"fashion/{path}") for path in SHOES[:4]]
    steps = move(fashion, ["fashion/shoes"], "fashion/footwear")
    assert told(steps) == [("renamed", "fashion/shoes", "fashion/footwear")]
    assert set(steps[0].nodes) == set(before)
    after = [at(fashion, f"fashion/{path.replace('shoes', 'footwear')}") for path in SHOES[:4]]
    assert after == before
    make(fashion, "fashion/shoes")
    assert at(fashion, "fashion/shoes") == node_id("fashion", "shoes", 1)


@pytest.mark.parametrize("target", ["fashion/bags", "fashion/bags/", "bags"])
def test_move_into_what_exists(fashion: Draft, target: str) -> None:
    node = at(fashion, "fashion/shoes/heels")
    moved = move(fashion, ["shoes/heels"], target)
    assert told(moved) == [("moved", "fashion/shoes/heels", "fashion/bags/heels")]
    assert at(fashion, "fashion/bags/heels") == node


def test_move_several_and_to_the_top(fashion: Draft) -> None:
    move(fashion, ["fashion/shoes/*"], "fashion")
    assert paths_of(fashion) == [
        "fashion",
        "fashion/bags",
        "fashion/boots",
        "fashion/boots/hiking",
        "fashion/heels",
        "fashion/shoes",
    ]


@pytest.mark.parametrize(
    ("sources", "target", "error", "message"),
    [
        (["fashion/shoes"], "fashion/shoes/boots", UsageError, "cannot move 'fashion/shoes' into"),
        (["fashion/shoes"], "fashion/shoes", UsageError, "into itself"),
        (["fashion/shoes/heels"], "fashion/shoes", UsageError, "is there already"),
        (["fashion/bags"], "fashion/hats/", NotFoundError, "no class 'fashion/hats'"),
        (["fashion/bags"], "fashion/hats/red", NotFoundError, "no class 'fashion/hats'"),
        (["fashion/bags", "fashion/shoes"], "fashion/all", NotFoundError, "no class"),
        (["fashion/shoes", "fashion/shoes/heels"], "fashion/bags", UsageError, "cannot both go"),
        (["fashion/shoes"], "sport", UsageError, "cannot leave its taxonomy"),
        (["fashion"], "sport", ExistsError, "there is a taxonomy 'sport' already"),
        (["fashion"], "sport/fashion", UsageError, "cannot lie in another"),
        (["fashion/nosuch"], "fashion/x", NotFoundError, "no class 'fashion/nosuch'"),
    ],
)
def test_moves_that_are_refused(
    fashion: Draft, sources: list[str], target: str, error: type[VoyagerError], message: str
) -> None:
    make(fashion, "sport")
    with pytest.raises(error, match=message):
        move(fashion, sources, target)


def test_an_equal_name_is_refused_and_merge_is_named(fashion: Draft) -> None:
    make(fashion, "fashion/bags/heels")
    with pytest.raises(ExistsError, match="'fashion/bags/heels' exists already") as failure:
        move(fashion, ["fashion/shoes/heels"], "fashion/bags")
    assert failure.value.hint == "vgr taxonomy merge 'fashion/shoes/heels' 'fashion/bags/heels'"


def test_a_taxonomy_is_renamed_and_its_tasks_follow(fashion: Draft) -> None:
    fashion.define("style", taxonomy="fashion")
    heels = at(fashion, "fashion/shoes/heels")
    assert told(move(fashion, ["fashion"], "clothes")) == [("renamed", "fashion", "clothes")]
    assert at(fashion, "clothes/shoes/heels") == heels
    assert fashion.tasks["style"].taxonomy == "clothes"
    assert fashion.resolve("style", heels) == "shoes/heels"
    # Ids are minted under the old name still, and a new taxonomy of that name mints others.
    make(fashion, "clothes/hats")
    assert at(fashion, "clothes/hats") == node_id("fashion", "hats")
    make(fashion, "fashion/hats", parents=True)
    assert at(fashion, "fashion/hats") == node_id("fashion/2", "hats")


def test_renamed_there_and_back_is_no_change() -> None:
    base = Vocabulary({}, draft_of(*SHOES).taxonomies)
    draft = Draft(base)
    move(draft, ["fashion"], "clothes")
    move(draft, ["clothes"], "fashion")
    move(draft, ["fashion/shoes"], "fashion/x")
    move(draft, ["fashion/x"], "fashion/shoes")
    assert list(draft.changed_nodes()) == []


# -- copy -----------------------------------------------------------------------------------------


def test_copies_have_ids_of_their_own(fashion: Draft) -> None:
    add_aliases(fashion, "fashion/shoes/heels", ["pumps"])
    with pytest.raises(UsageError, match="'fashion/shoes' has classes below it"):
        copy(fashion, ["fashion/shoes"], "fashion/bags")
    steps = copy(fashion, ["fashion/shoes"], "fashion/bags", recursive=True)
    assert told(steps) == [("copied", "fashion/shoes", "fashion/bags/shoes")]
    assert at(fashion, "fashion/bags/shoes/heels") == node_id("fashion", "bags/shoes/heels")
    assert fashion.taxonomies["fashion"].find("pumps") == at(fashion, "fashion/shoes/heels")


def test_copy_into_another_taxonomy_and_of_a_taxonomy(fashion: Draft) -> None:
    add_aliases(fashion, "fashion/shoes/heels", ["pumps"])
    make(fashion, "sport")
    copy(fashion, ["fashion/shoes"], "sport/footwear", recursive=True)
    assert at(fashion, "sport/footwear/heels") == node_id("sport", "footwear/heels")
    assert fashion.taxonomies["sport"].find("pumps") == at(fashion, "sport/footwear/heels")
    copy(fashion, ["fashion"], "clothes", recursive=True)
    assert [path for path in paths_of(fashion) if path.startswith("clothes")] == [
        "clothes",
        *sorted(f"clothes/{path}" for path in SHOES),
    ]
    with pytest.raises(UsageError, match="into itself"):
        copy(fashion, ["fashion/shoes"], "fashion/shoes/boots", recursive=True)


# -- merge ----------------------------------------------------------------------------------------


def test_merge_redirects_and_moves_what_lay_below(fashion: Draft) -> None:
    for path in ("trainers", "trainers/boots", "trainers/boots/army", "trainers/slippers"):
        fashion.mint_path("fashion", path)
    gone = {path: at(fashion, f"fashion/{path}") for path in ("trainers", "trainers/boots")}
    kept = {path: at(fashion, f"fashion/trainers/{path}") for path in ("boots/army", "slippers")}
    steps = merge(fashion, ["fashion/trainers"], "fashion/shoes")
    assert told(steps) == [
        ("merged", "fashion/trainers", "fashion/shoes"),
        ("moved", "fashion/trainers/slippers", "fashion/shoes/slippers"),
        ("merged", "fashion/trainers/boots", "fashion/shoes/boots"),
        ("moved", "fashion/trainers/boots/army", "fashion/shoes/boots/army"),
    ]
    taxonomy = fashion.taxonomies["fashion"]
    assert taxonomy.live(gone["trainers"]) == at(fashion, "fashion/shoes")
    assert taxonomy.live(gone["trainers/boots"]) == at(fashion, "fashion/shoes/boots")
    assert {path: at(fashion, f"fashion/shoes/{path}") for path in kept} == kept
    assert fashion.resolve("fashion", gone["trainers"]) == "shoes"
    assert taxonomy.find("trainers") == at(fashion, "fashion/shoes")


def test_merge_into_what_it_lay_in(fashion: Draft) -> None:
    fashion.mint_path("fashion", "shoes/heels/heels")
    inner = at(fashion, "fashion/shoes/heels/heels")
    merge(fashion, ["fashion/shoes/heels"], "fashion/shoes")
    assert at(fashion, "fashion/shoes/heels") == inner
    assert fashion.taxonomies["fashion"].nodes[at(fashion, "fashion/shoes")].aliases == ()


def test_a_glob_leaves_the_target_out(fashion: Draft) -> None:
    merge(fashion, ["fashion/**"], "fashion/bags")
    assert paths_of(fashion) == ["fashion", "fashion/bags"]


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("fashion/shoes", "fashion/shoes", "cannot be merged into itself"),
        ("fashion/shoes", "fashion/shoes/boots/hiking", "which lies below it"),
        ("fashion/shoes", "sport/shoes", "are of two taxonomies"),
        ("fashion", "fashion/shoes", "only classes can be merged"),
    ],
)
def test_merges_that_are_refused(fashion: Draft, source: str, target: str, message: str) -> None:
    make(fashion, "sport/shoes", parents=True)
    with pytest.raises(UsageError, match=message):
        merge(fashion, [source], target)


def test_a_name_that_was_not_its_own_is_no_alias(fashion: Draft) -> None:
    for path in ("bags/red", "shoes/red"):
        fashion.mint_path("fashion", path)
    merge(fashion, ["fashion/bags/red"], "fashion/bags")
    taxonomy = fashion.taxonomies["fashion"]
    assert taxonomy.find("red") == at(fashion, "fashion/shoes/red")


# -- bury, alias ----------------------------------------------------------------------------------


def test_buried_classes_stay_as_tombstones(fashion: Draft) -> None:
    heels, shoes = at(fashion, "fashion/shoes/heels"), find_place(fashion, "fashion/shoes")
    with pytest.raises(StateError, match="'fashion/shoes' has classes below it"):
        bury(fashion, [shoes])
    steps = bury(fashion, [shoes], recursive=True)
    assert told(steps) == [("removed", "fashion/shoes", None)]
    assert len(steps[0].nodes) == 4
    assert paths_of(fashion) == ["fashion", "fashion/bags"]
    taxonomy = fashion.taxonomies["fashion"]
    assert taxonomy.nodes[heels].dead
    assert taxonomy.live(heels) is None
    make(fashion, "fashion/shoes/heels", parents=True)
    assert at(fashion, "fashion/shoes/heels") == node_id("fashion", "shoes/heels", 1)


def test_all_below_may_be_named_one_by_one(fashion: Draft) -> None:
    bury(fashion, match_places(fashion, ["fashion/**"]))
    assert paths_of(fashion) == ["fashion"]


def test_a_buried_taxonomy_comes_back_with_new_ids(fashion: Draft) -> None:
    bury(fashion, [find_place(fashion, "fashion")], recursive=True)
    assert paths_of(fashion) == []
    with pytest.raises(NotFoundError):
        find_place(fashion, "fashion")
    make(fashion, "fashion/shoes", parents=True)
    assert at(fashion, "fashion/shoes") == node_id("fashion", "shoes", 1)
    make(fashion, "empty")
    bury(fashion, [find_place(fashion, "empty")])
    assert "empty" not in fashion.taxonomies


def test_aliases(fashion: Draft) -> None:
    place = add_aliases(fashion, "fashion/shoes/heels", ["pumps", "stilettos"])
    taxonomy = fashion.taxonomies["fashion"]
    assert taxonomy.find("stilettos") == place.node
    with pytest.raises(ExistsError, match="'pumps' means 'fashion/shoes/heels' already"):
        add_aliases(fashion, "fashion/bags", ["pumps"])
    with pytest.raises(ExistsError, match="'shoes' means 'fashion/shoes' already"):
        add_aliases(fashion, "fashion/bags", ["shoes"])
    with pytest.raises(UsageError, match="an alias is empty"):
        add_aliases(fashion, "fashion/bags", [" "])
    with pytest.raises(UsageError, match="is a taxonomy"):
        add_aliases(fashion, "fashion", ["x"])
    drop_aliases(fashion, "fashion/shoes/heels", ["pumps"])
    assert fashion.taxonomies["fashion"].find("pumps") is None
    with pytest.raises(NotFoundError, match="no alias 'pumps', only stilettos"):
        drop_aliases(fashion, "fashion/shoes/heels", ["pumps"])


# -- any sequence ---------------------------------------------------------------------------------

Names = tuple[str, ...]


class Model:
    """Taxonomies as a dict: path → token of the class that lies there, and where the dead went."""

    def __init__(self) -> None:
        self.paths: dict[Names, int] = {}
        self.heirs: dict[int, int | None] = {}
        self.next = 0

    def clone(self) -> Model:
        other = Model()
        other.paths, other.heirs, other.next = dict(self.paths), dict(self.heirs), self.next
        return other

    def mint(self, path: Names) -> None:
        self.paths[path] = self.next
        self.next += 1

    def below(self, path: Names) -> list[Names]:
        return [other for other in self.paths if len(other) > len(path) and _in(other, path)]

    def make(self, path: Names) -> None:
        if path in self.paths or path[:-1] not in {(), *self.paths}:
            raise UsageError("")
        self.mint(path)

    def resolve(self, path: Names) -> Names:
        if path[:1] in self.paths:
            found = [path] if path in self.paths else []
        else:
            tops = [other for other in self.paths if len(other) == 1]
            found = [(*top, *path) for top in tops if (*top, *path) in self.paths]
        if len(found) != 1:
            raise UsageError("")
        return found[0]

    def _target(self, source: Names, target: Names) -> Names:
        if len(source) == 1:
            if len(target) > 1 or target in self.paths:
                raise UsageError("")
            return target
        if target[:1] not in self.paths:
            target = (source[0], *target)
        there = target in self.paths
        found = (*target, source[-1]) if there else target
        if (
            _in(target if there else target[:-1], source)
            or found in self.paths
            or found[:-1] not in self.paths
        ):
            raise UsageError("")
        return found

    def move(self, source: Names, target: Names) -> None:
        source = self.resolve(source)
        found = self._target(source, target)
        if found[0] != source[0] and len(source) > 1:
            raise UsageError("")
        for path in [source, *self.below(source)]:
            self.paths[found + path[len(source) :]] = self.paths.pop(path)

    def copy(self, source: Names, target: Names) -> None:
        source = self.resolve(source)
        found = self._target(source, target)
        for path in [source, *self.below(source)]:
            self.mint(found + path[len(source) :])

    def merge(self, source: Names, target: Names) -> None:
        target, source = self.resolve(target), self.resolve(source)
        if 1 in (len(source), len(target)) or source[0] != target[0] or _in(target, source):
            raise UsageError("")
        inner = {path[len(source) :]: self.paths.pop(path) for path in self.below(source)}
        self.heirs[self.paths.pop(source)] = self.paths[target]
        for rest, token in sorted(inner.items()):
            path = target + rest
            if path in self.paths:
                self.heirs[token] = self.paths[path]
            else:
                self.paths[path] = token

    def bury(self, path: Names) -> None:
        path = self.resolve(path)
        for other in [*self.below(path), path]:
            self.heirs[self.paths.pop(other)] = None


def _in(path: Names, folder: Names) -> bool:
    return path[: len(folder)] == folder


class Both:
    """The model and the draft, side by side; identities are compared after each step."""

    def __init__(self) -> None:
        self.model = Model()
        self.draft = Draft(Vocabulary())
        self.ids: dict[int, bytes | None] = {}
        self.past: list[tuple[Model, dict[str, Taxonomy]]] = []

    def do(self, verb: str, source: Names, target: Names) -> None:
        if verb == "undo":
            if self.past:
                self.model, taxonomies = self.past.pop()
                self.draft.taxonomies = taxonomies
                self.ids = {key: node for key, node in self.ids.items() if key < self.model.next}
            return
        before = (self.model.clone(), self._copies())
        expected = _runs(lambda: self._in_model(verb, source, target))
        assert expected == _runs(lambda: self._in_draft(verb, source, target)), (verb, source)
        if expected:
            self.past.append(before)
        else:
            self.model = before[0]
            self.draft.taxonomies = before[1]

    def _copies(self) -> dict[str, Taxonomy]:
        return {
            name: Taxonomy(name, one.nodes, one.root) for name, one in self.draft.taxonomies.items()
        }

    def _in_model(self, verb: str, source: Names, target: Names) -> None:
        if verb in ("make", "bury"):
            getattr(self.model, verb)(source)
        else:
            getattr(self.model, verb)(source, target)

    def _in_draft(self, verb: str, source: Names, target: Names) -> None:
        first, second = join_path(source), join_path(target)
        draft = self.draft
        verbs: dict[str, Callable[[], object]] = {
            "make": lambda: make(draft, first),
            "move": lambda: move(draft, [first], second),
            "copy": lambda: copy(draft, [first], second, recursive=True),
            "merge": lambda: merge(draft, [first], second),
            "bury": lambda: bury(draft, [find_place(draft, first)], recursive=True),
        }
        verbs[verb]()

    def check(self) -> None:
        places = {tuple(names): place for place, names in iter_places(self.draft)}
        assert places.keys() == self.model.paths.keys()
        for path, token in self.model.paths.items():
            assert self.ids.setdefault(token, places[path].node) == places[path].node
        assert all(not names or places[names] for names in places)
        live = [place.node for place in places.values() if place.node is not None]
        assert len(live) == len(set(live))
        for token, heir in self.model.heirs.items():
            node = self.ids.get(token)
            if node is not None:
                self._check_dead(node, heir)

    def _check_dead(self, node: bytes, heir: int | None) -> None:
        while heir is not None and heir in self.model.heirs:
            heir = self.model.heirs[heir]
        taxonomy = next(one for one in self.draft.taxonomies.values() if node in one.nodes)
        assert taxonomy.live(node) == (None if heir is None else self.ids[heir])


def _runs(step: Callable[[], None]) -> bool:
    try:
        step()
    except (UsageError, NotFoundError, ExistsError, StateError):
        return False
    return True


NAMES = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3)
PATHS = st.builds(lambda top, rest: (top, *rest), st.sampled_from(["t", "u"]), NAMES)
STEPS = st.tuples(
    st.sampled_from(["make", "make", "make", "move", "copy", "merge", "bury", "undo"]), PATHS, PATHS
)
GROWN: list[Names] = [
    ("t",),
    ("u",),
    *((top, name) for top in "tu" for name in "ab"),
    *(("t", name, inner) for name in "ab" for inner in "abc"),
    ("t", "a", "a", "b"),
    ("t", "b", "a", "c"),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.booleans(), st.lists(STEPS, max_size=25))
def test_any_sequence_is_as_the_model(grown: bool, steps: list[tuple[str, Names, Names]]) -> None:
    both = Both()
    for path in GROWN if grown else []:
        both.do("make", path, ())
    for verb, source, target in steps:
        both.do(verb, source, target)
        both.check()


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=15))
def test_two_people_mint_the_same_ids(steps: list[tuple[str, Names, Names]]) -> None:
    people = [Both(), Both()]
    for both in people:
        for path in GROWN:
            both.do("make", path, ())
        for verb, source, target in steps:
            with contextlib.suppress(VoyagerError):
                both.do(verb, source, target)
    one, other = (list(both.draft.changed_nodes()) for both in people)
    assert one == other
