"""Expressions choose what they say, reach nothing else, and are refused with place and hint."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_versions import blood, shop, version_of

from voyager.errors import CorruptError, MissingExtraError, NotFoundError, UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.repository import Repository
from voyager.repo.where import keys_where, regions_where
from voyager.repo.where_text import WhereText
from voyager.schema import Image, Label, Sample
from voyager.schema.vocabulary import Draft, Vocabulary

DOCS = Path(__file__).parents[2] / "docs" / "tables.md"
A, B, C = "a.jpg", "é/b.png", "é/c[1].png"
ZEROS = "00" * 15


# -- samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("split = 'train'", [A]),
        ("SPLIT = 'train' AND Width > 400", [A]),
        ("split is null", [C]),
        ("true", [A, B, C]),
        ("key like 'é/%'", [B, C]),
        ("key = 'é/c[1].png' -- the third", [C]),
        ("meta.price > 10", [B]),
        ("meta['price'] > 1", [A, B]),
        ("meta.ok = 'true'", [A]),
        ("list_contains(meta.tags, 'new')", [A]),
        ('meta.size_2 = 2 or meta."Size" = 1', [A, B]),
        ("meta is not null and meta.price is null", [C]),
        ("scene = 'furniture/chair'", [A]),
        ("answers.scene is not null", [A]),
        ("answers.Width = 'wide' and width = 640", [A]),
        ("indoor and price_seen between 12 and 13", [A]),
        ("caption like '%dog%'", [A]),
        ("list_contains(classes, 'person')", [B]),
        ("regions > 1", [A]),
        ("labels = 2", [B]),
        ("list_contains(negatives, 'person')", [A]),
        ("list_contains(exhaustive, 'category')", [A]),
        ("list_contains(exhaustive, 'scene')", []),
        ("state = 'pending' or held is not null", [B]),
        ("orientation <> 1", [B]),
        ("key in (select key from labels where kind = 'model')", [A]),
        ("uid in (select uid from answers where disagree)", [B]),
        ("uid in (select to_uid from links)", [B]),
        ("(select count(*) from regions r where r.key = samples.key) = 2", [A]),
        ("key = (select max(key) from samples)", [C]),
        ("exists (from taxonomy where path = classes[1])", [A, B]),
        ("samples.split = 'val'", [B]),
        ("split = 'it''s; fine'", []),
    ],
)
def test_samples(expression: str, keys: list[str]) -> None:
    assert keys_where(shop(), expression) == keys


@pytest.mark.parametrize(
    ("expression", "keys"),
    [
        ("has('chair')", [A]),
        ("has('furniture')", [A]),
        ("has ( 'furniture/stool' )", [A]),
        ("HAS('person')", [B]),
        ("has('category/person') and not has('red')", [B]),
        ("has_image('furniture')", [A]),
        ("has_image('stool')", []),
        ("has_region('stool')", [A]),
        ("has_region('chair')", []),
        ("key in (select key from regions where has('person'))", [B]),
        ("key = 'has(''nobody'')'", []),
    ],
)
def test_has(expression: str, keys: list[str]) -> None:
    assert keys_where(shop(), expression) == keys


def test_aliases_and_dead_classes() -> None:
    draft = Draft(Vocabulary())
    old, new = draft.mint_path("category", "settee"), draft.mint_path("category", "sofa")
    nodes = draft.taxonomies["category"].nodes
    gone = nodes[old].replace(dead=True, redirect=new)
    draft.put_nodes("category", {old: gone, new: nodes[new].replace(aliases=("couch",))})
    draft.define("category")
    label = Label(task="category", node=old)
    version = version_of([("1.jpg", Sample(uid=bytes(16), image=Image(), labels=(label,)))], draft)
    for expression in ("has('sofa')", "has('couch')", "category = 'sofa'"):
        assert keys_where(version, expression) == ["1.jpg"]
    with pytest.raises(UsageError, match="no class 'settee'"):
        keys_where(version, "has('settee')")


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_as_a_loop_would(prices: list[int], most: int) -> None:
    version = version_of(
        (f"{n % 3}/{n}.jpg", Sample(uid=n.to_bytes(16), image=Image(), meta={"price": price}))
        for n, price in enumerate(prices)
    )
    wanted = [key for key, sample in version.items() if sample.meta["price"] <= most]
    if prices:
        assert keys_where(version, f"meta.price <= {most}") == wanted


def test_only_of_what_is_named() -> None:
    assert keys_where(shop(), "true", patterns=["é"]) == [B, C]
    assert keys_where(shop(), "meta.price > 1", patterns=["*.jpg", C]) == [A]
    with pytest.raises(NotFoundError, match="no key matches 'x'"):
        keys_where(shop(), "true", patterns=["x"])


def test_what_is_staged_counts(photos_repo: Repository) -> None:
    from photo_repos import say

    say(photos_repo, "hat/1.jpg", "hello")
    assert keys_where(photos_repo.staged(), "regions = 1") == ["hat/1.jpg"]
    assert keys_where(photos_repo.at("HEAD"), "regions = 1") == []
    assert keys_where(photos_repo.at("HEAD"), "state = 'stored' and type = 'jpeg'") == list(
        photos_repo.at("HEAD")
    )


def test_from_python() -> None:
    found = list(shop().where("split = 'val'"))
    assert found == [(B, shop()[B])]
    with pytest.raises(UsageError):
        shop().where("splt = 'val'")


# -- regions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("area > 50", [(A, 2)]),
        ("geometry = 'polygon' and parts > 1", [(A, 1)]),
        ("list_contains(flags, 'crowd')", [(A, 1)]),
        ("attrs['pose'] = 'left'", [(A, 1)]),
        ("links[1].kind = 'same'", [(A, 1)]),
        ("list_contains(colour, 'blue')", [(A, 1)]),
        ("category = 'person'", [(B, 3)]),
        ("has('furniture')", [(A, 1)]),
        ("has_image('furniture')", [(A, 1), (A, 2)]),
        ("has_region('stool') and state = 'proposed'", [(A, 2)]),
        ("split = 'train' and width = 10", [(A, 2)]),
        ("sample.width = 640", [(A, 1), (A, 2)]),
        ("sample.state = 'pending'", [(B, 3)]),
        ("scene = 'furniture/chair' and x0 = 0 and sample.height > 10", [(A, 1), (A, 2)]),
        ("meta.price > 10", [(B, 3)]),
        ("meta.price < 10 and area < 50 and sample.uid is not null", [(A, 1)]),
        ("uid in (select uid from samples where split = 'val')", [(B, 3)]),
        ("n = 2", [(A, 2)]),
    ],
)
def test_regions(expression: str, found: list[tuple[str, int]]) -> None:
    wanted = [(key, bytes(15) + bytes([number])) for key, number in found]
    assert regions_where(shop(), expression) == wanted


def test_real_regions() -> None:
    found = regions_where(blood(), "category = 'Platelets' and area > 4000")
    wanted = [
        (key, region.id)
        for key, sample in blood().items()
        for region in sample.regions
        if blood().vocabulary.word(region.labels[0]) == "Platelets"
        and (region.geometry.x1 - region.geometry.x0) * (region.geometry.y1 - region.geometry.y0)
        > 4000
    ]
    assert found == wanted
    assert len(found) > 3


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "key in (select column0 from read_csv('/etc/passwd'))",
        "key in (select content from read_text('/etc/passwd'))",
        "key in (select filename from read_blob('/etc/*'))",
        "key in (from glob('/etc/*'))",
        "key in (from '/etc/passwd')",
        "key in (from 'labels.csv')",
        "key in (from 'https://example.org/labels.parquet')",
        "key in (select 1 from read_parquet('s3://bucket/x'))",
        "key in (select 1 from read_json('x.json'))",
        "key in (select 1 from parquet_metadata('x.parquet'))",
        "key in (from query('from read_text(''/etc/passwd'')'))",
        "getenv('HOME') = ''",
        "true; copy samples to 'x.csv'",
        "copy samples to 'x.csv'",
        "true); copy (select 1) to 'x.csv'; select (true",
        "attach 'x.db'",
        "attach 'x.db' as x",
        "install httpfs",
        "load httpfs",
        "pragma database_list",
        "set threads = 1",
        "export database 'x'",
        "drop table samples",
        "true; drop view samples",
        "exists (delete from samples)",
        "true) union select key from samples where (true",
        "true, false",
        "split = $1",
        "split = ?",
        "true limit 1",
        "true order by key",
        "key as x",
        "*",
        "",
        "  ",
        "-- nothing",
        "key in (select x from secret)",
    ],
)
def test_nothing_else_is_reached(
    expression: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "labels.csv").write_text("x\na.jpg\n")
    monkeypatch.chdir(tmp_path)
    secret = shop().tables["samples"]  # a variable that DuckDB would find by its name
    with pytest.raises(UsageError):
        keys_where(shop(), expression)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.csv"]
    assert secret.num_rows == 3


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("splt = 'x'", "no column 'splt' at character 1 of --where splt = 'x'", "split"),
        ("split = 'é' and keyy = 1", "no column 'keyy' at character 17", "key"),
        ("has('stool') and keyy = 1", "no column 'keyy' at character 18", "key"),
        ("meta.prize > 3", "no field 'prize'", "price"),
        ("price_sen > 3", "no column 'price_sen'", "price_seen"),
        ("upcase(key) = 'A'", "no function 'upcase' at character 1", "vgr ls --columns"),
        ("key in (select key from label)", "no table 'label' at character 25", "labels"),
        ("key in (select kay from labels)", "no column 'kay' at character 16", "key"),
        ("split = ", "this is no SQL at the end of --where split = ", "vgr ls --columns"),
        ("split == 'a' 'b'", "this is no SQL at character 14", "vgr ls --columns"),
        ("key in (from 'x.csv')", "there are no files and no network in --where", "columns"),
        ("width", "wants true or false, not BIGINT: width", "width > 400"),
        ("cast(split as int) = 1", "could not convert string 'train' to INT32", "columns"),
        ("sum(width) > 1", "WHERE clause cannot contain aggregates at character 1", "columns"),
        ("has('stol')", "no class 'stol' in --where has('stol')", "did you mean stool?"),
        ("has(split)", "has() takes one class in quotes", "vgr taxonomy tree"),
    ],
)
def test_errors(expression: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        keys_where(shop(), expression)
    assert hint in (caught.value.hint or "")


def test_a_name_of_several_classes() -> None:
    draft = Draft(Vocabulary())
    for path in ("shoes/heel", "bread/heel"):
        draft.mint_path("category", path)
    with pytest.raises(UsageError, match="several classes are called 'heel'") as caught:
        keys_where(version_of([], draft), "has('heel')")
    assert caught.value.hint == "did you mean shoes/heel or bread/heel?"


def test_the_sandbox_is_locked_and_bounded() -> None:
    expected = {
        "enable_external_access": "false",
        "lock_configuration": "true",
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "python_enable_replacements": "false",
        "temp_directory": "",
        "threads": str(min(len(os.sched_getaffinity(0)), 16)),
        "memory_limit": "953.6 MiB",
    }
    seen = [f"current_setting('{name}')::text = '{value}'" for name, value in expected.items()]
    assert keys_where(shop(), " and ".join(seen)) == [A, B, C]


def test_a_broken_row_stays_corruption() -> None:
    version = shop()
    broken = Dataset(version.objects, version.roots, {("samples", b"x.jpg"): b"\x81\xa1s\x05"})
    with pytest.raises(CorruptError):
        keys_where(broken, "split = 'train'")


def test_without_duckdb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError) as caught:
        keys_where(shop(), "true")
    assert caught.value.hint == "pip install 'voyager-vgr[sql]'"


# -- the text -------------------------------------------------------------------------------------


def test_only_what_is_mentioned_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    from voyager.schema import partial

    make = partial.partial_decoder
    monkeypatch.setattr(
        "voyager.repo.table_stretches.partial_decoder",
        lambda wanted, raw=(): seen.append(set(wanted)) or make(wanted, raw=raw),
    )
    keys_where(shop(), "split = 'train'")
    regions_where(shop(), "state = 'proposed' and sample.split = 'train'")
    assert seen == [{"uid", "split"}, {"uid", "split", "regions.id", "regions.state", *IMAGE}]


IMAGE = {"image.blob", "image.purged"}
"""What the state of the sample takes, which the expression may have meant."""


@given(st.text(st.characters(codec="utf-8"), max_size=12), st.integers(0, 40))
def test_places_are_found_again(before: str, at: int) -> None:
    before = before.replace("'", "").replace('"', "").replace("$", "").replace("-", "")
    before = before.replace("*", "")
    text = f"'{before}' = has('stool') and x"
    parsed = WhereText(text, shop().vocabulary)
    place = parsed.sql.encode().rindex(b" and x")
    assert parsed.place(place) == text.rindex(" and x") + 1
    assert parsed.place(len(parsed.sql.encode()) + 1 + at) is None


def documented() -> list[str]:
    """The expressions in the table of docs/tables.md."""
    table = DOCS.read_text().partition("| to choose |")[2].partition("\n\n")[0]
    lines = [line.rpartition(" | ")[2] for line in table.splitlines()[2:]]
    return [found for line in lines for found in re.findall(r"`([^`]+)`", line)]


@pytest.mark.parametrize("expression", documented())
def test_documented_expressions(expression: str) -> None:
    draft = Draft(Vocabulary())
    for path in ("indoor/kitchen", "furniture/chair", "person"):
        draft.mint_path("category", path)
    draft.define("scene", scope="image", taxonomy="category")
    draft.define("colour", scope="image", taxonomy="palette", many=True)
    meta = {"price": 1, "sender": "x", "tags": ["new"]}
    sample = Sample(uid=bytes(16), image=Image(uri="x"), meta=meta)
    keys_where(version_of([("kitchen/1234.jpg", sample)], draft), expression)
    assert len(documented()) > 20


# -- kept columns ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    [
        "split = 'train' and meta.price > 2",
        "has('furniture') or has_region('person')",
        "key in (select key from regions where area > 50)",
        "uid in (select uid from answers where disagree)",
        "answers.indoor or answers.\"Width\" = 'wide' or width = 100",
        "list_contains(negatives, 'person') or conflicted or state = 'purged'",
        "list_contains(exhaustive, 'colour:blue')",
    ],
)
def test_kept_columns_choose_the_same(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large versions keep their columns; these here are small."""
    found = keys_where(shop(), expression)
    assert found
    monkeypatch.setattr("voyager.repo.tables.LEAST_KEPT", 0)
    assert keys_where(shop(), expression) == found


@pytest.mark.parametrize(
    "expression",
    ["has('chair') or area = 100", "sample.split = 'val'", "meta.price > 2 and width = 9"],
)
def test_kept_columns_choose_the_same_regions(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = regions_where(shop(), expression)
    assert found
    monkeypatch.setattr("voyager.repo.tables.LEAST_KEPT", 0)
    assert regions_where(shop(), expression) == found
