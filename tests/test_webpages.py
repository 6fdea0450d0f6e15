"""Pages of the web, from a real server."""

from __future__ import annotations

import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace

import pytest
import trustme
from webserver import page, redirects, web_server

from notifier import __version__, webpages
from notifier.errors import SourceError


@pytest.fixture
def web(monkeypatch) -> Iterator[SimpleNamespace]:
    with web_server(monkeypatch) as place:
        yield place


async def test_a_page_says_who_asks(web):
    await webpages.fetch(web.url)
    assert web.asked[0][1]["User-Agent"] == f"seminar-notifier/{__version__}"
    assert web.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (500, "the server answers 500; look whether the page opens in a browser"),
        (206, "the server answers 206; look whether the page opens in a browser"),
        (302, "the server answers 302; look whether the page opens in a browser"),  # with nowhere to go
        (404, "there is no such page (404); mend the address"),
        (403, "the server refuses us (403); make the page public"),
    ],
)
async def test_an_answer_that_is_no_page_is_refused_with_its_status(web, status, message):
    web.answer = page(b"Time: 2021-11-27", status)
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(web.url)
    assert str(caught.value) == f"{web.url}: {message}"


async def test_an_endless_page_of_error_is_not_read(web):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        page(b"", 500, Content_Length=str(10**12))(handler)
        while True:
            handler.wfile.write(bytes(1_000_000))

    web.answer = answer
    with pytest.raises(SourceError, match="the server answers 500"):
        await webpages.fetch(web.url)


async def test_a_page_cut_off_is_refused(web):
    web.answer = page(b"[[session]]", Content_Length="2664")
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(web.url)
    assert caught.value.problems[0].message.startswith("it cannot be fetched: peer closed connection without sending")


async def test_a_page_cut_off_between_its_chunks_is_refused(web):
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\none\r\n")

    web.answer = answer
    with pytest.raises(SourceError, match="peer closed connection"):
        await webpages.fetch(web.url)


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_page_over_20_mb_is_refused_and_not_kept_in_memory(web, is_announced):
    sent = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if is_announced:
            handler.send_header("Content-Length", str(10**12))
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(bytes(1_000_000)))

    web.answer = answer
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(web.url)
    assert caught.value.problems[0].message == "it is larger than 20 MB"
    assert sum(sent) < 40_000_000


async def test_a_page_that_trickles_is_given_up(web, monkeypatch):
    monkeypatch.setattr(webpages, "PATIENCE", timedelta(seconds=0.5))
    is_over = threading.Event()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        page(b"", Content_Length="1000000")(handler)
        while not is_over.wait(0.05):
            handler.wfile.write(b".")

    web.answer = answer
    try:
        with pytest.raises(SourceError, match=r"no whole answer within 0\.5 s"):
            await webpages.fetch(web.url)
    finally:
        is_over.set()


async def test_a_server_that_is_down_is_trouble_with_words(web):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/talks"
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(url)
    assert str(caught.value) == (
        f"{url}: it cannot be fetched: All connection attempts failed; look whether the page opens in a browser"
    )


async def test_five_redirects_are_followed_and_no_sixth(web):
    web.answer = redirects("/elsewhere", 5)
    assert await webpages.fetch(web.url) == b"one"
    web.answer = redirects("/elsewhere", 6)
    with pytest.raises(SourceError, match="redirects more than 5 times"):
        await webpages.fetch(web.url)


@pytest.mark.parametrize(
    "elsewhere", ["http://example.org/talks", "file:///etc/passwd", "ftp://127.0.0.1/", "http://[::ffff:8.8.8.8]/"]
)
async def test_a_redirect_to_where_others_could_listen_is_refused(web, elsewhere):
    web.answer = redirects(elsewhere, 1)
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(web.url)
    assert caught.value.problems[0].message in (
        "it is not sent over https",
        "it cannot be fetched: Invalid URL in location header: No host included in URL.",
    )


async def test_http_is_spoken_with_this_machine_only(web):
    assert await webpages.fetch(web.url.replace("127.0.0.1", "localhost")) == b"one"
    with pytest.raises(SourceError) as caught:
        await webpages.fetch("http://example.org/talks")
    assert str(caught.value) == "http://example.org/talks: it is not sent over https; give an https:// address"


async def test_https_is_spoken_with_whom_the_machine_trusts_and_never_left_by_a_redirect(web, monkeypatch, tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    web.server.socket = context.wrap_socket(web.server.socket, server_side=True)
    url = web.url.replace("http", "https")
    with pytest.raises(SourceError, match="certificate verify failed"):
        await webpages.fetch(url)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert await webpages.fetch(url) == b"one"
    web.answer = redirects(web.url, 1)
    with pytest.raises(SourceError, match="not sent over https"):
        await webpages.fetch(url)


async def test_user_and_password_of_an_address_are_used_and_never_said(web):
    url = web.url.replace("://", "://ada:tiger@") + "?token=lion"
    assert await webpages.fetch(url) == b"one"
    assert web.asked[0][0] == "/talks?token=lion"
    assert web.asked[0][1]["Authorization"] == "Basic YWRhOnRpZ2Vy"
    web.answer = page(b"", 500)
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(url)
    assert str(caught.value).startswith(f"{web.url}?…: the server answers 500")


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:tiger/lion@example.org/",
        "https://ada:tiger@[::1/",
        "https://ada:tiger@exa mple.org/",
        "http://ada:tiger@example.org/?key=lion",
        "https://ada:tiger@/",
        "https://",
    ],
)
async def test_no_error_ever_says_a_secret(url):
    with pytest.raises(SourceError) as caught:
        await webpages.fetch(url)
    assert [secret for secret in ("ada", "tiger", "lion") if secret in str(caught.value)] == []


@pytest.mark.parametrize(
    ("source", "answer"),
    [("https://example.org", True), ("HTTP://127.0.0.1/", True), ("talks.toml", False), ("https.toml", False)],
)
def test_a_page_is_known_by_its_scheme(source, answer):
    assert webpages.is_page(source) is answer
