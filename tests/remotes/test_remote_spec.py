"""The bytes of a remote: the tables and vectors of the spec (10)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from msgspec import structs

from voyager.errors import CorruptError
from voyager.remotes import root as roots
from voyager.remotes.base import MOST_BYTES
from voyager.remotes.root import (
    MOST_MOVES,
    MOST_SEGMENTS,
    Move,
    Packed,
    Policy,
    Root,
    decode_root,
    decode_segment,
    encode_root,
    encode_segment,
)
from voyager.wire import object_ref

HERE = Path(__file__).parents[2]
VECTORS = json.loads((HERE / "tests" / "vectors" / "remote.json").read_text("utf-8"))
SPEC = (HERE / "docs" / "spec.md").read_text("utf-8")
SECTION = SPEC[SPEC.index("\n## 10. Remotes") :]


@pytest.mark.parametrize("struct", [Root, Move, Policy, roots._Segment, Packed])
def test_fields(struct: type) -> None:
    rest = SECTION[SECTION.index(f"\n#### {struct.__name__.lstrip('_')}\n") :]
    found = re.search(r"(?:^\|.*\n)+", rest, re.MULTILINE)
    assert found is not None
    cells = [line.split("|")[1:3] for line in found[0].splitlines()[2:]]
    told = [(name.strip().strip("`"), kind.strip().endswith("!")) for name, kind in cells]
    fields = structs.fields(struct)
    assert told == [(field.encode_name, field.required) for field in fields]
    assert told == sorted(told)


def test_limits_and_lines() -> None:
    told = re.sub(r"\s+", " ", SECTION)
    assert f"at most {MOST_BYTES >> 20} MiB" in told
    assert f"at most {MOST_MOVES}, the newest" in told
    assert f"From {MOST_SEGMENTS} segments on" in told
    lines = re.findall(r"[0-9a-f]{24,}", SECTION)
    assert lines
    text = json.dumps(VECTORS)
    assert all(line in text for line in lines)


@pytest.mark.parametrize("vector", VECTORS["segments"], ids=lambda vector: vector["name"])
def test_segments(vector: dict[str, Any]) -> None:
    packs = [Packed(**pack | {"name": bytes.fromhex(pack["name"])}) for pack in vector["packs"]]
    data = bytes.fromhex(vector["hex"])
    segment = bytes.fromhex(vector["id"])
    assert encode_segment(reversed(packs), gc=vector["gc"]) == (segment, data)
    assert decode_segment(segment, data) == packs
    assert blake3(data).digest() == segment
    assert [name for p in packs for name in (p.pack_path, p.index_path)] == vector["paths"]


@pytest.mark.parametrize("vector", VECTORS["roots"], ids=lambda vector: vector["name"])
def test_roots(vector: dict[str, Any]) -> None:
    told = vector["root"]
    moves = [
        move
        | {
            "left": [object_ref(bytes.fromhex(one)) for one in move["left"]],
            "nonce": bytes.fromhex(move["nonce"]),
        }
        for move in told["moves"]
    ]
    root = Root(
        gc=told["gc"],
        generation=told["generation"],
        head=told["head"],
        moves=[Move(**move) for move in moves],
        policy=Policy(protected=told["protected"]),
        refs={name: object_ref(bytes.fromhex(one)) for name, one in told["refs"].items()},
        segments=[bytes.fromhex(one) for one in told["segments"]],
        tombstones=told["tombstones"],
    )
    data = bytes.fromhex(vector["hex"])
    assert encode_root(root) == data
    assert decode_root(data) == root


@pytest.mark.parametrize("vector", VECTORS["refused"]["roots"], ids=lambda vector: vector["why"])
def test_refused_roots(vector: dict[str, Any]) -> None:
    with pytest.raises(CorruptError):
        decode_root(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", VECTORS["refused"]["segments"], ids=lambda vector: vector["why"])
def test_refused_segments(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    with pytest.raises(CorruptError):
        decode_segment(blake3(data).digest(), data)


def test_a_segment_of_other_bytes_is_refused() -> None:
    [first, second] = VECTORS["segments"]
    with pytest.raises(CorruptError, match="holds other bytes"):
        decode_segment(bytes.fromhex(first["id"]), bytes.fromhex(second["hex"]))


def test_fields_that_nobody_knows_are_not_lost_but_refused() -> None:
    import msgspec

    from voyager.errors import CorruptError
    from voyager.remotes.root import Root, decode_root, encode_root

    value = msgspec.msgpack.decode(encode_root(Root(head="main")))
    value = dict(sorted({**value, "quota": 5}.items()))
    with pytest.raises(CorruptError, match="quota"):
        decode_root(msgspec.msgpack.encode(value))
    with pytest.raises(CorruptError, match="has format 2"):
        decode_root(msgspec.msgpack.encode(dict(sorted({**value, "format": 2}.items()))))
