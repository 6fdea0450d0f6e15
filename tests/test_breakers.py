"""A mail server at fault is left alone ever longer, and tried again as soon as it may be well."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from notifier.breakers import CONTENT_REST, REFUSALS, RESTS, UNTIL_RELOAD, Breaker, ContentBreaker
from notifier.replies import Stage, classify

NOON = datetime(2021, 11, 27, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TAKEN = classify(Stage.BODY, 250, "taken")
CLOSING = classify(Stage.CONNECT, 421, "come back later")
TOO_FAST = classify(Stage.RCPT, 550, "Sender frequency limited")
LOGIN_REFUSED = classify(Stage.AUTH, 535, "no")
CUT = classify(Stage.BODY, None, "connection lost")
UNWANTED = classify(Stage.BODY, 554, "5.6.0 no such words here")
DEAD = classify(Stage.RCPT, 550, "5.1.1 no such user")


def rests(breaker: Breaker, outcome: object, times: int) -> list[timedelta | None]:
    """The rests when it says the same again whenever it is tried."""
    now, found = NOON, []
    for _ in range(times):
        now = breaker.opens_at(now)
        found.append(breaker.heed(outcome, now))  # type: ignore[arg-type]
    return found


def test_a_server_that_is_down_is_tried_less_and_less() -> None:
    breaker = Breaker()
    assert rests(breaker, CLOSING, 9) == [SECOND, *(s * SECOND for s in (15, 30, 60, 120, 300, 900, 900, 900))]
    assert breaker.trouble == "come back later"
    assert breaker.is_serious


def test_a_single_setback_is_nothing_serious() -> None:
    breaker = Breaker()
    breaker.heed(CLOSING, NOON)
    assert (breaker.is_serious, breaker.is_half_open, breaker.opens_at(NOON)) == (False, True, NOON + SECOND)


@pytest.mark.parametrize("outcome", [TAKEN, DEAD])
def test_one_mailbox_that_the_server_knows_of_closes_the_breaker(outcome: object) -> None:
    breaker = Breaker()
    rests(breaker, CLOSING, 5)
    breaker.heed(outcome, NOON)  # type: ignore[arg-type]
    assert (breaker.trouble, breaker.is_half_open, breaker.opens_at(NOON)) == ("", False, NOON)
    assert rests(breaker, CLOSING, 1) == [RESTS[0]]


def test_who_was_too_fast_twice_in_a_row_rests_as_long_as_the_provider_wants() -> None:
    assert rests(Breaker(), TOO_FAST, 3) == [SECOND, timedelta(minutes=15), timedelta(minutes=15)]


def test_a_single_complaint_amid_other_trouble_is_an_accident() -> None:
    breaker = Breaker()
    now, found = NOON, []
    for outcome in (CLOSING, TOO_FAST, CLOSING, TOO_FAST, TOO_FAST):
        now = breaker.opens_at(now)
        found.append(breaker.heed(outcome, now))
    assert found == [SECOND, 15 * SECOND, 30 * SECOND, 60 * SECOND, timedelta(minutes=15)]


def test_refused_settings_wait_for_a_person_but_not_for_ever() -> None:
    breaker = Breaker()
    assert rests(breaker, LOGIN_REFUSED, 3) == [SECOND, UNTIL_RELOAD, UNTIL_RELOAD]
    assert breaker.is_stopped
    breaker.mended()
    assert breaker.opens_at(NOON) == NOON
    breaker.heed(TAKEN, NOON)
    assert not breaker.is_serious


def test_settings_that_worked_once_are_tried_again_as_after_any_setback() -> None:
    breaker = Breaker()
    breaker.heed(TAKEN, NOON)
    assert rests(breaker, LOGIN_REFUSED, 8) == [s * SECOND for s in (1, 15, 30, 60, 120, 300, 900, 900)]
    assert (breaker.is_serious, breaker.is_stopped) == (True, False)


def test_links_that_are_cut_are_a_setback_only_in_a_row() -> None:
    breaker = Breaker()
    assert [breaker.heed(o, NOON) for o in (CUT, CUT, TAKEN, CUT, CUT, CUT)] == 5 * [None] + [SECOND]


def test_what_was_on_its_way_when_the_rest_began_does_not_make_it_longer() -> None:
    breaker = Breaker()
    assert [breaker.heed(CLOSING, NOON) for _ in range(4)] == [SECOND, None, None, None]


def test_the_rests_may_be_chosen() -> None:
    assert rests(Breaker([SECOND, 2 * SECOND]), CLOSING, 3) == [SECOND, 2 * SECOND, 2 * SECOND]


def test_a_rest_that_a_clock_began_which_was_ahead_is_over_when_it_is_set_right() -> None:
    breaker = Breaker()
    rests(breaker, CLOSING, 5)
    right = NOON - timedelta(days=1)
    assert breaker.opens_at(right) == right
    assert breaker.heed(CLOSING, right) == RESTS[5]
    assert breaker.opens_at(right) == right + RESTS[5]


def test_a_notice_that_is_refused_for_what_it_says_rests_with_its_session() -> None:
    breaker = ContentBreaker()
    begun = [breaker.heed(UNWANTED, 7, "2021-11-27", NOON) for _ in range(REFUSALS + 1)]
    assert begun == [*(REFUSALS - 1) * [False], True, False]
    assert set(breaker.sessions) == {"2021-11-27"}
    breaker.forgive(NOON + CONTENT_REST - SECOND)
    assert breaker.sessions
    breaker.forgive(NOON + CONTENT_REST)
    assert not breaker.sessions
    assert not breaker.heed(UNWANTED, 7, "2021-11-27", NOON)


def test_one_reader_whose_filter_minds_the_content_stops_no_notice() -> None:
    breaker = ContentBreaker()
    for _ in range(2 * REFUSALS):
        breaker.heed(UNWANTED, 7, "2021-11-27", NOON)
        breaker.heed(TAKEN, 7, "2021-11-27", NOON)
    assert not breaker.sessions
