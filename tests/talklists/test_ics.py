from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
import samples
from conftest import PUBLISHED

from notifier import feed, talklists
from notifier.errors import TalkListError
from notifier.talklists import Context, Reading
from notifier.talks import Link, Livestream, Room, Session, Speaker, Status, Talk

ODD = PUBLISHED / "odd-ics"


def calendar(*events: str, head: str = "", end: str = "END:VCALENDAR\n") -> str:
    parts = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{parts}{end}"


def read(text: str, timezone: str = "Asia/Shanghai") -> Reading:
    return talklists.read(text.encode(), Context(timezone=timezone))


def refusal(text: str) -> list[str]:
    with pytest.raises(TalkListError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def only(reading: Reading) -> Session:
    (session,) = reading.seminar.sessions
    return session


def starts(reading: Reading) -> list[str]:
    """Each session's start as `2021-11-27 09:30 Asia/Shanghai`."""
    return [f"{s.start:%Y-%m-%d %H:%M} {s.timezone}" for s in reading.seminar.sessions]


TIMES = "DTSTART;TZID=Asia/Shanghai:20211127T093000\nDTEND;TZID=Asia/Shanghai:20211127T113000\n"

# The odd calendars ----------------------------------------------------------------------------------------------

NO_EVENT = "the calendar holds no event that can be used"
LEFT_OUT = {
    "icalendar__bom_calendar": [NO_EVENT],
    "icalendar__broken_dtstart": ['line 6: the event "without a title" has a DTSTART that is no date', NO_EVENT],
    "icalendar__event_with_escaped_characters": ['line 1: the event "without a title" has no DTSTART', NO_EVENT],
    "icalendar__multiple_calendar_components": [
        'line 33: the event "Christmas Day" of 2003-12-25 has no time of day',
        "line 46: there are 2 calendars",
        'line 68: the event "Boxing Day" of 2003-05-01 has no time of day',
        'line 77: the event "Christmas again!" of 2003-12-25 has no time of day',
        NO_EVENT,
    ],
    "icalendar__parsing_error_in_UTC_offset": [NO_EVENT],
    "icalendar__rfc_7986_conferences": ['line 2: the event "without a title" has no DTSTART', NO_EVENT],
    "nodeical__test_with_forward_TZ": ['line 9: the event "Fear TWD" of 2020-10-17 has no time of day', NO_EVENT],
}
FEW = {
    "icalendar__invalid_duration": (
        ["2024-01-01 08:00 Asia/Shanghai"],
        ['line 8: the event "Event with an impractical duration" has a DURATION that cannot be read'],
    ),
    "icalendar__issue_104_mark_events_broken": (["2014-04-01 08:00 Asia/Shanghai"], ["line 9: this is no property"]),
    "icalendar__issue_218_bad_tzid": (["2017-02-28 20:00 Asia/Shanghai"], []),
    "icalendar__issue_237_fail_to_parse_timezone_with_non_ascii_tzid": (["2017-05-12 00:30 Asia/Shanghai"], []),
    "icalendar__issue_53_description_parsed_properly": (
        ["2012-07-12 18:30 America/New_York"],
        ['line 1: the place "Fathom Creative, Inc.'],
    ),
    "icalendar__issue_722_missing_timezones": (
        ["2014-08-29 08:00 America/New_York", "2024-09-13 06:00 America/New_York"],
        ['line 9: the event "without a title" has no DTSTART', "line 12: a VTODO is not read", "line 15: the event"],
    ),
    "icaljs__duration_instead_of_dtend": (["2012-06-30 06:00 America/Los_Angeles"], []),
    "nodeical__bad_custom_ms_tz": (
        ["2021-03-25 10:35 Asia/Shanghai", "2021-04-02 03:30 Asia/Shanghai"],
        [
            'line 2: the place "[private]"',
            'line 6: the time zone "tzone://Microsoft/Custom" is not known: read as Asia/Shanghai (and 1 times more)',
            'line 24: the event "*masked-away*" has no end: read as two hours',
            'line 38: the event "*masked-away2*" of 2021-04-01 has no time of day',
        ],
    ),
    "nodeical__duplicate-uid-sequence": (
        ["2024-01-15 18:00 Asia/Shanghai", "2024-01-20 22:00 Asia/Shanghai"],
        [
            'line 12: the event "Old version (SEQUENCE 0) - should be ignored" is an older version of the one in',
            'line 20: the event "First version (SEQUENCE 1)" is an older version of the one in line 28',
        ],
    ),
    "nodeical__exchange-custom-tz": (["2019-04-30 10:00 Asia/Shanghai"], []),
    "nodeical__google-calendar-kiev-tz": (
        [f"2016-08-{day} 14:00 Europe/Kiev" for day in (25, 26, 27, 28)],
        [],
    ),
    "nodeical__mixed-timezone-handling": (
        ["2002-10-27 17:20 US/Pacific", "2002-10-28 01:20 America/New_York", "2002-10-28 01:20 US/Pacific"],
        [
            "line 9: the time has no zone: read as US/Pacific",
            'line 30: the event "Date Only (Explicit)" of 2002-10-28',
            'line 37: the event "Date Only (Implicit)" of 2002-10-28',
        ],
    ),
    "nodeical__windows-quoted-tz-rrule": (
        [f"2015-07-{day:02} 12:00 America/New_York" for day in range(6, 16)],
        ["line 8: the EXDATE 2015-07-08 19:00Z is no instance", "line 9: the EXDATE 2015-07-10 19:00Z is no instance"],
    ),
    "tencentshape__bizmail_tzid_plus8": (["2021-11-27 09:30 Asia/Shanghai"], ["line 16: the time has no zone"]),
    "tencentshape__hitwebinar_unescaped": (
        ["2024-09-01 13:00 Asia/Shanghai"],
        ["line 14: this is no property: read as more of the DESCRIPTION above"],
    ),
    "tencentshape__qqmail_cst8": (["2021-11-27 09:30 Asia/Shanghai"], []),
    "tencentshape__wecom_tz08_biweekly": (
        [f"2021-{day} 09:30 Asia/Shanghai" for day in ("10-02", "10-30", "11-13", "11-27", "12-11", "12-25")],
        [],
    ),
}
# How many sessions, the first and the last, and the warnings.
MANY = {
    "nodeical__Office-2012-owa": (90, "2020-10-28 13:30 Australia/Canberra", "2021-08-27 13:30 America/New_York", []),
    "nodeical__bad_ms_tz": (
        34,
        "2020-08-25 22:35 Asia/Shanghai",
        "2020-12-17 23:35 Asia/Shanghai",
        ['line 21: the place "[private]"'],
    ),
    "nodeical__biweekly-exdate-until": (
        91,
        "2017-02-16 09:00 US/Central",
        "2018-12-04 16:00 Europe/Kiev",
        [
            "line 26: the EXDATE 2017-12-19 06:00Z is no instance",
            "line 27: the EXDATE 2017-12-18 06:00Z is no instance",
            "line 28: the EXDATE 2020-01-16 is no instance",
            'line 30: "Example of exdate with bad times" recurs without an end: 70 instances up to 2018-12-04',
        ],
    ),
}


def told(found: list[str], expected: list[str]) -> bool:
    return len(found) == len(expected) and all(map(str.startswith, found, expected))


@pytest.mark.real_page
def test_every_odd_calendar_has_its_outcome_here() -> None:
    assert {path.stem for path in ODD.glob("*.ics")} == LEFT_OUT.keys() | FEW.keys() | MANY.keys()


@pytest.mark.real_page
@pytest.mark.parametrize("name", LEFT_OUT)
def test_an_odd_calendar_without_a_usable_event_is_refused_with_every_reason(name: str) -> None:
    problems = refusal((ODD / f"{name}.ics").read_bytes().decode("utf-8-sig"))
    assert told(problems, LEFT_OUT[name]), problems


@pytest.mark.real_page
@pytest.mark.parametrize("name", FEW)
def test_an_odd_calendar_is_read_as_far_as_it_can_be_and_told_of(name: str) -> None:
    reading = talklists.read((ODD / f"{name}.ics").read_bytes(), Context())
    expected, warnings = FEW[name]
    assert starts(reading) == expected
    assert told(found := [str(warning) for warning in reading.warnings], warnings), found


@pytest.mark.real_page
@pytest.mark.parametrize("name", MANY)
def test_an_odd_recurrence_is_expanded(name: str) -> None:
    reading = talklists.read((ODD / f"{name}.ics").read_bytes(), Context())
    count, first, last, warnings = MANY[name]
    assert (len(found := starts(reading)), found[0], found[-1]) == (count, first, last)
    assert told(words := [str(warning) for warning in reading.warnings], warnings), words


@pytest.mark.real_page
def test_text_that_was_never_escaped_gives_its_meeting_and_not_its_join_lines() -> None:
    session = only(talklists.read((ODD / "tencentshape__hitwebinar_unescaped.ics").read_bytes(), Context()))
    assert session.room == Room(url="https://meeting.tencent.com/dw/xxxx", meeting_id="940-834-640")
    assert "940-834-640" not in session.talks[0].abstract


# Structure ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["", "BEGIN:VEVENT\nSUMMARY:x\n"])
def test_a_calendar_that_was_cut_off_is_refused(end: str) -> None:
    assert "it is cut off" in refusal(calendar(TIMES, end=end))[-1]


def test_an_event_without_its_end_is_closed_where_the_next_begins() -> None:
    reading = read(calendar(f"{TIMES}SUMMARY:A").replace("END:VEVENT\n", ""))
    assert [str(w) for w in reading.warnings] == [
        "line 7: the VEVENT of line 3 has no end: read as if it ended here; write END:VEVENT"
    ]
    assert only(reading).talks == (Talk(title="A"),)


def test_a_definition_of_a_zone_in_one_calendar_says_nothing_about_the_next() -> None:
    zone = "BEGIN:VTIMEZONE\nTZID:Here\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETTO:{0}\nTZOFFSETFROM:{0}\n"
    zone += "END:STANDARD\nEND:VTIMEZONE\n"
    event = TIMES.replace("Asia/Shanghai", "Here")
    assert starts(read(calendar(event, head=zone.format("+0900")))) == ["2021-11-27 08:30 Asia/Shanghai"]
    assert starts(read(calendar(event, head=zone.format("+0700")))) == ["2021-11-27 10:30 Asia/Shanghai"]
    assert 'the time zone "Here" is not known' in str(read(calendar(event)).warnings[0])


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("China Standard Time", "2021-11-27 09:30 Asia/Shanghai"),
        ('"(UTC+08:00) Beijing, Chongqing, Hong Kong, Urumqi"', "2021-11-27 09:30 Asia/Shanghai"),
        ('"(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"', "2021-11-27 09:30 Europe/Amsterdam"),
        ("/freeassociation.sourceforge.net/Europe/Berlin", "2021-11-27 09:30 Europe/Berlin"),
        ("asia/tokyo", "2021-11-27 09:30 Asia/Tokyo"),
        ("UTC+9", "2021-11-27 08:30 Asia/Shanghai"),
        ("+8", "2021-11-27 09:30 Asia/Shanghai"),
    ],
)
def test_a_zone_is_known_by_its_many_names(name: str, start: str) -> None:
    reading = read(calendar(TIMES.replace("Asia/Shanghai", name)))
    assert (starts(reading), reading.warnings) == ([start], ())


def test_a_definition_with_one_offset_is_enough_though_it_lacks_all_else() -> None:
    zone = "BEGIN:VTIMEZONE\nTZID:TZ09\nBEGIN:STANDARD\nTZOFFSETTO: +0900\nEND:STANDARD\nEND:VTIMEZONE\n"
    reading = read(calendar(TIMES.replace("Asia/Shanghai", "TZ09"), head=zone))
    assert (starts(reading), reading.warnings) == (["2021-11-27 08:30 Asia/Shanghai"], ())


@pytest.mark.parametrize("name", ["CST8", "TZ08", "Somewhere", "localtime", "../etc/passwd"])
def test_a_zone_that_is_not_certain_is_that_of_the_context_with_a_warning(name: str) -> None:
    reading = read(calendar(TIMES.replace("Asia/Shanghai", name)), "Europe/Berlin")
    assert starts(reading) == ["2021-11-27 09:30 Europe/Berlin"]
    assert str(reading.warnings[0]).startswith(f'line 4: the time zone "{name}" is not known: read as Europe/Berlin')


def test_an_event_without_an_end_is_two_hours_long_and_told_of() -> None:
    reading = read(calendar("DTSTART:20211127T013000Z\nSUMMARY:A"))
    assert only(reading).end - only(reading).start == timedelta(hours=2)
    assert [str(w) for w in reading.warnings] == [
        'line 3: the event "A" has no end: read as two hours; give it a DTEND'
    ]


def test_events_of_one_uid_at_two_times_are_both_kept_where_no_sequence_parts_them() -> None:
    other = TIMES.replace("20211127", "20211211")
    reading = read(calendar(f"UID:1\n{TIMES}SUMMARY:A", f"UID:1\n{other}SUMMARY:B"))
    assert [s.talks[0].title for s in reading.seminar.sessions] == ["A", "B"]
    assert 'the event "B" has the UID and SEQUENCE of line 3: both are kept' in str(reading.warnings[0])


# Recurrence -----------------------------------------------------------------------------------------------------


def test_a_biweekly_seminar_keeps_its_hour_when_the_clocks_change() -> None:
    event = "DTSTART;TZID=Europe/Berlin:20211016T100000\nDURATION:PT2H\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3"
    assert starts(read(calendar(event))) == [f"2021-{day} 10:00 Europe/Berlin" for day in ("10-16", "10-30", "11-13")]


def test_an_instance_that_was_moved_or_called_off_replaces_its_own() -> None:
    rule = "RRULE:FREQ=WEEKLY;INTERVAL=2;UNTIL=20211225T235959Z"
    moved = "UID:s\nRECURRENCE-ID;TZID=Asia/Shanghai:20211211T093000\n" + TIMES.replace("20211127", "20211212")
    off = "UID:s\nRECURRENCE-ID:20211225T013000Z\nSTATUS:CANCELLED\n" + TIMES.replace("20211127", "20211225")
    sessions = read(calendar(f"UID:s\n{TIMES}{rule}", moved, off)).seminar.sessions
    assert [(s.id, s.status) for s in sessions] == [
        ("2021-11-27", Status.CONFIRMED),
        ("2021-12-12", Status.CONFIRMED),
        ("2021-12-25", Status.CANCELLED),
    ]


def test_a_date_alone_leaves_out_the_instance_of_that_day() -> None:
    reading = read(calendar(f"{TIMES}RRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20211128"))
    assert ([s.id for s in reading.seminar.sessions], reading.warnings) == (["2021-11-27", "2021-11-29"], ())


@pytest.mark.parametrize("rule", ["FREQ=SECONDLY", "FREQ=WEEKLY;INTERVAL=0", "FREQ=NEVER", "BYDAY=SA", "nonsense"])
def test_a_rule_that_cannot_be_followed_leaves_the_first_instance(rule: str) -> None:
    reading = read(calendar(f"{TIMES}SUMMARY:A\nRRULE:{rule}"))
    assert starts(reading) == ["2021-11-27 09:30 Asia/Shanghai"]
    assert str(reading.warnings[0]).startswith('line 7: the recurrence of "A" cannot be read')


def test_an_endless_rule_is_followed_for_a_year_after_the_calendar_was_written() -> None:
    reading = read(calendar(f"{TIMES}RRULE:FREQ=WEEKLY;INTERVAL=2\nDTSTAMP:20230101T000000Z"))
    assert reading.seminar.sessions[-1].start.date() == date(2023, 12, 23)
    assert "recurs without an end" in str(reading.warnings[0])


# What an event says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("summary", "title", "names"),
    [
        ("王宇航 (北京深势科技有限公司): 冷冻电镜原理及相关算法", "冷冻电镜原理及相关算法", ["王宇航"]),
        ("Prof. Ada Lovelace: On the Engine", "On the Engine", ["Prof. Ada Lovelace"]),
        ("On the Engine - Ada Lovelace (University of Oxford)", "On the Engine", ["Ada Lovelace"]),
        ("Deep Learning: A Survey", "Deep Learning: A Survey", []),
        ("周会: 讨论", "周会: 讨论", []),
        ("Group Meeting: Discussion", "Group Meeting: Discussion", []),
        ("Ada Lovelace: On the Engine", "On the Engine", ["Ada Lovelace"]),
        ("Engine Days: Ada Lovelace (Oxford) - On the Engine", "On the Engine", ["Ada Lovelace"]),
        ("Ada Lovelace (Oxford) - On the Engine: A Survey", "On the Engine: A Survey", ["Ada Lovelace"]),
        ("On the Engine - Part Two", "On the Engine - Part Two", []),
    ],
)
def test_a_summary_names_a_speaker_only_where_that_is_certain(summary: str, title: str, names: list[str]) -> None:
    (talk,) = only(read(calendar(f"{TIMES}SUMMARY:{summary}"))).talks
    assert (talk.title, [speaker.name for speaker in talk.speakers]) == (title, names)


def test_a_description_that_labels_its_lines_gives_the_talks() -> None:
    lines = "报告人：王宇航\\n单位：北京深势科技有限公司\\n题目：冷冻电镜\\n摘要：一\\n二"
    lines += "\\n报告人：朱通\\n题目：燃烧模拟\\n会议号：329744341"
    session = only(read(calendar(f"{TIMES}DESCRIPTION:{lines}")))
    assert session.talks == (
        Talk(title="冷冻电镜", speakers=(Speaker("王宇航", ("北京深势科技有限公司",)),), abstract="一\n二"),
        Talk(title="燃烧模拟", speakers=(Speaker("朱通"),)),
    )
    assert session.room == Room(meeting_id="329744341")


JOIN = (
    r"An abstract.\nMeeting ID: 812 3456 7890\nPasscode: 097411\nOne tap: +16469313860\,\,81234567890#\,\,*097411#"
    r"\nAlternate meeting ID (no password): 553 2421 7498\nhttps://us02web.zoom.us/j/81234567890\n"
    r"https://live.bilibili.com/22\nThe end."
)


def test_how_to_join_is_found_in_the_description_and_no_passcode_stays_in_an_abstract() -> None:
    session = only(read(calendar(f"{TIMES}SUMMARY:A\nDESCRIPTION:{JOIN}")))
    assert session.room == Room(
        "https://us02web.zoom.us/j/81234567890", "812 3456 7890", "097411", alternate_id="553 2421 7498"
    )
    assert session.livestream == Livestream("https://live.bilibili.com/22")
    assert session.talks[0].abstract == "An abstract.\nThe end."


def test_no_warning_holds_a_passcode() -> None:
    reading = read(calendar(f"{TIMES}SUMMARY:A\nLOCATION:Zoom 812 3456 7890 (pwd 097411)\n密码：097411"))
    assert only(reading).room.passcode == "097411"
    assert "097411" not in "\n".join(map(str, reading.warnings))


def test_a_description_in_html_is_read_as_people_see_it() -> None:
    html = '<p>One <b>bold</b> word</p><br><a href="https://zoom.us/j/1">Join</a>'
    session = only(read(calendar(f"{TIMES}SUMMARY:A\nDESCRIPTION:{html}")))
    assert (session.talks[0].abstract, session.room.url) == ("One bold word", "https://zoom.us/j/1")


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("STATUS:tentative", Status.TENTATIVE),
        ("STATUS:CANCELLED", Status.CANCELLED),
        ("SUMMARY:Canceled: A", Status.CANCELLED),
        ("STATUS:PERHAPS", Status.CONFIRMED),
        ("CLASS:PUBLIC", Status.CONFIRMED),
    ],
)
def test_a_status_is_read_whatever_its_case_and_place(line: str, status: Status) -> None:
    assert only(read(calendar(f"{TIMES}{line}"))).status is status


def test_the_calendar_says_its_name_and_zone_and_a_short_clean_uid_is_the_id() -> None:
    head = "X-WR-CALNAME:Joint Seminar\nX-WR-TIMEZONE:Europe/Berlin\n"
    reading = read(calendar("UID:talk-12@example.org\nDTSTART:20211127T083000Z\nDURATION:PT1H", head=head))
    assert (reading.seminar.name, reading.seminar.timezone) == ("Joint Seminar", "Europe/Berlin")
    assert (only(reading).id, starts(reading)) == ("talk-12", ["2021-11-27 09:30 Europe/Berlin"])
    assert not reading.has_ids


# Our own feed ---------------------------------------------------------------------------------------------------


def own_sessions() -> tuple[Session, ...]:
    """Sessions with all that a feed can say: several speakers, slots, notices, odd titles, called off, still empty."""
    ada = Speaker("Ada Lovelace", ("University of Oxford", "ETH"), "https://ada.example.org")
    first = Talk(
        title="Engines: notes · and more",
        speakers=(ada, Speaker("Bob (鲍勃)")),
        abstract="First.\n2. Sums\n\n2. Second point\n\nSlides: none so far.",
        slides=Link("https://ada.example.org/engines.pdf"),
        replay="https://www.bilibili.com/video/BV1pf4y1u79M",
    )
    start = samples.START + 14 * samples.DAYS
    slot = {"start": start + samples.HOURS, "end": start + 2 * samples.HOURS}
    second = Talk(title="Sums", speakers=(Speaker("Carol"),), slides=Link(label="Install"), **slot)
    return (
        samples.session(),
        samples.session(
            start,
            id="second",
            uid="second@seminar.example.org",
            talks=(first, second),
            notice="Starts late.\nSorry.",
            status=Status.CANCELLED,
            livestream=Livestream("https://live.bilibili.com/22", "Bilibili"),
        ),
        samples.session(
            start + 14 * samples.DAYS,
            id="third",
            uid="third@seminar.example.org",
            talks=(),
            status=Status.TENTATIVE,
            room=Room(),
            livestream=Livestream(),
        ),
    )


@pytest.mark.parametrize("language", ["", "zh", "en"])
def test_our_own_feed_is_read_back_as_the_list_it_was_made_of(language: str) -> None:
    sessions = own_sessions()
    options = feed.Options(past=None)
    data = feed.render(
        samples.seminar(*sessions),
        now=samples.START,
        base_url="https://seminar.example.org",
        language=language,
        options=options,
    )
    reading = talklists.read(data, Context())
    unstamped = [replace(s, uid="", revision=0, created=None, modified=None) for s in sessions]
    assert list(reading.seminar.sessions) == unstamped
    assert (reading.has_ids, reading.warnings, reading.seminar.name) == (True, (), samples.seminar().name)


def test_a_zone_is_kept_where_the_feed_names_one() -> None:
    session = samples.session(datetime(2021, 11, 27, 1, 30, tzinfo=UTC), timezone="Europe/Berlin")
    data = feed.render(samples.seminar(session), now=samples.START, base_url="https://seminar.example.org")
    assert starts(talklists.read(data, Context())) == ["2021-11-27 02:30 Europe/Berlin"]


def test_events_that_share_their_uid_by_mistake_are_each_kept_once() -> None:
    other = TIMES.replace("20211127", "20211211")
    reading = read(calendar(*(f"UID:1\n{when}" for when in (f"{TIMES}SUMMARY:Ada", *[f"{other}SUMMARY:Bob"] * 3))))
    assert [session.talks[0].title for session in reading.seminar.sessions] == ["Ada", "Bob"]
    assert ["both are kept" in str(warning) for warning in reading.warnings] == [True, False, False]
