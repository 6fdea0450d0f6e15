"""Real mail servers on loopback that do as they are told, each in a thread of its own.

`MailServer` is aiosmtpd with a script of replies; `RudeServer` does what no decent server does. A test, an event loop
and another process may all talk to them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from email import message_from_bytes
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

HOST = "127.0.0.1"


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Letter:
    """A message as it was handed over, and as it arrived."""

    sender: str
    recipient: str
    message_id: str
    body: bytes
    mark: str = ""

    @classmethod
    def arrived(cls, sender: str, recipient: str, body: bytes) -> Letter:
        return cls(sender, recipient, str(message_from_bytes(body)["Message-ID"]), body)


class Listener:
    """A server that listens from `start` (or `with`) to `stop`, and after another `start` on the same port."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.ended = 0  # of these connections
        self.messages: list[Letter] = []
        self.commands: list[str] = []  # every command line that arrived, in its order
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mailserver", daemon=True)
        self._thread.start()
        self._server: asyncio.Server = self._run(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        if self._loop is None:
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def inbox(self) -> list[str]:
        """The Message-IDs that arrived, in their order."""
        return [letter.message_id for letter in self.messages]

    def hang_up(self) -> None:
        """Closes every connection, as servers do with clients that rest for too long."""
        self._run(self._end_connections())

    def wait_until(self, holds: Callable[[], bool], seconds: float = 20) -> None:
        """Returns once it holds; from a coroutine, call it in another thread."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"it never came so far; seen: {self.commands} and {self.inbox}"
            time.sleep(0.01)

    async def _listen(self) -> asyncio.Server:
        raise NotImplementedError

    async def _end_connections(self) -> None:
        raise NotImplementedError

    async def _shut(self) -> None:
        self._server.close()
        await self._end_connections()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A handshake cut short belongs to nobody; only the loop still knows its transport.
        for transport in list(self._loop._transports.values()):  # type: ignore[union-attr]
            _cut(transport)
        await asyncio.sleep(0.01)  # transports close in later turns of the loop

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


class MailServer(Listener):
    """aiosmtpd that accepts everything but what `say` scripts.

    `tls` is "none", "starttls" or "implicit" and needs a server-side `context`; `login` is the only name and password
    that may send.
    """

    def __init__(
        self,
        tls: str = "none",
        context: ssl.SSLContext | None = None,
        login: tuple[str, str] | None = None,
        smtputf8: bool = False,
        size: int = 33554432,
    ) -> None:
        super().__init__()
        self.login = login
        self.logins_tried = 0
        self.open: set[_Session] = set()
        self.pipelining = False
        self._tls, self._context, self._smtputf8, self._size = tls, context, smtputf8, size
        self._script: dict[tuple[str, str], deque[str | bytes]] = {}
        self._always: dict[tuple[str, str], str | bytes] = {}

    def say(self, stage: str, reply: str | bytes, to: str = "", times: int = 0) -> None:
        """Answers so at this stage: hello, auth, mail, rcpt, data, body or reset.

        `to` limits it to one recipient (at mail: one sender), `times` to the first so many.
        """
        if times:
            self._script.setdefault((stage, to), deque()).extend([reply] * times)
        else:
            self._always[stage, to] = reply

    def relent(self, stage: str, to: str = "") -> None:
        """Answers as usual again."""
        self._always.pop((stage, to), None)

    def scripted(self, stage: str, address: str = "") -> str | bytes | None:
        for key in ((stage, address), (stage, "")):
            if self._script.get(key):
                return self._script[key].popleft()
            if key in self._always:
                return self._always[key]
        return None

    async def _listen(self) -> asyncio.Server:
        implicit = self._context if self._tls == "implicit" else None
        return await asyncio.get_running_loop().create_server(self._session, HOST, self.port, ssl=implicit)

    async def _end_connections(self) -> None:
        for session in list(self.open):
            session.end()

    def _session(self) -> _Session:
        return _Session(
            _Hooks(self),
            hostname="mail.example.org",
            tls_context=self._context if self._tls == "starttls" else None,
            require_starttls=self._tls == "starttls",
            auth_require_tls=self._tls == "starttls",
            auth_exclude_mechanism=() if self.login else ("PLAIN", "LOGIN"),
            authenticator=self._authenticate,
            enable_SMTPUTF8=self._smtputf8,
            data_size_limit=self._size,
            loop=self._loop,
        )

    def _authenticate(self, server: Any, session: Any, envelope: Any, method: str, given: LoginPassword) -> AuthResult:
        self.logins_tried += 1
        reply = self.scripted("auth")
        if reply is not None:
            return AuthResult(success=False, handled=False, message=reply)  # type: ignore[arg-type]
        return AuthResult(success=(given.login.decode(), given.password.decode()) == self.login, handled=False)


class _Session(SMTP):
    """One connection; it knows its server's script also for DATA, for which aiosmtpd has no hook."""

    event_handler: _Hooks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.transport is None:
            self.event_handler.server.connections += 1
        self.event_handler.server.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.server.open.discard(self)
        self.event_handler.server.ended += 1
        super().connection_lost(error)

    def end(self) -> None:
        if self.transport is not None:
            _cut(self.transport)

    async def push(self, status: str | bytes) -> None:
        # aiosmtpd's own push takes text in ASCII only, unless it offers SMTPUTF8.
        await super().push(status.encode() if isinstance(status, str) else status)

    async def _call_handler_hook(self, command: str, *args: Any) -> Any:
        self.event_handler.server.commands.append(" ".join([command, *map(str, args[:1])]))
        return await super()._call_handler_hook(command, *args)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        assert self.envelope is not None
        to = self.envelope.rcpt_tos[0] if self.envelope.rcpt_tos else ""
        reply = self.event_handler.server.scripted("data", to)
        if reply is None:
            await super().smtp_DATA(arg)
        else:
            await self.push(reply)


class _Hooks:
    def __init__(self, server: MailServer) -> None:
        self.server = server

    async def handle_EHLO(  # noqa: N802
        self, smtp: _Session, session: Session, envelope: Envelope, hostname: str, offers: list[str]
    ) -> list[Any]:
        session.host_name = hostname
        reply = self.server.scripted("hello")
        if reply is not None:
            return [reply]
        return [*offers[:-1], *(["250-PIPELINING"] if self.server.pipelining else []), offers[-1]]

    async def handle_MAIL(  # noqa: N802
        self, smtp: _Session, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str | bytes:
        if self.server.login and not session.authenticated:
            return "530 5.7.0 Authentication required"
        reply = self.server.scripted("mail", address)
        if reply is None:
            envelope.mail_from = address
        return reply or "250 2.1.0 sender ok"

    async def handle_RCPT(  # noqa: N802
        self, smtp: _Session, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str | bytes:
        reply = self.server.scripted("rcpt", address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 2.1.5 recipient ok"

    async def handle_RSET(self, smtp: _Session, session: Session, envelope: Envelope) -> str | bytes:  # noqa: N802
        return self.server.scripted("reset") or "250 2.0.0 reset"

    async def handle_DATA(self, smtp: _Session, session: Session, envelope: Envelope) -> str | bytes:  # noqa: N802
        to = envelope.rcpt_tos[0]
        reply = self.server.scripted("body", to) or "250 2.0.0 taken"
        if (reply if isinstance(reply, bytes) else reply.encode()).startswith(b"2"):
            assert isinstance(envelope.content, bytes)
            sender = (envelope.mail_from or "").replace("<>", "")
            self.server.messages.append(Letter.arrived(sender, to, envelope.content))
        return reply


Prank = Callable[[asyncio.StreamWriter], Awaitable[None]]


def _cut(transport: Any) -> None:
    with suppress(AttributeError):  # Python 3.11 before its patch 4 forgets a TLS connection that was closed twice
        transport.abort()


async def vanish(writer: asyncio.StreamWriter) -> None:
    """The connection ends without a word."""
    writer.close()
    raise ConnectionResetError


async def reset(writer: asyncio.StreamWriter) -> None:
    """The connection is cut, as by a router that lost its state."""
    _cut(writer.transport)
    raise ConnectionResetError


async def hang(writer: asyncio.StreamWriter) -> None:
    """Nothing comes for ever."""
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    """A reply comes octet by octet and has no end."""
    while True:
        writer.write(b"2")
        await asyncio.sleep(0.005)


def late(octets: bytes, seconds: float) -> Prank:
    """The usual reply, so much later."""

    async def prank(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        writer.write(octets)

    return prank


def words(octets: bytes) -> Prank:
    """These very octets instead of the usual reply."""

    async def prank(writer: asyncio.StreamWriter) -> None:
        writer.write(octets)

    return prank


def last_words(octets: bytes) -> Prank:
    """These octets, and the connection ends."""

    async def prank(writer: asyncio.StreamWriter) -> None:
        writer.write(octets)
        writer.close()
        raise ConnectionResetError

    return prank


class RudeServer(Listener):
    """A small SMTP server that plays each prank once, at its stage, and else behaves; with a `context` inside TLS.

    Stages: connect, hello, tls, auth, mail, rcpt, data (the word), middle (of the body), body (the final dot), after
    (its reply is out), reset, quit.
    """

    def __init__(
        self,
        *pranks: tuple[str, Prank],
        context: ssl.SSLContext | None = None,
        pipelining: bool = False,
        dsn: bool = False,
        careless: bool = False,
        forgetful: bool = False,
    ) -> None:
        super().__init__()
        self._is_careless = careless  # it takes messages to nobody
        self._is_forgetful = forgetful  # of what came together with a command
        self._offers = b"250-PIPELINING\r\n" * pipelining + b"250-DSN\r\n" * dsn
        self._pranks = list(pranks)
        self._context = context
        self._writers: set[asyncio.StreamWriter] = set()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._converse, HOST, self.port, ssl=self._context, limit=2**26)

    async def _end_connections(self) -> None:
        for writer in self._writers:  # closed ones too: inside TLS that may wait for a goodbye
            _cut(writer.transport)
        self._writers.clear()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._greet_and_serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self.ended += 1
            writer.close()

    async def _greet_and_serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = recipient = ""
        await self._answer(writer, "connect", b"220 rude.example.org\r\n")
        while line := (await reader.readline()).decode():
            self.commands.append(line.strip())
            if self._is_forgetful:
                reader._buffer.clear()  # type: ignore[attr-defined]
            match line.split(":")[0].split()[0].upper():
                case "EHLO":
                    offers = b"250-STARTTLS\r\n" + self._offers + b"250 AUTH PLAIN LOGIN\r\n"
                    await self._answer(writer, "hello", b"250-rude.example.org\r\n" + offers)
                case "STARTTLS":
                    await self._answer(writer, "tls", b"454 4.7.0 TLS not available now\r\n")
                case "AUTH":
                    await self._answer(writer, "auth", b"235 welcome\r\n")
                case "MAIL":
                    sender, recipient = _between_brackets(line), ""
                    await self._answer(writer, "mail", b"250 sender ok\r\n")
                case "RCPT":
                    if await self._answer(writer, "rcpt", b"250 recipient ok\r\n"):
                        recipient = _between_brackets(line)
                case "DATA" if not (recipient or self._is_careless):
                    writer.write(b"554 5.5.1 no valid recipients\r\n")
                case "DATA":
                    if await self._answer(writer, "data", b"354 go on\r\n"):
                        await self._take(reader, writer, sender, recipient)
                case "RSET":
                    await self._answer(writer, "reset", b"250 reset\r\n")
                case "QUIT":
                    await self._answer(writer, "quit", b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"502 no\r\n")

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sender: str, recipient: str
    ) -> None:
        first = await reader.readline()
        await self._answer(writer, "middle", b"")
        body = first if first == b".\r\n" else first + await reader.readuntil(b"\r\n.\r\n")
        body = body.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
        if await self._answer(writer, "body", b"250 taken\r\n"):
            self.messages.append(Letter.arrived(sender, recipient, body))
        await self._answer(writer, "after", b"")

    async def _answer(self, writer: asyncio.StreamWriter, stage: str, usual: bytes) -> bool:
        """Whether the usual reply was given."""
        for prank in self._pranks:
            if prank[0] == stage:
                self._pranks.remove(prank)
                await prank[1](writer)
                return False
        writer.write(usual)
        await writer.drain()
        return True


def _between_brackets(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
