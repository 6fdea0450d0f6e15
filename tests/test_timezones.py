"""Zones as calendar programs are told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from icalendar import Timezone
from samples import DAYS, HOURS, MINUTES, START, session
from test_feed import calendar, event, rendered


def vtimezone(zone: str, start: datetime) -> Timezone:
    (found,) = calendar(session(start, timezone=zone)).walk("VTIMEZONE")
    assert isinstance(found, Timezone)
    return found


def test_a_zone_without_summer_time_is_one_block():
    assert vtimezone("Asia/Shanghai", START).to_ical().decode().split("\r\n") == [
        "BEGIN:VTIMEZONE",
        "TZID:Asia/Shanghai",
        "BEGIN:STANDARD",
        "DTSTART:20190101T000000",
        "TZNAME:CST",
        "TZOFFSETFROM:+0800",
        "TZOFFSETTO:+0800",
        "END:STANDARD",
        "END:VTIMEZONE",
        "",
    ]


def test_a_zone_with_summer_time_has_its_two_yearly_rules():
    assert vtimezone("America/New_York", START).to_ical().decode().split("\r\n") == [
        "BEGIN:VTIMEZONE",
        "TZID:America/New_York",
        "BEGIN:DAYLIGHT",
        "DTSTART:20190310T020000",
        "RRULE:FREQ=YEARLY;BYDAY=2SU;BYMONTH=3",
        "TZNAME:EDT",
        "TZOFFSETFROM:-0500",
        "TZOFFSETTO:-0400",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "DTSTART:20191103T020000",
        "RRULE:FREQ=YEARLY;BYDAY=1SU;BYMONTH=11",
        "TZNAME:EST",
        "TZOFFSETFROM:-0400",
        "TZOFFSETTO:-0500",
        "END:STANDARD",
        "END:VTIMEZONE",
        "",
    ]


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "Europe/Dublin",
        "America/New_York",
        "America/Asuncion",
        "America/Santiago",
        "Asia/Jerusalem",
        "Asia/Tehran",
        "Asia/Kolkata",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
    ],
)
def test_the_rules_give_the_offsets_of_the_zone(zone: str):
    """Read by the rules alone, without the reader's own tables, each noon and each night of a change is right."""
    first = datetime(2021, 1, 1, 12, tzinfo=UTC)
    read, real = vtimezone(zone, first).to_tz(lookup_tzid=False), ZoneInfo(zone)
    days = [first + n * DAYS for n in range(9 * 365)]
    assert [day.replace(tzinfo=read).utcoffset() for day in days] == [
        day.replace(tzinfo=real).utcoffset() for day in days
    ]
    for day, after in pairwise(days):
        if day.replace(tzinfo=real).utcoffset() != after.replace(tzinfo=real).utcoffset():
            hours = [day + n * HOURS / 2 for n in range(96)]
            assert [h.astimezone(read).utcoffset() for h in hours] == [h.astimezone(real).utcoffset() for h in hours]


def test_a_rule_reaches_back_to_the_first_event():
    old = datetime(1999, 7, 1, 12, tzinfo=UTC)
    read = vtimezone("Europe/Berlin", old).to_tz(lookup_tzid=False)
    assert old.astimezone(read).utcoffset() == 2 * HOURS


def test_a_list_of_many_years_has_the_rule_of_today_and_what_was_before_it_by_itself():
    """New York's law is of 2007: until then it was another, and from then on the rule holds for ever."""
    read = vtimezone("America/New_York", datetime(2005, 7, 1, tzinfo=UTC))
    assert [(block["DTSTART"].to_ical(), "RRULE" in block) for block in read.walk("DAYLIGHT")] == [
        (b"20030406T020000", False),
        (b"20040404T020000", False),
        (b"20050403T020000", False),
        (b"20060402T020000", False),
        (b"20070311T020000", True),
    ]


@pytest.mark.parametrize(
    "day",
    [
        datetime(1955, 7, 1, 12, tzinfo=UTC),
        datetime(1969, 12, 31, 22, tzinfo=UTC),
        datetime(2038, 1, 1, tzinfo=UTC),
    ],
)
def test_a_time_of_which_no_rule_tells_is_told_in_utc(day: datetime):
    found = event(session(day, end=day + MINUTES, timezone="Europe/Berlin"))
    assert found["DTSTART"].to_ical() == f"{day:%Y%m%dT%H%M%SZ}".encode()


@pytest.mark.parametrize("year", [1900, 2045])
def test_a_zone_has_rules_whatever_else_is_in_the_list(year: int):
    odd = session(datetime(year, 7, 1, tzinfo=UTC), id="odd", uid="odd", timezone="Europe/Berlin")
    (found,) = calendar(*sorted((odd, session(timezone="Europe/Berlin")), key=lambda s: s.start)).walk("VTIMEZONE")
    assert found.subcomponents != []


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2040, 1, 1, 9, tzinfo=UTC), datetime(2040, 1, 1, 10, tzinfo=UTC)),
        (datetime(2026, 10, 25, 1, 10, tzinfo=UTC), datetime(2026, 10, 25, 1, 50, tzinfo=UTC)),
    ],
    ids=["after the rules end", "in the second of two equal hours"],
)
def test_a_zone_that_no_event_names_is_left_out(start: datetime, end: datetime):
    odd = replace(session(start, timezone="Europe/Berlin"), end=end)
    assert calendar(odd).walk("VTIMEZONE") == []
    before = session(START, timezone="Europe/Berlin")
    assert len(calendar(before, odd).walk("VTIMEZONE")) == 1
    assert len(calendar(replace(odd, end=end + 2 * HOURS)).walk("VTIMEZONE")) == (start.year < 2038)


def test_utc_needs_no_zone():
    data = rendered(session(timezone="UTC"))
    assert b"\r\nDTSTART:20211127T013000Z\r\n" in data
    assert b"VTIMEZONE" not in data


def test_both_of_two_equal_hours_are_told_in_utc():
    """Where a local time names two, programs that read with pytz take the second, and all others the first."""
    night = datetime(2021, 10, 31, 0, 30, tzinfo=UTC)
    found = event(session(night, end=night + HOURS, timezone="Europe/Berlin"))
    assert (found["DTSTART"].to_ical(), found["DTEND"].to_ical()) == (b"20211031T003000Z", b"20211031T013000Z")
    found = event(session(night - HOURS, end=night + 2 * HOURS, timezone="Europe/Berlin"))
    assert (found["DTSTART"].to_ical(), found["DTEND"].to_ical()) == (b"20211031T013000", b"20211031T033000")
