"""A stranger's reader: docs/spec.md, msgpack, zstandard and blake3, and not one line of Voyager."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from blake3 import blake3

from voyager.repo.repository import Repository
from voyager.samples import copy_photos

HEADER = struct.Struct("<4sBBHQQ32s8s8s")
KINDS = {1: "node", 2: "snapshot", 3: "commit", 5: "row", 6: "operation", 7: "dictionary"}


class Stranger:
    """Reads a repository from its files as the specification says, verifying every id."""

    def __init__(self, folder: Path) -> None:
        assert (folder / "SPEC").read_text() == "voyager 1\n"
        self.entries: dict[bytes, tuple[int, bytes]] = {}
        self.values: dict[str, Any] = {}
        self.overlay: dict[tuple[str, bytes], Any] = {}
        operations: dict[int, dict[str, Any]] = {}
        files = [*sorted((folder / "log").glob("*.log")), folder / "journal"]
        for path in files:
            for kind, _, data in self._iter_entries(path.read_bytes(), 16):
                if kind == 6:
                    operation = self._decode(data)
                    operations[operation["seq"]] = operation
        dropped = {name for op in operations.values() for name in op.get("dropped", ())}
        for path in (folder / "packs").glob("*.pack"):
            if bytes.fromhex(path.stem) not in dropped:
                self._read_pack(path)
        for _, operation in sorted(operations.items()):
            self._apply(operation)

    def _read_pack(self, path: Path) -> None:
        data = path.read_bytes()
        assert data[:8] == b"VGRPACK\x01"
        magic, offset, length, count, name = struct.unpack("<8sQQQ16s", data[-56:-8])
        assert magic == b"VGRTRLR\x01" and name == bytes.fromhex(path.stem)[:16]
        assert blake3(data[offset:-8]).digest(8) == data[-8:]
        columns = zstandard.ZstdDecompressor().decompress(data[offset : offset + length])
        assert struct.unpack("<Q", columns[:8])[0] == count
        ids = [entry_id for _, entry_id, _ in self._iter_entries(data[:offset], 16)]
        assert [entry_id[:8] for entry_id in ids] == [
            columns[8 + 8 * n : 16 + 8 * n] for n in range(count)
        ]

    def _iter_entries(self, data: bytes, at: int) -> Iterator[tuple[int, bytes, bytes]]:
        dictionary: bytes | None = None
        while at < len(data):
            magic, kind, method, _, stored, real, entry_id, body_sum, head_sum = HEADER.unpack_from(
                data, at
            )
            assert magic == b"VgrE"
            assert blake3(data[at : at + 64]).digest(8) == head_sum
            body = data[at + 72 : at + 72 + stored]
            assert blake3(body).digest(8) == body_sum
            if method == 2:
                assert dictionary is not None
                trained = zstandard.ZstdCompressionDict(dictionary)
                body = zstandard.ZstdDecompressor(dict_data=trained).decompress(body)
            elif method == 1:
                body = zstandard.ZstdDecompressor().decompress(body)
            assert len(body) == real
            if kind == 0:
                assert blake3(body).digest() == entry_id
            else:
                key = f"voyager 1 {KINDS[kind]}".encode().ljust(32, b"\0")
                assert blake3(body, key=key).digest() == entry_id
            if kind == 7:
                dictionary = body
            self.entries[entry_id] = (kind, body)
            yield kind, entry_id, body
            at += 72 + stored

    def _apply(self, operation: dict[str, Any]) -> None:
        for name, _, new in operation.get("moves", ()):
            self.values.pop(name, None)
            if new is not None:
                self.values[name] = new
        if operation.get("clear"):
            self.overlay.clear()
        for space, key, _, new in operation.get("overlay", ()):
            self.overlay.pop((space, key), None)
            if new is not None:
                self.overlay[space, key] = new

    def _decode(self, data: bytes) -> Any:
        return msgpack.unpackb(data, ext_hook=lambda code, body: (code, body), raw=False)

    def object(self, ref: tuple[int, bytes]) -> Any:
        return self._decode(self.entries[ref[1]][1])

    def head(self) -> dict[str, Any]:
        head = self.values["HEAD"]
        return self.object(self.values[head] if isinstance(head, str) else head)

    def rows(self, root: tuple[int, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((key.decode(), row) for key, row in self.cells(root))

    def cells(self, root: tuple[int, bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
        node = self.object(root)
        for key, value in zip(node["k"], node["v"], strict=True):
            if node["l"]:
                yield from self.cells(value)
            else:
                yield key, value if isinstance(value, dict) else self.object(value)

    def classes(self, root: tuple[int, bytes]) -> dict[bytes, str]:
        """The path of every class as 9.7 has it, those of dead ones by what they lead to."""
        nodes = {
            bytes.fromhex(key.partition("/")[2]): (key.partition("/")[0], row)
            for key, row in self.rows(root)
            if "/" in key
        }

        def path(node: bytes) -> str:
            taxonomy, row = nodes[node]
            if row.get("d"):
                return path(row["r"]) if "r" in row else "gone"
            name = row["n"].replace("\\", "\\\\").replace("/", "\\/")
            return f"{path(row['p']) if 'p' in row else taxonomy}/{name}"

        return {node: path(node) for node in nodes}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VGR_AUTHOR_NAME", "Ann")
    monkeypatch.setenv("VGR_AUTHOR_EMAIL", "ann@example.org")
    copy_photos(tmp_path)
    return tmp_path


def test_a_stranger_reads_every_byte(photos: Path) -> None:
    from voyager.repo.add import add
    from voyager.repo.commit import commit

    with Repository.init(photos) as repo:
        add(repo, ["."], cwd=photos)
        commit(repo, "all photos")
        (photos / "note.txt").write_text("staged, not committed\n" * 50)
        add(repo, ["note.txt"], cwd=photos)
    stranger = Stranger(photos / ".vgr")
    commit_object = stranger.head()
    assert commit_object["message"] == "all photos"
    snapshot = stranger.object(commit_object["snapshot"])
    seen = set()
    for space in ("samples", "files"):
        for key, row in stranger.rows(snapshot[space]):
            blob = row["b"] if space == "files" else row["i"]["b"]
            assert stranger.entries[blob[1]][1] == (photos / key).read_bytes()
            seen.add(key)
    on_disk = {
        str(path.relative_to(photos))
        for path in photos.rglob("*")
        if path.is_file() and ".vgr" not in path.parts
    }
    assert seen == on_disk - {"note.txt"}
    staged = stranger.overlay["files", b"note.txt"]
    assert stranger.entries[staged["b"][1]][1] == (photos / "note.txt").read_bytes()


def test_a_stranger_reads_tasks_and_classes(photos: Path) -> None:
    from voyager.repo.commit import commit
    from voyager.repo.tasks import add_task
    from voyager.repo.taxonomies import make_classes, merge_classes, move_classes, remove_classes

    with Repository.init(photos) as repo:
        add_task(repo, "look", {"taxonomy": "fashion", "many": True, "scope": "region"})
        make_classes(repo, ["fashion/shoes/heels", "fashion/boots", "fashion/x"], parents=True)
        make_classes(repo, [r"fashion/bags\/belts"])
        move_classes(repo, ["fashion/shoes"], "fashion/footwear")
        merge_classes(repo, ["fashion/boots"], "fashion/footwear/heels")
        remove_classes(repo, ["fashion/x"])
        commit(repo, "classes")
    stranger = Stranger(photos / ".vgr")
    snapshot = stranger.object(stranger.head()["snapshot"])
    assert dict(stranger.rows(snapshot["tasks"])) == {
        "look": {"m": True, "s": "region", "t": "fashion"}
    }
    assert sorted(stranger.classes(snapshot["taxonomies"]).values()) == [
        r"fashion/bags\/belts",
        "fashion/footwear",
        "fashion/footwear/heels",
        "fashion/footwear/heels",
        "gone",
    ]
    key = b"voyager 1 node id".ljust(32, b"\0")
    heels = blake3(msgpack.packb(["fashion", "shoes/heels", 0]), key=key).digest(16)
    assert stranger.classes(snapshot["taxonomies"])[heels] == "fashion/footwear/heels"


def test_a_stranger_reads_reports_and_predictions(photos: Path, tmp_path: Path) -> None:
    from voyager.formats.importing import import_labels
    from voyager.formats.reading import ReadOptions
    from voyager.formats.registry import format_named
    from voyager.repo.add import add
    from voyager.repo.commit import commit

    photo = "test/hat/3f0be386-9a59-4aeb-93f6-dbe63e3a3002.jpg"
    with Repository.init(photos) as repo:
        add(repo, ["test"], cwd=photos)
        said = photos / "said.csv"
        said.write_text(f"image,label,x0,y0,x1,y1\n{photo},hat,1,2,30,40\nlater.jpg,hat,1,2,3,4\n")
        import_labels(repo, said, format_named("table"))
        assert [code for code, _ in Stranger(photos / ".vgr").values["REPORTS"]] == [1]
        commit(repo, "labels")
        options = ReadOptions(predictions="detector")
        import_labels(repo, said, format_named("table"), options)
    stranger = Stranger(photos / ".vgr")
    assert "REPORTS" not in stranger.values
    ((code, blob),) = stranger.head()["extra"]["reports"]
    report = json.loads(stranger.entries[blob][1])
    assert code == 1 and report["import"] == "said.csv"
    assert [(found["class"], found["count"]) for found in report["report"]] == [("extra", 1)]
    assert "snapshot" in stranger.values["imports/said.csv"]
    made = stranger.object(stranger.values["refs/predictions/detector"])
    snapshot = stranger.object(made["snapshot"])
    assert list(snapshot) == ["predictions"]
    samples = dict(stranger.rows(stranger.object(stranger.head()["snapshot"])["samples"]))
    said_of = dict(stranger.cells(snapshot["predictions"]))
    assert said_of.keys() == {samples[photo]["u"], samples["later.jpg"]["u"]}
    row = said_of[samples[photo]["u"]]
    assert row.keys() == {"i", "r", "u"} and row["i"] == {}
    (region,) = row["r"]
    assert region["g"] == {"box": [1, 1.0, 2.0, 30.0, 40.0]}
    assert region["s"] == region["l"][0]["s"] == "model:detector"
