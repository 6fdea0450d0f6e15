"""The whole way, from a talk list to an inbox and a feed: the real daemon, a real mail server, a set clock."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import httpx
import icalendar
import pytest
from mailserver import MailServer

from notifier import config as settings
from notifier.config import Config
from notifier.daemon import Daemon
from notifier.errors import NotifierError, StoreLocked
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber

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
        self.daemon: Daemon | None = None
        self.life: asyncio.Task[None] | None = None
        self.write_list(TALKS)

    def write_list(self, text: str) -> None:
        (self.folder / "talks.toml").write_text(text, encoding="utf-8")

    def config(self) -> Config:
        text = f"""
        [server]
        listen = "127.0.0.1:0"
        base_url = "https://seminar.example.org"
        [mail]
        transport = "smtp"
        sender = "Seminar <seminar@example.org>"
        organisers = ["organiser@example.org"]
        [smtp]
        host = "127.0.0.1"
        port = {self.mail.port}
        tls = "none"
        [notices]
        tick = "1s"
        """
        return settings.parse(text, folder=self.folder)

    async def start(self) -> None:
        self.daemon = Daemon(self.config(), now=lambda: self.now)
        self.life = asyncio.create_task(self.daemon.run())
        await self.until(lambda: self.life.done() or bool(self.daemon.addresses))
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
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - what it waits for happens in another thread
                await asyncio.sleep(0.02)

    async def arrived(self, count: int) -> list[EmailMessage]:
        """All mails once so many have come, and no more for a while after."""
        await self.until(lambda: len(self.mail.messages) >= count)
        await asyncio.sleep(0.3)
        assert len(self.mail.messages) == count, self.mail.inbox
        return [message_from_bytes(m.body, policy=default) for m in self.mail.messages]  # type: ignore[misc]

    async def edit(self, old: str, new: str) -> None:
        """Changes the list and lets the clock run until the daemon has seen it."""
        assert self.daemon is not None
        before = self.daemon.accepted_at
        text = (self.folder / "talks.toml").read_text(encoding="utf-8")
        assert old in text
        self.write_list(text.replace(old, new))
        while self.daemon.accepted_at == before:
            self.now += SECOND
            await asyncio.sleep(0.05)
            self.daemon.wake()

    async def get(self, path: str, **headers: str) -> httpx.Response:
        assert self.daemon is not None
        async with httpx.AsyncClient(base_url=f"http://{self.daemon.addresses[0]}") as client:
            return await client.get(path, headers=headers)

    async def pass_time(self, until: datetime) -> None:
        """Half a day at a time: a clock that leaps over a day is not believed."""
        assert self.daemon is not None
        while self.now < until:
            self.now = min(until, self.now + timedelta(hours=12))
            self.daemon.wake()
            await asyncio.sleep(0.05)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    with MailServer() as mail:
        house = House(tmp_path, mail)
        yield house
        await house.stop()


def words(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


async def test_the_reminder_reaches_each_in_their_language_and_by_their_clock(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await asyncio.sleep(0.2)
    assert house.mail.messages == []
    await house.pass_time(DUE)
    ada, bob, carol = sorted(await house.arrived(3), key=lambda mail: str(mail["To"]))
    for mail in (ada, bob, carol):
        for fact in ("https://meeting.tencent.com/dm/p1q2HxwW3x4r", "329 744 341", "974114", "553 2421 7498"):
            assert fact in words(mail)
        assert "bilibili living room" in words(mail)
        assert mail["Date"].datetime == DUE
    assert "腾讯会议" in words(ada)
    assert "11月27日 周六 9:30–11:30" in words(ada)
    assert "Sat 27 Nov 2021, 9:30–11:30 Beijing time (UTC+8)" in words(bob)
    assert "20:30" in words(carol)


async def test_the_attached_calendar_is_the_feed_s_own_event(house: House) -> None:
    await house.subscribe(PEOPLE[0])
    await house.start()
    await house.pass_time(DUE)
    (mail,) = await house.arrived(1)
    (attached,) = [part for part in mail.walk() if part.get_content_type() == "application/ics"]
    event = icalendar.Calendar.from_ical(attached.get_payload(decode=True)).events[0]
    published = icalendar.Calendar.from_ical((await house.get("/calendar.ics")).content).events[0]
    assert (event["UID"], event["SEQUENCE"]) == (published["UID"], published["SEQUENCE"])


async def test_a_restart_sends_nothing_twice(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.stop()
    house.now += timedelta(minutes=1)
    await house.start()
    await house.arrived(3)


async def test_a_moved_session_is_told_once_and_feed_page_and_mail_agree(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    feed = await house.get("/calendar.ics")
    await house.edit("date = 2021-11-27", "date = 2021-12-04")
    await house.pass_time(house.now + timedelta(minutes=10))
    mails = await house.arrived(6)
    assert "12月4日" in words(next(m for m in mails[3:] if "ada" in str(m["To"])))
    moved = await house.get("/calendar.ics")
    assert moved.headers["etag"] != feed.headers["etag"]
    event = icalendar.Calendar.from_ical(moved.content).events[0]
    assert event.start.date().isoformat() == "2021-12-04"
    assert (event["UID"], event["SEQUENCE"]) == ("2021-11-27@seminar.example.org", 1)
    assert "2021-12-04" in (await house.get("/")).text
    house.mail.messages.clear()
    await house.pass_time(datetime(2021, 12, 3, 1, 30, tzinfo=UTC))
    await house.arrived(6)
    due_again = sorted(m.message_id.split(".")[1] for m in house.mail.messages)
    assert due_again == ["announcement"] * 3 + ["reminder-1d"] * 3


async def test_a_cancelled_session_reminds_nobody_and_tells_everybody(house: House) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.edit('time = "09:30-11:30"', 'time = "09:30-11:30"\nstatus = "cancelled"')
    await house.pass_time(house.now + timedelta(minutes=10))
    mails = await house.arrived(6)
    assert all("ancelled" in str(m["Subject"]) or "取消" in str(m["Subject"]) for m in mails[3:])
    await house.pass_time(datetime(2021, 11, 27, 0, 30, tzinfo=UTC))
    await house.arrived(6)


@pytest.mark.parametrize(
    "broken",
    ["[[session]\n", "", TALKS.replace("2021-11-27", "2021-11-31"), TALKS[: TALKS.rindex("  [[session.talk]]")]],
    ids=["syntax", "empty", "no such day", "cut off"],
)
async def test_a_list_that_cannot_be_used_changes_nothing_and_the_organiser_is_told(house: House, broken: str) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    before = [await house.get(path) for path in ("/", "/calendar.ics", "/talks.json")]
    house.write_list(broken)
    for _ in range(8):
        await house.pass_time(house.now + SECOND)
        await asyncio.sleep(0.05)
    (mail,) = await house.arrived(1)
    assert mail["To"] == "organiser@example.org"
    assert "talks.toml" in words(mail)
    after = [await house.get(path) for path in ("/", "/calendar.ics", "/talks.json")]
    assert [r.content for r in after] == [r.content for r in before]
    await house.pass_time(DUE)
    await house.arrived(4)


async def test_a_vanished_session_is_a_question_and_not_a_cancellation(house: House) -> None:
    await house.subscribe(*PEOPLE)
    house.write_list(TALKS + TALKS[TALKS.index("[[session]]") :].replace("2021-11-27", "2021-12-11"))
    await house.start()
    assert house.daemon is not None
    house.write_list(TALKS)
    with pytest.raises(NotifierError, match="2021-12-11"):
        await house.daemon.reload()
    assert "2021-12-11" in (await house.get("/talks.json")).text
    await house.daemon.reload(allow_removals=True)
    assert "2021-12-11" not in (await house.get("/talks.json")).text


async def test_what_waits_for_the_mail_server_is_withheld_once_the_session_has_moved(house: House) -> None:
    await house.subscribe(*PEOPLE)
    house.mail.say("rcpt", "450 4.2.0 greylisted", times=3)
    await house.start()
    await house.pass_time(DUE)
    await house.until(lambda: house.mail.commands.count("QUIT") >= 1 or len(house.mail.commands) >= 9)
    await house.edit("date = 2021-11-27", "date = 2021-12-04")
    await house.pass_time(house.now + timedelta(minutes=10))
    await house.arrived(3)
    assert {m.message_id.split(".")[1] for m in house.mail.messages} == {"change-1"}


async def test_a_hang_up_reloads_the_list_at_once(house: House) -> None:
    await house.start()
    assert house.daemon is not None
    before = house.daemon.accepted_at
    house.now += SECOND
    house.write_list(TALKS.replace("974114", "123456"))
    os.kill(os.getpid(), signal.SIGHUP)
    await house.until(lambda: house.daemon.accepted_at != before)


async def test_a_session_stays_itself_when_its_list_becomes_a_page_and_moves(house: House) -> None:
    await house.start()
    assert house.daemon is not None
    house.now += SECOND
    house.write_list(PAGE)
    await house.daemon.reload()
    event = icalendar.Calendar.from_ical((await house.get("/calendar.ics")).content).events[0]
    assert (event["UID"], event.start.isoformat()) == ("2021-11-27@seminar.example.org", "2021-12-04T09:30:00+08:00")


async def test_the_daemon_starts_on_the_last_good_list(house: House) -> None:
    await house.start()
    feed = (await house.get("/calendar.ics")).content
    await house.stop()
    house.write_list("[[session]\n")
    await house.start()
    assert (await house.get("/calendar.ics")).content == feed


async def test_a_second_daemon_on_the_same_store_refuses(house: House) -> None:
    await house.start()
    with pytest.raises(StoreLocked, match="is in use by process"):
        await Daemon(house.config(), now=lambda: house.now).run()


async def test_unsubscribing_takes_a_post_and_ends_all_mail(house: House) -> None:
    await house.subscribe(PEOPLE[0])
    await house.start()
    await house.pass_time(DUE)
    (mail,) = await house.arrived(1)
    assert house.daemon is not None
    link = (
        str(mail["List-Unsubscribe"])
        .split(">")[0]
        .strip("<")
        .replace("https://seminar.example.org", f"http://{house.daemon.addresses[0]}")
    )
    async with httpx.AsyncClient() as client:
        assert (await client.get(link)).status_code == 200
        assert house.mail.messages[0].recipient == "ada@example.org"
        response = await client.post(link, data={"List-Unsubscribe": "One-Click"})
    assert response.status_code == 200
    await house.pass_time(datetime(2021, 11, 27, 0, 30, tzinfo=UTC))
    await asyncio.sleep(0.3)
    await house.arrived(1)


async def test_the_passcode_is_on_no_public_surface(house: House) -> None:
    await house.start()
    for path in ("/", "/?lang=zh", "/calendar.ics", "/sessions/2021-11-27", "/sessions/2021-11-27.ics", "/talks.json"):
        response = await house.get(path)
        assert response.status_code == 200
        assert "974114" not in response.text
        assert "p1q2HxwW3x4r" in response.text


async def test_a_mail_server_that_is_down_loses_nothing(house: House) -> None:
    await house.subscribe(*PEOPLE)
    house.mail.stop()
    await house.start()
    await house.pass_time(DUE)
    assert house.daemon is not None
    await house.until(lambda: "mail" in house.daemon.trouble())
    house.mail.start()
    house.now += timedelta(minutes=1)
    house.daemon.wake()
    await house.arrived(3)
    assert house.daemon.trouble() == {}
