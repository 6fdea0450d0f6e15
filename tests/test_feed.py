from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar, Component
from samples import DAYS, HOURS, LONG_AGO, ROOM, START, TALKS, seminar, session

from notifier import feed
from notifier.feed import Options
from notifier.talks import (
    JOIN_FIELDS,
    Audience,
    Link,
    Livestream,
    Room,
    Seminar,
    Session,
    Speaker,
    Status,
    Talk,
    shown_to,
)

SITE = "https://seminar.example.org"
LINK = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"
WANG, ZHU = TALKS
ALL = Options(past=None)


def rendered(*sessions: Session, now: datetime = START, language: str = "", options: Options = ALL) -> bytes:
    return feed.render(seminar(*sessions), now=now, base_url=SITE, language=language, options=options)


def unfolded(data: bytes) -> list[str]:
    return data.decode().replace("\r\n ", "").split("\r\n")


def calendar(*sessions: Session, **how: Any) -> Calendar:
    found = Calendar.from_ical(rendered(*sessions, **how))
    assert isinstance(found, Calendar)
    return found


def event(one: Session, **how: Any) -> Component:
    (found,) = calendar(one, **how).walk("VEVENT")
    assert found.errors == []
    return found


def uids(*sessions: Session, **how: Any) -> list[str]:
    return [str(found["UID"]) for found in calendar(*sessions, **how).walk("VEVENT")]


def test_the_feed_says_what_calendar_programs_ask_for():
    series = replace(seminar(), name="Learning, joint; \\N", description="First\n\nsecond")
    lines = unfolded(feed.render(series, now=START, base_url=f"{SITE}/", options=ALL))
    assert sorted(lines[1 : lines.index("BEGIN:VTIMEZONE")]) == [
        "CALSCALE:GREGORIAN",
        "COLOR:teal",
        "DESCRIPTION:First second",
        r"NAME:Learning\, joint\; ∖N",
        "PRODID:-//seminar-notifier//notifier//EN",
        "REFRESH-INTERVAL;VALUE=DURATION:PT4H",
        f"SOURCE;VALUE=URI:{SITE}/jsml.ics",
        f"URL:{SITE}/",
        "VERSION:2.0",
        "X-PUBLISHED-TTL:PT4H",
        "X-WR-CALDESC:First second",
        r"X-WR-CALNAME:Learning\, joint\; ∖N",
        "X-WR-TIMEZONE:Asia/Shanghai",
    ]


def test_a_seminar_without_a_name_is_called_by_its_id():
    unnamed = replace(seminar(), name="\u202e")
    lines = unfolded(feed.render(unnamed, now=START, base_url=SITE, options=ALL))
    assert {"NAME:jsml", "X-WR-CALNAME:jsml", "CATEGORIES:jsml"} <= {*lines}


def test_the_feed_has_what_breaks_programs_nowhere():
    data = rendered(session(), session(START + 14 * DAYS, id="b"))
    outside_events = re.sub(rb"BEGIN:VEVENT.*?END:VEVENT", b"", data, flags=re.DOTALL)
    assert re.findall(rb"^(UID|METHOD|RDATE|COMMENT)\b", outside_events, re.MULTILINE) == []
    assert re.findall(rb"^(COMMENT|RDATE|STYLED-DESCRIPTION|X-ALT-DESC|PARTICIPANT)\b", data, re.MULTILINE) == []
    assert b"<" not in data


FULL = session(
    notice="Starts 15 minutes late.",
    livestream=Livestream("https://live.bilibili.com/1", "bilibili living room"),
    talks=(
        replace(
            WANG,
            speakers=(Speaker("王宇航", ("DP", "PKU"), "https://wang.example"),),
            abstract="First.\n\nSecond.",
            slides=Link("https://slides.example/1", "Install"),
            replay="https://www.bilibili.com/video/BV1",
        ),
        replace(ZHU, start=START + HOURS, end=START + 2 * HOURS, slides=Link(label="下载链接")),
    ),
)


def test_what_subscribers_alone_may_see_is_shown_nowhere_else():
    levels = dict.fromkeys(JOIN_FIELDS, Audience.SUBSCRIBERS)
    full = replace(FULL, room=replace(ROOM, download_url="https://download.example"))
    secrets = [LINK, "329 744 341", "974114", "553 2421 7498", "live.bilibili.com", "download.example"]
    seen = "\n".join(unfolded(rendered(full)))
    public = "\n".join(unfolded(rendered(shown_to(Audience.PUBLIC, full, levels))))
    assert [secret in seen for secret in secrets] == [True] * 6
    assert [secret in public for secret in secrets] == [False] * 6


PAST = session(START - 400 * DAYS, id="past", uid="past@x")
LAST = session(START - 364 * DAYS, id="last", uid="last@x")
NEXT = session(START + 7 * DAYS, id="next", uid="next@x")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), ["last@x", "next@x"]),
        (Options(past=None), ["past@x", "last@x", "next@x"]),
        (Options(past=timedelta(0)), ["next@x"]),
        (Options(past=390 * DAYS), ["last@x", "next@x"]),
    ],
)
def test_the_feed_goes_back_as_far_as_asked(options: Options, expected: list[str]):
    assert uids(PAST, LAST, NEXT, options=options) == expected


def test_the_usual_feed_holds_the_last_hundred_sessions_however_old():
    old = [session(START - n * 30 * DAYS - 400 * DAYS, id=f"s{n}", uid=f"s{n}@x") for n in range(101, 0, -1)]
    series = Seminar("jsml", "Seminar", "Asia/Shanghai", sessions=(*old, NEXT))
    events = Calendar.from_ical(feed.render(series, now=START, base_url=SITE)).events
    assert [str(event["UID"]) for event in events] == [*(f"s{n}@x" for n in range(100, 0, -1)), "next@x"]


def test_a_feed_near_what_google_takes_in_is_told_of_with_figures_and_advice():
    def told(count: int, abstract: str, days: int = -1) -> list[str]:
        talk = Talk("T", abstract=abstract)
        many = (session(START + n * days * DAYS, id=f"s{n}", uid=f"s{n}@x", talks=(talk,)) for n in range(count))
        return [str(p) for p in feed.size_warnings(seminar(*many), now=START, base_url=SITE)]

    assert told(300, "a" * 1000) == []
    (large,) = told(300, "a" * 4000)
    assert large == (
        "the feed has 300 events and 1.5 MB; Google passes over what is beyond 1,000 events and 1.0 MB; give readers"
        f" there {SITE}/jsml.ics?past=90d (91 events and 0.5 MB) or ?past=none (1 events and 0.0 MB),"
        " or shorten abstracts"
    )
    assert told(100, "a" * 4000) == []
    assert told(900, "") == []
    assert told(900, "", days=1)[0].startswith("the feed has 900 events and 0.8 MB; ")


def test_a_session_that_is_on_now_is_in_every_feed():
    assert uids(session(), now=START + HOURS, options=Options(past=timedelta(0))) == ["2021-11-27@seminar.example.org"]


def test_a_cancelled_session_stays_for_the_14_days_after_its_own():
    one = session(status=Status.CANCELLED)
    gone = datetime(2021, 12, 12, tzinfo=one.start.tzinfo)
    assert len(uids(one, now=gone - timedelta(seconds=1))) == 1
    assert uids(one, now=gone) == []


def test_the_feed_changes_at_midnights_of_the_seminar_only():
    options = Options(past=timedelta(0), alarms=(HOURS,))
    morning, evening = (rendered(session(), now=START.replace(hour=hour), options=options) for hour in (0, 23))
    assert morning == evening
    assert rendered(session(), now=START.replace(hour=0) + DAYS, options=options).count(b"BEGIN:VEVENT") == 0


def test_the_last_turn_is_the_midnight_at_which_something_last_may_have_left():
    series = seminar(session())
    gone = datetime(2021, 11, 30, tzinfo=START.tzinfo)
    of_two_days = Options(past=2 * DAYS)
    for now, turn in ((gone - timedelta(seconds=1), None), (gone, gone), (gone + 9 * DAYS, gone)):
        assert feed.last_turn(series, now, of_two_days) == turn
    assert feed.last_turn(series, gone, ALL) is None
    assert feed.last_turn(series, gone, replace(ALL, alarms=(HOURS,))) == gone - 2 * DAYS
    called_off = seminar(session(status=Status.CANCELLED))
    assert feed.last_turn(called_off, gone + 30 * DAYS, ALL) == gone + 12 * DAYS


def test_cancelled_sessions_can_be_left_out():
    assert uids(session(status=Status.CANCELLED), NEXT, options=Options(cancelled=False)) == ["next@x"]


def test_a_feed_without_events_has_one_component_still():
    data = rendered(LAST, options=Options(past=timedelta(0)))
    assert [part.name for part in Calendar.from_ical(data).subcomponents] == ["VTIMEZONE"]


def test_an_alarm_rings_as_long_before_as_asked():
    (alarm,) = event(session(), options=Options(past=None, alarms=(timedelta(minutes=15),))).subcomponents
    assert {name: value.to_ical().decode() for name, value in alarm.items()} == {
        "UID": "alarm-15-2021-11-27@seminar.example.org",
        "ACTION": "DISPLAY",
        "TRIGGER": "-PT15M",
        "DESCRIPTION": "王宇航: 冷冻电镜原理及相关算法 · 朱通: 基于神经网络实现碳氢燃料的燃烧模拟",
    }


def test_no_alarm_rings_unasked_or_for_a_cancelled_session():
    options = Options(past=None, alarms=(timedelta(minutes=15),))
    assert event(session()).subcomponents == []
    assert event(session(status=Status.CANCELLED), options=options).subcomponents == []
    assert event(session(), options=options, now=START + DAYS).subcomponents == []


def test_a_document_of_one_session_can_ring_too_and_be_split():
    options = Options(alarms=(DAYS, timedelta(0)), split=True)
    data = feed.single(session(), seminar(), base_url=SITE, options=options, now=START)
    found = Calendar.from_ical(data).walk("VEVENT")
    assert [[a["TRIGGER"].to_ical() for a in event.subcomponents] for event in found] == [[b"-P1D", b"P0D"]] * 2


def test_the_feed_can_have_an_event_for_each_talk():
    found = calendar(
        FULL,
        Session("n", START, START, "UTC", uid="n@x"),
        options=Options(past=None, split=True),
    ).walk("VEVENT")
    assert [(str(e["UID"]), e.start, e.end, str(e["SUMMARY"])) for e in found] == [
        ("2021-11-27-talk-1@seminar.example.org", START, START + 2 * HOURS, "王宇航: 冷冻电镜原理及相关算法"),
        (
            "2021-11-27-talk-2@seminar.example.org",
            START + HOURS,
            START + 2 * HOURS,
            "朱通: 基于神经网络实现碳氢燃料的燃烧模拟",
        ),
        ("n@x", START, START, "Joint Seminar of Machine Learning: 待定 TBA"),
    ]


@pytest.mark.parametrize(("start", "end"), [(2 * HOURS, None), (3 * HOURS, None), (None, -HOURS), (None, timedelta(0))])
def test_a_talk_that_is_never_within_its_session_has_the_sessions_time(start: timedelta | None, end: timedelta | None):
    """RFC 5545 section 3.8.2.2: an event ends after it starts."""
    odd = Talk("Odd", start=None if start is None else START + start, end=None if end is None else START + end)
    found = calendar(session(talks=(WANG, odd)), options=Options(past=None, split=True)).walk("VEVENT")[1]
    assert (found.start, found.end) == (START, START + 2 * HOURS)


def test_a_single_session_is_the_same_event_as_in_the_feed():
    whole, one = rendered(FULL), feed.single(FULL, seminar(FULL), base_url=SITE)
    events = [re.findall(rb"BEGIN:VEVENT.*END:VCALENDAR", data, re.DOTALL) for data in (whole, one)]
    assert events[0] == events[1] != []
    assert b"METHOD" not in one
    assert b"REFRESH-INTERVAL" not in one


@pytest.mark.parametrize("method", ["PUBLISH", "CANCEL"])
def test_a_single_session_can_be_a_message(method: str):
    data = feed.single(session(), seminar(), base_url=SITE, method=method, organizer="ada lovelace@example.org")
    found = Calendar.from_ical(data)
    assert str(found["METHOD"]) == method
    # RFC 5546 sections 3.2.1 and 3.2.5: whose word it is.
    assert str(found.events[0]["ORGANIZER"]) == "mailto:ada%20lovelace@example.org"
    assert [str(e["UID"]) for e in found.walk("VEVENT")] == ["2021-11-27@seminar.example.org"]


def test_a_message_tells_how_to_join_and_of_what_but_has_no_abstracts():
    letter, alone = (
        str(Calendar.from_ical(feed.single(FULL, seminar(FULL), base_url=SITE, method=method)).events[0]["DESCRIPTION"])
        for method in ("PUBLISH", "")
    )
    assert alone.replace("First.\n\nSecond.\n", "") == letter != alone


def test_the_same_list_is_the_same_bytes_at_any_time():
    assert rendered(FULL, now=START) == rendered(FULL, now=START + 100 * DAYS)


def test_a_change_of_one_session_changes_only_its_event():
    before, after = rendered(session(), NEXT), rendered(session(), replace(NEXT, notice="Late", revision=1))
    parts = [re.split(rb"(?=BEGIN:VEVENT)", data) for data in (before, after)]
    assert parts[0][:2] == parts[1][:2]
    assert parts[0][2] != parts[1][2]


PRINT_FEED = """
import sys
from samples import DAYS, START, seminar, session
from notifier import feed
zones = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Jerusalem", "Australia/Sydney")
sessions = [session(START + n * DAYS, id=zone, timezone=zone) for n, zone in enumerate(zones)]
sys.stdout.buffer.write(feed.render(seminar(*sessions), now=START, base_url="https://seminar.example.org"))
"""


def test_every_process_makes_the_same_bytes():
    here = Path(__file__).parent
    path = os.pathsep.join((str(here), str(here.parent)))
    command = [sys.executable, "-c", PRINT_FEED]
    feeds = {
        subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed, "TZ": zone},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "America/New_York"), ("3", "Asia/Shanghai"))
    }
    (data,) = feeds
    zones = re.findall(rb"TZID:(.*)\r\n", data)
    assert zones == [b"America/New_York", b"Asia/Jerusalem", b"Asia/Tokyo", b"Australia/Sydney", b"Europe/Berlin"]


HOSTILE = (
    "a\r\nBEGIN:VEVENT\nX-EVIL:1\n\x00\x07\x0b\x0c\x7f\x85\u2028\u2029\ufeff\u202e\\N\\nu;,:\"^n'%0A&amp;<b>"
    "\N{MAN}\u200d\N{WOMAN}\ud800\ufdd0é\t=\\"
)


def hostile(**values: Any) -> Session:
    talk = Talk(
        HOSTILE, HOSTILE, (Speaker(HOSTILE, (HOSTILE,), HOSTILE),), abstract=HOSTILE, slides=Link(HOSTILE, HOSTILE)
    )
    room = Room(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    return session(talks=(talk, talk), notice=HOSTILE, room=room, livestream=Livestream(HOSTILE, HOSTILE), **values)


@pytest.mark.parametrize("language", ["", "en", "zh"])
def test_no_text_can_break_out_of_its_property(language: str):
    one = hostile(id=HOSTILE, uid=HOSTILE)
    series = Seminar(HOSTILE, HOSTILE, "Asia/Shanghai", description=HOSTILE, homepage=HOSTILE, sessions=(one,))
    lines = unfolded(feed.render(series, now=START, base_url=SITE, language=language, options=Options(alarms=(HOURS,))))
    assert [line for line in lines if line.startswith("BEGIN:")] == [
        "BEGIN:VCALENDAR",
        "BEGIN:VTIMEZONE",
        "BEGIN:STANDARD",
        "BEGIN:VEVENT",
        "BEGIN:VALARM",
    ]
    assert [line for line in lines[:-1] if not re.match(r"[A-Z-]+[;:]", line)] == []
    assert [line for line in lines if line.startswith("X-EVIL")] == []
    assert [
        character
        for character in "\x00\x07\x0b\x0c\x7f\x85\u2028\u2029\ufeff\u202e\ufdd0"
        if character in "".join(lines)
    ] == []


def assert_well_folded(data: bytes) -> None:
    assert data.endswith(b"\r\n")
    for line in data.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 75
        assert b"\n" not in line
        line.decode()
        assert not re.search(rb"(?<!\\)(\\\\)*\\$", line)


def test_lines_are_folded_at_75_octets_between_characters():
    long = "冷é🧪a,\\; " * 200
    talk = Talk(long, speakers=(Speaker(long, (long,)),), abstract=long)
    assert_well_folded(rendered(session(talks=(talk, talk), notice=long), hostile()))


TEXT = st.text(st.one_of(st.characters(), st.sampled_from('\\$\n\r,;:"^_{}冷é\u2028🧪')), max_size=60)
LINKS = st.one_of(st.just(""), TEXT, TEXT.map("https://x.example/{}".format))
TIMES = st.datetimes(
    LONG_AGO.replace(year=1990, tzinfo=None), LONG_AGO.replace(year=2036, tzinfo=None), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))
ZONES = st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York", "UTC", "Australia/Lord_Howe"])
SPEAKERS = st.builds(Speaker, TEXT, st.lists(TEXT, max_size=2).map(tuple), LINKS)
TALKS_OF_ANY_KIND = st.builds(
    Talk,
    title=TEXT,
    title_zh=TEXT,
    speakers=st.lists(SPEAKERS, max_size=2).map(tuple),
    start=st.none() | TIMES,
    abstract=TEXT,
    slides=st.none() | st.builds(Link, LINKS, TEXT),
    replay=LINKS,
)


@st.composite
def sessions(draw: st.DrawFn, number: int) -> Session:
    zone = draw(ZONES)
    start = draw(TIMES)
    return Session(
        id=f"s{number}",
        start=start.replace(microsecond=0).astimezone(ZoneInfo(zone)),
        end=(start.replace(microsecond=0) + draw(st.integers(0, 300)) * timedelta(minutes=1)).astimezone(
            ZoneInfo(zone)
        ),
        timezone=zone,
        talks=tuple(draw(st.lists(TALKS_OF_ANY_KIND, max_size=3))),
        status=draw(st.sampled_from(Status)),
        notice=draw(TEXT),
        room=draw(st.builds(Room, LINKS, TEXT, TEXT, TEXT, LINKS)),
        livestream=draw(st.builds(Livestream, LINKS, TEXT)),
        uid=draw(st.sampled_from(["", f"s{number}@x"])),
        revision=draw(st.integers(0, 9)),
        modified=draw(st.none() | st.just(LONG_AGO)),
    )


SEMINARS = st.builds(
    lambda name, zone, several: Seminar("s", name, zone, description=name, sessions=tuple(several)),
    TEXT,
    ZONES,
    st.integers(0, 3).flatmap(lambda count: st.tuples(*(sessions(n) for n in range(count)))),
)


def missing_title(one: Session, summary: str, language: str) -> str | None:
    """A title that the summary lacks, though it is plain text and nothing was cut."""
    titles = (talk.title_in(language) or talk.title_zh for talk in one.talks)
    plain = (title for title in titles if not set(title) & set("\\$"))
    return next((title for title in plain if title not in summary and not summary.endswith("…")), None)


@settings(deadline=None)
@given(SEMINARS, st.sampled_from(["", "en", "zh"]), st.booleans(), st.sampled_from([(), (HOURS,), (DAYS, HOURS)]))
def test_any_seminar_can_be_read_back(series: Seminar, language: str, split: bool, alarms: tuple[timedelta, ...]):
    options = Options(past=None, split=split, alarms=alarms)
    now = datetime(1990, 1, 1, tzinfo=UTC)
    data = feed.render(series, now=now, base_url=SITE, language=language, options=options)
    assert_well_folded(data)
    parsed = Calendar.from_ical(data)
    assert parsed.errors == []
    found = parsed.walk("VEVENT")
    assert [e.errors for e in found] == [[]] * len(found)
    titles = [str(e["SUMMARY"]) for e in found]
    assert [title for title in titles if len(title) > 255] == []
    if not split:
        assert [(str(e["UID"]), e.start, e.end) for e in found] == [
            (s.uid or s.id, s.start, s.end) for s in series.sessions
        ]
        assert [
            missing_title(one, summary, language) for one, summary in zip(series.sessions, titles, strict=True)
        ] == [None] * len(found)
    assert feed.render(series, now=now, base_url=SITE, language=language, options=options) == data
