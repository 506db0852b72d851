"""The table `pixels`: what is derived of images beside their keys, null where nothing is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from photo_repos import KEYS, place, save, take
from PIL import Image
from table_versions import shop

from voyager.derived.registry import METHODS
from voyager.derived.statistics import FIELDS, table
from voyager.errors import UsageError
from voyager.repo.dataset import Dataset
from voyager.repo.deriving import derive, derived_cache
from voyager.repo.repository import Repository
from voyager.repo.table_pixels import PIXEL_COLUMNS
from voyager.repo.where import keys_where


def ask(version: Dataset, query: str) -> list[tuple[Any, ...]]:
    found = version.sql(query)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


def test_the_values_are_those_that_are_derived(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    derive(photos_repo, version, [METHODS["statistics"]], KEYS[:3])
    blobs = {bytes.fromhex(sample.image.blob_id.hex()): key for key, sample in version.items()}
    known = derived_cache(photos_repo).known(METHODS["statistics"], blobs)
    wanted = dict(zip(map(blobs.__getitem__, known.ids), table(known.matrix), strict=True))
    names = FIELDS.names or ()
    for key, *values in ask(version, f"SELECT key, {', '.join(names)} FROM pixels ORDER BY key"):
        assert values == ([float(x) for x in wanted[key]] if key in wanted else [None] * len(names))
    assert len(wanted) == 3


def test_every_column_has_a_method_that_fills_it(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    assert ask(version, "SELECT * EXCLUDE (key, uid) FROM pixels") == [
        (None,) * (len(PIXEL_COLUMNS) - 2)
    ] * len(KEYS)
    methods = {column.method for column in PIXEL_COLUMNS if column.method is not None}
    derive(photos_repo, version, [METHODS[name] for name in methods])
    found = version.sql("SELECT * FROM pixels ORDER BY key")
    assert found.column_names == [column.name for column in PIXEL_COLUMNS]
    assert all(column.null_count == 0 for column in found.columns)
    (row,) = found.slice(0, 1).to_pylist()
    sample = version[row["key"]]
    assert (row["uid"], row["type"]) == (sample.uid.hex(), "jpeg")
    assert (row["width"], row["height"]) == (sample.image.width, sample.image.height)
    assert (row["orientation"], row["sound"]) == (1, True)
    assert (len(row["pixel_hash"]), len(row["phash"])) == (64, 64)
    assert row["phash_quality"] > 0


def test_dark_images_are_found_and_equal_pixels_too(photos_repo: Repository) -> None:
    Image.new("RGB", (64, 48), (9, 9, 9)).save(photos_repo.tree() / "dark.png")
    Image.new("RGB", (64, 48), (9, 9, 9)).save(photos_repo.tree() / "dark.bmp")
    take(photos_repo)
    staged = photos_repo.staged()
    derive(photos_repo, staged, [METHODS["statistics"], METHODS["pixels"]])
    dark = "SELECT key FROM pixels WHERE brightness < 0.1 ORDER BY key"
    assert ask(staged, dark) == [("dark.bmp",), ("dark.png",)]
    twice = "SELECT list_sort(list(key)) FROM pixels GROUP BY pixel_hash HAVING count(*) > 1"
    assert ask(staged, twice) == [(["dark.bmp", "dark.png"],)]


def test_a_choice_may_ask_what_is_derived(photos_repo: Repository) -> None:
    version = photos_repo.at("HEAD")
    derive(photos_repo, version, [METHODS["statistics"]], KEYS[:3])
    found = keys_where(version, "key in (select key from pixels where brightness > 0)")
    assert found == KEYS[:3]
    with pytest.raises(UsageError, match="brightness") as error:
        keys_where(version, "brightness > 0")
    assert error.value.hint == "pixels have it: key in (select key from pixels where brightness …)"


def test_of_another_version_and_beside_other_tables(photos_repo: Repository) -> None:
    before = photos_repo.at("HEAD")
    place(photos_repo, "hat/9.jpg", 9)
    save(photos_repo, "one more")
    derive(photos_repo, photos_repo.at("HEAD"), [METHODS["statistics"]])
    assert ask(photos_repo.at("HEAD"), "SELECT count(entropy) FROM pixels") == [(5,)]
    assert ask(before, "SELECT count(*), count(entropy) FROM pixels") == [(4, 4)]
    new = "SELECT key FROM pixels ANTI JOIN pixels('HEAD~1') USING (uid)"
    assert ask(photos_repo.at("HEAD"), new) == [("hat/9.jpg",)]
    joined = "SELECT s.key FROM samples s JOIN pixels p USING (uid) WHERE s.width <> p.width"
    assert ask(before, joined) == []


def test_of_a_version_in_memory_nothing_is_known() -> None:
    assert ask(shop(), "SELECT count(*), count(phash), count(brightness) FROM pixels") == [
        (3, 0, 0)
    ]


def test_images_that_are_not_here_or_broken_have_nulls(photos_repo: Repository) -> None:
    (photos_repo.tree() / "bad.jpg").write_bytes(b"no photograph")
    take(photos_repo)
    staged = photos_repo.staged()
    derive(photos_repo, staged, [METHODS["statistics"], METHODS["probe"]])
    rows = ask(staged, "SELECT brightness, type, sound FROM pixels WHERE key = 'bad.jpg'")
    assert rows == [(None, None, None)]


def test_the_page_lists_every_column() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    for column in PIXEL_COLUMNS:
        value = f"`{column.method}`" if column.method is not None else ""
        assert f"| `{column.name}` | {column.type} | {column.about} | {value} |\n" in page
