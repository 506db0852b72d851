"""How many processors there are for this process."""

from __future__ import annotations

import os


def cores(most: int | None = None) -> int:
    """The processors that this process may use, `most` of them at most."""
    allowed = getattr(os, "sched_getaffinity", None)
    found = len(allowed(0)) if allowed else os.cpu_count() or 1
    return found if most is None else min(found, most)
