"""The feed has no fault in any of its forms, whatever people write; and the lint sees every fault that there is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import MINUTES, START, seminar, session

from interop import lint
from interop.feeds import BREAKS, BROKEN, GOOD, SESSIONS, WHOLE, render
from notifier.talks import Link, Livestream, Room, Session, Speaker, Status, Talk

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("name", GOOD)
def test_the_feed_has_no_fault(name: str):
    assert lint.faults(GOOD[name]) == []


TEXTS = st.text(max_size=200) | st.text('\\,;:"^n\n\r\t\x07\x85\u2028\ufeff\u202e 日🧑🏽‍🔬é́', max_size=200)
LINKS = st.just("") | st.builds("https://example.org/{}".format, TEXTS) | TEXTS
TALK_VALUES = st.builds(
    Talk,
    title=TEXTS,
    title_zh=TEXTS,
    speakers=st.lists(st.builds(Speaker, TEXTS, st.tuples(TEXTS), LINKS), max_size=2).map(tuple),
    abstract=TEXTS,
    slides=st.none() | st.builds(Link, LINKS, TEXTS),
    replay=LINKS,
)
SESSION_VALUES = st.builds(
    session,
    talks=st.lists(TALK_VALUES, max_size=3).map(tuple),
    status=st.sampled_from(Status),
    notice=TEXTS,
    room=st.builds(Room, LINKS, TEXTS, TEXTS, TEXTS, LINKS),
    livestream=st.builds(Livestream, LINKS, TEXTS),
)


@given(SESSION_VALUES, st.booleans())
@settings(max_examples=80)
def test_nothing_that_people_write_brings_a_fault_into_the_feed(one: Session, split: bool):
    assert lint.faults(render(seminar(one), split=split)) == []


def test_the_lint_reads_what_the_organisers_wrote():
    found = {str(event["uid"]).partition("@")[0]: event for event in lint.events(GOOD["all that was"])}
    assert list(found) == [one.id for one in SESSIONS]
    for one in SESSIONS:
        event = found[one.id]
        assert (event["start"], event["end"]) == (in_utc(one.start), in_utc(one.end))
        assert (event["status"], event["sequence"]) == (one.status.upper(), one.revision)
        for talk in one.talks:
            assert talk.title.replace("$", "").replace("\\", "∖").replace("∖nu", "ν") in str(event["summary"])
    assert str(found["with-slots"]["description"]).startswith(
        "Starts 15 minutes late.\n\n参会链接 Join: https://meeting.tencent.com/dm/p1q2HxwW3x4r\n"
    )
    assert "https://meeting.tencent.com/dm/p1q2HxwW3x4r" in str(found["moved"]["location"])


def in_utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("name", BREAKS)
def test_the_lint_sees_every_fault(name: str):
    assert BROKEN[name] != WHOLE
    assert any(BREAKS[name].fault in fault for fault in lint.faults(BROKEN[name])), lint.faults(BROKEN[name])


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("BEGIN:VCALENDAR", "\ufeffBEGIN:VCALENDAR", "a byte order mark"),
        ("VERSION:2.0", "VERSION:2.0\r\n", "empty"),
        ("VERSION:2.0", "VERSION:2.0\r\nX-WR-CALDESC:", "begins or ends with nothing"),
        ("CLASS:PUBLIC", "CLASS:PUBLIC\r\nCATEGORIES:a\\n", "begins or ends with nothing"),
        ("END:VCALENDAR\r\n", "END:VCALENDAR", "the last line has no end"),
        ("END:VCALENDAR", "END:VCALENDAR\r\nX-MORE:1", "outside the calendar"),
        ("END:VCALENDAR", "END:VCALENDAR\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR", "is not one VCALENDAR"),
        ("END:VEVENT", "END:VTODO", "END:VTODO ends nothing that was begun"),
        ("STATUS:CONFIRMED", "STATUS:CONFIRMED\r\nSTATUS:CONFIRMED", "VEVENT has 2 STATUS"),
        ("STATUS:CONFIRMED", "X-OWN:1", "VEVENT has no X-OWN"),
        ("STATUS:CONFIRMED", "STATUS;VALUE=TEXT:CONFIRMED", "STATUS has no parameter VALUE"),
        ("STATUS:CONFIRMED", "RRULE:FREQ=DAILY", "VEVENT has no RRULE"),
        ("SUMMARY:", "SUMMARY;LANGUAGE=zh;LANGUAGE=en:", "LANGUAGE twice on one line"),
        ("SUMMARY:", "SUMMARY:C:\\x ", "a backslash that escapes nothing"),
        ("SUMMARY:", "SUMMARY:a\\\\,b ", "a comma or semicolon without its backslash"),
        ("SUMMARY:", "SUMMARY:a\\\r\n , ", "folded inside an escape"),
        ("SUMMARY:", "SUMMARY:\u2028", "holds U+2028"),
        ("SUMMARY:", "SUMMARY:a\rb", "holds U+000D"),
        ("CATEGORIES:", "CATEGORIES:a;b ", "a semicolon without its backslash"),
        ("SEQUENCE:0", "SEQUENCE:-1", "'-1' is no count"),
        ("SEQUENCE:0", "SEQUENCE:0.5", "'0.5' is no count"),
        ("LAST-MODIFIED:20210101T000000Z", "LAST-MODIFIED:20210101T000000", "is not in UTC"),
        (
            "DTEND;TZID=Asia/Shanghai:20211127T113000",
            "DTEND;TZID=Asia/Shanghai:20211127T083000",
            "ends before it starts",
        ),
        ("DTSTART;TZID=Asia/Shanghai", "DTSTART;TZID=Asia/Peking", "there is no VTIMEZONE for Asia/Peking"),
        (":20211127T093000", ":20211127T093000Z", "UTC in a zone"),
        ("TZID:Asia/Shanghai", "TZID:China Standard Time", "is no zone that everybody knows"),
        ("TZOFFSETTO:+0800", "TZOFFSETTO:+080543", "is no offset in whole minutes"),
        ("BEGIN:STANDARD", "COMMENT:old\r\nBEGIN:STANDARD", "VTIMEZONE has no COMMENT"),
        ("VALUE=DURATION:PT4H", "VALUE=DURATION:P4H", "'P4H' is no span of time"),
        ("X-PUBLISHED-TTL:PT4H", "X-PUBLISHED-TTL:-PT4H", "'-PT4H' is no span of time"),
        ("URL:https://", "URL:", "is no URI"),
        ("URL:https://", "URL:https://会议/", "is no URI"),
        ("SOURCE;VALUE=URI:", "SOURCE:", "SOURCE is not said to be VALUE=URI"),
        ("FEATURE=AUDIO", "FEATURE=SMELL", "FEATURE: ['SMELL']"),
        ("LABEL=bilibili", "LABEL=^bilibili", "LABEL holds a circumflex"),
        ("X-WR-CALNAME:", "X-WR-CALNAME:Another ", "NAME and X-WR-CALNAME are two names"),
        ("COLOR:teal", "COLOR:#008080", "is no name of a colour"),
        ("CALSCALE:", "METHOD:PUBLISH\r\nCALSCALE:", "a message without its ORGANIZER"),
        ("CALSCALE:", "UID:1\r\nCALSCALE:", "VCALENDAR has no UID"),
        ("TRIGGER:-PT15M", "TRIGGER:15 minutes", "'15 minutes' is no duration"),
        ("CREATED:20210101", "CREATED:20210102", "was changed before it was made"),
        ("DTSTART:20190101T000000", "DTSTART:20211201T000000", "DTSTART is before Asia/Shanghai begins"),
        ("ACTION:DISPLAY", "ACTION:EMAIL", "'EMAIL' is none of DISPLAY"),
    ],
)
def test_the_lint_sees_a_single_slip(old: str, new: str, fault: str):
    live = session(START, livestream=Livestream("https://live.example.org", "bilibili"))
    data = render(seminar(live), alarms=(15 * MINUTES,))
    assert lint.faults(data) == []
    slipped = data.decode().replace(old, new, 1).encode()
    assert slipped != data
    assert any(fault in found for found in lint.faults(slipped)), lint.faults(slipped)
