"""Queries over versions: what they give, that they only read, and what is said of bad ones."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from table_versions import blood, shop

import voyager
from voyager.errors import MissingExtraError, NotFoundError, UsageError, VoyagerError
from voyager.repo import table_frame
from voyager.repo.dataset import Dataset
from voyager.repo.predictions import put_predictions
from voyager.repo.repository import Repository
from voyager.repo.staged_edit import StagedEdit
from voyager.repo.table_frame import forget_frames
from voyager.repo.where import keys_where, regions_where
from voyager.schema import Box, Image, Label, Region, Sample


def ask(version: Dataset, query: str) -> list[Any]:
    """The rows as tuples, values where there is one column."""
    found = version.sql(query)
    rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
    return [row[0] if len(row) == 1 else row for row in rows]


# -- one version ----------------------------------------------------------------------------------


def test_group_by_on_real_boxes() -> None:
    counted = ask(
        blood(), "SELECT category, count(*) AS n FROM regions GROUP BY category ORDER BY n DESC"
    )
    assert counted == [("RBC", 4155), ("WBC", 372), ("Platelets", 361)]
    (largest,) = ask(blood(), "SELECT max(area) FROM regions WHERE has('WBC')")
    boxes = [
        region.geometry
        for sample in blood().values()
        for region in sample.regions
        if region.labels[0].node == blood().vocabulary.find("category", "WBC")
    ]
    assert largest == max((box.x1 - box.x0) * (box.y1 - box.y0) for box in boxes)


def test_every_table_in_one_query() -> None:
    query = """
        SELECT s.key, r.n, l.task, a.value, t.name, k.kind
        FROM samples s JOIN regions r USING (key, uid) JOIN labels l USING (key, uid, region)
        JOIN answers a USING (key, uid, region, task) JOIN taxonomy t ON t.node = a.node
        LEFT JOIN links k ON k.region = r.region
        WHERE l.node = a.node ORDER BY ALL
    """
    assert ask(shop(), query) == [
        ("a.jpg", 1, "category", "furniture/stool", "stool", "same"),
        ("a.jpg", 1, "colour", "blue", "blue", "same"),
        ("a.jpg", 1, "colour", "red", "red", "same"),
        ("é/b.png", 1, "category", "person", "person", None),
    ]


def test_all_columns_are_those_of_the_table() -> None:
    for name in ("samples", "regions", "labels", "answers", "links", "taxonomy"):
        table = shop().tables[name]
        found = shop().sql(f"SELECT * FROM {name}")
        assert found.column_names == table.column_names
        assert found.to_pylist() == table.to_pylist()


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT count(*) FROM regions", [3]),
        ("SELECT 1 + 1", [2]),
        ("FROM samples SELECT split WHERE width > 500", ["train"]),
        ("WITH s AS (SELECT * FROM samples) SELECT key FROM s WHERE meta.price = 3", ["a.jpg"]),
        ("SELECT s.meta.price FROM samples s WHERE split = 'val'", [10.5]),
        ("SELECT s.split FROM (SELECT samples AS s FROM samples) WHERE s.key = 'a.jpg'", ["train"]),
        ('SELECT "key" FROM "samples" WHERE "answers".indoor', ["a.jpg"]),
        ("SELECT key FROM SAMPLES WHERE has('furniture')", ["a.jpg"]),
        ("SELECT r.n FROM samples s JOIN regions r USING (key) WHERE has(r, 'person')", [1]),
        ("SELECT column_name FROM (DESCRIBE links) LIMIT 2", ["key", "uid"]),
        ("SELECT * FROM query('SELECT 7')", [7]),
        ("SELECT * EXCLUDE (split) FROM (SELECT key, split FROM samples LIMIT 1)", ["a.jpg"]),
        ("SELECT COLUMNS('^k.y$') FROM links", ["a.jpg"]),
        ("SELECT samples FROM (SELECT 7 AS samples)", [7]),
        ("SELECT 'samples(''v1'')' -- samples('v1')", ["samples('v1')"]),
        ("SELECT train FROM (PIVOT samples ON split IN ('train', 'val') USING count(*) "
         "GROUP BY type) WHERE train > 0", [1]),
    ],
)  # fmt: skip
def test_shapes_of_queries(query: str, rows: list[Any]) -> None:
    assert ask(shop(), query) == rows


def test_only_what_is_read_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    build = table_frame.build_units

    def noting(rows: Any, units: Any, **options: Any) -> Any:
        seen.append({unit.name for unit in units if unit.name != "#"})
        return build(rows, units, **options)

    monkeypatch.setattr(table_frame, "build_units", noting)
    ask(shop(), "SELECT count(*) FROM regions WHERE area > 5")
    ask(shop(), "SELECT count(*) FROM (SELECT * FROM samples)")
    assert seen == [{"area", "key"}]
    ask(shop(), "SELECT meta.price FROM samples")
    assert seen[1:] == [{"meta names", "meta values", "key"}]


def test_arrow_and_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop().to_arrow().column_names == shop().tables["samples"].column_names
    assert shop().to_arrow("links").num_rows == 1
    assert voyager.sql(shop(), "SELECT 1 AS one").to_pylist() == [{"one": 1}]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError) as caught:
        shop().to_pandas()
    assert caught.value.hint == "pip install pandas"


@pytest.mark.parametrize("module", ["duckdb", "pyarrow"])
def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr("voyager.repo.sql._IDLE", [])
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        shop().sql("SELECT 1")
    assert caught.value.hint == "pip install 'voyager-vgr[sql]'"


# -- several versions -----------------------------------------------------------------------------


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """Two commits and something staged: a chair becomes a stool, then a sample goes to `val`."""
    monkeypatch.setattr(table_frame, "LEAST_KEPT", 0)
    forget_frames()
    with voyager.init(tmp_path / "repo", worktree=False) as made:
        with made.edit("one") as edit:
            edit.vocabulary.define("category")
            chair = edit.vocabulary.category("category", "chair")
            edit["a.jpg"] = sample_of(1, chair)
            edit["b.jpg"] = sample_of(2, chair)
        with made.edit("two") as edit:
            stool = edit.vocabulary.category("category", "stool")
            edit["b.jpg"] = sample_of(2, stool)
        with StagedEdit(made, "split") as staged:
            staged["a.jpg"] = staged["a.jpg"].replace(split="val")
        yield made
    forget_frames()


def sample_of(n: int, node: bytes, **fields: Any) -> Sample:
    label = Label(task="category", node=node, **fields)
    region = Region(id=bytes([n]) * 16, geometries={"box": Box(0, 0, n, n)}, labels=(label,))
    return Sample(uid=bytes([n]) * 16, image=Image(uri="x"), split="train", regions=(region,))


def test_a_diff_in_sql(repo: Repository) -> None:
    query = """
        SELECT key, old.category, new.category
        FROM regions('main~1') AS old JOIN regions AS new USING (key, region)
        WHERE old.category IS DISTINCT FROM new.category
    """
    assert ask(repo.at("main"), query) == [("b.jpg", "chair", "stool")]
    added = "SELECT path FROM taxonomy EXCEPT SELECT path FROM taxonomy('main~1')"
    assert ask(repo.at("main"), added) == ["stool"]
    changed = "SELECT split FROM samples('staged') WHERE key = 'a.jpg'"
    assert ask(repo.at("main"), changed) == ["val"]
    assert ask(repo.staged(), "SELECT split FROM samples WHERE key = 'a.jpg'") == ["val"]


def test_predictions(repo: Repository) -> None:
    chair = repo.at("main").vocabulary.find("category", "chair")
    assert chair is not None
    said = sample_of(2, chair, source="model:m", score=0.75)
    stranger = sample_of(9, chair, source="model:m")
    with repo.transaction("import", "m") as txn:
        put_predictions(txn, repo, "m's", [said, stranger], "what m says")
        txn.commit()
    query = "SELECT key, value, score, x1, source FROM predictions('m''s') ORDER BY x1"
    assert ask(repo.at("main"), query) == [
        ("b.jpg", "chair", 0.75, 2.0, "model:m"),
        (None, "chair", None, 9.0, "model:m"),
    ]
    wrong = """
        SELECT p.key, p.value, r.category
        FROM predictions('m''s') p JOIN regions r USING (uid, region) WHERE p.value <> r.category
    """
    assert ask(repo.at("main"), wrong) == [("b.jpg", "chair", "stool")]
    assert ask(repo.at("main"), "SELECT count(*) FROM predictions('m''s')") == [2]


def test_a_choice_reads_the_tables_that_a_query_reads(repo: Repository) -> None:
    main = repo.at("main")
    for expression, found in (
        ("key in (select key from regions('main~1') where has('chair'))", ["a.jpg", "b.jpg"]),
        (
            "has('stool') and key in (select key from samples('main~1') where has('chair'))",
            ["b.jpg"],
        ),
        ("split <> (select s.split from samples('staged') s where s.key = samples.key)", ["a.jpg"]),
        ("not exists (from samples('main~1') s where s.uid = samples.uid)", []),
        ("(select count(*) from runs) = 0 and key < 'b'", ["a.jpg"]),
        ("uid in (select uid from pixels where brightness is null)", ["a.jpg", "b.jpg"]),
        ("'main~1' = key or key = 'a.jpg'", ["a.jpg"]),
    ):
        assert keys_where(main, expression) == found, expression
    with pytest.raises(NotFoundError, match="unknown revision 'nope'"):
        keys_where(main, "key in (select key from samples('nope'))")
    with pytest.raises(UsageError, match="no class 'chiar' in --where"):
        keys_where(main, "key in (select key from samples('main~1') where has('chiar'))")
    chosen = regions_where(main, "key in (select key from samples('main~1')) and has('stool')")
    assert [key for key, _ in chosen] == ["b.jpg"]


def test_a_choice_reads_predictions(repo: Repository) -> None:
    chair = repo.at("main").vocabulary.find("category", "chair")
    assert chair is not None
    with repo.transaction("import", "m") as txn:
        put_predictions(txn, repo, "m", [sample_of(2, chair, source="model:m", score=0.75)], "")
        txn.commit()
    sure = "uid in (select uid from predictions('m') where score > 0.5)"
    assert keys_where(repo.at("main"), sure) == ["b.jpg"]


def test_a_class_on_the_image_or_in_it() -> None:
    for asked, found in (
        ("has_image('furniture')", ["a.jpg"]),
        ("has_image('stool')", []),
        ("has_region('stool')", ["a.jpg"]),
        ("has_region('chair')", []),
        ("list_contains(image_classes, 'furniture/chair')", ["a.jpg"]),
        ("region_classes = ['person']", ["é/b.png"]),
    ):
        assert ask(shop(), f"SELECT key FROM samples WHERE {asked}") == found
        assert keys_where(shop(), asked) == found
    query = """
        SELECT r.n FROM samples s JOIN regions r USING (uid)
        WHERE has_image(s, 'furniture') AND has(r, 'stool')
    """
    assert ask(shop(), query) == [1]


@pytest.mark.parametrize(
    ("query", "kind", "message", "hint"),
    [
        ("FROM samples('nope')", NotFoundError, "unknown revision 'nope'", "vgr branch"),
        ("FROM samples('mian')", NotFoundError, "unknown revision 'mian'", "'main'"),
        ("FROM predictions('x')", NotFoundError, "no prediction set 'x'", "vgr predictions ls"),
        ("FROM sample", UsageError, "no table 'sample' at character 6", "samples"),
        ("SELECT ke FROM samples", UsageError, "no column 'ke' at character 8", "key"),
        ("SELECT key\nFROM samples\nWHER 1", UsageError, "no SQL at line 3, character 6", ""),
        ("SELECT key FROM samples('main') x WHERE splitt = 1", UsageError, "character 41", "split"),
        ("SELECT", UsageError, "this is no SQL", ""),
        ("SELECT 1; SELECT 2", UsageError, "one statement, not 2", ""),
        ("  ", UsageError, "the query is empty", "vgr sql"),
        ("show tables", UsageError, "SHOW knows nothing of the tables", "vgr ls --columns"),
        ("SELECT has('chiar') FROM samples", UsageError, "no class 'chiar'", "chair"),
        ("PIVOT samples ON split", UsageError, "PIVOT needs to be told", "IN ("),
        ("SELECT key::INT FROM samples", UsageError, "a.jpg", ""),
    ],
)
def test_what_is_wrong_is_told(
    repo: Repository, query: str, kind: type[VoyagerError], message: str, hint: str
) -> None:
    with pytest.raises(kind) as caught:
        repo.at("main").sql(query)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_version_in_memory_knows_no_others() -> None:
    with pytest.raises(UsageError, match="in no repository"):
        shop().sql("FROM samples('main')")


# -- nothing but reading --------------------------------------------------------------------------

REFUSED = [
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE MACRO has(x) AS 1",
    "INSERT INTO samples VALUES (1)",
    "DELETE FROM samples",
    "UPDATE samples SET split = 'train'",
    "DROP VIEW samples",
    "COPY samples TO '{file}'",
    "COPY (SELECT 1) TO '{file}' (FORMAT parquet)",
    "COPY samples FROM '{file}'",
    "EXPORT DATABASE '{file}'",
    "IMPORT DATABASE '{file}'",
    "ATTACH '{file}'",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET memory_limit",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "CALL pragma_version()",
    "PREPARE p AS SELECT 1",
    "BEGIN",
    "VACUUM",
    "EXPLAIN ANALYZE SELECT 1",
    "SELECT * FROM read_csv('{file}')",
    "SELECT * FROM read_text('{file}')",
    "SELECT * FROM read_blob('{file}')",
    "SELECT * FROM read_json('{file}')",
    "SELECT * FROM read_parquet('{file}')",
    "SELECT * FROM parquet_metadata('{file}')",
    "SELECT * FROM sniff_csv('{file}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{file}'",
    "SELECT * FROM query('SELECT * FROM read_text(''{file}'')')",
    "SELECT * FROM query_table('{file}')",
    "SELECT * FROM read_csv('{url}')",
    "SELECT * FROM '{url}'",
    "SELECT getenv('HOME')",
    "SELECT * FROM secret_of_the_caller",
    "SELECT load_aws_credentials()",
    "WITH x AS (DELETE FROM samples RETURNING *) FROM x",
]


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_only_reads(
    query: str, repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is read or written, nobody is called, and the next query finds all as it was."""
    secret_of_the_caller = shop().tables["samples"]
    assert secret_of_the_caller.num_rows == 3
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    file = folder / "secret.csv"
    file.write_text("secret\n1\n")
    monkeypatch.chdir(folder)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.csv"
        with pytest.raises(UsageError) as caught:
            repo.at("main").sql(query.format(file=file, folder=folder, url=url))
        with pytest.raises(BlockingIOError):
            server.accept()
    assert "secret\n1" not in caught.value.message
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]
    assert file.read_text() == "secret\n1\n"
    assert ask(repo.at("main"), "SELECT count(*) FROM samples") == [2]


def test_nothing_is_left_for_the_next_query(repo: Repository) -> None:
    assert ask(repo.at("main"), "SELECT count(*) FROM samples('main~1')") == [2]
    with pytest.raises(UsageError, match="no table"):
        repo.at("main").sql("FROM \"samples('main~1')\"")
    with pytest.raises(UsageError):
        repo.at("main").sql("FROM __vgr_0")


@pytest.mark.parametrize("way", ["sql", "where"])
def test_ctrl_c_ends_a_query(way: str) -> None:
    version = shop()
    endless = "(SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000) b)"
    interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        interrupt.start()
        ask(version, f"SELECT {endless}") if way == "sql" else keys_where(version, f"{endless} > 0")
    assert ask(version, "SELECT count(*) FROM samples") == [3]


def test_columns_of_one_name_are_numbered() -> None:
    found = shop().sql("SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS A")
    assert found.to_pylist() == [{"a": 1, "a_2": 2, "a_2_2": 3, "A": 4}]


def test_what_is_no_text_is_no_query() -> None:
    for query in (b"SELECT 'a\xff'", b"\xff"):
        with pytest.raises(UsageError, match="UTF-8"):
            shop().sql(query.decode(errors="surrogateescape"))
        with pytest.raises(UsageError, match="UTF-8"):
            keys_where(shop(), query.decode(errors="surrogateescape"))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voyager.repo.sql._IDLE", [])
    monkeypatch.setattr("voyager.repo.sql._MEMORY", "64MB")
    with pytest.raises(UsageError, match="too much memory"):
        shop().sql("SELECT list(x) FROM range(100000000) t(x)")
