"""Message → the wire → an `Outcome`: SMTP through a few kept links, or files in a Maildir.

The law of this file: no DATA without a committed intent. `before_data` is awaited when the server has accepted sender
and recipient, right before DATA, and False there ends the transaction. Once the first octet of a body has left, only
the server's own reply says what became of it; whatever lacks one is ambiguous.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import re
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, cast

import aiosmtplib

from notifier.errors import AddressError, ConfigError, Problem
from notifier.subscribers import normalised_address

log = logging.getLogger(__name__)

BeforeData = Callable[[], Awaitable[bool]]


class Answer(StrEnum):
    """What became of a message."""

    ACCEPTED = "accepted"
    DEFERRED = "deferred"  # nothing was taken; try again later
    REFUSED = "refused"  # nothing was taken, and the same message to the same address never will be
    AMBIGUOUS = "ambiguous"  # the body left and no reply came: it may have arrived
    RELAY = "relay"  # the mail server or our settings are at fault, whoever the recipient is
    FENCED = "fenced"  # `before_data` said no


class Stage(StrEnum):
    """The step of the SMTP dialogue that a reply belongs to."""

    CONNECT = "connect"
    HELLO = "hello"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the word DATA, before any of the body
    BODY = "body"  # the final dot


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the mail server answered.

    `reply` is one printable line of at most 500 characters without any secret. `pause` is how long the whole relay
    should rest, None for not at all. `stage` is None where no server was asked.
    """

    answer: Answer
    code: int | None = None
    reply: str = ""
    pause: timedelta | None = None
    stage: Stage | None = None

    @property
    def is_dead_address(self) -> bool:
        """The mailbox or its domain is said not to exist, for good (RFC 3463 section 3.2)."""
        return self.answer is Answer.REFUSED and _enhanced(5, self.reply) in {"5.1.1", "5.1.2", "5.1.3", "5.1.10"}


class Envelope(Protocol):
    """A message ready for the wire: `body` is the complete RFC 5322 text with CRLF, in 7-bit octets."""

    @property
    def sender(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def message_id(self) -> str: ...
    @property
    def body(self) -> bytes: ...


class Transport(Protocol):
    """A way for messages to leave."""

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        """What became of the message; a failure of the transport is an outcome, not an exception."""
        ...

    async def close(self) -> None:
        """Gives back what is held open; a message on the wire still ends."""
        ...


_SOON = timedelta(seconds=15)
_MINUTE = timedelta(minutes=1)
_NETEASE_SPAM = timedelta(minutes=2)  # what the provider itself asks for
_QUARTER = timedelta(minutes=15)  # frequency windows, and settings that a person must mend
_DAY = timedelta(days=1)  # daily quotas are rolling


class _Rule(NamedTuple):
    """Every field that is not empty must match: the two codes (the second of RFC 3463) whole, the words anywhere."""

    stages: frozenset[Stage]
    code: str
    enhanced: str
    words: str
    answer: Answer
    pause: timedelta | None = None

    def fits(self, stage: Stage, code: str, enhanced: str, reply: str) -> bool:
        return (
            stage in self.stages
            and bool(re.fullmatch(self.code, code))
            and (not self.enhanced or bool(re.fullmatch(self.enhanced, enhanced)))
            and (not self.words or bool(re.search(self.words, reply, re.IGNORECASE)))
        )


_ANY = frozenset(Stage)
_LINKING = frozenset({Stage.CONNECT, Stage.HELLO, Stage.TLS, Stage.AUTH})
_AUTH = frozenset({Stage.AUTH})
_MAIL = frozenset({Stage.MAIL})
_RCPT = frozenset({Stage.RCPT})
_DATA = frozenset({Stage.DATA})
_BODY = frozenset({Stage.BODY})
_ADDRESSED = _RCPT | _DATA | _BODY
_NONE = "-"  # the code of a reply that never came or was no reply

# Words that speak of us, so that every recipient would meet them.
_OF_US = (
    r"sender (address |is )?rejected|fake sender|suspected spam sender|client host rejected|helo command rejected"
    r"|not logged in|authenticat\w+ (is )?required|must be authenticated|same as authori[sz]ation"
    r"|DMARC|SPF (check )?fail|DT:SUM"
)
_OF_RELAYING = (
    r"relay(ing)?( access| is)* (denied|prohibited|not (allowed|permitted))|(unable to|denies) relay|rcpthosts"
)
_FULL = r"mailbox( is)? full|over ?quota|quota( is)? exceeded"

# The first rule that fits decides. Providers in the wild use 5yz for what passes, so their words come first.
_RULES = (
    _Rule(_ANY - _DATA, "2..", "", "", Answer.ACCEPTED),
    _Rule(_DATA, "354", "", "", Answer.ACCEPTED),
    # No reply: nothing was taken, unless the body had left. A server that hangs up in the middle of a login means no.
    _Rule(_BODY, _NONE, "", "", Answer.AMBIGUOUS),
    _Rule(_AUTH, _NONE, "", "", Answer.RELAY, _QUARTER),
    _Rule(_ANY, _NONE, "", "", Answer.DEFERRED),
    # Limits: Gmail and Outlook by the day; Tencent ("550 Sender frequency limited") and NetEase (HL, MI, RP) by window.
    _Rule(_ANY, "5..", r"5\.4\.5", "", Answer.DEFERRED, _DAY),
    _Rule(_ANY, "[45]..", "", r"(daily|sending)\b.{0,40}\b(quota|limit)|MI:STC|RP:TRC", Answer.DEFERRED, _DAY),
    _Rule(_ANY, "[45]..", "", r"frequency limited|HL:IFC|MI:SFQ|RP:QRC", Answer.DEFERRED, _QUARTER),
    _Rule(_ANY, "[45]..", "", r"HL:ICC|too many( concurrent)? (connections|sessions)", Answer.DEFERRED, _MINUTE),
    _Rule(_ANY, "[45]..", "", r"MI:DMC|RP:DRC", Answer.DEFERRED),  # this link has carried enough; a new one goes on
    _Rule(_ANY, "5..", "", r"rate limit|throttl|too many (messages|e?mails)", Answer.DEFERRED, _QUARTER),
    _Rule(_BODY, "451", "", "DT:SPM", Answer.DEFERRED, _NETEASE_SPAM),
    # Not now. Before MAIL nobody is addressed, so `classify` lays it on the relay.
    _Rule(_AUTH, "4..", "", "", Answer.RELAY, _MINUTE),
    _Rule(_ANY, "421", "", "", Answer.DEFERRED, _SOON),
    _Rule(_ANY, "4..", "", "", Answer.DEFERRED),
    # Greeting, TLS, login and sender are ours: a person has to look.
    _Rule(_LINKING, "5..", "", "", Answer.RELAY, _QUARTER),
    _Rule(_MAIL, "5..", r"5\.3\.4", "", Answer.REFUSED),
    _Rule(_MAIL, "552", "", "", Answer.REFUSED),  # larger than SIZE
    _Rule(_MAIL, "5..", "", "", Answer.RELAY, _QUARTER),
    _Rule(_RCPT | _DATA, "53.", "", "", Answer.RELAY, _QUARTER),
    _Rule(_ADDRESSED, "5..", r"5\.1\.[78]", "", Answer.RELAY, _QUARTER),
    _Rule(_ADDRESSED, "5..", "", _OF_US, Answer.RELAY, _QUARTER),
    # Policy and syntax may differ by recipient: if they put the message back, one address could hold up all others.
    _Rule(_ADDRESSED, "5..", r"5\.7\..*", "", Answer.DEFERRED, _SOON),
    _Rule(_RCPT | _DATA, "50[0234]", "", "", Answer.DEFERRED, _SOON),
    _Rule(_ADDRESSED, "5..", "", _OF_RELAYING, Answer.DEFERRED, _SOON),
    # Full mailboxes are emptied; RFC 5321 section 4.5.3.1.10 reads 552 at RCPT as 452.
    _Rule(_RCPT, "552", "", "", Answer.DEFERRED),
    _Rule(_ADDRESSED, "5..", r"5\.2\.2", "", Answer.DEFERRED),
    _Rule(_ADDRESSED, "5..", "", _FULL, Answer.DEFERRED),
    # Tencent's words for an address that had much mail lately.
    _Rule(_ADDRESSED, "550", "", "mailbox unavailable or access denied", Answer.DEFERRED),
    _Rule(_ADDRESSED, "5..", "", "", Answer.REFUSED),
    # A reply that makes no sense here.
    _Rule(_BODY, "...", "", "", Answer.AMBIGUOUS),
    _Rule(_ANY, "...", "", "", Answer.DEFERRED),
)


def classify(stage: Stage, code: int | None, reply: str) -> Outcome:
    """What this reply at this stage means; `code` is None where no reply came.

    ACCEPTED at a stage before BODY means that the dialogue may go on.
    """
    said = legible(reply)
    if code is not None and not 200 <= code <= 599:
        code = None
    enhanced = _enhanced(code // 100, said) if code else ""
    rule = next(r for r in _RULES if r.fits(stage, str(code or _NONE), enhanced, said))
    if stage in _LINKING and rule.answer is not Answer.ACCEPTED:
        return Outcome(Answer.RELAY, code, said, rule.pause or _SOON, stage)
    return Outcome(rule.answer, code, said, rule.pause, stage)


def legible(reply: str) -> str:
    """The server's words in one printable line of at most 500 characters.

    Octets that were not UTF-8 (surrogates, as aiosmtplib gives them) are read as GB 18030, in which Chinese providers
    answer, else replaced.
    """
    octets = reply.encode("utf-8", "surrogateescape")
    for encoding in ("utf-8", "gb18030"):
        try:
            text = octets.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        text = octets.decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:500]


def _enhanced(digit: int, reply: str) -> str:
    """The enhanced status code in the reply, if of the same class as the code; no part of an IP address."""
    found = re.search(rf"(?<![\d.]){digit}\.\d{{1,3}}\.\d{{1,3}}(?![\d.]*\d)", reply)
    return found[0] if found else ""


_MESSAGES_PER_LINK = 100
_LINK_AGE = timedelta(seconds=300)
_LINK_IDLE = timedelta(seconds=15)
_FAREWELL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach the mail server.

    `ca_file` is trusted beside the system's authorities. `local_hostname` is what EHLO says, "" for this machine's
    own name. `timeout` is for every reply but the last, for which RFC 5321 section 4.5.3.2.6 asks for ten minutes: a
    server that is given up sooner may have taken the message.

    Raises:
        ConfigError: a login would cross the network in clear, a host name is none, or `links` is not positive.
    """

    host: str
    port: int = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None
    links: int = 2
    local_hostname: str = ""
    connect_timeout: timedelta = timedelta(seconds=30)
    timeout: timedelta = timedelta(seconds=300)
    final_timeout: timedelta = timedelta(seconds=600)

    def __post_init__(self) -> None:
        problems = []
        if self.username and self.tls == "none":
            told = f"the login {self.username!r} would cross the network in clear: tls is none"
            problems.append(Problem(told, 'set tls = "starttls" or "implicit", or remove the username'))
        if not re.fullmatch(r"\S+", self.host):
            problems.append(Problem(f"host is {self.host!r}", "give a name or an address without spaces"))
        if not re.fullmatch(r"[!-~]*", self.local_hostname):
            problems.append(Problem(f"local_hostname is {self.local_hostname!r}", "give an ASCII name without spaces"))
        if self.links < 1:
            problems.append(Problem(f"links is {self.links}", "nothing can be sent over fewer than 1"))
        if problems:
            raise ConfigError(problems)

    @property
    def where(self) -> str:
        """The server as people name it: host:port."""
        return f"{self.host}:{self.port}"


class SmtpTransport:
    """Sends over at most `links` connections at once and keeps them open for the next message.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._tls = _tls_context(settings)
        self._slots = asyncio.Semaphore(settings.links)
        self._idle: list[_Link] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed = False

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        """What became of the message. A cancelled call gives up its link, for a late reply must not meet the next."""
        began = asyncio.get_running_loop().time()
        try:
            outcome = await self._send(_Addressed.of(envelope), before_data)
        except _Stopped as stopped:
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
            link = _Link(await _connect(self._settings, self._tls), self._settings)
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


class _Stopped(Exception):
    """The way to the server ended before a message was on it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reply)
        self.outcome = outcome


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
            raise _Stopped(Outcome(Answer.REFUSED, None, legible(f"5.1.3 {error}"))) from error
        try:
            # The null sender is how RFC 5321 section 4.5.5 says that no bounce is wanted.
            sender = normalised_address(envelope.sender) if envelope.sender else ""
        except AddressError as error:
            raise _Stopped(Outcome(Answer.RELAY, None, legible(f"the sender: {error}"), _QUARTER)) from error
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
        try:
            await self._ask(Stage.MAIL, b"QUIT", seconds=_FAREWELL_SECONDS)
        finally:
            self.drop()

    def drop(self) -> None:
        _abort(self._client)

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

    async def _ask(self, stage: Stage, command: bytes, seconds: float | None = None) -> Outcome:
        timeout = self._settings.timeout.total_seconds() if seconds is None else seconds
        try:
            reply = await self._client.execute_command(command, timeout=timeout)
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


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    # One context for every link: it costs 24 ms to build.
    if settings.tls == "none":
        return None
    try:
        context = ssl.create_default_context()
        if settings.ca_file:
            context.load_verify_locations(settings.ca_file)
    except OSError as error:
        problem = Problem(
            f"ca_file {settings.ca_file} cannot be used: {error}", "name a readable file of PEM certificates"
        )
        raise ConfigError(problem) from error
    return context


async def _connect(settings: SmtpSettings, tls: ssl.SSLContext | None) -> aiosmtplib.SMTP:
    """A client that is connected, encrypted as the settings demand, and logged in.

    Raises:
        _Stopped: it could not be had; the outcome lays it on the relay and says what to do.
    """
    client = aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        use_tls=settings.tls == "implicit",
        start_tls=False,  # done below, as a step of its own
        tls_context=tls,
        local_hostname=settings.local_hostname or None,
        timeout=settings.timeout.total_seconds(),
    )
    stage = Stage.CONNECT
    try:
        await client.connect(timeout=settings.connect_timeout.total_seconds())
        stage = Stage.HELLO
        await client.ehlo()
        if settings.tls == "starttls":
            stage = Stage.TLS
            await client.starttls(timeout=settings.connect_timeout.total_seconds())
            await client.ehlo()
        if settings.username:
            stage = Stage.AUTH
            await client.login(settings.username, settings.password)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        _abort(client)
        raise _Stopped(_diagnosed(settings, stage, error)) from error
    except BaseException:
        _abort(client)
        raise
    return client


def _abort(client: aiosmtplib.SMTP) -> None:
    # close() alone would go on to send what is left of a body that was given up.
    if client.transport is not None:
        cast("asyncio.Transport", client.transport).abort()
    client.close()


def _diagnosed(settings: SmtpSettings, stage: Stage, error: Exception) -> Outcome:
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code > 0:
        outcome = classify(stage, error.code, error.message)
    else:
        words, mendable = _explained(settings, stage, error)
        outcome = classify(stage, None, words)
        if mendable:
            outcome = replace(outcome, pause=_QUARTER)
    return replace(outcome, reply=_without_secrets(settings, outcome.reply))


def _explained(settings: SmtpSettings, stage: Stage, error: Exception) -> tuple[str, bool]:
    """What happened and what to do about it, and whether waiting alone will not help."""
    where = settings.where
    match error.__cause__ if isinstance(error, aiosmtplib.SMTPConnectError) else error:
        case ssl.SSLCertVerificationError() as cause:
            return (
                f"the certificate of {where} was not accepted ({cause.verify_message}); set ca_file to the certificate"
                " of its authority, or host to a name that the certificate holds"
            ), True
        case ssl.SSLError() as cause:
            return (
                f'{where} agreed on no TLS ({cause.reason}); use tls = "implicit" on port 465, "starttls" on 587'
            ), True
        case socket.gaierror() as cause:
            return f"{settings.host} was not found ({cause.strerror}); check host and the network", False
        case ConnectionRefusedError():
            return f"nothing listens at {where}; check host and port", False
        case TimeoutError() if stage is Stage.CONNECT:
            return f'{where} gave no greeting in time; check host and port, and on port 465 use tls = "implicit"', False
        case UnicodeError() if stage is Stage.CONNECT:
            return f"{settings.host!r} is no host name; check host", True
    if type(error) is aiosmtplib.SMTPException and stage is Stage.TLS:
        return (
            f"{where} offers no STARTTLS, and nothing is sent in clear; use the submission port 587,"
            ' or tls = "implicit" on port 465'
        ), True
    if type(error) is aiosmtplib.SMTPException and stage is Stage.AUTH:
        return f"{where} offers no login that we know; remove the username, or use the submission port 587", True
    if stage is Stage.AUTH:
        return f"{where} ended the login without a word ({error}); check username and password", True
    return f"{where}: {error}", False


def _without_secrets(settings: SmtpSettings, reply: str) -> str:
    """The reply, also if the server repeats what a login told it."""
    if not settings.password:
        return reply
    plain = f"\0{settings.username}\0{settings.password}"
    for secret in (settings.password, *(base64.b64encode(s.encode()).decode() for s in (plain, settings.password))):
        reply = reply.replace(secret, "[password]")
    return reply


def _log_outcome(envelope: Envelope, outcome: Outcome, seconds: float) -> None:
    # A ledger may name people; a log must not.
    reply = re.sub(r"[^\s<>]+@[^\s<>]+", "[address]", outcome.reply)
    facts = (outcome.answer, envelope.message_id, outcome.stage or "-", outcome.code or "-", seconds, reply)
    log.info("%s message=%s stage=%s code=%s in=%.1fs reply=%r", *facts)


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail server offers to these settings: `outcome` is RELAY where it could not be reached or refused us."""

    outcome: Outcome
    tls: str = ""
    features: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()


async def check(settings: SmtpSettings) -> Report:
    """What the server says to us before any message: connects, encrypts, logs in, and leaves.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """
    try:
        client = await _connect(settings, _tls_context(settings))
    except _Stopped as stopped:
        return Report(stopped.outcome)
    encryption = client.get_transport_info("ssl_object")
    report = Report(
        Outcome(Answer.ACCEPTED, None, f"{settings.where} is ready for mail"),
        tls=encryption.version() if encryption else "",
        features=tuple(f"{name} {value}".strip().upper() for name, value in client.esmtp_extensions.items()),
        logins=tuple(method.upper() for method in client.server_auth_methods),
    )
    await _Link(client, settings).leave()
    return report


class MaildirTransport:
    """Files messages in a Maildir, for trying things out and for mail that another program carries on.

    A message's file is named after its Message-ID, so that a resend takes the place of the first.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, envelope: Envelope, before_data: BeforeData) -> Outcome:
        """ACCEPTED when the message lies on the disk for good; RELAY when the disk will not have it."""
        if not await before_data():
            outcome = Outcome(Answer.FENCED, None, "the intent to send was not recorded")
        else:
            outcome = await asyncio.to_thread(self._file, envelope)
        log.info("%s message=%s maildir=%s", outcome.answer, envelope.message_id, self._path)
        return outcome

    async def close(self) -> None:
        """Nothing is held open."""

    def _file(self, envelope: Envelope) -> Outcome:
        try:
            for folder in ("tmp", "new", "cur"):
                (self._path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            place = self._place(envelope.message_id)
            _write_durably(self._path / "tmp", place, envelope.body)
        except OSError as error:
            words = f"the Maildir {self._path} took no message ({error.strerror}); make room or give write permission"
            return Outcome(Answer.RELAY, None, legible(words), _MINUTE)
        return Outcome(Answer.ACCEPTED, None, f"filed as {place.relative_to(self._path)}")

    def _place(self, message_id: str) -> Path:
        # A digest holds no slash, colon or leading dot, whatever the Message-ID holds.
        name = hashlib.sha256(message_id.encode()).hexdigest()[:32]
        # A mail program moves what was seen to cur/ and appends its flags.
        return next((self._path / "cur").glob(f"{name}*"), self._path / "new" / name)


def _write_durably(scratch: Path, place: Path, body: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=scratch, delete=False) as file:
        try:
            file.write(body.replace(b"\r\n", b"\n"))  # mail on a disk has the system's line ends
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(place)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
