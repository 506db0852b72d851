"""On how many examples a property is tried: few in the quick suite, many with --deep."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_DEEP: list[bool] = []


def go_deep() -> None:
    """Let properties of modules that are loaded from now on be tried on many examples."""
    _DEEP.append(True)


def stay_quick() -> None:
    """Let properties that do not say on how many be tried on few; a busy machine is no failure."""
    slow = [HealthCheck.too_slow]
    settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=slow)
    settings.load_profile("quick")


def places(count: int, *, every: int = 3) -> list[int]:
    """Of 1 to `count` those to try: all with --deep, else every third, the first and the last."""
    if _DEEP:
        return list(range(1, count + 1))
    return sorted({*range(1, count + 1, every), count} - {0})


def times(quick: int, deep: int) -> int:
    """How often to try what chance decides."""
    return deep if _DEEP else quick


def examples(quick: int, deep: int) -> settings:
    """The settings of a property that draws much and takes its time."""
    return settings(
        max_examples=deep if _DEEP else quick,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
