from __future__ import annotations

from datetime import UTC, datetime, timedelta

from notifier import clock
from notifier.clock import Guard

NOW = datetime(2021, 11, 26, 1, 30, tzinfo=UTC)
BOOT = timedelta(days=3)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def test_now_is_aware_and_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta()


def test_time_that_passes_is_believed() -> None:
    guard = Guard(NOW)
    assert [guard.observe(NOW + n * MINUTE, BOOT + n * MINUTE) for n in range(5)] == [""] * 5
    assert guard.high_water == NOW + 4 * MINUTE


def test_a_machine_that_slept_for_a_week_is_believed() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    assert guard.observe(NOW + 7 * DAY, BOOT + 7 * DAY) == ""


def test_a_small_correction_is_believed() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    assert guard.observe(NOW - 4 * MINUTE, BOOT + SECOND) == ""
    assert guard.observe(NOW + 30 * MINUTE, BOOT + 2 * SECOND) == ""


def test_a_leap_of_years_is_doubted_until_it_is_taken_back() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    assert "leapt ahead by 3652 days" in guard.observe(NOW + 3652 * DAY, BOOT)
    assert guard.observe(NOW + 3652 * DAY + MINUTE, BOOT + MINUTE) != ""
    assert guard.high_water == NOW
    assert guard.observe(NOW + 2 * MINUTE, BOOT + 2 * MINUTE) == ""


def test_a_clock_that_stays_where_it_leapt_to_is_believed_after_ten_minutes() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    guard.observe(NOW + 30 * DAY, BOOT)
    assert guard.observe(NOW + 30 * DAY + 9 * MINUTE, BOOT + 9 * MINUTE) != ""
    assert guard.observe(NOW + 30 * DAY + 10 * MINUTE, BOOT + 10 * MINUTE) == ""


def test_a_step_of_hours_is_believed_but_settles_only_when_it_has_lasted() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    ahead = NOW + 5 * timedelta(hours=1)
    assert guard.observe(ahead, BOOT) == ""
    assert not guard.is_settled
    assert guard.high_water == NOW
    guard.observe(ahead + 9 * MINUTE, BOOT + 9 * MINUTE)
    assert not guard.is_settled
    guard.observe(ahead + 10 * MINUTE, BOOT + 10 * MINUTE)
    assert guard.is_settled
    assert guard.high_water == ahead + 10 * MINUTE


def test_a_wrong_step_that_is_taken_back_at_once_leaves_nothing_behind() -> None:
    guard = Guard(NOW)
    guard.observe(NOW, BOOT)
    guard.observe(NOW + 5 * timedelta(hours=1), BOOT)
    assert guard.observe(NOW + 5 * SECOND, BOOT + 5 * SECOND) == ""
    assert guard.is_settled


def test_a_start_in_1970_is_doubted_until_the_clock_is_set() -> None:
    guard = Guard(NOW)
    assert "it was 2021-11-26 01:30Z before" in guard.observe(datetime(1970, 1, 1, tzinfo=UTC), SECOND)
    assert guard.observe(NOW + 2 * DAY, 30 * SECOND) == ""
