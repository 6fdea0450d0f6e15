"""A web server on this machine, which answers as each test says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def web_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A web server whose `answer` each test sets, and the `asked` requests it got."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    place = SimpleNamespace(answer=page(b"one"), asked=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place.asked.append((self.path, dict(self.headers)))
            self.close_connection = True
            place.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that hangs up in the middle is what some tests are about
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    place.server = server
    place.url = f"http://127.0.0.1:{server.server_port}/talks"
    try:
        yield place
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def page(body: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirects(to: str, times: int) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        nonlocal times
        times -= 1
        (page(b"one") if times < 0 else page(b"moved", 302, Location=to))(handler)

    return answer
