"""Messages through a mail server, over a few connections that are kept for the next message."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import aiosmtplib

from notifier import relay
from notifier.errors import AddressError
from notifier.relay import SmtpSettings, Unreachable
from notifier.replies import UNTIL_MENDED, Answer, Outcome, Stage, classify, legible
from notifier.subscribers import normalised_address
from notifier.transports import BeforeData, Envelope

log = logging.getLogger(__name__)

_MESSAGES_PER_LINK = 100
_LINK_AGE = timedelta(seconds=300)
_LINK_IDLE = timedelta(seconds=15)


class SmtpTransport:
    """Sends over at most `links` connections at once and keeps them open for the next message.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._tls = relay.tls_context(settings)
        self._slots = asyncio.Semaphore(settings.links)
        self._idle: list[_Link] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        """What became of the message. A cancelled call gives up its link, for a late reply must not meet the next."""
        began = asyncio.get_running_loop().time()
        try:
            outcome = await self._send(_Addressed.of(envelope), before_data)
        except Unreachable as stopped:
            outcome = stopped.outcome
        _log_outcome(envelope, outcome, asyncio.get_running_loop().time() - began)
        return outcome

    async def close(self) -> None:
        """Says goodbye on the links that rest; one that carries a message is closed when that has ended."""
        self._closed = True
        links, self._idle = self._idle, []
        for link in links:
            link.stop_clock()
        await asyncio.gather(*(link.leave() for link in links), *self._leaving)

    async def _send(self, message: _Addressed, before_data: BeforeData) -> Outcome:
        async with self._slots:
            if link := self._rested():
                outcome = await self._carry(link, message, before_data)
                # The server may have closed the link while it rested; that is nobody's failure.
                if not (outcome.stage is Stage.MAIL and outcome.code in (None, 421)):
                    return outcome
            link = _Link(await relay.connect(self._settings, self._tls), self._settings)
            return await self._carry(link, message, before_data)

    async def _carry(self, link: _Link, message: _Addressed, before_data: BeforeData) -> Outcome:
        try:
            return await link.carry(message, before_data)
        finally:
            if link.is_reusable and not self._closed:
                self._idle.append(link)
                link.start_clock(self._retire)
            else:
                link.drop()

    def _rested(self) -> _Link | None:
        while self._idle:
            link = self._idle.pop()
            link.stop_clock()
            if link.is_connected:
                return link
            link.drop()
        return None

    def _retire(self, link: _Link) -> None:
        self._idle.remove(link)
        task = asyncio.get_running_loop().create_task(link.leave())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)


@dataclass(frozen=True, slots=True)
class _Addressed:
    """An envelope whose addresses are fit for the wire, whole and with an ASCII domain."""

    sender: str
    recipient: str
    body: bytes

    @classmethod
    def of(cls, envelope: Envelope) -> _Addressed:
        try:
            recipient = normalised_address(envelope.recipient)
        except AddressError as error:
            raise Unreachable(Outcome(Answer.REFUSED, None, legible(f"5.1.3 {error}"))) from error
        try:
            # The null sender is how RFC 5321 section 4.5.5 says that no bounce is wanted.
            sender = normalised_address(envelope.sender) if envelope.sender else ""
        except AddressError as error:
            raise Unreachable(Outcome(Answer.RELAY, None, legible(f"the sender: {error}"), UNTIL_MENDED)) from error
        return cls(sender, recipient, envelope.body)

    @property
    def needs_utf8(self) -> bool:
        return not (self.sender + self.recipient).isascii()

    @property
    def octets(self) -> bytes:
        """The body as DATA takes it: CRLF everywhere (a bare LF could end it early), dots doubled, the final dot."""
        lines = (b"." + line if line.startswith(b".") else line for line in self.body.splitlines())
        return b"\r\n".join(lines) + b"\r\n.\r\n"


class _Link:
    """One connection, open, encrypted and logged in. It carries one message at a time."""

    def __init__(self, client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
        self.is_reusable = False
        self._client = client
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._opened = self._loop.time()
        self._carried = 0
        self._clock: asyncio.TimerHandle | None = None

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    async def carry(self, message: _Addressed, before_data: BeforeData) -> Outcome:
        self.is_reusable = False  # until the dialogue has come to a known end
        outcome = await self._transact(message, before_data)
        self._carried += 1
        # A server that puts us off may count by connection (NetEase MI:DMC), so the next message gets a new one.
        settled = outcome.answer in {Answer.ACCEPTED, Answer.REFUSED, Answer.FENCED}
        if settled and self._is_young and (outcome.answer is Answer.ACCEPTED or await self._reset()):
            self.is_reusable = True
        elif outcome.code is not None:
            await self.leave()
        return outcome

    def start_clock(self, retire: Callable[[_Link], None]) -> None:
        self._clock = self._loop.call_later(_LINK_IDLE.total_seconds(), retire, self)

    def stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()

    async def leave(self) -> None:
        await relay.farewell(self._client)

    def drop(self) -> None:
        relay.abort(self._client)

    @property
    def _is_young(self) -> bool:
        age = self._loop.time() - self._opened
        return self._carried < _MESSAGES_PER_LINK and age < _LINK_AGE.total_seconds()

    async def _transact(self, message: _Addressed, before_data: BeforeData) -> Outcome:
        if message.needs_utf8 and not self._client.supports_extension("smtputf8"):
            reply = f"5.6.7 {self._settings.where} cannot carry the address {message.recipient}: it offers no SMTPUTF8"
            return Outcome(Answer.REFUSED, None, legible(reply))
        for stage, command in ((Stage.MAIL, self._mail(message)), (Stage.RCPT, _path(b"RCPT TO:", message.recipient))):
            outcome = await self._ask(stage, command)
            if outcome.answer is not Answer.ACCEPTED:
                return outcome
        if not await before_data():
            return Outcome(Answer.FENCED, None, "the intent to send was not recorded")
        outcome = await self._ask(Stage.DATA, b"DATA")
        return await self._tell(message.octets) if outcome.answer is Answer.ACCEPTED else outcome

    def _mail(self, message: _Addressed) -> bytes:
        command = _path(b"MAIL FROM:", message.sender)
        if self._client.supports_extension("size"):
            command += b" SIZE=%d" % len(message.body)
        return command + b" SMTPUTF8" if message.needs_utf8 else command

    async def _ask(self, stage: Stage, command: bytes) -> Outcome:
        try:
            reply = await self._client.execute_command(command, timeout=self._settings.timeout.total_seconds())
        except aiosmtplib.SMTPException as error:
            return classify(stage, None, error.message)
        return classify(stage, reply.code, reply.message)

    async def _tell(self, octets: bytes) -> Outcome:
        # aiosmtplib's own data() cannot say whether a link was lost before the body left or after.
        protocol = self._client.protocol
        if protocol is None or not protocol.is_connected:
            return classify(Stage.DATA, None, "the connection was lost before the message left")
        try:
            protocol.write(octets)
            reply = await protocol.read_response(timeout=self._settings.final_timeout.total_seconds())
        except aiosmtplib.SMTPException as error:
            return classify(Stage.BODY, None, error.message)
        return classify(Stage.BODY, reply.code, reply.message)

    async def _reset(self) -> bool:
        return (await self._ask(Stage.MAIL, b"RSET")).answer is Answer.ACCEPTED


def _path(verb: bytes, address: str) -> bytes:
    return b"%s<%s>" % (verb, address.encode())


def _log_outcome(envelope: Envelope, outcome: Outcome, seconds: float) -> None:
    # A ledger may name people; a log must not.
    reply = re.sub(r"[^\s<>]+@[^\s<>]+", "[address]", outcome.reply)
    facts = (outcome.answer, envelope.message_id, outcome.stage or "-", outcome.code or "-", seconds, reply)
    log.info("%s message=%s stage=%s code=%s in=%.1fs reply=%r", *facts)
