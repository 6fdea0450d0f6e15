from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from notifier.quotas import Quotas

NOW = datetime(2021, 11, 27, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_key_may_do_something_so_often_at_once_and_then_in_every_span() -> None:
    quotas = Quotas(3, HOUR)
    assert [quotas.take("ada", NOW) for _ in range(4)] == [True, True, True, False]
    assert quotas.take("bob", NOW)
    assert not quotas.take("ada", NOW + HOUR / 3 - timedelta(seconds=1))
    assert quotas.take("ada", NOW + HOUR / 3)
    assert [quotas.take("ada", NOW + 9 * HOUR) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.integers(0, 3 * 3600), max_size=60).map(sorted))
def test_no_span_sees_more_than_twice_what_it_may(seconds: list[int]) -> None:
    quotas = Quotas(5, HOUR)
    taken = [second for second in seconds if quotas.take("ada", NOW + timedelta(seconds=second))]
    for start in taken:
        assert sum(start <= second < start + 3600 for second in taken) <= 10


def test_a_clock_that_goes_back_gives_nothing() -> None:
    quotas = Quotas(1, HOUR)
    assert quotas.take("ada", NOW)
    assert not quotas.take("ada", NOW - 9 * HOUR)


def test_no_more_keys_are_kept_than_stated() -> None:
    quotas = Quotas(1, HOUR, most=100)
    for number in range(1000):
        quotas.take(number, NOW)
    assert len(quotas._levels) == 100
    assert not quotas.take(999, NOW)
