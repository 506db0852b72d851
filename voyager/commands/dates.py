"""Dates as people type them after --since and --until."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from voyager.config import Moment
from voyager.errors import UsageError

_AGO = re.compile(r"(\d+|an?)[ .](second|minute|hour|day|week|month|year)s?(?:[ .]ago)?")
_SECONDS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86_400,
    "week": 604_800,
    "month": 2_629_746,
    "year": 31_556_952,
}
_WORDS = {"now": 0, "today": 0, "yesterday": 1}


def parse_date(text: str, now: Moment, *, option: str) -> int:
    """A date as milliseconds since 1970 UTC: ISO 8601, `2 weeks ago`, `yesterday`, `today`.

    A day without a time is its midnight in the zone of `now`. Raises UsageError for another text.
    """
    zone = timezone(timedelta(minutes=now.zone))
    here = datetime.fromtimestamp(now.ms / 1000, zone)
    word = text.strip().lower()
    if word in _WORDS:
        day = here - timedelta(days=_WORDS[word])
        at = day if word == "now" else day.replace(hour=0, minute=0, second=0, microsecond=0)
        return round(at.timestamp() * 1000)
    ago = _AGO.fullmatch(word)
    if ago is not None:
        count = 1 if ago[1].startswith("a") else int(ago[1])
        return now.ms - count * _SECONDS[ago[2]] * 1000
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} is a date like 2026-01-31, yesterday or '2 weeks ago', not '{text}'"
        ) from None
    return round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1000)
