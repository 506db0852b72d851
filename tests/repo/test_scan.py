"""Comparing the working tree with the tracked files, on real files."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voyager.errors import NotFoundError
from voyager.repo import walk
from voyager.repo.ignore import Ignore
from voyager.repo.scan import FileStat, WorktreeChanges, compare
from voyager.repo.stat_cache import StatCache

HOUR = 3600 * 10**9


class Later(StatCache):
    """A cache whose clock is an hour ahead, so that files made just now are old enough to trust."""

    def now_ns(self) -> int:
        now = super().now_ns()
        return now and now + HOUR


class Files:
    """Tracked files as a dict of key → (bytes, executable), counting the walks over them."""

    def __init__(self, files: dict[str, tuple[bytes, bool]], token: bytes | None = None) -> None:
        self.files = files
        self.rows = [
            (key, blake3(data).digest(), len(data), executable)
            for key, (data, executable) in sorted(files.items(), key=lambda item: item[0].encode())
        ]
        self.token = token or blake3(repr(self.rows).encode()).digest(16)
        self.walks = 0

    def iter_blobs(self) -> Iterator[tuple[str, bytes, int, bool]]:
        self.walks += 1
        return iter(self.rows)


class Tree:
    """A working tree in a folder, with its cache beside it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "tree"
        self.root.mkdir()
        self.cache_folder = folder / "cache"

    def write(self, key: str, data: bytes | str = b"", *, executable: bool = False) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(0o755 if executable else 0o644)

    def tracked(self) -> Files:
        """All that lies in the tree now, as tracked files."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                executable = bool(path.stat().st_mode & 0o100)
                found[str(path.relative_to(self.root))] = (path.read_bytes(), executable)
        return Files(found)

    def compare(
        self,
        tracked: Files,
        *,
        paths: Iterable[str] | None = None,
        kind: type[StatCache] = Later,
    ) -> WorktreeChanges:
        cache = kind.open(self.cache_folder)
        return compare(self.root, tracked, cache, Ignore(self.root), paths=paths)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys that are read from now on."""
    read: list[str] = []
    hash_file = walk.TreeReader.hash_file

    def noted(reader: walk.TreeReader, key: str) -> bytes:
        read.append(key)
        return hash_file(reader, key)

    monkeypatch.setattr(walk.TreeReader, "hash_file", noted)
    return read


def keys(changes: WorktreeChanges) -> dict[str, list[str]]:
    """The lists that are not empty, by key."""
    found = {
        "modified": [entry.key for entry in changes.modified],
        "mode_changed": [entry.key for entry in changes.mode_changed],
        "untracked": [entry.key for entry in changes.untracked],
        "deleted": changes.deleted,
        "skipped": [path for path, _ in changes.skipped],
    }
    return {name: value for name, value in found.items() if value}


# -- what is found --------------------------------------------------------------------------------


def test_every_kind_of_change(tree: Tree) -> None:
    for name in ("same", "edited", "longer", "mode", "gone", "a/b/deep", "a.b", "a0", "x/1"):
        tree.write(name, name)
    tracked = tree.tracked()
    tree.write("edited", "EDITED")
    tree.write("longer", "longer!")
    tree.write("mode", "mode", executable=True)
    tree.write("a/b/new", "new")
    (tree.root / "gone").unlink()
    shutil.rmtree(tree.root / "x")
    for _ in range(3):
        changes = tree.compare(tracked)
        assert keys(changes) == {
            "modified": ["edited", "longer"],
            "mode_changed": ["mode"],
            "untracked": ["a/b/new"],
            "deleted": ["gone", "x/1"],
        }
        assert changes.unchanged == 4
        assert not changes.clean
    (entry,) = changes.mode_changed
    assert entry.executable
    assert entry.size == 4
    assert entry.blob_id == blake3(b"mode").digest()
    assert entry.stat == FileStat.of(os.stat(tree.root / "mode"))


def test_an_edit_with_a_new_mode_is_an_edit(tree: Tree) -> None:
    tree.write("a", "1")
    tracked = tree.tracked()
    tree.write("a", "2", executable=True)
    assert keys(tree.compare(tracked)) == {"modified": ["a"]}


def test_a_file_where_a_folder_was_and_the_reverse(tree: Tree) -> None:
    tree.write("a/1", "x")
    tree.write("b", "y")
    tracked = tree.tracked()
    shutil.rmtree(tree.root / "a")
    tree.write("a", "x")
    (tree.root / "b").unlink()
    tree.write("b/1", "y")
    expected = {"untracked": ["a", "b/1"], "deleted": ["a/1", "b"]}
    assert keys(tree.compare(tracked)) == expected
    assert keys(tree.compare(tracked, paths=["a", "b"])) == expected


def test_names_are_kept_as_they_are(tree: Tree) -> None:
    names = ["a b", "#x", "k=v", "line\nbreak", "quote'\"", "tab\t", "-rf", "ü", "%41", "~", "\\"]
    names += [unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")]
    for name in names:
        tree.write(name, name)
        tree.write(f"in/{name}/{name}", name)
    tracked = tree.tracked()
    assert keys(tree.compare(tracked)) == {}
    assert tree.compare(tracked).unchanged == 2 * len(names)
    found = tree.compare(Files({}))
    assert [entry.key for entry in found.untracked] == sorted(tracked.files)


def test_the_lists_are_in_byte_order(tree: Tree) -> None:
    for name in ("b", "a/x", "a.x", "a0", "\U00010000", "\uffff", "é", "Z"):
        tree.write(name)
    found = [entry.key for entry in tree.compare(Files({})).untracked]
    assert found == sorted(found, key=str.encode)


def test_progress_counts_the_files_that_are_read(tree: Tree) -> None:
    for name in "abc":
        tree.write(name, name)
    told: list[tuple[int, int | None]] = []
    compare(
        tree.root,
        tree.tracked(),
        Later(tree.cache_folder),
        Ignore(tree.root),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, None), (2, None), (3, None)]


def test_no_such_root(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        compare(tmp_path / "no", Files({}), StatCache(tmp_path / "c"), Ignore(tmp_path))


# -- what need not be done again ------------------------------------------------------------------


def test_nothing_is_read_or_walked_twice(tree: Tree, reads: list[str]) -> None:
    for key in ("a", "b/1", "b/2", "c/d/1"):
        tree.write(key, key)
    tracked = tree.tracked()
    assert tree.compare(tracked).clean
    assert sorted(reads) == ["a", "b/1", "b/2", "c/d/1"]
    assert tracked.walks == 1
    assert tree.compare(tracked).clean
    assert len(reads) == 4
    assert tracked.walks == 1


def test_an_edit_costs_one_read_and_no_walk(tree: Tree, reads: list[str]) -> None:
    for key in ("b/1", "b/2", "b/3", "gone/1", "c/1"):
        tree.write(key, key)
    tracked = tree.tracked()
    tree.compare(tracked)
    reads.clear()
    tree.write("b/2", "B/2")
    tree.write("b/new", "new")
    shutil.rmtree(tree.root / "gone")
    for _ in range(3):
        assert keys(tree.compare(tracked)) == {
            "modified": ["b/2"],
            "untracked": ["b/new"],
            "deleted": ["gone/1"],
        }
    assert reads == ["b/2"]
    assert tracked.walks == 1


def test_another_set_of_the_same_files_costs_one_walk_and_no_read(
    tree: Tree, reads: list[str]
) -> None:
    for key in ("a/1", "a/2", "b/1"):
        tree.write(key, key)
    tree.compare(tree.tracked())
    reads.clear()
    other = Files({**tree.tracked().files, "b/2": (b"", False)}, token=b"other")
    assert keys(tree.compare(other)) == {"deleted": ["b/2"]}
    assert keys(tree.compare(other)) == {"deleted": ["b/2"]}
    assert reads == []
    assert other.walks == 1


def test_another_name_for_the_same_files_costs_one_walk(tree: Tree, reads: list[str]) -> None:
    tree.write("a/1", "1")
    tree.compare(tree.tracked())
    reads.clear()
    other = Files(tree.tracked().files, token=b"other")
    for _ in range(2):
        assert tree.compare(other).clean
    assert reads == []
    assert other.walks == 1


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"1": (b"1", False), "2": (b"2", True)}, {"mode_changed": ["2"]}),
        ({"1": (b"1", False), "3": (b"2", False)}, {"untracked": ["2"], "deleted": ["3"]}),
        ({"1": (b"2", False), "2": (b"1", False)}, {"modified": ["1", "2"]}),
        ({"1": (b"1", False)}, {"untracked": ["2"]}),
    ],
)
def test_another_set_is_told_apart_without_reading(
    tree: Tree, reads: list[str], files: dict[str, tuple[bytes, bool]], found: dict[str, list[str]]
) -> None:
    tree.write("1", "1")
    tree.write("2", "2")
    tree.compare(tree.tracked())
    reads.clear()
    assert keys(tree.compare(Files(files))) == found
    assert reads == []


def test_folders_that_are_gone_are_forgotten(tree: Tree) -> None:
    tree.write("a/1", "1")
    tree.write("b/1", "1")
    tree.compare(Files({}))
    assert set(Later.open(tree.cache_folder).directories()) == {"a", "b"}
    shutil.rmtree(tree.root / "a")
    tree.compare(Files({}))
    assert list(Later.open(tree.cache_folder).directories()) == ["b"]


def test_touched_files_are_read_once(tree: Tree, reads: list[str]) -> None:
    tree.write("a", "a")
    tracked = tree.tracked()
    tree.compare(tracked)
    os.utime(tree.root / "a", ns=(0, 0))
    reads.clear()
    for _ in range(3):
        assert tree.compare(tracked).clean
    assert reads == ["a"]


def test_what_add_notes_is_not_read_again(tree: Tree, reads: list[str]) -> None:
    tree.write("a/1", "1")
    tree.write("a/2", "2")
    tree.write("a/left", "3")
    before = Files({})
    found = tree.compare(before).untracked
    cache = Later.open(tree.cache_folder)
    assert cache.token == before.token
    added = Files({key: tree.tracked().files[key] for key in ("a/1", "a/2")})
    notes = [
        (entry.key, entry.stat, blake3(b"%d" % n).digest()) for n, entry in enumerate(found, 1)
    ]
    cache.update(notes[:2], token=added.token)
    assert keys(tree.compare(added)) == {"untracked": ["a/left"]}
    assert reads == []
    assert added.walks == 0

    Later.open(tree.cache_folder).update(notes[2:])
    (entry,) = tree.compare(added).untracked
    assert entry.blob_id == blake3(b"3").digest()
    assert added.walks == 0


# -- what is not to be trusted --------------------------------------------------------------------


def lie(tree: Tree, tracked: Files, kind: type[StatCache]) -> WorktreeChanges:
    """Note the tracked contents for files whose stat belongs to other bytes, and compare."""
    notes = [
        (key, FileStat.of(os.stat(tree.root / key)), blob_id)
        for key, blob_id, _, _ in tracked.iter_blobs()
    ]
    kind.open(tree.cache_folder).update(notes, token=tracked.token)
    return tree.compare(tracked, kind=kind)


def test_a_rewrite_within_the_grain_of_the_clock_is_found(tree: Tree) -> None:
    tree.write("a", "old")
    tracked = tree.tracked()
    tree.write("a", "new")
    assert keys(lie(tree, tracked, StatCache)) == {"modified": ["a"]}


def test_an_old_stat_is_trusted(tree: Tree) -> None:
    tree.write("a", "old")
    tracked = tree.tracked()
    tree.write("a", "new")
    assert lie(tree, tracked, Later).clean


def test_a_rewrite_of_the_same_size_and_time_is_found(tree: Tree) -> None:
    tree.write("a", "old")
    os.utime(tree.root / "a", ns=(0, 0))
    tracked = tree.tracked()
    tree.compare(tracked, kind=StatCache)
    tree.write("a", "new")
    os.utime(tree.root / "a", ns=(0, 0))
    assert keys(tree.compare(tracked, kind=StatCache)) == {"modified": ["a"]}


def test_another_file_of_the_same_size_and_time_is_found(tree: Tree) -> None:
    tree.write("a", "old")
    os.utime(tree.root / "a", ns=(0, 0))
    tracked = tree.tracked()
    tree.compare(tracked)
    tree.write("b", "new")
    os.utime(tree.root / "b", ns=(0, 0))
    assert os.stat(tree.root / "a").st_ino != os.stat(tree.root / "b").st_ino
    os.replace(tree.root / "b", tree.root / "a")
    assert keys(tree.compare(tracked)) == {"modified": ["a"]}


def test_a_damaged_cache_changes_no_answer(tree: Tree) -> None:
    for key in ("a/1", "a/2", "b/1", "gone/1"):
        tree.write(key, key)
    tracked = tree.tracked()
    tree.compare(tracked)
    tree.write("a/2", "A/2")
    tree.write("b/new", "new")
    shutil.rmtree(tree.root / "gone")
    expected = keys(tree.compare(tracked))
    blocks = tree.cache_folder / "blocks"
    data = blocks.read_bytes()
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        blocks.write_bytes(damaged)
        assert keys(tree.compare(tracked)) == expected
        assert keys(tree.compare(tracked, paths=["a", "gone"])).get("deleted") == ["gone/1"]
    for length in range(0, len(data), 31):
        blocks.write_bytes(data[:length])
        assert keys(tree.compare(tracked)) == expected


def test_without_a_place_for_the_cache(tree: Tree, reads: list[str]) -> None:
    tree.write("a", "a")
    tracked = tree.tracked()
    tree.cache_folder.write_text("in the way")
    for _ in range(2):
        assert tree.compare(tracked).clean
    assert reads == ["a", "a"]
    assert tracked.walks == 2


# -- what cannot be versioned ---------------------------------------------------------------------


def test_links(tree: Tree, tmp_path: Path) -> None:
    tree.write("real/1", "1")
    tree.write("real/2", "2", executable=True)
    (tmp_path / "outside").write_text("secret")
    (tree.root / ".vgr").mkdir()
    (tree.root / ".vgr" / "config").touch()
    links = {
        "in": "real/1",
        "sub/up": "../real/2",
        "chain": "in",
        "absolute": str(tree.root / "real" / "1"),
        "odd": "real/../real/./1",
        "out": "../outside",
        "out_absolute": str(tmp_path / "outside"),
        "nothing": "no such file",
        "loop": "loop",
        "folder": "real",
        "dots": "sub/..",
        "config": ".vgr/config",
        "device": "/dev/null",
    }
    (tree.root / "sub").mkdir()
    for key, target in links.items():
        (tree.root / key).symlink_to(target)
    changes = tree.compare(Files({}))
    found = {entry.key: entry for entry in changes.untracked}
    followed = {"in", "sub/up", "chain", "absolute", "odd"}
    assert found.keys() == followed | {"real/1", "real/2"}
    assert found["sub/up"].stat == FileStat.of(os.stat(tree.root / "real/2"))
    assert found["sub/up"].executable
    reasons = dict(changes.skipped)
    assert reasons.keys() == links.keys() - followed
    for key in ("out", "out_absolute", "config"):
        assert reasons[key] == "a link out of the working tree"
    assert reasons["nothing"] == reasons["loop"] == "a link to nothing"
    assert reasons["folder"] == reasons["dots"] == "a link to a directory"


def test_a_link_is_as_its_target(tree: Tree, reads: list[str]) -> None:
    tree.write("real", "1")
    (tree.root / "link").symlink_to("real")
    tracked = tree.tracked()
    assert tree.compare(tracked).clean
    assert tree.compare(tracked).clean
    assert sorted(reads) == ["link", "real"]
    tree.write("real", "2")
    assert keys(tree.compare(tracked)) == {"modified": ["link", "real"]}


def test_a_root_that_is_a_link(tree: Tree, tmp_path: Path) -> None:
    tree.write("a/1", "1")
    (tree.root / "l").symlink_to("a/1")
    tracked = tree.tracked()
    (tmp_path / "other").symlink_to("tree")
    tree.root = tmp_path / "other"
    assert keys(tree.compare(tracked)) == {}


def test_a_folder_become_a_link_is_not_deleted(tree: Tree, tmp_path: Path) -> None:
    tree.write("a/b/1", "1")
    tree.write("a2", "2")
    tracked = tree.tracked()
    tree.compare(tracked)
    os.rename(tree.root / "a", tmp_path / "moved")
    (tree.root / "a").symlink_to(tmp_path / "moved")
    for paths in (None, ["a"], ["a/b"], ["a/b/1"]):
        changes = tree.compare(tracked, paths=paths)
        assert changes.clean
        assert len(changes.skipped) == 1
        assert changes.unchanged == (paths is None)


def test_a_tracked_file_become_something_odd_is_not_deleted(tree: Tree) -> None:
    tree.write("a", "1")
    tree.write("b", "2")
    tracked = tree.tracked()
    tree.write(".vgrignore", "*")
    for key, make in (("a", os.mkfifo), ("b", lambda path: os.symlink("nowhere", path))):
        (tree.root / key).unlink()
        make(tree.root / key)
    for _ in range(2):
        assert tree.compare(tracked).skipped == [
            ("a", "neither file nor directory"),
            ("b", "a link to nothing"),
        ]
        assert tree.compare(tracked).clean


def test_names_that_are_no_utf8(tree: Tree) -> None:
    tree.write("good", "1")
    for name in (b"b\xffd", b"dir\xe9/x"):
        path = os.path.join(os.fsencode(tree.root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).touch()
    for _ in range(2):
        changes = tree.compare(Files({}))
        assert keys(changes) == {"untracked": ["good"], "skipped": [r"b\xffd", r"dir\xe9"]}
        assert {reason for _, reason in changes.skipped} == {"its name is not UTF-8"}


def test_repositories_in_repositories(tree: Tree) -> None:
    tree.write(".vgr/index", "")
    tree.write("a/nested/.vgr/index", "")
    tree.write("a/nested/1", "1")
    tree.write("a/file/.vgr", "")
    tree.write("a/file/1", "1")
    tree.write("a/.git/config", "")
    expected = {"untracked": ["a/file/1"], "skipped": ["a/nested"]}
    assert keys(tree.compare(Files({}))) == expected
    tracked = Files({"a/nested/1": (b"1", False)})
    assert keys(tree.compare(tracked)) == expected
    for path in ("a/nested/1", "a/nested/sub", ".vgr", ".vgr/index"):
        assert keys(tree.compare(tracked, paths=[path])) == {"skipped": [path]}


def test_folders_that_cannot_be_read(reads: list[str]) -> None:
    folder = Path(tempfile.mkdtemp())  # all of its parents may be entered by anybody
    try:
        folder.chmod(0o777)
        tree = Tree(folder)
        for key in ("shut/1", "shut/in/1", "listed/1", "a"):
            tree.write(key, key)
        tree.write("secret", "x")
        tracked = tree.tracked()
        (tree.root / "shut").chmod(0)
        (tree.root / "listed").chmod(0o644)
        (tree.root / "secret").chmod(0o044)
        with unprivileged(folder):
            for _ in range(2):
                changes = tree.compare(tracked)
                assert changes.skipped == [
                    ("listed/1", "unreadable: Permission denied"),
                    ("secret", "unreadable: Permission denied"),
                    ("shut", "unreadable: Permission denied"),
                ]
                assert changes.clean
                assert changes.unchanged == 1
        assert "a" in reads
    finally:
        for name in ("shut", "listed"):
            (folder / "tree" / name).chmod(0o755)
        shutil.rmtree(folder)


@contextlib.contextmanager
def unprivileged(folder: Path) -> Iterator[None]:
    """Act as the owner of `folder`, nobody, where the tests run as root, who may read all."""
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# -- ignored --------------------------------------------------------------------------------------


def test_ignored_names_are_silent_and_tracked_ones_stay(tree: Tree) -> None:
    tree.write("a/kept.tmp", "1")
    tree.write("out/kept", "2")
    tree.write("Thumbs.db", "3")
    tracked = tree.tracked()
    tree.write(".vgrignore", "*.tmp\nout\n")
    tree.write("a/new.tmp", "")
    tree.write("a/.DS_Store", "")
    tree.write("out/new", "")
    tree.write("out/deeper/new", "")
    os.mkfifo(tree.root / "pipe.tmp")
    for _ in range(2):
        changes = tree.compare(tracked)
        assert keys(changes) == {"untracked": [".vgrignore"]}
        assert changes.unchanged == 3
    tree.write("out/kept", "3")
    assert keys(tree.compare(tracked, paths=["out", "a/new.tmp"])) == {"modified": ["out/kept"]}


def test_new_rules_count_at_once(tree: Tree) -> None:
    tree.write("a/b", "")
    cache, ignore = StatCache.open(tree.cache_folder), Ignore(tree.root)
    assert not ignore.matches("a/b", False)
    assert keys(compare(tree.root, Files({}), cache, ignore)) == {"untracked": ["a/b"]}
    tree.write("a/.vgrignore", "*")
    assert keys(compare(tree.root, Files({}), cache, ignore)) == {}


# -- some paths only ------------------------------------------------------------------------------


def test_paths(tree: Tree) -> None:
    for key in ("a/1", "a/2", "ab/1", "a/b/1", "c/1", "d"):
        tree.write(key, key)
    tracked = tree.tracked()
    for key in ("a/1", "ab/1", "a/b/1", "c/1", "d"):
        tree.write(key, key.upper())
    tree.write("a/new", "")
    (tree.root / "a/2").unlink()
    shutil.rmtree(tree.root / "c")

    def compared(*paths: str) -> dict[str, list[str]]:
        found = keys(tree.compare(tracked, paths=paths))
        tree.compare(tracked)  # warm the cache for the next round
        assert keys(tree.compare(tracked, paths=paths)) == found
        shutil.rmtree(tree.cache_folder)
        return found

    everything = keys(tree.compare(tracked))
    assert compared("") == compared("", "a") == everything
    in_a = {"modified": ["a/1", "a/b/1"], "untracked": ["a/new"], "deleted": ["a/2"]}
    assert compared("a") == compared("a", "a/1", "a/b") == in_a
    assert compared("a/1", "d") == {"modified": ["a/1", "d"]}
    assert compared("a/2") == {"deleted": ["a/2"]}
    assert compared("a/new") == {"untracked": ["a/new"]}
    assert compared("c") == compared("c/1") == {"deleted": ["c/1"]}
    assert compared("no", "a/no", "d/no", "no/no") == {}
    assert compared() == {}


def test_a_part_looked_at_with_other_tracked_files_does_not_mislead(tree: Tree) -> None:
    tree.write("a/1", "a")
    tree.write("b/1", "b")
    first = tree.tracked()
    tree.compare(first)
    second = Files({**first.files, "b/1": (b"B", False)})
    assert keys(tree.compare(second, paths=["a"])) == {}
    assert keys(tree.compare(second)) == {"modified": ["b/1"]}
    assert keys(tree.compare(second, paths=["b/1"])) == {"modified": ["b/1"]}
    assert keys(tree.compare(first)) == {}
    assert keys(tree.compare(second, paths=["b"])) == {"modified": ["b/1"]}
    assert keys(tree.compare(first)) == {}


# -- a tree that changes while it is read ---------------------------------------------------------


def test_what_vanishes_meanwhile_is_deleted(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("a/1", "b/1", "c/1", "c/2", "d/1"):
        tree.write(key, key)
    tracked = tree.tracked()
    stat_all, hash_file = walk._stat_all, walk.TreeReader.hash_file

    def stat_after_removals(fd: int, names: list[str]) -> bytes:
        rows = stat_all(fd, names)
        if "a" in names:
            shutil.rmtree(tree.root / "b")
        if names == ["1", "2"]:
            (tree.root / "c/2").unlink()
        return stat_all(fd, names) if names == ["1", "2"] else rows

    def hash_after_removal(reader: walk.TreeReader, key: str) -> bytes:
        if key == "d/1":
            shutil.rmtree(tree.root / "d")
        return hash_file(reader, key)

    monkeypatch.setattr(walk, "_stat_all", stat_after_removals)
    monkeypatch.setattr(walk.TreeReader, "hash_file", hash_after_removal)
    changes = tree.compare(tracked)
    assert keys(changes) == {"deleted": ["b/1", "c/2", "d/1"]}
    assert changes.unchanged == 2


# -- against a model ------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "a/x", "a/y", "a/b/x", "a/b/y", "b/x", "c", "a.b", "a0"])
DATA = st.sampled_from([b"", b"1", b"2", b"11", b"22"])


class Edits(RuleBasedStateMachine):
    """Random edits of a tree and of what is tracked, compared with reading everything."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.tree = Tree(self.folder)
        self.tracked = Files({})

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize(kind=st.sampled_from([Later, StatCache]))
    def choose_clock(self, kind: type[StatCache]) -> None:
        self.kind = kind

    @rule(key=KEYS, data=DATA, executable=st.booleans())
    def write(self, key: str, data: bytes, executable: bool) -> None:
        for parent in reversed(Path(key).parents):
            if (self.tree.root / parent).is_file():
                (self.tree.root / parent).unlink()
        if (self.tree.root / key).is_dir():
            shutil.rmtree(self.tree.root / key)
        # Written beside and moved in: in place, within one tick of the kernel's clock, the stat
        # would be the same, which only the real clock's rule is there to catch.
        self.tree.write("new", data, executable=executable)
        (self.tree.root / key).parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.tree.root / "new", self.tree.root / key)

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        path = self.tree.root / key
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()

    @rule(key=KEYS)
    def touch(self, key: str) -> None:
        if (self.tree.root / key).is_file():
            os.utime(self.tree.root / key, ns=(0, 0))

    @rule(key=KEYS, data=DATA, executable=st.booleans())
    def track(self, key: str, data: bytes, executable: bool) -> None:
        self.tracked = Files({**self.tracked.files, key: (data, executable)})

    @rule(key=KEYS)
    def untrack(self, key: str) -> None:
        files = {name: file for name, file in self.tracked.files.items() if name != key}
        self.tracked = Files(files)

    @rule(among=st.sets(KEYS, max_size=4))
    def look_at_some(self, among: set[str]) -> None:
        changes = self.compare(paths=among)
        assert changes == self.model(among)

    @rule(among=st.sets(KEYS))
    def add(self, among: set[str]) -> None:
        """What `vgr add -A` does with the cache."""
        changes = self.compare(paths=among)
        cache = self.kind.open(self.tree.cache_folder)
        files = dict(self.tracked.files)
        notes = []
        for key in (*changes["modified"], *changes["mode_changed"], *changes["untracked"]):
            found = os.stat(self.tree.root / key)
            data = (self.tree.root / key).read_bytes()
            files[key] = (data, bool(found.st_mode & stat.S_IXUSR))
            notes.append((key, FileStat.of(found), blake3(data).digest()))
        for key in changes["deleted"]:
            del files[key]
        after = Files(files)
        token = after.token if cache.token == self.tracked.token else None
        cache.update(notes, removed=changes["deleted"], token=token)
        self.tracked = after

    @rule(at=st.floats(0, 1), mask=st.integers(1, 255))
    def damage(self, at: float, mask: int) -> None:
        path = self.tree.cache_folder / "blocks"
        if path.exists():
            data = bytearray(path.read_bytes())
            data[min(int(at * len(data)), len(data) - 1)] ^= mask
            path.write_bytes(data)

    @invariant()
    def nothing_is_overlooked(self) -> None:
        assert self.compare() == self.model({""})

    def compare(self, paths: set[str] | None = None) -> dict[str, list[str]]:
        changes = self.tree.compare(self.tracked, paths=paths, kind=self.kind)
        return {
            "modified": [entry.key for entry in changes.modified],
            "mode_changed": [entry.key for entry in changes.mode_changed],
            "untracked": [entry.key for entry in changes.untracked],
            "deleted": changes.deleted,
        }

    def model(self, among: set[str]) -> dict[str, list[str]]:
        found = self.tree.tracked().files
        found = {key: file for key, file in found.items() if is_among(key, among)}
        tracked = {key: file for key, file in self.tracked.files.items() if is_among(key, among)}
        both = sorted(found.keys() & tracked.keys())
        return {
            "modified": [key for key in both if found[key][0] != tracked[key][0]],
            "mode_changed": [
                key
                for key in both
                if found[key][0] == tracked[key][0] and found[key][1] != tracked[key][1]
            ],
            "untracked": sorted(found.keys() - tracked.keys()),
            "deleted": sorted(tracked.keys() - found.keys()),
        }


def is_among(key: str, paths: set[str]) -> bool:
    return any(not path or key == path or key.startswith(f"{path}/") for path in paths)


TestEdits = Edits.TestCase
TestEdits.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


@pytest.mark.deep
def test_many_edits() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Edits, settings=settings(max_examples=1500, stateful_step_count=30, deadline=None)
    )
