"""On how many examples a property is tried: few in the quick suite, many with --deep."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_DEEP: list[bool] = []


def go_deep() -> None:
    """Let properties of modules that are loaded from now on be tried on many examples."""
    _DEEP.append(True)


def examples(quick: int, deep: int) -> settings:
    """The settings of a property that draws much and takes its time."""
    return settings(
        max_examples=deep if _DEEP else quick,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
