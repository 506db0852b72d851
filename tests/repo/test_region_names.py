"""KEY#REGION: what is the key, and which region is meant."""

from __future__ import annotations

import re

import pytest

from voyager.errors import NotFoundError, UsageError
from voyager.repo.region_names import RegionName, find_regions, parse_region_name
from voyager.schema import Box, Image, Region, Sample

IDS = ["abcd0001", "abcd0002", "12340000", "00020000"]
REGIONS = tuple(
    Region(id=bytes.fromhex(text) + bytes(12), geometries={"box": Box(0, 0, 1, 1)}) for text in IDS
)
SAMPLE = Sample(uid=bytes(16), image=Image(), regions=REGIONS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a.jpg", ("a.jpg", None)),
        ("a.jpg#abcd", ("a.jpg", "abcd")),
        ("a.jpg#ABCD", ("a.jpg", "abcd")),
        ("a.jpg#1", ("a.jpg", "1")),
        ("a.jpg##12", ("a.jpg", "#12")),
        ("a.jpg#*", ("a.jpg", "*")),
        ("train/**#2", ("train/**", "2")),
        ("odd#1", ("odd#1", None)),
        ("odd#1#2", ("odd#1", "2")),
        ("odd#1##2", ("odd#1", "#2")),
        ("hash#", ("hash#", None)),
        ("hash##2", ("hash#", "2")),
        ("a#b.jpg#1", ("a#b.jpg", "1")),
    ],
)
def test_where_a_name_is_cut(text: str, name: tuple[str, str | None]) -> None:
    assert parse_region_name(text, {"odd#1", "hash#"}.__contains__) == RegionName(*name)


@pytest.mark.parametrize("text", ["a.jpg#", "a#b.jpg", "a.jpg#xyz", "a.jpg#1.5"])
def test_what_is_no_region(text: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"there is no key '{text}'")):
        parse_region_name(text, lambda _: False)


@pytest.mark.parametrize(
    ("text", "place"),
    [("1", 0), ("4", 3), ("003", 2), ("#2", 1), ("1234", 2), ("abcd0002", 1), ("0002", 3)],
)
def test_one_region(text: str, place: int) -> None:
    assert find_regions("a.jpg", SAMPLE, text) == (REGIONS[place],)


def test_every_region() -> None:
    assert find_regions("a.jpg", SAMPLE, "*") == REGIONS


def test_several_ids_begin_so() -> None:
    with pytest.raises(UsageError) as caught:
        find_regions("a.jpg", SAMPLE, "abcd")
    message = "'abcd' begins the ids of 2 regions of 'a.jpg': abcd0001, abcd0002"
    assert caught.value.message == message
    assert caught.value.hint == f"a.jpg#{REGIONS[0].id.hex()}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "no region #0: it has 4 regions"),
        ("5", "no region #5: it has 4 regions"),
        ("#12340000", "no region #12340000"),
        ("beef", "no region beef"),
        ("1111", "no region 1111"),
    ],
)
def test_no_such_region(text: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message) as caught:
        find_regions("a.jpg", SAMPLE, text)
    assert caught.value.hint == "vgr show a.jpg"


def test_too_short_for_an_id() -> None:
    with pytest.raises(UsageError, match="too short"):
        find_regions("a.jpg", SAMPLE, "abc")
