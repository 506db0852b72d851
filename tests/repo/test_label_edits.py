"""Verbs on labels in the staging area, bulk edits from Python, links both ways, edited JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from photo_repos import KEYS

from voyager import Box, Image, Label, Link, Mask, Region, Repository, Sample
from voyager.errors import InvalidDataError, NotFoundError, StateError, UsageError
from voyager.repo import label_edits
from voyager.repo.assignments import parse_word as word
from voyager.repo.assignments import read_assignments
from voyager.repo.label_edits import Changed
from voyager.repo.sample_text import read_sample_text, sample_text
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.undo import undo
from voyager.schema import MASK_INLINE_LIMIT, coverage_key, decode_sample, encode_sample
from voyager.schema.json_places import line_of, parse_json, write_json
from voyager.schema.label_edit import PLAIN, Voice
from voyager.schema.label_rows import encode_view, view_labels
from voyager.schema.rle import mask_of_array
from voyager.schema.taxonomy import Node
from voyager.wire import blob_ref

ONE, TWO, *_ = KEYS
FIRST, SECOND = b"1" * 16, b"2" * 16


def region(ident: bytes, **fields: Any) -> Region:
    return Region(id=ident, **{"geometries": {"box": Box(1, 2, 30, 40)}, **fields})


@pytest.fixture
def repo(photos_repo: Repository) -> Repository:
    """Four photographs, two regions on the first, and tasks of every kind."""
    with photos_repo.edit(message="tasks") as edit:
        words = edit.vocabulary
        for name in ("hat", "shoe"):
            words.category("category", name)
        words.mint_path("category", "hat/straw")
        words.define("color", many=True, scope="both")
        for name in ("red", "blue"):
            words.category("color", name)
        words.define("scene", scope="image")
        words.define("part", scope="region")
        words.category("part", "brim")
        words.define("caption", kind="text")
        words.define("price", kind="number")
        words.define("sold", kind="bool")
        edit[ONE] = edit[ONE].replace(regions=(region(FIRST), region(SECOND)))
    return photos_repo


def say(
    repo: Repository, targets: list[Any], *words: str, voice: Voice = PLAIN, **options: bool
) -> Changed:
    with StagedEdit(repo, "label", " ".join(words)) as edit:
        said = [found for found in map(word, words) if found is not None]
        assignments = read_assignments(edit.draft, said, voice, **options)
        return label_edits.label(edit, edit.draft, targets, assignments)


def told(repo: Repository, key: str, ident: bytes | None = None) -> list[str]:
    """What is said of a staged sample or region, in words."""
    version = repo.staged()
    sample = version[key]
    labels = sample.labels
    if ident is not None:
        labels = next(it.labels for it in sample.regions if it.id == ident)
    return [f"{it.task}={version.vocabulary.word(it)}" for it in labels]


# -- labels ---------------------------------------------------------------------------------------


def test_samples_and_regions_in_one_operation(repo: Repository) -> None:
    done = say(repo, [(ONE, None), (ONE, FIRST), (TWO, None)], "category=hat/straw", "color+=red")
    assert (sorted(done.keys), done.regions, done.labels) == ([ONE, TWO], 1, 6)
    assert told(repo, ONE) == told(repo, ONE, FIRST) == ["category=hat/straw", "color=red"]
    assert told(repo, ONE, SECOND) == []
    again = say(repo, [(ONE, None)], "category=straw", "color=red")
    assert again == Changed()
    undo(repo)
    assert told(repo, ONE) == told(repo, ONE, FIRST) == told(repo, TWO) == []


def test_values_of_every_kind(repo: Repository) -> None:
    say(repo, [(ONE, None)], "caption=a=b, c", "price=1e3", "sold=Yes")
    assert told(repo, ONE) == ["caption=a=b, c", "price=1000", "sold=yes"]
    say(repo, [(ONE, None)], "caption=", "price-=1000", "sold=0")
    assert told(repo, ONE) == ["sold=no"]


@pytest.mark.parametrize(
    ("words", "error", "message", "hint"),
    [
        (["category=het"], NotFoundError, "task 'category' has no class 'het'", "did you mean 'h"),
        (["category=x/y"], NotFoundError, "no class 'x/y'", "mkdir 'category/x/y', or --create"),
        (["categry=hat"], NotFoundError, "no task 'categry'", "did you mean 'category'?"),
        (["unheard=hat"], NotFoundError, "no task 'unheard'", "vgr task add unheard"),
        (["category=hat", "category=shoe"], UsageError, "takes one answer, not 2", "--many"),
        (["color=red", "color-=red"], UsageError, "'color=' sets everything", None),
        (["color+="], UsageError, "'color\\+=' says no value", "color= removes all"),
        (["price=inf"], UsageError, "task 'price' takes a number, not 'inf'", None),
        (["price=1,5"], UsageError, "task 'price' takes a number, not '1,5'", None),
        (["sold=perhaps"], UsageError, "takes yes or no, not 'perhaps'", None),
        (["part=brim"], UsageError, "task 'part' is asked of regions", "#1"),
    ],
)
def test_refused(
    repo: Repository, words: list[str], error: type[Exception], message: str, hint: str | None
) -> None:
    with pytest.raises(error, match=message) as caught:
        say(repo, [(ONE, None)], *words)
    assert (hint or "") in (caught.value.hint or "")  # type: ignore[attr-defined]
    assert (hint is None) == (caught.value.hint is None)  # type: ignore[attr-defined]
    assert not repo.staging.overlay


def test_an_image_task_is_not_asked_of_regions(repo: Repository) -> None:
    with pytest.raises(UsageError, match="asked of whole images, not of regions"):
        say(repo, [(ONE, FIRST)], "scene=indoors", create=True)
    assert "indoors" not in str(repo.staged().vocabulary.taxonomies)


def test_a_name_of_two_classes(repo: Repository) -> None:
    with StagedEdit(repo, "taxonomy") as edit:
        edit.draft.mint_path("category", "shoe/straw")
    with pytest.raises(UsageError, match="'straw' names 2 classes of task 'category'") as caught:
        say(repo, [(ONE, None)], "category=straw")
    assert caught.value.hint == "'hat/straw' or 'shoe/straw'"


def test_a_class_made_on_the_way(repo: Repository) -> None:
    say(repo, [(ONE, None)], "category=category/hat/felt/grey", create=True)
    assert told(repo, ONE) == ["category=hat/felt/grey"]
    undo(repo)
    assert repo.staged().vocabulary.taxonomies["category"].find("grey") is None
    with pytest.raises(NotFoundError):
        say(repo, [(ONE, None)], "category-=nothing", create=True)


def test_a_second_answer_is_refused_and_nothing_staged(repo: Repository) -> None:
    say(repo, [(TWO, None)], "category=hat")
    with pytest.raises(UsageError, match=f"of '{TWO}' human says 'hat' already"):
        say(repo, [(ONE, None), (TWO, None)], "category+=shoe")
    assert told(repo, ONE) == []
    say(repo, [(TWO, None)], "category+=shoe", voice=Voice("human:ann"))
    assert told(repo, TWO) == ["category=hat", "category=shoe"]


def test_a_merged_class_is_what_it_is_now(repo: Repository) -> None:
    say(repo, [(ONE, None)], "category=hat/straw", "color=red")
    with StagedEdit(repo, "taxonomy") as edit:
        taxonomy = edit.draft.taxonomies["category"]
        straw, hat = taxonomy.find("straw"), taxonomy.find("hat")
        assert straw is not None
        node: Node = taxonomy.nodes[straw]
        edit.draft.put_nodes("category", {straw: node.replace(dead=True, redirect=hat)})
    assert say(repo, [(ONE, None)], "category=hat") == Changed()
    assert say(repo, [(ONE, None)], "category-=hat").labels == 1
    assert told(repo, ONE) == ["color=red"]


def test_states(repo: Repository) -> None:
    say(repo, [(ONE, None), (ONE, FIRST)], "category=hat")
    say(repo, [(ONE, FIRST)], "category=shoe", voice=Voice("model:m", 0.5, "proposed"))

    def put(state: Any, target: Any, **options: Any) -> tuple[int, int]:
        with StagedEdit(repo, "label") as edit:
            done = label_edits.put_state(edit, [target], state, **options)
        return done.regions, done.labels

    assert put("verified", (ONE, None)) == (0, 1)
    assert put("verified", (ONE, None)) == (0, 0)
    assert put("accepted", (ONE, FIRST), source="model:m") == (1, 1)
    assert put("verified", (ONE, FIRST), task="category") == (1, 2)
    assert repo.staged()[ONE].regions[0].state == "accepted"
    assert put("rejected", (ONE, FIRST)) == (1, 2)
    assert {it.state for it in repo.staged()[ONE].regions[0].labels} == {"rejected"}
    assert repo.staged()[ONE].regions[0].state == "rejected"
    assert put("verified", (ONE, FIRST)) == (0, 0)  # not along with others
    assert put("proposed", (ONE, FIRST)) == put("verified", (ONE, FIRST)) == (1, 2)


# -- regions --------------------------------------------------------------------------------------


def test_a_large_mask_goes_to_a_blob(repo: Repository) -> None:
    import numpy as np

    mask = mask_of_array(np.indices((2 * MASK_INLINE_LIMIT, 5)).sum(axis=0) % 2)
    counts = bytes(mask.counts)  # type: ignore[arg-type]
    with StagedEdit(repo, "region") as edit:
        stored = label_edits.stored_geometry(edit, mask)
        assert isinstance(stored, Mask)
        label_edits.put_geometry(edit, [(ONE, FIRST)], stored)
        assert label_edits.stored_geometry(edit, mask.replace(counts=b"11")).counts == b"11"  # type: ignore[union-attr]
    found = repo.staged()[ONE].regions[0].geometry
    assert isinstance(found, Mask)
    assert found.blob_id is not None
    assert repo.store.get_blob(found.blob_id) == counts
    with StagedEdit(repo, "region") as edit:
        read = repo.store.get_blob
        label_edits.shift(edit, [(ONE, FIRST)], 1, 0, read=read)
        label_edits.shift(edit, [(ONE, FIRST)], 0, 0, read=read)
    moved = repo.staged()[ONE].regions[0].geometry
    assert isinstance(moved, Mask)
    assert moved.blob_id not in (None, found.blob_id)


def test_a_dry_run_stores_no_blob(repo: Repository) -> None:
    with StagedEdit(repo, "region", dry_run=True) as edit:
        reference = edit.put_blob(b"counts")
    assert bytes(reference.data) not in repo.store


def test_regions_go_and_come_back(repo: Repository) -> None:
    with StagedEdit(repo, "region", "rm") as edit:
        done = label_edits.remove_regions(edit, [(ONE, FIRST)])
    assert (done.keys, done.regions) == ([ONE], 1)
    assert [it.id for it in repo.staged()[ONE].regions] == [SECOND]
    undo(repo)
    assert [it.id for it in repo.staged()[ONE].regions] == [FIRST, SECOND]


# -- links ----------------------------------------------------------------------------------------


def test_links_are_found_from_both_ends(repo: Repository) -> None:
    with StagedEdit(repo, "region") as edit:
        label_edits.add_region(edit, TWO, region(b"3" * 16))
        label_edits.link(edit, (ONE, FIRST), (TWO, b"3" * 16), "same")
        label_edits.link(edit, (ONE, SECOND), (ONE, FIRST), "part-of")
    version = repo.staged()
    uid, other = version[ONE].uid, version[TWO].uid
    assert version.lookups.key_of(uid) == ONE
    assert version.lookups.links_to(other, b"3" * 16) == [(ONE, FIRST, "same")]
    assert version.lookups.links_to(uid, FIRST) == [(ONE, SECOND, "part-of")]
    assert version.lookups.links_to(uid, SECOND) == []
    assert version.lookups.has_region(other, b"3" * 16)
    assert version.lookups is version.lookups
    assert repo.at("HEAD").lookups.links_to(uid, FIRST) == []
    with StagedEdit(repo, "link") as edit:
        assert label_edits.unlink(edit, (ONE, FIRST), (TWO, b"3" * 16), "other") == Changed()
        assert label_edits.unlink(edit, (ONE, FIRST), (TWO, b"3" * 16)).regions == 1
    assert repo.staged().lookups.links_to(other, b"3" * 16) == []


def test_links_to_what_is_gone(repo: Repository) -> None:
    with StagedEdit(repo, "region") as edit:
        label_edits.add_region(edit, TWO, region(b"3" * 16))
        label_edits.link(edit, (ONE, FIRST), (TWO, b"3" * 16), "same")
        label_edits.link(edit, (ONE, FIRST), (ONE, SECOND), "same")
        label_edits.remove_regions(edit, [(TWO, b"3" * 16)])
    version = repo.staged()
    with StagedEdit(repo, "link") as edit:
        label_edits.unlink_lost(edit, (ONE, FIRST), version.lookups)
    links = repo.staged()[ONE].regions[0].links
    assert links == (Link(kind="same", uid=version[ONE].uid, region=SECOND),)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ((ONE, FIRST), (TWO, None), "names a sample, not a region"),
        ((ONE, None), (ONE, FIRST), "names a sample, not a region"),
        ((ONE, FIRST), (ONE, b"9" * 16), "no region 39393939"),
        ((ONE, FIRST), ("nothing", FIRST), "no sample 'nothing'"),
    ],
)
def test_ends_of_links(repo: Repository, source: Any, target: Any, message: str) -> None:
    with pytest.raises((UsageError, NotFoundError), match=message), StagedEdit(repo, "link") as it:
        label_edits.link(it, source, target, "same")


# -- negatives and coverage -----------------------------------------------------------------------


def deny(repo: Repository, keys: list[str], path: str, **options: bool) -> Changed:
    with StagedEdit(repo, "negatives") as edit:
        node = edit.draft.find("category", path)
        assert node is not None
        return label_edits.put_negatives(edit, edit.draft, keys, [("category", node)], **options)


def test_a_negative_that_a_label_contradicts(repo: Repository) -> None:
    say(repo, [(TWO, None), (ONE, SECOND)], "category=hat/straw")
    message = f"{ONE}#2 is 'hat/straw'; {TWO} is 'hat/straw'"
    with pytest.raises(StateError, match=message):
        deny(repo, [ONE, TWO], "hat")
    assert repo.staged()[ONE].negatives == {}
    assert deny(repo, [ONE, TWO], "shoe").keys == [ONE, TWO]
    assert deny(repo, [ONE], "hat", force=True).keys == [ONE]
    assert deny(repo, [ONE, TWO], "hat", remove=True).keys == [ONE]
    assert [len(repo.staged()[key].negatives["category"]) for key in (ONE, TWO)] == [1, 1]


def test_coverage(repo: Repository) -> None:
    levels: dict[str, Any] = {"category": "exhaustive", coverage_key("color", FIRST): "partial"}
    with StagedEdit(repo, "coverage") as edit:
        assert label_edits.put_coverage(edit, [ONE, TWO], levels).keys == [ONE, TWO]
        assert label_edits.put_coverage(edit, [ONE], {"category": None}).keys == [ONE]
    assert repo.staged()[TWO].coverage == levels
    assert "category" not in repo.staged()[ONE].coverage


# -- bulk -----------------------------------------------------------------------------------------


def committed(repo: Repository, key: str, ident: bytes | None = None) -> list[str]:
    version = repo.at("HEAD")
    sample = version[key]
    labels = sample.labels
    if ident is not None:
        labels = next(it.labels for it in sample.regions if it.id == ident)
    return [f"{it.task}={version.vocabulary.word(it)} {it.source}" for it in labels]


def test_many_at_once(repo: Repository) -> None:
    with repo.edit(message="bulk") as edit:
        done = edit.label(
            [
                (TWO, None, "category", "hat/straw"),
                (ONE, FIRST, "category", "straw"),
                (ONE, FIRST, "color", ["red", "blue"]),
                (ONE, SECOND, "part", "brim"),
                (ONE, None, "price", 3),
                (ONE, None, "sold", True),
                (ONE, None, "caption", "a hat"),
            ]
        )
        assert done == 2
        assert edit.label([(TWO, None, "category", "hat")], source="model:m", score=0.5) == 1
        assert edit[TWO].labels[1].score == 0.5
        assert edit.label([(ONE, FIRST, "color", "red")], how="-=") == 1
        assert edit.label([(ONE, FIRST, "color", "blue")], how="+=") == 0
        assert edit.label([(ONE, None, "sold", None)]) == 1
    assert committed(repo, ONE, FIRST) == ["category=hat/straw human", "color=blue human"]
    assert committed(repo, ONE, SECOND) == ["part=brim human"]
    assert committed(repo, ONE) == ["price=3 human", "caption=a hat human"]
    assert committed(repo, TWO) == ["category=hat/straw human", "category=hat model:m"]
    undo(repo)
    assert committed(repo, TWO) == []


def test_bulk_edits_are_as_single_ones(repo: Repository) -> None:
    changes = [
        (ONE, FIRST, "category", "shoe"),
        (ONE, FIRST, "category", "hat"),
        (TWO, None, "color", ["blue"]),
    ]
    with repo.edit(message="bulk") as edit:
        edit.label(changes)
    rows = dict(repo.at("HEAD").rows(SAMPLES))
    undo(repo)
    say(repo, [(ONE, FIRST)], "category=shoe")
    say(repo, [(ONE, FIRST)], "category=hat")
    say(repo, [(TWO, None)], "color=blue")
    assert dict(repo.staged().rows(SAMPLES)) == rows


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (("nothing", None, "category", "hat"), NotFoundError, "no sample 'nothing'"),
        ((ONE, b"9" * 16, "category", "hat"), NotFoundError, "has no region 3939"),
        ((ONE, None, "category", "nothing"), NotFoundError, "has no class 'nothing'"),
        ((ONE, None, "category", FIRST), NotFoundError, "no class with the id 3131"),
        ((ONE, None, "categories", "hat"), NotFoundError, "no task 'categories'"),
        ((ONE, None, "category", ["hat", "shoe"]), UsageError, "takes one answer, not 2"),
        ((ONE, None, "category", 1), UsageError, "takes a class, not 1"),
        ((ONE, None, "price", True), UsageError, "takes a number, not True"),
        ((ONE, None, "price", float("nan")), UsageError, "takes a number, not 'nan'"),
        ((ONE, None, "sold", 1), UsageError, "takes True or False, not 1"),
        ((ONE, None, "caption", 1.5), UsageError, "takes text, not 1.5"),
        ((ONE, None, "part", "brim"), UsageError, "task 'part' is asked of regions"),
        ((ONE, FIRST, "scene", None), UsageError, "task 'scene' is asked of images"),
    ],
)
def test_refused_in_bulk(
    repo: Repository, change: Any, error: type[Exception], message: str
) -> None:
    head = repo.head.commit
    good = (TWO, None, "sold", True)
    with pytest.raises(error, match=message), repo.edit(message="bulk") as edit:
        edit.label([(TWO, None, "price", 1), good, change])
    assert repo.head.commit == head
    with repo.edit(message="bulk") as edit:
        with pytest.raises(error, match=message):
            edit.label([good, change])
        assert edit[TWO].labels == ()


def test_one_answer_gets_no_second_in_bulk(repo: Repository) -> None:
    with repo.edit(message="bulk") as edit, pytest.raises(UsageError, match="'=' sets it"):
        edit.label([(ONE, None, "category", "hat")], how="+=")
    with repo.edit(message="bulk") as edit, pytest.raises(InvalidDataError, match="source"):
        edit.label([(ONE, None, "category", "hat")], source="nobody")


def test_one_class_made_another(repo: Repository) -> None:
    say(repo, [(ONE, None), (ONE, FIRST), (ONE, SECOND), (TWO, None)], "category=hat/straw")
    say(repo, [(TWO, None)], "category=shoe", voice=Voice("model:m"))
    from voyager.repo.commit import commit

    commit(repo, "labels")
    with repo.edit(message="relabel") as edit:
        assert edit.relabel("category", "straw", "shoe") == 2
        with pytest.raises(UsageError, match="task 'caption' has no classes"):
            edit.relabel("caption", "a", "b")
        with pytest.raises(NotFoundError, match="has no class 'cap'"):
            edit.relabel("category", "cap", "shoe")
        assert edit.relabel("category", "straw", "shoe") == 0
    assert committed(repo, ONE, FIRST) == ["category=shoe human"]
    assert committed(repo, TWO) == ["category=shoe human", "category=shoe model:m"]


def test_one_class_made_another_where(repo: Repository) -> None:
    with repo.edit(message="labels") as edit:
        edit.label([(key, None, "category", "hat") for key in KEYS])
        edit.label([(ONE, ident, "category", "hat") for ident in (FIRST, SECOND)])
        edit[ONE] = edit[ONE].replace(split="test")
    with repo.edit(message="relabel") as edit:
        assert edit.relabel("category", "hat", "shoe", where="split = 'test'") == 1
    assert committed(repo, ONE, FIRST) == committed(repo, ONE) == ["category=shoe human"]
    assert committed(repo, TWO) == ["category=hat human"]
    with repo.edit(message="back") as edit:
        where = f"region = '{FIRST.hex()}'"
        assert edit.relabel("category", "shoe", "hat", where=where, regions=True) == 1
    assert committed(repo, ONE, FIRST) == ["category=hat human"]
    assert committed(repo, ONE, SECOND) == committed(repo, ONE) == ["category=shoe human"]


def test_a_hundred_thousand_a_second(empty_repo: Repository) -> None:
    """A third of what is measured on a quiet machine (benchmarks/label_edits.py)."""
    count = 4000
    regions = tuple(
        region(bytes([n]) * 16, labels=(Label(task="note", value="x"),)) for n in range(5)
    )
    with empty_repo.edit(message="all") as edit:
        for name in ("hat", "shoe"):
            edit.vocabulary.category("category", name)
        edit.update(
            (f"{n:05}", Sample(uid=n.to_bytes(16, "big"), image=Image(uri="x"), regions=regions))
            for n in range(count)
        )
    changes = [
        (f"{n:05}", it.id, "category", "hat" if n % 2 else "shoe")
        for n in range(count)
        for it in regions
    ]
    with empty_repo.edit(message="bulk") as edit:
        start = time.process_time()
        assert edit.label(changes) == count
        assert len(changes) / (time.process_time() - start) > 33_000


def test_rows_are_read_once_in_any_order(repo: Repository) -> None:
    version = repo.at("HEAD")
    keys = [b"", *sorted(key.encode() for key in KEYS), b"zzz"]
    found = list(version.rows_at(SAMPLES, keys))
    assert found == [(key, version.row(SAMPLES, key)) for key in keys]
    assert list(version.rows_at(SAMPLES, [])) == list(version.rows_at("none", [])) == []
    say(repo, [(ONE, None)], "category=hat")
    assert dict(repo.staged().rows_at(SAMPLES, keys))[ONE.encode()] != dict(found)[ONE.encode()]


def test_a_view_of_a_row_keeps_all_else() -> None:
    from hypothesis import given
    from schema_strategies import samples

    @given(samples)
    def check(sample: Sample) -> None:
        row = encode_sample(sample)
        for regions in (False, True):
            view = view_labels(row, regions=regions)
            assert encode_view(view) == row
            assert view.labels == decode_sample(row).labels

    check()


# -- a sample as JSON -----------------------------------------------------------------------------


@pytest.fixture
def edited(repo: Repository) -> Callable[..., Sample]:
    """Edit the JSON of the first photograph: a function of its text, or of its value."""
    say(repo, [(ONE, None), (ONE, FIRST)], "category=hat", "color=red")
    version = repo.staged()
    text = sample_text(ONE, version[ONE], version.vocabulary)

    def read(change: Callable[[Any], Any], *, text: str = text, raw: bool = False) -> Sample:
        if raw:
            text = change(text)
        else:
            value = json.loads(text)
            change(value)
            text = write_json(value)
        return read_sample_text(
            text,
            ONE,
            version[ONE],
            version.vocabulary,
            knows_blob=repo.store.__contains__,
            path="x.json",
        )

    return read


def test_edited_json(repo: Repository, edited: Callable[..., Sample]) -> None:
    assert edited(lambda _: None) == repo.staged()[ONE]

    def change(value: Any) -> None:
        value["labels"][0]["value"] = "straw"
        value["regions"].append({"geometries": {"box": {"type": "box", "xyxy": [1, 2, 3, 4]}}})
        value["meta"] = {"price": 3}

    after = edited(change)
    assert [len(after.regions), after.meta] == [3, {"price": 3}]
    assert after.labels[0].node == repo.staged().vocabulary.find("category", "hat/straw")


def set_at(path: str, item: Any) -> Callable[[Any], None]:
    """Set a value of JSON at a path of names and places."""
    *names, last = [int(name) if name.isdigit() else name for name in path.split(".")]

    def change(value: Any) -> None:
        for name in names:
            value = value[name]
        value[last] = item

    return change


@pytest.mark.parametrize(
    ("path", "item", "message", "on"),
    [
        ("key", "other", "key: cannot be changed here", '"key": "other"'),
        ("uid", "0" * 32, "uid: cannot be changed here", '"uid"'),
        ("image.width", 1, "image: cannot be changed here", '"image"'),
        ("held", {}, "held: cannot be changed here", '"held"'),
        ("split", 1, "split: expected `str | null`, got `int`", '"split"'),
        ("color", 1, "color: there is no such field", '"color"'),
        ("labels.1.value", "grey", "task 'color' has no class 'grey'", '"grey"'),
        ("labels.1.state", "sure", "labels[1].state: invalid enum value", '"sure"'),
        ("labels.1.task", "hue", "labels[1]: there is no task 'hue'", '"hue"'),
        ("labels.0.task", "part", "task 'part' has no class 'hat'", '"part"'),
        ("labels.0", {"task": "price", "value": "x"}, "task 'price' wants number", '"price"'),
        ("regions.1.id", FIRST.hex(), "regions[0] has the same id", FIRST.hex()),
        ("regions.0.labels.0.source", "me", "'me' is not KIND", '"me"'),
        ("regions.0.geometries.box.type", "bix", "type: expected one of box", '"bix"'),
        ("regions.1.primary", "mask", "primary: there is no geometry 'mask'", "{"),
        ("negatives", {"category": ["hat"]}, "'hat' is labeled, and verified not", "category"),
        ("coverage", {"color": "full"}, "coverage", '"full"'),
    ],
)
def test_faults_are_named_by_line(
    edited: Callable[..., Sample], path: str, item: Any, message: str, on: str
) -> None:
    seen: list[str] = []

    def change(text: str) -> str:
        value = json.loads(text)
        set_at(path, item)(value)
        seen.append(write_json(value))
        return seen[0]

    with pytest.raises(InvalidDataError) as caught:
        edited(change, raw=True)
    assert message in caught.value.message
    assert caught.value.path == "x.json"
    assert caught.value.line is not None
    assert on in seen[0].splitlines()[caught.value.line - 1]


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("{", "", "extra data", 2),
        (",\n", "\n", "expecting ',' delimiter", 3),
        ("null", "NaN", "split: NaN is no number of JSON", 4),
        ('"key"', '"uid": "", "key"', "uid: the field is there twice", 3),
    ],
)
def test_what_is_no_json(
    edited: Callable[..., Sample], old: str, new: str, message: str, line: int
) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        edited(lambda text: text.replace(old, new, 1), raw=True)
    assert caught.value.line == line


def test_a_text_that_is_no_sample(edited: Callable[..., Sample]) -> None:
    for text in ("[]", "1", '"x"'):
        with pytest.raises(InvalidDataError, match="expected an object"):
            edited(lambda _, text=text: text, raw=True)
    with pytest.raises(InvalidDataError, match="nested too deep"):
        edited(lambda _: "[" * 200_000, raw=True)
    with pytest.raises(InvalidDataError, match="nested too deep"):
        edited(lambda _: "[" * 80 + "]" * 80, raw=True)


def test_a_blob_that_nobody_stored(repo: Repository, edited: Callable[..., Sample]) -> None:
    mask = {"type": "mask", "height": 2, "width": 2, "blob": "0" * 64}
    with pytest.raises(InvalidDataError, match=f"blob {'0' * 64} is not in the store") as caught:
        edited(set_at("regions.0.geometries.box", mask))
    assert caught.value.line is None
    with repo.transaction("stage") as txn:
        blob = txn.put_blob(b"04")
        txn.commit()
    found = edited(set_at("regions.0.geometries.box", {**mask, "blob": blob.hex()}))
    assert found.regions[0].geometry == Mask(2, 2, blob_ref(blob))


def test_lines_of_paths() -> None:
    text = '{\n "a": [\n  1,\n  {"b\\"": 2,\n   "c": []}\n ],\n "a.b": {"c": 3}\n}'
    assert parse_json(text)["a"][1]['b"'] == 2
    places = {"a": 2, "a[0]": 3, "a[1]": 4, 'a[1].b"': 4, "a[1].c": 5, "a.b": 7, "a.b.c": 7}
    assert {path: line_of(text, f"{path}: wrong") for path in places} == places
    assert line_of(text, "a[1].missing.x: wrong") == 4
    assert line_of(text, "nothing: wrong") is None
    assert line_of(text, "ab: wrong") is None


def test_json_for_people() -> None:
    value = {"a": {"b": 1}, "points": [[0.5] * 40], "long": ["x" * 60, "y" * 60], "none": []}
    text = write_json(value)
    assert json.loads(text) == value
    assert '  "a": {"b": 1},\n' in text
    assert max(map(len, text.splitlines())) > 200  # numbers stay on one line
    assert '    "' + "x" * 60 + '",\n' in text
