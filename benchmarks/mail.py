"""What a mailing costs, beside what other programs make of it: `python -m benchmarks.mail`, about four minutes.

The daemon itself sends, as it does in earnest: a ledger on the disk that commits durably, every mail written for its
reader, and Postfix's smtp-sink to take it. The two sides of a ratio take turns in one run; a figure is the median.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import signal
import smtplib
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, default
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

import aiosmtplib

from benchmarks.load import processor, status
from notifier.messages import Message
from notifier.mime import WireText
from notifier.relay import SmtpSettings
from notifier.replies import Answer, Outcome
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber
from notifier.transports import Envelope
from notifier.transports.smtp import SmtpTransport

HOST = "127.0.0.1"
LINKS = 4
ZONES = ("", "Europe/Berlin", "America/New_York", "Asia/Tokyo")
NAMES = ("王伟", "Ada Lovelace", "李娜", "Zoë Müller", "")
ABSTRACT = (
    "We show by example which networks approximate smooth functions, and at what cost. "
    "In many dimensions the error falls with the number of samples as long as the norm stays bounded. "
)
SUMMARY = "我们说明网络为何能够逼近光滑函数，数值例子表明误差随样本数下降，由此得到一种稳定而简单的算法。"


def main() -> None:
    wanted = argparse.ArgumentParser(prog="python -m benchmarks.mail", description=__doc__.partition("\n")[0])
    wanted.add_argument("--rounds", type=int, default=5, metavar="N", help="how often each side is measured")
    wanted.add_argument("--messages", type=int, default=10_000, metavar="N", help="how many mails the daemon sends")
    wanted.add_argument("--only", choices=("speed", "distance", "memory"), help="one of the three parts")
    wanted.add_argument("--million", action="store_true", help="also send to 1,000,000, which takes many minutes")
    given = wanted.parse_args()
    if given.only in (None, "speed"):
        speed(given.rounds, given.messages)
    if given.only in (None, "distance"):
        distance(given.rounds)
    if given.only in (None, "memory"):
        memory(1_000_000 if given.million else 100_000)


# --- speed -----------------------------------------------------------------------------------------------------------


def speed(rounds: int, messages: int) -> None:
    """Mails a second and CPU a mail on this machine, and how they compare."""
    sample = one_message()
    sides: dict[str, Callable[[], Sent]] = {
        "smtp-source -s 10, fixed text": lambda: source(messages, len(sample)),
        f"notifier, {LINKS} links, ledger and all": lambda: notified(messages),
        "its links alone, one ready mail": lambda: asyncio.run(linked(messages, sample)),
        f"{peer_name()}, one connection": lambda: peer(sample, max(messages // 20, 50)),
    }
    taken = [{name: side() for name, side in sides.items()} for _ in range(rounds)]
    print(
        f"{len(sample) / 1000:.1f} kB a mail, {messages} mails, {rounds} rounds{'':17}{'mails/s':>12}{'CPU a mail':>14}"
    )
    for name in sides:
        rates, costs = [t[name].rate for t in taken], [t[name].cost for t in taken]
        print(f"{name:60}{median(rates):>12,.0f}{median(costs) * 1e6:>11,.0f} us")
    first, ours, links, last = sides
    ratio("notifier / smtp-source", (t[ours].rate / t[first].rate for t in taken), 1.0)
    ratio("its links alone / smtp-source", (t[links].rate / t[first].rate for t in taken), 1.0)
    ratio(f"notifier / {peer_name()}", (t[ours].rate / t[last].rate for t in taken), 25)


def ratio(name: str, ratios: Iterator[float], wanted: float) -> None:
    values = sorted(ratios)
    spread = f"{values[0]:.2f} to {values[-1]:.2f}"
    print(f"{name:60}{median(values):>12.2f}{spread:>17}  wanted {wanted:g}")


@dataclass(frozen=True, slots=True)
class Sent:
    """So many mails in so many seconds by the wall and of the sender's processor; the memory it grew by, in kB."""

    count: int
    wall: float
    cpu: float
    grown: int = 0

    @property
    def rate(self) -> float:
        return self.count / self.wall

    @property
    def cost(self) -> float:
        return self.cpu / self.count


def source(count: int, size: int) -> Sent:
    """Postfix's own load generator, which sends one fixed text over ten kept connections."""
    with sink() as port:
        before = os.times()
        begun = time.perf_counter()
        command = ("smtp-source", "-d", "-s", "10", "-m", str(count), "-l", str(size), "-t", "a@example.org")
        subprocess.run(located(command, f"{HOST}:{port}"), check=True)
        wall, after = time.perf_counter() - begun, os.times()
    return Sent(count, wall, sum(after[2:4]) - sum(before[2:4]))


def notified(count: int, server: int | None = None) -> Sent:
    """The daemon, from the first mail that it has claimed to the last outcome in its ledger."""
    with sink() as own, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        furnish(folder, server or own, count)
        command = (sys.executable, "-m", "notifier", "--config", f"{folder}/config.toml", "run")
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            return watched(daemon, folder, count, 0.02 if count <= 100_000 else 0.5)
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait()


async def linked(count: int, mail: bytes) -> Sent:
    """What the links could carry if nothing were composed and nothing written down: the most that smtp-sink takes."""
    ready = (Message("seminar@example.org", f"reader{n}@example.org", f"<{n}>", WireText(mail)) for n in range(count))

    class Ready:
        async def next(self) -> Message | None:
            return self.ready()

        def ready(self) -> Message | None:
            return next(ready, None)

        def tell(self, message: Envelope, outcome: Outcome) -> None:
            assert outcome.answer is Answer.ACCEPTED, outcome

    with sink() as port:
        transport = SmtpTransport(SmtpSettings(HOST, port, "none", links=LINKS))
        begun, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(transport.carry(Ready()) for _ in range(LINKS)))
        taken = Sent(count, time.perf_counter() - begun, time.process_time() - cpu)
        await transport.close()
    return taken


def watched(daemon: subprocess.Popen[bytes], folder: Path, count: int, every: float) -> Sent:
    with closing(sqlite3.connect(f"file:{folder}/var/notifier.db?mode=ro", uri=True, timeout=30)) as db:
        # The first and the last of the list, so that the looking on costs nothing; and then all of them, once.
        until(daemon, folder, every, lambda: state_of(db, 1) not in (None, "queued"))
        begun, cpu, memory = time.perf_counter(), processor(daemon.pid), resident(daemon.pid)
        until(daemon, folder, every, lambda: state_of(db, count) == "sent" and not owes(db))
        taken = Sent(
            count,
            time.perf_counter() - begun,
            processor(daemon.pid) - cpu,
            resident(daemon.pid, "VmHWM") - memory,
        )
        states = dict(db.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall())
    assert states == {"sent": count}, states
    return taken


def state_of(db: sqlite3.Connection, subscriber_id: int) -> str | None:
    row = db.execute("SELECT state FROM delivery WHERE subscriber_id = ?", (subscriber_id,)).fetchone()
    return row[0] if row else None


def owes(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT EXISTS (SELECT 1 FROM delivery WHERE state <> 'sent')").fetchone()[0])


def until(daemon: subprocess.Popen[bytes], folder: Path, every: float, holds: Callable[[], bool]) -> None:
    while not holds():
        if daemon.poll() is not None:
            raise SystemExit((folder / "log").read_text()[-2000:])
        time.sleep(every)


def resident(pid: int, field: str = "VmRSS") -> int:
    return int(status(pid, field).split()[0])


def peer_name() -> str:
    if not importlib.util.find_spec("django"):
        return "email + smtplib"
    import django  # type: ignore[import-not-found]

    return f"Django {django.__version__}"


def peer(sample: bytes, count: int) -> Sent:
    """Django as its documentation sends many mails: a template rendered for each reader, one connection, no ledger.

    Where it is not installed, what that comes down to, and what Django 6 does: an `EmailMessage` of the standard
    library for each reader, written out and sent over one connection of smtplib; texts are given and not rendered.
    """
    texts = parts_of(sample)
    with sink() as port:
        send = by_django if importlib.util.find_spec("django") else by_smtplib
        begun, cpu = time.perf_counter(), time.process_time()
        send(port, count, texts)
        return Sent(count, time.perf_counter() - begun, time.process_time() - cpu)


def by_smtplib(port: int, count: int, texts: Texts) -> None:
    with smtplib.SMTP(HOST, port) as server:
        for number in range(count):
            message = EmailMessage(SMTP)
            message["From"] = "Seminar <seminar@example.org>"
            message["To"] = f"reader{number}@example.org"
            message["Subject"] = texts.subject
            message.set_content(texts.text.replace(texts.token, f"{number}"))
            message.add_alternative(texts.html.replace(texts.token, f"{number}"), subtype="html")
            message.add_attachment(texts.calendar.encode(), maintype="application", subtype="ics", filename="a.ics")
            server.sendmail("seminar@example.org", [f"reader{number}@example.org"], message.as_bytes())


def by_django(port: int, count: int, texts: Texts) -> None:
    from django.conf import settings  # type: ignore[import-not-found]
    from django.core.mail import EmailMultiAlternatives, get_connection  # type: ignore[import-not-found]
    from django.template import Context, Engine  # type: ignore[import-not-found]

    if not settings.configured:
        settings.configure()
    text, html = (Engine().from_string(t.replace(texts.token, "{{ token }}")) for t in (texts.text, texts.html))
    connection = get_connection("django.core.mail.backends.smtp.EmailBackend", host=HOST, port=port)

    def messages() -> Iterator[object]:
        for number in range(count):
            values, to = {"token": f"{number}"}, [f"reader{number}@example.org"]
            body = text.render(Context(values, autoescape=False))
            message = EmailMultiAlternatives(texts.subject, body, "Seminar <seminar@example.org>", to)
            message.attach_alternative(html.render(Context(values)), "text/html")
            message.attach("a.ics", texts.calendar, "application/ics")
            yield message

    connection.open()
    for message in messages():
        connection.send_messages([message])
    connection.close()


@dataclass(frozen=True, slots=True)
class Texts:
    """What is in a mail of ours; `token` is the word in it that is another one for each reader."""

    subject: str
    text: str
    html: str
    calendar: str
    token: str


def parts_of(sample: bytes) -> Texts:
    message = BytesParser(policy=default).parsebytes(sample)
    found = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
    token = message["List-Unsubscribe"].partition(">")[0].rpartition("/")[2]
    return Texts(str(message["Subject"]), found["text/plain"], found["text/html"], found["text/calendar"], token)


# --- distance --------------------------------------------------------------------------------------------------------


def distance(rounds: int, seconds: float = 0.05, count: int = 600) -> None:
    """Mails a second to a server that is 50 ms away, beside aiosmtplib on as many connections."""
    sample = one_message()
    taken = []
    for _ in range(rounds):
        with sink() as port, far_away(port, seconds) as far:
            plain = asyncio.run(by_aiosmtplib(far, count // 4, sample))
        with sink() as port, far_away(port, seconds) as far:
            ours = notified(count, far)
        taken.append((ours, plain))
    print(f"{seconds * 1000:.0f} ms round trip, {LINKS} links, {rounds} rounds{'':26}{'mails/s':>12}")
    print(f"{'notifier, ledger and all':60}{median(ours.rate for ours, _ in taken):>12,.1f}")
    print(f"{'aiosmtplib, a ready message on each connection':60}{median(plain.rate for _, plain in taken):>12,.1f}")
    ratio("notifier / aiosmtplib", (ours.rate / plain.rate for ours, plain in taken), 3.5)


async def by_aiosmtplib(port: int, count: int, message: bytes) -> Sent:
    clients = [aiosmtplib.SMTP(hostname=HOST, port=port, start_tls=False, timeout=30) for _ in range(LINKS)]
    for client in clients:
        await client.connect()

    async def carry(client: aiosmtplib.SMTP) -> None:
        for number in range(count // LINKS):
            await client.sendmail("seminar@example.org", [f"reader{number}@example.org"], message)

    begun = time.perf_counter()
    await asyncio.gather(*map(carry, clients))
    wall = time.perf_counter() - begun
    for client in clients:
        await client.quit()
    return Sent(count, wall, 0)


@contextmanager
def far_away(port: int, seconds: float) -> Iterator[int]:
    """A way to this port that takes half of the seconds in each direction, in a process of its own."""
    own = free_port()
    process = subprocess.Popen((sys.executable, "-m", "benchmarks.distance", str(own), str(port), str(seconds)))
    try:
        until_open(own)
        yield own
    finally:
        process.terminate()
        process.wait()


# --- memory ----------------------------------------------------------------------------------------------------------


def memory(count: int) -> None:
    """What a long list costs beside a short one: in all, and for each mail."""
    few = 10_000
    short, long = notified(few), notified(count)
    print(f"a mailing to {count:,}: {count / long.wall:,.0f} mails/s, {long.cost * 1e6:.0f} us of CPU a mail,")
    print(f"  memory at its highest {long.grown / 1024:+.1f} MB from the first mail on  wanted +10")
    print(f"  beside a mailing to {few:,}: {long.cost / short.cost:.2f} of the CPU a mail,", end=" ")
    print(f"{short.rate / long.rate:.2f} of the time  wanted 1.10")


# --- the house -------------------------------------------------------------------------------------------------------


def furnish(folder: Path, port: int, count: int) -> None:
    """A talk list, settings, and a ledger of so many subscribers, whom a reminder falls due for in a few seconds."""
    (folder / "var").mkdir()
    asyncio.run(subscribe(folder / "var" / "notifier.db", count))  # first, for it takes its time
    start = datetime.now(ZoneInfo("Asia/Shanghai")).replace(microsecond=0, tzinfo=None) + timedelta(hours=1, seconds=8)
    (folder / "talks.toml").write_text(talk_list(start), "utf-8")
    (folder / "config.toml").write_text(
        f"""
        [server]
        listen = "127.0.0.1:0"
        base_url = "https://seminar.example.org"
        [mail]
        transport = "smtp"
        sender = "Seminar <seminar@example.org>"
        [smtp]
        port = {port}
        tls = "none"
        links = {LINKS}
        """,
        "utf-8",
    )


def talk_list(start: datetime) -> str:
    talks = "".join(
        f"""
          [[session.talk]]
          title = {{ en = "Networks and smooth functions, part {n}", zh = "论网络与光滑函数（{n}）" }}
          speaker = "Speaker {n}"
          affiliation = "Example University"
          abstract.en = "{ABSTRACT * 4}"
          abstract.zh = "{SUMMARY * 4}"
        """
        for n in (1, 2)
    )
    return f"""
        [seminar]
        id = "jsml"
        name = {{ en = "Joint Seminar of Machine Learning", zh = "机器学习联合研讨会" }}
        timezone = "Asia/Shanghai"
        [[session]]
        id = "next"
        start = {start.isoformat()}
        end = {(start + timedelta(hours=2)).isoformat()}
        room.url = "https://meeting.example.org/j/329744341"
        room.meeting_id = "329744341"
        room.passcode = "974114"
        {talks}
    """


async def subscribe(path: Path, count: int) -> None:
    store = await SqliteStore.open(path)
    now = datetime.now(UTC)
    for first in range(0, count, 10_000):
        await store.subscribe((reader(n) for n in range(first, min(first + 10_000, count))), now)
    await store.close()


def reader(number: int) -> Subscriber:
    return Subscriber(
        f"reader{number}@example.org", NAMES[number % 5], ("zh", "en")[number % 2], ZONES[number // 2 % 4]
    )


def one_message() -> bytes:
    """A reminder as the daemon writes it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        furnish(folder, 25, 0)
        command = (sys.executable, "-m", "notifier", "--config", f"{folder}/config.toml")
        return subprocess.run(
            (*command, "preview", "next", "reminder", "--part", "eml"), check=True, stdout=subprocess.PIPE
        ).stdout


@contextmanager
def sink() -> Iterator[int]:
    """Postfix's smtp-sink on a free port."""
    port = free_port()
    command = ("smtp-sink", *(("-u", "nobody") if os.getuid() == 0 else ()))
    server = subprocess.Popen(located(command, f"{HOST}:{port}", "100"))
    try:
        until_open(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def located(command: Sequence[str], *more: str) -> tuple[str, ...]:
    """The command with its program where servers are kept, which need not be on the PATH."""
    return (f"/usr/sbin/{command[0]}", *command[1:], *more)


def free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])


def until_open(port: int) -> None:
    for _ in range(500):
        try:
            socket.create_connection((HOST, port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise SystemExit(f"nothing listens at {HOST}:{port}")


if __name__ == "__main__":
    main()
