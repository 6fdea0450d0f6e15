"""No span of time holds more messages than it may, over restarts too, and what may leave does leave in the end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.providers import PROVIDERS
from notifier.rates import DAY, MINUTE, SECOND, UNLIMITED, Limits, Pace, capacity, duration

NOON = datetime(2021, 11, 27, 4, 0, tzinfo=UTC)
QQ = Limits(per_minute=30)


def most_in(span: timedelta, sent: list[datetime]) -> int:
    return max((sum(at <= other < at + span for other in sent) for at in sent), default=0)


def send_all(pace: Pace, count: int, now: datetime = NOON) -> list[datetime]:
    sent = []
    for _ in range(count):
        now = pace.opens_at(now)
        assert pace.available(now) > 0
        pace.take(now)
        pace.succeeded(now)
        sent.append(now)
    return sent


@settings(max_examples=60)
@given(
    st.builds(Limits, *(st.integers(0, 9) for _ in range(4))),
    st.lists(st.tuples(st.floats(0, 4000), st.integers(1, 12), st.booleans()), max_size=30),
)
def test_no_span_ever_holds_more_than_its_limit(limits: Limits, steps: list[tuple[float, int, bool]]) -> None:
    pace, now, sent = Pace(limits), NOON, []
    for seconds, wanted, restarts in steps:
        now += timedelta(seconds=seconds)
        count = min(wanted, pace.available(now))
        pace.take(now, count)
        sent += count * [now]
        if restarts:
            pace = Pace(limits, pace.written())
        if limits and not pace.available(now):
            assert pace.opens_at(now) > now
    for _, span, limit in limits:
        assert most_in(span, sent) <= limit


@given(st.builds(Limits, *(st.integers(0, 9) for _ in range(4))), st.integers(1, 40))
def test_what_may_leave_later_does_leave_and_not_much_later_than_foretold(limits: Limits, count: int) -> None:
    foretold = duration(limits, count)
    took = send_all(Pace(limits), count)[-1] - NOON
    assert took >= foretold if limits.per_minute == 0 else took + MINUTE >= foretold
    # Slots round each round of a window up by a sixtieth, the pieces of a minute by a piece.
    assert took <= 1.4 * foretold + MINUTE + SECOND


def test_a_minutes_worth_does_not_leave_in_one_breath() -> None:
    sent = send_all(Pace(QQ), 30)
    assert most_in(10 * SECOND, sent) == 5
    assert sent[-1] - sent[0] < MINUTE


def test_no_limit_is_no_limit() -> None:
    pace = Pace(Limits())
    pace.take(NOON, 100_000)
    assert pace.available(NOON) == UNLIMITED
    assert pace.opens_at(NOON) == NOON


def test_limits_are_told_in_words() -> None:
    assert str(Limits(per_minute=30, per_day=500)) == "30 per minute, 500 per day"
    assert str(Limits()) == "no limit"


def test_the_tightest_limit_says_how_many_leave_in_a_time() -> None:
    limits = Limits(per_minute=30, per_day=500)
    assert [capacity(limits, span) for span in (timedelta(), MINUTE, DAY)] == [30, 60, 1000]
    assert capacity(Limits(), DAY) == UNLIMITED


@pytest.mark.parametrize("limits", [Limits(), QQ])
def test_what_went_through_is_counted_once(limits: Limits) -> None:
    pace = Pace(limits)
    sent = send_all(pace, 5)
    assert pace.per_minute(sent[-1]) == 5
    assert pace.per_minute(sent[-1] + 2 * MINUTE) == 0


def test_a_day_of_messages_is_remembered_in_few_words() -> None:
    pace = Pace(Limits(per_day=10_000))
    for n in range(2000):
        pace.take(NOON + n * MINUTE / 2)
    assert len(pace.written()) < 2000


def test_a_restart_does_not_give_the_day_back() -> None:
    pace = Pace(Limits(per_day=500))
    pace.take(NOON, 500)
    again = Pace(Limits(per_day=500), pace.written())
    assert again.available(NOON + 23 * 60 * MINUTE) == 0
    assert again.opens_at(NOON) > NOON + DAY
    assert again.available(NOON + DAY + 25 * MINUTE) == 500


def test_a_limit_that_was_changed_keeps_the_count_of_its_span() -> None:
    pace = Pace(Limits(per_day=500))
    pace.take(NOON, 400)
    assert Pace(Limits(per_day=2000, per_minute=30), pace.written()).available(NOON) == 5
    assert Pace(Limits(per_day=450), pace.written()).available(NOON) == 50


def test_what_was_not_sent_after_all_is_given_back() -> None:
    pace = Pace(QQ)
    pace.take(NOON, 4)
    pace.give_back(3)
    assert pace.available(NOON) == 4


def test_a_clock_that_goes_back_gives_nothing_back() -> None:
    pace = Pace(QQ)
    pace.take(NOON, 5)
    assert pace.available(NOON - 60 * MINUTE) == 0


def complain(pace: Pace, now: datetime) -> None:
    """The server says so twice in a row."""
    pace.complained(now)
    pace.complained(now)


def test_complaints_halve_the_rate_and_success_brings_it_back() -> None:
    pace = Pace(QQ)
    complain(pace, NOON)
    assert (pace.fraction, pace.links(4)) == (0.5, 2)
    sent = send_all(pace, 15)
    assert sent[-1] - sent[0] >= 20 * SECOND
    sent = send_all(pace, 300, sent[-1])
    assert (pace.fraction, pace.links(4)) == (1.0, 4)
    assert most_in(MINUTE, sent) <= 30


def test_a_server_without_limits_that_complains_is_given_half_of_what_it_had() -> None:
    pace = Pace(Limits())
    for n in range(600):
        pace.take(NOON + n * SECOND / 20)
        pace.succeeded(NOON + n * SECOND / 20)
    now = NOON + 30 * SECOND
    complain(pace, now)
    assert pace.fraction == 0.5
    sent = send_all(pace, 50, now)
    assert most_in(SECOND, sent) == 11  # of the twenty that went in the second before, and as many in its slot
    assert sent[-1] - sent[0] > 4 * SECOND


def test_one_complaint_changes_nothing() -> None:
    pace = Pace(QQ)
    pace.complained(NOON)
    now = send_all(pace, 25)[-1]
    pace.complained(now)
    assert pace.fraction == 1


def test_complaints_about_one_burst_are_one_complaint() -> None:
    pace = Pace(QQ)
    for n in range(4):
        pace.complained(NOON + n * SECOND)
    assert pace.fraction == 0.5
    pace.complained(NOON + 15 * SECOND)
    assert pace.fraction == 0.25


def test_what_was_learnt_survives_a_restart() -> None:
    pace = Pace(QQ)
    complain(pace, NOON)
    again = Pace(QQ, pace.written())
    assert again.fraction == 0.5
    bound = Pace(Limits(), pace.written())
    bound.take(NOON, 15)
    assert (bound.is_bounded, bound.available(NOON), Pace(Limits()).is_bounded) == (True, 0, False)
    assert most_in(MINUTE, send_all(again, 20)) <= 15 + 3  # and a step more after the first fifteen


@pytest.mark.parametrize(
    ("limits", "count", "spent", "wanted"),
    [
        (QQ, 0, 0, timedelta()),
        (QQ, 30, 0, timedelta()),
        (QQ, 31, 0, MINUTE),
        (QQ, 5000, 0, 166 * MINUTE),
        (QQ, 30, 30, MINUTE),
        (Limits(per_minute=60, per_day=500), 1200, 0, 2 * DAY),
        (Limits(), 10**6, 0, timedelta()),
    ],
)
def test_the_time_a_list_takes_is_known_beforehand(limits: Limits, count: int, spent: int, wanted: timedelta) -> None:
    assert duration(limits, count, spent) == wanted


def test_every_provider_is_reached_in_secret_or_is_this_machine() -> None:
    for provider in PROVIDERS.values():
        assert provider.tls != "none" or provider.host == "127.0.0.1"
        assert 1 <= provider.links <= 4


@pytest.mark.parametrize("ahead", [SECOND, 12 * 365 * DAY])
def test_what_a_clock_sent_that_was_ahead_counts_as_sent_when_it_was_set_right(ahead: timedelta) -> None:
    pace = Pace(QQ)
    send_all(pace, 30, NOON + ahead)
    pace = Pace(QQ, pace.written())
    assert pace.available(NOON) == 0
    assert NOON < pace.opens_at(NOON) <= NOON + MINUTE + 2 * SECOND
    assert send_all(pace, 60)[-1] <= NOON + 4 * MINUTE
