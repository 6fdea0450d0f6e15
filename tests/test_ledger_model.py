"""Random histories of edits, joins, leaves, pauses, crashes and mail servers against the real rules and ledger."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import groupby

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from samples import ADA, BOB, CAROL, DAYS, HOURS, START, session

from notifier import proofs
from notifier.bulletins import Bulletin, lines
from notifier.mailroom import misleads
from notifier.notices import OF_SUBSCRIPTIONS, Kind, Rules, Verdict
from notifier.stores import HIGH_WATER, Claim, DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import State, Subscriber
from notifier.talks import Room, Seminar, Session, Status
from notifier.verdicts import CLOSED_DOOR, decide, needed_head_starts, rule_names

RULES = Rules()
PEOPLE = {one.address: one for one in (ADA, BOB, replace(CAROL, leads=(3 * HOURS,)))}
MINUTE = timedelta(minutes=1)
addresses = st.sampled_from(sorted(PEOPLE))


def facts(session: Session) -> tuple[datetime, bool, str]:
    return session.start, session.is_cancelled, session.room.meeting_id


class Fate(Enum):
    """What a mail server makes of a message, and what of that we are told."""

    TAKEN = "taken"
    PUT_OFF = "put off"
    REFUSED = "refused"
    TAKEN_AND_CUT = "taken, and the reply is lost"
    LOST = "lost, and no reply comes"


@dataclass(frozen=True)
class Sent:
    address: str
    key: tuple[str, str, int]
    kind: Kind
    at: datetime
    facts: tuple[datetime, bool, str]
    is_resend: bool
    line: str
    tells_change: bool


class Ledger(RuleBasedStateMachine):
    """One session, three people, a daemon that reconciles when it is awake and sends as much as it is let."""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.now = START - 9 * DAYS
        self.session = session(START, created=self.now - DAYS, modified=self.now - DAYS)
        self.sent: list[Sent] = []
        self.bulletins: list[Bulletin] = []
        self.left: set[str] = set()
        self.refused: set[str] = set()
        self.on_wire: list[tuple[Claim, Fate]] = []
        self.takes = timedelta()
        self.store = self.runner.run(SqliteStore.open(":memory:"))
        self.run(self.store.begin(self.now - 2 * DAYS, (*rule_names(RULES), "reminder-3h")))
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
        self.the_ledger_proves_that_nothing_is_missing_or_double()

    @rule(hours=st.integers(1, 30))
    def hours_pass(self, hours: int) -> None:
        for _ in range(hours * 4):
            self.now += 15 * MINUTE
            self.tick()
        self.the_ledger_proves_that_nothing_is_missing_or_double()

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

    @rule(replays=st.tuples(*[st.sampled_from(["", "https://b.example/1", "https://b.example/2"])] * 2))
    def replays_come_and_go(self, replays: tuple[str, str]) -> None:
        talks = zip(self.session.talks, replays, strict=True)
        self.edit(talks=tuple(replace(talk, replay=url) for talk, url in talks))

    @precondition(lambda self: hasattr(self, "store") and self.now < self.session.end and not self.session.is_cancelled)
    @rule(line=st.sampled_from(["late", "very late", ""]))
    def something_is_announced_or_taken_back(self, line: str) -> None:
        self.bulletins.append(Bulletin(self.session.id, len(self.bulletins) + 1, line, self.now, self.session.end))
        self.run(self.store.announce(self.bulletins[-1]))
        self.tick()

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

    @rule(minutes=st.sampled_from([0, 30, 90, 400]))
    def the_mail_server_gets_slower_or_faster(self, minutes: int) -> None:
        self.takes = minutes * MINUTE

    @rule(count=st.integers(1, 3))
    def some_mails_are_sent(self, count: int) -> None:
        for claim in self.run(self.store.claim(count, self.now, self.paused)):
            self.put_on_wire(claim, Fate.TAKEN)
        self.hear_all()

    @rule(fates=st.lists(st.sampled_from(Fate), min_size=1, max_size=3))
    def mails_go_on_the_wire(self, fates: list[Fate]) -> None:
        for claim, fate in zip(self.run(self.store.claim(len(fates), self.now, self.paused)), fates, strict=False):
            self.put_on_wire(claim, fate)

    @precondition(lambda self: getattr(self, "on_wire", ()))
    @rule()
    def the_mail_server_answers(self) -> None:
        self.hear(*self.on_wire.pop(0))

    @rule()
    def a_link_breaks_and_what_was_behind_it_goes_back(self) -> None:
        for claim in self.run(self.store.claim(2, self.now, self.paused)):
            (is_intended,) = self.run(self.store.intend([claim], self.now))
            if is_intended:
                self.record(Result(claim, unsent(claim), counts=False))

    @precondition(lambda self: hasattr(self, "store"))
    @rule()
    def the_daemon_is_killed(self) -> None:
        self.run(self.store.claim(2, self.now, self.paused))  # claimed, and nothing done for them
        self.on_wire.clear()
        self.run(self.store.begin(self.now, (*rule_names(RULES), "reminder-3h")))

    # --- the daemon ---

    paused: frozenset[str] = frozenset()

    def edit(self, **values: object) -> None:
        edited = replace(self.session, **values)
        if edited != self.session:
            self.session = replace(edited, modified=self.now)

    def tick(self) -> None:
        self.edit(urgent=lines(self.bulletins[-1:], None, self.now).get(self.session.id, ""))
        seminar = Seminar("jsml", "Seminar", "Asia/Shanghai", sessions=(self.session,))
        past = self.run(self.store.facts())
        decisions = decide(seminar, RULES, past, self.now)
        coming = [(d.notice, self.takes) for d in decisions if d.verdict is Verdict.WAITING]
        decisions = decide(seminar, RULES, past, self.now, needed_head_starts(coming))
        self.paused = frozenset(
            d.notice.session_id for d in decisions if d.before is not None and d.verdict is Verdict.WAITING
        )
        actions = [d for d in decisions if d.verdict not in (Verdict.WAITING, Verdict.DONE)]
        if actions:
            self.run(self.store.settle(actions, self.session, self.now))
        self.run(self.store.expire(self.now))
        self.run(self.store.note({HIGH_WATER: self.now.isoformat()}))

    def the_ledger_proves_that_nothing_is_missing_or_double(self) -> None:
        told = self.run(self.store.audit(self.now, is_running=True))
        seminar = Seminar("jsml", "Seminar", "Asia/Shanghai", sessions=(self.session,))
        assert [one for one in told.findings if one.check != "on the wire"] == []  # here some are for hours
        assert proofs.unsettled(seminar, RULES, told.facts, told.until) == ()

    def put_on_wire(self, claim: Claim, fate: Fate) -> None:
        """Composes and intends it; if it is taken, it is so before we hear of it."""
        if claim.notice.kind not in OF_SUBSCRIPTIONS and misleads(claim, self.session):
            self.record(Result(claim, unsent(claim), self.now + MINUTE, counts=False))
        elif self.run(self.store.intend([claim], self.now)) == [True]:
            if fate in (Fate.TAKEN, Fate.TAKEN_AND_CUT):
                self.note(claim)
            self.on_wire.append((claim, fate))

    def hear(self, claim: Claim, fate: Fate) -> None:
        match fate:
            case Fate.TAKEN:
                self.record(Result(claim, DeliveryState.SENT))
            case Fate.PUT_OFF:
                self.record(Result(claim, DeliveryState.DEFERRED, self.now + 5 * MINUTE, 450, "later"))
            case Fate.REFUSED:
                self.refused.add(claim.subscriber.address)
                self.record(Result(claim, DeliveryState.FAILED, code=550, reply="no"))
            case Fate.TAKEN_AND_CUT | Fate.LOST:
                self.record(Result(claim, DeliveryState.AMBIGUOUS, self.now + 10 * MINUTE))

    def hear_all(self) -> None:
        while self.on_wire:
            self.hear(*self.on_wire.pop())

    def record(self, result: Result) -> None:
        self.run(self.store.record([result], self.now))

    def note(self, claim: Claim) -> None:
        one: Subscriber = claim.subscriber
        if not claim.notice.told_session:
            return
        told, key, kind = facts(self.session), claim.notice.key, claim.notice.kind
        is_resend, is_news = claim.resends > 0, claim.before is not None
        self.sent.append(Sent(one.address, key, kind, self.now, told, is_resend, self.session.urgent, is_news))

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
    def nobody_is_told_twice_what_there_is_to_be_seen_again(self) -> None:
        told = [s.address for s in getattr(self, "sent", ()) if s.kind is Kind.REPLAY and not s.is_resend]
        assert len(told) == len(set(told))

    @invariant()
    def no_reminder_comes_when_the_door_is_closed(self) -> None:
        for s in getattr(self, "sent", ()):
            assert s.kind is not Kind.REMINDER or s.at < s.facts[0] - CLOSED_DOOR

    @invariant()
    def a_line_is_mailed_as_it_was_said_while_it_is_out_and_once(self) -> None:
        urgent = [s for s in getattr(self, "sent", ()) if s.kind is Kind.URGENT]
        for s in urgent:
            bulletin = self.bulletins[int(s.key[1].removeprefix("urgent-")) - 1]
            assert s.at < bulletin.until
            assert s.line == bulletin.line or (s.tells_change and not s.line)
        mails = [(s.address, s.key[1]) for s in urgent if not s.is_resend]
        assert len(mails) == len(set(mails))

    @invariant()
    def whoever_was_taken_off_the_queue_is_told_by_a_later_mail(self) -> None:
        for one in self.run(self.store.subscribers()) if hasattr(self, "store") else ():
            if one.address in self.left:
                continue
            rows = self.run(self.store.deliveries(one.id))
            for at, row in enumerate(rows):
                if row.reply == "told by a later mail instead":
                    assert rows[at + 1 :]

    @invariant()
    def the_summary_counts_every_delivery(self) -> None:
        if hasattr(self, "store"):
            told = self.run(self.store.summary(self.now)).deliveries
            assert told == dict(self.store._connection.execute("SELECT state, count(*) FROM delivery GROUP BY state"))

    @rule()
    def when_all_is_sent_nobody_is_left_with_stale_facts_or_waiting(self) -> None:
        self.hear_all()
        for _ in range(6):
            self.now += 10 * MINUTE
            self.tick()
            while claims := self.run(self.store.claim(9, self.now, self.paused)):
                for claim in claims:
                    self.put_on_wire(claim, Fate.TAKEN)
                self.hear_all()
        if self.session.end <= self.now or self.paused:
            return
        assert self.run(self.store.progress()) == []
        by_person = groupby(sorted(self.sent, key=lambda s: s.address), lambda s: s.address)
        for address, told in by_person:
            # Who left and came back is told of what falls due then, not of what was missed meanwhile.
            if address not in self.left | self.refused:
                last = list(told)[-1].facts
                # When and where a session that is called off would have been is no news.
                is_known_as_cancelled = last[1] and self.session.is_cancelled
                assert is_known_as_cancelled or last == facts(self.session)


def unsent(claim: Claim) -> DeliveryState:
    return DeliveryState.AMBIGUOUS if claim.is_resend else DeliveryState.QUEUED


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
