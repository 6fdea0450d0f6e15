from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from notifier import marks

KEY = "a key for tests"
NOTICE = ("2021-11-27", "reminder-1d", 0)


@given(st.integers(0, 2**40 - 1))
def test_a_mark_tells_whose_it_is_and_is_genuine(subscriber_id: int) -> None:
    word = marks.mark(KEY, NOTICE, subscriber_id)
    assert len(word) == marks.LENGTH
    assert marks.subscriber_of(word) == subscriber_id
    assert marks.is_genuine(word, KEY, NOTICE)


def test_a_mark_is_of_one_notice_one_subscriber_and_one_key() -> None:
    word = marks.mark(KEY, NOTICE, 7)
    assert not marks.is_genuine(word, "another key", NOTICE)
    assert not marks.is_genuine(word, KEY, ("2021-11-27", "reminder-1h", 0))
    assert not marks.is_genuine(word, KEY, ("2021-11-27", "reminder-1d", 1))
    eight = marks.mark(KEY, NOTICE, 8)
    assert not marks.is_genuine(eight[:8] + word[8:], KEY, NOTICE), "the seal of one does not fit the other"


def test_strangers_without_an_id_have_marks_of_their_own() -> None:
    assert marks.mark(KEY, NOTICE, 0, "ada@example.org") != marks.mark(KEY, NOTICE, 0, "bob@example.org")


def test_a_mark_is_found_in_every_place_and_case_in_which_servers_leave_it() -> None:
    word = marks.mark(KEY, NOTICE, 7)
    for text in (
        marks.return_address("bounce@example.org", word),
        f"<2021-11-27.reminder-1d.0.{word}@example.org>",
        f"rfc822; {marks.return_address('bounce@example.org', word).upper()}",
        word,
    ):
        assert word in list(marks.candidates(text))


def test_a_return_address_is_one_that_every_server_takes() -> None:
    address = marks.return_address("bounce@seminar.example.org", marks.mark(KEY, NOTICE, 7))
    local_part, _, domain = address.partition("@")
    assert len(local_part) <= 64  # RFC 5321 section 4.5.3.1.1
    assert (local_part[:7], domain) == ("bounce+", "seminar.example.org")
