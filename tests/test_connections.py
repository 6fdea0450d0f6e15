"""Requests on real sockets: their times and limits, what is ready and given at once, and readers who do not read."""

from __future__ import annotations

import asyncio
import inspect
import random
import re
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from test_server import ADA, LARGE, SNAPSHOT, Desk, exchange, port_of, published, until
from uvicorn import Server as Uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from notifier import connections
from notifier.server import Server


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def running(desk):
    running = Server(["127.0.0.1:0"], SNAPSHOT, desk, desk.health)
    await running.start()
    yield running
    await running.stop()


# Requests, proper and not


async def test_answers_are_dated_and_do_not_name_the_server(running):
    answered = await exchange(running, b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head = answered.partition(b"\r\n\r\n")[0].decode().lower()
    assert head.startswith("http/1.1 200 ok\r\ndate: ")
    assert "server:" not in head


async def test_head_and_304_have_no_body_on_the_wire(running):
    etag = SNAPSHOT.documents["/calendar.ics"].etag.encode()
    request = b"%s /calendar.ics HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n"
    assert (await exchange(running, request % (b"HEAD", b""))).endswith(b"\r\n\r\n")
    unchanged = await exchange(running, request % (b"GET", b"If-None-Match: " + etag + b"\r\n"))
    assert unchanged.startswith(b"HTTP/1.1 304 ")
    assert unchanged.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\nGET /x",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nabcd",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Header\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b'GET / HTTP/1.1\r\nHost: a"><b\r\n\r\n',
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a:http\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    ],
    ids=[
        "no host",
        "two hosts",
        "length and chunks",
        "chunks and length",
        "two lengths",
        "odd length",
        "odd coding",
        "space before the colon",
        "folded",
        "NUL",
        "no header",
        "TLS",
        "markup as host",
        "path as host",
        "name as port",
        "another HTTP",
    ],
)
async def test_what_is_no_proper_request_gets_a_400_and_the_end(running, request_head):
    answered = await exchange(running, request_head)
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert answered.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("host", [b"", b"seminar.example.org:80", b"[::1]:8000", b"127.0.0.1:", b"under_score"])
async def test_a_host_may_be_a_name_or_an_address_or_left_out(running, host):
    for _ in range(2):  # made, then from the shelf
        request = b"GET /robots.txt HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"
        assert (await exchange(running, request)).startswith(b"HTTP/1.1 200 ")


async def test_a_host_that_is_none_is_refused_also_where_the_answer_is_ready(running):
    await exchange(running, asking(b"/robots.txt") * 2 + LAST)
    bad = b"GET /robots.txt HTTP/1.1\r\nHost: a b\r\n\r\n"
    assert (await exchange(running, bad)).startswith(b"HTTP/1.1 400 ")


async def test_a_body_that_says_it_is_too_long_is_not_waited_for(running):
    begun = b"POST /unsubscribe/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"
    assert (await exchange(running, begun)).startswith(b"HTTP/1.1 413 ")


async def test_http_1_0_needs_no_host(running):
    assert (await exchange(running, b"GET /robots.txt HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_long_head_is_refused(running):
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * connections.HEAD_LIMIT + b"\r\n\r\n"
    assert (await exchange(running, head)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"431"),
        (b"GET /", b"414"),
        (b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /", b"414"),
    ],
)
async def test_a_head_without_end_is_refused_where_it_is_too_long(running, begun, status):
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    for sent in (begun, b"x" * (connections.HEAD_LIMIT - 100), b"x" * 200):
        writer.write(sent)
        await asyncio.sleep(0.05)
    answered = await asyncio.wait_for(reader.read(), 10)
    assert re.findall(rb"HTTP/1.1 (\d+)", answered)[-1] == status
    assert b"connection: close" in answered
    writer.close()


async def test_a_head_that_is_too_long_is_refused_also_in_pieces_and_where_the_answer_is_ready(running):
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nX: " + b"x" * (connections.HEAD_LIMIT - 50))
        await asyncio.sleep(0.05)
        writer.write(b"x" * 50 + b"\r\nConnection: keep-alive\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 431 ")
        writer.close()
        await exchange(running, asking(b"/robots.txt") * 2 + LAST)


async def test_more_headers_than_any_program_sends_are_refused(running):
    for count, status in ((98, b"200"), (101, b"431")):
        lines = b"".join(b"X-%d: y\r\n" % n for n in range(count))
        for _ in range(2):
            head = b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + lines + b"\r\n"
            assert (await exchange(running, head)).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    "sent",
    [
        b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
    ],
    ids=["body", "trailer"],
)
async def test_a_message_without_end_is_cut_off(running, sent):
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(sent)

    async def pour() -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(pour(), 10)
    writer.close()


async def test_trailers_are_not_taken_for_headers(running):
    chunked = b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: y\r\n\r\n"
    last = b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert re.findall(rb"HTTP/1.1 (\d+)", await exchange(running, chunked + last)) == [b"200", b"200"]


@pytest.mark.parametrize(("coding", "status"), [(b"Chunked", b"200"), (b"gzip, chunked", b"501")])
async def test_a_body_in_a_coding_that_is_not_known_here_is_not_read(running, coding, status):
    """RFC 9112 section 6.1: gzip would be taken for what it is the wrapping of."""
    body = b"Transfer-Encoding: " + coding + b"\r\nConnection: close\r\n\r\n0\r\n\r\n"
    answered = await exchange(running, b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n" + body)
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [status]


async def test_a_body_that_turns_out_wrong_is_refused(running):
    head = b"POST /subscribe HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered = await exchange(running, head + b"3\r\na=b\r\nzz\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"400"]


async def test_what_follows_is_no_answer_to_what_came_before(running):
    """Nothing, or the answer; but not the refusal of what stands behind it."""
    answered = await exchange(running, asking(b"/history?q=x") + b"no request\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) in ([], [b"200"], [b"200", b"400"])


@pytest.mark.parametrize(("version", "statuses"), [(b"1.1", [b"100", b"400"]), (b"1.0", [b"400"])])
async def test_only_who_knows_of_it_is_told_to_go_on(running, version, statuses):
    """RFC 9110 section 10.1.1: to HTTP/1.0 the first answer is the last."""
    head = b"POST /subscribe HTTP/" + version + b"\r\nHost: x\r\nExpect: 100-continue\r\nConnection: close\r\n"
    answered = await exchange(running, head + b"Content-Length: 3\r\n\r\na=b")
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == statuses


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"OPTIONS * HTTP/1.1", 204),
        (b"GET http://elsewhere.example.org/robots.txt HTTP/1.1", 200),
        (b"GET http://elsewhere.example.org HTTP/1.1", 200),
        (b"GET http://elsewhere.example.org?lang=zh HTTP/1.1", 200),
        (b"GET * HTTP/1.1", 400),
        (b"GET /robots.txt? HTTP/1.1", 200),
        (b"GET /robots.txt?%00=%ff&&& HTTP/1.1", 200),
        (b"GET /robots.txt#top HTTP/1.1", 200),
        (b"GET /%72obots.txt HTTP/1.1", 200),
        (b"GET //robots.txt HTTP/1.1", 308),
        (b"GET //[ HTTP/1.1", 404),
        (b"GET /../robots.txt HTTP/1.1", 404),
        (b"GET /%2e%2e/etc/passwd HTTP/1.1", 404),
        (b"GET /%00 HTTP/1.1", 404),
        (b"GET /sessions/%00.ics HTTP/1.1", 404),
        (b"GET /%ff%zz% HTTP/1.1", 404),
        (b"GET /\xe6\xb1\x89 HTTP/1.1", 404),
        (b"GET /robots.txt?q=\xe6\xb1\x89 HTTP/1.1", 200),
        (b"GET http://elsewhere.example.org/robots.txt?\xff HTTP/1.1", 200),
        (b"BREW /\xe6\xb1\x89 HTTP/1.1", 501),
        (b"G\xe6T /robots.txt HTTP/1.1", 400),
        (b"GET /robots.txt HTTP/1.\xe6", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /" + b"a" * connections.HEAD_LIMIT + b" HTTP/1.1", 414),
        (b"GET /robots.txt?" + b"a" * connections.HEAD_LIMIT + b" HTTP/1.1", 414),
        (b"CONNECT x:80 HTTP/1.1", 400),
        (b"CONNECT / HTTP/1.1", 405),
        (b"BREW /robots.txt HTTP/1.1", 501),
        (b"get /robots.txt HTTP/1.1", 501),
        (b"M-X! /none HTTP/1.0", 501),
        (b"BREW /robots.txt HTTP/3.7", 400),
        (b"BREW  HTTP/1.1", 400),
        (b"BR(EW /robots.txt HTTP/1.1", 400),
        (b"GET x:80 HTTP/1.1", 400),
        (b"GET  HTTP/1.1", 400),
        (b"GET /robots.txt", 400),
        (b"GET /robots.txt HTTP/3.7", 400),
        (b"PRI * HTTP/2.0", 400),
    ],
)
async def test_a_target_however_odd_gets_an_answer_that_fits(running, line, status, caplog):
    answered = await exchange(running, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answered.startswith(b"HTTP/1.1 %d " % status)
    assert answered.count(b"\r\ndate: ") == 1  # RFC 9110 section 6.6.1
    assert caplog.text == ""


async def test_a_target_beyond_ascii_is_the_one_that_is_escaped(running):
    """As curl sends what somebody typed, and as nginx passes it on: in one piece or cut anywhere."""
    line = b"GET /history?q=%s&lang=en HTTP/1.1\r\nHost: x\r\nX-Name: \xe6\xb1\x89\r\nConnection: close\r\n\r\n"
    asked, typed = line % quote("冷冻").encode(), line % "冷冻".encode()
    _, escaped = [undated(await exchange(running, asked)) for _ in range(2)]  # the second is given at once
    assert b"q=%E5%86%B7%E5%86%BB" in escaped
    for _ in range(2):
        assert undated(await exchange(running, typed)) == escaped
    for cut in (1, 8, 15, 16, 17, 20, 24, 40, 52, 60):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        for piece in (typed[:cut], typed[cut:]):
            writer.write(piece)
            await asyncio.sleep(0.002)  # so that the piece is read alone
        assert undated(await asyncio.wait_for(reader.read(), 10)) == escaped, cut
        writer.close()


async def test_what_is_beyond_ascii_in_a_body_stays_as_it_is(running, desk):
    body = "words=冷冻 /x HTTP/1.1\r\n".encode()
    head = asking(b"/unsubscribe/x", b"Content-Length: %d" % len(body), method=b"POST")
    for cut in (0, len(head), len(head) + 8):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        for piece in ((head + body)[:cut], (head + body)[cut:], LAST):
            writer.write(piece)
            await asyncio.sleep(0.002)  # so that the piece is read alone
        answered = await asyncio.wait_for(reader.read(), 10)
        assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"404", b"200"], cut
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Half",
        b"POST /unsubscribe/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["silence", "half a head", "half a body"],
)
async def test_a_request_must_be_here_in_time(running, monkeypatch, sent):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    with suppress(ConnectionError):
        assert await exchange(running, sent) == b""


async def test_a_later_request_of_a_connection_must_be_here_in_time_too(running, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET / HTTP/1.1\r\nHos")
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), connections.KEEP_ALIVE_SECONDS - 1)
    writer.close()


async def test_an_answer_may_take_longer_than_a_request(running, desk, monkeypatch):
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)

    async def slowly(token: str) -> None:
        await asyncio.sleep(0.2)

    desk.unsubscribe = slowly
    async with httpx.AsyncClient() as client:
        assert (await client.post(f"http://{running.addresses[0]}/unsubscribe/{ADA}")).status_code == 200


async def test_a_lost_connection_leaves_no_timer_behind(running):
    for sent in (b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        writer.write(sent)
        await (reader.readline() if sent.endswith(b"\r\n") else asyncio.sleep(0.05))
        (connection,) = running._uvicorn.server_state.connections
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()  # with this linger the other side sees an error, not an end
        await until(lambda: not running._uvicorn.server_state.connections)
        assert (connection._timer, connection.timeout_keep_alive_task) == (None, None)


async def test_who_leaves_in_the_middle_of_a_request_is_no_failure(running, desk, caplog):
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(b"POST /unsubscribe/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
    await asyncio.sleep(0.05)
    writer.close()
    await until(lambda: not running._uvicorn.server_state.tasks)
    assert caplog.text == ""


async def test_pipelined_requests_are_answered_in_order(running):
    request = b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    sent = (
        request % (b"/robots.txt", b"")
        + request % (b"/nothing", b"")
        + request % (b"/healthz", b"Connection: close\r\n")
    )
    answered = await exchange(running, sent)
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"200", b"404", b"200"]


async def test_an_offer_to_speak_http_2_is_passed_over(running):
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
    assert (await asyncio.wait_for(reader.readline(), 5)) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


# What is ready


def asking(path: bytes, *lines: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join((method + b" " + path + b" HTTP/1.1", b"Host: x", *lines, b"", b""))


LAST = asking(b"/healthz", b"Connection: close")


def undated(answered: bytes) -> bytes:
    return re.sub(rb"date: [^\r]+", b"date: now", answered)


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """The next answer of a connection that stays."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))


@pytest.fixture
def asked(running, monkeypatch):
    """The paths for which the application was asked."""
    paths = []
    pass_on = connections._Connection._pass_on

    def noted(connection):
        paths.append(connection.url)
        pass_on(connection)

    monkeypatch.setattr(connections._Connection, "_pass_on", noted)
    return paths


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("path", [b"/", b"/?lang=zh", b"/calendar.ics", b"/talks.json", b"/sessions/2021-11-27.ics"])
async def test_what_was_asked_before_is_given_at_once_and_is_the_same(running, asked, method, path):
    etag = re.search(rb"etag: ([^\r]+)", await exchange(running, asking(path, b"Connection: close")))[1]
    for lines in ([], [b"Accept-Encoding: br, gzip"], [b"If-None-Match: " + etag, b"Accept-Language: zh"]):
        request = asking(path, *lines, method=method)
        first, then = [await exchange(running, request + LAST) for _ in range(2)]
        assert undated(first) == undated(then)
        assert asked[-3:] == [path, b"/healthz", b"/healthz"]


async def test_the_same_bytes_need_no_parser(running, monkeypatch):
    request = asking(b"/robots.txt", b"User-Agent: A program that polls")
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    parsed = []
    find = connections._Connection._find
    monkeypatch.setattr(connections._Connection, "_find", lambda one: parsed.append(one.url) or find(one))
    for _ in range(5):
        writer.write(request)
        assert undated(await one_answer(reader)).startswith(b"HTTP/1.1 200 OK\r\ndate: now\r\n")
    assert parsed == [b"/robots.txt"] * 2  # the application's answer, the parser's, and then three without
    writer.close()


async def test_however_a_stream_of_requests_is_cut_the_answers_are_the_same(running):
    feed, robots = asking(b"/calendar.ics"), asking(b"/robots.txt")
    posted = asking(b"/unsubscribe/x", b"Content-Length: 9", method=b"POST") + b"action=no"
    stream = feed + robots + posted + robots + robots + asking(b"/nothing") + robots + feed + LAST
    whole = undated(await exchange(running, stream))
    assert re.findall(rb"HTTP/1.1 (\d+)", whole) == [b"200", b"200", b"404", b"200", b"200", b"404", *[b"200"] * 3]
    chance = random.Random(20211127)
    starts = [at.start() for at in re.finditer(b"GET|POST", stream)][1:]
    for _ in range(30):
        cuts = sorted({*chance.sample(starts, 3), *(chance.randrange(len(stream)) for _ in range(3))})
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
        for begin, end in pairwise([0, *cuts, len(stream)]):
            writer.write(stream[begin:end])
            await asyncio.sleep(0.002)  # so that the piece is read alone
        assert undated(await asyncio.wait_for(reader.read(), 10)) == whole, cuts
        writer.close()


async def test_a_body_is_never_taken_for_a_request(running):
    known = asking(b"/calendar.ics")
    await exchange(running, known * 2 + LAST)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(known)  # seen before, and remembered to the byte
    await reader.readuntil(b"END:VCALENDAR\r\n")
    writer.write(asking(b"/nothing", b"Content-Length: %d" % len(known), method=b"PUT"))
    await asyncio.sleep(0.05)
    writer.write(known)
    await asyncio.sleep(0.05)
    writer.write(LAST)
    answered = await asyncio.wait_for(reader.read(), 10)
    assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [b"404", b"200"]
    assert b"VCALENDAR" not in answered
    writer.close()


async def test_the_time_for_the_next_request_ends_with_it_whoever_answers(running):
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    for path in (b"/robots.txt", b"/robots.txt", b"/robots.txt", b"/healthz", b"/robots.txt"):
        writer.write(asking(path))
        await one_answer(reader)
        (connection,) = running._uvicorn.server_state.connections
    assert connection.timeout_keep_alive_task is None
    writer.close()


async def test_a_pipeline_of_ready_and_other_answers_stays_in_order(running):
    steps = [(b"/robots.txt", b"200"), (b"/nothing", b"404"), (b"/calendar.ics", b"200"), (b"/readyz", b"200")] * 5
    sent = b"".join(asking(path) for path, _ in steps) + LAST
    for _ in range(2):
        answered = await exchange(running, sent)
        assert re.findall(rb"HTTP/1.1 (\d+)", answered) == [*(status for _, status in steps), b"200"]
        assert answered.count(b"BEGIN:VCALENDAR") == 5


async def test_a_new_snapshot_is_given_at_once(running):
    for title in ("冷冻电镜原理及相关算法", "A new title"):
        running.snapshot = published(title)
        for _ in range(3):
            assert title.encode() in await exchange(running, asking(b"/talks.json") + LAST)


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /robots.txt HTTP/1.0\r\n\r\n", b"200"),
        (asking(b"/robots.txt", b"Content-Length: 0"), b"200"),
        (asking(b"/robots.txt", b"Expect: 100-continue", b"Content-Length: 0"), b"200"),
        (asking(b"/robots.txt", b"Accept-Encoding: br", b"Accept-Encoding: gzip"), b"200"),
        (asking(b"/robots.txt", b"Host: y"), b"400"),
        (asking(b"/robots.txt", method=b"POST"), b"405"),
        (asking(b"/robots.txt", b"X: " + b"x" * connections.HEAD_LIMIT), b"431"),
    ],
)
async def test_whoever_asks_for_more_than_a_ready_answer_is_passed_on(running, asked, request_head, status):
    for coding in (b"br", b"gzip", b""):
        await exchange(running, asking(b"/robots.txt", *([b"Accept-Encoding: " + coding] if coding else [])) + LAST)
    del asked[:]
    answered = await exchange(running, request_head + LAST)
    assert asked[0] == b"/robots.txt"
    assert answered.startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    "last",
    [
        b"GET /calendar.ics HTTP/1.0\r\nHost: x\r\n\r\n",
        b"GET /calendar.ics HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        asking(b"/calendar.ics", b"Connection: close"),
    ],
    ids=["as nginx asks", "as ab asks", "close"],
)
async def test_the_last_request_of_a_connection_is_answered_at_once_too(running, asked, last, caplog):
    caplog.set_level("WARNING", "uvicorn.error")
    slow = await exchange(running, last)
    behind = asking(b"/robots.txt", b"Content-Length: 3", method=b"PUT") + b"abc" + asking(b"/robots.txt")
    for sent in (last, last, asking(b"/calendar.ics") + last, last + behind):
        answered = await exchange(running, sent)
        assert answered.count(b"HTTP/1.1 ") == sent.count(b"/calendar.ics")
        final = answered[answered.rindex(b"HTTP/1.1 200 OK\r\n") :]
        assert sorted(undated(final).split(b"\r\n")) == sorted(undated(slow).split(b"\r\n"))
        assert b"connection: close\r\n" in final
    assert asked == [b"/calendar.ics"]
    assert caplog.text == ""


async def test_who_reads_the_last_answer_late_gets_all_of_it_and_the_end(large, monkeypatch):
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 300)
    large._uvicorn.config.timeout_keep_alive = 300
    large._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    reader, writer = await lazy(large, asking(b"/talks.json", b"Connection: close"))
    assert [len(one._rest) > 0 for one in large._uvicorn.server_state.connections] == [True]
    assert (await asyncio.wait_for(reader.read(), 60)).endswith(LARGE.documents["/talks.json"].body)
    writer.close()


async def test_ranges_are_ignored(running):
    whole = await exchange(running, asking(b"/calendar.ics") + LAST)
    assert undated(await exchange(running, asking(b"/calendar.ics", b"Range: bytes=0-9") + LAST)) == undated(whole)


async def test_nothing_is_kept_of_what_is_not_published(running, asked):
    for path in (b"/healthz", b"/readyz", b"/nothing", b"/unsubscribe/" + ADA.encode()):
        for _ in range(2):
            await exchange(running, asking(path) + LAST)
        assert asked == [path, b"/healthz"] * 2
        del asked[:]


async def test_a_flood_of_different_questions_does_not_fill_the_memory(running, monkeypatch):
    monkeypatch.setattr(connections, "SHELF_ANSWERS", 8)
    for n in range(50):
        await exchange(running, asking(b"/robots.txt?%d" % n) + LAST)
        assert len(running.shelf._ready) <= 8
    await exchange(running, asking(b"/robots.txt?" + b"x" * connections.SHELF_QUESTION) + LAST)
    assert max(len(question[1]) for question in running.shelf._ready) < 100


async def test_a_flood_of_different_forms_of_the_feed_does_not_fill_the_memory(running, monkeypatch):
    whole = len(await exchange(running, asking(b"/calendar.ics?past=all") + LAST))
    monkeypatch.setattr(connections, "SHELF_BYTES", 10 * whole)
    for days in range(60):
        question = asking(b"/calendar.ics?past=%dd" % days)
        await exchange(running, question * 2 + LAST)
    shelf = running.shelf
    assert 0 < sum(len(ready.body) for ready in shelf._ready.values()) <= 12 * whole
    assert {id(ready) for ready in shelf._seen.values()} <= {id(ready) for ready in shelf._ready.values()}


async def test_answers_are_counted_by_status_however_they_are_given(running):
    await exchange(running, asking(b"/robots.txt") * 3 + asking(b"/nothing") + LAST)
    assert running.answered == {200: 4, 404: 1}


# Readers who do not read


async def lazy(running: Server, *requests: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection with hardly any room for what comes, which has asked and does not read yet."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port_of(running)))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1)
    writer.write(b"".join(requests))
    await asyncio.sleep(0.1)
    return reader, writer


@pytest.fixture
async def large(desk):
    running = Server(["127.0.0.1:0"], LARGE, desk, desk.health)
    await running.start()
    await exchange(running, asking(b"/talks.json", b"Connection: close"))
    await exchange(running, asking(b"/talks.json") + LAST)
    yield running
    await running.stop()


async def test_a_reader_who_comes_back_gets_everything_in_order(large):
    reader, writer = await lazy(large, asking(b"/talks.json") * 4, asking(b"/robots.txt"), LAST)
    (connection,) = large._uvicorn.server_state.connections
    assert len(connection._rest) > 0
    assert connection.transport.get_write_buffer_size() <= connections.CHUNK_BYTES
    answered = await asyncio.wait_for(reader.read(), 30)
    whole = LARGE.documents["/talks.json"].body
    assert answered.count(whole) == 4
    assert re.findall(rb"HTTP/1.1 (\d+) OK\r", answered) == [b"200"] * 6
    writer.close()


async def test_a_reader_who_does_not_come_back_is_given_up(large, monkeypatch):
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(connections, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(connections, "REQUEST_SECONDS", 0.05)
    for last in (asking(b"/talks.json"), asking(b"/talks.json", b"Connection: close")):
        _, writer = await lazy(large, asking(b"/talks.json"), last)
        await until(lambda: not large._uvicorn.server_state.connections)
        writer.close()


async def test_stopping_lets_a_reader_finish_and_answers_nothing_more(desk, monkeypatch):
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 60)
    running = Server(["127.0.0.1:0"], LARGE, desk, desk.health)
    await running.start()
    running._uvicorn.config.timeout_graceful_shutdown = running._uvicorn.config.timeout_keep_alive = 60
    running._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    await exchange(running, asking(b"/talks.json") + LAST)
    reader, writer = await lazy(running, asking(b"/talks.json"))
    assert [len(one._rest) > 0 for one in running._uvicorn.server_state.connections] == [True]
    stopping = asyncio.create_task(running.stop())
    await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(LARGE.documents["/talks.json"].body)
    await asyncio.wait_for(stopping, 10)
    writer.close()


SERVING = """
import asyncio, signal, sys
sys.path[:0] = sys.argv[1:]
from test_server import Desk, Server, published

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = Server(["127.0.0.1:0"], published(*(f"{n} {'abcdefgh' * 100}" for n in range(400))), Desk(), Desk().health)
    await server.start()
    print(server.addresses[0].rpartition(":")[2], flush=True)
    await stop.wait()
    await server.stop()

asyncio.run(main())
"""


@pytest.fixture
def apart():
    """The port and the process of a server that has its memory to itself."""
    folders = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
    with subprocess.Popen([sys.executable, "-c", SERVING, *folders], stdout=subprocess.PIPE, text=True) as process:
        yield int(process.stdout.readline()), process.pid
        process.terminate()


def resident(pid: int) -> float:
    """Its memory in MB."""
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def answered(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(1 << 20), b""))


@pytest.mark.chaos
def test_two_hundred_stalled_readers_cost_little_and_keep_nobody_waiting(apart):
    port, pid = apart
    feed = asking(b"/talks.json", b"Connection: close")
    whole = [len(answered(port, feed)) for _ in range(3)][-1]
    assert whole > 300_000
    before = resident(pid)
    with ExitStack() as held:
        for _ in range(200):
            sock = held.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sock.sendall(asking(b"/talks.json") * 20)
        assert [len(answered(port, feed)) for _ in range(3)] == [whole] * 3
        assert resident(pid) - before < 64  # a copy of what waits would be 1,500 MB, and one of each answer 70
    assert len(answered(port, feed)) == whole


@pytest.mark.chaos
def test_who_asks_fifteen_hundred_times_and_reads_nothing_costs_little(apart):
    port, pid = apart
    whole = len(answered(port, asking(b"/talks.json", b"Connection: close")))
    before = resident(pid)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(asking(b"/talks.json") * 1500)
        for _ in range(5):
            assert len(answered(port, asking(b"/talks.json", b"Connection: close"))) == whole
        assert resident(pid) - before < 32  # every answer in memory would be 500 MB


@pytest.mark.chaos
def test_memory_stays_flat_whatever_is_asked(apart):
    port, pid = apart

    def ask(lot: int) -> None:
        for block in range(20):
            requests = (
                asking(b"/calendar.ics?x=%d" % n, b'If-None-Match: "%d-%d"' % (lot, n), method=b"HEAD")
                for n in range(block * 100, block * 100 + 100)
            )
            answered(port, b"".join(requests) + LAST)

    ask(0)
    before = resident(pid)
    ask(1)
    assert resident(pid) - before < 8


# What is taken for granted of uvicorn


@pytest.mark.parametrize(
    ("method", "parameters"),
    {
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "data_received": ["data"],
        "on_message_begin": [],
        "on_url": ["url"],
        "on_header": ["name", "value"],
        "on_headers_complete": [],
        "on_message_complete": [],
        "on_response_complete": [],
        "resume_writing": [],
        "shutdown": [],
        "_unset_keepalive_if_required": [],
    }.items(),
)
def test_uvicorns_connection_has_the_methods_that_are_overridden_or_called(method, parameters):
    assert list(inspect.signature(getattr(HttpToolsProtocol, method)).parameters) == ["self", *parameters]


async def test_uvicorns_connection_keeps_its_state_under_the_names_that_are_used(running):
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(asking(b"/nothing"))
    await until(lambda: any(c.cycle for c in running._uvicorn.server_state.connections))
    (connection,) = running._uvicorn.server_state.connections
    assert isinstance(connection.flow, FlowControl)
    assert {*vars(connections._Unfinished())} <= {*vars(connection.cycle)}
    assert {"url", "headers", "expect_100_continue", "parser", "loop", "transport", "server_state"} <= {
        *vars(connection)
    }
    assert {"read_paused", "write_paused"} <= {*vars(connection.flow)}
    # Whatever uvicorn's own methods ask of the current answer, ours has it too.
    asked = set(re.findall(r"\b(?:self|existing)[._]cycle\.(\w+)", inspect.getsource(HttpToolsProtocol)))
    assert asked <= {*vars(connections._Unfinished()), "run_asgi"}
    writer.close()


def test_uvicorns_server_has_the_steps_that_are_taken_one_by_one():
    assert list(inspect.signature(Uvicorn.startup).parameters) == ["self", "sockets"]
    assert list(inspect.signature(Uvicorn.shutdown).parameters) == ["self", "sockets"]
