"""What a request costs, beside nginx with the same bytes as files: `python -m benchmarks.serving`, three minutes.

The daemon and nginx's one worker take turns on one core, wrk has the other. Medians of the rounds; a ratio is of the
medians of one run. CPU is the server's own for each request, which repeats also on a busy machine.
"""

from __future__ import annotations

import gzip
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.load import NOTIFIER, free_address, idle, processor, status, until_answered
from benchmarks.long_list import long_list

ROUNDS, SECONDS, CONNECTIONS, SESSIONS = 3, 3, 32, 130
LOOPS = ("uvloop", "asyncio")
REQUESTS = 10_000
FEED = "/long-seminar.ics"
WANTED = {"full": 0.9, "gzip": 0.9, "304": 0.7, "page": 0.9}

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
  types {{ text/calendar ics; text/html html; }}
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen {address}; root {folder}; index index.html; gzip_static on; }}
}}
"""


@dataclass(frozen=True)
class Served:
    """A running server: its address, and the process that answers."""

    name: str
    address: str
    pid: int


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # wrk's core; the servers are given the other one
    with tempfile.TemporaryDirectory() as folder:
        for loop in LOOPS:
            with daemon(loop) as ours, nginx(Path(folder), ours) as theirs:
                compare(ours, theirs)
                memory(ours)
        with daemon(LOOPS[-1]) as ours:
            idle(ours.pid, 60)


@contextmanager
def daemon(loop: str) -> Iterator[Served]:
    """The whole daemon on a list of three years, and whatever else it does beside answering."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run((*NOTIFIER, "init", folder), check=True, stdout=subprocess.DEVNULL)
        Path(folder, "talks.toml").write_bytes(long_list(SESSIONS))
        address = free_address()
        environment = {**os.environ, "NOTIFIER_SERVER_LISTEN": address, "NOTIFIER_SERVER_LOOP": loop}
        command = ("taskset", "-c", servers_core(), *NOTIFIER, "--config", f"{folder}/config.toml", "run")
        with ended(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)) as process:
            until_answered(f"http://{address}{FEED}", process)
            yield Served(f"notifier on {loop}", address, process.pid)


@contextmanager
def nginx(folder: Path, ours: Served) -> Iterator[Served]:
    """nginx with what the daemon answers as files."""
    address = free_address()
    for path, name in ((FEED, FEED[1:]), ("/", "index.html")):
        body = got(ours.address, path)[1]
        (folder / name).write_bytes(body)
        (folder / f"{name}.gz").write_bytes(gzip.compress(body, 6, mtime=0))
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, address=address))
    folder.chmod(0o755)  # the worker is another user
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or sys.exit("nginx is missing")
    command = ("taskset", "-c", servers_core(), program, "-p", str(folder), "-c", str(folder / "nginx.conf"))
    with ended(subprocess.Popen(command, stderr=subprocess.DEVNULL)) as process:
        until_answered(f"http://{address}/", process)
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Served("nginx", address, int(worker))


def servers_core() -> str:
    return str(min(os.sched_getaffinity(os.getppid())))


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def got(address: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(address)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


# --- requests a second ------------------------------------------------------------------------------------------------


def compare(ours: Served, theirs: Served) -> None:
    print(f"\n{ours.name:26}{'size':>9}{'requests/s':>22}{'ratio':>8}{'wanted':>8}{'CPU us a request':>22}")
    for name, path, headers in (
        ("full", FEED, {"Accept-Encoding": "identity"}),
        ("gzip", FEED, {"Accept-Encoding": "gzip"}),
        ("304", FEED, {"Accept-Encoding": "gzip", "If-None-Match": ""}),
        ("page", "/", {"Accept-Encoding": "gzip"}),
    ):
        rounds = [(measured(ours, path, headers), measured(theirs, path, headers)) for _ in range(ROUNDS)]
        (rate, cpu), (their_rate, their_cpu) = (
            [median(r[side][what] for r in rounds) for what in (0, 1)] for side in (0, 1)
        )
        size = 0 if name == "304" else len(got(ours.address, path, headers)[1])
        print(
            f"  {name:24}{size:>9,}{rate:>10,.0f} / {their_rate:<9,.0f}{rate / their_rate:>8.2f}{WANTED[name]:>8.1f}"
            f"{cpu * 1e6:>10.1f} / {their_cpu * 1e6:<9.1f}"
        )


def measured(server: Served, path: str, headers: Mapping[str, str]) -> tuple[float, float]:
    """Requests a second, and seconds of CPU for each."""
    known = dict(headers)
    if "If-None-Match" in known:
        known["If-None-Match"] = str(
            got(server.address, path, {**headers, "If-None-Match": '"x"'})[0].getheader("ETag")
        )
    told = [option for name, value in known.items() for option in ("-H", f"{name}: {value}")]
    command = ("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", *told, f"http://{server.address}{path}")
    before = processor(server.pid)
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    cpu = processor(server.pid) - before
    count = re.search(r"(\d+) requests in ([\d.]+)s", said)
    assert count, said
    assert "Non-2xx" not in said, said
    return int(count[1]) / float(count[2]), cpu / int(count[1])


# --- memory ---------------------------------------------------------------------------------------------------------


def memory(server: Served) -> None:
    """Memory after each of three lots of requests, each of which asks for something a little different."""
    sizes = []
    for lot in range(3):
        connection = http.client.HTTPConnection(server.address)
        for n in range(REQUESTS):
            known = {"If-None-Match": f'"{lot}-{n}"', "Accept-Encoding": ("gzip", "br", "identity")[n % 3]}
            connection.request("GET", ("/", FEED, "/robots.txt", f"/nothing/{n}")[n % 4], headers=known)
            connection.getresponse().read()
        connection.close()
        time.sleep(1)
        sizes.append(int(status(server.pid, "VmRSS").split()[0]) / 1024)
    print(f"  memory after each {REQUESTS:,} requests: {', '.join(f'{size:.1f} MB' for size in sizes)}")


if __name__ == "__main__":
    main()
