"""The contract of a ledger: every engine passes the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from samples import ADA, BOB, CAROL, DAYS, HOURS, LONG_AGO, START, seminar, session
from test_subscribers import people

from notifier.bulletins import Bulletin
from notifier.errors import LimitError
from notifier.intake import Accepted
from notifier.notices import Decision, Kind, Notice, Recipients, Rules, Settled, Verdict
from notifier.returns import Meaning
from notifier.revisions import Identity
from notifier.stores import APPROVAL, Claim, Consent, DeliveryState, Result, Returned, Review, Store
from notifier.stores.sqlite import SqliteStore
from notifier.stores.sqlite.deliveries import RESENDS
from notifier.subscribers import CONFIRM_WITHIN, State, Subscriber, searchable
from notifier.talks import Session
from notifier.verdicts import rule_names

NOW = START - DAYS
EVE = Subscriber("eve@example.org", language="zh")
SECOND = timedelta(seconds=1)
EVERYONE = Recipients(everyone=True)
whoms = st.builds(
    Recipients, st.booleans(), st.frozensets(st.sampled_from([HOURS, DAYS])), st.booleans(), st.just(value=False),
    st.booleans(),
)  # fmt: skip


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.begin(LONG_AGO, rule_names(Rules()))
    await store.subscribe([ADA, BOB, CAROL], LONG_AGO)
    yield store
    await store.close()


def notice(rule: str = "reminder-1d", recipients: Recipients = EVERYONE, generation: int = 0) -> Notice:
    kind = Kind(rule.split("-")[0])
    return Notice(
        "2021-11-27", kind, rule, generation, NOW, NOW + 8 * HOURS, DAYS if kind is Kind.REMINDER else None, recipients
    )


def opening(rule: str = "reminder-1d", recipients: Recipients = EVERYONE, generation: int = 0) -> Decision:
    return Decision(notice(rule, recipients, generation), Verdict.OPEN)


async def sent(store: Store, claim: Claim) -> None:
    assert await store.intend([claim], NOW) == [True]
    await store.record([Result(claim, DeliveryState.SENT, code=250, reply="ok")], NOW)


async def states(store: Store) -> dict[str, list[str]]:
    return {
        one.address.split("@")[0]: [str(d.state) for d in await store.deliveries(one.id)]
        for one in await store.subscribers()
    }


async def test_an_opened_notice_is_owed_to_everyone_confirmed_once(store: Store) -> None:
    await store.subscribe([replace(BOB, state=State.UNCONFIRMED)], NOW)
    assert await store.settle([opening()], session(), NOW) == [2]
    assert await store.settle([opening()], session(), NOW) == [0]
    assert await states(store) == {"ada": ["queued"], "bob": [], "carol": ["queued"]}


async def test_a_reminder_reaches_those_whose_lead_time_it_is(store: Store) -> None:
    await store.subscribe([replace(BOB, leads=(3 * HOURS,)), replace(CAROL, leads=(DAYS, 3 * HOURS))], NOW)
    by_lead = [
        notice(recipients=Recipients(leads=frozenset({DAYS}), by_default=True)),
        notice(recipients=Recipients(leads=frozenset({3 * HOURS}))),
        notice(recipients=Recipients(leads=frozenset({HOURS}))),
    ]
    assert await store.counts(by_lead, seminar()) == [2, 2, 0]
    assert (await store.facts()).leads == {DAYS, 3 * HOURS}
    by_default = replace(opening(), notice=by_lead[0])
    assert await store.settle([by_default], session(), NOW) == [2]
    assert await states(store) == {"ada": ["queued"], "bob": [], "carol": ["queued"]}


async def test_claims_are_given_out_once(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    first, second = await store.claim(2, NOW), await store.claim(2, NOW)
    assert sorted(c.subscriber.address for c in (*first, *second)) == [ADA.address, BOB.address, CAROL.address]
    assert await store.claim(2, NOW) == []


async def test_no_more_are_claimed_than_were_asked_for_over_several_notices(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    later = replace(opening(), notice=replace(notice(), session_id="later"))
    await store.settle([later], session(id="later"), NOW)
    assert [len(await store.claim(4, NOW)) for _ in range(3)] == [4, 2, 0]


async def test_what_became_of_the_last_mails_is_kept_with_the_intent_of_the_next(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    first, second = await store.claim(2, NOW)
    await store.intend([first], NOW)
    told = [Result(first, DeliveryState.SENT, code=250, reply="ok")]
    assert await store.intend([second], NOW, told) == [True]
    assert await states(store) == {"ada": ["sent"], "bob": ["in-flight"], "carol": ["queued"]}


async def test_a_claim_carries_what_a_message_needs(store: Store) -> None:
    before = session(START - DAYS)
    change = replace(opening("change-1", generation=1), before=before)
    await store.settle([change], session(), NOW)
    (claim,) = await store.claim(1, NOW)
    assert replace(claim.notice, recipients=EVERYONE) == change.notice
    assert (claim.before, claim.opened_at, claim.attempts) == (before, NOW, 0)
    assert replace(claim.subscriber, id=0) == ADA


async def test_no_intent_is_granted_twice_or_after_leaving(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    ada, bob, carol = await store.claim(3, NOW)
    assert await store.intend([ada], NOW) == [True]
    assert await store.intend([ada], NOW) == [False]
    await store.set_state(bob.subscriber.id, State.UNSUBSCRIBED, NOW)
    assert await store.intend([bob], NOW) == [False]
    assert await store.intend([carol], NOW + 8 * HOURS) == [False]


async def test_a_session_whose_change_is_settling_is_not_claimed(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    assert await store.claim(9, NOW, {"2021-11-27"}) == []
    assert len(await store.claim(9, NOW, {"2021-12-11"})) == 3


async def test_a_deferred_delivery_waits_and_counts_its_attempts(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    assert await store.intend([ada], NOW) == [True]
    await store.record([Result(ada, DeliveryState.DEFERRED, NOW + 60 * SECOND, 450, "greylisted")], NOW)
    assert ADA.address not in [c.subscriber.address for c in await store.claim(9, NOW + 59 * SECOND)]
    (again,) = await store.claim(9, NOW + 60 * SECOND)
    assert (again.subscriber.address, again.attempts, again.opened_at) == (ADA.address, 1, NOW)


async def test_a_mail_that_may_have_arrived_still_counts_as_told_past_its_deadline(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.record([Result(ada, DeliveryState.AMBIGUOUS, NOW + SECOND)], NOW)
    for _ in range(2):
        assert (await store.expire(NOW + 8 * HOURS)).late in (3, 0)
    assert await states(store) == {"ada": ["ambiguous"], "bob": ["expired"], "carol": ["expired"]}
    assert await store.counts([notice("change-1", Recipients(told=True))], seminar()) == [1]
    assert await store.claim(9, NOW) == []


async def test_an_ambiguous_delivery_is_resent_so_often_and_no_more(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.record([Result(ada, DeliveryState.AMBIGUOUS, NOW + SECOND)], NOW)
    for resends in range(1, RESENDS + 1):
        again = next(c for c in await store.claim(9, NOW + SECOND) if c.subscriber == ada.subscriber)
        assert (again.is_resend, again.resends) == (True, resends)
        await store.record([Result(again, DeliveryState.AMBIGUOUS, counts=False)], NOW)  # it was not tried after all
        again = next(c for c in await store.claim(9, NOW + SECOND) if c.subscriber == ada.subscriber)
        assert again.resends == resends
        await store.intend([again], NOW)
        await store.record([Result(again, DeliveryState.AMBIGUOUS, NOW + SECOND)], NOW)
    assert await store.claim(9, NOW + HOURS) == []
    assert (await states(store))["ada"] == ["ambiguous"]


@pytest.mark.parametrize("resend", [True, False])
async def test_a_person_settles_what_may_have_arrived_and_nothing_else(tmp_path: Path, resend: bool) -> None:
    store = await SqliteStore.open(tmp_path / "held.db", resend=False)
    await store.subscribe([ADA, BOB, CAROL], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    ada, bob = await store.claim(2, NOW)
    await store.intend([ada, bob], NOW)
    await store.record([Result(ada, DeliveryState.AMBIGUOUS, reply="it hung up"), Result(bob, DeliveryState.SENT)], NOW)
    assert (await store.summary(NOW)).undecided == 1
    assert await store.decide(NOW + HOURS, resend=resend) == 1
    assert (await store.summary(NOW)).undecided == await store.decide(NOW + HOURS, resend=resend) == 0
    claimed = {claim.subscriber.address for claim in await store.claim(9, NOW + HOURS)}
    assert claimed == ({ADA.address, CAROL.address} if resend else {CAROL.address})
    if not resend:
        (delivery,) = await store.deliveries(1)
        assert (delivery.state, delivery.reply) == ("sent", "counted as sent by a person; it hung up")
        assert delivery.updated_at == NOW
    await store.close()


async def test_what_is_too_late_to_be_sent_can_only_be_counted_as_sent(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "held.db", resend=False)
    await store.subscribe([ADA], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.record([Result(ada, DeliveryState.AMBIGUOUS)], NOW)
    late = NOW + 9 * HOURS
    assert (await store.summary(late)).undecided == 0
    assert await store.decide(late, resend=True) == 0
    assert await store.decide(late, resend=False) == 1
    await store.close()


async def test_after_a_crash_claims_go_back_and_mails_in_flight_are_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "crashed.db"
    store = await SqliteStore.open(path)
    await store.begin(LONG_AGO, ())
    await store.subscribe([ADA, BOB, CAROL], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    ada, _ = await store.claim(2, NOW)
    await store.intend([ada], NOW)
    await store.close()
    store = await SqliteStore.open(path)
    await store.begin(NOW, ())
    assert await states(store) == {"ada": ["ambiguous"], "bob": ["queued"], "carol": ["queued"]}
    again = await store.claim(9, NOW)
    assert [(c.subscriber.address, c.is_resend) for c in again] == [
        (ADA.address, True), (BOB.address, False), (CAROL.address, False),
    ]  # fmt: skip
    await store.close()


async def test_an_ambiguous_delivery_is_held_where_the_operator_chose_so(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "held.db", resend=False)
    await store.subscribe([ADA], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.begin(NOW, ())
    assert await store.claim(9, NOW + HOURS) == []
    assert await store.expire(NOW + 9 * HOURS) == (0, 0)
    await store.close()


async def test_what_may_have_arrived_by_a_server_that_is_no_more_waits_for_a_person(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "changed.db")
    await store.subscribe([ADA, BOB], LONG_AGO)
    await store.settle([opening()], session(), NOW)
    ada, bob = await store.claim(2, NOW)
    await store.intend([replace(ada, lane="fallback"), bob], NOW)
    await store.record([Result(bob, DeliveryState.AMBIGUOUS, NOW + 4 * HOURS, reply="no reply came")], NOW)
    await store.begin(NOW, (), ["", "fallback"])
    assert (await store.summary(NOW)).undecided == 0
    await store.begin(NOW, (), [""])
    assert (await store.summary(NOW)).undecided == 1
    (told,) = await store.deliveries(ada.subscriber.id)
    assert told.reply.startswith("the mail server that may have it is no longer in the settings; the daemon died")
    assert await store.claim(9, NOW + HOURS) == []
    assert await store.decide(NOW, resend=True) == 1
    (again,) = await store.claim(9, NOW + HOURS)
    assert (again.subscriber.address, again.is_resend, again.lane) == (ADA.address, True, "")
    await store.close()


async def test_a_change_is_told_to_the_told_and_to_those_still_queued(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    ada, bob = await store.claim(2, NOW)
    await sent(store, ada)
    await store.record([Result(bob, DeliveryState.FAILED, code=550)], NOW)
    change = replace(opening("change-1", Recipients(told=True), 1), before=session())
    assert await store.settle([change], session(START + DAYS), NOW) == [2]
    assert await states(store) == {"ada": ["sent", "queued"], "bob": ["failed"], "carol": ["cancelled", "queued"]}
    facts = await store.facts()
    assert facts.told == {"2021-11-27": session(START + DAYS)}
    assert facts.settled["2021-11-27"][1] == Settled(Kind.CHANGE, "change-1", 1, Verdict.OPEN, NOW, 2)


async def test_nobody_was_told_where_nobody_was_reached(store: Store) -> None:
    await store.settle([opening(recipients=Recipients())], session(), NOW)
    assert (await store.facts()).told == {}


async def test_what_is_not_sent_by_its_deadline_expires_and_who_left_is_owed_nothing(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    bob = await store.subscriber(BOB.address.upper())
    assert bob is not None
    await store.set_state(bob.id, State.UNSUBSCRIBED, NOW)
    assert await store.expire(NOW) == (1, 0)
    assert await store.expire(NOW + 8 * HOURS) == (0, 2)
    assert await states(store) == {"ada": ["expired"], "bob": ["cancelled"], "carol": ["expired"]}


async def test_an_outcome_never_overwrites_a_row_that_was_settled_meanwhile(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.expire(NOW + 8 * HOURS)
    await store.record([Result(ada, DeliveryState.SENT)], NOW)
    assert (await states(store))["ada"] == ["expired"]


async def test_a_session_taken_off_the_list_is_not_reminded_of(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    await store.accept(Accepted(seminar(session(id="other")), b"text", "talks.toml", NOW), ())
    assert await states(store) == {"ada": ["cancelled"], "bob": ["cancelled"], "carol": ["cancelled"]}


async def test_the_accepted_list_and_identities_come_back_as_they_were(store: Store) -> None:
    accepted = Accepted(seminar(), "列表".encode(), "talks.toml", NOW)
    identity = Identity("2021-11-27", "2021-11-27@seminar.example.org", "abc", 2, LONG_AGO, NOW, NOW - DAYS)
    await store.accept(accepted, [identity])
    assert await store.accepted() == accepted
    assert await store.identities() == {"2021-11-27": identity}


async def test_one_mailbox_in_two_spellings_is_one_subscriber(store: Store) -> None:
    assert await store.subscribe([replace(ADA, address="ADA@example.org", leads=(HOURS,))], NOW) == [False]
    found = await store.subscriber("ada@EXAMPLE.org")
    assert found is not None
    assert (found.address, found.leads) == ("ADA@example.org", (HOURS,))
    assert len(await store.subscribers()) == 3


async def test_who_is_blocked_stays_blocked_until_a_person_says_otherwise(store: Store) -> None:
    await store.subscribe([replace(ADA, state=State.BLOCKED)], NOW)
    ada = await store.subscriber(ADA.address)
    assert ada is not None
    assert await store.set_state(ada.id, State.CONFIRMED, NOW) == ada
    await store.subscribe([ADA], NOW)
    assert await store.subscriber(ADA.address) == replace(ada, state=State.CONFIRMED)


async def test_a_list_that_somebody_kept_brings_back_nobody_who_left(store: Store) -> None:
    ada = await store.subscriber(ADA.address)
    assert ada is not None
    await store.set_state(ada.id, State.UNSUBSCRIBED, NOW)
    await store.subscribe([replace(ADA, name="Ada L.")], NOW, brings_back=False)
    assert await store.subscriber(ADA.address) == replace(ada, name="Ada L.", state=State.UNSUBSCRIBED)


async def test_every_new_state_is_kept_with_the_way_it_came_about(store: Store) -> None:
    await store.subscribe([replace(ADA, address="eve@example.org", state=State.UNCONFIRMED)], NOW, how="form")
    eve = await store.subscriber("eve@example.org")
    assert eve is not None
    for state in (State.CONFIRMED, State.CONFIRMED, State.BLOCKED, State.CONFIRMED):
        await store.set_state(eve.id, state, NOW + SECOND, how=f"by {state}", reason="why")
    assert await store.consents(eve.id) == [
        Consent(NOW, State.UNCONFIRMED, "form"),
        Consent(NOW + SECOND, State.CONFIRMED, "by confirmed"),
        Consent(NOW + SECOND, State.BLOCKED, "by blocked"),
    ]
    blocked = await store.subscriber_of(eve.id)
    assert blocked is not None
    assert (blocked.reason, blocked.changed) == ("why", NOW + SECOND)


async def test_wishes_change_neither_address_nor_state(store: Store) -> None:
    ada = await store.subscriber(ADA.address)
    assert ada is not None
    wishes = replace(
        ada, language="en", timezone="Europe/Berlin", leads=(3 * HOURS,), declined=frozenset({Kind.ANNOUNCEMENT}),
        words=("冷冻电镜",), paused_until=NOW,
    )  # fmt: skip
    kept = await store.prefer(replace(wishes, address="eve@example.org", state=State.BLOCKED), NOW)
    assert kept == wishes
    assert await store.prefer(replace(wishes, id=99), NOW) is None


async def asked(store: Store, one: Subscriber = EVE, at: datetime = NOW) -> Kind | None:
    return await store.ask(one, session(), at, per_address=2, in_all=5)


async def test_who_asks_is_asked_to_confirm_and_then_welcomed_with_the_session(store: Store) -> None:
    assert await asked(store) is Kind.CONFIRMATION
    (claim,) = await store.claim(9, NOW)
    assert (claim.notice.kind, claim.notice.told_session) == (Kind.CONFIRMATION, "2021-11-27")
    assert (claim.subscriber.address, claim.subscriber.state) == ("eve@example.org", State.UNCONFIRMED)
    await sent(store, claim)
    eve = await store.confirm(claim.subscriber.id, session(), NOW, per_address=2)
    assert eve is not None
    assert eve.state is State.CONFIRMED
    assert await store.confirm(claim.subscriber.id, session(), NOW, per_address=2) == eve
    (welcome,) = await store.claim(9, NOW)
    assert (welcome.notice.kind, welcome.subscriber.id, welcome.session) == (Kind.WELCOME, eve.id, session())
    assert [c.how for c in await store.consents(eve.id)] == ["form", "link"]


async def test_a_request_for_a_known_address_changes_nothing_of_it(store: Store) -> None:
    ada = await store.subscriber(ADA.address)
    assert await asked(store, replace(ADA, language="en", timezone="Europe/Berlin")) is Kind.WELCOME
    assert await store.subscriber(ADA.address) == ada
    assert ada is not None
    await store.set_state(ada.id, State.UNSUBSCRIBED, NOW)
    assert await asked(store, replace(ADA, language="en")) is Kind.CONFIRMATION
    left = await store.subscriber(ADA.address)
    assert left == replace(ada, state=State.UNSUBSCRIBED)
    await store.set_state(ada.id, State.BLOCKED, NOW, reason="no such user")
    assert await asked(store, ADA) is None


async def test_nobody_is_bombed_with_requests(store: Store) -> None:
    assert [await asked(store) for _ in range(3)] == [Kind.CONFIRMATION, Kind.CONFIRMATION, None]
    assert await asked(store, at=NOW + DAYS) is Kind.CONFIRMATION
    assert [await asked(store, at=NOW + 2 * DAYS) for _ in range(2)] == [Kind.CONFIRMATION, None]
    assert await asked(store, at=NOW + 4 * DAYS) is None
    assert await asked(store, at=NOW + 8 * DAYS) is Kind.CONFIRMATION
    others = [replace(ADA, address=f"eve{n}@example.org") for n in range(6)]
    for one in others[:5]:
        assert await asked(store, one, NOW + 20 * DAYS) is Kind.CONFIRMATION
    with pytest.raises(LimitError):
        await asked(store, others[5], NOW + 20 * DAYS)
    assert await store.subscriber(others[5].address) is None


async def test_a_request_that_nobody_confirms_is_forgotten(store: Store) -> None:
    await asked(store)
    await store.expire(NOW + CONFIRM_WITHIN - SECOND)
    assert await store.subscriber("eve@example.org") is not None
    await store.expire(NOW + CONFIRM_WITHIN)
    assert await store.subscriber("eve@example.org") is None


async def test_a_request_that_was_confirmed_or_left_meanwhile_is_not_mailed(store: Store) -> None:
    await asked(store)
    (claim,) = await store.claim(1, NOW)
    await store.set_state(claim.subscriber.id, State.CONFIRMED, NOW)
    assert await store.intend([claim], NOW) == [False]


async def test_mails_about_subscriptions_go_first_and_survive_a_new_list(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    await asked(store)
    await store.accept(Accepted(seminar(session(id="other")), b"text", "talks.toml", NOW), ())
    assert [c.subscriber.address for c in await store.claim(9, NOW)] == ["eve@example.org"]


async def test_who_was_welcomed_with_a_session_is_told_when_it_changes(store: Store) -> None:
    await asked(store)
    (claim,) = await store.claim(1, NOW)
    await store.confirm(claim.subscriber.id, session(), NOW, per_address=2)
    moved = session(START + DAYS)
    assert (await store.facts()).told == {"2021-11-27": session()}
    change = replace(opening("change-1", Recipients(told=True), 1), before=session())
    assert await store.settle([change], moved, NOW) == [1]
    assert (await store.facts()).told == {"2021-11-27": moved}


async def test_a_change_for_one_who_was_welcomed_and_left_is_settled_though_it_reaches_nobody(store: Store) -> None:
    """Else it would be told anew at every tick, and whoever comes next would get a change of what they never knew."""
    await asked(store)
    (claim,) = await store.claim(1, NOW)
    await store.confirm(claim.subscriber.id, session(), NOW, per_address=2)
    await store.set_state(claim.subscriber.id, State.UNSUBSCRIBED, NOW)
    moved = session(START + DAYS)
    change = replace(opening("change-1", Recipients(told=True), 1), before=session())
    assert await store.settle([change], moved, NOW) == [0]
    assert (await store.facts()).told == {"2021-11-27": moved}


async def test_revoked_links_are_of_an_older_series(store: Store) -> None:
    ada = await store.subscriber(ADA.address)
    assert ada is not None
    assert await store.revoke(ada.id, NOW) == replace(ada, series=1)


async def test_the_erased_leave_their_deliveries_without_an_address_and_their_number_to_nobody(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    for claim in await store.claim(2, NOW):
        await store.intend([claim], NOW)
        await store.record([Result(claim, DeliveryState.SENT, code=250, reply=f"ok {claim.subscriber.address}")], NOW)
    for address in (ADA.address, CAROL.address):
        one = await store.subscriber(address)
        assert one is not None
        await store.come_back(
            Returned(notice().key, one.id, Meaning.SOFT, f"full {address}"), NOW, limit=9, within=DAYS
        )
        assert await store.erase(one.id, NOW)
        assert not await store.erase(one.id, NOW)
        assert await store.subscriber(address) is None
        assert await store.consents(one.id) == []
        (row,) = await store.deliveries(one.id)
        assert row.address == ""
        assert "@" not in row.reply + row.said
    assert [row.state for row in await store.deliveries(3)] == [DeliveryState.CANCELLED]
    await store.subscribe([CAROL], NOW)
    again = await store.subscriber(CAROL.address)
    assert again is not None
    assert again.id == 4


# What keeps nobody from a notice: of all that may stand in the way at once, chance finds too rarely what decides.
OPEN_TO_ALL: dict[str, Any] = {
    "state": State.CONFIRMED,
    "words": (),
    "declined": frozenset(),
    "paused_until": NOW,
}


@given(one=people, whom=whoms, paused=st.booleans(), in_the_way=st.sets(st.sampled_from(sorted(OPEN_TO_ALL))))
async def test_the_ledger_and_the_words_of_explain_agree_on_who_gets_a_notice(
    one: Subscriber, whom: Recipients, paused: bool, in_the_way: set[str]
) -> None:
    store = await SqliteStore.open(":memory:")
    one = replace(one, paused_until=NOW + SECOND if paused else NOW)
    one = replace(one, **{name: value for name, value in OPEN_TO_ALL.items() if name not in in_the_way})
    await store.subscribe([one], LONG_AGO)
    is_for_them = await store.settle([opening(recipients=whom)], session(), NOW) == [1]
    assert is_for_them == (one.refusal(whom, searchable(session()), NOW) == "")
    await store.close()


async def test_who_leaves_while_a_mail_is_in_flight_gets_no_second_try_of_it(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.set_state(ada.subscriber.id, State.UNSUBSCRIBED, NOW)
    await store.expire(NOW)
    await store.record([Result(ada, DeliveryState.DEFERRED, NOW + SECOND)], NOW)
    await store.expire(NOW)
    assert (await states(store))["ada"] == ["cancelled"]


async def test_an_answer_that_comes_after_the_erased_is_forgotten_too(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    await store.erase(ada.subscriber.id, NOW)
    await store.expire(NOW)
    await store.record([Result(ada, DeliveryState.SENT, code=250, reply=f"ok {ADA.address}")], NOW)
    await store.expire(NOW)
    (row,) = await store.deliveries(ada.subscriber.id)
    assert (row.state, row.reply) == (DeliveryState.SENT, "")


async def test_many_who_ask_at_once_are_claimed_one_after_the_other(store: Store) -> None:
    for number in range(150):
        await store.ask(Subscriber(f"p{number}@example.org"), session(), NOW, per_address=2, in_all=200)
        if number < 140:  # left before they were asked
            await store.erase(number + 4, NOW)
    claimed = set()
    for _ in range(4):
        claimed |= {c.subscriber.address for c in await store.claim(8, NOW)}
        await store.expire(NOW)
    assert len(claimed) == 10


async def told(store: Store, meaning: Meaning, said: str = "5.1.1 no such user", **values: Any) -> tuple[bool, Any]:
    """Carol's mail came back."""
    carol = await store.subscriber(CAROL.address)
    assert carol is not None
    returned = replace(Returned(notice().key, carol.id, meaning, said), **values)
    return await store.come_back(returned, NOW + HOURS, limit=2, within=30 * DAYS)


async def all_sent(store: Store, *rules: str) -> None:
    for rule in rules or ("reminder-1d",):
        await store.settle([opening(rule)], session(), NOW)
    for claim in await store.claim(100, NOW):
        await sent(store, claim)


async def block_of(store: Store, address: str = CAROL.address) -> tuple[str, str]:
    one = await store.subscriber(address)
    assert one is not None
    return str(one.state), one.reason


async def restored(store: Store) -> None:
    carol = await store.subscriber(CAROL.address)
    assert carol is not None
    await store.subscribe([replace(carol, state=State.CONFIRMED, reason="")], NOW + 2 * HOURS)


async def test_a_dead_address_is_blocked_with_the_reason_until_a_person_restores_it(store: Store) -> None:
    await all_sent(store)
    reason = "there is no such mailbox: 5.1.1 no such user"
    is_news, carol = await told(store, Meaning.HARD)
    assert is_news
    assert carol is not None
    assert (carol.address, carol.state, carol.reason, carol.changed) == (CAROL.address, "blocked", reason, NOW + HOURS)
    assert await store.set_state(carol.id, State.CONFIRMED, NOW) == carol
    assert [(d.came_back, d.said) for d in await store.deliveries(carol.id)] == [(Meaning.HARD, "5.1.1 no such user")]
    await restored(store)
    assert await block_of(store) == ("confirmed", "")


async def test_the_same_tale_is_no_news_even_after_a_person_restored_the_address(store: Store) -> None:
    await all_sent(store)
    assert (await told(store, Meaning.HARD))[0]
    await restored(store)
    for meaning in (Meaning.HARD, Meaning.SOFT, Meaning.DELAYED):
        assert await told(store, meaning) == (False, None)
    assert await block_of(store) == ("confirmed", "")


async def test_a_delay_and_a_first_soft_return_block_nobody_and_several_do(store: Store) -> None:
    await all_sent(store, "announcement", "reminder-1d", "reminder-1h")
    full = "5.2.2 mailbox full"
    assert await told(store, Meaning.DELAYED) == (True, None)
    assert await told(store, Meaning.SOFT, full) == (True, None)
    assert await told(store, Meaning.SOFT, full) == (False, None)
    assert await told(store, Meaning.DELAYED, notice=notice("announcement").key) == (True, None)
    assert await block_of(store) == ("confirmed", "")
    assert (await told(store, Meaning.SOFT, full, notice=notice("reminder-1h").key))[0]
    assert await block_of(store) == ("blocked", f"2 mails came back, the last one because: {full}")


async def test_soft_returns_count_only_within_their_time_and_since_a_person_restored_them(store: Store) -> None:
    await all_sent(store, "announcement", "reminder-1d", "reminder-1h")
    carol = await store.subscriber(CAROL.address)
    assert carol is not None
    rules = ("announcement", "reminder-1d", "reminder-1h")
    first, second, third = (Returned(notice(rule).key, carol.id, Meaning.SOFT, "full") for rule in rules)
    await store.come_back(first, NOW, limit=2, within=DAYS)
    assert await store.come_back(second, NOW + HOURS * 25, limit=2, within=DAYS) == (True, None)
    await store.set_state(carol.id, State.BLOCKED, NOW + HOURS * 26)
    await store.subscribe([CAROL], NOW + HOURS * 27)
    assert await store.come_back(third, NOW + HOURS * 28, limit=2, within=DAYS) == (True, None)


async def test_a_complaint_ends_mail_and_an_unsubscribed_stays_unsubscribed(store: Store) -> None:
    await all_sent(store)
    bob = await store.subscriber(BOB.address)
    assert bob is not None
    await store.set_state(bob.id, State.UNSUBSCRIBED, NOW)
    assert await told(store, Meaning.COMPLAINT, "abuse", subscriber_id=bob.id) == (True, None)
    assert (await told(store, Meaning.COMPLAINT, "abuse"))[0]
    assert await block_of(store, BOB.address) == ("unsubscribed", "")
    assert await block_of(store) == ("blocked", "they complained: abuse")


async def test_a_server_that_calls_everyone_dead_is_not_believed_of_more_than_a_few(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("notifier.stores.sqlite.returns._FEW_DEAD", 2)
    await all_sent(store, "reminder-1d", "reminder-1h")
    ids = [one.id for one in await store.subscribers()]
    blocked = [(await told(store, Meaning.HARD, subscriber_id=who))[1] for who in ids]
    assert [one is not None for one in blocked] == [True, True, False]
    summary = await store.summary(NOW)
    assert (summary.subscribers, summary.returned, summary.doubted) == ({"blocked": 2, "confirmed": 1}, {"hard": 3}, 1)
    next_day = NOW + 26 * HOURS
    again = Returned(notice("reminder-1h").key, ids[2], Meaning.HARD, "5.1.1 no such user")
    assert (await store.come_back(again, next_day, limit=2, within=30 * DAYS))[1] is not None
    assert (await store.summary(next_day)).doubted == 0


async def test_a_tenth_of_a_long_list_may_be_dead(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.stores.sqlite.returns._FEW_DEAD", 0)
    await store.subscribe([replace(BOB, address=f"reader{n}@example.org") for n in range(27)], LONG_AGO)
    await all_sent(store)
    ids = [one.id for one in await store.subscribers()]
    blocked = [(await told(store, Meaning.HARD, subscriber_id=who))[1] for who in ids]
    assert sum(one is not None for one in blocked) == 3


async def test_a_return_of_a_mail_that_was_never_sent_changes_nothing(store: Store) -> None:
    await all_sent(store)
    assert await told(store, Meaning.HARD, notice=("2021-11-27", "reminder-9d", 0)) == (False, None)
    assert await told(store, Meaning.HARD, subscriber_id=99) == (False, None)
    assert (await store.summary(NOW)).subscribers == {"confirmed": 3}


async def test_an_address_that_the_mail_server_calls_dead_is_blocked_with_its_result(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    claims = await store.claim(3, NOW)
    for claim in claims:
        assert await store.intend([claim], NOW) == [True]
        is_dead = claim.subscriber.address == CAROL.address
        await store.record([Result(claim, DeliveryState.FAILED, reply="550 5.1.1", is_dead_address=is_dead)], NOW)
    assert await block_of(store) == ("blocked", "there is no such mailbox: 550 5.1.1")
    assert await block_of(store, ADA.address) == ("confirmed", "")


async def test_baseline_and_rules_are_noted_at_their_first_sight_only(store: Store) -> None:
    await store.begin(NOW, (*rule_names(Rules()), "reminder-3h"))
    facts = await store.facts()
    assert facts.baseline == LONG_AGO
    assert facts.rules == {
        "announcement": LONG_AGO,
        "reminder-1d": LONG_AGO,
        "reminder-1h": LONG_AGO,
        "reminder-3h": NOW,
        "replay": LONG_AGO,
    }


async def test_of_a_lead_time_it_is_noted_when_somebody_first_chose_it(store: Store) -> None:
    """Else each that is new would have been missed for every session of the month before."""
    await store.subscribe([replace(BOB, leads=(3 * HOURS, DAYS))], NOW)
    await store.subscribe([replace(CAROL, leads=(3 * HOURS, 2 * HOURS))], NOW + HOURS)
    rules = (await store.facts()).rules
    assert {name: rules[f"reminder-{name}"] for name in ("1d", "3h", "2h")} == {
        "1d": LONG_AGO,
        "3h": NOW,
        "2h": NOW + HOURS,
    }


async def test_small_facts_and_documents_are_kept(store: Store) -> None:
    await store.note({"hold": "why"})
    await store.publish({"/calendar.ics": ('"a"', NOW)})
    await store.publish({"/calendar.ics": ('"b"', START)})
    assert (await store.fact("hold"), await store.fact("none", "-")) == ("why", "-")
    assert await store.documents() == {"/calendar.ics": ('"b"', START)}


async def test_the_summary_counts_by_state(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await sent(store, ada)
    summary = await store.summary(NOW)
    assert summary.deliveries == {"queued": 2, "sent": 1}
    assert summary.subscribers == {"confirmed": 3}
    assert summary.overdue == 2


async def test_what_was_said_of_a_delivery_stays_while_it_is_not_tried_again(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.record([Result(ada, DeliveryState.DEFERRED, NOW, 450, "greylisted")], NOW)
    (ada,) = [c for c in await store.claim(9, NOW) if c.subscriber == ada.subscriber]
    await store.record([Result(ada, DeliveryState.QUEUED, counts=False)], NOW)
    assert [d.reply for d in await store.deliveries(ada.subscriber.id)] == ["greylisted"]


async def test_the_progress_of_a_mailing_is_told_until_it_is_over(store: Store) -> None:
    assert await store.progress() == []
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await sent(store, ada)
    (one,) = await store.progress()
    assert replace(one.notice, recipients=EVERYONE) == notice()
    assert (one.deliveries, one.total, one.waiting) == ({"queued": 2, "sent": 1}, 3, 2)
    for claim in await store.claim(9, NOW):
        assert (await store.progress())[0].waiting > 0
        await sent(store, claim)
    assert await store.progress() == []


async def test_a_review_counts_what_became_of_the_latest_notices_and_how_soon(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    ada, bob, carol = await store.claim(3, NOW)
    await store.intend([ada, bob, carol], NOW)
    await store.record([Result(ada, DeliveryState.SENT)], NOW + SECOND)
    await store.record([Result(bob, DeliveryState.SENT)], NOW + 3 * SECOND)
    await store.record([Result(carol, DeliveryState.FAILED, reply="550 no")], NOW + 4 * SECOND)
    review = await store.review(5)
    assert review.tally == {"2021-11-27": {"failed": 1, "sent": 2}}
    assert [(p.notice.rule, p.sent, p.half, p.all) for p in review.punctuality] == [
        ("reminder-1d", 2, SECOND, 3 * SECOND)
    ]
    assert [(lost.address, lost.reply) for lost in review.lost] == [(CAROL.address, "550 no")]


async def test_growth_is_told_by_the_day_and_ends_with_those_who_are_confirmed_now(store: Store) -> None:
    await store.subscribe([EVE], LONG_AGO + 2 * DAYS)
    bob = await store.subscriber(BOB.address)
    assert bob is not None
    await store.set_state(bob.id, State.UNSUBSCRIBED, LONG_AGO + 4 * DAYS)
    await store.set_state(bob.id, State.CONFIRMED, LONG_AGO + 4 * DAYS + HOURS)
    await store.set_state(bob.id, State.UNSUBSCRIBED, LONG_AGO + 5 * DAYS)
    growth = (await store.review(5)).growth
    assert growth == [(LONG_AGO + n * DAYS, count) for n, count in ((1, 3), (3, 4), (5, 4), (6, 3))]


async def test_a_review_of_an_empty_ledger_is_empty(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "notifier.db")
    assert await store.review(5) == Review()
    await store.close()


@pytest.mark.parametrize("how", ["deferred", "ambiguous", "crash"])
async def test_a_mail_on_the_wire_when_its_change_is_told_is_not_sent_again(store: Store, how: str) -> None:
    await store.settle([opening()], session(), NOW)
    (ada,) = await store.claim(1, NOW)
    await store.intend([ada], NOW)
    change = replace(opening("change-1", generation=1), before=session(START - DAYS))
    told = replace(change.notice, kind=Kind.CHANGE, recipients=Recipients(told=True))
    assert await store.settle([replace(change, notice=told)], session(), NOW) == [3]
    if how == "crash":
        await store.begin(NOW, ())
    else:
        await store.record([Result(ada, DeliveryState(how), NOW, reply="later")], NOW)
    rows = await store.deliveries(ada.subscriber.id)
    assert [(d.notice.rule, d.state) for d in rows] == [("reminder-1d", "cancelled"), ("change-1", "queued")]


# --- bulletins ---


def urgent(number: int, verdict: Verdict = Verdict.OPEN, before: Session | None = None) -> Decision:
    return Decision(notice(f"urgent-{number}", Recipients(told=True)), verdict, before=before)


async def test_the_last_bulletin_of_each_session_is_kept(store: Store) -> None:
    said = Bulletin("报告/1", 2, "推迟15分钟", NOW, NOW + HOURS)
    await store.announce(replace(said, number=1, line="Late"))
    await store.announce(said)
    await store.announce(replace(said, session_id="2021-12-11"))
    known = (await store.facts()).bulletins
    assert (known["报告/1"], set(known)) == (said, {"报告/1", "2021-12-11"})


async def test_a_word_for_a_session_of_any_name_is_kept(store: Store) -> None:
    await store.note({f"{APPROVAL}报告/1/change-1/0": NOW.isoformat()})
    assert (await store.facts()).approved == {("报告/1", "change-1", 0): NOW}


async def test_what_is_urgent_is_claimed_before_all_else(store: Store) -> None:
    other = replace(notice(), session_id="2021-12-11", deadline=NOW + HOURS)
    await store.settle([Decision(other, Verdict.OPEN)], session(id="2021-12-11"), NOW)
    await store.settle([opening("announcement")], session(), NOW)
    for claim in await store.claim(2, NOW):
        await sent(store, claim)
    await store.settle([opening()], session(), NOW)
    assert await store.settle([urgent(1)], session(urgent="Late"), NOW) == [3]
    claims = await store.claim(9, NOW)
    assert [claim.notice.rule for claim in claims] == ["urgent-1"] * 3 + ["reminder-1d"]
    assert claims[0].session == session(urgent="Late")


async def test_a_bulletin_is_for_those_who_were_told_and_stands_for_what_says_less(store: Store) -> None:
    await store.settle([opening("reminder-1h", Recipients(leads=frozenset({HOURS})))], session(), NOW)
    assert await store.settle([urgent(1)], session(), NOW) == [0]
    await store.settle([opening()], session(), NOW)
    (first, *_) = await store.claim(1, NOW)
    await sent(store, first)
    assert await store.settle([urgent(2)], session(), NOW) == [3]
    told = await states(store)
    assert sorted(told.values()) == [["cancelled", "queued"], ["cancelled", "queued"], ["sent", "queued"]]


async def test_a_reminder_and_a_bulletin_at_once_are_one_mail_and_one_of_them_whatever_comes(store: Store) -> None:
    assert await store.settle([opening(), urgent(1)], session(), NOW) == [3, 3]
    assert set(map(tuple, (await states(store)).values())) == {("cancelled", "queued")}
    await store.settle([urgent(2, Verdict.SKIPPED)], session(), NOW)
    assert set(map(tuple, (await states(store)).values())) == {("queued", "cancelled")}


async def test_a_change_that_waits_for_its_mail_goes_out_beside_a_bulletin(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    change = Decision(notice("change-1", Recipients(told=True)), Verdict.OPEN, before=session())
    await store.settle([change], session(), NOW)
    await store.settle([urgent(1)], session(), NOW)
    assert set(map(tuple, (await states(store)).values())) == {("cancelled", "queued", "queued")}


async def test_a_bulletin_that_tells_of_a_change_stands_for_all_before_it(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    change = Decision(notice("change-1", Recipients(told=True)), Verdict.OPEN, before=session())
    await store.settle([change], session(), NOW)
    await store.settle([urgent(1, before=session())], session(), NOW)
    assert set(map(tuple, (await states(store)).values())) == {("cancelled", "cancelled", "queued")}


@pytest.mark.parametrize("verdict", [Verdict.OPEN, Verdict.SKIPPED])
async def test_of_a_bulletin_that_was_taken_back_no_mail_leaves(store: Store, verdict: Verdict) -> None:
    await store.settle([opening()], session(), NOW)
    for claim in await store.claim(9, NOW):
        await sent(store, claim)
    await store.settle([urgent(1)], session(), NOW)
    (put_off,) = await store.claim(1, NOW)
    assert await store.intend([put_off], NOW) == [True]
    await store.settle([urgent(2, verdict)], session(), NOW)
    await store.record([Result(put_off, DeliveryState.DEFERRED, NOW)], NOW)
    assert {claim.notice.rule for claim in await store.claim(9, NOW)} == (
        {"urgent-2"} if verdict is Verdict.OPEN else set()
    )
    assert all(row[1] == "cancelled" for row in (await states(store)).values())


async def test_a_reminder_put_off_after_its_bulletin_was_taken_back_is_owed_still(store: Store) -> None:
    """It was on the wire all that while, and nothing stands for it."""
    await store.settle([opening()], session(), NOW)
    (put_off, *_) = await store.claim(1, NOW)
    assert await store.intend([put_off], NOW) == [True]
    await store.settle([urgent(1)], session(), NOW)
    await store.settle([urgent(2, Verdict.SKIPPED)], session(), NOW)
    await store.record([Result(put_off, DeliveryState.DEFERRED, NOW)], NOW)
    owed = [(claim.notice.kind, claim.subscriber.id) for claim in await store.claim(9, NOW)]
    assert sorted(owed) == [(Kind.REMINDER, 1), (Kind.REMINDER, 2), (Kind.REMINDER, 3)]


async def test_a_bulletin_put_off_after_it_was_taken_back_gives_back_the_reminder(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    await store.settle([urgent(1)], session(), NOW)
    (put_off, *_) = await store.claim(1, NOW)
    assert await store.intend([put_off], NOW) == [True]
    await store.settle([urgent(2, Verdict.SKIPPED)], session(), NOW)
    assert len(await store.claim(9, NOW)) == 2
    await store.record([Result(put_off, DeliveryState.DEFERRED, NOW)], NOW)
    (owed,) = await store.claim(9, NOW)
    assert (owed.notice.kind, owed.subscriber.id) == (Kind.REMINDER, put_off.subscriber.id)


async def test_a_reminder_that_was_put_off_when_a_bulletin_came_is_told_by_that(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    (on_wire,) = await store.claim(1, NOW)
    assert await store.intend([on_wire], NOW) == [True]
    await store.settle([urgent(1)], session(), NOW)
    await store.record([Result(on_wire, DeliveryState.DEFERRED, NOW)], NOW)
    assert [claim.notice.rule for claim in await store.claim(9, NOW)] == ["urgent-1"] * 3


async def test_a_bulletin_on_the_wire_of_a_dead_run_is_not_sent_again_once_taken_back(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    for claim in await store.claim(9, NOW):
        await sent(store, claim)
    await store.settle([urgent(1)], session(), NOW)
    (on_wire,) = await store.claim(1, NOW)
    assert await store.intend([on_wire], NOW) == [True]
    await store.settle([urgent(2, Verdict.SKIPPED)], session(), NOW)
    await store.begin(NOW, ())
    assert await store.claim(9, NOW) == []


async def test_a_change_told_with_a_bulletin_is_told_also_where_its_line_is_taken_back(store: Store) -> None:
    await store.settle([opening()], session(), NOW)
    await store.settle([urgent(1, before=session())], session(), NOW)
    await store.settle([urgent(2, Verdict.SKIPPED)], session(), NOW)
    assert {claim.notice.rule for claim in await store.claim(9, NOW)} == {"urgent-1"}
