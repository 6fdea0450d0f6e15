"""Random histories of edits, joins, leaves, pauses and crashes against the real rules and the real ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from samples import ADA, BOB, CAROL, DAYS, HOURS, START, session

from notifier.notices import CLOSED_DOOR, OF_SUBSCRIPTIONS, Kind, Rules, Verdict, decide, is_stale, rule_names
from notifier.stores import Claim, DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import State, Subscriber
from notifier.talks import Room, Seminar, Session, Status

RULES = Rules()
PEOPLE = {one.address: one for one in (ADA, BOB, replace(CAROL, leads=(3 * HOURS,)))}
MINUTE = timedelta(minutes=1)
addresses = st.sampled_from(sorted(PEOPLE))


def facts(session: Session) -> tuple[datetime, bool, str]:
    return session.start, session.is_cancelled, session.room.meeting_id


@dataclass(frozen=True)
class Sent:
    address: str
    key: tuple[str, str, int]
    kind: Kind
    at: datetime
    facts: tuple[datetime, bool, str]
    is_resend: bool


class Ledger(RuleBasedStateMachine):
    """One session, three people, a daemon that reconciles when it is awake and sends as much as it is let."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.now = START - 9 * DAYS
        self.session = session(START, created=self.now - DAYS, modified=self.now - DAYS)
        self.sent: list[Sent] = []
        self.left: set[str] = set()
        self.store = self.runner.run(SqliteStore.open(":memory:"))
        self.run(self.store.begin(self.now - 2 * DAYS, rule_names(RULES, [3 * HOURS])))
        self.run(self.store.subscribe([ADA, BOB], self.now))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.runner.close()

    def run(self, work):  # type: ignore[no-untyped-def]
        return self.runner.run(work)

    # --- the world ---

    @rule(minutes=st.integers(1, 30))
    def a_while_passes(self, minutes: int) -> None:
        for _ in range(minutes):
            self.now += MINUTE
            self.tick()

    @rule(hours=st.integers(1, 30))
    def hours_pass(self, hours: int) -> None:
        for _ in range(hours * 4):
            self.now += 15 * MINUTE
            self.tick()

    @rule(hours=st.integers(1, 40))
    def the_machine_is_off(self, hours: int) -> None:
        self.now += hours * HOURS

    @rule(minutes=st.integers(-3 * 24 * 60, 8 * 24 * 60))
    def the_session_is_moved(self, minutes: int) -> None:
        start = max(self.session.start + minutes * MINUTE, self.now + MINUTE)
        self.edit(start=start, end=start + 2 * HOURS)

    @rule()
    def the_session_is_cancelled_or_restored(self) -> None:
        self.edit(status=Status.CONFIRMED if self.session.is_cancelled else Status.CANCELLED)

    @rule(number=st.sampled_from(["111111111", "222222222"]))
    def the_room_is_changed(self, number: str) -> None:
        self.edit(room=Room(meeting_id=number))

    @rule(address=addresses)
    def somebody_joins(self, address: str) -> None:
        self.run(self.store.subscribe([PEOPLE[address]], self.now))

    @rule(address=addresses)
    def somebody_asks_and_confirms(self, address: str) -> None:
        coming = None if self.session.is_cancelled or self.session.end <= self.now else self.session
        self.run(self.store.ask(PEOPLE[address], coming, self.now, per_address=99, in_all=999))
        one = self.run(self.store.subscriber(address))
        self.run(self.store.confirm(one.id, coming, self.now, per_address=99))

    @rule(address=addresses)
    def somebody_leaves(self, address: str) -> None:
        one = self.run(self.store.subscriber(address))
        if one is not None:
            self.left.add(address)
            self.run(self.store.set_state(one.id, State.UNSUBSCRIBED, self.now))

    @rule(count=st.integers(1, 3))
    def some_mails_are_sent(self, count: int) -> None:
        for claim in self.run(self.store.claim(count, self.now, self.paused)):
            self.send(claim)

    @precondition(lambda self: hasattr(self, "store"))
    @rule(arrives=st.booleans())
    def the_daemon_is_killed_with_a_mail_on_the_wire(self, arrives: bool) -> None:
        claims = self.run(self.store.claim(2, self.now, self.paused))
        if claims and not is_stale(claims[0].session, self.session):
            (is_intended,) = self.run(self.store.intend(claims[:1], self.now))
            if is_intended and arrives:
                self.note(claims[0])
        self.run(self.store.begin(self.now, rule_names(RULES, [3 * HOURS])))

    # --- the daemon ---

    paused: frozenset[str] = frozenset()

    def edit(self, **values: object) -> None:
        edited = replace(self.session, **values)
        if edited != self.session:
            self.session = replace(edited, modified=self.now)

    def tick(self) -> None:
        seminar = Seminar("jsml", "Seminar", "Asia/Shanghai", sessions=(self.session,))
        decisions = decide(seminar, RULES, self.run(self.store.facts()), self.now)
        self.paused = frozenset(
            d.notice.session_id for d in decisions if d.before is not None and d.verdict is Verdict.WAITING
        )
        actions = [d for d in decisions if d.verdict not in (Verdict.WAITING, Verdict.DONE)]
        if actions:
            self.run(self.store.settle(actions, self.session, self.now))
        self.run(self.store.expire(self.now))

    def send(self, claim: Claim) -> None:
        if claim.notice.kind not in OF_SUBSCRIPTIONS and is_stale(claim.session, self.session):
            self.run(
                self.store.record([Result(claim, DeliveryState.QUEUED, self.now + MINUTE, counts=False)], self.now)
            )
        elif self.run(self.store.intend([claim], self.now)) == [True]:
            self.note(claim)
            self.run(self.store.record([Result(claim, DeliveryState.SENT)], self.now))

    def note(self, claim: Claim) -> None:
        one: Subscriber = claim.subscriber
        if not claim.notice.told_session:
            return
        told = facts(self.session)
        self.sent.append(Sent(one.address, claim.notice.key, claim.notice.kind, self.now, told, claim.is_resend))

    # --- what must always hold ---

    @invariant()
    def nobody_gets_the_same_notice_twice(self) -> None:
        keys = [(s.address, s.key) for s in getattr(self, "sent", ()) if not s.is_resend]
        assert len(keys) == len(set(keys))

    @invariant()
    def nobody_is_reminded_twice_by_one_rule_of_one_start(self) -> None:
        reminders = [
            (s.address, s.key[1], s.facts[0])
            for s in getattr(self, "sent", ())
            if s.kind is Kind.REMINDER and not s.is_resend
        ]
        assert len(reminders) == len(set(reminders))

    @invariant()
    def no_reminder_comes_when_the_door_is_closed(self) -> None:
        for s in getattr(self, "sent", ()):
            assert s.kind is not Kind.REMINDER or s.at < s.facts[0] - CLOSED_DOOR

    @invariant()
    def whoever_was_taken_off_the_queue_by_a_change_is_told_the_change(self) -> None:
        for one in self.run(self.store.subscribers()) if hasattr(self, "store") else ():
            if one.address in self.left:
                continue
            rows = self.run(self.store.deliveries(one.id))
            for at, row in enumerate(rows):
                if row.reply == "told by the change mail instead":
                    assert rows[at + 1 :]

    @rule()
    def when_all_is_sent_nobody_is_left_with_stale_facts(self) -> None:
        self.now += 10 * MINUTE
        self.tick()
        self.now += MINUTE
        self.tick()
        while claims := self.run(self.store.claim(9, self.now, self.paused)):
            for claim in claims:
                self.send(claim)
        if self.session.end <= self.now:
            return
        by_person = groupby(sorted(self.sent, key=lambda s: s.address), lambda s: s.address)
        for address, told in by_person:
            # Who left and came back is told of what falls due then, not of what was missed meanwhile.
            if address not in self.left:
                assert list(told)[-1].facts == facts(self.session)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
