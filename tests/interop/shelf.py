"""A web server with feeds on it, as right or as wrong as a test wants it; what is on it can be exchanged."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Shelf:
    """Feeds by name, each at `/NAME.ics` with its ETag; what is `frozen` keeps the ETag of what was there first."""

    def __init__(self, feeds: Mapping[str, bytes], *, frozen: Container[str] = ()) -> None:
        self.feeds = dict(feeds)
        self.frozen = frozen
        self.tags: dict[str, str] = {}
        self.address = ""
        self.answered = Counter[int]()  # how often with which status

    def url(self, name: str) -> str:
        return f"http://{self.address}/{name}.ics"

    def urls(self) -> dict[str, str]:
        return {name: self.url(name) for name in self.feeds}

    def put(self, name: str, data: bytes) -> None:
        self.feeds[name] = data

    def tag(self, name: str) -> str:
        tag = f'"{hashlib.sha256(self.feeds[name]).hexdigest()[:16]}"'
        return self.tags.setdefault(name, tag) if name in self.frozen else tag


@contextmanager
def served(shelf: Shelf) -> Iterator[Shelf]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.removeprefix("/").removesuffix(".ics")
            if name not in shelf.feeds:
                self.answer(404)
            elif self.headers.get("If-None-Match") == shelf.tag(name):
                self.answer(304, ETag=shelf.tag(name))
            else:
                self.answer(200, shelf.feeds[name], ETag=shelf.tag(name))

        def do_HEAD(self) -> None:
            self.do_GET()

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            shelf.answered[status] += 1
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            if status != 304:
                self.send_header("Content-Type", "text/calendar; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    shelf.address = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield shelf
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
