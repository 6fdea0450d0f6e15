from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from notifier.lanes import ONE_MORE, Lane
from notifier.rates import UNLIMITED, Limits
from notifier.replies import Answer, Outcome, Stage, classify
from notifier.transports import Transport

NOON = datetime(2021, 11, 27, 4, 0, tzinfo=UTC)
TAKEN = classify(Stage.BODY, 250, "taken")
CLOSING = classify(Stage.CONNECT, 421, "busy")
TOO_FAST = classify(Stage.RCPT, 550, "Sender frequency limited")
TOO_MANY = classify(Stage.CONNECT, 421, "4.7.0 too many concurrent connections from your address")
NOT_OURS = classify(Stage.RCPT, 550, "5.1.8 Sender address rejected: Domain not found")
NOT_WANTED = classify(Stage.RCPT, 554, "5.7.1 rejected by policy")
NOWHERE = cast("Transport", None)  # these tests send nothing


def test_a_lane_that_is_well_and_has_no_limit_takes_any_number() -> None:
    lane = Lane(NOWHERE, 2)
    assert (lane.room(NOON), lane.opens_at(NOON)) == (UNLIMITED, NOON)


def test_after_a_rest_it_takes_one_message_at_a_time_until_one_went_through() -> None:
    lane = Lane(NOWHERE, 2)
    lane.gave(NOON)
    rest = lane.heard(CLOSING, NOON)
    assert rest is not None
    assert lane.room(NOON) == 0
    later = lane.opens_at(NOON)
    assert lane.room(later) == 1
    lane.gave(later)
    assert lane.room(later) == 0
    lane.heard(TAKEN, later)
    assert lane.room(later) == UNLIMITED


def test_what_was_not_tried_costs_nothing_of_the_limits() -> None:
    lane = Lane(NOWHERE, 2, limits=Limits(per_hour=3))
    lane.gave(NOON)
    lane.heard(Outcome(Answer.UNTRIED), NOON)
    assert lane.room(NOON) == 3


def test_a_server_that_says_too_fast_gets_half_the_messages_over_half_the_links() -> None:
    lane = Lane(NOWHERE, 4, limits=Limits(per_minute=60))
    for _ in range(2):
        lane.gave(NOON)
        lane.heard(TOO_FAST, NOON)
    assert lane.open_links == 2
    later = lane.opens_at(NOON) + timedelta(minutes=2)
    lane.gave(later)
    lane.heard(TAKEN, later)
    sent = 0
    while room := lane.room(later):
        for _ in range(room):
            lane.gave(later)
        sent += room
        later += timedelta(seconds=10)
        assert sent < 60
    assert sent <= 30


@pytest.mark.parametrize("refusal", [NOT_OURS, NOT_WANTED])
def test_a_domain_that_refuses_us_rests_alone(refusal: Outcome) -> None:
    lane = Lane(NOWHERE, 2)
    lane.heard(TAKEN, NOON, "a.example")
    for _ in range(9):
        lane.heard(refusal, lane.opens_at(NOON), "b.example")
    assert lane.opens_to("b.example", NOON) > NOON
    assert (lane.opens_to("a.example", NOON), lane.room(NOON)) == (NOON, UNLIMITED)


def test_of_a_domain_that_goes_on_refusing_a_person_is_told() -> None:
    lane, at = Lane(NOWHERE, 2), NOON
    for _ in range(2):
        lane.heard(NOT_OURS, at, "b.example")
        at += timedelta(hours=1)
    assert lane.troubles == (f"to b.example: {NOT_OURS.reply}",)
    lane.heard(TAKEN, at, "b.example")
    assert (lane.troubles, lane.opens_to("b.example", at)) == ((), at)


def test_two_domains_in_a_row_that_refuse_us_are_the_mail_server_s_word() -> None:
    lane = Lane(NOWHERE, 2)
    lane.heard(NOT_OURS, NOON, "a.example")
    assert lane.room(NOON) == UNLIMITED
    lane.heard(NOT_OURS, NOON, "b.example")
    assert lane.room(NOON) == 0
    lane.mended()
    assert lane.room(NOON) > 0
    assert lane.opens_to("a.example", NOON) == NOON
    for domain in ("a.example", "b.example"):
        lane.heard(TAKEN, NOON, "c.example")
        lane.heard(NOT_OURS, NOON, domain)
        assert lane.room(NOON) == UNLIMITED


def test_a_domain_of_a_server_that_worked_is_tried_again_before_an_hour_is_over() -> None:
    fresh, proven = Lane(NOWHERE, 2), Lane(NOWHERE, 2)
    proven.heard(TAKEN, NOON, "a.example")
    for lane in (fresh, proven):
        lane.heard(NOT_OURS, NOON, "b.example")
        lane.heard(NOT_OURS, NOON + timedelta(minutes=1), "b.example")
    soon = NOON + timedelta(minutes=2)
    assert fresh.opens_to("b.example", soon) > soon
    assert proven.opens_to("b.example", soon) == soon


def test_a_server_that_takes_fewer_connections_gets_fewer_and_all_the_mail() -> None:
    lane = Lane(NOWHERE, 4)
    for links in (3, 2, 1):
        lane.gave(NOON)
        assert lane.heard(TOO_MANY, NOON) is None
        assert (lane.open_links, lane.room(NOON)) == (links, UNLIMITED)
    for links in (1, 2, 3, 4, 4):
        assert lane.open_links == links
        for _ in range(ONE_MORE):
            lane.gave(NOON)
            lane.heard(TAKEN, NOON)


def test_a_server_that_takes_no_connection_rests() -> None:
    lane = Lane(NOWHERE, 1)
    lane.gave(NOON)
    assert lane.heard(TOO_MANY, NOON) == timedelta(seconds=1)
    assert (lane.open_links, lane.room(NOON)) == (1, 0)
