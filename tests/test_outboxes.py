from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from samples import DAYS, START, session

from notifier.asides import Aside
from notifier.lanes import Lane
from notifier.messages import Message
from notifier.notices import Kind, Notice
from notifier.outboxes import AHEAD, AT_ONCE, FEWEST, MOST, LinkOutbox
from notifier.replies import Answer, Outcome
from notifier.stores import Claim
from notifier.subscribers import Subscriber
from notifier.transports.maildir import MaildirTransport

DUE = (START - DAYS).astimezone(UTC)
SENT = Outcome(Answer.ACCEPTED, 250, "ok")
NOTICE = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, DUE, DUE + DAYS)


def claim(number: int) -> Claim:
    return Claim(1, NOTICE, Subscriber(f"p{number}@example.org", id=number), DUE, session())


@dataclass
class Ledger:
    """An owner that fills an outbox when asked, and keeps what it hears."""

    owed: list[Claim] = field(default_factory=list)
    asides: list[tuple[Aside, Message]] = field(default_factory=list)
    barred: set[Claim] = field(default_factory=set)
    is_held: bool = False
    outbox: LinkOutbox | None = None
    composed: list[Claim] = field(default_factory=list)
    withheld: list[Claim] = field(default_factory=list)
    told: list[tuple[Claim | Aside, Outcome]] = field(default_factory=list)

    def may_hand_out(self, lane: Lane) -> bool:
        return not self.is_held

    def has_more(self, lane: Lane) -> bool:
        return bool(self.owed)

    def may_leave(self, claim: Claim) -> bool:
        return claim not in self.barred

    def compose(self, claim: Claim) -> Message | None:
        self.composed.append(claim)
        return message(claim)

    def withhold(self, claim: Claim) -> None:
        self.withheld.append(claim)

    def next_aside(self, lane: Lane) -> tuple[Aside, Message] | None:
        return self.asides.pop(0) if self.asides else None

    def gave(self, lane: Lane) -> None:
        pass

    def ask(self) -> None:
        assert self.outbox is not None
        self.outbox.stock.extend((claim, None) for claim in self.owed[:FEWEST])
        del self.owed[:FEWEST]
        self.outbox.is_filled.set()

    def heard(self, lane: Lane, claim: Claim, outcome: Outcome) -> None:
        self.told.append((claim, outcome))

    def heard_aside(self, lane: Lane, aside: Aside, outcome: Outcome) -> None:
        self.told.append((aside, outcome))


def message(claim: Claim) -> Message:
    return Message("seminar@example.org", claim.subscriber.address, f"<{claim.subscriber.id}@example.org>", b"\r\n")


def outbox_of(owner: Ledger) -> LinkOutbox:
    owner.outbox = LinkOutbox(owner, Lane(MaildirTransport(Path("unused")), 1), 0)
    return owner.outbox


async def taken(outbox: LinkOutbox) -> list[str]:
    """What a link gets that is told of each message at once."""
    addresses = []
    while (envelope := await outbox.next()) is not None:
        addresses.append(envelope.recipient)
        outbox.tell(envelope, SENT)
    return addresses


async def test_all_that_is_owed_leaves_in_turn_and_each_is_told_of_once() -> None:
    people = [claim(number) for number in range(10)]
    owner = Ledger(owed=list(people))
    async with asyncio.timeout(5):
        assert await taken(outbox_of(owner)) == [one.subscriber.address for one in people]
    assert owner.told == [(one, SENT) for one in people]


def test_a_few_are_composed_at_once_and_the_others_when_their_turn_comes() -> None:
    owner = Ledger()
    outbox = outbox_of(owner)
    outbox.stock.extend((claim(number), None) for number in range(AT_ONCE + 3))
    assert outbox.ready() is not None
    assert len(owner.composed) == AT_ONCE


def test_what_something_stands_against_since_it_was_composed_is_given_back() -> None:
    owner = Ledger(barred={claim(0)})
    outbox = outbox_of(owner)
    outbox.stock.extend((claim(number), None) for number in range(2))
    envelope = outbox.ready()
    assert envelope is not None
    assert envelope.recipient == "p1@example.org"
    assert owner.withheld == [claim(0)]


def test_what_the_ledger_does_not_owe_goes_first_and_also_while_all_else_is_held() -> None:
    aside = message(claim(7))
    owner = Ledger(asides=[({"": aside}, aside)], is_held=True)
    outbox = outbox_of(owner)
    outbox.stock.append((claim(0), None))
    assert outbox.ready() is aside
    outbox.tell(aside, SENT)
    assert owner.told == [({"": aside}, SENT)]
    assert outbox.ready() is None


def test_the_faster_mails_leave_the_more_are_in_flight_within_bounds() -> None:
    outbox = outbox_of(Ledger())
    now = 100.0
    wanted = [outbox.wants(now)]
    for per_second in (10, 500, 100_000):
        for number in range(per_second // 10):
            outbox.stock.append((claim(number), None))
            envelope = outbox.ready()
            assert envelope is not None
            outbox.tell(envelope, SENT)
        now += 0.1
        wanted.append(outbox.wants(now))
    assert wanted == [FEWEST, FEWEST, FEWEST + int(500 * AHEAD), MOST]


def test_of_what_may_be_in_flight_there_is_less_to_come_the_more_is() -> None:
    outbox = outbox_of(Ledger())
    outbox.stock.extend((claim(number), None) for number in range(2))
    assert outbox.ready() is not None
    assert outbox.wants(100.0) == FEWEST - 2


def test_what_a_transport_forgot_may_have_arrived() -> None:
    owner = Ledger()
    outbox = outbox_of(owner)
    outbox.stock.extend((claim(number), None) for number in range(2))
    envelope = outbox.ready()
    assert envelope is not None
    outbox.give_up()
    assert [(one, outcome.answer) for one, outcome in owner.told] == [(claim(0), Answer.AMBIGUOUS)]
