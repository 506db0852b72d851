"""Kept columns: however a table came to be, it is the one that its samples make."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from schema_strategies import samples
from table_versions import blood, shop, version_of

import voyager
from voyager.repo import table_frame
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.snapshot import SAMPLES
from voyager.repo.staging import fold_roots, overlay_of
from voyager.repo.table_cache import TableCache
from voyager.repo.table_coding import Kept, decoded
from voyager.repo.table_columns import TABLES
from voyager.repo.table_frame import Frame, forget_frames
from voyager.repo.table_plan import TablePlan
from voyager.repo.table_view import TableView
from voyager.repo.tables import Tables
from voyager.repo.vocabulary import vocabulary_changes
from voyager.schema import Box, Image, Label, Region, Sample, coverage_key, encode_sample
from voyager.schema.taxonomy_merge import merge
from voyager.schema.taxonomy_paths import Place
from voyager.schema.taxonomy_verbs import bury, move
from voyager.schema.vocabulary import Draft, Vocabulary
from voyager.store.objects import MemoryObjects

KEPT = [name for name in TABLES if name != "taxonomy"]
MEASURED = frozenset(("x0", "y0", "x1", "y1", "width", "height", "area"))


def built(version: Dataset, table: str, names: list[str]) -> dict[str, list[Any]]:
    """Columns of a table, made in one pass without anything kept."""
    tables = Tables(version)
    plan = TablePlan(table, tables._answers, {*names, *version.vocabulary.tasks}.__contains__)
    found = tables._reader_of(plan).read_all()
    return {name: found[name].to_pylist() for name in names}


def assert_same_tables(
    version: Dataset, frame: Frame | None = None, without: frozenset[str] = frozenset()
) -> None:
    view = TableView(version, frame=frame)
    wanted = {
        table: [column.name for column in view.columns(table) if column.name not in without]
        for table in KEPT
    }
    view.fetch(wanted)
    for table, names in wanted.items():
        expected = built(version, table, names)
        for name in names:
            found = decoded(view.column(table, name)).to_pylist()
            if name.endswith("classes") and name.startswith("__"):
                assert list(map(set, found)) == list(map(set, expected[name]))
            else:
                assert found == expected[name], (table, name)


@pytest.mark.parametrize("version", [shop, blood], ids=["shop", "blood"])
def test_kept_columns_are_the_columns(version: Any) -> None:
    assert_same_tables(version())


@given(st.lists(samples, max_size=4))
@examples(10, deep=400)
def test_of_any_samples(found: list[Sample]) -> None:
    version = version_of((f"{n}.jpg", sample) for n, sample in enumerate(found))
    assert_same_tables(version, without=MEASURED)  # masks are in no blob here


# -- patched --------------------------------------------------------------------------------------

CLASSES = ("furniture", "furniture/chair", "furniture/stool", "person", "red")
KEYS = ("a.jpg", "b/1.jpg", "b/2.jpg", "c.jpg", "é.jpg")


def vocabulary_of(answers: tuple[str, ...], *, many: bool) -> Draft:
    draft = Draft(Vocabulary())
    for path in CLASSES:
        draft.mint_path("category", path)
    draft.put_task("category", draft.define("category").replace(answer=answers, many=many))
    draft.define("caption", kind="text")
    draft.define("count", kind="number", scope="region")
    return draft


NODES = [vocabulary_of((), many=False).find("category", path) for path in CLASSES]
said = st.one_of(
    st.builds(
        Label,
        task=st.sampled_from(["category", "nobody's"]),
        node=st.sampled_from(NODES),
        source=st.sampled_from(["human", "human:bo", "model:yolo", "import"]),
        state=st.sampled_from(["accepted", "verified", "rejected", "proposed"]),
        score=st.none() | st.sampled_from([0.25, 1.0]),
    ),
    st.builds(
        Label,
        task=st.just("caption"),
        value=st.text("ab\0nt", max_size=2),
        ordinal=st.none() | st.sampled_from([0, 1]),
    ),
    st.builds(Label, task=st.just("count"), value=st.sampled_from([0.0, 1.5])),
)
labels = st.lists(said, max_size=3).map(tuple)
regions = st.builds(
    lambda n, x, labels: Region(
        id=bytes(15) + bytes([n]), geometries={"box": Box(x, 0, x + 4, 5)}, labels=labels
    ),
    st.integers(0, 255),
    st.integers(0, 9),
    labels,
)
values = st.one_of(st.booleans(), st.integers(-3, 2**63), st.sampled_from([0.5, 2.0, "x", "1", []]))
edited = st.builds(
    Sample,
    uid=st.binary(min_size=16, max_size=16),
    image=st.builds(Image, uri=st.just("x"), width=st.sampled_from([4, 5])),
    split=st.sampled_from([None, "train", "val"]),
    labels=labels,
    regions=st.lists(regions, max_size=3).map(tuple),
    meta=st.dictionaries(st.sampled_from(["price", "Price", "tags"]), values, max_size=3),
    negatives=st.dictionaries(
        st.just("category"), st.lists(st.sampled_from(NODES), max_size=2).map(tuple), max_size=1
    ),
    coverage=st.dictionaries(
        st.sampled_from(["category", *(coverage_key("category", node) for node in NODES)]),
        st.sampled_from(["partial", "exhaustive"]),
        max_size=2,
    ),
)
versions = st.dictionaries(st.sampled_from(KEYS), edited, max_size=4)


@st.composite
def vocabularies(draw: st.DrawFn) -> Draft:
    """The classes, as they are or after one was renamed, merged into another or removed."""
    voices = st.sampled_from([(), ("model", "human"), ("verified-human",)])
    draft = vocabulary_of(draw(voices), many=draw(st.booleans()))
    verb = draw(st.sampled_from(["none", "rename", "merge", "bury"]))
    if verb == "rename":
        move(draft, ["category/furniture/chair"], "category/furniture/armchair")
    elif verb == "merge":
        merge(draft, ["category/furniture/stool"], "category/person")
    elif verb == "bury":
        node = draft.find("category", "furniture")
        bury(draft, [Place("category", node)], recursive=True)
    return draft


def roots_of(objects: MemoryObjects, found: dict[str, Sample], draft: Draft) -> dict[str, bytes]:
    rows = [(SAMPLES, key.encode(), encode_sample(sample)) for key, sample in found.items()]
    return fold_roots(objects, {}, overlay_of([*rows, *vocabulary_changes(draft)]))


@given(versions, versions, st.sets(st.sampled_from(KEYS)), vocabularies(), vocabularies())
@examples(15, deep=1000)
def test_a_patched_table_is_the_one_built(
    old: dict[str, Sample], new: dict[str, Sample], kept: set[str], was: Draft, now: Draft
) -> None:
    """Whatever is added, removed, renamed, edited, and whatever becomes of classes and tasks."""
    objects = MemoryObjects()
    new = {**new, **{key: sample for key, sample in old.items() if key in kept}}
    before = Dataset(objects, roots_of(objects, old, was))
    after = Dataset(objects, roots_of(objects, new, now))
    first = Frame(before)
    assert_same_tables(before, first)
    assert_same_tables(after, Frame(after, near=[first]))
    changes = {SAMPLES: {**dict.fromkeys(old), **new}}
    rows = [
        (SAMPLES, key.encode(), None if sample is None else encode_sample(sample))
        for key, sample in changes[SAMPLES].items()
    ]
    staged = Dataset(objects, before.roots, overlay_of(rows))
    assert_same_tables(staged)


# -- counted and kept on disk ---------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Forty samples in three commits, each of which changed one."""
    monkeypatch.setattr(table_frame, "LEAST_KEPT", 0)
    forget_frames()
    with voyager.init(tmp_path / "repo", worktree=False) as made:
        with made.edit("all") as edit:
            edit.vocabulary.define("category")
            for n in range(40):
                edit[f"{n:02}.jpg"] = sample_of(n, edit.vocabulary.category("category", "chair"))
        for n in (7, 8):
            with made.edit("one") as edit:
                edit[f"{n:02}.jpg"] = edit[f"{n:02}.jpg"].replace(split="test")
        yield made
    forget_frames()


def sample_of(n: int, node: bytes) -> Sample:
    region = Region(
        id=bytes([n]) * 16,
        geometries={"box": Box(n, n, n + 9, n + 9)},
        labels=(Label(task="category", node=node),),
    )
    return Sample(uid=bytes([n]) * 16, image=Image(uri="x"), split="train", regions=(region,))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of all rows that are decoded for columns."""
    seen: list[str] = []
    build = table_frame.build_units

    def noting(rows: Any, *rest: Any, **options: Any) -> Any:
        found = list(rows)
        seen.extend(key.decode() for key, _ in found)
        return build(iter(found), *rest, **options)

    monkeypatch.setattr(table_frame, "build_units", noting)
    return seen


def splits(version: Dataset) -> list[str]:
    return decoded(TableView(version).read("samples", ["split"])["split"].chunk(0)).to_pylist()


def test_a_commit_reads_what_it_changed(repo: Repository, read: list[str]) -> None:
    assert splits(repo.at("HEAD~1")).count("test") == 1
    assert len(read) == 40
    read.clear()
    assert splits(repo.at("HEAD")).count("test") == 2
    assert read == ["08.jpg"]
    assert splits(repo.at("HEAD~2")).count("test") == 0
    assert sorted(set(read)) == ["07.jpg", "08.jpg"]
    read.clear()
    assert splits(repo.at("HEAD")).count("test") == 2
    assert read == []


def test_another_process_reads_nothing(repo: Repository, read: list[str]) -> None:
    splits(repo.at("HEAD"))
    forget_frames()  # as a new process does not know them
    read.clear()
    assert splits(repo.at("HEAD")).count("test") == 2
    assert read == []


def test_what_is_staged_is_patched(repo: Repository, read: list[str]) -> None:
    from voyager.repo.staged_edit import StagedEdit

    splits(repo.at("HEAD"))
    read.clear()
    with StagedEdit(repo, "split") as edit:
        edit["01.jpg"] = edit["01.jpg"].replace(split="val")
    assert splits(repo.staged())[1] == "val"
    assert read == ["01.jpg"]


def test_a_renamed_class_reads_nothing(repo: Repository, read: list[str]) -> None:
    from voyager.repo.taxonomies import move_classes

    def classes() -> set[str]:
        column = TableView(repo.staged()).read("regions", ["category"])["category"]
        return set(decoded(column.chunk(0)).to_pylist())

    assert classes() == {"chair"}
    read.clear()
    move_classes(repo, ["category/chair"], "category/seat")
    assert classes() == {"seat"}
    assert read == []


def files_of(repo: Repository) -> list[Path]:
    return sorted(path for path in (repo.folder / "cache" / "tables").rglob("*") if path.is_file())


@pytest.mark.parametrize("damage", ["cut", "turned", "empty", "gone"])
def test_what_is_damaged_is_made_again(repo: Repository, read: list[str], damage: str) -> None:
    splits(repo.at("HEAD"))
    forget_frames()
    read.clear()
    for path in files_of(repo):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({"cut": data[:-9], "turned": data, "empty": b""}[damage])
    assert splits(repo.at("HEAD")).count("test") == 2
    assert len(read) == 40
    forget_frames()
    assert splits(repo.at("HEAD")).count("test") == 2
    assert len(read) == 40


def test_the_folder_may_go_while_it_is_used(repo: Repository) -> None:
    import shutil

    view = TableView(repo.at("HEAD"))
    view.fetch({"samples": ["split"]})
    forget_frames()
    view = TableView(repo.at("HEAD"))
    view.fetch({"samples": ["split"]})
    shutil.rmtree(repo.folder / "cache" / "tables")
    assert view.column("samples", "split").to_pylist().count("test") == 2
    assert splits(repo.at("HEAD~1")).count("test") == 1


def test_a_full_disk_costs_only_time(repo: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    from voyager.store import files

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "watch", full)
    assert splits(repo.at("HEAD")).count("test") == 2
    monkeypatch.setattr(files, "watch", None)
    assert files_of(repo) == []


def test_what_was_not_used_goes_first(tmp_path: Path) -> None:
    import pyarrow as pa

    column = Kept(pa.array(range(1000)))
    cache = TableCache(tmp_path / "tables", limit=20_000)
    first, second, third = (bytes([n]) * 32 for n in range(3))
    cache.put(first, "x", column)
    cache.put(second, "x", column)
    (tmp_path / "tables" / "0-old").mkdir()
    for age, path in enumerate(sorted((tmp_path / "tables").iterdir())):
        os.utime(path, (age, age))
    assert cache.get(first, "x") == column  # used again
    cache.put(third, "x", column)
    assert set(cache.roots()) == {first, third}
    assert not (tmp_path / "tables" / "0-old").exists()
    assert cache.get(second, "x") is None


def test_codes_that_nothing_says_are_dropped(repo: Repository) -> None:
    """A thousand captions come and go, one commit each; the list of words does not grow on."""
    import pyarrow as pa

    from voyager.repo.table_coding import Piece, patched

    column = Kept(pa.array([0, 0], pa.int32()), pa.array(["a"]))
    for n in range(1100):
        fresh = Kept(pa.array([0], pa.int32()), pa.array([f"caption {n}"]))
        column = patched(column, fresh, [Piece(False, 0, 1), Piece(True, 0, 1)])
    assert column.words is not None
    assert len(column.words) < 1010
    assert [column.words[code].as_py() for code in column.entries.to_pylist()] == [
        "a",
        "caption 1099",
    ]
