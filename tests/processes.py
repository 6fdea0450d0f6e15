"""The real daemon as a process of its own, with a session whose reminder falls due a few seconds after its start."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber

SHANGHAI = ZoneInfo("Asia/Shanghai")


class House:
    """A daemon's folder, and the daemons that live in it one after the other; each is ended with the test."""

    def __init__(self, folder: Path, port: int, people: int, settings: str = "") -> None:
        self.folder = folder
        self.addresses = [f"p{n}@example.org" for n in range(people)]
        self._born: list[subprocess.Popen[bytes]] = []
        self._write_list()
        self._write_config(port, settings)
        (folder / "var").mkdir()
        asyncio.run(self._subscribe())

    def born(self) -> subprocess.Popen[bytes]:
        """A daemon that begins to live here."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "notifier", "--config", str(self.folder / "config.toml"), "run"]
        with (self.folder / "log").open("ab") as log:
            daemon = subprocess.Popen(command, cwd=self.folder, env=environment, stderr=log, stdout=log)
        self._born.append(daemon)
        return daemon

    def asked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What a command said."""
        command = [sys.executable, "-m", "notifier", "--config", str(self.folder / "config.toml"), *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120)

    def end(self) -> None:
        for daemon in self._born:
            daemon.kill()
            daemon.wait()

    def counted(self) -> dict[str, int]:
        """The deliveries by state, as the ledger has them."""
        return asyncio.run(self._counted())

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def wait_for(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"{self.counted()}\n{self.log()[-3000:]}"
            time.sleep(0.05)

    def wait_until_all_are_sent(self) -> None:
        self.wait_for(lambda: self.counted() == {"sent": len(self.addresses)})

    def _write_list(self) -> None:
        start = datetime.now(SHANGHAI).replace(microsecond=0) + timedelta(hours=1, seconds=6)
        (self.folder / "talks.toml").write_text(
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

    def _write_config(self, port: int, settings: str) -> None:
        (self.folder / "config.toml").write_text(
            f"""
            [server]
            listen = "127.0.0.1:0"
            base_url = "https://seminar.example.org"
            [mail]
            transport = "smtp"
            sender = "seminar@example.org"
            [notices]
            tick = "1s"
            [smtp]
            port = {port}
            tls = "none"
            {settings}
            """,
            encoding="utf-8",
        )

    async def _subscribe(self) -> None:
        store = await SqliteStore.open(self.folder / "var" / "notifier.db")
        await store.subscribe([Subscriber(address) for address in self.addresses], datetime.now(UTC))
        await store.close()

    async def _counted(self) -> dict[str, int]:
        store = await SqliteStore.open(self.folder / "var" / "notifier.db", read_only=True)
        summary = await store.summary(datetime.now(UTC))
        await store.close()
        return dict(summary.deliveries)


@contextmanager
def house(folder: Path, port: int, people: int, settings: str = "") -> Iterator[House]:
    """The folder of a daemon; whatever lives in it afterwards is killed."""
    found = House(folder, port, people, settings)
    try:
        yield found
    finally:
        found.end()
