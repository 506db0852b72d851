"""Likeness of many rings at once: against the likeness of each pair."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shape_samples import annotations, polygon_of

from voyager.schema import polygon_overlap
from voyager.schema.geometry import Flat, Polygon
from voyager.schema.polygon_overlap import ring_ious
from voyager.schema.similarity import similarity


def star(seed: int) -> Flat:
    """A ring around a point that it always holds, so that it never crosses itself."""
    rng = random.Random(seed)
    count = rng.randint(4, 30)
    angles = [(place + rng.uniform(0.1, 0.9)) * 2 * math.pi / count for place in range(count)]
    x, y = rng.uniform(30, 90), rng.uniform(30, 90)
    ring = []
    for angle in angles if rng.random() < 0.5 else angles[::-1]:
        reach = rng.uniform(10, 60)
        ring += [round(x + reach * math.cos(angle), 2), round(y + reach * math.sin(angle), 2)]
    return tuple(map(float, ring))


def alone(a: Flat, b: Flat) -> float:
    return similarity(Polygon(((a,),)), Polygon(((b,),)))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_many_at_once_are_as_each_alone(seeds: list[tuple[int, int]]) -> None:
    pairs = [(star(one), star(other)) for one, other in seeds]
    found = ring_ious(pairs)
    assert len(found) == len(pairs)
    for score, (a, b) in zip(found.tolist(), pairs, strict=True):
        assert score == pytest.approx(alone(a, b), abs=2e-4)


def test_real_rings_that_were_moved() -> None:
    rings = [
        part[0]
        for annotation in annotations()
        for part in polygon_of(annotation).parts
        if len(part[0]) > 6
    ]
    moved = [tuple(number + 3.0 for number in ring) for ring in rings]
    pairs = list(zip(rings, moved, strict=True))
    found = ring_ious(pairs)
    wrong = [
        (score, alone(a, b))
        for score, (a, b) in zip(found.tolist(), pairs, strict=True)
        if not math.isnan(score) and abs(score - alone(a, b)) > 0.01
    ]
    assert not wrong
    assert np.isnan(found).sum() <= len(rings) // 10


def test_rings_of_no_area() -> None:
    point, line = (5.0, 5.0), (0.0, 0.0, 9.0, 9.0)
    square = (0.0, 0.0, 9.0, 0.0, 9.0, 9.0, 0.0, 9.0)
    found = ring_ious([((), square), (point, point), (line, square), (square, square)])
    assert found.tolist() == [0.0, 0.0, 0.0, 1.0]
    assert ring_ious([]).tolist() == []


def test_a_ring_that_crosses_itself_is_told_where_its_sums_do_not_fit() -> None:
    bow = (0.0, 0.0, 10.0, 10.0, 10.0, 0.0, 0.0, 10.0)
    assert np.isnan(ring_ious([(bow, bow)])).all()


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [(star(seed), star(seed + 1)) for seed in range(40)]
    whole = ring_ious(pairs)
    monkeypatch.setattr(polygon_overlap, "_MOST_PRODUCTS", 200)
    assert np.allclose(ring_ious(pairs), whole, rtol=0, atol=1e-12)
