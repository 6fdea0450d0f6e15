from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given
from samples import DAYS, HOURS, MINUTES, START, seminar, session

from notifier.bulletins import LONGEST, Bulletin, announced, lines, with_lines
from notifier.errors import NotifierError
from notifier.talks import Audience, Livestream, Seminar, Status

NOW = START - 20 * MINUTES
LEVELS = {"passcode": Audience.SUBSCRIBERS}
FIRST = Bulletin("2021-11-27", 1, "Starts late", NOW - HOURS, START + 2 * HOURS)


def announce(
    line: str | None,
    of: Seminar | None = None,
    session_id: str = "2021-11-27",
    before: Bulletin | None = None,
    levels: dict[str, Audience] = LEVELS,
) -> Bulletin:
    return announced(of or seminar(), session_id, line, before, levels=levels, now=NOW)


def refusals(line: str | None, of: Seminar | None = None, session_id: str = "2021-11-27", **more: object) -> list[str]:
    with pytest.raises(NotifierError) as refused:
        announce(line, of, session_id, **more)  # type: ignore[arg-type]
    return [problem.message for problem in refused.value.problems]


def test_a_bulletin_is_out_from_its_word_to_the_end_of_its_session() -> None:
    one = announce("  Starts  15 minutes late ")
    assert (one.number, one.line, one.at, one.until) == (1, "Starts 15 minutes late", NOW, session().end)
    assert [one.is_out(at) for at in (NOW - MINUTES, NOW, one.until - MINUTES, one.until)] == [False, True, True, False]


def test_the_next_bulletin_takes_the_place_of_the_one_before_and_none_is_mute() -> None:
    assert announce("Now", before=FIRST).number == 2
    mute = announce(None, before=FIRST)
    assert (mute.number, mute.line, mute.is_out(NOW)) == (2, "", False)


def test_there_is_nothing_to_take_away_where_nothing_is_out() -> None:
    for before in (None, replace(FIRST, line=""), replace(FIRST, until=NOW)):
        assert refusals(None, before=before) == ["nothing is announced of session '2021-11-27'"]


def test_lines_that_are_out_stand_in_their_sessions_and_in_no_other() -> None:
    other = session(START + 14 * DAYS, id="2021-12-11")
    old = seminar(session(), replace(other, urgent="Long ago"))
    out = lines([FIRST, replace(FIRST, session_id="gone")], old, NOW)
    shown = with_lines(old, out)
    assert [one.urgent for one in shown.sessions] == ["Starts late", ""]
    assert with_lines(shown, out) is shown
    assert lines([FIRST], old, FIRST.until) == {}


def test_of_a_session_that_was_brought_forward_no_line_is_out_once_it_is_over() -> None:
    early = replace(session(), start=NOW - 2 * HOURS, end=NOW)
    assert FIRST.until > NOW
    assert lines([FIRST], seminar(early), NOW - HOURS) == {early.id: FIRST.line}
    assert lines([FIRST], seminar(early), NOW) == {}


@pytest.mark.parametrize(
    "line",
    [
        "Starts 15 minutes late; new room 123 456 789",
        "推迟15分钟开始；会议室改为 123 456 789",
        "It costs $5 and $6, 50% off & <free>",
        "Room 1974114 is not the passcode",
        "دیر شروع می‌شود",
        "👩‍🔬 is late",
        "x" * LONGEST,
    ],
)
def test_a_line_may_say_what_people_write(line: str) -> None:
    assert announce(line).line == line


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "the line has no words"),
        (" \u3000 ", "the line has no words"),
        ("x" * 2000, "the line has 2000 characters"),
        ("two\nlines", "the line holds U+000A"),
        ("a bell \x07", "the line holds U+0007"),
        ("turned \u202e round", "the line holds U+202E"),
        ("not \udcff UTF-8", "the line holds U+DCFF"),
        (r"of $\alpha$", "the line holds LaTeX"),
        ("the passcode is 974114", "the line holds the passcode"),
        ("密码974 114，请入会", "the line holds the passcode"),
        ("9-7-4-1-1-4!", "the line holds the passcode"),
        ("974\u200b114", "the line holds U+200B"),
        ("９７４１１４", "the line holds the passcode"),
        ("https://zoom.us/j/1?pwd=x", "the line holds the passcode"),
    ],
)
def test_a_line_that_would_break_or_betray_something_is_refused(line: str, told: str) -> None:
    found = refusals(line)
    assert any(one.startswith(told) for one in found), found


def test_what_everybody_may_see_may_stand_in_a_line() -> None:
    public = {"passcode": Audience.PUBLIC}
    assert announce("the passcode is 974114", levels=public)
    hidden = {"livestream": Audience.SUBSCRIBERS, "meeting_id": Audience.REMINDER}
    watched = seminar(session(livestream=Livestream("https://live.bilibili.com/7")))
    told = refusals("see https://live.bilibili.com/7 or 329 744 341", watched, levels=hidden)
    assert told == ["the line holds the livestream and the meeting id, and everybody is shown it"]


def test_the_passcode_of_a_session_to_come_is_in_no_line_either() -> None:
    other = session(START + 14 * DAYS, id="2021-12-11", room=replace(session().room, passcode="246810"))
    assert refusals("use 246810", seminar(session(), other)) == [
        "the line holds the passcode, and everybody is shown it"
    ]


def test_no_refusal_repeats_a_passcode() -> None:
    with pytest.raises(NotifierError) as refused:
        announce("974114\n$x$")
    assert "974114" not in str(refused.value)


def test_only_of_a_session_on_or_to_come_something_is_announced_and_all_is_told_at_once() -> None:
    assert refusals("\n", session_id="2021-11-28")[0] == "there is no session '2021-11-28'"
    assert len(refusals("\n", session_id="2021-11-28")) == 3
    past = seminar(session(NOW - timedelta(hours=3)))
    assert "is over since 2021-11-27 08:10" in refusals("Late", past)[0]
    assert "is cancelled" in refusals("Late", seminar(session(status=Status.CANCELLED)))[0]


def test_a_wrong_id_brings_those_that_are_near() -> None:
    with pytest.raises(NotifierError) as refused:
        announce("Late", session_id="2021-11-72")
    assert refused.value.problems[0].advice == "did you mean 2021-11-27?"


@given(st.text())
def test_any_text_is_taken_or_refused(line: str) -> None:
    with suppress(NotifierError):
        assert announce(line).line
