"""The seminar as a value: what is written as JSON is read back as it was meant."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from samples import START, TALKS, seminar, session

from notifier.talks import Audience, Room, as_json, from_json, shown_to


def read_back(text: str):
    return from_json(json.loads(text)).sessions[0]


def written(*sessions) -> str:
    return json.dumps(as_json(seminar(*sessions)))


def test_the_hour_on_the_wall_outlives_a_change_of_law():
    """Stored under a law that had Beijing at +09:00: what people were told is 9:30, and so it stays."""
    text = written().replace("09:30:00+08:00", "09:30:00+09:00")
    assert read_back(text).start == START


@pytest.mark.parametrize("fold", [0, 1])
def test_of_an_hour_that_is_lived_through_twice_the_offset_tells_which(fold):
    start = datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))
    back = read_back(written(session(start, timezone="Europe/Berlin")))
    assert (back.start.astimezone(UTC), back.start.fold) == (start.astimezone(UTC), fold)


def test_an_instant_given_in_another_zone_is_the_same_when_read_back():
    talk = replace(TALKS[0], start=START.astimezone(UTC))
    back = read_back(written(session(START.astimezone(UTC), talks=(talk,))))
    assert (back.start, back.talks[0].start) == (START, START)


@pytest.mark.parametrize(
    ("link", "public"),
    [
        ("https://zoom.example/j/123?pwd=aBc.1", "https://zoom.example/j/123"),
        ("https://zoom.example/j/123?pwd=aBc.1#success", "https://zoom.example/j/123#success"),
        ("https://voov.example/m/1?a=1&PWD=x&b=2", "https://voov.example/m/1?a=1&b=2"),
        ("https://voov.example/m/1?a=1&passcode=x", "https://voov.example/m/1?a=1"),
        ("https://meeting.example/dm/pwd=x?cpwd=1", "https://meeting.example/dm/pwd=x?cpwd=1"),
    ],
)
def test_who_may_not_see_the_passcode_does_not_see_it_in_the_link(link: str, public: str) -> None:
    one = session(room=Room(link, passcode="1"))
    levels = {"passcode": Audience.SUBSCRIBERS}
    assert shown_to(Audience.PUBLIC, one, levels).room == Room(public)
    assert shown_to(Audience.SUBSCRIBERS, one, levels) is one


def test_what_is_urgent_stands_once_above_the_notice_for_every_audience() -> None:
    one = session(urgent="Starts late", notice="Bring tea.")
    for audience in Audience:
        shown = shown_to(audience, shown_to(Audience.REMINDER, one, {}), {})
        assert (shown.notice, shown.urgent) == ("Starts late\nBring tea.", "Starts late")
    assert shown_to(Audience.PUBLIC, session(urgent="Starts late"), {}).notice == "Starts late"
    assert shown_to(Audience.PUBLIC, session(notice="Bring tea."), {}).notice == "Bring tea."
