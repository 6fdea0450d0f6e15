"""A house to tell stories in: the real daemon in a folder of its own, a real mail server, a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
from mailserver import MailServer

from notifier import control, settings
from notifier.config import Config
from notifier.daemon import Daemon
from notifier.pages import Snapshot
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber
from notifier.talks import Seminar

DUE = datetime(2021, 11, 26, 1, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TALKS = """
[seminar]
id = "jsml"
name = { en = "Joint Seminar of Machine Learning", zh = "机器学习联合研讨会" }
timezone = "Asia/Shanghai"

[[session]]
id = "2021-11-27"
date = 2021-11-27
time = "09:30-11:30"
room.url = "https://meeting.tencent.com/dm/p1q2HxwW3x4r"
room.meeting_id = "329744341"
room.passcode = "974114"
room.alternate_id = "553 2421 7498"
livestream.label = "bilibili living room"
  [[session.talk]]
  title = "冷冻电镜原理及相关算法"
  speaker = "王宇航"
  affiliation = "北京深势科技有限公司"
  [[session.talk]]
  title = "基于神经网络实现碳氢燃料的燃烧模拟"
  speaker = "朱通"
  affiliation = "华东师范大学"
"""
PAGE = """
Time:2021-12-04   9:30-11:30

Title:冷冻电镜原理及相关算法
Reporter:王宇航
Affiliations: 北京深势科技有限公司

Title:基于神经网络实现碳氢燃料的燃烧模拟
Reporter:朱通
Affiliations: 华东师范大学
"""
PEOPLE = (
    Subscriber("ada@example.org", "Ada", "zh"),
    Subscriber("bob@example.org", "Bob", "en"),
    Subscriber("carol@example.org", "Carol", "en", "America/New_York"),
)


class House:
    """A daemon's folder, its clock, its mail server, and hands to change them."""

    def __init__(self, folder: Path, mail: MailServer) -> None:
        self.folder = folder
        self.mail = mail
        self.now = DUE - timedelta(minutes=5)
        self.sender = "Seminar <seminar@example.org>"
        self.login = 'tls = "none"'  # how the mail server is to be spoken to
        self.site = "https://seminar.example.org"
        self.more = ""  # settings
        self.daemon: Daemon | None = None
        self.life: asyncio.Task[None] | None = None
        self.write_list(TALKS)

    def write_list(self, text: str) -> None:
        (self.folder / "talks.toml").write_text(text, encoding="utf-8")

    def config(self) -> Config:
        text = f"""
        [server]
        listen = "127.0.0.1:0"
        base_url = "{self.site}"
        [mail]
        transport = "smtp"
        sender = "{self.sender}"
        organisers = ["organiser@example.org"]
        [smtp]
        host = "127.0.0.1"
        port = {self.mail.port}
        {self.login}
        [notices]
        tick = "1s"
        {self.more}
        """
        return settings.parse(text, folder=self.folder)

    async def start(self) -> None:
        self.daemon = Daemon(self.config(), now=lambda: self.now)
        self.life = asyncio.create_task(self.daemon.run())
        # It answers a moment before it listens to signals, which until then end the tests themselves.
        await self.until(lambda: self.life.done() or self.daemon._scheduler.running)
        if self.life.done():
            self.life.result()

    async def stop(self) -> None:
        if self.daemon is not None and self.life is not None:
            self.daemon.stop()
            await self.life

    async def subscribe(self, *people: Subscriber) -> None:
        """Only while no daemon runs."""
        (self.folder / "var").mkdir(exist_ok=True)
        store = await SqliteStore.open(self.folder / "var" / "notifier.db")
        await store.subscribe(people, self.now)
        await store.close()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110 - what it waits for happens in another thread
                await asyncio.sleep(0.02)

    async def arrived(self, count: int) -> list[EmailMessage]:
        """All mails once so many have come, and no more for a while after."""
        await self.until(lambda: len(self.mail.messages) >= count)
        await asyncio.sleep(0.3)
        assert len(self.mail.messages) == count, self.mail.inbox
        return [message_from_bytes(m.body, policy=default) for m in self.mail.messages]  # type: ignore[misc]

    async def edit(self, old: str, new: str) -> None:
        """Changes the list and lets the clock run until the daemon has published it."""
        assert self.daemon is not None
        before = self.daemon.accepted_at
        text = (self.folder / "talks.toml").read_text(encoding="utf-8")
        assert old in text
        self.write_list(text.replace(old, new))
        async with asyncio.timeout(60):  # of a list that is refused the test would wait for ever
            while self.daemon.accepted_at == before or self.daemon._publisher._taking.locked():
                self.now += SECOND
                await asyncio.sleep(0.05)
                self.daemon.wake()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        assert self.daemon is not None
        async with httpx.AsyncClient(base_url=f"http://{self.daemon.addresses[0]}") as client:
            return await client.get(path, headers=headers)

    @property
    def snapshot(self) -> Snapshot:
        """What is published, without asking for it over the network."""
        snapshot = self.daemon._publisher.snapshot if self.daemon else None
        assert snapshot is not None
        return snapshot

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the daemon answers to the command line."""
        path = control.socket_path(self.config().store.path)
        async with asyncio.timeout(60):  # it serves pages a moment before it listens to commands
            while (answer := await control.call(path, request)) is None:  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.02)
        return answer

    @property
    def seminar(self) -> Seminar:
        """What is published, with all that is hidden from the public."""
        assert self.daemon is not None
        return self.daemon._publisher.seminar

    @property
    def hold(self) -> str:
        """Why nothing is sent."""
        assert self.daemon is not None
        return self.daemon._dispatcher.hold

    async def pass_time(self, until: datetime) -> None:
        """Half a day at a time: a clock that leaps over a day is not believed."""
        assert self.daemon is not None
        while self.now < until:
            self.now = min(until, self.now + timedelta(hours=12))
            for _ in range(2):  # the first may have begun before
                await self.reconciled()

    async def reconciled(self) -> None:
        """Waits until the daemon has looked at clock, list and ledger once more."""
        daemon = self.daemon
        assert daemon is not None
        before = daemon._reconciled
        daemon.wake()
        await self.until(lambda: daemon._reconciled > before)
