"""The life of a session as calendars see it: the real daemon, a set clock, restarts, and a backup put back."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import icalendar
import pytest
from house import DUE, PEOPLE, SECOND, House

from notifier import talks
from notifier.stores.sqlite import SqliteStore

TENTATIVE = """
[seminar]
id = "jsml"
name = "Joint Seminar of Machine Learning"
timezone = "Asia/Shanghai"

[[session]]
id = "2021-11-27"
date = 2021-11-27
time = "09:30-11:30"
status = "tentative"
  [[session.talk]]
  title = ""

[[session]]
id = "2021-12-11"
date = 2021-12-11
time = "09:30-11:30"
  [[session.talk]]
  title = "Another"
  speaker = "Ada"
"""
KNOWN = TENTATIVE.replace('status = "tentative"\n', "").replace(
    'title = ""', 'title = "冷冻电镜原理及相关算法"\n  speaker = "王宇航"'
)
MOVED = KNOWN.replace("date = 2021-11-27", "date = 2021-11-28")
CANCELLED = MOVED.replace("date = 2021-11-28", 'date = 2021-11-28\nstatus = "cancelled"')
OVER = MOVED.replace(
    'speaker = "王宇航"', 'speaker = "王宇航"\n  slides = "https://s.example/1.pdf"\n  replay = "https://v.example/1"'
)
UID = "2021-11-27@seminar.example.org"


@dataclass(frozen=True)
class Seen:
    """One look at the feed: its bytes and times, and the event of the session."""

    data: bytes
    etag: str
    last_modified: datetime
    event: icalendar.Component | None

    @property
    def stamps(self) -> tuple[int, datetime]:
        """SEQUENCE and LAST-MODIFIED."""
        assert self.event is not None
        assert self.event["DTSTAMP"].dt == self.event["LAST-MODIFIED"].dt
        return int(self.event["SEQUENCE"]), self.event["LAST-MODIFIED"].dt


async def look(house: House) -> Seen:
    answered = await house.get("/calendar.ics")
    events = icalendar.Calendar.from_ical(answered.content).walk("VEVENT")
    found = [event for event in events if event["UID"] == UID]
    assert len(found) < 2
    last_modified = parsedate_to_datetime(answered.headers["Last-Modified"])
    return Seen(answered.content, answered.headers["ETag"], last_modified, found[0] if found else None)


async def loaded(house: House, text: str) -> Seen:
    assert house.daemon is not None
    house.now += SECOND
    house.write_list(text)
    await house.daemon.reload()
    return await look(house)


async def restarted(house: House) -> Seen:
    await house.stop()
    house.now += SECOND
    await house.start()
    return await look(house)


async def test_a_session_is_one_event_from_its_first_rumour_to_its_replay(house: House) -> None:
    house.now = datetime(2021, 11, 1, tzinfo=UTC)
    house.write_list(TENTATIVE)
    await house.start()
    tentative = await look(house)
    known, moved = await loaded(house, KNOWN), await loaded(house, MOVED)
    await house.pass_time(datetime(2021, 11, 29, tzinfo=UTC))
    over = await loaded(house, OVER)
    states = [seen.event for seen in (tentative, known, moved, over)]
    assert [(str(e["STATUS"]), e.start.isoformat(), str(e["SUMMARY"])) for e in states if e] == [
        ("TENTATIVE", "2021-11-27T09:30:00+08:00", "Joint Seminar of Machine Learning: 待定 TBA"),
        ("CONFIRMED", "2021-11-27T09:30:00+08:00", "王宇航: 冷冻电镜原理及相关算法"),
        ("CONFIRMED", "2021-11-28T09:30:00+08:00", "王宇航: 冷冻电镜原理及相关算法"),
        ("CONFIRMED", "2021-11-28T09:30:00+08:00", "王宇航: 冷冻电镜原理及相关算法"),
    ]
    assert states[-1] is not None
    assert str(states[-1]["DESCRIPTION"]).endswith(
        "幻灯片 Slides: https://s.example/1.pdf\n回放 Replay: https://v.example/1"
    )
    stamps = [seen.stamps for seen in (tentative, known, moved, over)]
    assert [sequence for sequence, _ in stamps] == [0, 1, 2, 3]
    assert [modified for _, modified in stamps] == sorted({modified for _, modified in stamps})
    assert await restarted(house) == over


async def test_a_cancelled_session_says_so_for_two_weeks_and_is_gone(house: House) -> None:
    house.now = datetime(2021, 11, 26, tzinfo=UTC)
    house.write_list(MOVED)
    await house.start()
    before, cancelled = await look(house), await loaded(house, CANCELLED)
    assert cancelled.event is not None
    assert (cancelled.event["STATUS"], cancelled.event["TRANSP"]) == ("CANCELLED", "TRANSPARENT")
    assert cancelled.stamps[0] == before.stamps[0] + 1
    last = datetime(2021, 12, 12, 15, 59, tzinfo=UTC)  # the 14th day after its own ends a minute later in Shanghai
    await house.pass_time(last)
    assert (await look(house)).event == cancelled.event
    await house.pass_time(last + timedelta(minutes=2))
    await house.until(lambda: b"CANCELLED" not in house.snapshot.documents["/calendar.ics"].body)
    gone = await look(house)
    assert gone.event is None
    assert gone.last_modified == last + timedelta(minutes=2)
    assert (await restarted(house)).last_modified == gone.last_modified


async def test_another_form_of_the_same_list_is_the_same_feed(house: House) -> None:
    house.write_list(MOVED)
    await house.start()
    await loaded(house, OVER)
    before = await loaded(house, MOVED)
    exported = talks.as_json(house.seminar)
    for session in exported["sessions"]:
        for stamp in ("uid", "revision", "created", "modified"):
            session.pop(stamp)
    assert await loaded(house, json.dumps(exported)) == before


OPEN = '[visibility]\npasscode = "public"'


@pytest.mark.parametrize("is_broken", [False, True], ids=["as it was", "broken since"])
@pytest.mark.parametrize("settings", [{"more": OPEN}, {"site": "https://elsewhere.example"}], ids=["levels", "site"])
async def test_other_settings_are_one_revision_that_nobody_has_mail_of(
    house: House, settings: dict[str, str], is_broken: bool
) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.pass_time(DUE)
    await house.arrived(3)
    before = await look(house)
    assert await restarted(house) == before
    if is_broken:
        house.write_list("[[session]")
    for name, value in settings.items():
        setattr(house, name, value)
    after = await restarted(house)
    assert after.data != before.data
    assert (after.stamps[0], after.stamps[1] > before.stamps[1]) == (1, True)
    assert after.last_modified > before.last_modified
    assert await restarted(house) == after
    await house.pass_time(house.now + timedelta(minutes=30))
    readers = [letter.recipient for letter in house.mail.messages if "organiser" not in letter.recipient]
    assert len(readers) == 3
    house.more, house.site = "", "https://seminar.example.org"
    assert (await restarted(house)).stamps[0] == 2


def put_back(house: House, kept: str) -> None:
    """The store as it was kept, without what SQLite has beside it."""
    for path in (house.folder / "var").glob("notifier.db*"):
        path.unlink()
    shutil.copy(house.folder / kept, house.folder / "var" / "notifier.db")


@pytest.mark.parametrize(
    ("list_then", "grows"),
    [(MOVED, False), (TENTATIVE, True), ("[[session]\n", True), (OVER, True)],
    ids=["the same list", "the list of that time", "a broken list", "a new list"],
)
async def test_an_older_store_takes_nothing_back(house: House, list_then: str, grows: bool) -> None:
    house.write_list(TENTATIVE)
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.stop()
    shutil.copy(house.folder / "var" / "notifier.db", house.folder / "kept.db")
    await house.start()
    await loaded(house, KNOWN)
    published, page = await loaded(house, MOVED), (await house.get("/")).headers["Last-Modified"]
    await house.stop()
    put_back(house, "kept.db")
    house.now += SECOND
    house.write_list(list_then)
    await house.start()
    seen = await look(house)
    if grows:
        assert seen.stamps > published.stamps
        assert seen.stamps[1] > published.stamps[1]
    else:
        assert seen.data == published.data
    assert seen.last_modified > published.last_modified
    assert parsedate_to_datetime((await house.get("/")).headers["Last-Modified"]) > parsedate_to_datetime(page)
    assert house.daemon is not None
    await house.until(lambda: "older than what was published or mailed" in house.hold)
    assert await restarted(house) == seen


@pytest.mark.parametrize("since", ["a mailing", "a reader who left"])
async def test_an_older_store_of_what_is_published_unchanged_mails_nobody_again(house: House, since: str) -> None:
    await house.subscribe(*PEOPLE)
    await house.start()
    await house.reconciled()
    await house.stop()
    shutil.copy(house.folder / "var" / "notifier.db", house.folder / "kept.db")
    await house.start()
    page = (await house.get("/")).headers["ETag"]
    if since == "a mailing":
        await house.pass_time(DUE)
        await house.arrived(3)
        await house.reconciled()
    else:
        await house.ask({"do": "unsubscribe", "address": "ada@example.org"})
        await house.pass_time(house.now + timedelta(minutes=2))
    assert (await house.get("/")).headers["ETag"] == page
    await house.stop()
    mailed = len(house.mail.messages)
    put_back(house, "kept.db")
    await house.start()
    await house.until(lambda: "older than what was published or mailed" in house.hold)
    await house.pass_time(DUE + timedelta(minutes=1))
    await house.arrived(mailed)


async def test_a_clock_that_was_ahead_makes_no_older_store(house: House) -> None:
    right = house.now
    house.write_list(TENTATIVE)
    house.now += timedelta(days=2)
    await house.start()
    await house.stop()
    house.now = right
    house.write_list(KNOWN)
    await house.start()
    seen = await look(house)
    assert seen.last_modified <= right
    for _ in range(2):
        house.now += SECOND
        assert await restarted(house) == seen
    assert "older than what was published or mailed" not in house.hold


async def test_a_lost_store_keeps_what_sessions_are_known_by(house: House) -> None:
    house.write_list(TENTATIVE)
    await house.start()
    published = await loaded(house, MOVED)
    await house.stop()
    for path in (house.folder / "var").glob("notifier.db*"):
        path.unlink()
    await house.start()
    assert (await look(house)).data == published.data
    assert house.hold == ""


async def test_a_store_that_was_not_put_back_holds_nothing(house: House) -> None:
    house.write_list(TENTATIVE)
    await house.start()
    await loaded(house, KNOWN)
    for _ in range(2):
        await restarted(house)
        await house.pass_time(house.now + timedelta(hours=30))
    await house.stop()
    store = await SqliteStore.open(house.folder / "var" / "notifier.db")
    assert await store.fact("hold") == ""
    await store.close()
