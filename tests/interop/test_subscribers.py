"""What becomes of a subscription while sessions are moved, called off, taken out and added by the real daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from house import PEOPLE, SECOND, House

from interop import lint
from interop.feeds import WHOLE
from interop.programs import Reading
from interop.shelf import Shelf, served
from interop.subscribers import SUBSCRIBERS, Subscriber, Subscriptions

pytestmark = pytest.mark.interop

every_subscriber = pytest.mark.parametrize("program", SUBSCRIBERS, ids=[program.name for program in SUBSCRIBERS])

HEAD = """
[seminar]
id = "jsml"
name = { en = "Joint Seminar of Machine Learning", zh = "机器学习联合研讨会" }
timezone = "Asia/Shanghai"
"""


def listed(name: str, date: str, time: str, more: str = "", link: str = "p1q2HxwW3x4r") -> str:
    return f"""
[[session]]
id = "{name}"
date = {date}
time = "{time}"
room.url = "https://meeting.tencent.com/dm/{link}"
room.passcode = "974114"
{more}
  [[session.talk]]
  title = "On what {name}, 研讨"
  speaker = "王宇航"
"""


BEFORE = "".join(
    (
        HEAD,
        listed("stays", "2021-12-04", "09:30-11:30"),
        listed("moves", "2021-12-11", "09:30-11:30"),
        listed("ceases", "2021-12-18", "09:30-11:30"),
        listed("vanishes", "2021-12-25", "09:30-11:30"),
        listed("waits", "2022-01-08", "09:30-11:30", 'status = "tentative"'),
    )
)
AFTER = "".join(
    (
        HEAD,
        listed("stays", "2021-12-04", "09:30-11:30"),
        listed("moves", "2022-01-22", "14:00-15:30", link="another"),
        listed("ceases", "2021-12-18", "09:30-11:30", 'status = "cancelled"'),
        listed("waits", "2022-01-08", "09:30-11:30"),
        listed("begins", "2022-02-05", "20:00-21:30"),
    )
)
RESUMED = AFTER.replace('status = "cancelled"', "")

LINK, ANOTHER = (f"https://meeting.tencent.com/dm/{link}" for link in ("p1q2HxwW3x4r", "another"))
SHOWN_BEFORE = [
    ("2021-12-04T01:30:00Z", "2021-12-04T03:30:00Z", "王宇航: On what stays, 研讨", "CONFIRMED", LINK),
    ("2021-12-11T01:30:00Z", "2021-12-11T03:30:00Z", "王宇航: On what moves, 研讨", "CONFIRMED", LINK),
    ("2021-12-18T01:30:00Z", "2021-12-18T03:30:00Z", "王宇航: On what ceases, 研讨", "CONFIRMED", LINK),
    ("2021-12-25T01:30:00Z", "2021-12-25T03:30:00Z", "王宇航: On what vanishes, 研讨", "CONFIRMED", LINK),
    ("2022-01-08T01:30:00Z", "2022-01-08T03:30:00Z", "王宇航: On what waits, 研讨", "TENTATIVE", LINK),
]
CEASED = ("2021-12-18T01:30:00Z", "2021-12-18T03:30:00Z")
SHOWN_AFTER = [
    ("2021-12-04T01:30:00Z", "2021-12-04T03:30:00Z", "王宇航: On what stays, 研讨", "CONFIRMED", LINK),
    (*CEASED, "[已取消 Cancelled] 王宇航: On what ceases, 研讨", "CANCELLED", LINK),
    ("2022-01-08T01:30:00Z", "2022-01-08T03:30:00Z", "王宇航: On what waits, 研讨", "CONFIRMED", LINK),
    ("2022-01-22T06:00:00Z", "2022-01-22T07:30:00Z", "王宇航: On what moves, 研讨", "CONFIRMED", ANOTHER),
    ("2022-02-05T12:00:00Z", "2022-02-05T13:30:00Z", "王宇航: On what begins, 研讨", "CONFIRMED", LINK),
]
SHOWN_RESUMED = [
    SHOWN_AFTER[0],
    (*CEASED, "王宇航: On what ceases, 研讨", "CONFIRMED", LINK),
    *SHOWN_AFTER[2:],
]
REVISIONS = {"stays": (0, 0), "moves": (1, 1), "ceases": (1, 2), "waits": (1, 1), "begins": (0, 0)}


def looks(reading: Reading) -> list[tuple[str, ...]]:
    """When, what, whether and where, as the program shows it; the link must begin the description and end the place."""
    assert reading.error == ""
    for event in reading.events:
        label, _, link = event["description"].splitlines()[0].partition(": ")
        assert (label.split()[0], link) == ("参会链接", event["location"].split()[-1])
    return [
        (event["start"], event["end"], event["summary"], event["status"], event["location"].split()[-1])
        for event in reading.events
    ]


def revisions(reading: Reading) -> dict[str, int]:
    return {event["uid"].removesuffix("@seminar.example.org"): event["sequence"] for event in reading.events}


async def refreshed(subscriptions: Subscriptions) -> Reading:
    return (await asyncio.to_thread(subscriptions.refresh))["feed"]


async def publish(house: House, text: str) -> None:
    assert house.daemon is not None
    house.now += SECOND
    house.write_list(text)
    await house.daemon.reload(allow_removals=True)


@contextmanager
def subscribed(program: Subscriber, house: House, folder: Path, path: str) -> Iterator[Subscriptions]:
    """The program with this calendar of the running daemon."""
    assert house.daemon is not None
    own = folder / "subscriber"
    own.mkdir()
    with program.open({"feed": f"http://{house.daemon.addresses[0]}{path}"}, own) as subscriptions:
        yield subscriptions


def must_be_there(program: Subscriber) -> None:
    if program.is_missing:
        pytest.skip(program.is_missing)


@every_subscriber
async def test_a_subscription_follows_what_becomes_of_the_sessions(program: Subscriber, house: House, tmp_path: Path):
    must_be_there(program)
    house.write_list(BEFORE)
    await house.start()
    with subscribed(program, house, tmp_path, "/jsml.ics") as subscriptions:
        before = await refreshed(subscriptions)
        assert looks(before) == SHOWN_BEFORE
        await publish(house, AFTER)
        after = await refreshed(subscriptions)
        assert looks(after) == SHOWN_AFTER
        again = await refreshed(subscriptions)
        assert again == after
        await publish(house, RESUMED)
        resumed = await refreshed(subscriptions)
        assert looks(resumed) == SHOWN_RESUMED
    if "uid" in program.shows:
        assert list(revisions(before)) == ["stays", "moves", "ceases", "vanishes", "waits"]
        assert revisions(after) == {name: first for name, (first, _) in REVISIONS.items()}
        assert revisions(resumed) == {name: last for name, (_, last) in REVISIONS.items()}
    if program.asks_again:
        assert house.daemon._server.answered[304] > 0


@every_subscriber
async def test_a_subscription_learns_of_what_only_the_seminar_s_name_changed(
    program: Subscriber, house: House, tmp_path: Path
):
    must_be_there(program)
    unknown = BEFORE.replace('title = "On what stays, 研讨"\n  speaker = "王宇航"', 'title = ""')
    house.write_list(unknown)
    await house.start()
    with subscribed(program, house, tmp_path, "/jsml.ics") as subscriptions:
        before = await refreshed(subscriptions)
        await publish(house, unknown.replace("Joint Seminar of Machine Learning", "Seminar of Joints"))
        after = await refreshed(subscriptions)
    assert [reading.events[0]["summary"] for reading in (before, after)] == [
        "Joint Seminar of Machine Learning: 待定 TBA",
        "Seminar of Joints: 待定 TBA",
    ]


@every_subscriber
async def test_a_subscription_of_one_s_own_shows_the_passcode(program: Subscriber, house: House, tmp_path: Path):
    must_be_there(program)
    path = await own_feed(house)
    with subscribed(program, house, tmp_path, path) as subscriptions:
        shown = await refreshed(subscriptions)
    assert looks(shown) == SHOWN_BEFORE
    assert ["密码: 974114" in event["description"] for event in shown.events] == [True] * 5


async def own_feed(house: House) -> str:
    """Where Ada's own calendar is, once the daemon runs."""
    house.write_list(BEFORE)
    await house.subscribe(PEOPLE[0])
    await house.start()
    told = await house.ask({"do": "feed", "address": PEOPLE[0].address, "revoke": False})
    return f"/feed/{told['token']}/jsml.ics"


FORMS = {
    "calendar.ics": {"stays", "moves", "ceases", "waits", "begins"},
    "jsml.ics?past=all": {"stays", "moves", "ceases", "waits", "begins"},
    "jsml.ics?past=none&lang=zh": {"stays", "moves", "ceases", "waits", "begins"},
    "jsml.ics?past=90d&lang=en&alarm=15&alarm=1440": {"stays", "moves", "ceases", "waits", "begins"},
    "jsml.ics?split=talks&cancelled=0": {"stays", "moves", "waits", "begins"},
    "jsml.ics?alarm=soon&past=%FF&lang=tlh&fbclid=1": {"stays", "moves", "ceases", "waits", "begins"},
    "sessions/ceases.ics": {"ceases"},
    "sessions/moves.ics?split=talks&alarm=15&lang=zh": {"moves"},
}


async def test_every_form_that_the_daemon_serves_has_no_fault(house: House):
    own = (await own_feed(house)).removeprefix("/")
    await publish(house, AFTER)
    everything = FORMS["calendar.ics"]
    for form, names in {**FORMS, own: everything, f"{own}?split=talks&alarm=15&past=all": everything}.items():
        answered = await house.get(f"/{form}")
        assert (form, answered.status_code, lint.faults(answered.content)) == (form, 200, [])
        assert {str(event["uid"]).partition("@")[0] for event in lint.events(answered.content)} == names


OLD, NEW = b"SUMMARY:", b"SUMMARY:Renamed! "
TOUCHED = WHOLE.replace(OLD, NEW)
STAMPED = TOUCHED.replace(b"LAST-MODIFIED:2021", b"LAST-MODIFIED:2022").replace(b"DTSTAMP:2021", b"DTSTAMP:2022")


# The second state of each feed, and who learns of it.
CHANGES = {
    "as it should be": (STAMPED, {"khal with vdirsyncer", "Thunderbird", "Evolution Data Server"}),
    "with a frozen ETag": (STAMPED, {"khal with vdirsyncer"}),
    "without a new revision": (TOUCHED, {"khal with vdirsyncer", "Thunderbird"}),
}


@every_subscriber
def test_a_subscription_learns_of_a_change(program: Subscriber, tmp_path: Path):
    must_be_there(program)
    names = dict(zip(("right", "frozen", "touched"), CHANGES, strict=True))
    shelf = Shelf(dict.fromkeys(names, WHOLE), frozen=("frozen",))
    with served(shelf), program.open(shelf.urls(), tmp_path) as subscriptions:
        before = subscriptions.refresh()
        for short, name in names.items():
            shelf.put(short, CHANGES[name][0])
        after = subscriptions.refresh()
    for short, name in names.items():
        assert len(before[short].events) == len(after[short].events) == 6
        renamed = [event["summary"].startswith("Renamed! ") for event in after[short].events]
        assert (name, renamed) == (name, [program.name in CHANGES[name][1]] * 6)
