from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from mailserver import HOST, MailServer
from samples import ADA, BOB, CAROL, DAYS, HOURS, LONG_AGO, START, session

from notifier.dispatch import RESTING, Dispatcher
from notifier.errors import TemplateError
from notifier.lanes import Lane
from notifier.messages import Message
from notifier.notices import Decision, Kind, Notice, Recipients, Verdict
from notifier.outboxes import MOST
from notifier.rates import Limits
from notifier.relay import SmtpSettings
from notifier.replies import Answer, Outcome, Stage, classify
from notifier.stores import Claim, DeliveryState, Result
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber
from notifier.transports import Envelope, Outbox
from notifier.transports.smtp import SmtpTransport

SENT = Outcome(Answer.ACCEPTED, 250, "ok")
LOGIN_REFUSED = classify(Stage.AUTH, 535, "login refused")
CLOSING = classify(Stage.CONNECT, 421, "busy")
SPAM = classify(Stage.BODY, 554, "DT:SPM")
TOO_MANY = classify(Stage.CONNECT, 421, "4.7.0 too many concurrent connections from your address")
NOT_OURS = classify(Stage.RCPT, 550, "5.1.8 Sender address rejected: Domain not found")


@dataclass
class Post:
    """A transport that answers what it is told to, by recipient, and SENT where it is told nothing."""

    answers: dict[str, list[Outcome]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)

    gate: asyncio.Event | None = None
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def carry(self, outbox: Outbox) -> None:
        while (envelope := await outbox.next()) is not None:
            self.asked += 1
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            await asyncio.sleep(0)
            self.at_once -= 1
            if self.gate is not None:
                await self.gate.wait()
            self.envelopes.append(envelope)
            outbox.tell(envelope, self.answer(envelope.recipient))

    def answer(self, recipient: str) -> Outcome:
        answer = self.answers[recipient].pop(0) if self.answers.get(recipient) else SENT
        if answer.answer in (Answer.ACCEPTED, Answer.AMBIGUOUS):
            self.taken.append(recipient)
        return answer

    async def close(self) -> None:
        pass


class Narrow(Post):
    """The same, which takes one connection at a time."""

    async def carry(self, outbox: Outbox) -> None:
        while (envelope := await outbox.next()) is not None:
            self.asked += 1
            if self.at_once:
                outbox.tell(envelope, TOO_MANY)
                continue
            self.at_once = 1
            await asyncio.sleep(0.001)
            self.at_once = 0
            outbox.tell(envelope, self.answer(envelope.recipient))


class Room:
    """A ledger that owes three reminders, and a dispatcher over it."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.now = START - DAYS
        self.post = Post()
        self.compose: Callable[[Claim], Message | None] = written
        self.alarms: list[tuple[str, str]] = []
        self.second = Post()
        self.lanes = [Lane(self.post, 2)]
        self.dispatcher = self.dispatching()

    def dispatching(self) -> Dispatcher:
        return Dispatcher(
            self.store,
            self.lanes,
            lambda claim: self.compose(claim),
            lambda: self.now,
            alarm=lambda subject, words: self.alarms.append((subject, words)),
        )

    async def use(self, *lanes: Lane) -> None:
        """Begins anew with these mail servers."""
        await self.dispatcher.stop()
        self.lanes = list(lanes)
        self.dispatcher = self.dispatching()
        self.dispatcher.start()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wakes the senders until it is so."""
        async with asyncio.timeout(10):
            while not holds():
                self.dispatcher.wake()
                await asyncio.sleep(0.02)

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


async def owing(path: Path, people: Sequence[Subscriber]) -> SqliteStore:
    """A ledger that owes a reminder to these people."""
    store = await SqliteStore.open(path)
    await store.begin(LONG_AGO, ())
    await store.subscribe(people, LONG_AGO)
    due = START - DAYS
    reminder = Notice("2021-11-27", Kind.REMINDER, "reminder-1d", 0, due, due + 8 * HOURS, DAYS, Recipients(True))
    await store.settle([Decision(reminder, Verdict.OPEN)], session(), due)
    return store


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    store = await owing(tmp_path / "notifier.db", [ADA, BOB, CAROL])
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
    room.post.answers = {one.address: 9 * [LOGIN_REFUSED] for one in (ADA, BOB, CAROL)}
    await room.until(lambda: room.post.asked > 0)
    await room.work(ada="queued", bob="queued", carol="queued")
    assert room.dispatcher.trouble == ""  # once is an accident
    room.now += timedelta(seconds=2)
    await room.until(lambda: room.dispatcher.trouble == "login refused")
    assert room.alarms == [("Mail cannot be sent", "[smtp] says: login refused")]
    asked = room.post.asked
    room.now += timedelta(minutes=30)
    room.dispatcher.wake()
    await asyncio.sleep(0.1)
    assert room.post.asked == asked
    room.post.answers.clear()
    room.dispatcher.mended()
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
    await room.work(ada="sent", bob="deferred", carol="sent")
    assert room.alarms[0][0] == "A mail could not be composed"
    room.compose = written
    room.now += timedelta(minutes=2)
    await room.work(ada="sent", bob="sent", carol="sent")


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
    intend, refusals = room.store.intend, 3

    async def refuse(claims: Sequence[Claim], now: datetime, results: Sequence[Result] = ()) -> list[bool]:
        nonlocal refusals
        if refusals and any(result.state is DeliveryState.SENT for result in results):
            refusals -= 1
            raise sqlite3.OperationalError("database or disk is full")
        return await intend(claims, now, results)

    monkeypatch.setattr(room.store, "intend", refuse)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert refusals == 0
    assert sorted(room.post.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_an_intent_that_the_ledger_could_not_take_sends_nothing(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    intend = room.store.intend

    async def refuse(*arguments: object) -> list[bool]:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(room.store, "intend", refuse)
    for _ in range(3):
        room.dispatcher.wake()
        await asyncio.sleep(0.05)
    assert room.post.taken == []
    monkeypatch.setattr(room.store, "intend", intend)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert sorted(room.post.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_stopping_gives_back_what_was_only_claimed(room: Room) -> None:
    room.post.gate = asyncio.Event()
    await room.until(lambda: room.post.asked == 2)
    stopping = asyncio.create_task(room.dispatcher.stop())
    await asyncio.sleep(0.05)
    room.post.gate.set()
    await stopping
    states = sorted((await room.states()).values())
    assert set(states) == {"sent", "queued"}
    assert states.count("sent") == len(room.post.taken)


async def test_what_nobody_has_yet_goes_back_when_a_hold_begins(room: Room) -> None:
    room.post.gate = asyncio.Event()
    await room.until(lambda: room.post.asked == 2)
    room.dispatcher.hold = "a person asked for it"
    room.post.gate.set()
    async with asyncio.timeout(10):
        while {"claimed", "in-flight"} & set((await room.states()).values()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert sorted((await room.states()).values()) == ["queued", "sent", "sent"]  # two senders had one each


async def test_a_session_that_begins_to_change_stops_its_mails_at_the_last_moment(room: Room) -> None:
    room.post.gate = asyncio.Event()
    await room.until(lambda: room.post.asked == 2)
    room.dispatcher.paused = frozenset({"2021-11-27"})
    room.post.gate.set()
    async with asyncio.timeout(10):
        while {"claimed", "in-flight"} & set((await room.states()).values()):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert sorted((await room.states()).values()) == ["queued", "sent", "sent"]


async def test_a_message_to_the_organisers_is_called_taken_when_a_server_took_it(room: Room) -> None:
    taken = []
    room.post.answers = {"dead@example.org": [classify(Stage.RCPT, 550, "5.1.1 no such user")]}
    for name in ("dead", "organiser"):
        told = Message("seminar@example.org", f"{name}@example.org", f"<{name}@example.org>", b"\r\n")
        room.dispatcher.send_aside({"": told}, lambda name=name: taken.append(name))  # type: ignore[misc]
    await room.until(lambda: "organiser@example.org" in room.post.taken)
    await room.until(lambda: bool(taken))
    assert taken == ["organiser"]


async def test_a_message_to_the_organisers_leaves_also_while_on_hold(room: Room) -> None:
    room.dispatcher.hold = "the clock is in doubt"
    told = Message("seminar@example.org", "organiser@example.org", "<1@example.org>", b"\r\n")
    room.dispatcher.send_aside({"": told})
    async with asyncio.timeout(10):
        while not room.post.taken:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)
    assert room.post.taken == ["organiser@example.org"]


async def test_a_transport_that_breaks_makes_what_it_had_ambiguous(room: Room) -> None:
    async def break_down(outbox: Outbox) -> None:
        assert await outbox.next() is not None
        raise RuntimeError("a bug")

    carry = room.post.carry
    room.post.carry = break_down  # type: ignore[method-assign]
    room.dispatcher.wake()
    await asyncio.sleep(0.1)
    room.post.carry = carry  # type: ignore[method-assign]
    room.now += timedelta(minutes=10)
    await room.work(ada="sent", bob="sent", carol="sent")


async def test_a_log_line_names_the_notice_and_nobody(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.post.answers = {BOB.address: [Outcome(Answer.REFUSED, 550, f"5.1.1 <{BOB.address}>: no such user")]}
    with caplog.at_level("INFO", "notifier.dispatch"):
        await room.work(ada="sent", bob="failed", carol="sent")
    assert [record.getMessage() for record in caplog.records] == [
        "failed notice=2021-11-27/reminder-1d/0 sub=2 code=550 said='5.1.1 <[address]>: no such user'"
    ]


@pytest.mark.parametrize("pipelining", [False, True])
async def test_no_data_begins_before_its_intent_is_durable(tmp_path: Path, pipelining: bool) -> None:
    """Another connection to the file sees every message in flight by the time that the server reads its DATA."""
    path = tmp_path / "notifier.db"
    seen: list[tuple[str, str]] = []

    class Watcher(MailServer):
        def scripted(self, stage: str, address: str = "") -> str | bytes | None:
            if stage == "data":
                with closing(sqlite3.connect(path)) as db:
                    asked = "SELECT address, d.state FROM delivery d JOIN subscriber s ON s.id = subscriber_id"
                    seen.extend(row for row in db.execute(asked) if row[0] == address)
            return super().scripted(stage, address)

    people = [Subscriber(f"p{number}@example.org") for number in range(40)]
    with Watcher() as server:
        server.pipelining = pipelining
        smtp = SmtpTransport(SmtpSettings(HOST, server.port, "none", local_hostname="notifier.example.org"))
        store = await owing(path, people)
        dispatcher = Dispatcher(store, [Lane(smtp, 2)], written, lambda: START - DAYS)
        dispatcher.start()
        dispatcher.wake()
        await asyncio.to_thread(server.wait_until, lambda: len(server.messages) == 40)
        await dispatcher.stop()
        assert (await store.summary(START - DAYS)).deliveries == {"sent": 40}
        await store.close()
    assert sorted(seen) == sorted((one.address, "in-flight") for one in people)


async def test_no_more_is_in_flight_than_a_crash_may_leave_uncertain(tmp_path: Path) -> None:
    path = tmp_path / "notifier.db"
    counts: list[int] = []

    class Watcher(MailServer):
        def scripted(self, stage: str, address: str = "") -> str | bytes | None:
            with closing(sqlite3.connect(path)) as db:
                counts.extend(n for (n,) in db.execute("SELECT count(*) FROM delivery WHERE state = 'in-flight'"))
            return super().scripted(stage, address)

    with Watcher() as server:
        server.pipelining = True
        smtp = SmtpTransport(SmtpSettings(HOST, server.port, "none", local_hostname="notifier.example.org"))
        store = await owing(path, [Subscriber(f"p{number}@example.org") for number in range(200)])
        dispatcher = Dispatcher(store, [Lane(smtp, 2)], written, lambda: START - DAYS)
        dispatcher.start()
        dispatcher.wake()
        await asyncio.to_thread(server.wait_until, lambda: len(server.messages) == 200)
        await dispatcher.stop()
        await store.close()
    assert 0 < max(counts) <= 2 * MOST


async def test_what_is_sent_is_signed_in_another_thread_before_its_intent(room: Room) -> None:
    threads = set()

    def sign(body: bytes) -> bytes:
        threads.add(threading.current_thread().name[:4])
        return b"signed: " + body

    await room.dispatcher.stop()
    room.dispatcher = Dispatcher(room.store, [Lane(room.post, 2)], room.compose, lambda: room.now, signs={"": sign})
    room.dispatcher.start()
    await room.work(ada="sent", bob="sent", carol="sent")
    assert {envelope.body for envelope in room.post.envelopes} == {b"signed: hello\r\n"}
    assert threads == {"sign"}
    told = Message("seminar@example.org", "organiser@example.org", "<aside@example.org>", b"trouble")
    room.dispatcher.send_aside({"": told})
    async with asyncio.timeout(10):
        while len(room.post.envelopes) < 4:  # noqa: ASYNC110 - the dispatcher tells nobody
            await asyncio.sleep(0.02)
    assert room.post.envelopes[-1].body == b"signed: trouble"


async def test_mail_of_a_lane_that_signs_nothing_leaves_unsigned(room: Room) -> None:
    await room.dispatcher.stop()
    lanes, signs = [Lane(room.post, 2), Lane(room.second, 2, name="fallback")], {"": lambda body: b"signed: " + body}
    room.dispatcher = Dispatcher(room.store, lanes, room.compose, lambda: room.now, signs=signs)
    room.dispatcher.start()
    room.post.answers = {one.address: 2 * [CLOSING] for one in (ADA, BOB, CAROL)}
    await room.until(lambda: room.post.asked > 0)
    room.now += timedelta(seconds=2)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert {envelope.body for envelope in room.post.envelopes} == {b"signed: hello\r\n"}
    assert {envelope.body for envelope in room.second.envelopes} == {b"hello\r\n"}


# Mail servers at fault, and limits -----------------------------------------------------------------------------------


async def test_after_a_setback_one_message_tries_how_the_server_is(room: Room) -> None:
    for one in (ADA, BOB, CAROL):
        room.post.answers[one.address] = 4 * [CLOSING]
    await room.until(lambda: room.post.asked > 0)
    await room.work(ada="queued", bob="queued", carol="queued")
    room.post.most_at_once = 0
    for _ in range(8):
        room.now += timedelta(minutes=20)
        await room.until(lambda: bool(room.post.taken or room.post.most_at_once))
        await asyncio.sleep(0.05)
        assert room.post.taken or room.post.most_at_once == 1
    room.post.answers.clear()
    room.now += timedelta(minutes=20)
    await room.work(ada="sent", bob="sent", carol="sent")


async def test_a_server_that_takes_one_connection_has_all_the_mail_over_one_without_a_rest(tmp_path: Path) -> None:
    room = Room(await owing(tmp_path / "ledger.db", [Subscriber(f"{number}@example.org") for number in range(100)]))
    room.post = Narrow()
    await room.use(Lane(room.post, 4))
    await room.until(lambda: len(room.post.taken) == 100)
    assert room.post.asked == 100 + 3  # each of the others was turned away once
    assert room.alarms == []
    await room.dispatcher.stop()
    await room.store.close()


async def test_a_domain_that_refuses_us_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """Its readers come first, and are tried again and again; a server that asks it is well all the while."""
    refused = [Subscriber(f"{number}@refusing.example.org") for number in range(12)]
    room = Room(await owing(tmp_path / "ledger.db", [*refused, *(Subscriber(f"{n}@example.org") for n in range(12))]))
    room.post.answers = {one.address: 99 * [NOT_OURS] for one in refused}
    room.dispatcher.start()
    await room.until(lambda: len(room.post.taken) == 12)
    assert {address.partition("@")[2] for address in room.post.taken} == {"example.org"}
    room.now += timedelta(seconds=2)
    await room.until(lambda: room.dispatcher.trouble != "")
    assert room.dispatcher.trouble == f"to refusing.example.org: {NOT_OURS.reply}"
    assert room.alarms[-1] == ("Mail cannot be sent", f"[smtp] says: to refusing.example.org: {NOT_OURS.reply}")
    assert room.post.asked < 24 + 12  # everybody once, and not all of the refused a second time
    room.post.answers.clear()
    room.dispatcher.mended()
    room.now += RESTING
    await room.until(lambda: len(room.post.taken) == 24)
    assert room.dispatcher.trouble == ""
    await room.dispatcher.stop()
    await room.store.close()


async def test_the_second_server_helps_out_while_the_first_is_at_fault(room: Room) -> None:
    await room.use(Lane(room.post, 2), Lane(room.second, 2, name="fallback"))
    room.post.answers = {one.address: 99 * [CLOSING] for one in (ADA, BOB, CAROL)}
    await room.until(lambda: room.post.asked > 0)
    assert room.second.taken == []
    room.now += timedelta(seconds=2)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert sorted(room.second.taken) == [ADA.address, BOB.address, CAROL.address]


async def test_what_may_have_arrived_is_never_sent_through_another_server(room: Room) -> None:
    await room.use(Lane(room.post, 2), Lane(room.second, 2, name="fallback"))
    room.post.answers = {ADA.address: [Outcome(Answer.AMBIGUOUS), *(9 * [CLOSING])]}
    await room.work(ada="ambiguous", bob="sent", carol="sent")
    room.now += timedelta(minutes=10)
    await room.until(lambda: len(room.post.answers[ADA.address]) == 8)
    room.now += timedelta(minutes=1)
    await room.until(lambda: room.dispatcher.trouble != "")
    for _ in range(5):
        room.dispatcher.wake()
        await asyncio.sleep(0.02)
        room.now += timedelta(seconds=1)
    assert room.second.taken == []
    room.post.answers.clear()
    room.dispatcher.mended()
    room.now += timedelta(minutes=1)
    await room.work(ada="sent", bob="sent", carol="sent")


async def test_what_may_have_arrived_through_the_second_server_is_resent_through_it_alone(room: Room) -> None:
    await room.use(Lane(room.post, 2), Lane(room.second, 2, name="fallback"))
    room.post.answers = {one.address: 99 * [CLOSING] for one in (ADA, BOB, CAROL)}
    room.second.answers = {ADA.address: [Outcome(Answer.AMBIGUOUS)]}
    await room.until(lambda: room.post.asked > 0)
    room.now += timedelta(seconds=2)
    await room.work(ada="ambiguous", bob="sent", carol="sent")
    room.post.answers.clear()
    room.dispatcher.mended()
    await room.dispatcher.stop()
    room.dispatcher = room.dispatching()  # a daemon that knows of the lane from the ledger alone
    room.dispatcher.start()
    room.now += timedelta(minutes=10)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert room.second.taken.count(ADA.address) == 2
    assert ADA.address not in room.post.taken


async def test_after_a_crash_what_was_in_flight_to_the_second_server_goes_to_it_again(room: Room) -> None:
    second = Lane(room.second, 2, name="fallback")
    await room.dispatcher.stop()
    claims = [replace(claim, lane="fallback") for claim in await room.store.claim(9, room.now)]
    assert await room.store.intend(claims, room.now) == [True, True, True]
    await room.store.begin(room.now, ())
    await room.use(Lane(room.post, 2), second)
    await room.work(ada="sent", bob="sent", carol="sent")
    assert (room.post.taken, len(room.second.taken)) == ([], 3)


async def test_what_may_have_arrived_through_a_server_that_is_no_more_waits_for_a_person(room: Room) -> None:
    await room.dispatcher.stop()
    claims = [replace(claim, lane="fallback") for claim in await room.store.claim(1, room.now)]
    await room.store.intend(claims, room.now)
    await room.store.begin(room.now, ())
    await room.use(Lane(room.post, 2))
    await room.until(lambda: len(room.post.taken) == 2)
    for _ in range(5):
        room.now += timedelta(minutes=1)
        room.dispatcher.wake()
        await asyncio.sleep(0.02)
    await room.work(ada="ambiguous", bob="sent", carol="sent")
    assert len(room.post.taken) == 2


async def test_a_notice_that_is_taken_for_spam_stops_before_everyone_is_refused(tmp_path: Path) -> None:
    store = await owing(tmp_path / "notifier.db", [Subscriber(f"p{n}@example.org") for n in range(60)])
    room = Room(store)
    room.post.answers = {f"p{n}@example.org": [SPAM] for n in range(60)}
    room.dispatcher.start()
    await room.until(lambda: bool(room.alarms))
    await asyncio.sleep(0.1)
    assert room.alarms[0] == ("A mail is refused for its content", "2021-11-27/reminder-1d/0: DT:SPM")
    assert "2021-11-27" in room.dispatcher.trouble
    assert room.post.asked < 3 + 2 * MOST
    room.post.answers.clear()
    room.now += timedelta(minutes=31)
    await room.until(lambda: len(room.post.taken) == 60)
    assert room.dispatcher.trouble == ""
    await room.dispatcher.stop()
    assert set((await room.states()).values()) == {"sent"}
    await store.close()


async def test_no_minute_sees_more_messages_than_it_may_over_restarts_too(tmp_path: Path) -> None:
    store = await owing(tmp_path / "notifier.db", [Subscriber(f"p{n}@example.org") for n in range(30)])
    room = Room(store)
    taken: dict[datetime, int] = {}
    for n in range(60):
        if n % 7 == 0:
            await room.dispatcher.stop()
            spent = await store.fact("spent smtp")
            await room.use(Lane(room.post, 2, limits=Limits(per_minute=12, per_hour=25), spent=spent))
        room.dispatcher.wake()
        await asyncio.sleep(0.03)
        taken[room.now] = len(room.post.taken)
        room.now += timedelta(seconds=20)
    for at, count in taken.items():
        assert count - taken.get(at - timedelta(minutes=1), 0) <= 12
    assert 20 <= len(room.post.taken) <= 25
    await room.dispatcher.stop()
    await store.close()


async def test_what_the_organisers_are_to_know_waits_for_a_mail_server(room: Room) -> None:
    told = Message("seminar@example.org", "organiser@example.org", "<1@example.org>", b"\r\n")
    for one in (ADA, BOB, CAROL):
        room.post.answers[one.address] = 9 * [CLOSING]
    await room.until(lambda: room.post.asked > 0)
    room.dispatcher.send_aside({"": told})
    await asyncio.sleep(0.05)
    assert room.post.taken == []
    room.post.answers.clear()
    room.now += timedelta(minutes=1)
    await room.work(ada="sent", bob="sent", carol="sent")
    await room.until(lambda: "organiser@example.org" in room.post.taken)


async def test_how_fast_it_goes_is_known(room: Room) -> None:
    await room.work(ada="sent", bob="sent", carol="sent")
    assert room.dispatcher.per_minute() == 3


async def test_no_domain_gets_its_mail_in_one_burst(tmp_path: Path) -> None:
    people = [Subscriber(f"p{n}@{domain}.org") for domain in ("big", "small", "one") for n in range(5)][:11]
    store = await owing(tmp_path / "notifier.db", [*people, Subscriber("p5@big.org")])
    room = Room(store)
    await room.use(Lane(room.post, 1))
    await room.until(lambda: len(room.post.taken) == 12)
    assert [address.partition("@")[2].split(".")[0] for address in room.post.taken] == [
        "big", "small", "one", *(4 * ["big", "small"]), "big",
    ]  # fmt: skip
    await room.dispatcher.stop()
    await store.close()


# Bad input, over a real mail server ----------------------------------------------------------------------------------

HOSTILE = {
    "a@example.org\r\nRCPT TO:<victim@example.org>": "5.1.3",
    "a b@example.org": "5.1.3",
    "a@example.org> BODY=8BITMIME": "5.1.3",
    "@example.org": "5.1.3",
    "张三@example.org": "it offers no SMTPUTF8",
}


async def test_an_address_that_no_server_may_see_fails_in_words_and_the_rest_goes_out(tmp_path: Path) -> None:
    good = [Subscriber(f"p{n}@example.org") for n in range(6)]
    store = await owing(tmp_path / "notifier.db", [*good[:3], *(Subscriber(a) for a in HOSTILE), *good[3:]])
    room = Room(store)
    with MailServer() as server:
        smtp = SmtpTransport(SmtpSettings(HOST, server.port, "none", local_hostname="notifier.example.org"))
        await room.use(Lane(smtp, 2))
        await room.until(lambda: len(server.messages) == 6)
        await asyncio.sleep(0.1)
        await room.dispatcher.stop()
    assert sorted(letter.recipient for letter in server.messages) == sorted(one.address for one in good)
    assert not any("victim" in command or "BODY" in command for command in server.commands)
    for one in await store.subscribers():
        (delivery,) = await store.deliveries(one.id)
        if one.address in HOSTILE:
            assert (delivery.state, HOSTILE[one.address] in delivery.reply) == (DeliveryState.FAILED, True)
        else:
            assert delivery.state is DeliveryState.SENT
    await store.close()


async def test_a_sender_that_the_server_refuses_is_laid_on_nobody_and_told(room: Room) -> None:
    with MailServer() as server:
        server.say("mail", "501 mail from address must be same as authorization user")
        smtp = SmtpTransport(SmtpSettings(HOST, server.port, "none", local_hostname="notifier.example.org"))
        await room.use(Lane(smtp, 2))
        await room.until(lambda: len(server.commands) > 0)
        await room.work(ada="queued", bob="queued", carol="queued")
        room.now += timedelta(seconds=2)
        await room.until(lambda: "same as authorization" in room.dispatcher.trouble)
        assert room.alarms[0][0] == "Mail cannot be sent"
        room.now += timedelta(minutes=30)
        tried = [command for command in server.commands if command.startswith("MAIL")]
        room.dispatcher.wake()
        await asyncio.sleep(0.1)
        assert [command for command in server.commands if command.startswith("MAIL")] == tried
        server.relent("mail")
        room.dispatcher.mended()
        await room.work(ada="sent", bob="sent", carol="sent")
        await room.dispatcher.stop()


async def test_a_link_that_tells_nothing_is_given_no_more_than_a_crash_may_leave_uncertain(tmp_path: Path) -> None:
    store = await owing(tmp_path / "notifier.db", [Subscriber(f"p{n}@example.org") for n in range(60)])
    room = Room(store)
    given: list[Envelope] = []

    async def take(outbox: Outbox) -> None:
        given.append(await outbox.next())  # type: ignore[arg-type]
        for _ in range(20):
            await asyncio.sleep(0.01)
            if (envelope := outbox.ready()) is not None:
                given.append(envelope)
        for envelope in given:
            outbox.tell(envelope, SENT)

    room.post.carry = take  # type: ignore[method-assign]
    await room.use(Lane(room.post, 1))
    room.dispatcher.wake()
    await room.until(lambda: len(given) > 1)
    await asyncio.sleep(0.3)
    assert 2 <= len(given) <= 8
    await room.dispatcher.stop()
    await store.close()
