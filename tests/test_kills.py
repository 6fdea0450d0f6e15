"""The real process, killed at random instants while it sends: nobody is skipped, and who gets two got one twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from mailserver import MailServer

from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber

pytestmark = pytest.mark.chaos

PEOPLE = 600
KILLS = 20
LINKS = 2
SHANGHAI = ZoneInfo("Asia/Shanghai")


def house(folder: Path, port: int) -> None:
    """A session whose reminder of an hour before falls due a few seconds after the daemon's first start."""
    start = datetime.now(SHANGHAI).replace(microsecond=0) + timedelta(hours=1, seconds=6)
    (folder / "talks.toml").write_text(
        f"""
        [seminar]
        id = "jsml"
        name = "Joint Seminar of Machine Learning"
        [[session]]
        id = "next"
        start = {start.replace(tzinfo=None).isoformat()}
        end = {(start + timedelta(hours=2)).replace(tzinfo=None).isoformat()}
          [[session.talk]]
          title = "冷冻电镜原理及相关算法"
          speaker = "王宇航"
        """,
        encoding="utf-8",
    )
    (folder / "config.toml").write_text(
        f"""
        [server]
        listen = "127.0.0.1:0"
        base_url = "https://seminar.example.org"
        [mail]
        transport = "smtp"
        sender = "seminar@example.org"
        [smtp]
        port = {port}
        tls = "none"
        links = {LINKS}
        [notices]
        tick = "1s"
        """,
        encoding="utf-8",
    )


async def subscribe(folder: Path) -> None:
    (folder / "var").mkdir()
    store = await SqliteStore.open(folder / "var" / "notifier.db")
    await store.subscribe([Subscriber(f"p{n}@example.org") for n in range(PEOPLE)], datetime.now(UTC))
    await store.close()


async def counted(folder: Path) -> dict[str, int]:
    store = await SqliteStore.open(folder / "var" / "notifier.db", read_only=True)
    summary = await store.summary(datetime.now(UTC))
    await store.close()
    return dict(summary.deliveries)


def born(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "notifier", "--config", str(folder / "config.toml"), "run"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stderr=log, stdout=log)


def wait_for(folder: Path, holds, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, (folder / "log").read_text()[-3000:]
        time.sleep(0.05)


def test_killed_at_random_while_sending_nobody_is_skipped(tmp_path: Path) -> None:
    chance = random.Random(20211127)
    with MailServer() as mail:
        house(tmp_path, mail.port)
        asyncio.run(subscribe(tmp_path))
        for _ in range(KILLS):
            daemon = born(tmp_path)
            before = len(mail.messages)
            wait_for(tmp_path, lambda before=before: len(mail.messages) > before or len(set(mail.inbox)) == PEOPLE)
            time.sleep(chance.uniform(0, 0.25))
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        (tmp_path / "log").unlink()
        daemon = born(tmp_path)
        wait_for(tmp_path, lambda: asyncio.run(counted(tmp_path)) == {"sent": PEOPLE})
        wait_for(tmp_path, lambda: "started" in (tmp_path / "log").read_text())
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0
        copies = Counter(letter.recipient for letter in mail.messages)
        assert len(copies) == PEOPLE
        assert sum(n - 1 for n in copies.values()) <= KILLS * LINKS
        assert len({letter.message_id for letter in mail.messages}) == PEOPLE
        assert len({(letter.recipient, letter.body) for letter in mail.messages}) == PEOPLE


def test_stopped_while_sending_nothing_is_ambiguous_and_nobody_gets_two(tmp_path: Path) -> None:
    with MailServer() as mail:
        house(tmp_path, mail.port)
        asyncio.run(subscribe(tmp_path))
        for _ in range(3):
            daemon = born(tmp_path)
            before = len(mail.messages)
            wait_for(tmp_path, lambda before=before: len(mail.messages) > before + 10)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
            assert set(asyncio.run(counted(tmp_path))) <= {"sent", "queued"}
        daemon = born(tmp_path)
        wait_for(tmp_path, lambda: asyncio.run(counted(tmp_path)) == {"sent": PEOPLE})
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
        assert sorted(letter.recipient for letter in mail.messages) == sorted(
            f"p{n}@example.org" for n in range(PEOPLE)
        )
