"""The server by HTTP: through ASGI for what it answers, on real sockets for how it listens and stops."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import pytest

from notifier import pages, server, settings, wiring
from notifier.errors import ConfigError, ListenError, StoreError, TokenError
from notifier.metrics import Figures
from notifier.pages import Site, Snapshot, Templates
from notifier.server import Server
from notifier.stores import Summary
from notifier.subscribers import State, Subscriber
from notifier.talks import Seminar, Session, Talk
from notifier.tokens import Purpose

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "templates"
NOW = datetime(2021, 11, 24, 12, tzinfo=ZoneInfo("Asia/Shanghai"))
START = datetime(2021, 11, 27, 9, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
ADA = "ada.1AbC-_x"


def published(*titles: str) -> Snapshot:
    session = Session(
        "2021-11-27",
        START,
        START + timedelta(hours=2),
        "Asia/Shanghai",
        tuple(Talk(title) for title in titles),
        uid="2021-11-27@seminar.example.org",
        created=NOW,
        modified=NOW,
    )
    seminar = Seminar("joint-seminar", "Joint Seminar", "Asia/Shanghai", sessions=(session,))
    texts = {str(file.relative_to(FOLDER)): file.read_text() for file in FOLDER.rglob("*.*") if file.is_file()}
    return pages.build(seminar, Templates(texts), Site("https://seminar.example.org"), now=NOW)


SNAPSHOT = published("冷冻电镜原理及相关算法")
LARGE = published(*(f"{n} {'abcdefgh' * 500}" for n in range(500)))  # far more than sockets hold by themselves


class Desk:
    """Who is subscribed, kept in a set; knows Ada's link only."""

    def __init__(self) -> None:
        self.subscribed = {ADA}
        self.ailments = {"list": "", "store": ""}
        self.is_open = True

    def _look(self, token: str) -> None:
        if not self.is_open:
            raise StoreError("the ledger is not writable")
        if token != ADA:
            raise TokenError("this link was not made here")

    async def whose(self, purpose: Purpose, token: str) -> Subscriber:
        self._look(token)
        return Subscriber("ada@example.org")

    async def unsubscribe(self, token: str) -> Subscriber:
        self._look(token)
        self.subscribed.discard(token)
        return Subscriber("ada@example.org", state=State.UNSUBSCRIBED)

    async def resubscribe(self, token: str) -> Subscriber:
        self._look(token)
        self.subscribed.add(token)
        return Subscriber("ada@example.org")

    async def health(self) -> Mapping[str, str]:
        return self.ailments


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def client(desk) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Server([], SNAPSHOT, desk, desk.health).app)
    async with httpx.AsyncClient(transport=transport, base_url="http://seminar.example.org") as client:
        yield client


@pytest.fixture
async def running(desk) -> AsyncIterator[Server]:
    running = Server(["127.0.0.1:0"], SNAPSHOT, desk, desk.health)
    await running.start()
    yield running
    await running.stop()


def port_of(running: Server) -> int:
    return int(running.addresses[0].rpartition(":")[2])


async def exchange(running: Server, sent: bytes) -> bytes:
    """What a connection answers to these bytes, up to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(sent)
    answered = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answered


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - uvicorn has no event for what is waited for here
            await asyncio.sleep(0.01)


# What is answered


async def test_what_is_published_is_answered_from_the_snapshot(client):
    answered = await client.get("/calendar.ics", headers={"accept-encoding": "identity"})
    assert answered.status_code == 200
    assert answered.content == SNAPSHOT.documents["/calendar.ics"].body
    assert answered.headers["etag"] == SNAPSHOT.documents["/calendar.ics"].etag
    known = {"accept-encoding": "identity", "if-none-match": answered.headers["etag"]}
    unchanged = await client.get("/calendar.ics", headers=known)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_a_new_snapshot_is_answered_at_once(desk):
    serving = Server([], SNAPSHOT, desk, desk.health)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(serving.app), base_url="http://x") as client:
        assert "冷冻电镜" in (await client.get("/")).text
        serving.snapshot = published("A new title")
        assert "A new title" in (await client.get("/")).text


async def test_repeated_headers_are_read_as_the_list_that_they_are(client):
    etag = SNAPSHOT.documents["/calendar.ics"].etag
    headers = [("if-none-match", '"other"'), ("if-none-match", etag), ("accept-encoding", "identity")]
    assert (await client.get("/calendar.ics", headers=headers)).status_code == 304


async def test_links_do_not_follow_the_host_that_a_request_names(client):
    answered = await client.get("/", headers={"host": "evil.example.org", "x-forwarded-host": "evil.example.org"})
    assert "evil" not in answered.text


@pytest.mark.parametrize("method", ["PROPFIND", "PUT", "REPORT", "POST"])
async def test_calendar_programs_that_look_for_a_server_are_told_there_is_none(client, method):
    for path in ("/", "/calendar.ics", "/.well-known/caldav"):
        answered = await client.request(method, path, content=b"<propfind/>")
        assert (answered.status_code, answered.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_healthz_says_that_the_process_lives(client):
    answered = await client.get("/healthz")
    assert (answered.status_code, answered.json()) == (200, {"ok": True, "checks": {}})
    assert (await client.post("/healthz")).status_code == 405
    assert (await client.head("/healthz")).content == b""


async def test_readyz_tells_what_is_wrong(client, desk):
    assert (await client.get("/readyz")).json() == {"ok": True, "checks": {"list": "ok", "store": "ok"}}
    desk.ailments["store"] = "not writable"
    answered = await client.get("/readyz")
    assert (answered.status_code, answered.json()["checks"]["store"]) == (503, "not writable")
    assert answered.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.8.8.8", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 404),
        ("2001:db8::1", {}, 404),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}, 404),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}, 404),
    ],
)
async def test_readyz_is_for_this_machine_unless_it_is_opened(desk, host, headers, status):
    for is_open in (False, True):
        app = Server([], SNAPSHOT, desk, desk.health, has_open_probes=is_open).app
        transport = httpx.ASGITransport(app, client=(host, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            assert (await client.get("/readyz", headers=headers)).status_code == (200 if is_open else status)


async def figures() -> Figures:
    return Figures(Summary({"sent": 3}), 1, 2, False, False)


async def test_figures_are_told_to_this_machine_only_unless_they_are_opened(desk):
    for is_open, host, status in ((False, "127.0.0.1", 200), (False, "192.0.2.1", 404), (True, "192.0.2.1", 200)):
        app = Server([], SNAPSHOT, desk, desk.health, figures=figures, has_open_probes=is_open).app
        transport = httpx.ASGITransport(app, client=(host, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.get("/robots.txt")
            answered = await client.get("/metrics")
            assert answered.status_code == status
            assert ('notifier_deliveries{state="sent"} 3' in answered.text) is (status == 200)
            assert ('notifier_http_responses_total{status="200"} 1' in answered.text) is (status == 200)
            assert (await client.head("/metrics")).content == b""
            assert (await client.post("/metrics")).status_code == (405 if status == 200 else 404)


async def test_what_has_to_be_rendered_first_does_not_keep_the_others_waiting(client, monkeypatch):
    """The event loop sends mail, too."""
    threads = []
    answer = pages.answer

    def noted(*args: object) -> object:
        threads.append(threading.current_thread())
        return answer(*args)

    monkeypatch.setattr(pages, "answer", noted)
    await asyncio.gather(*(client.get(f"/calendar.ics?past={n}d") for n in range(20)))
    assert len(threads) == 20
    assert threading.main_thread() not in threads


async def test_a_failure_in_one_request_is_a_page_and_leaks_nothing(client, desk, caplog):
    async def fail(token: str) -> None:
        raise RuntimeError("a bug")

    desk.unsubscribe = fail
    answered = await client.post(f"/unsubscribe/{ADA}")
    assert answered.status_code == 500
    assert "a bug" not in answered.text
    assert "request failed method=POST" in caplog.text
    assert ADA not in caplog.text


# Unsubscribing


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PROPFIND", "PUT", "DELETE"])
async def test_no_method_but_post_unsubscribes(client, desk, method):
    await client.request(method, f"/unsubscribe/{ADA}")
    assert desk.subscribed == {ADA}


async def test_the_unsubscribe_page_has_one_button_and_tells_the_link_to_nobody(client):
    answered = await client.get(f"/unsubscribe/{ADA}")
    assert answered.status_code == 200
    assert re.findall("<button .*?</button>", answered.text) == [
        '<button class="button" name="action" value="unsubscribe">Unsubscribe</button>'
    ]
    assert ADA not in answered.text
    assert answered.headers["referrer-policy"] == "no-referrer"
    assert answered.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "request_body",
    [
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"data": {"action": "unsubscribe"}},
        {"content": b""},
        {"content": b"\xff\xfe&=;%"},
    ],
    ids=["one-click", "one-click in multipart", "button", "nothing", "noise"],
)
async def test_a_post_unsubscribes_however_often(client, desk, request_body):
    for _ in range(2):
        answered = await client.post(f"/unsubscribe/{ADA}?lang=zh", **request_body)
        assert (answered.status_code, desk.subscribed) == (200, set())
        assert "您已退订" in answered.text
        assert 'value="resubscribe"' in answered.text


async def test_the_undo_button_takes_it_back_however_often(client, desk):
    await client.post(f"/unsubscribe/{ADA}")
    for _ in range(2):
        answered = await client.post(f"/unsubscribe/{ADA}", data={"action": "resubscribe"})
        assert (answered.status_code, desk.subscribed) == (200, {ADA})
        assert "You are subscribed again" in answered.text


async def test_a_bad_link_changes_nothing_and_says_what_to_do(client, desk):
    answered = await client.post("/unsubscribe/eve.forged")
    assert answered.status_code == 404
    assert "Open the one in your newest mail" in answered.text
    assert desk.subscribed == {ADA}


@pytest.mark.parametrize("path", ["/unsubscribe", "/unsubscribe/", "/unsubscribe/a/b"])
async def test_a_path_that_can_be_no_link_is_a_404(client, path):
    assert (await client.post(path)).status_code == 404


async def test_without_a_ledger_unsubscribing_says_to_try_again(client, desk):
    desk.is_open = False
    answered = await client.post(f"/unsubscribe/{ADA}")
    assert answered.status_code == 503
    assert "Nothing has changed" in answered.text


async def test_a_body_longer_than_any_form_is_refused(client, desk):
    full = await client.post(f"/unsubscribe/{ADA}", content=b"x" * server.BODY_LIMIT)
    assert full.status_code == 200
    desk.subscribed.add(ADA)
    answered = await client.post(f"/unsubscribe/{ADA}", content=b"x" * (server.BODY_LIMIT + 1))
    assert (answered.status_code, answered.headers["connection"]) == (413, "close")
    assert desk.subscribed == {ADA}


async def test_a_body_that_does_not_come_is_not_waited_for(client, desk, monkeypatch):
    monkeypatch.setattr(server, "BODY_SECONDS", 0.05)

    async def dripping() -> AsyncIterator[bytes]:
        yield b"action="
        await asyncio.sleep(5)

    answered = await client.post(f"/unsubscribe/{ADA}", content=dripping())
    assert (answered.status_code, desk.subscribed) == (408, {ADA})


# Starting and stopping


async def test_it_listens_on_a_unix_socket_for_its_group_and_leaves_nothing_behind(desk, tmp_path):
    path = tmp_path / "notifier.sock"
    running = Server([f"unix:{path}"], SNAPSHOT, desk, desk.health)
    await running.start()
    assert running.addresses == (f"unix:{path}",)
    assert path.stat().st_mode & 0o777 == 0o660
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
        assert (await client.get("http://x/readyz")).status_code == 200
    await running.stop()
    assert list(tmp_path.iterdir()) == []


async def test_a_unix_socket_left_by_a_dead_daemon_is_replaced(desk, tmp_path):
    path = tmp_path / "notifier.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    running = Server([f"unix:{path}"], SNAPSHOT, desk, desk.health)
    await running.start()
    await running.stop()


async def test_a_unix_socket_that_answers_is_not_taken_away(desk, tmp_path):
    path = tmp_path / "notifier.sock"
    first = Server([f"unix:{path}"], SNAPSHOT, desk, desk.health)
    await first.start()
    with pytest.raises(ListenError, match="stop the program that listens there"):
        await Server([f"unix:{path}"], SNAPSHOT, desk, desk.health).start()
    assert path.is_socket()
    await first.stop()


async def test_a_file_that_is_no_socket_is_not_removed(desk, tmp_path):
    path = tmp_path / "notifier.sock"
    path.write_text("precious")
    with pytest.raises(ListenError):
        await Server([f"unix:{path}"], SNAPSHOT, desk, desk.health).start()
    assert path.read_text() == "precious"


async def test_it_listens_on_ipv6(desk):
    running = Server(["[::1]:0"], SNAPSHOT, desk, desk.health)
    try:
        await running.start()
    except ListenError:
        pytest.skip("this machine has no IPv6; give its loopback ::1 to run this")
    assert running.addresses[0].startswith("[::1]:")
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://{running.addresses[0]}/healthz")).status_code == 200
    await running.stop()


async def test_the_end_of_a_long_answer_does_not_wait_for_the_reader(running):
    _, writer = await asyncio.open_connection(*running.addresses[0].rsplit(":", 1))
    async with asyncio.timeout(10):
        while not running._uvicorn.server_state.connections:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)
    (connection,) = running._uvicorn.server_state.connections
    accepted = connection.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    writer.close()
    await writer.wait_closed()


async def test_addresses_that_cannot_be_bound_are_all_named_and_none_is_kept(desk, running, tmp_path):
    taken = running.addresses[0]
    in_use = "address already in use; stop the program that listens there, or choose another address"
    path = tmp_path / "notifier.sock"
    wrong = ["192.0.2.1:8000", "nowhere", "127.0.0.1:http", "no.such.invalid:80"]
    refused = Server([f"unix:{path}", taken, *wrong], SNAPSHOT, desk, desk.health)
    with pytest.raises(ListenError) as caught:
        await refused.start()
    told = [str(problem) for problem in caught.value.problems]
    assert told[:2] == [
        f"{taken} cannot be bound: {in_use}",
        "192.0.2.1:8000 cannot be bound: cannot assign requested address; choose an address of this machine",
    ]
    assert told[2].startswith("'nowhere' is no address to listen at: it names no port")
    assert told[3].startswith("'127.0.0.1:http' is no address to listen at")
    assert told[4].startswith("no.such.invalid:80 cannot be bound: no such host name")
    assert list(tmp_path.iterdir()) == []


async def test_of_a_names_addresses_those_that_this_machine_lacks_are_left_out(desk, running, monkeypatch):
    def at(host: str, port: int) -> tuple[object, ...]:
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))

    found = [at("192.0.2.1", 0), at("127.0.0.1", 0)]

    async def resolved(*_: object, **__: object) -> list[tuple[object, ...]]:
        return found

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)
    named = Server(["seminar.example.org:80"], SNAPSHOT, desk, desk.health)
    await named.start()
    assert [address.rpartition(":")[0] for address in named.addresses] == ["127.0.0.1"]
    await named.stop()
    found.append(at("127.0.0.1", port_of(running)))
    with pytest.raises(ListenError, match="address already in use"):
        await Server(["seminar.example.org:80"], SNAPSHOT, desk, desk.health).start()


async def test_sockets_that_systemd_gave_to_another_process_are_left_alone(desk, monkeypatch):
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    running = Server(["127.0.0.1:0"], SNAPSHOT, desk, desk.health)
    await running.start()
    assert running.addresses[0].startswith("127.0.0.1:")
    await running.stop()


async def test_it_can_be_stopped_and_another_one_started_at_the_same_port(desk, running):
    again = Server([running.addresses[0]], SNAPSHOT, desk, desk.health)
    await running.stop()
    await again.start()
    assert (await exchange(again, b"GET /healthz HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await again.stop()


async def test_stopping_waits_for_no_idle_silent_or_half_sent_connection(desk):
    running = Server(["127.0.0.1:0"], SNAPSHOT, desk, desk.health)
    await running.start()
    async with httpx.AsyncClient() as client:
        await client.get(f"http://{running.addresses[0]}/")  # stays open
        others = [await asyncio.open_connection("127.0.0.1", port_of(running)) for _ in range(2)]
        others[0][1].write(b"GET / HTTP/1.1\r\nHos")
        await asyncio.sleep(0.05)
        await asyncio.wait_for(running.stop(), server.STOP_SECONDS / 2)
        for reader, writer in others:
            assert await reader.read() == b""
            writer.close()


async def test_stopping_lets_a_running_answer_finish(desk):
    began = asyncio.Event()

    async def slowly(token: str) -> None:
        began.set()
        await asyncio.sleep(0.5)

    desk.unsubscribe = slowly
    running = Server(["127.0.0.1:0"], SNAPSHOT, desk, desk.health)
    await running.start()
    async with httpx.AsyncClient() as client:
        asked = asyncio.create_task(client.post(f"http://{running.addresses[0]}/unsubscribe/{ADA}"))
        await began.wait()
        await running.stop()
        assert (await asked).status_code == 200


async def test_stopping_cuts_off_who_does_not_read(desk, monkeypatch):
    running = Server(["127.0.0.1:0"], LARGE, desk, desk.health)
    running._uvicorn.config.timeout_graceful_shutdown = 1
    await running.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(running), limit=1)
    writer.write(b"GET /talks.json HTTP/1.1\r\nHost: x\r\n\r\n" * 8)
    await asyncio.sleep(0.2)
    await asyncio.wait_for(running.stop(), 5)
    await asyncio.sleep(0.05)
    assert running._uvicorn.server_state.connections == set()
    writer.close()


async def test_an_idle_server_never_wakes(running, monkeypatch):
    """The loop's own selector is asked how often it returns while nothing happens."""
    loop = asyncio.get_running_loop()
    turns = 0
    select = loop._selector.select

    def counted(timeout: float | None = None) -> object:
        nonlocal turns
        turns += 1
        return select(timeout)

    monkeypatch.setattr(loop._selector, "select", counted)
    await asyncio.sleep(0.5)
    assert turns <= 2  # this test's own sleep


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_the_whole_daemon_runs_and_stops_on_either_loop(tmp_path, loop):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    chosen = {"NOTIFIER_SERVER_LISTEN": address, "NOTIFIER_SERVER_LOOP": loop}
    environment = {**os.environ, **chosen, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "notifier", "--config", str(tmp_path / "config.toml")]
    subprocess.run([*command[:3], "init", str(tmp_path)], env=environment, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*command, "run"], env=environment, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert next((line for line in daemon.stderr if '"started pid=' in line), "")
            used = Path(f"/proc/{daemon.pid}/maps").read_text()
            assert ("uvloop" in used) is (loop == "uvloop")
            for _ in range(3):
                assert httpx.get(f"http://{address}/calendar.ics").status_code == 200
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
        finally:
            daemon.kill()


def test_a_loop_that_is_not_installed_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    config = settings.parse('[server]\nloop = "uvloop"', folder=tmp_path)
    with pytest.raises(ConfigError, match=r"uvloop.*not installed; pip install .*speed"):
        wiring.loop_factory(config)


INHERITING = """
import asyncio, os, signal, sys
os.dup2(int(sys.argv[1]), 3)
sys.path[:0] = sys.argv[2:]
from test_server import Desk, SNAPSHOT, Server
os.environ["LISTEN_PID"] = str(os.getpid())

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    desk = Desk()
    server = Server(["nothing:is bound"], SNAPSHOT, desk, desk.health)
    await server.start()
    print(*server.addresses, os.get_inheritable(3), flush=True)
    await stop.wait()
    await server.stop()
    print("stopped", flush=True)

asyncio.run(main())
"""


def test_a_socket_from_systemd_takes_the_place_of_the_addresses_and_signals_stay_the_daemons():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = "{}:{}".format(*listening.getsockname())
        process = subprocess.Popen(
            [sys.executable, "-c", INHERITING, str(listening.fileno()), str(ROOT), str(ROOT / "tests")],
            env={**os.environ, "LISTEN_FDS": "1"},
            pass_fds=(listening.fileno(),),
            stdout=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            assert process.stdout.readline() == f"{address} False\n"
            assert httpx.get(f"http://{address}/healthz").status_code == 200
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "stopped\n"
            assert process.wait(10) == 0
        finally:
            process.kill()
