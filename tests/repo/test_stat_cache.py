"""The stat cache: what it remembers, what it does not trust, and damage."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from blake3 import blake3

from voyager.repo.stat_block import UNKNOWN, Block, Content, FileStat, Tracked
from voyager.repo.stat_cache import StatCache

SECOND = 10**9
NOW = 1_700_000_000 * SECOND


def blob(text: str) -> bytes:
    return blake3(text.encode()).digest()


def stat_at(time_ns: int, *, size: int = 5, inode: int = 7, mode: int = 0o100644) -> FileStat:
    return FileStat(mode, size, time_ns, time_ns, inode)


OLD = stat_at(NOW - 10 * SECOND)


def note(cache: StatCache, *keys: str, token: bytes | None = None, stat: FileStat = OLD) -> None:
    cache.update([(key, stat, blob(key)) for key in keys], token=token, as_of_ns=NOW)


def contents(cache: StatCache, directory: str) -> dict[str, Content]:
    block = cache.block(directory)
    assert block is not None
    return dict(block.iter_contents())


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache.open(tmp_path / "cache")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the cache."""
    return tmp_path / "cache" / "blocks"


def again(path: Path) -> StatCache:
    return StatCache.open(path.parent)


# -- remembering ----------------------------------------------------------------------------------


def test_what_is_noted_is_there_on_the_next_opening(cache: StatCache, path: Path) -> None:
    note(cache, "b/2", "a", "b/1", "b/ü\nx", token=b"T")
    for seen in (cache, again(path)):
        assert seen.token == b"T"
        assert set(seen.directories()) == set(seen.tracked_directories()) == {"", "b"}
        assert list(contents(seen, "b")) == ["1", "2", "ü\nx"]
        assert contents(seen, "")["a"] == Content(OLD.pack(), blob("a"))
        assert seen.block("c") == Block()


def test_later_notes_replace_and_remove(cache: StatCache, path: Path) -> None:
    note(cache, "a/1", "a/3", "b/1", token=b"T")
    changed = [("a/2", OLD, blob("new")), ("a/3", OLD, blob("other"))]
    cache.update(changed, removed=["a/1", "b/1"], token=b"U", as_of_ns=NOW)
    seen = again(path)
    assert seen.token == b"U"
    assert {name: found.blob_id for name, found in contents(seen, "a").items()} == {
        "2": blob("new"),
        "3": blob("other"),
    }
    assert list(seen.directories()) == ["a"]


def test_without_a_token_what_is_tracked_stays(cache: StatCache, path: Path) -> None:
    note(cache, "same", "edited", "gone", token=b"T")
    edits = [("edited", OLD, blob("other")), ("new", OLD, blob("new"))]
    cache.update(edits, removed=["gone", "never"], as_of_ns=NOW)
    seen = again(path)
    block = seen.block("")
    assert seen.token == b"T"
    assert block is not None
    assert block.tracked() == {
        name: Tracked(blob(name), 5, False) for name in ("same", "edited", "gone")
    }
    assert block.differs.keys() == {"edited", "gone", "new"}

    back = [("edited", OLD, blob("edited")), ("gone", OLD, blob("gone"))]
    seen.update(back, removed=["new"], as_of_ns=NOW)
    restored = again(path).block("")
    assert restored is not None
    assert not restored.differs


def test_untracked_files_alone_track_nothing(cache: StatCache) -> None:
    note(cache, "a/1")
    assert list(cache.directories()) == ["a"]
    assert list(cache.tracked_directories()) == []


def test_the_file_stays_bounded(cache: StatCache, path: Path) -> None:
    keys = [f"{folder}/{name}" for folder in range(20) for name in range(200)]
    note(cache, *keys)
    first = path.stat().st_size
    for turn in range(30):
        note(cache, *keys, stat=stat_at(turn + 1))
    assert path.stat().st_size < 2 * first + (2 << 20)
    assert contents(again(path), "3")["7"].row == stat_at(30).pack()


def test_nothing_new_writes_nothing(cache: StatCache, path: Path) -> None:
    note(cache, "a/1", token=b"T")
    before = path.read_bytes()
    note(cache, "a/1", token=b"T")
    assert path.read_bytes() == before


# -- trust ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mtime", "ctime", "trusted"),
    [
        (-2 * SECOND - 1, -2 * SECOND - 1, True),
        (-2 * SECOND, -9 * SECOND, False),
        (-9 * SECOND, -2 * SECOND, False),
        (0, 0, False),
        (9 * SECOND, -9 * SECOND, False),
    ],
)
def test_a_stat_younger_than_two_seconds_proves_nothing(
    cache: StatCache, mtime: int, ctime: int, trusted: bool
) -> None:
    stat = FileStat(0o100755, 5, NOW + mtime, NOW + ctime, 7)
    cache.update([("old", OLD, blob("old")), ("a", stat, blob("a"))], as_of_ns=NOW)
    kept = contents(cache, "")
    assert (kept["a"].row == stat.pack()) is trusted
    assert kept["a"].as_tracked() == Tracked(blob("a"), 5, True)
    assert kept["old"].row == OLD.pack()


def test_distrust_outlives_later_notes(cache: StatCache) -> None:
    young = stat_at(NOW)
    note(cache, "a", stat=young)
    cache.update([("b", OLD, blob("b"))], as_of_ns=NOW + 60 * SECOND)
    assert contents(cache, "")["a"].row != young.pack()


def test_the_clock_is_that_of_the_file_system(cache: StatCache, tmp_path: Path) -> None:
    before = cache.now_ns()
    (tmp_path / "file").touch()
    assert before <= (tmp_path / "file").stat().st_mtime_ns <= cache.now_ns()
    assert os.listdir(tmp_path / "cache") == []


# -- damage ---------------------------------------------------------------------------------------


def assert_never_wrong(cache: StatCache, states: Iterable[dict[str, Block]]) -> None:
    """The cache holds one of the states that were written, less some blocks."""
    tokens = [None, b"T", b"U"]
    state = list(states)[tokens.index(cache.token)]
    assert set(cache.directories()) == set(state)
    for directory, block in state.items():
        assert cache.block(directory) in (block, None)


@pytest.fixture
def states(cache: StatCache) -> list[dict[str, Block]]:
    """The states of a cache that was written twice, the empty one first."""
    found: list[dict[str, Block]] = [{}]
    for token, keys in ((b"T", ("a/1", "a/2", "b/1")), (b"U", ("b/1", "b/2", "c/d/1"))):
        note(cache, *keys, token=token)
        found.append({name: cache.block(name) or Block() for name in cache.directories()})
    return found


def test_no_flipped_bit_gives_a_wrong_answer(path: Path, states: list[dict[str, Block]]) -> None:
    data = path.read_bytes()
    assert_never_wrong(again(path), states)
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        assert_never_wrong(again(path), states)


def test_no_cut_gives_a_wrong_answer(path: Path, states: list[dict[str, Block]]) -> None:
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert_never_wrong(again(path), states)


@pytest.mark.usefixtures("states")
def test_a_damaged_cache_is_written_anew(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"half a batch")
    cache = again(path)
    note(cache, "x", token=b"V")
    note(cache, "y", token=b"W")
    seen = again(path)
    assert seen.token == b"W"
    assert list(contents(seen, "")) == ["x", "y"]


@pytest.mark.usefixtures("states")
def test_a_note_beside_a_damaged_block_tells_of_no_set(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    cache = again(path)
    assert cache.block("c/d") is None
    note(cache, "c/d/2", token=b"V")
    assert cache.token is None
    assert list(contents(again(path), "c/d")) == ["2"]


@pytest.mark.parametrize("junk", [b"", b"junk", bytes(500), b"vgrstat1" + bytes(500)])
def test_a_foreign_file_acts_empty(path: Path, junk: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    cache = again(path)
    assert cache.token is None
    assert list(cache.directories()) == []
    note(cache, "a", token=b"T")
    assert again(path).token == b"T"


# -- others, and no place to write ----------------------------------------------------------------


def test_of_two_writers_one_is_heard(cache: StatCache, path: Path) -> None:
    note(cache, "a", token=b"T")
    one, two = again(path), again(path)
    note(one, "b", token=b"U")
    note(two, "c", token=b"V")
    seen = again(path)
    assert seen.token == b"U"
    assert list(contents(seen, "")) == ["a", "b"]
    note(seen, "c", token=b"W")
    assert list(contents(again(path), "")) == ["a", "b", "c"]


def test_where_a_file_stands_for_the_folder_all_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    cache = StatCache.open(tmp_path / "cache")
    assert cache.now_ns() == 0
    cache.update([("a", OLD, blob("a"))], token=b"T")
    note(cache, "a", token=b"T")
    assert cache.token is None
    assert cache.block("") == Block()


def test_where_the_file_cannot_be_written_the_old_state_stays(path: Path) -> None:
    path.mkdir(parents=True)
    cache = again(path)
    note(cache, "a", token=b"T")
    assert cache.token is None


# -- blocks ---------------------------------------------------------------------------------------


def test_a_part_of_a_block_is_taken_out_and_put_back() -> None:
    tracked = Tracked(blob("before"), 5, False)
    content = {name: Content(OLD.pack(), blob(name)) for name in ("a", "b", "d")}
    block = Block.of(content, {"b": tracked, "c": tracked, "d": None})
    part = block.only(["b", "c", "x"])
    assert part.tracked() == {"b": tracked, "c": tracked}
    assert list(part.contents_of(["a", "b", "c"])) == ["b"]

    new = Block.of({"c": Content(OLD.pack(), blob("before"))}, {"b": tracked})
    after = block.with_part(part, new)
    assert [name for name, _ in after.iter_contents()] == ["a", "c", "d"]
    assert after.differs == {"b": tracked, "d": None}
    assert after.tracked().keys() == {"a", "b", "c"}


def test_a_file_nobody_read_has_no_id() -> None:
    assert Content(OLD.pack(), UNKNOWN).known_id is None
    assert Content(OLD.pack(), blob("a")).known_id == blob("a")


def test_a_stat_survives_packing() -> None:
    for stat in (OLD, FileStat(0o100777, 2**40, -SECOND, -1, 2**64 - 1), FileStat(0, 0, 0, 0, 0)):
        assert FileStat.unpack(stat.pack()) == stat
    assert stat_at(0, mode=0o100755).executable
    assert not stat_at(0, mode=0o100655).executable
