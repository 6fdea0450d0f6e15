"""HTTP/1.1 on one connection: uvicorn's, with the times and limits that it lacks, and with what is ready given at once.

An answer that was given before and would be the same again lies on a `Shelf`. It goes out from within the parser,
without a task and without ASGI, and where the request is the same to the byte, even without the parser: programs that
poll a feed send the same bytes for years. Whatever is not quite so plain (a body, an answer still on its way, a reader
who does not read) is uvicorn's and the application's.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from time import time
from typing import Any, Protocol

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from notifier.pages import HEARD, Response

HEAD_LIMIT = 16 * 1024
HEADERS_LIMIT = 100
MESSAGE_LIMIT = 1024 * 1024  # sixty times the longest body that is read; the rest is a flood
REQUEST_SECONDS = 12.0  # after the body's time, so that who sends a slow one is told of it first
KEEP_ALIVE_SECONDS = 5
STALL_SECONDS = 60.0  # like nginx's send_timeout: a phone in a tunnel comes back, a stalled reader does not
LOOK_SECONDS = 5.0
SHELF_ANSWERS, SHELF_QUESTION = 1024, 1024  # entries, and bytes of one question
SHELF_BYTES = 64 << 20  # of all bodies: those of forms of the feed that one reader asked for are kept by nobody else
FIRST_BYTES, CHUNK_BYTES = 64 * 1024, 96 * 1024  # what goes out with the head; what goes out at once after it

_HEARD = tuple(name.encode() for name in HEARD)
# Headers that ask for more than a ready answer.
_UNREADY = frozenset((b"content-length", b"transfer-encoding", b"expect", b"upgrade"))
# RFC 3986 section 3.2.2: a name or an address of one kind or the other, and perhaps a port.
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[A-Za-z0-9.:_~%-]+\])(?::[0-9]*)?")
# RFC 9112 section 3: a method, which is any token, a target and the version.
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/1\.[01]\r\n")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")

Question = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer as it goes out: status line, then the date, then the rest of the head, then the body."""

    status: int
    head: bytes
    body: bytes


def is_host(value: bytes) -> bool:
    """Whether the value of a Host header names a host, or leaves it out; else it is to be refused (RFC 9112, 3.2)."""
    return _HOST.fullmatch(value) is not None


def is_target_too_long(target: bytes) -> bool:
    """Whether it is the target that makes a head too large: a client is to be told so (RFC 9112, 3)."""
    return len(target) > HEAD_LIMIT // 2


class Shelf:
    """Answers of one snapshot by what was asked, as bytes; the most that it holds is a few megabytes beside bodies."""

    def __init__(self) -> None:
        self._ready: dict[Question, Ready] = {}
        self._seen: dict[bytes, Ready] = {}
        self._bytes = 0

    def recall(self, request: bytes) -> Ready | None:
        """The answer to a whole request that is the same to the byte."""
        return self._seen.get(request) if len(request) <= SHELF_QUESTION else None

    def remember(self, request: bytes, ready: Ready) -> None:
        """Keeps the answer for whoever sends the same bytes."""
        if len(request) <= SHELF_QUESTION:
            if len(self._seen) >= SHELF_ANSWERS:
                self._seen.clear()
            self._seen[request] = ready

    def find(self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Ready | None:
        """The answer to this request, when it is one that needs nothing but an answer."""
        question = _question(method, target, headers)
        return self._ready.get(question) if question else None

    def put(self, method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]], response: Response) -> None:
        """Keeps the answer for the next one who asks the same."""
        question = _question(method, target, headers)
        if question is None or sum(map(len, filter(None, question))) > SHELF_QUESTION:
            return
        if len(self._ready) >= SHELF_ANSWERS or self._bytes > SHELF_BYTES:
            self._ready.clear()  # the few that calendar programs ask for are back at once
            self._seen.clear()
            self._bytes = 0
        lines = (f"{name.lower()}: {value}\r\n" for name, value in response.headers)
        head = "".join((*lines, "\r\n")).encode("latin-1")
        self._ready[question] = Ready(response.status, head, response.body)
        self._bytes += len(response.body)


def _question(method: bytes, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Question | None:
    """All of a request that its answer depends on, or None when it asks for more or is no proper one."""
    heard: dict[bytes, bytes] = {}
    hosts = 0
    for name, value in headers:
        if name in _HEARD:
            if name in heard:
                return None
            heard[name] = value
        elif name == b"host":
            hosts += 1 if is_host(value) else 2
        elif name in _UNREADY:
            return None
    return (method, target, *map(heard.get, _HEARD)) if hosts == 1 else None


class House(Protocol):
    """What a connection is told by the server that it belongs to: the shelf of now, and a count of answers."""

    shelf: Shelf
    answered: Counter[int]


@dataclass
class _Unfinished:
    """Stands where uvicorn keeps its current answer, while one of ours waits for its reader."""

    response_started: bool = True
    response_complete: bool = False
    disconnected: bool = False
    keep_alive: bool = True
    more_body: bool = False
    body: bytearray = field(default_factory=bytearray)
    message_event: asyncio.Event = field(default_factory=asyncio.Event)


def protocol(house: House) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes each connection to this house from."""
    return partial(_Connection, house)


class _Connection(HttpToolsProtocol):
    """One connection. What it takes for granted of uvicorn is told apart in `tests/test_connections.py`."""

    def __init__(self, house: House, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._house = house
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None  # when what is on its way must be here
        self._is_idle = True
        self._message_size = 0  # of what has come since the last complete message
        self._has_head = True
        self._is_in_line = False  # of a request, which goes on in what comes next
        self._begun = self._ended = 0  # messages
        self._chunk = b""  # while it is read
        self._given: Ready | None = None
        self._is_passed_on = False
        self._keeps_alive = True
        self._rest = memoryview(b"")  # of a ready answer
        self._unfinished = _Unfinished()
        self._unsent = 0
        self._moved = 0.0

    # --- what comes in ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # pauses once the system takes no more, before anything is copied
        self._moved = self.loop.time()
        self._due = self._moved + REQUEST_SECONDS
        self._look_in(REQUEST_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._rest = memoryview(b"")
        # uvicorn forgets this timer after an error, and it keeps the whole connection alive.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        ready = self._house.shelf.recall(data)
        if ready and self._begun == self._ended and self._is_free():
            self._unset_keepalive_if_required()
            self._is_idle, self._due = True, self.loop.time() + KEEP_ALIVE_SECONDS
            self._give(ready)
            return
        if self._is_idle or self._due is None:
            self._is_idle = False
            self._due = self.loop.time() + REQUEST_SECONDS
        sent, data = data, self._with_plain_line(data)
        self._chunk = data
        begun, ended = self._begun, self._ended
        super().data_received(data)
        self._chunk = b""
        # What stands behind the end of another message is a part of this chunk that nobody counts.
        self._message_size = self._message_size + len(data) if self._ended == ended else 0
        is_alone = self._begun == self._ended == begun + 1 == ended + 1
        if self._given and self._keeps_alive and is_alone:
            self._house.shelf.remember(sent, self._given)
        if self._message_size > HEAD_LIMIT and not self._has_head:
            is_long = is_target_too_long(self.url)
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG if is_long else HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._message_size > MESSAGE_LIMIT:
            self.transport.abort()

    def _with_plain_line(self, data: bytes) -> bytes:
        """The data with the target that they begin with, or go on with, in ASCII, which is all that the parser takes.

        People type addresses as they read them, curl sends them so, and nginx passes them on. Where one request comes
        in one piece with another before it, nothing tells it from a body, and the parser refuses it.
        """
        is_first = self._begun == self._ended
        if not is_first and not self._is_in_line:
            return data
        line, end, rest = data.partition(b"\n")
        self._is_in_line = not end
        if line.isascii():
            return data
        method, space, target = line.partition(b" ") if is_first else (b"", b"", line)
        return b"".join((method, space, _BEYOND_ASCII.sub(lambda one: b"%%%02X" % ord(one[0]), target), end, rest))

    def on_message_begin(self) -> None:
        # What uvicorn prepares for its application here, `_pass_on` has it prepare where one is asked.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._has_head = self._is_passed_on = False
        self._begun += 1

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # trailers say nothing that is read here
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._has_head = True
        if self.transport.is_closing():
            return  # what stands behind the last request that is answered here
        self._given = self._find()
        if self._given:
            self._keeps_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
            self._give(self._given, ends=not self._keeps_alive)
        elif flaw := _flaw_of_coding(self.headers):
            self._refuse(flaw)
        else:
            self._pass_on()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._ended += 1
        self._is_passed_on = False
        if self._given:
            self._is_idle, self._due = True, self.loop.time() + KEEP_ALIVE_SECONDS
        else:
            self._due = None
            super().on_message_complete()

    def _pass_on(self) -> None:
        """Has uvicorn do what it would have done with this request."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.headers += headers
        self.url = url if url.startswith(b"/") else _origin_form(url, self.parser.get_method())
        # RFC 9110 section 10.1.1: who speaks HTTP/1.0 knows no answer before the answer.
        self.expect_100_continue = expects and self.parser.get_http_version() != "1.0"
        # uvicorn would note the date once a second, and its own name beside it, for ever.
        self.server_state.default_headers = [(b"date", _date())]
        super().on_headers_complete()
        self._is_passed_on = True

    def send_400_response(self, msg: str) -> None:
        # RFC 9110 section 9.1 has a method that nobody knows refused as such; the parser knows those registered.
        is_unknown = isinstance(sys.exception(), httptools.HttpParserInvalidMethodError)
        is_proper = is_unknown and _REQUEST_LINE.match(self._chunk)
        self._refuse(HTTPStatus.NOT_IMPLEMENTED if is_proper else HTTPStatus.BAD_REQUEST)

    def _refuse(self, status: HTTPStatus) -> None:
        """Says why and ends, unless another answer is on its way, into which it would fall."""
        cycle = self.cycle if self.cycle and not self.cycle.response_complete else None
        # The body that is being read may be what is wrong, while nothing of its own answer has gone out.
        if cycle and (cycle.response_started or self.pipeline or not self._is_passed_on):
            self.transport.abort()
        elif not self.transport.is_closing():
            told = status.phrase.encode()
            head = b"date: %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head % (_date(), len(told)) + told)
            self.transport.close()

    # --- what is ready ---

    def _find(self) -> Ready | None:
        """What can be given now, if the head is not too large and nothing else is on its way."""
        is_plain = (
            self._message_size + len(self._chunk) <= HEAD_LIMIT
            and len(self.headers) <= HEADERS_LIMIT
            and self.parser.get_http_version() in ("1.0", "1.1")
            and self._is_free()
        )
        return self._house.shelf.find(self.parser.get_method(), self.url, self.headers) if is_plain else None

    def _is_free(self) -> bool:
        """Whether an answer would stand behind no other one that is still on its way."""
        is_answering = self.cycle is not None and not self.cycle.response_complete
        return not (is_answering or self.flow.write_paused or self.transport.is_closing())

    def _give(self, ready: Ready, *, ends: bool = False) -> None:
        self._house.answered[ready.status] += 1
        first = ready.body if len(ready.body) <= FIRST_BYTES else ready.body[:FIRST_BYTES]
        date = b"date: %b\r\nconnection: close\r\n" % _date() if ends else b"date: %b\r\n" % _date()
        self.transport.write(b"".join((STATUS_LINE[ready.status], date, ready.head, first)))
        if len(first) < len(ready.body):
            self._rest = memoryview(ready.body)[FIRST_BYTES:]
            self._push()
            if self._rest:
                # What comes next has to wait, as behind any answer of uvicorn's that is not complete.
                self.cycle = self._unfinished = _Unfinished(keep_alive=not ends)  # type: ignore[assignment]
                return
        if ends:
            self.transport.close()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._rest:
            self._push()
            if not self._rest:
                self._unfinished.response_complete = True
                if not self._unfinished.keep_alive:
                    self.transport.close()
                self._due = None  # from here on uvicorn's own time for the next request counts
                self.on_response_complete()

    def _push(self) -> None:
        while self._rest and not self.flow.write_paused:
            self.transport.write(self._rest[:CHUNK_BYTES])
            self._rest = self._rest[CHUNK_BYTES:]

    # --- what does not come, or does not go ---

    def _look_in(self, seconds: float) -> None:
        self._timer = self.loop.call_later(seconds, self._look)

    def _look(self) -> None:
        """Ends the connection when the other side is too slow to send, or to read; else looks again later."""
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size() + len(self._rest)
        if unsent != self._unsent:
            self._unsent, self._moved = unsent, now
        is_late = self._due is not None and now >= self._due and not unsent
        if is_late or (unsent and now - self._moved >= STALL_SECONDS):
            self.transport.abort()
            return
        wait = self._due - now if self._due is not None and self._due > now else LOOK_SECONDS
        self._look_in(min(wait, LOOK_SECONDS))


def _flaw_of_coding(headers: Iterable[tuple[bytes, bytes]]) -> HTTPStatus | None:
    """Why a body in these transfer codings cannot be read: its end cannot be told, or what is in the chunks."""
    values = [value for name, value in headers if name == b"transfer-encoding"]
    codings = [coding.strip().lower() for coding in b",".join(values).split(b",")]
    if values and codings[-1] != b"chunked":
        return HTTPStatus.BAD_REQUEST  # RFC 9112 section 6.3
    return HTTPStatus.NOT_IMPLEMENTED if len(codings) > 1 else None  # section 6.1


def _origin_form(target: bytes, method: bytes) -> bytes:
    """The path and query of a target in absolute form, and "/" for the server as a whole (RFC 9112 section 3.2)."""
    if target == b"*":
        return b"/" if method == b"OPTIONS" else b""  # which uvicorn refuses
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return target  # as it does this
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")


_dated = (0, b"")


def _date() -> bytes:
    """The time of now as a header says it, made once a second."""
    global _dated
    second = int(time())
    if _dated[0] != second:
        _dated = second, formatdate(second, usegmt=True).encode()
    return _dated[1]
