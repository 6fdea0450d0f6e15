"""The whole way, from a talk list to an inbox and a feed: the real daemon, a real mail server, a set clock."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import icalendar
import pytest
import trustme
from apscheduler.schedulers.base import BaseScheduler
from house import DUE, PAGE, PEOPLE, SECOND, TALKS, House
from imapserver import ImapServer, needs_dovecot
from postfixserver import PostfixServer, needs_postfix

from notifier import control
from notifier.daemon import PROGRESS_EVERY, Daemon
from notifier.errors import NotifierError, Problem, StoreError, StoreLocked
from notifier.inquiries.notices import Explanation, explained, unapproved
from notifier.notices import Kind
from notifier.pages.copies import addresses
from notifier.publisher import Publisher
from notifier.stores.sqlite import SqliteStore
from notifier.subscribers import Subscriber


def words(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What the daemon and its server wrote, without what the tests' mail server and client write."""
    return "\n".join(r.getMessage() for r in caplog.records if r.name.startswith(("notifier", "uvicorn")))


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


async def test_the_log_tells_of_a_slow_mailing_only_as_it_comes_on(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    house.login += "\nrate = { per_minute = 1 }"
    await house.subscribe(*PEOPLE)
    await house.start()
    while len(house.mail.messages) < 3:
        await house.pass_time(house.now + 20 * SECOND)
    await house.pass_time(house.now + 2 * PROGRESS_EVERY)
    told = re.findall(r"(mailing|through) notice=2021-11-27/reminder-1d/0(?: done=([0-9]+))? of=3", logged(caplog))
    *steps, end = told
    done = [int(count) for _, count in steps]
    assert (end, bool(done), 0 in done, done) == (("through", ""), True, False, sorted(set(done)))


async def test_a_wake_up_in_the_moment_of_the_end_is_no_error(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutdown = BaseScheduler.shutdown

    def late(scheduler: BaseScheduler, wait: bool = True) -> None:
        scheduler.modify_job("tick", next_run_time=datetime.now(UTC))
        scheduler._process_jobs()  # as its timer would, were it due now
        shutdown(scheduler, wait)

    monkeypatch.setattr(BaseScheduler, "shutdown", late)
    await house.start()
    await house.stop()
    await asyncio.sleep(0.1)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


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


FIRST_TALK, SECOND_TALK = 'speaker = "王宇航"', 'speaker = "朱通"'
AFTERWARDS = datetime(2021, 11, 28, 6, 0, tzinfo=UTC)  # 14:00 in Shanghai, on the day after


def seen(talk: str, number: int) -> tuple[str, str]:
    """The edit of the list that gives a talk its replay."""
    return talk, f'{talk}\n  replay = "https://www.bilibili.com/video/BV{number}"'


async def told_to(one: Subscriber, house: House) -> tuple[Explanation, ...]:
    return (await explained(house.config(), house.seminar, one.address, house.now)).rows


async def test_replays_are_told_once_to_those_who_want_them(house: House) -> None:
    ada, bob, carol = PEOPLE
    await house.subscribe(ada, replace(bob, declined=frozenset({Kind.REPLAY})), carol)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.pass_time(DUE + timedelta(hours=23))
    await house.arrived(6)
    await house.pass_time(AFTERWARDS)
    house.mail.messages.clear()
    await house.edit(*seen(FIRST_TALK, 1))
    await house.pass_time(house.now + timedelta(minutes=30))
    await house.edit(*seen(SECOND_TALK, 2))
    await house.pass_time(house.now + timedelta(minutes=59))
    assert house.mail.messages == []
    await house.pass_time(house.now + timedelta(minutes=2))
    in_chinese, in_english = sorted(await house.arrived(2), key=lambda mail: str(mail["To"]))
    assert str(in_chinese["Subject"]).startswith("【回放】11月27日")
    assert str(in_english["Subject"]).startswith("[Replay] Fri 26 Nov, 20:30 New York time")
    for mail in (in_chinese, in_english):
        assert mail["References"] == "<2021-11-27.session@seminar.example.org>"
        assert [part.get_content_type() for part in mail.walk()][1:] == ["text/plain", "text/html"]
        for fact in ("王宇航", "video/BV1", "朱通", "video/BV2", "/sessions/2021-11-27"):
            assert fact in words(mail)
        assert "974114" not in words(mail)
    why = [(row.rule, row.state, row.reason) for row in await told_to(bob, house)]
    assert ("replay", "no", "the subscriber declined such mail") in why
    assert "replay no" not in [f"{row.rule} {row.state}" for row in await told_to(ada, house)]
    await house.edit("BV2", "BV3")
    await house.pass_time(house.now + timedelta(days=2))
    await house.stop()
    await house.start()
    await house.pass_time(house.now + timedelta(days=2))
    await house.arrived(2)


async def test_the_page_promises_replays_only_where_they_are_told(house: House) -> None:
    promise = "Replays and slides, once they are online."
    for house.more, is_promised in (("", True), ('replay = ""', False)):
        await house.start()
        assert (promise in (await house.get("/subscribe")).text) == is_promised
        await house.stop()


async def test_replays_of_sessions_that_were_over_at_the_first_start_are_never_told(house: House) -> None:
    house.now = AFTERWARDS
    old, new = seen(FIRST_TALK, 1)
    house.write_list(TALKS.replace(old, new))
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(house.now + timedelta(days=1))
    await house.edit(*seen(SECOND_TALK, 2))
    await house.pass_time(house.now + timedelta(days=2))
    assert house.mail.messages == []


async def test_a_change_for_many_goes_out_when_a_person_says_so(house: House) -> None:
    house.more = "approve_above = 2"  # under [notices]
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.edit("date = 2021-11-27", "date = 2021-12-04")
    await house.pass_time(house.now + timedelta(minutes=10))
    (told,) = (await house.arrived(4))[3:]
    assert (str(told["To"]), "2021-11-27/change-1/1" in words(told)) == ("organiser@example.org", True)
    waiting = await unapproved(house.config(), house.now)
    socket = control.socket_path(house.config().store.path)
    await control.call(socket, {"do": "approve", "notices": waiting})
    assert {str(mail["To"]) for mail in (await house.arrived(7))[4:]} == {f"{p.name} <{p.address}>" for p in PEOPLE}
    assert await unapproved(house.config(), house.now) == []


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


@pytest.mark.parametrize("outage", ["", "450 4.3.0 no room"], ids=["before it settles", "in an outage"])
async def test_a_session_that_is_cancelled_and_then_deleted_is_told_as_cancelled(house: House, outage: str) -> None:
    off = 'date = 2021-11-27\nstatus = "cancelled"'
    ours = TALKS[TALKS.index("[[session]]") :]
    house.write_list(TALKS + ours.replace("2021-11-27", "2021-12-11"))
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    await house.edit("date = 2021-11-27", off)
    if outage:
        house.mail.say("rcpt", outage)
        await house.pass_time(house.now + timedelta(minutes=15))
    await house.edit(ours.replace("date = 2021-11-27", off), "")
    house.mail.relent("rcpt")
    await house.pass_time(house.now + timedelta(minutes=30))
    mails = await house.arrived(6)
    assert {m["Message-ID"].split(".")[1] for m in mails[3:]} == {"cancelled-1"}
    await house.edit("date = 2021-12-11", "date = 2021-12-12")
    assert [s.id for s in house.seminar.sessions] == ["2021-12-11"]


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


async def test_a_list_that_a_full_disk_could_not_keep_is_published_once_there_is_room(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.start()
    assert house.daemon is not None
    store, failed = house.daemon._store, asyncio.Event()
    accept = store.accept

    async def full_at_first(*given: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise StoreError(Problem("database or disk is full", "look at the disk"))
        await accept(*given)

    monkeypatch.setattr(store, "accept", full_at_first)
    async with asyncio.timeout(30):
        await house.edit("date = 2021-11-27", "date = 2021-11-28")
    assert failed.is_set()
    assert "20211128T093000" in (await house.get("/calendar.ics")).text
    assert house.daemon.trouble() == {}


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


async def test_after_an_outage_of_the_mail_server_one_reminder_comes_and_not_two(house: House) -> None:
    house.more = 'reminders = ["1d", "90m", "1h"]'
    await house.subscribe(*PEOPLE)
    await house.start()
    house.mail.say("rcpt", "450 4.3.0 no room")
    for minutes in (45, 65):
        await house.pass_time(DUE + timedelta(hours=22, minutes=minutes))
    await all_are(house, "reminder-1h", "deferred")  # else one put off later would wait for a clock that stands still
    house.mail.relent("rcpt")
    await house.pass_time(DUE + timedelta(hours=23, minutes=20))
    await all_are(house, "reminder-1h", "sent")
    to_readers = [m for m in house.mail.messages if m.recipient != "organiser@example.org"]
    assert [m.message_id.split(".")[1] for m in to_readers] == 3 * ["reminder-1h"]


async def all_are(house: House, rule: str, state: str) -> None:
    """Waits until the mails of this rule, one for each of PEOPLE, have this state."""
    assert house.daemon is not None
    store, seen = house.daemon._store, [""]
    async with asyncio.timeout(60):
        while seen != len(PEOPLE) * [state]:
            await asyncio.sleep(0.02)
            found = [one for person in await store.subscribers() for one in await store.deliveries(person.id)]
            seen = [str(one.state) for one in found if one.notice.rule == rule]


async def test_a_hang_up_reloads_the_list_at_once(house: House) -> None:
    await house.start()
    assert house.daemon is not None
    before = house.daemon.accepted_at
    house.now += SECOND
    house.write_list(TALKS.replace("974114", "123456"))
    os.kill(os.getpid(), signal.SIGHUP)
    await house.until(lambda: house.daemon.accepted_at != before)


async def test_a_hang_up_while_it_starts_reloads_the_list_once_it_is_up(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Publisher.begin

    async def begin_and_edit(publisher: Publisher, now: datetime) -> None:
        await begin(publisher, now)
        house.now += SECOND
        house.write_list(TALKS.replace("974114", "123456"))
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(Publisher, "begin", begin_and_edit)
    await house.start()
    await house.until(lambda: house.daemon.accepted_at == house.now)


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


async def test_the_passcode_is_on_no_public_surface(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await house.subscribe(PEOPLE[0])
    await house.start()
    await house.pass_time(DUE)
    (mail,) = await house.arrived(1)
    assert "974114" in words(mail)
    choices = ("past=all", "split=talks", "lang=zh", "alarm=15")
    asked = {*addresses(house.snapshot), "/readyz", "/healthz", "/metrics", "/history?q=bilibili", "/nothing?x=1"}
    asked |= {f"{path}?{choice}" for path in ("/calendar.ics", "/sessions/2021-11-27.ics") for choice in choices}
    shown = {path: (await house.get(path)).text for path in asked}
    assert [path for path, text in shown.items() if "974114" in text] == []
    for path in ("/", "/zh/", "/calendar.ics?lang=zh", "/sessions/2021-11-27", "/talks.json", "/feed.atom"):
        assert "p1q2HxwW3x4r" in shown[path].replace("\r\n ", ""), path
    assert "974114" not in logged(caplog)


async def test_a_calendar_of_one_s_own_shows_what_is_for_subscribers_until_its_link_is_revoked(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await house.subscribe(PEOPLE[0])
    await house.start()
    await house.pass_time(DUE)
    (mail,) = await house.arrived(1)
    link = re.search(r"https://seminar\.example\.org(/feed/\S+/jsml\.ics)", words(mail))
    assert link is not None
    seen = await house.get(path := link[1])
    assert seen.status_code == 200
    assert "密码: 974114" in seen.text.replace("\r\n ", "")
    assert {key: seen.headers[key] for key in ("Cache-Control", "Referrer-Policy", "X-Robots-Tag")} == {
        "Cache-Control": "private, max-age=300",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex",
    }
    assert (await house.get(path, **{"If-None-Match": seen.headers["ETag"]})).status_code == 304
    assert "Passcode: 974114" in (await house.get(f"{path}?lang=en")).text.replace("\r\n ", "")
    token = path.split("/")[2]
    for forged in (token[:-1], token.swapcase(), "x", f"x{token}"):
        assert (await house.get(f"/feed/{forged}/jsml.ics")).status_code == 404
    told = await house.ask({"do": "feed", "address": "ada@example.org", "revoke": True})
    assert (await house.get(path)).status_code == 404
    assert (await house.get(f"/feed/{told['token']}/jsml.ics")).status_code == 200
    await house.ask({"do": "unsubscribe", "address": "ada@example.org"})
    assert (await house.get(f"/feed/{told['token']}/jsml.ics")).status_code == 404
    assert token not in logged(caplog)


async def test_a_mail_server_that_is_down_loses_nothing(house: House) -> None:
    await house.subscribe(*PEOPLE)
    house.mail.stop()
    await house.start()
    await house.pass_time(DUE)
    assert house.daemon is not None
    while "mail" not in house.daemon.trouble():
        house.now += timedelta(seconds=1)  # once is an accident; it is tried again before anybody is told
        house.daemon.wake()
        await asyncio.sleep(0.05)
    house.mail.start()
    house.now += timedelta(minutes=1)
    house.daemon.wake()
    mails = await house.arrived(4)
    assert max(mail["To"] for mail in mails) == "organiser@example.org"  # they learn of it, if late
    assert house.daemon.trouble() == {}


@needs_postfix
@needs_dovecot
async def test_a_real_postfix_receives_everything_through_starttls_and_login(
    house: House, authority: tuple[trustme.CA, Path], tmp_path: Path
) -> None:
    """Its queue, its TLS, its pipelining, and a refusal in the middle of it."""
    certificate = tmp_path / "server.pem"
    authority[0].issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    people = [f"ada+{n}@readers.test" for n in range(40)]
    with (
        ImapServer() as accounts,
        PostfixServer("ada@readers.test", certificate=certificate, auth_port=accounts.auth_port) as postfix,
    ):
        house.mail.port = postfix.port
        house.login = f"""
        username = "seminar@seminar.test"
        password = "{accounts.password}"
        ca_file = "{authority[1]}"
        """
        house.sender = "Seminar <seminar@seminar.test>"
        await house.subscribe(
            *(Subscriber(address) for address in (*people[:20], "refused@readers.test", *people[20:]))
        )
        await house.start()
        house.now = DUE
        mails = await asyncio.to_thread(postfix.delivered, "ada@readers.test", 40)
        await house.stop()
    assert sorted(str(mail["X-Original-To"] or mail["Delivered-To"]) for mail in mails) == sorted(people)
    assert all("with ESMTPSA" in str(mail["Received"]) for mail in mails)
    assert len({str(mail["Message-ID"]) for mail in mails}) == 40
    store = await SqliteStore.open(house.folder / "var" / "notifier.db", read_only=True)
    assert (await store.summary(DUE)).deliveries == {"failed": 1, "sent": 40}
    await store.close()
