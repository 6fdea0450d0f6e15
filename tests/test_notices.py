from __future__ import annotations

from datetime import timedelta

import pytest
from samples import DAYS, HOURS, START, session

from notifier.notices import BESIDE, LAST_DAY, Kind, Notice, Recipients, audience
from notifier.talks import Audience

MINUTES = timedelta(minutes=1)
REMINDER = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 1, START - DAYS, START)


@pytest.mark.parametrize(
    ("kind", "before", "reader"),
    [
        (Kind.CONFIRMATION, HOURS, Audience.PUBLIC),  # whose address it is, is not known yet
        (Kind.REMINDER, LAST_DAY, Audience.REMINDER),
        (Kind.CHANGE, LAST_DAY + MINUTES, Audience.SUBSCRIBERS),
        (Kind.ANNOUNCEMENT, -HOURS, Audience.REMINDER),
        (Kind.REPLAY, -DAYS, Audience.PUBLIC),  # nobody needs to join any more
    ],
)
def test_who_a_mail_is_for_depends_on_its_kind_and_on_the_last_day(
    kind: Kind, before: timedelta, reader: Audience
) -> None:
    assert audience(kind, session(), START - before) is reader


def test_a_notice_is_written_as_people_write_it_and_keeps_when_its_rule_made_it_due() -> None:
    assert REMINDER.name == "2021-11-27/reminder-1d/1"
    early = Notice("s", Kind.REMINDER, "reminder-1d", 0, START - DAYS - HOURS, START, head_start=HOURS)
    assert (REMINDER.ruled, early.ruled) == (START - DAYS, START - DAYS)


@pytest.mark.parametrize(
    ("about", "told"), [("2021-11-27", "2021-11-27"), (f"{BESIDE}2021-11-27", "2021-11-27"), (BESIDE, "")]
)
def test_a_notice_about_a_subscription_may_tell_of_a_session_besides(about: str, told: str) -> None:
    assert Notice(about, Kind.WELCOME, "welcome", 0, START, START).told_session == told


def test_two_notices_in_one_mail_are_for_everybody_whom_either_was_for() -> None:
    some = (
        Recipients(everyone=True), Recipients(leads=frozenset({DAYS})), Recipients(leads=frozenset({HOURS})),
        Recipients(by_default=True), Recipients(told=True), Recipients(replays=True),
    )  # fmt: skip
    whole = Recipients()
    for one in some:
        whole |= one
    assert whole == Recipients(True, frozenset({DAYS, HOURS}), True, True, True)
