"""The agent that answers on the network: sockets and HTTP by an embedded uvicorn, answers from a `Snapshot`.

Whatever is published is answered by `pages` from the snapshot, which the daemon replaces in one assignment. Only what
acts or tells of this very moment is made here: unsubscribing, and the two probes.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifier import pages
from notifier.errors import ListenError, NotifierError, Problem, TokenError
from notifier.networks import NOBODY, Address, Proxies
from notifier.pages import Headers, Response, Snapshot

log = logging.getLogger(__name__)

CONNECTIONS = 1000
BODY_LIMIT = 16 * 1024
HEAD_LIMIT = 32 * 1024
UNFINISHED_LIMIT = 512 * 1024  # of a head still growing: more than one read can bring together with a request before it
BODY_SECONDS = 10.0
REQUEST_SECONDS = 20.0  # after the body's time, so that who sends a slow one is told of it first
KEEP_ALIVE_SECONDS = 5
STOP_SECONDS = 3

_UNSUBSCRIBE = "/unsubscribe/"
_CLOSE = (("Connection", "close"),)
_PROBE = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_ADVICE = {
    errno.EADDRINUSE: "stop the program that listens there, or choose another address",
    errno.EACCES: "choose a port above 1023, or let systemd open this one",
    errno.EADDRNOTAVAIL: "choose an address of this machine",
}
_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START of sd_listen_fds(3)


class People(Protocol):
    """What the server asks of the daemon. Both acts do the same when repeated, and raise TokenError on a bad link."""

    async def unsubscribe(self, token: str) -> object:
        """Ends all mail to the one to whom this link was given."""
        ...

    async def resubscribe(self, token: str) -> object:
        """Takes an unsubscription by this link back."""
        ...

    async def health(self) -> Mapping[str, str]:
        """What was looked at, each with what is wrong with it, or "" where it is well."""
        ...


class Server:
    """Answers at the addresses of `listen`: `host:port`, `[::1]:port` or `unix:/path`.

    Sockets that systemd hands over take their place. `proxies` may say for whom they ask. `has_open_probes` shows
    /readyz to others than this machine.
    """

    def __init__(
        self,
        listen: Sequence[str],
        snapshot: Snapshot,
        people: People,
        *,
        proxies: Proxies = NOBODY,
        has_open_probes: bool = False,
    ) -> None:
        self.snapshot = snapshot
        self._proxies = proxies
        self._people = people
        self._listen = listen
        self._has_open_probes = has_open_probes
        self._sockets: list[socket.socket] = []
        self._paths: list[Path] = []
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=_Connection,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as it is written in the settings, with the port that the machine gave for port 0."""
        return tuple(map(_written, self._sockets))

    async def start(self) -> None:
        """Binds the sockets and answers from now on. Raises ListenError with every address that cannot be bound.

        uvicorn's `serve` is left alone: it takes over the process's signals, ends the process when it cannot start,
        and wakes ten times a second to see whether to stop. Its steps before and after that wait are enough.
        """
        self._sockets = _inherited()
        if not self._sockets:
            self._sockets = await _bind(self._listen)
            self._paths = [Path(s.getsockname()) for s in self._sockets if s.family == socket.AF_UNIX]
        self._uvicorn.config.load()
        self._uvicorn.lifespan = self._uvicorn.config.lifespan_class(self._uvicorn.config)
        await self._uvicorn.startup(sockets=self._sockets)

    async def stop(self) -> None:
        """Stops listening, lets running answers finish for a few seconds, then cuts off what is left."""
        for path in self._paths:
            path.unlink(missing_ok=True)  # first, while no other daemon can have put its own there
        await self._uvicorn.shutdown(sockets=self._sockets)
        for connection in list(self._uvicorn.server_state.connections):
            connection.transport.abort()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The server as an ASGI application, whoever runs it."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except Exception:
            # The rim: whatever fails in one request, the others go on. Its path may hold somebody's token.
            log.exception("request failed method=%s", request.method)
            response = self._page("broken", request)
        await _send(response, send)

    async def _answer(self, request: Request) -> Response:
        if flaw := _flaw(request):
            return self._page(flaw, request, _CLOSE)
        path, method = request.scope["path"], request.method
        token = path.removeprefix(_UNSUBSCRIBE) if path.startswith(_UNSUBSCRIBE) else ""
        if token and "/" not in token:
            return await self._unsubscribing(token, request)
        if path == "/healthz":
            return self._probed(request, {})
        if path == "/readyz" and (self._has_open_probes or _is_local(request)):
            return self._probed(request, await self._people.health())
        return pages.answer(self.snapshot, method, path, _query(request), _headers(request))

    async def _unsubscribing(self, token: str, request: Request) -> Response:
        """GET shows a button and does nothing, since programs that scan mail follow every link (RFC 8058)."""
        allow = (("Allow", "GET, HEAD, POST, OPTIONS"),)
        match request.method:
            case "GET" | "HEAD":
                return self._page("unsubscribe", request)
            case "POST":
                return await self._act(token, request)
            case "OPTIONS":
                return Response(204, allow)
            case _:
                return self._page("not-allowed", request, allow)

    async def _act(self, token: str, request: Request) -> Response:
        try:
            body = await asyncio.wait_for(_body(request), BODY_SECONDS)
        except TimeoutError:
            return self._page("too-slow", request, _CLOSE)
        if body is None:
            return self._page("too-large", request, _CLOSE)
        # Anything but the undo button unsubscribes, in whatever form a mail program sends its one click.
        wants_back = parse_qs(body.decode("latin-1")).get("action") == ["resubscribe"]
        act = self._people.resubscribe if wants_back else self._people.unsubscribe
        try:
            await act(token)
        except TokenError:
            return self._page("bad-link", request)
        except NotifierError as error:
            log.error("%s failed reason=%s", act.__name__, error)
            return self._page("unavailable", request)
        return self._page("resubscribed" if wants_back else "unsubscribed", request)

    def _client(self, request: Request) -> Address | None:
        """Who asks; None is somebody on this machine, through a unix socket."""
        peer = request.client.host if request.client else None
        return self._proxies.client(peer, ", ".join(request.headers.getlist("x-forwarded-for")))

    def _page(self, name: str, request: Request, extra: Headers = ()) -> Response:
        return pages.page(self.snapshot, name, request.method, _query(request), _headers(request), extra)

    def _probed(self, request: Request, checks: Mapping[str, str]) -> Response:
        if request.method not in ("GET", "HEAD"):
            return self._page("not-allowed", request, (("Allow", "GET, HEAD"),))
        is_well = not any(checks.values())
        told = {"ok": is_well, "checks": {name: wrong or "ok" for name, wrong in checks.items()}}
        body = json.dumps(told, ensure_ascii=False).encode()
        length = (("Content-Length", str(len(body))),)
        return Response(200 if is_well else 503, _PROBE + length, b"" if request.method == "HEAD" else body)


def _flaw(request: Request) -> str:
    """The page for a request that is not to be answered at all, or ""."""
    hosts = sum(name == b"host" for name, _ in request.scope["headers"])
    if hosts > 1 or (not hosts and request.scope["http_version"] != "1.0"):
        return "bad-request"  # RFC 9112 section 3.2
    size = len(request.scope["query_string"]) + len(request.scope["path"])
    size += sum(len(name) + len(value) for name, value in request.scope["headers"])
    return "head-too-large" if size > HEAD_LIMIT else ""


def _is_local(request: Request) -> bool:
    """Whether the asker is on this machine, and not a proxy that speaks for somebody else."""
    if "forwarded" in request.headers or "x-forwarded-for" in request.headers:
        return False
    # Who comes through a unix socket has no address, and is on this machine.
    return request.client is None or ip_address(request.client.host).is_loopback


def _query(request: Request) -> str:
    return str(request.scope["query_string"], "latin-1")


def _headers(request: Request) -> dict[str, str]:
    """The headers by name in lower case, a repeated one as the list that it stands for (RFC 9110 section 5.3)."""
    return {name: ", ".join(request.headers.getlist(name)) for name in request.headers}


async def _body(request: Request) -> bytes | None:
    """The whole body, or None when it is longer than any form of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return body


async def _send(response: Response, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


class _Connection(HttpToolsProtocol):
    """uvicorn's connection with what it lacks: a time by which a request must be here, and a limit on its head."""

    _deadline: asyncio.TimerHandle | None = None
    _head_size: int | None = None  # of a head that is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        # uvicorn forgets this timer after an error, and it keeps the whole connection alive.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._set_deadline()
        super().data_received(data)
        if self._head_size is not None:
            self._head_size += len(data)
            if self._head_size > UNFINISHED_LIMIT:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        # uvicorn would note the date once a second, and its own name beside it, for ever.
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def on_headers_complete(self) -> None:
        self._head_size = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._clear_deadline()
        super().on_message_complete()

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _inherited() -> list[socket.socket]:
    """The sockets that systemd has opened for this process (sd_listen_fds(3)), once."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return []
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    sockets = [socket.socket(fileno=_FIRST_INHERITED + n) for n in range(count)]
    for sock in sockets:
        sock.set_inheritable(False)
    return sockets


async def _bind(addresses: Sequence[str]) -> list[socket.socket]:
    """One or more sockets for each address, or none at all."""
    bound: list[socket.socket] = []
    problems = []
    for address in addresses:
        try:
            path = address.removeprefix("unix:")
            bound += [_bind_path(Path(path))] if path != address else await _bind_host(address)
        except (OSError, ValueError) as error:
            problems.append(_refusal(address, error))
    if problems:
        _close(bound)
        raise ListenError(problems)
    return bound


def _refusal(address: str, error: OSError | ValueError) -> Problem:
    if isinstance(error, socket.gaierror):
        return Problem(f"{address} cannot be bound: no such host name", "write a name or number of this machine")
    if not isinstance(error, OSError) or error.errno is None:
        return Problem(f"'{address}' is no address to listen at: {error}", "write host:port, [::1]:port or unix:/path")
    advice = _ADVICE.get(error.errno, "choose another address")
    return Problem(f"{address} cannot be bound: {os.strerror(error.errno).lower()}", advice)


async def _bind_host(address: str) -> list[socket.socket]:
    """A socket for each address that the host name stands for: for localhost the one of IPv4 and the one of IPv6."""
    parts = urlsplit(f"//{address}")
    if not parts.hostname or parts.port is None:
        raise ValueError("it names no host" if parts.port is not None else "it names no port")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    failures: list[OSError] = []
    for family, _, _, _, at in dict.fromkeys(found):
        try:
            bound.append(socket.create_server(at, family=family))
        except OSError as error:
            failures.append(error)
    # A machine without IPv6 may still have it in its list of names.
    if grave := [f for f in failures if not bound or f.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)]:
        _close(bound)
        raise grave[0]
    return bound


def _bind_path(path: Path) -> socket.socket:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with ExitStack() as undo:
        undo.callback(sock.close)
        sock.bind(str(path))
        path.chmod(0o660)  # nobody can have connected yet: the socket does not listen
        undo.pop_all()
    return sock


def _remove_stale(path: Path) -> None:
    """Removes the socket file of a program that has ended; that of one which answers is in use."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError(errno.EADDRINUSE, "somebody answers there")


def _close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        if sock.family == socket.AF_UNIX:
            Path(sock.getsockname()).unlink(missing_ok=True)
        sock.close()


def _written(sock: socket.socket) -> str:
    if sock.family == socket.AF_UNIX:
        return f"unix:{sock.getsockname()}"
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"
