from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import ADA, DAYS, HOURS, session

from notifier.errors import AddressError
from notifier.notices import Kind, Recipients
from notifier.subscribers import (
    State,
    Subscriber,
    check,
    normalised_address,
    searchable,
    subscriber,
    written,
)

NOW = datetime(2021, 11, 20, tzinfo=UTC)
ABOUT = searchable(session())


@pytest.mark.parametrize(
    ("given_", "address"),
    [
        ("ada@example.org", "ada@example.org"),
        ("Ada@EXAMPLE.org", "Ada@example.org"),
        ("王@例子.中国", "王@xn--fsqu00a.xn--fiqs8s"),
        ("root@localhost", "root@localhost"),
        ("ada@mail.lan", "ada@mail.lan"),
        ("ada@seminar.test", "ada@seminar.test"),
    ],
)
def test_an_address_is_kept_as_the_mail_server_takes_it(given_: str, address: str) -> None:
    assert normalised_address(given_) == address


@pytest.mark.parametrize(
    "address",
    ["", "ada", "ada@", "a b@example.org", "ada@example.org\r\nBcc: x@example.org", "ada@x> BODY=8BITMIME", "a@b@c.org",
     "ada@example..org", "<ada@example.org>", "a@localhost\n", "a b@localhost", "ada@example.org,bob@example.org"],
)  # fmt: skip
def test_what_is_no_single_mailbox_is_refused_with_words(address: str) -> None:
    with pytest.raises(AddressError, match="is no e-mail address"):
        normalised_address(address)


def test_every_problem_of_a_subscriber_is_told_at_once() -> None:
    with pytest.raises(AddressError) as refused:
        subscriber({"address": "ada", "language": "fr", "timezone": "Mars/Base", "leads": "soon", "state": "asleep"})
    assert [p.message.split("'")[1] for p in refused.value.problems] == ["ada", "fr", "Mars/Base", "soon", "asleep"]


@pytest.mark.parametrize(
    ("column", "text", "told"),
    [
        ("leads", "5m", "no lead time that can be had"),
        ("leads", "61m", "'1h1m' is no lead time"),
        ("leads", "31d", "no lead time that can be had"),
        ("leads", "10m 15m 20m 25m 30m 35m 40m 45m 50m 55m 1h", "too many lead times"),
        ("declined", "change", "no kind of mail to decline"),
        ("words", "x" * 61, "too much to look for"),
        ("paused_until", "next week", "no date"),
        ("name", "x" * 201, "too long a name"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_by_its_column(column: str, text: str, told: str) -> None:
    problems = check({"address": "ada@example.org", column: text})
    assert isinstance(problems, dict)
    assert told in problems[column].message


def test_a_pause_ends_at_midnight_of_the_owner_s_zone() -> None:
    one = subscriber({"address": "ada@example.org", "timezone": "Asia/Shanghai", "paused_until": "2021-12-01"})
    assert one.paused_until == datetime(2021, 11, 30, 16, tzinfo=UTC)
    assert subscriber({"address": "ada@example.org", "paused_until": "2021-12-01"}, "Asia/Shanghai") == replace(
        one, timezone=""
    )


def test_no_name_becomes_a_formula_of_a_spreadsheet() -> None:
    assert subscriber({"address": "ada@example.org", "name": '=cmd|"/C calc"!A0'}).name == 'cmd|"/C calc"!A0'


people = st.builds(
    Subscriber,
    address=st.sampled_from(["ada@example.org", "王@xn--fsqu00a.xn--fiqs8s"]),
    name=st.sampled_from(["", "艾达", 'Q "R", S']),
    language=st.sampled_from(["zh", "en"]),
    timezone=st.sampled_from(["", "Europe/Berlin"]),
    leads=st.sampled_from([None, (DAYS,), (30 * DAYS, 90 * HOURS / 60, timedelta(minutes=10))]),
    state=st.sampled_from(State),
    declined=st.frozensets(st.sampled_from([Kind.ANNOUNCEMENT, Kind.REMINDER, Kind.REPLAY])),
    words=st.sampled_from([(), ("冷冻电镜",), ("deep learning", "σ")]),
    paused_until=st.sampled_from([None, NOW]),
    reason=st.sampled_from(["", "550 5.1.1 no such user"]),
)


@given(people)
def test_what_is_written_of_a_subscriber_reads_back(one: Subscriber) -> None:
    assert subscriber(written(one)) == one


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_link_never_frees_the_blocked_and_never_makes_anybody_unconfirmed(state: State, other: State) -> None:
    allowed = state.may_become(other)
    assert not (allowed and (state is State.BLOCKED or other is State.UNCONFIRMED or state is other))
    assert allowed or state is State.BLOCKED or other in (state, State.UNCONFIRMED)


@pytest.mark.parametrize(
    ("wish", "whom", "reason"),
    [
        ({}, Recipients(everyone=True), ""),
        ({"state": State.UNSUBSCRIBED}, Recipients(everyone=True), "the subscriber is unsubscribed"),
        ({"state": State.BLOCKED, "reason": "no such user"}, Recipients(told=True), "is blocked: no such user"),
        ({"declined": frozenset({Kind.ANNOUNCEMENT})}, Recipients(everyone=True), "declined such mail"),
        ({"declined": frozenset({Kind.ANNOUNCEMENT})}, Recipients(by_default=True), ""),
        ({"declined": frozenset({Kind.REMINDER})}, Recipients(by_default=True), "declined such mail"),
        ({"declined": frozenset({Kind.REMINDER})}, Recipients(everyone=True, by_default=True), ""),
        ({"declined": frozenset({Kind.REPLAY})}, Recipients(replays=True), "declined such mail"),
        ({"declined": frozenset({Kind.ANNOUNCEMENT, Kind.REMINDER})}, Recipients(replays=True), ""),
        ({"leads": (HOURS,)}, Recipients(leads=frozenset({DAYS}), by_default=True), "lead times"),
        ({"leads": (HOURS,)}, Recipients(leads=frozenset({HOURS})), ""),
        ({"words": ("冷冻电镜",)}, Recipients(everyone=True), ""),
        ({"words": ("topology",)}, Recipients(everyone=True), "no talk is about topology"),
        ({"words": ("topology",)}, Recipients(told=True), ""),
        ({"paused_until": NOW + DAYS}, Recipients(everyone=True), "paused until 2021-11-21 00:00Z"),
        ({"paused_until": NOW}, Recipients(everyone=True), ""),
    ],
)
def test_a_refusal_says_why_a_notice_is_not_for_somebody(wish: dict, whom: Recipients, reason: str) -> None:  # type: ignore[type-arg]
    refusal = replace(ADA, **wish).refusal(whom, ABOUT, NOW)
    assert bool(refusal) == bool(reason)
    assert reason in refusal


@pytest.mark.parametrize("text", ["冷冻电镜", "北京深势", "王宇航", "ABSTRACT of our", "ｏｆ　ｏｕｒ"])
def test_words_are_looked_for_in_all_that_is_told_of_talks_in_any_spelling(text: str) -> None:
    one = subscriber({"address": "ada@example.org", "words": text})
    assert one.refusal(Recipients(everyone=True), ABOUT, NOW) == ""
