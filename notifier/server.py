"""The agent that answers on the network: sockets and HTTP by an embedded uvicorn, answers from a `Snapshot`.

Whatever is published is answered by `pages` from the snapshot, which the daemon replaces in one assignment, and what
readers do about their subscription by `dialogues`. What tells of this very moment is made here: probes and figures.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from notifier import connections, dialogues, metrics, pages, sockets
from notifier.connections import CHUNK_BYTES, Shelf
from notifier.dialogues import Asked
from notifier.errors import NotifierError, TokenError
from notifier.metrics import Figures
from notifier.networks import NOBODY, Address, Proxies
from notifier.pages import Headers, Response, Snapshot
from notifier.subscriptions import Subscriptions
from notifier.tokens import Purpose

log = logging.getLogger(__name__)

CONNECTIONS = 1000
BODY_LIMIT = 16 * 1024
BODY_SECONDS = 10.0
STOP_SECONDS = 3

_FEED = f"/{Purpose.FEED}/"
DESK = "/desk"
Desk = Callable[[Snapshot, Asked], Awaitable[Response]]

_HEARD = (*pages.HEARD, *dialogues.HEARD, "cookie")  # no page but the desk's has one, or heeds it
_CLOSE = (("Connection", "close"),)


class Server:
    """Answers at the addresses of `listen`: `host:port`, `[::1]:port` or `unix:/path`.

    `people` are those who act on their subscriptions; `health` is what was looked at, each with what is wrong with it,
    or "" where it is well; `desk` answers for the operator's desk; `figures` are what /metrics tells beside its own
    counts, and without them there is no such page. Sockets that systemd hands over take the place of `listen`.
    `proxies` may say for whom they ask. `has_open_probes` shows /readyz and /metrics to others than this machine.
    `answered` counts its answers by status since it was made.
    """

    def __init__(
        self,
        listen: Sequence[str],
        snapshot: Snapshot,
        people: Subscriptions,
        health: Callable[[], Awaitable[Mapping[str, str]]],
        desk: Desk | None = None,
        *,
        figures: Callable[[], Awaitable[Figures]] | None = None,
        proxies: Proxies = NOBODY,
        has_open_probes: bool = False,
    ) -> None:
        self.snapshot = snapshot
        self.answered = Counter[int]()
        self._proxies = proxies
        self._people = people
        self._health = health
        self._desk = desk
        self._figures = figures
        self._rendering = asyncio.Lock()
        self._listen = listen
        self._has_open_probes = has_open_probes
        self._sockets: list[socket.socket] = []
        self._paths: list[Path] = []
        self._uvicorn = uvicorn.Server(
            uvicorn.Config(
                self.app,
                http=cast("Any", connections.protocol(self)),  # it is only called, but typed as a class
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=connections.KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )

    @property
    def snapshot(self) -> Snapshot:
        """What is published."""
        return self._snapshot

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        """Publishes another one, from the next request on."""
        self._snapshot, self.shelf = snapshot, Shelf()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as it is written in the settings, with the port that the machine gave for port 0."""
        return tuple(map(sockets.written, self._sockets))

    async def start(self) -> None:
        """Binds the sockets and answers from now on. Raises ListenError with every address that cannot be bound.

        uvicorn's `serve` is left alone: it takes over the process's signals, ends the process when it cannot start,
        and wakes ten times a second to see whether to stop. Its steps before and after that wait are enough.
        """
        self._sockets = sockets.inherited()
        if not self._sockets:
            self._sockets = await sockets.bind(self._listen)
            self._paths = [Path(s.getsockname()) for s in self._sockets if s.family == socket.AF_UNIX]
        for sock in self._sockets:
            if sock.family != socket.AF_UNIX:
                # What is accepted inherits it. asyncio sets it for sockets alone whose protocol is given by number, and
                # without it the end of a long answer waits 40 ms for the reader's word that the rest has come.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        self.answered[response.status] += 1
        await _send(response, send)

    async def _answer(self, request: Request) -> Response:
        if flaw := _flaw(request):
            return self._page(flaw, request, _CLOSE)
        path, method = request.scope["path"], request.method
        if dialogues.is_dialogue(method, path):
            return await self._acted(request, partial(dialogues.converse, self._people))
        if path.startswith(_FEED):
            return await self._feed(path.removeprefix(_FEED).partition("/")[0], request)
        if self._desk and (path == DESK or path.startswith(f"{DESK}/")):
            return await self._acted(request, self._desk)
        if path == "/healthz":
            return self._probed(request, {})
        is_insider = self._has_open_probes or _is_local(request)
        if path == "/readyz" and is_insider:
            return self._probed(request, await self._health())
        if path == "/metrics" and is_insider and self._figures:
            return self._told(request, await self._figures())
        snapshot, shelf = self._snapshot, self.shelf
        headers = _headers(request, pages.HEARD)
        response = await self._rendered(lambda: pages.answer(snapshot, method, path, _query(request), headers))
        if response.status in (200, 304):
            shelf.put(method.encode(), _target(request), request.scope["headers"], response)
        return response

    async def _feed(self, token: str, request: Request) -> Response:
        """The calendar of one subscriber; what stands in the link after the token only names it in their program."""
        try:
            reader = await self._people.feed_reader(token)
        except TokenError:
            return self._page("bad-link", request)
        except NotifierError as error:
            log.error("feed_reader failed reason=%s", error)
            return self._page("unavailable", request)
        snapshot, method, headers = self._snapshot, request.method, _headers(request, pages.HEARD)
        return await self._rendered(lambda: pages.private(snapshot, method, _query(request), headers, reader.language))

    async def _rendered(self, answer: Callable[[], Response]) -> Response:
        """The answer from a thread, one at a time: what is not ready yet is rendered there, and mail waits for none."""
        async with self._rendering:
            return await asyncio.to_thread(answer)

    async def _acted(self, request: Request, answer: Desk) -> Response:
        """The answer of a page on which people act."""
        body: bytes | None = b""
        if request.method == "POST":
            try:
                body = await asyncio.wait_for(_body(request), BODY_SECONDS)
            except TimeoutError:
                return self._page("too-slow", request, _CLOSE)
        if body is None:
            return self._page("too-large", request, _CLOSE)
        path, headers = request.scope["path"], _headers(request)
        asked = Asked(request.method, path, _query(request), headers, self._client(request), body)
        return await answer(self._snapshot, asked)

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
        return _fresh(request, "application/json", body, 200 if is_well else 503)

    def _told(self, request: Request, figures: Figures) -> Response:
        if request.method not in ("GET", "HEAD"):
            return self._page("not-allowed", request, (("Allow", "GET, HEAD"),))
        text = metrics.render(figures, self.answered, len(self._uvicorn.server_state.connections))
        return _fresh(request, metrics.MEDIA_TYPE, text.encode())


def _fresh(request: Request, media_type: str, body: bytes, status: int = 200) -> Response:
    """What is true only now, and kept by nobody."""
    about = (("Content-Type", media_type), ("Cache-Control", "no-store"), ("Content-Length", str(len(body))))
    return Response(status, about, b"" if request.method == "HEAD" else body)


def _flaw(request: Request) -> str:
    """The page for a request that is not to be answered at all, or ""."""
    headers, version = request.scope["headers"], request.scope["http_version"]
    hosts = [value for name, value in headers if name == b"host"]
    is_addressed = len(hosts) == 1 or (not hosts and version == "1.0")
    if version not in ("1.0", "1.1") or not is_addressed or not all(map(connections.is_host, hosts)):
        return "bad-request"  # RFC 9112 section 3.2
    target = _target(request)
    size = len(target) + sum(len(name) + len(value) for name, value in headers)
    if size <= connections.HEAD_LIMIT and len(headers) <= connections.HEADERS_LIMIT:
        return ""
    return "address-too-long" if connections.is_target_too_long(target) else "head-too-large"


def _is_local(request: Request) -> bool:
    """Whether the asker is on this machine, and not a proxy that speaks for somebody else."""
    if "forwarded" in request.headers or "x-forwarded-for" in request.headers:
        return False
    # Who comes through a unix socket has no address, and is on this machine.
    return request.client is None or ip_address(request.client.host).is_loopback


def _query(request: Request) -> str:
    return str(request.scope["query_string"], "latin-1")


def _headers(request: Request, heard: Sequence[str] = _HEARD) -> dict[str, str]:
    """What pages heed, by name in lower case, a repeated one as the list that it stands for (RFC 9110 section 5.3)."""
    return {name: ", ".join(request.headers.getlist(name)) for name in heard if name in request.headers}


def _target(request: Request) -> bytes:
    query: bytes = request.scope["query_string"]
    path: bytes = request.scope["raw_path"]
    return path + b"?" + query if query else path


async def _body(request: Request) -> bytes | None:
    """The whole body, or None when it is longer than any form of ours, be it only by its own word."""
    if int(request.headers.get("content-length", "0")) > BODY_LIMIT:
        return None
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return body


async def _send(response: Response, send: Send) -> None:
    """Sends it in pieces, so that no more of it lies in memory than its reader is about to take."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for at in range(0, len(response.body) or 1, CHUNK_BYTES):
        piece, ends = response.body[at : at + CHUNK_BYTES], at + CHUNK_BYTES >= len(response.body)
        await send({"type": "http.response.body", "body": piece, "more_body": not ends})
