from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from samples import ADA, BOB, CAROL, DAYS, HOURS, LONG_AGO, START, session

from notifier.dispatch import Dispatcher
from notifier.errors import TemplateError
from notifier.messages import Message
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.replies import Answer, Outcome
from notifier.stores import Claim
from notifier.stores.sqlite import SqliteStore
from notifier.transports import BeforeData, Envelope

SENT = Outcome(Answer.ACCEPTED, 250, "ok")


@dataclass
class Post:
    """A transport that answers what it is told to, by recipient, and SENT where it is told nothing."""

    answers: dict[str, list[Outcome]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        answer = next(iter(self.answers.get(envelope.recipient, [])), SENT)
        if self.answers.get(envelope.recipient):
            self.answers[envelope.recipient].pop(0)
        if answer.answer in (Answer.ACCEPTED, Answer.AMBIGUOUS):
            if not await before_data():
                return Outcome(Answer.FENCED)
            self.taken.append(envelope.recipient)
        return answer

    async def close(self) -> None:
        pass


class Room:
    """A ledger that owes three reminders, and a dispatcher over it."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.now = START - DAYS
        self.post = Post()
        self.compose: Callable[[Claim], Message | None] = written
        self.dispatcher = Dispatcher(store, self.post, lambda claim: self.compose(claim), lambda: self.now, 2)

    async def states(self) -> dict[str, str]:
        return {
            one.address.split("@")[0]: str(d.state)
            for one in await self.store.subscribers()
            for d in await self.store.deliveries(one.id)
        }

    async def work(self, **wanted: str) -> None:
        """Wakes the senders until the ledger says what is wanted."""
        async with asyncio.timeout(10):
            while await self.states() != wanted:
                self.dispatcher.wake()
                await asyncio.sleep(0.02)


def written(claim: Claim) -> Message:
    return Message("seminar@example.org", claim.subscriber.address, f"<{claim.key}@example.org>", b"hello\r\n")


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    store = await SqliteStore.open(tmp_path / "notifier.db")
    await store.begin(LONG_AGO, ())
    await store.subscribe([ADA, BOB, CAROL], LONG_AGO)
    due = START - DAYS
    reminder = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, due, due + 8 * HOURS, DAYS, Recipients(True))
    await store.settle([Decision(reminder, Verdict.OPEN)], session(), due)
    room = Room(store)
    room.dispatcher.start()
    yield room
    await room.dispatcher.stop()
    await store.close()


async def test_what_is_owed_is_sent_once(room: Room) -> None:
    await room.work(ada="sent", bob="sent", carol="sent")
    room.dispatcher.wake()
    await asyncio.sleep(0.1)
    assert sorted(room.post.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_a_dead_address_and_a_greylisting_do_not_stop_the_others(room: Room) -> None:
    room.post.answers = {
        ADA.address: [Outcome(Answer.REFUSED, 550, "5.1.1 no such user")],
        BOB.address: [Outcome(Answer.DEFERRED, 450, "greylisted")],
    }
    await room.work(ada="failed", bob="deferred", carol="sent")
    room.now += timedelta(minutes=2)
    await room.work(ada="failed", bob="sent", carol="sent")
    blocked = [(one.address, one.reason) for one in await room.store.subscribers()]
    assert blocked == [
        (ADA.address, "there is no such mailbox: 5.1.1 no such user"),
        (BOB.address, ""),
        (CAROL.address, ""),
    ]


async def test_trouble_of_the_mail_server_blames_nobody_and_is_waited_out(room: Room) -> None:
    room.post.answers = {one.address: [Outcome(Answer.RELAY, 535, "login refused")] for one in (ADA, BOB, CAROL)}
    room.dispatcher.wake()
    async with asyncio.timeout(10):
        while not room.dispatcher.trouble:  # noqa: ASYNC110 - the dispatcher tells nobody
            await asyncio.sleep(0.02)
    await room.work(ada="queued", bob="queued", carol="queued")
    assert room.dispatcher.trouble == "login refused"
    for _ in range(3):
        room.now += timedelta(minutes=15)
        room.dispatcher.wake()
        await asyncio.sleep(0.1)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert room.dispatcher.trouble == ""


async def test_an_ambiguous_mail_is_sent_once_more_under_the_same_message_id(room: Room) -> None:
    room.post.answers = {ADA.address: [Outcome(Answer.AMBIGUOUS)]}
    await room.work(ada="ambiguous", bob="sent", carol="sent")
    room.now += timedelta(minutes=10)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert room.post.taken.count(ADA.address) == 2


async def test_a_message_that_cannot_be_composed_fails_alone(room: Room) -> None:
    def compose(claim: Claim) -> Message:
        if claim.subscriber.address == BOB.address:
            raise TemplateError("mail/reminder.txt:2: 'nobody' is undefined")
        return written(claim)

    room.compose = compose
    await room.work(ada="sent", bob="failed", carol="sent")


async def test_a_mail_about_what_is_changing_is_withheld(room: Room) -> None:
    room.compose = lambda claim: None if claim.subscriber.address == ADA.address else written(claim)
    await room.work(ada="queued", bob="sent", carol="sent")
    room.compose = written
    room.now += timedelta(seconds=20)
    await room.work(ada="sent", bob="sent", carol="sent")


async def test_nothing_leaves_while_on_hold(room: Room) -> None:
    room.dispatcher.hold = "a person asked for it"
    room.dispatcher.wake()
    await asyncio.sleep(0.1)
    assert room.post.taken == []
    room.dispatcher.hold = ""
    await room.work(ada="sent", bob="sent", carol="sent")


async def test_an_outcome_that_the_ledger_could_not_take_is_told_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, refusals = room.store.record, 3

    async def refuse(*arguments: object) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise sqlite3.OperationalError("database or disk is full")
        await record(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(room.store, "record", refuse)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert sorted(room.post.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_an_intent_that_the_ledger_could_not_take_sends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    intend, refusals = room.store.intend, 3

    async def refuse(*arguments: object) -> bool:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return await intend(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(room.store, "intend", refuse)
    room.dispatcher.wake()
    await asyncio.sleep(0.2)
    room.now += timedelta(minutes=1)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert sorted(room.post.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_stopping_gives_back_what_was_only_claimed(room: Room) -> None:
    gate = asyncio.Event()
    send = room.post.send

    async def slow(envelope: Envelope, before_data: BeforeData) -> Outcome:
        await gate.wait()
        return await send(envelope, before_data)

    room.post.send = slow  # type: ignore[method-assign]
    room.dispatcher.wake()
    await asyncio.sleep(0.1)
    stopping = asyncio.create_task(room.dispatcher.stop())
    await asyncio.sleep(0.05)
    gate.set()
    await stopping
    states = sorted((await room.states()).values())
    assert set(states) == {"sent", "queued"}
    assert states.count("sent") == len(room.post.taken)
