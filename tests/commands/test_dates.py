"""Dates after --since and --until."""

from __future__ import annotations

import pytest

from voyager.commands.commits import date_text, iso_time
from voyager.commands.dates import parse_date
from voyager.config import Moment
from voyager.errors import UsageError

DAY = 86_400_000
NOW = Moment(1_767_600_000_000, 0)  # 2026-01-05 08:00 UTC


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("now", 0),
        ("today", DAY // 3),
        ("yesterday", DAY + DAY // 3),
        ("2 weeks ago", 14 * DAY),
        ("2.weeks.ago", 14 * DAY),
        ("1 day", DAY),
        ("a day ago", DAY),
        ("an hour ago", 3_600_000),
        ("90 Minutes ago", 5_400_000),
        (" 30 seconds ago ", 30_000),
        ("1 year ago", 31_556_952_000),
        ("2026-01-05T08:00", 0),
        ("2026-01-05 07:59:30", 30_000),
        ("2026-01-05", DAY // 3),
        ("20260105", DAY // 3),
        ("2026-01-05T10:00+02:00", 0),
        ("2026-01-05T08:00Z", 0),
    ],
)
def test_dates(text: str, ago: int) -> None:
    assert parse_date(text, NOW, option="--since") == NOW.ms - ago


def test_a_date_without_a_zone_is_of_here() -> None:
    east = Moment(NOW.ms, 120)
    assert parse_date("2026-01-05T10:00", east, option="--since") == NOW.ms
    assert parse_date("today", east, option="--since") == NOW.ms - 10 * 3_600_000


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "yesterday noon", "-1 day", "5"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(UsageError, match="--until is a date like"):
        parse_date(text, NOW, option="--until")


def test_times_as_they_are_shown() -> None:
    assert date_text(NOW.ms, 0) == "Mon Jan 5 08:00:00 2026 +0000"
    assert date_text(NOW.ms, -330) == "Mon Jan 5 02:30:00 2026 -0530"
    assert iso_time(NOW.ms + 7, 60) == "2026-01-05T09:00:00.007+01:00"
