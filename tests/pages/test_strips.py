"""Where a year's sessions stand on their strip."""

from __future__ import annotations

from datetime import datetime, timedelta

from samples import DAYS, SHANGHAI, START, session

from notifier.pages.strips import Mark, strip
from notifier.talks import Status

PAST, NEXT, OFF = session(START - 14 * DAYS), session(), session(START + 14 * DAYS, status=Status.CANCELLED)
PLANNED = session(START + 28 * DAYS)
ALL = (PAST, NEXT, OFF, PLANNED)


def test_a_strip_tells_what_each_session_of_its_year_is():
    drawn = strip(2021, ALL, NEXT, START - DAYS, SHANGHAI)
    day = (START - datetime(2021, 1, 1, tzinfo=SHANGHAI)).days
    kinds = ["past", "next", "cancelled", "planned"]
    assert drawn.marks == tuple(Mark(day + 14 * n, kind) for n, kind in zip(range(-1, 3), kinds, strict=True))
    assert [drawn.count(kind) for kind in (*kinds, "other")] == [1, 1, 1, 1, 0]
    assert (len(drawn.months), drawn.months[2][0], drawn.days) == (12, 31 + 28, 365)


def test_a_session_belongs_to_the_year_that_the_seminars_clocks_show():
    eve = session(datetime(2021, 12, 31, 17, 0, tzinfo=SHANGHAI).astimezone() + timedelta(hours=8))
    assert strip(2021, [eve], None, START, SHANGHAI).marks == ()
    assert strip(2022, [eve], None, START, SHANGHAI).marks == (Mark(0, "planned"),)


def test_a_leap_year_has_a_day_more():
    drawn = strip(2024, [], None, START, SHANGHAI)
    assert (drawn.days, drawn.months[2][0]) == (366, 31 + 29)
