"""Blame: where each value became what it is, against the definition of it in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from photo_repos import KEYS, save, say

from voyager.errors import NotFoundError
from voyager.repo.blame import Blamed, blame
from voyager.repo.commit import commit
from voyager.repo.merging import Merging, move_merging
from voyager.repo.repository import Repository
from voyager.repo.rows import move
from voyager.repo.snapshot import SAMPLES, write_snapshot
from voyager.repo.staging import edit_map
from voyager.repo.switch import reset
from voyager.schema import Box, Image, Label, Link, Region, Sample, encode_sample
from voyager.schema.fields import region_path
from voyager.store.history import write_commit

UID, OTHER = bytes(15) + b"\1", bytes(15) + b"\2"
NODE = bytes(15) + b"\3"
PLACES = ["a.jpg", "b.jpg", "c/d.jpg"]
REGIONS = [bytes(15) + bytes([number]) for number in (7, 8)]

Fields = dict[str, object]
"""What a sample of the model holds: field → value, None where it is absent."""


# -- the model ------------------------------------------------------------------------------------

FIELDS: dict[str, Sequence[object]] = {
    "key": PLACES,
    "split": [None, "train", "val"],
    "price": [None, 1, 2],
    "note": [None, ("red", "accepted", None), ("red", "verified", None), ("red", "accepted", 0.5)],
    "box 0": [None, 1.0, 2.0],
    "said 0": [None, "x", "y"],
    "crowd 0": [None, True],
    "box 1": [None, 1.0, 2.0],
    "said 1": [None, "x", "y"],
    "crowd 1": [None, True],
    "negative": [None, True],
}


def paths_of(fields: Fields) -> dict[str, object]:
    """Path → value of what a sample of the model has."""
    paths = {
        "key": fields["key"],
        "sample": True,
        "image": True,
        "split": fields["split"],
        "meta/price": fields["price"],
        "labels/note/human": fields["note"],
        f"negatives/kind/{NODE.hex()}": fields["negative"],
    }
    for number, region in enumerate(REGIONS):
        box = fields[f"box {number}"]
        if box is not None:
            paths |= {
                region_path(region): True,
                region_path(region, "state"): "accepted",
                region_path(region, "source"): "human",
                region_path(region, "geometries", "box"): box,
                region_path(region, "labels", "note", "human"): fields[f"said {number}"],
                region_path(region, "flags", "crowd"): fields[f"crowd {number}"],
            }
    return {path: value for path, value in paths.items() if value is not None}


def sample_of(fields: Fields) -> Sample:
    note, price = fields["note"], fields["price"]
    labels = []
    if note is not None:
        value, state, score = note
        labels.append(Label(task="note", value=value, state=state, score=score))
    regions = [
        Region(
            id=region,
            geometries={"box": Box(40 * number, 0, 40 * number + fields[f"box {number}"], 5)},
            labels=[Label(task="note", value=said)] if (said := fields[f"said {number}"]) else (),
            flags=("crowd",) if fields[f"crowd {number}"] else (),
        )
        for number, region in enumerate(REGIONS)
        if fields[f"box {number}"] is not None
    ]
    return Sample(
        uid=UID,
        image=Image(width=10, height=10),
        split=fields["split"],
        meta={} if price is None else {"price": price},
        labels=labels,
        regions=regions,
        negatives={"kind": [NODE]} if fields["negative"] else {},
    )


@dataclass
class Version:
    """A commit of the model: its parents by number, the sample, and where another one lies."""

    parents: list[int]
    fields: Fields | None
    other: str | None = None
    id: bytes = field(default=b"")


@st.composite
def histories(draw: st.DrawFn) -> list[Version]:
    """Commits in order, each made of its parents: fields of any of them, or new ones."""
    versions: list[Version] = []
    for number in range(draw(st.integers(1, 9))):
        count = draw(st.integers(1, 3)) if number else 0
        recent = st.integers(max(0, number - 3), max(0, number - 1))
        parents = draw(st.lists(recent, min_size=min(count, 1), max_size=count, unique=True))
        sources = [versions[at].fields for at in parents]
        known = [fields for fields in sources if fields is not None]
        if known and draw(st.integers(0, 9)):
            fields = {name: draw(st.sampled_from(known))[name] for name in FIELDS}
        else:
            fields = {name: draw(st.sampled_from(values)) for name, values in FIELDS.items()}
        for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=3)):
            fields[name] = draw(st.sampled_from(FIELDS[name]))
        gone = bool(parents) and not draw(st.integers(0, 11))
        free = [key for key in PLACES if gone or key != fields["key"]]
        other = draw(st.sampled_from([None, *free]))
        versions.append(Version(parents, None if gone else fields, other))
    return versions


def to_blame(versions: list[Version], number: int, path: str) -> int:
    """The definition: the first parent with the same value is asked, else it is this commit."""
    here = versions[number].fields
    assert here is not None
    for parent in versions[number].parents:
        before = versions[parent].fields
        if before is not None and paths_of(before).get(path) == paths_of(here)[path]:
            return to_blame(versions, parent, path)
    return number


def write(repo: Repository, versions: list[Version]) -> None:
    with repo.transaction("test") as txn:
        for number, version in enumerate(versions):
            rows: dict[bytes, bytes] = {b"z.jpg": encode_sample(Sample(uid=NODE, image=Image()))}
            if version.fields is not None:
                rows[str(version.fields["key"]).encode()] = encode_sample(sample_of(version.fields))
            if version.other is not None:
                rows[version.other.encode()] = encode_sample(Sample(uid=OTHER, image=Image()))
            root = edit_map(txn, None, sorted(rows.items()))
            version.id = write_commit(
                txn,
                snapshot=write_snapshot(txn, {SAMPLES: root}),
                parents=[versions[at].id for at in version.parents],
                author="Ann <ann@example.org>",
                message=f"{number}",
                time=1000 * number,
                zone=0,
            )
        txn.commit()


@pytest.fixture(scope="module")
def store_repo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    with Repository.init(tmp_path_factory.mktemp("blame"), worktree=False) as repo:
        yield repo


@examples(60, deep=2000)
@given(histories())
def test_every_value_is_of_the_commit_that_the_definition_names(
    store_repo: Repository, versions: list[Version]
) -> None:
    write(store_repo, versions)
    for number, version in enumerate(versions):
        if version.fields is None:
            continue
        found = blame(store_repo, str(version.fields["key"]), version.id.hex())
        assert {one.path: int(one.commit.message) for one in found if one.commit} == {
            path: to_blame(versions, number, path) for path in paths_of(version.fields)
        }
        for one in found:
            then = versions[int(one.commit.message if one.commit else -1)].fields
            assert then is not None and one.key == then["key"]


# -- by hand --------------------------------------------------------------------------------------


def messages(found: list[Blamed]) -> dict[str, str | None]:
    return {one.path: None if one.commit is None else one.commit.message for one in found}


@pytest.fixture
def told(photos_repo: Repository) -> Repository:
    """hat/1.jpg labeled, then renamed."""
    say(photos_repo, KEYS[0], "straw")
    commit(photos_repo, "label")
    move(photos_repo, [KEYS[0]], "caps/one.jpg")
    commit(photos_repo, "move", author="Bo <bo@example.org>")
    return photos_repo


def test_from_python(told: Repository) -> None:
    [note] = [one for one in told.blame("caps/one.jpg") if one.path == "labels/note/human"]
    assert note.value == Label(task="note", value="straw")
    assert (note.key, note.commit and note.commit.message) == (KEYS[0], "label")
    assert messages(told.blame("caps/one.jpg"))["key"] == "move"
    assert messages(told.blame(KEYS[0], "HEAD~1"))["image"] == "first"


def test_what_is_staged(told: Repository) -> None:
    say(told, "caps/one.jpg", "felt")
    found = messages(told.blame("caps/one.jpg"))
    assert found["labels/note/human"] is None
    assert found["image"] == "first"
    assert messages(told.blame("caps/one.jpg", "HEAD"))["labels/note/human"] == "label"


def test_an_unborn_branch(empty_repo: Repository) -> None:
    with pytest.raises(NotFoundError, match=r"no sample or file 'a\.jpg'"):
        empty_repo.blame("a.jpg")


def test_a_running_merge_has_two_parents(told: Repository) -> None:
    labeled = told.resolve("HEAD~1")
    reset(told, told.resolve("HEAD~2"), "soft")  # staged is what was labeled, under another name
    with told.transaction("test") as txn:
        move_merging(txn, told.store, Merging("merge", (labeled,), "join"))
        txn.commit()
    assert messages(told.blame("caps/one.jpg"))["labels/note/human"] == "label"


def test_regions_and_tasks(told: Repository) -> None:
    [region] = told.staged()["caps/one.jpg"].regions
    own = region_path(region.id)
    names = ("state", "source", "geometries/box")
    found = blame(told, "caps/one.jpg", regions=[region.id])
    assert [one.path for one in found] == [own, *(f"{own}/{name}" for name in names)]
    with pytest.raises(NotFoundError, match="no task 'nota'"):
        blame(told, "caps/one.jpg", task="nota")


def test_members_of_sets(told: Repository) -> None:
    link = Link(kind="part-of", region=REGIONS[0], uid=UID)
    with told.edit("link") as edit:
        sample = edit["caps/one.jpg"]
        [region] = sample.regions
        edit["caps/one.jpg"] = sample.replace(regions=[region.replace(links=(link,))])
    with told.edit("flag") as edit:
        sample = edit["caps/one.jpg"]
        [region] = sample.regions
        edit["caps/one.jpg"] = sample.replace(regions=[region.replace(flags=("crowd",))])
    found = messages(told.blame("caps/one.jpg"))
    own = region_path(region.id)
    assert found[f"{own}/flags/crowd"] == "flag"
    assert found[f"{own}/links/part-of/{UID.hex()}/{REGIONS[0].hex()}"] == "link"
    assert found[own] == "label"


def test_two_answers_of_one_source_are_told_apart(told: Repository) -> None:
    for value in ("a", "b"):
        with told.edit(value) as edit:
            sample = edit["caps/one.jpg"]
            labels = (*sample.labels, Label(task="seen", value=value))
            edit["caps/one.jpg"] = sample.replace(labels=labels)
    found = messages(told.blame("caps/one.jpg"))
    assert found["labels/seen/human/=a"] == "a"
    assert found["labels/seen/human/=b"] == "b"


def test_a_file_by_its_content(photos_repo: Repository) -> None:
    move(photos_repo, ["README.md"], "docs/README.md")
    commit(photos_repo, "move")
    assert messages(photos_repo.blame("docs/README.md")) == {"key": "move", "file": "first"}
    (photos_repo.tree() / "docs/README.md").write_text("five photos\n")
    save(photos_repo, "count")
    assert messages(photos_repo.blame("docs/README.md")) == {"key": "move", "file": "count"}
