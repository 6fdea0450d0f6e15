"""One connection that is logged in + messages → what became of each (RFC 5321), in one round trip a message (RFC 2920).

aiosmtplib has connected, encrypted and logged in; from there our own protocol has the transport. It knows of every
message at which stage it stood when a link broke, which aiosmtplib cannot tell, and where the server offers PIPELINING
it writes a body and the next message's MAIL, RCPT and DATA at once. After a reply that makes no sense, and after a call
that was given up, nobody knows which reply comes next: then the link is gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import cast

import aiosmtplib

from notifier.errors import AddressError
from notifier.mime import WireText
from notifier.relay import SmtpSettings
from notifier.replies import (
    UNTIL_MENDED,
    Answer,
    Fault,
    MalformedReply,
    Outcome,
    Reply,
    ReplyReader,
    Stage,
    classify,
    legible,
)
from notifier.subscribers import envelope_address
from notifier.transports import Envelope, Outbox

MESSAGES = 100  # that one link carries; some providers count by connection
AGE = timedelta(seconds=300)
IDLE = timedelta(seconds=15)
_FAREWELL_SECONDS = 5
_LAST_LOOK_SECONDS = 0.05
_ALIGNED_SECONDS = 1  # for which the replies behind a body's are waited for, to see that none is missing


class Lost(Exception):
    """The link ended before the reply that was waited for, in the words of why."""


class Wire(asyncio.Protocol):
    """What is written goes out, and the replies come one by one, each waited for no longer than it may take.

    `lost` tells why it ended, "" while it has not, and `is_left_waiting` that it was for a reply that did not come.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.lost = ""
        self.is_left_waiting = False
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._patience = 0.0  # seconds, of the reply that is waited for
        self._due = 0.0
        self._is_last_look = False
        self._clock: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    @property
    def is_quiet(self) -> bool:
        """Open, and nothing came that was not asked for."""
        return not (self.lost or self._replies or self._transport.is_closing())

    def write(self, octets: bytes) -> None:
        """Sends these octets, or nothing on a link that is lost."""
        if not self.lost:
            self._transport.write(octets)

    def ask(self, octets: bytes) -> None:
        """Sends what is to be answered next. Raises Lost if that cannot be, because of an answer that came before."""
        if not self.is_quiet:
            raise Lost(self.lost or "the server answered what it was not asked")
        self.write(octets)

    async def reply(self, seconds: float, behind: int = 0) -> Reply:
        """The next reply, once so many more have come behind it. Raises Lost if that cannot be, or took longer."""
        while len(self._replies) <= behind:
            if self.lost:
                raise Lost(self.lost)
            self._watch(seconds)
            await self._woken()
        return self._replies.popleft()

    async def coming(self, count: int, seconds: float) -> list[int]:
        """The codes of the next replies: so many, or those that came in these seconds or before the link was lost."""
        if len(self._replies) < count and not self.lost:
            self._end_watch()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while len(self._replies) < count and not self.lost:
                        await self._woken()
        return [reply.code for reply in islice(self._replies, count)]

    def end(self, why: str) -> None:
        """Cuts the connection at once; what was written and has not left stays here."""
        self.lost = self.lost or why
        self._transport.abort()
        self._end_watch()
        self._wake()

    def data_received(self, data: bytes) -> None:
        """What the server said, in whatever portions."""
        try:
            self._replies.extend(self._reader.feed(data))
        except MalformedReply as error:
            self.end(str(error))
        if self._replies:
            self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """The end of the connection, of whichever side's making."""
        self.lost = self.lost or (f"the connection was lost ({error})" if error else "the server closed the connection")
        self._end_watch()
        self._wake()

    async def _woken(self) -> None:
        """Waits for whatever happens next."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _watch(self, seconds: float) -> None:
        # Nearly every reply comes in time, so one clock goes on over many of them, and looks what is due when it rings.
        self._patience, self._due, self._is_last_look = seconds, self._loop.time() + seconds, False
        if self._clock is None or self._clock.when() > self._due:
            self._end_watch()
            self._clock = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._clock = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._due:
            self._clock = self._loop.call_at(self._due, self._look)
        elif not self._is_last_look:
            # A process that was stopped itself, or had to wait, has yet to read what came meanwhile.
            self._is_last_look = True
            self._clock = self._loop.call_later(_LAST_LOOK_SECONDS, self._look)
        else:
            self.is_left_waiting = not self.lost
            self.end(f"no reply came in {self._patience:g} s")

    def _end_watch(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@dataclass(frozen=True, slots=True)
class Addressed:
    """A message whose addresses are fit for the wire: whole, and with an ASCII domain."""

    envelope: Envelope
    sender: str
    recipient: str

    @classmethod
    def of(cls, envelope: Envelope) -> Addressed | Outcome:
        """The envelope made fit, or the outcome that it has without any server."""
        try:
            recipient = envelope_address(envelope.recipient)
        except AddressError as error:
            return Outcome(Answer.REFUSED, None, legible(f"5.1.3 {error}"))
        try:
            # The null sender is how RFC 5321 section 4.5.5 says that no bounce is wanted.
            sender = envelope_address(envelope.sender) if envelope.sender else ""
        except AddressError as error:
            return Outcome(Answer.RELAY, None, legible(f"the sender: {error}"), UNTIL_MENDED, fault=Fault.SETTINGS)
        return cls(envelope, sender, recipient)

    @property
    def needs_utf8(self) -> bool:
        """One of the addresses is for servers with SMTPUTF8 (RFC 6531) alone."""
        return not (self.sender.isascii() and self.recipient.isascii())

    @property
    def octets(self) -> bytes:
        """The body as DATA takes it: CRLF everywhere (a bare LF could end it early), dots doubled, the final dot."""
        body = self.envelope.body
        if isinstance(body, WireText) and body.endswith(b"\r\n"):
            return body + b".\r\n"
        lines = (b"." + line if line.startswith(b".") else line for line in body.splitlines())
        return b"\r\n".join(lines) + b"\r\n.\r\n"


class AddressedOutbox:
    """An outbox whose messages are fit for the wire; those that cannot be made so are told of at once."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def next(self) -> Addressed | None:
        """The next message, waited for; None when there is nothing to carry now."""
        while (envelope := await self._outbox.next()) is not None:
            if (fit := self._fit(envelope)) is not None:
                return fit
        return None

    def ready(self) -> Addressed | None:
        """The next message if it may leave this instant."""
        while (envelope := self._outbox.ready()) is not None:
            if (fit := self._fit(envelope)) is not None:
                return fit
        return None

    def tell(self, message: Addressed, outcome: Outcome) -> None:
        """What became of a message."""
        self._outbox.tell(message.envelope, outcome)

    def _fit(self, envelope: Envelope) -> Addressed | None:
        fit = Addressed.of(envelope)
        if isinstance(fit, Addressed):
            return fit
        self._outbox.tell(envelope, fit)
        return None


_GO_ON = Outcome(Answer.ACCEPTED)
# To a MAIL: the server had enough of the link; or takes it for something else, such as a line of the body before it.
_OUT_OF_STEP = frozenset({421, 500, 502, 503})
_AFTER = {Stage.MAIL: Stage.RCPT, Stage.RCPT: Stage.DATA, Stage.DATA: Stage.DATA}


@dataclass(slots=True)
class _Turn:
    """A message on the link, the commands that open its transaction, and the stage to which it came."""

    message: Addressed
    commands: tuple[bytes, bytes, bytes]
    stage: Stage = Stage.MAIL


class Link:
    """One connection, open, encrypted and logged in; it carries messages one after the other.

    `is_answered_in_part` tells that the server, which offers groups of commands, left us waiting in the midst of one.
    """

    def __init__(self, client: aiosmtplib.SMTP, settings: SmtpSettings, *, stepwise: bool = False) -> None:
        self._client = client
        self._wire = Wire(cast("asyncio.Transport", client.transport))
        self._where = settings.where
        self._offers = {name.lower() for name in client.esmtp_extensions}
        self._pipelines = settings.pipelining and not stepwise and "pipelining" in self._offers
        self._seconds = {
            Stage.MAIL: settings.timeout.total_seconds(),
            Stage.RCPT: settings.timeout.total_seconds(),
            Stage.DATA: min(settings.timeout, settings.data_timeout).total_seconds(),
            Stage.BODY: settings.final_timeout.total_seconds(),
        }
        self._loop = asyncio.get_running_loop()
        self._born = self._loop.time()
        self._clock: asyncio.TimerHandle | None = None
        self._carried = 0
        self._is_spent = False
        self._needs_reset = False
        self.is_answered_in_part = False
        self._turns: deque[_Turn] = deque()  # on the wire: one, and a second while the first one's body is

    @property
    def is_usable(self) -> bool:
        """Whether another message may be carried."""
        age = self._loop.time() - self._born
        is_young = self._carried < MESSAGES and age < AGE.total_seconds()
        return is_young and not self._is_spent and self._wire.is_quiet

    async def carry(self, message: Addressed, outbox: AddressedOutbox) -> Addressed | None:
        """Carries this message and what the outbox has ready after it, and tells what became of each.

        Returns a message of which nothing was taken, because the link broke under the one before it or while at rest:
        it is for the next link.
        """
        try:
            self._begin(message, outbox)
            while self._turns:
                await self._take_turn(self._turns[0], outbox)
        except Lost as lost:
            self._wire.end(str(lost))
            turn = self._turns.popleft()
            is_amid = turn.stage in (Stage.RCPT, Stage.DATA)
            self.is_answered_in_part = is_amid and self._pipelines and self._wire.is_left_waiting
            if turn.stage is Stage.MAIL and self._carried:
                return turn.message
            outbox.tell(turn.message, classify(turn.stage, None, str(lost)))
            return self._turns[0].message if self._turns else None
        except BaseException:
            self._wire.end("it was given up")
            for turn in self._turns:
                is_out = turn.stage is Stage.BODY
                outbox.tell(turn.message, Outcome(Answer.AMBIGUOUS if is_out else Answer.UNTRIED, stage=turn.stage))
            raise
        return None

    def start_clock(self, retire: Callable[[Link], None]) -> None:
        """Begins a rest, at the end of which the link is to be retired."""
        self.stop_clock()
        self._clock = self._loop.call_later(IDLE.total_seconds(), retire, self)

    def stop_clock(self) -> None:
        """Ends a rest."""
        if self._clock is not None:
            self._clock.cancel()

    async def leave(self) -> None:
        """Says QUIT and closes the connection, whatever the server answers."""
        self._is_spent = True
        try:
            self._wire.write(b"QUIT\r\n")
            await self._wire.reply(_FAREWELL_SECONDS)
        except Lost:
            pass  # a server that is gone has been left as well
        finally:
            self.drop()

    def drop(self) -> None:
        """Closes the connection at once."""
        self._wire.end("it was dropped")
        self._client.close()

    async def _take_turn(self, turn: _Turn, outbox: AddressedOutbox) -> None:
        outcome = await self._address(turn)
        if outcome.answer is Answer.ACCEPTED:
            body = turn.message.octets
            following = self._following(outbox) if self._pipelines else b""
            self._wire.ask(body + following)  # or Lost, and nothing of the body has left
            turn.stage = Stage.BODY
            outcome = await self._fate()
        else:
            self._needs_reset = True
        self._carried += 1
        self._is_spent = self._is_spent or outcome.ends_link
        self._turns.popleft()
        outbox.tell(turn.message, outcome)
        if not self._turns:
            self._wire.write(self._following(outbox))

    async def _fate(self) -> Outcome:
        """What the server says of a body that it has."""
        behind = len(_AFTER) * (len(self._turns) - 1)  # replies that are due behind this one
        reply = await self._wire.reply(self._seconds[Stage.BODY])
        if reply.code == 354:
            # It was said twice. The body's reply is the next one, if those of the group behind it come as well.
            reply = await self._wire.reply(self._seconds[Stage.BODY], behind)
        elif reply.code // 100 == 2 and behind:
            # A server that says nothing of the body answers the MAIL next, which sounds just like it.
            codes = await self._wire.coming(behind, _ALIGNED_SECONDS)
            if 354 in codes[: behind - 1]:
                raise Lost("a reply is missing, which may have been the one to the body")
        return classify(Stage.BODY, reply.code, reply.text)

    async def _address(self, turn: _Turn) -> Outcome:
        """The server's first word against sender, recipient or DATA; else its 354."""
        verdict: Outcome | None = None
        has_recipient = False  # although the server refused the sender
        if self._needs_reset:
            await self._reset()
        for stage, command in zip((Stage.MAIL, Stage.RCPT, Stage.DATA), turn.commands, strict=True):
            try:
                if not self._pipelines:
                    self._wire.ask(command)
                reply = await self._wire.reply(self._seconds[stage])
            except Lost:
                if verdict is None:
                    raise
                return verdict
            if verdict is None:
                outcome = self._heard(turn, stage, reply)
                verdict = None if outcome.answer is Answer.ACCEPTED and stage is not Stage.DATA else outcome
                if verdict is not None and not self._pipelines:
                    break
            elif stage is Stage.RCPT:
                has_recipient = reply.code // 100 == 2
            elif reply.code == 354 and has_recipient:
                self._wire.end(
                    "the server takes mail from a sender whom it refused"
                )  # anything else were an empty mail
            elif reply.code == 354:
                await self._end_empty()
        assert verdict is not None
        return verdict

    def _heard(self, turn: _Turn, stage: Stage, reply: Reply) -> Outcome:
        if stage is Stage.MAIL and reply.code in _OUT_OF_STEP and self._carried:
            raise Lost(reply.text)  # it is about the link, and the server knows nothing of this message
        if reply.code == 354 if stage is Stage.DATA else reply.code // 100 == 2:
            turn.stage = _AFTER[stage]
            return _GO_ON
        return classify(stage, reply.code, reply.text)

    async def _reset(self) -> None:
        if not self._pipelines:
            self._wire.ask(b"RSET\r\n")
        reply = await self._wire.reply(self._seconds[Stage.MAIL])
        if reply.code // 100 != 2:
            raise Lost(f"RSET was answered {reply.code} {legible(reply.text)}")
        self._needs_reset = False

    async def _end_empty(self) -> None:
        # RFC 2920 section 3.1: a DATA that is accepted although no recipient was, is ended with a lone dot.
        self._wire.write(b".\r\n")
        try:
            await self._wire.reply(self._seconds[Stage.BODY])
        except Lost as lost:
            self._wire.end(str(lost))

    def _begin(self, message: Addressed, outbox: AddressedOutbox) -> None:
        if (octets := self._opened(message, outbox)) is None:
            octets = self._following(outbox)
        self._wire.write(octets)

    def _following(self, outbox: AddressedOutbox) -> bytes:
        """The commands that open the next message's transaction, if there is one and the link may carry it."""
        while self.is_usable and (message := outbox.ready()) is not None:
            if (octets := self._opened(message, outbox)) is not None:
                return octets
        return b""

    def _opened(self, message: Addressed, outbox: AddressedOutbox) -> bytes | None:
        """Puts the message on the link; returns what is to be written now. None where this server cannot carry it."""
        if message.needs_utf8 and "smtputf8" not in self._offers:
            words = f"5.6.7 {self._where} cannot carry the address {message.recipient}: it offers no SMTPUTF8"
            outbox.tell(message, Outcome(Answer.REFUSED, None, legible(words)))
            return None
        self._turns.append(turn := _Turn(message, self._commands(message)))
        if not self._pipelines:
            return b""
        return b"".join((b"RSET\r\n" if self._needs_reset else b"", *turn.commands))

    def _commands(self, message: Addressed) -> tuple[bytes, bytes, bytes]:
        mail, rcpt = f"MAIL FROM:<{message.sender}>", f"RCPT TO:<{message.recipient}>"
        body = message.envelope.body
        if "size" in self._offers:
            mail += f" SIZE={len(body)}"
        if "8bitmime" in self._offers and not body.isascii():
            mail += " BODY=8BITMIME"
        if message.needs_utf8:
            mail += " SMTPUTF8"
        if "dsn" in self._offers:
            # RFC 3461: what comes back is short, and names the message; a Message-ID may be longer than ENVID's 100.
            mail += f" RET=HDRS ENVID={message.envelope.mark}" if message.envelope.mark else " RET=HDRS"
            rcpt += " NOTIFY=FAILURE,DELAY"
        return f"{mail}\r\n".encode(), f"{rcpt}\r\n".encode(), b"DATA\r\n"
