"""Sorting with and without files."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voyager.formats.spill import Sorter

pairs = st.lists(st.tuples(st.binary(max_size=6), st.binary(max_size=30)), max_size=60)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(pairs, st.sampled_from([1, 500, 2000, 1 << 20]))
def test_it_sorts_and_keeps_the_order_of_equals(
    given: list[tuple[bytes, bytes]], memory: int
) -> None:
    wanted = sorted(given, key=lambda pair: pair[0])
    with Sorter(memory) as sorter:
        for key, value in given:
            sorter.add(key, value)
        assert sorter.count == len(given)
        assert list(sorter.pairs()) == wanted
        assert list(sorter.pairs()) == wanted
        assert list(sorter.drain()) == wanted


def test_more_may_be_added_after_a_walk() -> None:
    with Sorter(400) as sorter:
        for round in range(3):
            sorter.add(b"b%d" % round, b"x" * 100)
            sorter.add(b"a%d" % round, b"")
            assert len(list(sorter.pairs())) == 2 * round + 2
        assert [key for key, _ in sorter.pairs()] == [b"a0", b"a1", b"a2", b"b0", b"b1", b"b2"]


def test_memory_is_bounded() -> None:
    import tracemalloc

    rng = random.Random(1)
    tracemalloc.start()
    with Sorter(200_000) as sorter:
        for _ in range(20_000):
            sorter.add(rng.randbytes(8), b"x" * 100)
        keys = [key for key, _ in sorter.drain()]
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert keys == sorted(keys)
    assert len(keys) == 20_000
    assert peak < 3_500_000


def test_files_are_gone_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RuntimeError), Sorter(1) as sorter:
        for number in range(50):
            sorter.add(b"%d" % number, b"")
        raise RuntimeError
    assert not list(tmp_path.iterdir())
