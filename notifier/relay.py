"""`SmtpSettings` → a connection to the mail server, encrypted and logged in, or in words why there is none."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import aiosmtplib

from notifier.advice import Offer
from notifier.errors import ConfigError, Problem
from notifier.replies import UNTIL_MENDED, Answer, Fault, Outcome, Stage, classify, legible

_FAREWELL_SECONDS = 5


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """How to reach the mail server.

    `ca_file` is trusted beside the system's authorities. `local_hostname` is what EHLO says, "" for this machine's
    own name. `pipelining` False keeps to one command at a time with a server that offers more than it can. The times
    are those of RFC 5321 section 4.5.3.2; a server that is given up before `final_timeout` may have taken the message.

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
    pipelining: bool = True
    connect_timeout: timedelta = timedelta(seconds=30)
    timeout: timedelta = timedelta(seconds=300)
    data_timeout: timedelta = timedelta(seconds=120)
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


class Unreachable(Exception):
    """The way to the server ended before a message was on it; the outcome lays it on the relay."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reply)
        self.outcome = outcome


def tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    """What every connection's encryption begins with; to be made once, for it costs 24 ms. None where there is none.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """
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


async def connect(settings: SmtpSettings, tls: ssl.SSLContext | None) -> aiosmtplib.SMTP:
    """A client that is connected, encrypted as the settings demand, and logged in.

    Raises:
        Unreachable: it could not be had; the outcome lays it on the relay and says what to do.
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
        abort(client)
        raise Unreachable(_diagnosed(settings, stage, error)) from error
    except BaseException:
        abort(client)
        raise
    return client


async def farewell(client: aiosmtplib.SMTP) -> None:
    """Says QUIT and closes the connection, whatever the server answers."""
    try:
        await client.execute_command(b"QUIT", timeout=_FAREWELL_SECONDS)
    except aiosmtplib.SMTPException:
        pass  # a server that is gone has been left as well
    finally:
        abort(client)


def abort(client: aiosmtplib.SMTP) -> None:
    """Closes the connection at once."""
    # close() alone would go on to send what is left of a body that was given up.
    if client.transport is not None:
        cast("asyncio.Transport", client.transport).abort()
    client.close()


def _diagnosed(settings: SmtpSettings, stage: Stage, error: Exception) -> Outcome:
    # An error with a code of success is an answer to something else, and no message has gone through for it.
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= 300:
        outcome = classify(stage, error.code, error.message)
    else:
        words, mendable = _explained(settings, stage, error)
        outcome = classify(stage, None, words)
        if mendable:
            outcome = replace(outcome, pause=UNTIL_MENDED, fault=Fault.SETTINGS)
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


@dataclass(frozen=True, slots=True)
class Report:
    """What a mail server offers to these settings: `outcome` is RELAY where it could not be reached or refused us."""

    outcome: Outcome
    offer: Offer = field(default_factory=lambda: Offer({}, ()))


async def check(settings: SmtpSettings) -> Report:
    """What the server says to us before any message: connects, encrypts, logs in, and leaves.

    Raises:
        ConfigError: the file of trusted authorities cannot be used.
    """
    try:
        client = await connect(settings, tls_context(settings))
    except Unreachable as stopped:
        return Report(stopped.outcome)
    encryption = client.get_transport_info("ssl_object")
    report = Report(
        Outcome(Answer.ACCEPTED, None, f"{settings.where} is ready for mail"),
        Offer(
            {name.lower(): legible(value) for name, value in client.esmtp_extensions.items()},
            tuple(method.upper() for method in client.server_auth_methods),
            encryption.version() if encryption else "",
            _end(encryption.getpeercert()) if encryption else None,
        ),
    )
    await farewell(client)
    return report


def _end(certificate: dict[str, Any]) -> datetime | None:
    """When the certificate ends."""
    text = certificate.get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC) if text else None
