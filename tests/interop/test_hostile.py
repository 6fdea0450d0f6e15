"""Any text in any field is a calendar without a fault, from which it can be read back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar
from samples import DAYS, HOURS, START

from interop.lint import faults
from notifier import feed
from notifier.feed import Options
from notifier.pages import feeds
from notifier.talks import Link, Livestream, Room, Seminar, Session, Speaker, Status, Talk

SITE = "https://seminar.example.org"
# What calendars choke on, beside any text at all.
PIECES = st.sampled_from([
    "\r\n", "\n", "\r", "\x00", "\x07", "\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff", "\ufffe",
    "\U0001ffff", "\u202e", "\u2066", "\u200b", "\u00a0", "\u3000", "\\", "\\n", "\\N", "$\\nu$", "\\nu", "\\,", ";",
    ",", ":", '"', "^n", "^'", "%0A", "%0d%0a", "&amp;", "<b>", "👩🏽‍🔬", "👨‍👩‍👧‍👦", "é", "e\u0301",
    "עברית", "العربية",
    "漢字かな", "END:VEVENT", "\r\nEND:VCALENDAR\r\n", "\r\nX-EVIL:1", "BEGIN:VALARM", "DTSTART:19700101T000000Z",
    "a" * 74, "漢" * 30, "\\" * 80, ";" * 80, "x" * 2000,
])  # fmt: skip
TEXTS = st.lists(PIECES | st.text(max_size=8), max_size=6).map("".join)
LINKS = TEXTS | TEXTS.map("https://example.org/{}".format) | st.just("https://example.org/?q=" + "é,;'\"" * 400)
TALKS = st.builds(
    Talk,
    title=TEXTS,
    title_zh=TEXTS,
    speakers=st.lists(st.builds(Speaker, TEXTS, st.tuples(TEXTS), LINKS), max_size=2).map(tuple),
    start=st.none() | st.just(START),
    abstract=TEXTS | st.just("很长,长;长\\" * 4000),
    abstract_zh=TEXTS,
    bio=TEXTS,
    slides=st.none() | st.builds(Link, LINKS, TEXTS),
    replay=LINKS,
)
SESSIONS = st.builds(
    Session,
    id=TEXTS.map("s{}".format),
    start=st.just(START),
    end=st.just(START + 2 * HOURS),
    timezone=st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "UTC", "America/New_York"]),
    talks=st.lists(TALKS, max_size=2).map(tuple),
    status=st.sampled_from(Status),
    notice=TEXTS,
    room=st.builds(Room, LINKS, TEXTS, TEXTS, TEXTS, LINKS),
    livestream=st.builds(Livestream, LINKS, TEXTS),
    uid=TEXTS.map("{}@seminar.example.org".format),
    created=st.just(START - 9 * DAYS),
    modified=st.just(START - 2 * DAYS),
)
SERIES = st.builds(
    Seminar, st.just("jsml"), TEXTS, st.just("Asia/Shanghai"), TEXTS, TEXTS, TEXTS, st.just(()), LINKS,
    sessions=st.tuples(SESSIONS),
)  # fmt: skip
OPTIONS = st.builds(
    Options,
    past=st.none() | st.just(timedelta(0)),
    cancelled=st.booleans(),
    alarms=st.sampled_from([(), (HOURS,), (DAYS, timedelta(0))]),
    split=st.booleans(),
)


@settings(max_examples=80, deadline=None)
@given(SERIES, OPTIONS, st.sampled_from(["", "zh", "en"]))
def test_any_text_in_any_field_is_a_calendar_without_a_fault(series: Seminar, options: Options, language: str):
    for each in (options, replace(options, past=None)):
        source = f"{SITE}/jsml.ics?{feeds.Choice(language, each).query}"
        data = feed.render(series, now=START, base_url=SITE, language=language, options=each, source=source)
        assert faults(data) == []
        assert_read_back(data, series, each)
    (one,) = series.sessions
    assert faults(feed.single(one, series, base_url=SITE, language=language, options=options, now=START)) == []


def assert_read_back(data: bytes, series: Seminar, options: Options) -> None:
    calendar = Calendar.from_ical(data)
    assert isinstance(calendar, Calendar)
    assert str(calendar["X-WR-CALNAME"]) == str(calendar["NAME"])
    (one,) = series.sessions
    if options.past is None and options.cancelled and not options.split:
        (event,) = calendar.events
        assert (event.start, event.end) == (one.start, one.end)
        assert str(event["UID"]) == one.uid.replace("\\", "∖")
        assert [str(alarm["DESCRIPTION"]) for alarm in event.subcomponents] == (
            [] if one.is_cancelled else [str(event["SUMMARY"])] * len(options.alarms)
        )
