"""Standing conflicts: whose values they are, and every way to resolve them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import voyager
from voyager.errors import (
    InvalidDataError,
    NotFoundError,
    StateError,
    UsageError,
)
from voyager.merge import merge
from voyager.merge.conflicts import Standing, list_conflicts
from voyager.merge.resolve import Choice, resolve
from voyager.repo.add import add
from voyager.repo.branches import find_branch
from voyager.repo.commit import commit
from voyager.repo.edit import Edit
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove
from voyager.repo.switch import switch, switch_to_new
from voyager.repo.undo import undo
from voyager.samples import photo_paths
from voyager.schema import Box, Image, Label, Link, Region, Sample
from voyager.schema.fields import decode_field

LOWER, UPPER = b"a" * 16, b"b" * 16


@pytest.fixture(autouse=True)
def _author(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repository]:
    with Repository.init(tmp_path / "work", worktree=False) as repo:
        yield repo


def sample(number: int, *, color: str | None = None, **fields: object) -> Sample:
    labels = (Label(task="color", value=color),) if color else ()
    image = Image(uri=f"{number}.jpg")
    return Sample(uid=bytes([number]) * 16, image=image, labels=labels).replace(**fields)


def box(own: bytes, *sides: float, **fields: object) -> Region:
    return Region(id=own, geometries={"box": Box(*sides)}).replace(**fields)


Change = Callable[[Edit], None]


def diverge(repo: Repository, base: Change, ours: Change, *others: Change) -> int:
    """Merge branches that changed a base each in its way; how many conflicts there are."""
    with repo.edit("base") as edit:
        base(edit)
    names = [f"other{number}" for number in range(1, len(others) + 1)]
    for name, change in zip(names, others, strict=True):
        switch_to_new(repo, name, "main")
        with repo.edit(name) as edit:
            change(edit)
    switch(repo, find_branch(repo, "main"))
    with repo.edit("ours") as edit:
        ours(edit)
    return merge(repo, *names).conflicts


def put(*samples: tuple[str, Sample]) -> Change:
    def change(edit: Edit) -> None:
        for key, one in samples:
            edit[key] = one

    return change


def standing(repo: Repository) -> list[Standing]:
    return list_conflicts(repo, repo.staged())


def colors(repo: Repository, key: str = "a.jpg") -> list[object]:
    return [label.value for label in repo.staged()[key].labels]


def three_colors(repo: Repository) -> None:
    found = diverge(
        repo,
        put(("a.jpg", sample(1, color="red"))),
        put(("a.jpg", sample(1, color="green"))),
        put(("a.jpg", sample(1, color="blue"))),
    )
    assert found == 1


# -- whose values they are ------------------------------------------------------------------------


def said(one: Standing) -> list[object]:
    """What the sides say, by the values of labels."""
    values = [None if side is None else decode_field(one.path, side) for side in one.sides]
    return [getattr(value, "value", value) for value in values]


def test_sides_of_the_merge_that_waits(repo: Repository) -> None:
    three_colors(repo)
    [one] = standing(repo)
    assert (one.name, one.path) == ("a.jpg", "labels/color/human")
    assert said(one) == ["green", "blue"]
    assert decode_field(one.path, one.base).value == "red"


def test_sides_after_commits_and_a_rename(repo: Repository) -> None:
    three_colors(repo)
    commit(repo, "with conflicts", allow_conflicts=True)
    move(repo, ["a.jpg"], "b.jpg")
    commit(repo, "renamed", allow_conflicts=True)
    with repo.edit("something else") as edit:
        edit["z.jpg"] = sample(9)
    [one] = standing(repo)
    assert one.name == "b.jpg"
    assert said(one) == ["green", "blue"]
    [then] = list_conflicts(repo, repo.at("HEAD~2"))
    assert then.name == "a.jpg"
    assert voyager.resolve(repo, take="theirs").left == 0
    assert colors(repo, "b.jpg") == ["blue"]


def test_sides_of_a_region_that_both_drew_under_ids_of_their_own(repo: Repository) -> None:
    cat, dog = (Label(task="what", value=word) for word in ("cat", "dog"))
    assert (
        diverge(
            repo,
            put(("a.jpg", sample(1))),
            put(("a.jpg", sample(1, regions=(box(UPPER, 0, 0, 100, 100, labels=(cat,)),)))),
            put(("a.jpg", sample(1, regions=(box(LOWER, 0, 0, 100, 101, labels=(dog,)),)))),
        )
        == 1
    )
    [one] = standing(repo)
    assert one.region == LOWER
    assert said(one) == ["cat", "dog"]


def test_a_side_that_is_in_conflict_itself_says_nothing(repo: Repository) -> None:
    three_colors(repo)
    commit(repo, "with conflicts", allow_conflicts=True)
    switch_to_new(repo, "late", "main~1")
    with repo.edit("violet") as edit:
        edit["a.jpg"] = sample(1, color="violet")
    switch(repo, find_branch(repo, "main"))
    merge(repo, "late")
    [one] = standing(repo)
    assert said(one)[0] is None
    values = [decode_field(one.path, term).value for term in one.options]
    assert set(values) >= {"blue", "violet"}
    with pytest.raises(StateError, match=r"'ours' decides nothing of labels/color/human"):
        voyager.resolve(repo, take="ours")
    assert resolve(repo, Choice("pick", values.index("blue"))).left == 0
    assert colors(repo) == ["blue"]


def test_of_many_sides_each_has_its_number(repo: Repository) -> None:
    words = ["red", "green", "blue", "teal"]
    first, *others = (put(("a.jpg", sample(1, color=word))) for word in words)
    diverge(repo, first, *others)
    [one] = standing(repo)
    assert said(one) == ["green", "blue", "teal"]
    resolve(repo, Choice("side", 2))
    assert colors(repo) == ["teal"]


# -- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("take", "value"), [("ours", "green"), ("theirs", "blue"), ("base", "red")]
)
def test_a_side_and_the_base(repo: Repository, take: str, value: str) -> None:
    three_colors(repo)
    done = voyager.resolve(repo, "a.jpg", take=take)
    assert (done.resolved, done.left, done.names) == (1, 0, ["a.jpg"])
    assert colors(repo) == [value]
    undo(repo)
    assert len(standing(repo)) == 1
    assert colors(repo) == ["red"]


def test_a_value_of_ones_own_and_none(repo: Repository) -> None:
    three_colors(repo)
    voyager.resolve(repo, value=Label(task="color", value="pink"))
    assert colors(repo) == ["pink"]
    undo(repo)
    voyager.resolve(repo, value=None)
    assert colors(repo) == []


def test_dry_run_changes_nothing(repo: Repository) -> None:
    three_colors(repo)
    assert voyager.resolve(repo, take="ours", dry_run=True).left == 0
    assert len(standing(repo)) == 1


def test_a_strategy(repo: Repository) -> None:
    three_colors(repo)
    assert voyager.resolve(repo, strategy="theirs").resolved == 1
    assert colors(repo) == ["blue"]
    with pytest.raises(UsageError, match="'thiers' is no strategy"):
        voyager.resolve(repo, strategy="thiers")


def test_what_is_chosen(repo: Repository) -> None:
    def colored(word: str, split: str | None) -> Change:
        keys = ("hat/1.jpg", "hat/2.jpg", "shoe/1.jpg")
        found = [(key, sample(at, color=word, split=split)) for at, key in enumerate(keys, 1)]
        return put(*found)

    assert (
        diverge(repo, colored("red", None), colored("green", "test"), colored("blue", "val")) == 6
    )
    assert voyager.resolve(repo, "hat", task="color", take="ours").names == [
        "hat/1.jpg", "hat/2.jpg",
    ]  # fmt: skip
    assert voyager.resolve(repo, "**/1.jpg", path="split", take="theirs").resolved == 2
    assert voyager.resolve(repo, where="split is null", take="theirs").names == ["hat/2.jpg"]
    left = standing(repo)
    assert [(one.name, one.path) for one in left] == [("shoe/1.jpg", "labels/color/human")]


# -- what is not in conflict ----------------------------------------------------------------------


def test_what_is_not_in_conflict_is_named_with_what_is(repo: Repository) -> None:
    with pytest.raises(NotFoundError, match="nothing is in conflict"):
        voyager.resolve(repo, take="ours")
    three_colors(repo)
    with repo.transaction("probe"):
        pass
    with pytest.raises(NotFoundError, match=r"'b\.jpg' is not in conflict") as near:
        voyager.resolve(repo, "b.jpg", take="ours")
    assert near.value.hint == "did you mean 'a.jpg'? vgr conflicts lists them"
    with pytest.raises(NotFoundError, match="in conflict there: labels/color/human"):
        voyager.resolve(repo, "a.jpg#aaaa", take="ours")
    voyager.resolve(repo, take="ours")
    with pytest.raises(NotFoundError, match=r"'a\.jpg' is not in conflict: nothing is"):
        voyager.conflicts(repo, "a.jpg")


def test_one_way_is_wanted(repo: Repository) -> None:
    three_colors(repo)
    with pytest.raises(UsageError, match="one of take, value, strategy and file"):
        voyager.resolve(repo, take="ours", strategy="ours")
    with pytest.raises(UsageError, match="'our' is no way") as near:
        voyager.resolve(repo, take="our")
    assert near.value.hint == "take='ours'"


# -- regions --------------------------------------------------------------------------------------


def maybe_same(repo: Repository) -> None:
    """Two boxes that may be one, one of which another sample of that side links to."""
    cat = Label(task="what", value="cat")
    ours = box(UPPER, 0, 0, 100, 100, labels=(cat,))
    theirs = box(LOWER, 0, 0, 100, 130, labels=(cat, Label(task="pose", value="asleep")))
    link = Link(kind="same", uid=bytes([1]) * 16, region=UPPER)
    assert (
        diverge(
            repo,
            put(("a.jpg", sample(1)), ("b.jpg", sample(2, regions=(box(b"c" * 16, 0, 0, 9, 9),)))),
            put(
                ("a.jpg", sample(1, regions=(ours,))),
                ("b.jpg", sample(2, regions=(box(b"c" * 16, 0, 0, 9, 9, links=(link,)),))),
            ),
            put(("a.jpg", sample(1, regions=(theirs,)))),
        )
        == 1
    )


def ids(repo: Repository, key: str = "a.jpg") -> list[bytes]:
    return sorted(region.id for region in repo.staged()[key].regions)


def test_two_regions_that_are_one(repo: Repository) -> None:
    maybe_same(repo)
    voyager.resolve(repo, "a.jpg#6262", take="same")
    [region] = repo.staged()["a.jpg"].regions
    assert region.id == LOWER
    assert {label.task for label in region.labels} == {"what", "pose"}
    [linking] = repo.staged()["b.jpg"].regions
    assert [link.region for link in linking.links] == [LOWER]
    assert not standing(repo)


@pytest.mark.parametrize(
    ("take", "left"),
    [
        ("different", [LOWER, UPPER]),
        ("union", [LOWER, UPPER]),
        ("ours", [UPPER]),
        ("theirs", [LOWER]),
        ("base", []),
    ],
)
def test_two_regions_that_may_be_one(repo: Repository, take: str, left: list[bytes]) -> None:
    maybe_same(repo)
    voyager.resolve(repo, take=take)
    assert ids(repo) == left
    assert not standing(repo)


def test_a_region_removed_by_one_and_moved_by_the_other(repo: Repository) -> None:
    def drawn(*regions: Region) -> Change:
        return put(("a.jpg", sample(1, regions=regions)))

    diverge(repo, drawn(box(LOWER, 0, 0, 10, 10)), drawn(box(LOWER, 5, 5, 20, 20)), drawn())
    [one] = standing(repo)
    assert one.path == f"regions/{LOWER.hex()}"
    voyager.resolve(repo, take="theirs")
    assert ids(repo) == []
    undo(repo)
    voyager.resolve(repo, take="union")
    [region] = repo.staged()["a.jpg"].regions
    assert region.geometry == Box(5, 5, 20, 20)


def test_union_of_two_values_decides_nothing(repo: Repository) -> None:
    three_colors(repo)
    with pytest.raises(StateError, match="'union' decides nothing") as error:
        voyager.resolve(repo, take="union")
    assert error.value.hint == "vgr conflicts a.jpg lists what there is, for --pick N"


# -- whole samples, with their files --------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[Repository]:
    """A working tree of photos a.jpg and b.jpg and a text, committed."""
    with Repository.init(tmp_path / "photos") as repo:
        for key, photo in zip(("a.jpg", "b.jpg"), photo_paths(), strict=False):
            shutil.copyfile(photo, repo.tree() / key)
        (repo.tree() / "notes.txt").write_text("base")
        save(repo, "base")
        yield repo


def save(repo: Repository, message: str) -> None:
    add(repo, ["."], cwd=repo.tree(), all=True)
    commit(repo, message)


def both(repo: Repository, ours: Callable[[], None], theirs: Callable[[], None]) -> int:
    switch_to_new(repo, "other", "main")
    theirs()
    save(repo, "theirs")
    switch(repo, find_branch(repo, "main"))
    ours()
    save(repo, "ours")
    return merge(repo, "other").conflicts


def label(repo: Repository, key: str, value: str) -> None:
    from voyager.repo.staged_edit import StagedEdit

    with StagedEdit(repo, "label") as edit:
        edit[key] = edit[key].replace(labels=(Label(task="note", value=value),))


def files(repo: Repository) -> list[str]:
    return sorted(path.name for path in repo.tree().iterdir() if path.name != ".vgr")


def test_deleted_by_one_and_labeled_by_the_other(photos: Repository) -> None:
    label_it = lambda: label(photos, "a.jpg", "good")  # noqa: E731
    assert both(photos, label_it, lambda: void(remove(photos, ["a.jpg"]))) == 1
    assert files(photos) == ["a.jpg", "b.jpg", "notes.txt"]
    done = voyager.resolve(photos, take="theirs")
    assert done.removed == ["a.jpg"]
    assert files(photos) == ["b.jpg", "notes.txt"]
    assert "a.jpg" not in photos.staged()
    undo(photos)
    assert files(photos) == ["a.jpg", "b.jpg", "notes.txt"]
    voyager.resolve(photos, take="ours")
    assert [said.value for said in photos.staged()["a.jpg"].labels] == ["good"]


def void(_: object) -> None:
    """Nothing, of what a call gives."""


def test_deleted_by_us_comes_back(photos: Repository) -> None:
    label_it = lambda: label(photos, "a.jpg", "good")  # noqa: E731
    both(photos, lambda: void(remove(photos, ["a.jpg"])), label_it)
    voyager.resolve(photos, take="theirs")
    assert "a.jpg" in files(photos)


def test_two_renames(photos: Repository) -> None:
    found = both(
        photos,
        lambda: void(move(photos, ["a.jpg"], "ours.jpg")),
        lambda: void(move(photos, ["a.jpg"], "theirs.jpg")),
    )
    assert found == 1
    assert [one.path for one in standing(photos)] == ["key"]
    done = voyager.resolve(photos, take="theirs")
    assert done.moved == [("a.jpg", "theirs.jpg")]
    assert files(photos) == ["b.jpg", "notes.txt", "theirs.jpg"]
    undo(photos)
    assert files(photos) == ["a.jpg", "b.jpg", "notes.txt"]
    with pytest.raises(voyager.ExistsError, match=r"'b\.jpg' exists already"):
        voyager.resolve(photos, value="b.jpg")
    move(photos, ["a.jpg"], "mine.jpg")
    assert not standing(photos)


def test_two_images_at_one_key(photos: Repository) -> None:
    def come(number: int) -> Callable[[], None]:
        return lambda: void(shutil.copyfile(photo_paths()[number], photos.tree() / "new.jpg"))

    assert both(photos, come(5), come(6)) == 1
    [one] = standing(photos)
    assert one.path == "sample"
    assert "new.jpg" not in files(photos)
    images = [photo_paths()[number].read_bytes() for number in (5, 6)]
    for take, number in (("ours", 0), ("theirs", 1)):
        voyager.resolve(photos, "new.jpg", take=take)
        assert (photos.tree() / "new.jpg").read_bytes() == images[number]
        undo(photos)
        assert "new.jpg" not in files(photos)
    done = voyager.resolve(photos, "new.jpg", take="union")
    assert done.added == ["new~2.jpg"]
    for key, data in zip(("new.jpg", "new~2.jpg"), images, strict=True):
        assert (photos.tree() / key).read_bytes() == data
        assert photos.staged().image_bytes(key) == data
    assert not standing(photos)


def test_a_file(photos: Repository) -> None:
    def write(text: str) -> Callable[[], None]:
        return lambda: void((photos.tree() / "notes.txt").write_text(text))

    assert both(photos, write("ours"), write("theirs")) == 1
    assert (photos.tree() / "notes.txt").read_text() == "base"
    voyager.resolve(photos, "notes.txt", take="theirs")
    assert (photos.tree() / "notes.txt").read_text() == "theirs"


def test_a_file_that_was_edited_meanwhile_is_not_overwritten(photos: Repository) -> None:
    def write(text: str) -> Callable[[], None]:
        return lambda: void((photos.tree() / "notes.txt").write_text(text))

    both(photos, write("ours"), write("theirs"))
    write("edited")()
    with pytest.raises(StateError, match=r"resolve would overwrite changes in 'notes\.txt'"):
        voyager.resolve(photos, take="theirs")
    assert len(standing(photos)) == 1


# -- tasks and classes ----------------------------------------------------------------------------


def test_a_class_that_both_renamed(repo: Repository) -> None:
    def named(name: str) -> Change:
        def change(edit: Edit) -> None:
            root = edit.vocabulary
            if not root.taxonomies:
                root.define("color")
                root.mint_path("color", "red")
                root.mint_path("color", "dark")
            taxonomy = root.taxonomies["color"]
            node = next(key for key in taxonomy if taxonomy.nodes[key].name not in ("dark",))
            root.put_nodes("color", {node: taxonomy.nodes[node].replace(name=name)})

        return change

    assert diverge(repo, named("red"), named("scarlet"), named("crimson")) == 1
    [one] = standing(repo)
    assert (one.name, one.path) == ("taxonomy:color/red", "name")
    with pytest.raises(StateError, match="that cannot be: there are two classes 'color/dark'"):
        voyager.resolve(repo, "taxonomy:color", value="dark")
    voyager.resolve(repo, "taxonomy:color/red", take="theirs")
    taxonomy = repo.staged().vocabulary.taxonomies["color"]
    assert {taxonomy.path(key) for key in taxonomy} == {"crimson", "dark"}
    assert not standing(repo)


# -- from a file ----------------------------------------------------------------------------------


def write_lines(repo: Repository, path: Path, how: object) -> None:
    from voyager.merge.conflict_json import conflict_to_json

    words = repo.staged().vocabulary
    lines = [{**conflict_to_json(one, words), "resolve": how} for one in standing(repo)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ("ours", "green"),
        ({"value": {"task": "color", "value": "pink"}}, "pink"),
        ({"pick": 2}, "green"),
        ({"side": 2}, "blue"),
    ],
)
def test_lines_of_a_file(repo: Repository, tmp_path: Path, how: object, value: str) -> None:
    three_colors(repo)
    write_lines(repo, tmp_path / "lines", how)
    voyager.resolve(repo, file=tmp_path / "lines")
    assert colors(repo) == [value]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"path": "split"}', "key: expected text"),
        ('{"key": "a.jpg", "path": "split"}', "resolve: missing"),
        ('{"key": "a.jpg", "path": "split", "resolve": "our"}', "did you mean ours"),
        ('{"key": "a.jpg", "path": "split", "resolve": {"pick": 0}}', "is no choice"),
        (
            '{"key": "a.jpg", "path": "labels/color/human", "resolve": {"value": 3}}',
            "expected an object",
        ),
    ],
)
def test_a_bad_line_resolves_nothing(
    repo: Repository, tmp_path: Path, line: str, message: str
) -> None:
    three_colors(repo)
    file = tmp_path / "lines"
    write_lines(repo, file, "ours")
    file.write_text(file.read_text() + "\n" + line + "\n")
    with pytest.raises(InvalidDataError, match=message) as error:
        voyager.resolve(repo, file=file)
    assert (error.value.path, error.value.line) == (str(file), 3)
    assert len(standing(repo)) == 1


def test_a_line_about_what_is_not_in_conflict(repo: Repository, tmp_path: Path) -> None:
    three_colors(repo)
    file = tmp_path / "lines"
    file.write_text('{"key": "b.jpg", "path": "split", "resolve": "ours"}\n')
    with pytest.raises(NotFoundError, match=r"split of 'b\.jpg' is not in conflict") as error:
        voyager.resolve(repo, file=file)
    assert error.value.line == 1
