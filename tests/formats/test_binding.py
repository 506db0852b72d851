"""Bound label files: in step with HEAD whatever moves it, and never overwritten while edited."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from label_repos import Coco, changed_region, photo, save, take, words

import voyager
from voyager.errors import ExistsError, InvalidDataError, NotFoundError, StateError, UsageError
from voyager.formats.binding import attach, bind, unbind
from voyager.repo.add import add
from voyager.repo.bound import BoundFile, bindings
from voyager.repo.commit import commit
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove, restore
from voyager.repo.stash import apply, find_stash, push
from voyager.repo.status import status
from voyager.repo.switch import reset, switch, switch_to_new
from voyager.repo.undo import undo
from voyager.repo.working_version import working_version
from voyager.schema import Box, Mask
from voyager.store.ids import Kind
from voyager.store.refs import Head

Mover = Callable[[Path, float], None]


def move_in_coco(path: Path, x: float) -> None:
    """Move the first box of the file to another place."""
    value = json.loads(path.read_text())
    value["annotations"][0]["bbox"][0] = x
    path.write_text(json.dumps(value))


def move_in_jsonl(path: Path, x: float) -> None:
    header, first, *others = path.read_text().splitlines()
    value = json.loads(first)
    corners = value["regions"][0]["geometries"]["box"]["xyxy"]
    corners[0], corners[2] = x, x + 10
    path.write_text("\n".join([header, json.dumps(value), *others]) + "\n")


def move_in_csv(path: Path, x: float) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    rows[0]["x0"], rows[0]["x1"] = str(x), str(x + 10)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


FORMS: dict[str, tuple[str, Mover]] = {
    "coco": ("labels.json", move_in_coco),
    "jsonl": ("labels.jsonl", move_in_jsonl),
    "table": ("labels.csv", move_in_csv),
}


class Bench:
    """A repository of two commits with a bound file: in the second the first box is at 4."""

    def __init__(self, repo: Repository, form: str) -> None:
        self.repo = repo
        self.form = form
        self.name, self._move = FORMS[form]
        root = repo.tree()
        photo(root, "a.jpg")
        photo(root, "b.jpg")
        coco = Coco("cat", "dog")
        first = coco.image("a.jpg")
        coco.box(first, 3, 2, 10, 10)
        coco.box(first, 20, 20, 10, 10, 2)
        coco.box(coco.image("b.jpg"), 5, 5, 9, 9)
        source = coco.write(root / "source.json")
        take(repo, source)
        source.unlink()
        save(repo, "one")
        changed_region(repo, "a.jpg", 0, geometries={"box": Box(4.0, 2.0, 14.0, 12.0)})
        save(repo, "two")
        bind(repo, self.name, form)

    @property
    def path(self) -> Path:
        return self.repo.tree() / self.name

    def edit(self, x: float) -> bytes:
        """Move the first box of the file; its bytes then."""
        self._move(self.path, x)
        return self.path.read_bytes()

    def stand(self) -> BoundFile:
        """How the file stands."""
        (found,) = status(self.repo).bound
        return found

    @property
    def state(self) -> str:
        return self.stand().state

    def add(self) -> None:
        add(self.repo, [self.name], cwd=self.repo.tree())

    def here(self) -> float:
        """Where the first box is staged."""
        return self.repo.staged()["a.jpg"].regions[0].geometries["box"].x0  # type: ignore[union-attr]

    def there(self, revision: str = "HEAD") -> float:
        return self.repo.at(revision)["a.jpg"].regions[0].geometries["box"].x0  # type: ignore[union-attr]

    def in_file(self) -> float:
        """Where the file has the first box."""
        text = self.path.read_text()
        if self.form == "coco":
            return json.loads(text)["annotations"][0]["bbox"][0]
        if self.form == "table":
            return float(next(csv.DictReader(io.StringIO(text)))["x0"])
        line = json.loads(text.splitlines()[1])
        return line["regions"][0]["geometries"]["box"]["xyxy"][0]


@pytest.fixture(params=FORMS)
def bench(repo: Repository, request: pytest.FixtureRequest) -> Bench:
    return Bench(repo, request.param)


@pytest.fixture
def coco(repo: Repository) -> Bench:
    return Bench(repo, "coco")


# -- binding --------------------------------------------------------------------------------------


def test_a_bound_file_is_written_and_no_file_of_the_dataset(bench: Bench) -> None:
    assert bench.in_file() == 4
    assert bench.state == "in step"
    found = status(bench.repo)
    assert (found.untracked, found.clean) == ([], True)
    add(bench.repo, ["."], cwd=bench.repo.tree(), all=True)
    add(bench.repo, [bench.name], cwd=bench.repo.tree())
    assert not bench.repo.staged().count("files")
    assert status(bench.repo).nothing_staged


def test_writing_is_deterministic(bench: Bench) -> None:
    before = bench.path.read_bytes()
    restore(bench.repo, [bench.name])
    assert bench.path.read_bytes() == before


def test_an_ignored_file_can_be_bound_and_added(coco: Bench) -> None:
    (coco.repo.tree() / ".vgrignore").write_text("*.json\n")
    coco.edit(5)
    coco.add()
    assert coco.here() == 5


def test_bindings_are_undone(coco: Bench) -> None:
    undo(coco.repo)
    assert bindings(coco.repo) == {}
    assert coco.path.exists()
    undo(coco.repo, coco.repo.store.last_seq())
    attach(coco.repo)
    assert coco.state == "in step"


def test_unbound_it_stays_and_is_untracked(coco: Bench) -> None:
    unbind(coco.repo, coco.name)
    assert coco.repo.follower is None
    found = status(coco.repo)
    assert (found.bound, found.untracked) == ([], [coco.name])
    with pytest.raises(NotFoundError, match="not bound"):
        unbind(coco.repo, coco.name)


def test_a_file_that_says_something_else_is_not_replaced(coco: Bench) -> None:
    unbind(coco.repo, coco.name)
    bind(coco.repo, coco.name, "coco")  # it is in step
    unbind(coco.repo, coco.name)
    kept = coco.edit(6)
    with pytest.raises(ExistsError, match="says something else"):
        bind(coco.repo, coco.name, "coco")
    assert coco.path.read_bytes() == kept
    bind(coco.repo, coco.name, "coco", force=True)
    assert coco.in_file() == 4


def test_only_what_can_be_bound(coco: Bench) -> None:
    repo = coco.repo
    with pytest.raises(UsageError, match="no format of one file"):
        bind(repo, "labels.xml", "voc")
    with pytest.raises(UsageError, match="no extension"):
        bind(repo, "labels", "coco")
    with pytest.raises(UsageError, match="no setting 'x'"):
        bind(repo, "other.json", "coco", settings={"x": "1"})
    (repo.tree() / "notes.txt").write_text("notes")
    add(repo, ["notes.txt"], cwd=repo.tree())
    with pytest.raises(StateError, match="is tracked"):
        bind(repo, "notes.txt", "table")


def test_only_some_samples(repo: Repository) -> None:
    Bench(repo, "coco")
    bind(repo, "few.json", "coco", where="key = 'b.jpg'")
    few = json.loads((repo.tree() / "few.json").read_text())
    assert [image["file_name"] for image in few["images"]] == ["b.jpg"]
    few["annotations"][0]["category_id"] = 2
    (repo.tree() / "few.json").write_text(json.dumps(few))
    add(repo, ["few.json"], cwd=repo.tree())
    assert words(repo, "b.jpg") == ["dog"]
    assert words(repo, "a.jpg") == ["cat", "dog"]
    save(repo, "few")
    assert [one.state for one in status(repo).bound] == ["in step", "in step"]


def test_before_there_is_a_commit(repo: Repository) -> None:
    photo(repo.tree(), "a.jpg")
    coco = Coco("cat")
    coco.box(coco.image("a.jpg"), 1, 2, 10, 10)
    take(repo, coco.write(repo.tree() / "source.json"))
    bind(repo, "labels.json", "coco")
    assert [one.state for one in status(repo).bound] == ["added"]
    move_in_coco(repo.tree() / "labels.json", 7)
    add(repo, ["labels.json"], cwd=repo.tree())
    save(repo, "one")
    assert repo.at("HEAD")["a.jpg"].regions[0].geometries["box"] == Box(7.0, 2.0, 17.0, 12.0)
    assert [one.state for one in status(repo).bound] == ["in step"]


def test_an_opened_repository_follows(coco: Bench) -> None:
    root = coco.repo.tree()
    coco.repo.close()
    with voyager.open(root) as repo:
        reset(repo, repo.resolve("HEAD~1"), "hard")
        assert coco.in_file() == 3
        with repo.edit(message="by program") as edit:
            region = edit["a.jpg"].regions[0].replace(geometries={"box": Box(8.0, 2.0, 18.0, 12.0)})
            sample = edit["a.jpg"]
            edit["a.jpg"] = sample.replace(regions=(region, *sample.regions[1:]))
        assert coco.in_file() == 8
        assert [one.state for one in status(repo).bound] == ["in step"]


# -- edits ----------------------------------------------------------------------------------------


def test_edits_are_told_in_words_of_labels(bench: Bench) -> None:
    bench.edit(5)
    found = bench.stand()
    assert found.state == "edited"
    assert found.stat is not None
    assert found.stat.summary()["region"] == {"moved": 1}
    assert not status(bench.repo).clean
    assert status(bench.repo).nothing_staged  # looking stages nothing


def test_edits_are_added_committed_and_written_anew(bench: Bench) -> None:
    kept = bench.edit(5)
    bench.add()
    assert bench.here() == 5
    assert bench.there() == 4
    assert bench.state == "added"
    assert bench.path.read_bytes() == kept
    commit(bench.repo, "moved")
    assert (bench.there(), bench.in_file(), bench.state) == (5, 5, "in step")


def test_edited_again_after_it_was_added(bench: Bench) -> None:
    bench.edit(5)
    bench.add()
    bench.edit(6)
    assert bench.stand().stat.summary()["region"] == {"moved": 1}  # type: ignore[union-attr]
    bench.add()
    assert bench.here() == 6
    assert bench.state == "added"


def test_another_layout_is_no_edit(coco: Bench) -> None:
    coco.path.write_text(json.dumps(json.loads(coco.path.read_text()), indent=8))
    assert coco.state == "in step"
    switch(coco.repo, Head(None, coco.repo.resolve("HEAD~1")))
    assert coco.in_file() == 3


def test_labels_and_edits_of_other_regions_come_together(bench: Bench) -> None:
    changed_region(bench.repo, "a.jpg", 1, geometries={"box": Box(25.0, 20.0, 35.0, 30.0)})
    bench.edit(5)
    bench.add()
    boxes = [region.geometries["box"] for region in bench.repo.staged()["a.jpg"].regions]
    assert boxes == [Box(5.0, 2.0, 15.0, 12.0), Box(25.0, 20.0, 35.0, 30.0)]


def test_what_changed_here_and_in_the_file_is_refused(bench: Bench) -> None:
    changed_region(bench.repo, "a.jpg", 0, geometries={"box": Box(6.0, 2.0, 16.0, 12.0)})
    kept = bench.edit(5)
    assert bench.state == "conflict"
    with pytest.raises(StateError, match="changed both here and in the file"):
        bench.add()
    assert bench.here() == 6
    assert bench.path.read_bytes() == kept


def test_a_half_saved_file_loses_nothing(bench: Bench) -> None:
    text = bench.path.read_bytes()
    bench.path.write_bytes(text[: len(text) * 2 // 3])
    broken = bench.path.read_bytes()
    if bench.form == "table":  # half of one is one, but for a quote that does not end
        broken = b'image,x0\n"a.jpg'
        bench.path.write_bytes(broken)
    assert bench.state == "unreadable"
    assert bench.stand().reason
    with pytest.raises(StateError, match="would overwrite edits"):
        switch(bench.repo, Head(None, bench.repo.resolve("HEAD~1")))
    with pytest.raises(InvalidDataError, match="was not added"):
        bench.add()
    (bench.repo.tree() / "new.txt").write_text("new")
    done = add(bench.repo, ["."], cwd=bench.repo.tree())
    assert [key for key, _ in done.skipped] == [bench.name]
    assert done.added == 1
    with pytest.raises(StateError, match="cannot be put aside"):
        push(bench.repo)
    commit(bench.repo, "notes")
    assert bench.path.read_bytes() == broken
    restore(bench.repo, [bench.name])
    assert bench.state == "in step"


def test_an_image_left_out_of_the_file_stays(coco: Bench) -> None:
    value = json.loads(coco.path.read_text())
    value["images"].pop()
    value["annotations"].pop()
    coco.path.write_text(json.dumps(value))
    found = coco.stand()
    assert (found.state, found.missing) == ("in step", 1)
    coco.add()
    assert "b.jpg" in coco.repo.staged()


def test_the_diff_of_files_shows_edits(bench: Bench) -> None:
    bench.edit(5)
    version, skipped = working_version(bench.repo)
    assert skipped == []
    assert version["a.jpg"].regions[0].geometries["box"].x0 == 5  # type: ignore[union-attr]
    assert bench.here() == 4


def test_a_new_class_and_a_new_image(coco: Bench) -> None:
    photo(coco.repo.tree(), "c.jpg")
    value = json.loads(coco.path.read_text())
    value["categories"].append({"id": 9, "name": "bird"})
    value["images"].append({"id": 9, "file_name": "c.jpg", "width": 64, "height": 48})
    box = {"id": 99, "image_id": 9, "category_id": 9, "bbox": [1, 1, 5, 5], "iscrowd": 0}
    value["annotations"].append(box)
    coco.path.write_text(json.dumps(value))
    assert coco.stand().stat.summary()["class"] == {"added": 1}  # type: ignore[union-attr]
    coco.add()
    assert words(coco.repo, "c.jpg") == ["bird"]
    commit(coco.repo, "bird")
    assert coco.state == "in step"
    assert "c.jpg" in coco.path.read_text()


def test_what_people_said_is_corrected(coco: Bench) -> None:
    sample = coco.repo.staged()["a.jpg"]
    said = tuple(label.replace(source="human") for label in sample.regions[0].labels)
    changed_region(coco.repo, "a.jpg", 0, labels=said)
    save(coco.repo, "said by people")
    value = json.loads(coco.path.read_text())
    value["annotations"][0]["category_id"] = value["categories"][1]["id"]
    coco.path.write_text(json.dumps(value))
    coco.add()
    assert words(coco.repo, "a.jpg") == ["dog", "dog"]


def test_a_mask_in_a_blob_can_be_looked_at_before_it_is_stored(repo: Repository) -> None:
    bench = Bench(repo, "coco")
    photo(repo.tree(), "big.png", 1500, 1200)
    add(repo, ["big.png"], cwd=repo.tree())
    save(repo, "big")
    value = json.loads(bench.path.read_text())
    image = next(image for image in value["images"] if image["file_name"] == "big.png")
    dots = [1] * (1500 * 1200)  # as many runs as there are pixels
    value["annotations"].append(
        {
            "id": 77,
            "image_id": image["id"],
            "category_id": 1,
            "iscrowd": 1,
            "segmentation": {"size": [1200, 1500], "counts": dots},
        }
    )
    bench.path.write_text(json.dumps(value))
    assert bench.stand().stat.summary()["region"] == {"added": 1}  # type: ignore[union-attr]
    version, _ = working_version(repo)
    (region,) = version["big.png"].regions
    mask = region.geometry
    assert isinstance(mask, Mask)
    assert mask.blob_id is not None
    assert version.objects.get(mask.blob_id, Kind.BLOB)
    assert mask.blob_id not in repo.store


def test_a_task_of_another_name(repo: Repository) -> None:
    photo(repo.tree(), "a.jpg")
    coco = Coco("cat", "dog")
    coco.box(coco.image("a.jpg"), 1, 2, 10, 10)
    take(repo, coco.write(repo.tree() / "source.json"), task="animal")
    save(repo, "one")
    path = repo.tree() / "labels.json"
    bind(repo, path.name, "coco")
    value = json.loads(path.read_text())
    value["annotations"][0]["category_id"] = value["categories"][1]["id"]
    path.write_text(json.dumps(value))
    add(repo, [path.name], cwd=repo.tree())
    assert words(repo, "a.jpg") == ["dog"]
    assert list(repo.staged().vocabulary.tasks) == ["animal"]


def test_a_sample_that_was_renamed_or_removed_since(bench: Bench) -> None:
    bench.edit(5)
    move(bench.repo, ["a.jpg"], "c.jpg")
    remove(bench.repo, ["b.jpg"])
    assert bench.stand().stat.summary()["region"] == {"moved": 1}  # type: ignore[union-attr]
    bench.add()
    staged = bench.repo.staged()
    assert list(staged) == ["c.jpg"]
    assert staged["c.jpg"].regions[0].geometries["box"].x0 == 5  # type: ignore[union-attr]


# -- moves ----------------------------------------------------------------------------------------


def test_switch_and_back(bench: Bench) -> None:
    second = bench.path.read_bytes()
    switch_to_new(bench.repo, "old", "HEAD~1")
    assert (bench.in_file(), bench.state) == (3, "in step")
    switch(bench.repo, Head("main", bench.repo.resolve("main")))
    assert bench.path.read_bytes() == second


def test_switch_refuses_edits_and_force_gives_them_up(bench: Bench) -> None:
    kept = bench.edit(5)
    there = Head(None, bench.repo.resolve("HEAD~1"))
    with pytest.raises(StateError, match="switch would overwrite edits of the bound"):
        switch(bench.repo, there)
    assert bench.path.read_bytes() == kept
    assert bench.there() == 4
    switch_to_new(bench.repo, "here")  # the same labels: edits come along
    assert bench.path.read_bytes() == kept
    assert bench.state == "edited"
    switch(bench.repo, there, force=True)
    assert (bench.in_file(), bench.state) == (3, "in step")


def test_staged_edits_come_along(coco: Bench) -> None:
    value = json.loads(coco.path.read_text())
    value["annotations"][2]["bbox"][0] = 8
    coco.path.write_text(json.dumps(value))
    coco.add()
    switch(coco.repo, Head(None, coco.repo.resolve("HEAD~1")))
    assert coco.in_file() == 3
    assert json.loads(coco.path.read_text())["annotations"][2]["bbox"][0] == 8
    assert coco.state == "added"
    coco.edit(6)
    coco.add()
    assert coco.here() == 6


def test_reset_hard(bench: Bench) -> None:
    bench.edit(5)
    reset(bench.repo, bench.repo.resolve("HEAD"), "hard")
    assert (bench.in_file(), bench.state) == (4, "in step")
    reset(bench.repo, bench.repo.resolve("HEAD~1"), "hard")
    assert (bench.in_file(), bench.state) == (3, "in step")


def test_reset_mixed_keeps_the_file_so_that_labels_can_be_added_again(bench: Bench) -> None:
    reset(bench.repo, bench.repo.resolve("HEAD~1"), "mixed")
    assert (bench.here(), bench.in_file(), bench.state) == (3, 4, "edited")
    bench.add()
    assert bench.here() == 4


def test_reset_soft_keeps_both(bench: Bench) -> None:
    reset(bench.repo, bench.repo.resolve("HEAD~1"), "soft")
    assert (bench.there(), bench.here(), bench.in_file()) == (3, 4, 4)
    assert bench.state == "in step"
    commit(bench.repo, "two again")
    assert (bench.there(), bench.in_file(), bench.state) == (4, 4, "in step")


def test_reset_of_what_was_added_shows_the_edits_again(bench: Bench) -> None:
    bench.edit(5)
    bench.add()
    reset(bench.repo, bench.repo.resolve("HEAD"), "mixed")
    assert (bench.here(), bench.in_file(), bench.state) == (4, 5, "edited")
    bench.add()
    restore(bench.repo, ["."], staged=True, worktree=False)
    assert (bench.here(), bench.in_file(), bench.state) == (4, 5, "edited")


def test_stash_and_pop(bench: Bench) -> None:
    bench.edit(5)
    push(bench.repo)
    assert (bench.here(), bench.in_file(), bench.state) == (4, 4, "in step")
    apply(bench.repo, find_stash(bench.repo), drop=True)
    assert (bench.here(), bench.in_file(), bench.state) == (5, 5, "added")
    bench.edit(6)
    bench.add()
    assert bench.here() == 6
    reset(bench.repo, bench.repo.resolve("HEAD"), "hard")
    assert bench.in_file() == 4


def test_nothing_to_stash(coco: Bench) -> None:
    coco.path.write_text(json.dumps(json.loads(coco.path.read_text()), indent=8))
    with pytest.raises(StateError, match="nothing to stash"):
        push(coco.repo)
    assert coco.state == "in step"


def test_undo(bench: Bench) -> None:
    bench.edit(5)
    bench.add()
    undo(bench.repo)
    assert (bench.here(), bench.in_file(), bench.state) == (4, 5, "edited")
    bench.add()
    commit(bench.repo, "three")
    undo(bench.repo)
    assert (bench.there(), bench.here(), bench.in_file()) == (4, 5, 5)
    assert bench.state == "in step"
    commit(bench.repo, "three")
    switch(bench.repo, Head(None, bench.repo.resolve("HEAD~2")))
    assert bench.in_file() == 3
    undo(bench.repo)
    assert (bench.in_file(), bench.state) == (5, "in step")


def test_commit_of_something_else_leaves_edits(bench: Bench) -> None:
    kept = bench.edit(5)
    changed_region(bench.repo, "b.jpg", 0, geometries={"box": Box(6.0, 5.0, 15.0, 14.0)})
    commit(bench.repo, "b alone")
    assert bench.path.read_bytes() == kept
    assert bench.stand().stat.summary()["region"] == {"moved": 1}  # type: ignore[union-attr]
    bench.add()
    assert bench.here() == 5
    moved = bench.repo.staged()["b.jpg"].regions[0].geometries["box"]
    assert moved == Box(6.0, 5.0, 15.0, 14.0)
    commit(bench.repo, "a too")
    assert (bench.in_file(), bench.state) == (5, "in step")


def test_commit_amend(bench: Bench) -> None:
    bench.edit(5)
    bench.add()
    commit(bench.repo, "", amend=True)
    assert (bench.there(), bench.there("HEAD~1"), bench.in_file()) == (5, 3, 5)
    assert bench.state == "in step"


def test_files_from_another_version(bench: Bench) -> None:
    restore(bench.repo, ["a.jpg"], source="HEAD~1", additive=True)  # checkout HEAD~1 -- a.jpg
    assert (bench.here(), bench.in_file()) == (3, 4)
    commit(bench.repo, "as it was")
    assert (bench.in_file(), bench.state) == (3, "in step")
    restore(bench.repo, [bench.name], source="HEAD~1")
    assert (bench.here(), bench.in_file(), bench.state) == (3, 4, "edited")
    restore(bench.repo, ["."])
    assert (bench.in_file(), bench.state) == (3, "in step")


def test_a_file_that_is_gone(bench: Bench) -> None:
    bench.path.unlink()
    assert bench.state == "gone"
    with pytest.raises(NotFoundError, match="is gone"):
        bench.add()
    restore(bench.repo, ["labels.*"])
    assert bench.in_file() == 4


# -- what is remembered ---------------------------------------------------------------------------


def test_killed_between_the_move_and_the_file(bench: Bench) -> None:
    bench.repo.follower = None  # as if the process had died there
    switch(bench.repo, Head(None, bench.repo.resolve("HEAD~1")))
    attach(bench.repo)
    assert bench.state == "stale"
    restore(bench.repo, [bench.name])
    assert (bench.in_file(), bench.state) == (3, "in step")


def test_edits_of_a_file_of_another_commit(bench: Bench) -> None:
    bench.repo.follower = None
    changed_region(bench.repo, "b.jpg", 0, geometries={"box": Box(6.0, 5.0, 15.0, 14.0)})
    commit(bench.repo, "b alone")
    attach(bench.repo)
    bench.edit(5)
    bench.add()
    assert bench.here() == 5
    moved = bench.repo.staged()["b.jpg"].regions[0].geometries["box"]
    assert moved == Box(6.0, 5.0, 15.0, 14.0)


def test_without_its_cache_a_file_counts_as_of_head(bench: Bench) -> None:
    cache = bench.repo.folder / "cache" / "bound.json"
    cache.unlink()
    assert bench.state == "in step"
    bench.edit(5)
    cache.unlink(missing_ok=True)
    assert bench.state == "edited"
    bench.add()
    cache.write_text("no JSON")
    assert bench.state == "in step"  # what it says is staged
    commit(bench.repo, "moved")
    assert (bench.in_file(), bench.state) == (5, "in step")


def test_what_edits_would_stage_is_remembered_while_nothing_changes(bench: Bench) -> None:
    bench.edit(5)
    first = bench.stand()
    cache = bench.repo.folder / "cache"
    (look,) = cache.glob("bound-look-*")
    written = look.stat().st_mtime_ns
    assert bench.stand().stat.summary() == first.stat.summary()  # type: ignore[union-attr]
    assert look.stat().st_mtime_ns == written
    bench.edit(6)
    bench.stand()
    (second,) = cache.glob("bound-look-*")
    assert second != look
    second.write_bytes(b"broken")
    assert bench.state == "edited"
    changed_region(bench.repo, "a.jpg", 0, geometries={"box": Box(7.0, 2.0, 17.0, 12.0)})
    assert bench.state == "conflict"


def test_a_version_that_cannot_be_written_is_told(coco: Bench) -> None:
    coco.repo.tree().joinpath("sub").mkdir()
    bind(coco.repo, "sub/labels.json", "coco")
    there = coco.repo.tree() / "sub" / "labels.json"
    there.unlink()
    there.parent.rmdir()
    there.parent.write_text("in the way")
    done = switch(coco.repo, Head(None, coco.repo.resolve("HEAD~1")))
    assert [key for key, _ in done.skipped] == ["sub/labels.json"]
    assert coco.in_file() == 3
