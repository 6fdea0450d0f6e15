from __future__ import annotations

from datetime import timedelta

from samples import DAYS, HOURS, START

from notifier.mailings import doubts, mailing
from notifier.notices import Kind, Notice
from notifier.rates import Limits

REMINDER = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, START - DAYS, START - 16 * HOURS, DAYS)
GMAIL = Limits(per_minute=60, per_day=500)


def test_a_mailing_that_is_through_in_time_raises_no_doubt() -> None:
    one = mailing(REMINDER, 500, GMAIL)
    assert (one.takes, one.late) == (timedelta(minutes=8), 0)
    assert doubts([one], GMAIL) == ()


def test_a_list_longer_than_the_day_allows_is_told_with_its_figures() -> None:
    one = mailing(REMINDER, 1200, GMAIL)
    (problem,) = doubts([one, one], GMAIL)
    assert problem.message == (
        "reminder-1d of 2021-11-27 cannot reach everyone in time: 1200 mails take 2d at 60 per minute, 500 per day,"
        " and 700 of them would be too late"
    )


def test_without_limits_nobody_is_late() -> None:
    assert mailing(REMINDER, 10**6, Limits()).late == 0
