"""What differs between two versions: kinds, parts, renames, and the words and lines about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_repos import KEYS, place, say, take
from test_dataset import dataset_of, edits, rows, sample

from voyager.commands.changes import as_json_lines, as_name_status, as_text, count_facts, tally_of
from voyager.commands.context import Context
from voyager.repo.diff import Change, changed_files, counts, diff, iter_changes
from voyager.repo.repository import Repository
from voyager.repo.rows import move, remove
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.repo.working_version import working_version
from voyager.schema import (
    Box,
    FileRow,
    Image,
    Label,
    Region,
    Sample,
    encode_file,
    encode_sample,
)
from voyager.wire import blob_ref


def kinds(changes: list[Change]) -> dict[str, str]:
    return {change.key: change.kind for change in changes}


@given(rows, edits, edits)
@settings(max_examples=60, deadline=None)
def test_a_diff_is_that_of_two_dicts(
    base: dict[str, int], left: dict[str, int | None], right: dict[str, int | None]
) -> None:
    before, after = dataset_of(base, left), dataset_of(base, right)
    old, new = dict(before.items()), dict(after.items())
    found = kinds(list(iter_changes(before, after)))
    assert found == {
        key: "added" if key not in old else "removed" if key not in new else "modified"
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    }
    files = {key: (a, b) for key, a, b in changed_files(before, after)}
    assert set(files) == set(found)
    assert list(files) == sorted(files, key=str.encode)


@given(rows, edits)
@settings(max_examples=60, deadline=None)
def test_renames_lose_nothing(base: dict[str, int], staged: dict[str, int | None]) -> None:
    before, after = dataset_of(base, {}), dataset_of(base, staged)
    plain = kinds(diff(before, after, renames=False))
    paired: dict[str, str] = {}
    for change in diff(before, after):
        if change.old_key is not None:
            assert before[change.old_key].uid == after[change.key].uid
            paired |= {change.old_key: "removed", change.key: "added"}
        else:
            paired[change.key] = change.kind
    assert paired == plain


def test_kinds_and_parts(photos_repo: Repository) -> None:
    say(photos_repo, KEYS[0], "straw")
    move(photos_repo, [KEYS[1]], "hat/two.jpg")
    remove(photos_repo, [KEYS[2]])
    place(photos_repo, "new.jpg", 8)
    take(photos_repo)
    found = diff(photos_repo.at("HEAD"), photos_repo.staged())
    assert [(change.kind, change.key, change.old_key, change.parts) for change in found] == [
        ("modified", KEYS[0], None, ("labels", "regions")),
        ("renamed", "hat/two.jpg", KEYS[1], ()),
        ("added", "new.jpg", None, ()),
        ("removed", KEYS[2], None, ()),
    ]
    assert counts(found) == {"added": 1, "removed": 1, "modified": 0, "renamed": 1, "labels": 1}


def test_a_rename_and_an_edit_at_once(photos_repo: Repository) -> None:
    move(photos_repo, [KEYS[1]], "hat/two.jpg")
    say(photos_repo, "hat/two.jpg", "felt")
    (change,) = diff(photos_repo.at("HEAD"), photos_repo.staged())
    assert (change.kind, change.old_key, change.parts) == (
        "renamed", KEYS[1], ("labels", "regions")
    )  # fmt: skip
    assert as_text(Context(), change) == (
        f"renamed  {KEYS[1]} -> hat/two.jpg: labels 1 added; regions 1 added"
    )


def test_swapped_keys(photos_repo: Repository) -> None:
    with photos_repo.edit(message="swap") as edit:
        edit[KEYS[0]], edit[KEYS[1]] = edit[KEYS[1]], edit[KEYS[0]]
    found = diff(photos_repo.at("HEAD~1"), photos_repo.at("HEAD"))
    assert [(change.kind, change.parts) for change in found] == [("modified", ("image",))] * 2


def test_a_file_that_becomes_an_image(photos_repo: Repository) -> None:
    with photos_repo.edit(message="an image now") as edit:
        del edit["README.md"]
        edit.add_image("README.md", (photos_repo.tree() / KEYS[3]).read_bytes())
    before, after = photos_repo.at("HEAD~1"), photos_repo.at("HEAD")
    found = diff(before, after)
    assert [(change.space, change.kind) for change in found] == [
        (FILES, "removed"), (SAMPLES, "added")
    ]  # fmt: skip
    ((key, old, new),) = changed_files(before, after)
    assert (key, old, new) == ("README.md", before.tracked_at(key), after.tracked_at(key))


# -- files as they are ----------------------------------------------------------------------------


def test_the_working_version(photos_repo: Repository) -> None:
    version, skipped = working_version(photos_repo)
    assert (diff(photos_repo.staged(), version), skipped) == ([], [])
    place(photos_repo, KEYS[0], 8)
    (photos_repo.tree() / KEYS[1]).unlink()
    (photos_repo.tree() / "README.md").write_text("edited\n")
    place(photos_repo, "untracked.jpg", 9)
    (photos_repo.tree() / KEYS[2]).write_bytes(b"no image any more")
    version, _ = working_version(photos_repo)
    found = {change.key: change for change in diff(photos_repo.staged(), version)}
    assert {key: change.kind for key, change in found.items()} == {
        "README.md": "modified",
        KEYS[0]: "modified",
        KEYS[1]: "removed",
        KEYS[2]: "modified",
    }
    assert version[KEYS[0]].image.width == 400
    assert version[KEYS[0]].uid == photos_repo.staged()[KEYS[0]].uid
    narrowed, _ = working_version(photos_repo, paths=["hat"])
    assert set(kinds(diff(photos_repo.staged(), narrowed))) == {KEYS[0], KEYS[1]}


# -- facts ----------------------------------------------------------------------------------------

IMAGE = Image(blob=blob_ref(bytes(32)), bytes=1500, width=4, height=3, type="png")
OTHER = IMAGE.replace(blob=blob_ref(bytes([1] * 32)), bytes=20_500_000, width=8)
OLD = Sample(uid=bytes(16), image=IMAGE, split="train")


def region(number: int, **fields: Any) -> Region:
    box = Box(0, 0, 1, number)
    return Region(id=number.to_bytes(16), geometries={"box": box}, **fields)


def changed(new: Sample, old: Sample = OLD) -> Change:
    parts = ("image", "split", "labels", "regions", "meta", "coverage")
    named = tuple(part for part in parts if getattr(old, part) != getattr(new, part))
    rows = encode_sample(old), encode_sample(new)
    return Change("modified", "k", SAMPLES, None, named or ("details",), *rows)


def label(text: str, source: str = "human") -> Label:
    return Label(task="note", value=text, source=source)


@pytest.mark.parametrize(
    ("new", "words", "kinds"),
    [
        (
            OLD.replace(image=OTHER),
            "image replaced (4×3 png, 1.50 kB -> 8×3 png, 20.5 MB)",
            ["replaced"],
        ),
        (
            OLD.replace(image=IMAGE.replace(orientation=6, width=5)),
            "image described anew (4×3 png, 1.50 kB -> 5×3 png, 1.50 kB)",
            ["image"],
        ),
        (
            OLD.replace(image=Image(purged=True, bytes=1500)),
            "image replaced (4×3 png, 1.50 kB -> 1.50 kB, purged)",
            ["replaced"],
        ),
        (OLD.replace(split=None), "split train -> none", ["re-split"]),
        (OLD.replace(split="val"), "split train -> val", ["re-split"]),
        (OLD.replace(labels=(label("a"), label("b"))), "labels 2 added", ["labels"]),
        (
            OLD.replace(regions=(region(1), region(2)), split="val"),
            "split train -> val; regions 2 added",
            ["re-split", "regions"],
        ),
        (OLD.replace(meta={"price": 3}), "meta changed", ["meta"]),
        (OLD.replace(coverage={"class": "partial"}), "coverage changed", ["coverage"]),
        (OLD.replace(extra={"x": 1}), "details changed", ["details"]),
    ],
)
def test_words(new: Sample, words: str, kinds: list[str]) -> None:
    change = changed(new)
    assert as_text(Context(), change) == f"changed  k: {words}"
    lines = list(as_json_lines(change))
    assert [line["kind"] for line in lines] == kinds
    assert all(line["scope"] == "sample" and line["key"] == "k" for line in lines)


def test_counts_of_labels_and_regions() -> None:
    old = OLD.replace(
        labels=(label("a"), label("b", "human:bo"), label("c", "model:m")),
        regions=(region(1), region(2), region(3)),
    )
    new = OLD.replace(
        labels=(label("z"), label("c", "model:m"), label("d", "model:m")),
        regions=(region(2), region(3, state="rejected"), region(4)),
    )
    labels, regions = as_json_lines(changed(new, old))
    assert labels == {
        "scope": "sample", "kind": "labels", "key": "k", "before": 3, "after": 3,
        "added": 1, "removed": 1, "changed": 1,
    }  # fmt: skip
    assert (regions["added"], regions["removed"], regions["changed"]) == (1, 1, 1)
    swapped = old.replace(regions=(region(3), region(2), region(1)))
    (order,) = as_json_lines(changed(swapped, old))
    assert (order["added"], order["removed"], order["changed"]) == (0, 0, 0)
    assert as_text(Context(), changed(swapped, old)).endswith("put in another order")


def test_added_and_removed() -> None:
    row = encode_sample(OLD.replace(labels=(label("a"),)))
    added = Change("added", "k", SAMPLES, after=row)
    assert as_text(Context(), added) == "added    k (4×3 png, 1.50 kB, train, 1 label)"
    (line,) = as_json_lines(added)
    assert line["before"] is None
    assert (line["after"]["split"], line["after"]["image"]["bytes"]) == ("train", 1500)
    assert "key" not in line["after"]
    assert as_name_status(Change("removed", "k", SAMPLES, before=row)) == "D\tk"
    assert as_name_status(Change("renamed", "n", SAMPLES, "o", (), row, row)) == "R\to\tn"


def test_files() -> None:
    old = FileRow(blob=blob_ref(bytes(32)), bytes=10)
    new = old.replace(blob=blob_ref(bytes([1] * 32)), bytes=2_000, executable=True)
    change = Change("modified", "f", FILES, None, ("content",), encode_file(old), encode_file(new))
    assert as_text(Context(), change) == (
        "changed  f: content replaced (10 B -> 2.00 kB); executable"
    )
    assert count_facts([change]) == {"file": {"replaced": 1, "mode": 1}}
    back = Change("modified", "f", FILES, None, ("content",), encode_file(new), encode_file(old))
    assert "no longer executable" in as_text(Context(), back)


def test_names_that_would_break_a_line() -> None:
    change = Change("added", "a\nb\t.jpg", SAMPLES, after=encode_sample(OLD))
    assert "\n" not in as_text(Context(), change)
    assert as_name_status(change).count("\t") == 1


def test_a_tally() -> None:
    row = encode_sample(sample(1))
    file = encode_file(FileRow(blob=blob_ref(bytes(32)), bytes=1))
    found = [
        Change("added", "a/1", SAMPLES, after=row),
        Change("added", "a/2", SAMPLES, after=row),
        Change("renamed", "a/b/3", SAMPLES, "c/3", (), row, row),
        Change("removed", "f", FILES, before=file),
    ]
    tally = tally_of(found)
    assert tally.summary() == "2 samples added, 1 renamed; 1 file removed"
    assert list(tally.table()) == [
        " .    1 file removed",
        " a    2 samples added",
        " a/b  1 sample renamed",
        " 2 samples added, 1 renamed; 1 file removed",
    ]
    assert tally_of([]).summary() == "no changes"


@given(st.integers(0, 10**16))
def test_sizes_have_three_digits(count: int) -> None:
    from voyager.commands.sizes import size_text

    number, unit = size_text(count).split()
    if unit == "B":
        assert int(number) == count < 1000
    elif unit != "PB":
        assert len(number.replace(".", "")) == 3
        scale = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
        assert abs(float(number) * scale - count) <= 0.005 * count
