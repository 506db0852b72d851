"""Splits: groups stay together, classes come in the asked shares, equal input divides equally."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voyager
from voyager import Box, Dataset, Group, Image, Label, Region, Repository, Sample
from voyager.errors import NotFoundError, UsageError
from voyager.repo import splits
from voyager.repo.label_edits import put_split
from voyager.repo.splits import SplitRule, parse_ratios, plan_splits
from voyager.repo.staged_edit import StagedEdit
from voyager.schema.stratify import SIZE, Unit, divide

SENDERS = Path(__file__).parents[1] / "data" / "clothing" / "senders.csv"
THREE = {"train": 0.8, "val": 0.1, "test": 0.1}


def rows() -> list[dict[str, str]]:
    with SENDERS.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """1,007 photographs of 170 contributors, with their classes, in the splits they came in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGR_AUTHOR_NAME", "Ann Lee")
        patch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
        with voyager.init(tmp_path_factory.mktemp("clothes"), worktree=False) as repo:
            with repo.edit(message="all") as edit:
                for number, row in enumerate(rows()):
                    node = edit.vocabulary.category("category", row["label"])
                    edit[row["key"]] = Sample(
                        uid=number.to_bytes(16, "big"),
                        image=Image(uri=row["key"]),
                        labels=(Label(task="category", node=node),),
                        meta={"sender_id": int(row["sender_id"])},
                        split=row["key"].split("/")[0],
                    )
            yield repo


def plan(version: Dataset, shares: dict[str, float] = THREE, **rule: object) -> splits.SplitPlan:
    return plan_splits(version, version, SplitRule(shares, **rule))  # type: ignore[arg-type]


# -- real data ------------------------------------------------------------------------------------


def test_no_sender_is_in_two_splits(clothes: Repository) -> None:
    found = plan(clothes.staged(), by=("meta.sender_id",), stratify=("category",))
    where = defaultdict(set)
    for row in rows():
        where[row["sender_id"]].add(found.splits[row["key"]])
    assert len(where) == 170
    assert {len(those) for those in where.values()} == {1}
    assert (found.groups, found.straddling, found.followed) == (90, 0, 0)


def test_classes_come_in_the_asked_shares(clothes: Repository) -> None:
    found = plan(clothes.staged(), stratify=("category",))
    totals = Counter(row["label"] for row in rows())
    for name, total in totals.items():
        for split, share in THREE.items():
            assert abs(found.counts[name][split] - share * total) < 2, (name, split)
    assert {split: found.counts[""][split] for split in THREE} == {
        "train": pytest.approx(806, abs=3),
        "val": pytest.approx(101, abs=2),
        "test": pytest.approx(101, abs=2),
    }
    name, split, share, asked = found.furthest(THREE) or ("", "", 0, 1)
    assert abs(share - asked) < 0.025, (name, split)


def test_groups_cost_little_evenness(clothes: Repository) -> None:
    """One sender alone has a quarter of the photographs, another a fifth of all shirts."""
    found = plan(clothes.staged(), by=("sender_id",), stratify=("category",))
    assert abs(found.counts[""]["train"] / 1007 - 0.8) < 0.01
    far = [
        name
        for name, counts in found.counts.items()
        if abs(counts["train"] / sum(counts.values()) - 0.8) > 0.03
    ]
    assert far == ["Shirt"]


def test_the_seed_decides_and_keys_do_not(clothes: Repository, tmp_path: Path) -> None:
    version = clothes.staged()
    first = plan(version, seed=1).splits
    assert plan(version, seed=1).splits == first
    assert plan(version, seed=2).splits != first
    with (
        voyager.init(tmp_path / "other", worktree=False) as other,
        other.edit(message="x", author="Ann <a@example.org>") as edit,
    ):
        renamed = {key: f"{999 - place:03}" for place, key in enumerate(version)}
        for key, sample in version.items():
            edit[renamed[key]] = sample
        edit._flush("samples")
        again = plan_splits(
            Dataset(edit._txn, edit._roots), renamed.values(), SplitRule(THREE, seed=1)
        )
    assert again.splits == {renamed[key]: split for key, split in first.items()}


def test_what_is_kept_stays(clothes: Repository) -> None:
    version = clothes.staged()
    shares = {"train": 0.7, "validation": 0.3}
    found = plan(version, shares, keep=("test",), by=("sender_id",))
    for key, split in found.splits.items():
        assert (split == "test") == (version[key].split == "test")
    assert abs(found.counts[""]["train"] / (1007 - 372) - 0.7) < 0.01


def test_the_rest_of_a_kept_group_follows(clothes: Repository) -> None:
    version = clothes.staged()
    found = plan(version, keep=("train",), by=("sender_id",))
    senders = {version[key].meta["sender_id"] for key, it in found.splits.items() if it == "train"}
    kept = {it.meta["sender_id"] for it in version.values() if it.split == "train"}
    assert kept <= senders
    assert found.followed == sum(
        it.split != "train" and it.meta["sender_id"] in kept for it in version.values()
    )


def test_only_new_ones(clothes: Repository) -> None:
    hats = [row["key"] for row in rows() if row["label"] == "Hat"]
    with StagedEdit(clothes, "split", dry_run=True) as edit:
        put_split(edit, dict.fromkeys(hats, None))
        edit.version = Dataset(
            clothes.store,
            edit.version.roots,
            {("samples", key.encode()): edit.row(key.encode()) or b"" for key in hats},
        )
        version = edit.version
    before = {key: it.split for key, it in version.items()}
    found = plan(version, only_new=True, by=("sender_id",))
    changed = [key for key, split in found.splits.items() if split != before[key]]
    assert sorted(changed) == sorted(hats)
    assert found.straddling > 0  # the senders that came in two splits are left as they were


def test_a_choice_counts_alone_and_its_groups_reach_beyond(clothes: Repository) -> None:
    version = clothes.staged()
    chosen = [key for key in version if key.startswith("validation/")]
    found = plan_splits(version, chosen, SplitRule(THREE, by=("sender_id",)))
    assert set(found.splits) == set(chosen)
    kept = {it.meta["sender_id"] for key, it in version.items() if key.startswith("train/")}
    for key in chosen:
        if version[key].meta["sender_id"] in kept:
            assert found.splits[key] == "train"


def test_senders_that_lie_in_two_splits(clothes: Repository) -> None:
    assert len(splits.straddling(clothes.staged(), ["sender_id"])) == 74
    assert splits.straddling(clothes.staged()) == []


# -- regions, groups, several tasks ---------------------------------------------------------------


def test_regions_count_by_their_answers(empty_repo: Repository) -> None:
    with empty_repo.edit(message="x") as edit:
        nodes = [edit.vocabulary.category("thing", name) for name in ("cat", "dog")]
        edit.vocabulary.define("note", kind="text")
        for number in range(40):
            regions = tuple(
                Region(
                    id=bytes([number, place]) * 8,
                    geometries={"box": Box(0, 0, 1, 1)},
                    labels=(Label(task="thing", node=nodes[place % 2]),),
                    state="rejected" if place == 3 else "accepted",
                )
                for place in range(4)
            )
            edit[f"{number}"] = Sample(
                uid=number.to_bytes(16, "big"),
                image=Image(uri="x"),
                regions=regions,
                labels=(Label(task="note", value="odd" if number % 2 else "even"),),
                group=Group(id=f"video-{number // 4}"),
            )
    version = empty_repo.at("HEAD")
    found = plan(version, {"a": 0.5, "b": 0.5}, stratify=("thing", "note"))
    assert found.counts["thing: cat"] == {"a": 40, "b": 40}
    assert found.counts["thing: dog"] == {"a": 20, "b": 20}
    assert found.counts["note: odd"] == {"a": 10, "b": 10}
    for number in range(40):
        assert found.splits[f"{number}"] == found.splits[f"{number // 4 * 4}"]


def test_groups_join_over_shared_members(empty_repo: Repository) -> None:
    with empty_repo.edit(message="x") as edit:
        for number in range(60):
            group = Group(id=f"{number // 2}") if number < 40 else None
            edit[f"{number:02}"] = Sample(
                uid=number.to_bytes(16, "big"),
                image=Image(uri="x"),
                group=group,
                meta={"day": (number + 1) // 2} if number < 40 else {},
            )
    found = plan(empty_repo.at("HEAD"), {"a": 0.6, "b": 0.4}, by=("day",))
    assert len({found.splits[f"{number:02}"] for number in range(40)}) == 1
    assert (found.groups, found.counts[""]["b"]) == (1, 20)


# -- refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"by": ("sender",)}, "no sample has meta.sender"),
        ({"stratify": ("categories",)}, "no task 'categories'"),
    ],
)
def test_what_nobody_has(clothes: Repository, rule: dict[str, object], message: str) -> None:
    with pytest.raises((UsageError, NotFoundError), match=message):
        plan(clothes.staged(), **rule)  # type: ignore[arg-type]


def test_numbers_have_no_classes(empty_repo: Repository) -> None:
    with empty_repo.edit(message="x") as edit:
        edit.vocabulary.define("price", kind="number")
    with pytest.raises(UsageError, match="task 'price' has numbers"):
        plan(empty_repo.at("HEAD"), stratify=("price",))


def test_ratios() -> None:
    assert parse_ratios("80/10/10") == THREE
    assert parse_ratios("8,2") == {"train": 0.8, "val": 0.2}
    assert parse_ratios("1", ["all"]) == {"all": 1}
    assert parse_ratios("1:0", ["a", "b"]) == {"a": 1, "b": 0}
    for text in ("", "80/x", "-1/2", "0/0", "nan/1", "inf/1"):
        with pytest.raises(UsageError, match="no list of ratios"):
            parse_ratios(text)
    with pytest.raises(UsageError, match="4 ratios want 4 different names, not 0"):
        parse_ratios("1/1/1/1")
    with pytest.raises(UsageError, match="2 ratios want 2 different names"):
        parse_ratios("1/1", ["a", "a"])
    with pytest.raises(UsageError, match="'a b' cannot name a split"):
        parse_ratios("1/1", ["a b", "c"])


def test_nothing_to_divide(empty_repo: Repository) -> None:
    found = plan(empty_repo.staged())
    assert (found.splits, found.furthest(THREE)) == ({}, ("", "train", 0.8, 0.8))


# -- any units ------------------------------------------------------------------------------------

units = st.builds(
    lambda order, size, classes, fixed: Unit(order, {SIZE: size, **classes}, fixed),
    st.binary(min_size=8, max_size=8),
    st.integers(1, 9),
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 9)),
    st.none() | st.sampled_from(["train", "test", "elsewhere"]),
)


@given(st.lists(units, max_size=30, unique_by=lambda unit: unit.order), st.randoms())
@settings(max_examples=60)
def test_any_units(found: list[Unit], random: object) -> None:
    parts = divide(found, THREE)
    for unit, part in zip(found, parts, strict=True):
        assert part == unit.fixed if unit.fixed else part in THREE
    shuffled = list(zip(found, parts, strict=True))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert divide([unit for unit, _ in shuffled], THREE) == [part for _, part in shuffled]


def test_nothing_goes_where_nothing_is_asked() -> None:
    found = [Unit(bytes([n]), {SIZE: 1}) for n in range(20)]
    assert set(divide(found, {"a": 1.0, "b": 0.0})) == {"a"}
    assert Counter(divide(found, {"a": 0.5, "b": 0.5})) == {"a": 10, "b": 10}
