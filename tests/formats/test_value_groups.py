"""Grouping with and without files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.formats.collecting import collect
from voyager.formats.groups import Groups
from voyager.formats.registry import format_named

keys = st.one_of(st.integers(-3, 3), st.sampled_from(["a", "1", "é"]))
windows = st.lists(st.lists(st.tuples(keys, st.binary(max_size=9)), max_size=9), max_size=5)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(windows, st.sampled_from([0, 20, 1 << 20]), st.integers(1, 4))
def test_values_come_back_by_key_in_their_order(
    given: list[list[tuple[int | str, bytes]]], memory: int, most: int
) -> None:
    wanted: dict[int | str, list[bytes]] = {}
    with Groups(memory) as groups:
        for window in given:
            groups.add_all([key for key, _ in window], [value for _, value in window])
            for key, value in window:
                wanted.setdefault(key, []).append(value)
        found: dict[int | str, list[bytes]] = {}
        for part in groups.drain(most):
            assert 0 < len(part.keys) <= most
            values = iter(part.load())
            for key, count in zip(part.keys, part.counts, strict=True):
                found[key] = [next(values) for _ in range(count)]
            assert part.cost == sum(map(len, part.load()))
            assert next(values, None) is None
    assert found == wanted
    if memory > 1000:
        assert list(found) == list(wanted)


def test_parts_in_memory_can_be_loaded_in_the_end() -> None:
    with Groups() as groups:
        groups.add_all([2, 1, 2], [b"a", b"b", b"c"])
        parts = list(groups.drain(1))
    assert [part.load() for part in parts] == [[b"a", b"c"], [b"b"]]


def test_a_file_larger_than_memory_gives_the_same_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "labels.json"
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 9, "height": 9} for n in range(40)]
    boxes = [
        {"id": n, "image_id": n * 7 % 40, "category_id": 1, "bbox": [n % 5, 1, 2, 3]}
        for n in range(200)
    ]
    categories = [{"id": 1, "name": "cat"}]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    in_memory = collect(format_named("coco"), path).items
    monkeypatch.setattr("voyager.formats.coco.reading._MEMORY", 1000)
    through_files = collect(format_named("coco"), path).items
    by_name = {item.name: item.sample for item in in_memory}
    assert {item.name: item.sample for item in through_files} == by_name
    assert sum(len(sample.regions) for sample in by_name.values()) == 200
