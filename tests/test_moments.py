from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import HOURS, START

from notifier.moments import Clock, clock, hour, offset


def shown(zone: str, language: str, start: datetime = START) -> Clock:
    return clock(start, start + 2 * HOURS, zone, language, home="Asia/Shanghai")


def line(zone: str, language: str) -> tuple[str, str, str, str]:
    found = shown(zone, language)
    return found.day, found.hours, found.city, found.offset


@pytest.mark.parametrize(
    ("zone", "language", "said"),
    [
        ("Asia/Shanghai", "zh", ("11月27日 周六", "9:30–11:30", "北京", "UTC+8")),
        ("Asia/Shanghai", "en", ("Sat 27 Nov 2021", "9:30–11:30", "Beijing", "UTC+8")),
        ("PRC", "en", ("Sat 27 Nov 2021", "9:30–11:30", "Beijing", "UTC+8")),
        ("Europe/Berlin", "zh", ("11月27日 周六", "2:30–4:30", "柏林", "UTC+1")),
        ("America/New_York", "en", ("Fri 26 Nov 2021", "20:30–22:30", "New York", "UTC-5")),
        (
            "America/Argentina/Buenos_Aires",
            "en",
            ("Fri 26 Nov 2021", "22:30 – Sat 27 Nov 0:30", "Buenos Aires", "UTC-3"),
        ),
        ("Asia/Kolkata", "en", ("Sat 27 Nov 2021", "7:00–9:00", "Kolkata", "UTC+5:30")),
        ("America/St_Johns", "en", ("Fri 26 Nov 2021", "22:00 – Sat 27 Nov 0:00", "St. John’s", "UTC-3:30")),
        ("UTC", "en", ("Sat 27 Nov 2021", "1:30–3:30", "", "UTC")),
        ("Etc/GMT+5", "en", ("Fri 26 Nov 2021", "20:30–22:30", "", "UTC-5")),
    ],
)
def test_a_clock_says_day_hours_city_and_offset(zone: str, language: str, said: tuple[str, ...]) -> None:
    assert line(zone, language) == said


@pytest.mark.parametrize(
    ("zone", "start", "shift", "is_night", "is_evening"),
    [
        ("Asia/Shanghai", START, 0, False, False),
        ("Europe/Berlin", START, 0, True, False),
        ("America/New_York", START, -1, False, True),
        ("Pacific/Auckland", START + 10 * HOURS, 1, True, False),
        ("Pacific/Kiritimati", START + 12 * HOURS, 1, True, False),
        ("Pacific/Honolulu", START, -1, False, False),
    ],
)
def test_a_clock_knows_its_day_and_night(
    zone: str, start: datetime, shift: int, is_night: bool, is_evening: bool
) -> None:
    found = shown(zone, "en", start)
    assert (found.shift, found.is_night, found.is_evening) == (shift, is_night, is_evening)


@settings(deadline=None)
@given(st.integers(0, 50_000_000), st.timezones())
def test_hour_and_offset_give_back_the_instant(minutes: int, zone: ZoneInfo) -> None:
    # From 2000 on: long before, some zones were off UTC by seconds.
    at = (datetime(2000, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)).astimezone(zone)
    sign, hours, minutes = _parts(offset(at))
    hour_of, _, minute_of = hour(at).partition(":")
    shown_at = datetime.combine(at.date(), datetime.min.time(), UTC) + timedelta(
        hours=int(hour_of), minutes=int(minute_of)
    )
    instant = shown_at - sign * timedelta(hours=hours, minutes=minutes)
    assert instant == at


def _parts(text: str) -> tuple[int, int, int]:
    digits = text.removeprefix("UTC")
    sign = -1 if digits.startswith("-") else 1
    hours, _, minutes = digits.strip("+-").partition(":")
    return sign, int(hours or 0), int(minutes or 0)
