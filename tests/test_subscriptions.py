"""Random histories of readers, strangers and forgers at one door, against the real ledger and the real links."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from samples import DAYS, HOURS, START, session

from notifier.errors import LimitError, TokenError
from notifier.notices import OF_SUBSCRIPTIONS, Kind
from notifier.stores import DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Allowance, State, Subscriber, comparable
from notifier.subscriptions import Subscriptions
from notifier.tokens import Keyring, Purpose, SignedLinks

ADDRESSES = ("ada@example.org", "ADA@example.org", "bob@example.org")
ALLOWANCE = Allowance(mails_per_address=3, mails_per_hour=8, requests_per_network=10)
addresses = st.sampled_from(ADDRESSES)
people = st.sampled_from(sorted({comparable(a) for a in ADDRESSES}))


class Door(RuleBasedStateMachine):
    """Two mailboxes. Whoever reads one may use every link that ever came into it, and nobody else has any."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.now = START - 30 * DAYS
        self.store = self.run(SqliteStore.open(":memory:"))
        self.run(self.store.begin(self.now, ()))
        self.keyring = Keyring(("a-key",))
        self.door = Subscriptions(
            self.store, self.keyring, "https://x.example.org", ALLOWANCE,
            now=lambda: self.now, coming=lambda _: session(), wake=lambda: None,
        )  # fmt: skip
        self.mailboxes: dict[str, dict[Purpose, list[str]]] = {
            comparable(a): {p: [] for p in Purpose} for a in ADDRESSES
        }
        self.mails: list[tuple[str, Kind, object]] = []
        self.wanted: dict[str, bool] = dict.fromkeys(self.mailboxes, False)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.runner.close()

    def run(self, work):  # type: ignore[no-untyped-def]
        return self.runner.run(work)

    def state(self, person: str) -> State | None:
        one = self.run(self.store.subscriber(person))
        return one.state if one else None

    # --- strangers ---

    @rule(address=addresses, language=st.sampled_from(["zh", "en"]), network=st.integers(1, 3))
    def anybody_asks(self, address: str, language: str, network: int) -> None:
        before = self.run(self.store.subscriber(address))
        try:
            self.run(self.door.ask(Subscriber(address, language=language), ip_address(f"10.0.{network}.7")))
        except LimitError:
            return
        after = self.run(self.store.subscriber(address))
        if before is not None and before.state is not State.UNCONFIRMED:
            assert after == before
        elif after is not None:
            assert after.state is State.UNCONFIRMED

    @rule(purpose=st.sampled_from(Purpose), number=st.integers(1, 9))
    def a_forger_tries(self, purpose: Purpose, number: int) -> None:
        links = SignedLinks("", Keyring(("another-key",)))
        token = links.token(purpose, Subscriber("eve@example.org", id=number), self.now)
        for act in (self.door.confirm, self.door.unsubscribe, self.door.resubscribe, self.door.erase, self.door.revoke):
            try:
                self.run(act(token))
            except TokenError:
                continue
            raise AssertionError("a forged link was taken")

    # --- the mail goes out ---

    @rule()
    def the_mail_goes_out(self) -> None:
        for claim in self.run(self.store.claim(99, self.now)):
            if self.run(self.store.intend([claim], self.now)) != [True]:
                continue
            self.run(self.store.record([Result(claim, DeliveryState.SENT)], self.now))
            one, links = claim.subscriber, SignedLinks("", self.keyring)
            assert claim.notice.kind in OF_SUBSCRIPTIONS
            assert (claim.notice.kind is Kind.WELCOME) == (one.state is State.CONFIRMED)
            mailbox = self.mailboxes[comparable(one.address)]
            purposes = [Purpose.CONFIRM] if claim.notice.kind is Kind.CONFIRMATION else list(Purpose)[1:]
            for purpose in purposes:
                mailbox[purpose].append(links.token(purpose, one, claim.opened_at))
            self.mails.append((comparable(one.address), claim.notice.kind, self.now))

    # --- those who read a mailbox, and every link that ever came into it ---

    def tokens(self, person: str, purpose: Purpose) -> list[str]:
        return self.mailboxes[person][purpose]

    def try_all(self, act, person: str, purpose: Purpose) -> bool:  # type: ignore[no-untyped-def]
        done = False
        for token in self.tokens(person, purpose):
            try:
                self.run(act(token))
                done = True
            except TokenError:
                continue
        return done

    @rule(person=people)
    def somebody_confirms(self, person: str) -> None:
        if self.try_all(self.door.confirm, person, Purpose.CONFIRM) and self.state(person) is State.CONFIRMED:
            self.wanted[person] = True

    @rule(person=people)
    def somebody_leaves(self, person: str) -> None:
        if self.try_all(self.door.unsubscribe, person, Purpose.UNSUBSCRIBE):
            self.wanted[person] = False
            assert self.state(person) in (State.UNSUBSCRIBED, State.BLOCKED)

    @rule(person=people)
    def somebody_comes_back(self, person: str) -> None:
        before = self.state(person)
        if self.try_all(self.door.resubscribe, person, Purpose.UNSUBSCRIBE) and before is State.UNSUBSCRIBED:
            self.wanted[person] = self.state(person) is State.CONFIRMED

    @rule(person=people, language=st.sampled_from(["zh", "en"]))
    def somebody_chooses(self, person: str, language: str) -> None:
        before = self.state(person)
        wishes = Subscriber("eve@example.org", language=language, state=State.CONFIRMED)
        if self.try_all(lambda token: self.door.prefer(token, wishes), person, Purpose.PREFERENCES):
            after = self.run(self.store.subscriber(person))
            assert after is not None
            assert (after.state, after.language) == (before, language)

    @rule(person=people)
    def somebody_revokes_their_links(self, person: str) -> None:
        if self.try_all(self.door.revoke, person, Purpose.PREFERENCES):
            assert not self.try_all(self.door.record, person, Purpose.PREFERENCES)

    @rule(person=people)
    def somebody_is_erased(self, person: str) -> None:
        if self.try_all(self.door.erase, person, Purpose.PREFERENCES):
            assert self.state(person) is None
            self.wanted[person] = False
            for purpose in Purpose:
                assert not self.try_all(lambda token, p=purpose: self.door.whose(p, token), person, purpose)

    # --- the world ---

    @rule(person=people)
    def mail_comes_back(self, person: str) -> None:
        one = self.run(self.store.subscriber(person))
        if one is not None and one.state is State.CONFIRMED:
            self.run(self.store.set_state(one.id, State.BLOCKED, self.now, reason="no such user"))
            self.wanted[person] = False

    @rule(person=people)
    def a_person_restores(self, person: str) -> None:
        one = self.run(self.store.subscriber(person))
        if one is not None and one.state is State.BLOCKED:
            self.run(self.store.subscribe([replace(one, state=State.CONFIRMED, reason="")], self.now))
            self.wanted[person] = True

    @rule(hours=st.sampled_from([1, 25, 8 * 24]))
    def time_passes(self, hours: int) -> None:
        self.now += hours * HOURS
        self.run(self.store.expire(self.now))

    # --- what must always hold ---

    @invariant()
    def nobody_is_subscribed_but_by_a_link_that_was_mailed_to_them(self) -> None:
        for person, wanted in getattr(self, "wanted", {}).items():
            assert (self.state(person) is State.CONFIRMED) == wanted

    @invariant()
    def nobody_gets_more_mail_about_a_subscription_than_stated(self) -> None:
        for person, _, at in getattr(self, "mails", ()):
            day = [a for p, _, a in self.mails if p == person and at <= a < at + timedelta(days=1)]
            assert len(day) <= 2 * ALLOWANCE.mails_per_address


TestDoor = Door.TestCase
TestDoor.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
