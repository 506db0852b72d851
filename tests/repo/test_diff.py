"""What differs between two versions: kinds, parts, renames, and the words and lines about it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from photo_repos import KEYS, place, say, take
from test_dataset import dataset_of, edits, rows, sample

from voyager.commands.changes import as_name_status, sample_lines
from voyager.commands.context import Context
from voyager.commands.fact_json import fact_json
from voyager.commands.stat_text import stat_lines, summary_text
from voyager.repo.diff import Change, RowPair, changed_files, counts, diff, iter_changes
from voyager.repo.label_diff import row_diff
from voyager.repo.label_facts import SampleDiff, Terms
from voyager.repo.label_stat import stat_of
from voyager.repo.repository import Repository
from voyager.repo.row_spool import RowSpool
from voyager.repo.rows import move, remove
from voyager.repo.snapshot import FILES, SAMPLES
from voyager.repo.working_version import working_version
from voyager.schema import FileRow, Group, Image, Label, Sample, encode_file, encode_sample
from voyager.schema.vocabulary import Vocabulary
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


some_rows = st.none() | st.binary(max_size=20)


@given(st.lists(st.tuples(st.binary(max_size=9), some_rows, some_rows)), st.integers(0, 200))
def test_a_spool_gives_back_what_it_took(
    taken: list[tuple[bytes, bytes | None, bytes | None]], memory: int
) -> None:
    with RowSpool(memory) as spool:
        for row in taken:
            spool.add(*row)
        assert list(spool) == taken


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


# -- words ----------------------------------------------------------------------------------------

IMAGE = Image(blob=blob_ref(bytes(32)), bytes=1500, width=4, height=3, type="png")
OTHER = IMAGE.replace(blob=blob_ref(bytes([1] * 32)), bytes=20_500_000, width=8)
OLD = Sample(uid=bytes(16), image=IMAGE, split="train")
TERMS = Terms(Vocabulary(), Vocabulary())


def rows_diff(space: str, *pairs: tuple[str, bytes | None, bytes | None]) -> list[SampleDiff]:
    return list(row_diff((RowPair(space, key, None, old, new) for key, old, new in pairs), TERMS))


def changed(new: Sample, old: Sample = OLD) -> SampleDiff:
    (found,) = rows_diff(SAMPLES, ("k", encode_sample(old), encode_sample(new)))
    return found


def lines(found: SampleDiff) -> list[str]:
    return list(sample_lines(Context(), found, TERMS))


def label(text: str, source: str = "human") -> Label:
    return Label(task="note", value=text, source=source)


@pytest.mark.parametrize(
    ("new", "words", "kinds"),
    [
        (
            OLD.replace(image=OTHER),
            "image replaced (4×3 png, 1.50 kB → 8×3 png, 20.5 MB)",
            ["replaced"],
        ),
        (
            OLD.replace(image=IMAGE.replace(orientation=6, width=5)),
            "image described anew (4×3 png, 1.50 kB → 5×3 png, 1.50 kB)",
            ["image"],
        ),
        (
            OLD.replace(image=Image(purged=True, bytes=1500)),
            "image purged (4×3 png, 1.50 kB)",
            ["purged"],
        ),
        (OLD.replace(split=None), "split train → none", ["re-split"]),
        (OLD.replace(split="val"), "split train → val", ["re-split"]),
        (
            OLD.replace(labels=(label("a"), label("b c", "model:m"))),
            'note a added; note "b c" added, model:m',
            ["added", "added"],
        ),
        (OLD.replace(meta={"price": 3}), "price = 3", ["added"]),
        (
            OLD.replace(coverage={"class": "partial"}),
            "coverage of class unknown → partial",
            ["raised"],
        ),
        (OLD.replace(extra={"x": 1}), "details changed", ["details"]),
        (OLD.replace(group=Group(id="g")), "group none → g", ["group"]),
    ],
)
def test_words(new: Sample, words: str, kinds: list[str]) -> None:
    found = changed(new)
    assert lines(found) == [f"changed  k: {words}"]
    written = [fact_json(fact, TERMS) for fact in found]
    assert [line["kind"] for line in written] == kinds
    assert all(line["key"] == "k" and {"before", "after"} <= line.keys() for line in written)


def test_a_rename_and_an_edit_in_one_line() -> None:
    row, edited = encode_sample(OLD), encode_sample(OLD.replace(split="val"))
    (found,) = row_diff([RowPair(SAMPLES, "new", "old", row, edited)], TERMS)
    assert lines(found) == ["renamed  old -> new: split train → val"]
    assert as_name_status(found) == "R\told\tnew"


def test_added_and_removed() -> None:
    row = encode_sample(OLD.replace(labels=(label("a"),)))
    added, removed = rows_diff(SAMPLES, ("k", None, row), ("l", row, None))
    assert lines(added) == ["added    k (4×3 png, 1.50 kB, train, 1 label)"]
    (line,) = (fact_json(fact, TERMS) for fact in added)
    assert line["before"] is None
    assert (line["after"]["split"], line["after"]["image"]["bytes"]) == ("train", 1500)
    assert "key" not in line["after"]
    assert as_name_status(removed) == "D\tl"


def test_files() -> None:
    old = FileRow(blob=blob_ref(bytes(32)), bytes=10)
    new = old.replace(blob=blob_ref(bytes([1] * 32)), bytes=2_000, executable=True)
    there, back = rows_diff(
        FILES,
        ("f", encode_file(old), encode_file(new)),
        ("g", encode_file(new), encode_file(old)),
    )
    assert lines(there) == ["changed  f: content replaced (10 B → 2.00 kB); executable"]
    assert stat_of([there], TERMS).summary() == {"file": {"replaced": 1, "mode": 1}}
    assert "no longer executable" in lines(back)[0]


def test_names_that_would_break_a_line() -> None:
    (found,) = rows_diff(SAMPLES, ("a\nb\t.jpg", None, encode_sample(OLD)))
    assert "\n" not in lines(found)[0]
    assert as_name_status(found).count("\t") == 1


def test_counts_by_folder() -> None:
    row = encode_sample(sample(1))
    file = encode_file(FileRow(blob=blob_ref(bytes(32)), bytes=1))
    pairs = [
        RowPair(SAMPLES, "a/1", None, None, row),
        RowPair(SAMPLES, "a/2", None, None, row),
        RowPair(SAMPLES, "a/b/3", "c/3", row, row),
        RowPair(FILES, "f", None, file, None),
    ]
    stat = stat_of(row_diff(pairs, TERMS), TERMS)
    assert summary_text(stat) == "2 samples added, 1 renamed; 1 file removed"
    assert list(stat_lines(stat)) == [
        " .    1 file removed",
        " a    2 samples added",
        " a/b  1 sample renamed",
        " 2 samples added, 1 renamed; 1 file removed",
    ]
    assert summary_text(stat_of([], TERMS)) == ""


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
