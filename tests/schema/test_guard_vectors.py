"""The vectors of the guard's rows (spec 9.11)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voyager.schema.guard import GuardPolicy, Release
from voyager.schema.guard_rows import (
    GUARD_KEY,
    decode_policy,
    decode_release,
    encode_policy,
    encode_release,
    is_canonical_policy_row,
    parse_release_key,
    release_key,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "guard.json").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS["policies"], ids=lambda vector: vector["name"])
def test_policies(vector: dict[str, Any]) -> None:
    policy = GuardPolicy(**vector["fields"])
    data = bytes.fromhex(vector["hex"])
    assert encode_policy(policy) == data
    assert decode_policy(data) == policy
    assert is_canonical_policy_row(GUARD_KEY, data)


@pytest.mark.parametrize("vector", VECTORS["releases"], ids=lambda vector: vector["key"])
def test_releases(vector: dict[str, Any]) -> None:
    pair = bytes.fromhex(vector["uid"]), bytes.fromhex(vector["protected"])
    key, data = vector["key"].encode(), bytes.fromhex(vector["hex"])
    assert release_key(*pair) == key
    assert parse_release_key(key) == pair
    assert encode_release(Release(kind=vector["kind"])) == data
    assert decode_release(data).kind == vector["kind"]
    assert is_canonical_policy_row(key, data)


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_refused(vector: dict[str, Any]) -> None:
    assert not is_canonical_policy_row(GUARD_KEY, bytes.fromhex(vector["hex"]))


def test_keys_of_a_newer_version_are_taken_as_they_are() -> None:
    assert is_canonical_policy_row(b"budget", b"\x80")
    assert not is_canonical_policy_row(b"release/short", b"\x81\xa1k\xa4near")


def test_a_release_covers_what_is_less_sure() -> None:
    pixels = Release(kind="pixels")
    assert [pixels.covers(kind) for kind in ("bytes", "pixels", "near")] == [False, True, True]


def test_the_first_protected_split_ranks_highest() -> None:
    policy = GuardPolicy(protect=("test", "val"))
    assert [policy.rank(split) for split in ("test", "val", "train", None)] == [0, 1, 2, 2]
