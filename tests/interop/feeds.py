"""The feed as its readers ask for it, with everything in it that may happen to a session; and feeds that are broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from samples import DAYS, HOURS, ROOM, START, TALKS, seminar, session

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
    shown,
)

SITE = "https://seminar.example.org"
NOW = datetime(2021, 11, 20, 4, 0, tzinfo=UTC)


def _session(start: datetime, name: str, **values: Any) -> Session:
    return session(start, id=name, uid=f"{name}@seminar.example.org", **values)


# What people paste into a talk list, and what has made a program lose a text, a link or the whole feed.
HOSTILE = Talk(
    title='Commas, semicolons; colons: "quotes", C:\\New and rates of $\\nu$, \\N, ^n',
    speakers=(Speaker("عمر خيام (Omar Khayyám)", ("Nishapur; Iran", "Isfahan, Iran")), Speaker("👩🏽‍🔬 Ada\u0007")),
    abstract="A line\u2028and another\u0085and more\x0b.\n\n"
    "\tTabs,\u00a0spaces\u3000and \u202eturned\u202c text; 100%0A &amp; <b>\n"
    + "很长的摘要,逗号;分号\\反斜杠。"
    * 1500,
    slides=Link("https://slides.example.org/a,b?c=d;e&f=讲稿#1", "slides, final"),
)
SESSIONS = (
    _session(
        START - 14 * DAYS,
        "past",
        talks=(
            replace(TALKS[0], replay="https://www.bilibili.com/video/BV1", slides=Link("https://slides.example/1")),
        ),
    ),
    _session(
        START,
        "with-slots",
        talks=(
            replace(TALKS[0], start=START, end=START + HOURS, title_zh="论冷冻电镜", abstract_zh="摘要。"),
            replace(TALKS[1], start=START + HOURS, end=START + 2 * HOURS),
        ),
        livestream=Livestream("https://live.bilibili.com/1", "bilibili living room"),
        notice="Starts 15 minutes late.",
    ),
    _session(START + 14 * DAYS, "tentative", talks=(), status=Status.TENTATIVE, room=Room()),
    _session(START + 28 * DAYS, "cancelled", status=Status.CANCELLED, revision=2, modified=NOW),
    _session(START + 42 * DAYS, "moved", revision=7, modified=NOW),
    _session(
        START + 56 * DAYS,
        "hostile",
        talks=(HOSTILE,),
        room=replace(ROOM, url="https://zoom.us/j/1,2?pwd=a;b&名=值"),
        livestream=Livestream("https://live.example.org/a,b", 'the "big" ^n room, upstairs'),
    ),
)
SERIES = replace(
    seminar(*SESSIONS),
    name="Joint Seminar, of Machine Learning; and more",
    name_zh="机器学习联合研讨会",
    description="Every second Saturday,\nat half past nine.",
)


def _away(zone: str, *days: str) -> tuple[Session, ...]:
    """Sessions at half past ten, by the clock of the zone."""
    return tuple(
        _at(zone, datetime.fromisoformat(f"{day}T10:30").replace(tzinfo=ZoneInfo(zone)), HOURS) for day in days
    )


def _at(zone: str, start: datetime, span: timedelta) -> Session:
    """A session with the zone in its title, since programs are compared in the order of times and titles."""
    name = f"{zone.replace('/', '-').lower()}-{start:%Y-%m-%d-%H%M}"
    return replace(_session(start, name, timezone=zone, talks=(Talk(zone),)), end=start + span)


def _night(zone: str, turn: str) -> tuple[Session, ...]:
    """Sessions that begin in one of the two hours of the same name around this instant, when the clock is put back."""
    at = datetime.fromisoformat(turn)
    return tuple(_at(zone, at + begin * HOURS, span * HOURS) for begin, span in ((-1, 1), (-0.5, 1), (0.5, 2)))


# The days around the changes of the clock, in both halves of the world, and zones that are odd by half an hour.
ABROAD = seminar(
    *_away("America/New_York", "2022-03-12", "2022-03-14", "2022-11-05", "2022-11-07"),
    *_away("Europe/Berlin", "2022-03-26", "2022-03-28", "2022-10-29", "2022-10-31"),
    *_away("Australia/Sydney", "2022-04-02", "2022-04-04"),
    *_away("Europe/Dublin", "2022-01-15", "2022-07-15"),
    *_away("Australia/Lord_Howe", "2022-04-02", "2022-04-04", "2022-10-01", "2022-10-03"),
    *_away("Antarctica/Troll", "2022-03-26", "2022-03-28"),
    *_away("Asia/Kathmandu", "2022-05-14"),
    *_night("Europe/Berlin", "2022-10-30T01:00Z"),
    *_away("Asia/Kolkata", "2022-05-14"),
    *_away("America/St_Johns", "2022-05-14"),
    *_away("UTC", "2022-05-14"),
)


def render(
    series: Seminar = SERIES,
    *,
    language: str = "",
    audience: Audience = Audience.PUBLIC,
    source: str | None = None,
    **options: Any,
) -> bytes:
    levels = {name: Audience.SUBSCRIBERS if name == "passcode" else Audience.PUBLIC for name in JOIN_FIELDS}
    asked = Options(**options)
    series = shown(audience, series, levels)
    return feed.render(series, now=NOW, base_url=SITE, language=language, options=asked, source=source)


GOOD: Mapping[str, bytes] = MappingProxyType(
    {
        "usual": render(at_least=100),
        "all that was": render(past=None),
        "nothing past": render(past=timedelta()),
        "without the cancelled": render(cancelled=False),
        "each talk by itself": render(split=True),
        "with alarms": render(alarms=(timedelta(minutes=15), timedelta(days=1))),
        "in Chinese": render(language="zh"),
        "in English": render(language="en"),
        "a subscriber's own": render(audience=Audience.SUBSCRIBERS, source=""),
        "one session": feed.single(SESSIONS[1], SERIES, base_url=SITE),
        "one session as a message": feed.single(
            SESSIONS[1], SERIES, base_url=SITE, method="PUBLISH", organizer="organiser@example.org"
        ),
        "a cancellation as a message": feed.single(
            SESSIONS[3], SERIES, base_url=SITE, method="CANCEL", organizer="organiser@example.org"
        ),
        "around the world": render(ABROAD, past=None),
        "nothing yet": render(replace(SERIES, sessions=())),
    }
)


def _refolded_by_octets(data: bytes) -> bytes:
    """As a writer folds that counts octets and does not look at what they mean."""
    lines = data.replace(b"\r\n ", b"").split(b"\r\n")
    return b"\r\n".join(b"\r\n ".join(line[at : at + 74] for at in range(0, len(line) or 1, 74)) for line in lines)


def _without(name: str) -> Callable[[bytes], bytes]:
    return lambda data: re.sub(rb"(?<=\r\n)" + name.encode() + rb"[:;].*?\r\n(?! )", b"", data, flags=re.DOTALL)


def _twice_the_same_uid(data: bytes) -> bytes:
    first = b"UID:with-slots@seminar.example.org\r\n"
    return re.sub(rb"(?<=\r\n)UID:moved@seminar.example.org\r\n", first, data)


def _replaced(old: str, new: str) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old.encode(), new.encode())


class Break(NamedTuple):
    """A way to break a feed, and what the lint says of it."""

    done_to: Callable[[bytes], bytes]
    fault: str


BREAKS: Mapping[str, Break] = MappingProxyType(
    {
        "line feeds only": Break(_replaced("\r\n", "\n"), "ends without a carriage return"),
        "folded inside a character": Break(_refolded_by_octets, "no UTF-8 by itself: folded inside a character"),
        "not folded": Break(_replaced("\r\n ", ""), "octets and not 75 at most"),
        "no DTSTAMP": Break(_without("DTSTAMP"), "VEVENT has 0 DTSTAMP"),
        "no UID": Break(_without("UID"), "VEVENT has 0 UID"),
        "the same UID twice": Break(_twice_the_same_uid, "UID with-slots@seminar.example.org stands twice"),
        "a wrong offset": Break(
            _replaced("+0800", "+0900"), "Asia/Shanghai is 9:00:00 here, and 8:00:00 everywhere else"
        ),
        "no VTIMEZONE": Break(
            lambda data: re.sub(rb"BEGIN:VTIMEZONE.*END:VTIMEZONE\r\n", b"", data, flags=re.DOTALL),
            "there is no VTIMEZONE for Asia/Shanghai",
        ),
        "floating times": Break(_replaced(";TZID=Asia/Shanghai", ""), "DTSTART floats"),
        "commas as they are": Break(_replaced("\\,", ","), "a comma or semicolon without its backslash"),
        "line breaks as they are": Break(_replaced("\\n", "\r\n"), "no content line"),
        "a control character": Break(_replaced("SUMMARY:", "SUMMARY:\u0007"), "holds U+0007"),
        "an event without its END": Break(lambda data: data.replace(b"END:VEVENT\r\n", b"", 1), "VEVENT inside VEVENT"),
        "cut off": Break(lambda data: data[: len(data) // 2], "END:VCALENDAR is missing"),
        "no VERSION": Break(_without("VERSION"), "VCALENDAR has 0 VERSION"),
        "a status of its own": Break(
            _replaced("STATUS:CONFIRMED", "STATUS:HAPPENING"),
            "STATUS: 'HAPPENING' is none of TENTATIVE, CONFIRMED, CANCELLED",
        ),
        "a time that is none": Break(_replaced("T093000", "T963000"), "DTSTART: '20211113T963000' is no time of day"),
        "REFRESH-INTERVAL of no type": Break(
            _replaced(";VALUE=DURATION", ""), "REFRESH-INTERVAL is not said to be VALUE=DURATION"
        ),
    }
)
WHOLE = GOOD["usual"]
BROKEN: Mapping[str, bytes] = MappingProxyType({name: each.done_to(WHOLE) for name, each in BREAKS.items()})
