"""Imports that merge what a file says with what was changed here meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from label_repos import Coco, change, changed_region, everything, give, photo, save, take

import voyager
from voyager.errors import StateError, UsageError
from voyager.merge import Merged
from voyager.merge.conflicts import list_conflicts
from voyager.merge.edits import Edits
from voyager.merge.resolve import resolve
from voyager.merge.resolving import BASE, OURS, THEIRS, Choice
from voyager.repo.conflicts import Conflict, count_conflicts, iter_conflicts
from voyager.repo.merging import refuse_if_merging, running_merge
from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.repo.taxonomies import move_classes
from voyager.repo.undo import undo
from voyager.schema import Box
from voyager.schema.fields import decode_field
from voyager.store.history import read_commit


@pytest.fixture
def labeled(repo: Repository, tmp_path: Path) -> Repository:
    """Three photos with two boxes each, committed."""
    made = Coco("cat", "dog")
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "source", name)
        image = made.image(name)
        made.box(image, 2, 3, 20, 10, category=1)
        made.box(image, 30, 20, 12, 14, category=2)
    take(repo, made.write(tmp_path / "source" / "labels.json"), source="human:ann")
    save(repo)
    return repo


@pytest.fixture(params=["coco", "jsonl"])
def exported(request: pytest.FixtureRequest, labeled: Repository, tmp_path: Path) -> Path:
    """Their export, as COCO and as our own lines."""
    name = "labels.json" if request.param == "coco" else "labels.jsonl"
    give(labeled, tmp_path / "out" / name, request.param)
    return tmp_path / "out" / name


@pytest.fixture
def coco(labeled: Repository, tmp_path: Path) -> Path:
    """Their export as COCO."""
    give(labeled, tmp_path / "out" / "labels.json")
    return tmp_path / "out" / "labels.json"


def edit_coco(path: Path, work: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text())
    work(value)
    path.write_text(json.dumps(value))


def move_box(path: Path, x: float) -> None:
    """Let the first box of a.png begin at x, in the file."""
    if path.suffix == ".json":
        edit_coco(path, lambda value: value["annotations"][0].update(bbox=[x, 3, 20, 10]))
        return
    text = path.read_text()
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if '"a.png"' in line)
    row = json.loads(lines[at])
    row["regions"][0]["geometries"]["box"]["xyxy"] = [x, 3, x + 20, 13]
    lines[at] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")


def merge(repo: Repository, path: Path, **options: Any) -> Any:
    """Import as the public face does."""
    return voyager.import_labels(repo, path, **options)


def box(repo: Repository, key: str, place: int = 0) -> Any:
    return repo.staged()[key].regions[place].geometry


def conflicts(repo: Repository) -> list[Conflict]:
    return list(iter_conflicts(repo.staged()))


def values(conflict: Conflict) -> tuple[Any, list[Any]]:
    """What it was, and what it may become."""
    terms = conflict.terms
    return (
        decode_field(conflict.path, terms.held),
        [decode_field(conflict.path, term) for term in terms.adds],
    )


def pick(repo: Repository, choice: Choice) -> None:
    resolve(repo, choice)


# -- an edited export -----------------------------------------------------------------------------


def test_one_box_moved_here_and_in_the_file(labeled: Repository, exported: Path) -> None:
    repo = labeled
    own = repo.staged()["a.png"].regions[0].id
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(exported, 9)
    before = everything(repo)
    done = merge(repo, exported)
    assert (done.conflicts, done.staged) == (1, True)
    assert done.as_json()["conflicts"] == 1
    (found,) = conflicts(repo)
    assert (found.key, found.path) == (b"a.png", f"regions/{own.hex()}/geometries/box")
    base, sides = values(found)
    assert base == Box(2, 3, 22, 13) == box(repo, "a.png")
    assert {*sides} == {Box(2, 3, 22, 25), Box(9, 3, 29, 13)}
    undo(repo)
    assert everything(repo) == before
    assert running_merge(repo.store) is None


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (OURS, Box(2, 3, 22, 25)),
        (THEIRS, Box(9, 3, 29, 13)),
        (BASE, Box(2, 3, 22, 13)),
    ],
)
@pytest.mark.parametrize("commits", [True, False])
def test_the_sides_of_a_conflict_are_known(
    labeled: Repository, exported: Path, choice: Choice, wanted: Box, commits: bool
) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    if commits:
        save(repo)
    move_box(exported, 9)
    merge(repo, exported)
    (found,) = list_conflicts(repo, repo.staged())
    said = [decode_field(found.path, term) for term in found.sides if term is not None]
    assert said == [Box(2, 3, 22, 25), Box(9, 3, 29, 13)]
    with pytest.raises(StateError, match="conflict"):
        save(repo)
    pick(repo, choice)
    assert box(repo, "a.png") == wanted
    refuse_if_merging(repo)  # nothing waits any more
    change(repo, "b.png", split="val")
    made = save(repo)
    assert len(read_commit(repo.store, made).parent_ids) == 1
    assert running_merge(repo.store) is None


def test_recorded_conflicts_know_their_sides(labeled: Repository, coco: Path) -> None:
    from voyager.repo.commit import commit

    repo = labeled
    of = repo.head.commit
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(coco, 9)
    merge(repo, coco)
    made = commit(repo, "", allow_conflicts=True)
    _, second = read_commit(repo.store, made.commit).parent_ids
    assert read_commit(repo.store, second).parent_ids == [of]
    assert read_commit(repo.store, second).message == "edits of labels.json"
    assert box(repo, "a.png") == Box(2, 3, 22, 13)
    pick(repo, THEIRS)
    assert box(repo, "a.png") == Box(9, 3, 29, 13)


def test_edits_apart_come_together(labeled: Repository, exported: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 1, geometries={"box": Box(30, 20, 42, 38)})
    change(repo, "b.png", split="val")
    save(repo)
    change(repo, "c.png", regions=())  # and something that is only staged
    move_box(exported, 9)
    done = merge(repo, exported)
    assert (done.conflicts, done.updated) == (0, 1)
    assert box(repo, "a.png") == Box(9, 3, 29, 13)
    assert box(repo, "a.png", 1) == Box(30, 20, 42, 38)
    assert repo.staged()["b.png"].split == "val"
    assert repo.staged()["c.png"].regions == ()
    assert running_merge(repo.store) is None
    assert not merge(repo, exported).staged
    undo(repo)
    assert box(repo, "a.png") == Box(2, 3, 22, 13)
    assert repo.staged()["c.png"].regions == ()


def test_without_edits_here_it_is_what_it_was(labeled: Repository, exported: Path) -> None:
    repo = labeled
    move_box(exported, 9)
    form = "coco" if exported.suffix == ".json" else "jsonl"
    take(repo, exported, form)
    plain = everything(repo)
    undo(repo)
    merge(repo, exported)
    assert everything(repo) == plain


def test_no_edit_changes_nothing_whatever_was_done_here(
    labeled: Repository, exported: Path
) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)}, labels=())
    move(repo, ["b.png"], "new/b.png")
    with repo.edit("c goes") as edit:
        del edit["c.png"]
    save(repo)
    before = everything(repo)
    done = merge(repo, exported)
    assert (done.staged, done.conflicts) == (False, 0)
    assert everything(repo) == before


def test_the_same_edits_again_change_nothing(labeled: Repository, exported: Path) -> None:
    move_box(exported, 6)
    assert merge(labeled, exported).updated == 1
    save(labeled)
    before = everything(labeled)
    for dry_run in (True, False):
        again = merge(labeled, exported, dry_run=dry_run)
        assert (again.added, again.updated, again.regions_changed, again.staged) == (0, 0, 0, False)
        assert again.unchanged == 3
    assert everything(labeled) == before


def test_corrections_that_agree_are_one(labeled: Repository, coco: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(12, 3, 32, 13)})
    save(repo)
    move_box(coco, 12.2)  # two tenths apart after both moved it by ten
    assert merge(repo, coco).conflicts == 0
    assert box(repo, "a.png") in (Box(12, 3, 32, 13), Box(12.2, 3, 32.2, 13))


def test_a_region_removed_here_and_changed_there(labeled: Repository, coco: Path) -> None:
    repo = labeled
    first, second = repo.staged()["a.png"].regions
    change(repo, "a.png", regions=(second,))
    save(repo)
    move_box(coco, 9)
    assert merge(repo, coco).conflicts == 1
    (found,) = conflicts(repo)
    base, sides = values(found)
    assert base == first
    assert None in sides
    assert [each.geometry for each in sides if each is not None] == [Box(9, 3, 29, 13)]
    pick(repo, OURS)
    assert repo.staged()["a.png"].regions == (second,)


def test_a_region_changed_here_and_removed_there(labeled: Repository, coco: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    edit_coco(coco, lambda value: value["annotations"].pop(0))
    assert merge(repo, coco).conflicts == 1
    pick(repo, THEIRS)
    assert [each.geometry for each in repo.staged()["a.png"].regions] == [Box(30, 20, 42, 34)]


def test_both_relabelled(labeled: Repository, coco: Path) -> None:
    repo = labeled
    with repo.edit("a class") as edit:
        bird = edit.vocabulary.category("category", "bird")
    region = repo.staged()["a.png"].regions[0]
    ours = region.labels[0].replace(node=bird)
    changed_region(repo, "a.png", 0, labels=(ours,))
    edit_coco(coco, lambda value: value["annotations"][0].update(category_id=2))
    assert merge(repo, coco).conflicts == 1
    (found,) = conflicts(repo)
    assert found.path == f"regions/{region.id.hex()}/labels/category/human:ann"
    base, sides = values(found)
    dog = repo.staged()["a.png"].regions[1].labels[0].node
    assert base == region.labels[0]
    assert {label.node for label in sides} == {bird, dog}
    pick(repo, THEIRS)
    assert repo.staged()["a.png"].regions[0].labels[0].node == dog


def test_a_sample_removed_here_and_changed_there(labeled: Repository, coco: Path) -> None:
    repo = labeled
    with repo.edit("a goes") as edit:
        del edit["a.png"]
    move_box(coco, 9)
    assert merge(repo, coco).conflicts == 1
    (found,) = conflicts(repo)
    assert found.path == "sample"
    pick(repo, OURS)
    assert "a.png" not in repo.staged()


def test_samples_that_moved_since_are_followed(labeled: Repository, coco: Path) -> None:
    repo = labeled
    move(repo, ["a.png"], "new/a.png")
    save(repo)
    move_box(coco, 9)
    assert merge(repo, coco).conflicts == 0
    assert box(repo, "new/a.png") == Box(9, 3, 29, 13)
    assert "a.png" not in repo.staged()


def test_a_class_renamed_here_keeps_its_name(labeled: Repository, coco: Path) -> None:
    repo = labeled
    move_classes(repo, ["category/cat"], "category/kitten")
    save(repo)
    edit_coco(coco, lambda value: value["annotations"][1].update(category_id=1))
    assert merge(repo, coco).conflicts == 0
    vocabulary = repo.staged().vocabulary
    said = [vocabulary.word(r.labels[0]) for r in repo.staged()["a.png"].regions]
    assert said == ["kitten", "kitten"]


def test_new_images_are_laid_out(labeled: Repository, coco: Path, tmp_path: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 1, geometries={"box": Box(30, 20, 42, 38)})
    save(repo)
    photo(coco.parent, "d.png")

    def add(value: Any) -> None:
        row = {"id": 9, "file_name": "d.png", "width": 64, "height": 48}
        value["images"].append(row)
        value["annotations"].append(
            {"id": 99, "image_id": 9, "category_id": 1, "bbox": [1, 2, 3, 4]}
        )

    edit_coco(coco, add)
    done = merge(repo, coco)
    assert (done.added, done.conflicts) == (1, 0)
    assert (repo.tree() / "d.png").read_bytes() == (coco.parent / "d.png").read_bytes()
    undo(repo)
    assert not (repo.tree() / "d.png").exists()


def test_a_base_by_revision(labeled: Repository, coco: Path) -> None:
    repo = labeled
    base = repo.head.commit
    assert base is not None
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(coco, 9)
    for record in coco.parent.glob("*vgr-export.json"):
        record.unlink()
    assert merge(repo, coco, base=base.hex()).conflicts == 1


# -- a newer file from elsewhere ------------------------------------------------------------------


@pytest.fixture
def newer(repo: Repository, tmp_path: Path) -> Path:
    """A file that was imported and committed."""
    made = Coco("cat", "dog")
    photo(tmp_path / "source", "a.png")
    image = made.image("a.png")
    made.box(image, 2, 3, 20, 10, category=1)
    made.box(image, 30, 20, 12, 14, category=2)
    path = made.write(tmp_path / "source" / "labels.json")
    merge(repo, path)
    save(repo)
    return path


def test_a_newer_file_and_an_edit_here(repo: Repository, newer: Path) -> None:
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)

    def work(value: Any) -> None:
        value["annotations"][0]["bbox"] = [9, 3, 20, 10]
        value["annotations"][1]["category_id"] = 1

    edit_coco(newer, work)
    before = everything(repo)
    with pytest.raises(StateError, match=r"a\.png regions/\w{8}/geometries/box"):
        merge(repo, newer, strict=True)
    assert merge(repo, newer, dry_run=True).conflicts == 1
    assert everything(repo) == before
    done = merge(repo, newer)
    assert (done.conflicts, done.updated) == (1, 1)
    (found,) = conflicts(repo)
    base, sides = values(found)
    assert base == Box(2, 3, 22, 13)
    assert {*sides} == {Box(2, 3, 22, 25), Box(9, 3, 29, 13)}
    cat, other = (r.labels[0].node for r in repo.staged()["a.png"].regions)
    assert cat == other  # what only the file changed is there
    pick(repo, OURS)
    assert box(repo, "a.png") == Box(2, 3, 22, 25)
    save(repo)
    assert not merge(repo, newer).staged  # the same file again has nothing new to say
    assert box(repo, "a.png") == Box(2, 3, 22, 25)


@pytest.mark.parametrize(("choice", "x"), [(OURS, None), (THEIRS, 9)])
def test_a_newer_file_changes_what_was_removed_here(
    repo: Repository, newer: Path, choice: Choice, x: int | None
) -> None:
    change(repo, "a.png", regions=repo.staged()["a.png"].regions[1:])
    edit_coco(newer, lambda value: value["annotations"][0].update(bbox=[9, 3, 20, 10]))
    assert merge(repo, newer).conflicts == 1
    pick(repo, choice)
    found = [each.geometry for each in repo.staged()["a.png"].regions]
    assert (Box(9, 3, 29, 13) in found) is (x is not None)
    assert Box(30, 20, 42, 34) in found
    assert count_conflicts(repo.staged()) == 0


def test_a_newer_file_takes_out_what_was_changed_here(repo: Repository, newer: Path) -> None:
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    edit_coco(newer, lambda value: value["annotations"].pop(0))
    assert merge(repo, newer).conflicts == 1
    pick(repo, OURS)
    assert box(repo, "a.png") == Box(2, 3, 22, 25)


# -- deciding, refusing ---------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["coco", "newer"])
@pytest.mark.parametrize(("how", "x"), [("theirs", 9), ("ours", 2)])
def test_strategies_decide(
    repo: Repository, fixture: str, how: str, x: int, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(fixture)
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(path, 9)
    done = merge(repo, path, strategies=[how])
    assert done.conflicts == 0
    assert box(repo, "a.png").x0 == x
    assert running_merge(repo.store) is None


def test_an_unknown_strategy_is_refused(labeled: Repository, coco: Path) -> None:
    with pytest.raises(UsageError, match="'their' is no strategy"):
        merge(labeled, coco, strategies=["their"])


def test_strict_refuses_and_a_dry_run_tells(labeled: Repository, exported: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(exported, 9)
    before = everything(repo)
    with pytest.raises(StateError, match=r"changed both here and in the file.*a\.png regions"):
        merge(repo, exported, strict=True)
    done = merge(repo, exported, dry_run=True)
    assert (done.conflicts, done.staged) == (1, False)
    assert done.view is not None
    assert count_conflicts(done.view) == 1
    assert everything(repo) == before
    assert running_merge(repo.store) is None


def test_a_second_import_waits_for_the_first(labeled: Repository, coco: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    save(repo)
    move_box(coco, 9)
    merge(repo, coco)
    before = everything(repo)
    with pytest.raises(StateError, match="an import is not finished") as caught:
        merge(repo, coco)
    assert caught.value.hint == "vgr conflicts, then vgr commit; or vgr undo"
    assert everything(repo) == before
    pick(repo, THEIRS)
    assert merge(repo, coco).conflicts == 0
    assert box(repo, "a.png") == Box(9, 3, 29, 13)


def test_who_merges_is_handed_in(labeled: Repository, coco: Path) -> None:
    repo = labeled
    changed_region(repo, "a.png", 0, geometries={"box": Box(2, 3, 22, 25)})
    move_box(coco, 9)
    with pytest.raises(StateError, match="changed both here and in the file"):
        take(repo, coco)
    done = take(repo, coco, merge=lambda: Edits(["theirs"]))
    assert isinstance(done.merged, Merged)
    assert done.merged.resolved == {"regions": 1}
