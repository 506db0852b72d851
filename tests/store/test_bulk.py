"""The cyclic collector is off inside bulk loops and back on behind them."""

from __future__ import annotations

import gc

import pytest

from voyager.store.bulk import paused_gc


def test_the_collector_is_restored_by_whoever_switched_it_off() -> None:
    assert gc.isenabled()
    with paused_gc():
        with paused_gc():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_collector_is_restored_after_an_error() -> None:
    with pytest.raises(KeyError), paused_gc():
        raise KeyError
    assert gc.isenabled()
