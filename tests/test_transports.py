"""A message becomes exactly one outcome, whatever the mail server does, and no link survives out of step."""

from __future__ import annotations

import asyncio
import mailbox
import ssl
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from mailserver import (
    HOST,
    Letter,
    Listener,
    MailServer,
    Prank,
    RudeServer,
    drip,
    free_port,
    hang,
    last_words,
    late,
    reset,
    vanish,
    words,
)

from notifier.mime import Part, Skeleton
from notifier.relay import SmtpSettings
from notifier.replies import Answer, Outcome, Stage
from notifier.transports import Envelope, send, wire
from notifier.transports.maildir import MaildirTransport
from notifier.transports.smtp import SmtpTransport

SOON, MINUTE, QUARTER, DAY = (timedelta(seconds=s) for s in (15, 60, 900, 86400))
TWO_MINUTES = timedelta(minutes=2)
PASSWORD = "lost in the flood"


def letter(number: int = 1, to: str = "ada@example.org", sender: str = "seminar@example.org") -> Letter:
    message_id = f"<2021-11-27.{number}@example.org>"
    text = f"From: {sender}\nTo: {to}\nMessage-ID: {message_id}\nSubject: Seminar\n\nHello.\n.\n..two\nEnd.\n"
    return Letter(sender, to, message_id, text.replace("\n", "\r\n").encode())


class Pile:
    """Messages that may all leave now, and what became of each, by its number."""

    def __init__(self, *letters: Letter) -> None:
        self.told: dict[str, Outcome] = {}
        self._waiting = deque(letters)

    async def next(self) -> Envelope | None:
        return self.ready()

    def ready(self) -> Envelope | None:
        return self._waiting.popleft() if self._waiting else None

    def tell(self, envelope: Envelope, outcome: Outcome) -> None:
        assert envelope.message_id not in self.told, "told twice"
        self.told[envelope.message_id] = outcome

    def answers(self) -> list[Answer]:
        return [outcome.answer for _, outcome in sorted(self.told.items())]


def settings(server: Listener, **changes: Any) -> SmtpSettings:
    usual = {"tls": "none", **patience(20)}
    return SmtpSettings(HOST, server.port, **{"local_hostname": "notifier.example.org", **usual, **changes})


both_ways = pytest.mark.parametrize("pipelining", [False, True], ids=["stepwise", "pipelined"])


def patience(seconds: float) -> dict[str, timedelta]:
    return dict.fromkeys(("connect_timeout", "timeout", "final_timeout"), timedelta(seconds=seconds))


@asynccontextmanager
async def transport(server: Listener, **changes: Any) -> AsyncIterator[SmtpTransport]:
    opened = SmtpTransport(settings(server, **changes))
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def server() -> Iterator[MailServer]:
    with MailServer() as running:
        yield running


async def test_a_message_arrives_with_its_very_octets(server: MailServer) -> None:
    async with transport(server) as smtp:
        outcome = await send(smtp, letter())
    assert outcome == Outcome(Answer.ACCEPTED, 250, "2.0.0 taken", None, Stage.BODY)
    assert server.messages == [letter()]


async def test_a_bare_line_feed_cannot_end_a_message_early(server: MailServer) -> None:
    smuggled = Letter("seminar@example.org", "ada@example.org", "<1@example.org>", b"Message-ID: <1@example.org>\n.\rX")
    async with transport(server) as smtp:
        await send(smtp, smuggled)
    assert [got.body for got in server.messages] == [b"Message-ID: <1@example.org>\r\n.\r\nX\r\n"]


# Each row says: the stage and the reply that aiosmtpd gives once, and what comes of the message.
SPOKEN_FAULTS = [
    ("hello", "421 4.3.2 closing", Answer.RELAY, SOON),
    ("hello", "554 5.7.1 go away", Answer.RELAY, QUARTER),
    ("mail", "421 4.3.2 closing", Answer.DEFERRED, SOON),
    ("mail", "451 4.3.0 try later", Answer.DEFERRED, None),
    ("mail", "501 mail from address must be same as authorization user", Answer.RELAY, QUARTER),
    ("mail", "530 5.7.0 log in first", Answer.RELAY, QUARTER),
    ("mail", "550 Sender frequency limited", Answer.DEFERRED, QUARTER),
    ("mail", "552 5.3.4 too big", Answer.DEFERRED, None),
    ("rcpt", "421 4.3.2 closing", Answer.DEFERRED, SOON),
    ("rcpt", "450 4.2.0 greylisted", Answer.DEFERRED, None),
    ("rcpt", "451 4.3.0 try later", Answer.DEFERRED, None),
    ("rcpt", "452 4.2.2 full", Answer.DEFERRED, None),
    ("rcpt", "550 5.1.1 no such user", Answer.REFUSED, None),
    ("rcpt", "550-5.1.1 no such user,\r\n550 5.1.1 really", Answer.REFUSED, None),
    ("rcpt", "551 not local", Answer.REFUSED, None),
    ("rcpt", "552 5.2.2 full", Answer.DEFERRED, None),
    ("rcpt", "553 bad name", Answer.REFUSED, None),
    ("rcpt", "554 5.7.1 relay access denied", Answer.DEFERRED, SOON),
    ("data", "452 4.3.1 no room", Answer.DEFERRED, None),
    ("data", "554 5.5.1 no valid recipients", Answer.DEFERRED, None),
    ("data", "250 what?", Answer.DEFERRED, None),
    ("body", "421 4.3.2 closing", Answer.DEFERRED, SOON),
    ("body", "451 DT:SPM, please try again", Answer.DEFERRED, TWO_MINUTES),
    ("body", "451 4.3.0 try later", Answer.DEFERRED, None),
    ("body", "552 too much", Answer.DEFERRED, None),
    ("body", "554 DT:SPM", Answer.DEFERRED, timedelta(minutes=2)),
    ("body", "252 perhaps", Answer.ACCEPTED, None),
]


@both_ways
@pytest.mark.parametrize(("stage", "reply", "answer", "pause"), SPOKEN_FAULTS)
async def test_after_any_reply_the_next_message_goes_through(
    server: MailServer, pipelining: bool, stage: str, reply: str, answer: Answer, pause: timedelta | None
) -> None:
    server.pipelining = pipelining
    server.say(stage, reply, times=1)
    async with transport(server, links=1) as smtp:
        outcome = await send(smtp, letter(1, to="bob@example.org"))
        after = await send(smtp, letter(2))
    assert (outcome.answer, outcome.pause, outcome.code) == (answer, pause, int(reply[:3]))
    assert after.answer is Answer.ACCEPTED
    assert server.inbox[-1] == letter(2).message_id


# Each row says: the stage and the prank that is played once, and what comes of the message.
PRANKS = [
    ("connect", vanish, Answer.RELAY, SOON),
    ("connect", reset, Answer.RELAY, SOON),
    ("connect", hang, Answer.RELAY, SOON),
    ("connect", drip, Answer.RELAY, SOON),
    ("connect", last_words(b"421 4.3.2 too busy\r\n"), Answer.RELAY, SOON),
    ("connect", last_words(b"554 5.7.1 no service\r\n"), Answer.RELAY, QUARTER),
    ("connect", words(b"SSH-2.0-OpenSSH_9.2\r\n"), Answer.RELAY, SOON),
    ("connect", words(b"250 hello\r\n"), Answer.RELAY, SOON),
    ("hello", vanish, Answer.RELAY, SOON),
    ("hello", words(b"220 hello\r\n"), Answer.RELAY, SOON),
    ("hello", words(b"250-?\r\n???\r\n"), Answer.RELAY, SOON),
    ("mail", vanish, Answer.DEFERRED, None),
    ("mail", reset, Answer.DEFERRED, None),
    ("mail", hang, Answer.DEFERRED, None),
    ("mail", drip, Answer.DEFERRED, None),
    ("mail", words(b"yes please\r\n"), Answer.DEFERRED, None),
    ("mail", words(b"25 ok\r\n"), Answer.DEFERRED, None),
    ("mail", words(b"250 sender ok\r\n250 recipient ok\r\n"), Answer.DEFERRED, None),
    ("mail", last_words(b"421 4.4.2 bye\r\n"), Answer.DEFERRED, SOON),
    ("rcpt", vanish, Answer.DEFERRED, None),
    ("rcpt", hang, Answer.DEFERRED, None),
    ("rcpt", words(b"???\r\n"), Answer.DEFERRED, None),
    ("rcpt", words("550 5.1.1 没有这个人\r\n".encode("gb18030")), Answer.REFUSED, None),
    ("rcpt", words(b"550 5.1.1 " + b"no" * 9000 + b"\r\n"), Answer.REFUSED, None),
    ("rcpt", words(b"550 5.1.1 " + b"no" * 40000 + b"\r\n"), Answer.DEFERRED, None),
    ("data", vanish, Answer.DEFERRED, None),
    ("data", reset, Answer.DEFERRED, None),
    ("data", hang, Answer.DEFERRED, None),
    ("data", words(b"???\r\n"), Answer.DEFERRED, None),
    ("data", words(b"354 go on\r\n354 go on\r\n"), Answer.DEFERRED, None),
    ("data", words(b"354 go on\r\n250 taken before it came\r\n"), Answer.DEFERRED, None),
    ("middle", vanish, Answer.AMBIGUOUS, None),
    ("middle", reset, Answer.AMBIGUOUS, None),
    ("body", vanish, Answer.AMBIGUOUS, None),
    ("body", reset, Answer.AMBIGUOUS, None),
    ("body", hang, Answer.AMBIGUOUS, None),
    ("body", drip, Answer.AMBIGUOUS, None),
    ("body", words(b"???\r\n"), Answer.AMBIGUOUS, None),
    ("body", words(b"221 bye\r\n"), Answer.AMBIGUOUS, None),
    ("body", words(b"354 go on\r\n250 taken\r\n"), Answer.ACCEPTED, None),
    ("body", last_words(b"421 4.3.2 closing\r\n"), Answer.DEFERRED, SOON),
    ("body", words("554 邮件内容\r\n".encode("gb18030")), Answer.DEFERRED, None),
    ("after", vanish, Answer.ACCEPTED, None),
    ("after", reset, Answer.ACCEPTED, None),
    ("after", last_words(b"421 4.4.2 idle for too long\r\n"), Answer.ACCEPTED, None),
]


@both_ways
@pytest.mark.parametrize(("stage", "prank", "answer", "pause"), PRANKS)
async def test_after_any_prank_the_next_message_goes_through(
    pipelining: bool, stage: str, prank: Prank, answer: Answer, pause: timedelta | None
) -> None:
    seconds = 0.5 if prank in (hang, drip) else 20
    with RudeServer((stage, prank), pipelining=pipelining) as server:
        async with transport(server, links=1, **patience(seconds)) as smtp:
            outcome = await send(smtp, letter(1, to="bob@example.org"))
            after = await send(smtp, letter(2))
    assert (outcome.answer, outcome.pause) == (answer, pause)
    assert after.answer is Answer.ACCEPTED
    assert server.inbox[-1] == letter(2).message_id


@both_ways
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"354 go on\r\n250 taken\r\n", Answer.ACCEPTED),
        (b"354 go on\r\n", Answer.AMBIGUOUS),
        (b"", Answer.AMBIGUOUS),
        (b"452 4.3.1 disk full\r\n500 what?\r\n500 what?\r\n", Answer.DEFERRED),
        (b"250 taken\r\n503 5.5.1 who are you?\r\n", Answer.ACCEPTED),
    ],
)
async def test_replies_that_are_too_many_or_too_few_are_laid_on_no_other_message(
    pipelining: bool, said: bytes, answer: Answer
) -> None:
    seconds = 0.5 if answer is Answer.AMBIGUOUS else 20
    with RudeServer(("body", words(said)), pipelining=pipelining) as server:
        async with transport(server, links=1, **patience(seconds)) as smtp:
            await smtp.carry(pile := Pile(letter(1), letter(2), letter(3)))
    assert pile.answers() == [answer, Answer.ACCEPTED, Answer.ACCEPTED]
    assert server.inbox == [letter(2).message_id, letter(3).message_id]  # a prank takes nothing itself


async def test_a_server_that_forgets_what_came_with_a_command_is_asked_one_at_a_time() -> None:
    with RudeServer(pipelining=True, forgetful=True) as server:
        async with transport(server, links=1, **patience(0.5)) as smtp:
            await smtp.carry(pile := Pile(*map(letter, range(4))))
            await smtp.carry(again := Pile(letter(0)))
    assert pile.answers() == [Answer.DEFERRED, *3 * [Answer.ACCEPTED]]
    assert again.answers() == [Answer.ACCEPTED]
    assert server.connections == 2


@both_ways
@pytest.mark.parametrize(
    "prank", [vanish, hang, words(b"???\r\n"), words(b"500 what?\r\n"), last_words(b"421 bye\r\n")]
)
async def test_a_link_that_cannot_be_reset_is_replaced(prank: Prank, pipelining: bool) -> None:
    refusal = ("rcpt", words(b"550 5.1.1 no such user\r\n"))
    with RudeServer(refusal, ("reset", prank), pipelining=pipelining) as server:
        async with transport(server, links=1, **patience(0.5 if prank is hang else 20)) as smtp:
            await smtp.carry(pile := Pile(letter(1), letter(2), letter(3)))
    assert pile.answers() == [Answer.REFUSED, Answer.ACCEPTED, Answer.ACCEPTED]
    assert server.inbox == [letter(2).message_id, letter(3).message_id]
    assert server.connections == 2


async def test_a_slow_reply_to_the_final_dot_is_waited_for() -> None:
    with RudeServer(("body", late(b"250 taken at last\r\n", 0.8))) as server:
        changes = patience(0.5) | {"final_timeout": timedelta(seconds=20)}
        async with transport(server, **changes) as smtp:
            assert (await send(smtp, letter())).answer is Answer.ACCEPTED


async def test_a_link_is_kept_for_the_next_message(server: MailServer) -> None:
    async with transport(server) as smtp:
        for number in range(3):
            await send(smtp, letter(number))
    assert server.connections == 1
    assert server.commands[-1] == "QUIT"


async def test_a_refused_recipient_costs_no_link(server: MailServer) -> None:
    server.say("rcpt", "550 5.1.1 no such user", to="bob@example.org")
    async with transport(server, links=1) as smtp:
        answers = [(await send(smtp, letter(n, to=f"{who}@example.org"))).answer for n, who in PEOPLE]
    assert answers == [Answer.ACCEPTED, Answer.REFUSED, Answer.ACCEPTED]
    assert server.connections == 1


PEOPLE = list(enumerate(("ada", "bob", "carol")))


async def test_a_server_that_counts_by_connection_gets_a_new_one(server: MailServer) -> None:
    server.say("mail", "450 MI:DMC", times=1)
    async with transport(server, links=1) as smtp:
        answers = [(await send(smtp, letter(number))).answer for number in range(2)]
    assert answers == [Answer.DEFERRED, Answer.ACCEPTED]
    assert server.connections == 2


async def test_a_link_is_renewed_after_a_hundred_messages(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        for number in range(101):
            await send(smtp, letter(number))
    assert server.inbox == [letter(number).message_id for number in range(101)]
    assert server.connections == 2


async def test_an_old_link_is_renewed(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AGE", timedelta(0))
    async with transport(server, links=1) as smtp:
        for number in range(3):
            await send(smtp, letter(number))
    assert server.connections == 3


async def test_links_do_not_pile_up_at_a_server_that_is_slow_to_say_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "AGE", timedelta(0))
    monkeypatch.setattr(wire, "_FAREWELL_SECONDS", 0.05)
    leaving = []

    async def greet(writer: asyncio.StreamWriter) -> None:
        leaving.append(len(smtp._leaving))
        writer.write(b"220 rude.example.org\r\n")

    with RudeServer(*[("connect", greet)] * 9, *[("quit", late(b"221 bye\r\n", 20))] * 9) as server:
        async with transport(server, links=2) as smtp:
            outcomes = [await send(smtp, letter(number)) for number in range(9)]
    assert {outcome.answer for outcome in outcomes} == {Answer.ACCEPTED}
    assert max(leaving) == 1  # beside the one that is greeted


async def test_a_link_that_rests_for_long_says_goodbye(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "IDLE", timedelta(0))
    async with transport(server) as smtp:
        await send(smtp, letter())
        await asyncio.to_thread(server.wait_until, lambda: server.commands[-1] == "QUIT")


async def test_a_link_that_died_at_rest_is_no_failure(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        first = await send(smtp, letter(1))
        server.hang_up()
        second = await send(smtp, letter(2))
    assert (first.answer, second.answer) == (Answer.ACCEPTED, Answer.ACCEPTED)
    assert server.inbox == [letter(1).message_id, letter(2).message_id]


async def test_a_resting_link_that_says_421_is_no_failure(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        await send(smtp, letter(1))
        server.say("mail", "421 4.4.2 idle for too long", times=1)
        assert (await send(smtp, letter(2))).answer is Answer.ACCEPTED
    assert server.connections == 2


async def test_a_dead_link_is_replaced_only_once(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        await send(smtp, letter(1))
        server.say("mail", "421 4.3.2 closing")
        outcome = await send(smtp, letter(2))
    assert (outcome.answer, outcome.code) == (Answer.DEFERRED, 421)
    assert server.connections == 2


async def test_fifty_messages_over_two_links_all_arrive_once(server: MailServer) -> None:
    async with transport(server, links=2) as smtp:
        outcomes = await asyncio.gather(*(send(smtp, letter(number)) for number in range(50)))
    assert {outcome.answer for outcome in outcomes} == {Answer.ACCEPTED}
    assert Counter(server.inbox) == Counter(letter(number).message_id for number in range(50))
    assert server.connections == 2


async def test_concurrent_faults_reach_only_their_own_messages(server: MailServer) -> None:
    server.say("rcpt", "550 5.1.1 no such user", to="bob@example.org")
    server.say("body", "451 4.3.0 later", to="carol@example.org")
    async with transport(server, links=3) as smtp:
        people = [f"{('ada', 'bob', 'carol')[number % 3]}@example.org" for number in range(60)]
        outcomes = await asyncio.gather(*(send(smtp, letter(n, to=who)) for n, who in enumerate(people)))
    assert [outcome.answer for outcome in outcomes] == 20 * [Answer.ACCEPTED, Answer.REFUSED, Answer.DEFERRED]
    assert Counter(server.inbox) == Counter(letter(number).message_id for number in range(0, 60, 3))


@pytest.mark.parametrize("stage", ["connect", "hello", "mail", "rcpt", "data", "body"])
async def test_a_cancelled_message_leaves_no_link_out_of_step(stage: str) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def pause_then_refuse(writer: asyncio.StreamWriter) -> None:
        loop.call_soon_threadsafe(reached.set)
        await asyncio.sleep(0.1)
        writer.write(b"550 5.1.1 too late\r\n")

    with RudeServer((stage, pause_then_refuse)) as server:
        async with transport(server, links=1) as smtp:
            sending = asyncio.create_task(send(smtp, letter(1)))
            await reached.wait()
            sending.cancel()
            (end,) = await asyncio.gather(sending, return_exceptions=True)
            # Python 3.11's wait_for loses a cancellation that meets the end of what it waits for: here, of connecting.
            assert isinstance(end, asyncio.CancelledError) or (stage == "connect" and end.answer is Answer.RELAY)
            await asyncio.to_thread(server.wait_until, lambda: server.ended == 1)  # the late reply is out by now
            assert (await send(smtp, letter(2))).answer is Answer.ACCEPTED
    assert server.inbox == [letter(2).message_id]
    assert server.connections == 2


async def test_a_message_that_was_given_up_is_not_finished_behind_our_back() -> None:
    awake = threading.Event()

    async def stall(writer: asyncio.StreamWriter) -> None:
        socket_reader = cast("asyncio.ReadTransport", writer.transport)
        socket_reader.pause_reading()
        await asyncio.to_thread(awake.wait, 20)
        socket_reader.resume_reading()

    large = replace(letter(), body=letter().body + 400_000 * (75 * b"x" + b"\r\n"))
    with RudeServer(("middle", stall)) as server:
        async with transport(server, final_timeout=timedelta(seconds=0.5)) as smtp:
            outcome = await send(smtp, large)
        awake.set()
        await asyncio.to_thread(server.wait_until, lambda: server.ended == 1)
    assert outcome.answer is Answer.AMBIGUOUS
    assert server.inbox == []


async def test_a_server_that_gives_no_greeting_is_named() -> None:
    with RudeServer(("connect", hang)) as server:
        async with transport(server, **patience(0.5)) as smtp:
            outcome = await send(smtp, letter())
    assert outcome.reply == (
        f'{HOST}:{server.port} gave no greeting in time; check host and port, and on port 465 use tls = "implicit"'
    )


async def test_closing_lets_a_message_on_the_wire_end() -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def take_time(writer: asyncio.StreamWriter) -> None:
        loop.call_soon_threadsafe(reached.set)
        await asyncio.sleep(0.2)
        writer.write(b"250 taken\r\n")

    with RudeServer(("body", take_time)) as server:
        smtp = SmtpTransport(settings(server))
        sending = asyncio.create_task(send(smtp, letter()))
        await reached.wait()
        await smtp.close()
        assert (await sending).answer is Answer.ACCEPTED
        await smtp.close()
        await asyncio.to_thread(server.wait_until, lambda: server.ended == 1)


@pytest.mark.parametrize("text", ["Hello.", "Hello.\n", "."])
async def test_a_composed_message_arrives_with_its_very_octets(server: MailServer, text: str) -> None:
    body = Skeleton("Message-ID: <1@example.org>\r\n", Part("text/plain", text)).fill("", {})
    async with transport(server) as smtp:
        await send(smtp, Letter("seminar@example.org", "ada@example.org", "<1@example.org>", body))
    assert [got.body.removesuffix(b"\r\n") for got in server.messages] == [body.removesuffix(b"\r\n")]


@both_ways
async def test_messages_follow_each_other_over_one_link(server: MailServer, pipelining: bool) -> None:
    server.pipelining = pipelining
    letters = [letter(number) for number in range(10)]
    async with transport(server) as smtp:
        await smtp.carry(pile := Pile(*letters))
    assert pile.answers() == 10 * [Answer.ACCEPTED]
    assert server.messages == letters
    assert server.connections == 1


@pytest.mark.parametrize(
    ("offers", "allowed", "round_trips"),
    [
        ("PIPELINING", True, 1 + 1 + 20 + 1),  # hello, the first envelope, each body with the next one, goodbye
        ("PIPELINING", False, 1 + 4 * 20 + 1),
        ("8BITMIME", True, 1 + 4 * 20 + 1),
    ],
)
async def test_a_message_takes_one_round_trip_where_it_may_and_one_command_at_a_time_elsewhere(
    offers: str, allowed: bool, round_trips: int
) -> None:
    usual = {"EHLO": f"250-me\r\n250 {offers}\r\n".encode(), "DATA": b"354 go\r\n"}
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org\r\n")
        in_body = False
        while octets := await reader.read(65536):
            heard.append(octets)
            for line in octets.splitlines():
                word = line[:4].decode()
                if in_body:
                    in_body = line != b"."
                    writer.write(b"" if in_body else b"250 taken\r\n")
                else:
                    in_body = word == "DATA"
                    writer.write(usual.get(word, b"250 ok\r\n"))
        writer.close()

    listener = await asyncio.start_server(hear, HOST)
    port = listener.sockets[0].getsockname()[1]
    smtp = SmtpTransport(SmtpSettings(HOST, port, "none", pipelining=allowed, local_hostname="notifier.example.org"))
    await smtp.carry(pile := Pile(*(letter(number) for number in range(20))))
    await smtp.close()
    listener.close()
    assert pile.answers() == 20 * [Answer.ACCEPTED]
    assert len(heard) == round_trips


@both_ways
async def test_a_refusal_reaches_only_its_own_message(server: MailServer, pipelining: bool) -> None:
    server.pipelining = pipelining
    server.say("rcpt", "550 5.1.1 no such user", to="bob@example.org")
    server.say("body", "451 4.2.0 later", to="carol@example.org")
    people = [f"{('ada', 'bob', 'carol')[number % 3]}@example.org" for number in range(30)]
    async with transport(server) as smtp:
        await smtp.carry(pile := Pile(*(letter(100 + n, to=who) for n, who in enumerate(people))))
    assert pile.answers() == 10 * [Answer.ACCEPTED, Answer.REFUSED, Answer.DEFERRED]
    assert server.inbox == [letter(100 + n).message_id for n in range(0, 30, 3)]


async def test_a_data_that_is_accepted_without_a_recipient_is_ended_empty_and_blames_nobody() -> None:
    """RFC 2920 section 3.1: such a server gets a lone dot, and the next message its own transaction."""
    with RudeServer(("rcpt", words(b"450 4.2.0 greylisted\r\n")), pipelining=True, careless=True) as server:
        async with transport(server) as smtp:
            await smtp.carry(pile := Pile(letter(1), letter(2)))
    assert [(o.answer, o.code, o.stage) for o in pile.told.values()] == [
        (Answer.DEFERRED, 450, Stage.RCPT),
        (Answer.ACCEPTED, 250, Stage.BODY),
    ]
    assert [(got.recipient, got.body) for got in server.messages] == [("", b""), ("ada@example.org", letter(2).body)]
    assert server.connections == 1


async def test_nobody_gets_an_empty_mail_from_a_server_that_refused_the_sender() -> None:
    with RudeServer(("mail", words(b"450 4.2.0 greylisted\r\n")), pipelining=True) as server:
        async with transport(server) as smtp:
            await smtp.carry(pile := Pile(letter(1), letter(2)))
    assert pile.answers() == [Answer.DEFERRED, Answer.ACCEPTED]
    assert server.inbox == [letter(2).message_id]


@both_ways
@pytest.mark.parametrize("prank", [vanish, reset, words(b"???\r\n")])
async def test_a_link_that_breaks_under_a_body_harms_no_message_behind_it(prank: Prank, pipelining: bool) -> None:
    with RudeServer(("body", prank), pipelining=pipelining) as server:
        async with transport(server, links=1) as smtp:
            await smtp.carry(pile := Pile(*(letter(number) for number in range(1, 5))))
    assert pile.answers() == [Answer.AMBIGUOUS, Answer.ACCEPTED, Answer.ACCEPTED, Answer.ACCEPTED]
    assert server.inbox == [letter(number).message_id for number in (2, 3, 4)]
    assert server.connections == 2


@both_ways
async def test_a_server_that_closes_after_every_message_gets_them_all(pipelining: bool) -> None:
    pranks = [("after", last_words(b"421 4.3.2 one at a time\r\n"))] * 5
    with RudeServer(*pranks, pipelining=pipelining) as server:
        async with transport(server, links=1) as smtp:
            await smtp.carry(pile := Pile(*(letter(number) for number in range(1, 6))))
    assert pile.answers() == 5 * [Answer.ACCEPTED]
    assert server.inbox == [letter(number).message_id for number in range(1, 6)]
    assert server.connections == 5


@both_ways
async def test_a_call_that_is_cancelled_tells_of_every_message(pipelining: bool) -> None:
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def hang_loudly(writer: asyncio.StreamWriter) -> None:
        loop.call_soon_threadsafe(reached.set)
        await asyncio.Event().wait()

    pile = Pile(*(letter(number) for number in range(1, 5)))
    with RudeServer(("body", hang_loudly), pipelining=pipelining) as server:
        async with transport(server, links=1) as smtp:
            sending = asyncio.create_task(smtp.carry(pile))
            await reached.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
    assert pile.answers() == [Answer.AMBIGUOUS, Answer.UNTRIED] if pipelining else [Answer.AMBIGUOUS]


async def test_a_server_that_is_down_is_asked_once_for_each_message_that_is_handed_out() -> None:
    smtp = SmtpTransport(SmtpSettings(HOST, free_port(), "none", local_hostname="notifier.example.org"))
    await smtp.carry(pile := Pile(letter(1), letter(2)))
    assert pile.answers() == [Answer.RELAY, Answer.RELAY]


async def test_a_server_with_dsn_is_asked_for_short_reports_that_name_the_message() -> None:
    """RFC 3461 sections 4.1 to 4.4."""
    with RudeServer(dsn=True) as server:
        async with transport(server) as smtp:
            await send(smtp, replace(letter(), mark="abcdefgh234567abcdefgh23"))
            await send(smtp, letter())
    addressed = [command for command in server.commands if command.startswith(("MAIL", "RCPT"))]
    assert addressed == [
        "MAIL FROM:<seminar@example.org> RET=HDRS ENVID=abcdefgh234567abcdefgh23",
        "RCPT TO:<ada@example.org> NOTIFY=FAILURE,DELAY",
        "MAIL FROM:<seminar@example.org> RET=HDRS",
        "RCPT TO:<ada@example.org> NOTIFY=FAILURE,DELAY",
    ]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_message_arrives_through_tls_and_login(
    tls: str, authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer(tls, certified(), login=("seminar", PASSWORD)) as server:
        changes = {"tls": tls, "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcomes = [await send(smtp, letter(number)) for number in range(3)]
    assert [outcome.answer for outcome in outcomes] == 3 * [Answer.ACCEPTED]
    assert (len(server.inbox), server.connections, server.logins_tried) == (3, 1, 1)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    tls: str, certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer(tls, certified(), login=("seminar", PASSWORD)) as server:
        async with transport(server, tls=tls, username="seminar", password=PASSWORD) as smtp:
            outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert outcome.reply == (
        f"the certificate of {HOST}:{server.port} was not accepted (unable to get local issuer certificate);"
        " set ca_file to the certificate of its authority, or host to a name that the certificate holds"
    )
    assert (server.inbox, server.logins_tried) == ([], 0)


async def test_a_certificate_of_another_host_is_not_accepted(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("starttls", certified("mail.example.org")) as server:
        async with transport(server, tls="starttls", ca_file=authority[1]) as smtp:
            outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert "IP address mismatch" in outcome.reply


async def test_a_server_without_starttls_gets_neither_login_nor_message(server: MailServer) -> None:
    server.login = ("seminar", PASSWORD)
    async with transport(server, tls="starttls", username="seminar", password=PASSWORD) as smtp:
        outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause, outcome.stage) == (Answer.RELAY, QUARTER, Stage.TLS)
    assert "offers no STARTTLS, and nothing is sent in clear" in outcome.reply
    assert ([command.split()[0] for command in server.commands], server.logins_tried) == (["EHLO"], 0)


async def test_starttls_that_is_out_of_order_is_tried_again_soon() -> None:
    with RudeServer() as server:
        async with transport(server, tls="starttls") as smtp:
            outcome = await send(smtp, letter())
    assert outcome == Outcome(Answer.RELAY, 454, "4.7.0 TLS not available now", SOON, Stage.TLS)


async def test_a_port_that_speaks_no_tls_is_named(server: MailServer) -> None:
    async with transport(server, tls="implicit") as smtp:
        outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert outcome.reply.startswith(f"{HOST}:{server.port} agreed on no TLS")


async def test_a_wrong_password_rests_the_relay_and_is_never_repeated(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("implicit", certified(), login=("seminar", PASSWORD)) as server:
        server.say("auth", f"535 5.7.8 seminar may not log in with {PASSWORD}")
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await send(smtp, letter())
    told = "5.7.8 seminar may not log in with [password]"
    assert outcome == Outcome(Answer.RELAY, 535, told, QUARTER, Stage.AUTH)


@pytest.mark.parametrize("prank", [vanish, reset, last_words(b"535 5.7.8 no\r\n")])
async def test_a_server_that_hangs_up_on_a_login_is_not_hammered(
    prank: Prank, authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with RudeServer(("auth", prank), context=certified()) as server:
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause, outcome.stage) == (Answer.RELAY, QUARTER, Stage.AUTH)
    assert "check username and password" in outcome.reply


async def test_a_server_that_offers_no_login_is_named(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("implicit", certified()) as server:
        server.say("hello", "250 mail.example.org")
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert "offers no login that we know" in outcome.reply


@pytest.mark.parametrize(("stage", "prank", "answer"), [(s, p, a) for s, p, a, _ in PRANKS if s in {"rcpt", "body"}])
async def test_after_a_prank_inside_tls_the_next_message_goes_through(
    stage: str,
    prank: Prank,
    answer: Answer,
    authority: tuple[trustme.CA, Path],
    certified: Callable[..., ssl.SSLContext],
) -> None:
    seconds = 0.5 if prank in (hang, drip) else 20
    with RudeServer((stage, prank), context=certified()) as server:
        async with transport(server, links=1, tls="implicit", ca_file=authority[1], **patience(seconds)) as smtp:
            outcome = await send(smtp, letter(1))
            after = await send(smtp, letter(2))
    assert (outcome.answer, after.answer) == (answer, Answer.ACCEPTED)


@pytest.mark.parametrize(
    ("host", "told", "pause"),
    [
        (HOST, "nothing listens at 127.0.0.1:{port}; check host and port", SOON),
        ("mail..example.org", "'mail..example.org' is no host name; check host", QUARTER),
    ],
)
async def test_a_server_that_cannot_be_reached_is_the_relays_fault(host: str, told: str, pause: timedelta) -> None:
    port = free_port()
    smtp = SmtpTransport(SmtpSettings(host, port, "none", local_hostname="notifier.example.org"))
    outcome = await send(smtp, letter())
    await smtp.close()
    assert outcome == Outcome(Answer.RELAY, None, told.format(port=port), pause, Stage.CONNECT)


async def test_a_server_that_comes_back_gets_the_mail() -> None:
    server = MailServer()
    with server:
        pass
    async with transport(server) as smtp:
        down = await send(smtp, letter())
        with server:
            up = await send(smtp, letter())
    assert (down.answer, up.answer) == (Answer.RELAY, Answer.ACCEPTED)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example.org\r\nRCPT TO:<bob@example.org>",
        "ada@example.org\n",
        "ada@example.org> BODY=8BITMIME",
        "ada lovelace@example.org",
        " ada@example.org",
        "<ada@example.org>",
        "Ada <ada@example.org>",
        "ada@example.org,bob@example.org",
        "ada\0@example.org",
        "ada@exam ple.org",
    ],
)
async def test_an_address_that_cannot_be_mailed_never_reaches_the_wire(server: MailServer, address: str) -> None:
    async with transport(server) as smtp:
        outcome = await send(smtp, letter(to=address))
    assert (outcome.answer, outcome.code, outcome.is_dead_address) == (Answer.REFUSED, None, True)
    assert outcome.reply.startswith("5.1.3 ")
    assert server.connections == 0


async def test_a_sender_that_cannot_be_mailed_blames_the_settings(server: MailServer) -> None:
    async with transport(server) as smtp:
        outcome = await send(smtp, letter(sender="seminar"))
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert server.connections == 0


async def test_the_null_sender_may_send(server: MailServer) -> None:
    async with transport(server) as smtp:
        await send(smtp, letter(sender=""))
    assert [got.sender for got in server.messages] == [""]


async def test_a_domain_in_chinese_goes_out_in_ascii(server: MailServer) -> None:
    async with transport(server) as smtp:
        await send(smtp, letter(to="ada@例子.公司"))
    assert [got.recipient for got in server.messages] == ["ada@xn--fsqu00a.xn--55qx5d"]


async def test_a_local_part_in_chinese_needs_a_relay_that_carries_it(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        outcome = await send(smtp, letter(1, to="王@example.org"))
        after = await send(smtp, letter(2))
    assert (outcome.answer, outcome.is_dead_address) == (Answer.REFUSED, False)
    assert "offers no SMTPUTF8" in outcome.reply
    assert after.answer is Answer.ACCEPTED
    with MailServer(smtputf8=True) as server_of_today:
        async with transport(server_of_today) as smtp:
            await send(smtp, letter(to="王@example.org"))
    assert [got.recipient for got in server_of_today.messages] == ["王@example.org"]


async def test_a_message_too_large_for_the_server_is_put_off_before_its_body_leaves() -> None:
    with MailServer(size=50) as server:
        async with transport(server) as smtp:
            outcome = await send(smtp, letter())
    assert (outcome.answer, outcome.code, outcome.stage) == (Answer.DEFERRED, 552, Stage.MAIL)


def filed(path: Path) -> list[str]:
    """The Message-IDs that a mail program would find."""
    return sorted(str(message["Message-ID"]) for message in mailbox.Maildir(path, create=False))


async def test_a_maildir_holds_what_was_sent_as_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "var" / "outbox"
    outcome = await send(MaildirTransport(path), letter())
    assert outcome.answer is Answer.ACCEPTED
    (message,) = mailbox.Maildir(path, create=False)
    assert message["Message-ID"] == letter().message_id
    assert message.get_payload() == "Hello.\n.\n..two\nEnd.\n"
    assert list((path / "tmp").iterdir()) == []


async def test_a_message_sent_again_to_a_maildir_takes_the_place_of_the_first(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    for number in (1, 2, 1, 1):
        await send(outbox, letter(number))
    assert filed(tmp_path) == [letter(1).message_id, letter(2).message_id]


async def test_a_message_that_was_seen_already_is_not_filed_twice(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    await send(outbox, letter())
    (file,) = (tmp_path / "new").iterdir()
    seen = file.rename(tmp_path / "cur" / f"{file.name}:2,S")
    await send(outbox, letter())
    assert seen.exists()
    assert list((tmp_path / "new").iterdir()) == []


async def test_the_same_message_sent_at_once_lies_in_the_maildir_once(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    outcomes = await asyncio.gather(*(send(outbox, letter()) for _ in range(20)))
    assert {outcome.answer for outcome in outcomes} == {Answer.ACCEPTED}
    assert filed(tmp_path) == [letter().message_id]


@pytest.mark.parametrize("message_id", ["../../escape", "..", ".hidden", "a/b:2,S", "", "王" * 300])
async def test_no_message_id_leads_out_of_the_maildir(tmp_path: Path, message_id: str) -> None:
    odd = Letter("seminar@example.org", "ada@example.org", message_id, b"Subject: odd\r\n\r\n")
    await send(MaildirTransport(tmp_path / "box"), odd)
    (file,) = (tmp_path / "box" / "new").iterdir()
    assert file.read_bytes() == b"Subject: odd\n\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "box"]


async def test_a_disk_that_takes_nothing_is_the_relays_fault(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    outcome = await send(MaildirTransport(tmp_path / "box"), letter())
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, MINUTE)
    assert outcome.reply.endswith("make room or give write permission")
