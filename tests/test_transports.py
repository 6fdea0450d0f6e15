"""A message becomes exactly one outcome, whatever the mail server does, and no link survives out of step."""

from __future__ import annotations

import asyncio
import errno
import mailbox
import ssl
import threading
from collections import Counter
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

from notifier.relay import SmtpSettings
from notifier.replies import Answer, Outcome, Stage
from notifier.transports import smtp as smtp_module
from notifier.transports.maildir import MaildirTransport
from notifier.transports.smtp import SmtpTransport

SOON, MINUTE, QUARTER, DAY = (timedelta(seconds=s) for s in (15, 60, 900, 86400))
TWO_MINUTES = timedelta(minutes=2)
PASSWORD = "lost in the flood"


def letter(number: int = 1, to: str = "ada@example.org", sender: str = "seminar@example.org") -> Letter:
    message_id = f"<2021-11-27.{number}@example.org>"
    text = f"From: {sender}\nTo: {to}\nMessage-ID: {message_id}\nSubject: Seminar\n\nHello.\n.\n..two\nEnd.\n"
    return Letter(sender, to, message_id, text.replace("\n", "\r\n").encode())


async def intended() -> bool:
    return True


async def withdrawn() -> bool:
    return False


def settings(server: Listener, **changes: Any) -> SmtpSettings:
    usual = {"tls": "none", **patience(20)}
    return SmtpSettings(HOST, server.port, **{"local_hostname": "notifier.example.org", **usual, **changes})


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
        outcome = await smtp.send(letter(), intended)
    assert outcome == Outcome(Answer.ACCEPTED, 250, "2.0.0 taken", None, Stage.BODY)
    assert server.messages == [letter()]


async def test_a_bare_line_feed_cannot_end_a_message_early(server: MailServer) -> None:
    smuggled = Letter("seminar@example.org", "ada@example.org", "<1@example.org>", b"Message-ID: <1@example.org>\n.\rX")
    async with transport(server) as smtp:
        await smtp.send(smuggled, intended)
    assert [got.body for got in server.messages] == [b"Message-ID: <1@example.org>\r\n.\r\nX\r\n"]


async def test_no_data_is_sent_without_an_intent(server: MailServer) -> None:
    async with transport(server) as smtp:
        outcome = await smtp.send(letter(1), withdrawn)
        after = await smtp.send(letter(2), intended)
    assert (outcome.answer, after.answer) == (Answer.FENCED, Answer.ACCEPTED)
    assert server.inbox == [letter(2).message_id]
    assert [c.split()[0] for c in server.commands] == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_the_intent_is_asked_for_after_the_recipient_was_accepted(server: MailServer) -> None:
    seen: list[list[str]] = []

    async def note() -> bool:
        seen.append([command.split()[0] for command in server.commands])
        return True

    async with transport(server) as smtp:
        await smtp.send(letter(), note)
    assert seen == [["EHLO", "MAIL", "RCPT"]]


async def test_an_intent_that_fails_leaves_no_open_transaction_behind(server: MailServer) -> None:
    async def full() -> bool:
        raise OSError(errno.ENOSPC, "no room")

    async with transport(server, links=1) as smtp:
        with pytest.raises(OSError, match="no room"):
            await smtp.send(letter(1), full)
        assert (await smtp.send(letter(2), intended)).answer is Answer.ACCEPTED
    assert server.inbox == [letter(2).message_id]


# Each row says: the stage and the reply that aiosmtpd gives once, and what comes of the message.
SPOKEN_FAULTS = [
    ("hello", "421 4.3.2 closing", Answer.RELAY, SOON),
    ("hello", "554 5.7.1 go away", Answer.RELAY, QUARTER),
    ("mail", "421 4.3.2 closing", Answer.DEFERRED, SOON),
    ("mail", "451 4.3.0 try later", Answer.DEFERRED, None),
    ("mail", "501 mail from address must be same as authorization user", Answer.RELAY, QUARTER),
    ("mail", "530 5.7.0 log in first", Answer.RELAY, QUARTER),
    ("mail", "550 Sender frequency limited", Answer.DEFERRED, QUARTER),
    ("mail", "552 5.3.4 too big", Answer.REFUSED, None),
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


@pytest.mark.parametrize(("stage", "reply", "answer", "pause"), SPOKEN_FAULTS)
async def test_after_any_reply_the_next_message_goes_through(
    server: MailServer, stage: str, reply: str, answer: Answer, pause: timedelta | None
) -> None:
    server.say(stage, reply, times=1)
    async with transport(server, links=1) as smtp:
        outcome = await smtp.send(letter(1, to="bob@example.org"), intended)
        after = await smtp.send(letter(2), intended)
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
    ("hello", vanish, Answer.RELAY, SOON),
    ("hello", words(b"250-?\r\n???\r\n"), Answer.RELAY, SOON),
    ("mail", vanish, Answer.DEFERRED, None),
    ("mail", reset, Answer.DEFERRED, None),
    ("mail", hang, Answer.DEFERRED, None),
    ("mail", drip, Answer.DEFERRED, None),
    ("mail", words(b"yes please\r\n"), Answer.DEFERRED, None),
    ("mail", words(b"25 ok\r\n"), Answer.DEFERRED, None),
    ("mail", last_words(b"421 4.4.2 bye\r\n"), Answer.DEFERRED, SOON),
    ("rcpt", vanish, Answer.DEFERRED, None),
    ("rcpt", hang, Answer.DEFERRED, None),
    ("rcpt", words(b"???\r\n"), Answer.DEFERRED, None),
    ("rcpt", words("550 5.1.1 没有这个人\r\n".encode("gb18030")), Answer.REFUSED, None),
    ("rcpt", words(b"550 5.1.1 " + b"no" * 9000 + b"\r\n"), Answer.DEFERRED, None),
    ("data", vanish, Answer.DEFERRED, None),
    ("data", reset, Answer.DEFERRED, None),
    ("data", hang, Answer.DEFERRED, None),
    ("data", words(b"???\r\n"), Answer.DEFERRED, None),
    ("middle", vanish, Answer.AMBIGUOUS, None),
    ("middle", reset, Answer.AMBIGUOUS, None),
    ("body", vanish, Answer.AMBIGUOUS, None),
    ("body", reset, Answer.AMBIGUOUS, None),
    ("body", hang, Answer.AMBIGUOUS, None),
    ("body", drip, Answer.AMBIGUOUS, None),
    ("body", words(b"???\r\n"), Answer.AMBIGUOUS, None),
    ("body", last_words(b"421 4.3.2 closing\r\n"), Answer.DEFERRED, SOON),
    ("body", words("554 邮件内容\r\n".encode("gb18030")), Answer.DEFERRED, None),
    ("after", vanish, Answer.ACCEPTED, None),
    ("after", reset, Answer.ACCEPTED, None),
    ("after", last_words(b"421 4.4.2 idle for too long\r\n"), Answer.ACCEPTED, None),
    ("reset", vanish, Answer.FENCED, None),
    ("reset", hang, Answer.FENCED, None),
    ("reset", words(b"???\r\n"), Answer.FENCED, None),
]


@pytest.mark.parametrize(("stage", "prank", "answer", "pause"), PRANKS)
async def test_after_any_prank_the_next_message_goes_through(
    stage: str, prank: Prank, answer: Answer, pause: timedelta | None
) -> None:
    before_data = withdrawn if stage == "reset" else intended
    seconds = 0.5 if prank in (hang, drip) else 20
    with RudeServer((stage, prank)) as server:
        async with transport(server, links=1, **patience(seconds)) as smtp:
            outcome = await smtp.send(letter(1, to="bob@example.org"), before_data)
            after = await smtp.send(letter(2), intended)
    assert (outcome.answer, outcome.pause) == (answer, pause)
    assert after.answer is Answer.ACCEPTED
    assert server.inbox[-1] == letter(2).message_id


async def test_a_slow_reply_to_the_final_dot_is_waited_for() -> None:
    with RudeServer(("body", late(b"250 taken at last\r\n", 0.8))) as server:
        changes = patience(0.5) | {"final_timeout": timedelta(seconds=20)}
        async with transport(server, **changes) as smtp:
            assert (await smtp.send(letter(), intended)).answer is Answer.ACCEPTED


async def test_a_link_is_kept_for_the_next_message(server: MailServer) -> None:
    async with transport(server) as smtp:
        for number in range(3):
            await smtp.send(letter(number), intended)
    assert server.connections == 1
    assert server.commands[-1] == "QUIT"


async def test_a_refused_recipient_costs_no_link(server: MailServer) -> None:
    server.say("rcpt", "550 5.1.1 no such user", to="bob@example.org")
    async with transport(server, links=1) as smtp:
        answers = [(await smtp.send(letter(n, to=f"{who}@example.org"), intended)).answer for n, who in PEOPLE]
    assert answers == [Answer.ACCEPTED, Answer.REFUSED, Answer.ACCEPTED]
    assert server.connections == 1


PEOPLE = list(enumerate(("ada", "bob", "carol")))


async def test_a_server_that_counts_by_connection_gets_a_new_one(server: MailServer) -> None:
    server.say("mail", "450 MI:DMC", times=1)
    async with transport(server, links=1) as smtp:
        answers = [(await smtp.send(letter(number), intended)).answer for number in range(2)]
    assert answers == [Answer.DEFERRED, Answer.ACCEPTED]
    assert server.connections == 2


async def test_a_link_is_renewed_after_a_hundred_messages(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        for number in range(101):
            await smtp.send(letter(number), intended)
    assert server.inbox == [letter(number).message_id for number in range(101)]
    assert server.connections == 2


async def test_an_old_link_is_renewed(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_module, "_LINK_AGE", timedelta(0))
    async with transport(server, links=1) as smtp:
        for number in range(3):
            await smtp.send(letter(number), intended)
    assert server.connections == 3


async def test_a_link_that_rests_for_long_says_goodbye(server: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_module, "_LINK_IDLE", timedelta(0))
    async with transport(server) as smtp:
        await smtp.send(letter(), intended)
        await asyncio.to_thread(server.wait_until, lambda: server.commands[-1] == "QUIT")


async def test_a_link_that_died_at_rest_is_no_failure(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        first = await smtp.send(letter(1), intended)
        server.hang_up()
        second = await smtp.send(letter(2), intended)
    assert (first.answer, second.answer) == (Answer.ACCEPTED, Answer.ACCEPTED)
    assert server.inbox == [letter(1).message_id, letter(2).message_id]


async def test_a_resting_link_that_says_421_is_no_failure(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        await smtp.send(letter(1), intended)
        server.say("mail", "421 4.4.2 idle for too long", times=1)
        assert (await smtp.send(letter(2), intended)).answer is Answer.ACCEPTED
    assert server.connections == 2


async def test_a_dead_link_is_replaced_only_once(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        await smtp.send(letter(1), intended)
        server.say("mail", "421 4.3.2 closing")
        outcome = await smtp.send(letter(2), intended)
    assert (outcome.answer, outcome.code) == (Answer.DEFERRED, 421)
    assert server.connections == 2


async def test_fifty_messages_over_two_links_all_arrive_once(server: MailServer) -> None:
    async with transport(server, links=2) as smtp:
        outcomes = await asyncio.gather(*(smtp.send(letter(number), intended) for number in range(50)))
    assert {outcome.answer for outcome in outcomes} == {Answer.ACCEPTED}
    assert Counter(server.inbox) == Counter(letter(number).message_id for number in range(50))
    assert server.connections == 2


async def test_concurrent_faults_reach_only_their_own_messages(server: MailServer) -> None:
    server.say("rcpt", "550 5.1.1 no such user", to="bob@example.org")
    server.say("body", "451 4.3.0 later", to="carol@example.org")
    async with transport(server, links=3) as smtp:
        people = [f"{('ada', 'bob', 'carol')[number % 3]}@example.org" for number in range(60)]
        outcomes = await asyncio.gather(*(smtp.send(letter(n, to=who), intended) for n, who in enumerate(people)))
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
            sending = asyncio.create_task(smtp.send(letter(1), intended))
            await reached.wait()
            sending.cancel()
            (end,) = await asyncio.gather(sending, return_exceptions=True)
            # Python 3.11's wait_for loses a cancellation that meets the end of what it waits for: here, of connecting.
            assert isinstance(end, asyncio.CancelledError) or (stage == "connect" and end.answer is Answer.RELAY)
            await asyncio.to_thread(server.wait_until, lambda: server.ended == 1)  # the late reply is out by now
            assert (await smtp.send(letter(2), intended)).answer is Answer.ACCEPTED
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
            outcome = await smtp.send(large, intended)
        awake.set()
        await asyncio.to_thread(server.wait_until, lambda: server.ended == 1)
    assert outcome.answer is Answer.AMBIGUOUS
    assert server.inbox == []


async def test_a_server_that_gives_no_greeting_is_named() -> None:
    with RudeServer(("connect", hang)) as server:
        async with transport(server, **patience(0.5)) as smtp:
            outcome = await smtp.send(letter(), intended)
    assert outcome.reply == (
        f'{HOST}:{server.port} gave no greeting in time; check host and port, and on port 465 use tls = "implicit"'
    )


async def test_a_message_cancelled_at_its_intent_is_not_sent(server: MailServer) -> None:
    reached = asyncio.Event()

    async def slow() -> bool:
        reached.set()
        await asyncio.Event().wait()
        return True

    async with transport(server, links=1) as smtp:
        sending = asyncio.create_task(smtp.send(letter(1), slow))
        await reached.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (await smtp.send(letter(2), intended)).answer is Answer.ACCEPTED
    assert server.inbox == [letter(2).message_id]


async def test_closing_lets_a_message_on_the_wire_end(server: MailServer) -> None:
    reached, closed = asyncio.Event(), asyncio.Event()

    async def slow() -> bool:
        reached.set()
        await closed.wait()
        return True

    smtp = SmtpTransport(settings(server))
    sending = asyncio.create_task(smtp.send(letter(), slow))
    await reached.wait()
    await smtp.close()
    closed.set()
    assert (await sending).answer is Answer.ACCEPTED
    assert server.inbox == [letter().message_id]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_message_arrives_through_tls_and_login(
    tls: str, authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer(tls, certified(), login=("seminar", PASSWORD)) as server:
        changes = {"tls": tls, "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcomes = [await smtp.send(letter(number), intended) for number in range(3)]
    assert [outcome.answer for outcome in outcomes] == 3 * [Answer.ACCEPTED]
    assert (len(server.inbox), server.connections, server.logins_tried) == (3, 1, 1)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_certificate_of_an_unknown_authority_is_not_accepted(
    tls: str, certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer(tls, certified(), login=("seminar", PASSWORD)) as server:
        async with transport(server, tls=tls, username="seminar", password=PASSWORD) as smtp:
            outcome = await smtp.send(letter(), intended)
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
            outcome = await smtp.send(letter(), intended)
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert "IP address mismatch" in outcome.reply


async def test_a_server_without_starttls_gets_neither_login_nor_message(server: MailServer) -> None:
    server.login = ("seminar", PASSWORD)
    async with transport(server, tls="starttls", username="seminar", password=PASSWORD) as smtp:
        outcome = await smtp.send(letter(), intended)
    assert (outcome.answer, outcome.pause, outcome.stage) == (Answer.RELAY, QUARTER, Stage.TLS)
    assert "offers no STARTTLS, and nothing is sent in clear" in outcome.reply
    assert ([command.split()[0] for command in server.commands], server.logins_tried) == (["EHLO"], 0)


async def test_starttls_that_is_out_of_order_is_tried_again_soon() -> None:
    with RudeServer() as server:
        async with transport(server, tls="starttls") as smtp:
            outcome = await smtp.send(letter(), intended)
    assert outcome == Outcome(Answer.RELAY, 454, "4.7.0 TLS not available now", SOON, Stage.TLS)


async def test_a_port_that_speaks_no_tls_is_named(server: MailServer) -> None:
    async with transport(server, tls="implicit") as smtp:
        outcome = await smtp.send(letter(), intended)
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert outcome.reply.startswith(f"{HOST}:{server.port} agreed on no TLS")


async def test_a_wrong_password_rests_the_relay_and_is_never_repeated(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("implicit", certified(), login=("seminar", PASSWORD)) as server:
        server.say("auth", f"535 5.7.8 seminar may not log in with {PASSWORD}")
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await smtp.send(letter(), intended)
    told = "5.7.8 seminar may not log in with [password]"
    assert outcome == Outcome(Answer.RELAY, 535, told, QUARTER, Stage.AUTH)


@pytest.mark.parametrize("prank", [vanish, reset, last_words(b"535 5.7.8 no\r\n")])
async def test_a_server_that_hangs_up_on_a_login_is_not_hammered(
    prank: Prank, authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with RudeServer(("auth", prank), context=certified()) as server:
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await smtp.send(letter(), intended)
    assert (outcome.answer, outcome.pause, outcome.stage) == (Answer.RELAY, QUARTER, Stage.AUTH)
    assert "check username and password" in outcome.reply


async def test_a_server_that_offers_no_login_is_named(
    authority: tuple[trustme.CA, Path], certified: Callable[..., ssl.SSLContext]
) -> None:
    with MailServer("implicit", certified()) as server:
        server.say("hello", "250 mail.example.org")
        changes = {"tls": "implicit", "ca_file": authority[1], "username": "seminar", "password": PASSWORD}
        async with transport(server, **changes) as smtp:
            outcome = await smtp.send(letter(), intended)
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
            outcome = await smtp.send(letter(1), intended)
            after = await smtp.send(letter(2), intended)
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
    outcome = await smtp.send(letter(), intended)
    await smtp.close()
    assert outcome == Outcome(Answer.RELAY, None, told.format(port=port), pause, Stage.CONNECT)


async def test_a_server_that_comes_back_gets_the_mail() -> None:
    server = MailServer()
    with server:
        pass
    async with transport(server) as smtp:
        down = await smtp.send(letter(), intended)
        with server:
            up = await smtp.send(letter(), intended)
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
        outcome = await smtp.send(letter(to=address), intended)
    assert (outcome.answer, outcome.code, outcome.is_dead_address) == (Answer.REFUSED, None, True)
    assert outcome.reply.startswith("5.1.3 ")
    assert server.connections == 0


async def test_a_sender_that_cannot_be_mailed_blames_the_settings(server: MailServer) -> None:
    async with transport(server) as smtp:
        outcome = await smtp.send(letter(sender="seminar"), intended)
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, QUARTER)
    assert server.connections == 0


async def test_the_null_sender_may_send(server: MailServer) -> None:
    async with transport(server) as smtp:
        await smtp.send(letter(sender=""), intended)
    assert [got.sender for got in server.messages] == [""]


async def test_a_domain_in_chinese_goes_out_in_ascii(server: MailServer) -> None:
    async with transport(server) as smtp:
        await smtp.send(letter(to="ada@例子.公司"), intended)
    assert [got.recipient for got in server.messages] == ["ada@xn--fsqu00a.xn--55qx5d"]


async def test_a_local_part_in_chinese_needs_a_relay_that_carries_it(server: MailServer) -> None:
    async with transport(server, links=1) as smtp:
        outcome = await smtp.send(letter(1, to="王@example.org"), intended)
        after = await smtp.send(letter(2), intended)
    assert (outcome.answer, outcome.is_dead_address) == (Answer.REFUSED, False)
    assert "offers no SMTPUTF8" in outcome.reply
    assert after.answer is Answer.ACCEPTED
    with MailServer(smtputf8=True) as server_of_today:
        async with transport(server_of_today) as smtp:
            await smtp.send(letter(to="王@example.org"), intended)
    assert [got.recipient for got in server_of_today.messages] == ["王@example.org"]


async def test_a_message_too_large_for_the_server_is_refused_before_its_body_leaves() -> None:
    with MailServer(size=50) as server:
        async with transport(server) as smtp:
            outcome = await smtp.send(letter(), withdrawn)
    assert (outcome.answer, outcome.code, outcome.stage) == (Answer.REFUSED, 552, Stage.MAIL)


async def test_a_log_line_names_the_message_and_nobody(server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    server.say("rcpt", "550 5.1.1 <bob@example.org>: no such user")
    with caplog.at_level("INFO", "notifier"):
        async with transport(server) as smtp:
            await smtp.send(letter(to="bob@example.org"), intended)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "notifier.transports.smtp"]
    assert line.startswith("refused message=<2021-11-27.1@example.org> stage=rcpt code=550 in=")
    assert line.endswith("reply='5.1.1 <[address]>: no such user'")


def filed(path: Path) -> list[str]:
    """The Message-IDs that a mail program would find."""
    return sorted(str(message["Message-ID"]) for message in mailbox.Maildir(path, create=False))


async def test_a_maildir_holds_what_was_sent_as_other_programs_read_it(tmp_path: Path) -> None:
    path = tmp_path / "var" / "outbox"
    outcome = await MaildirTransport(path).send(letter(), intended)
    assert outcome.answer is Answer.ACCEPTED
    (message,) = mailbox.Maildir(path, create=False)
    assert message["Message-ID"] == letter().message_id
    assert message.get_payload() == "Hello.\n.\n..two\nEnd.\n"
    assert list((path / "tmp").iterdir()) == []


async def test_a_message_sent_again_to_a_maildir_takes_the_place_of_the_first(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    for number in (1, 2, 1, 1):
        await outbox.send(letter(number), intended)
    assert filed(tmp_path) == [letter(1).message_id, letter(2).message_id]


async def test_a_message_that_was_seen_already_is_not_filed_twice(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    await outbox.send(letter(), intended)
    (file,) = (tmp_path / "new").iterdir()
    seen = file.rename(tmp_path / "cur" / f"{file.name}:2,S")
    await outbox.send(letter(), intended)
    assert seen.exists()
    assert list((tmp_path / "new").iterdir()) == []


async def test_the_same_message_sent_at_once_lies_in_the_maildir_once(tmp_path: Path) -> None:
    outbox = MaildirTransport(tmp_path)
    outcomes = await asyncio.gather(*(outbox.send(letter(), intended) for _ in range(20)))
    assert {outcome.answer for outcome in outcomes} == {Answer.ACCEPTED}
    assert filed(tmp_path) == [letter().message_id]


@pytest.mark.parametrize("message_id", ["../../escape", "..", ".hidden", "a/b:2,S", "", "王" * 300])
async def test_no_message_id_leads_out_of_the_maildir(tmp_path: Path, message_id: str) -> None:
    odd = Letter("seminar@example.org", "ada@example.org", message_id, b"Subject: odd\r\n\r\n")
    await MaildirTransport(tmp_path / "box").send(odd, intended)
    (file,) = (tmp_path / "box" / "new").iterdir()
    assert file.read_bytes() == b"Subject: odd\n\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "box"]


async def test_nothing_is_filed_without_an_intent(tmp_path: Path) -> None:
    outcome = await MaildirTransport(tmp_path / "box").send(letter(), withdrawn)
    assert outcome.answer is Answer.FENCED
    assert list(tmp_path.iterdir()) == []


async def test_a_disk_that_takes_nothing_is_the_relays_fault(tmp_path: Path) -> None:
    (tmp_path / "box").write_text("a file where the folder should be")
    outcome = await MaildirTransport(tmp_path / "box").send(letter(), intended)
    assert (outcome.answer, outcome.pause) == (Answer.RELAY, MINUTE)
    assert outcome.reply.endswith("make room or give write permission")
