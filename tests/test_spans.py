from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.spans import format_span, parse_span


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("7d", timedelta(days=7)),
        ("2w", timedelta(days=14)),
        ("1h30m", timedelta(minutes=90)),
        ("90s", timedelta(seconds=90)),
        ("1d 12h", timedelta(hours=36)),
        (" 15m ", timedelta(minutes=15)),
        ("90m", timedelta(minutes=90)),
        ("0s", timedelta(0)),
    ],
)
def test_parse_span_reads_what_people_write(text: str, span: timedelta) -> None:
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "7", "d", "1.5h", "-1d", "30m1h", "1d1d", "1 d", "٣d", "7D", "day", "9999w"])
def test_parse_span_refuses_anything_else_and_shows_it(text: str) -> None:
    with pytest.raises(ValueError, match="expected a span") as caught:
        parse_span(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(days=1), "1d"),
        (timedelta(hours=1), "1h"),
        (timedelta(minutes=15), "15m"),
        (timedelta(minutes=90), "1h30m"),
        (timedelta(days=14), "14d"),
        (timedelta(0), "0s"),
    ],
)
def test_format_span_writes_days_hours_minutes_and_seconds(span: timedelta, text: str) -> None:
    assert format_span(span) == text


def test_format_span_refuses_a_negative_span() -> None:
    with pytest.raises(ValueError, match="not negative"):
        format_span(timedelta(seconds=-1))


@given(st.integers(0, 3660 * 86400).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_span_that_was_formatted_reads_as_itself(span: timedelta) -> None:
    assert parse_span(format_span(span)) == span
